"""The density-ratio weight of TRL's BCO trainer."""

from numbers import Real
from typing import ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression

from .._utils._sklearn_compat import Interval
from ._base import BaseBaseline, TrainingRows


class BCOWeighting(BaseBaseline):
    r"""Disliked rows weighted as if their prompts were those of liked rows.

    A logistic regression on the prompt separates liked rows from disliked ones. Each disliked row
    is weighted by the odds of being liked, so that prompts with bad ratings for any answer do not
    teach that answers are bad. With q the regression's probability of a liked row it minimises

    .. math:: \frac{1}{n_1} \sum_{o_i = 1} w_i (p_i - s_i)^2, \qquad
              w_i = \begin{cases} 1 & s_i = 1 \\
              \mathrm{clamp}(q_i / (1 - q_i), l, h) & s_i = 0. \end{cases}

    It assumes that unwanted differences between liked and disliked rows come from prompts, not from
    answers, and corrects neither selection nor flips. It costs a logistic regression and a network.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of the network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    prompt_columns : slice, default=None
        Columns of X that hold the prompt; None is all of them.
    lowest_weight, highest_weight : float, default=0.5 and 10.0
        Limits of the weights; the defaults are those of TRL.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part, the initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The fitted network.
    n_clamped_ : int
        Number of disliked rows whose weight was clamped.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    Jung et al., "Binary classifier optimization for large language model alignment", ACL 2025,
    as `trl.BCOTrainer` weights it.

    Examples
    --------
    >>> from skcausalrm.baselines import BCOWeighting
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> head = MLPHead((16,), learning_rate=0.01)
    >>> model = BCOWeighting(head, prompt_columns=slice(0, 4), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseBaseline._parameter_constraints,
        "prompt_columns": [slice, None],
        "lowest_weight": [Interval(Real, 0, None, closed="neither")],
        "highest_weight": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        head=None,
        *,
        prompt_columns=None,
        lowest_weight=0.5,
        highest_weight=10.0,
        random_state=None,
    ):
        super().__init__(head, random_state=random_state)
        self.prompt_columns = prompt_columns
        self.lowest_weight = lowest_weight
        self.highest_weight = highest_weight

    def fit_heads(self, rows: TrainingRows):
        prompt = rows.X[:, self.prompt_columns or slice(None)]
        if not prompt.shape[1]:
            raise ValueError(
                f"prompt_columns={self.prompt_columns!r} selects none of the {rows.X.shape[1]} "
                f"columns of X: give the slice of the columns that hold the prompt."
            )
        model = LogisticRegression(max_iter=1000)
        model.fit(prompt[rows.o], rows.s[rows.o], rows.weight[rows.o])
        odds = np.exp(model.decision_function(prompt))
        disliked = rows.o & (rows.s == 0)
        clamped = np.clip(odds, self.lowest_weight, self.highest_weight)
        self.n_clamped_ = int(np.count_nonzero(disliked & (clamped != odds)))
        return rows.train_heads(rows.s, weight=np.where(disliked, clamped, 1.0), rows=rows.o)
