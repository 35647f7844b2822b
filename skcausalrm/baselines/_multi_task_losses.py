"""Losses of networks with outputs reward, propensity and, for DR, imputation; targets (s, o)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ._losses import log_loss, squared_error_of_probability

__all__ = ["multi_task_loss", "reward_loss", "stable_loss", "stable_reward_loss"]

Loss = Callable[[Tensor, Tensor], Tensor]


def reward_loss(clipping_threshold: float, *, normalised: bool = False) -> Loss:
    """The reward's corrected loss: of IPS with two outputs, of DR with three.

    `normalised` divides the weights by their mean over the batch: risks of epochs compare only
    so, since weights grow while the propensity is being learnt.
    """

    def loss(output: Tensor, target: Tensor) -> Tensor:
        s, o = target.unbind(1)
        weight = _weight(output, o, clipping_threshold)
        if normalised and weight.any():
            weight = weight / weight.mean()
        observed = squared_error_of_probability(output[:, 0], s)
        if output.shape[1] == 2:
            return weight * observed
        m = output[:, 2].sigmoid().detach()
        imputed = squared_error_of_probability(output[:, 0], m)
        return imputed + weight * (observed - imputed)

    return loss


def multi_task_loss(clipping_threshold: float) -> Loss:
    """That of the reward, the propensity, the entire space and, with three outputs, imputation."""
    corrected = reward_loss(clipping_threshold)

    def loss(output: Tensor, target: Tensor) -> Tensor:
        s, o = target.unbind(1)
        p, e = output[:, 0].sigmoid(), output[:, 1].sigmoid()
        total = log_loss(output[:, 1], o) + corrected(output, target) + (e * p - o * s).square()
        if output.shape[1] == 3:
            weight = _weight(output, o, clipping_threshold)
            total = total + weight * squared_error_of_probability(output[:, 2], s)
        return total

    return loss


def stable_reward_loss(clipping_threshold: float) -> Loss:
    """The reward's squared error by weights with a mean of 1 over the batch."""

    def loss(output: Tensor, target: Tensor) -> Tensor:
        s, o = target.unbind(1)
        weight = _weight(output, o, clipping_threshold)
        weight = weight / weight.mean().clamp(min=1e-6)
        return weight * squared_error_of_probability(output[:, 0], s)

    return loss


def stable_loss(clipping_threshold: float, stability: float) -> Loss:
    """That of the reward, the propensity, the imputation, and of what stabilises: a penalty."""
    reward = stable_reward_loss(clipping_threshold)

    def loss(output: Tensor, target: Tensor) -> Tensor:
        s, o = target.unbind(1)
        p, m = output[:, 0].sigmoid(), output[:, 2].sigmoid()
        weight = _weight(output, o, clipping_threshold)
        # only the propensity learns from the penalty
        imputed = (m - p).square().detach()
        learning = o / output[:, 1].sigmoid().clamp(min=clipping_threshold)
        drift = (learning * (imputed - imputed.mean())).mean()
        return (
            reward(output, target)
            + log_loss(output[:, 1], o)
            + weight * squared_error_of_probability(output[:, 2], s)
            + stability * drift.square()
        )

    return loss


def _weight(output: Tensor, o: Tensor, clipping_threshold: float) -> Tensor:
    """Inverse propensities of rated rows, without gradient."""
    return o / output[:, 1].sigmoid().detach().clamp(min=clipping_threshold)
