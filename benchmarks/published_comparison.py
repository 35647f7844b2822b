"""Every published method and every correction of ours on the published protocol, made fair.

    python benchmarks/published_comparison.py --out benchmarks/results   # what is committed
    python benchmarks/published_comparison.py --full      # all alphas, flips, shares; days
    python benchmarks/published_comparison.py --quick     # a small grid, under ten minutes
    python benchmarks/published_comparison.py --only data=judged method=Naive,CVIB
    python benchmarks/published_comparison.py --quick --method my_module:MyMethod
    python benchmarks/published_comparison.py --redraw benchmarks/results

Feedback is simulated on graded rewards as CausalRM does (arXiv 2603.18736): the probability of
feedback falls by a factor alpha for each grade down, and feedback is flipped at fixed rates. The
rest of the protocol differs. Logs are split by prompt. Every method is tuned with the same number
of settings on one debiased score of the validation rows, for which neither the test rows nor a
clean label is used. The score's pseudo-outcomes are those of the selection likelihood, from logs
alone. A method gets the training rows; a quarter of the rows, with clean labels, is the test set.

The second table is of logs with 50 verified rows, drawn from the validation part. The package's
estimator takes them in `fit`. Any other method is recalibrated on them, by the package's way or
Platt's, whichever predicts them better when left out one by one.

--method adds a class of your own, imported from the current folder or an installed module:
docs/guide/baselines.md shows how to write one.

A finished cell (a method on a log) is a Parquet file under --work, in a folder named after a hash
of the settings and the sources, so that a run that was interrupted continues. The section "Where a
baseline wins, and why" of the page is written by hand and kept.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from _grid import APART, chosen, fingerprint, run_grid
from _published import data as data_module
from _published import methods as methods_module
from _published import study as study_module
from _published.data import GENERATED, QUICK, Settings, draw, grid
from _published.figures import draw_differences, draw_scores
from _published.methods import ORACLE, OURS, head, method_source, methods
from _published.study import run_cell
from _published.tables import goals, means, paired

import skcausalrm
from skcausalrm import CausalRewardRegressor
from skcausalrm.baselines import CausalRMDR

ROOT = Path(__file__).resolve().parent.parent
HAND = "## Where a baseline wins, and why"
ALPHAS, FLIPS, SHARES = (0.5, 0.2, 0.1, 0.05), ((0.1, 0.2), (0.2, 0.1)), (0.4, 0.8)
RATED = (0.2, 0.05, 0.5)
REFERENCES = {ORACLE, OURS[0], "Naive"}  # methods that every table compares with


def chosen_to_compare(cells: list, conditions: list[str]) -> list:
    """Keep the cells that meet the conditions, and `REFERENCES` on the same logs."""
    kept = set(chosen(cells, conditions))
    logs = {cell.log for cell in kept}
    return [c for c in cells if c in kept or (c.log in logs and c.method in REFERENCES)]


def run_all(cells, run, settings, sources: dict[str, Path], work: Path, jobs: int) -> pd.DataFrame:
    """Return the rows of all cells; cells of a user's method are kept by its source as well."""
    modules = [Path(m.__file__) for m in (data_module, methods_module, study_module)]
    parts = [([cell for cell in cells if cell.method not in sources], modules)]
    for name, path in sources.items():
        parts.append(([cell for cell in cells if cell.method == name], [*modules, path]))
    found = []
    for part, files in parts:
        folder = work / fingerprint(settings, *files, apart=APART - {"metrics"})
        found += [run_grid(part, run, folder, jobs)] if part else []
    return pd.concat(found, ignore_index=True)


def measure_times(settings: Settings) -> dict[str, float]:
    """Return median seconds of three fits on the same rows, of auto and the published method."""
    name = next(iter(GENERATED))
    log = draw(data_module.Cell(name, 0.5, 0.1, 0.2, 0.4, 0.2, 0, ""), settings)
    X, y, groups = log.X[log.train], log.y[log.train], log.groups[log.train]
    published = settings._replace(max_epochs=600, patience=30)
    models = {
        "auto": CausalRewardRegressor(random_state=0),
        "CausalRMDR": CausalRMDR(head(published, 3e-4, 3e-3), random_state=0),
    }
    seconds = {method: [] for method in models}
    for _ in range(3):
        for method, model in models.items():
            begin = time.perf_counter()
            model.fit(X, y, groups=groups)
            seconds[method].append(time.perf_counter() - begin)
    return {method: float(np.median(times)) for method, times in seconds.items()}


def about(rows: pd.DataFrame, settings: Settings) -> str:
    """Return a paragraph on the command, the grid, the machine and the versions."""
    import sklearn
    import torch

    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    command = " ".join(["python benchmarks/published_comparison.py", *sys.argv[1:]])
    n_logs = len(rows[list(data_module.Cell._fields[:-1])].drop_duplicates())
    return (
        f"`{command}`: {n_logs} logs, {rows['method'].nunique()} methods of at most "
        f"{settings.n_settings} settings and {settings.max_epochs} epochs, "
        f"{(rows['seconds'] * rows['settings']).sum() / 120:.0f} minutes of CPU time; "
        f"commit {commit or 'unknown'}; {os.cpu_count()} cores, {platform.machine()}; "
        f"skcausalrm {skcausalrm.__version__}, "
        f"scikit-learn {sklearn.__version__}, torch {torch.__version__}, numpy {np.__version__}, "
        f"Python {platform.python_version()}."
    )


def page(rows: pd.DataFrame, text: str, timing: dict[str, float], hand: str, pictures) -> str:
    """Return the page in Markdown."""
    lines = ["# The published comparison, made fair", "", text, ""]
    lines += [
        "Columns are data set and alpha; mean ± standard deviation over seeds. The package's own "
        "corrections are in italics. The script describes data and tuning. ImplicitRM and "
        "NonNegativePU see the 1s alone. BCOWeighting gets columns that a prompt's answers share, "
        "where prompts have several answers.",
        "",
    ]
    lines += ["| goal | found | |", "|---|---|---|"]
    lines += [
        f"| {goal} | {found} | {'met' if met else '**missed**'} |"
        for goal, found, met in goals(rows, timing)
    ]
    lines += ["", HAND, "", hand.strip(), ""]
    for further, title in (("none", "Logs alone"), ("verified", "Logs with 50 verified rows")):
        for score in ("AUROC", "R2", "MAE", "Pearson"):
            lines += [f"## {title}: {score}", "", means(rows, further, score).to_markdown(), ""]
    for further, score, title in (
        ("none", "AUROC", "logs alone, AUROC"),
        ("verified", "R2", "50 verified rows, R2"),
    ):
        table = paired(rows, further, score)
        lines += [
            f"## auto against each method: {title}",
            "",
            table.to_markdown(floatfmt=".3g"),
            "",
        ]
    seconds = rows[rows["further"] == "none"].groupby("method")["seconds"].median().sort_values()
    lines += ["## CPU seconds of one fit, median", ""]
    lines += [seconds.to_frame().to_markdown(floatfmt=".2f"), ""]
    lines += [f"![{name}]({name})" for name in pictures]
    return "\n".join(lines) + "\n"


def write(rows: pd.DataFrame, text: str, timing: dict[str, float], out: Path) -> None:
    """Write page, rows and figures to `out`, and keep the section written by hand."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "published_comparison.md"
    old = path.read_text() if path.exists() else ""
    hand = old.partition(HAND)[2].partition("\n## ")[0]
    pictures = []
    for x, label, name in (
        ("alpha", "alpha (small: strong selection)", "alpha"),
        ("false_positive_rate", "P(liked given bad)", "noise"),
        ("observed_rate", "share of rated rows", "rated"),
    ):
        if draw_scores(rows, x, label, out / f"published_{name}.png"):
            pictures.append(f"published_{name}.png")
    for further, score in (("none", "AUROC"), ("verified", "R2")):
        name = f"published_ranks_{score}.png"
        draw_differences(rows, further, score, out / name)
        pictures.append(name)
    path.write_text(page(rows, text, timing, hand, pictures))
    rows.attrs = {"about": text, "timing": timing}
    rows.to_parquet(out / "published_comparison.parquet", index=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one generated regime of 3,000 rows")
    parser.add_argument("--full", action="store_true", help="all alphas, flips, shares, rates")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME=VALUES",
        help="run these cells, and on their logs auto, Naive and the model on clean labels",
    )
    parser.add_argument(
        "--method", nargs="+", default=[], metavar="MODULE:CLASS", help="add a method of your own"
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "published")
    parser.add_argument("--out", type=Path, help="folder for the page, its rows and figures")
    parser.add_argument("--redraw", type=Path, metavar="OUT", help="write the page from its rows")
    arguments = parser.parse_args()
    if arguments.redraw:
        rows = pd.read_parquet(arguments.redraw / "published_comparison.parquet")
        write(rows, rows.attrs["about"], rows.attrs["timing"], arguments.redraw)
        return

    judged = ["judged"] if (arguments.data / "judged_responses.parquet").exists() else []
    if not judged:
        print(f"No judged_responses.parquet in {arguments.data}: generated data only.")
    settings = QUICK if arguments.quick else Settings()
    sys.path.insert(0, os.getcwd())
    try:
        sources = {name: method_source(name) for name in arguments.method}
    except ValueError as error:
        parser.error(str(error))
    names = [*methods(), *sources]
    if arguments.full:
        cells = grid([*GENERATED, *judged], ALPHAS, FLIPS, SHARES, RATED, 5, names)
    elif arguments.quick:
        cells = grid(list(GENERATED)[:1], (0.5,), FLIPS[:1], SHARES[:1], RATED[:1], 2, names)
    else:
        first, second, third = GENERATED
        data = [second, *judged, first, third]
        cells = grid(data, (0.5, 0.1), FLIPS[:1], SHARES[:1], RATED[:1], arguments.seeds, names)
    try:
        cells = chosen_to_compare(cells, arguments.only)
    except ValueError as error:
        parser.error(str(error))
    run = partial(run_cell, settings=settings, folder=arguments.data)
    rows = run_all(cells, run, settings, sources, arguments.work, arguments.jobs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        timing = measure_times(settings)
    text = about(rows, settings)
    if arguments.out:
        write(rows, text, timing, arguments.out)
    else:
        print(page(rows, text, timing, "", []))


if __name__ == "__main__":
    main()
