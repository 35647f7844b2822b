"""Labels age: when more are due, from which strata, and what each label counts."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from skcausalrm.datasets._labels import answer_keys, append_label, draw_answers, read_labels
from skcausalrm.datasets._top_up import (
    BATCH,
    ENOUGH,
    HALF_LIFE,
    draw_top_up,
    freshness,
    label_weights,
    open_batch,
)

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def labels_of(*parts):
    """Return a label table of (count, days ago, top_up) parts."""
    rows = [
        {"verified": 1.0, "time": (NOW - timedelta(days=days)).isoformat(), "top_up": top_up}
        for count, days, top_up in parts
        for _ in range(count)
    ]
    return pd.DataFrame(rows, columns=["verified", "time", "top_up"])


def log(n=600):
    feedback = np.array([np.nan, np.nan, np.nan, np.nan, 1.0, 0.0])[np.arange(n) % 6]
    return pd.DataFrame(
        {
            "prompt": [f"p{k}" for k in range(n)],
            "completion": ["x"] * n,
            "feedback": feedback,
            "timestamp": pd.Timestamp("2026-11-27", tz="UTC") - pd.to_timedelta(np.arange(n), "D"),
        }
    )


def test_fifty_labels_are_enough_for_about_two_months():
    found = freshness(labels_of((50, 0, None)), NOW)
    assert (found.n, found.fresh) == (50, pytest.approx(50))
    assert found.due - NOW == pytest.approx(timedelta(days=66.3), abs=timedelta(days=1))
    old = freshness(labels_of((50, HALF_LIFE, None), (4, 0, None)), NOW)
    assert old.fresh == pytest.approx(29)
    assert old.due < NOW
    undated = labels_of((50, 0, None)).assign(time=None)
    assert freshness(undated, NOW).fresh == pytest.approx(25)
    assert freshness(labels_of(), NOW).due < NOW


def test_a_top_up_is_of_recent_answers_of_all_strata():
    frame = log()
    drawn = draw_top_up(frame, draw_answers(frame), labels_of((50, 100, None)), BATCH, NOW)
    first = drawn.order[:BATCH]
    assert drawn.wanted == BATCH
    assert (first <= HALF_LIFE).all()
    names = [drawn.facts[row]["stratum"] for row in first]
    assert [names.count(name) for name in ("unrated", "liked", "disliked")] == [10, 5, 5]
    for row in first:
        y = frame["feedback"][row]
        expected = "unrated" if np.isnan(y) else "liked" if y else "disliked"
        assert drawn.facts[row]["stratum"] == expected
    recent = frame["feedback"][: HALF_LIFE + 1]
    assert drawn.facts[first[names.index("liked")]]["probability"] == pytest.approx(
        5 / (recent == 1).sum()
    )


def test_what_a_stratum_lacks_the_others_give():
    frame = log().assign(feedback=np.nan)
    frame.loc[[2, 5], "feedback"] = 1.0
    drawn = draw_top_up(frame, draw_answers(frame), labels_of(), BATCH, NOW)
    names = [drawn.facts[row]["stratum"] for row in drawn.order[:BATCH]]
    assert (names.count("liked"), names.count("unrated"), drawn.wanted) == (2, 18, 20)
    few = draw_top_up(frame[:3], np.arange(3), labels_of(), BATCH, NOW)
    assert (few.wanted, len(few.order)) == (3, 3)
    assert draw_top_up(frame[:0], np.arange(0), labels_of(), BATCH, NOW).wanted == 0


def test_a_batch_that_was_begun_goes_on(tmp_path):
    frame, path = log(), tmp_path / "labels.jsonl"
    keys = answer_keys(frame)
    drawn = draw_top_up(frame, draw_answers(frame), labels_of(), BATCH, NOW)
    for row in drawn.order[:8]:
        append_label(path, keys[row], 1, top_up=drawn.facts[row])
    labels = read_labels(path)
    later = NOW + timedelta(days=3)
    batch, done = open_batch(labels, later, BATCH)
    assert (batch, sum(done.values())) == ("2026-11-27", 8)
    rest = draw_top_up(frame, draw_answers(frame, labels), labels, BATCH, later)
    assert rest.wanted == 12
    assert {fact["batch"] for fact in rest.facts.values()} == {batch}
    one = next(fact for fact in rest.facts.values() if fact["stratum"] == "liked")
    assert (
        one["probability"] == drawn.facts[drawn.order[0]]["probability"] or one["probability"] > 0
    )
    assert open_batch(labels, NOW + timedelta(days=90), BATCH)[0] != batch
    complete = pd.concat([labels, labels, labels])
    assert open_batch(complete, later, BATCH)[0] == "2026-11-30"


def test_weighted_labels_tell_the_share_of_all_answers():
    """The liked are mostly good and few: unweighted, a top-up would call the log too good."""
    rng = np.random.default_rng(0)
    frame = log(1200).drop(columns="timestamp")
    feedback = frame["feedback"].to_numpy()
    good = rng.random(1200) < np.select([feedback == 1, feedback == 0], [0.9, 0.6], 0.2)
    plain, weighted = [], []
    for _ in range(40):
        drawn = draw_top_up(frame, rng.permutation(1200), labels_of(), 60, NOW)
        rows = drawn.order[:60]
        table = pd.DataFrame(
            {"verified": good[rows].astype(float), "top_up": [drawn.facts[row] for row in rows]}
        )
        plain.append(table["verified"].mean())
        weighted.append(np.average(table["verified"], weights=label_weights(table)))
    assert np.mean(plain) > good.mean() + 0.08
    assert np.mean(weighted) == pytest.approx(good.mean(), abs=0.03)


def test_batches_count_by_their_size():
    facts = [
        {"batch": "b", "stratum": s, "probability": p} for s, p in (("liked", 0.5), ("x", 0.1))
    ]
    table = labels_of((4, 0, None), (1, 0, facts[0]), (1, 0, facts[1]))
    inverse = label_weights(table)
    assert inverse[:4].tolist() == [1, 1, 1, 1]
    assert inverse[4:].tolist() == pytest.approx([2 / 6, 10 / 6])
    assert ENOUGH < 50
