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

from .._extras import import_extra
from .._version import __version__
from ..exceptions import ExportParityError
from .files import write_atomically
from .network import RewardNetwork, describe, feature_names, frame
from .scorer import FORMAT_VERSION, RewardScorer

__all__ = ["created_with", "onnx_bytes", "to_onnx"]

TOLERANCE = 1e-5
_DEFAULT_OPSET = 17
_OLDEST_OPSET = 13
_INPUT_SCALES = (0.0, 1e-3, 1e-2, 0.1, 1.0, 10.0, 1e3, 1e6)


def to_onnx(fitted: Any, path: str | os.PathLike, *, opset: int | None = None) -> Path:
    """Write a fitted reward to one ONNX file that :class:`RewardScorer` scores.

    The graph takes "X" (N, d) float32 and returns "reward" (N,), what ``predict`` gives
    (``predict_proba(X)[:, 1]`` of a classifier), and "score" (N,), what
    ``decision_function`` gives. It holds its weights, and as metadata what it is, which
    method made it, its column names and the versions it was made with.

    Sums run in float64 inside the graph, so that neither width nor input scale costs
    precision. Before the file is kept, both outputs are compared with what the fitted model
    gives in float64, on random rows of scales 1e-3 to 1e6, on zeros and on unit vectors.

    Parameters
    ----------
    fitted : CausalRewardRegressor or CausalRewardClassifier
        Fitted, with the ridge or the MLP head.
    path : path-like
        The file to write. It appears complete or not at all; an older one is replaced.
    opset : int, default=None
        ONNX operator set, from 13 on. None is 17, which every onnxruntime since 1.12 runs.

    Returns
    -------
    path : pathlib.Path

    Raises
    ------
    ExportParityError
        If a reward differs by more than 1e-5 (relative to the largest reward of its batch
        where that exceeds 1, as for a continuous reward). Nothing is written then.
    MissingExtraError
        If onnx or onnxruntime is not installed.
    TypeError
        If `fitted` or its head is of another kind.
    ValueError
        If `opset` is not available.

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
    write_atomically(path, onnx_bytes(fitted, describe(fitted), opset=opset))
    return path


def onnx_bytes(fitted: Any, network: RewardNetwork, *, opset: int | None = None) -> bytes:
    """The checked ONNX model of `fitted`; `network` is ``describe(fitted)``."""
    content = _build(network, _metadata(fitted, network), opset).SerializeToString()
    _check_parity(fitted, RewardScorer(content))
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
        "method": str(fitted.method_),
        "binary": json.dumps(network.binary),
        "n_features": str(network.n_features),
        "feature_names": json.dumps(feature_names(fitted)),
        "created_with": json.dumps(created_with()),
    }


def _build(network: RewardNetwork, metadata: dict[str, str], opset: int | None):
    onnx = import_extra("onnx", extra="export", purpose="to_onnx")
    newest = onnx.defs.onnx_opset_version()
    opset = _DEFAULT_OPSET if opset is None else opset
    if not _OLDEST_OPSET <= opset <= newest:
        raise ValueError(
            f"opset is {opset}; onnx {onnx.__version__} and this graph allow {_OLDEST_OPSET} to "
            f"{newest}."
        )
    graph = _Graph(onnx)
    score = graph.score(network)
    reward = graph.reward(network, score)
    float32 = onnx.TensorProto.FLOAT
    graph.node("Cast", reward, to=float32, output="reward")
    score = graph.node("Sub", score, graph.constant(network.threshold))
    graph.node("Cast", score, to=float32, output="score")
    info = onnx.helper.make_tensor_value_info
    opsets = [onnx.helper.make_opsetid("", opset)]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            "skcausalrm_reward",
            [info("X", float32, ["N", network.n_features])],
            [info("reward", float32, ["N"]), info("score", float32, ["N"])],
            graph.constants,
        ),
        opset_imports=opsets,
        # the newest IR version, make_model's default, is refused by older runtimes
        ir_version=onnx.helper.find_min_ir_version_for(opsets),
        producer_name="skcausalrm",
        producer_version=__version__,
    )
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Nodes and constants of one graph; every value in between is float64."""

    def __init__(self, onnx):
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, operator: str, *inputs: str, output: str = "", **attributes) -> str:
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(
            self.onnx.helper.make_node(operator, list(inputs), [output], **attributes)
        )
        return output

    def constant(self, value: np.ndarray | float) -> str:
        name = f"c{len(self.constants)}"
        value = np.ascontiguousarray(value) if np.ndim(value) else np.array(value, np.float64)
        self.constants.append(self.onnx.numpy_helper.from_array(value, name))
        return name if value.dtype == np.float64 else self.double(name)

    def double(self, value: str) -> str:
        return self.node("Cast", value, to=self.onnx.TensorProto.DOUBLE)

    def score(self, network: RewardNetwork) -> str:
        hidden = self.double("X")
        for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
            hidden = self.node("MatMul", hidden, self.constant(weight))
            hidden = self.node("Add", hidden, self.constant(bias))
            # onnxruntime has no float64 LeakyRelu on the CPU
            leak = self.node("Mul", hidden, self.constant(network.negative_slope))
            hidden = self.node("Max", hidden, leak)
        score = self.node("MatMul", hidden, self.constant(network.weights[-1][:, 0]))
        return self.node("Add", score, self.constant(float(network.biases[-1][0])))

    def reward(self, network: RewardNetwork, score: str) -> str:
        value = self.node("Sigmoid", score) if network.link == "logistic" else score
        if network.binary:
            value = self.node("Clip", value, self.constant(0.0), self.constant(1.0))
        if (recalibration := network.recalibration) is None:
            return value
        value = self.node("Clip", value, self.constant(0.01), self.constant(0.99))
        odds = self.node("Div", value, self.node("Sub", self.constant(1.0), value))
        logit = self.node("Log", odds)
        # l + a + b (l - c) = (1 + b) l + (a - b c)
        slope = self.constant(1.0 + recalibration.slope)
        shift = self.constant(recalibration.intercept - recalibration.slope * recalibration.center)
        return self.node("Sigmoid", self.node("Add", self.node("Mul", logit, slope), shift))


def _check_parity(fitted: Any, scorer: RewardScorer) -> None:
    names = feature_names(fitted)
    for scale, X in _probes(scorer.n_features_in_):
        # float64, since heads round float32 rows in their own way
        framed = frame(X.astype(np.float64), names)
        expected = {"reward": _predict(fitted, framed), "score": fitted.decision_function(framed)}
        found = {"reward": scorer.predict(X), "score": scorer.decision_function(X)}
        for name, values in expected.items():
            unit = max(1.0, float(np.abs(values).max()))
            difference = float(np.abs(found[name] - values).max())
            if not difference <= TOLERANCE * unit:
                raise ExportParityError(
                    f"The exported {name} differs from the fitted model's by {difference:.2g} on "
                    f"inputs of scale {scale:g} (allowed: {TOLERANCE * unit:.2g}), so no file was "
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
