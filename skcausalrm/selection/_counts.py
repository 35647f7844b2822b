"""Outcomes of rows, counted on a grid of the two linear predictors."""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._parameters import SignalFacts

# Cells per side of the grid; 24, 32 and 64 gave the same profile to 0.3 nats at 16,000 rows.
CELLS = 24
# Cells per side where there are habits, and cells of those.
_CELLS_WITH_HABIT, _HABIT_CELLS = 14, 8
# Cells of habits where there are signals too, and of the whole grid times the patterns of signals.
# Few cells blur the tails: with 16 per side instead of 24 a useless signal cost .1 of R2 where
# nearly all that is rated is good.
_HABIT_CELLS_WITH_SIGNALS, _SIGNAL_CELLS = 6, 4_000


# Least number of cells per side, however many patterns signals make.
_LEAST_CELLS = 6


class Outcome(IntEnum):
    """Observed outcome of a row, without verified labels."""

    UNRATED = 0
    DISLIKED = 1
    LIKED = 2
    RATED = 3  # volunteered where only one kind of feedback exists, such as clicks
    ASKED_DISLIKED = 4
    ASKED_LIKED = 5
    UNANSWERED = 6  # asked


def volunteers(outcome: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return True where an outcome is that of a row nobody asked, rated or not."""
    return outcome < Outcome.ASKED_DISLIKED


def rated_or_asked(outcome: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return 1 where volunteered feedback was given, 0 where not, NaN in rows that were asked."""
    return np.where(volunteers(outcome), (outcome != Outcome.UNRATED).astype(float), np.nan)


class Counts(NamedTuple):
    """Distinct outcomes per cell of the grid: sufficient statistics of the likelihood.

    Attributes
    ----------
    z : ndarray of shape (n_cells, 2)
        Mean linear predictors of the rows in each cell.
    weight : ndarray of shape (n_cells,)
        Total weight of the rows in each cell.
    cell, outcome, label : ndarray of int, shape (n_entries,)
        Cell, `Outcome` and verified label of each entry; the label is -1 where there is none.
    coefficient : ndarray of shape (n_entries,)
        Factor of the entry's log probability: its count times the likelihood power.
    habit : ndarray of shape (n_cells,) or None
        Mean habit of the rows in each cell.
    signals : ndarray of shape (n_cells, n_signals) or None
        Signals of the rows in each cell: 1, 0, NaN. With signals, a cell holds rows that agree in
        them and in whether they are rated.
    rated : ndarray of shape (n_cells,) or None
        As `rated_or_asked` has it.
    facts : SignalFacts or None
    """

    z: NDArray[np.float64]
    weight: NDArray[np.float64]
    cell: NDArray[np.intp]
    outcome: NDArray[np.intp]
    label: NDArray[np.intp]
    coefficient: NDArray[np.float64]
    habit: NDArray[np.float64] | None = None
    signals: NDArray[np.float64] | None = None
    rated: NDArray[np.float64] | None = None
    facts: SignalFacts | None = None


def outcomes_of_rows(
    y: NDArray, asked: NDArray[np.bool_] | None, merged: Sequence[Outcome] = ()
) -> NDArray[np.intp]:
    """Return the `Outcome` of each row, shape (n,).

    Parameters
    ----------
    y : ndarray of shape (n,)
        0, 1, or NaN where there is no feedback.
    asked : ndarray of bool, shape (n,), or None
    merged : sequence of Outcome, default=()
        Volunteered outcomes that are read as "rated", because volunteers left only one kind.
    """
    rated = ~np.isnan(y)
    asked = np.zeros(len(y), dtype=bool) if asked is None else asked
    volunteered = rated & ~asked
    outcome = np.full(len(y), int(Outcome.UNRATED))
    outcome[volunteered & (y == 0)] = Outcome.DISLIKED
    outcome[volunteered & (y == 1)] = Outcome.LIKED
    outcome[asked & (y == 0)] = Outcome.ASKED_DISLIKED
    outcome[asked & (y == 1)] = Outcome.ASKED_LIKED
    outcome[asked & ~rated] = Outcome.UNANSWERED
    return np.where(np.isin(outcome, merged), Outcome.RATED, outcome)


def count_outcomes(
    z: NDArray,
    outcome: NDArray[np.intp],
    verified: NDArray | None,
    *,
    weight: NDArray | None = None,
    likelihood_power: float = 0.25,
    n_cells: int | None = CELLS,
    habit: NDArray | None = None,
    row_power: NDArray | None = None,
    signals: NDArray | None = None,
    facts: SignalFacts | None = None,
) -> Counts:
    """Count outcomes on a grid of marginal quantile cells.

    Parameters
    ----------
    z : ndarray of shape (n, 2)
    outcome : ndarray of shape (n,)
    verified : ndarray of shape (n,) or None
        0, 1, NaN where nobody has judged.
    weight : ndarray of shape (n,) or None
        A weight counts as so many rows.
    likelihood_power : float, default=0.25
        Factor of log P(o, s given x). The log probabilities of asked answers, which are drawn at
        random, and of verified labels given o, s and x keep the factor 1.
    n_cells : int or None, default=24
        Cells per side; None makes each row a cell of its own.
    habit : ndarray of shape (n,) or None, default=None
        Habits of the rows' users; the grid then has 14 x 14 x 8 cells.
    row_power : ndarray of shape (n,) or None, default=None
        Further factor of each row's log P(o, s given x).
    signals : ndarray of shape (n, n_signals) or None, default=None
        Further signals, 1, 0 or NaN; the grid then has fewer cells the more patterns they make,
        such as 22 x 22 with two signals, or 9 x 9 x 6 with habits.
    facts : SignalFacts or None, default=None
        Of the signals.

    Returns
    -------
    Counts
    """
    weight = np.ones(len(z)) if weight is None else weight
    pattern, codes = np.zeros((len(z), 0)), np.zeros(len(z), dtype=np.intp)
    if signals is not None:
        pattern = np.column_stack([signals, rated_or_asked(outcome)])
        codes = np.unique(np.nan_to_num(pattern, nan=2.0), axis=0, return_inverse=True)[1].ravel()
    n_patterns = codes.max() + 1
    if n_cells is None:
        cell = np.arange(len(z))
    else:
        cell = _grid_cells(z, outcome, weight, n_cells, habit, n_patterns)
    cell = cell * n_patterns + codes
    _, first, cell = np.unique(cell, return_index=True, return_inverse=True)
    pattern = pattern[first]
    total = np.bincount(cell, weight).astype(np.float64)
    features = z if habit is None else np.column_stack([z, habit])
    center = np.column_stack(
        [np.bincount(cell, weight * column) / np.maximum(total, 1e-300) for column in features.T]
    )
    label = np.full(len(z), -1)
    if verified is not None:
        judged = ~np.isnan(verified)
        label[judged] = verified[judged]
    judged = label >= 0
    # log P(r | o, s, x) = log P(r, o, s | x) - log P(o, s | x): only the last term gets the power.
    power = likelihood_power if row_power is None else likelihood_power * row_power
    answered = np.isin(outcome, [Outcome.ASKED_DISLIKED, Outcome.ASKED_LIKED])
    plain = np.where(answered, 1.0, power) - judged
    n_keys = 3 * len(Outcome) * len(total)
    every = np.bincount(_key(cell, outcome, -1), weight * plain, minlength=n_keys).astype(float)
    every += np.bincount(_key(cell, outcome, label), weight * judged, minlength=n_keys)
    keys = np.flatnonzero(every)
    return Counts(
        center[:, :2],
        total,
        keys // (3 * len(Outcome)),
        keys // 3 % len(Outcome),
        keys % 3 - 1,
        every[keys],
        None if habit is None else center[:, 2],
        None if signals is None else pattern[:, :-1],
        None if signals is None else pattern[:, -1],
        facts,
    )


def _grid_cells(z, outcome, weight, n_cells: int, habit, n_patterns: int) -> NDArray[np.intp]:
    n_habits = _HABIT_CELLS
    if habit is not None:
        n_cells = min(n_cells, _CELLS_WITH_HABIT)
    if n_patterns > 1:
        n_habits = _HABIT_CELLS_WITH_SIGNALS
        room = _SIGNAL_CELLS / n_patterns / (1 if habit is None else n_habits)
        n_cells = min(n_cells, max(int(np.sqrt(room)), _LEAST_CELLS))
    side = [_quantile_codes(column, weight, n_cells) for column in z.T]
    cell = side[0] * n_cells + side[1]
    if habit is None:
        return cell
    volunteered = weight * volunteers(outcome)
    rated = outcome != Outcome.UNRATED
    return cell * n_habits + habit_cells(habit, rated, volunteered, n_habits)


def _key(cell, outcome, label):
    return (cell * len(Outcome) + outcome) * 3 + label + 1


def habit_cells(
    habit: NDArray, rated: NDArray, weight: NDArray, n_cells: int = _HABIT_CELLS
) -> NDArray[np.intp]:
    """Return cells of habits, shape (n,): finer where much is rated, so that the keen are apart.

    Parameters
    ----------
    habit : ndarray of shape (n,)
    rated : ndarray of bool, shape (n,)
    weight : ndarray of shape (n,)
        0 in rows that were asked.
    n_cells : int, default=8
    """
    by_rating = weight * rated
    share = weight / weight.sum() + by_rating / max(by_rating.sum(), 1e-300)
    return _quantile_codes(habit, share, n_cells)


def _quantile_codes(values: NDArray, weight: NDArray, n_cells: int) -> NDArray[np.intp]:
    order = np.argsort(values, kind="stable")
    up_to = np.cumsum(weight[order])
    cuts = np.searchsorted(up_to, np.arange(1, n_cells) / n_cells * up_to[-1])
    edges = values[order][cuts]
    return np.searchsorted(np.unique(edges), values, side="right")
