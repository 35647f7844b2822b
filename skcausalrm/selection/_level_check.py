"""Comparison of the level that users and signals tell with the rows that a person has checked."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from .._utils._warnings import warn
from ..exceptions import AssumptionWarning
from ._mixture import Mixture

# Standard errors beyond which the two disagree.
DISAGREE = 2.0


class LevelCheck(NamedTuple):
    """Verified labels against what the log alone says of them.

    Attributes
    ----------
    z : float
        Number of good verified rows minus the expected number, in standard errors.
    p : float
        Two-sided probability of one as far from 0.
    """

    z: float
    p: float


def check_level(
    logs_only: Mixture,
    z: NDArray,
    outcome: NDArray,
    verified: NDArray,
    *,
    error_rate: float,
    habit: NDArray | None,
    signals: NDArray | None,
) -> LevelCheck | None:
    """Compare verified labels with the posterior by a mixture that has not seen them.

    Parameters
    ----------
    logs_only : Mixture
    z : ndarray of shape (n, 2)
        Linear predictors.
    outcome : ndarray of shape (n,)
    verified : ndarray of shape (n,)
        0, 1, NaN where nobody has judged.
    error_rate : float
        Probability that the person errs.
    habit : ndarray of shape (n,) or None
    signals : ndarray of shape (n, n_signals) or None

    Returns
    -------
    LevelCheck or None
        None without a verified row.

    Warns
    -----
    AssumptionWarning
        If they disagree by more than 2 standard errors (code "level-contradicted").
    """
    judged = ~np.isnan(verified)
    if not judged.any():
        return None
    habit, signals = (None if part is None else part[judged] for part in (habit, signals))
    by_node = np.array(list(logs_only.posteriors(z[judged], outcome[judged], habit, signals)))
    q = error_rate + (1 - 2 * error_rate) * by_node
    p, totals = logs_only.weights @ q, q.sum(axis=1)
    expected = logs_only.weights @ totals
    spread = logs_only.weights @ (totals - expected) ** 2
    difference = verified[judged].sum() - expected
    score = float(difference / np.sqrt((p * (1 - p)).sum() + spread))
    if abs(score) > DISAGREE:
        warn(
            f"Of {judged.sum()} verified rows {verified[judged].sum():.0f} are good, but by the "
            f"log alone {expected:.0f} would be, {abs(score):.1f} standard errors away: "
            f"trust the verified rows, and check more of them or leave users and signals out.",
            AssumptionWarning,
            "level-contradicted",
        )
    return LevelCheck(score, float(2 * norm.sf(abs(score))))
