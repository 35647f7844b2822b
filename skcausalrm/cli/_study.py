"""The demo's study: one log with known truth, several methods, prompts that none was fitted on."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from .. import CausalRewardRegressor
    from ..model_selection._cross_fitting import Folds

__all__ = ["CEILING", "CHECKED", "Outcome", "candidates", "compare", "summarise"]

CHECKED = "selection, 50 answers checked"
CEILING = "clean labels on all rows"


@dataclass(frozen=True)
class Outcome:
    """What one method predicted of every row, by models fitted on other prompts.

    Attributes
    ----------
    prediction : ndarray of shape (n,)
    by_fold : dict of ndarray of shape (n_splits,)
        Scores against the truth: r2, roc_auc, mean_prediction.
    """

    prediction: np.ndarray
    by_fold: dict[str, np.ndarray]


def candidates(seed: int) -> dict[str, tuple[CausalRewardRegressor, str, bool]]:
    """Return per name the estimator, the labels it gets, and whether it sees the checked rows."""
    from .. import CausalRewardRegressor

    def make(method: str) -> CausalRewardRegressor:
        return CausalRewardRegressor(method, random_state=seed)

    return {
        "naive": (make("naive"), "feedback", False),
        "snips": (make("snips"), "feedback", False),
        "dr": (make("dr"), "feedback", False),
        "selection": (make("selection"), "feedback", False),
        CHECKED: (make("selection"), "feedback", True),
        CEILING: (make("naive"), "reward", False),
    }


def compare(
    X: np.ndarray,
    labels: dict[str, np.ndarray],
    verified: np.ndarray,
    groups: np.ndarray,
    models: dict[str, tuple[CausalRewardRegressor, str, bool]],
    folds: Folds,
) -> dict[str, Outcome]:
    """Fit each model on the prompts outside a fold and predict those in it, for each fold.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    labels : dict of ndarray of shape (n,)
        "feedback", NaN where there is none, and "reward", the truth.
    verified : ndarray of shape (n,)
        The truth where somebody has checked the row, NaN elsewhere.
    groups : ndarray of shape (n,)
    models : as `candidates` returns them
    folds : Folds
    """
    import numpy as np

    from ..exceptions import SkcausalrmWarning
    from ..model_selection._cross_fitting import cross_fit

    truth = labels["reward"]
    everyone = np.ones(len(X), dtype=bool)
    outcomes = {}
    for name, (model, kind, sees_verified) in models.items():
        with warnings.catch_warnings():
            # One fit on one fold says no more than the saved model's, whose warnings are shown.
            warnings.simplefilter("ignore", SkcausalrmWarning)
            columns = {"groups": groups} | ({"verified": verified} if sees_verified else {})
            prediction = cross_fit(
                model,
                X,
                labels[kind],
                folds,
                rows=everyone,
                fit_params=columns,
                predict=lambda fitted, rows: fitted.predict(rows),
            )[1]
        outcomes[name] = Outcome(prediction, _scores_by_fold(truth, prediction, folds.of_row))
    return outcomes


def _scores_by_fold(truth, prediction, fold) -> dict[str, np.ndarray]:
    import numpy as np
    from sklearn.metrics import r2_score, roc_auc_score

    parts = [fold == k for k in range(fold.max() + 1)]
    return {
        "r2": np.array([r2_score(truth[rows], prediction[rows]) for rows in parts]),
        "roc_auc": np.array([roc_auc_score(truth[rows], prediction[rows]) for rows in parts]),
        "mean_prediction": np.array([prediction[rows].mean() for rows in parts]),
    }


def summarise(outcomes: dict[str, Outcome]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean and standard deviation over the folds of every score."""
    return {
        name: {
            score: {"mean": float(values.mean()), "std": float(values.std(ddof=1))}
            for score, values in outcome.by_fold.items()
        }
        for name, outcome in outcomes.items()
    }
