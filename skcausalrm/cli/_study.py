"""The demo's log with known truth, its comparison of methods, and the model that it keeps."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.utils import Bunch

from .. import CausalRewardRegressor, ConversationEncoder
from .._utils._atomic_files import write_atomically
from ..datasets import make_feedback_logs
from ..datasets._labels import answer_keys, append_label, draw_answers
from ..exceptions import SkcausalrmWarning
from ..export import save_model_directory
from ..model_selection._cross_fitting import Folds, cross_fit
from ..text._saved import encoder_settings
from ._console import progress
from ._logs import encode
from ._prompts import pack_prompts
from ._rows import format_rows

# P(thumbs up | bad answer) and P(thumbs down | good answer) of the users.
FLIP_RATES = (0.1, 0.2)
N_CHECKED = 50
# Share of rated answers. Encoding is the slow part, and the methods differ by what they do with
# ratings, so it is higher than in most products.
_OBSERVED_RATE = 0.4

CHECKED = f"selection, {N_CHECKED} answers checked"
CEILING = "clean labels on all rows"


def make_log(rows: int, seed: int) -> Bunch:
    """Return a log whose users rate some texts more, and what they like more, with errors."""
    return make_feedback_logs(
        rows,
        selection="both",
        false_positive_rate=FLIP_RATES[0],
        false_negative_rate=FLIP_RATES[1],
        observed_rate=_OBSERVED_RATE,
        n_verified=N_CHECKED,
        random_state=seed,
    )


def write_logs(logs: Bunch, train: np.ndarray, paths: dict[str, Path]) -> np.ndarray:
    """Write the log to fit on, its label file and the held-out log.

    The label file is that of a person who judges, as the truth does, the answers that
    ``skcausalrm label`` draws from the log.

    Parameters
    ----------
    logs : Bunch
        As returned by `make_log`.
    train : ndarray of bool, shape (n,)
        Rows to fit on.
    paths : dict of path
        Files there are replaced.

    Returns
    -------
    ndarray of shape (n_train,)
        The judgements: 1, 0, or NaN where the answer is not judged.
    """
    frame = logs.frame.drop(columns="verified")
    for name, rows in (("logs.jsonl", train), ("held_out.jsonl", ~train)):
        write_atomically(paths[name], format_rows(frame[rows], ".jsonl"))
    frame, reward, path = frame[train], logs.reward[train], paths["labels.jsonl"]
    path.unlink(missing_ok=True)
    keys = answer_keys(frame)
    judged = draw_answers(frame, keys=keys)[:N_CHECKED]
    for row in judged:
        texts = frame.iloc[row][["prompt", "completion"]].to_dict()
        append_label(path, keys[row], reward[row], **texts)
    verified = np.full(len(frame), np.nan)
    verified[judged] = reward[judged]
    return verified


def compare_and_keep(
    logs: Bunch,
    folds: Folds,
    verified: np.ndarray,
    paths: dict[str, Path],
    seed: int,
    overwrite: bool,
) -> dict[str, Any]:
    """Compare the methods on prompts not fitted on, and write the model and the picture.

    Parameters
    ----------
    logs : Bunch
        As returned by `make_log`.
    folds : Folds
        Fold 0 is held out from the model.
    verified : ndarray of shape (n_train,)
        As returned by `write_logs`.
    paths : dict of path
        Files to write.
    seed : int
    overwrite : bool
        Whether to replace the model.
    """
    from ._picture import draw

    frame = logs.frame
    feedback, groups = (frame[name].to_numpy() for name in ("feedback", "group"))
    encoder = ConversationEncoder()
    X = encode(encoder, frame[["prompt", "completion"]])
    progress(f"fitting every method {folds.n_splits} times, each time without some of the prompts")
    by_method = _predictions(X, logs, folds, seed)
    progress("fitting the model to keep")
    train = folds.of_row != 0
    kept = CausalRewardRegressor(random_state=seed).fit(
        X[train], feedback[train], groups=groups[train], verified=verified
    )
    selection = kept.nuisances_.selection_model
    drawn = {
        "naive": by_method["naive"],
        f"corrected ({CHECKED.partition(', ')[2]})": by_method[CHECKED],
    }
    kinds = _means_by_manner({"truth": logs.probability, **drawn}, logs.manner)
    result: dict[str, Any] = {
        "rows": len(frame),
        "prompts": int(frame["group"].nunique()),
        "rated": int(frame["feedback"].notna().sum()),
        "positive_share_of_rated": float(frame["feedback"].mean()),
        "true_mean_reward": float(logs.reward.mean()),
        "best_possible_r2": float(r2_score(logs.reward, logs.probability)),
        "methods": {
            name: _scores(logs.reward, prediction, folds) for name, prediction in by_method.items()
        },
        "kinds_of_answers": kinds,
        "estimated_flip_rates": [selection.false_positive_rate_, selection.false_negative_rate_],
        "true_flip_rates": list(FLIP_RATES),
    }
    save_model_directory(
        kept,
        paths["model"],
        encoder_settings=encoder_settings(encoder),
        report={**result, "training_prompts": pack_prompts(frame[train])},
        overwrite=overwrite,
    )
    draw(paths["demo.png"], drawn, probability=logs.probability, kinds=kinds)
    return result


def _predictions(X: np.ndarray, logs: Bunch, folds: Folds, seed: int) -> dict[str, np.ndarray]:
    """Return predictions of every method, each by a model fitted on the prompts of other folds."""
    feedback, verified = (logs.frame[name].to_numpy() for name in ("feedback", "verified"))
    runs: dict[str, tuple[str, np.ndarray, dict[str, np.ndarray]]] = {
        **{name: (name, feedback, {}) for name in ("naive", "snips", "dr", "selection")},
        CHECKED: ("selection", feedback, {"verified": verified}),
        CEILING: ("naive", logs.reward, {}),
    }
    predictions = {}
    with warnings.catch_warnings():
        # The fit of the saved model gives the same warnings.
        warnings.simplefilter("ignore", SkcausalrmWarning)
        for name, (method, labels, columns) in runs.items():
            _, predictions[name] = cross_fit(
                CausalRewardRegressor(method, random_state=seed),
                X,
                labels,
                folds,
                fit_params={"groups": folds.groups, **columns},
            )
    return predictions


def _scores(truth: np.ndarray, prediction: np.ndarray, folds: Folds) -> dict[str, dict[str, float]]:
    """Return mean and standard deviation over the folds of every score against the truth."""
    parts = [folds.of_row == k for k in range(folds.n_splits)]
    by_fold = {
        "r2": [r2_score(truth[rows], prediction[rows]) for rows in parts],
        "roc_auc": [roc_auc_score(truth[rows], prediction[rows]) for rows in parts],
        "mean_prediction": [prediction[rows].mean() for rows in parts],
    }
    return {
        score: {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1))}
        for score, values in by_fold.items()
    }


def _means_by_manner(values: dict[str, np.ndarray], manner: np.ndarray) -> list[dict[str, Any]]:
    """Return the share and the means of every kind of answer, the best kind first.

    Parameters
    ----------
    values : dict of ndarray of shape (n,)
        "truth", the true P(r=1 given text), and predictions by name.
    manner : ndarray of str, shape (n,)
    """
    kinds = [
        {"answers": name, "share": float((manner == name).mean())}
        | {key: float(value[manner == name].mean()) for key, value in values.items()}
        for name in np.unique(manner).tolist()
    ]
    return sorted(kinds, key=lambda kind: -kind["truth"])
