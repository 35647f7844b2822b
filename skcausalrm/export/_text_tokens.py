"""Token batches of text rows, equal to the encoder's, with numpy and tokenizers only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._utils._extras import import_extra
from .._utils._hashing import hash_bytes
from ..exceptions import InvalidInputError, ModelDirectoryError
from ..text._conversation import as_conversations, valid_unicode


@dataclass(frozen=True)
class TextSettings:
    """Settings of a text file's input, kept as JSON in its metadata.

    Attributes
    ----------
    tokenizer_file : str
        Name of the tokenizer file next to the ONNX file.
    tokenizer_sha256 : str
        Checksum of the tokenizer file.
    encoder : str
        Name of the encoder.
    precision : str
        Precision of the encoder's weights.
    prefix : str
        Text that the encoder puts before every text.
    max_length : int
        Maximum tokens of a text.
    truncation_side : {"right", "left"}
        End at which longer texts are cut.
    pad_id : int
        Token that fills short texts of a batch.
    agreement : dict
        Agreement with the encoder in float32 on a sample of texts: texts (their number), pearson,
        kendall_tau, largest_difference (of rewards) and alone_difference (of a text's reward alone
        and in a batch).
    """

    tokenizer_file: str
    tokenizer_sha256: str
    encoder: str
    precision: str
    prefix: str
    max_length: int
    truncation_side: str
    pad_id: int
    agreement: dict[str, Any]


class TokenizedTexts(NamedTuple):
    """Tokens of distinct texts, not yet padded.

    Attributes
    ----------
    ids : list of ndarray of int64
        Tokens of each text after truncation.
    lengths : ndarray of int64
        Number of tokens of each text.
    truncated : ndarray of bool
        Whether each text was cut.
    """

    ids: list[NDArray[np.int64]]
    lengths: NDArray[np.int64]
    truncated: NDArray[np.bool_]


class TextTokenizer:
    """Tokenizer of a text file, which makes the tokens of its encoder. Threads may share it.

    Parameters
    ----------
    content : bytes
        Content of a ``tokenizer.json`` of the tokenizers package.
    settings : TextSettings
        Settings of the text file.

    Raises
    ------
    ModelDirectoryError
        If the checksum of `content` is not that of the settings.
    MissingExtraError
        If tokenizers is not installed.
    """

    def __init__(self, content: bytes, settings: TextSettings):
        tokenizers = import_extra("tokenizers", extra="cpu", purpose="Scoring text")
        if hash_bytes(content) != settings.tokenizer_sha256:
            raise ModelDirectoryError(
                f"{settings.tokenizer_file} ({len(content)} bytes) is not the tokenizer that the "
                f"ONNX model was exported with; restore it or export again."
            )
        self.settings = settings
        self._tokenizer = tokenizers.Tokenizer.from_str(content.decode())
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(settings.max_length, direction=settings.truncation_side)

    def texts(self, rows: Any) -> list[str]:
        """Return the text of each row (see `as_conversations` for the form of rows)."""
        prefix = self.settings.prefix
        return [valid_unicode(prefix + text) for text in as_conversations(rows).texts()]

    def tokenize(self, texts: list[str]) -> TokenizedTexts:
        """Return the tokens of texts, truncated.

        Raises
        ------
        InvalidInputError
            If the tokenizer makes no tokens of a text.
        """
        encodings = self._tokenizer.encode_batch(texts)
        ids = [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]
        lengths = np.array([len(tokens) for tokens in ids], dtype=np.int64)
        if len(empty := np.flatnonzero(lengths == 0)):
            raise InvalidInputError(
                f"the model's tokenizer makes no tokens of {len(empty)} texts (first: "
                f"{texts[empty[0]][:40]!r}); drop these rows."
            )
        return TokenizedTexts(ids, lengths, np.array([bool(e.overflowing) for e in encodings]))

    def batch(self, tokens: TokenizedTexts, index: NDArray) -> dict[str, NDArray[np.int64]]:
        """Return the graph's inputs for the texts at `index`, padded on the right."""
        lengths = tokens.lengths[index]
        mask = np.arange(lengths.max()) < lengths[:, None]
        ids = np.full(mask.shape, self.settings.pad_id, dtype=np.int64)
        ids[mask] = np.concatenate([tokens.ids[i] for i in index])
        return {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
