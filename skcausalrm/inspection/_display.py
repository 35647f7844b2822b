"""What the Displays share: matplotlib imported late, colours, panels, and parts of models."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._utils._extras import import_extra
from ..exceptions import InvalidInputError
from ..reward._nuisances import find_selection_model, name_fitted
from ..selection._model import SelectionModel

# Of Okabe and Ito's palette those with a contrast of 3 and more on black and on white alike; GREY,
# for lines of reference, has it too. Shapes and labels differ as well.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#808080"
# Space between two panels, as a share of the whole.
_GAP = 0.06


def check_matplotlib() -> None:
    """Raise if matplotlib is not installed.

    Raises
    ------
    MissingExtraError
    """
    import_extra("matplotlib", extra="plot", purpose="A Display's plot")


def axes_for(ax: Any) -> Any:
    """Return the given axes, or those of a new figure of pyplot."""
    check_matplotlib()
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]


def panels(ax: Any, heights: Sequence[float]) -> list[Any]:
    """Return axes one below the other within `ax`, which is hidden, with one horizontal axis.

    Parameters
    ----------
    ax : matplotlib Axes
    heights : sequence of float
        Shares of the height, from the top; they sum to 1.
    """
    ax.set_axis_off()
    # The style of `ax`, which may no longer be the current one.
    ink, ground = ax.xaxis.label.get_color(), ax.get_facecolor()
    found: list[Any] = []
    top = 1.0
    for i, height in enumerate(heights):
        space = _GAP if i else 0.0
        first = {"sharex": found[0]} if found else {}
        place = (0, top - height, 1, height - space)
        found.append(panel := ax.inset_axes(place, facecolor=ground, **first))
        panel.tick_params(colors=ink)
        panel.spines[:].set_color(ink)
        for text in (panel.title, panel.xaxis.label, panel.yaxis.label):
            text.set_color(ink)
        top -= height
    for upper in found[:-1]:
        upper.tick_params(labelbottom=False)
    return found


def show_percent(axis: Any) -> None:
    """Write the ticks of an axis of shares as percentages."""
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1))


def add_legend(ax: Any, **settings: Any) -> None:
    """Add a legend in the colour of the axes' labels, whatever style is current."""
    ax.legend(frameon=False, labelcolor=ax.xaxis.label.get_color(), fontsize="small", **settings)


def check_positive_count(value: Any, name: str) -> None:
    """Raise if a number of bins or components is no positive whole number.

    Raises
    ------
    InvalidInputError
    """
    if not (isinstance(value, (int, np.integer)) and value > 0):
        raise InvalidInputError(f"{name} is {value!r}, but must be a positive whole number.")


def lorenz_curve(values: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return shares of the members and of the total that they hold, from the first one on."""
    total = np.r_[0, np.cumsum(values)]
    return np.linspace(0, 1, len(total)), total / total[-1]


def last_step(fitted: Any) -> Any:
    """Return a fitted estimator, for a Pipeline its last step.

    Raises
    ------
    NotFittedError
    """
    check_is_fitted(fitted)
    return fitted[-1] if isinstance(fitted, Pipeline) else fitted


def selection_model_of(fitted: Any, display: str) -> SelectionModel:
    """Return the selection model in a fitted reward.

    Raises
    ------
    InvalidInputError
        If there is none.
    """
    fitted = last_step(fitted)
    found = find_selection_model(fitted)
    if found is None:
        raise InvalidInputError(
            f"{display} needs a selection model, and a {name_fitted(fitted)} has none: fit "
            f"SelectionModel() or CausalRewardRegressor('selection') on the log."
        )
    return found
