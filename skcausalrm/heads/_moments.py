"""Second moments of X by fold: the sufficient statistics of least squares and its tuning.

One pass over X gives a Gram matrix per fold. The training part of a fold is the total minus that
fold, so cross-validation over any number of penalties never reads X again.
"""

from collections.abc import Iterator
from copy import copy
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas
from sklearn.utils import gen_batches

from ._linear_systems import EIGEN_WIDTH, EigenSystem, KrylovSystem
from ._prior_covariance import Basis, Spectrum, symmetric

_BLOCK_ROWS = 4096


def row_blocks(X: NDArray, rows: NDArray[np.intp] | None) -> Iterator[tuple[NDArray, slice]]:
    """Yield blocks of ``X[rows]`` and their places, through one buffer; all rows: views of X."""
    n_rows = len(X) if rows is None else len(rows)
    buffer = np.empty((min(_BLOCK_ROWS, n_rows), X.shape[1]), dtype=X.dtype)
    for place in gen_batches(n_rows, _BLOCK_ROWS) if n_rows else ():  # a fold may be empty
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
    center : ndarray of shape (d,)
        Moments are those of ``X - center``: zeros, or near the mean where that is far from 0.
    weight_sums : ndarray of shape (n_splits,)
        Total weight of each fold.
    sums : ndarray of shape (n_splits, d)
        Weighted sums of the centred rows.
    grams : list of ndarray of shape (d, d)
        Weighted Gram matrices in the dtype of X; only the lower triangle is filled.
    total : ndarray of shape (d, d)
        Sum of the Gram matrices.
    """

    def __init__(self, X, fold, n_splits, weight=None, *, center=None):
        self.X, self.n_splits = X, n_splits
        weight = np.ones(len(X)) if weight is None else weight
        rows, d = np.flatnonzero(weight), X.shape[1]
        self.rows = None if len(rows) == len(X) else rows
        self.weight, self.fold = weight[rows], fold[rows]
        if center is None:
            probe = X[:_BLOCK_ROWS] if self.rows is None else X[rows[:_BLOCK_ROWS]]
            center = _choose_center(probe)
        self.center = center
        shifted, uniform = self.center.any(), (self.weight == 1).all()
        self.weight_sums = np.bincount(self.fold, self.weight, minlength=n_splits)
        self.sums = np.zeros((n_splits, d))
        self.grams = [np.zeros((d, d), dtype=X.dtype, order="F") for _ in range(n_splits)]
        syrk = blas.get_blas_funcs("syrk", dtype=X.dtype)
        by_fold = np.argsort(self.fold, kind="stable")
        bounds = np.searchsorted(self.fold[by_fold], np.arange(n_splits + 1))
        for k in range(n_splits):
            members = by_fold[bounds[k] : bounds[k + 1]]
            for block, place in row_blocks(X, rows[members]):
                if shifted:
                    block -= self.center
                if uniform:
                    self.sums[k] += np.ones(len(block), X.dtype) @ block
                else:
                    root = np.sqrt(self.weight[members[place]]).astype(X.dtype)
                    self.sums[k] += root @ (block := np.multiply(block, root[:, None], out=block))
                self.grams[k] = syrk(
                    1.0, block.T, beta=1.0, c=self.grams[k], lower=1, overwrite_c=1
                )
        self.total = self.grams[0].copy(order="F")
        for gram in self.grams[1:]:
            self.total += gram
        self._work = np.empty_like(self.total)
        self._systems: dict[int | None, EigenSystem] = {}

    @property
    def typical_variance(self) -> float:
        """Median over columns of the weighted variance: the unit of the penalty.

        A median, because a few columns of an LLM's hidden state can hold nearly all variance.
        """
        weight_sum, mean = self.training_mean(None)
        variances = np.diag(self.total).astype(np.float64) / weight_sum - mean**2
        # Below this a variance is the rounding error of a column that does not vary.
        varying = variances[variances > 1e-6 * np.maximum(variances + mean**2, 1e-300)]
        return float(np.median(varying)) if len(varying) else 1.0

    def training_system(
        self, k: int | None, basis: Basis | None = None, *, max_iter: int = 400
    ) -> EigenSystem | KrylovSystem:
        """Return a solver for the centred Gram matrix of all folds but k (None: of all).

        A wide one may read a buffer: use it before asking for the next.
        """
        if basis is None and k in self._systems:
            return self._systems[k]
        gram = self.total if k is None else np.subtract(self.total, self.grams[k], out=self._work)
        if len(self.center) > EIGEN_WIDTH:
            return KrylovSystem(gram, *self.training_mean(k), basis=basis, max_iter=max_iter)
        system = EigenSystem(gram, *self.training_mean(k), basis=basis)
        if basis is None:
            self._systems[k] = system
        return system

    def without(self, left_out: NDArray[np.bool_]) -> "FoldMoments":
        """Return the moments without some rows, by subtraction of theirs.

        Parameters
        ----------
        left_out : ndarray of bool, shape (n,)
        """
        left_out = left_out if self.rows is None else left_out[self.rows]
        n, rows = len(self.X), slice(None) if self.rows is None else self.rows
        weight, fold = np.zeros(n), np.zeros(n, dtype=np.intp)
        weight[rows], fold[rows] = self.weight * left_out, self.fold
        part = FoldMoments(self.X, fold, self.n_splits, weight, center=self.center)
        kept = copy(self)
        kept.weight = np.where(left_out, 0, self.weight)
        kept.weight_sums, kept.sums = self.weight_sums - part.weight_sums, self.sums - part.sums
        kept.grams = [np.subtract(a, b, out=b) for a, b in zip(self.grams, part.grams, strict=True)]
        kept.total = np.subtract(self.total, part.total, out=part.total)
        kept._work, kept._systems = part._work, {}
        return kept

    @property
    def spectrum(self) -> Spectrum:
        """Spectrum of the covariance of all rows."""
        weight_sum, mean = self.training_mean(None)
        mean = mean.astype(self.total.dtype)
        return Spectrum.of(symmetric(self.total / weight_sum - np.outer(mean, mean)))

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
