"""Ridge regressions averaged over prior covariances and penalties."""

from unittest.mock import patch

import numpy as np
import pytest

from skcausalrm.heads._averaged_ridge import POWERS, fit_averaged_ridge
from skcausalrm.heads._moments import FoldMoments
from skcausalrm.heads._prior_covariance import Spectrum
from skcausalrm.heads._ridge import ALPHAS, ridge_paths

K = 3


def correlated(n, d, seed=0):
    """Columns of unequal variance, with a mean far from 0, and a target that two of them tell."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.geomspace(3, 0.3, d) @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    y = (X @ rng.normal(size=d) / np.sqrt(d) + rng.normal(size=n) > 0).astype(float)
    return X + 5, y, rng.integers(0, K, n), rng.uniform(0, 2, n)


def dense(X, y, weight, covariance, penalty, direction):
    """Return the coefficients whose prior covariance is `covariance / penalty`, directly."""
    mean = np.average(X, axis=0, weights=weight)
    Z = X - mean
    precision = penalty * np.linalg.inv(covariance)
    if direction is not None:
        # What is hardly penalised: subtract the precision along T^-1 direction, but 1e-4 of it.
        values, vectors = np.linalg.eigh(covariance)
        root = (vectors / np.sqrt(values)) @ vectors.T
        u = root @ direction
        u /= np.linalg.norm(u)
        precision -= penalty * (1 - 101.0**-2) * np.outer(root @ u, root @ u)
    target = weight * (y - np.average(y, weights=weight))
    return np.linalg.solve((Z.T * weight) @ Z + precision, Z.T @ target)


@pytest.mark.parametrize("d", [12, 140], ids=["eigendecomposition", "Krylov"])
@pytest.mark.parametrize("known", [False, True])
def test_every_candidate_is_the_regression_with_its_prior(d, known):
    X, y, fold, weight = correlated(900, d)
    moments = FoldMoments(X, fold, K, weight)
    spectrum = moments.spectrum
    directions = np.random.default_rng(1).normal(size=(K, d)) if known else None
    center = np.average(X, axis=0, weights=weight)
    sigma = ((X - center).T * weight) @ (X - center) / weight.sum()
    values, vectors = np.linalg.eigh(sigma)
    for i, power in enumerate(POWERS):
        chosen = np.zeros((len(POWERS), len(ALPHAS)))
        chosen[i, 8] = 1
        found = fit_averaged_ridge(moments, y, spectrum, directions=directions, weights=chosen)
        prior = (vectors * (values / np.median(values)) ** power) @ vectors.T
        for k in range(K):
            out = fold != k
            penalty = ALPHAS[8] * moments.typical_variance * weight[out].sum()
            direction = None if directions is None else directions[k]
            expected = dense(X[out], y[out], weight[out], prior, penalty, direction)
            np.testing.assert_allclose(found.coefs[k], expected, rtol=0.02, atol=2e-4)


def test_a_strong_penalty_leaves_the_known_direction_alone():
    rng = np.random.default_rng(0)
    X, y, fold = rng.normal(size=(900, 12)), rng.integers(0, 2, 900), rng.integers(0, K, 900)
    moments = FoldMoments(X, fold, K)
    directions = rng.normal(size=(K, 12))
    strong = np.zeros((len(POWERS), len(ALPHAS)))
    strong[0, 11] = 1
    found = fit_averaged_ridge(moments, y, moments.spectrum, directions=directions, weights=strong)
    for k, direction in enumerate(directions):
        score, label = X[fold != k] @ direction, y[fold != k]
        slope = np.cov(score, label)[0, 1] / score.var()
        assert found.coefs[k] @ direction / (direction @ direction) == pytest.approx(slope, rel=0.1)
        across = found.coefs[k] - slope * direction
        assert np.linalg.norm(across) < 0.2 * np.linalg.norm(found.coefs[k])


def test_candidates_that_predict_better_out_of_fold_weigh_more():
    X, y, fold, weight = correlated(900, 12)
    found = fit_averaged_ridge(FoldMoments(X, fold, K, weight), y, FoldMoments(X, fold, K).spectrum)
    assert found.weights.sum() == pytest.approx(1)
    assert found.weights[:, -1].sum() < 1e-6  # nothing but the intercept
    noise = np.random.default_rng(0).permutation(y)
    shrunk = fit_averaged_ridge(FoldMoments(X, fold, K), noise, FoldMoments(X, fold, K).spectrum)
    assert shrunk.weights[:, -4:].sum() > 0.3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reweighed_moments_are_those_of_the_new_weights(dtype):
    """Rows come, go, and count more or less."""
    X, y, fold, weight = correlated(700, 9)
    X = X.astype(dtype)
    weight[:50] = 0
    new = np.where(np.random.default_rng(2).random(700) < 0.2, 0, weight)
    new[25:75] = 3
    found = FoldMoments(X, fold, K, weight)
    untouched = found.copy()
    found.reweigh(new)
    expected = FoldMoments(X, fold, K, new, center=found.center)
    tolerance = {"rtol": 1e-4, "atol": 1e-2} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(found.total, expected.total, **tolerance)
    for a, b in zip(found.grams, expected.grams, strict=True):
        np.testing.assert_allclose(a, b, **tolerance)
    for a, b in zip(found.target_moments(y), expected.target_moments(y), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)
    np.testing.assert_allclose(found.sums, expected.sums, **tolerance)
    np.testing.assert_array_equal(untouched.total, FoldMoments(X, fold, K, weight).total)


def test_a_wide_spectrum_is_its_leading_part_and_the_mean_of_the_rest():
    d = 600
    rng = np.random.default_rng(0)
    vectors = np.linalg.qr(rng.normal(size=(d, d)))[0]
    values = np.concatenate([np.geomspace(100, 2, 40), np.full(d - 40, 0.5)])
    found = Spectrum.of((vectors * values) @ vectors.T)
    assert len(found.values) == 256
    np.testing.assert_allclose(found.values[:40], values[:40], rtol=1e-3)
    assert found.rest == pytest.approx(0.5, rel=0.01)
    basis = found.basis(1.0)
    v = rng.normal(size=d)
    expected = (vectors * np.sqrt(values / found.rest)) @ (vectors.T @ v)
    np.testing.assert_allclose(basis(v), expected, rtol=0.02, atol=0.05)


@pytest.mark.parametrize("noise", [0.3, 1.0, 30.0], ids=["small", "middling", "large"])
def test_penalties_that_are_not_tried_have_no_weight(noise):
    """Where X is wide, small penalties wait until the larger ones call for them."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 500))
    y = X @ rng.normal(size=500) / 22 + noise * rng.normal(size=2000)
    moments = FoldMoments(X, rng.integers(0, K, 2000), K)
    of_target, spectrum = moments.target_moments(y), moments.spectrum
    priors = [[spectrum.basis(power)] * K for power in POWERS]
    paths, _, risks = ridge_paths(moments, of_target, ALPHAS, priors, tol=1e-9)
    weights = np.exp(-2000 * (risks - risks.min()) / (2 * risks.min()))
    weights /= weights.sum()
    with patch("skcausalrm.heads._averaged_ridge.ridge_paths", wraps=ridge_paths) as tried:
        found = fit_averaged_ridge(moments, y, spectrum)
    assert (tried.call_count == 1) == (noise == 30.0)
    np.testing.assert_allclose(found.weights.sum(axis=0), weights.sum(axis=0), atol=0.02)
    expected = np.einsum("pkda,pa->kd", paths, weights)
    np.testing.assert_allclose(found.coefs, expected, atol=0.01 * np.abs(expected).max())
