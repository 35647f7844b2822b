import json

import numpy as np
import onnx
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcausalrm import CausalRewardClassifier, CausalRewardRegressor
from skcausalrm.exceptions import ExportParityError
from skcausalrm.export import RewardScorer, to_onnx
from skcausalrm.export.network import describe
from skcausalrm.export.onnx_file import onnx_bytes
from skcausalrm.heads import MLPHead

quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
numbers = st.floats(-1e3, 1e3, allow_subnormal=False)
recalibrations = st.none() | st.tuples(st.floats(-3, 3), st.floats(-0.9, 3), st.floats(-4.5, 4.5))


def exported(model):
    return RewardScorer(onnx_bytes(model, describe(model)))


def reward_of(model, X):
    X = np.asarray(X, dtype=np.float64)
    if hasattr(model, "predict_proba"):
        return model.predict_proba(X)[:, 1]
    return model.predict(X)


def assert_same(scorer, model, X, tolerance=1e-5):
    X = np.asarray(X, dtype=np.float32)
    np.testing.assert_allclose(scorer.predict(X), reward_of(model, X), rtol=tolerance, atol=1e-5)
    np.testing.assert_allclose(
        scorer.decision_function(X),
        model.decision_function(X.astype(np.float64)),
        rtol=tolerance,
        atol=1e-5,
    )


@pytest.mark.parametrize("cls", [CausalRewardRegressor, CausalRewardClassifier])
@pytest.mark.parametrize("estimator", [None, "mlp"])
@pytest.mark.parametrize("verified", [False, True])
def test_fitted_models_keep_their_rewards(fit, logs, cls, estimator, verified):
    if estimator == "mlp":
        pytest.importorskip("torch")
        estimator = MLPHead((8,), max_epochs=5, device="cpu", random_state=0)
    columns = {"verified": logs.verified} if verified else {}
    model = fit(cls("dr", estimator, random_state=0), **columns)
    assert (model.recalibration_ is not None) == verified
    scorer = exported(model)
    rng = np.random.default_rng(0)
    for X in (logs.X, 50 * rng.normal(size=(200, 12)), np.zeros((1, 12))):
        assert_same(scorer, model, X)
    assert np.ptp(scorer.predict(logs.X)) > 0.01
    assert scorer.metadata_["head"] == ("ridge" if estimator is None else "mlp")


def test_continuous_feedback_stays_unbounded(fit, logs):
    rng = np.random.default_rng(0)
    y = np.where(np.isnan(logs.y), np.nan, 50 * logs.X[:, 0] + rng.normal(size=len(logs.X)))
    model = CausalRewardRegressor("naive", random_state=0).fit(logs.X, y)
    scorer = exported(model)
    assert not scorer.metadata_["binary"]
    assert_same(scorer, model, logs.X)
    assert scorer.predict(logs.X).max() > 10


@quick
@given(
    coef=arrays(np.float64, st.integers(1, 20), elements=numbers),
    intercept=numbers,
    binary=st.booleans(),
    recalibration=recalibrations,
    seed=st.integers(0, 2**31),
)
def test_any_linear_head_is_reproduced(make_ridge, coef, intercept, binary, recalibration, seed):
    model = make_ridge(coef, intercept, recalibration, binary=binary)
    X = np.random.default_rng(seed).normal(size=(20, len(coef))) / (1 + np.linalg.norm(coef))
    assert_same(exported(model), model, X)


@quick
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
    link=st.sampled_from(["logistic", "identity"]),
    recalibration=recalibrations,
)
def test_any_network_is_reproduced(make_mlp, sizes, seed, scale, link, recalibration):
    model = make_mlp(sizes, seed, scale, link, recalibration)
    X = np.random.default_rng(seed).normal(size=(20, sizes[0]))
    assert_same(exported(model), model, X)


def test_cancelling_weights_on_wide_rows_keep_five_decimals(make_ridge):
    # float32 sums would be off by about 1e-2 here
    rng = np.random.default_rng(0)
    direction = rng.normal(size=4096)
    X = (1000 + rng.normal(size=(200, 4096))).astype(np.float32)
    direction -= direction.mean()
    direction /= np.linalg.norm(direction)
    model = make_ridge(direction, 0.5 - 1000 * direction.sum())
    reward = reward_of(model, X)
    assert 0.1 < np.mean((reward > 0) & (reward < 1)) < 0.9
    assert_same(exported(model), model, X)
    in_float32 = np.clip(X @ direction.astype(np.float32) + np.float32(0.5), 0, 1)
    assert np.abs(in_float32 - reward).max() > 1e-4


def test_the_file_says_what_it_is(fit, logs, tmp_path):
    names = [f"e{i}" for i in range(12)]
    model = fit(CausalRewardRegressor("snips", random_state=0), pd.DataFrame(logs.X, columns=names))
    path = to_onnx(model, tmp_path / "reward.onnx")
    metadata = RewardScorer.load(path).metadata_
    assert metadata["method"] == "snips"
    assert metadata["head"] == "ridge"
    assert metadata["n_features"] == 12
    assert metadata["feature_names"] == names
    assert metadata["format_version"] == 1
    assert metadata["created_with"]["numpy"] == np.__version__
    file = onnx.load(path)
    onnx.checker.check_model(file, full_check=True)
    assert [i.name for i in file.graph.input] == ["X"]
    assert [o.name for o in file.graph.output] == ["reward", "score"]
    assert file.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_model_gives_the_same_bytes(make_ridge):
    model = make_ridge([1.0, 2.0])
    assert onnx_bytes(model, describe(model)) == onnx_bytes(model, describe(model))


@pytest.mark.parametrize("opset", [13, 15, 21])
def test_an_older_or_newer_opset_on_request(make_mlp, tmp_path, opset):
    model = make_mlp([4, 3], recalibration=(0.2, 0.1, -0.5))
    path = to_onnx(model, tmp_path / "m.onnx", opset=opset)
    assert onnx.load(path).opset_import[0].version == opset
    assert_same(RewardScorer.load(path), model, np.eye(4))


@pytest.mark.parametrize("opset", [12, 999])
def test_an_impossible_opset_is_refused(make_ridge, tmp_path, opset):
    with pytest.raises(ValueError, match=f"opset is {opset}; onnx .* allow 13 to"):
        to_onnx(make_ridge([1.0]), tmp_path / "m.onnx", opset=opset)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["predict", "decision_function"])
def test_a_file_that_differs_is_not_kept_and_the_old_one_stays(make_ridge, tmp_path, what):
    model = make_ridge([1.0, -1.0], 0.5)
    path = to_onnx(model, tmp_path / "m.onnx")
    before = path.read_bytes()

    class Other(type(model)):
        pass

    def off(self, X):
        return getattr(super(Other, self), what)(X) + 3e-5 * (np.asarray(X)[:, 0] != 0)

    setattr(Other, what, off)
    other = Other()
    other.__dict__.update(model.__dict__)
    with pytest.raises(ExportParityError, match=r"differs .* by 3e-05"):
        to_onnx(other, path)
    with pytest.raises(ExportParityError):
        to_onnx(other, tmp_path / "new.onnx")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_a_failed_write_leaves_nothing(make_ridge, tmp_path, monkeypatch):
    def full_disk(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        to_onnx(make_ridge([1.0]), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_other_objects_and_heads_are_refused_by_name(fit, fitted, tmp_path):
    path = tmp_path / "m.onnx"
    with pytest.raises(TypeError, match=r"Ridge head cannot be exported; RidgeHead .* MLPHead"):
        to_onnx(fit(CausalRewardRegressor("dr", Ridge(), random_state=0)), path)
    with pytest.raises(TypeError, match="Pipeline cannot be exported"):
        to_onnx(make_pipeline(StandardScaler(), fitted), path)
    with pytest.raises(TypeError, match="Ridge cannot be exported"):
        to_onnx(Ridge(), path)
    with pytest.raises(NotFittedError):
        to_onnx(CausalRewardRegressor(), path)
    assert not path.exists()


def test_metadata_is_plain_text_that_other_tools_can_read(make_ridge, tmp_path):
    path = to_onnx(make_ridge([1.0]), tmp_path / "m.onnx")
    properties = {p.key: p.value for p in onnx.load(path).metadata_props}
    assert properties["method"] == "dr"
    assert json.loads(properties["created_with"])["onnx"] == onnx.__version__
