"""The log-loss of a long table and its slopes in one reading of the rows.

Matrix products with margins and residuals in between read the rows twice, and beyond the cache that is what a step
costs.  A row that is here for its margin serves its residual, too.
"""

import math

from skmtl._numba import kernel

__all__ = ["log_losses"]


@kernel
def log_losses(X, y, weight, starts, W, b, descent, pull):
    """The sum of weighted log-losses; `descent` and `pull` are filled with its negative gradients in W and b.

    X : float64 (n_samples, n_features); y, labels 0 and 1, and weight : float64 (n_samples,).
    starts : int64 (n_tasks + 1,): rows of task t.  W : float64 (n_tasks, n_features), b (n_tasks,).  All read-only.
    descent (n_tasks, n_features), pull (n_tasks,) : filled.
    """
    d, total = X.shape[1], 0.0
    whole = d - d % 8
    for t in range(len(starts) - 1):
        pull[t] = 0.0
        for j in range(d):
            descent[t, j] = 0.0
        for i in range(starts[t], starts[t + 1]):
            if weight[i] == 0.0:
                continue
            a0, a1, a2, a3 = 0.0, 0.0, 0.0, 0.0  # eight sums: one would wait for itself
            a4, a5, a6, a7 = 0.0, 0.0, 0.0, 0.0
            for j in range(0, whole, 8):
                a0 += X[i, j] * W[t, j]
                a1 += X[i, j + 1] * W[t, j + 1]
                a2 += X[i, j + 2] * W[t, j + 2]
                a3 += X[i, j + 3] * W[t, j + 3]
                a4 += X[i, j + 4] * W[t, j + 4]
                a5 += X[i, j + 5] * W[t, j + 5]
                a6 += X[i, j + 6] * W[t, j + 6]
                a7 += X[i, j + 7] * W[t, j + 7]
            for j in range(whole, d):
                a0 += X[i, j] * W[t, j]
            eta = b[t] + (((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7)))
            e = math.exp(-abs(eta))
            mean = (1.0 if eta >= 0.0 else e) / (1.0 + e)
            total += weight[i] * (max(eta, 0.0) - y[i] * eta + math.log(1.0 + e))
            theta = weight[i] * (y[i] - mean)
            pull[t] += theta
            for j in range(d):
                descent[t, j] += theta * X[i, j]
    return total
