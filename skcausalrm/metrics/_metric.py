"""Debiased scores by the names that `make_debiased_scorer` and `asked_score` accept."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ._debiased import (
    debiased_accuracy_score,
    debiased_brier_score,
    debiased_log_loss,
    debiased_mse,
    debiased_r2_score,
    debiased_roc_auc_score,
)


class Metric(NamedTuple):
    """A debiased score with its direction.

    Attributes
    ----------
    function : callable
        ``function(z, prediction, *, groups, users, sample_weight, return_std)``.
    sign : {1, -1}
        1 if greater is better.
    """

    function: Callable[..., float | tuple[float, float]]
    sign: int


METRICS = {
    "r2": Metric(debiased_r2_score, 1),
    "mse": Metric(debiased_mse, -1),
    "log_loss": Metric(debiased_log_loss, -1),
    "brier": Metric(debiased_brier_score, -1),
    "roc_auc": Metric(debiased_roc_auc_score, 1),
    "accuracy": Metric(debiased_accuracy_score, 1),
}


def check_metric(metric: str) -> Metric:
    """Return the metric of that name.

    Raises
    ------
    ValueError
        If there is none; the message lists the names.
    """
    if not isinstance(metric, str) or metric not in METRICS:
        raise ValueError(f"metric is {metric!r}, but must be one of {', '.join(METRICS)}.")
    return METRICS[metric]
