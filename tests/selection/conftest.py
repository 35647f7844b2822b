"""Rows drawn from the graded likelihood itself, with indices, feedback and reward."""

from typing import NamedTuple

import numpy as np
import pytest

from skcausalrm.selection._counts import Counts, Outcome
from skcausalrm.selection._likelihood import GOOD, GradedLikelihood
from skcausalrm.selection._parameters import PARAMETERS, PHI_FN, PHI_FP, C
from skcausalrm.selection._priors import Knowledge


class Rows(NamedTuple):
    z: np.ndarray
    outcome: np.ndarray
    reward: np.ndarray
    theta: np.ndarray


def draw(n, seed=0, *, link=1.0, tau=2.3, asked_share=0.0, known=None, **parameters):
    """Draw n rows; `parameters` are values of `likelihood.PARAMETERS` by name, others 0."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2))
    every = Counts(
        z[:3],
        np.ones(3),
        np.arange(3),
        np.array([Outcome.UNRATED, Outcome.DISLIKED, Outcome.LIKED]),
        np.full(3, -1),
        np.ones(3),
    )
    model = GradedLikelihood(every, known or Knowledge(), link, tau)
    theta = np.zeros(len(PARAMETERS))
    theta[C], theta[[PHI_FP, PHI_FN]] = -1.5, np.log([0.2 / 0.8, 0.4 / 0.6])  # rates .1 and .2
    for name, value in parameters.items():
        theta[PARAMETERS.index(name)] = value
    asked = rng.random(n) < asked_share
    reward, outcome = np.empty(n), np.empty(n, dtype=np.intp)
    for at, outcomes in (
        (~asked, (Outcome.UNRATED, Outcome.DISLIKED, Outcome.LIKED)),
        (asked, (Outcome.ASKED_DISLIKED, Outcome.ASKED_LIKED)),
    ):
        rows = np.flatnonzero(at)
        p = np.hstack([model.bins(theta, z[rows], np.full(len(rows), o)) for o in outcomes])
        chosen = (np.cumsum(p, axis=1) < rng.random((len(rows), 1))).sum(axis=1)
        chosen = np.minimum(chosen, p.shape[1] - 1)
        reward[rows] = GOOD[chosen % len(GOOD)]
        outcome[rows] = np.array(outcomes)[chosen // len(GOOD)]
    return Rows(z, outcome, reward, theta)


@pytest.fixture(scope="session")
def draw_rows():
    return draw
