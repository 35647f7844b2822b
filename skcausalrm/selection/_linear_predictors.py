"""Two linear predictors per row: of being liked given rated, and of being rated."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from .._utils._columns import RowColumns
from ..heads._logistic import fit_logistic_folds
from ..heads._moments import FoldMoments, linear_scores
from ..heads._ridge import held_out_scores
from ..model_selection._cross_fitting import Folds, training_rows

# Share and maximum number of rows on which the slope is measured.
_SLOPE_SHARE, _SLOPE_ROWS = 0.2, 20_000
# Minimum number of rows for the slope to be measured at all.
_MIN_SLOPE_ROWS = 200
# Minimum training rows per class and fold for a predictor to be fitted.
_MIN_PER_CLASS = 2
# Standard deviation below which a predictor counts as constant.
_MIN_SPREAD = 1e-8


class LinearPredictors(NamedTuple):
    """Out-of-fold linear predictors of the training rows, and the map to those of new rows.

    Attributes
    ----------
    z : ndarray of shape (n, 2)
        Predictors with mean 0 and variance 1: column 0 of P(liked given rated), column 1 of
        P(rated). A predictor that cannot be fitted is 0 throughout.
    directions : ndarray of shape (d, 2)
    offsets : ndarray of shape (2,)
        New rows have ``x @ directions + offsets``, the mean over folds times `slope`.
    slope : ndarray of shape (2,)
        Variance of an out-of-fold predictor divided by the variance of the folds' mean, on rows
        that no fold has seen. The mean varies less because noise in the folds' coefficients
        averages out, so coefficients learned on out-of-fold predictors would be too flat on it.
    """

    z: NDArray[np.float64]
    directions: NDArray[np.float64]
    offsets: NDArray[np.float64]
    slope: NDArray[np.float64]


def fit_linear_predictors(
    X: NDArray,
    y: NDArray,
    columns: RowColumns,
    folds: Folds,
    random_state: int | np.random.RandomState | None,
) -> LinearPredictors:
    """Fit each linear predictor by ridge-penalised logistic regressions, one per fold.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
        0, 1, NaN where unrated.
    columns : RowColumns
        Asked rows inform the first predictor, not the second.
    folds : Folds
    random_state : int, RandomState instance or None
        Draws the rows on which the slope is measured.

    Returns
    -------
    LinearPredictors
    """
    n, d = X.shape
    volunteers = np.ones(n, dtype=bool) if columns.asked is None else ~columns.asked
    liked = y.copy()
    if not _both(liked[volunteers]) and _both(liked[~volunteers]):
        # Clicks hold no dislikes. Next to asked answers they would teach who clicks.
        liked[volunteers] = np.nan
    left_out = _slope_rows(folds.groups, check_random_state(random_state))
    z, directions = np.zeros((n, 2)), np.zeros((d, 2))
    offsets, slope = np.zeros(2), np.ones(2)
    for j, labels in enumerate((liked, np.where(volunteers, ~np.isnan(y), np.nan))):
        if not _enough(labels, folds, columns.sample_weight):
            continue
        weight = columns.weighted((~np.isnan(labels)).astype(np.float64))
        moments = FoldMoments(X, folds.of_row, folds.n_splits, weight)
        fit = fit_logistic_folds(moments, labels)
        scores = held_out_scores(X, folds.of_row, fit.coefs, fit.intercepts)
        mean = np.average(scores, weights=columns.sample_weight)
        sd = np.sqrt(np.average((scores - mean) ** 2, weights=columns.sample_weight))
        if not sd > _MIN_SPREAD:
            continue
        if left_out is not None and _enough(np.where(left_out, np.nan, labels), folds, weight):
            unseen = fit_logistic_folds(moments, labels, alpha=fit.alpha, left_out=left_out)
            slope[j] = _slope(X, unseen.coefs, np.flatnonzero(left_out))
        z[:, j] = (scores - mean) / sd
        directions[:, j] = slope[j] * fit.coefs.mean(axis=0) / sd
        offsets[j] = slope[j] * (fit.intercepts.mean() - mean) / sd
        del moments  # free the first predictor's Gram matrices before the second's are made
    return LinearPredictors(z, directions, offsets, slope)


def _both(labels) -> bool:
    return bool((labels == 0).any() and (labels == 1).any())


def _enough(labels, folds: Folds, sample_weight) -> bool:
    """Return True if every fold's training part has rows of both classes."""
    return bool((training_rows(labels, folds, sample_weight) >= _MIN_PER_CLASS).all())


def _slope_rows(groups: NDArray[np.intp], rng) -> NDArray[np.bool_] | None:
    share = min(_SLOPE_SHARE, _SLOPE_ROWS / len(groups))
    chosen = rng.random_sample(groups.max() + 1) < share
    rows = chosen[groups]
    return rows if _MIN_SLOPE_ROWS <= rows.sum() < len(rows) / 2 else None


def _slope(X, coefs, rows) -> float:
    scores = linear_scores(X, coefs.T, rows)
    together = scores.mean(axis=1).var()
    return float(scores.var(axis=0).mean() / together) if together > 0 else 1.0
