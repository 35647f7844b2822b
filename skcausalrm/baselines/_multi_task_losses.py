"""Losses of networks with outputs reward, propensity and, for DR, imputation; targets (s, o)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ._losses import log_loss, squared_error_of_probability

__all__ = ["multi_task_loss", "reward_loss"]

Loss = Callable[[Tensor, Tensor], Tensor]


def reward_loss(clipping_threshold: float) -> Loss:
    """The reward's corrected loss: of IPS with two outputs, of DR with three."""

    def loss(output: Tensor, target: Tensor) -> Tensor:
        s, o = target.unbind(1)
        weight = o / output[:, 1].sigmoid().detach().clamp(min=clipping_threshold)
        if output.shape[1] == 2:
            return weight * squared_error_of_probability(output[:, 0], s)
        m = output[:, 2].sigmoid().detach()
        return squared_error_of_probability(output[:, 0], m + weight * (s - m))

    return loss


def multi_task_loss(clipping_threshold: float) -> Loss:
    """That of the reward, the propensity, the entire space and, with three outputs, imputation."""
    corrected = reward_loss(clipping_threshold)

    def loss(output: Tensor, target: Tensor) -> Tensor:
        s, o = target.unbind(1)
        p, e = output[:, 0].sigmoid(), output[:, 1].sigmoid()
        total = log_loss(output[:, 1], o) + corrected(output, target) + (e * p - o * s).square()
        if output.shape[1] == 3:
            weight = o / e.detach().clamp(min=clipping_threshold)
            total = total + weight * squared_error_of_probability(output[:, 2], s)
        return total

    return loss
