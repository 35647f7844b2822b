"""NoiseTransitionEstimator: how often feedback says the opposite of what was meant."""

from __future__ import annotations

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils._sklearn_compat import HasMethods, Interval, StrOptions
from .._utils._validation import (
    FLOATS,
    binary_only,
    check_two_classes,
    check_weights,
    decode_labels,
    encode_labels,
)
from .._utils._warnings import warn
from ..exceptions import AssumptionWarning
from ..heads._moments import FoldMoments
from ..model_selection._cross_fitting import Folds, make_folds
from ._probability import fit_probability
from ._recipes import check_rates, correct_labels

__all__ = ["NoiseTransitionEstimator"]

_BOOTSTRAP_DRAWS = 200
# What makes anchors look absent: a wide interval of the quantile, or a fitted curve that goes on
# falling beyond it.
_WIDE_INTERVAL = 0.1
_LEVEL_GAP = 0.05
# Under this distance of the extreme quantiles, labels would be magnified more than fivefold.
_LEAST_CONTRAST = 0.2


class NoiseTransitionEstimator(ClassifierMixin, BaseEstimator):
    """Flip rates of feedback: P(s=1 given r=0) and P(s=0 given r=1).

    Fits s(x) = P(s=1 given x, rated) on the rated rows, cross-fitted, and reads the rates off it.

    Parameters
    ----------
    estimator : classifier or None, default=None
        Any binary classifier with `decision_function` or `predict_proba`; its out-of-fold scores
        are calibrated by a sigmoid that may level off short of 0 and 1, as flips make it. None
        is ridge-penalised logistic regression, its penalty chosen out of fold.
    method : {"anchor", "sigmoid", "confident"}, default="anchor"
        "anchor": somewhere there are surely bad and surely good rows, so the false positive rate
        is a low quantile of s(x) over all rows and the false negative rate one minus a high one
        (median over folds; CausalRM, arXiv 2603.18736). "sigmoid": where the curve from score to
        s(x) levels off, by maximum a posteriori with a prior about .13; milder than anchors where
        those are absent. "confident": counts among the rated rows that are confidently of a class
        (confident learning, Northcutt et al. 2021).
    false_positive_rate, false_negative_rate : float or None, default=None
        Known rates; they are used as they are.
    quantile : float, default=0.03
        Share of rows taken for anchors at each end.
    cv : int or splitter, default=5
        Folds; the test sets must partition the rows.
    random_state : int, RandomState or None, default=None
        Folds and bootstrap.
    n_jobs : int or None, default=None
        Folds in parallel, for an `estimator` of your own.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        Negative, positive.
    false_positive_rate_, false_negative_rate_ : float
    false_positive_rate_std_, false_negative_rate_std_ : float
        Bootstrap standard errors over folds, groups and calibration curve; 0 for known rates.
    transition_matrix_ : ndarray of shape (2, 2)
        Row: true class, column: logged class.
    oof_probability_ : ndarray of shape (n,)
        Out-of-fold s(x) of every training row, rated or not.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X has string column names.

    Notes
    -----
    Assumes that anchors exist and that selection does not depend on the reward given x. Where it
    does, the rates are wrong and nothing in the rated rows shows it. AssumptionWarning marks
    extreme quantiles that are poorly determined; that it stays away proves nothing.

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

    __metadata_request__fit: ClassVar = {"groups": True, "sample_weight": True}

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [HasMethods(["fit"]), None],
        "method": [StrOptions({"anchor", "sigmoid", "confident"})],
        "false_positive_rate": [Real, None],
        "false_negative_rate": [Real, None],
        "quantile": [Interval(Real, 0, 0.5, closed="neither")],
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods(["split"]), "array-like"],
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

    def fit(self, X, y, *, groups=None, sample_weight=None):
        """Fit on X and feedback.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings, float32 or float64.
        y : array-like of shape (n,)
            Feedback of two classes, NaN (or None) where there is none.
        groups : array-like of shape (n,) or (n, 2), default=None
            Rows of one group share a fold; two columns are prompt and user ids.
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        self

        Raises
        ------
        FeedbackError, FeedbackError, FeedbackError
            If there is no feedback, one class, or more than two values.
        InvalidInputError
            If the rates, given or found, sum to 1 or more.
        """
        self._validate_params()
        X = validate_data(self, X, dtype=FLOATS, ensure_min_samples=2)
        self.classes_, s = encode_labels(X, y)
        weight = check_weights(sample_weight, X)
        folds = make_folds(X, s, groups, self.cv, self.random_state)
        return self._fit_folds(X, s, folds, weight)

    def _fit_folds(self, X, s, folds: Folds, weight, moments: FoldMoments | None = None):
        """Fit on folds, and moments of the rated rows, that the caller shares."""
        check_two_classes(s, weight)
        self._model, scores = fit_probability(
            self.estimator,
            X,
            s,
            folds,
            sample_weight=weight,
            calibration="noisy",
            moments=moments,
            n_jobs=self.n_jobs,
        )
        self.oof_probability_ = self._model.calibrate(scores)
        rng = check_random_state(self.random_state)
        estimate = {
            "anchor": self._anchor_rates,
            "sigmoid": self._sigmoid_rates,
            "confident": self._confident_rates,
        }[self.method]
        rates, stds = estimate(scores, s, folds, weight, rng)
        for i, known in enumerate((self.false_positive_rate, self.false_negative_rate)):
            if known is not None:
                rates[i], stds[i] = known, 0.0
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

    def _anchor_rates(self, scores, s, folds: Folds, weight, rng):
        """Median over folds of the extreme quantiles of s(x), with a bootstrap.

        The bootstrap redraws folds, groups and calibration curve. The q-quantile of a bootstrap
        sample of n points is the sorted original at a Beta(qn, (1-q)n) fraction, so no row is
        resampled; the curve is redrawn from its clustered covariance.
        """
        curve, K, B = self._model.calibrate, folds.n_splits, _BOOTSTRAP_DRAWS
        thetas = rng.multivariate_normal(curve.theta, curve.covariance, size=B)
        found, draws = np.empty((2, K)), np.empty((2, K, B))
        for k in range(K):
            rows = folds.of_row == k
            n_units = max(len(np.unique(folds.groups[rows])), 2)
            q = self.quantile
            fractions = rng.beta(q * n_units + 0.5, (1 - q) * n_units + 0.5, size=B)
            for end in (0, 1):
                at = np.append(q, fractions) if end == 0 else 1 - np.append(q, fractions)
                cuts = _quantile(scores[rows], at, weight, rows)
                p = np.append(curve(cuts[:1]), curve(cuts[1:], thetas))
                p = p if end == 0 else 1 - p
                found[end, k], draws[end, k] = p[0], p[1:]
        chosen = rng.randint(K, size=(B, K))
        resampled = np.median(draws[:, chosen, np.arange(B)[:, None]], axis=2)
        stds = resampled.std(axis=1)
        rates, known = (
            np.median(found, axis=1),
            (self.false_positive_rate, self.false_negative_rate),
        )
        if rates.sum() > 1 - _LEAST_CONTRAST and None in known:
            levels, level_stds = self._sigmoid_rates(scores, s, folds, weight, rng)
            warn(
                f"The extreme quantiles of s(x), {rates[0]:.2f} and {1 - rates[1]:.2f}, hardly "
                f"differ, so x says too little of the feedback for anchors: the levels of the "
                f"fitted curve, {levels[0]:.2f} and {levels[1]:.2f}, are used as flip rates, and "
                f"they are little more than a prior; pass known rates.",
                AssumptionWarning,
                "absent-anchors",
            )
            return levels, level_stds
        for end, name in enumerate(("false_positive_rate", "false_negative_rate")):
            bottom, top = np.quantile(resampled[end], (0.05, 0.95))
            rising = rates[end] - (curve.low, 1 - curve.high)[end] > _LEVEL_GAP
            if (top - bottom > _WIDE_INTERVAL or rising) and known[end] is None:
                warn(
                    f"The {name} read off the {'lowest' if end == 0 else 'highest'} "
                    f"{100 * self.quantile:.3g}% of s(x) is {rates[end]:.2f} (90% interval "
                    f"{bottom:.2f} to {top:.2f}), where s(x) has "
                    f"{'not yet levelled off' if rising else 'few rows'}: there may be no surely "
                    f"{'bad' if end == 0 else 'good'} rows, so pass {name}= if you know it.",
                    AssumptionWarning,
                    "absent-anchors",
                )
        return rates, stds

    def _sigmoid_rates(self, scores, s, folds: Folds, weight, rng):
        """Levels of the calibration curve, with its standard errors by the delta method."""
        curve = self._model.calibrate
        rates = np.array([curve.low, 1 - curve.high])
        slopes = rates * (1 - 2 * rates)
        return rates, slopes * np.sqrt(np.maximum(np.diag(curve.covariance)[2:], 0))

    def _confident_rates(self, scores, s, folds: Folds, weight, rng):
        """Confident joint of logged and confident class; bootstrap over groups."""
        rated = ~np.isnan(s)
        p, s = self._model.calibrate(scores[rated]), s[rated]
        w = np.ones(len(s)) if weight is None else weight[rated]
        bar_1 = np.average(p[s == 1], weights=w[s == 1])
        bar_0 = np.average(1 - p[s == 0], weights=w[s == 0])
        sure_1, sure_0 = p >= bar_1, 1 - p >= bar_0
        both = sure_1 & sure_0
        sure_1, sure_0 = sure_1 & (~both | (p >= 0.5)), sure_0 & (~both | (p < 0.5))
        _, unit = np.unique(folds.groups[rated], return_inverse=True)
        n_units = int(unit.max()) + 1
        # Weighted counts by group of: logged class x confident class.
        logged = np.array([s == 0, s == 1])[:, None]
        sure = np.array([sure_0, sure_1])[None, :]
        cells = np.apply_along_axis(
            lambda row: np.bincount(unit, row, minlength=n_units), 2, w * (logged & sure)
        )
        logged_totals = np.array([w[s == 0].sum(), w[s == 1].sum()])

        def rates_of(counts):
            counts = np.maximum(counts, 1e-12)
            joint = counts * (logged_totals / counts.sum(axis=1))[:, None]
            return joint[1, 0] / joint[:, 0].sum(), joint[0, 1] / joint[:, 1].sum()

        draws = [
            rates_of(cells @ rng.multinomial(n_units, np.full(n_units, 1 / n_units)))
            for _ in range(_BOOTSTRAP_DRAWS)
        ]
        return np.array(rates_of(cells.sum(axis=2))), np.std(draws, axis=0)

    def correct(self, y) -> NDArray[np.float64]:
        """Return ``t(s) = (s - fpr) / (1 - fpr - fnr)``; NaN stays NaN.

        Parameters
        ----------
        y : array-like of shape (n,)
            Feedback of the classes seen in `fit`, NaN where there is none.

        Returns
        -------
        ndarray of shape (n,)
            Labels whose mean given the true preference is the true preference (Natarajan 2013).

        Raises
        ------
        FeedbackError
            If y holds a label that was not fitted on.
        """
        check_is_fitted(self)
        return correct_labels(decode_labels(y, self.classes_), self.rates_)

    def predict_proba(self, X):
        """Return P(s given x, rated), the mean over the fold models, shape (n, 2)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        p = self._model.predict(X)
        return np.column_stack([1 - p, p])

    def predict(self, X):
        """Return the likelier feedback of each row, shape (n,)."""
        check_is_fitted(self)
        return self.classes_[(self.predict_proba(X)[:, 1] > 0.5).astype(int)]

    def __sklearn_tags__(self):
        return binary_only(super().__sklearn_tags__())


def _quantile(values, fractions, weight, rows) -> NDArray[np.float64]:
    """Quantiles of `values`, weighted where there are weights; equal weights change nothing."""
    if weight is None:
        return np.quantile(values, fractions)
    order = np.argsort(values)
    w = weight[rows][order]
    below = np.cumsum(w) - w
    return np.interp(fractions, below / max(below[-1], np.finfo(float).tiny), values[order])
