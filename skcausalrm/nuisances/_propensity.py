"""PropensityEstimator: the probability that a row gets feedback."""

from __future__ import annotations

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
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

# Share of clipped training rows above which a warning is raised.
_CLIPPED_SHARE = 0.1


class PropensityEstimator(ClassifierMixin, BaseEstimator):
    """Probability that a row gets feedback, cross-fitted, calibrated and clipped below.

    The inverse weights of IPS, SNIPS and DR come from it. Each training row's propensity comes from
    a classifier that has not seen the row's fold, because an overfitted one biases the weights.

    Parameters
    ----------
    estimator : classifier or None, default=None
        Any binary classifier with `decision_function` or `predict_proba`. None is logistic
        regression with a ridge penalty chosen out of fold. Tune another one on log loss, not on
        accuracy, which a constant propensity often wins.
    cv : int, splitter or None, default=5
        Folds; the test sets must partition the rows. None means 5.
    calibration : {"sigmoid", "isotonic"} or None, default="sigmoid"
        Map from out-of-fold scores to probabilities. None uses the classifier's log odds.
    clipping_threshold : float, default=0.05
        Propensities below it are raised to it. 0 clips nothing.
    random_state : int, RandomState or None, default=None
        Seed of the folds.
    n_jobs : int or None, default=None
        Folds fitted in parallel, for an `estimator` of your own.

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
    model_ : FoldProbability
        The calibrated mean over `estimators_`.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Column names of X, where all are strings.

    Notes
    -----
    Assumes overlap, ``P(feedback given x) > 0`` everywhere; `clipped_share_` and
    `effective_sample_size_` show where overlap is poor. See Rosenbaum and Rubin (1983), and for
    feedback Schnabel et al. (2016).

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

    __metadata_request__fit: ClassVar = {"groups": True}

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [HasMethods(["fit"]), None],
        "cv": ["cv_object"],
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
        """Fit on X and on whether each row got feedback.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings, float32 or float64.
        y : array-like of shape (n,)
            True or 1 where feedback was left.
        groups : array-like of shape (n,), default=None
            Conversation or prompt ids: rows that share one share a fold.
        sample_weight : array-like of shape (n,), default=None
            A weight counts as so many rows.

        Returns
        -------
        self
            Fitted estimator.

        Raises
        ------
        FeedbackError
            If all rows, or none, have feedback.
        GroupsError
            If there are fewer groups than folds.

        Warns
        -----
        OverlapWarning
            If over a tenth of the rows were clipped (code "clipped-propensity").
        """
        self._validate_params()
        X = validate_data(self, X, dtype=FLOATS, ensure_min_samples=2)
        self.classes_, observed = encode_labels(X, y)
        weight = check_weights(sample_weight, X)
        folds = make_folds(X, observed, groups, self.cv, self.random_state)
        return self._fit(X, observed, folds, weight, None)

    def fit_on_folds(
        self,
        X: NDArray,
        observed: NDArray[np.float64],
        folds: Folds,
        *,
        sample_weight: NDArray | None = None,
        moments: FoldMoments | None = None,
    ):
        """Fit on checked rows, and on folds that other estimators share.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        observed : ndarray of shape (n,)
            1.0 where feedback was left, 0.0 where not, NaN in rows to leave out of the fit.
        folds : Folds
        sample_weight : ndarray of shape (n,) or None
        moments : FoldMoments or None
            Moments of all labelled rows, where the caller has them already.

        Returns
        -------
        self
            Fitted estimator.
        """
        self._validate_params()
        self.classes_, self.n_features_in_ = np.array([0, 1]), X.shape[1]
        return self._fit(X, observed, folds, sample_weight, moments)

    def _fit(self, X, observed, folds: Folds, weight, moments: FoldMoments | None):
        check_two_classes(observed, weight)
        self.model_, scores = fit_probability(
            self.estimator,
            X,
            observed,
            folds,
            sample_weight=weight,
            calibration=self.calibration,
            moments=moments,
            n_jobs=self.n_jobs,
        )
        p = self.model_.calibrate(scores)
        self.estimators_ = self.model_.models
        clipped = p < self.clipping_threshold
        self.oof_propensity_ = np.maximum(p, self.clipping_threshold)
        self.clipped_share_ = float(clipped.mean())
        rated = observed == 1
        row_weight = 1.0 if weight is None else weight[rated]
        self.effective_sample_size_ = effective_sample_size(
            row_weight / self.oof_propensity_[rated]
        )
        if self.clipped_share_ > _CLIPPED_SHARE:
            warn(
                f"{clipped.sum()} of {len(p)} propensities were below the clipping threshold of "
                f"{self.clipping_threshold} and were raised to it. Such rows hardly ever get "
                f"feedback, so their rewards are extrapolated: collect feedback there.",
                OverlapWarning,
                "clipped-propensity",
            )
        return self

    def predict_proba(self, X) -> NDArray[np.float64]:
        """Return P(no feedback) and P(feedback), not clipped: the mean over the fold models.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.

        Returns
        -------
        ndarray of shape (n, 2)
            Calibrated probabilities.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        p = self.model_.predict(X)
        return np.column_stack([1 - p, p])

    def predict_propensity(self, X) -> NDArray[np.float64]:
        """Return P(feedback given x), clipped below.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.

        Returns
        -------
        ndarray of shape (n,)
            Propensities, at least `clipping_threshold`.
        """
        return np.maximum(self.predict_proba(X)[:, 1], self.clipping_threshold)

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
        check_is_fitted(self)
        return self.classes_[(self.predict_proba(X)[:, 1] > 0.5).astype(int)]

    def __sklearn_tags__(self):
        return binary_only(super().__sklearn_tags__())
