"""Propensities behind the Displays of overlap, weights and balance."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import column_or_1d

from .._utils._columns import check_columns
from .._utils._validation import (
    check_embeddings,
    check_feedback,
    check_propensity,
    check_weights,
    is_missing,
)
from ..exceptions import FeedbackError, InvalidInputError
from ..reward._nuisances import FittedNuisances, name_fitted, predicted_propensity
from ._display import last_step

Array = NDArray[np.float64]


class Propensities(NamedTuple):
    """Propensities of all rows of a log, and which rows are rated.

    Attributes
    ----------
    values : ndarray of shape (n,)
    rated : ndarray of bool, shape (n,)
    sample_weight : ndarray of shape (n,) or None
    """

    values: Array
    rated: NDArray[np.bool_]
    sample_weight: Array | None

    @property
    def row_weight(self) -> Array:
        """Sample weights of all rows, ones where none were given."""
        return np.ones(len(self.values)) if self.sample_weight is None else self.sample_weight

    @property
    def weight(self) -> Array:
        """Inverse weights of the rated rows, shape (n_rated,)."""
        return self.row_weight[self.rated] / self.values[self.rated]


def check_propensities(propensity, y, sample_weight) -> Propensities:
    """Return given propensities with the rated rows.

    Raises
    ------
    FeedbackError
        If no row is rated.
    InvalidInputError
        If a propensity lies outside (0, 1].
    """
    rated = ~is_missing(column_or_1d(y))
    e = check_propensity(propensity, len(rated))
    weight = check_weights(sample_weight, e)
    if not rated.any():
        raise FeedbackError(
            f"None of the {len(rated)} rows has feedback, so there is no rated row to show: pass "
            f"the feedback as y, NaN where there is none."
        )
    return Propensities(e, rated, weight)


def predict_propensities(estimator: Any, X, y, *, asked, propensity, display: str) -> Array:
    """Return the propensities of rows by a fitted model, shape (n,).

    Parameters
    ----------
    estimator : PropensityEstimator, CausalRewardRegressor or CausalRewardClassifier
        Fitted; a reward by "dr", "ips" or "snips". Of a Pipeline the last step is used.
    X : array-like of shape (n, d)
    y : array-like of shape (n,)
        Feedback, NaN where there is none.
    asked, propensity : array-like of shape (n,) or None
        As in the reward's `fit`.
    display : str
        Class of the Display, for the message.

    Raises
    ------
    InvalidInputError
        If the model has no propensities.
    """
    fitted = last_step(estimator)
    X = check_embeddings(X)
    nuisances = getattr(fitted, "nuisances_", None)
    e = None
    if isinstance(nuisances, FittedNuisances):
        columns = check_columns(X, asked=asked, propensity=propensity)
        rated = np.where(is_missing(column_or_1d(y)), np.nan, 1.0)  # by any labels
        e = nuisances.propensity(X, check_feedback(X, rated), columns)
    elif hasattr(fitted, "predict_propensity"):
        e = predicted_propensity(fitted, X)
    if e is None:
        raise InvalidInputError(
            f"{display} needs propensities, and a {name_fitted(fitted)} has none: fit "
            f"PropensityEstimator() on X and on which rows are rated."
        )
    return e
