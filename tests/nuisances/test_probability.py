"""Calibrated probabilities against their definitions: maximum, covariance, invariances."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime, brentq, minimize
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import KFold

from skcausalrm import NoiseTransitionEstimator, PropensityEstimator
from skcausalrm.nuisances._probability import fit_noisy_sigmoid

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")


class ScoresByColumn(ClassifierMixin, BaseEstimator):
    """Classifier whose log odds are the first column of X."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        p = expit(X[:, 0])
        return np.column_stack([1 - p, p])


def flipped_labels(n=1500, seed=0):
    rng = np.random.default_rng(seed)
    scores = 2 + 3 * rng.normal(size=n)
    labels = (rng.random(n) < 0.1 + 0.7 * expit(1.5 * (scores - 1))).astype(float)
    return scores, labels, rng.uniform(0.5, 2, n)


def probability(theta, z):
    low, flipped = expit(theta[2:]) / 2
    return low + (1 - low - flipped) * expit(theta[0] * z + theta[1])


def test_the_noisy_sigmoid_maximises_its_posterior():
    scores, labels, weight = flipped_labels()
    curve = fit_noisy_sigmoid(scores, labels, np.arange(len(scores)), weight=weight)
    z = (scores - scores.mean()) / scores.std()

    def loss(theta):
        p = probability(theta, z)
        likelihood = weight @ np.where(labels == 1, np.log(p), np.log1p(-p))
        return ((theta[2:] + 1) ** 2).sum() / 2 - likelihood

    best = minimize(loss, [2.0, 0.0, -1.0, -1.0], method="BFGS", options={"gtol": 1e-3}).x
    np.testing.assert_allclose(curve.theta, best, atol=2e-3)
    assert curve.low == pytest.approx(expit(best[2]) / 2, abs=1e-3)
    assert curve.high == pytest.approx(1 - expit(best[3]) / 2, abs=1e-3)
    np.testing.assert_allclose(curve(scores), probability(best, z), atol=1e-3)


def test_steps_that_would_overshoot_are_halved():
    """Scores that separate the truth: each level is a share of flips under its prior.

    At either level, ``10 log(rate) + 90 log(1 - rate) - (phi + 1)^2 / 2`` is greatest.
    """
    scores = np.repeat([-1.0, 1.0], 100) + np.tile(np.linspace(0, 1, 100), 2)
    flipped = np.arange(100) % 10 == 5
    labels = np.concatenate([flipped, ~flipped]).astype(float)
    curve = fit_noisy_sigmoid(scores, labels, np.arange(200))

    def slope(phi):
        rate = expit(phi) / 2
        return (10 / rate - 90 / (1 - rate)) * rate * (1 - 2 * rate) - (phi + 1)

    rate = expit(brentq(slope, -4, 4)) / 2
    assert (curve.low, 1 - curve.high) == pytest.approx((rate, rate), abs=1e-4)
    np.testing.assert_allclose(curve(scores), np.repeat([rate, 1 - rate], 100), atol=1e-3)


@pytest.mark.parametrize("size", [1, 5])
def test_its_covariance_is_the_sandwich_over_groups(size):
    scores, labels, weight = flipped_labels()
    groups = np.arange(len(scores)) // size
    curve = fit_noisy_sigmoid(scores, labels, groups, weight=weight)
    z = (scores - scores.mean()) / scores.std()
    p = probability(curve.theta, z)
    slopes = approx_fprime(curve.theta, lambda theta: probability(theta, z), 1e-7)
    information = (slopes.T * weight / (p * (1 - p))) @ slopes + np.diag([0, 0, 1, 1])
    row_scores = slopes * (weight * (labels - p) / (p * (1 - p)))[:, None]
    bread = np.linalg.inv(information)
    sums = np.add.reduceat(row_scores, np.arange(0, len(scores), size))
    expected = bread @ sums.T @ sums @ bread
    np.testing.assert_allclose(curve.covariance, expected, rtol=1e-3)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 100.0), (0.01, -3.0)])
def test_origin_and_unit_of_the_scores_do_not_matter(scale, shift):
    scores, labels, weight = flipped_labels()
    rows = np.arange(len(scores))
    curve = fit_noisy_sigmoid(scores, labels, rows, weight=weight)
    moved = fit_noisy_sigmoid(scale * scores + shift, labels, rows, weight=weight)
    np.testing.assert_allclose(moved.theta, curve.theta, atol=1e-4)
    np.testing.assert_allclose(moved(scale * scores + shift), curve(scores), atol=1e-5)


def test_without_calibration_a_propensity_is_the_classifiers_own():
    rng = np.random.default_rng(0)
    X = rng.normal(scale=2, size=(1000, 2))
    observed = rng.random(1000) < 0.5
    model = PropensityEstimator(ScoresByColumn(), calibration=None).fit(X, observed)
    own = expit(X[:, 0])
    np.testing.assert_allclose(model.oof_propensity_, np.maximum(own, 0.05), atol=1e-12)
    np.testing.assert_allclose(model.predict_proba(X), np.column_stack([1 - own, own]), atol=1e-12)
    assert model.clipped_share_ == np.mean(own < 0.05) > 0
    assert model.effective_sample_size_ == pytest.approx(
        (1 / np.maximum(own, 0.05)[observed]).sum() ** 2
        / (1 / np.maximum(own, 0.05)[observed] ** 2).sum()
    )


def test_a_clipping_threshold_is_below_1():
    with pytest.raises(ValueError, match=r"range \[0.0, 1.0\)"):
        PropensityEstimator(clipping_threshold=1.0).fit(np.ones((4, 1)), [0, 1, 0, 1])


def test_each_method_gives_its_own_rates():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1200, 2))
    s = (rng.random(1200) < 0.15 + 0.7 * expit(4 * X[:, 0])).astype(float)
    cv = list(KFold(4).split(X))
    anchor, sigmoid, confident = (
        NoiseTransitionEstimator(method=method, quantile=0.05, cv=cv, random_state=0).fit(X, s)
        for method in ("anchor", "sigmoid", "confident")
    )
    p = anchor.oof_probability_
    ends = np.array([np.quantile(p[test], [0.05, 0.95]) for _, test in cv])
    np.testing.assert_allclose(anchor.rates_, np.median(np.abs([0, 1] - ends), axis=0), atol=2e-4)
    curve = sigmoid.model_.calibrate
    assert sigmoid.rates_ == (curve.low, 1 - curve.high)
    bar_1, bar_0 = p[s == 1].mean(), (1 - p[s == 0]).mean()
    sure = np.where(p >= bar_1, 1, np.where(1 - p >= bar_0, 0, -1))
    assert bar_1 + bar_0 > 1  # so that no row is surely of both classes
    counts = np.array([[np.sum((s == a) & (sure == b)) for b in (0, 1)] for a in (0, 1)])
    joint = counts * (np.bincount(s.astype(int)) / counts.sum(axis=1))[:, None]
    expected = joint[1, 0] / joint[:, 0].sum(), joint[0, 1] / joint[:, 1].sum()
    assert confident.rates_ == pytest.approx(expected, abs=1e-12)
