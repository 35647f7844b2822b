"""Argilla and Label Studio: labels by people are verified."""

import json

import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import DataLossWarning, FeedbackError

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
CHAT = [
    {"role": "user", "content": "Soup?"},
    {"role": "assistant", "content": "Yes."},
    {"role": "user", "content": "And?"},
    {"role": "assistant", "content": "No."},
]


def record(key, *answers, fields=None, **more):
    responses = {
        "correct": [
            {"value": value, "user_id": f"u{number}"} for number, value in enumerate(answers)
        ]
    }
    return {
        "id": key, "fields": fields or {"prompt": "Soup?", "response": f"{key}."},
        "metadata": {"model": "tiny"}, "suggestions": {}, "responses": responses, **more,
    }  # fmt: skip


def flat(key, *answers, states=None):
    return {
        "id": key, "status": "pending", "_server_id": None, "prompt": "Soup?",
        "response": f"{key}.", "model": "tiny", "correct.responses": [*answers] or None,
        "correct.responses.users": [f"u{number}" for number in range(len(answers))] or None,
        "correct.responses.status": states or ["submitted"] * len(answers) or None,
        "correct.suggestion": "yes", "correct.suggestion.score": None,
    }  # fmt: skip


@pytest.mark.parametrize("make", [record, flat])
def test_argilla(make):
    logs = load_feedback(
        [make("a", "yes"), make("b", "yes", "no", "no"), make("c", "yes", "no"), make("d")]
    )
    assert logs.attrs["load_feedback"]["format"] == "argilla"
    assert logs["completion"].tolist() == ["a.", "b.", "c.", "d."]
    assert logs["prompt"].tolist() == ["Soup?"] * 4
    assert logs["verified"].fillna(9).tolist() == [1, 0, 9, 9]
    assert logs["model"].tolist() == ["tiny"] * 4
    assert logs.attrs["load_feedback"]["n_undecided"] == 1


def test_argillas_drafts_and_discarded_responses_do_not_count():
    rows = [
        flat("a", "yes", "no", states=["discarded", "submitted"]),
        flat("b", "yes", states=["draft"]),
    ]
    assert load_feedback(rows)["verified"].fillna(9).tolist() == [0, 9]


def test_ratings_are_explained_by_labels():
    rows = [record("a", 5), record("b", 1), record("c", 3)]
    with pytest.raises(FeedbackError, match="explain other spellings with labels"):
        load_feedback(rows)
    logs = load_feedback(rows, labels={1: 0, 2: 0, 3: None, 4: 1, 5: 1})
    assert logs["verified"].fillna(9).tolist() == [1, 0, 9]


def task(key, choice="Good", data=None, rater=1, kind="choices", **more):
    value = {kind: [choice] if kind == "choices" else choice}
    result = [{"from_name": "quality", "to_name": "response", "type": kind, "value": value}]
    return {
        "id": key, "data": data or {"prompt": "Soup?", "response": f"{key}."},
        "annotations": [{"id": 1, "completed_by": rater, "result": result, **more}],
        "predictions": [],
    }  # fmt: skip


def test_label_studio():
    rows = [
        task(1), task(2, "Bad", rater={"id": 7, "email": "a@b.c"}),
        task(3, was_cancelled=True), {**task(4), "annotations": []},
    ]  # fmt: skip
    logs = load_feedback(rows)
    assert logs.attrs["load_feedback"]["format"] == "label-studio"
    assert logs["id"].tolist() == ["1", "2", "3", "4"]
    assert logs["verified"].fillna(9).tolist() == [1, 0, 9, 9]


def test_label_studio_ratings():
    logs = load_feedback(
        [task(1, 5, kind="rating"), task(2, 1, kind="rating")], labels={5: 1, 1: 0}
    )
    assert logs["verified"].tolist() == [1, 0]


@pytest.mark.parametrize("make", [lambda data: record("a", "yes", fields=data),
                                  lambda data: task("a", data=data)])  # fmt: skip
def test_a_chat_is_split_before_its_last_answer(make):
    logs = load_feedback([make({"chat": CHAT})])
    assert logs["completion"].tolist() == ["No."]
    assert [turn["content"] for turn in logs["prompt"][0]] == ["Soup?", "Yes.", "And?"]
    assert logs["verified"].tolist() == [1]


def test_argillas_own_records():
    rg = pytest.importorskip("argilla")
    own = rg.Record(
        id="a", fields={"prompt": "Soup?", "response": "Yes."},
        responses=[rg.Response("correct", "yes", user_id="00000000-0000-0000-0000-000000000001")],
    )  # fmt: skip
    logs = load_feedback([own])
    assert logs[["id", "completion", "verified"]].to_numpy().tolist() == [["a", "Yes.", 1]]


def test_argillas_suggestions_are_a_models():
    rows = [
        record("a", "yes", suggestions={"correct": {"value": 0.25, "agent": "judge"}}),
        record("b", "no", suggestions={"correct": {"value": 0.75, "agent": "judge"}}),
    ]
    logs = load_feedback(rows)
    assert logs["judge_score"].tolist() == [0.25, 0.75]
    assert logs["verified"].tolist() == [1, 0]
    logs = load_feedback([flat("a", "yes"), flat("b", "no")])  # "yes" is no score in [0, 1]
    assert "judge_score" not in logs
    assert logs.attrs["load_feedback"]["n_other_scores"] == 2


def test_unsubmitted_responses_are_counted():
    rows = [flat("a", "yes", "no", states=["discarded", "draft"]), flat("b", "no")]
    with pytest.warns(DataLossWarning, match="2 judgements that people discarded"):
        logs = load_feedback(rows)
    assert logs["verified"].fillna(9).tolist() == [9, 0]


def test_the_only_question_may_be_named_as_feedback():
    logs = load_feedback([record("a", "yes"), record("b")], feedback_name="correct")
    assert logs["feedback"].fillna(9).tolist() == [1, 9]
    assert "verified" not in logs


@pytest.mark.parametrize("make", [record, flat])
def test_argillas_records_by_column_and_by_id(make, tmp_path):
    rows = [make("a", "yes"), make("b", "no")]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for value in (columns, {row["id"]: row for row in rows}):
        (tmp_path / "records.json").write_text(json.dumps(value))
        logs = load_feedback(tmp_path / "records.json")
        assert logs[["id", "completion", "verified"]].to_numpy().tolist() == [
            ["a", "a.", 1], ["b", "b.", 0],
        ]  # fmt: skip


def row(key, choice="Good", rater=1, number=0, **more):
    """Return a row of Label Studio's JSON-MIN and CSV exports."""
    return {
        "prompt": "Soup?", "response": f"{key}.", "model": "tiny", "id": key, "quality": choice,
        "annotator": rater, "annotation_id": number, "created_at": "2026-01-01T00:00:00Z",
        "updated_at": f"2026-01-01T00:00:0{number}Z", "lead_time": 3.2, **more,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_label_studios_rows_of_annotations(kind, tmp_path):
    rows = [
        row(1), row(2, "Bad", 1), row(2, "Bad", 2), row(2, "Good", 3, 1), row(3, "Bad", 1, 1),
        row(3, "Good", 1, 2), row(4, None, None, updated_at=None),
    ]  # fmt: skip
    path = tmp_path / f"export.{kind}"
    frame = pd.DataFrame(rows)
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_json(path, orient="records")
    logs = load_feedback(path)
    assert logs.attrs["load_feedback"]["format"] == "label-studio"
    assert logs["completion"].tolist() == ["1.", "2.", "3.", "4."]
    assert logs["verified"].fillna(9).tolist() == [1, 0, 1, 9]
    assert logs["model"].tolist() == ["tiny"] * 4
    assert logs.attrs["load_feedback"]["n_outvoted"] == 1


def test_label_studios_predictions_are_a_models():
    result = [{"from_name": "score", "value": {"number": 0.5}}]
    rows = [{**task(1), "predictions": [{"model_version": "m", "result": result}]}, task(2, "Bad")]
    logs = load_feedback(rows)
    assert logs["judge_score"].fillna(9).tolist() == [0.5, 9]
    assert logs["verified"].tolist() == [1, 0]


def test_a_single_text_is_no_answer_to_itself():
    rows = [task(1, data={"text": "Soup is soup.", "source": "x"}), task(2), task(3)]
    logs = load_feedback(rows)
    assert logs["id"].tolist() == ["2", "3"]
    left_out = logs.attrs["load_feedback"]["left_out"]
    assert left_out == {"unreadable prompt": {"count": 1, "ids": ["1"]}}
    echo = load_feedback([task(1, data={"prompt": "Hi", "response": "Hi"})])
    assert echo[["prompt", "completion"]].to_numpy().tolist() == [["Hi", "Hi"]]


@pytest.mark.parametrize("make", [lambda data: record("a", "yes", fields=data),
                                  lambda data: task("a", data=data)])  # fmt: skip
def test_an_answer_next_to_the_chat_before_it(make):
    logs = load_feedback([make({"chat": CHAT[:3], "reply": "Maybe.", "source": None})])
    assert logs["completion"].tolist() == ["Maybe."]
    assert [turn["content"] for turn in logs["prompt"][0]] == ["Soup?", "Yes.", "And?"]


def test_dialogues_of_authors():
    told = [{"author": turn["role"], "text": turn["content"]} for turn in CHAT]
    assert load_feedback([task(1, data={"dialogue": told})])["completion"].tolist() == ["No."]
    unknown = [{"author": f"Person {k % 2}", "text": turn["text"]} for k, turn in enumerate(told)]
    logs = load_feedback([task(1, data={"dialogue": unknown}), task(2)])
    assert logs["id"].tolist() == ["2"]
