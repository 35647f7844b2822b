"""Per-row extras of a log, checked once."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..exceptions import InvalidInputError
from ._clusters import user_codes
from ._signals import Signals, check_signals
from ._validation import (
    check_asked,
    check_column,
    check_instruments,
    check_propensity,
    check_verified,
    check_weights,
)


class RowColumns(NamedTuple):
    """Checked per-row extras of n rows, None where not given.

    Attributes
    ----------
    groups : array-like of shape (n,)
        Checked where folds are made.
    users : ndarray of int, shape (n,)
        Codes of the users: clusters of standard errors, and an instrument of the selection
        likelihood.
    sample_weight : ndarray of shape (n,)
    asked : ndarray of bool, shape (n,)
    verified : ndarray of shape (n,)
        0, 1, NaN where nobody has judged.
    propensity : ndarray of shape (n,)
        Known propensities, in (0, 1].
    judge_score : ndarray of shape (n,)
    instruments : ndarray of shape (n, m)
        What moves who rates and not how good the answer is; NaN where unknown.
    signals : Signals
        What else shows how good the answer is.
    """

    groups: NDArray | None = None
    users: NDArray | None = None
    sample_weight: NDArray[np.float64] | None = None
    asked: NDArray[np.bool_] | None = None
    verified: NDArray[np.float64] | None = None
    propensity: NDArray[np.float64] | None = None
    judge_score: NDArray[np.float64] | None = None
    instruments: NDArray[np.float64] | None = None
    signals: Signals | None = None

    def weighted(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return `weight` times the sample weights, shape (n,)."""
        return weight if self.sample_weight is None else weight * self.sample_weight

    def unasked(self, n_rows: int) -> NDArray[np.bool_]:
        """Return True in rows that nobody asked, rated or not, shape (n,)."""
        return np.ones(n_rows, dtype=bool) if self.asked is None else ~self.asked

    @property
    def fit_params(self) -> dict[str, NDArray]:
        """Arguments of another estimator's `fit`: the sample weights, where there are any."""
        return {} if self.sample_weight is None else {"sample_weight": self.sample_weight}


def check_columns(
    X,
    groups=None,
    users=None,
    sample_weight=None,
    asked=None,
    verified=None,
    propensity=None,
    judge_score=None,
    instruments=None,
    signals=None,
    signal_directions=None,
) -> RowColumns:
    """Check the per-row extras that the user gave.

    Raises
    ------
    FeedbackError, GroupsError, InvalidInputError
        If a column has another length, or a value it cannot have.
    """
    n_rows = len(X)
    if signal_directions is not None and signals is None:
        raise InvalidInputError(
            "signal_directions is given without signals: pass the signals, or leave it out."
        )
    return RowColumns(
        groups,
        None if users is None else user_codes(users, n_rows),
        check_weights(sample_weight, X),
        check_asked(asked, n_rows),
        check_verified(verified, n_rows),
        None if propensity is None else check_propensity(propensity, n_rows),
        None if judge_score is None else check_column(judge_score, "judge_score", n_rows),
        None if instruments is None else check_instruments(instruments, n_rows),
        None if signals is None else check_signals(signals, signal_directions, n_rows),
    )
