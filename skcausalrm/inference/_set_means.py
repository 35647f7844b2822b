"""Mean rewards of sets of rows under one error, so that differences share what is open."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr

from .._utils._clusters import clustered_covariance
from ..metrics._estimate import Estimate, with_open_error

Array = NDArray[np.float64]


class SetMeans(NamedTuple):
    """Mean rewards of K sets.

    Attributes
    ----------
    draws : ndarray of shape (K, m)
        Equally likely means by what the log leaves open.
    covariance : ndarray of shape (K, K)
        Covariance of the means' error by the rows.
    """

    draws: Array
    covariance: Array

    def contrast(self, weights: Array) -> Estimate:
        """Return the estimate of a weighted sum of the means, its interval within what it can be.

        The means are shares, so a mean lies within [0, 1] and a difference of two within [-1, 1].
        """
        variance = float(weights @ self.covariance @ weights)
        bounds = float(np.minimum(weights, 0).sum()), float(np.maximum(weights, 0).sum())
        return with_open_error(weights @ self.draws, max(variance, 0.0) ** 0.5, bounds)

    def probability_positive(self, weights: Array) -> float:
        """Return the probability that a weighted sum of the means is above 0."""
        error = max(float(weights @ self.covariance @ weights), 1e-24) ** 0.5
        return float(ndtr(weights @ self.draws / error).mean())

    def loosened(self, further: Array) -> Self:
        """Return the means with a further, independent error of this covariance, (K, K)."""
        return self._replace(covariance=self.covariance + further)

    def agreement(self, places: NDArray[np.intp], mean: Array, covariance: Array) -> float:
        """Return the p-value of further estimates, as `updated` takes them, given these means."""
        gap = mean - self.draws[places].mean(axis=1)
        seen = self._total()[np.ix_(places, places)] + covariance
        return float(chdtrc(len(places), gap @ np.linalg.solve(seen, gap)))

    def updated(self, places: NDArray[np.intp], mean: Array, covariance: Array) -> Self:
        """Return the means given further, independent estimates of some of them.

        Parameters
        ----------
        places : ndarray of int, shape (j,)
            The sets that are estimated.
        mean : ndarray of shape (j,)
        covariance : ndarray of shape (j, j)

        Notes
        -----
        The update of a normal distribution. It moves sets without an estimate too, as far as the
        draws say that they rise and fall with the others.
        """
        total = self._total()
        seen = total[np.ix_(places, places)] + covariance
        gain = np.linalg.solve(seen, total[places]).T
        rest = np.eye(len(total))
        rest[:, places] -= gain
        return self._replace(
            draws=self.draws + gain @ (mean[:, None] - self.draws[places]),
            covariance=rest @ self.covariance @ rest.T + gain @ covariance @ gain.T,
        )

    def _total(self) -> Array:
        return self.covariance + np.cov(self.draws, bias=True).reshape(self.covariance.shape)

    def replaced(self, places: NDArray[np.intp], mean: Array, covariance: Array) -> Self:
        """Return the means with some of them, and their errors, taken from elsewhere."""
        draws, own = self.draws.copy(), self.covariance.copy()
        draws[places] = mean[:, None]
        own[places], own[:, places] = 0.0, 0.0
        own[np.ix_(places, places)] = covariance
        return self._replace(draws=draws, covariance=own)


def shares_of(codes: NDArray[np.intp], n_sets: int, weight: Array) -> Array:
    """Return each row's share of its set's weight, shape (n, n_sets)."""
    shares = np.zeros((len(codes), n_sets))
    shares[np.arange(len(codes)), codes] = weight
    total = shares.sum(axis=0)
    return shares / np.where(total > 0, total, 1.0)


def means_of_sets(
    values: Array, shares: Array, groups: NDArray | None, users: NDArray | None
) -> SetMeans:
    """Return the means of values, (n,) or draws of them, (n, m), over sets.

    Parameters
    ----------
    values : ndarray of shape (n,) or (n, m)
    shares : ndarray of shape (n, K)
        As returned by `shares_of`.
    groups, users : ndarray of shape (n,) or None
        Codes of clusters.
    """
    values = values.reshape(len(values), -1)
    draws = shares.T @ values
    influence = shares * (values.mean(axis=1)[:, None] - draws.mean(axis=1))
    return SetMeans(draws, clustered_covariance(influence, groups, users, finite_sample=True))


def shares_of_raters(
    rated: NDArray[np.bool_], shares: Array, users: NDArray[np.intp] | None
) -> Array:
    """Return the share of each user in the rated weight of each set, shape (n_users, K).

    Without users, rated rows are users of their own, and there is nothing to tell of them: (0, K).
    """
    if users is None:
        return np.zeros((0, shares.shape[1]))
    own = np.array([np.bincount(users[rated], column[rated]) for column in shares.T]).T
    return own / np.maximum(own.sum(axis=0), 1e-300)
