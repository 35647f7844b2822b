"""Picture of drift: what has moved over time, the rewards, who rates, or how good answers are?"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..exceptions import InvalidInputError
from ._display import BLUE, GREEN, GREY, ORANGE, add_legend, axes_for, panels, show_percent
from ._watch import watch

# Largest number of periods that are named on the axis.
_NAMED = 8


class DriftDisplay:
    """Mean reward, level and share rated by period, with 90% intervals.

    A line marks since when a quantity has moved, if that raises an alarm. Make the display by
    `from_predictions`, or by `from_watched` from what `watch` or ``skcausalrm evaluate --json``
    has found.

    Parameters
    ----------
    watched : dict
        Result of `watch`.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Mean reward and level.
    rated_ax_ : matplotlib Axes
        Share rated, below it.
    figure_ : matplotlib Figure

    See Also
    --------
    watch : The same as numbers.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")  # no window
    >>> import numpy as np
    >>> from skcausalrm.inspection import DriftDisplay
    >>> rng = np.random.default_rng(0)
    >>> times = np.datetime64("2026-01-05") + 7 * np.repeat(np.arange(20), 100)
    >>> y = np.where(rng.random(2000) < 0.3, 1.0, np.nan)
    >>> display = DriftDisplay.from_predictions(rng.random(2000), rng.random(2000), y, times)
    >>> len(display.watched["periods"])
    20
    """

    def __init__(self, watched):
        self.watched = watched

    @classmethod
    def from_predictions(cls, z, prediction, y, times, *, ax=None, **settings) -> "DriftDisplay":
        """Plot a log over time.

        Parameters
        ----------
        z : array-like of shape (n,) or (n, m)
            Pseudo-outcomes, or m equally likely draws of them, as `pseudo_outcomes` makes.
        prediction : array-like of shape (n,)
            Rewards by a model that was fitted on other rows.
        y : array-like of shape (n,)
            Feedback, 0 or 1, NaN where there is none.
        times : array-like of shape (n,)
            Dates, missing where unknown: such rows are left out.
        ax : matplotlib Axes or None, default=None
            Where to draw: it is hidden, and holds two axes. None makes a figure.
        **settings : dict
            Further parameters of `watch`, such as ``period`` and ``groups``.

        Returns
        -------
        DriftDisplay
            The display, plotted.

        Raises
        ------
        InvalidInputError, GroupsError
            As in `watch`, or if no period has 30 rows.
        MissingExtraError
            If matplotlib is not installed.
        """
        return cls.from_watched(watch(z, prediction, y, times, **settings), ax=ax)

    @classmethod
    def from_watched(cls, watched: Mapping[str, Any], *, ax=None) -> "DriftDisplay":
        """Plot what `watch` has found.

        Parameters
        ----------
        watched : dict
            Result of `watch`, or "monitoring" in the JSON of ``skcausalrm evaluate``.
        ax : matplotlib Axes or None, default=None
            Where to draw: it is hidden, and holds two axes. None makes a figure.

        Returns
        -------
        DriftDisplay
            The display, plotted.

        Raises
        ------
        InvalidInputError
            If no period has enough rows.
        MissingExtraError
            If matplotlib is not installed.
        """
        if not watched["periods"]:
            raise InvalidInputError(
                f"No period has enough rows, {watched['rows_left_out']} wait for more: choose "
                f"longer periods."
            )
        return cls(watched).plot(ax)

    def plot(self, ax: Any = None) -> "DriftDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw: it is hidden, and holds two axes. None makes a figure.

        Returns
        -------
        DriftDisplay
            Itself.
        """
        upper, lower = panels(axes_for(ax), (0.6, 0.4))
        names = [period["name"] for period in self.watched["periods"]]
        self._draw(upper, "reward", "mean reward", BLUE, "o-")
        self._draw(upper, "level", "level: share of good answers", ORANGE, "s--")
        self._draw(lower, "share_rated", "share rated", GREEN, "o-")
        for name, panel in (("reward", upper), ("level", upper), ("share_rated", lower)):
            change = self.watched["changes"][name]
            if change is not None and change["alarm"]:
                points = f"{100 * change['change']:+.1f} points"
                label = f"{name.replace('_', ' ')} moved by {points}"
                panel.axvline(
                    names.index(change["since"]) - 0.5, color=GREY, linestyle="--", label=label
                )
        step = -(-len(names) // _NAMED)
        upper.set(title="Drift", ylabel="90% intervals")
        lower.set(xticks=range(0, len(names), step), xlabel="periods, by their first day (UTC)")
        lower.set_xticklabels(names[::step], rotation=30, ha="right")
        for panel in (upper, lower):
            low, high = panel.get_ylim()
            panel.set_ylim(low, high + 0.45 * (high - low))  # room for the legend
            show_percent(panel.yaxis)
            add_legend(panel, loc="upper left")
        self.ax_, self.rated_ax_, self.figure_ = upper, lower, upper.figure
        return self

    def _draw(self, panel: Any, name: str, label: str, color: str, style: str) -> None:
        """Draw a quantity with its intervals; periods in which it is unknown are left out."""
        found = [period[name] for period in self.watched["periods"]]
        known = [place for place, interval in enumerate(found) if interval is not None]
        if not known:
            return
        ends = ("value", "low", "high")
        value, low, high = np.array([[found[place][end] for end in ends] for place in known]).T
        panel.plot(known, value, style, color=color, label=label, markersize=4)
        panel.vlines(known, low, high, color=color, linewidth=1)
