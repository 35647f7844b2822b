"""Speed of RewardScorer on embeddings next to scikit-learn, torch and onnxruntime alone.

    python benchmarks/scoring.py --out benchmarks/results/scoring.md     # about two minutes
    python benchmarks/scoring.py --quick                                 # a check that it runs

One linear head, the same weights in every competitor, float32 rows. All competitors take turns,
a few calls each, so that other work on the machine hits all alike; latencies are of single calls,
rates are the median over the turns. The bound of a linear head is reading X once: how fast these
cores can do that is measured in the same turns, by two threads that each reduce half of X. Peak
memory is what one call adds to a fresh process that holds X.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np

WIDTHS = {384: 100_000, 4096: 50_000}
OURS, SKLEARN = "RewardScorer", "scikit-learn"
COMPETITORS = (OURS, SKLEARN, "torch eager", "onnxruntime alone")
FEW = (32, 1024)
LATENCY_GOAL, BANDWIDTH_GOAL = 15.0, 0.6
Scores = Callable[[np.ndarray], np.ndarray]


def write_file(width: int, path: Path) -> tuple[np.ndarray, float]:
    """Fit a reward, export it, and return its weights."""
    from skcausalrm import CausalRewardRegressor
    from skcausalrm.datasets import make_observational_feedback
    from skcausalrm.export import to_onnx

    log = make_observational_feedback(2000, width, observed_rate=0.5, random_state=0)
    model = CausalRewardRegressor("naive", random_state=0).fit(log.X, log.y)
    to_onnx(model, path)
    return model.estimator_.coef_, float(model.estimator_.intercept_)


def make_competitor(name: str, path: Path, coef: np.ndarray, intercept: float) -> Scores:
    """Clipped rewards of rows, by one of `COMPETITORS`."""
    if name == OURS:
        from skcausalrm.export import RewardScorer

        return RewardScorer.load(path).predict
    if name == SKLEARN:
        from sklearn.linear_model import Ridge

        ridge = Ridge()
        ridge.coef_, ridge.intercept_, ridge.n_features_in_ = coef, intercept, len(coef)
        return lambda X: np.clip(ridge.predict(X), 0, 1)
    if name == "torch eager":
        import torch

        layer = torch.nn.Linear(len(coef), 1)
        layer.weight.data = torch.from_numpy(coef[None].astype(np.float32))
        layer.bias.data = torch.tensor([intercept], dtype=torch.float32)

        def score(X: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return layer(torch.from_numpy(X)).clamp(0, 1)[:, 0].numpy()

        return score
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda X: session.run(["reward"], {"X": X})[0]


def rows_of(n_rows: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n_rows, width), dtype=np.float32)


def read_once(X: np.ndarray, reduce: Callable, pool: ThreadPoolExecutor) -> None:
    """Read every byte of X, half of it in each thread."""
    list(pool.map(reduce, np.array_split(X.reshape(-1), 2)))


def square(x: np.ndarray) -> np.ndarray:
    return np.dot(x, x)


def timed(call: Callable, *arguments) -> float:
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


def take_turns(
    competitors: dict[str, Callable[[], object]], turns: int, calls: int
) -> dict[str, np.ndarray]:
    """Seconds of ``turns * calls`` calls of each competitor, the first of every turn in turn."""
    names = list(competitors)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(turns):
        for name in np.roll(names, turn):
            competitors[name]()  # brings its code and weights back into the cache
            seconds[name] += [timed(competitors[name]) for _ in range(calls)]
    return {name: np.array(values) for name, values in seconds.items()}


def measure(width: int, n_rows: int, turns: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reward.onnx"
        coef, intercept = write_file(width, path)
        scores = {name: make_competitor(name, path, coef, intercept) for name in COMPETITORS}
        memory = {name: peak_memory(name, width, n_rows, path) for name in COMPETITORS}
    X = rows_of(n_rows, width)
    expected = scores[SKLEARN](X[:2000].astype(np.float64))
    drift = max(float(np.abs(score(X[:2000]) - expected).max()) for score in scores.values())
    if drift > 1e-5:
        sys.exit(f"The competitors differ by {drift:.1e}: there is nothing to compare.")

    def on(rows: np.ndarray) -> dict[str, Callable[[], object]]:
        return {name: lambda score=score: score(rows) for name, score in scores.items()}

    latency = take_turns(on(X[:1]), turns * 4, 500)
    seconds = {1: latency}
    for n in FEW:
        seconds[n] = take_turns(on(X[:n]), turns * 2, 20)
    with ThreadPoolExecutor(2) as pool:
        readers: dict[str, Callable[[], object]] = {
            "maximum": lambda: read_once(X, np.max, pool),
            "sum of squares": lambda: read_once(X, square, pool),
        }
        found = take_turns({**on(X), **readers}, turns, 2)
    seconds[n_rows] = found
    bandwidth = max(X.nbytes / float(np.median(found[name])) for name in readers)
    rates = {
        name: {n: n / float(np.median(times[name])) for n, times in seconds.items()}
        for name in COMPETITORS
    }
    return {
        "width": width,
        "n_rows": n_rows,
        "p50": {name: 1e6 * float(np.median(latency[name])) for name in COMPETITORS},
        "p99": {name: 1e6 * float(np.quantile(latency[name], 0.99)) for name in COMPETITORS},
        "rates": rates,
        "share": {name: rates[name][n_rows] * 4 * width / bandwidth for name in COMPETITORS},
        "bandwidth": bandwidth,
        "memory": memory,
        "drift": drift,
    }


def peak_memory(name: str, width: int, n_rows: int, path: Path) -> dict[str, float]:
    """MB of a fresh process before X comes, and what a call on all of X adds to X."""
    job = json.dumps([name, width, n_rows, str(path)])
    done = subprocess.run(
        [sys.executable, __file__, "--memory-of", job],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout)


def memory_of(name: str, width: int, n_rows: int, path: str) -> dict[str, float]:
    score = make_competitor(name, Path(path), np.full(width, 0.01), 0.5)
    score(rows_of(2, width))
    loaded = _high_water()
    X = rows_of(n_rows, width)
    before = _high_water()
    score(X)
    return {"loaded": loaded, "call": _high_water() - before}


def _high_water() -> float:
    """Peak memory of this process in MB; the kernel's other count starts from the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def goals(result: dict) -> list[tuple[str, bool]]:
    """Goals at this width, and if they are met."""
    rates, width, n_rows = result["rates"], result["width"], result["n_rows"]
    found = []
    if width == 384:
        p50 = result["p50"][OURS]
        found.append(
            (f"one row under {LATENCY_GOAL:g} microseconds: {p50:.1f}", p50 < LATENCY_GOAL)
        )
    share = result["share"][OURS]
    found.append(
        (
            f"{n_rows:,} rows at {BANDWIDTH_GOAL} of the bandwidth bound or more: {share:.2f}",
            share >= BANDWIDTH_GOAL,
        )
    )
    least = min(rates[OURS][n] / rates[SKLEARN][n] for n in rates[OURS])
    found.append((f"never slower than scikit-learn: at least {least:.1f} times as fast", least > 1))
    return found


def as_markdown(results: list[dict], command: str) -> str:
    packages = ("numpy", "onnxruntime", "scikit-learn", "torch")
    lines = [
        "# Speed of a linear head on embeddings",
        "",
        f"`{command}`; {platform.machine()}, {os.cpu_count()} cores, load average "
        f"{os.getloadavg()[0]:.1f} at the end; Python {platform.python_version()}, "
        + ", ".join(f"{package} {version(package)}" for package in packages)
        + ".",
    ]
    for result in results:
        sizes = list(result["rates"][OURS])
        lines += [
            "",
            f"## {result['width']} columns",
            "",
            "| | one row p50, µs | p99, µs | "
            + " | ".join(f"rows/s, {n:,}" for n in sizes)
            + f" | of the bound, {result['n_rows']:,} | process, MB | call adds, MB |",
            "|---" * (len(sizes) + 6) + "|",
        ]
        for name in COMPETITORS:
            memory = result["memory"][name]
            cells = [
                name,
                f"{result['p50'][name]:.1f}",
                f"{result['p99'][name]:.1f}",
                *(f"{rate:,.0f}" for rate in result["rates"][name].values()),
                f"{result['share'][name]:.2f}",
                f"{memory['loaded']:.0f}",
                f"{memory['call']:.0f}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
        lines += [
            "",
            f"Bound: X read once by two threads at {result['bandwidth'] / 1e9:.1f} GB/s. Largest "
            f"difference from scikit-learn in float64: {result['drift']:.1e}.",
            "",
            *(f"- Goal, {text} ({'met' if met else 'MISSED'})." for text, met in goals(result)),
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, two turns")
    parser.add_argument("--out", type=Path, help="write the result here, as Markdown")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        print(json.dumps(memory_of(*json.loads(arguments.memory_of))))
        return
    results = []
    for width, n_rows in WIDTHS.items():
        print(f"{width} columns ...", file=sys.stderr)
        if arguments.quick:
            n_rows, arguments.turns = n_rows // 10, 2
        results.append(measure(width, n_rows, arguments.turns))
    table = as_markdown(results, " ".join(["python benchmarks/scoring.py", *sys.argv[1:]]))
    print(table)
    if arguments.out:
        arguments.out.write_text(table)


if __name__ == "__main__":
    main()
