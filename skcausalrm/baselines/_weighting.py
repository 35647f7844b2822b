"""Selection corrected by a propensity that is fitted first: IPS and DR."""

from typing import ClassVar

from ..nuisances._propensity import PropensityEstimator
from ..nuisances._recipes import dr, ips
from ._base import BaseBaseline, TrainingRows


class Weighting(BaseBaseline):
    _parameter_constraints: ClassVar[dict] = {
        **BaseBaseline._parameter_constraints,
        "propensity_estimator": [PropensityEstimator, None],
    }

    def __init__(self, head=None, *, propensity_estimator=None, random_state=None):
        super().__init__(head, random_state=random_state)
        self.propensity_estimator = propensity_estimator

    def _fit_nuisances(self, rows: TrainingRows):
        """Fit propensity and imputation network, and return the imputation of every row."""
        self.propensity_ = rows.fit_propensity(self.propensity_estimator)
        (self.imputation_,) = rows.train_heads(rows.s, rows=rows.o)
        return self.imputation_.predict(rows.X)


class IPS(Weighting):
    r"""Inverse propensity scoring: each rated row represents 1/e(x) rows like it.

    With :math:`p_i = \sigma(f(x_i))` it minimises

    .. math:: \frac{1}{n} \sum_{o_i = 1} \frac{(p_i - s_i)^2}{e(x_i)}.

    It assumes that selection depends on x alone, overlap (e above 0), and feedback without flips.
    It costs a logistic regression and one network.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of the network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    propensity_estimator : PropensityEstimator, default=None
        Propensity of feedback, fitted out of fold; None is ``PropensityEstimator()``. Its
        `random_state` is drawn.
    random_state : int, RandomState instance or None, default=None
        Draws folds, the held-out part, the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The fitted network.
    propensity_ : ndarray of shape (n,)
        Out-of-fold propensities of the training rows.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    Schnabel et al., "Recommendations as treatments: debiasing learning and evaluation", ICML 2016.

    Examples
    --------
    >>> from skcausalrm.baselines import IPS
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = IPS(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).propensity_.shape
    (2000,)
    """

    def fit_heads(self, rows: TrainingRows):
        self.propensity_ = rows.fit_propensity(self.propensity_estimator)
        _, weight = ips(rows.s, rows.o, self.propensity_, None, (0.0, 0.0))
        return rows.train_heads(rows.s, weight=weight, rows=rows.o)


class DR(Weighting):
    r"""Doubly robust learning: an imputation on all rows, its error corrected on rated ones.

    An imputation network m is fitted on the rated rows; then, with
    :math:`p_i = \sigma(f(x_i))`, the network minimises

    .. math:: \frac{1}{n} \sum_i (p_i - z_i)^2, \qquad
              z_i = m(x_i) + \frac{o_i}{e(x_i)} (s_i - m(x_i)),

    which is the doubly robust risk up to a term free of p. It is right if e or m is, selection
    depends on x alone, and feedback has no flips. It costs a logistic regression and two networks.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of each network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    propensity_estimator : PropensityEstimator, default=None
        Propensity of feedback, fitted out of fold; None is ``PropensityEstimator()``. Its
        `random_state` is drawn.
    random_state : int, RandomState instance or None, default=None
        Draws folds, the held-out part, the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The fitted network.
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
    Wang et al., "Doubly robust joint learning for recommendation on data missing not at random",
    ICML 2019; there imputation and prediction take turns, here m is fitted first.

    Examples
    --------
    >>> from skcausalrm.baselines import DR
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = DR(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    def fit_heads(self, rows: TrainingRows):
        m = self._fit_nuisances(rows)
        z, _ = dr(rows.s, rows.o, self.propensity_, m, (0.0, 0.0))
        return rows.train_heads(z)
