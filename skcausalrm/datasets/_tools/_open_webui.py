"""Open WebUI: chats and feedback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ...exceptions import FileFormatError
from ...text._messages import is_list
from .._message_trees import Message, export_chats
from .._spans import (
    USER,
    Export,
    Reading,
    first_filled,
    get,
    make_scores,
    missing,
    no_scores,
    pick,
)
from .._texts import decode
from ._tool import Tool


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read chats with feedback, or feedback that contains the chats."""
    if "chat" not in records.columns and "snapshot" not in records.columns:
        raise FileFormatError(
            "This Open WebUI list of chats holds no messages: export the chats themselves "
            "(all chats by the administrator, or Export Chats in the settings)."
        )
    feedback = records if "snapshot" in records.columns else scores
    raw = no_scores() if feedback is None else _read_feedback(feedback)
    messages: list[Message] = []
    if feedback is records:
        for snapshot, meta, user in zip(
            records["snapshot"], records["meta"], pick(records, "user_id"), strict=True
        ):
            messages += _messages(decode(snapshot) or {}, str(decode(meta).get("chat_id")), user)
    else:
        rows: list[Any] = records.to_dict("records")
        for chat in rows:
            messages += _messages({"chat": chat}, str(chat.get("id")), chat.get("user_id"))
    export = export_chats(messages, raw, reading.on_error, "Open WebUI")
    ratings = export.answers.pop("rating") if "rating" in export.answers else None
    if feedback is records:
        export.answers = export.answers[export.answers["id"].isin(raw["id"])]
    elif feedback is None and ratings is not None:
        export.scores = _embedded_ratings(export.answers["id"], ratings)
    return export


def _read_feedback(feedback: pd.DataFrame) -> pd.DataFrame:
    if not {"data", "meta"} <= set(feedback.columns):
        raise FileFormatError(
            "The Open WebUI feedback has no columns 'data' and 'meta', in which the rated message "
            "is named, as its table has none: export the feedback as JSON."
        )
    rating = get(feedback["data"], "rating")
    comment, tags = get(feedback["data"], "comment"), get(feedback["data"], "tags")
    return make_scores(
        feedback,
        span=get(feedback["meta"], "chat_id").astype(str)
        + "/"
        + get(feedback["meta"], "message_id").astype(str),
        trace=missing(feedback),
        name=pd.Series("rating", index=feedback.index),
        value=rating.mask(rating.astype(str).isin(["0", "0.0"])),  # 0 is a draw in the arena
        kind=pd.Series(USER, index=feedback.index),
        rater=pick(feedback, "user_id"),
        timestamp=pick(feedback, "updated_at", "created_at"),
        comment=comment.where(comment.astype(bool), None),
        metadata=feedback["meta"],
    ).assign(tags=first_filled(tags.where(tags.astype(bool)), get(feedback["data"], "reason")))


def _embedded_ratings(ids: pd.Series, ratings: pd.Series) -> pd.DataFrame:
    """Return the ratings inside the chats as scores."""
    some = ratings.notna() & ~ratings.astype(str).isin(["0", "0.0"])
    table = pd.DataFrame({"id": ids[some]})
    empty = missing(table)
    return make_scores(
        table,
        span=table["id"],
        trace=empty,
        name=pd.Series("rating", index=table.index),
        value=ratings[some],
        kind=pd.Series(USER, index=table.index),
        rater=empty,
        timestamp=empty,
        comment=empty,
        metadata=empty,
    )


def _messages(holder: Mapping[str, Any], chat_id: str, user: Any) -> list[Message]:
    """Return the messages of a chat, however deep its history lies."""
    history: Any = holder
    while isinstance(history, Mapping) and "history" not in history:
        history = decode(history.get("chat"))
    if not isinstance(history, Mapping):
        raise FileFormatError(
            f"The Open WebUI chat {chat_id!r} has no message history: export the chats with it."
        )
    held = decode(history["history"])
    messages = decode(held.get("messages")) if isinstance(held, Mapping) else {}
    if is_list(messages):
        messages = {message["id"]: message for message in messages}
    return [
        Message(
            f"{chat_id}/{key}",
            None if message.get("parentId") is None else f"{chat_id}/{message['parentId']}",
            chat_id,
            {"role": message.get("role"), "content": message.get("content")},
            _columns(message, user),
        )
        for key, message in (messages or {}).items()
        if isinstance(message, Mapping)
    ]


def _columns(message: Mapping[str, Any], user: Any) -> dict[str, Any]:
    annotation, usage = message.get("annotation"), message.get("usage")
    annotation = annotation if isinstance(annotation, Mapping) else {}
    usage = usage if isinstance(usage, Mapping) else {}
    original = message.get("originalContent")
    return {
        "user": user,
        # In the arena `model` is the arena itself.
        "model": message.get("selectedModelId") or message.get("model"),
        "timestamp": message.get("timestamp"),
        "rating": annotation.get("rating"),
        "edited": None if original is None else original != message.get("content"),
        "prompt_tokens": usage.get("prompt_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
    }


def detect(columns: set[str]) -> bool:
    """Return True for chats, lists of chats, or feedback."""
    return (
        {"snapshot", "meta"} <= columns
        or {"chat", "user_id"} <= columns
        or {"data", "meta", "type", "user_id"} <= columns
        or {"chat_id", "model_id", "rating", "sibling_model_ids"} <= columns
        or {"title", "snippet", "last_read_at"} <= columns
    )


TOOL = Tool(
    "open-webui",
    read,
    detect,
    scores_alone=lambda columns: (
        bool({"data", "sibling_model_ids"} & columns) and not {"snapshot", "chat"} & columns
    ),
)
