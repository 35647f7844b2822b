"""Doubly robust learning with smaller weights, by a rule that reads the data."""

from numbers import Real
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._utils._sklearn_compat import Interval
from ._base import TrainingRows
from ._weighting import Weighting

Array = NDArray[np.float64]


def shrunk(w: Array, shrinkage: float) -> Array:
    """Return ``lambda w / (w^2 + lambda)``: near w where it is small, near 0 where it is large."""
    return w if np.isinf(shrinkage) else shrinkage * w / (w**2 + shrinkage)


def least_error(outcomes: list[Array]) -> int:
    """Return the index of the outcomes whose mean has the least estimated squared error.

    The bias of a mean is its distance from the mean of the first outcomes, which are unbiased.
    """
    errors = [(z - outcomes[0]).mean() ** 2 + z.var() / len(z) for z in outcomes]
    return int(np.argmin(errors))


def slope(outcomes: list[Array]) -> int:
    """Return the index that SLOPE chooses: the last outcomes whose mean agrees with all before.

    Outcomes are in order of falling spread and rising bias. With widths
    ``c_i = 2 sd_i / sqrt(n)`` the i-th agrees if ``|mean_i - mean_j| <= c_i + (sqrt(6) - 1) c_j``
    for all j before it.
    """
    means = np.array([z.mean() for z in outcomes])
    widths = np.array([2 * z.std() / np.sqrt(len(z)) for z in outcomes])
    best = 0
    for i in range(1, len(outcomes)):
        gap = np.abs(means[i] - means[:i])
        if (gap > widths[i] + (np.sqrt(6) - 1) * widths[:i]).any():
            break
        best = i
    return best


class _TunedDR(Weighting):
    def _train_tuned(self, rows: TrainingRows, m: Array, settings, weights, choose):
        """Return the fitted heads and the setting of the weights that `choose` takes."""
        residual = np.where(rows.o, rows.s - m, 0.0)
        w = 1 / self.propensity_
        outcomes = [m + weights(w, setting) * residual for setting in settings]
        best = choose(outcomes) if len(outcomes) > 1 else 0
        return rows.train_heads(outcomes[best]), float(settings[best])


class DRShrinkage(_TunedDR):
    r"""Doubly robust learning with optimistically shrunk weights.

    Large inverse propensities are shrunk more than small ones, which trades bias for variance. The
    amount is chosen by the estimated squared error of the mean reward. The method is :class:`DR`
    with the target

    .. math:: z_i = m(x_i) + o_i \hat w_i (s_i - m(x_i)), \qquad
              \hat w_i = \frac{\lambda w_i}{w_i^2 + \lambda}, \quad w_i = 1 / e(x_i).

    It assumes what DR does, and that the best lambda for the mean reward is also best for learning.
    It costs a logistic regression and two networks. The paper bounds the bias; here it is
    estimated, as the distance from lambda = infinity.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of each network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    shrinkage : float, default=None
        The factor lambda: inf is DR, 0 is the imputation alone. None chooses among 10^0 to 10^6
        and inf.
    propensity_estimator : PropensityEstimator, default=None
        Propensity of feedback, fitted out of fold; None is ``PropensityEstimator()``. Its
        `random_state` is drawn.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part, the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The fitted network.
    shrinkage_ : float
        The factor lambda that was used.
    propensity_ : ndarray of shape (n,)
        Out-of-fold propensities of the training rows.
    imputation_ : MLPHead
        The network m.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    Su et al., "Doubly robust off-policy evaluation with shrinkage", ICML 2020.

    Examples
    --------
    >>> from skcausalrm.baselines import DRShrinkage
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = DRShrinkage(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _parameter_constraints: ClassVar[dict] = {
        **Weighting._parameter_constraints,
        "shrinkage": [Interval(Real, 0, None, closed="both"), None],
    }

    def __init__(self, head=None, *, shrinkage=None, propensity_estimator=None, random_state=None):
        super().__init__(head, propensity_estimator=propensity_estimator, random_state=random_state)
        self.shrinkage = shrinkage

    def fit_heads(self, rows: TrainingRows):
        m = self._fit_nuisances(rows)
        grid = [np.inf, *np.logspace(6, 0, 13)] if self.shrinkage is None else [self.shrinkage]
        heads, self.shrinkage_ = self._train_tuned(rows, m, grid, shrunk, least_error)
        return heads


class DRClipping(_TunedDR):
    r"""Doubly robust learning with weights cut at a height that SLOPE chooses.

    Lower cuts have less variance and more bias. The lowest cut is used whose mean reward agrees,
    within confidence widths, with those of all higher cuts, so the bias need not be known. The
    method is :class:`DR` with the target

    .. math:: z_i = m(x_i) + o_i \min(1 / e(x_i), c) (s_i - m(x_i)).

    It assumes what DR does, and that the best cut for the mean reward is also best for learning.
    It costs a logistic regression and two networks.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of each network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    highest_weight : float, default=None
        The cut c. None chooses among 15 from the highest weight down to 1.
    propensity_estimator : PropensityEstimator, default=None
        Propensity of feedback, fitted out of fold; None is ``PropensityEstimator()``. Its
        `random_state` is drawn.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part, the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The fitted network.
    highest_weight_ : float
        The cut that was used.
    n_cut_ : int
        Number of rated rows whose weight was cut.
    propensity_ : ndarray of shape (n,)
        Out-of-fold propensities of the training rows.
    imputation_ : MLPHead
        The network m.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    Su, Srinath and Krishnamurthy, "Adaptive estimator selection for off-policy evaluation",
    ICML 2020.

    Examples
    --------
    >>> from skcausalrm.baselines import DRClipping
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = DRClipping(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _parameter_constraints: ClassVar[dict] = {
        **Weighting._parameter_constraints,
        "highest_weight": [Interval(Real, 1, None, closed="left"), None],
    }

    def __init__(
        self, head=None, *, highest_weight=None, propensity_estimator=None, random_state=None
    ):
        super().__init__(head, propensity_estimator=propensity_estimator, random_state=random_state)
        self.highest_weight = highest_weight

    def fit_heads(self, rows: TrainingRows):
        m = self._fit_nuisances(rows)
        given = self.highest_weight
        cuts = np.geomspace(1 / self.propensity_.min(), 1, 15) if given is None else [given]
        heads, self.highest_weight_ = self._train_tuned(rows, m, cuts, np.minimum, slope)
        cut = rows.o & (1 / self.propensity_ > self.highest_weight_)
        self.n_cut_ = int(np.count_nonzero(cut))
        return heads
