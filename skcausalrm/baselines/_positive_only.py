"""Methods for logs of copies and clicks alone, where nobody says that an answer was bad."""

from dataclasses import replace
from numbers import Real
from typing import ClassVar

import numpy as np
from scipy.special import logit

from .._utils._sklearn_compat import Interval
from ..exceptions import FeedbackError
from ._base import TrainingRows
from ._weighting import Weighting


class _PositiveOnly(Weighting):
    _positive_only = True

    def _positive(self, rows: TrainingRows):
        positive = rows.s == 1
        if not positive[rows.train].any() or positive.all():
            raise FeedbackError(
                f"{np.count_nonzero(positive)} of {len(positive)} rows are positive: some training "
                f"rows must be positive, and some rows must be silent."
            )
        return positive

    def _label_frequency(self, rows: TrainingRows, positive) -> float:
        """Return P(labelled given good), the mean chance of being labelled of labelled rows."""
        labelled = replace(rows, o=positive).fit_propensity(self.propensity_estimator)
        return float(np.average(labelled[positive], weights=rows.weight[positive]))


class NonNegativePU(_PositiveOnly):
    r"""Positive-unlabelled learning: silent rows are a mixture of good and bad ones.

    Rows of feedback 1 are good; all others, silent or 0, are unlabelled. The risk of bad rows is
    the risk of the unlabelled rows less that of the good rows among them, and it is kept from
    turning negative. With l the log loss, P the positive and U the other rows of a batch it
    minimises

    .. math:: \pi\, \bar\ell_P(f, 1) + \max\bigl(0,
              \bar\ell_U(f, 0) - \pi\, \bar\ell_P(f, 0)\bigr),

    and steps back where the bracket is negative. It assumes that positives are a random sample of
    the good rows (copying does not depend on x), no flips, and a known share pi of good rows. It
    costs one network on all rows.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of each network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    prior : float, default=None
        Share of good rows among the unlabelled. None estimates it as Elkan and Noto do: the
        share of positives divided by their mean chance of being labelled, by out-of-fold
        propensity. The estimate is too high if no answer is good with certainty.
    propensity_estimator : PropensityEstimator, default=None
        Propensity of feedback, fitted out of fold; None is ``PropensityEstimator()``. Its
        `random_state` is drawn.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part, the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The fitted network.
    prior_ : float
        The share that was used.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    Kiryo et al., "Positive-unlabeled learning with non-negative risk estimator", NeurIPS 2017;
    Elkan and Noto, "Learning classifiers from only positive and unlabeled data", KDD 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.baselines import NonNegativePU
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = NonNegativePU(MLPHead((16,), learning_rate=0.01), prior=0.5, random_state=0)
    >>> copied = np.where(data.y == 1, 1.0, np.nan)
    >>> model.fit(data.X, copied, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _parameter_constraints: ClassVar[dict] = {
        **Weighting._parameter_constraints,
        "prior": [Interval(Real, 0, 1, closed="neither"), None],
    }

    def __init__(self, head=None, *, prior=None, propensity_estimator=None, random_state=None):
        super().__init__(head, propensity_estimator=propensity_estimator, random_state=random_state)
        self.prior = prior

    def fit_heads(self, rows: TrainingRows):
        from ._losses import non_negative_risk

        positive = self._positive(rows)
        self.prior_ = self._estimate(rows, positive) if self.prior is None else float(self.prior)

        def risk(output, target):
            good, bad = non_negative_risk(output, target > 0, self.prior_)
            return (good + bad.clamp(min=0)).expand(len(output))

        def loss(output, target):
            good, bad = non_negative_risk(output, target > 0, self.prior_)
            return (good + bad if bad >= 0 else -bad).expand(len(output))

        return rows.train_heads(positive.astype(float), loss, validation_loss=risk)

    def _estimate(self, rows: TrainingRows, positive) -> float:
        share = np.average(positive, weights=rows.weight)
        # of the unlabelled rows, not of all
        prior = (min(share / self._label_frequency(rows, positive), 1.0) - share) / (1 - share)
        return float(np.clip(prior, 0.01, 0.99))


class ImplicitRM(_PositiveOnly):
    r"""Four latent groups, good or bad and would act or not, by maximum likelihood.

    Only a reader who likes an answer and is inclined to act copies it. Silence comes from the other
    three groups, in proportions that two networks estimate. With :math:`p_i = \sigma(f(x_i))` the
    chance that the answer is good and :math:`a_i = \sigma(g(x_i))` that its reader acts on a good
    one, it minimises

    .. math:: -\frac1n \sum_i \bigl[ c_i \log (p_i a_i)
              + (1 - c_i) \log (1 - p_i a_i) \bigr]
              + \lambda\, \mathrm{Var}(g),

    c being 1 where there was an action and the variance that in a batch: the gradient is that of
    both networks' log losses with each silent row spread over its groups by their posterior.

    Feedback of 0 counts as silence. The method assumes no flips, and more than the data identify:
    the product of p and a does not identify its factors. The last term draws the readers' chances
    of acting together, and g starts at the estimate of Elkan and Noto. It costs two networks on all
    rows. The likelihood is derived here from the four groups, because the paper's labels of them
    are disputed.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of each network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    action_penalty : float, default=1.0
        The factor lambda, which draws the readers' chances of acting together.
    propensity_estimator : PropensityEstimator, default=None
        Propensity of feedback, fitted out of fold; None is ``PropensityEstimator()``. Its
        `random_state` is drawn.
    random_state : int, RandomState instance or None, default=None
        Draws folds, the held-out part, the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The network f.
    action_ : MLPHead
        The network g: its prediction is the chance that a reader acts on a good answer.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    "ImplicitRM: unbiased reward modeling from implicit preference data", arXiv 2603.23184.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.baselines import ImplicitRM
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = ImplicitRM(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> copied = np.where(data.y == 1, 1.0, np.nan)
    >>> model.fit(data.X, copied, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _parameter_constraints: ClassVar[dict] = {
        **Weighting._parameter_constraints,
        "action_penalty": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self, head=None, *, action_penalty=1.0, propensity_estimator=None, random_state=None
    ):
        super().__init__(head, propensity_estimator=propensity_estimator, random_state=random_state)
        self.action_penalty = action_penalty

    def fit_heads(self, rows: TrainingRows):
        from ._losses import latent_groups

        positive = self._positive(rows)
        frequency = np.clip(self._label_frequency(rows, positive), 0.01, 0.99)
        start = float(np.float32(logit(frequency)))  # the networks' precision

        def loss(output, target):
            f, g = output.unbind(1)
            g = g + start
            return latent_groups(f, g, target) + self.action_penalty * g.var(correction=0)

        def held_out(output, target):
            f, g = output.unbind(1)
            return latent_groups(f, g + start, target)

        reward, self.action_ = rows.train_heads(
            positive.astype(float),
            loss,
            shifts=[0.0, start],
            n_networks=2,
            validation_loss=held_out,
        )
        return [reward]
