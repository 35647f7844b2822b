"""Pseudo-outcomes that stand for the clean labels of a log, and the flip rates behind them."""

import numpy as np
from sklearn.frozen import FrozenEstimator

from .. import DoublyRobust, NoiseTransitionEstimator, SelectionModel
from ..metrics import pseudo_outcomes
from ._logs import FeedbackLog

Outcomes = tuple[np.ndarray, tuple[float, float]]


def doubly_robust(X, log: FeedbackLog, noise_estimator, random_state: int) -> np.ndarray:
    """Return pseudo-outcomes, shape (n,), that assume selection on x alone."""
    return pseudo_outcomes(
        X,
        log.y,
        method=DoublyRobust(noise_estimator=noise_estimator),
        groups=log.groups,
        asked=log.columns.get("asked"),
        judge_score=log.columns.get("judge_score"),
        random_state=random_state,
    )


def by_doubly_robust(
    X, log: FeedbackLog, known_rates: dict[str, float | None], random_state: int
) -> Outcomes:
    """Return pseudo-outcomes and flip rates that assume selection on x alone."""
    noise = NoiseTransitionEstimator(**known_rates, random_state=random_state)
    noise.fit(X, log.y, groups=log.groups)
    return doubly_robust(X, log, FrozenEstimator(noise), random_state), noise.rates_


def by_selection(
    X, log: FeedbackLog, known_rates: dict[str, float | None], random_state: int, base_rate
) -> Outcomes:
    """Return pseudo-outcomes and flip rates by the selection likelihood."""
    model = SelectionModel(base_rate=base_rate, **known_rates, random_state=random_state)
    columns = {name: log.columns.get(name) for name in ("asked", "verified")}
    model.fit(X, log.y, groups=log.groups, **columns)
    return model.oof_posterior_, (model.false_positive_rate_, model.false_negative_rate_)
