"""The page of results, with its rows and figures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from skcausalrm.exceptions import MissingExtraError

from .figures import draw_base_rates, draw_regimes
from .goals import goals
from .other_page import other_page
from .rows import FLIPS, prepare, table, usual, usual_flips
from .tables import (
    by,
    by_signal,
    intervals,
    seconds,
    slopes,
    worst_against_naive,
    worst_runs,
)

REASONS = "## What went wrong, and why"
# Rows of the main grid and of the other logs; either may be run alone.
MAIN, OTHER = "recovery", "recovery_other"


def comparisons(rows: pd.DataFrame) -> Iterator[str]:
    """By regime, base rate, flips and number of features, all else as usual."""
    same_size = rows[rows["n_features"] == rows["n_features"].iloc[0]]
    for title, part, column, half in (
        ("regime, medium signal", usual(rows), "selection", False),
        ("base rate, medium signal", usual(rows), "base_rate", False),
        ("flips (bad answers liked / good answers disliked)", same_size, FLIPS, True),
        ("number of features", usual_flips(rows), "n_features", True),
    ):
        part = part[part["signal"] == "medium"]
        if half:
            title, part = f"{title}, medium signal, base rate .5", part[part["base_rate"] == 0.5]
        if len(part):
            yield f"## By {title}"
            yield by(part, column)


def page(rows: pd.DataFrame, about: str) -> str:
    """Return everything that is computed, as Markdown."""
    rows = prepare(rows)
    grid = usual(rows)
    checked = [[goal.text, goal.found, "met" if goal.met else "**missed**"] for goal in goals(rows)]
    sections = [
        "# Recovery of the preference",
        about,
        "R2 and AUROC are on clean labels of new rows; the level is mean prediction minus mean "
        "label there, the slope that of a logistic regression of the labels on the predicted log "
        "odds (1 is right, above 1 too flat). `verified`: so many random rows that a person has "
        "judged; `asked`: so many random rows that were asked, with the usual flips; `users` and "
        "`signals` (copied, regenerated): on a log of its own, whose users differ in how readily "
        "they rate, as `of users, none` is. naive, noise, "
        "snips and dr with verified rows are recalibrated on them. Platt: Platt scaling of naive "
        "on the same rows, slope not negative. linear predictors: a logistic regression of the "
        "same labels on the two out-of-fold linear predictors (C = 1, the best of .1 to 100). "
        "matched: as many rated rows as the log has, drawn at random, corrected with the known "
        "flips. oracle: all rows with clean labels. The last two are logistic; next to them by "
        "ridge. Every data set is a draw of its own, reward function included; ± is the standard "
        "deviation over seeds of the mean over regimes and base rates.",
        "## Goals",
        table(["goal", "found", ""], checked),
        "![R2 and AUROC by regime](recovery_regimes.png)",
        "![Base rate found against true](recovery_base_rate.png)",
        "## By signal, mean over regimes and base rates",
        *by_signal(grid),
        *comparisons(rows),
        "## Against naive, the worst single run",
        worst_against_naive(rows),
        "## Intervals of the base rate, and the warning that it is open",
        intervals(grid),
        "## Calibration slope on new rows, usual flips",
        slopes(usual_flips(rows)),
    ]
    for further in ("none", "50 verified"):
        sections += [
            f"## Farthest under matched: {further}",
            "Recalibrated: the best sigmoid of the same log odds. What it lacks is lost in the "
            "ranking, what R2 lacks of it in level and slope.",
            worst_runs(rows, further),
        ]
    sections += ["## CPU seconds of a data set", seconds(rows)]
    return "\n\n".join(sections) + "\n"


def write(rows: pd.DataFrame, about: str, folder: Path, part: str = MAIN) -> None:
    """Write the rows of a part, and the page and figures of all parts that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    rows.attrs["about"] = about
    rows.to_parquet(folder / f"{part}.parquet", index=False, compression="zstd")
    redraw(folder)


def redraw(folder: Path) -> None:
    """Write page and figures from their rows; keep what is written by hand below them."""
    paths = {part: folder / f"{part}.parquet" for part in (MAIN, OTHER)}
    parts = {part: pd.read_parquet(path) for part, path in paths.items() if path.exists()}
    sections = []
    if MAIN in parts:
        sections.append(page(parts[MAIN], parts[MAIN].attrs["about"]))
    if OTHER in parts:
        sections.append("\n\n".join(other_page(parts[OTHER], parts[OTHER].attrs["about"])) + "\n")
    path = folder / "recovery.md"
    by_hand = path.read_text().partition(REASONS)[2] if path.exists() else "\n"
    path.write_text("\n".join([*sections, REASONS]) + by_hand)
    if MAIN not in parts or not (parts[MAIN]["signal"] == "medium").any():
        return
    try:
        draw_regimes(parts[MAIN], folder / "recovery_regimes.png")
        draw_base_rates(parts[MAIN], folder / "recovery_base_rate.png")
    except MissingExtraError as error:
        print(f"No figures: {error}", file=sys.stderr)
