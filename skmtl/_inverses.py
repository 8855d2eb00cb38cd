"""Inverses of many positive definite matrices."""

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from skmtl._numba import kernel
from skmtl._threads import in_threads

__all__ = ["invert_all"]

_ROUNDING = 1e-15  # share of its diagonal that a positive definite matrix has left in a factor, at least
_SMALL = 80  # rows; with more, LAPACK inverts a matrix faster
_PRICE = 4  # multiplications that take as long as an inversion, in units of the cube of the rows


def invert_all(A, n_jobs=None):
    """Replace the matrices A (n, d, d), positive definite but for rounding, by their inverses, in threads if it pays.

    Returns
    -------
    A itself.
    """
    d = A.shape[1]

    def fill(first, last):
        if d <= _SMALL:
            invert(A[first:last], np.empty((d, d)))
        else:
            for one in A[first:last]:
                _invert_large(one)

    in_threads(fill, np.full(len(A), _PRICE * float(d) ** 3), n_jobs)
    return A


def _invert_large(A):
    factor, failed = dpotrf(A)
    if failed or (np.diag(factor) ** 2 < _ROUNDING * np.diag(A)).any():
        unit = 1.0 / np.sqrt(np.diag(A))  # features may differ in length by orders of magnitude
        l, Q = np.linalg.eigh(A * unit * unit[:, None])  # noqa: E741
        Q *= unit[:, None]
        A[:] = Q / np.maximum(l, _ROUNDING * l[-1]) @ Q.T
    else:
        upper = dpotri(factor, overwrite_c=True)[0]  # zero below the diagonal, as the factor is
        A[:] = upper + upper.T
        np.einsum("ii->i", A)[...] *= 0.5


@kernel
def invert(A, L):
    r"""Replace the matrices A (n, d, d), positive definite but for rounding, by their inverses; L (d, d) is workspace.

    By ``A = L L'`` and ``A^-1 = M'M``, ``M = L^-1``.  NumPy's inverse is a general one: it takes three times as long.
    """
    d = A.shape[1]
    for t in range(len(A)):
        for i in range(d):
            for j in range(i):
                s = A[t, i, j]
                for k in range(j):
                    s -= L[i, k] * L[j, k]
                L[i, j] = s / L[j, j]
            s = A[t, i, i]
            for k in range(i):
                s -= L[i, k] * L[i, k]
            L[i, i] = np.sqrt(max(s, _ROUNDING * A[t, i, i]))
        for i in range(d):  # M, row by row in the place of A
            A[t, i] = 0.0
            A[t, i, i] = 1.0 / L[i, i]
            for k in range(i):
                share = L[i, k] / L[i, i]
                for j in range(k + 1):
                    A[t, i, j] -= share * A[t, k, j]
        L[:] = 0.0
        for k in range(d):
            for i in range(k + 1):
                for j in range(i + 1):
                    L[i, j] += A[t, k, i] * A[t, k, j]
        for i in range(d):
            for j in range(i + 1):
                A[t, i, j] = A[t, j, i] = L[i, j]
