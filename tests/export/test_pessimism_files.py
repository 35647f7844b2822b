"""Exported files whose reward is pessimistic, and what they say of rows far from the log."""

import warnings

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcausalrm import CausalRewardClassifier, CausalRewardRegressor
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import InvalidInputError, SkcausalrmWarning, UnusedParameterError
from skcausalrm.export import (
    RewardScorer,
    load_model_directory,
    save_model_directory,
    to_onnx,
)


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(900, 6, n_verified=40, random_state=0)


def fitted(log, method, cls=CausalRewardRegressor):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        return cls(method, random_state=0).fit(log.X, log.y, verified=log.verified)


@pytest.fixture(scope="module")
def models(log):
    return {name: fitted(log, name) for name in ("selection", "dr")}


@pytest.mark.parametrize("method", ["selection", "dr"])
def test_a_file_can_be_pessimistic(models, log, method, tmp_path):
    model = models[method]
    path = to_onnx(model, tmp_path / "reward.onnx", pessimism=10.0)
    scorer = RewardScorer.load(path)
    assert scorer.metadata_["pessimism"] == 10.0
    found, scores = scorer.rewards_and_scores(log.X)
    np.testing.assert_allclose(found, model.predict(log.X, pessimism=10.0), atol=1e-5)
    assert found.mean() < model.predict(log.X).mean() - 0.02
    assert np.corrcoef(found.argsort().argsort(), scores.argsort().argsort())[0, 1] > 0.98
    np.testing.assert_allclose(scorer.support(log.X), model.support(log.X), atol=1e-5)
    assert scorer.support(50 * log.X).max() == 0
    plain = RewardScorer.load(to_onnx(model, path))
    assert plain.metadata_["pessimism"] is None
    np.testing.assert_allclose(plain.predict(log.X), model.predict(log.X), atol=1e-5)


@pytest.mark.parametrize("method", ["selection", "dr"])
def test_extreme_pessimism_is_the_same_in_a_file(models, log, method, tmp_path):
    model = models[method]
    scorer = RewardScorer.load(to_onnx(model, tmp_path / "reward.onnx", pessimism=3000.0))
    expected = model.predict(log.X, pessimism=3000.0)
    np.testing.assert_allclose(scorer.predict(log.X), expected, atol=1e-5)
    assert (expected <= model.predict(log.X, pessimism=50.0) + 1e-9).all()


def test_a_model_directory_can_be_pessimistic(models, log, tmp_path):
    model = models["selection"]
    path = save_model_directory(model, tmp_path / "model", pessimism=5.0)
    directory = load_model_directory(path)
    expected = model.predict(log.X, pessimism=5.0)
    np.testing.assert_allclose(directory.scorer.predict(log.X), expected, atol=1e-5)
    assert directory.config["head"]["pessimism"] == 5.0
    assert directory.weights["spread.weight"].shape == model.estimator_.fold_directions.shape


def test_a_pipelines_support_is_that_of_its_last_step(models, log, tmp_path):
    pytest.importorskip("skl2onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        pipe = make_pipeline(StandardScaler(), CausalRewardRegressor("dr", random_state=0))
        pipe.fit(3 * log.X + 1, log.y)
    scorer = RewardScorer.load(to_onnx(pipe, tmp_path / "reward.onnx", pessimism=3.0))
    X = 3 * log.X + 1
    inside = pipe[0].transform(X)
    np.testing.assert_allclose(
        scorer.predict(X), pipe[-1].predict(inside, pessimism=3.0), atol=1e-5
    )
    np.testing.assert_allclose(scorer.support(X), pipe[-1].support(inside), atol=1e-4)


def test_what_cannot_be_pessimistic_is_refused(models, log, make_ridge, make_mixture, tmp_path):
    path = tmp_path / "reward.onnx"
    with pytest.raises(UnusedParameterError, match="leave single or pessimism out"):
        to_onnx(models["selection"], path, single=True, pessimism=1.0)
    with pytest.raises(InvalidInputError, match="must be a positive number"):
        to_onnx(models["dr"], path, pessimism=-1.0)
    assert not path.exists()
    # Models of an earlier version know no folds and no log.
    scorer = RewardScorer.load(to_onnx(make_mixture(6, 5), path, pessimism=2.0))
    assert scorer.predict(log.X).shape == (900,)
    with pytest.raises(UnusedParameterError, match="does not know how far rows are from its log"):
        scorer.support(log.X)
    classifier = fitted(log, "dr", CausalRewardClassifier)
    scorer = RewardScorer.load(to_onnx(classifier, path, pessimism=2.0))
    assert scorer.predict(log.X).mean() < classifier.predict_proba(log.X)[:, 1].mean()
