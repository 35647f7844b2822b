"""The selection likelihood's own head: a mean of sigmoids of two linear predictors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logsumexp
from sklearn.utils import gen_batches

from ..heads._moments import linear_scores

# Rows whose m component probabilities are held in memory at a time.
_BLOCK_ROWS = 8192
# Log odds beyond which a float64 exponential underflows to 0.
_UNDERFLOW = 700


@dataclass(frozen=True, eq=False)
class MixtureHead:
    """P(r=1 given x) as ``sum_m weight_m sigmoid(intercept_m + slope_m' z)``, ``z = x'D + c``.

    `SelectionModel` builds it. Its components are the solutions of the likelihood along the base
    rates that the log allows, so their spread is the uncertainty that the log leaves.

    Parameters
    ----------
    directions : ndarray of shape (d, 2)
        Columns of D: the linear predictors of being liked given rated, and of being rated.
    offsets : ndarray of shape (2,)
        The constant c of both linear predictors.
    weights : ndarray of shape (m,)
        Weights of the components. They sum to 1.
    intercepts : ndarray of shape (m,)
        Intercepts of the components.
    slopes : ndarray of shape (m, 2)
        Slopes of the components in z.
    single_slopes : ndarray of shape (2,)
        Slopes of the one sigmoid nearest to the mixture over the training rows.
    single_intercept : float
        Its intercept.
    single_difference : float
        Largest difference in probability between the sigmoid and the mixture over the training
        rows.

    Notes
    -----
    Methods take X as a float array of shape (n, d) and do not validate it: the estimators that
    hold a head do.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.selection._mixture_head import MixtureHead
    >>> head = MixtureHead(
    ...     directions=np.eye(2),
    ...     offsets=np.zeros(2),
    ...     weights=np.array([0.5, 0.5]),
    ...     intercepts=np.array([-1.0, 1.0]),
    ...     slopes=np.array([[2.0, 0.0], [2.0, 1.0]]),
    ...     single_slopes=np.array([1.8, 0.4]),
    ...     single_intercept=0.0,
    ...     single_difference=0.05,
    ... )
    >>> mean, std = head.predict(np.array([[0.0, 0.0], [1.0, 1.0]]), return_std=True)
    >>> mean.round(3).tolist(), std.round(3).tolist()
    ([0.5, 0.857], [0.231, 0.125])
    """

    directions: NDArray[np.float64]
    offsets: NDArray[np.float64]
    weights: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    slopes: NDArray[np.float64]
    single_slopes: NDArray[np.float64]
    single_intercept: float
    single_difference: float

    def linear_predictors(self, X) -> NDArray[np.float64]:
        """Return the two linear predictors z of each row, shape (n, 2)."""
        return linear_scores(np.asarray(X), self.directions) + self.offsets

    def predict(self, X, return_std: bool = False):
        """Return the probability of each row.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Embeddings, float32 or float64.
        return_std : bool, default=False
            Whether to return the standard deviation over the components too.

        Returns
        -------
        mean : ndarray of shape (n,)
            Weighted mean of the components.
        std : ndarray of shape (n,)
            Their standard deviation, if `return_std`.
        """
        z = self.linear_predictors(X)
        components = self.intercepts, self.slopes, self.weights
        mean, std = average_sigmoids(z, *components, return_std=return_std)
        return (mean, std) if return_std else mean

    def decision_function(self, X) -> NDArray[np.float64]:
        """Return the log odds of `predict`, which do not saturate, shape (n,)."""
        z = self.linear_predictors(X)
        score = np.empty(len(z))
        with np.errstate(divide="ignore", invalid="ignore"):
            log_weights = np.log(self.weights)
            for rows in gen_batches(len(z), _BLOCK_ROWS):
                u = z[rows] @ self.slopes.T + self.intercepts
                score[rows] = np.log(expit(u) @ self.weights) - np.log(expit(-u) @ self.weights)
                far = np.abs(u).max(axis=1) > _UNDERFLOW
                score[rows][far] = logsumexp(log_expit(u[far]) + log_weights, axis=1) - logsumexp(
                    log_expit(-u[far]) + log_weights, axis=1
                )
        return score

    def single(self) -> MixtureHead:
        """Return the head of one component that is nearest to this one over the training rows.

        Its `decision_function` is linear in x.
        """
        return replace(
            self,
            weights=np.ones(1),
            intercepts=np.array([self.single_intercept]),
            slopes=np.asarray(self.single_slopes, dtype=np.float64)[None],
            single_difference=0.0,
        )


def average_sigmoids(
    z: NDArray, intercepts: NDArray, slopes: NDArray, weights: NDArray, *, return_std: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the weighted mean of ``sigmoid(intercept + slope' z)``, (n,), and its spread or None.

    Parameters
    ----------
    z : ndarray of shape (n, 2)
        Linear predictors.
    intercepts, weights : ndarray of shape (m,)
        One entry per component.
    slopes : ndarray of shape (m, 2)
        One row per component.
    return_std : bool, default=False
        Whether to compute the standard deviation over the m components.
    """
    mean, std = np.empty(len(z)), np.empty(len(z)) if return_std else None
    for rows in gen_batches(len(z), _BLOCK_ROWS):
        u = z[rows] @ slopes.T + intercepts
        p = expit(u, out=u)
        mean[rows] = p @ weights
        if std is not None:
            p -= mean[rows, None]
            std[rows] = np.sqrt(np.square(p, out=p) @ weights)
    return mean, std
