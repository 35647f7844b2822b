"""Out-of-fold pseudo-outcomes: one target on which all candidates of a study are scored."""

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from .._utils._columns import check_columns
from .._utils._validation import Feedback, check_embeddings, check_feedback
from ..exceptions import FeedbackError, InvalidInputError, UnusedParameterError
from ..model_selection._cross_fitting import make_folds
from ..nuisances._recipes import Target
from ..selection._draws import outcome_draws
from ..selection._model import SelectionModel
from ._corrections import Correction, method_name
from ._fit_nuisances import Defaults, NuisanceFit, fit_nuisances

# Largest flip rate of a draw: two of them leave feedback better than a coin.
_LARGEST_RATE = 0.45
_METHODS = ("dr", "ips", "snips", "selection")


def pseudo_outcomes(
    X,
    y,
    *,
    method="dr",
    groups=None,
    users=None,
    sample_weight=None,
    asked=None,
    verified=None,
    propensity=None,
    judge_score=None,
    n_draws=None,
    cv=5,
    random_state=None,
    n_jobs=None,
) -> NDArray[np.float64]:
    """Return z with E[z given x] = P(r=1 given x) for every row, rated or not.

    Each row's z comes from nuisances that have not seen the row's group. Compute it once and use
    it for every candidate of a study: a candidate scored by its own nuisances has its own target.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Embeddings.
    y : array-like of shape (n,)
        Feedback 0 or 1, NaN where there is none.
    method : {"dr", "ips", "snips", "selection"}, correction or SelectionModel, default="dr"
        "dr": m + o (t - m)/e; "ips": o t/e; "snips": the same with weights of mean 1;
        "selection": P(r=1 given o, s, x) of `SelectionModel`, where selection may depend on the
        preference itself. Or an object, as in `CausalRewardRegressor`.
    groups, users, sample_weight, asked : array-like of shape (n,), default=None
        Per-row columns, as in `CausalRewardRegressor.fit`.
    verified : array-like of shape (n,), default=None
        Judged rows, for "selection" only, as in `CausalRewardRegressor.fit`. They identify the
        level of z. Or keep them out, and correct z by them: `prediction_powered`.
    propensity, judge_score : array-like of shape (n,), default=None
        Per-row columns, as in `CausalRewardRegressor.fit`.
    n_draws : int or None, default=None
        Number of equally likely draws of z, for standard errors that contain what the nuisances
        leave open; 50 tell such an error to about a tenth. None: one z.
    cv : int, splitter or None, default=5
        Folds of the nuisances.
    random_state : int, RandomState or None, default=None
        Seed of the folds, the bootstrap and the draws.
    n_jobs : int or None, default=None
        Folds fitted in parallel.

    Returns
    -------
    ndarray of shape (n,) or (n, n_draws), float64
        Pseudo-outcomes; values may lie outside [0, 1].

    Raises
    ------
    FeedbackError
        If the feedback is not 0/1, or the method gives no pseudo-outcome for unrated rows.
    UnusedParameterError, InvalidInputError, GroupsError
        As in `CausalRewardRegressor.fit`.

    Notes
    -----
    Unbiased if flip rates are right, selection does not depend on the reward given x, and e (for
    "dr": e or m) is right; "selection" if its likelihood is right and the log or verified rows
    identify the base rate.

    Draws of "dr", "ips" and "snips" redraw the flip rates from their standard errors; known rates
    leave nothing open, and the errors of e and m are of second order. Draws of "selection" redraw
    all of its likelihood, and are rectified on rated rows: with p = P(r=1 given x) and
    e_r = P(rated given r, x), ``z = p + o (t (1 - p)/e_1 - (1 - t) p/e_0)``. The mean of that
    given x is P(r=1 given x) even where p knows less of x than a candidate does, which would grade
    the candidate down by the posterior that is the one z.

    Examples
    --------
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.metrics import pseudo_outcomes
    >>> log = make_observational_feedback(4000, 8, signal="strong", random_state=0)
    >>> pseudo_outcomes(log.X, log.y, random_state=0).shape
    (4000,)
    >>> pseudo_outcomes(log.X, log.y, n_draws=50, random_state=0).shape
    (4000, 50)
    """
    if not isinstance(method, (str, Correction, SelectionModel)):
        raise InvalidInputError(
            f"method is {method!r}, but must be a name, a correction such as DoublyRobust(), or a "
            f"SelectionModel()."
        )
    name = method_name(method)
    if name not in _METHODS:
        raise FeedbackError(
            f"method={name!r} gives no pseudo-outcome for unrated rows: choose one of "
            f"{', '.join(map(repr, _METHODS))}."
        )
    X = check_embeddings(X, ensure_min_samples=2)
    feedback = check_feedback(X, y)
    if not feedback.binary:
        raise FeedbackError(
            f"Pseudo-outcomes need 0/1 feedback, but {feedback.observed.sum()} rated rows hold "
            f"other values: binarise them."
        )
    columns = check_columns(
        X, groups, users, sample_weight, asked, verified, propensity, judge_score
    )
    if columns.verified is not None and name != "selection":
        raise UnusedParameterError(
            f"verified was given, but pseudo-outcomes of method={name!r} do not use it: leave it "
            f"out, and correct z by them (prediction_powered), or choose 'selection'."
        )
    if n_draws is not None and not (isinstance(n_draws, (int, np.integer)) and n_draws > 0):
        raise InvalidInputError(f"n_draws is {n_draws!r}, but must be a positive number or None.")
    folds = make_folds(X, feedback.values, groups, cv, random_state)
    fit = fit_nuisances(method, X, feedback, columns, folds, Defaults(cv, random_state, n_jobs))
    if n_draws is None:
        return _outcomes(name, feedback, fit.target)
    rng, n_draws = check_random_state(random_state), int(n_draws)
    if name == "selection":
        model = fit.nuisances.selection_model
        return outcome_draws(model, feedback.values, columns, n_draws, rng)
    return _flip_draws(name, feedback, fit, n_draws, rng)


def _outcomes(name: str, feedback: Feedback, target: Target) -> NDArray[np.float64]:
    values, weight = target
    if name in ("dr", "selection"):
        return values
    z = np.where(feedback.observed, values * weight, 0.0)
    return z * (len(z) / feedback.observed.sum()) if name == "snips" else z


def _flip_draws(
    name: str, feedback: Feedback, fit: NuisanceFit, n_draws: int, rng
) -> NDArray[np.float64]:
    """Return z for draws of the flip rates.

    Corrected labels by other rates are ``(d t + f - f') / d'``, d being one minus both rates and f
    the false positive rate. m, a regression on them, moves alike, and z is linear in both.
    """
    z, (f, g) = _outcomes(name, feedback, fit.target), fit.nuisances.rates
    ones = fit.target._replace(values=np.ones(len(z)))
    of_one = _outcomes(name, feedback, ones)  # z if t and m were 1 everywhere
    noise = fit.nuisances.noise_estimator
    stds = [noise.false_positive_rate_std_, noise.false_negative_rate_std_]
    # A rate that is known for sure, or was estimated, may be larger.
    largest = np.maximum(_LARGEST_RATE, [f, g])
    drawn = np.clip(rng.normal([f, g], stds, size=(n_draws, 2)), 0, largest)
    contrast = np.maximum(1 - drawn.sum(axis=1), min(1 - f - g, 1 - 2 * _LARGEST_RATE))
    return ((1 - f - g) * z[:, None] + of_one[:, None] * (f - drawn[:, 0])) / contrast
