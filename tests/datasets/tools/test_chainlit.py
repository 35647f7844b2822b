"""Chainlit: tables of its data layers, threads, and feedback on messages and runs."""

import sqlite3

import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import FileFormatError

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")


def step(key, kind, text="", second=0, thread="t", **more):
    return {
        "id": key, "type": kind, "output": text, "input": "", "threadId": thread, "name": "x",
        "isError": False, "createdAt": f"2026-01-02T03:04:0{second}.000Z", **more,
    }  # fmt: skip


def steps():
    return [
        step("u1", "user_message", "Soup?"),
        step("r1", "run", "{}", 1),
        step("l1", "llm", "draft", 1, parentId="r1"),
        step("a0", "assistant_message", "Wait.", 2, parentId="l1"),
        step("a1", "assistant_message", "Yes.", 3, parentId="l1"),
        step("u2", "user_message", "And?", 4),
        step("a2", "assistant_message", "No.", 5),
        step("u3", "user_message", "Fails?", 6),
        step("a3", "assistant_message", "Error", 7, isError=True),
    ]


def check(logs):
    assert logs.attrs["load_feedback"]["format"] == "chainlit"
    assert logs["completion"].tolist() == ["Wait.", "Yes.", "No."]
    assert logs["feedback"].fillna(9).tolist() == [9, 1, 0]
    assert logs["comment"].fillna("").tolist() == ["", "fine", ""]
    assert logs["conversation"].tolist() == ["t"] * 3
    assert logs["next_message"].fillna("").tolist()[1] == "And?"
    assert logs.attrs["load_feedback"]["left_out"]["no answer"]["ids"] == ["a3"]


FEEDBACKS = [
    {"id": "f", "forId": "r1", "threadId": "t", "value": 1, "comment": "fine"},
    {"id": "g", "forId": "a2", "threadId": "t", "value": 0, "comment": None},
]


def test_steps_and_feedbacks_on_a_run_and_on_a_message():
    check(load_feedback(steps(), scores=FEEDBACKS))
    check(load_feedback(steps()[::-1], scores=FEEDBACKS))


@pytest.mark.parametrize("true", ["true", "t", "1", "True"])
def test_csv_of_the_tables(true, tmp_path):
    frame = pd.DataFrame(steps())
    frame["isError"] = frame["isError"].map({True: true, False: "f"})
    frame.to_csv(tmp_path / "steps.csv", index=False)
    pd.DataFrame(FEEDBACKS).to_csv(tmp_path / "feedbacks.csv", index=False)
    threads = [{"id": "t", "createdAt": "x", "name": "n", "userId": "1", "userIdentifier": "ann"}]
    pd.DataFrame(threads).to_csv(tmp_path / "threads.csv", index=False)
    logs = load_feedback(tmp_path / "steps.csv", scores=tmp_path / "feedbacks.csv")
    check(logs)
    files = [tmp_path / "steps.csv", tmp_path / "threads.csv"]
    logs = load_feedback(files, scores=tmp_path / "feedbacks.csv")
    check(logs)
    assert logs["user"].tolist() == ["ann"] * 3


def test_tables_of_the_official_data_layer():
    renamed = [
        {**{name: value for name, value in row.items() if name != "createdAt"},
         "startTime": row["createdAt"], "endTime": row["createdAt"]}
        for row in steps()
    ]  # fmt: skip
    feedbacks = [
        {"id": f["id"], "stepId": f["forId"], "name": "user_feedback", "value": f["value"],
         "comment": f["comment"]}
        for f in FEEDBACKS
    ]  # fmt: skip
    check(load_feedback(renamed, scores=feedbacks))
    with pytest.raises(FileFormatError, match="pass the traces as source"):
        load_feedback(feedbacks)


def test_threads_with_feedback_inside():
    inside = steps()
    inside[1]["feedback"] = {"forId": "r1", "value": 1, "comment": "fine"}
    inside[6]["feedback"] = {"forId": "a2", "value": 0, "comment": None}
    threads = [
        {"id": "t", "userIdentifier": "ann", "steps": inside},
        {"id": "empty", "userIdentifier": "bob", "steps": None},
    ]
    logs = load_feedback(threads)
    check(logs)
    assert logs["user"].tolist() == ["ann"] * 3


def test_a_query_of_its_database():
    db = sqlite3.connect(":memory:")
    pd.DataFrame(steps()).to_sql("steps", db, index=False)
    pd.DataFrame(FEEDBACKS).to_sql("feedbacks", db, index=False)
    joined = pd.read_sql(
        'SELECT s.*, f.value AS "feedbackValue", f.comment AS "feedbackComment" '
        'FROM steps s LEFT JOIN feedbacks f ON f."forId" = s.id',
        db,
    )
    db.close()
    check(load_feedback(joined))


def test_steps_without_a_time_keep_their_order():
    rows = steps()
    for position in (3, 4, 6):
        rows[position]["createdAt"] = None
    logs = load_feedback(rows)
    assert sorted(logs["completion"]) == ["No.", "Wait.", "Yes."]  # none twice
    logs = load_feedback([{**row, "createdAt": None} for row in steps()], scores=FEEDBACKS)
    check(logs)


def test_a_table_whose_index_repeats():
    frame = pd.DataFrame(steps())
    frame.index = [0] * len(frame)
    check(load_feedback(frame, scores=FEEDBACKS))


@pytest.mark.parametrize(
    "threads",
    [
        [{"id": "t", "userIdentifier": "ann", "steps": []}],
        [{"id": "t", "createdAt": "x", "name": "n", "userId": "1", "userIdentifier": "ann"}],
        [{"id": "t", "createdAt": "x", "deletedAt": None, "name": "n", "userId": "1"}],
    ],
)
def test_threads_without_steps_are_refused(threads):
    with pytest.raises(FileFormatError, match="pass the table of steps too"):
        load_feedback(threads)


def test_feedback_on_a_question_reaches_its_answer_or_is_counted():
    rows = steps()
    rows[1]["parentId"] = "u1"
    scores = [{"forId": "u1", "value": 1}, {"forId": "u3", "value": 1}]
    logs = load_feedback(rows, scores=scores)
    assert logs["feedback"].fillna(9).tolist() == [9, 1, 9]
    assert logs.attrs["load_feedback"]["n_unmatched"] == 1
