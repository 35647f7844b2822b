"""Work that survives a SIGKILL; two processes on one cache."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from skcausalrm import ConversationEncoder

pytest.importorskip("torch")

N_TEXTS = 600
ROWS = [("prompt", f"{i} " * (1 + i % 50)) for i in range(N_TEXTS)]
NOISE = {"rtol": 0, "atol": 5e-6}  # after a kill, batches hold other mates than before

# Importing takes most of a child's time: this process does it once, and forks a child for each line
# that it reads, before torch has started a thread.
PARENT = """
import json, os, sys, time
import numpy as np
from tqdm import tqdm
from skcausalrm import ConversationEncoder
from skcausalrm.text import _backends as backends
from skcausalrm.text import _encoding as encoding

encoding.COMMIT_SECONDS = 0.02
embed = backends.TransformersBackend.embed

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # lines of two children stay whole

class Reporting(tqdm):  # every count the bar is told, at once, where a reader can see it
    def update(self, n=1):
        super().update(n)
        say(name, "done", self.n)

def encode(model, cache, out, delay):
    def slowly(*args):
        time.sleep(delay)
        return embed(*args)

    backends.TransformersBackend.embed = slowly
    rows = [("prompt", f"{i} " * (1 + i % 50)) for i in range(600)]
    encoder = ConversationEncoder(model, device="cpu", batch_size=8, text="pair").fit(rows)
    encoder.transform(rows[:1])  # loads the model
    say(name, "pid", os.getpid())
    encoding.tqdm = Reporting
    encoder.set_params(cache_dir=cache, show_progress=True)
    np.save(out, encoder.transform(rows))

import transformers, torch
from transformers import AutoModel, AutoTokenizer, BertModel  # which are imported on first use
for line in sys.stdin:
    children = {}
    for name, *arguments in json.loads(line):
        if not (pid := os.fork()):
            try:
                encode(*arguments)
            except BaseException as error:
                say(name, "failed", repr(error))
                os._exit(1)
            os._exit(0)  # torch takes seconds to tear down
        children[pid] = name
    for _ in range(len(children)):
        pid, status = os.wait()
        say(children[pid], "ended", os.waitstatus_to_exitcode(status))
"""


class Children:
    """Processes that encode `ROWS`, and what they report: (name, word, number)."""

    def __init__(self, model):
        self.model = model
        self.parent = subprocess.Popen(
            [sys.executable, "-c", PARENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def start(self, folder, names, delay):
        files = [(str(folder / "cache"), str(folder / f"{name}.npy")) for name in names]
        jobs = [
            [name, str(self.model), *paths, delay] for name, paths in zip(names, files, strict=True)
        ]
        self.parent.stdin.write(json.dumps(jobs) + "\n")
        self.parent.stdin.flush()

    def report(self):
        name, word, number = self.parent.stdout.readline().split(maxsplit=2)
        assert word != "failed", number
        return name, word, int(number)


@pytest.fixture(scope="module")
def children(tiny):
    found = Children(tiny["bert"])
    yield found
    found.parent.communicate()


def encoder(tiny, **parameters):
    return ConversationEncoder(tiny["bert"], device="cpu", batch_size=8, text="pair", **parameters)


@pytest.fixture(scope="module")
def undisturbed(tiny):
    return encoder(tiny).transform(ROWS)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_killed_at_two_random_moments_and_run_again(tiny, tmp_path, undisturbed, children):
    moments = np.random.default_rng().uniform(0.0, 0.4, 2)
    done = 0
    for moment in moments:
        children.start(tmp_path, ["killed"], 0.04)
        _, word, pid = children.report()
        assert word == "pid"
        hits = children.report()[2]
        assert hits >= done, f"reported done, yet encoded again (killed after {moments} s)"
        children.report()  # the first commit
        time.sleep(moment)
        os.kill(pid, signal.SIGKILL)
        done = hits
        while (found := children.report())[1] == "done":
            done = max(done, found[2])
        assert found[1:] == ("ended", -signal.SIGKILL)
    assert 0 < done < N_TEXTS

    resumed = encoder(tiny, cache_dir=tmp_path / "cache")
    np.testing.assert_allclose(resumed.transform(ROWS), undisturbed, **NOISE)
    assert resumed.cache_hit_count_ >= done
    assert resumed.encoded_count_ == N_TEXTS - resumed.cache_hit_count_
    assert resumed.cache_corrupt_count_ == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_two_processes_share_a_cache(tiny, tmp_path, undisturbed, children):
    children.start(tmp_path, ["one", "two"], 0.005)
    done, ended = {}, {}
    while len(ended) < 2:
        name, word, number = children.report()
        {"done": done, "ended": ended}.get(word, {})[name] = number
    assert ended == {"one": 0, "two": 0}
    assert done == {"one": N_TEXTS, "two": N_TEXTS}
    for name in ("one", "two"):
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), undisturbed, **NOISE)
    third = encoder(tiny, cache_dir=tmp_path / "cache")
    np.testing.assert_allclose(third.transform(ROWS), undisturbed, **NOISE)
    assert (third.encoded_count_, third.cache_hit_count_) == (0, N_TEXTS)
