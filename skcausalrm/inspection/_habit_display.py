"""Picture of who rates: most ratings come from a few users."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import column_or_1d

from .._utils._clusters import id_array, user_codes
from .._utils._validation import is_missing
from ..exceptions import FeedbackError, GroupsError
from ._display import BLUE, GREY, ORANGE, add_legend, axes_for, lorenz_curve, show_percent

# Share of the users that the legend speaks of.
_KEENEST = 0.1


class HabitDisplay:
    """How readily users rate, and how many of the ratings the keenest leave.

    A log in which a few users leave most ratings speaks of these users. That users differ in how
    readily they rate also tells the base rate (`users` of `SelectionModel`). Make the display by
    `from_feedback`.

    Parameters
    ----------
    n_rows, n_rated : ndarray of int, shape (n_users,)
        Rows and rated rows of each user, those with most rated rows first.
    n_unknown : int, default=0
        Rows without a user, which are left out.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")  # no window
    >>> import numpy as np
    >>> from skcausalrm.inspection import HabitDisplay
    >>> users = np.repeat(["ann", "bob", "cy", "dee"], 10)
    >>> y = np.where(users == "ann", 1.0, np.nan)
    >>> y[10] = 0.0
    >>> display = HabitDisplay.from_feedback(y, users)
    >>> display.share_rated
    array([1. , 0.1, 0. , 0. ])
    >>> round(display.share_of_ratings(0.25), 2)  # by the keenest quarter
    0.91
    """

    def __init__(self, *, n_rows, n_rated, n_unknown=0):
        self.n_rows, self.n_rated, self.n_unknown = n_rows, n_rated, n_unknown

    @property
    def share_rated(self) -> np.ndarray:
        """Share of each user's rows that he rated, shape (n_users,)."""
        return self.n_rated / self.n_rows

    def share_of_ratings(self, users: float) -> float:
        """Return the share of all ratings that the keenest users left.

        Parameters
        ----------
        users : float
            Share of the users, in [0, 1].

        Returns
        -------
        float
            Share of the ratings; between two users it is interpolated.
        """
        return float(np.interp(users, *lorenz_curve(self.n_rated)))

    @classmethod
    def from_feedback(cls, y, users, *, ax=None) -> "HabitDisplay":
        """Plot who rates in a log.

        Parameters
        ----------
        y : array-like of shape (n,)
            Feedback, NaN where there is none.
        users : array-like of shape (n,)
            User ids, missing where unknown: such rows are left out, and counted in the legend.
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        HabitDisplay
            The display, plotted.

        Raises
        ------
        GroupsError
            If users are not one id per row, or all unknown.
        FeedbackError
            If no user left feedback.
        MissingExtraError
            If matplotlib is not installed.
        """
        rated = ~is_missing(column_or_1d(y))
        codes = user_codes(users, len(rated))
        known = ~np.asarray(pd.isna(id_array(users)), dtype=bool)
        if not known.any():
            raise GroupsError(
                f"users is missing in all {len(rated)} rows: pass the ids of those who could rate."
            )
        if not rated[known].any():
            raise FeedbackError(
                f"None of the {known.sum()} rows with a user has feedback: pass the feedback as y, "
                f"NaN where there is none."
            )
        codes = np.unique(codes[known], return_inverse=True)[1]
        n_rows, n_rated = np.bincount(codes), np.bincount(codes, rated[known]).astype(int)
        order = np.lexsort((n_rows, -n_rated))
        found = cls(
            n_rows=n_rows[order], n_rated=n_rated[order], n_unknown=int(np.count_nonzero(~known))
        )
        return found.plot(ax)

    def plot(self, ax: Any = None) -> "HabitDisplay":
        """Draw the Lorenz curve of ratings, and the shares rated by user in falling order.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        HabitDisplay
            Itself.
        """
        ax = axes_for(ax)
        n, share = len(self.n_rows), np.sort(self.share_rated)[::-1]
        by_keenest = self.share_of_ratings(_KEENEST)
        ax.plot(
            *lorenz_curve(self.n_rated),
            color=BLUE,
            label=f"ratings: the keenest {_KEENEST:.0%} of users leave {by_keenest:.0%}",
        )
        ax.stairs(
            share,
            np.linspace(0, 1, n + 1),
            baseline=None,
            linewidth=1.5,
            color=ORANGE,
            label=f"rated rows of a user: median {np.median(share):.0%}",
        )
        ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="all rate alike")
        unknown = f"; {self.n_unknown:,} rows without one" if self.n_unknown else ""
        ax.set(
            xlim=(0, 1),
            ylim=(0, 1.4),
            yticks=np.linspace(0, 1, 6),
            xlabel=f"share of the {n:,} users, keenest first{unknown}",
            ylabel="share of all ratings, of a user's rows",
            title="Who rates",
        )
        show_percent(ax.xaxis)
        show_percent(ax.yaxis)
        add_legend(ax, loc="upper left")
        self.ax_, self.figure_ = ax, ax.figure
        return self
