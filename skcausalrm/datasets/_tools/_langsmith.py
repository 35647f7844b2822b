"""LangSmith: runs and feedback."""

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
    find_answers,
    get,
    make_scores,
    no_scores,
    pick,
    require,
)
from .._texts import decode
from ._tool import Tool


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read runs; feedback by run id."""
    ids = pick(records, "id")
    traces = pick(records, "trace_id")
    raw = no_scores()
    if scores is not None:
        require(scores, "LangSmith feedback", ("key",), ("run_id",))
        source = pick(scores, "feedback_source")
        origin = get(source, "type")
        # "app" is LangSmith's own interface, where the team annotates.
        kind = origin.map({"api": USER, "app": HUMAN}).fillna(MODEL).mask(origin.isna(), UNKNOWN)
        score = pick(scores, "score")
        raw = make_scores(
            scores,
            span=scores["run_id"],
            trace=pick(scores, "trace_id"),
            name=scores["key"],
            value=score.where(score.notna(), pick(scores, "value")),
            kind=kind,
            rater=get(source, "user_id"),
            timestamp=pick(scores, "modified_at", "created_at"),
            comment=pick(scores, "comment"),
            metadata=get(source, "metadata"),
        )
    metadata = get(pick(records, "extra"), "metadata")
    table = Spans(
        ids=ids,
        parents=pick(records, "parent_run_id"),
        traces=traces.where(traces.notna(), ids),
        inputs=pick(records, "inputs").map(decode, na_action="ignore"),
        outputs=pick(records, "outputs").map(decode, na_action="ignore"),
        columns={
            "user": get(metadata, "user_id"),
            "model": get(metadata, "ls_model_name"),
            "timestamp": pick(records, "start_time"),
        },
        tags=pick(records, "tags"),
        metadata=metadata,
    )
    return find_answers(table, raw, reading)


def detect(columns: set[str]) -> bool:
    """Return True for runs or feedback."""
    return {"run_id", "key"} <= columns or {"inputs", "outputs"} <= columns


TOOL = Tool(
    "langsmith",
    read,
    detect,
    scores_alone=lambda columns: "run_id" in columns and "inputs" not in columns,
)
