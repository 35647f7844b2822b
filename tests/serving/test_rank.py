"""One order everywhere: by the unbounded score, where rewards of a ridge head tie at 0 and 1."""

import numpy as np
import pytest

from skcausalrm import CausalRewardRegressor, ConversationEncoder
from skcausalrm.export import RewardScorer, save_model_directory, text_to_onnx
from skcausalrm.serving import create_app, load_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytest.importorskip("httpx")
from fastapi.testclient import TestClient  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
PROMPT = "a b"
WORDS = [*"abcdefghijklmnop"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A random BERT of 8 columns that reads one-letter words."""
    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *WORDS])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    transformers.BertModel(
        transformers.BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
            max_position_embeddings=64,
        )
    ).save_pretrained(folder)
    return ConversationEncoder(str(folder), pooling="mean", max_length=32)


@pytest.fixture(scope="module")
def saturated(encoder):
    """A fitted ridge head, answers of which most have a reward of exactly 0 or 1, and scores."""
    rng = np.random.default_rng(0)
    answers = [" ".join(rng.choice(WORDS, rng.integers(2, 9))) for _ in range(400)]
    X = encoder.fit_transform([(PROMPT, answer) for answer in answers])
    feature = X[:, -2]  # of the answer, which is read apart from the prompt
    y = (feature > np.median(feature)).astype(float)
    model = CausalRewardRegressor("naive", random_state=0).fit(X, y)
    scores = model.decision_function(X)
    # answers far enough apart that rounding to float32 changes no order
    extreme = np.argsort(-np.abs(scores - 0.5))[:80]
    kept: list[int] = []
    for i in extreme:
        if all(abs(scores[i] - scores[j]) > 1e-4 for j in kept):
            kept.append(i)
    kept = rng.permutation(kept)
    rewards = model.predict(X[kept])
    assert (rewards == 1).sum() >= 5
    assert (rewards == 0).sum() >= 5
    return model, [answers[i] for i in kept], scores[kept], rewards


@pytest.fixture(scope="module", params=["text file", "model directory"])
def path(request, saturated, encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saturated")
    if request.param == "text file":
        sample = [(PROMPT, answer) for answer in saturated[1]]
        return text_to_onnx(saturated[0], encoder, folder / "reward.onnx", sample=sample)
    from skcausalrm.text._saved import encoder_settings

    return save_model_directory(
        saturated[0], folder / "model", encoder_settings=encoder_settings(encoder)
    )


def assert_best_first(order, saturated):
    _, answers, scores, rewards = saturated
    assert sorted(order) == list(range(len(answers)))
    assert (np.diff(scores[order]) < 0).all()
    # rewards alone would leave the tied answers in another order
    tied = [i for i in order if rewards[i] == 1]
    assert tied != sorted(tied)


def test_reward_scorer(path, saturated):
    if path.is_dir():
        pytest.skip("a directory's scorer takes embeddings")
    order, rewards = RewardScorer.load(path).rank(PROMPT, saturated[1])
    assert_best_first(order, saturated)
    np.testing.assert_allclose(rewards, saturated[3], atol=1e-5)


def test_text_model(path, saturated):
    order, rewards = load_model(path).rank(PROMPT, saturated[1])
    assert_best_first(order, saturated)
    np.testing.assert_allclose(rewards, saturated[3], atol=1e-5)


def test_server(path, saturated):
    answers = saturated[1]
    with TestClient(create_app(load_model(path))) as client:
        found = client.post("/rank", json={"prompt": PROMPT, "completions": answers}).json()
        reranked = client.post("/rerank", json={"query": PROMPT, "texts": answers}).json()
    assert_best_first(found["order"], saturated)
    np.testing.assert_allclose(found["rewards"], saturated[3], atol=1e-5)
    order = [entry["index"] for entry in reranked]
    assert_best_first(order, saturated)
    np.testing.assert_allclose(
        [entry["score"] for entry in reranked], saturated[3][order], atol=1e-5
    )


def test_equal_scores_keep_their_order(path):
    answers = ["c d", "a b c"] * 20  # so many that numpy's quicksort would shuffle them
    order, _ = load_model(path).rank(PROMPT, answers)
    first = answers[order[0]]
    expected = sorted(range(40), key=lambda i: answers[i] != first)
    assert order.tolist() == expected
