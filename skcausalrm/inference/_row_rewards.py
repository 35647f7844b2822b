"""What a fitted model says of each row: draws of its reward, and proxies of its label."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from .._utils._columns import RowColumns, check_columns
from .._utils._hashing import feedback_hash
from .._utils._validation import check_new_rows, decode_labels
from ..exceptions import FeedbackError, InvalidInputError
from ..reward._nuisances import find_selection_model, name_fitted
from ..selection._draws import N_DRAWS, outcome_draws
from ..selection._model import SelectionModel


class RowRewards(NamedTuple):
    """Rewards of n rows.

    Attributes
    ----------
    y : ndarray of shape (n,)
        Feedback 0, 1 and NaN.
    draws : ndarray of shape (n, m)
        Equally likely pseudo-outcomes.
    proxies : ndarray of shape (n, p)
        Reward, posterior where there is feedback, and the judge's score where given.
    """

    y: NDArray[np.float64]
    draws: NDArray[np.float64]
    proxies: NDArray[np.float64]


def read_rewards(model: Any, X, y, columns: RowColumns, rng) -> RowRewards:
    """Return what a model says of rows, out of fold where it was fitted on them.

    Parameters
    ----------
    model : SelectionModel, CausalRewardRegressor or CausalRewardClassifier
    X : array-like of shape (n, d)
    y : array-like of shape (n,) or None
        None: nobody could rate the rows.
    columns : RowColumns
    rng : RandomState

    Raises
    ------
    InvalidInputError
        If the model is not one by "selection".
    FeedbackError
        If no row is rated, or rows were verified that the model was fitted on.
    """
    check_is_fitted(model)
    selection = _selection_of(model)
    X = check_new_rows(model, X)
    if y is None:
        z = selection.head_.linear_predictors(X)
        draws = outcome_draws(selection, None, columns, N_DRAWS, rng, new=z)
        proxies = [selection.predict_proba(X)[:, 1]]
        values = np.full(len(X), np.nan)
    else:
        values = decode_labels(y, getattr(model, "classes_", selection.classes_), n_rows=len(X))
        if np.isnan(values).all():
            raise FeedbackError(
                f"None of the {len(values)} rows is rated, so the log says nothing of them: leave "
                f"y out where nobody could rate."
            )
        new = None
        if _was_fitted_on(selection, values):
            _refuse_used_labels(selection, columns)
            proxies = [selection.oof_probability_, selection.oof_posterior_]
        else:
            new = selection.head_.linear_predictors(X)
            labels = y if model is selection else values
            proxies = [
                selection.predict_proba(X)[:, 1],
                selection.posterior(X, labels, asked=columns.asked),
            ]
        draws = outcome_draws(selection, values, columns, N_DRAWS, rng, new=new)
    if columns.judge_score is not None:
        proxies.append(columns.judge_score)
    return RowRewards(values, draws, np.column_stack(proxies))


def out_of_fold_rewards(model: Any, X, y, verified) -> NDArray[np.float64]:
    """Return rewards of rows, (n,), out of fold where a selection model was fitted on them.

    Parameters
    ----------
    model : object with ``predict`` or ``predict_proba``
    X : array-like of n rows
    y : array-like of shape (n,) or None
    verified : array-like of shape (n,)

    Raises
    ------
    FeedbackError
        If the model was fitted on these rows and on their labels.
    """
    selection = find_selection_model(model)
    if y is not None and selection is not None:
        values = decode_labels(y, getattr(model, "classes_", selection.classes_), n_rows=len(X))
        if _was_fitted_on(selection, values):
            columns = check_columns(check_new_rows(model, X), verified=verified)
            _refuse_used_labels(selection, columns)
            if getattr(model, "estimator_", selection.head_) is selection.head_:
                return selection.oof_probability_
    if hasattr(model, "predict_proba"):
        return model.predict_proba(X)[:, 1]
    return np.asarray(model.predict(X), dtype=np.float64)


def _selection_of(model: Any) -> SelectionModel:
    found = find_selection_model(model)
    if found is None:
        raise InvalidInputError(
            f"The model is a {name_fitted(model)}, which does not say what the log leaves "
            f"open: fit SelectionModel() or CausalRewardRegressor('selection') on the log."
        )
    return found


def _was_fitted_on(selection: SelectionModel, values: NDArray) -> bool:
    n_fitted = len(selection.oof_probability_)
    return n_fitted == len(values) and selection.feedback_hash_ == feedback_hash(values)


def _refuse_used_labels(selection: SelectionModel, columns: RowColumns) -> None:
    if columns.verified is not None and "verified" in selection.level_source_:
        raise FeedbackError(
            f"The model was fitted on the {np.count_nonzero(~np.isnan(columns.verified))} verified "
            f"rows that are given, so they would count twice: fit it without verified."
        )
