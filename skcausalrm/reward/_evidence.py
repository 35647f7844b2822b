"""Evidence on a ranking and on a level, on the rows that a reward was fitted on."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._utils._columns import RowColumns
from .._utils._validation import Feedback
from ..exceptions import FeedbackError, GroupsError, InvalidInputError
from ..metrics._estimate import NORMAL_95, Estimate, estimate, estimate_difference
from ..model_selection._cross_fitting import Folds, make_folds
from ..nuisances._recipes import RECIPES, Target, correct_labels
from ..selection._draws import N_DRAWS, outcome_draws
from ..selection._fitting import UNCERTAIN
from ..selection._habit import FEW_USERS, LEAST_REACH, find_keenest
from ..selection._model import SelectionModel
from ._advice import Evidence
from ._fit_nuisances import Defaults
from ._head import fit_head, out_of_fold_predictions
from ._nuisances import find_selection_model

# Standard deviations from which on a signal's log odds are not 0.
_CLEAR = 2.0


class Rows(NamedTuple):
    """Rows of one kind, and z of all rows."""

    rows: NDArray[np.bool_]
    z: NDArray[np.float64]


def held_out_rewards(
    model: Any, X: NDArray, feedback: Feedback, columns: RowColumns
) -> NDArray[np.float64]:
    """Return out-of-fold predictions of the training rows by the head alone, (n,).

    They are neither clipped nor recalibrated.

    Parameters
    ----------
    model : CausalRewardRegressor or CausalRewardClassifier
        Of another method than "selection", which keeps its own.
    X : ndarray of shape (n, d)
    feedback : Feedback
    columns : RowColumns
    """
    folds = make_folds(X, feedback.values, columns.groups, model.cv, model.random_state)
    target = Target(model.target_, columns.weighted(model.weight_))
    defaults = Defaults(model.cv, model.random_state, model.n_jobs)
    head = fit_head(model.estimator, X, target, folds, defaults, binary=feedback.binary)
    return out_of_fold_predictions(head, X, target, folds, n_jobs=model.n_jobs)


def fit_evidence(
    model: Any,
    X: NDArray,
    feedback: Feedback,
    columns: RowColumns,
    ranking: NDArray[np.float64] | None = None,
) -> Evidence:
    """Return the evidence on a fitted reward of any method, on its training rows.

    Rankings are out of fold. That of "selection" is judged against draws of its posterior, that of
    another method against its own targets, and there the level is not judged.

    Parameters
    ----------
    model : CausalRewardRegressor, CausalRewardClassifier or SelectionModel
    X : ndarray of shape (n, d)
    feedback : Feedback
        0/1 feedback.
    columns : RowColumns
    ranking : ndarray of shape (n,) or None, default=None
        `held_out_rewards`, where the caller has them; "selection" needs none.
    """
    folds = make_folds(X, feedback.values, columns.groups, model.cv, model.random_state)
    naive = None
    if len(np.unique(feedback.values[feedback.observed])) == 2:
        naive = naive_ranking(X, feedback, columns, folds)
    selection = find_selection_model(model)
    if selection is not None:
        targets = score_targets(selection, feedback, columns, model.random_state)
        return selection_evidence(
            selection, feedback, targets, naive, columns=columns, groups=folds.groups
        )
    target = Target(model.target_, columns.weighted(model.weight_))
    if ranking is None:
        ranking = held_out_rewards(model, X, feedback, columns)
    by_row: dict[str, Any] = {
        "columns": columns._replace(sample_weight=target.weight),
        "groups": folds.groups,
    }
    own = Rows(target.weight > 0, target.values)
    auc = {
        "posterior": _with_flips(estimate_on(estimate, "roc_auc", own, ranking, **by_row), model),
        "over_naive": None,
    }
    if naive is not None and model.method_ != "naive":
        auc["over_naive"] = estimate_on(
            estimate_difference, "roc_auc", own, ranking, naive, **by_row
        )
    by_row["columns"] = columns
    for name, rows in _label_rows(feedback, columns).items():
        auc[name] = estimate_on(estimate, "roc_auc", rows, ranking, **by_row)
    return Evidence(
        auc["posterior"],
        auc["rated"],
        auc.get("verified"),
        auc["over_naive"],
        level_is_open=False,
        level_told_by=(),
        n_verified=n_verified(columns),
        base_rate_interval=(0.0, 1.0),
    )


def _with_flips(auc: Estimate | None, model: Any) -> Estimate | None:
    """Return an AUROC against corrected labels with the error of the flip rates.

    Correction divides its distance to one half by one minus both rates, so their errors move that
    in proportion.
    """
    noise = model.nuisances_.noise_estimator
    if auc is None or noise is None:
        return auc
    error = np.hypot(noise.false_positive_rate_std_, noise.false_negative_rate_std_)
    open_std = float(abs(auc.score - 0.5) * error / (1 - sum(noise.rates_)))
    half = NORMAL_95 * open_std
    return Estimate(
        auc.score,
        float(np.hypot(auc.std, open_std)),
        auc.score - float(np.hypot(auc.score - auc.low, half)),
        auc.score + float(np.hypot(auc.high - auc.score, half)),
        open_std,
    )


def naive_ranking(X, feedback: Feedback, columns: RowColumns, folds: Folds) -> NDArray:
    """Return out-of-fold predictions of a ridge regression on the feedback as it is, (n,)."""
    values, weight = RECIPES["naive"](feedback.values, feedback.observed, None, None, None)
    target = Target(values, columns.weighted(weight))
    head = fit_head(None, X, target, folds, Defaults())
    return np.clip(out_of_fold_predictions(head, X, target, folds), 0, 1)


def _label_rows(feedback: Feedback, columns: RowColumns) -> dict[str, Rows]:
    """Return the rows with labels: the feedback itself, and verified labels where there are any."""
    unasked, rated = columns.unasked(len(feedback.values)), feedback.observed
    if len(np.unique(feedback.values[rated & unasked])) < 2:
        rated = rated & ~unasked  # clicks hold no dislikes: only asked answers say what is liked
    found = {"rated": Rows(rated, feedback.values)}
    if columns.verified is not None:
        found["verified"] = Rows(~np.isnan(columns.verified), columns.verified)
    return found


def score_targets(
    selection: SelectionModel, feedback: Feedback, columns: RowColumns, random_state
) -> dict[str, Rows]:
    """Return the rows of each kind of score, and what stands for their labels."""
    everyone = np.ones(len(feedback.values), dtype=bool)
    draws = outcome_draws(selection, feedback.values, columns, N_DRAWS, random_state)
    kinds = {"debiased": Rows(everyone, draws)}
    if columns.asked is not None:
        rates = selection.false_positive_rate_, selection.false_negative_rate_
        labels = correct_labels(feedback.values, rates)
        kinds["asked"] = Rows(columns.asked & feedback.observed, labels)
    if columns.verified is not None:
        kinds["verified"] = Rows(~np.isnan(columns.verified), columns.verified)
    return kinds


def estimate_on(
    score, metric: str, kind: Rows, *predictions: NDArray, columns: RowColumns, groups: NDArray
) -> Estimate | None:
    """Return `score` on rows of one kind, or None where they are too few."""
    rows, z = kind
    by_row = {
        "groups": groups,
        "users": columns.users,
        "sample_weight": columns.sample_weight,
    }
    given = {name: None if column is None else column[rows] for name, column in by_row.items()}
    try:
        return score(metric, z[rows], *(f[rows] for f in predictions), **given)
    except (FeedbackError, InvalidInputError, GroupsError):
        return None


def selection_evidence(
    selection: SelectionModel,
    feedback: Feedback,
    targets: dict[str, Rows],
    naive: NDArray | None,
    **by_row,
) -> Evidence:
    """Return the evidence on a selection model, given `score_targets` and naive's ranking."""
    columns, ranking = by_row["columns"], selection.oof_probability_
    targets = {**_label_rows(feedback, columns), **targets}
    auc = {
        kind: estimate_on(estimate, "roc_auc", target, ranking, **by_row)
        for kind, target in targets.items()
    }
    over_naive = None
    if naive is not None:
        over_naive = estimate_on(
            estimate_difference, "roc_auc", targets["debiased"], ranking, naive, **by_row
        )
    return Evidence(
        posterior=auc["debiased"],
        rated=auc["rated"],
        verified=auc.get("verified"),
        over_naive=over_naive,
        level_is_open=selection.base_rate_doubt_ > UNCERTAIN,
        level_told_by=_told_by(selection, feedback, columns),
        n_verified=n_verified(columns),
        base_rate_interval=selection.base_rate_interval_,
    )


def _told_by(selection: SelectionModel, feedback: Feedback, columns: RowColumns) -> tuple[str, ...]:
    """Return what has a say on the level: a source may be used and still say nothing of it."""
    used = [name for name, reason in selection.level_source_.items() if reason == "used"]
    told = ["verified", "asked", "base_rate"]
    habit = selection.habit_
    if habit is not None:
        weight = columns.weighted(columns.unasked(len(habit)).astype(np.float64))
        users = columns.users if "users" in used else None
        reach, effective = find_keenest(habit, feedback.observed, weight, users)
        if reach >= LEAST_REACH and effective >= FEW_USERS:
            told += ["users", "instruments"]
    for name, (mean, std) in (selection.signal_log_odds_ or {}).items():
        if abs(mean) > _CLEAR * std:
            told.append("judge_score" if name == "judge_score" else "signals")
    return tuple(name for name in dict.fromkeys(told) if name in used)


def n_verified(columns: RowColumns) -> int:
    """Return the number of verified rows."""
    return 0 if columns.verified is None else int((~np.isnan(columns.verified)).sum())
