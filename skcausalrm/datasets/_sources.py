"""From a path, table or list to one table of raw records, whatever tool wrote it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.json

from ..exceptions import FeedbackFormatError


def read_records(source: Any, name: str = "source") -> pd.DataFrame:
    """One row per record of `source`, columns as the source names them.

    Raises
    ------
    FeedbackFormatError
        If a file cannot be parsed, or there are no records.
    TypeError
        If `source` is of another kind.
    """
    records = _read(source, name)
    if records.empty:
        raise FeedbackFormatError(f"{name} holds no rows, so there is nothing to load.")
    return records


def _read(source: Any, name: str) -> pd.DataFrame:
    if isinstance(source, pd.DataFrame):
        return source
    if isinstance(source, str | Path):
        return _read_file(Path(source), name)
    if isinstance(source, Mapping) and type(source).__module__.split(".")[0] == "datasets":
        raise FeedbackFormatError(
            f"{name} is a dictionary of data sets with the splits {sorted(source)}: pass one of "
            "them."
        )
    if isinstance(source, Mapping):
        return _from_json(source, name)
    if hasattr(source, "to_pandas"):  # datasets.Dataset, pyarrow.Table, polars.DataFrame
        return source.to_pandas()
    if isinstance(source, list | tuple):
        if source and all(isinstance(item, str | Path) for item in source):
            return pd.concat([_read_file(Path(item), name) for item in source], ignore_index=True)
        return _from_json(list(source), name)
    raise TypeError(
        f"{name} must be a path, a list of paths, a DataFrame, a data set or a list of "
        f"dictionaries, got {type(source).__name__}."
    )


def _read_file(path: Path, name: str) -> pd.DataFrame:
    if not path.is_file():
        raise FileNotFoundError(f"{name}: there is no file {str(path)!r}.")
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    suffix = suffixes[-1] if suffixes else ""
    try:
        if suffix in (".jsonl", ".ndjson"):
            return _read_lines(path)
        if suffix == ".json":
            opener = gzip.open if path.suffix == ".gz" else open
            with opener(path, "rb") as file:
                return _from_json(json.load(file), name)
        if suffix == ".csv":
            return pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
        if suffix == ".parquet":
            return pd.read_parquet(path)
    except FeedbackFormatError:
        raise
    except (ValueError, OSError) as error:
        raise FeedbackFormatError(
            f"{name}: the file {str(path)!r} cannot be read as {suffix[1:]} ({error})."
        ) from error
    raise FeedbackFormatError(
        f"{name}: the file {str(path)!r} ends in {suffix!r}; .jsonl, .ndjson, .json, .csv and "
        ".parquet can be read."
    )


def _read_lines(path: Path) -> pd.DataFrame:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        first = next((line for line in file if line.strip()), b"{}")
        try:
            example = json.loads(first)
        except ValueError:
            example = None
        if isinstance(example, dict) and not any(
            isinstance(value, dict | list) for value in example.values()
        ):
            # Ten times faster, but made for flat records of one type a column.
            texts = [(key, pa.string()) for key, value in example.items() if isinstance(value, str)]
            try:
                return pyarrow.json.read_json(
                    path,
                    read_options=pyarrow.json.ReadOptions(block_size=2**24),
                    parse_options=pyarrow.json.ParseOptions(explicit_schema=pa.schema(texts)),
                ).to_pandas()
            except pa.ArrowInvalid:
                pass
        file.seek(0)
        records = []
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    records.append(json.loads(line))
                except ValueError as error:
                    raise FeedbackFormatError(
                        f"line {number} of {str(path)!r} cannot be read as JSON ({error})."
                    ) from error
    return _from_json(records, str(path))


def _from_json(value: Any, name: str) -> pd.DataFrame:
    if isinstance(value, Mapping):
        pages = value.get("data")  # an API page: {"data": [...], "meta": ...}
        value = pages if isinstance(pages, list) else [value]
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise FeedbackFormatError(f"{name} must hold a list of JSON objects.")
    return pd.DataFrame(value)
