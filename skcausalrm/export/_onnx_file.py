"""`to_onnx`: build the graph, prove that it equals `predict`, then write the file."""

from __future__ import annotations

import json
import math
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from .._utils._atomic_files import write_atomically
from .._utils._extras import import_extra
from .._version import __version__
from ..exceptions import ExportParityError, ModelDirectoryError, UnsupportedExportError
from ._graph import build_model
from ._linear import describe_linear
from ._network import RewardNetwork, describe, describe_single, feature_names, frame
from ._scorer import FORMAT_VERSION, RewardScorer

__all__ = ["created_with", "onnx_bytes", "to_onnx"]

TOLERANCE = 1e-5
ORDER_TOLERANCE = 1e-4
_INPUT_SCALES = (0.0, 1e-3, 1e-2, 0.1, 1.0, 10.0, 1e3, 1e6)


def to_onnx(
    fitted: Any, path: str | os.PathLike, *, opset: int | None = None, single: bool = False
) -> Path:
    """Write a fitted reward to one ONNX file that :class:`RewardScorer` scores.

    The graph takes "X" (N, d) float32 and returns "reward" (N,), what ``predict`` gives
    (``predict_proba(X)[:, 1]`` of a classifier), and "score" (N,), what
    ``decision_function`` gives; of the joint model's own head and of a ridge head also
    "reward_std" (N,), the standard deviation that ``predict(X, return_std=True)`` gives. It
    holds its weights, and as metadata what it is, which method made it, its column names and
    the versions it was made with.

    Sums run in float64 inside the graph, so that neither width nor input scale costs
    precision. Before the file is kept, all outputs are compared with what the fitted model
    gives in float64, on random rows of scales 1e-3 to 1e6, on zeros and on unit vectors.

    Parameters
    ----------
    fitted : CausalRewardRegressor, CausalRewardClassifier, or a Pipeline that ends with one
        Fitted. The joint model's own head, the ridge and the MLP head are written by this package,
        other heads and the steps of a Pipeline by skl2onnx, in float64 where it can.
    path : path-like
        The file to write. It appears complete or not at all; an older one is replaced.
    opset : int, default=None
        ONNX operator set, from 13 on. None is 17, which every onnxruntime since 1.12 runs.
    single : bool, default=False
        Of the joint model's own head, a mean of sigmoids, write the one sigmoid nearest to it
        instead (recalibrated as the mixture is): d numbers and an intercept, for systems that
        take a linear score only. It has no standard deviation. ``RewardScorer.metadata_``
        says under "single_fit" how far its probabilities are from the mixture's.

    Returns
    -------
    path : pathlib.Path

    Raises
    ------
    ExportParityError
        If a reward differs by more than 1e-5 (relative to the largest reward of its batch
        where that exceeds 1, as for a continuous reward), or if rewards that differ by more than
        1e-4 change their order. Nothing is written then.
    MissingExtraError
        If onnx, onnxruntime or, for what it is to write, skl2onnx is not installed.
    TypeError
        If `fitted` is of another kind.
    UnsupportedExportError
        If skl2onnx cannot convert the head or a step.
    UnusedParameterError
        If `single` is asked of another head.
    ValueError
        If `opset` is not available.

    Notes
    -----
    "single_fit" holds differences of probabilities before any recalibration:
    "largest_training_difference" over the training rows, "largest_normal_difference" and
    "mean_normal_difference" over indices (see `MixtureHead.indices`) of a standard normal
    distribution, the largest within 4 standard deviations. Files of the mixture hold it too.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from pathlib import Path
    >>> from skcausalrm import CausalRewardRegressor
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.export import RewardScorer, to_onnx
    >>> data = make_observational_feedback(2000, 16, random_state=0)
    >>> model = CausalRewardRegressor(random_state=0).fit(data.X, data.y, groups=data.groups)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scorer = RewardScorer.load(to_onnx(model, Path(folder) / "reward.onnx"))
    >>> bool(np.abs(scorer.predict(data.X) - model.predict(data.X)).max() < 1e-5)
    True
    """
    path = Path(path)
    if single:
        fitted, network = describe_single(fitted)
    else:
        network = describe(fitted, any_head=True)
    write_atomically(path, onnx_bytes(fitted, network, opset=opset))
    return path


def onnx_bytes(fitted: Any, network: RewardNetwork, *, opset: int | None = None) -> bytes:
    """The checked ONNX model of `fitted`; `network` is what :func:`describe` says of it."""
    metadata = _metadata(fitted, network)
    if network.estimator is None and network.before is None:
        return _checked(fitted, network, metadata, opset, double=True)
    try:
        return _checked(fitted, network, metadata, opset, double=True)
    except (UnsupportedExportError, ModelDirectoryError, ExportParityError):
        # an operator that skl2onnx or onnxruntime has, or has right, in float32 alone
        return _checked(fitted, network, metadata, opset, double=False)


def _checked(fitted, network: RewardNetwork, metadata, opset, *, double: bool) -> bytes:
    content = build_model(network, metadata, opset, double=double).SerializeToString()
    scorer = RewardScorer(content)
    _check_parity(fitted, network, scorer)
    if scorer._linear is not None:  # numpy scored; other runtimes run the graph
        scorer._linear = None
        _check_parity(fitted, network, scorer)
    return content


def created_with() -> dict[str, str]:
    """Versions that an exported file records."""
    return {
        "python": platform.python_version(),
        "skcausalrm": __version__,
        "numpy": np.__version__,
        "scikit-learn": version("scikit-learn"),
        "onnx": import_extra("onnx", extra="export", purpose="Export").__version__,
        "onnxruntime": import_extra("onnxruntime", extra="cpu", purpose="Export").__version__,
    }


def _metadata(fitted: Any, network: RewardNetwork) -> dict[str, str]:
    return {
        "format_version": str(FORMAT_VERSION),
        "skcausalrm_version": __version__,
        "head": network.head,
        "method": str(_reward(fitted).method_),
        "binary": json.dumps(network.binary),
        "n_features": str(network.n_features),
        "feature_names": json.dumps(feature_names(fitted)),
        "single_fit": json.dumps(network.single_fit),
        "linear": describe_linear(network),
        "created_with": json.dumps(created_with()),
    }


def _reward(fitted: Any) -> Any:
    """The estimator of ours, of a Pipeline its last step."""
    return fitted[-1] if hasattr(fitted, "steps") else fitted


def _check_parity(fitted: Any, network: RewardNetwork, scorer: RewardScorer) -> None:
    names, reward = feature_names(fitted), _reward(fitted)
    for scale, X in _probes(scorer.n_features_in_):
        # float64, since heads round float32 rows in their own way
        framed = frame(X.astype(np.float64), names)
        if network.before is not None:
            framed = network.before.transform(framed)
        expected = {"reward": _predict(reward, framed), "score": reward.decision_function(framed)}
        try:
            found = {"reward": scorer.predict(X), "score": scorer.decision_function(X)}
        except ValueError as error:
            raise ExportParityError(
                f"The exported file has no finite score on inputs of scale {scale:g} where the "
                f"fitted model has, so no file was written; leave out what divides by a norm of 0."
            ) from error
        if network.has_std:
            expected["reward_std"] = reward._predict_with_std(framed)[1]
            found["reward_std"] = scorer.predict(X, return_std=True)[1]
        for name, values in expected.items():
            unit = max(1.0, float(np.abs(values).max()))
            difference = float(np.abs(found[name] - values).max())
            if not difference <= TOLERANCE * unit:
                raise ExportParityError(
                    f"The exported {name} differs from the fitted model's by {difference:.2g} on "
                    f"inputs of scale {scale:g} (allowed: {TOLERANCE * unit:.2g}), so no file was "
                    "written; please report this with the versions in use."
                )
        larger = np.subtract.outer(expected["reward"], expected["reward"]) > ORDER_TOLERANCE
        if (larger & (np.subtract.outer(found["reward"], found["reward"]) <= 0)).any():
            raise ExportParityError(
                f"The exported file orders rewards that differ by more than {ORDER_TOLERANCE:g} in "
                f"another way than the fitted model on inputs of scale {scale:g}, so no file was "
                "written; please report this with the versions in use."
            )


def _probes(n_features: int):
    rng = np.random.default_rng(0)
    for scale in _INPUT_SCALES:
        yield scale, (scale * rng.standard_normal((32, n_features))).astype(np.float32)
    columns = np.unique(np.linspace(0, n_features - 1, 32).astype(int))
    unit = np.zeros((2 * len(columns), n_features), dtype=np.float32)
    unit[np.arange(len(columns)), columns] = 1
    unit[len(columns) + np.arange(len(columns)), columns] = -1
    yield 1.0 / math.sqrt(n_features), unit


def _predict(fitted: Any, X) -> np.ndarray:
    if hasattr(fitted, "predict_proba"):
        return fitted.predict_proba(X)[:, 1]
    return fitted.predict(X)
