"""The default head: ridge regression in closed form, its penalty chosen out of fold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils._validation import FLOATS, check_weights
from ..model_selection._cross_fitting import make_folds
from ._moments import FoldMoments, Moments, TargetMoments, linear_scores

__all__ = ["ALPHAS", "RidgeFit", "RidgeHead", "fit_ridge", "solve_ridge"]

# In units of the total weight times the typical variance of a column, so that neither the scale of
# X nor the number of rows moves the best value far.
ALPHAS = np.logspace(-4, 3, 15)


class RidgeFit(NamedTuple):
    """Linear models of all rows and of all folds but each."""

    coef: NDArray[np.float64]
    intercept: float
    fold_coefs: NDArray[np.float64]  # (n_splits, d)
    fold_intercepts: NDArray[np.float64]  # (n_splits,)
    alpha: float
    risks: NDArray[np.float64]  # (n_alphas,)


def fit_ridge(
    moments: FoldMoments,
    target: NDArray,
    alphas: NDArray = ALPHAS,
    *,
    folds_only: bool = False,
) -> RidgeFit:
    """Fit a ridge regression, its penalty chosen by squared error over the held-out folds.

    Parameters
    ----------
    moments : FoldMoments
        Shared by any number of targets.
    target : ndarray of shape (n,)
        Read where rows take part in `moments`.
    alphas : ndarray, default=ALPHAS
        Relative to total weight times typical variance of a column.
    folds_only : bool, default=False
        Leave out the model of all rows (its `coef` is then the mean of the folds').

    Returns
    -------
    RidgeFit
        The intercept is not penalised.
    """
    return solve_ridge(moments, moments.target_moments(target), alphas, folds_only=folds_only)


def solve_ridge(
    moments: Moments,
    target: TargetMoments,
    alphas: NDArray = ALPHAS,
    *,
    folds_only: bool = False,
) -> RidgeFit:
    """Do what `fit_ridge` does, from the moments of a target: no row is read."""
    K, d = moments.n_splits, len(moments.center)
    cross, target_sums, target_squares = target
    unit = moments.typical_variance
    dtype = moments.total.dtype
    symm = blas.get_blas_funcs("symm", dtype=dtype)
    paths = np.empty((K, d, len(alphas)))
    intercepts = np.empty((K, len(alphas)))
    risks = np.zeros(len(alphas))
    for k in range(K):
        weight_sum, mean = moments.training_mean(k)
        target_sum = target_sums.sum() - target_sums[k]
        rhs = cross.sum(axis=0) - cross[k] - target_sum * mean
        shifts = alphas * (unit * weight_sum)
        b, residuals = moments.training_system(k).solve(rhs, shifts, tol=1e-3)
        a = target_sum / weight_sum - mean @ b
        held_out = symm(1.0, moments.grams[k], b.astype(dtype), lower=1)
        risks += (
            target_squares[k]
            - 2 * (a * target_sums[k] + cross[k] @ b)
            + a * (a * moments.weight_sums[k] + 2 * (moments.sums[k] @ b))
            + np.einsum("dp,dp->p", b, held_out, dtype=np.float64)
        )
        risks[residuals > 1e-2] = np.inf
        paths[k], intercepts[k] = b, a
    best = int(np.argmin(risks))
    center = moments.center.astype(np.float64)
    fold_coefs = paths[:, :, best]
    fold_intercepts = intercepts[:, best] - fold_coefs @ center
    if folds_only:
        coef, intercept = fold_coefs.mean(axis=0), float(fold_intercepts.mean())
    else:
        weight_sum, mean = moments.training_mean(None)
        rhs = cross.sum(axis=0) - target_sums.sum() * mean
        shift = alphas[[best]] * (unit * weight_sum)
        coef = moments.training_system(None).solve(rhs, shift, tol=1e-7)[0][:, 0]
        intercept = float(target_sums.sum() / weight_sum - mean @ coef - center @ coef)
    return RidgeFit(
        coef,
        intercept,
        fold_coefs,
        fold_intercepts,
        float(alphas[best]),
        risks / moments.weight_sums.sum(),
    )


def held_out_scores(X: NDArray, fold: NDArray, coefs: NDArray, intercepts: NDArray) -> NDArray:
    """Return each row's score by the linear model of its fold: coefs (n_splits, d)."""
    scores = linear_scores(X, coefs.T)
    return scores[np.arange(len(X)), fold] + intercepts[fold]


class RidgeHead(RegressorMixin, BaseEstimator):
    """Ridge regression whose penalty is chosen by cross-validation at the price of one fit.

    The objective is ``sum_i w_i (t_i - a - b'x_i)^2 + alpha * V * |b|^2`` with V the total
    weight times the median variance of a column; a pass over X gives the Gram matrix of each fold,
    and all alphas of a fold come from one Krylov space of it.

    Parameters
    ----------
    alpha : float or None, default=None
        Relative penalty; None chooses among 15 values from 1e-4 to 1e3 by out-of-fold squared
        error.
    cv : int or splitter, default=5
        Folds for that choice; equal rows of X share one.
    random_state : int, RandomState or None, default=None
        Which rows go into which fold.

    Attributes
    ----------
    coef_ : ndarray of shape (d,)
    intercept_ : float
    alpha_ : float
        The penalty used.
    cv_risk_ : ndarray of shape (n_alphas,)
        Out-of-fold weighted mean squared error; inf where the solver did not converge.
    fold_coefs_, fold_intercepts_ : ndarray of shape (n_splits, d) and (n_splits,)
        The models of all folds but each, at that penalty.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.heads import RidgeHead
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> head = RidgeHead(random_state=0).fit(X, X @ [1.0, 0.0, -1.0] + 2)
    >>> head.coef_.round(2).tolist(), round(head.intercept_, 2)
    ([1.0, 0.0, -1.0], 2.0)
    """

    def __init__(self, alpha=None, *, cv=5, random_state=None):
        self.alpha = alpha
        self.cv = cv
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None, *, groups=None):
        """Fit on targets y, which may be any real numbers.

        Parameters
        ----------
        X : array-like of shape (n, d)
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), default=None
        groups : array-like of shape (n,), default=None
            Rows of one group share a fold.

        Returns
        -------
        self
        """
        X, y = validate_data(self, X, y, dtype=FLOATS, y_numeric=True, ensure_min_samples=2)
        weight = check_weights(sample_weight, X)
        folds = make_folds(X, y, groups, self.cv, self.random_state)
        moments = FoldMoments(X, folds.of_row, folds.n_splits, weight)
        return self.fit_moments(moments, y)

    def fit_moments(self, moments: FoldMoments, target: NDArray, *, folds_only: bool = False):
        """Fit on moments that are there already (see `FoldMoments` and `fit_ridge`)."""
        return self.solve_moments(moments, moments.target_moments(target), folds_only=folds_only)

    def solve_moments(self, moments: Moments, target: TargetMoments, *, folds_only: bool = False):
        """Fit on moments of X and of a target (see `solve_ridge`)."""
        alphas = ALPHAS if self.alpha is None else np.array([float(self.alpha)])
        fit = solve_ridge(moments, target, alphas, folds_only=folds_only)
        self.coef_, self.intercept_ = fit.coef, fit.intercept
        self.fold_coefs_, self.fold_intercepts_ = fit.fold_coefs, fit.fold_intercepts
        self.alpha_, self.cv_risk_ = fit.alpha, fit.risks
        self.n_features_in_ = len(fit.coef)
        return self

    def predict(self, X):
        """Return ``X @ coef_ + intercept_``, shape (n,), float64."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        return linear_scores(X, self.coef_) + self.intercept_

    def predict_std(self, X, *, binary: bool = True) -> NDArray[np.float64]:
        """Return the standard deviation over the folds' models of what they predict.

        Parameters
        ----------
        X : array-like of shape (n, d)
        binary : bool, default=True
            Cut each prediction to [0, 1] first, as a reward that is a probability is.

        Returns
        -------
        std : ndarray of shape (n,)

        Notes
        -----
        Any two of the K models share most of their rows, so this is small: times sqrt(K - 1) it
        is the delete-a-group jackknife's standard error (Kott, 2001) of the prediction.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        predictions = linear_scores(X, self.fold_coefs_.T) + self.fold_intercepts_
        if binary:
            np.clip(predictions, 0, 1, out=predictions)
        return predictions.std(axis=1)
