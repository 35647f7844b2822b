"""The encoding loop: texts that are not cached, in batches of similar length."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from .._utils._batching import length_sorted_batches
from ._backends import Backend
from ._cache import EmbeddingCache
from ._conversation import Passage

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
    passages: list[Passage],
    backend: Backend,
    cache: EmbeddingCache | None,
    *,
    rule: str,
    batch_size: int,
    show_progress: bool | None,
    write: Callable[[np.ndarray, np.ndarray, np.ndarray], None],
) -> EncodingCounts:
    """Embed distinct texts, reading those from the cache that it holds.

    Parameters
    ----------
    passages : list of Passage
    backend : Backend
    cache : EmbeddingCache or None
    rule : str
        Rule for texts that are longer than the model reads.
    batch_size : int
        Maximum number of texts in a batch.
    show_progress : bool or None
        None shows a bar on a terminal, after five seconds. With a cache the bar counts texts
        whose embeddings are committed.
    write : callable
        Called with positions in `passages`, their embeddings and the parts that were shortened.

    Returns
    -------
    EncodingCounts
    """
    counts = EncodingCounts()
    budget = _CPU_TOKENS if backend.settings.device == "cpu" else _ACCELERATOR_TOKENS
    with tqdm(
        total=len(passages),
        desc="encode",
        unit="text",
        delay=5.0 if show_progress is None else 0.0,
        disable=None if show_progress is None else not show_progress,
    ) as bar:
        for start in range(0, len(passages), _SHARD):
            shard = np.arange(start, min(start + _SHARD, len(passages)))
            if cache is not None:
                shard = _take_cached(passages, shard, cache, write, counts)
                bar.update(counts.cache_hits + counts.encoded - bar.n)
            if not len(shard):
                continue
            tokens = backend.tokenize([passages[i] for i in shard], rule)
            means = _WindowMeans(tokens.owner)

            def commit(shard=shard, tokens=tokens, means=means) -> None:
                index, vectors = means.take()
                if not len(index):
                    return
                if cache is not None:
                    keys = [passages[i].key for i in shard[index]]
                    cache.put(keys, vectors, tokens.truncated[index])
                write(shard[index], vectors, tokens.truncated[index])
                counts.encoded += len(index)
                bar.update(len(index))

            deadline = time.monotonic() + COMMIT_SECONDS
            for index in length_sorted_batches(tokens.lengths, batch_size, budget):
                means.add(index, _finite(backend.embed(tokens, index), backend))
                if time.monotonic() > deadline:
                    commit()
                    deadline = time.monotonic() + COMMIT_SECONDS
            commit()
    return counts


class _WindowMeans:
    """Embeddings of windows, collected until every window of a text has one.

    Parameters
    ----------
    owner : ndarray of int, shape (n_windows,)
        Position of the text of each window, increasing.
    """

    def __init__(self, owner: np.ndarray):
        self._owner = owner
        self._n_windows = np.bincount(owner)
        self._missing = self._n_windows.copy()
        self._single = len(self._missing) == len(owner)
        self._ready: list[tuple[np.ndarray, np.ndarray]] = []
        self._sums: dict[int, np.ndarray] = {}

    def add(self, index: np.ndarray, vectors: np.ndarray) -> None:
        """Add the embeddings of the windows at `index`."""
        if self._single:
            self._ready.append((index, vectors))
            return
        for text, vector in zip(self._owner[index].tolist(), vectors, strict=True):
            self._sums[text] = self._sums.get(text, 0.0) + vector
            self._missing[text] -= 1
        done = np.array([text for text in self._sums if not self._missing[text]], dtype=np.intp)
        if len(done):
            means = np.stack([self._sums.pop(text) / self._n_windows[text] for text in done])
            self._ready.append((done, means.astype(vectors.dtype)))

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and mean embeddings of the texts that are complete, each once."""
        if not self._ready:
            return np.empty(0, np.intp), np.empty((0, 0), np.float32)
        index, vectors = map(np.concatenate, zip(*self._ready, strict=True))
        self._ready.clear()
        return index, vectors


def _take_cached(passages, shard, cache, write, counts) -> np.ndarray:
    corrupt_before = cache.corrupt_count
    found, vectors, truncated = cache.get([passages[i].key for i in shard])
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
