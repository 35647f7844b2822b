"""AUROC within prompts, which best of n needs, for a log whose prompts repeat."""

from typing import Any

import numpy as np
import pandas as pd

from ..datasets._labels import answer_texts
from ..exceptions import FeedbackError
from ..metrics import rankable_pairs
from ..metrics._estimate import estimate
from ._logs import FeedbackLog


def score_within_prompts(
    log: FeedbackLog, z: np.ndarray, prediction: np.ndarray
) -> dict[str, Any] | None:
    """Return the AUROC within prompts and what it rests on; None if no prompt repeats.

    Parameters
    ----------
    log : FeedbackLog
    z : ndarray of shape (n,) or (n, m)
        Pseudo-outcomes, or draws of them.
    prediction : ndarray of shape (n,)
        Predictions of a model that was not fitted on the row.

    Notes
    -----
    Rows are answers to one prompt if its text is the same: a conversation has several prompts. What
    these share is that of their user, or of the conversation where he is unknown.
    """
    prompts = pd.factorize(np.array(answer_texts(log.text)[0], dtype=object))[0]
    counts = rankable_pairs(prediction, prompts)
    if not counts.pairs:
        return None
    found: dict[str, Any] = counts._asdict()
    try:
        score = estimate("within_roc_auc", z, prediction, groups=prompts, users=_raters(log))
    except FeedbackError as error:
        return {**found, "value": None, "reason": str(error)}
    return {**found, "value": score.score, "std": score.std, "interval": (score.low, score.high)}


def _raters(log: FeedbackLog) -> np.ndarray:
    """Return codes of users, and of conversations where a user is missing."""
    talks = pd.factorize(log.groups)[0]
    if log.users is None:
        return talks
    users = pd.factorize(log.users)[0]
    return np.where(users < 0, users.max(initial=-1) + 1 + talks, users)


def describe_within_prompts(found: dict[str, Any]) -> str:
    """Return the AUROC within prompts as a sentence, with what does not count."""
    said = (
        f"{found['several']:,} of {found['prompts']:,} prompts have several answers, "
        f"{found['pairs']:,} pairs, of which {found['tied']:,} tie and count half"
    )
    if found["value"] is None:
        return f"No AUROC within prompts ({said}): {found['reason']}"
    low, high = found["interval"]
    return (
        f"AUROC within prompts: {found['value']:.3f} ({low:.3f} to {high:.3f}). {said}; prompts "
        f"whose answers are all good or all bad tell nothing."
    )
