"""Picture of balance: do the weights make the rated rows like all rows?"""

from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.utils import check_consistent_length, resample

from .._utils._validation import check_embeddings
from ..exceptions import InvalidInputError
from ..heads._moments import linear_scores
from ..metrics._estimate import NORMAL_95
from ..nuisances._recipes import effective_sample_size
from ._display import BLUE, GREY, ORANGE, add_legend, axes_for, check_positive_count
from ._propensities import check_propensities, predict_propensities

# Rows on which the components are found: directions need no more, and PCA copies its rows.
_MAX_ROWS = 10_000
# Difference, in standard deviations, from which on balance is commonly called poor (Austin, 2009).
_POOR = 0.1


class BalanceDisplay:
    """Love plot: how far the rated rows lie from all rows, before and after weighting.

    The mean of the rated rows less that of all rows, along each leading principal component of X,
    in standard deviations of all rows. Weights that are right bring every difference to 0 within
    chance. Make the display by `from_estimator` or `from_predictions`.

    Parameters
    ----------
    before, after : ndarray of shape (n_components,)
        Standardised differences, each rated row counted once, and weighted by 1/propensity.
    variance_ratio : ndarray of shape (n_components,)
        Share of the variance of X along each component, in falling order.
    effective_sample_size : float
        Effective number of rated rows under the weights.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    References
    ----------
    P. C. Austin. Balance diagnostics for comparing the distribution of baseline covariates between
    treatment groups in propensity-score matched samples. Statistics in Medicine, 28(25), 2009.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")  # no window
    >>> import numpy as np
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.inspection import BalanceDisplay
    >>> log = make_observational_feedback(4000, 3, observed_rate=0.3, random_state=0)
    >>> display = BalanceDisplay.from_predictions(log.propensity, log.X, log.y)
    >>> bool(np.abs(display.before).max() > 0.2 > np.abs(display.after).max())
    True
    """

    def __init__(self, *, before, after, variance_ratio, effective_sample_size):
        self.before, self.after, self.variance_ratio = before, after, variance_ratio
        self.effective_sample_size = effective_sample_size

    @property
    def chance(self) -> float:
        """Difference that 90% of right weights stay under in each component."""
        return NORMAL_95 / np.sqrt(self.effective_sample_size)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        n_components=10,
        asked=None,
        propensity=None,
        sample_weight=None,
        ax=None,
    ) -> "BalanceDisplay":
        """Plot the balance under the weights of a fitted model.

        Parameters
        ----------
        estimator : PropensityEstimator, CausalRewardRegressor or CausalRewardClassifier
            Fitted; a reward by "dr", "ips" or "snips". Of a Pipeline the last step is used, and X
            is as that step sees it.
        X : array-like of shape (n, d)
            Embeddings.
        y : array-like of shape (n,)
            Feedback, NaN where there is none.
        n_components : int, default=10
            Number of components, fewer where X has fewer columns or rows.
        asked : array-like of bool, shape (n,), default=None
            Rows whose feedback was asked for at random, as in the reward's `fit`.
        propensity : array-like of shape (n,), default=None
            Known propensities, needed where the reward was fitted with such.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        BalanceDisplay
            The display, plotted.

        Raises
        ------
        InvalidInputError
            If the model has no propensities, or X does not vary.
        FeedbackError
            If no row is rated.
        MissingExtraError
            If matplotlib is not installed.
        """
        e = predict_propensities(
            estimator, X, y, asked=asked, propensity=propensity, display=cls.__name__
        )
        return cls.from_predictions(
            e, X, y, n_components=n_components, sample_weight=sample_weight, ax=ax
        )

    @classmethod
    def from_predictions(
        cls, propensity, X, y, *, n_components=10, sample_weight=None, ax=None
    ) -> "BalanceDisplay":
        """Plot the balance under the weights 1/propensity.

        Parameters
        ----------
        propensity : array-like of shape (n,)
            P(rated) of each row, such as `oof_propensity_` of a `PropensityEstimator`.
        X : array-like of shape (n, d)
            Embeddings.
        y : array-like of shape (n,)
            Feedback, NaN where there is none.
        n_components : int, default=10
            Number of components, fewer where X has fewer columns or rows.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        BalanceDisplay
            The display, plotted.

        Raises
        ------
        InvalidInputError
            If `n_components` is no positive number, a propensity lies outside (0, 1], or X does
            not vary.
        FeedbackError
            If no row is rated.
        MissingExtraError
            If matplotlib is not installed.
        """
        check_positive_count(n_components, "n_components")
        X = check_embeddings(X)
        found = check_propensities(propensity, y, sample_weight)
        check_consistent_length(X, found.values)
        some = (
            X
            if len(X) <= _MAX_ROWS
            else resample(X, replace=False, n_samples=_MAX_ROWS, random_state=0)
        )
        if not (some != some[0]).any():
            raise InvalidInputError(
                f"All {len(some)} rows of X are equal, so there is nothing to balance: pass the "
                f"embeddings of the answers."
            )
        pca = PCA(min(n_components, *some.shape), random_state=0).fit(some)
        varying = pca.explained_variance_ > 1e-12 * pca.explained_variance_[0]
        scores = linear_scores(X, pca.components_[varying].T)
        mean = np.average(scores, axis=0, weights=found.row_weight)
        sd = np.sqrt(np.average((scores - mean) ** 2, axis=0, weights=found.row_weight))
        before, after = (
            (np.average(scores[found.rated], axis=0, weights=weight) - mean) / sd
            for weight in (found.row_weight[found.rated], found.weight)
        )
        return cls(
            before=before,
            after=after,
            variance_ratio=pca.explained_variance_ratio_[varying],
            effective_sample_size=effective_sample_size(found.weight),
        ).plot(ax)

    def plot(self, ax: Any = None) -> "BalanceDisplay":
        """Draw the differences before and after weighting, a line per component.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        BalanceDisplay
            Itself.
        """
        ax = axes_for(ax)
        places = np.arange(len(self.before))
        ax.axvspan(
            -self.chance,
            self.chance,
            color=GREY,
            alpha=0.25,
            linewidth=0,
            label=f"chance alone, 90% (in effect {self.effective_sample_size:,.0f} rows)",
        )
        for side in (-_POOR, _POOR):
            ax.axvline(side, color=GREY, linestyle="--")
        ax.hlines(places, self.before, self.after, color=GREY, linewidth=1)
        hollow = {"markerfacecolor": ax.get_facecolor(), "label": "rated rows less all rows"}
        ax.plot(self.before, places, "o", color=ORANGE, **hollow)
        ax.plot(self.after, places, "s", color=BLUE, label="weighted by 1/propensity")
        largest = max(np.abs(self.before).max(), np.abs(self.after).max(), 2 * _POOR)
        ax.set(
            xlim=(-1.1 * largest, 1.1 * largest),
            # the first component on top, below the legend
            ylim=(len(places) - 0.5, -0.5 - max(1, 0.3 * len(places))),
            yticks=places,
            yticklabels=[f"{i + 1} ({share:.0%})" for i, share in enumerate(self.variance_ratio)],
            xlabel="difference of means, in standard deviations of all rows",
            ylabel="principal component (share of variance)",
            title="Balance",
        )
        add_legend(ax, loc="upper left", ncols=1)
        self.ax_, self.figure_ = ax, ax.figure
        return self
