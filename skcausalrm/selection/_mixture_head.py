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
    fold_directions : ndarray of shape (d, K), or None, default=None
        The first predictor's direction by the model of each fold; their mean is that of
        `directions`. None where it is 0 throughout.
    fold_offsets : ndarray of shape (K,), or None, default=None
        Its constants.

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
    fold_directions: NDArray[np.float64] | None = None
    fold_offsets: NDArray[np.float64] | None = None

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

    def pessimistic(self, X, beta: float) -> NDArray[np.float64]:
        """Return ``-log mean exp(-beta p) / beta`` over the components and the folds' models, (n,).

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Embeddings, float32 or float64.
        beta : float
            How much the lower probabilities count; 0 would be their mean.

        Notes
        -----
        Models of folds share most of their rows, so their deviations from the mean are stretched by
        ``sqrt(K - 1)``: their spread is then the delete-a-group jackknife's standard error.
        """
        X = np.asarray(X)
        z = self.linear_predictors(X)
        apart = np.zeros((len(z), 1))
        if self.fold_directions is not None:
            apart = linear_scores(X, self.fold_directions) + self.fold_offsets - z[:, :1]
            apart *= np.sqrt(apart.shape[1] - 1)
        total = np.full(len(z), -np.inf)
        for rows in gen_batches(len(z), _BLOCK_ROWS):
            u = z[rows] @ self.slopes.T + self.intercepts
            for change in apart[rows].T:
                p = expit(u + np.outer(change, self.slopes[:, 0]))
                lowest = p.min(axis=1, keepdims=True, where=self.weights > 0, initial=1.0)
                powers = np.exp(np.minimum(-beta * (p - lowest), 0)) @ self.weights
                total[rows] = np.logaddexp(total[rows], np.log(powers) - beta * lowest[:, 0])
        return (np.log(apart.shape[1]) - total) / beta

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
            fold_directions=None,
            fold_offsets=None,
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
