"""Logs unlike those of the main grid: few rows or ratings, repeated answers, broken assumptions.

The data sets of a selection, base rate and seed are those of the main grid with something changed,
so that the reward function stays where the number of rows does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from _grid import file_name
from scipy.special import logit
from scipy.stats import zscore
from sklearn.linear_model import LogisticRegression
from sklearn.utils import Bunch

from skcausalrm import CausalRewardRegressor, SelectionModel
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.datasets._mechanism import draw_feedback, solve_intercept

from .cells import (
    FLIPS,
    REGIMES,
    ROWS_PER_USER,
    SIGNALS,
    Cell,
    Settings,
    draw,
    likelihood_row,
    score,
    selection_row,
    split,
    timed,
)

# Goals of the main grid are means over all of its base rates; elsewhere its ends and middle do.
BASE_RATES, SOME_RATES = (0.15, 0.3, 0.5, 0.75, 0.85), (0.15, 0.5, 0.85)
FEW, REPEATED, BROKEN = "Few rows, few ratings", "Repeated answers", "Broken assumptions"
# Answers in a conversation, and different ones among those that chatbots repeat.
TURNS, STOCK = 10, 50


class Log(NamedTuple):
    """A kind of log.

    `arms` are those of the selection likelihood, `people` says if there are users and signals,
    `changed` holds arguments of the generator, and `repeated` names which answers repeat.
    """

    group: str
    text: str
    arms: tuple[str, ...]
    n_train: int = 4_500
    people: bool = False
    changed: Mapping[str, Any] = MappingProxyType({})
    repeated: str = ""
    base_rates: tuple[float, ...] = SOME_RATES


_PEOPLE = ("none", "users", "users, signals")
_BROKEN = {"n_train": 16_000, "people": True}
_BY_HABIT = (*_PEOPLE, "users, 50 verified")
_BY_SIGNALS = ("none", "signals", "users, signals", "signals, 50 verified")

LOGS = {
    "4500 rows": Log(
        FEW,
        "900 of 4,500 rows are rated",
        ("none", "50 verified", "200 verified", "300 asked"),
        base_rates=BASE_RATES,
    ),
    "4500 rows with users": Log(
        FEW,
        "the same with users and signals, a user for eight rows",
        _PEOPLE,
        people=True,
        base_rates=BASE_RATES,
    ),
    "225 ratings": Log(
        FEW,
        "225 of 4,500 rows are rated",
        ("none", "50 verified"),
        changed={"observed_rate": 0.05},
    ),
    "225 ratings with users": Log(
        FEW,
        "the same with users and signals",
        _PEOPLE,
        people=True,
        changed={"observed_rate": 0.05},
    ),
    "greeting": Log(
        REPEATED,
        f"4,500 rows in conversations of {TURNS} answers, each of which opens with the same one; "
        "conversations are given as groups",
        ("none", "50 verified"),
        repeated="greeting",
    ),
    "stock answers": Log(
        REPEATED,
        f"the same, but half of all answers are drawn from {STOCK}, the k-th in proportion to 1/k, "
        "so that a ninth of all rows are one answer",
        ("none", "50 verified"),
        repeated="stock",
    ),
    "habit goes with quality": Log(
        BROKEN,
        "`habit_quality=0.5`: the log odds of a good answer rise by .5 for a standard deviation of "
        "the user's habit of rating (they have a standard deviation of 2 given x)",
        _BY_HABIT,
        changed={"habit_quality": 0.5},
        **_BROKEN,
    ),
    "lenient heavy raters": Log(
        BROKEN,
        "`habit_leniency=0.5`: the log odds of a bad answer being liked rise by .5 for a standard "
        "deviation of habit, those of a good one being disliked fall by .5: flips of .10 and .20 "
        "are .16 and .13 one standard deviation up, .06 and .29 one down",
        _BY_HABIT,
        changed={"habit_leniency": 0.5},
        **_BROKEN,
    ),
    "signals hang together": Log(
        BROKEN,
        "`signal_dependence=1`: a standard normal variable of the row is added to the log odds of "
        "every signal",
        _BY_SIGNALS,
        changed={"signal_dependence": 1.0},
        **_BROKEN,
    ),
}


class OtherCell(NamedTuple):
    """One data set of another kind of log."""

    log: str
    selection: str
    base_rate: float
    seed: int

    @property
    def name(self) -> str:
        """Readable, unique, and fit for a file."""
        return file_name(self)

    @property
    def usual(self) -> Cell:
        """The cell of the main grid that it would be."""
        return Cell(self.selection, self.base_rate, "medium", *FLIPS, 128, self.seed)


def other_grid(seeds: int) -> list[OtherCell]:
    """All logs of a seed, then those of the next."""
    return [
        OtherCell(name, selection, base_rate, seed)
        for seed, (name, log), selection in product(range(seeds), LOGS.items(), REGIMES)
        for base_rate in log.base_rates
    ]


def draw_other(cell: OtherCell, settings: Settings) -> Bunch:
    """Draw the log and the new rows."""
    log = LOGS[cell.log]
    settings = settings._replace(n_train=log.n_train)
    if log.repeated:
        return draw_repeated(cell.usual, settings, log.repeated)
    people = {}
    if log.people:
        n_users = (settings.n_train + settings.n_new) // ROWS_PER_USER
        people = {"n_users": n_users, "signals": SIGNALS}
    return draw(cell.usual, settings, **people, **log.changed)


def draw_repeated(cell: Cell, settings: Settings, repeated: str) -> Bunch:
    """Draw conversations in which answers repeat, each time with a new preference and rating.

    The chance of a good answer and that of a rating are functions of the answer.
    """
    m = settings.n_train + settings.n_new
    rng = np.random.default_rng(cell.random_state)
    pool = make_observational_feedback(
        m, cell.n_features, signal=cell.signal, random_state=cell.random_state
    )
    answer = np.arange(m)
    if repeated == "greeting":
        answer[::TURNS] = 0
    else:
        again = rng.random(m) < 0.5
        frequency = 1 / np.arange(1, STOCK + 1)
        answer[again] = rng.choice(STOCK, again.sum(), p=frequency / frequency.sum())
    X, quality = pool.X[answer], logit(pool.probability)[answer]
    further = X @ rng.standard_normal(cell.n_features)
    selection, strength = REGIMES[cell.selection]
    everyone = draw_feedback(
        rng,
        logit=quality + solve_intercept(quality, cell.base_rate),
        index=zscore(zscore(quality) + zscore(further)),
        selection=selection,
        selection_strength=strength,
        false_positive_rate=cell.false_positive_rate,
        false_negative_rate=cell.false_negative_rate,
        observed_rate=0.2,
        n_asked=m,
        n_verified=0,
    )
    everyone.update(X=X, groups=np.arange(m) // TURNS, users=None, signals=None)
    return split(everyone, settings.n_train, cell.random_state)


def reference_rows(data: Bunch, cell: OtherCell) -> Iterator[dict]:
    """Score naive, logistic regression on the rated rows, and matched as in the main grid."""
    rated = ~np.isnan(data.y)
    groups = data.groups
    naive = CausalRewardRegressor("naive", random_state=cell.seed)
    naive.fit(data.X, data.y, groups=groups)
    p, ranking = naive.predict(data.X_new), naive.decision_function(data.X_new)
    yield {"method": "naive", "further": "none", **score(data.reward_new, p, ranking)}
    logistic = LogisticRegression(max_iter=1000).fit(data.X[rated], data.y[rated])
    p = logistic.predict_proba(data.X_new)[:, 1]
    yield {"method": "logistic", "further": "none", **score(data.reward_new, p)}
    rows = data.matched
    known = {"false_positive_rate": FLIPS[0], "false_negative_rate": FLIPS[1]}
    matched = SelectionModel(**known, random_state=cell.seed).fit(
        data.X[rows],
        data.answers[rows],
        groups=None if groups is None else groups[rows],
        asked=np.ones(len(rows), dtype=bool),
    )
    yield selection_row(matched, data, "none", "matched")


def run_other(cell: OtherCell, settings: Settings) -> pd.DataFrame:
    """Return one row per method and arm, with CPU seconds and the warnings raised."""
    data = draw_other(cell, settings)
    arms = (likelihood_row(data, arm, cell.seed)[1] for arm in LOGS[cell.log].arms)
    about = {"log": cell.log, **cell.usual._asdict(), "rated": len(data.matched)}
    return timed(about, arms, reference_rows(data, cell))
