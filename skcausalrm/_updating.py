"""`partial_fit`: new rows for a fitted reward, at the cost of the new rows."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from ._update_state import UpdateState, prompt_names, refuse_two_columns
from ._validation import FLOATS
from .exceptions import UpdateError
from .heads.ridge import RidgeHead
from .nuisances import check_columns

__all__ = ["Updatable", "can_update", "refuse_mixture"]


def can_update(model: Any) -> bool:
    """Return True where rows can be added exactly; say why if not.

    Raises
    ------
    UpdateError
    """
    if hasattr(model, "method_") and model._update_state is None:
        raise UpdateError(
            "The model was fitted by fit, which keeps no sums over its rows, so none can be added: "
            "give the first rows to partial_fit too, on a clone."
        )
    if isinstance(model.estimator, RidgeHead):
        return True
    if model.estimator is not None:
        name = model.estimator if isinstance(model.estimator, str) else type(model.estimator)
        raise UpdateError(
            f"estimator is {getattr(name, '__name__', name)!r}, and only a ridge head is "
            f"determined by sums over rows, so that new rows can be added exactly: use "
            f"estimator=RidgeHead() (skcausalrm.heads), or fit anew on all rows."
        )
    if model.method == "joint":
        refuse_mixture()
    return True


def refuse_mixture() -> None:
    """Raise because the joint model's own head was asked to be updated.

    Raises
    ------
    UpdateError
    """
    raise UpdateError(
        "The head of 'joint' is the likelihood's own mixture, which no sums over rows determine, "
        "so new rows cannot be added exactly: use estimator=RidgeHead() (skcausalrm.heads; --head "
        "ridge on the command line), a ridge on the joint target, or fit anew on all rows."
    )


class Updatable:
    """`partial_fit` of the reward estimators, whose `fit` is `_fit` without a state kept."""

    method: Any
    estimator: Any
    cv: Any
    random_state: Any
    verified_error_rate: Any
    method_: str
    groups_: Any
    _update_state: Any
    _fit: Any
    _validate_params: Any
    _check_new_labels: Any
    _check_verified: Any
    _warn_of_nonresponse: Any

    __metadata_request__partial_fit: ClassVar = dict.fromkeys(
        ("groups", "sample_weight", "asked", "verified", "propensity"), True
    )

    @available_if(can_update)
    def partial_fit(
        self,
        X,
        y,
        *,
        groups=None,
        sample_weight=None,
        asked=None,
        verified=None,
        propensity=None,
    ):
        """Fit on a first log; add the rows of later ones at their cost alone.

        The first call fits as `fit` does and keeps sums over its rows. A later call applies the
        nuisances of the first to the new rows and solves for the head of all rows, exactly as if
        old and new rows had been fitted on together with these nuisances (see Notes). Only for
        the ridge head: `estimator` None, or `RidgeHead`, which "joint" and "auto" need.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings of the new rows alone. Rows given again count again.
        y : array-like of shape (n,)
            Feedback, NaN where there is none.
        groups : array-like of shape (n,), default=None
            Prompt ids: a group of the first call keeps its fold.
        sample_weight : array-like of shape (n,), default=None
        asked : array-like of bool, shape (n,), default=None
            Rows whose feedback was asked for at random. Where the method uses propensities, the
            share asked is the first call's, and some must have been asked there.
        verified : array-like of shape (n,), default=None
            1 or 0 where a person has judged, NaN elsewhere. Not in later calls of "joint", whose
            likelihood stays.
        propensity : array-like of shape (n,), default=None
            Known P(feedback), in all calls or in none.

        Returns
        -------
        self
            `n_samples_seen_` counts all rows; `target_` and `weight_` are of this call's rows.

        Raises
        ------
        UpdateError
            If the new rows lack, or hold, what fixed nuisances need, or "auto" is "joint" on
            the first log and no `RidgeHead` was given.
        AttributeError
            If `estimator` is another head, or the model was fitted by `fit`, which keeps no sums.
        FeedbackValueError, NoFeedbackError, GroupsError, PropensityError
            As in `fit`.

        Warns
        -----
        PropensityClippedWarning
            If over a tenth of the new rows lie at the clipping threshold.

        Notes
        -----
        With targets t and weights w by the recipe of `method_`, the head minimises
        ``sum_i w_i (t_i - a - b'x_i)^2 + penalty V |b|^2``, which depends on the rows through
        ``sum w``, ``sum w x``, ``sum w x x'``, ``sum w t``, ``sum w t x`` and ``sum w t^2`` only.
        These are kept per fold, in float64, so that the penalty (by out-of-fold error), the
        models behind the standard deviation and the head are those of all rows. Fixed by the
        first call: flip rates, propensity model, share asked and clipping, imputation model,
        selection likelihood, the constant that "snips" divides by, the centre of the
        recalibration, and the folds. The recalibration itself is fitted anew on all verified
        rows, which are kept. First rows have out-of-fold nuisances; later ones, which no
        nuisance has seen, the mean of the fold models. A new group's fold is its hash, so that
        the order and the portions in which logs come make no difference.

        Nuisances age: where users or answers change, fit anew now and then.

        Examples
        --------
        >>> from skcausalrm import CausalRewardRegressor
        >>> from skcausalrm.datasets import make_observational_feedback
        >>> log = make_observational_feedback(6000, 16, signal="strong", random_state=0)
        >>> model = CausalRewardRegressor("dr", random_state=0)
        >>> model.partial_fit(log.X[:5000], log.y[:5000]).n_samples_seen_
        5000
        >>> model.partial_fit(log.X[5000:], log.y[5000:]).n_samples_seen_
        6000
        """
        columns = {
            "groups": groups,
            "sample_weight": sample_weight,
            "asked": asked,
            "verified": verified,
            "propensity": propensity,
        }
        return self._partial_fit(X, y, columns)

    def _partial_fit(self, X, y, columns: dict[str, Any]):
        refuse_two_columns(columns["groups"])
        if not hasattr(self, "method_"):
            return self._fit(X, y, **columns, imputation=None, keep_state=True)
        return self._add_rows(X, y, columns)

    def _add_rows(self, X, y, columns: dict[str, Any]):
        state: UpdateState = self._update_state
        if self.method not in ("auto", self.method_):
            raise UpdateError(
                f"method is {self.method!r} now, but the rows so far went in by {self.method_!r}: "
                f"set it back, or fit anew on all rows."
            )
        self._validate_params()
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        feedback = self._check_new_labels(X, y)
        checked = check_columns(X, **columns, imputation=None)
        self._check_verified(checked, feedback)
        if checked.asked is not None:
            self._warn_of_nonresponse(checked.asked, feedback.observed)
        self.target_, self.weight_ = state.add(self, X, feedback, checked)
        self._set_head(state)
        if self.groups_ is not None and columns["groups"] is not None:
            self.groups_ = np.union1d(self.groups_, prompt_names(columns["groups"]))
        return self

    def _set_head(self, state: UpdateState, first_rows: tuple | None = None) -> None:
        """Solve for the head of all rows so far; `first_rows`: X, folds, columns."""
        self.estimator_ = state.solve(self.estimator, self.cv, self.random_state)
        if first_rows is not None:
            state.set_center(self.estimator_, *first_rows)
        self.recalibration_ = state.recalibrate(self.estimator_, self.verified_error_rate)
        self.effective_sample_size_ = state.effective_sample_size
        self.n_samples_seen_ = state.n_samples
