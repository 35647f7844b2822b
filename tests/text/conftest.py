"""Tiny, randomly initialised checkpoints of each kind that the encoder reads."""

import pytest

CHAT_TEMPLATE = (
    "{{ '<s>' }}{% for m in messages %}{% if m['role'] == 'tool' %}"
    "{{ raise_exception('no tools here') }}{% endif %}"
    "{{ m['role'] + ': ' + m['content'] + '</s>' }}{% endfor %}"
)


def byte_tokenizer(folder, *, bert=False, padding_side="right", chat_template=None):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    specials = ["[CLS]", "[SEP]", "[PAD]"] if bert else ["<s>", "</s>"]
    vocab = {token: i for i, token in enumerate([*specials, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if bert:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
        )
        names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    else:
        names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}  # pad == eos
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, padding_side=padding_side, **names)
    fast.chat_template = chat_template
    fast.save_pretrained(folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Folders of tiny checkpoints by kind."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    root = tmp_path_factory.mktemp("tiny")
    sizes = {
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 512,
    }
    llama = transformers.LlamaConfig(**sizes, pad_token_id=1, bos_token_id=0, eos_token_id=1)
    bert = transformers.BertConfig(**sizes, pad_token_id=2)
    llama_reward = transformers.LlamaConfig(**llama.to_dict() | {"num_labels": 1})
    bert_reward = transformers.BertConfig(**bert.to_dict() | {"num_labels": 1})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        models = {
            "llama": transformers.LlamaForCausalLM(llama),
            "llama-base": transformers.LlamaModel(llama),
            "llama-reward": transformers.LlamaForSequenceClassification(llama_reward),
            "bert": transformers.BertModel(bert),
            "bert-reward": transformers.BertForSequenceClassification(bert_reward),
        }
    for name, model in models.items():
        model.save_pretrained(root / name)
        if name.startswith("bert"):
            byte_tokenizer(root / name, bert=True)
        elif name == "llama-base":
            byte_tokenizer(root / name)
        else:
            byte_tokenizer(root / name, padding_side="left", chat_template=CHAT_TEMPLATE)
    return {name: root / name for name in models}


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
