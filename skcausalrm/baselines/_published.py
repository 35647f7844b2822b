"""The published algorithm of CausalRM, with and without its leak."""

from numbers import Real
from typing import ClassVar

import numpy as np

from .._utils._sklearn_compat import Interval
from .._utils._validation import check_column
from ..exceptions import UnusedParameterError
from ..heads._mlp import MLPHead
from ..nuisances._recipes import dr, ips
from ._base import BaseBaseline, TrainingRows

# Number of rows that each training step draws to estimate the flip rates.
_N_ANCHOR_ROWS = 1024
# Least value of 1 - both flip rates, by which labels are divided; higher rates are lowered.
_LEAST_SCALE = 0.1


class _CausalRM(BaseBaseline):
    _parameter_constraints: ClassVar[dict] = {
        **BaseBaseline._parameter_constraints,
        "anchor_quantile": [Interval(Real, 0.5, 1, closed="neither")],
        "clipping_threshold": [Interval(Real, 0, 1, closed="neither")],
        "as_published": ["boolean"],
    }

    def __init__(
        self,
        head=None,
        *,
        anchor_quantile=0.97,
        clipping_threshold=0.1,
        as_published=False,
        random_state=None,
    ):
        super().__init__(head, random_state=random_state)
        self.anchor_quantile = anchor_quantile
        self.clipping_threshold = clipping_threshold
        self.as_published = as_published

    def fit(self, X, y, *, groups=None, sample_weight=None, clean=None):
        """Fit propensity, noise model, imputation and reward.

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
        clean : array-like of shape (n,), default=None
            True labels of every row; required with ``as_published=True``, refused without.

        Returns
        -------
        self : object
            The fitted method.

        Raises
        ------
        FeedbackError
            If y holds a value other than 0, 1 and NaN, no row is rated, all rated rows are of one
            class, or `clean` has another length than X.
        GroupsError
            If the groups leave no rated row to train on or to hold out.
        MissingExtraError
            If torch is not installed.
        UnusedParameterError
            If `clean` is given without ``as_published=True`` or is missing with it, or `head` has a
            `random_state` of its own or a `link` other than "logistic".
        ValueError
            If a parameter, X, y or the weights hold a value they cannot have.

        Warns
        -----
        ConvergenceWarning
            If the held-out risk still fell at the last epoch, or training diverged.
        """
        if (clean is not None) is not bool(self.as_published):
            raise UnusedParameterError(
                "clean holds true labels, which only the published leak uses: leave it out."
                if clean is not None
                else "as_published=True stops training on true labels: pass them as clean=, or "
                "leave as_published at False."
            )
        rows = self._check_rows(X, y, groups, sample_weight)
        if clean is not None:
            clean = check_column(clean, "clean", len(rows.X))
        self.heads_ = self.fit_heads(rows, clean)
        return self

    def default_head(self) -> MLPHead:
        """Return the published settings of the networks.

        Returns
        -------
        MLPHead
            Unfitted head.
        """
        return MLPHead(learning_rate=5e-4, weight_decay=0.0, max_epochs=600, patience=30)

    def fit_heads(self, rows: TrainingRows, clean=None):
        from ..heads._training_loop import predict_rows
        from ._losses import log_loss, squared_error_of_probability

        leak = {}
        if clean is not None:
            X, truth = rows.X[rows.validation], clean[rows.validation]

            def error_on_clean_labels(module, epoch):
                p = 1 / (1 + np.exp(-predict_rows(module, X).astype(np.float64)))
                return float(np.mean((p - truth) ** 2))

            leak["criterion"] = error_on_clean_labels
        (propensity,) = rows.train_heads(rows.o.astype(float))
        (self.noise_head_,) = rows.train_heads(rows.s, log_loss, rows=rows.o, **leak)
        (self.imputation_,) = rows.train_heads(rows.s, log_loss, rows=rows.o, **leak)
        e = propensity.predict(rows.X)
        self.n_clipped_ = int(np.count_nonzero(e < self.clipping_threshold))
        self.propensity_ = np.maximum(e, self.clipping_threshold)
        m = self.imputation_.predict(rows.X)
        noise = self.noise_head_.predict(rows.X)
        rates_rng = np.random.default_rng(rows.rng.randint(2**31 - 1))
        self.rates_, self.n_floored_ = (0.0, 0.0), 0

        def draw_rates():
            sample = noise[rates_rng.integers(len(noise), size=_N_ANCHOR_ROWS)]
            low, high = np.quantile(sample, [1 - self.anchor_quantile, self.anchor_quantile])
            excess = max(float(low) + float(1 - high) - (1 - _LEAST_SCALE), 0.0)
            self.n_floored_ += excess > 0
            self.rates_ = (float(low) - excess / 2, float(1 - high) - excess / 2)
            return self.rates_

        def loss(output, target):
            import torch

            # rates are drawn at each step, and kept while the held-out rows are scored
            rates = draw_rates() if torch.is_grad_enabled() else self.rates_
            s, o, e, m = target.T.double().cpu().numpy()
            z, weight = self._recipe(s, o > 0, e, m, rates)
            z, weight = (
                torch.from_numpy(values.astype(np.float32)).to(output.device)
                for values in (np.nan_to_num(z), weight)
            )
            return weight * squared_error_of_probability(output, z)

        draw_rates()
        return rows.train_heads(np.column_stack([rows.s, rows.o, self.propensity_, m]), loss)


class CausalRMIPS(_CausalRM):
    r"""CausalRM as published: surrogate loss by anchors, weighted by inverse propensity.

    Flip rates are the low and high quantiles of a network fitted on the noisy feedback, over a
    new sample of rows at each step. With :math:`t(s)` the label corrected by them
    and :math:`p_i = \sigma(f(x_i))` it minimises

    .. math:: \frac{1}{n} \sum_{o_i = 1} \frac{(p_i - t(s_i))^2}{e(x_i)}, \qquad
              t(s) = \frac{s - \rho_{01}}{1 - \rho_{01} - \rho_{10}}.

    It assumes that selection depends on x alone, overlap, anchors (some answers surely good, some
    surely bad), and a calibrated noise model. It costs four networks of up to 600 epochs.
    Validation is on logged rows with the last rates.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of each network; do not set its `link` or `random_state`. None is
        ``MLPHead(learning_rate=5e-4, weight_decay=0.0, max_epochs=600, patience=30)``.
    anchor_quantile : float, default=0.97
        Upper quantile of the noise model's predictions; the lower one is 1 minus it.
    clipping_threshold : float, default=0.1
        Least propensity; lower ones are raised to it.
    as_published : bool, default=False
        Stop the noise and imputation networks on true labels, passed to `fit` as `clean`. Use it
        only to study the published code: with true labels of the log you should train on them, and
        the figures do not carry over to logs without them.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part, the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The fitted network.
    noise_head_, imputation_ : MLPHead
        Networks of the noisy feedback.
    propensity_ : ndarray of shape (n,)
        Clipped propensities of the training rows.
    n_clipped_ : int
        Number of rows whose propensity was clipped.
    rates_ : (float, float)
        The last flip rates, P(s=1 given r=0) and P(s=0 given r=1).
    n_floored_ : int
        Number of steps at which 1 minus both rates was below .1 and the rates were lowered.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    CausalRM, arXiv 2603.18736.

    Examples
    --------
    >>> from skcausalrm.baselines import CausalRMIPS
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = CausalRMIPS(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _recipe = staticmethod(ips)


class CausalRMDR(_CausalRM):
    r"""CausalRM as published: surrogate loss by anchors, doubly robust.

    :class:`CausalRMIPS` with an imputation network m that is fitted on the uncorrected feedback. It
    minimises

    .. math:: \frac{1}{n} \sum_i (p_i - z_i)^2, \qquad
              z_i = m(x_i) + \frac{o_i}{e(x_i)} (t(s_i) - m(x_i)).

    It assumes what CausalRMIPS does, and that e or m is right; m is never right where feedback is
    flipped. It costs four networks of up to 600 epochs.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of each network; do not set its `link` or `random_state`. None is
        ``MLPHead(learning_rate=5e-4, weight_decay=0.0, max_epochs=600, patience=30)``.
    anchor_quantile : float, default=0.97
        Upper quantile of the noise model's predictions; the lower one is 1 minus it.
    clipping_threshold : float, default=0.1
        Least propensity; lower ones are raised to it.
    as_published : bool, default=False
        Stop the noise and imputation networks on true labels, passed to `fit` as `clean`. Use it
        only to study the published code: with true labels of the log you should train on them, and
        the figures do not carry over to logs without them.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part, the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The fitted network.
    noise_head_, imputation_ : MLPHead
        Networks of the noisy feedback.
    propensity_ : ndarray of shape (n,)
        Clipped propensities of the training rows.
    n_clipped_ : int
        Number of rows whose propensity was clipped.
    rates_ : (float, float)
        The last flip rates, P(s=1 given r=0) and P(s=0 given r=1).
    n_floored_ : int
        Number of steps at which 1 minus both rates was below .1 and the rates were lowered.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    CausalRM, arXiv 2603.18736.

    Examples
    --------
    >>> from skcausalrm.baselines import CausalRMDR
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = CausalRMDR(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _recipe = staticmethod(dr)
