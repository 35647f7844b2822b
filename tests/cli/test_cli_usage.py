"""Exit statuses, streams and sentences, without an encoder."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import pytest

import skcausalrm
from skcausalrm.cli._console import print_json, reporting
from skcausalrm.cli._logs import read_log
from skcausalrm.exceptions import (
    DataLossWarning,
    ExportParityError,
    FeedbackError,
    FewFeedbackWarning,
)

LABELLED = '{"prompt": "a", "completion": "b", "feedback": 1}\n'


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from skcausalrm.cli import main\n"
        "sys.argv = ['skcausalrm', 'fit', '--help']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0, end.code\n"
        "heavy = {'torch', 'pandas', 'sklearn', 'numpy', 'scipy', 'matplotlib', 'transformers'}\n"
        "print('found', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--false-positive-rate" in done.stdout
    assert done.stdout.splitlines()[-1] == "found []"


def test_python_m_runs_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "skcausalrm", "--version"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout == f"skcausalrm {skcausalrm.__version__}\n"


@pytest.mark.parametrize("command", ["fit", "label", "score", "evaluate", "export", "demo"])
def test_every_command_has_help(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout


@pytest.mark.parametrize(
    ("lines", "arguments", "sentence"),
    [
        (None, [], "there is no file"),
        ("", [], "no rows"),
        ('{"a": 1}\n', [], "format is not recognised"),
        (LABELLED.replace("1", '"maybe"'), [], "'maybe'"),
        (LABELLED.replace('"b"', '" "'), [], "1 with empty answer"),
        (LABELLED, ["--scores", "nowhere.json"], "scores"),
        (LABELLED, ["--format", "nonsense"], "format='nonsense' is unknown"),
        (LABELLED, ["--signals", "saved:+"], "--signals names saved, but the log has"),
    ],
)
def test_bad_logs_are_one_sentence(run, tmp_path, lines, arguments, sentence):
    log = tmp_path / "log.jsonl"
    if lines is not None:
        log.write_text(lines)
    result = run("fit", log, "--out", tmp_path / "model", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert sentence in last
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit"],
        ["fit", "log.jsonl"],
        ["fit", "log.jsonl", "--out", "m", "--method", "magic"],
        ["fit", "log.jsonl", "--out", "m", "--method", "naive", "--false-positive-rate", "0.1"],
        ["fit", "log.jsonl", "--out", "m", "--method", "snips", "--judge-score-name", "judge"],
        ["fit", "log.jsonl", "--out", "m", "--method", "dr", "--base-rate", "0.5"],
        ["fit", "log.jsonl", "--out", "m", "--base-rate", "1"],
        ["fit", "log.jsonl", "--out", "m", "--signals", "saved:up"],
        ["fit", "log.jsonl", "--out", "m", "--method", "dr", "--signals", "copied"],
        ["fit", "log.jsonl", "--out", "m", "--base-rate", "0.5:0"],
        ["fit", "log.jsonl", "--out", "m", "--base-rate", "0.5:1:2"],
        ["fit", "log.jsonl", "--out", "m", "--base-rate", "half"],
        ["fit", "log.jsonl", "--out", "m", "--false-positive-rate", "1.5"],
        ["evaluate", "model", "log.jsonl", "--period", "Y"],
        ["demo", "--rows", "3"],
        ["nonsense"],
    ],
)
def test_bad_usage_is_exit_status_2(run, arguments):
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "{folder}", "rows.jsonl"],
        ["evaluate", "{folder}", "log.jsonl"],
        ["export", "{folder}", "--onnx", "{folder}/x.onnx"],
    ],
)
def test_a_folder_without_a_model_is_refused(run, tmp_path, arguments):
    result = run(*(part.format(folder=tmp_path) for part in arguments))
    assert result.exit_code == 2
    assert "config.json" in result.stderr


def test_warnings_are_said_once_and_collected(capsys):
    with reporting() as told:
        for _ in range(2):
            warnings.warn("too few\n  rows", FewFeedbackWarning)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FewFeedbackWarning)
            warnings.warn("not this one", FewFeedbackWarning)
    assert told == ["too few rows"]
    assert capsys.readouterr().err == "warning: too few rows\n"


def test_other_warnings_are_left_alone():
    with pytest.warns(RuntimeWarning, match="elsewhere"), reporting() as told:
        warnings.warn("elsewhere", RuntimeWarning)
    assert told == []


def test_one_account_for_all_rows_is_no_user(tmp_path):
    log = tmp_path / "log.jsonl"
    for users, told_apart in ((("bot", "bot"), False), (("bot", None), True), (("a", "b"), True)):
        rows = [
            {"prompt": f"p{number}", "completion": "a", "feedback": number or None, "user": user}
            for number, user in enumerate(users)
        ]
        log.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert (read_log([log]).users is not None) == told_apart


def test_failures_of_our_own_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), reporting():
        _ = 1 / 0


def test_input_errors_become_exit_status_2(capsys):
    from typer import Exit

    with pytest.raises(Exit) as end, reporting():
        raise FeedbackError("No row of 3 carries feedback.")
    assert end.value.exit_code == 2
    assert capsys.readouterr().err == "error: No row of 3 carries feedback.\n"


def test_a_failed_export_is_exit_status_1(capsys):
    from typer import Exit

    with pytest.raises(Exit) as end, reporting():
        raise ExportParityError("The file differs.")
    assert end.value.exit_code == 1
    assert capsys.readouterr().err == "error: The file differs.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "log.jsonl", "--out", "{folder}/no/model"],
        ["score", "model", "rows.jsonl", "--out", "{folder}/no/scored.csv"],
        ["export", "model", "--onnx", "{folder}/no/x.onnx"],
        ["demo", "--out", "{folder}/no/demo"],
    ],
)
def test_a_missing_folder_is_found_before_the_work(run, tmp_path, arguments):
    result = run(*(part.format(folder=tmp_path) for part in arguments))
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert f"{tmp_path / 'no'} is no folder" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_demo_into_a_file_is_found_before_the_work(run, tmp_path):
    (tmp_path / "demo").write_text("mine")
    result = run("demo", "--out", tmp_path / "demo", "--overwrite")
    assert result.exit_code == 2
    assert f"{tmp_path / 'demo'} is no folder" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("onnx", ["fit", "log.jsonl", "--out", "{folder}/model"]),
        ("onnxruntime", ["fit", "log.jsonl", "--out", "{folder}/model"]),
        ("onnx", ["demo", "--out", "{folder}/demo"]),
        ("matplotlib", ["demo", "--out", "{folder}/demo"]),
    ],
)
def test_a_missing_package_is_found_before_the_work(run, tmp_path, monkeypatch, package, arguments):
    for needed in ("onnx", "onnxruntime", "matplotlib"):
        pytest.importorskip(needed)

    def refuse(name):
        if name == package:
            raise ModuleNotFoundError(name, name=name)

    monkeypatch.setattr("skcausalrm._utils._extras.import_module", refuse)
    result = run(*(part.format(folder=tmp_path) for part in arguments))
    assert result.exit_code == 2
    assert f"needs the package '{package}'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["logs.jsonl", "labels.jsonl", "held_out.jsonl", "demo.png", "model"]
)
def test_demo_replaces_nothing_without_being_told(run, tmp_path, name):
    (tmp_path / name).write_text("mine")
    result = run("demo", "--out", tmp_path)
    assert result.exit_code == 2
    assert result.stderr == f"error: {tmp_path / name} exists: pass --overwrite to replace it.\n"
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.AssumptionWarning")
def test_an_incomplete_imputation_is_left_out_and_counted(tmp_path):
    log = tmp_path / "log.jsonl"
    row = {"prompt": "a", "completion": "b", "feedback": 1}
    judged = [{**row, "judge_score": value} for value in (0.5, None, 0.25)]
    log.write_text("".join(json.dumps(row) + "\n" for row in judged))
    with pytest.warns(DataLossWarning, match="1 of 3 rows"):
        assert "judge_score" not in read_log([log]).columns
    log.write_text("".join(json.dumps(row) + "\n" for row in judged[::2]))
    assert list(read_log([log]).columns["judge_score"]) == [0.5, 0.25]


def test_json_has_no_nan(capsys):
    with pytest.raises(ValueError, match="JSON"):
        print_json({"value": float("nan")})
    print_json({"text": "é", "value": 0.5})
    assert json.loads(capsys.readouterr().out) == {"text": "é", "value": 0.5}
