"""What the baselines share: checks, the split, and networks with the settings of one head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils._extras import import_extra
from .._utils._validation import FLOATS, check_feedback, check_two_classes, check_weights
from ..exceptions import FeedbackError, GroupsError, UnusedParameterError
from ..heads._mlp import MLPHead
from ..model_selection._cross_fitting import check_groups
from ..nuisances._propensity import PropensityEstimator

__all__ = ["Baseline", "Rows", "check_rows"]


@dataclass
class Rows:
    """The rows of one fit, split by group, and how networks are trained on them.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        Embeddings, float32 or float64.
    s : ndarray of shape (n,)
        Feedback, 0 or 1; 0 where there is none.
    o : ndarray of bool, shape (n,)
        Where there is feedback.
    weight : ndarray of shape (n,)
        Sample weights.
    groups : ndarray of shape (n,)
        Group of each row; rows of equal X share one.
    train, validation : ndarray of int
        Rows that are trained on, and rows that decide when to stop.
    head : MLPHead
        Settings of each network.
    rng : RandomState
        Of this fit.
    """

    X: NDArray
    s: NDArray[np.float64]
    o: NDArray[np.bool_]
    weight: NDArray[np.float64]
    groups: NDArray[np.intp]
    train: NDArray[np.intp]
    validation: NDArray[np.intp]
    head: MLPHead
    rng: np.random.RandomState

    def train_networks(self, target, loss, *, weight=None, rows=None, **hooks) -> list[MLPHead]:
        """Train networks and return one fitted head for each output.

        Parameters
        ----------
        target : ndarray of shape (n,) or (n, m)
            What `loss` wants of each row.
        loss : callable
            ``loss(output, target)`` per row, shape (b,).
        weight : ndarray of shape (n,), optional
            Multiplies the sample weights.
        rows : ndarray of bool, shape (n,), optional
            Rows that take part, in training and validation; all by default.
        **hooks
            Of :func:`skcausalrm.heads._side_by_side.train_networks`.
        """
        from ..heads._side_by_side import train_networks

        rows = np.ones(len(self.X), dtype=bool) if rows is None else rows
        total = self.weight if weight is None else self.weight * weight
        rows = rows & (total > 0)
        trained = train_networks(
            self.head,
            self.X,
            target,
            np.where(rows, total, 0.0),
            train_rows=self.train[rows[self.train]],
            validation_rows=self.validation[rows[self.validation]],
            rng=self.rng,
            loss=loss,
            **hooks,
        )
        return [clone(self.head)._take(*weights, trained.result) for weights in trained.weights]

    def fit_propensity(self, estimator: PropensityEstimator | None) -> NDArray[np.float64]:
        """Return out-of-fold P(feedback given x) of each row, clipped; 1 where all are rated."""
        if self.o.all():
            return np.ones(len(self.o))
        estimator = PropensityEstimator() if estimator is None else clone(estimator)
        estimator.set_params(random_state=self.rng.randint(2**31 - 1))
        estimator.fit(self.X, self.o, groups=self.groups, sample_weight=self.weight)
        return estimator.oof_propensity_


def check_rows(estimator, X, y, sample_weight, positive_only: bool = False):
    """Return X, the feedback and the weights of a fit; raise if they cannot be used."""
    X = validate_data(estimator, X, dtype=FLOATS, ensure_min_samples=2)
    feedback = check_feedback(X, y)
    if not feedback.binary:
        rated = feedback.values[feedback.observed]
        raise FeedbackError(
            f"y is neither 0 nor 1 in {np.count_nonzero((rated != 0) & (rated != 1))} of "
            f"{len(rated)} rated rows: binarise the feedback, NaN where there is none."
        )
    weight = check_weights(sample_weight, X)
    if not positive_only:
        check_two_classes(feedback.values, weight)
    return X, feedback, np.ones(len(X)) if weight is None else weight


class Baseline(RegressorMixin, BaseEstimator):
    """A published method: ``fit`` on 0/1 feedback with NaN, ``predict`` in [0, 1].

    A method writes ``_fit(rows)``, which returns the fitted heads whose mean is the reward.
    """

    __metadata_request__fit: ClassVar = {"sample_weight": True, "groups": True}

    _parameter_constraints: ClassVar[dict] = {
        "head": [MLPHead, None],
        "random_state": ["random_state"],
    }
    # Methods for logs of nothing but copies and clicks need no 0.
    _positive_only: ClassVar[bool] = False

    def __init__(self, head=None, *, random_state=None):
        self.head = head
        self.random_state = random_state

    def fit(self, X, y, *, groups=None, sample_weight=None):
        """Fit the method.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings, float32 or float64.
        y : array-like of shape (n,)
            Feedback: 1 positive, 0 negative, NaN where there is none.
        groups : array-like of shape (n,) or (n, 2), default=None
            Prompt ids, or prompt and user ids: rows that share one are held out together.
        sample_weight : array-like of shape (n,), default=None
            Row weights; only their ratios matter.

        Returns
        -------
        self

        Raises
        ------
        FeedbackError
            If y holds anything but 0, 1 and NaN.
        GroupsError
            If the groups leave no rated row to train on or to hold out.
        MissingExtraError
            If torch is not installed.
        FeedbackError, FeedbackError
            If no row is rated, or all rated rows are of one class.
        UnusedParameterError
            If `head` has a random_state of its own or another link than the logistic one.

        Warns
        -----
        ConvergenceWarning
            If the held-out risk still fell at the last epoch, or training diverged.
        """
        self._validate_params()
        head = self._check_head()
        X, feedback, weight = check_rows(self, X, y, sample_weight, self._positive_only)
        # Of mean 1, as the nuisances take weights for counts.
        weight = weight * (np.count_nonzero(weight) / weight.sum())
        import_extra("torch", extra="text", purpose=type(self).__name__)
        rng = check_random_state(self.random_state)
        groups = check_groups(X, groups)
        train, validation = head._split(np.flatnonzero(weight), groups, rng)
        for rows, part in ((train, "trained on"), (validation, "held out")):
            if not feedback.observed[rows].any():
                raise GroupsError(
                    f"None of the {len(rows)} rows {part} is rated: change the head's "
                    f"validation_fraction ({head.validation_fraction:g}) or pass finer groups."
                )
        s = np.where(feedback.observed, feedback.values, 0.0)
        self.heads_ = self._fit(
            Rows(X, s, feedback.observed, weight, groups, train, validation, head, rng)
        )
        return self

    def predict(self, X) -> NDArray[np.float64]:
        """Return the reward, P(r = 1 given x), shape (n,), in [0, 1].

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        return np.mean([head.predict(X) for head in self.heads_], axis=0)

    def _fit(self, rows: Rows) -> list[MLPHead]:
        raise NotImplementedError

    def _check_head(self) -> MLPHead:
        head = MLPHead() if self.head is None else clone(self.head)
        head._validate_params()
        head._layer_sizes()
        if head.random_state is not None:
            raise UnusedParameterError(
                f"head has random_state={head.random_state!r}, which is not used: give it to "
                f"{type(self).__name__} instead."
            )
        if head.link != "logistic":
            raise UnusedParameterError(
                f"head has link={head.link!r}, but {type(self).__name__} predicts a probability: "
                f"leave link at 'logistic'."
            )
        return head

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # a probability cannot follow targets that lie far outside [0, 1]
        tags.regressor_tags.poor_score = True
        return tags
