"""The loss of two networks that choose each other's rows."""

from __future__ import annotations

import torch
from torch import Tensor

from ._losses import jensen_shannon, log_loss

__all__ = ["CoTraining"]


class CoTraining:
    """Loss of outputs (b, 2): each network learns from the rows that the other chose.

    Parameters
    ----------
    forget_rate, ramp_epochs
        The share of rows left out rises to `forget_rate` over so many epochs.
    discrepancy_weight : float
        How much disagreement makes up for loss in the choice.
    """

    def __init__(self, forget_rate: float, ramp_epochs: int, discrepancy_weight: float):
        self.forget_rate, self.ramp_epochs = forget_rate, ramp_epochs
        self.discrepancy_weight = discrepancy_weight
        self.left_out = 0.0

    def before_epoch(self, module, epoch: int) -> None:
        """Set the share of rows that are left out in this epoch."""
        self.left_out = self.forget_rate * min((epoch - 1) / self.ramp_epochs, 1)

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Loss of training rows, by the share of the epoch."""
        return self._of_chosen(output, target, 1 - self.left_out)

    def held_out(self, output: Tensor, target: Tensor) -> Tensor:
        """Loss of held-out rows, by the final share: theirs are flipped too."""
        return self._of_chosen(output, target, 1 - self.forget_rate)

    def _of_chosen(self, output: Tensor, target: Tensor, share: float) -> Tensor:
        losses = log_loss(output, target[:, None])
        with torch.no_grad():
            apart = jensen_shannon(output[:, 0], output[:, 1])
            choice = losses - self.discrepancy_weight * apart[:, None]
            n_kept = max(1, round(share * len(output)))
            chosen = choice.argsort(dim=0).argsort(dim=0) < n_kept
        # the mean over the batch is that over the kept rows
        return (chosen.flip(1) * losses).sum(dim=1) * (len(output) / n_kept)
