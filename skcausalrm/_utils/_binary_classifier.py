"""Base of the classifiers of two classes."""

from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin


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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
