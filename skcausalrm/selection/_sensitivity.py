"""Sensitivity of a reward to the strength of selection on the preference."""

import warnings
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._utils._columns import check_columns
from .._utils._validation import check_embeddings, check_feedback
from ..exceptions import BaseRateUncertainWarning, InvalidInputError
from ..model_selection._cross_fitting import make_folds
from ._fitting import check_likelihood_feedback, fit_likelihood
from ._inputs import fit_inputs
from ._model import SelectionModel
from ._priors import check_knowledge


def sensitivity_analysis(
    fitted,
    X,
    y,
    *,
    selection_log_odds,
    rows=None,
    versus=None,
    groups=None,
    users=None,
    instruments=None,
    signals=None,
    signal_directions=None,
    sample_weight=None,
    asked=None,
    verified=None,
    judge_score=None,
):
    """Refit the selection likelihood with selection on the preference fixed at each of a grid.

    The log alone hardly identifies by how much likelier a liked answer is rated than a disliked
    one. Where conclusions agree over all values that you find credible, they do not depend on it.

    Parameters
    ----------
    fitted : estimator
        A fitted reward: `SelectionModel`, `CausalRewardRegressor` or `CausalRewardClassifier` of
        any method, or any other with `predict_proba` or `predict`. The settings of a selection
        model in it are used. For a Pipeline pass its last step, and X as that step sees it.
    X : array-like of shape (n, d)
        The log that it was fitted on.
    y : array-like of shape (n,)
        Feedback, NaN where there is none.
    selection_log_odds : array-like of shape (k,)
        Log odds within -10 and 10; 0 is selection on x alone, negative that complaints are
        likelier.
    rows : slice, array-like of int or of bool, default=None
        Rows whose mean reward is reported, such as those of one model; None is all.
    versus : slice, array-like of int or of bool, default=None
        Rows that these are compared with, such as those of another model; None compares with none.
    groups, users, instruments, signals : array-like of n rows, default=None
        Per-row columns, as in `SelectionModel.fit`.
    signal_directions : dict of str to str, default=None
        As in `SelectionModel.fit`.
    sample_weight, asked, verified, judge_score : array-like of shape (n,), default=None
        Per-row columns, as in `SelectionModel.fit`.

    Returns
    -------
    DataFrame
        One row per value: ``selection_log_odds``; ``base_rate``, the mean of P(r=1 given x) over
        the log, with its 90% interval ``base_rate_low`` and ``base_rate_high``; ``mean_reward`` of
        the chosen rows; ``versus_mean_reward`` of those that they are compared with, where there
        are such; ``rank_correlation``, Spearman's, between refitted and fitted reward over the
        log; ``false_positive_rate`` and ``false_negative_rate``; ``log_evidence`` in nats below
        the best value of the grid.

    Raises
    ------
    InvalidInputError
        If a value lies beyond 10 either way, or `rows` or `versus` chooses none.
    TypeError
        If `fitted` cannot predict, or is a Pipeline.

    Notes
    -----
    With the log odds fixed, ``gamma`` of the likelihood is that value and ``delta`` is 0; at 0
    ``kappa`` is 0 too, so that nothing but x selects (see `SelectionModel`). Linear predictors
    are fitted once and shared by all values.

    Examples
    --------
    >>> from skcausalrm import SelectionModel
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.inspection import sensitivity_analysis
    >>> log = make_observational_feedback(2000, 8, selection="reward", n_verified=200,
    ...                                   random_state=0)
    >>> model = SelectionModel(random_state=0).fit(log.X, log.y, verified=log.verified)
    >>> table = sensitivity_analysis(model, log.X, log.y, selection_log_odds=[0, 1, 2])
    >>> table["base_rate"].is_monotonic_decreasing
    True
    """
    import pandas as pd

    if isinstance(fitted, Pipeline):
        raise TypeError(
            "fitted is a Pipeline: pass its last step, and X transformed by the steps before it."
        )
    check_is_fitted(fitted)
    reference = _reward(fitted, X)
    X = check_embeddings(X)
    feedback = check_feedback(X, y)
    columns = check_columns(
        X,
        groups,
        users,
        sample_weight,
        asked,
        verified,
        judge_score=judge_score,
        instruments=instruments,
        signals=signals,
        signal_directions=signal_directions,
    )
    sets = {"mean_reward": np.arange(len(X))[slice(None) if rows is None else rows]}
    if versus is not None:
        sets["versus_mean_reward"] = np.arange(len(X))[versus]
    for name, chosen in sets.items():
        if not len(chosen):
            argument = "rows" if name == "mean_reward" else "versus"
            raise InvalidInputError(f"{argument} chooses none of the {len(X)} rows: choose some.")
    model = _settings(fitted)
    knowledge = [
        check_knowledge(clone(model).set_params(selection_log_odds=float(value)))
        for value in np.atleast_1d(selection_log_odds)
    ]
    check_likelihood_feedback(feedback.values, columns, base_rate=model.base_rate)
    folds = make_folds(X, feedback.values, groups, model.cv, model.random_state)
    inputs = fit_inputs(
        X,
        feedback.values,
        columns,
        folds,
        check_knowledge(model),
        likelihood_power=model.likelihood_power,
        random_state=model.random_state,
    )
    weight = columns.weighted(np.ones(len(X)))
    table = []
    for known in knowledge:
        with warnings.catch_warnings():
            # The interval is in the table.
            warnings.simplefilter("ignore", BaseRateUncertainWarning)
            fit = fit_likelihood(
                inputs,
                feedback.values,
                known,
                likelihood_power=model.likelihood_power,
                n_jobs=model.n_jobs,
                checks_level=False,
            )
        (low, high), rates = fit.whole.base_rate_interval, fit.whole.rates
        table.append(
            {
                "selection_log_odds": known.selection_log_odds,
                "base_rate": fit.whole.base_rate,
                "base_rate_low": low,
                "base_rate_high": high,
                **{
                    name: float(np.average(fit.probability[chosen], weights=weight[chosen]))
                    for name, chosen in sets.items()
                },
                "rank_correlation": float(spearmanr(fit.probability, reference).statistic),
                "false_positive_rate": rates[0],
                "false_negative_rate": rates[1],
                "log_evidence": fit.whole.log_evidence,
            }
        )
    frame = pd.DataFrame(table)
    return frame.assign(log_evidence=frame["log_evidence"] - frame["log_evidence"].max())


def _reward(fitted: Any, X):
    if hasattr(fitted, "predict_proba"):
        return fitted.predict_proba(X)[:, 1]
    if hasattr(fitted, "predict"):
        return fitted.predict(X)
    raise TypeError(f"A {type(fitted).__name__} cannot predict: pass a fitted reward.")


def _settings(fitted: Any) -> SelectionModel:
    """Return the selection model to refit: that of the fitted reward, or the default."""
    if isinstance(fitted, SelectionModel):
        return fitted
    found = getattr(getattr(fitted, "nuisances_", None), "selection_model", None)
    if found is not None:
        return found
    return SelectionModel(random_state=getattr(fitted, "random_state", None))
