"""Best of n: the quality of the answers that a reward picks, without training a language model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln
from sklearn.utils import check_consistent_length, check_random_state

from .._utils._clusters import group_codes
from ..exceptions import GroupsError, InvalidInputError
from ._sample import finite_column

if TYPE_CHECKING:
    import pandas as pd


Array = NDArray[np.float64]


def best_of_n(
    preference: ArrayLike,
    scores: ArrayLike | Mapping[str, ArrayLike],
    groups: ArrayLike,
    *,
    n: ArrayLike | None = None,
    n_bootstrap: int = 1000,
    random_state=None,
) -> pd.DataFrame:
    """Measure the quality of the answers that rewards pick among n random answers to a prompt.

    The expected preference of the answer with the highest score among n answers to a prompt, drawn
    without replacement, is computed exactly, not by simulation. Answers of equal score share a
    pick. Means are over prompts.

    Parameters
    ----------
    preference : array-like of shape (n_answers,)
        True quality of each answer, such as the probability that a judge prefers it to a
        reference. A pick above .5 wins; .5 counts half.
    scores : array-like of shape (n_answers,), or mapping of str to such
        Rewards of the answers: those of one model, or of several by name (also a DataFrame). The
        others are compared with the first, on the same prompts.
    groups : array-like of shape (n_answers,)
        Prompt of each answer.
    n : int or array-like of int, default=None
        Number of answers to pick from. None: 2, 4, 8 and so on below the smallest number of answers
        of a prompt, and that number itself.
    n_bootstrap : int, default=1000
        Bootstrap draws of prompts, with replacement; all columns use the same draws.
    random_state : int, RandomState or None, default=None
        Seed of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        A row for each n and score, then "random" (any answer) and "oracle" (the preference itself
        as score): columns ``n``, ``score``, mean ``preference`` of the picks with the 95% bootstrap
        interval ``preference_low``, ``preference_high``; ``win_rate`` with its interval; and
        ``difference`` of the preference from that of the first score, with its interval.

    Raises
    ------
    GroupsError
        If a prompt has fewer than n answers, or there is only one prompt.
    InvalidInputError
        If preferences or scores are NaN or infinite, or there are none.
    ValueError
        If columns differ in length, or n is below 1.

    Notes
    -----
    With m answers sorted by score, the k-th best is the pick of ``C(m - k, n - 1)`` of the
    ``C(m, n)`` samples; C(m, n) is the binomial coefficient.

    Examples
    --------
    >>> from skcausalrm.metrics import best_of_n
    >>> preference = [0.9, 0.2, 0.4, 0.8, 0.6, 0.1]
    >>> table = best_of_n(preference, [3, 2, 1, 1, 2, 3], list("aaabbb"), n=2, random_state=0)
    >>> table[["n", "score", "preference", "win_rate"]].round(2)
       n   score  preference  win_rate
    0  2   score        0.47      0.50
    1  2  random        0.50      0.50
    2  2  oracle        0.73      0.83
    """
    import pandas as pd

    preference = finite_column(preference, "preference", "give every answer a quality")
    named = scores if isinstance(scores, Mapping | pd.DataFrame) else {"score": scores}
    columns: dict[str, Array] = {
        str(name): finite_column(score, f"Score {name!r}", "score every answer")
        for name, score in named.items()
    }
    if not columns:
        raise InvalidInputError("scores names no score: give at least one.")
    columns |= {"random": np.zeros(len(preference)), "oracle": preference}
    check_consistent_length(preference, *columns.values())
    codes = group_codes(groups, len(preference))
    sizes = np.bincount(codes)
    if len(sizes) < 2:
        raise GroupsError(
            f"All {len(preference)} answers are to one prompt, but an interval over prompts needs "
            f"at least two: check groups."
        )
    counts = _counts(n, sizes)
    win = np.where(preference == 0.5, 0.5, preference > 0.5)

    draws = check_random_state(random_state).multinomial(
        len(sizes), np.full(len(sizes), 1 / len(sizes)), size=n_bootstrap
    ) / len(sizes)
    rows = []
    for count in map(int, counts):
        picks = {
            name: _chance_of_pick(score, codes, sizes, count) for name, score in columns.items()
        }
        preferred = {
            name: np.bincount(codes, chance * preference) for name, chance in picks.items()
        }
        base = next(iter(preferred.values()))
        for name, chance in picks.items():
            row: dict[str, object] = {"n": count, "score": name}
            for column, values in (
                ("preference", preferred[name]),
                ("win_rate", np.bincount(codes, chance * win)),
                ("difference", preferred[name] - base),
            ):
                row[column] = values.mean()
                low, high = np.quantile(draws @ values, [0.025, 0.975])
                row |= {f"{column}_low": low, f"{column}_high": high}
            rows.append(row)
    return pd.DataFrame(rows)


def _counts(n, sizes: NDArray) -> NDArray:
    fewest = int(sizes.min())
    if n is None:
        powers = 2 ** np.arange(1, max(2, fewest.bit_length()))
        return np.unique([*powers[powers < fewest], fewest])
    counts = np.atleast_1d(np.asarray(n))
    if counts.dtype.kind not in "iu" or counts.ndim != 1 or not len(counts) or counts.min() < 1:
        raise ValueError(f"n is {n!r}, but must be whole numbers of at least 1.")
    if short := int(np.count_nonzero(sizes < counts.max())):
        raise GroupsError(
            f"{short} of {len(sizes)} prompts have fewer than n={counts.max()} answers (the "
            f"fewest: {fewest}): leave them out or choose a smaller n."
        )
    return counts


def _chance_of_pick(score: Array, codes: NDArray, sizes: NDArray, n: int) -> Array:
    """Return the probability that each answer is the pick among n answers; 1 in sum per prompt."""
    order = np.lexsort((-score, codes))
    start = np.cumsum(sizes) - sizes
    m = sizes[codes[order]].astype(np.float64)
    below = m - 1 - (np.arange(len(order)) - start[codes[order]])  # answers ranked lower
    possible = below >= n - 1
    free = np.where(possible, below, n - 1)
    # log of C(below, n - 1) / C(m, n), up to the factor n that follows
    log_chance = gammaln(free + 1) - gammaln(free - n + 2) - gammaln(m + 1) + gammaln(m - n + 1)
    ranked = np.where(possible, n * np.exp(log_chance), 0.0)
    # Answers of equal score share their picks equally.
    starts = np.diff(codes[order], prepend=-1).astype(bool)
    starts |= np.diff(score[order], prepend=np.nan) != 0
    tie = np.cumsum(starts) - 1
    shared = (np.bincount(tie, ranked) / np.bincount(tie))[tie]
    chance = np.empty(len(order))
    chance[order] = shared
    return chance
