"""Working sets of features, as in `_coordinate/rounds.py`, for solvers that would see all of W.

The solver solves the problem of a few features; one product with all features then tells the gap of the whole and the
next working set.  The subgradients it has found become those of the whole problem when, in each feature that was left
out, the norms that make its weights zero take up the loss's gradient.

Of a decomposition W = P + Q where Q prefers no direction, as one of low rank, only P has working sets.  Q lies in the
span of the rows, whose coordinates stand beside the features of P as other features, with a norm of their own.
"""

from dataclasses import dataclass, replace
from functools import cached_property, wraps
from typing import Any, NamedTuple

import numpy as np

from skmtl.moments import Rows, TaskMoments
from skmtl.penalties.decomposition import Sides
from skmtl.penalties.sparse import JointFeature
from skmtl.solvers._coupling import Decomposed, Together
from skmtl.solvers._quadratic import quadratic_for
from skmtl.solvers._screen import MANY, Screen, nearest, working_sets
from skmtl.solvers.solution import ROUNDING, Certificate

__all__ = ["on_few_features"]

_FEW_ROWS = 3  # features for each row of all tasks, from which on the span of the rows is worth coordinates of its own


def on_few_features(solver):
    """Let `solver`, of the signature of `solve`, see working sets if features are many and more than a task's rows."""

    @wraps(solver)
    def solve_on_few(penalty, path, moments, c, *, tol=1e-6, max_iter=1000, init=None):
        if not _suit(penalty, moments):
            yield from solver(penalty, path, moments, c, tol=tol, max_iter=max_iter, init=init)
            return
        span = _Span(moments)
        for one in path:
            solution = _Rounds(solver, one, moments, c, tol, span).run(max_iter, init)
            init = solution.parts or solution.W
            yield solution

    return solve_on_few


def _suit(penalty, moments):
    """Whether features are many, and more than a task has rows, and some part of the penalty makes them zero."""
    n_features = moments.n_features
    if n_features < MANY or moments.n_rows.max(initial=0) >= n_features:
        return False
    if isinstance(penalty, JointFeature) and (penalty.positive or penalty.feature_weights is not None):
        return False
    return Screen.of(penalty, moments.tasks, n_features) is not None or _suit_half(penalty, moments)


def _suit_half(penalty, moments):
    """Whether one half of a decomposition makes features zero, and the other lies in a span of few dimensions."""
    thin = type(moments) is TaskMoments and not len(moments.full)
    n_rows = sum(rows.v.shape[1] * len(rows.A) for rows in moments.rows) if thin else np.inf
    few = _FEW_ROWS * n_rows <= moments.n_features
    return few and Screen.of_half(penalty, moments.tasks, moments.n_features) is not None


@dataclass(frozen=True)
class _Span:
    """The span of the rows of all tasks."""

    moments: TaskMoments

    @cached_property
    def basis(self):
        """Orthonormal vectors (n_coordinates, n_features) that span all rows."""
        return np.linalg.qr(np.concatenate([rows.A.reshape(-1, rows.A.shape[2]) for rows in self.moments.rows]).T)[0].T

    @cached_property
    def rows(self):
        """The rows of each group of tasks in the coordinates of the basis."""
        return [rows.A @ self.basis.T for rows in self.moments.rows]


class _All(NamedTuple):
    """The problem of all features."""

    penalty: Any
    moments: TaskMoments


class _Some:
    """The problem of some features."""

    def __init__(self, rounds, some):
        self.some, self.n_features = some, rounds.moments.n_features
        self.penalty, self.moments = rounds.penalty, rounds.moments.of_features(some)

    def init(self, init):
        """The start for the problem of some features, from weights of all features, a pair of such, or None."""
        if init is None:
            return None
        parts = tuple(part[:, self.some] for part in _parts_of(init))
        return parts if isinstance(init, tuple) else parts[0]

    def whole(self, U):
        """Weights or subgradients of the problem (..., n_columns) as those of all features."""
        return self._spread(U)

    def parts(self, solution):
        """The parts of a decomposition for all features; None if the solution has none."""
        return solution.parts and tuple(map(self._spread, solution.parts))

    def _spread(self, U):
        """U (..., n_some) as an array of all features, zero where one was left out."""
        whole = np.zeros((*U.shape[:-1], self.n_features))
        whole[..., self.some] = U
        return whole


class _SomeBesideAll(_Some):
    """Some features of one half of a decomposition, and the other half in a basis of the span of the rows."""

    def __init__(self, rounds, some):
        moments, span = rounds.moments, rounds.span
        self.some, self.n_features, self.basis = some, moments.n_features, span.basis
        self.half = rounds.half
        first, second = self._in_order(rounds.penalty.terms(moments.tasks))
        self.penalty = Sides(first, second, len(some))

        def beside(few, coordinates):
            return np.concatenate([few, coordinates], axis=-1)

        rows = [Rows(r.tasks, beside(r.columns(some), Z), r.v) for r, Z in zip(moments.rows, span.rows, strict=True)]
        means, products = (beside(a[:, some], a @ self.basis.T) for a in (moments.x_mean, moments.xy))
        none = np.empty((0, means.shape[1], means.shape[1]))
        self.moments = moments.with_features(means, products, rows, none)

    def init(self, init):
        if init is None:
            return None
        one, other = self._in_order(init if isinstance(init, tuple) else (init, np.zeros_like(init)))
        return np.concatenate([one[:, self.some], other @ self.basis.T], axis=1)

    def whole(self, U):
        one, other = self._halves(U)
        return one + other

    def parts(self, solution):
        return self._in_order(self._halves(solution.W))

    def _in_order(self, pair):
        """The half with working sets first, for a pair in the penalty's order; and the other way round."""
        return pair if self.half == 0 else pair[::-1]

    def _halves(self, U):
        n = len(self.some)
        return self._spread(U[..., :n]), U[..., n:] @ self.basis


@dataclass
class _BestOfAll:
    """The best solution and the best lower bound so far, of all features."""

    solution: Any = None
    bound: float = -np.inf
    n_iter: int = 0
    converged: bool = False

    @property
    def gap(self):
        """The duality gap; infinite without a solution."""
        return np.inf if self.solution is None else max(self.solution.objective - self.bound, 0.0)

    def improve(self, solution, bound):
        """Take a solution if it is better, and a bound with its proof if it is higher."""
        self.n_iter += solution.n_iter
        dual = solution.dual if bound > self.bound or self.solution is None else self.solution.dual
        if self.solution is None or solution.objective <= self.solution.objective:
            self.solution = solution
        self.solution, self.bound = replace(self.solution, dual=dual), max(self.bound, bound)

    def best(self, enough):
        """The solution with its gap."""
        certificate, converged = Certificate(self.solution.objective, self.gap, None), self.gap <= enough
        how = {"n_iter": self.n_iter, "converged": converged or self.converged}
        return replace(self.solution, certificate=certificate, **how)


class _Rounds:
    """The minimisation for one penalty, with a solver."""

    def __init__(self, solver, penalty, moments, c, tol, span):
        self.solver, self.penalty, self.moments, self.c, self.span = solver, penalty, moments, c, span
        self.quadratic = quadratic_for(penalty, moments, c)
        self.quadratic.ridge = penalty.ridge
        self.problem = (Decomposed if penalty.decomposition else Together)(penalty, self.quadratic)
        tasks, n_features = self.quadratic.tasks, moments.n_features
        self.screen, self.half = Screen.of(penalty, tasks, n_features), None
        if self.screen is None and _suit_half(penalty, moments):
            self.screen, self.half = Screen.of_half(penalty, tasks, n_features)
        self.enough = max(tol, ROUNDING) * self.quadratic.f0

    def run(self, max_iter, init):
        """Working sets until the gap is small enough, from the weights `init` on; or all features."""
        everything = _All(self.penalty, self.moments)
        if self.screen is None or not self.problem.terms or self.problem.zero_is_optimal():
            return self._solve(everything, self.enough, max_iter, init)
        f0, lengths = self.quadratic.f0, np.sqrt(self.quadratic.moments.squares.max(axis=0, initial=0.0))
        Z, found = self._rest(init), _BestOfAll()

        def following(widen):
            return nearest(self.screen.room(Z), lengths, self._used(init), widen)

        for some, goal in working_sets(found, following, self.enough, f0, max_iter):
            few = (_Some if self.half is None else _SomeBesideAll)(self, some)
            inside = self._solve(few, goal, max_iter - found.n_iter, few.init(init))
            solution, bound, Z = self._of_all(inside, few)
            found.improve(solution, bound)
            init = solution.parts or solution.W
        if found.gap > self.enough and found.n_iter < max_iter:
            solution = self._solve(everything, self.enough, max_iter - found.n_iter, init)
            found.improve(solution, solution.objective - solution.dual_gap)
            found.converged = solution.converged
        return found.best(self.enough)

    def _solve(self, problem, gap, max_iter, init):
        """The solution of a problem's penalty and moments, to a gap."""
        how = {"tol": gap / self.quadratic.f0 if gap else 0.0, "max_iter": max_iter, "init": init}
        return next(self.solver(problem.penalty, [problem.penalty], problem.moments, self.c, **how))

    def _used(self, init):
        """The features with weights, bool (n_features,); of a half with working sets only, those of this half."""
        parts = _parts_of(init)
        if self.half is not None and len(parts) == 2:
            parts = parts[self.half : self.half + 1]
        return np.any([np.zeros_like(self.moments.xy), *parts], axis=(0, 1))

    def _rest(self, init):
        """What norms have to make up at the weights `init`: the loss's descent direction less the ridge's gradient."""
        W = np.sum([np.zeros_like(self.moments.xy), *_parts_of(init)], axis=0)
        return self._less_ridge(W, self.quadratic.at(W)[1])

    def _less_ridge(self, X, direction):
        return direction - self.quadratic.ridge * X

    def _of_all(self, inside, few):
        """The solution of some features as one of all, the bound that it proves, and what norms have to make up there.

        The bound and what norms make up belong to the point X of the proof, which need not be the solution's W.
        """
        X, duals = inside.dual or (inside.W, None)
        X = few.whole(X)
        loss, direction = self.quadratic.at(X)
        Z = self._less_ridge(X, direction)
        if self.penalty.decomposition:
            duals = []
        elif duals is None:  # zero weights are the best of the few features
            duals = self.problem.duals_at_zero()
        else:
            left_out = Z.copy()
            left_out[:, few.some] = 0.0
            duals = self.screen.shared_out([(f, few.whole(U)) for f, U in duals], left_out)
        bound = self.problem.bound_of(X, loss, direction, duals)
        how = {"parts": few.parts(inside), "w0": few.whole(inside.w0), "dual": (X, duals)}
        return replace(inside, W=few.whole(inside.W), **how), bound, Z


def _parts_of(init):
    """Weights, or a pair of such, or none, as a tuple."""
    return () if init is None else init if isinstance(init, tuple) else (init,)
