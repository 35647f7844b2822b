"""Base of the classifiers of feedback: two classes, and NaN where there is none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import validate_data

from ._columns import RowColumns, check_columns
from ._validation import FLOATS, encode_labels


class BinaryClassifier(ClassifierMixin, BaseEstimator):
    """Classifier of two classes by `predict_proba`, which a subclass defines."""

    def predict(self, X) -> NDArray:
        """Return the likelier class of each row.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.

        Returns
        -------
        ndarray of shape (n,)
            Labels of `classes_`.
        """
        p = self.predict_proba(X)[:, 1]  # checks that the model is fitted
        return self.classes_[(p > 0.5).astype(int)]

    def _check_fit(
        self, X, y, *, one_class: bool = False, **columns
    ) -> tuple[NDArray, NDArray[np.float64], RowColumns]:
        """Check what `fit` was given; return X, the labels 0, 1 and NaN, and the columns."""
        self._validate_params()
        X = validate_data(self, X, dtype=FLOATS, ensure_min_samples=2)
        self.classes_, labels = encode_labels(X, y, one_class=one_class)
        return X, labels, check_columns(X, **columns)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
