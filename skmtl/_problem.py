"""What a fit has to solve: the losses of its rows, or their moments, with the factor c_t of every task.

For the squared loss moments are all that is needed (`_Moments`), unless they would be much larger than the rows; other
losses need the rows (`_Rows`).  With more features than rows either may be posed in the rows' span (`InRowSpace`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from skmtl._algebra import lengths_of, over
from skmtl._ids import named_tasks
from skmtl._row_space import InRowSpace, RowSpace
from skmtl._threads import one_blas_thread
from skmtl.losses import Squared
from skmtl.moments import TaskMoments
from skmtl.moments._incomplete import IncompleteMoments, nearly_complete
from skmtl.penalties import FusedTasks, Ridge, Sum
from skmtl.solvers import chooses_moments, does_without_grams, moments_for, solve, solver_of
from skmtl.solvers._sparse_step import needs_grams
from skmtl.solvers.newton import RowProblem, has_moments
from skmtl.solvers.splitting import solve_by_splitting

__all__ = ["problem_of"]

_TINY, _HUGE = 1e-75, 1e75  # solvers take squares of sums of squares


def problem_of(data, penalty, estimator, losses):
    """The problem that an estimator's parameters pose on `data`; its methods are `alpha_max`, `curvature`, `solve`."""
    if not RowSpace.suits(data, penalty):
        return _posed(data, penalty, estimator, losses)
    space = RowSpace.of(data, penalty, estimator.fit_intercept)
    problem = _posed(replace(data, X=space.onto(data.X)), penalty, estimator, losses, space.origin)
    return InRowSpace(problem, space)


def _posed(data, penalty, estimator, losses, origin=0.0):
    """The problem of the rows of `data`, which lack `origin`: intercepts are those of ``X + origin``."""
    factor = _task_factors(estimator.task_weight, data.tasks)
    if not factor.all():  # a task with factor 0 keeps its place but not its rows
        data = data.reindex(data.tasks[factor > 0]).reindex(data.tasks)
    moments_of = _moments_of(data, penalty, losses)
    if moments_of is None:
        return _Rows.of(data, penalty, estimator, losses, factor, origin)
    return _Moments.of(moments_of, data, estimator, factor, origin)


def _moments_of(data, penalty, losses):
    """The function that sums the rows up to moments; None where the problem has to be solved row by row."""
    if not all(isinstance(loss, Squared) for loss in losses):
        return None
    dear = isinstance(penalty, Sum | FusedTasks)  # in steps on the rows: their proxes take iterations of their own
    small, solver = has_moments(data, once=True, wide_sparse=dear), solver_of(penalty)
    if not penalty.penalizes_intercepts and nearly_complete(data) and does_without_grams(penalty, data):
        better_with = _uneven(data.X) or (solver is solve_by_splitting and needs_grams(penalty, data.tasks))
        if not (small and better_with):
            return IncompleteMoments.of
    return partial(moments_for, penalty) if small or chooses_moments(penalty) else None


def _uneven(X):
    """Whether features differ so much in length that subtracting the missing rows' moments would cost digits."""
    return bool((lengths_of(X.var(axis=0)) != 1.0).any())


@dataclass(frozen=True)
class _Moments:
    """The squared loss, as moments."""

    moments: TaskMoments
    c: np.ndarray

    @classmethod
    def of(cls, moments_of, data, estimator, factor, origin):
        """The moments of the rows of `data`, which lack `origin`."""
        moments = moments_of(data, fit_intercept=estimator.fit_intercept, n_jobs=estimator.n_jobs)
        _refuse_extremes(data.X, over(moments.squares, moments.weight[:, None]))
        _refuse_overflow(moments.yy)
        if np.any(origin):
            moments = replace(moments, x_mean=moments.x_mean + origin)
        c = _loss_factors(moments.weight, lambda: np.linalg.norm(moments.xy, axis=1), estimator.task_weight, factor)
        return cls(moments, c)

    def alpha_max(self, penalty):
        """The `alpha` from which on all weights are zero."""
        gradient = self.c[:, None] * self.moments.xy
        return penalty.alpha_max(gradient[self.moments.active])  # of the tasks in the fit: a norm may count them

    def curvature(self):
        """The mean of all ``c_t x'x``, a feature and a task."""
        return self.c @ self.moments.squares.mean(axis=1) / self.moments.active.sum()

    def solve(self, path, tol, max_iter, init=None):
        """The solutions for the penalties of a path."""
        with one_blas_thread:
            return list(solve(path[0], path, self.moments, self.c, tol=tol, max_iter=max_iter, init=init))


@dataclass(frozen=True)
class _Rows:
    """Any loss, row by row."""

    rows: RowProblem

    @classmethod
    def of(cls, data, penalty, estimator, losses, factor, origin):
        """The rows of `data`, which lack `origin`, and the factors of tasks."""
        how = {"fit_intercept": estimator.fit_intercept, "n_jobs": estimator.n_jobs, "origin": origin}

        def lengths():  # with a penalty that does not draw the best intercepts of tasks towards each other
            return RowProblem(data, losses, np.ones(data.n_tasks), Ridge(), **how).gradient_lengths()

        c = _loss_factors(data.task_weight(), lengths, estimator.task_weight, factor)
        rows = RowProblem(data, losses, c, penalty, **how)
        _refuse_extremes(data.X, np.atleast_1d(rows.curvature()))
        return cls(rows)

    def alpha_max(self, penalty):
        """The `alpha` from which on all weights are zero."""
        return penalty.alpha_max(self.rows.descent_at_zero(penalty))

    def curvature(self):
        """The size of the loss's curvature in a weight."""
        return self.rows.curvature()

    def solve(self, path, tol, max_iter, init=None):
        """The solutions for the penalties of a path."""
        return list(self.rows.solve(path, tol, max_iter, init))


def _refuse_extremes(X, squares):
    """Raise ValueError where features are so large, or all so small, that solvers would end anywhere, or never.

    squares : their mean squares, in an array of any shape.
    """
    largest = squares.max(initial=0.0)
    if not largest < _HUGE**2:
        raise ValueError(
            f"Numbers in X are larger than {_HUGE:g}: squares of their squares are beyond the range of floats. Give "
            "them in a larger unit, or drop the rows where such numbers stand for missing ones."
        )
    if largest < _TINY**2 and len(squares) and 0.0 < abs(X).max() < _TINY:
        raise ValueError(
            f"All numbers in X are smaller than {_TINY:g}: squares of their squares are beyond the range of floats. "
            "Give them in a smaller unit."
        )


def _refuse_overflow(y_squares):
    """Raise ValueError where sums of squared labels are not finite."""
    if not np.isfinite(y_squares).all():
        raise ValueError(
            "Squares of the numbers in y are beyond the range of floats. Give them in a larger unit, or drop the rows "
            "where such numbers stand for missing ones."
        )


def _task_factors(task_weight, tasks):
    """The factors of a dict `task_weight` (n_tasks,), 1 where it names none; ones for the other settings."""
    factors = np.ones(len(tasks))
    if isinstance(task_weight, Mapping) and task_weight:
        factors[named_tasks("task_weight", task_weight, tasks)] = list(task_weight.values())
        if not factors.any():
            raise ValueError("task_weight is zero for every task.")
    return factors


def _loss_factors(N, lengths, task_weight, factor):
    """The c_t of the objective; 1 for tasks without weight, where it multiplies nothing.

    "samples": T / N.  "tasks": 1 / N_t.  "auto": in proportion to 1 / |g_t|, the gradient at w_t = 0 with the best
    intercept (a zero gradient counts as the median), with sum_t c_t N_t = T; `lengths` is called for these.  A dict
    multiplies "samples".
    """
    active = N > 0
    c, n_active = np.ones(len(N)), active.sum()
    if task_weight == "tasks":
        c[active] = 1.0 / N[active]
    elif task_weight == "auto":
        length = lengths()[active]
        inverse = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
        inverse[length == 0] = np.median(inverse[length > 0]) if length.any() else 1.0
        c[active] = inverse * (n_active / (inverse @ N[active]))
    else:
        c[active] = n_active / N.sum() * factor[active]
    return c
