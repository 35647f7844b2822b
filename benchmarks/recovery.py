"""How much of the true preference each method recovers, and with how many further rows.

    python benchmarks/recovery.py --out benchmarks/results      # about half an hour, two cores
    python benchmarks/recovery.py --only selection=x,both seed=0
    python benchmarks/recovery.py --quick                       # a small grid, under a minute
    python benchmarks/recovery.py --redraw benchmarks/results   # page and figures from their rows

A cell is one draw of `make_observational_feedback` (selection, base rate, signal, flips, number of
features, seed): a log to train on and new rows with clean labels to score on. Within a cell all
methods see the same log, and the rows that a person has checked (or that were asked) are nested:
the larger samples hold the smaller. The out-of-fold indices do not read verified labels, so the
likelihoods with and without them stand on the same ones; asked answers do teach the first index,
so it is fitted anew for them.

A finished cell is a Parquet file under --work, in a folder named after a hash of the settings and
the sources that bear on it, so a run that was cut off goes on and no result of other code mixes in.
What stands under "What went wrong, and why" on the page is written by hand and kept.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import sys
from pathlib import Path

import numpy as np
import pandas as pd
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
from joblib import Parallel, delayed, parallel_config
from tqdm import tqdm

import skcausalrm

ROOT = Path(__file__).resolve().parent.parent
# What does not bear on a result, so that a change of it voids none.
APART = {"cli", "export", "embedding", "metrics"}


def fingerprint(settings: Settings) -> str:
    """Hash the settings and all sources that bear on a result."""
    digest = hashlib.sha256(repr((settings, skcausalrm.__version__)).encode())
    package = Path(skcausalrm.__file__).parent
    sources = (p for p in package.rglob("*.py") if not APART & set(p.relative_to(package).parts))
    for path in [Path(cells_module.__file__), *sorted(sources)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def finish(cell: Cell, settings: Settings, path: Path) -> None:
    """Run a cell and leave its file, whole or not at all."""
    partial = path.with_suffix(f".{os.getpid()}")
    run_cell(cell, settings).to_parquet(partial, index=False)
    partial.replace(path)


def run(cells: list[Cell], settings: Settings, work: Path, jobs: int) -> pd.DataFrame:
    """Run what is not there yet and return all rows, in the order of the cells."""
    folder = work / fingerprint(settings)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {cell: folder / f"{cell.name}.parquet" for cell in cells}
    to_do = [cell for cell, path in paths.items() if not path.exists()]
    with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
        done = Parallel(return_as="generator_unordered")(
            delayed(finish)(cell, settings, paths[cell]) for cell in to_do
        )
        for _ in tqdm(done, total=len(cells), initial=len(cells) - len(to_do), unit="cell"):
            pass
    return pd.concat([pd.read_parquet(path) for path in paths.values()], ignore_index=True)


def chosen(cells: list[Cell], conditions: list[str]) -> list[Cell]:
    """Keep the cells that meet all of NAME=VALUE,VALUE.

    Raises
    ------
    ValueError
        If a name is unknown or no cell is left.
    """
    for name, _, values in (condition.partition("=") for condition in conditions):
        if name not in Cell._fields:
            raise ValueError(f"--only knows {', '.join(Cell._fields)}, not {name!r}.")
        cells = [cell for cell in cells if str(getattr(cell, name)) in values.split(",")]
    if not cells:
        raise ValueError(f"No cell has {' and '.join(conditions)}.")
    return cells


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
