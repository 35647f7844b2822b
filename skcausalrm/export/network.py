"""What a fitted reward is once its training is forgotten: layers, a link, a recalibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Recalibration", "RewardNetwork", "describe", "feature_names", "frame"]


@dataclass(frozen=True)
class Recalibration:
    """``sigmoid(l + intercept + slope (l - center))``, l a clipped logit: see recalibration.py."""

    intercept: float
    slope: float
    center: float


@dataclass(frozen=True)
class RewardNetwork:
    """The function behind `predict`, of either head.

    Attributes
    ----------
    head : {"ridge", "mlp"}
    weights : list of ndarray of shape (n_in, n_out)
        One matrix per layer; a ridge head has one layer, (d, 1).
    biases : list of ndarray of shape (n_out,)
    negative_slope : float
        Of the leaky ReLU between layers.
    link : {"identity", "logistic"}
        From score to prediction.
    binary : bool
        Whether predictions are clipped to [0, 1].
    recalibration : Recalibration or None
    threshold : float
        What `decision_function` subtracts from the head's score: a classifier's is zero where
        both classes are equally likely.
    """

    head: str
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    negative_slope: float
    link: str
    binary: bool
    recalibration: Recalibration | None
    threshold: float

    @property
    def n_features(self) -> int:
        """Columns of X."""
        return self.weights[0].shape[0]


def describe(fitted: Any) -> RewardNetwork:
    """The network of a fitted CausalRewardRegressor or CausalRewardClassifier.

    Raises
    ------
    TypeError
        If `fitted` is another kind of object, or its head is none of ours.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    """
    from sklearn.utils.validation import check_is_fitted

    from ..heads import MLPHead, RidgeHead

    if not (hasattr(fitted, "decision_function") and hasattr(fitted, "method")):
        raise TypeError(
            f"A {type(fitted).__name__} cannot be exported; pass a fitted CausalRewardRegressor "
            "or CausalRewardClassifier (of a Pipeline, its last step)."
        )
    check_is_fitted(fitted)
    head = fitted.estimator_
    if isinstance(head, RidgeHead):
        weights = [np.asarray(head.coef_, dtype=np.float64).reshape(-1, 1)]
        biases = [np.array([head.intercept_], dtype=np.float64)]
        name, link, negative_slope, raw_score = "ridge", "identity", 0.0, head.predict
    elif isinstance(head, MLPHead):
        weights, biases = list(head.coefs_), list(head.intercepts_)
        name, link, negative_slope = "mlp", head.link, float(head.negative_slope)
        raw_score = head.decision_function
    else:
        raise TypeError(
            f"A {type(head).__name__} head cannot be exported; RidgeHead (estimator=None) and "
            "MLPHead (estimator='mlp') can."
        )
    recalibration = fitted.recalibration_
    if recalibration is not None:
        recalibration = Recalibration(
            float(recalibration.intercept), float(recalibration.slope), float(recalibration.center)
        )
    origin = np.zeros((1, len(weights[0])))
    with_names = frame(origin, feature_names(fitted))
    return RewardNetwork(
        name,
        weights,
        biases,
        negative_slope,
        link,
        bool(fitted.binary_),
        recalibration,
        float(raw_score(origin)[0] - fitted.decision_function(with_names)[0]),
    )


def feature_names(fitted: Any) -> list[str] | None:
    """Column names that `fitted` was trained with, if any."""
    names = getattr(fitted, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def frame(X: np.ndarray, names: list[str] | None):
    """`X`, as a DataFrame if it has names: a model trained with names warns without them."""
    if names is None:
        return X
    from pandas import DataFrame

    return DataFrame(X, columns=names)
