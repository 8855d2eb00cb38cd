"""Block coordinate descent for penalties that separate over features: L1 and JointFeature.

    min_W  sum_t c_t / 2 |y_t - X_t w_t|^2  +  sum_j lam_j |W_j|  +  mu |W|_1  +  ridge / 2 |W|^2

Few features matter, so the descent runs over a working set of them, on its Gram matrices (`_OnGram`) or on residuals
(`_OnRows`), with Anderson extrapolation and Newton steps.  Between rounds one product with all features (`_Columns`)
gives the gradient and with it the duality gap, the features that are zero for certain (gap-safe screening) and the next
working set.

The dual point is the residual, scaled by s. With Z = c_t X_t' r_t - ridge W, length_j(Z) = |soft(Z_j, mu)|_dual and

    D(s) = s sum_t c_t y_t'r_t  -  s^2 / 2 (sum_t c_t |r_t|^2 + ridge |W|^2),

D(s) is a lower bound of the minimum for every s with length_j(s Z) <= lam_j for all features.

Working sets and extrapolation: Massias, Gramfort, Salmon (2018), *ICML*, 3315-3324.  Screening: Ndiaye, Fercoq,
Gramfort, Salmon (2017), *JMLR* 18:1-33.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg.blas import dgemm

from skmtl._numba import read_only
from skmtl.moments import TaskMoments
from skmtl.penalties.shared import Ridge
from skmtl.penalties.sparse import L1, JointFeature, soft_threshold
from skmtl.solvers._algebra import over, plus_diagonal, positive_solver
from skmtl.solvers._epochs import gram_epoch
from skmtl.solvers.solution import Certificate, solution_of, solve, sums_for

_NOISE = 16 * np.finfo(float).eps  # of a column's mean: the deviations of a constant column
_BLOCK = 64  # features
_FIRST = 2  # epochs before a working set is judged for the first time
_ENOUGH = 0.3  # of the gap between rounds: with less, the working set may be the wrong one
_ENOUGH_ALONE = 0.03  # likewise, where no other feature is wanted yet
_MEMORY = 5  # epochs between two extrapolations
_LARGEST = 5e7  # numbers in the Gram matrices of a working set; beyond, residuals are kept up to date instead


@sums_for.register(L1)
@sums_for.register(JointFeature)
def _(penalty, data, *, fit_intercept=True, n_jobs=None):
    """Rows, unless a Gram matrix of all features costs less than the products with a few residuals."""
    keep_rows = data.X.shape[1] > 4 * data.n_tasks
    return TaskMoments.from_data(data, fit_intercept=fit_intercept, n_jobs=n_jobs, keep_rows=keep_rows)


@solve.register(L1)
@solve.register(JointFeature)
def _solve_coordinate(penalty, path, moments, c, *, tol=1e-6, max_iter=1000, init=None):
    columns = _Columns.of(_worth_a_gram(moments, len(path)), c)
    unit = 0.5 * c @ moments.yy
    W = np.zeros_like(moments.xy)
    if init is not None:
        W[columns.curved] = init[columns.curved]
    state = _State(W, columns.residual_products(W))
    for member in path:
        omega = _Omega.of(member, moments.n_features)
        if omega.is_zero_at(columns.gradient_at_zero) or unit == 0.0:
            state = _State(np.zeros_like(W), columns.q)
            certificate, n_iter, converged = Certificate(float(unit), 0.0, None), 0, True
        elif omega.free.all() and not omega.positive:
            state, certificate = _Fit(columns, omega, tol * unit, 1).without_norm()
            n_iter, converged = 1, True
        else:
            fit = _Fit(columns, omega, tol * unit, max_iter)
            state, certificate, n_iter, converged = fit.run(state)
        yield solution_of(moments, state.W, lambda known=certificate: known, n_iter=n_iter, converged=converged)


def _worth_a_gram(moments, n_alphas):
    """Moments with the Gram matrix of shared rows, where a path needs so many products that it pays."""
    (n_tasks, n_features), n_rows = moments.xy.shape, moments.n_rows.max(initial=0)
    if not moments.shared or len(moments.gram) or n_rows < n_features or n_features > 4 * n_tasks * n_alphas:
        return moments
    A = moments.rows[0].A[0]
    return replace(moments, gram=(A.T @ A)[None], full=np.arange(n_tasks), rows=())


@dataclass(frozen=True)
class _State:
    """Weights W (n_tasks, n_features) and H, ``q_t - G_t w_t``, of the same shape."""

    W: np.ndarray
    H: np.ndarray


# ---------------------------------------------------------------------------------------------------------- the penalty


@dataclass(frozen=True)
class _Omega:
    """``sum_j lam_j |W_j| + mu |W|_1 + ridge / 2 |W|^2`` in numbers; lam has shape (n_features,)."""

    lam: np.ndarray
    mu: float
    ridge: float
    infinite: bool
    positive: bool

    @classmethod
    def of(cls, penalty, n_features):
        """The numbers of an L1 or a JointFeature."""
        if isinstance(penalty, L1):
            return cls(np.zeros(n_features), float(penalty.alpha), penalty.ridge, False, False)
        lam = penalty.alpha * penalty.l1_ratio * penalty.row_factors(n_features)
        infinite = np.isinf(float(penalty.norm))
        return cls(lam, float(penalty.alpha_l1), penalty.ridge, bool(infinite), bool(penalty.positive))

    def at(self, features):
        """The penalty of some of the features."""
        return replace(self, lam=self.lam[features])

    @property
    def free(self):
        """Which features have no norm at all, bool (n_features,): given the others, theirs is a linear problem."""
        return (self.lam == 0.0) & (self.mu == 0.0)

    def value(self, W):
        """The penalty of W, which is >= 0 under `positive`."""
        rows = np.abs(W).max(axis=0, initial=0.0) if self.infinite else np.sqrt(np.einsum("tj,tj->j", W, W))
        value = self.lam @ rows
        if self.mu:
            value += self.mu * np.abs(W).sum()
        return float(value + 0.5 * self.ridge * np.vdot(W, W) if self.ridge else value)

    def lengths(self, Z, slack=1.0):
        """The dual norm of every row of Z after what mu allows: a row of weights is zero up to lam."""
        Z = self._left(Z, slack)
        return np.abs(Z).sum(axis=0) if self.infinite else np.sqrt(np.einsum("tj,tj->j", Z, Z))

    def is_zero_at(self, Z):
        """Whether W = 0 is the minimum, for the negative gradient Z there."""
        slack = 1.0 + 1e-12
        return bool((self.lengths(Z, slack) <= self.lam * slack).all())

    def largest_scale(self, Z, lengths):
        """The largest s <= 1 with ``length_j(s Z) <= lam_j`` everywhere."""
        bad = lengths > self.lam
        if not bad.any():
            return 1.0
        if not self.mu:
            return float(np.min(self.lam[bad] / lengths[bad]))
        part, Z = self.at(bad), self._left(Z[:, bad], 0.0)
        s = 1.0
        hard = part.lam == 0.0
        if hard.any():
            s = self.mu / np.abs(Z[:, hard]).max()
        if hard.all():
            return s
        part, Z = part.at(~hard), Z[:, ~hard]
        for _ in range(8):  # Newton on convex functions of s, from above
            at_s, growth = part.lengths(s * Z), part._growth(s, Z)
            s_ = s - np.maximum(at_s - part.lam, 0.0) / np.where(growth > 0, growth, np.inf)
            s = float(np.min(s_))
        at_s = part.lengths(s * Z)
        return s * float(np.min(part.lam / np.maximum(at_s, part.lam)))  # convex and 0 at 0: inside, whatever s was

    def _left(self, Z, slack=1.0):
        if self.positive:
            return np.maximum(Z - slack * self.mu, 0.0)
        return soft_threshold(Z, slack * self.mu) if self.mu and slack else Z

    def _growth(self, s, Z):
        """The derivative of ``lengths(s Z)`` with respect to s."""
        left = np.abs(self._left(s * Z))
        if self.infinite:
            return np.sum(np.abs(Z), axis=0, where=left > 0)
        return over(np.einsum("tj,tj->j", left, np.abs(Z)), np.sqrt(np.einsum("tj,tj->j", left, left)))


# ------------------------------------------------------------------------------------------------------------- the data


@dataclass(frozen=True, eq=False)
class _Columns:
    """The features as the descent sees them: products with residuals, Gram matrices of a few, columns of a few."""

    moments: TaskMoments
    c: np.ndarray
    q: np.ndarray
    squares: np.ndarray
    place: np.ndarray
    gram_cache: "_Gram"

    @classmethod
    def of(cls, moments, c):
        """Of the sums of all tasks; columns that are nothing but the rounding noise of their mean are made zero."""
        squares, q = moments.squares(), moments.xy
        noise = squares <= _NOISE**2 * moments.weight[:, None] * moments.x_mean**2
        squares, q = np.where(noise, 0.0, squares), np.where(noise, 0.0, q)
        place = np.where(moments.n_rows > 0, np.arange(moments.n_tasks), -1)
        place = np.zeros_like(place) if moments.shared else place
        return cls(moments, np.where(moments.active, c, 0.0), q, squares, place, _Gram(moments))

    @cached_property
    def curved(self):
        """Where the loss depends on a weight, bool (n_tasks, n_features)."""
        return self.squares > 0.0

    @cached_property
    def largest(self):
        """The largest curvature of every feature, over tasks."""
        return (self.c[:, None] * self.squares).max(axis=0)

    @cached_property
    def sums(self):
        """The sum of every feature's curvatures over tasks."""
        return self.c @ self.squares

    @property
    def price(self):
        """Multiplications of a product of all residuals with all features."""
        moments = self.moments
        return (
            sum(rows.v.size for rows in moments.rows) * moments.n_features + len(moments.full) * moments.n_features**2
        )

    @cached_property
    def gradient_at_zero(self):
        return self.c[:, None] * self.q

    def residual_products(self, W):
        """``q_t - G_t w_t``, shape (n_tasks, n_features), from the data."""
        support = np.flatnonzero(W.any(axis=0))
        if not len(support):
            return self.q
        moments = self.moments
        if len(moments.gram):
            H = moments.xy - moments.times_gram(W)
        else:
            H = np.zeros_like(W)
            for rows in moments.rows:
                if moments.shared:
                    R = rows.v - W[:, support] @ rows.columns(support)[0].T
                    H = rows.products(R)
                else:
                    residual = rows.v - np.matmul(rows.A, W[rows.tasks, :, None])[:, :, 0]
                    H[rows.tasks] = rows.products(residual)
        H[~self.curved] = 0.0
        return H

    def gram(self, at):
        """G_t of the features at positions `at`: (n_grams, len(at), len(at)); task t has the one at place[t]."""
        G = self.gram_cache.of(at)
        return G if self.moments.shared else _without_dead(G, self.curved[:, at])

    def prefers_gram(self, m):
        """Whether to descend on Gram matrices of m features rather than on residuals."""
        moments = self.moments
        if len(moments.gram):
            return True
        n_rows = moments.n_rows[0] if moments.shared else moments.n_rows[moments.active].mean()
        return m <= max(300, n_rows) and (1 if moments.shared else moments.n_tasks) * m**2 <= _LARGEST

    def gram_of(self, columns, curved):
        """The Gram matrices of one set of columns, a list of arrays (g, r, m)."""
        moments = self.moments
        G = np.zeros((1 if moments.shared else moments.n_tasks, curved.shape[1], curved.shape[1]))
        for rows, A in zip(moments.rows, columns, strict=True):
            G[slice(None) if moments.shared else rows.tasks] = np.matmul(A.swapaxes(1, 2), A)
        return G if moments.shared else _without_dead(G, curved)


def _columns(rows, at):
    """Columns of the features at `at` of Rows, (g, m, r)."""
    return rows.columns(at).swapaxes(1, 2)


def _without_dead(G, curved):
    """G with zeros on the diagonal where a column of a task is zero but for its rounding noise."""
    t, j = np.nonzero(~curved)
    G[t, j, j] = 0.0
    return G


class _Gram:
    """Gram matrices of the features that have been in a working set, grown as they come."""

    def __init__(self, moments):
        self.moments = moments
        self.where = np.full(moments.n_features, -1)  # of a feature among those known
        self.G = np.empty((1 if moments.shared else moments.n_tasks, 0, 0))
        self.order = np.empty(0, dtype=np.intp)
        self.columns: list[list] = [[] for _ in moments.rows]  # those known, as they came

    def of(self, at):
        """Those of the features at positions `at`, not to be changed if tasks share one."""
        moments = self.moments
        if moments.shared and len(moments.gram):
            return moments.gram.take(at, axis=1).take(at, axis=2)
        new = at[self.where[at] < 0]
        if len(new):
            self._grow(new)
        k = self.where[at]
        if moments.shared and np.array_equal(k, np.arange(len(self.order))):
            return self.G
        return self.G.take(k, axis=1).take(k, axis=2)

    def _grow(self, new):
        moments, old = self.moments, self.G.shape[1]
        size = old + len(new)
        self.where[new] = np.arange(old, size)
        self.order = np.concatenate([self.order, new])
        G = np.zeros((len(self.G), size, size))
        G[:, :old, :old] = self.G
        if len(moments.gram):
            G[moments.full] = moments.gram.take(self.order, axis=1).take(self.order, axis=2)
        for rows, known in zip(moments.rows, self.columns, strict=True):
            columns = _columns(rows, new)
            known.append(columns)
            tasks, start = slice(None) if moments.shared else rows.tasks, 0
            for before in known:
                end = start + before.shape[1]
                cross = np.matmul(columns, before.swapaxes(1, 2))
                G[tasks, old:, start:end] = cross
                if end <= old:
                    G[tasks, start:end, old:] = cross.swapaxes(1, 2)
                start = end
        self.G = G


def _least_squares(columns):
    """No penalty at all: a solution of each task's own least squares, on features of unit length."""
    moments = columns.moments
    W = np.zeros_like(columns.q)
    unit = np.where(columns.curved, 1.0 / np.sqrt(np.where(columns.curved, columns.squares, 1.0)), 0.0)
    if len(moments.gram):
        full = moments.full[:1] if moments.shared else moments.full
        for t, G in zip(full, moments.gram, strict=True):
            tasks = slice(None) if moments.shared else slice(t, t + 1)
            use = columns.curved[t]
            solve_task = positive_solver(G[np.ix_(use, use)])
            for _ in range(2):
                W[tasks, use] += solve_task((columns.q[tasks, use] - W[tasks, use] @ G[np.ix_(use, use)]).T).T
    for rows in moments.rows:
        for k, A in enumerate(rows.A):
            tasks = rows.tasks if len(rows.A) == 1 else rows.tasks[k : k + 1]
            v = rows.v if len(rows.A) == 1 else rows.v[k : k + 1]
            W[tasks] = np.linalg.lstsq(A * unit[tasks[0]], v.T, rcond=1e-13)[0].T * unit[tasks[0]]
    return W


# ----------------------------------------------------------------------------------------------------------- the solver


@dataclass(frozen=True, eq=False)
class _Fit:
    """The minimisation for one penalty, to a gap of at most `goal`."""

    columns: _Columns
    omega: _Omega
    goal: float
    max_iter: int

    @property
    def rounding(self):
        """A gap below which a stop of the progress is put down to rounding."""
        return 1e-10 * 0.5 * self.columns.c @ self.columns.moments.yy

    def run(self, state):
        """Rounds of working sets from a state on; the state, its certificate, epochs, and whether the goal is met."""
        omega, columns = self.omega, self.columns
        if omega.positive and (state.W < 0).any():
            W = np.maximum(state.W, 0.0)
            state = _State(W, columns.residual_products(W))
        alive = columns.curved.any(axis=0)
        epochs, best, idle = 0, np.inf, 0
        while True:
            state, dual_H, dual_W = self._refitted(state)
            objective = self._objective(state.W, state.H)
            bound, s, lengths = self._bound(dual_W, dual_H)
            gap = max(objective - bound, 0.0)
            idle = idle + 1 if gap > 0.5 * best else 0
            best = min(best, gap)
            done = gap <= self.goal and state.W.any()  # zero is not the minimum, however near
            if (done and epochs) or epochs >= self.max_iter or (idle >= 3 and gap <= self.rounding) or idle >= 20:
                break
            alive &= self._may_be_used(lengths, s, gap) | state.W.any(axis=0)
            at = self._working_set(state, lengths, s, alive, widen=2**idle)
            wanted = (lengths > s * omega.lam) & ~state.W.any(axis=0)
            enough = 0.0 if idle else (_ENOUGH if s == 0 or wanted.any() else _ENOUGH_ALONE) * gap
            W, n = self._descend(at, state, enough, self.max_iter - epochs)
            state, epochs = _State(W, columns.residual_products(W)), epochs + n
        converged = gap <= max(self.goal, 1e-4 * self.rounding)
        return state, Certificate(objective, gap, None), epochs, bool(converged)

    def without_norm(self):
        """The state and its certificate where nothing but squares is penalised."""
        columns, ridge = self.columns, self.omega.ridge
        if ridge:
            (solution,) = solve(Ridge(ridge), [Ridge(ridge)], columns.moments, columns.c)
            W = np.where(columns.curved, solution.W, 0.0)
        else:
            W = _least_squares(columns)
        state = _State(W, columns.residual_products(W))
        objective = self._objective(W, state.H)
        bound = self._bound(W, state.H)[0]
        return state, Certificate(objective, max(objective - bound, 0.0), None)

    def _objective(self, W, H, at=slice(None), omega=None):
        columns, omega = self.columns, omega or self.omega
        fitted = np.einsum("tj,tj->t", columns.q[:, at] + H, W)
        return float(0.5 * columns.c @ np.maximum(columns.moments.yy - fitted, 0.0)) + omega.value(W)

    def _bound(self, W, H, at=slice(None), omega=None):
        """A lower bound of the minimum over the features at `at`, its scale s and the lengths of s Z."""
        columns, omega = self.columns, omega or self.omega
        Z = columns.c[:, None] * H
        free, square = omega.free, 0.0
        if omega.ridge:
            Z -= omega.ridge * W
            square = omega.ridge * np.vdot(W, W)
        if free.any():
            left = np.maximum(Z[:, free], 0.0) if omega.positive else Z[:, free]
            if omega.ridge:  # any V with ridge V_j = c X_j'r serves instead of W_j
                V = left / omega.ridge + W[:, free]
                square += omega.ridge * (np.vdot(V, V) - np.vdot(W[:, free], W[:, free]))
            elif omega.positive and left.max() > 1e-10 * np.abs(columns.gradient_at_zero[:, at]).max():
                return 0.0, 0.0, np.zeros(len(free))
            Z[:, free] = 0.0
        qw, hw = np.einsum("tj,tj->t", columns.q[:, at], W), np.einsum("tj,tj->t", H, W)
        yy = columns.moments.yy
        a, b = columns.c @ (yy - qw), columns.c @ np.maximum(yy - qw - hw, 0.0) + square
        lengths = omega.lengths(Z)
        s = max(min(float(a / b) if b > 0 else 1.0, omega.largest_scale(Z, lengths)), 0.0)
        return s * a - 0.5 * s**2 * b, s, omega.lengths(s * Z) if omega.mu and s != 1.0 else s * lengths

    def _left_over(self, W, H, at, omega):
        """What features without a norm would add to the gap; between rounds they are refitted and this is zero."""
        free = np.flatnonzero(omega.free)
        if not len(free):
            return 0.0
        c, moments = self.columns.c[:, None], self.columns.moments
        Z = c * H[:, free] - omega.ridge * W[:, free]
        if omega.positive:
            Z = np.where(W[:, free] > 0, Z, np.maximum(Z, 0.0))
        roots = np.sqrt(c * self.columns.squares[:, at][:, free] + omega.ridge)
        return float(np.linalg.norm(over(Z, roots)) * np.sqrt(self.columns.c @ moments.yy))

    def _refitted(self, state):
        """Features without any penalty at their exact optimum; the state, and the (H, W) of the dual point."""
        free = np.flatnonzero(self.omega.free)
        if not len(free):
            return state, state.H, state.W
        W = state.W.copy()
        G, columns = self.columns.gram(free), self.columns
        H = state.H
        for _ in range(2):
            for t in np.flatnonzero(columns.place >= 0):
                use = np.diagonal(G[columns.place[t]]) > 0
                if self.omega.positive:
                    use &= (W[t, free] > 0) | (H[t, free] > 0)
                if use.any():
                    ridge = self.omega.ridge / columns.c[t]
                    S = plus_diagonal(G[columns.place[t]][np.ix_(use, use)][None], ridge)[0]
                    W[t, free[use]] += _smallest_solution(S, H[t, free[use]] - ridge * W[t, free[use]])
            H = columns.residual_products(W)
        if not self.omega.positive or (W >= 0).all():
            state = _State(W, H)
        return state, H, W

    def _may_be_used(self, lengths, s, gap):
        """The features that the gap does not prove to be zero, bool (n_features,): theta is within sqrt(2 gap)."""
        columns, omega = self.columns, self.omega
        if s == 0.0:
            return np.ones(len(lengths), dtype=bool)
        size = columns.sums + len(columns.c) * omega.ridge if omega.infinite else columns.largest + omega.ridge
        reach = np.sqrt(2.0 * gap * size)
        return lengths + reach >= omega.lam * (1.0 - 1e-9)

    def _working_set(self, state, lengths, s, alive, widen):
        """Positions, ascending: the features in use and those nearest to it."""
        columns, omega, W = self.columns, self.omega, state.W
        n_features = W.shape[1]
        used = W.any(axis=0) | omega.free & columns.curved.any(axis=0)
        n_used = int(used.sum())
        if s > 0:  # twice those that the ball leaves out, but not all of a crowd at once
            crowd = 60 + 3 * n_used
            more = min(widen * (20 + 2 * int(np.sum((lengths > s * omega.lam) & ~used))), widen * crowd)
        else:
            more = n_features
        size = n_used + more
        far = omega.lam - lengths
        if omega.mu:  # and how far the largest entry of a row is from what mu takes off
            Z = s * (columns.c[:, None] * state.H - omega.ridge * W)
            far += np.maximum(omega.mu - (Z if omega.positive else np.abs(Z)).max(axis=0), 0.0)
        reach = np.sqrt(columns.largest)
        far = np.where(alive, far / np.where(reach > 0, reach, 1.0), np.inf)
        far[used] = -np.inf
        size = min(size, int(np.sum(far < np.inf)))
        return np.sort(np.argpartition(far, size - 1)[:size])

    def _descend(self, at, state, enough, budget):
        """Epochs over the features at `at`; W, and how many epochs.

        Until their own gap meets the goal, or is `enough` and the epochs cost something beside a product with all data.
        """
        columns, by_gram = self.columns, self.columns.prefers_gram(len(at))
        at = at[np.argsort(~state.W[:, at].any(axis=0), kind="stable")]  # blocks of those in use, blocks of others
        omega, W = self.omega.at(at), np.ascontiguousarray(state.W[:, at])
        if by_gram:
            descent: Any = _OnGram(columns, omega, at, W, np.ascontiguousarray(state.H[:, at]))
        else:
            descent = _OnRows(columns, omega, at, W)
        n, best, stuck, saved, spent = 0, np.inf, 0, 0.0, 0.0
        while n < budget:
            iterates = [descent.copy()]
            for _ in range(min(_FIRST if n == 0 else _MEMORY, budget - n)):
                descent.epoch()
                iterates.append(descent.copy())
                n += 1
            now = self._improve(descent, descent.objective(), _extrapolated(iterates))
            work = descent.W.size * np.count_nonzero(descent.W.any(axis=0)) * (len(iterates) - 1)
            saved, spent = saved + work, spent + work
            settled = ((iterates[-1][0] != 0) == (iterates[-2][0] != 0)).all()
            if saved >= descent.newton_cost() * (1.0 if settled else 3.0):
                before = now
                now = self._improve(descent, now, descent.newton())
                if now >= before and (omega.mu or omega.positive):
                    now = self._improve(descent, now, descent.newton(to_boundary=True))
                saved = 0.0
            gap = (
                now - self._bound(descent.W, descent.H, at, omega)[0] + self._left_over(descent.W, descent.H, at, omega)
            )
            stuck = stuck + 1 if gap > 0.9 * best else 0
            best = min(best, gap)
            if gap <= 0.3 * self.goal or (stuck >= 6 and gap <= self.rounding):
                break
            if gap <= enough and spent > 0.2 * columns.price:
                break
        W = state.W.copy()
        W[:, at] = descent.W
        return W, n

    def _improve(self, descent, now, trial):
        """Move the descent to the trial state if its objective is smaller than `now`; the objective."""
        if trial is None:
            return now
        if self.omega.positive and (trial[0] < 0.0).any():
            trial = descent.at(np.maximum(trial[0], 0.0))
        for _ in range(4):
            at_trial = descent.objective(trial)
            if at_trial <= now + 1e-6 * self.rounding:
                descent.move_to(trial)
                return at_trial
            trial = [0.5 * (a + b) for a, b in zip(descent.state, trial, strict=True)]
        return now


class _Epochs:
    """One feature after the other, in blocks: within a block on its Gram matrices, between blocks by a subclass.

    Blocks without weights are looked at in the first of five epochs only.  A state is W and what is an affine function
    of it: H in a subclass, residuals in the other.
    """

    def __init__(self, columns, omega, at, W, size):
        self.columns, self.omega, self.W, self.count = columns, omega, W, 0
        self.shared, self.place = columns.moments.shared, columns.place
        self.blocks = [slice(start, min(start + size, len(at))) for start in range(0, len(at), size)]
        inputs = [read_only(a) for a in (self.place, columns.c)]
        numbers = (omega.ridge, read_only(omega.lam), omega.mu, int(omega.infinite), int(omega.positive))
        self.inputs, self.work = (*inputs, *numbers), np.empty((3, len(W)))
        self.steps = np.empty((len(W), size)), np.empty((len(W), len(at) % size))

    state: Any  # given by a subclass, as a property

    def _visit(self, k, block):
        """Descend over block k and tell the others."""
        raise NotImplementedError

    def copy(self):
        """The state, which goes on changing, as it is now."""
        return [part.copy() for part in self.state]

    def epoch(self):
        """Visit all blocks, or those with weights."""
        for k, block in enumerate(self.blocks):
            if not self.count % _MEMORY or self.W[:, block].any():
                self._visit(k, block)
        self.count += 1

    def _descend(self, G, block, H):
        """Change the weights of a block, from H, the products with it; the change, or None."""
        step = self.steps[0] if H.shape[1] == self.steps[0].shape[1] else self.steps[1]
        whole = int(len(self.blocks) == 1)
        moved = gram_epoch(G, *self.inputs, block.start, whole, self.W, H, step, self.work)
        return step if moved else None


class _OnGram(_Epochs):
    """Epochs on the Gram matrices of a working set."""

    def __init__(self, columns, omega, at, W, H):
        in_blocks = columns.moments.shared and len(at) > 2 * _BLOCK  # matrix products are worth the calls
        super().__init__(columns, omega, at, W, _BLOCK if in_blocks else len(at))
        self.G, self.q, self.H = np.ascontiguousarray(columns.gram(at)), columns.q[:, at], H
        self.grams = [read_only(np.ascontiguousarray(self.G[:, block, block])) for block in self.blocks]

    def _visit(self, k, block):
        if len(self.blocks) == 1:
            self._descend(self.grams[k], block, self.H)
            return
        step = self._descend(self.grams[k], block, np.ascontiguousarray(self.H[:, block]))
        if step is not None:  # all transposed, so that nothing is copied
            dgemm(-1.0, self.G[0, block].T, step.T, beta=1.0, c=self.H.T, overwrite_c=True)

    @property
    def state(self):
        return [self.W, self.H]

    def at(self, W):
        """The state of the weights W."""
        return [W, self.q - (W @ self.G[0] if self.shared else np.matmul(W[:, None, :], self.G)[:, 0])]

    def move_to(self, state):
        """Go on from a state."""
        self.W, self.H = (np.ascontiguousarray(part) for part in state)

    def objective(self, state=None):
        """The objective at a state, at this one if it is None."""
        W, H = state or self.state
        fitted = np.einsum("tj,tj->t", self.q + H, W)
        return float(0.5 * self.columns.c @ np.maximum(self.columns.moments.yy - fitted, 0.0)) + self.omega.value(W)

    def newton_cost(self):
        """Of `newton`, in units of a multiplication in an epoch."""
        together = self.shared and not self.omega.mu and not self.omega.positive and np.ptp(self.columns.c) == 0
        used = np.count_nonzero(self.W.any(axis=0))
        return np.inf if self.omega.infinite else 2.0 * used**3 * (1 if together else len(self.W))

    def newton(self, to_boundary=False):
        r"""The weights after a Newton step in those that are not zero.

        Where signs matter, weights that would change theirs become zero.

        With d_j = lam_j / |W_j| the second derivatives are c_t G_t + diag(ridge + d) for each task, less the products
        u u' of ``u_j = sqrt(d_j) W_j / |W_j|`` for each feature (Sherman, Morrison, Woodbury).
        """
        omega, c = self.omega, self.columns.c
        used = np.flatnonzero(self.W.any(axis=0))
        if not len(used):
            return None
        W, H, lam = self.W[:, used], self.H[:, used], omega.lam[used]
        length = np.sqrt(np.einsum("tj,tj->j", W, W))
        d = lam / length
        gradient = (omega.ridge + d) * W - c[:, None] * H + omega.mu * np.sign(W)
        still = W == 0
        place = np.maximum(self.place, 0)
        if self.shared and np.ptp(c) == 0 and not still.any():
            M, fixed = c[0] * self.G[:, used[:, None], used], still[:1]
        else:
            M, fixed = c[:, None, None] * self.G[place][:, used[:, None], used], still
        M[fixed[:, :, None] | fixed[:, None, :]] = 0.0
        diagonal = np.einsum("tjj->tj", M)
        diagonal += omega.ridge + d
        diagonal *= 1.0 + 1e-13
        diagonal[fixed] = 1.0
        try:
            inverse = np.linalg.inv(M)
            np.einsum("tjj->tj", inverse)[fixed] = 0.0
            U = np.sqrt(d) * W / length
            step = -gradient @ inverse[0] if len(M) == 1 else -np.matmul(gradient[:, None], inverse)[:, 0]
            K = (U.T @ U) * inverse[0] if len(M) == 1 else np.einsum("tj,tjk,tk->jk", U, inverse, U)
            z = np.linalg.solve((1.0 + 1e-12) * np.eye(len(used)) - K, np.einsum("tj,tj->j", U, step))
        except np.linalg.LinAlgError:
            return None
        step += (U * z) @ inverse[0] if len(M) == 1 else np.matmul((U * z)[:, None], inverse)[:, 0]
        if not np.isfinite(step).all():
            return None
        new = W + step
        if omega.mu or omega.positive:
            turned = (W != 0) & (new * W <= 0)
            if to_boundary:  # each task goes on until the first of its weights is zero
                share = np.where(turned, W / np.where(turned, -step, 1.0), 1.0)
                first = share.min(axis=1, keepdims=True)
                new, turned = W + first * step, turned & (share == first)
            new[turned] = 0.0
        trial = np.zeros_like(self.W)
        trial[:, used] = new
        return self.at(trial)


class _OnRows(_Epochs):
    """Epochs on residuals: between blocks by matrix products with their columns."""

    def __init__(self, columns, omega, at, W):
        super().__init__(columns, omega, at, W, _BLOCK)
        self.rows, curved = columns.moments.rows, columns.curved[:, at]
        self.parts = [[rows.columns(at[block]) for rows in self.rows] for block in self.blocks]
        self.grams = [
            read_only(columns.gram_of(parts, curved[:, block]))
            for parts, block in zip(self.parts, self.blocks, strict=True)
        ]
        self.move_to(self.at(W))

    def _visit(self, k, block):
        step = self._descend(self.grams[k], block, self._products(self.R, k))
        if step is None:
            return
        for rows, A, R in zip(self.rows, self.parts[k], self.R, strict=True):
            if len(A) == 1:
                dgemm(-1.0, A[0].T, step[rows.tasks].T, beta=1.0, c=R.T, trans_a=True, overwrite_c=True)
            else:
                R -= _up(A, step[rows.tasks])
        self._H = None

    @property
    def H(self):
        if self._H is None:
            self._H = self._all_products(self.R)
        return self._H

    @property
    def state(self):
        return [self.W, *self.R]

    def at(self, W):
        """The state of the weights W."""
        residuals = [rows.v.copy() for rows in self.rows]
        for parts, block in zip(self.parts, self.blocks, strict=True):
            if W[:, block].any():
                for rows, A, R in zip(self.rows, parts, residuals, strict=True):
                    R -= _up(A, W[rows.tasks, block])
        return [W, *residuals]

    def move_to(self, state):
        """Go on from a state."""
        self.W, *self.R = (np.ascontiguousarray(part) for part in state)
        self._H = None

    def objective(self, state=None):
        """The objective at a state, at this one if it is None."""
        W, *residuals = state or self.state
        loss = sum(
            self.columns.c[rows.tasks] @ np.einsum("ti,ti->t", R, R)
            for rows, R in zip(self.rows, residuals, strict=True)
        )
        return float(0.5 * loss) + self.omega.value(W)

    def newton_cost(self):
        return np.inf

    def _products(self, residuals, k):
        """``A_t' r_t`` of the features of the block k."""
        if self.shared:
            return residuals[0] @ self.parts[k][0][0]
        H = np.zeros((len(self.W), self.parts[k][0].shape[2]))
        for rows, A, R in zip(self.rows, self.parts[k], residuals, strict=True):
            H[rows.tasks] = np.matmul(R[:, None, :], A)[:, 0]
        return H

    def _all_products(self, residuals):
        return np.hstack([self._products(residuals, k) for k in range(len(self.blocks))])


def _up(A, W):
    """The combinations ``A_t w_t`` of columns A (g, r, m), or (1, r, m) for all; shape (g, r)."""
    return W @ A[0].T if len(A) == 1 else np.matmul(A, W[:, :, None])[:, :, 0]


def _smallest_solution(S, r):
    """A solution of ``S x = r`` for positive semi-definite S, by the eigenvectors of S with its diagonal made 1."""
    D = np.sqrt(np.diag(S))
    l, Q = np.linalg.eigh(S / D[:, None] / D)  # noqa: E741
    solid = l > 1e-11 * l[-1]
    return Q[:, solid] @ ((Q[:, solid].T @ (r / D)) / l[solid]) / D


def _extrapolated(states):
    """The affine combination of the last states for which the combined step is shortest; None if there is none."""
    if len(states) <= _MEMORY:
        return None
    steps = np.diff([state[0].ravel() for state in states], axis=0)
    products = steps @ steps.T
    scale = np.trace(products)
    if not scale > 0.0:
        return None
    try:
        z = np.linalg.solve(products + 1e-14 * scale * np.eye(len(products)), np.ones(len(products)))
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(z).all() or abs(z.sum()) < 1e-300:
        return None
    z /= z.sum()
    return [sum(f * part for f, part in zip(z, parts, strict=True)) for parts in zip(*states[1:], strict=True)]
