"""CausalRewardRegressor and CausalRewardClassifier: nuisances, then a recipe, then a head."""

from __future__ import annotations

import sys
import warnings
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted, validate_data

from ._sklearn_compat import HasMethods, Interval, StrOptions
from ._validation import (
    FLOATS,
    Feedback,
    binary_only,
    check_asked,
    check_column,
    check_feedback,
    check_propensity,
    check_verified,
    check_weights,
    encode_labels,
)
from .crossfit import make_folds
from .exceptions import AskedNonresponseWarning, SharedGroupsWarning, UnusedParameterError
from .heads.fitting import fit_head, out_of_fold_predictions
from .nuisances import NuisanceSettings, RowColumns, fit_nuisances
from .recalibration import fit_recalibration
from .recipes import NEEDS, RECIPES

__all__ = ["CausalRewardClassifier", "CausalRewardRegressor"]


class _CausalReward(BaseEstimator):
    """What regressor and classifier share: everything but the labels' names."""

    __metadata_request__fit: ClassVar = dict.fromkeys(
        ("groups", "sample_weight", "asked", "verified", "propensity", "imputation"), True
    )
    __metadata_request__score: ClassVar = dict.fromkeys(
        ("groups", "sample_weight", "propensity"), True
    )

    _parameter_constraints: ClassVar[dict] = {
        "method": [StrOptions(set(RECIPES))],
        "estimator": [StrOptions({"mlp"}), HasMethods(["fit", "predict"]), None],
        "propensity_estimator": [HasMethods(["fit", "predict_proba"]), None],
        "noise_estimator": [HasMethods(["fit", "correct"]), HasMethods(["fit", "estimator"]), None],
        "imputation_estimator": [HasMethods(["fit", "predict"]), None],
        "verified_error_rate": [Interval(Real, 0, 0.5, closed="left")],
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods(["split"]), "array-like"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": [Integral],
    }

    def __init__(
        self,
        method="dr",
        estimator=None,
        *,
        propensity_estimator=None,
        noise_estimator=None,
        imputation_estimator=None,
        verified_error_rate=0.0,
        cv=5,
        random_state=None,
        n_jobs=None,
        verbose=0,
    ):
        self.method = method
        self.estimator = estimator
        self.propensity_estimator = propensity_estimator
        self.noise_estimator = noise_estimator
        self.imputation_estimator = imputation_estimator
        self.verified_error_rate = verified_error_rate
        self.cv = cv
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self,
        X,
        y,
        *,
        groups=None,
        sample_weight=None,
        asked=None,
        verified=None,
        propensity=None,
        imputation=None,
    ):
        """Fit nuisances and head.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings, float32 or float64.
        y : array-like of shape (n,)
            Feedback: 1 positive, 0 negative, NaN where the user left none. The regressor also
            takes graded or continuous feedback; then only selection is corrected, not flips.
        groups : array-like of shape (n,) or (n, 2), default=None
            Prompt ids, or prompt and user ids: rows that share one are never split.
        sample_weight : array-like of shape (n,), default=None
        asked : array-like of bool, shape (n,), default=None
            Rows whose feedback was asked for at random rather than volunteered.
        verified : array-like of shape (n,), default=None
            1 or 0 where a careful person has judged the answer, NaN elsewhere; rated or not,
            drawn at random where possible. Predictions are recalibrated on them.
        propensity : array-like of shape (n,), default=None
            Known P(feedback) in (0, 1], used as it is.
        imputation : array-like of shape (n,), default=None
            A guess of P(r=1) from elsewhere, such as an LLM judge's score; for "dr". It is
            calibrated on the rated rows beside m(x), so a useless guess does little harm.

        Returns
        -------
        self

        Raises
        ------
        NoFeedbackError, SingleClassError, FeedbackValueError
            If y has no feedback, one class, or values it cannot have.
        UnusedParameterError
            If something was given that the method does not use.
        NoiseRateError, PropensityError, GroupsError
            If rates, known propensities or groups cannot be used.
        """
        self._validate_params()
        X = validate_data(self, X, dtype=FLOATS, ensure_min_samples=2)
        feedback = self._check_labels(X, y)
        n_rows = len(X)
        asked = check_asked(asked, n_rows)
        verified = check_verified(verified, n_rows)
        columns = RowColumns(
            groups,
            check_weights(sample_weight, X),
            asked,
            None if propensity is None else check_propensity(propensity, n_rows),
            None if imputation is None else check_column(imputation, "imputation", n_rows),
        )
        if verified is not None and not feedback.binary:
            raise UnusedParameterError(
                "verified holds judgements of good and bad, but the feedback is continuous: "
                "binarise the feedback or leave verified out."
            )
        if asked is not None:
            self._warn_of_nonresponse(asked, feedback.observed)
        settings = NuisanceSettings(
            self.method,
            self.propensity_estimator,
            self.noise_estimator,
            self.imputation_estimator,
            self.cv,
            self.random_state,
            self.n_jobs,
        )
        folds = make_folds(X, feedback.values, groups, self.cv, self.random_state)
        self._say(f"nuisances of {self.method!r} on {n_rows} rows, {folds.n_splits} folds")
        found = fit_nuisances(settings, X, feedback, columns, folds)
        weight = (
            found.weight if columns.sample_weight is None else found.weight * columns.sample_weight
        )
        self._say("head")
        self.estimator_ = fit_head(
            self.estimator,
            X,
            found.target,
            weight,
            folds,
            moments=found.moments if self.method == "dr" else None,
            binary=feedback.binary,
            cv=self.cv,
            random_state=self.random_state,
            verbose=self.verbose,
        )
        self.method_ = self.method
        self.binary_ = feedback.binary
        self.target_, self.weight_ = found.target, found.weight
        self.effective_sample_size_ = found.effective_sample_size
        self.propensity_estimator_ = found.propensity_estimator
        self.noise_estimator_ = found.noise_estimator
        self.imputation_estimator_ = found.imputation_estimator
        self.groups_ = None if groups is None else np.unique(np.asarray(groups).astype(str))
        self.recalibration_ = None
        if verified is not None:
            self._say(f"recalibration on {np.count_nonzero(~np.isnan(verified))} verified rows")
            held_out = out_of_fold_predictions(
                self.estimator_, X, found.target, weight, folds, n_jobs=self.n_jobs
            )
            self.recalibration_ = fit_recalibration(
                np.clip(held_out, 0, 1),
                verified,
                feedback.values,
                error_rate=self.verified_error_rate,
            )
        return self

    def _say(self, stage: str) -> None:
        if self.verbose:
            print(f"[{type(self).__name__}] {stage}", file=sys.stderr)

    @staticmethod
    def _warn_of_nonresponse(asked, observed) -> None:
        silent = int(np.count_nonzero(asked & ~observed))
        if silent > 0.2 * asked.sum():
            warnings.warn(
                f"{silent} of {asked.sum()} asked rows have no answer, so the answers are "
                f"self-selected again: treat them as volunteered (leave asked out) if in doubt.",
                AskedNonresponseWarning,
                stacklevel=3,
            )

    def decision_function(self, X) -> NDArray[np.float64]:
        """Return the head's unbounded score, which ranks like `predict`, shape (n,)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        if hasattr(self.estimator_, "decision_function"):
            return self.estimator_.decision_function(X)
        return np.asarray(self.estimator_.predict(X), dtype=np.float64)

    def _predict_reward(self, X) -> NDArray[np.float64]:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        reward = np.asarray(self.estimator_.predict(X), dtype=np.float64)
        if self.binary_:
            reward = np.clip(reward, 0, 1)
        return reward if self.recalibration_ is None else self.recalibration_(reward)

    def _warn_of_shared_groups(self, groups) -> None:
        if groups is None or self.groups_ is None:
            return
        shared = np.isin(np.unique(np.asarray(groups).astype(str)), self.groups_)
        if shared.any():
            warnings.warn(
                f"{shared.sum()} of {len(shared)} groups were trained on too, so the score is "
                f"optimistic: split by group.",
                SharedGroupsWarning,
                stacklevel=3,
            )


class CausalRewardRegressor(RegressorMixin, _CausalReward):
    """Reward model P(r=1 given x) from noisy, self-selected feedback.

    Fits on the rows of a log, rated (y = 0 or 1) and unrated (y = NaN), and corrects flips in
    the feedback and the choice of users whom to give it (CausalRM, arXiv 2603.18736).

    Parameters
    ----------
    method : {"dr", "snips", "ips", "noise", "naive"}, default="dr"
        How target and weight are made (see Notes).
    estimator : None, "mlp" or regressor, default=None
        The head. None is ridge regression in closed form, its penalty chosen on the out-of-fold
        corrected risk; "mlp" a torch network (`skcausalrm.heads.MLPHead`); else any scikit-learn
        regressor, whose `fit` must take `sample_weight` where rows are weighted ("ips",
        "snips").
    propensity_estimator : PropensityEstimator, classifier or None, default=None
        For "ips", "snips" and "dr". A bare classifier is cross-fitted by `PropensityEstimator`;
        a fitted one in `sklearn.frozen.FrozenEstimator` is used as it is.
    noise_estimator : NoiseTransitionEstimator or None, default=None
        For all methods but "naive". Pass one with known rates to use those.
    imputation_estimator : regressor or None, default=None
        For "dr": m(x), fitted on the corrected labels of the rated rows, cross-fitted.
    verified_error_rate : float, default=0.0
        How often the person behind `verified` errs, below 0.5.
    cv : int or splitter, default=5
        Folds of all default nuisances and of the head; the test sets must partition the rows.
    random_state : int, RandomState or None, default=None
        Folds, bootstrap and the network's weights.
    n_jobs : int or None, default=None
        Folds in parallel, for nuisance estimators and heads of your own.
    verbose : int, default=0
        1 names each stage on stderr and shows the network's progress.

    Attributes
    ----------
    method_ : str
        The method used.
    estimator_ : fitted head
    target_ : ndarray of shape (n,)
        What the head was fitted to; NaN in rows that took no part.
    weight_ : ndarray of shape (n,)
        The recipe's weights, without `sample_weight`; 0 in rows that took no part.
    propensity_estimator_, noise_estimator_, imputation_estimator_ : fitted nuisances or None
    effective_sample_size_ : float
        Of the rated rows under the weights 1/propensity.
    recalibration_ : Recalibration or None
        Intercept, slope and centre on the logit scale, where there were verified rows.
    binary_ : bool
        Whether the feedback was 0/1.
    groups_ : ndarray of str or None
        The groups trained on.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X has string column names.

    See Also
    --------
    CausalRewardClassifier : The same with classes and `predict_proba`.
    skcausalrm.metrics.make_debiased_scorer : Scores for choosing between models.

    Notes
    -----
    With o = 1 where rated, propensity e(x), imputation m(x) and the corrected label
    ``t = (s - fpr) / (1 - fpr - fnr)``:

    ======= ======================= =========== =======================================
    method  target                  weight      right if
    ======= ======================= =========== =======================================
    naive   s                       o           no noise, no selection
    noise   t                       o           flip rates right, no selection
    ips     t                       o / e       flip rates and e right
    snips   t                       o / e, mean 1 over the rated; the minimiser of ips
    dr      m + o (t - m) / e       1           flip rates right, and e or m
    ======= ======================= =========== =======================================

    All assume that selection does not depend on the reward given x, overlap (e > 0), and, unless
    flip rates are known, anchors (see `NoiseTransitionEstimator`). Nothing in rated rows shows
    whether the first holds; verified rows repair the level where it does not.

    Examples
    --------
    >>> from skcausalrm import CausalRewardRegressor
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> log = make_observational_feedback(5000, 16, signal="strong", random_state=0)
    >>> model = CausalRewardRegressor(random_state=0).fit(log.X, log.y)
    >>> model.predict(log.X).shape
    (5000,)
    """

    def _check_labels(self, X, y) -> Feedback:
        return check_feedback(X, y)

    def predict(self, X) -> NDArray[np.float64]:
        """Return the reward, shape (n,): P(r=1 given x) in [0, 1] for binary feedback.

        The head's own prediction is cut to [0, 1]; `decision_function` is not.
        """
        return self._predict_reward(X)

    def score(self, X, y, sample_weight=None, *, groups=None, propensity=None) -> float:
        """Return the debiased R2 on logs, by the nuisances of this model.

        For monitoring one model. Compare models by `make_debiased_scorer`: here each candidate
        would set its own exam.

        Parameters
        ----------
        X : array-like of shape (n, d)
        y : array-like of shape (n,)
            Feedback, NaN where there is none.
        sample_weight : array-like of shape (n,), default=None
        groups : array-like of shape (n,), default=None
            A warning says if some were trained on.
        propensity : array-like of shape (n,), default=None
            Needed if known propensities were given in `fit`.

        Returns
        -------
        float
            R2 against the pseudo-outcomes of `method_` ("naive" and "noise": on rated rows). For
            continuous feedback, R2 on the rated rows weighted by 1/propensity.
        """
        self._warn_of_shared_groups(groups)
        prediction = self.predict(X)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        return _debiased_r2(self, X, check_feedback(X, y), prediction, sample_weight, propensity)


class CausalRewardClassifier(ClassifierMixin, _CausalReward):
    """`CausalRewardRegressor` as a classifier, for scorers and displays that want one.

    Parameters
    ----------
    method, estimator, propensity_estimator, noise_estimator, imputation_estimator, \
verified_error_rate, cv, random_state, n_jobs, verbose
        As in `CausalRewardRegressor`.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        Negative and positive feedback, as in y.

    Notes
    -----
    All other attributes, the methods and what they assume: see `CausalRewardRegressor`.
    Feedback may be of any two classes; the larger is the positive one, NaN or None is none.

    Examples
    --------
    >>> from skcausalrm import CausalRewardClassifier
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> log = make_observational_feedback(5000, 16, signal="strong", random_state=0)
    >>> model = CausalRewardClassifier(random_state=0).fit(log.X, log.y)
    >>> model.predict_proba(log.X).shape
    (5000, 2)
    """

    def _check_labels(self, X, y) -> Feedback:
        self.classes_, values = encode_labels(X, y)
        return Feedback(values, ~np.isnan(values), True)

    def predict_proba(self, X) -> NDArray[np.float64]:
        """Return P(r=0 given x) and P(r=1 given x), shape (n, 2)."""
        p = self._predict_reward(X)
        return np.column_stack([1 - p, p])

    def decision_function(self, X) -> NDArray[np.float64]:
        """Return an unbounded score, positive where the positive class is likelier, (n,)."""
        score = super().decision_function(X)
        half = 0.5
        if self.recalibration_ is not None:
            b0, b1, center = self.recalibration_
            half = float(1 / (1 + np.exp(-(b1 * center - b0) / (1 + b1))))
        on_logits = hasattr(self.estimator_, "decision_function")
        return score - (logit(half) if on_logits else half)

    def predict(self, X) -> NDArray:
        """Return the likelier class of each row, shape (n,)."""
        check_is_fitted(self)
        return self.classes_[(self._predict_reward(X) > 0.5).astype(int)]

    def score(self, X, y, sample_weight=None, *, groups=None, propensity=None) -> float:
        """Return the debiased R2 of `predict_proba` on logs (see `CausalRewardRegressor.score`)."""
        self._warn_of_shared_groups(groups)
        p = self._predict_reward(X)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        values = np.full(len(p), np.nan)
        y = np.asarray(y)
        values[y == self.classes_[0]], values[y == self.classes_[1]] = 0, 1
        return _debiased_r2(self, X, check_feedback(X, values), p, sample_weight, propensity)

    def __sklearn_tags__(self):
        return binary_only(super().__sklearn_tags__())


def _debiased_r2(model, X, feedback: Feedback, prediction, sample_weight, propensity) -> float:
    from .metrics import debiased_r2_score

    observed = feedback.observed
    e = np.ones(len(observed))
    if "propensity" in NEEDS[model.method_]:
        if propensity is not None:
            e = check_propensity(propensity, len(observed))
        elif model.propensity_estimator_ is not None:
            e = model.propensity_estimator_.predict_propensity(X)
        elif not observed.all():
            raise UnusedParameterError(
                "The model was fitted with known propensities or without unrated rows, so scoring "
                "a log with unrated rows needs propensity=."
            )
    weight = np.ones(len(observed)) if sample_weight is None else np.asarray(sample_weight)
    if not (feedback.binary and model.binary_):
        rated_weight = (weight / e)[observed]
        return float(
            r2_score(feedback.values[observed], prediction[observed], sample_weight=rated_weight)
        )
    m = None
    if "imputation" in NEEDS[model.method_]:
        m = np.asarray(model.imputation_estimator_.predict(X), dtype=np.float64)
    rates = (0.0, 0.0) if model.noise_estimator_ is None else model.noise_estimator_.rates_
    z, recipe_weight = RECIPES[model.method_](feedback.values, observed, e, m, rates)
    rows = recipe_weight > 0
    return debiased_r2_score(z[rows], prediction[rows], sample_weight=(weight * recipe_weight)[rows])
