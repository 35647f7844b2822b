"""Work that survives a SIGKILL; two processes on one cache. Children are started, not forked."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from skcausalrm import ConversationEncoder

pytest.importorskip("torch")

N_TEXTS = 600
ROWS = [("prompt", f"{i} " * (1 + i % 50)) for i in range(N_TEXTS)]
NOISE = {"rtol": 0, "atol": 5e-6}  # after a kill, batches hold other mates than before

CHILD = """
import os, sys, time
import numpy as np
from tqdm import tqdm
from skcausalrm import ConversationEncoder
from skcausalrm.text import _backends as backends
from skcausalrm.text import _encoding as encoding

model, cache, out, delay = sys.argv[1:]
encoding.COMMIT_SECONDS = 0.02
embed = backends.TransformersBackend.embed

def slowly(*args):
    time.sleep(float(delay))
    return embed(*args)

backends.TransformersBackend.embed = slowly

class Reporting(tqdm):  # every count the bar is told, at once, where a reader can see it
    def update(self, n=1):
        super().update(n)
        print("done", self.n, flush=True)

encoding.tqdm = Reporting
rows = [("prompt", f"{i} " * (1 + i % 50)) for i in range(600)]
encoder = ConversationEncoder(model, device="cpu", batch_size=8, text="pair").fit(rows)
encoder.transform(rows[:1])  # loads the model
encoder.set_params(cache_dir=cache, show_progress=True)
np.save(out, encoder.transform(rows))
os._exit(0)  # torch takes seconds to tear down
"""


def start(tiny, folder, name, delay):
    arguments = [tiny["bert"], folder / "cache", folder / f"{name}.npy", delay]
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def reported(line):
    return int(re.fullmatch(r"done (\d+)\n?", line)[1])


def encoder(tiny, **parameters):
    return ConversationEncoder(tiny["bert"], device="cpu", batch_size=8, text="pair", **parameters)


@pytest.fixture(scope="module")
def undisturbed(tiny):
    return encoder(tiny).transform(ROWS)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_killed_at_two_random_moments_and_run_again(tiny, tmp_path, undisturbed):
    moments = np.random.default_rng().uniform(0.0, 0.4, 2)
    done = 0
    for moment in moments:
        child = start(tiny, tmp_path, "killed", delay=0.04)
        child.stdout.readline()  # the model's first text
        child.stdout.readline()
        hits = reported(child.stdout.readline())
        assert hits >= done, f"reported done, yet encoded again (killed after {moments} s)"
        child.stdout.readline()  # the first commit
        time.sleep(moment)
        child.send_signal(signal.SIGKILL)
        rest, _ = child.communicate()
        assert child.returncode == -signal.SIGKILL
        done = max([hits, *map(reported, rest.splitlines())])
    assert 0 < done < N_TEXTS

    resumed = encoder(tiny, cache_dir=tmp_path / "cache")
    np.testing.assert_allclose(resumed.transform(ROWS), undisturbed, **NOISE)
    assert resumed.cache_hit_count_ >= done
    assert resumed.encoded_count_ == N_TEXTS - resumed.cache_hit_count_
    assert resumed.cache_corrupt_count_ == 0


def test_two_processes_share_a_cache(tiny, tmp_path, undisturbed):
    children = [start(tiny, tmp_path, name, delay=0.005) for name in ("one", "two")]
    for child in children:
        output, _ = child.communicate(timeout=300)
        assert child.returncode == 0
        assert reported(output.splitlines()[-1]) == N_TEXTS
    for name in ("one", "two"):
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), undisturbed, **NOISE)
    third = encoder(tiny, cache_dir=tmp_path / "cache")
    np.testing.assert_allclose(third.transform(ROWS), undisturbed, **NOISE)
    assert (third.encoded_count_, third.cache_hit_count_) == (0, N_TEXTS)
