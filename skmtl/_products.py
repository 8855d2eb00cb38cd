"""Products with the rows of a long table: each row with the weights of its own task, and back.

A kernel takes all tasks in one call.  `_rows/layouts.py` says when calls of BLAS, one a task, are better.
"""

import numpy as np
from scipy import sparse

from skmtl._numba import kernel, read_only
from skmtl.moments._sums import CACHE, csr_arrays

__all__ = ["dense_margins", "dense_pulls", "ordered", "row_products", "sparse_margins", "sparse_pulls"]


def row_products(X, W, codes):
    """``X[i] @ W[codes[i]]`` for every row of X, dense or sparse, without a copy of W as large as X; shape (n,)."""
    out = np.empty(X.shape[0], dtype=np.result_type(X, W))
    if sparse.issparse(X):
        margins = np.empty((len(out), 1))
        task = np.asarray(codes, dtype=np.int64) % len(W)
        sparse_margins(*csr_arrays(X), read_only(task), ordered(W), margins)
        out[:] = margins[:, 0]
        return out
    step = max(1, CACHE // X.shape[1])
    for start in range(0, len(X), step):
        part = slice(start, start + step)
        np.einsum("ij,ij->i", X[part], W[codes[part]], out=out[part])
    return out


def ordered(array):
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
