"""Best-of-n against brute force, and the scores of RewardBench 2 against hand-made cases."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcausalrm.exceptions import GroupsError, InvalidInputError
from skcausalrm.metrics import best_of_4_score, best_of_n, ties_score


def by_enumeration(preference, score, groups, n):
    """Mean over prompts of the mean over all samples of the mean over the sample's best."""
    values = []
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        picks = []
        for sample in combinations(rows, n):
            sample = np.array(sample)
            top = sample[score[sample] == score[sample].max()]
            picks.append(preference[top].mean())
        values.append(np.mean(picks))
    return np.mean(values)


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(3, 7), min_size=2, max_size=4),
    n=st.integers(1, 3),
    levels=st.integers(1, 6),
    seed=st.integers(0, 999),
)
def test_picks_are_those_of_all_samples(sizes, n, levels, seed):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    preference, score = rng.random(len(groups)), rng.integers(levels, size=len(groups)) / 7
    table = best_of_n(preference, score, groups, n=n, random_state=0).set_index("score")
    expected = by_enumeration(preference, score, groups, n)
    assert table.loc["score", "preference"] == pytest.approx(expected, abs=1e-12)
    oracle = by_enumeration(preference, preference, groups, n)
    assert table.loc["oracle", "preference"] == pytest.approx(oracle, abs=1e-12)
    means = [preference[groups == group].mean() for group in np.unique(groups)]
    assert table.loc["random", "preference"] == pytest.approx(np.mean(means), abs=1e-12)
    assert (table["preference"] <= oracle + 1e-12).all()
    wins = by_enumeration((preference > 0.5).astype(float), score, groups, n)
    assert table.loc["score", "win_rate"] == pytest.approx(wins, abs=1e-12)


@pytest.fixture(scope="module")
def answers():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), 56)
    preference = rng.random(len(groups))
    return preference, preference + rng.normal(size=len(groups)), groups


def test_a_score_that_knows_something_gains_with_n_and_chance_does_not(answers):
    preference, score, groups = answers
    table = best_of_n(preference, {"model": score}, groups, random_state=0)
    assert table["n"].unique().tolist() == [2, 4, 8, 16, 32, 56]
    wide = table.pivot_table(index="n", columns="score", values="preference")
    assert (np.diff(wide["model"]) > 0).all()
    np.testing.assert_allclose(wide["random"], wide["random"].iloc[0])
    assert (wide["model"].between(wide["random"], wide["oracle"])).all()
    assert wide.loc[56, "oracle"] == pytest.approx(
        pd.Series(preference).groupby(groups).max().mean()
    )


@pytest.mark.parametrize("transform", [lambda s: 3 * s - 7, np.exp])
def test_only_the_order_of_scores_counts(answers, transform):
    preference, score, groups = answers
    one = best_of_n(preference, score, groups, n=[3, 8], random_state=0)
    other = best_of_n(preference, transform(score), groups, n=[3, 8], random_state=0)
    pd.testing.assert_frame_equal(one, other)


def test_scores_are_compared_on_the_same_prompts(answers):
    preference, score, groups = answers
    # quality differs far more between prompts than two scores do
    level = np.random.default_rng(1).normal(size=200)[groups] * 10
    named = pd.DataFrame({"naive": -score, "ours": score})
    table = best_of_n(preference + level, named, groups, n=8, random_state=0).set_index("score")
    ours = table.loc["ours"]
    assert ours["difference_low"] > 0
    assert (
        ours["difference_high"] - ours["difference_low"]
        < 0.2
        < 2
        < (ours["preference_high"] - ours["preference_low"])
    )
    assert (table.loc["naive", ["difference", "difference_low", "difference_high"]] == 0).all()


def test_the_interval_is_that_of_a_mean_over_prompts(answers):
    preference, score, groups = answers
    row = best_of_n(preference, score, groups, n=56, n_bootstrap=4000, random_state=0).iloc[0]
    picks = pd.DataFrame({"p": preference, "s": score, "g": groups})
    values = picks.loc[picks.groupby("g")["s"].idxmax(), "p"]
    half = 1.96 * values.std() / 200**0.5
    assert row["preference_low"] == pytest.approx(row["preference"] - half, abs=half / 8)
    assert row["preference_high"] == pytest.approx(row["preference"] + half, abs=half / 8)


def test_large_prompts_do_not_overflow():
    rng = np.random.default_rng(0)
    groups, score = np.repeat([0, 1], 5000), rng.random(10_000)
    table = best_of_n(score, score, groups, n=[2500], random_state=0)
    assert table.loc[0, "preference"] == table.loc[2, "preference"] > 0.99


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ([0.1] * 4, [1, 2, np.nan, 3], [0, 0, 1, 1]),
            InvalidInputError,
            "infinite in 1 of 4",
        ),
        (([0.1, np.inf, 0, 0], [1, 2, 2, 3], [0, 0, 1, 1]), InvalidInputError, "preference is NaN"),
        (([0.1] * 4, [1, 2, 2, 3], [0, 0, 0, 0]), GroupsError, "to one prompt"),
        (([0.1] * 4, {}, [0, 0, 1, 1]), InvalidInputError, "names no score"),
        (([0.1] * 4, [1, 2, 3], [0, 0, 1, 1]), ValueError, "inconsistent"),
    ],
)
def test_bad_columns_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        best_of_n(*arguments)


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (3, GroupsError, r"1 of 2 prompts have fewer than n=3 answers \(the fewest: 2\)"),
        (0, ValueError, "whole numbers"),
        (1.5, ValueError, "whole numbers"),
        ([], ValueError, "whole numbers"),
    ],
)
def test_bad_n_is_refused(n, error, message):
    with pytest.raises(error, match=message):
        best_of_n([0.1] * 5, [1, 2, 2, 3, 1], [0, 0, 1, 1, 1], n=n)


def test_best_of_4_by_hand():
    groups, correct = np.repeat(np.arange(4), 4), np.tile([False, True, False, False], 4)
    score = np.array([[0, 9, 1, 2], [9, 1, 0, 0], [5, 5, 5, 0], [0, 0, 0, 0]], float).ravel()
    assert best_of_4_score(correct, score, groups) == pytest.approx((1 + 0 + 1 / 3 + 1 / 4) / 4)
    shuffled = np.random.default_rng(0).permutation(16)
    again = best_of_4_score(correct[shuffled], score[shuffled], groups[shuffled])
    assert again == pytest.approx((1 + 0 + 1 / 3 + 1 / 4) / 4)
    with pytest.raises(GroupsError, match="1 of 4 prompts do not have four answers"):
        best_of_4_score(correct[1:], score[1:], groups[1:])
    with pytest.raises(GroupsError, match="one of them correct"):
        best_of_4_score(~correct, score, groups)


def pair(ties_right, ties_wrong, ref_right, ref_wrong):
    score = [*ties_right, *ties_wrong, ref_right, *ref_wrong]
    n, m = len(ties_right) + len(ties_wrong), 1 + len(ref_wrong)
    correct = [1] * len(ties_right) + [0] * len(ties_wrong) + [1] + [0] * len(ref_wrong)
    return correct, score, [0] * n + [1] * m


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        # spread 1, margin 2 of the ties and 3 of the reference: all right
        (pair([3, 4], [1, 0], 5, [2]), 1 + 0.01 * np.tanh(2 / 1 - 1)),
        # the reference's margin is smaller than the spread
        (pair([3, 4], [1, 0], 2.5, [2]), 0.8 + 0.01 * np.tanh(0.5 / 1 - 1)),
        # the spread is larger than either margin
        (pair([2, 9], [1, 0], 5, [2]), 0.6 + 0.01 * np.tanh(1 / 7 - 1)),
        # everything wrong
        (pair([0, 1], [2], 1, [3]), 0.01 * np.tanh(-2 / 1 - 1)),
        # one correct answer to both: no spread
        (pair([3], [1], 5, [2]), 1.01),
        (pair([3], [3], 5, [2]), 0.3),
    ],
)
def test_ties_by_hand(case, expected):
    correct, score, reference = case
    found = ties_score(correct, score, [0] * len(score), reference=reference)
    assert found == pytest.approx(expected)


def test_ties_is_a_mean_over_pairs_and_wants_both_prompts():
    one, other = pair([3, 4], [1, 0], 5, [2]), pair([0, 1], [2], 1, [3])
    columns = [np.concatenate(parts) for parts in zip(one, other, strict=True)]
    groups = np.repeat([7, 3], [len(one[0]), len(other[0])])
    scores = [ties_score(c, s, [0] * len(c), reference=r) for c, s, r in (one, other)]
    found = ties_score(columns[0], columns[1], groups, reference=columns[2])
    assert found == pytest.approx(np.mean(scores))
    with pytest.raises(GroupsError, match="2 of 2 pairs lack a prompt"):
        ties_score(columns[0], columns[1], groups, reference=np.zeros(len(groups)))
