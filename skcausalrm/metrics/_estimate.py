"""Estimates of scores with errors that contain what the nuisances behind z leave open."""

from typing import NamedTuple

import numpy as np

from ..exceptions import FeedbackError
from ._formulas import FORMULAS, Measure
from ._sample import Array, Sample

# 95% quantile of the normal distribution: the half-width of a 90% interval.
NORMAL_95 = 1.6449


class Estimate(NamedTuple):
    """A score with its error.

    Attributes
    ----------
    score : float
    std : float
        Standard error, from clusters and draws.
    low, high : float
        90% interval, within the range that the score can have.
    open_std : float
        Part of the standard error that is between the draws of z; more rows do not reduce it.
    """

    score: float
    std: float = np.nan
    low: float = np.nan
    high: float = np.nan
    open_std: float = 0.0


def estimate(
    metric: str,
    z,
    prediction,
    *,
    groups=None,
    users=None,
    sample_weight=None,
    with_error: bool = True,
) -> Estimate:
    """Return a score of predictions against pseudo-outcomes, averaged over the draws of z.

    Parameters
    ----------
    metric : str
        A name in `FORMULAS`.
    z : array-like of shape (n,) or (n, m)
    prediction, groups, users, sample_weight : array-like of shape (n,)
    with_error : bool, default=True
        False leaves the errors NaN, and clusters unread.

    Notes
    -----
    By the law of total variance the squared error is that of the rows, from the influence averaged
    over draws and summed within clusters, plus the variance between the draws' scores.
    """
    formula = FORMULAS[metric]
    columns = (z, prediction, groups, users, sample_weight)
    sample = formula.check(*columns, with_error)
    scores, influence = _measure_all(formula.prepare(sample), sample)
    return (
        _with_error(sample, scores, influence, formula.bounds)
        if with_error
        else Estimate(float(np.nanmean(scores)))
    )


def estimate_difference(
    metric: str, z, prediction, other, *, groups=None, users=None, sample_weight=None
) -> Estimate:
    """Return the score of `prediction` minus that of `other` on the same z and rows."""
    formula = FORMULAS[metric]
    parts = []
    for f in (prediction, other):
        sample = formula.check(z, f, groups, users, sample_weight, True)
        parts.append(_measure_all(formula.prepare(sample), sample))
    (scores, influence), (other_scores, other_influence) = parts
    least, most = formula.bounds
    bounds = least - most, most - least
    return _with_error(sample, scores - other_scores, influence - other_influence, bounds)


def _measure_all(measure: Measure, sample: Sample) -> tuple[Array, Array]:
    """Return the score of each draw of z, shape (m,), and the mean influence by its rows.

    A draw by which all rewards are of one class is one that the log contradicts: its score is NaN.
    If most draws are, the error of the last is raised.
    """
    draws = sample.z if sample.z.ndim == 2 else sample.z[:, None]
    m = draws.shape[1]
    scores, influence = np.full(m, np.nan), np.zeros(())
    for j in range(m):
        try:
            scores[j], of_draw = measure(draws[:, j])
        except FeedbackError:
            if np.isnan(scores[: j + 1]).sum() > m / 2:
                raise
        else:
            influence = influence + of_draw
    return scores, influence / np.isfinite(scores).sum()


def _with_error(
    sample: Sample, scores: Array, influence: Array, bounds: tuple[float, float]
) -> Estimate:
    scores = scores[np.isfinite(scores)]
    return with_open_error(scores, sample.standard_error(influence), bounds)


def with_open_error(
    scores: Array, error: float, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> Estimate:
    """Return the mean of draws of a score, whose rows alone have a standard error of `error`."""
    score, open_std = float(scores.mean()), float(scores.std())

    def half_width(quantile):
        return np.hypot(np.quantile(scores, quantile) - score, NORMAL_95 * error)

    low, high = (
        float(np.clip(score + sign * half_width(quantile), *bounds))
        for sign, quantile in ((-1, 0.05), (1, 0.95))
    )
    return Estimate(score, float(np.hypot(error, open_std)), low, high, open_std)
