"""Metrics of the rewards that a server gives: their distribution, and drift since the fit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Gauge, Histogram

# Rows that the running figures are of, and rows from which on they are shown.
_RECENT, _LEAST = 5000, 500
_BUCKETS = tuple(round(0.1 * step, 1) for step in range(1, 11))


class RewardMetrics:
    """Histogram of rewards; running mean and drift where the model knows those of its fit.

    Drift is the largest difference between the share of recent rewards up to a decile of the fit
    and its share then: 0 where nothing has moved, 1 where all rewards lie beyond those of the fit.

    Parameters
    ----------
    registry : CollectorRegistry
    reference : dict or None
        ``mean``, and ``shares`` of the training rewards up to ``points``.
    knows_support : bool, default=False
        Whether the model knows how far rows are from its log.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        reference: dict[str, Any] | None,
        *,
        knows_support: bool = False,
    ):
        self._histogram = Histogram(
            "skcausalrm_reward", "Rewards given", buckets=_BUCKETS, registry=registry
        )
        self._mean, self._weight = 0.0, 0.0
        recent = f"of about the last {_RECENT:,} rows, NaN before the first {_LEAST}"
        mean = Gauge("skcausalrm_reward_mean", f"Mean reward {recent}", registry=registry)
        mean.set_function(lambda: self._known(self._mean))
        self._low = 0.0
        if knows_support:
            share = f"Share of rows beyond 99% of the model's log, {recent}"
            low = Gauge("skcausalrm_low_support_share", share, registry=registry)
            low.set_function(lambda: self._known(self._low))
        self._points = None
        if reference is not None:
            self._points, self._shares = (np.array(reference[k]) for k in ("points", "shares"))
            self._below = np.zeros(len(self._points))
            at_fit = Gauge("skcausalrm_reward_mean_at_fit", "Mean reward", registry=registry)
            at_fit.set(reference["mean"])
            drift = Gauge(
                "skcausalrm_reward_drift",
                f"Largest change of a share of rewards since the fit, {recent}",
                registry=registry,
            )
            drift.set_function(lambda: self._known(float(self._gaps().max())))

    def observe(self, rewards: NDArray[np.float64], n_low: int | None = None) -> None:
        """Count the rewards of a batch, shape (n,), and its rows of low support, if known."""
        for reward in rewards.tolist():
            self._histogram.observe(reward)
        kept = (1 - 1 / _RECENT) ** len(rewards)
        weight = self._weight * kept + (1 - kept)
        share = (1 - kept) / weight
        self._mean += share * (float(rewards.mean()) - self._mean)
        self._low += share * ((n_low or 0) / len(rewards) - self._low)
        if self._points is not None:
            below = np.searchsorted(np.sort(rewards), self._points, side="right") / len(rewards)
            self._below = self._below + share * (below - self._below)
        self._weight = weight

    def _gaps(self) -> NDArray[np.float64]:
        return np.abs(self._below - self._shares)

    def _known(self, value: float) -> float:
        return value if self._weight >= 1 - (1 - 1 / _RECENT) ** _LEAST - 1e-12 else float("nan")
