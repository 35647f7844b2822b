"""CausalRewardRegressor and CausalRewardClassifier: reward models from feedback."""

import sys
from numbers import Integral
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from .._utils._binary_classifier import BinaryClassifier
from .._utils._columns import check_columns
from .._utils._hashing import feedback_hash
from .._utils._sklearn_compat import HasMethods, StrOptions
from .._utils._validation import (
    Feedback,
    check_embeddings,
    check_feedback,
    decode_labels,
    encode_labels,
)
from ..metrics._debiased import debiased_accuracy_score, debiased_r2_score
from ..selection._model import SelectionModel
from ._corrections import DEFAULTS, Correction
from ._fit_nuisances import Defaults
from ._fit_reward import debiased_score, fit_reward, group_hashes, warn_of_shared_groups
from ._row_scores import RowScores
from ._support import fit_support


class _CausalReward(RowScores, BaseEstimator):
    """Everything that does not depend on how labels are named."""

    __metadata_request__fit: ClassVar = dict.fromkeys(
        (
            *("groups", "users", "instruments", "signals", "signal_directions"),
            *("asked", "verified", "propensity", "judge_score"),
        ),
        True,
    )
    __metadata_request__score: ClassVar = dict.fromkeys(("groups", "asked", "propensity"), True)

    _parameter_constraints: ClassVar[dict] = {
        "method": [StrOptions({"auto", "selection", *DEFAULTS}), Correction, SelectionModel],
        "estimator": [HasMethods(["fit", "predict"]), None],
        "cv": ["cv_object"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self, method="auto", estimator=None, *, cv=5, random_state=None, n_jobs=None, verbose=0
    ):
        self.method = method
        self.estimator = estimator
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
        users=None,
        instruments=None,
        signals=None,
        signal_directions=None,
        sample_weight=None,
        asked=None,
        verified=None,
        propensity=None,
        judge_score=None,
    ):
        """Fit nuisances and head.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings, float32 or float64.
        y : array-like of shape (n,)
            Feedback: 1 positive, 0 negative, NaN where the user left none. The regressor also
            takes graded or continuous feedback; then only selection is corrected, not flips.
        groups : array-like of shape (n,), default=None
            Conversation or prompt ids: rows that share one are never split.
        users : array-like of shape (n,), default=None
            User ids, missing where unknown. For "selection", how readily each of them rates is an
            instrument, which can tell the level (`SelectionModel`); for other methods they are
            clusters of the flip rates' standard errors.
        instruments : array-like of shape (n,) or (n, m), default=None
            Numbers that move who rates and not how good the answer is; for "selection".
        signals, signal_directions : DataFrame or dict, default=None
            What else shows how good an answer is, such as copies; for "selection". As in
            `SelectionModel.fit`.
        sample_weight : array-like of shape (n,), default=None
            A weight counts as so many rows: scale relative weights to a mean of about 1.
        asked : array-like of bool, shape (n,), default=None
            Rows whose feedback was asked for at random rather than volunteered.
        verified : array-like of shape (n,), default=None
            1 or 0 where a careful person has judged the answer, NaN elsewhere; best at random.
        propensity : array-like of shape (n,), default=None
            Known P(feedback) in (0, 1], used unchanged.
        judge_score : array-like of shape (n,), default=None
            An estimate of P(r=1) from elsewhere, such as an LLM judge's score. "dr" calibrates it
            on the rated rows, "selection" takes it as one more signal: a useless one does little
            harm.

        Returns
        -------
        self
            Fitted estimator.

        Raises
        ------
        FeedbackError
            If y has no feedback, one class, or values it cannot have.
        UnusedParameterError
            If `propensity`, `judge_score`, `instruments` or `signals` was given and the method does
            not use it.
        InvalidInputError
            If flip rates or propensities are impossible.
        GroupsError
            If groups cannot be split into folds.
        """
        self._validate_params()
        X = check_embeddings(X, self, ensure_min_samples=2)
        feedback = self._encode(X, y)
        columns = check_columns(
            X,
            groups,
            users,
            sample_weight,
            asked,
            verified,
            propensity,
            judge_score,
            instruments,
            signals,
            signal_directions,
        )
        defaults = Defaults(self.cv, self.random_state, self.n_jobs)
        fit, self.estimator_, self.recalibration_ = fit_reward(
            self.method, self.estimator, X, feedback, columns, defaults, self._report_stage
        )
        self.nuisances_, self.effective_sample_size_ = fit.nuisances, fit.effective_sample_size
        self.target_, self.weight_ = fit.target
        self.method_, self.binary_ = self.nuisances_.method, feedback.binary
        self.group_hashes_ = None if groups is None else group_hashes(groups)
        self.log_support_ = fit_support(X, self.random_state)
        self.feedback_hash_ = feedback_hash(feedback.values)
        return self

    def _report_stage(self, stage: str) -> None:
        if self.verbose:
            print(f"[{type(self).__name__}] {stage}", file=sys.stderr)

    def score(self, X, y, sample_weight=None, *, groups=None, asked=None, propensity=None) -> float:
        """Return the debiased R2 (regressor) or accuracy (classifier) on a log.

        It monitors one model, on pseudo-outcomes by its own nuisances. Compare models by
        `make_debiased_scorer`, which scores all on the same target.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.
        y : array-like of shape (n,)
            Feedback, NaN where there is none.
        sample_weight : array-like of shape (n,), default=None
            Row weights.
        groups : array-like of shape (n,), default=None
            Checked against the groups trained on; a warning counts those that are shared.
        asked : array-like of bool, shape (n,), default=None
            Rows whose feedback was asked for at random.
        propensity : array-like of shape (n,), default=None
            Needed if known propensities were given in `fit`.

        Returns
        -------
        float
            On all rows ("naive" and "noise": on the rated). For continuous feedback, R2 on the
            rated rows weighted by 1/propensity.
        """
        check_is_fitted(self)
        prediction = self._reward(X)[0]
        warn_of_shared_groups(groups, self.group_hashes_, len(prediction))
        X = check_embeddings(X, self, reset=False)
        feedback = check_feedback(X, self._decode(y))
        columns = check_columns(X, sample_weight=sample_weight, asked=asked, propensity=propensity)
        feedback = feedback._replace(binary=feedback.binary and self.binary_)
        return debiased_score(self._metric, self.nuisances_, X, feedback, columns, prediction)


class CausalRewardRegressor(RegressorMixin, _CausalReward):
    """Reward model P(r=1 given x) from noisy, self-selected feedback.

    Fits on all rows of a log, rated (y = 0 or 1) and unrated (y = NaN), and corrects flips and the
    users' choice of what to rate (CausalRM, arXiv 2603.18736, and beyond).

    Parameters
    ----------
    method : str, SelectionModel or correction, default="auto"
        The correction (see Notes): "selection", "dr", "snips", "ips", "noise" or "naive" with its
        defaults (and this `cv`), or an object that owns its parameters: `SelectionModel`,
        `DoublyRobust`, `InversePropensity`, `NoiseOnly`, `Naive`. "auto" is "selection"; where that
        is impossible (feedback not 0/1, fewer than 30 ratings of a class, a known propensity or a
        judge's score) it is "dr", and with nothing unrated "noise"; a warning names it.
    estimator : regressor or None, default=None
        The head: any scikit-learn regressor, such as `skcausalrm.heads.MLPHead()`; with
        `sample_weight` in `fit` for "ips" and "snips". None is ridge regression, its penalty chosen
        on the out-of-fold corrected risk; for "selection" it is the likelihood's own mixture.
    cv : int, splitter or None, default=5
        Folds of default nuisances and head; the test sets must partition the rows. None means 5.
    random_state : int, RandomState or None, default=None
        Seed of folds and bootstrap, and of given estimators that have none of their own.
    n_jobs : int or None, default=None
        Folds fitted in parallel, for nuisance estimators and heads of your own.
    verbose : int, default=0
        1 prints each stage on stderr.

    Attributes
    ----------
    method_ : str
        Name of the method used.
    estimator_ : object
        The fitted head.
    nuisances_ : FittedNuisances
        Fitted propensity, flip rates, outcome model or selection model.
    target_ : ndarray of shape (n,)
        Targets of the head; NaN in excluded rows.
    weight_ : ndarray of shape (n,)
        The recipe's weights, without `sample_weight`; 0 in excluded rows.
    effective_sample_size_ : float
        Effective number of rated rows under the weights 1/propensity.
    recalibration_ : Recalibration or None
        Intercept, slope and centre on the logit scale, where there were verified rows.
    binary_ : bool
        True if the feedback was 0/1.
    group_hashes_ : ndarray of uint64 or None
        Hashes of the groups trained on.
    log_support_ : LogSupport
        Distances to the log, behind `support`.
    feedback_hash_ : int
        Hash of the feedback fitted on: tells whether rows are the training rows.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Column names of X, where all are strings.

    See Also
    --------
    skcausalrm.reward.selection_report : Diagnostics and a comparison of the corrections.
    skcausalrm.metrics.make_debiased_scorer : Scores for choosing between models.

    Notes
    -----
    With o = 1 where rated, propensity e(x), outcome model m(x) and the corrected label
    ``t = (s - fpr) / (1 - fpr - fnr)``:

    ========= ======================= =========== =======================================
    method    target                  weight      unbiased if
    ========= ======================= =========== =======================================
    naive     s                       o           no noise, no selection
    noise     t                       o           flip rates right, no selection
    ips       t                       o / e       flip rates and e right
    snips     t                       o / e, mean 1 over the rated; the minimiser of ips
    dr        m + o (t - m) / e       1           flip rates right, and e or m
    selection P(r=1 given o, s, x)    1           the selection likelihood right
    ========= ======================= =========== =======================================

    All but "selection" assume that selection does not depend on the reward given x (rated rows
    cannot show that it does), overlap (e > 0) and, unless flip rates are known, anchors
    (`NoiseTransitionEstimator`). "selection" models selection on the preference (`SelectionModel`):
    logs identify its ranking, about 50 verified rows its level.

    Examples
    --------
    >>> from skcausalrm import CausalRewardRegressor
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> log = make_observational_feedback(5000, 16, signal="strong", random_state=0)
    >>> model = CausalRewardRegressor(random_state=0).fit(log.X, log.y)
    >>> model.predict(log.X).shape
    (5000,)
    """

    score = _CausalReward.score  # not the mixin's
    _metric = staticmethod(debiased_r2_score)

    def _encode(self, X, y) -> Feedback:
        return check_feedback(X, y)

    def _decode(self, y):
        return y

    def predict(self, X, return_std: bool = False, *, pessimism: float | None = None):
        """Return the reward, for binary feedback P(r=1 given x) in [0, 1].

        A ridge head's prediction is clipped to [0, 1]; `decision_function` is not.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.
        return_std : bool, default=False
            Also return standard deviations.
        pessimism : float or None, default=None
            A number b makes the reward ``-log mean exp(-b r) / b`` over the solutions that the log
            allows and the fold models, in place of their mean: lower where these disagree. For
            picking among answers that the log hardly knows; 5 to 50 are of interest.

        Returns
        -------
        reward : ndarray of shape (n,)
            Predicted rewards.
        std : ndarray of shape (n,)
            Only if `return_std`: standard deviation over the solutions that the log allows
            ("selection") or over the fold models. UnusedParameterError if the head has neither,
            as with `pessimism`.
        """
        reward, std = self._reward(X, return_std, pessimism)
        return (reward, std) if return_std else reward


class CausalRewardClassifier(BinaryClassifier, _CausalReward):
    """`CausalRewardRegressor` as a classifier, for scorers and displays that need one.

    Parameters
    ----------
    method, estimator, cv, random_state, n_jobs, verbose : str, object, int or None
        As in `CausalRewardRegressor`.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        Negative and positive feedback: the larger of y's two labels is positive, NaN or None is no
        feedback. All other attributes are those of `CausalRewardRegressor`.

    Examples
    --------
    >>> from skcausalrm import CausalRewardClassifier
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> log = make_observational_feedback(5000, 16, signal="strong", random_state=0)
    >>> model = CausalRewardClassifier(random_state=0).fit(log.X, log.y)
    >>> model.predict_proba(log.X).shape
    (5000, 2)
    """

    score = _CausalReward.score  # not the mixin's
    _metric = staticmethod(debiased_accuracy_score)

    def _encode(self, X, y) -> Feedback:
        self.classes_, values = encode_labels(X, y, one_class=True)
        return Feedback(values, ~np.isnan(values), True)

    def _decode(self, y):
        return decode_labels(y, self.classes_)

    def predict_proba(self, X) -> NDArray[np.float64]:
        """Return P(r=0 given x) and P(r=1 given x).

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.

        Returns
        -------
        ndarray of shape (n, 2)
            Probabilities.
        """
        p = self._reward(X)[0]
        return np.column_stack([1 - p, p])

    def decision_function(self, X) -> NDArray[np.float64]:
        score = super().decision_function(X)
        half = 0.0 if self.recalibration_ is None else self.recalibration_.threshold
        on_logits = hasattr(self.estimator_, "decision_function")
        return score - (half if on_logits else float(expit(half)))
