"""PropensityEstimator: how likely a row is to get feedback."""

from __future__ import annotations

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils._sklearn_compat import HasMethods, Interval, StrOptions
from .._utils._validation import (
    FLOATS,
    binary_only,
    check_two_classes,
    check_weights,
    encode_labels,
)
from .._utils._warnings import warn
from ..exceptions import OverlapWarning
from ..heads._moments import FoldMoments
from ..model_selection._cross_fitting import Folds, make_folds
from ._probability import fit_probability
from ._recipes import effective_sample_size

__all__ = ["PropensityEstimator"]


class PropensityEstimator(ClassifierMixin, BaseEstimator):
    """Probability that a row gets feedback, cross-fitted, calibrated and clipped below.

    The weights 1/e of IPS, SNIPS and DR come from it. Each training row's propensity comes from a
    classifier that has not seen the row's fold, because an over-fitted one biases the weights.

    Parameters
    ----------
    estimator : classifier or None, default=None
        Any binary classifier with `decision_function` or `predict_proba`. None is
        ridge-penalised logistic regression, its penalty chosen out of fold. Tune another one on
        log loss, not on accuracy, which a constant propensity often wins.
    cv : int or splitter, default=5
        Folds; the test sets must partition the rows.
    calibration : {"sigmoid", "isotonic"} or None, default="sigmoid"
        How out-of-fold scores become probabilities. None takes the classifier's log odds as
        they are.
    clipping_threshold : float, default=0.05
        Propensities are raised to it. 0 clips nothing.
    random_state : int, RandomState or None, default=None
        Which rows go into which fold.
    n_jobs : int or None, default=None
        Folds in parallel, for an `estimator` of your own.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        No feedback, feedback.
    oof_propensity_ : ndarray of shape (n,)
        Clipped out-of-fold propensities of the training rows.
    clipped_share_ : float
        Share of training rows that were clipped.
    effective_sample_size_ : float
        ``(sum w)^2 / sum w^2`` of the weights 1/e over the rows with feedback.
    estimators_ : list of classifiers
        One per fold.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X has string column names.

    Notes
    -----
    Assumes overlap, ``P(feedback given x) > 0`` everywhere: `clipped_share_` and
    `effective_sample_size_` show where that is thin. Rosenbaum and Rubin (1983); for feedback,
    Schnabel et al. (2016).

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm import PropensityEstimator
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(2000, 4))
    >>> observed = rng.random(2000) < 1 / (1 + np.exp(-X[:, 0]))
    >>> e = PropensityEstimator(random_state=0).fit(X, observed).predict_propensity(X)
    >>> bool(np.abs(e - 1 / (1 + np.exp(-X[:, 0]))).mean() < 0.03)
    True
    """

    __metadata_request__fit: ClassVar = {"groups": True, "sample_weight": True}

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [HasMethods(["fit"]), None],
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods(["split"]), "array-like"],
        "calibration": [StrOptions({"sigmoid", "isotonic"}), None],
        "clipping_threshold": [Interval(Real, 0, 1, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        estimator=None,
        *,
        cv=5,
        calibration="sigmoid",
        clipping_threshold=0.05,
        random_state=None,
        n_jobs=None,
    ):
        self.estimator = estimator
        self.cv = cv
        self.calibration = calibration
        self.clipping_threshold = clipping_threshold
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X, y, *, groups=None, sample_weight=None):
        """Fit on X and whether each row got feedback.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings, float32 or float64.
        y : array-like of shape (n,)
            True or 1 where feedback was left.
        groups : array-like of shape (n,) or (n, 2), default=None
            Rows of one group share a fold; two columns are prompt and user ids.
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        self

        Raises
        ------
        FeedbackError
            If all rows, or none, have feedback.
        GroupsError
            If there are fewer groups than folds.
        """
        self._validate_params()
        X = validate_data(self, X, dtype=FLOATS, ensure_min_samples=2)
        self.classes_, observed = encode_labels(X, y)
        weight = check_weights(sample_weight, X)
        folds = make_folds(X, observed, groups, self.cv, self.random_state)
        return self._fit_folds(X, observed, folds, weight)

    def _fit_folds(self, X, observed, folds: Folds, weight, moments: FoldMoments | None = None):
        """Fit on folds, and moments of all labelled rows, that the caller shares.

        `observed` is 0.0 or 1.0, and NaN in rows that must not be fitted on.
        """
        check_two_classes(observed, weight)
        self._model, scores = fit_probability(
            self.estimator,
            X,
            observed,
            folds,
            sample_weight=weight,
            calibration=self.calibration,
            moments=moments,
            n_jobs=self.n_jobs,
        )
        p = self._model.calibrate(scores)
        self.estimators_ = self._model.models
        clipped = p < self.clipping_threshold
        self.oof_propensity_ = np.maximum(p, self.clipping_threshold)
        self.clipped_share_ = float(clipped.mean())
        rated = observed == 1
        row_weight = 1.0 if weight is None else weight[rated]
        self.effective_sample_size_ = effective_sample_size(
            row_weight / self.oof_propensity_[rated]
        )
        if self.clipped_share_ > 0.1:
            warn(
                f"{clipped.sum()} of {len(p)} propensities lie under the clipping threshold of "
                f"{self.clipping_threshold} and were raised to it: such rows hardly ever get "
                f"feedback, so what the reward says of them is extrapolation.",
                OverlapWarning,
                "clipped-propensity",
            )
        return self

    def predict_proba(self, X):
        """Return P(no feedback) and P(feedback), not clipped, shape (n, 2).

        New rows get the mean over the fold models.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        p = self._model.predict(X)
        return np.column_stack([1 - p, p])

    def predict_propensity(self, X):
        """Return P(feedback given x), clipped below, shape (n,)."""
        return np.maximum(self.predict_proba(X)[:, 1], self.clipping_threshold)

    def predict(self, X):
        """Return the likelier class of each row, shape (n,)."""
        check_is_fitted(self)
        return self.classes_[(self.predict_proba(X)[:, 1] > 0.5).astype(int)]

    def __sklearn_tags__(self):
        return binary_only(super().__sklearn_tags__())
