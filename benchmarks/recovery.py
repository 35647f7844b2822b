"""How much of the true preference each method recovers, and with how many further rows.

    python benchmarks/recovery.py --out benchmarks/results      # about half an hour, two cores
    python benchmarks/recovery.py --only selection=x,both seed=0
    python benchmarks/recovery.py --quick                       # a small grid, under a minute
    python benchmarks/recovery.py --other-logs --seeds 1 --out benchmarks/results
    python benchmarks/recovery.py --redraw benchmarks/results   # page and figures from their rows

A cell is one draw of `make_observational_feedback` (selection, base rate, signal, flips, number of
features, seed): a log to train on and new rows with clean labels to score on. Within a cell all
methods see the same log, and the rows that a person has checked (or that were asked) are nested:
the larger samples hold the smaller. Verified labels and asked answers teach the first linear
predictor, so it is fitted again for them.

--other-logs runs a second, smaller grid (few rows or ratings, repeated answers, broken
assumptions) and leaves the rows of the first as they are; the page has a section for it, and each
part says which command and commit it is from.

A finished cell is a Parquet file under --work, in a folder named after a hash of the settings and
the sources that bear on it, so a run that was cut off goes on and no result of other code mixes in.
What stands under "What went wrong, and why" on the page is written by hand and kept.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import pandas as pd
from _grid import chosen, fingerprint, run_grid, versions
from _recovery import cells as cells_module
from _recovery import other_logs
from _recovery.cells import (
    QUICK,
    Cell,
    Settings,
    check_shortcut,
    full_grid,
    quick_grid,
    run_cell,
)
from _recovery.other_logs import OtherCell, other_grid, run_other
from _recovery.page import MAIN, OTHER, other_page, page, redraw, write

ROOT = Path(__file__).resolve().parent.parent


def run(cells: list[Cell], settings: Settings, work: Path, jobs: int) -> pd.DataFrame:
    """Run what is not there yet and return all rows, in the order of the cells."""
    folder = work / fingerprint(settings, Path(cells_module.__file__))
    return run_grid(cells, partial(run_cell, settings=settings), folder, jobs)


def run_others(cells: list[OtherCell], settings: Settings, work: Path, jobs: int) -> pd.DataFrame:
    """Do the same for logs unlike those of the main grid."""
    sources = Path(cells_module.__file__), Path(other_logs.__file__)
    folder = work / fingerprint(settings, *sources)
    return run_grid(cells, partial(run_other, settings=settings), folder, jobs)


def about(rows: pd.DataFrame, cells: int) -> str:
    """Say what was run, from what, and at what price."""
    command = " ".join(["python benchmarks/recovery.py", *sys.argv[1:]])
    minutes = rows["seconds"].sum() / 60
    return (
        f"`{command}`: {cells} data sets, {minutes:.0f} minutes of CPU time for their fits; "
        f"{versions()}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="three cells of 4,000 x 32")
    parser.add_argument("--other-logs", action="store_true", help="the second grid")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME=VALUES")
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "recovery")
    parser.add_argument("--out", type=Path, help="folder for recovery.md, its rows and figures")
    parser.add_argument("--redraw", type=Path, metavar="OUT", help="run nothing")
    arguments = parser.parse_args()
    if arguments.redraw:
        redraw(arguments.redraw)
        return

    settings = QUICK if arguments.quick else Settings()
    if arguments.other_logs:
        cells: list = other_grid(arguments.seeds)
    else:
        cells = quick_grid() if arguments.quick else full_grid(arguments.seeds)
    try:
        cells = chosen(cells, arguments.only)
    except ValueError as error:
        parser.error(str(error))
    if arguments.other_logs:
        rows = run_others(cells, settings, arguments.work, arguments.jobs)
        part, text = OTHER, about(rows, len(cells))
    else:
        gap = check_shortcut(quick_grid()[-1], QUICK)
        rows = run(cells, settings, arguments.work, arguments.jobs)
        agreement = f"to within {gap:.0e}" if gap else "exactly"
        part, text = MAIN, about(rows, len(cells))
        text += f" Stages shared between methods gave the predictions of whole fits {agreement}."
    if arguments.out:
        write(rows, text, arguments.out, part)
    elif part == MAIN:
        print(page(rows, text))
    else:
        print("\n\n".join(other_page(rows, text)))


if __name__ == "__main__":
    main()
