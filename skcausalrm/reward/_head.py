"""Heads fitted on a target and a weight."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import has_fit_parameter

from ..exceptions import InvalidInputError, UnusedParameterError
from ..heads._moments import FoldMoments
from ..heads._ridge import RidgeHead, held_out_scores
from ..model_selection._cross_fitting import Folds, cross_fit
from ..nuisances._recipes import Target
from ..selection._mixture_head import MixtureHead
from ._fit_nuisances import Defaults, seeded


def fit_head(
    estimator: Any,
    X: NDArray,
    target: Target,
    folds: Folds,
    defaults: Defaults,
    *,
    moments: Callable[[], FoldMoments] | None = None,
    binary: bool = True,
) -> Any:
    """Fit a head on the rows of positive weight.

    Parameters
    ----------
    estimator : regressor or None
        None is `RidgeHead`, whose penalty is chosen on the out-of-fold risk against the target.
    X : ndarray of shape (n, d)
    target : Target
        Targets and weights, sample weights included; rows of weight 0 are left out.
    folds : Folds
    defaults : Defaults
    moments : callable or None
        Returns the moments of all rows with exactly these weights, where the caller has them.
    binary : bool, default=True
        True if the reward is a probability.

    Returns
    -------
    fitted regressor

    Raises
    ------
    UnusedParameterError
        If rows are weighted and the estimator takes no `sample_weight`.
    InvalidInputError
        If the head predicts probabilities and the feedback is continuous.
    """
    if estimator is None:
        head = RidgeHead(cv=defaults.cv, random_state=defaults.random_state)
    else:
        head = seeded(estimator, defaults.random_state)
    if not binary and getattr(head, "link", None) == "logistic":
        raise InvalidInputError(
            f"The feedback is not 0/1, but {head!r} predicts probabilities: set link='identity'."
        )
    values, weight = target
    rows = weight > 0
    if isinstance(head, RidgeHead):
        own = FoldMoments(X, folds.of_row, folds.n_splits, weight) if moments is None else moments()
        return head.fit_moments(own, np.where(rows, values, 0.0))
    kwargs = {name: column[rows] for name, column in _fit_params(head, weight, folds).items()}
    return head.fit(X if rows.all() else X[rows], values[rows], **kwargs)


def _fit_params(head, weight: NDArray, folds: Folds) -> dict[str, NDArray]:
    """Return weights, unless they are all equal, and groups, where the head takes them."""
    params: dict[str, NDArray] = {}
    if (weight[weight > 0] != weight.max()).any():
        if not has_fit_parameter(head, "sample_weight"):
            raise UnusedParameterError(
                f"The rows are weighted, but {type(head).__name__}.fit takes no sample_weight: "
                f"use a regressor that does, or method='dr', whose weights are all 1."
            )
        params["sample_weight"] = weight
    if has_fit_parameter(head, "groups"):
        params["groups"] = folds.groups
    return params


def out_of_fold_predictions(
    head: Any, X: NDArray, target: Target, folds: Folds, *, n_jobs: int | None = None
) -> NDArray[np.float64]:
    """Return each row's prediction by a head that was not fitted on the row's fold, shape (n,).

    Free for `RidgeHead`; other heads are fitted once more per fold.
    """
    if isinstance(head, RidgeHead):
        return held_out_scores(X, folds.of_row, head.fold_coefs_, head.fold_intercepts_)
    return cross_fit(
        head,
        X,
        target.values,
        folds,
        rows=target.weight > 0,
        fit_params=_fit_params(head, target.weight, folds),
        n_jobs=n_jobs,
    )[1]


def reward_and_std(
    fitted: Any, X: NDArray, *, return_std: bool, pessimism: float | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the rewards of a fitted estimator, and their standard deviations or None.

    Rewards of a head on 0/1 feedback are clipped to [0, 1], then recalibrated.

    Raises
    ------
    UnusedParameterError
        If `return_std` or `pessimism` and the head keeps neither folds nor components.
    InvalidInputError
        If `pessimism` is not a positive number.
    """
    if pessimism is not None and not 0 < pessimism < np.inf:
        raise InvalidInputError(
            f"pessimism is {pessimism!r}, but must be a positive number, or None for none."
        )
    head, recalibration, std = fitted.estimator_, fitted.recalibration_, None
    own = isinstance(head, RidgeHead | MixtureHead)
    if not own and (return_std or pessimism is not None):
        raise UnusedParameterError(
            f"{'return_std' if return_std else 'pessimism'} needs a head that keeps its folds or "
            f"components, but a {type(head).__name__} is one model: leave estimator out."
        )
    binary = {"binary": fitted.binary_} if isinstance(head, RidgeHead) else {}
    if pessimism is None:
        reward = np.asarray(head.predict(X), dtype=np.float64)
    else:
        reward = head.pessimistic(X, pessimism, **binary)
    if return_std and isinstance(head, RidgeHead):
        std = head.predict_std(X, **binary)
    elif return_std:
        std = head.predict(X, return_std=True)[1]
    if fitted.binary_:
        reward = np.clip(reward, 0, 1)
    if recalibration is None:
        return reward, std
    return recalibration(reward), None if std is None else recalibration.derivative(reward) * std
