"""Pessimism over what the log leaves open, and how far a row lies from the log."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import expit
from sklearn.tree import DecisionTreeRegressor

from skcausalrm import CausalRewardClassifier, CausalRewardRegressor
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import InvalidInputError, SkcausalrmWarning, UnusedParameterError
from skcausalrm.reward._support import fit_support


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(1200, 8, n_verified=40, dtype="float64", random_state=0)


def fitted(log, *args, cls=CausalRewardRegressor, **given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        return cls(*args, random_state=0).fit(log.X, log.y, **given)


@pytest.fixture(scope="module")
def selection(log):
    return fitted(log)


@pytest.fixture(scope="module")
def ridge(log):
    return fitted(log, "dr", verified=log.verified)


def test_pessimism_of_the_mixture_is_over_nodes_and_folds(log, selection):
    head, beta = selection.estimator_, 12.0
    z = head.linear_predictors(log.X)
    of_folds = log.X @ head.fold_directions + head.fold_offsets
    np.testing.assert_allclose(of_folds.mean(axis=1), z[:, 0])
    assert of_folds.std(axis=1).min() > 0
    n_folds = of_folds.shape[1]
    stretched = z[:, :1] + np.sqrt(n_folds - 1) * (of_folds - z[:, :1])
    u = stretched[:, :, None] * head.slopes[:, 0] + (z[:, 1:] * head.slopes[:, 1])[:, None]
    members = expit(u + head.intercepts)
    expected = -np.log((np.exp(-beta * members) @ head.weights).mean(axis=1)) / beta
    np.testing.assert_allclose(selection.predict(log.X, pessimism=beta), expected)
    assert (expected < members.mean(axis=1) @ head.weights).all()


@pytest.mark.parametrize("name", ["selection", "ridge"])
def test_more_pessimism_is_a_lower_reward_and_little_is_the_reward(log, name, request):
    model = request.getfixturevalue(name)
    rewards = [model.predict(log.X, pessimism=b) for b in (0.01, 1.0, 10.0, 100.0)]
    for higher, lower in pairwise(rewards):
        assert (lower <= higher + 1e-12).all()
    assert np.abs(rewards[0].mean() - model.predict(log.X).mean()) < 0.01
    assert ((rewards[-1] >= 0) & (rewards[-1] <= 1)).all()
    reward, std = model.predict(log.X, return_std=True, pessimism=10.0)
    np.testing.assert_array_equal(reward, rewards[2])
    assert std.shape == reward.shape
    assert (std >= 0).all()


def test_pessimism_of_a_ridge_head_is_over_its_folds(log, ridge):
    head, beta = ridge.estimator_, 5.0
    members = log.X @ head.fold_coefs_.T + head.fold_intercepts_
    members = 2 * (members - members.mean(axis=1, keepdims=True)) + head.predict(log.X)[:, None]
    members = np.clip(members, 0, 1)  # five folds: stretched by 2
    expected = -np.log(np.exp(-beta * members).mean(axis=1)) / beta
    np.testing.assert_allclose(
        ridge.predict(log.X, pessimism=beta), ridge.recalibration_(np.clip(expected, 0, 1))
    )


def test_heads_without_folds_and_impossible_values_are_refused(log, ridge):
    tree = fitted(log, "naive", DecisionTreeRegressor(max_depth=2))
    with pytest.raises(UnusedParameterError, match="pessimism needs a head that keeps its folds"):
        tree.predict(log.X, pessimism=1.0)
    assert tree.support(log.X).shape == (1200,)
    for value in (0, -1, np.inf, np.nan):
        with pytest.raises(InvalidInputError, match="must be a positive number"):
            ridge.predict(log.X, pessimism=value)


def test_support_is_the_share_of_the_log_that_is_farther(log, selection):
    support = selection.support(log.X)
    assert support.mean() == pytest.approx(0.5, abs=0.05)
    centred = log.X - log.X.mean(axis=0)
    distance = (centred @ np.linalg.inv(np.cov(log.X.T)) * centred).sum(axis=1)
    assert np.corrcoef(support.argsort().argsort(), distance.argsort().argsort())[0, 1] < -0.95
    assert selection.support(20 * log.X).max() == 0
    assert selection.support(log.X.mean(axis=0)[None])[0] > 0.99
    classifier = fitted(log, "naive", cls=CausalRewardClassifier)
    np.testing.assert_array_equal(classifier.support(log.X), support)


def test_support_in_many_dimensions_and_in_none():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 300)) * np.r_[np.full(20, 5.0), np.full(280, 0.5)] + 3
    support, new = fit_support(X[:1000], 0), X[1000:]
    assert support.whitening.shape == (300, 64)
    assert support(new).mean() == pytest.approx(0.5, abs=0.05)
    off = new.copy()
    off[:, 250] += 10  # far off along one of the directions that share a variance
    assert support(off).max() < 0.02
    for few in (X[:1], X[:2], np.ones((50, 3))):
        assert np.isfinite(fit_support(few, 0)(few)).all()
