"""Means of systems and their differences: how often 90% intervals hold the truth, and how wide.

    python benchmarks/inference.py [--seeds 3] [--jobs 1] [--only NAME=VALUE,...] [--out FILE]

A cell is a log of 4,000 rows with 32 features and conversations of four rows, answered by four
systems that differ in the reward by more than x tells. A fifth is rated, by one of the seven
selections of recovery.py, or by a rule that differs between the systems, where nothing that reads
thumbs is right. Flips are .1 and .2 and unknown. The truth is the mean of the clean labels of each
system's rows. 50 rows, drawn at random, are verified; a judge's score has an AUROC of about .75.
`ppi_py` (Angelopoulos et al.) and `cje` (Causal Judge Evaluation) run where they are installed
(`pip install skcausalrm[rivals]`).
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from _grid import APART, LogCell, chosen, fingerprint, run_grid, table, versions, write
from _recovery.cells import REGIMES

from skcausalrm import SelectionModel
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import SkcausalrmWarning
from skcausalrm.inference import Comparison, compare
from skcausalrm.inspection._rate import wilson
from skcausalrm.metrics._estimate import NORMAL_95

try:
    from ppi_py import ppi_mean_ci
except ImportError:
    ppi_mean_ci = None
try:
    from cje import calibrated_mean_ci
except ImportError:
    calibrated_mean_ci = None

ROOT = Path(__file__).resolve().parent.parent
N, N_FEATURES, N_SYSTEMS, N_VERIFIED = 4000, 32, 4, 50
BASE_RATES = (0.3, 0.5, 0.8)
BROKEN = "differs by system"
FLIPS = {"false_positive_rate": 0.1, "false_negative_rate": 0.2}
# How much of each system's quality is what x tells, and how much is not in x.
LEAN, HIDDEN = (-0.6, -0.2, 0.2, 0.6), 0.5
# Kinds that the goal is set for, and the share of truths that their intervals should hold.
GOAL = 0.85, 0.95
ALONE = "compare, thumbs alone"
CHECKED = f"compare, {N_VERIFIED} verified"
WITH_JUDGE = f"{CHECKED}, judge"
DISTRUSTING = f"{WITH_JUDGE}, trust_log=False"

ABOUT = f"""\
A log has {N:,} rows of {N_SYSTEMS} systems of which a fifth is rated. The truth is the share of
good answers among each system's rows; a difference is one of the six between two systems.

- thumbs as they are: the share liked of the rated rows, with its binomial error (the dashboard);
- verified alone: the share good of the system's verified rows, about {N_VERIFIED // N_SYSTEMS} of
  them, with Wilson's interval; the difference with Newcombe's;
- ppi_py: prediction-powered means of the verified rows with the judge, or the posterior of this
  package, as the prediction; differences by adding the squared errors;
- cje: the mean of the judge's score or posterior calibrated on the verified rows, as `cje-eval`
  does for one policy, with its cluster-robust interval; differences likewise. Where it refuses,
  with fewer than four conversations verified, its interval counts as all of 0 to 1;
- glide-py has no wheel for Python 3.11 (it asks for 3.12), so it is left out;
- compare: this package.

"{BROKEN}" is left out of the first table: there half of the systems are rated four times as often
where liked, half where disliked.
"""


class Log(NamedTuple):
    """Rows of the four systems."""

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray
    system: np.ndarray
    reward: np.ndarray
    verified: np.ndarray
    judge: np.ndarray | None = None


class _Rival(NamedTuple):
    """A package that treats each set by itself: an interval from labels, a guess and groups."""

    name: str
    interval: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[float, float]]


def _by_ppi(label: np.ndarray, guess: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    judged = ~np.isnan(label)
    low, high = ppi_mean_ci(label[judged], guess[judged], guess[~judged], alpha=0.1)
    return float(low[0]), float(high[0])


def _by_cje(label: np.ndarray, guess: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    try:
        return calibrated_mean_ci(guess, label, cluster_ids=groups, alpha=0.1).ci
    except ValueError:  # fewer than four conversations with a verified row
        return 0.0, 1.0


RIVALS = [
    rival
    for package, rival in ((ppi_mean_ci, _Rival("ppi_py", _by_ppi)),
                           (calibrated_mean_ci, _Rival("cje", _by_cje)))
    if package is not None
]  # fmt: skip
logging.getLogger("cje").setLevel(logging.ERROR)  # it advises on every interval


class Found(NamedTuple):
    """Estimate and 90% interval."""

    estimate: float
    low: float
    high: float


def grid(seeds: int) -> list[LogCell]:
    kinds = [*REGIMES, BROKEN]
    return [LogCell(*values) for values in product(kinds, BASE_RATES, range(seeds))]


def make_log(cell: LogCell) -> Log:
    selection, strength = REGIMES.get(cell.selection, ("none", 0.5))
    seed = zlib.crc32(cell.name.encode())
    log = make_observational_feedback(
        N,
        N_FEATURES,
        selection=selection,
        selection_strength=strength,
        base_rate=cell.base_rate,
        n_groups=N // 4,
        random_state=seed,
        **FLIPS,
    )
    rng = np.random.default_rng(seed)
    logit = np.log(log.probability / (1 - log.probability))
    quality = (logit - logit.mean()) / logit.std() + HIDDEN * (2 * log.reward - 1)
    system = (np.outer(quality, LEAN) + rng.gumbel(size=(N, N_SYSTEMS))).argmax(axis=1)
    y = log.y
    if cell.selection == BROKEN:
        flipped = rng.random(N) < np.where(
            log.reward == 1, FLIPS["false_negative_rate"], FLIPS["false_positive_rate"]
        )
        thumb = np.where(flipped, 1 - log.reward, log.reward)
        weight = np.where((log.reward == 1) == (system % 2 == 0), 1.0, 0.25)
        y = np.where(rng.random(N) < np.minimum(0.2 * weight / weight.mean(), 1), thumb, np.nan)
    verified = np.full(N, np.nan)
    drawn = rng.choice(N, N_VERIFIED, replace=False)
    verified[drawn] = log.reward[drawn]
    judge = log.reward + rng.normal(size=N)
    return Log(log.X, y, log.groups, system, log.reward, verified, judge)


def _plain(mean: float, std: float) -> Found:
    return Found(mean, mean - NORMAL_95 * std, mean + NORMAL_95 * std)


def _apart(one: Found, other: Found) -> Found:
    """Return the difference of two independent estimates (Newcombe's for Wilson's intervals)."""
    gap = one.estimate - other.estimate
    return Found(
        gap,
        gap - np.hypot(one.estimate - one.low, other.high - other.estimate),
        gap + np.hypot(one.high - one.estimate, other.estimate - other.low),
    )


def independent(log: Log, posterior: np.ndarray) -> Iterator[tuple[str, list[Found], list[Found]]]:
    """Yield the name, means and differences of what treats each system by itself."""
    for name, means in _by_set(log, posterior):
        yield name, means, [_apart(one, other) for one, other in combinations(means, 2)]


def _by_set(log: Log, posterior: np.ndarray) -> Iterator[tuple[str, list[Found]]]:
    sets = [log.system == k for k in range(N_SYSTEMS)]
    judged = ~np.isnan(log.verified)
    liked = [log.y[rows & ~np.isnan(log.y)] for rows in sets]
    yield (
        "thumbs as they are",
        [_plain(v.mean(), np.sqrt(v.mean() * (1 - v.mean()) / len(v))) for v in liked],
    )
    labels = [log.verified[rows & judged] for rows in sets]
    yield "verified alone", [Found(v.mean(), *wilson(v.mean(), len(v))) for v in labels]
    for rival, (name, guess) in product(RIVALS, (("judge", log.judge), ("posterior", posterior))):
        if guess is None:
            continue
        ends = [rival.interval(log.verified[rows], guess[rows], log.groups[rows]) for rows in sets]
        yield f"{rival.name}, {name}", [Found((low + high) / 2, low, high) for low, high in ends]


def compared(found: Comparison) -> tuple[list[Found], list[Found]]:
    """Return the means and the differences of a comparison."""
    gaps = [found.difference(a, b) for a, b in combinations(found.sets, 2)]
    return (
        [Found(one.estimate, one.low, one.high) for one in found.sets.values()],
        [Found(gap.score, gap.low, gap.high) for gap in gaps],
    )


def as_rows(
    kind: str, truth: list[float], means: list[Found], gaps: list[Found]
) -> list[dict[str, Any]]:
    """Return a row for each mean and each difference, with its truth."""
    parts = {
        "mean": zip(truth, means, strict=True),
        "difference": zip((a - b for a, b in combinations(truth, 2)), gaps, strict=True),
    }
    return [
        {"kind": kind, "of": of, "truth": true, **one._asdict()}
        for of, pairs in parts.items()
        for true, one in pairs
    ]


def run_cell(cell: LogCell) -> pd.DataFrame:
    """Return a row for each kind of interval and each mean or difference."""
    log = make_log(cell)
    truth = [log.reward[log.system == k].mean() for k in range(N_SYSTEMS)]
    rows: list[dict[str, Any]] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SkcausalrmWarning)
        model = SelectionModel(random_state=0).fit(log.X, log.y, groups=log.groups)
        for kind, means, gaps in independent(log, model.oof_posterior_):
            rows += as_rows(kind, truth, means, gaps)
        checked = {"verified": log.verified}
        judged = {**checked, "judge_score": log.judge}
        for kind, given in (
            (ALONE, {}),
            (CHECKED, checked),
            (WITH_JUDGE, judged),
            (DISTRUSTING, {**judged, "trust_log": False}),
        ):
            found = compare(model, log.X, log.y, by=log.system, groups=log.groups, **given)
            rows += as_rows(kind, truth, *compared(found))
    codes = [getattr(warning.message, "code", "") for warning in caught]
    about = {**cell._asdict(), "warned": "log-contradicted" in codes}
    return pd.DataFrame([{**about, **row} for row in rows])


def prepare(rows: pd.DataFrame) -> pd.DataFrame:
    """Add error, width, whether the interval holds the truth, and whether the sign is right."""
    return rows.assign(
        error=(rows["estimate"] - rows["truth"]).abs(),
        width=rows["high"] - rows["low"],
        held=(rows["low"] <= rows["truth"]) & (rows["truth"] <= rows["high"]),
        ordered=np.sign(rows["estimate"]) == np.sign(rows["truth"]),
        claimed=(rows["low"] > 0) | (rows["high"] < 0),
    )


def by_kind(rows: pd.DataFrame) -> str:
    lines = []
    for kind, part in rows.groupby("kind", sort=False):
        cells = [kind]
        for of in ("mean", "difference"):
            own = part[part["of"] == of]
            cells += [f"{own['held'].mean():.0%}", f"{own['width'].mean():.3f}"]
            cells.append(f"{own['error'].mean():.3f}")
        claims = own[own["claimed"]]
        wrong = (~claims["ordered"]).mean() if len(claims) else 0
        cells += [f"{own['ordered'].mean():.0%}", f"{len(claims) / len(own):.0%} / {wrong:.0%}"]
        lines.append(cells)
    header = ["", *(f"{of}: {what}" for of in ("mean", "difference") for what in
                    ("held", "width", "error")), "right order", "claimed / wrongly"]  # fmt: skip
    return table(header, lines)


def by_selection(rows: pd.DataFrame, of: str) -> str:
    own = rows[rows["of"] == of]
    kinds = own["selection"].unique()
    lines = []
    for kind, part in own.groupby("kind", sort=False):
        share = part.groupby("selection")["held"].mean()
        lines.append([kind, *(f"{share[name]:.0%}" for name in kinds)])
    return table(["", *kinds], lines)


def page(rows: pd.DataFrame, command: str) -> str:
    """Return the results as Markdown, and where they miss the goal."""
    rows = prepare(rows)
    right, broken = rows[rows["selection"] != BROKEN], rows[rows["selection"] == BROKEN]
    least, most = GOAL
    goal = []
    for kind, of in product((ALONE, CHECKED, WITH_JUDGE, DISTRUSTING), ("mean", "difference")):
        share = right.loc[(right["kind"] == kind) & (right["of"] == of), "held"].mean()
        met = "met" if share >= least else "**missed**"
        goal.append(
            [kind, of, f"{share:.0%}", met + (" (wider than need be)" if share > most else "")]
        )
    missing = [name for name in ("ppi_py", "cje") if name not in {rival.name for rival in RIVALS}]
    skipped = f"Not installed, so left out: {', '.join(missing)}.\n" if missing else ""
    logs = len(rows.drop_duplicates(["selection", "base_rate", "seed"]))
    parts = [
        f"# Which system is better: intervals\n\n`{command}`: {logs} logs; {versions()}.\n",
        ABOUT,
        skipped,
        f"Goal: 90% intervals hold the truth in at least {least:.0%}.\n",
        table(["", "of", "held", ""], goal),
        "## Where the assumptions hold\n\nShare of truths in the 90% interval, mean width, mean "
        "absolute error; share of differences with the right sign; share whose interval leaves out "
        "0, and how many of these have the wrong sign.\n",
        by_kind(right),
        "## By selection: means held\n",
        by_selection(right, "mean"),
        "## By selection: differences held\n",
        by_selection(right, "difference"),
    ]
    if len(broken):
        warned, falsely = (part["warned"].mean() for part in (broken, right))
        parts += [
            "## Where users rate each system by another rule\n\n"
            f"`compare` with verified rows warned that they contradict the log in {warned:.0%} of "
            f"these logs, and in {falsely:.0%} of those above.\n",
            by_kind(broken),
        ]
    return "\n".join(part for part in parts if part)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME=VALUE,VALUE")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "inference")
    parser.add_argument("--out", type=Path, help="page to write instead of printing it")
    options = parser.parse_args(arguments)
    cells = chosen(grid(options.seeds), options.only)
    settings = [rival.name for rival in RIVALS]
    folder = options.work / fingerprint(settings, Path(__file__), apart=APART - {"inference"})
    rows = run_grid(cells, run_cell, folder, options.jobs)
    given = sys.argv[1:] if arguments is None else arguments
    text = page(rows, " ".join(["python benchmarks/inference.py", *given]))
    write(text, options.out)


if __name__ == "__main__":
    main()
