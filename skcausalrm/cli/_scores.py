"""Debiased scores of sets of rows, as numbers for JSON and as lines of a table."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import FeedbackError, GroupsError
from ..metrics import asked_score
from ..metrics._estimate import Estimate, estimate
from ._logs import FeedbackLog

# Share of a standard error that is between draws of z above which the interval is shown, because
# the log leaves more open than its rows do.
_MOSTLY = 0.5**0.5
# What a table of scores shows next to them.
ERRORS = "± standard error, or 90% intervals"
# Metrics that every command prints, in this order, and their column titles.
_TITLES = {"r2": "R2", "roc_auc": "AUROC", "log_loss": "log loss", "brier": "Brier"}


def all_scores(
    log: FeedbackLog, z: np.ndarray, prediction: np.ndarray, rates: tuple[float, float]
) -> dict[str, Any]:
    """Score predictions on pseudo-outcomes, and on verified and asked rows where there are any.

    Parameters
    ----------
    log : FeedbackLog
    z : ndarray of shape (n,) or (n, m)
        Pseudo-outcomes, or draws of them.
    prediction : ndarray of shape (n,)
        Predictions of a model that was not fitted on the row.
    rates : (float, float)
        False positive and false negative rate, to correct the feedback of the asked rows.

    Returns
    -------
    dict
        A set of rows ("log", "verified", "asked") to its size, mean reward and scores.
    """
    sets = {"log": _score_set(z, prediction, log.clusters())}
    sets["log"]["prediction_distribution"] = _distribution(prediction)
    verified, asked = log.columns.get("verified"), log.columns.get("asked")
    if verified is not None:
        rows = ~np.isnan(verified)
        propensity = log.verified_propensity
        weight = None if propensity is None else 1 / propensity[rows]
        sets["verified"] = _score_set(
            verified[rows], prediction[rows], {**log.clusters(rows), "sample_weight": weight}
        )
    if asked is not None:
        score = partial(
            asked_score,
            y=log.y,
            prediction=prediction,
            asked=asked,
            false_positive_rate=rates[0],
            false_negative_rate=rates[1],
            return_std=True,
            **log.clusters(),
        )
        sets["asked"] = {
            "rows": int((asked & ~np.isnan(log.y)).sum()),
            "mean_prediction": float(prediction[asked].mean()),
            "scores": {name: _or_reason(score, metric=name) for name in _TITLES},
        }
    return sets


def scores_by(
    labels: pd.Series, log: FeedbackLog, z: np.ndarray, prediction: np.ndarray
) -> list[dict[str, Any]]:
    """Score the rows of each label, in the order of the labels; a missing label comes last."""
    result = []
    by_label: Any = pd.Series(log.y).groupby(labels.to_numpy(), dropna=False)
    for name, y in by_label:
        rows, rated = y.index.to_numpy(), y.dropna().to_numpy()
        result.append(
            {
                "name": None if pd.isna(name) else str(name),
                "rated": len(rated),
                "positive_share_of_rated": float(rated.mean()) if len(rated) else None,
                **_score_set(z[rows], prediction[rows], log.clusters(rows)),
            }
        )
    return result


def _distribution(prediction: np.ndarray) -> dict[str, list[float]]:
    """Return deciles and the share of predictions up to each, which ties may make larger."""
    deciles = np.quantile(prediction, np.arange(1, 10) / 10)
    shares = np.searchsorted(np.sort(prediction), deciles, side="right") / len(prediction)
    return {"points": deciles.tolist(), "shares": shares.tolist()}


def _score_set(
    z: np.ndarray, prediction: np.ndarray, columns: dict[str, np.ndarray | None]
) -> dict[str, Any]:
    # Against a prediction of 0 the mean squared error is the mean of z.
    reward = _or_reason(estimate, metric="mse", z=z, prediction=np.zeros(len(z)), **columns)
    return {
        "rows": len(z),
        "mean_reward": reward["value"] if reward["value"] is not None else float(z.mean()),
        "mean_reward_std": reward["std"],
        "mean_reward_interval": reward.get("interval"),
        "mean_prediction": float(np.average(prediction, weights=columns.get("sample_weight"))),
        "scores": {
            name: _or_reason(estimate, metric=name, z=z, prediction=prediction, **columns)
            for name in _TITLES
        },
    }


def _or_reason(score, **arguments) -> dict[str, Any]:
    """Return a score and its error, or the reason why these rows have none."""
    try:
        found = score(**arguments)
    except (GroupsError, FeedbackError) as error:
        return {"value": None, "std": None, "reason": str(error)}
    found = found if isinstance(found, Estimate) else Estimate(*map(float, found))
    if not np.isfinite(found.low):
        return {"value": found.score, "std": found.std}
    return {
        "value": found.score,
        "std": found.std,
        "interval": (found.low, found.high),
        "open": found.open_std > found.std * _MOSTLY,
    }


def score_columns(first: str) -> list[str]:
    """Return the column titles of a table of scores."""
    return [first, "rows", "reward", "predicted", *_TITLES.values()]


def score_rows(sets: Iterable[tuple[str, Mapping[str, Any]]]) -> list[list[str]]:
    """Return the lines of a table of scores, each with its standard error or interval."""
    return [
        [
            name,
            f"{found['rows']:,}",
            _reward(found),
            f"{found['mean_prediction']:.3f}",
            *(_with_error(found["scores"][metric]) for metric in _TITLES),
        ]
        for name, found in sets
    ]


def _reward(found: Mapping[str, Any]) -> str:
    if found.get("mean_reward") is None:
        return "-"
    if found["mean_reward_interval"] is None:
        return f"{found['mean_reward']:.3f}"
    low, high = found["mean_reward_interval"]
    return f"{low:.2f} to {high:.2f}"


def _with_error(score: Mapping[str, Any]) -> str:
    if score["value"] is None:
        return "-"
    if score.get("open"):
        low, high = score["interval"]
        return f"{low:.2f} to {high:.2f}"
    return f"{score['value']:.3f} ± {score['std']:.3f}"
