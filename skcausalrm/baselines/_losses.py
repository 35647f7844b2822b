"""Losses of torch outputs before the sigmoid, per row."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

__all__ = ["log_loss", "squared_error_of_probability"]


def squared_error_of_probability(output: Tensor, target: Tensor) -> Tensor:
    """``(sigmoid(f) - t)^2``."""
    return (output.sigmoid() - target).square()


def log_loss(output: Tensor, target: Tensor) -> Tensor:
    """``-t log p - (1 - t) log(1 - p)`` with ``p = sigmoid(f)``: linear in t, whatever t is."""
    return softplus(output) - target * output
