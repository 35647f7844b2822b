"""Rows of text to be scored: read from and written to files."""

import json
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from ..datasets import load_feedback
from ..datasets._sources import read_records
from ..exceptions import AssumptionWarning, InvalidInputError


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
    rows = read_records(source, "ROWS")
    for names in (["prompt", "completion"], ["messages"]):
        if rows.columns.isin(names).sum() == len(names):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AssumptionWarning)  # no row needs a rating
                log = load_feedback(rows[names].assign(feedback=None), on_error="raise")
            return rows, log[["prompt", "completion"]]
    raise InvalidInputError(
        f"{source} has the columns {list(map(str, rows.columns))}, but rows to be scored need "
        "prompt and completion, or messages: rename the columns."
    )


def format_rows(rows: pd.DataFrame, suffix: str) -> bytes:
    """Return rows as the content of a file with the suffix.

    JSON lines hold the values unchanged, with null for missing ones.
    """
    if suffix == ".csv":
        return rows.to_csv(index=False).encode()
    if suffix == ".parquet":
        return rows.to_parquet(index=False)
    records = rows.astype(object).where(rows.notna(), None).to_dict("records")
    lines = (json.dumps(record, ensure_ascii=False, default=_as_json) for record in records)
    return "".join(f"{line}\n" for line in lines).encode()


def _as_json(value: Any) -> Any:
    """Convert values that `json` cannot write, such as times and arrays from Parquet files."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
