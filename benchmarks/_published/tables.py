"""Tables of the page: means with spreads, ranks, paired comparisons, goals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import studentized_range, ttest_rel, wilcoxon

from .data import GENERATED
from .methods import ORACLE, OURS

__all__ = ["critical_difference", "goals", "mean_ranks", "means", "paired", "short"]

AUTO = OURS[0]
LOG = ["data", "alpha", "false_positive_rate", "false_negative_rate", "good", "observed_rate"]
SCORES = {"AUROC": True, "R2": True, "MAE": False, "Pearson": True}  # is more better?


def short(method: str) -> str:
    """Return the display name: the package's corrections by their own name, in italics."""
    return f"*{method.split(chr(39))[1]}*" if method in OURS else method


def means(rows: pd.DataFrame, further: str, score: str) -> pd.DataFrame:
    """Return mean ± standard deviation over seeds: methods by logs, best mean rank first."""
    part = rows[rows["further"] == further]
    grouped = part.groupby([*LOG, "method"])[score]
    text = grouped.mean().map("{:.3f}".format) + " ± " + grouped.std(ddof=1).map("{:.3f}".format)
    table = text.unstack("method").T
    table.columns = [
        f"{data}, {alpha:g}" + ("" if _one(part) else f", {fpr:g}/{fnr:g}, {good:g}, {rated:g}")
        for data, alpha, fpr, fnr, good, rated in table.columns
    ]
    ranks = mean_ranks(rows, further, score)
    order = [ORACLE, *ranks.index]
    table.insert(0, "mean rank", ranks.map("{:.1f}".format))
    return table.loc[order].rename(index=short).fillna("")


def _one(part: pd.DataFrame) -> bool:
    return len(part[LOG[2:]].drop_duplicates()) == 1


def mean_ranks(rows: pd.DataFrame, further: str, score: str) -> pd.Series:
    """Return the mean rank of each method but the oracle over all logs, 1 the best; ties share."""
    wide = _wide(rows, further, score).drop(columns=ORACLE)
    return wide.rank(axis=1, ascending=not SCORES[score]).mean().sort_values()


def _wide(rows: pd.DataFrame, further: str, score: str) -> pd.DataFrame:
    part = rows[rows["further"] == further]
    return part.pivot_table(index=[*LOG, "seed"], columns="method", values=score)


def critical_difference(n_methods: int, n_logs: int, level: float = 0.05) -> float:
    """Return Nemenyi's distance: closer mean ranks do not differ (Demsar, JMLR 2006)."""
    q = studentized_range.ppf(1 - level, n_methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_logs)))


def paired(rows: pd.DataFrame, further: str, score: str) -> pd.DataFrame:
    """Return counts of the settings in which auto beats, ties with and loses to each method.

    A setting is won or lost if a paired t-test over its seeds is significant at .05, else tied. The
    last column is Wilcoxon's test over all logs.
    """
    wide = _wide(rows, further, score)
    sign = 1 if SCORES[score] else -1
    found = {}
    for method in mean_ranks(rows, further, score).index.drop(AUTO):
        difference = sign * (wide[AUTO] - wide[method])
        counts = {"wins": 0, "ties": 0, "losses": 0}
        for _, part in wide.groupby(level=LOG):
            change = sign * (part[AUTO] - part[method])
            sure = len(part) > 1 and ttest_rel(part[AUTO], part[method]).pvalue < 0.05
            kind = "ties" if not sure else "wins" if change.mean() > 0 else "losses"
            counts[kind] += 1
        p = wilcoxon(difference).pvalue if difference.any() else 1.0
        found[short(method)] = {**counts, "mean difference": difference.mean(), "p": p}
    return pd.DataFrame(found).T


def goals(rows: pd.DataFrame, timing: dict[str, float]) -> list[tuple[str, str, bool]]:
    """Return each goal with the finding and True if it is met."""
    found = []
    for further, score, name in (
        ("none", "AUROC", "logs alone"),
        ("verified", "R2", "50 verified rows"),
    ):
        mean = _wide(rows, further, score).groupby(level=["data", "alpha"]).mean()
        rivals = mean.drop(columns=[ORACLE, *OURS], errors="ignore")
        for data in [name for name in GENERATED if name in mean.index.get_level_values(0)]:
            best = rivals.loc[data].idxmax(axis=1)
            margins = mean.loc[data, AUTO] - rivals.loc[data].max(axis=1)
            text = ", ".join(
                f"{alpha:g}: {margin:+.3f} ({best[alpha]})" for alpha, margin in margins.items()
            )
            goal = f"{data}, {name}: auto above the best baseline by {score} at every alpha"
            found.append((goal, text, bool((margins > 0).all())))
    mean = _wide(rows, "none", "AUROC").groupby(level="data").mean()
    if "CausalRMDR" in mean:
        closed = mean.sub(mean["Naive"], axis=0).div(mean[ORACLE] - mean["Naive"], axis=0)
        for data in [name for name in GENERATED if name in closed.index]:
            ours, theirs = closed.loc[data, AUTO], closed.loc[data, "CausalRMDR"]
            found.append(
                (
                    f"{data}: auto closes twice as much of Naive's AUROC gap to the oracle as "
                    f"CausalRMDR",
                    f"{ours:.0%} against {theirs:.0%}",
                    bool(ours > 0 and ours >= 2 * theirs),
                )
            )
    if timing:
        ratio = timing["CausalRMDR"] / timing["auto"]
        text = f"{ratio:.0f} times ({timing['auto']:.1f} s against {timing['CausalRMDR']:.1f} s)"
        found.append(("auto trains 30 times as fast as CausalRMDR", text, ratio >= 30))
    return found
