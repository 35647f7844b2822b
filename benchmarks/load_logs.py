"""Time and memory of `load_feedback` on large logs, next to a bare read by the standard library.

    python benchmarks/load_logs.py [--rows 1000000] [--bytes 1000] [--out FILE]

Writes three JSON Lines files of the same answers (plain columns, chats in `messages`, Langfuse
traces with their scores) to a temporary folder, and loads each in a process of its own. The bare
read is `json.loads` on each line, which keeps nothing. Peak memory is the process's high-water
mark.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

FORMATS = ("plain", "chat", "langfuse")
WORDS = np.array(["the", "a", "of", "to", "model", "answer", "question", "user", "data", "value"])


def make_texts(rng: np.random.Generator, n: int, length: int) -> list[str]:
    """Return n texts of about `length` characters, made of a thousand shuffled paragraphs."""
    pieces = [" ".join(rng.choice(WORDS, size=length // 5)) for _ in range(1_000)]
    return [f"{k} {pieces[k % 1_000]}" for k in range(n)]


def write_logs(folder: Path, n: int, n_bytes: int) -> None:
    """Write the logs of all formats."""
    rng = np.random.default_rng(0)
    prompts = make_texts(rng, n // 2, n_bytes // 4)
    answers = make_texts(rng, n, 3 * n_bytes // 4 - 150)
    rated = rng.random(n) < 0.1
    liked = rng.random(n) < 0.6
    files = {name: (folder / f"{name}.jsonl").open("w") for name in (*FORMATS, "scores")}
    for k, answer in enumerate(answers):
        prompt = prompts[k // 2]
        feedback = int(liked[k]) if rated[k] else None
        common = {"user_id": f"u{k % 9973}", "session_id": f"s{k // 2}"}
        time_ = f"2026-{1 + k % 12:02d}-{1 + k % 28:02d}T09:00:00Z"
        rows = {
            "plain": {
                "id": f"r{k}", "prompt": prompt, "completion": answer, "feedback": feedback,
                "created_at": time_, **common,
            },
            "chat": {
                "messages": [
                    {"role": "user", "content": prompt},
                    {"role": "assistant", "content": answer},
                ],
                "feedback": feedback, "created_at": time_, **common,
            },
            "langfuse": {
                "id": f"r{k}", "timestamp": time_, "input": {"question": prompt}, "output": answer,
                "userId": common["user_id"], "sessionId": common["session_id"],
            },
        }  # fmt: skip
        if rated[k]:
            rows["scores"] = {
                "id": f"s{k}", "traceId": f"r{k}", "name": "thumbs", "value": feedback,
                "source": "API", "timestamp": time_,
            }  # fmt: skip
        for name, row in rows.items():
            files[name].write(json.dumps(row) + "\n")
    for file in files.values():
        file.close()


def load_one(folder: Path, name: str) -> dict[str, float]:
    """Load one log and return its figures."""
    import resource

    from skcausalrm.datasets import load_feedback

    warnings.simplefilter("ignore")
    path = folder / f"{name}.jsonl"
    start = time.perf_counter()
    with path.open("rb") as file:
        for line in file:
            json.loads(line)
    bare = time.perf_counter() - start
    start = time.perf_counter()
    scores = folder / "scores.jsonl" if name == "langfuse" else None
    frame = load_feedback(path, scores=scores)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "rows": len(frame),
        "rated": int(frame["feedback"].notna().sum()),
        "file_gb": path.stat().st_size / 1e9,
        "bare_s": bare,
        "load_s": seconds,
        "peak_gib": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--bytes", type=int, default=1_000, help="Size of a row.")
    parser.add_argument("--formats", nargs="+", default=FORMATS, choices=FORMATS)
    parser.add_argument("--out", type=Path, help="Markdown file to write.")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(load_one(Path(options.one[0]), options.one[1])))
        return
    lines = [
        "# Loading large logs",
        "",
        f"`python benchmarks/load_logs.py {' '.join(sys.argv[1:])}`, two cores of an x86 server: "
        "`load_feedback` on generated logs of rows of a kilobyte, next to `json.loads` on each "
        "line, which keeps nothing.",
        "",
        f"Python {platform.python_version()}, {platform.machine()}",
        "",
        "| log | rows | rated | file, GB | bare json.loads, s | load_feedback, s | peak, GiB |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        write_logs(Path(folder), options.rows, options.bytes)
        for name in options.formats:
            command = [sys.executable, __file__, "--one", folder, name]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            row = json.loads(done.stdout)
            lines.append(
                f"| {name} | {row['rows']:,} | {row['rated']:,} | {row['file_gb']:.2f} | "
                f"{row['bare_s']:.1f} | {row['load_s']:.1f} | {row['peak_gib']:.1f} |"
            )
            print(lines[-1], flush=True)
    page = "\n".join(lines) + "\n"
    print(page)
    if options.out:
        options.out.write_text(page)


if __name__ == "__main__":
    main()
