"""Each example runs as its own docstring says."""

import logging
import runpy
import sys
import warnings
from pathlib import Path

import pytest
from sklearn import model_selection
from sklearn.model_selection import GroupKFold

from skcausalrm import datasets

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not EXAMPLES.exists(), reason="examples are not in this distribution"),
]


@pytest.fixture
def run(capsys):
    """Run an example in this process and return what it prints."""

    def run(name, **options):
        with warnings.catch_warnings():  # which the examples change
            runpy.run_path(str(EXAMPLES / name), **options)
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


@pytest.fixture
def loud():
    """Bring back the messages that an example switches off."""
    transformers = pytest.importorskip("transformers").utils.logging
    progress = pytest.importorskip("datasets").utils
    verbosity = transformers.get_verbosity()
    yield
    logging.disable(logging.NOTSET)
    transformers.set_verbosity(verbosity)
    transformers.enable_progress_bar()
    progress.enable_progress_bars()


def test_rlhf_with_trl(run, monkeypatch, loud):
    """In this process, which has loaded torch and transformers for other tests."""
    pytest.importorskip("trl")
    monkeypatch.setattr(sys, "argv", ["rlhf_with_trl.py", "--quick"])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    out = run("rlhf_with_trl.py", run_name="__main__")
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
    monkeypatch.setattr(model_selection, "GroupKFold", lambda _: GroupKFold(2))
    lines = run("cross_validation_study.py").strip().splitlines()
    clean = {line.split()[0]: float(line.split()[-2]) for line in lines[1:]}
    assert set(clean) == {"Naive", "DR", "CoTeaching", "CausalRewardRegressor"}
    assert all(0.4 < value < 1 for value in clean.values())
