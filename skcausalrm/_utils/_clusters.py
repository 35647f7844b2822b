"""Codes of conversations and users, and the clustered covariance of rows that share one."""

import numpy as np
from numpy.typing import NDArray

from ..exceptions import GroupsError

# Codes of conversations and of users, each of shape (n,) or None.
Clusters = tuple[NDArray[np.intp] | None, NDArray[np.intp] | None]


def group_codes(groups, n_rows: int) -> NDArray[np.intp]:
    """Return codes 0, 1, ... of group ids in the order of their first rows, shape (n_rows,).

    Raises
    ------
    GroupsError
        If `groups` has another shape, or an id is missing.
    """
    codes = _factorize(groups, n_rows, "groups", "; user ids go to users=")
    if missing := int(np.count_nonzero(codes < 0)):
        raise GroupsError(
            f"groups is missing in {missing} of {n_rows} rows: give such rows an id of their own."
        )
    return codes


def user_codes(users, n_rows: int) -> NDArray[np.intp]:
    """Return codes of user ids, shape (n_rows,); a row without an id is a user of its own.

    Raises
    ------
    GroupsError
        If `users` has another shape.
    """
    codes = _factorize(users, n_rows, "users")
    missing = codes < 0
    codes[missing] = codes.max(initial=-1) + 1 + np.arange(np.count_nonzero(missing))
    return codes


def cluster_codes(groups, users, n_rows: int) -> Clusters:
    """Return codes of groups and of users, None where they are not given."""
    return (
        None if groups is None else group_codes(groups, n_rows),
        None if users is None else user_codes(users, n_rows),
    )


def clusters_at(clusters: Clusters, rows: NDArray) -> Clusters:
    """Return the codes of some rows."""
    groups, users = clusters
    return None if groups is None else groups[rows], None if users is None else users[rows]


def id_array(ids):
    """Return ids as an array or Series; a list keeps its None and NaN among strings."""
    return ids if hasattr(ids, "dtype") else np.array(ids, dtype=object)


def _factorize(ids, n_rows: int, name: str, more: str = "") -> NDArray[np.intp]:
    import pandas as pd

    ids = id_array(ids)
    if ids.shape != (n_rows,):
        raise GroupsError(
            f"{name} has shape {ids.shape} for {n_rows} rows: {name} must be one id per row{more}."
        )
    return pd.factorize(ids)[0]


def clustered_covariance(
    scores: NDArray,
    groups: NDArray[np.intp] | None,
    users=None,
    *,
    finite_sample: bool = False,
    user_scores: NDArray | None = None,
) -> NDArray[np.float64]:
    """Return the covariance of the sum of the rows' scores, clustered one way or two ways.

    Parameters
    ----------
    scores : ndarray of shape (n, k)
        Contribution of each row to an estimate's error.
    groups : ndarray of int, shape (n,), or None
        Codes of the first clusters; None: every row is its own.
    users : array-like of shape (n,) or None, default=None
        Ids of the second clusters; missing ids are clusters of their own.
    finite_sample : bool, default=False
        Multiply each term by G / (G - 1) for its G clusters.
    user_scores : ndarray of shape (n, k) or None, default=None
        What rows share with others of their user, if it is not their `scores`: of an error of
        pairs within groups, a row's users share all, but half of it is the row's.

    Returns
    -------
    ndarray of shape (k, k)

    Raises
    ------
    GroupsError
        If `finite_sample` and all rows are in one cluster.

    Notes
    -----
    Two-way clustering is ``V_groups + V_users - V_both``, `both` being the pairs that occur
    (Cameron, Gelbach and Miller, 2011). On few clusters it may not be positive semidefinite: its
    negative eigenvalues become 0, as they propose, and where that leaves no variance the larger
    one-way covariance by its trace stands in.
    """
    n = len(scores)
    groups = np.arange(n) if groups is None else groups
    one_way = _covariance(scores, groups, finite_sample)
    if users is None:
        return one_way
    codes = user_codes(users, n)
    if codes.max() == 0 and not finite_sample:
        return one_way  # one user alone says nothing about the spread between users
    both = np.unique(groups * (codes.max() + 1) + codes, return_inverse=True)[1].ravel()
    shared = scores if user_scores is None else user_scores
    by_user = _covariance(shared, codes, finite_sample)
    two_way = one_way + by_user - _covariance(shared, both, finite_sample)
    values, vectors = np.linalg.eigh(two_way)
    if values[0] < 0:
        two_way = (vectors * np.maximum(values, 0)) @ vectors.T
    if (np.diag(two_way) <= 0).any():
        return max(one_way, by_user, key=np.trace)
    return two_way


def clustered_variance(influence: NDArray, clusters: Clusters, **settings) -> float:
    """Return the variance of the sum of the rows' influence, (n,); see `clustered_covariance`."""
    return float(clustered_covariance(influence[:, None], *clusters, **settings)[0, 0])


def _covariance(scores, codes, finite_sample: bool) -> NDArray[np.float64]:
    codes = np.unique(codes, return_inverse=True)[1].ravel()
    size = int(codes.max()) + 1
    if finite_sample and size < 2:
        raise GroupsError(
            f"All {len(scores)} rows are of one group or user, but a standard error needs at least "
            f"two: leave the column out if rows are independent."
        )
    sums = np.array([np.bincount(codes, column) for column in scores.T])
    return sums @ sums.T * (size / (size - 1) if finite_sample else 1.0)
