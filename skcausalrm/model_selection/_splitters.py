"""Splitters for feedback: groups stay together, unrated and rated rows are spread evenly."""

from collections.abc import Iterator
from numbers import Integral
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state, indexable

from .._utils._clusters import group_codes
from .._utils._validation import is_missing
from ..exceptions import GroupsError


def feedback_strata(y) -> NDArray[np.intp]:
    """Return 0 (no feedback), 1 (negative) or 2 (positive) per row; graded y is cut at its mean."""
    y = np.asarray(y)
    observed = ~is_missing(y)
    if y.dtype.kind not in "fiub":
        # Class names: the larger one counts as positive.
        codes = np.full(len(y), np.nan)
        codes[observed] = np.unique(np.array(y[observed].tolist()), return_inverse=True)[1].ravel()
        y = codes
    y = y.astype(np.float64)
    rated = y[observed]
    cut = 0.5 if np.isin(rated, (0, 1)).all() else float(rated.mean())
    return np.where(observed, 1 + (np.where(observed, y, 0) > cut), 0)


def balanced_folds(strata: NDArray, groups: NDArray, n_splits: int, rng) -> NDArray[np.intp]:
    """Assign each group to a fold so that every stratum is spread evenly; return folds of rows.

    Groups of equal composition are dealt out evenly at random, all at once. The remainder is
    placed one by one, largest first, where its strata are fewest. The cost is one short step per
    remaining group, not per row.
    """
    n_groups, n_strata = int(groups.max()) + 1, int(strata.max()) + 1
    if n_groups == 1:
        raise GroupsError(
            f"All {len(groups)} rows are of one group, which cannot be split into {n_splits} "
            f"folds: pass the conversation or prompt of each row as groups, or leave groups out."
        )
    if n_groups < n_splits:
        raise GroupsError(
            f"{n_groups} group(s) cannot be split into {n_splits} folds: lower cv to at most "
            f"{n_groups}, or add conversations."
        )
    counts = np.bincount(groups * n_strata + strata, minlength=n_groups * n_strata)
    counts = counts.reshape(n_groups, n_strata)
    # One integer per composition sorts many times faster than rows of counts.
    shape = tuple(counts.max(axis=0) + 1)
    composition = np.asarray(np.ravel_multi_index(tuple(counts.T), shape))
    order = rng.permutation(n_groups)
    _, kind = np.unique(composition[order], return_inverse=True)
    by_kind = np.argsort(kind, kind="stable")
    order, kind = order[by_kind], kind[by_kind]
    kind_sizes = np.bincount(kind)
    within_kind = np.arange(n_groups) - np.repeat(np.cumsum(kind_sizes) - kind_sizes, kind_sizes)
    dealt = within_kind < (kind_sizes // n_splits * n_splits)[kind]

    fold = np.empty(n_groups, dtype=np.intp)
    fold[order[dealt]] = within_kind[dealt] % n_splits
    share = counts / np.maximum(counts.sum(axis=0), 1)
    filled = np.zeros((n_splits, n_strata))
    np.add.at(filled, fold[order[dealt]], share[order[dealt]])
    rest = order[~dealt]
    for group in rest[np.argsort(-share[rest].sum(axis=1), kind="stable")]:
        load = filled @ share[group]
        lightest = np.flatnonzero(load <= load.min() + 1e-12)
        fold[group] = lightest[np.argmin(filled[lightest].sum(axis=1))]
        filled[fold[group]] += share[group]
    return fold[groups]


class FeedbackStratifiedGroupKFold(BaseCrossValidator):
    """K folds that keep groups together and spread {no feedback, 0, 1} evenly.

    scikit-learn's stratified splitters refuse NaN in y. With graded feedback the strata are: none,
    up to the mean, above the mean.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    random_state : int, RandomState or None, default=None
        Seed of the assignment; None draws a new one at each call of `split`.

    Raises
    ------
    GroupsError
        In `split`, if there are fewer groups than folds.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.model_selection import FeedbackStratifiedGroupKFold
    >>> y = np.array([1, 0, np.nan, np.nan] * 6)
    >>> cv = FeedbackStratifiedGroupKFold(n_splits=3, random_state=0)
    >>> for _, test in cv.split(np.zeros((24, 1)), y, groups=np.arange(24) // 2):
    ...     print(len(test), np.isnan(y[test]).sum(), np.nansum(y[test]))
    8 4 2.0
    8 4 2.0
    8 4 2.0
    """

    __metadata_request__split: ClassVar = {"groups": True}

    def __init__(self, n_splits=5, *, random_state=None):
        self.n_splits = n_splits
        self.random_state = random_state

    def split(self, X, y=None, groups=None) -> Iterator[tuple[NDArray, NDArray]]:
        """Yield train and test row numbers.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Only its length is used.
        y : array-like of shape (n,)
            Feedback, NaN where there is none.
        groups : array-like of shape (n,), default=None
            Conversation or prompt ids: rows that share one share a fold. None makes each row its
            own group.

        Yields
        ------
        train : ndarray of int
            Training rows.
        test : ndarray of int
            Test rows.
        """
        if y is None:
            raise ValueError("y is missing: the folds are spread over the feedback in it.")
        if not isinstance(self.n_splits, Integral) or self.n_splits < 2:
            raise ValueError(f"n_splits is {self.n_splits!r}, but must be a whole number from 2.")
        X, y, groups = indexable(X, y, groups)
        n_rows = len(y)
        codes = np.arange(n_rows) if groups is None else group_codes(groups, n_rows)
        rng = check_random_state(self.random_state)
        fold = balanced_folds(feedback_strata(y), codes, int(self.n_splits), rng)
        for k in range(self.n_splits):
            yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)

    def get_n_splits(self, X=None, y=None, groups=None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        int
            Number of folds.
        """
        return self.n_splits
