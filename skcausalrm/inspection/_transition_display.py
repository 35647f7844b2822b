"""Picture of flips: how often does feedback say the opposite of what the answer is worth?"""

from typing import Any

import numpy as np

from ..exceptions import InvalidInputError
from ..metrics._estimate import NORMAL_95
from ..reward._nuisances import name_fitted
from ._display import axes_for, last_step


class TransitionDisplay:
    """Chances of a like and of a dislike, given whether the answer is good.

    Make the display by `from_estimator`.

    Parameters
    ----------
    false_positive_rate, false_negative_rate : float
        P(liked given bad) and P(disliked given good), both given a rating.
    false_positive_rate_std, false_negative_rate_std : float
        Their standard deviations, 0 where known for sure.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")  # no window
    >>> from skcausalrm.inspection import TransitionDisplay
    >>> from skcausalrm.nuisances import NoiseTransitionEstimator
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> log = make_observational_feedback(3000, 8, signal="strong", random_state=0)
    >>> rated = log.y == log.y
    >>> noise = NoiseTransitionEstimator(random_state=0).fit(log.X[rated], log.y[rated])
    >>> display = TransitionDisplay.from_estimator(noise)
    >>> display.matrix.shape
    (2, 2)
    """

    def __init__(
        self,
        *,
        false_positive_rate,
        false_negative_rate,
        false_positive_rate_std=0.0,
        false_negative_rate_std=0.0,
    ):
        self.false_positive_rate = false_positive_rate
        self.false_negative_rate = false_negative_rate
        self.false_positive_rate_std = false_positive_rate_std
        self.false_negative_rate_std = false_negative_rate_std

    @property
    def matrix(self) -> np.ndarray:
        """P(s given r): rows are bad and good answers, columns dislikes and likes."""
        f, g = self.false_positive_rate, self.false_negative_rate
        return np.array([[1 - f, f], [g, 1 - g]])

    @property
    def intervals(self) -> np.ndarray:
        """90% intervals of `matrix`, shape (2, 2, 2), the last axis being low and high."""
        stds = np.array([[self.false_positive_rate_std], [self.false_negative_rate_std]])
        half = NORMAL_95 * stds
        return np.clip(np.stack([self.matrix - half, self.matrix + half], axis=-1), 0, 1)

    @classmethod
    def from_estimator(cls, estimator, *, ax=None) -> "TransitionDisplay":
        """Plot the flip rates of a fitted model.

        Parameters
        ----------
        estimator : estimator
            Fitted: `NoiseTransitionEstimator`, `SelectionModel`, `CausalRewardRegressor` or
            `CausalRewardClassifier`; a reward by any method but "naive".
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        TransitionDisplay
            The display, plotted.

        Raises
        ------
        InvalidInputError
            If the model has no flip rates.
        MissingExtraError
            If matplotlib is not installed.
        """
        fitted = last_step(estimator)
        nuisances = getattr(fitted, "nuisances_", None)
        source = fitted
        if nuisances is not None:
            source = nuisances.selection_model or nuisances.noise_estimator
        if not hasattr(source, "false_positive_rate_"):
            raise InvalidInputError(
                f"{cls.__name__} needs flip rates, and a {name_fitted(fitted)} has none: "
                f"fit NoiseTransitionEstimator() on the rated rows."
            )
        names = [
            f"false_{kind}_rate{std}" for kind in ("positive", "negative") for std in ("", "_std")
        ]
        return cls(**{name: getattr(source, f"{name}_") for name in names}).plot(ax)

    def plot(self, ax: Any = None) -> "TransitionDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        TransitionDisplay
            Itself.
        """
        ax = axes_for(ax)
        image = ax.imshow(self.matrix, cmap="Blues", vmin=0, vmax=1)
        for (row, column), value in np.ndenumerate(self.matrix):
            low, high = self.intervals[row, column]
            known = "known" if low == high else f"{low:.1%} to {high:.1%}"
            # A cell has its own background, in light and dark styles alike.
            red, green, blue, _ = image.cmap(image.norm(value))
            is_light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
            ax.text(
                column,
                row,
                f"{value:.1%}\n({known})",
                ha="center",
                va="center",
                color="black" if is_light else "white",
            )
        ax.set(
            xticks=(0, 1),
            xticklabels=("dislike", "like"),
            xlabel="feedback of a rated answer, with 90% interval",
            yticks=(0, 1),
            yticklabels=("bad", "good"),
            ylabel="answer",
            title="Flips",
        )
        self.ax_, self.figure_ = ax, ax.figure
        return self
