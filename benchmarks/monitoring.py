"""Alarms of `skcausalrm evaluate --alarm`: how often false, how late, and which of three has moved.

    python benchmarks/monitoring.py [--seeds 8] [--jobs 1] [--only NAME=VALUE,...] [--out FILE]

A cell is a log of a year, 2,000 rows with 8 features a week in conversations of four rows. About a
fifth is rated, the good twice as readily, with flips of .1 and .2. The model was fitted on an
earlier log. From the 27th week on something changes. Every week from the seventh on somebody looks.
"""

from __future__ import annotations

import argparse
import sys
import warnings
import zlib
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from _grid import APART, chosen, file_name, fingerprint, run_grid, table, versions, write
from scipy.optimize import brentq
from scipy.special import expit, ndtri

from skcausalrm import SelectionModel
from skcausalrm.exceptions import SkcausalrmWarning
from skcausalrm.inspection._periods import merge_periods
from skcausalrm.inspection._watch import Rows, watch_rows
from skcausalrm.metrics import pseudo_outcomes

ROOT = Path(__file__).resolve().parent.parent
N_WEEKS, PER_WEEK, N_FEATURES, CHANGE = 52, 2000, 8, 26
FALSE_ALARMS, LEVEL = 0.05, 0.65
SERIES = ("reward", "share_rated", "level")
NULL, RESTLESS, SILENT = "no change", "weeks differ by .02", "no ratings in weeks 15 to 18"
REFITTED, PER_REFITTED_WEEK = "no change; 500 rows a week; refitted at each look", 500
SEEN, HIDDEN, WIDGET = "drop of {} that the model sees", "drop of {} unseen", "half as many rate"
SCENARIOS = (
    *(NULL, RESTLESS, SILENT, REFITTED, WIDGET),
    *(kind.format(drop) for drop in ("0.05", "0.10") for kind in (SEEN, HIDDEN)),
)
ABOUT = f"""\
A log has {N_WEEKS} weeks of {PER_WEEK:,} rows, about a fifth rated. `--alarm {FALSE_ALARMS}` is
read every week on the log so far, from the seventh week on. Next to it is what a dashboard would
do: is the latest week outside a fixed-n interval of its difference to all weeks before? Its error
is {FALSE_ALARMS} / 3 for each of the three, so that one look has {FALSE_ALARMS} as well. The
pseudo-outcomes are fitted on the whole year once, and only where it says so at each look.
"""


class Cell(NamedTuple):
    """One log: what changes, and a seed."""

    scenario: str
    seed: int

    @property
    def name(self) -> str:
        """Readable, unique, and fit for a file."""
        return file_name(self)


# Logs without a change for each other log.
QUIET_FACTOR = 5


def _draw(rng, logit_shift, x_shift, readiness, n_weeks, per_week=PER_WEEK):
    """Return X, y, conversations and weeks of a log."""
    n = n_weeks * per_week
    groups, week = np.arange(n) // 4, np.arange(n) // per_week
    direction = np.ones(N_FEATURES) / np.sqrt(N_FEATURES)
    X = rng.normal(size=(n, N_FEATURES)) + np.outer(x_shift[week], direction)
    logit = 1.2 * X @ direction + 0.7 + logit_shift[week]
    logit = logit + 0.5 * rng.normal(size=n // 4)[groups]
    good = rng.random(n) < expit(logit)
    rates = rng.random(n) < 0.25 * readiness[week] * np.where(good, 1, 0.5)
    flipped = rng.random(n) < np.where(good, 0.2, 0.1)
    y = np.where(rates, np.where(flipped, ~good, good), np.nan)
    return X.astype(np.float32), y, groups, week


def _mean_good(shift: float) -> float:
    draws = np.random.default_rng(0).normal(size=200_000)
    return float(expit(1.3 * draws + 0.7 + shift).mean())


def _shift_for(drop: float) -> float:
    """Return the shift of the logit by which the share of good answers falls by `drop`."""
    start = _mean_good(0.0)
    return brentq(lambda shift: _mean_good(shift) - start + drop, -2, 0)


def make_log(cell: Cell):
    rng = np.random.default_rng(zlib.crc32(cell.name.encode()))
    logit, x, readiness = np.zeros(N_WEEKS), np.zeros(N_WEEKS), np.ones(N_WEEKS)
    for drop in (0.05, 0.10):
        if cell.scenario == HIDDEN.format(f"{drop:.2f}"):
            logit[CHANGE:] = _shift_for(drop)
        elif cell.scenario == SEEN.format(f"{drop:.2f}"):
            x[CHANGE:] = _shift_for(drop) / 1.2
    if cell.scenario == RESTLESS:
        x = 0.09 * rng.normal(size=N_WEEKS)
    elif cell.scenario == SILENT:
        readiness[14:18] = 0.0
    elif cell.scenario == WIDGET:
        readiness[CHANGE:] = 0.5
    earlier = _draw(rng, np.zeros(8), np.zeros(8), np.ones(8), 8)
    per_week = PER_REFITTED_WEEK if cell.scenario == REFITTED else PER_WEEK
    return earlier, _draw(rng, logit, x, readiness, N_WEEKS, per_week)


def run_cell(cell: Cell) -> pd.DataFrame:
    """Return for each series the look at which each kind of alarm is raised first."""
    earlier, (X, y, groups, week) = make_log(cell)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        model = SelectionModel(base_rate=(LEVEL, 0.1), random_state=0)
        model.fit(earlier[0], earlier[1], groups=earlier[2])
        prediction = model.predict_proba(X)[:, 1]
    z = None if cell.scenario == REFITTED else _outcomes(X, y, groups, prediction)
    first = dict.fromkeys(product(("alarm", "fixed n"), SERIES), np.nan)
    for look in range(7, N_WEEKS + 1):
        part = week < look
        so_far = prediction[part], ~np.isnan(y[part]), y[part] == 1
        if z is None:
            outcomes = _outcomes(X[part], y[part], groups[part], prediction[part])
        else:
            outcomes = z[part]
        rows = Rows(*so_far, outcomes, (groups[part], None))
        names = np.char.zfill(week[part].astype(str), 2)
        found = watch_rows(rows, merge_periods(names, part[part], 30), false_alarms=FALSE_ALARMS)
        for name in SERIES:
            change = found["changes"][name]
            raised = {
                "alarm": change is not None and change["alarm"],
                "fixed n": _dashboard([period[name] for period in found["periods"]]),
            }
            for kind, is_raised in raised.items():
                if is_raised and np.isnan(first[kind, name]):
                    first[kind, name] = look
    return pd.DataFrame(
        [
            {**cell._asdict(), "kind": kind, "series": name, "look": look}
            for (kind, name), look in first.items()
        ]
    )


def _outcomes(X, y, groups, prediction) -> np.ndarray:
    """Return draws of pseudo-outcomes, with the mean prediction as the prior of the level."""
    known = SelectionModel(base_rate=(float(prediction.mean()), 0.3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        return pseudo_outcomes(X, y, method=known, groups=groups, n_draws=20, random_state=0)


def _dashboard(figures: list) -> bool:
    """Return True if the latest week is outside a fixed-n interval of those before."""
    *before, last = figures
    before = [figure for figure in before if figure is not None]
    if last is None:
        return False
    variances = np.array([((f["high"] - f["low"]) / 3.29) ** 2 for f in (*before, last)])
    means = np.array([f["value"] for f in before])
    gap = last["value"] - np.average(means, weights=1 / variances[:-1])
    error = np.sqrt(variances[-1] + 1 / np.sum(1 / variances[:-1]))
    return bool(abs(gap) > -ndtri(FALSE_ALARMS / 6) * error)


def page(rows: pd.DataFrame, command: str) -> str:
    """Return the results as Markdown."""
    seeds = rows.loc[rows["scenario"] != NULL, "seed"].nunique()
    quiet, moved = [], []
    wide = rows.pivot(index=["scenario", "seed", "kind"], columns="series", values="look")
    wide["any"] = wide[list(SERIES)].min(axis=1)
    for scenario in dict.fromkeys(rows["scenario"]):
        for kind in ("alarm", "fixed n"):
            own = wide.loc[scenario].xs(kind, level="kind")
            if scenario in (NULL, RESTLESS, SILENT, REFITTED):
                shares = [f"{own[name].notna().mean():.0%}" for name in ("any", *SERIES)]
                quiet.append([scenario, kind, *shares])
            elif kind == "alarm":
                cells = [_delay(own[name]) for name in SERIES]
                moved.append([scenario, f"{(own['any'] <= CHANGE).mean():.0%}", *cells])
    worst = max(float(cells[2].rstrip("%")) for cells in quiet if cells[:2] == [NULL, "alarm"])
    met = "met" if worst <= 100 * FALSE_ALARMS else "**missed**"
    header = ["", "any", *(name.replace("_", " ") for name in SERIES)]
    return "\n".join(
        [
            f"# Alarms\n\n`{command}`: {seeds} logs each, {QUIET_FACTOR} times as many without a "
            f"change; {versions()}.\n",
            ABOUT,
            f"Goal: at most {FALSE_ALARMS:.0%} of the logs without a change have a false alarm: "
            f"{met}.\n",
            "## False alarms\n\nShare of the logs in which an alarm is raised at any of the looks. "
            "Where weeks differ, the reward does move from week to week, but not for good. Where "
            "ratings stop, the share rated does move, and that alarm is right.\n",
            table([header[0], "", *header[1:]], quiet),
            "## Changes from the 27th week on\n\nShare of logs with an alarm before it, and by "
            "series: the share with an alarm in the 26 weeks since, and the median weeks until "
            "then. A series that has not changed should have none; as the good are rated twice as "
            "readily, a drop lowers the share rated as well.\n",
            table([header[0], "before", *header[2:]], moved),
        ]
    )


def _delay(looks: pd.Series) -> str:
    after = looks[looks > CHANGE] - CHANGE
    if after.empty:
        return "0%"
    return f"{len(after) / len(looks):.0%}, {after.median():.0f} weeks"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME=VALUE,VALUE")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "monitoring")
    parser.add_argument("--out", type=Path, help="page to write instead of printing it")
    options = parser.parse_args(arguments)
    cells = [
        Cell(scenario, seed)
        for scenario in SCENARIOS
        for seed in range(options.seeds * (QUIET_FACTOR if scenario == NULL else 1))
    ]
    cells = chosen(cells, options.only)
    folder = options.work / fingerprint(
        (), Path(__file__), apart=APART - {"inference", "inspection"}
    )
    rows = run_grid(cells, run_cell, folder, options.jobs)
    given = sys.argv[1:] if arguments is None else arguments
    write(page(rows, " ".join(["python benchmarks/monitoring.py", *given])), options.out)


if __name__ == "__main__":
    main()
