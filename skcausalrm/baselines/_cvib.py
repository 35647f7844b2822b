"""CVIB: an information bottleneck that draws rated and unrated rows together."""

from numbers import Real
from typing import ClassVar

import numpy as np

from .._utils._sklearn_compat import Interval
from ._base import BaseBaseline, TrainingRows


class CVIB(BaseBaseline):
    r"""Counterfactual variational information bottleneck, without a propensity.

    The network's mean prediction on unrated rows is drawn towards that on rated ones, and
    an entropy term keeps predictions away from 0 and 1. With :math:`\bar p_1` and
    :math:`\bar p_0` the means of :math:`p_i = \sigma(f(x_i))` over a batch's rated and unrated
    rows, H the entropy of a prediction and CE the cross entropy, it minimises

    .. math:: \frac{1}{n_1} \sum_{o_i = 1} \mathrm{CE}(s_i, p_i)
              + \alpha\, \mathrm{CE}(\bar p_1, \bar p_0)
              - \frac{\gamma}{n} \sum_i H(p_i).

    It assumes that rated and unrated answers are about equally good on average, and feedback
    without flips. It costs one network on all rows. The paper's code penalises p log p alone; here
    the term is the entropy of both classes.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of the network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    alpha : float, default=0.1
        Weight of the contrast between rated and unrated rows.
    gamma : float, default=0.01
        Weight of the entropy.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part, the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The fitted network.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    Wang et al., "Information theoretic counterfactual learning from missing-not-at-random
    feedback", NeurIPS 2020.

    Examples
    --------
    >>> from skcausalrm.baselines import CVIB
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = CVIB(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseBaseline._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="left")],
        "gamma": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, head=None, *, alpha=0.1, gamma=0.01, random_state=None):
        super().__init__(head, random_state=random_state)
        self.alpha = alpha
        self.gamma = gamma

    def fit_heads(self, rows: TrainingRows):
        from ._losses import contrast, entropy, log_loss

        def rated_loss(output, target):
            s, o = target.unbind(1)
            # the mean over the batch is that over its rated rows
            return o * log_loss(output, s) * (len(o) / o.sum().clamp(min=1))

        def loss(output, target):
            o = target[:, 1] > 0
            pull = self.alpha * contrast(output, o)
            return rated_loss(output, target) + pull - self.gamma * entropy(output)

        return rows.train_heads(np.column_stack([rows.s, rows.o]), loss, validation_loss=rated_loss)
