"""fit --updatable, then fit --update, on a small log."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from skcausalrm.cli._prompts import join_prompts, pack_prompts
from skcausalrm.cli._update import stable_groups


@pytest.fixture(scope="module")
def updatable(workspace, run, tmp_path_factory):
    """A model of the training log that can be updated; only read it."""
    model = tmp_path_factory.mktemp("updatable") / "model"
    result = run(
        "fit", workspace.train, "--out", model, "--method", "dr", "--updatable",
        "--cache-dir", workspace.cache, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["head"] == "ridge"
    return model


@pytest.fixture(scope="module")
def embedded(workspace):
    """Embeddings, feedback, prompts and verified labels of both logs."""
    from skcausalrm import ConversationEncoder
    from skcausalrm.datasets import load_feedback

    encoder = ConversationEncoder(cache_dir=workspace.cache)
    logs = [load_feedback(path) for path in (workspace.train, workspace.held_out)]
    return [
        (
            encoder.fit_transform(log[["prompt", "completion"]]),
            log["feedback"].to_numpy(dtype=float),
            log["group"].to_numpy(),
            log["verified"].to_numpy(dtype=float),
        )
        for log in logs
    ]


def score(run, workspace, model, folder):
    out = folder / f"{model.name}.jsonl"
    result = run("score", model, workspace.held_out, "--out", out, "--cache-dir", workspace.cache)
    assert result.exit_code == 0, result.stderr
    return pd.read_json(out, lines=True)["reward"].to_numpy()


def update(run, workspace, model, *options):
    return run(
        "fit", "--update", model, workspace.held_out, "--cache-dir", workspace.cache, *options
    )


def test_an_update_is_partial_fit(run, workspace, updatable, embedded, tmp_path):
    from skcausalrm import CausalRewardRegressor
    from skcausalrm.export import load_model_directory

    before = {name: (updatable / name).read_bytes() for name in os.listdir(updatable)}
    result = update(run, workspace, updatable, "--out", tmp_path / "new", "--json")
    assert result.exit_code == 0, result.stderr
    assert {name: (updatable / name).read_bytes() for name in os.listdir(updatable)} == before
    model = CausalRewardRegressor("dr", random_state=0)
    for X, y, groups, verified in embedded:
        model.partial_fit(X, y, groups=groups, verified=verified)
    rewards = score(run, workspace, tmp_path / "new", tmp_path)
    np.testing.assert_allclose(rewards, model.predict(embedded[1][0]), atol=1e-5)
    report = json.loads(result.stdout)
    n_rows = [len(y) for _, y, *_ in embedded]
    assert (report["rows"], report["rows_so_far"]) == (n_rows[1], sum(n_rows))
    assert report["rated"] == np.count_nonzero(~np.isnan(embedded[1][1]))
    assert set(report["sets"]) == {"log", "verified"}
    saved = load_model_directory(tmp_path / "new")
    assert saved.is_updatable
    assert saved.report["rows"] == n_rows[0]
    assert [entry["rows"] for entry in saved.report["updates"]] == n_rows[1:]
    shared = run("evaluate", tmp_path / "new", workspace.held_out, "--cache-dir", workspace.cache)
    assert "trained on too" in shared.stderr


def test_in_place_and_not_twice(run, workspace, updatable, tmp_path):
    model = shutil.copytree(updatable, tmp_path / "model")
    refused = update(run, workspace, model)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    result = update(run, workspace, model, "--overwrite")
    assert result.exit_code == 0, result.stderr
    assert "Update: dr, ridge head" in result.stdout
    again = update(run, workspace, model, "--overwrite")
    assert again.exit_code == 2
    assert "would count twice" in again.stderr
    first = run("fit", "--update", model, workspace.train, "--overwrite")
    assert first.exit_code == 2
    assert "would count twice" in first.stderr


def test_a_model_that_keeps_nothing_is_refused(run, workspace):
    result = update(run, workspace, workspace.model, "--overwrite")
    assert result.exit_code == 2
    assert "--updatable" in result.stderr
    assert workspace.model.is_dir()


def test_another_encoder_is_refused(run, workspace, updatable, tmp_path):
    from skcausalrm.export.model_directory import _signed

    model = shutil.copytree(updatable, tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    del config["checksum"]
    config["encoder_settings"]["fingerprint"] = "0" * 64
    (model / "config.json").write_bytes(_signed(config))
    result = update(run, workspace, model, "--overwrite")
    assert result.exit_code == 2
    assert "is not the one that" in result.stderr


def test_a_log_without_feedback_is_refused(run, workspace, updatable, tmp_path):
    silent = pd.read_json(workspace.held_out, lines=True).assign(feedback=None, verified=None)
    silent.to_json(tmp_path / "silent.jsonl", orient="records", lines=True)
    result = run(
        "fit", "--update", updatable, tmp_path / "silent.jsonl", "--out", tmp_path / "new",
        "--cache-dir", workspace.cache,
    )  # fmt: skip
    assert result.exit_code == 2
    assert "feedback" in result.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--method", "dr"), ("--model", "other"), ("--head", "ridge"), ("--random-state", "1"),
        ("--base-rate", "0.5"), ("--false-positive-rate", "0.1"), ("--imputation-name", "judge"),
    ],
)  # fmt: skip
def test_what_was_settled_by_the_fit_is_refused(run, tmp_path, options):
    result = run("fit", "--update", tmp_path, tmp_path / "log.jsonl", *options)
    assert result.exit_code == 2
    assert f"{options[0]} was settled" in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "--out is missing"),
        (("--out", "model", "--updatable", "--head", "mlp"), "is for the ridge head"),
    ],
)
def test_bad_usage(run, tmp_path, options, sentence):
    result = run("fit", tmp_path / "log.jsonl", *options)
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.replace("│", " ").split())


def test_groups_that_the_loader_numbered_go_by_their_openings(tmp_path):
    from skcausalrm.cli._logs import read_log

    rows = pd.DataFrame(
        {"prompt": ["b", "a", "b"], "completion": ["x", "y", "z"], "feedback": [1, 0, None]}
    )
    rows.to_json(tmp_path / "log.jsonl", orient="records", lines=True)
    assert stable_groups(read_log(tmp_path / "log.jsonl")).tolist() == ["b", "a", "b"]
    rows.assign(group=["g", "h", "g"]).to_json(
        tmp_path / "named.jsonl", orient="records", lines=True
    )
    assert stable_groups(read_log(tmp_path / "named.jsonl")).tolist() == ["g", "h", "g"]


def test_prompts_of_two_logs():
    first, second = (
        pd.DataFrame({"prompt": prompts, "completion": ["x"] * len(prompts)})
        for prompts in (["a", "b"], ["b", "c"])
    )
    joined = join_prompts(pack_prompts(first), pack_prompts(second))
    assert joined == pack_prompts(pd.concat([first, second]))
    assert join_prompts(None, pack_prompts(first)) is None
