"""Published methods under one signature, to compare with; see ``docs/guide/baselines.md``."""

from .._utils._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "BCOWeighting": "._bco",
        "BaseBaseline": "._base",
        "CVIB": "._cvib",
        "CausalRMDR": "._published",
        "CausalRMIPS": "._published",
        "CleanLearning": "._clean_learning",
        "CoDis": "._co_training",
        "CoTeaching": "._co_training",
        "DR": "._weighting",
        "DRClipping": "._tuned_dr",
        "DRShrinkage": "._tuned_dr",
        "EpsSoftmax": "._eps_softmax",
        "IPS": "._weighting",
        "ImplicitRM": "._positive_only",
        "LabelWave": "._label_wave",
        "MultiTaskDR": "._multi_task",
        "MultiTaskIPS": "._multi_task",
        "Naive": "._plain",
        "NonNegativePU": "._positive_only",
        "Plain": "._plain",
        "RobustDivideMix": "._divide_mix",
        "StableDR": "._multi_task",
        "TrainingRows": "._base",
        "all_baselines": "._base",
    },
)
