"""How good the answers are that each reward picks: best-of-n on real judged responses.

    python benchmarks/best_of_n.py [--data ../shared/data] [--seeds 3] [--out benchmarks/results]

Rewards are fitted to feedback that is simulated on four fifths of the prompts as in
`judged_responses.py`; on each other prompt, which 56 models have answered, they pick one of n
answers. The judge's preference of the picks is what counts. Intervals are over prompts, the spread
over seeds.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from judged_responses import load
from sklearn.model_selection import GroupShuffleSplit

import skcausalrm
from skcausalrm import CausalRewardRegressor
from skcausalrm.datasets import simulate_feedback
from skcausalrm.exceptions import SkcausalrmWarning
from skcausalrm.heads import RidgeHead
from skcausalrm.metrics import best_of_n

ROOT = Path(__file__).resolve().parent.parent
N_VERIFIED = 50
COLORS = {
    "naive": "C0",
    "dr": "C2",
    "selection": "C1",
    f"selection, {N_VERIFIED} verified": "C3",
    "clean labels": "0.3",
}


def one_log(X, graded, preference, prompts, alpha: float, seed: int) -> pd.DataFrame:
    """Fit each reward to one log and let it pick on the other prompts."""
    log = simulate_feedback(graded, alpha=alpha, random_state=seed)
    split = GroupShuffleSplit(1, test_size=0.2, random_state=seed)
    train, test = next(split.split(X, groups=prompts))
    verified = np.full(len(X), np.nan)
    checked = np.random.default_rng(seed).choice(train, N_VERIFIED, replace=False)
    verified[checked] = log.reward[checked]
    picked = {}
    for name in COLORS:
        if name == "clean labels":
            model = RidgeHead(random_state=seed)
            model.fit(X[train], log.reward[train].astype(float), groups=prompts[train])
        else:
            model = CausalRewardRegressor(name.partition(",")[0], random_state=seed)
            known = {"verified": verified[train]} if "verified" in name else {}
            model.fit(X[train], log.y[train], groups=prompts[train], **known)
        picked[name] = model.predict(X[test])
    table = best_of_n(preference[test], picked, prompts[test], random_state=seed)
    return table.assign(alpha=alpha, seed=seed)


def as_markdown(table: pd.DataFrame, command: str, seconds: float) -> str:
    """The picks' preference, win rate and difference from naive, mean ± spread over seeds."""
    seeds = table["seed"].nunique()
    lines = [
        "# Best of n",
        "",
        f"`{command}`: {seconds:.0f} s; skcausalrm {skcausalrm.__version__}, numpy "
        f"{np.__version__}, Python {platform.python_version()}, {platform.machine()}. Mean over "
        f"{seeds} seeds ± their standard deviation; in brackets the mean 95% interval over "
        f"prompts, of the difference on the same prompts.",
    ]
    for alpha, part in table.groupby("alpha", sort=False):
        for n in (4, part["n"].max()):
            lines += [
                "",
                f"## alpha {alpha:g}, best of {n}",
                "",
                "| picked by | preference | over naive | win rate |",
                "|---|---|---|---|",
            ]
            for name, rows in part[part["n"] == n].groupby("score", sort=False):
                mean, std = rows.mean(numeric_only=True), rows.std(numeric_only=True)
                gain = (
                    f"{mean['difference']:+.4f} ± {std['difference']:.4f} "
                    f"[{mean['difference_low']:+.4f}, {mean['difference_high']:+.4f}]"
                    if name != "naive"
                    else ""
                )
                lines.append(
                    f"| {name} | {mean['preference']:.4f} ± {std['preference']:.4f} | {gain} | "
                    f"{mean['win_rate']:.4f} ± {std['win_rate']:.4f} |"
                )
    return "\n".join([*lines, "", "![Best of n](best_of_n.png)"]) + "\n"


def draw(table: pd.DataFrame, path: Path) -> None:
    """Preference and win rate of the picks against n; the oracle's is in the tables."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    alphas = table["alpha"].unique()
    figure, axes = plt.subplots(2, len(alphas), figsize=(9, 6.5), sharex=True, layout="constrained")
    for column, alpha in enumerate(alphas):
        for line, (measure, label) in enumerate(
            (("preference", "judge's mean preference"), ("win_rate", "win rate"))
        ):
            ax, part = axes[line, column], table[table["alpha"] == alpha]
            for name, color in {**COLORS, "random": "0.7"}.items():
                grouped = part[part["score"] == name].groupby("n")[measure]
                mean, std = grouped.mean(), grouped.std()
                ax.plot(mean.index, mean, color=color, label=name, marker=".")
                ax.fill_between(mean.index, mean - std, mean + std, color=color, alpha=0.15)
            ax.set_xscale("log", base=2)
            ax.set_xticks(mean.index, [str(n) for n in mean.index])
            ax.minorticks_off()
            if line == 0:
                ax.set_title(f"alpha {alpha:g}")
            else:
                ax.set_xlabel("n answers to pick from")
            if column == 0:
                ax.set_ylabel(label)
    axes[0, 0].legend(fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    path = arguments.data / "judged_responses.parquet"
    if not path.exists():
        print(f"No judged_responses.parquet in {arguments.data}: nothing to run.", file=sys.stderr)
        raise SystemExit(2)
    warnings.simplefilter("ignore", SkcausalrmWarning)
    X, graded, prompts = load(arguments.data)
    preference = pd.read_parquet(path, columns=["preference"])["preference"].to_numpy(float)
    start, tables = time.perf_counter(), []
    for alpha, seed in product((0.5, 0.1), range(arguments.seeds)):
        tables.append(one_log(X, graded, preference, prompts, alpha, seed))
        print(f"alpha {alpha}, seed {seed}", file=sys.stderr)
    table = pd.concat(tables)
    command = "python " + " ".join(["benchmarks/best_of_n.py", *sys.argv[1:]])
    text = as_markdown(table, command, time.perf_counter() - start)
    print(text)
    if arguments.out:
        (arguments.out / "best_of_n.md").write_text(text)
        draw(table, arguments.out / "best_of_n.png")


if __name__ == "__main__":
    main()
