"""Fit of the likelihood to linear predictors: averaging, head, posterior, recalibration."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from .._utils._validation import Feedback, warn_of_rare_class
from .._utils._warnings import warn
from ..exceptions import (
    AssumptionWarning,
    BaseRateUncertainWarning,
    FeedbackError,
)
from ..heads._logistic import fit_sigmoid
from ._averaging import average
from ._counts import Counts, Outcome, count_outcomes, outcomes_of_rows
from ._likelihood import DELTA, GAMMA, A, B
from ._linear_predictors import LinearPredictors
from ._mixture import Mixture, base_rate_interval, level_moments
from ._mixture_head import MixtureHead
from ._priors import Knowledge, base_rate_prior
from ._recalibration import Recalibration, fit_recalibration

__all__ = ["UNCERTAIN", "LikelihoodFit", "Posterior", "check_likelihood_feedback", "fit_likelihood"]

# Posterior standard deviation of the base rate's logit above which a warning is raised.
UNCERTAIN = 0.4
# Distance on the logit scale by which all solutions may miss a given base rate without a warning.
_NEAR = 0.25
# Weight of delta in the selection log odds: mean grade of the liked bins minus the disliked ones'.
_DELTA_SHARE = 1.2


class Posterior(NamedTuple):
    """P(r=1 given o, s, x) of rows by their linear predictors.

    Attributes
    ----------
    mixture : Mixture
    merged : list of Outcome
        Volunteered outcomes that are read as "rated", because volunteers left only one kind.
    """

    mixture: Mixture
    merged: list[Outcome]

    def outcomes(self, y: NDArray, asked: NDArray[np.bool_] | None) -> NDArray[np.intp]:
        """Return the `Outcome` of each row as the likelihood reads it, shape (n,)."""
        outcome = outcomes_of_rows(y, asked)
        return np.where(np.isin(outcome, self.merged), Outcome.RATED, outcome)

    def __call__(self, z: NDArray, outcome: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the posterior of each row, before recalibration, shape (n,)."""
        return self.mixture.posterior(z, outcome)


class LikelihoodFit(NamedTuple):
    """Results of `fit_likelihood`; see `SelectionModel` for those that it reports.

    Attributes
    ----------
    posterior : Posterior
    head : MixtureHead
    recalibration : Recalibration or None
    probability : ndarray of shape (n,)
        P(r=1 given x) of the training rows, recalibrated.
    target : ndarray of shape (n,)
        P(r=1 given o, s, x) of the training rows, recalibrated.
    base_rate, base_rate_std : float
    base_rate_interval : (float, float)
    selection_log_odds, selection_log_odds_std : float
    rates : (float, float)
        False positive and false negative rate.
    link_weights : dict of float to float
    log_evidence : float
    n_dropped : int
    """

    posterior: Posterior
    head: MixtureHead
    recalibration: Recalibration | None
    probability: NDArray[np.float64]
    target: NDArray[np.float64]
    base_rate: float
    base_rate_std: float
    base_rate_interval: tuple[float, float]
    selection_log_odds: float
    selection_log_odds_std: float
    rates: tuple[float, float]
    link_weights: dict[float, float]
    log_evidence: float
    n_dropped: int


def check_likelihood_feedback(
    feedback: Feedback, asked, verified, sample_weight, *, base_rate
) -> None:
    """Check that the likelihood can be fitted to the feedback.

    Raises
    ------
    FeedbackError
        If volunteers left one class only and nothing else settles the base rate.

    Warns
    -----
    FewFeedbackWarning, AssumptionWarning
    """
    observed, values = feedback.observed, feedback.values
    if sample_weight is not None:
        observed = observed & (sample_weight > 0)
    spontaneous = np.ones(len(values), dtype=bool) if asked is None else ~asked
    volunteered, answered = observed & spontaneous, observed & ~spontaneous
    positives = int((values[volunteered] == 1).sum())
    if volunteered.any() and positives in (0, volunteered.sum()):
        if base_rate is None and verified is None and not answered.any():
            raise FeedbackError(
                f"All {volunteered.sum()} rated rows are of one class, {int(positives > 0)}, so "
                f"the base rate and the rate of answering cannot be told apart: give verified "
                f"rows, asked rows, or SelectionModel(base_rate=...)."
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


def fit_likelihood(
    predictors: LinearPredictors,
    y: NDArray,
    knowledge: Knowledge,
    *,
    base_rate=None,
    likelihood_power: float = 0.25,
    sample_weight: NDArray | None = None,
    asked: NDArray[np.bool_] | None = None,
    verified: NDArray | None = None,
    n_jobs: int | None = None,
) -> LikelihoodFit:
    """Fit the likelihood to the linear predictors of the training rows.

    Parameters
    ----------
    predictors : LinearPredictors
    y : ndarray of shape (n,)
        0, 1, NaN where unrated.
    knowledge : Knowledge
    base_rate : float, (float, float) or None, default=None
        As in `SelectionModel`.
    likelihood_power : float, default=0.25
    sample_weight, asked, verified : ndarray of shape (n,) or None
    n_jobs : int or None, default=None

    Returns
    -------
    LikelihoodFit

    Warns
    -----
    BaseRateUncertainWarning
        If the base rate is not identified, or no solution comes near the given one.
    FewFeedbackWarning, AssumptionWarning
        See `fit_recalibration`.
    """
    outcome = outcomes_of_rows(y, asked)
    seen = np.bincount(outcome, sample_weight, minlength=len(Outcome))
    pair = Outcome.DISLIKED, Outcome.LIKED
    merged = [kind for kind, other in (pair, pair[::-1]) if seen[kind] and not seen[other]]
    outcome = np.where(np.isin(outcome, merged), Outcome.RATED, outcome)
    counts = count_outcomes(
        predictors.z, outcome, verified, weight=sample_weight, likelihood_power=likelihood_power
    )
    prior = base_rate_prior(base_rate)
    knowledge = knowledge._replace(rated_is_praise=Outcome.DISLIKED not in merged)
    mixture, whole = average(counts, knowledge, prior, n_jobs=n_jobs)
    if base_rate is not None:
        _warn_if_unreached(whole, prior, base_rate)
    posterior = Posterior(mixture, merged)
    probability = mixture.probability(predictors.z)
    head = _make_head(predictors, counts, mixture, probability)
    target, recalibration = posterior(predictors.z, outcome), None
    if verified is not None:
        recalibration = fit_recalibration(
            probability,
            verified,
            y,
            sample_weight=sample_weight,
            error_rate=knowledge.verified_error_rate,
            posterior=_without_own_label(
                mixture, predictors.z, outcome, verified, knowledge.verified_error_rate
            ),
        )
        target = recalibration.move(target, probability)
        probability = recalibration(probability)
    std, interval = level_moments(whole)[1], base_rate_interval(whole)
    if std > UNCERTAIN:
        low, high = interval
        warn(
            f"The log does not identify the share of good answers: it lies between {low:.0%} and "
            f"{high:.0%}, so the reward ranks but its level is a guess. Have about 50 rows checked "
            f"(`skcausalrm label`) and pass them as verified, or use "
            f"SelectionModel(base_rate=...).",
            BaseRateUncertainWarning,
            "uncertain",
        )
    log_odds, log_odds_std = _selection_log_odds(whole)
    any_model = next(iter(whole.models.values()))
    rates = np.array([any_model.rates(node.theta) for node in whole.nodes])
    false_positive, false_negative = map(whole.mean, rates.T)
    return LikelihoodFit(
        posterior=posterior,
        head=head,
        recalibration=recalibration,
        probability=probability,
        target=target,
        base_rate=whole.mean([node.base_rate for node in whole.nodes]),
        base_rate_std=std,
        base_rate_interval=interval,
        selection_log_odds=log_odds,
        selection_log_odds_std=log_odds_std,
        rates=(false_positive, false_negative),
        link_weights={
            float(link): float(whole.weights[whole.links == link].sum()) for link in whole.models
        },
        log_evidence=whole.log_evidence,
        n_dropped=whole.n_dropped,
    )


def _warn_if_unreached(mixture: Mixture, prior, base_rate) -> None:
    levels = [node.level for node in mixture.nodes]
    low, high = min(levels), max(levels)
    beyond = max(low - prior.mean(), prior.mean() - high)
    if beyond > max(4 * prior.std(), _NEAR):
        warn(
            f"base_rate is {base_rate!r}, but the feedback only agrees with base rates between "
            f"{expit(low):.1%} and {expit(high):.1%}, so the reward's mean is at the nearer end: "
            f"fix the rate, or leave it out.",
            BaseRateUncertainWarning,
            "unreached",
        )


def _selection_log_odds(mixture: Mixture) -> tuple[float, float]:
    """Return posterior mean and sd of ``gamma + 1.2 delta``, NaN if selection is not modelled."""
    nodes = mixture.nodes
    if not next(iter(mixture.models.values())).selects:
        return np.nan, np.nan
    direction = np.zeros(len(nodes[0].theta))
    direction[GAMMA], direction[DELTA] = 1, _DELTA_SHARE
    log_odds = np.array([node.theta @ direction for node in nodes])
    variances = np.array([direction @ node.covariance @ direction for node in nodes])
    mean = mixture.mean(log_odds)
    return mean, mixture.mean(variances + (log_odds - mean) ** 2) ** 0.5


def _make_head(
    predictors: LinearPredictors, counts: Counts, mixture: Mixture, probability: NDArray
) -> MixtureHead:
    theta = np.array([node.theta for node in mixture.nodes])
    weights, intercepts, slopes = mixture.weights, theta[:, B], theta[:, A]
    # The linear predictor of the one sigmoid is the mean log odds, stretched to fit.
    p = mixture.probability(counts.z)
    slope, intercept = weights @ slopes, weights @ intercepts
    stretch, shift = fit_sigmoid(counts.z @ slope + intercept, p, counts.weight)
    single_slopes, single_intercept = stretch * slope, stretch * intercept + shift
    single = expit(predictors.z @ single_slopes + single_intercept)
    return MixtureHead(
        directions=predictors.directions,
        offsets=predictors.offsets,
        weights=weights,
        intercepts=intercepts,
        slopes=slopes,
        single_slopes=single_slopes,
        single_intercept=float(single_intercept),
        single_difference=float(np.abs(single - probability).max()),
    )


def _without_own_label(
    mixture: Mixture, z, outcome, verified, error_rate: float
) -> NDArray[np.float64]:
    """Return the verified rows' posteriors by weights that divide out their own label, (n,)."""
    judged = ~np.isnan(verified)
    result = np.full(len(z), np.nan)
    result[judged] = mixture.posterior_without_label(
        z[judged], outcome[judged], verified[judged], error_rate
    )
    return result
