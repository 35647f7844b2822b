"""The function that a fitted reward computes: layers, a link, a recalibration."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..exceptions import UnsupportedExportError, UnusedParameterError
from ..selection._recalibration_map import Recalibration


@dataclass(frozen=True, kw_only=True)
class RewardNetwork:
    """Layers, link and recalibration of a fitted reward.

    Attributes
    ----------
    head : str
        "ridge", "mlp", "mixture", "sigmoid" (the one nearest to a mixture), or the class name of
        any other head.
    weights : sequence of ndarray of shape (n_in, n_out)
        One matrix per layer. Ridge and sigmoid have one layer, (d, 1); a mixture has two, the
        directions (d, 2) and the slopes of its components (2, m).
    biases : sequence of ndarray of shape (n_out,)
        One vector per layer.
    negative_slope : float
        Slope of the leaky ReLU between layers; 1 in a mixture, whose layers are linear.
    link : {"identity", "logistic"}
        Function from score to prediction.
    binary : bool
        Whether predictions are clipped to [0, 1].
    recalibration : Recalibration or None
        Map of the prediction to the reward; None leaves it.
    threshold : float
        Constant that `decision_function` subtracts from the head's score. The score of a classifier
        is 0 where both classes are equally likely.
    component_weights : ndarray of shape (m,) or None
        Weights of a mixture's components. Its prediction is the weighted mean of the link of the
        last layer's outputs, its score the log odds of that mean.
    fold_weights : ndarray of shape (d, n_folds) or None
        Weights of a ridge head's models of the folds. The standard deviation is theirs.
    fold_biases : ndarray of shape (n_folds,) or None
        Intercepts of these models.
    pessimism : float or None
        How much the lower members count in the prediction (see :func:`to_onnx`).
    spread_weights : ndarray of shape (d, n_folds) or None
        By how much a mixture's first direction differs in each fold, stretched.
    spread_biases : ndarray of shape (n_folds,) or None
        By how much its constant does.
    support : LogSupport or None
        Distances to the log.
    single_fit : dict or None
        Distance between a mixture and its nearest sigmoid (see :func:`to_onnx`).
    estimator : object
        Head of another library, in place of layers.
    before : Pipeline or None
        Fitted steps that transform X first.
    """

    head: str
    weights: Sequence[np.ndarray] = ()
    biases: Sequence[np.ndarray] = ()
    negative_slope: float = 1.0
    link: str = "identity"
    binary: bool
    recalibration: Recalibration | None
    threshold: float
    component_weights: np.ndarray | None = None
    fold_weights: np.ndarray | None = None
    fold_biases: np.ndarray | None = None
    pessimism: float | None = None
    spread_weights: np.ndarray | None = None
    spread_biases: np.ndarray | None = None
    support: Any = None
    single_fit: dict[str, float] | None = None
    estimator: Any = None
    before: Any = None

    @property
    def n_features(self) -> int:
        """Columns of X."""
        return self.n_inputs if self.before is None else int(self.before.n_features_in_)

    @property
    def n_inputs(self) -> int:
        """Columns that the head reads."""
        if self.estimator is not None:
            return int(self.estimator.n_features_in_)
        return self.weights[0].shape[0]

    @property
    def has_std(self) -> bool:
        """True if predictions have a standard deviation."""
        return self.component_weights is not None or self.fold_weights is not None


def describe(
    fitted: Any, *, any_head: bool = False, pessimism: float | None = None
) -> RewardNetwork:
    """Return the network of a fitted CausalRewardRegressor or CausalRewardClassifier.

    Parameters
    ----------
    fitted : CausalRewardRegressor, CausalRewardClassifier, or Pipeline that ends with one
        Fitted reward. A Pipeline needs `any_head`.
    any_head : bool, default=False
        Whether to accept heads and steps of scikit-learn.
    pessimism : float or None, default=None
        Pessimism of the exported reward.

    Raises
    ------
    UnusedParameterError
        If the head keeps neither folds nor components for `pessimism`.
    TypeError
        If `fitted` is another kind of object, or its head is from another library.
    UnsupportedExportError
        If it is a Pipeline that begins with a `ConversationEncoder`.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    """
    from sklearn.pipeline import Pipeline
    from sklearn.utils.validation import check_is_fitted

    from ..reward._head import reward_and_std
    from ..text import ConversationEncoder

    if any_head and isinstance(fitted, Pipeline):
        if isinstance(fitted[0], ConversationEncoder):
            raise UnsupportedExportError(
                "The Pipeline begins with a ConversationEncoder, which reads text: call "
                "text_to_onnx, or pass the steps after it (pipeline[1:])."
            )
        check_is_fitted(fitted)
        last = describe(fitted[-1], any_head=True, pessimism=pessimism)
        return last if len(fitted) == 1 else replace(last, before=fitted[:-1])
    if not (hasattr(fitted, "decision_function") and hasattr(fitted, "method")):
        raise TypeError(
            f"A {type(fitted).__name__} cannot be exported; pass a fitted CausalRewardRegressor "
            "or CausalRewardClassifier (for a Pipeline, its last step)."
        )
    check_is_fitted(fitted)
    head = fitted.estimator_
    raw_score = head.decision_function if hasattr(head, "decision_function") else head.predict
    origin = np.zeros((1, fitted.n_features_in_))
    named = frame(origin, feature_names(fitted))
    if pessimism is not None:
        # refuses heads and numbers for which there is none
        reward_and_std(fitted, origin, return_std=False, pessimism=pessimism)
    return RewardNetwork(
        **_layers(head, any_head),
        pessimism=pessimism,
        support=getattr(fitted, "log_support_", None),
        binary=bool(fitted.binary_),
        recalibration=fitted.recalibration_,
        threshold=float(raw_score(origin)[0] - fitted.decision_function(named)[0]),
    )


def describe_single(fitted: Any) -> tuple[Any, RewardNetwork]:
    """Return a copy of `fitted` with the sigmoid nearest to its mixture as head, and its network.

    Raises
    ------
    UnusedParameterError
        If the head of `fitted` is not a mixture.
    TypeError, sklearn.exceptions.NotFittedError
        As in :func:`describe`.
    """
    mixture = describe(fitted)
    if mixture.head != "mixture":
        raise UnusedParameterError(
            f"single=True is for the selection model's own head, and this model has a "
            f"{type(fitted.estimator_).__name__}: leave single out."
        )
    head = fitted.estimator_.single()
    single = copy(fitted)
    vars(single).update(estimator_=head)
    slopes = head.slopes.T
    directions, offsets = mixture.weights[0], mixture.biases[0]
    network = replace(
        mixture,
        head="sigmoid",
        weights=[directions @ slopes],
        biases=[offsets @ slopes + head.intercepts],
        component_weights=None,
        spread_weights=None,
        spread_biases=None,
    )
    return single, network


def _layers(head: Any, any_head: bool) -> dict[str, Any]:
    """Return the fields of a network that come from its head."""
    from ..heads import MLPHead, RidgeHead
    from ..selection._mixture_head import MixtureHead

    if isinstance(head, RidgeHead):
        return {
            "head": "ridge",
            "weights": [head.coef_[:, None]],
            "biases": [np.array([head.intercept_])],
            "negative_slope": 0.0,
            "fold_weights": head.fold_coefs_.T,
            "fold_biases": head.fold_intercepts_,
        }
    if isinstance(head, MLPHead):
        return {
            "head": "mlp",
            "weights": head.coefs_,
            "biases": head.intercepts_,
            "negative_slope": float(head.negative_slope),
            "link": head.link,
        }
    if isinstance(head, MixtureHead):
        used = head.weights > 0  # the graph takes logarithms of the weights
        return {
            "head": "mixture",
            "weights": [head.directions, head.slopes[used].T],
            "biases": [head.offsets, head.intercepts[used]],
            "link": "logistic",
            "component_weights": head.weights[used],
            **_spread(head),
            "single_fit": _single_fit(head),
        }
    if any_head:
        return {"head": type(head).__name__, "estimator": head}
    raise TypeError(
        f"A {type(head).__name__} head cannot be saved as a directory; use the selection model's "
        "own, RidgeHead or MLPHead, or export the model with to_onnx, which takes more heads."
    )


def _spread(head: Any) -> dict[str, np.ndarray]:
    if head.fold_directions is None:
        return {}
    stretch = np.sqrt(head.fold_directions.shape[1] - 1)
    return {
        "spread_weights": stretch * (head.fold_directions - head.directions[:, :1]),
        "spread_biases": stretch * (head.fold_offsets - head.offsets[0]),
    }


def _single_fit(head: Any) -> dict[str, float]:
    """Return differences in probability between a mixture and its nearest sigmoid.

    They are over the training rows, and over standard normal linear predictors, which have about
    the mean and spread of the training rows and need no row.
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


def last_step(fitted: Any) -> Any:
    """Return the last step of a Pipeline, and any other estimator as it is."""
    return fitted[-1] if hasattr(fitted, "steps") else fitted


def feature_names(fitted: Any) -> list[str] | None:
    """Return the column names that `fitted` was trained with, or None."""
    names = getattr(fitted, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def frame(X: np.ndarray, names: list[str] | None):
    """Return X, with names as a DataFrame: a model trained with names warns without them."""
    if names is None:
        return X
    from pandas import DataFrame

    return DataFrame(X, columns=names)
