"""Nuisances of the corrections: propensity, flip rates, and the recipes that use them."""

from ._noise import NoiseTransitionEstimator
from ._propensity import PropensityEstimator

__all__ = ["NoiseTransitionEstimator", "PropensityEstimator"]
