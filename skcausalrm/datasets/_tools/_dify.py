"""Dify: messages of its API, with feedback inside them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ...exceptions import FileFormatError
from .._message_trees import Message, chained, export_chats
from .._spans import USER, Export, Reading, get, make_scores, missing, pick
from ._tool import Tool


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read messages; refuse the export of feedback."""
    if not {"query", "answer"} <= set(records.columns):
        raise FileFormatError(
            "Dify's export of feedback holds rated answers only, cut at 500 characters, so their "
            "selection cannot be corrected: export all messages by the API "
            "(GET /messages of each conversation) and load that."
        )
    order = pd.to_numeric(pick(records, "created_at"), errors="coerce")
    rows: list[Any] = records.iloc[order.argsort(kind="stable")].to_dict("records")
    feedback = pick(records, "feedback")
    raw = make_scores(
        records,
        span=pick(records, "id"),
        trace=missing(records),
        name=pd.Series("feedback", index=records.index),
        value=get(feedback, "rating"),
        kind=pd.Series(USER, index=records.index),
        rater=missing(records),
        timestamp=missing(records),
        comment=get(feedback, "content"),
        metadata=missing(records),
    )
    messages = chained([message for row in rows for message in _messages(row)])
    return export_chats(messages, raw[raw["value"].notna()], reading.on_error, "Dify")


def _messages(row: dict[str, Any]) -> list[Message]:
    """Return the question and the answer of a row."""
    key, conversation = str(row.get("id")), str(row.get("conversation_id"))
    failed = row.get("status") == "error" or isinstance(row.get("error"), str)
    columns = {
        "timestamp": row.get("created_at"),
        "user": row.get("from_end_user_id") or row.get("user"),
        "model": row.get("model_id"),
    }
    answer = {"role": "assistant", "content": "" if failed else row.get("answer")}
    return [
        Message(f"{key}/query", None, conversation, {"role": "user", "content": row.get("query")}),
        Message(key, None, conversation, answer, columns),
    ]


def detect(columns: set[str]) -> bool:
    """Return True for messages of the API, or the export of feedback."""
    return (
        ({"query", "answer", "conversation_id"} <= columns and "message_files" in columns)
        or {"feedback_rating", "ai_response"} <= columns
        or {"export_info", "feedback_data"} <= columns
    )


TOOL = Tool("dify", read, detect)
