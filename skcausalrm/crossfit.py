"""Cross-fitting: which rows may not be split, folds shared by all nuisances, out-of-fold values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.base import clone
from sklearn.utils import check_consistent_length, check_random_state

from ._warn import warn
from .exceptions import FewerFoldsWarning, GroupsError
from .model_selection import balanced_folds, feedback_strata

__all__ = ["Folds", "check_groups", "cross_fit", "make_folds"]


class Folds(NamedTuple):
    """The fold of each row, the number of folds, and what was kept together."""

    of_row: NDArray[np.intp]
    n_splits: int
    groups: NDArray[np.intp]


def _equal_rows(X: NDArray) -> NDArray[np.intp]:
    """Return the same code for rows of X that are equal, bit for bit.

    Eight bytes settle most rows at the price of an integer sort; only rows that agree in those
    are compared in full.
    """
    few = max(1, 8 // X.dtype.itemsize)
    if X.shape[1] <= few:
        return _codes_of_bytes(X)
    codes = _codes_of_bytes(X[:, np.linspace(0, X.shape[1] - 1, few).astype(int)])
    rows = np.flatnonzero(np.bincount(codes)[codes] > 1)
    if len(rows) == 0:
        return codes
    codes = np.arange(len(X))
    codes[rows] = len(X) + _codes_of_bytes(X[rows])
    return np.unique(codes, return_inverse=True)[1].ravel()


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
        Rows that are equal always share a code.
    groups : None, array-like of shape (n,) or (n, 2)
        Prompt ids, or prompt and user ids: then rows connected through either share a code.

    Returns
    -------
    ndarray of shape (n,), int
        Codes 0, 1, ... without gaps.

    Raises
    ------
    GroupsError
        If prompts and users together connect over half the rows, or groups hold a missing value.
    """
    links = [_equal_rows(X)]
    if groups is not None:
        groups = np.asarray(groups)
        check_consistent_length(X, groups)
        columns = groups.reshape(len(groups), -1).T
        if len(columns) > 2:
            raise GroupsError(
                f"groups has {len(columns)} columns: give prompt ids (n,) or prompt and user ids "
                f"(n, 2)."
            )
        for column in columns:
            missing = column != column
            if column.dtype.kind == "O":
                missing = missing | (column == None)  # noqa: E711
            if missing.any():
                raise GroupsError(
                    f"groups is missing in {int(missing.sum())} of {len(column)} rows: give such "
                    f"rows an id of their own."
                )
            if column.dtype.kind == "O":
                column = column.astype(str)
            links.append(np.unique(column, return_inverse=True)[1].ravel())
    codes = links[0]
    for link in links[1:]:
        # Bipartite graph of old and new codes: one edge per row.
        size = int(codes.max()) + 1
        total = size + int(link.max()) + 1
        edges = coo_array((np.ones(len(codes), np.int8), (codes, size + link)), (total, total))
        codes = np.unique(
            connected_components(edges, directed=False)[1][codes], return_inverse=True
        )[1].ravel()
    if groups is not None and groups.ndim == 2 and groups.shape[1] == 2:
        sizes = np.bincount(codes)
        largest = int(sizes.argmax())
        if sizes[largest] > len(codes) / 2:
            first = groups[np.flatnonzero(codes == largest)[0]]
            raise GroupsError(
                f"Prompts and users connect {sizes[largest]} of {len(codes)} rows into one group "
                f"(the one of prompt {first[0]!r} and user {first[1]!r}), which cannot be split: "
                f"give prompt ids alone."
            )
    return codes


def make_folds(X: NDArray, y: NDArray, groups, cv, random_state) -> Folds:
    """Return folds that keep groups and equal rows together and spread feedback evenly.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
        Feedback, NaN where there is none.
    groups : None or array-like of shape (n,) or (n, 2)
    cv : int, splitter, or iterable of (train, test)
        An int asks for that many folds. Test sets must be a partition of the rows.
    random_state : int, RandomState or None

    Raises
    ------
    GroupsError
        If there are too few groups, or the test sets do not cover each row once.
    """
    codes = check_groups(X, groups)
    if isinstance(cv, (int, np.integer)):
        if cv < 2:
            raise GroupsError(f"cv is {cv}, but cross-fitting needs at least 2 folds.")
        rng, n_groups = check_random_state(random_state), int(codes.max()) + 1
        if 2 <= n_groups < cv:
            warn(
                f"cv={cv} folds were asked for, but the rows form {n_groups} groups (rows of one "
                f"prompt, and rows with equal X, count as one): each group is a fold.",
                FewerFoldsWarning,
            )
            cv = n_groups
        return Folds(balanced_folds(feedback_strata(y), codes, int(cv), rng), int(cv), codes)
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
    return Folds(fold, len(splits), codes)


def cross_fit(
    estimator,
    X: NDArray,
    y: NDArray,
    folds: Folds,
    *,
    rows: NDArray[np.bool_],
    fit_params: dict[str, NDArray] | None = None,
    predict: Callable[[Any, NDArray], NDArray],
    n_jobs: int | None = None,
) -> tuple[list[Any], NDArray[np.float64]]:
    """Fit a clone per fold on the other folds' `rows`; predict every row by the one without it.

    Parameters
    ----------
    estimator : scikit-learn estimator
        Cloned, never fitted in place.
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
        Read at `rows` only.
    folds : Folds
    rows : ndarray of bool, shape (n,)
        Rows that may be trained on.
    fit_params : dict of ndarray of shape (n,) or None
        Per-row arguments of `fit`, cut to the training rows.
    predict : callable
        ``predict(fitted, X_of_fold) -> (n_fold,)``.
    n_jobs : int or None
        Folds in parallel.

    Returns
    -------
    estimators : list of length n_splits
    predictions : ndarray of shape (n,), float64
    """

    def one_fold(k):
        train = np.flatnonzero(rows & (folds.of_row != k))
        test = np.flatnonzero(folds.of_row == k)
        kwargs = {name: values[train] for name, values in (fit_params or {}).items()}
        fitted = clone(estimator).fit(X[train], y[train], **kwargs)
        return fitted, test, predict(fitted, X[test])

    predictions = np.empty(len(X))
    estimators = []
    parallel = Parallel(n_jobs=n_jobs)(delayed(one_fold)(k) for k in range(folds.n_splits))
    for fitted, test, values in parallel:
        estimators.append(fitted)
        predictions[test] = values
    return estimators, predictions
