"""Checked columns of a debiased score: pseudo-outcome, prediction, weight and clusters."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d

from .._utils._clusters import cluster_codes, clustered_variance, clusters_at
from .._utils._validation import check_weights
from ..exceptions import GroupsError, InvalidInputError

Array = NDArray[np.float64]


class Sample(NamedTuple):
    """Checked columns without the rows of weight 0.

    Attributes
    ----------
    z : ndarray of shape (n,) or (n, m)
        Pseudo-outcomes, or m equally likely draws of them.
    prediction : ndarray of shape (n,)
    weight : ndarray of shape (n,), or float
        Weights with sum 1; a float if all are equal.
    groups : ndarray of int, shape (n,), or None
    users : ndarray of int, shape (n,), or None
    eps : float
        Machine epsilon of the predictions as they were given.
    """

    z: Array
    prediction: Array
    weight: Array | float
    groups: NDArray | None
    users: NDArray | None
    eps: float = float(np.finfo(np.float64).eps)

    @property
    def mean_z(self) -> Array:
        """Mean of the draws of z, shape (n,)."""
        return self.z if self.z.ndim == 1 else self.z.mean(axis=1)

    def mean(self, values: Array) -> float:
        """Return the weighted mean of values of shape (n,)."""
        return float(values.mean() if isinstance(self.weight, float) else values @ self.weight)

    def standard_error(self, influence: Array) -> float:
        """Return the standard error of a score whose error is the sum of `influence`, (n,).

        A second column is the influence to sum by user, where users share more than that.
        """
        clusters, settings = (self.groups, self.users), {}
        if influence.ndim == 2:
            influence, by_user = influence.T
            settings["user_scores"] = by_user[:, None]
        return clustered_variance(influence, clusters, finite_sample=True, **settings) ** 0.5


def finite_column(column: ArrayLike, name: str, cure: str) -> Array:
    """Return a column as float64, (n,); raise `InvalidInputError` if it is empty or not finite."""
    return _finite(np.asarray(column_or_1d(column), dtype=np.float64), name, cure)


def _finite(values: Array, name: str, cure: str) -> Array:
    if values.size == 0:
        raise InvalidInputError(f"{name} has no rows: a score needs at least one.")
    if bad := int(np.count_nonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))):
        raise InvalidInputError(
            f"{name} is NaN or infinite in {bad} of {len(values)} rows: {cure}."
        )
    return values


def check_outcomes(z) -> Array:
    """Return pseudo-outcomes, (n,), or draws of them, (n, m), as float64.

    Raises
    ------
    InvalidInputError
        If a value is not finite.
    """
    cure = "pass one pseudo-outcome per row, as pseudo_outcomes makes, not raw feedback"
    draws = np.asarray(z)
    if draws.ndim != 2:
        return finite_column(z, "z", cure)
    return _finite(draws.astype(np.float64, copy=False), "z", cure)


def check_sample(
    z,
    prediction,
    groups,
    users,
    sample_weight,
    coded: bool,
    *,
    probabilities: str = "",
    within: bool = False,
) -> Sample:
    """Check the columns that every debiased score takes.

    Parameters
    ----------
    z : array-like of shape (n,) or (n, m)
    prediction, groups, users, sample_weight : array-like of shape (n,)
    coded : bool
        Whether clusters are read: for an error, and for a score within groups.
    probabilities : str, default=""
        Name of a score that takes predictions in [0, 1] only.
    within : bool, default=False
        Whether groups must be given.

    Raises
    ------
    InvalidInputError
        If a value is not finite, the lengths differ, or a prediction is no probability.
    GroupsError
        If groups or users are not one id per row, or groups are needed and not given.
    """
    if within and groups is None:
        raise GroupsError(
            "An AUROC within groups compares answers to one prompt: pass the prompt of each row "
            "as groups."
        )
    z = check_outcomes(z)
    dtype = np.asarray(prediction).dtype
    eps = float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps)
    prediction = finite_column(prediction, "prediction", "every row needs one")
    if len(z) != len(prediction):
        raise InvalidInputError(
            f"z has {len(z)} rows and prediction has {len(prediction)}: pass the pseudo-outcomes "
            f"of the predicted rows."
        )
    clusters = cluster_codes(groups, users, len(z)) if coded else (None, None)
    weight = check_weights(sample_weight, z)
    if weight is not None and not weight.all():
        kept = weight > 0
        z, prediction, weight = z[kept], prediction[kept], weight[kept]
        clusters = clusters_at(clusters, kept)
    outside = int(np.count_nonzero((prediction < 0) | (prediction > 1)))
    if probabilities and outside:
        raise InvalidInputError(
            f"prediction lies outside [0, 1] in {outside} of {len(prediction)} rows, but the "
            f"{probabilities} is defined for probabilities only: clip them, or use mse or r2."
        )
    share = 1 / len(z) if weight is None else weight / weight.sum()
    return Sample(z, prediction, share, *clusters, eps)
