"""Encoders as settings in JSON, and back."""

from pathlib import Path
from typing import Any

from ..exceptions import ModelDirectoryError
from ._encoder import ConversationEncoder, backend_of, text_of
from ._source import find_model

__all__ = ["encoder_settings", "load_encoder"]

_SETTINGS = (
    "model",
    "revision",
    "dtype",
    "max_length",
    "text",
    "long_texts",
    "pooling",
    "normalize",
)
# Settings of directories that state none.
_EARLIER = {"text": "pair", "long_texts": "cut"}


def encoder_settings(encoder: ConversationEncoder) -> dict[str, Any]:
    """Return settings that reproduce the embeddings, with the resolved model and precision."""
    used = backend_of(encoder).settings
    source = used.source
    settings = {name: getattr(encoder, name) for name in _SETTINGS}
    model = str(encoder.model)
    settings["model"] = source.location if Path(model).expanduser().is_dir() else model
    settings["revision"] = source.commit
    settings["dtype"] = used.dtype
    settings["text"] = text_of(encoder)
    return {**settings, "fingerprint": source.fingerprint()}


def load_encoder(
    settings: dict[str, Any] | None, directory: Path, cache_dir: Path | None
) -> ConversationEncoder:
    """Return the encoder of a model directory.

    Raises
    ------
    ModelDirectoryError
        If the directory has no encoder, or the encoder's files have changed since the fit.
    """
    if settings is None or "model" not in settings:
        raise ModelDirectoryError(
            f"{directory} was saved without an encoder, so it cannot score text: save it with "
            "encoder_settings, or by `skcausalrm fit`."
        )
    kept = _EARLIER | {name: settings[name] for name in _SETTINGS if name in settings}
    source = find_model(kept["model"], kept.get("revision"))
    if "fingerprint" in settings and source.fingerprint() != settings["fingerprint"]:
        raise ModelDirectoryError(
            f"The encoder {kept['model']!r} is not the one that {directory} was fitted with (its "
            "files differ): restore the old files or fit again."
        )
    return ConversationEncoder(**kept, cache_dir=cache_dir)
