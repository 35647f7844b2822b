"""Chainlit: steps and feedbacks of its data layers."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ...exceptions import FileFormatError
from ...text._messages import as_plain
from .._message_trees import Message, chained, export_chats
from .._spans import USER, Export, Reading, first_filled, get, make_scores, missing, pick
from .._texts import decode_list
from .._values import parse_times
from ._tool import Tool

_MESSAGES = ["user_message", "assistant_message"]
_USER = ("userIdentifier", "userId")
_TRUE = ("true", "t", "1", "1.0")
_STARTS = ("createdAt", "created_at", "start", "startTime")


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read steps, or threads with or next to them; feedback by the step's id, or inside steps."""
    if "steps" in records.columns:
        records = _steps_of_threads(records)
    if "output" not in records.columns:
        raise FileFormatError(
            "The Chainlit source holds no steps, and they have the texts: pass the table of steps "
            "too, or threads with their steps."
        )
    ids, parents = pick(records, "id").astype(str), pick(records, "parentId").astype(str)
    kinds = pick(records, "type")
    users = pick(records, *_USER)
    # The table of threads may be given next to that of steps.
    of_threads = dict(zip(ids[kinds.isna()], users[kinds.isna()], strict=True))
    records = records.assign(
        user=first_filled(users, pick(records, "threadId").astype(str).map(of_threads))
    )
    started = parse_times(pick(records, *_STARTS))[0]
    is_message = kinds.isin(_MESSAGES).to_numpy()
    steps = records[is_message].iloc[started[is_message].array.argsort(kind="stable")]
    rows: list[Any] = steps.to_dict("records")
    raw = _embedded(records) if scores is None else _read_feedbacks(scores)
    raw["id"] = raw["id"].astype(str).map(_answer_of(ids, parents, steps)).fillna(raw["id"])
    return export_chats(chained(list(map(_message, rows))), raw, reading.on_error, "Chainlit")


def _answer_of(ids: pd.Series, parents: pd.Series, steps: pd.DataFrame) -> dict[str, str]:
    """Return the message that feedback on a step is about: the last answer of a run, or its own."""
    above = dict(zip(ids, parents, strict=True))
    found: dict[str, str] = {}
    answers = pick(steps, "id")[steps["type"] == "assistant_message"].astype(str)
    for answer in answers:
        step: Any = above.get(answer)
        seen = {answer}
        while step in above and step not in seen:
            found[step] = answer
            seen.add(step)
            step = above[step]
    return {**found, **{answer: answer for answer in answers}}


def _steps_of_threads(threads: pd.DataFrame) -> pd.DataFrame:
    users = pick(threads, *_USER)
    return pd.DataFrame(
        [
            {"threadId": thread, "userIdentifier": user, **dict(step)}
            for thread, user, steps in zip(threads["id"], users, threads["steps"], strict=True)
            for step in map(as_plain, decode_list(steps))
            if isinstance(step, Mapping)
        ],
    )


def _read_feedbacks(scores: pd.DataFrame) -> pd.DataFrame:
    return make_scores(
        scores,
        span=pick(scores, "forId", "for_id", "stepId"),
        trace=missing(scores),
        name=first_filled(pick(scores, "name"), pd.Series("feedback", index=scores.index)),
        value=pick(scores, "value"),
        kind=pd.Series(USER, index=scores.index),
        rater=missing(scores),
        timestamp=pick(scores, "updatedAt", "createdAt"),
        comment=pick(scores, "comment"),
        metadata=missing(scores),
    )


def _embedded(records: pd.DataFrame) -> pd.DataFrame:
    """Return the feedback inside steps, as the data layer returns it or as a join gives it."""
    feedback = pick(records, "feedback")
    raw = make_scores(
        records,
        span=first_filled(get(feedback, "forId"), pick(records, "feedbackForId", "id")),
        trace=missing(records),
        name=pd.Series("feedback", index=records.index),
        value=first_filled(
            get(feedback, "value"), pick(records, "feedbackValue", "feedback_value")
        ),
        kind=pd.Series(USER, index=records.index),
        rater=missing(records),
        timestamp=missing(records),
        comment=first_filled(
            get(feedback, "comment"), pick(records, "feedbackComment", "feedback_comment")
        ),
        metadata=missing(records),
    )
    return raw[raw["value"].notna()]


def _message(step: dict[str, Any]) -> Message:
    failed = str(step.get("isError")).lower() in _TRUE
    return Message(
        str(step.get("id")),
        None,
        str(step.get("threadId")),
        {"role": step.get("type"), "content": "" if failed else step.get("output")},
        {
            "user": step.get("user"),
            "timestamp": next((step[name] for name in _STARTS if step.get(name)), None),
        },
    )


def detect(columns: set[str]) -> bool:
    """Return True for steps, threads or feedbacks."""
    return (
        {"threadId", "type", "output"} <= columns
        or {"forId", "value"} <= columns
        or {"id", "stepId", "value", "comment"} <= columns
        or {"id", "steps", "userIdentifier"} <= columns
        or {"id", "createdAt", "name", "userId", "userIdentifier"} <= columns
        or {"id", "createdAt", "deletedAt", "name", "userId"} <= columns
    )


TOOL = Tool(
    "chainlit",
    read,
    detect,
    scores_alone=lambda columns: bool({"forId", "stepId"} & columns) and "type" not in columns,
)
