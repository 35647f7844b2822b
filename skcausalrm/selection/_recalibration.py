"""Fit of the recalibration of a reward to the few rows that a person has checked."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from .._utils._warnings import warn
from ..exceptions import AssumptionWarning, FewFeedbackWarning
from ._recalibration_map import Recalibration, clip_probability

# Prior standard deviations of intercept and slope: narrow, because fifty rows must not undo a
# reward that was right.
_INTERCEPT_SD, _SLOPE_SD = 0.3, 0.2
# Smallest slope. Below -1 the recalibrated prediction would rank against the score.
_LEAST_SLOPE = -0.9


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
        Logged feedback, NaN where unrated. Verified rows are weighted to the shares of unrated,
        disliked and liked rows in the log, so that choosing them by feedback does no harm.
    sample_weight : ndarray of shape (n,) or None, default=None
        A weight counts as so many rows; None counts each once.
    error_rate : float, default=0.0
        Probability that the person errs.
    posterior : ndarray of shape (n,) or None, default=None
        P(r=1 given o, s, x), read at verified rows. If given, the fit shifts it instead of the
        prediction, and verified rows need no weighting because it is conditional on o and s.

    Returns
    -------
    Recalibration

    Warns
    -----
    FewFeedbackWarning
        If no verified row is unrated, disliked or liked although the log holds such rows, or if
        all verified rows are of one class; the slope is then 0.
    AssumptionWarning
        If the verified rows rank against the predictions.

    Notes
    -----
    Maximum a posteriori with intercept ~ N(0, 0.3^2) and slope ~ N(0, 0.2^2).
    """
    l = logit(clip_probability(prediction))
    rows = np.ones(len(l)) if sample_weight is None else sample_weight
    center = float(np.average(l, weights=rows))
    judged = ~np.isnan(verified) & (rows > 0)
    weight = rows[judged]
    if posterior is None:
        kinds = np.where(np.isnan(feedback), 0, 1 + (feedback > 0.5))  # unrated, disliked, liked
        weight = _stratum_weights(kinds[judged], weight, np.bincount(kinds, rows, minlength=3))
        start = l[judged]
    else:
        start = logit(np.clip(posterior[judged], 1e-6, 1 - 1e-6))
    if not judged.any():
        return Recalibration(0.0, 0.0, center)
    weight = weight * (rows[judged].sum() / weight.sum())
    return _maximise(start, l[judged] - center, center, verified[judged], weight, error_rate)


def recalibration_covariance(
    recalibration: Recalibration,
    prediction: NDArray,
    verified: NDArray,
    *,
    sample_weight: NDArray | None = None,
    error_rate: float = 0.0,
) -> NDArray[np.float64]:
    """Return the covariance of a fitted intercept and slope by Laplace's approximation, (2, 2).

    Parameters
    ----------
    recalibration : Recalibration
    prediction : ndarray of shape (n,)
        Recalibrated P(r=1 given x) of the training rows.
    verified : ndarray of shape (n,)
        The labels that it was fitted to.
    sample_weight : ndarray of shape (n,) or None, default=None
        Weights of the rows; None counts each once.
    error_rate : float, default=0.0
        Probability that the person behind the labels errs.
    """
    rows = np.ones(len(prediction)) if sample_weight is None else sample_weight
    judged = ~np.isnan(verified) & (rows > 0)
    p = clip_probability(prediction[judged])
    l = (logit(p) - recalibration.offset) / recalibration.scale
    design = np.column_stack([np.ones(len(l)), l - recalibration.center])
    q = error_rate + (1 - 2 * error_rate) * p
    information = rows[judged] * ((1 - 2 * error_rate) * p * (1 - p)) ** 2 / (q * (1 - q))
    precision = design.T @ (design * information[:, None])
    precision += np.diag(1 / np.array([_INTERCEPT_SD, _SLOPE_SD]) ** 2)
    covariance = np.asarray(np.linalg.inv(precision), dtype=np.float64)
    if np.ptp(verified[judged]) == 0:  # then the slope is not fitted
        covariance = np.diag([covariance[0, 0], 0.0])
    return covariance


def draw_recalibrations(
    recalibration: Recalibration,
    covariance: NDArray,
    n_draws: int,
    rng: np.random.RandomState,
) -> list[Recalibration]:
    """Return draws of a fitted recalibration, given the covariance of its intercept and slope."""
    mean = [recalibration.intercept, recalibration.slope]
    drawn = rng.multivariate_normal(mean, covariance, size=n_draws)
    drawn[:, 1] = np.maximum(drawn[:, 1], _LEAST_SLOPE)
    return [Recalibration(float(a), float(b), recalibration.center) for a, b in drawn]


def _maximise(start, z, center: float, label, weight, error_rate: float) -> Recalibration:
    """Maximise the posterior of the labels, whose log odds are ``start + intercept + slope z``."""

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
            f"All {len(label)} verified rows are {label[0]:.0f}, so recalibration shifts the level "
            f"of the reward but not its slope: check more rows, drawn at random.",
            FewFeedbackWarning,
            "verified-class",
        )
        slopes = (0.0, 0.0)
    bounds = [(None, None), slopes]
    intercept, slope = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=bounds).x
    if slope <= _LEAST_SLOPE:
        warn(
            f"The {len(label)} verified rows rank against the predictions, so recalibration "
            f"shrinks the log odds to a tenth, its limit: check whether good and bad are swapped "
            f"in the feedback.",
            AssumptionWarning,
            "inverted-feedback",
        )
    return Recalibration(float(intercept), float(slope), center)


def _stratum_weights(kinds, weight, logged) -> NDArray[np.float64]:
    """Return weights of the judged rows that sum, in each kind, to the log's weight of the kind."""
    checked = np.bincount(kinds, weight, minlength=3)
    missing = [
        f"{name} ({count:.0f} rows)"
        for name, count, seen in zip(("unrated", "disliked", "liked"), logged, checked, strict=True)
        if count and not seen
    ]
    if missing:
        warn(
            f"No {' and no '.join(missing)} row is verified, so the recalibration ignores such "
            f"rows: draw the rows to check at random.",
            FewFeedbackWarning,
            "verified-stratum",
        )
    shares = np.divide(logged, checked, out=np.zeros(3), where=checked > 0)
    return weight * shares[kinds]
