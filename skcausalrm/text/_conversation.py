"""Rows of text: a prompt and a completion, or a list of chat messages.

All code that reads text rows calls :func:`as_conversations`, so that a DataFrame, a list of pairs,
a list of message lists, and their slices by scikit-learn have one meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .._utils._warnings import warn
from ..exceptions import DataLossWarning, InvalidInputError
from ._messages import as_message, as_plain, has_unread_parts, is_list

__all__ = ["Conversations", "Passage", "as_conversations", "is_blank", "role_of", "valid_unicode"]

Message = Mapping[str, Any]
Turn = str | Sequence[Message]


class Passage(NamedTuple):
    """Text of a row as an encoder reads it, and where its parts lie.

    Attributes
    ----------
    text : str
        The whole text.
    begin : int
        First character of the prompt; before it is a prefix of the model.
    answer : int
        First character of the answer.
    end : int
        First character after the answer; from it on is the end of a chat template.
    """

    text: str
    begin: int
    answer: int
    end: int

    @property
    def key(self) -> str:
        """Text with the places of its parts: equal keys have equal embeddings."""
        return f"{self.begin} {self.answer} {self.end}\n{self.text}"

    def after(self, prefix: str) -> Passage:
        """Return the passage with a prefix of the model before it."""
        return Passage(prefix + self.text, *(len(prefix) + place for place in self[1:]))

    def valid(self) -> Passage:
        """Return the passage with `valid_unicode` text, itself if it is valid."""
        text = valid_unicode(self.text)
        if text is self.text:
            return self
        return Passage(text, *(len(valid_unicode(self.text[:place])) for place in self[1:]))


@dataclass(frozen=True)
class Conversations:
    """Checked text rows: prompts and completions.

    Attributes
    ----------
    prompts : list of (str or list of messages)
        Per row, a string or chat messages ``{"role": ..., "content": ...}``. May be empty.
    completions : list of (str or list of messages)
        Per row, the same; never empty.

    Examples
    --------
    >>> rows = as_conversations([("What is 2 + 2?", "4")])
    >>> rows.texts()
    ['What is 2 + 2?\\n\\n4']
    >>> rows.messages()
    [[{'role': 'user', 'content': 'What is 2 + 2?'}, {'role': 'assistant', 'content': '4'}]]
    """

    prompts: list[Turn]
    completions: list[Turn]

    def __len__(self) -> int:
        return len(self.completions)

    def texts(self) -> list[str]:
        """Render each row as plain text: the prompt, an empty line, the completion.

        A turn of several messages names the role of each (``user: ...``); a turn of one message
        reads like a string. A row with an empty prompt is its completion alone.

        Returns
        -------
        list of str
        """
        return [passage.text for passage in self.passages()]

    def passages(self) -> list[Passage]:
        """Render each row as `texts` does, and tell where its answer lies.

        Returns
        -------
        list of Passage
        """
        return [
            _passage(prompt, completion)
            for prompt, completion in zip(
                map(_turn_text, self.prompts), map(_turn_text, self.completions), strict=True
            )
        ]

    def messages(self) -> list[list[dict[str, Any]]]:
        """Render each row as chat messages, strings as the user's and the assistant's.

        Returns
        -------
        list of list of dict
        """
        return [
            _turn_messages(prompt, "user") + _turn_messages(completion, "assistant")
            for prompt, completion in zip(self.prompts, self.completions, strict=True)
        ]


def as_conversations(rows: Any) -> Conversations:
    """Return checked text rows in one form.

    Parameters
    ----------
    rows : DataFrame, data set, list, Series or ndarray of object
        One of

        - a DataFrame, Hugging Face data set, Arrow or polars table with the columns ``prompt`` and
          ``completion``, or ``messages``, or a list of such records; other columns are ignored;
        - ``(prompt, completion)`` pairs, also as an (n, 2) array;
        - chat-message lists ``[{"role": "user", "content": ...}, ...]`` that end with the
          assistant's answer, which is the completion.

        A prompt or completion is a string or a list of chat messages of OpenAI, LangChain, Gemini,
        ShareGPT or similar form, or an SDK's objects. Only their text is read: a message may have
        none, as one that calls a tool.

    Returns
    -------
    Conversations

    Raises
    ------
    InvalidInputError
        If columns are missing, or rows are of another kind, have no prompt, or have an empty
        completion. Row numbers are positions from 0.

    Warns
    -----
    DataLossWarning
        If messages hold images or other parts without text.

    Examples
    --------
    >>> chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    >>> as_conversations([chat]).texts() == as_conversations([("Hi", "Hello!")]).texts()
    True
    >>> as_conversations([("Hi", " ")])
    Traceback (most recent call last):
    ...
    skcausalrm.exceptions.InvalidInputError: the completion is empty in 1 of 1 rows ...
    """
    if hasattr(rows, "columns") or hasattr(rows, "column_names"):
        prompts, completions = _from_columns(rows)
    else:
        prompts, completions = _from_rows(rows)
    prompts = _checked_turns(prompts, "prompt")
    completions = _checked_turns(completions, "completion")
    _refuse(
        [i for i, turn in enumerate(completions) if is_blank(turn)],
        len(completions),
        "the completion is empty",
        "drop these rows or log the answers",
    )
    if unread := sum(_has_unread_parts(turn) for turn in (*prompts, *completions)):
        warn(
            f"{unread} prompts or completions hold images or other parts without text, which are "
            "not read: describe them in text if the answer depends on them.",
            DataLossWarning,
            "unread-parts",
        )
    return Conversations(prompts, completions)


def valid_unicode(text: str) -> str:
    """Join paired surrogates and replace unpaired ones by U+FFFD.

    Neither tokenizers nor hashes accept unpaired surrogates. A valid text is returned as it is.

    Examples
    --------
    >>> valid_unicode("cut in half: " + chr(0xD83D)) == "cut in half: " + chr(0xFFFD)
    True
    """
    if text.isascii():
        return text
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _from_columns(frame: Any) -> tuple[list, list]:
    # A data set and an Arrow table have `column_names`; their `columns` are something else.
    names = list(getattr(frame, "column_names", None) or frame.columns)
    if "prompt" in names and "completion" in names:
        return _column(frame, "prompt"), _column(frame, "completion")
    if "messages" in names:
        return _split_chats(_column(frame, "messages"))
    raise InvalidInputError(
        f"text rows need the columns 'prompt' and 'completion', or 'messages', but the columns "
        f"are {[str(name) for name in names]}: rename yours."
    )


def _column(frame: Any, name: str) -> list:
    values = frame[name]
    return values.to_pylist() if hasattr(values, "to_pylist") else list(values)


def _from_rows(rows: Any) -> tuple[list, list]:
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise InvalidInputError(
            f"text rows must be a DataFrame, a list of (prompt, completion) pairs or a list of "
            f"chat-message lists, not a single {type(rows).__name__}: put it in a list."
        )
    rows = list(map(as_plain, rows))
    if rows and all(map(_is_record, rows)):
        if all("messages" in row for row in rows):
            return _split_chats([row["messages"] for row in rows])
        return [row["prompt"] for row in rows], [row["completion"] for row in rows]
    chats = [_is_chat(row) for row in rows]
    if rows and all(chats):
        return _split_chats(rows)
    _refuse(
        [i for i, row in enumerate(rows) if not _is_pair(row)],
        len(rows),
        "the row is neither a (prompt, completion) pair nor, like all others, a chat-message list",
        "pass one kind for all rows",
    )
    return [row[0] for row in rows], [row[1] for row in rows]


def _split_chats(chats: list) -> tuple[list, list]:
    _refuse(
        [i for i, chat in enumerate(chats) if not _is_chat(chat)],
        len(chats),
        "messages is not a list of {'role', 'content'} messages of text",
        "drop or repair these rows",
    )
    _refuse(
        [i for i, chat in enumerate(chats) if role_of(chat[-1]) != "assistant"],
        len(chats),
        "the last message is not the assistant's",
        "end every conversation with the answer that was rated",
    )
    return [list(chat[:-1]) for chat in chats], [list(chat[-1:]) for chat in chats]


def _checked_turns(turns: list, name: str) -> list:
    if set(map(type, turns)) <= {str}:
        return turns
    _refuse(
        [i for i, turn in enumerate(turns) if _is_missing(turn)],
        len(turns),
        f"the {name} is missing",
        "drop these rows" + (" or log an empty string" if name == "prompt" else ""),
    )
    _refuse(
        [
            i
            for i, turn in enumerate(turns)
            if not isinstance(turn, str) and not _is_chat(turn, allow_empty=True)
        ],
        len(turns),
        f"the {name} is neither a string nor a list of {{'role', 'content'}} messages of text",
        "convert it",
    )
    return [turn if isinstance(turn, str) else list(turn) for turn in turns]


def _is_missing(value: Any) -> bool:
    """Return True if pandas treats the value as missing, without importing pandas."""
    if isinstance(value, float | np.floating):
        return bool(np.isnan(value))
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _is_record(value: Any) -> bool:
    return isinstance(value, Mapping) and (
        "messages" in value or ("prompt" in value and "completion" in value)
    )


def _is_chat(value: Any, *, allow_empty: bool = False) -> bool:
    return is_list(value) and (allow_empty or len(value) > 0) and all(map(_is_message, value))


def _is_message(value: Any) -> bool:
    return as_message(value) is not None


def _has_unread_parts(turn: Turn) -> bool:
    return not isinstance(turn, str) and any(map(has_unread_parts, turn))


def _is_pair(value: Any) -> bool:
    return is_list(value) and len(value) == 2 and not any(isinstance(v, Mapping) for v in value)


def is_blank(turn: Turn) -> bool:
    """Return True if a prompt or completion has no text.

    Examples
    --------
    >>> is_blank(" "), is_blank([{"role": "assistant", "content": "4"}])
    (True, False)
    """
    text = turn if isinstance(turn, str) else "".join(_content(message) for message in turn)
    return not text or text.isspace()


def _passage(prompt: str, completion: str) -> Passage:
    text = f"{prompt}\n\n{completion}" if prompt else completion
    return Passage(text, 0, len(text) - len(completion), len(text))


def _turn_text(turn: Turn) -> str:
    if isinstance(turn, str):
        return turn
    if len(turn) == 1:
        return _content(turn[0])
    return "\n\n".join(f"{role_of(message)}: {_content(message)}" for message in turn)


def _turn_messages(turn: Turn, role: str) -> list[dict[str, Any]]:
    if isinstance(turn, str):
        return [{"role": role, "content": turn}]
    return [{**as_plain(message), **(as_message(message) or {})} for message in turn]


def role_of(message: Message) -> str:
    """Return the role of a message by its common name."""
    return (as_message(message) or {"role": ""})["role"]


def _content(message: Message) -> str:
    return (as_message(message) or {"content": ""})["content"]


def _refuse(rows: Sequence[int], n_rows: int, problem: str, cure: str) -> None:
    if rows:
        raise InvalidInputError(
            f"{problem} in {len(rows)} of {n_rows} rows (first: row {rows[0]}): {cure}."
        )
