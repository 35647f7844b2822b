"""The prompt and the answer in a trace's input and output, in a chat, and in encoded fields."""

import ast
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from ..text._messages import as_messages, as_plain, content_text, is_list

_INPUT_KEYS = (
    "input", "inputs", "prompt", "question", "query", "user_input", "user_message", "message",
    "text", "content", "instruction", "request", "contents",
)  # fmt: skip
_OUTPUT_KEYS = (
    "output", "outputs", "completion", "answer", "response", "result", "text", "content",
    "message", "reply", "generation", "output_text", "return",
)  # fmt: skip
_HISTORY_KEYS = ("chat_history", "history", "messages", "conversation")
_SYSTEM_KEYS = ("system", "system_prompt", "system_instruction", "instructions")
# Lists of alternatives in replies of OpenAI, LangChain and Gemini; the first is what users see.
_ALTERNATIVES = ("choices", "generations", "candidates")
_ENCODED_KEYS = frozenset((*_INPUT_KEYS, *_HISTORY_KEYS, "args", "kwargs"))
_REDACTED = "__REDACTED__"  # text that OpenInference writes where it was told to hide one
# An enumeration's member in Python's printed form, such as <ScoreSource.API: 'API'>.
_PRINTED_ENUM = re.compile(r"<\w+\.\w+: ('[^']*'|\d+)>")
# A quoted text, or the end of an object before the next one.
_OBJECTS_IN_A_ROW = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|\}\s+\{""")
_MAX_ENCODED = 2**20  # maximum length of a Python literal, whose parser takes 100 times its memory

Prompt = str | list[dict[str, str]]


class Unreadable(ValueError):
    """A value without a text that can be told; the argument is the reason of `LeftOut`."""


@dataclass(frozen=True)
class Refused:
    """A text that a tool's reader does not take, with the reason of `LeftOut`."""

    reason: str


def decode(value: Any) -> Any:
    """Return the object or list in a text of JSON or of Python literals, else the value itself.

    Texts that were encoded twice are decoded twice.
    """
    for _ in range(3):
        if not isinstance(value, str):
            break
        start = value.lstrip()[:1]
        if start == '"' or value.lstrip()[:2] in ("'[", "'{"):
            inner = _from_json(value) if start == '"' else _from_literals(value.strip())
            if not isinstance(inner, str) or inner.lstrip()[:1] not in ("{", "[", '"'):
                break
            value = inner
        elif start in ("{", "["):
            found = _from_json(value)
            if found is None and len(value) <= _MAX_ENCODED:
                found = _from_literals(value.strip())
            return value if found is None else found
        else:
            break
    return value


def decode_list(value: Any) -> list[Any]:
    """Return the items of a list, also of an encoded one, and none of another value."""
    value = decode(value)
    return list(value) if is_list(value) else []


def decode_field(value: Any) -> Any:
    """Return the value of a field that holds an object or nothing, either of them as JSON."""
    return None if isinstance(value, str) and value.strip() == "null" else decode(value)


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _from_literals(text: str) -> Any:
    """Return the value in Python's printed form, with objects in it as dictionaries or texts."""
    try:
        try:
            return ast.literal_eval(text)
        except ValueError:
            tree = ast.parse(text, mode="eval")
        except SyntaxError:
            # numpy prints no commas between objects.
            text = _OBJECTS_IN_A_ROW.sub(lambda found: found[1] or "}, {", text)
            tree = ast.parse(_PRINTED_ENUM.sub(r"\1", text), mode="eval")
        return ast.literal_eval(_AsLiterals().visit(tree))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError, AttributeError):
        return None


class _AsLiterals(ast.NodeTransformer):
    """Make ``AIMessage(content='Hi')`` a dictionary, ``UUID('1')`` a text, and ``nan`` None."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(None) if node.id in ("nan", "NaT", "null") else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        name = ast.unparse(node.func).rpartition(".")[2]
        if name == "datetime":
            numbers = [int(ast.literal_eval(part)) for part in node.args[:7]]
            zone = "".join(ast.unparse(part.value) for part in node.keywords)
            is_utc = "utc" in zone.lower() or zone.endswith("(0)")
            year, month, day, hour, minute, second, micro = (*numbers, 0, 0, 0, 0)[:7]
            time = datetime(year, month, day, hour, minute, second, micro)
            return ast.Constant(time.isoformat() + "Z" * is_utc)
        self.generic_visit(node)
        if node.args:
            return node.args[0]
        is_piece = name.endswith("Chunk")
        kind = ast.Constant(name if is_piece else name.removesuffix("Message").lower())
        keys = [ast.Constant(part.arg) for part in node.keywords]
        return ast.Dict([ast.Constant("type"), *keys], [kind, *(p.value for p in node.keywords)])


def decode_chat(value: Any, keys: Iterable[str] = ()) -> Any:
    """Return the chat in a text, or the object with one of the keys; else the text itself.

    A text that is other JSON may be what a person or a model wrote.
    """
    if not isinstance(value, str) or (decoded := decode(value)) is value:
        return value
    if isinstance(decoded, Mapping) and any(key in decoded for key in keys):
        return decoded
    if is_list(decoded) and all(isinstance(item, str) for item in decoded):
        return value
    chat = as_messages(decoded)
    return value if chat is None else chat


def follow(value: Any, path: str) -> Any:
    """Return the field at a dotted path of nested objects, lists and encoded texts.

    Raises
    ------
    Unreadable
        If there is no such field.
    """
    value = as_plain(decode(value))
    if isinstance(value, Mapping) and path in value:
        return value[path]
    key, _, rest = path.partition(".")
    if isinstance(value, Mapping) and key in value:
        inner = value[key]
    elif is_list(value) and key.lstrip("-").isdigit() and -len(value) <= int(key) < len(value):
        inner = value[int(key)]
    else:
        raise Unreadable
    return follow(inner, rest) if rest else inner


def simplify_prompt(chat: list[dict[str, str]]) -> Prompt:
    """Return the text of a single user message; return a longer chat as it is."""
    return chat[0]["content"] if len(chat) == 1 and chat[0]["role"] == "user" else chat


def input_prompt(value: Any, key: str | None = None) -> Prompt:
    """Return the prompt in a trace's input: a text, a chat, or an object with one of them.

    Raises
    ------
    Unreadable
        If it cannot be told which text is the prompt.
    """
    prompt = _prompt(value, key)
    if (prompt if isinstance(prompt, str) else prompt[-1]["content"]) == _REDACTED:
        raise Unreadable("redacted text")
    return prompt


def _prompt(value: Any, key: str | None) -> Prompt:
    if type(value) is dict and len(value) == 1 and key is None:
        ((name, item),) = value.items()
        if name in _INPUT_KEYS and type(item) is str:  # the commonest input
            return _prompt(item, None)
    if isinstance(value, Refused):
        raise Unreadable(value.reason)
    value = as_plain(value if key is None else follow(value, key))
    value = decode_chat(value, _ENCODED_KEYS)
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool | int | float) or is_list(value):
        chat = as_messages(value)
        if chat is None:
            return _only_text(value, "unreadable prompt")
        return simplify_prompt(chat)
    if not isinstance(value, Mapping):
        raise Unreadable("unreadable prompt")
    if set(value) <= {"args", "kwargs"} and value:
        return _prompt_of_call(value)
    if is_list(value.get("args")) and not any(key in value for key in _INPUT_KEYS):
        rest = {key: item for key, item in value.items() if key != "args"}
        return _prompt_of_call({"args": value["args"], "kwargs": rest})
    fields = {key: item for key, item in value.items() if not _is_missing(item)}
    history: Any = next((fields[key] for key in _HISTORY_KEYS if key in fields), None)
    chat = as_messages(value if history is None else decode_chat(history)) or []
    system = [
        {"role": "system", "content": content_text(fields[key])}
        for key in _SYSTEM_KEYS
        if isinstance(fields.get(key), str | list)
    ][:1]
    chosen = next((key for key in _INPUT_KEYS if key in fields), None)
    if chosen is None and not chat:
        if len(fields) != 1:
            raise Unreadable("unreadable prompt")
        chosen = next(iter(fields))
    before = [*system, *chat]
    last = [] if chosen is None else _as_chat(input_prompt(fields[chosen]))
    if last and last == before[-len(last) :]:
        last = []  # the question is the last message of the history
    return simplify_prompt([*before, *last])


def _as_chat(prompt: Prompt) -> list[dict[str, str]]:
    """Return a prompt as messages."""
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


def _prompt_of_call(call: Mapping[str, Any]) -> Prompt:
    """Return the prompt among the arguments of a traced function."""
    given: Any = call.get("args")
    named: Any = call.get("kwargs")
    args = [item for item in given if not _is_missing(item)] if is_list(given) else []
    kwargs = {k: v for k, v in named.items() if k != "self"} if isinstance(named, Mapping) else {}
    if kwargs and not args:
        return input_prompt(kwargs)
    chats = [chat for chat in map(as_messages, args) if chat is not None]
    if len(chats) == 1:
        return simplify_prompt(chats[0])
    questions = args if len(args) == 1 else [item for item in args if isinstance(item, str)]
    if len(questions) == 1:
        return input_prompt({**kwargs, "input": questions[0]})
    raise Unreadable("unreadable prompt")


def output_text(value: Any, key: str | None = None) -> str:
    """Return the answer in a trace's output: a text, a message, or an object with one of them.

    Raises
    ------
    Unreadable
        If there is no text, or it cannot be told which text is the answer.
    """
    if isinstance(value, Refused):
        raise Unreadable(value.reason)
    value = as_plain(value if key is None else follow(value, key))
    decoded = decode_chat(value, _ALTERNATIVES)
    text = decoded if isinstance(decoded, str) else _answer(decoded)
    if text == _REDACTED:
        raise Unreadable("redacted text")
    if not text.strip():
        raise Unreadable("no answer" if _has_no_text(value) else "empty answer")
    return text


def _answer(value: Any) -> str:
    value = as_plain(value)
    if isinstance(value, Mapping):
        for name in _ALTERNATIVES:
            if is_list(value.get(name)) and len(value[name]):
                first = value[name][0]
                first = first[0] if is_list(first) and len(first) else first
                return _answer(_message_of_generation(first))
        if value.get("error") and not any(value.get(name) for name in _OUTPUT_KEYS):
            return ""
    if is_list(value) and (streamed := _streamed_text(value)) is not None:
        return streamed
    chat = as_messages(value)
    if chat is not None:
        if chat[-1]["role"] == "user":
            raise Unreadable("no answer")
        return chat[-1]["content"]
    if isinstance(value, Mapping):
        fields = {key: item for key, item in value.items() if not _is_missing(item)}
        chosen = next((key for key in _OUTPUT_KEYS if key in fields), None)
        if chosen is None and len(fields) > 1:
            raise Unreadable("unreadable answer")
        if chosen is None:
            chosen = next(iter(fields), None)
        return "" if chosen is None else _answer(fields[chosen])
    if is_list(value):
        # Items of OpenAI's Responses API, or its events with them: messages among tool calls.
        items = [item.get("item", item) if isinstance(item, Mapping) else item for item in value]
        spoken = [chat[-1] for chat in map(as_messages, items) if chat]
        if spoken:
            return spoken[-1]["content"]
        return _only_text(value, "unreadable answer") if len(value) else ""
    return content_text(value)


def _streamed_text(items: Any) -> str | None:
    """Return the joined pieces of one streamed answer, or None if the items are no pieces.

    Whole texts differ from pieces in that they have spaces inside alone.
    """
    if len(items) < 2:
        return None
    if all(isinstance(item, str) for item in items):
        is_whole = any(len(item.split()) > 1 for item in items)
        has_edges = any(item != item.strip() for item in items)
        return None if is_whole and not has_edges else "".join(items)
    pieces = [_fields(as_plain(item)) for item in items]
    if all(str(piece.get("type", "")).endswith("MessageChunk") for piece in pieces):
        return "".join(
            content_text(piece.get("content"))
            for piece in pieces
            if piece.get("id") == pieces[-1].get("id")
        )
    choices: list[Any] = [piece.get("choices") for piece in pieces]
    if not all(map(is_list, choices)):
        return None
    alternatives = [as_plain(choice[0]) for choice in choices if len(choice)]
    if alternatives and all(isinstance(one, Mapping) and "delta" in one for one in alternatives):
        return "".join(content_text(one["delta"]) for one in alternatives)
    return None


def _fields(value: Any) -> Mapping[str, Any]:
    """Return the fields of an object of LangChain or of another tool, none of another value."""
    if not isinstance(value, Mapping):
        return {}
    return value["kwargs"] if isinstance(value.get("kwargs"), Mapping) else value


def _message_of_generation(value: Any) -> Any:
    """Return a generation of LangChain as its fields, or its message if it has no own text."""
    if not isinstance(value, Mapping):
        return value
    fields = _fields(value)
    return fields["message"] if not fields.get("text") and fields.get("message") else fields


def _only_text(value: Any, reason: str) -> str:
    """Return the text of a scalar or of a list of text parts."""
    if is_list(value):
        parts = [content_text(item) for item in value]
        if not all(isinstance(item, str | Mapping) for item in value) or not any(parts):
            raise Unreadable(reason)
        return "\n".join(filter(None, parts))
    return content_text(value)


def _has_no_text(value: Any) -> bool:
    return _is_missing(value) or not isinstance(value, str)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA


def read_texts(
    values: Iterable[Any], read: Callable[[Any], Any]
) -> tuple[list[Any], dict[str, np.ndarray]]:
    """Apply a reading to each value; return the results and a mask of rows for each reason."""
    results: list[Any] = []
    reasons: dict[str, list[int]] = {}
    for row, value in enumerate(values):
        try:
            results.append(read(value))
        except Unreadable as error:
            results.append(None)
            reasons.setdefault(str(error) or "unreadable prompt", []).append(row)
        except RecursionError:
            results.append(None)
            reasons.setdefault("nested too deeply", []).append(row)
    masks = {}
    for reason, rows in reasons.items():
        masks[reason] = np.zeros(len(results), dtype=bool)
        masks[reason][rows] = True
    return results, masks
