"""Opik: traces with the feedback scores inside them."""

from __future__ import annotations

import pandas as pd

from .._spans import (
    HUMAN,
    MODEL,
    UNKNOWN,
    USER,
    Export,
    Reading,
    Spans,
    embedded,
    find_answers,
    first_filled,
    get,
    make_scores,
    missing,
    no_scores,
    pick,
    seconds_between,
)
from .._texts import decode
from ._tool import Tool

# "ui" is Opik's own interface, where the team annotates.
_RATERS = {"sdk": USER, "ui": HUMAN, "online_scoring": MODEL}


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read traces or spans; scores by trace or span, or from the field `feedback_scores`."""
    ids = pick(records, "id")
    start, end = pick(records, "start_time"), pick(records, "end_time")
    usage = pick(records, "usage")
    table = Spans(
        ids=ids,
        parents=pick(records, "parent_span_id"),
        traces=first_filled(pick(records, "trace_id"), ids),
        inputs=pick(records, "input").map(decode, na_action="ignore"),
        outputs=pick(records, "output").map(decode, na_action="ignore"),
        columns={
            "user": get(pick(records, "metadata"), "user_id"),
            "conversation": pick(records, "thread_id"),
            "model": first_filled(
                pick(records, "model"),
                get(pick(records, "output"), "model"),
                get(pick(records, "metadata"), "model"),
            ),
            "timestamp": start,
            "latency": seconds_between(start, end),
            "prompt_tokens": get(usage, "prompt_tokens"),
            "completion_tokens": get(usage, "completion_tokens"),
        },
        tags=pick(records, "tags"),
        metadata=pick(records, "metadata"),
    )
    if scores is None:
        scores = embedded(records, "feedback_scores", id="id")
    raw = no_scores() if scores is None else _read_scores(scores)
    return find_answers(table, raw, reading)


def _read_scores(scores: pd.DataFrame) -> pd.DataFrame:
    source = pick(scores, "source").map(
        lambda value: str(getattr(value, "value", value)).rpartition(".")[2].lower()
    )
    number = pick(scores, "value")
    return make_scores(
        scores,
        span=first_filled(pick(scores, "id"), pick(scores, "span_id")),
        trace=first_filled(pick(scores, "trace_id"), missing(scores)),
        name=pick(scores, "name"),
        value=first_filled(number, pick(scores, "category_name")),
        kind=source.map(_RATERS).fillna(UNKNOWN),
        rater=pick(scores, "created_by"),
        timestamp=pick(scores, "last_updated_at", "created_at"),
        comment=pick(scores, "reason"),
        metadata=missing(scores),
    )


def detect(columns: set[str]) -> bool:
    """Return True for traces or spans with their scores."""
    return "feedback_scores" in columns and {"input", "output"} <= columns


TOOL = Tool("opik", read, detect)
