"""CleanLearning: an adapter over the cleanlab package."""

import numpy as np
from sklearn.base import clone

from .._utils._extras import import_extra
from ..model_selection._cross_fitting import cross_fit, make_folds
from ._base import BaseBaseline, TrainingRows

_N_FOLDS = 5


class CleanLearning(BaseBaseline):
    r"""Confident learning: rows whose label contradicts an out-of-fold prediction are left out.

    For each pair of classes, rows are counted that are labelled j and confidently of class k: their
    out-of-fold prediction :math:`\hat p_i` is above the threshold :math:`t_k`, its mean over the
    rows labelled k. From the counts cleanlab estimates the number of wrong labels and drops the
    least likely ones. Over the remaining rows K, weighted for the dropped rows of their class, the
    network then minimises

    .. math:: \sum_{i \in K} \omega_{s_i} (p_i - s_i)^2.

    It assumes flips that depend on the class alone, and no selection. It costs six networks on the
    rated rows. The search for wrong labels is cleanlab's own: see its documentation.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of each network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
    random_state : int, RandomState instance or None, default=None
        Draws folds, held-out parts, initial weights and the order of the rows.

    Attributes
    ----------
    heads_ : list of MLPHead
        The fitted network.
    n_issues_ : int
        Number of rows that were left out.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    References
    ----------
    Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels",
    JAIR 2021.

    Examples
    --------
    >>> from skcausalrm.baselines import CleanLearning
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> model = CleanLearning(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> model.fit(data.X, data.y, groups=data.groups).predict(data.X).shape
    (2000,)
    """

    def fit_heads(self, rows: TrainingRows):
        package = import_extra(
            "cleanlab.classification", extra="baselines", purpose="CleanLearning"
        )
        labels = rows.s[rows.o].astype(int)
        y = np.where(rows.o, rows.s, np.nan)
        head = clone(rows.head).set_params(random_state=rows.rng.randint(2**31 - 1))
        _, p = cross_fit(
            head,
            rows.X,
            rows.s,
            make_folds(rows.X, y, rows.groups, _N_FOLDS, rows.rng),
            rows=rows.o & (rows.weight > 0),
            fit_params={"sample_weight": rows.weight, "groups": rows.groups},
        )
        p = p[rows.o]
        # one process: the search takes milliseconds, and torch has run in this one
        learner = package.CleanLearning(find_label_issues_kwargs={"n_jobs": 1})
        issues = learner.find_label_issues(labels=labels, pred_probs=np.column_stack([1 - p, p]))
        kept = rows.o.copy()
        kept[rows.o] = ~issues["is_label_issue"].to_numpy()
        self.n_issues_ = int(issues["is_label_issue"].sum())
        weight = np.zeros(len(rows.s))
        weight[rows.o] = 1 / np.diag(learner.noise_matrix)[labels]
        return rows.train_heads(rows.s, weight=weight, rows=kept)
