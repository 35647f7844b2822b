"""Texts that an encoder reads of a row: the pair, the answer, the last turn, or both apart."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ._conversation import Conversations, Passage, Turn, is_blank, role_of
from ._window import ANSWER, PROMPT

TEXTS = ("pair", "answer", "last_turn", "apart")
_CHUNK = 8192  # rows whose embeddings are put side by side at a time; bounds temporary copies


class RowTexts:
    """The distinct texts of rows, and the features that their embeddings make.

    Parameters
    ----------
    rows : Conversations
    text : {"pair", "answer", "last_turn", "apart"}
        Text that is read of a row.
    render : callable
        Function from rows to one `Passage` each.

    Attributes
    ----------
    passages : list of Passage
        Distinct texts, with valid Unicode.
    places : ndarray of int, shape (1 or 2, n_rows)
        Position in `passages` of each row's text, or of its prompt (-1 without one) and its answer.
    invalid_count : int
        Number of rows whose text was not valid Unicode.

    Examples
    --------
    >>> rows = Conversations(["2+2?", "2+2?", ""], ["4", "5", "5"])
    >>> texts = RowTexts(rows, "apart", Conversations.passages)
    >>> [passage.text for passage in texts.passages]
    ['2+2?', '4', '5']
    >>> texts.places.tolist()
    [[0, 0, -1], [1, 2, 2]]
    """

    def __init__(
        self, rows: Conversations, text: str, render: Callable[[Conversations], list[Passage]]
    ):
        parts = [(np.arange(len(rows)), render(parts_of(rows, text)))]
        if text == "apart":
            kept, prompts = prompts_alone(rows)
            # A text without an answer keeps its end.
            alone = [passage._replace(answer=passage.end) for passage in render(prompts)]
            parts.insert(0, (np.array(kept, dtype=np.intp), alone))
        position: dict[Passage, int] = {}
        invalid = np.zeros(len(rows), dtype=bool)
        self.places: NDArray[np.intp] = np.full((len(parts), len(rows)), -1, dtype=np.intp)
        for places, (index, passages) in zip(self.places, parts, strict=True):
            valid = [passage.valid() for passage in passages]
            changed = (a is not b for a, b in zip(passages, valid, strict=True))
            invalid[index] |= np.fromiter(changed, dtype=bool, count=len(index))
            places[index] = [position.setdefault(one, len(position)) for one in valid]
        self.passages = list(position)
        self.invalid_count = int(invalid.sum())

    def features(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the features of the rows, from the embeddings (m, d) of the distinct texts.

        One text of a row has its embedding. Prompt and answer apart have both, and their cosine:
        without it a linear reward of the features would order the answers to a question without
        looking at the question.
        """
        if len(self.places) == 1:
            index = self.places[0]
            return vectors if len(vectors) == len(index) else vectors[index]
        n_rows, d = self.places.shape[1], vectors.shape[1]
        X = np.empty((n_rows, n_features("apart", d)), dtype=np.float32)
        for start in range(0, n_rows, _CHUNK):
            of_prompt, of_answer = self.places[:, start : start + _CHUNK]
            prompt = vectors[of_prompt]
            prompt[of_prompt < 0] = 0
            answer = vectors[of_answer]
            some = X[start : start + _CHUNK]
            some[:, :d], some[:, d:-1] = prompt, answer
            lengths = np.linalg.norm(prompt, axis=1) * np.linalg.norm(answer, axis=1)
            product = np.einsum("ij,ij->i", prompt, answer)
            some[:, -1] = product / np.maximum(lengths, np.finfo(np.float32).tiny)
        return X

    def count_shortened(self, flags: NDArray[np.uint8]) -> tuple[int, int]:
        """Return the numbers of rows whose prompt and whose answer the flags of texts mark."""
        of_rows = np.where(self.places >= 0, flags[self.places], 0) if len(flags) else self.places
        prompt, answer = ((of_rows & part).any(axis=0).sum() for part in (PROMPT, ANSWER))
        return int(prompt), int(answer)


def n_features(text: str, dimension: int) -> int:
    """Return the number of features of a row from embeddings of this dimension."""
    return 2 * dimension + 1 if text == "apart" else dimension


def parts_of(rows: Conversations, text: str) -> Conversations:
    """Return rows with as much of each prompt as is read together with the answer.

    Parameters
    ----------
    rows : Conversations
    text : {"pair", "answer", "last_turn", "apart"}
        "pair" keeps prompts, "last_turn" their last message of the user and what follows it;
        "answer" and "apart" empty them.

    Returns
    -------
    Conversations

    Examples
    --------
    >>> chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    >>> rows = Conversations([chat], ["Hello!"])
    >>> for text in TEXTS:
    ...     parts_of(rows, text).texts()
    ['system: Be brief.\\n\\nuser: Hi\\n\\nHello!']
    ['Hello!']
    ['Hi\\n\\nHello!']
    ['Hello!']
    """
    if text == "pair":
        return rows
    if text == "last_turn":
        return Conversations([_last_turn(prompt) for prompt in rows.prompts], rows.completions)
    return Conversations([""] * len(rows), rows.completions)


def prompts_alone(rows: Conversations) -> tuple[list[int], Conversations]:
    """Return the rows that have a prompt, and these prompts as texts of their own.

    Examples
    --------
    >>> prompts_alone(Conversations(["", "Hi"], ["Yes.", "Hello!"]))[1].texts()
    ['Hi']
    """
    kept = [i for i, prompt in enumerate(rows.prompts) if not is_blank(prompt)]
    prompts = [rows.prompts[i] for i in kept]
    turns: list[Turn] = [
        [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        for prompt in prompts
    ]
    return kept, Conversations([[] for _ in turns], turns)


def _last_turn(prompt: Turn) -> Turn:
    if isinstance(prompt, str):
        return prompt
    places = [i for i, message in enumerate(prompt) if role_of(message) == "user"]
    return prompt[places[-1] :] if places else prompt
