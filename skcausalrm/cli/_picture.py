"""The demo's picture: naive and corrected rewards next to the known truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._utils._atomic_files import write_atomically

if TYPE_CHECKING:
    import numpy as np

__all__ = ["draw"]

# Okabe and Ito's palette: colour-blind readers can tell the colours apart, and the markers differ.
_STYLES = (("#D55E00", "o"), ("#0072B2", "s"))
_TRUTH = "#000000"
_N_BINS = 10
_SIZE = (9.6, 4.4)  # inches
_DPI = 150


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
        As returned by `means_by_manner`, with the names of `predictions` as keys.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    png = BytesIO()
    with rc_context({"font.size": 12, "axes.titlesize": 13}):
        figure = Figure(figsize=_SIZE, layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
        _draw_kinds(left, list(predictions), kinds)
        _draw_calibration(right, predictions, probability)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        figure.savefig(png, dpi=_DPI)
    write_atomically(path, png.getvalue())


def _draw_kinds(axes: Any, names: Sequence[str], kinds: Sequence[Mapping[str, Any]]) -> None:
    height = range(len(kinds), 0, -1)
    for y, kind in zip(height, kinds, strict=True):
        values = [kind[name] for name in ("truth", *names)]
        axes.plot([min(values), max(values)], [y, y], color="0.8", linewidth=2, zorder=1)
    series = dict(zip(names, _STYLES, strict=True))
    for name, (colour, marker) in {**series, "truth": (_TRUTH, "D")}.items():
        axes.plot(
            [kind[name] for kind in kinds],
            height,
            color=colour,
            marker=marker,
            markersize=9 if name != "truth" else 8,
            linestyle="none",
            label=name,
        )
    axes.set_yticks(height, [kind["answers"] for kind in kinds])
    axes.set(xlim=(0, 1), xlabel="mean reward", title="Mean reward by kind of answer")
    axes.grid(axis="x", alpha=0.3)


def _draw_calibration(
    axes: Any, predictions: Mapping[str, np.ndarray], probability: np.ndarray
) -> None:
    import numpy as np

    axes.plot([0, 1], [0, 1], color=_TRUTH, linewidth=1, linestyle="--")
    axes.text(0.97, 0.05, "dashed: calibrated", fontsize=11, ha="right")
    for prediction, (colour, marker) in zip(predictions.values(), _STYLES, strict=True):
        bins = np.array_split(np.argsort(prediction, kind="stable"), _N_BINS)
        axes.plot(
            [prediction[rows].mean() for rows in bins],
            [probability[rows].mean() for rows in bins],
            color=colour,
            marker=marker,
            clip_on=False,
        )
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
        xlabel="predicted reward",
        ylabel="true share of good answers",
        title="Calibration, tenths of predictions",
    )
