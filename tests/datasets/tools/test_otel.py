"""OpenTelemetry: where messages are recorded, forms of spans and logs, and evaluations."""

import base64
import json

import numpy as np
import pytest

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import FileFormatError

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
START = 1_777_885_200_000_000_000  # 2026-05-04 09:00 UTC in nanoseconds
ONE, TWO, ROOT, TRACE = "00f067aa0ba902b7", "10f067aa0ba902b7", "20f067aa0ba902b7", "4b" * 16


def value(item):
    """Return a value as OTLP writes it."""
    if isinstance(item, bool):
        return {"boolValue": item}
    if isinstance(item, int):
        return {"intValue": str(item)}
    if isinstance(item, float):
        return {"doubleValue": item}
    if isinstance(item, list):
        return {"arrayValue": {"values": [value(one) for one in item]}}
    if isinstance(item, dict):
        return {"kvlistValue": {"values": pairs(item)}}
    return {"stringValue": item}


def pairs(attributes):
    return [{"key": name, "value": value(item)} for name, item in attributes.items()]


def span(key, attributes, parent="", trace=TRACE, events=(), seconds=2):
    return {
        "traceId": trace,
        "spanId": key,
        "parentSpanId": parent,
        "name": "chat",
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START + seconds * 10**9),
        "attributes": pairs(attributes),
        "events": list(events),
    }


def event(name, attributes, time=1):
    return {"name": name, "timeUnixNano": str(START + time), "attributes": pairs(attributes)}


def record(key, name, body=None, attributes=None, time=1, trace=TRACE):
    return {
        "traceId": trace,
        "spanId": key,
        "eventName": name,
        "observedTimeUnixNano": str(START + time),
        "attributes": pairs(attributes or {}),
        **({} if body is None else {"body": value(body)}),
    }


def traces(*spans):
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


def logs_of(*records):
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}


def evaluation(score, key=ROOT, name="thumbs", **attributes):
    named = {"gen_ai.evaluation.name": name, "gen_ai.evaluation.score.value": score}
    return record(key, "gen_ai.evaluation.result", attributes=named | attributes)


def parts(*messages):
    return json.dumps(
        [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in messages]
    )


def numbered(prefix, *messages):
    return {
        f"{prefix}.{number}.{name}": item
        for number, message in enumerate(messages)
        for name, item in message.items()
    }


SYSTEM, USER = {"role": "system", "content": "Be kind."}, {"role": "user", "content": "Soup?"}
ASSISTANT = {"role": "assistant", "content": "Yes."}
CHAT = {"gen_ai.operation.name": "chat"}
TEXTS = {
    "gen_ai.input.messages": parts(("user", "Soup?")),
    "gen_ai.output.messages": parts(("assistant", "Yes.")),
}
# Where the messages of one call are: attributes, events of the span, log records.
RECORDED = {
    "attributes": (TEXTS, [], []),
    "attributes with instructions": (
        {
            **TEXTS,
            "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be kind."}]),
        },
        *([], []),
    ),
    "attributes that are no JSON": (
        {
            "gen_ai.input.messages": [
                {"role": "user", "parts": [{"type": "text", "content": "Soup?"}]}
            ],
            "gen_ai.output.messages": [{"role": "assistant", "parts": [{"content": "Yes."}]}],
        },
        *([], []),
    ),
    "numbered": (
        numbered("gen_ai.prompt", SYSTEM, USER) | numbered("gen_ai.completion", ASSISTANT),
        *([], []),
    ),
    "older numbered": (
        numbered("llm.prompts", USER) | numbered("llm.completions", {"content": "Yes."}),
        *([], []),
    ),
    "OpenInference": (
        numbered("llm.input_messages", {"message.role": "user", "message.content": "Soup?"})
        | numbered("llm.output_messages", {"message.content": "Yes."}),
        *([], []),
    ),
    "values": (
        {
            "input.value": json.dumps({"model": "m", "messages": [USER]}),
            "input.mime_type": "application/json",
            "output.value": "Yes.",
        },
        *([], []),
    ),
    "workflow": (
        {
            "traceloop.span.kind": "workflow",
            "traceloop.entity.input": json.dumps({"args": ["Soup?"], "kwargs": {}}),
            "traceloop.entity.output": json.dumps("Yes."),
        },
        *([], []),
    ),
    "events": (
        {},
        [
            event("gen_ai.system.message", {"content": "Be kind."}),
            event("gen_ai.user.message", {"content": "Soup?"}, 2),
            event("gen_ai.choice", {"index": 0, "message": json.dumps(ASSISTANT)}, 3),
        ],
        [],
    ),
    "content events": (
        {},
        [
            event("gen_ai.content.prompt", {"gen_ai.prompt": json.dumps([USER])}),
            event("gen_ai.content.completion", {"gen_ai.completion": json.dumps([ASSISTANT])}),
        ],
        [],
    ),
    "logs": (
        {},
        [],
        [
            record(ONE, "gen_ai.system.message", {"content": "Be kind."}),
            record(ONE, "gen_ai.user.message", {"content": "Soup?"}, time=2),
            record(ONE, "gen_ai.choice", {"index": 1, "message": {"content": "Sure."}}, time=3),
            record(ONE, "gen_ai.choice", {"index": 0, "message": ASSISTANT}, time=4),
        ],
    ),
    "details in a log": (
        {},
        [],
        [record(ONE, "gen_ai.client.inference.operation.details", attributes=TEXTS)],
    ),
    "answers in a log": (
        {"gen_ai.input.messages": TEXTS["gen_ai.input.messages"]},
        [],
        [
            record(
                ONE,
                "gen_ai.client.inference.operation.details",
                attributes={"gen_ai.output.messages": TEXTS["gen_ai.output.messages"]},
            )
        ],
    ),
}


@pytest.mark.parametrize("given", ["scores", "source", "both"])
@pytest.mark.parametrize("where", RECORDED)
def test_messages_are_found_wherever_they_are(where, given):
    attributes, events, records = RECORDED[where]
    known = {"gen_ai.response.id": "r1", "gen_ai.request.model": "m"}
    spans = traces(
        span(ONE, CHAT | attributes | known, ROOT, events=events),
        span(ROOT, {"user.id": "u", "session.id": "s"}, seconds=3),
        span(TWO, CHAT | TEXTS, trace="5b" * 16),
    )
    records = logs_of(*records, evaluation(0.0, **{"gen_ai.response.id": "r1"}))
    logs = load_feedback(
        [spans] if given == "scores" else [[spans], [records]],
        scores=None if given == "source" else [records],
        feedback_name="thumbs",
    )
    has_system = any(mark in repr(RECORDED[where]) for mark in ("Be kind.",))
    assert logs["prompt"][0] == ([SYSTEM, USER] if has_system else "Soup?")
    assert logs["completion"].tolist() == ["Yes.", "Yes."]
    assert logs["feedback"].fillna(-1).tolist() == [0, -1]
    assert logs["id"].tolist() == [ONE, TWO]
    assert (logs["user"][0], logs["conversation"][0], logs["model"][0]) == ("u", "s", "m")
    assert logs["latency"].tolist() == [2, 2]
    assert str(logs["timestamp"][0]) == "2026-05-04 09:00:00+00:00"
    assert logs.attrs["load_feedback"]["n_superseded"] == 0


class TestTexts:
    def load(self, attributes):
        return load_feedback([traces(span(ONE, attributes))])

    @pytest.mark.parametrize(
        ("outputs", "answer"),
        [
            ((("assistant", "4"), ("assistant", "Four.")), "4"),  # alternatives
            ((("assistant", ""), ("assistant", "Four.")), "Four."),
            ((("assistant", "Let me see."), ("tool", "4"), ("assistant", "Four.")), "Four."),
        ],
    )
    def test_several_messages_in_the_output(self, outputs, answer):
        logs = self.load(CHAT | TEXTS | {"gen_ai.output.messages": parts(*outputs)})
        assert logs["completion"].tolist() == [answer]

    def test_a_message_that_calls_a_tool_is_no_alternative(self):
        call = {"type": "tool_call", "id": "1", "name": "look", "arguments": {}}
        turns = [
            {"role": "assistant", "parts": [{"type": "text", "content": "Let me see."}, call]},
            {"role": "assistant", "parts": [{"type": "text", "content": "Four."}]},
        ]
        logs = self.load(CHAT | TEXTS | {"gen_ai.output.messages": json.dumps(turns)})
        assert logs["completion"].tolist() == ["Four."]

    def test_the_last_message_of_an_agent(self):
        turns = [{"role": "assistant", "content": text} for text in ("Let me see.", "Four.")]
        output = {"traceloop.entity.output": json.dumps({"messages": turns})}
        assert self.load(RECORDED["workflow"][0] | output)["completion"].tolist() == ["Four."]

    @pytest.mark.parametrize("text", ['{"answer": "Paris"}', "[1, 2]", '[{"type": "fruit"}]'])
    def test_answers_that_are_json_stay_texts(self, text):
        for attributes in (
            TEXTS | {"gen_ai.output.messages": parts(("assistant", text))},
            numbered("gen_ai.prompt", USER) | numbered("gen_ai.completion", {"content": text}),
            {"input.value": text, "output.value": text, "output.mime_type": "text/plain"},
        ):
            logs = self.load(CHAT | attributes)
            assert logs["completion"].tolist() == [text]
        assert logs["prompt"].tolist() == [text]

    def test_images_and_tool_calls_among_numbered_prompts(self):
        picture = [{"type": "text", "text": "A cat?"}, {"type": "image_url", "image_url": {}}]
        attributes = numbered(
            "gen_ai.prompt",
            {"role": "user", "content": json.dumps(picture)},
            {"tool_calls.0.name": "look"},
            {"role": "tool", "content": "cat"},
        )
        logs = self.load(CHAT | attributes | numbered("gen_ai.completion", ASSISTANT))
        assert [(turn["role"], turn["content"]) for turn in logs["prompt"][0]] == [
            *(("user", "A cat?"), ("assistant", ""), ("tool", "cat")),
        ]

    @pytest.mark.parametrize("side", ["input", "output"])
    def test_messages_that_were_cut_are_left_out(self, side):
        name = f"gen_ai.{side}.messages"
        cut = {**CHAT, **TEXTS, name: TEXTS[name][:-5]}
        logs = load_feedback(
            [traces(span(ONE, cut), span(TWO, {**CHAT, **TEXTS}, trace="5c" * 16))]
        )
        left_out = logs.attrs["load_feedback"]["left_out"]
        assert left_out == {"shortened text": {"count": 1, "ids": [ONE]}}

    def test_a_completion_without_roles(self):
        given = {"gen_ai.prompt.0.user": "Soup?", "gen_ai.completion.0.content": "Yes."}
        logs = load_feedback([traces(span(ONE, given))])
        assert logs[["prompt", "completion"]].values.tolist() == [["Soup?", "Yes."]]

    def test_events_count_in_the_order_of_their_times(self):
        given = [SYSTEM, USER, ASSISTANT, {"role": "user", "content": "Now?"}]
        names = [f"gen_ai.{message['role']}.message" for message in given]
        times = enumerate(zip(names, given, strict=True))
        events = [record(ONE, name, body, time=time) for time, (name, body) in times]
        choice = record(ONE, "gen_ai.choice", {"index": 0, "message": ASSISTANT}, time=9)
        logs = load_feedback([traces(span(ONE, CHAT))], scores=[logs_of(choice, *events[::-1])])
        assert logs.loc[0, "prompt"] == given

    def test_only_answers_are_answers(self):
        spans = [
            span(ONE, CHAT | TEXTS, trace="11" * 16),
            span("a1" * 8, {"gen_ai.operation.name": "embeddings", "gen_ai.prompt.0.content": "q"}),
            span("a2" * 8, {"llm.request.type": "rerank", "gen_ai.prompt.0.content": "q"}),
            span("a3" * 8, {"openinference.span.kind": "RETRIEVER", "input.value": "q"}),
            span("a4" * 8, CHAT, trace="22" * 16),
            span("a5" * 8, {"http.request.method": "POST"}),
        ]
        logs = load_feedback([traces(*spans)])
        assert logs["id"].tolist() == [ONE]
        left_out = logs.attrs["load_feedback"]["left_out"]
        assert {key: entry["ids"] for key, entry in left_out.items()} == {"no answer": ["a4" * 8]}

    def test_a_workflow_is_one_answer(self):
        workflow, _, _ = RECORDED["workflow"]
        step = CHAT | TEXTS | {"gen_ai.output.messages": parts(("assistant", "route 2"))}
        logs = load_feedback(
            [traces(span(ONE, step, ROOT), span(TWO, CHAT | TEXTS, ROOT), span(ROOT, workflow))]
        )
        assert logs[["id", "prompt", "completion"]].to_numpy().tolist() == [[ROOT, "Soup?", "Yes."]]

    def test_spans_without_any_messages(self):
        with pytest.raises(FileFormatError, match="pass the logs too"):
            self.load(CHAT)


class TestEvaluations:
    def spans(self):
        return traces(
            span(ONE, CHAT | TEXTS | {"gen_ai.response.id": "r1"}, ROOT),
            span(ROOT, {}),
            span(TWO, CHAT | TEXTS | {"gen_ai.response.id": "r2"}, trace="5b" * 16),
        )

    @pytest.mark.parametrize(
        "found",
        [
            evaluation(1.0),  # by the span above
            evaluation(1.0, ONE),
            evaluation(1.0, "", **{"gen_ai.response.id": "r1"}),
            evaluation(1.0, "0" * 16),  # by the trace
            {**evaluation(1.0), "eventName": None, "attributes": pairs(
                {"event.name": "gen_ai.evaluation.result", "gen_ai.evaluation.name": "thumbs",
                 "gen_ai.evaluation.score.label": "thumbs_up"})},
            record(ROOT, "gen_ai.evaluation.thumbs", attributes={"gen_ai.evaluation.score": 1}),
        ],
    )  # fmt: skip
    def test_whom_they_are_about(self, found):
        logs = load_feedback([self.spans()], scores=[logs_of(found)], feedback_name="thumbs")
        assert logs["feedback"].fillna(-1).tolist() == [1, -1]

    def test_inside_a_span(self):
        inside = event(
            "gen_ai.evaluation.result",
            {"gen_ai.evaluation.name": "thumbs", "gen_ai.evaluation.score.value": 0.0},
        )
        logs = load_feedback(
            [traces(span(ONE, CHAT | TEXTS, events=[inside]), span(TWO, CHAT | TEXTS))],
            feedback_name="thumbs",
        )
        assert logs["feedback"].fillna(-1).tolist() == [0, -1]

    def test_several_are_told_apart_by_name(self):
        records = logs_of(
            *(evaluation(1.0, ONE), evaluation(0.0, ONE, "right"), evaluation(0.3, ONE, "judge")),
        )
        names = {
            "feedback_name": "thumbs",
            "verified_name": "right",
            "judge_score_name": "judge",
        }
        logs = load_feedback([self.spans()], scores=[records], **names)
        assert logs[["feedback", "verified", "judge_score"]].to_numpy()[0].tolist() == [1, 0, 0.3]
        with pytest.raises(FileFormatError, match="pass feedback_name"):
            load_feedback([self.spans()], scores=[records])

    @pytest.mark.parametrize("score", [0.3, 350])
    def test_a_metric_nobody_asked_for(self, score):
        records = logs_of(evaluation(score, ONE, "metric"))
        logs = load_feedback([self.spans()], scores=[records])
        assert logs["feedback"].isna().all()
        assert logs.attrs["load_feedback"]["n_other_scores"] == 1
        records = logs_of(evaluation(score, ONE, "metric"), evaluation(1.0, ONE))
        logs = load_feedback([self.spans()], scores=[records], feedback_name="thumbs")
        assert logs["feedback"].fillna(-1).tolist() == [1, -1]

    def test_response_ids_that_are_none(self):
        odd = span(TWO, CHAT | TEXTS | {"gen_ai.response.id": {"a": ["b"]}})
        scores = logs_of(evaluation(1.0, TWO, **{"gen_ai.response.id": [{}]}))
        logs = load_feedback([traces(odd)], scores=[scores], feedback_name="thumbs")
        assert logs["feedback"].tolist() == [1]

    def test_delivered_twice(self):
        attributes, _, records = RECORDED["logs"]
        once = logs_of(*records, evaluation(1.0))
        spans = traces(span(ONE, CHAT | attributes, ROOT), span(ROOT, {}))
        logs = load_feedback([spans], scores=[once, once], feedback_name="thumbs")
        assert logs["prompt"][0] == [SYSTEM, USER]
        assert logs.attrs["load_feedback"]["n_superseded"] == 0


class TestForms:
    def test_ids_in_base64_and_in_hexadecimal_digits(self):
        def encoded(found):
            names = ("traceId", "spanId", "parentSpanId")
            return {
                name: base64.b64encode(bytes.fromhex(item)).decode() if name in names else item
                for name, item in found.items()
            }

        spans = traces(encoded(span(ONE, CHAT | TEXTS, ROOT)), encoded(span(ROOT, {})))
        logs = load_feedback([spans], scores=[logs_of(evaluation(1.0))], feedback_name="thumbs")
        assert logs[["id", "feedback"]].to_numpy().tolist() == [[ONE, 1]]
        odd = span("not base64!=", CHAT | TEXTS)
        assert load_feedback([traces(odd)])["id"].tolist() == ["not base64!="]

    @pytest.mark.parametrize("name", ["traces.json", "traces.jsonl"])
    def test_files_of_lines(self, name, tmp_path):
        lines = [traces(span(key, CHAT | TEXTS, trace=key * 2)) for key in (ONE, TWO)]
        path = tmp_path / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        (tmp_path / "logs.json").write_text(json.dumps(logs_of(evaluation(0.0, TWO))) + "\n")
        logs = load_feedback(path, scores=tmp_path / "logs.json", feedback_name="thumbs")
        assert logs["feedback"].fillna(-1).tolist() == [-1, 0]
        both = tmp_path / "both.jsonl"
        both.write_text(path.read_text() + (tmp_path / "logs.json").read_text())
        again = load_feedback(both, feedback_name="thumbs")
        assert again["feedback"].equals(logs["feedback"])

    def test_what_the_sdk_prints_and_keeps(self, tmp_path):
        trace = pytest.importorskip("opentelemetry.sdk.trace")
        export = pytest.importorskip("opentelemetry.sdk.trace.export")
        memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
        kept, path = memory.InMemorySpanExporter(), tmp_path / "spans.json"
        with path.open("w") as out:
            provider = trace.TracerProvider()
            for exporter in (kept, export.ConsoleSpanExporter(out=out)):
                provider.add_span_processor(export.SimpleSpanProcessor(exporter))
            tracer = provider.get_tracer("test")
            with tracer.start_as_current_span("POST", attributes={"user.id": "u"}):
                tracer.start_span("chat", attributes=CHAT | TEXTS).end()
        for source in (path, kept.get_finished_spans()):
            logs = load_feedback(source)
            assert logs[["prompt", "completion", "user"]].to_numpy().tolist() == [
                ["Soup?", "Yes.", "u"]
            ]

    @pytest.mark.parametrize("given", ["scores", "source"])
    def test_the_console_exporters(self, given, tmp_path):
        def context(key):
            return {"trace_id": f"0x{TRACE}", "span_id": f"0x{key}", "trace_state": "[]"}

        def printed(key, attributes, parent=None):
            return {
                "name": "chat",
                "context": context(key),
                "kind": "SpanKind.CLIENT",
                "parent_id": parent and f"0x{parent}",
                "start_time": "2026-05-04T09:00:00.000000Z",
                "end_time": "2026-05-04T09:00:01.500000Z",
                "attributes": attributes,
                "events": [],
            }

        def log(name, body, attributes=None, where=None):
            return {
                "body": body,
                "severity_number": None,
                "attributes": attributes,
                "observed_timestamp": f"2026-05-04T09:00:00.00000{len(name) % 10}Z",
                **(where or context(ONE)),
                "event_name": name,
            }

        spans = [printed(ONE, CHAT | {"gen_ai.response.id": "r"}, ROOT), printed(ROOT, {})]
        result = {"gen_ai.evaluation.name": "thumbs", "gen_ai.evaluation.score.value": 1.0}
        records = [
            log("gen_ai.user.message", {"content": "Soup?"}),
            log("gen_ai.choice", {"index": 0, "message": ASSISTANT}),
            log(
                "gen_ai.evaluation.result",
                *(None, result | {"gen_ai.response.id": "r"}),
                {"trace_id": "0x" + "0" * 32, "span_id": "0x" + "0" * 16},
            ),
        ]
        files = [tmp_path / "spans.json", tmp_path / "logs.json"]
        for path, items in zip(files, (spans, records), strict=True):
            path.write_text("\n".join(json.dumps(item, indent=4) for item in items))
        logs = load_feedback(
            files if given == "source" else files[0],
            scores=None if given == "source" else files[1],
            feedback_name="thumbs",
        )
        assert logs[["prompt", "completion", "feedback", "latency"]].to_numpy().tolist() == [
            ["Soup?", "Yes.", 1, 1.5]
        ]
        with pytest.raises(FileFormatError, match="pass the traces as source"):
            load_feedback(files[1])

    @pytest.mark.parametrize("level", ["spans", "scopes"])
    def test_spans_without_what_holds_them(self, level):
        one = span(ONE, {**CHAT, **TEXTS})
        given = [one] if level == "spans" else traces(one)["resourceSpans"]
        assert load_feedback(given)["completion"].tolist() == ["Yes."]

    def test_snake_case_and_odd_values(self):
        spans = {"resource_spans": [{"scope_spans": [{"spans": [
            {"trace_id": TRACE, "span_id": ONE, "attributes": [
                *({"key": name, "value": {"string_value": item, "int_value": None}}
                  for name, item in TEXTS.items()),
                *({"key": "n", "value": item} for item in (None, {}, 3, {"intValue": "x"})),
                {"value": 1}, None, "text",
            ]},
            None, 3,
        ]}]}, None]}  # fmt: skip
        logs = load_feedback([spans])
        assert logs[["id", "completion"]].to_numpy().tolist() == [[ONE, "Yes."]]
        assert np.isnan(logs["feedback"][0])
