"""Open WebUI: trees of messages, ratings in chats and in feedback, what the user saw."""

import json

import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import FileFormatError, InvalidInputError

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")


def user(key, text="Soup?", parent=None):
    return {"id": key, "role": "user", "content": text, "parentId": parent, "timestamp": 1e9}


def answer(key, text="Yes.", parent="u", model="tiny", **more):
    return {"id": key, "role": "assistant", "content": text, "parentId": parent, "model": model,
            "timestamp": 1_767_323_045, "done": True, **more}  # fmt: skip


def chat(key, *messages, **more):
    history = {"messages": {each["id"]: each for each in messages}}
    return {"id": key, "user_id": "ann", "title": "t", "chat": {"history": history, **more}}


def feedback(message, rating, chat="c", **data):
    return {
        "id": f"f-{message}", "user_id": "ann", "type": "rating",
        "data": {"rating": rating, "reason": None, "comment": None, **data},
        "meta": {"chat_id": chat, "message_id": message}, "updated_at": 1_767_323_046,
    }  # fmt: skip


def test_ratings_comments_and_reasons_inside_chats():
    note = {"rating": -1, "reason": "too_long", "comment": "hm", "tags": []}
    tagged = {"rating": 1, "tags": ["clear"], "comment": ""}
    logs = load_feedback(
        [
            chat("c", user("u"), answer("a", annotation=note)),
            chat("d", user("u"), answer("a", annotation=tagged)),
            chat("e", user("u"), answer("a", annotation={"rating": 0})),  # a draw
        ]
    )
    assert logs["id"].tolist() == ["c/a", "d/a", "e/a"]
    assert logs["feedback"].fillna(9).tolist() == [0, 1, 9]
    assert logs["comment"].fillna("").tolist() == ["hm", "", ""]
    assert logs["tags"].tolist()[:2] == ["too_long", ["clear"]]


def test_feedback_comes_first_and_ratings_inside_fill_the_rest():
    chats = [
        chat("c", user("u"), answer("a", annotation={"rating": 1})),
        chat("d", user("u"), answer("a", annotation={"rating": 1})),
    ]
    logs = load_feedback(chats, scores=[feedback("a", -1, comment="no")])
    assert logs["feedback"].tolist() == [0, 1]
    assert logs["comment"].fillna("").tolist() == ["no", ""]
    assert logs.attrs["load_feedback"]["n_superseded"] == 0


def test_the_table_of_the_feedback_page(tmp_path):
    row = {
        "id": "f1", "user_id": "ann", "chat_id": "c", "model_id": "tiny", "rating": -1,
        "sibling_model_ids": None, "reason": "wrong", "comment": "no", "updated_at": 1,
    }  # fmt: skip
    path = tmp_path / "feedbacks.csv"
    pd.DataFrame([row]).to_csv(path, index=False)
    logs = load_feedback(
        [chat("c", user("u"), answer("a", feedbackId="f1"), answer("b"))], scores=path
    )
    assert logs["feedback"].fillna(9).tolist() == [0, 9]
    assert logs["tags"].tolist()[0] == "wrong"
    with pytest.raises(FileFormatError, match="export the feedback as JSON"):
        load_feedback([chat("c", user("u"), answer("a"))], scores=path)


def test_feedback_that_contains_the_chats():
    whole = chat("c", user("u"), answer("a"), user("v", "And?", "a"), answer("b", "No.", "v"))
    logs = load_feedback(
        [
            {**feedback("a", 1), "snapshot": {"chat": whole}},
            {**feedback("b", -1), "snapshot": {"chat": whole}},
            {**feedback("z", 1, chat="d"), "snapshot": None},
        ]
    )
    assert logs[["completion", "feedback"]].to_numpy().tolist() == [["Yes.", 1], ["No.", 0]]
    assert logs["next_message"].fillna("").tolist() == ["And?", ""]
    left_out = logs.attrs["load_feedback"]["left_out"]
    assert left_out == {"no messages": {"count": 1, "ids": ["d"]}}


def test_branches():
    logs = load_feedback(
        [
            chat(
                "c", user("u"), answer("a", "One."), answer("b", "Two."),
                answer("x", "Other.", model="big"), user("v", "And?", "b"),
                answer("d", "Three.", "v"),
            )
        ]
    )  # fmt: skip
    assert logs["completion"].tolist() == ["One.", "Two.", "Other.", "Three."]
    assert logs["regenerated"].tolist() == [True, False, False, False]
    assert logs["next_message"].fillna("").tolist() == ["", "And?", "", ""]
    assert [turn["content"] for turn in logs["prompt"][3]] == ["Soup?", "Two.", "And?"]
    assert logs["turn"].tolist() == [1, 1, 1, 2]
    assert logs["group"].nunique() == 1


@pytest.mark.parametrize(
    "failed",
    [
        {"text": "", "error": {"content": "backend down"}},
        {"text": "Uh-oh! There was an issue.", "error": True},
        {"text": ""},
        {"text": None},
    ],
)
def test_failed_answers_are_left_out(failed):
    logs = load_feedback([chat("c", user("u"), answer("a", **failed), answer("b"))])
    assert logs["id"].tolist() == ["c/b"]
    assert logs.attrs["load_feedback"]["left_out"]["no answer"]["ids"] == ["c/a"]


@pytest.mark.parametrize("holder", [{}, {"history": None}, {"history": {"messages": {}}}, None])
def test_a_chat_without_messages_stops_nothing(holder):
    chats = [chat("c", user("u"), answer("a")), {"id": "empty", "user_id": "ann", "chat": holder}]
    logs = load_feedback(chats)
    assert len(logs) == 1
    assert logs.attrs["load_feedback"]["left_out"]["no messages"]["ids"] == ["empty"]
    with pytest.raises(InvalidInputError, match="no messages in 1 of 2 rows"):
        load_feedback(chats, on_error="raise")


def test_chats_as_a_list_of_messages():
    messages = [{"role": "user", "content": "Soup?"}, {"role": "assistant", "content": "Yes."}]
    logs = load_feedback([{"id": "c", "user_id": "ann", "chat": {"messages": messages}}])
    assert logs[["id", "prompt", "completion"]].to_numpy().tolist() == [["c/1", "Soup?", "Yes."]]


def test_what_the_user_saw():
    folded = (
        '<details type="reasoning" done="true">\n<summary>Thought</summary>\n> hm\n</details>\n'
    )
    tool = '<details type="tool_calls" name="x" result="&gt;">\n</details>\n'
    kept = "<details><summary>More</summary>text</details>"
    logs = load_feedback(
        [
            chat(
                "c", user("u"), answer("a", folded + tool + "Yes." + kept),
                answer("b", '<details type="reasoning" done="false">\n> hm'),
            )
        ]
    )  # fmt: skip
    assert logs["completion"].tolist() == ["Yes." + kept]
    assert logs.attrs["load_feedback"]["left_out"]["no answer"]["ids"] == ["c/b"]


def test_edited_answers_are_the_models_own_text():
    logs = load_feedback(
        [chat("c", user("u"), answer("a", "Mine.", originalContent="Its."), answer("b"))]
    )
    assert logs["completion"].tolist() == ["Its.", "Yes."]
    assert logs["edited"].tolist() == [True, False]


def test_arena_tokens_and_system_prompt():
    logs = load_feedback(
        [
            chat(
                "c", user("u"),
                answer("a", model="arena", arena=True, selectedModelId="tiny",
                       usage={"prompt_eval_count": 3, "eval_count": 4, "total_duration": 5e8}),
                params={"system": "Be brief."},
            )
        ]
    )  # fmt: skip
    row = logs.iloc[0]
    assert (row["model"], row["prompt_tokens"], row["completion_tokens"]) == ("tiny", 3, 4)
    assert row["latency"] == 0.5
    assert row["prompt"][0] == {"role": "system", "content": "Be brief."}
    assert str(row["timestamp"]) == "2026-01-02 03:04:05+00:00"


@pytest.mark.parametrize("form", ["json", "ndjson", "csv"])
def test_files(form, tmp_path):
    chats = [chat(f"c{k}", user("u"), answer("a", annotation={"rating": 1})) for k in range(2)]
    path = tmp_path / f"chats.{form}"
    if form == "csv":
        frame = pd.DataFrame(chats)
        frame.assign(chat=frame["chat"].map(json.dumps)).to_csv(path, index=False)
    else:
        lines = "\n".join(map(json.dumps, chats))
        path.write_text(lines if form == "ndjson" else json.dumps(chats))
    logs = load_feedback(path)
    assert logs["feedback"].tolist() == [1, 1]
    assert logs["user"].tolist() == ["ann", "ann"]


def test_lists_of_messages_keep_their_ids():
    listed = {
        "id": "c",
        "user_id": "ann",
        "chat": {"history": {}, "messages": [user("u"), answer("a")]},
    }
    logs = load_feedback([listed], scores=[feedback("a", -1)])
    assert logs[["id", "feedback"]].to_numpy().tolist() == [["c/a", 0]]


def test_an_answer_in_items_alone():
    said = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Yes."}],
    }
    given = chat(
        "c", user("u"), answer("a", "", output=[{"type": "reasoning", "content": "?"}, said])
    )
    assert load_feedback([given])["completion"].tolist() == ["Yes."]


def test_chats_without_what_the_server_keeps_about_them():
    bare = chat("c", user("u"), answer("a"), messages=[], models=["tiny"])["chat"] | {"id": "c"}
    assert load_feedback([bare])["id"].tolist() == ["c/a"]
