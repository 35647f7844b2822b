"""OpenAssistant: trees of messages, nested or flat, with people's labels."""

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from ...text._messages import as_plain, is_list
from .._message_trees import Message, export_chats
from .._spans import HUMAN, Export, Reading, make_scores, missing, no_scores
from .._texts import decode
from ._tool import Tool


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read trees, or messages with ``parent_id``; people's judgements serve if they are named.

    These are each label, ``rank`` (the best of its siblings is good, the others are not) and
    ``reactions`` (thumbs up against thumbs down).
    """
    rows: list[Any] = records.to_dict("records")
    messages = [found for row in rows for found in _flatten(row)]
    labels = [
        {"span": str(message.get("message_id")), "name": name, "value": value}
        for message in messages
        for name, value in _judgements(message)
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
    export = export_chats(map(_message, messages), raw, reading.on_error, "OpenAssistant")
    # Siblings are answers by different people, not answers that somebody asked for again.
    export.answers = export.answers.drop(columns="regenerated", errors="ignore")
    return export


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
        for reply in reversed(list(map(as_plain, replies)) if is_list(replies) else []):
            if isinstance(reply, Mapping):
                waiting.append((dict(reply), message.get("message_id")))


def _judgements(message: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the names and the verdicts of the people who saw a message.

    A label or a reaction is the mean of several people: above one half is good.
    """
    for name, value in _named(message.get("labels"), "value"):
        share = float(value) if isinstance(value, Real) else np.nan
        if share < 0.5 or share > 0.5:  # neither a tie nor missing
            yield name, float(share > 0.5)
    rank = pd.to_numeric(pd.Series([message.get("rank")]), errors="coerce")[0]
    if not pd.isna(rank):
        yield "rank", float(rank == 0)
    thumbs = dict(_named(message.get("emojis"), "count"))
    more = (thumbs.get("+1") or 0) - (thumbs.get("-1") or 0)
    if more:
        yield "reactions", float(more > 0)


def _named(values: Any, field: str) -> Iterator[tuple[str, Any]]:
    """Yield names and values: of an object, or of lists as in the data set."""
    values = decode(values)
    if not isinstance(values, Mapping):
        return
    if is_list(values.get("name")) and is_list(values.get(field)):
        yield from zip(map(str, values["name"]), values[field], strict=False)
        return
    for name, value in values.items():
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


TOOL = Tool("oasst", read, detect, scores_inside=True)
