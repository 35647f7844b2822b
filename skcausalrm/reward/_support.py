"""Support: how far a row lies from the log that a reward was fitted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils.extmath import randomized_svd

from ..heads._moments import row_blocks

# Rows that the distances are learnt from, and directions that are told apart.
_ROWS, _DIRECTIONS = 5000, 64
# Quantiles of the training rows' distances that are kept.
_QUANTILES = 201
# Least variance of a direction, as a share of the mean one: rounding must not look like distance.
_LEAST_VARIANCE = 1e-6

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LogSupport:
    """Distances to the mean row, in standard deviations of the log.

    Parameters
    ----------
    mean : ndarray of shape (d,)
    whitening : ndarray of shape (d, k)
        Leading principal directions of the Gram matrix, each over its standard deviation.
    variances : ndarray of shape (k,)
        Their variances.
    rest : float
        Variance of each of the other directions, which are not told apart.
    quantiles : ndarray of shape (q,)
        Evenly spaced quantiles of the squared distances of the training rows.
    """

    mean: Array
    whitening: Array
    variances: Array
    rest: float
    quantiles: Array

    def distances(self, X) -> Array:
        """Return the squared distances of rows, (n,)."""
        found = np.empty(len(X))
        for block, place in row_blocks(np.asarray(X), None):
            centred = block - self.mean
            inside = np.square(centred @ self.whitening)
            outside = np.einsum("nd,nd->n", centred, centred) - inside @ self.variances
            found[place] = inside.sum(axis=1) + np.maximum(outside, 0) / self.rest
        return found

    def __call__(self, X) -> Array:
        """Return the share of the training rows that lie at least as far, (n,)."""
        levels = np.linspace(0, 1, len(self.quantiles))
        return 1 - np.interp(self.distances(X), self.quantiles, levels, left=0.0, right=1.0)


def fit_support(X: NDArray, random_state) -> LogSupport:
    """Learn distances from at most 5,000 rows, of which half tell the quantiles.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    random_state : int, RandomState or None

    Notes
    -----
    Probabilistic principal components: 64 directions have variances of their own, all others
    share one. Distances of rows that the directions were learnt from would be too small, so the
    quantiles are those of the other half.
    """
    rng = check_random_state(random_state)
    rows = rng.permutation(len(X))[:_ROWS]
    half = max(1, len(rows) // 2)
    train, held = (np.asarray(X[part], dtype=np.float64) for part in (rows[:half], rows[half:]))
    held = train if not len(held) else held
    mean = train.mean(axis=0)
    train -= mean
    total = float(np.square(train).sum()) / len(train)
    d = train.shape[1]
    k = max(1, min(_DIRECTIONS, d, len(train) // 2))
    _, singular, vectors = randomized_svd(train, k, n_iter=2, random_state=rng)
    least = max(_LEAST_VARIANCE * total / d, 1e-300)
    variances = np.maximum(singular**2 / len(train), least)
    rest = max((total - variances.sum()) / (d - k), least) if d > k else float(variances.min())
    support = LogSupport(mean, vectors.T / np.sqrt(variances), variances, rest, np.zeros(1))
    levels = np.linspace(0, 1, _QUANTILES)
    quantiles = np.quantile(support.distances(held), levels)
    return LogSupport(mean, support.whitening, variances, rest, quantiles)
