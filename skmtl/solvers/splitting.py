r"""Douglas-Rachford splitting on moments, for every penalty that has a prox.

    min_W  f(W) + sum_k g_k(A_k W),        f(W) = sum_t c_t / 2 * squared_error_t(w_t) + ridge / 2 |W|^2

Each term g_k has a copy Z_k of what it sees of W, W itself or the ends of all edges of a graph.  One iteration, with a
step size 1 / rho that may change at no cost,

    X   = argmin f(X) + rho / 2 sum_k |A_k X - Z_k|^2      task by task, exact, from one factorisation
    Y_k = prox_{g_k / rho}(2 A_k X - Z_k)
    Z_k = Z_k + Y_k - A_k X                                extrapolated by Anderson's method

(Lions, Mercier 1979, *SIAM Journal on Numerical Analysis* 16:964-979; also known as ADMM).  It does not care how
features are scaled, and no iteration touches a row.  Absolute values besides other terms are taken into the exact step
of f, `SparseStep`, which then takes about half the iterations; where these are dear, they come second.  The norms of a
decomposition W = P + Q have copies of P and of Q, and f sees their sum.

The certificate.  The residuals of X are the dual point, and ``U_k = rho (2 A_k X - Z_k - Y_k)`` are subgradients.  At a
solution these add up to the loss's descent direction; `_certificates` says what they prove before.
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
from skmtl.solvers.solution import (
    ROUNDING,
    Certificate,
    harmonic,
    on_nodes,
    solution_of,
    solve,
    solve_one,
    without_grams,
)

__all__ = ["Found", "found_at_once", "minimize", "solution_found", "solve_by_splitting"]

_BALANCED = 60  # iterations, after which rho changes ever more rarely
_ACCELERATE = 10  # plain iterations before extrapolation begins
_BRIEF, _WIDE = 250, 100  # iterations before those of `SparseStep`, and the features from which these are dear
_ASTRAY = 10.0  # in units of F(0): how far above the best objective an iteration may be


@solve.register
@without_grams
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
    found, n_terms = None, 0
    for one in path:
        quadratic.ridge = one.ridge
        problem = (Decomposed if one.decomposition else Together)(one, quadratic)
        if not problem.terms:
            solution = _without_terms(one, moments, c, quadratic)
            parts = one.parts_of(solution.W, moments.active) if one.decomposition else None
            yield replace(solution, parts=parts)
            continue
        if found is not None and len(problem.terms) != n_terms:  # alpha=0 ends a term, and its copies in the state
            state = found.weights
        goal, n_terms = max(tol, ROUNDING) * quadratic.f0, len(problem.terms)
        if SparseStep.suits(problem):
            found = _with_sparse_steps(one, problem, goal, max_iter, state)
        elif _dual_newton.suits(problem):
            found = _with_newton_steps(problem, goal, max_iter, state)
        else:
            found = minimize(problem, goal, max_iter, state)
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


def _with_sparse_steps(penalty, problem, goal, max_iter, state):
    """What is `Found` by the steps of `SparseStep`, after others where these are dear: with many features, few rows."""
    sparse, moments = SparseStep(penalty, problem.quadratic), problem.quadratic.moments
    if len(moments.full) or moments.n_features < _WIDE:
        return minimize(sparse, goal, max_iter, state)
    found = minimize(problem, goal, min(_BRIEF, max_iter), state)
    if not found.reaches(goal, problem.quadratic.f0) and found.n_iter < max_iter:
        found = found.then(minimize(sparse, goal, max_iter - found.n_iter, found.weights), goal)
        found.state = found.weights
    return found


def _with_newton_steps(problem, goal, max_iter, state):
    """What is `Found` by Newton's method on the residuals, after some iterations, before others if rounding ends it."""
    found = minimize(problem, goal, min(_dual_newton.patience(problem), max_iter), state)
    if not found.reaches(goal, problem.quadratic.f0):
        found = _dual_newton.minimize_by_newton(problem, found, goal, max_iter - found.n_iter)
    if not found.converged and found.n_iter < max_iter:
        found = found.then(minimize(problem, goal, max_iter - found.n_iter, found.state), goal)
    return found


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

    @property
    def weights(self):
        """The best point as a list, [W] or [P, Q]: a state to start from."""
        return [*(self.parts or (self.W,))]

    def reaches(self, goal, f0):
        """Whether the gap is at most `goal`; of zero weights, which nothing may have shown to be optimal, all of it."""
        return self.gap <= (goal if self.W.any() else min(goal, ROUNDING * f0))

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

    Zero weights, which nothing has shown to be optimal, are the end only where no gap is left.
    """
    found, f0 = found_at_once(problem, goal, state), problem.quadratic.f0
    if found.converged:
        return found
    steps, check = _Steps(problem, state, max_iter), 1
    while not steps.last:
        if not steps.take():  # but went back
            continue
        if steps.n >= check or steps.last:
            check = _next_check(steps.n)
            points, bound, dual = problem.certify(steps.z, steps.v, steps.y, steps.rho)
            least = min(objective for objective, *_ in points)
            if found.objective + _ASTRAY * f0 < least < np.inf:
                # extrapolated far along what the loss does not see; bounds from there would be rounding errors
                steps.restart(found.weights)
                continue
            found.improve(points, bound, dual)
            if found.reaches(goal, f0):
                break
        steps.advance()
    found.n_iter, found.converged, found.state = steps.n, found.gap <= goal, (steps.z, steps.rho)
    return found


def found_at_once(problem, goal, state=None):
    """What is `Found` before any iteration: zero, or the best of what costs nothing, such as tasks all alike."""
    found = Found(state=state)
    if problem.zero_is_optimal():
        found.improve([problem.zero()], problem.bound_at_zero())
    else:
        found.improve(*problem.at_no_cost())
        found.converged = found.gap <= goal and bool(found.W.any())
    return found


def _next_check(n):
    """The iteration of the next certificate after n: it costs as much as two iterations, with several terms five."""
    interval = 5 if n < 40 else 10 if n < 80 else 20
    return (n // interval + 1) * interval


class _Steps:
    """The iteration, its z extrapolated and its rho balanced.

    Parameters
    ----------
    problem : Together or Decomposed
    state : the pair (z, rho), weights as a list, or None
        Where to begin, see `Together.start`.
    max_iter : int

    Attributes
    ----------
    z, rho : array, float
        Where it is.
    v, y : arrays like z
        ``A X`` and Y of the step taken there.
    n : int
        Iterations so far.
    """

    _plain: Any  # where the step before led without extrapolation; None if there is no way back
    _shortest: float  # length of the shortest step with this rho
    _y_before: Any  # Y of the step before

    def __init__(self, problem, state, max_iter):
        self._problem, self._max_iter, self._mixing, self.n = problem, max_iter, Anderson(), 0
        self.restart(state)

    @property
    def last(self):
        """Whether this is the last iteration.

        It neither goes back nor extrapolates: from its z the next penalty or another method starts, and no certificate
        has seen how far astray an extrapolated point would be.
        """
        return self.n >= self._max_iter

    def restart(self, state):
        """Go on from another state, without extrapolation for as many iterations as there have been."""
        self._accelerate = max(_ACCELERATE, 2 * self.n)
        self._go_on(*self._problem.start(state))

    def _go_on(self, z, rho):
        """Go on from z with rho as if there had been no steps."""
        self.z, self.rho = z, rho
        self._plain, self._shortest = None, np.inf
        self._mixing.reset()

    def take(self):
        """The step from z, one iteration; whether it counts.

        If it is much longer than the shortest one, extrapolation has failed: z goes back to where it would have been.
        """
        self.n += 1
        self.v, self.y, self._r = self._problem.step(self.z, self.rho)
        length = float(np.linalg.norm(self._r))
        if self._plain is not None and length > 2.0 * self._shortest and not self.last:
            self.z, self._plain = self._plain, None
            self._mixing.reset()
            return False
        self._shortest = min(self._shortest, length)
        return True

    def advance(self):
        """Go to the next z, where the step leads, extrapolated; or change rho, where that is out of balance."""
        factor = self._imbalance() if _due(self.n) else 1.0
        if factor != 1.0:  # from the z for which X is the same
            self._go_on(self.v + (self.z - self.v) / factor, self.rho * factor)
            return
        self._plain, self._y_before = self.z + self._r, self.y
        extrapolate = self._accelerate <= self.n and not self.last
        self.z = self._mixing.propose(self.z, self._r) if extrapolate else self._plain

    def _imbalance(self):
        """The factor by which to change rho so that primal and dual residual become alike; 1 if they nearly are.

        The primal residual is ``|y - v| / |y|``, of ``A X = Y``; the dual one, of the gradient's equation, is
        ``|y - y_before| / |v - z|``.  They are compared with both denominators multiplied out, as these may be zero.
        """
        z, v, y = self.z, self.v, self.y
        primal = self._problem.haste(self.n) ** 2 * np.linalg.norm(y - v) * np.linalg.norm(v - z)
        dual = np.linalg.norm(y - self._y_before) * np.linalg.norm(y)
        if dual / 3 <= primal <= 3 * dual:
            return 1.0
        if primal > 25 * dual or dual > 25 * primal:
            return 5.0 if primal > dual else 0.2
        return float(np.sqrt(primal / dual))


def _due(n):
    """Whether rho may change in iteration n: often at first, then ever more rarely, so that the iterations converge.

    There are always steps in between, so that `_Steps._y_before` is of the same rho.
    """
    if n <= _BALANCED:
        return n % 5 == 0
    return n % (_BALANCED * 2 ** int(np.log2(n / _BALANCED))) == 0
