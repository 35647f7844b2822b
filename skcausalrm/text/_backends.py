"""Models that turn text into vectors: sentence-transformers, or a transformer and a pooling."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache
from os.path import commonprefix
from threading import RLock
from typing import Any

import numpy as np

from .._utils._extras import import_extra
from ..exceptions import InvalidInputError
from ._conversation import Conversations, Passage
from ._source import ModelSource
from ._window import Bounds, CutTokens, Window, chunks, cut_tokens, token_bounds

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


@dataclass(frozen=True)
class Tokens:
    """Windows of tokenised texts, not yet padded.

    Attributes
    ----------
    columns : dict of str to list
        For each input name of the model, one array per window. If the model tokenises by itself,
        the texts under the name ``text``.
    lengths : ndarray of int, shape (n_windows,)
        Number of tokens of each window.
    owner : ndarray of int, shape (n_windows,)
        Position of the text that a window belongs to; 0, 1, 2, ... unless texts have several.
    truncated : ndarray of uint8, shape (n_texts,)
        Bits `PROMPT` and `ANSWER` of the parts that lost tokens.
    extra : dict
        Inputs that are the same for every batch.
    """

    columns: dict[str, list[Any]]
    lengths: np.ndarray
    owner: np.ndarray
    truncated: np.ndarray
    extra: dict[str, Any]


class Backend(ABC):
    """A model whose weights are loaded on first use."""

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

            return _tokens(run, passages, Window(model.max_seq_length, rule), prompt)

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
        pairs = zip(conversations.messages(), map(_n_messages, conversations.completions))
        return [self._from_template(row, *pair) for row, pair in enumerate(pairs)]

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
        answer = len(commonprefix([text, without]))
        rest = commonprefix([text[answer:][::-1], without[answer:][::-1]])
        bos = self.tokenizer.bos_token or ""
        begin = len(bos) if text.startswith(bos) else 0
        return Passage(text, begin, max(answer, begin), len(text) - len(rest))

    def tokenize(self, passages: list[Passage], rule: str = "answer_first") -> Tokens:
        def run(some: list[str]):
            return self.tokenizer(
                some,
                add_special_tokens=not self.uses_template,  # a template writes them itself
                padding=False,
                verbose=False,
            )

        # by "cut" the end stays for last-token pooling: the answer's end carries the reward
        side = "left" if self.pooling == "last" else self.tokenizer.truncation_side
        with self._lock:
            return _tokens(run, passages, Window(self.max_length, rule, side))

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


def _tokens(run, passages: list[Passage], window: Window, prefix: str = "") -> Tokens:
    """Tokenise texts, and cut those that are longer than the window.

    Parameters
    ----------
    run : callable
        Function from texts to the whole tokens of each, which puts `prefix` before each text.
    passages : list of Passage
    window : Window
    prefix : str, default=""

    Returns
    -------
    Tokens
    """
    parts, extra = [], {}
    for some in chunks(passages):
        batch = run([passage.text for passage in passages[some]])
        columns = {}
        for name, values in batch.items():
            if name == "attention_mask":
                continue  # all ones here; pad_tokens makes it
            (columns if isinstance(values, list) else extra)[name] = values
        shifted = [_after(prefix, passage) for passage in passages[some]]
        encodings = getattr(batch, "encodings", None)
        if encodings and extra.get("modality") != "message":

            def bounds(i, encodings=encodings, shifted=shifted):
                found = encodings[i]
                return token_bounds(
                    found.offsets, found.special_tokens_mask, shifted[i], window.rule
                )

        else:

            def bounds(i, ids=columns["input_ids"], some=passages[some]):
                return _counted_bounds(run, ids[i], some[i])

        parts.append(cut_tokens(columns, window, bounds))
    tokens = CutTokens.joined(parts)
    if len(empty := np.flatnonzero(tokens.lengths == 0)):
        first = passages[tokens.owner[empty[0]]].text
        raise InvalidInputError(
            f"the model's tokenizer makes no token of {len(empty)} texts (first: "
            f"{first[:40]!r}): drop these rows."
        )
    return Tokens(*tokens, extra)


def _after(prefix: str, passage: Passage) -> Passage:
    """Return the passage with a prefix of the model before it."""
    return Passage(prefix + passage.text, *(len(prefix) + place for place in passage[1:]))


def _counted_bounds(run, ids: list[int], passage: Passage) -> Bounds:
    """Find the parts of a text by tokenising its beginnings, where tokens have no offsets."""
    empty, before = run(["", passage.text[: passage.answer]])["input_ids"]
    lead = len(commonprefix([ids, empty]))
    marks = len(commonprefix([ids[lead:][::-1], empty[lead:][::-1]]))
    tail = len(ids) - marks
    answer = len(before) - marks
    return Bounds(lead, min(max(answer, lead), tail), tail, len(ids))


def _n_messages(turn) -> int:
    return 1 if isinstance(turn, str) else len(turn)


def pad_tokens(tokens: Tokens, index: np.ndarray, pad_id: int, device: str) -> dict[str, Any]:
    """Return a model's inputs for the windows at `index`, padded on the right."""
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
