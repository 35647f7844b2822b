"""Picture of a sensitivity analysis: how far the answer moves with what the log leaves open."""

from typing import Any

import numpy as np

from ..exceptions import InvalidInputError
from ..selection._sensitivity import sensitivity_analysis
from ._display import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    add_legend,
    axes_for,
    check_matplotlib,
    panels,
    show_percent,
)
from ._tipping_point import tipping_point

_COLUMNS = (
    *("selection_log_odds", "base_rate", "base_rate_low", "base_rate_high"),
    *("mean_reward", "log_evidence"),
)
# Nats below the best that the picture shows at least: fewer hardly tell values apart.
_LEAST_SPAN = 2.0


class SensitivityDisplay:
    """Base rate and mean reward by the strength of selection on the preference.

    Below them is how well the log agrees with each strength. Make the display by `from_estimator`,
    or by `from_table` from a table that you have.

    Parameters
    ----------
    table : DataFrame
        Result of `sensitivity_analysis`, in the order of ``selection_log_odds``.
    threshold : float or None, default=None
        Mean reward that decides; where the decision turns is marked. Without it, other rows that
        the table compares with decide.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Base rate and mean reward.
    evidence_ax_ : matplotlib Axes
        The log evidence, below them.
    figure_ : matplotlib Figure

    See Also
    --------
    skcausalrm.inspection.sensitivity_analysis : The table.
    skcausalrm.inspection.tipping_point : Where the decision turns, as numbers.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")  # no window
    >>> from skcausalrm import SelectionModel
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.inspection import SensitivityDisplay
    >>> log = make_observational_feedback(1000, 4, selection="reward", n_verified=100,
    ...                                   random_state=0)
    >>> model = SelectionModel(random_state=0).fit(log.X, log.y, verified=log.verified)
    >>> display = SensitivityDisplay.from_estimator(
    ...     model, log.X, log.y, selection_log_odds=[0, 2]
    ... )
    >>> display.table["base_rate"].is_monotonic_decreasing
    True
    """

    def __init__(self, table, *, threshold=None):
        self.table, self.threshold = table, threshold

    @classmethod
    def from_estimator(
        cls, estimator, X, y, *, selection_log_odds, threshold=None, ax=None, **columns
    ) -> "SensitivityDisplay":
        """Refit with selection on the preference fixed at each value, and plot the results.

        Parameters
        ----------
        estimator : estimator
            A fitted reward, as in `sensitivity_analysis`.
        X : array-like of shape (n, d)
            The log that it was fitted on.
        y : array-like of shape (n,)
            Feedback, NaN where there is none.
        selection_log_odds : array-like of shape (k,)
            Log odds within -10 and 10; 0 is selection on x alone.
        threshold : float or None, default=None
            Mean reward that decides.
        ax : matplotlib Axes or None, default=None
            Where to draw: it is hidden, and holds two axes. None makes a figure.
        **columns : array-like
            ``rows``, ``versus`` and the per-row columns of `sensitivity_analysis`.

        Returns
        -------
        SensitivityDisplay
            The display, plotted.

        Raises
        ------
        InvalidInputError, TypeError
            As in `sensitivity_analysis`.
        MissingExtraError
            If matplotlib is not installed.
        """
        check_matplotlib()  # before the refits
        table = sensitivity_analysis(
            estimator, X, y, selection_log_odds=selection_log_odds, **columns
        )
        return cls.from_table(table, threshold=threshold, ax=ax)

    @classmethod
    def from_table(cls, table, *, threshold=None, ax=None) -> "SensitivityDisplay":
        """Plot the results of an analysis.

        Parameters
        ----------
        table : DataFrame
            Result of `sensitivity_analysis`.
        threshold : float or None, default=None
            Mean reward that decides.
        ax : matplotlib Axes or None, default=None
            Where to draw: it is hidden, and holds two axes. None makes a figure.

        Returns
        -------
        SensitivityDisplay
            The display, plotted.

        Raises
        ------
        InvalidInputError
            If the table has no row, or lacks a column.
        MissingExtraError
            If matplotlib is not installed.
        """
        missing = [name for name in _COLUMNS if name not in getattr(table, "columns", ())]
        if missing or not len(table):
            lack = f"lacks {', '.join(missing)}" if missing else "has no row"
            raise InvalidInputError(f"The table {lack}: pass what sensitivity_analysis returns.")
        table = table.sort_values("selection_log_odds", ignore_index=True)
        return cls(table, threshold=threshold).plot(ax)

    def plot(self, ax: Any = None) -> "SensitivityDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw: it is hidden, and holds two axes. None makes a figure.

        Returns
        -------
        SensitivityDisplay
            Itself.
        """
        upper, lower = panels(axes_for(ax), (0.7, 0.3))
        x, rate = self.table["selection_log_odds"], self.table["base_rate"]
        low, high = self.table["base_rate_low"], self.table["base_rate_high"]
        upper.errorbar(
            x,
            rate,
            yerr=[(rate - low).clip(lower=0), (high - rate).clip(lower=0)],
            fmt="o-",
            color=BLUE,
            capsize=4,
            label="base rate of the log, 90% interval",
        )
        upper.plot(
            x, self.table["mean_reward"], "s--", color=ORANGE, label="mean reward of the rows"
        )
        if self.threshold is not None:
            upper.axhline(self.threshold, color=GREY, linestyle="--", label="threshold")
        elif "versus_mean_reward" in self.table:
            versus = self.table["versus_mean_reward"]
            upper.plot(x, versus, "^:", color=GREEN, label="mean reward of the other rows")
        if self.threshold is not None or "versus_mean_reward" in self.table:
            turn = tipping_point(self.table, threshold=self.threshold)
            if turn.evidence_lost < np.inf:
                label = f"the decision turns at {turn.selection_log_odds:.2f}"
                upper.axvline(turn.selection_log_odds, color=GREY, label=label)
                lower.axvline(turn.selection_log_odds, color=GREY)
        upper.set(ylim=(0, 1), ylabel="share of good answers", title="Sensitivity to selection")
        show_percent(upper.yaxis)
        add_legend(upper)
        evidence = self.table["log_evidence"]
        least = min(evidence.min(), -_LEAST_SPAN)
        lower.plot(x, evidence, "o-", color=GREEN)
        lower.set(
            ylim=(1.1 * least, -0.1 * least),
            xlabel="log odds by which a liked answer is rated rather than a disliked one",
            ylabel="log evidence\n(nats)",
        )
        self.ax_, self.evidence_ax_, self.figure_ = upper, lower, upper.figure
        return self
