"""Every method is a target and a weight, then one regression (CausalRM, arXiv 2603.18736).

A recipe is a pure function ``(s, o, e, m, rates) -> (target, weight)`` on arrays of shape (n,):

s
    Feedback as logged; ignored where ``o`` is False (it may be NaN there).
o
    True where the user left feedback.
e
    Propensity P(o = 1 given x).
m
    Imputation of P(r = 1 given x).
rates
    ``(false_positive_rate, false_negative_rate)`` of the feedback.

Arguments that a recipe does not use may be None. Rows that take no part have weight 0 and
target NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..exceptions import InvalidInputError

__all__ = ["NEEDS", "RECIPES", "correct_labels", "effective_sample_size"]

Array = NDArray[np.float64]
Rates = tuple[float, float]
Recipe = Callable[..., tuple[Array, Array]]


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


def correct_labels(s, rates: Rates) -> Array:
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


def _on_observed(values: Array, o: NDArray[np.bool_]) -> Array:
    return np.where(o, values, np.nan)


def naive(s, o, e=None, m=None, rates=None) -> tuple[Array, Array]:
    """Feedback as it is: biased by noise and by selection."""
    return _on_observed(np.asarray(s, np.float64), o), o.astype(np.float64)


def noise(s, o, e, m, rates) -> tuple[Array, Array]:
    """Corrected labels on rated rows: right if rated rows are a random sample."""
    return _on_observed(correct_labels(s, rates), o), o.astype(np.float64)


def ips(s, o, e, m, rates) -> tuple[Array, Array]:
    """Corrected labels weighted by 1/e: right if e is."""
    return _on_observed(correct_labels(s, rates), o), np.where(o, 1 / e, 0.0)


def snips(s, o, e, m, rates) -> tuple[Array, Array]:
    """IPS with weights of mean 1 over the rated rows: steadier, the same minimiser."""
    target, weight = ips(s, o, e, m, rates)
    return target, weight * (o.sum() / weight.sum())


def dr(s, o, e, m, rates) -> tuple[Array, Array]:
    """Doubly robust pseudo-outcome on all rows: right if e or m is."""
    residual = np.where(o, correct_labels(s, rates) - m, 0.0)
    return m + np.divide(residual, e, out=np.zeros(len(m)), where=o), np.ones(len(m))


def joint(s, o, e, m, rates=None) -> tuple[Array, Array]:
    """Posterior m = P(r=1 given o, s, x) of the selection likelihood, on all rows."""
    return m, np.ones(len(m))


RECIPES: dict[str, Recipe] = {
    "naive": naive,
    "noise": noise,
    "ips": ips,
    "snips": snips,
    "dr": dr,
    "selection": joint,
}

# What each recipe takes from the nuisances: flip rates, propensity, imputation, selection model.
NEEDS: dict[str, frozenset[str]] = {
    "naive": frozenset(),
    "noise": frozenset({"rates"}),
    "ips": frozenset({"rates", "propensity"}),
    "snips": frozenset({"rates", "propensity"}),
    "dr": frozenset({"rates", "propensity", "judge_score"}),
    "selection": frozenset({"selection"}),
}


def effective_sample_size(weight) -> float:
    """Return ``(sum w)^2 / sum w^2``: how many equally weighted rows carry as much.

    Parameters
    ----------
    weight : array-like of shape (n,)
        Weights, not negative; rows of weight 0 do not count.

    Returns
    -------
    float

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
