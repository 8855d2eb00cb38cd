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

Weights sum to the number of tasks, as in `_weighting.py`; those of imtl may be negative, as in the paper. All work is
done in V, a row of numbers per task and meaning.
"""

import math

from skmtl.neural._arrays import take
from skmtl.neural._jit import call, entry, helper, part
from skmtl.neural._random import uniform
from skmtl.neural._weighting import FROM_GRADIENTS, FROM_LOSSES, mean_losses, softmax, step_scalar, weigh_losses

__all__ = ["combine", "correlate", "kernels_of", "pcgrad", "share_out", "take_directions"]

_RATE = 0.025  # of Adam on the weights of gradnorm
_ASYMMETRY = 1.5  # gradnorm: how much slow tasks are helped
_SMALLEST_WEIGHT = 1e-3  # gradnorm
_RADIUS = 0.4  # cagrad
_A, _NORM, _SIDE, _Z, _U, _Y, _Q = range(7)  # rows of V
_ZERO, _TRIED, _POSITIVE, _NEVER = range(4)  # the state of an entry of a nonnegative solution
_SHORT = 1e-7  # cagrad: a combination shorter than this times the longest gradient is zero
_NULL = 1e-12  # an eigenvalue, a pivot, a slope or a squared length below this times the largest is zero


@entry
def correlate(packed, theta):
    """Fill the Gram matrix of the gradients, in float64."""
    jacobian, gram = take(packed, theta, "jacobian gram")
    n_shared = len(jacobian) // len(gram)
    for s in range(len(gram)):
        g = part(jacobian, s * n_shared, n_shared)
        for t in range(s + 1):
            other, total = part(jacobian, t * n_shared, n_shared), 0.0
            for p in range(n_shared):
                total += float(g[p]) * float(other[p])
            gram[s, t] = total
            gram[t, s] = total


@entry
def combine(packed, theta):
    """Fill the first n_shared of `grad` with the sum of weights times gradients."""
    jacobian, weight, grad = take(packed, theta, "jacobian weight grad")
    n_shared = len(jacobian) // len(weight)
    for p in range(n_shared):
        grad[p] = 0
    for t in range(len(weight)):
        w, g = grad.dtype.type(weight[t]), part(jacobian, t * n_shared, n_shared)
        for p in range(n_shared):
            grad[p] += w * g[p]


@entry
def take_directions(packed, theta):
    """Cosines C of the gradients, their lengths and ``a_t = p_t |g_t|`` relative to the largest.

    All are zero for a task that has no gradient or no importance.
    """
    G, p, V, matrices, weight = take(packed, theta, "gram importance vectors matrices weight")
    largest = 0.0
    for t in range(len(weight)):
        V[_NORM, t] = math.sqrt(G[t, t]) if p[t] > 0.0 and 0.0 < G[t, t] < math.inf else 0.0
        largest = max(largest, p[t] * V[_NORM, t])
    for s in range(len(weight)):
        V[_A, s] = p[s] * V[_NORM, s] / largest if largest > 0.0 else 0.0
        for t in range(len(weight)):
            both = V[_NORM, s] > 0.0 and V[_NORM, t] > 0.0
            cosine = G[s, t] / V[_NORM, s] / V[_NORM, t] if both else 0.0
            matrices[0, s, t] = 1.0 if both and s == t else max(-1.0, min(1.0, cosine))


@entry
def share_out(packed, theta):
    """``w_t ~ y_t / |g_t|`` among the tasks with a gradient, who share their importance; p_t elsewhere.

    Where negative weights (imtl) all but cancel, their absolute values sum to ten times that share.
    """
    p, V, weight = take(packed, theta, "importance vectors weight")
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


@entry
def gradnorm(packed, theta, rule, n, nonnegative):
    r"""A step of Adam on :math:`\sum_t |w_t |g_t| - \overline{w |g|} r_t^{1.5}|` with the mean held fixed.

    r_t is how much is left of the first epoch's loss, relative to the mean of that; in the first epoch nothing moves,
    nor in a batch of one task, which is its own mean but for rounding.
    """
    losses, seen, rate, weight = take(packed, theta, "losses seen rate weight")
    learned, reference, V, scores, p = take(packed, theta, "learned reference vectors scores importance")
    n_tasks, mean, left, count, total = len(reference), 0.0, 0.0, 0, 0.0
    mean_losses(losses, seen, rate, n, V[_Y])
    for t in range(n_tasks):  # the gradient of the mean loss, too
        V[_NORM, t] *= n * rate[t] / seen[t] if seen[t] > 0.0 else 0.0
    for t in range(n_tasks):
        if V[_NORM, t] > 0.0 and reference[t] > 0.0:
            mean += learned[0, t] * V[_NORM, t]
            left += max(V[_Y, t], 0.0) / reference[t]
            count += 1
    for t in range(n_tasks):
        if V[_NORM, t] > 0.0 and reference[t] > 0.0 and left > 0.0 and count > 1:
            relative = max(V[_Y, t], 0.0) / reference[t] / (left / count)
            length = V[_NORM, t] / (mean / count)
            excess = learned[0, t] * length - relative**_ASYMMETRY
            step_scalar(learned, t, length if excess > 0.0 else -length if excess < 0.0 else 0.0, _RATE)
            learned[0, t] = max(learned[0, t], _SMALLEST_WEIGHT)
        total += learned[0, t]
    for t in range(n_tasks):
        learned[0, t] *= n_tasks / total
        scores[t] = math.log(learned[0, t]) if V[_NORM, t] > 0.0 else -math.inf
    softmax(scores, p, weight)


@entry
def pcgrad(packed, theta, rule, n, nonnegative):
    """Of each gradient, take away its component along every other that it conflicts with, in random order."""
    V, matrices, turns, weight, random = take(packed, theta, "vectors matrices turns weight random")
    C, order, n_tasks = matrices[0], turns[0], len(weight)
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


@entry
def upgrad(packed, theta, rule, n, nonnegative):
    """Add up the projections on the dual cone: for each i, ``min_v v'Cv`` over ``v >= a_i e_i``."""
    V, matrices, weight = take(packed, theta, "vectors matrices weight")
    C, n_tasks = matrices[0], len(weight)
    for t in range(n_tasks):
        V[_Y, t] = V[_A, t]
    for i in range(n_tasks):
        if V[_A, i] > 0.0:
            for t in range(n_tasks):
                V[_SIDE, t] = -C[t, i]
            call(solve_nonnegative, nonnegative, (packed, theta, 0))
            for t in range(n_tasks):
                V[_Y, t] += V[_A, i] * V[_U, t]


@entry
def imtl(packed, theta, rule, n, nonnegative):
    """``y = C^+ 1``, the gain is the same along every direction; then each times its importance.

    By ``(C^2 + e) dy = C (1 - C y)``, which a few rounds settle but where an eigenvalue of C is below 1e-6.
    """
    p, V, matrices, turns, weight = take(packed, theta, "importance vectors matrices turns weight")
    C, A, L, order, n_tasks = matrices[0], matrices[1], matrices[2], turns[0], len(weight)
    for s in range(n_tasks):
        V[_Y, s] = 0.0
        order[s] = s
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
        _solve(A, L, V, order, min(round_, 1) * n_tasks, n_tasks)
        for s in range(n_tasks):
            V[_Y, s] += V[_Z, s]
    gain = 0.0
    for t in range(n_tasks):
        gain += V[_Y, t]
    for t in range(n_tasks):  # no combination gains the same for all, if this one gains nothing
        V[_Y, t] = V[_Y, t] * p[t] if gain > 1e-9 else 0.0


@entry
def mgda(packed, theta, rule, n, nonnegative):
    r"""The weights of the shortest point in the hull of the directions; then each times its importance.

    :math:`\min_{v \ge 0} v'Cv + h (1'v - 1)^2` has the direction of :math:`\min u'Cu` over u >= 0 with sum 1.
    """
    p, V, matrices, weight = take(packed, theta, "importance vectors matrices weight")
    for s in range(len(weight)):
        V[_SIDE, s] = 1.0 if V[_A, s] > 0.0 else 0.0
        for t in range(len(weight)):
            matrices[1, s, t] = matrices[0, s, t] + (1.0 if V[_A, s] > 0.0 and V[_A, t] > 0.0 else 0.0)
    call(solve_nonnegative, nonnegative, (packed, theta, 1))
    for t in range(len(weight)):
        V[_Y, t] = V[_U, t] * p[t]


@entry
def cagrad(packed, theta, rule, n, nonnegative):
    r"""The best worst gain in a ball around the mean gradient.

    That is ``y = b + k w / |w|_M`` with ``min w'Mb + k |w|_M`` over w >= 0 with sum 1, ``|w|_M^2 = w'Mw`` and
    ``k = c |b|_M``; M is the Gram matrix of the ``a_t g_t / |g_t|``, b the same for all. As
    :math:`|w|_M = \min_s (w'Mw / s + s) / 2`, w is for s = k x the shortest point in the hull of the gradients moved by
    x times their mean, and x solves ``k x = |w|_M``, whose sides meet once: bracketed secants (Illinois).
    """
    V, matrices, weight = take(packed, theta, "vectors matrices weight")
    C, n_tasks, count, r = matrices[0], len(weight), 0, 0.0
    for s in range(n_tasks):
        count += V[_A, s] > 0.0
    for s in range(n_tasks):
        V[_Q, s] = 0.0
        for t in range(n_tasks):
            V[_Q, s] += V[_A, s] * C[s, t] * V[_A, t] / max(count, 1)
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
        length = _find_shortest(packed, theta, nonnegative, x, r)
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
        V[_Y, t] = V[_A, t] * (1.0 / max(count, 1) + (k / length * V[_U, t] if length > _SHORT else 0.0))


@helper
def _find_shortest(packed, theta, nonnegative, x, r):
    """Fill ``u`` with the weights of the shortest point of the hull moved by x times the mean; their ``|u|_M``."""
    V, matrices, weight = take(packed, theta, "vectors matrices weight")
    C, A, n_tasks, largest, total, square = matrices[0], matrices[1], len(weight), 0.0, 0.0, 0.0
    for s in range(n_tasks):
        for t in range(n_tasks):
            A[s, t] = V[_A, s] * C[s, t] * V[_A, t] + x * (V[_Q, s] + V[_Q, t]) + x * x * r
        largest = max(largest, A[s, s])
    for s in range(n_tasks):
        V[_SIDE, s] = largest if V[_A, s] > 0.0 else 0.0
        for t in range(n_tasks):
            A[s, t] = A[s, t] + largest if V[_A, s] > 0.0 and V[_A, t] > 0.0 else 0.0
    call(solve_nonnegative, nonnegative, (packed, theta, 1))
    for t in range(n_tasks):
        total += V[_U, t]
    for s in range(n_tasks):
        V[_U, s] /= total if total > 0.0 else 1.0
    for s in range(n_tasks):
        for t in range(n_tasks):
            square += V[_U, s] * V[_A, s] * C[s, t] * V[_A, t] * V[_U, t]
    return math.sqrt(max(square, 0.0))


@entry
def solve_nonnegative(packed, theta, which):
    """``min u'Au / 2 - b'u`` over u >= 0, ``A = matrices[which]``, ``b = V[_SIDE]``: Lawson, Hanson (1974), chapter 23.

    One by one, the number with the steepest slope becomes positive, unless it depends on those that are; numbers that
    a solution would make negative go back to zero on the way to it. Exact.
    """
    V, matrices, turns = take(packed, theta, "vectors matrices turns")
    A, L, places, state, n, k, largest = matrices[which], matrices[2], turns[0], turns[1], len(matrices[0]), 0, 0.0
    for t in range(n):
        V[_U, t] = 0.0
        state[t] = _ZERO if A[t, t] > 0.0 else _NEVER
        largest = max(largest, abs(V[_SIDE, t]))
    for _ in range(10 * n):  # more than it takes but for rounding
        j, steepest = -1, _NULL * largest
        for t in range(n):
            if state[t] == _ZERO:
                slope = V[_SIDE, t]
                for m in range(k):
                    slope -= A[t, places[m]] * V[_U, places[m]]
                if slope > steepest:
                    j, steepest = t, slope
        if j < 0:
            return
        places[k], state[j] = j, _TRIED
        first, k, entered = k, k + 1, False
        while True:
            independent = _solve(A, L, V, places, first, k)
            if not entered and (not independent or V[_Z, k - 1] <= 0.0):
                k -= 1
                break
            step, entered, first = 1.0, True, k
            for m in range(k):
                u, z = V[_U, places[m]], V[_Z, m]
                if z <= 0.0 and u <= step * (u - z):
                    step, first = u / (u - z), m
            for m in range(k):
                V[_U, places[m]] += step * (V[_Z, m] - V[_U, places[m]])
            if first == k:
                break
            V[_U, places[first]] = 0.0
            k -= 1
            for m in range(first, k):
                places[m] = places[m + 1]
        if entered:
            for t in range(n):
                state[t] = _NEVER if state[t] == _NEVER else _ZERO
            for m in range(k):
                state[places[m]] = _POSITIVE


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


def kernels_of(rule):
    """What makes the weights of a batch by a rule, in order; None for what it does without.

    That is `correlate`, `take_directions`, the rule itself, `solve_nonnegative`, `share_out` and `combine`.
    """
    if rule in FROM_LOSSES:
        return None, None, weigh_losses, None, None, None
    if rule not in FROM_GRADIENTS:
        return (None,) * 6
    weigh = dict(zip(FROM_GRADIENTS, (gradnorm, pcgrad, upgrad, cagrad, imtl, mgda), strict=True))[rule]
    solve = solve_nonnegative if weigh in (upgrad, cagrad, mgda) else None
    return correlate, take_directions, weigh, solve, None if weigh is gradnorm else share_out, combine
