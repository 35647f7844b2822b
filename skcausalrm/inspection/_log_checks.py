"""Checks of a log itself: drift, contradictions, users, folds, shortened texts, judges, classes."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils._clusters import clustered_variance, clusters_at
from .._utils._validation import FEW_OF_A_CLASS
from ..exceptions import FewFeedbackWarning, SkcausalrmWarning
from ..metrics._estimate import NORMAL_95, estimate
from ..model_selection._cross_fitting import make_folds
from ..nuisances._recipes import effective_sample_size
from ..selection._habit import FEW_USERS
from ._case import Case, NotCheckedError, Outcome
from ._judge import judge_report

# Periods of equal numbers of rows that drift is looked for in.
_PERIODS = 4
# Standard errors from which on a period differs: 12 comparisons then raise a false alarm in .6%.
_CLEAR_DRIFT = 3.5
# Least difference of mean reward or share liked that is worth a finding, and least factor between
# the shares rated: large logs tell smaller ones apart.
_LEAST_SHIFT, _LEAST_FACTOR = 0.05, 1.25
# Least agreement beyond chance on equal answers; flips of .1 and .2 alone leave about .5.
_LEAST_AGREEMENT = 0.1
# Ratings of answers that have several, below which their agreement is a guess.
_LEAST_REPEATED = 50
# Share of all ratings from which on one user dominates.
_DOMINANT = 0.15
# Share of answers that are shortened from which on rewards suffer.
_SHORTENED = 0.05
# Verified rows of each class below which a judge at chance cannot be told from a good one.
_LEAST_JUDGED = 10


def check_drift(case: Case) -> Outcome:
    if case.times is None:
        raise NotCheckedError("no times are given.")
    known = np.isfinite(case.times)
    edges = np.quantile(case.times[known], np.arange(1, _PERIODS) / _PERIODS) if known.any() else []
    period = np.searchsorted(edges, case.times, side="right")
    if len(np.unique(period[known])) < 2:
        raise NotCheckedError("the rows have no two different times.")
    gaps = []
    for name, values, rows in _series(case):
        gaps += _gaps(case, name, values, rows & known, period)
    if not gaps:
        raise NotCheckedError("no row is rated and no model is given.")
    large = [gap for gap in gaps if gap["large"]]
    worst = max(large or gaps, key=lambda gap: abs(gap["z"]))
    found = bool(large) and abs(worst["z"]) > _CLEAR_DRIFT
    del worst["large"]
    return Outcome(
        found,
        f"{worst['quantity']} is {worst['value']:.0%} in quarter {worst['period']} of the rows by "
        f"time, and {worst['elsewhere']:.0%} in the others (z = {worst['z']:.1f}).",
        worst,
    )


def _series(case: Case) -> list[tuple[str, NDArray, NDArray]]:
    """Return what may drift: a name, values, and the rows that have one."""
    observed, everyone = case.feedback.observed, np.ones(case.n, dtype=bool)
    found = []
    if observed.any() and not observed.all():
        found.append(("the share rated", observed.astype(float), everyone))
    if observed.any() and case.feedback.binary:
        found.append(("the share liked", np.nan_to_num(case.feedback.values), observed))
    if case.model is not None and case.feedback.binary:
        found.append(("the mean reward", case.reward, everyone))
    return found


def _gaps(case: Case, name: str, values, rows, period) -> list[dict[str, Any]]:
    """Return the difference of each period to the others, with its clustered z."""
    gaps = []
    for k in np.unique(period[rows]):
        inside, outside = rows & (period == k), rows & (period != k)
        if min(inside.sum(), outside.sum()) < 2:
            continue
        here, there = values[inside].mean(), values[outside].mean()
        influence = inside * (values - here) / inside.sum()
        influence -= outside * (values - there) / outside.sum()
        variance = clustered_variance(influence[rows], clusters_at(case.clusters, rows))
        if variance <= 0:
            continue
        large = abs(here - there) >= _LEAST_SHIFT
        if name == "the share rated":
            large = max(here, there) >= _LEAST_FACTOR * min(here, there)
        gaps.append(
            {
                "quantity": name,
                "period": int(k) + 1,
                "value": float(here),
                "elsewhere": float(there),
                "z": float((here - there) / variance**0.5),
                "large": bool(large),
            }
        )
    return gaps


def check_contradictions(case: Case) -> Outcome:
    case.need_rated()
    case.need_binary()
    if case.answers is None:
        raise NotCheckedError("nothing tells which answers are equal.")
    rated, liked = case.feedback.observed, case.feedback.values == 1
    codes = np.unique(case.answers[rated], return_inverse=True)[1]
    n, k = np.bincount(codes), np.bincount(codes, liked[rated])
    several = n > 1
    n_ratings = int(n[several].sum())
    if n_ratings < _LEAST_REPEATED:
        raise NotCheckedError(
            f"{n_ratings} ratings are of answers that have several, fewer than {_LEAST_REPEATED}."
        )
    n, k = n[several], k[several]
    # Each rating's disagreement with the others of its answer, and with ratings of any answer.
    within, total = k * (n - k) / (n - 1), n.sum()
    q = k.sum() / total
    if not 0 < q < 1:
        raise NotCheckedError("all ratings of repeated answers are alike.")
    ratio = within.sum() / total / (q * (1 - q))
    influence = (within - n * within.sum() / total) / (q * (1 - q))
    influence -= ratio * (1 - 2 * q) * (k - n * q) / (q * (1 - q))
    std = float(np.sqrt((influence**2).sum()) / total)
    agreement = float(1 - ratio)
    return Outcome(
        agreement + NORMAL_95 * std < _LEAST_AGREEMENT,
        f"{n_ratings:,} ratings of answers that have several agree by {agreement:.2f} ± {std:.2f} "
        f"beyond chance, 1 being always.",
        {"agreement": agreement, "std": std, "ratings": n_ratings, "answers": len(n)},
    )


def check_users(case: Case) -> Outcome:
    case.need_rated()
    users = case.columns.users
    if users is None:
        raise NotCheckedError("no users are given.")
    ratings = np.bincount(users, case.feedback.observed)
    largest, effective = float(ratings.max() / ratings.sum()), effective_sample_size(ratings)
    n_raters = int(np.count_nonzero(ratings))
    return Outcome(
        largest > _DOMINANT or effective < FEW_USERS,
        f"one user leaves {largest:.0%} of the ratings, and {n_raters:,} users who rate count as "
        f"{effective:,.0f} that rate equally often.",
        {"largest_share": largest, "raters": n_raters, "effective_raters": effective},
    )


def check_folds(case: Case) -> Outcome:
    case.need_rated()
    groups = case.columns.groups
    if groups is None and not case.X.shape[1]:
        raise NotCheckedError("no groups are given.")
    cv, seed = (5, 0) if case.model is None else (case.model.cv, case.random_state)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SkcausalrmWarning)
        folds = make_folds(case.X, case.feedback.values, groups, cv, seed)
    sizes, of_groups = np.bincount(folds.of_row), np.bincount(folds.groups)
    codes = {one.message.code for one in caught if isinstance(one.message, FewFeedbackWarning)}
    largest, group = sizes.max() / case.n, of_groups.max() / case.n
    return Outcome(
        bool(codes & {"uneven-folds", "fewer-folds"}),
        f"the largest of {len(sizes)} folds holds {largest:.0%} of the rows, and the largest of "
        f"{len(of_groups):,} groups {group:.0%}.",
        {
            "folds": len(sizes),
            "largest_fold": float(largest),
            "groups": len(of_groups),
            "largest_group": float(group),
        },
    )


def check_shortened(case: Case) -> Outcome:
    if case.n_shortened is None:
        raise NotCheckedError("nothing tells how many answers the encoder has shortened.")
    share = case.n_shortened / case.n
    return Outcome(
        share > _SHORTENED,
        f"{case.n_shortened:,} of {case.n:,} answers ({share:.1%}) were shortened.",
        {"shortened": case.n_shortened, "share": share},
    )


def check_judge(case: Case) -> Outcome:
    judge = case.columns.judge_score
    if judge is None:
        raise NotCheckedError("no judge_score is given.")
    if (
        case.columns.verified is not None
        and min(_judged(judge, case.columns.verified)) >= _LEAST_JUDGED
    ):
        return _against_verified(case, judge, "the judge")
    # Thumbs are many, and flips do no more than pull the score towards one half.
    case.need_binary()
    rated = case.feedback.observed
    if len(np.unique(case.feedback.values[rated])) < 2:
        raise NotCheckedError("too few rows are verified, and ratings are of one kind.")
    groups, users = clusters_at(case.clusters, rated)
    auc = estimate("roc_auc", case.feedback.values[rated], judge[rated], groups=groups, users=users)
    return Outcome(
        auc.low <= 0.5,
        f"the judge's AUROC against thumbs is {auc.low:.2f} to {auc.high:.2f}, and one half is "
        f"chance.",
        {"roc_auc": auc.score, "low": auc.low, "high": auc.high},
    )


def check_thumbs(case: Case) -> Outcome:
    case.need_verified()
    case.need_rated()
    case.need_binary()
    return _against_verified(case, case.feedback.values, "thumbs")


def _against_verified(case: Case, judge: NDArray, name: str) -> Outcome:
    label = case.need_verified()
    counts = _judged(judge, label)
    if min(counts) < _LEAST_JUDGED:
        raise NotCheckedError(
            f"{counts[1]} good and {counts[0]} bad rows are both verified and judged by {name}, "
            f"but it takes {_LEAST_JUDGED} of each."
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SkcausalrmWarning)
        groups, users = case.clusters
        report = judge_report(judge, label, groups=groups, users=users)
    codes = {getattr(one.message, "code", "") for one in caught}
    passed, failed = report.sensitivity, report.specificity
    verb = "like" if name == "thumbs" else "passes"
    return Outcome(
        bool(codes & {"judge-chance", "judge-reversed"}),
        f"{name} {verb} {passed.value:.0%} of the good and {1 - failed.value:.0%} of the bad ones "
        f"of {sum(counts)} verified rows.",
        {
            "sensitivity": passed.value,
            "specificity": failed.value,
            "roc_auc": report.auroc.score,
            "verified": sum(counts),
        },
    )


def _judged(judge: NDArray, label: NDArray) -> list[int]:
    """Return how many bad and how many good rows have a judgement of both."""
    return [int((~np.isnan(judge) & (label == value)).sum()) for value in (0, 1)]


def check_classes(case: Case) -> Outcome:
    case.need_rated()
    case.need_binary()
    counts = [int((case.feedback.values == label).sum()) for label in (0, 1)]
    return Outcome(
        min(counts) < FEW_OF_A_CLASS,
        f"{counts[1]:,} ratings are likes and {counts[0]:,} dislikes; {FEW_OF_A_CLASS} of each "
        f"are few.",
        {"liked": counts[1], "disliked": counts[0], "rarer": min(counts)},
    )
