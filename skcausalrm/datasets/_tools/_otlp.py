"""OpenTelemetry's protocol in JSON: values, spans and events."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ...text._messages import is_list
from .._texts import decode

# Fields of OTLP's values, in lower case without underscores.
_TYPED = {
    *("stringvalue", "boolvalue", "intvalue", "doublevalue", "bytesvalue"),
    *("arrayvalue", "kvlistvalue"),
}
_TIMES = ("timeUnixNano", "observedTimeUnixNano", "timestamp", "observedTimestamp")
# Attributes of an event that hold all messages of a call.
_HOLDERS = (
    *("gen_ai.input.messages", "gen_ai.output.messages"),
    *("gen_ai.prompt", "gen_ai.completion"),
)
_MESSAGE = re.compile(r"gen_ai\.(system|user|assistant|tool)\.message")


def attributes_of(pairs: Any) -> dict[str, Any]:
    """Return attributes by name: from OTLP's pairs of key and value, or from an object.

    Examples
    --------
    >>> attributes_of([{"key": "n", "value": {"intValue": "3"}}])
    {'n': 3}
    """
    pairs = decode(pairs)
    if isinstance(pairs, Mapping):
        return {str(name): item for name, item in pairs.items()}
    if not is_list(pairs):
        return {}
    return {
        str(pair["key"]): value_of(pair.get("value"))
        for pair in pairs
        if isinstance(pair, Mapping) and "key" in pair
    }


def value_of(value: Any) -> Any:
    """Return the value that one of the typed fields of OTLP holds, or an untyped value itself."""
    if not isinstance(value, Mapping):
        return value
    fields = {
        str(name).replace("_", "").lower(): item for name, item in value.items() if item is not None
    }
    if not fields.keys() <= _TYPED:
        return value
    if isinstance(array := fields.get("arrayvalue"), Mapping):
        items: Any = array.get("values")
        return [value_of(item) for item in items] if is_list(items) else []
    if isinstance(pairs := fields.get("kvlistvalue"), Mapping):
        return attributes_of(pairs.get("values"))
    if "intvalue" in fields:
        try:
            return int(fields["intvalue"])  # 64-bit integers are texts in OTLP JSON
        except (TypeError, ValueError):
            return fields["intvalue"]
    return next(iter(fields.values()), None)


def read_spans(records: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the spans of OTLP or of the console exporter, in one form."""
    return [
        {
            "id": _id(_first(span, "spanId") or _inside(span, "context", "span_id")),
            "parent": _id(_first(span, "parentSpanId") or span.get("parent_id")),
            "trace": _id(_first(span, "traceId") or _inside(span, "context", "trace_id")),
            "start": _first(span, "startTimeUnixNano") or span.get("start_time"),
            "end": _first(span, "endTimeUnixNano") or span.get("end_time"),
            "attributes": attributes_of(span.get("attributes")),
        }
        for span in _raw_spans(records)
    ]


def _raw_spans(records: pd.DataFrame) -> list[Any]:
    spans: list[Any] = _items(records, ("resourceSpans", "scopeSpans", "spans"))
    if "context" in records.columns:  # the console exporter's
        spans += records[records["context"].notna()].to_dict("records")
    return spans


@dataclass(frozen=True)
class Event:
    """An event inside a span, or a log record."""

    name: Any
    span: str | None
    trace: str | None
    time: Any
    attributes: dict[str, Any]
    body: Any


def read_events(*tables: pd.DataFrame) -> list[Event]:
    """Return the events inside spans and the log records by time; each once, if sent twice."""
    events: dict[Any, Event] = {}
    for event in (event for table in tables for event in _events(table)):
        key = repr(event) if event.time else len(events)
        events.setdefault(key, event)
    return sorted(events.values(), key=lambda event: str(event.time or ""))


def _events(records: pd.DataFrame) -> Iterator[Event]:
    spans = _raw_spans(records)
    found = [(event, span) for span in spans for event in _listed(span.get("events"))]
    logs: list[Any] = _items(records, ("resourceLogs", "scopeLogs", "logRecords"))
    if "severity_number" in records.columns:  # the console exporter's
        is_span = records["context"].notna() if "context" in records.columns else False
        logs += records[~np.broadcast_to(is_span, len(records))].to_dict("records")
    for event, owner in [*found, *((log, log) for log in logs)]:
        attributes = attributes_of(event.get("attributes"))
        yield Event(
            name=_first(event, "eventName") or event.get("name") or attributes.get("event.name"),
            span=_id(_first(owner, "spanId") or _inside(owner, "context", "span_id")),
            trace=_id(_first(owner, "traceId") or _inside(owner, "context", "trace_id")),
            time=next(filter(None, (_first(event, name) for name in _TIMES)), None),
            attributes=attributes,
            body=decode(value_of(event.get("body"))),
        )


class MessageEvents:
    """Messages of model calls in events, by span."""

    def __init__(self, events: Iterable[Event]):
        self._inputs: dict[str | None, list[dict[str, Any]]] = {}
        self._outputs: dict[str | None, dict[int, Any]] = {}
        self._details: dict[str | None, dict[str, Any]] = {}
        for event in events:
            body = (
                event.body if isinstance(event.body, Mapping) and event.body else event.attributes
            )
            if found := _MESSAGE.fullmatch(str(event.name)):
                role = {"role": found[1]} if not body.get("role") else {}
                self._inputs.setdefault(event.span, []).append({**body, **role})
            elif event.name == "gen_ai.choice":
                message = decode(body.get("message", body))
                if isinstance(message, Mapping):
                    message = {"role": "assistant", **message}
                choices = self._outputs.setdefault(event.span, {})
                index = body.get("index")
                choices.setdefault(index if isinstance(index, int) else 0, message)
            elif any(name in (fields := {**event.attributes, **body}) for name in _HOLDERS):
                self._details.setdefault(event.span, {}).update(fields)

    def inputs(self, span: str) -> list[dict[str, Any]] | None:
        """Return the messages that the call of a span got."""
        return self._inputs.get(span)

    def output(self, span: str) -> Any:
        """Return the first answer of a span's call."""
        choices = self._outputs.get(span)
        return None if choices is None else choices[min(choices)]

    def details(self, span: str) -> dict[str, Any]:
        """Return the attributes with messages that an event of the span holds."""
        return self._details.get(span, {})


def _items(records: pd.DataFrame, levels: tuple[str, ...]) -> list[dict[str, Any]]:
    items: list[Any] = records.to_dict("records")
    if {"spanId", "startTimeUnixNano"} <= set(records.columns):
        return items if "spans" in levels else []
    if "scopeSpans" in records.columns:
        levels = levels[1:]
    for level in levels:
        items = [child for item in items for child in _listed(_first(item, level))]
    return items


def _listed(value: Any) -> list[dict[str, Any]]:
    value = decode(value)
    return [dict(item) for item in value if isinstance(item, Mapping)] if is_list(value) else []


def _first(item: Mapping[str, Any], name: str) -> Any:
    """Return a field in camel case or in snake case."""
    value = item.get(name)
    if value is None or value != value:
        value = item.get(re.sub("([A-Z])", lambda found: "_" + found[1].lower(), name))
    return None if isinstance(value, float) and value != value else value


def _inside(item: Mapping[str, Any], name: str, key: str) -> Any:
    inner = decode(item.get(name))
    return inner.get(key) if isinstance(inner, Mapping) else None


def _id(value: Any) -> str | None:
    """Return an id in lower-case hexadecimal digits; exporters write 0x and base64 too."""
    if not isinstance(value, str) or not value:
        return None
    if value.endswith("=") and len(value) in (12, 24):
        try:
            return base64.b64decode(value, validate=True).hex()
        except ValueError:
            return value
    value = value.removeprefix("0x").lower()
    return None if set(value) == {"0"} else value  # zeros stand for no span
