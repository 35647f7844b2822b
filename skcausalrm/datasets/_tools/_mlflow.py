"""MLflow 3: traces with their assessments."""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from ...exceptions import FileFormatError
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
from .._texts import Refused, decode, decode_list
from ._otlp import attributes_of
from ._tool import Tool

# MLflow does not tell the product's users from reviewers: both are HUMAN.
_RATERS = {"HUMAN": USER, "LLM_JUDGE": MODEL, "AI_JUDGE": MODEL, "CODE": MODEL}
# Event of a span for each piece of a streamed output.
_CHUNK = "mlflow.chunk.item."
# Lengths at which MLflow cuts a text that it keeps outside the spans, and the end of such a text.
_CUT_LENGTHS, _CUT_END = (250, 1_000, 10_000), "..."


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read `Trace` objects, their `to_dict` or `to_json`, or the table of `search_traces`."""
    if "request_preview" in records.columns:
        raise FileFormatError(
            "These MLflow records are TraceInfo objects, whose texts are cut previews: export the "
            "traces themselves with mlflow.search_traces()."
        )
    rows: list[Any] = records.to_dict("records")
    traces = [_Trace(row, number) for number, row in enumerate(rows)]
    spans = pd.DataFrame([row for trace in traces for row in trace.spans()])
    found = pd.DataFrame([row for trace in traces for row in trace.feedback()])
    if not found.empty:
        found = found[found["value"].notna()]  # a judge that failed has no value
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
    raw = (
        no_scores()
        if found.empty
        else make_scores(found, **{str(name): found[name] for name in found.columns})
    )
    return find_answers(table, raw, reading)


class _Trace:
    """A trace by `to_dict`, or as a row of the table of `search_traces`.

    In the ids of answers the root has the trace's id, because feedback refers to either.
    """

    def __init__(self, record: Mapping[str, Any], row: int):
        whole = _object(record.get("trace")) or record
        info, data = _object(whole.get("info")), _object(whole.get("data"))
        self._record, self._info = record, info or dict(record)
        # MLflow 2 calls it the request's id.
        names = (self._info.get(name) for name in ("trace_id", "request_id"))
        self.id = str(next((name for name in names if isinstance(name, str)), f"row {row}"))
        spans = data.get("spans") if info else record.get("spans")
        self._spans = [span for span in map(_object, decode_list(spans)) if span]
        self._names = {
            _span_id(span): f"{self.id}/{_hexadecimal(_span_id(span))}" if _above(span) else self.id
            for span in self._spans
        }

    def spans(self) -> Iterator[dict[str, Any]]:
        """Yield the spans; the root has the trace's facts."""
        facts = self._facts()
        for span in self._spans:
            above = _above(span)
            attributes = {
                name: _loaded(value)
                for name, value in attributes_of(span.get("attributes")).items()
            }
            outputs: Any = attributes.get("mlflow.spanOutputs", span.get("outputs"))
            yield {
                "id": self._names[_span_id(span)],
                "parent": self._names.get(above, self.id) if above else None,
                "trace": self.id,
                "inputs": attributes.get("mlflow.spanInputs", span.get("inputs")),
                "outputs": "".join(outputs) if _is_streamed(span, outputs) else outputs,
                "type": attributes.get("mlflow.spanType", span.get("span_type")),
                "model": attributes.get("mlflow.llm.model") or attributes.get("model"),
                **({} if above else facts),
            }
        if not self._spans:
            yield {
                "id": self.id,
                "parent": None,
                "trace": self.id,
                "inputs": self._beside("request", "mlflow.traceInputs"),
                "outputs": self._beside("response", "mlflow.traceOutputs"),
                **facts,
            }

    def _beside(self, column: str, key: str) -> Any:
        """Return a text that is kept outside the spans, unless MLflow cut it."""
        value = self._record.get(column)
        if value is None or isinstance(value, float):
            value = _loaded(_object(self._info.get("trace_metadata")).get(key))
        if isinstance(value, str) and value.startswith('"'):
            value = _loaded(value)
        is_cut = isinstance(value, str) and value.endswith(_CUT_END) and len(value) in _CUT_LENGTHS
        return Refused("shortened text") if is_cut else value

    def _facts(self) -> dict[str, Any]:
        info = self._info
        metadata = {
            name: item
            for key in ("tags", "request_metadata", "trace_metadata")
            for name, item in _object(info.get(key)).items()
        }
        usage = _object(metadata.get("mlflow.trace.tokenUsage"))
        names = ("execution_duration_ms", "execution_duration", "execution_time_ms")
        duration = next((info[name] for name in names if info.get(name) is not None), None)
        unit = 1 if str(duration).endswith("s") else 1000  # "1.5s"
        number = pd.Series([str(duration).removesuffix("s")])
        seconds = pd.to_numeric(number, errors="coerce")[0] / unit
        return {
            "user": metadata.get("mlflow.trace.user"),
            "conversation": metadata.get("mlflow.trace.session"),
            "timestamp": info.get("request_time", info.get("timestamp_ms")),
            "latency": None if pd.isna(seconds) else seconds,
            "prompt_tokens": usage.get("input_tokens"),
            "completion_tokens": usage.get("output_tokens"),
            "metadata": metadata,
        }

    def feedback(self) -> Iterator[dict[str, Any]]:
        """Yield the feedback that no later one overrides; expectations are none."""
        names = {_hexadecimal(span): name for span, name in self._names.items()}
        for item in map(_object, decode_list(self._info.get("assessments"))):
            feedback = item.get("feedback")
            if feedback is None or item.get("valid") is False:
                continue
            source = _object(item.get("source"))
            yield {
                "span": names.get(item.get("span_id")),
                "trace": self.id,
                "name": item.get("assessment_name"),
                "value": _object(feedback).get("value"),
                "kind": _RATERS.get(str(source.get("source_type")).upper(), UNKNOWN),
                "rater": source.get("source_id"),
                "timestamp": item.get("last_update_time") or item.get("create_time"),
                "comment": item.get("rationale"),
                "metadata": item.get("metadata"),
            }


def _span_id(span: Mapping[str, Any]) -> Any:
    found = span.get("span_id")
    return _object(span.get("context")).get("span_id") if found is None else found


def _above(span: Mapping[str, Any]) -> Any:
    """Return the id of the span above, None for the root."""
    above = span.get("parent_span_id") or span.get("parent_id")
    return above if isinstance(above, str) else None


def _hexadecimal(span: Any) -> Any:
    """Return a span's id in the form of assessments; `Span.to_dict` writes it in base64."""
    try:
        return base64.b64decode(span, validate=True).hex() if len(span) == 12 else span
    except (TypeError, ValueError, binascii.Error):
        return span


def _is_streamed(span: Mapping[str, Any], outputs: Any) -> bool:
    """Return True if a generator yielded the texts of the output."""
    events = [event for event in map(_object, decode_list(span.get("events"))) if event]
    return (
        is_list(outputs)
        and all(isinstance(text, str) for text in outputs)
        and any(str(event.get("name")).startswith(_CHUNK) for event in events)
    )


def _object(value: Any) -> dict[str, Any]:
    value = as_plain(decode(value))
    return dict(value) if isinstance(value, Mapping) else {}


def _loaded(value: Any) -> Any:
    """Return an attribute's value, which MLflow writes as JSON."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def detect(columns: set[str]) -> bool:
    """Return True for traces by `to_dict`, for the table of `search_traces`, or for previews."""
    return (
        {"info", "data"} <= columns
        or {"trace_id", "trace"} <= columns
        or {"trace_id", "request", "response", "assessments"} <= columns
        or {"trace_id", "request_preview", "response_preview"} <= columns
    )


TOOL = Tool("mlflow", read, detect, scores_inside=True)
