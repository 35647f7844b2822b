"""Diagnostics of a fitted selection likelihood, next to the estimates of the other recipes."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from .._utils._columns import RowColumns, check_columns
from .._utils._validation import Feedback, check_embeddings, check_feedback, decode_labels
from ..exceptions import InvalidInputError, SkcausalrmWarning, UnusedParameterError
from ..metrics._estimate import estimate
from ..model_selection._cross_fitting import Folds, make_folds
from ..nuisances._recipes import Target, effective_sample_size
from ..selection._model import SelectionModel
from ._advice import advice, advice_codes
from ._evidence import Rows, estimate_on, n_verified, score_targets, selection_evidence
from ._fit_nuisances import Defaults, fit_nuisances
from ._head import fit_head, out_of_fold_predictions

# Simpler recipes that the report compares with, all from the nuisances of "dr".
_RECIPES = ("naive", "noise", "snips", "dr")
_METRICS = ("r2", "roc_auc")
# Attributes of `SelectionModel` that the report repeats, without their underscore.
_FACTS = (
    "base_rate",
    "base_rate_interval",
    "base_rate_std",
    "base_rate_doubt",
    "selection_log_odds",
    "selection_log_odds_std",
    "false_positive_rate",
    "false_negative_rate",
    "link_weights",
    "level_source",
    "instrument_reach",
    "signal_log_odds",
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
        - ``advice`` : a sentence on the ranking and one on the level.
        - ``advice_codes`` : what they say. First "ranking-contradicted" (verified rows rank
          otherwise), "ranking-unproven" (a bound of the AUROC is at most one half),
          "ranking-below-naive" (naive's may be better by over .02) or "ranking-reliable"; then
          "level-open", "level-unchecked" (by the likelihood alone) or "level-reliable": verified or
          asked rows or a given base rate have a say; or users or instruments, where the keenest
          rate half of their rows and, with users, are ten in effect; or signals or a judge's high
          scores that are clearly likelier on good answers, or on bad ones.
        - ``ranking`` : ``score`` and ``interval`` (90%) of the out-of-fold AUROC: ``posterior``,
          by the likelihood; ``rated``, of the feedback itself; ``verified``; and ``over_naive``,
          its difference to naive's by the likelihood. None where there are too few rows.
        - ``base_rate``, ``base_rate_interval``, ``base_rate_std``, ``base_rate_doubt``,
          ``selection_log_odds``, ``selection_log_odds_std``, ``false_positive_rate``,
          ``false_negative_rate``, ``link_weights``, ``level_source``, ``instrument_reach`` and
          ``signal_log_odds`` : the attributes of `SelectionModel`.
        - ``level_told_by`` : the sources of the level that have a say, on which
          "level-reliable" rests.
        - ``n_verified``, ``n_asked`` : numbers of rows.
        - ``recipes`` : dict per recipe, out of fold, of ``base_rate``, ``false_positive_rate``,
          ``false_negative_rate``, ``effective_sample_size``, and scores with their standard errors
          (``*_std``): ``debiased_r2`` and ``debiased_roc_auc`` against draws from the
          posterior of "selection", the same target for all; ``asked_*`` on asked rows;
          ``verified_*`` on verified rows, which "selection" has used and the other recipes have
          not. A recipe that cannot be fitted has only ``error``, its message.

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
    X = check_embeddings(X)
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
    by_row: dict[str, Any] = {"columns": columns, "groups": folds.groups}
    targets = score_targets(selection, feedback, columns, model.random_state)
    with warnings.catch_warnings():
        # These fits serve the comparison alone.
        warnings.simplefilter("ignore", SkcausalrmWarning)
        predictions = _predictions(selection, X, feedback, columns, folds, defaults)
        for name, (prediction, facts) in predictions.items():
            if prediction is None:
                recipes[name] = facts
                continue
            base_rate = np.average(prediction, weights=columns.sample_weight)
            scores = _scores(targets, prediction, **by_row)
            recipes[name] = {"base_rate": float(base_rate), **facts, **scores}
    evidence = selection_evidence(selection, feedback, targets, predictions["naive"][0], **by_row)
    codes = advice_codes(evidence)
    return {
        "advice": advice(codes, evidence),
        "advice_codes": codes,
        "ranking": {
            name: None if found is None else {"score": found.score, "interval": found[2:4]}
            for name, found in evidence.aucs().items()
        },
        **{name: getattr(selection, f"{name}_") for name in _FACTS},
        "n_verified": n_verified(columns),
        "n_asked": 0 if columns.asked is None else int(columns.asked.sum()),
        "level_told_by": list(evidence.level_told_by),
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


def _scores(targets: dict[str, Rows], prediction: NDArray, **by_row) -> dict[str, float]:
    found: dict[str, float] = {}
    for metric in _METRICS:
        for kind, target in targets.items():
            score = estimate_on(estimate, metric, target, prediction, **by_row)
            if score is not None:
                found[f"{kind}_{metric}"], found[f"{kind}_{metric}_std"] = score.score, score.std
    return found
