"""Losses of torch outputs before the sigmoid, one value a row.

Terms of a whole batch are added to each of its rows, so that the mean is the paper's loss.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

__all__ = [
    "contrast",
    "entropy",
    "epsilon_softmax",
    "jensen_shannon",
    "latent_groups",
    "log_loss",
    "non_negative_risk",
    "squared_error_of_probability",
]


def squared_error_of_probability(output: Tensor, target: Tensor) -> Tensor:
    """``(sigmoid(f) - t)^2``."""
    return (output.sigmoid() - target).square()


def log_loss(output: Tensor, target: Tensor) -> Tensor:
    """``-t log p - (1 - t) log(1 - p)`` with ``p = sigmoid(f)``: linear in t, whatever t is."""
    return softplus(output) - target * output


def entropy(output: Tensor) -> Tensor:
    """``-p log p - (1 - p) log(1 - p)``."""
    p = output.sigmoid()
    return -p * logsigmoid(output) - (1 - p) * logsigmoid(-output)


def contrast(output: Tensor, rated: Tensor) -> Tensor:
    """Cross entropy of the mean prediction of unrated rows against that of rated ones, a scalar.

    0 where a batch lacks rated or unrated rows.
    """
    if rated.all() or not rated.any():
        return output.sum() * 0
    p = output.sigmoid()
    a, b = p[rated].mean(), p[~rated].mean().clamp(1e-6, 1 - 1e-6)
    return -a * b.log() - (1 - a) * (1 - b).log()


def jensen_shannon(one: Tensor, other: Tensor) -> Tensor:
    """Jensen-Shannon divergence of two predictions, in [0, log 2]."""
    middle = ((one.sigmoid() + other.sigmoid()) / 2).clamp(1e-7, 1 - 1e-7)
    mixed = -middle * middle.log() - (1 - middle) * (1 - middle).log()
    return mixed - (entropy(one) + entropy(other)) / 2


def epsilon_softmax(output: Tensor, m: float) -> tuple[Tensor, Tensor]:
    """``p + m`` for the likelier class, divided by ``1 + m``: of class 1 and of class 0."""
    p, q = output.sigmoid(), (-output).sigmoid()
    likelier = (output > 0).to(p.dtype)
    return (p + m * likelier) / (1 + m), (q + m * (1 - likelier)) / (1 + m)


def non_negative_risk(output: Tensor, positive: Tensor, prior: float) -> tuple[Tensor, Tensor]:
    """Risk of positives, and of unlabelled rows taken for negatives less the positives in them.

    The second is an estimate of a risk that is never negative. Both are scalars, by log loss; a
    batch without positives, or without other rows, counts 0 for them.
    """
    zero = output.sum() * 0
    liked = softplus(-output[positive]).mean() if positive.any() else zero
    mistaken = softplus(output[positive]).mean() if positive.any() else zero
    rest = softplus(output[~positive]).mean() if not positive.all() else zero
    return prior * liked, rest - prior * mistaken


def latent_groups(f: Tensor, g: Tensor, acted: Tensor) -> Tensor:
    """``-c log(p a) - (1 - c) log(1 - p a)`` with ``p = sigmoid(f)`` and ``a = sigmoid(g)``."""
    both = logsigmoid(f) + logsigmoid(g)
    # 1 - p a is the sum of the three silent groups, none of which cancels another
    silent = torch.logaddexp(logsigmoid(-f), logsigmoid(f) + logsigmoid(-g))
    return -acted * both - (1 - acted) * silent
