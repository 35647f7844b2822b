"""Metadata of an exported ONNX file: one function writes it, one reads it."""

import json
import platform
from importlib.metadata import version
from typing import Any

import numpy as np

from .._utils._extras import import_extra
from .._version import __version__
from ..exceptions import ModelDirectoryError
from ._linear import LinearReward, describe_linear
from ._network import RewardNetwork
from ._text_tokens import TextSettings

# Raised when older versions of RewardScorer could no longer score a new file.
FORMAT_VERSION = 1


def write_metadata(
    network: RewardNetwork, method: str, feature_names: list[str] | None
) -> dict[str, str]:
    """Return the metadata of a reward's file, as strings that ONNX can hold.

    Parameters
    ----------
    network : RewardNetwork
        The exported reward.
    method : str
        Method that corrected the feedback.
    feature_names : list of str or None
        Column names of X, if it had any.
    """
    return {
        "format_version": str(FORMAT_VERSION),
        "skcausalrm_version": __version__,
        "head": network.head,
        "method": method,
        "binary": json.dumps(network.binary),
        "n_features": str(network.n_features),
        "feature_names": json.dumps(feature_names),
        "single_fit": json.dumps(network.single_fit),
        "pessimism": json.dumps(network.pessimism),
        "support_quantiles": json.dumps(
            None if network.support is None else network.support.quantiles.tolist()
        ),
        "linear": describe_linear(network),
        "created_with": json.dumps(created_with()),
    }


def created_with() -> dict[str, str]:
    """Return the versions that an exported file records."""
    return {
        "python": platform.python_version(),
        "skcausalrm": __version__,
        "numpy": np.__version__,
        "scikit-learn": version("scikit-learn"),
        "onnx": import_extra("onnx", extra="export", purpose="Export").__version__,
        "onnxruntime": import_extra("onnxruntime", extra="cpu", purpose="Export").__version__,
    }


def read_metadata(
    raw: dict[str, str],
) -> tuple[dict[str, Any], LinearReward | None, TextSettings | None]:
    """Return the metadata of a reward's file as `RewardScorer.metadata_` shows it.

    Returns
    -------
    metadata : dict
    linear : LinearReward or None
        The reward, if its head is linear.
    text : TextSettings or None
        Settings of the input, if the file scores text.

    Raises
    ------
    ModelDirectoryError
        If there is none, it is damaged, or a newer skcausalrm wrote it.
    """
    try:
        found = int(raw["format_version"])
    except (KeyError, ValueError) as error:
        raise ModelDirectoryError(
            "The ONNX model has no skcausalrm metadata; RewardScorer reads files of to_onnx only."
        ) from error
    if found > FORMAT_VERSION:
        raise ModelDirectoryError(
            f"The ONNX model has format version {found} and this skcausalrm reads up to "
            f"{FORMAT_VERSION}; upgrade skcausalrm."
        )
    try:
        text, linear = (json.loads(raw.get(name, "null")) for name in ("text", "linear"))
        metadata = {
            "format_version": found,
            "skcausalrm_version": raw["skcausalrm_version"],
            "head": raw["head"],
            "method": raw["method"],
            "binary": json.loads(raw["binary"]),
            "n_features": int(raw["n_features"]),
            "feature_names": json.loads(raw["feature_names"]),
            "single_fit": json.loads(raw.get("single_fit", "null")),
            "text": text,
            "pessimism": json.loads(raw.get("pessimism", "null")),
            "support_quantiles": json.loads(raw.get("support_quantiles", "null")),
            "acceptance": json.loads(raw.get("acceptance", "null")),
            "reward_reference": json.loads(raw.get("reward_reference", "null")),
            "created_with": json.loads(raw["created_with"]),
        }
        return metadata, linear and LinearReward(linear), text and TextSettings(**text)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelDirectoryError(
            "The ONNX model's skcausalrm metadata is damaged; export it again."
        ) from error
