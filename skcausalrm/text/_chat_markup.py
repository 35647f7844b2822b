"""Prompts and answers read from the rendered strings that RLHF trainers send."""

import re
from collections.abc import Sequence
from typing import Any

from ._conversation import is_blank
from ._messages import ROLES

# Reward of an answer without text, which no model was fitted on: the smallest probability.
EMPTY_REWARD = 0.0

# Role and content of a turn in the templates of most models: ChatML (Qwen, Phi-4 and others),
# Llama 3, Gemma, Phi-3 and Zephyr, DeepSeek.
_TURNS = [
    re.compile(rf"{begin}{named}(.*?)(?:{end}|(?={begin})|$)", re.DOTALL)
    for begin, named, end in (
        (r"<\|im_start\|>(\w+)", r"(?:\n|<\|im_sep\|>)", r"<\|im_end\|>\n?"),
        (r"<\|start_header_id\|>(\w+)", r"<\|end_header_id\|>\n\n", r"<\|eot_id\|>"),
        (r"<start_of_turn>(\w+)", r"\n", r"<end_of_turn>\n?"),
        (r"<\|(system|user|assistant)\|>", r"\n?", r"<\|end\|>\n?|</s>\n?"),
        ("<｜(User|Assistant)｜>", "", "<｜end▁of▁sentence｜>"),
    )
]
# Mistral marks the user's turns alone: what stands between two of them is the model's.
_MISTRAL = re.compile(r"\[INST\](.*?)\[/INST\](.*?)(?=\[INST\]|$)", re.DOTALL)
_MISTRAL_SYSTEM = re.compile(r"\[SYSTEM_PROMPT\](.*?)\[/SYSTEM_PROMPT\]", re.DOTALL)
_SPECIAL = re.compile(
    r"<\|[\w.-]{1,40}\|>|<｜[^｜]{1,40}｜>|</?s>|<(?:pad|bos|eos|unk|start_of_turn|end_of_turn)>|"
    r"\[(?:PAD|CLS|SEP|MASK|BOS|EOS)\]"
)
_LEADING = re.compile(rf"(?:\s|{_SPECIAL.pattern})*")


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

    If the string has the markup of ChatML, Llama 3, Gemma, Phi, DeepSeek or Mistral and ends with
    the model's turn, the turns are read from it. Otherwise, if it begins with `prompt`, padding and
    other special tokens before it aside, it is split there. Otherwise all of it is the answer to an
    empty prompt. Special tokens are dropped in every case.

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
    turns = _marked_turns(query)
    if turns and turns[-1]["role"] == "assistant":
        return turns[:-1], turns[-1:]
    rest, start = _without_leading(query), _without_leading(prompt or "")
    if start and rest.startswith(start):
        return without_special_tokens(start), without_special_tokens(rest[len(start) :])
    return "", without_special_tokens(query)


def _marked_turns(query: str) -> list[dict[str, str]]:
    """Return the turns that a template has marked; empty if it marks none."""
    if found := _MISTRAL.findall(query):
        marked = [("system", text) for text in _MISTRAL_SYSTEM.findall(query)]
        for question, answer in found:
            marked += [("user", question), ("assistant", answer)]
    else:
        matches = next(
            (found for pattern in _TURNS if (found := list(pattern.finditer(query)))), []
        )
        marked = [(match[1], match[2]) for match in matches]
        # DeepSeek writes the system prompt before the first mark.
        if marked and marked[0][0] == "User":
            before = query[: matches[0].start()]
            marked[:0] = [("system", before)] * bool(without_special_tokens(before))
    return [
        {"role": ROLES.get(role.lower(), role.lower()), "content": without_special_tokens(content)}
        for role, content in marked
    ]


def _without_leading(text: str) -> str:
    """Return a text without the padding and special tokens that it begins with."""
    return text[_LEADING.match(text).end() :]  # type: ignore[union-attr]


def positions_with_text(rows: Sequence[tuple[Any, Any]]) -> list[int]:
    """Return the positions of (prompt, completion) rows whose completion holds text.

    Special tokens alone are no text: a policy that stops at once has answered nothing.
    """
    return [
        row
        for row, (_, completion) in enumerate(rows)
        if not is_blank(completion)
        and (not isinstance(completion, str) or without_special_tokens(completion))
    ]
