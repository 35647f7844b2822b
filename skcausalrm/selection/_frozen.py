"""A fitted likelihood whose counts are forgotten: enough for the posterior of new rows."""

from __future__ import annotations

from ._likelihood import GradedLikelihood
from ._priors import Knowledge

__all__ = ["FrozenLikelihood"]


class FrozenLikelihood(GradedLikelihood):
    """`GradedLikelihood` for `bins` alone.

    Parameters
    ----------
    knowledge : Knowledge
    link, tau : float
    selects : bool
        Whether there are both rated and unrated volunteers, so that who rates is modelled.
    """

    def __init__(self, knowledge: Knowledge, link: float, tau: float, selects: bool):
        self.knowledge, self.link, self.tau, self.selects = knowledge, link, tau, selects
