"""A first linear predictor sharpened by signals: what they tell of the answer, x may tell as well.

The likelihood takes signals row by row, where they happened. This step learns from them what x says
of a good answer. It is one Newton step on the likelihood of all rows: a ridge regression on x is
fitted to the slope of each row's log likelihood by u, over its curvature.

Signals depend on x in ways of their own: code is copied, jokes are not. So x first moves the log
odds of each signal, and of a rating, as far as u cannot explain it. How much that is sets the prior
of such effects, and the step in u leaves out what they may explain: nothing where signals follow
the answer alone, and nearly all where topics move them a lot.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..heads._moments import FoldMoments
from ..heads._prior_covariance import Spectrum
from ..model_selection._cross_fitting import Folds
from ._averaging import most_likely
from ._counts import Counts
from ._likelihood import GradedLikelihood
from ._linear_predictors import FoldModels, LinearPredictors, SharedMoments, fit_folds, out_of_fold
from ._parameters import A_S
from ._priors import Knowledge, base_rate_prior

# Least gain in log likelihood out of fold, in nats, for a step to be worth its cost.
_LEAST_GAIN = 1.0
# Maximum number of rounds in which x moves signals.
_ROUNDS = 5
# Least variance of an effect of x on a signal, so that its prior is proper.
_LEAST_VARIANCE = 1e-9
# Largest standard deviation of a step in u. Where topics drown what signals tell, u hardly enters
# the likelihood: steps of 2.5 and more ranked answers backwards. Steps that helped were up to .8.
_LONGEST = 1.5
_TINY = 1e-300


class _Step(NamedTuple):
    """Linear models of a step, its out-of-fold scores, (n,), and what it gains there, in nats."""

    models: FoldModels
    scores: NDArray[np.float64]
    gain: float


class _Regression(NamedTuple):
    """Newton steps that are linear in x."""

    X: NDArray
    moments: FoldMoments
    spectrum: Spectrum
    folds: Folds
    mean_row: NDArray[np.float64]
    weight: NDArray[np.float64]

    def step(self, slopes: NDArray, curvature: float, left_out: NDArray | None = None) -> _Step:
        """Fit the step for slopes, (n,), and their total curvature."""
        per_row = max(curvature / self.weight.sum(), _TINY)
        target = slopes / np.maximum(self.weight, _TINY) / per_row
        models = fit_folds(self.moments, target, self.spectrum, left_out)
        scores = out_of_fold(self.X, models, self.folds, self.mean_row)
        saved = target**2 - (target - scores) ** 2
        return _Step(models, scores, float(self.weight @ saved) * per_row / 2)


def sharpen(
    predictors: LinearPredictors,
    X: NDArray,
    counts: Counts,
    rows: Counts,
    knowledge: Knowledge,
    folds: Folds,
    weight: NDArray,
    shared: SharedMoments | None = None,
) -> LinearPredictors:
    """Return the predictors with what signals teach of the first.

    Parameters
    ----------
    predictors : LinearPredictors
    X : ndarray of shape (n, d)
    counts : Counts
        On the grid, tempered: for the parameters at which the step is taken.
    rows : Counts
        A cell per row, with signals; not tempered.
    knowledge : Knowledge
    folds : Folds
    weight : ndarray of shape (n,)
    shared : SharedMoments or None, default=None
        Of X, by any weights: they are reweighed. None makes them.

    Returns
    -------
    LinearPredictors
        As given where the step does not help to predict the rows of other folds.
    """
    tau, theta = most_likely(counts, knowledge, base_rate_prior(knowledge.base_rate))
    if theta is None:
        return predictors
    likelihood = GradedLikelihood(rows, knowledge, 1.0, tau)
    if shared is None:
        moments = FoldMoments(X, folds.of_row, folds.n_splits, weight)
        spectrum = moments.spectrum
    else:
        moments, spectrum = shared
        moments.reweigh(weight)
    regression = _Regression(X, moments, spectrum, folds, predictors.mean_row, weight)

    def derivatives(shifts):
        """Return slopes by shifts, and their outer products, which stand for curvature."""
        slopes = likelihood.shift_slopes(theta, shifts)
        return slopes, (slopes / np.maximum(weight, _TINY)[:, None]).T @ slopes

    shifts = np.zeros((len(X), 2 + likelihood.n_signals))
    slopes, curvature = derivatives(shifts)
    moved = list(range(1, shifts.shape[1]))
    for _ in range(_ROUNDS):
        gains = np.zeros(shifts.shape[1])
        for j in moved:
            if not slopes[:, j].any():
                continue  # where all rows are rated, ratings tell nothing
            by_u = curvature[j, 0] / max(curvature[0, 0], _TINY)
            step = regression.step(
                slopes[:, j] - by_u * slopes[:, 0], curvature[j, j] - by_u * curvature[j, 0]
            )
            if step.gain > 0:
                shifts[:, j] += step.scores
                gains[j] = step.gain
        slopes, curvature = derivatives(shifts)
        # What x hardly moves is not tried again.
        moved = np.flatnonzero(gains >= _LEAST_GAIN).tolist()
        if not moved:
            break
    variance = np.average(shifts[:, 1:] ** 2, axis=0, weights=weight)
    precision = spectrum.effective_dimension / np.maximum(variance, _LEAST_VARIANCE)
    explained = np.linalg.solve(curvature[1:, 1:] + np.diag(precision), curvature[1:, 0])
    step = regression.step(
        slopes[:, 0] - slopes[:, 1:] @ explained,
        curvature[0, 0] - explained @ curvature[1:, 0],
        predictors.left_out,
    )
    length = np.sqrt(np.average(step.scores**2, weights=weight))
    if not (step.gain > _LEAST_GAIN and length < _LONGEST):
        return predictors
    models = step.models
    if predictors.first is not None:
        models = models.plus(predictors.first.times(np.full(folds.n_splits, theta[A_S])))
    scores = out_of_fold(X, models, folds, predictors.mean_row)
    return predictors.replace_column(0, X, models, scores, weight) or predictors
