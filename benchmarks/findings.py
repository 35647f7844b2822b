"""Findings of `diagnose`: how often each is raised on logs that deserve it, and on clean ones.

    python benchmarks/findings.py [--seeds 20] [--jobs 1] [--only NAME=VALUE,...] [--out FILE]

For each code a log of 4,000 rows with 16 features is spoiled in one way; a clean one has everything
that a check could need: conversations, users, times, a judge, 300 verified rows and repeated
answers. One clean log is fitted by "selection" with its verified rows, another, of 8,000 rows with
a strong signal, by "dr" without them.
"""

from __future__ import annotations

import argparse
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from _grid import APART, chosen, file_name, fingerprint, run_grid, table, versions, write

from skcausalrm import (
    CausalRewardRegressor,
    DoublyRobust,
    NoiseTransitionEstimator,
    SelectionModel,
    diagnose,
)
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import SkcausalrmWarning
from skcausalrm.inspection._catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parent.parent
N, N_FEATURES, N_VERIFIED = 4000, 16, 300
CLEAN = ("clean selection", "clean dr")
# How often an answer occurs.
REPEATS = 16
# Columns of a case that `fit` takes too.
FITTED = ("groups", "users", "judge_score", "propensity")


class Cell(NamedTuple):
    """One log: a code that it deserves, or a clean kind, and a seed."""

    kind: str
    seed: int

    @property
    def name(self) -> str:
        """Fit for a file."""
        return file_name(self)


class Case(NamedTuple):
    """A log, how to fit it, and the columns that `diagnose` gets."""

    X: np.ndarray
    y: np.ndarray
    method: Any
    columns: dict[str, Any]
    reward: np.ndarray
    propensity: np.ndarray
    fits_verified: bool = True
    test: np.ndarray | None = None
    """Rows to diagnose; the others are fitted on. None: fit on all and diagnose them."""


def draws(seed: int) -> np.random.Generator:
    """Return a generator of other numbers than those behind the log."""
    return np.random.default_rng([seed, 1])


def make_case(seed: int, method: Any = "selection", n: int = N, **settings: Any) -> Case:
    """Return a clean log with all columns."""
    settings = {"selection": "x", "n_groups": n // 4, "n_users": n // 10, "habits": 1.0} | settings
    log = make_observational_feedback(
        n, N_FEATURES, n_verified=N_VERIFIED, random_state=seed, **settings
    )
    rng = draws(seed)
    # Answers that are about as good count as one answer that occurs sixteen times.
    answers = np.empty(n, dtype=int)
    answers[np.argsort(log.probability)] = np.arange(n) // REPEATS
    columns = {
        "groups": log.groups,
        "users": log.users,
        "verified": log.verified,
        "judge_score": log.reward + 0.7 * rng.normal(size=n),
        "times": rng.permutation(n),
        "answers": answers,
        "n_shortened": 0,
    }
    return Case(log.X, log.y, method, columns, log.reward, log.propensity)


def without(case: Case, *names: str) -> Case:
    kept = {name: column for name, column in case.columns.items() if name not in names}
    return case._replace(columns=kept)


def changed(case: Case, **columns: Any) -> Case:
    return case._replace(columns=case.columns | columns)


def clean_dr(seed: int) -> Case:
    case = make_case(seed, "dr", 8_000, signal=6.0, observed_rate=0.4, selection_strength=0.7)
    return case._replace(fits_verified=False)


def drifting(seed: int) -> Case:
    case, rng = make_case(seed), draws(seed)
    lost = (case.columns["times"] > 0.75 * N) & (case.y == 0) & (rng.random(N) < 0.5)
    return case._replace(y=np.where(lost, np.nan, case.y))


def dominated(seed: int) -> Case:
    case, rng = make_case(seed), draws(seed)
    taken = ~np.isnan(case.y) & (rng.random(N) < 0.3)
    return changed(case, users=np.where(taken, -1, case.columns["users"]))


def lumped(seed: int) -> Case:
    case, rng = make_case(seed), draws(seed)
    groups = np.where(rng.random(N) < 0.6, -1, case.columns["groups"])
    return changed(case, groups=groups)


def split(seed: int) -> Case:
    return make_case(seed)._replace(test=draws(seed).random(N) < 0.5)


def wrong_level(seed: int) -> Case:
    model = SelectionModel(base_rate=0.3, random_state=0)
    return make_case(seed, model, base_rate=0.6)._replace(fits_verified=False)


def unclipped(seed: int) -> Case:
    case = make_case(seed, "snips", selection_strength=0.05)._replace(fits_verified=False)
    return changed(without(case, "judge_score"), propensity=case.propensity)


def wrong_flips(seed: int) -> Case:
    noise = NoiseTransitionEstimator(false_positive_rate=0.4, false_negative_rate=0.05)
    case = make_case(seed, DoublyRobust(noise_estimator=noise), observed_rate=0.4)
    return case._replace(fits_verified=False)


def assumed_level(seed: int) -> Case:
    model = SelectionModel(
        selection_log_odds=0,
        false_positive_rate=0.1,
        false_negative_rate=0.2,
        likelihood_power=1.0,
        random_state=0,
    )
    return without(make_case(seed, model, n_users=None), "users", "verified", "judge_score")


def shortened(seed: int) -> Case:
    return changed(make_case(seed), n_shortened=N // 5)


def few(seed: int) -> Case:
    return make_case(seed, observed_rate=0.04, base_rate=0.85)


def shuffled_half(seed: int) -> Case:
    return shuffled(make_case(seed, observed_rate=0.5), seed)


def shuffled(case: Case, seed: int) -> Case:
    y, rated = case.y.copy(), ~np.isnan(case.y)
    y[rated] = draws(seed).permutation(y[rated])
    return case._replace(y=y)


# How the log that deserves a code is spoiled, in words and as a function of the seed.
SPOILED: dict[str, tuple[str, Callable[[int], Case]]] = {
    "CRM001": (
        "x moves the odds of a rating by a factor of up to 160,000",
        lambda s: make_case(s, selection_strength=0.05),
    ),
    "CRM002": (
        "a weak signal: no answer is surely good or bad (dr)",
        lambda s: make_case(s, "dr", signal="weak")._replace(fits_verified=False),
    ),
    "CRM003": (
        "good answers are rated five times as often",
        lambda s: make_case(s, selection="reward", selection_strength=0.2),
    ),
    "CRM004": ("as CRM001, known propensities down to .00001 (snips)", unclipped),
    "CRM005": ("half of each conversation is trained on", split),
    "CRM006": ("flip rates of .4 and .05 are given, the truth is .1 and .2 (dr)", wrong_flips),
    "CRM007": ("half of the dislikes are missing in the last quarter", drifting),
    "CRM008": (
        "answers that are called equal are not",
        lambda s: changed(make_case(s), answers=draws(s).permutation(N) // REPEATS),
    ),
    "CRM009": ("one account leaves 30% of the ratings", dominated),
    "CRM010": ("60% of the rows are one conversation", lumped),
    "CRM011": ("ratings are shuffled", lambda s: shuffled(make_case(s), s)),
    "CRM012": ("a fifth of the answers is shortened", shortened),
    "CRM013": (
        "thumbs alone",
        lambda s: without(make_case(s, n_users=None), "users", "verified", "judge_score"),
    ),
    "CRM014": (
        "the judge's scores are noise",
        lambda s: changed(make_case(s), judge_score=draws(s).normal(size=N)),
    ),
    "CRM015": ("a base rate of 30% is given, the truth is 60%", wrong_level),
    "CRM016": ("thumbs alone, flips and selection taken for known", assumed_level),
    "CRM017": ("160 ratings, 85% of the answers good", few),
    "CRM018": ("ratings are shuffled, half of the rows are rated", shuffled_half),
}


KINDS = {
    CLEAN[0]: make_case,
    CLEAN[1]: clean_dr,
    **{code: make for code, (_, make) in SPOILED.items()},
}


def run_cell(cell: Cell) -> pd.DataFrame:
    """Return what came out of each check."""
    case = KINDS[cell.kind](zlib.crc32(cell.name.encode()) % 2**31)
    train = np.ones(len(case.y), dtype=bool) if case.test is None else ~case.test
    fitted = [name for name in FITTED if name in case.columns]
    fitted += ["verified"] if case.fits_verified and "verified" in case.columns else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        model = CausalRewardRegressor(case.method, random_state=0)
        given = {name: case.columns[name][train] for name in fitted}
        model.fit(case.X[train], case.y[train], **given)
        rows = train if case.test is None else case.test
        columns = {
            name: column[rows] if np.ndim(column) else column
            for name, column in case.columns.items()
        }
        found = diagnose(model, case.X[rows], case.y[rows], **columns)
    lines = [(check.code, check.status, check.text) for check in found.checks]
    return pd.DataFrame(lines, columns=["code", "status", "text"]).assign(**cell._asdict())


def page(rows: pd.DataFrame, command: str) -> str:
    """Return the results as Markdown."""
    seeds, lines = rows["seed"].nunique(), []
    for code, about in CATALOGUE.items():
        own = rows[rows["code"] == code]
        cells = [f"{code} {about.title}", SPOILED[code][0]]
        cells.append(_counts(own[own["kind"] == code]))
        cells += [_counts(own[own["kind"] == kind]) for kind in CLEAN]
        lines.append(cells)
    false = rows[rows["kind"].isin(CLEAN) & (rows["status"] == "found")]
    worst = false.groupby(["kind", "code"]).size().max() if len(false) else 0
    clean = rows[rows["kind"].isin(CLEAN)].drop_duplicates(["kind", "seed"])
    alarmed = false.drop_duplicates(["kind", "seed"])
    return "\n".join(
        [
            f"# Findings: power and false alarms\n\n`{command}`: {seeds} seeds; {versions()}.\n",
            "Number of logs in which a finding is raised. A spoiled log deserves the code; other "
            "codes that it deserves too are not counted here. The goal is at most one false alarm "
            f"in 20 clean logs for each code: {'met' if worst <= seeds / 20 else '**missed**'} "
            f"(at most {worst} of {seeds}). {len(alarmed)} of {len(clean)} clean logs raise any.\n",
            table(["", "the log is spoiled by", "found", *(f"found: {k}" for k in CLEAN)], lines),
        ]
    )


def _counts(rows: pd.DataFrame) -> str:
    if not len(rows):
        return ""
    found, unchecked = ((rows["status"] == status).sum() for status in ("found", "not checked"))
    checked = len(rows) - unchecked
    if not checked:
        return "not checked"
    return f"{found} of {checked}" + (f", {unchecked} not checked" if unchecked else "")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME=VALUE,VALUE")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "findings")
    parser.add_argument("--out", type=Path, help="page to write instead of printing it")
    options = parser.parse_args(arguments)
    cells = [Cell(kind, seed) for kind in KINDS for seed in range(options.seeds)]
    settings = (N, N_FEATURES, N_VERIFIED)
    folder = options.work / fingerprint(settings, Path(__file__), apart=APART - {"inspection"})
    rows = run_grid(chosen(cells, options.only), run_cell, folder, options.jobs)
    given = sys.argv[1:] if arguments is None else arguments
    write(page(rows, " ".join(["python benchmarks/findings.py", *given])), options.out)


if __name__ == "__main__":
    main()
