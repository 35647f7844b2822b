"""EpsSoftmax: a loss that hardly falls further on labels it already agrees with."""

from numbers import Real
from typing import ClassVar

from .._utils._sklearn_compat import Interval
from ._base import BaseBaseline, TrainingRows


class EpsSoftmax(BaseBaseline):
    r"""Cross entropy of nearly one-hot predictions, plus mean absolute error.

    The likelier class is raised by m and both are divided by 1 + m. The loss is then nearly
    symmetric, so that flipped labels pull less; the absolute error, itself symmetric, makes it
    steadier. With
    :math:`p_i = \sigma(f(x_i))` of the label's class and k the likelier class it minimises, over
    rated rows, the mean of

    .. math:: -\alpha \log \frac{p_i + m [s_i = k]}{1 + m} + \beta (1 - p_i).

    It assumes flips after which the true label is still the likelier one everywhere, and no
    selection. Its goal is the right class, so its probabilities are too close to 0 and 1. It costs
    one network on the rated rows.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of the network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    m : float, default=10.0
        Amount added to the likelier class.
    alpha, beta : float, default=0.1 and 1.0
        Weights of cross entropy and absolute error.
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
    Wang et al., "Epsilon-softmax: approximating one-hot vectors for mitigating label noise",
    NeurIPS 2024.

    Examples
    --------
    >>> from skcausalrm.baselines import EpsSoftmax
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = EpsSoftmax(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseBaseline._parameter_constraints,
        "m": [Interval(Real, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, head=None, *, m=10.0, alpha=0.1, beta=1.0, random_state=None):
        super().__init__(head, random_state=random_state)
        self.m = m
        self.alpha = alpha
        self.beta = beta

    def fit_heads(self, rows: TrainingRows):
        from ._losses import epsilon_softmax

        def loss(output, target):
            liked, disliked = epsilon_softmax(output, self.m)
            raised = target * liked + (1 - target) * disliked
            p = target * output.sigmoid() + (1 - target) * (-output).sigmoid()
            return -self.alpha * raised.clamp(min=1e-12).log() + self.beta * (1 - p)

        return rows.train_heads(rows.s, loss, rows=rows.o)
