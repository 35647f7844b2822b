"""Published methods under one signature, to compare with; see ``docs/baselines.md``."""

from ._plain import Naive, Plain
from ._weighting import DR, IPS

__all__ = ["DR", "IPS", "Naive", "Plain", "all_baselines"]


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
