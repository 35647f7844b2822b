"""Files that are either complete or absent."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

__all__ = ["sibling", "sync_folder", "write_atomically", "write_synced"]


def sibling(path: Path) -> Path:
    """An unused hidden name in the folder of `path`, so that a rename stays on one disk."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")


def write_synced(path: Path, content: bytes) -> None:
    """Create `path` with `content`, on disk when this returns."""
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Put renames in `folder` on disk, where the system can open a folder (not on Windows)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path`: at no time does half a file stand there."""
    temporary = sibling(path)
    try:
        write_synced(temporary, content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
