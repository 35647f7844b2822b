"""``skcausalrm threshold``: found on verified answers, kept in the model, or refused."""

import json
import shutil

import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback, make_feedback_logs
from skcausalrm.datasets._labels import answer_keys, append_label
from skcausalrm.exceptions import ThresholdError
from skcausalrm.export import load_model_directory


@pytest.fixture
def judged(workspace, tmp_path):
    """The held-out log with a verified label in every row, and a model of its own."""
    log = pd.read_json(workspace.held_out, lines=True)
    made = make_feedback_logs(360, observed_rate=0.5, n_verified=60, random_state=0)
    log["verified"] = made.reward[(made.frame["group"] % 2 == 1).to_numpy()]
    log.to_json(tmp_path / "log.jsonl", orient="records", lines=True, date_format="iso")
    shutil.copytree(workspace.model, tmp_path / "model")
    return tmp_path / "model", tmp_path / "log.jsonl"


def test_the_threshold_is_kept_in_the_model(judged, workspace, run):
    model, log = judged
    given = ("threshold", model, log, "--max-bad", "0.5", "--cache-dir", workspace.cache)
    before = load_model_directory(model).config
    dry = run(*given, "--dry-run")
    assert dry.exit_code == 0, dry.stderr
    assert "With 90% confidence at most 50% of such answers are bad" in dry.stdout
    assert load_model_directory(model).config == before
    done = run(*given, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    rows = pd.read_json(log, lines=True)
    assert found["n_verified"] == len(rows)
    assert 0 < found["n_bad"] < 0.5 * found["n_accepted"]
    after = load_model_directory(model)
    assert after.config["acceptance"]["threshold"] == found["threshold"]
    assert after.scorer.metadata_["acceptance"]["max_bad"] == 0.5
    assert after.report == workspace.report or after.report["rows"] == workspace.report["rows"]


def test_no_threshold_and_no_verified_answers(judged, workspace, run):
    model, log = judged
    cache = ("--cache-dir", workspace.cache)
    strict = run("threshold", model, log, "--max-bad", "0.001", *cache)
    assert strict.exit_code == 2
    assert "No threshold has at most 0.1% bad answers" in strict.stderr
    rows = pd.read_json(log, lines=True).drop(columns="verified")
    rows.to_json(log, orient="records", lines=True, date_format="iso")
    without = run("threshold", model, log, *cache)
    assert without.exit_code == 2
    assert "has no verified answers" in without.stderr
    assert "acceptance" not in load_model_directory(model).config


def test_labels_of_a_top_up_count_by_their_probability(judged, workspace, run, monkeypatch):
    model, log = judged
    pd.read_json(log, lines=True).drop(columns="verified").to_json(
        log, orient="records", lines=True, date_format="iso"
    )
    out = log.with_name("labels.jsonl")
    for k, key in enumerate(answer_keys(load_feedback(log))[:4]):
        append_label(out, key, 1, top_up={"probability": (1 + k % 2) / 4, "batch": "b"})
    given = {}

    def record(*_, **keywords):
        given.update(keywords)
        raise ThresholdError("none")

    monkeypatch.setattr("skcausalrm.inference.threshold_for", record)
    run("threshold", model, log, "--verified", out, "--cache-dir", workspace.cache)
    chance = given["verified_propensity"][~pd.isna(given["verified"])]
    assert chance.tolist() == [0.5, 1.0, 0.5, 1.0]
