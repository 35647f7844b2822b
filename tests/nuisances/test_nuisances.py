"""Propensity, noise, imputation and recalibration, each pinned where a mistake would not show."""

from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.neighbors import KNeighborsClassifier

from skcausalrm import (
    CausalRewardClassifier,
    CausalRewardRegressor,
    DoublyRobust,
    InversePropensity,
    NoiseTransitionEstimator,
    PropensityEstimator,
)
from skcausalrm import exceptions as ex
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.heads import RidgeHead
from skcausalrm.model_selection._cross_fitting import Folds
from skcausalrm.nuisances._flip_rates import anchor_rates
from skcausalrm.nuisances._probability import NoisySigmoid
from skcausalrm.reward._fit_nuisances import _stack_judge_score
from skcausalrm.selection._recalibration import fit_recalibration

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
KNOWN = NoiseTransitionEstimator(false_positive_rate=0.1, false_negative_rate=0.2)


class Recorder(ClassifierMixin, BaseEstimator):
    """Remembers the first column of what it was fitted on; scores by that column."""

    seen = ()

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        Recorder.seen = (*Recorder.seen, frozenset(X[:, 0].tolist()))
        return self

    def predict_proba(self, X):
        p = expit(X[:, 1])
        return np.column_stack([1 - p, p])


def numbered_log(n=1200):
    rng = np.random.default_rng(0)
    X = np.column_stack([np.arange(n), rng.normal(size=n)]).astype(np.float32)
    y = np.where(rng.random(n) < 0.5, (rng.random(n) < expit(X[:, 1])).astype(float), np.nan)
    return X, y, np.arange(n) // 6


@pytest.mark.parametrize("where", ["default", "propensity", "noise"])
def test_groups_reach_every_cross_fit(where):
    X, y, groups = numbered_log()
    Recorder.seen = ()
    parameters = {
        "default": {"propensity_estimator": Recorder()},
        "propensity": {"propensity_estimator": PropensityEstimator(Recorder())},
        "noise": {"noise_estimator": NoiseTransitionEstimator(Recorder())},
    }[where]
    CausalRewardRegressor(InversePropensity(normalize=False, **parameters), random_state=0).fit(
        X, y, groups=groups
    )
    assert len(Recorder.seen) == 5
    eligible = np.ones(len(X), bool) if where != "noise" else ~np.isnan(y)
    for seen in Recorder.seen:
        inside = np.isin(X[:, 0], list(seen))
        for members in np.split(np.arange(len(X)), len(X) // 6):
            kept = inside[members][eligible[members]]
            assert kept.all() or not kept.any()


def test_asked_rows_stay_out_of_the_propensity_fit():
    X, y, _ = numbered_log()
    asked = np.zeros(len(X), bool)
    asked[::4] = True
    Recorder.seen = ()
    model = CausalRewardRegressor(
        InversePropensity(propensity_estimator=Recorder(), noise_estimator=KNOWN)
    )
    model.fit(X, y, asked=asked)
    assert not set(X[asked, 0].tolist()) & set().union(*Recorder.seen)


@pytest.mark.parametrize("everyone", [True, False])
def test_logs_whose_answers_were_all_asked_for(everyone):
    rng = np.random.default_rng(0)
    X, r = rng.normal(size=(3000, 4)), rng.integers(0, 2, 3000).astype(float)
    asked = np.ones(3000, bool) if everyone else rng.random(3000) < 0.3
    y = np.where(asked, r, np.nan)
    model = CausalRewardRegressor(InversePropensity(noise_estimator=KNOWN, normalize=False)).fit(
        X, y, asked=asked
    )
    np.testing.assert_allclose(model.weight_[asked], 1 / asked.mean())


def test_score_counts_asked_rows_as_fit_does():
    log = make_observational_feedback(40_000, 8, signal="strong", n_asked=8000, random_state=0)
    model = CausalRewardRegressor(DoublyRobust(noise_estimator=KNOWN), random_state=0)
    model.fit(log.X, log.y, asked=log.asked)
    truth = 1 - np.mean((model.predict(log.X) - log.reward) ** 2) / np.var(log.reward)
    assert model.score(log.X, log.y, asked=log.asked) == pytest.approx(truth, abs=0.06)


def test_propensities_of_zero_are_refused_not_divided_by():
    X, y, _ = numbered_log()
    X[:, 0] = np.random.default_rng(0).normal(size=len(X))
    forest = RandomForestClassifier(5, random_state=0).fit(X, ~np.isnan(y))
    with pytest.raises(ex.InvalidInputError, match="is 0 in"):
        CausalRewardRegressor(DoublyRobust(propensity_estimator=FrozenEstimator(forest))).fit(X, y)


def test_a_frozen_classifier_serves_fit_and_score():
    X, y, _ = numbered_log()
    frozen = FrozenEstimator(LogisticRegression().fit(X[:, 1:], ~np.isnan(y)))
    model = CausalRewardRegressor(DoublyRobust(propensity_estimator=frozen, noise_estimator=KNOWN))
    model.fit(X[:, 1:], y)
    assert np.isfinite(model.score(X[:, 1:], y))


def test_isotonic_calibration_follows_a_curve_that_no_sigmoid_does():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 1))
    e = np.where(X[:, 0] > 1, 0.9, np.where(X[:, 0] > -1, 0.3, 0.25))
    observed = rng.random(20_000) < e
    errors = {
        kind: np.abs(
            PropensityEstimator(calibration=kind, random_state=0).fit(X, observed).oof_propensity_
            - e
        ).mean()
        for kind in ("sigmoid", "isotonic")
    }
    assert errors["isotonic"] < 0.03
    assert errors["isotonic"] < errors["sigmoid"] / 2


@pytest.mark.parametrize("method", ["anchor", "sigmoid", "confident"])
def test_rates_are_not_swapped(method):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 4))
    r = X[:, 0] > 0
    s = np.where(rng.random(20_000) < np.where(r, 0.3, 0.05), ~r, r).astype(float)
    noise = NoiseTransitionEstimator(method=method, random_state=0).fit(X, s)
    assert noise.false_positive_rate_ == pytest.approx(0.05, abs=0.04)
    assert noise.false_negative_rate_ == pytest.approx(0.3, abs=0.06)
    assert noise.false_negative_rate_std_ > 0
    np.testing.assert_allclose(noise.transition_matrix_.sum(axis=1), 1)
    assert noise.transition_matrix_[0, 1] == noise.false_positive_rate_


def test_weighted_anchors_equal_repeated_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 2))
    y = (X[:, 0] + rng.normal(size=4000) > 0).astype(float)
    weight = np.where(X[:, 0] > 1, 3.0, 1.0)
    weighted, repeated = (
        NoiseTransitionEstimator(cv=list(KFold(2).split(Z))).fit(Z, t, sample_weight=w)
        for Z, t, w in (
            (X, y, weight),
            (np.repeat(X, weight.astype(int), axis=0), np.repeat(y, weight.astype(int)), None),
        )
    )
    assert weighted.false_positive_rate_ == pytest.approx(repeated.false_positive_rate_, abs=0.02)
    assert weighted.false_negative_rate_ == pytest.approx(repeated.false_negative_rate_, abs=0.02)


@pytest.mark.parametrize("scale", [1.0, 1100.0, 1e5])
def test_a_column_of_another_size_does_not_set_the_penalty(scale):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 21))
    t = X[:, :20] @ rng.normal(size=20) + rng.normal(size=3000)
    X[:, 20] *= scale
    assert RidgeHead(random_state=0).fit(X, t).score(X, t) > 0.7


def test_a_judge_on_another_scale_helps_as_much_and_weightless_rows_say_nothing():
    log = make_observational_feedback(4000, 6, random_state=0)
    judge = 0.1 + 0.8 * log.reward
    fits = {}
    for name, column in (("unit", judge), ("elo", 1500 + 100 * judge)):
        model = CausalRewardRegressor(DoublyRobust(noise_estimator=KNOWN), random_state=0)
        fits[name] = model.fit(log.X, log.y, judge_score=column).target_
    np.testing.assert_allclose(fits["elo"], fits["unit"], atol=1e-4)

    half = np.arange(4000) < 2000
    inverted = np.where(half, judge, 1 - judge)
    model = CausalRewardRegressor(DoublyRobust(noise_estimator=KNOWN), random_state=0)
    model.fit(log.X, log.y, judge_score=inverted, sample_weight=half.astype(float))
    assert np.var(model.target_[half]) < 1.2 * np.var(fits["unit"])


def test_verified_strata_are_weighted_to_their_shares_in_the_log():
    """Only liked rows were checked much; the level must not follow them."""
    rng = np.random.default_rng(0)
    n = 20_000
    prediction = np.full(n, 0.5) + 0.01 * rng.normal(size=n)
    feedback = rng.choice([np.nan, 0.0, 1.0], p=[0.8, 0.1, 0.1], size=n)
    r = rng.random(n) < np.where(feedback == 1, 0.9, 0.5)
    checked = rng.random(n) < np.where(feedback == 1, 0.5, 0.02)
    verified = np.where(checked, r, np.nan)
    level = fit_recalibration(prediction, verified, feedback)(prediction).mean()
    assert level == pytest.approx(r.mean(), abs=0.04)
    assert abs(level - r[checked].mean()) > 0.15


def test_errors_of_the_person_who_checks_are_allowed_for():
    rng = np.random.default_rng(0)
    n = 30_000
    p = rng.uniform(0.05, 0.95, n)
    r = rng.random(n) < p
    verified = np.where(rng.random(n) < 0.2, ~r, r).astype(float)
    right = fit_recalibration(p, verified, np.full(n, np.nan), error_rate=0.2)
    wrong = fit_recalibration(p, verified, np.full(n, np.nan))
    assert abs(right.slope) < 0.1
    assert wrong.slope < -0.3


def test_recalibration_never_ranks_backwards():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, 5000)
    verified = (rng.random(5000) > p).astype(float)
    with pytest.warns(ex.AssumptionWarning, match="5000 verified rows"):
        fitted = fit_recalibration(p, verified, np.full(5000, np.nan))
    order = np.argsort(p)
    assert (np.diff(fitted(p)[order]) >= 0).all()


def test_weightless_verified_rows_say_nothing():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.2, 0.8, 4000)
    good = (rng.random(4000) < p).astype(float)
    weight = np.ones(4000)
    spoilt = good.copy()
    spoilt[:2000], weight[:2000] = 1.0, 0.0
    a = fit_recalibration(p, spoilt, np.full(4000, np.nan), sample_weight=weight)
    b = fit_recalibration(p[2000:], good[2000:], np.full(2000, np.nan))
    np.testing.assert_allclose(astuple(a), astuple(b), atol=1e-4)


def test_splits_of_ones_own_must_keep_groups_together():
    X, y, groups = numbered_log()
    with pytest.raises(ex.GroupsError, match="of 200 groups"):
        CausalRewardRegressor(cv=KFold(5, shuffle=True)).fit(X, y, groups=groups)
    CausalRewardRegressor(cv=KFold(5)).fit(X, y, groups=np.arange(1200) // 240)


@pytest.mark.parametrize("rated", [2, 3])
@pytest.mark.parametrize("method", ["noise", "ips", "dr"])
def test_too_few_rated_rows_to_cross_fit(method, rated):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(800, 3)), np.full(800, np.nan)
    y[:rated] = [1] + [0] * (rated - 1)
    with pytest.raises(ex.FeedbackError, match="training parts"):
        CausalRewardRegressor(method).fit(X, y)


def test_labels_that_were_not_fitted_on_are_refused():
    X, y, _ = numbered_log()
    names = np.where(np.isnan(y), None, np.where(y == 1, "up", "down"))
    model = CausalRewardClassifier("naive").fit(X, names)
    with pytest.raises(ex.FeedbackError, match="a label other than"):
        model.score(X, np.where(names == "up", "UP", names))
    with pytest.raises(ex.FeedbackError, match="2 of 4 rows"):
        NoiseTransitionEstimator().fit(X, y).correct([0, 1, 2, 0.5])


@pytest.mark.parametrize(
    "make",
    [
        lambda y: y.astype(object),
        lambda y: np.where(np.isnan(y), None, y),
        lambda y: pd.Series(y).astype("Int64"),
        lambda y: pd.Series(
            np.where(np.isnan(y), None, np.where(y == 1, "u", "d")), dtype="string"
        ),
        lambda y: ["u" if v == 1 else "d" if v == 0 else float("nan") for v in y],
    ],
)
def test_every_way_to_write_no_feedback(make):
    X, y, _ = numbered_log()
    model = CausalRewardClassifier("naive", random_state=0).fit(X, make(y))
    plain = CausalRewardRegressor("naive", random_state=0).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], plain.predict(X))
    assert model.classes_.dtype != object


def test_estimators_without_sample_weight_say_so():
    X, y, _ = numbered_log()
    with pytest.raises(ex.UnusedParameterError, match="KNeighborsClassifier"):
        PropensityEstimator(KNeighborsClassifier()).fit(
            X, ~np.isnan(y), sample_weight=np.arange(len(y)) + 1.0
        )


def test_the_judge_is_calibrated_on_the_rated_as_if_all_were_rated():
    """Two strata, rated 5% and 95%; the judge is right in the first, inverted in the second.

    Weighted by 1/e both count alike and the judge is worth nothing; unweighted the second, rated
    nineteen times as often, would turn it round.
    """
    rng = np.random.default_rng(0)
    n = 40_000
    second = rng.random(n) < 0.5
    quality = rng.choice([-1.0, 1.0], n)
    reward = (rng.random(n) < np.where(quality > 0, 0.8, 0.2)).astype(float)
    judge = np.where(second, -quality, quality)
    e = np.where(second, 0.95, 0.05)
    observed = rng.random(n) < e
    folds = Folds(np.arange(n) % 2, 2, np.arange(n))
    t = np.where(observed, reward, np.nan)
    m = np.full(n, 0.5) + 1e-6 * rng.normal(size=n)
    combined = _stack_judge_score(m, judge, t, observed / e, folds)
    assert np.ptp([combined[judge == value].mean() for value in (-1, 1)]) < 0.08
    weight = observed / e * np.where(second, 2.0, 0.5)
    doubled = _stack_judge_score(m, judge, t, weight, folds)
    assert combined[judge == 1].mean() - doubled[judge == 1].mean() > 0.05


def test_anchors_are_weighted_quantiles():
    """Rows of weight 2 count as two rows, rows of weight 0 as none."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 2)).astype(np.float32)
    weight = np.where(X[:, 0] > 0, 2.0, 0.25)
    folds = Folds(np.arange(3000) % 3, 3, np.arange(3000))
    curve = NoisySigmoid(np.array([2.0, 0.0, -2.0, -2.0]), 0.0, 1.0, np.zeros((4, 4)))
    scores = X[:, 0].astype(float)
    heavy = anchor_rates(curve, scores, folds, weight, np.random.RandomState(0), 0.05, (0, 0))[0]
    plain = anchor_rates(curve, scores, folds, None, np.random.RandomState(0), 0.05, (0, 0))[0]
    copies = np.repeat(np.arange(3000), (4 * weight).astype(int))
    repeated = anchor_rates(
        curve,
        scores[copies],
        Folds(folds.of_row[copies], 3, copies),
        None,
        np.random.RandomState(0),
        0.05,
        (0, 0),
    )[0]
    np.testing.assert_allclose(heavy, repeated, atol=0.005)
    assert abs(heavy[0] - plain[0]) > 0.03
    ones = anchor_rates(
        curve, scores, folds, np.ones(3000), np.random.RandomState(0), 0.05, (0, 0)
    )[0]
    np.testing.assert_allclose(ones, plain, atol=1e-9)


def test_the_bootstrap_of_flip_rates_redraws_folds():
    """Folds that disagree make the median uncertain, though each fold's quantile is sharp."""
    rng = np.random.default_rng(0)
    n, K = 30_000, 3
    of_row = np.arange(n) % K
    curve = NoisySigmoid(np.array([1.0, 0.0, -9.0, -9.0]), 0.0, 1.0, np.zeros((4, 4)))
    scores = rng.uniform(-0.5, 0.5, n)
    agreeing = Folds(of_row, K, np.arange(n))
    known = (0.0, 0.0)
    stds = []
    for shift in (np.zeros(K), np.array([-2.0, 0.0, 2.0])):
        shifted = scores + shift[of_row]
        found = anchor_rates(curve, shifted, agreeing, None, np.random.RandomState(0), 0.05, known)
        stds.append(found[1])
    assert (stds[0] < 0.01).all()
    assert (stds[1] > 0.05).all()
