"""Pushing a reward too far: does pessimism, or leaving out what is far from the log, help?

    python benchmarks/overoptimization.py [--seeds 12] [--jobs 1] [--out FILE]

A reward is fitted on a log of 3,000 rows with 32 features, a fifth of them rated with flips, and
picks the best of n answers from 40,000 others whose true quality is known. Best of 4 moves away
from the answers' distribution by log(4) - 3/4 = 0.64 nats, best of 18 three times as far, best of
1,024 by 5.9. Three worlds:

- like the log: the answers come from the log's distribution;
- beyond the log: the log holds only answers of the nearer 60%, and the same truth holds for all;
- fooling answers: 3% of the answers lie far out (four times as far, in random directions), where
  users have never been, and one in ten of them is good, whatever the reward says.
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
from _grid import file_name, fingerprint, run_grid, table, versions, write

from skcausalrm import CausalRewardRegressor
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import SkcausalrmWarning

ROOT = Path(__file__).resolve().parent.parent
N, N_NEW, N_FEATURES, N_PROMPTS = 3000, 40_000, 32, 400
WORLDS = ("like the log", "beyond the log", "fooling answers")
METHODS = ("selection", "dr")
COUNTS = (4, 18, 128, 1024)
PESSIMISM = (5.0, 20.0, 80.0)
LEAST_SUPPORT = 0.01
FOOLING, FAR, GOOD = 0.03, 4.0, 0.1

ABOUT = f"""\
True quality, P(good), of the picked answers, mean over {N_PROMPTS} draws of n answers in each log.
"pessimism b" picks by `predict(X, pessimism=b)`; "supported" leaves out answers with a `support`
below {LEAST_SUPPORT}. "far" is the share of picks that lie beyond 99% of the log; "promised" the
reward of the picks.
"""


class Cell(NamedTuple):
    """One log and one model."""

    world: str
    method: str
    selection: str
    seed: int

    @property
    def name(self) -> str:
        """Fit for a file."""
        return file_name(self)


def grid(seeds: int) -> list[Cell]:
    kinds = ("x", "reward", "both")
    return [
        Cell(world, method, kinds[seed % 3], seed)
        for world, method, seed in product(WORLDS, METHODS, range(seeds))
    ]


def run_cell(cell: Cell) -> pd.DataFrame:
    """Return a row for each rule and n."""
    seed = zlib.crc32(f"{cell.world} {cell.seed}".encode())
    rng = np.random.default_rng(seed)
    log = make_observational_feedback(
        N + N_NEW + 3 * N, N_FEATURES, selection=cell.selection, n_verified=400, random_state=seed
    )
    X, quality = log.X.astype(np.float64), log.probability.copy()
    rows = np.arange(N)
    if cell.world == "beyond the log":
        norm = np.square(X / X.std(axis=0)).sum(axis=1)
        rows = np.flatnonzero(norm <= np.quantile(norm, 0.6))[:N]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        model = CausalRewardRegressor(cell.method, random_state=0)
        model.fit(X[rows], log.y[rows], groups=log.groups[rows], verified=log.verified[rows])
    new = np.setdiff1d(np.arange(len(X)), rows)[-N_NEW:]
    X, quality = X[new], quality[new]
    if cell.world == "fooling answers":
        fooling = np.flatnonzero(rng.random(N_NEW) < FOOLING)
        X[fooling] = FAR * X.std(axis=0) * rng.normal(size=(len(fooling), N_FEATURES))
        quality[fooling] = GOOD
    reward, support = model.decision_function(X), model.support(X)
    rules = {"reward": reward}
    rules |= {f"pessimism {b:g}": model.predict(X, pessimism=b) for b in PESSIMISM}
    rules["supported"] = np.where(support >= LEAST_SUPPORT, reward, reward.min() - 1)
    rules["oracle"] = quality
    promised, out = model.predict(X), []
    for n in COUNTS:
        drawn = rng.integers(0, N_NEW, (N_PROMPTS, n))
        for name, values in rules.items():
            pick = drawn[np.arange(N_PROMPTS), values[drawn].argmax(axis=1)]
            out.append(
                {
                    "rule": name,
                    "n": n,
                    "quality": quality[pick].mean(),
                    "promised": promised[pick].mean(),
                    "far": (support[pick] < LEAST_SUPPORT).mean(),
                }
            )
    return pd.DataFrame([{**cell._asdict(), **row} for row in out])


def by_rule(rows: pd.DataFrame) -> str:
    """Return true quality by rule and n; at the largest n what was promised, and where it lies."""
    lines = []
    base = rows[rows["rule"] == "reward"].set_index(["seed", "n"])["quality"]
    for rule, part in rows.groupby("rule", sort=False):
        cells = [rule]
        for n in COUNTS:
            quality = part[part["n"] == n].set_index(["seed", "n"])["quality"]
            gain = quality - base.loc[quality.index]
            error = gain.std(ddof=1) / len(gain) ** 0.5
            said = "" if rule == "reward" else f" ({gain.mean():+.3f} ± {error:.3f})"
            cells.append(f"{quality.mean():.3f}{said}")
        most = part[part["n"] == COUNTS[-1]]
        lines.append([*cells, f"{most['promised'].mean():.3f}", f"{most['far'].mean():.0%}"])
    return table(["", *(f"best of {n}" for n in COUNTS), "promised", "far"], lines)


def page(rows: pd.DataFrame, command: str) -> str:
    """Return the results as Markdown."""
    seeds = rows["seed"].nunique()
    parts = [
        f"# Pushing a reward too far\n\n`{command}`: {seeds} logs of each world; {versions()}.\n\n"
        f"{ABOUT}\nIn brackets: the gain over picking by the reward, with its standard error.\n"
    ]
    for (world, method), part in rows.groupby(["world", "method"], sort=False):
        parts.append(f"## {world}, {method}\n\n{by_rule(part)}")
    return "\n".join(parts)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "overoptimization")
    parser.add_argument("--out", type=Path, help="page to write instead of printing it")
    options = parser.parse_args(arguments)
    folder = options.work / fingerprint((), Path(__file__))
    rows = run_grid(grid(options.seeds), run_cell, folder, options.jobs)
    given = sys.argv[1:] if arguments is None else arguments
    write(page(rows, " ".join(["python benchmarks/overoptimization.py", *given])), options.out)


if __name__ == "__main__":
    main()
