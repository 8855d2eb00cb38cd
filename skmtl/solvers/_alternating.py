"""Products of two factors, ``w_t = B's_t``: exact steps in one factor while the other stands still.

    loadings     S (n_tasks, k), a row s_t per task
    components   B (k, n_features), a row per direction

Neither step touches a row of the data: a task sees the moments ``c_t B G_t B'`` and ``c_t B q_t``, and the components
one linear system with the matrix ``sum_t s_t s_t' (x) c_t G_t + a I``.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.sparse.linalg import LinearOperator, cg

from skmtl._algebra import over, positive_solver
from skmtl.moments import TaskMoments
from skmtl.moments._incomplete import IncompleteMoments
from skmtl.solvers._anderson import Anderson

__all__ = ["Components", "Step", "best_of", "descend", "relative_change", "seen_by"]

_DENSE = 800  # unknowns of the components: up to here their matrix is factorised, beyond come conjugate gradients
_BLOCK = 2**21  # numbers in the Gram matrices that are formed at once, to be added up
_KEPT = 2**26  # numbers in the Gram matrices of tasks that keep rows: up to here they are kept from step to step
_SAFE = 1e-5  # smallest pivot of a Cholesky factor of unit diagonal; below, the matrix may be singular
_ROUNDS = (6, 3), (12, 1)  # rounds of (steps from each start, how many of the starts that are best then go on)
_DIGITS = 9  # of objectives in units of that at W = 0: what agrees in these is equally good
_ROUNDING = 1e-14  # share of the objective at W = 0: a smaller gain is rounding
_SETTLING = 0.5  # share of the last change of W: if it shrinks as fast, W still settles, though the objective has


class Step(NamedTuple):
    """One round of both steps from the point x.

    objective : float
        After the first step, so that it says how good x is.
    x : array
        The point after both.
    change : float
        ``|W_after - W_before| / |W_after|``: before the second step where steps are exact, else before both.
    model : tuple
        The factors after both.
    """

    objective: float
    x: np.ndarray
    change: float
    model: tuple


def descend(step, x, *, f0, tol, max_iter):
    """Repeat ``x -> step(x).x`` until it changes W by no more than `tol`; the objective never grows.

    Anderson's extrapolation proposes the next point; where that would raise the objective, the plain step is taken.  A
    step that lowers the objective by no more than ``tol^2 f0`` ends the iteration, too, unless W still settles quickly:
    near a minimum a change of W by tol is one of the objective by its square.  Returns the last step, the number of
    steps and whether they came to rest.
    """
    mixing, now, n_iter = Anderson(), step(x), 1
    while now.change > tol:
        if n_iter >= max_iter:
            return now, n_iter, False
        proposed = mixing.propose(x.ravel(), (now.x - x).ravel()).reshape(x.shape)
        following, n_iter = step(proposed), n_iter + 1
        if following.objective > now.objective:
            if n_iter >= max_iter:
                return now, n_iter, False
            mixing.reset()
            proposed, following, n_iter = now.x, step(now.x), n_iter + 1
        gain = now.objective - following.objective
        if gain <= max(_ROUNDING, tol**2) * f0 and following.change > _SETTLING * now.change:
            return following, n_iter, True
        x, now = proposed, following
    return now, n_iter, True


def best_of(step, starts, *, f0, tol, max_iter):
    """`descend` from many starts: a few steps from each, more from the best of them, and the best of these goes on.

    Among equally good ones the first is taken, so that rounding noise does not choose.  Returns what `descend` does.
    """
    if f0 == 0:
        return step(starts[0]), 1, True
    runs: list[Any] = [(None, x, 0, False) for x in starts]
    for n_steps, survivors in _ROUNDS:
        runs = [_go_on(run, step, f0, tol, min(n_steps, max_iter - run[2])) for run in runs]
        runs = sorted(runs, key=lambda run: round(run[0].objective / f0, _DIGITS))[:survivors]
    last, _, n_iter, settled = _go_on(runs[0], step, f0, tol, max_iter - runs[0][2])
    return last, n_iter, settled


def _go_on(run, step, f0, tol, n_steps):
    """Up to so many more steps of a run: its last step, its point, its steps so far and whether it came to rest."""
    _, x, n_iter, settled = run
    if settled or n_steps <= 0:
        return run
    last, more, settled = descend(step, x, f0=f0, tol=tol, max_iter=n_steps)
    return last, last.x, n_iter + more, settled


def relative_change(before, after):
    """``|after - before| / |after|``, 0 for two zeros."""
    size = np.linalg.norm(after)
    change = np.linalg.norm(after - before)
    return float(change / size) if size > 0 else float(change > 0)


def seen_by(moments, c, B):
    """What a task sees of the components B (k, d): ``c_t B G_t B'`` (n_tasks, k, k) and ``c_t B q_t`` (n_tasks, k)."""
    return c[:, None, None] * moments.grams_along(B), c[:, None] * (moments.xy @ B.T)


@dataclass(frozen=True, eq=False)
class Components:
    """The best components for given loadings: ``argmin_B loss(S B) + ridge / 2 |B|^2``; the smallest if several are.

    By two eigendecompositions where all tasks have one G, by factorisation of the matrix over (k, d) where that is
    small, and otherwise by conjugate gradients from `start`.
    """

    moments: TaskMoments
    c: np.ndarray
    ridge: float

    def are_many(self, k):
        """Whether k components take conjugate gradients: then a step is dear."""
        return not self.moments.shared and k * self.moments.n_features > _DENSE

    def __call__(self, S, start):
        right = (S * self.c[:, None]).T @ self.moments.xy
        if self.moments.shared:
            return self._by_eigenvectors(S, right)
        if self.are_many(len(right)):
            return self._by_conjugate_gradients(S, right, start)
        return self._by_factor(S, right)

    def _by_eigenvectors(self, S, right):
        """``(S'CS) B G + a B = S'CQ``."""
        (f,) = self.moments.factors
        mu, U = np.linalg.eigh((S * self.c[:, None]).T @ S)
        mu = np.where(mu > 1e-13 * mu[-1], mu, 0.0)
        return U @ f.up(over(f.down(U.T @ right), mu[:, None] * f.l + self.ridge))

    def _by_factor(self, S, right):
        """By Cholesky's factor of the matrix over all components."""
        A = self.matrix(S)
        return _solve_positive(A, right.ravel(), surely=self.ridge > 0).reshape(right.shape)

    def matrix(self, S):
        """``sum_t s_t s_t' (x) c_t G_t + a I``, shape (k d, k d)."""
        moments, k, d = self._with_grams, S.shape[1], self.moments.n_features
        A = np.zeros((k * k, d * d))
        outer = (self.c[:, None, None] * S[:, :, None] * S[:, None, :]).reshape(-1, k * k)
        if len(moments.gram):
            A += outer[moments.full].T @ moments.gram.reshape(-1, d * d)
        if self._thin is not None:
            tasks, grams = self._thin
            A += outer[tasks].T @ grams
        for rows in moments.rows if self._thin is None else ():
            at_once = max(1, _BLOCK // (d * d))
            for first in range(0, len(rows.tasks), at_once):
                X = rows.A[first : first + at_once]
                A += outer[rows.tasks[first : first + at_once]].T @ np.matmul(X.swapaxes(1, 2), X).reshape(-1, d * d)
        A = A.reshape(k, k, d, d).swapaxes(1, 2).reshape(k * d, k * d)
        A[np.diag_indices(k * d)] += self.ridge
        return A

    @cached_property
    def _thin(self):
        """Positions and Gram matrices (n, d d) of the tasks that keep rows; None where they are too large to keep."""
        few, d = [rows.tasks for rows in self._with_grams.rows], self.moments.n_features
        if not few or sum(map(len, few)) * d * d > _KEPT:
            return None
        tasks = np.concatenate(few)
        return tasks, self._with_grams.dense_gram(tasks).reshape(-1, d * d)

    @cached_property
    def _with_grams(self):
        """The moments, or the usual ones of tasks that lack labels: with Gram matrices, or rows of each task."""
        return self.moments.with_grams() if isinstance(self.moments, IncompleteMoments) else self.moments

    def _by_conjugate_gradients(self, S, right, start):
        """Preconditioned as if every task had the mean of all G_t."""
        shape, (l, Q) = right.shape, self._mean_gram  # noqa: E741
        mu, U = np.linalg.eigh((S * self.c[:, None]).T @ S)
        scale = np.maximum(mu, 0.0)[:, None] * l + self.ridge
        scale = np.maximum(scale, 1e-8 * scale.max())

        def product(b):
            B = b.reshape(shape)
            return (self.moments.times_gram_along(S * self.c[:, None], S, B) + self.ridge * B).ravel()

        def precondition(r):
            return (U @ ((U.T @ r.reshape(shape) @ Q) / scale) @ Q.T).ravel()

        A, M = (LinearOperator((right.size, right.size), f, dtype=float) for f in (product, precondition))
        b, _ = cg(A, right.ravel(), start.ravel(), rtol=1e-8, maxiter=200, M=M)
        return b.reshape(shape)

    @cached_property
    def _mean_gram(self):
        """Eigenvalues and eigenvectors of the mean of all G_t."""
        gram = self.moments.gram_sum(self.c) / self.c[self.moments.active].sum()
        l, Q = np.linalg.eigh(gram)  # noqa: E741
        return np.maximum(l, 0.0), Q


def _solve_positive(A: Any, r, surely):
    """``A x = r`` for A >= 0; the smallest x where A is singular, which `surely` rules out."""
    if surely:
        return positive_solver(A)(r)
    D = np.sqrt(np.diag(A))
    if D.all():
        try:
            factor = cho_factor(A / D[:, None] / D)
            if np.diag(factor[0]).min() > _SAFE:
                return cho_solve(factor, r / D) / D
        except LinAlgError:
            pass
    return positive_solver(A, A)(r)
