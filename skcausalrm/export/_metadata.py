"""Metadata of an exported ONNX file: one function writes it, one reads it."""

from __future__ import annotations

import json
from typing import Any

from .._version import __version__
from ..exceptions import ModelDirectoryError
from ._linear import LinearReward, describe_linear
from ._network import RewardNetwork

# Raised when older versions of RewardScorer could no longer score a new file.
FORMAT_VERSION = 1


def write_metadata(
    network: RewardNetwork,
    *,
    method: str,
    feature_names: list[str] | None,
    created_with: dict[str, str],
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
    created_with : dict of str
        Versions of the packages in use.
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
        "linear": describe_linear(network),
        "created_with": json.dumps(created_with),
    }


def read_metadata(raw: dict[str, str]) -> dict[str, Any]:
    """Return the metadata of a reward's file as `RewardScorer.metadata_` shows it.

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
        return {
            "format_version": found,
            "skcausalrm_version": raw["skcausalrm_version"],
            "head": raw["head"],
            "method": raw["method"],
            "binary": json.loads(raw["binary"]),
            "n_features": int(raw["n_features"]),
            "feature_names": json.loads(raw["feature_names"]),
            "single_fit": json.loads(raw.get("single_fit", "null")),
            "text": json.loads(raw.get("text", "null")),
            "created_with": json.loads(raw["created_with"]),
        }
    except (KeyError, ValueError) as error:
        raise ModelDirectoryError(
            "The ONNX model's skcausalrm metadata is damaged; export it again."
        ) from error


def read_linear(raw: dict[str, str]) -> LinearReward | None:
    """Return the linear reward that the metadata holds, or None for other heads.

    Raises
    ------
    ModelDirectoryError
        If it is damaged.
    """
    try:
        facts = json.loads(raw.get("linear", "null"))
        return None if facts is None else LinearReward(facts)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelDirectoryError(
            "The ONNX model's linear metadata is damaged; export it again."
        ) from error
