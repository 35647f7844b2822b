"""Reward estimators: nuisances, then a target and a weight, then one regression."""

from ._corrections import DoublyRobust, InversePropensity, Naive, NoiseOnly
from ._estimators import CausalRewardClassifier, CausalRewardRegressor
from ._pseudo_outcomes import pseudo_outcomes
from ._report import selection_report
from ._scorer import make_debiased_scorer

__all__ = [
    "CausalRewardClassifier",
    "CausalRewardRegressor",
    "DoublyRobust",
    "InversePropensity",
    "Naive",
    "NoiseOnly",
    "make_debiased_scorer",
    "pseudo_outcomes",
    "selection_report",
]
