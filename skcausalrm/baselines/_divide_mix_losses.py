"""Parts of DivideMix: division into clean and other rows, new labels, mixed rows, the loss."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from ..heads._training_loop import predict_rows
from ._losses import log_loss

Array = NDArray[np.float64]


def clean_probability(losses: Array, rng: np.random.RandomState) -> Array:
    """Return P(clean) of rows, by a mixture of two normals over losses whose lower one is clean."""
    spread = np.ptp(losses)
    scaled = ((losses - losses.min()) / (spread if spread > 0 else 1.0))[:, None]
    mixture = GaussianMixture(2, reg_covar=5e-4, max_iter=50, random_state=rng).fit(scaled)
    return mixture.predict_proba(scaled)[:, mixture.means_.argmin()]


def sharpen(p: Array, temperature: float) -> Array:
    """Return ``p^(1/T) / (p^(1/T) + (1 - p)^(1/T))``."""
    liked, disliked = p ** (1 / temperature), (1 - p) ** (1 / temperature)
    return liked / (liked + disliked)


class Refined(NamedTuple):
    """Labels that each network learns, and the rows it treats as clean, both (n, 2)."""

    labels: Array
    clean: NDArray[np.bool_]


def refine(p: Array, s: Array, clean: Array, temperature: float) -> Refined:
    """Return labels for each network from both networks' predictions p and P(clean), all (n, 2).

    A network's rows are divided by the losses of the other one. The label of a clean row moves
    towards the network's own prediction by its chance of being wrong. The mean of both predictions
    replaces the label of any other row.
    """
    clean = clean[:, ::-1]
    kept = clean > 0.5
    labels = np.where(kept, clean * s[:, None] + (1 - clean) * p, p.mean(axis=1, keepdims=True))
    return Refined(sharpen(labels, temperature), kept)


class MixUp(nn.Module):
    """In training each row is mixed with another one of its batch, which it outweighs.

    Attributes
    ----------
    partner : Tensor of shape (b,)
        The other row of each row of the last batch.
    share : float
        Its own part, at least one half.
    """

    def __init__(self, module: nn.Module, rng: np.random.RandomState):
        super().__init__()
        self.module, self.rng = module, rng
        self.partner, self.share = torch.arange(1), 1.0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.module(x)
        share = self.rng.beta(4, 4)
        self.share = max(share, 1 - share)
        self.partner = torch.from_numpy(self.rng.permutation(len(x))).to(x.device)
        return self.module(self.share * x + (1 - self.share) * x[self.partner])


class DivideMixLoss:
    """Loss of outputs (b, 2) on targets (labels of either network, clean of either network).

    Parameters
    ----------
    method : RobustDivideMix
        Its parameters.
    rows : TrainingRows
        Rows, of which the rated training rows are divided before each epoch, and the random state
        that draws the mixed pairs and the starts of the mixtures.

    Attributes
    ----------
    target : ndarray of shape (n, 4)
        All rows' target, changed in place; feedback and 1 until the networks are warm.
    clean_share : float
        Share of rows treated as clean in the last epoch, mean of both networks.
    """

    mix_up: MixUp

    def __init__(self, method, rows):
        self.method, self.rng = method, rows.rng
        self.divided = rows.train[rows.o[rows.train]]
        self.X, self.s = rows.X[self.divided], rows.s[self.divided]
        certain = np.ones(len(rows.s))
        self.target = np.column_stack([rows.s, rows.s, certain, certain])
        self.clean_share, self.epoch = 1.0, 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return the networks on mixed rows."""
        self.mix_up = MixUp(module, self.rng)
        return self.mix_up

    def before_epoch(self, module: nn.Module, epoch: int) -> Array | None:
        """Return a new target once the networks are warm."""
        self.epoch = epoch
        if epoch <= self.method.warmup_epochs:
            return None
        f = predict_rows(module, self.X).astype(np.float64)
        losses = np.logaddexp(0, f) - self.s[:, None] * f
        clean = np.column_stack([clean_probability(column, self.rng) for column in losses.T])
        refined = refine(expit(f), self.s, clean, self.method.temperature)
        self.target[self.divided] = np.column_stack(refined)
        self.clean_share = float(refined.clean.mean())
        return self.target

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the log loss of clean rows, squared error of others, and the classes' balance."""
        mix = self.mix_up
        labels = mix.share * target[:, :2] + (1 - mix.share) * target[mix.partner, :2]
        clean = target[:, 2:]
        p = output.sigmoid()
        loss = clean * log_loss(output, labels)
        loss = loss + self.method.unlabelled_weight * (1 - clean) * (p - labels).square()
        mean = p.mean(dim=0).clamp(1e-6, 1 - 1e-6)
        balance = -(mean.log() + (1 - mean).log()) / 2 - np.log(2)
        return (loss + balance).sum(dim=1)

    def held_out(self, output: Tensor, target: Tensor) -> Tensor:
        """Return 1 where the mean prediction has the wrong class; falling values in the warm-up."""
        warmup_epochs = self.method.warmup_epochs
        if self.epoch <= warmup_epochs:
            return torch.full_like(output[:, 0], 2 - self.epoch / (warmup_epochs + 1))
        return ((output.sigmoid().mean(dim=1) > 0.5) != (target[:, 0] > 0.5)).to(output.dtype)
