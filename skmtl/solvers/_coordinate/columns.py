"""The features of all tasks as coordinate descent sees them: products with residuals, Gram matrices of a few.

Weights and products are (n_features, n_tasks) here, residuals (n_tasks, n_rows) as in `skmtl.moments.Rows`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from skmtl._algebra import lengths_of, positive_solver
from skmtl._blas import thin_product
from skmtl.moments import TaskMoments
from skmtl.solvers.solution import loss_at_zero

__all__ = ["LARGEST", "Columns", "State", "columns_of", "least_squares"]

_NOISE = 16 * np.finfo(float).eps  # share of a column's mean: if deviations are no larger, the column is constant
LARGEST = 5e7  # numbers in the Gram matrices of a working set; beyond, residuals are kept up to date instead
_SPARE = 1.3  # times as many features as asked for, rather than a copy of the Gram matrices of those


@dataclass(frozen=True, eq=False)
class State:
    """Weights W (n_features, n_tasks) and H, ``q_t - G_t w_t``, of the same shape; neither changes."""

    W: np.ndarray
    H: np.ndarray

    @cached_property
    def used(self):
        """Which features have weights, bool (n_features,)."""
        return self.W.any(axis=1)

    @cached_property
    def some(self):
        """The positions of these, or a slice of all features where they are not few."""
        used = np.flatnonzero(self.used)
        return used if 4 * len(used) < len(self.W) else slice(None)


@dataclass(frozen=True, eq=False)
class Columns:
    """The features of all tasks; `passes` is how many times a descent is expected to visit a feature."""

    moments: TaskMoments
    c: np.ndarray
    passes: int
    q: np.ndarray
    squares: np.ndarray
    grams: Any

    @classmethod
    def of(cls, moments, c, passes):
        """Of the sums of all tasks; columns that are nothing but the rounding noise of their mean are made zero."""
        squares, q = moments.squares, moments.xy
        noise = squares <= _NOISE**2 * moments.weight[:, None] * moments.x_mean**2
        if noise.any():
            squares, q = np.where(noise, 0.0, squares), np.where(noise, 0.0, q)
        grams = _SharedGrams(moments) if moments.shared else _OwnGrams(moments)
        return cls(moments, np.where(moments.active, c, 0.0), passes, q.T, squares.T, grams)

    @property
    def shared(self):
        """Whether all tasks share their rows."""
        return self.moments.shared

    @cached_property
    def alike(self):
        """Whether the loss has the same curvature in all tasks."""
        return self.shared and np.ptp(self.c) == 0.0

    @cached_property
    def curved(self):
        """Where the loss depends on a weight, bool (n_features, n_tasks)."""
        return self.squares > 0.0

    @cached_property
    def visible(self):
        """Which features the loss depends on, bool (n_features,)."""
        return self.curved.any(axis=1)

    @cached_property
    def all_curved(self):
        """Whether that is so everywhere."""
        return bool(self.curved.all())

    @cached_property
    def largest(self):
        """The largest curvature of every feature, over tasks."""
        return (self.squares * self.c).max(axis=1)

    @cached_property
    def sums(self):
        """The sum of every feature's curvatures over tasks."""
        return self.squares @ self.c

    @cached_property
    def gradient_at_zero(self):
        """The negative gradient at W = 0."""
        return self.q * self.c

    @property
    def price(self):
        """Multiplications of a product of all residuals with all features."""
        moments = self.moments
        if len(moments.gram) and self.shared:
            return len(moments.full) * moments.n_features**2
        times = moments.n_tasks if self.shared else 1
        return len(moments.full) * moments.n_features**2 + times * sum(rows.raw.size for rows in moments.rows)

    @property
    def sparse(self):
        """Whether the rows are."""
        return any(sparse.issparse(rows.raw) for rows in self.moments.rows)

    @property
    def n_entries(self):
        """Numbers in a column of a task: its rows, averaged over tasks; of sparse rows that are shared, its entries."""
        moments = self.moments
        if self.sparse and self.shared:
            return moments.rows[0].raw.size / moments.n_features
        return moments.n_rows[0] if self.shared else moments.n_rows[moments.active].mean()

    @cached_property
    def rounding(self):
        """A gap below which rounding is to blame if there is no more progress."""
        return 1e-10 * loss_at_zero(self.moments, self.c)

    def objective(self, omega, state):
        """The objective of a state of all features."""
        some, W = state.some, state.W[state.some]
        return self.loss_of(W, state.H[some], self.q[some]) + omega.value(W, some)

    def loss_of(self, W, H, q):
        """``sum_t c_t / 2 |y_t - X_t w_t|^2`` for the features that have these q; H is ``q_t - G_t w_t``."""
        fitted = np.einsum("jt,jt->t", q + H, W)
        return float(0.5 * self.c @ np.maximum(self.moments.yy - fitted, 0.0))

    def residual_products(self, W):
        """``q_t - G_t w_t`` of all features, from the data."""
        support = np.flatnonzero(W.any(axis=1))
        if not len(support):
            return self.q
        moments = self.moments
        if len(moments.gram) and self.shared:
            if 2 * len(support) > len(W):  # a copy costs as much as the product
                GW = thin_product(moments.gram[0], np.ascontiguousarray(W))
                return self._masked((moments.xy - np.ascontiguousarray(GW.T)).T)
            return self._masked((moments.xy - W[support].T @ moments.gram[0][support]).T)
        if len(moments.gram):
            return self._masked((moments.xy - moments.times_gram(np.ascontiguousarray(W.T))).T)
        return self.products(self.residuals(support, W[support]))

    def state(self, W):
        """The weights W with their products."""
        return State(W, self.residual_products(W))

    def residuals(self, at, W):
        """``v_t - A_t w_t`` of all rows, for the weights W of the features at positions `at`."""
        if self.shared and not self.sparse and 4 * len(at) < self.moments.n_features:
            return [self.moments.rows[0].v - W.T @ self.grams.columns(at)]
        if self.shared and not self.sparse:  # nearly all of them: no copy of so many columns
            (rows,), everywhere = self.moments.rows, np.zeros_like(self.moments.xy)
            everywhere[:, at] = W.T
            return [rows.v - rows.margins(everywhere)]
        return [rows.v - rows.take(at).margins(np.ascontiguousarray(W.T[rows.tasks])) for rows in self.moments.rows]

    def products(self, residuals):
        """``A_t' r_t`` of all features, for tasks that all keep rows."""
        moments = self.moments
        if self.shared:
            return self._masked(moments.rows[0].products(residuals[0]).T)
        H = np.zeros_like(moments.xy)
        for rows, R in zip(moments.rows, residuals, strict=True):
            H[rows.tasks] = rows.products(R)
        return self._masked(H.T)

    def _masked(self, H):
        """H, changed, with zeros where the loss does not depend on a weight: rounding noise is left there."""
        if not self.all_curved:
            H[~self.curved] = 0.0
        return H

    def prefers_gram(self, m):
        """Whether to descend on Gram matrices of m features rather than on residuals."""
        moments, n_rows, n_tasks = self.moments, self.n_entries, self.moments.n_tasks
        if len(moments.gram):
            return True
        if not self.shared:
            return m <= max(300, n_rows) and n_tasks * m**2 <= LARGEST
        # A symmetric product of many columns runs at several times the speed of one with few residuals, and single
        # precision, which serves between blocks of features, at twice that of double.
        gram, residuals = (0.2 * n_rows + 0.7 * self.passes * n_tasks) * m**2, 2.0 * self.passes * n_rows * n_tasks * m
        return gram <= residuals and m**2 <= LARGEST

    def with_grams(self, at):
        """Gram matrices of the features at `at`, (m, m, n_tasks), or (m, m, 1) for all tasks; not to be changed."""
        G = self.grams.of(at)
        if not self.shared:
            t, j = np.nonzero(~self.curved[at].T)
            G[j, j, t] = 0.0  # a column that is nothing but rounding noise
        return G


class _OwnGrams:
    """Gram matrices (m, m, n_tasks) of the m features that have been in a working set, grown by each new one."""

    def __init__(self, moments):
        self.moments = moments
        self.where = np.full(moments.n_features, -1)  # the place of a feature in G, -1 before it has one
        self.order = np.empty(0, dtype=np.intp)  # the feature at each place
        self.G = np.empty((0, 0, moments.n_tasks))
        self.parts: list[list] = [[] for _ in moments.rows]  # each group's rows, with the features that came together

    def of(self, at):
        """The matrices of the features at `at`."""
        new = at[self.where[at] < 0]
        if len(new):
            self._grow(new)
        k = self.where[at]
        return self.G if np.array_equal(k, np.arange(len(self.G))) else self.G[k[:, None], k]

    def _grow(self, new):
        """Give the features `new` the next places, and form their products with all that have one."""
        moments, old = self.moments, len(self.order)
        size = old + len(new)
        self.where[new] = np.arange(old, size)
        self.order = np.concatenate([self.order, new])
        G = np.zeros((size, size, moments.n_tasks))
        G[:old, :old] = self.G
        if len(moments.gram):
            for j, feature in enumerate(self.order):  # not at once, as that takes a copy of them all
                G[j, :, moments.full] = moments.gram[:, feature, self.order]
        for rows, known in zip(moments.rows, self.parts, strict=True):
            part = rows.take(new)
            known.append(part)
            start = 0
            for before in known:
                end = start + before.raw.shape[-1]
                cross = part.cross(before)
                G[old:, start:end, rows.tasks] = np.moveaxis(cross, 0, 2)
                G[start:end, old:, rows.tasks] = np.moveaxis(cross.swapaxes(1, 2), 0, 2)
                start = end
        self.G = G


class _SharedGrams:
    """Columns of tasks that share their rows, and their Gram matrix: of few in double precision, of many in single.

    Columns that have been asked for are kept, and so is the matrix in single precision, which is that of features
    scaled to unit length, so that its numbers are of one size.
    """

    def __init__(self, moments):
        self.moments, self.full = moments, moments.gram[0] if len(moments.gram) else None
        self.sparse = self.full is None and sparse.issparse(moments.rows[0].raw)
        squares = moments.squares[0] if moments.n_tasks else np.empty(0)
        self.unit = 1.0 / np.sqrt(np.where(squares > 0.0, squares, 1.0))  # times which a feature has length 1
        self.place = np.full(moments.n_features, -1)  # of a feature among the columns A
        self.A = np.empty((0, 0 if self.full is not None else moments.rows[0].v.shape[1]))
        self.where = np.full(moments.n_features, -1)  # the place of a feature in G, -1 before it has one
        self.order = np.empty(0, dtype=np.intp)  # the feature at each place
        self.G = np.empty((0, 0), dtype=np.float32)
        self.parts: list[Any] = []  # the columns of G, of unit length: arrays (n_rows, m), or sparse rows

    def of(self, at):
        """The matrix of the features at `at`, (m, m, 1)."""
        if self.full is not None:
            return np.ascontiguousarray(self.full.take(at, axis=0).take(at, axis=1))[:, :, None]
        if self.sparse:
            part = self.moments.rows[0].take(at)
            return part.cross(part)[0][:, :, None]
        A = self.columns(at)
        return (A @ A.T)[:, :, None]

    def columns(self, at):
        """The columns of the features at `at`, (m, n_rows), of dense rows; not to be changed."""
        new = at[self.place[at] < 0]
        if len(new):
            self.place[new] = np.arange(len(self.A), len(self.A) + len(new))
            self.A = np.concatenate([self.A, columns_of(self.moments.rows[0], new)[0]])
        k = self.place[at]
        return self.A[k[0] : k[-1] + 1] if (np.diff(k) == 1).all() else self.A[k]

    def single(self, at):
        """Features, at least those at `at` but not many more, and the matrix of them at unit length, float32."""
        if self.full is not None and _SPARE * len(at) >= len(self.full):
            at = np.arange(len(self.full))
        new = at[self.where[at] < 0]
        if len(new):
            self.where[new] = np.arange(len(self.order), len(self.order) + len(new))
            self.order = np.concatenate([self.order, new])
            self._grow(new)
        if _SPARE * len(at) >= len(self.order):
            return self.order, self.G
        k = self.where[at]
        return at, self.G[k[:, None], k]

    def _grow(self, new):
        """Form the products of the features `new`, which are the last in `order`, with all that are there."""
        old, size = len(self.G), len(self.order)
        G = np.empty((size, size), dtype=np.float32)
        G[:old, :old] = self.G
        if self.full is not None:
            G[old:] = self.full.take(new, axis=0).take(self.order, axis=1) * (
                self.unit[new, None] * self.unit[self.order]
            )
        else:
            self.parts.append(self._part(new))
            start = 0
            for part in self.parts:
                end = start + part.raw.shape[-1] if self.sparse else start + part.shape[1]
                if self.sparse:
                    cross = self.parts[-1].cross(part)[0]
                    G[old:, start:end] = cross * self.unit[new, None] * self.unit[self.order[start:end]]
                else:
                    np.matmul(self.parts[-1].T, part, out=G[old:, start:end])  # with itself half the work: symmetric
                start = end
        G[:old, old:] = G[old:, :old].T
        self.G = G

    def _part(self, at):
        """Sparse rows of the features at `at`, or their dense columns at unit length in single precision."""
        rows = self.moments.rows[0]
        return rows.take(at) if self.sparse else (rows.columns(at)[0] * self.unit[at]).astype(np.float32)


def columns_of(rows, at):
    """Columns of Rows, one after the other in memory, of the features at `at`: (g, m, r), or (1, m, r) for all."""
    return np.ascontiguousarray(rows.columns(at).swapaxes(1, 2))


def least_squares(columns):
    """A solution of each task's least squares, W (n_features, n_tasks), for when nothing is penalised."""
    moments = columns.moments
    q, curved = columns.q.T, columns.curved.T
    W = np.zeros_like(q)
    unit = np.where(curved, 1.0 / lengths_of(np.where(curved, columns.squares.T, 0.0)), 0.0)
    if len(moments.gram):
        full = moments.full[:1] if moments.shared else moments.full
        for t, G in zip(full, moments.gram, strict=True):
            tasks = slice(None) if moments.shared else slice(t, t + 1)
            use = curved[t]
            solve_task = positive_solver(G[np.ix_(use, use)])
            for _ in range(2):
                W[tasks, use] += solve_task((q[tasks, use] - W[tasks, use] @ G[np.ix_(use, use)]).T).T
    for rows in moments.rows:
        for k, A in enumerate(rows.A):
            tasks = rows.tasks if len(rows.A) == 1 else rows.tasks[k : k + 1]
            v = rows.v if len(rows.A) == 1 else rows.v[k : k + 1]
            W[tasks] = np.linalg.lstsq(A * unit[tasks[0]], v.T, rcond=1e-13)[0].T * unit[tasks[0]]
    return W.T
