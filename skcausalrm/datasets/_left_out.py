"""Rows that an import leaves out, counted by reason with the ids of the user's own file."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..exceptions import FeedbackError, InvalidInputError

# Number of ids that are kept per reason, for messages and for `attrs`.
_N_IDS = 20
# Share of unreadable values above which the spelling is a convention of the whole column, so that
# the import stops instead of leaving out most rows.
MAX_UNREADABLE = 0.1

# Reasons, and what the user can do about each.
REASONS = {
    "empty answer": "log the answer's text, or leave such rows out of the export",
    "no answer": "the call failed, is unfinished or only called a tool",
    "no prompt": "log an empty text where the assistant speaks first",
    "unreadable answer": "name the text with completion_key, or pass a DataFrame",
    "unreadable prompt": "name the text with prompt_key, or pass a DataFrame",
    "unreadable feedback": "explain the spelling with labels={...}",
    "unreadable mark of asked answers": "use true, false, 1, 0 or empty",
    "redacted text": "record texts (OPENINFERENCE_HIDE_INPUTS and its like)",
    "shortened text": "export whole texts (MLflow: with the spans)",
    "no messages": "export the chat with its messages",
    "nested too deeply": "flatten the record",
}


class LeftOut:
    """Rows of one table that an import leaves out.

    Parameters
    ----------
    ids : Series
        Name of each row in the user's file. A missing id is replaced by the row's position.
    on_error : {"omit", "raise"}
        Whether to leave rows out or to raise at the first reason.

    Attributes
    ----------
    kept : ndarray of bool, shape (n_rows,)
        False for rows that are left out.
    """

    def __init__(self, ids: pd.Series, on_error: str):
        self.kept = np.ones(len(ids), dtype=bool)
        self._ids, self._on_error = ids, on_error
        self._found: dict[str, dict[str, Any]] = {}

    def drop(self, bad: NDArray[np.bool_], reason: str) -> None:
        """Leave out the rows where `bad` is True, or raise if the caller asked for that.

        Raises
        ------
        FeedbackError, InvalidInputError
            If ``on_error="raise"`` and a row is bad.
        """
        rows = np.flatnonzero(bad & self.kept)
        if not rows.size:
            return
        names = [self._name(row) for row in rows[:_N_IDS]]
        if self._on_error == "raise":
            kind = FeedbackError if "feedback" in reason or "mark" in reason else InvalidInputError
            raise kind(
                f"{reason} in {rows.size} of {len(bad)} rows (first: {names[0]}): "
                f"{REASONS[reason]}, or pass on_error='omit'."
            )
        self.kept[rows] = False
        self._found[reason] = {"count": int(rows.size), "ids": names}

    def _name(self, row: int) -> str:
        name = self._ids.iloc[row]
        return f"row {row}" if pd.isna(name) or name == "" else str(name)

    def keep(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the kept rows of the table, numbered from 0; a large table is not copied."""
        return (frame if self.kept.all() else frame[self.kept]).reset_index(drop=True)

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return the count and the first ids of each reason."""
        return dict(self._found)


def add_summaries(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the sum of two summaries."""
    empty: dict[str, Any] = {"count": 0, "ids": []}
    return {
        reason: {
            "count": one.get(reason, empty)["count"] + other.get(reason, empty)["count"],
            "ids": (one.get(reason, empty)["ids"] + other.get(reason, empty)["ids"])[:_N_IDS],
        }
        for reason in {**one, **other}
    }


def describe(left_out: dict[str, Any]) -> str:
    """Return a sentence's part that names each reason, its count and its first ids."""
    return "; ".join(
        f"{entry['count']} with {reason} ({', '.join(entry['ids'][:3])}"
        f"{', ...' if entry['count'] > 3 else ''}: {REASONS[reason]})"
        for reason, entry in left_out.items()
    )
