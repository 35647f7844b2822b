"""Fitted nuisances of one correction, and the target and weight of rows by them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils._columns import RowColumns
from .._utils._hashing import feedback_hash
from .._utils._validation import Feedback
from ..exceptions import InvalidInputError, UnusedParameterError
from ..nuisances._recipes import NEEDS, RECIPES, Target, methods_reading, unread_columns
from ..selection._model import SelectionModel


@dataclass(frozen=True)
class FittedNuisances:
    """Fitted nuisances of one correction; None where the correction has no such nuisance.

    Attributes
    ----------
    method : str
        Name of the recipe.
    rates : (float, float)
        False positive and false negative rate; zeros where flips are not corrected.
    propensity_estimator : PropensityEstimator, fitted classifier or None
        None too where propensities were known or all rows rated.
    noise_estimator : NoiseTransitionEstimator or None
    outcome_estimator : fitted regressor or None
    selection_model : SelectionModel or None
    volunteer_rate : float or None
        Propensity of rows that nobody asked, 0 or 1, where all of them or none were rated.
    """

    method: str
    rates: tuple[float, float] = (0.0, 0.0)
    propensity_estimator: Any = None
    noise_estimator: Any = None
    outcome_estimator: Any = None
    selection_model: Any = None
    volunteer_rate: float | None = None

    def target(self, X: NDArray, feedback: Feedback, columns: RowColumns) -> Target:
        """Return target and weight of new rows.

        Training rows have out-of-fold nuisances instead: `apply` takes those.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        feedback : Feedback
        columns : RowColumns

        Returns
        -------
        Target

        Raises
        ------
        UnusedParameterError
            If propensities are needed and not known, or given and not used.
        """
        e = self.propensity(X, feedback, columns)
        m = None
        if self.method == "selection":
            m = self.selection_model.posterior(X, feedback.values, asked=columns.asked)
        elif self.method == "dr":
            m = np.asarray(self.outcome_estimator.predict(X), dtype=np.float64)
        return self.apply(feedback, e, m)

    def apply(self, feedback: Feedback, e: NDArray | None, m: NDArray | None) -> Target:
        """Return target and weight of rows by the recipe, given e and m of each row.

        Parameters
        ----------
        feedback : Feedback
        e : ndarray of shape (n,) or None
            Propensities.
        m : ndarray of shape (n,) or None
            Predictions of the outcome model, or posteriors.

        Returns
        -------
        Target
        """
        return RECIPES[self.method](feedback.values, feedback.observed, e, m, self.rates)

    def propensity(self, X, feedback: Feedback, columns: RowColumns) -> NDArray | None:
        """Return P(rated) of new rows, shape (n,), or None if the recipe does not weight.

        Raises
        ------
        UnusedParameterError
            If propensities are needed and not known, or given and not used.
        """
        refuse_unread_columns(self.method, columns)
        if "propensity" not in NEEDS[self.method]:
            return None
        if columns.propensity is not None:
            e = columns.propensity
        elif self.propensity_estimator is not None:
            e = predicted_propensity(self.propensity_estimator, X)
        elif self.volunteer_rate is not None:
            e = np.full(len(X), self.volunteer_rate)
        elif feedback.observed.all():
            e = np.ones(len(feedback.observed))
        else:
            raise UnusedParameterError(
                "The model was fitted with known propensities or without unrated rows, so scoring "
                "a log with unrated rows needs propensity=."
            )
        return union_propensity(e, columns)


def refuse_unread_columns(method: str, columns: RowColumns) -> None:
    """Raise if a column was given that the method does not use.

    Raises
    ------
    UnusedParameterError
    """
    for column in unread_columns(method):
        if getattr(columns, column) is not None:
            raise UnusedParameterError(
                f"{column} was given, but method={method!r} does not use it: leave it out, or "
                f"choose one of {', '.join(map(repr, methods_reading(column)))}."
            )


def union_propensity(e: NDArray, columns: RowColumns) -> NDArray:
    """Return P(rated) where a random share of the rows is asked and the others volunteer."""
    if columns.asked is None:
        return e
    return e + (1 - e) * np.average(columns.asked, weights=columns.sample_weight)


def predicted_propensity(estimator: Any, X: NDArray) -> NDArray[np.float64]:
    """Return P(feedback given x) by a fitted estimator, shape (n,).

    Raises
    ------
    InvalidInputError
        If a propensity is 0 or not finite.
    """
    if hasattr(estimator, "predict_propensity"):
        e = estimator.predict_propensity(X)
    else:
        e = np.asarray(estimator.predict_proba(X), dtype=np.float64)[:, 1]
    return check_positive(e)


def check_positive(e: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return estimated propensities; raise if one is 0 or NaN.

    Raises
    ------
    InvalidInputError
    """
    if bad := int(np.count_nonzero(~(e > 0))):
        raise InvalidInputError(
            f"The estimated propensity is 0 in {bad} of {len(e)} rows, so no weight can stand for "
            f"rows like them: use PropensityEstimator with a clipping_threshold above 0."
        )
    return e


def find_selection_model(fitted: Any) -> SelectionModel | None:
    """Return a fitted selection model, itself or of a reward; None where there is none."""
    if isinstance(fitted, SelectionModel):
        return fitted
    return getattr(getattr(fitted, "nuisances_", None), "selection_model", None)


def was_fitted_on(fitted: Any, values: NDArray[np.float64]) -> bool:
    """Return whether a reward or a selection model was fitted on this feedback."""
    own = fitted if isinstance(fitted, SelectionModel) else fitted.nuisances_.selection_model
    n_fitted = len(fitted.target_) if own is None else len(own.oof_probability_)
    return n_fitted == len(values) and fitted.feedback_hash_ == feedback_hash(values)


def name_fitted(fitted: Any) -> str:
    """Return the class of a fitted estimator, and of a reward the method, for messages."""
    nuisances = getattr(fitted, "nuisances_", None)
    return type(fitted).__name__ + ("" if nuisances is None else f" fitted by {nuisances.method!r}")
