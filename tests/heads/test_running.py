"""RunningMoments: the sums of FoldMoments, whatever the portions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcausalrm.heads import RidgeHead
from skcausalrm.heads._moments import FoldMoments
from skcausalrm.heads._running import RunningMoments

NAMES = ("weight_sums", "sums")


def make_rows(seed, n=120, d=5, shift=0.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + shift
    weight = rng.choice([0.0, 0.5, 1.0, 2.0], size=n)
    target = np.where(weight > 0, X @ np.arange(d) + rng.normal(size=n), np.nan)
    return X, rng.integers(0, 4, size=n), weight, target


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 999),
    cuts=st.lists(st.integers(0, 120), max_size=4).map(sorted),
    shift=st.sampled_from([0.0, 50.0]),
)
def test_portions_sum_up_to_the_moments_of_all_rows(seed, cuts, shift):
    X, fold, weight, target = make_rows(seed, shift=shift)
    whole = FoldMoments(X, fold, 4, weight)
    assert whole.center.any() == (shift > 0)
    running = RunningMoments(whole.center, 4)
    for rows in np.split(np.random.default_rng(seed).permutation(120), cuts):
        running.add(X[rows], fold[rows], weight[rows], target[rows])
    for name in NAMES:
        np.testing.assert_allclose(
            getattr(running, name), getattr(whole, name), rtol=1e-9, atol=1e-9
        )
    for mine, other in zip(running.grams, whole.grams, strict=True):
        np.testing.assert_allclose(np.tril(mine), np.tril(other), rtol=1e-9, atol=1e-9)
    expected = whole.target_moments(np.where(weight > 0, target, 0))
    for mine, other in zip(running.target, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-7)


@given(seed=st.integers(0, 999), d=st.integers(1, 9))
@settings(max_examples=20, deadline=None)
def test_arrays_hold_all_of_it(seed, d):
    X, fold, weight, target = make_rows(seed, d=d, shift=20.0)
    running = RunningMoments.of(X[:80], fold[:80], 4, weight[:80], target[:80])
    again = RunningMoments.from_arrays(running.to_arrays())
    for moments in (running, again):
        moments.add(X[80:], fold[80:], weight[80:], target[80:])
    heads = [RidgeHead().solve_moments(m, m.target) for m in (running, again)]
    np.testing.assert_array_equal(heads[0].coef_, heads[1].coef_)
    np.testing.assert_array_equal(heads[0].fold_coefs_, heads[1].fold_coefs_)


def test_float32_rows_are_summed_in_float64():
    X, fold, weight, target = make_rows(0)
    X = X.astype(np.float32)
    running = RunningMoments.of(X, fold, 4, weight, target)
    exact = FoldMoments(X.astype(np.float64), fold, 4, weight)
    np.testing.assert_allclose(np.tril(running.total), np.tril(exact.total), rtol=1e-13)
    assert np.abs(FoldMoments(X, fold, 4, weight).total - exact.total).max() > 1e-9


def test_what_was_solved_before_is_not_remembered():
    X, fold, weight, target = make_rows(1)
    running = RunningMoments.of(X[:60], fold[:60], 4, weight[:60], target[:60])
    RidgeHead().solve_moments(running, running.target)
    running.add(X[60:], fold[60:], weight[60:], target[60:])
    whole = FoldMoments(X, fold, 4, weight)
    head = RidgeHead(0.1).solve_moments(running, running.target)
    other = RidgeHead(0.1).fit_moments(whole, np.where(weight > 0, target, 0))
    assert head.coef_ == pytest.approx(other.coef_, abs=1e-9)
