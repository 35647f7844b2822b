"""Every correction is a target and a weight, then one regression (CausalRM, arXiv 2603.18736).

A recipe is a pure function ``(s, o, e, m, rates) -> Target`` on arrays of shape (n,):

s
    Feedback as logged; ignored where ``o`` is False (it may be NaN there).
o
    True where the user left feedback.
e
    Propensity P(o = 1 given x).
m
    Outcome model's P(r = 1 given x); for "selection" the posterior P(r = 1 given o, s, x).
rates
    ``(false_positive_rate, false_negative_rate)`` of the feedback.

Arguments that a recipe does not use may be None. Excluded rows have weight 0 and target NaN.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..exceptions import InvalidInputError

Array = NDArray[np.float64]


class Target(NamedTuple):
    """Regression targets and weights of n rows.

    Attributes
    ----------
    values : ndarray of shape (n,)
        Targets; NaN in excluded rows.
    weight : ndarray of shape (n,)
        Weights; 0 in excluded rows.
    """

    values: Array
    weight: Array


def check_rates(false_positive_rate: float, false_negative_rate: float) -> None:
    """Raise unless both rates are probabilities and feedback is better than a coin.

    Raises
    ------
    InvalidInputError
        If a rate lies outside [0, 1) or their sum reaches 1.
    """
    for name, rate in (
        ("false_positive_rate", false_positive_rate),
        ("false_negative_rate", false_negative_rate),
    ):
        if not 0 <= rate < 1:
            raise InvalidInputError(f"{name} is {rate!r}, but a flip rate must lie in [0, 1).")
    if false_positive_rate + false_negative_rate >= 1:
        raise InvalidInputError(
            f"false_positive_rate + false_negative_rate is "
            f"{false_positive_rate + false_negative_rate:.3g}, but must be below 1: feedback this "
            f"noisy is no better than a coin, or good and bad are swapped (1 - feedback)."
        )


def correct_labels(s, rates: tuple[float, float]) -> Array:
    """Return ``t(s) = (s - fpr) / (1 - fpr - fnr)``, whose mean given r is r.

    Parameters
    ----------
    s : array-like of shape (n,)
        Feedback, 0 or 1; NaN stays NaN.
    rates : (float, float)
        ``(false_positive_rate, false_negative_rate)``: P(s=1 given r=0), P(s=0 given r=1).

    Returns
    -------
    ndarray of shape (n,), float64
        Corrected labels; they may lie outside [0, 1].

    Raises
    ------
    InvalidInputError
        If a rate lies outside [0, 1) or their sum reaches 1.

    Notes
    -----
    Training on t(s) with a loss that is linear in the label (log loss, and squared loss up to a
    constant) equals training with the surrogate loss of Natarajan et al. (2013).

    Examples
    --------
    >>> from skcausalrm.nuisances._recipes import correct_labels
    >>> correct_labels([0, 1], (0.1, 0.2)).round(3).tolist()
    [-0.143, 1.286]
    """
    false_positive_rate, false_negative_rate = rates
    check_rates(false_positive_rate, false_negative_rate)
    scale = 1 - false_positive_rate - false_negative_rate
    return (np.asarray(s, dtype=np.float64) - false_positive_rate) / scale


def naive(s, o, e=None, m=None, rates=None) -> Target:
    """Logged feedback on rated rows: biased by noise and by selection."""
    return Target(np.where(o, np.asarray(s, np.float64), np.nan), o.astype(np.float64))


def noise(s, o, e, m, rates) -> Target:
    """Corrected labels on rated rows: unbiased if rated rows are a random sample."""
    return Target(np.where(o, correct_labels(s, rates), np.nan), o.astype(np.float64))


def ips(s, o, e, m, rates) -> Target:
    """Corrected labels weighted by 1/e: unbiased if e is right."""
    return Target(np.where(o, correct_labels(s, rates), np.nan), np.where(o, 1 / e, 0.0))


def snips(s, o, e, m, rates) -> Target:
    """IPS with weights of mean 1 over the rated rows: less variance, the same minimiser."""
    target, weight = ips(s, o, e, m, rates)
    return Target(target, weight * (o.sum() / weight.sum()))


def dr(s, o, e, m, rates) -> Target:
    """Doubly robust pseudo-outcome on all rows: unbiased if e or m is right."""
    residual = np.where(o, correct_labels(s, rates) - m, 0.0)
    correction = np.divide(residual, e, out=np.zeros(len(m)), where=o)
    return Target(m + correction, np.ones(len(m)))


def selection(s, o, e, m, rates=None) -> Target:
    """Posterior m = P(r=1 given o, s, x) of the selection likelihood, on all rows."""
    return Target(m, np.ones(len(m)))


RECIPES: dict[str, Callable[..., Target]] = {
    recipe.__name__: recipe for recipe in (naive, noise, ips, snips, dr, selection)
}

# Nuisances that each recipe reads.
NEEDS: dict[str, frozenset[str]] = {
    "naive": frozenset(),
    "noise": frozenset({"rates"}),
    "ips": frozenset({"rates", "propensity"}),
    "snips": frozenset({"rates", "propensity"}),
    "dr": frozenset({"rates", "propensity", "outcome"}),
    "selection": frozenset({"selection"}),
}

# Columns of `fit` that not every method reads, and the nuisances that read them.
_READERS: dict[str, set[str]] = {
    "propensity": {"propensity"},
    "instruments": {"selection"},
    "signals": {"selection"},
    "judge_score": {"outcome", "selection"},
}


def methods_reading(column: str) -> list[str]:
    """Return the methods that read a column of `fit`, one of those that not all do."""
    return [method for method, needs in NEEDS.items() if _READERS[column] & needs]


def unread_columns(method: str) -> list[str]:
    """Return the columns of `fit` that a method does not read."""
    return [column for column in _READERS if method not in methods_reading(column)]


def effective_sample_size(weight) -> float:
    """Return ``(sum w)^2 / sum w^2``, the number of equally weighted rows of the same precision.

    Parameters
    ----------
    weight : array-like of shape (n,)
        Weights, not negative; rows of weight 0 do not count.

    Returns
    -------
    float
        Between 1 and the number of positive weights.

    Raises
    ------
    ValueError
        If no weight is positive.

    Examples
    --------
    >>> from skcausalrm.metrics import effective_sample_size
    >>> effective_sample_size([1, 1, 1, 1]), effective_sample_size([1, 0, 0, 0])
    (4.0, 1.0)
    """
    weight = np.asarray(weight, dtype=np.float64)
    total = weight.sum()
    if not total > 0:
        raise ValueError(f"None of the {weight.size} weights is positive.")
    return float(total**2 / (weight**2).sum())
