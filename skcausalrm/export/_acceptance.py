"""`keep_threshold`: from which reward on an exported model accepts an answer, kept in its files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Protocol

from .._utils._atomic_files import write_atomically, write_synced
from .._utils._extras import import_extra
from .._utils._hashing import hash_bytes
from ..exceptions import InvalidInputError, ModelDirectoryError
from ._layout import CONFIG, ONNX, WEIGHTS, check_place, new_folder
from ._model_directory import load_model_directory, signed_config
from ._scorer import RewardScorer


class _Threshold(Protocol):
    def as_dict(self) -> dict[str, Any]: ...


def keep_threshold(path: str | os.PathLike, threshold: _Threshold | None) -> Path:
    """Keep a threshold in an exported model, from where scorers and servers apply it.

    `RewardScorer.accepts` and the server's ``/score`` then say which answers are accepted. A
    text file in float32 that is exported from a model directory afterwards has it too; one in a
    lower precision has other rewards, and needs a threshold of its own.

    Parameters
    ----------
    path : path-like
        ONNX file of `to_onnx` or `text_to_onnx`, or a model directory; it is replaced as a whole or
        not at all.
    threshold : RewardThreshold or None
        Result of `skcausalrm.inference.threshold_for` for this model. None: take it out again.

    Returns
    -------
    path : pathlib.Path
        The changed model.

    Raises
    ------
    InvalidInputError
        If `threshold` is no RewardThreshold.
    ModelDirectoryError
        If there is no model at `path`, it is damaged, or its folder holds other files too.
    MissingExtraError
        If onnx or onnxruntime is not installed.

    Examples
    --------
    >>> from skcausalrm.export import RewardScorer, keep_threshold
    >>> keep_threshold("reward.onnx", found)                           # doctest: +SKIP
    >>> RewardScorer.load("reward.onnx").accepts(rows)                 # doctest: +SKIP
    array([ True, False])
    """
    path = Path(path)
    if threshold is not None and not hasattr(threshold, "as_dict"):
        raise InvalidInputError(
            f"threshold is a {type(threshold).__name__}: pass the RewardThreshold that "
            f"threshold_for returns, or None to take it out."
        )
    facts = None if threshold is None else threshold.as_dict()
    if not path.is_dir():
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelDirectoryError(
                f"{path} cannot be read ({error.strerror}): name an exported ONNX file or a model "
                f"directory."
            ) from error
        RewardScorer(content, tokenizer=path.parent)  # raises if it is no reward
        write_atomically(path, _with_acceptance(content, facts))
        return path
    model = load_model_directory(path)
    place = path.resolve()
    check_place(place, overwrite=True)
    files = {ONNX: _with_acceptance(model.onnx, facts), WEIGHTS: model.read(WEIGHTS)}
    config = {name: value for name, value in model.config.items() if name != "checksum"}
    config |= {"acceptance": facts, "files": {k: hash_bytes(v) for k, v in files.items()}}
    files[CONFIG] = signed_config(config)
    with new_folder(place) as folder:
        for name, content in files.items():
            write_synced(folder / name, content)
    return path


def _with_acceptance(content: bytes, facts: dict[str, Any] | None) -> bytes:
    """Return an ONNX file with other numbers in its metadata."""
    onnx = import_extra("onnx", extra="export", purpose="keep_threshold")
    model = onnx.load_from_string(content)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**properties, "acceptance": json.dumps(facts)})
    return model.SerializeToString()
