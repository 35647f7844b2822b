"""Scores on rows that were asked for feedback at random."""

import numpy as np
from sklearn.utils import column_or_1d

from .._utils._clusters import id_array
from .._utils._validation import check_asked, check_column
from .._utils._warnings import warn
from ..exceptions import AssumptionWarning, FeedbackError
from ..nuisances._recipes import correct_labels
from ._metric import check_metric


def asked_score(
    metric,
    y,
    prediction,
    asked,
    *,
    false_positive_rate,
    false_negative_rate,
    groups=None,
    users=None,
    sample_weight=None,
    return_std=False,
) -> float | tuple[float, float]:
    """Score on the rows that were asked at random, without a model of selection.

    Only flips need a correction: z is ``(y - fpr) / (1 - fpr - fnr)`` on asked rows with an
    answer. All other rows are left out.

    Parameters
    ----------
    metric : {"r2", "mse", "log_loss", "brier", "roc_auc", "within_roc_auc", "accuracy"}
        The score, as the function of that name defines it: losses are not negated.
    y : array-like of shape (n,)
        Feedback: 0, 1, or NaN where there is none.
    prediction : array-like of shape (n,)
        Predicted P(r=1 given x); for "roc_auc" and "within_roc_auc" any score that
        ranks.
    asked : array-like of bool, shape (n,)
        Rows drawn at random whose feedback was asked for, not volunteered.
    false_positive_rate, false_negative_rate : float
        P(y=1 given r=0) and P(y=0 given r=1); 0 and 0 where answers are trusted.
    groups, users, sample_weight : array-like of shape (n,), default=None
        As in `debiased_mse`.
    return_std : bool, default=False
        Also return the standard error.

    Returns
    -------
    score : float
        Estimated score on clean labels.
    std : float
        Standard error, with flip rates treated as known; only with ``return_std=True``.

    Raises
    ------
    FeedbackError
        If no asked row has an answer, or an answer is neither 0 nor 1.
    InvalidInputError
        If the rates are not probabilities with a sum below 1, and as in `debiased_mse`.
    GroupsError
        As in `debiased_mse`.
    ValueError
        If `metric` is unknown.

    Warns
    -----
    AssumptionWarning
        If over a fifth of the asked rows have no answer.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.metrics import asked_score
    >>> y, asked = [1, 0, np.nan, 1, 1, 0], [True, True, False, True, False, True]
    >>> f = [0.9, 0.2, 0.5, 0.7, 0.6, 0.4]
    >>> round(asked_score("mse", y, f, asked, false_positive_rate=0, false_negative_rate=0), 3)
    0.075
    """
    function = check_metric(metric)
    prediction = column_or_1d(prediction)
    n_rows = len(prediction)
    y = check_column(y, "y", n_rows, allow_nan=True)
    found = check_asked(asked, n_rows)
    asked = np.zeros(n_rows, dtype=bool) if found is None else found
    n_asked, answered = int(asked.sum()), asked & ~np.isnan(y)
    if not answered.any():
        raise FeedbackError(
            f"None of the {n_asked} asked rows (of {n_rows}) has an answer in y: at least some "
            f"must hold a 0 or a 1."
        )
    if other := int(np.count_nonzero((y[answered] != 0) & (y[answered] != 1))):
        raise FeedbackError(
            f"y is neither 0 nor 1 in {other} of {answered.sum()} asked rows with an answer: "
            f"binarise it."
        )
    silent = n_asked - int(answered.sum())
    if silent > n_asked / 5:
        warn(
            f"{silent} of {n_asked} asked rows have no answer, so the answers are self-selected: "
            f"the score holds for rows with an answer, not for all asked rows.",
            AssumptionWarning,
            "asked-nonresponse",
        )
    return function(
        correct_labels(y[answered], (false_positive_rate, false_negative_rate)),
        prediction[answered],
        groups=None if groups is None else id_array(groups)[answered],
        users=None if users is None else id_array(users)[answered],
        sample_weight=None if sample_weight is None else np.asarray(sample_weight)[answered],
        return_std=return_std,
    )
