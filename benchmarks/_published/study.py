"""One cell: fit the settings of a method, choose one by debiased score, score it on test rows."""

from __future__ import annotations

import time
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import pearsonr
from sklearn.base import clone
from sklearn.metrics import mean_absolute_error, r2_score, roc_auc_score
from sklearn.utils import Bunch

from skcausalrm.heads import _training_loop  # noqa: F401  (importing torch counts for no method)
from skcausalrm.metrics import debiased_mse, pseudo_outcomes

from .data import Cell, Settings, draw
from .methods import ORACLE, OURS, after_verified, candidates, with_prompt

__all__ = ["run_cell", "score"]


def score(reward: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """Return scores on clean labels; the correlation of a constant is 0."""
    return {
        "R2": r2_score(reward, p),
        "MAE": mean_absolute_error(reward, p),
        "Pearson": float(pearsonr(reward, p).statistic) if p.std() > 0 else 0.0,
        "AUROC": roc_auc_score(reward, p),
    }


@lru_cache(maxsize=1)
def outcomes(log: Cell, settings: Settings, folder: Path | None) -> np.ndarray:
    """Return pseudo-outcomes of a log's validation rows, the same for all methods."""
    data = draw(log, settings, folder)
    learn = np.concatenate([data.train, data.validation])
    z = pseudo_outcomes(
        data.X[learn],
        data.y[learn],
        method="selection",
        groups=data.groups[learn],
        random_state=log.random_state,
    )
    return z[len(data.train) :]


def run_cell(cell: Cell, settings: Settings, folder: Path | None = None) -> pd.DataFrame:
    """Return a row for logs alone and one with verified rows.

    All methods are tuned on the same pseudo-outcomes of the same validation rows. These come from
    logs alone: neither test rows, nor clean labels, nor verified rows are used.
    """
    data = draw(cell, settings, folder)
    if cell.method == "BCOWeighting":
        data.X = with_prompt(data.X, data.groups)
    y = data.reward if cell.method == ORACLE else data.y
    rows = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        z = outcomes(cell._replace(method=""), settings, folder)
        caught.clear()  # the score's warnings are not the method's
        models, begin = {}, time.process_time()
        for name, model in candidates(cell.method, settings, cell.random_state).items():
            X, groups = data.X[data.train], data.groups[data.train]
            models[name] = model.fit(X, y[data.train], groups=groups)
        seconds = (time.process_time() - begin) / len(models)
        held_out = {name: model.predict(data.X[data.validation]) for name, model in models.items()}
        losses = {name: debiased_mse(z, p) for name, p in held_out.items()}
        best = min(losses, key=losses.__getitem__)
        facts = {"setting": best, "settings": len(models), "seconds": seconds}
        facts["rated"] = int(np.count_nonzero(~np.isnan(data.y[data.train])))
        p = models[best].predict(data.X[data.test])
        rows.append({"further": "none", **facts, **score(data.reward[data.test], p)})
        p, how = with_verified(cell.method, models[best], data, held_out[best])
        facts["recalibrated by"] = how
        rows.append({"further": "verified", **facts, **score(data.reward[data.test], p)})
    kinds = " ".join(sorted({warning.category.__name__ for warning in caught}))
    return pd.DataFrame([{**cell._asdict(), **row, "warnings": kinds} for row in rows])


def with_verified(method: str, model, data: Bunch, held_out: np.ndarray):
    """Return predictions of the test rows given the verified rows, and how they were used.

    The package's own estimator gets them in `fit`, as 50 further rows of its log. The predictions
    of any other method, which has not seen them, are recalibrated on them.
    """
    if method == ORACLE:
        return model.predict(data.X[data.test]), ""
    if method in OURS:
        rows = np.concatenate([data.train, data.verified])
        verified = np.where(np.isin(rows, data.verified), data.reward[rows], np.nan)
        fitted = clone(model).fit(
            data.X[rows], data.y[rows], groups=data.groups[rows], verified=verified
        )
        return fitted.predict(data.X[data.test]), "fit"
    known = np.isin(data.validation, data.verified)
    verified = np.where(known, data.reward[data.validation], np.nan)
    p = model.predict(data.X[data.test])
    return after_verified(held_out, verified, data.y[data.validation], p)
