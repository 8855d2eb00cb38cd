r"""Douglas-Rachford splitting on moments, for every penalty that has a prox.

    min_W  f(W) + sum_k g_k(A_k W),        f(W) = sum_t c_t / 2 * squared_error_t(w_t) + ridge / 2 |W|^2

Each term g_k has a copy Z_k of what it sees of W, W itself or the ends of all edges of a graph.  One iteration, with a
step size 1 / rho that may change at no cost,

    X   = argmin f(X) + rho / 2 sum_k |A_k X - Z_k|^2      task by task, exact, from one factorisation
    Y_k = prox_{g_k / rho}(2 A_k X - Z_k)
    Z_k = Z_k + Y_k - A_k X                                extrapolated by Anderson's method

(Lions, Mercier 1979, *SIAM Journal on Numerical Analysis* 16:964-979; also known as ADMM).  It does not care how
features are scaled, and no iteration touches a row.  Absolute values besides other terms are taken into the exact step
of f, `SparseStep`, which then takes about half the iterations.  The norms of a decomposition W = P + Q have copies of P
and of Q, and f sees their sum.

The certificate.  The residuals r of X, times a number s, are feasible for the dual problem where the descent direction
``c_t X_t' r_t`` is a sum of subgradients ``U_k = rho (2 A_k X - Z_k - Y_k)``, each within its dual ball.  What is left
of that equation, the mismatch M, goes where it costs least: to the ridge term, to one norm or several, to the edges.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skmtl._threads import crew
from skmtl.penalties import Penalty, Ridge, SharedPlusSpecific
from skmtl.solvers import _dual_newton
from skmtl.solvers._anderson import Anderson
from skmtl.solvers._coupling import Decomposed, Together
from skmtl.solvers._few_features import on_few_features
from skmtl.solvers._quadratic import PulledIntercepts, quadratic_for
from skmtl.solvers._sparse_step import SparseStep
from skmtl.solvers.solution import ROUNDING, Certificate, harmonic, on_nodes, solution_of, solve, solve_one

__all__ = ["Found", "minimize", "solution_found", "solve_by_splitting"]

_BALANCED = 60  # iterations, after which rho changes ever more rarely
_ACCELERATE = 10  # plain iterations before extrapolation begins
_ASTRAY = 10.0  # in units of F(0): how far above the best objective an iteration may be


@solve.register
@on_nodes
@on_few_features
def solve_by_splitting(penalty: Penalty, path, moments, c, *, tol=1e-6, max_iter=1000, init=None):
    """The solutions for any penalty whose terms have a prox: what `solve` finds where no other solver is registered."""
    with crew(moments.n_jobs) as each:
        quadratic = quadratic_for(penalty, moments, c, each)
        yield from _solve_path(path, moments, c, quadratic, tol, max_iter, init)


def _solve_path(path, moments, c, quadratic, tol, max_iter, init):
    """The solutions of a path, each from the one before."""
    state = None if init is None else [*(init if isinstance(init, tuple) else (init,))]
    for one in path:
        quadratic.ridge = one.ridge
        problem = _problem(one, quadratic)
        if not problem.terms:
            solution = _without_terms(one, moments, c, quadratic)
            parts = one.parts_of(solution.W, moments.active) if one.decomposition else None
            yield replace(solution, parts=parts)
            continue
        goal, newton = max(tol, ROUNDING) * quadratic.f0, _dual_newton.suits(problem)
        found = minimize(problem, goal, min(max_iter, _dual_newton.patience(problem)) if newton else max_iter, state)
        if newton and not found.converged:
            found = _dual_newton.minimize_by_newton(problem, found, goal, max_iter - found.n_iter)
            if not found.converged and found.n_iter < max_iter:
                found = found.then(minimize(problem, goal, max_iter - found.n_iter, found.state), goal)
        state = found.state
        yield solution_found(one, moments, quadratic, found)


def _without_terms(penalty, moments, c, quadratic):
    """The solution where no term has any strength: a ridge term may be left, or a pull between intercepts, or both."""
    if not isinstance(quadratic, PulledIntercepts):
        return solve_one(Ridge(penalty.ridge), moments, c)
    if penalty.ridge == 0:
        return solve_one(SharedPlusSpecific(0.0, 0.0, penalty.alpha_intercept), moments, c)
    W = quadratic.resolve(quadratic.B, 0.0)
    left = quadratic.at(W)[1] - penalty.ridge * W
    objective = quadratic.value(W)
    bound = objective - 0.5 * np.vdot(left, left) / penalty.ridge
    return solution_found(penalty, moments, quadratic, Found(W, objective=objective, bound=bound))


def _problem(penalty, quadratic):
    """How the terms of the penalty see W."""
    if penalty.decomposition:
        return Decomposed(penalty, quadratic)
    problem = Together(penalty, quadratic)
    return SparseStep(penalty, quadratic) if SparseStep.suits(problem) else problem


def solution_found(penalty, moments, quadratic, found):
    """The Solution of the tasks for what was found."""
    how = {"n_iter": found.n_iter, "converged": found.converged, "parts": found.parts or None, "dual": found.dual}
    how |= {"w0": penalty.shared(found.W[moments.active])}
    if isinstance(quadratic, PulledIntercepts):
        how["b0"] = quadratic.origin + quadratic.shared_intercept(found.W)
        how["b"] = how["b0"] + quadratic.share * (moments.intercepts(found.W) - how["b0"])
    elif penalty.has_nodes:
        how["b"] = harmonic(penalty.adjacency(moments.tasks), moments.intercepts(found.W), moments.active)
    return solution_of(moments, found.W, Certificate(found.objective, found.gap, None), **how)


@dataclass
class Found:
    """The best point and the best lower bound so far, and where the next penalty of a path starts: Z and rho."""

    W: Any = None
    parts: tuple = ()
    objective: float = np.inf
    bound: Any = -np.inf
    dual: Any = None  # what proves the bound: X, whose residuals are the dual point, and subgradients (f, U)
    n_iter: int = 1
    converged: bool = True
    state: Any = None

    @property
    def gap(self):
        """The duality gap."""
        return max(self.objective - self.bound, 0.0)

    def improve(self, points, bound, dual=None):
        """Take the best of some points (objective, W, parts), and the bound with its proof if it is higher."""
        for objective, W, parts in points:
            if objective < self.objective:
                self.objective, self.W, self.parts = objective, W, parts
        if bound > self.bound:
            self.bound, self.dual = float(bound), dual

    def then(self, more, goal):
        """What this and another method, which went on, have found."""
        self.improve([(more.objective, more.W, more.parts)], more.bound, more.dual)
        return replace(self, n_iter=self.n_iter + more.n_iter, converged=self.gap <= goal, state=more.state)


def minimize(problem, goal, max_iter, state):
    """Iterate until the gap is at most `goal`, or `max_iter` times; the best point and bound, as `Found`.

    While z is an extrapolated point, `plain` is where the iteration itself would have gone.  Extrapolation has failed
    if the step r from z is much longer than the `shortest` one with this rho: then z goes back to `plain`.  The last
    iteration does not extrapolate: from its z the next penalty or another method starts, and no certificate has seen
    how far astray an extrapolated point would be.
    """
    found = Found(state=state)
    if problem.zero_is_optimal():
        found.improve([problem.zero()], problem.bound_at_zero())
        return found
    z, rho = problem.start(state)
    mixing, y_before, plain, shortest, waiting = Anderson(), None, None, np.inf, True
    accelerate = _ACCELERATE
    for n_iter in range(1, max_iter + 1):
        v, y, r = problem.step(z, rho)
        length = np.linalg.norm(r)
        waiting |= n_iter % _interval(n_iter) == 0 or n_iter == max_iter
        failed = plain is not None and length > 2.0 * shortest
        if failed and n_iter < max_iter:
            z, plain = plain, None
            mixing.reset()
            continue
        shortest = min(shortest, float(length))
        if waiting:  # since the iteration whose turn it was, unless that one went back to `plain`
            waiting = False
            points, *bound = problem.certify(z, v, y, rho)
            least = min(point[0] for point in points)
            if found.objective + _ASTRAY * problem.quadratic.f0 < least < np.inf:
                # extrapolated far along what the loss does not see; bounds from there would be rounding errors
                z, rho = problem.start([*(found.parts or (found.W,))])
                y_before, plain, shortest, accelerate = None, None, np.inf, 2 * n_iter
                mixing.reset()
                continue
            found.improve(points, *bound)
            if found.gap <= goal and (found.W.any() or found.gap <= ROUNDING * problem.quadratic.f0):
                break
        due = y_before is not None and _due(n_iter)
        if due and (change := _balance(z, v, y, y_before, problem.haste(n_iter))) != 1.0:
            z, rho, y_before, plain, shortest = v + (z - v) / change, rho * change, None, None, np.inf
            mixing.reset()
            continue
        plain, y_before = z + r, y
        z = mixing.propose(z, r) if accelerate <= n_iter < max_iter else plain
    found.n_iter, found.converged, found.state = n_iter, found.gap <= goal, (z, rho)
    return found


def _interval(n_iter):
    """Iterations between two certificates: one costs as much as two iterations, with several terms as five."""
    return 5 if n_iter < 40 else 10 if n_iter < 80 else 20


def _due(n_iter):
    """Whether rho may change now: often at first, then ever more rarely, so that the iterations converge."""
    if n_iter <= _BALANCED:
        return n_iter % 5 == 0
    return n_iter % (_BALANCED * 2 ** int(np.log2(n_iter / _BALANCED))) == 0


def _balance(z, v, y, y_before, haste):
    """The factor by which to change rho so that primal and dual residual become alike; 1 if they nearly are.

    The primal residual is ``|y - v| / |y|``, of ``A X = Y``; the dual one, of the gradient's equation, is
    ``|y - y_before| / |v - z|``.  They are compared with both denominators multiplied out, as these may be zero.
    """
    primal = haste**2 * np.linalg.norm(y - v) * np.linalg.norm(v - z)
    dual = np.linalg.norm(y - y_before) * np.linalg.norm(y)
    if dual / 3 <= primal <= 3 * dual:
        return 1.0
    if primal > 25 * dual or dual > 25 * primal:
        return 5.0 if primal > dual else 0.2
    return float(np.sqrt(primal / dual))
