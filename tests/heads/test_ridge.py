"""Closed-form heads against scikit-learn's, narrow (eigendecomposition) and wide (Lanczos)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge

from skcausalrm.exceptions import GroupsError
from skcausalrm.heads import RidgeHead
from skcausalrm.heads._linear_systems import EIGEN_WIDTH, EigenSystem, KrylovSystem
from skcausalrm.heads._logistic import fit_logistic_folds, fit_sigmoid
from skcausalrm.heads._moments import FoldMoments
from skcausalrm.heads._ridge import ALPHAS, fit_ridge, held_out_scores
from skcausalrm.model_selection._cross_fitting import make_folds


def problem(n=900, d=20, seed=0, dtype=np.float64, shift=0.0):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, d)) * np.geomspace(0.05, 2, d) + shift).astype(dtype)
    signal = (X - shift) @ rng.normal(size=d) / np.sqrt(d)
    return X, signal + rng.normal(size=n), (signal + rng.logistic(size=n) > 0).astype(float), rng


def absolute(moments, penalty, weight_sum):
    return penalty * moments.typical_variance * weight_sum


@pytest.mark.parametrize("d", [20, EIGEN_WIDTH + 40])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shift", [0.0, 30.0])
def test_models_of_all_and_of_each_fold_equal_scikit_learns_ridge(d, weighted, shift):
    X, t, _, rng = problem(1200, d, shift=shift)
    weight = rng.integers(0, 3, size=len(t)).astype(float) if weighted else None
    folds = make_folds(X, t, None, 4, 0)
    moments = FoldMoments(X, folds.of_row, 4, weight)
    fit = fit_ridge(moments, t, np.array([0.3]))
    w = np.ones(len(t)) if weight is None else weight
    reference = Ridge(alpha=absolute(moments, 0.3, w.sum())).fit(X, t, sample_weight=w)
    np.testing.assert_allclose(fit.coef, reference.coef_, atol=2e-6)
    assert fit.intercept == pytest.approx(reference.intercept_, abs=2e-4)
    for k in range(4):
        train = folds.of_row != k
        alpha = absolute(moments, 0.3, w[train].sum())
        reference = Ridge(alpha=alpha).fit(X[train], t[train], sample_weight=w[train])
        # Folds are solved to a residual of 1e-3: what they predict agrees to that.
        off = X @ fit.fold_coefs[k] + fit.fold_intercepts[k] - reference.predict(X)
        assert np.sqrt(np.mean(off**2)) < 2e-3 * np.std(reference.predict(X))


@pytest.mark.parametrize("d", [20, EIGEN_WIDTH + 40])
def test_risks_are_those_of_refitting_every_fold_and_penalty(d):
    X, t, _, _ = problem(1200, d)
    folds = make_folds(X, t, None, 3, 0)
    moments = FoldMoments(X, folds.of_row, 3)
    fit = fit_ridge(moments, t)
    for index in (3, 8, 11):
        held_out = np.empty(len(t))
        for k in range(3):
            train = folds.of_row != k
            alpha = absolute(moments, ALPHAS[index], train.sum())
            held_out[~train] = Ridge(alpha=alpha).fit(X[train], t[train]).predict(X[~train])
        assert fit.risks[index] == pytest.approx(np.mean((t - held_out) ** 2), rel=2e-4)
    assert fit.alpha == ALPHAS[np.argmin(fit.risks)]


def test_held_out_scores_use_the_model_without_the_fold():
    X, t, _, _ = problem()
    folds = make_folds(X, t, None, 5, 0)
    fit = fit_ridge(FoldMoments(X, folds.of_row, 5), t)
    scores = held_out_scores(X, folds.of_row, fit.fold_coefs, fit.fold_intercepts)
    assert np.mean((t - scores) ** 2) == pytest.approx(fit.risks.min(), rel=1e-8)


def test_float32_follows_float64():
    X, t, _, _ = problem(3000, 30, shift=5.0)
    double, single = (RidgeHead(random_state=0).fit(X.astype(f), t) for f in (float, np.float32))
    assert single.alpha_ == double.alpha_
    np.testing.assert_allclose(single.predict(X), double.predict(X), atol=2e-4)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-5, 5))
def test_scale_of_x_and_affine_targets_change_nothing_else(seed, scale, shift):
    X, t, _, _ = problem(200, 5, seed)
    plain = RidgeHead(random_state=0).fit(X, t)
    moved = RidgeHead(random_state=0).fit(X * scale, 3 * t + shift)
    np.testing.assert_allclose(moved.predict(X * scale), 3 * plain.predict(X) + shift, atol=1e-6)


@pytest.mark.parametrize("d", [7, 90])
def test_both_solvers_agree_for_all_shifts(d):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, d)) * np.geomspace(0.01, 1, d)
    gram, mean, rhs = np.asfortranarray(X.T @ X), X.mean(axis=0), rng.normal(size=d)
    shifts = np.geomspace(1e-3, 1e3, 9)
    exact, _ = EigenSystem(gram, 200.0, mean).solve(rhs, shifts)
    krylov, residuals = KrylovSystem(gram, 200.0, mean).solve(rhs, shifts, tol=1e-10)
    np.testing.assert_allclose(krylov, exact, rtol=1e-6, atol=1e-8)
    assert residuals.max() < 1e-9
    centred = gram - 200 * np.outer(mean, mean)
    np.testing.assert_allclose((centred + shifts[4] * np.eye(d)) @ exact[:, 4], rhs, atol=1e-8)


def test_only_the_lower_triangle_of_a_gram_matrix_is_read():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(50, 6))
    full = np.asfortranarray(X.T @ X)
    lower = np.asfortranarray(np.tril(full))
    for system in (EigenSystem, KrylovSystem):
        a, b = (
            system(g, 0.0, np.zeros(6)).solve(np.ones(6), np.array([0.5]), tol=1e-12)[0]
            for g in (full, lower)
        )
        np.testing.assert_allclose(a, b)


@pytest.mark.parametrize("d", [20, EIGEN_WIDTH + 40])
def test_logistic_folds_equal_scikit_learns(d):
    X, _, labels, _ = problem(1500, d)
    folds = make_folds(X, labels, None, 3, 0)
    moments = FoldMoments(X, folds.of_row, 3)
    coefs, intercepts = fit_logistic_folds(moments, labels)
    penalty = fit_ridge(moments, labels, folds_only=True).alpha
    for k in range(3):
        train = folds.of_row != k
        p = labels[train].mean()
        C = 1 / (absolute(moments, penalty, train.sum()) * p * (1 - p))
        reference = LogisticRegression(C=C, tol=1e-10, max_iter=5000).fit(X[train], labels[train])
        np.testing.assert_allclose(coefs[k], reference.coef_[0], atol=1e-4)
        assert intercepts[k] == pytest.approx(reference.intercept_[0], abs=1e-3)


def test_logistic_folds_on_few_rows_and_weights():
    """Rows of weight 0 might as well not be there."""
    X, _, labels, rng = problem(1000, 12)
    folds = make_folds(X, labels, None, 4, 0)
    weight = (rng.random(1000) < 0.4).astype(float)
    rows = weight > 0
    some = fit_logistic_folds(FoldMoments(X, folds.of_row, 4, weight), labels)
    alone = fit_logistic_folds(FoldMoments(X[rows], folds.of_row[rows], 4), labels[rows])
    np.testing.assert_allclose(some[0], alone[0], atol=1e-6)


def test_separable_labels_stay_finite():
    X = np.linspace(-1, 1, 200)[:, None]
    labels = (X[:, 0] > 0).astype(float)
    folds = make_folds(X, labels, None, 5, 0)
    coefs, intercepts = fit_logistic_folds(FoldMoments(X, folds.of_row, 5), labels)
    assert np.isfinite(coefs).all()
    assert np.isfinite(intercepts).all()
    slope, intercept = fit_sigmoid(10 * X[:, 0], labels)
    assert np.isfinite([slope, intercept]).all()
    assert slope > 0


def test_x_is_not_changed():
    X, t, _, _ = problem(shift=50.0)
    before = X.copy()
    RidgeHead(random_state=0).fit(X, t)
    np.testing.assert_array_equal(X, before)


def test_without_cv_there_are_five_folds():
    X, t, _, _ = problem(200, 5)
    head = RidgeHead(cv=None, random_state=0).fit(X, t)
    assert head.fold_coefs_.shape == (5, 5)
    np.testing.assert_array_equal(head.coef_, RidgeHead(cv=5, random_state=0).fit(X, t).coef_)


@pytest.mark.parametrize(
    ("name", "value"), [("alpha", 0.0), ("alpha", "best"), ("cv", 1), ("cv", "five")]
)
def test_a_bad_setting_is_named_at_fit(name, value):
    X, t, _, _ = problem(100, 3)
    head = RidgeHead(**{name: value})
    with pytest.raises(ValueError, match=f"The '{name}' parameter of RidgeHead"):
        head.fit(X, t)


def test_too_few_groups_for_a_fold():
    X, t, _, _ = problem(100, 3)
    with pytest.raises(GroupsError):
        RidgeHead().fit(X, t, groups=np.zeros(100))


def test_a_fold_without_weight_changes_nothing():
    rng = np.random.default_rng(0)
    X, y, fold = rng.normal(size=(300, 4)), rng.normal(size=300), np.arange(300) % 4
    weight = (fold < 3).astype(float)
    heavy = weight > 0
    expected = fit_ridge(FoldMoments(X[heavy], fold[heavy], 3), y[heavy])
    found = fit_ridge(FoldMoments(X, fold, 4, weight), y)
    np.testing.assert_allclose(found.coef, expected.coef)
    np.testing.assert_allclose(found.risks, expected.risks)
    np.testing.assert_allclose(found.fold_coefs[:3], expected.fold_coefs)
