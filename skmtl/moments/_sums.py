"""Sums over rows: weighted means and centred second moments, each row read from memory once.

For rows x_i, labels y_i and weights s_i of one task, N = sum_i s_i:

    x_mean = sum_i s_i x_i / N            gram = sum_i s_i (x_i - x_mean) (x_i - x_mean)'
    y_mean = sum_i s_i y_i / N            xy   = sum_i s_i (x_i - x_mean) (y_i - y_mean)
                                          yy   = sum_i s_i (y_i - y_mean)^2

`small_tasks` is one jitted pass over the rows of many tasks, each small enough to stay in cache; `large_task` reads one
task in blocks that fit the cache and leaves the products to BLAS.  Both sum differences from a row (or a block's mean)
of the task itself, so a column with mean 1e8 and deviation 1 loses no digits; ``sum xx' - n mean mean'`` would lose
them all.
"""

from typing import Any

import numpy as np
from scipy.linalg.blas import dsyrk

from skmtl._numba import kernel, read_only

__all__ = ["CACHE", "csr_arrays", "large_task", "small_tasks", "sparse_cross"]

CACHE = 65_536  # numbers in a block: 512 kB, half of a second-level cache of common size


@kernel
def small_tasks(X, y, root, starts, place, begin, end, center, block, x_mean, y_mean, weight, gram, xy, yy):
    """Fill the moments of the tasks in ``range(begin, end)``.

    Those with ``place[t] < -1`` are left out; the others get ``gram[place[t]]`` where ``place[t] >= 0``.

    X : float64 (n_samples, n_features), read-only; y : float64 (n_samples,), read-only.
    root : float64 (n_samples,), square roots of the weights, read-only; empty for weights 1.
    starts : int64 (n_tasks + 1,): rows of task t.  place : int64 (n_tasks,).  center : 0 keeps the origin, all means 0.
    block : float64 (rows of the largest task, n_features), workspace.
    x_mean, xy : (n_tasks, n_features); y_mean, weight, yy : (n_tasks,); gram : (n_full, n_features, n_features);
    filled. A task without rows has zeros, and no Gram matrix.
    """
    n_features = X.shape[1]
    for t in range(begin, end):
        if place[t] < -1:
            continue
        first, last = starts[t], starts[t + 1]
        total, y_shift = 0.0, 0.0
        for j in range(n_features):
            x_mean[t, j] = 0.0
            xy[t, j] = 0.0
        for i in range(first, last):
            s = root[i] * root[i] if len(root) else 1.0
            total += s
            if center:
                y_shift += s * (y[i] - y[first])
                for j in range(n_features):
                    x_mean[t, j] += s * (X[i, j] - X[first, j])
        weight[t] = total
        y_mean[t] = 0.0
        yy[t] = 0.0
        if total == 0.0:
            continue
        if center:
            y_mean[t] = y[first] + y_shift / total
            for j in range(n_features):
                x_mean[t, j] = X[first, j] + x_mean[t, j] / total
        for i in range(first, last):
            r = root[i] if len(root) else 1.0
            v = r * (y[i] - y_mean[t])
            yy[t] += v * v
            for j in range(n_features):
                u = r * (X[i, j] - x_mean[t, j])
                block[i - first, j] = u
                xy[t, j] += u * v
        if place[t] >= 0:
            rows = block[: last - first]
            np.dot(rows.T, rows, gram[place[t]])


def large_task(X, y, weight, center, gram):
    """The moments of one task, or of all tasks that share their rows, block by block.

    Parameters
    ----------
    X : float64 (n_samples, n_features)
    y : float64 (n_samples, n_outputs)
    weight : float64 (n_samples,) or None
    center : bool
    gram : float64 (n_features, n_features), C-ordered, or None
        Filled.

    Returns
    -------
    total : float
    x_mean (n_features,), y_mean (n_outputs,), xy (n_outputs, n_features), yy (n_outputs,)
    """
    n_samples, n_features = X.shape
    step = max(1, CACHE // n_features)
    if gram is not None:
        gram[...] = 0.0
    x_sum, y_sum = np.zeros(n_features), np.zeros(y.shape[1])
    total: Any = 0.0
    xy, yy = np.zeros((y.shape[1], n_features)), np.zeros(y.shape[1])
    x_shift, y_shift = x_sum.copy(), y_sum.copy()
    buffer = np.empty((min(step, n_samples), n_features))
    for start in range(0, n_samples, step):
        part = slice(start, start + step)
        if center and start == 0:  # the mean of differences from the first row: a constant leaves exact zeros
            x_shift, y_shift = (Z[0] + np.subtract(Z[part], Z[0]).mean(axis=0) for Z in (X, y))
        U = np.subtract(X[part], x_shift, out=buffer[: len(y[part])])
        V = y[part] - y_shift
        root = np.ones(len(U)) if weight is None else np.sqrt(weight[part])
        if weight is not None:
            U *= root[:, None]
            V *= root[:, None]
        total += root @ root
        x_sum += root @ U
        y_sum += root @ V
        if gram is not None:
            dsyrk(1.0, U.T, beta=1.0, c=gram.T, overwrite_c=True)  # both transposed: LAPACK's order without a copy
        xy += V.T @ U
        yy += np.einsum("it,it->t", V, V)
    if center and total > 0.0:
        x_sum /= total
        y_sum /= total
        if gram is not None:
            gram -= total * np.outer(x_sum, x_sum)  # the shift was near the mean, not at it
        xy -= total * np.outer(y_sum, x_sum)
        yy -= total * y_sum**2
        x_shift, y_shift = x_shift + x_sum, y_shift + y_sum
    if gram is not None:
        upper = np.triu_indices(n_features, 1)
        gram[upper] = gram.T[upper]
    return total, x_shift, y_shift, xy, np.maximum(yy, 0.0)


def csr_arrays(X):
    """Data, indices and index pointers of a CSR array, as kernels take them.

    Integers are int32 wherever they fit: as int64 they would be a copy as large as the data.
    """
    kind = np.int32 if max(X.nnz, *X.shape) <= np.iinfo(np.int32).max else np.int64
    data = np.ascontiguousarray(X.data, dtype=np.float64)
    return tuple(map(read_only, (data, np.ascontiguousarray(X.indices, kind), np.ascontiguousarray(X.indptr, kind))))


@kernel
def sparse_cross(data, indices, indptr, other_data, other_indices, other_indptr, weight, stride, out):
    """Add ``X_t' diag(weight_t) Z_t`` to ``out[t]``, for the CSR arrays of X and Z, which have the same rows.

    data, indices, indptr : float64, int32, int32; of X, and then of Z; read-only.
    weight : float64 (n_tasks, r), read-only.  stride : task t has the rows from ``t * stride``; 0 if all have the same.
    out : float64 (n_tasks, columns of X, columns of Z).
    NumPy: ``out[t] += (X[rows].T * weight[t]) @ Z[rows]`` for ``rows = t * stride + np.arange(r)``.
    """
    for t in range(len(weight)):
        for i in range(weight.shape[1]):
            row, w = t * stride + i, weight[t, i]
            if w == 0.0:
                continue
            first, last = np.uint64(other_indptr[row]), np.uint64(other_indptr[row + 1])  # an unsigned index is faster:
            for p in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):  # none counts from the end
                x, sums = w * data[p], out[t, np.uint64(indices[p])]
                for q in range(first, last):
                    sums[np.uint64(other_indices[q])] += x * other_data[q]
