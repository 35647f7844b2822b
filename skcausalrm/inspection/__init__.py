"""Inspection of a reward and its judges: what it rests on, how far it would move, in pictures."""

from .._utils._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "BaseRateDisplay": "._base_rate_display",
        "CalibrationDisplay": "._calibration_display",
        "HabitDisplay": "._habit_display",
        "JudgeReport": "._judge",
        "OverlapDisplay": "._overlap_display",
        "SensitivityDisplay": "._sensitivity_display",
        "TransitionDisplay": "._transition_display",
        "judge_report": "._judge",
        "sensitivity_analysis": "..selection._sensitivity",
    },
)
