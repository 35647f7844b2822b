"""MLflow 3: traces with their assessments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from ...text._messages import as_plain, is_list
from .._spans import (
    MODEL,
    UNKNOWN,
    USER,
    Export,
    Reading,
    Spans,
    find_answers,
    make_scores,
    missing,
    no_scores,
    pick,
)
from .._texts import decode
from ._otlp import attributes_of
from ._tool import Tool

# MLflow does not tell the product's users from reviewers: both are HUMAN.
_RATERS = {"HUMAN": USER, "LLM_JUDGE": MODEL, "AI_JUDGE": MODEL, "CODE": MODEL}
_FRAME = {
    *("trace_id", "request", "response", "spans", "assessments", "trace_metadata", "tags"),
    *("request_time", "execution_duration", "state", "request_metadata", "timestamp_ms"),
}


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read `Trace` objects, their `to_dict`, or the table of `search_traces`."""
    rows: list[Any] = records.to_dict("records")
    traces = [_trace(record) for record in rows]
    spans = pd.DataFrame([row for trace in traces for row in _spans(*trace)])
    found = pd.DataFrame([row for trace in traces for row in _assessments(*trace)])
    table = Spans(
        ids=pick(spans, "id"),
        parents=pick(spans, "parent"),
        traces=pick(spans, "trace"),
        inputs=pick(spans, "inputs"),
        outputs=pick(spans, "outputs"),
        columns={
            name: pick(spans, name)
            for name in (
                *("user", "conversation", "model", "timestamp", "latency"),
                *("prompt_tokens", "completion_tokens"),
            )
        },
        tags=missing(spans),
        metadata=pick(spans, "metadata"),
        is_call=pick(spans, "type").isin(["CHAT_MODEL", "LLM"]).to_numpy(),
    )
    return find_answers(table, no_scores() if found.empty else _read_scores(found), reading)


def _trace(record: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Return the facts of a trace, named as in `TraceInfo`, and its spans."""
    whole = _object(record.get("trace")) or record
    info, data = _object(whole.get("info")), _object(whole.get("data"))
    if info:
        return info, _list(data.get("spans"))
    info = {name: record[name] for name in _FRAME & set(record)}
    info["execution_duration_ms"] = info.pop("execution_duration", None)
    return info, _list(record.get("spans"))


def _spans(info: dict[str, Any], spans: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield the spans of a trace; the root has the trace's id and facts."""
    trace = str(info.get("trace_id") or info.get("request_id"))
    metadata = {
        **_object(info.get("tags")),
        **_object(info.get("trace_metadata") or info.get("request_metadata")),
    }
    usage = _object(metadata.get("mlflow.trace.tokenUsage"))
    duration = pd.to_numeric(pd.Series([info.get("execution_duration_ms")]), errors="coerce")[0]
    facts = {
        "trace": trace,
        "user": metadata.get("mlflow.trace.user"),
        "conversation": metadata.get("mlflow.trace.session"),
        "timestamp": info.get("request_time") or info.get("timestamp_ms"),
        "latency": None if pd.isna(duration) else duration / 1000,
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "metadata": metadata,
    }
    for span in map(_object, spans):
        attributes = {
            name: _loaded(value) for name, value in attributes_of(span.get("attributes")).items()
        }
        root = not (span.get("parent_span_id") or span.get("parent_id"))
        root_facts = facts if root else {"trace": trace}
        yield {
            "id": trace if root else f"{trace}/{span.get('span_id')}",
            "parent": None if root else _parent(span, spans, trace),
            "inputs": attributes.get("mlflow.spanInputs", span.get("inputs")),
            "outputs": attributes.get("mlflow.spanOutputs", span.get("outputs")),
            "type": attributes.get("mlflow.spanType", span.get("span_type")),
            "model": attributes.get("mlflow.llm.model") or attributes.get("model"),
            **root_facts,
        }
    if not spans:
        inputs, outputs = info.get("request"), info.get("response")
        yield {
            "id": trace,
            "parent": None,
            "inputs": decode(metadata.get("mlflow.traceInputs") if inputs is None else inputs),
            "outputs": decode(metadata.get("mlflow.traceOutputs") if outputs is None else outputs),
            **facts,
        }


def _parent(span: dict[str, Any], spans: list[Any], trace: str) -> str:
    """Return the id of the span above, which for the root is that of the trace."""
    above = span.get("parent_span_id") or span.get("parent_id")
    for other in map(_object, spans):
        if other.get("span_id") == above:
            root = not (other.get("parent_span_id") or other.get("parent_id"))
            return trace if root else f"{trace}/{above}"
    return trace


def _assessments(info: dict[str, Any], spans: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield the feedback on a trace; expectations are no feedback."""
    trace = str(info.get("trace_id") or info.get("request_id"))
    roots = {
        other.get("span_id")
        for other in map(_object, spans)
        if not (other.get("parent_span_id") or other.get("parent_id"))
    }
    for item in map(_object, _list(info.get("assessments"))):
        feedback = item.get("feedback")
        if feedback is None or item.get("valid") is False:
            continue
        source = _object(item.get("source"))
        span = item.get("span_id")
        yield {
            "span": None if span is None else trace if span in roots else f"{trace}/{span}",
            "trace": trace,
            "name": item.get("assessment_name") or item.get("name"),
            "value": _object(feedback).get("value") if isinstance(feedback, Mapping) else feedback,
            "kind": _RATERS.get(str(source.get("source_type")).upper(), UNKNOWN),
            "rater": source.get("source_id"),
            "timestamp": item.get("last_update_time") or item.get("create_time"),
            "comment": item.get("rationale"),
            "metadata": item.get("metadata"),
        }


def _read_scores(found: pd.DataFrame) -> pd.DataFrame:
    found = found[found["value"].notna()]
    return make_scores(found, **{str(name): found[name] for name in found.columns})


def _object(value: Any) -> dict[str, Any]:
    value = as_plain(decode(value))
    return dict(value) if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    value = decode(value)
    return list(value) if is_list(value) else []


def _loaded(value: Any) -> Any:
    """Return an attribute's value, which MLflow writes as JSON."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def detect(columns: set[str]) -> bool:
    """Return True for traces by `to_dict`, or for the table of `search_traces`."""
    return {"info", "data"} <= columns or {"trace_id", "request", "response", "spans"} <= columns


TOOL = Tool("mlflow", read, detect)
