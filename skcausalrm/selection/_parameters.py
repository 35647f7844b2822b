"""Parameters of the graded likelihood, their priors, and what each of them acts through.

A row of the likelihood has seven coordinates: u, the four of ``l_k`` (level, step at the good
bins, slope in the grade, extremes) and the two flip rates' ``phi``. Every parameter enters one of
them linearly (f enters two), times a number per row. Optional parameters are further rows of that
table: without a habit, those of `HABIT` are not there.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PARAMETERS = (
    "b", "a_s", "a_o", "c", "gamma", "delta", "kappa",
    "v_s", "v_o", "v_o2", "v_o3", "phi_fp", "phi_fn",
)  # fmt: skip
B, A, A_S, C, GAMMA, DELTA, KAPPA, V = 0, slice(1, 3), 1, 3, 4, 5, 6, slice(7, 11)
PHI_FP, PHI_FN = 11, 12
SELECTION = slice(3, 11)
# b and a_s have none of these normal priors: that of b is the base rate's, that of a_s a gamma
# distribution of shape 2. The first predictor has the right direction or none, so a_s is
# positive; were it not, a weak log would average rankings that are each other's reverse.
SLOPE_SCALE = 2.0
_PRIOR_SD = np.array([np.inf, np.inf, 6, 3, 1, 1, 1, 1, 1, 0.1, 0.1, 1, 1])
_PRIOR_MEAN = np.array([0.0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1])

# The habit's parameters follow: its effects w and w2 on rating, and the leaks d, g and f, by which
# it may have to do with the answer's quality, with selection on the preference and with flips.
HABIT = ("d", "w", "w2", "g", "f")
D, W, W2, G, F = range(13, 18)
_HABIT_MEAN, _EFFECT_SD = 1.0, (0.5, 0.25)

# Coordinates of a row.
U, LEVEL, STEP, SLOPE, EXTREMES, FP, FN = range(7)
N_COORDINATES = 7
# Value of the second linear predictor beyond which its curve is flat.
CURVE_END = 2.5
# Size of the habit beyond which its curve is flat.
_HABIT_END = 3.0


def prior(with_habit: bool, exclusion_sd: float) -> tuple[NDArray, NDArray]:
    """Return prior means and standard deviations of all parameters.

    Parameters
    ----------
    with_habit : bool
    exclusion_sd : float
        Standard deviation of the leaks; 0 fixes them at 0.
    """
    if not with_habit:
        return _PRIOR_MEAN.copy(), _PRIOR_SD
    leak = exclusion_sd
    return (
        np.append(_PRIOR_MEAN, [0, _HABIT_MEAN, 0, 0, 0]),
        np.append(_PRIOR_SD, [leak, *_EFFECT_SD, leak, leak]),
    )


def selection_design(z: NDArray) -> NDArray[np.float64]:
    """Return the part of l_k that depends on x alone: both predictors, and a curve of the second.

    Without the curve, a chance of a rating that bends in x, such as one that levels off, would be
    taken for selection on the preference.
    """
    o = np.clip(z[:, 1], -CURVE_END, CURVE_END)
    return np.column_stack([z, o**2 - 1, (o**3 - 3 * o) / CURVE_END])


class Design(NamedTuple):
    """What each parameter contributes to the coordinates of n rows.

    Attributes
    ----------
    values : ndarray of shape (n_terms, n)
        Factor of a parameter in one coordinate.
    parameter, coordinate : ndarray of int, shape (n_terms,)
        Position of each term's parameter and coordinate. Terms are sorted by coordinate.
    n_parameters : int
    """

    values: NDArray[np.float64]
    parameter: NDArray[np.intp]
    coordinate: NDArray[np.intp]
    n_parameters: int

    def coordinates(self, theta: NDArray) -> NDArray[np.float64]:
        """Return the coordinates of each row, shape (7, n)."""
        terms = np.zeros((N_COORDINATES, len(self.parameter)))
        terms[self.coordinate, np.arange(len(self.parameter))] = theta[self.parameter]
        return terms @ self.values

    def outer(self, slopes: NDArray, weight: NDArray, row: NDArray) -> tuple[NDArray, NDArray]:
        """Return the sum of gradients (p,) and minus that of their outer products (p, p).

        Parameters
        ----------
        slopes : ndarray of shape (7, m)
            Derivatives by coordinates, of m entries.
        weight : ndarray of shape (m,)
        row : ndarray of int, shape (m,)
            Row of each entry.
        """
        by_term = slopes.take(self.coordinate, axis=0) * self.values.take(row, axis=1)
        weighted = by_term * weight
        gradient = np.bincount(self.parameter, weighted.sum(axis=1), minlength=self.n_parameters)
        return gradient, self._merge(-weighted @ by_term.T)

    def hessian(self, curves: NDArray) -> NDArray[np.float64]:
        """Return second derivatives by the coordinates of each row, (7, 7, n), as (p, p)."""
        among_terms = np.empty((len(self.parameter), len(self.parameter)))
        for coordinate in range(N_COORDINATES):
            mine = slice(*np.searchsorted(self.coordinate, [coordinate, coordinate + 1]))
            others = curves[coordinate].take(self.coordinate, axis=0)
            others *= self.values
            among_terms[mine] = self.values[mine] @ others.T
        return self._merge(among_terms)

    def _merge(self, among_terms: NDArray) -> NDArray[np.float64]:
        """Add the rows and columns of terms that share a parameter."""
        hessian = np.zeros((self.n_parameters, self.n_parameters))
        np.add.at(hessian, np.ix_(self.parameter, self.parameter), among_terms)
        return hessian


def make_design(z: NDArray, habit: NDArray | None = None) -> Design:
    """Return the design of rows by their linear predictors, (n, 2), and habits, (n,) or None."""
    one, (v_s, v_o, v_o2, v_o3) = np.ones(len(z)), selection_design(z).T
    terms = [
        (B, U, one), (A.start, U, z[:, 0]), (A.start + 1, U, z[:, 1]),
        (C, LEVEL, one), (GAMMA, STEP, one), (DELTA, SLOPE, one), (KAPPA, EXTREMES, one),
        (V.start, LEVEL, v_s), (V.start + 1, LEVEL, v_o),
        (V.start + 2, LEVEL, v_o2), (V.start + 3, LEVEL, v_o3),
        (PHI_FP, FP, one), (PHI_FN, FN, one),
    ]  # fmt: skip
    if habit is not None:
        curve = (np.clip(habit, -_HABIT_END, _HABIT_END) ** 2 - 1) / 2
        terms += [(D, U, habit), (W, LEVEL, habit), (W2, LEVEL, curve), (G, STEP, habit)]
        # Those who rate a lot may be lenient or strict: one flip rate rises, the other falls.
        terms += [(F, FP, habit), (F, FN, -habit)]
    terms.sort(key=lambda term: term[1])
    parameter, coordinate, values = zip(*terms, strict=True)
    n_parameters = len(PARAMETERS) + (0 if habit is None else len(HABIT))
    return Design(np.array(values), np.array(parameter), np.array(coordinate), n_parameters)
