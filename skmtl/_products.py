"""Products with the rows of a long table: each row with the weights of its own task, and back.

Tasks with many numbers go to BLAS, one call a task; small ones and sparse rows to a kernel, one call for all.
"""

from itertools import pairwise

import numpy as np
from scipy import sparse

from skmtl._numba import kernel, read_only
from skmtl.moments._sums import CACHE, csr_arrays

__all__ = ["LongRows", "SharedRows", "row_products"]

_BLAS = 2_000  # numbers in the rows of a task on average; with fewer, calls of BLAS take longer than the products


class SharedRows:
    """Rows X (n, d), dense or sparse, that all outputs share."""

    def __init__(self, X):
        self.X = X

    def margins(self, W):
        """``X W'``, shape (n, n_outputs), for W (n_outputs, d)."""
        return self.X @ W.T

    def pulls(self, theta):
        """``theta' X``, shape (n_outputs, d), for theta (n, n_outputs)."""
        if sparse.issparse(self.X):
            return np.ascontiguousarray((self.X.T @ theta).T)
        return theta.T @ self.X


class LongRows:
    """Rows X (n, d), dense or sparse, of one task each: task t has rows ``starts[t]:starts[t + 1]`` and K outputs."""

    def __init__(self, X, starts):
        self.X = X if sparse.issparse(X) else read_only(X)
        self.starts = read_only(np.asarray(starts, dtype=np.int64))
        self.n_tasks = len(starts) - 1
        self._sparse = sparse.issparse(X)
        self._large = X.size > _BLAS * self.n_tasks
        if self._sparse:
            self._csr = *csr_arrays(X), read_only(np.repeat(np.arange(self.n_tasks), np.diff(starts)))

    def margins(self, W):
        """``X_t W_t'`` for the rows of every task, shape (n, K), for W (n_tasks * K, d)."""
        out = np.empty((self.X.shape[0], len(W) // self.n_tasks))
        if self._sparse:
            sparse_margins(*self._csr, _ordered(W), out)
        elif self._by_blas(out):
            for rows, outputs in self._blocks(out.shape[1]):
                np.dot(self.X[rows], W[outputs].T, out=out[rows])
        else:
            dense_margins(self.X, self.starts, _ordered(W), out)
        return out

    def pulls(self, theta):
        """``theta_t' X_t``, shape (n_tasks * K, d), for theta (n, K)."""
        out = np.zeros((self.n_tasks * theta.shape[1], self.X.shape[1]))
        if self._sparse:
            sparse_pulls(*self._csr, _ordered(theta), out)
        elif self._by_blas(theta):
            for rows, outputs in self._blocks(theta.shape[1]):
                np.dot(theta[rows].T, self.X[rows], out=out[outputs])
        else:
            dense_pulls(self.X, self.starts, _ordered(theta), out)
        return out

    def _by_blas(self, margins):
        return self._large or margins.shape[1] > 1

    def _blocks(self, K):
        """The rows and the outputs of every task."""
        for t, (start, end) in enumerate(pairwise(self.starts)):
            yield slice(start, end), slice(t * K, (t + 1) * K)


def row_products(X, W, codes):
    """``X[i] @ W[codes[i]]`` for every row of X, dense or sparse, without a copy of W as large as X; shape (n,)."""
    out = np.empty(X.shape[0], dtype=np.result_type(X, W))
    if sparse.issparse(X):
        margins = np.empty((len(out), 1))
        task = np.asarray(codes, dtype=np.int64) % len(W)
        sparse_margins(*csr_arrays(X), read_only(task), _ordered(W), margins)
        out[:] = margins[:, 0]
        return out
    step = max(1, CACHE // X.shape[1])
    for start in range(0, len(X), step):
        part = slice(start, start + step)
        np.einsum("ij,ij->i", X[part], W[codes[part]], out=out[part])
    return out


def _ordered(array):
    """An array as kernels take it: another memory order would be another signature."""
    return read_only(np.ascontiguousarray(array, dtype=np.float64))


@kernel
def dense_margins(X, starts, W, out):
    """``out[i, 0] = X[i] . W[t]`` for the rows i of every task t; X, W, starts read-only, W (n_tasks, n_features)."""
    d = X.shape[1]
    whole = d - d % 4
    for t in range(len(starts) - 1):
        for i in range(starts[t], starts[t + 1]):
            a0, a1, a2, a3 = 0.0, 0.0, 0.0, 0.0  # four sums: one would wait for itself
            for j in range(0, whole, 4):
                a0 += X[i, j] * W[t, j]
                a1 += X[i, j + 1] * W[t, j + 1]
                a2 += X[i, j + 2] * W[t, j + 2]
                a3 += X[i, j + 3] * W[t, j + 3]
            for j in range(whole, d):
                a0 += X[i, j] * W[t, j]
            out[i, 0] = (a0 + a1) + (a2 + a3)


@kernel
def dense_pulls(X, starts, theta, out):
    """``out[t] += theta[i, 0] * X[i]`` for the rows i of every task t; out (n_tasks, n_features)."""
    for t in range(len(starts) - 1):
        for i in range(starts[t], starts[t + 1]):
            for j in range(X.shape[1]):
                out[t, j] += theta[i, 0] * X[i, j]


@kernel
def sparse_margins(data, indices, indptr, task, W, out):
    """``out[i, k] = X[i] . W[task[i] K + k]`` from the arrays of a CSR matrix X; all but `out` read-only."""
    K = out.shape[1]
    for i in range(out.shape[0]):
        for k in range(K):
            total = 0.0
            for p in range(indptr[i], indptr[i + 1]):
                total += data[p] * W[task[i] * K + k, indices[p]]
            out[i, k] = total


@kernel
def sparse_pulls(data, indices, indptr, task, theta, out):
    """``out[task[i] K + k] += theta[i, k] * X[i]`` from the arrays of a CSR matrix X; all but `out` read-only."""
    K = theta.shape[1]
    for i in range(theta.shape[0]):
        for k in range(K):
            for p in range(indptr[i], indptr[i + 1]):
                out[task[i] * K + k, indices[p]] += theta[i, k] * data[p]
