"""A leaky-ReLU network that standardises its own input, and its plain weights.

It imports torch, so estimators import it inside ``fit``.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["leaky_mlp", "plain_weights"]


class _Standardize(nn.Module):
    def __init__(self, center: np.ndarray, scale: float):
        super().__init__()
        self.center: Tensor
        self.scale = scale
        self.register_buffer("center", torch.from_numpy(center.astype(np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.center) / self.scale


def leaky_mlp(
    center: np.ndarray,
    scale: float,
    hidden_layer_sizes: tuple[int, ...],
    *,
    negative_slope: float,
    output_bias: float,
    generator: torch.Generator,
    n_outputs: int = 1,
) -> nn.Sequential:
    """A network (b, d) -> (b,) whose start is the constant `output_bias`.

    Hidden layers are drawn by `generator` (He's rule); the output layer starts at zero, so
    that training departs from the best constant instead of from noise.

    Parameters
    ----------
    center, scale : ndarray of shape (d,), float
        The input enters as ``(x - center) / scale``.
    hidden_layer_sizes : tuple of int
        Widths; empty for a linear model.
    negative_slope : float
        Of the leaky ReLU.
    output_bias : float
        Bias of the output.
    generator : torch.Generator
        A CPU generator.
    n_outputs : int, default=1
        With more than one, the network gives (b, n_outputs) from the same hidden layers.
    """
    sizes = (len(center), *hidden_layer_sizes, n_outputs)
    layers: list[nn.Module] = [_Standardize(center, scale)]
    for n_in, n_out in pairwise(sizes):
        # skip_init: the constructor would draw from torch's global generator
        linear = nn.utils.skip_init(nn.Linear, n_in, n_out, device="cpu", dtype=torch.float32)
        nn.init.kaiming_uniform_(
            linear.weight, a=negative_slope, nonlinearity="leaky_relu", generator=generator
        )
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.LeakyReLU(negative_slope)]
    layers.pop()
    if n_outputs == 1:
        layers.append(nn.Flatten(0))
    nn.init.zeros_(linear.weight)
    nn.init.constant_(linear.bias, output_bias)
    return nn.Sequential(*layers)


def plain_weights(network: nn.Sequential) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights (in, out) and biases (out,) in float64, standardisation folded into the first."""
    entry = next(layer for layer in network if isinstance(layer, _Standardize))
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    coefs = [layer.weight.detach().cpu().numpy().T.astype(np.float64) for layer in linear]
    intercepts = [layer.bias.detach().cpu().numpy().astype(np.float64) for layer in linear]
    coefs[0] = coefs[0] / entry.scale
    intercepts[0] = intercepts[0] - entry.center.cpu().numpy().astype(np.float64) @ coefs[0]
    return coefs, intercepts
