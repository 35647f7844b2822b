"""Pseudo-outcomes corrected by verified rows that had no part in them."""

import numpy as np
from numpy.typing import NDArray

from .._utils._validation import check_verified, check_weights
from ..exceptions import FeedbackError
from ._sample import check_outcomes


def prediction_powered(z, verified, *, sample_weight=None) -> NDArray[np.float64]:
    """Correct pseudo-outcomes by verified rows that were kept out of their fit.

    A score of the result is that of z on all rows plus its mean error on the verified rows
    (Angelopoulos et al. 2023). It needs none of what z assumes: where z is good, it has less error
    than a score of the verified rows alone, and where z is wrong, its standard error says so.

    Parameters
    ----------
    z : array-like of shape (n,) or (n, m)
        Pseudo-outcomes or draws of them that have not used the labels in `verified`. Noise of z
        remains in the score: the posterior, ``pseudo_outcomes(method="selection")``, has least.
    verified : array-like of shape (n,)
        1 or 0 where a careful person has judged the answer, NaN elsewhere. The rows must have been
        drawn at random from all rows that are scored.
    sample_weight : array-like of shape (n,), default=None
        The weights of the score.

    Returns
    -------
    ndarray of the shape of z
        ``z + (r - z) / share`` in verified rows with the label r, share being theirs of all
        weight; z elsewhere.

    Raises
    ------
    FeedbackError
        If no row is verified, or a label is neither 0 nor 1.
    InvalidInputError
        If z is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.metrics import debiased_mse, prediction_powered
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(20_000)
    >>> r = (rng.random(20_000) < p).astype(float)
    >>> verified = np.where(np.arange(20_000) % 20 == 0, r, np.nan)
    >>> z = 0.8 * p  # a wrong level
    >>> score, std = debiased_mse(prediction_powered(z, verified), p, return_std=True)
    >>> bool(abs(score - debiased_mse(r, p)) < 2 * std)
    True
    >>> bool(abs(debiased_mse(z, p) - debiased_mse(r, p)) > 2 * std)
    True
    """
    z = check_outcomes(z)
    found = check_verified(verified, len(z))
    label = np.full(len(z), np.nan) if found is None else found
    judged = ~np.isnan(label)
    weight = check_weights(sample_weight, z)
    weight = np.ones(len(z)) if weight is None else weight
    share = weight[judged].sum() / weight.sum()
    if not share > 0:
        raise FeedbackError(
            f"None of the {len(z)} rows is verified: a correction needs some labels."
        )
    corrected = z.copy()
    rows = label[judged].reshape(-1, *[1] * (z.ndim - 1))
    corrected[judged] += (rows - z[judged]) / share
    return corrected
