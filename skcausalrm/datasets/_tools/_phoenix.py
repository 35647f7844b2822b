"""Arize Phoenix: spans and annotations."""

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
    index_to_column,
    make_scores,
    missing,
    no_scores,
    pick,
    require,
)
from .._texts import decode
from ._tool import Tool


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read spans; annotations by span id."""
    records = index_to_column(records)
    attributes = pick(records, "attributes")

    def attribute(*path: str) -> pd.Series:
        values = pick(records, ".".join(("attributes", *path)))
        return values if values.notna().any() else get(attributes, *path)

    context = pick(records, "context")
    spans = pick(records, "context.span_id", "span_id")
    traces = pick(records, "context.trace_id", "trace_id")
    raw = no_scores()
    if scores is not None:
        scores = index_to_column(scores)
        require(scores, "Phoenix annotations", ("span_id",), ("annotation_name", "name"))
        result = pick(scores, "result")

        def of_result(key: str) -> pd.Series:
            flat = pick(scores, f"result.{key}", key)
            return flat if flat.notna().any() else get(result, key)

        score = of_result("score")
        annotator = pick(scores, "annotator_kind")
        in_app = pick(scores, "source") == "APP"  # given in Phoenix's own interface
        human = annotator == "HUMAN"
        kind = pd.Series(MODEL, index=scores.index, dtype=object)
        kind = kind.mask(human, USER).mask(human & in_app, HUMAN).mask(annotator.isna(), UNKNOWN)
        raw = make_scores(
            scores,
            span=scores["span_id"],
            trace=missing(scores),
            name=pick(scores, "annotation_name", "name"),
            value=score.where(score.notna(), of_result("label")),
            kind=kind,
            # One account may write for many people through the API; the identifier differs.
            rater=pick(scores, "user_id").astype(str)
            + "/"
            + pick(scores, "identifier").astype(str),
            timestamp=pick(scores, "updated_at", "created_at"),
            comment=of_result("explanation"),
            metadata=pick(scores, "metadata"),
        )
    inputs = attribute("input", "value")
    table = Spans(
        ids=spans if spans.notna().any() else get(context, "span_id"),
        parents=pick(records, "parent_id"),
        traces=traces if traces.notna().any() else get(context, "trace_id"),
        candidate=inputs.notna().to_numpy(),
        inputs=_decoded(inputs, attribute("input", "mime_type")),
        outputs=_decoded(attribute("output", "value"), attribute("output", "mime_type")),
        columns={
            "user": attribute("user", "id"),
            "model": attribute("llm", "model_name"),
            "timestamp": pick(records, "start_time"),
        },
        tags=attribute("tag", "tags"),
        metadata=attribute("metadata"),
    )
    return find_answers(table, raw, reading)


def _decoded(values: pd.Series, mime_types: pd.Series) -> pd.Series:
    """Decode the values that their mime type calls JSON."""
    is_json = mime_types.astype(str).str.contains("json")
    return values.astype(object).mask(is_json, values.map(decode, na_action="ignore"))


def detect(columns: set[str]) -> bool:
    """Return True for spans or annotations."""
    return (
        "annotator_kind" in columns
        or "context.span_id" in columns
        or {"context", "span_kind"} <= columns
    )


TOOL = Tool("phoenix", read, detect, scores_alone=lambda columns: "annotator_kind" in columns)
