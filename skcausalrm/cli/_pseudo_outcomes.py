"""Draws of pseudo-outcomes that stand for a log's clean labels, and the flip rates behind them."""

from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator

from .. import DoublyRobust, NoiseTransitionEstimator, SelectionModel
from .._utils._columns import RowColumns
from ..metrics import pseudo_outcomes
from ..selection._draws import N_DRAWS, outcome_draws
from ._logs import FeedbackLog

Outcomes = tuple[np.ndarray, tuple[float, float], dict[str, str]]
RATES = ("false_positive_rate", "false_negative_rate")
# Drift since the fit, as standard deviations of the base rate's logit and of a flip rate.
_LEVEL_DRIFT, _FLIP_DRIFT = 0.3, 0.03
# Verified rows or asked answers of a log from which on they settle its level by themselves.
_ENOUGH_LABELS = 30


def learnt_at_fit(
    report: dict[str, Any], log: FeedbackLog, prediction: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Return what a fit knows of a later log, each as a value and its standard deviation.

    Parameters
    ----------
    report : dict
        Report of the fit.
    log : FeedbackLog
        The later log.
    prediction : ndarray of shape (n,)
        The model's predictions of its rows: their mean is the fit's word on the level.

    Returns
    -------
    dict
        Flip rates, and for a fit by the selection likelihood ``base_rate`` with the standard
        deviation of its logit, unless labels of the log settle that. Parameters of
        `SelectionModel`.
    """
    known = {}
    for name in RATES:
        rate, std = report.get(name), report.get(f"{name}_std")
        if rate is not None and std:
            known[name] = (float(np.clip(rate, 0.01, 0.45)), float(np.hypot(std, _FLIP_DRIFT)))
    selection = report.get("selection")
    if selection is None or _n_labels(log) >= _ENOUGH_LABELS:
        return known
    mean = float(np.clip(prediction.mean(), 0.01, 0.99))
    return {**known, "base_rate": (mean, float(np.hypot(selection["base_rate_std"], _LEVEL_DRIFT)))}


def _n_labels(log: FeedbackLog) -> int:
    verified, asked = log.columns.get("verified"), log.columns.get("asked")
    n_verified = 0 if verified is None else np.count_nonzero(~np.isnan(verified))
    n_answered = 0 if asked is None else np.count_nonzero(asked & ~np.isnan(log.y))
    return int(max(n_verified, n_answered))


def doubly_robust(X, log: FeedbackLog, noise_estimator, random_state: int) -> np.ndarray:
    """Return draws of pseudo-outcomes, (n, m), that assume selection on x alone."""
    return pseudo_outcomes(
        X,
        log.y,
        method=DoublyRobust(noise_estimator=noise_estimator),
        groups=log.groups,
        asked=log.columns.get("asked"),
        judge_score=log.columns.get("judge_score"),
        n_draws=N_DRAWS,
        random_state=random_state,
    )


def by_doubly_robust(
    X, log: FeedbackLog, known_rates: dict[str, Any], random_state: int
) -> Outcomes:
    """Return pseudo-outcomes and flip rates that assume selection on x alone, and no source."""
    noise = NoiseTransitionEstimator(**known_rates, random_state=random_state)
    noise.fit(X, log.y, groups=log.groups)
    return doubly_robust(X, log, FrozenEstimator(noise), random_state), noise.rates_, {}


def by_selection(
    X, log: FeedbackLog, known_rates: dict[str, Any], random_state: int, base_rate
) -> Outcomes:
    """Return pseudo-outcomes, flip rates and sources of the level by the selection likelihood."""
    model = SelectionModel(base_rate=base_rate, **known_rates, random_state=random_state)
    columns = RowColumns(asked=log.columns.get("asked"), verified=log.columns.get("verified"))
    given = {"asked": columns.asked, "verified": columns.verified, "users": log.users}
    given["judge_score"] = log.columns.get("judge_score")
    model.fit(X, log.y, groups=log.groups, **given, **log.sources.columns)
    z = outcome_draws(model, log.y, columns, N_DRAWS, random_state)
    return z, (model.false_positive_rate_, model.false_negative_rate_), model.level_source_
