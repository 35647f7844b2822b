"""Files of a model directory, and how a new directory replaces an old one."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .._utils._atomic_files import sibling, sync_folder
from ..exceptions import ModelDirectoryError

FORMAT = "skcausalrm model directory"
CONFIG, ONNX, WEIGHTS = "config.json", "head.onnx", "head.safetensors"
OURS = {CONFIG, ONNX, WEIGHTS}


def read_file(path: Path, name: str) -> bytes:
    """Return the content of a file of the model directory `path`.

    Raises
    ------
    ModelDirectoryError
        If it is missing or cannot be read.
    """
    try:
        return (path / name).read_bytes()
    except FileNotFoundError as error:
        raise ModelDirectoryError(
            f"{path} has no {name}, so it is not a complete model directory; save the model again."
        ) from error
    except OSError as error:
        raise ModelDirectoryError(
            f"{name} in {path} cannot be read ({error.strerror}); make it readable or save the "
            "model again."
        ) from error


def check_place(path: Path, overwrite: bool) -> None:
    """Raise if :func:`save_model_directory` may not replace `path`.

    Raises
    ------
    ModelDirectoryError
        If `path` is something else than a model directory, one that holds other files too, or one
        that may not be overwritten.
    """
    if _is_free(path):
        return
    try:
        ours = json.loads((path / CONFIG).read_bytes())["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise ModelDirectoryError(
            f"{path} exists and is not a model directory, so it is not replaced; choose another "
            f"path."
        )
    if not overwrite:
        raise ModelDirectoryError(
            f"{path} already holds a model; pass overwrite=True (--overwrite on the command line) "
            "or choose another path."
        )
    if strangers := sorted({p.name for p in path.iterdir()} - OURS):
        raise ModelDirectoryError(
            f"{path} also holds {strangers[0]!r}, which replacing the model would delete; move it "
            "or choose another path."
        )


def _is_free(path: Path) -> bool:
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill, then put it at `path`, also in the place of an old folder.

    If the block or the renaming fails, the temporary folder is deleted and the old one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = sibling(path), sibling(path)
    temporary.mkdir()
    try:
        yield temporary
        sync_folder(temporary)
        if path.exists():
            os.rename(path, old)
        try:
            os.rename(temporary, path)
        except OSError:
            if old.exists():
                os.rename(old, path)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if old.exists():
        shutil.rmtree(old)
    sync_folder(path.parent)
