"""The one training loop of the package: any torch module on rows, targets and weights.

The module imports torch, so estimators import it inside ``fit``.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

_EVALUATION_BYTES = 64 * 2**20


class TrainingResult(NamedTuple):
    """Course of a training; the module itself holds the best weights.

    Attributes
    ----------
    validation_risk : ndarray of shape (n_epochs + 1,)
        Weighted mean loss on the validation rows; entry 0 is before the first step.
    best_epoch : int
        The entry of `validation_risk` whose weights were kept.
    ended_by : {"patience", "max_epochs", "divergence"}
        Why training ended.
    """

    validation_risk: np.ndarray
    best_epoch: int
    ended_by: str


def squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Return the squared error per row: on pseudo-outcomes, the corrected risk up to a constant."""
    return (output - target).square()


def train(
    module: nn.Module,
    X: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    train_rows: np.ndarray,
    validation_rows: np.ndarray,
    generator: torch.Generator,
    loss: Callable[[Tensor, Tensor], Tensor] = squared_error,
    validation_loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    criterion: Callable[[nn.Module, int], float] | None = None,
    before_epoch: Callable[[nn.Module, int], np.ndarray | None] | None = None,
    learning_rate: float = 3e-4,
    weight_decay: float = 0.0,
    batch_size: int = 512,
    max_epochs: int = 200,
    patience: int = 10,
    verbose: int = 0,
) -> TrainingResult:
    """Fit `module` in place by Adam and keep the weights of the lowest held-out risk.

    No global state changes: no seed, no thread count, no default dtype. The rows of `X` are
    gathered batch by batch and never copied as a whole, except onto a GPU that has room.

    Parameters
    ----------
    module : torch.nn.Module
        Maps a float32 batch (b, d) to outputs (b,) or (b, k). It is trained on the
        device of its parameters.
    X : ndarray of shape (n, d)
        Rows, float32 or float64, in memory or memory-mapped.
    target : ndarray of shape (n,) or (n, m)
        Targets or pseudo-outcomes, or the columns that `loss` reads.
    weight : ndarray of shape (n,), optional
        Row weights. They are divided by their mean, so their scale does not matter.
    train_rows, validation_rows : ndarray of int
        Rows to train on, and rows that decide when to stop.
    generator : torch.Generator
        A CPU generator; it draws one permutation of `train_rows` per epoch.
    loss : callable, default=squared_error
        ``loss(output, target)`` per row, shape (b,).
    validation_loss : callable, optional
        The same for the validation rows, where it differs from `loss`.
    criterion : callable, optional
        ``criterion(module, epoch)`` instead of the risk on the validation rows.
    before_epoch : callable, optional
        ``before_epoch(module, epoch)``, epochs counted from 1, may return a new `target`.
    learning_rate : float, default=3e-4
        Step size of Adam.
    weight_decay : float, default=0.0
        Share by which each step shrinks all parameters but biases.
    batch_size : int, default=512
        Largest batch; the batches of an epoch are of equal size, to within one row.
    max_epochs, patience : int
        Stop after `max_epochs`, or after `patience` epochs without a lower validation risk.
    verbose : int, default=0
        1 shows a progress bar on stderr.

    Returns
    -------
    TrainingResult

    Examples
    --------
    >>> import numpy as np, torch
    >>> from skcausalrm.heads._training_loop import train
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 3)).astype(np.float32)
    >>> module = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0))
    >>> result = train(module, X, X[:, 0], train_rows=np.arange(400),
    ...                validation_rows=np.arange(400, 500), learning_rate=0.05,
    ...                batch_size=50, generator=torch.Generator().manual_seed(0))
    >>> bool(result.validation_risk[result.best_epoch] < 1e-3)
    True
    """
    data = _Rows(next(module.parameters()).device, X, target, weight, np.asarray(train_rows))
    order = torch.from_numpy(np.asarray(train_rows, dtype=np.int64))
    held_out = torch.from_numpy(np.asarray(validation_rows, dtype=np.int64))
    n_batches = -(-len(order) // batch_size)
    parameters = list(module.parameters())
    optimizer = torch.optim.AdamW(
        [p for p in parameters if p.ndim > 1],
        lr=learning_rate,
        weight_decay=weight_decay / learning_rate,  # torch multiplies the two
        fused=True,
    )
    biases = [p for p in parameters if p.ndim <= 1]
    optimizer.add_param_group({"params": biases, "weight_decay": 0.0})

    def risk(epoch: int) -> float:
        if criterion is not None:
            return criterion(module, epoch)
        return _risk(module, data, held_out, validation_loss or loss)

    risks = [risk(0)]
    best, best_epoch, ended_by = _snapshot(module), 0, "max_epochs"
    with tqdm(range(1, max_epochs + 1), disable=not verbose, unit="epoch") as epochs:
        for epoch in epochs:
            new_target = None if before_epoch is None else before_epoch(module, epoch)
            if new_target is not None:
                data.set_target(new_target)
            module.train()
            shuffled = order[torch.randperm(len(order), generator=generator, device="cpu")]
            for rows, x, t, w in data.batches(shuffled, n_batches):
                with torch.enable_grad():
                    objective = (w * loss(module(x), t)).sum() / len(rows)
                    optimizer.zero_grad(set_to_none=True)
                    objective.backward()
                optimizer.step()
            risks.append(risk(epoch))
            epochs.set_postfix(risk=f"{risks[-1]:.5f}", best=best_epoch)
            if not np.isfinite(risks[-1]):
                ended_by = "divergence"
                break
            if risks[-1] < risks[best_epoch]:
                best, best_epoch = _snapshot(module), epoch
            elif epoch - best_epoch >= patience:
                ended_by = "patience"
                break
    module.load_state_dict(best)
    module.eval()
    return TrainingResult(np.array(risks), best_epoch, ended_by)


class _Rows:
    """X, targets and weights as tensors; X is copied only to a GPU that has room for it."""

    def __init__(self, device, X, target, weight, train_rows):
        weight = np.ones(len(X)) if weight is None else np.asarray(weight, dtype=np.float64)
        self.device = device
        self.X = _as_tensor(X)
        if device.type == "cuda" and 4 * X.size < torch.cuda.mem_get_info(device)[0] // 2:
            self.X = self.X.to(device, torch.float32)
        self.set_target(target)
        self.weight = self._small(weight / weight[train_rows].mean())

    def set_target(self, target) -> None:
        self.target = self._small(target)

    def _small(self, values) -> Tensor:
        return torch.from_numpy(np.array(values, dtype=np.float32)).to(self.device)

    def batches(self, rows: Tensor, n_batches: int):
        """Yield (rows, x, target, weight) for `rows` in order, in batches of equal size."""
        here, there = rows.to(self.device), rows.to(self.X.device)
        for i, j in zip(here.tensor_split(n_batches), there.tensor_split(n_batches), strict=True):
            x = self.X[j].to(self.device, torch.float32)
            yield i, x, self.target[i], self.weight[i]


def _as_tensor(X: np.ndarray) -> Tensor:
    if min(X.strides) < 0:  # a reversed view, which torch cannot hold
        X = X.copy()
    if X.flags.writeable:
        return torch.from_numpy(X)
    try:
        # joblib hands out read-only memory maps; from_numpy would warn about each of them
        return torch.from_dlpack(X)
    except BufferError:  # numpy before 2.1 exports no read-only array
        return torch.from_numpy(X.copy())


@torch.no_grad()
def predict_rows(module: nn.Module, X: np.ndarray) -> np.ndarray:
    """Return outputs of `module` on all rows of X in evaluation mode: (n,) or (n, k), float32."""
    module.eval()
    device = next(module.parameters()).device
    parts = _as_tensor(X).tensor_split(1 + X.size * 4 // _EVALUATION_BYTES)
    return torch.cat([module(x.to(device, torch.float32)).cpu() for x in parts]).numpy()


@torch.no_grad()
def _risk(module: nn.Module, data: _Rows, rows: Tensor, loss) -> float:
    module.eval()
    n_batches = 1 + len(rows) * data.X.shape[1] * 4 // _EVALUATION_BYTES
    total = torch.zeros((), dtype=torch.float64, device=data.device)
    weights = torch.zeros_like(total)
    for _, x, t, w in data.batches(rows, n_batches):
        total += (w * loss(module(x), t)).sum(dtype=torch.float64)
        weights += w.sum(dtype=torch.float64)
    return float(total / weights)


def _snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
