"""Models that turn text into vectors: sentence-transformers, or a transformer and a pooling."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache
from threading import RLock
from typing import Any

import numpy as np

from .._utils._extras import import_extra
from ..exceptions import InvalidInputError
from ._conversation import Conversations
from ._source import ModelSource

_PURPOSE = "ConversationEncoder"


@dataclass(frozen=True)
class BackendSettings:
    """Settings that determine the embeddings of a loaded model."""

    source: ModelSource
    device: str
    dtype: str
    pooling: str
    max_length: int | None
    trust_remote_code: bool


@dataclass(frozen=True)
class Tokens:
    """Tokenised texts, not yet padded.

    Attributes
    ----------
    columns : dict of str to list
        For each input name of the model, one array per text. If the model tokenises by itself,
        the texts under the name ``text``.
    lengths : ndarray of int, shape (n,)
        Number of tokens of each text after truncation.
    truncated : ndarray of bool, shape (n,)
        True for texts that lost tokens.
    extra : dict
        Inputs that are the same for every batch.
    """

    columns: dict[str, list[Any]]
    lengths: np.ndarray
    truncated: np.ndarray
    extra: dict[str, Any]


class Backend(ABC):
    """A model whose weights are loaded on first use."""

    def __init__(self, settings: BackendSettings):
        self.settings = settings
        self._lock = RLock()  # fast tokenizers and lazy loading are not safe across threads

    def render(self, conversations: Conversations) -> list[str]:
        """Return the text of each conversation; equal texts have equal embeddings."""
        return conversations.texts()

    @abstractmethod
    def tokenize(self, texts: list[str]) -> Tokens:
        """Tokenise the texts, truncated to the longest input of the model."""

    @abstractmethod
    def embed(self, tokens: Tokens, index: np.ndarray) -> np.ndarray:
        """Return embeddings of the texts at `index`, as one batch: float32 (len(index), d)."""

    def dimension(self) -> int:
        """Return the number of features."""
        return self.embed(self.tokenize(["a"]), np.array([0])).shape[1]


class SentenceTransformersBackend(Backend):
    """A sentence-transformers checkpoint with its own prompt, pooling and normalisation."""

    @cached_property
    def model(self):
        library = import_extra("sentence_transformers", extra="text", purpose=_PURPOSE)
        settings = self.settings
        model = library.SentenceTransformer(
            settings.source.location,
            revision=settings.source.commit,
            device=settings.device,
            trust_remote_code=settings.trust_remote_code,
            model_kwargs={"dtype": settings.dtype},
        ).eval()
        if settings.max_length is not None:
            _check_positions(settings, model.config)
            model.max_seq_length = settings.max_length
        return model

    @cached_property
    def _is_transformer(self) -> bool:
        from sentence_transformers.base.modules import Transformer

        return isinstance(self.model[0], Transformer)

    def tokenize(self, texts: list[str]) -> Tokens:
        with self._lock:
            model = self.model
            if not self._is_transformer:  # word vectors and routers have no common token format
                sizes = np.array([1 + len(text) // 4 for text in texts])
                return Tokens({"text": texts}, sizes, np.zeros(len(texts), bool), {})
            prompt = model.prompts.get(model.default_prompt_name)

            def run(some: list[str], truncation: bool):
                return model.preprocess(
                    some,
                    prompt=prompt,
                    processing_kwargs={
                        "text": {"padding": False, "truncation": truncation},
                        "common": {"return_tensors": None},
                    },
                )

            return _tokens(run, texts, model.max_seq_length)

    def embed(self, tokens: Tokens, index: np.ndarray) -> np.ndarray:
        import torch

        if "text" in tokens.columns:
            texts = [tokens.columns["text"][i] for i in index]
            return self.model.encode(
                texts, batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True
            ).astype(np.float32, copy=False)
        model = self.model
        pad_id = model.tokenizer.pad_token_id or 0
        batch = pad_tokens(tokens, index, pad_id, self.settings.device)
        with torch.inference_mode():
            vectors = model({**batch, **tokens.extra})["sentence_embedding"]
            return vectors.float().cpu().numpy()


class TransformersBackend(Backend):
    """A bare transformer whose last hidden states are pooled here.

    Batches are padded on the right, whatever the tokenizer prefers, and pooled by their true
    lengths. Positions then count from the first token, no causal token attends to padding, and
    the padding token may be one that texts use.
    """

    def __init__(self, settings: BackendSettings):
        super().__init__(settings)
        library = import_extra("transformers", extra="text", purpose=_PURPOSE)
        source = settings.source
        self._origin = {
            "revision": source.commit,
            "trust_remote_code": settings.trust_remote_code,
        }
        self.config = library.AutoConfig.from_pretrained(source.location, **self._origin)
        if self.config.is_encoder_decoder:
            raise ValueError(
                f"model={source.name!r} is an encoder-decoder, which has no single pooling: use "
                "a sentence-transformers checkpoint of it."
            )
        _check_positions(settings, self.config)
        self.is_decoder = _is_decoder(self.config)
        self.pooling = _pooling(self.config, self.is_decoder, settings.pooling)
        self.tokenizer = library.AutoTokenizer.from_pretrained(source.location, **self._origin)
        if self.pooling == "last":
            self.tokenizer.truncation_side = "left"  # the answer's end carries the reward
        self.uses_template = self.is_decoder and bool(self.tokenizer.chat_template)
        self.max_length = settings.max_length or _longest_input(self.config, self.tokenizer)

    @cached_property
    def model(self):
        library = import_extra("transformers", extra="text", purpose=_PURPOSE)
        model = library.AutoModel.from_pretrained(
            self.settings.source.location, dtype=self.settings.dtype, **self._origin
        )
        model.config.use_cache = False
        return model.eval().to(self.settings.device)

    def render(self, conversations: Conversations) -> list[str]:
        if not self.uses_template:
            return conversations.texts()
        from jinja2 import TemplateError

        rendered = []
        for row, messages in enumerate(conversations.messages()):
            try:
                rendered.append(self.tokenizer.apply_chat_template(messages, tokenize=False))
            except TemplateError as error:
                raise InvalidInputError(
                    f"the chat template of {self.settings.source.name!r} refuses row {row} "
                    f"({error}): bring its roles into the order that the model expects."
                ) from error
        return rendered

    def tokenize(self, texts: list[str]) -> Tokens:
        def run(some: list[str], truncation: bool):
            return self.tokenizer(
                some,
                add_special_tokens=not self.uses_template,  # a template writes them itself
                truncation=truncation,
                max_length=self.max_length if truncation else None,
                padding=False,
            )

        with self._lock:
            return _tokens(run, texts, self.max_length)

    def embed(self, tokens: Tokens, index: np.ndarray) -> np.ndarray:
        import torch

        batch = pad_tokens(tokens, index, self.tokenizer.pad_token_id or 0, self.settings.device)
        with self._lock:
            model = self.model
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state
            pooled = pool(hidden, batch["attention_mask"], self.pooling)
            return pooled.float().cpu().numpy()


def pool(hidden, mask, pooling: str):
    """Return one vector per text (n, d) of hidden states (n, l, d) that are padded on the right."""
    import torch

    if pooling == "cls":
        return hidden[:, 0]
    lengths = mask.sum(1)
    if pooling == "last":
        return hidden[torch.arange(hidden.shape[0], device=hidden.device), lengths - 1]
    return (hidden.float() * mask.unsqueeze(-1)).sum(1) / lengths.unsqueeze(-1)


_loading = RLock()  # lru_cache alone lets two threads load one model twice


def load_backend(settings: BackendSettings) -> Backend:
    """Return the model for these settings.

    The latest model is kept, so that the candidates of a grid search load it once. An encoder
    holds on to the model that it used.
    """
    with _loading:
        return _latest_backend(settings)


@lru_cache(maxsize=1)
def _latest_backend(settings: BackendSettings) -> Backend:
    # An explicit pooling reads the bare transformer under sentence-transformers' modules.
    own_modules = settings.source.is_sentence_transformer and settings.pooling == "auto"
    return SentenceTransformersBackend(settings) if own_modules else TransformersBackend(settings)


def unload_models() -> None:
    """Remove the encoder model that this process keeps from memory.

    Encoders that used a model and are still alive keep it until they are deleted.

    Examples
    --------
    >>> from skcausalrm.text import unload_models
    >>> unload_models()
    """
    _latest_backend.cache_clear()


def _tokens(run, texts: list[str], max_length: int | None) -> Tokens:
    batch = run(texts, True)
    columns, extra = {}, {}
    for name, values in batch.items():
        if name == "attention_mask":
            continue  # all ones here; pad_tokens makes it
        if isinstance(values, list):
            columns[name] = [np.asarray(ids, dtype=np.int32) for ids in values]
        else:
            extra[name] = values
    lengths = np.array([len(ids) for ids in columns["input_ids"]], dtype=np.int64)
    if len(empty := np.flatnonzero(lengths == 0)):
        raise InvalidInputError(
            f"the model's tokenizer makes no token of {len(empty)} texts (first: "
            f"{texts[empty[0]][:40]!r}): drop these rows."
        )
    encodings = getattr(batch, "encodings", None)
    if encodings:
        truncated = np.array([bool(encoding.overflowing) for encoding in encodings])
    else:  # a tokenizer in Python does not report truncation
        truncated = lengths == max_length
        full = np.flatnonzero(truncated)
        if len(full):
            whole = run([texts[i] for i in full], False)["input_ids"]
            truncated[full] = np.array([len(ids) for ids in whole]) > lengths[full]
    return Tokens(columns, lengths, truncated, extra)


def pad_tokens(tokens: Tokens, index: np.ndarray, pad_id: int, device: str) -> dict[str, Any]:
    """Return a model's inputs for the texts at `index`, padded on the right."""
    import torch

    lengths = tokens.lengths[index]
    mask = np.arange(lengths.max()) < lengths[:, None]
    batch = {"attention_mask": mask.astype(np.int64)}
    for name, rows in tokens.columns.items():
        values = np.full(mask.shape, pad_id if name == "input_ids" else 0, dtype=np.int64)
        values[mask] = np.concatenate([rows[i] for i in index])
        batch[name] = values
    return {name: torch.from_numpy(values).to(device) for name, values in batch.items()}


def _is_decoder(config: Any) -> bool:
    from transformers.models.auto import modeling_auto

    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    names = config.architectures or []
    return (config.model_type in causal and config.model_type not in masked) or any(
        name.endswith("ForCausalLM") for name in names
    )


def _pooling(config: Any, is_decoder: bool, pooling: str) -> str:
    if pooling != "auto":
        return pooling
    if is_decoder:
        return "last"
    names = config.architectures or []
    if any(name.endswith("ForSequenceClassification") for name in names):
        return "mean" if getattr(config, "classifier_pooling", "cls") == "mean" else "cls"
    return "mean"


def _position_limit(config: Any) -> int | None:
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def _longest_input(config: Any, tokenizer: Any) -> int:
    limits = [tokenizer.model_max_length, _position_limit(config)]
    known = [limit for limit in limits if limit is not None and 0 < limit < 10**9]
    if not known:
        raise ValueError(
            f"model={config.name_or_path!r} does not state its longest input: set max_length."
        )
    return int(min(known))


def _check_positions(settings: BackendSettings, config: Any) -> None:
    limit = (config and _position_limit(config)) or 0
    if 0 < limit < (settings.max_length or 0):
        raise ValueError(
            f"max_length={settings.max_length} is more than the {limit} positions of "
            f"model={settings.source.name!r}: lower it."
        )
