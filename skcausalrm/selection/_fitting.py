"""Fit of the likelihood to linear predictors: averaging, head, posterior, recalibration."""

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from .._utils._columns import RowColumns
from .._utils._validation import warn_of_rare_class
from .._utils._warnings import warn
from ..exceptions import AssumptionWarning, BaseRateUncertainWarning, FeedbackError
from ..heads._logistic import fit_sigmoid
from ._averaging import average
from ._counts import Counts, Outcome, outcomes_of_rows
from ._inputs import Inputs
from ._level_check import LevelCheck, check_level
from ._linear_predictors import LinearPredictors
from ._mixture import OFF, Mixture
from ._mixture_head import MixtureHead
from ._parameters import A, B
from ._priors import Knowledge, base_rate_prior
from ._recalibration import Recalibration, fit_recalibration, recalibration_covariance

# Posterior probability that the base rate is off by over 0.1, above which a warning is raised.
UNCERTAIN = 0.05
# Distance on the logit scale by which all solutions may miss a given base rate without a warning.
_NEAR = 0.25


class Posterior(NamedTuple):
    """P(r=1 given o, s, x) of rows by their linear predictors.

    Attributes
    ----------
    mixture : Mixture
    merged : list of Outcome
        As in `outcomes_of_rows`.
    """

    mixture: Mixture
    merged: list[Outcome]

    def __call__(
        self, z: NDArray, y: NDArray, asked: NDArray[np.bool_] | None
    ) -> NDArray[np.float64]:
        """Return the posterior of each row, before recalibration, shape (n,)."""
        return self.mixture.posterior(z, outcomes_of_rows(y, asked, self.merged))

    def sample(self, n_draws: int, rng: np.random.RandomState) -> Self:
        """Return a posterior of equally likely draws of the parameters."""
        return self._replace(mixture=self.mixture.sample(n_draws, rng))

    def draws(
        self,
        z: NDArray,
        y: NDArray,
        asked: NDArray[np.bool_] | None,
        habit: NDArray | None = None,
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the posterior of each row by each node of the mixture, shape (n,)."""
        return self.mixture.posteriors(z, outcomes_of_rows(y, asked, self.merged), habit)


class LikelihoodFit(NamedTuple):
    """Results of `fit_likelihood`.

    Attributes
    ----------
    posterior : Posterior
    head : MixtureHead
    recalibration : Recalibration or None
    probability : ndarray of shape (n,)
        P(r=1 given x) of the training rows, recalibrated.
    target : ndarray of shape (n,)
        P(r=1 given o, s, x) of the training rows, recalibrated.
    whole : Mixture
        All solutions, also those too unlikely for predictions: base rate, selection, flip rates.
    level_check : LevelCheck or None
        Where there are verified rows, and users or signals.
    recalibration_covariance : ndarray of shape (2, 2) or None
    """

    posterior: Posterior
    head: MixtureHead
    recalibration: Recalibration | None
    probability: NDArray[np.float64]
    target: NDArray[np.float64]
    whole: Mixture
    level_check: LevelCheck | None = None
    recalibration_covariance: NDArray[np.float64] | None = None


def check_likelihood_feedback(y: NDArray, columns: RowColumns, *, base_rate) -> None:
    """Check that the likelihood can be fitted to the feedback.

    Raises
    ------
    FeedbackError
        If volunteers left one class only and nothing else settles the base rate.

    Warns
    -----
    FewFeedbackWarning, AssumptionWarning
    """
    unasked = columns.unasked(len(y))
    observed = ~np.isnan(y) & (columns.weighted(np.ones(len(y))) > 0)
    volunteered, answered = observed & unasked, observed & ~unasked
    positives = int((y[volunteered] == 1).sum())
    if volunteered.any() and positives in (0, volunteered.sum()):
        if base_rate is None and columns.verified is None and not answered.any():
            raise FeedbackError(
                f"All {volunteered.sum()} rated rows are of one class, {int(positives > 0)}, so "
                f"the base rate and the rate of answering cannot be told apart: give verified "
                f"rows, asked rows, or SelectionModel(base_rate=...)."
            )
    else:
        warn_of_rare_class(y)
    if volunteered.any() and observed[unasked].all():
        warn(
            f"All {volunteered.sum()} rows that nobody asked for are rated, so there is no "
            f"selection to model: keep the unrated rows of the log if there were any.",
            AssumptionWarning,
            "no-unrated-rows",
        )


def fit_likelihood(
    inputs: Inputs,
    y: NDArray,
    knowledge: Knowledge,
    *,
    likelihood_power: float = 0.25,
    n_jobs: int | None = None,
    checks_level: bool = True,
) -> LikelihoodFit:
    """Fit the likelihood to the linear predictors of the training rows.

    Parameters
    ----------
    inputs : Inputs
    y : ndarray of shape (n,)
        0, 1, NaN where unrated.
    knowledge : Knowledge
    likelihood_power : float, default=0.25
    n_jobs : int or None, default=None
    checks_level : bool, default=True
        Compare verified rows with what the log alone says, which takes another average.

    Returns
    -------
    LikelihoodFit

    Warns
    -----
    BaseRateUncertainWarning
        If the base rate is not identified, or no solution comes near the given one.
    FewFeedbackWarning, AssumptionWarning
        See `fit_recalibration` and `check_level`.
    """
    columns, z = inputs.columns, inputs.predictors.z
    verified, sample_weight = columns.verified, columns.sample_weight
    outcome, habits, shown = inputs.outcome, inputs.habits, inputs.shown
    counts = inputs.to_counts(likelihood_power)
    prior = base_rate_prior(knowledge.base_rate)
    knowledge = inputs.complete(knowledge)
    mixture, whole = average(counts, knowledge, prior, n_jobs=n_jobs)
    if knowledge.base_rate is not None:
        _warn_if_unreached(whole, prior, knowledge.base_rate)
    probability, target = mixture.probability(z), mixture.posterior(z, outcome, habits, shown)
    head, recalibration = _make_head(inputs.predictors, counts, mixture, probability), None
    covariance = None
    if verified is not None:
        recalibration = fit_recalibration(
            probability,
            verified,
            y,
            sample_weight=sample_weight,
            error_rate=knowledge.verified_error_rate,
            posterior=mixture.posterior_without_label(
                z, outcome, verified, knowledge.verified_error_rate, habits, shown
            ),
        )
        target = recalibration.move(target, probability)
        probability = recalibration(probability)
        covariance = recalibration_covariance(
            recalibration,
            probability,
            verified,
            sample_weight=sample_weight,
            error_rate=knowledge.verified_error_rate,
        )
    level_check = None
    if checks_level and verified is not None and (habits is not None or shown is not None):
        unchecked = inputs.to_counts(likelihood_power, verified=False)
        level_check = check_level(
            average(unchecked, knowledge, prior, n_jobs=n_jobs)[0],
            z,
            outcome,
            verified if sample_weight is None else np.where(sample_weight > 0, verified, np.nan),
            error_rate=knowledge.verified_error_rate,
            habit=habits,
            signals=shown,
        )
    if (doubt := whole.base_rate_doubt) > UNCERTAIN:
        low, high = whole.base_rate_interval
        warn(
            f"The log does not identify the share of good answers: it lies between {low:.0%} and "
            f"{high:.0%}, and its estimate is off by over {OFF} with probability {doubt:.2f}, so "
            f"the reward ranks but its level is a guess. Have about 50 rows checked (`skcausalrm "
            f"label`) and pass them as verified, or use SelectionModel(base_rate=...).",
            BaseRateUncertainWarning,
            "uncertain",
        )
    return LikelihoodFit(
        Posterior(mixture, inputs.merged),
        head,
        recalibration,
        probability,
        target,
        whole,
        level_check,
        covariance,
    )


def _warn_if_unreached(mixture: Mixture, prior, base_rate) -> None:
    low, high = mixture.levels.min(), mixture.levels.max()
    beyond = max(low - prior.mean(), prior.mean() - high)
    if beyond > max(4 * prior.std(), _NEAR):
        warn(
            f"base_rate is {base_rate!r}, but the feedback only agrees with base rates between "
            f"{expit(low):.1%} and {expit(high):.1%}, so the reward's mean is at the nearer end: "
            f"fix the rate, or leave it out.",
            BaseRateUncertainWarning,
            "unreached",
        )


def _make_head(
    predictors: LinearPredictors, counts: Counts, mixture: Mixture, probability: NDArray
) -> MixtureHead:
    weights, intercepts, slopes = mixture.weights, mixture.thetas[:, B], mixture.thetas[:, A]
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
        fold_directions=None if (folds := predictors.first_by_fold()) is None else folds[0],
        fold_offsets=None if folds is None else folds[1],
    )
