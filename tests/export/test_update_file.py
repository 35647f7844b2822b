"""Saved for updates, a model goes on as if it had never left memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import Ridge

from skcausalrm import CausalRewardClassifier, CausalRewardRegressor, NoiseTransitionEstimator
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import ModelDirectoryError, UpdateError
from skcausalrm.export import load_model_directory, save_model_directory
from skcausalrm.heads import RidgeHead

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")

FIRST = 1500


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(
        2100, 12, n_groups=500, signal="strong", observed_rate=0.4, n_asked=150, n_verified=90,
        random_state=0,
    )  # fmt: skip


def columns(log, rows, *, verified=True):
    given = {"groups": log.groups[rows], "asked": log.asked[rows]}
    return {**given, "verified": log.verified[rows]} if verified else given


def started(log, model):
    rows = slice(FIRST)
    return model.partial_fit(log.X[rows], log.y[rows], **columns(log, rows))


def saved(model, folder):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    return save_model_directory(model, folder / "model", updatable=True)


@pytest.mark.parametrize("method", ["naive", "noise", "ips", "snips", "dr", "joint"])
def test_an_update_after_loading_is_the_update_in_memory(log, tmp_path, method):
    model = CausalRewardRegressor(
        method, RidgeHead() if method == "joint" else None, random_state=0
    )
    loaded = load_model_directory(saved(started(log, model), tmp_path)).load_estimator()
    np.testing.assert_array_equal(loaded.predict(log.X), model.predict(log.X))
    for rows in (slice(FIRST, 1800), slice(1800, 2100)):
        given = columns(log, rows, verified=method != "joint")
        model.partial_fit(log.X[rows], log.y[rows], **given)
        loaded.partial_fit(log.X[rows], log.y[rows], **given)
        np.testing.assert_allclose(loaded.target_, model.target_, rtol=1e-12)
        np.testing.assert_allclose(loaded.weight_, model.weight_, rtol=1e-12)
    for mine, his in zip(
        loaded.predict(log.X, return_std=True), model.predict(log.X, return_std=True), strict=True
    ):
        np.testing.assert_allclose(mine, his, rtol=0, atol=1e-9)
    assert loaded.n_samples_seen_ == 2100
    assert loaded.effective_sample_size_ == pytest.approx(model.effective_sample_size_)


def test_a_chain_of_saved_updates(log, tmp_path):
    model = started(log, CausalRewardRegressor("dr", random_state=0))
    path = saved(model, tmp_path)
    for start in range(FIRST, 2100, 200):
        rows = slice(start, start + 200)
        model.partial_fit(log.X[rows], log.y[rows], **columns(log, rows))
        loaded = load_model_directory(path).load_estimator()
        loaded.partial_fit(log.X[rows], log.y[rows], **columns(log, rows))
        save_model_directory(loaded, path, updatable=True, overwrite=True)
    scorer = load_model_directory(path).scorer
    np.testing.assert_allclose(scorer.predict(log.X), model.predict(log.X), atol=1e-5)


def test_a_classifier_keeps_its_classes_and_column_names(log, tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(log.X, columns=[f"e{i}" for i in range(log.X.shape[1])])
    y = np.where(np.isnan(log.y), None, np.where(log.y == 1, "up", "down"))
    model = CausalRewardClassifier("snips", RidgeHead(0.1), random_state=0)
    model.partial_fit(frame[:FIRST], y[:FIRST], groups=log.groups[:FIRST])
    loaded = load_model_directory(saved(model, tmp_path)).load_estimator()
    assert isinstance(loaded, CausalRewardClassifier)
    assert loaded.estimator.penalty == 0.1
    for each in (model, loaded):
        each.partial_fit(frame[FIRST:], y[FIRST:], groups=log.groups[FIRST:])
    assert loaded.predict(frame).tolist() == model.predict(frame).tolist()
    with pytest.raises(ValueError, match="feature names"):
        loaded.partial_fit(frame.rename(columns={"e0": "other"}), y)


def test_the_directory_tells_what_it_holds(log, tmp_path):
    path = saved(started(log, CausalRewardRegressor("dr", random_state=0)), tmp_path)
    assert sorted(os.listdir(path)) == [
        "config.json", "head.onnx", "head.safetensors", "update.safetensors",
    ]  # fmt: skip
    config = json.loads((path / "config.json").read_text())
    assert config["format_version"] == 2
    assert load_model_directory(path).is_updatable
    size = (path / "update.safetensors").stat().st_size
    (path / "update.safetensors").write_bytes(b"\0" * size)
    with pytest.raises(ModelDirectoryError, match="checksum"):
        load_model_directory(path)


def test_a_model_that_is_not_to_be_updated_is_saved_as_ever(log, tmp_path):
    model = started(log, CausalRewardRegressor("dr", random_state=0))
    path = save_model_directory(model, tmp_path / "plain")
    assert json.loads((path / "config.json").read_text())["format_version"] == 1
    directory = load_model_directory(path)
    assert not directory.is_updatable
    with pytest.raises(UpdateError, match="--updatable"):
        directory.load_estimator()


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"propensity_estimator": HistGradientBoostingClassifier(max_iter=5)}, "propensity"),
        ({"imputation_estimator": Ridge()}, "imputation"),
    ],
)
def test_nuisances_that_would_need_pickle_are_refused(log, tmp_path, parameters, name):
    model = started(log, CausalRewardRegressor("dr", random_state=0, **parameters))
    with pytest.raises(UpdateError, match=f"{name}_estimator.*updatable=False"):
        saved(model, tmp_path)
    assert not (tmp_path / "model").exists()


def test_known_flip_rates_stay(log, tmp_path):
    noise = NoiseTransitionEstimator(false_positive_rate=0.1, false_negative_rate=0.2)
    model = started(log, CausalRewardRegressor("ips", noise_estimator=noise, random_state=0))
    loaded = load_model_directory(saved(model, tmp_path)).load_estimator()
    assert loaded.noise_estimator_.rates_ == (0.1, 0.2)


def test_a_model_of_fit_has_nothing_to_keep(log, tmp_path):
    model = CausalRewardRegressor("dr", random_state=0).fit(log.X, log.y, groups=log.groups)
    with pytest.raises(UpdateError, match="partial_fit"):
        save_model_directory(model, tmp_path / "model", updatable=True)


_KILLED = """
import os, signal, sys
from skcausalrm.export import load_model_directory, model_directory, save_model_directory
import numpy as np

def write(path, content, write=model_directory.write_synced):
    if path.name == "update.safetensors":
        write(path, content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)

model_directory.write_synced = write
model = load_model_directory(sys.argv[1]).load_estimator()
X = np.random.default_rng(0).normal(size=(60, model.n_features_in_))
model.partial_fit(X, np.arange(60) % 2.0)
save_model_directory(model, sys.argv[1], updatable=True, overwrite=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX systems")
def test_killed_while_saving_an_update_leaves_the_old_model(log, tmp_path):
    path = saved(started(log, CausalRewardRegressor("naive", random_state=0)), tmp_path)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    died = subprocess.run([sys.executable, "-c", _KILLED, path], check=False)
    assert died.returncode == -signal.SIGKILL
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before
    assert load_model_directory(path).load_estimator().n_samples_seen_ == FIRST
