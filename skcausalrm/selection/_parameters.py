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
# positive; were it not, a weak log would average rankings that are each other's reverse. A wide
# prior of the slopes lets 200 ratings say that every answer is surely good or surely bad.
SLOPE_SCALE = 1.0
_PRIOR_SD = np.array([np.inf, np.inf, 3, 3, 1, 1, 1, 1, 1, 0.1, 0.1, 1, 1])
_PRIOR_MEAN = np.array([0.0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1])

# The habit's parameters follow: its effects w and w2 on rating, and the leaks d, g and f, by which
# it may have to do with the answer's quality, with selection on the preference and with flips.
HABIT = ("d", "w", "w2", "g", "f")
D, W, W2, G, F = range(13, 18)
_HABIT_MEAN, _EFFECT_SD = 1.0, (0.5, 0.25)

# After those, for each signal: parameters like those of a rating, and its dependence psi on whether
# the row is rated; then its dependences chi on the signals before it.
SIGNALS = len(PARAMETERS) + len(HABIT)
SIGNAL = ("c", "gamma", "delta", "kappa", "v_s", "v_o", "v_o2", "w", "psi")
_SIGNAL_SD = np.array([3, 0.3, 1, 1, 1, 1, 0.25, 0.5, 1])
_CHI_SD = 1.0
# Weight of delta in log odds between good and bad: mean grade of the one bins minus the others'.
SELECTION_SHARE = 1.2
# Prior mean of a signal's slope in the grade, by its direction: it follows the grade, not the cut.
_SIGNAL_SLOPE = 0.8

# Coordinates of a row; four more for each signal.
U, LEVEL, STEP, SLOPE, EXTREMES, FP, FN = range(7)
N_COORDINATES, N_OF_SIGNAL = 7, 4
# Value of the second linear predictor beyond which its curve is flat.
CURVE_END = 2.5
# Size of the habit beyond which its curve is flat.
_HABIT_END = 3.0


class SignalFacts(NamedTuple):
    """What all rows of a log have in common about its signals.

    Attributes
    ----------
    directions : ndarray of shape (n_signals,)
        1 where a signal speaks for the answer, -1 where against it.
    shares : ndarray of shape (n_signals,)
        Share of the rows in which it happened, of those that show it.
    rated_share : float
        Share of the rows nobody asked that are rated.
    outside : ndarray of bool, shape (n_signals,)
        True where a signal comes from outside, as a judge's score does: given how good the answer
        is, it has nothing to do with who rates, nor with other signals.
    """

    directions: NDArray[np.float64]
    shares: NDArray[np.float64]
    rated_share: float
    outside: NDArray[np.bool_]


def signal_parameter(signal: int, name: str, *, of: int | None = None, n_signals: int) -> int:
    """Return the position of a signal's parameter, or, for "chi", of its dependence on `of`."""
    first = SIGNALS
    if name == "chi":
        before = signal * (signal - 1) // 2
        return first + n_signals * len(SIGNAL) + before + (0 if of is None else of)
    return first + signal * len(SIGNAL) + SIGNAL.index(name)


def prior(
    with_habit: bool,
    exclusion_sd: float,
    facts: SignalFacts | None = None,
    flips: tuple[tuple[float, float] | None, ...] = (None, None),
) -> tuple[NDArray, NDArray]:
    """Return prior means and standard deviations of all parameters; 0 where they are fixed.

    Parameters
    ----------
    with_habit : bool
    exclusion_sd : float
        Standard deviation of the habit's leaks.
    facts : SignalFacts or None, default=None
    flips : pair of (float, float) or None, default=(None, None)
        Mean and standard deviation of each phi that are known better.
    """
    mean, sd = _PRIOR_MEAN.copy(), _PRIOR_SD.copy()
    for place, given in zip((PHI_FP, PHI_FN), flips, strict=True):
        if given is not None:
            mean[place], sd[place] = given
    if not with_habit and facts is None:
        return mean, sd
    leak = exclusion_sd
    mean = np.append(mean, [0, _HABIT_MEAN, 0, 0, 0])
    habit_sd = np.array([leak, *_EFFECT_SD, leak, leak]) * with_habit
    sd = np.append(sd, habit_sd)
    if facts is not None:
        n = len(facts.shares)
        of_signals = np.zeros((n, len(SIGNAL)))
        share = np.clip(facts.shares, 1e-4, 1 - 1e-4)
        of_signals[:, SIGNAL.index("c")] = np.log(share / (1 - share))
        of_signals[:, SIGNAL.index("delta")] = _SIGNAL_SLOPE * facts.directions
        pairs = n * (n - 1) // 2
        mean = np.concatenate([mean, of_signals.ravel(), np.zeros(pairs)])
        sd = np.concatenate([sd, np.tile(_SIGNAL_SD, n), np.full(pairs, _CHI_SD)])
        for j, outside in enumerate(facts.outside):
            if outside or not with_habit:
                sd[signal_parameter(j, "w", n_signals=n)] = 0
            if outside:
                sd[signal_parameter(j, "psi", n_signals=n)] = 0
            for i in range(j):
                if outside or facts.outside[i]:
                    sd[signal_parameter(j, "chi", of=i, n_signals=n)] = 0
    return mean, sd


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
    n_parameters, n_coordinates : int
    """

    values: NDArray[np.float64]
    parameter: NDArray[np.intp]
    coordinate: NDArray[np.intp]
    n_parameters: int
    n_coordinates: int

    def coordinates(self, theta: NDArray) -> NDArray[np.float64]:
        """Return the coordinates of each row, shape (n_coordinates, n)."""
        terms = np.zeros((self.n_coordinates, len(self.parameter)))
        terms[self.coordinate, np.arange(len(self.parameter))] = theta[self.parameter]
        return terms @ self.values

    def outer(self, slopes: NDArray, weight: NDArray, row: NDArray) -> tuple[NDArray, NDArray]:
        """Return the sum of gradients (p,) and minus that of their outer products (p, p).

        Parameters
        ----------
        slopes : ndarray of shape (n_coordinates, m)
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
        """Return second derivatives by pairs of coordinates of each row, (.., .., n), as (p, p)."""
        among_terms = np.empty((len(self.parameter), len(self.parameter)))
        ends = np.searchsorted(self.coordinate, np.arange(self.n_coordinates + 1))
        for coordinate, mine in enumerate(map(slice, ends[:-1], ends[1:])):
            others = curves[coordinate].take(self.coordinate, axis=0)
            others *= self.values
            among_terms[mine] = self.values[mine] @ others.T
        return self._merge(among_terms)

    def _merge(self, among_terms: NDArray) -> NDArray[np.float64]:
        """Add the rows and columns of terms that share a parameter."""
        by_parameter = np.zeros((self.n_parameters, len(self.parameter)))
        by_parameter[self.parameter, np.arange(len(self.parameter))] = 1
        return by_parameter @ among_terms @ by_parameter.T


def make_design(
    z: NDArray,
    habit: NDArray | None = None,
    signals: NDArray | None = None,
    rated: NDArray | None = None,
    facts: SignalFacts | None = None,
) -> Design:
    """Return the design of n rows.

    Parameters
    ----------
    z : ndarray of shape (n, 2)
        Linear predictors.
    habit : ndarray of shape (n,) or None, default=None
    signals : ndarray of shape (n, n_signals) or None, default=None
        1 where a signal happened, 0 where not, NaN where it could not be seen.
    rated : ndarray of shape (n,) or None, default=None
        1 where volunteered feedback was given, 0 where not, NaN in rows that were asked.
    facts : SignalFacts or None, default=None
    """
    one, (v_s, v_o, v_o2, v_o3) = np.ones(len(z)), selection_design(z).T
    terms = [
        (B, U, one), (A.start, U, z[:, 0]), (A.start + 1, U, z[:, 1]),
        (C, LEVEL, one), (GAMMA, STEP, one), (DELTA, SLOPE, one), (KAPPA, EXTREMES, one),
        (V.start, LEVEL, v_s), (V.start + 1, LEVEL, v_o),
        (V.start + 2, LEVEL, v_o2), (V.start + 3, LEVEL, v_o3),
        (PHI_FP, FP, one), (PHI_FN, FN, one),
    ]  # fmt: skip
    n_parameters, n_coordinates = len(PARAMETERS), N_COORDINATES
    if habit is not None:
        curve = (np.clip(habit, -_HABIT_END, _HABIT_END) ** 2 - 1) / 2
        terms += [(D, U, habit), (W, LEVEL, habit), (W2, LEVEL, curve), (G, STEP, habit)]
        # Those who rate a lot may be lenient or strict: one flip rate rises, the other falls.
        terms += [(F, FP, habit), (F, FN, -habit)]
        n_parameters += len(HABIT)
    if signals is not None and rated is not None and facts is not None:
        n = signals.shape[1]
        aside = np.nan_to_num(signals - facts.shares)
        by_rating = np.nan_to_num(rated - facts.rated_share)
        for j in range(n):
            level = N_COORDINATES + j * N_OF_SIGNAL
            values = [one, one, one, one, v_s, v_o, v_o2, habit, by_rating]
            places = [*range(level, level + N_OF_SIGNAL), *[level] * 5]
            terms += [
                (signal_parameter(j, name, n_signals=n), at, value)
                for name, at, value in zip(SIGNAL, places, values, strict=True)
                if value is not None
            ]
            terms += [
                (signal_parameter(j, "chi", of=i, n_signals=n), level, aside[:, i])
                for i in range(j)
            ]
        n_coordinates += n * N_OF_SIGNAL
        n_parameters = SIGNALS + n * len(SIGNAL) + n * (n - 1) // 2
    terms.sort(key=lambda term: term[1])
    parameter, coordinate, factors = zip(*terms, strict=True)
    return Design(
        np.array(factors), np.array(parameter), np.array(coordinate), n_parameters, n_coordinates
    )
