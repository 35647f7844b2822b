"""A loaded log as one Parquet file that loads again to the same table."""

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..._utils._atomic_files import write_atomically


def write_plain(frame: pd.DataFrame, path: Path) -> None:
    """Write a log to `path` atomically.

    If some prompts are chats, all of them are written as lists of messages, because a Parquet
    column has one type.
    """
    columns = {str(name): _one_type(frame[name]) for name in frame.columns}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    write_atomically(path, buffer.getvalue())


def _one_type(values: pd.Series) -> pa.Array:
    if values.name == "prompt" and not values.map(lambda value: isinstance(value, str)).all():
        values = values.map(_as_chat)
    try:
        return pa.Array.from_pandas(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # several types, as in free metadata
        return pa.Array.from_pandas(values.map(_as_text), type=pa.string())


def _as_chat(prompt: Any) -> Any:
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


def _as_text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or value != value:
        return None
    return json.dumps(value, ensure_ascii=False, default=str)
