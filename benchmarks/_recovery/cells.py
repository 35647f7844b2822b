"""One data set, every method on it, and their scores on new rows."""

from __future__ import annotations

import time
import warnings
import zlib
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from _grid import file_name
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.utils import Bunch

from skcausalrm import (
    CausalRewardRegressor,
    NoiseOnly,
    NoiseTransitionEstimator,
    SelectionModel,
)
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import BaseRateUncertainWarning
from skcausalrm.heads._logistic import fit_sigmoid
from skcausalrm.model_selection._cross_fitting import make_folds
from skcausalrm.nuisances._recipes import Target
from skcausalrm.reward._head import out_of_fold_predictions
from skcausalrm.selection._recalibration import fit_recalibration

REGIMES = {
    "none": ("none", 1.0),
    "x": ("x", 0.5),
    "reward .5": ("reward", 0.5),
    "reward .1": ("reward", 0.1),
    "both": ("both", 0.5),
    "u-shape": ("u-shape", 0.5),
    "complain": ("complain", 0.5),
}
FLIPS = (0.1, 0.2)
# The last are those of single thumbs in dialogs with chatbots (real_votes.py).
OTHER_FLIPS = ((0.05, 0.05), (0.2, 0.1), (0.2, 0.3), (0.36, 0.43))
# Of users there are an eighth as many as rows; what they do next to rating.
ROWS_PER_USER, SIGNALS = 8, ("copied", "regenerated")
# Numbers of verified rows that are also tried next to users and signals.
WITH_PEOPLE = (50,)
RECIPES = ("naive", "noise", "snips", "dr")


class Cell(NamedTuple):
    """One data set."""

    selection: str
    base_rate: float
    signal: str
    false_positive_rate: float
    false_negative_rate: float
    n_features: int
    seed: int

    @property
    def name(self) -> str:
        """Readable, unique, and fit for a file."""
        return file_name(self)

    @property
    def random_state(self) -> int:
        """A draw of its own for every cell, so that means run over many reward functions."""
        return zlib.crc32(self.name.encode())


class Settings(NamedTuple):
    """Sizes, the same in all cells."""

    n_train: int = 16_000
    n_new: int = 8_000
    verified: tuple[int, ...] = (30, 50, 100, 200)
    asked: tuple[int, ...] = (300, 1_000)


QUICK = Settings(n_train=4_000, n_new=4_000, verified=(50,), asked=(300,))


def full_grid(seeds: int) -> list[Cell]:
    """Base rates at medium signal, other signals, other flips, and more features once."""
    settings = [
        *product((0.15, 0.3, 0.5, 0.75, 0.85), ("medium",), (FLIPS,), (128,), range(seeds)),
        *product((0.5, 0.8), ("strong", "weak"), (FLIPS,), (128,), range(seeds)),
        *product((0.5,), ("medium",), OTHER_FLIPS, (128,), range(seeds)),
        *product((0.5,), ("medium",), (FLIPS,), (1024,), range(1)),
    ]
    return [
        Cell(regime, base_rate, signal, *flips, n_features, seed)
        for (base_rate, signal, flips, n_features, seed), regime in product(settings, REGIMES)
    ]


def quick_grid() -> list[Cell]:
    return [Cell(regime, 0.5, "medium", *FLIPS, 32, 0) for regime in ("none", "x", "reward .5")]


def draw(cell: Cell, settings: Settings, **people) -> Bunch:
    """Draw the log, what every row would have been answered, and the new rows.

    `people` are arguments of the generator.
    """
    selection, strength = REGIMES[cell.selection]
    m = settings.n_train + settings.n_new
    everyone = make_observational_feedback(
        m,
        cell.n_features,
        selection=selection,
        selection_strength=strength,
        base_rate=cell.base_rate,
        signal=cell.signal,
        false_positive_rate=cell.false_positive_rate,
        false_negative_rate=cell.false_negative_rate,
        n_asked=m,
        random_state=cell.random_state,
        **people,
    )
    everyone.groups = None  # every row is a prompt of its own
    return split(everyone, settings.n_train, cell.random_state)


def split(everyone: Bunch, n: int, random_state: int) -> Bunch:
    """Make the log of the first `n` rows, whose every row was asked, and new rows of the others."""
    rng = np.random.default_rng(random_state)
    volunteered = rng.random(n) < everyone.propensity[:n]
    return Bunch(
        X=everyone.X[:n],
        y=np.where(volunteered, everyone.y[:n], np.nan),
        answers=everyone.y[:n],
        reward=everyone.reward[:n],
        to_verify=rng.permutation(n),
        to_ask=rng.permutation(n),
        matched=rng.choice(n, volunteered.sum(), replace=False),
        groups=None if everyone.groups is None else everyone.groups[:n],
        users=None if everyone.users is None else everyone.users[:n],
        signals=None if everyone.signals is None else everyone.signals[:n],
        X_new=everyone.X[n:],
        reward_new=everyone.reward[n:],
    )


def verified_column(data: Bunch, count: int) -> np.ndarray:
    """Return the reward of the first `count` rows to verify, NaN elsewhere."""
    verified = np.full(len(data.reward), np.nan)
    rows = data.to_verify[:count]
    verified[rows] = data.reward[rows]
    return verified


def score(reward: np.ndarray, p: np.ndarray, ranking: np.ndarray | None = None) -> dict:
    """Score predictions on clean labels.

    `R2 recalibrated` is that of the best sigmoid of the same log odds: what it lacks is lost in
    the ranking, what `R2` lacks of it in level and slope.
    """
    log_odds = logit(np.clip(p, 0.001, 0.999))
    slope, intercept = fit_sigmoid(log_odds, reward)
    return {
        "R2": r2_score(reward, p),
        "R2 recalibrated": r2_score(reward, expit(slope * log_odds + intercept)),
        "AUROC": roc_auc_score(reward, p if ranking is None else ranking),
        "level": float(p.mean() - reward.mean()),
        "slope": slope,
    }


def selection_row(
    model: SelectionModel, data: Bunch, further: str, method: str = "selection"
) -> dict:
    low, high = model.base_rate_interval_
    return {
        "method": method,
        "further": further,
        **score(data.reward_new, model.predict_proba(data.X_new)[:, 1]),
        "base rate": model.base_rate_,
        "low": low,
        "high": high,
        "doubt": model.base_rate_doubt_,
        "log odds of selection": model.selection_log_odds_,
        "false positive rate": model.false_positive_rate_,
        "false negative rate": model.false_negative_rate_,
    }


def likelihood_row(
    data: Bunch, arm: str, seed: int, further: str | None = None
) -> tuple[SelectionModel, dict]:
    """Fit and score the selection likelihood.

    `arm` says with what: parts such as "users", "50 verified" and "300 asked", or "none". `further`
    is what the row calls it instead.
    """
    y, columns = data.y, {} if data.groups is None else {"groups": data.groups}
    for part in () if arm == "none" else arm.split(", "):
        count, _, kind = part.rpartition(" ")
        if kind == "verified":
            columns[kind] = verified_column(data, int(count))
        elif kind == "asked":
            columns[kind] = np.isin(np.arange(len(y)), data.to_ask[: int(count)])
            y = np.where(columns[kind], data.answers, y)
        else:
            columns[kind] = data[kind]
    model = SelectionModel(random_state=seed).fit(data.X, y, **columns)
    return model, selection_row(model, data, further or arm)


def selection_rows(data: Bunch, settings: Settings, seed: int) -> Iterator[dict]:
    """Score the selection likelihood alone, with verified rows, and with asked rows."""
    alone, row = likelihood_row(data, "none", seed)
    yield row
    samples = [f"{count} verified" for count in settings.verified]
    for arm in [*samples, *(f"{count} asked" for count in settings.asked)]:
        yield likelihood_row(data, arm, seed)[1]
    new = alone.head_.linear_predictors(data.X_new)
    for count in settings.verified:
        rows = data.to_verify[:count]
        p = predictor_regression(alone.oof_linear_predictors_[rows], data.reward[rows], new)
        yield {
            "method": "linear predictors",
            "further": f"{count} verified",
            **score(data.reward_new, p),
        }


def people_rows(cell: Cell, settings: Settings) -> Iterator[dict]:
    """Score the selection likelihood on a log of users who differ, without and with what they do.

    A log of its own: who rates depends on the user there.
    """
    if (cell.signal, cell.n_features) != ("medium", 128) or cell[3:5] != FLIPS:
        return
    n_users = (settings.n_train + settings.n_new) // ROWS_PER_USER
    data = draw(cell, settings, n_users=n_users, signals=SIGNALS)
    yield likelihood_row(data, "none", cell.seed, "of users, none")[1]
    checked = [f"users, signals, {n} verified" for n in settings.verified if n in WITH_PEOPLE]
    for arm in ("users", "users, signals", *checked):
        yield likelihood_row(data, arm, cell.seed)[1]


def predictor_regression(z: np.ndarray, reward: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Predict by logistic regression on the linear predictors, where there are both classes."""
    if reward.min() == reward.max():
        return np.full(len(new), (reward.sum() + 1) / (len(reward) + 2))
    return LogisticRegression().fit(z, reward).predict_proba(new)[:, 1]


def recipe_rows(data: Bunch, settings: Settings, seed: int) -> Iterator[dict]:
    """Score each recipe as it is and recalibrated, and naive after Platt scaling."""
    for method in RECIPES:
        model = CausalRewardRegressor(method, random_state=seed).fit(data.X, data.y)
        p, ranking = model.predict(data.X_new), model.decision_function(data.X_new)
        yield {"method": method, "further": "none", **score(data.reward_new, p, ranking)}
        held_out = out_of_fold(model, data.X, data.y)
        for count in settings.verified:
            moved = fit_recalibration(held_out, verified_column(data, count), data.y)
            yield {
                "method": method,
                "further": f"{count} verified",
                **score(data.reward_new, moved(p), ranking),
            }
        for count in settings.verified if method == "naive" else ():
            rows = data.to_verify[:count]
            scaled = platt(held_out[rows], data.reward[rows], p)
            yield {
                "method": "Platt",
                "further": f"{count} verified",
                **score(data.reward_new, scaled),
            }


def out_of_fold(
    model: CausalRewardRegressor, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """Return predictions of the training rows as the model itself makes them to recalibrate."""
    folds = make_folds(X, y, groups, model.cv, model.random_state)
    target = Target(model.target_, model.weight_)
    held_out = out_of_fold_predictions(model.estimator_, X, target, folds)
    return np.clip(held_out, 0, 1)


def platt(held_out: np.ndarray, reward: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Fit Platt's sigmoid to the log odds of `held_out`, slope not negative, and apply it to p."""
    old, new = (logit(np.clip(values, 0.01, 0.99)) for values in (held_out, p))
    slope, intercept = fit_sigmoid(old, reward)
    if slope < 0:
        return np.full(len(p), (reward.sum() + 1) / (len(reward) + 2))
    return expit(slope * new + intercept)


def reference_rows(data: Bunch, cell: Cell) -> Iterator[dict]:
    """Score as many rated rows as in the log, drawn at random, flips known; and clean labels.

    Either by the graded likelihood without selection, which is a logistic regression corrected for
    flips, and by ridge.
    """
    rates = {
        "false_positive_rate": cell.false_positive_rate,
        "false_negative_rate": cell.false_negative_rate,
    }
    samples = {
        "matched": (data.X[data.matched], data.answers[data.matched], rates),
        "oracle": (data.X, data.reward, dict.fromkeys(rates, 0.0)),
    }
    for name, (X, y, known) in samples.items():
        model = SelectionModel(**known, random_state=cell.seed)
        model.fit(X, y, asked=np.ones(len(y), dtype=bool))
        yield selection_row(model, data, "none", name)
        correction = NoiseOnly(noise_estimator=NoiseTransitionEstimator(**known))
        ridge = CausalRewardRegressor(correction, random_state=cell.seed).fit(X, y)
        p, ranking = ridge.predict(data.X_new), ridge.decision_function(data.X_new)
        yield {
            "method": f"{name}, ridge",
            "further": "none",
            **score(data.reward_new, p, ranking),
        }


def run_cell(cell: Cell, settings: Settings) -> pd.DataFrame:
    """Return one row per method and further rows, with CPU seconds and the warnings raised."""
    data = draw(cell, settings)
    sources = (
        selection_rows(data, settings, cell.seed),
        people_rows(cell, settings),
        recipe_rows(data, settings, cell.seed),
        reference_rows(data, cell),
    )
    return timed({**cell._asdict(), "rated": len(data.matched)}, *sources)


def timed(about: dict, *sources: Iterator[dict]) -> pd.DataFrame:
    """Return the rows of all sources, with CPU seconds and the warnings raised."""
    rows = []
    for source in sources:
        while True:
            begin = time.process_time()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                row = next(source, None)
            if row is None:
                break
            kinds = {warning.category.__name__ for warning in caught}
            codes = {getattr(warning.message, "code", "") for warning in caught}
            rows.append(
                {
                    **about,
                    **row,
                    "warned": BaseRateUncertainWarning.__name__ in kinds,
                    "warnings": " ".join(sorted(kinds)),
                    "codes": " ".join(sorted(codes - {""})),
                    "seconds": time.process_time() - begin,
                }
            )
    table = pd.DataFrame(rows)
    measured = table.select_dtypes("float").columns.difference(list(Cell._fields))
    return table.astype(dict.fromkeys(measured, "float32"))


def check_shortcut(cell: Cell, settings: Settings) -> float:
    """Return the largest difference between predictions on shared stages and by whole fits.

    Raises
    ------
    RuntimeError
        If they differ: the table would then be about another model.
    """
    data = draw(cell, settings)
    verified = verified_column(data, settings.verified[-1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recipe = CausalRewardRegressor("snips", random_state=0)
        alone = recipe.fit(data.X, data.y)
        p = alone.predict(data.X_new)
        moved = fit_recalibration(out_of_fold(alone, data.X, data.y), verified, data.y)(p)
        recalibrated = recipe.fit(data.X, data.y, verified=verified).predict(data.X_new)
    gap = np.abs(moved - recalibrated).max()
    if not gap < 1e-6:
        raise RuntimeError(f"Shared stages differ from whole fits by {gap:.1e}: do not share them.")
    return float(gap)
