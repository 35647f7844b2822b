"""Every method under one name, with as many settings to choose from as any other."""

from __future__ import annotations

import inspect
from importlib import import_module
from itertools import product
from pathlib import Path

import numpy as np
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.decomposition import PCA

from skcausalrm import (
    CausalRewardRegressor,
    DoublyRobust,
    InversePropensity,
    NoiseOnly,
    NoiseTransitionEstimator,
    PropensityEstimator,
)
from skcausalrm.baselines import Plain, all_baselines
from skcausalrm.heads import MLPHead
from skcausalrm.heads._logistic import fit_sigmoid
from skcausalrm.selection._recalibration import fit_recalibration

from .data import Settings

__all__ = [
    "ORACLE",
    "OURS",
    "after_verified",
    "candidates",
    "method_class",
    "method_source",
    "methods",
    "with_prompt",
]

OURS = tuple(
    f"CausalRewardRegressor({name!r})"
    for name in ("auto", "naive", "noise", "ips", "snips", "dr", "selection")
)
ORACLE = "clean labels on all rows"
N_PROMPT_COLUMNS = 16
PROMPT = slice(-N_PROMPT_COLUMNS, None)


def methods() -> list[str]:
    """Return the names of all methods, the package's own first."""
    return [ORACLE, *OURS, *(cls.__name__ for cls in all_baselines())]


def method_class(name: str) -> type:
    """Return the class of a published method, or of a user's method ``module:Class``.

    Raises
    ------
    ValueError
        If there is no such module or class.
    """
    module, _, class_name = name.rpartition(":")
    if not module:
        return next(cls for cls in all_baselines() if cls.__name__ == name)
    try:
        cls = getattr(import_module(module), class_name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{name!r} is no method: {error}. Write MODULE:CLASS.") from error
    if not (hasattr(cls, "fit") and hasattr(cls, "predict") and hasattr(cls, "get_params")):
        raise ValueError(f"{name!r} lacks fit, predict or get_params: derive it from BaseBaseline.")
    return cls


def method_source(name: str) -> Path:
    """Return the file that defines a user's method."""
    return Path(inspect.getfile(method_class(name)))


def head(settings: Settings, learning_rate: float, weight_decay: float) -> MLPHead:
    """Return the network that all methods share, with two of its settings."""
    return MLPHead(
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        max_epochs=settings.max_epochs,
        patience=settings.patience,
        device="cpu",
    )


def candidates(name: str, settings: Settings, seed: int) -> dict[str, object]:
    """Return at most `n_settings` unfitted models of a method, by the name of the setting.

    BCOWeighting reads the prompt's columns, which `with_prompt` appends.
    """
    if name in OURS:
        found = _ours(name.split("'")[1], settings, seed)
    elif name == ORACLE:
        found = _ours("naive", settings, seed)
    else:
        found = _baseline(method_class(name), settings, seed)
    return dict(list(found.items())[: settings.n_settings])


def _networks(settings: Settings) -> dict[str, MLPHead]:
    return {
        f"lr {rate:g}, decay {decay:g}": head(settings, rate, decay)
        for rate, decay in product((1e-3, 3e-4), (3e-3, 3e-2))
    }


def _baseline(cls, settings: Settings, seed: int) -> dict[str, object]:
    parameters = cls().get_params(deep=False)
    if "head" in parameters:
        more = {"prompt_columns": PROMPT} if "prompt_columns" in parameters else {}
        return {
            name: cls(head=network, random_state=seed, **more)
            for name, network in _networks(settings).items()
        }
    if cls is Plain:
        return {f"C {C:g}": cls(C=C) for C in (1.0, 0.1, 0.01, 10.0)}
    fixed = {"random_state": seed} if "random_state" in parameters else {}
    return {"defaults": cls(**fixed)}


def _ours(method: str, settings: Settings, seed: int) -> dict[str, object]:
    """Return settings of the head and of the flip rates; the ridge head tunes its own penalty."""
    heads = {"ridge": None, "mlp": head(settings, 1e-3, 3e-3)}
    if method in ("auto", "selection", "naive"):
        heads = {"ridge": None, **_networks(settings)}
        return {
            name: CausalRewardRegressor(method, estimator, random_state=seed)
            for name, estimator in heads.items()
        }
    propensity = PropensityEstimator(random_state=seed)
    correction = {
        "noise": NoiseOnly(),
        "ips": InversePropensity(propensity_estimator=propensity, normalize=False),
        "snips": InversePropensity(propensity_estimator=propensity),
        "dr": DoublyRobust(propensity_estimator=propensity),
    }[method]
    noises = {
        "anchors": NoiseTransitionEstimator(random_state=seed),
        "sigmoid": NoiseTransitionEstimator(method="sigmoid", random_state=seed),
    }
    return {
        f"{head_name}, {noise_name}": CausalRewardRegressor(
            clone(correction).set_params(noise_estimator=noise), estimator, random_state=seed
        )
        for (head_name, estimator), (noise_name, noise) in product(heads.items(), noises.items())
    }


def with_prompt(X: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Append columns that the answers to a prompt share: principal components of their mean.

    If each row is a prompt of its own the columns are zeros, and weights depend on the class alone.
    """
    _, code = np.unique(groups, return_inverse=True)
    if code.max() + 1 == len(X):
        return np.hstack([X, np.zeros((len(X), N_PROMPT_COLUMNS), dtype=X.dtype)])
    means = np.zeros((code.max() + 1, X.shape[1]))
    np.add.at(means, code, X)
    means /= np.bincount(code)[:, None]
    parts = PCA(N_PROMPT_COLUMNS, random_state=0).fit_transform(means)
    return np.hstack([X, parts[code].astype(X.dtype)])


def after_verified(p_rows, verified, feedback, p_new):
    """Recalibrate by the better of the package's way and Platt's, by leave-one-out log loss.

    Parameters
    ----------
    p_rows : ndarray of shape (n,)
        Predictions of rows that were not trained on, with the verified ones among them.
    verified : ndarray of shape (n,)
        Clean labels of the verified rows, NaN elsewhere.
    feedback : ndarray of shape (n,)
        Feedback, NaN where there is none.
    p_new : ndarray of shape (m,)
        Predictions to recalibrate.

    Returns
    -------
    p : ndarray of shape (m,)
        Recalibrated predictions.
    how : {"recalibration", "Platt"}
        The way that was used.
    """
    judged = np.flatnonzero(~np.isnan(verified))
    losses = {}
    for name, fit in (("recalibration", _recalibrate), ("Platt", _platt)):
        loss = 0.0
        for row in judged:
            others = verified.copy()
            others[row] = np.nan
            p = np.clip(fit(p_rows, others, feedback, p_rows[[row]])[0], 1e-6, 1 - 1e-6)
            loss -= np.log(p if verified[row] else 1 - p)
        losses[name] = loss
    best = min(losses, key=losses.__getitem__)
    move = _recalibrate if best == "recalibration" else _platt
    return move(p_rows, verified, feedback, p_new), best


def _recalibrate(p_rows, verified, feedback, p_new):
    return fit_recalibration(p_rows, verified, feedback)(p_new)


def _platt(p_rows, verified, feedback, p_new):
    judged = ~np.isnan(verified)
    old, new = (logit(np.clip(values, 0.01, 0.99)) for values in (p_rows[judged], p_new))
    slope, intercept = fit_sigmoid(old, verified[judged])
    if slope < 0:  # a constant, because Platt's sigmoid must not reverse the ranking
        return np.full(len(p_new), (verified[judged].sum() + 1) / (judged.sum() + 2))
    return expit(slope * new + intercept)
