"""Out-of-fold pseudo-outcomes: the one target that all candidates of a study are scored on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array

from .._utils._validation import FLOATS, check_feedback
from ..exceptions import FeedbackError, UnusedParameterError
from ..model_selection._cross_fitting import make_folds
from ._nuisances import NuisanceSettings, check_columns, fit_nuisances

__all__ = ["pseudo_outcomes"]

_METHODS = ("dr", "ips", "snips", "selection")


def pseudo_outcomes(
    X,
    y,
    *,
    method="dr",
    groups=None,
    sample_weight=None,
    asked=None,
    verified=None,
    propensity=None,
    judge_score=None,
    propensity_estimator=None,
    noise_estimator=None,
    outcome_estimator=None,
    selection_model=None,
    cv=5,
    random_state=None,
    n_jobs=None,
) -> NDArray[np.float64]:
    """Return z with E[z given x] = P(r=1 given x) for every row, rated or not.

    Each row's z comes from nuisances that have not seen the row's group. Compute it once and
    give it to every candidate of a study: a candidate graded by its own nuisances sets its own
    exam.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Embeddings.
    y : array-like of shape (n,)
        Feedback 0 or 1, NaN where there is none.
    method : {"dr", "ips", "snips", "selection"}, default="dr"
        "dr": m + o (t - m)/e; "ips": o t/e; "snips": the same, the weights' mean brought to 1;
        "selection": P(r=1 given o, s, x) of `SelectionModel`, where selection may depend on the
        preference itself.
    groups, sample_weight, asked, propensity, judge_score
        Per-row columns, as in `CausalRewardRegressor.fit`.
    verified : array-like of shape (n,), default=None
        For "selection": judged rows, as in `CausalRewardRegressor.fit`. They settle the level of z;
        for a score that owes nothing to z, keep some out and score them by themselves.
    propensity_estimator, noise_estimator, outcome_estimator, selection_model, cv, \
random_state, n_jobs
        As in `CausalRewardRegressor`.

    Returns
    -------
    ndarray of shape (n,), float64
        Values may lie outside [0, 1].

    Raises
    ------
    FeedbackError
        If the feedback is not 0/1, or the method is not one of these.
    FeedbackError, FeedbackError, UnusedParameterError, InvalidInputError, GroupsError
        As in `CausalRewardRegressor.fit`.

    Notes
    -----
    Unbiased if flip rates are right, selection does not depend on the reward given x, and e (for
    "dr": e or m) is right; "selection" if its likelihood is, and the log or verified rows settle
    the base rate.

    Examples
    --------
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.metrics import pseudo_outcomes
    >>> log = make_observational_feedback(4000, 8, signal="strong", random_state=0)
    >>> pseudo_outcomes(log.X, log.y, random_state=0).shape
    (4000,)
    """
    if method not in _METHODS:
        raise FeedbackError(
            f"method={method!r} gives no pseudo-outcome for unrated rows: choose one of "
            f"{', '.join(map(repr, _METHODS))}."
        )
    X = check_array(X, dtype=FLOATS, ensure_min_samples=2, input_name="X")
    feedback = check_feedback(X, y)
    if not feedback.binary:
        raise FeedbackError(
            f"Pseudo-outcomes are of 0/1 feedback, but {feedback.observed.sum()} rated rows hold "
            f"other values: binarise them."
        )
    columns = check_columns(X, groups, sample_weight, asked, propensity, judge_score, verified)
    if columns.verified is not None and method != "selection":
        raise UnusedParameterError(
            f"verified was given, but pseudo-outcomes of method={method!r} do not use it: leave "
            f"it out, or choose 'selection'."
        )
    folds = make_folds(X, feedback.values, groups, cv, random_state)
    settings = NuisanceSettings(
        method,
        propensity_estimator,
        noise_estimator,
        outcome_estimator,
        selection_model,
        cv=cv,
        random_state=random_state,
        n_jobs=n_jobs,
    )
    found = fit_nuisances(settings, X, feedback, columns, folds)
    if method in ("dr", "selection"):
        return found.target
    z = np.where(feedback.observed, found.target * found.weight, 0.0)
    return z * (len(z) / feedback.observed.sum()) if method == "snips" else z
