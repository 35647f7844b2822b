"""Means by verified rows, sharpened by what is known of all rows (prediction-powered)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._utils._clusters import clustered_variance, clusters_at
from ._set_means import Array, means_of_sets

_FOLDS = 5
# Penalty on the coefficients of standardised proxies: as much as so many rows tell.
_RIDGE = 1.0
# Rows of all sets that stand in for a set's own in its variance: a few labels are often all alike.
_POOLED_ROWS = 10
# Imagined rows at the worst variance of a label, in the pooled variance.
_WORST_ROWS, _WORST = 2, 0.25


class JudgedMeans(NamedTuple):
    """Means of the sets that have verified rows.

    Attributes
    ----------
    places : ndarray of int, shape (j,)
        The sets.
    mean : ndarray of shape (j,)
    covariance : ndarray of shape (j, j)
    """

    places: NDArray[np.intp]
    mean: Array
    covariance: Array


def judged_means(
    proxies: Array,
    verified: Array,
    inverse: Array,
    shares: Array,
    groups: NDArray | None,
    users: NDArray | None,
    rng: np.random.RandomState,
) -> JudgedMeans:
    """Return the mean of each set with verified rows, and its error.

    Parameters
    ----------
    proxies : ndarray of shape (n, p)
        What goes with the label, known for every row and not fitted to the labels in `verified`.
    verified : ndarray of shape (n,)
        0 or 1 where a person has judged, NaN elsewhere.
    inverse : ndarray of shape (n,)
        One over the probability with which a row was picked to be judged, up to a factor.
    shares : ndarray of shape (n, K)
        As returned by `shares_of`.
    groups, users : ndarray of shape (n,) or None
        Codes of clusters.
    rng : RandomState
        Draws the folds.

    Notes
    -----
    A label is predicted from the proxies by ridge regression on the verified rows of other folds,
    which is the power tuning of PPI++ (Angelopoulos, Duchi and Zrnic, 2023) for several proxies: a
    useless one gets a coefficient of about 0. A set's mean is that of the predictions, plus the
    mean error of its own verified rows. That is unbiased whatever the proxies are.
    """
    judged = np.flatnonzero(~np.isnan(verified) & (shares.sum(axis=1) > 0))
    label, weight = verified[judged], inverse[judged] / inverse[judged].mean()
    fold = _folds(judged, groups, rng)
    design = (proxies - proxies.mean(axis=0)) / np.maximum(proxies.std(axis=0), 1e-12)
    own = shares[judged] * inverse[judged, None]
    total = own.sum(axis=0)
    places = np.flatnonzero(total > 0)
    own = own[:, places] / total[places]
    error, predicted, mean = np.empty(len(judged)), np.zeros(len(design)), np.zeros(len(places))
    for k in range(fold.max() + 1):
        train, held = fold != k, fold == k
        p = _fitted(design, judged[train], label[train], weight[train])
        error[held] = label[held] - p[judged[held]]
        # Each fold's predictions count as much as the errors that correct them.
        mean += own[held].sum(axis=0) * (shares[:, places].T @ p)
        predicted += p * held.mean()
    correction = own.T @ error
    around = error - (own > 0) @ correction
    spread = _variances(own, error, around, weight) * (own**2).sum(axis=0)
    spread *= _design_effect(weight * around, judged, groups, users)
    sampled = means_of_sets(predicted, shares[:, places], groups, users).covariance
    return JudgedMeans(places, mean + correction, sampled + np.diag(spread))


def _folds(judged: NDArray, groups: NDArray | None, rng) -> NDArray[np.intp]:
    """Return folds of the judged rows that keep groups together."""
    codes = np.arange(len(judged)) if groups is None else groups[judged]
    codes = np.unique(codes, return_inverse=True)[1].ravel()
    return (rng.permutation(codes.max() + 1) % _FOLDS)[codes]


def _fitted(design: Array, rows: NDArray, label: Array, weight: Array) -> Array:
    """Return predictions for all rows by a ridge regression on some, from none on."""
    level = (weight @ label + 0.5) / (weight.sum() + 1)
    if len(rows) < 2:
        return np.full(len(design), level)
    center = np.average(design[rows], axis=0, weights=weight)
    own = design[rows] - center
    gram = own.T @ (own * weight[:, None]) + _RIDGE * np.eye(design.shape[1])
    return level + (design - center) @ np.linalg.solve(gram, own.T @ (weight * (label - level)))


def _variances(own: Array, error: Array, around: Array, weight: Array) -> Array:
    """Return the variance of a row's error in each set, shrunk to that of all sets, (j,)."""
    n = (own > 0).sum(axis=0)
    pooled = (weight @ error**2 + _WORST_ROWS * _WORST) / (len(error) + _WORST_ROWS)
    within = n * (own.T @ around**2)
    return (within + _POOLED_ROWS * pooled) / (n - 1 + _POOLED_ROWS)


def _design_effect(influence: Array, judged: NDArray, groups, users) -> float:
    """Return how much more the errors of judged rows vary because some share a cluster."""
    alone = float(influence @ influence)
    if not alone > 0:
        return 1.0
    clusters = clusters_at((groups, users), judged)
    return max(1.0, clustered_variance(influence, clusters) / alone)
