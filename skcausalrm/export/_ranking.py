"""Order of answers to one prompt."""

from typing import Any

import numpy as np

from ..exceptions import InvalidInputError


def check_answers(completions: Any) -> None:
    """Raise if one text is given in place of a list of answers.

    Raises
    ------
    InvalidInputError
    """
    if isinstance(completions, str):
        raise InvalidInputError(
            "completions is one text, but rank compares a list of answers: put it in a list."
        )


def best_first(scores: np.ndarray) -> np.ndarray:
    """Return positions by falling score, equal scores in their order.

    Every ranking uses unbounded scores: clipped rewards tie at 0 and 1.
    """
    return np.argsort(-scores, kind="stable")
