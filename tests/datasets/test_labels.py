"""Answers drawn for labelling, and label files."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skcausalrm.datasets import load_feedback
from skcausalrm.datasets._labels import (
    answer_keys,
    append_label,
    draw_answers,
    match_labels,
    read_labels,
)
from skcausalrm.exceptions import DataLossWarning, FeedbackError, FileFormatError

pairs = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("uvwxyz")), min_size=1, max_size=20
)


def as_frame(rows):
    return pd.DataFrame(rows, columns=["prompt", "completion"])


def as_labels(frame, rows, verdicts):
    return pd.DataFrame({"verified": verdicts}, index=answer_keys(frame)[list(rows)])


def drawn(frame, *arguments, **options):
    order = draw_answers(frame, *arguments, **options)
    return list(frame[["prompt", "completion"]].iloc[order].itertuples(index=False, name=None))


@given(pairs)
def test_every_distinct_answer_is_drawn_once_and_prompts_take_turns(rows):
    found = drawn(as_frame(rows))
    assert sorted(found) == sorted(set(rows))
    seen = Counter()
    turns = []
    for prompt, _ in found:
        turns.append(seen[prompt])
        seen[prompt] += 1
    assert turns == sorted(turns)


@given(pairs, st.data())
def test_the_order_is_of_texts_and_goes_on_where_it_stopped(rows, data):
    frame = as_frame(rows)
    found = drawn(frame)
    assert drawn(as_frame(data.draw(st.permutations(rows)))) == found
    stop = data.draw(st.integers(0, len(found)))
    order = draw_answers(frame)[:stop]
    verdicts = data.draw(
        st.lists(st.sampled_from([1.0, 0.0, np.nan]), min_size=stop, max_size=stop)
    )
    assert drawn(frame, as_labels(frame, order, verdicts)) == found[stop:]


@given(pairs, pairs)
def test_growing_logs_only_add_to_the_order_of_new_prompts(rows, more):
    grown = rows + [(prompt.upper(), completion) for prompt, completion in more]
    before = drawn(as_frame(rows))
    assert [pair for pair in drawn(as_frame(grown)) if pair[0].islower()] == before


def test_each_answer_is_as_likely_to_be_first():
    rows = [("long", answer) for answer in "abcdefgh"] + [("short", "a"), ("brief", "a")]
    frame = as_frame(rows)
    keys = answer_keys(frame)
    firsts = Counter(draw_answers(frame, random_state=seed, keys=keys)[0] for seed in range(1000))
    assert set(firsts) == set(range(len(rows)))
    assert max(firsts.values()) < 140  # 100 expected, standard deviation 9.5
    assert min(firsts.values()) > 60


def test_groups_of_the_log_take_turns():
    frame = as_frame([("a", "x"), ("b", "x"), ("c", "x")]).assign(group=[7, 7, 8])
    for seed in range(20):
        groups = frame["group"].iloc[draw_answers(frame, random_state=seed)].tolist()
        assert set(groups[:2]) == {7, 8}


def test_answers_verified_in_the_log_are_not_drawn_and_take_their_prompts_turn():
    frame = as_frame([("a", "x"), ("a", "y"), ("b", "x"), ("a", "x")])
    frame["verified"] = [np.nan, np.nan, np.nan, 1.0]
    for seed in range(20):
        assert drawn(frame, random_state=seed) == [("b", "x"), ("a", "y")]


def test_keys_are_of_what_was_said_not_of_how_it_was_logged():
    chat = [
        {"role": "user", "content": "Hi\u2028there"},
        {"role": "assistant", "content": "Hello 😀"},
    ]
    pair = {"prompt": "Hi\u2028there", "completion": "Hello 😀", "feedback": 1}
    unrated = {"prompt": "x", "completion": "y", "feedback": None}
    logs = [load_feedback([pair, unrated]), load_feedback([{"messages": chat, "feedback": None}])]
    assert answer_keys(logs[0])[0] == answer_keys(logs[1])[0]
    moved = as_frame([("ab", "c"), ("a", "bc"), ("", "abc"), ("a\n\nb", "c"), ("a", "b\n\nc")])
    assert len(set(answer_keys(moved))) == 5


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
entries = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([1, 0, None, "skip"]), texts), max_size=12
)


@given(entries)
def test_the_last_line_of_a_key_counts(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    expected = {}
    for key, verdict, text in entries:
        skipped = verdict == "skip"
        append_label(path, key, None if skipped else verdict, skipped=skipped, completion=text)
        expected.pop(key, None)
        if verdict is not None:
            expected[key] = (np.nan if skipped else verdict, text)
    found = read_labels(path, missing_ok=True)
    assert list(found.index) == list(expected)
    np.testing.assert_array_equal(found["verified"], [value for value, _ in expected.values()])
    assert list(found["completion"]) == [text for _, text in expected.values()]


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_line_cut_by_a_kill_is_left_out_and_never_glued(tmp_path, cut):
    path = tmp_path / "labels.jsonl"
    append_label(path, "a", 1, prompt="é")
    append_label(path, "b", 0, prompt="é")
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    path.write_bytes(whole[: start + cut])
    with pytest.warns(DataLossWarning, match="1 lines of .* line 2"):
        assert read_labels(path)["verified"].to_dict() == {"a": 1.0}
    append_label(path, "c", 0)
    with pytest.warns(DataLossWarning, match="line 2"):
        assert read_labels(path)["verified"].to_dict() == {"a": 1.0, "c": 0.0}


def test_a_last_line_without_its_newline_counts(tmp_path):
    path = tmp_path / "labels.jsonl"
    append_label(path, "a", 1)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    append_label(path, "b", 0)
    assert read_labels(path)["verified"].to_dict() == {"a": 1.0, "b": 0.0}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ({"prompt": "a", "completion": "b", "feedback": 1}, "no key and verified"),
        ({"key": 3, "verified": 1}, "no key and verified"),
        (["a", 1], "no key and verified"),
        ({"key": "a", "verified": 0.5}, "must be 1, 0 or null"),
        ({"key": "a", "verified": "1"}, "must be 1, 0 or null"),
        ({"key": "a", "verified": [1]}, "must be 1, 0 or null"),
    ],
)
def test_another_kind_of_file_is_refused(tmp_path, line, sentence):
    path = tmp_path / "other.jsonl"
    path.write_text(json.dumps({"key": "x", "verified": 1}) + "\n" + json.dumps(line) + "\n")
    with pytest.raises(FileFormatError, match=f"Line 2 of .*{sentence}"):
        read_labels(path)


def test_no_file_is_an_error_or_no_label(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_labels(tmp_path / "labels.jsonl")
    assert read_labels(tmp_path / "labels.jsonl", missing_ok=True).empty


def test_labels_go_to_the_first_row_of_their_text():
    frame = as_frame([("a", "x"), ("b", "x"), ("b", "x"), ("c", "x"), ("d", "x")])
    labels = as_labels(frame, [1, 3, 4], [1.0, 0.0, np.nan])
    verified, n_unmatched = match_labels(frame, labels)
    np.testing.assert_array_equal(verified, [np.nan, 1, np.nan, 0, np.nan])
    assert n_unmatched == 0


def test_labels_of_texts_that_are_gone_are_counted():
    frame = as_frame([("a", "x"), ("b", "x"), ("c", "x")])
    labels = as_labels(frame, range(3), [1.0, 0.0, np.nan])
    with pytest.warns(DataLossWarning, match="1 of 2 judged answers"):
        verified, n_unmatched = match_labels(frame[1:], labels)
    np.testing.assert_array_equal(verified, [0, np.nan])
    assert n_unmatched == 1


def test_a_column_of_the_log_and_labels_are_one_piece_of_evidence():
    frame = as_frame([("a", "x"), ("b", "x"), ("b", "x"), ("c", "x")])
    frame["verified"] = [0.0, np.nan, 1.0, np.nan]
    labels = as_labels(frame, [1, 3], [1.0, 0.0])
    np.testing.assert_array_equal(match_labels(frame, labels)[0], [0, np.nan, 1, 0])
    labels = as_labels(frame, [0, 1], [1.0, 0.0])
    with pytest.raises(FeedbackError, match="disagree in 2 of 4 rows \\(first at row 0\\)"):
        match_labels(frame, labels)
