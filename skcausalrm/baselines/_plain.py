"""Reward models without any correction: Plain and Naive."""

from numbers import Integral, Real
from typing import ClassVar

from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from .._utils._sklearn_compat import Interval
from .._utils._validation import check_new_rows
from ._base import BaseBaseline, ProbabilityRegressor, TrainingRows, check_rows


class Naive(BaseBaseline):
    r"""Network on the feedback of the rated rows, without any correction.

    It treats rated rows as a random sample and feedback as the truth. With
    :math:`p_i = \sigma(f(x_i))` it minimises

    .. math:: \frac{1}{|\{o_i = 1\}|} \sum_{o_i = 1} (p_i - s_i)^2.

    It assumes that feedback is left at random and without flips, which is usually false. It costs
    one network.

    Parameters
    ----------
    head : MLPHead, default=None
        Settings of the network; None is ``MLPHead()``. Do not set its `link` or
        `random_state`.
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
    "Naive" in the tables of CausalRM (arXiv 2603.18736).

    Examples
    --------
    >>> from skcausalrm.baselines import Naive
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.heads import MLPHead
    >>> data = make_observational_feedback(2000, 8, selection="none", random_state=0)
    >>> model = Naive(MLPHead((16,), learning_rate=0.01), random_state=0)
    >>> reward = model.fit(data.X, data.y, groups=data.groups).predict(data.X)
    >>> bool(0 <= reward.min() and reward.max() <= 1)
    True
    """

    def fit_heads(self, rows: TrainingRows):
        return rows.train_heads(rows.s, rows=rows.o)


class Plain(ProbabilityRegressor):
    r"""Logistic regression on the embeddings of the rated rows, the usual choice today.

    It assumes what :class:`Naive` does, and that the log odds of the reward are linear in x. It
    minimises

    .. math:: \sum_{o_i = 1} \log\bigl(1 + e^{-(2 s_i - 1)(w^\top x_i + b)}\bigr)
              + \frac{\lVert w \rVert^2}{2 C}.

    It costs seconds.

    Parameters
    ----------
    C : float, default=1.0
        Inverse of the ridge penalty.
    max_iter : int, default=1000
        Maximum number of steps of the solver.

    Attributes
    ----------
    model_ : LogisticRegression
        Fitted on the rated rows.
    n_iter_ : int
        Number of steps of the solver.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Column names, where X had them.

    Examples
    --------
    >>> from skcausalrm.baselines import Plain
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> data = make_observational_feedback(2000, 8, random_state=0)
    >>> Plain().fit(data.X, data.y).predict(data.X).shape
    (2000,)
    """

    _parameter_constraints: ClassVar[dict] = {
        "C": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, C=1.0, *, max_iter=1000):
        self.C = C
        self.max_iter = max_iter

    def fit(self, X, y, *, groups=None, sample_weight=None):
        """Fit the regression.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.
        y : array-like of shape (n,)
            Feedback: 1 positive, 0 negative, NaN where there is none.
        groups : array-like of shape (n,), default=None
            Not used, because nothing is held out; accepted for a common signature.
        sample_weight : array-like of shape (n,), default=None
            Row weights.

        Returns
        -------
        self : Plain
            The fitted regression.

        Raises
        ------
        FeedbackError
            If y holds a value other than 0, 1 and NaN, no row is rated, or all rated rows are of
            one class.
        ValueError
            If a parameter, X, y or the weights hold a value they cannot have.

        Warns
        -----
        ConvergenceWarning
            If the solver stopped at `max_iter`.
        """
        self._validate_params()
        X, feedback, weight = check_rows(self, X, y, sample_weight)
        rated = feedback.observed
        self.model_ = LogisticRegression(C=self.C, max_iter=self.max_iter)
        self.model_.fit(X[rated], feedback.values[rated], weight[rated])
        self.n_iter_ = int(self.model_.n_iter_[0])
        return self

    def predict(self, X) -> NDArray:
        """Predict the reward.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.

        Returns
        -------
        reward : ndarray of shape (n,)
            P(r = 1 given x).
        """
        X = check_new_rows(self, X)
        return self.model_.predict_proba(X)[:, 1]
