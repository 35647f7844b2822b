"""How far a judge agrees with a careful person, and what its pass rate says after correction."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score, roc_curve

from .._utils._clusters import group_codes, user_codes
from .._utils._validation import check_column, check_verified
from .._utils._warnings import warn
from ..exceptions import AssumptionWarning, FeedbackError
from ..metrics._estimate import NORMAL_95, Estimate, estimate
from ._rate import Rate, codes_of, rate_of

# Minimum number of verified rows of each class for a report: below it an error rate is a guess.
_LEAST_PER_CLASS = 5
# Most verified rows that `labels_needed` looks at, as a multiple of the present number.
_MOST_TIMES = 10_000.0


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
        many rows pass, and how many of those that do and do not are good. Narrower than
        `verified_rate`, the more the judge is worth.
    corrected_pass_rate : Rate
        The same by Rogan and Gladen's formula, which needs no more of the verified rows than the
        judge's error rates. Wider: for verified rows of another log, or drawn by whether they are
        good.
    sensitivity, specificity : Rate
        Shares of good rows that pass, and of bad rows that do not.
    predictive_values : (Rate, Rate)
        Shares of good rows among those that pass, and among those that do not.
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
        """

        def is_wide(times: float) -> bool:
            found = _combined(self.pass_rate, *self.predictive_values, times)
            return found.high - found.low > width

        few, many = 1.0, _MOST_TIMES
        if not is_wide(few):
            return 0.0
        if is_wide(many):
            return float("inf")
        while many - few > 1e-3 * few:
            middle = (few + many) / 2
            few, many = (middle, many) if is_wide(middle) else (few, middle)
        return float(np.ceil((many - 1) * self.verified_rate.n))


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
        Score from which a row passes. None: .5 where all scores lie in [0, 1], else the middle
        between the lowest and the highest.
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

    Warns
    -----
    AssumptionWarning
        If the judge may be no better than chance (code "judge-chance"): `corrected_pass_rate` then
        says nothing.

    Notes
    -----
    `good_rate` is Tenenbein's (1970) double sampling: with pass rate q, ``q P(good given pass) +
    (1 - q) P(good given fail)``. `corrected_pass_rate` is ``(q + specificity - 1) / (sensitivity +
    specificity - 1)`` of Rogan and Gladen (1978), its interval that of Lang and Reiczigel (2014).
    Both intervals move shares towards one half by two made-up rows each, which keeps their coverage
    where few rows are verified. A judge of thumbs speaks of the rated rows alone: they are no
    random sample of all. Where rows share conversations or users, each share counts as many rows
    as would give its clustered standard error.

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
    if threshold is None:
        low, high = scores[judged].min(), scores[judged].max()
        threshold = 0.5 if low >= 0 and high <= 1 else float((low + high) / 2)
    passes = scores >= threshold
    clusters = (
        None if groups is None else group_codes(groups, len(scores)),
        None if users is None else user_codes(users, len(scores)),
    )
    pass_rate = rate_of(passes, judged, clusters)
    sensitivity, specificity = rate_of(passes, good, clusters), rate_of(~passes, bad, clusters)
    predictive = (
        rate_of(label == 1, both & passes, clusters),
        rate_of(label == 1, both & ~passes, clusters),
    )
    if sensitivity.low + specificity.low <= 1:
        warn(
            f"The judge passes {sensitivity.value:.0%} of the good and {1 - specificity.value:.0%} "
            f"of the bad rows, on {both.sum()} verified ones that may be chance, so the judge "
            f"adds nothing to them: verify more rows, or use another judge.",
            AssumptionWarning,
            "judge-chance",
        )
    false, true, thresholds = roc_curve(label[both], scores[both])
    return JudgeReport(
        float(threshold),
        pass_rate,
        rate_of(label == 1, both, clusters),
        _combined(pass_rate, *predictive),
        _corrected(pass_rate, sensitivity, specificity),
        sensitivity,
        specificity,
        predictive,
        float(cohen_kappa_score(label[both], passes[both])),
        estimate(
            "roc_auc",
            label[both],
            scores[both],
            groups=codes_of(clusters[0], both),
            users=codes_of(clusters[1], both),
        ),
        pd.DataFrame(
            {"threshold": thresholds[1:], "sensitivity": true[1:], "specificity": 1 - false[1:]}
        ),
    )


def _combined(pass_rate: Rate, of_passed: Rate, of_failed: Rate, times: float = 1.0) -> Rate:
    """Return the share of good rows by those that pass and those that do not.

    `times` as many rows are verified.
    """
    q, n = pass_rate.value, pass_rate.effective_n
    (passed, passed_variance), (failed, failed_variance) = (
        _shrunk(rate, times) for rate in (of_passed, of_failed)
    )
    center = q * passed + (1 - q) * failed
    variance = q**2 * passed_variance + (1 - q) ** 2 * failed_variance
    variance += (passed - failed) ** 2 * q * (1 - q) / n
    value = q * of_passed.value + (1 - q) * of_failed.value
    return _with_interval(value, center, variance, pass_rate)


def _shrunk(rate: Rate, times: float) -> tuple[float, float]:
    """Return a share of the rows and of a good and a bad one that are made up, and its variance."""
    n = rate.effective_n * times
    share = (n * rate.value + 1) / (n + 2)
    return share, share * (1 - share) / (n + 2)


def _corrected(pass_rate: Rate, sensitivity: Rate, specificity: Rate) -> Rate:
    """Return Rogan and Gladen's share of good rows, with Lang and Reiczigel's interval."""
    square, n = NORMAL_95**2, pass_rate.effective_n
    p = (n * pass_rate.value + square / 2) / (n + square)
    (se, of_se), (sp, of_sp) = (_shrunk(rate, 1.0) for rate in (sensitivity, specificity))
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
