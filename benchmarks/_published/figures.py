"""Scores against what varies, and the critical-difference diagram."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from .methods import ORACLE, OURS
from .tables import LOG, critical_difference, mean_ranks, short

__all__ = ["draw_differences", "draw_scores"]

SHOWN = {OURS[0]: "C3", "Naive": "C0", "CausalRMDR": "C1", "DR": "C2", ORACLE: "0.2"}


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def draw_scores(rows: pd.DataFrame, x: str, label: str, path: Path) -> bool:
    """Draw AUROC from logs alone, and R2 with verified rows, against column `x` by data set.

    Return False, and draw nothing, if `x` has one value only.
    """
    if rows[x].nunique() < 2:
        return False
    plt = _pyplot()
    data = list(rows["data"].unique())
    figure, axes = plt.subplots(
        2, len(data), figsize=(3.6 * len(data) + 1, 6), squeeze=False, layout="constrained"
    )
    for line, (further, score) in enumerate((("none", "AUROC"), ("verified", "R2"))):
        for column, name in enumerate(data):
            part = rows[(rows["further"] == further) & (rows["data"] == name)]
            table = part.pivot_table(index=x, columns="method", values=score, aggfunc="mean")
            spread = part.pivot_table(
                index=x, columns="method", values=score, aggfunc="std", dropna=False
            )
            ax = axes[line, column]
            for method in [m for m in table if m not in SHOWN]:
                ax.plot(table.index, table[method], color="0.8", linewidth=0.8, zorder=1)
            for method, color in SHOWN.items():
                if method in table:
                    ax.errorbar(
                        table.index,
                        table[method],
                        spread[method],
                        color=color,
                        label=short(method).strip("*"),
                        capsize=2,
                        linestyle="--" if method == ORACLE else "-",
                    )
            low = table[[m for m in SHOWN if m in table]].min(axis=None)
            ax.set(title=name if line == 0 else "", xlabel=label if line else "")
            ax.set_ylim(bottom=max(low - 0.15, table.min(axis=None) - 0.05))
            if x == "alpha":
                ax.set_xscale("log")
                ax.set_xticks(table.index, [f"{value:g}" for value in table.index])
                ax.minorticks_off()
        axes[line, 0].set_ylabel(
            f"{score}, {'logs alone' if further == 'none' else '50 verified rows'}"
        )
    axes[0, -1].legend(fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return True


def draw_differences(rows: pd.DataFrame, further: str, score: str, path: Path) -> None:
    """Draw mean ranks, and as a bar the distance above which they differ."""
    plt = _pyplot()
    ranks = mean_ranks(rows, further, score)
    n_logs = len(rows[[*LOG, "seed"]].drop_duplicates())
    gap = critical_difference(len(ranks), n_logs)
    figure, ax = plt.subplots(figsize=(7, 0.24 * len(ranks) + 1), layout="constrained")
    y = np.arange(len(ranks))
    ax.scatter(ranks, y, color=["C3" if m in OURS else "C0" for m in ranks.index], zorder=2)
    ax.axvspan(ranks.iloc[0], ranks.iloc[0] + gap, color="0.9", zorder=0)
    ax.set_yticks(y, [short(m).strip("*") for m in ranks.index])
    ax.invert_yaxis()
    ax.grid(axis="y", color="0.93")
    ax.set(
        xlabel=f"mean rank by {score} over {n_logs} logs; in the band not worse than the best",
        xlim=(0, len(ranks) + 1),
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)
