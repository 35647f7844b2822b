"""The tables."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pandas as pd

from .goals import GOALS, WORST
from .rows import (
    CELL,
    LEVEL_OFF,
    arms,
    coverage,
    name,
    number,
    pick,
    share,
    table,
    where,
    with_spread,
)

# Rows of the longer tables; the others are in the first tables and in the Parquet file.
MAIN = [
    ("naive", "none"),
    ("Platt", "50 verified"),
    ("snips", "none"),
    ("dr", "none"),
    ("dr", "50 verified"),
    ("linear predictors", "50 verified"),
    ("selection", "none"),
    ("selection", "30 verified"),
    ("selection", "50 verified"),
    ("selection", "200 verified"),
    ("selection", "300 asked"),
    ("selection", "users"),
    ("selection", "users, signals"),
    ("selection", "users, signals, 50 verified"),
    ("matched", "none"),
    ("oracle", "none"),
]


def shown(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the methods of the longer tables that were run."""
    present = set(zip(rows["method"], rows["further"], strict=True))
    return [pair for pair in MAIN if pair in present]


def by_signal(rows: pd.DataFrame) -> Iterator[str]:
    """Every method and further rows, mean over regimes and base rates."""
    for signal, part in rows.groupby("signal", sort=False):
        rates = ", ".join(f"{rate:g}" for rate in sorted(part["base_rate"].unique()))
        n_cells = part.groupby(CELL).ngroups
        yield f"### {str(signal).capitalize()} signal ({n_cells} data sets, base rates {rates})"
        lines = []
        for (method, further), some in part.groupby(["method", "further"], sort=False):
            goal = GOALS.get((method, further), {}).get(signal, np.nan)
            goal = np.nan if goal is None else goal
            lines.append(
                [
                    method,
                    further,
                    with_spread(some, "R2"),
                    number(share(some), 2),
                    number(goal, 2),
                    with_spread(some, "AUROC"),
                    with_spread(some, "AUROC over matched", sign=True),
                    with_spread(some, "level", sign=True),
                    number(some["slope"].mean(), 2),
                ]
            )
        yield table(
            [
                "method",
                "further rows",
                "R2",
                "share of matched's",
                "goal",
                "AUROC",
                "over matched's",
                "level",
                "slope",
            ],
            lines,
        )


def by(rows: pd.DataFrame, column: str | list[str]) -> str:
    """R2 / AUROC of the main methods, a column per value."""
    groups = list(rows.groupby(column, sort=False))
    values = [value if isinstance(value, tuple) else (value,) for value, _ in groups]
    header = [
        " / ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in several)
        for several in values
    ]
    lines = []
    for method, further in shown(rows):
        some = [pick(part, method, further) for _, part in groups]
        cells = (f"{number(s['R2'].mean(), 2)} / {number(s['AUROC'].mean())}" for s in some)
        lines.append([name(method, further), *cells])
    return table(["R2 / AUROC", *header], lines)


def worst_against_naive(rows: pd.DataFrame) -> str:
    lines = []
    for further, (signal, part) in product(WORST, rows.groupby("signal", sort=False)):
        some = pick(part, "selection", further)
        if len(some):
            least = some.loc[some["R2 over naive"].idxmin()]
            below = int((some["R2 over naive"] < -WORST[further]).sum())
            lines.append(
                [
                    further,
                    str(signal),
                    number(least["R2 over naive"], sign=True),
                    where(least),
                    f"{below} of {len(some)}",
                ]
            )
    header = ["further rows", "signal", "least R2 over naive", "where", "runs below the goal"]
    return table(header, lines)


def intervals(rows: pd.DataFrame) -> str:
    lines = []
    for further in arms(rows):
        some = pick(rows, "selection", further)
        by_part = [coverage(part).mean() for _, part in some.groupby("signal", sort=False)]
        off = some["level"].abs() > LEVEL_OFF
        lines.append(
            [
                further,
                f"{coverage(some).mean():.0%}",
                " / ".join(f"{share:.0%}" for share in by_part),
                number((some["high"] - some["low"]).mean(), 2),
                f"{some['warned'].mean():.0%}",
                f"{off.sum()} of {len(some)}",
                f"{some.loc[off, 'warned'].sum()} of {off.sum()}",
            ]
        )
    signals = " / ".join(rows["signal"].unique())
    header = ["further rows", "coverage", signals, "mean width", "warned", "level off by over .1"]
    return table([*header, "warned of these"], lines)


def slopes(rows: pd.DataFrame) -> str:
    groups = list(rows.groupby(["signal", "n_features"], sort=False))
    lines = []
    for method, further in [
        pair
        for pair in shown(rows)
        if pair[0] in ("naive", "Platt", "linear predictors", "selection", "matched", "oracle")
    ]:
        cells = []
        for _, part in groups:
            slope = pick(part, method, further)["slope"]
            low, high = slope.quantile([0.1, 0.9])
            cells.append(
                f"{number(slope.mean(), 2)} ({number(low, 2)} to {number(high, 2)})"
                if len(slope)
                else ""
            )
        lines.append([name(method, further), *cells])
    header = [f"{signal}, d = {d}" for (signal, d), _ in groups]
    return table(["mean (10% to 90%)", *header], lines)


def worst_runs(rows: pd.DataFrame, further: str, count: int = 12) -> str:
    """Runs whose R2 lies farthest under matched's, and whether ranking or level costs it."""
    some = pick(rows, "selection", further).copy()
    some["short"] = some["R2"] - some["R2 of matched"]
    lines = [
        [
            where(row),
            number(row["R2"]),
            number(row["R2 recalibrated"]),
            number(row["R2 of matched"]),
            number(row["AUROC over matched"], sign=True),
            number(row["level"], 2, sign=True),
            number(row["slope"], 2),
            f"{number(row['base rate'], 2)} ({number(row['low'], 2)} to {number(row['high'], 2)})",
            "yes" if row["warned"] else "no",
        ]
        for _, row in some.nsmallest(count, "short").iterrows()
    ]
    return table(
        [
            "data set",
            "R2",
            "recalibrated",
            "matched",
            "AUROC over matched's",
            "level",
            "slope",
            "base rate found",
            "warned",
        ],
        lines,
    )


def seconds(rows: pd.DataFrame) -> str:
    """Mean CPU seconds of each fit; what methods share is with the first of them."""
    groups = list(rows.groupby("n_features"))
    lines = []
    for method, further in rows[["method", "further"]].drop_duplicates().itertuples(index=False):
        means = [pick(part, method, further)["seconds"].mean() for _, part in groups]
        if max(means) >= 0.05:
            lines.append([name(method, further), *(number(mean, 2) for mean in means)])
    totals = [part.groupby(CELL)["seconds"].sum().mean() for _, part in groups]
    lines.append(["all", *(number(total, 1) for total in totals)])
    return table(["", *(f"d = {d}" for d, _ in groups)], lines)
