"""Fit the nuisances that a correction needs, out of fold, and apply its recipe."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from .._utils._columns import RowColumns
from .._utils._validation import Feedback, check_two_classes, warn_of_rare_class
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
from ..model_selection._cross_fitting import Folds, cross_fit
from ..nuisances._noise import NoiseTransitionEstimator
from ..nuisances._propensity import PropensityEstimator
from ..nuisances._recipes import NEEDS, Target, correct_labels, effective_sample_size
from ..selection._model import SelectionModel
from ._corrections import DEFAULTS, Correction, method_name
from ._nuisances import (
    FittedNuisances,
    check_positive,
    predicted_propensity,
    refuse_unread_columns,
    union_propensity,
)

# Share of asked rows without an answer above which a warning is raised.
_NONRESPONSE = 0.2
# Effective sample size, as a share of the rated rows, below which a warning is raised.
LOW_SHARE = 0.1


class Defaults(NamedTuple):
    """Settings for nuisances that the user did not give."""

    cv: Any = 5
    random_state: Any = None
    n_jobs: int | None = None


class NuisanceFit(NamedTuple):
    """Fitted nuisances, and their out-of-fold values at the training rows.

    Attributes
    ----------
    nuisances : FittedNuisances
    target : Target
    propensity : ndarray of shape (n,) or None
    outcome : ndarray of shape (n,) or None
        Out-of-fold m(x), or the posterior of each row.
    effective_sample_size : float
        Effective number of rated rows under the weights 1/propensity.
    moments : callable or None
        Returns the moments of all rows, where the head can use them.
    """

    nuisances: FittedNuisances
    target: Target
    propensity: NDArray[np.float64] | None
    outcome: NDArray[np.float64] | None
    effective_sample_size: float
    moments: Callable[[], FoldMoments] | None = None


def seeded(estimator: Any, random_state: Any) -> Any:
    """Return a clone of `estimator`, with `random_state` where it has none of its own."""
    fresh = clone(estimator)
    if fresh.get_params(deep=False).get("random_state", 0) is None:
        fresh.set_params(random_state=random_state)
    return fresh


def fit_nuisances(
    method: str | Correction | SelectionModel,
    X: NDArray,
    feedback: Feedback,
    columns: RowColumns,
    folds: Folds,
    defaults: Defaults,
) -> NuisanceFit:
    """Fit what the method needs, out of fold, and apply its recipe.

    Parameters
    ----------
    method : str, Correction or SelectionModel
        A string stands for the correction of that name with its defaults, on `folds`.
    X : ndarray of shape (n, d)
    feedback : Feedback
    columns : RowColumns
    folds : Folds
        Shared by all nuisances that the user did not give; a given one uses its own `cv`.
    defaults : Defaults

    Returns
    -------
    NuisanceFit

    Raises
    ------
    FeedbackError
        If the feedback is of one class, or not 0/1 where the method needs it.
    UnusedParameterError
        If a column was given that the method does not read.
    """
    name = method_name(method)
    refuse_unread_columns(name, columns)
    _check_feedback(name, feedback, columns)
    if name == "selection":
        return _fit_selection(method, X, feedback, columns, folds, defaults)
    correction: Any = DEFAULTS[name] if isinstance(method, str) else method
    correction.check_parameters()
    settings = correction.get_params(deep=False)
    given_noise = settings.get("noise_estimator")
    given_propensity = settings.get("propensity_estimator")
    if columns.propensity is not None and given_propensity is not None:
        raise UnusedParameterError(
            "Both propensity and propensity_estimator were given, but known propensities replace "
            "the estimate: leave one out."
        )
    if not feedback.binary and given_noise is not None:
        warn(
            "The feedback is not 0/1, so noise_estimator is not used: only the selection is "
            "corrected.",
            AssumptionWarning,
            "continuous-feedback",
        )
    needs, observed = NEEDS[name], feedback.observed
    rates, noise = (0.0, 0.0), None
    # Gram matrices of the rated rows serve s(x) and m(x); they go before those of all rows come.
    rated = _lazy_moments(X, folds, columns.weighted(observed.astype(np.float64)))
    if "rates" in needs and feedback.binary:
        noise = _fit_noise(given_noise, X, feedback.values, columns, folds, rated, defaults)
        rates = noise.rates_
    m, outcome = None, None
    if "outcome" in needs:
        t = correct_labels(feedback.values, rates)
        given = settings["outcome_estimator"]
        outcome, m = _fit_outcome(given, X, t, columns, folds, rated, defaults)
    del rated
    e: Any = None
    propensity, volunteer_rate = None, None
    everyone = _lazy_moments(X, folds, columns.sample_weight)
    if "propensity" in needs:
        propensity, e, volunteer_rate = _fit_propensity(
            given_propensity, X, observed, columns, folds, everyone, defaults
        )
        e = union_propensity(e, columns)
    if columns.judge_score is not None:
        weight = columns.weighted(observed / e)
        m = _stack_judge_score(m, columns.judge_score, t, weight, folds)
    fitted = FittedNuisances(name, rates, propensity, noise, outcome, volunteer_rate=volunteer_rate)
    ess = _effective_sample_size(observed, e, columns)
    target = fitted.apply(feedback, e, m)
    return NuisanceFit(fitted, target, e, m, ess, everyone if name == "dr" else None)


def _lazy_moments(X, folds: Folds, weight) -> Callable[[], FoldMoments]:
    """Return a function that computes moments at its first call and keeps them."""
    return cache(partial(FoldMoments, X, folds.of_row, folds.n_splits, weight))


def _check_feedback(name: str, feedback: Feedback, columns: RowColumns) -> None:
    """Raise if the method cannot use feedback or columns; warn if they are poor."""
    if columns.asked is not None:
        n_asked, silent = columns.asked.sum(), (columns.asked & ~feedback.observed).sum()
        if silent > _NONRESPONSE * n_asked:
            warn(
                f"{silent} of {n_asked} asked rows have no answer, so the answers are "
                f"self-selected again: if in doubt, leave asked out, so that they count as "
                f"volunteered.",
                AssumptionWarning,
                "asked-nonresponse",
            )
    if feedback.binary:
        if name != "selection":
            check_two_classes(feedback.values, columns.sample_weight)
            warn_of_rare_class(feedback.values)
        return
    if columns.verified is not None:
        raise UnusedParameterError(
            "verified holds judgements of good and bad, but the feedback is continuous: binarise "
            "the feedback, or leave verified out."
        )
    if name in ("noise", "selection"):
        raise FeedbackError(
            f"method={name!r} is for 0/1 feedback, but {feedback.observed.sum()} rated rows hold "
            f"other values: binarise them, or use 'naive' or 'dr'."
        )


def _fit_selection(
    method, X, feedback: Feedback, columns: RowColumns, folds: Folds, defaults: Defaults
) -> NuisanceFit:
    if isinstance(method, str):
        model = SelectionModel(**defaults._asdict()).fit_checked(X, feedback.values, columns, folds)
    else:
        model = seeded(method, defaults.random_state).fit_checked(X, feedback.values, columns)
    rates = model.false_positive_rate_, model.false_negative_rate_
    fitted = FittedNuisances("selection", rates, selection_model=model)
    m = model.oof_posterior_
    ess = _effective_sample_size(feedback.observed, None, columns)
    return NuisanceFit(fitted, fitted.apply(feedback, None, m), None, m, ess)


def _fit_noise(given, X, s, columns: RowColumns, folds, rated, defaults: Defaults):
    if isinstance(given, FrozenEstimator):
        if not isinstance(given.estimator, NoiseTransitionEstimator):
            raise InvalidInputError(
                f"noise_estimator holds a frozen {type(given.estimator).__name__}, but flip rates "
                f"come from a fitted NoiseTransitionEstimator: freeze one of those."
            )
        check_is_fitted(given.estimator)
        return given.estimator
    if given is not None:
        return seeded(given, defaults.random_state).fit_checked(X, s, columns)
    noise = NoiseTransitionEstimator(**defaults._asdict())
    return noise.fit_checked(X, s, columns, folds, moments=rated())


def _fit_propensity(given, X, observed, columns: RowColumns, folds, everyone, defaults: Defaults):
    """Return the estimator or None, the rows' propensities, and the volunteer rate if constant."""
    if columns.propensity is not None:
        return None, columns.propensity, None
    if observed.all():
        warn(
            f"All {len(observed)} rows are rated, so there is no selection to correct: keep the "
            f"unrated rows of the log if there were any.",
            AssumptionWarning,
            "no-unrated-rows",
        )
        return None, np.ones(len(observed)), None
    if isinstance(given, FrozenEstimator):
        return given.estimator, predicted_propensity(given.estimator, X), None
    labels = observed.astype(np.float64)
    if columns.asked is not None:
        labels[columns.asked] = np.nan
        volunteered = observed[~columns.asked]
        if volunteered.all() or not volunteered.any():
            # All rows that nobody asked were rated, or none: there is nothing to model.
            rate = float(volunteered.any())
            return None, np.full(len(labels), rate), rate
    if isinstance(given, PropensityEstimator):
        propensity = seeded(given, defaults.random_state).fit_checked(X, labels, columns)
    else:
        classifier = None if given is None else seeded(given, defaults.random_state)
        moments = everyone() if given is None and columns.asked is None else None
        propensity = PropensityEstimator(classifier, **defaults._asdict())
        propensity.fit_checked(X, labels, columns, folds, moments=moments)
    return propensity, check_positive(propensity.oof_propensity_), None


def _fit_outcome(given, X, t, columns: RowColumns, folds: Folds, rated, defaults: Defaults):
    """Regress the corrected label on x over the rated rows; return the model and out-of-fold m."""
    if isinstance(given, FrozenEstimator):
        return given.estimator, np.asarray(given.predict(X), dtype=np.float64)
    if given is None:
        head = RidgeHead(cv=defaults.cv, random_state=defaults.random_state)
        head.fit_moments(rated(), t, folds_only=True)
        return head, held_out_scores(X, folds.of_row, head.fold_coefs_, head.fold_intercepts_)
    given = seeded(given, defaults.random_state)
    observed = ~np.isnan(t)
    _, m = cross_fit(
        given,
        X,
        t,
        folds,
        rows=observed,
        fit_params=columns.fit_params,
        n_jobs=defaults.n_jobs,
    )
    weight = {name: values[observed] for name, values in columns.fit_params.items()}
    return clone(given).fit(X[observed], t[observed], **weight), m


def _stack_judge_score(m, judge_score, t, weight, folds: Folds) -> NDArray[np.float64]:
    """Combine m(x) and the judge's score by least squares, out of fold, weighted by o/e.

    The judge is calibrated, not trusted: one unrelated to r gets a coefficient of about 0.
    """
    scaled = [(v - v.mean()) / (v.std() or 1.0) for v in (m, judge_score)]
    design = np.column_stack([np.ones(len(m)), *scaled])
    observed = ~np.isnan(t)
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


def _effective_sample_size(observed, e, columns: RowColumns) -> float:
    weight = columns.weighted(np.ones(len(observed)))[observed]
    ess = effective_sample_size(weight if e is None else weight / e[observed])
    if ess < LOW_SHARE * observed.sum():
        warn(
            f"The weights 1/propensity leave an effective sample of {ess:.0f} of "
            f"{observed.sum()} rated rows: raise the clipping threshold, or collect feedback where "
            f"it is rare.",
            OverlapWarning,
            "effective-sample-size",
        )
    return ess
