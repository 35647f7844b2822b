"""Ridge regressions averaged over prior covariances and penalties."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._moments import FoldMoments
from ._prior_covariance import Spectrum
from ._ridge import ALPHAS, ridge_paths

# Powers of the covariance of X that serve as prior covariance of the coefficients: from "all
# columns matter alike" to "columns matter as they vary".
POWERS = (0.0, 0.5, 1.0)
# Largest dimension of a Krylov space. Penalties so small that they need more overfit, and have no
# weight in the average.
_MAX_ITER = 120


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
    paths, risks = [], []
    for power in POWERS:
        basis = spectrum.basis(power)
        if directions is None:
            bases = [None if power == 0 else basis] * moments.n_splits
        else:
            bases = [basis.knowing(direction) for direction in directions]
        path, _, risk = ridge_paths(moments, target, ALPHAS, bases, max_iter=_MAX_ITER)
        paths.append(path)
        risks.append(risk)
    if weights is None:
        risk = np.array(risks)
        least = max(risk.min(), np.finfo(float).tiny)
        weights = np.exp(-moments.weight_sums.sum() * (risk - least) / (2 * least))
        weights /= weights.sum()
    return AveragedRidge(np.einsum("pkda,pa->kd", np.array(paths), weights), weights)
