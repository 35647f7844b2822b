"""MLflow: traces as objects, dictionaries and tables, with their assessments."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import DataLossWarning, FileFormatError, UnusedParameterError

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
EXPORTS = Path(__file__).resolve().parents[4] / "shared" / "data" / "exports" / "mlflow"


def span(key, inputs, outputs, parent=None, kind="CHAIN", **more):
    """Return a span as `Span.to_dict` writes it: ids in base64, values as JSON."""

    def coded(name):
        return None if name is None else base64.b64encode(bytes.fromhex(name)).decode()

    values = {"mlflow.spanInputs": inputs, "mlflow.spanOutputs": outputs, "mlflow.spanType": kind}
    attributes = {name: json.dumps(value) for name, value in values.items() if value is not None}
    return {
        "span_id": coded(key), "parent_span_id": coded(parent), "events": [],
        "attributes": attributes, **more,
    }  # fmt: skip


def feedback(value, kind="HUMAN", name="thumbs", **more):
    return {
        "assessment_name": name, "feedback": {"value": value}, "valid": True,
        "source": {"source_type": kind, "source_id": "u"},
        "create_time": "2026-01-01T00:00:00Z", "last_update_time": "2026-01-01T00:00:00Z", **more,
    }  # fmt: skip


def trace(key, spans, *assessments, metadata=None, **more):
    info = {
        "trace_id": key, "request_time": "2026-01-02T03:04:05Z", "state": "OK",
        "execution_duration_ms": 1500, "trace_metadata": metadata or {}, "tags": {"survey": "1"},
        "request_preview": "cut...", "response_preview": "cut...", "assessments": [*assessments],
        **more,
    }  # fmt: skip
    return {"info": info, "data": {"spans": spans}}


ROOT, CALL = "0011223344556677", "8899aabbccddeeff"
CHAT = {"messages": [{"role": "user", "content": "Soup?"}], "model": "m"}
REPLY = {"choices": [{"message": {"role": "assistant", "content": "Yes."}}]}


def one(*assessments, **more):
    metadata = {
        "mlflow.trace.user": "ann", "mlflow.trace.session": "s",
        "mlflow.trace.tokenUsage": '{"input_tokens": 3, "output_tokens": 4}',
    }  # fmt: skip
    spans = [
        span(ROOT, {"question": "Soup?", "history": None}, "Yes."),
        span(CALL, CHAT, REPLY, ROOT, "CHAT_MODEL"),
    ]
    spans[1]["attributes"]["mlflow.llm.model"] = '"tiny"'
    return trace("tr-1", spans, *assessments, metadata=metadata, **more)


def table(traces):
    """Return the table that `search_traces` makes."""
    return pd.DataFrame(
        [
            {
                "trace_id": each["info"]["trace_id"], "trace": json.dumps(each),
                "state": "OK", "request_time": 1_767_323_045_000, "execution_duration": 1500,
                "request": {"question": "Soup?"}, "response": "Yes.",
                "trace_metadata": each["info"]["trace_metadata"], "tags": each["info"]["tags"],
                "spans": each["data"]["spans"], "assessments": each["info"]["assessments"],
            }
            for each in traces
        ]
    )  # fmt: skip


@dataclass
class Trace:
    """An object with `to_dict`, as MLflow's own."""

    content: dict

    def to_dict(self):
        return self.content


FORMS = {
    "dictionaries": lambda traces, folder: traces,
    "objects": lambda traces, folder: [Trace(each) for each in traces],
    "texts": lambda traces, folder: [json.dumps(each) for each in traces],
    "table": lambda traces, folder: table(traces),
    "table without traces": lambda traces, folder: table(traces).drop(columns="trace"),
    "column of traces": lambda traces, folder: table(traces)[["trace_id", "trace"]],
    "csv": lambda traces, folder: save(table(traces).drop(columns="trace"), folder / "a.csv"),
    "jsonl": lambda traces, folder: save(table(traces), folder / "a.jsonl"),
}


def save(frame, path):
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_forms(form, tmp_path):
    traces = [
        one(
            feedback(True, rationale="fine"), feedback(0.5, "LLM_JUDGE", "judge"),
            feedback(350, "CODE", "length"),
            {"assessment_name": "expected", "expectation": {"value": "Yes"}},
        )
    ]  # fmt: skip
    logs = load_feedback(FORMS[form](traces, tmp_path), asked_name="survey")
    assert logs.attrs["load_feedback"]["format"] == "mlflow"
    row = logs.iloc[0]
    assert (len(logs), row["id"], row["prompt"], row["completion"]) == (1, "tr-1", "Soup?", "Yes.")
    assert (row["feedback"], row["judge_score"], row["comment"]) == (1, 0.5, "fine")
    assert (row["user"], row["conversation"], row["model"]) == ("ann", "s", "tiny")
    assert (row["latency"], row["prompt_tokens"], row["completion_tokens"]) == (1.5, 3, 4)
    assert str(row["timestamp"]) == "2026-01-02 03:04:05+00:00"
    assert bool(row["asked"])
    assert logs.attrs["load_feedback"]["n_other_scores"] == 1  # the length


@pytest.mark.parametrize("where", [{}, {"span_id": ROOT}, {"span_id": CALL}])
def test_feedback_on_the_trace_or_on_a_span(where):
    assert load_feedback([one(feedback(False, **where))])["feedback"].tolist() == [0]


def test_feedback_on_one_of_two_answers_of_a_trace():
    spans = [
        span(ROOT, None, None),
        span(CALL, CHAT, REPLY, ROOT, "LLM"),
        span("ff" * 8, CHAT, "No.", ROOT, "LLM"),
    ]
    logs = load_feedback([trace("t", spans, feedback(False, span_id="ff" * 8))])
    assert logs["completion"].tolist() == ["Yes.", "No."]
    assert logs["feedback"].fillna(-1).tolist() == [-1, 0]


def test_the_latest_feedback_counts_and_overridden_ones_do_not():
    old = feedback(False, last_update_time="2026-01-03T00:00:00Z", valid=False)
    logs = load_feedback([one(old, feedback(True))])
    assert logs["feedback"].tolist() == [1]
    later = feedback(False, last_update_time="2026-01-03T00:00:00Z")
    logs = load_feedback([one(later, feedback(True))])
    assert logs["feedback"].tolist() == [0]
    assert logs.attrs["load_feedback"]["n_superseded"] == 1


def test_streamed_output_is_one_text():
    chunks = [{"name": f"mlflow.chunk.item.{k}", "attributes": {}} for k in range(2)]
    spans = [span(ROOT, {"q": "Hi"}, ["He", "llo."], events=chunks)]
    assert load_feedback([trace("t", spans)])["completion"].tolist() == ["Hello."]


def test_a_text_that_is_json_stays_a_text():
    spans = [span(ROOT, {"q": "Hi"}, '{"answer": "Paris"}')]
    assert load_feedback([trace("t", spans)])["completion"].tolist() == ['{"answer": "Paris"}']


def test_failed_calls_are_left_out_with_their_ids():
    failed = trace("tr-2", [span(ROOT, {"q": "Hi"}, None)])
    with pytest.warns(DataLossWarning, match=r"1 with no answer \(tr-2"):
        logs = load_feedback([one(), failed])
    assert len(logs) == 1


def test_texts_that_mlflow_cut_are_left_out():
    whole, cut = '"Yes."', '"' + "x" * 246 + "..."
    rows = [
        trace(key, [], metadata={"mlflow.traceInputs": '{"q": "Hi"}', "mlflow.traceOutputs": text})
        for key, text in (("a", whole), ("b", cut))
    ]
    logs = load_feedback(rows)
    assert logs["completion"].tolist() == ["Yes."]
    assert logs.attrs["load_feedback"]["left_out"]["shortened text"]["ids"] == ["b"]


def test_previews_are_refused():
    infos = [{**one()["info"], "trace_location": {}}]
    with pytest.raises(FileFormatError, match=r"search_traces\(\)"):
        load_feedback(infos)


def test_scores_cannot_be_passed():
    with pytest.raises(UnusedParameterError, match="feedback in the rows"):
        load_feedback([one()], scores=[feedback(True)])


@pytest.mark.parametrize(
    "name", ["search_traces.csv", "search_traces.jsonl", "traces_to_dict.jsonl"]
)
@pytest.mark.skipif(not EXPORTS.is_dir(), reason="the real exports are not on this machine")
def test_real_exports(name):
    logs = load_feedback(EXPORTS / name, judge_score_name="relevance", asked_name="survey")
    assert logs["completion"].str.contains(r"\?|\)", regex=True).all()
    assert sorted(logs["user"].dropna()) == ["u-1", "u-1", "u-2", "u-2", "u-3", "u-4"]
    assert logs["conversation"].dropna().unique().tolist() == ["s-1"]
    assert sorted(logs["model"].unique()) == ["tiny-a", "tiny-b"]
    assert (logs["prompt_tokens"] == 5).all()
    assert logs["judge_score"].notna().all()
    assert logs["asked"].sum() == 2
    bare = logs[logs["user"].isna()]
    assert (bare["feedback"].sum(), bare["feedback"].notna().sum()) == (2, 2)
    assert bare["prompt"].map(lambda chat: chat[0]["content"]).eq("Be brief.").all()


def test_sdk_objects():
    entities = pytest.importorskip("mlflow.entities")
    traces = [entities.Trace.from_dict(one(feedback(True)))]
    logs = load_feedback(traces)
    assert logs[["id", "completion", "feedback"]].to_numpy().tolist() == [["tr-1", "Yes.", 1]]
    assert logs["latency"].tolist() == [1.5]


def test_traces_of_version_2_keep_their_ids():
    info = {"timestamp_ms": 1_767_323_045_000, "execution_time_ms": 1500, "status": "OK",
            "request_metadata": {"mlflow.trace.user": "ann"}, "tags": {}}  # fmt: skip
    spans = [{"context": {"span_id": "0xa"}, "parent_id": None,
              "attributes": span(ROOT, "Soup?", "Yes.")["attributes"]}]  # fmt: skip
    rows = [{"info": {"request_id": key, **info}, "data": {"spans": spans}} for key in "ab"]
    logs = load_feedback(rows)
    assert logs[["id", "user", "latency"]].values.tolist() == [["a", "ann", 1.5], ["b", "ann", 1.5]]
    nameless = [{**row, "info": info} for row in rows]
    assert load_feedback(nameless)["id"].tolist() == ["row 0", "row 1"]


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (
            {"model": "m", "contents": "Soup?"},
            {"candidates": [{"content": {"parts": [{"text": "Yes."}]}}]},
        ),
        (
            {"request": {"input": [{"role": "user", "content": "Soup?"}]}},
            [{"type": "response.output_item.done",
              "item": {"type": "message", "role": "assistant", "content": "Yes."}}],
        ),
    ],
    ids=["Gemini", "events of an agent"],
)  # fmt: skip
def test_texts_of_other_clients(inputs, outputs):
    logs = load_feedback([trace("a", [span(ROOT, inputs, outputs)])])
    assert logs[["prompt", "completion"]].values.tolist() == [["Soup?", "Yes."]]


def test_pages_and_durations_of_the_rest_api():
    root = span(ROOT, "Soup?", "Yes.")
    pages = [
        {"traces": [trace(key, [root], execution_duration_ms=None, execution_duration="1.5s")]}
        for key in "ab"
    ]
    logs = load_feedback(pages)
    assert logs[["id", "latency"]].values.tolist() == [["a", 1.5], ["b", 1.5]]


def test_an_answer_in_json_outside_the_spans():
    row = {"trace_id": "a", "request": "Soup?", "response": '"Yes."'}
    table = pd.DataFrame([row | {"spans": [], "assessments": []}])
    assert load_feedback(table)["completion"].tolist() == ["Yes."]
