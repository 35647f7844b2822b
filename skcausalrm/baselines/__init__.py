"""Published methods under one signature, to compare with; see ``docs/guide/baselines.md``."""

from ._base import BaseBaseline, TrainingRows
from ._bco import BCOWeighting
from ._clean_learning import CleanLearning
from ._co_training import CoDis, CoTeaching
from ._cvib import CVIB
from ._divide_mix import RobustDivideMix
from ._eps_softmax import EpsSoftmax
from ._label_wave import LabelWave
from ._multi_task import MultiTaskDR, MultiTaskIPS, StableDR
from ._plain import Naive, Plain
from ._positive_only import ImplicitRM, NonNegativePU
from ._published import CausalRMDR, CausalRMIPS
from ._tuned_dr import DRClipping, DRShrinkage
from ._weighting import DR, IPS

__all__ = [
    "CVIB",
    "DR",
    "IPS",
    "BCOWeighting",
    "BaseBaseline",
    "CausalRMDR",
    "CausalRMIPS",
    "CleanLearning",
    "CoDis",
    "CoTeaching",
    "DRClipping",
    "DRShrinkage",
    "EpsSoftmax",
    "ImplicitRM",
    "LabelWave",
    "MultiTaskDR",
    "MultiTaskIPS",
    "Naive",
    "NonNegativePU",
    "Plain",
    "RobustDivideMix",
    "StableDR",
    "TrainingRows",
    "all_baselines",
]


def all_baselines() -> list[type]:
    """Return the classes of all published methods.

    Returns
    -------
    list of type
        Classes, without the base class.

    Examples
    --------
    >>> from skcausalrm.baselines import all_baselines
    >>> "IPS" in [cls.__name__ for cls in all_baselines()]
    True
    """
    apart = {"BaseBaseline", "TrainingRows", "all_baselines"}
    return [globals()[name] for name in __all__ if name not in apart]
