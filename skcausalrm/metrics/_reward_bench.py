"""Scores of RewardBench 2 on flat columns: a row per answer, a group per prompt."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length

from .._utils._clusters import group_codes
from ..exceptions import GroupsError
from ._sample import finite_column

Array = NDArray[np.float64]


def best_of_4_score(correct: ArrayLike, score: ArrayLike, groups: ArrayLike) -> float:
    """Share of prompts whose one correct answer scores above the three others.

    Parameters
    ----------
    correct : array-like of bool, shape (n,)
        The one correct answer of each prompt.
    score : array-like of shape (n,)
        Rewards.
    groups : array-like of shape (n,)
        Prompt of each answer.

    Returns
    -------
    float
        Between 0 and 1. If the correct answer shares the highest score with others, k answers in
        all, the prompt counts 1/k.

    Raises
    ------
    GroupsError
        If a prompt does not have four answers, one of them correct.
    InvalidInputError
        If scores are NaN or infinite.

    References
    ----------
    Malik et al., "RewardBench 2: advancing reward model evaluation", arXiv 2506.01937: all its
    subsets but Ties.

    Examples
    --------
    >>> from skcausalrm.metrics import best_of_4_score
    >>> best_of_4_score([1, 0, 0, 0] * 2, [9, 1, 1, 1, 2, 2, 1, 0], [0] * 4 + [1] * 4)
    0.75
    """
    correct, score, codes = _columns(correct, score, groups)
    sizes, n_correct = np.bincount(codes), np.bincount(codes, correct)
    wrong = (sizes != 4) | (n_correct != 1)
    if wrong.any():
        raise GroupsError(
            f"{np.count_nonzero(wrong)} of {len(sizes)} prompts do not have four answers, one of "
            f"them correct: leave them out (ties_score is for several correct answers)."
        )
    at_top = score == _extreme(np.maximum, score, codes)[codes]
    return float((np.bincount(codes, at_top & correct) / np.bincount(codes, at_top)).mean())


def ties_score(
    correct: ArrayLike, score: ArrayLike, groups: ArrayLike, *, reference: ArrayLike
) -> float:
    """Score of prompts with several correct answers, each paired with a prompt with one.

    A reward should rank every correct answer above every wrong one, and the correct answers should
    differ less from each other than from the wrong ones.

    Parameters
    ----------
    correct : array-like of bool, shape (n,)
        Correct answers.
    score : array-like of shape (n,)
        Rewards.
    groups : array-like of shape (n,)
        Pair of prompts of each answer.
    reference : array-like of bool, shape (n,)
        True for answers to the pair's prompt with one correct answer, False for those to its prompt
        with several.

    Returns
    -------
    float
        ``.3 a_ties + .3 a_ref + .2 c + .2 h + .01 t``, each a mean over pairs: a, all correct
        answers score above all wrong ones; c, the margin of correct over wrong exceeds the spread
        of the correct; h, so does the smaller margin of the pair; t, ``tanh(smaller margin / spread
        - 1)``, 0 where both are 0. The maximum is 1.01.

    Raises
    ------
    GroupsError
        If a prompt of a pair has no correct or no wrong answers, or the reference prompt does not
        have exactly one correct answer.
    InvalidInputError
        If scores are NaN or infinite.

    References
    ----------
    Malik et al., arXiv 2506.01937, subset Ties; the formula is that of its evaluation code
    (github.com/allenai/reward-bench).

    Examples
    --------
    >>> from skcausalrm.metrics import ties_score
    >>> correct, score = [1, 0, 1, 1, 0], [5.0, 1.0, 4.0, 5.0, 0.0]
    >>> round(ties_score(correct, score, [0] * 5, reference=[1, 1, 0, 0, 0]), 4)
    1.01
    """
    correct, score, pair = _columns(correct, score, groups)
    reference = np.asarray(reference, dtype=bool)
    check_consistent_length(score, reference)
    n_pairs = pair.max() + 1
    prompt = pair + n_pairs * reference
    n_correct, n_wrong = (
        np.bincount(prompt, rows, minlength=2 * n_pairs) for rows in (correct, ~correct)
    )
    bad = (n_correct == 0) | (n_wrong == 0)
    bad[n_pairs:] |= n_correct[n_pairs:] != 1
    if bad.any():
        raise GroupsError(
            f"{np.count_nonzero(bad[:n_pairs] | bad[n_pairs:])} of {n_pairs} pairs lack a prompt, "
            f"or correct or wrong answers to it, or have several correct answers to the reference "
            f"prompt: leave them out."
        )
    lowest = _extreme(np.minimum, score[correct], prompt[correct])
    highest = _extreme(np.maximum, score[correct], prompt[correct])
    margin = lowest - _extreme(np.maximum, score[~correct], prompt[~correct])
    spread = (highest - lowest)[:n_pairs]
    smaller = np.minimum(margin[:n_pairs], margin[n_pairs:])
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.nan_to_num(np.tanh(smaller / spread - 1), nan=0.0)
    return float(
        0.3 * (margin[:n_pairs] > 0).mean()
        + 0.3 * (margin[n_pairs:] > 0).mean()
        + 0.2 * (margin[:n_pairs] > spread).mean()
        + 0.2 * (smaller > spread).mean()
        + 0.01 * excess.mean()
    )


def _columns(correct, score, groups) -> tuple[NDArray[np.bool_], Array, NDArray[np.intp]]:
    score = finite_column(score, "score", "score every answer")
    correct = np.asarray(correct, dtype=bool)
    check_consistent_length(score, correct)
    return correct, score, group_codes(groups, len(score))


def _extreme(ufunc, values: Array, codes: NDArray) -> Array:
    """Return the largest or smallest value of each group, by `numpy.maximum` or `numpy.minimum`."""
    order = np.argsort(codes, kind="stable")
    first = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return ufunc.reduceat(values[order], first)
