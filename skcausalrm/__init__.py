"""Unbiased reward models from noisy, self-selected user feedback.

Importing the package is cheap: names are resolved on first use, and neither torch nor pandas
nor matplotlib is imported before something needs it.
"""

from importlib import import_module
from typing import Any

from ._version import __version__

_HOMES = {
    "CausalRewardClassifier": "reward",
    "CausalRewardRegressor": "reward",
    "DoublyRobust": "reward",
    "InversePropensity": "reward",
    "Naive": "reward",
    "NoiseOnly": "reward",
    "ConversationEncoder": "text",
    "NoiseTransitionEstimator": "nuisances",
    "PropensityEstimator": "nuisances",
    "SelectionModel": "selection",
    "diagnose": "inspection",
}
_FOLDERS = (
    "baselines",
    "cli",
    "datasets",
    "exceptions",
    "export",
    "heads",
    "inference",
    "inspection",
    "metrics",
    "model_selection",
    "nuisances",
    "reward",
    "selection",
    "serving",
    "text",
)

__all__ = ["__version__", *_HOMES, *_FOLDERS]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    if name in _FOLDERS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
