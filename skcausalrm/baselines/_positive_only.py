"""For logs that hold only copies and clicks: nobody says that an answer was bad."""

from __future__ import annotations

from dataclasses import replace
from numbers import Real
from typing import ClassVar

import numpy as np

from .._sklearn_compat import Interval
from ..exceptions import NoFeedbackError
from ._base import Rows
from ._weighting import Weighting

__all__ = ["NonNegativePU"]


class NonNegativePU(Weighting):
    r"""Positive-unlabelled learning: silent rows are a mixture of good and bad ones.

    Rows of feedback 1 are good; all others, silent or 0, are unlabelled. The risk of bad rows
    is what is left of the unlabelled rows' risk when that of the good rows in them is taken off,
    and is kept from turning negative. With l the log loss, P the positive and U the other
    rows of a batch it minimises

    .. math:: \pi\, \bar\ell_P(f, 1) + \max\bigl(0,
              \bar\ell_U(f, 0) - \pi\, \bar\ell_P(f, 0)\bigr),

    and steps back where the bracket is negative. Assumes that positives are a random sample of the
    good rows (who copies does so whatever x is), no flips, and a known share pi of good rows. Costs
    one network on all rows.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of each network; None is ``MLPHead()``. Leave its `link` and `random_state`.
    prior : float, default=None
        Share of good rows among the unlabelled. None estimates it as Elkan and Noto do: the
        share of positives over their mean chance of being labelled, by out-of-fold propensity;
        too low where no answer is surely good.
    propensity_estimator : PropensityEstimator, default=None
        Fitted out of fold; None is ``PropensityEstimator()``. Its `random_state` is drawn.
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
    feature_names_in_ : ndarray of shape (n_features_in_,)
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

    _positive_only = True

    _parameter_constraints: ClassVar[dict] = {
        **Weighting._parameter_constraints,
        "prior": [Interval(Real, 0, 1, closed="neither"), None],
    }

    def __init__(self, head=None, *, prior=None, propensity_estimator=None, random_state=None):
        super().__init__(head, propensity_estimator=propensity_estimator, random_state=random_state)
        self.prior = prior

    def _fit(self, rows: Rows):
        from ._losses import non_negative_risk

        positive = rows.s == 1
        if not positive[rows.train].any() or positive.all():
            raise NoFeedbackError(
                f"{np.count_nonzero(positive)} of {len(positive)} rows are positive: some must "
                f"be, and some must be silent."
            )
        self.prior_ = self._estimate(rows, positive) if self.prior is None else float(self.prior)

        def risk(output, target):
            good, bad = non_negative_risk(output, target > 0, self.prior_)
            return (good + bad.clamp(min=0)).expand(len(output))

        def loss(output, target):
            good, bad = non_negative_risk(output, target > 0, self.prior_)
            return (good + bad if bad >= 0 else -bad).expand(len(output))

        return rows.train_networks(positive.astype(float), loss, validation_loss=risk)

    def _estimate(self, rows: Rows, positive) -> float:
        labelled = replace(rows, o=positive).fit_propensity(self.propensity_estimator)
        mean = np.average(labelled[positive], weights=rows.weight[positive])
        share = np.average(positive, weights=rows.weight)
        # of the unlabelled rows, not of all
        prior = (min(share / mean, 1.0) - share) / (1 - share)
        return float(np.clip(prior, 0.01, 0.99))
