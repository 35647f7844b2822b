"""SelectionModel: the likelihood of who answers what, which uses the unrated rows too."""

from __future__ import annotations

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils._sklearn_compat import HasMethods, Interval
from .._utils._validation import (
    FLOATS,
    Feedback,
    check_asked,
    check_column,
    check_feedback,
    check_verified,
    check_weights,
    warn_of_rare_class,
)
from .._utils._warnings import warn
from ..exceptions import AssumptionWarning, BaseRateUncertainWarning, FeedbackError
from ..heads._logistic import fit_sigmoid
from ..model_selection._cross_fitting import Folds, make_folds
from ._averaging import average
from ._counts import Outcome, count_outcomes, outcomes_of_rows
from ._likelihood import DELTA, GAMMA, A, B
from ._linear_predictors import LinearPredictors, fit_linear_predictors
from ._mixture import Mixture, base_rate_interval, level_moments
from ._mixture_head import MixtureHead
from ._priors import Knowledge, base_rate_prior, check_knowledge
from ._recalibration import fit_recalibration

__all__ = ["SelectionModel"]

# Above this posterior standard deviation of its logit, the base rate is said to be open.
UNCERTAIN = 0.4
# Of the logit: how far a known base rate may lie from what the feedback goes with.
_NEAR = 0.25
# Of the selection log odds: mean of the liked bins minus mean of the disliked, delta's part.
_DELTA_SHARE = 1.2


class SelectionModel(BaseEstimator):
    """P(r=1 given x) where people rate what they feel strongly about.

    Models all that a log shows, who rated and what was said, by one likelihood in which the chance
    of a rating depends on x and on the preference itself. Averages over the base rates that the
    log leaves open. A few rows that a person has checked settle them.

    Parameters
    ----------
    base_rate : float, (float, float) or None, default=None
        Known mean of P(r=1 given x), and how well it is known: the standard deviation of its
        logit (0.05 if only the rate is given). None takes any rate for as likely as any other.
    false_positive_rate, false_negative_rate : float or None, default=None
        Known P(s=1 given r=0) and P(s=0 given r=1). None estimates them, with a prior about .13.
    selection_log_odds : float or None, default=None
        How much likelier a liked answer is rated than a disliked one, in log odds, fixed within
        -10 and 10; 0 is selection on x alone. None estimates it, with a prior about 0.
    verified_error_rate : float, default=0.0
        How often the person behind `verified` errs, below 0.5.
    likelihood_power : float, default=0.25
        Power of the likelihood of the volunteered rows, in (0, 1]. The likelihood is a model, and
        at full power it would be sure of what it cannot know.
    cv : int or splitter, default=4
        Folds of the two indices.
    random_state : int, RandomState or None, default=None
        Folds, and the rows on which `predictor_slope_` is measured.
    n_jobs : int or None, default=None
        Link functions in parallel.

    Attributes
    ----------
    base_rate_ : float
        Posterior mean of the mean of P(r=1 given x).
    base_rate_interval_ : (float, float)
        Its 5% and 95% quantiles.
    base_rate_std_ : float
        Standard deviation of its logit.
    selection_log_odds_, selection_log_odds_std_ : float
        How much likelier a liked answer is rated, posterior mean and standard deviation; NaN if
        nothing could be learned of it.
    false_positive_rate_, false_negative_rate_ : float
        Posterior means.
    link_weights_ : dict of float to float
        Posterior weight of each link (1: logit, towards 0: complementary log-log).
    predictor_slope_ : ndarray of shape (2,)
        By what the two indices of new rows were stretched.
    head_ : MixtureHead
        P(r=1 given x), before recalibration.
    recalibration_ : Recalibration or None
        Where there were verified rows.
    oof_linear_predictors_ : ndarray of shape (n, 2)
    oof_probability_ : ndarray of shape (n,)
        P(r=1 given x) of the training rows by models that did not see their feedback.
    oof_posterior_ : ndarray of shape (n,)
        P(r=1 given o, s, x) likewise: the target for a head of your own.
    log_evidence_ : float
        Of the tempered likelihood, averaged over its parameters; to compare values of
        `selection_log_odds` on one log, not models.
    n_dropped_ : int
        Solutions left out of the average, as they were no maxima.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X has string column names.

    Notes
    -----
    Two logistic regressions give each row two out-of-fold indices: of being liked given rated,
    and of being rated. On these, the likelihood has a dozen parameters. Behind r lies a graded
    strength; how likely a row is rated depends on it and on both indices (`skcausalrm.selection`).
    With neither verified nor asked rows, nor a base rate, the ranking is reliable and the level is
    a guess within `base_rate_interval_`; a warning says so. Assumed: that feedback depends on x
    through the indices alone, and that selection on the preference has the same form everywhere.

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
        ("groups", "sample_weight", "asked", "verified"), True
    )

    _parameter_constraints: ClassVar[dict] = {
        "base_rate": [Real, tuple, list, None],
        "false_positive_rate": [Real, None],
        "false_negative_rate": [Real, None],
        "selection_log_odds": [Real, None],
        "verified_error_rate": [Interval(Real, 0, 0.5, closed="left")],
        "likelihood_power": [Interval(Real, 0, 1, closed="right")],
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods(["split"]), "array-like"],
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
        self.cv = cv
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X, y, *, groups=None, sample_weight=None, asked=None, verified=None):
        """Fit indices, likelihood and recalibration.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings, float32 or float64.
        y : array-like of shape (n,)
            Feedback: 1, 0, NaN where the user left none.
        groups : array-like of shape (n,) or (n, 2), default=None
            Prompt ids, or prompt and user ids: rows that share one are never split.
        sample_weight : array-like of shape (n,), default=None
            A weight counts as so many rows.
        asked : array-like of bool, shape (n,), default=None
            Rows whose feedback was asked for at random rather than volunteered.
        verified : array-like of shape (n,), default=None
            1 or 0 where a careful person has judged the answer, NaN elsewhere. A rule in x and the
            feedback may pick them; random rows do best.

        Returns
        -------
        self

        Raises
        ------
        FeedbackError, FeedbackError
            If y is not 0, 1 and NaN, or NaN throughout.
        FeedbackError
            If all feedback is of one class, as of clicks, and neither a base rate nor verified nor
            asked rows are given.
        InvalidInputError, InvalidInputError
            If a known base rate, selection log odds or flip rate cannot be.
        GroupsError
            If groups cannot be used.

        Warns
        -----
        BaseRateUncertainWarning
            If the standard deviation of the logit of the base rate exceeds 0.4.
        BaseRateUncertainWarning
            If no solution comes near the base rate that was given.
        FewFeedbackWarning, AssumptionWarning, FewFeedbackWarning
        """
        self._validate_params()
        X = validate_data(self, X, dtype=FLOATS, ensure_min_samples=2)
        feedback = check_feedback(X, y)
        asked = check_asked(asked, len(X))
        verified = check_verified(verified, len(X))
        sample_weight = check_weights(sample_weight, X)
        folds = make_folds(X, feedback.values, groups, self.cv, self.random_state)
        return self._fit_folds(X, feedback, folds, sample_weight, asked, verified)

    def _fit_folds(self, X, feedback: Feedback, folds: Folds, sample_weight, asked, verified):
        """Fit on checked input and folds that are there already."""
        self._check_feedback(feedback, asked, verified, sample_weight)
        rng = check_random_state(self.random_state)
        indices = fit_linear_predictors(X, feedback.values, asked, sample_weight, folds, rng)
        self._fit_likelihood(indices, feedback.values, sample_weight, asked, verified)
        self.n_features_in_ = X.shape[1]
        return self

    def _check_feedback(self, feedback: Feedback, asked, verified, sample_weight=None) -> None:
        if not feedback.binary:
            raise FeedbackError(
                f"SelectionModel is a model of 0/1 feedback, but {feedback.observed.sum()} rated "
                f"rows hold other values: binarise them."
            )
        # Bad knowledge is refused before the work that comes before its use.
        self._knowledge()
        base_rate_prior(self.base_rate)
        observed, values = feedback.observed, feedback.values
        if sample_weight is not None:
            observed = observed & (sample_weight > 0)
        spontaneous = np.ones(len(values), dtype=bool) if asked is None else ~asked
        volunteered, answered = observed & spontaneous, observed & ~spontaneous
        positives = int((values[volunteered] == 1).sum())
        if volunteered.any() and positives in (0, volunteered.sum()):
            if self.base_rate is None and verified is None and not answered.any():
                raise FeedbackError(
                    f"All {volunteered.sum()} rated rows are of one class, {int(positives > 0)}, "
                    f"so how rare good answers are and how rarely people rate them cannot be told "
                    f"apart: give base_rate, verified rows or asked rows."
                )
        else:
            warn_of_rare_class(values)
        if volunteered.any() and observed[spontaneous].all():
            warn(
                f"All {volunteered.sum()} rows that nobody asked for are rated, so there is no "
                f"selection to model: keep the unrated rows of the log if there were any.",
                AssumptionWarning,
                "no-unrated-rows",
            )

    def _knowledge(self) -> Knowledge:
        return check_knowledge(
            self.false_positive_rate,
            self.false_negative_rate,
            self.selection_log_odds,
            self.verified_error_rate,
        )

    def _fit_likelihood(self, indices: LinearPredictors, y, sample_weight, asked, verified) -> None:
        """Fit all that stands on the indices."""
        self.oof_linear_predictors_, self.predictor_slope_ = indices.z, indices.slope
        outcome = outcomes_of_rows(y, asked)
        seen = np.bincount(outcome, sample_weight, minlength=len(Outcome))
        pair = Outcome.DISLIKED, Outcome.LIKED
        self._clicks = [
            kind for kind, other in (pair, pair[::-1]) if seen[kind] and not seen[other]
        ]
        outcome = self._merge_clicks(outcome)
        counts = count_outcomes(
            indices.z,
            outcome,
            verified,
            weight=sample_weight,
            likelihood_power=self.likelihood_power,
        )
        prior = base_rate_prior(self.base_rate)
        knowledge = self._knowledge()._replace(rated_is_praise=Outcome.DISLIKED not in self._clicks)
        mixture, whole = average(counts, knowledge, prior, n_jobs=self.n_jobs)
        self._check_reach(whole, prior)
        self._mixture = mixture
        self._describe(whole)
        self.oof_probability_ = mixture.probability(indices.z)
        self.head_ = self._make_head(indices, counts, self.oof_probability_)
        posterior = self._posterior(indices.z, outcome)
        self.recalibration_ = None
        if verified is not None:
            self.recalibration_ = fit_recalibration(
                self.oof_probability_,
                verified,
                y,
                sample_weight=sample_weight,
                error_rate=self.verified_error_rate,
                posterior=self._without_own_label(indices.z, outcome, verified),
            )
            posterior = self.recalibration_.move(posterior, self.oof_probability_)
            self.oof_probability_ = self.recalibration_(self.oof_probability_)
        self.oof_posterior_ = posterior
        if self.base_rate_std_ > UNCERTAIN:
            low, high = self.base_rate_interval_
            warn(
                f"The log leaves the share of good answers open between {low:.0%} and {high:.0%}, "
                f"so the reward ranks but its level is a guess: have about 50 rows checked "
                f"(`skcausalrm label`) and pass them as verified, or give base_rate.",
                BaseRateUncertainWarning,
                "uncertain",
            )

    def _check_reach(self, mixture: Mixture, prior) -> None:
        """Warn if a base rate was given that no solution comes near."""
        levels = [node.level for node in mixture.nodes]
        low, high = min(levels), max(levels)
        beyond = max(low - prior.mean(), prior.mean() - high)
        if self.base_rate is not None and beyond > max(4 * prior.std(), _NEAR):
            warn(
                f"base_rate is {self.base_rate!r}, but the feedback goes with base rates between "
                f"{expit(low):.1%} and {expit(high):.1%} alone, so the reward's mean is at the "
                f"nearer end: mend the rate, or leave it out.",
                BaseRateUncertainWarning,
                "unreached",
            )

    def _merge_clicks(self, outcome: NDArray) -> NDArray:
        """Where volunteers say only one thing, that they said it is all there is."""
        return np.where(np.isin(outcome, self._clicks), Outcome.RATED, outcome)

    def _describe(self, mixture: Mixture) -> None:
        """Set what the posterior says of base rate, selection, flips and links."""
        nodes = mixture.nodes
        self.base_rate_ = mixture.mean([node.base_rate for node in nodes])
        self.base_rate_std_ = level_moments(mixture)[1]
        self.base_rate_interval_ = base_rate_interval(mixture)
        towards = np.zeros(len(nodes[0].theta))
        towards[GAMMA], towards[DELTA] = 1, _DELTA_SHARE
        any_model = next(iter(mixture.models.values()))
        self.selection_log_odds_ = self.selection_log_odds_std_ = np.nan
        if any_model.selects:
            log_odds = np.array([node.theta @ towards for node in nodes])
            variances = np.array([towards @ node.covariance @ towards for node in nodes])
            mean = mixture.mean(log_odds)
            self.selection_log_odds_ = mean
            self.selection_log_odds_std_ = mixture.mean(variances + (log_odds - mean) ** 2) ** 0.5
        rates = np.array([any_model.rates(node.theta) for node in nodes])
        self.false_positive_rate_, self.false_negative_rate_ = map(mixture.mean, rates.T)
        self.link_weights_ = {
            float(link): float(mixture.weights[mixture.links == link].sum())
            for link in mixture.models
        }
        self.log_evidence_ = mixture.log_evidence
        self.n_dropped_ = mixture.n_dropped

    def _make_head(self, indices: LinearPredictors, counts, probability: NDArray) -> MixtureHead:
        theta = np.array([node.theta for node in self._mixture.nodes])
        weights, intercepts, slopes = self._mixture.weights, theta[:, B], theta[:, A]
        # The linear predictor of the one sigmoid is the mean log odds, stretched to fit.
        p = self._mixture.probability(counts.z)
        slope, intercept = weights @ slopes, weights @ intercepts
        stretch, shift = fit_sigmoid(counts.z @ slope + intercept, p, counts.weight)
        single_slopes, single_intercept = stretch * slope, stretch * intercept + shift
        single = expit(indices.z @ single_slopes + single_intercept)
        return MixtureHead(
            directions=indices.directions,
            offsets=indices.offsets,
            weights=weights,
            intercepts=intercepts,
            slopes=slopes,
            single_slopes=single_slopes,
            single_intercept=float(single_intercept),
            single_difference=float(np.abs(single - probability).max()),
        )

    def _posterior(self, z: NDArray, outcome: NDArray) -> NDArray[np.float64]:
        return self._mixture.posterior(z, outcome)

    def _without_own_label(self, z, outcome, verified) -> NDArray[np.float64]:
        """P(r=1 given o, s, x) of the verified rows, NaN elsewhere."""
        judged = ~np.isnan(verified)
        result = np.full(len(z), np.nan)
        result[judged] = self._mixture.posterior_without_label(
            z[judged], outcome[judged], verified[judged], self.verified_error_rate
        )
        return result

    def predict_proba(self, X) -> NDArray[np.float64]:
        """Return P(r=0 given x) and P(r=1 given x), shape (n, 2)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        p = self.head_.predict(X)
        p = p if self.recalibration_ is None else self.recalibration_(p)
        return np.column_stack([1 - p, p])

    def posterior(self, X, y, *, asked=None) -> NDArray[np.float64]:
        """Return P(r=1 given feedback and x) of new rows, rated or not.

        Parameters
        ----------
        X : array-like of shape (n, d)
        y : array-like of shape (n,)
            Feedback, NaN where there is none; that too tells something.
        asked : array-like of bool, shape (n,), default=None

        Returns
        -------
        ndarray of shape (n,)
            For training rows use `oof_posterior_`, which has not seen their feedback twice.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        y = check_column(y, "y", len(X), allow_nan=True)
        outcome = self._merge_clicks(outcomes_of_rows(y, check_asked(asked, len(X))))
        z = self.head_.linear_predictors(X)
        posterior = self._posterior(z, outcome)
        if self.recalibration_ is None:
            return posterior
        return self.recalibration_.move(posterior, self._mixture.probability(z))
