"""Models that turn text into vectors: sentence-transformers, or a transformer and a pooling."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache
from threading import RLock
from typing import Any

import numpy as np

from .._utils._extras import import_extra
from ..exceptions import InvalidInputError
from ._conversation import Conversations, Passage
from ._source import ModelSource
from ._tokens import Tokens, n_common, pad_tokens, tokens_of
from ._window import Window

_PURPOSE = "ConversationEncoder"
_OTHER = "\ufffc"  # stands for an answer; no log contains it, and no template strips it


@dataclass(frozen=True)
class BackendSettings:
    """Settings that determine the embeddings of a loaded model."""

    source: ModelSource
    device: str
    dtype: str
    pooling: str
    max_length: int | None
    trust_remote_code: bool


class Backend(ABC):
    """A model whose weights are loaded on first use.

    Attributes
    ----------
    reads_pairs : bool
        Whether the model is trained on prompts with their answers: a decoder or a reward model.
    """

    reads_pairs = False

    def __init__(self, settings: BackendSettings):
        self.settings = settings
        self._lock = RLock()  # fast tokenizers and lazy loading are not safe across threads

    def render(self, conversations: Conversations) -> list[Passage]:
        """Return the text of each conversation; equal passages have equal embeddings."""
        return conversations.passages()

    @abstractmethod
    def tokenize(self, passages: list[Passage], rule: str = "answer_first") -> Tokens:
        """Tokenise the texts; longer ones than the model reads are cut by the rule."""

    @abstractmethod
    def embed(self, tokens: Tokens, index: np.ndarray) -> np.ndarray:
        """Return embeddings of the windows at `index`, as one batch: float32 (len(index), d)."""

    def dimension(self) -> int:
        """Return the number of features."""
        return self.embed(self.tokenize([Passage("a", 0, 0, 1)]), np.array([0])).shape[1]


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

    def tokenize(self, passages: list[Passage], rule: str = "answer_first") -> Tokens:
        with self._lock:
            model = self.model
            texts = [passage.text for passage in passages]
            if not self._is_transformer:  # word vectors and routers have no common token format
                sizes = np.array([1 + len(text) // 4 for text in texts])
                whole = np.zeros(len(texts), np.uint8)
                return Tokens({"text": texts}, sizes, np.arange(len(texts)), whole, {})
            prompt = model.prompts.get(model.default_prompt_name) or ""

            def run(some: list[str]):
                return model.preprocess(
                    some,
                    prompt=prompt or None,
                    processing_kwargs={
                        "text": {"padding": False, "truncation": False, "verbose": False},
                        "common": {"return_tensors": None},
                    },
                )

            window = Window(model.max_seq_length, rule, model.tokenizer.truncation_side)
            return tokens_of(run, passages, window, prompt)

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
        self.reads_pairs = self.is_decoder or _is_reward_model(self.config)
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

    def render(self, conversations: Conversations) -> list[Passage]:
        if not self.uses_template:
            return conversations.passages()
        n_answer = map(_n_messages, conversations.completions)
        chats = zip(conversations.messages(), n_answer, strict=True)
        return [self._from_template(row, *chat) for row, chat in enumerate(chats)]

    def _from_template(self, row: int, messages: list[dict], n_answer: int) -> Passage:
        """Render a chat; find its answer by rendering the same chat with another one."""
        from jinja2 import TemplateError

        other = list(messages)
        for place in {len(messages) - n_answer, len(messages) - 1}:
            other[place] = {**messages[place], "content": _OTHER}
        try:
            text, without = (
                self.tokenizer.apply_chat_template(chat, tokenize=False)
                for chat in (messages, other)
            )
        except TemplateError as error:
            raise InvalidInputError(
                f"the chat template of {self.settings.source.name!r} refuses row {row} "
                f"({error}): bring its roles into the order that the model expects."
            ) from error
        answer = n_common(text, without)
        rest = n_common(text[answer:][::-1], without[answer:][::-1])
        bos = self.tokenizer.bos_token or ""
        begin = len(bos) if text.startswith(bos) else 0
        return Passage(text, begin, max(answer, begin), len(text) - rest)

    def tokenize(self, passages: list[Passage], rule: str = "answer_first") -> Tokens:
        def run(some: list[str]):
            return self.tokenizer(
                some,
                add_special_tokens=not self.uses_template,  # a template writes them itself
                padding=False,
                verbose=False,
            )

        with self._lock:
            window = Window(self.max_length, rule, self.tokenizer.truncation_side)
            return tokens_of(run, passages, window)

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


def _n_messages(turn) -> int:
    return 1 if isinstance(turn, str) else len(turn)


def _is_decoder(config: Any) -> bool:
    from transformers.models.auto import modeling_auto

    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    names = config.architectures or []
    return (config.model_type in causal and config.model_type not in masked) or any(
        name.endswith("ForCausalLM") for name in names
    )


def _is_reward_model(config: Any) -> bool:
    names = config.architectures or []
    return any(name.endswith("ForSequenceClassification") for name in names)


def _pooling(config: Any, is_decoder: bool, pooling: str) -> str:
    if pooling != "auto":
        return pooling
    if is_decoder:
        return "last"
    if _is_reward_model(config):
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
