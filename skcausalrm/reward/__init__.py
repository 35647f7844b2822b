"""Reward estimators: nuisances, then a target and a weight, then one regression."""

from ._estimators import CausalRewardClassifier, CausalRewardRegressor
from ._pseudo_outcomes import pseudo_outcomes
from ._scorer import make_debiased_scorer

__all__ = [
    "CausalRewardClassifier",
    "CausalRewardRegressor",
    "make_debiased_scorer",
    "pseudo_outcomes",
]
