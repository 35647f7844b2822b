"""The joint model's own head: a mean of sigmoids of two linear indices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import validate_data

from .._validation import FLOATS
from .moments import linear_scores

__all__ = ["MixtureHead"]

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
    """

    def fit(self, X, y):
        """Raise: the components come from `SelectionModel`."""
        raise NotImplementedError("A MixtureHead is made by SelectionModel.fit, not fitted itself.")

    def indices(self, X) -> NDArray[np.float64]:
        """Return the two indices of each row, shape (n, 2)."""
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        return linear_scores(X, self.directions_) + self.offsets_

    def predict(self, X, return_std: bool = False):
        """Return the mean over components, shape (n,), and on request their standard deviation."""
        z = self.indices(X)
        mean, std = np.empty(len(z)), np.empty(len(z))
        for start in range(0, len(z), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            p = expit(z[rows] @ self.slopes_.T + self.intercepts_)
            mean[rows] = p @ self.weights_
            if return_std:
                deviation = p - mean[rows, None]
                std[rows] = np.sqrt(np.square(deviation, out=deviation) @ self.weights_)
        return (mean, std) if return_std else mean

    def decision_function(self, X) -> NDArray[np.float64]:
        """Return the log odds of `predict`, which do not saturate, shape (n,)."""
        u = self.indices(X) @ self.slopes_.T + self.intercepts_
        # log sum w sigmoid(u) - log sum w sigmoid(-u), each with its largest term taken out
        return _log_mean_sigmoid(u, self.weights_) - _log_mean_sigmoid(-u, self.weights_)


def _log_mean_sigmoid(u: NDArray, weights: NDArray) -> NDArray[np.float64]:
    logs = -np.logaddexp(0.0, -u)
    top = logs.max(axis=1)
    return top + np.log(np.exp(logs - top[:, None]) @ weights)
