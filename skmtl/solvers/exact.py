"""Quadratic penalties, solved exactly: the normal equations by factorisation, then iterative refinement.

All of them ask for w_t with ``c_t G_t w_t + (dOmega/dW)_t = c_t q_t``, and so for ``(c_t G_t + a I)^-1``.  In the
factor ``G_t = V_t' diag(l_t) V_t`` that is division by ``c_t l_t + a``, for any number of strengths a.  For just one,
solving or inverting is cheaper, and bears features of very different length.
"""

import numpy as np

from skmtl._algebra import SINGULAR, bordered, inverse_down_to_noise, lengths_of, over, plus_diagonal, positive_solver
from skmtl.moments import Factor
from skmtl.moments._incomplete import IncompleteMoments
from skmtl.penalties import Pooled, Ridge, SharedPlusSpecific
from skmtl.solvers._quadratic import mean_rows
from skmtl.solvers._resolvents import between_rows, resolvent_of
from skmtl.solvers.solution import (
    ROUNDING,
    Certificate,
    largest_of,
    loss_at_zero,
    loss_of,
    residual_norm,
    solution_of,
    solve,
    solve_one,
    without_grams,
)
from skmtl.solvers.splitting import solve_by_splitting

__all__ = ["gap_of_least_squares"]  # and solvers, found through `solve`

_REFINEMENTS = 20  # at most; two do unless features differ in length by orders of magnitude or are nearly dependent
_SETTLED = 1e-11  # share of the largest weight: a step of refinement shorter than this is the last
_ILL = 1e-9  # share of the largest curvature: beside it a strength that is less gets lost in rounding


# ------------------------------------------------------------------------------------------------ tasks on their own


@solve.register
@without_grams
def solve_ridge(penalty: Ridge, path, moments, c, *, tol=1e-6, max_iter=1000, init=None):
    r"""``(c_t G_t + a I) w_t = c_t q_t``, task by task."""
    B, size = c[:, None] * moments.xy, largest_of(moments, c)
    for ridge in path:
        if isinstance(moments, IncompleteMoments):
            W = _incomplete(moments, c, ridge)
        elif len(path) == 1 and ridge.alpha > 0 and not moments.shared:
            W = _solve_each(moments, c, ridge.alpha)  # one strength: a tenth of the time of the factors
        elif ridge.alpha > 0:
            W = _refined(moments, c, ridge.alpha, lambda R, a=ridge.alpha: _by_factors(moments, c, a, R))
        else:
            W = _pseudo_inverse(moments, moments.xy)

        def certificate(W=W, a=ridge.alpha):
            GW = moments.times_gram(W)
            R = B - c[:, None] * GW - a * W
            gap = np.vdot(R, R) / (2 * a) if a > 0 else gap_of_least_squares(R, moments, c)
            residual = residual_norm((R,), size + a, (W,), (B,))
            return Certificate(loss_of(moments, c, W, GW) + Ridge(a).value(W), float(gap), residual)

        if ridge.alpha > 0:
            yield solution_of(moments, W, certificate)
        else:  # the one case in which features may be too dependent for moments to tell
            known = certificate()
            yield solution_of(moments, W, known, converged=_is_exact(known.dual_gap, tol, moments, c))


@solve.register
def solve_pooled(penalty: Pooled, path, moments, c, *, tol=1e-6, max_iter=1000, init=None):
    """One ridge regression on all rows, each weighted with c_t; with an intercept for each task or one for all."""
    pooled = moments.pooled(c, task_intercepts=penalty.task_intercepts)
    ridges = [Ridge(pool.alpha) for pool in path]
    for one in solve_ridge(ridges[0], ridges, pooled, np.ones(1)):
        W = np.repeat(one.W, moments.n_tasks, axis=0)
        b = None if penalty.task_intercepts else np.repeat(one.b, moments.n_tasks)
        yield solution_of(moments, W, one.certificate, one.w0, b, converged=one.converged)


def _solve_each(moments, c, a):
    """Solve for one a > 0; from the rows by ``w_t = A_t' (A_t A_t' + a / c_t I)^-1 v_t``."""
    W = np.zeros_like(moments.xy)
    full = moments.full
    A = plus_diagonal(c[full, None, None] * moments.gram, a)
    W[full] = np.linalg.solve(A, (c[:, None] * moments.xy)[full, :, None])[:, :, 0]
    for rows in moments.rows:
        inside = np.linalg.solve(between_rows(rows, c, a), rows.v[:, :, None])
        W[rows.tasks] = np.matmul(inside.swapaxes(1, 2), rows.A)[:, 0]
    return W


def _incomplete(moments, c, ridge):
    """Solve for tasks that share rows and lack labels; one by one where that would subtract what is nearly alike."""
    if _resolves(moments, c, ridge.alpha):
        return _refined(moments, c, ridge.alpha, resolvent_of(moments, c, ridge.alpha))
    W = np.zeros_like(moments.xy)
    for t, one in moments.apart():
        W[t] = solve_one(ridge, one, c[[t]]).W[0]
    return W


def _resolves(moments, c, a):
    """Whether the resolvent of tasks that lack labels is accurate at a."""
    return a > _ILL * largest_of(moments, c)


def _refined(moments, c, a, divide):
    """Solve for one a > 0 by ``divide(R)``, which is ``(c_t G_t + a I)^-1 r_t``, and once more for what is left."""
    R, W = c[:, None] * moments.xy, np.zeros_like(moments.xy)
    for _ in range(2):
        W += divide(R)
        R = c[:, None] * (moments.xy - moments.times_gram(W)) - a * W
    return W


def _by_factors(moments, c, a, R):
    """``(c_t G_t + a I)^-1 r_t`` for one a > 0 of many, and r_t in the range of G_t."""
    W = np.zeros_like(R)
    for f in moments.factors:
        W[f.tasks] = f.up(f.down(R[f.tasks]) / (c[f.tasks, None] * f.l + a))
    return W


def _pseudo_inverse(moments, R):
    """The smallest w_t with ``G_t w_t = r_t``, for r_t in the range of G_t.

    Where features differ much in length D, the eigenvalues are those of D^-1 G D^-1: among those of G itself, what a
    feature of length 1e-4 says would pass for rounding noise beside one of length 1e4.  Tasks that keep rows need none
    of this, as singular values of rows are not squared.
    """
    W = np.zeros_like(R)
    if isinstance(moments, IncompleteMoments):
        for t, one in moments.apart():
            W[t] = _pseudo_inverse(one, R[[t]])[0]
        return W
    for f in moments.thin_factors:
        W[f.tasks] = f.up(over(f.down(R[f.tasks]), f.l))
    if not len(moments.gram):
        return W
    D = lengths_of(np.einsum("tjj->tj", moments.gram))
    scale = 1.0 / D
    l, Q = np.linalg.eigh(moments.gram * scale[:, :, None] * scale[:, None, :])  # noqa: E741
    f = Factor(moments.full, Q.swapaxes(1, 2) * scale[:, None, :], np.where(l > SINGULAR * l[:, -1:], l, 0.0))
    for _ in range(2):  # solve, refine
        rest = R - moments.times_gram(W)
        W[f.tasks] += f.up(over(f.down(rest[f.tasks]), f.l))
    for t in np.flatnonzero((f.l == 0).any(axis=1)):  # several solutions: the smallest is in the range of G = D (...) D
        onto, _ = np.linalg.qr(D[t, :, None] * Q[t][:, f.l[t] > 0])
        tasks = f.tasks if moments.shared else f.tasks[t]
        W[tasks] = W[tasks] @ onto @ onto.T
    return W


def gap_of_least_squares(R, moments, c):
    """``1/2 sum_t r_t'(c_t G_t)^-1 r_t``: how far above the least squares weights are that leave R of the equations."""
    if isinstance(moments, IncompleteMoments):
        return sum(gap_of_least_squares(R[[t]], one, c[[t]]) for t, one in moments.apart())
    R = over(R, np.sqrt(c)[:, None])
    square = sum(float(np.sum(over(f.down(R[f.tasks]) ** 2, f.l))) for f in moments.thin_factors)
    if len(moments.gram):
        square += np.vdot(R[moments.full], inverse_down_to_noise(moments.gram)(R[moments.full]))
    return max(0.5 * square, 0.0)


def _is_exact(gap, tol, moments, c):
    """Whether a gap is within the tolerance of solvers that iterate."""
    return bool(gap <= max(tol, ROUNDING) * loss_at_zero(moments, c))


# -------------------------------------------------------------------------------------------- shared plus specific


@solve.register
@without_grams
def solve_shared_plus_specific(penalty: SharedPlusSpecific, path, moments, c, *, tol=1e-6, max_iter=1000, init=None):
    r"""``w_t = w_0 + v_t`` with strengths a_0 on w_0 and a on v_t, through the Schur complement of the deviations.

    With A_t = c_t G_t: ``v_t = (A_t + a I)^-1 (c_t q_t - A_t w_0)``, which leaves d equations for w_0,

        (a_0 I + sum_t a A_t (A_t + a I)^-1) w_0 = sum_t a (A_t + a I)^-1 c_t q_t.

    Penalised intercepts b_t = b_0 + e_t, eliminated likewise, are one more row for each task: its mean, with weight
    k_t = c_t N_t a_b / (c_t N_t + a_b), which is 0 when a_b = 0 (centred: free intercepts) and c_t N_t when a_b is
    infinite (not centred: one intercept).  b_0 then borders the equations for w_0.
    """
    if penalty.alpha_l1 > 0:
        yield from solve_by_splitting(penalty, path, moments, c, tol=tol, max_iter=max_iter, init=init)
        return
    a_b = penalty.alpha_intercept if moments.centered else 0.0
    if isinstance(moments, IncompleteMoments) and not _resolves(moments, c, min(shared.alpha for shared in path)):
        moments = moments.with_grams()
    rows, k, U = mean_rows(moments, c, a_b)
    for shared in path:
        if shared.alpha > 0:
            equations = _SharedEquations(rows, c, U, k, shared.alpha, shared.alpha_shared, once=len(path) == 1)
            w0, V, b0, gap, residual = equations.solve(k @ moments.y_mean)
            W = w0 + V
        else:
            W, b0, gap, residual = _free_deviations(rows, c, U, k, k @ moments.y_mean)
            w0 = shared.shared(W[moments.active])
            W[~moments.active] = w0
        off = moments.intercepts(W) - b0  # a task without rows has k_t = 0, so that its number counts nowhere

        def certificate(W=W, off=off, shared=shared, gap=gap, residual=residual):
            loss = loss_of(moments, c, W, moments.times_gram(W))
            return Certificate(float(loss + 0.5 * k @ off**2 + shared.value(W)), gap, residual)

        exact = _is_exact(gap, tol, rows, c)
        if k.any():
            b = b0 + off * (k / a_b)
            yield solution_of(moments, W, certificate, w0, b, b0, converged=exact)
        else:
            yield solution_of(moments, W, certificate, w0, converged=exact)


def _free_deviations(rows, c, U, k, beta):
    """Deviations at no cost: the least squares of every task alone, W = P - b_0 S, for the best b_0.

    P is the solution for b_0 = 0, and S what a unit of b_0 takes off.
    """
    P, S, b0 = _pseudo_inverse(rows, rows.xy), 0.0, 0.0
    if k.any():
        S = _pseudo_inverse(rows, U / c[:, None])
        b0 = float(over(beta - np.sum(U * P), k.sum() - np.sum(U * S)))
    W = P - b0 * S
    residual = c[:, None] * (rows.xy - rows.times_gram(W)) - b0 * U
    left = residual_norm((residual,), largest_of(rows, c), (W,), (c[:, None] * rows.xy,))
    return W, b0, gap_of_least_squares(residual, rows, c), left


class _SharedEquations:
    """The equations for w_0 and, where not all weights `k` of the mean rows are zero, b_0; ``U_t = k_t x_mean_t``."""

    def __init__(self, rows, c, U, k, a, a0, *, once):
        self.rows, self.c, self.U, self.k, self.a, self.a0 = rows, c, U, k, a, a0
        self.divide = resolvent_of(rows, c, a, once)
        S = self.divide.sum_damped() + a0 * np.eye(rows.n_features)
        if k.any():
            through = self.divide(U)
            S = bordered(S, a * through.sum(axis=0), k.sum() - np.sum(U * through))
        span = None
        if a0 == 0:
            span = rows.pooled(c, task_intercepts=True).gram[0]
            span = bordered(span, U.sum(axis=0), k.sum()) if k.any() else span
        self.solve_shared = positive_solver(S, span)
        self.inverse_to_noise = None if span is None else inverse_down_to_noise(S)

    def solve(self, beta):
        """w_0, V, b_0, the duality gap and the residual, for the right-hand side `beta` of b_0.

        The gap of a quadratic problem is ``1/2 r'A^-1 r`` for what is left, r, of its equations.
        """
        B = self.c[:, None] * self.rows.xy
        x = np.zeros(self.rows.n_features), np.zeros_like(B), 0.0
        last = np.inf
        for _ in range(_REFINEMENTS):
            step = self.step(*self.residual(B, beta, *x))
            length = max(np.abs(part).max() for part in step)
            if not length < 0.9 * last:  # rounding error is all that is left
                break
            x, last = tuple(old + new for old, new in zip(x, step, strict=True)), length
            if length <= _SETTLED * max(np.abs(part).max() for part in x):
                break
        size = np.max(self.c @ self.rows.squares, initial=0.0) + self.a0
        R, r0, rho = self.residual(B, beta, *x)
        dw, dV, db = self.step(R, r0, rho)
        gap = max(0.5 * float(np.vdot(R, dV) + r0 @ dw + rho * db), 0.0)
        if self.inverse_to_noise:  # what the step leaves where features nearly depend on each other
            left = self.right(*self.residual(B, beta, x[0] + dw, x[1] + dV, x[2] + db))
            gap += max(0.5 * float(left @ self.inverse_to_noise(left)), 0.0)
        return *x, gap, residual_norm((R, r0, rho), size, x, (B, B.sum(axis=0), beta))

    def right(self, R, r0, rho):
        """The right-hand side of the equations for w_0 and b_0 that eliminating the deviations leaves."""
        D = self.divide(R)
        right = self.a * D.sum(axis=0) + (r0 - R.sum(axis=0))
        return np.append(right, rho - np.sum(self.U * D)) if self.k.any() else right

    def step(self, R, r0, rho):
        """The solution in w_0, V and b_0 for the right-hand sides R of the deviations, r0 of w_0 and rho of b_0."""
        right = self.right(R, r0, rho)
        *dw, db = self.solve_shared(right) if self.k.any() else (*self.solve_shared(right), 0.0)
        return np.array(dw), self.divide(R - self.times_A(np.broadcast_to(dw, R.shape)) - db * self.U), db

    def residual(self, B, beta, w0, V, b0):
        """What is left of the equations of the deviations, of w_0 and of b_0."""
        data = B - self.times_A(w0 + V) - b0 * self.U
        rho = beta - np.sum(self.U * (w0 + V)) - b0 * self.k.sum()
        return data - self.a * V, data.sum(axis=0) - self.a0 * w0, rho if self.k.any() else 0.0

    def times_A(self, W):
        """``A_t w_t = c_t G_t w_t``."""
        return self.c[:, None] * self.rows.times_gram(W)
