"""RobustDivideMix: rows whose label looks wrong are kept without their label."""

from numbers import Integral, Real
from typing import ClassVar

from .._utils._sklearn_compat import Interval
from ._base import BaseBaseline, TrainingRows


class RobustDivideMix(BaseBaseline):
    r"""Two networks that find each other's wrong labels and replace them by predictions.

    A mixture of two normals over one network's losses finds the rows that are likely clean. The
    other network learns the labels of these rows, moved towards its own prediction; for all other
    rows it learns the mean prediction of both networks. Rows and labels are mixed in pairs. With
    :math:`w_i` the chance of being clean, :math:`\bar y_i = w_i s_i + (1 - w_i) p_i` for clean
    rows and the networks' mean prediction for others, both sharpened, C and U the clean and the
    other rows of a batch after mixing, it minimises for each network

    .. math:: \frac1n \Bigl[ \sum_{i \in C} \ell(f(x_i), \bar y_i)
              + \lambda_U \sum_{i \in U} (p_i - \bar y_i)^2 \Bigr]
              + \mathrm{KL}\bigl(\tfrac12 \,\big\Vert\, \bar p\bigr).

    It assumes that flipped rows have larger losses, that both classes are about equally frequent
    (the last term), and no selection. It costs two networks on the rated rows and a mixture in each
    epoch. The paper augments images; embeddings are only mixed. After the warm-up, the share of
    wrong classes on held-out rows decides when to stop.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of the network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    warmup_epochs : int, default=5
        Number of epochs on all labels before the first division.
    temperature : float, default=0.5
        Temperature of the sharpening; 1 does not change labels.
    unlabelled_weight : float, default=1.0
        The factor lambda_U.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part, the initial weights, the order of the rows and the mixed pairs.

    Attributes
    ----------
    heads_ : list of MLPHead
        The two networks.
    clean_share_ : float
        Share of rows treated as clean in the last epoch, mean of both networks.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    Li, Socher and Hoi, "DivideMix: learning with noisy labels as semi-supervised learning",
    ICLR 2020.

    Examples
    --------
    >>> from skcausalrm.baselines import RobustDivideMix
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = RobustDivideMix(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseBaseline._parameter_constraints,
        "warmup_epochs": [Interval(Integral, 1, None, closed="left")],
        "temperature": [Interval(Real, 0, 1, closed="right")],
        "unlabelled_weight": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        head=None,
        *,
        warmup_epochs=5,
        temperature=0.5,
        unlabelled_weight=1.0,
        random_state=None,
    ):
        super().__init__(head, random_state=random_state)
        self.warmup_epochs = warmup_epochs
        self.temperature = temperature
        self.unlabelled_weight = unlabelled_weight

    def fit_heads(self, rows: TrainingRows):
        from ._divide_mix_losses import DivideMixLoss

        loss = DivideMixLoss(self, rows)
        heads = rows.train_heads(
            loss.target,
            loss,
            rows=rows.o,
            n_networks=2,
            wrap=loss.wrap,
            before_epoch=loss.before_epoch,
            validation_loss=loss.held_out,
        )
        self.clean_share_ = loss.clean_share
        return heads
