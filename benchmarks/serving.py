"""The server under load on this machine: throughput, latency, overload.

    python benchmarks/serving.py [--data ../shared/data] [--seconds 12] [--out FILE]

A text file (all-MiniLM-L6-v2 with a ridge head, int8) is scored offline by RewardScorer, then
served by `skcausalrm serve` in a process of its own to clients in another, each of which sends its
next text when the last is answered. At overload the queue holds as many rows as the server scores
in a second, and clients that are refused come back after a moment, four times as many as it can
serve. Every answered reward is compared with the offline one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
from scoring_text import ROOT, load

CLIENTS = (1, 16, 64)


class Server:
    """A process of the command line on a free port."""

    def __init__(self, path: Path, *options: str):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "skcausalrm", "serve", str(path), "--port", "0", *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


async def closed_loop(address, pairs, expected, n_clients: int, seconds: float) -> dict:
    """Clients that wait for each answer; latencies of those accepted, and what was refused."""
    import httpx

    latencies, refused, wrong, other = [], 0, 0, 0
    end = time.perf_counter() + seconds
    limits = httpx.Limits(max_connections=n_clients)

    async def client(http, number: int) -> None:
        nonlocal refused, wrong, other
        row = number
        while time.perf_counter() < end:
            row = (row + n_clients) % len(pairs)
            prompt, completion = pairs[row]
            body = {"rows": [{"prompt": prompt, "completion": completion}]}
            start = time.perf_counter()
            reply = await http.post(f"{address}/score", json=body)
            if reply.status_code == 200:
                latencies.append(time.perf_counter() - start)
                wrong += abs(reply.json()["rewards"][0] - expected[row]) > 1e-4
            elif reply.status_code == 503:
                refused += 1
                await asyncio.sleep(0.2)
            else:
                other += 1

    async with httpx.AsyncClient(limits=limits, timeout=60) as http:
        start = time.perf_counter()
        await asyncio.gather(*(client(http, number) for number in range(n_clients)))
        took = time.perf_counter() - start
    p50, p95, p99 = np.percentile(latencies, [50, 95, 99]) * 1000
    return {
        "clients": n_clients,
        "rows/s": len(latencies) / took,
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "refused": refused,
        "wrong": wrong,
        "other": other,
    }


def measure(pairs, X, good, groups, seconds: float) -> tuple[float, list[dict], dict, int]:
    """Offline rows per second, a row per number of clients, overload, and its queue."""
    from skcausalrm import CausalRewardRegressor, ConversationEncoder
    from skcausalrm.export import RewardScorer, text_to_onnx

    model = CausalRewardRegressor("naive", random_state=0).fit(X, good, groups=groups)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reward.onnx"
        encoder = ConversationEncoder(text="pair")
        text_to_onnx(model, encoder, path, precision="int8", sample=pairs[:64])
        scorer = RewardScorer.load(path)
        expected = scorer.predict(pairs)
        offline = 0.0
        for _ in range(3):
            start = time.perf_counter()
            scorer.predict(pairs)
            offline = max(offline, len(pairs) / (time.perf_counter() - start))
        del scorer
        with Server(path) as server:
            rows = [
                asyncio.run(closed_loop(server.address, pairs, expected, count, seconds))
                for count in CLIENTS
            ]
        queue = max(8, int(rows[-1]["rows/s"]))
        with Server(path, "--max-queue", str(queue), "--max-batch", "32") as server:
            clients = 4 * (queue + 32)
            overload = asyncio.run(closed_loop(server.address, pairs, expected, clients, seconds))
    return offline, rows, overload, queue


def as_markdown(offline, rows, overload, queue, command: str) -> str:
    import onnxruntime

    lines = [
        "# Serving",
        "",
        f"`{command}`: judged responses, all-MiniLM-L6-v2 in int8, one text a request, server and "
        f"clients on the same 2 cores; onnxruntime {onnxruntime.__version__}, Python "
        f"{platform.python_version()}. Offline, in one call: {offline:.1f} rows/s.",
        "",
        "| clients | rows/s | of offline | p50, ms | p95, ms | p99, ms | refused | wrong rewards |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['clients']} | {row['rows/s']:.1f} | {row['rows/s'] / offline:.2f} "
        f"| {row['p50']:.0f} | {row['p95']:.0f} | {row['p99']:.0f} | {row['refused']} "
        f"| {row['wrong']} |"
        for row in [*rows, overload]
    ]
    share = rows[-1]["rows/s"] / offline
    # what waits when a row is taken, and its own batch
    longest = 1000 * (queue + 2 * 32) / overload["rows/s"]
    bounded = overload["p99"] <= 1.5 * longest
    wrong = sum(row["wrong"] + row["other"] for row in [*rows, overload])
    goals = [
        ("64 clients reach .8 of the offline rate", f"{share:.2f}", share >= 0.8),
        (
            f"4 times what it can take (queue of {queue}): 503, and p99 of the accepted bounded by "
            "the queue",
            f"{overload['refused']} refused, p99 {overload['p99']:.0f} ms, a full queue takes "
            f"{longest:.0f} ms",
            overload["refused"] > 0 and bounded,
        ),
        ("every answered reward is the offline one", f"{wrong} others", wrong == 0),
    ]
    lines += ["", "| goal | found | |", "|---|---|---|"]
    lines += [f"| {a} | {b} | {'met' if met else '**missed**'} |" for a, b, met in goals]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if not (arguments.data / "judged_responses.parquet").exists():
        print(f"No judged_responses.parquet in {arguments.data}: nothing to run.", file=sys.stderr)
        raise SystemExit(2)
    warnings.simplefilter("ignore")
    command = "python " + " ".join(["benchmarks/serving.py", *sys.argv[1:]])
    text = as_markdown(*measure(*load(arguments.data, 256), arguments.seconds), command)
    print(text)
    if arguments.out:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
