"""Exact proximal operators, each a finite number of steps.

Of a function f, ``prox(V, step) = argmin_P step * f(P) + 1/2 |P - V|_F^2`` for V (n_tasks, n_features):

    shrink_columns     sum_j |V_:j|_2              a feature's weights over tasks
    shrink_rows        sum_t |V_t:|_2              a task's weights
    clip_features      sum_j max_t |V_tj|
    total_variation    sum_t |v_t+1 - v_t|_1       tasks in order
    fuse_all           sum_s<t |v_s - v_t|_1       all pairs
    fuse_pairs         |a_e - b_e|_1 or _2         two arrays, pair by pair

All return new arrays but `fuse_pairs`, which fills the ones it is given.
"""

import math

import numpy as np

from skmtl._numba import kernel, read_only

__all__ = ["clip_features", "fuse_all", "fuse_pairs", "shrink_columns", "shrink_rows", "total_variation"]


def shrink_columns(V, step):
    """Shorten the columns of V by `step`, a number or (n_features,), stopping at zero."""
    return V * _left(np.sqrt(np.einsum("tj,tj->j", V, V)), step)


def shrink_rows(V, step):
    """Shorten the rows of V by `step`, a number or (n_tasks,), stopping at zero."""
    return V * _left(np.sqrt(np.einsum("tj,tj->t", V, V)), step)[:, None]


def _left(length, step):
    """The share that is left of vectors when `step` is taken off their length; 0 for those that are no longer."""
    return np.divide(length - step, length, out=np.zeros_like(length), where=length > step)


def clip_features(V, step):
    """The prox of ``sum_j max_t |V_tj|``; `step` is a number or (n_features,)."""
    V = _input(V)
    out = np.empty(V.shape)
    step = _input(np.broadcast_to(np.asarray(step, dtype=float), V.shape[1:]))
    clip_columns(V, step, np.empty(len(V)), out)
    return out


def total_variation(V, step):
    """The prox of ``sum_t |v_t+1 - v_t|_1``, in time linear in the size of V whatever its values."""
    V = _input(V)
    n_tasks, out = len(V), np.empty(V.shape)
    work, knots = np.empty((2, n_tasks + 1)), np.empty((3, n_tasks + 1), dtype=np.int64)
    taut_strings(V, float(step), work, knots, out)
    return out


def fuse_all(V, step):
    """The prox of ``sum_s<t |v_s - v_t|_1`` over all pairs of tasks: their order stays, neighbours in it may meet."""
    V = _input(V)
    out = np.empty(V.shape)
    order = _input(np.argsort(V, axis=0), np.int64)
    fuse_sorted(V, order, float(step), np.empty(len(V)), np.empty(len(V) + 1, dtype=np.int64), out)
    return out


def fuse_pairs(A, B, step, norm, out_A, out_B):
    """The prox of ``sum_e step_e |a_e - b_e|`` for pairs of rows of A and B (n_pairs, n_features).

    Parameters
    ----------
    A, B : array of shape (n_pairs, n_features)
    step : float or array of shape (n_pairs,)
    norm : 1 or 2
    out_A, out_B : float64 array of shape (n_pairs, n_features), C-ordered
        Filled; two rows that meet become equal exactly. May be A and B themselves.
    """
    step = _input(np.broadcast_to(np.asarray(step, dtype=float), A.shape[:1]))
    (join_values if norm == 1 else join_rows)(_input(A), _input(B), step, out_A, out_B)


def _input(array, dtype=np.float64):
    return read_only(np.ascontiguousarray(array, dtype=dtype))


@kernel
def clip_columns(V, step, rest, out):
    r"""Bring every column j of V to [-m, m], m such that what is cut off sums to step_j: ``sum_t (|V_tj| - m)+``.

    What is cut off is the projection onto the l1 ball of radius step_j, whose threshold m rises to its value from below
    (Michelot 1986, *Journal of Optimization Theory and Applications* 50:195-200).

    V : float64 (n_tasks, n_features), C-ordered, read-only.
    step : float64 (n_features,), read-only, >= 0.
    rest : float64 (n_tasks,), workspace.
    out : float64 (n_tasks, n_features), filled; a column whose absolute values sum to no more than its step is 0.
    NumPy twin: with a column's absolute values sorted, largest first,
    ``m = max(0, max((cumsum(v) - step) / arange(1, n_tasks + 1)))``.
    """
    n_tasks, n_features = V.shape
    for j in range(n_features):
        total = 0.0
        for t in range(n_tasks):
            rest[t] = abs(V[t, j])
            total += rest[t]
        n, m = n_tasks, 0.0
        if total <= step[j]:
            n = 0
        while n > 0 and step[j] > 0.0:
            m = (total - step[j]) / n
            total, above = 0.0, 0
            for i in range(n):
                if rest[i] > m:
                    rest[above] = rest[i]
                    total += rest[i]
                    above += 1
            if above == n:
                break
            n = above
        for t in range(n_tasks):
            out[t, j] = V[t, j] if step[j] == 0.0 else max(-m, min(m, V[t, j]))


@kernel
def taut_strings(V, step, work, knots, out):
    r"""Minimise ``step sum_t |p_t+1 - p_t| + 1/2 |p - v|^2`` for every column v of V: p is the slope of a taut string.

    The string runs through the tube of radius `step` around the cumulated sums c of v, from c_0 to c_n exactly (Davies,
    Kovac 2001, *Annals of Statistics* 29:1-65).  From its last knot, the least concave curve above the floor c - step
    and the greatest convex one below the ceiling c + step are kept as stacks of vertices; once the first slope of the
    floor's exceeds that of the ceiling's, the string bends at the first vertex of the one that had been there before.
    Every vertex enters and leaves a stack once.

    V : float64 (n_tasks, n_features), C-ordered, read-only.
    step : float >= 0.
    work : float64 (2, n_tasks + 1), workspace: a column less its mean, and its cumulated sums.
    knots : int64 (3, n_tasks + 1), workspace: the vertices of the floor and of the ceiling, the knots of the string.
    out : float64 (n_tasks, n_features), filled; tasks that meet are equal exactly, all of them at the column's mean.
    NumPy twin: none so short; the optimality condition is ``|cumsum(v - p)| <= step``, and ``= -+ step`` at a jump.
    """
    n, n_features = V.shape
    y, c = work[0], work[1]
    for j in range(n_features):
        mean = 0.0
        for t in range(n):
            mean += V[t, j]
        mean /= max(n, 1)
        c[0] = 0.0
        farthest = 0.0
        for t in range(n):
            y[t] = V[t, j] - mean
            c[t + 1] = c[t] + y[t]
            if t + 1 < n:
                farthest = max(farthest, abs(c[t + 1]))
        if step == 0.0 or step >= farthest:
            for t in range(n):
                out[t, j] = V[t, j] if step == 0.0 else mean
            continue
        c[n] = 0.0
        n_knots = pull_taut(c, n, step, knots[0], knots[1], knots[2])
        first, side, before = 0, 0, 0.0
        for k in range(n_knots):  # the values anew from the data: differences of c have its rounding errors
            last = abs(knots[2, k])
            end = 0 if last == n else (1 if knots[2, k] > 0 else -1)
            value = step * (end - side)
            for t in range(first, last):
                value += y[t]
            value = mean + value / (last - first)
            if (value - before) * side < 0.0:  # up at the ceiling, down at the floor: a bend by rounding is none
                value = before
            for t in range(first, last):
                out[t, j] = value
            first, side, before = last, end, value


@kernel
def pull_taut(c, n, step, floor, ceiling, knots):
    r"""The knots of the shortest string from ``c_0`` to ``c_n`` in the tube of radius `step` around c (n + 1,).

    floor, ceiling : int64 (n + 1,), workspace: vertices after the last knot.
    knots : int64 (n + 1,), filled: t > 0 where the string bends on the ceiling, -t on the floor, and n at the end.
    Returns the number of knots.
    """
    at, height, n_knots = 0, c[0], 0  # the last knot
    f0, f1, c0, c1 = 0, 0, 0, 0  # the vertices are floor[f0:f1] and ceiling[c0:c1]
    for t in range(1, n + 1):
        low = c[t] - step if t < n else c[n]
        high = c[t] + step if t < n else c[n]
        # The floor: drop vertices that the new one leaves below the curve.
        while f1 > f0:
            s = floor[f1 - 1]
            p = floor[f1 - 2] if f1 - 1 > f0 else at
            base = c[p] - step if f1 - 1 > f0 else height
            if (c[s] - step - base) * (t - p) > (low - base) * (s - p):
                break
            f1 -= 1
        if f1 == f0:  # it is the first: a string below the ceiling may have to bend there
            while c1 > c0:
                s = ceiling[c0]
                if (low - height) * (s - at) <= (c[s] + step - height) * (t - at):
                    break
                at, height, c0 = s, c[s] + step, c0 + 1
                knots[n_knots] = s
                n_knots += 1
            f0, f1 = 0, 0
        floor[f1] = t
        f1 += 1
        # The ceiling likewise.
        while c1 > c0:
            s = ceiling[c1 - 1]
            p = ceiling[c1 - 2] if c1 - 1 > c0 else at
            base = c[p] + step if c1 - 1 > c0 else height
            if (c[s] + step - base) * (t - p) < (high - base) * (s - p):
                break
            c1 -= 1
        if c1 == c0:
            while floor[f0] < t:
                s = floor[f0]
                if (high - height) * (s - at) >= (c[s] - step - height) * (t - at):
                    break
                at, height, f0 = s, c[s] - step, f0 + 1
                knots[n_knots] = -s
                n_knots += 1
            c0, c1 = 0, 0
        ceiling[c1] = t
        c1 += 1
    knots[n_knots] = n
    return n_knots + 1


@kernel
def fuse_sorted(V, order, step, total, start, out):
    r"""Minimise ``step sum_s<t |p_s - p_t| + 1/2 |p - v|^2`` for every column v of V.

    On values in order the penalty is linear, so that p is the isotonic regression of
    ``v_(i) + step (n_tasks - 1 - 2 i)``, i = 0, 1, ...: neighbours that are out of order are pooled.  The shift of a
    pool of i = a, ..., b - 1 is ``step (n_tasks - a - b)``.

    V : float64 (n_tasks, n_features), C-ordered, read-only.
    order : int64 (n_tasks, n_features), read-only: the argsort of each column.
    step : float >= 0.
    total : float64 (n_tasks,), workspace: the sum of v - v_(0) in each pool.
    start : int64 (n_tasks + 1,), workspace: the first i of each pool.
    out : float64 (n_tasks, n_features), filled; values that meet are equal exactly, all of them at the column's mean.
    NumPy twin: ``sklearn.isotonic.isotonic_regression(np.sort(v) + step * (T - 1 - 2 * np.arange(T)))``, unsorted.
    """
    n, n_features = V.shape
    for j in range(n_features):
        base = V[order[0, j], j] if n > 0 else 0.0
        pools = 0
        for i in range(n):
            total[pools] = V[order[i, j], j] - base
            start[pools] = i
            pools += 1
            start[pools] = i + 1
            while pools > 1:
                a, b, c = start[pools - 2], start[pools - 1], start[pools]
                if total[pools - 1] / (c - b) - total[pools - 2] / (b - a) > step * (c - a):
                    break
                pools -= 1
                total[pools - 1] += total[pools]
                start[pools] = c
        for k in range(pools):
            a, b = start[k], start[k + 1]
            value = base + total[k] / (b - a) + step * (n - a - b)
            for i in range(a, b):
                out[order[i, j], j] = V[order[i, j], j] if step == 0.0 else value


@kernel
def join_values(A, B, step, out_A, out_B):
    r"""Move a and b towards each other by ``step`` until they meet at their mean, value by value.

    A, B : float64 (n_pairs, n_features), C-ordered, read-only.
    step : float64 (n_pairs,), read-only, >= 0.
    out_A, out_B : float64 (n_pairs, n_features), filled.
    NumPy twin: ``h = np.clip((A - B) / 2, -step, step)`` (step a column); ``A - h, B + h``.
    """
    n_pairs, n_features = A.shape
    for e in range(n_pairs):
        s = step[e]
        for j in range(n_features):
            a, b = A[e, j], B[e, j]
            half = 0.5 * (a - b)
            move = max(-s, min(s, half))
            meet = abs(half) <= s
            out_A[e, j] = 0.5 * (a + b) if meet else a - move
            out_B[e, j] = 0.5 * (a + b) if meet else b + move


@kernel
def join_rows(A, B, step, out_A, out_B):
    r"""Move the rows a and b towards each other, each by the length ``step``, until they meet at their mean.

    A, B : float64 (n_pairs, n_features), C-ordered, read-only.
    step : float64 (n_pairs,), read-only, >= 0.
    out_A, out_B : float64 (n_pairs, n_features), filled.
    NumPy twin: ``H = (A - B) / 2; H *= np.minimum(1, step / |H|)`` (lengths of rows); ``A - H, B + H``.
    """
    n_pairs, n_features = A.shape
    for e in range(n_pairs):
        square = 0.0
        for j in range(n_features):
            half = 0.5 * (A[e, j] - B[e, j])
            square += half * half
        length = math.sqrt(square)
        share = step[e] / length if length > step[e] else -1.0
        for j in range(n_features):
            a, b = A[e, j], B[e, j]
            move = share * 0.5 * (a - b)
            out_A[e, j] = 0.5 * (a + b) if share < 0.0 else a - move
            out_B[e, j] = 0.5 * (a + b) if share < 0.0 else b + move
