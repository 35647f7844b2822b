"""The mechanism of simulated feedback: who rates, and with which errors.

The generators of embeddings and of texts share it, so that a setting means the same in both.
"""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.utils import Bunch, check_random_state, check_scalar

from ..exceptions import InvalidInputError

# Shift of the logit of every signal per standard deviation of habits.
ENGAGEMENT = 0.3
# Chance of a signal on a good answer and on a bad one.
SIGNALS = {"copied": (0.3, 0.08), "regenerated": (0.06, 0.28), "thanked": (0.12, 0.03)}
# Share of a user's answers that are rated, at quantiles of the users of a real log, where 0 and 1
# at .1 and .75 are those of few answers each; the ends carry on by their logits.
_LOGGED_HABITS = (0, 0.002), (0.1, 0.01), (0.25, 0.1), (0.5, 0.8), (0.75, 0.99), (1, 0.9996)
SELECTIONS = ("none", "x", "reward", "both", "u-shape", "complain")


def make_generator(random_state: Any) -> np.random.Generator:
    """Return a local generator from an int, a RandomState, a Generator or None."""
    if random_state is None or isinstance(random_state, np.random.Generator):
        return np.random.default_rng(random_state)
    return np.random.default_rng(check_random_state(random_state).randint(2**31 - 1, size=4))


def check_flip_rates(false_positive_rate: float, false_negative_rate: float) -> None:
    rates = (false_positive_rate, false_negative_rate)
    if not all(isinstance(rate, Real) and 0 <= rate < 1 for rate in rates) or sum(rates) >= 1:
        raise InvalidInputError(
            f"false_positive_rate={false_positive_rate!r} and "
            f"false_negative_rate={false_negative_rate!r} must lie in [0, 1) and sum to less "
            "than 1, since feedback is otherwise no better than a coin."
        )


def check_fraction(value: float, name: str, *, closed: str = "neither") -> None:
    check_scalar(value, name, Real, min_val=0, max_val=1, include_boundaries=closed)


def solve_intercept(score: np.ndarray, rate: float) -> float:
    """Return the c for which the mean of sigmoid(score + c) is `rate`."""
    center = np.log(rate / (1 - rate))
    low, high = center - score.max() - 1, center - score.min() + 1
    return brentq(lambda c: expit(score + c).mean() - rate, low, high, xtol=1e-12)


def scale_to_rate(weight: np.ndarray, rate: float) -> np.ndarray:
    """Return min(1, k * weight), with the k for which the mean is exactly `rate`."""
    ascending = np.sort(weight)
    n = weight.size
    n_capped = np.arange(n)[::-1]  # number of capped rows if this one is the largest below the cap
    k = (rate * n - n_capped) / np.cumsum(ascending)
    solves = (k > 0) & (k * ascending <= 1 + 1e-12)
    # The largest solution; there is none only if rate is 1, where every row is capped.
    factor = k[np.flatnonzero(solves)[-1]] if solves.any() else 1 / ascending[0]
    return np.minimum(1.0, factor * weight)


def flip(rng, reward, false_positive_rate, false_negative_rate) -> np.ndarray:
    """Return the reward with 0 changed to 1 and 1 to 0 at the given rates."""
    rate = np.where(reward == 1, false_negative_rate, false_positive_rate)
    return np.where(rng.random(reward.size) < rate, 1 - reward, reward)


def _shift(rate, by: np.ndarray) -> np.ndarray:
    """Return a rate moved on the logit scale; 0 stays 0."""
    odds = rate * np.exp(by)
    return odds / (1 - rate + odds)


def draw_feedback(
    rng: np.random.Generator,
    *,
    logit: np.ndarray,
    index: np.ndarray,
    selection: str,
    selection_strength: float,
    false_positive_rate: float,
    false_negative_rate: float,
    observed_rate: float,
    n_asked: int,
    n_verified: int,
    habit: np.ndarray | None = None,
    leniency: np.ndarray | None = None,
) -> Bunch:
    """Draw rewards from their logit, then who rates, then the ratings.

    Parameters
    ----------
    logit : ndarray of shape (n,)
        Logit of P(r=1 given x).
    index : ndarray of shape (n,)
        Standardised function of x alone, for the selections "x" and "both".
    habit : ndarray of shape (n,) or None, default=None
        Log of a factor on the chance of feedback: how readily the row's user rates.
    leniency : ndarray of shape (n,) or None, default=None
        Shift of the logit of false positives, and minus that of false negatives.
    """
    if selection not in SELECTIONS:
        raise ValueError(f"selection={selection!r} is unknown; choose one of {SELECTIONS}.")
    check_fraction(selection_strength, "selection_strength", closed="right")
    check_fraction(observed_rate, "observed_rate", closed="right")
    check_flip_rates(false_positive_rate, false_negative_rate)
    n = logit.size
    for name, count in (("n_asked", n_asked), ("n_verified", n_verified)):
        check_scalar(count, name, Integral, min_val=0, max_val=n)

    # A threshold at 0 of a logistic latent strength gives reward ~ Bernoulli(sigmoid(logit)), and
    # the strength is how strongly this user feels.
    strength = logit + rng.logistic(size=n)
    reward = (strength > 0).astype(np.float64)
    by_x = 2 * np.tanh(index)
    level = {
        "none": np.zeros(n),
        "x": by_x,
        "reward": reward,
        "both": by_x + reward,
        "u-shape": 2 * np.tanh(np.abs(strength) / np.sqrt(logit.var() + np.pi**2 / 3)),
        "complain": -reward,
    }[selection]
    log_factor = np.log(selection_strength) * (level.max() - level)
    if habit is not None:
        log_factor = log_factor + habit - habit.max()
    propensity = scale_to_rate(np.exp(log_factor), observed_rate)

    asked = np.zeros(n, dtype=bool)
    asked[rng.choice(n, size=n_asked, replace=False)] = True
    answered = (rng.random(n) < propensity) | asked
    lenient = np.zeros(n) if leniency is None else leniency
    rates = _shift(false_positive_rate, lenient), _shift(false_negative_rate, -lenient)
    logged = flip(rng, reward, *rates)
    verified = np.full(n, np.nan)
    checked = rng.choice(n, size=n_verified, replace=False)
    verified[checked] = reward[checked]
    return Bunch(
        y=np.where(answered, logged, np.nan),
        reward=reward,
        probability=expit(logit),
        propensity=propensity,
        asked=asked,
        verified=verified,
        n_capped=int((propensity >= 1).sum()),
    )


def draw_habits(rng: np.random.Generator, n_users: int, habits: str | float) -> np.ndarray:
    """Return the log factor of how readily each user rates, shape (n_users,).

    Parameters
    ----------
    rng : Generator
    n_users : int
    habits : "logged" or float
        The shape of a real log, or the standard deviation of a normal log factor.
    """
    if habits == "logged":
        at, share = np.transpose(_LOGGED_HABITS)
        return np.interp(rng.random(n_users), at, np.log(share / (1 - share)))
    if isinstance(habits, str):
        raise ValueError(f"habits={habits!r} is neither a number nor 'logged'.")
    check_scalar(habits, "habits", Real, min_val=0)
    return habits * rng.standard_normal(n_users)


def draw_signals(
    rng: np.random.Generator, reward: np.ndarray, names: Sequence[str], engagement: np.ndarray
):
    """Return a DataFrame of signals, 1 where one happened and 0 where not.

    Parameters
    ----------
    rng : Generator
    reward : ndarray of shape (n,)
    names : sequence of str
    engagement : ndarray of shape (n,)
        Shift of the logit of every signal.
    """
    import pandas as pd

    if unknown := sorted(set(names) - set(SIGNALS)):
        raise ValueError(f"signals={unknown!r} are unknown; choose among {tuple(SIGNALS)}.")
    columns = {}
    for name in names:
        good, bad = SIGNALS[name]
        rate = _shift(np.where(reward == 1, good, bad), engagement)
        columns[name] = (rng.random(len(reward)) < rate).astype(np.float64)
    return pd.DataFrame(columns)


def simulate_feedback(
    reward: Any,
    *,
    alpha: float = 0.5,
    false_positive_rate: float = 0.1,
    false_negative_rate: float = 0.2,
    observed_rate: float = 0.2,
    random_state: Any = None,
) -> Bunch:
    """Simulate feedback on graded rewards by the published protocol.

    The grade is rescaled to y in 1..5, rated with probability min(1, k alpha^(5 - y)), made
    binary, and flipped. Selection depends on the grade itself, so features explain only a part
    of it.

    Parameters
    ----------
    reward : array-like of shape (n,)
        Graded reward of every row, finite, with at least two levels.
    alpha : float, default=0.5
        Factor in (0, 1] on the chance of a rating for each grade down. A small factor is strong
        selection, 1 is none.
    false_positive_rate, false_negative_rate : float, default=0.1 and 0.2
        P(feedback 1 given reward 0) and P(feedback 0 given reward 1).
    observed_rate : float, default=0.2
        Mean propensity, in (0, 1]. The factor k is solved for it, with the cap at 1.
    random_state : int, RandomState, Generator or None, default=None
        Source of the draws.

    Returns
    -------
    Bunch
        ``y`` (n,) feedback 1, 0 or NaN; ``reward`` (n,) the binary reward, 1 where the grade
        exceeds the median of the list of levels that occur (not of the rows, so the share of
        positives may be far from a half); ``propensity`` (n,) the true P(rated given grade);
        ``n_capped`` the number of rows whose propensity is capped at 1.

    Raises
    ------
    ValueError
        If `reward` is not finite or has only one level, or if a parameter is out of range.
    InvalidInputError
        If the flip rates do not lie in [0, 1) or sum to 1 or more.

    Notes
    -----
    The protocol is steps 2 to 4 of the experiments in arXiv 2603.18736.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.datasets import simulate_feedback
    >>> grade = np.repeat([0, 1, 2, 3, 4], 200)
    >>> logs = simulate_feedback(grade, alpha=0.5, random_state=0)
    >>> round(float(logs.propensity.mean()), 6)
    0.2
    >>> float(logs.reward.mean())  # grades 3 and 4 lie above the median level, 2
    0.4
    """
    grade = np.asarray(reward, dtype=np.float64)
    if grade.ndim != 1 or not np.isfinite(grade).all():
        raise ValueError(
            f"reward must be a finite array of shape (n,), got shape {grade.shape} with "
            f"{int((~np.isfinite(grade)).sum())} values that are not finite."
        )
    levels = np.unique(grade)
    if levels.size < 2:
        raise ValueError(
            f"reward has {levels.size} level(s) in {grade.size} rows: two are needed to tell "
            "good from bad."
        )
    check_fraction(alpha, "alpha", closed="right")
    check_fraction(observed_rate, "observed_rate", closed="right")
    check_flip_rates(false_positive_rate, false_negative_rate)
    rng = make_generator(random_state)

    steps_down = 4 * (levels[-1] - grade) / (levels[-1] - levels[0])
    propensity = scale_to_rate(alpha**steps_down, observed_rate)
    binary = (grade > np.median(levels)).astype(np.float64)
    logged = flip(rng, binary, false_positive_rate, false_negative_rate)
    answered = rng.random(grade.size) < propensity
    return Bunch(
        y=np.where(answered, logged, np.nan),
        reward=binary,
        propensity=propensity,
        n_capped=int((propensity >= 1).sum()),
    )
