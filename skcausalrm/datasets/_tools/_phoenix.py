"""Arize Phoenix: spans and annotations."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ...exceptions import FileFormatError
from .._spans import (
    HUMAN,
    MODEL,
    UNKNOWN,
    USER,
    Export,
    Reading,
    Spans,
    find_answers,
    first_filled,
    get,
    index_to_column,
    make_scores,
    no_scores,
    pick,
    require,
    seconds_between,
)
from .._texts import decode
from ._otlp import attributes_of
from ._tool import Tool


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read spans of the client, the REST API and its OTLP pages; annotations by span or trace."""
    records = index_to_column(records)
    nested = pick(records, "attributes").map(attributes_of)

    def attribute(*path: str) -> pd.Series:
        return first_filled(pick(records, ".".join(("attributes", *path))), get(nested, *path))

    context = pick(records, "context")
    start = pick(records, "start_time", "start_time_unix_nano")
    end = pick(records, "end_time", "end_time_unix_nano")
    inputs, outputs = attribute("input", "value"), attribute("output", "value")
    if inputs.isna().all() and outputs.isna().all():
        raise FileFormatError(
            "The Phoenix spans hold no inputs and outputs, as those inside traces do not: export "
            "the spans themselves (client.spans.get_spans or get_spans_dataframe)."
        )
    ids = first_filled(pick(records, "context.span_id", "span_id"), get(context, "span_id"))
    traces = first_filled(pick(records, "context.trace_id", "trace_id"), get(context, "trace_id"))
    table = Spans(
        ids=ids,
        parents=pick(records, "parent_id", "parent_span_id"),
        traces=traces,
        candidate=inputs.notna().to_numpy(),
        inputs=_decoded(inputs, attribute("input", "mime_type")),
        outputs=_decoded(outputs, attribute("output", "mime_type")),
        columns={
            "user": attribute("user", "id"),
            "conversation": attribute("session", "id"),
            "model": attribute("llm", "model_name"),
            "timestamp": start,
            "latency": seconds_between(start, end),
            "prompt_tokens": attribute("llm", "token_count", "prompt"),
            "completion_tokens": attribute("llm", "token_count", "completion"),
        },
        tags=attribute("tag", "tags"),
        metadata=attribute("metadata"),
        is_call=(
            first_filled(pick(records, "span_kind"), attribute("openinference", "span", "kind"))
            .astype(str)
            .str.endswith("LLM")
            .to_numpy()
        ),
    )
    return find_answers(table, no_scores() if scores is None else _read_scores(scores), reading)


def _read_scores(scores: pd.DataFrame) -> pd.DataFrame:
    scores = index_to_column(scores)
    where = ("span_id", "trace_id", "session_id")
    if not set(where) & set(scores.columns):
        raise FileFormatError(
            "The Phoenix annotations have no column 'span_id', which the client keeps in the "
            "index: save them with the index, or after reset_index()."
        )
    require(scores, "Phoenix annotations", ("annotation_name", "name"))
    # Phoenix keeps the notes of its interface as annotations of this name.
    scores = scores[pick(scores, "annotation_name", "name").astype(str) != "note"]
    result = pick(scores, "result")

    def of_result(key: str) -> pd.Series:
        return first_filled(pick(scores, f"result.{key}", key), get(result, key))

    annotator = pick(scores, "annotator_kind").astype(object)
    in_app = pick(scores, "source").astype(str) == "APP"  # given in Phoenix's own interface
    human = annotator == "HUMAN"
    kind = pd.Series(MODEL, index=scores.index, dtype=object)
    kind = kind.mask(human, USER).mask(human & in_app, HUMAN).mask(annotator.isna(), UNKNOWN)
    return make_scores(
        scores,
        span=pick(scores, "span_id"),
        trace=pick(scores, "trace_id"),
        name=pick(scores, "annotation_name", "name"),
        value=first_filled(of_result("score"), of_result("label")),
        kind=kind,
        # One account may write for many people through the API; the identifier differs.
        rater=pick(scores, "user_id").astype(str) + "/" + pick(scores, "identifier").astype(str),
        timestamp=pick(scores, "updated_at", "created_at"),
        comment=of_result("explanation"),
        metadata=pick(scores, "metadata"),
    )


def _decoded(values: pd.Series, mime_types: pd.Series) -> pd.Series:
    """Decode the values that their mime type calls JSON."""
    is_json = mime_types.astype(str).str.contains("json")
    return values.astype(object).mask(is_json, values.map(decode, na_action="ignore"))


def detect(columns: set[str]) -> bool:
    """Return True for spans, annotations, or traces with their spans."""
    is_span: Any = (
        "context.span_id" in columns
        or {"context", "span_kind"} <= columns
        or {"span_id", "start_time_unix_nano", "attributes"} <= columns
    )
    return "annotator_kind" in columns or is_span or {"spans", "project_id", "trace_id"} <= columns


TOOL = Tool("phoenix", read, detect, scores_alone=lambda columns: "annotator_kind" in columns)
