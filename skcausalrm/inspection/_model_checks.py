"""Checks of a fitted reward: overlap, flips, selection, ranking, level."""

from typing import Any

import numpy as np

from .._utils._clusters import clustered_variance, clusters_at
from ..metrics._estimate import NORMAL_95
from ..nuisances._propensity import CLIPPED_SHARE
from ..nuisances._recipes import effective_sample_size
from ..reward._advice import TOLERANCE, advice, advice_codes, ranking_code
from ..reward._fit_nuisances import LOW_SHARE
from ..reward._fit_reward import group_hashes
from ..selection._fitting import UNCERTAIN
from ..selection._level_check import DISAGREE
from ._case import Case, NotCheckedError, Outcome
from ._rate import Rate, rate_of

# Share of the mean propensity from which down a row is hardly ever rated.
_HARDLY = 0.1
# Effective number of ratings below which a reward moves with single rows.
_FEW_EFFECTIVE = 100
# Standard errors from which on a measured difference is none of chance (p = .01).
_CLEAR = 2.58
# Posterior standard deviations from which on the selection log odds are not 0.
_CLEAR_ODDS = 2.0
# Standard deviation of the selection log odds above which the log does not tell them: a factor of
# e, either way, could be missed.
_OPEN_ODDS = 0.6
# A flip rate above is near its bound of one half; a sum above leaves labels magnified fivefold.
_LARGE_RATE, _LARGE_SUM = 0.4, 0.8
# Least difference of a flip rate to that of the verified rows that is worth a finding, and its
# standard errors: two rates are compared.
_LEAST_RATE_GAP, _CLEAR_RATE = 0.1, 3.0
# Rows that are rated, verified and of one class, below which their flip rate is a guess.
_LEAST_FLIPS = 10


def check_overlap(case: Case) -> Outcome:
    case.need_model()
    case.need_unrated()
    estimator = getattr(getattr(case.model, "nuisances_", None), "propensity_estimator", None)
    clipped = getattr(estimator, "clipped_share_", None)
    e = case.propensity
    bound = _HARDLY * float(e.mean())
    share = float(np.mean(e <= bound))
    text = f"{share:.1%} of the rows have a propensity under a tenth of the mean of {e.mean():.1%}"
    figures: dict[str, Any] = {"share": share, "bound": bound, "mean": float(e.mean())}
    if clipped is not None:
        text += f", and {clipped:.1%} are raised to the clipping threshold"
        figures["clipped_share"] = float(clipped)
    found = share > CLIPPED_SHARE or (clipped or 0) > CLIPPED_SHARE
    return Outcome(found, f"{text}.", figures)


def check_anchors(case: Case) -> Outcome:
    case.need_model()
    if case.method in ("selection", "naive"):
        how = "needs no anchors" if case.method == "selection" else "corrects no flips"
        raise NotCheckedError(f"{case.method!r} {how}.")
    noise = case.model.nuisances_.noise_estimator
    absent = getattr(noise, "anchors_absent_", None)
    if absent is None or (noise.false_positive_rate_std_, noise.false_negative_rate_std_) == (0, 0):
        raise NotCheckedError("no flip rate was estimated from anchors.")
    missing = [kind for kind, is_absent in zip(("bad", "good"), absent, strict=True) if is_absent]
    which = f"no surely {' and no surely '.join(missing)} rows" if missing else "both kinds of rows"
    return Outcome(
        bool(missing),
        f"there seem to be {which}; the flip rates are {noise.false_positive_rate_:.2f} ± "
        f"{noise.false_positive_rate_std_:.2f} and {noise.false_negative_rate_:.2f} ± "
        f"{noise.false_negative_rate_std_:.2f}.",
        _rates(noise),
    )


def check_selection(case: Case) -> Outcome:
    case.need_model()
    case.need_unrated()
    if case.selection is None:
        return _score_test(case)
    if case.selection.selection_log_odds is not None:
        raise NotCheckedError("selection_log_odds was fixed.")
    odds, std = case.selection.selection_log_odds_, case.selection.selection_log_odds_std_
    if not np.isfinite([odds, std]).all():
        raise NotCheckedError("the log says nothing of selection.")
    clear = abs(odds) > _CLEAR_ODDS * std
    if not clear and std > _OPEN_ODDS:
        raise NotCheckedError(
            f"the log leaves it open, log odds of {odds:+.1f} ± {std:.1f}: verify about 50 rows."
        )
    more, factor = ("liked", np.exp(odds)) if odds > 0 else ("disliked", np.exp(-odds))
    return Outcome(
        bool(clear),
        f"an answer that is {more} has {factor:.1f} times the odds of a rating (log odds "
        f"{odds:+.2f} ± {std:.2f}), which the model corrects.",
        {"log_odds": float(odds), "std": float(std)},
        "note",
    )


def _score_test(case: Case) -> Outcome:
    """Test on verified rows whether who rates depends on the label, given x."""
    label = case.columns.verified
    if label is None:
        raise NotCheckedError("nothing in rated rows shows it, and no row is verified.")
    case.need_binary()
    unasked = case.columns.unasked(case.n)
    e = np.full(case.n, np.nan)
    e[unasked] = case.propensity
    rows = unasked & ~np.isnan(label)
    if not rows.any():
        raise NotCheckedError("all verified rows were asked.")
    residual = label[rows] - case.reward[rows]
    product = (case.feedback.observed[rows] - e[rows]) * (residual - residual.mean())
    error = clustered_variance(product, clusters_at(case.clusters, rows)) ** 0.5
    z = float(product.sum() / max(error, 1e-12))
    more = "good" if z > 0 else "bad"
    return Outcome(
        abs(z) > _CLEAR,
        f"of {rows.sum():,} verified rows, {more} ones are rated more often than x explains "
        f"(z = {z:.1f}).",
        {"z": z, "verified": int(rows.sum())},
    )


def check_effective_sample(case: Case) -> Outcome:
    case.need_model()
    case.need_rated()
    n_rated = int(case.feedback.observed.sum())
    if case.is_training and hasattr(case.model, "effective_sample_size_"):
        effective = float(case.model.effective_sample_size_)
    else:
        weight = case.columns.weighted(np.ones(case.n))
        effective = effective_sample_size(weight[case.feedback.observed])
    return Outcome(
        effective < max(LOW_SHARE * n_rated, _FEW_EFFECTIVE),
        f"{n_rated:,} rated rows count as {effective:,.0f} of equal weight.",
        {"effective_sample_size": effective, "rated": n_rated},
    )


def check_shared_groups(case: Case) -> Outcome:
    case.need_model()
    codes = case.clusters[0]
    if codes is None:
        raise NotCheckedError("no groups are given.")
    if not hasattr(case.model, "group_hashes_"):
        raise NotCheckedError("a SelectionModel does not keep the groups that it was fitted on.")
    trained_on, own = case.model.group_hashes_, group_hashes(case.columns.groups)
    if trained_on is None:
        if not case.is_training:
            raise NotCheckedError("the model was fitted without groups.")
        several = int(np.count_nonzero(np.bincount(codes)[codes] > 1))
        return Outcome(
            several > 0,
            f"the model was fitted without groups, so {several:,} of {case.n:,} rows that share a "
            f"conversation could be split between folds.",
            {"rows": several, "share": several / case.n},
        )
    if case.is_training:
        raise NotCheckedError("these are the training rows, whose folds keep groups together.")
    shared = int(np.isin(own, trained_on).sum())
    return Outcome(
        shared > 0,
        f"{shared:,} of {len(own):,} conversations were trained on.",
        {"shared": shared, "groups": len(own)},
    )


def check_flips(case: Case) -> Outcome:
    case.need_model()
    case.need_binary()
    source = case.selection or case.model.nuisances_.noise_estimator
    if source is None:
        raise NotCheckedError(f"{case.method!r} corrects no flips.")
    figures = _rates(source)
    false_positive, false_negative = (figures[name] for name in _NAMES)
    large = max(false_positive, false_negative) > _LARGE_RATE
    large |= false_positive + false_negative > _LARGE_SUM
    text = f"the flip rates are {false_positive:.2f} and {false_negative:.2f}"
    far = []
    for name, value, of in zip(_NAMES, (0, 1), ("bad", "good"), strict=True):
        own = _verified_rate(case, value)
        if own is None:
            continue
        figures[f"verified_{name}"] = own.value
        # By the binomial of the rate that is tested: a few rows are often all alike.
        spread = (figures[name] * (1 - figures[name]) / own.effective_n) ** 0.5
        std = np.hypot(figures[f"{name}_std"], spread)
        gap = abs(figures[name] - own.value)
        if gap > max(_CLEAR_RATE * std, _LEAST_RATE_GAP):
            far.append(f"{own.value:.2f} on {own.n} verified {of} rows")
    more = f", but {' and '.join(far)}" if far else ""
    return Outcome(large or bool(far), f"{text}{more}.", figures)


_NAMES = ("false_positive_rate", "false_negative_rate")


def _rates(source: Any) -> dict[str, float]:
    return {
        f"{name}{end}": float(getattr(source, f"{name}{end}_"))
        for name in _NAMES
        for end in ("", "_std")
    }


def _verified_rate(case: Case, label: int) -> Rate | None:
    """Return how often the feedback contradicts verified rows of a class, None for too few."""
    if case.columns.verified is None:
        return None
    rows = case.feedback.observed & (case.columns.verified == label)
    if rows.sum() < _LEAST_FLIPS:
        return None
    return rate_of(case.feedback.values != label, rows, case.clusters)


def check_ranking(case: Case) -> Outcome:
    evidence = case.evidence
    code = ranking_code(evidence)
    figures: dict[str, Any] = {"advice": code}
    for name, found in evidence.aucs().items():
        if found is not None:
            figures |= {name: found.score, f"{name}_low": found.low, f"{name}_high": found.high}
    text = advice([code], evidence)
    text = text[0].lower() + text[1:]
    if code == "ranking-below-naive" and evidence.over_naive is not None:
        # The advice warns of what is possible: logs of a few hundred ratings leave it open.
        return Outcome(evidence.over_naive.score < -TOLERANCE, text, figures, "moderate")
    return Outcome(code != "ranking-reliable", text, figures)


def check_level(case: Case) -> Outcome:
    selection = _selection_of(case)
    doubt, (low, high) = float(selection.base_rate_doubt_), selection.base_rate_interval_
    return Outcome(
        doubt > UNCERTAIN,
        f"the share of good answers lies between {low:.0%} and {high:.0%} (90% interval), and its "
        f"estimate of {selection.base_rate_:.0%} is off by over .1 with probability {doubt:.2f}.",
        {
            "base_rate": float(selection.base_rate_),
            "low": float(low),
            "high": float(high),
            "doubt": doubt,
        },
    )


def check_level_is_told(case: Case) -> Outcome:
    _selection_of(case)
    evidence = case.evidence
    code = advice_codes(evidence)[1]
    if code == "level-open":
        raise NotCheckedError("the level is open: see CRM013.")
    told_by = ", ".join(evidence.level_told_by)
    return Outcome(
        code == "level-unchecked",
        f"the level is told by {told_by or 'the form of the likelihood alone'}.",
        {"told_by": told_by},
    )


def _selection_of(case: Case):
    case.need_model()
    if case.selection is None:
        raise NotCheckedError(f"{case.method!r} assumes it: only 'selection' says how sure it is.")
    return case.selection


def check_level_by_verified(case: Case) -> Outcome:
    case.need_model()
    label = case.need_verified()
    case.need_binary()
    if case.is_training and case.used_verified:
        check = getattr(case.selection, "level_check_", None)
        if check is None:
            raise NotCheckedError("the model was fitted with the verified rows, and follows them.")
        return Outcome(
            abs(check.z) > DISAGREE,
            f"the verified rows are {abs(check.z):.1f} standard errors "
            f"{'above' if check.z > 0 else 'below'} what the log says of them without.",
            {"z": float(check.z), "p": float(check.p)},
        )
    rows = ~np.isnan(label)
    gap = label[rows] - case.reward[rows]
    z = float(gap.mean() / max(_level_gap_variance(case, rows, gap) ** 0.5, 1e-12))
    return Outcome(
        abs(z) > _CLEAR,
        f"of {len(gap):,} verified rows {label[rows].mean():.0%} are good, and their mean reward "
        f"is {case.reward[rows].mean():.0%} (z = {z:.1f}).",
        {
            "verified": len(gap),
            "good": float(label[rows].mean()),
            "reward": float(case.reward[rows].mean()),
            "z": z,
        },
    )


def _level_gap_variance(case: Case, rows: np.ndarray, gap: np.ndarray) -> float:
    """Return the variance of the mean of label minus reward on verified rows.

    The mean reward has the error of the ratings that the reward was fitted on. To first order it is
    that of their weighted mean residual.
    """
    influence = np.zeros(case.n)
    influence[rows] = (gap - gap.mean()) / len(gap)
    if case.selection is not None:
        low, high = case.selection.base_rate_interval_
        open_variance = ((high - low) / (2 * NORMAL_95)) ** 2
        return clustered_variance(influence, case.clusters) + open_variance
    target, weight = case.model.target_, case.model.weight_
    variance = _flip_variance(case)
    if case.is_training:
        weight = case.columns.weighted(weight)
        residual = np.where(weight > 0, target - case.reward, 0.0)
        # In one sum: a row that is rated and verified errs the same way in both.
        influence -= weight * residual / weight.sum()
    else:
        used = weight > 0
        target, weight = target[used], weight[used] / weight.sum()
        # The features of these rows are not kept, so what x explains counts as error too.
        variance += float(np.sum((weight * (target - weight @ target)) ** 2))
    return variance + clustered_variance(influence, case.clusters)


def _flip_variance(case: Case) -> float:
    """Return the variance of the mean reward by that of the flip rates."""
    noise = case.model.nuisances_.noise_estimator
    if noise is None:
        return 0.0
    mean = float(case.reward.mean())
    by_bad = (1 - mean) * noise.false_positive_rate_std_
    by_good = mean * noise.false_negative_rate_std_
    return float(by_bad**2 + by_good**2) / (1 - sum(noise.rates_)) ** 2
