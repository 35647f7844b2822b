"""Four chatbots compared by real people's thumbs: order and gaps against 29 other votes an answer.

    python benchmarks/real_systems.py [--data ../shared/data] [--seeds 10] [--out FILE]

The dialogs, thumbs and volunteers are those of real_votes.py: one vote of each answer is the thumb,
about a fifth of the rows is rated by one of its rules, and an answer is good where at least half of
its other votes say so. 50 answers, drawn at random, are verified. Intervals are of 90%.
"""

from __future__ import annotations

import argparse
import sys
import warnings
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from _grid import APART, fingerprint, run_grid, versions, write
from inference import Log, as_rows, by_kind, compared, independent, prepare
from real_votes import N_VERIFIED, ROOT, RULES, Cell, Votes, dialogs, draw

from skcausalrm import SelectionModel
from skcausalrm.exceptions import SkcausalrmWarning
from skcausalrm.inference import compare

ABOUT = f"""\
6,150 answers of four chatbots in dialogs, one thumb each, of which about a fifth is in the log.
{N_VERIFIED} are verified, about 12 for each chatbot. By habit, the log says whose dialog it was.
"In order": all four chatbots are ranked as by the other votes.
"""


def run_cell(cell: Cell, votes: Votes, source: np.ndarray) -> pd.DataFrame:
    """Return a row for each kind of interval and each mean or difference."""
    log = draw(votes, cell.rule, cell.seed)
    names, system = np.unique(source, return_inverse=True)
    truth = [log.truth[system == k].mean() for k in range(len(names))]
    rng = np.random.default_rng(cell.seed)
    y = np.where(log.rated, log.answer, np.nan)
    verified = np.full(len(y), np.nan)
    drawn = rng.choice(len(y), N_VERIFIED, replace=False)
    verified[drawn] = log.truth[drawn]
    rows = []

    def add(kind, means, gaps):
        order = np.argsort([one.estimate for one in means]).tolist()
        in_order = {"sorted": order == np.argsort(truth).tolist()}
        rows.extend({**in_order, **row} for row in as_rows(kind, truth, means, gaps))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        fit = partial(SelectionModel(random_state=cell.seed).fit, votes.X, y, groups=votes.groups)
        model = fit() if log.users is None else fit(users=log.users)
        as_log = Log(votes.X, y, votes.groups, system, log.truth, verified)
        for kind, means, gaps in independent(as_log, model.oof_posterior_):
            add(kind, means, gaps)
        for kind, given in (
            ("compare, thumbs alone", {}),
            (f"compare, {N_VERIFIED} verified", {"verified": verified}),
            ("the same, trust_log=False", {"verified": verified, "trust_log": False}),
        ):
            found = compare(
                model, votes.X, y, by=system, groups=votes.groups, users=log.users, **given
            )
            add(kind, *compared(found))
    return pd.DataFrame([{**cell._asdict(), **row} for row in rows])


def page(rows: pd.DataFrame, shares: pd.Series, command: str) -> str:
    rows = prepare(rows)
    good = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
    parts = [
        f"# Four chatbots by real people's thumbs\n\n`{command}`: {rows['seed'].nunique()} draws; "
        f"{versions()}.\n\n{ABOUT}\nGood by all votes: {good}.\n",
    ]
    for rule, part in rows.groupby("rule", sort=False):
        order = part.groupby("kind", sort=False)["sorted"].mean()
        ranked = "; ".join(f"{kind} {share:.0%}" for kind, share in order.items())
        parts.append(f"## {rule}\n\n{by_kind(part)}\nIn order: {ranked}.\n")
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "real_systems")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not (options.data / "real" / "dbdc3_votes.parquet").exists():
        print(f"No real/dbdc3_votes.parquet in {options.data}: nothing to run.", file=sys.stderr)
        raise SystemExit(2)
    votes = dialogs(options.data)
    source = pd.read_parquet(options.data / "real" / "dbdc3_answers.parquet")["source"].to_numpy()
    cells = [Cell("dialogs", rule, s) for rule in RULES["dialogs"] for s in range(options.seeds)]
    here = Path(__file__).parent
    modules = [Path(__file__), here / "inference.py", here / "real_votes.py"]
    folder = options.work / fingerprint(
        zlib.crc32(votes.X.tobytes()), *modules, apart=APART - {"inference"}
    )
    rows = run_grid(cells, partial(run_cell, votes=votes, source=source), folder, options.jobs)
    shares = pd.Series(votes.good.mean(axis=1) >= 0.5).groupby(source).mean()
    text = page(rows, shares, " ".join(["python benchmarks/real_systems.py", *sys.argv[1:]]))
    write(text, options.out)


if __name__ == "__main__":
    main()
