r"""Any loss under any penalty: accelerated steps on the rows, or Newton's on weighted moments, whichever is cheaper.

    min_(W, b)  sum_t c_t sum_i s_ti l_t(y_ti, x_i w_t + b_t) + Omega(W)

Newton's steps (`_rows/newton_steps.py`) are few, however features are scaled.  Where features are alike in length,
steps on the rows (`accelerated.py`) are cheaper: they go first, for about the time that Newton's would take, and Newton
goes on from where they are then.  Newton's go first where they are linear equations, as under quadratic penalties, and
where a step on the rows is dear, because its prox takes iterations of its own.  Where moments would not fit in memory,
or X is sparse and wide, steps on the rows are all there is.

With several classes the weights of a task's classes make one row, on which Newton's model is built if that row is short
enough, or if labels are few; the larger the model is, the longer steps on the rows go on.  Where a penalty makes most
of many features zero, working sets hold those in use and a few more (`_rows/working_sets.py`).
"""

from dataclasses import replace
from functools import partial

import numpy as np
from scipy import sparse

from skmtl._threads import one_blas_thread
from skmtl.penalties.composite import OfClasses
from skmtl.penalties.nonconvex import AdaptiveJointFeature, LatentBasis, ReducedRank
from skmtl.penalties.shared import Ridge
from skmtl.penalties.sparse import L1
from skmtl.solvers._rows.informative import Informative
from skmtl.solvers._rows.models import n_model_rows
from skmtl.solvers._rows.newton_steps import NewtonSteps
from skmtl.solvers._rows.working_sets import WorkingSets
from skmtl.solvers._screen import working_sets
from skmtl.solvers.accelerated import Progress, RowDescent
from skmtl.solvers.adaptive import STAGE, Stage, reweighted
from skmtl.solvers.factored import factored
from skmtl.solvers.solution import Certificate

__all__ = ["RowProblem", "has_moments"]

_LARGEST = 3e7  # numbers in the moments of all tasks; with more, rows are better
_COSTLIEST = 1e9  # multiplications to factorise all tasks' matrices, classes included; with more, no model is made
_CHEAP = 1e8  # likewise; with fewer, nobody waits for them
_FACTORS = 25  # how often Newton's steps for several classes decompose the matrix of a task, about
_NARROW = 300  # features of sparse rows that dense moments may have
_SMALL = 1e5  # labels times features of a problem whose steps cost nothing
_BUDGET = 500  # steps on the rows before Newton's, at most
_BUDGET_OF_LASSOS = 45  # where the models are lassos of single tasks
_BUDGET_OF_FEW_ROWS = 150  # where the models of several classes have fewer rows than weights
_FAR = 1e-10  # share of the loss at zero: the gap that small problems aim at, so that the order of rows does not show
_NOTHING = 1e-12  # share of the loss at zero: the gap of quadratic penalties, as exact as with the squared loss


def has_moments(data, *, once=False, wide_sparse=False):
    """Whether sums over the rows of `data` are small enough for the steps that need them.

    With `once` they are formed once, as for the squared loss: they may be as large as the rows, tasks that share all
    rows have a single Gram matrix, and of those that lack labels only rows with labels count.  Sums over sparse rows of
    many features, which are dense, count only with `wide_sparse`.
    """
    n, d = data.X.shape
    if sparse.issparse(data.X) and d > _NARROW and not wide_sparse:
        return False
    if not data.shared:
        sizes = np.diff(data.starts)
    elif once:
        sizes = np.array([n]) if data.complete else np.count_nonzero(data.weight, axis=0)
    else:
        sizes = np.full(data.n_tasks, n)
    return d * float(np.minimum(sizes, d).sum()) <= max(_LARGEST, data.X.size if once else 0)


class RowProblem:
    """The loss of rows of data, to be minimised with the penalties of a path.

    Parameters
    ----------
    data : TaskData
    losses : list of Loss
        One a task: all with one column, or all `Multinomial` with the same classes.
    c : array of shape (n_tasks,)
    penalty : Penalty
        One of those of the path.
    fit_intercept : bool
    n_jobs : int or None
    origin : array of shape (n_features,) or 0
        What the rows of the data lack: intercepts are those of ``X + origin``.
    """

    def __init__(self, data, losses, c, penalty, *, fit_intercept=True, n_jobs=None, origin=0.0):
        self.informative = Informative(data, losses, c, penalty, fit_intercept, origin)
        self.rows, self.n_jobs = self.informative.rows, n_jobs

    # ------------------------------------------------------------------------------------------------------ answers

    def descent_at_zero(self, penalty):
        """The loss's negative gradient at W = 0 with the best intercepts, as `penalty` sees it."""
        if self.rows is None:
            return np.zeros((1, self.informative.data.X.shape[1]))
        G = self.rows.descent_at_zero()
        return G.reshape(self.rows.n_tasks if penalty.unfolds else self.rows.n_outputs, -1)

    def gradient_lengths(self):
        """The lengths of the gradients of all tasks at W = 0 with the best intercepts; 0 where labels say nothing."""
        kept = self.informative.kept
        lengths = np.zeros(len(kept))
        if self.rows is not None:
            G = self.rows.descent_at_zero()
            lengths[kept] = np.linalg.norm(G.reshape(kept.sum(), -1), axis=1)
        return lengths[self.informative.place]

    def curvature(self):
        """The mean square of the features, with the weights of the loss: the size of its curvature."""
        return 1.0 if self.rows is None else self.rows.mean_square()

    def solve(self, path, tol, max_iter, init=None):
        """The solutions of a path, each from the one before; `init` is W (n_tasks, ...), or (P, Q)."""
        progress = None
        with one_blas_thread:
            for penalty in map(self.informative.placed, path):
                if self.rows is None:
                    parts = self._loadings(penalty, np.zeros((0, 1)))
                    yield replace(self.informative.trivial_solution(penalty), **parts)
                elif isinstance(penalty, LatentBasis | ReducedRank):
                    yield (solution := self._factored(penalty, tol, max_iter, init))
                    init = solution.W
                else:
                    solution, progress = self._certified(penalty, progress, init, tol, max_iter)
                    yield solution

    def _certified(self, penalty, before, init, tol, max_iter):
        """The solution of a penalty that has a certificate, and the `Progress` from which the next of a path starts."""
        if isinstance(penalty, AdaptiveJointFeature):
            return self._in_stages(penalty, before, init, tol, max_iter)
        in_one = penalty.decomposition and penalty.is_free  # one part costs nothing: W is parted when it is found
        convex = Ridge(penalty.ridge) if in_one else penalty.of_classes(self.informative.K)
        progress, converged = self._minimum(convex, before, init, tol, max_iter)
        solution = self.informative.solution(penalty if in_one else convex, progress, progress.certificate, converged)
        if in_one:
            solution = replace(solution, parts=penalty.parts_of(solution.W, solution.seen))
        return solution, progress

    def _in_stages(self, adaptive, before, init, tol, max_iter):
        """The same for a concave penalty of features, by convex problems; the next of a path starts from the first."""

        def stage(convex, before, init=None):
            progress, converged = self._minimum(convex, before, init, STAGE * tol, max_iter)
            return Stage(progress.W, progress.objective, progress.gap, converged, progress)

        first, f0 = stage(adaptive.tangent(), before, init), self.rows.at_zero[1].loss
        best, change, n_iter, converged = reweighted(
            adaptive, first, lambda convex, last: stage(convex, last.point), f0, tol, max_iter
        )
        progress = Progress(best.point.copies, best.point.a, best.objective, best.objective - best.gap, n_iter)
        certificate = Certificate(best.objective, best.gap, change)
        return self.informative.solution(adaptive, progress, certificate, converged), first.point

    def _factored(self, penalty, tol, max_iter, init):
        """The solution of a penalty of two factors."""

        def minimum(ridge, tol):
            return self._minimum(ridge, None, None, tol, max_iter)

        init = None if init is None else self.informative.on_kept(init).reshape(self.rows.shape)
        how = {"tol": tol, "max_iter": max_iter, "init": init, "n_jobs": self.n_jobs}
        found = factored(penalty, self.rows, minimum, **how)
        W = (found.S @ found.B)[None]
        solution = self.informative.solution(
            penalty,
            Progress(W, found.a, found.objective, -np.inf, found.n_iter),
            Certificate(found.objective, None, found.change),
            found.converged,
        )
        return replace(solution, **self._loadings(penalty, found.S))

    def _loadings(self, penalty, S):
        """What becomes of the loadings S (n_outputs, k) in a Solution: its parts, if the penalty is a latent basis."""
        if not isinstance(penalty, LatentBasis):
            return {}
        return {"parts": (self.informative.loadings(S, penalty.n_components),)}

    def _minimum(self, penalty, before, init, tol, max_iter):
        """The solution of a convex penalty, a `Progress`, and whether its gap is small enough.

        Steps start from the `Progress` of another one, `before`, or else from `init` as `solve` gets it.
        """
        descent = RowDescent(self.rows, penalty)
        enough = max(tol, _NOTHING) * descent.f0
        if descent.zero_is_optimal():
            progress = descent.at_zero()
        else:
            progress = descent.start(*self._start(descent, before, init))
        if progress.gap <= enough:
            return progress, True
        if (sets := WorkingSets.of(descent)) is not None:
            self._by_working_sets(sets, progress, enough, max_iter)
        if progress.gap > enough and progress.n_iter < max_iter:
            self._descend(descent, progress, enough, max_iter)
        if descent.levelling is not None:
            progress.copies = descent.levelling.without_common(progress.W)[None]
        return progress, progress.gap <= enough

    def _start(self, descent, before, init):
        """Copies and intercepts to start a descent from; None where nothing is said of them."""
        in_one = descent.prox.n_copies == 1
        if before is not None:
            return before.W[None] if in_one else before.copies, before.a
        if init is None:
            return None, None
        parts = init if isinstance(init, tuple) else (init,)
        copies = np.zeros_like(descent.zeros)
        for to, part in zip(copies, [sum(parts)] if in_one else parts, strict=False):
            to[:] = self.informative.on_kept(part).reshape(to.shape)
        return copies, None

    def _by_working_sets(self, sets, progress, enough, max_iter):
        """The problems of a few features, each from the solution of the one before, until the gap of all is enough."""
        following, f0 = partial(sets.next, progress), sets.descent.f0
        for some, goal in working_sets(progress, following, enough, f0, max_iter):
            few = sets.problem(some)
            inside = few.start(progress.copies[:, :, some], progress.a)
            self._descend(few, inside, goal, max_iter - progress.n_iter)
            sets.take(progress, some, inside)

    def _descend(self, descent, progress, enough, max_iter):
        """Go on to a gap of at most `enough`: by models where these have few numbers, then by steps on the rows.

        Small problems aim at a smaller gap still, and stop short of it if steps no longer help and it is `enough`.
        """
        rows, goal, has_model = descent.rows, enough, _has_model(descent)
        if rows.data.y.size * rows.shape[1] < _SMALL and (descent.prox.closed or has_model):
            goal = min(goal, _FAR * descent.f0)
        if has_model:
            self._by_models(descent, progress, goal, enough, max_iter)
            goal = enough
        if progress.gap > goal:
            descent.run(progress, goal, enough, max_iter)

    def _by_models(self, descent, progress, goal, enough, max_iter):
        """Newton's steps; after some on the rows, unless they are linear equations that take no longer."""
        newton, cheap = NewtonSteps(descent, self.n_jobs), descent.prox.closed and not descent.prox.blind
        if _dear(descent) or (cheap and not newton.linear):
            first = (_NOTHING * descent.f0 if newton.linear else goal) if cheap else enough
            descent.run(progress, first, enough, min(max_iter, _budget(descent)))
            if progress.gap <= first:
                return
        if newton.linear:
            newton.solve(progress, max_iter)
        else:
            newton.run(progress, goal, enough, max_iter)


def _has_model(descent):
    """Whether Newton's steps are possible: whether there is room for a model, and a solver for it."""
    rows, penalty = descent.rows, descent.penalty
    if rows.K == 1:
        return has_moments(rows.data)
    if rows.a_b > 0.0 or (sparse.issparse(rows.data.X) and rows.shape[1] > _NARROW):
        return False
    if penalty.unfolds:
        return _model_rows(descent).sum() * rows.n_weights <= _LARGEST
    unseen, features = descent.prox.unseen, descent.prox.seen_features(rows.shape[1])
    apart = features is None or (unseen.of_each_task and features.any())
    return apart and _cost_of_factors(descent) <= _COSTLIEST and OfClasses.suits(penalty, rows.data.tasks)


def _dear(descent):
    """Whether Newton's steps for several classes take longer than as many steps on the rows as there may be."""
    if descent.rows.K == 1:
        return False
    cost, step = _cost_of_factors(descent), float(descent.rows.data.y.size * descent.rows.n_weights)
    return cost > _CHEAP and _FACTORS * cost > _BUDGET * step


def _cost_of_factors(descent):
    """Multiplications that factorise the matrices of all tasks in the model of several classes."""
    sizes = _model_rows(descent)
    return sizes @ sizes * descent.rows.n_weights


def _model_rows(descent):
    """`n_model_rows`, as many as weights where some of these cost nothing."""
    rows = descent.rows
    if descent.penalty.unfolds or descent.prox.seen_features(rows.shape[1]) is None:
        return n_model_rows(rows)
    return np.full(rows.n_tasks, float(rows.n_weights))


def _budget(descent):
    """Steps on the rows that take about as long as Newton's.

    It is no function of the number of rows, because a weight of 2 has to act as the row twice; but where labels are
    fewer than many weights, whose models are cheap.
    """
    rows, penalty = descent.rows, descent.penalty
    if rows.K > 1 and (_model_rows(descent) < rows.n_weights).all():
        return _BUDGET_OF_FEW_ROWS
    if rows.K > 1 and (not penalty.unfolds or _dear(descent)):  # Newton's steps are slow
        return _BUDGET
    if isinstance(penalty, L1) and rows.K == 1:
        return _BUDGET_OF_LASSOS
    return int(np.clip(30 + 2 * rows.shape[1], 40, _BUDGET))
