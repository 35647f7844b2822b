"""The onnxruntime session of an exported file."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._utils._extras import import_extra
from .._utils._warnings import warn
from ..exceptions import ExportWarning, ModelDirectoryError

CPU = "CPUExecutionProvider"


def start_session(model: bytes, wanted: Sequence[Any]) -> tuple[Any, Any]:
    """Return a session that runs a model by the first usable provider, and options to run a part.

    Parameters
    ----------
    model : bytes
        Content of an ONNX file.
    wanted : sequence
        Providers in order of preference.

    Raises
    ------
    ModelDirectoryError
        If onnxruntime cannot load it.
    MissingExtraError
        If onnxruntime is not installed.

    Warns
    -----
    ExportWarning
        If the first provider is not the one that runs.
    """
    onnxruntime = import_extra("onnxruntime", extra="cpu", purpose="RewardScorer")
    available = onnxruntime.get_available_providers()
    usable = [provider for provider in wanted if _name(provider) in available]
    options = onnxruntime.SessionOptions()
    # Threads that wait by spinning take cores from the code that feeds them. Without spinning one
    # text is scored a third faster, and a batch as fast.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(model, options, providers=usable or [CPU])
    except Exception as error:  # onnxruntime's errors have no common base of their own
        raise ModelDirectoryError(
            f"The ONNX model ({len(model)} bytes) cannot be loaded by onnxruntime "
            f"{onnxruntime.__version__}; export it again."
        ) from error
    runs = session.get_providers()[0]
    if runs != (first := _name(wanted[0])):
        warn(
            f"{first} is not usable here, so {runs} runs; install the matching onnxruntime and "
            f"drivers (for CUDA: `pip install skcausalrm[gpu]`).",
            ExportWarning,
            "provider-fallback",
        )
    part = onnxruntime.RunOptions()
    part.only_execute_path_to_fetches = True
    return session, part


def _name(provider: Any) -> str:
    return provider if isinstance(provider, str) else provider[0]


def check_finite(scores: np.ndarray, start: int = 0) -> None:
    """Raise if a score is not finite; `start` is the row of the first.

    Raises
    ------
    ValueError
    """
    if len(bad := np.flatnonzero(~np.isfinite(scores))):
        raise ValueError(
            f"Row {start + bad[0]} of X has no finite score; it must not hold NaN, inf or values "
            f"beyond float32."
        )
