"""Dify: messages of its API, of its console and of its database."""

import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import FileFormatError

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
BEFORE = "00000000-0000-0000-0000-000000000000"


def message(key, query="Soup?", answer="Yes.", second=0, parent=None, feedback=None, **more):
    return {
        "id": key, "conversation_id": "c", "parent_message_id": parent, "query": query,
        "answer": answer, "message_files": [], "feedback": feedback, "status": "normal",
        "created_at": 1_767_323_045 + second, "error": None, **more,
    }  # fmt: skip


def prompts(logs):
    return [
        chat if isinstance(chat, str) else [turn["content"] for turn in chat]
        for chat in logs["prompt"]
    ]


@pytest.mark.parametrize("parent", [None, BEFORE])
def test_messages_follow_each_other(parent):
    rows = [
        message("b", "And?", "No.", 1, parent, {"rating": "dislike", "content": "hm"}),
        message("a", feedback={"rating": "like"}, parent=parent),
    ]
    logs = load_feedback(rows)
    assert logs["id"].tolist() == ["a", "b"]
    assert prompts(logs) == ["Soup?", ["Soup?", "Yes.", "And?"]]
    assert logs["feedback"].tolist() == [1, 0]
    assert logs["comment"].fillna("").tolist() == ["", "hm"]
    assert logs["next_message"].fillna("").tolist() == ["And?", ""]


def test_branches_by_parents():
    rows = [
        message("a"),
        message("b", "And?", "One.", 1, "a"),
        message("d", "And?", "Two.", 2, "a"),
        message("e", "Why?", "So.", 3, "b"),
    ]
    logs = load_feedback(rows)
    assert prompts(logs)[3] == ["Soup?", "Yes.", "And?", "One.", "Why?"]
    assert prompts(logs)[2] == ["Soup?", "Yes.", "And?"]


def test_feedback_of_users_and_administrators():
    feedbacks = [
        {"rating": "like", "from_source": "user", "from_end_user_id": "ann"},
        {"rating": "dislike", "from_source": "admin", "from_account_id": "bob"},
    ]
    rows = [
        message("a", feedbacks=feedbacks, provider_response_latency=1.5, message_tokens=3,
                answer_tokens=4, from_end_user_id="ann"),
        message("b", second=1, feedbacks=[]),
    ]  # fmt: skip
    logs = load_feedback(rows, verified_name="feedback")
    assert logs["feedback"].fillna(9).tolist() == [1, 9]
    assert logs["verified"].fillna(9).tolist() == [0, 9]
    assert logs[["latency", "prompt_tokens", "completion_tokens"]].iloc[0].tolist() == [1.5, 3, 4]
    assert logs["user"].tolist()[0] == "ann"


def test_tables_of_the_database(tmp_path):
    rows = [
        {**message("a"), "created_at": "2026-01-02 03:04:05", "provider_response_latency": 1},
        {**message("b", "And?"), "created_at": "2026-01-02 03:04:06"},
    ]
    feedbacks = [{"id": "f", "message_id": "a", "rating": "dislike", "from_source": "user"}]
    pd.DataFrame(rows).to_csv(tmp_path / "messages.csv", index=False)
    pd.DataFrame(feedbacks).to_csv(tmp_path / "feedbacks.csv", index=False)
    logs = load_feedback(tmp_path / "messages.csv", scores=tmp_path / "feedbacks.csv")
    assert logs["feedback"].fillna(9).tolist() == [0, 9]
    assert prompts(logs)[1] == ["Soup?", "Yes.", "And?"]


@pytest.mark.parametrize(
    "failed", [{"status": "error"}, {"error": "quota"}, {"answer": ""}, {"answer": None}]
)
def test_failed_answers_are_left_out(failed):
    logs = load_feedback([message("a"), message("b", second=1, **failed)])
    assert logs["id"].tolist() == ["a"]
    assert logs.attrs["load_feedback"]["left_out"]["no answer"]["ids"] == ["b"]


def test_regenerated_answers_have_one_question():
    rows = [
        message("a"),
        message("b", "And?", "One.", 1, "a"),
        message("d", "And?", "Two.", 2, "a"),
    ]
    logs = load_feedback(rows)
    assert logs["regenerated"].tolist() == [False, True, False]
    assert prompts(logs)[1] == prompts(logs)[2] == ["Soup?", "Yes.", "And?"]


def test_several_administrators():
    def by(person, rating):
        return {"rating": rating, "from_source": "admin", "from_account": {"id": person}}

    feedbacks = [by("ann", "dislike"), by("bob", "dislike"), by("cy", "like")]
    logs = load_feedback([message("a", feedbacks=feedbacks)], verified_name="feedback")
    assert logs["verified"].tolist() == [0]
    assert logs.attrs["load_feedback"]["n_outvoted"] == 1


@pytest.mark.parametrize(
    ("inputs", "prompt"),
    [
        ({"topic": "Soup?"}, "Soup?"),
        ({"topic": "Soup?", "tone": "dry", "none": None}, "topic: Soup?\ntone: dry"),
        ('{"topic": "Soup?"}', "Soup?"),
    ],
)
def test_applications_without_a_query_have_their_variables(inputs, prompt):
    assert load_feedback([message("a", "", inputs=inputs)])["prompt"].tolist() == [prompt]


def test_messages_without_a_time_keep_their_order():
    rows = [message("a"), message("b", "And?", "No.", created_at=None)]
    rows += [message("d", "Why?", "So.", 1)]
    logs = load_feedback(rows)
    assert logs["id"].tolist() == ["a", "d", "b"]
    logs = load_feedback([{**row, "created_at": None} for row in rows])
    assert logs["id"].tolist() == ["a", "b", "d"]


def test_the_console_and_the_database_are_recognised():
    console = message("a", feedbacks=[])
    del console["message_files"]
    assert load_feedback([console]).attrs["load_feedback"]["format"] == "dify"
    own = {"query": "Soup?", "answer": "Yes.", "conversation_id": "c", "feedback": 1}
    assert load_feedback([own]).attrs["load_feedback"]["format"] == "plain"
    with pytest.raises(FileFormatError, match="pass the traces as source"):
        load_feedback([{"message_id": "a", "rating": "like", "from_source": "user"}])


def test_feedback_of_no_message_is_counted():
    scores = [{"message_id": name, "rating": "like", "content": "ok"} for name in ("a", "x")]
    logs = load_feedback([message("a"), message("b", second=1)], scores=scores)
    assert logs["feedback"].fillna(9).tolist() == [1, 9]
    assert logs["comment"].fillna("").tolist() == ["ok", ""]
    assert logs.attrs["load_feedback"]["n_unmatched"] == 1
