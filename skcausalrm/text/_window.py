"""The rule by which prompt and answer share the tokens that an encoder reads.

Python's back ends and the scorer of ONNX text files both call :func:`cut_tokens`, which needs
numpy alone. `RULES` are stored in files and cache keys: the meaning of a name never changes.

``answer_first``
    The answer is kept before the prompt. If both fit, nothing is cut. Otherwise the answer is
    whole and the prompt keeps its end: its last turn first, a system prompt last. An answer that
    is too long by itself keeps its beginning and its end, half of the window each, and the prompt
    is lost. Marks around the text (special tokens, a model's own prefix, the end of a chat
    template) are always kept.
``windows``
    As ``answer_first``, but an answer that is too long by itself is split into windows of equal
    size, whose embeddings are averaged.
``cut``
    The text loses its end; with last-token pooling its beginning. This is the rule of files and
    model directories that state none.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._utils._warnings import warn
from ..exceptions import DataLossWarning
from ._conversation import Passage

RULES = ("answer_first", "windows", "cut")
# Bits of CutTokens.truncated and of the embedding cache.
PROMPT, ANSWER = 1, 2
# Share of shortened prompts above which a warning is raised. Long logs have some long prompts,
# and their ends are read; a shortened answer always warns.
_PROMPT_SHARE = 0.1
# Maximum characters tokenised at a time, which bounds the memory of tokens before they are cut.
_CHUNK_CHARACTERS = 2_000_000


class Bounds(NamedTuple):
    """Positions of the parts of a text among its tokens.

    Attributes
    ----------
    lead : int
        First token of the prompt; before it are marks.
    answer : int
        First token of the answer.
    tail : int
        First token of the marks after the answer.
    size : int
        Number of tokens.
    """

    lead: int
    answer: int
    tail: int
    size: int


@dataclass(frozen=True)
class Window:
    """Tokens that an encoder reads of a text.

    Parameters
    ----------
    size : int
        Maximum number of tokens, marks included.
    rule : {"answer_first", "windows", "cut"}, default="answer_first"
        Rule for longer texts; see the module.
    side : {"right", "left"}, default="right"
        End that the rule "cut" removes.

    Examples
    --------
    Ten tokens: a mark, five of the prompt, three of the answer, a mark.

    >>> bounds = Bounds(lead=1, answer=6, tail=9, size=10)
    >>> Window(7).kept(bounds)
    [array([0, 4, 5, 6, 7, 8, 9])]
    >>> Window(4).kept(bounds)
    [array([0, 6, 8, 9])]
    >>> Window(4, "windows").kept(bounds)
    [array([0, 5, 6, 9]), array([0, 7, 8, 9])]
    >>> Window(7, "cut").kept(bounds)
    [array([0, 1, 2, 3, 4, 5, 9])]
    """

    size: int
    rule: str = "answer_first"
    side: str = "right"

    def kept(self, bounds: Bounds) -> list[NDArray[np.intp]]:
        """Return the positions of the tokens that are read, one array per window.

        Parameters
        ----------
        bounds : Bounds
            Parts of a text that is longer than the window.

        Returns
        -------
        list of ndarray of int
            One array, or several by the rule "windows".
        """
        lead, answer, tail, size = bounds
        room = self.size - lead - (size - tail)
        if room <= 0:  # the marks alone fill the window
            return [np.arange(self.size)]
        if self.rule == "cut":
            first = lead if self.side == "right" else tail - room
            return [np.r_[:lead, first : first + room, tail:size]]
        spare = room - (tail - answer)
        if spare >= 0:
            return [np.r_[:lead, answer - spare : size]]
        if self.rule == "answer_first":
            end = room // 2
            return [np.r_[:lead, answer : answer + room - end, tail - end : size]]
        n_windows = -(-(tail - answer) // room)
        edges = np.linspace(answer, tail, n_windows + 1).astype(int)
        return [
            np.r_[:lead, max(lead, answer - room + b - a) : answer, a:b, tail:size]
            for a, b in itertools.pairwise(edges)
        ]


class CutTokens(NamedTuple):
    """Tokens of texts after the rule.

    Attributes
    ----------
    columns : dict of str to list of ndarray
        For each input name of the model, one array per window.
    lengths : ndarray of int, shape (n_windows,)
        Number of tokens of each window.
    owner : ndarray of int, shape (n_windows,)
        Position of the text that a window belongs to, in order.
    truncated : ndarray of uint8, shape (n_texts,)
        Bits `PROMPT` and `ANSWER` of the parts that lost tokens.
    """

    columns: dict[str, list[NDArray]]
    lengths: NDArray[np.int64]
    owner: NDArray[np.intp]
    truncated: NDArray[np.uint8]

    @classmethod
    def joined(cls, parts: Sequence[CutTokens]) -> CutTokens:
        """Return the tokens of consecutive runs of texts as one."""
        if len(parts) == 1:
            return parts[0]
        sizes = [len(part.truncated) for part in parts]
        columns: dict[str, list[NDArray]] = {"input_ids": []}
        for part in parts:
            for name, rows in part.columns.items():
                columns.setdefault(name, []).extend(rows)
        return cls(
            columns,
            np.concatenate([np.empty(0, np.int64), *(part.lengths for part in parts)]),
            np.concatenate(
                [
                    np.empty(0, np.intp),
                    *(part.owner + sum(sizes[:i]) for i, part in enumerate(parts)),
                ]
            ),
            np.concatenate([np.empty(0, np.uint8), *(part.truncated for part in parts)]),
        )


def cut_tokens(
    columns: Mapping[str, Sequence[Any]],
    window: Window,
    bounds_of: Callable[[int], Bounds],
    dtype: Any = np.int32,
) -> CutTokens:
    """Apply the rule of a window to whole tokenised texts.

    Parameters
    ----------
    columns : mapping of str to sequence
        Tokens of the whole texts by input name, "input_ids" among them.
    window : Window
    bounds_of : callable
        Function from a text's position to its bounds; called for texts that do not fit.
    dtype : dtype, default=int32
        Integers of the result.

    Returns
    -------
    CutTokens
    """
    ids = columns["input_ids"]
    lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    truncated = np.zeros(len(ids), np.uint8)
    long = np.flatnonzero(lengths > window.size)
    kept: dict[int, list[NDArray[np.intp]]] = {}
    for i in long.tolist():
        bounds = bounds_of(i)
        kept[i] = window.kept(bounds)
        truncated[i] = _parts_lost(bounds, kept[i])
    n_windows = np.ones(len(ids), np.intp)
    n_windows[long] = [len(kept[i]) for i in long.tolist()]
    cut = {
        name: [
            part
            for i, tokens in enumerate(rows)
            for part in _windows(np.asarray(tokens, dtype=dtype), kept.get(i))
        ]
        for name, rows in columns.items()
    }
    sizes = np.fromiter(map(len, cut["input_ids"]), np.int64, int(n_windows.sum()))
    return CutTokens(cut, sizes, np.repeat(np.arange(len(ids)), n_windows), truncated)


def token_bounds(offsets: Any, special: Any, passage: Passage, rule: str) -> Bounds:
    """Find the parts of a text among its tokens.

    Parameters
    ----------
    offsets : array-like of int, shape (n, 2)
        First character of each token, and the one after its last.
    special : array-like of bool, shape (n,)
        True for tokens that the tokenizer added.
    passage : Passage
        Text that was tokenised.
    rule : str
        Rule of the window. For "cut" a prefix and the end of a template are no marks.

    Returns
    -------
    Bounds
    """
    starts, ends = np.asarray(offsets, dtype=np.int64).reshape(-1, 2).T
    size = len(starts)
    inside = np.flatnonzero(~np.asarray(special, dtype=bool))
    if not len(inside):
        return Bounds(size, size, size, size)
    after = int(inside[-1]) + 1

    def first(condition: NDArray[np.bool_]) -> int:
        hits = np.flatnonzero(condition)
        return int(inside[hits[0]]) if len(hits) else after

    starts, ends = starts[inside], ends[inside]
    answer = first(ends > passage.answer)
    if rule == "cut":
        return Bounds(int(inside[0]), answer, after, size)
    lead, tail = first(ends > passage.begin), first(starts >= passage.end)
    return Bounds(lead, min(max(answer, lead), tail), tail, size)


def chunks(passages: Sequence[Passage]) -> Iterator[slice]:
    """Split texts into runs that are tokenised together.

    Examples
    --------
    >>> list(chunks([Passage("a", 0, 0, 1)] * 3))
    [slice(0, 3, None)]
    """
    start = total = 0
    for i, passage in enumerate(passages):
        if total and total + len(passage.text) > _CHUNK_CHARACTERS:
            yield slice(start, i)
            start, total = i, 0
        total += len(passage.text)
    if start < len(passages):
        yield slice(start, len(passages))


def warn_truncated(n_prompts: int, n_answers: int, n_rows: int, size: int | None) -> None:
    """Warn if any answer, or more than a tenth of the prompts, was shortened."""
    limit = "the model's own limit" if size is None else f"max_length={size}"
    if n_answers:
        warn(
            f"{n_answers} of {n_rows} answers are longer than the encoder reads ({limit}) and were "
            f"shortened (prompts shortened: {n_prompts}): raise max_length, choose a model that "
            "reads more, or set long_texts='windows'.",
            DataLossWarning,
            "truncated-text",
        )
    elif n_prompts > _PROMPT_SHARE * n_rows:
        warn(
            f"{n_prompts} of {n_rows} prompts were shortened, because the encoder reads the answer "
            f"first and then as much of the prompt as fits ({limit}): if more of them matters, "
            "raise max_length or choose a model that reads more.",
            DataLossWarning,
            "truncated-text",
        )


def _windows(tokens: NDArray, kept: list[NDArray[np.intp]] | None) -> list[NDArray]:
    return [tokens] if kept is None else [tokens[positions] for positions in kept]


def _parts_lost(bounds: Bounds, kept: list[NDArray[np.intp]]) -> int:
    read = np.unique(np.concatenate(kept))
    lead, answer, tail = np.searchsorted(read, bounds[:3])
    lost = PROMPT * (answer - lead < bounds.answer - bounds.lead)
    return lost | ANSWER * (tail - answer < bounds.tail - bounds.answer)
