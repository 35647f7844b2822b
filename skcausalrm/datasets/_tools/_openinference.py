"""Kinds of spans, and OpenInference's attributes for messages."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...text._messages import as_messages, is_list
from .._span_trees import parent_positions, topmost
from .._texts import Refused, decode

_FIELD = re.compile(
    r"(\d+)\.message\.(?:(role)|(content)|contents\.(\d+)\.message_content\.(type|text))"
)
_DEPTH = 6  # levels of objects and lists above the text of a message's part
# Kinds of spans whose output is no answer, although a call of a model below them may be one.
_NO_ANSWERS = (
    *("EMBEDDING", "RETRIEVER", "RERANKER", "TOOL", "PROMPT"),
    *("EMBEDDINGS", "RETRIEVAL", "RERANK", "EXECUTE_TOOL", "CREATE_AGENT"),  # OpenTelemetry's
)
_CALLS = ("LLM", "CHAT", "TEXT_COMPLETION", "COMPLETION", "GENERATE_CONTENT")
# Kinds of spans below which every call of a model judges instead of answering.
_JUDGES = ("EVALUATOR", "GUARDRAIL")


def answers_among(
    kinds: pd.Series, ids: pd.Series, parents: pd.Series, has_text: pd.Series
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which spans may hold answers, and which may call a model to get one.

    A call of a model without texts counts too, so that it is reported.
    """
    names = kinds.map(lambda kind: str(kind).rpartition(".")[2].upper())
    judged = topmost(parent_positions(ids, parents), names.isin(_JUDGES).to_numpy()) >= 0
    calls = names.isin(_CALLS)
    may_answer = (has_text | calls) & ~names.isin(_NO_ANSWERS) & ~judged
    return may_answer.to_numpy(), ((calls | kinds.isna()) & ~judged).to_numpy()


def messages_in(value: Any, role: str) -> list[dict[str, Any]] | None:
    """Return the messages of ``llm.input_messages`` or ``llm.output_messages``, if there are any.

    They may be nested, have dotted names inside a list, or be attributes of dotted names. `role` is
    that of messages without one.

    Examples
    --------
    >>> messages_in({"0.message.content": "Hi"}, "user")
    [{'role': 'user', 'content': 'Hi'}]
    """
    messages: dict[int, dict[str, Any]] = {}
    parts: dict[int, dict[int, dict[str, Any]]] = {}
    for name, item in _flat(decode(value)):
        if found := _FIELD.fullmatch(name):
            message = messages.setdefault(int(found[1]), {"role": role, "content": None})
            if found[4] is None:
                message[found[2] or found[3]] = item
            else:
                own = parts.setdefault(int(found[1]), {})
                own.setdefault(int(found[4]), {})[found[5]] = item
    for number, own in parts.items():
        if messages[number]["content"] is None:
            messages[number]["content"] = [own[key] for key in sorted(own)]
    return [messages[number] for number in sorted(messages)] or None


def first_answer(messages: Any) -> Any:
    """Return the first of alternative answers that has a text; return other messages as they are.

    A message that calls a tool is no alternative to the one after it.

    Examples
    --------
    >>> first_answer([{"role": "assistant", "content": text} for text in ("", "4", "Four.")])
    [{'role': 'assistant', 'content': '4'}]
    """
    chat = as_messages(messages)
    if chat is None or not is_list(messages) or len(chat) != len(messages):
        return messages
    if any(message["role"] != "assistant" for message in chat):
        return messages
    spoken = [
        message
        for message, written in zip(chat, messages, strict=True)
        if message["content"].strip() and not _calls_tool(written)
    ]
    return spoken[:1] or messages


def _calls_tool(message: Any) -> bool:
    parts: Any = message.get("parts") if isinstance(message, Mapping) else None
    return is_list(parts) and any(
        isinstance(part, Mapping) and part.get("type") == "tool_call" for part in parts
    )


def by_mime_type(values: pd.Series, mime_types: pd.Series) -> pd.Series:
    """Return the values with those decoded that their mime type calls JSON."""
    is_json = mime_types.astype(str).str.contains("json")
    return values.astype(object).mask(is_json, values.map(from_json, na_action="ignore"))


def from_json(value: Any) -> Any:
    """Return the value in JSON, or in Python literals; return any other text as it is.

    An object or a list without an end was cut, and is refused.
    """
    try:
        return json.loads(value)
    except (TypeError, ValueError, RecursionError):
        return unless_cut(decode(value))


def unless_cut(value: Any) -> Any:
    """Refuse a text that is the beginning of an object or a list; return any other value."""
    is_cut = isinstance(value, str) and value.lstrip()[:1] in ("[", "{")
    return Refused("shortened text") if is_cut else value


def below(attributes: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """Return the attributes whose dotted names begin with a name, without it."""
    start = f"{name}."
    found = {
        key.removeprefix(start): item for key, item in attributes.items() if key.startswith(start)
    }
    return found or None


def _flat(value: Any, start: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the dotted name of each field of nested objects and lists, and its value."""
    if depth > _DEPTH:
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{start}{key}.", depth + 1)
    elif is_list(value):
        for number, item in enumerate(value):
            yield from _flat(item, f"{start}{number}.", depth + 1)
    else:
        yield start[:-1], value
