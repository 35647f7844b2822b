"""What a fitted reward says of rows, however its labels are named."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils._validation import check_new_rows
from ._head import reward_and_std
from ._support import LogSupport


class RowScores:
    """Scores of rows, for estimators with a fitted head and a `LogSupport`."""

    estimator_: Any
    log_support_: LogSupport

    def decision_function(self, X) -> NDArray[np.float64]:
        """Return the head's unbounded score, which ranks like the reward.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.

        Returns
        -------
        ndarray of shape (n,)
            Scores; a classifier's are positive where the positive class is likelier.
        """
        X = check_new_rows(self, X)
        if hasattr(self.estimator_, "decision_function"):
            return self.estimator_.decision_function(X)
        return np.asarray(self.estimator_.predict(X), dtype=np.float64)

    def support(self, X) -> NDArray[np.float64]:
        """Return how much of the log lies at least as far out as each row.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.

        Returns
        -------
        ndarray of shape (n,)
            Share of the training rows whose distance to the mean row, in standard deviations of the
            log, is as large or larger: 0.5 for a usual row, 0 for one beyond all of them, whose
            reward is a guess.
        """
        return self.log_support_(check_new_rows(self, X))

    def _reward(self, X, return_std: bool = False, pessimism: float | None = None):
        """Return reward and standard deviation (None unless asked for) of each row."""
        X = check_new_rows(self, X)
        return reward_and_std(self, X, return_std=return_std, pessimism=pessimism)
