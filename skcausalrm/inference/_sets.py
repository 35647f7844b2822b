"""Which rows belong to which set, and with which weight."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import column_or_1d

from .._utils._clusters import group_codes, id_array
from .._utils._warnings import warn
from ..exceptions import DataLossWarning, FeedbackError, GroupsError, InvalidInputError

# Most sets that one call compares: more is likely an id than a system.
_MOST_SETS = 100


class Sets(NamedTuple):
    """Sets of n rows.

    Attributes
    ----------
    names : list
    codes : ndarray of int, shape (n,)
        Place of each row's set in `names`; their number in rows of no set.
    """

    names: list[Any]
    codes: NDArray[np.intp]


def check_rows(rows, n: int) -> NDArray[np.bool_]:
    """Return the mask of a set's rows.

    Raises
    ------
    InvalidInputError
        If it is not a bool for each row.
    FeedbackError
        If it holds no row.
    """
    mask = column_or_1d(np.asarray(rows))
    if mask.dtype != bool or len(mask) != n:
        raise InvalidInputError(
            f"rows holds {len(mask)} values of type {mask.dtype} for {n} rows: pass True or False "
            f"for each."
        )
    if not mask.any():
        raise FeedbackError(f"rows is False in all {n} rows: a mean needs at least one.")
    return mask


def sets_of(by, n: int) -> Sets:
    """Return the sets that a label per row names, sorted by name.

    Raises
    ------
    InvalidInputError
        If there are too few or too many.

    Warns
    -----
    DataLossWarning
        If rows have no label.
    """
    import pandas as pd

    labels = id_array(by)
    if labels.shape != (n,):
        raise InvalidInputError(
            f"by has shape {labels.shape} for {n} rows: pass the system of each row."
        )
    codes, names = pd.factorize(labels, sort=True)
    names = pd.Index(names).tolist()
    if len(names) < 2:
        raise InvalidInputError(
            f"by names {len(names)} system{'s' * (len(names) != 1)} in {n} rows, but a comparison "
            f"needs two: pass the column that tells systems apart, or use mean_reward."
        )
    if len(names) > _MOST_SETS:
        raise InvalidInputError(
            f"by names {len(names)} systems in {n} rows, more than {_MOST_SETS}: pass a column of "
            f"systems, not of ids."
        )
    if missing := int((codes < 0).sum()):
        warn(
            f"{missing} of {n} rows name no system in by, so they belong to no set.",
            DataLossWarning,
            "unnamed-systems",
        )
    return Sets(names, np.where(codes < 0, len(names), codes))


def paired_weight(sets: Sets, groups: Any, weight: NDArray) -> NDArray[np.float64]:
    """Return weights by which each group with answers of all sets counts once in each.

    Raises
    ------
    GroupsError
        If there are no groups.
    FeedbackError
        If no group has answers of all sets.
    """
    if groups is None:
        raise GroupsError("paired=True needs groups: pass the prompt of each row.")
    codes, n_sets = group_codes(groups, len(sets.codes)), len(sets.names)
    cell = codes * (n_sets + 1) + sets.codes
    total = np.bincount(cell, weight, minlength=(codes.max() + 1) * (n_sets + 1))
    full = total.reshape(-1, n_sets + 1)[:, :-1].min(axis=1) > 0
    if not full.any():
        raise FeedbackError(
            f"None of the {len(full)} groups holds answers of all {n_sets} systems, so nothing is "
            f"paired: leave paired out, or compare fewer systems."
        )
    within = sets.codes < n_sets
    each = np.divide(weight, total[cell], out=np.zeros(len(cell)), where=total[cell] > 0)
    return np.where(within, each * full[codes], weight)
