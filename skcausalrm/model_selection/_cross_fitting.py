"""Cross-fitting: rows that stay together, folds shared by all nuisances, out-of-fold values."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import has_fit_parameter

from .._utils._clusters import group_codes
from .._utils._hashing import hash_rows
from .._utils._warnings import warn
from ..exceptions import FewFeedbackWarning, GroupsError, UnusedParameterError
from ._splitters import balanced_folds, feedback_strata

# Share of the rows above which equal rows do not stay together: their fold would hold little else.
_LARGEST_SHARE = 0.05


class Folds(NamedTuple):
    """Assignment of rows to folds.

    Attributes
    ----------
    of_row : ndarray of int, shape (n,)
    n_splits : int
    groups : ndarray of int, shape (n,)
        Codes of the rows that stay together.
    """

    of_row: NDArray[np.intp]
    n_splits: int
    groups: NDArray[np.intp]


def equal_rows(X: NDArray) -> NDArray[np.intp]:
    """Return the same code for rows of X that are equal, bit for bit.

    Two float32 columns of a row identify most rows at the price of an integer sort; only rows that
    agree in those are compared in full. The codes of equal matrices of float32 and of float64 are
    the same, and so are the folds drawn from them.
    """
    if X.shape[1] <= 2:
        return _codes_of_bytes(_narrowed(X))
    ends = np.linspace(0, X.shape[1] - 1, 2).astype(int)
    with np.errstate(over="ignore"):
        codes = _codes_of_bytes(X[:, ends].astype(np.float32))
    rows = np.flatnonzero(np.bincount(codes)[codes] > 1)
    if len(rows) == 0:
        return codes
    keys = np.arange(len(X), dtype=np.uint64)
    if X.dtype == np.float32:
        keys[rows] = hash_rows(X, rows)
    else:
        keys[rows] = hash_rows(_narrowed(X[rows]), np.arange(len(rows)))
    return np.unique(keys, return_inverse=True)[1].ravel()


def _narrowed(X: NDArray) -> NDArray:
    """Return X as float32 if that loses nothing."""
    with np.errstate(over="ignore"):
        narrow = X.astype(np.float32, copy=False)
    return narrow if (narrow == X).all() else X


def _codes_of_bytes(block: NDArray) -> NDArray[np.intp]:
    block = np.ascontiguousarray(block)
    width = block.dtype.itemsize * block.shape[1]
    keys = block.view(np.uint64 if width == 8 else np.dtype((np.void, width))).ravel()
    return np.unique(keys, return_inverse=True)[1].ravel()


def check_groups(X: NDArray, groups) -> NDArray[np.intp]:
    """Return one code per row; rows with the same code must never be split.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Without groups, equal rows share a code unless they are more than a twentieth of all rows.
    groups : array-like of shape (n,) or None
        Conversation or prompt ids. They alone decide: the same answer in another conversation is
        an independent vote, and linking it would merge all conversations in which a chatbot
        repeats itself.

    Returns
    -------
    ndarray of shape (n,), int
        Codes 0, 1, ... without gaps.

    Raises
    ------
    GroupsError
        If groups hold a missing value, or are not one id per row.
    """
    if groups is not None:
        return group_codes(groups, len(X))
    codes = equal_rows(X)
    alone = np.bincount(codes)[codes] > max(1, _LARGEST_SHARE * len(X))
    if not alone.any():
        return codes
    codes[alone] = len(X) + np.arange(np.count_nonzero(alone))
    return np.unique(codes, return_inverse=True)[1].ravel()


def make_folds(X: NDArray, y: NDArray, groups, cv, random_state) -> Folds:
    """Return folds that keep groups, or without them equal rows, together and spread feedback.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
        Feedback, NaN where there is none.
    groups : array-like of shape (n,) or None
    cv : int, splitter, iterable of (train, test), or None
        An int asks for that many folds, None for 5. Test sets must partition the rows and keep
        groups together; they decide on rows with equal X.
    random_state : int, RandomState or None

    Raises
    ------
    GroupsError
        If there are too few groups, or the test sets do not cover each row once.

    Warns
    -----
    FewFeedbackWarning
        If there are fewer groups than folds, or a fold holds over twice its share of the rows.
    """
    codes = check_groups(X, groups)
    cv = 5 if cv is None else cv
    if isinstance(cv, (int, np.integer)):
        if cv < 2:
            raise GroupsError(f"cv is {cv}, but cross-fitting needs at least 2 folds.")
        rng, n_groups = check_random_state(random_state), int(codes.max()) + 1
        if 2 <= n_groups < cv:
            warn(
                f"cv={cv} folds were asked for, but the rows form {n_groups} groups, so each group "
                f"is a fold: lower cv or add conversations.",
                FewFeedbackWarning,
                "fewer-folds",
            )
            cv = n_groups
        fold = balanced_folds(feedback_strata(y), codes, int(cv), rng)
        _warn_of_large_fold(fold, codes)
        return Folds(fold, int(cv), codes)
    splits = list(cv.split(X, y, codes) if hasattr(cv, "split") else cv)
    fold, times = np.zeros(len(X), dtype=np.intp), np.zeros(len(X), dtype=np.intp)
    for k, (_, test) in enumerate(splits):
        fold[test] = k
        times[test] += 1
    if len(splits) < 2 or (times != 1).any():
        raise GroupsError(
            f"The test sets of cv hold {int((times != 1).sum())} of {len(X)} rows not exactly "
            f"once: cross-fitting needs at least two folds that partition the rows, as KFold makes."
        )
    if groups is not None:
        given = group_codes(groups, len(X))
        fold_of_group = np.zeros(int(given.max()) + 1, dtype=np.intp)
        fold_of_group[given] = fold
        if split := len(np.unique(given[fold_of_group[given] != fold])):
            raise GroupsError(
                f"cv splits {split} of {len(fold_of_group)} groups over several folds: use "
                f"GroupKFold, FeedbackStratifiedGroupKFold or an int."
            )
    return Folds(fold, len(splits), codes)


def _warn_of_large_fold(fold: NDArray[np.intp], codes: NDArray[np.intp]) -> None:
    sizes = np.bincount(fold)
    if (largest := int(sizes.max())) > 2 * len(fold) / len(sizes):
        warn(
            f"One of {len(sizes)} folds holds {largest} of {len(fold)} rows, over twice its share, "
            f"because {int(np.bincount(codes).max())} rows are one group, which a fold must not "
            f"split: pass conversations or prompts as groups.",
            FewFeedbackWarning,
            "uneven-folds",
        )


def training_rows(labels: NDArray, folds: Folds, sample_weight) -> NDArray[np.intp]:
    """Count the rows of positive weight outside each fold, of label 0 and of label 1.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        0, 1, or NaN in rows that do not count.
    folds : Folds
    sample_weight : ndarray of shape (n,) or None

    Returns
    -------
    ndarray of shape (2, n_splits)
    """
    positive = np.ones(len(labels), dtype=bool) if sample_weight is None else sample_weight > 0
    inside = np.zeros((2, folds.n_splits), dtype=np.intp)
    for label in (0, 1):
        np.add.at(inside[label], folds.of_row[(labels == label) & positive], 1)
    return inside.sum(axis=1, keepdims=True) - inside


def cross_fit(
    estimator,
    X: NDArray,
    y: NDArray,
    folds: Folds,
    *,
    rows: NDArray[np.bool_] | None = None,
    fit_params: dict[str, Any] | None = None,
    predict: Callable[[Any, NDArray], NDArray] | None = None,
    n_jobs: int | None = None,
) -> tuple[list[Any], NDArray[np.float64]]:
    """Fit a clone per fold on the `rows` of the other folds, and predict each fold by its clone.

    Parameters
    ----------
    estimator : scikit-learn estimator
        Cloned, never fitted in place.
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
        Read at `rows` only.
    folds : Folds
    rows : ndarray of bool, shape (n,), or None
        Rows that may be trained on; None: all.
    fit_params : dict or None
        Arguments of `fit`: arrays and DataFrames of n rows, cut to the training rows, and
        dictionaries, which are passed whole.
    predict : callable or None
        ``predict(fitted, X_of_fold) -> (n_fold,)``; None: the estimator's own `predict`.
    n_jobs : int or None
        Folds in parallel.

    Returns
    -------
    estimators : list of length n_splits
        Fitted clones; number k has not seen fold k.
    predictions : ndarray of shape (n,), float64
        Out-of-fold predictions.

    Raises
    ------
    UnusedParameterError
        If there are weights and the estimator does not take them.
    """
    given = fit_params or {}
    if "sample_weight" in given and not has_fit_parameter(estimator, "sample_weight"):
        raise UnusedParameterError(
            f"The rows are weighted, but {type(estimator).__name__}.fit takes no sample_weight: "
            f"use an estimator that does, or leave the weights out."
        )

    def one_fold(k):
        outside = folds.of_row != k
        train = np.flatnonzero(outside if rows is None else rows & outside)
        test = np.flatnonzero(~outside)
        kwargs = {name: _take_rows(values, train) for name, values in given.items()}
        fitted = clone(estimator).fit(X[train], y[train], **kwargs)
        values = fitted.predict(X[test]) if predict is None else predict(fitted, X[test])
        return fitted, test, values

    predictions = np.empty(len(X))
    estimators = []
    parallel = Parallel(n_jobs=n_jobs)(delayed(one_fold)(k) for k in range(folds.n_splits))
    for fitted, test, values in parallel:
        estimators.append(fitted)
        predictions[test] = values
    return estimators, predictions


def _take_rows(values: Any, rows: NDArray[np.intp]) -> Any:
    if isinstance(values, dict):
        return values
    return values.iloc[rows] if hasattr(values, "iloc") else values[rows]
