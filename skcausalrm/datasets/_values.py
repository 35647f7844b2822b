"""Values of single fields of an export: labels, flags, scores and times.

Each parser returns the values and a mask of those that it cannot read.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..exceptions import FeedbackError
from ..text._messages import is_list
from ._left_out import MAX_UNREADABLE

_FLAGS = {
    **dict.fromkeys(("true", "1", "yes", "y", "wahr", "vrai", "verdadero"), 1.0),
    **dict.fromkeys(("false", "0", "no", "n", "falsch", "faux", "falso"), 0.0),
    **dict.fromkeys(("", "none", "null", "nan", "<na>", "n/a", "undefined"), np.nan),
}
_LABELS = _FLAGS | {
    **dict.fromkeys(("thumbs up", "thumbsup", "thumb up", "up", "like", "liked", "👍"), 1.0),
    **dict.fromkeys(("upvote", "positive", "good", ":thumbsup:", ":+1:"), 1.0),
    **dict.fromkeys(("thumbs down", "thumbsdown", "thumb down", "down", "dislike", "👎"), 0.0),
    **dict.fromkeys(("disliked", "downvote", "negative", "bad", ":thumbsdown:", ": 1:"), 0.0),
    "-1": 0.0,
}
# Marks of skin tones and of coloured signs, as in the thumb that a person chose.
_SKIN_TONES = dict.fromkeys((*range(0x1F3FB, 0x1F400), 0xFE0F))
# Dates as a spreadsheet writes them, and its count of days (years 1954 to 2119).
_DATE = re.compile(
    r"(?P<one>\d{1,2})(?P<sign>[./])(?P<two>\d{1,2})[./](?P<year>\d{4})"
    r"(?:,?\s+(?P<time>\d{1,2}:\d\d(?::\d\d)?)\s?(?P<half>[AP]M)?)?$",
    re.IGNORECASE,
)
_WHOLE_DATES = (19_900_101, 21_001_231)
_SPREADSHEET_DAYS, _DAYS_TO_1970 = (20_000, 80_000), 25_569
_LATEST = 9.2e9  # latest time that pandas holds (year 2261), in seconds since 1970


def is_signed(columns: Iterable[pd.Series], labels: Mapping[Any, float | None] | None) -> bool:
    """Return True if the columns hold -1, so that 0 means no rating rather than a dislike.

    A meaning that `labels` gives to 0 or -1 comes first.
    """
    if {"0", "-1"} & set(map(_spelling, labels or ())):
        return False
    return any("-1" in set(map(_spelling, _spellings(values)[1])) for values in columns)


def parse_labels(
    values: pd.Series,
    column: str,
    labels: Mapping[Any, float | None] | None = None,
    *,
    signed: bool | None = None,
) -> tuple[pd.Series, NDArray[np.bool_]]:
    """Parse labels as 1.0, 0.0 and NaN for none.

    Parameters
    ----------
    values : Series
        True, false, 1, 0, -1, common words such as "thumbs_up", empty, or keys of `labels`.
    column : str
        Name for messages.
    labels : dict, default=None
        Meaning of further spellings.
    signed : bool, default=None
        Whether 0 means no rating. None decides by `is_signed` of these values.

    Returns
    -------
    parsed : Series of float
        Labels, NaN for none and where a value cannot be read.
    bad : ndarray of bool
        True where a value cannot be read.

    Raises
    ------
    FeedbackError
        If more than a tenth of the values cannot be read, or `labels` maps to another value.
    """
    if not labels and pd.api.types.is_bool_dtype(values.dtype):
        return values.astype(np.float64), np.zeros(len(values), dtype=bool)
    given = {_spelling(key): value for key, value in (labels or {}).items()}
    if bad := [value for value in given.values() if value not in (0, 1, None)]:
        raise FeedbackError(f"labels maps a spelling to {bad[0]!r}; it must be 1, 0 or None.")
    known = _LABELS | {
        key: np.nan if value is None else float(value) for key, value in given.items()
    }
    if is_signed([values], labels) if signed is None else signed:
        known["0"] = np.nan
    return _look_up(
        values,
        column,
        known,
        "a label must be true, false, 1, 0, -1, a common word such as thumbs_up, or empty",
        "explain other spellings with labels={...}",
    )


def parse_flags(values: pd.Series, column: str) -> tuple[pd.Series, NDArray[np.bool_]]:
    """Parse flags: true and 1 are True; false, 0 and empty are False; with the unreadable ones.

    Raises
    ------
    FeedbackError
        If more than a tenth of the values cannot be read.
    """
    flags, bad = _look_up_flags(values, column)
    return flags == 1, bad


def parse_events(values: pd.Series, column: str) -> tuple[pd.Series, NDArray[np.bool_]]:
    """Parse flags of what happened: 1.0, 0.0, and NaN where it is not known.

    An empty field is unknown if some rows say that it did not happen, and else did not happen.

    Raises
    ------
    FeedbackError
        If more than a tenth of the values cannot be read.
    """
    events, bad = _look_up_flags(values, column)
    return events if (events == 0).any() else events.fillna(0.0), bad


def _look_up_flags(values: pd.Series, column: str) -> tuple[pd.Series, NDArray[np.bool_]]:
    rule = "a mark must be true, false, 1, 0 or empty"
    return _look_up(values, column, _FLAGS, rule, "recode it before loading")


def _spellings(values: pd.Series) -> tuple[NDArray[np.intp], NDArray]:
    """Return the code of each value and the distinct values; a list of one counts as its item."""
    objects = values.to_numpy(dtype=object)
    try:
        codes, distinct = pd.factorize(objects)
    except TypeError:  # lists or dictionaries
        items = [
            value[0] if is_list(value) and len(value) == 1 else value for value in objects.tolist()
        ]
        hashable = [str(item) if isinstance(item, list | dict | set) else item for item in items]
        objects = pd.Series(hashable, dtype=object).to_numpy()
        codes, distinct = pd.factorize(objects)
    if any(not isinstance(value, str) and value in (0, 1) for value in distinct):
        # False equals 0, but only the number may mean that there is no rating.
        named = [str(value) if isinstance(value, bool | np.bool_) else value for value in objects]
        codes, distinct = pd.factorize(pd.Series(named, dtype=object).to_numpy())
    return codes, distinct


def _look_up(
    values: pd.Series, column: str, known: Mapping[str, float], rule: str, cure: str
) -> tuple[pd.Series, NDArray[np.bool_]]:
    codes, spellings = _spellings(values)
    parsed = np.array([known.get(_spelling(value), np.inf) for value in spellings] + [np.nan])
    result = parsed[codes]
    bad = np.isinf(result)
    _refuse_many(bad, values, column, rule, cure)
    return pd.Series(np.where(bad, np.nan, result), index=values.index, dtype=np.float64), bad


def _refuse_many(
    bad: NDArray[np.bool_], values: pd.Series, column: str, rule: str, cure: str
) -> None:
    """Raise if so many values are unreadable that the column must mean something else."""
    if bad.sum() > MAX_UNREADABLE * values.notna().sum():
        first = int(np.argmax(bad))
        raise FeedbackError(
            f"column {column!r} holds {shorten(values.iloc[first])} (first at row {first}) or the "
            f"like in {int(bad.sum())} of {len(values)} rows, and {rule}: {cure}."
        )


def shorten(value: Any, length: int = 60) -> str:
    """Return a value as it is shown in a message, cut at `length` characters."""
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _spelling(value: Any) -> str:
    """Return a text in lower case without dashes, and a whole number without its point or plus."""
    value = value.value if isinstance(value, Enum) else value
    text = str(value).strip().lower().translate(_SKIN_TONES)
    try:
        number = float(text)
    except ValueError:
        return text.replace("-", " ").replace("_", " ")
    return str(int(number)) if number.is_integer() else text


def parse_unit_interval(values: pd.Series, column: str) -> tuple[pd.Series, NDArray[np.bool_]]:
    """Parse numbers in [0, 1], NaN for empty fields; with those that cannot be read.

    Raises
    ------
    FeedbackError
        If more than a tenth of the values are no numbers in [0, 1].
    """
    text = _blank_to_missing(values)
    known = {"true": 1.0, "false": 0.0}
    booleans = text.map(lambda value: known.get(str(value).strip().lower(), value))
    numbers = pd.to_numeric(booleans, errors="coerce").astype(np.float64)
    bad = ((numbers.isna() & text.notna()) | (numbers < 0) | (numbers > 1)).to_numpy()
    _refuse_many(bad, values, column, "scores must be in [0, 1]", "rescale it before loading")
    return numbers.mask(bad), bad


def _blank_to_missing(values: pd.Series) -> pd.Series:
    filled = values.astype(object).map(_scalar_or_text, na_action="ignore")
    return filled.mask(filled.isna() | (filled.astype(str).str.strip() == ""), None)


def _scalar_or_text(value: Any) -> Any:
    """Return a list or an object, which no number or time has, as its text.

    The times of MongoDB are objects.
    """
    while isinstance(value, dict) and len(value) == 1 and {"$date", "$numberLong"} & set(value):
        (value,) = value.values()
    return str(value) if isinstance(value, list | dict | tuple | set | np.ndarray) else value


def parse_times(values: pd.Series) -> tuple[pd.Series, NDArray[np.bool_]]:
    """Parse UTC times, NaT for empty fields; with those that cannot be read.

    ISO 8601, RFC 2822, BigQuery's texts, and seconds, milli-, micro- or nanoseconds since 1970
    are read. Each number is scaled by itself, because one column may hold exports of several tools.
    So are a spreadsheet's days since 1900, and its dates where the column tells day from month.
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return pd.to_datetime(values, utc=True), np.zeros(len(values), dtype=bool)
    text = _blank_to_missing(values)
    if len(text) and text.isna().all():
        return pd.to_datetime(text, utc=True), np.zeros(len(values), dtype=bool)
    numbers = pd.to_numeric(text, errors="coerce").astype(np.float64)
    # Numbers below 1e11 are seconds; each smaller unit has three more digits.
    thousands = np.clip(np.floor((np.log10(np.maximum(numbers.abs(), 1)) - 8) / 3), 0, 3)
    seconds = numbers / 1000.0**thousands
    is_date = numbers.between(*_WHOLE_DATES)  # such as 20260131
    dates = pd.to_datetime(numbers.where(is_date), format="%Y%m%d", errors="coerce")
    seconds = seconds.mask(is_date, (dates - pd.Timestamp(0)).dt.total_seconds())
    is_days = numbers.between(*_SPREADSHEET_DAYS)
    seconds = seconds.mask(is_days, (numbers - _DAYS_TO_1970) * 86_400)
    # pandas 2.2 fails at missing numbers and at times that nanoseconds cannot hold.
    usable = seconds[seconds.abs() < _LATEST]
    times = pd.to_datetime(usable, unit="s", utc=True).reindex(seconds.index)
    if numbers.isna().any():
        written = text.where(numbers.isna())
        iso = written.map(_iso_time, na_action="ignore")
        read = pd.to_datetime(iso, utc=True, format="ISO8601", errors="coerce")
        if (rest := read.isna() & written.notna()).any():
            mails = written[rest].map(_mail_time)
            read = read.where(~rest, pd.to_datetime(mails, utc=True).reindex(read.index))
        if (rest := read.isna() & written.notna()).any():
            read = read.where(~rest, _spreadsheet_times(written[rest]).reindex(read.index))
        times = read if times.isna().all() else times.where(numbers.notna(), read)
    return times, (times.isna() & text.notna()).to_numpy()


def _iso_time(value: Any) -> Any:
    """Return a text as ISO 8601 has it; words such as "now" are no times."""
    if not isinstance(value, str):
        return value
    has_digit = any(map(str.isdigit, value))
    # BigQuery writes "2026-01-01 09:18:26 UTC".
    return value.strip().removesuffix(" UTC") if has_digit else None


def _spreadsheet_times(texts: pd.Series) -> pd.Series:
    """Return the times in texts such as 31.1.2026 and 1/31/2026 9:18 PM.

    With slashes, a number above 12 in the column tells which one is the day.
    """
    parts = texts.astype(str).str.strip().str.extract(_DATE)
    one, two = (pd.to_numeric(parts[key]) for key in ("one", "two"))
    dotted = parts["sign"] == "."
    slashed = ~dotted & parts["sign"].notna()
    above = [bool((numbers[slashed] > 12).any()) for numbers in (one, two)]
    day_first = dotted | (slashed & above[0])
    known = dotted | (slashed & (above[0] != above[1]))
    day, month = one.where(day_first, two), two.where(day_first, one)
    dates = pd.DataFrame({"year": pd.to_numeric(parts["year"]), "month": month, "day": day})
    hours = parts["time"].fillna("0:00") + " " + parts["half"].fillna("")
    clock = pd.to_datetime("2000-01-01 " + hours.str.strip(), format="mixed", errors="coerce")
    times = pd.to_datetime(dates, errors="coerce") + (clock - pd.Timestamp("2000-01-01"))
    return times.where(known).dt.tz_localize("UTC")


def _mail_time(value: Any) -> datetime | None:
    """Return the time in the form of RFC 2822, such as "Thu, 01 Jan 2026 09:18:26 GMT"."""
    try:
        time = parsedate_to_datetime(value)
    except (AttributeError, TypeError, ValueError, IndexError, OverflowError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
