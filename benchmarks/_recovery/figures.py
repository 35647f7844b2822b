"""The figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from skcausalrm._utils._extras import import_extra

from .rows import arms, name, over_seeds, pick, prepare, usual


def draw_regimes(rows: pd.DataFrame, path: Path) -> None:
    """R2 and AUROC by regime, mean over base rates, bars over seeds."""
    figure_module = import_extra("matplotlib.figure", extra="plot", purpose="the figures")
    grid = usual(prepare(rows))
    grid = grid[grid["signal"] == "medium"]
    regimes = list(grid["selection"].unique())
    figure = figure_module.Figure(figsize=(10, 4), layout="constrained")
    styles = {
        ("naive", "none"): ("x", "tab:red"),
        ("selection", "none"): ("o", "tab:orange"),
        ("selection", "50 verified"): ("o", "tab:blue"),
        ("matched", "none"): ("_", "black"),
    }
    for axes, column in zip(figure.subplots(1, 2), ("R2", "AUROC"), strict=True):
        for shift, ((method, further), (marker, color)) in enumerate(styles.items()):
            part = pick(grid, method, further)
            found = [over_seeds(part[part["selection"] == g], column) for g in regimes]
            mean, sd = np.nan_to_num(np.array(found)).T
            axes.errorbar(
                np.arange(len(regimes)) + 0.12 * (shift - 1.5),
                mean,
                sd,
                fmt=marker,
                color=color,
                markersize=9 if marker == "_" else 6,
                label=name(method, further),
            )
        axes.set_xticks(range(len(regimes)), regimes, rotation=30)
        axes.set(ylabel=column, xlabel="selection")
        axes.grid(axis="y", alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(styles), frameon=False)
    figure.suptitle("Medium signal, mean over base rates; bars: standard deviation over seeds")
    figure.savefig(path, dpi=120)


def draw_base_rates(rows: pd.DataFrame, path: Path) -> None:
    """Base rate found against true, with its 90% interval, by further rows."""
    figure_module = import_extra("matplotlib.figure", extra="plot", purpose="the figures")
    matplotlib = import_extra("matplotlib", extra="plot", purpose="the figures")
    grid = usual(rows)
    grid = grid[grid["signal"] == "medium"]
    present = arms(grid)
    panels = [arm for arm in ("none", "50 verified", "200 verified", "300 asked") if arm in present]
    regimes = list(grid["selection"].unique())
    colors = matplotlib.colormaps["tab10"].colors
    figure = figure_module.Figure(figsize=(3.2 * len(panels), 3.9), layout="constrained")
    grid_of_axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)
    for axes, arm in zip(grid_of_axes[0], panels, strict=True):
        part = pick(grid, "selection", arm)
        axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
        for k, regime in enumerate(regimes):
            one = part[part["selection"] == regime]
            # Seeds and regimes side by side.
            place = one["base_rate"] + 0.014 * (k - (len(regimes) - 1) / 2)
            place = place + 0.004 * (one["seed"] - one["seed"].mean())
            axes.vlines(place, one["low"], one["high"], color=colors[k], linewidth=1)
            axes.plot(place, one["base rate"], ".", color=colors[k], label=regime)
        axes.set(title=arm, xlabel="true base rate", xlim=(0, 1), ylim=(0, 1))
    grid_of_axes[0, 0].set_ylabel("base rate found, 90% interval")
    handles, labels = grid_of_axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(regimes), frameon=False)
    figure.savefig(path, dpi=120)
