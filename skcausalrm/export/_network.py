"""What a fitted reward is once its training is forgotten: layers, a link, a recalibration."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..exceptions import UnusedParameterError
from ..selection._recalibration_map import Recalibration

__all__ = [
    "RewardNetwork",
    "describe",
    "describe_single",
    "feature_names",
    "frame",
]


@dataclass(frozen=True)
class RewardNetwork:
    """The function behind `predict`, of any head of ours.

    Attributes
    ----------
    head : str
        "ridge", "mlp", "mixture", "sigmoid" (the one nearest to a mixture), or of another head the
        name of its class.
    weights : list of ndarray of shape (n_in, n_out)
        One matrix per layer. Ridge and sigmoid have one layer, (d, 1); a mixture has two, the
        directions (d, 2) and the slopes of its components (2, m).
    biases : list of ndarray of shape (n_out,)
    negative_slope : float
        Of the leaky ReLU between layers; 1 in a mixture, whose layers are linear.
    link : {"identity", "logistic"}
        From score to prediction.
    binary : bool
        Whether predictions are clipped to [0, 1].
    recalibration : Recalibration or None
    threshold : float
        What `decision_function` subtracts from the head's score: a classifier's is zero where
        both classes are equally likely.
    component_weights : ndarray of shape (m,) or None
        Of a mixture: the prediction is the weighted mean of the link of the last layer's outputs,
        and the score its log odds.
    fold_weights, fold_biases : ndarray of shape (d, n_folds) and (n_folds,), or None
        Of a ridge head: the models whose predictions have the standard deviation.
    single_fit : dict or None
        Of a mixture and its sigmoid: how far the two differ (see :func:`to_onnx`).
    estimator : object
        A head that is none of ours, in place of layers.
    before : Pipeline or None
        Fitted steps that X goes through first.
    """

    head: str
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    negative_slope: float
    link: str
    binary: bool
    recalibration: Recalibration | None
    threshold: float
    component_weights: np.ndarray | None = None
    fold_weights: np.ndarray | None = None
    fold_biases: np.ndarray | None = None
    single_fit: dict[str, float] | None = None
    estimator: Any = None
    before: Any = None

    @property
    def n_features(self) -> int:
        """Columns of X."""
        return self.n_inputs if self.before is None else int(self.before.n_features_in_)

    @property
    def n_inputs(self) -> int:
        """Columns that the head sees."""
        if self.estimator is not None:
            return int(self.estimator.n_features_in_)
        return self.weights[0].shape[0]

    @property
    def has_std(self) -> bool:
        """Whether predictions have a standard deviation."""
        return self.component_weights is not None or self.fold_weights is not None


def describe(fitted: Any, *, any_head: bool = False) -> RewardNetwork:
    """The network of a fitted CausalRewardRegressor or CausalRewardClassifier.

    Parameters
    ----------
    fitted : CausalRewardRegressor, CausalRewardClassifier, or with `any_head` a Pipeline with one
    any_head : bool, default=False
        Whether heads and steps of scikit-learn will do.

    Raises
    ------
    TypeError
        If `fitted` is another kind of object, or its head is none of ours.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    """
    from sklearn.pipeline import Pipeline
    from sklearn.utils.validation import check_is_fitted

    if any_head and isinstance(fitted, Pipeline):
        check_is_fitted(fitted)
        last = describe(fitted[-1], any_head=True)
        return last if len(fitted) == 1 else replace(last, before=fitted[:-1])
    if not (hasattr(fitted, "decision_function") and hasattr(fitted, "method")):
        raise TypeError(
            f"A {type(fitted).__name__} cannot be exported; pass a fitted CausalRewardRegressor "
            "or CausalRewardClassifier (of a Pipeline, its last step)."
        )
    check_is_fitted(fitted)
    head = fitted.estimator_
    layers = _layers(head, any_head)
    raw_score = head.decision_function if hasattr(head, "decision_function") else head.predict
    origin = np.zeros((1, fitted.n_features_in_))
    with_names = frame(origin, feature_names(fitted))
    return RewardNetwork(
        **layers,
        binary=bool(fitted.binary_),
        recalibration=fitted.recalibration_,
        threshold=float(raw_score(origin)[0] - fitted.decision_function(with_names)[0]),
    )


def describe_single(fitted: Any) -> tuple[Any, RewardNetwork]:
    """A copy of `fitted` whose head is the one sigmoid nearest to its mixture, and its network.

    Raises
    ------
    UnusedParameterError
        If its head is no mixture.
    TypeError, sklearn.exceptions.NotFittedError
        As of :func:`describe`.
    """
    mixture = describe(fitted)
    if mixture.head != "mixture":
        raise UnusedParameterError(
            f"single=True is for the joint model's own head, and this model has a "
            f"{type(fitted.estimator_).__name__}: leave single out."
        )
    single = copy.copy(fitted)
    single.estimator_ = fitted.estimator_.single()
    slopes = single.estimator_.slopes.T
    directions, offsets = mixture.weights[0], mixture.biases[0]
    network = replace(
        mixture,
        head="sigmoid",
        weights=[directions @ slopes],
        biases=[offsets @ slopes + single.estimator_.intercepts],
        component_weights=None,
    )
    return single, network


def _layers(head: Any, any_head: bool) -> dict[str, Any]:
    """Everything in a network that comes from its head."""
    from ..heads import MLPHead, RidgeHead
    from ..selection._mixture_head import MixtureHead

    if isinstance(head, RidgeHead):
        return {
            "head": "ridge",
            "weights": [np.asarray(head.coef_, dtype=np.float64).reshape(-1, 1)],
            "biases": [np.array([head.intercept_], dtype=np.float64)],
            "negative_slope": 0.0,
            "link": "identity",
            "fold_weights": np.asarray(head.fold_coefs_, dtype=np.float64).T,
            "fold_biases": np.asarray(head.fold_intercepts_, dtype=np.float64),
        }
    if isinstance(head, MLPHead):
        return {
            "head": "mlp",
            "weights": list(head.coefs_),
            "biases": list(head.intercepts_),
            "negative_slope": float(head.negative_slope),
            "link": head.link,
        }
    if isinstance(head, MixtureHead):
        used = head.weights > 0  # the graph takes their logarithm
        return {
            "head": "mixture",
            "weights": [
                np.asarray(head.directions, dtype=np.float64),
                np.asarray(head.slopes, dtype=np.float64)[used].T,
            ],
            "biases": [
                np.asarray(head.offsets, dtype=np.float64),
                np.asarray(head.intercepts, dtype=np.float64)[used],
            ],
            "negative_slope": 1.0,
            "link": "logistic",
            "component_weights": np.asarray(head.weights, dtype=np.float64)[used],
            "single_fit": _single_fit(head),
        }
    if any_head:
        return {
            "head": type(head).__name__,
            "weights": [],
            "biases": [],
            "negative_slope": 1.0,
            "link": "identity",
            "estimator": head,
        }
    raise TypeError(
        f"A {type(head).__name__} head cannot be saved as a directory; the joint model's own, "
        "RidgeHead (estimator=None) and MLPHead (estimator='mlp') can, and to_onnx takes more."
    )


def _single_fit(head: Any) -> dict[str, float]:
    """How far a mixture's nearest sigmoid is from it, in probability.

    Over the training rows, and over standard normal indices: they have about the training rows'
    mean and spread, and a file can be judged by them where no row is at hand.
    """
    from scipy.special import expit

    grid = np.linspace(-4, 4, 81)
    z = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    z = z[np.linalg.norm(z, axis=1) <= 4]
    mixture = expit(z @ head.slopes.T + head.intercepts) @ head.weights
    difference = np.abs(expit(z @ head.single_slopes + head.single_intercept) - mixture)
    density = np.exp(-np.square(z).sum(axis=1) / 2)
    return {
        "largest_training_difference": float(head.single_difference),
        "largest_normal_difference": float(difference.max()),
        "mean_normal_difference": float(np.average(difference, weights=density)),
    }


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
