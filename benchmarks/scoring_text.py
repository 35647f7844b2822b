"""Text to reward from one ONNX file, next to SentenceTransformer.encode and the head in torch.

    python benchmarks/scoring_text.py [--data ../shared/data] [--rows 192] [--out FOLDER]

Rows are judged responses, the reward is a ridge head trained on the embeddings of others. Every
precision of `text_to_onnx` is timed against torch at several batch sizes, in float32 and bfloat16,
interleaved, best of several rounds; the unit is the fastest float32 torch setting. Agreement is of
rewards with those of the encoder in float32.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pandas as pd
from safetensors.numpy import load_file
from scipy.stats import kendalltau

ROOT = Path(__file__).resolve().parent.parent
PRECISIONS = ("float32", "float16", "int8", "int8-weights")
TORCH = [("float32", size) for size in (1, 8, 32)] + [("bfloat16", size) for size in (8, 32)]


def load(data: Path, n_rows: int):
    """Return pairs to score, and embeddings with labels of other prompts' pairs."""
    table = pd.read_parquet(
        data / "judged_responses.parquet",
        columns=["prompt_id", "prompt", "response", "preference"],
    )
    X = load_file(data / "judged_embeddings.safetensors")["pair"].astype(np.float32)
    rng = np.random.default_rng(0)
    held_out = np.isin(table["prompt_id"], rng.choice(805, 160, replace=False))
    rows = rng.choice(np.flatnonzero(held_out), n_rows, replace=False)
    few = table.iloc[rows]
    pairs = list(zip(few["prompt"].str[:600], few["response"].str[:1200], strict=True))
    good = (table["preference"] > table["preference"].median()).to_numpy(float)
    return pairs, X[~held_out], good[~held_out], table["prompt_id"].to_numpy()[~held_out]


def torch_scorer(model, dtype: str, batch_size: int):
    """Encode by sentence-transformers and score by numpy."""
    import torch
    from sentence_transformers import SentenceTransformer

    from skcausalrm.text._source import BUNDLED_MODEL, find_model

    encoder = SentenceTransformer(
        find_model(BUNDLED_MODEL, None).location,
        device="cpu",
        model_kwargs={"dtype": getattr(torch, dtype)},
    )

    def predict(pairs):
        texts = [f"{prompt}\n\n{completion}" for prompt, completion in pairs]
        X = encoder.encode(
            texts, batch_size=batch_size, show_progress_bar=False, convert_to_tensor=True
        )
        return model.predict(X.float().numpy())

    return predict


def measure(pairs, X, good, groups, rounds: int) -> pd.DataFrame:
    """One row per setting: rows per second, agreement, and alone against in a batch."""
    from skcausalrm import CausalRewardRegressor, ConversationEncoder
    from skcausalrm.export import RewardScorer, text_to_onnx

    model = CausalRewardRegressor("naive", random_state=0).fit(X, good, groups=groups)
    encoder = ConversationEncoder(text="pair")
    calls, sizes = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for precision in PRECISIONS:
            path = Path(folder) / f"{precision}.onnx"
            text_to_onnx(model, encoder, path, precision=precision, sample=pairs[:64])
            calls[f"ONNX {precision}"] = RewardScorer.load(path).predict
            sizes[f"ONNX {precision}"] = path.stat().st_size / 1e6
            print(f"exported {precision}", file=sys.stderr)
    for dtype, size in TORCH:
        calls[f"torch {dtype}, batch {size}"] = torch_scorer(model, dtype, size)
    expected = model.predict(encoder.transform(pairs))
    best = dict.fromkeys(calls, np.inf)
    rewards = {}
    for turn in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            rewards[name] = call(pairs)
            best[name] = min(best[name], time.perf_counter() - start)
        print(f"round {turn + 1} of {rounds}", file=sys.stderr)
    rows = []
    for name, call in calls.items():
        alone = np.concatenate([call([pair]) for pair in pairs[:24]])
        rows.append(
            {
                "setting": name,
                "rows/s": len(pairs) / best[name],
                "tau": kendalltau(rewards[name], expected)[0],
                "largest difference": np.abs(rewards[name] - expected).max(),
                "alone": np.abs(alone - rewards[name][:24]).max(),
                "MB": sizes.get(name, np.nan),
            }
        )
    table = pd.DataFrame(rows)
    plain = table["setting"].str.startswith("torch float32")
    table["times torch"] = table["rows/s"] / table.loc[plain, "rows/s"].max()
    return table


def as_markdown(table: pd.DataFrame, n_rows: int, command: str) -> str:
    import onnxruntime
    import torch

    lines = [
        "# Text to reward",
        "",
        f"`{command}`: {n_rows} judged responses, all-MiniLM-L6-v2, 2 cores; torch "
        f"{torch.__version__}, onnxruntime {onnxruntime.__version__}, Python "
        f"{platform.python_version()}. In units of the fastest float32 torch setting. Kendall's "
        "tau is of rewards with the float32 encoder's; alone: the largest difference of a text's "
        "reward alone and among the others.",
        "",
        "| setting | rows/s | times torch | Kendall's tau | largest difference | alone | MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        size = "" if np.isnan(row["MB"]) else f"{row['MB']:.0f}"
        lines.append(
            f"| {row['setting']} | {row['rows/s']:.1f} | {row['times torch']:.2f} "
            f"| {row['tau']:.3f} | {row['largest difference']:.1e} | {row['alone']:.1e} | {size} |"
        )
    fit = table[
        table["setting"].str.startswith("ONNX") & (table["tau"] >= 0.97) & (table["alone"] <= 1e-4)
    ]
    fastest = fit.loc[fit["times torch"].idxmax()]
    met = "met" if fastest["times torch"] >= 2 else "**missed**"
    lines += [
        "",
        "| goal | found | |",
        "|---|---|---|",
        f"| 2 times torch with tau at least .97 and alone within 1e-4 | {fastest['setting']}: "
        f"{fastest['times torch']:.2f} times, tau {fastest['tau']:.3f} | {met} |",
        "",
        "![Frontier](scoring_text.png)",
    ]
    return "\n".join(lines) + "\n"


def draw(table: pd.DataFrame, path: Path) -> None:
    """The frontier of speed and agreement."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for kind, marker in (("ONNX", "o"), ("torch", "s")):
        part = table[table["setting"].str.startswith(kind)]
        axes.scatter(part["times torch"], part["tau"], marker=marker, label=kind)
        for row in part.to_dict("records"):
            name = row["setting"].removeprefix(kind).strip()
            upright = kind == "ONNX"  # torch's settings lie side by side
            axes.annotate(
                name,
                (row["times torch"], row["tau"]),
                textcoords="offset points",
                xytext=(5, -10) if upright else (2, 5),
                rotation=0 if upright else 40,
                fontsize=8,
            )
    axes.set_ylim(top=1.008)
    axes.axhline(0.97, color="0.7", linewidth=0.8)
    axes.axvline(2, color="0.7", linewidth=0.8)
    axes.set(
        xlabel="rows per second, times the fastest float32 torch", ylabel="Kendall's tau of rewards"
    )
    axes.legend(loc="lower left")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--rows", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if not (arguments.data / "judged_responses.parquet").exists():
        print(f"No judged_responses.parquet in {arguments.data}: nothing to run.", file=sys.stderr)
        raise SystemExit(2)
    warnings.simplefilter("ignore")
    table = measure(*load(arguments.data, arguments.rows), arguments.rounds)
    command = "python " + " ".join(["benchmarks/scoring_text.py", *sys.argv[1:]])
    text = as_markdown(table, arguments.rows, command)
    print(text)
    if arguments.out:
        (arguments.out / "scoring_text.md").write_text(text)
        draw(table, arguments.out / "scoring_text.png")


if __name__ == "__main__":
    main()
