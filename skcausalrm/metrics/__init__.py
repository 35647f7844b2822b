"""Scores on feedback logs that agree with scores on clean labels; see ``docs/evaluation.md``."""

from ..recipes import effective_sample_size
from ._asked import asked_score
from ._best_of_n import best_of_n
from ._debiased import (
    debiased_brier_score,
    debiased_log_loss,
    debiased_mse,
    debiased_r2_score,
    debiased_roc_auc_score,
)
from ._pseudo_outcomes import pseudo_outcomes
from ._reward_bench import best_of_4_score, ties_score
from ._scorer import make_debiased_scorer

__all__ = [
    "asked_score",
    "best_of_4_score",
    "best_of_n",
    "debiased_brier_score",
    "debiased_log_loss",
    "debiased_mse",
    "debiased_r2_score",
    "debiased_roc_auc_score",
    "effective_sample_size",
    "make_debiased_scorer",
    "pseudo_outcomes",
    "ties_score",
]
