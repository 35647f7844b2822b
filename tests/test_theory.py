"""Promises of the method, on simulated logs with known truth (slow)."""

from functools import partial

import numpy as np
import pytest
from scipy.special import expit
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression

from skcausalrm import (
    CausalRewardRegressor,
    DoublyRobust,
    InversePropensity,
    NoiseOnly,
    NoiseTransitionEstimator,
)
from skcausalrm.metrics import debiased_r2_score, pseudo_outcomes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning"),
]

RATES = (0.1, 0.2)
KNOWN = NoiseTransitionEstimator(false_positive_rate=RATES[0], false_negative_rate=RATES[1])


def linear_world(n, seed, d=5):
    """P(r=1 given x) is linear in x, so that a linear head can be right; propensities above .1."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(n, d)).astype(np.float32)
    p = 0.5 + X[:, :3] @ np.array([0.2, 0.15, -0.1])
    e = 0.12 + 0.6 * expit(3 * X[:, 0] + 2 * X[:, 3] - 1)
    r = rng.random(n) < p
    s = np.where(rng.random(n) < np.where(r, RATES[1], RATES[0]), ~r, r).astype(float)
    y = np.where(rng.random(n) < e, s, np.nan)
    return X, y, p, e, r


def prediction_rmse(n, make_model, extra, seeds=10):
    errors = []
    for seed in range(seeds):
        X, y, p, e, _ = linear_world(n, seed)
        model = make_model().fit(X, y, **extra(X, y, e))
        errors.append(np.mean((model.predict(X) - p) ** 2))
    return np.sqrt(np.mean(errors))


def regressor(correction, **settings):
    return lambda: CausalRewardRegressor(
        correction(noise_estimator=KNOWN, **settings), LinearRegression(), random_state=0
    )


def true_propensity(X, y, e):
    return {"propensity": e}


def wrong_propensity(X, y, e):
    return {"propensity": np.full(len(y), np.mean(~np.isnan(y)))}


CONSISTENT = {
    "ips, true e": (regressor(InversePropensity, normalize=False), true_propensity),
    "snips, true e": (regressor(InversePropensity), true_propensity),
    "dr, wrong m": (regressor(DoublyRobust, outcome_estimator=DummyRegressor()), true_propensity),
    "dr, wrong e": (
        regressor(DoublyRobust, outcome_estimator=LinearRegression()),
        wrong_propensity,
    ),
    "dr, both estimated": (regressor(DoublyRobust), lambda X, y, e: {}),
}


@pytest.mark.parametrize("case", CONSISTENT)
def test_error_vanishes_as_logs_grow(case):
    few, many = (prediction_rmse(n, *CONSISTENT[case]) for n in (2_000, 40_000))
    assert many < few / 3


def test_bias_of_flips_does_not_vanish():
    def make_naive():
        return CausalRewardRegressor("naive", LinearRegression(), random_state=0)

    naive = prediction_rmse(40_000, make_naive, lambda X, y, e: {}, seeds=5)
    assert naive > 3 * prediction_rmse(40_000, *CONSISTENT["dr, both estimated"], seeds=5)


def test_bias_of_selection_does_not_vanish():
    """A reward curved in x, seen more on one side, gets a slope that it does not have."""
    ips = partial(InversePropensity, normalize=False)
    slopes = {NoiseOnly: [], ips: [], DoublyRobust: []}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X = rng.uniform(-1, 1, size=(40_000, 2))
        r = rng.random(40_000) < 0.3 + 0.5 * X[:, 0] ** 2
        s = np.where(rng.random(40_000) < np.where(r, RATES[1], RATES[0]), ~r, r).astype(float)
        y = np.where(rng.random(40_000) < 0.12 + 0.6 * expit(4 * X[:, 0]), s, np.nan)
        for correction, found in slopes.items():
            found.append(regressor(correction)().fit(X, y).estimator_.coef_[0])
    noise, ips, dr = (np.sqrt(np.mean(np.square(found))) for found in slopes.values())
    assert noise > 0.05
    assert ips < noise / 3
    assert dr < noise / 3


@pytest.mark.parametrize("seed", range(3))
def test_flip_rates_are_found_where_anchors_exist(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(20_000, 32)).astype(np.float32)
    r = rng.random(20_000) < expit(6 * X[:, 0])
    s = np.where(rng.random(20_000) < np.where(r, RATES[1], RATES[0]), ~r, r).astype(float)
    y = np.where(rng.random(20_000) < expit(-1 + X[:, 1] + 0.5 * X[:, 0]), s, np.nan)
    noise = NoiseTransitionEstimator(random_state=seed).fit(X, y)
    assert abs(noise.false_positive_rate_ - RATES[0]) < 0.03
    assert abs(noise.false_negative_rate_ - RATES[1]) < 0.03
    assert abs(noise.false_positive_rate_ - RATES[0]) < 4 * noise.false_positive_rate_std_
    assert abs(noise.false_negative_rate_ - RATES[1]) < 4 * noise.false_negative_rate_std_


def test_debiased_r2_lies_within_two_standard_errors_of_the_true_one():
    within = 0
    for seed in range(20):
        X, y, *_ = linear_world(10_000, 1_000 + seed)
        model = CausalRewardRegressor(DoublyRobust(noise_estimator=KNOWN), random_state=0).fit(X, y)
        X, y, _, _, r = linear_world(10_000, 2_000 + seed)
        f = model.predict(X)
        z = pseudo_outcomes(X, y, method=DoublyRobust(noise_estimator=KNOWN), random_state=0)
        estimate, std = debiased_r2_score(z, f, return_std=True)
        truth = 1 - np.mean((f - r) ** 2) / np.var(r)
        within += abs(estimate - truth) < 2 * std
    assert within >= 17


def test_a_good_judge_helps_and_a_useless_one_does_not_hurt():
    errors = {"none": [], "good": [], "useless": []}
    for seed in range(20):
        X, y, p, _, r = linear_world(4_000, seed)
        rng = np.random.default_rng(seed)
        judges = {
            "none": None,
            "good": np.clip(0.1 + 0.7 * r + 0.1 * rng.normal(size=len(r)), 0, 1),
            "useless": rng.random(len(r)),
        }
        for name, judge in judges.items():
            model = CausalRewardRegressor(DoublyRobust(noise_estimator=KNOWN), random_state=0)
            model.fit(X, y, judge_score=judge)
            errors[name].append(np.mean((model.predict(X) - p) ** 2))
    none, good, useless = (np.sqrt(np.mean(errors[name])) for name in errors)
    assert good < 0.95 * none
    assert useless < 1.05 * none


def test_verified_rows_repair_the_level_under_selection_on_the_reward():
    """Selection on r itself: dr is off the level, and 200 checked rows bring most of it back."""
    gaps = {"without": [], "with": []}
    for seed in range(8):
        X, _, p, _, r = linear_world(20_000, seed)
        rng = np.random.default_rng(seed)
        s = np.where(rng.random(len(r)) < np.where(r, RATES[1], RATES[0]), ~r, r).astype(float)
        y = np.where(rng.random(len(r)) < np.where(r, 0.1, 0.3), s, np.nan)
        verified = np.full(len(r), np.nan)
        checked = rng.choice(len(r), 200, replace=False)
        verified[checked] = r[checked]
        model = CausalRewardRegressor(DoublyRobust(noise_estimator=KNOWN), random_state=0)
        for name, column in (("without", None), ("with", verified)):
            f = model.fit(X, y, verified=column).predict(X)
            gaps[name].append(abs(f.mean() - p.mean()))
    assert np.mean(gaps["with"]) < 0.6 * np.mean(gaps["without"])
