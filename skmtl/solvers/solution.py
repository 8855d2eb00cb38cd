"""What every solver returns, and how a penalty finds its solver."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, singledispatch, wraps
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse import linalg as sparse_linalg

from skmtl._ids import lookup
from skmtl.moments import TaskMoments

__all__ = [
    "AT_ZERO",
    "ROUNDING",
    "Certificate",
    "Solution",
    "harmonic",
    "largest_of",
    "linked",
    "loss_at_zero",
    "loss_of",
    "moments_for",
    "on_nodes",
    "residual_norm",
    "solution_of",
    "solve",
    "solve_one",
    "without_grams",
]


ROUNDING = 1e-14  # share of the loss at zero: a smaller gap is rounding
AT_ZERO = 2e-12  # by which share of itself the gradient may be outside the dual ball if W = 0 is to count as optimal


class Certificate(NamedTuple):
    """How good a solution is.

    Attributes
    ----------
    objective : float
        In units of the loss.
    dual_gap : float or None
        The objective less a lower bound of its minimum, in the same units; None where no dual is known.
    residual : float or None
        ``|A x - b| / (|A| |x| + |b|)`` of the normal equations of a quadratic model; of a nonconvex one, the relative
        change of the last step. None elsewhere.
    """

    objective: float
    dual_gap: float | None
    residual: float | None


@dataclass(frozen=True)
class Solution:
    """The minimiser of one problem and how exact it is.

    Attributes
    ----------
    W : array of shape (n_tasks, n_features)
    b : array of shape (n_tasks,)
        Intercepts.
    w0, b0 : array of shape (n_features,), float
        The model of a task never seen.
    certificate : Certificate, or a function that makes one
        The function is called when first asked for: on a path of exact solutions it would cost as much as the
        solutions.
    n_iter : int
    converged : bool
    parts : tuple of arrays, or None
        P and Q of a decomposition ``W = P + Q``, both of the shape of W; the loadings of a latent basis.
    dual : tuple (X, duals), or None
        What proves the gap, where solvers that go on from here need it: weights X (n_tasks, n_features), perhaps other
        ones than W, whose residuals are the dual point, and pairs (function, U) of subgradients that make up the loss's
        descent direction at X.
    seen : bool array of shape (n_tasks,), or None
        False for tasks without weight, which the penalty did not see and which only got the shared model. None if it
        saw all.
    """

    W: np.ndarray
    b: np.ndarray
    w0: np.ndarray
    b0: float
    certificate: Certificate | Callable[[], Certificate]
    n_iter: int = 1
    converged: bool = True
    parts: Any = None
    dual: Any = None
    seen: Any = None

    @cached_property
    def _certified(self):
        return self.certificate if isinstance(self.certificate, Certificate) else self.certificate()

    @property
    def objective(self):
        """The value of the objective, in units of the loss."""
        return self._certified.objective

    @property
    def dual_gap(self):
        """How far the objective is above its minimum, at most."""
        return self._certified.dual_gap

    @property
    def residual(self):
        """How exactly the normal equations hold, or how much the last step changed."""
        return self._certified.residual


@singledispatch
def moments_for(penalty, data, *, fit_intercept=True, n_jobs=None):
    """What the solver of `penalty` wants to know of the rows of `data`: `TaskMoments`."""
    return TaskMoments.from_data(data, fit_intercept=fit_intercept, n_jobs=n_jobs)


@singledispatch
def solve(penalty, path, moments, c, *, tol=1e-6, max_iter=1000, init=None):
    """Minimise ``sum_t c_t / 2 * squared_error_t(W) + Omega(W)`` for every penalty of a path.

    Parameters
    ----------
    penalty : Penalty
        ``path[0]``; its type chooses the solver.
    path : list of Penalty
        Of one type, equal but for `alpha`. What does not depend on `alpha` is computed once.
    moments : TaskMoments
    c : array of shape (n_tasks,)
        The factor of each task's loss.
    tol : float
        Solvers that iterate stop when the duality gap is at most ``tol`` times the objective at W = 0.
    max_iter : int
        For solvers that iterate, for each penalty.
    init : array of shape (n_tasks, n_features), a pair (P, Q) of them for a decomposition, or None
        Where solvers that iterate start; those that profit from it start each following penalty at the solution before.

    Yields
    ------
    Solution
    """
    raise TypeError(f"There is no solver for the penalty {penalty!r} of type {type(penalty).__name__}.")


def without_grams(solver, when=lambda penalty, data: True):
    """Note that `solver` asks no more of moments than products with G_t and resolvents: `IncompleteMoments` will do.

    when : function
        Of a penalty and the data, `TaskData`: whether it is so for these.
    """
    solver.without_grams = when
    return solver


def solve_one(penalty, moments, c, **options):
    """The `Solution` for a single penalty; `options` are those of `solve`."""
    (solution,) = solve(penalty, [penalty], moments, c, **options)
    return solution


def residual_norm(residual, size_A, x, b):
    """``|residual| / (|A| |x| + |b|)`` for tuples of arrays; 0 for the problem whose solution is 0."""
    error, length, right = (np.sqrt(sum(np.vdot(part, part) for part in parts)) for parts in (residual, x, b))
    scale = size_A * length + right
    return float(error / scale) if scale > 0 else 0.0


def solution_of(moments, W, certificate, w0=None, b=None, b0=None, **how):
    """The `Solution` of W, with intercepts and a shared model where the solver does not give them.

    Without w0 and b0 the shared model is the mean over the tasks with weight.  Without b every task with weight has its
    best intercept, and those without weight get the shared model; a solver that gives b has given their weights, too.
    """
    active = moments.active
    known = slice(None) if active.all() else active
    w0 = W[known].mean(axis=0) if w0 is None else w0
    if b is None:
        b = moments.intercepts(W)
        if not active.all():
            W, b = np.where(active[:, None], W, w0), np.where(active, b, b[known].mean())
    return Solution(W, b, w0, b[known].mean() if b0 is None else b0, certificate, **how)


def linked(penalty, nodes, labelled):
    """Which nodes take part in a fit, bool (n_nodes,): the `labelled` ones (n_nodes,) and those joined to one by edges.

    All others get the shared model after the fit.
    """
    if labelled.all() or not penalty.has_nodes:
        return labelled
    component = csgraph.connected_components(penalty.adjacency(nodes), directed=False)[1]
    return np.isin(component, component[labelled])


def on_nodes(solver):
    """Let `solver` see the nodes that take part (`linked`) as its tasks; one that is no task of the data has no rows.

    All other tasks of the data are left out and get the shared model.
    """

    @wraps(solver)
    def solve_on_nodes(penalty, path, moments, c, *, init=None, **how):
        nodes = penalty.all_tasks(moments.tasks)
        active = np.zeros(len(nodes), dtype=bool)
        active[lookup(moments.tasks, nodes)] = moments.active
        kept = linked(penalty, nodes, active)
        path, nodes = [one.placed(nodes, kept) for one in path], nodes[kept]
        if np.array_equal(nodes, moments.tasks):
            yield from solver(path[0], path, moments, c, init=init, **how)
            return
        seen = lookup(moments.tasks, nodes) >= 0
        at = lookup(moments.tasks[seen], nodes)

        def spread(of_tasks, other):
            of_nodes = np.full((len(nodes), *of_tasks.shape[1:]), other)
            of_nodes[at] = of_tasks[seen]
            return of_nodes

        def back(of_nodes, shared):
            of_tasks = np.full((len(seen), *of_nodes.shape[1:]), shared)
            of_tasks[seen] = of_nodes[at]
            return of_tasks

        if init is not None:
            init = tuple(spread(part, 0.0) for part in init) if isinstance(init, tuple) else spread(init, 0.0)
        moments, c = moments.only(seen).among(nodes), spread(c, 1.0)
        for solution in solver(path[0], path, moments, c, init=init, **how):
            W, b, parts = back(solution.W, solution.w0), back(solution.b, solution.b0), solution.parts
            parts = parts and tuple(map(back, parts, penalty.shared_parts(*parts)))
            yield replace(solution, W=W, b=b, parts=parts, dual=None, seen=seen)

    return solve_on_nodes


def harmonic(adjacency, b, active):
    """The intercepts b (n_tasks,), which nothing penalises, with those of tasks without rows taken from the graph.

    They are the weighted means of their neighbours': the limit of a graph penalty on the intercepts that goes to zero.
    In a component of the graph without any rows they are the mean over all tasks that have some.

    adjacency : sparse array of shape (n_nodes, n_nodes)
        The weights of the edges. The first nodes are the tasks of b and `active`.
    active : bool array of shape (n_tasks,)
        Which tasks have rows.
    """
    if active.all():
        return b
    known = np.zeros(adjacency.shape[0], dtype=bool)
    known[: len(b)] = active
    b0 = b[active].mean()
    off = np.zeros(len(known))
    off[known] = b[active] - b0
    L = sparse.csr_array(csgraph.laplacian(adjacency))
    off[~known], _ = sparse_linalg.cg(L[~known][:, ~known], -(L[~known][:, known] @ off[known]), rtol=1e-12)
    return b0 + off[: len(b)]


def loss_at_zero(moments, c):
    """F(0): the loss at W = 0 with the best intercepts, the unit of tolerances."""
    return float(0.5 * c @ moments.yy)


def loss_of(moments, c, W, GW):
    """``sum_t c_t / 2 * squared_error_t`` at the best intercepts."""
    return float(0.5 * c @ moments.squared_error(W, GW))


def largest_of(moments, c):
    """A lower bound of the largest eigenvalue of any c_t G_t: the largest diagonal entry."""
    return np.max(c[:, None] * moments.squares, initial=0.0)
