"""Published methods under one signature, to compare with; see ``docs/guide/baselines.md``."""

from ._bco import BCOWeighting
from ._clean_learning import CleanLearning
from ._co_training import CoDis, CoTeaching
from ._cvib import CVIB
from ._divide_mix import RobustDivideMix
from ._eps_softmax import EpsSoftmax
from ._label_wave import LabelWave
from ._multi_task import MultiTaskDR, MultiTaskIPS
from ._plain import Naive, Plain
from ._positive_only import ImplicitRM, NonNegativePU
from ._published import CausalRMDR, CausalRMIPS
from ._stable_dr import StableDR
from ._tuned_dr import DRClipping, DRShrinkage
from ._weighting import DR, IPS

__all__ = [
    "CVIB",
    "DR",
    "IPS",
    "BCOWeighting",
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
    "all_baselines",
]


def all_baselines() -> list[type]:
    """Return the classes of all published methods, by name.

    Returns
    -------
    list of type

    Examples
    --------
    >>> from skcausalrm.baselines import all_baselines
    >>> "IPS" in [cls.__name__ for cls in all_baselines()]
    True
    """
    return [globals()[name] for name in __all__ if name != "all_baselines"]
