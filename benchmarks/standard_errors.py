"""Standard errors of debiased scores: how often two of them hold the score on clean labels.

    python benchmarks/standard_errors.py [--seeds 2] [--jobs 1] [--only NAME=VALUE,...] [--out FILE]

A cell is a log of 6,000 rows with 32 features and conversations of three rows, of which a fifth is
rated, by one of seven selections (those of recovery.py) at one of five shares of good answers.
Flips are .1 and .2. Two rewards, fitted on another log of 3,000 rows by "naive" and "auto", are
graded on it, each by every kind of pseudo-outcome. The truth is the score on the clean labels of
the same rows. Some kinds use 100 verified rows, drawn at random. Cells that are done are kept in
--work, so that a run that was cut off goes on.
"""

from __future__ import annotations

import argparse
import sys
import warnings
import zlib
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from _grid import APART, LogCell, chosen, fingerprint, run_grid, table, versions, write
from _recovery.cells import REGIMES

from skcausalrm import (
    CausalRewardRegressor,
    DoublyRobust,
    NoiseTransitionEstimator,
    SelectionModel,
)
from skcausalrm._utils._columns import RowColumns
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import FeedbackError, SkcausalrmWarning
from skcausalrm.metrics import prediction_powered, pseudo_outcomes
from skcausalrm.metrics._estimate import Estimate, estimate
from skcausalrm.selection._draws import outcome_draws

ROOT = Path(__file__).resolve().parent.parent
N_TRAIN, N_SCORED, N_FEATURES, N_VERIFIED, N_DRAWS = 3000, 6000, 32, 100, 50
BASE_RATES = (0.15, 0.3, 0.5, 0.75, 0.85)
SCORES = {"R2": "r2", "AUROC": "roc_auc", "log loss": "log_loss", "Brier": "brier"}
FLIPS = {"false_positive_rate": 0.1, "false_negative_rate": 0.2}
ONE = "selection, one z"
ALONE = "selection"
CHECKED = f"selection, {N_VERIFIED} verified"
POWERED = f"{ONE}, {N_VERIFIED} verified kept out"
# Kinds that the goal is set for; the others show what goes wrong without.
GOAL, COVERED = 0.85, (ALONE, CHECKED)


ABOUT = f"""\
A log has {N_SCORED:,} rows of which a fifth is rated, by one of the seven selections of
[recovery](recovery.md). Two rewards from another log are graded on it, against the clean labels of
the same rows.

- one z: the posterior of each row, taken for a number that is known;
- selection: {N_DRAWS} draws of what the likelihood leaves open of it, as the package makes them;
- {N_VERIFIED} verified: the same with so many random rows that a person has judged;
- verified kept out: one z, and the verified rows only to correct its mean (prediction-powered);
- dr: doubly robust pseudo-outcomes, with flip rates known or estimated.
"""


def grid(seeds: int) -> list[LogCell]:
    return [LogCell(*values) for values in product(REGIMES, BASE_RATES, range(seeds))]


def kinds(X, y, groups, verified) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the pseudo-outcomes of each kind."""
    made = partial(pseudo_outcomes, X, y, groups=groups, random_state=0)
    model = SelectionModel(random_state=0).fit(X, y, groups=groups)
    yield ONE, model.oof_posterior_
    yield ALONE, outcome_draws(model, y, RowColumns(), N_DRAWS, 0)
    yield CHECKED, made(method="selection", verified=verified, n_draws=N_DRAWS)
    yield POWERED, prediction_powered(model.oof_posterior_, verified)
    known = DoublyRobust(noise_estimator=NoiseTransitionEstimator(**FLIPS))
    yield "dr, known flips", made(method=known, n_draws=N_DRAWS)
    yield "dr", made(method="dr", n_draws=N_DRAWS)


def run_cell(cell: LogCell) -> pd.DataFrame:
    """Return a row for each kind, reward and score."""
    selection, strength = REGIMES[cell.selection]
    n = N_TRAIN + N_SCORED
    log = make_observational_feedback(
        n,
        N_FEATURES,
        selection=selection,
        selection_strength=strength,
        base_rate=cell.base_rate,
        n_groups=n // 3,
        random_state=zlib.crc32(cell.name.encode()),
        **FLIPS,
    )
    scored = log.groups >= N_TRAIN // 3
    X, y, groups, truth = (values[scored] for values in (log.X, log.y, log.groups, log.reward))
    verified = np.full(len(y), np.nan)
    drawn = np.random.default_rng(cell.seed).choice(len(y), N_VERIFIED, replace=False)
    verified[drawn] = truth[drawn]
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        rewards = {}
        for method in ("naive", "auto"):
            model = CausalRewardRegressor(method, random_state=0)
            model.fit(log.X[~scored], log.y[~scored], groups=log.groups[~scored])
            rewards[method] = np.clip(model.predict(X), 0.01, 0.99)
        for kind, z in kinds(X, y, groups, verified):
            for (method, f), (name, metric) in product(rewards.items(), SCORES.items()):
                score = estimate(metric, truth, f, with_error=False).score
                try:
                    found = estimate(metric, z, f, groups=groups)._asdict()
                except FeedbackError:  # counts as one that does not hold the truth
                    found = Estimate(np.nan)._asdict()
                about = {"kind": kind, "reward": method, "metric": name, "truth": score}
                rows.append({**cell._asdict(), **about, **found})
    return pd.DataFrame(rows)


def prepare(rows: pd.DataFrame) -> pd.DataFrame:
    """Add how far each score is off, and whether its error says so."""
    error = (rows["score"] - rows["truth"]).abs()
    return rows.assign(
        error=error,
        covered=error <= 2 * rows["std"],
        held=(rows["low"] <= rows["truth"]) & (rows["truth"] <= rows["high"]),
    )


def _by_kind(rows: pd.DataFrame) -> str:
    lines = []
    for kind, part in rows.groupby("kind", sort=False):
        cells = [kind]
        for metric in SCORES:
            own = part[part["metric"] == metric]
            cells += [
                f"{own['covered'].mean():.0%}",
                f"{own['held'].mean():.0%}",
                f"{own['error'].median():.3f} / {own['std'].median():.3f}",
            ]
        lines.append(cells)
    header = ["pseudo-outcomes"]
    header += [
        f"{metric}: {what}" for metric in SCORES for what in ("±2", "90%", "error / standard error")
    ]
    return table(header, lines)


def _by(rows: pd.DataFrame, column: str) -> str:
    values = rows[column].unique()
    lines = []
    for kind in rows["kind"].unique():
        share = rows[rows["kind"] == kind].groupby(column)["covered"].mean()
        lines.append([kind, *(f"{share[value]:.0%}" for value in values)])
    return table(["", *map(str, values)], lines)


def page(rows: pd.DataFrame, command: str) -> str:
    """Return the results as Markdown, and where they miss the goal."""
    rows = prepare(rows)
    logs = len(rows.drop_duplicates(["selection", "base_rate", "seed"]))
    shares = rows.groupby(["kind", "metric"])["covered"].mean()
    goal = [
        f"| {kind} | {metric} | {shares[kind, metric]:.0%} | "
        + ("met |" if shares[kind, metric] >= GOAL else "**missed** |")
        for kind, metric in product(COVERED, SCORES)
    ]
    return "\n".join(
        [
            f"# Standard errors of debiased scores\n\n`{command}`: {logs} logs, two rewards on "
            f"each; {versions()}.\n",
            ABOUT,
            f"Goal: two standard errors hold the truth in at least {GOAL:.0%}.\n",
            "| pseudo-outcomes | score | within two standard errors | |\n|---|---|---|---|",
            *goal,
            "\n## By score\n\nShare of truths within two standard errors, share within the 90% "
            "interval, median absolute error and median standard error.\n",
            _by_kind(rows),
            "## By selection\n\nShare of truths within two standard errors, all scores.\n",
            _by(rows, "selection"),
            "## By share of good answers\n",
            _by(rows, "base_rate"),
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME=VALUE,VALUE")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "standard_errors")
    parser.add_argument("--out", type=Path, help="page to write instead of printing it")
    options = parser.parse_args(arguments)
    cells = chosen(grid(options.seeds), options.only)
    # Here the scores themselves are measured.
    folder = options.work / fingerprint((), Path(__file__), apart=APART - {"metrics"})
    rows = run_grid(cells, run_cell, folder, options.jobs)
    given = sys.argv[1:] if arguments is None else arguments
    text = page(rows, " ".join(["python benchmarks/standard_errors.py", *given]))
    write(text, options.out)


if __name__ == "__main__":
    main()
