"""Time and memory of a whole fit, next to its indispensable parts.

    python benchmarks/speed.py [--sizes 24000x256 35000x4096] [--repeats 3] [--out FILE]

Each size runs in a process of its own: scikit-learn's LogisticRegression (default C) of "was
feedback left" on X, one X.T @ X, the ridge head with its penalty chosen, and CausalRewardRegressor
by the methods dr (flip rates, outcome model and propensity cross-fitted, head tuned), selection
(the selection likelihood) and auto (which chooses selection here), interleaved, best of `repeats`.
Peak memory is the process's high-water mark over what it had before X was made.

Then the selection likelihood alone, all links, at 10^4, 10^5 and 10^6 rows.
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

METHODS = ("dr", "selection", "auto")


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
        **{
            f"CausalRewardRegressor({method!r})": lambda method=method: CausalRewardRegressor(
                method, random_state=0
            ).fit(X, y)
            for method in METHODS
        },
    }
    seconds = dict.fromkeys(contestants, np.inf)
    for _ in range(repeats):
        for name, call in contestants.items():
            seconds[name] = min(seconds[name], timed(call))
    peaks = {}
    for method in METHODS:
        with PeakMemory() as memory:
            CausalRewardRegressor(method, random_state=0).fit(X, y)
        peaks[f"peak of {method} over X"] = (memory.peak - before) / X.nbytes
    together = seconds["X.T @ X"] + seconds["LogisticRegression"]
    return {
        "size": f"{n_rows:,} x {n_features:,}",
        "seconds": seconds,
        **{
            f"{method} over the sum": seconds[f"CausalRewardRegressor({method!r})"] / together
            for method in METHODS
        },
        "ridge over X.T @ X": seconds["RidgeHead, penalty chosen"] / seconds["X.T @ X"],
        **peaks,
    }


def time_likelihood(n_rows: int, repeats: int) -> float:
    """Seconds for counting and averaging over links and base rates, from linear predictors."""
    from scipy.special import expit

    from skcausalrm.selection._averaging import average
    from skcausalrm.selection._counts import count_outcomes, outcomes_of_rows
    from skcausalrm.selection._priors import Knowledge, base_rate_prior

    rng = np.random.default_rng(0)
    z = rng.standard_normal((n_rows, 2))
    good = rng.random(n_rows) < expit(1.5 * z[:, 0] + 0.5 * z[:, 1])
    rated = rng.random(n_rows) < expit(z[:, 1] + good - 2)
    said = np.where(good, rng.random(n_rows) > 0.2, rng.random(n_rows) < 0.1)
    y = np.where(rated, said, np.nan)
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        counts = count_outcomes(z, outcomes_of_rows(y, None), None)
        average(counts, Knowledge(), base_rate_prior(None))
        best = min(best, time.perf_counter() - start)
    return best


def as_markdown(results: list[dict], likelihood: dict[int, float], command: str) -> str:
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
        ("dr over the sum", "< 3"),
        ("selection over the sum", "< 5"),
        ("auto over the sum", ""),
        ("ridge over X.T @ X", "< 2"),
        *((f"peak of {method} over X", "< 2.5") for method in METHODS),
    ):
        lines.append(f"| {key} | " + " | ".join(f"{r[key]:.2f}" for r in results) + f" | {goal} |")
    lines += [
        "",
        "Selection likelihood alone, all links (goal: < 4 s):",
        "",
        "| rows | s |",
    ]
    lines += ["|---|---|"] + [f"| {n:,} | {seconds:.2f} |" for n, seconds in likelihood.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["24000x256", "35000x4096"])
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
    print("likelihood ...", file=sys.stderr)
    likelihood = {n: time_likelihood(n, arguments.repeats) for n in (10**4, 10**5, 10**6)}
    table = as_markdown(
        results, likelihood, "python " + " ".join(["benchmarks/speed.py", *sys.argv[1:]])
    )
    print(table)
    if arguments.out:
        arguments.out.write_text(table)


if __name__ == "__main__":
    main()
