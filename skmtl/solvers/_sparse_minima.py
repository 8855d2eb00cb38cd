"""Small lasso problems, one for each task, solved again and again as they change little."""

import math

from skmtl._numba import kernel

__all__ = ["sparse_minima"]


@kernel
def step_on_face(H, D, alpha, x, g, step, C, at):
    """Go to the minimum over weights that keep their signs, or the way there up to the first that would not.

    For one task: see `sparse_minima`, with x and g changed; step, C and at are workspace.
    Where weights are not unique, nothing is done.
    NumPy twin: ``s = np.flatnonzero(x)``, the step ``np.linalg.solve(A[s][:, s], g[s] - alpha * np.sign(x[s]))`` with
    ``A = H + D * np.eye(d)``, shortened so that ``x[s] * (x[s] + step) >= 0``; ``g -= A[:, s] @ step``.
    """
    d = len(x)
    n = 0
    for j in range(d):
        if x[j] != 0.0:
            at[n] = j
            n += 1
    for a in range(n):  # Cholesky's factor
        for b in range(a + 1):
            s = H[at[a], at[b]]
            for k in range(b):
                s -= C[a, k] * C[b, k]
            if a > b:
                C[a, b] = s / C[b, b]
            elif s + D > 1e-14 * (H[at[a], at[a]] + D):
                C[a, a] = math.sqrt(s + D)
            else:
                return
    for a in range(n):
        s = g[at[a]] - math.copysign(alpha, x[at[a]])
        for k in range(a):
            s -= C[a, k] * step[k]
        step[a] = s / C[a, a]
    for a in range(n - 1, -1, -1):
        for k in range(a + 1, n):
            step[a] -= C[k, a] * step[k]
        step[a] /= C[a, a]
    share, first = 1.0, -1
    for a in range(n):
        if -step[a] * share / x[at[a]] > 1.0:
            share, first = -x[at[a]] / step[a], a
    for a in range(n):
        change = -x[at[a]] if a == first else share * step[a]
        x[at[a]] += change
        for k in range(d):
            g[k] -= change * H[at[a], k]
        g[at[a]] -= change * D


@kernel
def sparse_minima(H, R, D, alpha, enough, X, work, C, at):
    """Minimise ``x'(H_t + D_t I) x / 2 - r_t'x + alpha |x|_1`` for every task, from X.

    H : float64 (n_tasks, d, d), read-only, positive semi-definite.  R : float64 (n_tasks, d), read-only.
    D : float64 (n_tasks, 1), read-only, >= 0.  alpha : float > 0.
    enough : float, by how much the last turn may have changed a gradient.
    X : float64 (n_tasks, d), changed.
    work : float64 (2, d); C : float64 (d, d); at : int64 (d,): workspace.

    Turns of coordinate descent; after every few of them, for features that are much alike, a step on the face of
    weights that keep their signs (Lee, Battle, Raina, Ng 2006, *NIPS*, 801-808).
    """
    n_tasks, d = X.shape
    g = work[0]
    for t in range(n_tasks):
        for j in range(d):
            g[j] = R[t, j] - D[t, 0] * X[t, j]
        for k in range(d):
            if X[t, k] != 0.0:
                for j in range(d):
                    g[j] -= H[t, k, j] * X[t, k]
        for turn in range(1, 200):
            largest = 0.0
            for j in range(d):
                h = H[t, j, j] + D[t, 0]
                v = g[j] + h * X[t, j]
                new = math.copysign(max(abs(v) - alpha, 0.0), v) / h if h > 0.0 else 0.0
                change = new - X[t, j]
                if change != 0.0:
                    for k in range(d):
                        g[k] -= change * H[t, j, k]
                    g[j] -= change * D[t, 0]
                    X[t, j] = new
                    largest = max(largest, abs(change) * h)
            if largest <= enough:
                break
            if turn % 5 == 0:
                step_on_face(H[t], D[t, 0], alpha, X[t], g, work[1], C, at)
