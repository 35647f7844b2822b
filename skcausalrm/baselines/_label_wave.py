"""LabelWave: early stopping where predictions stop changing, without held-out labels."""

from dataclasses import replace
from numbers import Integral
from typing import ClassVar

import numpy as np

from .._utils._sklearn_compat import Interval
from ._base import BaseBaseline, TrainingRows


class LabelWave(BaseBaseline):
    r"""Early stopping before the network of :class:`Naive` memorises flipped labels.

    Predicted classes of training rows settle while clean labels are learnt and change again when
    flipped ones are. The weights are those of the epoch where a moving average of the changes is
    least. With :math:`c_i^t = [\sigma(f_t(x_i)) > 1/2]` after epoch t it watches

    .. math:: \frac{1}{w} \sum_{u = t - w + 1}^{t} \sum_i [c_i^u \neq c_i^{u - 1}]

    over the rated rows, and minimises their log loss.

    It assumes a network large enough to memorise flips, after it has learnt the rest, and no
    selection. It costs one network on all rated rows; none is held out. Training ends when the
    moving average has not fallen for `patience` epochs of the head.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of the network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    window : int, default=3
        Number of epochs in the moving average.
    random_state : int, RandomState instance or None, default=None
        Draws the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The fitted network.
    n_changes_ : ndarray of shape (n_epochs,)
        Number of rows whose predicted class changed in each epoch.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    Yuan et al., "Early stopping against label noise without validation data", ICLR 2024.

    Examples
    --------
    >>> from skcausalrm.baselines import LabelWave
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = LabelWave(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseBaseline._parameter_constraints,
        "window": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, head=None, *, window=3, random_state=None):
        super().__init__(head, random_state=random_state)
        self.window = window

    def fit_heads(self, rows: TrainingRows):
        from ..heads._training_loop import predict_rows
        from ._losses import log_loss

        rows = replace(rows, train=np.concatenate([rows.train, rows.validation]))
        watched = rows.X[rows.train[rows.o[rows.train]]]
        classes: list[np.ndarray] = []
        changes: list[int] = []

        def moving_changes(module, epoch):
            classes.append(predict_rows(module, watched) > 0)
            if len(classes) == 1:
                return float(len(watched))
            changes.append(int(np.count_nonzero(classes[1] != classes[0])))
            del classes[0]
            # until a window is full no epoch is a minimum
            full = len(changes) >= self.window
            return float(np.mean(changes[-self.window :])) if full else float(len(watched))

        heads = rows.train_heads(rows.s, log_loss, rows=rows.o, criterion=moving_changes)
        self.n_changes_ = np.array(changes)
        return heads
