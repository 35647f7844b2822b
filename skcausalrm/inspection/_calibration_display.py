"""Picture of calibration: is a reward of .7 right in 7 of 10 rows, judged on a feedback log?"""

from typing import Any

import numpy as np

from ..exceptions import InvalidInputError
from ..inference._set_means import means_of_sets, shares_of
from ..metrics._sample import check_sample
from ._display import BLUE, GREY, add_legend, axes_for, check_positive_count, panels

_N_BARS = 40
# Rows of a bin below which a standard error is a guess.
_LEAST_ROWS = 20


class CalibrationDisplay:
    """Debiased reliability curve: mean pseudo-outcome against mean reward, in bins of the reward.

    scikit-learn's display of that name compares probabilities with labels, which a feedback log
    does not have: it holds flipped labels of rows that were not drawn at random. Make the display
    by `from_estimator` or `from_predictions`.

    Parameters
    ----------
    reward : ndarray of shape (n_bins,)
        Mean reward in each bin.
    outcome : ndarray of shape (n_bins,)
        Debiased share of good answers in each bin: the mean of z.
    low, high : ndarray of shape (n_bins,)
        90% interval of `outcome`, within [0, 1].
    n_rows : ndarray of int, shape (n_bins,)
        Rows in each bin.
    prediction : ndarray of shape (n,)
        Rewards of all rows.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The curve.
    rows_ax_ : matplotlib Axes
        The rewards of the rows, below it.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")  # no window
    >>> from skcausalrm import CausalRewardRegressor
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.inspection import CalibrationDisplay
    >>> from skcausalrm.metrics import pseudo_outcomes
    >>> log = make_observational_feedback(3000, 8, signal="strong", random_state=0)
    >>> model = CausalRewardRegressor("dr", random_state=0).fit(log.X[:2000], log.y[:2000])
    >>> z = pseudo_outcomes(log.X[2000:], log.y[2000:], random_state=0)
    >>> display = CalibrationDisplay.from_estimator(model, log.X[2000:], z, n_bins=5)
    >>> display.n_rows
    array([200, 200, 200, 200, 200])
    """

    def __init__(self, *, reward, outcome, low, high, n_rows, prediction):
        self.reward, self.outcome, self.low, self.high = reward, outcome, low, high
        self.n_rows, self.prediction = n_rows, prediction

    @classmethod
    def from_estimator(
        cls, estimator, X, z, *, n_bins=10, groups=None, users=None, sample_weight=None, ax=None
    ) -> "CalibrationDisplay":
        """Plot the calibration of a fitted reward.

        Parameters
        ----------
        estimator : classifier or regressor
            Fitted on other rows. A classifier's reward is P(class 1).
        X : array-like of shape (n, d)
            Rows as the estimator takes them.
        z : array-like of shape (n,) or (n, m)
            Pseudo-outcomes, or m equally likely draws of them, as `pseudo_outcomes` makes.
        n_bins : int, default=10
            Number of bins with as many rows each, fewer where they would hold under 20; equal
            rewards share one.
        groups, users : array-like of shape (n,), default=None
            Conversations and users, whose rows are not independent.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.
        ax : matplotlib Axes or None, default=None
            Where to draw: it is hidden, and holds two axes. None makes a figure.

        Returns
        -------
        CalibrationDisplay
            The display, plotted.

        Raises
        ------
        InvalidInputError
            If the estimator cannot predict, or a column does not fit the others.
        MissingExtraError
            If matplotlib is not installed.
        """
        if hasattr(estimator, "predict_proba"):
            reward = estimator.predict_proba(X)[:, 1]
        elif hasattr(estimator, "predict"):
            reward = estimator.predict(X)
        else:
            raise InvalidInputError(
                f"A {type(estimator).__name__} cannot predict: pass a fitted reward, or its "
                f"predictions to {cls.__name__}.from_predictions."
            )
        return cls.from_predictions(
            z,
            reward,
            n_bins=n_bins,
            groups=groups,
            users=users,
            sample_weight=sample_weight,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls, z, prediction, *, n_bins=10, groups=None, users=None, sample_weight=None, ax=None
    ) -> "CalibrationDisplay":
        """Plot the calibration of given rewards.

        Parameters
        ----------
        z : array-like of shape (n,) or (n, m)
            Pseudo-outcomes, or m equally likely draws of them, as `pseudo_outcomes` makes. With
            draws the intervals contain what the nuisances leave open.
        prediction : array-like of shape (n,)
            Rewards.
        n_bins : int, default=10
            Number of bins with as many rows each, fewer where they would hold under 20; equal
            rewards share one.
        groups, users : array-like of shape (n,), default=None
            Conversations and users, whose rows are not independent.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.
        ax : matplotlib Axes or None, default=None
            Where to draw: it is hidden, and holds two axes. None makes a figure.

        Returns
        -------
        CalibrationDisplay
            The display, plotted.

        Raises
        ------
        InvalidInputError
            If `n_bins` is no positive number, or a column does not fit the others.
        GroupsError
            If all rows are of one conversation or user.
        MissingExtraError
            If matplotlib is not installed.
        """
        check_positive_count(n_bins, "n_bins")
        sample = check_sample(z, prediction, groups, users, sample_weight, True)
        f = sample.prediction
        n_bins = max(1, min(int(n_bins), len(f) // _LEAST_ROWS))
        edges = np.quantile(f, np.arange(1, n_bins) / n_bins)
        codes = np.unique(np.searchsorted(edges, f), return_inverse=True)[1]
        shares = shares_of(codes, codes.max() + 1, np.broadcast_to(sample.weight, f.shape))
        means = means_of_sets(sample.z, shares, sample.groups, sample.users)
        found = [means.contrast(of_bin) for of_bin in np.eye(shares.shape[1])]
        return cls(
            reward=f @ shares,
            outcome=np.array([e.score for e in found]),
            low=np.array([e.low for e in found]),
            high=np.array([e.high for e in found]),
            n_rows=np.bincount(codes),
            prediction=f,
        ).plot(ax)

    def plot(self, ax: Any = None) -> "CalibrationDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw: it is hidden, and holds two axes. None makes a figure.

        Returns
        -------
        CalibrationDisplay
            Itself.
        """
        upper, lower = panels(axes_for(ax), (0.75, 0.25))
        least, most = self.n_rows.min(), self.n_rows.max()
        each = f"{most:,}" if least == most else f"{least:,} to {most:,}"
        upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="calibrated")
        # Pseudo-outcomes, and so their means, can leave [0, 1].
        shown = np.clip(self.outcome, 0, 1)
        beyond = np.abs(shown - self.outcome) > 1e-9
        curve = {"color": BLUE, "clip_on": False, "zorder": 3}
        upper.plot(self.reward, shown, "o-", label=f"bins of {each} rows", **curve)
        if beyond.any():
            hollow = {"markerfacecolor": upper.get_facecolor(), "label": "mean beyond 0 or 1"}
            upper.plot(self.reward[beyond], shown[beyond], "o", **curve, **hollow)
        upper.vlines(self.reward, self.low, self.high, color=BLUE, label="90% interval")
        upper.set(
            xlim=(min(0, self.prediction.min()), max(1, self.prediction.max())),
            ylim=(0, 1),
            ylabel="share of good answers",
            title="Calibration",
        )
        add_legend(upper, loc="upper left")
        lower.hist(self.prediction, _N_BARS, color=BLUE, alpha=0.7)
        lower.set(xlabel="reward", ylabel="rows")
        self.ax_, self.rows_ax_, self.figure_ = upper, lower, upper.figure
        return self
