"""Selections and comparisons of rows, and the format of numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .cells import Cell

CELL = list(Cell._fields)
FLIPS = ["false_positive_rate", "false_negative_rate"]
LEVEL_OFF = 0.1


def prepare(rows: pd.DataFrame) -> pd.DataFrame:
    """Add naive's and matched's scores of the same data set to each row."""
    rows = rows.reset_index(drop=True)
    for method in ("naive", "matched"):
        own = rows[(rows["method"] == method) & (rows["further"] == "none")]
        columns = own[[*CELL, "R2", "AUROC"]]
        rows = rows.merge(columns, on=CELL, suffixes=("", f" of {method}"), validate="m:1")
    rows["R2 over naive"] = rows["R2"] - rows["R2 of naive"]
    rows["AUROC over matched"] = rows["AUROC"] - rows["AUROC of matched"]
    return rows


def usual_flips(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the usual flips, which come first."""
    return rows[(rows[FLIPS] == rows[FLIPS].iloc[0]).all(axis=1)]


def usual(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the usual flips and number of features."""
    return usual_flips(rows[rows["n_features"] == rows["n_features"].iloc[0]])


def selection_rows(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["method"] == "selection"]


def arms(rows: pd.DataFrame) -> list[str]:
    return list(selection_rows(rows)["further"].unique())


def pick(rows: pd.DataFrame, method: str, further: str) -> pd.DataFrame:
    return rows[(rows["method"] == method) & (rows["further"] == further)]


def name(method: str, further: str) -> str:
    return method if further == "none" else f"{method}, {further}"


def number(value: float, digits: int = 3, sign: bool = False) -> str:
    """Write a number without its leading zero; nothing for NaN, ">100" for what has no meaning."""
    if not np.isfinite(value):
        return ""
    if value > 100:
        return ">100"
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def table(header: list[str], lines: list[list[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(
        "| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *lines)
    )


def over_seeds(rows: pd.DataFrame, column: str) -> tuple[float, float]:
    """Return the mean, and the sd over seeds of the mean over everything else."""
    means = rows.groupby("seed")[column].mean()
    return float(rows[column].mean()), float(means.std())


def with_spread(rows: pd.DataFrame, column: str, sign: bool = False) -> str:
    mean, sd = over_seeds(rows, column)
    return number(mean, sign=sign) + (f" ± {number(sd)}" if np.isfinite(sd) else "")


def share(rows: pd.DataFrame) -> float:
    """Return the mean R2 as a share of matched's."""
    return float(rows["R2"].mean() / rows["R2 of matched"].mean())


def where(row: pd.Series) -> str:
    """Name a data set in a few words."""
    return (
        f"{row['selection']}, {row['base_rate']:g}, {row['signal']}, flips "
        f"{row[FLIPS[0]]:g}/{row[FLIPS[1]]:g}, d {row['n_features']}, seed {row['seed']}"
    )


def coverage(rows: pd.DataFrame) -> pd.Series:
    """Return whether the 90% interval holds the true base rate."""
    return (rows["low"] <= rows["base_rate"]) & (rows["base_rate"] <= rows["high"])
