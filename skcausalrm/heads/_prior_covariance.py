"""Powers of the covariance of X as prior covariances of a linear model's coefficients."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_blas_funcs, qr, svd

# Number of columns up to which all eigenpairs are computed, and of pairs beyond it.
_DENSE_WIDTH, _N_LEADING = 512, 256
# Further pairs, for the sake of the others' accuracy, and number of products with the matrix.
_N_SPARE, _N_PRODUCTS = 10, 4
# Least eigenvalue, as a share of the largest.
_FLOOR = 1e-6
# Prior standard deviation along a direction that is known beforehand, in units of the others'.
STRETCH = 101.0


def symmetric(lower: NDArray) -> NDArray:
    """Return the symmetric matrix of which `lower` holds the lower triangle."""
    return np.tril(lower) + np.tril(lower, -1).T


def _leading_pairs(covariance: NDArray) -> tuple[NDArray, NDArray]:
    """Return the leading eigenvectors of a symmetric matrix and their eigenvalues, downwards.

    A randomised range finder with power iterations (Halko, Martinsson and Tropp, 2011, algorithm
    4.4). It reads the lower triangle alone, so that no second triangle has to be made.
    """
    symm = get_blas_funcs("symm", dtype=covariance.dtype)
    size = len(covariance), _N_LEADING + _N_SPARE
    block = np.random.RandomState(0).standard_normal(size).astype(covariance.dtype)
    for _ in range(_N_PRODUCTS):
        basis = qr(block, mode="economic", overwrite_a=True)[0]
        block = symm(1.0, covariance, basis, lower=1)
    vectors, values, _ = svd(block, full_matrices=False, overwrite_a=True)
    return vectors[:, :_N_LEADING], values[:_N_LEADING]


class Basis(NamedTuple):
    """``B = T P``, so that a ridge penalty on g is the prior ``T P^2 T`` of ``b = B g``.

    Attributes
    ----------
    vectors : ndarray of shape (d, r)
        Orthonormal eigenvectors of T. Products are in their dtype: float32 halves the time.
    excess : ndarray of shape (r,)
        Their eigenvalues less `rest`.
    rest : float
        Eigenvalue of all other directions.
    known : ndarray of shape (d,) or None
        Unit vector that P stretches by 101, so that ``T known`` is hardly penalised. None: P = I.
    """

    vectors: NDArray[np.float64]
    excess: NDArray[np.float64]
    rest: float
    known: NDArray[np.float64] | None = None

    def _scale(self, v: NDArray) -> NDArray[np.float64]:
        dtype = self.vectors.dtype
        along = self.vectors.T @ v.astype(dtype, copy=False)
        across = self.vectors @ (self.excess * along.T).T.astype(dtype, copy=False)
        return self.rest * v + across

    def _stretch(self, v: NDArray) -> NDArray[np.float64]:
        if self.known is None:
            return v
        along = (STRETCH - 1) * (self.known @ v)
        return v + (np.outer(self.known, along) if v.ndim == 2 else self.known * along)

    def __call__(self, v: NDArray) -> NDArray[np.float64]:
        """Return ``B v`` of a vector or of the columns of a matrix."""
        return self._scale(self._stretch(v))

    def transposed(self, v: NDArray) -> NDArray[np.float64]:
        """Return ``B' v`` of a vector or of the columns of a matrix."""
        return self._stretch(self._scale(v))

    def knowing(self, direction: NDArray) -> "Basis":
        """Return the basis in which `direction`, shape (d,), is hardly penalised."""
        inverse = Basis(self.vectors, 1 / (self.excess + self.rest) - 1 / self.rest, 1 / self.rest)
        known = inverse(direction)
        norm = float(np.linalg.norm(known))
        return self._replace(known=known / norm) if norm > 0 else self


class Spectrum(NamedTuple):
    """Eigenvalues of the covariance of X: all of them, or the leading ones and the others' mean.

    Attributes
    ----------
    values : ndarray of shape (r,)
    vectors : ndarray of shape (d, r)
    rest : float
        Median of all eigenvalues, or the mean of those that are not in `values`.
    """

    values: NDArray[np.float64]
    vectors: NDArray[np.float64]
    rest: float

    @classmethod
    def of(cls, covariance: NDArray) -> "Spectrum":
        """Return the spectrum of a symmetric matrix by its lower triangle, shape (d, d)."""
        d = len(covariance)
        if d <= _DENSE_WIDTH:
            values, vectors = np.linalg.eigh(covariance.astype(np.float64, copy=False))
            values = np.maximum(values, _FLOOR * max(values[-1], 1e-300))
            return cls(values, vectors, float(np.median(values)))
        vectors, values = _leading_pairs(covariance)
        rest = (np.trace(covariance, dtype=np.float64) - values.sum()) / (d - len(values))
        floor = _FLOOR * max(values[0], 1e-300)
        return cls(np.maximum(values, floor), vectors, float(max(rest, floor)))

    @property
    def effective_dimension(self) -> float:
        """Number of equal eigenvalues that would vary as much: (sum of l)^2 / sum of l^2."""
        others = len(self.vectors) - len(self.values)
        total = self.values.sum() + others * self.rest
        return float(total**2 / (self.values @ self.values + others * self.rest**2))

    def basis(self, power: float) -> Basis:
        """Return the basis whose prior covariance is a power of the covariance, unit `rest`."""
        scales = (self.values / self.rest) ** (power / 2)
        return Basis(self.vectors, scales - 1, 1.0)
