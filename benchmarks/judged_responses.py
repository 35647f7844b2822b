"""Every recipe against naive and an oracle on real judged responses.

    python benchmarks/judged_responses.py [--data ../shared/data] [--seeds 5] [--out FILE]

Rows are answers of 56 models to 805 instructions with a judge's preference (see the data's own
README); the graded reward is the quintile of its logit. Feedback is simulated by the protocol of
CausalRM (arXiv 2603.18736). A fifth of the prompts is the test set, with clean labels. No setting
is tuned on the test set: the head's penalty comes from out-of-fold corrected risk. "verified"
methods see the true preference of 100 answers drawn at random from the others; Platt is Platt
scaling of naive on these, its slope not negative.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from _recovery.cells import out_of_fold, platt
from safetensors.numpy import load_file
from scipy.special import logit
from sklearn.metrics import mean_absolute_error, r2_score, roc_auc_score
from sklearn.model_selection import GroupShuffleSplit

from skcausalrm import (
    CausalRewardRegressor,
    DoublyRobust,
    InversePropensity,
    NoiseOnly,
    NoiseTransitionEstimator,
)
from skcausalrm.datasets import simulate_feedback
from skcausalrm.exceptions import SkcausalrmWarning
from skcausalrm.heads import RidgeHead

ROOT = Path(__file__).resolve().parent.parent
N_VERIFIED = 100
SELECTION, PLATT = f"selection, {N_VERIFIED} verified", f"Platt, {N_VERIFIED} verified"


def load(data: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return embeddings (n, 768) float32, graded reward 0..4 and prompt ids."""
    table = pd.read_parquet(data / "judged_responses.parquet", columns=["prompt_id", "preference"])
    arrays = load_file(data / "judged_embeddings.safetensors")
    X = np.hstack([arrays["pair"], arrays["response"]]).astype(np.float32)
    graded = pd.qcut(logit(table["preference"].clip(1e-9, 1 - 1e-9)).rank(method="first"), 5)
    return X, graded.cat.codes.to_numpy(), table["prompt_id"].to_numpy()


def candidates(fpr: float, fnr: float, seed: int) -> dict:
    """Methods by name; "known rates" get the simulation's flip rates, the others must find them."""
    known = NoiseTransitionEstimator(false_positive_rate=fpr, false_negative_rate=fnr)
    levels = NoiseTransitionEstimator(method="sigmoid", random_state=seed)
    models = {"naive": CausalRewardRegressor("naive", random_state=seed)}
    corrections = {"noise": NoiseOnly, "snips": InversePropensity, "dr": DoublyRobust}
    for method, correction in corrections.items():
        for name, noise in (("anchors", None), ("sigmoid", levels), ("known rates", known)):
            models[f"{method}, {name}"] = CausalRewardRegressor(
                correction(noise_estimator=noise), random_state=seed
            )
    models["selection"] = CausalRewardRegressor("selection", random_state=seed)
    for method in ("naive", "dr", "selection"):
        models[f"{method}, {N_VERIFIED} verified"] = CausalRewardRegressor(
            method, random_state=seed
        )
    return models


def scores(r: np.ndarray, f: np.ndarray) -> dict:
    return {
        "R2": r2_score(r, f),
        "MAE": mean_absolute_error(r, f),
        "Pearson": float(np.corrcoef(r, f)[0, 1]),
        "AUROC": roc_auc_score(r, f),
        "mean f - mean r": float(f.mean() - r.mean()),
    }


def one_seed(X, graded, prompts, alpha, fpr, fnr, seed) -> list[dict]:
    log = simulate_feedback(
        graded, alpha=alpha, false_positive_rate=fpr, false_negative_rate=fnr, random_state=seed
    )
    split = GroupShuffleSplit(1, test_size=0.2, random_state=seed)
    train, test = next(split.split(X, groups=prompts))
    r = log.reward[test].astype(float)
    checked = np.random.default_rng(seed).choice(train, N_VERIFIED, replace=False)
    verified = np.full(len(X), np.nan)
    verified[checked] = log.reward[checked]
    rows = []
    for name, model in candidates(fpr, fnr, seed).items():
        columns = {"verified": verified[train]} if name.endswith("verified") else {}
        model.fit(X[train], log.y[train], groups=prompts[train], **columns)
        p = model.predict(X[test])
        rows.append({"method": name, **scores(r, p)})
        if name == "naive":
            held_out = out_of_fold(model, X[train], log.y[train], prompts[train])
            judged = ~np.isnan(verified[train])
            p = platt(held_out[judged], verified[train][judged], p)
            rows.append({"method": PLATT, **scores(r, p)})
    oracle = RidgeHead(random_state=seed)
    oracle.fit(X[train], log.reward[train].astype(float), groups=prompts[train])
    rows.append({"method": "oracle", **scores(r, np.clip(oracle.predict(X[test]), 0, 1))})
    return [{"alpha": alpha, "flips": f"{fpr}/{fnr}", "seed": seed, **row} for row in rows]


def as_markdown(results: pd.DataFrame) -> str:
    """Return a table per setting: mean and standard deviation over seeds."""
    parts = []
    for (alpha, flips), part in results.groupby(["alpha", "flips"], sort=False):
        columns = [c for c in part.columns if c not in ("alpha", "flips", "seed", "method")]
        grouped = part.groupby("method", sort=False)[columns]
        mean, spread = grouped.mean(), grouped.std()
        parts += [
            f"\n### alpha {alpha}, P(0 -> 1) / P(1 -> 0) = {flips}\n",
            "| method | " + " | ".join(columns) + " |",
            "|---" * (len(columns) + 1) + "|",
        ]
        for method in mean.index:
            cells = (
                f"{mean.loc[method, c]:.3f}"
                + ("" if np.isnan(spread.loc[method, c]) else f" ± {spread.loc[method, c]:.3f}")
                for c in columns
            )
            parts.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(parts) + "\n"


def goals(results: pd.DataFrame) -> str:
    """Return what selection with verified rows has over naive, and over Platt, in each setting."""
    rows = results.set_index(["alpha", "flips", "seed"])
    lines = [
        f"\nGoal: with {N_VERIFIED} verified rows selection is not below naive in any setting, in "
        "the mean over seeds (in brackets: the worst seed).\n",
        "| alpha, flips | R2 over naive | AUROC over naive | R2 over Platt | AUROC over Platt | |",
        "|---|---|---|---|---|---|",
    ]
    metrics = ["R2", "AUROC"]
    selection, *rivals = (
        rows.loc[rows["method"] == method, metrics] for method in (SELECTION, "naive", PLATT)
    )
    gains = pd.concat([selection - rival for rival in rivals], axis=1, keys=["naive", "Platt"])
    for (alpha, flips), part in gains.groupby(level=["alpha", "flips"], sort=False):
        cells = [f"{part[c].mean():+.3f} ({part[c].min():+.3f})" for c in part.columns]
        met = "met" if (part["naive"].mean() >= 0).all() else "**missed**"
        lines.append(f"| {alpha}, {flips} | " + " | ".join([*cells, met]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if not (arguments.data / "judged_responses.parquet").exists():
        print(f"No judged_responses.parquet in {arguments.data}: nothing to run.", file=sys.stderr)
        raise SystemExit(2)
    warnings.simplefilter("ignore", SkcausalrmWarning)
    X, graded, prompts = load(arguments.data)
    start, rows = time.perf_counter(), []
    for alpha, (fpr, fnr) in product((0.5, 0.1), ((0.1, 0.2), (0.2, 0.1))):
        for seed in range(arguments.seeds):
            rows += one_seed(X, graded, prompts, alpha, fpr, fnr, seed)
            print(f"alpha {alpha}, {fpr}/{fnr}, seed {seed}", file=sys.stderr)
    results = pd.DataFrame(rows)
    command = "python " + " ".join(["benchmarks/judged_responses.py", *sys.argv[1:]])
    text = (
        f"`{command}`: {len(X):,} rows of {X.shape[1]} columns, "
        f"{len(np.unique(prompts))} prompts, {arguments.seeds} seeds, "
        f"{time.perf_counter() - start:.0f} s. Mean ± standard deviation over seeds on the clean "
        f"labels of held-out prompts.\n" + goals(results) + as_markdown(results)
    )
    print(text)
    if arguments.out:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
