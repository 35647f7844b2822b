"""Moments that grow: what a ridge head needs of rows that are no longer there."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from ._moments import Moments, TargetMoments, choose_center, row_blocks

__all__ = ["RunningMoments"]


class RunningMoments(Moments):
    """Moments of X and of a target, summed in float64 over any number of calls.

    Float64 whatever X is, so that the sums are the same in whatever order and portions the rows
    come. Holds ``8 n_splits d^2`` bytes: 6 MB at 384 columns and five folds, 670 MB at 4,096.

    Parameters
    ----------
    center : ndarray of shape (d,)
        Any point near the rows' mean, or zeros; it stays.
    n_splits : int

    Attributes
    ----------
    target : TargetMoments
        The others: see `Moments`.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.heads import RidgeHead
    >>> from skcausalrm.heads._running import RunningMoments
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> fold, weight, y = np.arange(200) % 5, np.ones(200), X @ [1.0, 0.0, -1.0] + 2
    >>> moments = RunningMoments(np.zeros(3), 5)
    >>> moments.add(X[:150], fold[:150], weight[:150], y[:150])
    >>> moments.add(X[150:], fold[150:], weight[150:], y[150:])
    >>> head = RidgeHead().solve_moments(moments, moments.target)
    >>> head.coef_.round(2).tolist(), round(head.intercept_, 2)
    ([1.0, 0.0, -1.0], 2.0)
    """

    def __init__(self, center: NDArray, n_splits: int):
        self.center, self.n_splits = center.astype(np.float64), n_splits
        d = len(center)
        self.weight_sums, self.sums = np.zeros(n_splits), np.zeros((n_splits, d))
        self.grams = [np.zeros((d, d), order="F") for _ in range(n_splits)]
        self.target = TargetMoments(np.zeros((n_splits, d)), np.zeros(n_splits), np.zeros(n_splits))
        self._add_up()

    @classmethod
    def of(cls, X: NDArray, fold: NDArray, n_splits: int, weight: NDArray, target: NDArray):
        """Return the moments of a first portion, about a centre that suits it."""
        rows = np.flatnonzero(weight)
        moments = cls(choose_center(X[rows[:4096]].astype(np.float64)), n_splits)
        moments.add(X, fold, weight, target)
        return moments

    def add(self, X: NDArray, fold: NDArray, weight: NDArray, target: NDArray) -> None:
        """Add rows.

        Parameters
        ----------
        X : ndarray of shape (n, d), float32 or float64
        fold : ndarray of shape (n,)
            0 .. n_splits - 1.
        weight : ndarray of shape (n,)
            Rows of weight 0 take no part.
        target : ndarray of shape (n,)
            Read where the weight is positive.
        """
        shifted = bool(self.center.any())
        for k in range(self.n_splits):
            rows = np.flatnonzero((fold == k) & (weight > 0))
            t, root = target[rows], np.sqrt(weight[rows])
            self.weight_sums[k] += weight[rows].sum()
            self.target.sums[k] += weight[rows] @ t
            self.target.squares[k] += weight[rows] @ t**2
            for gathered, place in row_blocks(X, rows):
                block = gathered.astype(np.float64)
                if shifted:
                    block -= self.center
                block *= root[place, None]
                self.sums[k] += root[place] @ block
                self.target.cross[k] += (root[place] * t[place]) @ block
                self.grams[k] = blas.dsyrk(
                    1.0, block.T, beta=1.0, c=self.grams[k], lower=1, overwrite_c=1
                )
        self._add_up()

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return all as named arrays; of each Gram matrix the lower triangle, column by column."""
        return {
            "center": self.center,
            "weight_sums": self.weight_sums,
            "sums": self.sums,
            "grams": np.array([lapack.dtrttp(gram, uplo="L")[0] for gram in self.grams]),
            "target.cross": self.target.cross,
            "target.sums": self.target.sums,
            "target.squares": self.target.squares,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray]) -> RunningMoments:
        """Return what `to_arrays` wrote."""
        moments = cls(arrays["center"], len(arrays["weight_sums"]))
        d = len(moments.center)
        moments.weight_sums, moments.sums = arrays["weight_sums"].copy(), arrays["sums"].copy()
        moments.grams = [
            cast(NDArray, lapack.dtpttr(d, packed, uplo="L")[0]) for packed in arrays["grams"]
        ]
        moments.target = TargetMoments(
            *(arrays[f"target.{name}"].copy() for name in TargetMoments._fields)
        )
        moments._add_up()
        return moments
