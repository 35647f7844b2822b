"""Scores on feedback logs that agree with scores on clean labels; see ``docs/evaluation.md``."""

from ..recipes import effective_sample_size
from ._asked import asked_score
from ._debiased import (
    debiased_brier_score,
    debiased_log_loss,
    debiased_mse,
    debiased_r2_score,
    debiased_roc_auc_score,
)
from ._pseudo_outcomes import pseudo_outcomes
from ._scorer import make_debiased_scorer

__all__ = [
    "asked_score",
    "debiased_brier_score",
    "debiased_log_loss",
    "debiased_mse",
    "debiased_r2_score",
    "debiased_roc_auc_score",
    "effective_sample_size",
    "make_debiased_scorer",
    "pseudo_outcomes",
]
