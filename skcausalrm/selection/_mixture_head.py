"""The joint model's own head: a mean of sigmoids of two linear indices."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logsumexp
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils._validation import FLOATS
from ..heads._moments import linear_scores

__all__ = ["MixtureHead", "average_sigmoids"]

_BLOCK_ROWS = 8192


class MixtureHead(RegressorMixin, BaseEstimator):
    """P(r=1 given x) as ``sum_m weight_m sigmoid(intercept_m + slope_m' z)``, ``z = x'D + c``.

    Fitted by `SelectionModel`, never on a target. Its components are the likelihood's solutions
    along the base rates that the log allows, so their spread is what the log leaves open.

    Attributes
    ----------
    directions_ : ndarray of shape (d, 2)
        Of the two indices: what makes a rated answer liked, and an answer rated.
    offsets_ : ndarray of shape (2,)
    weights_ : ndarray of shape (m,)
        Of the components; they sum to 1.
    intercepts_ : ndarray of shape (m,)
    slopes_ : ndarray of shape (m, 2)
    single_intercept_, single_slopes_ : float and ndarray of shape (2,)
        The one sigmoid nearest to the mixture over the training rows.
    single_difference_ : float
        Largest difference in probability between the two over the training rows.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.selection._mixture_head import MixtureHead
    >>> head = MixtureHead()
    >>> head.directions_, head.offsets_ = np.eye(2), np.zeros(2)
    >>> head.weights_, head.intercepts_ = np.array([0.5, 0.5]), np.array([-1.0, 1.0])
    >>> head.slopes_ = np.array([[2.0, 0.0], [2.0, 1.0]])
    >>> mean, std = head.predict(np.array([[0.0, 0.0], [1.0, 1.0]]), return_std=True)
    >>> mean.round(3).tolist(), std.round(3).tolist()
    ([0.5, 0.857], [0.231, 0.125])
    """

    def fit(self, X, y):
        """Raise: the components come from `SelectionModel`."""
        raise NotImplementedError("A MixtureHead is made by SelectionModel.fit, not fitted itself.")

    def indices(self, X) -> NDArray[np.float64]:
        """Return the two indices of each row, shape (n, 2)."""
        check_is_fitted(self, "directions_")
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        return linear_scores(X, self.directions_) + self.offsets_

    def predict(self, X, return_std: bool = False):
        """Return the probability of each row.

        Parameters
        ----------
        X : array-like of shape (n, d)
        return_std : bool, default=False

        Returns
        -------
        mean : ndarray of shape (n,)
            Over the components.
        std : ndarray of shape (n,)
            Their standard deviation, if `return_std`.
        """
        z = self.indices(X)
        components = self.intercepts_, self.slopes_, self.weights_
        mean, std = average_sigmoids(z, *components, return_std=return_std)
        return (mean, std) if return_std else mean

    def decision_function(self, X) -> NDArray[np.float64]:
        """Return the log odds of `predict`, which do not saturate, shape (n,)."""
        z = self.indices(X)
        score = np.empty(len(z))
        with np.errstate(divide="ignore", invalid="ignore"):
            log_weights = np.log(self.weights_)
            for rows, u in _blocks(z, self.intercepts_, self.slopes_):
                score[rows] = np.log(expit(u) @ self.weights_) - np.log(expit(-u) @ self.weights_)
                far = np.abs(u).max(axis=1) > 700  # where exponentials underflow
                score[rows][far] = logsumexp(log_expit(u[far]) + log_weights, axis=1) - logsumexp(
                    log_expit(-u[far]) + log_weights, axis=1
                )
        return score

    def single(self) -> MixtureHead:
        """Return the head of one component that is nearest to this one over the training rows.

        Its `decision_function` is linear in x.
        """
        check_is_fitted(self, "single_slopes_")
        head = copy.copy(self)
        head.weights_, head.intercepts_ = np.ones(1), np.array([self.single_intercept_])
        head.slopes_ = np.asarray(self.single_slopes_, dtype=np.float64)[None]
        head.single_difference_ = 0.0
        return head


def average_sigmoids(
    z: NDArray, intercepts: NDArray, slopes: NDArray, weights: NDArray, *, return_std: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the weighted mean of ``sigmoid(intercept + slope' z)``, (n,), and its spread or None.

    Parameters
    ----------
    z : ndarray of shape (n, 2)
    intercepts, weights : ndarray of shape (m,)
    slopes : ndarray of shape (m, 2)
    return_std : bool, default=False
        Whether to compute the standard deviation over the m components.
    """
    mean, std = np.empty(len(z)), np.empty(len(z)) if return_std else None
    for rows, u in _blocks(z, intercepts, slopes):
        p = expit(u, out=u)
        mean[rows] = p @ weights
        if std is not None:
            p -= mean[rows, None]
            std[rows] = np.sqrt(np.square(p, out=p) @ weights)
    return mean, std


def _blocks(z: NDArray, intercepts: NDArray, slopes: NDArray) -> Iterator[tuple[slice, NDArray]]:
    """Yield blocks of rows and the log odds of their components, shape (rows, m)."""
    for start in range(0, len(z), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        yield rows, z[rows] @ slopes.T + intercepts
