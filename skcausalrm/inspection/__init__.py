"""Inspection of a reward and its judges: what it rests on, how far it would move, in pictures."""

from .._utils._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "BalanceDisplay": "._balance_display",
        "BaseRateDisplay": "._base_rate_display",
        "CalibrationDisplay": "._calibration_display",
        "diagnose": "._diagnose",
        "Finding": "._findings",
        "Findings": "._findings",
        "DriftDisplay": "._drift_display",
        "HabitDisplay": "._habit_display",
        "JudgeReport": "._judge",
        "OverlapDisplay": "._overlap_display",
        "SensitivityDisplay": "._sensitivity_display",
        "TransitionDisplay": "._transition_display",
        "WeightsDisplay": "._weights_display",
        "TippingPoint": "._tipping_point",
        "judge_report": "._judge",
        "sensitivity_analysis": "..selection._sensitivity",
        "tipping_point": "._tipping_point",
        "watch": "._watch",
    },
)
