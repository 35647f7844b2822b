"""Tables that hold text and feedback in their rows: the formats plain, trl and chat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from .._utils._warnings import warn
from ..exceptions import DataLossWarning, FileFormatError
from ._roles import Names, rename_columns
from ._values import (
    as_messages,
    is_sequence,
    parse_flags,
    parse_labels,
    parse_unit_interval,
    simplify_prompt,
    split_messages,
)

__all__ = ["PLAIN_FORMATS", "read_plain"]

PLAIN_FORMATS = ("plain", "trl", "chat")


def read_plain(
    records: pd.DataFrame, format: str, names: Names, labels: Mapping[Any, float | None] | None
) -> pd.DataFrame:
    """Return the rows of a table with the column names and values of `load_feedback`.

    Raises
    ------
    FileFormatError
        If a column is missing, is named twice, or contradicts another one.
    FeedbackError
        If a label, a mark of the asked or a judge score has a value that it cannot have.
    InvalidInputError
        If a chat does not end with the assistant's message.
    """
    frame = rename_columns(records, names).reset_index(drop=True)
    text = ("messages",) if format == "chat" else ("prompt", "completion")
    known = ("feedback",) if names.feedback is not None else ("feedback", "label")
    present = [name for name in known if name in frame.columns]
    needed = known[-1] if format == "trl" else next(iter(present), "feedback")
    missing = [name for name in (*text, needed) if name not in frame.columns]
    if missing:
        raise FileFormatError(
            f"The format {format!r} needs the column(s) {', '.join(missing)}, but the columns are "
            f"{sorted(map(str, frame.columns))}: rename yours, or name another format."
        )
    if format == "chat":
        turns = [
            split_messages(chat, f"messages of row {row}")
            for row, chat in enumerate(frame["messages"])
        ]
        frame = frame.drop(columns="messages")
        frame["prompt"], frame["completion"] = (
            pd.Series(list(side), dtype=object) for side in zip(*turns, strict=True)
        )
    else:
        frame = frame.assign(
            prompt=_plain_turns(frame["prompt"]), completion=_plain_turns(frame["completion"])
        )
    feedback = _one_feedback({name: parse_labels(frame[name], name, labels) for name in present})
    frame = frame.drop(columns=present).assign(feedback=feedback)
    if "verified" in frame.columns:
        frame["verified"] = parse_labels(frame["verified"], "verified", labels)
    if "asked" in frame.columns:
        frame["asked"] = parse_flags(frame["asked"], "asked")
    if "judge_score" in frame.columns:
        frame["judge_score"] = parse_unit_interval(frame["judge_score"], "judge_score")
    if "group" not in frame.columns and "prompt_id" in frame.columns:
        frame = frame.rename(columns={"prompt_id": "group"})
    return frame


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


def _plain_turns(turns: pd.Series) -> pd.Series:
    """Return texts as they are, chats as lists of messages, and a single message as its text."""
    if isinstance(turns.dtype, pd.StringDtype):
        return turns

    def one(turn: Any) -> Any:
        if isinstance(turn, str) or not is_sequence(turn):
            return turn
        chat = as_messages(turn)
        if chat is None:
            return turn
        lone = len(chat) == 1 and chat[0]["role"] in ("user", "assistant")
        return chat[0]["content"] if lone else simplify_prompt(chat)

    return turns.map(one)
