"""Batches of texts of similar length, which need little padding."""

from collections.abc import Iterator

import numpy as np


def length_sorted_batches(
    lengths: np.ndarray, batch_size: int, token_budget: int
) -> Iterator[np.ndarray]:
    """Split texts into batches of similar length, the longest first.

    Parameters
    ----------
    lengths : ndarray of int, shape (n,)
        Number of tokens of each text.
    batch_size : int
        Maximum number of texts in a batch.
    token_budget : int
        Maximum number of tokens in a batch, padding included. A single text may exceed it.

    Yields
    ------
    ndarray of int
        Positions of the texts of a batch.

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
