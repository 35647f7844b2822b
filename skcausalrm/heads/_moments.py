"""Second moments of X by fold: the sufficient statistics of least squares and its tuning.

One pass over X gives a Gram matrix per fold. The training part of a fold is the total minus that
fold, so cross-validation over any number of penalties never reads X again.
"""

from collections.abc import Callable, Iterator
from copy import copy
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas
from sklearn.utils import gen_batches

from ._linear_systems import EIGEN_WIDTH, EigenSystem, KrylovSystem
from ._prior_covariance import Basis, Spectrum

# Largest number of rows of a block, and of bytes: glibc gives larger arrays back to the system, and
# fetching their pages again cost more than filling them.
_BLOCK_ROWS, _BLOCK_BYTES = 4096, 1 << 24
# Rows on which the centre is chosen.
_PROBE_ROWS = 1024


def row_blocks(X: NDArray, rows: NDArray[np.intp] | None) -> Iterator[tuple[NDArray, slice]]:
    """Yield blocks of ``X[rows]`` and their places, through one buffer; all rows: views of X."""
    n_rows = len(X) if rows is None else len(rows)
    size = min(max(1, _BLOCK_BYTES // (X.shape[1] * X.dtype.itemsize)), _BLOCK_ROWS, n_rows)
    buffer = np.empty((0 if rows is None else size, X.shape[1]), dtype=X.dtype)
    for place in gen_batches(n_rows, size) if n_rows else ():  # a fold may be empty
        if rows is None:
            yield X[place], place
        else:
            block = buffer[: place.stop - place.start]
            yield np.take(X, rows[place], axis=0, out=block, mode="clip"), place


def linear_scores(X: NDArray, coef: NDArray, rows: NDArray[np.intp] | None = None) -> NDArray:
    """Return ``X[rows] @ coef`` in float64, multiplied in the dtype of X."""
    coef = coef.astype(X.dtype)
    n_rows = len(X) if rows is None else len(rows)
    scores = np.empty((n_rows, *coef.shape[1:]))
    for block, place in row_blocks(X, rows):
        scores[place] = block @ coef
    return scores


def cross_products(X: NDArray, values: NDArray, rows: NDArray[np.intp] | None = None) -> NDArray:
    """Return ``X[rows].T @ values`` in float64, summed in float64 over blocks of rows."""
    total = np.zeros((X.shape[1], *values.shape[1:]))
    values = values.astype(X.dtype)
    for block, place in row_blocks(X, rows):
        total += block.T @ values[place]
    return total


def _choose_center(probe: NDArray) -> NDArray:
    """Return the mean of `probe` if columns lie far from 0 in units of their spread, else zeros.

    Any shift near the mean keeps float32 sums exact enough; the rest of the mean is corrected
    exactly.
    """
    mean, spread = probe.mean(axis=0), probe.std(axis=0)
    return mean if (np.abs(mean) > 3 * spread).any() else np.zeros_like(mean)


class TargetMoments(NamedTuple):
    """Sufficient statistics of a target, by fold.

    Attributes
    ----------
    cross : ndarray of shape (n_splits, d)
        Weighted sums of ``(x - center) t``.
    sums, squares : ndarray of shape (n_splits,)
        Weighted sums of t and of t squared.
    """

    cross: NDArray[np.float64]
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]


class FoldMoments:
    """Weighted Gram matrices of the rows of X by fold, about a common centre.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64
        Embeddings; not copied, but gathered block by block.
    fold : ndarray of shape (n,)
        Fold of each row, 0 .. n_splits - 1.
    n_splits : int
        Number of folds.
    weight : ndarray of shape (n,), default=None
        Row weights. Rows of weight 0 do not count; None counts each row once.
    center : ndarray of shape (d,), default=None
        None: chosen.

    Attributes
    ----------
    rows : ndarray of int or None
        Rows of positive weight; None if these are all rows.
    fold, weight : ndarray of shape (len(rows),)
        Fold and weight of these rows.
    row_weight : ndarray of shape (n,)
        Weight of every row of X.
    center : ndarray of shape (d,)
        Moments are those of ``X - center``: zeros, or near the mean where that is far from 0.
    weight_sums : ndarray of shape (n_splits,)
        Total weight of each fold.
    sums : ndarray of shape (n_splits, d)
        Weighted sums of the centred rows.
    grams : list of ndarray of shape (d, d)
        Weighted Gram matrices in the dtype of X; only the lower triangle is filled.
    """

    def __init__(self, X, fold, n_splits, weight=None, *, center=None):
        self.X, self.n_splits = X, n_splits
        weight = np.ones(len(X)) if weight is None else weight
        d = X.shape[1]
        if center is None:
            probe = np.flatnonzero(weight)[:_PROBE_ROWS]
            center = _choose_center(X[probe])
        self.center = center
        self.sums = np.zeros((n_splits, d))
        self.grams = [np.zeros((d, d), dtype=X.dtype, order="F") for _ in range(n_splits)]
        # Room for sums of them, which copies share: fresh memory costs more than to fill it.
        self._buffer = np.empty_like(self.grams[0])
        self._fold_of_row, self.row_weight = fold, np.zeros(len(X))
        self._systems: dict[int | None, EigenSystem] = {}
        self.reweigh(weight)

    def reweigh(self, weight: NDArray) -> None:
        """Turn these moments into those by other row weights, in place.

        Only rows whose weight changes are read. A wide Gram matrix costs more than all else in a
        fit, and few weights differ between its regressions.

        Parameters
        ----------
        weight : ndarray of shape (n,)
        """
        change = weight - self.row_weight
        if np.count_nonzero(change) > np.count_nonzero(weight):
            change = weight
            self.sums[:] = 0
            for gram in self.grams:
                gram[:] = 0
        for sign in (1, -1):
            self._add_rows(np.maximum(sign * change, 0), sign)
        rows = np.flatnonzero(weight)
        self.rows = None if len(rows) == len(weight) else rows
        self.weight, self.fold = weight[rows], self._fold_of_row[rows]
        self.weight_sums = np.bincount(self.fold, self.weight, minlength=self.n_splits)
        self.row_weight, self._systems = weight, {}

    def _add_rows(self, weight: NDArray, sign: int) -> None:
        rows = np.flatnonzero(weight)
        rows = rows[np.argsort(self._fold_of_row[rows], kind="stable")]
        bounds = np.searchsorted(self._fold_of_row[rows], np.arange(self.n_splits + 1))
        shifted, uniform = self.center.any(), (weight[rows] == 1).all()
        syrk, dtype = blas.get_blas_funcs("syrk", dtype=self.X.dtype), self.X.dtype
        for k, (first, last) in enumerate(pairwise(bounds)):
            for block, place in row_blocks(self.X, members := rows[first:last]):
                if shifted:
                    block -= self.center
                if uniform:
                    self.sums[k] += sign * (np.ones(len(block), dtype) @ block)
                else:
                    root = np.sqrt(weight[members[place]]).astype(dtype)
                    np.multiply(block, root[:, None], out=block)
                    self.sums[k] += sign * (root @ block)
                self.grams[k] = syrk(
                    sign, block.T, beta=1.0, c=self.grams[k], lower=1, overwrite_c=1
                )

    def copy(self) -> "FoldMoments":
        """Return a copy that can be reweighed on its own; use the systems of one at a time."""
        other = copy(self)
        other.sums, other.grams = self.sums.copy(), [gram.copy(order="F") for gram in self.grams]
        other._systems = {}
        return other

    @property
    def total(self) -> NDArray:
        """Sum of the Gram matrices, shape (d, d), in an array that the next sum overwrites."""
        np.copyto(self._buffer, self.grams[0])
        for gram in self.grams[1:]:
            self._buffer += gram
        return self._buffer

    @property
    def typical_variance(self) -> float:
        """Median over columns of the weighted variance: the unit of the penalty.

        A median, because a few columns of an LLM's hidden state can hold nearly all variance.
        """
        weight_sum, mean = self.training_mean(None)
        squares = np.sum([np.diag(gram) for gram in self.grams], axis=0, dtype=np.float64)
        variances = squares / weight_sum - mean**2
        # Below this a variance is the rounding error of a column that does not vary.
        varying = variances[variances > 1e-6 * np.maximum(variances + mean**2, 1e-300)]
        return float(np.median(varying)) if len(varying) else 1.0

    def training_systems(
        self, *, max_iter: int = 400
    ) -> Iterator[Callable[[Basis | None], EigenSystem | KrylovSystem]]:
        """Yield what makes solvers for the centred Gram matrix of all folds but each, by basis.

        They are of use until the next is asked for, which overwrites the matrix.
        """
        gram = self.total
        for k, left_out in enumerate(self.grams):
            if k > 0:
                gram += self.grams[k - 1]
            gram -= left_out
            yield partial(self._system, gram, k, max_iter=max_iter)

    def whole_system(self) -> EigenSystem | KrylovSystem:
        """Return a solver for the centred Gram matrix of all rows."""
        return self._system(self.total, None)

    def _system(self, gram, k, basis=None, *, max_iter=400):
        if basis is None and k in self._systems:
            return self._systems[k]
        if len(self.center) > EIGEN_WIDTH:
            return KrylovSystem(gram, *self.training_mean(k), basis=basis, max_iter=max_iter)
        system = EigenSystem(gram, *self.training_mean(k), basis=basis)
        if basis is None:
            self._systems[k] = system
        return system

    @property
    def spectrum(self) -> Spectrum:
        """Spectrum of the covariance of all rows."""
        weight_sum, mean = self.training_mean(None)
        covariance = self.total
        covariance /= weight_sum
        syr = blas.get_blas_funcs("syr", dtype=covariance.dtype)
        mean = mean.astype(covariance.dtype)
        return Spectrum.of(syr(-1.0, mean, a=covariance, lower=1, overwrite_a=1))

    def training_mean(self, k: int | None) -> tuple[float, NDArray]:
        """Return weight and mean (about the centre) of all folds but k (None: of all)."""
        weight_sum, total = self.weight_sums.sum(), self.sums.sum(axis=0)
        if k is not None:
            weight_sum, total = weight_sum - self.weight_sums[k], total - self.sums[k]
        return float(weight_sum), total / max(weight_sum, np.finfo(float).tiny)

    def target_moments(self, target: NDArray) -> TargetMoments:
        """Return the sufficient statistics of a target on these rows.

        Parameters
        ----------
        target : ndarray of shape (n,)
            Targets; only rows of positive weight are read.

        Returns
        -------
        TargetMoments
        """
        target = target if self.rows is None else target[self.rows]
        weighted = self.weight * target
        spread = np.zeros((len(target), self.n_splits))
        spread[np.arange(len(target)), self.fold] = weighted
        sums: NDArray = np.bincount(self.fold, weighted, minlength=self.n_splits)
        squares: NDArray = np.bincount(self.fold, weighted * target, minlength=self.n_splits)
        cross = cross_products(self.X, spread, self.rows).T
        cross -= np.outer(sums, self.center.astype(np.float64))
        return TargetMoments(cross, sums, squares)
