"""Changes of a series of means: a confidence sequence, which may be looked at after every period.

For every period k the mean of the periods since k, minus that of those before, has an interval.
All of these hold at once, at all looks: an alarm is that one of them leaves out 0.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Standard deviation of the changes that the boundary is tuned to: it is narrowest for these.
_TYPICAL_CHANGE = 0.1
# Chance that a change begins in a period, which says how an error is shared out among periods.
_HAZARD = 0.02
# Periods that a change is compared with, at least.
N_REFERENCE = 6
# Standard deviation by which periods differ by themselves, and the periods that this is worth.
_PERIOD_STD, _PERIOD_WEIGHT = 0.01, 4
# What few periods tell of that may be too small: its variance is raised by this over their number.
_FEW_PERIODS = 6
# Rows that the pooled variance of all periods is worth next to a period's own.
_POOLED_ROWS = 50


class Change(NamedTuple):
    """How far a mean has moved, with an interval that holds however often one looks.

    Attributes
    ----------
    since : int
        Period from which on the mean is compared with all periods before.
    change : float
        Mean since then minus mean before.
    low, high : float
        Its interval in the confidence sequence.
    raised : int or None
        Period at whose end an alarm was raised first.
    """

    since: int
    change: float
    low: float
    high: float
    raised: int | None

    def is_alarm(self, least: float = 0.0) -> bool:
        """Return True if the mean has surely moved, by more than `least`."""
        return self.low > least or self.high < -least


def stable_variances(variances: Array, counts: Array) -> Array:
    """Return variances of the periods' means, each leaning on those of all periods.

    In a period with few rows none may be disliked: its own variance would be far too small.

    Parameters
    ----------
    variances : ndarray of shape (T,) or (T, m)
        Estimated variances of the means, by clusters.
    counts : ndarray of shape (T,)
        Rows that the means are of.
    """
    if len(counts) == 0:
        return variances
    counts = counts.reshape(-1, *[1] * (variances.ndim - 1))
    of_a_row = variances * counts
    pooled = (of_a_row * counts).sum(axis=0) / counts.sum()
    return (of_a_row * counts + pooled * _POOLED_ROWS) / (counts + _POOLED_ROWS) / counts


def period_variance(means: Array, variances: Array) -> Array:
    """Return the variance by which periods differ, beyond that of their rows, shape () or (m,).

    It is read from neighbours without the two that differ most, which a change may lie between.
    """
    excess = (np.diff(means, axis=0) ** 2 - variances[1:] - variances[:-1]) / 2
    excess = np.sort(excess, axis=0)[:-1]
    prior = _PERIOD_WEIGHT * _PERIOD_STD**2
    found = (excess.sum(axis=0) + prior) / (_PERIOD_WEIGHT + len(excess))
    return np.maximum(0.0, found) * (1 + _FEW_PERIODS / max(1, len(excess)))


def find_change(means: Array, variances: Array, *, false_alarms: float) -> Change | None:
    """Return the clearest change up to the last period; None if there are too few periods.

    Parameters
    ----------
    means : ndarray of shape (T,) or (T, m)
        Means of the periods, in order, or m equally likely draws of them.
    variances : ndarray of the same shape
        Variances of the means, by rows.
    false_alarms : float
        Largest chance that any look at a series without a change raises an alarm.

    Notes
    -----
    A difference d of two means with variance v is outside of ::

        +- sqrt(v (1 + v / s^2) (log(1 + s^2 / v) + 2 log(1 / a)))

    at some look with a chance of at most a, for normal means (Robbins 1970; in large samples for
    any, Waudby-Smith et al., arXiv 2103.06476). s is .1. Period k has its share of the error,
    a_k = false_alarms h (1 - h)^k: these add up to at most false_alarms, for ever. With draws,
    each has its interval, and the one returned reaches as far as 95% of them do.
    """
    if len(means) <= N_REFERENCE:
        return None
    means, precision = _weighed(means, variances)
    total, weighted = np.cumsum(precision, axis=0), np.cumsum(means * precision, axis=0)
    found, raised = None, None
    best = -np.inf
    for start in range(N_REFERENCE, len(means)):
        before, mean_before = total[start - 1], weighted[start - 1] / total[start - 1]
        since = total[start:] - before
        change = (weighted[start:] - weighted[start - 1]) / since - mean_before
        share = false_alarms * _HAZARD * (1 - _HAZARD) ** (start - N_REFERENCE)
        low, high, strength = _interval(change, 1 / since + 1 / before, share)
        if (over := np.flatnonzero((low > 0) | (high < 0))).size:
            first = start + int(over[0])
            raised = first if raised is None else min(raised, first)
        if strength[-1] > best:
            best = float(strength[-1])
            found = Change(start, float(change[-1].mean()), float(low[-1]), float(high[-1]), None)
    return found and found._replace(raised=raised)


def find_shortfall(means: Array, variances: Array, least: float, *, false_alarms: float) -> Change:
    """Return the clearest shortfall of the latest periods' mean below a threshold.

    Parameters and notes are those of `find_change`; `change` is the mean minus `least`, and
    `high` is below 0 where the mean since a period is surely below it.
    """
    means, precision = _weighed(means, variances)
    since = np.cumsum(precision[::-1], axis=0)[::-1]
    change = np.cumsum((means * precision)[::-1], axis=0)[::-1] / since - least
    share = false_alarms * _HAZARD * (1 - _HAZARD) ** np.arange(len(means))[:, None]
    low, high, _ = _interval(change, 1 / since, share)
    start = int(np.argmin(high))
    return Change(start, float(change[start].mean()), float(low[start]), float(high[start]), None)


def _weighed(means: Array, variances: Array) -> tuple[Array, Array]:
    """Return means and their precisions as draws, (T, m), that allow for restless periods."""
    means, variances = (values.reshape(len(means), -1) for values in (means, variances))
    return means, 1 / (variances + period_variance(means, variances))


def _interval(change: Array, variance: Array, share: NDArray | float) -> tuple[Array, Array, Array]:
    """Return the ends of each row's interval, (T,), and how far 95% of the draws are from 0.

    Parameters
    ----------
    change, variance : ndarray of shape (T, m)
    share : ndarray of shape (T, 1), or float
    """
    ratio = _TYPICAL_CHANGE**2 / variance
    half = np.sqrt(variance * (1 + 1 / ratio) * (np.log1p(ratio) + 2 * np.log(1 / share)))
    low, high = np.quantile(change - half, 0.05, axis=1), np.quantile(change + half, 0.95, axis=1)
    up, down = np.quantile(change / half, (0.05, 0.95), axis=1)
    return low, high, np.maximum(up, -down) - 1
