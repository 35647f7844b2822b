"""Ridge regressions averaged over prior covariances and penalties."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._moments import FoldMoments
from ._prior_covariance import STRETCH, Spectrum
from ._ridge import ALPHAS, ridge_paths

# Powers of the covariance of X that serve as prior covariance of the coefficients: from "all
# columns matter alike" to "columns matter as they vary".
POWERS = (0.0, 0.5, 1.0)
# Largest dimension of a Krylov space. Penalties so small that they need more overfit, and have no
# weight in the average.
_MAX_ITER = 96
# Share of the weight up to which a candidate of known weight is left out.
_NEGLIGIBLE = 1e-3


class AveragedRidge(NamedTuple):
    """Linear models of all folds but each, averaged over candidates.

    Attributes
    ----------
    coefs : ndarray of shape (n_splits, d)
    weights : ndarray of shape (n_powers, n_alphas)
        Weights of the candidates.
    """

    coefs: NDArray[np.float64]
    weights: NDArray[np.float64]


def fit_averaged_ridge(
    moments: FoldMoments,
    target: NDArray,
    spectrum: Spectrum,
    *,
    directions: NDArray | None = None,
    weights: NDArray | None = None,
) -> AveragedRidge:
    """Fit ridge regressions for every prior covariance and penalty, and average coefficients.

    Parameters
    ----------
    moments : FoldMoments
        Moments of the rows to fit on.
    target : ndarray of shape (n,)
        Only rows of positive weight in `moments` are read.
    spectrum : Spectrum
        Of the covariance whose powers are the priors.
    directions : ndarray of shape (n_splits, d) or None, default=None
        Direction that the penalty spares in each fold's model.
    weights : ndarray of shape (n_powers, n_alphas) or None, default=None
        Known weights of the candidates. None weighs them by ``exp(-n (R - R_min) / (2 R_min))``,
        with R the out-of-fold squared error: the likelihood of normal errors.

    Returns
    -------
    AveragedRidge
    """
    K, d = moments.n_splits, len(moments.center)
    known, of_target = weights, moments.target_moments(target)
    # A stretched direction makes up nearly all of the right-hand side.
    tol = 1e-3 if directions is None else 1e-3 / STRETCH
    paths = np.zeros((len(POWERS), K, d, len(ALPHAS)))
    risks = np.full((len(POWERS), len(ALPHAS)), np.inf)
    for i, power in enumerate(POWERS):
        matters = (
            np.arange(len(ALPHAS)) if known is None else np.flatnonzero(known[i] > _NEGLIGIBLE)
        )
        if len(matters) == 0:
            continue
        basis = spectrum.basis(power)
        if directions is None:
            bases = [None if power == 0 else basis] * K
        else:
            bases = [basis.knowing(direction) for direction in directions]
        found = ridge_paths(moments, of_target, ALPHAS[matters], bases, tol=tol, max_iter=_MAX_ITER)
        paths[i][..., matters], _, risks[i, matters] = found
    if known is None:
        least = max(risks.min(), np.finfo(float).tiny)
        weights = np.exp(-moments.weight_sums.sum() * (risks - least) / (2 * least))
    else:
        weights = np.where(known > _NEGLIGIBLE, known, 0)
    weights = weights / weights.sum()
    return AveragedRidge(np.einsum("pkda,pa->kd", paths, weights), weights)
