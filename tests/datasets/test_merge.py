"""Several logs loaded as one."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import DataLossWarning, FeedbackError, FileFormatError


def row(prompt, completion, feedback=None, **more):
    return {"prompt": prompt, "completion": completion, "feedback": feedback, **more}


def write(path, rows):
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def load_quietly(*sources, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_feedback(list(sources), **options)


def nan_equal(values, expected):
    return np.array_equal(np.asarray(values, dtype=float), expected, equal_nan=True)


def test_two_monthly_exports_that_overlap(tmp_path):
    may = write(
        tmp_path / "may.jsonl",
        [
            row("2+2?", "4", True, timestamp="2026-05-02", user="u"),
            row("2+3?", "6", None, timestamp="2026-05-30", user="v"),
            row("2+4?", "6", True, timestamp="2026-05-31", user="w"),
        ],
    )
    june = write(
        tmp_path / "june.jsonl",
        [
            row("2+3?", "6", False, timestamp="2026-06-01", user="v"),
            row("2+4?", "6", False, timestamp="2026-06-02", user="w"),
            row("2+2?", "5", None, timestamp="2026-06-03", user="u"),
            row("2+2?", "4", None, timestamp="2026-06-04", user="x"),
        ],
    )
    with pytest.warns(DataLossWarning) as caught:
        logs = load_feedback([may, june])
    (warning,) = caught
    assert warning.message.code == "import"
    assert "2 rows that an earlier source holds too" in str(warning.message)
    assert f"2 in {june}" in str(warning.message)
    assert "1 contradictions" in str(warning.message)
    assert logs["completion"].tolist() == ["4", "6", "6", "5", "4"]
    assert nan_equal(logs["feedback"], [1, 0, 0, np.nan, np.nan])
    assert logs["user"].tolist() == ["u", "v", "w", "u", "x"]
    assert logs["group"].tolist() == [0, 1, 2, 0, 0]
    assert logs["timestamp"][2] == pd.Timestamp("2026-06-02", tz="UTC")
    counts = logs.attrs["load_feedback"]
    assert counts["n_duplicates"] == 2
    assert counts["n_conflicts"] == 1
    assert counts["duplicates"] == {str(june): 2}


def test_ids_decide_where_both_rows_have_one():
    first = [row("q", "a", 1, id="1"), row("q", "b", None, id="2"), row("q", "c", None)]
    second = [
        row("q", "a", 1, id="1"),  # the same row
        row("q", "b", None, id="3"),  # the same text at another time
        row("q", "c", None, id="4"),  # the first log did not record its id
        row("r", "d", None, id="2"),  # a number that means another row
    ]
    logs = load_quietly(first, second)
    assert logs["completion"].tolist() == ["a", "b", "c", "b", "d"]
    assert logs["id"].tolist() == ["1", "2", "4", "3", "2"]
    assert logs.attrs["load_feedback"]["n_duplicates"] == 2


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ((None, None), (1, None), 1),
        ((0, None), (None, "2026-06-01"), 0),
        ((0, "2026-05-01"), (1, "2026-05-02"), 1),
        ((0, "2026-05-02"), (1, "2026-05-01"), 0),
        ((0, "2026-05-01"), (1, "2026-05-01"), 0),
        ((0, None), (1, "2026-05-01"), 0),
        ((0, "2026-05-01"), (1, None), 0),
        ((0, "2026-05-01"), (None, "2026-05-02"), 0),
    ],
)
def test_which_rating_is_kept(first, second, kept):
    # A second answer keeps the column of times filled in both logs.
    more = [row("other", "x", None, timestamp="2026-05-03")]
    sources = [[row("q", "a", value, timestamp=time), *more] for value, time in (first, second)]
    logs = load_quietly(*sources)
    assert len(logs) == 2
    assert logs["feedback"][0] == kept


def test_empty_fields_are_filled_from_the_dropped_row():
    first = [row("q", "a", 1, verified=None, asked=False, comment=None, model="m")]
    second = [row("q", "a", 0, verified=0, asked=True, comment="bad", judge_score=0.5)]
    logs = load_quietly(first, second)
    assert logs[["feedback", "verified", "judge_score"]].iloc[0].tolist() == [1, 0, 0.5]
    assert logs["asked"].tolist() == [True]
    assert logs["model"].tolist() == ["m"]
    assert logs["comment"].isna().all()  # "bad" explains the rating that was dropped


def test_columns_of_one_log_only():
    first = [row("q", "a", 1, asked=True), row("q", "b", None, asked=False)]
    second = [row("q", "c", None, verified=1, user="u")]
    logs = load_quietly(first, second)
    assert logs["asked"].dtype == bool
    assert logs["asked"].tolist() == [True, False, False]
    assert nan_equal(logs["verified"], [np.nan, np.nan, 1])
    assert logs["user"].isna().tolist() == [True, True, False]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([None, 1, 0])), min_size=1),
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([None, 1, 0])), min_size=1),
)
def test_the_union_has_as_many_equal_rows_as_the_log_with_more(first, second):
    sources = [[row("q", text, value) for text, value in rows] for rows in (first, second)]
    logs = load_quietly(*sources)
    for text in "ab":
        values = [[value for t, value in rows if t == text] for rows in (first, second)]
        assert (logs["completion"] == text).sum() == max(map(len, values))
        rated = logs.loc[logs["completion"] == text, "feedback"].notna().sum()
        assert rated == max(len(v) - v.count(None) for v in values)
    pd.testing.assert_frame_equal(load_quietly(sources[0], sources[0]), load_quietly(sources[0]))


def test_groups_are_consistent_across_logs():
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    follow_up = [*chat, {"role": "user", "content": "and?"}]
    first = [row("p", "1"), row("q", "2", 1)]
    second = [row("q", "3"), row(follow_up, "4"), row("p", "5")]
    logs = load_quietly(first, second)
    assert logs["group"].tolist() == [0, 1, 1, 1, 0]
    # Loaded logs number their openings from 0 each, which says nothing across logs.
    again = load_quietly(load_quietly(first), load_quietly(second))
    assert again["group"].tolist() == [0, 1, 1, 1, 0]
    # Ids of the source are kept.
    first = [row("p", "1", group="x"), row("q", "2", 1, group="y")]
    second = [row("p2", "3", prompt_id="x"), row("z", "4", prompt_id="w")]
    assert load_quietly(first, second)["group"].tolist() == ["x", "y", "x", "w"]
    # An opening without an id belongs to the group that another log gives it.
    logs = load_quietly(first, [row("p", "5"), row("new", "6")], second)
    assert logs["group"].tolist() == [0, 1, 0, 2, 0, 3]


def test_group_ids_that_a_csv_file_turns_into_text(tmp_path):
    first = pd.DataFrame([row("p", "1", group=7), row("q", "2", 1, group=3)])
    first.to_csv(tmp_path / "a.csv", index=False)
    second = [row("r", "3", group=3)]
    assert load_quietly(tmp_path / "a.csv", second)["group"].tolist() == ["7", "3", "3"]


def test_formats_may_be_mixed_if_plain(tmp_path):
    trl = [{"prompt": "q", "completion": "a", "label": True}]
    chat = [
        {
            "messages": [
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": "a"},
            ],
            "feedback": None,
        }
    ]
    path = write(tmp_path / "a.jsonl", [row("r", "b")])
    logs = load_quietly(trl, pd.DataFrame(chat), path)
    assert logs["completion"].tolist() == ["a", "b"]
    assert logs.attrs["load_feedback"]["format"] == "plain"
    runs = [{"id": "r", "inputs": {"input": "q"}, "outputs": {"output": "a"}}]
    with pytest.raises(FileFormatError, match=r"formats \['langsmith', 'plain'\]"):
        load_feedback([runs, path])


def test_errors_name_the_log(tmp_path):
    good = write(tmp_path / "good.jsonl", [row("r", "b")])
    bad = write(tmp_path / "bad.jsonl", [row("r", "b", "maybe")])
    with pytest.raises(FeedbackError, match=r"bad\.jsonl: column 'feedback' holds 'maybe'"):
        load_feedback([good, bad])
    with pytest.raises(FileFormatError, match="source 2 holds no rows"):
        load_feedback([good, []])


def test_exports_of_a_tool_are_read_as_one(tmp_path):
    def run(key, output):
        return {"id": key, "inputs": {"input": f"q{key}"}, "outputs": {"output": output}}

    def score(key, value, day):
        return {
            "run_id": key,
            "key": "thumbs",
            "score": value,
            "feedback_source": {"type": "api"},
            "created_at": f"2026-05-{day:02d}",
        }

    may = write(tmp_path / "may.jsonl", [run("1", "a"), run("2", "b"), run("3", "c")])
    june = write(tmp_path / "june.jsonl", [run("2", "b"), run("4", "d")])
    scores = [[score("2", 1, 9), score("1", 0, 1)], [score("2", 0, 8), score("2", 1, 9)]]
    with pytest.warns(DataLossWarning, match="1 repeated answers .* 2 scores superseded"):
        logs = load_feedback([may, june], scores=scores)
    assert sorted(logs["id"]) == ["1", "2", "3", "4"]
    rated = logs.set_index("id")["feedback"].dropna()
    assert rated.to_dict() == {"1": 0.0, "2": 1.0}


class TestColumnsOfUnlikeLogs:
    """Columns that a missing value turned into floats, and columns without any value."""

    @staticmethod
    def log(**columns):
        n = len(next(iter(columns.values())))
        texts = {"prompt": [f"q{i}" for i in range(n)], "completion": [f"a{i}" for i in range(n)]}
        return pd.DataFrame({**texts, "feedback": [1.0, *[None] * (n - 1)], **columns})

    def test_ids_that_became_floats_match_ids_of_text(self):
        first = self.log(id=[1, 2, None], group=[7, 8, 9])
        second = self.log(id=["1", "2", "3"], group=["7", "8", "9"])
        with pytest.warns(DataLossWarning):
            merged = load_feedback([first, second])
        assert len(merged) == 3
        assert merged.attrs["load_feedback"]["n_duplicates"] == 3

    def test_groups_and_users_without_values_are_as_if_absent(self):
        first = self.log(group=["g", "h"], user=["u", "v"])
        second = self.log(group=[None, None], user=[None, None])
        with pytest.warns(DataLossWarning):
            merged = load_feedback([first, second])
        assert len(merged) == 2
        assert merged["group"].notna().all()

    def test_timestamps_without_values_stay_times(self):
        logs = [self.log(timestamp=[None, None]).assign(prompt=[f"{i}", f"{i}b"]) for i in (1, 2)]
        merged = load_feedback(logs)
        if "timestamp" in merged:
            assert isinstance(merged["timestamp"].dtype, pd.DatetimeTZDtype)
