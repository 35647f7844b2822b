"""Atomic writes: a file is complete or absent, even after a crash."""

import os
import secrets
from pathlib import Path


def sibling(path: Path) -> Path:
    """Return an unused hidden name in the folder of `path`, so that a rename stays on one disk."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")


def write_synced(path: Path, content: bytes) -> None:
    """Create `path` with `content` and wait until it is on disk."""
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until renames in `folder` are on disk, if the system can open folders (not Windows)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically: readers see the old file or the new one."""
    temporary = sibling(path)
    try:
        write_synced(temporary, content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
