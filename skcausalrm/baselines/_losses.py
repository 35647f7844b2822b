"""Losses of torch outputs before the sigmoid, one value a row.

Terms of a whole batch are added to each of its rows, so that the mean is the paper's loss. Losses
of several networks read outputs (b, k): reward, propensity and, with three, imputation; their
targets are (s, o).
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus


def squared_error_of_probability(output: Tensor, target: Tensor) -> Tensor:
    """Return ``(sigmoid(f) - t)^2``."""
    return (output.sigmoid() - target).square()


def log_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return ``-t log p - (1 - t) log(1 - p)`` with ``p = sigmoid(f)``: linear in any t."""
    return softplus(output) - target * output


def entropy(output: Tensor) -> Tensor:
    """Return ``-p log p - (1 - p) log(1 - p)``."""
    p = output.sigmoid()
    return -p * logsigmoid(output) - (1 - p) * logsigmoid(-output)


def contrast(output: Tensor, rated: Tensor) -> Tensor:
    """Return the cross entropy of the mean predictions of unrated and of rated rows, a scalar.

    It is 0 where a batch lacks rated or unrated rows.
    """
    if rated.all() or not rated.any():
        return output.sum() * 0
    p = output.sigmoid()
    a, b = p[rated].mean(), p[~rated].mean().clamp(1e-6, 1 - 1e-6)
    return -a * b.log() - (1 - a) * (1 - b).log()


def jensen_shannon(one: Tensor, other: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence of two predictions, in [0, log 2]."""
    middle = ((one.sigmoid() + other.sigmoid()) / 2).clamp(1e-7, 1 - 1e-7)
    mixed = -middle * middle.log() - (1 - middle) * (1 - middle).log()
    return mixed - (entropy(one) + entropy(other)) / 2


def epsilon_softmax(output: Tensor, m: float) -> tuple[Tensor, Tensor]:
    """Return p of class 1 and of class 0, the likelier one raised by m, divided by ``1 + m``."""
    p, q = output.sigmoid(), (-output).sigmoid()
    likelier = (output > 0).to(p.dtype)
    return (p + m * likelier) / (1 + m), (q + m * (1 - likelier)) / (1 + m)


def non_negative_risk(output: Tensor, positive: Tensor, prior: float) -> tuple[Tensor, Tensor]:
    """Return the log loss of good and of bad rows, from positive and unlabelled rows.

    The second is the loss of unlabelled rows as negatives, less that of the positives in them: an
    estimate of a loss that is never negative. Both are scalars; a batch without positives, or
    without other rows, counts 0 for them.
    """
    zero = output.sum() * 0
    liked = softplus(-output[positive]).mean() if positive.any() else zero
    mistaken = softplus(output[positive]).mean() if positive.any() else zero
    rest = softplus(output[~positive]).mean() if not positive.all() else zero
    return prior * liked, rest - prior * mistaken


def latent_groups(f: Tensor, g: Tensor, acted: Tensor) -> Tensor:
    """Return ``-c log(p a) - (1 - c) log(1 - p a)``, ``p = sigmoid(f)``, ``a = sigmoid(g)``."""
    both = logsigmoid(f) + logsigmoid(g)
    # 1 - p a is the sum of the three silent groups, none of which cancels another
    silent = torch.logaddexp(logsigmoid(-f), logsigmoid(f) + logsigmoid(-g))
    return -acted * both - (1 - acted) * silent


class CoTraining:
    """Loss of outputs (b, 2): each network learns from the rows that the other chose.

    Parameters
    ----------
    forget_rate : float
        Final share of rows left out.
    ramp_epochs : int
        Number of epochs over which the share rises to it.
    discrepancy_weight : float
        Weight of the networks' disagreement against the loss in the choice.
    """

    def __init__(self, forget_rate: float, ramp_epochs: int, discrepancy_weight: float):
        self.forget_rate, self.ramp_epochs = forget_rate, ramp_epochs
        self.discrepancy_weight = discrepancy_weight
        self.left_out = 0.0

    def before_epoch(self, module, epoch: int) -> None:
        """Set the share of rows that are left out in this epoch."""
        self.left_out = self.forget_rate * min((epoch - 1) / self.ramp_epochs, 1)

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of training rows, by the share of the epoch."""
        return self._of_chosen(output, target, 1 - self.left_out)

    def held_out(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of held-out rows, by the final share: their labels are flipped too."""
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


def reward_loss(
    output: Tensor, target: Tensor, clipping_threshold: float, *, normalised: bool = False
) -> Tensor:
    """Return the reward's corrected loss: of IPS with two outputs, of DR with three.

    `normalised` divides the weights by their mean over the batch. Only then can risks of epochs be
    compared, because weights grow while the propensity is being learnt.
    """
    s, o = target.unbind(1)
    weight = _weight(output, o, clipping_threshold)
    if normalised:
        weight = weight / weight.mean().clamp(min=1e-6)
    observed = squared_error_of_probability(output[:, 0], s)
    if output.shape[1] == 2:
        return weight * observed
    m = output[:, 2].sigmoid().detach()
    imputed = squared_error_of_probability(output[:, 0], m)
    return imputed + weight * (observed - imputed)


def multi_task_loss(output: Tensor, target: Tensor, clipping_threshold: float) -> Tensor:
    """Return the loss of reward, propensity, entire space and, with three outputs, imputation."""
    s, o = target.unbind(1)
    p, e = output[:, 0].sigmoid(), output[:, 1].sigmoid()
    corrected = reward_loss(output, target, clipping_threshold)
    total = log_loss(output[:, 1], o) + corrected + (e * p - o * s).square()
    if output.shape[1] == 3:
        weight = _weight(output, o, clipping_threshold)
        total = total + weight * squared_error_of_probability(output[:, 2], s)
    return total


def stable_loss(
    output: Tensor, target: Tensor, clipping_threshold: float, stability: float
) -> Tensor:
    """Return the loss of reward, propensity and imputation, with the stabilising penalty."""
    s, o = target.unbind(1)
    p, m = output[:, 0].sigmoid(), output[:, 2].sigmoid()
    weight = _weight(output, o, clipping_threshold)
    # only the propensity learns from the penalty
    imputed = (m - p).square().detach()
    learning = o / output[:, 1].sigmoid().clamp(min=clipping_threshold)
    drift = (learning * (imputed - imputed.mean())).mean()
    return (
        reward_loss(output[:, :2], target, clipping_threshold, normalised=True)
        + log_loss(output[:, 1], o)
        + weight * squared_error_of_probability(output[:, 2], s)
        + stability * drift.square()
    )


def _weight(output: Tensor, o: Tensor, clipping_threshold: float) -> Tensor:
    """Return inverse propensities of rated rows, without gradient."""
    return o / output[:, 1].sigmoid().detach().clamp(min=clipping_threshold)
