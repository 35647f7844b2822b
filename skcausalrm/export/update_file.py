"""What an update needs, as arrays and JSON: sums over rows, and the fitted nuisances.

Only the default nuisance models can be kept so: linear ones and the selection likelihood.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._update_state import UpdateState, VerifiedRows
from ..exceptions import UpdateError
from ..heads.mixture import MixtureHead
from ..heads.ridge import RidgeHead
from ..heads.running import RunningMoments
from ..joint.frozen import FrozenLikelihood
from ..joint.knowledge import Knowledge
from ..joint.likelihood import GradedLikelihood
from ..joint.mixture import Mixture, Node
from ..noise import NoiseTransitionEstimator
from ..probability import FoldProbability, LinearClassifier, Sigmoid
from ..propensity import PropensityEstimator
from ..recalibration import Recalibration
from ..reward import CausalRewardClassifier, CausalRewardRegressor
from ..selection import SelectionModel

__all__ = ["restore", "take_down"]

_CLASSES = {cls.__name__: cls for cls in (CausalRewardRegressor, CausalRewardClassifier)}
_FACTS = (
    "known_propensity", "constant_propensity", "asked_share", "scale", "center", "n_samples",
)  # fmt: skip
_ARRAYS = ("keys", "folds", "logged", "weight_sums")
_HEAD = ("directions_", "offsets_", "weights_", "intercepts_", "slopes_")

Arrays = dict[str, NDArray]
Facts = dict[str, Any]


def take_down(fitted: Any) -> tuple[Facts, Arrays]:
    """Return as JSON can hold it, and as arrays, what `restore` makes `fitted` of.

    Raises
    ------
    UpdateError
        If `fitted` was not fitted by `partial_fit`, or has nuisances of another kind.
    """
    state: UpdateState | None = getattr(fitted, "_update_state", None)
    if state is None:
        raise UpdateError(
            "The model was fitted by fit, which keeps no sums over its rows: fit it by partial_fit "
            "to save it for updates."
        )
    arrays = {name: getattr(state, name) for name in _ARRAYS}
    arrays.update(_prefixed("moments", state.moments.to_arrays()))
    arrays.update(_prefixed("verified", state.verified._asdict()))
    facts: Facts = {name: getattr(state, name) for name in _FACTS}
    facts["settings"] = {
        "method": fitted.method,
        "verified_error_rate": fitted.verified_error_rate,
        **{
            name: getattr(fitted, name)
            for name in ("cv", "random_state")
            if isinstance(getattr(fitted, name), int | np.integer)
        },
    }
    facts["own_penalty"] = None
    facts["own_ridge"] = fitted.estimator is not None
    if fitted.estimator is not None and fitted.estimator.penalty is not None:
        facts["own_penalty"] = float(fitted.estimator.penalty)
    facts["penalty"] = fitted.estimator_.penalty_
    facts["classes"] = None if not hasattr(fitted, "classes_") else fitted.classes_.tolist()
    noise = fitted.noise_estimator_
    facts["flip_rates"] = None if noise is None else [float(rate) for rate in noise.rates_]
    for name, take in (
        ("propensity", _take_propensity),
        ("imputation", _take_imputation),
        ("selection", _take_selection),
    ):
        owner = "selection_model_" if name == "selection" else f"{name}_estimator_"
        facts[name] = None
        if (estimator := getattr(fitted, owner)) is not None:
            facts[name], taken = take(estimator)
            arrays.update(_prefixed(name, taken))
    return facts, arrays


def restore(config: dict[str, Any], facts: Facts, arrays: Arrays, weights: Arrays) -> Any:
    """Return the estimator that `take_down` took down.

    Parameters
    ----------
    config : dict
        Of the model directory.
    facts, arrays
        From `take_down`.
    weights : dict of ndarray
        The head's, as in the directory.
    """
    model = _CLASSES[config["estimator"]](**facts["settings"])
    if facts["own_ridge"]:
        model.estimator = RidgeHead(facts["own_penalty"])
    n_features = config["n_features"]
    model.method_, model.binary_ = config["method"], config["head"]["binary"]
    model.n_features_in_ = n_features
    if config["feature_names"] is not None:
        model.feature_names_in_ = np.array(config["feature_names"], dtype=object)
    if facts["classes"] is not None:
        model.classes_ = np.array(facts["classes"])
    model.estimator_ = _head(weights, facts["penalty"], n_features)
    shift = config["head"]["recalibration"]
    model.recalibration_ = None if shift is None else Recalibration(**shift)
    model.effective_sample_size_ = config["effective_sample_size"]
    model.n_samples_seen_ = facts["n_samples"]
    model.groups_ = None
    model.selection_report_ = None
    model.noise_estimator_ = _give_noise(facts["flip_rates"])
    for name, give in (
        ("propensity", _give_propensity),
        ("imputation", _give_imputation),
        ("selection", _give_selection),
    ):
        owner = "selection_model_" if name == "selection" else f"{name}_estimator_"
        estimator = None
        if facts[name] is not None:
            estimator = give(facts[name], _without_prefix(name, arrays))
            estimator.n_features_in_ = n_features
        setattr(model, owner, estimator)
    model._update_state = UpdateState(
        moments=RunningMoments.from_arrays(_without_prefix("moments", arrays)),
        verified=VerifiedRows(**_without_prefix("verified", arrays)),
        **{name: arrays[name] for name in _ARRAYS},  # type: ignore[arg-type]
        **{name: facts[name] for name in _FACTS},
    )
    return model


def _prefixed(prefix: str, arrays: Arrays) -> Arrays:
    return {f"{prefix}.{name}": values for name, values in arrays.items()}


def _without_prefix(prefix: str, arrays: Arrays) -> Arrays:
    start = f"{prefix}."
    return {
        name.removeprefix(start): values
        for name, values in arrays.items()
        if name.startswith(start)
    }


def _refuse(estimator: Any, name: str) -> UpdateError:
    return UpdateError(
        f"{name} is a fitted {type(estimator).__name__} of another kind than the default, which a "
        f"model directory cannot keep for updates without pickle: leave {name} out, or save with "
        f"updatable=False."
    )


def _head(weights: Arrays, penalty: float, n_features: int) -> RidgeHead:
    head = RidgeHead()
    head.coef_, head.intercept_ = (
        weights["layers.0.weight"][:, 0],
        float(weights["layers.0.bias"][0]),
    )
    head.fold_coefs_, head.fold_intercepts_ = weights["folds.weight"].T, weights["folds.bias"]
    head.penalty_, head.n_features_in_ = penalty, n_features
    return head


def _give_noise(rates: list[float] | None) -> NoiseTransitionEstimator | None:
    if rates is None:
        return None
    noise = NoiseTransitionEstimator(false_positive_rate=rates[0], false_negative_rate=rates[1])
    noise.classes_ = np.array([0.0, 1.0])
    noise.false_positive_rate_, noise.false_negative_rate_ = rates
    return noise


def _take_propensity(propensity: Any) -> tuple[Facts, Arrays]:
    model: Any = getattr(propensity, "_model", None)
    linear = isinstance(propensity, PropensityEstimator) and all(
        isinstance(classifier, LinearClassifier) for classifier in model.models
    )
    if not linear or not isinstance(model.calibrate, Sigmoid):
        raise _refuse(propensity, "propensity_estimator")
    return {
        "slope": float(model.calibrate.slope),
        "intercept": float(model.calibrate.intercept),
        "clipping_threshold": float(propensity.clipping_threshold),
        "clipped_share": propensity.clipped_share_,
    }, {
        "coefs": np.array([classifier.coef_ for classifier in model.models]),
        "intercepts": np.array([classifier.intercept_ for classifier in model.models]),
    }


def _give_propensity(facts: Facts, arrays: Arrays) -> PropensityEstimator:
    propensity = PropensityEstimator(clipping_threshold=facts["clipping_threshold"])
    models = [
        LinearClassifier(coef, float(intercept))
        for coef, intercept in zip(arrays["coefs"], arrays["intercepts"], strict=True)
    ]
    propensity._model = FoldProbability(models, Sigmoid(facts["slope"], facts["intercept"]))
    propensity.estimators_, propensity.classes_ = models, np.array([0, 1])
    propensity.clipped_share_ = facts["clipped_share"]
    return propensity


def _take_imputation(imputation: Any) -> tuple[Facts, Arrays]:
    if not isinstance(imputation, RidgeHead):
        raise _refuse(imputation, "imputation_estimator")
    return {"intercept": imputation.intercept_}, {"coef": imputation.coef_}


def _give_imputation(facts: Facts, arrays: Arrays) -> RidgeHead:
    imputation = RidgeHead()
    imputation.coef_, imputation.intercept_ = arrays["coef"], facts["intercept"]
    return imputation


def _take_selection(selection: Any) -> tuple[Facts, Arrays]:
    mixture, shift = selection._mixture, selection.recalibration_
    links = {
        str(link): {"tau": float(model.tau), "selects": model.selects}
        for link, model in mixture.models.items()
    }
    knowledge = next(iter(mixture.models.values())).knowledge
    return {
        "links": links,
        "knowledge": knowledge._asdict(),
        "flip_rates": [
            float(selection.false_positive_rate_),
            float(selection.false_negative_rate_),
        ],
        "clicks": [int(kind) for kind in selection._clicks],
        "recalibration": None if shift is None else shift._asdict(),
    }, {
        "theta": np.array([node.theta for node in mixture.nodes]),
        "links": mixture.links,
        "weights": mixture.weights,
        **{f"head.{name}": np.asarray(getattr(selection.head_, name)) for name in _HEAD},
    }


def _give_selection(facts: Facts, arrays: Arrays) -> SelectionModel:
    selection, head = SelectionModel(), MixtureHead()
    for name in _HEAD:
        setattr(head, name, arrays[f"head.{name}"])
    head.n_features_in_ = len(head.directions_)
    knowledge = Knowledge(**facts["knowledge"])
    models: dict[float, GradedLikelihood] = {
        float(link): FrozenLikelihood(knowledge, float(link), of_link["tau"], of_link["selects"])
        for link, of_link in facts["links"].items()
    }
    nothing = np.empty(0)
    nodes = [Node(theta, nothing, nothing, np.nan, np.nan) for theta in arrays["theta"]]
    selection._mixture = Mixture(nodes, models, arrays["links"], arrays["weights"], nothing, 0)
    shift = facts["recalibration"]
    selection.head_, selection._clicks = head, facts["clicks"]
    selection.false_positive_rate_, selection.false_negative_rate_ = facts["flip_rates"]
    selection.recalibration_ = None if shift is None else Recalibration(**shift)
    return selection
