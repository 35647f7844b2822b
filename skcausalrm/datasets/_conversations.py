"""The conversation of each answer: its group, its turn, and what the user wrote next."""

import json
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..text._messages import as_messages

# Maximum number of words of a first message that unlike conversations may share by chance.
_GREETING_WORDS = 5
_GREETINGS = frozenset(
    (
        *("hi", "hello", "hey", "hi there", "hello there", "good morning", "good evening", "yo"),
        *("hallo", "hola", "bonjour", "ciao", "olá", "привет", "你好", "こんにちは", "안녕하세요"),
    )
)


def group_by_opening(
    prompts: pd.Series, groups: pd.Series | None = None, completions: pd.Series | None = None
) -> NDArray[np.intp]:
    """Return one integer per row, equal where the first user message is equal.

    A greeting that unlike conversations share groups rows only if the first answer is equal too.
    Rows with equal `groups` share an integer as well; an empty text is no group.
    """
    openings = _openings(prompts, completions)
    codes = pd.factorize(np.array(openings, dtype=object))[0]
    if groups is None:
        return codes
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # Groups and openings are the nodes of a graph; each row links its group and its opening.
    group = pd.factorize(groups.where(groups != ""), use_na_sentinel=True)[0]
    linked = group >= 0
    n_openings = codes.max() + 1
    n_nodes = n_openings + group.max() + 1
    ends = codes[linked], n_openings + group[linked]
    graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(n_nodes, n_nodes))
    component = connected_components(graph, directed=False)[1]
    return pd.factorize(component[codes])[0]


def _openings(prompts: pd.Series, completions: pd.Series | None) -> list[str]:
    """Return the first user message of each row, with the first answer if it is a greeting."""
    heads = [_head(prompt) for prompt in prompts]
    if completions is None:
        return [head[0] for head in heads]
    follow_ups: dict[str, set[str]] = {}
    for first, _, second in heads:
        if second is not None and len(first.split()) <= _GREETING_WORDS:
            follow_ups.setdefault(first, set()).add(second)
    unlike = {first for first, seconds in follow_ups.items() if len(seconds) > 1}
    return [
        f"{first}\0{completion if reply is None else reply}"
        if first in unlike or first.strip().strip("!.?,").lower() in _GREETINGS
        else first
        for (first, reply, _), completion in zip(heads, completions, strict=True)
    ]


def _head(prompt: Any) -> tuple[str, str | None, str | None]:
    """Return the first user message, the first answer and the second user message of a prompt."""
    if isinstance(prompt, str):
        return prompt, None, None
    chat = as_messages(prompt)
    if chat is None:
        return json.dumps(prompt, default=str), None, None
    users = [turn["content"] for turn in chat if turn["role"] == "user"]
    replies = [turn["content"] for turn in chat if turn["role"] == "assistant"]
    return (
        users[0] if users else "",
        replies[0] if replies else None,
        users[1] if len(users) > 1 else None,
    )


def add_turns(frame: pd.DataFrame) -> pd.DataFrame:
    """Add ``turn`` and ``next_message`` to answers of known conversations.

    The turn counts the user's messages up to the answer: in the prompt, or if prompts hold no
    history, in order of time. A column that the source has is kept.
    """
    if "conversation" not in frame.columns or frame["conversation"].isna().all():
        return frame
    frame = frame.copy(deep=False)
    known = frame["conversation"].notna()
    prompts = frame["prompt"]
    n_user = np.ones(len(prompts), dtype=np.int64)
    if prompts.dtype == object:  # else there is no history
        n_user = np.array([_count_user(prompt) for prompt in prompts])
    dated = "timestamp" in frame.columns and bool(frame.loc[known, "timestamp"].notna().all())
    if "turn" not in frame.columns and ((n_user > 1).any() or dated):
        turn = pd.Series(n_user, index=frame.index, dtype="Int64")
        if not (n_user > 1).any():
            dates = frame.loc[known, ["conversation", "timestamp"]]
            ordered = dates.sort_values("timestamp", kind="stable")
            rank = ordered.groupby(ordered["conversation"].astype(str)).cumcount() + 1
            turn = rank.reindex(frame.index).astype("Int64")
        frame["turn"] = turn.where(known)
    if "next_message" not in frame.columns and "turn" in frame.columns:
        following = _next_messages(frame, known)
        if following.notna().any():
            frame["next_message"] = following
    return frame


def _count_user(prompt: Any) -> int:
    if isinstance(prompt, str):
        return 1
    return sum(turn.get("role") == "user" for turn in prompt)


def _next_messages(frame: pd.DataFrame, known: pd.Series) -> pd.Series:
    """Return the last user message of the prompt at the next turn of the same conversation.

    If that prompt holds history, its last answer must be this one: users branch conversations.
    """
    rows = np.flatnonzero((known & frame["turn"].notna()).to_numpy())
    table = pd.DataFrame(
        {
            "key": pd.factorize(frame["conversation"].iloc[rows].astype(str))[0],
            "turn": frame["turn"].iloc[rows].to_numpy(dtype=np.int64),
            "row": rows,
        }
    )
    pairs = table.merge(table.assign(turn=table["turn"] - 1), on=["key", "turn"])
    answers = frame["completion"].iloc[pairs["row_x"]]
    prompts = frame["prompt"].iloc[pairs["row_y"]]
    result = np.full(len(frame), None, dtype=object)
    found = np.zeros(len(frame), dtype=bool)
    for row, answer, prompt in zip(pairs["row_x"], answers, prompts, strict=True):
        if found[row]:
            continue
        if isinstance(prompt, str):
            result[row], found[row] = prompt, True
        elif _last(prompt, "assistant") in (None, answer):
            result[row], found[row] = _last(prompt, "user"), True
    return pd.Series(result, index=frame.index, dtype=object)


def _last(chat: Any, role: str) -> str | None:
    return next((turn["content"] for turn in reversed(chat) if turn.get("role") == role), None)
