"""Langfuse: traces or observations, and scores."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from ...exceptions import FileFormatError
from ...text._messages import as_plain, is_list
from .._score_columns import column_scores, kind_by_name, single_values
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
    no_scores,
    pick,
    refuse_printed,
    require,
    seconds_between,
    with_nested,
)
from .._texts import decode
from ._tool import Tool

_RATERS = {"API": USER, "ANNOTATION": HUMAN, "EVAL": MODEL}
# Columns of a downloaded table that are no scores.
_LISTS = {
    *("tags", "traceTags", "comments", "scores", "observations", "toolCalls", "toolCallNames"),
    *("toolDefinitions", "modelParameters", "input", "output", "metadata"),
}


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read traces with their observations, or observations; scores by trace or observation."""
    records = _decoded(_unwrapped(records))
    raw = [] if scores is None else [_read_scores(scores)]
    if scores is None and (inside := embedded(records, "scores", traceId="id")) is not None:
        raw = [_read_scores(inside)]
    records = with_nested(records, "observations", traceId="id")
    ids = pick(records, "id")
    trace = pick(records, "traceId", "trace_id")
    traces = first_filled(trace, ids)
    if not raw:
        raw = [
            column_scores(records, name, ids=ids, traces=traces) for name in _score_columns(records)
        ]
    inputs, outputs = pick(records, "input"), pick(records, "output")
    if inputs.isna().all() and outputs.isna().all():
        raise FileFormatError(
            "The Langfuse records hold no inputs and outputs, as those of a downloaded session do "
            "not: export the table of traces, or observations with fields='core,basic,io,usage'."
        )
    start = pick(records, "startTime", "start_time")
    kinds = pick(records, "type").map(_source_name)
    usage = first_filled(pick(records, "usageDetails", "usage_details"), pick(records, "usage"))
    table = Spans(
        ids=ids,
        parents=first_filled(
            pick(records, "parentObservationId", "parent_observation_id"),
            trace.where(trace.astype(str) != ids.astype(str)),
        ),
        traces=traces,
        inputs=inputs,
        outputs=outputs,
        columns={
            "user": pick(records, "userId", "user_id"),
            "conversation": pick(records, "sessionId", "session_id"),
            "model": first_filled(
                pick(records, "model"), pick(records, "providedModelName", "provided_model_name")
            ),
            "timestamp": first_filled(pick(records, "timestamp"), start),
            "latency": first_filled(
                pick(records, "latency"),
                pd.to_numeric(pick(records, "latencyMs"), errors="coerce") / 1000,
                seconds_between(start, pick(records, "endTime", "end_time")),
            ),
            "prompt_tokens": first_filled(
                pick(records, "inputTokens", "promptTokens", "inputUsage", "input_usage"),
                get(usage, "input"),
            ),
            "completion_tokens": first_filled(
                pick(records, "outputTokens", "completionTokens", "outputUsage", "output_usage"),
                get(usage, "output"),
            ),
        },
        tags=first_filled(pick(records, "tags"), pick(records, "traceTags", "trace_tags")),
        metadata=pick(records, "metadata"),
        is_call=(kinds == "GENERATION").to_numpy() if (kinds == "GENERATION").any() else None,
    )
    all_scores = pd.concat(raw, ignore_index=True) if raw else no_scores()
    return find_answers(table, all_scores, reading)


def _unwrapped(records: pd.DataFrame) -> pd.DataFrame:
    """Return the traces of downloaded files, which keep the observations next to the trace."""
    if "trace" not in records.columns or "id" in records.columns:
        return records
    rows = records.drop(columns="trace").to_dict("records")
    traces = [as_plain(decode(trace)) for trace in records["trace"]]
    pairs = zip(traces, rows, strict=True)
    return pd.DataFrame([{**trace, **row} for trace, row in pairs if isinstance(trace, Mapping)])


def _decoded(records: pd.DataFrame) -> pd.DataFrame:
    """Return the records with objects for texts where the whole table holds them encoded.

    A downloaded trace holds JSON, and a table that Python wrote holds printed objects. Elsewhere a
    text that looks like one of them may be what a person or a model wrote.
    """
    sides = [side for side in ("input", "output") if side in records.columns]
    texts = [text for side in sides for text in records[side] if isinstance(text, str)]
    read: Callable[[str], Any] | None = None
    if any(text.startswith('"') for text in texts) and all(map(_is_json, texts)):
        read = json.loads
    elif any(
        isinstance(cell, str) and cell.startswith(("{'", "['", "[{'"))
        for name in ("metadata", "tags", "observations", "scores")
        for cell in pick(records, name)
    ):
        read = decode
    if read is None:
        return records
    decoded = {
        side: records[side].map(lambda value: read(value) if isinstance(value, str) else value)
        for side in sides
    }
    return records.assign(**decoded)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _read_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores of the API in versions 2 and 3, of the UI and of blob storage."""
    require(
        scores, "Langfuse scores", ("name",), ("traceId", "trace_id", "subject", "observationId")
    )
    number = pick(scores, "value")
    text = pick(scores, "stringValue", "string_value")
    # The number of a categorical score is the position of its category.
    data_type = pick(scores, "dataType", "data_type").map(_source_name)
    subject = pick(scores, "subject")
    refuse_printed(subject, "column 'subject' of the scores")
    subject_kind, subject_id = get(subject, "kind").map(_source_name), get(subject, "id")
    trace = first_filled(
        pick(scores, "traceId", "trace_id"),
        subject_id.where(subject_kind == "TRACE"),
        get(subject, "traceId"),
        get(subject, "trace_id"),
    )
    session = first_filled(
        pick(scores, "sessionId", "session_id"), subject_id.where(subject_kind == "SESSION")
    )
    kind = pick(scores, "source").map(_source_name).map(_RATERS).fillna(UNKNOWN)
    kind = kind.mask(pick(scores, "by_name").notna(), scores["name"].map(kind_by_name))
    return make_scores(
        scores,
        span=first_filled(
            pick(scores, "observationId", "observation_id"),
            subject_id.where(subject_kind == "OBSERVATION"),
        ),
        trace=trace,
        conversation=session.where(trace.isna()),
        name=scores["name"],
        value=text.where(text.notna() & ((data_type == "CATEGORICAL") | number.isna()), number),
        # A correction is the text that a person would have written, whoever sent it.
        kind=kind.mask(data_type == "CORRECTION", HUMAN),
        rater=first_filled(
            pick(scores, "authorUserId", "author_user_id"), pick(scores, "authorUserName")
        ),
        timestamp=first_filled(
            *(
                pick(scores, camel, snake)
                for camel, snake in (
                    ("timestamp", "timestamp"),
                    ("updatedAt", "updated_at"),
                    ("createdAt", "created_at"),
                )
            )
        ),
        comment=pick(scores, "comment"),
        metadata=pick(scores, "metadata"),
    )


def _source_name(source: Any) -> str:
    """Return a name in capitals, also of an SDK's enumeration."""
    return str(getattr(source, "value", source)).rpartition(".")[2].upper()


def _score_columns(records: pd.DataFrame) -> list[str]:
    """Return the columns that the UI makes of scores: lists, or values under a score's name."""
    lists = [
        name
        for name in records.columns
        if name not in _LISTS
        and (lists := records[name].dropna().map(decode)).size
        and lists.map(is_list).all()
        and any(len(items) for items in lists)
        and all(isinstance(item, str | int | float) for items in lists for item in items)
    ]
    return [*lists, *single_values(records, [*lists, *_LISTS])]


def detect(columns: set[str]) -> bool:
    """Return True for observations, scores, or a trace with what only Langfuse has."""
    traces, parents = {"traceId", "trace_id"}, {"parentObservationId", "parent_observation_id"}
    is_score = {"name", "value"} <= columns and bool((traces | {"subject"}) & columns)
    is_observation = bool(traces & columns) and bool(parents & columns)
    is_observation |= {"traceId", "startTime", "input", "output"} <= columns
    own = {"bookmarked", "observations", "htmlPath", "html_path"}
    is_trace = bool(own & columns) and {"id", "input", "output"} <= columns
    is_session = {"id", "environment", "timestamp", "scores"} <= columns
    return is_score or is_observation or is_trace or is_session or _is_download(columns)


def _is_download(columns: set[str]) -> bool:
    return {"trace", "observations"} <= columns


TOOL = Tool(
    "langfuse",
    read,
    detect,
    scores_alone=lambda columns: (
        "value" in columns and "input" not in columns and not _is_download(columns)
    ),
)
