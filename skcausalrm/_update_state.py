"""What stands for the rows that a reward was fitted on, and how new rows are added to it.

Nuisances stay as they are, moments grow. No embedding is kept but those of verified rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import check_consistent_length

from ._validation import Feedback, is_missing
from ._warn import warn
from .crossfit import Folds, row_hashes
from .exceptions import FeedbackValueError, GroupsError, PropensityClippedWarning, UpdateError
from .heads.ridge import RidgeHead, held_out_scores
from .heads.running import RunningMoments
from .nuisances import Nuisances, RowColumns, predicted_propensity
from .recalibration import feedback_kinds, log_odds, refit_recalibration
from .recipes import NEEDS, RECIPES

__all__ = ["UpdateState", "VerifiedRows", "prompt_names", "refuse_two_columns"]


def refuse_two_columns(groups: Any) -> None:
    """Raise if groups name users too.

    Raises
    ------
    UpdateError
    """
    if groups is not None and np.asarray(groups).ndim == 2:
        raise UpdateError(
            "groups has two columns, but new rows could join prompts and users that lie in "
            "different folds already: give prompt ids alone."
        )


def prompt_names(groups: Any) -> NDArray:
    """Return the prompt id of each row as a string; 1.0 and 1 are the same."""
    prompts = np.asarray(groups)
    prompts = prompts[:, 0] if prompts.ndim == 2 else prompts
    if prompts.dtype.kind == "f" and (prompts == np.round(prompts)).all():
        prompts = prompts.astype(np.int64)
    return prompts.astype(str)


def _row_keys(X: NDArray, groups: Any) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each row's group, without groups of the row itself, shape (n,)."""
    if groups is None:
        return row_hashes(X, np.arange(len(X)))
    from pandas.util import hash_array

    check_consistent_length(X, groups)
    if missing := int(is_missing(np.asarray(groups)).sum()):
        raise GroupsError(
            f"groups is missing in {missing} of {len(X)} rows: give such rows an id of their own."
        )
    names, codes = np.unique(prompt_names(groups), return_inverse=True)
    return hash_array(names.astype(object))[codes.ravel()]


class VerifiedRows(NamedTuple):
    """Rows that a person has judged: the only ones that are kept."""

    X: NDArray
    fold: NDArray[np.intp]
    label: NDArray[np.float64]
    feedback: NDArray[np.float64]
    weight: NDArray[np.float64]

    @classmethod
    def among(cls, X, fold, feedback: Feedback, columns: RowColumns) -> VerifiedRows:
        """Take those of positive weight; none if nobody has judged."""
        weight = _sample_weight(columns, len(X))
        label = np.full(len(X), np.nan) if columns.verified is None else columns.verified
        rows = np.flatnonzero(~np.isnan(label) & (weight > 0))
        return cls(X[rows], fold[rows], label[rows], feedback.values[rows], weight[rows])

    def joined(self, others: VerifiedRows) -> VerifiedRows:
        """Return these and others."""
        return VerifiedRows(*map(np.concatenate, zip(self, others, strict=True)))


def _sample_weight(columns: RowColumns, n_rows: int) -> NDArray[np.float64]:
    return np.ones(n_rows) if columns.sample_weight is None else columns.sample_weight


def _weight_sums(observed, e, weight) -> NDArray[np.float64]:
    """Sums of the rated rows' weights and of their squares: the effective sample size."""
    w = (weight if e is None else weight / e)[observed]
    return np.array([w.sum(), w @ w])


@dataclass
class UpdateState:
    """What stands for the rows of a fitted reward, and how new rows become target and weight.

    Attributes
    ----------
    moments : RunningMoments
    keys, folds : ndarray of shape (n_groups,)
        Hashes of the first call's groups, ascending, and the fold of each.
    known_propensity : bool
        Whether the caller gives the propensity of every row.
    constant_propensity : float
        P(volunteered), read where it was neither given nor fitted: all rated (1), or only the
        asked (0).
    asked_share : float or None
        Share of the rows that were asked at random, None where nobody was.
    scale : float
        What "snips" divided its weights' mean by.
    center : float
        Of the recalibration.
    logged : ndarray of shape (3,)
        Weight of all rows that are unrated, disliked and liked.
    verified : VerifiedRows
    weight_sums : ndarray of shape (2,)
        Of the rated rows: sum of ``sample_weight / propensity`` and of its square.
    n_samples : int
    """

    moments: RunningMoments
    keys: NDArray[np.uint64]
    folds: NDArray[np.intp]
    known_propensity: bool
    constant_propensity: float
    asked_share: float | None
    scale: float
    center: float
    logged: NDArray[np.float64]
    verified: VerifiedRows
    weight_sums: NDArray[np.float64]
    n_samples: int

    @classmethod
    def start(
        cls, X, feedback: Feedback, columns: RowColumns, folds: Folds, found: Nuisances, method: str
    ) -> UpdateState:
        """Sum up the rows of a first fit."""
        observed, e = feedback.observed, found.propensity
        sample_weight = _sample_weight(columns, len(X))
        keys, first = np.unique(_row_keys(X, columns.groups), return_index=True)
        volunteers = slice(None) if columns.asked is None else ~columns.asked
        scale = 1.0
        if method == "snips":
            assert e is not None
            scale = float(np.count_nonzero(observed) / (1 / e[observed]).sum())
        if method == "joint":  # whose target is recalibrated already
            columns = columns._replace(verified=None)
        moments = RunningMoments.of(
            X, folds.of_row, folds.n_splits, found.weight * sample_weight, found.target
        )
        return cls(
            moments,
            keys,
            folds.of_row[first],
            known_propensity=columns.propensity is not None,
            constant_propensity=float(observed[volunteers].any()),
            asked_share=None if columns.asked is None else float(columns.asked.mean()),
            scale=scale,
            center=0.0,
            logged=_logged(feedback, sample_weight),
            verified=VerifiedRows.among(X, folds.of_row, feedback, columns),
            weight_sums=_weight_sums(observed, e, sample_weight),
            n_samples=len(X),
        )

    def set_center(self, head: RidgeHead, X, folds: Folds, columns: RowColumns) -> None:
        """Set the recalibration's centre: the mean log odds of the first rows, out of fold."""
        held_out = held_out_scores(X, folds.of_row, head.fold_coefs_, head.fold_intercepts_)
        weight = _sample_weight(columns, len(X))
        self.center = float(np.average(log_odds(np.clip(held_out, 0, 1)), weights=weight))

    def add(self, model: Any, X, feedback: Feedback, columns: RowColumns) -> tuple:
        """Add new rows; return their targets and the recipe's weights.

        Raises
        ------
        UpdateError, GroupsError, FeedbackValueError
            If the rows hold, or lack, what the fixed nuisances need. Nothing is added then.
        """
        keys = _row_keys(X, columns.groups)
        target, weight, e = self._label(model, X, feedback, columns)
        sample_weight = _sample_weight(columns, len(X))
        fold = self._fold_of(keys)
        self.moments.add(X, fold, weight * sample_weight, target)
        self.logged = self.logged + _logged(feedback, sample_weight)
        self.verified = self.verified.joined(VerifiedRows.among(X, fold, feedback, columns))
        self.weight_sums = self.weight_sums + _weight_sums(feedback.observed, e, sample_weight)
        self.n_samples += len(X)
        return target, weight

    def solve(self, estimator: RidgeHead | None, cv, random_state) -> RidgeHead:
        """Return the ridge head of all rows so far, its penalty chosen anew."""
        head = (
            RidgeHead(cv=cv, random_state=random_state) if estimator is None else clone(estimator)
        )
        return head.solve_moments(self.moments, self.moments.target)

    def recalibrate(self, head: RidgeHead, error_rate: float):
        """Return the recalibration on all verified rows so far, None where there are none."""
        rows = self.verified
        if len(rows.label) == 0:
            return None
        held_out = held_out_scores(rows.X, rows.fold, head.fold_coefs_, head.fold_intercepts_)
        return refit_recalibration(
            np.clip(held_out, 0, 1),
            rows.label,
            rows.feedback,
            rows.weight,
            logged=self.logged,
            center=self.center,
            error_rate=error_rate,
        )

    @property
    def effective_sample_size(self) -> float:
        """Of the rated rows so far under the weights 1/propensity."""
        total, squares = self.weight_sums
        return float(total**2 / squares)

    def _fold_of(self, keys: NDArray[np.uint64]) -> NDArray[np.intp]:
        """A group of the first call keeps its fold; any other's is its hash's."""
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        n_splits = np.uint64(self.moments.n_splits)
        return np.where(
            self.keys[place] == keys, self.folds[place], (keys % n_splits).astype(np.intp)
        )

    def _label(self, model: Any, X, feedback: Feedback, columns: RowColumns) -> tuple:
        """Targets, weights and propensities of new rows by the fixed nuisances."""
        method, observed = model.method_, feedback.observed
        needs = NEEDS[method]
        if model.binary_ and not feedback.binary:
            raise FeedbackValueError(
                f"The model was fitted on 0/1 feedback, but y holds other values in some of its "
                f"{np.count_nonzero(observed)} rated rows: binarise them as before."
            )
        if columns.verified is not None and method == "joint":
            raise UpdateError(
                f"{np.count_nonzero(~np.isnan(columns.verified))} new rows are verified, but they "
                f"would settle the selection likelihood, which stays as it is in an update: leave "
                f"verified out, or fit anew on all rows."
            )
        e = self._propensity(model, X, observed, columns) if "propensity" in needs else None
        m = None
        if "selection" in needs:
            asked = columns.asked
            m = model.selection_model_.posterior(X, feedback.values, asked=asked)
        elif "imputation" in needs:
            m = np.asarray(model.imputation_estimator_.predict(X), dtype=np.float64)
        rates = (0.0, 0.0) if model.noise_estimator_ is None else model.noise_estimator_.rates_
        # The mean that "snips" divides by is that of the first rows.
        recipe = RECIPES["ips" if method == "snips" else method]
        target, weight = recipe(feedback.values, observed, e, m, rates)
        return target, weight * self.scale, e

    def _propensity(self, model: Any, X, observed, columns: RowColumns):
        asked = np.zeros(len(X), dtype=bool) if columns.asked is None else columns.asked
        if self.asked_share is None and asked.any():
            raise UpdateError(
                f"{asked.sum()} new rows were asked for, but nobody was in the rows fitted on, so "
                f"their propensities cannot be told from those kept: fit anew on all rows."
            )
        if self.known_propensity != (columns.propensity is not None):
            raise UpdateError(
                "The model was fitted with known propensities: give propensity for the new rows."
                if self.known_propensity
                else "propensity was given, but the model was fitted with estimated ones, which "
                "stay as they are in an update: leave it out, or fit anew on all rows."
            )
        if columns.propensity is not None:
            e = columns.propensity
        elif model.propensity_estimator_ is not None:
            e = predicted_propensity(model.propensity_estimator_, X)
            _warn_of_clipping(e, getattr(model.propensity_estimator_, "clipping_threshold", 0.0))
        else:
            e = np.full(len(X), self.constant_propensity)
            if strange := int(np.count_nonzero((observed != e) & ~asked)):
                state = "unrated" if self.constant_propensity else "rated"
                raise UpdateError(
                    f"{strange} of {len(X)} new rows are {state} unasked, and no row fitted on "
                    f"was, so nothing is known of who rates: fit anew on all rows."
                )
        share = 0.0 if self.asked_share is None else self.asked_share
        return e + (1 - e) * share


def _warn_of_clipping(e, threshold: float) -> None:
    clipped = int(np.count_nonzero(e <= threshold))
    if clipped > 0.1 * len(e):
        warn(
            f"{clipped} of {len(e)} propensities of new rows lie at the clipping threshold of "
            f"{threshold}: by the model fitted first such rows hardly ever get feedback, so fit "
            f"anew if users rate otherwise now.",
            PropensityClippedWarning,
        )


def _logged(feedback: Feedback, weight: NDArray) -> NDArray:
    return np.bincount(feedback_kinds(feedback.values), weight, minlength=3)
