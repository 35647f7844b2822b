"""Method of a fit as an object, and the out-of-fold scores of the fit."""

import warnings
from typing import Any

import numpy as np
from sklearn.base import clone

from .. import (
    CausalRewardRegressor,
    DoublyRobust,
    InversePropensity,
    NoiseOnly,
    NoiseTransitionEstimator,
    SelectionModel,
)
from .._utils._columns import RowColumns
from .._utils._warnings import warn
from ..exceptions import MethodFallbackWarning, SkcausalrmWarning, UnusedParameterError
from ..model_selection._cross_fitting import cross_fit, make_folds
from ..nuisances._recipes import unread_columns
from ..selection._draws import N_DRAWS, outcome_draws
from ._logs import FeedbackLog
from ._pseudo_outcomes import doubly_robust
from ._scores import all_scores

Rates = dict[str, float | None]


def correction(
    method: str, known_rates: Rates, base_rate: float | tuple[float, float] | None, y: np.ndarray
) -> Any:
    """Return the method by name, or as an object that holds the known rates."""
    noise = _noise_estimator(known_rates)
    if noise is None and base_rate is None:
        return method
    if method == "auto" and not np.isnan(y).any():
        if base_rate is not None:
            raise UnusedParameterError(
                "--base-rate is for the selection likelihood, which needs unrated rows: leave it "
                "out, or add the answers without feedback to the logs."
            )
        warn(
            f"--method auto used 'noise', because all {len(y)} rows are rated: name a method to "
            "choose it yourself.",
            MethodFallbackWarning,
        )
        method = "noise"
    if method in ("auto", "selection"):
        return SelectionModel(base_rate=base_rate, **known_rates)
    if method == "dr":
        return DoublyRobust(noise_estimator=noise)
    if method == "noise":
        return NoiseOnly(noise_estimator=noise)
    return InversePropensity(noise_estimator=noise, normalize=method == "snips")


def columns_read(method: str, columns: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that a method reads, which auto may have chosen."""
    unread = set(unread_columns(method))
    if "signals" in unread:
        unread.add("signal_directions")
    return {name: values for name, values in columns.items() if name not in unread}


def _noise_estimator(known_rates: Rates) -> NoiseTransitionEstimator | None:
    """Return an estimator that holds the known flip rates, or None if no rate is known."""
    return None if set(known_rates.values()) == {None} else NoiseTransitionEstimator(**known_rates)


def out_of_fold_scores(
    reward: CausalRewardRegressor,
    X: np.ndarray,
    log: FeedbackLog,
    columns: dict[str, Any],
    known_rates: Rates,
) -> dict[str, Any]:
    """Return scores of clones of `reward`, each on prompts that it was not fitted on."""
    fold_reward = clone(reward)
    if reward.method == "auto":  # every fold by the method of the whole log
        fold_reward.set_params(method=reward.method_)
    columns = columns_read(reward.method_, columns)
    users = {} if log.users is None else {"users": log.users}
    with warnings.catch_warnings():
        # The fit on all rows has given these warnings already.
        warnings.simplefilter("ignore", SkcausalrmWarning)
        if reward.method_ == "selection":
            z = outcome_draws(
                reward.nuisances_.selection_model,
                log.y,
                RowColumns(asked=columns.get("asked"), verified=columns.get("verified")),
                N_DRAWS,
                reward.random_state,
            )
        else:
            z = doubly_robust(X, log, _noise_estimator(known_rates), reward.random_state)
        _, prediction = cross_fit(
            fold_reward,
            X,
            log.y,
            make_folds(X, log.y, log.groups, reward.cv, reward.random_state),
            fit_params={"groups": log.groups, **users, **columns},
        )
    return all_scores(log, z, prediction, reward.nuisances_.rates)
