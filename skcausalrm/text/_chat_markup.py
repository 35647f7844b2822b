"""From the strings that RLHF trainers send, template and all, to prompts and answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ._conversation import is_blank

__all__ = ["EMPTY_REWARD", "said_something", "split_query", "without_special_tokens"]

# Of an answer without text, which no model was fitted on: the least that a probability can be.
EMPTY_REWARD = 0.0

# Role and content of a turn in the templates of most models: ChatML (Qwen and others), Llama 3,
# Gemma. What they call the model's turn is "assistant" or "model".
_TURNS = [
    re.compile(r"<\|im_start\|>(\w+)\n(.*?)(?:<\|im_end\|>\n?|(?=<\|im_start\|>)|$)", re.DOTALL),
    re.compile(
        r"<\|start_header_id\|>(\w+)<\|end_header_id\|>\n\n(.*?)"
        r"(?:<\|eot_id\|>|(?=<\|start_header_id\|>)|$)",
        re.DOTALL,
    ),
    re.compile(r"<start_of_turn>(\w+)\n(.*?)(?:<end_of_turn>\n?|(?=<start_of_turn>)|$)", re.DOTALL),
]
_SPECIAL = re.compile(
    r"<\|[\w.-]{1,40}\|>|</?s>|<(?:pad|bos|eos|unk|start_of_turn|end_of_turn)>|"
    r"\[(?:PAD|CLS|SEP|MASK|BOS|EOS)\]"
)


def without_special_tokens(text: str) -> str:
    """Drop tokens that mark the structure of a text, such as ``<|im_end|>`` and ``</s>``.

    Examples
    --------
    >>> without_special_tokens("<s>Four.</s><pad>")
    'Four.'
    """
    return _SPECIAL.sub("", text).strip()


def split_query(query: str, prompt: str | None = None) -> tuple[Any, Any]:
    """Prompt and answer of a string that holds both.

    Turns are read from the markup of ChatML, Llama 3 or Gemma where the last one is the model's.
    Else a prompt that the query begins with is cut off, and special tokens are dropped. Else all
    is the answer, to an empty prompt.

    Parameters
    ----------
    query : str
        Prompt and answer, as the trainer's template rendered them.
    prompt : str, default=None
        The prompt alone, rendered likewise.

    Returns
    -------
    prompt, completion : str or list of messages

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


def said_something(rows: Sequence[tuple[Any, Any]]) -> list[int]:
    """Positions of the rows whose completion holds text."""
    return [i for i, (_, completion) in enumerate(rows) if not is_blank(completion)]
