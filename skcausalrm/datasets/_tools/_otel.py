"""OpenTelemetry: OTLP spans with gen_ai attributes, and evaluation events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ...text._messages import content_text, is_list
from .._spans import (
    UNKNOWN,
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
from ._tool import Tool


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read OTLP spans with gen_ai attributes, and gen_ai.evaluation.result events."""
    spans = pd.DataFrame(_otlp_items(records, "resourceSpans", "scopeSpans", "spans"))
    events = [
        {**event, "spanId": span, "traceId": trace}
        for span, trace, items in zip(
            pick(spans, "spanId"), pick(spans, "traceId"), pick(spans, "events"), strict=True
        )
        if is_list(items)
        for event in items
    ]
    for logs in (records, scores):
        if logs is not None:
            events += _otlp_items(logs, "resourceLogs", "scopeLogs", "logRecords")
    attributes = pick(spans, "attributes").map(_otlp_attributes)

    def attribute(name: str) -> pd.Series:
        return attributes.map(lambda values: values.get(name))

    raw = no_scores()
    results = [event for event in events if _event_name(event) == "gen_ai.evaluation.result"]
    if results:
        table = pd.DataFrame(results)
        fields = pick(table, "attributes").map(_otlp_attributes)

        def result(name: str) -> pd.Series:
            return fields.map(lambda values: values.get(name))

        responses = attribute("gen_ai.response.id")
        by_response = pd.Series(
            pick(spans, "spanId").to_numpy(), index=responses.astype(object).to_numpy()
        )
        by_response = by_response[by_response.index.notna()]
        by_response = by_response[~by_response.index.duplicated()]
        of_response = result("gen_ai.response.id").map(by_response)
        value = result("gen_ai.evaluation.score.value")
        raw = make_scores(
            table,
            span=of_response.where(of_response.notna(), pick(table, "spanId")),
            trace=missing(table),
            name=result("gen_ai.evaluation.name"),
            value=value.where(value.notna(), result("gen_ai.evaluation.score.label")),
            # The convention does not record who evaluated, so the caller names the scores.
            kind=pd.Series(UNKNOWN, index=table.index),
            rater=missing(table),
            timestamp=pick(table, "timeUnixNano", "observedTimeUnixNano"),
            comment=result("gen_ai.evaluation.explanation"),
            metadata=fields,
        )
    inputs = _with_system(
        attribute("gen_ai.input.messages"), attribute("gen_ai.system_instructions")
    )
    outputs = attribute("gen_ai.output.messages")
    response_model = attribute("gen_ai.response.model")
    user = attribute("user.id")
    tree = Spans(
        ids=pick(spans, "spanId"),
        parents=pick(spans, "parentSpanId"),
        traces=pick(spans, "traceId"),
        candidate=(inputs.notna() | outputs.notna()).to_numpy(),
        inputs=inputs,
        outputs=outputs,
        columns={
            "user": user.where(user.notna(), attribute("enduser.id")),
            "model": response_model.where(
                response_model.notna(), attribute("gen_ai.request.model")
            ),
            "timestamp": pick(spans, "startTimeUnixNano"),
        },
        tags=missing(spans),
        metadata=attributes,
    )
    return find_answers(tree, raw, reading)


def _with_system(inputs: pd.Series, system: pd.Series) -> pd.Series:
    def join(messages: Any, instructions: Any) -> Any:
        messages, instructions = decode(messages), decode(instructions)
        if not isinstance(instructions, str | list) or not is_list(messages):
            return messages
        return [{"role": "system", "content": content_text(instructions)}, *messages]

    return pd.Series(map(join, inputs, system), index=inputs.index, dtype=object)


def _otlp_items(records: pd.DataFrame, *levels: str) -> list[dict[str, Any]]:
    items: list[Any] = records.to_dict("records")
    for level in levels:
        lists = [item.get(level) for item in items]
        items = [child for children in lists if is_list(children) for child in children]
    return items


def _otlp_attributes(pairs: Any) -> dict[str, Any]:
    if not is_list(pairs):
        return {}
    return {pair["key"]: _otlp_value(pair.get("value")) for pair in pairs}


def _otlp_value(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return None
    if "arrayValue" in value:
        return [_otlp_value(item) for item in value["arrayValue"].get("values", [])]
    if "kvlistValue" in value:
        return _otlp_attributes(value["kvlistValue"].get("values", []))
    if "intValue" in value:
        return int(value["intValue"])  # 64-bit integers are texts in OTLP JSON
    return next(iter(value.values()), None)


def _event_name(event: Mapping[str, Any]) -> Any:
    name = event.get("eventName") or event.get("name")
    return name if isinstance(name, str) else _otlp_attributes(event.get("attributes")).get(
        "event.name"
    )  # fmt: skip


def detect(columns: set[str]) -> bool:
    """Return True for OTLP spans or log records."""
    return bool({"resourceSpans", "resourceLogs"} & columns)


TOOL = Tool("otel", read, detect, scores_alone=lambda columns: "resourceSpans" not in columns)
