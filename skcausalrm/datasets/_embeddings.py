"""Simulated embeddings with known rewards and biased feedback."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_scalar

from ._mechanism import (
    ENGAGEMENT,
    check_fraction,
    draw_feedback,
    draw_habits,
    draw_signals,
    make_generator,
    solve_intercept,
)

# Standard deviation of the logit of P(r=1 given x), by the name of the signal.
SIGNALS = {"weak": 1.1, "medium": 2.0, "strong": 3.8}
_GROUP_SHARE = 0.7  # share of the factors' variance that the rows of a group have in common
_PROMPT_EFFECT = 0.25  # share of the score's variance that is a level of the group
_BLOCK_BYTES = 2**23  # size of the blocks in which X is written


def make_observational_feedback(
    n_samples: int = 10_000,
    n_features: int = 128,
    *,
    selection: str = "x",
    selection_strength: float = 0.5,
    base_rate: float = 0.5,
    signal: str | float = "medium",
    nonlinearity: float = 0.15,
    intrinsic_dim: int | None = None,
    false_positive_rate: float = 0.1,
    false_negative_rate: float = 0.2,
    observed_rate: float = 0.2,
    n_groups: int | None = None,
    n_asked: int = 0,
    n_verified: int = 0,
    n_users: int | None = None,
    habits: str | float = "logged",
    habit_quality: float = 0.0,
    habit_leniency: float = 0.0,
    signals: Sequence[str] | None = None,
    signal_dependence: float = 0.0,
    dtype: Any = "float32",
    random_state: Any = None,
) -> Bunch:
    """Simulate embeddings of answers, their true rewards, and users' feedback.

    Heavy-tailed factors with a decaying spectrum are embedded in `n_features` dimensions. The
    logit of P(r=1 given x) is a linear and a nonlinear function of the factors.

    Parameters
    ----------
    n_samples, n_features : int, default=10_000 and 128
        Shape of ``X``.
    selection : {"none", "x", "reward", "both", "u-shape", "complain"}, default="x"
        Dependence of the chance of feedback: none; on a direction of x in which the reward
        rises and its slope changes; on the reward; on both; on how strongly the user feels
        either way; on the reward, with disliked answers rated more often.
    selection_strength : float, default=0.5
        Factor in (0, 1] on the chance of feedback per level. A small factor is strong selection,
        1 is none. "reward" and "complain" have two levels, "u-shape" spans 2, "x" 4 and "both" 5.
    base_rate : float, default=0.5
        Mean of ``probability``, in (0, 1). The intercept is solved for it exactly.
    signal : {"weak", "medium", "strong"} or float, default="medium"
        Standard deviation of the logit: 1.1, 2.0, 3.8, or the one given. See Notes.
    nonlinearity : float, default=0.15
        Share in [0, 1] of the logit's variance that no linear head can reach.
    intrinsic_dim : int or None, default=None
        Number of factors; None means min(32, n_features).
    false_positive_rate, false_negative_rate : float, default=0.1 and 0.2
        P(feedback 1 given reward 0) and P(feedback 0 given reward 1).
    observed_rate : float, default=0.2
        Mean of ``propensity``, in (0, 1]. The solution includes the cap at 1.
    n_groups : int or None, default=None
        Number of prompts. Rows of a prompt share 70% of their factors' variance, and a level (a
        quarter of the logit's variance) that is independent of other prompts, so row-wise
        cross-validation is optimistic. None gives every row a prompt of its own.
    n_asked : int, default=0
        Number of rows, drawn at random, that were asked and answered. Their feedback is as noisy
        as any.
    n_verified : int, default=0
        Number of rows, drawn at random, whose reward a person has checked.
    n_users : int or None, default=None
        Number of users, of whom a few are very active. None means that there are none.
    habits : "logged" or float, default="logged"
        How far users differ in how readily they rate. "logged" has the shape of a real log, in
        which users at the quantiles .1, .25, .5 and .75 rated 0, .10, .80 and all of their answers;
        their odds are then factors, scaled to `observed_rate`. A float is the standard deviation of
        a normal log factor.
    habit_quality : float, default=0.0
        Shift of the logit of P(r=1) per standard deviation of habits: users who rate a lot then get
        better answers, and users are no longer an instrument.
    habit_leniency : float, default=0.0
        Shift of the logit of false positives, and minus that of false negatives, per standard
        deviation of habits: users who rate a lot are then lenient.
    signals : sequence of {"copied", "regenerated", "thanked"} or None, default=None
        Further signals of the reward. They happen in .30, .06 and .12 of the good answers and in
        .08, .28 and .03 of the bad ones; users who rate a lot do more of each.
    signal_dependence : float, default=0.0
        Factor on a standard normal variable of each row that all signals have in their logits: they
        then hang together beyond what the reward explains.
    dtype : {"float32", "float64"}, default="float32"
        Type of ``X``, which is written in blocks, without a second copy.
    random_state : int, RandomState, Generator or None, default=None
        Source of the draws. The reward function is also drawn, so split one data set into
        training and test rows instead of drawing two.

    Returns
    -------
    Bunch
        ``X`` (n_samples, n_features); ``y`` (n_samples,) feedback 1, 0, or NaN for none;
        ``reward`` the true binary reward; ``probability`` P(r=1 given x, prompt); ``propensity``
        the true chance that feedback is volunteered, given all that it depends on; ``groups``
        prompt ids; ``users`` user ids, or None; ``signals`` a DataFrame, or None; ``asked`` bool;
        ``verified`` the reward, NaN where unchecked; ``n_capped`` the number of propensities
        capped at 1. Where users differ, ``probability`` and ``propensity`` are given the user too.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or of the wrong type.
    InvalidInputError
        If the flip rates do not lie in [0, 1) or sum to 1 or more.

    Notes
    -----
    Measured on 20,000 clean training and 20,000 test rows at the defaults, mean of three draws,
    against the binary reward of the test rows:

    ======  ==============================  ==============================
    signal  linear head, R2/Pearson/AUROC   ``probability``, R2/Pearson/AUROC
    ======  ==============================  ==============================
    weak    .15 / .39 / .72                 .18 / .43 / .74
    medium  .30 / .55 / .82                 .36 / .60 / .85
    strong  .47 / .69 / .90                 .57 / .76 / .93
    ======  ==============================  ==============================

    With "strong", P(r=1 given x) is below .01 in over 3% of the rows and above .99 in over 3%, so
    there are anchors from which flip rates can be estimated. With "weak" (3% and 97% quantiles
    .11 and .90) and "medium" (.02 and .98) there are none or few.

    Examples
    --------
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> data = make_observational_feedback(2_000, 16, n_groups=500, random_state=0)
    >>> data.X.shape, data.X.dtype
    ((2000, 16), dtype('float32'))
    >>> round(float(data.probability.mean()), 6), round(float(data.propensity.mean()), 6)
    (0.5, 0.2)
    """
    check_scalar(n_samples, "n_samples", Integral, min_val=2)
    check_scalar(n_features, "n_features", Integral, min_val=1)
    if intrinsic_dim is None:
        intrinsic_dim = min(32, n_features)
    check_scalar(intrinsic_dim, "intrinsic_dim", Integral, min_val=1, max_val=n_features)
    check_fraction(base_rate, "base_rate")
    check_fraction(nonlinearity, "nonlinearity", closed="both")
    if n_groups is not None:
        check_scalar(n_groups, "n_groups", Integral, min_val=1, max_val=n_samples)
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype={dtype.name!r} is not one of 'float32' and 'float64'.")
    deviation = _logit_deviation(signal)

    rng = make_generator(random_state)
    groups = np.arange(n_samples)
    if n_groups is not None:
        groups = rng.permutation(groups % n_groups)
    X, factors = _make_features(rng, n_samples, n_features, intrinsic_dim, groups, n_groups, dtype)
    score, index = _score(rng, factors, nonlinearity)
    if n_groups is not None:
        level = _standardize(rng.standard_normal(n_groups)[groups])
        score = np.sqrt(1 - _PROMPT_EFFECT) * score + np.sqrt(_PROMPT_EFFECT) * level
    logit = deviation * _standardize(score)
    users, habit, leniency = None, None, None
    if n_users is not None:
        check_scalar(n_users, "n_users", Integral, min_val=1, max_val=n_samples)
        users, habit = _draw_users(rng, n_samples, n_users, habits)
        logit += habit_quality * _standardize(habit)
        leniency = habit_leniency * _standardize(habit) if habit_leniency else None
    logit += solve_intercept(logit, base_rate)
    logs = draw_feedback(
        rng,
        logit=logit,
        index=index,
        selection=selection,
        selection_strength=selection_strength,
        false_positive_rate=false_positive_rate,
        false_negative_rate=false_negative_rate,
        observed_rate=observed_rate,
        n_asked=n_asked,
        n_verified=n_verified,
        habit=habit,
        leniency=leniency,
    )
    table = None
    if signals is not None:
        engagement = np.zeros(n_samples) if habit is None else _standardize(habit)
        engagement = ENGAGEMENT * engagement + signal_dependence * rng.standard_normal(n_samples)
        table = draw_signals(rng, logs.reward, signals, engagement)
    return Bunch(X=X, groups=groups, users=users, signals=table, **logs)


def _draw_users(rng, n_samples: int, n_users: int, habits: str | float):
    """Return the user of each row, and the log factor of how readily that user rates."""
    activity = rng.lognormal(0, 1.2, n_users)
    users = rng.choice(n_users, n_samples, p=activity / activity.sum())
    habit = draw_habits(rng, n_users, habits)
    return users, habit[users]


def _logit_deviation(signal: str | float) -> float:
    if isinstance(signal, str):
        if signal not in SIGNALS:
            raise ValueError(f"signal={signal!r} is neither a number nor one of {tuple(SIGNALS)}.")
        return SIGNALS[signal]
    check_scalar(signal, "signal", Real, min_val=0)
    return float(signal)


def _make_features(rng, n: int, d: int, k: int, groups, n_groups: int | None, dtype: np.dtype):
    """Return X = factors @ loadings + noise, and the (n, k) factors that X determines.

    Reading the factors back through the orthonormal loadings makes every later quantity a
    function of X, so that selection on x is ignorable given X and not only given the factors.
    """
    spectrum = np.arange(1, k + 1) ** -0.5
    loadings = np.linalg.qr(rng.standard_normal((d, k)))[0].T.astype(dtype)
    heavy = rng.standard_t(5, size=(n, k)).astype(dtype)
    if n_groups is not None:
        shared = rng.standard_t(5, size=(n_groups, k)).astype(dtype)
        heavy *= np.sqrt(1 - _GROUP_SHARE)
        heavy += np.sqrt(_GROUP_SHARE) * shared[groups]
    # Factor j has standard deviation sqrt(d / k) * spectrum_j; coordinates of X are of order 1.
    heavy *= (np.sqrt(0.6 * d / k) * spectrum).astype(dtype)
    noise = dtype.type(0.3)

    X = np.empty((n, d), dtype=dtype)
    factors = np.empty((n, k))
    block = max(1, _BLOCK_BYTES // (d * dtype.itemsize))
    for start in range(0, n, block):
        rows = X[start : start + block]
        rng.standard_normal(out=rows, dtype=dtype)
        rows *= noise
        rows += heavy[start : start + block] @ loadings
        factors[start : start + block] = rows @ loadings.T
    return X, factors


def _score(rng, factors: np.ndarray, nonlinearity: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a unit-variance score of the factors, and the standardised index for selection."""
    z = _standardize(factors)
    k = z.shape[1]
    weight = rng.standard_normal(k) * np.arange(1, k + 1) ** -0.25
    linear = _standardize(z @ weight)
    # The index is half the linear score, half a factor that bends the score's slope, so rows
    # that are rated often differ from the rest in level and in slope.
    bend = z[:, int(rng.integers(min(k, 4)))]
    index = _standardize(linear + _standardize(bend))
    partner = np.tanh(z @ rng.standard_normal(k) / np.sqrt(k))
    nonlinear = np.tanh(index) * partner + 0.5 * np.abs(np.tanh(bend))
    # Remove the part that is linear in the factors.
    design = np.column_stack([np.ones(len(z)), z])
    nonlinear = nonlinear - design @ np.linalg.lstsq(design, nonlinear, rcond=None)[0]
    score = np.sqrt(1 - nonlinearity) * linear + np.sqrt(nonlinearity) * _standardize(nonlinear)
    return score, index


def _standardize(values: np.ndarray) -> np.ndarray:
    scale = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(scale > 0, scale, 1)
