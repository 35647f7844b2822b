"""PropensityEstimator: the probability that a row gets feedback."""

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._utils._columns import RowColumns
from .._utils._sklearn_compat import HasMethods, Interval, StrOptions
from .._utils._warnings import warn
from ..exceptions import OverlapWarning
from ._probability import FoldClassifier
from ._recipes import effective_sample_size

# Share of clipped training rows above which a warning is raised.
CLIPPED_SHARE = 0.1


class PropensityEstimator(FoldClassifier):
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
        return self._check_and_fit(X, y, groups=groups, sample_weight=sample_weight)

    def _fit(self, X, observed, columns: RowColumns, folds, moments=None):
        scores = self._fit_models(X, observed, columns, folds, moments, self.calibration)
        p = self.model_.calibrate(scores)
        self.estimators_ = self.model_.models
        clipped = p < self.clipping_threshold
        self.oof_propensity_ = np.maximum(p, self.clipping_threshold)
        self.clipped_share_ = float(clipped.mean())
        rated = observed == 1
        weight = columns.weighted(np.ones(len(p)))[rated]
        self.effective_sample_size_ = effective_sample_size(weight / self.oof_propensity_[rated])
        if self.clipped_share_ > CLIPPED_SHARE:
            warn(
                f"{clipped.sum()} of {len(p)} propensities were below the clipping threshold of "
                f"{self.clipping_threshold} and were raised to it. Such rows hardly ever get "
                f"feedback, so their rewards are extrapolated: collect feedback there.",
                OverlapWarning,
                "clipped-propensity",
            )
        return self

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
