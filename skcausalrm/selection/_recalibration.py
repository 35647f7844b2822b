"""Recalibration of a reward on the few rows that a person has checked."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from .._utils._warnings import warn
from ..exceptions import AssumptionWarning, FewFeedbackWarning

__all__ = [
    "Recalibration",
    "feedback_kinds",
    "fit_recalibration",
    "log_odds",
    "refit_recalibration",
]

_CLIP = 0.01
# Prior standard deviations of intercept and slope: narrow, since fifty rows must not undo a
# reward that was right.
_INTERCEPT_SD, _SLOPE_SD = 0.3, 0.2
# Below -1 the recalibrated prediction would rank backwards, against the score.
_LEAST_SLOPE = -0.9


def log_odds(prediction) -> NDArray[np.float64]:
    """Return the log odds of predictions cut to [.01, .99]."""
    return logit(np.clip(prediction, _CLIP, 1 - _CLIP))


class Recalibration(NamedTuple):
    """Map a predicted probability by ``l + intercept + slope (l - center)`` on the logit scale."""

    intercept: float
    slope: float
    center: float

    def __call__(self, prediction) -> NDArray[np.float64]:
        """Return recalibrated probabilities of the same shape."""
        l = log_odds(prediction)
        return expit(l + self._shift(l))

    def shift(self, prediction) -> NDArray[np.float64]:
        """Return what is added to the log odds of rows with these predictions."""
        return self._shift(log_odds(prediction))

    def move(self, posterior, prediction) -> NDArray[np.float64]:
        """Return posteriors in (0, 1) moved by what their rows' predictions move."""
        return expit(logit(posterior) + self.shift(prediction))

    def _shift(self, l: NDArray) -> NDArray[np.float64]:
        return self.intercept + self.slope * (l - self.center)

    def derivative(self, prediction) -> NDArray[np.float64]:
        """Return the slope of the map: how it carries a small standard deviation over."""
        p, q = np.clip(prediction, _CLIP, 1 - _CLIP), self(prediction)
        return np.where(p == prediction, (1 + self.slope) * q * (1 - q) / (p * (1 - p)), 0.0)


def fit_recalibration(
    prediction: NDArray,
    verified: NDArray,
    feedback: NDArray,
    *,
    sample_weight: NDArray | None = None,
    error_rate: float = 0.0,
    posterior: NDArray | None = None,
) -> Recalibration:
    """Fit a shift and a stretch of log odds to verified rows.

    Parameters
    ----------
    prediction : ndarray of shape (n,)
        Out-of-fold P(r=1 given x) of every row.
    verified : ndarray of shape (n,)
        0 or 1 where a person has judged, NaN elsewhere.
    feedback : ndarray of shape (n,)
        Logged feedback, NaN where unrated: verified rows are weighted to the shares of unrated,
        disliked and liked rows, so that a picked sample does no harm.
    sample_weight : ndarray of shape (n,) or None
    error_rate : float, default=0.0
        How often the person errs.
    posterior : ndarray of shape (n,) or None
        P(r=1 given o, s, x), read at verified rows, where a model gives it: then that is what
        moves, and rows need no weights, for o and s are conditioned on.

    Returns
    -------
    Recalibration

    Warns
    -----
    FewFeedbackWarning
        If a kind of row that the logs hold has no verified row.
    FewFeedbackWarning
        If all verified rows are of one class; the slope is then left as it is.
    AssumptionWarning
        If the verified rows rank against the predictions.

    Notes
    -----
    Maximum a posteriori with intercept ~ N(0, 0.3^2) and slope ~ N(0, 0.2^2).
    """
    l = log_odds(prediction)
    rows = np.ones(len(l)) if sample_weight is None else sample_weight
    center = float(np.average(l, weights=rows))
    judged = ~np.isnan(verified) & (rows > 0)
    weight = rows[judged]
    if posterior is None:
        kinds = feedback_kinds(feedback)
        weight = _stand_for(kinds[judged], weight, np.bincount(kinds, rows, minlength=3))
        start = l[judged]
    else:
        start = logit(np.clip(posterior[judged], 1e-6, 1 - 1e-6))
    if not judged.any():
        return Recalibration(0.0, 0.0, center)
    return _maximise(start, l[judged] - center, center, verified[judged], weight, error_rate)


def refit_recalibration(
    prediction: NDArray,
    verified: NDArray,
    feedback: NDArray,
    weight: NDArray,
    *,
    logged: NDArray,
    center: float,
    error_rate: float = 0.0,
) -> Recalibration:
    """Fit as `fit_recalibration` does, from verified rows and what is known of all others.

    Parameters
    ----------
    prediction, verified, feedback, weight : ndarray of shape (n_verified,)
        As there; verified is 0 or 1 throughout, and weights are positive.
    logged : ndarray of shape (3,)
        Weight of all rows of the log that are unrated, disliked and liked.
    center : float
        Of the recalibration.
    error_rate : float, default=0.0
    """
    l = log_odds(prediction)
    weight = _stand_for(feedback_kinds(feedback), weight, logged)
    return _maximise(l, l - center, center, verified, weight, error_rate)


def feedback_kinds(feedback: NDArray) -> NDArray[np.intp]:
    """Return 0 for unrated, 1 for disliked and 2 for liked rows."""
    return np.where(np.isnan(feedback), 0, 1 + (feedback > 0.5))


def _maximise(start, z, center: float, label, weight, error_rate: float) -> Recalibration:
    """Move log odds `start` by intercept and slope about z = 0, as the labels have it."""
    weight = weight * (len(weight) / weight.sum())

    def loss(theta):
        p = expit(start + theta[0] + theta[1] * z)
        q = np.clip(error_rate + (1 - 2 * error_rate) * p, 1e-12, 1 - 1e-12)
        d_u = (
            weight * np.where(label == 1, -1 / q, 1 / (1 - q)) * (1 - 2 * error_rate) * p * (1 - p)
        )
        penalty = theta / np.array([_INTERCEPT_SD, _SLOPE_SD]) ** 2
        value = -(weight @ np.log(np.where(label == 1, q, 1 - q))) + theta @ penalty / 2
        return value, np.array([d_u.sum(), d_u @ z]) + penalty

    slopes: tuple[float, float | None] = (_LEAST_SLOPE, None)
    if label.min() == label.max():
        warn(
            f"All {len(label)} verified rows are {label[0]:.0f}, so they move the level of the "
            f"reward and not its slope: check more rows, drawn at random.",
            FewFeedbackWarning,
            "verified-class",
        )
        slopes = (0.0, 0.0)
    bounds = [(None, None), slopes]
    intercept, slope = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=bounds).x
    if slope <= _LEAST_SLOPE:
        warn(
            f"The {len(label)} verified rows rank against the predictions, so their log odds are "
            f"shrunk to a tenth and no further: look whether good and bad are swapped in the "
            f"feedback.",
            AssumptionWarning,
            "inverted-feedback",
        )
    return Recalibration(float(intercept), float(slope), center)


def _stand_for(kinds, weight, logged) -> NDArray[np.float64]:
    """Return per judged row the weight of the logged rows of its kind that it stands for."""
    checked = np.bincount(kinds, weight, minlength=3)
    missing = [
        f"{name} ({count:.0f} rows)"
        for name, count, seen in zip(("unrated", "disliked", "liked"), logged, checked, strict=True)
        if count and not seen
    ]
    if missing:
        warn(
            f"No {' and no '.join(missing)} row is verified, so the recalibration says nothing of "
            f"such rows: draw the rows to check at random.",
            FewFeedbackWarning,
            "verified-stratum",
        )
    shares = np.divide(logged, checked, out=np.zeros(3), where=checked > 0)
    return weight * shares[kinds]
