"""SelectionModel: a likelihood of who rates and what they say, which uses the unrated rows too."""

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._utils._columns import RowColumns
from .._utils._hashing import feedback_hash
from .._utils._sklearn_compat import Interval
from .._utils._validation import check_asked, check_new_rows, decode_labels
from ..metrics._debiased import debiased_accuracy_score
from ..model_selection._cross_fitting import Folds
from ..nuisances._base import NuisanceClassifier
from ._fitting import check_likelihood_feedback, fit_likelihood
from ._inputs import fit_inputs
from ._priors import check_knowledge
from ._signals import signal_dependence, signal_log_odds


class SelectionModel(NuisanceClassifier):
    """P(r=1 given x) where people rate because of how they feel about the answer.

    One likelihood models who rates and what they say: the chance of a rating depends on x and on
    the preference itself. It uses the unrated rows, and averages over the base rates that the log
    allows. A few rows that a person has checked identify the base rate.

    Parameters
    ----------
    base_rate : float, (float, float) or None, default=None
        Known share of good answers, the mean of P(r=1 given x), alone or with the standard
        deviation of its logit (0.05 if only the rate is given). None puts a uniform prior on it.
    false_positive_rate, false_negative_rate : float, (float, float) or None, default=None
        Known P(s=1 given r=0) and P(s=0 given r=1), alone (known for sure) or with a standard
        deviation. None estimates them, with a prior whose median is .13.
    selection_log_odds : float or None, default=None
        Known log odds by which a liked answer is rated rather than a disliked one, from -10 to 10;
        0 means selection on x alone. None estimates it, with a prior centred on 0.
    verified_error_rate : float, default=0.0
        Error rate of the person behind `verified`, below 0.5.
    likelihood_power : float, default=0.25
        Power of the likelihood of the volunteered rows, in (0, 1]. Less than 1 because the
        likelihood is misspecified: at full power it is too sure of the base rate.
    exclusion_sd : float, default=0.05
        Prior standard deviation, per logit of habit, of what `users` and `instruments` may say on
        anything but who rates: quality, selection on the preference, flips. 0: nothing.
    cv : int, splitter or None, default=4
        Folds of the two linear predictors; None means 5.
    random_state : int, RandomState or None, default=None
        Seed of the folds, and of the rows on which `predictor_slope_` is measured.
    n_jobs : int or None, default=None
        Link functions fitted in parallel.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        Negative and positive feedback, as in y.
    base_rate_ : float
        Posterior mean of the base rate.
    base_rate_interval_ : (float, float)
        5% and 95% quantiles of the base rate.
    base_rate_std_ : float
        Standard deviation of the base rate's logit.
    base_rate_doubt_ : float
        Posterior probability that `base_rate_` is off by more than 0.1.
    selection_log_odds_, selection_log_odds_std_ : float
        Posterior mean and standard deviation of the selection log odds; NaN if the log says
        nothing about selection.
    false_positive_rate_, false_negative_rate_ : float
        Posterior means of the flip rates.
    false_positive_rate_std_, false_negative_rate_std_ : float
        Their posterior standard deviations; 0 where known for sure.
    habit_ : ndarray of shape (n,) or None
        How readily the row's user rates: log odds of a rating that users and instruments add. None
        without them, or where they say nothing.
    habit_effect_ : (float, float) or None
        Posterior mean and standard deviation of the habit's effect on the log odds of a rating, 1
        where the estimated habit is taken at its word.
    instrument_reach_ : float or None
        Share rated in the rows of the keenest users: the closer to 1, the less the level rests on
        the form of the likelihood.
    level_source_ : dict of str to str
        "used", or why not, for each of "users", "instruments", "signals", "judge_score", "asked",
        "verified" and "base_rate" that was given: what can tell the base rate.
    level_check_ : LevelCheck or None
        Where there are verified rows, and users or signals: how far the verified labels are from
        what the log alone says of them, ``z`` in standard errors and its ``p``.
    signal_log_odds_ : dict of str to (float, float), or None
        Posterior mean and standard deviation, per signal, of the log odds by which it is likelier
        on a good answer than on a bad one.
    signal_dependence_ : dict of str to dict, or None
        Posterior mean and standard deviation, per signal, of the log odds that a rating and each of
        the signals before it add to it, the answer being as good; 0 for a judge's score.
    link_weights_ : dict of float to float
        Posterior weight of each link (1 is the logit, 0 the limit complementary log-log).
    predictor_slope_ : ndarray of shape (2,)
        Factors by which the linear predictors of new rows are stretched.
    head_ : MixtureHead
        P(r=1 given x), before recalibration.
    recalibration_ : Recalibration or None
        Fitted where there were verified rows.
    recalibration_covariance_ : ndarray of shape (2, 2) or None
        Covariance of its intercept and slope.
    row_posterior_ : Posterior
        P(r=1 given feedback and x) by linear predictors, before recalibration.
    oof_linear_predictors_ : ndarray of shape (n, 2)
        Out-of-fold linear predictors of the training rows: liked given rated, and rated. The
        folds share one coefficient of the first along the second's direction.
    oof_probability_ : ndarray of shape (n,)
        P(r=1 given x) of the training rows, out of fold.
    oof_posterior_ : ndarray of shape (n,)
        P(r=1 given o, s, x) of the training rows, out of fold: the target for other heads.
    log_evidence_ : float
        Log of the tempered likelihood averaged over its parameters. Compares values of
        `selection_log_odds` on one log, not models.
    feedback_hash_ : int
        Hash of the feedback fitted on: tells whether rows are the training rows.
    n_dropped_ : int
        Solutions left out of the average because they were no maxima.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Column names of X, where all are strings.

    See Also
    --------
    CausalRewardRegressor : The same with other corrections, heads and reports.

    Notes
    -----
    Two averaged ridge regressions give each row two out-of-fold linear predictors: of being liked
    given rated, and of being rated. On these, the likelihood has a dozen parameters: a graded
    strength is behind r, and the chance of a rating depends on it and on both predictors
    (`skcausalrm.selection._likelihood` has the equations). Without verified rows, asked rows or a
    base rate the log identifies the ranking, and the base rate only within
    `base_rate_interval_`; a warning says so. Assumptions: feedback depends on x through the two
    linear predictors alone, and selection on the preference has the same form for all rows.

    `users` are instruments: people differ widely in how readily they rate, and those who rate
    nearly everything are nearly unselected. How feedback changes from them to those who rate
    seldom shows the selection, and so the base rate, if a user's habit has little to do with how
    good the answers are that he gets. Users serve the fit alone: a prediction is for x.

    `signals` are further views of the same preference, each with its own selection. They are not
    independent given r and x: each depends on whether the row is rated and on the signals before.

    Examples
    --------
    >>> from skcausalrm import SelectionModel
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> log = make_observational_feedback(5000, 16, selection="reward", n_verified=50,
    ...                                   random_state=0)
    >>> model = SelectionModel(random_state=0).fit(log.X, log.y, verified=log.verified)
    >>> model.predict_proba(log.X).shape
    (5000, 2)
    >>> low, high = model.base_rate_interval_
    >>> bool(low < 0.5 < high)
    True
    """

    __metadata_request__fit: ClassVar = dict.fromkeys(
        (
            *("groups", "users", "instruments", "signals", "signal_directions"),
            *("asked", "verified", "judge_score"),
        ),
        True,
    )
    __metadata_request__score: ClassVar = {"asked": True}

    _parameter_constraints: ClassVar[dict] = {
        "base_rate": [Real, tuple, list, None],
        "false_positive_rate": [Real, tuple, list, None],
        "false_negative_rate": [Real, tuple, list, None],
        "selection_log_odds": [Real, None],
        "verified_error_rate": [Interval(Real, 0, 0.5, closed="left")],
        "likelihood_power": [Interval(Real, 0, 1, closed="right")],
        "exclusion_sd": [Interval(Real, 0, None, closed="left")],
        "cv": ["cv_object"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        *,
        base_rate=None,
        false_positive_rate=None,
        false_negative_rate=None,
        selection_log_odds=None,
        verified_error_rate=0.0,
        likelihood_power=0.25,
        exclusion_sd=0.05,
        cv=4,
        random_state=None,
        n_jobs=None,
    ):
        self.base_rate = base_rate
        self.false_positive_rate = false_positive_rate
        self.false_negative_rate = false_negative_rate
        self.selection_log_odds = selection_log_odds
        self.verified_error_rate = verified_error_rate
        self.likelihood_power = likelihood_power
        self.exclusion_sd = exclusion_sd
        self.cv = cv
        self.random_state = random_state
        self.n_jobs = n_jobs

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
        judge_score=None,
    ):
        """Fit linear predictors, likelihood and recalibration.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings, float32 or float64.
        y : array-like of shape (n,)
            Feedback of two classes, the larger one positive; NaN or None where the user left none.
            A log of one class, such as clicks, must hold 1 (or 0).
        groups : array-like of shape (n,), default=None
            Conversation or prompt ids: rows that share one are never split.
        users : array-like of shape (n,), default=None
            User ids; a row without one is a user of its own. See Notes.
        instruments : array-like of shape (n,) or (n, m), default=None
            Numbers that move who rates and not how good the answer is: whether feedback was
            prompted, the widget's position, the device. NaN counts as the column's mean.
        signals : DataFrame or dict of str to array-like of shape (n,), default=None
            What else shows how good an answer is, such as "copied" or "regenerated": 1 where it
            happened, 0 where not, NaN where it could not be seen.
        signal_directions : dict of str to str, default=None
            "positive" or "negative" by the signal's name, for names that do not say (copied,
            thanked, shared, dwell; regenerated, rephrased, retried, complained, edited, abandoned).
        sample_weight : array-like of shape (n,), default=None
            A weight counts as so many rows.
        asked : array-like of bool, shape (n,), default=None
            Rows whose feedback was asked for at random rather than volunteered.
        verified : array-like of shape (n,), default=None
            1 or 0 where a careful person has judged the answer, NaN elsewhere. Any rule in x and
            the feedback may pick them; random rows do best.
        judge_score : array-like of shape (n,), default=None
            An LLM judge's score of every row. Taken as one more signal, of which only whether it is
            among the upper half counts: the judge knows the answer, and not who rated it.

        Returns
        -------
        self
            Fitted model.

        Raises
        ------
        FeedbackError
            If y is NaN throughout or has more than two classes, or if all feedback is of one class
            and neither a base rate nor verified nor asked rows are given.
        InvalidInputError
            If a known base rate, selection log odds or flip rate is impossible, or a signal has no
            direction or other values than 1, 0 and missing.
        GroupsError
            If groups cannot be used, or users are not one id per row.

        Warns
        -----
        BaseRateUncertainWarning
            If `base_rate_doubt_` exceeds 0.05 (code "uncertain"), or no solution comes near the
            base rate that was given (code "unreached").
        FewFeedbackWarning, AssumptionWarning
            If a kind of row is rare or absent, or users and instruments cannot tell the level
            (codes "habit-thumbs", "habit-reach", "habit-users"), a signal hardly ever varies
            ("constant-signal"), or verified rows contradict them ("level-contradicted").
        """
        given = {"users": users, "instruments": instruments, "sample_weight": sample_weight}
        given |= {"asked": asked, "verified": verified, "judge_score": judge_score}
        given |= {"signals": signals, "signal_directions": signal_directions}
        return self._check_and_fit(X, y, one_class=True, groups=groups, **given)

    def _fit(self, X, y, columns: RowColumns, folds: Folds):
        knowledge = check_knowledge(self)
        check_likelihood_feedback(y, columns, base_rate=self.base_rate)
        inputs = fit_inputs(
            X,
            y,
            columns,
            folds,
            knowledge,
            likelihood_power=self.likelihood_power,
            random_state=self.random_state,
        )
        found = fit_likelihood(
            inputs, y, knowledge, likelihood_power=self.likelihood_power, n_jobs=self.n_jobs
        )
        predictors, habit, signals = inputs.predictors, inputs.habit, inputs.signals
        self.level_source_ = inputs.sources
        self.oof_linear_predictors_, self.predictor_slope_ = predictors.z, predictors.slope
        self.row_posterior_ = found.posterior
        self.head_, self.recalibration_ = found.head, found.recalibration
        self.recalibration_covariance_ = found.recalibration_covariance
        self.feedback_hash_ = feedback_hash(y)
        self.oof_probability_, self.oof_posterior_ = found.probability, found.target
        settled = {"asked": columns.asked, "verified": columns.verified}
        settled["base_rate"] = self.base_rate
        self.level_source_ |= {name: "used" for name, to in settled.items() if to is not None}
        self.habit_ = None if habit is None else habit.values
        self.instrument_reach_ = None if habit is None else habit.reach
        whole = found.whole
        self.habit_effect_ = whole.habit_effect
        self.level_check_ = found.level_check
        self.signal_log_odds_ = signal_log_odds(whole, signals)
        self.signal_dependence_ = signal_dependence(whole, signals)
        self.base_rate_, self.base_rate_std_ = whole.base_rate, whole.level_moments[1]
        self.base_rate_doubt_ = whole.base_rate_doubt
        self.base_rate_interval_ = whole.base_rate_interval
        self.selection_log_odds_, self.selection_log_odds_std_ = whole.selection_log_odds
        self.false_positive_rate_, self.false_negative_rate_ = whole.rates
        self.false_positive_rate_std_, self.false_negative_rate_std_ = whole.rate_stds
        self.link_weights_, self.log_evidence_ = whole.link_weights, whole.log_evidence
        self.n_dropped_ = whole.n_dropped
        return self

    def predict_proba(self, X) -> NDArray[np.float64]:
        """Return P(r=0 given x) and P(r=1 given x).

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.

        Returns
        -------
        ndarray of shape (n, 2)
            Probabilities, recalibrated where there were verified rows.
        """
        X = check_new_rows(self, X)
        p = self.head_.predict(X)
        p = p if self.recalibration_ is None else self.recalibration_(p)
        return np.column_stack([1 - p, p])

    def score(self, X, y, sample_weight=None, *, asked=None) -> float:
        """Return the debiased accuracy of `predict` on a log, by the posterior of each row.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.
        y : array-like of shape (n,)
            Feedback of the classes seen in `fit`, NaN where there is none.
        sample_weight : array-like of shape (n,), default=None
            Row weights.
        asked : array-like of bool, shape (n,), default=None
            Rows whose feedback was asked for at random.

        Returns
        -------
        float
            Estimated share of rows whose class is predicted right.
        """
        p = self.predict_proba(X)[:, 1]
        z = self.posterior(X, y, asked=asked)
        return float(debiased_accuracy_score(z, p, sample_weight=sample_weight))  # type: ignore[arg-type]

    def posterior(self, X, y, *, asked=None) -> NDArray[np.float64]:
        """Return P(r=1 given feedback and x) of new rows, rated or not, by users of average habit.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.
        y : array-like of shape (n,)
            Feedback of the classes seen in `fit`, NaN where there is none, which is evidence too.
        asked : array-like of bool, shape (n,), default=None
            Rows whose feedback was asked for at random.

        Returns
        -------
        ndarray of shape (n,)
            Posterior probabilities. For training rows use `oof_posterior_`, whose linear
            predictors have not seen the row's feedback.
        """
        X = check_new_rows(self, X)
        y = decode_labels(y, self.classes_, n_rows=len(X))
        z = self.head_.linear_predictors(X)
        posterior = self.row_posterior_(z, y, check_asked(asked, len(X)))
        if self.recalibration_ is None:
            return posterior
        return self.recalibration_.move(posterior, self.row_posterior_.mixture.probability(z))
