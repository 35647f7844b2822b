"""fit, score, evaluate and export, one after the other, on a small log."""

from __future__ import annotations

import json
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skcausalrm.datasets._logs import MANNERS

METRICS = {"r2", "roc_auc", "log_loss", "brier"}


def read_lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_fit_reports_what_it_read_and_found(workspace):
    log = pd.read_json(workspace.train, lines=True)
    report = workspace.report
    assert report["rows"] == len(log)
    assert report["rated"] == log["feedback"].notna().sum()
    assert report["verified"] == log["verified"].notna().sum()
    assert report["groups"] == log["group"].nunique()
    assert report["positive_share_of_rated"] == pytest.approx(log["feedback"].mean())
    assert (report["method"], report["method_used"], report["head"]) == (
        "auto",
        "selection",
        "mixture",
    )
    assert 0 < report["effective_sample_size"] <= report["rated"]
    selection = report["selection"]
    low, high = selection["base_rate_interval"]
    assert 0 < low < selection["base_rate"] < high < 1
    assert report["false_positive_rate"] == selection["false_positive_rate"]
    assert sum(selection["link_weights"].values()) == pytest.approx(1)
    assert set(selection["recipes"]) == {"naive", "noise", "snips", "dr", "selection"}
    assert selection["advice"].endswith(".")
    assert set(report["sets"]) == {"log", "verified"}
    for found in report["sets"].values():
        assert set(found["scores"]) == METRICS
    assert report["sets"]["verified"]["scores"]["brier"]["std"] > 0
    assert isinstance(report["warnings"], list)


def test_fit_keeps_report_and_encoder_in_the_model_directory(workspace):
    from skcausalrm.export import load_model_directory

    model = load_model_directory(workspace.model)
    kept = {**model.report}
    assert (
        kept.pop("training_prompts")["count"]
        == pd.read_json(workspace.train, lines=True)["prompt"].nunique()
    )
    assert {"model_directory": str(workspace.model), **kept} == workspace.report
    assert model.encoder_settings["model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert model.encoder_settings["fingerprint"]
    assert model.encoder_settings["dtype"] in ("float32", "bfloat16")


def test_fit_scores_are_out_of_fold(workspace):
    from skcausalrm import ConversationEncoder
    from skcausalrm.datasets import load_feedback
    from skcausalrm.export import load_model_directory
    from skcausalrm.metrics import debiased_brier_score

    log = load_feedback(workspace.train)
    X = ConversationEncoder(cache_dir=workspace.cache).fit_transform(log)
    checked = log["verified"].notna().to_numpy()
    prediction = load_model_directory(workspace.model).scorer.predict(X)
    in_sample = debiased_brier_score(log["verified"][checked], prediction[checked])
    out_of_fold = workspace.report["sets"]["verified"]["scores"]["brier"]["value"]
    assert out_of_fold != pytest.approx(in_sample, abs=1e-6)


def test_fit_does_not_replace_without_being_told(workspace, run):
    result = run("fit", workspace.train, "--out", workspace.model)
    assert result.exit_code == 2
    assert "--overwrite" in result.stderr
    assert result.stdout == ""


def test_fit_with_a_known_base_rate_and_the_report_of_auto(workspace, run, tmp_path):
    from skcausalrm.export import load_model_directory

    reports, printed = [], []
    log = pd.read_json(workspace.train, lines=True)
    saved = np.random.default_rng(0).random(len(log)) < 0.1 + 0.3 * (log["feedback"] == 1)
    log.assign(saved=saved).to_json(
        tmp_path / "log.jsonl", orient="records", lines=True, date_format="iso"
    )
    with_signals = ["--signals", "saved:+", "--overwrite"]
    for known, choice in (("0.2:0.1", ["--json"]), ("0.8:0.1", with_signals)):
        result = run(
            "fit", tmp_path / "log.jsonl", "--out", tmp_path / "m", "--cache-dir", workspace.cache,
            "--base-rate", known, "--false-positive-rate", 0.1, *choice,
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        reports.append(load_model_directory(tmp_path / "m").report)
        printed.append(result.stdout)
        assert reports[-1]["false_positive_rate"] == pytest.approx(0.1)
    sources = [report["selection"]["level_source"] for report in reports]
    assert "signals" not in sources[0]
    assert sources[1]["signals"] == "used"
    low, high = (report["selection"]["base_rate"] for report in reports)
    assert low < 0.4 < 0.6 < high
    assert json.loads(printed[0])["known_base_rate"] == [0.2, 0.1]
    assert reports[1]["selection"]["advice"] in printed[1]
    low, high = reports[1]["selection"]["base_rate_interval"]
    assert f"({low:.3f} to {high:.3f})" in printed[1]
    for word in ("auto (selection), mixture head", "log odds of a rating", "snips", "told by"):
        assert word in printed[1]


@pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
@pytest.mark.parametrize(
    ("arguments", "used", "head"),
    [
        (["--method", "selection", "--head", "ridge"], "selection", "ridge"),
        (["--false-negative-rate", 0.2], "noise", "ridge"),
        ([], "noise", "ridge"),
    ],
)
def test_fit_by_other_methods_and_heads(workspace, run, tmp_path, arguments, used, head):
    log = pd.read_json(workspace.train, lines=True)
    if used == "noise":  # nothing is unrated, so auto corrects flips alone
        log = log[log["feedback"].notna()]
        log = log.assign(judge_score=0.5, copied=np.arange(len(log)) % 2 == 0)
    log.to_json(tmp_path / "log.jsonl", orient="records", lines=True, date_format="iso")
    result = run(
        "fit", tmp_path / "log.jsonl", "--out", tmp_path / "m", "--cache-dir", workspace.cache,
        *arguments, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["method_used"], report["head"]) == (used, head)
    assert (report["selection"] is None) == (used == "noise")
    if "--false-negative-rate" in arguments:
        assert report["false_negative_rate"] == pytest.approx(0.2)
    if used == "noise":
        assert report["named"]["signals"] == {}
        assert "used 'noise'" in result.stderr


def test_fit_with_known_rates_and_a_table(workspace, run, tmp_path):
    result = run(
        "fit", workspace.train, "--out", tmp_path / "m", "--cache-dir", workspace.cache,
        "--false-positive-rate", 0.1, "--false-negative-rate", 0.2, "--method", "snips",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "0.100 ± 0.000" in result.stdout
    assert "0.200 ± 0.000" in result.stdout
    assert "AUROC" in result.stdout


def test_score_keeps_rows_and_agrees_with_python(workspace, run):
    from skcausalrm import ConversationEncoder
    from skcausalrm.export import load_model_directory

    result = run("score", workspace.model, workspace.held_out, "--cache-dir", workspace.cache)
    assert result.exit_code == 0, result.stderr
    assert "is rated" not in result.stderr  # rows to be scored need no rating
    before, after = read_lines(workspace.held_out.read_text()), read_lines(result.stdout)
    rewards = np.array([row.pop("reward") for row in after])
    assert [row["completion"] for row in after] == [row["completion"] for row in before]
    assert set(after[0]) == set(before[0])
    model = load_model_directory(workspace.model)
    X = ConversationEncoder(cache_dir=workspace.cache).fit_transform(pd.DataFrame(before))
    np.testing.assert_allclose(rewards, model.scorer.predict(X), atol=1e-5)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_score_writes_the_format_of_the_suffix(workspace, run, tmp_path, suffix):
    out = tmp_path / f"scored{suffix}"
    result = run(
        "score", workspace.model, workspace.held_out, "--cache-dir", workspace.cache,
        "--out", out, "--column", "quality", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    readers = {
        ".csv": pd.read_csv,
        ".parquet": pd.read_parquet,
        ".jsonl": lambda path: pd.read_json(path, lines=True),
    }
    scored = readers[suffix](out)
    summary = json.loads(result.stdout)
    assert summary["rows"] == len(scored)
    assert scored["quality"].between(0, 1).all()
    assert scored["quality"].mean() == pytest.approx(summary["mean_reward"], abs=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_score_reads_pairs_and_chats_alike(workspace, run, tmp_path):
    pairs = [{"prompt": "What is 2 plus 2?", "completion": f"It is {n}."} for n in (4, 5)]
    chats = [
        {
            "messages": [
                {"role": "user", "content": row["prompt"]},
                {"role": "assistant", "content": row["completion"]},
            ]
        }
        for row in pairs
    ]
    found = []
    for name, rows in (("pairs", pairs), ("chats", chats)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        result = run("score", workspace.model, path)
        assert result.exit_code == 0, result.stderr
        found.append([row["reward"] for row in read_lines(result.stdout)])
    table = tmp_path / "pairs.csv"
    pd.DataFrame(pairs).to_csv(table, index=False)
    result = run("score", workspace.model, table)
    assert result.stdout.splitlines()[0] == "prompt,completion,reward"
    found.append([float(line.rsplit(",", 1)[1]) for line in result.stdout.splitlines()[1:]])
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    np.testing.assert_allclose(found[0], found[2], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "is_csv"), [("UP.CSV", True), ("rows.csv.gz", True), ("rows.csv.jsonl", False)]
)
def test_score_prints_the_format_of_the_last_suffix(workspace, run, tmp_path, name, is_csv):
    rows = pd.DataFrame([{"prompt": "What is 2 plus 2?", "completion": "It is 4."}])
    if is_csv:
        rows.to_csv(tmp_path / name, index=False)
    else:
        rows.to_json(tmp_path / name, orient="records", lines=True)
    result = run("score", workspace.model, tmp_path / name)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("prompt,completion,reward" if is_csv else "{")


def test_score_with_a_model_that_was_saved_with_few_encoder_settings(run, tmp_path):
    model = Path(__file__).parents[1] / "export" / "fixtures" / "model_v1"
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "What is 2 plus 2?", "completion": "It is 4."}\n')
    result = run("score", model, rows)
    assert result.exit_code == 2
    assert "X has 384 columns where the model was trained with 3" in result.stderr


def test_score_refuses_to_lose_a_column(workspace, run, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a", "completion": "b", "reward": 3}\n')
    result = run("score", workspace.model, path)
    assert result.exit_code == 2
    assert "--column" in result.stderr
    assert result.stdout == ""


def evaluate(run, workspace, *arguments, model=None):
    model = model or workspace.model
    result = run("evaluate", model, *arguments, "--cache-dir", workspace.cache, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout), result.stderr


@pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
def test_evaluate_agrees_with_python(workspace, run, tmp_path):
    from sklearn.frozen import FrozenEstimator

    from skcausalrm import (
        ConversationEncoder,
        DoublyRobust,
        NoiseTransitionEstimator,
        SelectionModel,
    )
    from skcausalrm.datasets import load_feedback
    from skcausalrm.export import load_model_directory
    from skcausalrm.metrics import debiased_brier_score, pseudo_outcomes

    log = load_feedback(workspace.held_out)
    X = ConversationEncoder(cache_dir=workspace.cache).fit_transform(log)
    doubly_robust = tmp_path / "m"
    result = run(
        "fit", workspace.train, "--out", doubly_robust, "--cache-dir", workspace.cache,
        "--method", "dr",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    for model, method in ((workspace.model, "selection"), (doubly_robust, "dr")):
        found, _ = evaluate(run, workspace, workspace.held_out, model=model)
        assert found["pseudo_outcomes"] == method
        learnt = {name: tuple(pair) for name, pair in found["learnt_at_fit"].items()}
        if method == "selection":
            correction = SelectionModel(random_state=0, **learnt)
        else:
            noise = NoiseTransitionEstimator(random_state=0, **learnt)
            noise.fit(X, log["feedback"], groups=log["group"])
            correction = DoublyRobust(noise_estimator=FrozenEstimator(noise))
        z = pseudo_outcomes(
            X,
            log["feedback"],
            method=correction,
            groups=log["group"],
            verified=log["verified"] if method == "selection" else None,
            n_draws=50,
            random_state=0,
        )
        prediction = load_model_directory(model).scorer.predict(X)
        expected = debiased_brier_score(
            z, prediction, groups=log["group"], users=log["user"], return_std=True
        )
        brier = found["sets"]["log"]["scores"]["brier"]
        np.testing.assert_allclose([brier["value"], brier["std"]], expected, rtol=1e-5)
        low, high = brier["interval"]
        assert low < brier["value"] < high
    result = run("evaluate", doubly_robust, workspace.held_out, "--base-rate", "0.5")
    assert result.exit_code == 2
    assert "was not fitted by" in result.stderr


@pytest.mark.parametrize(("period", "label"), [("M", "2026-03"), ("W", "2026-03-02")])
def test_evaluate_scores_every_period_and_model(workspace, run, period, label):
    found, _ = evaluate(run, workspace, workspace.held_out, "--period", period)
    assert found["periods"][0]["name"] == label
    for key in ("periods", "models"):
        assert sum(part["rows"] for part in found[key]) == found["rows"]
        assert sum(part["rated"] for part in found[key]) == found["rated"]
    whole = found["sets"]["log"]["scores"]["brier"]["value"]
    parts = [(part["rows"], part["scores"]["brier"]["value"]) for part in found["periods"]]
    assert np.average([b for _, b in parts], weights=[n for n, _ in parts]) == pytest.approx(whole)


def test_evaluate_warns_of_prompts_that_were_trained_on(workspace, run):
    found, stderr = evaluate(run, workspace, workspace.train)
    prompts = pd.read_json(workspace.train, lines=True)["prompt"].nunique()
    assert found["shared_prompts"] == prompts
    assert f"warning: {prompts} of {prompts} prompts were trained on" in stderr
    assert any("trained on" in text for text in found["warnings"])


def test_evaluate_prints_tables(workspace, run):
    result = run("evaluate", workspace.model, workspace.held_out, "--cache-dir", workspace.cache)
    assert result.exit_code == 0, result.stderr
    for word in ("AUROC", "By period (UTC)", "assistant-small", "verified", "within prompts"):
        assert word in result.stdout


def test_evaluate_scores_within_prompts(workspace, run):
    found = evaluate(run, workspace, workspace.held_out)[0]["within_prompts"]
    sizes = pd.read_json(workspace.held_out, lines=True)["prompt"].value_counts()
    assert (found["prompts"], found["several"]) == (len(sizes), (sizes > 1).sum())
    assert found["pairs"] == (sizes * (sizes - 1) // 2).sum()
    low, high = found["interval"]
    assert 0 <= low < found["value"] < high <= 1


def test_export_writes_what_the_directory_scores(workspace, run, tmp_path):
    from skcausalrm.export import RewardScorer, load_model_directory

    target = tmp_path / "reward.onnx"
    result = run("export", workspace.model, "--onnx", target, "--json")
    assert result.exit_code == 0, result.stderr
    n_features = json.loads(result.stdout)["n_features"]
    assert n_features == 2 * 32 + 1  # prompt, answer and their cosine
    X = np.random.default_rng(0).normal(size=(20, n_features)).astype(np.float32)
    np.testing.assert_array_equal(
        RewardScorer.load(target).predict(X),
        load_model_directory(workspace.model).scorer.predict(X),
    )
    again = run("export", workspace.model, "--onnx", target)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr


@pytest.mark.parametrize("name", ["head.onnx", "head.safetensors", "config.json"])
def test_an_altered_model_directory_is_refused(workspace, run, tmp_path, name):
    altered = tmp_path / "model"
    shutil.copytree(workspace.model, altered)
    content = bytearray((altered / name).read_bytes())
    content[len(content) // 2] ^= 1
    (altered / name).write_bytes(content)
    for command in (
        ("score", altered, workspace.held_out),
        ("evaluate", altered, workspace.held_out),
        ("export", altered, "--onnx", tmp_path / "x.onnx"),
    ):
        result = run(*command)
        assert result.exit_code == 2
        assert result.stderr.startswith("error: ")
        assert name in result.stderr
    assert not (tmp_path / "x.onnx").exists()


def test_an_encoder_that_has_changed_is_refused(workspace, monkeypatch):
    from skcausalrm.exceptions import ModelDirectoryError
    from skcausalrm.export import load_model_directory
    from skcausalrm.text._saved import load_encoder

    settings = load_model_directory(workspace.model).encoder_settings
    assert load_encoder(settings, workspace.model, None).model == settings["model"]
    with pytest.raises(ModelDirectoryError, match="files differ"):
        load_encoder({**settings, "fingerprint": "other"}, workspace.model, None)
    for lacking in (None, {"dtype": "float32"}):
        with pytest.raises(ModelDirectoryError, match="saved without an encoder"):
            load_encoder(lacking, workspace.model, None)


def test_an_imputation_that_the_method_does_not_use_is_mentioned(workspace, run, tmp_path):
    log = pd.read_json(workspace.train, lines=True).assign(judge_score=0.5)
    log.to_json(tmp_path / "log.jsonl", orient="records", lines=True, date_format="iso")
    result = run(
        "fit", tmp_path / "log.jsonl", "--out", tmp_path / "m", "--cache-dir", workspace.cache,
        "--method", "snips",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "snips does not use it" in result.stderr


@pytest.mark.slow
def test_demo_from_end_to_end(workspace, run, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    from skcausalrm import ConversationEncoder
    from skcausalrm.cli import _study as study

    monkeypatch.setattr(sys.modules["skcausalrm.cli.demo"], "_N_FOLDS", 2)  # of five, for time
    cached = partial(ConversationEncoder, cache_dir=workspace.cache)
    monkeypatch.setattr(study, "ConversationEncoder", cached)
    compare, results = study.compare_and_keep, []

    def compare_once(*arguments):
        if not results:
            results.append(compare(*arguments))
        return results[0]

    monkeypatch.setattr(study, "compare_and_keep", compare_once)
    out = tmp_path / "demo"
    result = run("demo", "--out", out, "--rows", 500)
    assert result.exit_code == 0, result.stderr
    for word in ("naive", "selection, 50 answers checked", "AUROC", "Flip rates: estimated"):
        assert word in result.stdout
    files = ["demo.png", "held_out.jsonl", "labels.jsonl", "logs.jsonl", "model"]
    assert sorted(path.name for path in out.iterdir()) == files
    assert (out / "demo.png").read_bytes().startswith(b"\x89PNG")
    logs, held_out = (
        pd.read_json(out / name, lines=True) for name in ("logs.jsonl", "held_out.jsonl")
    )
    assert len(logs) + len(held_out) == 500
    assert "verified" not in logs.columns
    assert not set(logs["prompt"]) & set(held_out["prompt"])
    checked = run(
        "evaluate", out / "model", out / "held_out.jsonl", "--cache-dir", workspace.cache, "--json",
    )  # fmt: skip
    assert checked.exit_code == 0, checked.stderr
    assert json.loads(checked.stdout)["pseudo_outcomes"] == "selection"
    again = run("demo", "--out", out, "--rows", 500, "--overwrite", "--json")
    assert again.exit_code == 0, again.stderr
    found = json.loads(again.stdout)
    assert found["rows"] == 500
    assert sorted(found["written"]) == files
    kinds = {kind["answers"]: kind for kind in found["kinds_of_answers"]}
    assert set(kinds) == set(MANNERS)
    assert sum(kind["share"] for kind in kinds.values()) == pytest.approx(1)
    assert kinds["plain"]["truth"] > 0.8 > 0.2 > kinds["refusal"]["truth"]


def test_demo_makes_logs_for_the_other_commands(
    workspace, bundled_encoder, run, tmp_path, monkeypatch
):
    """The commands of the README, in a folder that has only the demo's logs."""
    pytest.importorskip("sentence_transformers")
    monkeypatch.chdir(tmp_path)
    made = run("demo", "--logs-only", "--out", ".", "--rows", 500, "--json")
    assert made.exit_code == 0, made.stderr
    files = ["held_out.jsonl", "labels.jsonl", "logs.jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    assert sorted(json.loads(made.stdout)["written"]) == files
    labels = run("label", "logs.jsonl", "--out", "labels.jsonl", "--json")
    assert labels.exit_code == 0, labels.stderr
    judged = json.loads(labels.stdout)
    assert (judged["good"] + judged["bad"], judged["left"]) == (50, 0)
    fitted = run(
        "fit", "logs.jsonl", "--verified", "labels.jsonl", "--out", "model", "--json",
        "--cache-dir", workspace.cache,
    )  # fmt: skip
    assert fitted.exit_code == 0, fitted.stderr
    assert json.loads(fitted.stdout)["verified"] == 50
    evaluated = run("evaluate", "model", "held_out.jsonl", "--cache-dir", workspace.cache, "--json")
    assert evaluated.exit_code == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["shared_prompts"] == 0
