"""Warnings that point at the user's line, from any depth of the package."""

import sys
import warnings

from ..exceptions import SkcausalrmWarning

_INTERNAL = ("skcausalrm.", "sklearn.", "joblib.")


def warn(message: str, category: type[Warning], code: str = "") -> None:
    """Warn at the first frame outside this package, scikit-learn and joblib."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_INTERNAL):
        frame, level = frame.f_back, level + 1
    ours = issubclass(category, SkcausalrmWarning)
    warnings.warn(category(message, code) if ours else category(message), stacklevel=level + 1)
