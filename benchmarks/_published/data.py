"""Logs by the published protocol, on generated embeddings or on embeddings from a file."""

from __future__ import annotations

import zlib
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from safetensors.numpy import load_file
from scipy.special import logit
from sklearn.model_selection import GroupShuffleSplit
from sklearn.utils import Bunch

from skcausalrm.datasets import make_observational_feedback, simulate_feedback

__all__ = ["GENERATED", "Cell", "Settings", "draw", "grid", "load"]

# Standard deviation of the logit at which a head trained on all clean labels reaches the Pearson
# correlation of the paper's data sets (.55, .72, .86): with 12,000 rows .57, .72 and .87.
GENERATED = {"like HelpSteer": 1.9, "like UltraFeedback": 3.3, "like PKU-SafeRLHF": 9.0}
# Share of its variance that no linear head can reach; at the generator's own .15 no signal
# reaches .86.
NONLINEARITY = 0.05


class Settings(NamedTuple):
    """Settings that all cells share."""

    n_rows: int = 12_000
    n_features: int = 256
    n_verified: int = 50
    max_epochs: int = 60
    patience: int = 10
    n_settings: int = 4
    n_cap: int = 12_000


QUICK = Settings(n_rows=3_000, n_features=32, max_epochs=8, n_settings=2, n_cap=3_000)


class Cell(NamedTuple):
    """One log, and one method on it."""

    data: str
    alpha: float
    false_positive_rate: float
    false_negative_rate: float
    good: float
    observed_rate: float
    seed: int
    method: str

    @property
    def log(self) -> str:
        """Return the name of the log, which all methods share."""
        return "_".join(map(str, self[:-1]))

    @property
    def name(self) -> str:
        """Return a readable, unique name that a file can have."""
        text = f"{self.log}_{self.method}"
        return "".join(c if c.isalnum() or c in "._-" else "-" for c in text)

    @property
    def random_state(self) -> int:
        """Return the seed of the log, the same for all methods."""
        return zlib.crc32(self.log.encode()) % 2**31


def grid(data, alphas, flips, shares, observed_rates, seeds: int, methods) -> list[Cell]:
    """Return all cells, log by log."""
    return [
        Cell(name, alpha, *rates, good, rated, seed, method)
        for name, alpha, rates, good, rated, seed, method in product(
            data, alphas, flips, shares, observed_rates, range(seeds), methods
        )
    ]


@cache
def load(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return embeddings (n, d), preference and prompt of the judged responses in `folder`."""
    table = pd.read_parquet(
        folder / "judged_responses.parquet", columns=["prompt_id", "preference"]
    )
    arrays = load_file(folder / "judged_embeddings.safetensors")
    X = np.hstack([arrays["pair"], arrays["response"]]).astype(np.float32)
    utility = logit(table["preference"].clip(1e-9, 1 - 1e-9)).to_numpy()
    return X, utility, table["prompt_id"].to_numpy()


def graded(utility: np.ndarray, good: float) -> np.ndarray:
    """Return grades 0 to 4; the two highest, good by the protocol, hold the share `good`."""
    rank = (np.argsort(np.argsort(utility, kind="stable")) + 0.5) / len(utility)
    bad = 1 - good
    return np.searchsorted([bad / 3, 2 * bad / 3, bad, bad + good / 2], rank)


def utilities(cell: Cell, settings: Settings, folder: Path | None):
    """Return X, the utility of each row and its prompt."""
    if cell.data in GENERATED:
        rows = make_observational_feedback(
            settings.n_rows,
            settings.n_features,
            signal=GENERATED[cell.data],
            nonlinearity=NONLINEARITY,
            random_state=cell.random_state,
        )
        rng = np.random.default_rng(cell.random_state)
        return rows.X, logit(rows.probability) + rng.logistic(size=len(rows.X)), rows.groups
    if folder is None:
        raise ValueError(f"{cell.data!r} is not generated and no folder was given: pass --data.")
    X, utility, groups = load(folder)
    rng = np.random.default_rng(cell.random_state)
    prompts = rng.permutation(np.unique(groups))
    size = pd.Series(groups).value_counts().loc[prompts].cumsum()
    rows = np.flatnonzero(np.isin(groups, prompts[: max(2, (size <= settings.n_cap).sum())]))
    return X[rows], utility[rows], groups[rows]


def draw(cell: Cell, settings: Settings, folder: Path | None = None) -> Bunch:
    """Draw the log of a cell, split by prompt.

    Returns
    -------
    Bunch
        X, y (feedback), reward (clean), groups; `train`, `validation` and `test` rows; and
        `verified`, rows of the validation part that a person would have checked.
    """
    X, utility, groups = utilities(cell, settings, folder)
    log = simulate_feedback(
        graded(utility, cell.good),
        alpha=cell.alpha,
        false_positive_rate=cell.false_positive_rate,
        false_negative_rate=cell.false_negative_rate,
        observed_rate=cell.observed_rate,
        random_state=cell.random_state,
    )
    rows = np.arange(len(X))
    learn, test = split(rows, groups, 0.25, cell.random_state)
    train, validation = split(learn, groups, 0.2, cell.random_state)
    rng = np.random.default_rng(cell.random_state)
    return Bunch(
        X=X,
        y=log.y,
        reward=log.reward.astype(np.float64),
        groups=groups,
        train=train,
        validation=validation,
        test=test,
        verified=rng.choice(validation, settings.n_verified, replace=False),
    )


def split(rows: np.ndarray, groups: np.ndarray, share: float, seed: int):
    """Split rows by group."""
    splitter = GroupShuffleSplit(1, test_size=share, random_state=seed)
    first, second = next(splitter.split(rows, groups=groups[rows]))
    return rows[first], rows[second]
