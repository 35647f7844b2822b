"""Checks before a model directory is written, and the embeddings of a log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .._utils._extras import import_extra
from ._console import progress

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ..text import ConversationEncoder


def check_saving(path: Path, overwrite: bool) -> None:
    """Raise now, before the work, if `save_model_directory` would refuse later.

    Raises
    ------
    ModelDirectoryError
        If something at `path` may not be replaced.
    MissingExtraError
        If onnx or onnxruntime is not installed.
    """
    from ..export._layout import check_place

    check_place(path.resolve(), overwrite)
    for package, extra in (("onnx", "export"), ("onnxruntime", "cpu")):
        import_extra(package, extra=extra, purpose="Saving a model")


def encode(encoder: ConversationEncoder, text: pd.DataFrame) -> np.ndarray:
    """Return the embeddings of text rows, and print the step."""
    progress(f"encoding {len(text):,} rows with {encoder.model}")
    return encoder.fit_transform(text)
