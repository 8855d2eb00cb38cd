"""Small lasso problems, one for each task, solved again and again as they change little."""

import math

import numpy as np

from skmtl._numba import kernel, read_only

__all__ = ["sparse_minima"]

_PRICE = 0.3  # multiplications of `minimum_on_face` over the cube of its weights; turns go on until they cost as much


@kernel
def forward(U, n, v):
    """Solve ``U'x = v`` for the first n rows and columns of U, upper triangular; v is x then."""
    for a in range(n):
        v[a] /= U[a, a]
        for b in range(a + 1, n):
            v[b] -= v[a] * U[a, b]


@kernel
def backward(U, n, v):
    """Solve ``U x = v`` likewise."""
    for a in range(n - 1, -1, -1):
        s = v[a]
        for b in range(a + 1, n):
            s -= U[a, b] * v[b]
        v[a] = s / U[a, a]


@kernel
def take_up(H, D, at, known, n, U, v):
    """Extend Cholesky's factor ``U'U = (H + D I)[at][:, at]`` from `known` features to n, as far as these differ.

    Returns how many it has.  If that is less than n, the next is a combination of those, and U times it is v.
    """
    for a in range(known, n):
        for b in range(a):
            v[b] = H[at[a], at[b]]
        forward(U, a, v)
        square = H[at[a], at[a]] + D
        rest = square
        for b in range(a):
            rest -= v[b] * v[b]
        if rest <= 1e-12 * square:
            return a
        for b in range(a):
            U[b, a] = v[b]
        U[a, a] = math.sqrt(rest)
    return n


@kernel
def leave_out(first, n, U):
    """Take feature `first` out of Cholesky's factor U of n features, by rotations of its rows."""
    for a in range(first, n - 1):
        length = math.hypot(U[a, a + 1], U[a + 1, a + 1])
        cosine, sine = U[a, a + 1] / length, U[a + 1, a + 1] / length
        for b in range(a + 1, n):
            up, low = U[a, b], U[a + 1, b]
            U[a, b] = cosine * up + sine * low
            U[a + 1, b] = cosine * low - sine * up
    for a in range(n - 1):
        for b in range(max(a, first), n - 1):
            U[a, b] = U[a, b + 1]


@kernel
def minimum_on_face(H, D, alpha, x, g, step, U, at):
    """Go to the minimum over weights that keep their signs; what would not becomes zero on the way.

    For one task: see `minimize_each`, with x and g changed; step, U and at are workspace.
    NumPy twin of a step: ``s = np.flatnonzero(x)``, ``np.linalg.solve(A[s][:, s], g[s] - alpha * np.sign(x[s]))`` with
    ``A = H + D * np.eye(d)``, shortened so that ``x[s] * (x[s] + step) >= 0``; ``g -= A[:, s] @ step``.  Where features
    cannot be told apart, their weights first move along what changes no prediction, until one of them is zero.
    """
    d, used = len(x), np.flatnonzero(x)
    n = len(used)
    at[:n] = used
    known = 0 * n  # of the literal 0 numba would make a type of its own
    while n > 0:
        known = take_up(H, D, at, known, n, U, step)
        n_steps, share, first = known, 1.0, n
        if known == n:
            for a in range(n):
                step[a] = g[at[a]] - math.copysign(alpha, x[at[a]])
            forward(U, n, step)
        backward(U, known, step)
        if known < n:
            step[known], n_steps, share, slope = -1.0, known + 1, math.inf, 0.0
            for a in range(n_steps):
                slope += (math.copysign(alpha, x[at[a]]) - g[at[a]]) * step[a]
            for a in range(n_steps if slope > 0.0 else 0):
                step[a] = -step[a]
        for a in range(n_steps):
            if -step[a] * share / x[at[a]] > 1.0:
                share, first = -x[at[a]] / step[a], a
        for a in range(n_steps if share < math.inf else 0):
            change = -x[at[a]] if a == first else share * step[a]
            x[at[a]] += change
            for k in range(d):
                g[k] -= change * H[at[a], k]
            g[at[a]] -= change * D
        if first == n:
            break
        if first < known:
            leave_out(first, known, U)
            known -= 1
        n -= 1
        for a in range(first, n):
            at[a] = at[a + 1]


@kernel
def minimize_each(H, R, D, alpha, positive, enough, most, X, n_turns, work, U, at):
    """See `sparse_minima`.

    H, R, D, enough : float64, read-only.  X : float64, n_turns : int64, changed.
    work : float64 (2, d); U : float64 (d, d); at : int64 (d,): workspace.
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
        saved = 0.0
        for _ in range(most):
            largest, n_used = 0.0, 0.0
            for j in range(d):
                h = H[t, j, j] + D[t, 0]
                v = g[j] + h * X[t, j]
                size = (v if positive else abs(v)) - alpha
                new = math.copysign(size, v) / h if size > 0.0 and h > 0.0 else 0.0
                change = new - X[t, j]
                n_used += new != 0.0
                if change != 0.0:
                    for k in range(d):
                        g[k] -= change * H[t, j, k]
                    g[j] -= change * D[t, 0]
                    X[t, j] = new
                    largest = max(largest, abs(change) * h)
                    saved += d
            n_turns[t] += 1
            if largest <= enough[t]:
                break
            if saved > _PRICE * n_used**3:
                saved = 0.0
                minimum_on_face(H[t], D[t, 0], alpha, X[t], g, work[1], U, at)


def sparse_minima(H, R, D, alpha, enough, X, *, positive=False, most=200):
    """Minimise ``x'(H_t + D_t I) x / 2 - r_t'x + alpha |x|_1`` for every task, from X, which is changed.

    Turns of coordinate descent; after as much work as it takes, for features that are much alike, the minimum on the
    face of weights that keep their signs (Lee, Battle, Raina, Ng 2006, *NIPS*, 801-808).

    Parameters
    ----------
    H : array of shape (n_tasks, d, d)
        Positive semi-definite.
    R : array of shape (n_tasks, d)
    D : array of shape (n_tasks, 1)
        >= 0.
    alpha : float
        > 0.
    enough : array of shape (n_tasks,)
        A task is done when a turn changes no weight by more than this over its curvature, ``H_jj + D``.
    X : array of shape (n_tasks, d)
    positive : bool
        Whether x >= 0.
    most : int
        Turns, at most.

    Returns
    -------
    How many turns each task took, int (n_tasks,).
    """
    d, n_turns = X.shape[1], np.zeros(len(X), dtype=np.int64)
    H, R, D, enough = (read_only(np.ascontiguousarray(array)) for array in (H, R, D, enough))
    workspace = np.empty((2, d)), np.empty((d, d)), np.empty(d, dtype=np.int64)
    minimize_each(H, R, D, float(alpha), int(positive), enough, int(most), X, n_turns, *workspace)
    return n_turns
