"""The default head: ridge regression in closed form, its penalty chosen out of fold."""

from collections.abc import Sequence
from numbers import Real
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, RegressorMixin

from .._utils._sklearn_compat import Interval
from .._utils._validation import check_embeddings, check_new_rows, check_weights
from ..model_selection._cross_fitting import make_folds
from ._linear_systems import KrylovSpace
from ._moments import FoldMoments, TargetMoments, linear_scores
from ._prior_covariance import Basis

# Penalties to choose from, in units of the total weight times the typical variance of a column, so
# that neither the scale of X nor the number of rows moves the best value far.
ALPHAS = np.logspace(-4, 3, 15)


class RidgeFit(NamedTuple):
    """Linear models of all rows and of all folds but each, with their penalty.

    Attributes
    ----------
    coef : ndarray of shape (d,)
        Coefficients on all rows.
    intercept : float
        Intercept on all rows.
    fold_coefs : ndarray of shape (n_splits, d)
        Coefficients on all folds but each.
    fold_intercepts : ndarray of shape (n_splits,)
        Intercepts on all folds but each.
    alpha : float
        The penalty with the least risk.
    risks : ndarray of shape (n_alphas,)
        Out-of-fold mean squared error of each penalty.
    """

    coef: NDArray[np.float64]
    intercept: float
    fold_coefs: NDArray[np.float64]
    fold_intercepts: NDArray[np.float64]
    alpha: float
    risks: NDArray[np.float64]


def fit_ridge(
    moments: FoldMoments, target: NDArray, alphas: NDArray = ALPHAS, *, folds_only: bool = False
) -> RidgeFit:
    """Fit a ridge regression, its penalty chosen by squared error over the held-out folds.

    Parameters
    ----------
    moments : FoldMoments
        Moments of X, which any number of targets can share.
    target : ndarray of shape (n,)
        Targets; only rows of positive weight in `moments` are read.
    alphas : ndarray, default=ALPHAS
        Penalties, relative to total weight times typical variance of a column.
    folds_only : bool, default=False
        Leave out the model of all rows; `coef` is then the mean over the folds.

    Returns
    -------
    RidgeFit
        The fitted models. The intercept is not penalised.
    """
    unit = moments.typical_variance
    of_target = moments.target_moments(target)
    (paths,), (intercepts,), (risks,) = ridge_paths(moments, of_target, alphas)
    best = int(np.argmin(risks))
    center = moments.center.astype(np.float64)
    fold_coefs = paths[:, :, best]
    fold_intercepts = intercepts[:, best] - fold_coefs @ center
    if folds_only:
        coef, intercept = fold_coefs.mean(axis=0), float(fold_intercepts.mean())
    else:
        cross, target_sums, _ = of_target
        weight_sum, mean = moments.training_mean(None)
        rhs = cross.sum(axis=0) - target_sums.sum() * mean
        shift = alphas[[best]] * (unit * weight_sum)
        coef = moments.whole_system().solve(rhs, shift, tol=1e-7)[0][:, 0]
        intercept = float(target_sums.sum() / weight_sum - mean @ coef - center @ coef)
    alpha = float(alphas[best])
    return RidgeFit(coef, intercept, fold_coefs, fold_intercepts, alpha, risks)


def ridge_paths(
    moments: FoldMoments,
    of_target: TargetMoments,
    alphas: NDArray,
    priors: Sequence[Sequence[Basis | None]] | None = None,
    *,
    wanted: NDArray[np.bool_] | None = None,
    spaces: dict[tuple[int, int], KrylovSpace] | None = None,
    tol: float = 1e-3,
    max_iter: int = 400,
) -> tuple[NDArray, NDArray, NDArray]:
    """Fit every prior and penalty on all folds but each.

    Parameters
    ----------
    moments : FoldMoments
    of_target : TargetMoments
        Those of the target, on the same rows.
    alphas : ndarray of shape (n_alphas,)
    priors : sequence of n_priors sequences of n_splits Basis or None, default=None
        Priors of the coefficients of each fold's model. None is one, the identity.
    wanted : ndarray of bool, shape (n_priors, n_alphas), default=None
        None fits all.
    spaces : dict or None, default=None
        Krylov spaces by prior and fold, which a later call for other penalties takes up again.
    tol : float, default=1e-3
        Residual norm at which a Krylov space is large enough, as a share of the right-hand side's.
    max_iter : int, default=400
        Largest dimension of a Krylov space, where X is wide.

    Returns
    -------
    paths : ndarray of shape (n_priors, n_splits, d, n_alphas)
    intercepts : ndarray of shape (n_priors, n_splits, n_alphas)
        Of centred rows.
    risks : ndarray of shape (n_priors, n_alphas)
        Out-of-fold mean squared error; inf where not wanted or where the solver did not converge.
    """
    K, d = moments.n_splits, len(moments.center)
    priors = [[None] * K] if priors is None else priors
    wanted = np.ones((len(priors), len(alphas)), dtype=bool) if wanted is None else wanted
    cross, target_sums, target_squares = of_target
    dtype = moments.grams[0].dtype
    symm = blas.get_blas_funcs("symm", dtype=dtype)
    paths = np.zeros((len(priors), K, d, len(alphas)))
    intercepts, risks = np.zeros((len(priors), K, len(alphas))), np.zeros(wanted.shape)
    risks[~wanted] = np.inf
    unit = moments.typical_variance
    for k, system in enumerate(moments.training_systems(max_iter=max_iter)):
        weight_sum, mean = moments.training_mean(k)
        target_sum = target_sums.sum() - target_sums[k]
        rhs = cross.sum(axis=0) - cross[k] - target_sum * mean
        b, residuals = np.empty((d, wanted.sum())), np.empty(wanted.sum())
        last = np.cumsum(wanted.sum(axis=1))
        for i, (bases, use) in enumerate(zip(priors, wanted, strict=True)):
            if use.any():
                place = slice(last[i] - use.sum(), last[i])
                shifts = alphas[use] * (unit * weight_sum)
                space = None if spaces is None else spaces.setdefault((i, k), KrylovSpace())
                found = system(bases[k]).solve(rhs, shifts, tol=tol, space=space)
                b[:, place], residuals[place] = found
        a = target_sum / weight_sum - mean @ b
        held_out = symm(1.0, moments.grams[k], b.astype(dtype), lower=1)
        risks[wanted] += (
            target_squares[k]
            - 2 * (a * target_sums[k] + cross[k] @ b)
            + a * (a * moments.weight_sums[k] + 2 * (moments.sums[k] @ b))
            + np.einsum("dp,dp->p", b, held_out, dtype=np.float64)
            + np.where(residuals > 10 * tol, np.inf, 0)
        )
        paths[:, k].transpose(0, 2, 1)[wanted], intercepts[:, k][wanted] = b.T, a
    return paths, intercepts, risks / moments.weight_sums.sum()


def held_out_scores(X: NDArray, fold: NDArray, coefs: NDArray, intercepts: NDArray) -> NDArray:
    """Return each row's score by the linear model of its fold: coefs (n_splits, d)."""
    scores = linear_scores(X, coefs.T)
    return scores[np.arange(len(X)), fold] + intercepts[fold]


class RidgeHead(RegressorMixin, BaseEstimator):
    """Ridge regression whose penalty is chosen by cross-validation at the price of one fit.

    The objective is ``sum_i w_i (t_i - a - b'x_i)^2 + alpha * V * |b|^2`` with V the total
    weight times the median variance of a column. One pass over X gives the Gram matrix of each
    fold, and all penalties of a fold share one Krylov space of that matrix.

    Parameters
    ----------
    alpha : float, default=None
        Relative penalty, from 1e-6 to 1e12. None chooses among 15 values from 1e-4 to 1e3 by
        out-of-fold squared error.
    cv : int, cross-validation splitter, iterable or None, default=5
        Folds for that choice; groups, or without them equal rows, share one. None is 5 folds.
    random_state : int, RandomState instance or None, default=None
        Determines the assignment of rows to folds.

    Attributes
    ----------
    coef_ : ndarray of shape (d,)
        Coefficients of all rows.
    intercept_ : float
        Intercept of all rows.
    alpha_ : float
        The penalty used.
    cv_risk_ : ndarray of shape (n_alphas,)
        Out-of-fold weighted mean squared error; inf where the solver did not converge.
    fold_coefs_, fold_intercepts_ : ndarray of shape (n_splits, d) and (n_splits,)
        The models of all folds but each, at that penalty.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.heads import RidgeHead
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> head = RidgeHead(random_state=0).fit(X, X @ [1.0, 0.0, -1.0] + 2)
    >>> head.coef_.round(2).tolist(), round(head.intercept_, 2)
    ([1.0, 0.0, -1.0], 2.0)
    """

    __metadata_request__fit: ClassVar = {"groups": True}

    _parameter_constraints: ClassVar[dict] = {
        # With less, the rounding of float32 decides where columns depend on each other.
        "alpha": [Interval(Real, 1e-6, 1e12, closed="both"), None],
        "cv": ["cv_object"],
        "random_state": ["random_state"],
    }

    def __init__(self, alpha=None, *, cv=5, random_state=None):
        self.alpha = alpha
        self.cv = cv
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None, *, groups=None):
        """Fit on targets y, which may be any real numbers.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings, float32 or float64.
        y : array-like of shape (n,)
            Targets.
        sample_weight : array-like of shape (n,), default=None
            Row weights; rows of weight 0 do not count.
        groups : array-like of shape (n,), default=None
            Prompt ids: rows of one group share a fold.

        Returns
        -------
        self : RidgeHead
            The fitted head.

        Raises
        ------
        GroupsError
            If the rows are of fewer than two groups, or `cv` splits a group or does not cover
            each row once.
        ValueError
            If a parameter, X, y or the weights hold a value they cannot have.
        """
        self._validate_params()
        X, y = check_embeddings(X, self, y, y_numeric=True, ensure_min_samples=2)
        weight = check_weights(sample_weight, X)
        folds = make_folds(X, y, groups, self.cv, self.random_state)
        moments = FoldMoments(X, folds.of_row, folds.n_splits, weight)
        return self.fit_moments(moments, y)

    def fit_moments(self, moments: FoldMoments, target: NDArray, *, folds_only: bool = False):
        """Fit on moments of X that the caller has already computed.

        Parameters
        ----------
        moments : FoldMoments
            Moments of X, which any number of targets can share.
        target : ndarray of shape (n,)
            Targets; only rows of positive weight in `moments` are read.
        folds_only : bool, default=False
            Leave out the model of all rows; `coef_` is then the mean over the folds.

        Returns
        -------
        self : RidgeHead
            The fitted head.
        """
        self._validate_params()
        alphas = ALPHAS if self.alpha is None else np.array([float(self.alpha)])
        fit = fit_ridge(moments, target, alphas, folds_only=folds_only)
        self.coef_, self.intercept_ = fit.coef, fit.intercept
        self.fold_coefs_, self.fold_intercepts_ = fit.fold_coefs, fit.fold_intercepts
        self.alpha_, self.cv_risk_ = fit.alpha, fit.risks
        self.n_features_in_ = len(fit.coef)
        return self

    def predict(self, X):
        """Predict the target, ``X @ coef_ + intercept_``.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.

        Returns
        -------
        prediction : ndarray of shape (n,)
            Float64.
        """
        X = check_new_rows(self, X)
        return linear_scores(X, self.coef_) + self.intercept_

    def pessimistic(self, X, beta: float, *, binary: bool = True) -> NDArray[np.float64]:
        """Return ``-log mean exp(-beta t) / beta`` over the models of the folds.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.
        beta : float
            How much the lower predictions t count; 0 would be their mean.
        binary : bool, default=True
            Clip each prediction to [0, 1] first.

        Returns
        -------
        prediction : ndarray of shape (n,)
            Pessimistic predictions.

        Notes
        -----
        The folds' models share most of their rows, so their deviations, around the model of all
        rows, are stretched by ``sqrt(K - 1)``, as in the delete-a-group jackknife.
        """
        X = check_new_rows(self, X)
        members = linear_scores(X, self.fold_coefs_.T) + self.fold_intercepts_
        members -= members.mean(axis=1, keepdims=True)
        members *= np.sqrt(max(members.shape[1] - 1, 1))
        members += (linear_scores(X, self.coef_) + self.intercept_)[:, None]
        if binary:
            np.clip(members, 0, 1, out=members)
        return (np.log(members.shape[1]) - logsumexp(-beta * members, axis=1)) / beta

    def predict_std(self, X, *, binary: bool = True) -> NDArray[np.float64]:
        """Return the standard deviation of the prediction over the models of the folds.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.
        binary : bool, default=True
            Clip each prediction to [0, 1] first, because a reward that is a probability is.

        Returns
        -------
        std : ndarray of shape (n,)
            Standard deviations.

        Notes
        -----
        Any two of the K models share most of their rows, so this is small: times sqrt(K - 1) it
        is the delete-a-group jackknife's standard error (Kott, 2001) of the prediction.
        """
        X = check_new_rows(self, X)
        predictions = linear_scores(X, self.fold_coefs_.T) + self.fold_intercepts_
        if binary:
            np.clip(predictions, 0, 1, out=predictions)
        return predictions.std(axis=1)
