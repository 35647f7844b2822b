import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

from skcausalrm import CausalRewardClassifier, CausalRewardRegressor
from skcausalrm.exceptions import ExportParityError, UnusedParameterError
from skcausalrm.export import RewardScorer, to_onnx
from skcausalrm.export._graph import _Graph, build_model
from skcausalrm.export._linear import LinearReward, describe_linear
from skcausalrm.export._network import RewardNetwork, describe
from skcausalrm.export._onnx_file import onnx_bytes
from skcausalrm.heads import MLPHead
from skcausalrm.selection._mixture_head import MixtureHead
from skcausalrm.selection._recalibration_map import CLIP, Recalibration

quick = settings(
    max_examples=25,
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


@quick
@given(move=st.builds(Recalibration, st.floats(-3, 3), st.floats(-0.9, 3), st.floats(-4.5, 4.5)))
@example(Recalibration(0.0, -0.9, 0.0))
@example(Recalibration(0.0, 0.0, 0.0))
def test_graph_and_numpy_recalibrate_alike(move):
    """From predictions below 0 to above 1, on and next to both ends of the clip."""
    ends = np.array([0.0, CLIP, 1 - CLIP, 1.0])
    grid = np.concatenate([np.linspace(-0.2, 1.2, 141), ends, ends - 1e-6, ends + 1e-6])
    X = grid.astype(np.float32)[:, None]
    network = RewardNetwork(
        head="ridge",
        weights=[np.ones((1, 1))],
        biases=[np.zeros(1)],
        negative_slope=0.0,
        link="identity",
        binary=True,
        recalibration=move,
        threshold=0.0,
        fold_weights=np.array([[0.9, 1.1]]),
        fold_biases=np.zeros(2),
    )
    session = onnxruntime.InferenceSession(
        build_model(network, {}, None).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    reward, std = session.run(["reward", "reward_std"], {"X": X})
    prediction = np.clip(X[:, 0].astype(np.float64), 0, 1)
    np.testing.assert_allclose(reward, move(prediction), rtol=1e-6, atol=1e-12)
    folds = np.clip(X.astype(np.float64) * [0.9, 1.1], 0, 1).std(axis=1)
    np.testing.assert_allclose(std, move.derivative(prediction) * folds, rtol=1e-6, atol=1e-12)
    linear = LinearReward(json.loads(describe_linear(replace(network, fold_weights=None))))
    found = linear.reward(X[:, 0].astype(np.float64))
    np.testing.assert_array_equal(found, move(prediction))


def std_of(model, X):
    """Spread of the members of `model`, carried through the slope of its recalibration."""
    X, head = np.asarray(X, dtype=np.float64), model.estimator_
    if isinstance(head, MixtureHead):
        members = expit((X @ head.directions + head.offsets) @ head.slopes.T + head.intercepts)
        prediction, weights = members @ head.weights, head.weights
    else:
        members, weights = X @ head.fold_coefs_.T + head.fold_intercepts_, np.full(5, 0.2)
        prediction = head.predict(X)
        if model.binary_:
            members = np.clip(members, 0, 1)
    std = np.sqrt((members - (members @ weights)[:, None]) ** 2 @ weights)
    if model.recalibration_ is None:
        return std
    # a central difference in place of the derivative
    h = 1e-6
    slope = (model.recalibration_(prediction + h) - model.recalibration_(prediction - h)) / (2 * h)
    return std * slope


@quick
@given(
    n_features=st.integers(1, 12),
    n_components=st.integers(1, 80),
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
    recalibration=recalibrations,
    cls=st.sampled_from([CausalRewardRegressor, CausalRewardClassifier]),
)
def test_any_mixture_is_reproduced(
    make_mixture, n_features, n_components, seed, scale, recalibration, cls
):
    model = make_mixture(n_features, n_components, seed, scale, recalibration, cls=cls)
    scorer = exported(model)
    X = np.random.default_rng(seed).normal(size=(20, n_features)).astype(np.float32)
    assert_same(scorer, model, X)
    assert_same(scorer, model, X[:1])
    reward, std = scorer.predict(X, return_std=True)
    np.testing.assert_array_equal(reward, scorer.predict(X))
    away = np.abs(np.abs(reward_without_recalibration(model, X) - 0.5) - 0.49) > 1e-5
    np.testing.assert_allclose(std[away], std_of(model, X)[away], atol=1e-5)
    empty = scorer.predict(X[:0], return_std=True)
    assert [values.shape for values in empty] == [(0,), (0,)]


def reward_without_recalibration(model, X):
    return model.estimator_.predict(np.asarray(X, dtype=np.float64))


@quick
@given(
    coef=arrays(np.float64, st.integers(1, 6), elements=st.floats(-3, 3)),
    spread=st.floats(0, 1),
    binary=st.booleans(),
    recalibration=recalibrations,
)
@example(coef=np.array([1e-160]), spread=0.0, binary=True, recalibration=None)
def test_a_linear_head_has_the_spread_of_its_folds(make_ridge, coef, spread, binary, recalibration):
    recalibration = recalibration if binary else None
    model = make_ridge(coef, 0.5, recalibration, fold_spread=spread, binary=binary)
    X = np.random.default_rng(0).normal(size=(50, len(coef))).astype(np.float32)
    std = exported(model).predict(X, return_std=True)[1]
    away = np.abs(np.abs(reward_without_recalibration(model, X) - 0.5) - 0.49) > 1e-5
    np.testing.assert_allclose(std[away], std_of(model, X)[away], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("verified", [False, True])
def test_a_fitted_joint_model_is_kept_whole(fit, logs, tmp_path, verified):
    columns = {"verified": logs.verified} if verified else {}
    model = fit(CausalRewardRegressor("selection", random_state=0), **columns)
    scorer = exported(model)
    assert_same(scorer, model, logs.X)
    expected = model.predict(logs.X.astype(np.float64), return_std=True)
    np.testing.assert_allclose(scorer.predict(logs.X, return_std=True), expected, atol=1e-6)
    assert scorer.predict(logs.X, return_std=True)[1].mean() > 0.01
    single = RewardScorer.load(to_onnx(model, tmp_path / "single.onnx", single=True))
    largest = single.metadata_["single_fit"]["largest_training_difference"]
    difference = np.abs(single.predict(logs.X) - scorer.predict(logs.X)).max()
    if not verified:  # indices of rows that were trained on spread a little more
        assert 0.25 * largest < difference < 4 * largest


def test_a_fitted_ridge_keeps_its_spread(fit, logs):
    model = fit(CausalRewardRegressor("dr", random_state=0), verified=logs.verified)
    std = exported(model).predict(logs.X, return_std=True)[1]
    np.testing.assert_allclose(std, std_of(model, logs.X), atol=1e-5)
    assert std.mean() > 1e-3


def rising(head):
    """The head with all components rising along one direction."""
    directions = np.repeat(head.directions[:, :1], 2, axis=1)
    return replace(head, slopes=np.abs(head.slopes), directions=directions)


def test_a_spread_under_the_recalibrations_clip_is_zero(make_mixture):
    model = make_mixture(3, 9, recalibration=(0.5, 0.2, 0.1), scale=10.0)
    model.estimator_ = rising(model.estimator_)
    X = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    std = exported(model).predict(X, return_std=True)[1]
    prediction = reward_without_recalibration(model, X)
    clipped = (prediction < 0.01) | (prediction > 0.99)
    assert 0.05 < clipped.mean() < 0.95
    np.testing.assert_array_equal(std == 0, clipped)


@pytest.mark.parametrize("opset", [13, 17, 18, None])
def test_scores_of_a_mixture_stay_finite_and_in_order(make_mixture, tmp_path, opset):
    model = make_mixture(4, 30)
    head = model.estimator_ = rising(model.estimator_)
    scorer = RewardScorer.load(to_onnx(model, tmp_path / "m.onnx", opset=opset))
    along = np.union1d(np.linspace(-1e6, 1e6, 301), np.linspace(-2, 2, 101))
    X = (along[:, None] * head.directions[:, 0]).astype(np.float32)
    score = scorer.decision_function(X)
    assert np.isfinite(score).all()
    assert (np.diff(score) > 0).all()
    assert score.min() < -1e5
    assert score.max() > 1e5
    reward, std = scorer.predict(X, return_std=True)
    np.testing.assert_allclose([reward[0], reward[-1], std[0], std[-1]], [0, 1, 0, 0], atol=1e-12)


def test_components_of_no_weight_say_nothing(make_mixture):
    model = make_mixture(3, 6)
    weights = model.estimator_.weights
    weights[[1, 2, 4]] = 0.0, 1e-320, 0.0
    weights /= weights.sum()
    X = np.random.default_rng(0).normal(size=(30, 3))
    assert_same(exported(model), model, 1e3 * X)
    fewer = make_mixture(3, 6)
    used = weights > 0
    names = ("weights", "intercepts", "slopes")
    fewer.estimator_ = replace(
        fewer.estimator_, **{name: getattr(model.estimator_, name)[used] for name in names}
    )
    np.testing.assert_array_equal(
        exported(model).decision_function(X), exported(fewer).decision_function(X)
    )


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", range(3))
def test_a_mixture_refuses_rows_without_a_finite_value(make_mixture, bad, place):
    scorer = exported(make_mixture(3, 30))
    X = np.zeros((5, 3))
    X[3, place] = bad
    for call in (scorer.predict, scorer.decision_function, lambda X: scorer.predict(X, True)):
        with pytest.raises(ValueError, match="Row 3 of X has no finite score"):
            call(X)


@quick
@given(
    n_features=st.integers(1, 8),
    seed=st.integers(0, 999),
    recalibration=recalibrations,
    cls=st.sampled_from([CausalRewardRegressor, CausalRewardClassifier]),
)
@example(n_features=1, seed=0, recalibration=(-3.0, -0.9, -4.5), cls=CausalRewardClassifier)
def test_a_single_sigmoid_is_linear(make_mixture, tmp_path, n_features, seed, recalibration, cls):
    model = make_mixture(n_features, 20, seed, recalibration=recalibration, cls=cls)
    head = model.estimator_
    scorer = RewardScorer.load(to_onnx(model, tmp_path / "m.onnx", single=True))
    X = np.random.default_rng(seed).normal(size=(30, n_features)).astype(np.float32)
    z = X.astype(np.float64) @ head.directions + head.offsets
    u = z @ head.single_slopes + head.single_intercept
    reward = expit(u) if recalibration is None else model.recalibration_(expit(u))
    np.testing.assert_allclose(scorer.predict(X), reward, atol=1e-5)
    score = scorer.decision_function(X)
    np.testing.assert_allclose(score - score[0], u - u[0], rtol=1e-5, atol=1e-5)
    if cls is CausalRewardClassifier:
        sure = np.abs(reward - 0.5) > 1e-5
        np.testing.assert_array_equal((score > 0)[sure], (reward > 0.5)[sure])
    assert model.estimator_ is head
    assert scorer.metadata_["head"] == "sigmoid"
    assert scorer.metadata_["outputs"] == ["reward", "score"]
    with pytest.raises(UnusedParameterError, match=r"a sigmoid head, .* \(without single=True"):
        scorer.predict(X, return_std=True)
    file = onnx.load(tmp_path / "m.onnx")
    sizes = [np.prod(c.dims, dtype=int) for c in file.graph.initializer]
    assert sorted(sizes)[-2:] == [1, n_features]


def test_a_single_sigmoid_says_how_well_it_fits(make_mixture, tmp_path):
    model = make_mixture(5, 1)
    alone = {}
    for name, single in (("one", True), ("mixture", False)):
        path = to_onnx(model, tmp_path / name, single=single)
        alone[name] = RewardScorer.load(path).metadata_["single_fit"]
    assert alone["one"] == alone["mixture"]
    assert alone["one"]["largest_training_difference"] == 0.125  # as the head says
    assert alone["one"]["largest_normal_difference"] < 1e-12
    # one sigmoid in truth, and one that is off by its intercept
    head = model.estimator_
    model.estimator_ = replace(head, single_intercept=head.single_intercept + 0.5)
    fit = describe(model).single_fit
    rng = np.random.default_rng(0)
    z = rng.normal(size=(100_000, 2))
    z = z[np.linalg.norm(z, axis=1) < 4]
    u = z @ model.estimator_.slopes[0] + model.estimator_.intercepts[0]
    difference = np.abs(expit(u + 0.5) - expit(u))
    assert fit["mean_normal_difference"] == pytest.approx(difference.mean(), rel=0.01)
    assert fit["largest_normal_difference"] == pytest.approx(difference.max(), rel=0.01)


def test_single_is_for_mixtures_only(make_ridge, make_mlp, tmp_path):
    path = tmp_path / "m.onnx"
    for model, head in ((make_ridge([1.0]), "RidgeHead"), (make_mlp([3, 2]), "MLPHead")):
        with pytest.raises(UnusedParameterError, match=f"single=True .* has a {head}"):
            to_onnx(model, path, single=True)
    with pytest.raises(TypeError, match="Ridge cannot be exported"):
        to_onnx(Ridge(), path, single=True)
    assert not path.exists()


def test_a_network_has_no_standard_deviation(make_mlp):
    scorer = exported(make_mlp([3, 2]))
    assert scorer.metadata_["outputs"] == ["reward", "score"]
    with pytest.raises(UnusedParameterError, match="needs a file with standard deviations"):
        scorer.predict(np.zeros((1, 3)), return_std=True)


def test_a_wrong_spread_is_noticed(make_mixture, monkeypatch, tmp_path):
    model = make_mixture(3, 5)
    predict = MixtureHead.predict

    def off(self, X, return_std=False):
        found = predict(self, X, return_std)
        return (found[0], found[1] + 3e-5) if return_std else found

    monkeypatch.setattr(MixtureHead, "predict", off)
    with pytest.raises(ExportParityError, match="The exported reward_std differs"):
        to_onnx(model, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


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
    assert [o.name for o in file.graph.output] == ["reward", "score", "reward_std", "distance"]
    assert metadata["outputs"] == ["reward", "score", "reward_std", "distance"]
    assert metadata["single_fit"] is None
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


@pytest.mark.parametrize("wrong", ["graph", "numpy"])
def test_both_ways_to_score_a_linear_head_are_checked(make_ridge, tmp_path, monkeypatch, wrong):
    if wrong == "graph":
        clipped = _Graph.clipped

        def half(self, network, value):
            return self.node("Mul", clipped(self, network, value), self.constant(0.5))

        monkeypatch.setattr(_Graph, "clipped", half)
    else:
        reward = LinearReward.reward
        monkeypatch.setattr(LinearReward, "reward", lambda self, p: reward(self, p) / 2)
    with pytest.raises(ExportParityError, match="The exported reward differs"):
        to_onnx(make_ridge([1.0, -1.0], 0.5), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_nothing(make_ridge, tmp_path, monkeypatch):
    def full_disk(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        to_onnx(make_ridge([1.0]), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_other_objects_are_refused_by_name(tmp_path):
    path = tmp_path / "m.onnx"
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
