"""Texts of similar length in one batch, so that padding costs little."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["length_sorted_batches"]


def length_sorted_batches(
    lengths: np.ndarray, batch_size: int, token_budget: int
) -> Iterator[np.ndarray]:
    """Split texts into batches of similar length, the longest first.

    Parameters
    ----------
    lengths : ndarray of int, shape (n,)
        Tokens of each text.
    batch_size : int
        Most texts in a batch.
    token_budget : int
        Most tokens in a batch, padding included; a single text may exceed it.

    Yields
    ------
    ndarray of int
        Positions of a batch's texts.

    Examples
    --------
    >>> [batch.tolist() for batch in length_sorted_batches(np.array([2, 9, 3, 2]), 2, 10)]
    [[1], [2, 0], [3]]
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = max(int(lengths[order[start]]), 1)
        size = max(1, min(batch_size, token_budget // longest))
        yield order[start : start + size]
        start += size
