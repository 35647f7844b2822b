"""`diagnose`: every check of a reward and its log, in one call."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import column_or_1d

from .._utils._clusters import cluster_codes, id_array, user_codes
from .._utils._columns import check_columns
from .._utils._validation import (
    Feedback,
    check_column,
    check_embeddings,
    check_new_rows,
    decode_labels,
    is_missing,
)
from ..exceptions import FeedbackError, GroupsError, InvalidInputError
from ..model_selection._cross_fitting import equal_rows
from ..reward._nuisances import FittedNuisances, find_selection_model, name_fitted
from . import _log_checks as of_log
from . import _model_checks as of_model
from ._case import Case, NotCheckedError, Outcome
from ._catalogue import CATALOGUE, page_of
from ._display import last_step
from ._findings import Finding, Findings

_CHECKS: dict[str, Callable[[Case], Outcome]] = {
    "CRM001": of_model.check_overlap,
    "CRM002": of_model.check_anchors,
    "CRM003": of_model.check_selection,
    "CRM004": of_model.check_effective_sample,
    "CRM005": of_model.check_shared_groups,
    "CRM006": of_model.check_flips,
    "CRM007": of_log.check_drift,
    "CRM008": of_log.check_contradictions,
    "CRM009": of_log.check_users,
    "CRM010": of_log.check_folds,
    "CRM011": of_model.check_ranking,
    "CRM012": of_log.check_shortened,
    "CRM013": of_model.check_level,
    "CRM014": of_log.check_judge,
    "CRM015": of_model.check_level_by_verified,
    "CRM016": of_model.check_level_is_told,
    "CRM017": of_log.check_classes,
    "CRM018": of_log.check_thumbs,
}


def diagnose(
    model,
    X,
    y,
    *,
    groups=None,
    users=None,
    sample_weight=None,
    asked=None,
    verified=None,
    propensity=None,
    judge_score=None,
    times=None,
    answers=None,
    n_shortened=None,
    random_state=0,
) -> Findings:
    """Check a fitted reward and its log for all that would make its answer wrong.

    Parameters
    ----------
    model : CausalRewardRegressor, CausalRewardClassifier, SelectionModel, Pipeline or None
        Fitted by any method; of a Pipeline the last step is used, and X is as that step sees it.
        None checks the log alone.
    X : array-like of shape (n, d) or None
        Embeddings: those that the model was fitted on, or new ones. None without a model.
    y : array-like of shape (n,)
        Feedback, NaN where there is none.
    groups, users : array-like of shape (n,), default=None
        Per-row columns, as in `CausalRewardRegressor.fit`.
    sample_weight : array-like of shape (n,), default=None
        As in `CausalRewardRegressor.fit`. It counts in the propensities estimated for CRM001 and
        CRM003, the out-of-fold rewards of training rows in CRM003, CRM007 and CRM015, the weights
        of CRM004, the rankings of CRM011 and the sources of CRM016. Shares, means and rates are of
        rows, whatever their weights.
    asked : array-like of shape (n,), default=None
        As in `CausalRewardRegressor.fit`.
    verified : array-like of shape (n,), default=None
        1 or 0 where a careful person has judged the answer, NaN elsewhere; whether the model was
        fitted with them or not.
    propensity, judge_score : array-like of shape (n,), default=None
        As in `CausalRewardRegressor.fit`.
    times : array-like of shape (n,), default=None
        When each row was logged: dates, or numbers; missing where unknown.
    answers : array-like of shape (n,), default=None
        What tells equal answers apart, such as their texts. None: equal rows of X.
    n_shortened : int, default=None
        Number of answers that the encoder has shortened (`truncated_answer_count_` of
        `ConversationEncoder`). None: that of a Pipeline's encoder, if it has one.
    random_state : int, RandomState or None, default=0
        Seed of the folds of propensities that are estimated here.

    Returns
    -------
    Findings
        What was found, the most serious first; also what was clear, and what could not be checked
        and why.

    Raises
    ------
    InvalidInputError
        If the model is no reward of this package, X is missing for it, or a column holds what it
        cannot hold.
    FeedbackError, GroupsError
        If a column has another length than y or holds what is no number, or y is empty or holds
        labels that the model has not seen.

    See Also
    --------
    skcausalrm.reward.selection_report : The numbers behind ranking and level.

    Notes
    -----
    Checks use what the fit has computed and the calculations behind its warnings and the advice of
    `selection_report`. On the training rows rewards and rankings are out of fold.

    Examples
    --------
    >>> from skcausalrm import CausalRewardRegressor, diagnose
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> log = make_observational_feedback(4000, 8, selection="reward", n_verified=100,
    ...                                   selection_strength=0.2, random_state=0)
    >>> model = CausalRewardRegressor(random_state=0).fit(log.X, log.y, verified=log.verified)
    >>> findings = diagnose(model, log.X, log.y, verified=log.verified)
    >>> [(finding.code, finding.title) for finding in findings]
    [('CRM003', 'selection on the preference')]
    >>> findings["CRM007"].status, findings["CRM007"].text
    ('not checked', 'no times are given.')
    """
    if model is not None:
        n_shortened = _shortened_by(model) if n_shortened is None else n_shortened
        model = _check_model(model)
        if X is None:
            raise InvalidInputError(
                "X is None: pass the embeddings, or model=None for a log alone."
            )
        X = check_new_rows(model, X)
    elif X is not None:
        X = check_embeddings(X)
    feedback = _check_feedback(model, y, None if X is None else len(X))
    n = len(feedback.values)
    codes = _answer_codes(answers, X, n)
    X = np.empty((n, 0)) if X is None else X
    columns = check_columns(
        X,
        groups,
        users,
        sample_weight,
        asked,
        verified,
        propensity,
        judge_score,
    )
    case = Case(
        model,
        X,
        feedback,
        columns,
        cluster_codes(groups, users, n),
        _check_times(times, n),
        codes,
        _check_count(n_shortened, n),
        random_state,
    )
    return Findings([_run(code, check, case) for code, check in _CHECKS.items()])


def _run(code: str, check: Callable[[Case], Outcome], case: Case) -> Finding:
    about = CATALOGUE[code]
    try:
        outcome = check(case)
    except (NotCheckedError, FeedbackError, GroupsError, InvalidInputError) as reason:
        status, outcome = "not checked", Outcome(False, str(reason), {})
    else:
        status = "found" if outcome.found else "clear"
    figures = {name: _plain(value) for name, value in outcome.figures.items()}
    return Finding(
        code,
        about.title,
        status,
        outcome.severity or about.severity,
        outcome.text,
        figures,
        about.why,
        about.what_to_do,
        page_of(code),
    )


def _plain(value: Any) -> Any:
    """Return a figure as JSON can hold it: None for what is not finite."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _check_model(model: Any) -> Any:
    fitted = last_step(model)
    is_reward = isinstance(getattr(fitted, "nuisances_", None), FittedNuisances)
    if not is_reward and find_selection_model(fitted) is None:
        raise InvalidInputError(
            f"A {name_fitted(fitted)} has nothing to check but its predictions: pass a "
            f"CausalRewardRegressor, CausalRewardClassifier or SelectionModel, or None."
        )
    return fitted


def _shortened_by(model: Any) -> int | None:
    """Return how many answers the encoder of a Pipeline has shortened, None where there is none."""
    steps = [step for _, step in getattr(model, "steps", [])]
    counts = [getattr(step, "truncated_answer_count_", None) for step in steps]
    return next((count for count in counts if count is not None), None)


def _check_feedback(model: Any, y, n_rows: int | None) -> Feedback:
    """Return feedback, which may be missing in every row."""
    if y is None:
        raise FeedbackError("y is None: pass the feedback, NaN where there is none.")
    values = column_or_1d(np.asarray(y, dtype=object) if isinstance(y, list) else y)
    n = len(values) if n_rows is None else n_rows
    classes = getattr(model, "classes_", None)
    if classes is not None:
        values = decode_labels(values, classes, n_rows=n)
    else:
        values = np.where(is_missing(values), np.nan, values)
        values = check_column(values, "y", n, allow_nan=True)
    observed = ~np.isnan(values)
    return Feedback(values, observed, bool(np.isin(values[observed], (0, 1)).all()))


def _check_times(times, n: int) -> NDArray[np.float64] | None:
    """Return times as numbers, NaN where unknown; None if all are."""
    if times is None:
        return None
    from ._periods import read_times

    column = read_times(times, n)
    values = column.to_numpy()
    if values.dtype != np.float64:
        values = np.where(column.isna(), np.nan, column.astype("int64").astype(float))
    values = np.where(np.isfinite(values), values, np.nan)
    return None if np.isnan(values).all() else values


def _answer_codes(answers, X: NDArray | None, n: int) -> NDArray[np.intp] | None:
    if answers is None:
        return None if X is None else equal_rows(X)
    ids = id_array(answers)
    if ids.shape != (n,):
        raise InvalidInputError(f"answers has shape {ids.shape} for {n} rows: pass one per row.")
    return user_codes(ids, n)  # a missing one is an answer of its own, as a user would be


def _check_count(count, n: int) -> int | None:
    if count is None:
        return None
    if not isinstance(count, (int, np.integer)) or not 0 <= count <= n:
        raise InvalidInputError(f"n_shortened is {count!r}, but must be a number from 0 to {n}.")
    return int(count)
