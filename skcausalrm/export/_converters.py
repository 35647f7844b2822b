"""Graphs of scikit-learn's steps and heads, written by skl2onnx."""

from typing import Any
from unittest import mock

import numpy as np

from .._utils._extras import import_extra
from ..exceptions import UnsupportedExportError

INPUT = "input"
# First operator set of ONNX-ML whose trees have float64 thresholds.
_ML_OPSET = 3


def sklearn_graph(estimator: Any, n_features: int, opset: int, *, double: bool):
    """Return the ONNX model of a fitted transformer or regressor.

    Parameters
    ----------
    estimator : scikit-learn estimator
        Fitted transformer or regressor.
    n_features : int
        Columns that it takes.
    opset : int
        ONNX operator set.
    double : bool
        Whether to compute in float64, which not every operator supports.

    Returns
    -------
    onnx.ModelProto
        Model from "input" (N, n_features) to one output, in float64 or float32.

    Raises
    ------
    UnsupportedExportError
        If skl2onnx has no converter for the estimator or one of its parts.
    MissingExtraError
        If skl2onnx is not installed.
    """
    skl2onnx = import_extra(
        "skl2onnx", extra="export", purpose="Exporting scikit-learn's estimators"
    )
    types = skl2onnx.common.data_types
    kind = types.DoubleTensorType if double else types.FloatTensorType
    try:
        with mock.patch.object(skl2onnx.common._container, "make_node", _make_node):
            return skl2onnx.convert_sklearn(
                estimator,
                initial_types=[(INPUT, kind([None, n_features]))],
                target_opset={"": opset, "ai.onnx.ml": _ML_OPSET},
            )
    except Exception as error:  # skl2onnx's errors have no common base
        raise UnsupportedExportError(
            f"skl2onnx {skl2onnx.__version__} cannot convert {type(estimator).__name__} "
            f"({type(error).__name__}): use estimators that it supports, or score with the fitted "
            f"object."
        ) from error


def _make_node(*arguments, **attributes):
    """Pass numpy's unsigned and boolean numbers to onnx as Python's own."""
    from onnx.helper import make_node

    return make_node(*arguments, **{name: _plain(value) for name, value in attributes.items()})


def _plain(value: Any) -> Any:
    array = np.asarray(value)
    return array.astype(int).tolist() if array.dtype.kind in "biu" else value
