"""Ridge regressions averaged over prior covariances and penalties."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._linear_systems import EIGEN_WIDTH, KrylovSpace
from ._moments import FoldMoments
from ._prior_covariance import STRETCH, Spectrum
from ._ridge import ALPHAS, ridge_paths

# Powers of the covariance of X that serve as prior covariance of the coefficients: from "all
# columns matter alike" to "columns matter as they vary".
POWERS = (0.0, 0.5, 1.0)
# Largest dimension of a Krylov space. Penalties so small that they need more overfit, and have no
# weight in the average.
_MAX_ITER = 96
# Where X is wide: the smallest penalty to begin with, and how many are added at a time.
_FIRST, _STEP = 9, 3
# Residual of the smallest penalty, as a share of the right-hand side. Evidence is a difference of
# large sums: at .001 scores were off by up to .012 standard deviations, at this by .002.
_TOLERANCE = 3e-4
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
    K, of_target = moments.n_splits, moments.target_moments(target)
    if directions is None:
        priors = [[spectrum.basis(power) if power else None] * K for power in POWERS]
    else:
        bases = map(spectrum.basis, POWERS)
        priors = [[basis.knowing(direction) for direction in directions] for basis in bases]
    # A stretched direction makes up nearly all of the right-hand side.
    tol = _TOLERANCE if directions is None else _TOLERANCE / STRETCH
    fit = partial(ridge_paths, moments, of_target, ALPHAS, priors, tol=tol, max_iter=_MAX_ITER)
    if weights is not None:
        wanted = weights > _NEGLIGIBLE
        paths, _, _ = fit(wanted=wanted)
        weights = np.where(wanted, weights, 0)
    else:
        paths, evidence = _fit_downwards(fit, moments)
        weights = np.exp(evidence)
    weights = weights / weights.sum()
    return AveragedRidge(np.einsum("pkda,pa->kd", paths, weights), weights)


def _fit_downwards(
    fit: Callable[..., tuple[NDArray, NDArray, NDArray]], moments: FoldMoments
) -> tuple[NDArray, NDArray]:
    """Return paths and evidence of all penalties, if wide of those that can matter.

    Small penalties need the longest Krylov runs, and hardly ever matter where X is wide. So they
    come last, in steps, until the smallest so far has no weight: below it, risk only grows.
    """
    first = _FIRST if len(moments.center) > EIGEN_WIDTH else 0
    spaces: dict[tuple[int, int], KrylovSpace] = {}
    wanted = np.zeros((len(POWERS), len(ALPHAS)), dtype=bool)
    wanted[:, first:] = True
    paths, _, risks = fit(wanted=wanted, spaces=spaces)
    while first > 0 and (_evidence(moments, risks)[:, first] > np.log(_NEGLIGIBLE)).any():
        first -= _STEP
        wanted[:] = False
        wanted[:, first : first + _STEP] = True
        further, _, of_further = fit(wanted=wanted, spaces=spaces)
        paths, risks = paths + further, np.minimum(risks, of_further)
    return paths, _evidence(moments, risks)


def _evidence(moments: FoldMoments, risks: NDArray) -> NDArray[np.float64]:
    """Return each candidate's log likelihood less the best's, of normal errors out of fold."""
    least = max(risks.min(), np.finfo(float).tiny)  # rounding can take a perfect fit below 0
    return -moments.weight_sums.sum() * (np.maximum(risks, least) - least) / (2 * least)
