"""What the selection likelihood found, beside what each simpler recipe would have said."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils._validation import Feedback
from ..exceptions import SkcausalrmWarning
from ..model_selection._cross_fitting import Folds
from ..nuisances._recipes import RECIPES, effective_sample_size
from ..selection._model import UNCERTAIN, SelectionModel
from ._head import fit_head, out_of_fold_predictions
from ._nuisances import NuisanceSettings, RowColumns, fit_nuisances

__all__ = ["posterior_facts", "report_selection"]

_RECIPES = ("naive", "noise", "snips", "dr")
_SCORES = ("r2", "roc_auc")
# Attributes of `SelectionModel`, without their underscore.
_FACTS = (
    "base_rate",
    "base_rate_interval",
    "base_rate_std",
    "selection_log_odds",
    "selection_log_odds_std",
    "false_positive_rate",
    "false_negative_rate",
    "link_weights",
)


def report_selection(
    selection: SelectionModel,
    settings: NuisanceSettings,
    X: NDArray,
    feedback: Feedback,
    columns: RowColumns,
    folds: Folds,
) -> dict[str, Any]:
    """Compare "selection" with the other recipes on one log.

    Parameters
    ----------
    selection : SelectionModel
        Fitted on the log.
    settings : NuisanceSettings
        Of the fit: folds and seeds of the other recipes' nuisances.
    X : ndarray of shape (n, d)
    feedback : Feedback
    columns : RowColumns
    folds : Folds

    Returns
    -------
    dict
        advice : str
            One sentence.
        base_rate, base_rate_interval, base_rate_std, selection_log_odds, selection_log_odds_std, \
false_positive_rate, false_negative_rate, link_weights
            As the attributes of `SelectionModel`.
        n_verified, n_asked : int
        recipes : dict of dict
            Per recipe, out of fold: base_rate, false_positive_rate, false_negative_rate,
            effective_sample_size, and scores with their standard errors (``*_std``):
            debiased_r2 and debiased_roc_auc against the joint model's posterior, the same target
            for all; asked_* on asked rows; verified_* on verified rows, which every recipe but
            "selection" leaves out of its fit, and which "selection" has used. A recipe that cannot
            be fitted has only ``error``, its message.
    """
    recipes = {}
    with warnings.catch_warnings():
        # These are remarks on fits whose rewards nobody gets.
        warnings.simplefilter("ignore", SkcausalrmWarning)
        for name, (prediction, facts) in _predictions(
            selection, settings, X, feedback, columns, folds
        ).items():
            if prediction is None:
                recipes[name] = facts
                continue
            base_rate = np.average(prediction, weights=columns.sample_weight)
            scores = _scores(selection, prediction, feedback, columns, folds)
            recipes[name] = {"base_rate": float(base_rate), **facts, **scores}
    verified = columns.verified
    return {
        "advice": _advice(selection, feedback, columns),
        **posterior_facts(selection),
        "n_verified": 0 if verified is None else int((~np.isnan(verified)).sum()),
        "n_asked": 0 if columns.asked is None else int(columns.asked.sum()),
        "recipes": recipes,
    }


def posterior_facts(selection: SelectionModel) -> dict[str, Any]:
    """Return what a fitted model says of base rate, selection, flips and links, by name."""
    return {name: getattr(selection, f"{name}_") for name in _FACTS}


def _predictions(selection, settings, X, feedback, columns, folds) -> dict[str, tuple]:
    """Out-of-fold predictions and facts of each recipe; None and the error where it fails."""
    weight = columns.sample_weight
    rated = effective_sample_size(
        feedback.observed if weight is None else weight * feedback.observed
    )
    found: dict[str, tuple] = {}
    simple = settings._replace(method="dr", selection_model=None)
    try:
        nuisances = fit_nuisances(simple, X, feedback, columns, folds)
    except ValueError as error:
        found |= {name: (None, {"error": str(error)}) for name in _RECIPES}
    else:
        moments, nuisances = nuisances.moments, nuisances._replace(moments=None)
        # dr first: the Gram matrices that it shares are then gone before others come
        for name in reversed(_RECIPES):
            target, recipe_weight = RECIPES[name](
                feedback.values,
                feedback.observed,
                nuisances.propensity,
                nuisances.outcome,
                nuisances.rates,
            )
            total = recipe_weight if weight is None else recipe_weight * weight
            head = fit_head(None, X, target, total, folds, moments=moments)
            moments = None
            held_out = out_of_fold_predictions(head, X, target, total, folds)
            rates = (0.0, 0.0) if name == "naive" else nuisances.rates
            weighted = name in ("snips", "dr")
            ess = nuisances.effective_sample_size if weighted else rated
            found[name] = (np.clip(held_out, 0, 1), _facts(rates, ess))
    rates = selection.false_positive_rate_, selection.false_negative_rate_
    found["selection"] = (selection.oof_probability_, _facts(rates, rated))
    return {name: found[name] for name in (*_RECIPES, "selection")}


def _facts(rates, ess) -> dict[str, float]:
    return {
        "false_positive_rate": float(rates[0]),
        "false_negative_rate": float(rates[1]),
        "effective_sample_size": float(ess),
    }


def _scores(selection, prediction, feedback, columns, folds) -> dict[str, float]:
    from ..metrics import asked_score, debiased_r2_score, debiased_roc_auc_score

    functions = dict(zip(_SCORES, (debiased_r2_score, debiased_roc_auc_score), strict=True))
    weight = columns.sample_weight
    found: dict[str, float] = {}

    def add(name, score):
        found[name], found[f"{name}_std"] = map(float, score)

    for metric, function in functions.items():
        add(
            f"debiased_{metric}",
            function(
                selection.oof_posterior_,
                prediction,
                groups=folds.groups,
                sample_weight=weight,
                return_std=True,
            ),
        )
        if columns.asked is not None and (columns.asked & feedback.observed).any():
            with suppress(ValueError):  # too few answers for this score
                score = asked_score(
                    metric,
                    feedback.values,
                    prediction,
                    columns.asked,
                    false_positive_rate=selection.false_positive_rate_,
                    false_negative_rate=selection.false_negative_rate_,
                    groups=folds.groups,
                    sample_weight=weight,
                    return_std=True,
                )
                add(f"asked_{metric}", score)
        if columns.verified is not None:
            judged = ~np.isnan(columns.verified)
            labels = columns.verified[judged]
            if 0 < labels.mean() < 1:
                score = function(
                    labels,
                    prediction[judged],
                    groups=folds.groups[judged],
                    sample_weight=None if weight is None else weight[judged],
                    return_std=True,
                )
                add(f"verified_{metric}", score)
    return found


def _advice(selection: SelectionModel, feedback: Feedback, columns: RowColumns) -> str:
    low, high = selection.base_rate_interval_
    span = f"the share of good answers lies between {low:.0%} and {high:.0%} (90%)"
    rated = feedback.values[feedback.observed]
    fewest = int(min((rated == 1).sum(), (rated == 0).sum()))
    if fewest < 200:
        return f"Only {fewest} ratings are of one kind: collect more before relying on the ranking."
    if selection.base_rate_std_ > UNCERTAIN and columns.verified is None:
        return (
            f"Ranking reliable, level not, as {span}: check about 50 rows with `skcausalrm label`."
        )
    if selection.base_rate_std_ > UNCERTAIN:
        return f"Ranking reliable, level still open, as {span}: check more rows, drawn at random."
    if columns.verified is None and columns.asked is None and selection.base_rate is None:
        return (
            f"Ranking reliable, and by the likelihood alone {span}: check about 50 rows with "
            f"`skcausalrm label` before relying on the level."
        )
    return f"Ranking reliable, and the level to this: {span}."
