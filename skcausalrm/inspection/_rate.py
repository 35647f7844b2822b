"""A share of rows with Wilson's interval, also where rows share conversations or users."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._utils._clusters import Clusters, clustered_variance, clusters_at
from ..metrics._estimate import NORMAL_95


class Rate(NamedTuple):
    """A share with its 90% interval.

    Attributes
    ----------
    value, low, high : float
    n : int
        Rows that it is a share of.
    effective_n : float
        Independent rows that would have its standard error.
    """

    value: float
    low: float
    high: float
    n: int
    effective_n: float


def rate_of(is_true: NDArray[np.bool_], rows: NDArray[np.bool_], clusters: Clusters) -> Rate:
    """Return the share of the rows for which it is true, with Wilson's interval; none is open."""
    values = is_true[rows].astype(np.float64)
    n = len(values)
    if n == 0:
        return Rate(0.5, 0.0, 1.0, 0, 0.0)
    share, effective = float(values.mean()), float(n)
    inside = clusters_at(clusters, rows)
    given = [codes for codes in inside if codes is not None]
    if given:
        variance = clustered_variance((values - share) / n, inside)
        if variance > 0:
            effective = min(share * (1 - share) / variance, effective)
        else:  # all are alike: so many clusters say so
            effective = float(min(len(np.unique(codes)) for codes in given))
    low, high = wilson(share, effective)
    return Rate(share, low, high, n, effective)


def wilson(share: float, n: float) -> tuple[float, float]:
    """Return Wilson's 90% interval of a share of n rows."""
    square = NORMAL_95**2
    center = (share + square / (2 * n)) / (1 + square / n)
    half = NORMAL_95 * np.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, float(center - half)), min(1.0, float(center + half))
