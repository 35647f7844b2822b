"""Langfuse: traces or observations, and scores."""

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
    make_scores,
    no_scores,
    pick,
    require,
)
from ._tool import Tool


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read traces, or observations with their trace's fields; scores by trace or observation."""
    is_observation = {"traceId", "trace_id"} & set(records.columns)
    ids = pick(records, "id")
    if scores is None:
        scores = embedded(records, "scores")
    raw = no_scores()
    if scores is not None:
        require(scores, "Langfuse scores", ("name",), ("traceId", "trace_id"))
        number = pick(scores, "value")
        text = pick(scores, "stringValue", "string_value")
        # The number of a categorical score is the position of its category.
        categorical = pick(scores, "dataType", "data_type") == "CATEGORICAL"
        raw = make_scores(
            scores,
            span=pick(scores, "observationId", "observation_id"),
            trace=pick(scores, "traceId", "trace_id"),
            name=scores["name"],
            value=text.where(text.notna() & (categorical | number.isna()), number),
            kind=pick(scores, "source")
            .map({"API": USER, "ANNOTATION": HUMAN, "EVAL": MODEL})
            .fillna(UNKNOWN),
            rater=pick(scores, "authorUserId", "author_user_id"),
            timestamp=pick(
                scores, "timestamp", "updatedAt", "updated_at", "createdAt", "created_at"
            ),
            comment=pick(scores, "comment"),
            metadata=pick(scores, "metadata"),
        )
    table = Spans(
        ids=ids,
        parents=pick(records, "parentObservationId", "parent_observation_id"),
        traces=pick(records, "traceId", "trace_id") if is_observation else ids,
        inputs=pick(records, "input"),
        outputs=pick(records, "output"),
        columns={
            "user": pick(records, "userId", "user_id"),
            "model": pick(records, "model", "providedModelName", "provided_model_name"),
            "timestamp": pick(records, "timestamp", "startTime", "start_time"),
        },
        tags=pick(records, "tags"),
        metadata=pick(records, "metadata"),
    )
    return find_answers(table, raw, reading)


def detect(columns: set[str]) -> bool:
    """Return True for observations or scores; traces look like a plain table."""
    parents = {"parentObservationId", "parent_observation_id"}
    is_score = {"name", "value"} <= columns
    return bool({"traceId", "trace_id"} & columns) and (is_score or bool(parents & columns))


TOOL = Tool(
    "langfuse",
    read,
    detect,
    scores_alone=lambda columns: "value" in columns and "input" not in columns,
)
