"""The rows of all tasks, shared or in a long table: their products with weights, and sums over the labels of a task.

What differs between the two layouts of `TaskData` is here and nowhere else.  Arrays have one of three shapes:

    of labels    that of y: (n,) in a long table, (n, n_tasks) where rows are shared
    of margins   that of y where a label has one margin; where it has K, one more axis for them
    of tasks     (n_tasks, ...); of outputs (n_tasks * K, ...), the K outputs of a task one after the other
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy import sparse

from skmtl._numba import read_only
from skmtl._products import dense_margins, dense_pulls, ordered, sparse_margins, sparse_pulls
from skmtl.moments._sums import csr_arrays

__all__ = ["LongRows", "SharedRows", "layout_of"]

_BLAS = 2_000  # numbers in the rows of a task on average; with fewer, calls of BLAS take longer than the products


def layout_of(data):
    """The layout of a `TaskData`."""
    return SharedRows(data.X, data.n_tasks) if data.shared else LongRows(data.X, data.starts)


class SharedRows:
    """Rows X (n, d), dense or sparse, that all tasks share."""

    def __init__(self, X, n_tasks):
        self.X, self.n_tasks = X, n_tasks

    def margins(self, W):
        """The margins ``x w`` of weights W (n_outputs, d)."""
        eta, K = self.X @ W.T, len(W) // self.n_tasks
        return eta if K == 1 else eta.reshape(len(eta), -1, K)

    def pulls(self, theta):
        """The sums of ``theta x``, shape (n_outputs, d), for theta shaped as margins."""
        theta = theta.reshape(len(theta), -1)
        if sparse.issparse(self.X):
            return np.ascontiguousarray((self.X.T @ theta).T)
        return theta.T @ self.X

    def spread(self, of_tasks):
        """Numbers of tasks, to be broadcast to their labels."""
        return of_tasks

    def reduced(self, operation, of_labels):
        """A ufunc over the labels of every task, of an array shaped as labels or margins: (n_tasks, ...)."""
        return operation.reduce(of_labels, axis=0)

    def weighted_sums(self, weight, of_rows):
        """``sum_i s_ti r_i`` of every task, for numbers r of rows (n,)."""
        return weight.T @ of_rows

    def products(self, A, B):
        """``A_t' B_t`` of every task, shape (n_tasks, K, K), for A and B shaped as K margins a label."""
        return np.einsum("itk,itl->tkl", A, B, optimize=True)

    def first_rows(self):
        """For every row the first one of the same task."""
        return np.zeros(self.X.shape[0], dtype=int)

    def labels_of(self, tasks):
        """The index of the labels of these tasks in arrays shaped as labels or margins."""
        return slice(None), tasks

    def block(self, t, weight):
        """The index of the rows of task t that have weight, in X, and of their labels, in arrays shaped as these."""
        rows = np.flatnonzero(weight[:, t])
        return rows, (rows, t)

    def outputs_as_tasks(self, data, y, weight):
        """`data` as if each of the K outputs of a task were a task of its own, for y and weight shaped as margins."""
        y, weight = y.reshape(len(y), -1), weight.reshape(len(y), -1)
        return replace(data, y=y, weight=weight, tasks=np.arange(y.shape[1]))


class LongRows:
    """Rows X (n, d), dense or sparse, of one task each: task t has rows ``starts[t]:starts[t + 1]``, perhaps none.

    Tasks with many numbers go to BLAS, one call a task; small ones and sparse rows to a kernel, one call for all.
    """

    def __init__(self, X, starts):
        self.X = X if sparse.issparse(X) else read_only(X)
        self.starts = read_only(np.asarray(starts, dtype=np.int64))
        self.n_tasks = len(starts) - 1
        self._task_of_row = read_only(np.repeat(np.arange(self.n_tasks), np.diff(starts)))
        self._with_rows = np.flatnonzero(np.diff(starts))
        self._csr = csr_arrays(X) if sparse.issparse(X) else None
        self._large = X.size > _BLAS * self.n_tasks

    def margins(self, W):
        """The margins ``x_i w_t`` of weights W (n_outputs, d)."""
        K = len(W) // self.n_tasks
        eta = np.empty((self.X.shape[0], K))
        if self._csr:
            sparse_margins(*self._csr, self._task_of_row, ordered(W), eta)
        elif self._large or K > 1:
            for rows, outputs in self._blocks(K):
                np.dot(self.X[rows], W[outputs].T, out=eta[rows])
        else:
            dense_margins(self.X, self.starts, ordered(W), eta)
        return eta if K > 1 else eta[:, 0]

    def pulls(self, theta):
        """The sums of ``theta x``, shape (n_outputs, d), for theta shaped as margins."""
        theta = theta.reshape(len(theta), -1)
        K = theta.shape[1]
        pulls = np.zeros((self.n_tasks * K, self.X.shape[1]))
        if self._csr:
            sparse_pulls(*self._csr, self._task_of_row, ordered(theta), pulls)
        elif self._large or K > 1:
            for rows, outputs in self._blocks(K):
                np.dot(theta[rows].T, self.X[rows], out=pulls[outputs])
        else:
            dense_pulls(self.X, self.starts, ordered(theta), pulls)
        return pulls

    def _blocks(self, K):
        """Where the rows and the outputs of every task are."""
        for t, (start, end) in enumerate(pairwise(self.starts)):
            yield slice(start, end), slice(t * K, (t + 1) * K)

    def spread(self, of_tasks):
        """Numbers of tasks, one for each of their labels."""
        return of_tasks[self._task_of_row]

    def reduced(self, operation, of_labels):
        """A ufunc over the labels of every task, of an array shaped as labels or margins: (n_tasks, ...)."""
        out = np.zeros((self.n_tasks, *of_labels.shape[1:]))
        out[self._with_rows] = operation.reduceat(of_labels, self.starts[self._with_rows], axis=0)
        return out

    def weighted_sums(self, weight, of_rows):
        """``sum_i s_i r_i`` of every task, for numbers r of rows (n,)."""
        return self.reduced(np.add, weight * of_rows)

    def products(self, A, B):
        """``A_t' B_t`` of every task, shape (n_tasks, K, K), for A and B shaped as K margins a label."""
        return np.array([A[rows].T @ B[rows] for rows, _ in self._blocks(1)])

    def first_rows(self):
        """For every row the first one of the same task."""
        return self.starts[self._task_of_row]

    def labels_of(self, tasks):
        """The index of the labels of these tasks in arrays shaped as labels or margins."""
        return np.flatnonzero(np.isin(self._task_of_row, tasks))

    def block(self, t, weight):
        """The index of the rows of task t in X, and of their labels in arrays shaped as these."""
        rows = slice(self.starts[t], self.starts[t + 1])
        return rows, rows

    def outputs_as_tasks(self, data, y, weight):
        """`data` as if each of the K outputs of a task were a task of its own, for y and weight shaped as margins.

        The rows of a task stand there K times.
        """
        K, blocks = y.shape[1], [rows for rows, _ in self._blocks(1)]
        at = np.concatenate([np.tile(np.arange(rows.start, rows.stop), K) for rows in blocks])
        y, weight = (np.concatenate([array[rows].T.ravel() for rows in blocks]) for array in (y, weight))
        starts = np.concatenate([[0], np.cumsum(np.repeat(np.diff(self.starts), K))])
        tasks, rows = np.arange(self.n_tasks * K), np.arange(len(at))
        return replace(data, X=self.X[at], y=y, weight=weight, tasks=tasks, starts=starts, rows=rows)
