r"""Moments of tasks that share rows but not all have a label in each: what the rows say of all, less what is missing.

Let A be all n rows, centred on their common mean, and M those of them for which task t, with n_t labels, has none.
With rows of weight 1,

    G_t = A'A - M'(I + 1 1' / n_t) M,

and the part that is taken off has at most as many dimensions as labels are missing.  Where these are few, no task needs
a Gram matrix of its own: products with G_t are taken on the rows, and inverses come from Woodbury's formula, in
`solvers/_resolvents.py`.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from skmtl._ids import lookup
from skmtl._threads import one_blas_thread
from skmtl.moments._task_moments import TaskMoments

__all__ = ["IncompleteMoments", "nearly_complete"]

_LARGEST = 6e7  # numbers in the factors of all tasks, or in their rows, that memory has room for
_WIDE = 64  # features; with fewer, Gram matrices are as fast
_FEW = 0.25  # the share of rows labelled by the median task, below which tasks are better off with copies of their rows


def nearly_complete(data):
    """Whether tasks share their rows and `IncompleteMoments` are smaller than the usual moments would be.

    Solving with them takes a square matrix for each task, with a row for each of its labels or each that is missing,
    whichever are fewer.  Where most tasks have few labels, copies of the labelled rows serve as well, if there is room.
    """
    n, d = data.X.shape
    if not data.shared or data.complete or sparse.issparse(data.X) or d < _WIDE:
        return False
    labelled, row_weight = data.weight > 0, data.weight.max(axis=1)
    n_labels = labelled.sum(axis=0, dtype=float)
    if np.median(n_labels) < _FEW * n and d * n_labels.sum() <= _LARGEST:
        return False
    size = np.minimum(n_labels, n - n_labels)
    few = size @ size <= min(_LARGEST, d * np.minimum(n_labels, d).sum())
    return bool(few and (data.weight == labelled * row_weight[:, None]).all())


@dataclass(frozen=True, eq=False)
class IncompleteMoments(TaskMoments):
    """`TaskMoments` that hold no Gram matrix: they offer products with G_t and, by `solvers/_resolvents.py`, inverses.

    Attributes
    ----------
    A : array of shape (n_samples, n_features)
        The rows, centred where there is an intercept, times the roots of their weights.
    unit : array of shape (n_samples,)
        e: these roots, of length 1; zeros where there is no intercept.
    labelled : bool array of shape (n_samples, n_tasks)
    """

    A: Any = None
    unit: Any = None
    labelled: Any = None

    @classmethod
    def of(cls, data, *, fit_intercept=True, n_jobs=None):
        """The sums of `data`, for which `nearly_complete` is true."""
        data = data.take(data.weight.any(axis=1))
        labelled, s = data.weight > 0, data.weight.max(axis=1)
        A, y, root = data.X, data.y, np.sqrt(s)[:, None]
        weight, (n_tasks, d) = s @ labelled, (data.n_tasks, data.X.shape[1])
        x_mean, y_mean = np.zeros((n_tasks, d)), np.zeros(n_tasks)
        if fit_intercept:  # differences from a task's first row: what is constant leaves exact zeros
            share = labelled * s[:, None] / np.where(weight > 0, weight, 1.0)
            A, first = A - A[0], y[labelled.argmax(axis=0), np.arange(n_tasks)]
            x_mean = (weight > 0)[:, None] * (data.X[0] + share.T @ A)
            y_mean = (weight > 0) * (first + np.einsum("it,it->t", share, y - first))
            A -= s @ A / s.sum()
        A = A * root
        v = labelled * root * (y - y_mean)
        return cls(
            tasks=data.tasks,
            n_rows=labelled.sum(axis=0),
            weight=weight,
            x_mean=x_mean,
            y_mean=y_mean,
            xy=v.T @ A,
            yy=np.einsum("it,it->t", v, v),
            gram=np.empty((0, d, d)),
            full=np.zeros(0, dtype=np.intp),
            centered=bool(fit_intercept),
            data=data,
            n_jobs=n_jobs,
            A=A,
            unit=root[:, 0] / np.sqrt(s.sum()) * bool(fit_intercept),
            labelled=labelled,
        )

    def times_gram(self, W):
        return self._labelled_part(self.A @ W.T).T @ self.A

    def grams_along(self, B):
        Z, off = self.A @ B.T, self._off_mean @ B.T
        products = (Z[:, :, None] * Z[:, None, :]).reshape(len(Z), -1)
        return (self.labelled.T @ products).reshape(-1, len(B), len(B)) - off[:, :, None] * off[:, None, :]

    def times_gram_along(self, S, R, B):
        return (self._labelled_part((self.A @ B.T) @ R.T) @ S).T @ self.A

    def _labelled_part(self, margins):
        """Margins (n_samples, n_tasks), changed in place: 0 without a label, the others less their task's mean."""
        margins *= self.labelled
        if self.centered:
            e = self.labelled * self.unit[:, None]
            margins -= e * (np.einsum("it,it->t", e, margins) / np.maximum(np.einsum("it,it->t", e, e), 1e-300))
        return margins

    @cached_property
    def squares(self):
        return np.maximum(self.labelled.T @ self.A**2 - self._off_mean**2, 0.0)

    @cached_property
    def _off_mean(self):
        """``sqrt(N_t)`` times the mean of a task's labelled rows less the mean of all rows, (n_tasks, n_features)."""
        e = self.labelled * self.unit[:, None]
        return (e / np.sqrt(np.maximum(np.einsum("it,it->t", e, e), 1e-300))).T @ self.A

    def _lacking(self, *args):
        raise TypeError("Tasks that share rows and lack labels have no Gram matrices for that: see `with_grams`.")

    factors = thin_factors = property(_lacking)
    with_mean_rows = __add__ = __sub__ = _lacking

    def dense_gram(self, tasks):
        return np.array([self.gram_sum(np.eye(1, self.n_tasks, t)[0]) for t in tasks]).reshape(-1, *self.gram.shape[1:])

    def gram_sum(self, c):
        off = np.sqrt(c)[:, None] * self._off_mean
        return self.A.T @ ((self.labelled @ c)[:, None] * self.A) - off.T @ off

    def rows_of_sum(self, c):
        if len(self.A) >= self.n_features:
            return None
        V, Z, _ = self.directions
        off = np.sqrt(c)[:, None] * self._off_mean @ V.T
        l, Q = np.linalg.eigh(Z.T @ ((self.labelled @ c)[:, None] * Z) - off.T @ off)  # noqa: E741
        return np.sqrt(np.maximum(l, 0.0))[:, None] * (Q.T @ V)

    def only(self, kept):
        if kept.all():
            return self
        parts = {"labelled": self.labelled[:, kept], "data": self.data.reindex(self.tasks[kept])}
        return replace(self, **self._sums_of(kept), **parts)

    def of_features(self, some):
        return replace(
            self,
            x_mean=self.x_mean[:, some],
            xy=self.xy[:, some],
            gram=np.empty((0, len(some), len(some))),
            data=replace(self.data, X=self.data.X[:, some]),
            A=self.A[:, some],
        )

    def among(self, tasks):
        if np.array_equal(tasks, self.tasks):
            return self
        at = lookup(self.tasks, tasks)
        labelled = np.zeros((len(self.A), len(tasks)), dtype=bool)
        labelled[:, at] = self.labelled
        return replace(self, **self._sums_among(tasks, at), labelled=labelled, data=self.data.reindex(tasks))

    def apart(self):
        """Yield the position of every task that has rows, and the usual moments of this task alone."""
        for t in np.flatnonzero(self.active):
            yield t, TaskMoments.from_data(self.data.reindex(self.tasks[[t]]), fit_intercept=self.centered)

    def with_grams(self):
        """The usual moments of all tasks."""
        moments = TaskMoments.from_data(self.data, fit_intercept=self.centered, n_jobs=self.n_jobs)
        return replace(moments, x_mean=self.x_mean)  # which may be counted from another origin

    @cached_property
    def directions(self):
        """V (r, n_features), orthonormal rows, and Z (n_samples, r) with ``A = Z V`` and ``Z'Z`` diagonal, l (r,)."""
        with one_blas_thread:
            U, s, V = np.linalg.svd(self.A, full_matrices=False)
        solid = s > s[0] * max(self.A.shape) * np.finfo(float).eps
        return V[solid], U[:, solid] * s[solid], s[solid] ** 2
