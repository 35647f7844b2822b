"""A share of rows with Wilson's interval, also where rows share conversations or users."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._utils._clusters import clustered_covariance
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


def codes_of(codes: NDArray[np.intp] | None, rows: NDArray[np.bool_]) -> NDArray[np.intp] | None:
    """Return the codes of some rows, None where there are none."""
    return None if codes is None else codes[rows]


def rate_of(is_true: NDArray[np.bool_], rows: NDArray[np.bool_], clusters) -> Rate:
    """Return the share of the rows for which it is true, with Wilson's interval; none is open."""
    values = is_true[rows].astype(np.float64)
    n = len(values)
    if n == 0:
        return Rate(0.5, 0.0, 1.0, 0, 0.0)
    share, effective = float(values.mean()), float(n)
    groups, users = (codes_of(codes, rows) for codes in clusters)
    if groups is not None or users is not None:
        variance = clustered_variance((values - share) / n, groups, users)
        if variance > 0:
            effective = min(share * (1 - share) / variance, effective)
        else:  # all are alike: so many clusters say so
            given = [codes for codes in (groups, users) if codes is not None]
            effective = float(min(len(np.unique(codes)) for codes in given))
    low, high = _wilson(share, effective)
    return Rate(share, low, high, n, effective)


def clustered_variance(influence: NDArray, groups: NDArray | None, users: NDArray | None) -> float:
    """Return the variance of the sum of the rows' influence, (n,), clustered by codes."""
    return float(clustered_covariance(influence[:, None], groups, users)[0, 0])


def _wilson(share: float, n: float) -> tuple[float, float]:
    square = NORMAL_95**2
    center = (share + square / (2 * n)) / (1 + square / n)
    half = NORMAL_95 * np.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, float(center - half)), min(1.0, float(center + half))
