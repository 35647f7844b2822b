"""Goals and tables of the logs unlike those of the main grid."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pandas as pd

from .goals import Goal, share_goals
from .other_logs import BROKEN, LOGS, REPEATED
from .rows import CELL, LEVEL_OFF, arms, coverage, name, number, pick, prepare, share, table, where

# Where an assumption is broken: how far R2 may fall under that of thumbs alone, and how often the
# warning is to be up in runs whose level is off by over .1, and in the others.
LEAST_OVER_ALONE, WARNED_OFF, WARNED_GOOD, QUIET_OFF = -0.03, 0.8, 0.2, 0.02
# How far thumbs alone may fall under naive: in R2, in so many of the runs, and in AUROC.
LEAST_OVER_NAIVE, RUNS, LEAST_AUROC_OVER_NAIVE = -0.05, 0.95, -0.02
# Logs of which the goals of the main grid hold too, and one with a goal of its own.
AS_USUAL, FEWEST = ("4500 rows", "4500 rows with users"), "225 ratings"
DOUBTS = (0, 0.05, 0.2, 0.4, 1)


def prepare_other(rows: pd.DataFrame) -> pd.DataFrame:
    """Add scores of naive, of matched, and of thumbs alone on the same data set."""
    parts = []
    for _, part in rows.groupby("log", sort=False):
        part = prepare(part)
        alone = pick(part, "selection", "none")[[*CELL, "R2", "AUROC"]]
        part = part.merge(alone, on=CELL, suffixes=("", " alone"), validate="m:1")
        for column in ("R2", "AUROC"):
            part[f"{column} over alone"] = part[column] - part[f"{column} alone"]
        part["AUROC over naive"] = part["AUROC"] - part["AUROC of naive"]
        part["off"] = part["level"].abs() > LEVEL_OFF
        part["warned"] = part["warned"].astype(bool)
        parts.append(part)
    rows = pd.concat(parts, ignore_index=True)
    return rows.assign(group=rows["log"].map({log: about.group for log, about in LOGS.items()}))


def other_goals(rows: pd.DataFrame) -> Iterator[Goal]:
    """Check the goals of prepared rows."""
    for log in AS_USUAL:
        part = rows[rows["log"] == log]
        for goal in share_goals(part, part) if len(part) else ():
            yield goal._replace(text=f"{log}: {goal.text}")
    part = rows[rows["log"] == FEWEST]
    if len(part):
        found = [pick(part, m, "none")["AUROC"].mean() for m in ("selection", "logistic")]
        yield Goal(
            f"{FEWEST}: AUROC at least that of LogisticRegression on the rated rows",
            f"{number(found[0])} against {number(found[1])}",
            found[0] >= found[1],
        )
    for group, part in rows[rows["group"] != BROKEN].groupby("group", sort=False):
        yield from _naive_goals(str(group), pick(part, "selection", "none"))
    broken = rows[(rows["group"] == BROKEN) & (rows["method"] == "selection")]
    for log, part in broken.groupby("log", sort=False):
        means = part.groupby("further", sort=False)["R2 over alone"].mean().drop("none")
        yield Goal(
            f"{log}: mean R2 at most {number(-LEAST_OVER_ALONE, 2)} under that of thumbs alone",
            ", ".join(f"{number(mean, sign=True)} {arm}" for arm, mean in means.items()),
            means.min() >= LEAST_OVER_ALONE,
        )
    if len(broken):
        yield from _warning_goals(broken[~broken["further"].str.contains("verified")])
    yield from _quiet_goals(rows[rows["method"] == "selection"])


def _naive_goals(group: str, some: pd.DataFrame) -> Iterator[Goal]:
    gap = some["R2 over naive"]
    kept = gap >= LEAST_OVER_NAIVE
    yield Goal(
        f"{group}, none: R2 at most {number(-LEAST_OVER_NAIVE, 2)} below naive in {RUNS:.0%} of "
        f"the runs",
        f"{kept.sum()} of {len(some)}; least {number(gap.min(), sign=True)}",
        kept.mean() >= RUNS,
    )
    worst = some.loc[some["AUROC over naive"].idxmin()]
    yield Goal(
        f"{group}, none: AUROC in no run over {number(-LEAST_AUROC_OVER_NAIVE, 2)} below naive",
        f"{number(worst['AUROC over naive'], sign=True)} ({worst['log']}, {where(worst)})",
        worst["AUROC over naive"] >= LEAST_AUROC_OVER_NAIVE,
    )


def _counts(rows: pd.DataFrame, column: str) -> str:
    """Count a column of booleans, in all and by arm."""
    by_arm = rows.groupby("further", sort=False)[column].agg(["sum", "size"])
    return f"{rows[column].sum()} of {len(rows)}; " + ", ".join(
        f"{arm} {found} of {size}" for arm, found, size in by_arm.itertuples()
    )


def _warning_goals(some: pd.DataFrame) -> Iterator[Goal]:
    off, good = some[some["off"]], some[~some["off"]]
    if len(off):
        yield Goal(
            f"{BROKEN}, nothing verified: the warning is up in {WARNED_OFF:.0%} of the runs whose "
            f"level is off by over .1",
            _counts(off, "warned"),
            off["warned"].mean() >= WARNED_OFF,
        )
    if len(good):
        yield Goal(
            f"{BROKEN}, nothing verified: in at most {WARNED_GOOD:.0%} of the others",
            _counts(good, "warned"),
            good["warned"].mean() <= WARNED_GOOD,
        )


def _quiet_goals(some: pd.DataFrame) -> Iterator[Goal]:
    for group, part in some[~some["warned"]].groupby("group", sort=False):
        shares = part.groupby("further")["off"].mean()
        yield Goal(
            f"{group}: where the warning is quiet, at most {QUIET_OFF:.0%} of the runs of each arm "
            f"are off by over .1",
            _counts(part, "off"),
            shares.max() <= QUIET_OFF,
        )


def scores(rows: pd.DataFrame, group: str) -> str:
    """R2, AUROC, level and slope of every method and arm of a group of logs."""
    lines = []
    for (log, method, further), some in rows.groupby(["log", "method", "further"], sort=False):
        values = (
            number(some["R2"].mean()),
            number(share(some), 2),
            *([number(some["R2 over alone"].mean(), sign=True)] if group == BROKEN else []),
            number(some["R2 over naive"].min(), sign=True),
            number(some["AUROC"].mean()),
            number(some["AUROC over matched"].mean(), sign=True),
            number(some["AUROC over naive"].min(), sign=True),
            number(some["level"].mean(), sign=True),
            number(some["slope"].mean(), 2),
        )
        lines.append([log, name(method, further), *values])
    alone = ["over thumbs alone"] if group == BROKEN else []
    header = ["log", "", "R2", "share of matched's", *alone, "least over naive", "AUROC"]
    return table([*header, "over matched's", "least over naive", "level", "slope"], lines)


def levels(rows: pd.DataFrame) -> str:
    """Errors of the level, and what is said of them."""
    lines = []
    for log, part in rows.groupby("log", sort=False):
        for further in arms(part):
            some = pick(part, "selection", further)
            off, good, quiet = some[some["off"]], some[~some["off"]], some[~some["warned"]]
            codes = some["codes"].str.split().explode().value_counts()
            codes = codes.drop("uncertain", errors="ignore")
            lines.append(
                [
                    str(log),
                    further,
                    number(some["level"].abs().mean()),
                    f"{coverage(some).mean():.0%}",
                    number(some["doubt"].mean(), 2),
                    number(some["off"].mean(), 2),
                    f"{off['warned'].sum()} of {len(off)}",
                    f"{good['warned'].sum()} of {len(good)}",
                    f"{quiet['off'].sum()} of {len(quiet)}",
                    ", ".join(f"{code} {count}" for code, count in codes.items()),
                ]
            )
    header = [
        "log",
        "",
        "mean error of the level",
        "coverage",
        "mean doubt",
        "share off by over .1",
    ]
    header += ["warned of these", "warned of the others", "off where quiet", "other warnings"]
    return table(header, lines)


def doubts(rows: pd.DataFrame) -> str:
    """Mean doubt and share of runs that are off, by doubt, log and arm."""
    some = rows[rows["method"] == "selection"]
    lines = []
    for (group, further), part in some.groupby(["group", "further"], sort=False):
        bins = pd.cut(part["doubt"], DOUBTS, include_lowest=True)
        cells = [
            f"{number(here['doubt'].mean(), 2)}, {number(here['off'].mean(), 2)} ({len(here)})"
            if len(here)
            else ""
            for _, here in part.groupby(bins, observed=False)
        ]
        lines.append([str(group), str(further), *cells])
    header = [f"{number(low, 2)} to {number(high, 2)}" for low, high in pairwise(DOUBTS)]
    return table(["said, found (runs)", "", *header], lines)


def other_page(rows: pd.DataFrame, about: str) -> list[str]:
    """Return the sections of these logs."""
    rows = prepare_other(rows)
    goals = [[g.text, g.found, "met" if g.met else "**missed**"] for g in other_goals(rows)]
    present = list(rows["log"].unique())
    kinds = [[log, LOGS[log].text] for log in present]
    sections = [
        "## Other logs: few rows or ratings, repeated answers, broken assumptions",
        about,
        "Medium signal, the usual flips, all selections; base rates of the main grid at 4500 rows, "
        "elsewhere .15, .5 and .85. `none` is thumbs alone. The warning is up where the doubt, "
        "`base_rate_doubt_`, is above .05; it is the probability that the level is off by over .1. "
        "logistic: LogisticRegression on the rated rows. naive and matched are as above, and "
        "matched takes the usual flips for known also where they differ by user.",
        table(["log", "what it is"], kinds),
        "### Goals for these logs",
        table(["goal", "found", ""], goals),
    ]
    for group, part in rows.groupby("group", sort=False):
        sections += [f"### {group}", scores(part, str(group)), levels(part)]
        if group == REPEATED:
            sections += [_at_random(part)]
    return [*sections, "### What the doubt says and what is found", doubts(rows)]


def _at_random(rows: pd.DataFrame) -> str:
    """Say how ratings at random rank, where folds of equal rows went wrong."""
    part = rows[rows["selection"] == "none"]
    found = (
        f"{method} {number(pick(part, method, 'none')['AUROC'].mean())}"
        for method in ("naive", "selection", "matched")
    )
    return "AUROC with ratings at random: " + ", ".join(found) + "."
