"""Paths, tables and lists as tables of raw records."""

import gzip
import json
import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
from pandas.api.types import infer_dtype, is_object_dtype

from .._utils._warnings import warn
from ..exceptions import DataLossWarning, FileFormatError
from ..text._conversation import valid_unicode
from ..text._messages import as_plain
from ._texts import decode

_BLANK = re.compile(r"\s*")
# Results of `infer_dtype` for values of one type without text.
_UNIFORM = ("integer", "floating", "boolean")


def split_sources(source: Any, name: str = "source") -> list[tuple[str, Any]]:
    """Return the sources in `source`, each with a name for messages.

    A list of dictionaries or of an SDK's objects is one source. A list with a path, a table or a
    list in it is a list of sources.
    """
    if not isinstance(source, list | tuple) or not any(map(_is_source, source)):
        return [(name, source)]
    return [
        (str(item) if isinstance(item, str | Path) else f"{name} {number}", item)
        for number, item in enumerate(source, start=1)
    ]


def _is_source(item: Any) -> bool:
    if isinstance(item, Mapping):
        return type(item).__module__.split(".")[0] == "datasets"
    if isinstance(item, str) and item.lstrip().startswith("{"):
        return False  # a record as JSON
    is_table = hasattr(item, "columns") or hasattr(item, "to_pandas")
    return isinstance(item, str | Path | list | tuple | Iterator) or is_table


def read_records(source: Any, name: str = "source") -> pd.DataFrame:
    """Return one row per record of a source, with the source's own columns.

    ``attrs["n_repaired"]`` counts the fields in which unpaired surrogates became U+FFFD. No text
    encoding can hold these.

    Raises
    ------
    FileFormatError
        If a file cannot be parsed, there are no records, or a column name occurs twice.
    TypeError
        If `source` is of another type.

    Warns
    -----
    DataLossWarning
        If a field holds unpaired surrogates.
    """
    records = _read(source, name)
    if records.empty:
        raise FileFormatError(f"{name} holds no rows, so there is nothing to load.")
    _refuse_duplicates(records.columns, name)
    repaired = records.copy(deep=False)
    repaired.attrs["n_repaired"] = 0
    for column in () if repaired.attrs.pop("is_valid", False) else records.columns:
        if not is_object_dtype(records[column].dtype) or infer_dtype(records[column]) in _UNIFORM:
            continue
        if any(isinstance(value, bytes) for value in records[column]):
            repaired[column] = records[column].map(_text_of_bytes)
            continue
        values = [_without_surrogates(value) for value in records[column]]
        changed = sum(new is not old for new, old in zip(values, records[column], strict=True))
        if changed:
            repaired[column] = pd.Series(values, index=records.index, dtype=object)
            repaired.attrs["n_repaired"] += changed
    if count := repaired.attrs["n_repaired"]:
        warn(
            f"{count} fields of {name} hold half of a character (an unpaired surrogate), which "
            "became U+FFFD.",
            DataLossWarning,
            "import",
        )
    return repaired


def _text_of_bytes(value: Any) -> Any:
    """Return bytes as the text that they hold, and any other value as it is."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def _without_surrogates(value: Any) -> Any:
    """Replace unpaired surrogates by U+FFFD; return the same object if there are none."""
    if isinstance(value, str):
        return valid_unicode(value)
    if isinstance(value, dict):
        new = {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
        return value if all(map(operator.is_, new.values(), value.values())) else new
    if isinstance(value, list):
        items = [_without_surrogates(item) for item in value]
        return value if all(map(operator.is_, items, value)) else items
    return value


def _refuse_duplicates(columns: pd.Index, name: str) -> None:
    if not columns.is_unique:
        twice = sorted(set(map(str, columns[columns.duplicated()])))
        raise FileFormatError(
            f"{name} has the column(s) {', '.join(map(repr, twice))} more than once: rename or "
            "drop the others."
        )


def _read(source: Any, name: str) -> pd.DataFrame:
    if isinstance(source, pd.DataFrame):
        return source
    if isinstance(source, str | Path):
        return _read_file(Path(source), name)
    if isinstance(source, Mapping) and type(source).__module__.split(".")[0] == "datasets":
        raise FileFormatError(
            f"{name} is a dictionary of data sets with the splits {sorted(source)}: pass one of "
            "them."
        )
    if hasattr(source, "to_pandas"):  # datasets.Dataset, pyarrow.Table, polars.DataFrame
        return source.to_pandas()
    if isinstance(source, Mapping):
        return _from_json(source, name)
    if isinstance(plain := as_plain(source), Mapping):  # an SDK's record or page of results
        return _from_json(plain, name)
    if isinstance(source, Iterable):
        return _from_json(list(source), name)
    raise TypeError(
        f"{name} must be a path, a DataFrame, a data set, a list of dictionaries or of an SDK's "
        f"objects, or a list of these, got {type(source).__name__}."
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
                try:
                    value = json.load(file)
                except json.JSONDecodeError as error:
                    if error.msg != "Extra data":
                        raise
                    file.seek(0)
                    value = _read_several(file.read().decode())
            return _from_json(value, name)
        if suffix in (".csv", ".tsv"):
            return _read_csv(path, name)
        if suffix == ".parquet":
            return pd.read_parquet(path)
    except FileFormatError:
        raise
    except (ValueError, OSError, RecursionError) as error:
        raise FileFormatError(
            f"{name}: the file {str(path)!r} cannot be read as {suffix[1:]} ({error})"
            f"{': save it as UTF-8' if isinstance(error, UnicodeDecodeError) else ''}."
        ) from error
    raise FileFormatError(
        f"{name}: the file {str(path)!r} ends in {suffix!r}; .jsonl, .ndjson, .json, .csv, .tsv "
        "and .parquet can be read: save it as one of these."
    )


def _read_several(text: str) -> list[Any]:
    """Return JSON values that follow each other, as tools write them under the name ``.json``."""
    decoder, values = json.JSONDecoder(), []
    place = _BLANK.match(text).end()  # type: ignore[union-attr]
    while place < len(text):
        value, end = decoder.raw_decode(text, place)
        values.append(value)
        place = _BLANK.match(text, end).end()  # type: ignore[union-attr]
    return values


def _read_csv(path: Path, name: str) -> pd.DataFrame:
    """Read a table of comma, semicolon or tab separated texts in UTF-8 or UTF-16."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        start = file.read(2)
        encoding = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        first = (start + file.readline()).decode(encoding, "replace").strip("\r\n \0\ufffd")
    # Excel may name the separator in a line before the header.
    skipped = int(re.fullmatch('"?sep=."?', first, re.IGNORECASE) is not None)

    def read(**options: Any) -> pd.DataFrame:
        return pd.read_csv(path, dtype=str, encoding=encoding, skiprows=skipped, **options)

    def header(separator: str) -> pd.Series:
        return read(header=None, nrows=1, sep=separator).iloc[0]

    headers = {separator: header(separator) for separator in (",", ";", "\t")}
    separator = max(headers, key=lambda key: headers[key].size)
    frame = read(keep_default_na=False, na_values=[""], sep=separator)
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes the first fields for an index
        raise FileFormatError(
            f"{name}: the rows of {str(path)!r} have more fields than its header: name every "
            "column, and quote texts that hold the separator."
        )
    names = headers[separator].fillna("Unnamed")
    for column in dict.fromkeys(names[names.duplicated()]):
        # An index that was written next to its own column repeats it; pandas numbers the second.
        twins = frame.columns[(names == column).to_numpy()]
        if column != "Unnamed" and not frame[twins[0]].equals(frame[twins[1]]):
            _refuse_duplicates(pd.Index(names), name)
        if column != "Unnamed":
            frame = frame.drop(columns=list(twins[1:]))
    # An empty field is the only way to write an empty prompt in CSV.
    return frame.fillna({"prompt": ""}) if "prompt" in frame.columns else frame


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
            # Ten times faster, but for flat records with one type per column only.
            texts = {key for key, value in example.items() if isinstance(value, str)}
            try:
                table = _read_flat(path, texts)
                times = {field.name for field in table.schema if pa.types.is_temporal(field.type)}
                if times:  # guessed from texts, so read again as texts
                    table = _read_flat(path, texts | times)
                if _is_exact(table):
                    return table.to_pandas(integer_object_nulls=True)
            except pa.ArrowInvalid:
                pass
        file.seek(0)
        records = []
        is_valid = True  # only an escape can write a surrogate
        for number, line in enumerate(file, start=1):
            if line.strip():
                is_valid &= b"\\ud" not in line and b"\\uD" not in line
                try:
                    records.append(json.loads(line))
                except (UnicodeDecodeError, RecursionError):
                    raise
                except ValueError as error:
                    raise FileFormatError(
                        f"line {number} of {str(path)!r} cannot be read as JSON ({error})."
                    ) from error
    frame = _from_json(records, str(path))
    frame.attrs["is_valid"] = is_valid
    return frame


def _read_flat(path: Path, texts: set[str]) -> pa.Table:
    schema = pa.schema([(name, pa.string()) for name in sorted(texts)])
    return pyarrow.json.read_json(
        path,
        read_options=pyarrow.json.ReadOptions(block_size=2**24),
        parse_options=pyarrow.json.ParseOptions(explicit_schema=schema),
    )


def _is_exact(table: pa.Table) -> bool:
    """Return True if no column is nested or may have lost digits of large integers."""
    return not any(
        pa.types.is_nested(field.type)
        or (
            pa.types.is_floating(field.type)
            and pc.any(pc.greater_equal(pc.abs(column), 2.0**53)).as_py()
        )
        for field, column in zip(table.schema, table.columns, strict=True)
    )


# Keys that hold the records in a page of an API's results.
_PAGE_KEYS = ("data", "items", "results", "records", "traces", "runs")


def _from_json(value: Any, name: str) -> pd.DataFrame:
    if isinstance(value, Mapping):
        if (table := _by_columns(value)) is not None:
            return table
        # A chat message has content too, but no number of results.
        keys = (*_PAGE_KEYS, "content") if "total" in value else _PAGE_KEYS
        value = next(filter(None, (_page(value, key) for key in keys)), [value])
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], list):
            value = value[0]  # a list on one line of a JSON Lines file
        value = [as_plain(decode(item)) for item in value]
        value = [as_plain(item) for item in _without_pages(value)]
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise FileFormatError(f"{name} must hold a list of JSON objects.")
    frame = pd.DataFrame(value, dtype=object)
    for column in frame.columns:
        # A column of one type without gaps can be converted without a change of values.
        if infer_dtype(frame[column], skipna=False) in _UNIFORM:
            frame[column] = frame[column].infer_objects()
    return frame


def _without_pages(items: list[Any]) -> list[Any]:
    """Return the records of pages in place of the pages.

    Among records, a page is what has no key in common with them.
    """
    pages = [
        next(filter(None, (_page(item, key) for key in ("data", "traces", "runs"))), None)
        if isinstance(item, Mapping)
        else None
        for item in items
    ]
    rest = [item for item, page in zip(items, pages, strict=True) if not page]
    of_records = {key for item in rest if isinstance(item, Mapping) for key in item}
    return [
        record
        for item, page in zip(items, pages, strict=True)
        for record in (page if page and of_records.isdisjoint(item) else [item])
    ]


def _page(value: Mapping[str, Any], key: str) -> list[Any] | None:
    """Return the records that an API's page holds under the key, if it is one."""
    page = as_plain(value.get(key))
    is_page = isinstance(page, list) and all(isinstance(as_plain(i), Mapping) for i in page)
    return page if is_page else None


def _by_columns(value: Mapping[str, Any]) -> pd.DataFrame | None:
    """Return the table in an object of columns or of rows by id, as pandas and tools write it."""
    columns = list(value.values())
    if _are_lists_of_one_length(columns):
        return pd.DataFrame({key: pd.Series(column, dtype=object) for key, column in value.items()})
    if len(columns) < 2 or not all(isinstance(column, Mapping) and column for column in columns):
        return None
    if any(set(column) != set(columns[0]) for column in columns):
        return None
    if all(str(column.get("id")) == key for key, column in value.items()):
        return pd.DataFrame(columns, dtype=object)
    return pd.DataFrame({key: pd.Series(column) for key, column in value.items()})


def _are_lists_of_one_length(columns: list[Any]) -> bool:
    """Return True for columns; fields of one record that each hold messages are none."""
    return (
        len(columns) > 1
        and all(isinstance(column, list) and column for column in columns)
        and len(set(map(len, columns))) == 1
        and not all(isinstance(item, Mapping) for column in columns for item in column)
    )
