"""Rows -> moments: the sums of all tasks, in the way that suits how rows are shared, stored and how many they are."""

from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from skmtl._algebra import weighted_mean
from skmtl._numba import read_only
from skmtl._threads import in_threads, one_blas_thread
from skmtl.moments._rows import OFF_CENTRE, Rows, SparseRows
from skmtl.moments._sums import CACHE, large_task, small_tasks

__all__ = ["fill"]

_ONE_THREAD = 256  # features; up to here, the threads of BLAS wait for each other longer than they work
_SHORT = 1e9  # multiplications with rows that are kept; up to here likewise


def fill(sums):
    """Fill the zeros of a `TaskMoments` with the sums of its data; a list of the rows that tasks keep."""
    data, d = sums.data, sums.n_features
    short = d <= _ONE_THREAD or (not len(sums.full) and d * sums.n_rows.sum() <= _SHORT)
    with one_blas_thread if short else nullcontext():
        if sparse.issparse(data.X):
            return list(_sum_sparse(sums))
        if data.complete and not len(sums.full):
            return [_keep_shared(sums)]
        if data.complete:
            _sum_together(sums)
        else:
            in_threads(partial(_sum_each, sums), np.maximum(sums.n_rows, 1) * d**2, sums.n_jobs)
    return list(_keep_rows(sums))


def _sum_together(sums):
    """Fill the sums of tasks that share their rows, all at once."""
    data, gram = sums.data, sums.gram[0] if len(sums.gram) else None
    filled = large_task(data.X, data.y, data.weight, sums.centered, gram)
    sums.weight[:], sums.x_mean[:], sums.y_mean[:], sums.xy[:], sums.yy[:] = filled


def _keep_shared(sums):
    """Fill the sums of tasks that share their rows; the rows."""
    data, root = sums.data, None if sums.data.weight is None else np.sqrt(sums.data.weight)
    share = np.ones(len(data.X)) if root is None else data.weight
    sums.weight[:] = share.sum()
    if sums.centered and sums.n_tasks and sums.weight[0] > 0:
        sums.x_mean[:], sums.y_mean[:] = (weighted_mean(Z, share, sums.weight[0]) for Z in (data.X, data.y))
    v = np.ascontiguousarray((data.y - sums.y_mean).T)
    if root is not None:
        v *= root
    sums.yy[:] = np.einsum("ti,ti->t", v, v)
    rows = _uncentred_rows(sums, v) if root is None else None
    if rows is None:
        A = data.X - sums.x_mean[0]
        if root is not None:
            A *= root[:, None]
        rows = Rows(np.arange(sums.n_tasks), A[None], v)
    sums.xy[:] = rows.products(v)
    return rows


def _uncentred_rows(sums, v):
    """The rows as they are; None where a mean is so large that the squares around it would lose digits."""
    X, mean = sums.data.X, sums.x_mean[0] if sums.centered and sums.n_tasks else None
    if mean is None:
        return None
    all_of_it = np.einsum("ij,ij->j", X, X)
    square = all_of_it - len(X) * mean**2
    if (square < OFF_CENTRE * all_of_it).any():
        return None
    return Rows(np.arange(sums.n_tasks), X[None], v, mean, square)


def _sum_each(sums, first, last):
    """Fill the sums of the tasks in ``range(first, last)``."""
    data, tasks = sums.data, np.arange(first, last)
    place = np.full(sums.n_tasks, -1)
    place[sums.full] = np.arange(len(sums.full))
    large = tasks if data.shared else tasks[sums.n_rows[tasks] * sums.n_features > CACHE]
    for t in large:
        gram = sums.gram[place[t]] if place[t] >= 0 else None
        X, y, weight = data.block(t)
        filled = large_task(X, y[:, None], weight, sums.centered, gram)
        sums.weight[t], sums.x_mean[t], sums.y_mean[t], sums.xy[t], sums.yy[t] = map(np.squeeze, filled)
    if len(large) == len(tasks):
        return
    place[large] = -2
    root = np.empty(0) if data.weight is None else np.sqrt(data.weight)
    most = int(sums.n_rows[tasks][place[tasks] >= -1].max())
    block = np.empty((most, sums.n_features))
    inputs = (read_only(array) for array in (data.X, data.y, root, data.starts, place))
    outputs = sums.x_mean, sums.y_mean, sums.weight, sums.gram, sums.xy, sums.yy
    small_tasks(*inputs, first, last, int(sums.centered), block, *outputs)


def _keep_rows(sums):
    """Rows of the tasks without a Gram matrix, those with equally many together."""
    data, few = sums.data, sums.n_rows < sums.n_features
    for r in np.unique(sums.n_rows[few & (sums.n_rows > 0)]):
        tasks = np.flatnonzero(sums.n_rows == r)
        if data.shared:
            at = np.array([np.flatnonzero(data.weight[:, t]) for t in tasks])
            y, weight = data.y[at, tasks[:, None]], data.weight[at, tasks[:, None]]
        else:
            at = data.starts[tasks, None] + np.arange(r)
            y, weight = data.y[at], None if data.weight is None else data.weight[at]
        A = data.X[at]
        A -= sums.x_mean[tasks, None, :]
        v = y - sums.y_mean[tasks, None]
        if weight is not None:
            A *= np.sqrt(weight)[:, :, None]
            v *= np.sqrt(weight)
        yield Rows(tasks, A, v)


def _sum_sparse(sums):
    """Fill the sums of sparse rows, and yield the `SparseRows` of the tasks that get no Gram matrix."""
    place = np.full(sums.n_tasks, -1)
    place[sums.full] = np.arange(len(sums.full))
    for tasks, X, y, weight in _sparse_blocks(sums, place < 0):
        rows, *means = SparseRows.of(tasks, X, y, weight, sums.centered)
        sums.weight[tasks], sums.x_mean[tasks], sums.y_mean[tasks] = means
        sums.xy[tasks], sums.yy[tasks] = rows.products(rows.v), np.einsum("ti,ti->t", rows.v, rows.v)
        if place[tasks[0]] < 0:
            yield rows
        else:
            sums.gram[place[tasks[: len(rows.mean)]]] = rows.cross(rows)


def _sparse_blocks(sums, thin):
    """Yield groups of tasks, all `thin` (n_tasks,) or all not: positions (g,), X, labels (g, r) and weights.

    `SparseRows.of` takes them.  Tasks that label more than half of a shared X share it; of the others, those with
    numbers of rows between the same two powers of 2 are put one below the other.
    """
    data, left = sums.data, sums.n_rows > 0
    if data.shared:
        whole = left if data.complete else sums.n_rows > 0.5 * len(data.y)  # rows of X to be shared, not copied
        for tasks in (np.flatnonzero(whole & thin), np.flatnonzero(whole & ~thin)):
            if len(tasks):
                weight = None if data.weight is None else data.weight.T if data.complete else data.weight.T[tasks]
                weight = weight if weight is None else np.ascontiguousarray(np.atleast_2d(weight))
                yield tasks, data.X, np.ascontiguousarray(data.y.T[tasks]), weight
        left = left & ~whole
    doublings = np.ceil(np.log2(np.maximum(sums.n_rows, 1)))
    for size, kind in np.unique(np.stack([doublings[left], thin[left]]), axis=1).T:
        yield _one_below_the_other(sums, np.flatnonzero(left & (doublings == size) & (thin == kind)))


def _one_below_the_other(sums, tasks):
    """The group of `tasks` with copies of their rows, all filled up to as many as the largest has.

    What fills them up are empty rows of weight 0: sparse, they cost next to nothing.
    """
    data, n = sums.data, sums.n_rows[tasks]
    filled = np.arange(n.max()) < n[:, None]
    if data.shared:
        at, t = np.nonzero(data.weight[:, tasks])
        at = at[np.argsort(t, kind="stable")]
        labels: Any = (at, np.repeat(tasks, n))
    else:
        at = labels = np.repeat(data.starts[tasks] - (np.cumsum(n) - n), n) + np.arange(n.sum())
    y, weight, length = (np.zeros(filled.shape, dtype=kind) for kind in (float, float, np.intp))
    X = data.X if len(at) == data.X.shape[0] and not data.shared else data.X[at]
    y[filled], weight[filled], length[filled] = data.y[labels], data.label_weight()[labels], np.diff(X.indptr)
    indptr = np.concatenate([[0], np.cumsum(length)]).astype(X.indptr.dtype)
    X = sparse.csr_array((X.data, X.indices, indptr), shape=(filled.size, X.shape[1]))
    return tasks, X, y, weight if data.weight is not None or not filled.all() else None
