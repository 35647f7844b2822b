"""What the checks of `diagnose` look at, computed where the first of them needs it."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._utils._clusters import Clusters
from .._utils._columns import RowColumns
from .._utils._validation import Feedback
from ..exceptions import SkcausalrmWarning
from ..nuisances._propensity import PropensityEstimator
from ..reward._advice import Evidence
from ..reward._evidence import fit_evidence, held_out_rewards
from ..reward._nuisances import find_selection_model, name_fitted, was_fitted_on
from ..selection._model import SelectionModel

# Least propensity of the estimate by which overlap is judged: only what no row has is cut off.
_LEAST_PROPENSITY = 1e-4


class NotCheckedError(Exception):
    """A check that cannot be made here; its message is the reason."""


class Outcome(NamedTuple):
    """What a check has measured.

    Attributes
    ----------
    found : bool
    text : str
    figures : dict
    severity : str or None
        None is that of the catalogue.
    """

    found: bool
    text: str
    figures: dict[str, Any]
    severity: str | None = None


@dataclass
class Case:
    """A log, and a fitted reward or none.

    Attributes
    ----------
    model : CausalRewardRegressor, CausalRewardClassifier, SelectionModel or None
    X : ndarray of shape (n, d)
        Without columns where there is no model.
    feedback : Feedback
        No row needs to be rated.
    columns : RowColumns
    clusters : Clusters
        Codes of groups and users.
    times : ndarray of int or float, shape (n,), or None
    answers : ndarray of int, shape (n,), or None
        Codes of equal answers.
    n_shortened : int or None
    random_state : int, RandomState or None
    """

    model: Any
    X: NDArray
    feedback: Feedback
    columns: RowColumns
    clusters: Clusters
    times: NDArray | None
    answers: NDArray | None
    n_shortened: int | None
    random_state: Any

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.feedback.values)

    @property
    def method(self) -> str:
        """Name of the model's correction.

        Raises
        ------
        NotCheckedError
            If there is no model.
        """
        self.need_model()
        return "selection" if self.selection is not None else self.model.method_

    @cached_property
    def selection(self) -> SelectionModel | None:
        """The model's selection model."""
        return find_selection_model(self.model)

    @cached_property
    def is_training(self) -> bool:
        """Whether these are the rows that the model was fitted on."""
        return was_fitted_on(self.model, self.feedback.values)

    @cached_property
    def used_verified(self) -> bool:
        """Whether the model was fitted with verified rows."""
        if self.selection is not None:
            return "verified" in self.selection.level_source_
        return self.model.recalibration_ is not None

    def need_model(self) -> None:
        """Raise `NotCheckedError` if there is no model."""
        if self.model is None:
            raise NotCheckedError("no model is given.")

    def need_training(self) -> None:
        """Raise `NotCheckedError` unless the model was fitted on these rows."""
        self.need_model()
        if not self.is_training:
            raise NotCheckedError("the model was fitted on other rows.")

    def need_binary(self) -> None:
        """Raise `NotCheckedError` if the feedback is graded."""
        if not self.feedback.binary:
            raise NotCheckedError("the feedback is not 0/1.")

    def need_rated(self) -> None:
        """Raise `NotCheckedError` if no row is rated."""
        if not self.feedback.observed.any():
            raise NotCheckedError("no row is rated.")

    def need_unrated(self) -> None:
        """Raise `NotCheckedError` unless some rows are rated and some are not."""
        self.need_rated()
        if self.feedback.observed.all():
            raise NotCheckedError("every row is rated.")

    def need_verified(self) -> NDArray[np.float64]:
        """Return the verified labels, or raise `NotCheckedError` if there are none."""
        if self.columns.verified is None:
            raise NotCheckedError("no row is verified.")
        return self.columns.verified

    @cached_property
    def evidence(self) -> Evidence:
        """What the advice rests on."""
        self.need_training()
        self.need_binary()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SkcausalrmWarning)  # those of the fit
            ranking = None if self.selection is not None else self.held_out
            return fit_evidence(self.model, self.X, self.feedback, self.columns, ranking)

    @cached_property
    def held_out(self) -> NDArray[np.float64]:
        """Out-of-fold predictions of the training rows by the head of a reward."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SkcausalrmWarning)  # those of the fit
            return held_out_rewards(self.model, self.X, self.feedback, self.columns)

    @cached_property
    def reward(self) -> NDArray[np.float64]:
        """Rewards of the rows, out of fold on the training rows, shape (n,)."""
        self.need_model()
        if self.is_training:
            if self.selection is not None:
                return self.selection.oof_probability_
            reward = np.clip(self.held_out, 0, 1) if self.model.binary_ else self.held_out
            recalibration = self.model.recalibration_
            return reward if recalibration is None else recalibration(reward)
        if hasattr(self.model, "predict_proba"):
            return self.model.predict_proba(self.X)[:, 1]
        return self.model.predict(self.X)

    @cached_property
    def propensity(self) -> NDArray[np.float64]:
        """P(rated given x) of the rows that nobody asked, out of fold, hardly clipped."""
        unasked = self.columns.unasked(self.n)
        if self.columns.propensity is not None:
            return self.columns.propensity[unasked]
        rated = self.feedback.observed[unasked]
        if rated.all() or not rated.any():
            raise NotCheckedError("all rows that nobody asked are rated, or none is.")
        groups = self.clusters[0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SkcausalrmWarning)  # the check itself tells
            estimator = PropensityEstimator(
                clipping_threshold=_LEAST_PROPENSITY, random_state=self.random_state
            ).fit(
                self.X[unasked],
                rated,
                groups=None if groups is None else groups[unasked],
                sample_weight=_at(self.columns.sample_weight, unasked),
            )
        return estimator.oof_propensity_

    def name(self) -> str:
        """Return the class of the model and its method."""
        return name_fitted(self.model)


def _at(column: NDArray | None, rows: NDArray) -> NDArray | None:
    return None if column is None else column[rows]
