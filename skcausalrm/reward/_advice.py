"""Advice on a fit by the selection likelihood: codes by what was measured, and a sentence each."""

import math
from typing import NamedTuple

from ..metrics._estimate import NORMAL_95, Estimate

# AUROC of a ranking by chance, and loss of AUROC to naive's that does not matter.
_CHANCE, TOLERANCE = 0.5, 0.02


class Evidence(NamedTuple):
    """What the advice rests on; AUROCs are those of the out-of-fold ranking, None where unknown.

    Attributes
    ----------
    posterior : Estimate or None
        Against draws of the posterior.
    rated : Estimate or None
        Against the feedback of the rated rows, which flips pull towards one half.
    verified : Estimate or None
        Against verified labels.
    over_naive : Estimate or None
        Difference to the AUROC of naive's ranking, against the draws.
    level_is_open : bool
        True if the base rate's posterior is wide.
    level_told_by : tuple of str
        Those of "verified", "asked", "base_rate", "users", "instruments", "signals" and
        "judge_score" that the log has and that have a say on the level.
    n_verified : int
    base_rate_interval : (float, float)
    """

    posterior: Estimate | None
    rated: Estimate | None
    verified: Estimate | None
    over_naive: Estimate | None
    level_is_open: bool
    level_told_by: tuple[str, ...]
    n_verified: int
    base_rate_interval: tuple[float, float]

    def aucs(self) -> dict[str, Estimate | None]:
        """Return the estimates by name."""
        return {
            name: getattr(self, name) for name in ("posterior", "rated", "verified", "over_naive")
        }


def advice_codes(evidence: Evidence) -> list[str]:
    """Return a code on the ranking and a code on the level.

    Returns
    -------
    list of str
        First "ranking-contradicted" (verified rows, or the feedback itself, rank otherwise),
        "ranking-unproven" (an AUROC of one
        half is possible), "ranking-below-naive" (naive may rank better) or "ranking-reliable";
        then "level-open", "level-unchecked" or "level-reliable".
    """
    level = "level-reliable" if evidence.level_told_by else "level-unchecked"
    return [ranking_code(evidence), "level-open" if evidence.level_is_open else level]


def ranking_code(evidence: Evidence) -> str:
    """Return the code on the ranking."""
    posterior, rated, verified = evidence.posterior, evidence.rated, evidence.verified
    if rated is not None and rated.high < _CHANCE:
        return "ranking-contradicted"
    if posterior is not None and verified is not None:
        error = math.hypot(posterior.std, verified.std)
        if posterior.score - verified.score > NORMAL_95 * error:
            return "ranking-contradicted"
    direct = rated if rated is not None else verified
    if posterior is None or direct is None or min(posterior.low, direct.low) <= _CHANCE:
        return "ranking-unproven"
    over_naive = evidence.over_naive
    if over_naive is not None and over_naive.low < -TOLERANCE:
        return "ranking-below-naive"
    return "ranking-reliable"


def advice(codes: list[str], evidence: Evidence) -> str:
    """Return the sentences of the codes, with their numbers."""
    return " ".join(_SENTENCES[code](evidence) for code in codes)


def _contradicted(evidence: Evidence) -> str:
    return (
        f"The ranking is contradicted: its AUROC is {_aucs(evidence)}. Check whether users rate "
        f"what verified rows are judged by, and trust those."
    )


def _unproven(evidence: Evidence) -> str:
    return (
        f"The ranking is not proven, because one half is chance and its AUROC is "
        f"{_aucs(evidence)}. Collect more ratings, or verify rows with `skcausalrm label`."
    )


def _aucs(evidence: Evidence) -> str:
    known = {
        "by the likelihood": evidence.posterior,
        "on the feedback itself": evidence.rated,
        "on verified rows": evidence.verified,
    }
    return ", ".join(f"{_interval(found)} {name}" for name, found in known.items() if found)


def _below_naive(evidence: Evidence) -> str:
    return (
        f"The ranking is better than chance, but perhaps worse than naive's: its AUROC is "
        f"{_interval(evidence.posterior)}, {_interval(evidence.over_naive, sign=True)} over "
        f"naive's. Verify rows with `skcausalrm label` and compare both on them."
    )


def _reliable(evidence: Evidence) -> str:
    return f"The ranking is reliable: its AUROC is {_interval(evidence.posterior)}."


def _level_open(evidence: Evidence) -> str:
    cure = "check more rows, drawn at random" if evidence.n_verified else _CHECK
    return f"The level is not reliable: {_span(evidence)}; {cure}."


def _level_unchecked(evidence: Evidence) -> str:
    return (
        f"No checked or asked row has a say, nor do users, signals or a judge, and "
        f"{_span(evidence)}: {_CHECK} before relying on it."
    )


def _level_reliable(evidence: Evidence) -> str:
    told_by = evidence.level_told_by
    assumed = [text for name, text in _ASSUMED.items() if name in told_by]
    if len(assumed) < len(told_by):  # what somebody has checked, or knows, needs no assumption
        return f"The level is reliable: {_span(evidence)}."
    return (
        f"The level is reliable by {' and '.join(told_by)}, if {' and '.join(assumed)}: "
        f"{_span(evidence)}. To test that, {_CHECK}."
    )


def _span(evidence: Evidence) -> str:
    low, high = evidence.base_rate_interval
    return f"the share of good answers is between {low:.0%} and {high:.0%} (90% interval)"


def _interval(estimate: Estimate | None, *, sign: bool = False) -> str:
    if estimate is None:
        return "unknown"
    form, least = ("+.2f", -1) if sign else (".2f", 0)
    return f"{max(estimate.low, least):{form}} to {min(estimate.high, 1):{form}}"


# What must be true where nobody has checked the level.
_ASSUMED = {
    "users": "those who rate a lot are no more lenient and get no better answers",
    "instruments": "the instruments have nothing to do with how good an answer is",
    "signals": "what users do with an answer follows how good it is",
    "judge_score": "the judge's errors have nothing to do with who rates",
}
_CHECK = "check about 50 rows with `skcausalrm label`"
_SENTENCES = {
    "ranking-contradicted": _contradicted,
    "ranking-unproven": _unproven,
    "ranking-below-naive": _below_naive,
    "ranking-reliable": _reliable,
    "level-open": _level_open,
    "level-unchecked": _level_unchecked,
    "level-reliable": _level_reliable,
}
