"""The Python blocks of the pages on export, serving and trainers run as they are written.

Encoders that the pages name are tiny ones here, under the same names in the current folder.
"""

import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")
pytest.importorskip("onnxscript")

PAGES = Path(__file__).parents[2] / "docs" / "guide"
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not PAGES.is_dir(), reason="tests run without the repository"),
]


def blocks(page):
    """The Python blocks of a page, each with the line that it starts at."""
    text = (PAGES / page).read_text()
    found = list(re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    return [(text[: match.start(1)].count("\n"), match[1]) for match in found]


def run(page, **names):
    for line, source in blocks(page):
        # blank lines in front, so that a traceback shows the line of the page
        exec(compile("\n" * line + source, page, "exec"), names)
    return names


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Folder with tiny encoders under the names that the pages use."""
    folder = tmp_path_factory.mktemp("tiny")
    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *"abcdefghijklmnopqrstuvwxyz"])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    )
    size = {"vocab_size": len(words), "max_position_embeddings": 64}
    bert = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, **size
    )
    distilbert = transformers.DistilBertConfig(dim=16, n_layers=1, n_heads=2, hidden_dim=24, **size)
    torch.manual_seed(0)
    for name, model in (
        ("sentence-transformers/all-MiniLM-L6-v2", transformers.BertModel(bert)),
        ("distilbert/distilbert-base-uncased", transformers.DistilBertModel(distilbert)),
    ):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    """The current folder of all pages, with the tiny encoders in it."""
    folder = tmp_path_factory.mktemp("pages")
    for name in ("sentence-transformers", "distilbert"):
        (folder / name).symlink_to(tiny / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def exported(folder):
    """The names that the page on export defines."""
    return run("export.md")


def test_export(exported):
    model, X = exported["model"], exported["log"].X
    assert abs(exported["reward"] - model.predict(X)).max() < 1e-5
    assert abs(exported["std"] - model.predict(X, return_std=True)[1]).max() < 1e-5
    assert abs(exported["loaded"].scorer.predict(X) - model.predict(X)).max() < 1e-5
    assert sorted(exported["order"]) == [0, 1]
    assert exported["loaded"].report == {"rows": 5000}


def test_transformers(folder):
    run("transformers.md")
    assert (folder / "reward-model" / "config.json").exists()


def test_serving(folder, exported):
    pytest.importorskip("fastapi")
    (folder / "reward.onnx").write_bytes((folder / "text.onnx").read_bytes())
    names = run("serving.md")
    assert sorted(names["order"]) == [0, 1]
    assert "/rank" in names["app"].openapi()["paths"]


def test_rlhf(folder, exported):
    pytest.importorskip("httpx")
    (folder / "reward.onnx").write_bytes((folder / "text.onnx").read_bytes())
    names = run("rlhf.md")
    assert 0 <= names["rewards"][0] <= 1
    extra = {"question": "What is 2 + 2?"}
    assert names["compute_score"]("log", "4.", None, extra) == pytest.approx(names["rewards"][0])
    compile((folder / "reward_func.py").read_text(), "reward_func.py", "exec")
