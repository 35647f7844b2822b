"""A linear reward in numpy, which is faster than onnxruntime at every batch size.

One row costs one product of vectors. Many rows are read in blocks that stay in the CPU's cache.
"""

import base64
import json
import math
from dataclasses import astuple
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..selection._recalibration_map import Recalibration, sigmoid
from ._network import RewardNetwork

# Maximum rows multiplied in float64 without a float32 product first.
_FEW_ROWS = 64
# Bytes of a block of rows, which stays in a core's cache while it is read twice.
_BLOCK_BYTES = 2**20
# Bound of the rounding of a float32 product of two vectors, relative to the product of their norms:
# about twice the rounding that occurs.
_ROUNDING = 2 * float(np.finfo(np.float32).eps)
# Maximum rounding of a product that stays in float32.
_TOLERANCE = 5e-6


def describe_linear(network: RewardNetwork) -> str:
    """Return JSON for `LinearReward`: a network of one linear layer, null for other networks."""
    other = network.before is not None or network.pessimism is not None
    if other or len(network.weights) != 1:
        return "null"
    recalibration = network.recalibration
    weight = network.weights[0][:, 0].astype("<f8")
    return json.dumps(
        {
            "weight": base64.b64encode(weight.tobytes()).decode(),
            "bias": float(network.biases[0][0]),
            "logistic": network.link == "logistic",
            "binary": network.binary,
            "threshold": network.threshold,
            "recalibration": None if recalibration is None else list(astuple(recalibration)),
        }
    )


class LinearReward:
    """Rewards and scores of a linear head, within 5e-6 of float64.

    Rows of a large batch are multiplied in float32. Rows whose rounding might reach 5e-6, judged by
    the norms of row and weights, are multiplied again in float64.

    Parameters
    ----------
    facts : dict
        Content of the JSON of :func:`describe_linear`.
    """

    def __init__(self, facts: dict[str, Any]):
        self.weight = np.frombuffer(base64.b64decode(facts["weight"]), dtype="<f8")
        self.bias, self.threshold = float(facts["bias"]), float(facts["threshold"])
        self.logistic, self.binary = bool(facts["logistic"]), bool(facts["binary"])
        found = facts["recalibration"]
        self.recalibration = None if found is None else Recalibration(*found)
        self._single = self.weight.astype(np.float32)
        norm = float(np.linalg.norm(self.weight))
        # squared norm of a row up to which float32 is precise enough
        safe = _TOLERANCE / (_ROUNDING * norm) if norm else math.inf
        self._safe = safe * safe  # ** would raise if this is infinite

    def products(self, X: NDArray) -> NDArray[np.float64]:
        """Return ``X @ weight + bias``, shape (n,), X read as float32 in blocks."""
        if len(X) <= _FEW_ROWS:
            return np.asarray(X, dtype=np.float32).astype(np.float64) @ self.weight + self.bias
        result = np.empty(len(X))
        rows = max(_FEW_ROWS, _BLOCK_BYTES // (4 * len(self.weight)))
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(X), rows):
                part = np.asarray(X[start : start + rows], dtype=np.float32)
                out = result[start : start + rows]
                np.add(np.dot(part, self._single), self.bias, out=out)
                # squared norms by BLAS, because einsum takes a third longer
                norms = np.matmul(part[:, None, :], part[:, :, None])[:, 0, 0]
                risky = ~(norms <= self._safe)  # NaN is risky too
                if 2 * np.count_nonzero(risky) > len(part):
                    np.add(np.dot(part.astype(np.float64), self.weight), self.bias, out=out)
                elif risky.any():
                    out[risky] = part[risky].astype(np.float64) @ self.weight + self.bias
        return result

    def score(self, products: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``decision_function`` of rows with these products."""
        return products - self.threshold

    def reward(self, products: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``predict`` of rows with these products."""
        values = sigmoid(products) if self.logistic else products
        if self.binary:
            values = np.minimum(np.maximum(values, 0.0), 1.0)
        return values if self.recalibration is None else self.recalibration(values)
