"""Each example runs as its own docstring says."""

import os
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not EXAMPLES.exists(), reason="examples are not in this distribution"),
]


def run(name, *arguments):
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_from_log_to_reward():
    pytest.importorskip("sentence_transformers")
    out = run("from_log_to_reward.py")
    assert "debiased_roc_auc_score" in out
    assert "7 times 6 is 42." in out


def test_rlhf_with_trl():
    pytest.importorskip("trl")
    out = run("rlhf_with_trl.py", "--quick")
    truth = float(out.partition("R2 ")[2].split()[0])
    assert truth > 0.95  # the truth that the example reads off a text is the generator's
    assert "corrected above naive by" in out


def test_cross_validation_study(monkeypatch, capsys):
    pytest.importorskip("torch")
    from skcausalrm import datasets

    make = datasets.make_observational_feedback
    fewer = {"n_groups": 240, "selection": "both", "random_state": 0}
    monkeypatch.setattr(
        datasets, "make_observational_feedback", lambda *_, **__: make(1200, **fewer)
    )
    with warnings.catch_warnings():  # which the example changes
        runpy.run_path(str(EXAMPLES / "cross_validation_study.py"))
    lines = capsys.readouterr().out.strip().splitlines()
    clean = {line.split()[0]: float(line.split()[-2]) for line in lines[1:]}
    assert set(clean) == {"Naive", "DR", "CoTeaching", "CausalRewardRegressor"}
    assert all(0.4 < value < 1 for value in clean.values())
