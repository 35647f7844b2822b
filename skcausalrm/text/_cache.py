"""Embeddings on disk, keyed by text: one SQLite file per model and settings."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from .._utils._hashing import hash_text
from ..exceptions import FileFormatError

_BUSY_SECONDS = 60.0


class EmbeddingCache:
    """Embeddings of texts under one model and one set of settings.

    Any number of processes may share a directory: writers queue and readers never wait. Entries
    survive a kill of the process once :meth:`put` has returned. Every entry has a checksum, and
    an altered one is not returned.

    Parameters
    ----------
    directory : str or path
        Folder of the SQLite files; created if it does not exist.
    settings : mapping
        Everything that an embedding depends on, apart from its text, as JSON values. Each
        mapping has a file of its own, whose name starts with ``settings["model"]``. Delete the
        file to remove a model's embeddings.

    Attributes
    ----------
    path : Path
        The SQLite file.
    corrupt_count : int
        Number of entries that have failed their checksum.

    Raises
    ------
    FileFormatError
        If the file is not a usable SQLite database.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with EmbeddingCache(folder, {"model": "tiny", "pooling": "mean"}) as cache:
    ...     cache.put(["a text"], np.ones((1, 3), np.float32), np.array([False]))
    ...     found, vectors, truncated = cache.get(["another", "a text"])
    >>> found
    array([1])
    >>> vectors
    array([[1., 1., 1.]], dtype=float32)
    """

    def __init__(self, directory: str | Path, settings: Mapping[str, Any]):
        canonical = json.dumps(settings, sort_keys=True)
        digest = hash_text(canonical, size=8).hex()
        name = re.sub(r"[^\w.-]+", "-", Path(str(settings["model"])).name)[:60]
        self.path = Path(directory).expanduser() / f"{name}-{digest}.sqlite"
        self.corrupt_count = 0
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._explained():
            # autocommit: transactions are opened explicitly, in put
            self._db = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
            try:
                self._create(canonical)
            except BaseException:
                self._db.close()
                raise

    def _create(self, canonical: str) -> None:
        self._switch_to_wal()
        self._db.execute("PRAGMA synchronous=NORMAL")
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("CREATE TABLE IF NOT EXISTS settings (json TEXT PRIMARY KEY)")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS embeddings (text_hash BLOB PRIMARY KEY, "
                "truncated INTEGER NOT NULL, checksum INTEGER NOT NULL, vector BLOB NOT NULL)"
            )
            self._db.execute("INSERT OR IGNORE INTO settings VALUES (?)", (canonical,))

    def _switch_to_wal(self) -> None:
        # On a new file this fails with "locked" at once, whatever the busy timeout.
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def __enter__(self) -> EmbeddingCache:
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def get(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the stored embeddings of texts.

        Parameters
        ----------
        texts : sequence of str
            Distinct texts.

        Returns
        -------
        found : ndarray of int, shape (k,)
            Increasing positions in `texts` of those that are stored intact.
        vectors : ndarray of float32, shape (k, d)
            Their embeddings, of shape (0, 0) if nothing was found.
        truncated : ndarray of uint8, shape (k,)
            Parts that were longer than the model reads: 0 none, 1 the prompt, 2 the answer, 3 both.

        Raises
        ------
        FileFormatError
            If the file cannot be read as a database.
        """
        query = "SELECT truncated, checksum, vector FROM embeddings WHERE text_hash = ?"
        entries: dict[int, tuple[bytes, int]] = {}
        with self._explained(), self._db:
            self._db.execute("BEGIN")  # one transaction is twice as fast as one per text
            for i, key in enumerate(map(hash_text, texts)):
                for truncated, checksum, vector in self._db.execute(query, (key,)):
                    if _is_intact(key, truncated, checksum, vector):
                        entries[i] = vector, truncated
                    else:
                        self.corrupt_count += 1
        found = np.array(list(entries), dtype=np.intp)
        if not len(found):
            return found, np.empty((0, 0), np.float32), np.empty(0, np.uint8)
        joined = b"".join(entries[i][0] for i in found)
        vectors = np.frombuffer(joined, "<f4").reshape(len(found), -1)
        return found, vectors, np.array([entries[i][1] for i in found], dtype=np.uint8)

    def put(self, texts: Sequence[str], vectors: np.ndarray, truncated: np.ndarray) -> None:
        """Store embeddings in one transaction; replace entries that exist.

        Parameters
        ----------
        texts : sequence of str
            Distinct texts.
        vectors : ndarray of float32, shape (n, d)
            Their embeddings.
        truncated : ndarray of uint8 or bool, shape (n,)
            Parts that were longer than the model reads, as :meth:`get` returns them.

        Raises
        ------
        FileFormatError
            If the file cannot be written as a database.
        """
        rows = []
        for text, vector, cut in zip(texts, vectors, truncated, strict=True):
            key, blob, flag = hash_text(text), vector.astype("<f4", copy=False).tobytes(), int(cut)
            rows.append((key, flag, _checksum(key, flag, blob), blob))
        with self._explained(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?)", rows)

    def __len__(self) -> int:
        with self._explained():
            return self._db.execute("SELECT COUNT(*) FROM embeddings").fetchone()[0]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise FileFormatError(
                f"the embedding cache {self.path} cannot be used ({error}): check its disk and its "
                "permissions, or delete the file to start again."
            ) from error


def _checksum(key: bytes, truncated: int, vector: bytes) -> int:
    return crc32(vector, crc32(key + bytes([truncated])))


def _is_intact(key: bytes, truncated: Any, checksum: Any, vector: Any) -> bool:
    # SQLite does not enforce types, so a damaged header can change a column's type.
    return (
        isinstance(vector, bytes)
        and truncated in (0, 1, 2, 3)
        and len(vector) % 4 == 0
        and checksum == _checksum(key, truncated, vector)
    )
