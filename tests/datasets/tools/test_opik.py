"""Opik: traces, spans, files of its command line and its interface, and scores by author."""

import json

import numpy as np
import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import FileFormatError

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")


def trace(key, **more):
    return {
        "id": key,
        "start_time": "2026-05-04T09:00:00Z",
        "end_time": "2026-05-04T09:00:01Z",
        "input": {"question": f"q {key}"},
        "output": {"output": f"a {key}"},
        "thread_id": "thread",
        "metadata": {"user_id": "u"},
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
        "duration": 1500.0,
        "feedback_scores": None,
        **more,
    }


def span(key, of, parent=None, **more):
    return {
        "id": key,
        "trace_id": of,
        "parent_span_id": parent,
        "type": "llm",
        "model": "tiny",
        "start_time": "2026-05-04T09:00:00Z",
        "input": {"messages": [{"role": "user", "content": "q of the call"}]},
        "output": {"choices": [{"message": {"role": "assistant", "content": "a of the call"}}]},
        **more,
    }


def score(value, source="sdk", name="User feedback", **more):
    return {"name": name, "value": value, "source": source, **more}


def rated(logs):
    pairs = zip(logs["id"], logs["feedback"], strict=True)
    return {key: value for key, value in pairs if not np.isnan(value)}


class TestTraces:
    @pytest.mark.parametrize("form", ["list", "page", "csv", "parquet"])
    def test_forms(self, tmp_path, form):
        scores = [score(0), score(1, "ui", "correct"), score(0.7, "online_scoring", "relevance")]
        rows = [trace("a", feedback_scores=scores), trace("b")]
        source = rows
        if form == "page":
            source = tmp_path / "page.json"
            source.write_text(json.dumps({"page": 1, "size": 2, "total": 2, "content": rows}))
        elif form == "csv":
            source = tmp_path / "traces.csv"
            pd.DataFrame(rows).to_csv(source, index=False)
        elif form == "parquet":
            source = tmp_path / "traces.parquet"
            pd.DataFrame(rows).to_parquet(source)
        logs = load_feedback(source, verified_name="correct")
        assert logs["prompt"].tolist() == ["q a", "q b"]
        assert logs["completion"].tolist() == ["a a", "a b"]
        assert rated(logs) == {"a": 0}
        assert logs["verified"].dropna().tolist() == [1]
        assert logs["judge_score"].dropna().tolist() == [0.7]
        row = logs.iloc[1]
        assert (row["conversation"], row["user"], row["latency"]) == ("thread", "u", 1.5)
        assert (row["prompt_tokens"], row["completion_tokens"]) == (3, 4)

    def test_scores_by_name(self):
        rows = [trace("a", feedback_scores={"User feedback": 0, "relevance": 0.7}), trace("b")]
        logs = load_feedback(rows)
        assert rated(logs) == {"a": 0}
        assert logs.attrs["load_feedback"]["n_other_scores"] == 1

    def test_nothing_as_json_is_no_answer(self):
        logs = load_feedback([trace("a"), trace("b", output="null")])
        assert logs.attrs["load_feedback"]["left_out"]["no answer"]["ids"] == ["b"]

    def test_objects_without_scores(self):
        """Objects leave out the fields that the server did not send."""
        rows = [{**trace(key), "total_estimated_cost": 0.0} for key in "ab"]
        for row in rows:
            del row["feedback_scores"]
        logs = load_feedback(rows, scores=[{"id": "a", "name": "thumbs", "value": 1} | {
            "source": "sdk"}])  # fmt: skip
        assert logs.attrs["load_feedback"]["format"] == "opik"
        assert rated(logs) == {"a": 1}
        own = load_feedback([{**row, "feedback": 1} for row in rows])
        assert own.attrs["load_feedback"]["format"] == "plain"

    def test_each_author_counts(self):
        authors = {
            "ann": {"value": 1, "source": "ui", "last_updated_at": "2026-05-04T10:00:00Z"},
            "bob": {"value": 0, "source": "ui", "last_updated_at": "2026-05-04T11:00:00Z"},
            "eve": {"value": 1, "source": "ui", "last_updated_at": "2026-05-04T12:00:00Z"},
            "app": {"value": 0, "source": "sdk", "reason": "too long"},
        }
        rows = [trace("a", feedback_scores=[score(0.5, "ui", value_by_author=authors)])]
        logs = load_feedback([*rows, trace("b")], verified_name="User feedback")
        assert rated(logs) == {"a": 0}
        assert logs["verified"].dropna().tolist() == [1]  # two of three
        assert logs["comment"].dropna().tolist() == ["too long"]
        assert logs.attrs["load_feedback"]["n_outvoted"] == 1


class TestSpans:
    def nested(self):
        unread = {"input": {"x": 1, "y": 2}, "output": {"u": 1, "v": 2}}
        calls = [span("s", "b", feedback_scores=[score(1)]), span("r", "a")]
        return [trace("a"), trace("b", **unread)], calls

    def check(self, logs):
        assert logs["id"].tolist() == ["a", "b"]
        assert logs["prompt"].tolist() == ["q a", "q of the call"]
        assert logs["completion"].tolist() == ["a a", "a of the call"]
        assert rated(logs) == {"b": 1}
        assert logs["model"].tolist() == ["tiny", "tiny"]

    def test_next_to_the_traces(self):
        traces, spans = self.nested()
        self.check(load_feedback([traces, spans]))

    def test_files_of_the_command_line(self, tmp_path):
        traces, spans = self.nested()
        paths = []
        for one in traces:
            own = [s for s in spans if s["trace_id"] == one["id"]]
            path = tmp_path / f"trace_{one['id']}.json"
            path.write_text(json.dumps({"trace": one, "spans": own, "downloaded_at": "2026"}))
            paths.append(path)
        self.check(load_feedback(paths))

    def test_flattened_files_are_refused(self):
        row = {"trace_id": "a", "trace_input_question": "q", "trace_feedback_scores": "[]"}
        with pytest.raises(FileFormatError, match="--format json"):
            load_feedback([row])

    def test_summed_scores_of_spans(self):
        logs = load_feedback([trace("a", span_feedback_scores=[score(0)]), trace("b")])
        assert rated(logs) == {"a": 0}
        # The spans' own scores are not counted twice.
        traces, spans = self.nested()
        traces[1]["span_feedback_scores"] = [score(0)]
        self.check(load_feedback([traces, spans]))


@pytest.mark.parametrize("form", ["json", "csv"])
def test_tables_of_the_interface(tmp_path, form):
    """A column for each score, with a dash for none, and one for its reason."""
    rated_column, judged = "feedback_scores.User feedback", "feedback_scores.relevance"
    rows = [
        {"id": "a", rated_column: 1, f"{rated_column}_reason": "fine", judged: 0.5},
        {"id": "b", rated_column: "-", judged: "-"},
    ]
    texts = [{"input": {"question": "q"}, "output": {"output": "a"}}, {"input": "q", "output": "b"}]
    rows = [own | text for own, text in zip(rows, texts, strict=True)]
    path = tmp_path / f"project-traces.{form}"
    if form == "json":
        path.write_text(json.dumps(rows))
    else:
        frame = pd.DataFrame(rows)
        for side in ("input", "output"):
            frame[side] = frame[side].map(lambda v: json.dumps(v) if isinstance(v, dict) else v)
        frame.to_csv(path, index=False)
    logs = load_feedback(path)
    assert logs.attrs["load_feedback"]["format"] == "opik"
    assert rated(logs) == {"a": 1}
    assert logs["completion"].tolist() == ["a", "b"]
    assert logs["comment"].dropna().tolist() == ["fine"]
    assert logs.attrs["load_feedback"]["n_other_scores"] == 1
