r"""Tasks that disagree: their weights in a batch, from the Gram matrix of their gradients.

That is ``G[s, t] = <g_s, g_t>``, with the gradients of what the tasks share.

Gradients enter at length one, ``C = D^-1 G D^-1`` with ``D = diag(|g_t|)``; the combination ``sum_t y_t g_t / |g_t|``
would have ``y_t = a_t = p_t |g_t|`` with the importances p_t as weights.

=============  ===========================================================  ==========================================
gradnorm       w_t |g_t| moves to its mean times (relative loss)^1.5        Chen et al. (2018), ICML
pcgrad         each a_t g_t / |g_t| less its parts against the others,      Yu et al. (2020), NeurIPS
               in random order; summed
upgrad         each projected exactly on what harms no task; summed         Quinton, Rey (2024), arXiv:2406.16232
cagrad         the best worst gain within 0.4 of the mean's length          Liu et al. (2021), NeurIPS
imtl           the same gain along every gradient: ``y = C^+ 1``            Liu et al. (2021), ICLR
mgda           the shortest in the convex hull of the directions            Sener, Koltun (2018), NeurIPS
=============  ===========================================================  ==========================================

Weights sum to the number of tasks, as in `_weighting.py`. All work is done in V, a row of numbers per task and meaning.
"""

import math

from skmtl.neural._jit import helper, stage
from skmtl.neural._random import uniform
from skmtl.neural._weighting import FROM_GRADIENTS, mean_losses, softmax, step_scalar

__all__ = ["weigh_gradients"]

_GRADNORM, _PCGRAD, _UPGRAD, _CAGRAD, _IMTL, _MGDA = range(len(FROM_GRADIENTS))
_RATE = 0.025  # of Adam on the weights of gradnorm
_ASYMMETRY = 1.5  # gradnorm: how much slow tasks are helped
_SMALLEST_WEIGHT = 1e-3  # gradnorm
_RADIUS = 0.4  # cagrad
_A, _NORM, _SIDE, _Z, _U, _Y, _Q = range(7)  # rows of V
_ZERO, _TRIED, _POSITIVE, _NEVER = range(4)  # what a number of a nonnegative solution is
_SHORT = 1e-7  # cagrad: a combination shorter than this times the longest gradient is zero
_NULL = 1e-12  # an eigenvalue, a pivot, a slope or a squared length below this times the largest is zero


@helper
def weigh_gradients(rule, losses, seen, rate, n_items, balance, random, weight):
    """Fill `weight` by a rule of FROM_GRADIENTS from ``balance.gram``; tasks without a gradient have no say.

    losses, seen, rate, n_items : as for `weigh_losses`; only gradnorm looks at them.
    random : uint64 (1,); only pcgrad draws.
    """
    p, V, C, order = balance.importance, balance.vectors, balance.matrices[0], balance.order
    _take_directions(balance.gram, p, C, V)
    if rule == _GRADNORM:
        mean_losses(losses, seen, rate, n_items, V[_Y])
        for t in range(len(p)):  # the gradient of the mean loss, too
            V[_NORM, t] *= n_items * rate[t] / seen[t] if seen[t] > 0.0 else 0.0
        _gradnorm(balance.learned, balance.reference, V, balance.scores)
        softmax(balance.scores, p, weight)
        return
    if rule == _PCGRAD:
        _pcgrad(C, V, order[0], random)
    elif rule == _UPGRAD:
        _upgrad(C, balance.matrices[2], V, order)
    elif rule == _IMTL:
        _imtl(C, balance.matrices[1], balance.matrices[2], p, V, order)
    else:
        _shorten(rule, C, balance.matrices[1], balance.matrices[2], p, V, order)
    _share_out(p, V, weight)


@stage
def _take_directions(G, p, C, V):
    """Cosines C of the gradients, their lengths and ``a_t = p_t |g_t|`` relative to the largest.

    All are zero for a task that has no gradient or no importance.
    """
    largest = 0.0
    for t in range(len(p)):
        V[_NORM, t] = math.sqrt(G[t, t]) if p[t] > 0.0 and 0.0 < G[t, t] < math.inf else 0.0
        largest = max(largest, p[t] * V[_NORM, t])
    for s in range(len(p)):
        V[_A, s] = p[s] * V[_NORM, s] / largest if largest > 0.0 else 0.0
        for t in range(len(p)):
            both = V[_NORM, s] > 0.0 and V[_NORM, t] > 0.0
            cosine = G[s, t] / V[_NORM, s] / V[_NORM, t] if both else 0.0
            C[s, t] = 1.0 if both and s == t else max(-1.0, min(1.0, cosine))


@stage
def _share_out(p, V, weight):
    """``w_t ~ y_t / |g_t|`` among the tasks with a gradient, who share their importance; p_t elsewhere.

    Where negative weights (imtl) all but cancel, their absolute values sum to ten times that share.
    """
    total, absolute, share = 0.0, 0.0, 0.0
    for t in range(len(p)):
        weight[t] = p[t]
        if V[_A, t] > 0.0:
            share += p[t]
            total += V[_Y, t] * (p[t] / V[_A, t])
            absolute += abs(V[_Y, t]) * (p[t] / V[_A, t])
    total = max(total, 0.1 * absolute)
    if 0.0 < total < math.inf:
        for t in range(len(p)):
            if V[_A, t] > 0.0:
                weight[t] = share * (V[_Y, t] * (p[t] / V[_A, t]) / total)


@stage
def _gradnorm(learned, reference, V, scores):
    r"""A step of Adam on :math:`\sum_t |w_t |g_t| - \overline{w |g|} r_t^{1.5}|` with the mean held fixed.

    r_t is how much is left of the first epoch's loss, relative to the mean of that; in the first epoch nothing moves.
    """
    n_tasks, mean, left, count, total = len(reference), 0.0, 0.0, 0, 0.0
    for t in range(n_tasks):
        if V[_NORM, t] > 0.0 and reference[t] > 0.0:
            mean += learned[0, t] * V[_NORM, t]
            left += max(V[_Y, t], 0.0) / reference[t]
            count += 1
    for t in range(n_tasks):
        if V[_NORM, t] > 0.0 and reference[t] > 0.0 and left > 0.0:
            relative = max(V[_Y, t], 0.0) / reference[t] / (left / count)
            length = V[_NORM, t] / (mean / count)
            excess = learned[0, t] * length - relative**_ASYMMETRY
            step_scalar(learned, t, length if excess > 0.0 else -length if excess < 0.0 else 0.0, _RATE)
            learned[0, t] = max(learned[0, t], _SMALLEST_WEIGHT)
        total += learned[0, t]
    for t in range(n_tasks):
        learned[0, t] *= n_tasks / total
        scores[t] = math.log(learned[0, t]) if V[_NORM, t] > 0.0 else -math.inf


@stage
def _pcgrad(C, V, order, random):
    """Of each gradient, take away its component along every other that it conflicts with, in random order."""
    n_tasks = len(order)
    for t in range(n_tasks):
        order[t] = t
        V[_Y, t] = 0.0
    for i in range(n_tasks):
        for k in range(n_tasks - 1, 0, -1):
            swap = int(uniform(random) * (k + 1))
            order[k], order[swap] = order[swap], order[k]
        for t in range(n_tasks):
            V[_U, t] = V[_A, i] if t == i else 0.0
        for k in range(n_tasks):
            j = order[k]
            inner = 0.0
            for t in range(n_tasks):
                inner += C[j, t] * V[_U, t]
            if j != i and inner < 0.0:
                V[_U, j] -= inner
        for t in range(n_tasks):
            V[_Y, t] += V[_U, t]


@stage
def _upgrad(C, L, V, order):
    """Add up the projections on the dual cone: for each i, ``min_v v'Cv`` over ``v >= a_i e_i``."""
    n_tasks = len(C)
    for t in range(n_tasks):
        V[_Y, t] = V[_A, t]
    for i in range(n_tasks):
        if V[_A, i] > 0.0:
            for t in range(n_tasks):
                V[_SIDE, t] = -C[t, i]
            _solve_nonnegative(C, L, V, order)
            for t in range(n_tasks):
                V[_Y, t] += V[_A, i] * V[_U, t]


@stage
def _imtl(C, A, L, p, V, order):
    """``y = C^+ 1``, the gain is the same along every direction; then each times its importance.

    By ``(C^2 + e) dy = C (1 - C y)``, which a few rounds settle but where an eigenvalue of C is below 1e-6.
    """
    n_tasks = len(p)
    for s in range(n_tasks):
        V[_Y, s] = 0.0
        order[0, s] = s
        for t in range(n_tasks):
            A[s, t] = 3.0 * _NULL * n_tasks if s == t else 0.0
            for c in range(n_tasks):
                A[s, t] += C[s, c] * C[c, t]
    for round_ in range(4):
        for s in range(n_tasks):
            V[_Q, s] = C[s, s]
            for t in range(n_tasks):
                V[_Q, s] -= C[s, t] * V[_Y, t]
        for s in range(n_tasks):
            V[_SIDE, s] = 0.0
            for t in range(n_tasks):
                V[_SIDE, s] += C[s, t] * V[_Q, t]
        _solve(A, L, V, order[0], min(round_, 1) * n_tasks, n_tasks)
        for s in range(n_tasks):
            V[_Y, s] += V[_Z, s]
    gain = 0.0
    for t in range(n_tasks):
        gain += V[_Y, t]
    for t in range(n_tasks):  # no combination gains the same for all, if this one gains nothing
        V[_Y, t] = V[_Y, t] * p[t] if gain > 1e-9 else 0.0


@stage
def _shorten(rule, C, A, L, p, V, order):
    r"""Fill ``y`` by mgda, the shortest combination of directions, weights times importance; or by cagrad.

    That is ``y = b + k w / |w|_M`` with ``min w'Mb + k |w|_M`` over w >= 0 with sum 1, ``|w|_M^2 = w'Mw`` and
    ``k = c |b|_M``; M is the Gram matrix of the ``a_t g_t / |g_t|``, b the same for all. As
    :math:`|w|_M = \min_s (w'Mw / s + s) / 2`, w is for s = k x the shortest point in the hull of the gradients moved by
    x times their mean, and x solves ``k x = |w|_M``, whose sides meet once: bracketed secants (Illinois).
    """
    n_tasks, count, r = len(p), 0, 0.0
    for s in range(n_tasks):
        count += V[_A, s] > 0.0
    for s in range(n_tasks):
        V[_Q, s] = 0.0
        for t in range(n_tasks):
            V[_Q, s] += V[_A, s] * C[s, t] * V[_A, t] / max(count, 1) if rule == _CAGRAD else 0.0
        r += V[_Q, s] / max(count, 1)
    k = _RADIUS * math.sqrt(max(r, 0.0))
    low, high = (_SHORT / k, 1.0 / k) if r > _NULL else (0.0, 0.0)
    below, above, side, length = 0.0, 0.0, 0, 0.0
    for round_ in range(100):
        if round_ == 0:
            x = low
        elif round_ == 1:
            x = high
        else:
            x = (low * above - high * below) / (above - below)
        length = _find_shortest(rule, C, A, L, V, order, x, r)
        gap = k * x - length
        if r <= _NULL or (round_ == 0 and gap >= 0.0):  # some combination is zero, or the mean is: no w
            break
        if round_ > 0 and (abs(gap) <= 1e-14 or high - low <= 1e-15 * high):
            break
        if round_ == 0:
            below = gap
        elif round_ == 1:
            above = gap
        elif gap > 0.0:
            high, above, below, side = x, gap, 0.5 * below if side > 0 else below, 1
        else:
            low, below, above, side = x, gap, 0.5 * above if side < 0 else above, -1
    for t in range(n_tasks):
        if rule == _MGDA:
            V[_Y, t] = V[_U, t] * p[t]
        else:
            V[_Y, t] = V[_A, t] * (1.0 / max(count, 1) + (k / length * V[_U, t] if length > _SHORT else 0.0))


@stage
def _find_shortest(rule, C, A, L, V, order, x, r):
    r"""Fill ``u`` with the weights of the shortest point of a hull; its ``|u|_M``. For cagrad the hull is moved.

    :math:`\min_{v \ge 0} v'Av + h (1'v - 1)^2` has the direction of :math:`\min u'Au` over u >= 0 with sum 1.
    """
    n_tasks, largest, total, square = len(C), 0.0, 0.0, 0.0
    for s in range(n_tasks):
        for t in range(n_tasks):
            scale = V[_A, s] * V[_A, t] if rule == _CAGRAD else 1.0
            A[s, t] = C[s, t] * scale + x * (V[_Q, s] + V[_Q, t]) + x * x * r
        largest = max(largest, A[s, s])
    for s in range(n_tasks):
        V[_SIDE, s] = largest if V[_A, s] > 0.0 else 0.0
        for t in range(n_tasks):
            A[s, t] = A[s, t] + largest if V[_A, s] > 0.0 and V[_A, t] > 0.0 else 0.0
    _solve_nonnegative(A, L, V, order)
    for t in range(n_tasks):
        total += V[_U, t]
    for s in range(n_tasks):
        V[_U, s] /= total if total > 0.0 else 1.0
    for s in range(n_tasks):
        for t in range(n_tasks):
            square += V[_U, s] * V[_A, s] * C[s, t] * V[_A, t] * V[_U, t]
    return math.sqrt(max(square, 0.0))


@helper
def _solve_nonnegative(A, L, V, order):
    """``min u'Au / 2 - b'u`` over u >= 0, ``b = V[_SIDE]``: Lawson and Hanson (1974), chapter 23; exact.

    One by one, the number with the steepest slope becomes positive, unless it depends on those that are; numbers that
    a solution would make negative go back to zero on the way to it.
    """
    n, places, state = len(A), order[0], order[1]
    k = n - n  # a zero that is not a constant: numba would compile the callees for that, too
    for t in range(n):
        V[_U, t] = 0.0
        state[t] = _ZERO if A[t, t] > 0.0 else _NEVER
    for _ in range(10 * n):  # more than it takes but for rounding
        j = _find_steepest(A, V, places, state, k)
        if j < 0:
            return
        places[k], state[j] = j, _TRIED
        if not _solve(A, L, V, places, k, k + 1) or V[_Z, k] <= 0.0:
            continue
        k = _move(A, L, V, places, k + 1)
        for t in range(n):
            state[t] = _NEVER if state[t] == _NEVER else _ZERO
        for m in range(k):
            state[places[m]] = _POSITIVE


@stage
def _find_steepest(A, V, order, state, k):
    """The number, among those at zero, along which the objective falls most; -1 if it falls along none."""
    j, largest = -1, 0.0
    for t in range(len(A)):
        largest = max(largest, abs(V[_SIDE, t]))
    steepest = _NULL * largest
    for t in range(len(A)):
        if state[t] == _ZERO:
            slope = V[_SIDE, t]
            for m in range(k):
                slope -= A[t, order[m]] * V[_U, order[m]]
            if slope > steepest:
                j, steepest = t, slope
    return j


@stage
def _move(A, L, V, order, k):
    """Go to the solution, or to where the first number reaches zero, which stays behind; solve again. How many stay."""
    while True:
        step, first = 1.0, k
        for m in range(k):
            u, z = V[_U, order[m]], V[_Z, m]
            if z <= 0.0 and u <= step * (u - z):
                step, first = u / (u - z), m
        for m in range(k):
            V[_U, order[m]] += step * (V[_Z, m] - V[_U, order[m]])
        if first == k:
            return k
        V[_U, order[first]] = 0.0
        k -= 1
        for m in range(first, k):
            order[m] = order[m + 1]
        _solve(A, L, V, order, first, k)


@helper
def _solve(A, L, V, order, first, k):
    """``z = A^-1 b`` among the first k of `order`; rows before `first` of the Cholesky factor L are known.

    Whether all are independent; else z is not touched.
    """
    for m in range(first, k):
        for i in range(m + 1):
            value = A[order[m], order[i]]
            for c in range(i):
                value -= L[m, c] * L[i, c]
            if i < m:
                L[m, i] = value / L[i, i]
            elif value <= _NULL * A[order[m], order[m]]:
                return False
            else:
                L[m, m] = math.sqrt(value)
    for m in range(k):
        value = V[_SIDE, order[m]]
        for c in range(m):
            value -= L[m, c] * V[_Z, c]
        V[_Z, m] = value / L[m, m]
    for m in range(k - 1, -1, -1):
        value = V[_Z, m]
        for c in range(m + 1, k):
            value -= L[c, m] * V[_Z, c]
        V[_Z, m] = value / L[m, m]
    return True
