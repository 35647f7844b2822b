"""Values of single fields of an export: labels, times, and the text inside JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import FeedbackError, FileFormatError, InvalidInputError

_LABELS = {
    "true": 1.0, "1": 1.0, "false": 0.0, "0": 0.0, "-1": 0.0,
    "": np.nan, "none": np.nan, "null": np.nan, "nan": np.nan, "<na>": np.nan,
}  # fmt: skip
_ROLES = {"human": "user", "ai": "assistant", "model": "assistant"}
_INPUT_KEYS = ("input", "prompt", "question", "query", "text", "content", "message")
_OUTPUT_KEYS = ("output", "completion", "answer", "response", "text", "content", "message")
_LATEST = 9.2e9  # latest time that pandas holds (year 2261), in seconds since 1970


def parse_labels(
    values: pd.Series, column: str, labels: Mapping[Any, float | None] | None = None
) -> pd.Series:
    """Parse labels as 1.0, 0.0 and NaN: true, false, 1, 0, -1 (0.0) and empty, or `labels`.

    Raises
    ------
    FeedbackError
        If a value is none of these.
    """
    if labels:
        given = {_spelling(key): value for key, value in labels.items()}
        if bad := [value for value in given.values() if value not in (0, 1, None)]:
            raise FeedbackError(f"labels maps a spelling to {bad[0]!r}; it must be 1, 0 or None.")
        known = _LABELS | {
            key: np.nan if value is None else float(value) for key, value in given.items()
        }
    elif pd.api.types.is_bool_dtype(values.dtype):
        return values.astype(np.float64)
    else:
        known = _LABELS
    return _look_up(
        values,
        column,
        known,
        "a label must be true, false, 1, 0, -1 or empty",
        "explain other spellings with labels={...}",
    )


def parse_flags(values: pd.Series, column: str) -> pd.Series:
    """Parse flags as booleans: true and 1 are True; false, 0 and empty are False.

    Raises
    ------
    FeedbackError
        If a value is none of these.
    """
    known = {spelling: value for spelling, value in _LABELS.items() if spelling != "-1"}
    rule = "a mark of asked answers must be true, false, 1, 0 or empty"
    return _look_up(values, column, known, rule, "recode it before loading") == 1


def _look_up(
    values: pd.Series, column: str, known: Mapping[str, float], rule: str, cure: str
) -> pd.Series:
    try:
        codes, spellings = pd.factorize(values.to_numpy(dtype=object))
    except TypeError as error:
        raise FeedbackError(f"column {column!r} holds lists or objects, and {rule}.") from error
    parsed = np.array([known.get(_spelling(value), np.inf) for value in spellings] + [np.nan])
    result = parsed[codes]
    if (unknown := np.isinf(result)).any():
        first = int(np.argmax(unknown))
        raise FeedbackError(
            f"column {column!r} holds {values.iloc[first]!r} (first at row {first}) or the like "
            f"in {int(unknown.sum())} of {len(values)} rows, and {rule}: {cure}."
        )
    return pd.Series(result, index=values.index, dtype=np.float64)


def _spelling(value: Any) -> str:
    """Return a text in lower case, and a whole number without its point or plus."""
    text = str(value).strip().lower()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


def parse_unit_interval(values: pd.Series, column: str) -> pd.Series:
    """Parse numbers in [0, 1], NaN for empty fields.

    Raises
    ------
    FeedbackError
        If a value is not a number in [0, 1].
    """
    text = _blank_to_missing(values)
    booleans = text.map(lambda value: float(value) if isinstance(value, bool) else value)
    numbers = pd.to_numeric(booleans, errors="coerce").astype(np.float64)
    bad = (numbers.isna() & text.notna()) | (numbers < 0) | (numbers > 1)
    if bad.any():
        first = int(np.argmax(bad.to_numpy()))
        raise FeedbackError(
            f"column {column!r} holds {values.iloc[first]!r} (first at row {first}) or the like in "
            f"{int(bad.sum())} of {len(values)} rows, but must hold numbers in [0, 1]: rescale "
            "it before loading."
        )
    return numbers


def _blank_to_missing(values: pd.Series) -> pd.Series:
    filled = values.astype(object)
    return filled.mask(filled.isna() | (filled.astype(str).str.strip() == ""), None)


def parse_times(values: pd.Series, column: str = "timestamp") -> pd.Series:
    """Parse UTC times from ISO texts, or seconds, milli-, micro- or nanoseconds since 1970.

    Each number is scaled by itself, because one column may hold exports of several tools.

    Raises
    ------
    FileFormatError
        If a value cannot be read as a time.
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return pd.to_datetime(values, utc=True)
    text = _blank_to_missing(values)
    numbers = pd.to_numeric(text, errors="coerce").astype(np.float64)
    # Numbers below 1e11 are seconds; each smaller unit has three more digits.
    thousands = np.clip(np.floor((np.log10(np.maximum(numbers.abs(), 1)) - 8) / 3), 0, 3)
    seconds = numbers / 1000.0**thousands
    # pandas 2.2 fails at missing numbers and at times that nanoseconds cannot hold.
    usable = seconds[seconds.abs() < _LATEST]
    times = pd.to_datetime(usable, unit="s", utc=True).reindex(seconds.index)
    if numbers.isna().any():
        written = pd.to_datetime(
            text.where(numbers.isna()), utc=True, format="ISO8601", errors="coerce"
        )
        times = written if times.isna().all() else times.where(numbers.notna(), written)
    if (bad := (times.isna() & text.notna()).to_numpy()).any():
        first = int(np.argmax(bad))
        raise FileFormatError(
            f"column {column!r} holds {values.iloc[first]!r} (first at row {first}) or the like "
            f"in {int(bad.sum())} of {len(values)} rows, which cannot be read as times: use ISO "
            "8601 or seconds since 1970."
        )
    return times


def parse_json(value: Any) -> Any:
    """Return the value of a text that holds a JSON object or array, else the argument."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def is_sequence(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def content_text(content: Any) -> str:
    """Return the text of a message's content, which is a string or a list of parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        return content_text(content.get("text", content.get("content")))
    if is_sequence(content):
        return "\n".join(filter(None, map(content_text, content)))
    return str(content)


def as_message(value: Any) -> dict[str, str] | None:
    """Read a message of OpenAI, OpenTelemetry, OpenInference or LangChain; None if it is none."""
    if not isinstance(value, Mapping):
        return None
    if "message.role" in value:
        return {
            "role": value["message.role"],
            "content": content_text(value.get("message.content")),
        }
    if isinstance(value.get("kwargs"), Mapping):  # LangChain's serialised constructor
        kind = str((value.get("id") or [""])[-1]).removesuffix("Chunk").removesuffix("Message")
        value = {"type": kind.lower()} | dict(value["kwargs"])
    elif isinstance(value.get("data"), Mapping) and "content" in value["data"]:
        value = {"type": value.get("type")} | dict(value["data"])
    role = value.get("role") or value.get("type")
    if not isinstance(role, str) or not ("content" in value or "parts" in value):
        return None
    role = role.lower()
    content = value.get("content") if value.get("parts") is None else value["parts"]
    return {"role": _ROLES.get(role, role), "content": content_text(content)}


def as_messages(value: Any) -> list[dict[str, str]] | None:
    """Read a list of chat messages, however nested; None if it is none."""
    if (message := as_message(value)) is not None:
        return [message]
    if isinstance(value, Mapping) and "messages" in value:
        return as_messages(value["messages"])
    if not is_sequence(value) or len(value) == 0:
        return None
    if len(value) == 1 and is_sequence(value[0]):  # LangChain batches of one
        return as_messages(value[0])
    messages = [as_message(item) for item in value]
    return None if None in messages else messages  # type: ignore[return-value]


def split_messages(messages: Any, where: str) -> tuple[str | list[dict[str, str]], str]:
    """Return a chat as its prompt and its last answer."""
    chat = as_messages(parse_json(messages))
    if chat is None or len(chat) < 2 or chat[-1]["role"] != "assistant":
        raise InvalidInputError(
            f"{where} must be a list of at least two messages with role and content, the last "
            "one by the assistant."
        )
    return simplify_prompt(chat[:-1]), chat[-1]["content"]


def simplify_prompt(chat: list[dict[str, str]]) -> str | list[dict[str, str]]:
    """Return the text of a single user message; return a longer chat as it is."""
    return chat[0]["content"] if len(chat) == 1 and chat[0]["role"] == "user" else chat


def input_prompt(value: Any, where: str) -> str | list[dict[str, str]]:
    """Return the prompt in a trace's input: a text, a chat, or an object with one of them."""
    value = parse_json(value)
    if (chat := as_messages(value)) is not None:
        return simplify_prompt(chat)
    return _text_of(value, _INPUT_KEYS, where)


def output_text(value: Any, where: str) -> str:
    """Return the answer in a trace's output: a text, a message, or an object with one of them."""
    value = parse_json(value)
    if isinstance(value, Mapping):
        for nested in ("choices", "generations"):  # OpenAI and LangChain responses
            while is_sequence(value.get(nested)) and len(value[nested]):
                inner = value[nested][0]
                inner = inner[0] if is_sequence(inner) and len(inner) else inner
                value = inner if isinstance(inner, Mapping) else {"text": inner}
    if (chat := as_messages(value)) is not None:
        return chat[-1]["content"]
    return _text_of(value, _OUTPUT_KEYS, where)


def _text_of(value: Any, keys: tuple[str, ...], where: str) -> str:
    if value is None or isinstance(value, float):  # NaN stands for a missing value in a table
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        present = {key: item for key, item in value.items() if item is not None}
        chosen = next((key for key in keys if key in present), None)
        if chosen is None and len(present) == 1:
            chosen = next(iter(present))
        if chosen is not None:
            chat = as_messages(present[chosen])
            return chat[-1]["content"] if chat else content_text(present[chosen])
        raise FileFormatError(
            f"{where} holds an object with the keys {sorted(map(str, value))}, but none of the "
            f"keys that may hold the text ({', '.join(keys)}): pass a DataFrame with the columns "
            "prompt and completion instead."
        )
    return content_text(value)
