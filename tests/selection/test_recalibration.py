"""The last shift and stretch of the log odds on verified rows."""

import warnings
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit

from skcausalrm.exceptions import AssumptionWarning, FewFeedbackWarning
from skcausalrm.selection._recalibration import (
    _stratum_weights,
    fit_recalibration,
    recalibration_covariance,
)
from skcausalrm.selection._recalibration_map import Recalibration

quick = settings(max_examples=60, deadline=None)
maps = st.builds(Recalibration, st.floats(-3, 3), st.floats(-0.9, 2), st.floats(-2, 2))


@quick
@given(move=maps, p=st.floats(0.0101, 0.9899))
def test_moves_log_odds_and_its_derivative_is_that_of_the_map(move, p):
    p = np.array([p])
    expected = logit(p) + move.intercept + move.slope * (logit(p) - move.center)
    np.testing.assert_allclose(logit(move(p)), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(move.shift(p), expected - logit(p), atol=1e-9)
    step = 1e-6
    inside = np.clip([p - step, p + step], 0.01, 0.99)
    slope = (move(inside[1]) - move(inside[0])) / (inside[1] - inside[0])
    np.testing.assert_allclose(move.derivative(p), slope, rtol=1e-4, atol=1e-8)


@quick
@given(move=maps)
def test_the_threshold_is_where_the_map_crosses_one_half(move):
    at = move.threshold
    moved = (1 + move.slope) * at + move.intercept - move.slope * move.center
    assert moved == pytest.approx(0, abs=1e-12)
    if abs(at) < logit(0.99):
        below, half, above = move(expit(np.array([at - 0.1, at, at + 0.1])))
        assert half == pytest.approx(0.5, abs=1e-12)
        assert below < half < above or abs(at) > logit(0.98)


@quick
@given(move=maps, p=st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_rises_and_is_level_beyond_its_clip(move, p):
    p = np.sort(p)
    assert (np.diff(move(p)) >= 0).all()
    assert ((move(p) > 0) & (move(p) < 1)).all()
    np.testing.assert_array_equal(move(np.array([0.0, 0.01])), move(np.array([0.01] * 2)))
    assert not move.derivative(np.array([0.0, 0.005, 0.995, 1.0])).any()


def simulated(n=4000, n_verified=400, *, shift=1.0, stretch=0.5, error=0.0, seed=0):
    """True log odds are those predicted, moved; feedback says something of the truth."""
    rng = np.random.default_rng(seed)
    l = rng.normal(size=n)
    r = rng.random(n) < expit(l + shift + stretch * (l - l.mean()))
    feedback = np.where(rng.random(n) < 0.4, r, np.nan).astype(float)
    verified = np.full(n, np.nan)
    rows = rng.choice(n, n_verified, replace=False)
    verified[rows] = np.where(rng.random(n_verified) < error, ~r[rows], r[rows])
    return expit(l), verified, feedback, r


def test_many_rows_find_the_move():
    prediction, verified, feedback, _ = simulated(40_000, 40_000)
    found = fit_recalibration(prediction, verified, feedback)
    assert found.intercept == pytest.approx(1.0, abs=0.05)
    assert found.slope == pytest.approx(0.5, abs=0.05)
    assert found.center == pytest.approx(np.clip(logit(prediction), *logit([0.01, 0.99])).mean())


def test_few_rows_are_held_back_by_the_prior():
    """The maximum a posteriori of the docstring, by an optimiser without derivatives."""
    prediction, verified, feedback, _ = simulated(600, 40)
    posterior = np.where(np.isnan(verified), np.nan, prediction)
    found = fit_recalibration(prediction, verified, feedback, posterior=posterior, error_rate=0.1)
    judged = ~np.isnan(verified)
    l, label = logit(prediction), verified[judged] == 1
    center = np.clip(l, *logit([0.01, 0.99])).mean()

    def loss(theta):
        p = expit(l[judged] + theta[0] + theta[1] * (l[judged] - center))
        q = 0.1 + 0.8 * p
        prior = (theta[0] / 0.3) ** 2 / 2 + (theta[1] / 0.2) ** 2 / 2
        return -np.log(np.where(label, q, 1 - q)).sum() + prior

    best = minimize(loss, [0, 0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}).x
    np.testing.assert_allclose([found.intercept, found.slope], best, atol=1e-3)
    assert 0 < found.intercept < 0.9


def test_a_known_error_rate_undoes_the_shrinking_of_wrong_labels():
    prediction, verified, feedback, _ = simulated(20_000, 20_000, error=0.2)
    known = fit_recalibration(prediction, verified, feedback, error_rate=0.2)
    ignored = fit_recalibration(prediction, verified, feedback)
    assert known.slope == pytest.approx(0.5, abs=0.08)
    assert ignored.slope < 0.2


def test_rows_picked_by_feedback_count_for_their_share():
    prediction, _, feedback, r = simulated(40_000, shift=0.0, stretch=0.0)
    rng = np.random.default_rng(1)
    chance = np.where(np.isnan(feedback), 0.02, np.where(feedback == 1, 0.9, 0.1))
    verified = np.where(rng.random(len(r)) < chance, r, np.nan)
    picked = fit_recalibration(prediction, verified, feedback)
    assert abs(picked.intercept) < 0.15
    blind = fit_recalibration(
        prediction, verified, feedback, posterior=np.where(np.isnan(verified), np.nan, prediction)
    )
    assert blind.intercept > 0.5  # the same rows, not weighted: most of them were liked


def test_strata_weigh_what_they_weigh_in_the_log():
    """Unrated, disliked and liked rows, of which one was checked, weigh 8, 3 and 5."""
    kinds, weight = np.array([0, 0, 1, 2, 2]), np.array([1.0, 3.0, 1.0, 2.0, 0.5])
    found = _stratum_weights(kinds, weight, np.array([8.0, 3.0, 5.0]))
    np.testing.assert_allclose(found, [2, 6, 3, 4, 1])


def test_posterior_is_what_moves():
    """Where P(r=1 given o, s, x) is right already, labels picked by s leave all as it is."""
    prediction, _, feedback, r = simulated(40_000, shift=0.0, stretch=0.0)
    flipped = np.random.default_rng(1).random(len(r)) < 0.2
    feedback = np.where(flipped, 1 - feedback, feedback)
    odds = prediction / (1 - prediction) * np.where(feedback == 1, 4, 0.25)
    liked = np.where(feedback == 1, r, np.nan).astype(float)
    found = fit_recalibration(prediction, liked, feedback, posterior=odds / (1 + odds))
    assert abs(found.intercept) < 0.1
    assert abs(found.slope) < 0.1
    with pytest.warns(FewFeedbackWarning):  # without it, liked rows seem to be all there are
        blind = fit_recalibration(prediction, liked, feedback)
    assert blind.intercept > 0.5


def test_weights_count_as_so_many_rows():
    prediction, verified, feedback, _ = simulated()
    weight = np.random.default_rng(0).integers(0, 4, len(prediction))
    rows = np.repeat(np.arange(len(prediction)), weight)
    weighted = fit_recalibration(prediction, verified, feedback, sample_weight=weight * 1.0)
    repeated = fit_recalibration(prediction[rows], verified[rows], feedback[rows])
    np.testing.assert_allclose(astuple(weighted), astuple(repeated), rtol=1e-5)
    by_weight, by_rows = (
        recalibration_covariance(weighted, prediction[at], verified[at], sample_weight=of)
        for at, of in ((slice(None), weight * 1.0), (rows, None))
    )
    np.testing.assert_allclose(by_weight, by_rows, rtol=1e-9)


def test_one_class_of_labels_moves_the_level_alone():
    prediction, verified, feedback, _ = simulated()
    ones = np.where(verified == 1, 1.0, np.nan)
    zeros = np.where(verified == 0, 0.0, np.nan)
    feedback = np.full(len(feedback), np.nan)
    with pytest.warns(FewFeedbackWarning, match=r"All \d+ verified rows are 1"):
        found = fit_recalibration(prediction, ones, feedback)
    assert found.slope == 0
    assert found.intercept > 0
    with pytest.warns(FewFeedbackWarning, match="are 0"):
        found = fit_recalibration(prediction, zeros, feedback)
    assert found.slope == 0
    assert found.intercept < 0


def test_labels_that_rank_backwards_are_warned_of_and_held():
    prediction, verified, feedback, _ = simulated(4000, 4000, stretch=-3)
    with pytest.warns(AssumptionWarning, match="4000 verified rows rank against"):
        found = fit_recalibration(prediction, verified, feedback)
    assert found.slope == pytest.approx(-0.9)
    assert (np.diff(found(np.linspace(0.02, 0.98, 50))) > 0).all()


def test_a_kind_of_row_without_a_label_is_named():
    prediction, verified, feedback, _ = simulated()
    with pytest.warns(FewFeedbackWarning, match=r"No unrated \(\d+ rows\) row"):
        fit_recalibration(prediction, np.where(np.isnan(feedback), np.nan, verified), feedback)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_recalibration(prediction, verified, feedback)


def test_no_label_of_positive_weight_changes_nothing():
    prediction, verified, feedback, _ = simulated()
    weight = np.isnan(verified).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fit_recalibration(prediction, verified, feedback, sample_weight=weight)
    assert (found.intercept, found.slope) == (0.0, 0.0)
