"""`make_debiased_scorer`: scikit-learn scorers that score every candidate on the same z."""

from functools import partial
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils import column_or_1d
from sklearn.utils.metadata_routing import MetadataRequest

from .._utils._sklearn_compat import BaseScorer, cached_call
from .._utils._validation import decode_labels
from ..exceptions import InvalidInputError, UnusedParameterError
from ..metrics._metric import LOSSES, RANKINGS, check_metric
from ._pseudo_outcomes import pseudo_outcomes as cross_fit_z

# Held-out sets whose z a scorer keeps in memory: enough for the folds of a study.
_MAX_HELD_OUT_SETS = 64


def make_debiased_scorer(metric="r2", *, pseudo_outcomes=None):
    """Make a scorer for `GridSearchCV` and its like that is right on feedback logs.

    A plain scorer compares predictions with the feedback of the rated rows, flips included. This
    one estimates the score on clean labels of all rows, from pseudo-outcomes z that are the same
    for every candidate: candidates scored by their own nuisances would have different targets.

    Parameters
    ----------
    metric : {"r2", "mse", "log_loss", "brier", "roc_auc", "within_roc_auc", "accuracy"} or list
        Default: "r2".
        Greater is better: losses ("mse", "log_loss", "brier") are negated. A list of names makes
        a scorer for each; they share the z that they cross-fit.
    pseudo_outcomes : Series of shape (n,) or None, default=None
        Source of z:

        - a Series, made by `pseudo_outcomes` for the whole study, whose index contains that of y,
          itself a Series: z is looked up by label. For use without metadata routing.
        - None, and score metadata named ``pseudo_outcomes``: with metadata routing,
          ``search.fit(X, y, pseudo_outcomes=z)``. The scorer requests it.
        - None, and no metadata: z is cross-fitted within the held-out rows, once per fold for all
          candidates (see Notes). X must be numeric, and the held-out rows must be enough to fit
          nuisances on.

    Returns
    -------
    callable or dict
        ``scorer(estimator, X, y, *, pseudo_outcomes=None, groups=None, sample_weight=None)``
        returns a float. y may be NaN where a row has no feedback; a classifier's y may hold any
        two labels. Scorers can be pickled and have
        ``set_score_request``. ``pseudo_outcomes`` and ``groups`` are requested already;
        ``groups`` keeps rows together when z is cross-fitted and names the prompts of
        "within_roc_auc", so that score needs metadata routing. For a list: a dict of scorers by
        metric, to pass as ``scoring=``.

    Raises
    ------
    ValueError
        If `metric` is unknown.
    InvalidInputError
        If the Series has a repeated label or a value that is not finite; when scoring, if z
        cannot be matched to the rows. Within a search scikit-learn turns the latter into NaN
        scores and a warning, unless ``error_score="raise"``.

    Notes
    -----
    A classifier is scored by P(class 1), a regressor by `predict`, and for "roc_auc" and
    "within_roc_auc" either by `decision_function` if there is one.

    Cross-fitting draws its folds with a fixed seed, so z is the same wherever it is computed. The
    scorer keeps it in memory. Copies (`sklearn.base.clone`, pickles) start without it, and a
    search with ``n_jobs`` sends a copy with each batch of tasks to its worker processes, so z is
    cross-fitted again for each batch. Compute z once and pass it where that takes too long.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.linear_model import Ridge
    >>> from skcausalrm.metrics import make_debiased_scorer
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 3))
    >>> z = pd.Series(0.5 + 0.2 * X[:, 0] + rng.normal(size=500))  # as from pseudo_outcomes
    >>> y = pd.Series(np.where(rng.random(500) < 0.2, 1.0, np.nan))
    >>> scorer = make_debiased_scorer("mse", pseudo_outcomes=z)
    >>> bool(scorer(Ridge().fit(X, z), X, y) > scorer(Ridge().fit(X, -z), X, y))
    True
    >>> sorted(make_debiased_scorer(["r2", "roc_auc"], pseudo_outcomes=z))
    ['r2', 'roc_auc']
    """
    series = None if pseudo_outcomes is None else _check_series(pseudo_outcomes)
    held_out = _HeldOutZ()
    if isinstance(metric, (list, tuple)):
        return {name: _DebiasedScorer(name, series, held_out) for name in metric}
    return _DebiasedScorer(metric, series, held_out)


class _HeldOutZ(dict[str, NDArray[np.float64]]):
    """Cross-fitted z of held-out rows, kept by the content of the rows.

    The scorers of one call of `make_debiased_scorer` share one, also after they are copied or
    pickled together. A copy starts empty.
    """

    def __reduce__(self):
        return _HeldOutZ, ()

    def find(self, X, y, groups, sample_weight) -> NDArray[np.float64]:
        """Return z of the rows, shape (n,); cross-fit it at the first call only."""
        X = _as_numeric(X)
        y = column_or_1d(y)
        key = joblib.hash((X, y, groups, sample_weight))
        z = self.get(key)
        if z is None:
            z = cross_fit_z(X, y, groups=groups, sample_weight=sample_weight, random_state=0)
            if len(self) >= _MAX_HELD_OUT_SETS:
                self.clear()
            self[key] = z
        return z


class _DebiasedScorer(BaseScorer):
    """Scorer that `make_debiased_scorer` returns.

    scikit-learn's base class has the metadata requests, and lets several metrics of one search
    share a prediction.
    """

    def __init__(self, metric, series, held_out: _HeldOutZ):
        function, sign = check_metric(metric), -1 if metric in LOSSES else 1
        first = ("decision_function",) if metric in RANKINGS else ()
        super().__init__(function, sign, {}, (*first, "predict_proba", "predict"))
        self._metric = metric
        self._series = series
        self._held_out = held_out
        self._metadata_request = MetadataRequest(owner=repr(self))
        for name, alias in (("pseudo_outcomes", True), ("groups", True), ("sample_weight", None)):
            self._metadata_request.score.add_request(param=name, alias=alias)

    def __repr__(self):
        series = "" if self._series is None else ", pseudo_outcomes=<Series>"
        return f"make_debiased_scorer({self._metric!r}{series})"

    def __call__(self, estimator, X, y, **metadata) -> float:
        return self._score(partial(cached_call, None), estimator, X, y, **metadata)

    def _score(
        self,
        method_caller,
        estimator,
        X,
        y,
        *,
        pseudo_outcomes=None,
        groups=None,
        sample_weight=None,
    ) -> float:
        classes = getattr(estimator, "classes_", None) if is_classifier(estimator) else None
        z = self._find_z(X, y, pseudo_outcomes, groups, sample_weight, classes)
        prediction = self._predict(method_caller, estimator, X, classes)
        columns = {"sample_weight": sample_weight, "groups": groups}
        return self._sign * self._score_func(z, prediction, **columns)

    def _predict(self, method_caller, estimator, X, classes):
        if is_classifier(estimator):
            method = next(name for name in self._response_method if hasattr(estimator, name))
            prediction = method_caller(estimator, method, X)
            named = method == "predict" and classes is not None
            return decode_labels(prediction, classes) if named else prediction
        if "decision_function" in self._response_method and hasattr(estimator, "decision_function"):
            # Before 1.7, scikit-learn's caller refuses all but `predict` of a regressor.
            return estimator.decision_function(X)
        return method_caller(estimator, "predict", X)

    def _find_z(self, X, y, given, groups, sample_weight, classes):
        if self._series is not None:
            if given is not None:
                raise UnusedParameterError(
                    "pseudo_outcomes were given both as score metadata and to "
                    "make_debiased_scorer: give them once."
                )
            return _look_up(self._series, y)
        if given is None:
            y = y if classes is None else decode_labels(y, classes)
            return self._held_out.find(X, y, groups, sample_weight)
        if hasattr(given, "index") and hasattr(y, "index") and not given.index.equals(y.index):
            raise InvalidInputError(
                "pseudo_outcomes and y are Series with different labels: metadata is matched by "
                "position, so bring both into one order (z.loc[y.index])."
            )
        return given

    def set_score_request(self, **kwargs):
        """Request score metadata; a name that is not given keeps its request."""
        before = self._metadata_request.score.requests
        super().set_score_request(**kwargs)
        for name, alias in before.items():
            if name not in kwargs:
                self._metadata_request.score.add_request(param=name, alias=alias)
        return self


def _check_series(series) -> Any:
    import pandas as pd

    if not isinstance(series, pd.Series):
        raise InvalidInputError(
            f"pseudo_outcomes is a {type(series).__name__}, but must be a pandas Series with the "
            f"index of y, because splits are matched by label."
        )
    _check_unique(series, "pseudo_outcomes")
    if bad := int(np.count_nonzero(~np.isfinite(series.to_numpy(dtype=np.float64)))):
        raise InvalidInputError(
            f"pseudo_outcomes is NaN or infinite in {bad} of {len(series)} rows: z has a value in "
            f"every row, rated or not."
        )
    return series


def _check_unique(series, name: str) -> None:
    if repeated := int(series.index.duplicated().sum()):
        raise InvalidInputError(
            f"The index of {name} repeats {repeated} of {len(series)} labels: give every row its "
            f"own (reset_index on X, y and z together)."
        )


def _look_up(series, y) -> NDArray[np.float64]:
    import pandas as pd

    if not isinstance(y, pd.Series):
        raise InvalidInputError(
            f"y is a {type(y).__name__}, but must be a pandas Series, so that its index says which "
            f"pseudo_outcomes belong to the held-out rows."
        )
    _check_unique(y, "y")
    rows = series.index.get_indexer(y.index)
    if missing := int(np.count_nonzero(rows < 0)):
        first = y.index[int(np.argmax(rows < 0))]
        raise InvalidInputError(
            f"{missing} of {len(y)} labels of y (the first is {first!r}) are not in the index of "
            f"pseudo_outcomes: make z for all rows of the study, and keep the index."
        )
    return series.to_numpy(dtype=np.float64)[rows]


def _as_numeric(X) -> NDArray:
    try:
        values = np.asarray(X)
    except ValueError:  # conversations of different lengths
        values = np.empty(0, object)
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise InvalidInputError(
            "X is not a numeric matrix (text rows?), so pseudo-outcomes cannot be cross-fitted on "
            "the held-out rows: make them once from embeddings with "
            "skcausalrm.metrics.pseudo_outcomes and pass them as pseudo_outcomes=."
        )
    return values
