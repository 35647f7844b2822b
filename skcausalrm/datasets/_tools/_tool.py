"""The reader of one tool's exports."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from .._spans import Export, Reading


def _never(columns: set[str]) -> bool:
    return False


@dataclass(frozen=True)
class Tool:
    """The reader of one tool's exports.

    Attributes
    ----------
    name : str
        Value of the parameter `format` of `load_feedback`.
    read : callable
        Takes the raw records, the raw scores or None, and a `Reading`; returns an `Export`.
    detect : callable
        Takes the names of a table's columns; returns True if they are surely those of the tool.
    scores_alone : callable
        Takes the names of a table's columns; returns True if it holds scores without answers.
    scores_inside : bool
        Whether the tool keeps scores in the records alone, so that none can be passed.
    """

    name: str
    read: Callable[[pd.DataFrame, pd.DataFrame | None, Reading], Export]
    detect: Callable[[set[str]], bool]
    scores_alone: Callable[[set[str]], bool] = _never
    scores_inside: bool = False
