"""NoiseTransitionEstimator: the flip rates of feedback."""

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._utils._columns import RowColumns
from .._utils._sklearn_compat import HasMethods, Interval, StrOptions
from .._utils._validation import decode_labels
from ..exceptions import InvalidInputError
from ._flip_rates import anchor_rates, confident_rates, sigmoid_rates
from ._probability import FoldClassifier
from ._recipes import check_rates, correct_labels


class NoiseTransitionEstimator(FoldClassifier):
    """Flip rates of feedback: P(s=1 given r=0) and P(s=0 given r=1).

    Fits s(x) = P(s=1 given x, rated) on the rated rows, cross-fitted, and derives the rates from
    its extremes.

    Parameters
    ----------
    estimator : classifier or None, default=None
        Any binary classifier with `decision_function` or `predict_proba`. Its out-of-fold scores
        are calibrated by a sigmoid that may level off short of 0 and 1, as flips make it. None is
        logistic regression with a ridge penalty chosen out of fold.
    method : {"anchor", "sigmoid", "confident"}, default="anchor"
        "anchor": assume some surely bad and some surely good rows, so that the false positive rate
        is a low quantile of s(x) over all rows and the false negative rate one minus a high one
        (median over folds; CausalRM, arXiv 2603.18736). "sigmoid": the levels of the curve from
        score to s(x), by maximum a posteriori with a prior whose median is .13; milder than anchors
        where those are absent. "confident": counts among the rated rows that are confidently of a
        class (confident learning, Northcutt et al. 2021).
    false_positive_rate, false_negative_rate : float, (float, float) or None, default=None
        Known rates, used unchanged; or a rate with its standard deviation, as an earlier log has
        it, which is averaged with the estimate by inverse variance.
    quantile : float, default=0.03
        Share of rows used as anchors at each end.
    cv : int, splitter or None, default=5
        Folds; the test sets must partition the rows. None means 5.
    random_state : int, RandomState or None, default=None
        Seed of the folds and the bootstrap.
    n_jobs : int or None, default=None
        Folds fitted in parallel, for an `estimator` of your own.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        Negative, positive.
    false_positive_rate_, false_negative_rate_ : float
        Flip rates.
    false_positive_rate_std_, false_negative_rate_std_ : float
        Bootstrap standard errors over folds, groups and the calibration curve, which is clustered
        by group and by user; 0 for known rates.
    transition_matrix_ : ndarray of shape (2, 2)
        Row: true class, column: logged class.
    anchors_absent_ : (bool, bool) or None
        Whether surely bad, and surely good rows seem to be absent; False for a known rate. None for
        a method other than "anchor".
    oof_probability_ : ndarray of shape (n,)
        Out-of-fold s(x) of every training row, rated or not.
    model_ : FoldProbability
        The calibrated mean over the fold models of s(x).
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Column names of X, where all are strings.

    Notes
    -----
    Assumes that anchors exist and that selection does not depend on the reward given x. Where it
    does, the rates are wrong and nothing in the rated rows shows it. An AssumptionWarning with code
    "absent-anchors" marks extreme quantiles that are poorly determined; its absence proves nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm import NoiseTransitionEstimator
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(20000, 2))
    >>> r = X[:, 0] + 0.1 * rng.normal(size=20000) > 0
    >>> s = np.where(rng.random(20000) < np.where(r, 0.2, 0.1), ~r, r).astype(float)
    >>> s[rng.random(20000) < 0.5] = np.nan
    >>> noise = NoiseTransitionEstimator(random_state=0).fit(X, s)
    >>> bool(abs(noise.false_positive_rate_ - 0.1) < 0.05)
    True
    """

    __metadata_request__fit: ClassVar = {"groups": True, "users": True}

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [HasMethods(["fit"]), None],
        "method": [StrOptions({"anchor", "sigmoid", "confident"})],
        "false_positive_rate": [Real, tuple, list, None],
        "false_negative_rate": [Real, tuple, list, None],
        "quantile": [Interval(Real, 0, 0.5, closed="neither")],
        "cv": ["cv_object"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        estimator=None,
        *,
        method="anchor",
        false_positive_rate=None,
        false_negative_rate=None,
        quantile=0.03,
        cv=5,
        random_state=None,
        n_jobs=None,
    ):
        self.estimator = estimator
        self.method = method
        self.false_positive_rate = false_positive_rate
        self.false_negative_rate = false_negative_rate
        self.quantile = quantile
        self.cv = cv
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X, y, *, groups=None, users=None, sample_weight=None):
        """Fit on X and feedback.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings, float32 or float64.
        y : array-like of shape (n,)
            Feedback of two classes, NaN (or None) where there is none.
        groups : array-like of shape (n,), default=None
            Conversation or prompt ids: rows that share one share a fold.
        users : array-like of shape (n,), default=None
            User ids, missing where unknown: clusters of the standard errors, never folds.
        sample_weight : array-like of shape (n,), default=None
            A weight counts as so many rows.

        Returns
        -------
        self
            Fitted estimator.

        Raises
        ------
        FeedbackError
            If there is no feedback, one class, or more than two values.
        InvalidInputError
            If the rates, given or estimated, sum to 1 or more.
        GroupsError
            If there are fewer groups than folds.

        Warns
        -----
        AssumptionWarning
            If anchors look absent (code "absent-anchors").
        """
        given = {"groups": groups, "users": users, "sample_weight": sample_weight}
        return self._check_and_fit(X, y, **given)

    def _fit(self, X, s, columns: RowColumns, folds, moments=None):
        scores = self._fit_models(X, s, columns, folds, moments, "noisy")
        weight = columns.sample_weight
        self.oof_probability_ = self.model_.calibrate(scores)
        rng = check_random_state(self.random_state)
        known = self.false_positive_rate, self.false_negative_rate
        curve = self.model_.calibrate
        self.anchors_absent_ = None
        if self.method == "anchor":
            rates, stds, self.anchors_absent_ = anchor_rates(
                curve, scores, folds, weight, rng, self.quantile, known
            )
        elif self.method == "sigmoid":
            rates, stds = sigmoid_rates(curve)
        else:
            rates, stds = confident_rates(curve, scores, s, folds, weight, rng)
        for i, rate in enumerate(known):
            if rate is not None:
                rates[i], stds[i] = _settle(rate, rates[i], stds[i])
        check_rates(*rates)
        self.false_positive_rate_, self.false_negative_rate_ = (float(rate) for rate in rates)
        self.false_positive_rate_std_, self.false_negative_rate_std_ = (float(s) for s in stds)
        fpr, fnr = self.rates_
        self.transition_matrix_ = np.array([[1 - fpr, fpr], [fnr, 1 - fnr]])
        return self

    @property
    def rates_(self) -> tuple[float, float]:
        """False positive and false negative rate."""
        return self.false_positive_rate_, self.false_negative_rate_

    def correct(self, y) -> NDArray[np.float64]:
        """Return ``t(s) = (s - fpr) / (1 - fpr - fnr)``; NaN stays NaN.

        Parameters
        ----------
        y : array-like of shape (n,)
            Feedback of the classes seen in `fit`, NaN where there is none.

        Returns
        -------
        ndarray of shape (n,)
            Labels whose mean given r is r (Natarajan et al. 2013).

        Raises
        ------
        FeedbackError
            If y holds a label that `fit` did not see.
        """
        check_is_fitted(self)
        return correct_labels(decode_labels(y, self.classes_), self.rates_)


def _settle(known, rate: float, std: float) -> tuple[float, float]:
    """Return a rate and its standard error by what is known and what was estimated."""
    if isinstance(known, Real):
        return float(known), 0.0
    earlier, earlier_std = known if len(known) == 2 else (np.nan, np.nan)
    if not 0 <= earlier < 1 or not earlier_std > 0:
        raise InvalidInputError(
            f"A flip rate is {known!r}, but a pair must be a rate from 0 to 1 and its positive "
            f"standard deviation."
        )
    precision = np.array([earlier_std, max(std, 1e-6)]) ** -2.0
    return float(precision @ [earlier, rate] / precision.sum()), float(precision.sum() ** -0.5)
