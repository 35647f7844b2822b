"""Agreement of reviewers who have judged the same answers."""

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np


class Agreement(NamedTuple):
    """Agreement of two reviewers.

    Attributes
    ----------
    reviewers : (str, str)
    n : int
        Answers that both have judged.
    share : float
        Share on which they agree.
    kappa : float or None
        Cohen's kappa: 0 is by chance, 1 is perfect; None where one verdict is all that both gave.
    """

    reviewers: tuple[str, str]
    n: int
    share: float
    kappa: float | None


def agreements(judgements: dict[tuple[str, str], Any]) -> list[Agreement]:
    """Return the agreement of every two reviewers who share an answer.

    Parameters
    ----------
    judgements : dict
        Key and reviewer to 1, 0 or None (skipped).

    Examples
    --------
    >>> from skcausalrm.datasets._agreement import agreements
    >>> said = {"anna": [1, 1, 0, 0, 1], "ben": [1, 1, 0, 1, None]}
    >>> found = agreements(
    ...     {(str(k), who): verdict for who, all in said.items() for k, verdict in enumerate(all)}
    ... )
    >>> found
    [Agreement(reviewers=('anna', 'ben'), n=4, share=0.75, kappa=0.5)]
    """
    by_reviewer: dict[str, dict[str, int]] = {}
    for (key, reviewer), verdict in judgements.items():
        if verdict is not None:
            by_reviewer.setdefault(reviewer, {})[key] = int(verdict)
    found = []
    for one, other in combinations(sorted(by_reviewer), 2):
        keys = by_reviewer[one].keys() & by_reviewer[other].keys()
        if keys:
            a, b = (np.array([by_reviewer[who][key] for key in keys]) for who in (one, other))
            share = float((a == b).mean())
            by_chance = float(a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))
            kappa = None if by_chance == 1 else (share - by_chance) / (1 - by_chance)
            found.append(Agreement((one, other), len(keys), share, kappa))
    return found
