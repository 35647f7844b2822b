"""How far a judge agrees with a careful person, and what its pass rate says after correction."""

from __future__ import annotations

from numbers import Real
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score, roc_curve

from .._utils._clusters import cluster_codes, clustered_variance, clusters_at
from .._utils._validation import check_column, check_verified
from .._utils._warnings import warn
from ..exceptions import AssumptionWarning, FeedbackError, InvalidInputError
from ..metrics._estimate import NORMAL_95, Estimate, estimate
from ._rate import Rate, rate_of

# Minimum number of verified rows of each class for a report: below it an error rate is a guess.
_LEAST_PER_CLASS = 5
# Most further verified rows that `labels_needed` looks at.
_MOST_LABELS = 1e9


class JudgeReport(NamedTuple):
    """Results of `judge_report`: rates with their 90% intervals.

    Parameters
    ----------
    threshold : float
        Score from which a row passes.
    pass_rate : Rate
        Share of the judged rows that pass: what a dashboard shows.
    verified_rate : Rate
        Share of good rows among those that are both judged and verified.
    good_rate : Rate
        Share of good rows among the judged ones, by the judge and the verified rows together: how
        many rows pass, and how many of those that do and do not are good. A good judge makes it
        narrower than `verified_rate`.
    corrected_pass_rate : Rate
        The same by Rogan and Gladen's formula, which needs no more of the verified rows than the
        judge's error rates. Wider: for verified rows of another log, or drawn by whether they are
        good.
    sensitivity, specificity : Rate
        Shares of good rows that pass, and of bad rows that do not.
    predictive_values : (Rate, Rate)
        Shares of good rows among those that pass, and among those that do not.
    covariation : float
        Variance of `good_rate` over that of its parts if these were independent: above 1 where the
        rows of a group or user are alike in passing and in being good.
    kappa : float
        Cohen's agreement beyond chance on rows that are judged and verified.
    auroc : Estimate
        AUROC of the scores against the verified labels, with its error.
    roc : DataFrame
        One row per threshold: ``threshold``, ``sensitivity``, ``specificity``.
    """

    threshold: float
    pass_rate: Rate
    verified_rate: Rate
    good_rate: Rate
    corrected_pass_rate: Rate
    sensitivity: Rate
    specificity: Rate
    predictive_values: tuple[Rate, Rate]
    covariation: float
    kappa: float
    auroc: Estimate
    roc: pd.DataFrame

    def labels_needed(self, width: float) -> float:
        """Return how many further verified rows make the interval of `good_rate` so narrow.

        Parameters
        ----------
        width : float
            Width of the 90% interval, such as .1.

        Returns
        -------
        float
            Number of rows drawn as the present ones were, 0 if it is that narrow; infinite if only
            more judged rows or a better judge would do.

        Raises
        ------
        InvalidInputError
            If the width is no positive number.
        """
        if not 0 < width < np.inf:
            raise InvalidInputError(f"width is {width!r}, but an interval's is a positive number.")

        def is_wide(further: float) -> bool:
            found = _combined(self.pass_rate, *self.predictive_values, self.covariation, further)
            return found.high - found.low > width

        few, many = 0.0, _MOST_LABELS
        if not is_wide(few):
            return 0.0
        if is_wide(many):
            return float("inf")
        while many - few > 0.5:
            middle = (few + many) / 2
            few, many = (middle, many) if is_wide(middle) else (few, middle)
        return float(np.ceil(many))


def judge_report(
    judge, verified, *, threshold: float | None = None, groups=None, users=None
) -> JudgeReport:
    """Compare a judge with verified rows, and correct its pass rate for its errors.

    The judge may be an LLM's scores, a rule, or people's thumbs.

    Parameters
    ----------
    judge : array-like of shape (n,)
        Scores, the higher the better; NaN where the judge has none. Thumbs are 1 and 0.
    verified : array-like of shape (n,)
        1 or 0 where a careful person has judged the answer, NaN elsewhere. The rows must have been
        drawn at random, from all rows or from those that the judge has scored; for
        `corrected_pass_rate` at random among the good and among the bad ones.
    threshold : float, default=None
        Score from which a row passes, within the range of the scores. None: .5 where all scores
        lie in [0, 1], else the middle between the lowest and the highest.
    groups, users : array-like of shape (n,), default=None
        Conversations and users, whose rows are not independent.

    Returns
    -------
    JudgeReport
        Rates with intervals, agreement, and how many more labels a narrower interval takes.

    Raises
    ------
    FeedbackError
        If fewer than five good or five bad rows are both judged and verified, or a score is
        infinite.
    InvalidInputError
        If the threshold is no number within the range of the scores.

    Warns
    -----
    AssumptionWarning
        If good rows may pass no more often than bad ones (code "judge-chance"), or pass less often
        (code "judge-reversed"): `corrected_pass_rate` then says nothing.

    Notes
    -----
    `good_rate` is Tenenbein's (1970) double sampling: with pass rate q, ``q P(good given pass) +
    (1 - q) P(good given fail)``. `corrected_pass_rate` is ``(q + specificity - 1) / (sensitivity +
    specificity - 1)`` of Rogan and Gladen (1978), its interval that of Lang and Reiczigel (2014).
    Both intervals move shares towards one half by two made-up rows each, which keeps their coverage
    where few rows are verified. A judge of thumbs speaks of the rated rows alone: they are no
    random sample of all. Where rows share conversations or users, each share counts as many rows
    as would give its clustered standard error, and `good_rate` has its own clustered one.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.inspection import judge_report
    >>> rng = np.random.default_rng(0)
    >>> good = rng.random(5000) < 0.3
    >>> passes = np.where(good, rng.random(5000) < 0.9, rng.random(5000) < 0.25)
    >>> verified = np.where(np.arange(5000) < 200, good, np.nan)
    >>> report = judge_report(passes, verified)
    >>> round(report.pass_rate.value, 2), round(report.good_rate.value, 2)
    (0.44, 0.28)
    >>> bool(report.good_rate.low < good.mean() < report.good_rate.high)
    True
    >>> report.labels_needed(width=0.05) > 100
    True
    """
    scores = check_column(judge, "judge", len(judge), allow_nan=True)
    found = check_verified(verified, len(scores))
    label = np.full(len(scores), np.nan) if found is None else found
    judged = ~np.isnan(scores)
    both = judged & ~np.isnan(label)
    good, bad = both & (label == 1), both & (label == 0)
    if min(good.sum(), bad.sum()) < _LEAST_PER_CLASS:
        raise FeedbackError(
            f"{good.sum()} good and {bad.sum()} bad rows are both judged and verified, but a "
            f"judge's errors need {_LEAST_PER_CLASS} of each: verify more of the rows that the "
            f"judge has scored."
        )
    low, high = scores[judged].min(), scores[judged].max()
    if threshold is None:
        threshold = 0.5 if low >= 0 and high <= 1 else float((low + high) / 2)
    elif not isinstance(threshold, Real) or not low <= threshold <= high:
        raise InvalidInputError(
            f"threshold is {threshold!r}, but the scores lie between {low:g} and {high:g}: give a "
            f"number in that range."
        )
    passes = scores >= threshold
    clusters = cluster_codes(groups, users, len(scores))
    pass_rate = rate_of(passes, judged, clusters)
    sensitivity, specificity = rate_of(passes, good, clusters), rate_of(~passes, bad, clusters)
    predictive = (
        rate_of(label == 1, both & passes, clusters),
        rate_of(label == 1, both & ~passes, clusters),
    )
    _warn_of_chance(sensitivity, specificity, int(both.sum()))
    covariation = _covariation(pass_rate, predictive, passes, label, judged, both, clusters)
    groups, users = clusters_at(clusters, both)
    false, true, thresholds = roc_curve(label[both], scores[both], drop_intermediate=False)
    return JudgeReport(
        float(threshold),
        pass_rate,
        rate_of(label == 1, both, clusters),
        _combined(pass_rate, *predictive, covariation),
        _corrected(pass_rate, sensitivity, specificity),
        sensitivity,
        specificity,
        predictive,
        covariation,
        float(cohen_kappa_score(label[both], passes[both])),
        estimate("roc_auc", label[both], scores[both], groups=groups, users=users),
        pd.DataFrame(
            {"threshold": thresholds[1:], "sensitivity": true[1:], "specificity": 1 - false[1:]}
        ),
    )


def _warn_of_chance(sensitivity: Rate, specificity: Rate, n: int) -> None:
    if sensitivity.low + specificity.low > 1:
        return
    shares = (
        f"The judge passes {sensitivity.value:.0%} of the good and {1 - specificity.value:.0%} of "
        f"the bad ones of {n} verified rows"
    )
    if sensitivity.high + specificity.high < 1:
        warn(
            f"{shares}: if a high score is to mean a good answer, turn the scores round.",
            AssumptionWarning,
            "judge-reversed",
        )
    else:
        warn(
            f"{shares}, which chance may do, so its corrected pass rate says nothing: verify more "
            f"rows, or use another judge.",
            AssumptionWarning,
            "judge-chance",
        )


def _covariation(
    pass_rate: Rate, predictive: tuple[Rate, Rate], passes, label, judged, both, clusters
) -> float:
    """Return the clustered variance of the good rate over that of its parts, at least 1."""
    if all(codes is None for codes in clusters):
        return 1.0
    q, (of_passed, of_failed) = pass_rate.value, predictive
    gap = of_passed.value - of_failed.value
    influence = (passes - q) * gap / pass_rate.n * judged
    parts = gap**2 * q * (1 - q) / pass_rate.effective_n
    for rate, weight, which in ((of_passed, q, passes), (of_failed, 1 - q, ~passes)):
        rows = both & which
        influence[rows] += weight * (label[rows] - rate.value) / max(rate.n, 1)
        parts += weight**2 * rate.value * (1 - rate.value) / max(rate.effective_n, 1.0)
    variance = clustered_variance(influence[judged], clusters_at(clusters, judged))
    return max(1.0, variance / max(parts, 1e-300))


def _combined(
    pass_rate: Rate, of_passed: Rate, of_failed: Rate, covariation: float, further: float = 0.0
) -> Rate:
    """Return the share of good rows by those that pass and those that do not.

    `further` rows are verified, of which as many pass as of all.
    """
    q = pass_rate.value
    (passed, passed_variance), (failed, failed_variance) = (
        _shrunk(rate, share * further) for rate, share in ((of_passed, q), (of_failed, 1 - q))
    )
    center = q * passed + (1 - q) * failed
    variance = q**2 * passed_variance + (1 - q) ** 2 * failed_variance
    variance += (passed - failed) ** 2 * q * (1 - q) / pass_rate.effective_n
    value = q * of_passed.value + (1 - q) * of_failed.value
    return _with_interval(value, center, covariation * variance, pass_rate)


def _shrunk(rate: Rate, further: float = 0.0) -> tuple[float, float]:
    """Return a share of its rows and of a good and a bad one that are made up, and its variance.

    There are `further` rows of the same share, as much alike as the others.
    """
    n = rate.effective_n + further * (rate.effective_n / rate.n if rate.n else 1.0)
    share = (n * rate.value + 1) / (n + 2)
    return share, share * (1 - share) / (n + 2)


def _corrected(pass_rate: Rate, sensitivity: Rate, specificity: Rate) -> Rate:
    """Return Rogan and Gladen's share of good rows, with Lang and Reiczigel's interval."""
    square, n = NORMAL_95**2, pass_rate.effective_n
    p = (n * pass_rate.value + square / 2) / (n + square)
    (se, of_se), (sp, of_sp) = _shrunk(sensitivity), _shrunk(specificity)
    power = sensitivity.value + specificity.value - 1
    if min(power, se + sp - 1) <= 0:
        return Rate(np.nan, 0.0, 1.0, pass_rate.n, n)
    share = (p + sp - 1) / (se + sp - 1)
    center = share + 2 * square * (share * of_se - (1 - share) * of_sp)
    variance = p * (1 - p) / (n + square) + share**2 * of_se + (1 - share) ** 2 * of_sp
    value = (pass_rate.value + specificity.value - 1) / power
    return _with_interval(value, center, variance / (se + sp - 1) ** 2, pass_rate)


def _with_interval(value: float, center: float, variance: float, of: Rate) -> Rate:
    half = NORMAL_95 * np.sqrt(variance)
    value, low, high = np.clip([value, center - half, center + half], 0, 1).tolist()
    return Rate(value, low, high, of.n, of.effective_n)
