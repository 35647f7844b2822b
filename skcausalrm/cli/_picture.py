"""The demo's picture: naive and corrected rewards next to the known truth."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from .._utils._atomic_files import write_atomically

# Okabe and Ito's palette: colour-blind readers can tell the colours apart, and the markers differ.
_STYLES = (("#D55E00", "o"), ("#0072B2", "s"))
_TRUTH = ("#000000", "D")
_N_BINS = 10


def draw(
    path: Path,
    predictions: Mapping[str, np.ndarray],
    *,
    probability: np.ndarray,
    kinds: Sequence[Mapping[str, Any]],
) -> None:
    """Write a PNG of two panels: mean reward by kind of answer, and calibration.

    Parameters
    ----------
    path : Path
    predictions : mapping of ndarray of shape (n,)
        Predictions of two methods for rows that they were not fitted on.
    probability : ndarray of shape (n,)
        The true P(r=1 given text).
    kinds : sequence of mapping
        For each kind of answer its name, "answers", its true mean reward, "truth", and the means
        of the predictions by their names.
    """
    png = BytesIO()
    with rc_context({"font.size": 12, "axes.titlesize": 13}):
        figure = Figure(figsize=(9.6, 4.4), dpi=150, layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
        _draw_kinds(left, list(predictions), kinds)
        _draw_calibration(right, predictions, probability)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        figure.savefig(png)
    write_atomically(path, png.getvalue())


def _draw_kinds(axes: Any, names: Sequence[str], kinds: Sequence[Mapping[str, Any]]) -> None:
    height = range(len(kinds), 0, -1)
    means = [[kind[name] for name in ("truth", *names)] for kind in kinds]
    low, high = list(map(min, means)), list(map(max, means))
    axes.hlines(height, low, high, color="0.8", linewidth=2, zorder=1)
    for name, (colour, marker) in zip((*names, "truth"), (*_STYLES, _TRUTH), strict=True):
        mean = [kind[name] for kind in kinds]
        axes.plot(mean, height, marker, color=colour, markersize=9, label=name)
    axes.set_yticks(height, [kind["answers"] for kind in kinds])
    axes.set(xlim=(0, 1), xlabel="mean reward", title="Mean reward by kind of answer")
    axes.grid(axis="x", alpha=0.3)


def _draw_calibration(
    axes: Any, predictions: Mapping[str, np.ndarray], probability: np.ndarray
) -> None:
    axes.plot([0, 1], [0, 1], color=_TRUTH[0], linewidth=1, linestyle="--")
    axes.text(0.97, 0.05, "dashed: calibrated", fontsize=11, ha="right")
    for prediction, (colour, marker) in zip(predictions.values(), _STYLES, strict=True):
        bins = np.array_split(np.argsort(prediction, kind="stable"), _N_BINS)
        predicted, true = (
            [values[rows].mean() for rows in bins] for values in (prediction, probability)
        )
        axes.plot(predicted, true, f"-{marker}", color=colour, clip_on=False)
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
        xlabel="predicted reward",
        ylabel="true share of good answers",
        title="Calibration, tenths of predictions",
    )
