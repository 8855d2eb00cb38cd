r"""Newton steps in the weights of a descent that are not zero, where the penalty is smooth.

With d_j = lam_j / |W_j| and u_j = W_j / |W_j| the second derivatives are ``c_t G_t + diag(ridge + d)`` for each task,
less d_j u_j u_j' for each feature.  With few weights `exact_step` solves the equations by the formula of Sherman,
Morrison, Woodbury.  With many, `truncated_step` takes a few conjugate gradients, which make more progress than as many
epochs; where features outnumber the rows that tasks share, they are in one number for each feature.
"""

import numpy as np
from scipy.linalg.blas import strsm
from scipy.sparse.linalg import LinearOperator, cg

from skmtl._numba import kernel
from skmtl.solvers._coordinate.faces import face_step, stepped_on_face
from skmtl.solvers._coordinate.on_rows import OnSharedRows
from skmtl.solvers._coordinate.separable import row_lengths

__all__ = ["exact_price", "exact_step", "stepped", "truncated_price", "truncated_step"]

_ACCURACY = 0.1  # residual of a truncated step, as a share of the gradient, in the norm of the preconditioner
_ACCURACY_OF_LENGTHS = 0.03  # likewise, where the iterations cost less than what comes before them
_ITERATIONS = 30  # of conjugate gradients, at most
_CALLS = 1e6  # multiplications in the time that the calls of a truncated step take


def exact_price(descent):
    """Multiplications of an exact step, or of one on a face; infinite where there is none, as of lassos."""
    omega, n_tasks = descent.omega, descent.W.shape[1]
    if not omega.lam.any():
        return np.inf
    n_used = descent.n_used
    cubes = 2.0 if descent.columns.alike and omega.smooth else 4.0 * n_tasks if omega.infinite else 2.0 * n_tasks
    return cubes * n_used**3 + descent.gram_price(n_used)


def truncated_price(descent):
    """Multiplications of a truncated step of ten iterations; single precision is twice as fast."""
    return np.inf if descent.omega.infinite else 5.0 * descent.product_price + _CALLS


def exact_step(descent):
    """The change of the weights in a Newton step, (n_features, n_tasks); None if there is none."""
    if descent.omega.infinite:
        return face_step(descent)
    if not descent.W.any():
        return None
    try:
        return _exact_step(descent)
    except np.linalg.LinAlgError:  # positive in exact arithmetic only
        return None


def _exact_step(descent):
    """The step in all weights of the features in use, where norms join tasks."""
    omega, columns = descent.omega, descent.columns
    used = np.flatnonzero(descent.W.any(axis=1))
    W, c = descent.W[used].T, columns.c
    length = row_lengths(W.T)
    d = omega.lam[used] / length
    gradient = (omega.ridge + d) * W - c[:, None] * descent.H[used].T + omega.mu * np.sign(W)
    G, still = descent.gram_of(used), W == 0
    if columns.alike and not still.any():
        M, fixed = c[0] * G, still[:1]
    else:
        M, fixed = c[:, None, None] * G, still
    M[fixed[:, :, None] | fixed[:, None, :]] = 0.0
    diagonal = np.einsum("tjj->tj", M)
    diagonal += omega.ridge + d
    diagonal *= 1.0 + 1e-13  # without it, features that are alike may make M singular
    diagonal[fixed] = 1.0
    inverse = np.linalg.inv(M)
    np.einsum("tjj->tj", inverse)[fixed] = 0.0
    U = np.sqrt(d) * W / length
    step = -_times(gradient, inverse)
    K = (U.T @ U) * inverse[0] if len(M) == 1 else np.einsum("tj,tjk,tk->jk", U, inverse, U)
    S = (1.0 + 1e-12) * np.eye(len(used)) - K  # K is up to 1, and more in rounding
    S[np.diag_indices_from(S)] *= 1.0 + descent.damping
    z = np.linalg.solve(S, np.einsum("tj,tj->j", U, step))
    step += _times(U * z, inverse)
    out = np.zeros_like(descent.W)
    out[used] = step.T
    return out


@np.errstate(all="ignore")  # what overflows in single precision shows in the step
def truncated_step(descent):
    """The change of the weights in a few conjugate gradients of a Newton step, (n_features, n_tasks).

    In single precision, on features of unit curvature.
    """
    try:
        return _step_of_few_rows(descent) if _has_few_rows(descent) else _step_of_features(descent)
    except np.linalg.LinAlgError:  # positive in exact arithmetic only
        return _step_of_features(descent)


def _step_of_features(descent):
    """All weights at once, by conjugate gradients.

    The preconditioner inverts what concerns each feature alone, ``diag(D_j) - d_j u_j u_j'`` with the diagonal D of the
    second derivatives before the last term: the inverse is

        diag(1/D_j) + around_j (u_j / D_j)(u_j / D_j)',    around_j = d_j / (1 - d_j u_j' diag(1/D_j) u_j).

    Where D is infinite, a weight stays as it is.  All are in units in which the curvatures of a feature are at most 1.
    """
    omega, W, scale = descent.omega, descent.W, descent.unit_scale[:, None]
    length = row_lengths(W)
    used = length > 0
    d = np.where(used, omega.lam / np.where(used, length, 1.0), 0.0)[:, None]
    gradient = descent.columns.c * descent.H - (omega.ridge + d) * W
    if omega.mu:
        gradient -= omega.mu * np.sign(W)
    U = _single(W / np.where(used, length, 1.0)[:, None])
    D = descent.curvature * scale**2 + (omega.ridge + d) * scale**2
    D[(W == 0 if omega.mu or omega.positive else ~used[:, None]) | (D == 0)] = np.inf
    D, d, diagonal = _single(D), _single(d * scale**2)[:, 0], _single((omega.ridge + d) * scale**2)[:, 0]
    d /= 1.0 + np.float32(descent.damping) * _alone(d, U, D)
    around = d / _alone(d, U, D)
    product, c = descent.single(), _single(descent.columns.c)
    R, step, Z, curved = _single(gradient * scale), np.zeros_like(U), np.empty_like(U), np.empty_like(U)
    size = descend_along(0.0, U, curved, D, U, around, step, R, Z)
    P, enough = Z.copy(), _ACCURACY**2 * size
    for _ in range(_ITERATIONS):
        along = curvature_along(product(P), c, diagonal, d, U, P, curved)
        if not along > 0.0:
            break
        before, size = size, descend_along(size / along, P, curved, D, U, around, step, R, Z)
        if not size > enough:
            break
        P *= np.float32(size / before)
        P += Z
    return scale * step.astype(np.float64)


def _alone(d, U, D):
    """``1 - d_j u_j' diag(1/D_j) u_j`` of every feature, at least as large as rounding."""
    return np.maximum(1.0 - d * np.einsum("jt,jt->j", U, U / D), np.finfo(np.float32).eps)


def _has_few_rows(descent):
    """Whether the features in use outnumber the rows, dense ones, that all tasks share."""
    columns, omega = descent.columns, descent.omega
    if not (isinstance(descent, OnSharedRows) and columns.alike and omega.smooth and omega.lam.all()):
        return False
    return 2 * columns.n_entries <= descent.n_used


def _step_of_few_rows(descent):
    r"""The same step, from what features have in common and, for each, how much longer it becomes.

    With ``P = c A A' + diag(D)``, D = ridge + d, the second derivatives are P less d_j u_j u_j', and the step is

        P^-1 (g + U z),    (diag(1/d - 1/D) + U' B B' U) z = U' P^-1 g,    P^-1 = diag(1/D) - B B'

    from the gradient g, by Sherman, Morrison, Woodbury, once for features and once for rows,

        B = D^-1 A L^-T,    L L' = I / c + A' D^-1 A.

    About five conjugate gradients find z, one number for each feature, where those in all weights become more and more
    as alpha falls. Where rows do not say how long features are, as of more features than there are labels, steps go
    too far: the descent's damping adds to the curvature along z (Levenberg 1944, Marquardt 1963).
    """
    omega, c = descent.omega, np.float32(descent.columns.c[0])
    used = np.flatnonzero(descent.W.any(axis=1))
    W, scale = descent.W[used], descent.unit_scale[used]
    length = row_lengths(W)
    d = omega.lam[used] / length
    D = omega.ridge + d
    gradient = _single((descent.columns.c * descent.H[used] - D[:, None] * W) * scale[:, None])
    U, root = _single(W / length[:, None]), _single(1.0 / (np.sqrt(D) * scale))[:, None]
    A = root * descent.single_columns[used]
    K = c * (A.T @ A)
    np.einsum("ii->i", K)[...] += 1.0
    B = np.sqrt(c) * root * strsm(1.0, np.linalg.cholesky(K).T, A.T, trans_a=True, overwrite_b=True).T

    def times_squares(V):
        return B @ (V.T @ B).T

    step = root**2 * gradient - times_squares(gradient)
    squares = np.einsum("jn,jn->j", B, B)
    rest = _single(omega.ridge / (d * D * scale**2)) + np.float32(descent.damping) * squares
    unit = 1.0 / np.sqrt(rest + squares)

    def product(p):
        return unit * (rest * unit * p + np.einsum("jt,jt->j", U, times_squares(U * (unit * p)[:, None])))

    S = LinearOperator((len(used), len(used)), product, dtype=np.float32)
    right = unit * np.einsum("jt,jt->j", U, step)
    z = unit * cg(S, right, rtol=_ACCURACY_OF_LENGTHS, maxiter=_ITERATIONS)[0]
    longer = U * z[:, None]
    step += root**2 * longer - times_squares(longer)
    out = np.zeros_like(descent.W)
    out[used] = step.astype(np.float64) * scale[:, None]
    return out


def stepped(descent, step, to_boundary=False):
    """W after a step; what would change its sign, or of a smooth penalty all of a feature that turns around, is zero.

    `to_boundary`: until the first feature is zero; where weights have signs, each task until its first weight.
    """
    omega, W = descent.omega, descent.W
    if omega.infinite:
        return stepped_on_face(descent, step, to_boundary)
    if omega.smooth:  # the length of a feature is linear along W_j: a step to zero is as good as its parabola
        square, along = np.einsum("jt,jt->j", W, W)[:, None], np.einsum("jt,jt->j", step, W)[:, None]
        turned, axis = (square > 0.0) & (square + along <= 0.0), None
    else:
        square, along = W, step
        turned, axis = (W != 0) & ((W + step) * W <= 0), 0
    first = 1.0
    if to_boundary:
        share = np.where(turned, square / np.where(turned, -along, 1.0), 1.0)
        first = share.min(axis=axis)
        turned = turned & (share == first)
    return np.where(turned, 0.0, W + first * step)


@kernel
def curvature_along(GP, c, diagonal, d, U, P, out):
    """The product of the second derivatives with P, and its product with P.

    All float32 but the result. GP (n_features, n_tasks): the product of P with the Gram matrices.
    c (n_tasks,).  diagonal, d (n_features,).  U, P, out (n_features, n_tasks); out is filled.
    NumPy twin: ``out = c * GP + diagonal[:, None] * P - U * (d * (U * P).sum(axis=1))[:, None]``.
    """
    n_features, n_tasks = P.shape
    along = 0.0
    for j in range(n_features):
        inside = P.dtype.type(0)
        for t in range(n_tasks):
            inside += U[j, t] * P[j, t]
        inside *= d[j]
        for t in range(n_tasks):
            out[j, t] = c[t] * GP[j, t] + diagonal[j] * P[j, t] - U[j, t] * inside
        for t in range(n_tasks):
            along += out[j, t] * P[j, t]
    return along


@kernel
def descend_along(factor, P, curved, D, U, around, step, R, Z):
    """``step += factor * P; R -= factor * curved``, the preconditioned residuals Z, and the product of R and Z.

    All float32 but the factor and the result. P, curved, D, U (n_features, n_tasks); around (n_features,).
    step, R, Z (n_features, n_tasks), changed.
    NumPy twin of the preconditioner: ``Z = R / D;  Z += U / D * (around * (U * Z).sum(axis=1))[:, None]``.
    """
    n_features, n_tasks = R.shape
    size, factor = 0.0, R.dtype.type(factor)
    for j in range(n_features):
        inside = R.dtype.type(0)
        if factor != 0:
            for t in range(n_tasks):
                step[j, t] += factor * P[j, t]
                R[j, t] -= factor * curved[j, t]
        for t in range(n_tasks):
            Z[j, t] = R[j, t] / D[j, t]
        for t in range(n_tasks):
            inside += U[j, t] * Z[j, t]
        inside *= around[j]
        for t in range(n_tasks):
            Z[j, t] += U[j, t] / D[j, t] * inside
        for t in range(n_tasks):
            size += R[j, t] * Z[j, t]
    return size


def _single(array):
    return array.astype(np.float32)


def _times(V, inverse):
    """Every task's row of V times its matrix."""
    return V @ inverse[0] if len(inverse) == 1 else np.matmul(V[:, None], inverse)[:, 0]
