"""Langfuse: forms of traces, observations and scores, and what a score is about."""

import datetime as dt
import enum
import json

import numpy as np
import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import FileFormatError

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
TIME = "2026-05-04T09:00:00Z"


def trace(key, prompt="q", answer="a", **more):
    return {
        "id": key,
        "timestamp": TIME,
        "input": prompt,
        "output": answer,
        "sessionId": f"session {key}",
        "userId": "u",
        "tags": [],
        "bookmarked": False,
        **more,
    }


def observation(key, of, prompt="q", answer="a", kind="GENERATION", parent=None, **more):
    return {
        "id": key,
        "traceId": of,
        "type": kind,
        "parentObservationId": parent,
        "startTime": TIME,
        "endTime": "2026-05-04T09:00:02Z",
        "model": "tiny",
        "usageDetails": {"input": 3, "output": 4},
        "input": prompt,
        "output": answer,
        **more,
    }


def score(value=1, name="thumbs", source="API", **about):
    return {"name": name, "value": value, "source": source, "timestamp": TIME, **about}


def by_id(logs, column):
    return dict(zip(logs["id"], logs[column], strict=True))


def rated(logs):
    return {key: value for key, value in by_id(logs, "feedback").items() if not np.isnan(value)}


def facts(logs, name):
    return logs.attrs["load_feedback"].get(name)


class TestObservationsInsideTraces:
    def test_they_are_no_answers_of_their_own(self):
        inside = [observation("o", "t", "Rewrite: q", "model's text")]
        logs = load_feedback([trace("t", observations=inside)])
        assert logs[["id", "prompt", "completion"]].to_numpy().tolist() == [["t", "q", "a"]]
        row = logs.iloc[0]
        assert (row["model"], row["prompt_tokens"], row["completion_tokens"]) == ("tiny", 3, 4)
        assert (row["conversation"], row["user"]) == ("session t", "u")

    def test_they_hold_the_texts_that_the_trace_lacks(self):
        inside = [
            observation("root", "t", None, None, kind="SPAN"),
            observation("call", "t", "q of the call", "a of the call", parent="root"),
        ]
        logs = load_feedback(
            [trace("t", None, None, observations=inside, scores=[score(traceId="t")])]
        )
        assert logs[["prompt", "completion"]].to_numpy().tolist() == [
            ["q of the call", "a of the call"]
        ]
        assert logs["conversation"].tolist() == ["session t"]
        assert rated(logs) == {"call": 1}

    def test_they_serve_where_the_trace_cannot_be_read(self):
        inside = [observation("call", "t", [{"role": "user", "content": "q"}], "a of the call")]
        logs = load_feedback([trace("t", {"x": 1, "y": 2}, {"u": 1, "v": 2}, observations=inside)])
        assert logs[["id", "prompt", "completion"]].to_numpy().tolist() == [
            ["t", "q", "a of the call"]
        ]

    def test_ids_alone_say_nothing(self):
        logs = load_feedback([trace("t", observations=["o"], scores=["s"])])
        assert logs["id"].tolist() == ["t"]
        assert rated(logs) == {}

    def test_traces_and_observations_as_two_sources(self):
        traces = [trace("t"), trace("s")]
        calls = [observation("o", "t", "Rewrite: q"), observation("p", "s", "Rewrite: q")]
        logs = load_feedback([traces, calls], scores=[score(observationId="o", traceId="t")])
        assert logs["id"].tolist() == ["t", "s"]
        assert rated(logs) == {"t": 1}


class TestDownloads:
    @pytest.mark.parametrize("scores_inside", [True, False])
    def test_one_trace(self, tmp_path, scores_inside):
        scores = [score(0, traceId="t"), score(0.5, "relevance", "EVAL", observationId="o")]
        own = trace("t", scores=scores) if scores_inside else trace("t")
        file = {"trace": own, "observations": [observation("o", "t")]}
        if not scores_inside:
            file["scores"] = scores
        path = tmp_path / "trace-t.json"
        path.write_text(json.dumps(file))
        logs = load_feedback(path)
        assert rated(logs) == {"t": 0}
        assert by_id(logs, "judge_score") == {"t": 0.5}
        second = tmp_path / "trace-s.json"
        second.write_text(json.dumps({"trace": trace("s"), "observations": []}))
        assert load_feedback([path, second])["id"].tolist() == ["t", "s"]

    def test_texts_of_a_trace_are_json(self, tmp_path):
        chat = json.dumps([{"role": "user", "content": "q"}])
        files = []
        for key, prompt, answer in (("t", '"q"', '"a"'), ("s", chat, '{"answer": "b"}')):
            file = tmp_path / f"trace-{key}.json"
            file.write_text(json.dumps({"trace": trace(key, prompt, answer), "observations": []}))
            files.append(file)
        logs = load_feedback(files)
        assert logs["prompt"].tolist() == ["q", "q"]
        assert logs["completion"].tolist() == ["a", "b"]
        # In a table where some text is no JSON, a text with quotes is a text.
        logs = load_feedback([trace("t", '"q"', '"a"'), trace("s", "q", '{"answer": "b"}')])
        assert logs["completion"].tolist() == ['"a"', '{"answer": "b"}']

    def test_a_session_holds_no_texts(self):
        session = {
            "id": "s",
            "traces": [{"id": "t", "timestamp": TIME, "environment": "default", "scores": []}],
        }
        with pytest.raises(FileFormatError, match="export the table of traces"):
            load_feedback(session)

    @pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
    @pytest.mark.parametrize("kind", ["traces", "observations"])
    def test_tables_with_a_column_for_each_score(self, tmp_path, form, kind):
        make = (
            trace if kind == "traces" else lambda key, **more: observation(key, "t" + key, **more)
        )
        rows = [
            make(
                "a", comments=[], **{"user-feedback": [1.0], "relevance": [0.5], "tone": ["kind"]}
            ),
            make("b", comments=[], **{"user-feedback": [0.0, 1.0], "relevance": [0.4]}),
            make("c", comments=[], toolCallNames=["search"], latencyMs=1500),
        ]
        path = tmp_path / f"export.{form}"
        if form == "csv":
            frame = pd.DataFrame(rows)
            lists = ["user-feedback", "relevance", "tone", "comments", "toolCallNames"]
            frame[lists] = frame[lists].map(lambda v: json.dumps(v) if isinstance(v, list) else "")
            frame.to_csv(path, index=False)
        elif form == "json":
            path.write_text(json.dumps(rows))
        else:
            path.write_text("\n".join(map(json.dumps, rows)))
        logs = load_feedback(path)
        assert rated(logs) == {"a": 1, "b": 1}
        assert facts(logs, "n_superseded") == 1  # both ratings of b are in the file
        assert facts(logs, "n_other_scores") == 3  # two of relevance, one of tone
        assert by_id(logs, "latency")["c"] == 1.5
        named = load_feedback(path, judge_score_name="relevance")
        assert named["judge_score"].dropna().tolist() == [0.5, 0.4]

    @pytest.mark.parametrize("form", ["json", "csv"])
    def test_single_values_in_columns(self, tmp_path, form):
        rows = [
            trace("a", **{"user-feedback": 1, "relevance_score": 0.5}),
            trace("b", **{"user-feedback": 0}),
            trace("c"),
        ]
        path = tmp_path / f"traces.{form}"
        if form == "json":
            path.write_text(json.dumps(rows))
        else:
            pd.DataFrame(rows).to_csv(path, index=False)
        logs = load_feedback(path)
        assert rated(logs) == {"a": 1, "b": 0}
        assert facts(logs, "n_other_scores") == 1

    @pytest.mark.parametrize(
        "scores",
        [
            {"user-feedback": [0], "relevance": 0.5},
            {"user-feedback": 0, "relevance": [0.5]},
            {"user-feedback": {"value": 0}, "relevance": {"value": 0.5}},
        ],
    )
    def test_scores_by_name(self, scores):
        logs = load_feedback([trace("a", scores=scores), trace("b", scores={})])
        assert rated(logs) == {"a": 0}
        assert facts(logs, "n_other_scores") == 1

    def test_observations_of_the_interface(self):
        """They have no column of the observation above."""
        calls = [observation(key, "t" + key) for key in "ab"]
        for call in calls:
            del call["parentObservationId"]
        logs = load_feedback([{**calls[0], "user-feedback": [1]}, calls[1]])
        assert facts(logs, "format") == "langfuse"
        assert rated(logs) == {"a": 1}

    @pytest.mark.parametrize("name", ["user-comment", "User reason", "feedback_text"])
    def test_comments_alone_are_no_ratings(self, name):
        logs = load_feedback([trace("a", **{name: ["too long"]}), trace("b")])
        assert rated(logs) == {}
        assert facts(logs, "n_other_scores") == 1
        given = [score("too long", name, traceId="a")]
        assert facts(load_feedback([trace("a"), trace("b")], scores=given), "n_other_scores") == 1


class TestTexts:
    @pytest.mark.parametrize(
        ("given", "prompt"),
        [
            ({"args": ["q"], "kwargs": {"k": 1}}, "q"),
            ({"args": ["q", {"k": 1}, 3], "kwargs": {}}, "q"),
            ({"args": [], "kwargs": {"question": "q", "user": "u"}}, "q"),
            ({"args": [{"question": "q"}], "kwargs": {"x": None}}, "q"),
            ({"args": [3, [{"role": "user", "content": "q"}]], "kwargs": {}}, "q"),
            ({"messages": ["user", "q"]}, "q"),
            ({"messages": [["user", "q"]]}, "q"),
        ],
    )
    def test_arguments_and_short_forms(self, given, prompt):
        assert load_feedback([trace("t", given)])["prompt"].tolist() == [prompt]

    def test_two_questions_cannot_be_told_apart(self):
        logs = load_feedback([trace("s"), trace("t", {"args": ["one", "two"], "kwargs": {}})])
        assert facts(logs, "left_out")["unreadable prompt"]["ids"] == ["t"]

    @pytest.mark.parametrize(
        ("answer", "text"),
        [
            (["Good ", "morn", "ing"], "Good morning"),
            (["你", "好"], "你好"),
            (["One answer.", "Another answer."], "One answer.\nAnother answer."),
            (["whole"], "whole"),
        ],
    )
    def test_streamed_answers(self, answer, text):
        assert load_feedback([trace("t", "q", answer)])["completion"].tolist() == [text]


class TestScores:
    traces = (trace("t"), trace("s"))

    @pytest.mark.parametrize(
        ("about", "matched"),
        [
            ({"traceId": "t"}, True),
            ({"trace_id": "t"}, True),
            ({"traceId": "t", "observationId": "elsewhere"}, True),
            ({"traceId": None, "sessionId": "session t"}, True),
            ({"subject": {"kind": "trace", "id": "t"}}, True),
            ({"subject": {"kind": "observation", "id": "o", "traceId": "t"}}, True),
            ({"subject": {"kind": "session", "id": "session t"}}, True),
            ({"subject": {"kind": "experiment", "id": "t"}}, False),
            ({"traceId": "gone"}, False),
        ],
    )
    def test_what_they_are_about(self, about, matched):
        logs = load_feedback(list(self.traces), scores=[score(0, **about)])
        assert rated(logs) == ({"t": 0} if matched else {})
        assert facts(logs, "n_unmatched") == int(not matched)

    def test_comments_and_corrections_by_users_are_no_ratings(self):
        scores = [
            score(traceId="t"),
            score(None, "remark", stringValue="too long", dataType="TEXT", traceId="t"),
            score(None, "output", stringValue="better", dataType="CORRECTION", traceId="s"),
        ]
        logs = load_feedback(list(self.traces), scores=scores)
        assert rated(logs) == {"t": 1}
        assert facts(logs, "n_other_scores") == 2

    def test_two_ratings_by_users_need_a_name(self):
        scores = [score(traceId="t"), score(name="helpful", traceId="t")]
        with pytest.raises(FileFormatError, match=r"\['helpful', 'thumbs'\].*pass feedback_name"):
            load_feedback(list(self.traces), scores=scores)

    def test_the_category_counts_not_its_number(self):
        scores = [
            score(value, stringValue=text, dataType="CATEGORICAL", traceId=key)
            for key, value, text in (("t", 0, "thumbs_up"), ("s", 1, "thumbs_down"))
        ]
        assert rated(load_feedback(list(self.traces), scores=scores)) == {"t": 1, "s": 0}

    def test_those_of_answers_that_were_left_out_are_counted_apart(self):
        rows = [trace("a"), trace("b", answer=None), trace("c", prompt=None, answer=None)]
        scores = [score(traceId=key) for key in ("b", "c", "elsewhere")]
        logs = load_feedback(rows, scores=scores)
        assert facts(logs, "left_out") == {"no answer": {"count": 2, "ids": ["b", "c"]}}
        assert (facts(logs, "n_scores_left_out"), facts(logs, "n_unmatched")) == (2, 1)


class Source(enum.Enum):
    API = "API"


class Model:
    """An object with `model_dump`, as the SDK's are."""

    def __init__(self, **fields):
        self.__dict__ = fields

    def model_dump(self):
        return dict(vars(self))

    def __iter__(self):
        return iter(vars(self).items())


class TestObjects:
    def objects(self):
        scores = [
            Model(
                **score(1, source=Source.API, traceId="t") | {"timestamp": dt.datetime.now(dt.UTC)}
            )
        ]
        return [
            Model(**trace("t", observations=[Model(**observation("o", "t"))], scores=scores)),
            Model(**trace("s", observations=[], scores=[])),
        ]

    def test_objects_and_pages(self):
        traces = self.objects()
        for source in (traces, iter(traces), Model(data=traces, meta=Model(page=1))):
            assert rated(load_feedback(source)) == {"t": 1}
        assert rated(load_feedback(traces[0])) == {"t": 1}

    def test_tables_of_what_objects_print(self, tmp_path):
        """A table of dictionaries writes times and enumerations as Python prints them."""
        rows = [
            trace(
                "t",
                scores=[
                    score(1, source=Source.API, traceId="t", createdAt=dt.datetime.now(dt.UTC))
                ],
            ),
            trace("s", {"args": ("q",), "kwargs": {}}, scores=[]),
        ]
        pd.DataFrame(rows).to_csv(tmp_path / "traces.csv", index=False)
        logs = load_feedback(tmp_path / "traces.csv")
        assert rated(logs) == {"t": 1}
        assert logs["prompt"].tolist() == ["q", "q"]

    def test_answers_that_objects_print(self, tmp_path):
        rows = [
            trace("t", metadata={"release": "1"}),
            trace("s", "q", {"answer": "b", "sources": []}, metadata={}),
            trace("r", "q", {"error": "boom"}, metadata={}),
        ]
        pd.DataFrame(rows).to_csv(tmp_path / "traces.csv", index=False)
        logs = load_feedback(tmp_path / "traces.csv")
        assert logs["completion"].tolist() == ["a", "b"]
        assert facts(logs, "left_out")["no answer"]["ids"] == ["r"]
        # In other tables, a model may have written such a text.
        said = "{'answer': 'b'}"
        assert load_feedback([trace("t", "q", said)])["completion"].tolist() == [said]

    def test_a_column_that_cannot_be_read_is_no_silent_loss(self, tmp_path):
        rows = [trace("t", scores="[{'name': 'thumbs' ...]"), trace("s", scores="[]")]
        pd.DataFrame(rows).to_csv(tmp_path / "traces.csv", index=False)
        with pytest.raises(FileFormatError, match="'scores' holds texts that are neither JSON"):
            load_feedback(tmp_path / "traces.csv")
