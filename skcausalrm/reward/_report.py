"""Diagnostics of a fitted selection likelihood, next to the estimates of the other recipes."""

import warnings
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from .._utils._columns import RowColumns, check_columns
from .._utils._validation import FLOATS, Feedback, check_feedback, decode_labels
from ..exceptions import FeedbackError, InvalidInputError, SkcausalrmWarning, UnusedParameterError
from ..metrics._metric import METRICS
from ..model_selection._cross_fitting import Folds, make_folds
from ..nuisances._recipes import Target, correct_labels, effective_sample_size
from ..selection._fitting import UNCERTAIN
from ..selection._model import SelectionModel
from ._fit_nuisances import Defaults, fit_nuisances
from ._head import fit_head, out_of_fold_predictions

# Simpler recipes that the report compares with, all from the nuisances of "dr".
_RECIPES = ("naive", "noise", "snips", "dr")
_METRICS = ("r2", "roc_auc")
# Minimum ratings of each class for the ranking to be called reliable.
_MIN_RATED = 200
# Attributes of `SelectionModel` that the report repeats, without their underscore.
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


def selection_report(
    model,
    X,
    y,
    *,
    groups=None,
    users=None,
    sample_weight=None,
    asked=None,
    verified=None,
) -> dict[str, Any]:
    """Report what the selection likelihood found, and compare it with the other corrections.

    Parameters
    ----------
    model : CausalRewardRegressor or CausalRewardClassifier
        Fitted by the method "selection" (or "auto", where that chose it).
    X : array-like of shape (n, d)
        The embeddings that it was fitted on.
    y : array-like of shape (n,)
        The feedback that it was fitted on.
    groups, users, sample_weight, asked, verified : array-like of shape (n,), default=None
        The per-row columns that it was fitted with; `groups` and `users` cluster standard errors.

    Returns
    -------
    dict
        - ``advice`` : one sentence.
        - ``base_rate``, ``base_rate_interval``, ``base_rate_std``, ``selection_log_odds``,
          ``selection_log_odds_std``, ``false_positive_rate``, ``false_negative_rate`` and
          ``link_weights`` : the attributes of `SelectionModel`.
        - ``n_verified``, ``n_asked`` : numbers of rows.
        - ``recipes`` : dict per recipe, out of fold, of ``base_rate``, ``false_positive_rate``,
          ``false_negative_rate``, ``effective_sample_size``, and scores with their standard errors
          (``*_std``): ``debiased_r2`` and ``debiased_roc_auc`` against the posterior of
          "selection", the same target for all; ``asked_*`` on asked rows; ``verified_*`` on
          verified rows, which "selection" has used and the other recipes have not. A recipe that
          cannot be fitted has only ``error``, its message.

    Raises
    ------
    UnusedParameterError
        If the model was fitted by another method.
    InvalidInputError
        If X has another number of rows than the model was fitted on.

    Examples
    --------
    >>> from skcausalrm import CausalRewardRegressor
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.reward import selection_report
    >>> log = make_observational_feedback(5000, 16, n_verified=100, random_state=0)
    >>> model = CausalRewardRegressor(random_state=0)
    >>> model = model.fit(log.X, log.y, verified=log.verified)
    >>> report = selection_report(model, log.X, log.y, verified=log.verified)
    >>> report["n_verified"], list(report["recipes"])
    (100, ['naive', 'noise', 'snips', 'dr', 'selection'])
    """
    check_is_fitted(model)
    selection = model.nuisances_.selection_model
    if selection is None:
        raise UnusedParameterError(
            f"The report is on the selection likelihood, but the model was fitted by "
            f"{model.method_!r}: fit it with method='selection'."
        )
    X = check_array(X, dtype=FLOATS, input_name="X")
    if len(X) != len(selection.oof_posterior_):
        raise InvalidInputError(
            f"X has {len(X)} rows, but the model was fitted on {len(selection.oof_posterior_)}: "
            f"pass the log that it was fitted on."
        )
    feedback = check_feedback(X, decode_labels(y, getattr(model, "classes_", np.array([0, 1]))))
    columns = check_columns(X, groups, users, sample_weight, asked, verified)
    folds = make_folds(X, feedback.values, groups, model.cv, model.random_state)
    defaults = Defaults(model.cv, model.random_state, model.n_jobs)
    recipes = {}
    with warnings.catch_warnings():
        # These fits serve the comparison alone.
        warnings.simplefilter("ignore", SkcausalrmWarning)
        predictions = _predictions(selection, X, feedback, columns, folds, defaults)
        for name, (prediction, facts) in predictions.items():
            if prediction is None:
                recipes[name] = facts
                continue
            base_rate = np.average(prediction, weights=columns.sample_weight)
            scores = _scores(selection, prediction, feedback, columns, folds)
            recipes[name] = {"base_rate": float(base_rate), **facts, **scores}
    verified = columns.verified
    return {
        "advice": _advice(selection, feedback, columns),
        **{name: getattr(selection, f"{name}_") for name in _FACTS},
        "n_verified": 0 if verified is None else int((~np.isnan(verified)).sum()),
        "n_asked": 0 if columns.asked is None else int(columns.asked.sum()),
        "recipes": recipes,
    }


def _predictions(
    selection: SelectionModel,
    X: NDArray,
    feedback: Feedback,
    columns: RowColumns,
    folds: Folds,
    defaults: Defaults,
) -> dict[str, tuple[NDArray | None, dict[str, Any]]]:
    """Return out-of-fold predictions and facts of each recipe; None and the error if it fails."""
    rated = effective_sample_size(columns.weighted(feedback.observed.astype(np.float64)))
    found: dict[str, tuple[NDArray | None, dict[str, Any]]] = {}
    try:
        fit = fit_nuisances("dr", X, feedback, columns, folds, defaults)
    except ValueError as error:
        found |= {name: (None, {"error": str(error)}) for name in _RECIPES}
    else:
        moments, fit = fit.moments, fit._replace(moments=None)
        # dr first: the Gram matrices that it shares are then gone before others come.
        for name in reversed(_RECIPES):
            nuisances = replace(fit.nuisances, method=name)
            values, weight = nuisances.apply(feedback, fit.propensity, fit.outcome)
            target = Target(values, columns.weighted(weight))
            head = fit_head(None, X, target, folds, Defaults(), moments=moments)
            moments = None
            held_out = out_of_fold_predictions(head, X, target, folds)
            rates = (0.0, 0.0) if name == "naive" else nuisances.rates
            ess = fit.effective_sample_size if name in ("snips", "dr") else rated
            found[name] = (np.clip(held_out, 0, 1), _facts(rates, ess))
    rates = selection.false_positive_rate_, selection.false_negative_rate_
    found["selection"] = (selection.oof_probability_, _facts(rates, rated))
    return {name: found[name] for name in (*_RECIPES, "selection")}


def _facts(rates: tuple[float, float], ess: float) -> dict[str, float]:
    return {
        "false_positive_rate": float(rates[0]),
        "false_negative_rate": float(rates[1]),
        "effective_sample_size": float(ess),
    }


def _scores(
    selection: SelectionModel,
    prediction: NDArray,
    feedback: Feedback,
    columns: RowColumns,
    folds: Folds,
) -> dict[str, float]:
    rows = {"debiased": np.ones(len(prediction), dtype=bool)}
    z = {"debiased": selection.oof_posterior_}
    if columns.asked is not None:
        rows["asked"] = columns.asked & feedback.observed
        rates = selection.false_positive_rate_, selection.false_negative_rate_
        z["asked"] = correct_labels(feedback.values, rates)
    if columns.verified is not None:
        rows["verified"], z["verified"] = ~np.isnan(columns.verified), columns.verified
    clusters = {
        "groups": folds.groups,
        "users": columns.users,
        "sample_weight": columns.sample_weight,
    }
    found: dict[str, float] = {}
    for metric in _METRICS:
        for kind, part in rows.items():
            given = {k: None if column is None else column[part] for k, column in clusters.items()}
            with suppress(FeedbackError, InvalidInputError):  # too few rows for this score
                score = METRICS[metric](z[kind][part], prediction[part], **given, return_std=True)
                found[f"{kind}_{metric}"], found[f"{kind}_{metric}_std"] = map(float, score)
    return found


def _advice(selection: SelectionModel, feedback: Feedback, columns: RowColumns) -> str:
    low, high = selection.base_rate_interval_
    span = f"the share of good answers is between {low:.0%} and {high:.0%} (90% interval)"
    rated = feedback.values[feedback.observed]
    rarer = int(min((rated == 1).sum(), (rated == 0).sum()))
    if rarer < _MIN_RATED:
        return f"Only {rarer} ratings are of one class: collect more before relying on the ranking."
    if selection.base_rate_std_ > UNCERTAIN:
        cure = (
            "check about 50 rows with `skcausalrm label`"
            if columns.verified is None
            else "check more rows, drawn at random"
        )
        return f"The ranking is reliable, the level is not: {span}; {cure}."
    if columns.verified is None and columns.asked is None and selection.base_rate is None:
        return (
            f"The ranking is reliable. By the likelihood alone {span}: check about 50 rows with "
            f"`skcausalrm label` before relying on the level."
        )
    return f"Ranking and level are reliable: {span}."
