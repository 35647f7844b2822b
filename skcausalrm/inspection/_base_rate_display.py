"""Picture of what a selection model knows of the share of good answers."""

from typing import Any

import numpy as np
from scipy.integrate import trapezoid
from scipy.interpolate import PchipInterpolator
from scipy.special import expit

from .._utils._clusters import cluster_codes
from .._utils._validation import check_verified
from ..selection._mixture import Mixture
from ._display import BLUE, GREY, ORANGE, add_legend, axes_for, selection_model_of, show_percent
from ._rate import Rate, rate_of

_GRID = 501
# Least width of a node on the logit, where the base rate is known for sure.
_LEAST_WIDTH = 1e-2
_NAMES = {
    "asked": "asked rows",
    "verified": "verified rows",
    "base_rate": "a given base rate",
    "judge_score": "a judge's score",
}


class BaseRateDisplay:
    """Posterior of the base rate, and what it is told by.

    A base rate is the share of good answers over all rows of a log, rated or not. Make the display
    by `from_estimator`.

    Parameters
    ----------
    rate, density : ndarray of shape (n_points,)
        Base rates, and their posterior density.
    base_rate : float
        Posterior mean.
    interval : (float, float)
        5% and 95% quantiles.
    level_source : dict of str to str
        `level_source_` of the model: "used", or why not, for all that could tell the base rate.
    verified_rate : Rate or None, default=None
        Share of good answers among the verified rows alone.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    skcausalrm.inspection.SensitivityDisplay : How far the base rate depends on selection.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")  # no window
    >>> from skcausalrm import SelectionModel
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.inspection import BaseRateDisplay
    >>> log = make_observational_feedback(2000, 8, selection="reward", n_verified=60,
    ...                                   random_state=0)
    >>> model = SelectionModel(random_state=0).fit(log.X, log.y, verified=log.verified)
    >>> display = BaseRateDisplay.from_estimator(model, verified=log.verified)
    >>> display.ax_.get_xlabel()
    'share of good answers'
    >>> display.verified_rate.n
    60
    """

    def __init__(self, *, rate, density, base_rate, interval, level_source, verified_rate=None):
        self.rate, self.density = rate, density
        self.base_rate, self.interval = base_rate, interval
        self.level_source, self.verified_rate = level_source, verified_rate

    @classmethod
    def from_estimator(
        cls, estimator, *, verified=None, groups=None, users=None, ax=None
    ) -> "BaseRateDisplay":
        """Plot the posterior of a fitted model.

        Parameters
        ----------
        estimator : SelectionModel, CausalRewardRegressor or CausalRewardClassifier
            Fitted; a reward by the method "selection".
        verified : array-like of shape (n,), default=None
            1 or 0 where a careful person has judged the answer, NaN elsewhere. Their own share
            speaks of the log where they were drawn at random.
        groups, users : array-like of shape (n,), default=None
            Conversations and users of the verified rows, which are then not independent.
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        BaseRateDisplay
            The display, plotted.

        Raises
        ------
        InvalidInputError
            If there is no selection model.
        MissingExtraError
            If matplotlib is not installed.
        """
        model = selection_model_of(estimator, cls.__name__)
        rate, density = _density(model.row_posterior_.mixture)
        label = None if verified is None else check_verified(verified, len(verified))
        own: Rate | None = None
        if label is not None:
            clusters = cluster_codes(groups, users, len(label))
            own = rate_of(label == 1, ~np.isnan(label), clusters)
        display = cls(
            rate=rate,
            density=density,
            base_rate=model.base_rate_,
            interval=model.base_rate_interval_,
            level_source=dict(model.level_source_),
            verified_rate=own,
        )
        return display.plot(ax)

    def plot(self, ax: Any = None) -> "BaseRateDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        BaseRateDisplay
            Itself.
        """
        ax = axes_for(ax)
        low, high = self.interval
        used = [_NAMES.get(name, name) for name, how in self.level_source.items() if how == "used"]
        told = f"told by {', '.join(used)}" if used else "told by the likelihood's form alone"
        inside = (self.rate >= low) & (self.rate <= high)
        ax.plot(self.rate, self.density, color=BLUE, label=f"posterior, {told}")
        ax.fill_between(
            self.rate[inside],
            self.density[inside],
            color=BLUE,
            alpha=0.4,
            linewidth=0,
            label=f"90% interval: {low:.0%} to {high:.0%}",
        )
        ax.vlines(
            self.base_rate,
            0,
            np.interp(self.base_rate, self.rate, self.density),
            color=GREY,
            linestyle="--",
            label=f"posterior mean: {self.base_rate:.0%}",
        )
        if self.verified_rate is not None:
            own = self.verified_rate
            ax.errorbar(
                own.value,
                0.08 * self.density.max(),
                xerr=[[max(own.value - own.low, 0)], [max(own.high - own.value, 0)]],
                fmt="D",
                color=ORANGE,
                capsize=4,
                label=f"{own.n:,} verified rows alone: {own.value:.0%}",
            )
        ax.set(
            xlim=(0, 1),
            xlabel="share of good answers",
            ylabel="posterior density",
            title="Base rate",
        )
        # Room for the legend above the curve.
        ax.set_ylim(0, 1.5 * self.density.max())
        show_percent(ax.xaxis)
        add_legend(ax, loc="upper left")
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _density(mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Return base rates and their density: a curve through the nodes of each link, added up."""
    levels, widths = mixture.levels, np.maximum(mixture.widths, _LEAST_WIDTH)
    grid = np.linspace((levels - 2 * widths).min(), (levels + 2 * widths).max(), _GRID)
    on_logit = np.zeros(_GRID)
    for link in np.unique(mixture.links):
        x, first = np.unique(levels[mixture.links == link], return_index=True)
        of_link = np.flatnonzero(mixture.links == link)[first]
        width = widths[of_link]
        # Nothing beyond the outermost nodes.
        ends = [x[0] - 2 * width[0]], [x[-1] + 2 * width[-1]]
        height = np.r_[0, mixture.weights[of_link] / width, 0]
        curve = PchipInterpolator(np.r_[ends[0], x, ends[1]], height, extrapolate=False)
        on_logit += np.nan_to_num(curve(grid))
    rate = expit(grid)
    density = on_logit / (rate * (1 - rate))
    return rate, density / trapezoid(density, rate)
