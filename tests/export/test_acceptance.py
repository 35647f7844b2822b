"""Thresholds in exported files: kept, applied, taken out, and refused where there is no model."""

import json

import numpy as np
import pytest

from skcausalrm.exceptions import InvalidInputError, ModelDirectoryError, UnusedParameterError
from skcausalrm.export import (
    RewardScorer,
    keep_threshold,
    load_model_directory,
    save_model_directory,
    to_onnx,
)
from skcausalrm.inference import RewardThreshold

FOUND = RewardThreshold(0.5, 0.1, 0.9, 0.08, 0.4, 200, 80, 3)
X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)


def test_an_onnx_file_keeps_a_threshold(make_mixture, tmp_path):
    path = to_onnx(make_mixture(4, 5), tmp_path / "reward.onnx")
    before = RewardScorer.load(path)
    with pytest.raises(UnusedParameterError, match="holds no threshold"):
        before.accepts(X)
    assert keep_threshold(path, FOUND) == path
    scorer = RewardScorer.load(path)
    assert scorer.metadata_["acceptance"] == FOUND.as_dict()
    np.testing.assert_array_equal(scorer.predict(X), before.predict(X))
    np.testing.assert_array_equal(scorer.accepts(X), before.predict(X) >= 0.5)
    assert 0 < scorer.accepts(X).mean() < 1
    keep_threshold(path, None)
    assert RewardScorer.load(path).metadata_["acceptance"] is None


def test_a_model_directory_keeps_a_threshold(make_ridge, tmp_path):
    model = make_ridge([1.0, 2.0, -1.0, 0.5], 0.5)
    path = save_model_directory(model, tmp_path / "model", report={"rows": 3})
    before = load_model_directory(path)
    weights, rewards = before.weights, before.scorer.predict(X)
    keep_threshold(path, FOUND)
    after = load_model_directory(path)
    np.testing.assert_array_equal(after.scorer.accepts(X), rewards >= 0.5)
    assert after.config["acceptance"] == FOUND.as_dict()
    assert after.report == {"rows": 3}
    np.testing.assert_array_equal(after.weights["layers.0.weight"], weights["layers.0.weight"])
    (path / "notes.txt").write_text("mine")
    with pytest.raises(ModelDirectoryError, match=r"also holds 'notes\.txt'"):
        keep_threshold(path, None)
    assert json.loads((path / "config.json").read_text())["acceptance"] == FOUND.as_dict()


def test_what_is_no_model_stays_as_it_is(tmp_path):
    with pytest.raises(InvalidInputError, match="threshold is a dict"):
        keep_threshold(tmp_path / "absent.onnx", FOUND.as_dict())
    with pytest.raises(ModelDirectoryError, match="cannot be read"):
        keep_threshold(tmp_path / "absent.onnx", FOUND)
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelDirectoryError, match="cannot be loaded"):
        keep_threshold(tmp_path / "text.onnx", FOUND)
    assert (tmp_path / "text.onnx").read_text() == "no model"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelDirectoryError, match=r"no config\.json"):
        keep_threshold(tmp_path / "empty", FOUND)
