"""What a score within prompts rests on: prompts with several answers, and pairs that tie."""

from typing import NamedTuple

import numpy as np
from sklearn.utils import check_consistent_length

from .._utils._clusters import group_codes
from ._sample import finite_column


class RankablePairs(NamedTuple):
    """Counts of what an AUROC within prompts compares.

    Attributes
    ----------
    prompts : int
        Prompts.
    several : int
        Prompts with several answers; the others have no pair.
    answers : int
        Answers of these.
    pairs : int
        Pairs of answers to one prompt.
    tied : int
        Pairs of equal score, which count one half.
    """

    prompts: int
    several: int
    answers: int
    pairs: int
    tied: int


def rankable_pairs(prediction, groups) -> RankablePairs:
    """Count the pairs of answers to one prompt, and those that a score does not tell apart.

    Parameters
    ----------
    prediction : array-like of shape (n,)
        Any score that ranks.
    groups : array-like of shape (n,)
        Prompt of each answer.

    Returns
    -------
    RankablePairs
        ``prompts``, ``several``, ``answers``, ``pairs`` and ``tied``.

    Raises
    ------
    InvalidInputError
        If a score is not finite.
    GroupsError
        If groups are not one id per row.

    See Also
    --------
    debiased_within_roc_auc_score : The score of these pairs.

    Notes
    -----
    Which prompts have answers of one class only, and so no pair of a good and a bad one, no log
    shows: rewards are not seen.

    Examples
    --------
    >>> from skcausalrm.metrics import rankable_pairs
    >>> rankable_pairs([0.9, 0.4, 0.4, 0.7], ["a", "a", "a", "b"])
    RankablePairs(prompts=2, several=1, answers=3, pairs=3, tied=1)
    """
    prediction = finite_column(prediction, "prediction", "every row needs one")
    check_consistent_length(prediction, groups)
    codes = group_codes(groups, len(prediction))
    sizes = np.bincount(codes)
    order = np.lexsort((prediction, codes))
    new = np.diff(codes[order], prepend=-1) != 0
    new |= np.diff(prediction[order], prepend=np.nan) != 0
    ties = np.diff(np.flatnonzero(np.r_[new, True]))
    return RankablePairs(
        prompts=len(sizes),
        several=int((sizes > 1).sum()),
        answers=int(sizes[sizes > 1].sum()),
        pairs=_pairs(sizes),
        tied=_pairs(ties),
    )


def _pairs(sizes) -> int:
    return int((sizes * (sizes - 1) // 2).sum())
