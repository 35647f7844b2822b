"""Two networks that choose each other's rows: CoTeaching and CoDis."""

from numbers import Integral, Real
from typing import ClassVar

from .._utils._sklearn_compat import Interval
from ._base import BaseBaseline, TrainingRows


class CoTeaching(BaseBaseline):
    r"""Two networks, each taught the rows of a batch that the other finds easy.

    Networks learn clean labels before they learn flipped ones, so rows of small loss are likelier
    clean. Each network learns from the rows that the other one chooses, so that its errors do not
    reinforce themselves. With
    :math:`S_k` the share :math:`1 - \tau \min(t / T, 1)` of a batch's rows whose log loss by
    network k is least in epoch t, it minimises

    .. math:: \sum_{i \in S_2} \ell(f_1(x_i), s_i) + \sum_{i \in S_1} \ell(f_2(x_i), s_i).

    It assumes flips that do not depend on x, a known share of them, and no selection. It costs two
    networks on the rated rows. The reward is the mean of both networks. Held-out rows are chosen
    in the same way, because their labels are flipped too.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of the network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    forget_rate : float, default=0.2
        Final share of rows left out; set it to the share of flipped rows.
    ramp_epochs : int, default=10
        Number of epochs over which that share rises from 0.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part, the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The two networks.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    Han et al., "Co-teaching: robust training of deep neural networks with extremely noisy labels",
    NeurIPS 2018.

    Examples
    --------
    >>> from skcausalrm.baselines import CoTeaching
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = CoTeaching(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseBaseline._parameter_constraints,
        "forget_rate": [Interval(Real, 0, 1, closed="left")],
        "ramp_epochs": [Interval(Integral, 1, None, closed="left")],
    }
    discrepancy_weight = 0.0  # a parameter of CoDis

    def __init__(self, head=None, *, forget_rate=0.2, ramp_epochs=10, random_state=None):
        super().__init__(head, random_state=random_state)
        self.forget_rate = forget_rate
        self.ramp_epochs = ramp_epochs

    def fit_heads(self, rows: TrainingRows):
        from ._losses import CoTraining

        loss = CoTraining(self.forget_rate, self.ramp_epochs, self.discrepancy_weight)
        return rows.train_heads(
            rows.s,
            loss,
            rows=rows.o,
            n_networks=2,
            validation_loss=loss.held_out,
            before_epoch=loss.before_epoch,
        )


class CoDis(CoTeaching):
    r"""Two networks, each taught rows that the other finds easy and they disagree on.

    The networks of co-teaching become alike, and then neither can correct the other. CoDis prefers,
    among the rows of small loss, those on which the predictions differ most. It is
    :class:`CoTeaching` with the rows chosen by the least

    .. math:: \ell(f_k(x_i), s_i) - \lambda\, \mathrm{JS}(f_1(x_i), f_2(x_i)).

    It assumes what CoTeaching does, and costs two networks on the rated rows.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of the network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    forget_rate : float, default=0.2
        Final share of rows left out; set it to the share of flipped rows.
    ramp_epochs : int, default=10
        Number of epochs over which that share rises from 0.
    discrepancy_weight : float, default=1.0
        The factor lambda.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part, the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The two networks.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    Xia et al., "Combating noisy labels with sample selection by mining high-discrepancy examples",
    ICCV 2023.

    Examples
    --------
    >>> from skcausalrm.baselines import CoDis
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = CoDis(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _parameter_constraints: ClassVar[dict] = {
        **CoTeaching._parameter_constraints,
        "discrepancy_weight": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        head=None,
        *,
        forget_rate=0.2,
        ramp_epochs=10,
        discrepancy_weight=1.0,
        random_state=None,
    ):
        super().__init__(
            head, forget_rate=forget_rate, ramp_epochs=ramp_epochs, random_state=random_state
        )
        self.discrepancy_weight = discrepancy_weight
