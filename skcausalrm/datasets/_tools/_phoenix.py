"""Arize Phoenix: spans and annotations."""

import re
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
    embedded,
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
from ._openinference import answers_among, below, by_mime_type, first_answer, messages_in
from ._otlp import attributes_of
from ._tool import Tool

# Columns that a flattened REST record has for parts of one attribute.
_PARTS = re.compile(r"attributes\.(llm\.(input|output)_messages\.\d|metadata\.)")


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read spans of the client, the REST API and its OTLP pages, and annotations.

    Annotations are of spans, traces or sessions.
    """
    records = index_to_column(records)
    nested = _attributes(records)

    def attribute(*path: str) -> pd.Series:
        return first_filled(pick(records, ".".join(("attributes", *path))), get(nested, *path))

    context = pick(records, "context")
    start = pick(records, "start_time", "start_time_unix_nano")
    end = pick(records, "end_time", "end_time_unix_nano")
    kinds = first_filled(pick(records, "span_kind"), attribute("openinference", "span", "kind"))

    def messages(side: str, role: str) -> pd.Series:
        name = f"{side}_messages"
        return first_filled(
            attribute("llm", name).map(lambda value: messages_in(value, role)),
            nested.map(lambda own: messages_in(below(own, f"llm.{name}"), role)),
        )

    def value(side: str) -> pd.Series:
        return by_mime_type(attribute(side, "value"), attribute(side, "mime_type"))

    inputs = first_filled(messages("input", "user"), value("input"))
    outputs = first_filled(messages("output", "assistant").map(first_answer), value("output"))
    if inputs.isna().all() and outputs.isna().all():
        raise FileFormatError(
            "The Phoenix spans hold no inputs and outputs, as those inside traces do not: export "
            "the spans themselves (client.spans.get_spans or get_spans_dataframe)."
        )
    ids = first_filled(pick(records, "context.span_id", "span_id"), get(context, "span_id"))
    traces = first_filled(pick(records, "context.trace_id", "trace_id"), get(context, "trace_id"))
    parents = pick(records, "parent_id", "parent_span_id")
    candidate, is_call = answers_among(kinds, ids, parents, inputs.notna() | outputs.notna())
    table = Spans(
        ids=ids,
        parents=parents,
        traces=traces,
        candidate=candidate,
        inputs=inputs,
        outputs=outputs,
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
        metadata=first_filled(
            attribute("metadata"), nested.map(lambda own: below(own, "metadata"))
        ),
        is_call=is_call,
    )
    if scores is None:
        scores = embedded(records.assign(of_span=ids), "annotations", span_id="of_span")
    return find_answers(table, no_scores() if scores is None else _read_scores(scores), reading)


def _attributes(records: pd.DataFrame) -> pd.Series:
    """Return each span's attributes, with the parts that are columns of their own."""
    nested = pick(records, "attributes").map(attributes_of)
    parts = [name for name in records.columns if _PARTS.match(str(name))]
    if not parts:
        return nested
    columns = records[parts].rename(columns=lambda name: name.removeprefix("attributes."))
    own = [
        {name: item for name, item in row.items() if item is not None and item == item}
        for row in columns.to_dict("records")
    ]
    pairs = zip(nested, own, strict=True)
    return pd.Series([{**one, **other} for one, other in pairs], index=records.index, dtype=object)


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
        conversation=pick(scores, "session_id"),
        name=pick(scores, "annotation_name", "name"),
        value=first_filled(of_result("score"), of_result("label")),
        kind=kind,
        # One account may write for many people through the API; the identifier differs.
        rater=pick(scores, "user_id").astype(str) + "/" + pick(scores, "identifier").astype(str),
        timestamp=pick(scores, "updated_at", "created_at"),
        comment=of_result("explanation"),
        metadata=pick(scores, "metadata"),
    )


def detect(columns: set[str]) -> bool:
    """Return True for spans, annotations, or traces with their spans."""
    is_span: Any = (
        "context.span_id" in columns
        or {"context", "span_kind"} <= columns
        or {"span_id", "start_time_unix_nano", "attributes"} <= columns
    )
    return "annotator_kind" in columns or is_span or {"spans", "project_id", "trace_id"} <= columns


TOOL = Tool("phoenix", read, detect, scores_alone=lambda columns: "annotator_kind" in columns)
