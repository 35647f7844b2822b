"""What the reward estimators share: nuisances, then a recipe, then a head."""

from __future__ import annotations

import sys
from numbers import Integral, Real
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils._sklearn_compat import HasMethods, Interval, StrOptions
from .._utils._validation import (
    FLOATS,
    Feedback,
    check_asked,
    check_propensity,
    check_weights,
)
from .._utils._warnings import warn
from ..exceptions import AssumptionWarning, MethodFallbackWarning, UnusedParameterError
from ..heads._ridge import RidgeHead
from ..model_selection._cross_fitting import make_folds
from ..nuisances._noise import NoiseTransitionEstimator
from ..nuisances._recipes import NEEDS, RECIPES
from ..selection._mixture_head import MixtureHead
from ..selection._model import SelectionModel
from ..selection._recalibration import fit_recalibration
from ._head import fit_head, out_of_fold_predictions
from ._nuisances import (
    NuisanceSettings,
    RowColumns,
    check_columns,
    fit_nuisances,
    predicted_propensity,
    union_propensity,
)
from ._report import report_selection

__all__ = ["CausalReward", "debiased_r2"]


def prompt_names(groups) -> NDArray:
    """Return the prompt id of each row as a string; 1.0 and 1 are the same."""
    prompts = np.asarray(groups)
    prompts = prompts[:, 0] if prompts.ndim == 2 else prompts
    if prompts.dtype.kind == "f" and (prompts == np.round(prompts)).all():
        prompts = prompts.astype(np.int64)
    return prompts.astype(str)


# Rated rows of a class, under which "auto" leaves the selection likelihood alone.
FEWEST_RATED = 30


class CausalReward(BaseEstimator):
    """What regressor and classifier share: everything but the labels' names."""

    __metadata_request__fit: ClassVar = dict.fromkeys(
        ("groups", "sample_weight", "asked", "verified", "propensity", "judge_score"), True
    )
    __metadata_request__score: ClassVar = dict.fromkeys(
        ("groups", "sample_weight", "asked", "propensity"), True
    )

    _parameter_constraints: ClassVar[dict] = {
        "method": [StrOptions({"auto", *RECIPES})],
        "estimator": [StrOptions({"mlp"}), HasMethods(["fit", "predict"]), None],
        "propensity_estimator": [HasMethods(["fit", "predict_proba"]), None],
        "noise_estimator": [NoiseTransitionEstimator, FrozenEstimator, None],
        "outcome_estimator": [HasMethods(["fit", "predict"]), None],
        "selection_model": [SelectionModel, None],
        "verified_error_rate": [Interval(Real, 0, 0.5, closed="left")],
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods(["split"]), "array-like"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": [Integral],
    }

    def __init__(
        self,
        method="auto",
        estimator=None,
        *,
        propensity_estimator=None,
        noise_estimator=None,
        outcome_estimator=None,
        selection_model=None,
        verified_error_rate=0.0,
        cv=5,
        random_state=None,
        n_jobs=None,
        verbose=0,
    ):
        self.method = method
        self.estimator = estimator
        self.propensity_estimator = propensity_estimator
        self.noise_estimator = noise_estimator
        self.outcome_estimator = outcome_estimator
        self.selection_model = selection_model
        self.verified_error_rate = verified_error_rate
        self.cv = cv
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self,
        X,
        y,
        *,
        groups=None,
        sample_weight=None,
        asked=None,
        verified=None,
        propensity=None,
        judge_score=None,
    ):
        """Fit nuisances and head.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings, float32 or float64.
        y : array-like of shape (n,)
            Feedback: 1 positive, 0 negative, NaN where the user left none. The regressor also
            takes graded or continuous feedback; then only selection is corrected, not flips.
        groups : array-like of shape (n,) or (n, 2), default=None
            Prompt ids, or prompt and user ids: rows that share one are never split.
        sample_weight : array-like of shape (n,), default=None
            A weight counts as so many rows, so weights that are only relative should be scaled
            to a mean of about 1.
        asked : array-like of bool, shape (n,), default=None
            Rows whose feedback was asked for at random rather than volunteered.
        verified : array-like of shape (n,), default=None
            1 or 0 where a careful person has judged the answer, NaN elsewhere; rated or not,
            drawn at random where possible. Predictions are recalibrated on them.
        propensity : array-like of shape (n,), default=None
            Known P(feedback) in (0, 1], used as it is.
        judge_score : array-like of shape (n,), default=None
            A guess of P(r=1) from elsewhere, such as an LLM judge's score; for "dr". It is
            calibrated on the rated rows beside m(x), so a useless guess does little harm.

        Returns
        -------
        self

        Raises
        ------
        FeedbackError, FeedbackError, FeedbackError
            If y has no feedback, one class, or values it cannot have.
        UnusedParameterError
            If something was given that the method does not use.
        InvalidInputError, InvalidInputError, GroupsError
            If rates, known propensities or groups cannot be used.
        """
        return self._fit(
            X,
            y,
            groups=groups,
            sample_weight=sample_weight,
            asked=asked,
            verified=verified,
            propensity=propensity,
            judge_score=judge_score,
        )

    def _fit(self, X, y, **given):
        self._validate_params()
        X = validate_data(self, X, dtype=FLOATS, ensure_min_samples=2)
        feedback = self._check_labels(X, y)
        columns = check_columns(X, **given)
        self._check_verified(columns, feedback)
        if columns.asked is not None:
            self._warn_of_nonresponse(columns.asked, feedback.observed)
        method = self._choose_method(feedback, columns) if self.method == "auto" else self.method
        own_head = method == "selection" and self.estimator is None
        settings = self._nuisance_settings(method)
        folds = make_folds(X, feedback.values, columns.groups, self.cv, self.random_state)
        self._say(f"nuisances of {method!r} on {len(X)} rows, {folds.n_splits} folds")
        found = fit_nuisances(settings, X, feedback, columns, folds)
        weight = (
            found.weight if columns.sample_weight is None else found.weight * columns.sample_weight
        )
        self.method_, self.binary_ = method, feedback.binary
        self.target_, self.weight_ = found.target, found.weight
        self.effective_sample_size_ = found.effective_sample_size
        self.propensity_estimator_ = found.propensity_estimator
        self.noise_estimator_ = found.noise_estimator
        self.outcome_estimator_ = found.outcome_estimator
        self.selection_model_ = found.selection_model
        self.groups_ = None if columns.groups is None else np.unique(prompt_names(columns.groups))
        self.recalibration_ = None
        self._say("head")
        if own_head:
            self.estimator_ = found.selection_model.head_
            self.recalibration_ = found.selection_model.recalibration_
        else:
            self.estimator_ = fit_head(
                self.estimator,
                X,
                found.target,
                weight,
                folds,
                moments=found.moments,
                binary=feedback.binary,
                cv=self.cv,
                random_state=self.random_state,
                verbose=self.verbose,
            )
            # The target of "selection" is recalibrated already.
            if columns.verified is not None and method != "selection":
                self._recalibrate(X, feedback, columns, weight, folds)
        self.selection_report_ = None
        if self.method == "auto" and method == "selection":
            self._say("report")
            self.selection_report_ = report_selection(
                found.selection_model, settings, X, feedback, columns, folds
            )
        return self

    def _nuisance_settings(self, method: str) -> NuisanceSettings:
        return NuisanceSettings(
            method,
            self.propensity_estimator,
            self.noise_estimator,
            self.outcome_estimator,
            self.selection_model,
            self.verified_error_rate,
            self.cv,
            self.random_state,
            self.n_jobs,
        )

    def _choose_method(self, feedback: Feedback, columns: RowColumns) -> str:
        """Return what "auto" is on this log; warn if it is not "selection"."""
        rated = feedback.values[feedback.observed]
        fewest = min((rated == 1).sum(), (rated == 0).sum())
        other = [
            name
            for name in ("noise_estimator", "propensity_estimator", "outcome_estimator")
            if getattr(self, name) is not None
        ]
        other += [
            name for name in ("propensity", "judge_score") if getattr(columns, name) is not None
        ]
        if self.selection_model is not None:
            return "selection"
        if not feedback.binary:
            method, reason = "dr", "the feedback is not 0/1"
        elif feedback.observed.all():
            method, reason = "noise", f"all {len(rated)} rows are rated"
        elif other:
            method, reason = (
                "dr",
                f"{' and '.join(other)} can be used by 'dr' and not by 'selection'",
            )
        elif 0 < fewest < FEWEST_RATED:
            method, reason = "dr", f"only {fewest} rated rows are of one class"
        else:
            return "selection"
        warn(
            f"method='auto' used {method!r}, as {reason}: name the method to choose it yourself.",
            MethodFallbackWarning,
        )
        return method

    def _recalibrate(self, X, feedback: Feedback, columns: RowColumns, weight, folds) -> None:
        verified = columns.verified
        assert verified is not None
        self._say(f"recalibration on {np.count_nonzero(~np.isnan(verified))} verified rows")
        held_out = out_of_fold_predictions(
            self.estimator_, X, self.target_, weight, folds, n_jobs=self.n_jobs
        )
        self.recalibration_ = fit_recalibration(
            np.clip(held_out, 0, 1),
            verified,
            feedback.values,
            sample_weight=columns.sample_weight,
            error_rate=self.verified_error_rate,
        )

    @staticmethod
    def _check_verified(columns: RowColumns, feedback: Feedback) -> None:
        if columns.verified is not None and not feedback.binary:
            raise UnusedParameterError(
                "verified holds judgements of good and bad, but the feedback is continuous: "
                "binarise the feedback or leave verified out."
            )

    def _say(self, stage: str) -> None:
        if self.verbose:
            print(f"[{type(self).__name__}] {stage}", file=sys.stderr)

    @staticmethod
    def _warn_of_nonresponse(asked, observed) -> None:
        silent = int(np.count_nonzero(asked & ~observed))
        if silent > 0.2 * asked.sum():
            warn(
                f"{silent} of {asked.sum()} asked rows have no answer, so the answers are "
                f"self-selected again: treat them as volunteered (leave asked out) if in doubt.",
                AssumptionWarning,
                "asked-nonresponse",
            )

    def decision_function(self, X) -> NDArray[np.float64]:
        """Return the head's unbounded score, which ranks like `predict`, shape (n,)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        if hasattr(self.estimator_, "decision_function"):
            return self.estimator_.decision_function(X)
        return np.asarray(self.estimator_.predict(X), dtype=np.float64)

    def _predict_reward(self, X) -> NDArray[np.float64]:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        reward = np.asarray(self.estimator_.predict(X), dtype=np.float64)
        if self.binary_:
            reward = np.clip(reward, 0, 1)
        return reward if self.recalibration_ is None else self.recalibration_(reward)

    def _predict_with_std(self, X) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        head = self.estimator_
        if isinstance(head, MixtureHead):
            reward, std = head.predict(X, return_std=True)
        elif isinstance(head, RidgeHead):
            reward, std = head.predict(X), head.predict_std(X, binary=self.binary_)
            reward = np.clip(reward, 0, 1) if self.binary_ else reward
        else:
            raise UnusedParameterError(
                f"return_std needs a head that keeps its folds or components, but a "
                f"{type(head).__name__} is one model: leave estimator out."
            )
        if self.recalibration_ is None:
            return reward, std
        return self.recalibration_(reward), self.recalibration_.derivative(reward) * std

    def _warn_of_shared_groups(self, groups) -> None:
        if groups is None or self.groups_ is None:
            return
        shared = np.isin(np.unique(prompt_names(groups)), self.groups_)
        if shared.any():
            warn(
                f"{shared.sum()} of {len(shared)} groups were trained on too, so the score is "
                f"optimistic: split by group.",
                AssumptionWarning,
                "shared-groups",
            )


def debiased_r2(
    model, X, feedback: Feedback, prediction, sample_weight, asked, propensity
) -> float:
    """Return R2 against the pseudo-outcomes of the model's own nuisances (see its `score`)."""
    from ..metrics import debiased_r2_score

    observed = feedback.observed
    e = np.ones(len(observed))
    if "propensity" in NEEDS[model.method_]:
        if propensity is not None:
            e = check_propensity(propensity, len(observed))
        elif model.propensity_estimator_ is not None:
            e = predicted_propensity(model.propensity_estimator_, X)
        elif not observed.all():
            raise UnusedParameterError(
                "The model was fitted with known propensities or without unrated rows, so scoring "
                "a log with unrated rows needs propensity=."
            )
        e = union_propensity(e, check_asked(asked, len(observed)))
    elif propensity is not None:
        raise UnusedParameterError(
            f"propensity was given, but method={model.method_!r} does not use it: leave it out."
        )
    weight = check_weights(sample_weight, X)
    weight = np.ones(len(observed)) if weight is None else weight
    if not (feedback.binary and model.binary_):
        rated_weight = (weight / e)[observed]
        return float(
            r2_score(feedback.values[observed], prediction[observed], sample_weight=rated_weight)
        )
    m = None
    if "selection" in NEEDS[model.method_]:
        m = model.selection_model_.posterior(X, feedback.values, asked=asked)
    elif "judge_score" in NEEDS[model.method_]:
        m = np.asarray(model.outcome_estimator_.predict(X), dtype=np.float64)
    rates = (0.0, 0.0) if model.noise_estimator_ is None else model.noise_estimator_.rates_
    z, recipe_weight = RECIPES[model.method_](feedback.values, observed, e, m, rates)
    rows = recipe_weight > 0
    weight = (weight * recipe_weight)[rows]
    return cast(float, debiased_r2_score(z[rows], prediction[rows], sample_weight=weight))
