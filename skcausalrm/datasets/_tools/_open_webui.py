"""Open WebUI: chats and feedback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ...exceptions import FileFormatError
from ...text._messages import is_list
from .._message_trees import Message, find_chat_answers
from .._spans import (
    SCORE_COLUMNS,
    USER,
    Export,
    Reading,
    get,
    make_scores,
    missing,
    no_marks,
    no_scores,
    pick,
    require,
)
from .._texts import decode
from ._tool import Tool


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read chats with feedback, or feedback that contains the chats."""
    feedback = records if "snapshot" in records.columns else scores
    raw = no_scores()
    if feedback is not None:
        require(feedback, "Open WebUI feedback", ("data",), ("meta",))
        message = get(feedback["meta"], "message_id").astype(str)
        comment = get(feedback["data"], "comment")
        raw = make_scores(
            feedback,
            span=get(feedback["meta"], "chat_id").astype(str) + "/" + message,
            trace=missing(feedback),
            name=pd.Series("rating", index=feedback.index),
            value=get(feedback["data"], "rating"),
            kind=pd.Series(USER, index=feedback.index),
            rater=pick(feedback, "user_id"),
            timestamp=pick(feedback, "updated_at", "created_at"),
            comment=comment.where(comment.astype(bool), get(feedback["data"], "reason")),
            metadata=feedback["meta"],
        )
    messages: list[Message] = []
    if feedback is records:
        for snapshot, meta, user in zip(
            records["snapshot"], records["meta"], pick(records, "user_id"), strict=True
        ):
            messages += _messages(decode(snapshot) or {}, str(decode(meta).get("chat_id")), user)
    else:
        for chat in records.to_dict("records"):
            messages += _messages({"chat": chat}, str(chat.get("id")), chat.get("user_id"))
    table, left_out = find_chat_answers(messages, reading.on_error)
    if table.empty:
        raise FileFormatError("The Open WebUI chats hold no answer by an assistant.")
    table["id"] = table["conversation"] + "/" + table["id"]
    if feedback is records:
        table = table[table["id"].isin(raw["id"])]
    ratings = table.pop("rating")
    if feedback is None and ratings.notna().any():
        raw = pd.DataFrame({"id": table["id"], "value": ratings}, columns=SCORE_COLUMNS)
        raw = raw[ratings.notna()].assign(name="rating", kind=USER)
    table = table.drop_duplicates("id", keep="last", ignore_index=True)
    known = raw["id"].isin(table["id"])
    return Export(
        table,
        raw.loc[known, SCORE_COLUMNS],
        no_marks(),
        left_out,
        {"n_unmatched": int((~known).sum())},
    )


def _messages(holder: Mapping[str, Any], chat_id: str, user: Any) -> list[Message]:
    """Return the messages of a chat, however deep its history lies."""
    history: Any = holder
    while isinstance(history, Mapping) and "history" not in history:
        history = history.get("chat")
    if not isinstance(history, Mapping):
        raise FileFormatError(
            f"The Open WebUI chat {chat_id!r} has no message history: export the chats with it."
        )
    messages = (history["history"] or {}).get("messages") or {}
    if is_list(messages):
        messages = {message["id"]: message for message in messages}
    return [
        Message(
            str(key),
            message.get("parentId"),
            chat_id,
            message,
            {
                "user": user,
                "model": message.get("model"),
                "timestamp": message.get("timestamp"),
                "rating": (message.get("annotation") or {}).get("rating"),
            },
        )
        for key, message in messages.items()
        if isinstance(message, Mapping)
    ]


def detect(columns: set[str]) -> bool:
    """Return True for chats or feedback."""
    return {"snapshot", "meta"} <= columns or {"chat", "user_id"} <= columns


TOOL = Tool("open-webui", read, detect)
