"""Epochs of block coordinate descent: each feature's weights in all tasks minimised exactly, in turn.

For one feature, with the others held, the objective is

    sum_t L_t / 2 w_t^2 - b_t w_t + lam |w| + mu |w|_1        (and w >= 0)

with L_t > 0 the curvature of task t and |w| the Euclidean or the maximum norm: `solve_row`. `gram_epoch` does it
for the features of a block, at n_tasks * n_block multiplications for a step.

All arrays are (features, tasks): a step touches all tasks of a feature, side by side in memory.
"""

import math

from skmtl._numba import kernel

__all__ = ["gram_epoch", "solve_row", "take_off"]


@kernel
def solve_row(b, L, lam, mu, infinite, positive, w):
    """Minimise ``sum_t L_t / 2 w_t^2 - b_t w_t + lam |w| + mu |w|_1``; a task with L_t = 0 keeps w_t = 0.

    b : float64 (n_tasks,).  L : float64 (n_tasks,), >= 0.  lam, mu : float >= 0.
    infinite : 1 for the maximum norm, 0 for the Euclidean.  positive : 1 for w >= 0.
    w : float64 (n_tasks,), filled; exactly 0 if the b that mu leaves has a dual norm of at most lam.

    With x_t = sign(b_t) max(|b_t| - mu, 0) the Euclidean solution is ``w_t = x_t / (L_t + lam / |w|)``, a scalar
    equation for ``|w|``; the other is ``|w_t| = min(|x_t| / L_t, tau)`` with ``sum_t (|x_t| - L_t tau)_+ = lam``.
    """
    n_tasks = len(b)
    size, low, high = 0.0, math.inf, 0.0
    for t in range(n_tasks):
        x = b[t] if positive else abs(b[t])
        x = x - mu if x > mu and L[t] > 0.0 else 0.0
        w[t] = math.copysign(x, b[t])
        size += x if infinite else x * x
        if x > 0.0:
            low = min(low, L[t])
            high = max(high, L[t])
    if not infinite:
        size = math.sqrt(size)
    if size <= lam:
        for t in range(n_tasks):
            w[t] = 0.0
    elif lam == 0.0:
        for t in range(n_tasks):
            w[t] = w[t] / L[t] if L[t] > 0.0 else 0.0
    elif infinite:
        tau = 0.0
        for _ in range(n_tasks + 1):  # Newton on a convex, piecewise linear function: ends at the root
            excess, slope = -lam, 0.0
            for t in range(n_tasks):
                left = abs(w[t]) - L[t] * tau
                if left > 0.0:
                    excess += left
                    slope += L[t]
            if excess <= 0.0 or slope == 0.0 or tau + excess / slope <= tau:
                break
            tau += excess / slope
        for t in range(n_tasks):
            if abs(w[t]) > L[t] * tau:
                w[t] = math.copysign(tau, w[t])
            elif L[t] > 0.0:
                w[t] = w[t] / L[t]
    else:
        length = (size - lam) / high  # of w: exact for equal curvatures, else too short
        if low < high:
            for _ in range(50):  # Newton on 1 / |w / length| = 1, concave: from below without overshooting
                square, slope = 0.0, 0.0
                for t in range(n_tasks):
                    below = L[t] * length + lam
                    ratio = w[t] / below
                    square += ratio * ratio
                    slope += ratio * ratio * L[t] / below
                longer = length + (math.sqrt(square) - 1.0) * square / slope
                if not longer > length * (1.0 + 1e-15):
                    break
                length = longer
        for t in range(n_tasks):
            w[t] = w[t] * (length / (L[t] * length + lam))


@kernel
def gram_epoch(G, c, ridge, lam, mu, infinite, positive, whole, W, H, step, work):
    """Descend once over a block of features, with the products of the residuals at hand; how many moved.

    G : float64 (n_block, n_block, n_tasks), read-only, every task's Gram matrix; (n_block, n_block, 1) if all share it.
    c : float64 (n_tasks,), read-only, factors of the loss.
    ridge, mu : float; lam : float64 (n_block,), read-only, strength of each feature's norm.
    infinite, positive : as in `solve_row`.
    whole : 1 to keep H up to date for all features of the block, 0 for those still to come.
    W : float64 (n_block, n_tasks), changed.
    H : float64 (n_block, n_tasks), ``q_t - G_t w_t`` of the block, changed.
    step : float64 (n_block, n_tasks), filled with the change of W.
    work : float64 (3, n_tasks), workspace.
    Returns the number of features of the block whose weights have changed.
    NumPy twin for one feature, one G: ``L = c * G[j, j] + ridge;  b = c * (H[j] + G[j, j] * W[j])``, w from
    `solve_row`, ``H -= np.outer(G[j], w - W[j]);  W[j] = w``.
    """
    n_block, n_tasks = H.shape
    b, L, new = work[0], work[1], work[2]
    one = G.shape[2] == 1
    alike = one and mu == 0.0 and not infinite and not positive  # the step of a feature is a multiple of b
    for t in range(1, n_tasks):
        alike = alike and c[t] == c[0]
    n_moved = 0
    for j in range(n_block):
        if alike:
            size = 0.0
            for t in range(n_tasks):
                b[t] = c[0] * (H[j, t] + G[j, j, 0] * W[j, t])
            for t in range(n_tasks):
                size += b[t] * b[t]
            size = math.sqrt(size)
            factor = 0.0
            if size > lam[j] and G[j, j, 0] > 0.0:
                factor = (1.0 - lam[j] / size) / (c[0] * G[j, j, 0] + ridge)
            for t in range(n_tasks):
                new[t] = factor * b[t]
        else:
            for t in range(n_tasks):
                curvature = G[j, j, 0] if one else G[j, j, t]
                b[t] = c[t] * (H[j, t] + curvature * W[j, t])
                L[t] = c[t] * curvature + ridge if curvature > 0.0 else 0.0
            solve_row(b, L, lam[j], mu, infinite, positive, new)
        moved = 0
        for t in range(n_tasks):
            change = new[t] - W[j, t]
            step[j, t] = change
            W[j, t] = new[t]
            if change != 0.0:
                moved = 1
        if moved:
            n_moved += 1
            for k in range(0 if whole else j + 1, n_block):
                if one:
                    g = G[j, k, 0]
                    for t in range(n_tasks):
                        H[k, t] -= g * step[j, t]
                else:
                    for t in range(n_tasks):
                        H[k, t] -= G[j, k, t] * step[j, t]
    return n_moved


@kernel
def take_off(G, W, H):
    """``H -= G_t w_t`` for every task.

    G : float64 (n_features, n_features, n_tasks), read-only.  W : float64 (n_features, n_tasks), read-only.
    H : float64 (n_features, n_tasks), changed.
    NumPy twin: ``H -= np.einsum("jkt,kt->jt", G, W)``.
    """
    n_features, n_tasks = H.shape
    for j in range(n_features):
        for k in range(n_features):
            for t in range(n_tasks):
                H[j, t] -= G[j, k, t] * W[k, t]
