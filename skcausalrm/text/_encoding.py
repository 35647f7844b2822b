"""The encoding loop: texts that are not cached, in batches of similar length."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from .._utils._batching import length_sorted_batches
from ._backends import Backend
from ._cache import EmbeddingCache

COMMIT_SECONDS = 1.0  # longest work that a kill can lose
_SHARD = 4096  # texts tokenised and sorted at a time; bounds memory
# Maximum tokens per batch, padding included; larger batches are slower on a CPU.
_CPU_TOKENS, _ACCELERATOR_TOKENS = 2048, 32_768


@dataclass
class EncodingCounts:
    """Numbers of distinct texts that a run encoded or found in the cache."""

    encoded: int = 0
    cache_hits: int = 0
    cache_corrupt: int = 0


def encode_texts(
    texts: list[str],
    backend: Backend,
    cache: EmbeddingCache | None,
    *,
    batch_size: int,
    show_progress: bool | None,
    write: Callable[[np.ndarray, np.ndarray, np.ndarray], None],
) -> EncodingCounts:
    """Embed distinct texts, reading those from the cache that it holds.

    Parameters
    ----------
    texts : list of str
    backend : Backend
    cache : EmbeddingCache or None
    batch_size : int
        Maximum number of texts in a batch.
    show_progress : bool or None
        None shows a bar on a terminal, after five seconds. With a cache the bar counts texts
        whose embeddings are committed.
    write : callable
        Called with positions in `texts`, their embeddings and whether each text was truncated.

    Returns
    -------
    EncodingCounts
    """
    counts = EncodingCounts()
    budget = _CPU_TOKENS if backend.settings.device == "cpu" else _ACCELERATOR_TOKENS
    with tqdm(
        total=len(texts),
        desc="encode",
        unit="text",
        delay=5.0 if show_progress is None else 0.0,
        disable=None if show_progress is None else not show_progress,
    ) as bar:
        for start in range(0, len(texts), _SHARD):
            shard = np.arange(start, min(start + _SHARD, len(texts)))
            if cache is not None:
                shard = _take_cached(texts, shard, cache, write, counts)
                bar.update(counts.cache_hits + counts.encoded - bar.n)
            if not len(shard):
                continue
            tokens = backend.tokenize([texts[i] for i in shard])
            pending: list[tuple[np.ndarray, np.ndarray]] = []

            def commit(shard=shard, tokens=tokens, pending=pending) -> None:
                index = np.concatenate([index for index, _ in pending])
                vectors = np.concatenate([vectors for _, vectors in pending])
                if cache is not None:
                    cache.put([texts[i] for i in shard[index]], vectors, tokens.truncated[index])
                write(shard[index], vectors, tokens.truncated[index])
                counts.encoded += len(index)
                bar.update(len(index))
                pending.clear()

            deadline = time.monotonic() + COMMIT_SECONDS
            for index in length_sorted_batches(tokens.lengths, batch_size, budget):
                pending.append((index, _finite(backend.embed(tokens, index), backend)))
                if time.monotonic() > deadline:
                    commit()
                    deadline = time.monotonic() + COMMIT_SECONDS
            if pending:
                commit()
    return counts


def _take_cached(texts, shard, cache, write, counts) -> np.ndarray:
    corrupt_before = cache.corrupt_count
    found, vectors, truncated = cache.get([texts[i] for i in shard])
    counts.cache_corrupt += cache.corrupt_count - corrupt_before
    counts.cache_hits += len(found)
    if len(found):
        write(shard[found], vectors, truncated)
    return np.delete(shard, found)


def _finite(vectors: np.ndarray, backend: Backend) -> np.ndarray:
    if not np.isfinite(vectors).all():
        raise FloatingPointError(
            f"the model {backend.settings.source.name!r} overflows in {backend.settings.dtype}: "
            "set dtype='bfloat16' or dtype='float32'."
        )
    return vectors
