"""How much of the true preference each method recovers, and with how many further rows.

    python benchmarks/recovery.py --out benchmarks/results      # about half an hour, two cores
    python benchmarks/recovery.py --only selection=x,both seed=0
    python benchmarks/recovery.py --quick                       # a small grid, under a minute
    python benchmarks/recovery.py --redraw benchmarks/results   # page and figures from their rows

A cell is one draw of `make_observational_feedback` (selection, base rate, signal, flips, number of
features, seed): a log to train on and new rows with clean labels to score on. Within a cell all
methods see the same log, and the rows that a person has checked (or that were asked) are nested:
the larger samples hold the smaller. Verified labels and asked answers teach the first linear
predictor, so it is fitted again for them.

A finished cell is a Parquet file under --work, in a folder named after a hash of the settings and
the sources that bear on it, so a run that was cut off goes on and no result of other code mixes in.
What stands under "What went wrong, and why" on the page is written by hand and kept.
"""

from __future__ import annotations

import argparse
import platform
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from _grid import chosen, fingerprint, run_grid
from _recovery import cells as cells_module
from _recovery.cells import (
    QUICK,
    Cell,
    Settings,
    check_shortcut,
    full_grid,
    quick_grid,
    run_cell,
)
from _recovery.page import page, write

import skcausalrm

ROOT = Path(__file__).resolve().parent.parent


def run(cells: list[Cell], settings: Settings, work: Path, jobs: int) -> pd.DataFrame:
    """Run what is not there yet and return all rows, in the order of the cells."""
    folder = work / fingerprint(settings, Path(cells_module.__file__))
    return run_grid(cells, partial(run_cell, settings=settings), folder, jobs)


def about(cells: int, minutes: float, gap: float) -> str:
    import scipy
    import sklearn

    agreement = f"to within {gap:.0e}" if gap else "exactly"
    command = " ".join(["python benchmarks/recovery.py", *sys.argv[1:]])
    return (
        f"`{command}`: {cells} data sets, {minutes:.0f} minutes of CPU time for their fits; "
        f"skcausalrm {skcausalrm.__version__}, scikit-learn {sklearn.__version__}, numpy "
        f"{np.__version__}, scipy {scipy.__version__}, Python {platform.python_version()}. Stages "
        f"shared between methods gave the predictions of whole fits {agreement}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="three cells of 4,000 x 32")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME=VALUES")
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "recovery")
    parser.add_argument("--out", type=Path, help="folder for recovery.md, its rows and figures")
    parser.add_argument("--redraw", type=Path, metavar="OUT", help="run nothing")
    arguments = parser.parse_args()
    if arguments.redraw:
        rows = pd.read_parquet(arguments.redraw / "recovery.parquet")
        write(rows, rows.attrs["about"], arguments.redraw)
        return

    settings = QUICK if arguments.quick else Settings()
    cells = quick_grid() if arguments.quick else full_grid(arguments.seeds)
    try:
        cells = chosen(cells, arguments.only)
    except ValueError as error:
        parser.error(str(error))
    gap = check_shortcut(quick_grid()[-1], QUICK)
    rows = run(cells, settings, arguments.work, arguments.jobs)
    text = about(rows.groupby(list(Cell._fields)).ngroups, rows["seconds"].sum() / 60, gap)
    if arguments.out:
        write(rows, text, arguments.out)
    else:
        print(page(rows, text))


if __name__ == "__main__":
    main()
