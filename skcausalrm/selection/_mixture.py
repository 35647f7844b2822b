"""Mixture of the solutions along the base rate: posteriors of rows and of the base rate."""

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, logsumexp, softmax

from ._likelihood import GOOD, GradedLikelihood
from ._mixture_head import average_sigmoids
from ._parameters import DELTA, GAMMA, PHI_FN, PHI_FP, SELECTION_SHARE, A, B, W

# Candidates of which one becomes a draw.
_CANDIDATES = 8


# Error of the base rate that matters to a user of the rewards.
OFF = 0.1


class Node(NamedTuple):
    """A maximum of the log posterior at a fixed intercept b.

    Attributes
    ----------
    theta : ndarray of shape (p,)
    covariance : ndarray of shape (p, p)
        Covariance of the free parameters given b, zero elsewhere.
    tangent : ndarray of shape (p,)
        Derivative of theta by b.
    base_rate : float
    score : float
        Log posterior with the other parameters integrated out by Laplace's approximation.
    value : float
        Log posterior at its maximum.
    """

    theta: NDArray[np.float64]
    covariance: NDArray[np.float64]
    tangent: NDArray[np.float64]
    base_rate: float
    score: float
    value: float

    @property
    def level(self) -> float:
        """Logit of the base rate."""
        return float(logit(self.base_rate))


class Propensities(NamedTuple):
    """One node's view of n rows.

    Attributes
    ----------
    probability : ndarray of shape (n,)
        P(r=1 given x).
    of_good, of_bad : ndarray of shape (n,)
        P(rated given r=1, x) and P(rated given r=0, x), where nobody asks.
    rates : ndarray of shape (2, n)
        False positive and false negative rate.
    """

    probability: NDArray[np.float64]
    of_good: NDArray[np.float64]
    of_bad: NDArray[np.float64]
    rates: NDArray[np.float64]


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
    def thetas(self) -> NDArray[np.float64]:
        """Parameters of each node, shape (m, p)."""
        return np.array([node.theta for node in self.nodes])

    @property
    def levels(self) -> NDArray[np.float64]:
        """Logit of each node's base rate, shape (m,)."""
        return np.array([node.level for node in self.nodes])

    @property
    def level_moments(self) -> tuple[float, float]:
        """Posterior mean and sd of the logit of the base rate."""
        mean = self.mean(self.levels)
        return mean, float(np.sqrt(self.mean((self.levels - mean) ** 2)))

    @property
    def base_rate(self) -> float:
        """Posterior mean of the base rate."""
        return self.mean([node.base_rate for node in self.nodes])

    @property
    def base_rate_interval(self) -> tuple[float, float]:
        """The 5% and 95% quantiles of the base rate, nodes being uniform over their widths."""
        levels, widths = self.levels, self.widths
        grid = np.linspace((levels - widths).min(), (levels + widths).max(), 4001)
        below = np.zeros(len(grid))
        for center, width, weight in zip(levels, widths, self.weights, strict=True):
            below += weight * np.clip((grid - center) / max(width, 1e-12) + 0.5, 0, 1)
        low, high = expit(np.interp([0.05, 0.95], below, grid))
        return float(low), float(high)

    @property
    def base_rate_doubt(self) -> float:
        """Posterior probability that the mean of the base rate is off by more than `OFF`."""
        rates = np.array([node.base_rate for node in self.nodes])
        return self.mean(np.abs(rates - self.mean(rates)) > OFF)

    @property
    def selection_log_odds(self) -> tuple[float, float]:
        """Posterior mean and sd of ``gamma + 1.2 delta``, NaN if selection is not modelled."""
        if not self._model.selects:
            return np.nan, np.nan
        return self.moments({GAMMA: 1, DELTA: SELECTION_SHARE})

    @property
    def habit_effect(self) -> tuple[float, float] | None:
        """Posterior mean and sd of w, the habit's effect on rating; None without habits."""
        return None if self._model.counts.habit is None else self.moments({W: 1})

    def moments(self, factors: dict[int, float]) -> tuple[float, float]:
        """Return posterior mean and sd of a sum of parameters times factors."""
        places, direction = list(factors), np.array(list(factors.values()))
        values = self.thetas[:, places] @ direction
        variances = [
            direction @ node.covariance[np.ix_(places, places)] @ direction for node in self.nodes
        ]
        mean = self.mean(values)
        return mean, self.mean(np.array(variances) + (values - mean) ** 2) ** 0.5

    @property
    def rates(self) -> tuple[float, float]:
        """Posterior means of the false positive and the false negative rate."""
        rates = np.array([self._model.rates(theta) for theta in self.thetas])
        false_positive, false_negative = map(self.mean, rates.T)
        return false_positive, false_negative

    @property
    def rate_stds(self) -> tuple[float, float]:
        """Posterior standard deviations of the two rates, by the delta method on phi."""
        slopes = [rate * (1 - 2 * rate) for rate in self.rates]
        fixed = self._model.knowledge.fixed_rates
        false_positive, false_negative = (
            slope * self.moments({place: 1})[1] if rate is None else 0.0
            for slope, place, rate in zip(slopes, (PHI_FP, PHI_FN), fixed, strict=True)
        )
        return false_positive, false_negative

    @property
    def link_weights(self) -> dict[float, float]:
        """Posterior weight of each link."""
        return {link: float(self.weights[self.links == link].sum()) for link in self.models}

    @property
    def log_evidence(self) -> float:
        """Log of the tempered likelihood averaged over all parameters, up to a constant."""
        scores = np.array([node.score for node in self.nodes])
        return float(logsumexp(scores, b=self.widths) - np.log(len(self.models)))

    @property
    def _model(self) -> GradedLikelihood:
        """The likelihood of one link, where the link does not matter."""
        return next(iter(self.models.values()))

    def sample(self, n_draws: int, rng: np.random.RandomState) -> Self:
        """Return equally likely draws of the parameters, each as a node without a spread.

        Nodes are drawn in proportion to their weights by systematic sampling. Within a node, one of
        a few candidates from its Laplace approximation is drawn in proportion to the posterior over
        the approximation, which alone would reach flip rates that the log contradicts.
        """
        steps = (rng.random_sample() + np.arange(n_draws)) / n_draws
        last = len(self.nodes) - 1
        chosen = np.minimum(np.searchsorted(np.cumsum(self.weights), steps), last)
        nodes = []
        for i in chosen:
            node, model = self.nodes[i], self.models[self.links[i]]
            theta = _draw(node, model, rng)
            still = np.zeros_like(node.covariance)
            base_rate = model.base_rate(theta)
            nodes.append(node._replace(theta=theta, covariance=still, base_rate=base_rate))
        return self._replace(
            nodes=nodes,
            links=self.links[chosen],
            weights=np.full(n_draws, 1 / n_draws),
            widths=self.widths[chosen],
        )

    def probability(self, z: NDArray) -> NDArray[np.float64]:
        """Return P(r=1 given x) of rows with linear predictors z, shape (n,)."""
        return average_sigmoids(z, self.thetas[:, B], self.thetas[:, A], self.weights)[0]

    def posteriors(
        self,
        z: NDArray,
        outcome: NDArray,
        habit: NDArray | None = None,
        signals: NDArray | None = None,
    ) -> Iterator[NDArray[np.float64]]:
        """Yield P(r=1 given all that a row shows) of every row by each node, shape (n,)."""
        for link, node in zip(self.links, self.nodes, strict=True):
            bins = self.models[link].bins(node.theta, z, outcome, habit=habit, signals=signals)
            yield bins[:, GOOD].sum(axis=1) / np.maximum(bins.sum(axis=1), 1e-300)

    def propensities(self, z: NDArray, habit: NDArray | None = None) -> Iterator[Propensities]:
        """Yield what each node says of rows with linear predictors z."""
        for link, node in zip(self.links, self.nodes, strict=True):
            model = self.models[link]
            bins, rated, rates = model.answering(node.theta, z, habit)
            good, bad = (np.maximum(bins[:, kind].sum(axis=1), 1e-300) for kind in (GOOD, ~GOOD))
            yield Propensities(
                good,
                rated[:, GOOD].sum(axis=1) / good,
                rated[:, ~GOOD].sum(axis=1) / bad,
                rates,
            )

    def posterior(
        self,
        z: NDArray,
        outcome: NDArray,
        habit: NDArray | None = None,
        signals: NDArray | None = None,
    ) -> NDArray[np.float64]:
        """Return P(r=1 given all that a row shows), (n,), strictly between 0 and 1.

        Without habits, users are of average habit; without signals, none could be seen.
        """
        parts = zip(self.weights, self.posteriors(z, outcome, habit, signals), strict=True)
        total = sum(weight * p for weight, p in parts)
        return np.clip(total, 1e-12, 1 - 1e-12)

    def posterior_without_label(
        self,
        z: NDArray,
        outcome: NDArray,
        label: NDArray,
        error_rate: float,
        habit: NDArray | None = None,
        signals: NDArray | None = None,
    ) -> NDArray[np.float64]:
        """Return P(r=1 given o, s, x), the row's own label divided out of the weights, (n,).

        Parameters
        ----------
        z : ndarray of shape (n, 2)
        outcome : ndarray of shape (n,)
        label : ndarray of shape (n,)
            A person's judgement of each row, 0 or 1; NaN rows are NaN in the result.
        error_rate : float
            Probability that the person errs.
        habit : ndarray of shape (n,) or None, default=None
        signals : ndarray of shape (n, n_signals) or None, default=None
        """
        result, judged = np.full(len(z), np.nan), ~np.isnan(label)
        habit = None if habit is None else habit[judged]
        signals = None if signals is None else signals[judged]
        p = np.array(list(self.posteriors(z[judged], outcome[judged], habit, signals)))
        q = error_rate + (1 - 2 * error_rate) * p
        said = np.maximum(np.where(label[judged] == 1, q, 1 - q), 1e-12)
        weights = self.weights[:, None] / said
        result[judged] = (weights * p).sum(axis=0) / weights.sum(axis=0)
        return result


def _draw(node: Node, model: GradedLikelihood, rng: np.random.RandomState) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(node.covariance)
    noise = rng.standard_normal((_CANDIDATES, len(values)))
    thetas = node.theta + (noise * np.sqrt(np.maximum(values, 0))) @ vectors.T
    noise = noise[:, values > 1e-12 * values[-1]]  # parameters that are not free have no spread
    excess = [model.evaluate(theta)[0] + e @ e / 2 for theta, e in zip(thetas, noise, strict=True)]
    return thetas[rng.choice(_CANDIDATES, p=softmax(excess))]
