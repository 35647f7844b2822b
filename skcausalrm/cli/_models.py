"""Model directories: where one may be written, and the encoder that belongs to one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exceptions import ModelDirectoryError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ..embedding import ConversationEncoder

__all__ = ["check_place", "encode", "encoder_settings", "load_encoder"]

_SETTINGS = ("model", "revision", "dtype", "max_length", "pooling", "normalize")


def check_place(path: Path, overwrite: bool) -> None:
    """Raise before the work, not after it, if `save_model_directory` would refuse.

    Raises
    ------
    FileExistsError
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / "config.json").is_file():
        raise FileExistsError(
            f"{path} exists and is no model directory, so it is not replaced: choose another path."
        )
    if not overwrite:
        raise FileExistsError(
            f"{path} already holds a model: pass --overwrite to replace it, or choose another path."
        )


def encoder_settings(encoder: ConversationEncoder) -> dict[str, Any]:
    """What makes the same embeddings again; the model pinned by its commit or content."""
    from ..embedding.source import find_model

    source = find_model(encoder.model, encoder.revision)
    settings = {name: getattr(encoder, name) for name in _SETTINGS}
    model = str(encoder.model)
    settings["model"] = source.location if Path(model).expanduser().is_dir() else model
    settings["revision"] = source.commit
    return {**settings, "fingerprint": source.fingerprint()}


def load_encoder(
    settings: dict[str, Any] | None, directory: Path, cache_dir: Path | None
) -> ConversationEncoder:
    """Make the encoder of a model directory.

    Raises
    ------
    ModelDirectoryError
        If the directory has none, or the encoder's files are no longer those of the fit.
    """
    from ..embedding import ConversationEncoder
    from ..embedding.source import find_model

    if settings is None:
        raise ModelDirectoryError(
            f"{directory} was saved without an encoder, so text cannot be scored with it: save it "
            "with encoder_settings, or by `skcausalrm fit`."
        )
    kept = {name: settings[name] for name in _SETTINGS}
    if find_model(kept["model"], kept["revision"]).fingerprint() != settings["fingerprint"]:
        raise ModelDirectoryError(
            f"The encoder {kept['model']!r} is not the one that {directory} was fitted with (its "
            "files differ): bring back the old files or fit anew."
        )
    return ConversationEncoder(**kept, cache_dir=cache_dir)


def encode(encoder: ConversationEncoder, text: pd.DataFrame) -> np.ndarray:
    """Embed, saying so."""
    from ._console import progress

    progress(f"encoding {len(text):,} rows with {encoder.model}")
    return encoder.fit_transform(text)
