"""Time and memory of a whole fit beside what it cannot do without.

    python benchmarks/speed.py [--sizes 30000x256 35000x4096] [--repeats 3] [--out FILE]

Each size runs in a process of its own: scikit-learn's LogisticRegression (default C) of "was
feedback left" on X, one X.T @ X, the ridge head with its penalty chosen, and CausalRewardRegressor
(method dr: flip rates, imputation and propensity cross-fitted, head tuned), interleaved, best of
`repeats`. Peak memory is the process's high-water mark over what it had before X was made.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np


class PeakMemory:
    """Highest resident set size while the block runs, sampled every 5 ms, in bytes."""

    def __enter__(self):
        import psutil

        self.process, self.peak, self.running = psutil.Process(), 0, True
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self):
        while self.running:
            self.peak = max(self.peak, self.process.memory_info().rss)
            time.sleep(0.005)

    def __exit__(self, *_):
        self.running = False
        self.thread.join()


def run_one(n_rows: int, n_features: int, repeats: int) -> dict:
    import psutil
    from sklearn.linear_model import LogisticRegression

    from skcausalrm import CausalRewardRegressor
    from skcausalrm.datasets import make_observational_feedback
    from skcausalrm.heads import RidgeHead

    warnings.simplefilter("ignore")
    log = make_observational_feedback(n_rows, n_features, selection="x", random_state=0)
    X, y = log.X, log.y
    observed = ~np.isnan(y)
    target = np.where(observed, y, 0.5)
    before = psutil.Process().memory_info().rss - X.nbytes

    def timed(call):
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    contestants = {
        "X.T @ X": lambda: X.T @ X,
        "LogisticRegression": lambda: LogisticRegression().fit(X, observed),
        "RidgeHead, penalty chosen": lambda: RidgeHead(random_state=0).fit(X, target),
        "CausalRewardRegressor('dr')": lambda: CausalRewardRegressor("dr", random_state=0).fit(
            X, y
        ),
    }
    seconds = dict.fromkeys(contestants, np.inf)
    for _ in range(repeats):
        for name, call in contestants.items():
            seconds[name] = min(seconds[name], timed(call))
    with PeakMemory() as memory:
        CausalRewardRegressor("dr", random_state=0).fit(X, y)
    return {
        "size": f"{n_rows:,} x {n_features:,}",
        "seconds": seconds,
        "fit over the sum": seconds["CausalRewardRegressor('dr')"]
        / (seconds["X.T @ X"] + seconds["LogisticRegression"]),
        "ridge over X.T @ X": seconds["RidgeHead, penalty chosen"] / seconds["X.T @ X"],
        "peak over X": (memory.peak - before) / X.nbytes,
    }


def as_markdown(results: list[dict], command: str) -> str:
    import scipy
    import sklearn

    import skcausalrm

    names = list(results[0]["seconds"])
    lines = [
        f"`{command}`, best of several interleaved runs; skcausalrm {skcausalrm.__version__}, "
        f"scikit-learn {sklearn.__version__}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"Python {platform.python_version()}, 2 cores.",
        "",
        "| | " + " | ".join(r["size"] for r in results) + " | goal |",
        "|---" * (len(results) + 2) + "|",
    ]
    lines += [
        f"| {name}, s | " + " | ".join(f"{r['seconds'][name]:.2f}" for r in results) + " | |"
        for name in names
    ]
    for key, goal in (
        ("fit over the sum", "< 3"),
        ("ridge over X.T @ X", "< 2"),
        ("peak over X", "< 2.5"),
    ):
        lines.append(f"| {key} | " + " | ".join(f"{r[key]:.2f}" for r in results) + f" | {goal} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["30000x256", "35000x4096"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run_one(*map(int, arguments.one.split("x")), arguments.repeats)))
        return
    results = []
    for size in arguments.sizes:
        print(f"{size} ...", file=sys.stderr)
        command = [sys.executable, __file__, "--one", size, "--repeats", str(arguments.repeats)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        results.append(json.loads(done.stdout))
    table = as_markdown(results, "python " + " ".join(["benchmarks/speed.py", *sys.argv[1:]]))
    print(table)
    if arguments.out:
        arguments.out.write_text(table)


if __name__ == "__main__":
    main()
