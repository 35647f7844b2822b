"""OpenTelemetry: spans with gen_ai attributes, their messages in events, and evaluations."""

import re
from typing import Any

import pandas as pd

from ...exceptions import FileFormatError
from ...text._messages import content_text, is_list
from .._span_trees import as_keys
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
from ._openinference import (
    answers_among,
    below,
    by_mime_type,
    first_answer,
    from_json,
    messages_in,
    unless_cut,
)
from ._otlp import Event, MessageEvents, read_events, read_spans
from ._tool import Tool

_EVALUATION = "gen_ai.evaluation."  # followed by "result", in older events by the score's name
# Columns by which records are recognised.
_OF_SPANS = (
    *({"resourceSpans"}, {"resource_spans"}, {"scopeSpans"}, {"spanId", "startTimeUnixNano"}),
    {"context", "kind", "parent_id", "attributes"},
)
_OF_LOGS = (
    *({"resourceLogs"}, {"resource_logs"}),
    {"body", "severity_number", "trace_id", "span_id", "attributes"},
)
# Names under which OpenLLMetry's users record a conversation.
_CONVERSATIONS = ("session", "conversation", "thread", "chat")
_PARTS = ("text", "image_url", "image", "input_text", "input_image", "input_audio", "file")
# OpenLLMetry's older attributes, such as gen_ai.prompt.0.content.
_NUMBERED = re.compile(r"(?:gen_ai|llm)\.(prompt|completion)s?\.(\d+)\.(\w+).*")


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read OTLP spans or the console exporter's, and events inside them or in OTLP logs."""
    spans = pd.DataFrame(read_spans(records))
    events = read_events(records, *([] if scores is None else [scores]))
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

    numbered = attributes.map(_numbered)

    def texts(side: str, key: str, role: str) -> list[pd.Series]:
        """Return the messages of OpenLLMetry's numbered attributes, of events, of OpenInference."""
        found = attributes.map(lambda own: messages_in(below(own, f"llm.{side}_messages"), role))
        return [
            numbered.map(lambda messages: messages.get(key)),
            ids.map(messages.inputs if side == "input" else messages.output),
            found if side == "input" else found.map(first_answer),
            by_mime_type(attribute(f"{side}.value"), attribute(f"{side}.mime_type")),
            attribute(f"gen_ai.{key}"),
            attribute(f"traceloop.entity.{side}").map(from_json, na_action="ignore"),
        ]

    def recorded(side: str) -> pd.Series:
        return attribute(f"gen_ai.{side}.messages").map(decode, na_action="ignore").map(unless_cut)

    inputs = first_filled(
        recorded("input"),
        *texts("input", "prompt", "user"),
    )
    outputs = first_filled(
        recorded("output").map(first_answer),
        *texts("output", "completion", "assistant"),
    )
    kinds = first_filled(
        attribute("openinference.span.kind", "gen_ai.operation.name"),
        attribute("llm.request.type", "traceloop.span.kind"),
    )
    has_text = inputs.notna() | outputs.notna()
    parents = pick(spans, "parent")
    candidate, is_call = answers_among(kinds, ids, parents, has_text)
    if len(spans) and not (has_text & candidate).any():
        raise FileFormatError(
            f"None of the {len(spans)} OpenTelemetry spans has messages: pass the logs too if "
            "they are recorded as log events, or record them "
            "(OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT)."
        )
    start, end = pick(spans, "start"), pick(spans, "end")
    properties = "traceloop.association.properties"
    table = Spans(
        ids=ids,
        parents=parents,
        traces=pick(spans, "trace"),
        inputs=_with_system(inputs, attribute("gen_ai.system_instructions")),
        outputs=outputs,
        columns={
            "user": attribute(
                *("user.id", "enduser.id", "enduser.pseudo.id", f"{properties}.user_id")
            ),
            "conversation": attribute(
                *("gen_ai.conversation.id", "session.id"),
                *(f"{properties}.{name}_id" for name in _CONVERSATIONS),
            ),
            "model": attribute(
                *("gen_ai.response.model", "gen_ai.request.model", "llm.model_name"),
                *("llm.response.model", "llm.request.model"),
            ),
            "timestamp": start,
            "latency": seconds_between(start, end),
            "prompt_tokens": attribute(
                *("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
                *("llm.usage.prompt_tokens", "llm.token_count.prompt"),
            ),
            "completion_tokens": attribute(
                *("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
                *("llm.usage.completion_tokens", "llm.token_count.completion"),
            ),
        },
        tags=attribute("tag.tags"),
        metadata=attributes,
        candidate=candidate,
        is_call=is_call,
    )
    results = [event for event in events if str(event.name).startswith(_EVALUATION)]
    raw = _read_results(results, ids, attribute("gen_ai.response.id")) if results else no_scores()
    return find_answers(table, raw, reading)


def _read_results(results: list[Event], ids: pd.Series, responses: pd.Series) -> pd.DataFrame:
    """Return evaluations as scores of the span with the response's id, else of their own span."""
    table = pd.DataFrame({"span": [event.span for event in results]}, dtype=object)

    def field(name: str) -> pd.Series:
        return pd.Series([event.attributes.get(name) for event in results], dtype=object)

    by_response = pd.Series(ids.to_numpy(), index=as_keys(responses).to_numpy())
    by_response = by_response[by_response.index.notna() & ~by_response.index.duplicated()]
    return make_scores(
        table,
        span=first_filled(as_keys(field("gen_ai.response.id")).map(by_response), table["span"]),
        trace=pd.Series([event.trace for event in results], dtype=object),
        name=first_filled(
            field("gen_ai.evaluation.name"),
            pd.Series([event.name.removeprefix(_EVALUATION) for event in results], dtype=object),
        ),
        value=first_filled(
            *(field(f"{_EVALUATION}{name}") for name in ("score.value", "score.label", "score"))
        ),
        # The convention does not record who evaluated, so the caller names the scores.
        kind=pd.Series(UNKNOWN, index=table.index),
        rater=missing(table),
        timestamp=pd.Series([event.time for event in results], dtype=object),
        comment=field("gen_ai.evaluation.explanation"),
        metadata=pd.Series([event.attributes for event in results], dtype=object),
    )


def _numbered(own: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the messages of numbered attributes, by "prompt" and "completion"."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for name, item in own.items():
        if match := _NUMBERED.fullmatch(name):
            role = "user" if match[1] == "prompt" else "assistant"
            messages = found.setdefault(match[1], {})
            message = messages.setdefault(int(match[2]), {"role": role, "content": None})
            if match[3] == "user":  # the prompt of a completion without roles
                message["content"] = item
            elif match[3] == "tool_calls" and f"{name.partition('.tool')[0]}.role" not in own:
                message["role"] = "assistant"
            elif match[3] in message and item:
                message[match[3]] = _parts(item) if role == "user" else item
    return {
        key: [messages[number] for number in sorted(messages)] for key, messages in found.items()
    }


def _parts(content: Any) -> Any:
    """Return the parts of a message that OpenLLMetry wrote as JSON; return any other text."""
    parts = decode(content)
    is_parts = is_list(parts) and all(
        isinstance(part, dict) and part.get("type") in _PARTS for part in parts
    )
    return parts if is_parts else content


def _with_system(inputs: pd.Series, system: pd.Series) -> pd.Series:
    def join(messages: Any, instructions: Any) -> Any:
        instructions = decode(instructions)
        if not isinstance(instructions, str | list) or not is_list(messages):
            return messages
        return [{"role": "system", "content": content_text(instructions)}, *messages]

    return pd.Series(map(join, inputs, system), index=inputs.index, dtype=object)


def detect(columns: set[str]) -> bool:
    """Return True for OTLP spans or log records, or those of the console exporters."""
    return any(columns >= needed for needed in (*_OF_SPANS, *_OF_LOGS))


def _are_logs(columns: set[str]) -> bool:
    return any(columns >= needed for needed in _OF_LOGS) and not any(
        columns >= needed for needed in _OF_SPANS
    )


TOOL = Tool("otel", read, detect, scores_alone=_are_logs)
