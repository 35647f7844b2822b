import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from skcausalrm.exceptions import ExportWarning, ModelDirectoryError, UnusedParameterError
from skcausalrm.export import RewardScorer, to_onnx
from skcausalrm.export import _scorer as scorer

onnx = pytest.importorskip("onnx")


@pytest.fixture
def path(make_ridge, tmp_path):
    return to_onnx(make_ridge([1.0, 2.0, -1.0], 0.25), tmp_path / "reward.onnx")


def test_scores_what_was_exported(path):
    loaded = RewardScorer.load(path)
    X = [[0.25, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    np.testing.assert_allclose(loaded.decision_function(X), [0.5, 3.25, -0.75])
    np.testing.assert_allclose(loaded.predict(X), [0.5, 1.0, 0.0])
    assert loaded.predict(X).dtype == np.float64
    assert loaded.n_features_in_ == 3
    assert loaded.provider_ == "CPUExecutionProvider"
    assert "method='dr'" in repr(loaded)


def test_needs_neither_torch_nor_scikit_learn(path, tmp_path):
    code = (
        "import sys\n"
        "blocked = {'torch', 'sklearn', 'pandas', 'scipy', 'transformers', 'onnx', 'tokenizers'}\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in blocked:\n"
        "            raise ModuleNotFoundError(name + ' is blocked', name=name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "import skcausalrm.export\n"
        "from skcausalrm.export import RewardScorer, load_model_directory\n"
        f"print(RewardScorer.load({str(path)!r}).predict([[0.25, 0.0, 0.0]])[0])\n"
        "assert not blocked & {name.split('.')[0] for name in sys.modules}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert float(done.stdout) == 0.5


class Spy:
    """Session that notes the rows of each batch."""

    def __init__(self, session):
        self.session, self.sizes = session, []

    def run(self, outputs, inputs, options):
        self.sizes.append(len(inputs["X"]))
        return self.session.run(outputs, inputs, options)


def test_batches_of_bounded_size_give_the_same(make_mixture, tmp_path, monkeypatch):
    path = to_onnx(make_mixture(3, 5), tmp_path / "mixture.onnx")
    X = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)
    at_once = RewardScorer.load(path).predict(X)
    loaded = RewardScorer.load(path)
    spy = loaded._session = Spy(loaded._session)
    monkeypatch.setattr(scorer, "_BATCH_BYTES", 12 * 64)
    np.testing.assert_array_equal(loaded.predict(X), at_once)
    assert spy.sizes == [64] * 15 + [40]


@pytest.mark.parametrize(("n_columns", "batch"), [(3, 2**15), (1024, 2**12)])
def test_batches_hold_32768_rows_or_16_mib(make_mixture, tmp_path, n_columns, batch):
    loaded = RewardScorer.load(to_onnx(make_mixture(n_columns, 2), tmp_path / "mixture.onnx"))
    spy = loaded._session = Spy(loaded._session)
    loaded.predict(np.zeros((batch + 1, n_columns), dtype=np.float32))
    assert spy.sizes == [batch, 1]


def test_a_row_larger_than_a_batch_is_a_batch(make_mixture, tmp_path, monkeypatch):
    loaded = RewardScorer.load(to_onnx(make_mixture(3, 2), tmp_path / "mixture.onnx"))
    spy = loaded._session = Spy(loaded._session)
    monkeypatch.setattr(scorer, "_BATCH_BYTES", 11)
    loaded.predict(np.zeros((3, 3)))
    assert spy.sizes == [1, 1, 1]


def test_a_linear_head_needs_no_session(path):
    loaded = RewardScorer.load(path)
    spy = loaded._session = Spy(loaded._session)
    loaded.predict(np.zeros((3, 3)))
    assert spy.sizes == []


def test_no_rows_give_no_rewards(path):
    assert RewardScorer.load(path).predict(np.empty((0, 3))).shape == (0,)


def test_accepts_what_numpy_can_read(path, tmp_path):
    loaded = RewardScorer.load(path)
    X = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    expected = loaded.predict(X)
    for same in (
        X.astype(np.float64),
        np.asfortranarray(X),
        X.tolist(),
        pd.DataFrame(X),
        np.load(tmp_path / "X.npy", mmap_mode="r"),
    ):
        np.testing.assert_array_equal(loaded.predict(same), expected)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 4)), "X has 4 columns where the model was trained with 3"),
        (np.zeros(3), "X has 1 dimensions"),
        (np.array([[0, 0, 0], [0, np.nan, 0]]), "Row 1 of X has no finite score"),
        (np.array([[np.inf, 0, 0]]), "Row 0 of X has no finite score"),
        (np.array([["a", "b", "c"]]), "could not convert"),
    ],
)
@pytest.mark.parametrize("method", ["predict", "decision_function"])
def test_rows_that_cannot_be_scored_are_named(path, X, message, method):
    with pytest.raises(ValueError, match=message):
        getattr(RewardScorer.load(path), method)(X)


def test_a_bad_row_is_named_by_its_place_in_the_whole(path, monkeypatch):
    monkeypatch.setattr(scorer, "_BATCH_BYTES", 12 * 10)
    X = np.zeros((100, 3))
    X[77, 1] = np.nan
    with pytest.raises(ValueError, match="Row 77 of X"):
        RewardScorer.load(path).predict(X)


def test_columns_in_another_order_are_refused(make_ridge, tmp_path):
    model = make_ridge([1.0, 2.0])
    model.feature_names_in_ = np.array(["a", "b"], dtype=object)
    loaded = RewardScorer.load(to_onnx(model, tmp_path / "m.onnx"))
    frame = pd.DataFrame({"a": [0.1], "b": [0.2]})
    assert loaded.predict(frame)[0] == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r"Column 0 of X is 'b' where .* 'a'"):
        loaded.predict(frame[["b", "a"]])
    with pytest.raises(ValueError, match="X has 3 columns where the model was trained with 2"):
        loaded.predict(frame.assign(c=0.3))


def test_pickles_as_the_file_it_is(path):
    loaded = RewardScorer.load(path)
    X = np.eye(3)
    copy = pickle.loads(pickle.dumps(loaded))
    np.testing.assert_array_equal(copy.predict(X), loaded.predict(X))
    assert copy.metadata_ == loaded.metadata_


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA is here"
)
def test_a_missing_gpu_is_warned_of_and_the_cpu_scores(path):
    with pytest.warns(ExportWarning, match="CUDAExecutionProvider is not usable here"):
        loaded = RewardScorer.load(path, device="cuda")
    assert loaded.provider_ == "CPUExecutionProvider"
    assert loaded.predict([[0.25, 0.0, 0.0]])[0] == 0.5


def test_a_session_that_fell_back_by_itself_is_noticed(path, monkeypatch):
    # onnxruntime-gpu without drivers lists CUDA as available and then runs on the CPU
    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = RewardScorer.load(path, device="cuda")
    assert any(w.category is ExportWarning for w in caught)
    assert loaded.provider_ == "CPUExecutionProvider"


@pytest.mark.gpu
@pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers(), reason="no CUDA"
)
def test_a_gpu_scores_as_the_cpu_does(make_mlp, tmp_path):
    path = to_onnx(make_mlp([64, 32, 8], recalibration=(0.1, 0.2, 0.3)), tmp_path / "m.onnx")
    gpu = RewardScorer.load(path, device="cuda")
    if gpu.provider_ != "CUDAExecutionProvider":
        pytest.skip("onnxruntime cannot use CUDA here")
    X = np.random.default_rng(0).normal(size=(1000, 64))
    np.testing.assert_allclose(gpu.predict(X), RewardScorer.load(path).predict(X), atol=1e-6)


def test_providers_by_name(path):
    loaded = RewardScorer.load(path, providers=["CPUExecutionProvider"])
    assert loaded.provider_ == "CPUExecutionProvider"
    with pytest.warns(ExportWarning, match="NoSuchExecutionProvider"):
        RewardScorer.load(path, providers=["NoSuchExecutionProvider", "CPUExecutionProvider"])
    with pytest.raises(ValueError, match="device is 'tpu'"):
        RewardScorer.load(path, device="tpu")


@pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.ExportWarning")
@pytest.mark.parametrize(
    ("wanted", "used"),
    [
        ([("CPUExecutionProvider", {"a": "1"})], [("CPUExecutionProvider", {"a": "1"})]),
        (["NoSuchExecutionProvider", "CPUExecutionProvider"], ["CPUExecutionProvider"]),
        (["NoSuchExecutionProvider"], ["CPUExecutionProvider"]),
    ],
)
def test_the_session_gets_the_providers_that_are_here(path, monkeypatch, wanted, used):
    given = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, model, options, providers):
            given.append(providers)
            super().__init__(model, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    assert RewardScorer.load(path, providers=wanted).predict([[0.25, 0.0, 0.0]])[0] == 0.5
    assert given == [used]


def test_files_that_are_not_ours(path, tmp_path):
    with pytest.raises(FileNotFoundError):
        RewardScorer.load(tmp_path / "absent.onnx")
    content = path.read_bytes()
    for broken in (b"", b"not onnx at all", content[: len(content) // 2]):
        with pytest.raises(ModelDirectoryError):
            RewardScorer(broken)
    file = onnx.load(path)
    del file.metadata_props[:]
    with pytest.raises(ModelDirectoryError, match="no skcausalrm metadata"):
        RewardScorer(file.SerializeToString())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format_version", "2", "format version 2 .* upgrade skcausalrm"),
        ("n_features", "three", "metadata is damaged"),
        ("binary", "perhaps", "metadata is damaged"),
    ],
)
def test_files_from_another_time(path, key, value, message):
    file = onnx.load(path)
    next(p for p in file.metadata_props if p.key == key).value = value
    with pytest.raises(ModelDirectoryError, match=message):
        RewardScorer(file.SerializeToString())


def test_the_best_come_first_and_equal_scores_keep_their_order():
    assert scorer.best_first(np.array([0.5, 2.0, -1.0, 2.0, 0.5])).tolist() == [1, 3, 0, 4, 2]


def test_embeddings_are_not_ranked_as_text(path):
    with pytest.raises(UnusedParameterError, match=r"sort by predict\(X\)"):
        RewardScorer.load(path).rank("Hello", ["Hi", "Hey"])


def test_no_providers_are_refused(path):
    with pytest.raises(ValueError, match="providers is empty"):
        RewardScorer.load(path, providers=[])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0, 1e6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_linear_head_in_numpy_gives_what_the_graph_gives(make_ridge, tmp_path, scale, dtype):
    rng = np.random.default_rng(0)
    model = make_ridge(rng.normal(size=40), 0.1, (0.2, 0.1, 0.5))
    loaded = RewardScorer.load(to_onnx(model, tmp_path / "r.onnx"))
    # some rows cancel out, and are large
    X = (scale * rng.normal(size=(30_000, 40))).astype(dtype)
    X[::7, 0] -= (X[::7] @ model.estimator_.coef_) / model.estimator_.coef_[0]
    at_once = loaded.predict(X), loaded.decision_function(X)
    few = loaded.predict(X[:64]), loaded.decision_function(X[:64])
    loaded._linear = None
    graph = loaded.predict(X), loaded.decision_function(X)
    np.testing.assert_allclose(at_once[0], graph[0], atol=6e-6)
    np.testing.assert_allclose(at_once[1], graph[1], atol=6e-6, rtol=2e-7)
    np.testing.assert_allclose(few[0], graph[0][:64], atol=1e-7)
    far_apart = np.abs(np.subtract.outer(graph[1][:500], graph[1][:500])) > 2e-5 * max(1, scale)
    order = np.sign(np.subtract.outer(at_once[1][:500], at_once[1][:500]))
    same = order == np.sign(np.subtract.outer(graph[1][:500], graph[1][:500]))
    assert same[far_apart].all()


@pytest.mark.parametrize("n_rows", [3, 5000])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_value_is_found_in_a_linear_head(path, n_rows, bad):
    X = np.zeros((n_rows, 3), dtype=np.float32)
    X[2, 1] = bad
    with pytest.raises(ValueError, match="Row 2 of X has no finite score"):
        RewardScorer.load(path).predict(X)


def test_threads_share_a_scorer(path):
    X = np.random.default_rng(0).normal(size=(20_000, 3)).astype(np.float32)
    loaded = RewardScorer.load(path)
    expected = loaded.predict(X)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(loaded.predict, [X] * 16):
            np.testing.assert_array_equal(found, expected)
