"""Thresholds with a stated risk: how often more of the accepted answers are bad than allowed.

    python benchmarks/thresholds.py [--seeds 15] [--jobs 1] [--only NAME=VALUE,...] [--out FILE]

A cell is a log of 3,000 rows with 16 features and conversations of four rows, of which a fifth is
rated by one of the seven selections of recovery.py, or by a rule that differs between the kinds of
answers, where the model is wrong. Flips are .1 and .2 and unknown. The truth is the share of bad
answers among those of 20,000 further rows that the threshold accepts. 100 or 200 rows are verified:
of the log that the model was fitted on, judged out of fold; of other rows; or of other rows, of
which the upper half by reward is picked three times as often.
"""

from __future__ import annotations

import argparse
import sys
import warnings
import zlib
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from _grid import APART, LogCell, chosen, fingerprint, run_grid, table, versions, write
from _recovery.cells import REGIMES

from skcausalrm import SelectionModel
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import SkcausalrmWarning, ThresholdError
from skcausalrm.inference import threshold_for

ROOT = Path(__file__).resolve().parent.parent
N, N_NEW, N_FEATURES = 3000, 20_000, 16
BASE_RATES = (0.5, 0.7, 0.85)
WRONG = "wrong model"
RISKS, N_VERIFIED, CONFIDENCE = (0.1, 0.2), (100, 200), 0.9

ABOUT = f"""\
Too many: the share of logs in which more of the accepted answers are bad than `max_bad` allows. It
must be at most {1 - CONFIDENCE:.0%}, at `confidence={CONFIDENCE}`; logs without a threshold count
as kept, since they accept nothing. With a threshold: the share of logs that have one. Accepted: the
share of answers, over the logs that have one; possible: what the threshold that knows all labels
accepts in these.
"""


def grid(seeds: int) -> list[LogCell]:
    return [LogCell(*values) for values in product([*REGIMES, WRONG], BASE_RATES, range(seeds))]


def run_cell(cell: LogCell) -> pd.DataFrame:
    """Return a row for each kind of verified rows, their number and the risk."""
    selection, strength = REGIMES.get(cell.selection, ("none", 0.5))
    seed = zlib.crc32(cell.name.encode())
    rng = np.random.default_rng(seed)
    log = make_observational_feedback(
        N + N_NEW,
        N_FEATURES,
        selection=selection,
        selection_strength=strength,
        base_rate=cell.base_rate,
        signal=("medium", "strong")[cell.seed % 2],
        n_groups=(N + N_NEW) // 4,
        random_state=seed,
    )
    y, X = log.y[:N], log.X[:N]
    if cell.selection == WRONG:  # users of one half of the answers like what is bad
        y = np.where(X[:, 0] > 0, y, 1 - y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        model = SelectionModel(random_state=0).fit(X, y, groups=log.groups[:N])
    new, good = log.X[N:], log.reward[N:]
    reward = model.predict_proba(new)[:, 1]
    bad_share = np.cumsum(1 - good[np.argsort(-reward)]) / np.arange(1, N_NEW + 1)
    picked = np.where(reward > np.median(reward), 1.5, 0.5)
    rows = []
    for n, risk in product(N_VERIFIED, RISKS):
        possible = np.flatnonzero(bad_share <= risk)
        p = np.minimum(picked * n / picked.sum(), 1)
        draws = {
            "the log's own": (X, y, log.reward[:N], np.full(N, n / N)),
            "other rows": (new, None, good, np.full(N_NEW, n / N_NEW)),
            "picked by reward": (new, None, good, p),
        }
        for kind, (where, feedback, truth, chance) in draws.items():
            judged = np.where(rng.random(len(chance)) < chance, truth, np.nan)
            given = {"verified_propensity": chance} if kind == "picked by reward" else {}
            found = {"accepted": 0.0, "bad": 0.0, "certified": True}
            try:
                threshold = threshold_for(
                    model, where, feedback, verified=judged, max_bad=risk, **given
                )
                accepted = threshold.accepts(reward)
                found |= {"accepted": accepted.mean(), "bad": 1 - good[accepted].mean()}
            except ThresholdError:
                found["certified"] = False
            best = (possible.max() + 1) / N_NEW if len(possible) else 0.0
            rows.append({"kind": kind, "n": n, "risk": risk, "possible": best, **found})
    return pd.DataFrame([{**cell._asdict(), **row} for row in rows])


def summary(rows: pd.DataFrame, by: list[str]) -> str:
    lines = []
    for key, part in rows.groupby(by, sort=False):
        certified = part[part["certified"]]
        lines.append(
            [
                *map(str, key),
                f"{(part['bad'] > part['risk']).mean():.1%}",
                f"{part['certified'].mean():.0%}",
                f"{certified['accepted'].mean():.2f} of {certified['possible'].mean():.2f}"
                if len(certified)
                else "-",
            ]
        )
    return table([*by, "too many", "with a threshold", "accepted of possible"], lines)


def page(rows: pd.DataFrame, command: str) -> str:
    """Return the results as Markdown."""
    logs = len(rows.drop_duplicates(["selection", "base_rate", "seed"]))
    worst = rows.assign(over=rows["bad"] > rows["risk"]).groupby(["kind", "n", "risk"])["over"]
    most = worst.mean().max()
    met = "met" if most <= 1 - CONFIDENCE else "**missed**"
    return "\n".join(
        [
            f"# Thresholds with a stated risk\n\n`{command}`: {logs} logs; {versions()}.\n",
            ABOUT,
            f"Goal: at most {1 - CONFIDENCE:.0%} in every row of the first table. The most is "
            f"{most:.1%}: {met}.\n",
            summary(rows, ["kind", "n", "risk"]),
            "## By selection\n",
            summary(rows, ["selection", "risk"]),
            "## By base rate\n",
            summary(rows, ["base_rate", "risk"]),
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=15)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME=VALUE,VALUE")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "thresholds")
    parser.add_argument("--out", type=Path, help="page to write instead of printing it")
    options = parser.parse_args(arguments)
    cells = chosen(grid(options.seeds), options.only)
    folder = options.work / fingerprint((), Path(__file__), apart=APART - {"inference"})
    rows = run_grid(cells, run_cell, folder, options.jobs)
    given = sys.argv[1:] if arguments is None else arguments
    write(page(rows, " ".join(["python benchmarks/thresholds.py", *given])), options.out)


if __name__ == "__main__":
    main()
