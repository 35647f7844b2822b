"""Token batches of text rows, equal to the encoder's, with numpy and tokenizers only."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils._extras import import_extra
from .._utils._hashing import hash_bytes
from ..exceptions import InvalidInputError, ModelDirectoryError
from ..text._conversation import Conversations, Passage, as_conversations
from ..text._parts import RowTexts
from ..text._window import CutTokens, Window, chunks, cut_tokens, token_bounds

EMBEDDING = "sentence_embedding"  # output of a text file's graph


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
        End at which longer texts are cut by the rule "cut".
    pad_id : int
        Token that fills short texts of a batch.
    agreement : dict
        Agreement with the encoder in float32 on a sample of texts: texts (their number), pearson,
        kendall_tau, largest_difference (of rewards) and alone_difference (of a text's reward alone
        and in a batch).
    text : {"pair", "last_turn", "answer", "apart"}
        Text that is read of a row. Files of earlier versions have none, which is "pair".
    long_texts : {"answer_first", "cut"}
        Rule for texts over `max_length`. Files of earlier versions have none, which is "cut".
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
    text: str = "pair"
    long_texts: str = "cut"

    @property
    def apart(self) -> bool:
        """Whether prompt and answer are two texts, whose embeddings the head takes."""
        return self.text == "apart"


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
        self._tokenizer.no_truncation()
        self.window = Window(settings.max_length, settings.long_texts, settings.truncation_side)

    def texts(self, rows: Any) -> RowTexts:
        """Return the texts of rows (see `as_conversations` for the form of rows)."""

        def render(rows: Conversations) -> list[Passage]:
            return [passage.after(self.settings.prefix) for passage in rows.passages()]

        return RowTexts(as_conversations(rows), self.settings.text, render)

    def tokenize(self, passages: list[Passage]) -> CutTokens:
        """Return the tokens of texts, cut by the rule of the file.

        Raises
        ------
        InvalidInputError
            If the tokenizer makes no tokens of a text.
        """
        parts = []
        for some in chunks(passages):
            encodings = self._tokenizer.encode_batch([one.text for one in passages[some]])

            def bounds(i, encodings=encodings, passages=passages[some]):
                one = encodings[i]
                return token_bounds(
                    one.offsets, one.special_tokens_mask, passages[i], self.window.rule
                )

            ids = {"input_ids": [encoding.ids for encoding in encodings]}
            parts.append(cut_tokens(ids, self.window, bounds, np.int64))
        tokens = CutTokens.joined(parts)
        if len(empty := np.flatnonzero(tokens.lengths == 0)):
            raise InvalidInputError(
                f"the model's tokenizer makes no tokens of {len(empty)} texts (first: "
                f"{passages[empty[0]].text[:40]!r}); drop these rows."
            )
        return tokens

    def batch(self, tokens: CutTokens, index: NDArray) -> dict[str, NDArray[np.int64]]:
        """Return the graph's inputs for the texts at `index`, padded on the right."""
        lengths = tokens.lengths[index]
        mask = np.arange(lengths.max()) < lengths[:, None]
        ids = np.full(mask.shape, self.settings.pad_id, dtype=np.int64)
        ids[mask] = np.concatenate([tokens.columns["input_ids"][i] for i in index])
        return {"input_ids": ids, "attention_mask": mask.astype(np.int64)}


def read_tokenizer(tokenizer: Any, settings: TextSettings) -> bytes:
    """Return the content of a text file's tokenizer, given it, its folder or None for this one.

    Raises
    ------
    ModelDirectoryError
        If it is not in the folder.
    """
    if isinstance(tokenizer, bytes):
        return tokenizer
    folder = "." if tokenizer is None else tokenizer
    try:
        return (Path(folder) / settings.tokenizer_file).read_bytes()
    except OSError as error:
        raise ModelDirectoryError(
            f"The tokenizer {settings.tokenizer_file} of this text file cannot be read in "
            f"{folder} ({error.strerror}); copy it there or export again."
        ) from error
