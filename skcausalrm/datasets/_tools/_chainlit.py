"""Chainlit: steps and feedbacks of its data layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ...text._messages import as_plain
from .._message_trees import Message, chained, export_chats
from .._spans import USER, Export, Reading, first_filled, get, make_scores, missing, pick
from .._texts import decode
from ._tool import Tool


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read steps or threads; feedback by the step's id, or inside the steps."""
    if "steps" in records.columns:
        records = _steps_of_threads(records)
    is_message = pick(records, "type").isin(["user_message", "assistant_message"])
    order = pick(records, "createdAt", "created_at", "start").astype(str)
    steps = records.assign(order=order)[is_message].sort_values("order", kind="stable")
    rows: list[Any] = steps.to_dict("records")
    raw = _embedded(records) if scores is None else _read_feedbacks(scores)
    # Feedback may be on the run above the message.
    above = dict(zip(pick(steps, "parentId").astype(str), pick(steps, "id"), strict=True))
    ids = set(steps["id"].astype(str))
    raw["id"] = [name if str(name) in ids else above.get(str(name), name) for name in raw["id"]]
    return export_chats(chained(list(map(_message, rows))), raw, reading.on_error, "Chainlit")


def _steps_of_threads(threads: pd.DataFrame) -> pd.DataFrame:
    users = pick(threads, "userIdentifier", "userId")
    return pd.DataFrame(
        [
            {"threadId": thread, "userIdentifier": user, **dict(step)}
            for thread, user, steps in zip(threads["id"], users, threads["steps"], strict=True)
            for step in map(as_plain, decode(steps) or ())
            if isinstance(step, Mapping)
        ]
    )


def _read_feedbacks(scores: pd.DataFrame) -> pd.DataFrame:
    return make_scores(
        scores,
        span=pick(scores, "forId", "for_id"),
        trace=missing(scores),
        name=first_filled(pick(scores, "name"), pd.Series("feedback", index=scores.index)),
        value=pick(scores, "value"),
        kind=pd.Series(USER, index=scores.index),
        rater=missing(scores),
        timestamp=missing(scores),
        comment=pick(scores, "comment"),
        metadata=missing(scores),
    )


def _embedded(records: pd.DataFrame) -> pd.DataFrame:
    """Return the feedback inside steps, as the data layer returns it or as a join gives it."""
    feedback = pick(records, "feedback")
    raw = make_scores(
        records,
        span=pick(records, "id"),
        trace=missing(records),
        name=pd.Series("feedback", index=records.index),
        value=first_filled(get(feedback, "value"), pick(records, "feedbackValue")),
        kind=pd.Series(USER, index=records.index),
        rater=missing(records),
        timestamp=missing(records),
        comment=first_filled(get(feedback, "comment"), pick(records, "feedbackComment")),
        metadata=missing(records),
    )
    return raw[raw["value"].notna()]


def _message(step: dict[str, Any]) -> Message:
    failed = str(step.get("isError")).lower() in ("true", "1", "1.0")
    return Message(
        str(step.get("id")),
        None,
        str(step.get("threadId")),
        {"role": step.get("type"), "content": "" if failed else step.get("output")},
        {
            "user": step.get("userIdentifier") or step.get("userId"),
            "timestamp": step.get("createdAt") or step.get("start"),
        },
    )


def detect(columns: set[str]) -> bool:
    """Return True for steps, threads or feedbacks."""
    return (
        {"threadId", "type", "output"} <= columns
        or {"forId", "value"} <= columns
        or {"id", "steps", "userIdentifier"} <= columns
    )


TOOL = Tool("chainlit", read, detect, scores_alone=lambda columns: "forId" in columns)
