"""Quadratic penalties, solved exactly: the normal equations by factorisation, then one step of refinement.

All of them ask for w_t with ``c_t G_t w_t + (dOmega/dW)_t = c_t q_t``.  Written in the factor ``G_t = V_t' diag(l_t)
V_t`` of a task, ``(c_t G_t + a I)^-1`` is division by ``c_t l_t + a``: another strength costs no factorisation.
"""

import functools

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, cho_factor, cho_solve, pinvh
from scipy.sparse import linalg as sparse_linalg

from skmtl._ids import lookup
from skmtl.penalties import Pooled, Ridge, SharedPlusSpecific, TaskGraph
from skmtl.solvers.solution import Solution, residual_norm, solve

__all__ = []

_CONVERGED = 1e-8  # residual of conjugate gradients; factorisations reach 1e-13 and better


# ------------------------------------------------------------------------------------------------ tasks on their own


@solve.register
def _(penalty: Ridge, path, moments, c, *, max_iter=1000, init=None):
    r"""``(c_t G_t + a I) w_t = c_t q_t``, task by task."""
    B, size = c[:, None] * moments.xy, _largest(moments, c)
    for ridge in path:
        a = ridge.alpha
        if len(path) == 1 and a > 0 and not moments.shared:
            W = _solve_each(moments, c, a)  # one strength: a tenth of the time of the factors
        else:
            W = _divide(moments, c, a, B)
            W += _divide(moments, c, a, B - c[:, None] * moments.times_gram(W) - a * W)

        def certificate(W=W, ridge=ridge):
            GW = moments.times_gram(W)
            residual = residual_norm((B - c[:, None] * GW - ridge.alpha * W,), size + ridge.alpha, (W,), (B,))
            return _loss(moments, c, W, GW) + ridge.value(W), residual

        yield _solution(moments, W, certificate)


@solve.register
def _(penalty: Pooled, path, moments, c, *, max_iter=1000, init=None):
    """One ridge regression on all rows, each weighted with c_t; with an intercept for each task or one for all."""
    pooled = moments.pooled(c, task_intercepts=penalty.task_intercepts)
    for one in solve(Ridge(), [Ridge(pool.alpha) for pool in path], pooled, np.ones(1)):
        W = np.repeat(one.W, moments.n_tasks, axis=0)
        b = None if penalty.task_intercepts else np.repeat(one.b, moments.n_tasks)
        yield _solution(moments, W, one.certificate, one.w0, b)


def _solve_each(moments, c, a):
    """Solve for one a > 0; from the rows by ``w_t = A_t' (A_t A_t' + a / c_t I)^-1 v_t``."""
    W = np.zeros_like(moments.xy)
    full = moments.full
    A = c[full, None, None] * moments.gram
    np.einsum("tjj->tj", A)[...] += a
    W[full] = np.linalg.solve(A, (c[:, None] * moments.xy)[full, :, None])[:, :, 0]
    for rows in moments.rows:
        K = np.matmul(rows.A, rows.A.swapaxes(1, 2))
        np.einsum("tii->ti", K)[...] += a / c[rows.tasks, None]
        W[rows.tasks] = np.matmul(np.linalg.solve(K, rows.v[:, :, None]).swapaxes(1, 2), rows.A)[:, 0]
    return W


def _divide(moments, c, a, R):
    """``(c_t G_t + a I)^-1 r_t`` for r_t in the range of G_t; the smallest solution where the matrix is singular."""
    out = np.zeros_like(R)
    for f in moments.factors:
        out[f.tasks] = f.up(_over(f.down(R[f.tasks]), c[f.tasks, None] * f.l + a * (f.l > 0)))
    return out


# -------------------------------------------------------------------------------------------- shared plus specific


@solve.register
def _(penalty: SharedPlusSpecific, path, moments, c, *, max_iter=1000, init=None):
    r"""``w_t = w_0 + v_t`` with strengths a_0 on w_0 and a on v_t, through the Schur complement of the deviations.

    With A_t = c_t G_t: ``v_t = (A_t + a I)^-1 (c_t q_t - A_t w_0)``, which leaves d equations for w_0,

        (a_0 I + sum_t a A_t (A_t + a I)^-1) w_0 = sum_t a (A_t + a I)^-1 c_t q_t.

    Penalised intercepts b_t = b_0 + e_t, eliminated likewise, are one more row for each task: its mean, with weight
    k_t = c_t N_t a_b / (c_t N_t + a_b), which is 0 when a_b = 0 (centred: free intercepts) and c_t N_t when a_b is
    infinite (not centred: one intercept).  b_0 then borders the equations for w_0.
    """
    N, a_b = c * moments.weight, penalty.alpha_intercept if moments.centered else 0.0
    k = np.divide(N * a_b, N + a_b, out=np.zeros_like(N), where=N > 0)
    rows = moments.with_mean_rows(np.divide(k, c, out=np.zeros_like(c), where=c > 0)) if k.any() else moments
    U = k[:, None] * moments.x_mean
    for shared in path:
        equations = _SharedEquations(rows, c, U, k, shared.alpha, shared.alpha_shared)
        w0, V, b0, residual = equations.solve(c[:, None] * rows.xy, k @ moments.y_mean)
        W = w0 + V
        off = np.where(moments.active, moments.intercepts(W) - b0, 0.0)  # 0 counts where k does

        def certificate(W=W, off=off, shared=shared, residual=residual):
            loss = _loss(moments, c, W, moments.times_gram(W))
            return float(loss + 0.5 * k @ off**2 + shared.value(W)), residual

        if k.any():
            b = b0 + off * np.divide(N, N + a_b, out=np.zeros_like(N), where=N > 0)
            yield _solution(moments, W, certificate, w0, b, b0)
        else:
            yield _solution(moments, W, certificate, w0)


class _SharedEquations:
    """The equations for w_0 and, where not all weights `k` of the mean rows are zero, b_0; ``U_t = k_t x_mean_t``."""

    def __init__(self, rows, c, U, k, a, a0):
        self.rows, self.c, self.U, self.k, self.a, self.a0 = rows, c, U, k, a, a0
        n_features = rows.n_features
        S = a0 * np.eye(n_features + bool(k.any()))
        for f in rows.factors:
            l = c[f.tasks, None] * f.l  # noqa: E741
            damped = _over(a * l, l + a)  # the eigenvalues of a A (A + a I)^-1
            if len(f.V) == 1:
                damped = damped.sum(axis=0, keepdims=True)
            half = (np.sqrt(damped)[:, :, None] * f.V).reshape(-1, n_features)
            S[:n_features, :n_features] += half.T @ half
        if k.any():
            through = _divide(rows, c, a, U)
            S[-1, :-1] = S[:-1, -1] = a * through.sum(axis=0)
            S[-1, -1] = k.sum() - np.sum(U * through)
        self.solve_shared = _positive_solver(S, singular=a0 == 0)

    def solve(self, B, beta):
        """w_0, V, b_0 and the residual for the right-hand sides B (n_tasks, d) of the tasks and `beta` of b_0."""
        a, a0, U = self.a, self.a0, self.U
        w0, V, b0 = np.zeros(U.shape[1]), np.zeros_like(B), 0.0
        for _ in range(2):  # solve, refine
            R, r0, rho = self.residual(B, beta, w0, V, b0)
            D = _divide(self.rows, self.c, a, R)
            right = a * D.sum(axis=0) + (r0 - R.sum(axis=0))
            step = self.solve_shared(np.append(right, rho - np.sum(U * D)) if self.k.any() else right)
            dw = step[: len(w0)]
            db = step[-1] if self.k.any() else 0.0
            V = V + _divide(self.rows, self.c, a, R - self.times_A(np.broadcast_to(dw, V.shape)) - db * U)
            w0, b0 = w0 + dw, b0 + db
        R, r0, rho = self.residual(B, beta, w0, V, b0)
        size = np.max(self.c @ self.rows.squares(), initial=0.0) + a0
        return w0, V, b0, residual_norm((R, r0, rho), size, (w0, V, b0), (B, B.sum(axis=0), beta))

    def residual(self, B, beta, w0, V, b0):
        """What is left of the equations of the deviations, of w_0 and of b_0."""
        data = B - self.times_A(w0 + V) - b0 * self.U
        rho = beta - np.sum(self.U * (w0 + V)) - b0 * self.k.sum()
        return data - self.a * V, data.sum(axis=0) - self.a0 * w0, rho if self.k.any() else 0.0

    def times_A(self, W):
        """``A_t w_t = c_t G_t w_t``."""
        return self.c[:, None] * self.rows.times_gram(W)


# ------------------------------------------------------------------------------------------------------------ graph


@solve.register
def _(penalty: TaskGraph, path, moments, c, *, max_iter=1000, init=None):
    r"""``c_t G_t w_t + sum_s K_ts w_s = c_t q_t`` with ``K = a L + a_r I``."""
    if penalty.graph is None and not penalty.normalized:
        yield from _complete_graph(path, moments, c)
        return
    nodes = penalty.all_tasks(moments.tasks)
    seen = lookup(moments.tasks, nodes)
    L = penalty.laplacian(nodes)
    hidden = np.setdiff1d(np.arange(len(nodes)), seen)
    if moments.shared or len(hidden):
        L = L.toarray()
    order = np.concatenate([seen, hidden])
    L = L[order][:, order]
    K_of = functools.partial(_coupling, L, len(seen))
    if moments.shared:
        commuting = L if not len(hidden) and np.ptp(c) == 0.0 else None
        solutions = _by_eigenvectors(path, K_of, commuting, moments, c)
    else:
        solutions = _by_conjugate_gradients(path, K_of, L[: len(seen), : len(seen)], moments, c, max_iter, init)
    B, largest = c[:, None] * moments.xy, _largest(moments, c)
    for graph, (W, n_iter) in zip(path, solutions, strict=True):

        def certificate(W=W, graph=graph):
            K = K_of(graph)
            GW, KW = moments.times_gram(W), K @ W
            residual = residual_norm((B - c[:, None] * GW - KW,), largest + K.diagonal().max(), (W,), (B,))
            return float(_loss(moments, c, W, GW) + 0.5 * np.sum(W * KW)), residual

        b = _harmonic(penalty, nodes, seen, moments.intercepts(W), moments.active)
        converged = n_iter < max_iter or certificate()[1] <= _CONVERGED
        yield _solution(moments, W, certificate, b=b, n_iter=n_iter, converged=converged)


def _complete_graph(path, moments, c):
    """Every pair of tasks alike: deviations from a shared vector with ``a_1 = a_r + T a`` and ``a_0 = a_1 a_r / a``."""
    for graph in path:
        a1 = graph.alpha_ridge + moments.active.sum() * graph.alpha
        alone = graph.alpha == 0.0
        same = Ridge(a1) if alone else SharedPlusSpecific(a1, a1 * graph.alpha_ridge / graph.alpha)
        (solution,) = solve(same, [same], moments, c)
        yield _solution(moments, solution.W, solution.certificate)


def _coupling(L, n_tasks, graph):
    """K for the first `n_tasks` nodes of L when the others, which are no tasks of the data, take their best values."""
    identity = np.eye(len(L)) if isinstance(L, np.ndarray) else sparse.eye_array(L.shape[0])
    K = graph.alpha * L + graph.alpha_ridge * identity
    if K.shape[0] == n_tasks:
        return K
    return K[:n_tasks, :n_tasks] - K[:n_tasks, n_tasks:] @ pinvh(K[n_tasks:, n_tasks:]) @ K[n_tasks:, :n_tasks]


def _by_eigenvectors(path, K_of, commuting, moments, c):
    """All tasks on one G: in the eigenvectors of G and of ``K' = C^(-1/2) K C^(-1/2)`` the equations are divisions.

    `commuting` is L where every K' is a function of it (equal c, no hidden nodes): one eigendecomposition for the whole
    path.
    """
    (f,) = moments.factors
    root = np.sqrt(c)[:, None]
    spectrum, Q = None, None
    for graph in path:
        if commuting is None:
            mu, U = np.linalg.eigh(K_of(graph) / (root * root.T))
        else:
            spectrum = np.linalg.eigh(commuting) if spectrum is None else spectrum
            mu, U = (graph.alpha * spectrum[0] + graph.alpha_ridge) / c[0], spectrum[1]
        if commuting is None or Q is None:
            Q = U.T @ f.down(root * moments.xy)
        yield (U @ f.up(_over(Q, np.maximum(mu, 0.0)[:, None] + f.l))) / root, 1


def _by_conjugate_gradients(path, K_of, L, moments, c, max_iter, init):
    """Tasks on rows of their own.

    The preconditioner inverts the blocks ``c_t G_t + K_tt I``, and adds what blocks cannot see: the smooth functions of
    the graph, as if every task had the mean of all c_t G_t.  Without that a chain of 500 tasks needs 3 times as many
    iterations at alpha = 100, and more than 1000 at 10 000 (`benchmarks/speed.py`).
    """
    B = c[:, None] * moments.xy
    shape, W = B.shape, np.zeros_like(B) if init is None else init
    mu, smooth = _smooth_functions(L)
    mean, V = np.linalg.eigh(moments.pooled(c, task_intercepts=True).gram[0] / len(B))
    for graph in path:
        K = K_of(graph)
        k = K.diagonal()[:, None]
        coarse = (graph.alpha * mu + graph.alpha_ridge)[:, None] + np.maximum(mean, 0.0)
        steps: list[np.ndarray] = []

        def product(w, K=K):
            return (c[:, None] * moments.times_gram(w.reshape(shape)) + K @ w.reshape(shape)).ravel()

        def precondition(r, k=k, coarse=coarse):
            R = r.reshape(shape)
            out = _over(R, np.broadcast_to(k, shape))
            for f in moments.factors:
                own, l = k[f.tasks], c[f.tasks, None] * f.l  # noqa: E741
                out[f.tasks] += f.up(f.down(R[f.tasks]) * (_over(1.0, l + own) - _over(1.0, own)))
            return (out + smooth @ _over(smooth.T @ R @ V, coarse) @ V.T).ravel()

        A, M = (sparse_linalg.LinearOperator((B.size, B.size), f, dtype=float) for f in (product, precondition))
        w, _ = sparse_linalg.cg(A, B.ravel(), W.ravel(), rtol=1e-11, maxiter=max_iter, M=M, callback=steps.append)
        W = w.reshape(shape)
        yield W, max(len(steps), 1)


def _smooth_functions(L):
    """Eigenvectors of L with the smallest eigenvalues: the latter (m,) and the former (n_tasks, m)."""
    most = np.clip(L.shape[0] // 16, 32, 128)
    if L.shape[0] <= 1000:
        mu, U = np.linalg.eigh(L.toarray() if sparse.issparse(L) else L)
        return np.maximum(mu[:most], 0.0), U[:, :most]
    shift = -1e-3 * L.diagonal().max()  # L itself is singular
    mu, U = sparse_linalg.eigsh(L, most, sigma=shift, v0=np.ones(L.shape[0]))
    return np.maximum(mu, 0.0), U


def _harmonic(penalty, nodes, seen, b, active):
    """Intercepts that nothing penalises: those of tasks without rows are the weighted means of their neighbours'.

    The limit of a vanishing graph penalty on the intercepts, as the mean over tasks is elsewhere; it is also what
    remains where no neighbour, near or far, has rows.
    """
    if active.all():
        return b
    known = np.isin(np.arange(len(nodes)), seen[active])
    b0 = b[active].mean()
    off = np.zeros(len(nodes))
    off[seen[active]] = b[active] - b0
    L = TaskGraph(graph=penalty.graph).laplacian(nodes)
    off[~known], _ = sparse_linalg.cg(L[~known][:, ~known], -(L[~known][:, known] @ off[known]), rtol=1e-12)
    return b0 + off[seen]


# -------------------------------------------------------------------------------------------------------- small parts


def _solution(moments, W, certificate, w0=None, b=None, b0=None, **how):
    """The Solution of W; w0 and b0 are the means over tasks with weight where the penalty knows no shared model.

    Tasks without weight get that model, unless the penalty has said theirs by giving b.
    """
    active = moments.active
    known = slice(None) if active.all() else active
    w0 = W[known].mean(axis=0) if w0 is None else w0
    if b is None:
        W, b = np.where(active[:, None], W, w0), moments.intercepts(W)
        b = np.where(active, b, b[known].mean())
    return Solution(W, b, w0, b[known].mean() if b0 is None else b0, certificate, **how)


def _loss(moments, c, W, GW):
    """``sum_t c_t / 2 * squared_error_t`` at the best intercepts."""
    return float(0.5 * c @ moments.squared_error(W, GW))


def _over(numerator, denominator):
    """The quotient, 0 where the denominator is 0: the pseudo-inverse of a diagonal matrix."""
    denominator = np.asarray(denominator, dtype=float)
    if denominator.all():
        return numerator / denominator
    return np.divide(
        numerator, denominator, out=np.zeros(np.broadcast(numerator, denominator).shape), where=denominator > 0
    )


def _largest(moments, c):
    """A lower bound of the largest eigenvalue of any c_t G_t: the largest diagonal entry."""
    return np.max(c[:, None] * moments.squares(), initial=0.0)


def _positive_solver(S, *, singular):
    """A function that solves ``S x = r`` for positive semidefinite S; the smallest x where S is `singular`."""
    if not singular:
        try:
            factor = cho_factor(S)
            return lambda r: cho_solve(factor, r)
        except LinAlgError:  # positive only in exact arithmetic
            pass
    inverse = pinvh(S)
    return lambda r: inverse @ r
