"""Several logs in one command: rows that occur twice are used once."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from skcausalrm.cli._logs import read_log
from skcausalrm.datasets import load_feedback
from skcausalrm.datasets._labels import answer_keys, append_label

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")


def write(path, frame):
    frame.to_json(path, orient="records", lines=True, date_format="iso")
    return path


def split(path, folder, drop=()):
    """Write a log with ids, and its halves; `drop` columns are left out of the first half."""
    frame = pd.read_json(path, lines=True).assign(id=lambda rows: range(len(rows)))
    half = len(frame) // 2
    return (
        write(folder / "whole.jsonl", frame),
        write(folder / "first.jsonl", frame[:half].drop(columns=list(drop))),
        write(folder / "second.jsonl", frame[half:]),
    )


def fit(run, workspace, out, *logs):
    result = run(
        "fit", *logs, "--out", out, "--cache-dir", workspace.cache, "--method", "snips",
        "--overwrite",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    return result


def rewards(model):
    from skcausalrm.export import load_model_directory

    scorer = load_model_directory(model).scorer
    return scorer.predict(np.eye(8, scorer.n_features_in_, dtype="float32"))


def test_a_log_given_twice_is_trained_on_once(workspace, run, tmp_path):
    from skcausalrm.export import load_model_directory

    reports = {}
    for name, logs in (("once", [workspace.train]), ("twice", [workspace.train] * 2)):
        table = fit(run, workspace, tmp_path / name, *logs).stdout
        reports[name] = load_model_directory(tmp_path / name).report
    np.testing.assert_array_equal(rewards(tmp_path / "once"), rewards(tmp_path / "twice"))
    n = len(pd.read_json(workspace.train, lines=True))
    once, twice = reports["once"], reports["twice"]
    assert (once["rows"], twice["rows"]) == (n, n)
    assert twice["import"]["n_duplicates"] == n
    assert "n_duplicates" not in once["import"] or once["import"]["n_duplicates"] == 0
    assert twice["logs"] == [str(workspace.train)] * 2
    assert any(f"{n} rows that an earlier source holds too" in text for text in twice["warnings"])
    assert once["sets"] == twice["sets"]
    line = next(line for line in table.splitlines() if "rows dropped as duplicates" in line)
    assert line.split()[-1] == str(n)


def test_two_halves_are_fitted_as_the_whole(workspace, run, tmp_path):
    whole, first, second = split(workspace.train, tmp_path)
    for name, logs in (("whole", [whole]), ("halves", [first, second])):
        result = fit(run, workspace, tmp_path / name, *logs)
        assert "dropped" not in result.stdout
    np.testing.assert_array_equal(rewards(tmp_path / "whole"), rewards(tmp_path / "halves"))


def test_a_verified_column_of_one_of_two_logs_counts(workspace, tmp_path):
    whole = pd.read_json(workspace.train, lines=True)
    _, first, second = split(workspace.train, tmp_path, drop=["verified"])
    found = read_log([first, second])
    half = len(whole) // 2
    expected = np.r_[np.full(half, np.nan), whole["verified"][half:]]
    np.testing.assert_array_equal(found.columns["verified"], expected)
    assert found.counts()["verified"] == whole["verified"][half:].notna().sum() > 0


@pytest.mark.parametrize("place", [0, 1])
def test_a_label_file_may_judge_an_answer_of_either_log(workspace, tmp_path, place):
    _, *logs = split(workspace.train, tmp_path, drop=["verified"])
    write(logs[1], pd.read_json(logs[1], lines=True).drop(columns="verified"))
    judged = load_feedback(logs[place])
    append_label(tmp_path / "labels.jsonl", answer_keys(judged)[3], 0)
    found = read_log(logs, verified=[str(tmp_path / "labels.jsonl")])
    (row,) = np.flatnonzero(~np.isnan(found.columns["verified"]))
    assert found.columns["verified"][row] == 0
    texts = ["prompt", "completion"]
    assert found.frame.loc[row, texts].tolist() == judged.loc[3, texts].tolist()


def test_evaluate_scores_two_logs_as_one(workspace, run, tmp_path):
    whole, first, second = split(workspace.held_out, tmp_path)
    found = []
    for logs in ([whole], [first, second], [first, whole]):
        result = run("evaluate", workspace.model, *logs, "--cache-dir", workspace.cache, "--json")
        assert result.exit_code == 0, result.stderr
        found.append(json.loads(result.stdout))
    once, halves, overlapping = found
    assert halves["sets"] == once["sets"]
    assert halves["logs"] == [str(first), str(second)]
    assert overlapping["rows"] == once["rows"]
    assert overlapping["import"]["n_duplicates"] == len(pd.read_json(first, lines=True))
    assert overlapping["sets"] == once["sets"]
    table = run("evaluate", workspace.model, *logs, "--cache-dir", workspace.cache).stdout
    assert f"{overlapping['import']['n_duplicates']} duplicates dropped" in table


def test_label_draws_from_all_logs_and_names_them_in_the_next_command(run, tmp_path):
    logs = []
    for name in "ab":
        rows = [{"prompt": f"{name}{i}", "completion": "x", "feedback": None} for i in range(2)]
        logs.append(
            write(tmp_path / f"{name}.jsonl", pd.DataFrame([*rows, {**rows[0], "feedback": 1}]))
        )
    frame = load_feedback(logs)
    out = tmp_path / "labels.jsonl"
    for key in dict.fromkeys(answer_keys(frame)):
        append_label(out, key, 1)
    result = run("label", *logs, "--out", out, "--n", 4)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"{out}: 4 good, 0 bad, 0 skipped, 0 left;")
    assert f"skcausalrm fit {logs[0]} {logs[1]} --verified {out} --out MODEL_DIR" in result.stdout


def test_logs_of_a_tool_take_several_score_files(run, tmp_path):
    def dump(name, rows):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(rows))
        return path

    traces, scores = [], []
    for month in (1, 2):
        ids = [f"{month}-{i}" for i in range(3)]
        traces.append(dump(f"traces{month}", [{"id": i, "input": i, "output": "x"} for i in ids]))
        score = {"traceId": ids[0], "name": "thumbs", "value": month % 2, "source": "API"}
        scores.append(dump(f"scores{month}", [score]))
    found = read_log(traces, scores=scores)
    np.testing.assert_array_equal(found.y, [1, np.nan, np.nan, 0, np.nan, np.nan])
