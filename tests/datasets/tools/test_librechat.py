"""LibreChat: messages of the database, in its JSON and CSV, and exported conversations."""

import json

import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import UnusedParameterError

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
ROOT = "00000000-0000-0000-0000-000000000000"


def message(key, text, parent=ROOT, second=0, by_user=False, **more):
    return {
        "messageId": key, "parentMessageId": parent, "conversationId": "c", "user": "ann",
        "isCreatedByUser": by_user, "text": text, "error": False, "unfinished": False,
        "model": None if by_user else "tiny", "tokenCount": 7,
        "createdAt": {"$date": f"2026-01-02T03:04:0{second}.000Z"}, **more,
    }  # fmt: skip


def log():
    tag = {"key": "not_matched", "label": "x"}
    return [
        message("u", "Soup?", by_user=True),
        message("a", "One.", "u", 1, feedback={"rating": "thumbsDown", "tag": tag, "text": "no"}),
        message("b", "", "u", 2, content=[{"type": "think", "think": "hm"},
                                          {"type": "text", "text": {"value": "Two."}}]),
        message("v", "And?", "b", 3, by_user=True),
        message("d", "Three.", "v", 4, feedback={"rating": "thumbsUp", "tag": "accurate"}),
        message("e", "Something went wrong", "v", 5, error=True),
    ]  # fmt: skip


def check(logs):
    assert logs["id"].tolist() == ["a", "b", "d"]
    assert logs["completion"].tolist() == ["One.", "Two.", "Three."]
    assert [turn["content"] for turn in logs["prompt"][2]] == ["Soup?", "Two.", "And?"]
    assert logs["regenerated"].tolist()[:2] == [True, False]
    assert logs["next_message"].fillna("").tolist() == ["", "And?", ""]
    assert logs.attrs["load_feedback"]["left_out"]["no answer"]["ids"] == ["e"]


def check_feedback(logs):
    assert logs["feedback"].fillna(9).tolist() == [0, 9, 1]
    assert logs["tags"].fillna("").tolist() == ["not_matched", "", "accurate"]
    assert logs["comment"].fillna("").tolist() == ["no", "", ""]


def test_messages():
    logs = load_feedback(log())
    check(logs)
    check_feedback(logs)
    assert logs["user"].tolist() == ["ann"] * 3
    assert logs["model"].tolist() == ["tiny"] * 3
    assert logs["completion_tokens"].tolist() == [7] * 3
    assert str(logs["timestamp"][0]) == "2026-01-02 03:04:01+00:00"


def test_order_of_the_file_does_not_matter():
    logs = load_feedback(log()[::-1])
    check(logs)
    check_feedback(logs)


def test_canonical_json_of_the_database():
    rows = [
        {**row, "createdAt": {"$date": {"$numberLong": f"{1_767_323_045_000 + 1000 * place}"}},
         "tokenCount": {"$numberInt": "7"}, "_id": {"$oid": f"{place:024}"}}
        for place, row in enumerate(log())
    ]  # fmt: skip
    logs = load_feedback(rows)
    check(logs)
    assert logs["completion_tokens"].tolist() == [7] * 3
    assert str(logs["timestamp"][0]) == "2026-01-02 03:04:06+00:00"


def test_csv_with_flat_fields(tmp_path):
    rows = []
    for row in log():
        feedback = row.pop("feedback", None) or {}
        tag = feedback.get("tag")
        rows.append(
            {
                **row, "createdAt": row["createdAt"]["$date"],
                "content": json.dumps(row["content"]) if "content" in row else None,
                "feedback.rating": feedback.get("rating"), "feedback.text": feedback.get("text"),
                "feedback.tag": json.dumps(tag) if isinstance(tag, dict) else tag,
            }
        )  # fmt: skip
    path = tmp_path / "messages.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    logs = load_feedback(path)
    check(logs)
    check_feedback(logs)


def nest(rows, parent):
    return [
        {**row, "children": nest(rows, row["messageId"])}
        for row in rows
        if row["parentMessageId"] == parent
    ]


@pytest.mark.parametrize("nested", [True, False])
def test_exported_conversation(nested):
    rows = [{**row, "createdAt": row["createdAt"]["$date"]} for row in log()]
    whole = {"conversationId": "c", "title": "t", "exportAt": "now", "recursive": nested}
    whole |= {"messagesTree": nest(rows, ROOT)} if nested else {"messages": rows}
    logs = load_feedback([whole])
    assert logs.attrs["load_feedback"]["format"] == "librechat"
    check(logs)
    check_feedback(logs)


def test_scores_cannot_be_passed():
    with pytest.raises(UnusedParameterError, match="feedback in the rows"):
        load_feedback(log(), scores=[{"id": "a"}])


def test_flags_as_numbers_and_ratings_alone():
    rows = log()
    for row in rows:
        row |= {name: float(row[name]) for name in ("isCreatedByUser", "error")}
        row["feedback"] = row.get("feedback", {}).get("rating")
    logs = load_feedback(rows)
    check(logs)
    assert logs["feedback"].fillna(9).tolist() == [0, 9, 1]


def test_without_the_conversations_id_the_first_message_tells():
    rows = [message(key, "q", by_user=True) for key in ("u", "v")]
    rows += [message("a", "x", "u"), message("b", "y", "v"), message("c", "z", "b")]
    logs = load_feedback([{**row, "conversationId": None} for row in rows])
    assert logs["conversation"].tolist() == ["u", "v", "v"]
