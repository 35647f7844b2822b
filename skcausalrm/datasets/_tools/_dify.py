"""Dify: messages of its APIs or of its database, with feedback inside or next to them."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from ...exceptions import FileFormatError
from ...text._messages import as_plain, content_text
from .._message_trees import Message, export_chats
from .._spans import HUMAN, USER, Export, Reading, make_scores, no_scores, pick
from .._texts import decode, decode_list
from .._values import parse_times
from ._tool import Tool

# Parent that the API writes for "the message before".
_BEFORE = "00000000-0000-0000-0000-000000000000"


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read messages; refuse the export of feedback."""
    if not {"query", "answer"} <= set(records.columns):
        raise FileFormatError(
            "Dify's export of feedback holds rated answers only, cut at 500 characters, so their "
            "selection cannot be corrected: export all messages by the API "
            "(GET /messages of each conversation) and load that."
        )
    order = parse_times(pick(records, "created_at"))[0].array.argsort(kind="stable")
    rows: list[Any] = records.iloc[order].to_dict("records")
    if scores is None:
        found = [each for row in rows for each in _inside(row)]
    else:
        given: list[Any] = scores.to_dict("records")
        found = [_score(item.get("message_id"), item) for item in given]
    table = pd.DataFrame([each for each in found if each["value"] is not None])
    raw = (
        no_scores()
        if table.empty
        else make_scores(table, **{str(name): table[name] for name in table.columns})
    )
    return export_chats(_messages(rows), raw, reading.on_error, "Dify")


def _inside(row: Mapping[Any, Any]) -> Iterator[dict[str, Any]]:
    """Yield the feedback in a message: the user's, or a list of users' and administrators'."""
    for item in [decode(row.get("feedback")), *decode_list(row.get("feedbacks"))]:
        if isinstance(item := as_plain(item), Mapping):
            yield _score(row.get("id"), item)


def _score(message: Any, item: Mapping[Any, Any]) -> dict[str, Any]:
    by_team = item.get("from_source") == "admin"
    return {
        "span": message,
        "trace": None,
        "name": "feedback",
        "value": item.get("rating"),
        "kind": HUMAN if by_team else USER,
        "rater": (item.get("from_account_id") or item.get("from_account"))
        if by_team
        else item.get("from_end_user_id"),
        "timestamp": item.get("updated_at") or item.get("created_at"),
        "comment": item.get("content"),
        "metadata": None,
    }


def _messages(rows: list[dict[str, Any]]) -> Iterator[Message]:
    """Yield the question and the answer of each row, below the answer before it."""
    # Without any parent the messages of a conversation follow each other.
    branched = {
        row.get("conversation_id") for row in rows if isinstance(row.get("parent_message_id"), str)
    }
    last: dict[str, str] = {}
    questions: dict[tuple[str, str | None, str], str] = {}
    for row in rows:
        key, conversation = str(row.get("id")), str(row.get("conversation_id"))
        parent = row.get("parent_message_id")
        if row.get("conversation_id") not in branched or parent == _BEFORE:
            parent = last.get(conversation)
        last[conversation] = key
        failed = row.get("status") == "error" or (
            isinstance(row.get("error"), str) and bool(row["error"].strip())
        )
        parent = parent if isinstance(parent, str) else None
        query = _query(row)
        # A regenerated answer is a message of its own with the same query below the same parent.
        question = questions.setdefault((conversation, parent, query), f"{key}/query")
        yield Message(question, parent, conversation, {"role": "user", "content": query})
        yield Message(
            key,
            question,
            conversation,
            {"role": "assistant", "content": "" if failed else row.get("answer")},
            {
                "timestamp": row.get("created_at"),
                "user": row.get("from_end_user_id") or row.get("user"),
                "model": row.get("model_id"),
                "latency": row.get("provider_response_latency"),
                "prompt_tokens": row.get("message_tokens"),
                "completion_tokens": row.get("answer_tokens"),
            },
        )


def _query(row: Mapping[Any, Any]) -> str:
    """Return the user's text: the query, or the variables of an application without one."""
    inputs = as_plain(decode(row.get("inputs")))
    if (query := content_text(row.get("query"))).strip() or not isinstance(inputs, Mapping):
        return query
    texts = {name: text for name, value in inputs.items() if (text := content_text(value))}
    if len(texts) == 1:
        return next(iter(texts.values()))
    return "\n".join(f"{name}: {text}" for name, text in texts.items())


def detect(columns: set[str]) -> bool:
    """Return True for messages, or the export of feedback."""
    return (
        (
            {"query", "answer", "conversation_id"} <= columns
            and bool({"message_files", "feedbacks", "provider_response_latency"} & columns)
        )
        or {"message_id", "rating", "from_source"} <= columns
        or {"feedback_rating", "ai_response"} <= columns
        or {"export_info", "feedback_data"} <= columns
    )


TOOL = Tool("dify", read, detect, scores_alone=lambda columns: {"message_id", "rating"} <= columns)
