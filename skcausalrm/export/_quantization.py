"""Smaller and faster forms of an encoder's graph that score each text independently.

onnxruntime's dynamic int8 has one scale for the activations of a whole batch, so a text's reward
depends on the other texts of its batch. Here every token has a scale of its own.
"""

from functools import cache
from typing import Any
from unittest import mock

import numpy as np

from .._utils._extras import import_extra

PRECISIONS = ("float32", "float16", "int8", "int8-weights")
_MICROSOFT = "com.microsoft"
# Smallest scale, so that a token or column of zeros can be divided by its scale.
_TINY = np.float32(1e-12)


def reduce_precision(model, precision: str):
    """Return the model in one of the precisions that `text_to_onnx` documents.

    Parameters
    ----------
    model : onnx.ModelProto
        Model in float32. It may be changed in place.
    precision : {"float32", "float16", "int8", "int8-weights"}
        Precision of the result.

    Returns
    -------
    onnx.ModelProto
        Model in that precision.
    """
    if precision == "int8":
        model = _int8_feed_forward(model)
    elif precision == "int8-weights":
        model = _int8_weights(model)
    # float16 halves the other weights, above all the table of word vectors
    return model if precision == "float32" else _float16_weights(model)


def _int8_weights(model):
    # importing the module configures logging for the whole process
    with mock.patch("logging.basicConfig"):
        from onnxruntime.quantization import matmul_nbits_quantizer as library
    library.logger.setLevel("WARNING")
    quantizer = library.MatMulNBitsQuantizer(
        model, bits=8, block_size=32, is_symmetric=True, accuracy_level=4
    )
    quantizer.process()
    return quantizer.model.model


def _float16_weights(model):
    """Store weights as float16, cast to float32 when the file is loaded.

    Products stay float32: in float16 they are no faster on a CPU, and their rounding depends on
    the padding.
    """
    onnx = import_extra("onnx", extra="export", purpose="Exporting an encoder")
    casts, initializers = [], []
    for value in model.graph.initializer:
        if value.data_type == onnx.TensorProto.FLOAT and len(value.dims) >= 2:
            name, half = value.name, onnx.numpy_helper.to_array(value).astype(np.float16)
            value = onnx.numpy_helper.from_array(half, f"{name}/half")
            casts.append(
                onnx.helper.make_node("Cast", [value.name], [name], to=onnx.TensorProto.FLOAT)
            )
        initializers.append(value)
    _replace(model.graph, [*casts, *model.graph.node], initializers)
    return model


def _int8_feed_forward(model):
    """Compute feed-forward layers as int8 products, with scales per token and per column.

    Let x (K,) be a token's values and W (K, N) the weights. Then x = a q with a = max|x| / 127 and
    W = p c with c[j] = max|W[:, j]| / 127, where q and p are integers, so x W = a (q p) c up to
    rounding. Layers with a square matrix are skipped: in a transformer these are the projections
    of attention, where a few columns of x are much larger than the others and rounding costs most.
    """
    onnx = import_extra("onnx", extra="export", purpose="Exporting an encoder")
    graph = model.graph
    weights = {
        value.name: value
        for value in graph.initializer
        if value.data_type == onnx.TensorProto.FLOAT and len(value.dims) == 2
    }
    constants: dict[str, np.ndarray] = {}
    nodes: list[Any] = []

    def constant(name: str, value) -> str:
        constants[name] = np.asarray(value)
        return name

    def add(operator: str, inputs: list[str], output: str, **attributes) -> None:
        nodes.append(onnx.helper.make_node(operator, inputs, [output], **attributes))

    @cache
    def quantize(x: str, width: int) -> None:
        """Add rows of `x` as uint8 around 128, their scales, and the leading dimensions of x."""
        axis = constant("int8/axis", [1])
        add("Reshape", [x, constant(f"int8/{width}", [-1, width])], f"{x}/rows")
        add("Abs", [f"{x}/rows"], f"{x}/abs")
        add("ReduceMax", [f"{x}/abs", axis], f"{x}/max", keepdims=0)
        add("Mul", [f"{x}/max", constant("int8/step", np.float32(1 / 127))], f"{x}/step")
        add("Max", [f"{x}/step", constant("int8/tiny", _TINY)], f"{x}/scale")
        add("Shape", [f"{x}/scale"], f"{x}/count")
        add("Expand", [constant("int8/zero", np.uint8(128)), f"{x}/count"], f"{x}/zeros")
        add("QuantizeLinear", [f"{x}/rows", f"{x}/scale", f"{x}/zeros"], f"{x}/int8", axis=0)
        add("Unsqueeze", [f"{x}/scale", axis], f"{x}/column")
        add("Shape", [x], f"{x}/leading", start=0, end=-1)

    for node in graph.node:
        name = node.input[1] if node.op_type == "MatMul" else ""
        if name not in weights or weights[name].dims[0] == weights[name].dims[1]:
            nodes.append(node)
            continue
        weight = onnx.numpy_helper.to_array(weights[name])
        width, columns = weight.shape
        x, y = node.input[0], node.output[0]
        quantize(x, width)
        scale = np.maximum(np.abs(weight).max(axis=0) / 127, _TINY)
        factors = [
            f"{x}/int8",
            constant(f"{name}/int8", np.rint(weight / scale).astype(np.int8)),
            constant("int8/one", np.float32(1)),
            constant(f"{name}/scale", scale),
            "int8/zero",
            constant(f"{name}/zero", np.zeros(columns, np.int8)),
        ]
        add("MatMulIntegerToFloat", factors, f"{y}/unscaled", domain=_MICROSOFT)
        add("Mul", [f"{y}/unscaled", f"{x}/column"], f"{y}/rows")
        shape = [f"{x}/leading", constant(f"int8/out{columns}", [columns])]
        add("Concat", shape, f"{y}/shape", axis=0)
        add("Reshape", [f"{y}/rows", f"{y}/shape"], y)
    used = {name for node in nodes for name in node.input}
    kept = [value for value in graph.initializer if value.name in used]
    added = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    _replace(graph, nodes, [*kept, *added])
    del graph.value_info[:]
    if constants:
        model.opset_import.append(onnx.helper.make_opsetid(_MICROSOFT, 1))
    return model


def _replace(graph, nodes: list[Any], initializers: list[Any]) -> None:
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(initializers)
