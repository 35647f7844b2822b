"""Debiased scores of a set of rows, as numbers for JSON and as lines of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..exceptions import FeedbackError, GroupsError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ._logs import FeedbackLog

__all__ = ["METRICS", "all_scores", "score_columns", "score_rows", "scores_by"]

METRICS = {"r2": "R2", "roc_auc": "AUROC", "log_loss": "log loss", "brier": "Brier"}

Scores = dict[str, dict[str, Any]]


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
        By a model that has not seen the row.
    rates : (float, float)
        False positive and false negative rate, which correct the asked rows.

    Returns
    -------
    dict
        A set of rows ("log", "verified", "asked") to its size, mean reward and scores.
    """
    import numpy as np

    from ..metrics import asked_score

    sets = {"log": _score_set(z, prediction, log.groups)}
    if "verified" in log.columns:
        verified = log.columns["verified"]
        rows = ~np.isnan(verified)
        sets["verified"] = _score_set(verified[rows], prediction[rows], log.groups[rows])
    if "asked" in log.columns:
        asked = log.columns["asked"]
        answered = asked & ~np.isnan(log.y)

        def score(metric: str):
            return asked_score(
                metric,
                log.y,
                prediction,
                asked,
                false_positive_rate=rates[0],
                false_negative_rate=rates[1],
                groups=log.groups,
                return_std=True,
            )

        sets["asked"] = {
            "rows": int(answered.sum()),
            "mean_prediction": float(prediction[asked].mean()),
            "scores": {name: _or_reason(score, name) for name in METRICS},
        }
    return sets


def scores_by(
    labels: pd.Series, log: FeedbackLog, z: np.ndarray, prediction: np.ndarray
) -> list[dict[str, Any]]:
    """Score each set of rows of one label, in the order of the labels; the missing one is last."""
    import numpy as np
    import pandas as pd

    codes, names = pd.factorize(labels, sort=True)
    result = []
    for code in [*range(len(names)), -1]:
        rows = np.flatnonzero(codes == code)
        if len(rows):
            rated = log.y[rows][~np.isnan(log.y[rows])]
            result.append(
                {
                    "name": None if code < 0 else str(names[code]),
                    "rated": len(rated),
                    "positive_share_of_rated": float(rated.mean()) if len(rated) else None,
                    **_score_set(z[rows], prediction[rows], log.groups[rows]),
                }
            )
    return result


def _score_set(z: np.ndarray, prediction: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    from .. import metrics

    functions = {
        "r2": metrics.debiased_r2_score,
        "roc_auc": metrics.debiased_roc_auc_score,
        "log_loss": metrics.debiased_log_loss,
        "brier": metrics.debiased_brier_score,
    }

    def score(metric: str):
        return functions[metric](z, prediction, groups=groups, return_std=True)

    return {
        "rows": len(z),
        "mean_reward": float(z.mean()),
        "mean_prediction": float(prediction.mean()),
        "scores": {name: _or_reason(score, name) for name in METRICS},
    }


def _or_reason(score, metric: str) -> dict[str, Any]:
    """The score and its standard error, or why these rows have none."""
    try:
        value, std = score(metric)
    except (GroupsError, FeedbackError) as error:
        return {"value": None, "std": None, "reason": str(error)}
    return {"value": float(value), "std": float(std)}


def score_columns(first: str) -> list[str]:
    """Head of a table of scores."""
    return [first, "rows", "reward", "predicted", *METRICS.values()]


def score_rows(sets: Iterable[tuple[str, Mapping[str, Any]]]) -> list[list[str]]:
    """Lines of a table of scores: each with its standard error behind it."""
    return [
        [
            name,
            f"{found['rows']:,}",
            _number(found.get("mean_reward")),
            _number(found["mean_prediction"]),
            *(_with_error(found["scores"][metric]) for metric in METRICS),
        ]
        for name, found in sets
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _with_error(score: Mapping[str, Any]) -> str:
    return "-" if score["value"] is None else f"{score['value']:.3f} ± {score['std']:.3f}"
