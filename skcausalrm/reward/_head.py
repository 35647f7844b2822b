"""The one place that fits heads on a target and a weight."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from ..exceptions import UnusedParameterError
from ..heads._moments import FoldMoments
from ..heads._ridge import RidgeHead, held_out_scores
from ..model_selection._cross_fitting import Folds, cross_fit

__all__ = ["fit_head", "out_of_fold_predictions"]


def _make_head(estimator, *, cv, binary: bool, random_state, verbose: int):
    if estimator is None:
        return RidgeHead(cv=cv, random_state=random_state)
    if isinstance(estimator, str):
        from ..heads._mlp import MLPHead

        link = "logistic" if binary else "identity"
        return MLPHead(link=link, random_state=random_state, verbose=verbose)
    return clone(estimator)


def fit_head(
    estimator,
    X: NDArray,
    target: NDArray,
    weight: NDArray,
    folds: Folds,
    *,
    moments: FoldMoments | None = None,
    binary: bool = True,
    cv: Any = 5,
    random_state=None,
    verbose: int = 0,
):
    """Fit a head on the rows of positive weight.

    Parameters
    ----------
    estimator : None, "mlp" or regressor
        None is `RidgeHead`, whose penalty is chosen on the out-of-fold risk against `target`.
    X : ndarray of shape (n, d)
    target, weight : ndarray of shape (n,)
        From a recipe; rows of weight 0 take no part.
    folds : Folds
    moments : FoldMoments or None
        Of all rows with exactly these weights, where the caller has them.
    binary : bool, default=True
        Whether the reward is a probability.

    Returns
    -------
    fitted regressor

    Raises
    ------
    UnusedParameterError
        If rows are weighted and the estimator takes no `sample_weight`.
    """
    head = _make_head(estimator, cv=cv, binary=binary, random_state=random_state, verbose=verbose)
    if isinstance(head, RidgeHead):
        if moments is None:
            moments = FoldMoments(X, folds.of_row, folds.n_splits, weight)
        return head.fit_moments(moments, np.where(weight > 0, target, 0.0))
    rows = weight > 0
    kwargs = {name: values[rows] for name, values in _fit_params(head, weight, folds).items()}
    return head.fit(X if rows.all() else X[rows], target[rows], **kwargs)


def _fit_params(head, weight: NDArray, folds: Folds) -> dict[str, NDArray]:
    """Return weights, unless they are all the same, and groups, where the head takes them."""
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


def out_of_fold_predictions(head, X, target, weight, folds: Folds, *, n_jobs=None) -> NDArray:
    """Return each row's prediction by a head that was not fitted on the row's fold, shape (n,).

    Free for `RidgeHead`; other heads are fitted once more per fold.
    """
    if isinstance(head, RidgeHead):
        return held_out_scores(X, folds.of_row, head.fold_coefs_, head.fold_intercepts_)
    return cross_fit(
        head,
        X,
        target,
        folds,
        rows=weight > 0,
        fit_params=_fit_params(head, weight, folds),
        predict=lambda fitted, rows: fitted.predict(rows),
        n_jobs=n_jobs,
    )[1]
