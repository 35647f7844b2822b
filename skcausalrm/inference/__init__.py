"""Answers with an interval: how good is a set of answers, and is one system better than another?"""

from .._utils._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "Comparison": "._results",
        "MeanReward": "._results",
        "RewardThreshold": "._threshold",
        "compare": "._compare",
        "mean_reward": "._compare",
        "threshold_for": "._threshold",
    },
)
