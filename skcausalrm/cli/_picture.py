"""The demo's picture: naive and corrected reward against the known truth."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._utils._atomic_files import write_atomically

if TYPE_CHECKING:
    import numpy as np

__all__ = ["draw"]

# Okabe and Ito's palette: told apart by colour-blind readers, and the markers differ too.
_STYLES = (("#D55E00", "o"), ("#0072B2", "s"), ("#009E73", "^"))
_TRUTH = "#000000"
_N_BINS = 10


def draw(
    path: Path,
    predictions: Mapping[str, np.ndarray],
    *,
    probability: np.ndarray,
    feedback: np.ndarray,
    writer: np.ndarray,
) -> None:
    """Write a PNG of two panels: calibration, and mean reward by writer of the answer.

    Parameters
    ----------
    path : Path
    predictions : mapping of ndarray of shape (n,)
        Up to three methods' predictions of held-out rows.
    probability : ndarray of shape (n,)
        The true P(r=1 given text).
    feedback : ndarray of shape (n,)
        NaN where there is none.
    writer : ndarray of str, shape (n,)
        The model that wrote the answer.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _draw_calibration(left, predictions, probability)
    _draw_means(right, predictions, probability, feedback, writer)
    figure.suptitle("Reward models fitted on user feedback, on prompts that they have not seen")
    png = BytesIO()
    figure.savefig(png, dpi=150)
    write_atomically(path, png.getvalue())


def _draw_calibration(axes: Any, predictions, probability) -> None:
    import numpy as np

    axes.plot([0, 1], [0, 1], color=_TRUTH, linewidth=1, linestyle="--", label="calibrated")
    for (name, prediction), (colour, marker) in zip(predictions.items(), _STYLES, strict=False):
        bins = np.array_split(np.argsort(prediction, kind="stable"), _N_BINS)
        axes.plot(
            [prediction[rows].mean() for rows in bins],
            [probability[rows].mean() for rows in bins],
            color=colour,
            marker=marker,
            label=name,
        )
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
        xlabel="predicted reward, P(good answer)",
        ylabel="true P(good answer)",
        title="Calibration, by tenths of the predictions",
    )
    axes.legend(loc="lower right", frameon=False)


def _draw_means(axes: Any, predictions, probability, feedback, writer) -> None:
    import numpy as np

    names = sorted(np.unique(writer), key=lambda name: probability[writer == name].mean())
    rows_of = [writer == name for name in names]
    position = np.arange(len(names))
    series = {
        "thumbs up among the rated": (
            [np.nanmean(feedback[rows]) for rows in rows_of],
            "0.55",
            "x",
        ),
        **{
            name: ([prediction[rows].mean() for rows in rows_of], *style)
            for (name, prediction), style in zip(predictions.items(), _STYLES, strict=False)
        },
        "truth": ([probability[rows].mean() for rows in rows_of], _TRUTH, "D"),
    }
    offsets = np.linspace(-0.25, 0.25, len(series))
    for offset, (name, (values, colour, marker)) in zip(offsets, series.items(), strict=True):
        axes.plot(
            position + offset,
            values,
            color=colour,
            marker=marker,
            markersize=8,
            linestyle="none",
            label=name,
        )
    axes.set_xticks(position, names)
    axes.set_ylim(0, 1)
    axes.grid(axis="y", alpha=0.3)
    axes.set(
        xlabel="model that wrote the answer",
        ylabel="mean P(good answer)",
        title="Level, by writer of the answer",
    )
    axes.legend(loc="lower right", frameon=False)
