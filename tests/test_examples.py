"""Each example runs as its own docstring says."""

import os
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from skcausalrm import datasets

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not EXAMPLES.exists(), reason="examples are not in this distribution"),
]


@pytest.fixture
def run(capsys):
    """Run an example in this process and return what it prints."""

    def run(name):
        with warnings.catch_warnings():  # which the examples change
            runpy.run_path(str(EXAMPLES / name))
        return capsys.readouterr().out

    return run


def test_from_log_to_reward(run, monkeypatch):
    pytest.importorskip("sentence_transformers")
    make = datasets.make_feedback_logs
    monkeypatch.setattr(datasets, "make_feedback_logs", lambda _, **choices: make(400, **choices))
    out = run("from_log_to_reward.py")
    assert "AUROC" in out
    table = out.partition("corrected  answer")[2].strip().splitlines()
    rewards = {line.split(maxsplit=2)[2]: float(line.split()[1]) for line in table}
    assert all(0 <= reward <= 1 for reward in rewards.values())
    helpful = next(value for text, value in rewards.items() if text.startswith("Happy to help!"))
    rude = next(value for text, value in rewards.items() if text.startswith("Any idiot"))
    assert helpful > rude


def test_rlhf_with_trl():
    pytest.importorskip("trl")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "rlhf_with_trl.py", "--quick"],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    out = done.stdout
    truth = float(out.partition("R2 ")[2].split()[0])
    assert truth > 0.95  # the truth that the example reads off a text is the generator's
    assert "corrected above naive by" in out


def test_cross_validation_study(run, monkeypatch):
    pytest.importorskip("torch")
    make = datasets.make_observational_feedback
    fewer = {"n_groups": 80, "selection": "both", "random_state": 0}
    monkeypatch.setattr(
        datasets, "make_observational_feedback", lambda *_, **__: make(400, **fewer)
    )
    lines = run("cross_validation_study.py").strip().splitlines()
    clean = {line.split()[0]: float(line.split()[-2]) for line in lines[1:]}
    assert set(clean) == {"Naive", "DR", "CoTeaching", "CausalRewardRegressor"}
    assert all(0.4 < value < 1 for value in clean.values())
