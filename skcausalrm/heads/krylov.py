"""Symmetric systems for many penalties at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, eigh_tridiagonal

__all__ = ["centred_product", "solve_shifted"]


def centred_product(gram: NDArray, weight_sum: float, mean: NDArray) -> Callable[[NDArray], NDArray]:
    """Return ``v -> (gram - weight_sum mean mean') v`` for a lower-triangle Gram matrix.

    The product runs in the dtype of the Gram matrix, its result is float64.
    """
    symv = blas.get_blas_funcs("symv", dtype=gram.dtype)

    def product(v: NDArray) -> NDArray:
        image = symv(1.0, gram, v.astype(gram.dtype), lower=1).astype(np.float64)
        image -= (weight_sum * (mean @ v)) * mean
        return image

    return product


def solve_shifted(
    product: Callable[[NDArray], NDArray],
    rhs: NDArray[np.float64],
    shifts: NDArray[np.float64],
    *,
    tol: float,
    max_iter: int = 400,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve ``(A + shift I) b = rhs`` for every shift from one Lanczos run.

    A Krylov space of A is one of A + shift I too, so all penalties of a ridge path share the
    products with A; a Cholesky factor would be good for one. A product costs d^2, a factor d^3/3.

    Parameters
    ----------
    product : callable
        ``v -> A v`` for a symmetric, positive semi-definite A.
    rhs : ndarray of shape (d,)
    shifts : ndarray of shape (p,)
        Positive.
    tol : float
        Stop when every residual norm is below ``tol * norm(rhs)``.
    max_iter : int, default=400
        Largest dimension of the Krylov space.

    Returns
    -------
    solutions : ndarray of shape (d, p)
    residuals : ndarray of shape (p,)
        Norms relative to that of `rhs`.

    Notes
    -----
    Lanczos with full reorthogonalisation; Golub and Van Loan, Matrix Computations, section 10.1.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.heads.krylov import solve_shifted
    >>> A = np.diag([1.0, 2.0])
    >>> b, _ = solve_shifted(A.dot, np.array([2.0, 3.0]), np.array([1.0]), tol=1e-12)
    >>> b.ravel().round(6).tolist()
    [1.0, 1.0]
    """
    d, norm = len(rhs), float(np.linalg.norm(rhs))
    if norm == 0:
        return np.zeros((d, len(shifts))), np.zeros(len(shifts))
    max_iter = min(max_iter, d)
    basis = np.empty((max_iter, d))
    diagonal, off_diagonal = np.empty(max_iter), np.empty(max_iter)
    vector, check_at, largest = rhs / norm, 4, 0.0
    for m in range(1, max_iter + 1):
        basis[m - 1] = vector
        image = product(vector)
        diagonal[m - 1] = vector @ image
        for _ in range(2):
            image -= (basis[:m] @ image) @ basis[:m]
        beta = float(np.linalg.norm(image))
        off_diagonal[m - 1] = beta
        largest = max(largest, abs(diagonal[m - 1]), beta)
        exhausted = beta <= 1e-7 * largest
        if m >= check_at or m == max_iter or exhausted:
            theta, S = eigh_tridiagonal(diagonal[:m], off_diagonal[: m - 1])
            small = S @ (norm * S[0][:, None] / (np.maximum(theta, 0)[:, None] + shifts))
            residuals = np.abs(beta * small[-1]) / norm
            if exhausted or residuals.max() <= tol:
                break
            check_at = int(1.25 * m) + 1
        vector = image / beta
    return basis[:m].T @ small, residuals
