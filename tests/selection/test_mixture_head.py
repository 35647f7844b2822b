import pickle
import warnings
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, clone

from skcausalrm import CausalRewardRegressor, SelectionModel
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.selection import _mixture_head as mixture
from skcausalrm.selection._mixture_head import MixtureHead

quick = settings(max_examples=50, deadline=None)


def make_head(d=4, m=9, seed=0, **fields):
    rng = np.random.default_rng(seed)
    drawn = {
        "directions": rng.normal(size=(d, 2)),
        "offsets": rng.normal(size=2),
        "weights": rng.dirichlet(np.ones(m)),
        "intercepts": 2 * rng.normal(size=m),
        "slopes": rng.normal(size=(m, 2)),
        "single_slopes": np.array([1.0, 0.5]),
        "single_intercept": 0.25,
        "single_difference": 0.1,
    }
    return MixtureHead(**{**drawn, **fields})


def members(head, X):
    """The probability by each component, one row and one component at a time."""
    return np.array(
        [
            [
                expit(b + a @ (x @ head.directions + head.offsets))
                for a, b in zip(head.slopes, head.intercepts, strict=True)
            ]
            for x in X
        ]
    )


@quick
@given(d=st.integers(1, 6), m=st.integers(1, 30), seed=st.integers(0, 10**6))
def test_mean_spread_and_log_odds_of_the_components(d, m, seed):
    head, X = make_head(d, m, seed), np.random.default_rng(seed).normal(size=(7, d))
    p = members(head, X)
    mean, std = head.predict(X, return_std=True)
    np.testing.assert_allclose(mean, p @ head.weights, rtol=1e-12)
    expected = [np.sqrt(np.cov(row, aweights=head.weights, ddof=0)) for row in p]
    np.testing.assert_allclose(std, expected, atol=1e-12)
    np.testing.assert_array_equal(head.predict(X), mean)
    np.testing.assert_allclose(head.decision_function(X), logit(mean), rtol=1e-9, atol=1e-9)


@quick
@given(
    u=st.floats(-1e7, 1e7),
    weights=st.lists(st.floats(0, 1), min_size=1, max_size=5).filter(lambda w: sum(w) > 0.1),
)
def test_log_odds_of_equal_components_are_their_own(u, weights):
    head = make_head(
        directions=np.eye(2),
        offsets=np.zeros(2),
        slopes=np.ones((len(weights), 2)),
        intercepts=np.zeros(len(weights)),
        weights=np.array(weights) / sum(weights),
    )
    score = head.decision_function(np.array([[u, 0.0]]))
    np.testing.assert_allclose(score, [u], rtol=1e-9, atol=1e-9)


def test_log_odds_do_not_saturate():
    head = make_head(1, 20)
    head = replace(head, directions=np.ones((1, 2)), slopes=np.abs(head.slopes))
    X = np.linspace(-1e6, 1e6, 10_001)[:, None]
    with np.errstate(all="raise", under="ignore"):
        score = head.decision_function(X)
    assert np.isfinite(score).all()
    assert (np.diff(score) > 0).all()
    # the component that falls slowest is all that is left far out
    slope = head.slopes.sum(axis=1).min()
    assert score[-1] / X[-1, 0] == pytest.approx(slope, rel=1e-4)
    assert score[0] / X[0, 0] == pytest.approx(slope, rel=1e-4)


def test_pessimism_without_end_is_the_lowest_component():
    head, X = make_head(m=6), np.random.default_rng(0).normal(size=(40, 4))
    p = members(head, X)
    expected = -np.log(np.exp(-20 * p) @ head.weights) / 20
    np.testing.assert_allclose(head.pessimistic(X, 20.0), expected, rtol=1e-12)
    spread = np.full((4, 2), 0.1) * [1, -1]
    for folds in ({}, {"fold_directions": head.directions[:, :1] + spread}):
        some = replace(head, **folds, fold_offsets=np.full(2, head.offsets[0]) if folds else None)
        for beta in (1e3, 1e6):  # exp(-beta p) is 0 for the best rows
            lowest = some.pessimistic(X, beta)
            assert (lowest < p.min(axis=1) + 10 / beta).all()
            if not folds:
                np.testing.assert_allclose(lowest, p.min(axis=1), atol=10 / beta)


def test_the_two_ways_to_log_odds_meet():
    head = make_head(1, 20)
    head = replace(head, directions=np.ones((1, 2)), slopes=np.abs(head.slopes))
    largest = head.slopes.sum(axis=1).max()
    X = np.linspace(600, 800, 2001)[:, None] / largest
    for rows in (X, -X):  # a smooth curve, with no step where one takes over from the other
        third = np.diff(head.decision_function(rows), 3)
        assert np.abs(third).max() < 1e-10


def test_opposed_components_keep_finite_log_odds_without_a_warning():
    head = make_head(
        directions=np.ones((1, 2)),
        offsets=np.zeros(2),
        slopes=np.array([[1.0, 0.0], [-1.0, 0.0]]),
        intercepts=np.zeros(2),
        weights=np.array([0.8, 0.2]),
    )
    score = head.decision_function(np.array([[1e6], [-1e6], [0.0]]))
    np.testing.assert_allclose(score, [np.log(4), -np.log(4), 0.0], atol=1e-12)


@pytest.mark.parametrize("weight", [0.0, 5e-324, 1e-310])
@pytest.mark.filterwarnings("error")
def test_components_of_hardly_any_weight_do_no_harm(weight):
    head = make_head(
        directions=np.ones((1, 2)),
        offsets=np.zeros(2),
        slopes=np.array([[5.0, 0.0], [1.0, 0.0], [1.0, 0.0]]),
        intercepts=np.zeros(3),
        weights=np.array([weight, 0.5, 0.5]),
    )
    near = head.decision_function(np.array([[3.0], [90.0]]))
    np.testing.assert_allclose(near, [3.0, 90.0], rtol=1e-12)
    far = head.decision_function(np.array([[-1e4], [1e4]]))
    assert np.isfinite(far).all()
    assert far[0] == pytest.approx(-1e4)


def test_blocks_make_no_difference(monkeypatch):
    head, X = make_head(), np.random.default_rng(0).normal(size=(100, 4))
    whole = [*head.predict(X, return_std=True), head.decision_function(X)]
    monkeypatch.setattr(mixture, "_BLOCK_ROWS", 7)
    parts = [*head.predict(X, return_std=True), head.decision_function(X)]
    np.testing.assert_allclose(parts, whole, rtol=1e-13)


def test_float32_rows_give_float64_predictions():
    head, X = make_head(), np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    for values in (*head.predict(X, return_std=True), head.decision_function(X)):
        assert values.dtype == np.float64
    np.testing.assert_allclose(head.predict(X), head.predict(X.astype(float)), atol=1e-6)


def test_the_single_sigmoid_is_a_head_of_its_own():
    head, X = make_head(), np.random.default_rng(0).normal(size=(50, 4))
    before = pickle.dumps(head)
    single = head.single()
    u = head.linear_predictors(X) @ [1.0, 0.5] + 0.25
    np.testing.assert_allclose(single.decision_function(X), u, rtol=1e-9)
    mean, std = single.predict(X, return_std=True)
    np.testing.assert_allclose(mean, expit(u), rtol=1e-12)
    np.testing.assert_array_equal(std, 0)
    assert pickle.dumps(head) == before
    np.testing.assert_array_equal(single.single().predict(X), mean)


def test_it_is_a_frozen_value_and_no_estimator():
    head = make_head()
    assert not isinstance(head, BaseEstimator)
    assert not hasattr(head, "fit")
    with pytest.raises(FrozenInstanceError):
        head.offsets = np.zeros(2)


@pytest.mark.parametrize("cls", [CausalRewardRegressor, SelectionModel])
def test_estimators_that_hold_it_check_x_and_are_cloned_and_pickled(cls):
    log = make_observational_feedback(600, 4, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = cls(random_state=0).fit(log.X, log.y)
        again = clone(model).fit(log.X, log.y)
    predict = model.predict if cls is CausalRewardRegressor else model.predict_proba
    for X, message in ((np.zeros((3, 5)), "5 features"), (np.full((3, 4), np.nan), "NaN")):
        with pytest.raises(ValueError, match=message):
            predict(X)
    for other in (again, pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(getattr(other, predict.__name__)(log.X), predict(log.X))


def test_it_survives_a_pickle():
    head, X = make_head(), np.random.default_rng(0).normal(size=(20, 4))
    copy = pickle.loads(pickle.dumps(head))
    np.testing.assert_array_equal(copy.predict(X), head.predict(X))
