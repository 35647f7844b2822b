"""OpenAssistant: judgements serve if they are named. ShareGPT: the last answer is the rated one."""

import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")


def message(key, role, text, parent="m1", **more):
    return {"message_id": key, "parent_id": parent, "message_tree_id": "m1", "role": role,
            "text": text, "user_id": "ann", "created_date": "2026-01-01", **more}  # fmt: skip


def messages():
    """Return flat messages as the public data set holds them."""
    return [
        message("m1", "prompter", "Soup?", None),
        message(
            "m2", "assistant", "Yes.", rank=0,
            labels={"name": ["quality", "spam"], "value": [0.75, 0.0], "count": [3, 3]},
            emojis={"name": ["+1", "-1"], "count": [2, 1]},
        ),
        message(
            "m3", "assistant", "No.", rank=1.0,
            labels={"name": ["quality"], "value": [0.25], "count": [3]},
            emojis={"name": ["-1"], "count": [1]},
        ),
        message("m4", "assistant", "Hm.", rank=None,
                labels={"name": ["quality"], "value": [0.5], "count": [2]}, emojis=None),
    ]  # fmt: skip


def test_nothing_is_feedback_or_verified_by_itself():
    logs = load_feedback(messages())
    assert logs["feedback"].isna().all()
    assert "verified" not in logs
    assert "regenerated" not in logs
    assert logs["group"].nunique() == 1


@pytest.mark.parametrize("name", ["quality", "rank", "reactions"])
def test_named_judgements(name):
    logs = load_feedback(messages(), verified_name=name)
    assert logs["completion"].tolist() == ["Yes.", "No.", "Hm."]
    assert logs["verified"].fillna(9).tolist() == [1, 0, 9]


def nested():
    """Return the same messages as a tree."""
    root, *replies = [dict(each) for each in messages()]
    for each in (root, *replies):
        del each["parent_id"], each["message_tree_id"]
        labels = each.pop("labels", None)
        if labels:
            each["labels"] = {
                name: {"value": value, "count": 3}
                for name, value in zip(labels["name"], labels["value"], strict=True)
            }
        emojis = each.pop("emojis", None)
        if emojis:
            each["emojis"] = dict(zip(emojis["name"], emojis["count"], strict=True))
    root["replies"] = replies
    return [{"message_tree_id": "m1", "tree_state": "ready_for_export", "prompt": root}]


@pytest.mark.parametrize("name", ["quality", "rank", "reactions"])
def test_named_judgements_in_trees(name):
    logs = load_feedback(nested(), verified_name=name)
    assert logs["id"].tolist() == ["m2", "m3", "m4"]
    assert logs["verified"].fillna(9).tolist() == [1, 0, 9]


def test_parquet_of_the_data_set(tmp_path):
    rows = messages()
    rows[0] |= {"rank": None, "labels": None, "emojis": None}
    pd.DataFrame(rows).to_parquet(tmp_path / "oasst.parquet")
    logs = load_feedback(tmp_path / "oasst.parquet", verified_name="quality")
    assert logs["verified"].fillna(9).tolist() == [1, 0, 9]
    assert logs["prompt"].tolist() == ["Soup?"] * 3


def test_odd_replies_do_not_stop_the_import():
    rows = nested()
    rows[0]["prompt"]["replies"] += ["x", None]
    assert load_feedback(rows)["id"].tolist() == ["m2", "m3", "m4"]


def test_judgements_that_nobody_named_are_counted():
    counts = load_feedback(messages()).attrs["load_feedback"]
    assert counts["n_other_scores"] == 7  # three labels, two ranks, two reactions
    assert counts["left_out"] == {}


@pytest.mark.parametrize("assistant", ["gpt", "chatgpt", "assistant", "bing", "model"])
def test_sharegpt(assistant):
    chat = [
        {"from": "human", "value": "Soup?"}, {"from": assistant, "value": "One."},
        {"from": "human", "value": "And?"}, {"from": "function_call", "value": "{}"},
        {"from": "observation", "value": "[]"}, {"from": assistant, "value": "Two."},
        {"from": "human", "value": "Thanks."},
    ]  # fmt: skip
    logs = load_feedback([{"id": "x", "conversations": chat, "label": True}])
    assert logs["completion"].tolist() == ["Two."]
    assert logs["next_message"].tolist() == ["Thanks."]
    roles = [turn["role"] for turn in logs["prompt"][0]]
    assert roles == ["user", "assistant", "user", "function_call", "tool"]
