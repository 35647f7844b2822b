"""Formulas of the debiased scores: a score of pseudo-outcomes z and the influence of each row.

A formula is ``formula(sample) -> measure`` and ``measure(z) -> (score, influence)``: what does not
depend on z, such as the order of the predictions, is computed once for all draws of z.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..exceptions import FeedbackError
from ._sample import Array, Sample, check_sample

Measure = Callable[[Array], tuple[float, Array]]


class Formula(NamedTuple):
    """How a score is measured.

    Attributes
    ----------
    prepare : callable
        Returns the measure of a sample.
    probabilities : str
        Name of the score in messages where it takes predictions in [0, 1] only, else "".
    bounds : (float, float)
        Range of the score against clean labels. Pseudo-outcomes can leave it, an interval does not.
    within : bool
        Whether the score compares rows of one group only, and so needs groups.
    """

    prepare: Callable[[Sample], Measure]
    probabilities: str = ""
    bounds: tuple[float, float] = (-np.inf, np.inf)
    within: bool = False

    def check(self, z, prediction, groups, users, sample_weight, with_error: bool) -> Sample:
        """Return the checked columns of a score; see `check_sample`."""
        return check_sample(
            *(z, prediction, groups, users, sample_weight),
            with_error or self.within,
            probabilities=self.probabilities,
            within=self.within,
        )


# Range of the mean of z, and smallest variance of a reward, for R2.
_LEAST_SHARE = 0.01
_LEAST_VARIANCE = _LEAST_SHARE * (1 - _LEAST_SHARE)


def _mean(sample: Sample, at_0: Array, slope: Array) -> Measure:
    """Return the measure of a mean of ``at_0 + slope z``."""

    def measure(z):
        values = at_0 + slope * z
        score = sample.mean(values)
        return score, sample.weight * (values - score)

    return measure


def squared_error(sample: Sample) -> Measure:
    f = sample.prediction
    return _mean(sample, f**2, 1 - 2 * f)


def accuracy(sample: Sample) -> Measure:
    positive = sample.prediction > 0.5
    return _mean(sample, np.where(positive, 0.0, 1.0), np.where(positive, 1.0, -1.0))


def log_loss(sample: Sample) -> Measure:
    f = np.clip(sample.prediction, sample.eps, 1 - sample.eps)
    return _mean(sample, -np.log1p(-f), np.log1p(-f) - np.log(f))


def r2(sample: Sample) -> Measure:
    mean = sample.mean(sample.mean_z)
    if not _LEAST_SHARE < mean < 1 - _LEAST_SHARE:
        raise FeedbackError(
            f"The mean of z over {len(sample.z)} rows is {mean:.4g}, but R2 needs it within "
            f"(.01, .99): nearly all rewards are of one class, so use mse or log_loss instead."
        )
    of_error = squared_error(sample)

    def measure(z):
        mse, error = of_error(z)
        mu = sample.mean(z)
        variance = max(mu * (1 - mu), _LEAST_VARIANCE)
        slope = mse * (1 - 2 * mu) / variance**2
        return 1 - mse / variance, slope * sample.weight * (z - mu) - error / variance

    return measure


def roc_auc(sample: Sample) -> Measure:
    count = _pairs(sample, np.zeros(len(sample.prediction), dtype=np.intp))

    def measure(z):
        concordant, compared = count(z)
        score, pairs = _share(sample, z, concordant, compared)
        return score, (concordant - score * compared) / pairs

    return measure


def within_roc_auc(sample: Sample) -> Measure:
    # Both rows of a pair are in one group, which must count the pair's error once: half each.
    # A user shares all of it with his other rows, so there is a second column for users: a row's
    # pairs, but half of those with a row of the same user, which would count twice.
    codes = np.unique(np.asarray(sample.groups), return_inverse=True)[1].ravel()
    count, count_own = _pairs(sample, codes), None
    if sample.users is not None:
        both = codes * (int(sample.users.max()) + 1) + sample.users
        count_own = _pairs(sample, np.unique(both, return_inverse=True)[1].ravel())

    def measure(z):
        concordant, compared = count(z)
        score, pairs = _share(sample, z, concordant, compared, ", in one group")
        error = (concordant - score * compared) / pairs
        if count_own is None:
            return score, error / 2
        concordant, compared = count_own(z)
        own = (concordant - score * compared) / pairs
        return score, np.column_stack([error / 2, error - own / 2])

    return measure


def _share(
    sample: Sample, z: Array, concordant: Array, compared: Array, where: str = ""
) -> tuple[float, float]:
    """Return the share of concordant pairs, and the weight of all, from those of each row."""
    pairs = float(compared.sum() / 2)
    if min(sample.mean(z), sample.mean(1 - z), pairs) <= 0:
        raise FeedbackError(
            f"The mean of z over {len(z)} rows is {sample.mean(z):.4g}, which leaves no pair of a "
            f"good and a bad row to rank{where}: AUROC needs rows of both classes, so use mse or "
            f"log_loss."
        )
    return float(concordant.sum() / (2 * pairs)), pairs


def _pairs(sample: Sample, group: NDArray[np.intp]) -> Callable[[Array], tuple[Array, Array]]:
    """Return a function of z: the weight of each row's concordant pairs in its group, and of all.

    A pair is a good and a bad row; it counts for both.
    """
    order = np.lexsort((sample.prediction, group))
    ranked, group = sample.prediction[order], group[order]
    start = np.flatnonzero(np.diff(group, prepend=-1))  # first row of each group
    new = np.r_[True, ranked[1:] != ranked[:-1]]
    new[start] = True
    first = np.flatnonzero(new)  # first row of each run of ties
    sizes, opening = np.diff(np.r_[first, len(ranked)]), group[first]
    weight = sample.weight if isinstance(sample.weight, float) else sample.weight[order]

    def below(ties: Array, total: Array) -> Array:
        """Return the weight of a row's group below its run of ties, and half of the run."""
        return np.repeat(np.cumsum(ties) - ties / 2 - (np.cumsum(total) - total)[opening], sizes)

    def count(z):
        good, bad = weight * z[order], weight * (1 - z[order])
        total_good, total_bad = np.add.reduceat(good, start), np.add.reduceat(bad, start)
        itself = good * bad  # weight of a row paired with itself
        good_above = total_good[group] - below(np.add.reduceat(good, first), total_good)
        found = np.empty((2, len(z)))
        found[0, order] = good * below(np.add.reduceat(bad, first), total_bad) + bad * good_above
        found[1, order] = good * total_bad[group] + bad * total_good[group]
        found[0, order] -= itself
        found[1, order] -= 2 * itself
        return found

    return count


FORMULAS = {
    "r2": Formula(r2, bounds=(-np.inf, 1)),
    "mse": Formula(squared_error, bounds=(0, np.inf)),
    "log_loss": Formula(log_loss, "log loss", bounds=(0, np.inf)),
    "brier": Formula(squared_error, "Brier score", bounds=(0, 1)),
    "roc_auc": Formula(roc_auc, bounds=(0, 1)),
    "within_roc_auc": Formula(within_roc_auc, bounds=(0, 1), within=True),
    "accuracy": Formula(accuracy, "accuracy", bounds=(0, 1)),
}
