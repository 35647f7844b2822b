"""Symmetric systems ``(A + shift I) b = rhs``, solved for many shifts at once.

In a `Basis` B the system is ``(B'A B + shift I) g = B' rhs`` with ``b = B g``: the penalty is then
a prior covariance ``B B'`` of b.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, eigh_tridiagonal

from ._prior_covariance import Basis, symmetric

# Maximum number of columns for an eigendecomposition. It costs little up to this width; beyond it,
# threaded LAPACK on a busy machine took up to ten times as long as the products that it saves.
EIGEN_WIDTH = 128


class EigenSystem:
    """Solver for ``A = gram - weight_sum mean mean'`` by eigendecomposition, for narrow matrices.

    Parameters
    ----------
    gram : ndarray of shape (d, d)
        Lower triangle of a Gram matrix.
    weight_sum : float
        Total weight of the rows.
    mean : ndarray of shape (d,)
        Weighted mean of the rows.
    basis : Basis, default=None
        None is the identity.
    """

    def __init__(
        self, gram: NDArray, weight_sum: float, mean: NDArray, *, basis: Basis | None = None
    ):
        A = gram.astype(np.float64) - weight_sum * np.outer(mean, mean)
        if basis is not None:
            A = basis.transposed(basis.transposed(symmetric(A)).T)
        values, vectors = np.linalg.eigh(A)  # reads the lower triangle
        self.values = np.maximum(values, 0)
        self.vectors = vectors if basis is None else basis(vectors)

    def solve(self, rhs: NDArray, shifts: NDArray, *, tol: float = 0.0):
        """Return the solutions (d, p) for p shifts, and residuals (p,), which are zero here."""
        small = (self.vectors.T @ rhs)[:, None] / (self.values[:, None] + shifts)
        return self.vectors @ small, np.zeros(len(shifts))


class KrylovSystem:
    """Solver for the same A by one Lanczos run per right-hand side, for wide matrices.

    A Krylov space of A is also one of A + shift I, so all penalties of a ridge path share the
    products with A, whereas a Cholesky factor serves one penalty. A product costs d^2, a factor
    d^3/3.

    Parameters
    ----------
    gram : ndarray of shape (d, d), Fortran order
        Lower triangle of a Gram matrix; kept, not copied, and multiplied in its own dtype.
    weight_sum : float
        Total weight of the rows.
    mean : ndarray of shape (d,)
        Weighted mean of the rows.
    basis : Basis, default=None
        None is the identity.
    max_iter : int, default=400
        Largest dimension of the Krylov space.

    Notes
    -----
    Lanczos with full reorthogonalisation; Golub and Van Loan, Matrix Computations, section 10.1.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.heads._linear_systems import KrylovSystem
    >>> system = KrylovSystem(np.diag([1.0, 2.0]), 1.0, np.zeros(2))
    >>> b, _ = system.solve(np.array([2.0, 3.0]), np.array([1.0]), tol=1e-12)
    >>> b.ravel().round(6).tolist()
    [1.0, 1.0]
    """

    def __init__(
        self,
        gram: NDArray,
        weight_sum: float,
        mean: NDArray,
        *,
        basis: Basis | None = None,
        max_iter: int = 400,
    ):
        self.gram, self.weight_sum, self.mean = gram, weight_sum, mean
        self.basis, self.max_iter = basis, max_iter
        self._symv = blas.get_blas_funcs("symv", dtype=gram.dtype)

    def _product(self, v: NDArray) -> NDArray:
        v = v if self.basis is None else self.basis(v)
        image = self._symv(1.0, self.gram, v.astype(self.gram.dtype), lower=1).astype(np.float64)
        image -= (self.weight_sum * (self.mean @ v)) * self.mean
        return image if self.basis is None else self.basis.transposed(image)

    def solve(self, rhs: NDArray, shifts: NDArray, *, tol: float):
        """Solve for all shifts until every residual norm is under ``tol * norm(rhs)``.

        Returns
        -------
        solutions : ndarray of shape (d, p)
            One column per shift.
        residuals : ndarray of shape (p,)
            Residual norms divided by the norm of `rhs`.
        """
        rhs = rhs if self.basis is None else self.basis.transposed(rhs)
        d, norm = len(rhs), float(np.linalg.norm(rhs))
        if norm == 0:
            return np.zeros((d, len(shifts))), np.zeros(len(shifts))
        max_iter = min(self.max_iter, d)
        basis = np.empty((max_iter, d))
        diagonal, off_diagonal = np.empty(max_iter), np.empty(max_iter)
        vector, check_at, largest = rhs / norm, 4, 0.0
        for m in range(1, max_iter + 1):
            basis[m - 1] = vector
            image = self._product(vector)
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
        solutions = basis[:m].T @ small
        return solutions if self.basis is None else self.basis(solutions), residuals
