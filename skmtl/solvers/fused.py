r"""Fused tasks by an interior-point method, on moments.

    min_W  f(W) + sum_e tau_e |z_e|,   z = D W the differences along edges,   tau_e = alpha k_e

An absolute value of single weights, ``alpha_1 |w_tj|``, is an edge to a node whose weights are zero.  f is the loss
with its ridge term, a quadratic H_t for each task.  With flows p along edges and bounds t_e >= |z_e|, the minimum is
where

    -grad f(W) = D' p,     |p_e| <= tau_e,     t_e tau_e = z_e'p_e

that is, where (t_e, z_e) and (tau_e, -p_e) are orthogonal in second-order cones.  Newton's method solves these
equations for products mu that go to zero.  Nesterov and Todd's scaling makes a step one equation in W,

    (blockdiag(H_t) + D' blockdiag(k_e I - u_e u_e') D) dW = ...

and Mehrotra's predictor says how far mu may fall, and corrects for curvature (Andersen, Roos, Terlaky 2003,
*Mathematical Programming* 95:249-277).  That takes about ten steps, however features are scaled, and no step touches a
row.  With the 1-norm, every feature of an edge is a cone of its own.  Where all edges together have one prox, splitting
may be faster still and goes first; with few rows, Newton's method on their residuals (`_dual_newton.py`) follows it.

The flows are always within their bounds, so that each step has a duality gap.  As mu > 0 keeps every edge from length
zero, the tasks at the ends of edges that are as short as mu makes them are put at their mean: fused weights are equal
exactly.
"""

import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError
from scipy import sparse
from scipy.sparse import csgraph

from skmtl._algebra import membership
from skmtl._threads import crew
from skmtl.moments._incomplete import IncompleteMoments
from skmtl.penalties import FusedTasks, Ridge, Temporal
from skmtl.penalties.graph import Edges
from skmtl.penalties.sparse import L1
from skmtl.solvers import _dual_newton
from skmtl.solvers._coupling import Together
from skmtl.solvers._fused.cones import Scaling, dot_rows, dot_values, way_to_boundary
from skmtl.solvers._fused.edge_systems import edge_system
from skmtl.solvers._quadratic import Quadratic
from skmtl.solvers.solution import ROUNDING, on_nodes, solve, solve_one, without_grams
from skmtl.solvers.splitting import Found, found_at_once, minimize, solution_found, solve_by_splitting

__all__ = ["OnChain", "factors_fit"]  # and a solver, found through `solve`

_FAR = 100.0  # times the length of W: a change of W that is longer comes from rounding errors
_TO_BOUNDARY = 0.995  # the share of the way to the boundary of the cones that a step goes
_RELAXED = 1e-11  # share of the mean curvature that is added in a step, for weights that nothing else determines
_CLOSE = 30.0  # times the goal: up to such a gap it is worth while to compute it, and to look for fused tasks
_LEFT = 0.01  # share of the gap that the mismatch a step leaves of the gradient's equation may cost
_KEPT, _KEPT_ROUGHLY = 0.1, 0.7  # shares of the mismatch that a step may leave in any case: by factors, by iterations
_STALLED = 8  # steps without progress
_LARGEST = 5e7  # numbers in all H_t; with more, splitting has the better factors
_COSTLIEST = 3e9  # multiplications to factorise all H_t, likewise: splitting does it once, not in each step
_MOST_CONES = 5e6  # numbers in the differences of all edges, that memory has room for
_MOST_PAIRS = 5e4  # likewise, of all pairs and the 1-norm: with more, their one prox is faster
_PATIENCE = 100  # iterations of splitting before another method, where all edges together have one prox
_SHARE, _FEWEST = 10.0, 50  # steps of cones, about all, that splitting may cost elsewhere; and iterations to begin it
_CONJUGATE = 800  # multiplications in a step of cones for each number in H_t, beside those of its factors
_CALLS, _OF_ROWS, _OF_COPIES = 6e6, 16, 500  # likewise in an iteration: in all, for each number in rows, in copies of W
_THIN, _STEPS = 0.2, 300  # rows are few if their cube is at most this share of T d^3; steps on their residuals, at most


class OnChain(FusedTasks):
    """`Temporal` weights that jump, as fused tasks: ``alpha |w_s - w_t|_1`` along a chain, plus ``alpha_l1 |W|_1``."""

    def __init__(self, temporal, graph):
        super().__init__(temporal.alpha, graph, norm=1, alpha_ridge=temporal.alpha_ridge)
        self.temporal, self.alpha_l1 = temporal, temporal.alpha_l1

    def terms(self, tasks):
        return *super().terms(tasks), L1(self.alpha_l1)


class _InOrder(Temporal):
    """Jumps of tasks whose `order` are their positions: of any ids, and of no parameter that a user has given."""

    def places(self, tasks):
        return self.order


def _are_split(penalty, data):
    """Whether splitting alone solves the problem of some data."""
    suits = _suits(penalty, penalty.all_tasks(data.tasks), data.X.shape[1])
    return not suits and not _dual_newton.has_few_labels(data)


@solve.register
@partial(without_grams, when=_are_split)
@on_nodes
def solve_fused(penalty: FusedTasks, path, moments, c, *, tol=1e-6, max_iter=1000, init=None):
    """The solutions of a path; the interior-point method starts each anew.

    The solution before would lie on the boundary of the cones, from where steps are short.
    """
    chain = _chain_of(penalty, moments)
    if chain:
        path = [chain(one) for one in path]
    if isinstance(moments, IncompleteMoments) or not _suits(path[0], moments.tasks, moments.n_features):
        path = [_of_one_prox(one) or one for one in path]
        yield from solve_by_splitting(path[0], path, moments, c, tol=tol, max_iter=max_iter, init=init)
        return
    with crew(moments.n_jobs) as each:
        quadratic, method = Quadratic(moments, c, each), None
        state = None if init is None else [init]
        goal = max(tol, ROUNDING) * quadratic.f0
        for one in path:
            quadratic.ridge = one.ridge
            problem = Together(_by_edges(one, moments.n_tasks), quadratic)
            if not problem.terms:
                yield solve_one(Ridge(one.ridge), moments, c)
                continue
            found = _before_cones(one, problem, goal, max_iter, state)
            state = found.state or state
            if not found.converged and found.n_iter < max_iter:
                method = method or _InteriorPoint(quadratic, problem)
                found = found.then(method.minimize(problem, goal, max_iter - found.n_iter), goal)
            yield solution_found(one, moments, quadratic, found)


def _before_cones(penalty, problem, goal, max_iter, state):
    """What is `Found` without the interior-point method: at once, or by splitting where it goes first.

    Without edges, where only absolute values are left, splitting goes all the way.
    """
    found, fuses = found_at_once(problem, goal), isinstance(problem.terms[0].term, Edges)
    if found.converged:
        return found
    moments, one_prox = problem.quadratic.moments, _of_one_prox(penalty)
    first = Together(one_prox, problem.quadratic) if one_prox else problem
    newton = fuses and _is_thin(moments) and _dual_newton.suits(first)
    if not fuses:
        few = max_iter
    elif newton:
        few = _dual_newton.patience(first)
    else:
        few = max(_patience(first, moments), _PATIENCE if one_prox and not _is_jumps(penalty) else 0)
    if few == 0:
        return replace(found, n_iter=0)
    found = minimize(first, goal, min(few, max_iter), state)
    if newton and not found.converged:
        found = _dual_newton.minimize_by_newton(first, found, goal, min(_STEPS, max_iter - found.n_iter))
    return found


def _of_one_prox(penalty):
    """The same penalty in a form whose terms together have a prox; None if there is none."""
    if isinstance(penalty, OnChain):
        return penalty.temporal
    return penalty if penalty.graph is None and float(penalty.norm) == 1 else None


def _chain_of(penalty, moments):
    """The function that makes a penalty `OnChain`, if its graph is one chain through all tasks, each edge as wide."""
    if penalty.graph is None or float(penalty.norm) != 1 or isinstance(penalty, OnChain) or not moments.active.all():
        return None
    K = penalty.adjacency(moments.tasks)
    n_tasks, n_neighbours = len(moments.tasks), np.diff(K.indptr)
    if n_tasks < 2 or K.nnz != 2 * (n_tasks - 1) or n_neighbours.max() > 2 or np.ptp(K.data) > 0.0:
        return None
    order = csgraph.breadth_first_order(K, np.argmin(n_neighbours), directed=False, return_predecessors=False)
    if len(order) < n_tasks:  # a ring beside a task without neighbours
        return None
    width = K.data[0]
    return lambda one: OnChain(_InOrder(one.alpha * width, order=order, alpha_ridge=one.alpha_ridge), K / width)


def _is_jumps(penalty):
    """Whether only changes from task to task cost something: there splitting is slow, although it has one prox."""
    return isinstance(penalty, OnChain) and not penalty.alpha_l1


def _is_thin(moments):
    """Whether the systems of Newton's method on the residuals are far smaller than those of all features."""
    d, n_rows = moments.n_features, _dual_newton.n_rows_of(moments)
    return not len(moments.full) and n_rows**3 <= _THIN * moments.n_tasks * d**3


def _patience(problem, moments):
    """Iterations of splitting that cost as much as the interior-point method: zero where these are few.

    With fewer rows than features splitting does not multiply by large matrices, and often it needs not so many.
    """
    if len(moments.full):
        return 0
    T, d, copies = moments.n_tasks, moments.n_features, sum(np.prod(term.shape(moments.xy)) for term in problem.terms)
    cones = T * d**3 + _CONJUGATE * T * d**2
    iteration = _CALLS + _OF_ROWS * _dual_newton.n_rows_of(moments) * d + _OF_COPIES * copies
    n = int(_SHARE * cones / iteration)
    return n if n >= _FEWEST else 0


def _suits(penalty, tasks, d):
    """Whether a step finds the memory it needs, and no prox for all pairs of tasks at once is the shorter way."""
    n_tasks = len(tasks)
    if penalty.graph is None:
        n_cones, most = 0.5 * n_tasks * (n_tasks - 1) * d, _MOST_CONES if float(penalty.norm) == 2 else _MOST_PAIRS
    else:
        n_cones, most = 0.5 * penalty.adjacency(tasks).nnz * d, _MOST_CONES
    return factors_fit(n_tasks, d) and n_cones <= most


def factors_fit(n_tasks, d):
    """Whether a step may factorise matrices of all tasks, d x d."""
    return n_tasks * d**2 <= _LARGEST and n_tasks * d**3 <= _COSTLIEST


def _by_edges(penalty, n_tasks):
    """The penalty with a graph that lists all pairs, if it has none."""
    if penalty.graph is not None:
        return penalty
    other = copy.copy(penalty)
    other.graph = np.ones((n_tasks, n_tasks))
    return other


@dataclass
class _Point:
    """Weights W, differences z within t, flows p within tau.  Changes are tuples (dW, dz, dt, dp)."""

    W: Any
    z: Any
    t: Any
    p: Any
    tau: Any

    def product(self):
        """The mean of ``t_e tau_e - z_e'p_e``."""
        return float(np.vdot(self.t, self.tau) - np.vdot(self.z, self.p)) / self.t.size

    def way(self, change):
        """How far a change may go."""
        _, dz, dt, dp = change
        return min(way_to_boundary(self.t, self.z, dt, dz), way_to_boundary(self.tau, self.p, np.zeros_like(dt), dp))

    def moved(self, step, change):
        """The point after a step."""
        dW, dz, dt, dp = change
        return _Point(self.W + step * dW, self.z + step * dz, self.t + step * dt, self.p + step * dp, self.tau)


class _InteriorPoint:
    """The method for one loss and one graph; features that are zero in all tasks are left out.

    Differences and flows are those of the edges and, behind them, of the tasks to zero if weights are `grounded`:
    `_along` joins the two, `_apart` parts them.
    """

    def __init__(self, quadratic, problem):
        H = quadratic.gram_of(np.arange(len(quadratic.B)))
        self.live = np.flatnonzero(np.einsum("tjj->j", H) > 0)
        H = np.ascontiguousarray(H[:, self.live[:, None], self.live])
        self.scale = np.einsum("tjj->j", H) / len(H)
        self.quadratic, self.edges, self.grounded = quadratic, problem.terms[0].term, len(problem.terms) > 1
        self.by_value = self.edges.norm == 1
        self.dot = dot_values if self.by_value else dot_rows
        self.system = edge_system(H, self.edges.s, self.edges.t)

    def minimize(self, problem, goal, max_iter):
        """Iterate until the gap is at most `goal`; should rounding prevent that, splitting goes on."""
        found, point, idle = Found(n_iter=0, converged=False), None, 0
        self.system.restart()
        while found.n_iter < max_iter and not found.converged and idle < _STALLED:
            try:
                with np.errstate(all="ignore"):  # what rounding has spoilt is seen below
                    point = self._step(point or self._start([term.term for term in problem.terms]))
            except LinAlgError:
                break
            if not np.isfinite(point.p).all() or not np.isfinite(point.W).all():
                break
            found.n_iter += 1
            if found.n_iter < max_iter and point.product() * point.tau.size > _CLOSE * goal:
                continue  # the sum of the products would be the gap, were it not for the mismatch
            before = found.gap
            self._certify(problem, point, found, goal)
            idle = idle + 1 if found.gap > 0.9 * before else 0
        if found.converged or (found.n_iter >= max_iter and found.W is not None):
            return found
        start = None if found.W is None else [found.W]
        return found.then(minimize(problem, goal, max(max_iter - found.n_iter, 1), start), goal)

    def _start(self, terms):
        """The point to start from: weights for squared differences, and their flows, shortened to within their bounds.

        The square of an edge has the weight tau_e / |z_e|, z_e the difference of tasks alone.  The products start no
        lower than what the flows then leave of the gradient may cost.
        """
        tau = terms[0].alpha * terms[0].k[:, None]
        tau = np.tile(tau, (1, len(self.live))) if self.by_value else tau
        if self.grounded:
            tau = np.concatenate([tau, np.full((len(self.quadratic.B), len(self.live)), terms[1].alpha)])
        alone = self.quadratic.resolve(self.quadratic.B, 1e-3 * self.quadratic.curvature)[:, self.live]
        z = self._along(alone[self.edges.s] - alone[self.edges.t], alone)
        k = tau / np.hypot(self._lengths(z), 0.3 * self._typical(z))
        self._factor(k, np.zeros((len(k), len(self.live))))
        W, z = self.system.solve(self.quadratic.B[:, self.live])
        z = self._along(z, W)
        p = k * z
        p *= 0.9 * tau / np.maximum(self._lengths(p), 0.9 * tau)
        R = self._whole(self._mismatch(W, p))
        missing = min(0.5 * np.vdot(R, self.quadratic.resolve(R, 0.0)), self.quadratic.f0)
        mu = max(np.mean(tau * self._lengths(z)), missing / tau.size, 1e-12 * self.quadratic.f0 / tau.size)
        return _Point(W, z, np.hypot(self._lengths(z), mu / tau), p, tau)

    def _factor(self, k, u):
        (of_edges, to_zero), diagonal = self._apart(k), _RELAXED * self.scale + self.quadratic.ridge
        self.system.factor(diagonal + to_zero if self.grounded else diagonal, of_edges, self._apart(u)[0])

    def _along(self, z, W):
        """Differences along all edges: z, and W itself to the ground."""
        return np.concatenate([z, W]) if self.grounded else z

    def _apart(self, z):
        """The part of z that belongs to edges, and that of the tasks to zero, which is empty unless `grounded`."""
        n = len(self.edges.s)
        return z[:n], z[n:]

    def _divergence(self, p):
        """``D' p``: what flows bring to every task."""
        of_edges, to_zero = self._apart(p)
        return self.edges.divergence(of_edges) + to_zero if self.grounded else self.edges.divergence(of_edges)

    def _lengths(self, z):
        return np.sqrt(self.dot(z, z))

    def _typical(self, z):
        """The mean length of differences."""
        return np.maximum(self._lengths(z).mean(axis=0), 1e-150)

    def _step(self, x):
        """The point after a predictor and a corrector."""
        scaling = Scaling(x.t, x.z, x.tau, x.p, self.dot)
        R = self._mismatch(x.W, x.p)
        k, u = (scaling.k - scaling.u**2, np.zeros_like(scaling.u)) if self.by_value else (scaling.k, scaling.u)
        self._factor(k, u)

        def toward(c, **how):
            solved = dW, dz = self.system.solve(R - self._divergence(scaling.offset(c)), **how)
            dz = self._along(dz, dW)
            return (dW, dz, *scaling.change(c, dz)), solved

        mu = x.product()
        if not mu > 0.0:
            raise LinAlgError
        first, solved = toward((-x.tau, x.p), rough=True)
        after = x.moved(min(1.0, x.way(first)), first).product()
        c0, c1 = scaling.target(mu * np.clip(after / mu, 0.0, 1.0) ** 3, *first[1:])
        change, _ = toward((c0 - x.tau, c1 + x.p), enough=self._enough(R, x), start=solved)
        step = min(1.0, _TO_BOUNDARY * x.way(change))
        return x.moved(step, change)

    def _enough(self, R, x):
        """What a step from x may leave of the gradient's equation, for every task and feature; its mismatch is R now.

        Curvature takes up what is left, r, at the cost of ``r^2 / (2 curvature)``, and flows at about ``|r'W|``: both
        may be a share of the gap.  A step may leave somewhat less than R in any case.  Where a factor solves the
        equations, flows are left none: it is cheap there, and rounding errors of rough factors would add up.
        """
        q = self.quadratic
        gap = _LEFT * x.product() * x.tau.size
        if self.system.exact:
            kept, by_flows = _KEPT, 0.0
        else:
            kept, by_flows = _KEPT_ROUGHLY, gap / max(np.abs(x.W).sum(), 1e-150)
        least = kept * np.abs(R).max(axis=0) + ROUNDING * np.abs(q.B[:, self.live]).max(axis=0)
        by_curvature = np.sqrt(2.0 * gap / R.size * (q.least_curvatures + q.ridge))[:, None]
        return np.maximum(np.maximum(least, by_flows), by_curvature)

    def _mismatch(self, W, p):
        """What the flows leave of the descent direction of f."""
        W = self._whole(W)
        return (self.quadratic.at(W)[1] - self.quadratic.ridge * W)[:, self.live] - self._divergence(p)

    def _whole(self, W):
        """W with all its columns."""
        out = np.zeros((len(W), self.quadratic.B.shape[1]))
        out[:, self.live] = W
        return out

    def _certify(self, problem, x, found, goal):
        """Take the best of a few points into `found`, and the bound that the flows prove.

        What the flows leave of the gradient makes up the residuals of weights next to W where curvature allows, else it
        is rerouted along edges.  Among points that are nearly as good, the one with most tasks fused is taken.
        """
        W, flows = self._whole(x.W), self._apart(self._whole(x.p))
        change = self.quadratic.resolve(self._whole(self._mismatch(x.W, x.p)), 0.0)
        near = np.linalg.norm(change) <= _FAR * np.linalg.norm(W)
        duals = [(term.term, flow) for term, flow in zip(problem.terms, flows, strict=False)]
        at = [problem.level(X) for X in ((W, W + change) if near else (W,))]
        bounds = [problem.bound(X, duals) for X in at]
        bound = max(bounds)
        points = [(problem.objective(V), V, ()) for V in (W, self._whole(self.system.means(x.W)))]
        if min(value for value, *_ in points) - max(bound, found.bound) <= _CLOSE * goal:
            points[1:1] = [(problem.objective(V), V, ()) for V in map(self._whole, self._fusions(x))]
        enough = min(value for value, *_ in points) + 0.1 * goal
        most_fused = next(point for point in reversed(points) if point[0] <= enough)
        found.improve([most_fused], bound, (at[bounds.index(bound)], duals))
        found.converged = found.gap <= goal

    def _fusions(self, x):
        """Yield W with the ends of edges fused, first those of which one can be sure, then more and more.

        An edge whose ends are the same has a flow within its bound and, compared with others, no length: the ratio of
        the two says how sure that is.
        """
        slack = (1.0 - self._lengths(x.p) / x.tau) * self._typical(x.z).mean()
        fraction, before = slack / np.maximum(self._lengths(x.z), 1e-150), 0
        for least in (1e3, 1e2, 30.0, 10.0, 3.0, 1.0):
            meet = fraction > least
            if (n_meet := int(np.count_nonzero(meet))) > before:
                yield self._together(x.W, meet)
            before = n_meet

    def _together(self, W, meet):
        """W with the tasks, or with the 1-norm single weights of tasks, that edges join at their mean or at zero."""
        n_tasks, wide, (edges_meet, ends_vanish) = len(W), meet.shape[1], self._apart(meet)
        e, j = np.nonzero(edges_meet)
        ends = self.edges.s[e] * wide + j, self.edges.t[e] * wide + j
        joined = sparse.csr_array((np.ones(len(e)), ends), shape=(n_tasks * wide, n_tasks * wide))
        label = csgraph.connected_components(joined, directed=False)[1]
        means = membership(label) @ W.reshape(n_tasks * wide, -1) / np.bincount(label)[:, None]
        if self.grounded:
            means[label[ends_vanish.ravel()]] = 0.0
        return means[label].reshape(W.shape)
