"""Symmetric systems ``(A + shift I) b = rhs``, solved for many shifts at once.

In a `Basis` B the system is ``(B'A B + shift I) g = B' rhs`` with ``b = B g``: the penalty is then
a prior covariance ``B B'`` of b.
"""

from collections.abc import Callable

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

    def solve(
        self,
        rhs: NDArray,
        shifts: NDArray,
        *,
        tol: float = 0.0,
        space: "KrylovSpace | None" = None,
    ):
        """Return the solutions (d, p) for p shifts, and residuals (p,), which are zero here."""
        small = (self.vectors.T @ rhs)[:, None] / (self.values[:, None] + shifts)
        return self.vectors @ small, np.zeros(len(shifts))


class KrylovSpace:
    """A Lanczos run that can be taken up again, for smaller shifts of the same system.

    Attributes
    ----------
    size : int
        Dimension so far.
    complete : bool
        Whether it cannot grow.
    """

    def __init__(self):
        self.size, self.complete, self._largest = 0, False, 0.0

    def start(self, rhs: NDArray, max_iter: int) -> None:
        """Begin at a right-hand side, shape (d,), that is not 0."""
        self._norm = float(np.linalg.norm(rhs))
        self._vectors = np.empty((max_iter, len(rhs)))
        self._diagonal, self._off_diagonal = np.empty(max_iter), np.empty(max_iter)
        self._next = rhs / self._norm

    def grow(self, product: Callable[[NDArray], NDArray]) -> None:
        """Add a dimension, by one product with the matrix."""
        m = self.size
        self.size = m + 1
        known = self._vectors[: m + 1]
        known[m] = self._next
        image = product(self._next)
        self._diagonal[m] = self._next @ image
        for _ in range(2):
            image -= (known @ image) @ known
        beta = self._off_diagonal[m] = float(np.linalg.norm(image))
        self._largest = max(self._largest, abs(self._diagonal[m]), beta)
        self.complete = beta <= 1e-7 * self._largest or self.size == len(self._vectors)
        self._next = image / max(beta, 1e-300)

    def project(self, shifts: NDArray) -> tuple[NDArray, NDArray]:
        """Return coordinates (size, p) of the solutions for p shifts, and relative residuals."""
        m = self.size
        theta, S = eigh_tridiagonal(self._diagonal[:m], self._off_diagonal[: m - 1])
        small = S @ (self._norm * S[0][:, None] / (np.maximum(theta, 0)[:, None] + shifts))
        return small, np.abs(self._off_diagonal[m - 1] * small[-1]) / self._norm

    def expand(self, small: NDArray) -> NDArray:
        """Return the vectors (d, p) of coordinates (size, p)."""
        return self._vectors[: self.size].T @ small


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

    def solve(self, rhs: NDArray, shifts: NDArray, *, tol: float, space: KrylovSpace | None = None):
        """Solve for all shifts until every residual norm is under ``tol * norm(rhs)``.

        Parameters
        ----------
        rhs : ndarray of shape (d,)
        shifts : ndarray of shape (p,)
        tol : float
        space : KrylovSpace or None, default=None
            Of an earlier call with this matrix and right-hand side, or new. It grows.

        Returns
        -------
        solutions : ndarray of shape (d, p)
            One column per shift.
        residuals : ndarray of shape (p,)
            Residual norms divided by the norm of `rhs`.
        """
        rhs = rhs if self.basis is None else self.basis.transposed(rhs)
        if not rhs.any():
            return np.zeros((len(rhs), len(shifts))), np.zeros(len(shifts))
        space = KrylovSpace() if space is None else space
        if space.size == 0:
            space.start(rhs, min(self.max_iter, len(rhs)))
        check_at = max(4, space.size)
        while True:
            while space.size < check_at and not space.complete:
                space.grow(self._product)
            small, residuals = space.project(shifts)
            if space.complete or residuals.max() <= tol:
                break
            check_at = int(1.1 * space.size) + 1
        solutions = space.expand(small)
        return solutions if self.basis is None else self.basis(solutions), residuals
