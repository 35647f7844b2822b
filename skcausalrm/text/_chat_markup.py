"""Prompts and answers read from the rendered strings that RLHF trainers send."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ._conversation import is_blank

# Reward of an answer without text, which no model was fitted on: the smallest probability.
EMPTY_REWARD = 0.0

# Role and content of a turn in the templates of most models: ChatML (Qwen and others), Llama 3,
# Gemma. The role of the model's turn is "assistant" or "model".
_TURNS = [
    re.compile(rf"{begin}(\w+){named}(.*?)(?:{end}|(?={begin})|$)", re.DOTALL)
    for begin, named, end in (
        (r"<\|im_start\|>", r"\n", r"<\|im_end\|>\n?"),
        (r"<\|start_header_id\|>", r"<\|end_header_id\|>\n\n", r"<\|eot_id\|>"),
        ("<start_of_turn>", r"\n", r"<end_of_turn>\n?"),
    )
]
_SPECIAL = re.compile(
    r"<\|[\w.-]{1,40}\|>|</?s>|<(?:pad|bos|eos|unk|start_of_turn|end_of_turn)>|"
    r"\[(?:PAD|CLS|SEP|MASK|BOS|EOS)\]"
)


def without_special_tokens(text: str) -> str:
    """Return a text without tokens that mark its structure, such as ``<|im_end|>`` and ``</s>``.

    Parameters
    ----------
    text : str
        Text as a template rendered it.

    Returns
    -------
    str
        The text without special tokens and without white space at its ends.

    Examples
    --------
    >>> without_special_tokens("<s>Four.</s><pad>")
    'Four.'
    """
    return _SPECIAL.sub("", text).strip()


def split_query(query: str, prompt: str | None = None) -> tuple[Any, Any]:
    """Split a string that holds prompt and answer.

    If the string has the markup of ChatML, Llama 3 or Gemma and ends with the model's turn, the
    turns are read from it. Otherwise, if it begins with `prompt`, it is split there. Otherwise all
    of it is the answer to an empty prompt. Special tokens are dropped in every case.

    Parameters
    ----------
    query : str
        Prompt and answer, as the trainer's template rendered them.
    prompt : str, default=None
        The prompt alone, rendered in the same way; None if it is unknown.

    Returns
    -------
    prompt : str or list of messages
        The prompt, empty if it cannot be found.
    completion : str or list of messages
        The answer.

    Examples
    --------
    >>> split_query("<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\nHello!<|im_end|>\\n")
    ([{'role': 'user', 'content': 'Hi'}], [{'role': 'assistant', 'content': 'Hello!'}])
    >>> split_query("<s>Q: Hi A: Hello!</s>", "<s>Q: Hi A:")
    ('Q: Hi A:', 'Hello!')
    """
    for pattern in _TURNS:
        turns = [
            {
                "role": "assistant" if role == "model" else role,
                "content": without_special_tokens(content),
            }
            for role, content in pattern.findall(query)
        ]
        if turns and turns[-1]["role"] == "assistant":
            return turns[:-1], turns[-1:]
    if prompt and query.startswith(prompt):
        return without_special_tokens(prompt), without_special_tokens(query[len(prompt) :])
    return "", without_special_tokens(query)


def positions_with_text(rows: Sequence[tuple[Any, Any]]) -> list[int]:
    """Return the positions of (prompt, completion) rows whose completion is not blank."""
    return [i for i, (_, completion) in enumerate(rows) if not is_blank(completion)]
