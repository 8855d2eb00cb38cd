"""The task graph, solved exactly: ``c_t G_t w_t + sum_s K_ts w_s = c_t q_t`` with ``K = a L + a_r I``.

    complete graph           a shared vector and deviations: closed form
    tasks that share rows    two eigendecompositions turn the equations into divisions
    tasks with own rows      conjugate gradients, to a residual of 1e-8 at least

Nodes of the graph that are no tasks of the data take their best values: where tasks share rows they are eliminated
from K, elsewhere they are tasks without rows.
"""

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse import linalg as sparse_linalg

from skmtl._algebra import SINGULAR, lengths_of, over, pseudo_inverse
from skmtl._ids import lookup
from skmtl.penalties import Ridge, SharedPlusSpecific, TaskGraph
from skmtl.penalties.graph import each_edge
from skmtl.penalties.quadratic import TaskQuadratic, sparse_solver
from skmtl.solvers._coupling import Together
from skmtl.solvers._quadratic import quadratic_of
from skmtl.solvers.solution import (
    Certificate,
    harmonic,
    largest_of,
    linked,
    loss_at_zero,
    loss_of,
    on_nodes,
    residual_norm,
    solution_of,
    solve,
    solve_one,
    without_grams,
)
from skmtl.solvers.splitting import solve_by_splitting

__all__: list[str] = []  # found through `solve`

_CONVERGED = 1e-8  # residual of conjugate gradients
_SMOOTH = 32  # functions of the graph that the preconditioner knows; more cost more than they save
_RESTARTS = 20  # of Lanczos' method, after which a factor is quicker
_RELAXED = 1e-13  # share of the mean curvature that is added, for weights that nothing determines
_NOTHING = 1e-14  # share of the right-hand side c_t q_t: a residual this small is rounding
_ROUGH = 5e-3  # share of the largest degree: eigenvalues above it belong to functions that are not smooth


@solve.register
@without_grams
def solve_task_graph(penalty: TaskGraph, path, moments, c, *, tol=1e-6, max_iter=1000, init=None):
    r"""``c_t G_t w_t + sum_s K_ts w_s = c_t q_t`` with ``K = a L + a_r I``."""
    if penalty.alpha_l1 > 0:
        yield from solve_by_splitting(penalty, path, moments, c, tol=tol, max_iter=max_iter, init=init)
        return
    if penalty.graph is None:
        yield from _complete_graph(path, moments, c)
        return
    nodes = penalty.all_tasks(moments.tasks)
    complete = len(nodes) == moments.n_tasks and linked(penalty, nodes, moments.active).all()
    if not complete and not moments.shared:  # with all nodes as tasks: a graph's null space is one of all its nodes
        how = {"tol": tol, "max_iter": max_iter, "init": init}
        yield from on_nodes(solve_task_graph)(penalty, path, moments, c, **how)
        return
    seen = lookup(moments.tasks, nodes)
    L = penalty.laplacian(nodes)
    hidden = np.setdiff1d(np.arange(len(nodes)), seen)
    if moments.shared:
        L = L.toarray()
    order = np.concatenate([seen, hidden])
    nodes, L = nodes[order], L[order][:, order]
    if moments.shared:
        solutions = _by_eigenvectors(path, L, moments, c)
    else:
        solutions = _by_conjugate_gradients(path, L, moments, c, max_iter, init)
    B, largest, adjacency = c[:, None] * moments.xy, largest_of(moments, c), penalty.adjacency(nodes)
    edges = each_edge(adjacency)
    for graph, (W, n_iter, solve_again) in zip(path, solutions, strict=True):

        def certificate(W=W, graph=graph, solve_again=solve_again):
            K = _coupling(L, len(W), graph)
            GW, KW = moments.times_gram(W), _times(K, graph)(W)
            R = B - c[:, None] * GW - KW
            residual = residual_norm((R,), largest + K.diagonal().max(), (W,), (B,))
            objective = loss_of(moments, c, W, GW) + graph.value_on(edges, _with_hidden(L, W, graph))
            if graph.alpha_ridge > 0:
                gap = 0.5 * np.vdot(R, R) / graph.alpha_ridge
            elif solve_again is not None:
                gap = 0.5 * np.vdot(R, solve_again(R))
            else:
                gap = objective - _bound(graph, moments, c, W, KW)
            return Certificate(objective, max(float(gap), 0.0), residual)

        b = harmonic(adjacency, moments.intercepts(W), moments.active)
        known = certificate if moments.shared else certificate()  # it says whether conjugate gradients converged
        converged = moments.shared or _is_solved(known, moments, c)
        yield solution_of(moments, W, known, b=b, n_iter=n_iter, converged=converged)


def _is_solved(certificate, moments, c):
    """Whether next to nothing is left of the equations, and W is no worse than zero."""
    return certificate.residual <= _CONVERGED and certificate.objective <= (1.0 + 1e-9) * loss_at_zero(moments, c)


def _complete_graph(path, moments, c):
    """Every pair of tasks alike: deviations from a shared vector with ``a_1 = a_r + T a`` and ``a_0 = a_1 a_r / a``.

    All nodes have the degree T - 1, by which the normalised Laplacian is divided.
    """
    T = moments.active.sum()
    for graph in path:
        a = graph.alpha / max(T - 1, 1) if graph.normalized else graph.alpha
        a1 = graph.alpha_ridge + T * a
        same = Ridge(a1) if a == 0.0 else SharedPlusSpecific(a1, a1 * graph.alpha_ridge / a)
        solution = solve_one(same, moments, c)
        yield solution_of(moments, solution.W, solution.certificate, converged=solution.converged)


def _coupling(L, n_tasks, graph):
    """K for the first `n_tasks` nodes of L when the others, which are no tasks of the data, take their best values."""
    K = _full_coupling(L, graph)
    if K.shape[0] == n_tasks:
        return K
    return K[:n_tasks, :n_tasks] - K[:n_tasks, n_tasks:] @ _inverse(K[n_tasks:, n_tasks:]) @ K[n_tasks:, :n_tasks]


def _with_hidden(L, W, graph):
    """W with the best values of the nodes that are no tasks of the data."""
    if L.shape[0] == len(W):
        return W
    K = _full_coupling(L, graph)
    return np.vstack([W, -_inverse(K[len(W) :, len(W) :]) @ K[len(W) :, : len(W)] @ W])


def _inverse(K):
    """The pseudo-inverse of K, among hidden nodes: a component of the graph may have no others."""
    return np.linalg.pinv(K, rcond=SINGULAR, hermitian=True)


def _full_coupling(L, graph):
    """``K = a L + a_r I`` of all nodes."""
    identity = np.eye(len(L)) if isinstance(L, np.ndarray) else sparse.eye_array(L.shape[0])
    return graph.alpha * L + graph.alpha_ridge * identity


def _by_eigenvectors(path, L, moments, c):
    """All tasks on one G: in the eigenvectors of G and of ``K' = C^(-1/2) K C^(-1/2)`` the equations are divisions.

    C is diag(c).  Where c is the same for all and no node is hidden, every K' is a function of L, so that one
    eigendecomposition serves the whole path.
    """
    (f,) = moments.factors
    root = np.sqrt(c)[:, None]
    commuting = len(L) == len(c) and np.ptp(c) == 0.0
    if commuting:
        mu_L, U = _eigh(L)
        Q = U.T @ f.down(root * moments.xy)
    for graph in path:
        if commuting:
            mu = (graph.alpha * mu_L + graph.alpha_ridge) / c[0]
        else:
            mu, U = _eigh(_coupling(L, len(c), graph) / (root * root.T))
            Q = U.T @ f.down(root * moments.xy)
        scale = mu[:, None] + f.l

        def solve_again(R, U=U, scale=scale):
            return (U @ f.up(over(U.T @ f.down(R / root), scale))) / root

        yield (U @ f.up(over(Q, scale))) / root, 1, solve_again


def _eigh(K):
    """Eigenvalues and eigenvectors of K >= 0; zeros are zeros, beside which a feature may be short."""
    mu, U = np.linalg.eigh(K)
    return np.where(mu > len(K) * np.finfo(float).eps * mu[-1], mu, 0.0), U


def _by_conjugate_gradients(path, L, moments, c, max_iter, init):
    """Tasks with rows of their own, every node of the graph one of them.

    The preconditioner inverts the diagonal blocks ``c_t G_t + K_tt I`` and adds a coarse correction for what these
    cannot see: in the smooth functions of the graph, a solution as if every task had the mean of all c_t G_t.  Without
    it the iterations on a chain grow with alpha.

    Where features differ much in length D, the unknowns are those of features of length 1: otherwise the residuals of
    short features would not count.  Without a ridge term some weights cost nothing (`_level`), and beside a large K
    what G says of them is rounding noise: they are found before and after, by equations without K.  Weights that
    neither labels nor neighbours determine would grow with rounding errors: `_RELAXED` holds them down.
    """
    B = c[:, None] * moments.xy
    shape, W = B.shape, np.zeros_like(B) if init is None else init
    quadratic = quadratic_of(moments, c)
    mu, smooth = _smooth_functions(L)
    mean = moments.gram_sum(c) / len(B)
    D = lengths_of(np.diagonal(mean))
    relaxed, nothing = _RELAXED * np.mean(np.diagonal(mean) / D**2), _NOTHING * np.linalg.norm(B / D)
    for graph in path:
        K = _full_coupling(L, graph)
        k = K.diagonal()[:, None]
        coarse = _coarse_solver(mean, graph.alpha * mu + graph.alpha_ridge, D)
        level, times_K = _level(graph, quadratic), _times(K, graph)
        common = level(np.zeros_like(B))
        steps: list[np.ndarray] = []

        def product(z, times_K=times_K):
            W = z.reshape(shape) / D
            return ((c[:, None] * moments.times_gram(W) + times_K(W)) / D).ravel() + relaxed * z

        def precondition(r, k=k, coarse=coarse):
            R = r.reshape(shape) * D
            return ((quadratic.resolve(R, k) + smooth @ coarse(smooth.T @ R)) * D).ravel()

        A, M = (sparse_linalg.LinearOperator((B.size, B.size), f, dtype=float) for f in (product, precondition))
        right, start = (quadratic.at(common)[1] / D).ravel(), ((W - common) * D).ravel()
        z, _ = sparse_linalg.cg(A, right, start, rtol=1e-11, atol=nothing, maxiter=max_iter, M=M, callback=steps.append)
        W = level(common + z.reshape(shape) / D)
        yield W, max(len(steps), 1), None


def _times(K, graph):
    """The function ``W -> K W``, free of rounding errors of what costs nothing, large as that may be."""
    return TaskQuadratic(K).slope if graph.alpha_ridge == 0.0 else K.__matmul__


def _level(graph, quadratic):
    """The function that moves W along what costs nothing to where the loss has no slope there."""
    return Together(graph, quadratic).level if graph.alpha_ridge == 0.0 else lambda W: W


def _coarse_solver(mean, a, D):
    """A function that solves ``(mean + a_i I) x_i = r_i`` for each of a, r (n, d); D are the lengths of features.

    Where these differ an inverse for each a_i bears what eigenvalues do not.
    """
    if (D != 1.0).any():
        inverse = pseudo_inverse(mean + a[:, None, None] * np.eye(len(mean)))
        return lambda R: np.matmul(R[:, None, :], inverse)[:, 0]
    l, V = np.linalg.eigh(mean)  # noqa: E741
    scale = a[:, None] + l
    scale[scale < SINGULAR * scale.max()] = 0.0
    return lambda R: over(R @ V, scale) @ V.T


def _bound(graph, moments, c, W, KW):
    """The dual value of the residuals of W without a ridge term, as the splitting has it: it levels W first."""
    problem = Together(graph, quadratic_of(moments, c))
    if not problem.terms:  # no penalty at all: least squares for each task
        return solve_one(Ridge(0.0), moments, c).objective
    return problem.bound(problem.level(W), [(problem.terms[0].term, KW)])


def _smooth_functions(L):
    """The smallest eigenvalues (m,) of the Laplacian L, a sparse array, and their eigenvectors (n_tasks, m).

    On a large graph Lanczos' method tries first, roughly: a factor of L would be dear where nothing but constants is
    smooth, and there what it finds is enough.
    """
    n, largest = L.shape[0], L.diagonal().max()
    if n <= 1000:
        mu, U = np.linalg.eigh(L.toarray())
        most = max(n // 16, _SMOOTH)
        return np.maximum(mu[:most], 0.0), U[:, :most]
    v0 = np.random.default_rng(0).uniform(1.0, 2.0, n)
    try:
        shift = 1e-6 * largest  # the accuracy asked for is relative, and an eigenvalue of 0 would never reach it
        shifted = L + shift * sparse.eye_array(n)
        mu, U = sparse_linalg.eigsh(shifted, _SMOOTH, which="SA", v0=v0, tol=0.1, maxiter=_RESTARTS)
        n_constants = csgraph.connected_components(L, directed=False)[0]
        if mu[min(n_constants, _SMOOTH - 1)] > _ROUGH * largest:
            return np.maximum(mu - shift, 0.0), U
    except sparse_linalg.ArpackNoConvergence:
        pass  # smooth functions abound: their eigenvalues lie close together, and Lanczos' method is slow
    shift = -1e-3 * largest  # L itself is singular
    inverse = sparse_linalg.LinearOperator(L.shape, sparse_solver(L - shift * sparse.eye_array(n)), dtype=float)
    mu, U = sparse_linalg.eigsh(L, _SMOOTH, sigma=shift, v0=v0, OPinv=inverse)
    return np.maximum(mu, 0.0), U
