"""Pages of an unfinished pull on disk, so that a killed pull continues where it stopped."""

import gzip
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..._utils._atomic_files import write_atomically
from ...exceptions import FileFormatError, UnusedParameterError

_REQUEST = "pull.json"


class PartFolder:
    """Folder ``<out>.part`` of fetched pages.

    Each page is one file with its records and the cursor of the next page, written atomically. A
    page is therefore either finished, and never fetched again, or absent.

    Parameters
    ----------
    path : Path
        The folder; the first page makes it.
    request : dict
        What is pulled: tool, server, project and start.

    Raises
    ------
    UnusedParameterError
        If the folder holds pages of another request.
    FileFormatError
        If the folder is not one of a pull.
    """

    def __init__(self, path: Path, request: dict[str, Any]):
        self.path = path
        if (path / _REQUEST).exists():
            self.request = _read_request(path / _REQUEST)
        elif path.exists() and any(path.glob("*.json.gz")):
            raise FileFormatError(
                f"{path} holds pages but no {_REQUEST}: delete the folder, or choose another "
                "output."
            )
        else:
            began = datetime.now(UTC).isoformat(timespec="seconds")
            self.request = request | {"began": began}
        other = [key for key, value in request.items() if self.request.get(key) != value]
        if other:
            held = ", ".join(f"{key}={self.request.get(key)!r}" for key in other)
            asked = ", ".join(f"{key}={request[key]!r}" for key in other)
            raise UnusedParameterError(
                f"{path} holds an unfinished pull with {held}, but this one has {asked}: use the "
                "same options to continue it, or delete the folder to start again."
            )

    def pages(self, stage: str) -> list[Path]:
        """Return the files of a stage in order."""
        return sorted(self.path.glob(f"{stage}-*.json.gz"))

    def position(self, stage: str) -> tuple[Any, bool]:
        """Return the next cursor of a stage, and True if the stage is finished."""
        if not (pages := self.pages(stage)):
            return None, False
        cursor = _read_page(pages[-1])["next"]
        return cursor, cursor is None

    def add(self, stage: str, records: list[dict[str, Any]], cursor: Any) -> None:
        """Write the next page of a stage; `cursor` is None after the last one."""
        self.path.mkdir(exist_ok=True)
        if not (self.path / _REQUEST).exists():
            write_atomically(self.path / _REQUEST, json.dumps(self.request).encode())
        number = len(self.pages(stage)) + 1
        content = json.dumps({"next": cursor, "records": records}, ensure_ascii=True)
        write_atomically(
            self.path / f"{stage}-{number:06d}.json.gz", gzip.compress(content.encode(), 6)
        )

    def records(self, stage: str) -> Iterator[dict[str, Any]]:
        """Yield the records of a stage in the order in which they were fetched."""
        for page in self.pages(stage):
            yield from _read_page(page)["records"]

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path)


def _read_page(path: Path) -> dict[str, Any]:
    try:
        return json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError) as error:
        raise FileFormatError(
            f"The page {path} is damaged ({error}): delete its folder, and pull again."
        ) from error


def _read_request(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except ValueError as error:
        raise FileFormatError(
            f"{path} is damaged ({error}): delete its folder, and pull again."
        ) from error
