"""The moments of all tasks, with their algebra; what the letters mean is said in `skmtl.moments`."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from skmtl._algebra import weighted_mean
from skmtl._ids import encode, lookup
from skmtl._threads import one_blas_thread
from skmtl.moments._factor import of_grams, of_rows
from skmtl.moments._from_data import fill
from skmtl.moments._rows import Rows
from skmtl.tasks import TaskData

__all__ = ["TaskMoments"]

_SUMS = ("n_rows", "weight", "x_mean", "y_mean", "xy", "yy")
_CANCELLED = 1e-6  # a remainder below this share of the total is summed again from its rows


@dataclass(frozen=True, eq=False)
class TaskMoments:
    """The sums of all tasks; ``a + b`` merges parts, ``total - fold`` removes a fold.

    Attributes
    ----------
    tasks : array of shape (n_tasks,)
        The ids.
    n_rows : int64 array of shape (n_tasks,)
    weight : array of shape (n_tasks,)
        N_t, the sum of weights.
    x_mean : array of shape (n_tasks, n_features)
    y_mean : array of shape (n_tasks,)
    xy : array of shape (n_tasks, n_features)
        q_t.
    yy : array of shape (n_tasks,)
    gram : array of shape (n_full, n_features, n_features)
        G_t of the tasks in `full`; one matrix for all of them when `shared`.
    full : int array of shape (n_full,)
        Positions of the tasks with at least as many rows as features, unless these were to be kept.
    rows : tuple of Rows, or of SparseRows where X is sparse
        All other tasks that have rows.
    shared : bool
        All tasks share their rows and the weights of them.
    centered : bool
        The means were taken off: the model has an intercept. Otherwise the means are 0.
    data : TaskData or None
        The rows that were summed, not a copy: tasks that a subtraction leaves with few rows are summed again from
        them. After ``a + b`` it holds those of the tasks in `rows` alone.
    n_jobs : int or None
        Threads for the algebra of many tasks, as for their sums.
    """

    tasks: np.ndarray
    n_rows: np.ndarray
    weight: np.ndarray
    x_mean: np.ndarray
    y_mean: np.ndarray
    xy: np.ndarray
    yy: np.ndarray
    gram: np.ndarray
    full: np.ndarray
    rows: tuple = ()
    shared: bool = False
    centered: bool = True
    data: TaskData | None = field(default=None, repr=False)
    n_jobs: int | None = None

    # ---------------------------------------------------------------------------------------------- rows -> moments

    @classmethod
    def from_data(cls, data, *, fit_intercept=True, n_jobs=None, keep_rows=False):
        """Sum the rows of every task of `data`; `n_jobs` threads share the tasks when that pays.

        With `keep_rows`, tasks that share their rows or have sparse ones keep them however many they are, for a solver
        that needs the products of few columns.
        """
        n_tasks, n_features = data.n_tasks, data.X.shape[1]
        if data.shared:
            n_rows = np.full(n_tasks, len(data.y)) if data.complete else (data.weight > 0).sum(axis=0)
        else:
            n_rows = np.diff(data.starts)
        keep_rows = keep_rows and (data.complete or sparse.issparse(data.X))
        full = np.flatnonzero((n_rows >= n_features) & (not keep_rows))
        sums = cls(
            tasks=data.tasks,
            n_rows=n_rows,
            weight=np.zeros(n_tasks),
            x_mean=np.zeros((n_tasks, n_features)),
            y_mean=np.zeros(n_tasks),
            xy=np.zeros((n_tasks, n_features)),
            yy=np.zeros(n_tasks),
            gram=np.empty((min(len(full), 1) if data.complete else len(full), n_features, n_features)),
            full=full,
            shared=data.complete,
            centered=bool(fit_intercept),
            data=data,
            n_jobs=n_jobs,
        )
        return replace(sums, rows=tuple(fill(sums)))

    # ------------------------------------------------------------------------------------------------------- queries

    @property
    def n_tasks(self):
        """Number of tasks, those without rows included."""
        return len(self.tasks)

    @property
    def n_features(self):
        """Number of features."""
        return self.xy.shape[1]

    @property
    def active(self):
        """Which tasks have any weight: the T of the objective counts these. Shape (n_tasks,), bool."""
        return self.weight > 0

    def times_gram(self, W):
        """The products ``G_t w_t`` for W (n_tasks, n_features)."""
        out = np.zeros_like(W)
        if self.shared and len(self.gram):
            return W @ self.gram[0]
        if len(self.gram):
            out[self.full] = np.matmul(W[self.full, None, :], self.gram)[:, 0]  # G = G': the row layout is the fast one
        for rows in self.rows:
            out[rows.tasks] = rows.products(rows.margins(W[rows.tasks]))
        return out

    def grams_along(self, B):
        """``B G_t B'`` for directions B (k, n_features), shape (n_tasks, k, k)."""
        H = np.zeros((self.n_tasks, len(B), len(B)))
        if len(self.gram):
            H[self.full] = np.matmul(np.matmul(B, self.gram), B.T)
        for rows in self.rows:
            Z = np.matmul(rows.A, B.T)
            H[rows.tasks] = np.matmul(Z.swapaxes(1, 2), Z)
        return 0.5 * (H + H.swapaxes(1, 2))

    def times_gram_along(self, S, R, B):
        """``S' (G_t B'r_t)``, shape (k, n_features), for S and R (n_tasks, k) and directions B (k, n_features)."""
        return S.T @ self.times_gram(R @ B)

    def squared_error(self, W, GW):
        """``sum_i s_i (y_i - x_i w_t - b_t)^2`` of every task at its best intercept, for GW = times_gram(W)."""
        return np.maximum(self.yy - np.einsum("tj,tj->t", 2.0 * self.xy - GW, W), 0.0)

    def intercepts(self, W):
        """The best intercept of every task, ``y_mean - x_mean w``; zero where the moments are not centred."""
        return self.y_mean - np.einsum("tj,tj->t", self.x_mean, W)

    def dense_gram(self, tasks):
        """G_t of the tasks at positions `tasks` as one array (len(tasks), n_features, n_features), a copy."""
        out = np.zeros((len(tasks), self.n_features, self.n_features))
        place = np.full(self.n_tasks, -1)
        place[tasks] = np.arange(len(tasks))
        wanted = place[self.full] >= 0
        out[place[self.full[wanted]]] = self.gram if self.shared and len(self.gram) else self.gram[wanted]
        for rows in self.rows:
            wanted = place[rows.tasks] >= 0
            some = rows.only(wanted, place[rows.tasks[wanted]])
            out[some.tasks] = some.cross(some)
        return out

    @cached_property
    def factors(self):
        """One `Factor` for each group of tasks with equally large factors; tasks without rows have none."""
        with one_blas_thread:
            return (*([of_grams(self.full, self.gram, self.n_jobs)] if len(self.gram) else []), *self.thin_factors)

    @cached_property
    def thin_factors(self):
        """The factors of the tasks that keep rows."""
        with one_blas_thread:
            return of_rows(self.rows, self.centered, self.n_jobs)

    # ------------------------------------------------------------------------------------------------------- algebra

    def pooled(self, c, *, task_intercepts):
        """One task made of all, each row weighted with its task's `c` (n_tasks,).

        Its rows are centred task by task (`task_intercepts`, an intercept each) or on their common mean.
        """
        N = c * self.weight
        x_mean, (y_mean,) = (weighted_mean(Z, N, N.sum()) for Z in (self.x_mean, self.y_mean[:, None]))
        gram, xy, yy = self.gram_sum(c), c @ self.xy, c @ self.yy
        if not task_intercepts:
            dx, dy = (self.x_mean - x_mean) * np.sqrt(N)[:, None], (self.y_mean - y_mean) * np.sqrt(N)
            gram, xy, yy = gram + dx.T @ dx, xy + dy @ dx, yy + dy @ dy
        return TaskMoments(
            tasks=self.tasks[:1],
            n_rows=np.array([self.n_rows.sum()]),
            weight=np.array([N.sum()]),
            x_mean=x_mean[None],
            y_mean=np.array([y_mean]),
            xy=xy[None],
            yy=np.array([yy]),
            gram=gram[None],
            full=np.zeros(1, dtype=np.intp),
            centered=self.centered,
        )

    def gram_sum(self, c):
        """``sum_t c_t G_t``, shape (n_features, n_features), for c (n_tasks,)."""
        gram = np.zeros((self.n_features, self.n_features))
        if len(self.gram):
            gram += c.sum() * self.gram[0] if self.shared else np.tensordot(c[self.full], self.gram, axes=1)
        for A in self._weighted_rows(c):
            gram += A.T @ A
        return gram

    def rows_of_sum(self, c):
        """Rows A (n, n_features) with ``A'A = gram_sum(c)``; None unless they are fewer than features."""
        if (c[self.full] > 0).any():
            return None
        n_rows = [rows.v.shape[1] * (1 if self.shared else np.count_nonzero(c[rows.tasks])) for rows in self.rows]
        none = np.empty((0, self.n_features))
        return np.concatenate([none, *self._weighted_rows(c)]) if sum(n_rows) < self.n_features else None

    def _weighted_rows(self, c):
        """The rows of tasks without a Gram matrix, times the roots of c."""
        for rows in self.rows:
            if self.shared:
                yield np.sqrt(c[rows.tasks].sum()) * rows.A[0]
            else:
                A = rows.A * np.sqrt(c[rows.tasks, None, None])
                yield A[c[rows.tasks] > 0].reshape(-1, self.n_features)

    def with_mean_rows(self, share):
        """The moments with one more row for every task, its mean, which has the weight `share` (n_tasks,).

        That row is not centred: so the origin of the features matters, as it does to intercepts that are penalised.
        """
        if self.shared and np.ptp(share) > 0.0:
            return self._unshared().with_mean_rows(share)
        x, y = np.sqrt(share)[:, None] * self.x_mean, np.sqrt(share) * self.y_mean
        at = self.full[:1] if self.shared else self.full
        gram = self.gram + x[at, :, None] * x[at, None, :]
        rows = tuple(
            Rows(
                r.tasks, np.concatenate([r.A, x[r.tasks[: len(r.A)], None]], axis=1), np.column_stack([r.v, y[r.tasks]])
            )
            for r in self.rows
        )
        return replace(self, xy=self.xy + y[:, None] * x, yy=self.yy + y**2, gram=gram, rows=rows, data=None)

    def _unshared(self):
        """The same moments with a Gram matrix or rows of its own for every task."""
        rows = tuple(Rows(r.tasks, np.repeat(r.A, len(r.tasks), axis=0), r.v) for r in self.rows)
        return replace(self, gram=self.dense_gram(self.full), rows=rows, shared=False)

    def __add__(self, other):
        """The moments of the rows of both; a task missing in one part has no rows there.

        Sums of tasks with at least as many rows as features merge (Chan, Golub, LeVeque 1983, *The American
        Statistician* 37:242-247); the rows of the others are put together.
        """
        tasks = self.tasks
        if not np.array_equal(tasks, other.tasks):
            tasks, _ = encode(np.concatenate([tasks, other.tasks]))
            self, other = self.among(tasks), other.among(tasks)
        n_rows = self.n_rows + other.n_rows
        return self._merged(other, 1, np.flatnonzero((0 < n_rows) & (n_rows < self.n_features)))

    def __sub__(self, fold):
        """The moments without the rows of `fold`, which were taken from the same data.

        To 1e-9 of the total. A task left with fewer rows than features, or with less than 1e-6 of the total on some
        column, is summed again from the rows that are left.
        """
        if not np.isin(fold.tasks, self.tasks).all() or (fold.among(self.tasks).n_rows > self.n_rows).any():
            raise ValueError("The fold has tasks or rows that the total has not: it was not taken from the same data.")
        fold = fold.among(self.tasks)
        left = self.n_rows - fold.n_rows
        again = (0 < left) & ((left < self.n_features) | self._would_cancel(fold))
        return self._merged(fold, -1, np.flatnonzero(again | again.any() & self.shared))

    def _merged(self, other, sign, again):
        """Both sums, `other` with its sign; the tasks at `again` anew from their rows."""
        data = self._joint_rows(other, sign, again)
        n_rows, weight = self.n_rows + sign * other.n_rows, self.weight + sign * other.weight
        weight[n_rows == 0] = 0.0
        share = np.divide(other.weight, weight, out=np.zeros_like(weight), where=weight > 0)
        between = self.weight * share
        dx, dy = other.x_mean - self.x_mean, other.y_mean - self.y_mean
        shared, full = self.shared and other.shared, np.flatnonzero(n_rows >= self.n_features)
        some = full[:1] if shared else full
        dx_some = np.sqrt(between[some])[:, None] * dx[some]
        gram = self.dense_gram(some)
        gram += sign * (other.dense_gram(some) + dx_some[:, :, None] * dx_some[:, None, :])
        alive = (n_rows > 0)[:, None]
        sums = replace(
            self,
            n_rows=n_rows,
            weight=weight,
            x_mean=np.where(alive, self.x_mean + sign * share[:, None] * dx, 0.0),
            y_mean=np.where(alive[:, 0], self.y_mean + sign * share * dy, 0.0),
            xy=np.where(alive, self.xy + sign * (other.xy + (between * dy)[:, None] * dx), 0.0),
            yy=np.where(alive[:, 0], self.yy + sign * (other.yy + between * dy**2), 0.0),
            gram=gram,
            full=full,
            rows=(),
            shared=shared,
            data=data,
        )
        return sums if data is None else sums._replaced(again, TaskMoments.from_data(data, fit_intercept=self.centered))

    def _joint_rows(self, other, sign, again):
        """The rows of the tasks at `again` in the sum or difference; None if there are no such tasks."""
        if not len(again):
            return None
        parts = [part._rows_of(again) for part in (self, other) if part.n_rows[again].any()]
        if len(parts) == 1:
            return parts[0]
        if sign > 0:
            return parts[0] + parts[1]
        left = parts[0].drop(parts[1].rows)
        if len(left.y) != len(parts[0].y) - len(parts[1].y):
            raise ValueError("The fold has rows that the total has not: take it from the same data, data.take(mask).")
        return left

    def _rows_of(self, tasks):
        """The data of the tasks at positions `tasks`."""
        data = None if self.data is None else self.data.reindex(self.tasks[tasks])
        if data is None or len(data.y) < (self.n_rows[tasks].max() if data.shared else self.n_rows[tasks].sum()):
            raise ValueError(
                f"{len(tasks)} task(s) have to be summed anew from their rows, but these moments no longer have them: "
                "add and subtract moments made by TaskMoments.from_data."
            )
        return data

    def _replaced(self, at, part):
        """The moments with those of `part` for the tasks at positions `at`."""
        if part.shared:
            return part
        for name in ("weight", "x_mean", "y_mean", "xy", "yy"):
            getattr(self, name)[at] = getattr(part, name)
        self.gram[np.searchsorted(self.full, at[part.full])] = part.gram
        return replace(self, rows=tuple(replace(rows, tasks=at[rows.tasks]) for rows in part.rows))

    def only(self, kept):
        """The moments of the tasks where the mask `kept` (n_tasks,) is true."""
        if kept.all():
            return self
        at = np.cumsum(kept) - 1  # new positions
        full = kept[self.full]
        gram = self.gram if self.shared else self.gram[full]
        rows = []
        for group in self.rows:
            mine = kept[group.tasks]
            if mine.any():
                rows.append(group.only(mine, at[group.tasks[mine]]))
        return replace(self, **self._sums_of(kept), full=at[self.full[full]], gram=gram, rows=tuple(rows), data=None)

    def of_features(self, some):
        """The moments of the features at positions `some`, without the data they came from."""
        rows = [group.take(some) for group in self.rows]
        return self.with_features(self.x_mean[:, some], self.xy[:, some], rows, self.gram[:, some[:, None], some])

    def with_features(self, x_mean, xy, rows, gram):
        """The moments of the same tasks with other features, for the rows of those that had some, and Gram matrices.

        Tasks that now have as many rows as features have a Gram matrix.
        """
        few, full, grams = [], [self.full], [gram]
        for group in rows:
            if group.v.shape[1] < xy.shape[1]:
                few.append(group)
            else:
                full.append(group.tasks)
                grams.append(group.cross(group))
        at, G = np.concatenate(full), np.concatenate(grams)
        order = np.argsort(at)
        G = G if self.shared else G[order]
        return replace(self, x_mean=x_mean, xy=xy, gram=G, full=at[order], rows=tuple(few), data=None)

    def among(self, tasks):
        """The same sums for the ids in `tasks`, which hold all of ours; the others have no rows."""
        if np.array_equal(tasks, self.tasks):
            return self
        at = lookup(self.tasks, tasks)
        order = np.argsort(at[self.full])
        rows = tuple(replace(rows, tasks=at[rows.tasks]) for rows in self.rows)
        parts = {"full": at[self.full][order], "gram": self.dense_gram(self.full)[order], "rows": rows}
        return replace(self, **self._sums_among(tasks, at), **parts, shared=False)

    def _sums_of(self, kept):
        """The ids and sums of the tasks where the mask `kept` is true, by name."""
        return {name: getattr(self, name)[kept] for name in ("tasks", *_SUMS)}

    def _sums_among(self, tasks, at):
        """The ids `tasks` and their sums, by name: ours at the positions `at`, zeros elsewhere."""
        spread = {"tasks": tasks}
        for name in _SUMS:
            mine = getattr(self, name)
            spread[name] = np.zeros((len(tasks), *mine.shape[1:]), dtype=mine.dtype)
            spread[name][at] = mine
        return spread

    def _would_cancel(self, fold):
        """Where hardly anything of some column, of y or of the weight would be left; shape (n_tasks,), bool."""
        left = self.weight - fold.weight
        between = np.divide(self.weight * fold.weight, left, out=np.zeros_like(left), where=left > 0)
        dx, dy = self.x_mean - fold.x_mean, self.y_mean - fold.y_mean
        mine, taken = np.column_stack([self.squares, self.yy]), np.column_stack([fold.squares, fold.yy])
        rest = mine - taken - between[:, None] * np.column_stack([dx, dy]) ** 2
        return ((rest < _CANCELLED * mine) & (mine > 0)).any(axis=1) | (left < _CANCELLED * self.weight)

    @cached_property
    def squares(self):
        """The diagonal of every G_t, shape (n_tasks, n_features)."""
        out = np.zeros_like(self.xy)
        out[self.full] = np.einsum("tjj->tj", self.gram)
        for rows in self.rows:
            out[rows.tasks] = rows.squares()
        return out
