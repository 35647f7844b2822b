"""The graded likelihood of outcomes, with its gradient and Hessian in closed form.

Given the linear predictors z of a row, ``u = b + a'z`` and ``P(r=1 given x) = sigmoid(u)``. Behind
r is a strength ``u + logistic noise``, cut into six bins at fixed thresholds; r = 1 in the upper
three. The log odds of a rating are linear in the bin's grade and in z,

    l_k = c + gamma (r_k - 1/2) + delta s_k + kappa (|s_k| - mean |s|) + v'w,  s = -1, -.6, .., 1

through the Aranda-Ordaz link ``p_k = 1 - (1 + lam exp l_k)^(-1/lam)``. The feedback depends on r
alone, with flip rates ``sigmoid(phi) / 2``. The bin is summed out. w holds both linear predictors,
and the square and cube of the second.

Where the habit h of the row's user is known (`_habit`), it moves who rates:

    l_k + w h + w2 (h^2 - 1) / 2 + g h (r_k - 1/2),   u + d h,   phi_fp + f h,   phi_fn - f h

with d, g and f, the leaks, near 0: a habit says little on how good the answer is.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ._blocks import Block, signs_of, split_into_blocks
from ._counts import Counts, Outcome, rated_or_asked, volunteers
from ._parameters import (
    A_S,
    DELTA,
    FP,
    GAMMA,
    KAPPA,
    LEVEL,
    N_COORDINATES,
    N_OF_SIGNAL,
    PHI_FN,
    PHI_FP,
    SELECTION,
    SLOPE_SCALE,
    A,
    B,
    C,
    Design,
    F,
    G,
    U,
    W,
    make_design,
    prior,
)
from ._priors import Knowledge

_GRADES = np.linspace(-1, 1, 6)
GOOD = _GRADES > 0
_GOOD = GOOD.astype(np.intp)
_CUTS = np.array([-0.97, -0.43, 0.0, 0.43, 0.97])
# How each bin's l depends on level, step, slope and extremes.
_BINS = np.vstack([np.ones(6), GOOD - 0.5, _GRADES, np.abs(_GRADES) - np.abs(_GRADES).mean()])
# Bins in which a false positive and a false negative are possible.
_FLIPPABLE = np.vstack([~GOOD, GOOD]).astype(np.float64)
_L, _PHI = slice(LEVEL, FP), slice(FP, N_COORDINATES)
# Outcomes with feedback: 1 where it is a flip in bad bins (row 0) and in good ones, -1 where not.
_FLIP = np.zeros((2, len(Outcome)))
_FLIP[:, [Outcome.LIKED, Outcome.ASKED_LIKED]] = [[1], [-1]]
_FLIP[:, [Outcome.DISLIKED, Outcome.ASKED_DISLIKED]] = [[-1], [1]]
LOGISTIC_VARIANCE = np.pi**2 / 3
# Smallest probability, so that its logarithm is finite.
_TINY = 1e-300


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
        Positions of the estimated parameters, without b.
    start : ndarray of shape (p,)
        Prior means, and the values of known parameters. p is 13, or 18 where counts have habits.
    selects : bool
        Whether the counts say anything about who rates.
    n_signals : int
    """

    def __init__(self, counts: Counts, knowledge: Knowledge, link: float, tau: float):
        self.counts, self.knowledge, self.link, self.tau = counts, knowledge, link, tau
        facts = counts.facts
        self.start, self.sd = prior(
            counts.habit is not None, knowledge.exclusion_sd, facts, knowledge.flip_priors
        )
        # By how much each bin's u, l, flips and signals depend on the coordinates of a row.
        self.n_signals = 0 if facts is None else len(facts.shares)
        self._by = [np.ones((1, 6)), _BINS, _FLIPPABLE, *[_BINS] * self.n_signals]
        ends = np.cumsum([0, *map(len, self._by)])
        self._pairs = {
            (i, j): (
                slice(ends[i], ends[i + 1]),
                slice(ends[j], ends[j + 1]),
                (self._by[i][:, None] * self._by[j]).reshape(-1, 6),
            )
            for i in range(len(self._by))
            for j in range(i, len(self._by))
        }
        error = knowledge.verified_error_rate
        # P(verified label given bin), columns for no label, 0 and 1.
        self._judged = np.column_stack(
            [np.ones(6), np.where(GOOD, error, 1 - error), np.where(GOOD, 1 - error, error)]
        )
        design = make_design(counts.z, counts.habit, counts.signals, counts.rated, facts)
        self.selects, self.free = self._settle(design)
        self._blocks = list(split_into_blocks(counts, design, self._judged))
        if self.selects:
            self.start[C] = self._start_of_level()

    def _settle(self, design: Design) -> tuple[bool, NDArray[np.intp]]:
        """Return whether there is selection, and what is free; set the starts of the rest."""
        counts, knowledge = self.counts, self.knowledge
        seen = np.bincount(counts.outcome, np.abs(counts.coefficient), minlength=len(Outcome)) > 0
        rated = seen[[Outcome.DISLIKED, Outcome.LIKED, Outcome.RATED]].any()
        selects = bool(rated and seen[Outcome.UNRATED])
        flips = seen[_FLIP[0] != 0].any()
        rates = knowledge.fixed_rates
        # What is alike in all rows tells nothing, but for what shifts or stretches them all.
        told = np.ptp(design.values, axis=1) > 0
        told |= (design.values == 1).all(axis=1)
        free = (self.sd > 0) & np.isin(np.arange(len(self.sd)), design.parameter[told])
        free[B] = False
        free[SELECTION] &= selects
        free[PHI_FP] = flips and rates[0] is None
        free[PHI_FN] = flips and rates[1] is None
        if seen[Outcome.RATED]:
            # Volunteers left one kind of feedback only: all praise, or all blame.
            self.start[GAMMA] = 1.0 if knowledge.rated_is_praise else -1.0
        fixed = knowledge.selection_log_odds
        if fixed is not None:
            free[[GAMMA, DELTA]] = False
            self.start[GAMMA] = fixed
            free[KAPPA] &= fixed != 0
        if counts.habit is not None:
            free[W : G + 1] &= selects
            free[G] &= fixed != 0
            free[F] &= bool(free[PHI_FP] or free[PHI_FN])
        return selects, np.flatnonzero(free)

    def _start_of_level(self) -> float:
        """Return the inverse link of the share of rated rows."""
        coefficient = self.counts.coefficient * volunteers(self.counts.outcome)
        unrated = coefficient[self.counts.outcome == Outcome.UNRATED].sum()
        silent = np.clip(unrated / coefficient.sum(), 1e-6, 1 - 1e-6)
        return float(np.log(np.expm1(-self.link * np.log(silent)) / self.link))

    def rates(self, theta: NDArray) -> tuple[float, float]:
        """Return the false positive and the false negative rate, of users of average habit."""
        false_positive, false_negative = self._flips(theta[[PHI_FP, PHI_FN], None])[0]
        return float(false_positive[0]), float(false_negative[0])

    def base_rate(self, theta: NDArray) -> float:
        """Return the mean of P(r=1 given x) over all rows."""
        return float(
            np.average(expit(theta[B] + self.counts.z @ theta[A]), weights=self.counts.weight)
        )

    def _grades(self, u):
        """Return bin probabilities (6, n) and the first two derivatives of their logs by u."""
        above = np.empty((7, len(u)))
        above[0], above[6] = 1, 0
        above[1:6] = expit(u - self.tau * _CUTS[:, None])
        slope = above * (1 - above)
        return above[:-1] - above[1:], 1 - above[:-1] - above[1:], -slope[:-1] - slope[1:]

    def _answering(self, l):
        """Return, per bin, log P(unrated), P(rated), exp(l) / (1 + lam exp(l)) and its factor."""
        odds = np.exp(np.clip(_BINS.T @ l, -40, 40))
        silent = -np.log1p(self.link * odds) / self.link
        damped = 1 / (1 + self.link * odds)
        return silent, -np.expm1(silent), odds * damped, damped

    def _answers(self, l):
        """Return P(unrated), P(rated) and 1 of every cell, (6, 3 n_cells), and log derivatives."""
        n = l.shape[1]
        answered, first, second = np.ones((6, 3 * n)), np.zeros((6, 3 * n)), np.zeros((6, 3 * n))
        if self.selects:
            silent, rated, hazard, damped = self._answering(l)
            quiet = np.exp(silent)
            positive = np.maximum(rated, _TINY)
            odds = hazard * quiet / positive
            answered[:, :n], answered[:, n : 2 * n] = quiet, rated
            first[:, :n], first[:, n : 2 * n] = -hazard, odds
            second[:, :n] = -hazard * damped
            second[:, n : 2 * n] = odds * (damped - hazard / positive)
        return answered, first, second

    def _flips(self, phi):
        """Return the two flip rates (2, n) and their first two derivatives by phi."""
        curve = expit(phi)
        rate, first = curve / 2, curve * (1 - curve) / 2
        second = first * (1 - 2 * curve)
        for j, value in enumerate(self.knowledge.fixed_rates):
            if value is not None:
                rate[j], first[j], second[j] = value, 0, 0
        return rate, first, second

    def _said(self, phi, outcome):
        """Return P(feedback) in the bad and the good bins, (2, n), and its log derivatives."""
        rate, d1, d2 = self._flips(phi)
        sign = _FLIP.take(outcome, axis=1)
        said = (sign <= 0) + sign * rate
        first = sign * d1 / np.maximum(said, _TINY)
        return said, first, sign * d2 / np.maximum(said, _TINY) - first**2

    def _coordinates(self, theta, z, habit, signals=None, rated=None):
        counts, n = self.counts, len(z)
        if counts.habit is None or habit is None:
            habit = None if counts.habit is None else np.zeros(n)
        return make_design(z, habit, signals, rated, counts.facts).coordinates(theta)

    def answering(self, theta, z, habit=None):
        """Return P(bin), P(bin, rated) where nobody asks, both (n, 6), and flip rates, (2, n)."""
        x = self._coordinates(theta, z, habit)
        grades = self._grades(x[U])[0]
        rated = grades * self._answering(x[_L])[1] if self.selects else grades
        return grades.T, rated.T, self._flips(x[_PHI])[0]

    def bins(self, theta, z, outcome, label=None, habit=None, signals=None) -> NDArray[np.float64]:
        """Return P(bin, outcome, signals, label given z and habit), (n, 6), of rows or entries.

        Without habits, users are of average habit; without signals, none could be seen.
        """
        signals = None if self.counts.facts is None else signals
        x = self._coordinates(theta, z, habit, signals, rated_or_asked(outcome))
        joint = self._grades(x[U])[0] * self._said(x[_PHI], outcome)[0][_GOOD]
        if self.selects:
            silent, answered = self._answering(x[_L])[:2]
            joint = joint * np.select(
                [outcome == Outcome.UNRATED, volunteers(outcome)], [np.exp(silent), answered], 1.0
            )
        for sign, l in zip(signs_of(signals), _by_signal(x), strict=True):
            joint = joint * _shown(sign, l)[0]
        return (joint if label is None else joint * self._judged[:, label + 1]).T

    def evaluate(self, theta: NDArray) -> tuple[float, NDArray, NDArray]:
        """Return log posterior, gradient (p,) and Hessian (p, p) by all parameters."""
        value, gradient = 0.0, np.zeros(len(theta))
        hessian = np.zeros((len(theta), len(theta)))
        if A_S in self.free and not theta[A_S] > 0:
            return -np.inf, gradient, hessian
        for block in self._blocks:
            found = self._evaluate(block, theta)
            value += found[0]
            gradient += found[1]
            hessian += found[2]
        deviation = (theta - self.start)[self.free]
        away = deviation / self.sd[self.free] ** 2
        value -= float(deviation @ away) / 2
        gradient[self.free] -= away
        hessian[self.free, self.free] -= 1 / self.sd[self.free] ** 2
        if A_S in self.free:
            slope = theta[A_S]
            value += float(np.log(slope) - slope / SLOPE_SCALE)
            gradient[A_S] += 1 / slope - 1 / SLOPE_SCALE
            hessian[A_S, A_S] -= 1 / slope**2
        return value, gradient, hessian

    def _joint(self, block: Block, x: NDArray) -> tuple[NDArray, list[tuple[NDArray, NDArray]]]:
        """Return P(bin, outcome, signals, label) of some cells' entries by their coordinates x.

        With it, the first and second derivatives of a bin's log probability by all it depends on:
        u, l, the flips and each signal's l.
        """
        cell = block.cell
        pi, pi1, pi2 = (values.take(cell, axis=1) for values in self._grades(x[U]))
        said, said1, said2 = (
            values.take(_GOOD, axis=0)
            for values in self._said(x[_PHI].take(cell, axis=1), block.outcome)
        )
        answered, l1, l2 = (values.take(block.answer, axis=1) for values in self._answers(x[_L]))
        joint = pi * answered * said * block.judgement
        sources = [(pi1, pi2), (l1, l2), (said1, said2)]
        for sign, l in zip(block.signs, _by_signal(x), strict=True):
            shown, t1, t2 = (values.take(cell, axis=1) for values in _shown(sign, l))
            joint *= shown
            sources.append((t1, t2))
        return joint, sources

    def shift_slopes(self, theta: NDArray, shifts: NDArray) -> NDArray[np.float64]:
        """Return slopes of each cell's log likelihood by shifts of what can be linear in x.

        Parameters
        ----------
        theta : ndarray of shape (p,)
        shifts : ndarray of shape (n_cells, 2 + n_signals)
            Added to each cell's u, to the log odds of a rating and to those of each signal.

        Returns
        -------
        ndarray of shape (n_cells, 2 + n_signals)
        """
        first = 0
        places = [U, LEVEL, *(N_COORDINATES + N_OF_SIGNAL * np.arange(self.n_signals))]
        slopes = np.empty(shifts.shape)
        for block in self._blocks:
            cells = slice(first, first + block.sums.shape[0])
            first = cells.stop
            x = block.design.coordinates(theta)
            x[places] += shifts[cells].T
            joint, sources = self._joint(block, x)
            posterior = joint / np.maximum(joint.sum(axis=0), _TINY)
            del sources[2]  # flips do not depend on x
            moved = [(posterior * slope).sum(axis=0) for slope, _ in sources]
            slopes[cells] = block.sums @ np.transpose(moved)
        return slopes

    def _evaluate(self, block: Block, theta: NDArray) -> tuple[float, NDArray, NDArray]:
        """Return log likelihood, gradient and Hessian of some cells."""
        cell = block.cell
        joint, sources = self._joint(block, block.design.coordinates(theta))
        total = np.maximum(joint.sum(axis=0), _TINY)
        value = float(block.coefficient @ np.log(total))
        posterior = joint / total

        moved = [posterior * first for first, _ in sources]
        slopes = np.vstack([by @ part for by, part in zip(self._by, moved, strict=True)])
        gradient, hessian = block.design.outer(slopes, block.coefficient, cell)
        # Second derivatives of its probability, summed over the entries of each cell.
        parts = np.empty((len(self._pairs), *posterior.shape))
        for part, (i, j) in zip(parts, self._pairs, strict=True):
            np.multiply(moved[i], sources[j][0], out=part)
            if i == j:
                part += posterior * sources[i][1]
        sums = (block.sums @ parts.reshape(-1, len(cell)).T).T.reshape(len(parts), 6, -1)
        curves = np.empty((len(slopes), len(slopes), sums.shape[2]))
        for part, (rows, columns, products) in zip(sums, self._pairs.values(), strict=True):
            found = (products @ part).reshape(curves[rows, columns].shape)
            curves[rows, columns] = found
            if rows != columns:
                curves[columns, rows] = found.swapaxes(0, 1)
        return value, gradient, hessian + block.design.hessian(curves)


def _by_signal(x: NDArray) -> NDArray[np.float64]:
    """Return the coordinates of each signal, shape (n_signals, 4, n)."""
    return x[N_COORDINATES:].reshape(
        (len(x) - N_COORDINATES) // N_OF_SIGNAL, N_OF_SIGNAL, x.shape[1]
    )


def _shown(sign: NDArray, l: NDArray):
    """Return P(signal given bin), (6, n), and its first two log derivatives by its log odds.

    Parameters
    ----------
    sign : ndarray of shape (n,)
        1 where it happened, -1 where not, 0 where it could not be seen.
    l : ndarray of shape (4, n)
    """
    p = expit(sign * (_BINS.T @ l))
    return np.where(sign == 0, 1.0, p), sign * (1 - p), -np.abs(sign) * p * (1 - p)
