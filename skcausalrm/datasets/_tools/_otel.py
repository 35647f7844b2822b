"""OpenTelemetry: spans with gen_ai attributes, their messages in events, and evaluations."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ...text._messages import content_text, is_list
from .._spans import (
    UNKNOWN,
    Export,
    Reading,
    Spans,
    find_answers,
    first_filled,
    make_scores,
    missing,
    no_scores,
    pick,
    seconds_between,
)
from .._texts import decode
from ._otlp import Event, MessageEvents, read_events, read_spans
from ._tool import Tool

_RESULT = "gen_ai.evaluation.result"


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read OTLP spans or the console exporter's, and events inside them or in OTLP logs."""
    spans = pd.DataFrame(read_spans(records))
    events = read_events(records) + ([] if scores is None else read_events(scores))
    messages = MessageEvents(events)
    ids = pick(spans, "id")
    attributes = pick(spans, "attributes")
    attributes = pd.Series(
        [{**messages.details(span), **own} for span, own in zip(ids, attributes, strict=True)],
        index=spans.index,
        dtype=object,
    )

    def attribute(*names: str) -> pd.Series:
        return first_filled(
            *(attributes.map(lambda own, name=name: own.get(name)) for name in names)
        )

    inputs = first_filled(
        attribute("gen_ai.input.messages"),
        attributes.map(lambda own: _numbered(own, "gen_ai.prompt")),
        ids.map(messages.inputs),
        attribute("input.value", "gen_ai.prompt"),
    )
    outputs = first_filled(
        attribute("gen_ai.output.messages"),
        attributes.map(lambda own: _numbered(own, "gen_ai.completion")),
        ids.map(messages.output),
        attribute("output.value", "gen_ai.completion"),
    )
    start, end = pick(spans, "start"), pick(spans, "end")
    properties = "traceloop.association.properties"
    table = Spans(
        ids=ids,
        parents=pick(spans, "parent"),
        traces=pick(spans, "trace"),
        inputs=_with_system(inputs, attribute("gen_ai.system_instructions")),
        outputs=outputs.map(decode, na_action="ignore"),
        columns={
            "user": attribute("user.id", "enduser.id", f"{properties}.user_id"),
            "conversation": attribute(
                "gen_ai.conversation.id", "session.id", f"{properties}.session_id"
            ),
            "model": attribute("gen_ai.response.model", "gen_ai.request.model"),
            "timestamp": start,
            "latency": seconds_between(start, end),
            "prompt_tokens": attribute("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
            "completion_tokens": attribute(
                "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"
            ),
        },
        tags=missing(spans),
        metadata=attributes,
    )
    results = [event for event in events if event.name == _RESULT]
    raw = _read_results(results, ids, attribute("gen_ai.response.id")) if results else no_scores()
    return find_answers(table, raw, reading)


def _read_results(results: list[Event], ids: pd.Series, responses: pd.Series) -> pd.DataFrame:
    """Return evaluations as scores of the span with the response's id, else of their own span."""
    table = pd.DataFrame({"span": [event.span for event in results]}, dtype=object)

    def field(name: str) -> pd.Series:
        return pd.Series([event.attributes.get(name) for event in results], dtype=object)

    by_response = pd.Series(ids.to_numpy(), index=responses.to_numpy())
    by_response = by_response[by_response.index.notna() & ~by_response.index.duplicated()]
    return make_scores(
        table,
        span=first_filled(field("gen_ai.response.id").map(by_response), table["span"]),
        trace=pd.Series([event.trace for event in results], dtype=object),
        name=field("gen_ai.evaluation.name"),
        value=first_filled(
            field("gen_ai.evaluation.score.value"), field("gen_ai.evaluation.score.label")
        ),
        # The convention does not record who evaluated, so the caller names the scores.
        kind=pd.Series(UNKNOWN, index=table.index),
        rater=missing(table),
        timestamp=pd.Series([event.time for event in results], dtype=object),
        comment=field("gen_ai.evaluation.explanation"),
        metadata=pd.Series([event.attributes for event in results], dtype=object),
    )


def _numbered(attributes: dict[str, Any], prefix: str) -> list[dict[str, Any]] | None:
    """Return the messages of OpenLLMetry's older attributes, such as gen_ai.prompt.0.content."""
    messages: list[dict[str, Any]] = []
    while f"{prefix}.{len(messages)}.role" in attributes or (
        f"{prefix}.{len(messages)}.content" in attributes
    ):
        place = f"{prefix}.{len(messages)}"
        content = attributes.get(f"{place}.content")
        parts = decode(content)
        is_parts = is_list(parts) and all(
            isinstance(part, dict) and "type" in part for part in parts
        )
        role = attributes.get(f"{place}.role") or "assistant"
        messages.append({"role": role, "content": parts if is_parts else content})
    if prefix.endswith("completion"):
        return messages[:1] or None  # further completions are alternatives
    return messages or None


def _with_system(inputs: pd.Series, system: pd.Series) -> pd.Series:
    def join(messages: Any, instructions: Any) -> Any:
        messages, instructions = decode(messages), decode(instructions)
        if not isinstance(instructions, str | list) or not is_list(messages):
            return messages
        return [{"role": "system", "content": content_text(instructions)}, *messages]

    return pd.Series(map(join, inputs, system), index=inputs.index, dtype=object)


def detect(columns: set[str]) -> bool:
    """Return True for OTLP spans or log records, or the console exporter's spans."""
    otlp = {"resourceSpans", "resourceLogs", "resource_spans", "resource_logs"}
    return bool(otlp & columns) or {"context", "kind", "parent_id", "attributes"} <= columns


TOOL = Tool(
    "otel",
    read,
    detect,
    scores_alone=lambda columns: (
        bool({"resourceLogs", "resource_logs"} & columns)
        and not {"resourceSpans", "resource_spans"} & columns
    ),
)
