"""Leaky-ReLU networks that standardise their own input: built, trained, read as plain arrays.

The module imports torch, so estimators import it inside ``fit``.
"""

from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches
from torch import Tensor, nn

from ._training_loop import TrainingResult, train

_BLOCK_BYTES = 32 * 2**20


class TrainedNetwork(NamedTuple):
    """Weights of one output of a network, in plain float64 arrays.

    Attributes
    ----------
    coefs : list of ndarray of shape (n_in, n_out)
        Weight matrices; the standardisation of the input is folded into the first.
    intercepts : list of ndarray of shape (n_out,)
        Biases.
    training : TrainingResult
        Course of the training, which networks that were trained together share.
    """

    coefs: list[NDArray[np.float64]]
    intercepts: list[NDArray[np.float64]]
    training: TrainingResult

    def rescaled(self, scale: float, shift: float) -> Self:
        """Return the network whose output is ``scale * output + shift``."""
        return self._replace(
            coefs=[*self.coefs[:-1], self.coefs[-1] * scale],
            intercepts=[*self.intercepts[:-1], self.intercepts[-1] * scale + shift],
        )


class _Standardize(nn.Module):
    def __init__(self, center: np.ndarray, scale: float):
        super().__init__()
        self.center: Tensor
        self.scale = scale
        self.register_buffer("center", torch.from_numpy(center.astype(np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.center) / self.scale


class _SideBySide(nn.Module):
    """Networks that share their input: outputs (b, k) in the networks' order."""

    def __init__(self, networks):
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        outputs = [network(x) for network in self.networks]
        return torch.cat([o if o.ndim == 2 else o[:, None] for o in outputs], dim=1)


def train_networks(
    X: NDArray,
    target: NDArray,
    weight: NDArray[np.float64],
    *,
    hidden_layer_sizes: tuple[int, ...],
    negative_slope: float,
    rng: np.random.RandomState,
    device=None,
    output_bias: float = 0.0,
    n_networks: int = 1,
    n_outputs: int = 1,
    wrap=None,
    **training,
) -> list[TrainedNetwork]:
    """Train one network, or several next to each other, on one loss.

    Parameters
    ----------
    X, target, weight : ndarray
        Rows, as in :func:`~skcausalrm.heads._training_loop.train`. Rows of weight 0 do not move
        the centre of X.
    hidden_layer_sizes : tuple of int
        Widths of the hidden layers; empty for a linear model.
    negative_slope : float
        Slope of the leaky ReLU below zero.
    rng : RandomState
        Draws the initial weights and the order of the rows.
    device : str or torch.device, default=None
        Device to train on. None is a GPU if there is one.
    output_bias : float, default=0.0
        Initial value of all outputs.
    n_networks, n_outputs : int, default=1
        Number of networks, and of outputs of each; the outputs of one share its hidden layers.
        With one output in all the loss gets (b,), else (b, n_networks * n_outputs).
    wrap : callable, default=None
        ``wrap(module)`` is trained instead of the module; it must hold the module itself, not a
        copy.
    **training
        Further arguments of :func:`~skcausalrm.heads._training_loop.train`: rows, losses, hooks,
        step size and so on.

    Returns
    -------
    list of TrainedNetwork
        One for each output: the outputs of the first network, then those of the second.
    """
    center, scale = _center_and_scale(X, weight)
    sizes = (*hidden_layer_sizes, n_outputs)
    generator = torch.Generator(device="cpu").manual_seed(int(rng.randint(2**31 - 1)))
    with torch.inference_mode(False):  # the caller may be inside inference_mode(True)
        networks = [
            _leaky_mlp(center, scale, sizes, negative_slope, output_bias, generator)
            for _ in range(n_networks)
        ]
        module: nn.Module = networks[0] if n_networks == 1 else _SideBySide(networks)
        if wrap is not None:
            module = wrap(module)
        module.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        result = train(module, X, target, weight, generator=generator, **training)
        weights = map(_plain_weights, networks)
        return [
            TrainedNetwork(
                [*coefs[:-1], coefs[-1][:, [k]]], [*intercepts[:-1], intercepts[-1][[k]]], result
            )
            for coefs, intercepts in weights
            for k in range(n_outputs)
        ]


def _leaky_mlp(center, scale, sizes, negative_slope, output_bias, generator) -> nn.Sequential:
    """Return a network (b, d) -> (b,), or (b, k) for a last size k > 1, constant at the start.

    Hidden layers are drawn by He's rule. The output layer starts at zero, so that training
    departs from the best constant and not from noise.
    """
    layers: list[nn.Module] = [_Standardize(center, scale)]
    for n_in, n_out in pairwise((len(center), *sizes)):
        # skip_init: the constructor would draw from torch's global generator
        linear = nn.utils.skip_init(nn.Linear, n_in, n_out, device="cpu", dtype=torch.float32)
        nn.init.kaiming_uniform_(
            linear.weight, a=negative_slope, nonlinearity="leaky_relu", generator=generator
        )
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.LeakyReLU(negative_slope)]
    layers.pop()
    if sizes[-1] == 1:
        layers.append(nn.Flatten(0))
    nn.init.zeros_(linear.weight)
    nn.init.constant_(linear.bias, output_bias)
    return nn.Sequential(*layers)


def _plain_weights(network: nn.Sequential) -> tuple[list[NDArray], list[NDArray]]:
    """Return float64 weights (in, out) and biases (out,), standardisation folded into the first."""
    entry = next(layer for layer in network if isinstance(layer, _Standardize))
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    coefs = [layer.weight.detach().cpu().numpy().T.astype(np.float64) for layer in linear]
    intercepts = [layer.bias.detach().cpu().numpy().astype(np.float64) for layer in linear]
    coefs[0] = coefs[0] / entry.scale
    intercepts[0] = intercepts[0] - entry.center.cpu().numpy().astype(np.float64) @ coefs[0]
    return coefs, intercepts


def _center_and_scale(X: NDArray, weight: NDArray) -> tuple[NDArray, float]:
    """Return column means and the root mean square of the centred columns, in one pass."""
    scaler = StandardScaler()
    for rows in gen_batches(len(X), max(1, _BLOCK_BYTES // (8 * X.shape[1]))):
        scaler.partial_fit(X[rows].astype(np.float64), sample_weight=weight[rows])
    return scaler.mean_, float(np.sqrt(scaler.var_.mean())) or 1.0
