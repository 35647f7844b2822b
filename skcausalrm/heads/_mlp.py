"""A small neural network as reward head: trained by torch, scored by numpy."""

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupShuffleSplit
from sklearn.utils import check_random_state, gen_batches

from .._utils._extras import import_extra
from .._utils._sklearn_compat import Interval, StrOptions
from .._utils._validation import check_embeddings, check_new_rows, check_weights
from .._utils._warnings import warn
from ..exceptions import GroupsError
from ..model_selection._cross_fitting import check_groups

_BLOCK_BYTES = 32 * 2**20


class MLPHead(RegressorMixin, BaseEstimator):
    """Leaky-ReLU network that minimises weighted squared error on pseudo-outcomes.

    With pseudo-outcomes z as targets the squared error of the prediction equals the
    corrected risk up to a constant, and it is bounded below for every z, also outside
    [0, 1]. Training stops on that risk over held-out groups, and the weights of the best
    epoch are kept; epoch 0 is the best constant.

    The default link is for feedback of 0 and 1, whose reward is a probability. For a continuous
    reward, such as a rating from 1 to 5, pass ``link="identity"``: no probability can follow it,
    and the reward estimators raise an error.

    The fitted network is held in numpy arrays: predicting and unpickling need no torch, and a
    head trained on a GPU predicts on any machine.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(256, 64)
        Widths of the hidden layers; ``()`` is a linear model.
    link : {"logistic", "identity"}, default="logistic"
        "logistic" predicts a probability in (0, 1), also where targets lie outside; "identity"
        predicts a continuous reward.
    negative_slope : float, default=0.01
        Slope of the leaky ReLU below zero, in [0, 1).
    learning_rate : float, default=3e-4
        Step size of Adam.
    weight_decay : float, default=3e-3
        Share by which each step shrinks the weight matrices, whatever the learning rate.
    batch_size : int, default=512
        Largest minibatch.
    max_epochs : int, default=200
        Maximum number of passes over the training rows.
    patience : int, default=10
        Number of epochs without a lower held-out risk after which training stops.
    validation_fraction : float, default=0.2
        Share of the rows (of the groups, where given) held out to decide when to stop.
    device : str or torch.device, default=None
        Device to train on, such as "cpu" or "cuda:1". None is a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Determines the held-out part, the initial weights and the order of the rows. Torch's
        global generator is neither read nor changed.
    verbose : int, default=0
        1 shows a progress bar on stderr.

    Attributes
    ----------
    coefs_ : list of ndarray of shape (n_in, n_out)
        Weight matrices, float32; the standardisation of X is folded in.
    intercepts_ : list of ndarray of shape (n_out,)
        Biases, float32.
    validation_risk_ : ndarray of shape (n_epochs + 1,)
        Held-out corrected risk after each epoch, less a constant; entry 0 is the constant
        prediction.
    best_epoch_ : int
        Epoch whose weights were kept; 0 if nothing beat the constant.
    n_iter_ : int
        Number of epochs run.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    Notes
    -----
    Squared loss is linear in the label up to a term free of the prediction, so that the
    noise-aware surrogate (Natarajan et al., 2013), inverse propensity weighting and the
    doubly robust risk all reduce to this one regression.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.heads import MLPHead
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(2000, 8)).astype(np.float32)
    >>> z = (X[:, 0] > 0) + rng.normal(size=2000)     # pseudo-outcomes, far outside [0, 1]
    >>> head = MLPHead((16,), learning_rate=0.01, random_state=0).fit(X, z)
    >>> high, low = head.predict(np.eye(8)[[0, 0]] * [[1.0], [-1.0]])
    >>> bool(high > 0.8), bool(low < 0.2)
    (True, True)
    """

    __metadata_request__fit: ClassVar = {"groups": True}

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like", Integral],
        "link": [StrOptions({"logistic", "identity"})],
        "negative_slope": [Interval(Real, 0, 1, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, 1, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "device": "no_validation",  # torch raises for a device that is absent
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        hidden_layer_sizes=(256, 64),
        *,
        link="logistic",
        negative_slope=0.01,
        learning_rate=3e-4,
        weight_decay=3e-3,
        batch_size=512,
        max_epochs=200,
        patience=10,
        validation_fraction=0.2,
        device=None,
        random_state=None,
        verbose=0,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.link = link
        self.negative_slope = negative_slope
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y, sample_weight=None, *, groups=None):
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings; float32 and float64 arrays and memory maps are read in place.
        y : array-like of shape (n,)
            Targets: feedback, or pseudo-outcomes of any size.
        sample_weight : array-like of shape (n,), default=None
            Row weights; only their ratios matter, and rows of weight 0 are left out.
        groups : array-like of shape (n,), default=None
            Prompt ids: rows of one group are held out together. Without it equal rows are.

        Returns
        -------
        self : MLPHead
            The fitted head.

        Raises
        ------
        MissingExtraError
            If torch is not installed.
        GroupsError
            If the rows of positive weight are of one group, so that none can be held out.
        ValueError
            If a parameter, X, y or the weights hold a value they cannot have.

        Warns
        -----
        ConvergenceWarning
            If the risk still fell at `max_epochs`, or training diverged.
        """
        settings = self.network_settings()
        X, y = check_embeddings(X, self, y, y_numeric=True, ensure_min_samples=2)
        y = y.astype(np.float64)
        weight = check_weights(sample_weight, X)
        weight = np.ones(len(X)) if weight is None else weight
        rng = check_random_state(self.random_state)
        train_rows, validation_rows = hold_out(
            np.flatnonzero(weight), check_groups(X, groups), self.validation_fraction, rng
        )

        torch = import_extra("torch", extra="text", purpose="MLPHead")
        from ._networks import train_networks
        from ._training_loop import squared_error

        mean = np.average(y[train_rows], weights=weight[train_rows])
        if self.link == "logistic":
            start, shift, spread = logit(np.clip(mean, 0.01, 0.99)), 0.0, 1.0

            def loss(output, target):
                return squared_error(torch.sigmoid(output), target)
        else:
            deviation = np.average((y[train_rows] - mean) ** 2, weights=weight[train_rows]) ** 0.5
            start, shift, spread, loss = 0.0, mean, deviation or 1.0, squared_error

        (network,) = train_networks(
            X,
            (y - shift) / spread,
            weight,
            train_rows=train_rows,
            validation_rows=validation_rows,
            rng=rng,
            output_bias=start,
            loss=loss,
            **settings,
        )
        return self._set_network(network.rescaled(spread, shift), risk_unit=spread**2)

    def network_settings(self) -> dict[str, Any]:
        """Return the checked settings of a network and its training.

        Returns
        -------
        settings : dict
            Layer sizes, step size, number of epochs and so on, by name.

        Raises
        ------
        ValueError
            If a parameter has a value it cannot have.
        """
        self._validate_params()
        sizes = self.hidden_layer_sizes
        sizes = (sizes,) if isinstance(sizes, Integral) else tuple(sizes)
        if not all(isinstance(size, Integral) and int(size) >= 1 for size in sizes):
            raise ValueError(
                f"hidden_layer_sizes is {self.hidden_layer_sizes!r}; each width must be an "
                "integer of at least 1."
            )
        settings = self.get_params(deep=False)
        for name in ("link", "validation_fraction", "random_state"):
            del settings[name]
        return settings | {"hidden_layer_sizes": tuple(int(size) for size in sizes)}

    def with_network(self, network) -> Self:
        """Return a fitted copy of this head that holds a trained network.

        Parameters
        ----------
        network : TrainedNetwork
            Weights, and the course of their training.

        Returns
        -------
        head : MLPHead
            The fitted copy; this head stays as it is.

        Warns
        -----
        ConvergenceWarning
            If the held-out risk still fell at the last epoch, or training diverged.
        """
        return clone(self)._set_network(network)

    def _set_network(self, network, *, risk_unit=1.0):
        self.n_features_in_ = network.coefs[0].shape[0]
        self.coefs_ = [coef.astype(np.float32) for coef in network.coefs]
        self.intercepts_ = [intercept.astype(np.float32) for intercept in network.intercepts]
        self.validation_risk_ = network.training.validation_risk * risk_unit
        self.best_epoch_ = network.training.best_epoch
        self.n_iter_ = len(self.validation_risk_) - 1
        advice = {
            "divergence": f"Training diverged in epoch {self.n_iter_}, so the weights of epoch "
            f"{self.best_epoch_} are kept; lower learning_rate ({self.learning_rate}).",
            "max_epochs": f"The held-out risk fell until epoch {self.best_epoch_} of "
            f"{self.n_iter_}, so training may have ended early; raise max_epochs or learning_rate.",
        }
        if network.training.ended_by in advice:
            warn(advice[network.training.ended_by], ConvergenceWarning)
        return self

    def predict(self, X):
        """Predict the reward.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.

        Returns
        -------
        reward : ndarray of shape (n,)
            Predictions, in (0, 1) with the logistic link.
        """
        score = self.decision_function(X)
        return expit(score) if self.link == "logistic" else score

    def decision_function(self, X):
        """Return the output of the network before the link.

        Weights are float32 and sums are float64, so that rewards do not depend on the order of
        summation and the exported file reproduces them on any input.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.

        Returns
        -------
        score : ndarray of shape (n,)
            Unbounded scores.
        """
        X = check_new_rows(self, X)
        coefs = [coef.astype(np.float64) for coef in self.coefs_]
        width = max(X.shape[1], *(coef.shape[1] for coef in coefs))
        score = np.empty(len(X))
        for rows in gen_batches(len(X), max(1, _BLOCK_BYTES // (8 * width))):
            hidden = X[rows].astype(np.float64)
            for coef, intercept in zip(coefs[:-1], self.intercepts_[:-1], strict=True):
                hidden = hidden @ coef + intercept
                np.maximum(hidden, self.negative_slope * hidden, out=hidden)
            score[rows] = hidden @ coefs[-1][:, 0] + self.intercepts_[-1][0]
        return score

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # a probability cannot follow targets that lie far outside [0, 1]
        tags.regressor_tags.poor_score = self.link == "logistic"
        return tags


def hold_out(rows, groups, fraction, rng):
    """Split rows into training and validation rows by group.

    Parameters
    ----------
    rows : ndarray of int
        Rows to split.
    groups : ndarray of shape (n,)
        Group of each row of X.
    fraction : float
        Share of the groups to hold out.
    rng : RandomState
        Draws the groups.

    Returns
    -------
    train, validation : ndarray of int
        The two parts of `rows`.

    Raises
    ------
    GroupsError
        If the rows are of one group.
    """
    # Groups are numbered by their first row, so that the draw does not depend on their codes.
    _, first, code = np.unique(groups[rows], return_index=True, return_inverse=True)
    if len(first) < 2:
        raise GroupsError(
            f"The {len(rows)} rows with weight are all of one group (or all equal), so none "
            "can be held out to stop training; pass finer groups or none."
        )
    splitter = GroupShuffleSplit(1, test_size=fraction, random_state=rng)
    train, validation = next(splitter.split(rows, groups=first[code]))
    return rows[train], rows[validation]
