"""Propensity, reward and imputation trained jointly."""

from numbers import Real
from typing import ClassVar

import numpy as np

from .._utils._sklearn_compat import Interval
from ._base import BaseBaseline, TrainingRows


class MultiTask(BaseBaseline):
    _parameter_constraints: ClassVar[dict] = {
        **BaseBaseline._parameter_constraints,
        "clipping_threshold": [Interval(Real, 0, 1, closed="neither")],
    }
    _n_outputs: ClassVar[int]

    def __init__(self, head=None, *, clipping_threshold=0.05, random_state=None):
        super().__init__(head, random_state=random_state)
        self.clipping_threshold = clipping_threshold

    def fit_heads(self, rows: TrainingRows):
        from ._losses import multi_task_loss, reward_loss

        def loss(output, target):
            return multi_task_loss(output, target, self.clipping_threshold)

        def held_out(output, target):
            return reward_loss(output, target, self.clipping_threshold, normalised=True)

        return self._fit_jointly(rows, loss, held_out, n_outputs=self._n_outputs)

    def _fit_jointly(self, rows: TrainingRows, loss, held_out, **networks):
        reward, propensity, *_ = rows.train_heads(
            np.column_stack([rows.s, rows.o]), loss, validation_loss=held_out, **networks
        )
        e = propensity.predict(rows.X)
        self.propensity_ = np.maximum(e, self.clipping_threshold)
        self.n_clipped_ = int(np.count_nonzero(e < self.clipping_threshold))
        return [reward]


class MultiTaskIPS(MultiTask):
    r"""Propensity and reward from shared hidden layers, the reward by inverse propensity.

    The unrated rows train the shared layers through the propensity, and the probability of a rated
    and liked row is fitted on the entire space. With :math:`e_i = \sigma(g(x_i))`,
    :math:`\bar e_i` the same clipped below and without gradient, and
    :math:`p_i = \sigma(f(x_i))`, it minimises the mean over all rows of

    .. math:: -o_i \log e_i - (1 - o_i) \log(1 - e_i)
              + \frac{o_i}{\bar e_i} (p_i - s_i)^2 + (e_i p_i - o_i s_i)^2.

    It assumes that selection depends on x alone, overlap, and feedback without flips. It costs one
    network on all rows. The paper has log losses in place of the squares.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of the network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    clipping_threshold : float, default=0.05
        Least propensity to divide by; lower ones are raised to it.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part, the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The network with its output for the reward.
    propensity_ : ndarray of shape (n,)
        Clipped propensities of the training rows, by the network that was fitted on them.
    n_clipped_ : int
        Number of rows whose propensity was clipped.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    Zhang et al., "Large-scale causal approaches to debiasing post-click conversion rate estimation
    with multi-task learning", WWW 2020.

    Examples
    --------
    >>> from skcausalrm.baselines import MultiTaskIPS
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = MultiTaskIPS(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _n_outputs = 2


class MultiTaskDR(MultiTask):
    r"""Propensity, reward and imputation from shared hidden layers, the reward doubly robust.

    :class:`MultiTaskIPS` with an imputation :math:`m_i = \sigma(h(x_i))`, which learns most
    where inverse propensities are large, and the doubly robust target. With gradients
    stopped in :math:`z_i` and :math:`\bar e_i` it minimises the mean over all rows of

    .. math:: -o_i \log e_i - (1 - o_i) \log(1 - e_i) + (p_i - z_i)^2
              + \frac{o_i}{\bar e_i} (m_i - s_i)^2 + (e_i p_i - o_i s_i)^2, \qquad
              z_i = m_i + \frac{o_i}{\bar e_i} (s_i - m_i).

    It assumes that selection depends on x alone, that e or m is right, and feedback without flips.
    It costs one network on all rows. The paper imputes the error, not the label; for squared errors
    the doubly robust risk is the same up to a term free of p.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of the network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    clipping_threshold : float, default=0.05
        Least propensity to divide by; lower ones are raised to it.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part, the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The network with its output for the reward.
    propensity_ : ndarray of shape (n,)
        Clipped propensities of the training rows, by the network that was fitted on them.
    n_clipped_ : int
        Number of rows whose propensity was clipped.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    Zhang et al., "Large-scale causal approaches to debiasing post-click conversion rate estimation
    with multi-task learning", WWW 2020.

    Examples
    --------
    >>> from skcausalrm.baselines import MultiTaskDR
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = MultiTaskDR(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _n_outputs = 3


class StableDR(MultiTask):
    r"""Doubly robust learning without terms of the size of an inverse propensity.

    The self-normalised estimate is doubly robust and bounded if inverse propensities weight the
    imputed errors of the rated rows to their mean over all rows. Three networks, for reward,
    propensity and imputation, are trained together towards that. With :math:`p_i, e_i, m_i` their
    probabilities, :math:`\hat d_i = (m_i - p_i)^2` and :math:`w_i = o_i / e_i`, it minimises

    .. math:: \frac{\sum_i w_i (p_i - s_i)^2}{\sum_i w_i}
              + \frac{1}{n} \sum_i \bigl[ -o_i \log e_i - (1 - o_i) \log(1 - e_i)
              + w_i (m_i - s_i)^2 \bigr]
              + \eta \Bigl[ \frac{1}{n} \sum_i w_i (\hat d_i - \bar d) \Bigr]^2,

    each sum over a batch, :math:`\bar d` the mean of :math:`\hat d`. Each network is moved by its
    own term, and the propensity by the last one too.

    It assumes that selection depends on x alone, that e or m is right, and feedback without flips.
    It costs three networks on all rows. The paper's networks take turns and impute the error, not
    the label.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of each network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    clipping_threshold : float, default=0.05
        Least propensity to divide by; lower ones are raised to it.
    stability : float, default=10.0
        The factor eta.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part, the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The reward's network.
    propensity_ : ndarray of shape (n,)
        Clipped propensities of the training rows, by the network that was fitted on them.
    n_clipped_ : int
        Number of rows whose propensity was clipped.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    Li et al., "StableDR: stabilized doubly robust learning for recommendation on data missing not
    at random", ICLR 2023.

    Examples
    --------
    >>> from skcausalrm.baselines import StableDR
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = StableDR(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _parameter_constraints: ClassVar[dict] = {
        **MultiTask._parameter_constraints,
        "stability": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, head=None, *, clipping_threshold=0.05, stability=10.0, random_state=None):
        super().__init__(head, clipping_threshold=clipping_threshold, random_state=random_state)
        self.stability = stability

    def fit_heads(self, rows: TrainingRows):
        from ._losses import reward_loss, stable_loss

        def loss(output, target):
            return stable_loss(output, target, self.clipping_threshold, self.stability)

        def held_out(output, target):
            return reward_loss(output[:, :2], target, self.clipping_threshold, normalised=True)

        return self._fit_jointly(rows, loss, held_out, n_networks=3)
