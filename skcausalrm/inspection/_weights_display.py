"""Picture of the weights: how many rows carry the answer?"""

from typing import Any

import numpy as np

from ..nuisances._recipes import effective_sample_size
from ._display import BLUE, GREY, ORANGE, add_legend, axes_for, lorenz_curve, show_percent
from ._propensities import check_propensities, predict_propensities

# Share of the rated rows that the legend speaks of.
_HEAVIEST = 0.01


class WeightsDisplay:
    """Share of the total weight that the heaviest rated rows have.

    Inverse weighting lets a rated row stand for the unrated rows like it. Where few rows have most
    of the weight, a flip in one of them moves the answer. Make the display by `from_estimator` or
    `from_predictions`.

    Parameters
    ----------
    weight : ndarray of shape (n_rated,)
        Weights of the rated rows, the heaviest first.
    rows : ndarray of int, shape (n_rated,)
        Their places in the log: read the heaviest.
    effective_sample_size : float
        Number of equally weighted rows of the same precision.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")  # no window
    >>> from skcausalrm.inspection import WeightsDisplay
    >>> display = WeightsDisplay.from_predictions([0.5, 0.5, 0.1, 0.2], [1, 0, 1, float("nan")])
    >>> display.rows.tolist()  # the heaviest first; the last row is not rated
    [2, 0, 1]
    >>> round(display.share_of_weight(1 / 3), 2)  # of the heaviest third
    0.71
    """

    def __init__(self, *, weight, rows, effective_sample_size):
        self.weight, self.rows = weight, rows
        self.effective_sample_size = effective_sample_size

    def share_of_weight(self, rows: float) -> float:
        """Return the share of the total weight that the heaviest rated rows have.

        Parameters
        ----------
        rows : float
            Share of the rated rows, in [0, 1].

        Returns
        -------
        float
            Share of the weight; between two rows it is interpolated.
        """
        return float(np.interp(rows, *lorenz_curve(self.weight)))

    @classmethod
    def from_estimator(
        cls, estimator, X, y, *, asked=None, propensity=None, sample_weight=None, ax=None
    ) -> "WeightsDisplay":
        """Plot the inverse weights by a fitted model.

        Parameters
        ----------
        estimator : PropensityEstimator, CausalRewardRegressor or CausalRewardClassifier
            Fitted; a reward by "dr", "ips" or "snips". Of a Pipeline the last step is used, and X
            is as that step sees it.
        X : array-like of shape (n, d)
            Embeddings.
        y : array-like of shape (n,)
            Feedback, NaN where there is none.
        asked : array-like of bool, shape (n,), default=None
            Rows whose feedback was asked for at random, as in the reward's `fit`.
        propensity : array-like of shape (n,), default=None
            Known propensities, needed where the reward was fitted with such.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows, which multiply the inverse weights.
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        WeightsDisplay
            The display, plotted.

        Raises
        ------
        InvalidInputError
            If the model has no propensities.
        FeedbackError
            If no row is rated.
        MissingExtraError
            If matplotlib is not installed.
        """
        e = predict_propensities(
            estimator, X, y, asked=asked, propensity=propensity, display=cls.__name__
        )
        return cls.from_predictions(e, y, sample_weight=sample_weight, ax=ax)

    @classmethod
    def from_predictions(cls, propensity, y, *, sample_weight=None, ax=None) -> "WeightsDisplay":
        """Plot the weights 1/propensity of the rated rows.

        Parameters
        ----------
        propensity : array-like of shape (n,)
            P(rated) of each row, such as `oof_propensity_` of a `PropensityEstimator`.
        y : array-like of shape (n,)
            Feedback, NaN where there is none.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows, which multiply the inverse weights.
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        WeightsDisplay
            The display, plotted.

        Raises
        ------
        FeedbackError
            If no row is rated.
        InvalidInputError
            If a propensity lies outside (0, 1].
        MissingExtraError
            If matplotlib is not installed.
        """
        found = check_propensities(propensity, y, sample_weight)
        order = np.argsort(-found.weight, kind="stable")
        return cls(
            weight=found.weight[order],
            rows=np.flatnonzero(found.rated)[order],
            effective_sample_size=effective_sample_size(found.weight),
        ).plot(ax)

    def plot(self, ax: Any = None) -> "WeightsDisplay":
        """Draw the share of the weight by the share of the rows, the heaviest first.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        WeightsDisplay
            Itself.
        """
        ax = axes_for(ax)
        n, heaviest = len(self.weight), self.share_of_weight(_HEAVIEST)
        ess = f"{n:,} rated rows, by weights in effect {self.effective_sample_size:,.0f}"
        ax.plot(*lorenz_curve(self.weight), color=BLUE, label=ess)
        ax.plot(
            [_HEAVIEST],
            [heaviest],
            "o",
            color=ORANGE,
            label=f"heaviest {_HEAVIEST:.0%}: {heaviest:.0%} of the weight",
        )
        ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="equal weights")
        ax.set(
            xlim=(0, 1),
            ylim=(0, 1),
            xlabel="share of the rated rows, heaviest first",
            ylabel="share of the weight",
            title="Weights",
        )
        show_percent(ax.xaxis)
        show_percent(ax.yaxis)
        add_legend(ax, loc="lower right")
        self.ax_, self.figure_ = ax, ax.figure
        return self
