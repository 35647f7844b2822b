"""Heads and steps of scikit-learn in the ONNX file, and what cannot be written."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from skcausalrm import CausalRewardClassifier, CausalRewardRegressor, ConversationEncoder
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import ExportParityError, UnsupportedExportError
from skcausalrm.export import RewardScorer, save_model_directory, to_onnx
from skcausalrm.export import _onnx_file as onnx_file

pytest.importorskip("skl2onnx")


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(1500, 12, n_verified=60, random_state=0)


def fit(estimator, log, **extras):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(log.X, log.y, **extras)


HEADS = [
    LinearRegression(),
    make_pipeline(StandardScaler(), Ridge()),
    RandomForestRegressor(3, random_state=0),
    HistGradientBoostingRegressor(max_iter=20, categorical_features=None),
    MLPRegressor(hidden_layer_sizes=(8,), max_iter=30, random_state=0),
]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
@pytest.mark.parametrize("cls", [CausalRewardRegressor, CausalRewardClassifier])
def test_heads(log, tmp_path, head, cls):
    model = fit(cls("dr", head, random_state=0), log, verified=log.verified)
    scorer = RewardScorer.load(to_onnx(model, tmp_path / "reward.onnx"))
    X = log.X.astype(np.float64)  # of float32 rows, so that trees branch alike
    expected = model.predict_proba(X)[:, 1] if hasattr(model, "classes_") else model.predict(X)
    np.testing.assert_allclose(scorer.predict(log.X), expected, atol=1e-6)
    scores = model.decision_function(X)
    np.testing.assert_allclose(scorer.decision_function(log.X), scores, atol=1e-6)
    assert scorer.metadata_["head"] == type(head).__name__
    assert model.recalibration_ is not None


@pytest.mark.parametrize(
    "steps",
    [[StandardScaler()], [StandardScaler(), PCA(5)], [PCA(6, whiten=True)], [Normalizer()], []],
    ids=["scaler", "scaler-pca", "whitened", "normalizer", "none"],
)
@pytest.mark.parametrize("method", ["selection", "dr"])
def test_pipelines(log, tmp_path, steps, method):
    reward = CausalRewardRegressor(method, random_state=0)
    pipeline = fit(make_pipeline(*steps, reward), log)
    scorer = RewardScorer.load(to_onnx(pipeline, tmp_path / "reward.onnx"))
    X = log.X.astype(np.float64)
    np.testing.assert_allclose(scorer.predict(log.X), pipeline.predict(X), atol=1e-6)
    scores = pipeline.decision_function(X)
    np.testing.assert_allclose(scorer.decision_function(log.X), scores, atol=1e-5)
    expected = pipeline[-1].predict(pipeline[:-1].transform(X) if steps else X, return_std=True)
    std = scorer.predict(log.X, return_std=True)[1]
    np.testing.assert_allclose(std, expected[1], atol=1e-6)
    assert scorer.n_features_in_ == 12
    assert scorer.metadata_["method"] == method


def test_pipeline_with_column_names_and_a_foreign_head(log, tmp_path):
    frame = pd.DataFrame(log.X, columns=[f"f{i}" for i in range(12)])
    reward = CausalRewardRegressor("naive", HistGradientBoostingRegressor(max_iter=5))
    pipeline = Pipeline([("scale", StandardScaler()), ("reward", reward)]).fit(frame, log.y)
    scorer = RewardScorer.load(to_onnx(pipeline, tmp_path / "reward.onnx"))
    assert scorer.metadata_["feature_names"] == list(frame.columns)
    gap = np.abs(scorer.predict(frame) - pipeline.predict(frame.astype(np.float64)))
    # a row within rounding of a tree's threshold may fall on its other side
    assert np.mean(gap > 1e-6) < 0.01
    with pytest.raises(ValueError, match="Column 0"):
        scorer.predict(frame[frame.columns[::-1]])


def test_what_skl2onnx_does_not_know_is_named(log, tmp_path):
    pipeline = fit(make_pipeline(Nystroem(n_components=5), CausalRewardRegressor("naive")), log)
    with pytest.raises(UnsupportedExportError, match=r"skl2onnx .* cannot convert Pipeline"):
        to_onnx(pipeline, tmp_path / "reward.onnx")

    class Own(Ridge):
        """A head that no converter knows."""

    model = fit(CausalRewardRegressor("naive", Own()), log)
    with pytest.raises(UnsupportedExportError, match="cannot convert Own"):
        to_onnx(model, tmp_path / "reward.onnx")
    with pytest.raises(TypeError, match="Own head cannot be saved as a directory"):
        save_model_directory(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_pipeline_of_text_names_text_to_onnx(tmp_path):
    pipeline = make_pipeline(ConversationEncoder(), CausalRewardRegressor())
    with pytest.raises(UnsupportedExportError, match="call text_to_onnx"):
        to_onnx(pipeline, tmp_path / "reward.onnx")


def test_a_pipeline_that_ends_otherwise_is_refused(log, tmp_path):
    with pytest.raises(TypeError, match="A Ridge cannot be exported"):
        to_onnx(
            make_pipeline(StandardScaler(), Ridge()).fit(log.X, log.reward), tmp_path / "r.onnx"
        )


@pytest.mark.parametrize("damage", ["value", "order", "nan"])
def test_a_wrong_graph_is_not_written(log, tmp_path, monkeypatch, damage):
    model = fit(CausalRewardRegressor("naive", LinearRegression()), log)
    predict = RewardScorer.predict

    def wrong(self, X, return_std=False):
        rewards = predict(self, X)
        if damage == "value":
            return rewards + 2e-5
        if damage == "nan":
            raise ValueError("no finite score")
        return rewards[::-1]

    if damage == "order":
        monkeypatch.setattr(onnx_file, "TOLERANCE", 10.0)
    monkeypatch.setattr(RewardScorer, "predict", wrong)
    message = {"value": "differs", "order": "orders rewards", "nan": "no finite score"}[damage]
    with pytest.raises(ExportParityError, match=message):
        to_onnx(model, tmp_path / "reward.onnx")
    assert not list(tmp_path.iterdir())
