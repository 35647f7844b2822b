"""One hash for each kind of thing: a text, a file, a folder of files, the rows of a matrix.

Hashes of texts, files and folders are stored in embedding caches, label files and model
directories. A change to one of these three functions makes stored files useless.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_FILE_BLOCK = 2**22  # bytes read at a time
_ROW_BLOCK = 512  # rows mixed at a time, so that no second copy of the matrix is made
# Multipliers of the SplitMix64 finalizer.
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def hash_text(text: str, *, size: int = 16) -> bytes:
    """Return the BLAKE2b hash of a text in UTF-8.

    Parameters
    ----------
    text : str
    size : int, default=16
        Number of bytes to return. Hashes of different sizes are unrelated.

    Examples
    --------
    >>> hash_text("2+2?", size=8).hex()
    'e3ca948e7ab0e337'
    """
    return hashlib.blake2b(text.encode(), digest_size=size).digest()


def hash_bytes(content: bytes) -> str:
    """Return the SHA-256 hash of a file's content in hexadecimal, as ``sha256sum`` prints it."""
    return hashlib.sha256(content).hexdigest()


def hash_folder(folder: str | Path, files: Iterable[tuple[str, int]]) -> str:
    """Return one BLAKE2b hash of several files: their names, sizes and contents.

    Parameters
    ----------
    folder : str or path
    files : iterable of (str, int)
        Path relative to `folder`, and size in bytes, of each file. The order matters.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, size in files:
        digest.update(f"{name}\0{size}\0".encode())
        with open(Path(folder, name), "rb") as file:
            while block := file.read(_FILE_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def hash_rows(X: NDArray, rows: NDArray[np.intp]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each of the given rows of a float matrix.

    Equal rows have equal hashes in every process. Two of n different rows collide with a
    probability of about n^2 / 2^65.
    """
    bits = np.uint32 if X.dtype.itemsize == 4 else np.uint64
    keys = np.random.default_rng(0).integers(1, 2**63, size=X.shape[1], dtype=np.uint64)
    hashes = np.empty(len(rows), dtype=np.uint64)
    for start in range(0, len(rows), _ROW_BLOCK):
        block = np.ascontiguousarray(X[rows[start : start + _ROW_BLOCK]])
        mixed = block.view(bits).astype(np.uint64)
        for multiplier in _MULTIPLIERS:
            mixed ^= keys
            mixed *= np.uint64(multiplier)
            mixed ^= mixed >> np.uint64(31)
        hashes[start : start + _ROW_BLOCK] = mixed.sum(axis=1, dtype=np.uint64)
    return hashes


def feedback_hash(y: NDArray[np.float64]) -> int:
    """Return a 64-bit hash of feedback, NaN where there is none, in the order of the rows."""
    codes = np.where(np.isnan(y), 2, y)
    if np.isin(codes, (0, 1, 2)).all():
        codes = codes.astype(np.uint8)
    return int.from_bytes(hashlib.blake2b(codes.tobytes(), digest_size=8).digest(), "big")
