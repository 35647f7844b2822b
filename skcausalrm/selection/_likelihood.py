"""The graded likelihood of outcomes, with its gradient and Hessian in closed form.

Given the linear predictors z of a row, ``u = b + a'z`` and ``P(r=1 given x) = sigmoid(u)``. Behind
r is a strength ``u + logistic noise``, cut into six bins at fixed thresholds; r = 1 in the upper
three. The log odds of a rating are linear in the bin's grade and in z,

    l_k = c + gamma (r_k - 1/2) + delta s_k + kappa (|s_k| - mean |s|) + v'w,  s = -1, -.6, .., 1

through the Aranda-Ordaz link ``p_k = 1 - (1 + lam exp l_k)^(-1/lam)``. The feedback depends on r
alone, with flip rates ``sigmoid(phi) / 2``. The bin is summed out. w holds both linear predictors,
and the square and cube of the second.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ._counts import Counts, Outcome, volunteers
from ._priors import Knowledge

PARAMETERS = (
    "b", "a_s", "a_o", "c", "gamma", "delta", "kappa",
    "v_s", "v_o", "v_o2", "v_o3", "phi_fp", "phi_fn",
)  # fmt: skip
B, A, C, GAMMA, DELTA, KAPPA, V = 0, slice(1, 3), 3, 4, 5, 6, slice(7, 11)
PHI_FP, PHI_FN = 11, 12
SELECTION = slice(3, 11)
_U, _L = slice(0, 3), slice(3, 7)

_GRADES = np.linspace(-1, 1, 6)
GOOD = _GRADES > 0
_ONES = np.ones(len(_GRADES))
_CUTS = np.array([-0.97, -0.43, 0.0, 0.43, 0.97])
# Columns of l_k that do not depend on z: those of c, gamma, delta and kappa.
_BIN_DESIGN = np.column_stack(
    [np.ones(6), GOOD - 0.5, _GRADES, np.abs(_GRADES) - np.abs(_GRADES).mean()]
)
# Outcomes that a false positive takes for each other; a false negative does the reverse.
_DISLIKED = [Outcome.DISLIKED, Outcome.ASKED_DISLIKED]
_LIKED = [Outcome.LIKED, Outcome.ASKED_LIKED]
LOGISTIC_VARIANCE = np.pi**2 / 3
_PRIOR_SD = np.array([np.inf, 6, 6, 3, 1, 1, 1, 1, 1, 0.25, 0.25, 1, 1])
_PRIOR_MEAN = np.array([0.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1])
# Smallest probability, so that its logarithm is finite.
_TINY = 1e-300
# Value of the second linear predictor beyond which its curve is flat.
_CURVE_END = 2.5


def _selection_design(z: NDArray) -> NDArray[np.float64]:
    """Return the part of l_k that depends on x alone: both predictors, and a curve of the second.

    Without the curve, a chance of a rating that bends in x, such as one that levels off, would be
    taken for selection on the preference.
    """
    o = np.clip(z[:, 1], -_CURVE_END, _CURVE_END)
    return np.column_stack([z, o**2 - 1, (o**3 - 3 * o) / _CURVE_END])


def _add(matrix: NDArray, rows: slice, columns: slice, block: NDArray) -> None:
    """Add a block off the diagonal, and its transpose."""
    matrix[rows, columns] += block
    matrix[columns, rows] += block.T


class GradedLikelihood:
    """Log posterior of the parameters at counts, for one link.

    Parameters
    ----------
    counts : Counts
    knowledge : Knowledge
    link : float
        The lam of the Aranda-Ordaz link: 1 is the logit, the limit 0 the complementary log-log.
    tau : float
        Scale of the thresholds between bins.

    Attributes
    ----------
    free : ndarray of int
        Positions of the estimated `PARAMETERS`, without b.
    start : ndarray of shape (13,)
        Prior means, and the values of known parameters.
    """

    def __init__(self, counts: Counts, knowledge: Knowledge, link: float, tau: float):
        self.counts, self.knowledge, self.link, self.tau = counts, knowledge, link, tau
        z = counts.z[counts.cell]
        self._u_design = np.column_stack([np.ones(len(z)), z])
        self._cell_design = _selection_design(counts.z)
        self._w_design = self._cell_design[counts.cell]
        seen = np.bincount(counts.outcome, np.abs(counts.coefficient), minlength=len(Outcome)) > 0
        rated = seen[[Outcome.DISLIKED, Outcome.LIKED, Outcome.RATED]].any()
        self.selects = bool(rated and seen[Outcome.UNRATED])
        flips = seen[_DISLIKED + _LIKED].any()
        self.start = _PRIOR_MEAN.copy()
        self.sd = _PRIOR_SD
        free = np.ones(len(PARAMETERS), dtype=bool)
        free[B] = False
        varies = np.ptp(counts.z, axis=0) > 0
        free[A] = varies
        free[SELECTION] = self.selects
        free[V] &= np.ptp(self._cell_design, axis=0) > 0
        free[PHI_FP] = flips and knowledge.false_positive_rate is None
        free[PHI_FN] = flips and knowledge.false_negative_rate is None
        if seen[Outcome.RATED]:
            # Volunteers left one kind of feedback only: all praise, or all blame.
            self.start[GAMMA] = 1.0 if knowledge.rated_is_praise else -1.0
        fixed = knowledge.selection_log_odds
        if fixed is not None:
            free[[GAMMA, DELTA]] = False
            self.start[GAMMA] = fixed
            free[KAPPA] &= fixed != 0
        self.free = np.flatnonzero(free)
        self._unrated = np.flatnonzero(counts.outcome == Outcome.UNRATED)
        self._volunteered = np.flatnonzero(
            (counts.outcome != Outcome.UNRATED) & volunteers(counts.outcome)
        )
        error = knowledge.verified_error_rate
        # P(verified label given bin), rows for no label, 0 and 1.
        self._judged = np.vstack(
            [np.ones(6), np.where(GOOD, error, 1 - error), np.where(GOOD, 1 - error, error)]
        )
        if self.selects:
            self.start[C] = self._start_of_level()

    def _start_of_level(self) -> float:
        """Return the inverse link of the share of rated rows."""
        coefficient = self.counts.coefficient * volunteers(self.counts.outcome)
        unrated = coefficient[self.counts.outcome == Outcome.UNRATED].sum()
        silent = np.clip(unrated / coefficient.sum(), 1e-6, 1 - 1e-6)
        return float(np.log(np.expm1(-self.link * np.log(silent)) / self.link))

    def rates(self, theta: NDArray) -> tuple[float, float]:
        """Return the false positive and the false negative rate."""
        known = self.knowledge.false_positive_rate, self.knowledge.false_negative_rate
        false_positive, false_negative = (
            float(expit(phi) / 2) if rate is None else rate
            for phi, rate in zip(theta[[PHI_FP, PHI_FN]], known, strict=True)
        )
        return false_positive, false_negative

    def base_rate(self, theta: NDArray) -> float:
        """Return the mean of P(r=1 given x) over all rows."""
        return float(
            np.average(expit(theta[B] + self.counts.z @ theta[A]), weights=self.counts.weight)
        )

    def _grades(self, theta, z):
        """Return bin probabilities (n, 6) and the first two derivatives of their logs by u."""
        u = theta[B] + z @ theta[A]
        above = np.empty((len(z), 7))
        above[:, 0], above[:, 6] = 1, 0
        above[:, 1:6] = expit(u[:, None] - self.tau * _CUTS)
        slope = above * (1 - above)
        return (
            above[:, :-1] - above[:, 1:],
            1 - above[:, :-1] - above[:, 1:],
            -slope[:, :-1] - slope[:, 1:],
        )

    def _answering(self, theta, w):
        """Return, per bin, log P(unrated), P(rated), exp(l) / (1 + lam exp(l)) and its factor."""
        l = np.clip(_BIN_DESIGN @ theta[_L] + (w @ theta[V])[:, None], -40, 40)
        odds = np.exp(l)
        silent = -np.log1p(self.link * odds) / self.link
        damped = 1 / (1 + self.link * odds)
        return silent, -np.expm1(silent), odds * damped, damped

    def _said(self, theta):
        """Return P(feedback given bin), (n_outcomes, 6), and its log derivatives by each phi."""
        said = np.ones((len(Outcome), 6))
        first, second = np.zeros((2, len(Outcome), 6)), np.zeros((2, len(Outcome), 6))
        for j, rate in enumerate(self.rates(theta)):
            curve = expit(theta[PHI_FP + j])
            d1 = curve * (1 - curve) / 2
            d2 = d1 * (1 - 2 * curve)
            bins = GOOD if j else ~GOOD
            for straight, flipped in zip(
                *((_LIKED, _DISLIKED) if j else (_DISLIKED, _LIKED)), strict=True
            ):
                said[flipped, bins], said[straight, bins] = rate, 1 - rate
                first[j, flipped, bins] = 1 - curve
                second[j, flipped, bins] = -curve * (1 - curve)
                first[j, straight, bins] = -d1 / (1 - rate)
                second[j, straight, bins] = -d2 / (1 - rate) - (d1 / (1 - rate)) ** 2
        return said, first, second

    def bins(self, theta, z, outcome, label=None) -> NDArray[np.float64]:
        """Return P(bin, outcome, label given z), shape (n, 6), of rows or entries."""
        joint = self._grades(theta, z)[0]
        if self.selects:
            silent, rated = self._answering(theta, _selection_design(z))[:2]
            joint = joint * np.select(
                [(outcome == Outcome.UNRATED)[:, None], volunteers(outcome)[:, None]],
                [np.exp(silent), rated],
                1.0,
            )
        joint = joint * self._said(theta)[0][outcome]
        return joint if label is None else joint * self._judged[label + 1]

    def evaluate(self, theta: NDArray) -> tuple[float, NDArray, NDArray]:
        """Return log posterior, gradient (13,) and Hessian (13, 13) by all parameters."""
        counts, coefficient = self.counts, self.counts.coefficient
        cell, outcome = counts.cell, counts.outcome
        # `take` copies rows of six numbers, and a product with ones adds them, at a fraction of the
        # cost of indexing with an array and of `sum`.
        pi, pi1, pi2 = (values.take(cell, axis=0) for values in self._grades(theta, counts.z))
        said, said1, said2 = self._said(theta)
        joint = pi * said.take(outcome, axis=0) * self._judged.take(counts.label + 1, axis=0)
        l1, l2 = np.zeros_like(joint), np.zeros_like(joint)
        if self.selects:
            silent, rated, hazard, damped = self._answering(theta, self._cell_design)
            quiet = np.exp(silent)
            odds = hazard * quiet / np.maximum(rated, _TINY)
            bend = odds * (damped - hazard / np.maximum(rated, _TINY))
            unrated, volunteered = self._unrated, self._volunteered
            at, to = cell[unrated], cell[volunteered]
            joint[unrated] *= quiet.take(at, axis=0)
            joint[volunteered] *= rated.take(to, axis=0)
            l1[unrated], l2[unrated] = -hazard.take(at, axis=0), -(hazard * damped).take(at, axis=0)
            l1[volunteered], l2[volunteered] = odds.take(to, axis=0), bend.take(to, axis=0)
        total = np.maximum(joint @ _ONES, _TINY)
        value = float(coefficient @ np.log(total))
        posterior = joint / total[:, None]

        # All parameters act through u, l_k and phi: sum derivatives by those over bins first, then
        # multiply by the designs of u (b, a) and of l (c .. kappa by bin, v by row).
        u, w = self._u_design, self._w_design
        g_u, g_l = posterior * pi1, posterior * l1
        g_phi = [posterior * first.take(outcome, axis=0) for first in said1]
        mean = np.empty((len(cell), len(PARAMETERS)))
        mean[:, _U] = u * (g_u @ _ONES)[:, None]
        mean[:, _L] = g_l @ _BIN_DESIGN
        mean[:, V] = w * (g_l @ _ONES)[:, None]
        mean[:, PHI_FP], mean[:, PHI_FN] = (g @ _ONES for g in g_phi)
        gradient = coefficient @ mean

        scale = coefficient[:, None]
        hessian = -(mean.T @ (mean * scale))
        uu = scale * (g_u * pi1 + posterior * pi2)
        ul = scale * (g_u * l1)
        ll = scale * (g_l * l1 + posterior * l2)
        hessian[_U, _U] += u.T @ (u * (uu @ _ONES)[:, None])
        _add(hessian, _U, _L, u.T @ ul @ _BIN_DESIGN)
        _add(hessian, _U, V, u.T @ (w * (ul @ _ONES)[:, None]))
        hessian[_L, _L] += (_BIN_DESIGN * ll.sum(axis=0)[:, None]).T @ _BIN_DESIGN
        _add(hessian, _L, V, _BIN_DESIGN.T @ ll.T @ w)
        hessian[V, V] += w.T @ (w * (ll @ _ONES)[:, None])
        scaled = scale * posterior
        for j, g in enumerate(g_phi):
            place = slice(PHI_FP + j, PHI_FP + j + 1)
            g = scale * g
            with_u, with_l = (g * pi1) @ _ONES, g * l1
            _add(hessian, _U, place, (with_u @ u)[:, None])
            _add(hessian, _L, place, (with_l.sum(axis=0) @ _BIN_DESIGN)[:, None])
            _add(hessian, V, place, ((with_l @ _ONES) @ w)[:, None])
            hessian[place, place] += np.vdot(g, said1[j].take(outcome, axis=0))
            hessian[place, place] += np.vdot(scaled, said2[j].take(outcome, axis=0))

        deviation = (theta - self.start)[self.free]
        away = deviation / self.sd[self.free] ** 2
        value -= float(deviation @ away) / 2
        gradient[self.free] -= away
        hessian[self.free, self.free] -= 1 / self.sd[self.free] ** 2
        return value, gradient, hessian
