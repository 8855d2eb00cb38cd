"""The lasso of each task, where no norm joins them.

    min_w  c_t / 2 |y_t - X_t w|^2  +  mu |w|_1  +  ridge / 2 |w|^2        (and w >= 0)

Every task has a working set of its own, and `sparse_minima` finds the minimum on its Gram matrix.  Between rounds one
product with all features gives the gap of each task, by the formula of `gap.py`, and what its next working set wants.
Tasks come in parts that do not know of each other, small enough to stay in a cache.
"""

from itertools import pairwise

import numpy as np
from joblib import effective_n_jobs
from scipy import sparse

from skmtl._algebra import over
from skmtl._threads import crew, one_blas_thread
from skmtl.solvers._coordinate.columns import LARGEST
from skmtl.solvers._coordinate.separable import without_dust
from skmtl.solvers._screen import joining
from skmtl.solvers._sparse_minima import sparse_minima
from skmtl.solvers.solution import Certificate

__all__ = ["Lassos"]

_PART = 2e5  # numbers in the rows or Gram matrices of a part
_NEARLY = 0.7  # share of all features: a working set that would be as large takes them all
_TURNS = 100  # before a working set is judged again
_SHARE = 0.1  # share of its gap that a task's next round aims at; and of that again, for what inexact minima may add
_NOISE = 1e-15  # share of the largest gradient at zero: no turn can be asked to change less
_ROUNDING = 1e-10  # share of the loss at zero: a gap below which rounding is to blame if there is no more progress


class Lassos:
    """The lassos of all tasks of `columns`, for any strength."""

    def __init__(self, columns):
        self.columns, self._parts = columns, []
        moments, d = columns.moments, columns.moments.n_features
        for some in _shares(len(moments.full), d**2, _PART):
            tasks = moments.full[some]
            self._parts.append((tasks, _on_grams(moments.gram[some], columns.q.T[tasks])))
        for rows in moments.rows:
            n_tasks, n_rows = rows.v.shape
            size, most = n_rows * d, _PART
            if moments.shared:  # one product with all features for as many tasks as memory allows
                size = _largest(d, n_rows) ** 2
                most = min(LARGEST, n_tasks * size / effective_n_jobs(moments.n_jobs))
            if sparse.issparse(rows.raw):
                parts = rows.one_by_one()
            else:
                parts = (rows.only(some, rows.tasks[some]) for some in _shares(n_tasks, size, most))
            self._parts += [(part.tasks, _on_rows(part)) for part in parts]

    @staticmethod
    def suit(columns):
        """Whether tasks have little in common, and memory for the Gram matrix of the largest working set.

        Tasks that share rows had better share a Gram matrix, unless few of their features are in use.
        """
        d, n_rows = columns.moments.n_features, columns.moments.n_rows.max(initial=0)
        apart = not columns.shared or (n_rows < d and not columns.sparse)
        return apart and _largest(d, n_rows) ** 2 <= LARGEST

    def minimize(self, omega, goal, max_iter, W, H):
        """From weights W (n_features, n_tasks), whose products ``q_t - G_t w_t`` are H, to a gap of at most `goal`.

        Returns
        -------
        W and H there, their certificate, and how many turns it took.
        """
        columns, W, H = self.columns, W.T.copy(), H.T.copy()
        goal = goal / max(np.count_nonzero(columns.c), 1)
        lassos = [_Part(columns, omega, tasks, on, W[tasks], H[tasks]) for tasks, on in self._parts]
        with crew(columns.moments.n_jobs) as each, one_blas_thread:
            values = each(lambda part: part.minimize(goal, max_iter), lassos)
        for part in lassos:
            W[part.tasks], H[part.tasks] = part.W, part.H
        objective, gap, n_turns = np.array(values).T
        return W.T, H.T, Certificate(float(objective.sum()), float(gap.sum()), None), int(n_turns.max())


class _Part:
    """The lassos of some tasks; W, H and the like are (n_tasks, n_features) here."""

    def __init__(self, columns, omega, tasks, on, W, H):
        self.tasks, self._on, self.W, self.H, self.omega = tasks, on, W, H, omega
        self.c, self.q, self.yy = columns.c[tasks], columns.q.T[tasks], columns.moments.yy[tasks]
        self.curvature = self.c[:, None] * columns.squares.T[tasks]
        self.n_turns = np.zeros(len(tasks), dtype=np.int64)

    def minimize(self, goal, max_iter):
        """Rounds of working sets until the gap of each task is at most `goal`; objective, gap and number of turns."""
        best, idle = np.full(len(self.tasks), np.inf), np.zeros(len(self.tasks), dtype=np.int64)
        rounding = _ROUNDING * 0.5 * self.c * self.yy
        while True:
            objective, gap, far, wanted = self._judge()
            idle = np.where(gap > 0.5 * best, idle + 1, 0)
            best = np.minimum(best, gap)
            left = (gap > goal) | ((self.n_turns == 0) & (wanted > 0))
            left &= (self.n_turns < max_iter) & (idle < np.where(gap <= rounding, 3, 20))
            k = np.flatnonzero(left)
            if not len(k):
                return objective.sum(), gap.sum(), self.n_turns.max()
            at = _working_sets(far[k], wanted[k], 2 ** idle[k])
            enough = _SHARE * self.omega.mu * np.maximum(goal, _SHARE * gap[k]) / objective[k] * 0.1 ** idle[k]
            self._descend(k, at, enough, min(_TURNS, max_iter - int(self.n_turns[k].max())))

    def _judge(self):
        """Of each task the objective, the gap, how far weights are from being used, and how many more are wanted."""
        c, omega, W = self.c, self.omega, self.W
        qw, hw, square = (np.einsum("tj,tj->t", part, W) for part in (self.q, self.H, omega.ridge * W))
        Z = c[:, None] * self.H - omega.ridge * W
        Z = np.maximum(Z, 0.0) if omega.positive else np.abs(Z)
        a, b = c * (self.yy - qw), c * np.maximum(self.yy - qw - hw, 0.0) + square
        s = np.minimum(np.where(b > 0.0, over(a, b), 1.0), omega.mu / np.maximum(Z.max(axis=1), omega.mu))
        s = np.maximum(s, 0.0)
        objective = 0.5 * b + omega.mu * np.abs(W).sum(axis=1)
        gap = np.maximum(objective - s * a + 0.5 * s**2 * b, 0.0)
        used, curved = W != 0.0, self.curvature > 0.0
        far = np.where(curved, (omega.mu - s[:, None] * Z) / np.sqrt(np.where(curved, self.curvature, 1.0)), np.inf)
        far[used] = -np.inf
        return objective, gap, far, np.count_nonzero((Z > omega.mu) & ~used, axis=1)

    def _descend(self, k, at, enough, most):
        """Change the weights of the tasks k (n,) in their working sets, at (n, m)."""
        H, products = self._on(k, at)
        H *= self.c[k, None, None]
        np.einsum("tjj->tj", H)[self.curvature[k[:, None], at] == 0.0] = 0.0  # a column of rounding noise
        R, X = self.c[k, None] * self.q[k[:, None], at], self.W[k[:, None], at]
        D, enough = np.full((len(k), 1), self.omega.ridge), np.maximum(enough, _NOISE * np.abs(R).max(axis=1))
        n_turns = sparse_minima(H, R, D, self.omega.mu, enough, X, positive=self.omega.positive, most=most)
        X = without_dust(X, self.curvature[k[:, None], at], axis=1)
        self.W[k[:, None], at] = X
        self.n_turns[k] += n_turns
        curved = self.curvature[k] > 0.0
        self.H[k] = np.where(curved, products(X), 0.0)


def _largest(d, n_rows):
    """Features in a working set, at most."""
    return int(min(d, n_rows + joining(np.inf, n_rows)))


def _shares(n_tasks, size, most):
    """Slices of tasks with `size` numbers each, of at most about `most` numbers."""
    cuts = np.linspace(0, n_tasks, int(np.clip(n_tasks * size / most, 1, max(n_tasks, 1))) + 1).astype(int)
    return [slice(a, b) for a, b in pairwise(cuts.tolist()) if b > a]


def _working_sets(far, wanted, widen):
    """For each task the features in use, then those nearest to it, (n_tasks, m)."""
    d, n_used = far.shape[1], np.count_nonzero(far == -np.inf, axis=1)
    m = int((n_used + joining(wanted, n_used, widen)).max())
    if m >= _NEARLY * d:
        return np.broadcast_to(np.arange(d), far.shape)
    return np.sort(np.argpartition(far, m - 1, axis=1)[:, :m], axis=1)


def _on_rows(rows):
    """The function that tells what tasks with these rows know of their working sets.

    It takes positions of tasks k (n,) and of their features, at (n, m), and returns the Gram matrices of these and a
    function of weights X (n, m): the products ``q_t - G_t w_t`` with all features.
    """

    def on(k, at):
        A = rows.columns_of_each(k, at)
        H = np.matmul(A.swapaxes(1, 2), A)
        return H, lambda X: rows.products_of(k, rows.v[k] - np.matmul(A, X[:, :, None])[:, :, 0])

    return on


def _on_grams(grams, q):
    """Likewise for tasks with the Gram matrices grams (n_tasks, d, d), and q (n_tasks, d)."""

    def on(k, at):
        def products(X):
            W = np.zeros((len(k), q.shape[1]))
            np.put_along_axis(W, at, X, axis=1)
            return q[k] - np.stack([w @ grams[t] for t, w in zip(k, W, strict=True)])

        return np.stack([grams[t].take(one, 0).take(one, 1) for t, one in zip(k, at, strict=True)]), products

    return on
