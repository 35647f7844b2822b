"""The ONNX graph of a reward."""

from typing import Any

import numpy as np

from .._utils._extras import import_extra
from .._version import __version__
from ..exceptions import UnsupportedExportError
from ..selection._recalibration_map import CLIP
from ._converters import INPUT, sklearn_graph
from ._network import RewardNetwork

# Operator set that every onnxruntime since 1.12 runs, and the first in which the operators of the
# graph have their present inputs.
_DEFAULT_OPSET, _OLDEST_OPSET = 17, 13


def build_model(
    network: RewardNetwork, metadata: dict[str, str], opset: int | None, *, double: bool = True
):
    """Return the checked ONNX model of a network (see `to_onnx` for its inputs and outputs).

    Parameters
    ----------
    network : RewardNetwork
        The reward.
    metadata : dict of str
        Metadata of the model.
    opset : int or None
        ONNX operator set; None is 17.
    double : bool, default=True
        Whether parts of scikit-learn compute in float64; the package's own parts always do.

    Raises
    ------
    UnsupportedExportError
        If skl2onnx writes a graph that is not valid.
    ValueError
        If `opset` is not available.
    """
    onnx = import_extra("onnx", extra="export", purpose="to_onnx")
    newest = onnx.defs.onnx_opset_version()
    opset = _DEFAULT_OPSET if opset is None else opset
    if not _OLDEST_OPSET <= opset <= newest:
        raise ValueError(
            f"opset is {opset}; onnx {onnx.__version__} and this graph allow {_OLDEST_OPSET} to "
            f"{newest}."
        )
    graph = _Graph(onnx, opset, double)
    outputs = graph.outputs(network)
    float32 = onnx.TensorProto.FLOAT
    for name, value in outputs.items():
        graph.node("Cast", value, to=float32, output=name)
    info = onnx.helper.make_tensor_value_info
    opsets = [onnx.helper.make_opsetid("", opset), *graph.opsets.values()]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            "skcausalrm_reward",
            [info("X", float32, ["N", network.n_features])],
            [info(name, float32, ["N"]) for name in outputs],
            graph.constants,
        ),
        opset_imports=opsets,
        # older runtimes refuse the newest IR version, which is the default of make_model
        ir_version=onnx.helper.find_min_ir_version_for(opsets),
        producer_name="skcausalrm",
        producer_version=__version__,
    )
    onnx.helper.set_model_props(model, metadata)
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.shape_inference.InferenceError as error:  # in parts written by skl2onnx
        raise UnsupportedExportError(
            f"skl2onnx writes no valid graph of {network.head} and the steps before it: use "
            f"estimators that it supports, or score with the fitted object."
        ) from error
    return model


class _Graph:
    """Builder of a graph's nodes and constants; values inside the graph are float64."""

    def __init__(self, onnx, opset: int, double: bool):
        self.onnx, self.opset, self.in_double = onnx, opset, double
        self.opsets: dict[str, Any] = {}  # for operators outside of ONNX's own domain
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
        return self.double(name) if value.dtype == np.float32 else name

    def double(self, value: str) -> str:
        return self.node("Cast", value, to=self.onnx.TensorProto.DOUBLE)

    def affine(self, value: str, weight: np.ndarray, bias: np.ndarray) -> str:
        return self.node("Gemm", value, self.constant(weight), self.constant(bias))

    def sklearn(self, value: str, estimator: Any, n_features: int) -> str:
        """Add the graph of a fitted estimator and return its output for `value`."""
        part = sklearn_graph(estimator, n_features, self.opset, double=self.in_double)
        if not self.in_double:
            value = self.node("Cast", value, to=self.onnx.TensorProto.FLOAT)
        prefix = f"s{len(self.nodes)}/"
        graph = self.onnx.compose.add_prefix_graph(part.graph, prefix, rename_nodes=False)
        for node in graph.node:
            node.name = ""
            node.input[:] = [value if name == prefix + INPUT else name for name in node.input]
        self.constants += graph.initializer
        self.nodes += graph.node
        self.opsets |= {opset.domain: opset for opset in part.opset_import if opset.domain}
        return self.double(graph.output[0].name)

    def squeeze(self, column: str) -> str:
        """Drop the second axis of a column, (N, 1) to (N,)."""
        # onnxruntime multiplies by a column several times as fast as by a vector
        return self.node("Squeeze", column, self.constant(np.array([1])))

    def mean(self, members: str, weights: np.ndarray) -> str:
        """Average columns with these weights, shape (N, 1)."""
        return self.node("MatMul", members, self.constant(weights[:, None]))

    def outputs(self, network: RewardNetwork) -> dict[str, str]:
        """Build the whole graph and return the name of each output's value."""
        X = self.double("X")
        if network.before is not None:
            X = self.sklearn(X, network.before, network.n_features)
        last, weights = self.layers(network, X), network.component_weights
        score = last if weights is None else self.log_odds(last, weights)
        value = self.node("Sigmoid", score) if network.link == "logistic" else score
        prediction = self.clipped(network, value)
        reward = self.recalibrated(network, prediction)
        outputs = {
            "reward": reward,
            "score": self.node("Sub", score, self.constant(network.threshold)),
        }
        if network.pessimism is not None:
            outputs |= self.pessimistic(network, X, last)
        std = ""
        if weights is not None:
            std = self.spread(self.node("Sigmoid", last), weights)
        elif network.fold_weights is not None and network.fold_biases is not None:
            folds = self.affine(X, network.fold_weights, network.fold_biases)
            n_folds = len(network.fold_biases)
            std = self.spread(self.clipped(network, folds), np.full(n_folds, 1 / n_folds))
        if std:
            outputs["reward_std"] = self.recalibrated_std(network, std, prediction, reward)
        if network.support is not None:
            outputs["distance"] = self.distance(network, X)
        return outputs

    def distance(self, network: RewardNetwork, X: str) -> str:
        """Compute `LogSupport.distances`."""
        support = network.support
        centred = self.node("Sub", X, self.constant(support.mean))
        inside = self.node("MatMul", centred, self.constant(support.whitening))
        inside = self.node("Mul", inside, inside)
        total = self.row_sum(self.node("Mul", centred, centred))
        known = self.squeeze(self.mean(inside, support.variances))
        outside = self.node("Max", self.node("Sub", total, known), self.constant(0.0))
        outside = self.node("Div", outside, self.constant(support.rest))
        return self.node("Add", self.row_sum(inside), outside)

    def row_sum(self, values: str) -> str:
        return self.node("ReduceSum", values, self.constant(np.array([1])), keepdims=0)

    def pessimistic(self, network: RewardNetwork, X: str, last: str) -> dict[str, str]:
        """Compute the pessimistic reward, and as its score the same before clipping."""
        if (weights := network.component_weights) is None:
            members, n_folds = self.folds(network, X)
            share = np.full(n_folds, 1 / n_folds)
        else:
            members, share = self.members(network, X, last, weights)
        value = self.soft_minimum(members, share, network.pessimism)
        clipped = self.soft_minimum(self.clipped(network, members), share, network.pessimism)
        reward = self.recalibrated(network, self.clipped(network, clipped))
        return {"reward": reward, "score": value}

    def folds(self, network: RewardNetwork, X: str) -> tuple[str, int]:
        """Compute a ridge head's stretched models of the folds, (N, n_folds), and their number."""
        weight, bias = np.asarray(network.fold_weights), np.asarray(network.fold_biases)
        stretch = np.sqrt(max(len(bias) - 1, 1))
        weight = network.weights[0] + stretch * (weight - weight.mean(axis=1, keepdims=True))
        bias = network.biases[0] + stretch * (bias - bias.mean())
        return self.affine(X, weight, bias), len(bias)

    def members(
        self, network: RewardNetwork, X: str, last: str, weights: np.ndarray
    ) -> tuple[str, np.ndarray]:
        """Compute a mixture's components by the model of each fold, (N, n_folds * m)."""
        if network.spread_weights is None or network.spread_biases is None:
            return self.node("Sigmoid", last), weights
        one, two = self.constant(np.array([1])), self.constant(np.array([2]))
        change = self.affine(X, network.spread_weights, network.spread_biases)
        slopes = self.constant(np.ascontiguousarray(network.weights[1][0]))
        change = self.node("Mul", self.node("Unsqueeze", change, two), slopes)
        u = self.node("Add", self.node("Unsqueeze", last, one), change)
        flat = self.node("Reshape", self.node("Sigmoid", u), self.constant(np.array([0, -1])))
        n_folds = len(network.spread_biases)
        return flat, np.tile(weights, n_folds) / n_folds

    def soft_minimum(self, members: str, share: np.ndarray, beta: float | None) -> str:
        """Compute ``-log(exp(-beta members) @ share) / beta``, shape (N,)."""
        powers = self.node("Mul", members, self.constant(-float(beta or 0)))
        powers = self.node("Add", powers, self.constant(np.log(share)))
        return self.node("Div", self.log_sum_exp(powers), self.constant(-float(beta or 0)))

    def layers(self, network: RewardNetwork, hidden: str) -> str:
        """Apply the layers: (N, m) for a mixture, otherwise (N,)."""
        if network.estimator is not None:
            found = self.sklearn(hidden, network.estimator, network.n_inputs)
            return self.node("Reshape", found, self.constant(np.array([-1])))
        for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
            hidden = self.affine(hidden, weight, bias)
            if network.negative_slope != 1:
                # onnxruntime has no float64 LeakyRelu on the CPU
                leak = self.node("Mul", hidden, self.constant(network.negative_slope))
                hidden = self.node("Max", hidden, leak)
        last = self.affine(hidden, network.weights[-1], network.biases[-1])
        return self.squeeze(last) if network.component_weights is None else last

    def log_odds(self, u: str, weights: np.ndarray) -> str:
        """Compute the log odds of ``sigmoid(u) @ weights``, which do not saturate."""
        # log sigmoid(u) = min(u, 0) - log(1 + exp(-|u|)), log sigmoid(-u) = log sigmoid(u) - u
        decay = self.node("Exp", self.node("Neg", self.node("Abs", u)))
        rest = self.node("Log", self.node("Add", decay, self.constant(1.0)))
        good = self.node("Sub", self.node("Min", u, self.constant(0.0)), rest)
        good = self.node("Add", good, self.constant(np.log(weights)))
        bad = self.node("Sub", good, u)
        return self.node("Sub", self.log_sum_exp(good), self.log_sum_exp(bad))

    def log_sum_exp(self, values: str) -> str:
        if self.opset < 18:
            return self.node("ReduceLogSumExp", values, axes=[1], keepdims=0)
        return self.node("ReduceLogSumExp", values, self.constant(np.array([1])), keepdims=0)

    def clipped(self, network: RewardNetwork, value: str) -> str:
        if not network.binary:
            return value
        return self.node("Clip", value, self.constant(0.0), self.constant(1.0))

    def recalibrated(self, network: RewardNetwork, prediction: str) -> str:
        """Apply `Recalibration.__call__`: sigmoid(scale l + offset), l the clipped log odds."""
        if (recalibration := network.recalibration) is None:
            return prediction
        p = self.inner(prediction)
        logit = self.node("Log", self.node("Div", p, self.complement(p)))
        stretched = self.node("Mul", logit, self.constant(recalibration.scale))
        return self.node(
            "Sigmoid", self.node("Add", stretched, self.constant(recalibration.offset))
        )

    def spread(self, members: str, weights: np.ndarray) -> str:
        """Compute the weighted standard deviation over columns, shape (N,)."""
        deviation = self.node("Sub", members, self.mean(members, weights))
        square = self.node("Mul", deviation, deviation)
        return self.node("Sqrt", self.squeeze(self.mean(square, weights)))

    def recalibrated_std(
        self, network: RewardNetwork, std: str, prediction: str, reward: str
    ) -> str:
        """Multiply `std` by `Recalibration.derivative`."""
        if (recalibration := network.recalibration) is None:
            return std
        p = self.inner(prediction)
        rise = self.node("Mul", self.variance(reward), self.constant(recalibration.scale))
        slope = self.node("Div", rise, self.variance(p))
        unclipped = self.double(self.node("Equal", p, prediction))
        return self.node("Mul", self.node("Mul", std, unclipped), slope)

    def inner(self, prediction: str) -> str:
        """Clip a prediction as the recalibration does."""
        return self.node("Clip", prediction, self.constant(CLIP), self.constant(1 - CLIP))

    def complement(self, p: str) -> str:
        return self.node("Sub", self.constant(1.0), p)

    def variance(self, p: str) -> str:
        return self.node("Mul", p, self.complement(p))
