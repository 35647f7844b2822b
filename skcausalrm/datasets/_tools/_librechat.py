"""LibreChat: the messages of its database or of an exported conversation, with feedback inside."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ...text._messages import content_text, is_list
from .._message_trees import Message, export_chats
from .._spans import USER, Export, Reading, first_filled, get, make_scores, missing, pick
from .._texts import decode
from .._values import parse_times
from ._tool import Tool

_DATABASE_TYPES = ("$date", "$numberLong", "$numberInt", "$oid")
_HOLDERS = ("messages", "messagesTree")


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read messages as `mongoexport` writes them, or conversations with their messages."""
    if set(_HOLDERS) & set(records.columns):
        records = pd.DataFrame(
            [message for row in records.to_dict("records") for message in _listed(row)],
            dtype=object,
        )
    created = pick(records, "createdAt").map(_plain)
    records = records.assign(createdAt=created).iloc[parse_times(created)[0].argsort(kind="stable")]
    names = pick(records, "conversationId")
    if names.isna().any():
        records = records.assign(conversationId=first_filled(names, _roots(records)))
    feedback = pick(records, "feedback")
    alone = feedback.map(lambda value: value if np.isscalar(value) else None).map(decode)
    raw = make_scores(
        records,
        span=pick(records, "messageId"),
        trace=missing(records),
        name=pd.Series("feedback", index=records.index),
        value=first_filled(
            get(feedback, "rating"),
            pick(records, "feedback.rating"),
            alone.where(alone.map(np.isscalar), None),
        ),
        kind=pd.Series(USER, index=records.index),
        rater=pick(records, "user"),
        timestamp=missing(records),
        comment=first_filled(get(feedback, "text"), pick(records, "feedback.text")),
        metadata=missing(records),
    )
    tags = first_filled(get(feedback, "tag"), pick(records, "feedback.tag"))
    raw = raw.assign(tags=tags.map(_key))[raw["value"].notna()]
    rows: list[Any] = records.to_dict("records")
    return export_chats(map(_message, rows), raw, reading.on_error, "LibreChat")


def _listed(row: Mapping[Any, Any]) -> Iterator[dict[str, Any]]:
    """Yield the messages of an exported conversation, which may hold each other."""
    held: Any = next((decode(row[name]) for name in _HOLDERS if is_list(decode(row.get(name)))), [])
    waiting: list[tuple[Any, Any]] = [(message, None) for message in reversed(held)]
    while waiting:
        message, parent = waiting.pop()
        if not isinstance(message, Mapping):
            continue
        yield {
            "conversationId": row.get("conversationId"),
            "parentMessageId": parent,
            **{name: value for name, value in message.items() if name != "children"},
        }
        children: Any = message.get("children")
        for child in reversed(children) if is_list(children) else ():
            waiting.append((child, message.get("messageId")))


def _roots(records: pd.DataFrame) -> pd.Series:
    """Return the id of the first message of each message's conversation."""
    ids = pick(records, "messageId")
    above = dict(zip(ids, pick(records, "parentMessageId"), strict=True))

    def root(name: Any) -> Any:
        seen = {name}
        while above[name] in above and above[name] not in seen:
            name = above[name]
            seen.add(name)
        return name

    return ids.map(root)


def _is_true(value: Any) -> bool:
    return str(value).lower() in ("true", "1", "1.0")


def _plain(value: Any) -> Any:
    """Return the value inside the typed fields of the database's extended JSON."""
    while isinstance(value := decode(value), Mapping):
        name = next((name for name in _DATABASE_TYPES if name in value), None)
        if name is None:
            return None
        value = value[name]
    return value


def _key(tag: Any) -> Any:
    return tag.get("key", tag) if isinstance(tag := decode(tag), Mapping) else tag


def _message(row: dict[str, Any]) -> Message:
    by_user = _is_true(row.get("isCreatedByUser"))
    text = row.get("text")
    if not isinstance(text, str) or not text.strip():
        text = content_text(decode(row.get("content")))  # parts, in newer versions
    failed = _is_true(row.get("error"))
    return Message(
        str(row.get("messageId")),
        row.get("parentMessageId"),
        str(row.get("conversationId")),
        {"role": "user" if by_user else "assistant", "content": "" if failed else text},
        {
            "user": row.get("user"),
            "model": row.get("model"),
            "timestamp": row.get("createdAt"),
            "completion_tokens": _plain(row.get("tokenCount")),
        },
    )


def detect(columns: set[str]) -> bool:
    """Return True for messages or exported conversations."""
    return (
        {"messageId", "parentMessageId", "isCreatedByUser"} <= columns
        or {"conversationId", "messages", "exportAt"} <= columns
        or {"conversationId", "messagesTree"} <= columns
    )


TOOL = Tool("librechat", read, detect, scores_inside=True)
