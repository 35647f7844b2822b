"""Rows of text to be scored: read from and written to files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exceptions import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_suffix", "read_rows", "save_rows", "write_rows"]

_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")


def read_rows(source: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read rows of text, rated or not.

    Parameters
    ----------
    source : path

    Returns
    -------
    rows : DataFrame
        The rows with all columns of the file.
    text : DataFrame
        Their prompt and completion, as `read_log` passes them to the encoder.

    Raises
    ------
    InvalidInputError
        If there is neither prompt and completion nor messages.
    """
    from ..datasets import load_feedback
    from ..datasets._sources import read_records

    rows = read_records(source, "ROWS")
    for names in (["prompt", "completion"], ["messages"]):
        if rows.columns.isin(names).sum() == len(names):
            log = load_feedback(rows[names].assign(feedback=None), on_error="raise")
            return rows, log[["prompt", "completion"]]
    raise InvalidInputError(
        f"{source} has the columns {list(map(str, rows.columns))}, but rows to be scored need "
        "prompt and completion, or messages: rename the columns."
    )


def check_suffix(path: Path) -> None:
    """Raise if `save_rows` cannot write a file with this suffix.

    Raises
    ------
    ValueError
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise ValueError(
            f"{path} ends in {path.suffix!r}, but rows can be written to {', '.join(_SUFFIXES)}: "
            "choose one of these."
        )


def save_rows(rows: pd.DataFrame, path: Path) -> None:
    """Write rows to a file atomically, in the format of its suffix."""
    from .._utils._atomic_files import sibling

    temporary = sibling(path)
    try:
        write_rows(rows, temporary, path.suffix.lower())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_rows(rows: pd.DataFrame, target: Any, suffix: str) -> None:
    """Write rows to a path or text stream in the format of the suffix.

    JSON lines hold the values unchanged, with null for missing ones.
    """
    if suffix == ".csv":
        rows.to_csv(target, index=False)
    elif suffix == ".parquet":
        rows.to_parquet(target, index=False)
    else:
        missing = rows.isna().to_numpy()
        lines = (
            json.dumps(
                {
                    key: None if absent else value
                    for (key, value), absent in zip(record.items(), gaps, strict=True)
                },
                ensure_ascii=False,
                default=_as_json,
            )
            + "\n"
            for record, gaps in zip(rows.to_dict("records"), missing, strict=True)
        )
        if isinstance(target, Path):
            with target.open("w", encoding="utf-8") as file:
                file.writelines(lines)
        else:
            target.writelines(lines)


def _as_json(value: Any) -> Any:
    """Convert values that `json` cannot write, such as times and arrays from Parquet files."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
