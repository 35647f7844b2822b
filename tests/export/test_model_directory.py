import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skcausalrm.exceptions import ModelDirectoryError, UnusedParameterError
from skcausalrm.export import load_model_directory, save_model_directory
from skcausalrm.export._model_directory import FORMAT_VERSION
from skcausalrm.heads import MLPHead

FIXTURE = Path(__file__).parent / "fixtures" / "model_v1"
FILES = ["config.json", "head.onnx", "head.safetensors"]
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=70),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3)
    ),
    max_leaves=8,
)
quick = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def saved(make_ridge, tmp_path):
    model = make_ridge([1.0, 2.0, -1.0], 0.25, (0.1, 0.2, 0.3))
    return save_model_directory(
        model,
        tmp_path / "model",
        encoder_settings={"model": "sentence-transformers/all-MiniLM-L6-v2", "max_length": 256},
        report={"rows": np.int64(3), "risk": np.float32(0.5), "rates": np.array([0.1, 0.2])},
    )


def rewards_from(weights, config, X):
    """Rewards by config.json and head.safetensors alone: they must tell the whole story."""
    head, hidden = config["head"], np.asarray(X, dtype=np.float64)
    for layer in range(head["n_layers"]):
        hidden = hidden @ weights[f"layers.{layer}.weight"] + weights[f"layers.{layer}.bias"]
        if layer < head["n_layers"] - 1:
            hidden = np.where(hidden > 0, hidden, head["negative_slope"] * hidden)
    with np.errstate(over="ignore"):
        if head["link"] == "logistic":
            hidden = 1 / (1 + np.exp(-hidden))
        mixed = head["kind"] == "mixture"
        reward = hidden @ weights["component_weights"] if mixed else hidden[:, 0]
        if head["binary"]:
            reward = np.clip(reward, 0, 1)
        if (r := head["recalibration"]) is not None:
            l = np.clip(reward, 0.01, 0.99)
            l = np.log(l / (1 - l))
            reward = 1 / (1 + np.exp(-(l + r["intercept"] + r["slope"] * (l - r["center"]))))
    return reward


def spread_from(weights, config, X):
    """Standard deviations likewise, of a model that is not recalibrated."""
    if config["head"]["kind"] == "ridge":
        members = np.clip(X @ weights["folds.weight"] + weights["folds.bias"], 0, 1)
        return members.std(axis=1)
    z = X @ weights["layers.0.weight"] + weights["layers.0.bias"]
    members = 1 / (1 + np.exp(-(z @ weights["layers.1.weight"] + weights["layers.1.bias"])))
    mean = members @ weights["component_weights"]
    return np.sqrt((members - mean[:, None]) ** 2 @ weights["component_weights"])


def test_a_saved_model_comes_back_whole(saved):
    loaded = load_model_directory(saved)
    assert sorted(os.listdir(saved)) == FILES
    assert loaded.config["method"] == "dr"
    assert loaded.config["settings"]["method"] == "dr"
    assert loaded.config["n_features"] == 3
    assert loaded.config["effective_sample_size"] == 12.5
    assert loaded.encoder_settings["max_length"] == 256
    assert loaded.report == {"rows": 3, "risk": 0.5, "rates": [0.1, 0.2]}
    assert set(loaded.config["versions"]) >= {"python", "skcausalrm", "numpy", "scikit-learn"}
    np.testing.assert_array_equal(loaded.weights["layers.0.weight"][:, 0], [1.0, 2.0, -1.0])
    X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    np.testing.assert_allclose(
        loaded.scorer.predict(X), rewards_from(loaded.weights, loaded.config, X), atol=1e-6
    )


@pytest.mark.parametrize("estimator", [None, "mlp"])
def test_a_fitted_model_comes_back(fit, logs, tmp_path, estimator):
    from skcausalrm import CausalRewardClassifier

    if estimator == "mlp":
        pytest.importorskip("torch")
        estimator = MLPHead((8, 4), max_epochs=3, device="cpu", random_state=0)
    model = fit(CausalRewardClassifier("ips", estimator, random_state=0), verified=logs.verified)
    loaded = load_model_directory(save_model_directory(model, tmp_path / "a" / "b"))
    X = logs.X.astype(np.float64)
    reward = model.predict_proba(X)[:, 1]
    np.testing.assert_allclose(loaded.scorer.predict(X), reward, atol=1e-5)
    np.testing.assert_allclose(rewards_from(loaded.weights, loaded.config, X), reward, atol=1e-9)
    assert loaded.config["estimator"] == "CausalRewardClassifier"
    assert isinstance(loaded.config["settings"]["random_state"], int)


@settings(quick, max_examples=25)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    seed=st.integers(0, 99),
    recalibration=st.none() | st.tuples(*[st.floats(-0.9, 2)] * 3),
    report=st.dictionaries(st.text(max_size=8), json_values, max_size=3),
)
def test_round_trip(make_mlp, tmp_path, sizes, seed, recalibration, report):
    model = make_mlp(sizes, seed, recalibration=recalibration)
    path = save_model_directory(model, tmp_path / "model", report=report, overwrite=True)
    loaded = load_model_directory(path)
    assert loaded.report == report
    for layer, coef in enumerate(model.estimator_.coefs_):
        np.testing.assert_array_equal(loaded.weights[f"layers.{layer}.weight"], coef)
    X = np.random.default_rng(seed).normal(size=(10, sizes[0])).astype(np.float32)
    np.testing.assert_allclose(loaded.scorer.predict(X), model.predict(X), atol=1e-5)
    assert sorted(os.listdir(tmp_path)) == ["model"]


@settings(quick, max_examples=25)
@given(
    n_components=st.integers(1, 60),
    seed=st.integers(0, 999),
    recalibration=st.none() | st.tuples(*[st.floats(-0.9, 2)] * 3),
)
def test_round_trip_of_a_mixture(make_mixture, tmp_path, n_components, seed, recalibration):
    model = make_mixture(5, n_components, seed, recalibration=recalibration)
    loaded = load_model_directory(save_model_directory(model, tmp_path / "model", overwrite=True))
    head, config = model.estimator_, loaded.config["head"]
    assert (config["kind"], config["n_layers"], config["negative_slope"]) == ("mixture", 2, 1)
    assert config["single_fit"] == loaded.scorer.metadata_["single_fit"]
    assert config["single_fit"]["largest_training_difference"] == head.single_difference
    for name, values in {
        "layers.0.weight": head.directions,
        "layers.0.bias": head.offsets,
        "layers.1.weight": head.slopes.T,
        "layers.1.bias": head.intercepts,
        "component_weights": head.weights,
    }.items():
        np.testing.assert_array_equal(loaded.weights[name], values)
    X = np.random.default_rng(seed).normal(size=(10, 5)).astype(np.float32)
    reward, std = loaded.scorer.predict(X, return_std=True)
    np.testing.assert_allclose(reward, model.predict(X.astype(float)), atol=1e-6)
    np.testing.assert_allclose(
        rewards_from(loaded.weights, loaded.config, X), model.predict(X.astype(float)), atol=1e-9
    )
    if recalibration is None:
        np.testing.assert_allclose(std, spread_from(loaded.weights, loaded.config, X), atol=1e-6)


def test_the_folds_of_a_ridge_head_come_back(make_ridge, tmp_path):
    model = make_ridge([1.0, 2.0, -1.0], 0.25, fold_spread=0.2)
    loaded = load_model_directory(save_model_directory(model, tmp_path / "model"))
    X = 0.2 * np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    std = loaded.scorer.predict(X, return_std=True)[1]
    np.testing.assert_allclose(std, spread_from(loaded.weights, loaded.config, X), atol=1e-6)
    assert np.median(std) > 0.02


@settings(quick, max_examples=200)
@given(data=st.data(), name=st.sampled_from(FILES))
def test_any_flipped_byte_is_refused(saved, data, name):
    file = saved / name
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    flip = data.draw(st.integers(1, 255))
    content[place] ^= flip
    file.write_bytes(content)
    try:
        with pytest.raises(ModelDirectoryError):
            load_model_directory(saved)
    finally:
        content[place] ^= flip
        file.write_bytes(content)
    load_model_directory(saved)


@pytest.mark.parametrize("name", FILES)
def test_missing_cut_or_longer_files_are_refused_by_name(saved, name):
    file = saved / name
    content = file.read_bytes()
    for altered in (content[:-1], content[: len(content) // 2], b"", content + b"\n"):
        file.write_bytes(altered)
        with pytest.raises(ModelDirectoryError, match=name):
            load_model_directory(saved)
    file.unlink()
    with pytest.raises(ModelDirectoryError, match=f"has no {name}"):
        load_model_directory(saved)


def test_a_file_altered_after_loading_is_noticed(saved):
    loaded = load_model_directory(saved)
    (saved / "head.onnx").write_bytes(b"")
    with pytest.raises(ModelDirectoryError, match=r"head\.onnx .* fails its checksum"):
        loaded.scorer  # noqa: B018


def test_a_newer_format_says_upgrade(saved):
    config = json.loads((saved / "config.json").read_text())
    for version, message in (
        (FORMAT_VERSION + 1, "saved to be updated by an early skcausalrm"),
        (FORMAT_VERSION + 2, r"format version 3 .* upgrade skcausalrm"),
    ):
        config["format_version"] = version
        (saved / "config.json").write_text(json.dumps(config))
        with pytest.raises(ModelDirectoryError, match=message):
            load_model_directory(saved)


def test_a_file_that_cannot_be_read_is_named(saved):
    (saved / "head.onnx").unlink()
    (saved / "head.onnx").mkdir()
    with pytest.raises(ModelDirectoryError, match=r"head\.onnx in .* cannot be read"):
        load_model_directory(saved)


@pytest.mark.parametrize("content", [b"{}", b"[]", b"null", b"{", b"\xff\xfe", b"3"])
def test_a_config_of_something_else_is_refused(saved, content):
    (saved / "config.json").write_bytes(content)
    with pytest.raises(ModelDirectoryError, match=r"config\.json"):
        load_model_directory(saved)


def test_what_is_no_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(ModelDirectoryError, match="is not a directory"):
            load_model_directory(path)


def test_unknown_files_are_ignored_on_loading_and_never_deleted(saved, make_ridge):
    (saved / "notes.txt").write_text("mine")
    load_model_directory(saved)
    with pytest.raises(ModelDirectoryError, match=r"also holds 'notes\.txt'"):
        save_model_directory(make_ridge([1.0]), saved, overwrite=True)
    assert (saved / "notes.txt").read_text() == "mine"


def test_only_a_model_directory_is_overwritten_and_only_on_request(saved, make_ridge, tmp_path):
    before = (saved / "config.json").read_bytes()
    with pytest.raises(ModelDirectoryError, match="pass overwrite=True"):
        save_model_directory(make_ridge([1.0]), saved)
    assert (saved / "config.json").read_bytes() == before
    save_model_directory(make_ridge([1.0]), saved, overwrite=True)
    assert load_model_directory(saved).config["n_features"] == 1

    other = tmp_path / "photos"
    other.mkdir()
    save_model_directory(make_ridge([1.0]), other)  # empty: may be used
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "config.json").write_text('{"format": "another"}')
    (tmp_path / "file").write_text("text")
    for place in (tmp_path / "full", tmp_path / "file"):
        with pytest.raises(ModelDirectoryError, match="is not a model directory"):
            save_model_directory(make_ridge([1.0]), place, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["file", "full", "model", "photos"]


def test_behind_a_link_the_model_itself_is_replaced(saved, make_ridge, tmp_path):
    link = tmp_path / "latest"
    link.symlink_to(saved)
    save_model_directory(make_ridge([1.0]), link, overwrite=True)
    assert link.is_symlink()
    assert load_model_directory(saved).config["n_features"] == 1


def test_a_failed_save_keeps_the_old_model_and_leaves_no_rest(
    saved, make_ridge, tmp_path, monkeypatch
):
    rename = os.rename

    def fail_into_place(source, target):
        if str(target) == str(saved) and str(source).endswith(".tmp") and fail:
            fail.pop()
            raise OSError("No space left on device")
        rename(source, target)

    for broken, failing in (("fsync", lambda *args: 1 / 0), ("rename", fail_into_place)):
        fail = [True]
        with monkeypatch.context() as patch:
            patch.setattr(os, broken, failing)
            with pytest.raises((OSError, ZeroDivisionError)):
                save_model_directory(make_ridge([1.0]), saved, overwrite=True)
        assert load_model_directory(saved).config["n_features"] == 3
        assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("name", ["report", "encoder_settings"])
@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_what_json_cannot_hold_is_named_before_anything_is_written(
    make_ridge, tmp_path, name, value
):
    with pytest.raises(ValueError, match=f"{name} cannot be kept as JSON"):
        save_model_directory(make_ridge([1.0]), tmp_path / "m", **{name: {"x": value}})
    assert not list(tmp_path.iterdir())


def test_version_1_still_loads(tmp_path):
    loaded = load_model_directory(FIXTURE)
    assert loaded.config["format_version"] == 1
    assert loaded.config["method"] == "dr"
    assert loaded.encoder_settings == {"model": "sentence-transformers/all-MiniLM-L6-v2"}
    X = np.array([[0.1, 0.2, 0.3], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    # by hand: 0.4 + X @ (0.5, 0.25, -1), cut to [0, 1], then recalibrated
    reward = np.clip([0.2, 0.9, 0.15], 0.01, 0.99)
    l = np.log(reward / (1 - reward))
    expected = 1 / (1 + np.exp(-(l + 0.125 + 0.5 * (l - 0.25))))
    np.testing.assert_allclose(loaded.scorer.predict(X), expected, atol=1e-6)
    np.testing.assert_allclose(loaded.scorer.decision_function(X), [0.2, 0.9, 0.15], atol=1e-6)
    np.testing.assert_array_equal(loaded.weights["layers.0.weight"][:, 0], [0.5, 0.25, -1.0])
    assert loaded.scorer.metadata_["outputs"] == ["reward", "score"]
    assert loaded.scorer.metadata_["single_fit"] is None
    with pytest.raises(UnusedParameterError, match="needs a file with standard deviations"):
        loaded.scorer.predict(X, return_std=True)
    copy = shutil.copytree(FIXTURE, tmp_path / "copy")
    assert load_model_directory(copy).config == loaded.config


def test_checksums_are_plain_sha256(saved):
    files = json.loads((saved / "config.json").read_text())["files"]
    assert sorted(files) == ["head.onnx", "head.safetensors"]
    for name, digest in files.items():
        assert hashlib.sha256((saved / name).read_bytes()).hexdigest() == digest


def test_a_mixture_of_version_1_still_loads():
    loaded = load_model_directory(FIXTURE.with_name("model_v1_mixture"))
    assert loaded.config["format_version"] == 1
    assert loaded.config["method"] == "selection"  # "joint" when it was saved
    # by hand: indices 0 and 1, so log odds -1 + .25 and 1 + .5, weighted 1 to 3
    X = np.array([[0.5, 0.5, -1.0]])
    members = 1 / (1 + np.exp(-np.array([-0.75, 1.5])))
    mean = members @ [0.25, 0.75]
    variance = (members - mean) ** 2 @ [0.25, 0.75]
    l = np.log(mean / (1 - mean))
    reward = 1 / (1 + np.exp(-(l + 0.125 + 0.5 * (l - 0.25))))
    slope = 1.5 * reward * (1 - reward) / (mean * (1 - mean))
    found = loaded.scorer.predict(X, return_std=True)
    np.testing.assert_allclose(np.ravel(found), [reward, slope * variance**0.5], atol=1e-6)
    np.testing.assert_allclose(loaded.scorer.decision_function(X), [l], atol=1e-6)
    assert loaded.scorer.metadata_["single_fit"]["largest_training_difference"] == 0.0625
