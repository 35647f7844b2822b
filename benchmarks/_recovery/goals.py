"""Goals of the benchmark, and if they are met."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pandas as pd

from .rows import (
    LEVEL_OFF,
    arms,
    coverage,
    number,
    pick,
    selection_rows,
    share,
    usual,
    usual_flips,
    where,
)

# Share of matched's R2 by signal; AUROC is to be matched's wherever there is a goal.
GOALS = {
    ("naive", "none"): {"strong": 0.4, "medium": 0.1, "weak": None},
    ("selection", "none"): {"strong": 0.78, "medium": 0.7, "weak": 0.0},
    ("selection", "50 verified"): {"strong": 0.93, "medium": 0.96, "weak": 0.93},
    ("selection", "200 verified"): {"strong": 0.98, "medium": 1.01, "weak": 1.0},
    ("selection", "300 asked"): {"strong": 0.95, "medium": 0.95, "weak": 0.95},
    ("selection", "users"): {"medium": 0.8},
    ("selection", "users, signals"): {"medium": 0.93},
}
# Least AUROC over matched's, where something settles the level and where nothing does.
LEAST_OVER_MATCHED, LEAST_ALONE = -0.003, -0.01
WORST = {"none": 0.05, "50 verified": 0.03, "200 verified": 0.01}


class Goal(NamedTuple):
    """A goal, the figure found, and if it is met."""

    text: str
    found: str
    met: bool


def goals(rows: pd.DataFrame) -> list[Goal]:
    """Check every goal whose runs are there."""
    grid = usual(rows)
    checks: list[Callable[[pd.DataFrame, pd.DataFrame], Iterator[Goal]]] = [
        share_goals,
        _ranking_goals,
        _worst_goals,
        _rival_goals,
        _interval_goals,
        _slope_goals,
    ]
    return [goal for check in checks for goal in check(grid, rows)]


def share_goals(grid, rows):
    for (method, further), wanted in GOALS.items():
        if method == "selection" and further in arms(grid):
            parts = [
                (signal, pick(part, method, further))
                for signal, part in grid.groupby("signal", sort=False)
                if signal in wanted
            ]
            found = [(signal, share(part), wanted[signal]) for signal, part in parts]
            yield Goal(
                f"{further}: share of matched's R2 at least "
                + ", ".join(f"{number(least, 2)} {signal}" for signal, _, least in found),
                ", ".join(f"{number(value, 2)} {signal}" for signal, value, _ in found),
                # To the two decimals in which the goal is given.
                all(round(value, 2) >= least for _, value, least in found),
            )
            gaps = [(signal, part["AUROC over matched"].mean()) for signal, part in parts]
            lowest = LEAST_ALONE if further == "none" else LEAST_OVER_MATCHED
            yield Goal(
                f"{further}: AUROC over matched's at least {number(lowest, sign=True)}",
                ", ".join(f"{number(gap, sign=True)} {signal}" for signal, gap in gaps),
                all(round(gap, 3) >= lowest for _, gap in gaps),
            )


def _ranking_goals(grid, rows):
    some = pick(grid, "selection", "none")
    both, high = some["selection"] == "both", some["base_rate"] >= 0.75
    for text, part, least in (
        ("AUROC over matched's in each regime but both and signal", some[~both], -0.015),
        ("at both, base rate under .75", some[both & ~high], -0.03),
        ("at both, base rate .75 and above", some[both & high], -0.045),
    ):
        if len(part):
            means = part.groupby(["selection", "signal"], sort=False)["AUROC over matched"].mean()
            at = ", ".join(means.idxmin())
            yield Goal(
                f"none: {text} at least {number(least, sign=True)}",
                f"least {number(means.min(), sign=True)} ({at})",
                means.min() >= least,
            )


def _worst_goals(grid, rows):
    for further, most in WORST.items():
        some = pick(rows, "selection", further)
        weak = some["signal"] == "weak"
        if len(some[~weak]):
            least = some.loc[some.loc[~weak, "R2 over naive"].idxmin()]
            beside = some.loc[weak, "R2 over naive"].min()
            found = f"{number(least['R2 over naive'], sign=True)} ({where(least)})"
            found += f"; weak signal {number(beside, sign=True)}" if weak.any() else ""
            yield Goal(
                f"{further}: R2 in no run at medium or strong signal over {number(most, 2)} below "
                f"naive",
                found,
                least["R2 over naive"] >= -most,
            )


def _rival_goals(grid, rows):
    own = pick(grid, "selection", "50 verified").groupby("selection", sort=False)["R2"].mean()
    rivals = pd.DataFrame(
        {
            method: pick(grid, method, "50 verified").groupby("selection")["R2"].mean()
            for method in ("Platt", "linear predictors")
        }
    ).reindex(own.index)
    if len(own):
        mean = pick(grid, "selection", "50 verified")["R2"].mean()
        means = {m: pick(grid, m, "50 verified")["R2"].mean() for m in rivals}
        yield Goal(
            "50 verified: R2 above Platt scaling of naive and above the regression on the linear "
            "predictors",
            f"{number(mean)} against "
            + " and ".join(f"{number(value)} ({m})" for m, value in means.items()),
            mean > max(means.values()),
        )
        gap = own - rivals.max(axis=1)
        yield Goal(
            "50 verified: in each regime at most .01 under the better of these",
            f"least {number(gap.min(), sign=True)} ({gap.idxmin()})",
            gap.min() >= -0.01,
        )


def _interval_goals(grid, rows):
    shares = {further: coverage(pick(grid, "selection", further)).mean() for further in arms(grid)}
    yield Goal(
        "coverage of the base rate's 90% interval from 80% to 97%",
        ", ".join(f"{value:.0%} {further}" for further, value in shares.items()),
        all(0.8 <= value <= 0.97 for value in shares.values()),
    )
    some = selection_rows(rows)
    off = some[some["level"].abs() > LEVEL_OFF]
    if len(off):
        by_arm = off.groupby("further", sort=False)["warned"].agg(["sum", "size"])
        yield Goal(
            "the warning is up in 9 of 10 runs whose level is off by over .1",
            f"{off['warned'].sum()} of {len(off)}; "
            + ", ".join(f"{arm} {a} of {b}" for arm, a, b in by_arm.itertuples()),
            off["warned"].mean() >= 0.9,
        )
    quiet = some[~some["warned"].astype(bool)]
    if len(quiet):
        missed = quiet["level"].abs() > LEVEL_OFF
        yield Goal(
            "where the warning is quiet, at most 2 of 100 runs are off by over .1",
            f"{missed.sum()} of {len(quiet)}",
            missed.mean() <= 0.02,
        )


def _slope_goals(grid, rows):
    rows = usual_flips(rows)
    for d, part in rows[rows["signal"] == "medium"].groupby("n_features"):
        means = selection_rows(part).groupby("further", sort=False)["slope"].mean()
        yield Goal(
            f"calibration slope at medium signal, d = {d}, from .9 to 1.1",
            ", ".join(f"{number(value, 2)} {further}" for further, value in means.items()),
            means.between(0.9, 1.1).all(),
        )
