"""CausalRewardRegressor and CausalRewardClassifier: reward models from feedback."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils._validation import (
    FLOATS,
    Feedback,
    binary_only,
    check_feedback,
    decode_labels,
    encode_labels,
)
from ._base import CausalReward, debiased_r2

__all__ = ["CausalRewardClassifier", "CausalRewardRegressor"]


class CausalRewardRegressor(RegressorMixin, CausalReward):
    """Reward model P(r=1 given x) from noisy, self-selected feedback.

    Fits on the rows of a log, rated (y = 0 or 1) and unrated (y = NaN), and corrects flips in
    the feedback and the choice of users whom to give it (CausalRM, arXiv 2603.18736).

    Parameters
    ----------
    method : {"auto", "selection", "dr", "snips", "ips", "noise", "naive"}, default="auto"
        How target and weight are made (see Notes). "auto" is "selection" with a report; where that
        cannot be had (feedback that is not 0/1, fewer than 30 rated rows of a class, something
        given that only "dr" uses) it is "dr", with nothing unrated "noise"; `method_` and a
        warning say so.
    estimator : None, "mlp" or regressor, default=None
        The head. None is ridge regression in closed form, its penalty chosen on the out-of-fold
        corrected risk (with "selection": the likelihood's own `MixtureHead`); "mlp" a torch network
        (`skcausalrm.heads.MLPHead`); else any scikit-learn regressor, whose `fit` must take
        `sample_weight` where rows are weighted ("ips", "snips").
    propensity_estimator : PropensityEstimator, classifier or None, default=None
        For "ips", "snips" and "dr". A bare classifier is cross-fitted by `PropensityEstimator`;
        a fitted one in `sklearn.frozen.FrozenEstimator` is used as it is.
    noise_estimator : NoiseTransitionEstimator or None, default=None
        For all methods but "naive". Pass one with known rates to use those.
    outcome_estimator : regressor or None, default=None
        For "dr": m(x), fitted on the corrected labels of the rated rows, cross-fitted.
    selection_model : SelectionModel or None, default=None
        For "selection" and "auto": base rate, flip rates or selection log odds that are known.
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
    propensity_estimator_, noise_estimator_, outcome_estimator_, selection_model_ : \
fitted nuisances or None
    selection_report_ : dict or None
        With "auto", where it used "selection": what the likelihood found, what each other
        recipe would have said, and one sentence of advice (keys: see `skcausalrm.reward._report`).
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
    joint   P(r=1 given o, s, x)    1           the selection likelihood right
    ======= ======================= =========== =======================================

    All but "selection" assume that selection does not depend on the reward given x, overlap
    (e > 0), and, unless flip rates are known, anchors (see `NoiseTransitionEstimator`). Nothing in rated
    rows shows whether the first holds; verified rows repair the level where it does not.
    "selection" models selection on the preference itself (see `SelectionModel`): its ranking holds without
    further rows, its level wants about 50 verified ones, and a warning says when.

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

    def predict(self, X, return_std: bool = False):
        """Return the reward, for binary feedback P(r=1 given x) in [0, 1].

        A ridge head's prediction is cut to [0, 1]; `decision_function` is not.

        Parameters
        ----------
        X : array-like of shape (n, d)
        return_std : bool, default=False

        Returns
        -------
        reward : ndarray of shape (n,)
        std : ndarray of shape (n,)
            If `return_std`: over the solutions that the log allows ("selection"), else over the
            models that each left a fold out. It says how far the fit leaves this prediction open,
            not how far a single answer's reward lies from it.

        Raises
        ------
        UnusedParameterError
            If `return_std` is asked of a head of your own, which is one model.
        """
        return self._predict_with_std(X) if return_std else self._predict_reward(X)

    def score(self, X, y, sample_weight=None, *, groups=None, asked=None, propensity=None) -> float:
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
        asked : array-like of bool, shape (n,), default=None
            Rows whose feedback was asked for at random.
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
        return debiased_r2(
            self, X, check_feedback(X, y), prediction, sample_weight, asked, propensity
        )


class CausalRewardClassifier(ClassifierMixin, CausalReward):
    """`CausalRewardRegressor` as a classifier, for scorers and displays that want one.

    Parameters
    ----------
    method, estimator, propensity_estimator, noise_estimator, outcome_estimator, \
selection_model, verified_error_rate, cv, random_state, n_jobs, verbose
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
        half = 0.0 if self.recalibration_ is None else self.recalibration_.threshold
        on_logits = hasattr(self.estimator_, "decision_function")
        return score - (half if on_logits else float(expit(half)))

    def predict(self, X) -> NDArray:
        """Return the likelier class of each row, shape (n,)."""
        check_is_fitted(self)
        return self.classes_[(self._predict_reward(X) > 0.5).astype(int)]

    def score(self, X, y, sample_weight=None, *, groups=None, asked=None, propensity=None) -> float:
        """Return the debiased R2 of `predict_proba` on logs (see `CausalRewardRegressor.score`)."""
        self._warn_of_shared_groups(groups)
        p = self._predict_reward(X)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        values = decode_labels(y, self.classes_)
        return debiased_r2(self, X, check_feedback(X, values), p, sample_weight, asked, propensity)

    def __sklearn_tags__(self):
        return binary_only(super().__sklearn_tags__())
