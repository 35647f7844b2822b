"""Base class of the published methods, and the rows that a method trains its networks on."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils import check_random_state

from .._utils._extras import import_extra
from .._utils._validation import (
    check_embeddings,
    check_feedback,
    check_new_rows,
    check_two_classes,
    check_weights,
)
from ..exceptions import FeedbackError, GroupsError, UnusedParameterError
from ..heads._mlp import MLPHead, hold_out
from ..model_selection._cross_fitting import check_groups
from ..nuisances._propensity import PropensityEstimator


@dataclass(frozen=True)
class TrainingRows:
    """Rows of one fit, checked and split by group, and the means to train networks on them.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Embeddings, float32 or float64.
    s : ndarray of shape (n,)
        Feedback, 0 or 1; 0 where there is none.
    o : ndarray of bool, shape (n,)
        True where there is feedback.
    weight : ndarray of shape (n,)
        Sample weights, of mean 1 over the rows of positive weight.
    groups : ndarray of shape (n,)
        Group of each row.
    train, validation : ndarray of int
        Rows to train on, and rows that decide when to stop.
    head : MLPHead
        Settings of each network.
    rng : RandomState
        Random state of this fit.
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

    def train_heads(
        self, target, loss=None, *, weight=None, rows=None, shifts=None, **hooks
    ) -> list[MLPHead]:
        """Train networks and return a fitted head for each output.

        Parameters
        ----------
        target : ndarray of shape (n,) or (n, m)
            Targets, or the columns that `loss` reads.
        loss : callable, default=None
            ``loss(output, target)`` per row, shape (b,), on torch tensors. The output is the one
            before the sigmoid. None is the squared error of the probability.
        weight : ndarray of shape (n,), default=None
            Weights that multiply the sample weights.
        rows : ndarray of bool, shape (n,), default=None
            Rows to train and validate on. None is all of them.
        shifts : list of float, default=None
            Number that `loss` adds to each output, and that each fitted head therefore adds too.
            None is 0 for all.
        **hooks
            `n_networks` and `n_outputs` (default 1): several networks next to each other, or
            outputs on shared hidden layers, give an output of shape (b, k).
            `validation_loss`, where it differs from `loss`; ``criterion(module, epoch)`` instead
            of a risk on the held-out rows; ``before_epoch(module, epoch)``, which may return a
            new target; ``wrap(module)``, which returns the module to train.

        Returns
        -------
        list of MLPHead
            Fitted heads, by network and output.
        """
        from ..heads._networks import train_networks
        from ._losses import squared_error_of_probability

        rows = np.ones(len(self.X), dtype=bool) if rows is None else rows
        total = self.weight if weight is None else self.weight * weight
        rows = rows & (total > 0)
        networks = train_networks(
            self.X,
            target,
            np.where(rows, total, 0.0),
            train_rows=self.train[rows[self.train]],
            validation_rows=self.validation[rows[self.validation]],
            rng=self.rng,
            loss=loss or squared_error_of_probability,
            **self.head.network_settings(),
            **hooks,
        )
        if shifts is not None:
            networks = [n.rescaled(1.0, shift) for n, shift in zip(networks, shifts, strict=True)]
        return [self.head.with_network(network) for network in networks]

    def fit_propensity(self, estimator: PropensityEstimator | None) -> NDArray[np.float64]:
        """Fit the propensity of feedback out of fold.

        Parameters
        ----------
        estimator : PropensityEstimator or None
            Estimator to clone; None is ``PropensityEstimator()``. Its `random_state` is drawn.

        Returns
        -------
        propensity : ndarray of shape (n,)
            P(feedback given x), clipped; 1 everywhere if all rows are rated.
        """
        if self.o.all():
            return np.ones(len(self.o))
        estimator = PropensityEstimator() if estimator is None else clone(estimator)
        estimator.set_params(random_state=self.rng.randint(2**31 - 1))
        estimator.fit(self.X, self.o, groups=self.groups, sample_weight=self.weight)
        return estimator.oof_propensity_


def check_rows(estimator, X, y, sample_weight, positive_only: bool = False):
    """Return X, the feedback and the weights of a fit; raise if they cannot be used."""
    X = check_embeddings(X, estimator, ensure_min_samples=2)
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


class ProbabilityRegressor(RegressorMixin, BaseEstimator):
    """Regressor that predicts a probability and reads groups."""

    __metadata_request__fit: ClassVar = {"groups": True}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # a probability cannot follow targets that lie far outside [0, 1]
        tags.regressor_tags.poor_score = True
        return tags


class BaseBaseline(ProbabilityRegressor):
    """Base class of a method to compare with: 0/1 feedback with NaN in, a probability out.

    A method of one's own overrides :meth:`fit_heads`, which trains networks on checked rows and
    returns fitted heads; the mean of their predictions is the reward. All networks have the
    settings of one `MLPHead` and run through one training loop, so that two methods differ in
    their losses alone. ``docs/baselines.md`` shows how to add a method to the published
    comparison.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of each network; None is :meth:`default_head`. Leave its `link` and
        `random_state`.
    random_state : int, RandomState instance or None, default=None
        Determines the held-out part, the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The fitted networks whose mean prediction is the reward.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    Examples
    --------
    A method that halves the weight of dislikes:

    >>> import numpy as np
    >>> from skcausalrm.baselines import BaseBaseline
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> class MildDislikes(BaseBaseline):
    ...     def fit_heads(self, rows):
    ...         def loss(output, target):
    ...             return (output.sigmoid() - target) ** 2
    ...
    ...         weight = np.where(rows.s == 1, 1.0, 0.5)
    ...         return rows.train_heads(rows.s, loss, weight=weight, rows=rows.o)
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = MildDislikes(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _parameter_constraints: ClassVar[dict] = {
        "head": [MLPHead, None],
        "random_state": ["random_state"],
    }
    # Methods for logs of copies and clicks alone need no row of feedback 0.
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
        groups : array-like of shape (n,), default=None
            Prompt ids: rows that share one are held out together.
        sample_weight : array-like of shape (n,), default=None
            Row weights; only their ratios matter.

        Returns
        -------
        self : object
            The fitted method.

        Raises
        ------
        FeedbackError
            If y holds a value other than 0, 1 and NaN, no row is rated, or all rated rows are of
            one class.
        GroupsError
            If the groups leave no rated row to train on or to hold out.
        MissingExtraError
            If torch is not installed.
        UnusedParameterError
            If `head` has a `random_state` of its own or a `link` other than "logistic".
        ValueError
            If a parameter, X, y or the weights hold a value they cannot have.

        Warns
        -----
        ConvergenceWarning
            If the held-out risk still fell at the last epoch, or training diverged.
        """
        self.heads_ = self.fit_heads(self._check_rows(X, y, groups, sample_weight))
        return self

    def fit_heads(self, rows: TrainingRows) -> list[MLPHead]:
        """Train the networks of the method. Override this in a method of your own.

        Parameters
        ----------
        rows : TrainingRows
            Checked rows of the fit, with :meth:`TrainingRows.train_heads`.

        Returns
        -------
        list of MLPHead
            Fitted heads; the mean of their predictions is the reward.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no fit_heads(rows): write one that returns "
            f"rows.train_heads(target, loss)."
        )

    def default_head(self) -> MLPHead:
        """Return the settings of the networks if `head` is None.

        Returns
        -------
        MLPHead
            Unfitted head.
        """
        return MLPHead()

    def predict(self, X) -> NDArray[np.float64]:
        """Predict the reward.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.

        Returns
        -------
        reward : ndarray of shape (n,)
            P(r = 1 given x).
        """
        X = check_new_rows(self, X)
        return np.mean([head.predict(X) for head in self.heads_], axis=0)

    def _check_rows(self, X, y, groups, sample_weight) -> TrainingRows:
        self._validate_params()
        head = self._check_head()
        X, feedback, weight = check_rows(self, X, y, sample_weight, self._positive_only)
        # Nuisances read weights as counts, so their mean is set to 1.
        weight = weight * (np.count_nonzero(weight) / weight.sum())
        import_extra("torch", extra="text", purpose=type(self).__name__)
        rng = check_random_state(self.random_state)
        groups = check_groups(X, groups)
        train, validation = hold_out(np.flatnonzero(weight), groups, head.validation_fraction, rng)
        for rows, part in ((train, "trained on"), (validation, "held out")):
            if not feedback.observed[rows].any():
                raise GroupsError(
                    f"None of the {len(rows)} rows {part} is rated: change the head's "
                    f"validation_fraction ({head.validation_fraction:g}) or pass finer groups."
                )
        s = np.where(feedback.observed, feedback.values, 0.0)
        return TrainingRows(X, s, feedback.observed, weight, groups, train, validation, head, rng)

    def _check_head(self) -> MLPHead:
        head = self.default_head() if self.head is None else clone(self.head)
        head.network_settings()  # raises for a setting that cannot be
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


def all_baselines() -> list[type]:
    """Return the classes of all published methods.

    Returns
    -------
    list of type
        Classes, without the base class.

    Examples
    --------
    >>> from skcausalrm.baselines import all_baselines
    >>> "IPS" in [cls.__name__ for cls in all_baselines()]
    True
    """
    from .. import baselines

    apart = {"BaseBaseline", "TrainingRows", "all_baselines"}
    return [getattr(baselines, name) for name in baselines.__all__ if name not in apart]
