"""How readily each row's user rates: an instrument, which moves who rates and not what is good.

People differ widely in how readily they rate, and those who rate nearly everything are nearly
unselected. The habit of a row is the log odds that its user rates it, given what the user does with
the other rows, minus those of a user drawn at random; other instruments, such as a prompt for
feedback that is shown at random, are added to it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit
from sklearn.metrics import roc_auc_score
from sklearn.utils import gen_batches

from .._utils._columns import RowColumns
from .._utils._warnings import warn
from ..exceptions import AssumptionWarning
from ..model_selection._cross_fitting import Folds
from ._counts import habit_cells
from ._parameters import CURVE_END

# A user's own log odds of rating, against the average at the same x, lie on this grid.
_GRID = np.linspace(-7, 7, 29)
# Users from whom the distribution over the grid is estimated, and its iterations.
_USERS, _ROUNDS, _CONVERGED = 20_000, 200, 1e-5
# Largest habit, either way.
_FARTHEST = 5.0
# Standard deviation of habits below which all users count as alike.
_LEAST_SPREAD = 0.1
# Standard errors by which instruments must tell, out of fold, who rates.
_LEAST_EVIDENCE = 2.0
_IDLE = "they do not move who rates"
# Share of the rows beyond which a user counts for no more, or twice an equal share if that is more.
_LARGEST_USER = 0.02
# AUROC of the first linear predictor among rated rows, below which dislikes are not told from x.
_LEAST_AUROC = 0.55
# Share rated among the keenest below which the level rests on the form of the habit's effect.
LEAST_REACH = 0.5
# Effective number of users among the keenest below which a warning is raised.
FEW_USERS = 10
_BLOCK_ROWS = 2**15


class Habit(NamedTuple):
    """Habits of the rows, as the likelihood takes them.

    Attributes
    ----------
    values : ndarray of shape (n,)
        Log odds of rating that the row's user and instruments add; 0 in asked rows.
    power : ndarray of shape (n,)
        Factor of each row's likelihood, at most 1, so that no user outweighs the others.
    reach : float
        Share rated in the top cell of habits.
    """

    values: NDArray[np.float64]
    power: NDArray[np.float64]
    reach: float


def fit_habit(
    z: NDArray, y: NDArray, columns: RowColumns, folds: Folds
) -> tuple[Habit | None, dict[str, str]]:
    """Estimate habits from the users and instruments of the rows.

    Parameters
    ----------
    z : ndarray of shape (n, 2)
        Linear predictors.
    y : ndarray of shape (n,)
        0, 1, NaN where unrated.
    columns : RowColumns
    folds : Folds

    Returns
    -------
    habit : Habit or None
        None without users and instruments, and where they say nothing.
    sources : dict of str to str
        For "users" and "instruments", where given: "used", or why not.

    Warns
    -----
    AssumptionWarning
        If the thumbs cannot carry what habits show (code "habit-thumbs"), few users rate nearly
        everything ("habit-users"), or none do ("habit-reach").
    """
    given = {"users": columns.users, "instruments": columns.instruments}
    given = {name: column for name, column in given.items() if column is not None}
    if not given:
        return None, {}
    weight = columns.weighted(columns.unasked(len(y)).astype(np.float64))
    rated = ~np.isnan(y)
    if reason := _no_use(z, y, weight):
        return None, dict.fromkeys(given, reason)
    volunteered = weight > 0
    offset = _fit_offset(z[:, 1], rated, weight)
    values, sources = np.zeros(len(y)), {}
    if columns.instruments is not None:
        moved = _move_by_instruments(columns.instruments, offset, rated, weight, folds)
        sources["instruments"] = _spread(moved[volunteered], _IDLE)
        if not _evidence(moved, rated - expit(offset), weight) > _LEAST_EVIDENCE:
            sources["instruments"] = f"not used: {_IDLE}"
        if sources["instruments"] == "used":
            values, offset = values + moved, offset + moved
    if columns.users is not None:
        habits = _user_habits(columns.users, offset, rated, weight)
        sources["users"] = _spread(habits[volunteered], "they rate alike, or have one row each")
        if sources["users"] == "used":
            values = values + habits
    if "used" not in sources.values():
        return None, sources
    values = np.where(volunteered, values - np.average(values, weights=weight), 0.0)
    users = columns.users if sources.get("users") == "used" else None
    power = np.ones(len(y)) if users is None else _limit_users(users, weight)
    return Habit(values, power, _check_reach(values, rated, weight, users)), sources


def _no_use(z, y, weight) -> str:
    """Return why habits say nothing of the level whatever they are, or an empty string."""
    rated = ~np.isnan(y) & (weight > 0)
    if not rated.any() or rated.sum() == (weight > 0).sum():
        return "not used: there is no selection"
    if np.ptp(y[rated]) == 0:
        return "not used: volunteers left one kind of feedback"
    auroc = roc_auc_score(y[rated], z[rated, 0], sample_weight=weight[rated])
    if auroc >= _LEAST_AUROC:
        return ""
    warn(
        f"Among rated rows, x hardly tells likes from dislikes (AUROC {auroc:.2f} out of fold), so "
        f"users and instruments say nothing of the level and were left out: have about 50 rows "
        f"checked.",
        AssumptionWarning,
        "habit-thumbs",
    )
    return "not used: among rated rows x does not tell likes from dislikes"


def _spread(values: NDArray, reason: str) -> str:
    return "used" if values.std() >= _LEAST_SPREAD else f"not used: {reason}"


def _fit_offset(z: NDArray, rated: NDArray, weight: NDArray) -> NDArray[np.float64]:
    """Return the log odds of rating by the second linear predictor and its square, (n,)."""
    curve = np.clip(z, -CURVE_END, CURVE_END) ** 2 - 1
    design = np.column_stack([np.ones(len(z)), z, curve])
    return design @ _fit_logit(design, np.zeros(len(z)), rated, weight, np.array([0, 1e-3, 1e-3]))


def _fit_logit(design, offset, rated, weight, penalty) -> NDArray[np.float64]:
    """Return coefficients of a ridge-penalised logistic regression, by Newton steps."""
    share = np.clip(np.average(rated, weights=weight), 1e-6, 1 - 1e-6)
    coef = np.zeros(design.shape[1])
    if not offset.any():
        coef[0] = np.log(share / (1 - share))
    for _ in range(50):
        p = expit(design @ coef + offset)
        gradient = design.T @ (weight * (rated - p)) - penalty * coef
        curve = (design * (weight * p * (1 - p))[:, None]).T @ design + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curve, gradient)
        coef += step * min(1.0, 2.0 / np.abs(step).max(initial=1e-9))
        if np.abs(step).max() < 1e-8:
            break
    return coef


def _move_by_instruments(instruments, offset, rated, weight, folds: Folds) -> NDArray[np.float64]:
    """Return what instruments add to the log odds of rating, out of fold, (n,)."""
    total = weight.sum()
    known = ~np.isnan(instruments)
    filled = np.where(known, instruments, 0.0)
    mean = weight @ filled / np.maximum(weight @ known, 1e-300)
    centered = np.where(known, filled - mean, 0.0)
    sd = np.sqrt(weight @ centered**2 / total)
    scaled = centered[:, sd > 0] / sd[sd > 0]
    design = np.column_stack([np.ones(len(offset)), scaled])
    penalty = np.append(0.0, np.ones(scaled.shape[1]))
    moved = np.zeros(len(offset))
    for k in range(folds.n_splits):
        train, test = folds.of_row != k, folds.of_row == k
        part = design[train], offset[train], rated[train], weight[train]
        moved[test] = scaled[test] @ _fit_logit(*part, penalty)[1:]
    return moved


def _evidence(moved, residual, weight) -> float:
    """Return how well out-of-fold log odds fit who rates, in standard errors."""
    product = weight * (moved - np.average(moved, weights=weight)) * residual
    return float(product.sum() / max(np.sqrt(product @ product), 1e-300))


def _user_habits(users, offset, rated, weight) -> NDArray[np.float64]:
    """Return log odds of rating given the user's other rows, minus those of any user, (n,)."""
    sign = np.where(rated, 1.0, -1.0)
    by_user = np.empty((int(users.max()) + 1, len(_GRID)))
    for q, t in enumerate(_GRID):
        by_user[:, q] = np.bincount(users, weight * log_expit(sign * (offset + t)), len(by_user))
    prior = _grid_weights(by_user[np.bincount(users, weight, len(by_user)) > 0])
    log_prior, habits = np.log(prior), np.empty(len(offset))
    for rows in gen_batches(len(offset), _BLOCK_ROWS):
        log_odds = offset[rows, None] + _GRID
        own = weight[rows, None] * log_expit(sign[rows, None] * log_odds)
        others = by_user[users[rows]] - own + log_prior
        others -= others.max(axis=1, keepdims=True)
        np.exp(others, out=others)
        rates, silent = expit(log_odds), expit(-log_odds)
        habits[rows] = np.log((others * rates).sum(axis=1) / (others * silent).sum(axis=1))
        habits[rows] -= np.log((rates @ prior) / (silent @ prior))
    return np.clip(habits, -_FARTHEST, _FARTHEST)


def _grid_weights(by_user: NDArray) -> NDArray[np.float64]:
    """Return the maximum likelihood distribution of users over the grid, by EM."""
    if len(by_user) > _USERS:
        by_user = by_user[np.random.default_rng(0).choice(len(by_user), _USERS, replace=False)]
    likelihood = np.exp(by_user - by_user.max(axis=1, keepdims=True))
    weights = np.full(len(_GRID), 1 / len(_GRID))
    for _ in range(_ROUNDS):
        before = weights
        weights = weights * (likelihood.T @ (1 / (likelihood @ weights))) / len(likelihood)
        if np.abs(weights - before).max() < _CONVERGED:
            break
    return np.maximum(weights, 1e-12)


def _limit_users(users, weight) -> NDArray[np.float64]:
    """Return factors that leave no user more than 2% of the rows."""
    rows = np.bincount(users, weight)
    most = max(_LARGEST_USER, 2 / np.count_nonzero(rows)) * rows.sum()
    return np.minimum(1.0, most / np.maximum(rows, 1e-300))[users]


def find_keenest(
    values: NDArray, rated: NDArray[np.bool_], weight: NDArray, users: NDArray | None
) -> tuple[float, float]:
    """Return the share rated in the top cell of habits, and how many users are there in effect.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Habits.
    rated : ndarray of bool, shape (n,)
    weight : ndarray of shape (n,)
        0 in rows that were asked.
    users : ndarray of int, shape (n,), or None
        None counts as any number of users.
    """
    cell = habit_cells(values, rated, weight)
    top = (cell == cell[weight > 0].max()) & (weight > 0)
    reach = float(np.average(rated[top], weights=weight[top]))
    if users is None:
        return reach, np.inf
    rows = np.bincount(users[top], weight[top])
    return reach, float(rows.sum() ** 2 / (rows**2).sum())


def _check_reach(values, rated, weight, users) -> float:
    """Return the share rated among the keenest, and warn if little rests on data there."""
    reach, effective = find_keenest(values, rated, weight, users)
    if reach < LEAST_REACH:
        warn(
            f"Where users are keenest, {reach:.0%} of the rows are rated, so the level rests on "
            f"the assumed form of the habit's effect: have about 50 rows checked if it matters.",
            AssumptionWarning,
            "habit-reach",
        )
    if effective < FEW_USERS:
        warn(
            f"The keenest rows are those of {effective:.0f} users in effect, so the level "
            f"rests on a few people: have about 50 rows checked if it matters.",
            AssumptionWarning,
            "habit-users",
        )
    return reach
