"""Tables that hold text and feedback in their rows: the formats plain, trl and chat."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from .._utils._warnings import warn
from ..exceptions import DataLossWarning, FileFormatError
from ..text._messages import as_messages, is_list
from ._columns import ROLES, SIGNALS, can_parse, name_roles, opposite, score_like
from ._left_out import LeftOut
from ._roles import Names, rename_columns
from ._spans import Reading
from ._texts import (
    Unreadable,
    decode_chat,
    input_prompt,
    output_text,
    read_texts,
    simplify_prompt,
)
from ._values import is_signed, parse_events, parse_flags, parse_labels, parse_unit_interval

PLAIN_FORMATS = ("plain", "trl", "chat")
_N_EXAMPLES = 1000  # chats that tell whether they hold the answers
# Roles of messages that are no answer.
_NO_ANSWERS = ("system", "developer", "user", "tool", "function")
_NUMBERS = ("turn", "latency", "prompt_tokens", "completion_tokens")


@dataclass(frozen=True)
class PlainLog:
    """Rows of a plain table, and what became of its columns and rows.

    Attributes
    ----------
    frame : DataFrame
        Rows with the columns of `load_feedback`.
    left_out : dict
        Summary of `LeftOut`.
    columns : dict
        The user's names of the columns in their roles.
    score_like : list of str
        Unused columns that look like ratings.
    counts : dict of int
    """

    frame: pd.DataFrame
    left_out: dict[str, dict[str, Any]]
    columns: dict[str, Any]
    score_like: list[str]
    counts: dict[str, int]


def read_plain(
    records: pd.DataFrame,
    format: str,
    names: Names,
    labels: Mapping[Any, float | None] | None,
    reading: Reading,
    *,
    signed: bool | None = None,
) -> PlainLog:
    """Return the rows of a table with the column names and values of `load_feedback`.

    Raises
    ------
    FileFormatError
        If a column is missing, is named twice, or contradicts another one.
    FeedbackError
        If most labels, marks of the asked or judge scores have values that they cannot have.
    """
    frame = rename_columns(records, names).reset_index(drop=True)
    frame, columns = name_roles(frame, names.given(), labels)
    columns |= names.given()
    if columns.get("prompt") == "instruction" and "input" in frame.columns:
        frame = frame.assign(prompt=_with_input(frame["prompt"], frame.pop("input")))
    dislikes = opposite(frame.columns, columns.get("feedback"))
    if dislikes is not None and can_parse(partial(parse_flags, frame[dislikes], dislikes)):
        likes = parse_flags(frame["feedback"], str(columns["feedback"]))[0]
        is_rated = likes != parse_flags(frame.pop(dislikes), dislikes)[0]  # neither is no rating
        frame = frame.assign(feedback=likes.astype(object).where(is_rated, None))
    text = ("messages",) if _has_chats(frame, format) else ("prompt", "completion")
    if _are_prompts(frame):
        text, frame = ("prompt", "completion"), frame.rename(columns={"messages": "prompt"})
    known = ("feedback",) if names.feedback is not None else ("feedback", "label")
    present = [name for name in known if name in frame.columns]
    needed = known[-1] if format == "trl" else next(iter(present), "feedback")
    missing = [name for name in (*text, needed) if name not in frame.columns]
    if missing:
        raise FileFormatError(
            f"The format {format!r} needs the column(s) {', '.join(missing)}, but the columns are "
            f"{sorted(map(str, records.columns))}: rename yours, name them with feedback_name, "
            "prompt_column and completion_column, or name another format."
        )
    ids = frame["id"] if "id" in frame.columns else pd.Series(None, index=frame.index, dtype=object)
    left_out = LeftOut(ids, reading.on_error)
    frame = (
        _read_chats(frame, left_out)
        if text == ("messages",)
        else _read_pairs(frame, reading, left_out)
    )
    counts = {"n_unreadable_scores": 0}
    parsed = {}
    for name in present:
        parsed[name], bad = parse_labels(frame[name], name, labels, signed=signed)
        left_out.drop(bad, "unreadable feedback")
        if signed or (signed is None and is_signed([frame[name]], labels)):
            zeros = parsed[name].isna() & frame[name].notna() & ~bad
            counts["n_zeros_unrated"] = int(zeros.sum())
    frame = frame.drop(columns=present).assign(feedback=_one_feedback(parsed))
    if "verified" in frame.columns:
        frame["verified"], bad = parse_labels(frame["verified"], "verified", labels)
        counts["n_unreadable_scores"] += int(bad.sum())
    if "asked" in frame.columns:
        frame["asked"], bad = parse_flags(frame["asked"], "asked")
        left_out.drop(bad, "unreadable mark of asked answers")
    if "judge_score" in frame.columns:
        frame["judge_score"], bad = parse_unit_interval(frame["judge_score"], "judge_score")
        counts["n_unreadable_scores"] += int(bad.sum())
    for name in set(SIGNALS) & set(frame.columns):
        if can_parse(partial(parse_events, frame[name], name)):
            frame[name] = parse_events(frame[name], name)[0]
    for name in set(_NUMBERS) & set(frame.columns):
        numbers = pd.to_numeric(frame[name].map(lambda v: v if np.isscalar(v) else None), "coerce")
        frame[name] = numbers if numbers.notna().any() else frame[name]
    if "prompt_id" in frame.columns and not {"group", "conversation"} & set(frame.columns):
        frame = frame.rename(columns={"prompt_id": "group"})
    used = {*columns.values(), *ROLES, dislikes, "prompt_id", "label"}
    return PlainLog(
        left_out.keep(frame),
        left_out.summary(),
        {role: str(name) for role, name in columns.items()},
        score_like(records, used),
        counts,
    )


def feedback_columns(
    records: pd.DataFrame, names: Names, labels: Mapping[Any, float | None] | None
) -> list[Any]:
    """Return the columns that hold feedback."""
    if names.feedback is not None:
        return [names.feedback] if names.feedback in records.columns else []
    roles = name_roles(records, names.given(), labels)[1]
    return [roles["feedback"]] if "feedback" in roles else []


def _are_prompts(frame: pd.DataFrame) -> bool:
    """Return True if chats that no assistant ends stand next to the answers."""
    if not {"messages", "completion"} <= set(frame.columns) or "prompt" in frame.columns:
        return False
    chats = frame["messages"].iloc[:_N_EXAMPLES].map(decode_chat).map(as_messages).dropna()
    return len(chats) > 0 and not any(chat[-1]["role"] == "assistant" for chat in chats)


def _has_chats(frame: pd.DataFrame, format: str) -> bool:
    return format == "chat" or (
        "messages" in frame.columns and not {"prompt", "completion"} <= set(frame.columns)
    )


def _read_chats(frame: pd.DataFrame, left_out: LeftOut) -> pd.DataFrame:
    turns, bad = read_texts(frame["messages"], split_messages)
    for reason, mask in bad.items():
        left_out.drop(mask, reason)
    frame = frame.drop(columns="messages")
    parts = ("prompt", "completion", "next_message")
    table = pd.DataFrame(
        [turn or (None, None, None) for turn in turns], columns=parts, dtype=object
    )
    return frame.assign(**{part: table[part] for part in parts if table[part].notna().any()})


def _read_pairs(frame: pd.DataFrame, reading: Reading, left_out: LeftOut) -> pd.DataFrame:
    frame = frame.assign(
        prompt=_read_turns(frame["prompt"], lambda value: _prompt(value, reading), left_out),
        completion=_read_turns(
            frame["completion"], lambda value: _completion(value, reading), left_out
        ),
    )
    if frame["completion"].map(lambda turn: isinstance(turn, list)).any():
        pairs = zip(frame["prompt"], frame["completion"], strict=True)
        answers = [_without_prompt(prompt, completion) for prompt, completion in pairs]
        frame["completion"] = pd.Series(answers, index=frame.index, dtype=object)
    blank = frame["completion"].map(lambda turn: isinstance(turn, str) and not turn.strip())
    left_out.drop(blank.to_numpy(dtype=bool), "empty answer")
    return frame


def _with_input(instructions: pd.Series, inputs: pd.Series) -> pd.Series:
    """Return Alpaca's two columns as one prompt."""
    filled = inputs.map(lambda value: isinstance(value, str) and bool(value.strip()))
    both = instructions.astype(object) + "\n\n" + inputs.where(filled, "").astype(object)
    return instructions.astype(object).where(~filled, both)


def _read_turns(turns: pd.Series, read: Callable[[Any], Any], left_out: LeftOut) -> pd.Series:
    """Read the turns that are no plain texts; a text may hold an encoded chat."""
    values = turns.astype(object)
    odd = np.array(
        [not isinstance(turn, str) or turn.lstrip()[:1] in ("[", "{", '"', "'") for turn in values]
    )
    if not odd.any():
        return turns
    results, bad = read_texts(values[odd], read)
    values[odd] = pd.Series(results, index=values.index[odd], dtype=object)
    for reason, mask in bad.items():
        full = np.zeros(len(values), dtype=bool)
        full[np.flatnonzero(odd)[mask]] = True
        left_out.drop(full, reason)
    return values


def _prompt(value: Any, reading: Reading) -> Any:
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        raise Unreadable("no prompt")
    if isinstance(value, bool | float):
        raise Unreadable("unreadable prompt")
    chat = as_messages(decode_chat(value)) if reading.prompt_key is None else None
    if chat is not None:
        return _one_or_all(chat)
    return input_prompt(value, reading.prompt_key)


def _completion(value: Any, reading: Reading) -> Any:
    if isinstance(value, bool | float) and value == value:
        raise Unreadable("unreadable answer")
    chat = as_messages(decode_chat(value)) if reading.completion_key is None else None
    if chat is not None and is_list(decode_chat(value)):
        is_answer = any(message["role"] not in _NO_ANSWERS for message in chat)
        if not is_answer and isinstance(value, str):
            return value  # a text about messages
        if not is_answer or not any(message["content"].strip() for message in chat):
            raise Unreadable("no answer")
        return _one_or_all(chat)
    return output_text(value, reading.completion_key)


def _without_prompt(prompt: Any, completion: Any) -> Any:
    """Return an answer that repeats the chat before it without that chat."""
    if not isinstance(completion, list) or prompt is None:
        return completion
    before = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    repeats = len(completion) > len(before) and completion[: len(before)] == before
    return _one_or_all(completion[len(before) :]) if repeats else completion


def _one_or_all(chat: list[dict[str, str]]) -> Any:
    lone = len(chat) == 1 and chat[0]["role"] in ("user", "assistant")
    return chat[0]["content"] if lone else chat


def split_messages(messages: Any) -> tuple[Any, str, str | None]:
    """Return a chat as its prompt, its last answer, and what the user wrote next, if anything.

    Raises
    ------
    Unreadable
        If the value is no chat or holds no answer.
    """
    chat = as_messages(decode_chat(messages))
    if chat is None:
        raise Unreadable("unreadable prompt")
    last = next((k for k in reversed(range(len(chat))) if chat[k]["role"] == "assistant"), None)
    if last is None:
        raise Unreadable("no answer")
    if not chat[last]["content"].strip():
        raise Unreadable("empty answer")
    later = [turn["content"] for turn in chat[last + 1 :] if turn["role"] == "user"]
    prompt = simplify_prompt(chat[:last]) if last else ""
    return prompt, chat[last]["content"], later[0] if later else None


def _one_feedback(parsed: Mapping[str, pd.Series]) -> pd.Series:
    """Return the one of the parsed columns ``feedback`` and ``label`` that holds feedback."""
    if len(parsed) == 1:
        return next(iter(parsed.values()))
    filled = [name for name, values in parsed.items() if values.notna().any()]
    if len(filled) == 1:
        empty = next(name for name in parsed if name not in filled)
        warn(
            f"The column {empty!r} is empty, so feedback is read from {filled[0]!r}.",
            DataLossWarning,
            "import",
        )
        return parsed[filled[0]]
    if not parsed["feedback"].equals(parsed["label"]):
        unequal = parsed["feedback"].fillna(-1) != parsed["label"].fillna(-1)
        raise FileFormatError(
            f"The columns 'feedback' and 'label' disagree in {int(unequal.sum())} of "
            f"{len(unequal)} rows (first at row {int(np.argmax(unequal))}): drop or rename the "
            "one that is not the user's feedback."
        )
    return parsed["feedback"]
