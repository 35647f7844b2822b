"""The one reading of chat messages, whatever tool wrote them.

Loaders, the encoder, the server and the rewards for trainers all call these functions.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

# Role of a message by the names that tools use. Any other role is kept in lower case.
ROLES = {
    "system": "system",
    "developer": "developer",
    **dict.fromkeys(("tool", "observation", "function_response"), "tool"),
    **dict.fromkeys(("user", "human", "prompter", "user_message"), "user"),
    **dict.fromkeys(
        (
            "assistant",
            "ai",
            "aimessagechunk",
            "model",
            "gpt",
            "chatgpt",
            "bing",
            "bard",
            "bot",
            "chatbot",
            "assistant_message",
        ),
        "assistant",
    ),
}
# Keys that hold the text of a message or of one of its parts, in order of preference.
_TEXT_KEYS = ("content", "parts", "text", "value", "refusal")
# Types of values without an SDK's object.
_PLAIN = frozenset({type(None), str, dict, list, tuple, bool, int, float})
# Kinds of parts that no user reads as the answer.
_HIDDEN_PARTS = frozenset(
    (
        "reasoning",
        "thinking",
        "think",
        "redacted_thinking",
        "tool_call",
        "tool_use",
        "file",
        "error",
    )
)


def as_plain(value: Any) -> Any:
    """Return an SDK's object as dictionaries and lists; return any other value as it is.

    Pydantic models, dataclasses, named tuples, objects with ``to_dict`` and OpenTelemetry's spans
    and log records are converted.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> as_plain(SimpleNamespace(role="user", content="Hi"))
    {'role': 'user', 'content': 'Hi'}
    """
    if type(value) in _PLAIN or isinstance(value, Mapping | np.ndarray | int | float | str):
        return value
    if type(value).__module__.startswith("opentelemetry.") and hasattr(value, "to_json"):
        return json.loads(value.to_json())
    if isinstance(value, type):
        return value
    for method in ("model_dump", "_asdict", "to_dict", "dict"):
        if callable(getattr(value, method, None)):
            return getattr(value, method)()
    if dataclasses.is_dataclass(value):
        return {
            field.name: as_plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if type(value).__name__ == "SimpleNamespace":
        return dict(vars(value))
    return value


def is_list(value: Any) -> bool:
    """Return True for a list, tuple or one-dimensional array."""
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)


def content_text(content: Any) -> str:
    """Return the text of a message's content: a string, parts, or an object with text.

    Images, tool calls and reasoning have no text that a user reads as the answer.

    Examples
    --------
    >>> content_text([{"type": "text", "text": "A cat."}, {"type": "image_url", "image_url": {}}])
    'A cat.'
    """
    content = as_plain(content)
    if content is None or content is False:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        if content.get("type") in _HIDDEN_PARTS or content.get("thought") is True:
            return ""
        for key in _TEXT_KEYS:
            if content.get(key) is not None:
                return content_text(content[key])
        return ""
    if is_list(content):
        return join_parts(map(content_text, content))
    return "" if isinstance(content, float) and np.isnan(content) else str(content)


def join_parts(texts: Iterable[str]) -> str:
    """Join the texts of parts, each on a line of its own unless the one before ends in a space.

    Examples
    --------
    >>> join_parts(["A cat ", "sat.", "", "It slept."])
    'A cat sat.\\nIt slept.'
    """
    filled = [text for text in texts if text]
    gaps = ["" if text[-1].isspace() else "\n" for text in filled[:-1]]
    return "".join(text + gap for text, gap in zip(filled, [*gaps, ""], strict=False))


def has_unread_parts(message: Any) -> bool:
    """Return True if a message's content has a part that is neither text nor hidden reasoning.

    Examples
    --------
    >>> has_unread_parts({"role": "user", "content": [{"type": "image_url", "image_url": {}}]})
    True
    """
    content = message.get("content") if isinstance(message := as_plain(message), Mapping) else None
    if content is None or isinstance(content, str) or not is_list(content):
        return False
    parts = [part for part in map(as_plain, content) if isinstance(part, Mapping)]
    return any(part.get("type") not in _HIDDEN_PARTS and not content_text(part) for part in parts)


def as_message(value: Any) -> dict[str, str] | None:
    """Return a message as role and text, or None if the value is no message.

    OpenAI, OpenTelemetry, OpenInference, LangChain, Gemini, ShareGPT and Label Studio messages are
    read. A message without content, such as one that only calls a tool, has an empty text.

    Examples
    --------
    >>> as_message({"from": "gpt", "value": "Hello!"})
    {'role': 'assistant', 'content': 'Hello!'}
    >>> as_message({"role": "assistant", "tool_calls": [{"id": "1"}]})
    {'role': 'assistant', 'content': ''}
    """
    value = as_plain(value)
    if type(value) is dict and type(value.get("content")) is str and type(value.get("role")) is str:
        role = value["role"].lower()  # nearly all messages are of this form
        return {"role": ROLES.get(role, role), "content": value["content"]} if role else None
    if not isinstance(value, Mapping):
        return None
    if isinstance(value.get("message"), Mapping) and "role" in value["message"]:
        value = value["message"]  # OpenInference: {"message": {"role": ..., "content": ...}}
    if "message.role" in value:
        value = {
            key.removeprefix("message."): item
            for key, item in value.items()
            if isinstance(key, str)
        }
    elif isinstance(value.get("kwargs"), Mapping):  # LangChain's serialised constructor
        kind = value.get("id")
        kind = str(kind[-1]) if is_list(kind) and len(kind) else ""
        kind = kind.removesuffix("Chunk").removesuffix("Message").lower()
        value = {"type": kind} | dict(value["kwargs"])
    elif isinstance(value.get("data"), Mapping) and "content" in value["data"]:
        value = {"type": value.get("type")} | dict(value["data"])
    role = value.get("role") or value.get("from")
    if role is None and "content" in value:
        role = value.get("type")  # LangChain's message objects
    if role is None and str(value.get("author")).lower() in ROLES:
        role = value["author"]  # Label Studio's dialogues
    if not isinstance(role, str) or not role:
        return None
    parts = next((value[key] for key in _TEXT_KEYS if value.get(key) is not None), None)
    return {"role": ROLES.get(role.lower(), role.lower()), "content": content_text(parts)}


def as_messages(value: Any) -> list[dict[str, str]] | None:
    """Return a list of messages, however nested, or None if the value is none.

    Examples
    --------
    >>> as_messages({"messages": [("human", "Hi"), ("ai", "Hello!")]})
    [{'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': 'Hello!'}]
    """
    value = as_plain(value)
    if (message := as_message(value)) is not None:
        return [message]
    if isinstance(value, Mapping):
        held = next((value[key] for key in ("messages", "conversations") if key in value), None)
        return None if held is None else as_messages(held)
    if not is_list(value) or len(value) == 0:
        return None
    if _is_role_and_text(value):
        value = [value]
    if len(value) == 1 and is_list(value[0]) and not _is_role_and_text(value[0]):
        return as_messages(value[0])  # LangChain's batches of one
    messages = [
        as_message(item)
        if type(item) is dict or not _is_role_and_text(item)
        else as_message({"role": item[0], "content": item[1]})
        for item in value
    ]
    return None if None in messages else messages  # type: ignore[return-value]


def _is_role_and_text(value: Any) -> bool:
    """Return True for LangChain's short form of a message, ``("human", "Hi")``."""
    return (
        is_list(value)
        and len(value) == 2
        and isinstance(value[0], str)
        and value[0].lower() in ROLES
    )
