"""Counting: nothing is lost, and the counts stand for the rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from skcausalrm.selection._averaging import fit_tau, maximise
from skcausalrm.selection._counts import Outcome, count_outcomes, outcomes_of_rows
from skcausalrm.selection._likelihood import GradedLikelihood
from skcausalrm.selection._parameters import A_S, SLOPE_SCALE, A, B
from skcausalrm.selection._priors import Knowledge

quick = settings(max_examples=60, deadline=None)


def test_outcome_of_each_kind_of_row():
    y = np.array([np.nan, 0, 1, np.nan, 0, 1])
    asked = np.array([False, False, False, True, True, True])
    expected = [
        Outcome.UNRATED,
        Outcome.DISLIKED,
        Outcome.LIKED,
        Outcome.UNANSWERED,
        Outcome.ASKED_DISLIKED,
        Outcome.ASKED_LIKED,
    ]
    assert outcomes_of_rows(y, asked).tolist() == expected
    assert outcomes_of_rows(y[:3], None).tolist() == expected[:3]


def random_rows(n, seed, ties=False):
    rng = np.random.default_rng(seed)
    z = rng.integers(-2, 3, size=(n, 2)).astype(float) if ties else rng.normal(size=(n, 2))
    outcome = rng.integers(0, len(Outcome), n)
    verified = np.where(rng.random(n) < 0.3, rng.integers(0, 2, n).astype(float), np.nan)
    return z, outcome, verified, rng.integers(0, 4, n) + 0.5


@quick
@given(
    n=st.integers(2, 300),
    seed=st.integers(0, 10**6),
    likelihood_power=st.floats(0.05, 1),
    n_cells=st.sampled_from([None, 1, 3, 24]),
    ties=st.booleans(),
)
def test_no_row_weight_or_label_is_lost(n, seed, likelihood_power, n_cells, ties):
    z, outcome, verified, weight = random_rows(n, seed, ties)
    counts = count_outcomes(
        z, outcome, verified, weight=weight, likelihood_power=likelihood_power, n_cells=n_cells
    )
    assert len(counts.z) <= (n if n_cells is None else min(n, n_cells**2))
    assert counts.weight.sum() == pytest.approx(weight.sum())
    np.testing.assert_allclose(counts.weight @ counts.z, weight @ z, atol=1e-9)
    judged = ~np.isnan(verified)
    answered = [Outcome.ASKED_DISLIKED, Outcome.ASKED_LIKED]
    factor = np.where(np.isin(outcome, answered), 1.0, likelihood_power)
    for kind in Outcome:
        rows, entries = outcome == kind, counts.outcome == kind
        plain = counts.coefficient[entries & (counts.label < 0)].sum()
        assert plain == pytest.approx((weight * (factor - judged))[rows].sum(), abs=1e-9)
        for label in (0, 1):
            found = counts.coefficient[entries & (counts.label == label)].sum()
            assert found == pytest.approx(weight[rows & (verified == label)].sum())


@quick
@given(seed=st.integers(0, 10**6), likelihood_power=st.floats(0.05, 1))
def test_only_volunteered_rows_are_tempered(seed, likelihood_power):
    """sum T log P(o, s) + sum_asked log P(s) + sum_verified log P(r | o, s), row by row."""
    z, outcome, verified, weight = random_rows(60, seed)
    known = Knowledge(verified_error_rate=0.1)
    counts = count_outcomes(
        z, outcome, verified, weight=weight, likelihood_power=likelihood_power, n_cells=None
    )
    model = GradedLikelihood(counts, known, 0.3, 2.0)
    rng = np.random.default_rng(seed)
    theta = model.start.copy()
    theta[model.free] += rng.normal(size=len(model.free))
    theta[B], theta[A_S] = rng.normal(), 0.1 + abs(theta[A_S])
    shown = model.bins(theta, z, outcome).sum(axis=1)
    label = np.where(np.isnan(verified), -1, verified).astype(int)
    labelled = model.bins(theta, z, outcome, label).sum(axis=1)
    factor = np.where(outcome < Outcome.ASKED_DISLIKED, likelihood_power, 1.0)
    expected = weight @ (factor * np.log(shown) + np.log(labelled / shown))
    away = ((theta - model.start) / model.sd)[model.free]
    prior = np.log(theta[A_S]) - theta[A_S] / SLOPE_SCALE - away @ away / 2
    assert model.evaluate(theta)[0] == pytest.approx(expected + prior)


@quick
@given(seed=st.integers(0, 10**6))
def test_a_weight_counts_as_so_many_rows(seed):
    z, outcome, verified, _ = random_rows(80, seed)
    weight = np.random.default_rng(seed).integers(0, 4, len(z))
    values = []
    for rows, w in ((slice(None), weight.astype(float)), (np.repeat(np.arange(80), weight), None)):
        counts = count_outcomes(z[rows], outcome[rows], verified[rows], weight=w, n_cells=None)
        model = GradedLikelihood(counts, Knowledge(), 1.0, 2.0)
        theta = np.linspace(-0.5, 0.7, len(model.start))
        values.append((model.evaluate(theta)[0], model.base_rate(theta)))
    np.testing.assert_allclose(*values, rtol=1e-9)


def profile(counts, known, link, levels):
    """Log posterior and base rate, maximised over the rest at each intercept."""
    tau, start = fit_tau(counts, known)
    model = GradedLikelihood(counts, known, link, tau)
    found = []
    for direction in (1, -1):
        theta = start
        for b in sorted((b for b in levels if b * direction >= 0), key=abs):
            theta = theta.copy()
            theta[B] = b
            theta, value, _ = maximise(model, theta)
            found.append((b, value, model.base_rate(theta)))
    return np.array(sorted(set(found)))


@pytest.mark.parametrize("link", [1.0, 0.03])
def test_counts_and_rows_have_the_same_profile_over_the_base_rate(draw_rows, link):
    rows = draw_rows(3000, link=link, a_s=1.2, a_o=0.4, gamma=0.8, kappa=0.5, v_o=0.6)
    verified = np.where(np.arange(3000) % 60 == 0, rows.reward, np.nan)
    levels = np.linspace(-3.2, 3.2, 17)
    by_row, counted = (
        profile(
            count_outcomes(rows.z, rows.outcome, verified, n_cells=n_cells),
            Knowledge(),
            link,
            levels,
        )
        for n_cells in (None, 24)
    )
    near = by_row[:, 1] > by_row[:, 1].max() - 8
    assert near.sum() >= 5
    heights = [found[near, 1] - found[:, 1].max() for found in (by_row, counted)]
    np.testing.assert_allclose(*heights, atol=0.5)
    np.testing.assert_allclose(counted[near, 2], by_row[near, 2], atol=0.01)
    # The truth lies where the profile is high, so near the maximum is where it matters.
    truth = expit(rows.z @ rows.theta[A]).mean()
    assert by_row[near, 2].min() < truth < by_row[near, 2].max()
