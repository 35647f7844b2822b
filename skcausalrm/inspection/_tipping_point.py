"""The smallest change of what the log leaves open that overturns a decision."""

from typing import NamedTuple

import numpy as np

from ..exceptions import InvalidInputError


class TippingPoint(NamedTuple):
    """Selection log odds at which a decision turns.

    Parameters
    ----------
    selection_log_odds : float
        Value at which the margin is 0, the nearest to `best`; NaN if there is none on the grid.
    best : float
        Value of the grid that the log agrees with best.
    margin : float
        Mean reward there less the threshold, or less the other rows' mean reward.
    evidence_lost : float
        Nats by which the log agrees less with the turning point than with `best`; inf if there is
        no turning point. Under 2 nats the log hardly tells the two apart.
    """

    selection_log_odds: float
    best: float
    margin: float
    evidence_lost: float


def tipping_point(table, *, threshold=None) -> TippingPoint:
    """Find where a decision turns in a sensitivity analysis.

    The decision is that the mean reward of some rows is above a threshold, or above that of other
    rows, or that it is below.

    Parameters
    ----------
    table : DataFrame
        Result of `sensitivity_analysis`; between values of its grid all columns are taken as
        straight.
    threshold : float, default=None
        Mean reward that decides. None takes ``versus_mean_reward``, so `versus` must have been
        given.

    Returns
    -------
    TippingPoint
        Where the decision turns, and how far the log is from there.

    Raises
    ------
    InvalidInputError
        If the table has no row or lacks a column.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcausalrm.inspection import tipping_point
    >>> table = pd.DataFrame({
    ...     "selection_log_odds": [0.0, 1.0, 2.0],
    ...     "mean_reward": [0.7, 0.6, 0.4],
    ...     "log_evidence": [0.0, -0.2, -1.2],
    ... })
    >>> tipping_point(table, threshold=0.5)
    TippingPoint(selection_log_odds=1.5, best=0.0, margin=0.2, evidence_lost=0.7)
    """
    other = ("versus_mean_reward",) if threshold is None else ()
    needed = ("selection_log_odds", "mean_reward", *other, "log_evidence")
    missing = [name for name in needed if name not in getattr(table, "columns", ())]
    if missing or not len(table):
        lack = f"lacks {', '.join(missing)}" if missing else "has no row"
        cure = ", with versus= or here threshold=" if "versus_mean_reward" in missing else ""
        raise InvalidInputError(f"The table {lack}: pass what sensitivity_analysis returns{cure}.")
    table = table.sort_values("selection_log_odds", ignore_index=True)
    x, evidence = (table[name].to_numpy() for name in ("selection_log_odds", "log_evidence"))
    level = table["versus_mean_reward"] if threshold is None else threshold
    margin = (table["mean_reward"] - level).to_numpy()
    best = int(np.argmax(evidence))
    (left,) = np.nonzero(np.sign(margin[:-1]) * np.sign(margin[1:]) < 0)
    share = margin[left] / (margin[left] - margin[left + 1])
    turns = np.r_[x[left] + share * (x[left + 1] - x[left]), x[margin == 0]]
    if not len(turns):
        return TippingPoint(np.nan, float(x[best]), _tidy(margin[best]), np.inf)
    turn = turns[np.argmin(np.abs(turns - x[best]))]
    lost = evidence[best] - np.interp(turn, x, evidence)
    return TippingPoint(_tidy(turn), float(x[best]), _tidy(margin[best]), _tidy(lost))


def _tidy(value: float) -> float:
    """Return a value without the rounding errors of its last digits."""
    return float(np.round(value, 12))
