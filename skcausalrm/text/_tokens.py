"""Windows of tokenised texts, and batches of them for a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..exceptions import InvalidInputError
from ._conversation import Passage
from ._window import Bounds, CutTokens, Window, chunks, cut_tokens, token_bounds


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


def tokens_of(run, passages: list[Passage], window: Window, prefix: str = "") -> Tokens:
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
    parts, extra = [], dict[str, Any]()
    for some in chunks(passages):
        batch = run([passage.text for passage in passages[some]])
        columns: dict[str, list] = {}
        for name, values in batch.items():
            if name == "attention_mask":
                continue  # all ones here; pad_tokens makes it
            (columns if isinstance(values, list) else extra)[name] = values
        shifted = [passage.after(prefix) for passage in passages[some]]
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


def _counted_bounds(run, ids: list[int], passage: Passage) -> Bounds:
    """Find the parts of a text by tokenising its beginnings, where tokens have no offsets."""
    empty, before = run(["", passage.text[: passage.answer]])["input_ids"]
    lead = n_common(ids, empty)
    marks = n_common(ids[lead:][::-1], empty[lead:][::-1])
    tail = len(ids) - marks
    answer = len(before) - marks
    return Bounds(lead, min(max(answer, lead), tail), tail, len(ids))


def n_common(first: Sequence, second: Sequence) -> int:
    """Return the number of items that two sequences share at their beginning."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(second)))


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
