"""Debiased scores by the names that `make_debiased_scorer` and `asked_score` accept."""

from collections.abc import Callable

from ._debiased import (
    debiased_accuracy_score,
    debiased_brier_score,
    debiased_log_loss,
    debiased_mse,
    debiased_r2_score,
    debiased_roc_auc_score,
)

METRICS: dict[str, Callable] = {
    "r2": debiased_r2_score,
    "mse": debiased_mse,
    "log_loss": debiased_log_loss,
    "brier": debiased_brier_score,
    "roc_auc": debiased_roc_auc_score,
    "accuracy": debiased_accuracy_score,
}
# Scores of which less is better.
LOSSES = ("mse", "log_loss", "brier")


def check_metric(metric: str) -> Callable:
    """Return the debiased score of that name.

    Raises
    ------
    ValueError
        If there is none; the message lists the names.
    """
    if not isinstance(metric, str) or metric not in METRICS:
        raise ValueError(f"metric is {metric!r}, but must be one of {', '.join(METRICS)}.")
    return METRICS[metric]
