"""From logs to target and weight: flip rates, propensity, imputation, or the selection likelihood;
then a recipe.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from .._utils._validation import (
    Feedback,
    check_asked,
    check_column,
    check_propensity,
    check_two_classes,
    check_verified,
    check_weights,
    warn_of_rare_class,
)
from .._utils._warnings import warn
from ..exceptions import (
    AssumptionWarning,
    FeedbackError,
    InvalidInputError,
    OverlapWarning,
    UnusedParameterError,
)
from ..heads._moments import FoldMoments
from ..heads._ridge import RidgeHead, held_out_scores
from ..model_selection._cross_fitting import Folds, cross_fit, make_folds
from ..nuisances._noise import NoiseTransitionEstimator
from ..nuisances._propensity import PropensityEstimator
from ..nuisances._recipes import NEEDS, RECIPES, correct_labels, effective_sample_size
from ..selection._model import SelectionModel

__all__ = ["NuisanceSettings", "Nuisances", "fit_nuisances"]


class NuisanceSettings(NamedTuple):
    """What the user chose for the nuisances; None is the default of each."""

    method: str
    propensity_estimator: Any = None
    noise_estimator: Any = None
    outcome_estimator: Any = None
    selection_model: Any = None
    verified_error_rate: float = 0.0
    cv: Any = 5
    random_state: Any = None
    n_jobs: int | None = None


class RowColumns(NamedTuple):
    """Checked per-row extras of n rows, None where not given."""

    groups: Any = None
    sample_weight: NDArray | None = None
    asked: NDArray[np.bool_] | None = None
    propensity: NDArray | None = None
    judge_score: NDArray | None = None
    verified: NDArray | None = None  # read by the selection likelihood alone


def check_columns(
    X, groups, sample_weight, asked, propensity, judge_score, verified=None
) -> RowColumns:
    """Check the per-row extras that the user gave; groups are checked where folds are made."""
    n_rows = len(X)
    return RowColumns(
        groups,
        check_weights(sample_weight, X),
        check_asked(asked, n_rows),
        None if propensity is None else check_propensity(propensity, n_rows),
        None if judge_score is None else check_column(judge_score, "judge_score", n_rows),
        check_verified(verified, n_rows),
    )


class Nuisances(NamedTuple):
    """Target and weight of every row, and the fitted models behind them."""

    target: NDArray[np.float64]
    weight: NDArray[np.float64]
    rates: tuple[float, float]
    propensity: NDArray[np.float64] | None
    outcome: NDArray[np.float64] | None
    effective_sample_size: float
    propensity_estimator: Any
    noise_estimator: Any
    outcome_estimator: Any
    selection_model: Any = None
    moments: FoldMoments | None = None  # of all rows, where they were needed


def check_usable(settings: NuisanceSettings, columns: RowColumns) -> None:
    """Raise if a nuisance or column was given that the method does not read.

    Raises
    ------
    UnusedParameterError
    """
    needs = NEEDS[settings.method]
    for name, value, need in (
        ("noise_estimator", settings.noise_estimator, "rates"),
        ("propensity_estimator", settings.propensity_estimator, "propensity"),
        ("outcome_estimator", settings.outcome_estimator, "judge_score"),
        ("selection_model", settings.selection_model, "selection"),
        ("propensity", columns.propensity, "propensity"),
        ("judge_score", columns.judge_score, "judge_score"),
    ):
        if value is not None and need not in needs:
            users = ", ".join(repr(m) for m, uses in NEEDS.items() if need in uses)
            raise UnusedParameterError(
                f"{name} was given, but method={settings.method!r} does not use it: leave it out, "
                f"or choose one of {users}."
            )
    if columns.propensity is not None and settings.propensity_estimator is not None:
        raise UnusedParameterError(
            "Both propensity and propensity_estimator were given, but known propensities replace "
            "the estimate: leave one out."
        )


def fit_nuisances(
    settings: NuisanceSettings, X: NDArray, feedback: Feedback, columns: RowColumns, folds: Folds
) -> Nuisances:
    """Fit what the method needs, out of fold, and apply its recipe.

    Parameters
    ----------
    settings : NuisanceSettings
    X : ndarray of shape (n, d)
    feedback : Feedback
    columns : RowColumns
    folds : Folds
        Shared by all default nuisances; one passed in with a `cv` of its own makes its own.

    Returns
    -------
    Nuisances
    """
    check_usable(settings, columns)
    needs, observed = NEEDS[settings.method], feedback.observed
    if "selection" in needs:
        return _fit_joint(settings, X, feedback, columns, folds)
    rates, noise = (0.0, 0.0), None
    if feedback.binary:
        check_two_classes(feedback.values, columns.sample_weight)
        warn_of_rare_class(feedback.values)
    elif "rates" in needs:
        if settings.method == "noise":
            raise FeedbackError(
                f"method='noise' corrects flips of 0/1 feedback, but {observed.sum()} rated rows "
                f"hold other values: binarise them, or use 'naive' or 'dr'."
            )
        if settings.noise_estimator is not None:
            warn(
                "The feedback is not 0/1, so noise_estimator is not used: only the selection is "
                "corrected.",
                AssumptionWarning,
                "continuous-feedback",
            )
    # Gram matrices of the rated rows serve s(x) and m(x); they go before those of all rows come.
    rated = _SharedMoments(X, folds, observed, columns.sample_weight)
    if "rates" in needs and feedback.binary:
        noise = _fit_noise(settings, X, feedback.values, columns, folds, rated)
        rates = noise.rates_
    m, outcome = None, None
    if "judge_score" in needs:
        t = correct_labels(feedback.values, rates)
        outcome, m = _fit_outcome(settings, X, t, columns, folds, rated)
    del rated
    e, propensity = None, None
    everyone = _SharedMoments(X, folds, None, columns.sample_weight)
    if "propensity" in needs:
        propensity, e = _fit_propensity(settings, X, observed, columns, folds, everyone)
        e = union_propensity(e, columns.asked)
    if columns.judge_score is not None:
        m = _stack_judge_score(m, columns.judge_score, t, e, columns.sample_weight, folds)
    target, weight = RECIPES[settings.method](feedback.values, observed, e, m, rates)
    ess = _effective_sample_size(observed, e, columns.sample_weight)
    return Nuisances(
        target,
        weight,
        rates,
        e,
        m,
        ess,
        propensity,
        noise,
        outcome,
        moments=everyone.moments if settings.method == "dr" else None,
    )


def _fit_joint(settings, X, feedback: Feedback, columns: RowColumns, folds: Folds) -> Nuisances:
    given = settings.selection_model
    if given is None:
        selection = SelectionModel(
            cv=settings.cv, random_state=settings.random_state, n_jobs=settings.n_jobs
        )
    else:
        selection = _seeded(given, settings)
        selection._validate_params()
        folds = _own_folds(selection, X, feedback.values, columns.groups)
    if settings.verified_error_rate:
        selection.set_params(verified_error_rate=settings.verified_error_rate)
    selection._fit_folds(X, feedback, folds, columns.sample_weight, columns.asked, columns.verified)
    rates = selection.false_positive_rate_, selection.false_negative_rate_
    m = selection.oof_posterior_
    target, weight = RECIPES["selection"](feedback.values, feedback.observed, None, m, rates)
    ess = _effective_sample_size(feedback.observed, None, columns.sample_weight)
    return Nuisances(
        target, weight, rates, None, m, ess, None, None, None, selection_model=selection
    )


def union_propensity(e, asked):
    """Return P(rated) where a share of the rows is asked at random, the others volunteer."""
    if asked is None:
        return e
    return e + (1 - e) * asked.mean()


def predicted_propensity(estimator, X) -> NDArray[np.float64]:
    """Return P(feedback given x) by a fitted estimator; refuse values that weights cannot use.

    Raises
    ------
    InvalidInputError
        If a propensity is 0 or not finite.
    """
    if hasattr(estimator, "predict_propensity"):
        e = estimator.predict_propensity(X)
    else:
        e = np.asarray(estimator.predict_proba(X), dtype=np.float64)[:, 1]
    return _refuse_zero(e)


def _refuse_zero(e):
    if bad := int(np.count_nonzero(~(e > 0))):
        raise InvalidInputError(
            f"The estimated propensity is 0 in {bad} of {len(e)} rows, so no weight mends their "
            f"absence: use PropensityEstimator with a clipping_threshold above 0."
        )
    return e


class _SharedMoments:
    """Moments of some rows, computed at the first call and then shared."""

    def __init__(self, X, folds: Folds, rows, sample_weight):
        self.X, self.folds = X, folds
        if rows is None:
            self.weight = sample_weight
        else:
            self.weight = rows.astype(np.float64) if sample_weight is None else rows * sample_weight
        self.moments: FoldMoments | None = None

    def get(self) -> FoldMoments:
        if self.moments is None:
            self.moments = FoldMoments(self.X, self.folds.of_row, self.folds.n_splits, self.weight)
        return self.moments


def _seeded(given, settings):
    """Return a clone with the settings' random state where it has none of its own."""
    fresh = clone(given)
    if fresh.random_state is None:
        fresh.set_params(random_state=settings.random_state)
    return fresh


def _own_folds(estimator, X, labels, groups):
    return make_folds(X, labels, groups, estimator.cv, estimator.random_state)


def _fit_noise(settings, X, s, columns, folds, rated):
    given = settings.noise_estimator
    if isinstance(given, FrozenEstimator):
        return given.estimator
    if given is not None:
        noise = _seeded(given, settings)
        return noise.fit(X, s, groups=columns.groups, sample_weight=columns.sample_weight)
    noise = NoiseTransitionEstimator(
        cv=settings.cv, random_state=settings.random_state, n_jobs=settings.n_jobs
    )
    noise.classes_ = np.array([0.0, 1.0])
    noise._fit_folds(X, s, folds, columns.sample_weight, rated.get())
    noise.n_features_in_ = X.shape[1]
    return noise


def _fit_propensity(settings, X, observed, columns, folds, everyone):
    given = settings.propensity_estimator
    if columns.propensity is not None:
        return None, columns.propensity
    if observed.all():
        warn(
            f"All {len(observed)} rows are rated, so there is no selection to correct: keep the "
            f"unrated rows of the log if there were any.",
            AssumptionWarning,
            "no-unrated-rows",
        )
        return None, np.ones(len(observed))
    if isinstance(given, FrozenEstimator):
        return given.estimator, predicted_propensity(given.estimator, X)
    labels = observed.astype(np.float64)
    if columns.asked is not None:
        labels[columns.asked] = np.nan
        volunteered = labels[~columns.asked]
        if not (volunteered == 0).any() or not (volunteered == 1).any():
            # All that did not answer a question volunteered, or none did: nothing to model.
            return None, np.full(len(labels), float((volunteered == 1).any()))
    if isinstance(given, PropensityEstimator):
        propensity = _seeded(given, settings)
        propensity._validate_params()
        shared = None
        folds = _own_folds(propensity, X, labels, columns.groups)
    else:
        propensity = PropensityEstimator(
            given, cv=settings.cv, random_state=settings.random_state, n_jobs=settings.n_jobs
        )
        shared = everyone.get() if given is None and columns.asked is None else None
    propensity.classes_ = np.array([0, 1])
    propensity._fit_folds(X, labels, folds, columns.sample_weight, shared)
    propensity.n_features_in_ = X.shape[1]
    return propensity, _refuse_zero(propensity.oof_propensity_)


def _fit_outcome(settings, X, t, columns, folds, rated):
    """Regress the corrected label on x over the rated rows; return the model and out-of-fold m."""
    given = settings.outcome_estimator
    if isinstance(given, FrozenEstimator):
        return given.estimator, np.asarray(given.predict(X), dtype=np.float64)
    if given is None:
        head = RidgeHead(cv=settings.cv, random_state=settings.random_state)
        head.fit_moments(rated.get(), t, folds_only=True)
        return head, held_out_scores(X, folds.of_row, head.fold_coefs_, head.fold_intercepts_)
    observed = ~np.isnan(t)
    weight = {} if columns.sample_weight is None else {"sample_weight": columns.sample_weight}
    _, m = cross_fit(
        given,
        X,
        t,
        folds,
        rows=observed,
        fit_params=weight,
        predict=lambda fitted, rows: fitted.predict(rows),
        n_jobs=settings.n_jobs,
    )
    weight = {name: values[observed] for name, values in weight.items()}
    return clone(given).fit(X[observed], t[observed], **weight), m


def _stack_judge_score(m, guess, t, e, sample_weight, folds: Folds):
    """Combine m(x) and a guess from elsewhere by weighted least squares, out of fold.

    The guess is calibrated, not trusted: one that says nothing gets a coefficient of about 0.
    """
    scaled = [(v - v.mean()) / (v.std() or 1.0) for v in (m, guess)]
    design = np.column_stack([np.ones(len(m)), *scaled])
    observed = ~np.isnan(t)
    weight = observed / e if sample_weight is None else observed / e * sample_weight
    weighted = design * weight[:, None]
    combined = np.empty(len(m))
    ridge = 1e-9 * np.eye(3)
    for k in range(folds.n_splits):
        train = observed & (folds.of_row != k)
        gram = weighted[train].T @ design[train]
        coef = np.linalg.solve(gram + np.trace(gram) * ridge, weighted[train].T @ t[train])
        test = folds.of_row == k
        combined[test] = design[test] @ coef
    return combined


def _effective_sample_size(observed, e, sample_weight) -> float:
    weight = np.ones(len(observed)) if sample_weight is None else sample_weight
    weight = weight[observed] if e is None else weight[observed] / e[observed]
    ess = effective_sample_size(weight)
    if ess < 0.1 * observed.sum():
        warn(
            f"The weights 1/propensity leave an effective sample of {ess:.0f} of "
            f"{observed.sum()} rated rows: raise the clipping threshold, or collect feedback where "
            f"it is rare.",
            OverlapWarning,
            "effective-sample-size",
        )
    return ess
