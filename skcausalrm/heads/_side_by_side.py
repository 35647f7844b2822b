"""Networks with the settings of an MLPHead, one or several, trained side by side on one loss.

It imports torch, so estimators import it inside ``fit``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches
from torch import Tensor, nn

from ._network import leaky_mlp, plain_weights
from ._training_loop import TrainingResult, train

if TYPE_CHECKING:
    from ._mlp import MLPHead

__all__ = ["SideBySide", "TrainedNetworks", "train_networks"]

_BLOCK_BYTES = 32 * 2**20


class TrainedNetworks(NamedTuple):
    """What :func:`train_networks` made.

    Attributes
    ----------
    weights : list of (coefs, intercepts)
        Plain float64 weights of each output, as `MLPHead` keeps them: the outputs of the first
        network, then those of the second.
    result : TrainingResult
    """

    weights: list[tuple[list[NDArray], list[NDArray]]]
    result: TrainingResult


class SideBySide(nn.Module):
    """Networks that share their input: outputs (b, k) in the networks' order."""

    def __init__(self, networks):
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        outputs = [network(x) for network in self.networks]
        return torch.cat([o if o.ndim == 2 else o[:, None] for o in outputs], dim=1)


def train_networks(
    head: MLPHead,
    X: NDArray,
    target: NDArray,
    weight: NDArray[np.float64],
    *,
    train_rows: NDArray[np.intp],
    validation_rows: NDArray[np.intp],
    rng: np.random.RandomState,
    output_bias: float = 0.0,
    n_networks: int = 1,
    n_outputs: int = 1,
    wrap=None,
    **hooks,
) -> TrainedNetworks:
    """Train networks by the one training loop, with a head's settings.

    Parameters
    ----------
    head : MLPHead
        Layer sizes, learning rate, epochs and so on; it is not changed.
    X, target, weight, train_rows, validation_rows
        As in :func:`~skcausalrm.heads._training_loop.train`. Rows of weight 0 do not move
        the centre of X.
    rng : RandomState
        Draws the weights at the start and the order of the rows.
    output_bias : float, default=0.0
        All outputs start at it.
    n_networks, n_outputs : int, default=1
        Networks side by side, and outputs of each; the outputs of one share hidden layers. With
        one output in all the loss gets (b,), else (b, n_networks * n_outputs).
    wrap : callable, optional
        ``wrap(module)`` is trained instead of the module, of which it should hold no copy.
    **hooks
        `loss`, `validation_loss`, `criterion` and `before_epoch` of the training loop.

    Returns
    -------
    TrainedNetworks
    """
    hidden = head._layer_sizes()
    center, scale = _center_and_scale(X, weight)
    generator = torch.Generator(device="cpu").manual_seed(int(rng.randint(2**31 - 1)))
    with torch.inference_mode(False):  # the caller may be inside inference_mode(True)
        networks = [
            leaky_mlp(
                center,
                scale,
                hidden,
                negative_slope=head.negative_slope,
                output_bias=output_bias,
                generator=generator,
                n_outputs=n_outputs,
            )
            for _ in range(n_networks)
        ]
        module: nn.Module = networks[0] if n_networks == 1 else SideBySide(networks)
        if wrap is not None:
            module = wrap(module)
        module.to(head.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        result = train(
            module,
            X,
            target,
            weight,
            train_rows=train_rows,
            validation_rows=validation_rows,
            generator=generator,
            learning_rate=head.learning_rate,
            weight_decay=head.weight_decay,
            batch_size=head.batch_size,
            max_epochs=head.max_epochs,
            patience=head.patience,
            verbose=head.verbose,
            **hooks,
        )
        weights = [
            ([*coefs[:-1], coefs[-1][:, [k]]], [*intercepts[:-1], intercepts[-1][[k]]])
            for coefs, intercepts in map(plain_weights, networks)
            for k in range(n_outputs)
        ]
    return TrainedNetworks(weights, result)


def _center_and_scale(X: NDArray, weight: NDArray) -> tuple[NDArray, float]:
    """Column means and the root mean square of the centred columns, all in one pass."""
    scaler = StandardScaler()
    for rows in gen_batches(len(X), max(1, _BLOCK_BYTES // (8 * X.shape[1]))):
        scaler.partial_fit(X[rows].astype(np.float64), sample_weight=weight[rows])
    return scaler.mean_, float(np.sqrt(scaler.var_.mean())) or 1.0
