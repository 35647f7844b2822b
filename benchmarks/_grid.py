"""A grid of cells: each leaves a Parquet file, so that a run that was cut off goes on.

Cells are NamedTuples with a `name` that is fit for a file.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from joblib import Parallel, delayed, parallel_config
from tqdm import tqdm

import skcausalrm

__all__ = [
    "LogCell",
    "chosen",
    "file_name",
    "fingerprint",
    "run_grid",
    "table",
    "versions",
    "write",
]

# Folders that do not affect a result: a change in them invalidates none.
APART = {"cli", "export", "inference", "metrics", "serving", "inspection", "text"}


def fingerprint(settings: Any, *modules: Path, apart: set[str] = APART) -> str:
    """Hash the settings, the modules and all sources of the package that bear on a result."""
    digest = hashlib.sha256(repr((settings, skcausalrm.__version__)).encode())
    package = Path(skcausalrm.__file__).parent
    sources = (p for p in package.rglob("*.py") if not apart & set(p.relative_to(package).parts))
    for path in [*modules, *sorted(sources)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def file_name(cell: tuple[Any, ...]) -> str:
    """Return the values of a cell as text that is readable, unique, and fit for a file."""
    return "_".join(map(str, cell)).replace(" ", "-").replace(",", "")


class LogCell(NamedTuple):
    """One generated log: a kind of selection, a share of good answers and a seed."""

    selection: str
    base_rate: float
    seed: int

    @property
    def name(self) -> str:
        """Readable, unique, and fit for a file."""
        return file_name(self)


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    rule = ["---"] * len(header)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *lines)) + "\n"


def write(text: str, out: Path | None) -> None:
    """Write a page to a file, or print it."""
    if out is None:
        print(text)
    else:
        out.write_text(text)


def versions() -> str:
    """Name the commit and the versions that a result is from."""
    import numpy
    import scipy
    import sklearn

    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return (
        f"skcausalrm {skcausalrm.__version__}{f' at {commit}' if commit else ''}, scikit-learn "
        f"{sklearn.__version__}, numpy {numpy.__version__}, scipy {scipy.__version__}, Python "
        f"{platform.python_version()}"
    )


def _finish(cell, run_cell: Callable[[Any], pd.DataFrame], path: Path) -> None:
    """Run a cell and leave its file, whole or not at all."""
    partial = path.with_suffix(f".{os.getpid()}")
    run_cell(cell).to_parquet(partial, index=False)
    partial.replace(path)


def run_grid(cells: Sequence, run_cell, folder: Path, jobs: int) -> pd.DataFrame:
    """Run what is not there yet and return all rows, in the order of the cells."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {cell: folder / f"{cell.name}.parquet" for cell in cells}
    to_do = [cell for cell, path in paths.items() if not path.exists()]
    with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
        done = Parallel(return_as="generator_unordered")(
            delayed(_finish)(cell, run_cell, paths[cell]) for cell in to_do
        )
        for _ in tqdm(done, total=len(cells), initial=len(cells) - len(to_do), unit="cell"):
            pass
    return pd.concat([pd.read_parquet(path) for path in paths.values()], ignore_index=True)


def chosen(cells: list, conditions: list[str]) -> list:
    """Keep the cells that meet all of NAME=VALUE,VALUE.

    Raises
    ------
    ValueError
        If a name is unknown or no cell is left.
    """
    for name, _, values in (condition.partition("=") for condition in conditions):
        if name not in cells[0]._fields:
            raise ValueError(f"--only knows {', '.join(cells[0]._fields)}, not {name!r}.")
        cells = [cell for cell in cells if str(getattr(cell, name)) in values.split(",")]
        if not cells:
            break
    if not cells:
        raise ValueError(f"No cell has {' and '.join(conditions)}.")
    return cells
