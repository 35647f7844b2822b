"""Cells of the likelihood in blocks small enough for the processor's cache."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ._counts import Counts, Outcome, volunteers
from ._parameters import Design

# Cells evaluated together.
_BLOCK_CELLS = 288


class Block(NamedTuple):
    """Some cells and their entries.

    Attributes
    ----------
    design : Design
        Of the cells.
    cell, outcome : ndarray of int, shape (n,)
        Cell, from 0, and outcome of each entry.
    coefficient : ndarray of shape (n,)
    judgement : ndarray of shape (6, n)
        P(verified label given bin).
    answer : ndarray of int, shape (n,)
        Column of each entry in what `GradedLikelihood._answers` returns.
    sums : sparse matrix of shape (n_cells, n)
        Sums over the entries of each cell, times their coefficients.
    signs : ndarray of shape (n_signals, n_cells)
        1 where a signal happened, -1 where not, 0 where it could not be seen.
    """

    design: Design
    cell: NDArray[np.intp]
    outcome: NDArray[np.intp]
    coefficient: NDArray[np.float64]
    judgement: NDArray[np.float64]
    answer: NDArray[np.intp]
    sums: Any
    signs: NDArray[np.float64]


def split_into_blocks(counts: Counts, design: Design, judged: NDArray) -> Iterator[Block]:
    """Yield the cells of counts in order, a block at a time.

    Parameters
    ----------
    counts : Counts
    design : Design
        Of all cells.
    judged : ndarray of shape (6, 3)
        P(verified label given bin), columns for no label, 0 and 1.
    """
    order = np.argsort(counts.cell, kind="stable")
    edges = [*range(0, len(counts.z), _BLOCK_CELLS), len(counts.z)]
    bounds = np.searchsorted(counts.cell[order], edges)
    for (first, last), ends in zip(pairwise(edges), pairwise(bounds), strict=True):
        cells, entries = slice(first, last), order[slice(*ends)]
        n, cell, outcome = len(entries), counts.cell[entries] - first, counts.outcome[entries]
        kind = np.where(outcome == Outcome.UNRATED, 0, 2 - volunteers(outcome))
        n_cells = last - first
        coefficient = counts.coefficient[entries]
        yield Block(
            design=design._replace(values=design.values[:, cells]),
            cell=cell,
            outcome=outcome,
            coefficient=coefficient,
            judgement=judged[:, counts.label[entries] + 1],
            answer=kind * n_cells + cell,
            sums=csr_matrix((coefficient, (cell, np.arange(n))), (n_cells, n)),
            signs=signs_of(counts.signals, cells),
        )


def signs_of(signals: NDArray | None, rows: slice = slice(None)) -> NDArray[np.float64]:
    """Return 1 where a signal happened, -1 where not, 0 where unseen, shape (n_signals, n)."""
    return np.empty((0, 0)) if signals is None else np.nan_to_num(2 * signals[rows].T - 1)
