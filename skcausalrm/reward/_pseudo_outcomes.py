"""Out-of-fold pseudo-outcomes: one target on which all candidates of a study are scored."""

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array

from .._utils._columns import check_columns
from .._utils._validation import FLOATS, check_feedback
from ..exceptions import FeedbackError, InvalidInputError, UnusedParameterError
from ..model_selection._cross_fitting import make_folds
from ..selection._model import SelectionModel
from ._corrections import Correction, method_name
from ._fit_nuisances import Defaults, fit_nuisances

_METHODS = ("dr", "ips", "snips", "selection")


def pseudo_outcomes(
    X,
    y,
    *,
    method="dr",
    groups=None,
    users=None,
    sample_weight=None,
    asked=None,
    verified=None,
    propensity=None,
    judge_score=None,
    cv=5,
    random_state=None,
    n_jobs=None,
) -> NDArray[np.float64]:
    """Return z with E[z given x] = P(r=1 given x) for every row, rated or not.

    Each row's z comes from nuisances that have not seen the row's group. Compute it once and use
    it for every candidate of a study: a candidate scored by its own nuisances has its own target.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Embeddings.
    y : array-like of shape (n,)
        Feedback 0 or 1, NaN where there is none.
    method : {"dr", "ips", "snips", "selection"}, correction or SelectionModel, default="dr"
        "dr": m + o (t - m)/e; "ips": o t/e; "snips": the same with weights of mean 1;
        "selection": P(r=1 given o, s, x) of `SelectionModel`, where selection may depend on the
        preference itself. Or an object, as in `CausalRewardRegressor`.
    groups, users, sample_weight, asked : array-like of shape (n,), default=None
        Per-row columns, as in `CausalRewardRegressor.fit`.
    verified : array-like of shape (n,), default=None
        Judged rows, for "selection" only, as in `CausalRewardRegressor.fit`. They identify the
        level of z. For a score that does not depend on z, keep some of them out and score them by
        themselves.
    propensity, judge_score : array-like of shape (n,), default=None
        Per-row columns, as in `CausalRewardRegressor.fit`.
    cv : int, splitter or None, default=5
        Folds of the nuisances.
    random_state : int, RandomState or None, default=None
        Seed of the folds and the bootstrap.
    n_jobs : int or None, default=None
        Folds fitted in parallel.

    Returns
    -------
    ndarray of shape (n,), float64
        Pseudo-outcomes; values may lie outside [0, 1].

    Raises
    ------
    FeedbackError
        If the feedback is not 0/1, or the method gives no pseudo-outcome for unrated rows.
    UnusedParameterError, InvalidInputError, GroupsError
        As in `CausalRewardRegressor.fit`.

    Notes
    -----
    Unbiased if flip rates are right, selection does not depend on the reward given x, and e (for
    "dr": e or m) is right; "selection" if its likelihood is right and the log or verified rows
    identify the base rate.

    Examples
    --------
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.metrics import pseudo_outcomes
    >>> log = make_observational_feedback(4000, 8, signal="strong", random_state=0)
    >>> pseudo_outcomes(log.X, log.y, random_state=0).shape
    (4000,)
    """
    if not isinstance(method, (str, Correction, SelectionModel)):
        raise InvalidInputError(
            f"method is {method!r}, but must be a name, a correction such as DoublyRobust(), or a "
            f"SelectionModel()."
        )
    name = method_name(method)
    if name not in _METHODS:
        raise FeedbackError(
            f"method={name!r} gives no pseudo-outcome for unrated rows: choose one of "
            f"{', '.join(map(repr, _METHODS))}."
        )
    X = check_array(X, dtype=FLOATS, ensure_min_samples=2, input_name="X")
    feedback = check_feedback(X, y)
    if not feedback.binary:
        raise FeedbackError(
            f"Pseudo-outcomes need 0/1 feedback, but {feedback.observed.sum()} rated rows hold "
            f"other values: binarise them."
        )
    columns = check_columns(
        X, groups, users, sample_weight, asked, verified, propensity, judge_score
    )
    if columns.verified is not None and name != "selection":
        raise UnusedParameterError(
            f"verified was given, but pseudo-outcomes of method={name!r} do not use it: leave it "
            f"out, or choose 'selection'."
        )
    folds = make_folds(X, feedback.values, groups, cv, random_state)
    fit = fit_nuisances(method, X, feedback, columns, folds, Defaults(cv, random_state, n_jobs))
    values, weight = fit.target
    if name in ("dr", "selection"):
        return values
    z = np.where(feedback.observed, values * weight, 0.0)
    return z * (len(z) / feedback.observed.sum()) if name == "snips" else z
