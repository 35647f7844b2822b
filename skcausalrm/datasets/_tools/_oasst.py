"""OpenAssistant: trees of messages, nested or flat, with people's labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from ...text._messages import as_plain, is_list
from .._message_trees import Message, export_chats
from .._spans import HUMAN, Export, Reading, make_scores, missing, no_scores
from .._texts import decode
from ._tool import Tool


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read trees, or messages with ``parent_id``; labels serve if they are named."""
    rows: list[Any] = records.to_dict("records")
    messages = [found for row in rows for found in _flatten(row)]
    labels = [
        {"span": str(message.get("message_id")), "name": name, "value": value}
        for message in messages
        for name, value in _labels(message.get("labels"))
    ]
    raw = no_scores()
    if labels:
        table = pd.DataFrame(labels)
        empty = missing(table)
        raw = make_scores(
            table,
            trace=empty,
            kind=pd.Series(HUMAN, index=table.index),
            rater=empty,
            timestamp=empty,
            comment=empty,
            metadata=empty,
            **{str(name): table[name] for name in table.columns},
        )
    return export_chats(map(_message, messages), raw, reading.on_error, "OpenAssistant")


def _flatten(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the messages of a tree, from the top; a flat message is yielded as it is."""
    if not isinstance(root := as_plain(decode(row.get("prompt"))), Mapping):
        yield dict(row)
        return
    waiting = [(dict(root), None)]
    while waiting:
        message, parent = waiting.pop()
        yield {"message_tree_id": row.get("message_tree_id"), "parent_id": parent, **message}
        replies: Any = message.get("replies")
        for reply in reversed(list(replies) if is_list(replies) else []):
            waiting.append((dict(reply), message.get("message_id")))


def _labels(labels: Any) -> Iterator[tuple[str, Any]]:
    labels = decode(labels)
    if not isinstance(labels, Mapping):
        return
    if is_list(labels.get("name")) and is_list(labels.get("value")):
        yield from zip(labels["name"], labels["value"], strict=False)
        return
    for name, value in labels.items():
        yield str(name), value.get("value") if isinstance(value, Mapping) else value


def _message(message: dict[str, Any]) -> Message:
    parent = message.get("parent_id")
    return Message(
        str(message.get("message_id")),
        parent if isinstance(parent, str) else None,
        str(message.get("message_tree_id")),
        {"role": message.get("role"), "content": message.get("text")},
        {
            "user": message.get("user_id"),
            "model": message.get("model_name"),
            "timestamp": message.get("created_date"),
        },
    )


def detect(columns: set[str]) -> bool:
    """Return True for trees or flat messages."""
    return "message_tree_id" in columns and bool({"prompt", "parent_id"} & columns)


TOOL = Tool("oasst", read, detect)
