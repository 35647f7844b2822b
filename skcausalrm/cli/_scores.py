"""Debiased scores of sets of rows, as numbers for JSON and as lines of a table."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import FeedbackError, GroupsError
from ..metrics import asked_score
from ..metrics._metric import METRICS
from ._logs import FeedbackLog

# Metrics that every command prints, in this order, and their column titles.
_TITLES = {"r2": "R2", "roc_auc": "AUROC", "log_loss": "log loss", "brier": "Brier"}


def all_scores(
    log: FeedbackLog, z: np.ndarray, prediction: np.ndarray, rates: tuple[float, float]
) -> dict[str, Any]:
    """Score predictions on pseudo-outcomes, and on verified and asked rows where there are any.

    Parameters
    ----------
    log : FeedbackLog
    z : ndarray of shape (n,)
        Pseudo-outcomes.
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
    verified, asked = log.columns.get("verified"), log.columns.get("asked")
    if verified is not None:
        rows = ~np.isnan(verified)
        sets["verified"] = _score_set(verified[rows], prediction[rows], log.clusters(rows))
    if asked is not None:
        score = partial(
            asked_score,
            y=log.y,
            prediction=prediction,
            asked=asked,
            false_positive_rate=rates[0],
            false_negative_rate=rates[1],
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


def _score_set(
    z: np.ndarray, prediction: np.ndarray, clusters: dict[str, np.ndarray | None]
) -> dict[str, Any]:
    return {
        "rows": len(z),
        "mean_reward": float(z.mean()),
        "mean_prediction": float(prediction.mean()),
        "scores": {
            name: _or_reason(METRICS[name], z=z, prediction=prediction, **clusters)
            for name in _TITLES
        },
    }


def _or_reason(score, **arguments) -> dict[str, Any]:
    """Return a score and its standard error, or the reason why these rows have none."""
    try:
        value, std = score(**arguments, return_std=True)
    except (GroupsError, FeedbackError) as error:
        return {"value": None, "std": None, "reason": str(error)}
    return {"value": float(value), "std": float(std)}


def score_columns(first: str) -> list[str]:
    """Return the column titles of a table of scores."""
    return [first, "rows", "reward", "predicted", *_TITLES.values()]


def score_rows(sets: Iterable[tuple[str, Mapping[str, Any]]]) -> list[list[str]]:
    """Return the lines of a table of scores, each score with its standard error."""
    return [
        [
            name,
            f"{found['rows']:,}",
            _number(found.get("mean_reward")),
            _number(found["mean_prediction"]),
            *(_with_error(found["scores"][metric]) for metric in _TITLES),
        ]
        for name, found in sets
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _with_error(score: Mapping[str, Any]) -> str:
    return "-" if score["value"] is None else f"{score['value']:.3f} ± {score['std']:.3f}"
