"""The demo's log with known truth, and its comparison of methods on prompts not fitted on."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from sklearn.utils import Bunch

    from .. import CausalRewardRegressor
    from ..model_selection._cross_fitting import Folds

__all__ = [
    "CEILING",
    "CHECKED",
    "FLIP_RATES",
    "N_CHECKED",
    "Outcome",
    "candidates",
    "compare",
    "make_log",
    "means_by_manner",
    "summarise",
    "write_labels",
]

# P(thumbs up | bad answer) and P(thumbs down | good answer) of the users.
FLIP_RATES = (0.1, 0.2)
N_CHECKED = 50
# Share of rated answers. Encoding is the slow part, and the methods differ by what they do with
# ratings, so it is higher than in most products.
_OBSERVED_RATE = 0.4

CHECKED = f"selection, {N_CHECKED} answers checked"
CEILING = "clean labels on all rows"


@dataclass(frozen=True)
class Outcome:
    """Predictions of one method for all rows, each by a model fitted on other prompts.

    Attributes
    ----------
    prediction : ndarray of shape (n,)
    by_fold : dict of ndarray of shape (n_splits,)
        Scores against the truth: r2, roc_auc, mean_prediction.
    """

    prediction: np.ndarray
    by_fold: dict[str, np.ndarray]


def make_log(rows: int, seed: int) -> Bunch:
    """Return a log whose users rate some texts more, and what they like more, with errors."""
    from ..datasets import make_feedback_logs

    false_positive_rate, false_negative_rate = FLIP_RATES
    return make_feedback_logs(
        rows,
        selection="both",
        false_positive_rate=false_positive_rate,
        false_negative_rate=false_negative_rate,
        observed_rate=_OBSERVED_RATE,
        n_verified=N_CHECKED,
        random_state=seed,
    )


def write_labels(path: Path, frame: pd.DataFrame, reward: np.ndarray) -> np.ndarray:
    """Write the label file of a person who judges as the truth does, and return its judgements.

    The answers are those that ``skcausalrm label`` draws from this log.

    Parameters
    ----------
    path : Path
        A file there is replaced.
    frame : DataFrame of n rows
    reward : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n,)
        1, 0, or NaN where the answer is not judged.
    """
    import numpy as np

    from ..datasets._labels import answer_keys, append_label, draw_answers

    path.unlink(missing_ok=True)
    keys = answer_keys(frame)
    judged = draw_answers(frame, keys=keys)[:N_CHECKED]
    for row in judged:
        texts = frame.iloc[row][["prompt", "completion"]].to_dict()
        append_label(path, keys[row], reward[row], **texts)
    verified = np.full(len(frame), np.nan)
    verified[judged] = reward[judged]
    return verified


def candidates(seed: int) -> dict[str, tuple[CausalRewardRegressor, str, bool]]:
    """Return per name the estimator, the labels to fit on, and True if it gets checked answers."""
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
        The truth where a person has checked the row, NaN elsewhere.
    groups : ndarray of shape (n,)
    models : dict
        As returned by `candidates`.
    folds : Folds

    Returns
    -------
    dict of Outcome
        By the name of the model.
    """
    import numpy as np

    from ..exceptions import SkcausalrmWarning
    from ..model_selection._cross_fitting import cross_fit

    truth = labels["reward"]
    all_rows = np.ones(len(X), dtype=bool)
    outcomes = {}
    for name, (model, kind, sees_verified) in models.items():
        with warnings.catch_warnings():
            # The fit of the saved model gives the same warnings.
            warnings.simplefilter("ignore", SkcausalrmWarning)
            columns = {"groups": groups} | ({"verified": verified} if sees_verified else {})
            prediction = cross_fit(
                model,
                X,
                labels[kind],
                folds,
                rows=all_rows,
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
    """Return mean and standard deviation over the folds of every score."""
    return {
        name: {
            score: {"mean": float(values.mean()), "std": float(values.std(ddof=1))}
            for score, values in outcome.by_fold.items()
        }
        for name, outcome in outcomes.items()
    }


def means_by_manner(
    predictions: dict[str, np.ndarray], probability: np.ndarray, manner: np.ndarray
) -> list[dict[str, Any]]:
    """Return the share, true mean reward and mean predictions of every kind of answer, best first.

    Parameters
    ----------
    predictions : dict of ndarray of shape (n,)
    probability : ndarray of shape (n,)
        The true P(r=1 given text).
    manner : ndarray of str, shape (n,)
    """
    kinds = []
    for name in sorted(set(manner.tolist())):
        rows = manner == name
        means = {"truth": probability} | predictions
        kinds.append(
            {"answers": name, "share": float(rows.mean())}
            | {key: float(values[rows].mean()) for key, values in means.items()}
        )
    return sorted(kinds, key=lambda kind: -kind["truth"])
