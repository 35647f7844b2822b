"""Chats as trees of messages, as chat applications store them: one answer per assistant message."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ..exceptions import FileFormatError
from ..text._messages import as_message
from ._left_out import LeftOut
from ._spans import NUMBERS, SCORE_COLUMNS, Export, as_name, as_numbers, no_marks
from ._texts import simplify_prompt


@dataclass
class Message:
    """A message of a chat.

    Attributes
    ----------
    id, parent : str or None
        Its id, and that of the message before it.
    conversation : str
        Id of its chat.
    value : object
        The message as the tool wrote it, for `as_message`.
    columns : dict
        Further columns of the answer, such as ``model``.
    """

    id: str
    parent: str | None
    conversation: str
    value: Any
    columns: dict[str, Any] = field(default_factory=dict)


def find_chat_answers(
    messages: Iterable[Message], on_error: str
) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """Return each assistant message with the messages above it, and the summary of those left out.

    ``regenerated`` is True for an answer that a later one by the same model replaces, and
    ``next_message`` is the latest message that the user wrote below an answer.
    """
    known = {(m.conversation, m.id): m for m in messages}
    turns = {key: as_message(m.value) for key, m in known.items()}
    children: dict[tuple[str, str | None], list[str]] = {}
    for key, m in known.items():
        if turns[key] is not None:
            children.setdefault((m.conversation, m.parent), []).append(m.id)
    rows = [
        _answer(m, known, turns, children)
        for key, m in known.items()
        if (turn := turns[key]) is not None and turn["role"] == "assistant"
    ]
    table = pd.DataFrame(rows)
    if table.empty:
        return table, {}
    left_out = LeftOut(table["id"], on_error)
    blank = table["completion"].map(lambda text: not text.strip()).to_numpy(dtype=bool)
    left_out.drop(blank, "no answer")
    return left_out.keep(table), left_out.summary()


def export_chats(
    messages: Iterable[Message], scores: pd.DataFrame, on_error: str, tool: str
) -> Export:
    """Return the answers of chats and their scores, whose ``id`` is that of a message.

    Raises
    ------
    FileFormatError
        If no message is an answer.
    """
    messages = list(messages)
    table, left_out = find_chat_answers(messages, on_error)
    if table.empty:
        raise FileFormatError(
            f"The {tool} source holds no answer by an assistant: export the chats with their "
            "messages."
        )
    table = table.drop(columns=[name for name in table.columns if table[name].isna().all()])
    table = table.assign(**{n: as_numbers(table[n]) for n in NUMBERS if n in table.columns})
    known = scores["id"].isin(table["id"])
    spoken = [m.id for m in messages if (as_message(m.value) or {}).get("role") == "assistant"]
    lost = scores["id"].isin(spoken) & ~known
    return Export(
        table,
        scores.loc[known, SCORE_COLUMNS].reset_index(drop=True),
        no_marks(),
        left_out,
        {"n_unmatched": int((~known & ~lost).sum()), "n_scores_left_out": int(lost.sum())},
    )


def chained(messages: list[Message]) -> list[Message]:
    """Return messages in their order, each below the one before it in its conversation."""
    last: dict[str, str] = {}
    for message in messages:
        message.parent = last.get(message.conversation)
        last[message.conversation] = message.id
    return messages


def _answer(message: Message, known: dict, turns: dict, children: dict) -> dict[str, Any]:
    chat = message.conversation
    path: list[dict[str, str]] = []
    seen: set[str | None] = {message.id}
    parent = message.parent
    while (chat, parent) in known and parent not in seen:
        seen.add(parent)
        turn = turns[chat, parent]
        if turn is not None and turn["content"]:
            path.append(turn)
        parent = known[chat, parent].parent
    path.reverse()
    answers = [
        name
        for name in children.get((chat, message.parent), [])
        if turns[chat, name]["role"] == "assistant"
    ]
    replies = [
        turns[chat, name]["content"]
        for name in children.get((chat, message.id), [])
        if turns[chat, name]["role"] == "user"
    ]
    return {
        "id": message.id,
        "prompt": simplify_prompt(path) if path else "",
        "completion": turns[chat, message.id]["content"],
        "conversation": chat,
        "turn": sum(turn["role"] == "user" for turn in path),
        "regenerated": message.parent is not None
        and any(
            known[chat, name].columns.get("model") == message.columns.get("model")
            for name in answers[answers.index(message.id) + 1 :]
        ),
        "next_message": replies[-1] if replies else None,
        **{name: as_name(value) for name, value in message.columns.items()},
    }
