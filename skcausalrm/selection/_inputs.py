"""What the likelihood reads of each row: linear predictors, outcome, habit and signals."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._utils._columns import RowColumns
from ..model_selection._cross_fitting import Folds
from ._counts import CELLS, Counts, Outcome, count_outcomes, outcomes_of_rows
from ._habit import Habit, fit_habit
from ._linear_predictors import LinearPredictors, fit_linear_predictors
from ._priors import Knowledge
from ._sharpening import sharpen
from ._signals import RowSignals, take_signals


class Inputs(NamedTuple):
    """What the likelihood reads of the training rows.

    Attributes
    ----------
    predictors : LinearPredictors
    outcome : ndarray of int, shape (n,)
    merged : list of Outcome
        As in `outcomes_of_rows`: outcomes read as "rated" because there is one kind only.
    columns : RowColumns
    habit : Habit or None
    signals : RowSignals or None
    sources : dict of str to str
        "used", or why not, for what was given of "users", "instruments", "signals" and
        "judge_score".
    """

    predictors: LinearPredictors
    outcome: NDArray[np.intp]
    merged: list[Outcome]
    columns: RowColumns
    habit: Habit | None
    signals: RowSignals | None
    sources: dict[str, str]

    @property
    def habits(self) -> NDArray[np.float64] | None:
        """Habits of the rows, shape (n,)."""
        return None if self.habit is None else self.habit.values

    @property
    def shown(self) -> NDArray[np.float64] | None:
        """Signals of the rows, shape (n, n_signals)."""
        return None if self.signals is None else self.signals.values

    def to_counts(
        self, likelihood_power: float, *, verified: bool = True, n_cells: int | None = CELLS
    ) -> Counts:
        """Return the rows' `Counts`, with or without verified labels."""
        return count_outcomes(
            self.predictors.z,
            self.outcome,
            self.columns.verified if verified else None,
            weight=self.columns.sample_weight,
            likelihood_power=likelihood_power,
            n_cells=n_cells,
            habit=self.habits,
            row_power=None if self.habit is None else self.habit.power,
            signals=self.shown,
            facts=None if self.signals is None else self.signals.facts,
        )

    def complete(self, knowledge: Knowledge) -> Knowledge:
        """Return knowledge with the meaning of a rating where volunteers leave one kind only."""
        return knowledge._replace(rated_is_praise=Outcome.DISLIKED not in self.merged)


def fit_inputs(
    X: NDArray,
    y: NDArray,
    columns: RowColumns,
    folds: Folds,
    knowledge: Knowledge,
    *,
    likelihood_power: float,
    random_state: int | np.random.RandomState | None,
) -> Inputs:
    """Fit linear predictors and habits, and sharpen the first predictor where there are signals.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
        0, 1, NaN where unrated.
    columns : RowColumns
    folds : Folds
    knowledge : Knowledge
    likelihood_power : float
    random_state : int, RandomState instance or None
        Draws the rows on which the predictors' slope is measured.

    Returns
    -------
    Inputs
    """
    signals, used = take_signals(y, columns)
    predictors, shared = fit_linear_predictors(
        X, y, columns, folds, random_state, keeps_moments=signals is not None
    )
    habit, sources = fit_habit(predictors.z, y, columns, folds)
    seen = np.bincount(
        outcomes_of_rows(y, columns.asked), columns.sample_weight, minlength=len(Outcome)
    )
    pair = Outcome.DISLIKED, Outcome.LIKED
    merged = [kind for kind, other in (pair, pair[::-1]) if seen[kind] and not seen[other]]
    outcome = outcomes_of_rows(y, columns.asked, merged)
    inputs = Inputs(predictors, outcome, merged, columns, habit, signals, sources | used)
    if signals is None:
        return inputs
    sharper = sharpen(
        predictors,
        X,
        inputs.to_counts(likelihood_power),
        inputs.to_counts(1.0, n_cells=None),
        inputs.complete(knowledge),
        folds,
        columns.weighted(np.ones(len(X))),
        shared,
    )
    return inputs._replace(predictors=sharper)
