"""Recalibration of a reward on the few rows that a person has checked."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from ._warn import warn
from .exceptions import InvertedFeedbackWarning, VerifiedStratumWarning

__all__ = ["Recalibration", "fit_recalibration"]

_CLIP = 0.01
# Prior standard deviations of intercept and slope: narrow, since fifty rows must not undo a
# reward that was right.
_INTERCEPT_SD, _SLOPE_SD = 0.3, 0.2
# Below -1 the recalibrated prediction would rank backwards, against the score.
_LEAST_SLOPE = -0.9


def _log_odds(prediction) -> NDArray[np.float64]:
    return logit(np.clip(prediction, _CLIP, 1 - _CLIP))


class Recalibration(NamedTuple):
    """Map a predicted probability by ``l + intercept + slope (l - center)`` on the logit scale."""

    intercept: float
    slope: float
    center: float

    def __call__(self, prediction) -> NDArray[np.float64]:
        """Return recalibrated probabilities of the same shape."""
        l = _log_odds(prediction)
        return expit(l + self.intercept + self.slope * (l - self.center))


def fit_recalibration(
    prediction: NDArray,
    verified: NDArray,
    feedback: NDArray,
    *,
    sample_weight: NDArray | None = None,
    error_rate: float = 0.0,
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

    Returns
    -------
    Recalibration

    Warns
    -----
    VerifiedStratumWarning
        If a kind of row that the logs hold has no verified row.

    Notes
    -----
    Maximum a posteriori with intercept ~ N(0, 0.3^2) and slope ~ N(0, 0.2^2).
    """
    l = _log_odds(prediction)
    rows = np.ones(len(l)) if sample_weight is None else sample_weight
    center = float(np.average(l, weights=rows))
    judged = ~np.isnan(verified) & (rows > 0)
    stratum = np.where(np.isnan(feedback), 0, 1 + (feedback > 0.5))
    logged = np.bincount(stratum, rows, minlength=3)
    checked = np.bincount(stratum[judged], rows[judged], minlength=3)
    missing = [
        f"{name} ({count:.0f} rows)"
        for name, count, seen in zip(("unrated", "disliked", "liked"), logged, checked, strict=True)
        if count and not seen
    ]
    if missing:
        warn(
            f"No {' and no '.join(missing)} row is verified, so the recalibration says nothing of "
            f"such rows: draw the rows to check at random.",
            VerifiedStratumWarning,
        )
    if not judged.any():
        return Recalibration(0.0, 0.0, center)
    shares = np.divide(logged, checked, out=np.zeros(3), where=checked > 0)
    weight = rows[judged] * shares[stratum[judged]]
    weight *= judged.sum() / weight.sum()
    label, l, z = verified[judged], l[judged], l[judged] - center

    def loss(theta):
        p = expit(l + theta[0] + theta[1] * z)
        q = np.clip(error_rate + (1 - 2 * error_rate) * p, 1e-12, 1 - 1e-12)
        d_u = (
            weight * np.where(label == 1, -1 / q, 1 / (1 - q)) * (1 - 2 * error_rate) * p * (1 - p)
        )
        penalty = theta / np.array([_INTERCEPT_SD, _SLOPE_SD]) ** 2
        value = -(weight @ np.log(np.where(label == 1, q, 1 - q))) + theta @ penalty / 2
        return value, np.array([d_u.sum(), d_u @ z]) + penalty

    bounds = [(None, None), (_LEAST_SLOPE, None)]
    intercept, slope = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=bounds).x
    if slope <= _LEAST_SLOPE:
        warn(
            f"The {judged.sum()} verified rows rank against the predictions, so their log odds are "
            f"shrunk to a tenth and no further: look whether good and bad are swapped in the "
            f"feedback.",
            InvertedFeedbackWarning,
        )
    return Recalibration(float(intercept), float(slope), center)
