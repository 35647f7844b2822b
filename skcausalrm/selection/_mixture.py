"""Mixture of the solutions along the base rate: posteriors of rows and of the base rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, logsumexp

from ._likelihood import GOOD, A, B, GradedLikelihood
from ._mixture_head import average_sigmoids

__all__ = ["Mixture", "Node", "base_rate_interval", "level_moments"]


class Node(NamedTuple):
    """A maximum of the log posterior at a fixed intercept b.

    Attributes
    ----------
    theta : ndarray of shape (13,)
    covariance : ndarray of shape (13, 13)
        Covariance of the free parameters given b, zero elsewhere.
    tangent : ndarray of shape (13,)
        Derivative of theta by b.
    base_rate : float
    score : float
        Log posterior with the other parameters integrated out by Laplace's approximation.
    """

    theta: NDArray[np.float64]
    covariance: NDArray[np.float64]
    tangent: NDArray[np.float64]
    base_rate: float
    score: float

    @property
    def level(self) -> float:
        """Logit of the base rate."""
        return float(logit(self.base_rate))


class Mixture(NamedTuple):
    """Weighted nodes of all links.

    Attributes
    ----------
    nodes : list of Node
    models : dict of float to GradedLikelihood
        One per link.
    links : ndarray of shape (m,)
        Link of each node.
    weights : ndarray of shape (m,)
        Posterior weights; they sum to 1.
    widths : ndarray of shape (m,)
        Width of each node's interval on the logit of the base rate.
    n_dropped : int
        Nodes left out because their Hessian was not negative definite.
    """

    nodes: list[Node]
    models: dict[float, GradedLikelihood]
    links: NDArray[np.float64]
    weights: NDArray[np.float64]
    widths: NDArray[np.float64]
    n_dropped: int

    def mean(self, values) -> float:
        """Return the weighted mean of one value per node."""
        return float(self.weights @ np.asarray(values))

    @property
    def log_evidence(self) -> float:
        """Log of the tempered likelihood averaged over all parameters, up to a constant."""
        scores = np.array([node.score for node in self.nodes])
        return float(logsumexp(scores, b=self.widths) - np.log(len(self.models)))

    def probability(self, z: NDArray) -> NDArray[np.float64]:
        """Return P(r=1 given x) of rows with linear predictors z, shape (n,)."""
        theta = np.array([node.theta for node in self.nodes])
        return average_sigmoids(z, theta[:, B], theta[:, A], self.weights)[0]

    def posteriors(self, z: NDArray, outcome: NDArray) -> Iterator[NDArray[np.float64]]:
        """Yield P(r=1 given o, s, x) of every row by each node, shape (n,)."""
        for link, node in zip(self.links, self.nodes, strict=True):
            bins = self.models[link].bins(node.theta, z, outcome)
            yield bins[:, GOOD].sum(axis=1) / np.maximum(bins.sum(axis=1), 1e-300)

    def posterior(self, z: NDArray, outcome: NDArray) -> NDArray[np.float64]:
        """Return P(r=1 given o, s, x) of every row, shape (n,), strictly between 0 and 1."""
        total = np.zeros(len(z))
        for weight, p in zip(self.weights, self.posteriors(z, outcome), strict=True):
            total += weight * p
        return np.clip(total, 1e-12, 1 - 1e-12)

    def posterior_without_label(
        self, z: NDArray, outcome: NDArray, label: NDArray, error_rate: float
    ) -> NDArray[np.float64]:
        """Return P(r=1 given o, s, x), the row's own label divided out of the weights, (n,).

        Parameters
        ----------
        z : ndarray of shape (n, 2)
        outcome : ndarray of shape (n,)
        label : ndarray of shape (n,)
            A person's judgement of each row, 0 or 1.
        error_rate : float
            Probability that the person errs.
        """
        p = np.array(list(self.posteriors(z, outcome)))
        q = error_rate + (1 - 2 * error_rate) * p
        said = np.maximum(np.where(label == 1, q, 1 - q), 1e-12)
        weights = self.weights[:, None] / said
        return (weights * p).sum(axis=0) / weights.sum(axis=0)


def level_moments(mixture: Mixture) -> tuple[float, float]:
    """Return posterior mean and sd of the logit of the base rate."""
    level = np.array([node.level for node in mixture.nodes])
    mean = float(mixture.weights @ level)
    return mean, float(np.sqrt(mixture.weights @ (level - mean) ** 2))


def base_rate_interval(mixture: Mixture) -> tuple[float, float]:
    """Return the 5% and 95% quantiles of the base rate, nodes being uniform over their widths."""
    level = np.array([node.level for node in mixture.nodes])
    grid = np.linspace((level - mixture.widths).min(), (level + mixture.widths).max(), 4001)
    below = np.zeros(len(grid))
    for center, width, weight in zip(level, mixture.widths, mixture.weights, strict=True):
        below += weight * np.clip((grid - center) / max(width, 1e-12) + 0.5, 0, 1)
    low, high = expit(np.interp([0.05, 0.95], below, grid))
    return float(low), float(high)
