"""Scores in columns of their own, and what a score's name tells where nothing else does."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from ..text._messages import is_list
from ._columns import score_like
from ._spans import UNKNOWN, USER, make_scores, missing, pick
from ._texts import decode

# Names of scores that users give.
_USERS_SCORE = re.compile(r"user|thumb|vote|feedback", re.IGNORECASE)
# Names of texts about an answer, which users write too.
_COMMENT = re.compile(
    r"comment|remark|reason|correction|explanation|(^|[\s_-])(notes?|text)\b", re.IGNORECASE
)


def kind_by_name(name: Any) -> str:
    """Return the rater that a score's name tells: a user, or nobody that is known.

    Examples
    --------
    >>> [kind_by_name(name) for name in ("user-feedback", "user-comment", "toxicity")]
    ['user', 'unknown', 'unknown']
    """
    return USER if _USERS_SCORE.search(str(name)) and not is_comment(name) else UNKNOWN


def is_comment(name: Any) -> bool:
    """Return True if a score's name tells that it is a text about the answer.

    Examples
    --------
    >>> [is_comment(name) for name in ("user_comment", "context_relevance")]
    [True, False]
    """
    return bool(_COMMENT.search(str(name)))


def single_values(records: pd.DataFrame, known: Iterable[str]) -> list[str]:
    """Return the columns with a score's name and single values or lists, except known ones."""
    return [
        name
        for name in score_like(records, known)
        if records[name].dropna().map(lambda value: np.isscalar(value) or is_list(value)).all()
    ]


def column_scores(
    records: pd.DataFrame,
    column: str,
    *,
    ids: pd.Series,
    traces: pd.Series,
    name: str | None = None,
    comment: str | None = None,
) -> pd.DataFrame:
    """Return a column of scores, single ones or lists of them, as raw scores.

    `ids` and `traces` are those of the records. The rater is told by `name`, or the column's name.
    """
    filled = records[column].notna() & (records[column].astype(str) != "")
    rated = np.flatnonzero(filled).tolist()
    cells = zip(rated, records[column].iloc[rated].map(decode), strict=True)
    pairs = [(row, item) for row, cell in cells for item in (cell if is_list(cell) else [cell])]
    rows = [row for row, _ in pairs]
    some = records.iloc[rows].reset_index(drop=True)
    name = column if name is None else name
    return make_scores(
        some,
        span=ids.iloc[rows].reset_index(drop=True),
        trace=traces.iloc[rows].reset_index(drop=True),
        name=pd.Series(name, index=some.index),
        value=pd.Series([item for _, item in pairs], index=some.index, dtype=object),
        kind=pd.Series(kind_by_name(name), index=some.index),
        rater=missing(some),
        timestamp=missing(some),
        comment=missing(some) if comment is None else pick(some, comment),
        metadata=missing(some),
    )
