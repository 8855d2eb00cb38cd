"""Few features of many, for solvers that see all of W: working sets, as in `coordinate.py`.

One product with all features tells the gap and the next working set.  The subgradients of the problem of a few features
are those of the whole once each feature that was left out has its share, which is its gradient, in the norms that make
its weights zero.
"""

from dataclasses import replace
from functools import wraps

import numpy as np

from skmtl.solvers._coupling import Decomposed, Together
from skmtl.solvers._quadratic import quadratic_of
from skmtl.solvers._screen import IDLE, MANY, Screen, goal_of_few, nearest
from skmtl.solvers.solution import Certificate

__all__ = ["on_few_features"]


def on_few_features(solver):
    """Let `solver`, of the signature of `solve`, see working sets of features where it would see many for few rows."""

    @wraps(solver)
    def solve_on_few(penalty, path, moments, c, *, tol=1e-6, max_iter=1000, init=None):
        if not _suit(penalty, moments):
            yield from solver(penalty, path, moments, c, tol=tol, max_iter=max_iter, init=init)
            return
        for one in path:
            solution = _Rounds(solver, one, moments, c, tol).run(max_iter, init)
            init = solution.parts or solution.W
            yield solution

    return solve_on_few


def _suit(penalty, moments):
    """Whether features are many, and more than a task has rows, and there is a part for each."""
    n_features = moments.n_features
    if n_features < MANY or moments.n_rows.max(initial=0) >= n_features:
        return False
    return not penalty.penalizes_intercepts and Screen.of(penalty, moments.tasks, n_features) is not None


class _Rounds:
    """The minimisation for one penalty, with a solver."""

    def __init__(self, solver, penalty, moments, c, tol):
        self.solver, self.penalty, self.moments, self.c = solver, penalty, moments, c
        self.kept = np.ones(moments.n_tasks, dtype=bool) if penalty.has_nodes else moments.active
        self.quadratic = quadratic_of(moments.only(self.kept), c[self.kept])
        self.quadratic.ridge = penalty.ridge
        self.problem = (Decomposed if penalty.decomposition else Together)(penalty, self.quadratic)
        self.screen = Screen.of(penalty, self.quadratic.moments.tasks, moments.n_features)
        self.enough = tol * self.quadratic.null

    def run(self, max_iter, init):
        """Working sets until the gap is small enough, from the weights `init` on; or all features."""
        if self.screen is None or not self.problem.terms or self.problem.zero_is_optimal():
            return self._solve(self.moments, self.enough, max_iter, init)
        null, lengths = self.quadratic.null, np.sqrt(self.quadratic.moments.squares().max(axis=0, initial=0.0))
        W = np.zeros_like(self.moments.xy) if init is None else _sum(init)
        Z, best = self._rest(W, self.quadratic.at(W[self.kept])[1]), -np.inf
        n_iter, idle, gap, solution = 0, 0, null, None
        while (gap > self.enough or solution is None) and n_iter < max_iter and idle < IDLE:
            some = nearest(self.screen.room(Z), lengths, W.any(axis=0), 2**idle)
            if some is None:
                break
            goal = goal_of_few(self.enough, min(gap, null), idle)
            inside = self._solve(self.moments.of_features(some), goal, max_iter - n_iter, _of_some(init, some))
            solution, bound, Z = self._of_all(inside, some)
            n_iter, best, before = n_iter + inside.n_iter, max(best, bound), gap
            gap = max(solution.objective - best, 0.0)
            idle = idle + 1 if gap > 0.5 * before else 0
            W, init = solution.W, solution.parts or solution.W
        if (gap > self.enough or solution is None) and n_iter < max_iter:
            of_all = self._solve(self.moments, self.enough, max_iter - n_iter, init)
            n_iter += of_all.n_iter
            if solution is None or of_all.dual_gap <= gap:
                return replace(of_all, n_iter=n_iter)
        certificate = Certificate(solution.objective, gap, None)
        return replace(solution, certificate=lambda: certificate, n_iter=n_iter, converged=gap <= self.enough)

    def _solve(self, moments, gap, max_iter, init):
        """The solution of the solver, to a gap."""
        how = {"tol": gap / self.quadratic.null if gap else 0.0, "max_iter": max_iter, "init": init}
        return next(self.solver(self.penalty, [self.penalty], moments, self.c, **how))

    def _rest(self, X, direction):
        """What the ridge term leaves to the others of a descent direction."""
        return direction - self.quadratic.ridge * X[self.kept]

    def _of_all(self, inside, some):
        """The solution of some features as one of all, the bound that it proves, and what its ridge term leaves."""

        def spread(part):
            whole = np.zeros((*part.shape[:-1], self.moments.n_features))
            whole[..., some] = part
            return whole

        X, duals = inside.dual or (inside.W, ())
        X, duals = spread(X), [(f, spread(U)) for f, U in duals]
        if inside.dual is None:
            duals = self.problem.duals_at_zero()
        loss, direction = self.quadratic.at(X[self.kept])
        Z = self._rest(X, direction)
        left_out = Z.copy()
        left_out[:, some] = 0.0
        duals = self.screen.shared_out(duals, left_out)
        bound = self.problem.bound_of(X[self.kept], loss, direction, duals)
        parts = inside.parts and tuple(map(spread, inside.parts))
        how = {"parts": parts, "w0": spread(inside.w0), "dual": (X, duals)}
        return replace(inside, W=spread(inside.W), **how), bound, Z


def _sum(init):
    return sum(init) if isinstance(init, tuple) else init


def _of_some(init, some):
    """The weights of some features."""
    if init is None:
        return None
    return tuple(part[:, some] for part in init) if isinstance(init, tuple) else init[:, some]
