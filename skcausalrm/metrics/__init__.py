"""Scores on feedback logs that agree with scores on clean labels (docs/guide/evaluation.md)."""

from .._utils._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "asked_score": "._asked",
        "best_of_4_score": "._reward_bench",
        "best_of_n": "._best_of_n",
        "debiased_accuracy_score": "._debiased",
        "debiased_brier_score": "._debiased",
        "debiased_log_loss": "._debiased",
        "debiased_mse": "._debiased",
        "debiased_r2_score": "._debiased",
        "compare_predictions": "._study_table",
        "debiased_roc_auc_score": "._debiased",
        "debiased_within_roc_auc_score": "._debiased",
        "effective_sample_size": "..nuisances._recipes",
        # Fitting nuisances is reward's work; users look for scores and scorers here.
        "make_debiased_scorer": "..reward._scorer",
        "prediction_powered": "._prediction_powered",
        "pseudo_outcomes": "..reward._pseudo_outcomes",
        "rankable_pairs": "._pairs",
        "ties_score": "._reward_bench",
    },
)
