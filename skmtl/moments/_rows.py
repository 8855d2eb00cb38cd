"""The rows of tasks that have no Gram matrix, dense or sparse: their products, and those of a few of their features.

A_t are the rows of a task less their mean, times the roots of their weights; v_t its labels likewise.  `Rows` and
`SparseRows` know A_t of several tasks and answer the same questions:

    tasks (g,), v (g, r)     which tasks, their labels
    margins(W)     (g, r)    A_t w_t           for W (g, d)
    products(R)    (g, d)    A_t' r_t          for R (g, r)
    squares()      (b, d)    the diagonal of A_t' A_t
    cross(other)   (b, m, k) A_t' B_t, where `other` are B_t, features of the same rows
    take(at)                 the same rows with the features at `at` only: again rows, for all of these questions
    columns(at)    (b, r, m) A_t of these features as a dense array
    only(mine, at)           the tasks where the mask `mine` (g,) is true, which are those at `at` from now on
    A              (b, r, d) all features as a dense array: for few features

and, for working sets that differ from task to task, of some of the tasks, k (n,)

    columns_of_each(k, at)   (n, r, m)  A_t of the features at[i] (m,) of task k[i]
    products_of(k, R)        (n, d)     A_t' r_t  for R (n, r)

b is 1 where all tasks share their rows and the weights of them, else g.

Sparse rows stay sparse, so their mean m is not taken off: with the roots of their weights, root, A is
``diag(root) (X - 1 m')``, ``A w`` is ``root * (X w - m w)``, and ``A' B`` is ``X' diag(root^2) Z - N m_x m_z'``, where
N is the sum of the weights and B comes from other columns Z.  No digits are lost in that difference unless a mean is
large beside the deviations from it.  Only columns with hardly any zero can be like that, and these are centred.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from skmtl._numba import read_only
from skmtl.moments._sums import CACHE, csr_arrays, sparse_cross

__all__ = ["OFF_CENTRE", "Rows", "SparseRows"]

OFF_CENTRE = 0.01  # squares around the mean, as a share of all squares; with less, rows have to be centred
_LEVEL = 1e-8  # likewise; with less, the column may be a constant and its rounding errors
_COLUMNS = 512  # columns of a product that are corrected together, so that they stay in the cache
_ENTRIES = CACHE // 4  # entries of sparse columns that are multiplied together, so that temporaries stay in the cache
_TINY = np.finfo(float).tiny


@dataclass(frozen=True, eq=False)
class Rows:
    """Tasks with equally many rows, most often fewer than features: ``G_t = A_t' A_t`` and ``q_t = A_t' v_t``.

    tasks (g,): positions.  A (g, r, d), or (1, r, d) for all: rows less their mean, times the roots of their weights.
    v (g, r): labels likewise.

    `raw` is A itself, or where `mean` (d,) is given the rows before centring, of which A would be a copy as large; then
    ``A = raw - mean``, and `square` (d,) is the diagonal of G.
    """

    tasks: np.ndarray
    raw: np.ndarray
    v: np.ndarray
    mean: np.ndarray | None = None
    square: np.ndarray | None = None

    @cached_property
    def A(self):
        """The rows, centred."""
        return self.raw if self.mean is None else self.raw - self.mean

    def columns(self, at):
        """The columns of A of the features at `at`, a copy (g, r, len(at)), or (1, r, len(at)) for all."""
        columns = self.raw.take(at, axis=2)
        if self.mean is not None:
            columns -= self.mean[at]
        return columns

    def columns_of_each(self, k, at):
        """The columns of A of the features at `at` (n, m), others for each of the tasks k (n,), a copy (n, r, m)."""
        columns = np.empty((len(k), self.raw.shape[1], at.shape[1]))
        for t, features, out in zip(k, at, columns, strict=True):  # "clip": the default mode fills a buffer
            self.raw[0 if len(self.raw) == 1 else t].take(features, axis=1, out=out, mode="clip")
        return columns if self.mean is None else np.subtract(columns, self.mean[at][:, None], out=columns)

    def take(self, at):
        """These rows with the features at `at` only, centred."""
        return Rows(self.tasks, self.columns(at), self.v)

    def margins(self, W):
        """The products ``A_t w_t`` for W (g, d); shape (g, r)."""
        if len(self.raw) > 1:
            return np.matmul(self.raw, W[:, :, None])[:, :, 0]
        Z = W @ self.raw[0].T
        return Z if self.mean is None else Z - (W @ self.mean)[:, None]

    def products(self, R):
        """The products ``A_t' r_t`` for R (g, r); shape (g, d)."""
        if len(self.raw) > 1:
            return np.matmul(R[:, None, :], self.raw)[:, 0]
        H = R @ self.raw[0]
        if self.mean is None:
            return H
        # The sum of centred rows is 0, but for rounding: what is taken off then is less than the product may be wrong.
        total = R.sum(axis=1)
        noise = np.finfo(float).eps * R.shape[1] * np.linalg.norm(R, axis=1)
        return H if (np.abs(total) <= noise).all() else _minus_outer(H, total, self.mean)

    def products_of(self, k, R):
        """The products ``A_t' r_t`` of the tasks k (n,), for R (n, r); shape (n, d)."""
        if len(self.raw) == 1:
            return self.products(R)
        return np.stack([r @ self.raw[t] for t, r in zip(k, R, strict=True)])

    def cross(self, other):
        """The products ``A_t' B_t`` with other features of the same rows; shape (g, d, d'), or (1, d, d') for all."""
        A = self.A
        return np.matmul(A.swapaxes(1, 2), A if other is self else other.A)  # one array: symmetric, half the work

    def squares(self):
        """The diagonal of every ``A_t' A_t``, shape (g, d) or (1, d)."""
        return np.einsum("trj,trj->tj", self.raw, self.raw) if self.square is None else self.square[None]

    def only(self, mine, at):
        """The rows of the tasks that `mine`, a mask (g,) or a slice, picks; their positions are `at` from now on."""
        raw = self.raw if len(self.raw) == 1 else self.raw[mine]
        return replace(self, tasks=at, raw=raw, v=self.v[mine])


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Tasks with equally many sparse rows, or made so by rows of weight 0: ``A_t = diag(root_t) (X_t - 1 mean_t')``.

    tasks (g,): positions.  v (g, r): labels less their mean, times root.
    raw: CSC array (r, d), the X of all tasks, or (g r, d), those of the tasks one below the other.
    mean (b, d), root (b, r) or None for 1: b is g, or 1 for all.
    """

    tasks: np.ndarray
    raw: Any
    v: np.ndarray
    mean: np.ndarray
    root: np.ndarray | None = None

    @classmethod
    def of(cls, tasks, X, y, weight, centered):
        """Those of a CSR array X (r, d) or (g r, d), labels y (g, r) and weights (g, r), (1, r) or None.

        Returns
        -------
        rows : SparseRows
        total : array of shape (b,)
            Sums of weights.
        x_mean : array of shape (b, d)
        y_mean : array of shape (g,)
            What was taken off; 0 unless `centered`.
        """
        sums = _Sums(weight, y.shape, X.shape[0])
        shift, mean, y_mean = 0.0, np.zeros((len(sums.total), X.shape[1])), np.zeros(len(y))
        if centered:
            mean = sums.mean(X)
            X, shift = _without_large_means(X, mean, sums)
            mean = sums.mean(X) if shift.any() else mean
            for _ in range(2):  # the second time, what rounding left of a large mean
                y_mean = y_mean + sums.mean_label(y - y_mean[:, None])
        root = None if weight is None else np.sqrt(weight)
        v = y - y_mean[:, None]
        return cls(tasks, X.tocsc(), v if root is None else v * root, mean, root), sums.total, shift + mean, y_mean

    @property
    def own(self):
        """Whether each task has rows of its own."""
        return self.raw.shape[0] != self.v.shape[1]

    @cached_property
    def A(self):
        """All features as a dense array (b, r, d): for few features."""
        return self.columns(slice(None))

    def columns(self, at):
        """A of the features at `at` as a dense array (b, r, len(at))."""
        X = self.raw[:, at].toarray(order="C")
        n_rows = self.v.shape[1]
        return self._centred(X.reshape(len(X) // n_rows, n_rows, X.shape[1]), self.mean[:, at], self.root)

    @staticmethod
    def _centred(X, mean, root):
        A = X - mean[:, None, :]
        return A if root is None else np.multiply(A, root[:, :, None], out=A if len(A) >= len(root) else None)

    def take(self, at):
        """These rows with the features at `at` only."""
        return replace(self, raw=self.raw[:, at], mean=self.mean[:, at])

    def margins(self, W):
        """The products ``A_t w_t`` for W (g, d); shape (g, r)."""
        if self.own:
            feature = np.repeat(np.arange(W.shape[1]), np.diff(self.raw.indptr))
            products = self.raw.data * W[self.raw.indices // self.v.shape[1], feature]
            Z = np.bincount(self.raw.indices, products, minlength=self.v.size).reshape(self.v.shape)
        else:
            Z = np.ascontiguousarray((self.raw @ W.T).T)
        Z = Z - np.einsum("tj,tj->t", W, np.broadcast_to(self.mean, W.shape))[:, None]
        return Z if self.root is None else Z * self.root

    def products(self, R):
        """The products ``A_t' r_t`` for R (g, r); shape (g, d)."""
        R = R if self.root is None else R * self.root
        H = self._sums(R)
        H -= R.sum(axis=1)[:, None] * self.mean
        return H

    def _sums(self, R, power=1):
        """``sum_i R_ti X_tij^power`` for R (g, r), or (b, r); shape (g, d)."""
        X = self.raw
        if not self.own:
            return np.ascontiguousarray(((X if power == 1 else X.power(power)).T @ R.T).T)
        out, weights = np.empty((len(R), X.shape[1])), R.ravel()
        cuts = np.unique([0, *np.searchsorted(X.indptr, np.arange(_ENTRIES, X.nnz, _ENTRIES)), X.shape[1]])
        for first, last in pairwise(cuts):
            held = slice(X.indptr[first], X.indptr[last])
            rows, indptr = X.indices[held], X.indptr[first : last + 1] - X.indptr[first]
            entries = X.data[held] ** power * weights[rows]
            products = sparse.csc_array((entries, rows // R.shape[1], indptr), shape=(len(R), last - first))
            out[:, first:last] = products.toarray()  # adds up what is in one place
        return out

    def cross(self, other):
        """The products ``A_t' B_t`` with other features of the same rows; shape (b, d, d')."""
        r = self.v.shape[1]
        weight = self._weight()
        mine, theirs = (csr_arrays(X.tocsr()) for X in (self.raw, other.raw))
        N = weight.sum(axis=1)
        out = np.ascontiguousarray(-(N[:, None] * self.mean)[:, :, None] * other.mean[:, None, :])
        sparse_cross(*mine, *theirs, read_only(weight), r if self.own else 0, out)
        return out

    def one_by_one(self):
        """The rows of each task alone."""
        g, r = self.v.shape
        raw = self.raw.tocsr() if self.own else self.raw
        for t in range(g):
            b = slice(t, t + 1) if len(self.mean) > 1 else slice(None)
            yield SparseRows(
                self.tasks[t : t + 1],
                raw[t * r : (t + 1) * r].tocsc() if self.own else raw,
                self.v[t : t + 1],
                self.mean[b],
                None if self.root is None else self.root[b],
            )

    def columns_of_each(self, k, at):
        """The columns of A of the features at `at` (1, m), for a task alone: (1, r, m)."""
        return self.columns(at[0])

    def products_of(self, k, R):
        """The product ``A' r``, for a task alone: (1, d)."""
        return self.products(R)

    def squares(self):
        """The diagonal of every ``A_t' A_t``, shape (b, d)."""
        weight = self._weight()
        return np.maximum(self._sums(weight, power=2) - weight.sum(axis=1)[:, None] * self.mean**2, 0.0)

    def _weight(self):
        """The weights of the rows, (b, r)."""
        return np.ones((len(self.mean), self.v.shape[1])) if self.root is None else self.root**2

    def only(self, mine, at):
        """The tasks where the mask `mine` (g,) is true, whose positions are `at` from now on."""
        rows = replace(self, tasks=at, v=self.v[mine])
        if len(self.mean) == 1:
            return rows
        raw = self.raw.tocsr()[np.repeat(mine, self.v.shape[1])].tocsc() if self.own else self.raw
        return replace(rows, raw=raw, mean=self.mean[mine], root=None if self.root is None else self.root[mine])


class _Sums:
    """Weighted sums over the rows of every task: weight (b, r), None for 1, of labels (g, r) and `n_rows` rows."""

    def __init__(self, weight, shape, n_rows):
        g, r = shape
        self.own = n_rows != r
        weight = np.ones((g if self.own else 1, r)) if weight is None else weight
        self.weight, self.total = weight, weight.sum(axis=1)
        self._over_tasks = weight
        if self.own:
            at = np.arange(g * r), np.arange(0, g * r + 1, r)
            self._over_tasks = sparse.csr_array((weight.ravel(), *at), shape=(g, g * r))

    def mean_label(self, y):
        """Of y (g, r), shape (g,)."""
        return np.einsum("ti,ti->t", np.broadcast_to(self.weight, y.shape), y) / np.maximum(self.total, _TINY)

    def mean(self, X):
        """Of sparse X (r, d) or (g r, d), shape (b, d)."""
        sums = self._over_tasks @ X
        sums = np.ascontiguousarray(sums.toarray() if self.own else sums)
        return sums / np.maximum(self.total, _TINY)[:, None]

    def squares(self, X):
        """The sums of the squares of its numbers, shape (b, d)."""
        return self.total[:, None] * self.mean(type(X)((X.data**2, X.indices, X.indptr), shape=X.shape))


def _without_large_means(X, mean, sums):
    """X with its columns centred where most of their squares is the mean's, and what was taken off, (1, d) or (g, d).

    Such columns have hardly any zero, so that X holds about as many numbers as before.  Constants become exact zeros.
    """
    squares = sums.squares(X)
    around = squares - sums.total[:, None] * mean**2
    large = around < OFF_CENTRE * squares
    shift = np.where(large, mean, 0.0) if sums.own else np.where(large.any(axis=0), mean.mean(axis=0), 0.0)[None]
    if not shift.any():
        return X, shift
    level = (around < _LEVEL * squares) & (shift != 0.0)
    if level.any():
        first = _first_rows(X, level, sums)
        constant = level & (sums.squares(_less(X, first, sums)) == 0.0)
        shift = np.where((constant if sums.own else constant.any(axis=0)) & (first != 0.0), first, shift)
    return _less(X, shift, sums), shift


def _first_rows(X, some, sums):
    """The numbers in the first row with weight of each task (g, d), where the mask `some` is true.

    Of tasks that share their rows (1, d): those of the first task where it is.
    """
    first = np.zeros(some.shape if sums.own else (1, some.shape[1]))
    row = np.argmax(sums.weight > 0.0, axis=1)
    if sums.own:
        t, j = np.nonzero(some)
        first[t, j] = X[t * sums.weight.shape[1] + row[t], j]
    else:
        j = np.flatnonzero(some.any(axis=0))
        first[0, j] = X[row[some[:, j].argmax(axis=0)], j]
    return first


def _less(X, shift, sums):
    """X less `shift`, (1, d) for all of its rows or (g, d) for those of each task with weight."""
    t, j = np.nonzero(shift)
    if not len(t):
        return X
    pair, row = np.nonzero(sums.weight[t] > 0.0) if sums.own else np.divmod(np.arange(len(t) * X.shape[0]), X.shape[0])
    t, j, first = t[pair], j[pair], sums.weight.shape[1] if sums.own else 0
    return X - sparse.csr_array((shift[t, j], (t * first + row, j)), shape=X.shape)


def _minus_outer(H, a, b):
    """``H - a b'``, in the place of H, a block of columns at a time."""
    for start in range(0, H.shape[1], _COLUMNS):
        block = slice(start, start + _COLUMNS)
        H[:, block] -= np.multiply.outer(a, b[block])
    return H
