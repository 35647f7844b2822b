"""Base of the models that corrections rest on."""

import numpy as np
from numpy.typing import NDArray

from .._utils._binary_classifier import BinaryClassifier
from .._utils._columns import RowColumns, check_columns
from .._utils._validation import check_embeddings, encode_labels
from ..model_selection._cross_fitting import Folds, make_folds


class NuisanceClassifier(BinaryClassifier):
    """Cross-fitted classifier of two classes, fitted on a log or on rows checked before.

    A subclass has `cv`, `random_state` and ``_fit(X, labels, columns, folds, **shared)``.
    """

    def fit_checked(
        self,
        X: NDArray,
        labels: NDArray[np.float64],
        columns: RowColumns,
        folds: Folds | None = None,
        **shared,
    ):
        """Fit on rows that the caller has checked.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        labels : ndarray of shape (n,)
            0, 1, NaN where there is none.
        columns : RowColumns
        folds : Folds or None
            Shared with other estimators; None draws them by `cv`.
        **shared : dict
            Further results that the caller has already, such as moments.

        Returns
        -------
        self
            Fitted estimator.
        """
        self._validate_params()
        self.classes_, self.n_features_in_ = np.array([0.0, 1.0]), X.shape[1]
        if folds is None:
            folds = self._draw_folds(X, labels, columns)
        return self._fit(X, labels, columns, folds, **shared)

    def _check_and_fit(self, X, y, *, one_class: bool = False, **columns):
        """Check what `fit` was given, and fit."""
        self._validate_params()
        X = check_embeddings(X, self, ensure_min_samples=2)
        self.classes_, labels = encode_labels(X, y, one_class=one_class)
        checked = check_columns(X, **columns)
        return self._fit(X, labels, checked, self._draw_folds(X, labels, checked))

    def _draw_folds(self, X, labels, columns: RowColumns) -> Folds:
        return make_folds(X, labels, columns.groups, self.cv, self.random_state)
