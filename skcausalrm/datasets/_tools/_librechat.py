"""LibreChat: the messages of its database, with feedback inside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ...text._messages import content_text
from .._message_trees import Message, export_chats
from .._spans import USER, Export, Reading, get, make_scores, missing, pick
from .._texts import decode
from ._tool import Tool


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read messages as `mongoexport` writes them."""
    rows: list[Any] = records.to_dict("records")
    feedback = pick(records, "feedback")
    raw = make_scores(
        records,
        span=pick(records, "messageId"),
        trace=missing(records),
        name=pd.Series("feedback", index=records.index),
        value=get(feedback, "rating"),
        kind=pd.Series(USER, index=records.index),
        rater=pick(records, "user"),
        timestamp=missing(records),
        comment=get(feedback, "text"),
        metadata=missing(records),
    ).assign(tags=get(feedback, "tag").map(_key))
    raw = raw[raw["value"].notna()]
    return export_chats(map(_message, rows), raw, reading.on_error, "LibreChat")


def _key(tag: Any) -> Any:
    return tag.get("key", tag) if isinstance(tag, Mapping) else tag


def _message(row: dict[str, Any]) -> Message:
    created = row.get("createdAt")
    by_user = str(row.get("isCreatedByUser")).lower() == "true"
    text = row.get("text")
    if not isinstance(text, str) or not text.strip():
        text = content_text(decode(row.get("content")))  # parts, in newer versions
    failed = str(row.get("error")).lower() == "true"
    return Message(
        str(row.get("messageId")),
        row.get("parentMessageId"),
        str(row.get("conversationId")),
        {"role": "user" if by_user else "assistant", "content": "" if failed else text},
        {
            "user": row.get("user"),
            "model": row.get("model"),
            "timestamp": created.get("$date") if isinstance(created, Mapping) else created,
        },
    )


def detect(columns: set[str]) -> bool:
    """Return True for LibreChat's messages."""
    return {"messageId", "parentMessageId", "isCreatedByUser", "conversationId"} <= columns


TOOL = Tool("librechat", read, detect)
