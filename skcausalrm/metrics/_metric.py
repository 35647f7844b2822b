"""Debiased scores by the names that `make_debiased_scorer` and `asked_score` accept."""

from collections.abc import Callable

from . import _debiased

METRICS: dict[str, Callable] = {
    "r2": _debiased.debiased_r2_score,
    "mse": _debiased.debiased_mse,
    "log_loss": _debiased.debiased_log_loss,
    "brier": _debiased.debiased_brier_score,
    "roc_auc": _debiased.debiased_roc_auc_score,
    "within_roc_auc": _debiased.debiased_within_roc_auc_score,
    "accuracy": _debiased.debiased_accuracy_score,
}
# Scores of which less is better, and scores of the order alone.
LOSSES = ("mse", "log_loss", "brier")
RANKINGS = ("roc_auc", "within_roc_auc")


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
