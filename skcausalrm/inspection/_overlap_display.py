"""Picture of overlap: is there feedback on every kind of answer?"""

from typing import Any

import numpy as np

from ..nuisances._recipes import effective_sample_size
from ._display import BLUE, GREY, ORANGE, add_legend, axes_for, show_percent
from ._propensities import check_propensities, predict_propensities

_N_BINS = 30


class OverlapDisplay:
    """Propensities of rated and of unrated rows.

    Where unrated rows have propensities that no rated row has, nothing in the feedback speaks of
    them. Make the display by `from_estimator` or `from_predictions`.

    Parameters
    ----------
    propensity : ndarray of shape (n,)
        P(rated) of each row.
    rated : ndarray of bool, shape (n,)
        Rows with feedback.
    bound : float
        Propensity from which down a row counts as hardly ever rated.
    share_below : float
        Share of all rows with a propensity of at most `bound`.
    effective_sample_size : float
        Effective number of rated rows under the weights 1/propensity.
    sample_weight : ndarray of shape (n,) or None, default=None
        Weights of the rows.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")  # no window
    >>> from skcausalrm import PropensityEstimator
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.inspection import OverlapDisplay
    >>> log = make_observational_feedback(2000, 8, random_state=0)
    >>> model = PropensityEstimator(random_state=0).fit(log.X, log.y == log.y)
    >>> display = OverlapDisplay.from_predictions(model.oof_propensity_, log.y)
    >>> 0 <= display.share_below <= 1
    True
    >>> bool(display.effective_sample_size < display.rated.sum())
    True
    """

    def __init__(
        self, *, propensity, rated, bound, share_below, effective_sample_size, sample_weight=None
    ):
        self.propensity, self.rated, self.bound = propensity, rated, bound
        self.share_below, self.effective_sample_size = share_below, effective_sample_size
        self.sample_weight = sample_weight

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        asked=None,
        propensity=None,
        sample_weight=None,
        bound=0.05,
        ax=None,
    ) -> "OverlapDisplay":
        """Plot the propensities by a fitted model.

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
            Weights of the rows.
        bound : float, default=0.05
            Propensity from which down a row counts as hardly ever rated.
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        OverlapDisplay
            The display, plotted.

        Raises
        ------
        InvalidInputError
            If the model has no propensities.
        MissingExtraError
            If matplotlib is not installed.

        Notes
        -----
        Of rows that the model was fitted on, out-of-fold propensities say more: see
        `from_predictions`.
        """
        e = predict_propensities(
            estimator, X, y, asked=asked, propensity=propensity, display=cls.__name__
        )
        return cls.from_predictions(e, y, sample_weight=sample_weight, bound=bound, ax=ax)

    @classmethod
    def from_predictions(
        cls, propensity, y, *, sample_weight=None, bound=0.05, ax=None
    ) -> "OverlapDisplay":
        """Plot given propensities.

        Parameters
        ----------
        propensity : array-like of shape (n,)
            P(rated) of each row, such as `oof_propensity_` of a `PropensityEstimator`.
        y : array-like of shape (n,)
            Feedback, NaN where there is none.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.
        bound : float, default=0.05
            Propensity from which down a row counts as hardly ever rated.
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        OverlapDisplay
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
        return cls(
            propensity=found.values,
            rated=found.rated,
            bound=bound,
            share_below=float(np.average(found.values <= bound, weights=found.row_weight)),
            effective_sample_size=effective_sample_size(found.weight),
            sample_weight=found.sample_weight,
        ).plot(ax)

    def plot(self, ax: Any = None) -> "OverlapDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        OverlapDisplay
            Itself.
        """
        ax = axes_for(ax)
        e, rated = self.propensity, self.rated
        weight = np.ones(len(e)) if self.sample_weight is None else self.sample_weight
        edges = np.linspace(0, e.max(), _N_BINS + 1)
        n, ess = rated.sum(), self.effective_sample_size
        label = f"{n:,} rated rows, by weights in effect {ess:,.0f}"
        kinds = [(rated, label, {"color": BLUE, "alpha": 0.7})]
        outline = {"histtype": "step", "edgecolor": ORANGE, "linewidth": 2}
        kinds += [(~rated, f"{(~rated).sum():,} unrated rows", outline)]
        for rows, name, style in kinds:
            if rows.any():
                shares = weight[rows] / max(weight[rows].sum(), 1e-300)
                ax.hist(e[rows], edges, weights=shares, label=name, **style)
        ax.axvline(
            self.bound,
            color=GREY,
            linestyle="--",
            label=f"{self.share_below:.1%} of all rows at {self.bound:g} or below",
        )
        ax.set(
            xlim=(0, None),
            xlabel="propensity, P(rated given x)",
            ylabel="share of the rated, of the unrated",
            title="Overlap",
        )
        show_percent(ax.yaxis)
        add_legend(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self
