"""Further signals of a log, such as copies and regenerations, checked once."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..exceptions import InvalidInputError
from ._signal_names import DIRECTIONS
from ._validation import check_column


class Signals(NamedTuple):
    """Signals of n rows.

    Attributes
    ----------
    names : tuple of str
    values : ndarray of shape (n, n_signals)
        1 where it happened, 0 where not, NaN where it could not be seen.
    directions : ndarray of shape (n_signals,)
        1 where a signal speaks for the answer, -1 where against it.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    directions: NDArray[np.float64]


def check_signals(signals: Any, directions: Mapping[str, str] | None, n_rows: int) -> Signals:
    """Return signals as columns of 1, 0 and NaN, each with its direction.

    Parameters
    ----------
    signals : DataFrame or mapping of str to array-like of shape (n_rows,)
    directions : mapping of str to {"positive", "negative"}, or None
        By the name of the signal; None, and signals that are not in it, mean the usual direction
        of the name.
    n_rows : int

    Raises
    ------
    FeedbackError
        If a signal has another length, or an infinite value.
    InvalidInputError
        If signals are not named columns, a name comes twice or is that of a judge's score, a value
        is not 1, 0 or missing, or a direction is unknown.
    """
    if not hasattr(signals, "keys"):
        raise InvalidInputError(
            f"signals is a {type(signals).__name__}, but must be a DataFrame or a dictionary of "
            f"named columns, such as pd.DataFrame({{'copied': ...}})."
        )
    names, columns, signs = [], [], []
    given = {} if directions is None else dict(directions)
    if unknown := sorted(set(given) - set(signals.keys())):
        raise InvalidInputError(
            f"signal_directions names {', '.join(map(repr, unknown))}, but the signals are "
            f"{', '.join(map(repr, signals.keys()))}."
        )
    texts = list(map(str, signals.keys()))
    if "judge_score" in texts:
        raise InvalidInputError(
            "A signal is called 'judge_score', the name of a judge's score: pass it as judge_score "
            "or rename it."
        )
    if len(set(texts)) < len(texts):
        twice = sorted({text for text in texts if texts.count(text) > 1})
        raise InvalidInputError(
            f"Signals share the name {', '.join(map(repr, twice))}: give each a name of its own."
        )
    for name in signals.keys():  # noqa: SIM118 -- a DataFrame iterates over its columns either way
        values = check_column(_numbers(signals[name]), f"signal {name!r}", n_rows, allow_nan=True)
        if bad := int(np.count_nonzero(~np.isnan(values) & (values != 0) & (values != 1))):
            raise InvalidInputError(
                f"Signal {name!r} has {bad} values other than 1, 0 and missing: say in which rows "
                f"it happened, and give a two-sided signal as two."
            )
        names.append(str(name))
        columns.append(values)
        signs.append(_direction(name, given))
    if not names:
        raise InvalidInputError("signals has no column: leave it out, or name what happened.")
    return Signals(tuple(names), np.column_stack(columns), np.array(signs))


def _numbers(column: Any) -> Any:
    """Return a column with pandas's own missing values as NaN."""
    if hasattr(column, "to_numpy"):
        try:
            return column.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"A signal holds a value that is no number ({error}): write 1 where it happened, 0 "
                f"where it did not, and leave unknown rows empty."
            ) from error
    return [np.nan if value is None else value for value in column]


def _direction(name: Any, given: dict[str, str]) -> float:
    if name not in given:
        if name in DIRECTIONS:
            return DIRECTIONS[name]
        raise InvalidInputError(
            f"The signal {name!r} has no direction: pass signal_directions={{{name!r}: 'positive'}}"
            f", or 'negative' where it speaks against the answer."
        )
    if given[name] not in ("positive", "negative"):
        raise InvalidInputError(
            f"signal_directions[{name!r}] is {given[name]!r}, but must be 'positive' or 'negative'."
        )
    return 1.0 if given[name] == "positive" else -1.0
