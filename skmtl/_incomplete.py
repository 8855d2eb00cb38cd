r"""Moments of tasks that share rows but not all have a label in each: what the rows say of all, less what is missing.

With all rows as A, centred on their mean, and those that a task has no label for as M,

    G_t = A'A - M'(I + e e' n / n_t) M,        e e' = 1 / n  for rows of weight 1,

whose second part has as many dimensions as labels are missing.  Where these are few, neither d x d numbers are kept for
each task nor are they needed: by the formula of Woodbury (1950, *Memorandum Report* 42, Princeton University)

    (G_t + a I)^-1 = K + K M'(I - H_t)^-1 M K,   K = (A'A + a I)^-1,   H_t = M K M' + e e',

and H_t is a part of one matrix for all tasks, the hat matrix of ridge regression with an intercept (Hoaglin, Welsch
1978, *The American Statistician* 32:17-22).  Where few labels are there, it is ``K - K L'(I + L K L')^-1 L K`` with the
task's own centred rows L and ``K = I / a``.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from skmtl._ids import lookup
from skmtl._threads import one_blas_thread
from skmtl.moments import TaskMoments

__all__ = ["IncompleteMoments", "Resolvent", "nearly_complete"]

_LARGEST = 6e7  # numbers in the factors of all tasks
_WIDE = 64  # features; with fewer, Gram matrices are as fast
_LEAST = 1e-12  # of the largest curvature: less beside it is rounding, and counts as this much
_ATTEMPTS = 5  # to factor a matrix that is positive definite but for rounding


def nearly_complete(data):
    """Whether tasks share rows but for labels, and those missing (or there) are fewer than their Gram matrices."""
    n, d = data.X.shape
    if not data.shared or data.complete or sparse.issparse(data.X) or d < _WIDE:
        return False
    labelled, row_weight = data.weight > 0, data.weight.max(axis=1)
    n_labels = labelled.sum(axis=0, dtype=float)
    size = np.minimum(n_labels, n - n_labels)
    few = size @ size <= min(_LARGEST, d * np.minimum(n_labels, d).sum())
    return bool(few and (data.weight == labelled * row_weight[:, None]).all())


@dataclass(frozen=True, eq=False)
class IncompleteMoments(TaskMoments):
    """`TaskMoments` without Gram matrices: products with them and with ``(c_t G_t + D_t I)^-1`` are all there is.

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
        if fit_intercept:  # counted from the first of them, what is constant leaves exact zeros
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
        margins = self.labelled * (self.A @ W.T)
        if self.centered:  # on the mean of the labelled rows
            e = self.labelled * self.unit[:, None]
            margins -= e * (np.einsum("it,it->t", e, margins) / np.maximum(np.einsum("it,it->t", e, e), 1e-300))
        return margins.T @ self.A

    def squares(self):
        return np.maximum(self.labelled.T @ self.A**2 - self._off_mean**2, 0.0)

    @cached_property
    def _off_mean(self):
        """``sqrt(N_t)`` times how far the mean of a task's rows is from that of all, (n_tasks, n_features)."""
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
        """Every task that has rows as usual moments of its own: its position and these."""
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


class Resolvent:
    """``(c_t G_t + D_t I)^-1`` for D_t >= 0: ``1 / c_t (K + K A_S' X_t A_S K)`` with K diagonal in `directions`.

    The rows S are the missing ones of a task, and K is ``(A'A + a I)^-1``; or, where these are fewer, the labelled
    ones, and K is ``1 / a``.

    Parameters
    ----------
    moments : IncompleteMoments
    c : array of shape (n_tasks,)
    D : float or array of shape (n_tasks, 1)
    """

    def __init__(self, moments, c, D):
        self.V, self.Z, self.l = moments.directions
        self.unit, self.c = moments.unit, c[:, None]
        self.D = np.maximum(D, _LEAST * self.c * max(self.l.max(initial=0.0), 1e-100))
        self.a = self.D / self.c
        n_labels = moments.labelled.sum(axis=0)
        self.few = 2 * n_labels <= len(self.Z)
        self.rows = [np.flatnonzero(column == few) for column, few in zip(moments.labelled.T, self.few, strict=True)]
        self.K = 1.0 / (np.where(self.few[:, None], 0.0, self.l) + self.a)
        self.X: dict[int, _Between] = {}
        for K, tasks, whole in self._groups():
            H = (self.Z * K) @ self.Z.T if whole else None
            for t in tasks:
                S = self.rows[t]
                own = (self.Z[S] * K) @ self.Z[S].T if H is None else H[S[:, None], S]
                between = _Between.of_labelled if self.few[t] else _Between.of_missing
                self.X[t] = between(own, self.unit[S])

    def _groups(self):
        """Each K with its tasks that have rows in S, and whether all rows by all are fewer numbers than theirs."""
        size = np.array([len(S) for S in self.rows])
        for a, few in set(zip(self.a[:, 0], self.few, strict=True)):
            tasks = np.flatnonzero((self.a[:, 0] == a) & (self.few == few) & (size > 0))
            if len(tasks):
                yield self.K[tasks[0]], tasks, len(self.Z) ** 2 <= size[tasks] @ size[tasks]

    def __call__(self, R):
        """``(c_t G_t + D_t I)^-1 r_t`` for R (n_tasks, n_features)."""
        R = R / self.c
        inside = R @ self.V.T
        q = self.K * inside
        margins = q @ self.Z.T
        between = np.zeros_like(margins)
        for t, X in self.X.items():
            between[t, self.rows[t]] = X(margins[t, self.rows[t]])
        q += self.K * (between @ self.Z)
        if len(self.V) == self.V.shape[1]:
            return q @ self.V
        return (q - inside / self.a) @ self.V + R / self.a  # there is more than the rows span

    def sum_damped(self):
        """``sum_t D_t A_t (A_t + D_t I)^-1`` for ``A_t = c_t G_t``, shape (n_features, n_features).

        ``D I - D^2 (A + D I)^-1``, K's part in a form that loses no digits.
        """
        damped = (self.D * np.where(self.few[:, None], 0.0, self.l) * self.K).sum(axis=0)
        S = (self.V.T * damped) @ self.V
        for K, tasks, whole in self._groups():
            half = (self.Z * K) @ self.V
            total = np.zeros((len(half),) * 2) if whole else None
            for t in tasks:
                rows, X = self.rows[t], self.D[t] * self.a[t] * self.X[t].dense()
                if whole:
                    total[rows[:, None], rows] += X
                else:
                    S -= half[rows].T @ X @ half[rows]
            if whole:
                S -= half.T @ total @ half
        return 0.5 * (S + S.T)


@dataclass(frozen=True, eq=False)
class _Between:
    """``X = s P (I - s H)^-1 P`` of one task, P the projection off a unit vector if there is one."""

    sign: float
    factor: np.ndarray  # of Cholesky, upper
    unit: np.ndarray | None

    @classmethod
    def of_missing(cls, H, unit):
        """From what its missing rows are to each other by K: ``(I - H - e e')^-1``."""
        return cls(1.0, _upper(np.eye(len(H)) - H - np.outer(unit, unit)), None)

    @classmethod
    def of_labelled(cls, H, unit):
        """From what its labelled rows are to each other: ``-P (I + P H P)^-1 P``, P taking off their mean."""
        length = np.linalg.norm(unit)
        if length == 0.0:
            return cls(-1.0, _upper(np.eye(len(H)) + H), None)
        unit = unit / length
        H = H - np.outer(unit, unit @ H)
        return cls(-1.0, _upper(np.eye(len(H)) + H - np.outer(H @ unit, unit)), unit)

    def __call__(self, u):
        """``X u``."""
        if self.unit is not None:
            u = u - self.unit * (self.unit @ u)
        x = self.sign * lapack.dpotrs(self.factor, u)[0]
        return x if self.unit is None else x - self.unit * (self.unit @ x)

    def dense(self):
        """X."""
        X = np.triu(lapack.dpotri(self.factor)[0])
        X = self.sign * (X + np.triu(X, 1).T)
        if self.unit is not None:
            X -= np.outer(self.unit, self.unit @ X)
            X -= np.outer(X @ self.unit, self.unit)
        return X


def _upper(A):
    """The factor of Cholesky of A, positive definite but for rounding, for LAPACK: `cho_solve` takes longer to call."""
    more = len(A) * np.finfo(float).eps * np.max(np.diag(A), initial=0.0)
    for attempt in range(_ATTEMPTS):
        factor, failed = lapack.dpotrf(A.T if attempt == 0 else A.T + 100.0 ** (attempt - 1) * more * np.eye(len(A)))
        if not failed:
            return factor
    raise np.linalg.LinAlgError("What missing labels take from the moments leaves no positive definite matrix.")
