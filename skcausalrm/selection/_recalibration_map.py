"""The map that recalibrates a predicted probability, in numpy alone.

Exported rewards use it where neither scipy nor scikit-learn is installed. The ONNX graph
(`skcausalrm.export._graph`) is built from the same `CLIP`, `scale` and `offset`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Probabilities are clipped to [CLIP, 1 - CLIP] before their log odds are taken, so that a
# prediction of exactly 0 or 1 has log odds.
CLIP = 0.01


def clip_probability(prediction: ArrayLike) -> NDArray[np.float64]:
    """Return predictions clipped to [`CLIP`, 1 - `CLIP`]."""
    # np.clip takes four times as long on a single row
    return np.minimum(np.maximum(prediction, CLIP), 1 - CLIP)


def sigmoid(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``1 / (1 + exp(-u))``, 0 and 1 at infinity, without a warning."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-u))


@dataclass(frozen=True)
class Recalibration:
    """Map of a probability by ``l + intercept + slope (l - center)``, l its clipped log odds.

    Parameters
    ----------
    intercept : float
        Shift of the log odds at the center.
    slope : float
        Stretch of the log odds, above -1: 0 leaves them, 1 doubles their distance to the center.
    center : float
        Log odds that the stretch leaves in place: the mean over the training rows.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.selection._recalibration_map import Recalibration
    >>> Recalibration(intercept=1.0, slope=0.5, center=0.0)(np.array([0.2, 0.5])).round(3).tolist()
    [0.254, 0.731]
    """

    intercept: float
    slope: float
    center: float

    @property
    def scale(self) -> float:
        """Factor of the clipped log odds l: the map is ``sigmoid(scale l + offset)``."""
        return 1 + self.slope

    @property
    def offset(self) -> float:
        """Constant of the map ``sigmoid(scale l + offset)``."""
        return self.intercept - self.slope * self.center

    @property
    def threshold(self) -> float:
        """Log odds that the map carries to even odds, a probability of 1/2."""
        return -self.offset / self.scale

    def __call__(self, prediction: ArrayLike) -> NDArray[np.float64]:
        """Return recalibrated probabilities of the same shape."""
        return sigmoid(self.scale * _log_odds(clip_probability(prediction)) + self.offset)

    def shift(self, prediction: ArrayLike) -> NDArray[np.float64]:
        """Return the amount added to the log odds of rows with these predictions."""
        return self.slope * _log_odds(clip_probability(prediction)) + self.offset

    def move(self, posterior: NDArray[np.float64], prediction: ArrayLike) -> NDArray[np.float64]:
        """Return posteriors in (0, 1) shifted by as much as their rows' predictions are."""
        return sigmoid(_log_odds(posterior) + self.shift(prediction))

    def derivative(self, prediction: ArrayLike) -> NDArray[np.float64]:
        """Return the derivative of the map, which carries a small standard deviation over."""
        p, q = clip_probability(prediction), self(prediction)
        return np.where(p == prediction, self.scale * q * (1 - q) / (p * (1 - p)), 0.0)


def _log_odds(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(p / (1 - p))
