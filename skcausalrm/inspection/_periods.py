"""Periods of a log: weeks or months, of which small ones are merged."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .._utils._clusters import id_array
from ..exceptions import InvalidInputError

# Kinds of columns, by `pandas.api.types.infer_dtype`, that hold numbers alone.
_NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal", "boolean")


class Periods(NamedTuple):
    """Periods with enough rows.

    Attributes
    ----------
    names : list of str
        First period of each.
    codes : ndarray of int, shape (n,)
        Period of each row; -1: left out.
    sizes : list of int
        Number of calendar periods in each.
    n_left_out : int
        Rows after the last full period, which wait for more.
    """

    names: list[str]
    codes: np.ndarray
    sizes: list[int]
    n_left_out: int

    def labels(self) -> pd.Series:
        """Return the name of each row's period, missing where it is left out."""
        names = np.array([*self.names, None], dtype=object)
        return pd.Series(names[self.codes])


def read_times(times: Any, n_rows: int) -> pd.Series:
    """Return times as dates in UTC or as floats, missing where unknown, shape (n_rows,).

    Raises
    ------
    InvalidInputError
        If there are not `n_rows` times, or one is neither a date nor a number.
    """
    column = pd.Series(id_array(times)).reset_index(drop=True)
    if len(column) != n_rows:
        raise InvalidInputError(
            f"times has {len(column)} values for {n_rows} rows: pass one per row."
        )
    kind = pd.api.types.infer_dtype(column, skipna=True)
    try:
        if kind in _NUMBERS:
            return column.astype("Float64").astype(np.float64)
        if kind == "mixed-integer":  # pandas would read the numbers as nanoseconds
            raise ValueError("some are numbers and some are not")
        return pd.to_datetime(column, utc=True, format=None if kind == "empty" else "mixed")
    except (ValueError, TypeError) as error:
        raise InvalidInputError(
            f"times holds what is neither a date nor a number: {error}."
        ) from error


def merge_periods(names: Any, counted: np.ndarray, least: int) -> Periods:
    """Merge each period with fewer than `least` counted rows with the next.

    Parameters
    ----------
    names : array-like of shape (n,)
        Name of each row's period, in an order that sorts; missing where it is unknown.
    counted : ndarray of bool, shape (n,)
    least : int
    """
    codes, found = pd.factorize(pd.Series(names), sort=True)
    counts = np.bincount(codes[counted & (codes >= 0)], minlength=len(found))
    merged: list[list[int]] = [[]]
    for period, full in enumerate(_fill(counts, least)):
        merged[-1].append(period)
        if full:
            merged.append([])
    place = np.full(len(found) + 1, -1)  # the last is that of rows without a period
    for number, parts in enumerate(merged[:-1]):
        place[parts] = number
    into = place[codes]
    n_left_out = int(np.count_nonzero((into < 0) & (codes >= 0)))
    firsts = [str(found[parts[0]]) for parts in merged[:-1]]
    return Periods(firsts, into, [len(parts) for parts in merged[:-1]], n_left_out)


def _fill(counts: np.ndarray, least: int) -> Iterator[bool]:
    """Yield for each period whether it, with those before that are not full, is."""
    total = 0
    for count in counts:
        total += int(count)
        yield total >= least
        total = total if total < least else 0


def calendar_names(times: pd.Series, period: str) -> pd.Series:
    """Return the first day of each row's period in UTC, or its month, as text.

    Parameters
    ----------
    times : Series of dates with a time zone, shape (n,)
    period : str
        "D", "W", "M" or another period of pandas.
    """
    periods = times.dt.tz_convert("UTC").dt.tz_localize(None).dt.to_period(period)
    return periods.dt.start_time.dt.strftime("%Y-%m" if period == "M" else "%Y-%m-%d")
