"""Phoenix: forms of spans and attributes, kinds of spans, and whom an annotation is about."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import FileFormatError

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")


def messages(side, *found):
    """Return the attributes of messages as OpenInference's instrumentations write them."""
    return {
        f"llm.{side}_messages.{number}.message.{name}": value
        for number, message in enumerate(found)
        for name, value in message.items()
    }


def call(prompt="q", answer="a", **more):
    user, assistant = {"role": "user", "content": prompt}, {"role": "assistant", "content": answer}
    return messages("input", user) | messages("output", assistant) | more


def texts(prompt="q", answer="a", mime="text/plain", **more):
    return {
        "input.value": prompt,
        "input.mime_type": mime,
        "output.value": answer,
        "output.mime_type": mime,
        **more,
    }


def span(key, attributes, kind="CHAIN", parent=None, trace=None, seconds=2):
    return {
        "id": f"node {key}",
        "name": "chat",
        "span_kind": kind,
        "parent_id": parent,
        "context": {"span_id": key, "trace_id": trace or f"trace {key}"},
        "start_time": "2026-05-04T09:00:00+00:00",
        "end_time": f"2026-05-04T09:00:0{seconds}+00:00",
        "attributes": attributes,
    }


def annotation(score=1, name="thumbs", kind="HUMAN", source="API", **about):
    return {
        **about,
        "name": name,
        "annotator_kind": kind,
        "source": source,
        "result": {"score": score, "label": None, "explanation": None},
    }


def by_id(logs, column):
    return logs.set_index("id")[column].to_dict()


def rated(logs):
    """Return the labels by the answer's id."""
    return {key: value for key, value in by_id(logs, "feedback").items() if not np.isnan(value)}


def left_out(logs):
    return {key: entry["ids"] for key, entry in logs.attrs["load_feedback"]["left_out"].items()}


def written(spans, form, folder):
    """Return the spans as a file of a form in which people save them."""
    path = folder / f"spans.{form.split()[-1]}"
    if form == "page json":
        path.write_text(json.dumps({"data": spans, "next_cursor": None}))
    elif form == "jsonl":
        path.write_text("".join(json.dumps(one) + "\n" for one in spans))
    elif form == "nested jsonl":
        path.write_text("".join(json.dumps(_nested(one)) + "\n" for one in spans))
    elif form == "flat csv":
        pd.json_normalize(spans).to_csv(path, index=False)
    elif form == "csv":
        pd.DataFrame(spans).to_csv(path)
    else:
        frame = pd.json_normalize([_nested(one) for one in spans], max_level=1)
        frame = frame.drop(columns="attributes", errors="ignore")
        inner = [pd.json_normalize(_nested(one)["attributes"]) for one in spans]
        inner = pd.concat(inner, ignore_index=True).add_prefix("attributes.")
        frame = pd.concat([frame.filter(regex="^(?!attributes)"), inner], axis=1)
        frame = frame.set_index("context.span_id", drop=form == "index parquet")
        frame.to_parquet(path)
    return path


def _nested(one):
    """Return a span whose attributes are nested, with messages as lists of dotted names."""
    attributes = {}
    for name, value in one["attributes"].items():
        if name.startswith(("llm.input_messages", "llm.output_messages")):
            _, side, number, *rest = name.split(".")
            found = attributes.setdefault("llm", {}).setdefault(side, [])
            found.extend({} for _ in range(int(number) + 1 - len(found)))
            found[int(number)][".".join(rest)] = value
        else:
            *path, last = name.split(".")
            inner = attributes
            for step in path:
                inner = inner.setdefault(step, {})
            inner[last] = value
    return {**one, "attributes": attributes}


FORMS = [
    *("page json", "jsonl", "nested jsonl", "csv", "flat csv"),
    *("index parquet", "column parquet"),
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_spans_is_the_same_log(form, tmp_path):
    known = {"user.id": "u", "session.id": "s", "tag.tags": ["survey"]}
    spans = [
        span("root", texts("Soup?", "Yes.", **known)),
        span(
            *("call", call("Soup?", "Yes.", **{"llm.token_count.prompt": 3}), "LLM", "root"),
            trace="trace root",
        ),
        span("bare", call("Bread?", "No.", **{"llm.model_name": "m"}), "LLM"),
        span("tool", messages("input", {"role": "user", "content": "Rain?"}), "LLM"),
    ]
    scores = [annotation(0, span_id="call"), annotation(1, span_id="bare")]
    logs = load_feedback(written(spans, form, tmp_path), scores=scores, asked_name="survey")
    assert logs["id"].tolist() == ["root", "bare"]
    assert logs["prompt"].tolist() == ["Soup?", "Bread?"]
    assert logs["completion"].tolist() == ["Yes.", "No."]
    assert logs["feedback"].tolist() == [0, 1]
    assert logs["asked"].tolist() == [True, False]
    assert logs["user"].fillna("").tolist() == ["u", ""]
    assert logs["conversation"].fillna("").tolist() == ["s", ""]
    assert logs["model"].fillna("").tolist() == ["", "m"]
    assert logs["prompt_tokens"].fillna(0).tolist() == [3, 0]
    assert logs["latency"].tolist() == [2, 2]
    assert str(logs["timestamp"][0]) == "2026-05-04 09:00:00+00:00"
    assert left_out(logs) == {"no answer": ["tool"]}


class TestTexts:
    def load(self, attributes, kind="LLM"):
        return load_feedback([span("a", attributes, kind)])

    def test_parts_of_contents(self):
        part = "contents.{}.message_content.{}"
        question = {
            "role": "user",
            part.format(0, "type"): "text",
            part.format(0, "text"): "Which cat?",
            part.format(1, "type"): "image",
            part.format(1, "image.image.url"): "http://localhost/cat.png",
        }
        answer = {
            "role": "assistant",
            part.format(0, "type"): "reasoning",
            part.format(0, "text"): "Hmm.",
            part.format(1, "type"): "text",
            part.format(1, "text"): "This one.",
        }
        system = {"role": "system", "content": "Be kind."}
        logs = self.load(messages("input", system, question) | messages("output", answer))
        assert logs["prompt"][0] == [system, {"role": "user", "content": "Which cat?"}]
        assert logs["completion"].tolist() == ["This one."]

    def test_the_order_of_messages_is_by_number(self):
        turns = [{"role": "user", "content": str(number)} for number in range(12)]
        shuffled = dict(reversed(messages("input", *turns).items()))
        logs = self.load(shuffled | call() | shuffled)
        assert logs["prompt"][0] == turns

    def test_the_first_of_several_choices(self):
        choices = [{"role": "assistant", "content": text} for text in ("", "4", "Four.")]
        logs = self.load(call() | messages("output", *choices))
        assert logs["completion"].tolist() == ["4"]

    @pytest.mark.parametrize(
        ("value", "mime", "answer"),
        [
            ('{"answer": "Paris"}', "text/plain", '{"answer": "Paris"}'),
            ('{"answer": "Paris"}', "application/json", "Paris"),
            ('"Paris"', "application/json", "Paris"),
            ('"Paris"', "text/plain", '"Paris"'),
            ("{'answer': 'Paris'}", "application/json", "Paris"),
            ("Paris", "application/json", "Paris"),
            ("42", "application/json", "42"),
        ],
    )
    def test_the_mime_type_decides(self, value, mime, answer):
        assert self.load(texts('"q"', value, mime), "CHAIN")["completion"].tolist() == [answer]

    def test_redacted_texts_are_left_out(self):
        hidden = "__REDACTED__"
        spans = [
            span("prompt", texts(prompt=hidden)),
            span("answer", call(answer=hidden), "LLM"),
            span("both", texts(hidden, hidden)),
            span("both below", call(hidden, hidden), "LLM", "both", "trace both"),
            span("good", texts()),
        ]
        logs = load_feedback(spans)
        assert logs["id"].tolist() == ["good"]
        assert left_out(logs) == {"redacted text": ["prompt", "answer", "both"]}


class TestKinds:
    def test_only_answers_are_answers(self):
        spans = [
            span("embedding", texts(), "EMBEDDING"),
            span("retriever", texts(), "RETRIEVER"),
            span("judge", texts(), "EVALUATOR"),
            span("judge's call", call(), "LLM", "judge", "trace judge"),
            span("tool", texts(), "TOOL"),
            span("agent in the tool", call("q", "by a tool"), "LLM", "tool", "trace tool"),
            span("empty", {}, "UNKNOWN"),
            span("call without texts", {"llm.model_name": "m"}, "LLM"),
        ]
        logs = load_feedback(spans)
        assert logs["id"].tolist() == ["agent in the tool"]
        assert left_out(logs) == {"no answer": ["call without texts"]}

    def test_a_guardrail_below_the_root_does_not_answer(self):
        spans = [
            span("root", texts('{"x": 1, "y": 2}', "null", "application/json")),
            span("call", call("q", "a"), "LLM", "root", "trace root"),
            span("guard", texts("safe?", "yes"), "GUARDRAIL", "root", "trace root"),
            span("guard's call", call("safe?", "yes"), "LLM", "guard", "trace root"),
        ]
        logs = load_feedback(spans)
        assert logs[["prompt", "completion"]].to_numpy().tolist() == [["q", "a"]]

    def test_the_assistant_speaks_first(self):
        logs = load_feedback([span("a", {"output.value": "Hello!"})])
        assert logs[["prompt", "completion"]].to_numpy().tolist() == [["", "Hello!"]]

    def test_the_answers_own_values_come_before_those_below(self):
        below = span("b", call(**{"user.id": "x"}), "LLM", "a", "trace a", seconds=1)
        above = span("a", texts(**{"user.id": "u"}), seconds=5)
        logs = load_feedback([below, above])
        assert logs[["id", "user", "latency"]].to_numpy().tolist() == [["a", "u", 5]]


def test_annotations_inside_the_spans():
    inside = [{key: value for key, value in annotation(0).items() if key != "span_id"}]
    logs = load_feedback([span("a", texts()) | {"annotations": inside}, span("b", texts())])
    assert rated(logs) == {"a": 0}


class TestAnnotations:
    SPANS = [  # noqa: RUF012
        span("http", {}, "UNKNOWN", trace="t"),
        span("one", texts(**{"session.id": "s"}), "CHAIN", "http", "t"),
        span("find", {}, "RETRIEVER", "http", "t"),
        span("call", call(), "LLM", "one", "t"),
        span("two", texts(**{"session.id": "s2"})),
        span("three", texts(**{"session.id": "s2"})),
        span("failed", {"input.value": "q", "session.id": "s3"}, trace="t4"),
        span("again", texts(**{"session.id": "s3"}), trace="t4"),
    ]

    @pytest.mark.parametrize(
        ("about", "answer"),
        [
            *(({"span_id": key}, "one") for key in ("http", "one", "find", "call")),
            ({"trace_id": "t"}, "one"),
            ({"session_id": "s"}, "one"),
            ({"session_id": "s2"}, None),  # two answers
            ({"span_id": "failed"}, None),  # not the next answer of its trace
            ({"trace_id": "t4"}, "again"),
            ({"span_id": "elsewhere"}, None),
            ({"span_id": None}, None),
        ],
    )
    def test_whom_they_are_about(self, about, answer):
        logs = load_feedback(self.SPANS, scores=[annotation(0, **about)])
        assert rated(logs) == ({} if answer is None else {answer: 0})
        facts, left_out = logs.attrs["load_feedback"], about == {"span_id": "failed"}
        assert facts["n_unmatched"] == (answer is None and not left_out)
        assert facts["n_scores_left_out"] == left_out

    def test_tables_with_ids_in_indices_of_several_names(self):
        def table(**about):
            return pd.DataFrame([annotation(**about)]).set_index(next(iter(about)))

        tables = [table(span_id="one"), table(trace_id="trace two"), table(session_id="s3")]
        logs = load_feedback(pd.DataFrame(self.SPANS), scores=tables)
        assert rated(logs) == {"one": 1, "two": 1, "again": 1}

    def test_spans_without_ids_are_nobodys(self):
        bare = [span("", texts(f"q{k}"), trace=" ") for k in range(3)]
        for one in bare:
            one["context"] = {"span_id": None, "trace_id": None}
        last = span("x", texts("q3", **{"user.id": "u"}))
        last["context"]["trace_id"] = None
        logs = load_feedback([*bare, last], scores=[annotation(span_id="elsewhere")])
        assert logs["prompt"].tolist() == ["q0", "q1", "q2", "q3"]
        assert logs["user"].isna().tolist() == [True, True, True, False]
        assert logs["feedback"].isna().all()

    def test_who_rated(self):
        scores = [
            annotation(1, span_id="one"),
            annotation(0, "right", source="APP", span_id="one"),
            annotation(0.5, "relevance", "LLM", span_id="one"),
            annotation(350, "length", "CODE", span_id="one"),
            annotation(None, "note", source="APP", span_id="two"),
            annotation(None, span_id="two"),
        ]
        scores[-1]["result"].update(label="thumbs-down", explanation="Too long.")
        logs = load_feedback(self.SPANS, scores=scores, verified_name="right")
        assert rated(logs) == {"one": 1, "two": 0}
        assert by_id(logs, "verified")["one"] == 0
        assert by_id(logs, "judge_score")["one"] == 0.5
        assert by_id(logs, "comment")["two"] == "Too long."
        assert logs.attrs["load_feedback"]["n_other_scores"] == 1

    def test_the_note_is_no_score(self):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            load_feedback(self.SPANS, scores=[annotation(None, "note", span_id="one")])
        assert "None of the 4 rows is rated" in str(caught[-1].message)

    def test_ids_that_were_not_saved(self):
        table = pd.DataFrame([annotation()])
        with pytest.raises(FileFormatError, match="save them with the index"):
            load_feedback(self.SPANS, scores=table)
