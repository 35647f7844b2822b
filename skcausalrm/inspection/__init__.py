"""Inspection of a fitted reward and of its judges: what it rests on, and how far it would move."""

from .._utils._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "JudgeReport": "._judge",
        "judge_report": "._judge",
        "sensitivity_analysis": "..selection._sensitivity",
    },
)
