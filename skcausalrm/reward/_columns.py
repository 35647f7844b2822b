"""Per-row extras of a log, checked once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._utils._clusters import id_array, user_codes
from .._utils._validation import (
    Feedback,
    check_asked,
    check_column,
    check_propensity,
    check_verified,
    check_weights,
)
from .._utils._warnings import warn
from ..exceptions import AssumptionWarning, UnusedParameterError

__all__ = ["RowColumns", "check_columns", "group_hashes"]

# Share of asked rows without an answer above which a warning is raised.
_NONRESPONSE = 0.2


class RowColumns(NamedTuple):
    """Checked per-row extras of n rows, None where not given.

    Attributes
    ----------
    groups : array-like of shape (n,)
        Checked where folds are made.
    users : ndarray of int, shape (n,)
        Codes of the users: clusters of standard errors.
    sample_weight : ndarray of shape (n,)
    asked : ndarray of bool, shape (n,)
    verified : ndarray of shape (n,)
        0, 1, NaN where nobody has judged.
    propensity : ndarray of shape (n,)
        Known propensities, in (0, 1].
    judge_score : ndarray of shape (n,)
    """

    groups: NDArray | None = None
    users: NDArray | None = None
    sample_weight: NDArray[np.float64] | None = None
    asked: NDArray[np.bool_] | None = None
    verified: NDArray[np.float64] | None = None
    propensity: NDArray[np.float64] | None = None
    judge_score: NDArray[np.float64] | None = None

    def weighted(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return `weight` times the sample weights, shape (n,)."""
        return weight if self.sample_weight is None else weight * self.sample_weight


def check_columns(
    X,
    feedback: Feedback,
    groups=None,
    users=None,
    sample_weight=None,
    asked=None,
    verified=None,
    propensity=None,
    judge_score=None,
) -> RowColumns:
    """Check the per-row extras that the user gave.

    Raises
    ------
    FeedbackError, InvalidInputError
        If a column has another length, or a value it cannot have.
    UnusedParameterError
        If rows are verified and the feedback is continuous.

    Warns
    -----
    AssumptionWarning
        If over a fifth of the asked rows have no answer (code "asked-nonresponse").
    """
    n_rows = len(X)
    columns = RowColumns(
        groups,
        None if users is None else user_codes(users, n_rows),
        check_weights(sample_weight, X),
        check_asked(asked, n_rows),
        check_verified(verified, n_rows),
        None if propensity is None else check_propensity(propensity, n_rows),
        None if judge_score is None else check_column(judge_score, "judge_score", n_rows),
    )
    if columns.verified is not None and not feedback.binary:
        raise UnusedParameterError(
            "verified holds judgements of good and bad, but the feedback is continuous: binarise "
            "the feedback, or leave verified out."
        )
    if columns.asked is not None:
        silent = int(np.count_nonzero(columns.asked & ~feedback.observed))
        if silent > _NONRESPONSE * columns.asked.sum():
            warn(
                f"{silent} of {columns.asked.sum()} asked rows have no answer, so the answers are "
                f"self-selected again: if in doubt, leave asked out, so that they count as "
                f"volunteered.",
                AssumptionWarning,
                "asked-nonresponse",
            )
    return columns


def group_hashes(groups) -> NDArray[np.uint64]:
    """Return sorted 64-bit hashes of the distinct group ids; 1.0 and 1 hash alike."""
    import pandas as pd

    ids = pd.unique(pd.Series(id_array(groups)).dropna())
    whole = [isinstance(v, (float, np.floating)) and float(v).is_integer() for v in ids]
    names = [str(int(v) if as_int else v) for v, as_int in zip(ids, whole, strict=True)]
    return np.sort(pd.util.hash_array(np.array(names, dtype=object)))
