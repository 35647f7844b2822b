"""Draws of pseudo-outcomes: what the log leaves open, as many coherent answers."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from .._utils._columns import RowColumns
from ._fitting import Posterior
from ._mixture import Propensities
from ._model import SelectionModel
from ._recalibration import draw_recalibrations

# Draws that a score's error is read from: its standard error is then known to a tenth.
N_DRAWS = 50
# Smallest P(rated given r, x): a weight 1/e beyond 20 costs more in noise than it saves in bias.
_LEAST_PROPENSITY = 0.05


def outcome_draws(
    model: SelectionModel,
    y: NDArray | None,
    columns: RowColumns,
    n_draws: int,
    random_state,
    *,
    new: NDArray | None = None,
) -> NDArray[np.float64]:
    """Return equally likely draws of rows' pseudo-outcomes, shape (n, n_draws).

    Parameters
    ----------
    model : SelectionModel
    y : ndarray of shape (n,) or None
        0, 1, NaN where unrated. None: the rows were not shown to anybody who could rate.
    columns : RowColumns
        Asked rows and weights as in `fit`.
    n_draws : int
    random_state : int, RandomState or None
    new : ndarray of shape (n, 2) or None, default=None
        Linear predictors of rows that the model was not fitted on, whose users are of average
        habit. None: the rows are the training rows.

    Notes
    -----
    Base rate, flip rates, selection and slopes are drawn together from the posterior. By each
    draw, with p = P(r=1 given x), e_r = P(rated given r, x) and the corrected label t, a rated row
    has ::

        z = p + t (1 - p) / e_1 - (1 - t) p / e_0

    and another row z = p. Its mean given x and r is r, whatever p is, if flips and e_r are right.
    e_r is at least .05: where much less is rated, z leans on p.
    The posterior `oof_posterior_` has less variance, but its mean given x is not P(r=1 given x):
    it knows of x what the two linear predictors say, so it would grade down a candidate that
    knows more. An asked row, whose e_r is 1, has z = t. Clicks, which hold no dislikes, have no t:
    there z is the posterior given o and x; signals are left out. A multiple of p (1 - p) then
    takes the mean of z back to that of p, because the draw's level is settled by the likelihood,
    and the noise of rated rows is not.
    """
    rng = check_random_state(random_state)
    sampled = model.row_posterior_.sample(n_draws, rng)
    z, habit = (model.oof_linear_predictors_, model.habit_) if new is None else (new, None)
    recalibrations = None
    if model.recalibration_ is not None and model.recalibration_covariance_ is not None:
        recalibrations = draw_recalibrations(
            model.recalibration_, model.recalibration_covariance_, n_draws, rng
        )
        prediction = model.row_posterior_.mixture.probability(z)
    draws = np.empty((len(z), n_draws), order="F")
    for j, (start, seen) in enumerate(_parts(sampled, z, y, columns, habit)):
        p = np.clip(start, 1e-12, 1 - 1e-12)
        if recalibrations is not None:
            p = recalibrations[j].move(p, prediction)
        draws[:, j] = p if y is None or seen is None else _rectify(p, seen, y, columns)
    return draws


def _parts(
    sampled: Posterior, z: NDArray, y: NDArray | None, columns: RowColumns, habit: NDArray | None
) -> Iterator[tuple[NDArray, Propensities | None]]:
    """Yield what each draw starts from, and what rectifies it or None."""
    if sampled.merged and y is not None:
        for posterior in sampled.draws(z, y, columns.asked, habit):
            yield posterior, None
    else:
        for seen in sampled.mixture.propensities(z, habit):
            yield seen.probability, seen


def _rectify(
    p: NDArray, seen: Propensities, y: NDArray, columns: RowColumns
) -> NDArray[np.float64]:
    rated, asked, weight = ~np.isnan(y), columns.asked, columns.sample_weight
    of_good, of_bad = (
        np.maximum(e if asked is None else np.where(asked, 1.0, e), _LEAST_PROPENSITY)
        for e in (seen.of_good, seen.of_bad)
    )
    false_positive, false_negative = seen.rates
    t = (np.where(rated, y, 0.0) - false_positive) / (1 - false_positive - false_negative)
    change = np.where(rated, t * (1 - p) / of_good - (1 - t) * p / of_bad, 0.0)
    spread = p * (1 - p)
    excess = np.average(change, weights=weight) / np.average(spread, weights=weight)
    return p + change - excess * spread
