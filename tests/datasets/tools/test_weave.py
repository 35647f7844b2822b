"""Weave: calls with reactions, annotations and scores, as dictionaries and as its own objects."""

import json
from datetime import UTC, datetime

import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")


def reaction(emoji, second=0):
    return {
        "id": "f", "feedback_type": "wandb.reaction.1", "creator": "ann",
        "created_at": f"2026-01-01T00:00:0{second}Z", "weave_ref": "weave:///team/p/call/c0",
        "payload": {"emoji": emoji, "alias": ":x:"},
    }  # fmt: skip


def call(key, *feedback, output="Yes.", **more):
    usage = {"gpt": {"prompt_tokens": 3, "completion_tokens": 4, "requests": 1}}
    return {
        "id": key, "op_name": "weave:///team/p/op/chat:v1", "trace_id": f"t{key}",
        "parent_id": None, "inputs": {"self": {"x": 1}, "question": "Soup?"}, "output": output,
        "summary": {"usage": usage, "weave": {"status": "success", "feedback": [*feedback]}},
        "attributes": {}, "started_at": datetime(2026, 1, 1, tzinfo=UTC),
        "ended_at": datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC), **more,
    }  # fmt: skip


def test_reactions_in_any_skin_tone():
    rows = [call("a", reaction("👍🏽")), call("b", reaction("👎🏿")), call("c")]
    logs = load_feedback(rows)
    assert logs["feedback"].fillna(9).tolist() == [1, 0, 9]
    assert logs["model"].tolist() == ["gpt"] * 3
    assert logs["prompt_tokens"].tolist() == [3] * 3
    assert logs["completion_tokens"].tolist() == [4] * 3
    assert logs["latency"].tolist() == [2] * 3


def test_the_last_reaction_counts():
    logs = load_feedback([call("a", reaction("👎", 2), reaction("👍", 1))])
    assert logs["feedback"].tolist() == [0]


def test_feedback_by_call():
    logs = load_feedback([call("c0"), call("c1")], scores=[reaction("👎")])
    assert logs["feedback"].fillna(9).tolist() == [0, 9]


def test_failed_and_child_calls():
    rows = [
        call("a", output=None, exception="boom"),
        call("b", thread_id="s"),
        call("c", reaction("👍"), parent_id="b", trace_id="tb"),
    ]
    logs = load_feedback(rows)
    assert logs[["id", "feedback", "conversation"]].to_numpy().tolist() == [["b", 1, "s"]]
    assert logs.attrs["load_feedback"]["left_out"]["no answer"]["ids"] == ["a"]


def test_a_text_that_is_json_stays_a_text():
    assert load_feedback([call("a", output='{"answer": "Paris"}')])["completion"][0][0] == "{"


def test_own_objects():
    trace = pytest.importorskip("weave.trace.call")
    fields = call("a", reaction("👍"))
    own = trace.Call(_op_name=fields.pop("op_name"), project_id="team/p", **fields)
    logs = load_feedback([own])
    assert logs[["id", "completion", "feedback"]].to_numpy().tolist() == [["a", "Yes.", 1]]


def item(kind, payload, person="ann", second=0):
    return {
        "id": "g", "feedback_type": kind, "creator": person, "payload": payload,
        "created_at": f"2026-01-01T00:00:0{second}Z", "weave_ref": "weave:///team/p/call/c0",
    }  # fmt: skip


def test_annotations_scorers_notes_and_types_of_ones_own():
    rows = [
        call("a", item("wandb.annotation.correct", {"value": True}),
             item("wandb.runnable.judge", {"output": 0.25}), item("wandb.note.1", {"note": "hm"})),
        call("b", item("thumbs", {"value": "up", "note": "fine"})),
    ]  # fmt: skip
    logs = load_feedback(rows, verified_name="correct")
    assert logs["verified"].fillna(9).tolist() == [1, 9]
    assert logs["judge_score"].fillna(9).tolist() == [0.25, 9]
    assert logs["feedback"].fillna(9).tolist() == [9, 1]
    assert logs["comment"].fillna("").tolist() == ["", "fine"]


def test_tokens_of_several_models():
    usage = {"a": {"input_tokens": 1, "output_tokens": 2}, "b": {"prompt_tokens": 3}}
    logs = load_feedback([call("a", summary={"usage": usage}), call("b", summary={"usage": "x"})])
    assert logs["prompt_tokens"].fillna(0).tolist() == [4, 0]
    assert logs["completion_tokens"].fillna(0).tolist() == [2, 0]
    assert "model" not in logs  # it is not known which of them answered
    rows = [call("a", attributes={"model": "own", "user_id": "u", "tags": ["t"]})]
    logs = load_feedback(rows, asked_name="t")
    assert logs[["model", "user", "asked"]].to_numpy().tolist() == [["own", "u", True]]


def test_files_of_calls(tmp_path):
    rows = [call("a", reaction("👍")), call("b", reaction("👎")), call("c")]
    frame = pd.DataFrame(rows)
    frame.to_csv(tmp_path / "calls.csv", index=False)
    (tmp_path / "calls.json").write_text(json.dumps(rows, default=str))
    for source in (frame, tmp_path / "calls.csv", tmp_path / "calls.json"):
        logs = load_feedback(source)
        assert logs["feedback"].fillna(9).tolist() == [1, 0, 9]
        assert logs[["prompt", "completion"]].iloc[0].tolist() == ["Soup?", "Yes."]
        assert logs["prompt_tokens"].tolist() == [3] * 3
