import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import (
    AssumptionWarning,
    DataLossWarning,
    FeedbackError,
    FileFormatError,
    InvalidInputError,
)

FIXTURES = Path(__file__).parent / "fixtures"


def nan_equal(values, expected):
    return np.array_equal(np.asarray(values, dtype=float), expected, equal_nan=True)


def load(source, scores=None, **kwargs):
    return load_feedback(
        FIXTURES / source, scores=None if scores is None else FIXTURES / scores, **kwargs
    )


class TestLangfuse:
    def test_traces_joined_with_scores(self):
        with pytest.warns(DataLossWarning) as caught:
            logs = load("langfuse_traces.json", "langfuse_scores.json")
        message = str(caught[0].message)
        for text in ("1 with no answer (t-4: ", "1 scores of answers", "1 scores superseded"):
            assert text in message
        assert logs["id"].tolist() == ["t-1", "t-2", "t-3"]
        assert nan_equal(logs["feedback"], [1, 0, np.nan])  # the later thumb of t-2 counts
        assert nan_equal(logs["judge_score"], [np.nan, np.nan, 0.75])
        assert "verified" not in logs.columns
        assert logs["completion"].tolist() == ["Lima.", "Cusco.", "Bonjour."]
        assert logs["prompt"][0][0] == {"role": "system", "content": "Be brief."}
        assert logs["prompt"][1] == "Capital of Peru?"
        assert logs["group"].tolist() == [0, 1, 1]  # by session
        assert logs["user"].tolist() == ["u-7", "u-8", "u-8"]
        assert logs["comment"].tolist()[1] == "It is Lima"
        assert str(logs["timestamp"].dt.tz) == "UTC"
        facts = logs.attrs["load_feedback"]
        assert facts["format"] == "langfuse"
        assert facts["left_out"] == {"no answer": {"count": 1, "ids": ["t-4"]}}
        assert (facts["n_repeated"], facts["n_unmatched"], facts["n_superseded"]) == (0, 1, 1)
        assert facts["n_other_scores"] == 1

    def test_annotations_are_verified_only_if_named(self):
        with pytest.warns(DataLossWarning):
            logs = load(
                "langfuse_traces.json",
                "langfuse_scores.json",
                verified_name="correct",
                labels={"no": 0, "yes": 1},
            )
        assert nan_equal(logs["verified"], [np.nan, 0, np.nan])

    def test_observations_and_blob_scores(self):
        logs = load("langfuse_observations_v2.jsonl", "langfuse_scores_blob.jsonl")
        assert logs["id"].tolist() == ["o-10", "o-20"]  # the call below o-10 is not an answer
        assert nan_equal(logs["feedback"], [1, np.nan])
        assert logs["model"].tolist() == ["small-1", "small-2"]
        assert logs["prompt"].tolist() == ["Capital of Peru?", "Capital of Chile?"]

    def test_csv_export(self, tmp_path):
        paths = {}
        for name in ("traces", "scores"):
            records = json.loads((FIXTURES / f"langfuse_{name}.json").read_text())["data"]
            table = pd.DataFrame(records).drop(columns=["scores", "trace"], errors="ignore")
            nested = table.map(lambda v: json.dumps(v) if isinstance(v, dict | list) else v)
            paths[name] = tmp_path / f"{name}.csv"
            nested.to_csv(paths[name], index=False)
        with pytest.warns(DataLossWarning, match="1 with no answer"):
            logs = load_feedback(paths["traces"], scores=paths["scores"])
        assert nan_equal(logs["feedback"], [1, 0, np.nan])
        assert logs["completion"].tolist() == ["Lima.", "Cusco.", "Bonjour."]

    def test_scores_inside_a_downloaded_trace(self):
        trace = json.loads((FIXTURES / "langfuse_traces.json").read_text())["data"][0]
        scores = json.loads((FIXTURES / "langfuse_scores.json").read_text())["data"][:1]
        other = {**trace, "id": "t-5", "scores": []}
        logs = load_feedback([{**trace, "scores": scores}, other])
        assert nan_equal(logs["feedback"], [1, np.nan])

    def test_a_judge_is_never_feedback(self):
        with pytest.raises(FileFormatError, match="by models \\['judge'\\]"):
            load("langfuse_traces.json", "langfuse_scores.json", feedback_name="judge")

    def test_unknown_text_object(self):
        traces = [{"id": "a", "input": {"x": 1, "y": 2}, "output": "b"}]
        with pytest.raises(FileFormatError, match=r"1 with unreadable prompt \(a: name the text"):
            load_feedback(traces)

    def test_several_user_scores_must_be_named(self):
        traces = [
            {"id": "a", "input": "q", "output": "b"},
            {"id": "c", "input": "q", "output": "d"},
        ]
        scores = [
            {"traceId": "a", "name": name, "value": value, "source": "API"}
            for name, value in (("thumbs", 1), ("solved", 0))
        ]
        with pytest.raises(FileFormatError, match=r"'solved', 'thumbs'.*pass feedback_name"):
            load_feedback(traces, scores=scores)
        with pytest.warns(DataLossWarning, match="1 scores that are neither"):
            logs = load_feedback(traces, scores=scores, feedback_name="solved")
        assert nan_equal(logs["feedback"], [0, np.nan])

    def test_feedback_must_be_binary(self):
        traces = [{"id": "a", "input": "q", "output": "b"}]
        scores = [{"traceId": "a", "name": "stars", "value": 4, "source": "API"}]
        with pytest.raises(FeedbackError, match=r"stars of the scores.*1 of 1 rows"):
            load_feedback(traces, scores=scores)


def test_langsmith():
    with pytest.warns(DataLossWarning, match="1 scores that are neither"):
        logs = load("langsmith_runs.jsonl", "langsmith_feedback.json")
    assert logs["completion"].tolist() == ["3.1 miles.", "Leaves fall."]
    assert logs["prompt"][0] == "Convert 5 km to miles."
    assert logs["prompt"][1] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Write a haiku."},
    ]
    assert nan_equal(logs["feedback"], [1, np.nan])  # given on the call below the first run
    assert nan_equal(logs["judge_score"], [np.nan, 0.4])
    assert logs["model"].tolist() == ["medium-2", "medium-2"]
    assert logs["user"].tolist() == ["u-1", "u-2"]
    logs = load("langsmith_runs.jsonl", "langsmith_feedback.json", verified_name="correctness")
    assert nan_equal(logs["verified"], [np.nan, 0])


def test_a_langsmith_score_without_a_source_is_not_taken_for_a_models():
    run = {"id": "r", "inputs": {"input": "q"}, "outputs": {"output": "a"}}
    runs = [run, {**run, "id": "s"}]
    scores = [{"run_id": "r", "key": "thumbs", "score": 1}]
    for source in ({}, {"feedback_source": None}, {"feedback_source": {"user_id": "u"}}):
        unknown = [{**score, **source} for score in scores]
        with pytest.raises(FileFormatError, match=r"named \['thumbs'\].*pass feedback_name"):
            load_feedback(runs, scores=unknown)
        logs = load_feedback(runs, scores=unknown, feedback_name="thumbs")
        assert nan_equal(logs["feedback"], [1, np.nan])
        assert "judge_score" not in logs.columns
        # A person may have given it, so the caller may name it as a verdict.
        unknown.append({**scores[0], "key": "liked", "feedback_source": {"type": "api"}})
        logs = load_feedback(runs, scores=unknown, verified_name="thumbs")
        assert nan_equal(logs["verified"], [1, np.nan])


def test_phoenix_rest():
    logs = load("phoenix_spans.json", "phoenix_annotations.json", verified_name="checked",
                labels={"wrong": 0})  # fmt: skip
    assert logs["prompt"].tolist() == ["Who wrote Emma?", "Who wrote Ulysses?"]
    assert logs["completion"].tolist() == ["Jane Austen.", "Homer."]
    assert nan_equal(logs["feedback"], [1, np.nan])
    assert nan_equal(logs["judge_score"], [np.nan, 0.1])
    assert nan_equal(logs["verified"], [np.nan, 0])
    assert logs["model"].tolist() == ["tiny", "tiny"]
    assert logs["comment"].tolist()[0] == "right"


def test_phoenix_dataframes():
    spans = pd.DataFrame(
        {
            "context.span_id": ["s1", "s2"],
            "context.trace_id": ["t1", "t2"],
            "span_kind": ["LLM", "LLM"],
            "parent_id": [None, None],
            "start_time": pd.to_datetime(["2026-05-04T09:00:00Z", "2026-05-04T10:00:00Z"]),
            "attributes.input.value": ["Who wrote Emma?", "Who wrote Emma?"],
            "attributes.output.value": ["Austen.", "Brontë."],
            "attributes.llm.model_name": ["tiny", "tiny"],
        }
    ).set_index("context.span_id", drop=False)
    annotations = pd.DataFrame(
        {
            "span_id": ["s2"],
            "annotation_name": ["thumbs"],
            "annotator_kind": ["HUMAN"],
            "result.score": [0.0],
            "result.label": ["down"],
            "created_at": ["2026-05-04T11:00:00+00:00"],
        }
    ).set_index("span_id")
    logs = load_feedback(spans, scores=annotations)
    assert nan_equal(logs["feedback"], [np.nan, 0])
    assert logs["group"].tolist() == [0, 0]


def test_opentelemetry():
    with pytest.raises(FileFormatError, match="pass feedback_name"):
        load("otel_spans.jsonl", "otel_logs.jsonl")
    with pytest.warns(AssumptionWarning):
        logs = load(
            "otel_spans.jsonl",
            "otel_logs.jsonl",
            feedback_name="user_thumbs",
            judge_score_name="Relevance",
            labels={"pass": 1, "fail": 0},
        )
    assert nan_equal(logs["feedback"], [1, 0])  # one by response id in a log, one as a span event
    assert nan_equal(logs["judge_score"], [0.9, np.nan])
    assert logs["completion"].tolist() == ["Rainy, 57 F.", "Snow."]
    assert logs["prompt"][0] == [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": "Weather in Paris?"},
    ]
    assert logs["prompt"][1] == "Weather in Oslo?"
    assert logs["model"].tolist() == ["gpt-x-0613", "gpt-x"]
    assert logs["timestamp"][0] == pd.Timestamp("2026-05-04T09:00:01Z")


class TestOpenWebUI:
    def test_chats_joined_with_feedback(self):
        logs = load("open_webui_chats.json", "open_webui_feedback.json")
        assert logs["id"].tolist() == ["chat-1/m-2", "chat-1/m-3", "chat-1/m-5"]
        assert nan_equal(logs["feedback"], [0, np.nan, 1])
        assert [turn["content"] for turn in logs["prompt"][2]] == [
            "How do I make soup?",
            "Fry onions, add stock.",
            "How long?",
        ]
        assert logs["group"].nunique() == 1
        assert logs["tags"].tolist()[0] == "not_helpful"
        assert logs["timestamp"][0] == pd.Timestamp(1777885210, unit="s", tz="UTC")

    def test_chats_alone_hold_their_ratings(self):
        logs = load("open_webui_chats.json")
        assert nan_equal(logs["feedback"], [0, np.nan, 1])

    def test_feedback_alone_says_so(self):
        with pytest.warns(AssumptionWarning, match="All 2 rows are rated"):
            logs = load("open_webui_feedback.json")
        assert logs["completion"].tolist() == ["Boil water.", "Twenty minutes."]


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("langfuse_scores.json", "langfuse"),
        ("langfuse_scores_blob.jsonl", "langfuse"),
        ("langsmith_feedback.json", "langsmith"),
        ("phoenix_annotations.json", "phoenix"),
        ("otel_logs.jsonl", "otel"),
    ],
)
def test_scores_alone_are_refused(name, format):
    with pytest.raises(FileFormatError, match=f"{format} scores alone"):
        load(name)
    with pytest.raises(FileFormatError, match="only rated answers"):
        load(name, format=format)


@pytest.mark.parametrize(
    ("source", "scores", "column"),
    [
        ("langfuse_traces.json", [{"a": 1}], "'name'"),
        ("langsmith_runs.jsonl", [{"key": "a"}], "'run_id'"),
        ("phoenix_spans.json", [{"name": "a"}], "'span_id'"),
        ("open_webui_chats.json", [{"data": {}}], "'meta'"),
    ],
)
def test_scores_without_their_columns(source, scores, column):
    with pytest.raises(FileFormatError, match=f"(need the|have no|has no) column.*{column}"):
        load_feedback(FIXTURES / source, scores=scores)


def test_empty_output_is_left_out_and_counted_or_refused():
    traces = [{"id": "a", "input": "q", "output": " "}, {"id": "b", "input": "q", "output": "c"}]
    with pytest.warns(
        DataLossWarning, match=r"1 rows that were left out: 1 with empty answer \(a:"
    ):
        assert load_feedback(traces)["id"].tolist() == ["b"]
    with pytest.raises(InvalidInputError, match=r"empty answer in 1 of 2 rows \(first: a\)"):
        load_feedback(traces, on_error="raise")


def test_repeated_traces_are_counted():
    traces = [{"id": "a", "input": "q", "output": text} for text in ("old", "new")]
    with pytest.warns(DataLossWarning, match="1 repeated answers"):
        logs = load_feedback(traces)
    assert logs["completion"].tolist() == ["new"]


def test_parents_in_a_circle_end():
    runs = [
        {"id": "a", "parent_run_id": "b", "inputs": {"x": "q"}, "outputs": {"y": "1"}},
        {"id": "b", "parent_run_id": "a", "inputs": {"x": "q"}, "outputs": {"y": "2"}},
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", AssumptionWarning)  # nothing is rated
        assert len(load_feedback(runs, format="langsmith")) >= 1


def chats_of(messages):
    return [{"id": "c", "user_id": "u", "chat": {"history": {"messages": messages}}}]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (
            [{"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": [{"value": {}}]}]}]}]}],
            "spans has messages",
        ),
        (
            [{"snapshot": {"history": {}}, "meta": None, "data": {"rating": 1}}],
            "Open WebUI source holds no answer",
        ),
        (chats_of([{"role": "user", "content": "q"}]), "Open WebUI source holds no answer"),
        ([{"resourceSpans": []}], "otel source holds no answer"),
    ],
)
def test_malformed_exports_are_refused(records, message):
    with pytest.raises(FileFormatError, match=message):
        load_feedback(records)


def test_parents_of_a_chat_in_a_circle_end():
    messages = {
        "a": {"role": "assistant", "content": "1", "parentId": "b"},
        "b": {"parentId": "c"},
        "c": {"role": "user", "content": "q", "parentId": "b"},
    }
    assert load_feedback(chats_of(messages))["prompt"].tolist() == ["q"]
