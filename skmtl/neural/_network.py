r"""The network in kernels: rows in, forward, loss, backward, step; one call is many batches.

A network is a table of dense layers. Level 0 holds inputs, level l the values of the l-th hidden layers, each level a
matrix in one flat buffer; a layer maps rows of a level to rows of the next,

.. math:: H_{l+1} = \phi(H_l W + 1 b'),

and sharing is nothing but where W and b stand in `theta`: layers of two tasks at the same place are one. A level is

    common     one row per sample, which all tasks read: row i of the batch
    by task    the rows of task t stand together, ``segments[t]`` to ``segments[t + 1]``

Heads are linear, ``Q = H W_t' + b_t``, and stand in one matrix, W of task t in rows c0 to c0 + K. The loss turns the
outputs into its own gradient in place; from there, with D the gradient with respect to what a layer gives,

.. math:: \delta = D \odot \phi'(H_{l+1}), \qquad \nabla_W = H_l' \delta, \qquad \nabla_b = \delta' 1,
          \qquad D_l = \delta W'.

Everything is of one dtype but losses, which are summed in float64.
"""

import math
from typing import NamedTuple

import numpy as np

from skmtl.neural._jit import exp, helper, part, stage, view
from skmtl.neural._random import uniform

__all__ = [
    "ACTIVATIONS",
    "CONSTANT",
    "HUBER",
    "POISSON",
    "SIGMOID",
    "SOFT",
    "SOFTMAX",
    "SQUARED",
    "Buffers",
    "Data",
    "Tables",
]

ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
_LOGISTIC, _TANH, _RELU = 1, 2, 3
SQUARED, HUBER, POISSON, SIGMOID, SOFTMAX, SOFT, CONSTANT = range(7)  # kinds of heads
TASK, SOURCE, WEIGHT, BIAS, N_IN, N_OUT = range(6)  # columns of Tables.layers
START, WIDTH, COMMON = range(3)  # columns of Tables.levels
KIND, FIRST, N_OUTPUTS, TARGET, N_TARGETS = range(5)  # columns of Tables.heads


class Tables(NamedTuple):
    """What the network looks like; int64 but for `constants`."""

    layers: np.ndarray  # (n_layers, 6): task or -1, level read, place of W (d_in, d_out), of b, d_in, d_out
    levels: np.ndarray  # (n_levels, 3): place in the buffer, width, whether common
    heads: np.ndarray  # (n_tasks, 5): kind, first output, number of them, first target column, number of them
    places: np.ndarray  # (6,): of the heads' W (n_outputs, width), of their b, n_outputs, most of a task, activation,
    # and how many multiplications make a small product
    weights: np.ndarray  # (2, 2): theta[a:b] are the weights of layers that all tasks have; of layers of single tasks
    soft: np.ndarray  # (n_groups, 3): blocks pulled to their mean: place of the first, size, how many
    constants: np.ndarray  # (n_tasks,) of the dtype: where Huber turns linear, or the temperature of a distilled head


class Data(NamedTuple):
    """What it learns from; read-only."""

    X: np.ndarray  # flat; common: row i of d numbers; by task: the row of a pair begins at pair_x
    Y: np.ndarray  # flat (n_labels, n_columns), NaN where missing; classes as 0, 1, ...
    weight: np.ndarray  # of labels, flat: empty, (n_labels,) or as Y
    columns: np.ndarray  # int64 (3,): columns of Y, columns of `weight` (0: all 1), width of X's rows if common
    pointer: np.ndarray  # int64 (n_items + 1,): the pairs of an item; empty if common
    pair_task: np.ndarray  # int64 (n_pairs,)
    pair_x: np.ndarray  # int64 (n_pairs,)
    pair_y: np.ndarray  # int64 (n_pairs,): its row of Y
    n_features: np.ndarray  # int64 (n_tasks,)
    rate: np.ndarray  # float64 (n_tasks,): mean weight that an item brings to a task


class Buffers(NamedTuple):
    """Where a batch is worked on."""

    H: np.ndarray  # values of all levels
    D: np.ndarray  # gradients with respect to them
    M: np.ndarray  # what dropout multiplied them by; empty without dropout
    Q: np.ndarray  # outputs, then the gradient with respect to them
    scratch: np.ndarray  # as large as the widest level and as the outputs
    grad: np.ndarray  # as theta
    segments: np.ndarray  # int64 (n_tasks + 1,)
    x_start: np.ndarray  # int64 (n_tasks + 1,)
    y_row: np.ndarray  # int64 (most rows,)


@helper
def _product(A, B, out, small):
    """``out = A B``, in blocks of rows that take at most `small` multiplications, if these are more than a few rows."""
    step = small // (B.shape[0] * B.shape[1])
    step = len(A) if step < 16 else step
    for i in range(0, len(A), step):
        np.dot(A[i : i + step], B, out[i : i + step])


@helper
def _product_right(A, B, out, small):
    """``out = A B'``, likewise."""
    step = small // (B.shape[0] * B.shape[1])
    step = len(A) if step < 16 else step
    for i in range(0, len(A), step):
        np.dot(A[i : i + step], B.T, out[i : i + step])


@helper
def _product_left(A, B, out):
    """``out = A' B``."""
    np.dot(A.T, B, out)


@helper
def _span(common, task, n_rows, segments):
    """The first row of a level that belongs to a task, and how many do; -1 is all tasks."""
    if common:
        return 0, n_rows
    if task < 0:
        return 0, segments[len(segments) - 1]
    return segments[task], segments[task + 1] - segments[task]


@helper
def _layer(layers, q):
    return layers[q, 0], layers[q, 1], layers[q, 2], layers[q, 3], layers[q, 4], layers[q, 5]


@helper
def _head(heads, t):
    return heads[t, 0], heads[t, 1], heads[t, 2], heads[t, 3], heads[t, 4]


@helper
def _level(levels, level):
    return levels[level, 0], levels[level, 1], levels[level, 2]


@stage
def load(common, X, width, pointer, pair_task, pair_x, pair_y, n_features, items, segments, x_start, y_row, H):
    """Copy the rows of the items (n,) to level 0; where rows belong to tasks, task by task.

    Where all tasks read the same rows, and a later level is by task, each has all of them.
    """
    n_tasks, n_items = len(segments) - 1, len(items)
    if common:
        for b in range(n_items):
            y_row[b] = items[b]
            _copy(part(X, items[b] * width, width), part(H, b * width, width))
        for t in range(n_tasks + 1):
            segments[t] = t * n_items
        return
    for t in range(n_tasks + 1):
        segments[t] = 0
    for b in range(n_items):
        for p in range(pointer[items[b]], pointer[items[b] + 1]):
            segments[pair_task[p] + 1] += 1
    x_start[0] = 0
    for t in range(n_tasks):
        x_start[t + 1] = x_start[t] + segments[t + 1] * n_features[t]
        segments[t + 1] += segments[t]
    for b in range(n_items):
        for p in range(pointer[items[b]], pointer[items[b] + 1]):
            t = pair_task[p]
            d, at = n_features[t], segments[t]
            y_row[at] = pair_y[p]
            _copy(part(X, pair_x[p], d), part(H, x_start[t], d))
            segments[t] = at + 1  # cursors for now, put back below
            x_start[t] += d
    for t in range(n_tasks, 0, -1):
        segments[t] = segments[t - 1]
        x_start[t] = x_start[t - 1]
    segments[0] = 0
    x_start[0] = 0


@helper
def _copy(row, out):
    for j in range(len(out)):
        out[j] = row[j]


@helper
def _activate(Z, bias, activation):
    """``Z = phi(Z + bias)``."""
    zero, one = Z.dtype.type(0), Z.dtype.type(1)
    n, h = Z.shape
    if activation == _RELU:
        for i in range(n):
            for j in range(h):
                z = Z[i, j] + bias[j]
                Z[i, j] = zero if z < zero else z  # keeps NaN
    elif activation == _TANH:
        for i in range(n):
            for j in range(h):
                z = Z[i, j] + bias[j]
                Z[i, j] = one - (one + one) / (exp(z + z) + one)
    elif activation == _LOGISTIC:
        for i in range(n):
            for j in range(h):
                Z[i, j] = one / (one + exp(-(Z[i, j] + bias[j])))
    else:
        add_to_rows(Z, bias)


@helper
def _differentiate(D, H, activation, kept):
    """``D = D * phi'``, where phi' is a function of the value of phi, which is H times `kept`: 1 less dropout."""
    zero, one = D.dtype.type(0), D.dtype.type(1)
    n, h = D.shape
    if activation == _RELU:
        for i in range(n):
            for j in range(h):
                D[i, j] = D[i, j] if H[i, j] > zero else zero
    elif activation == _TANH:
        for i in range(n):
            for j in range(h):
                D[i, j] *= one - (kept * H[i, j]) * (kept * H[i, j])
    elif activation == _LOGISTIC:
        for i in range(n):
            for j in range(h):
                D[i, j] *= (kept * H[i, j]) * (one - kept * H[i, j])


@helper
def _drop(H, M, share, state):
    """Inverted dropout: zero with probability `share`, else divided by 1 - share. M keeps the factors."""
    one, zero = H.dtype.type(1), H.dtype.type(0)
    kept = one / H.dtype.type(1.0 - share)
    for i in range(H.shape[0]):
        for j in range(H.shape[1]):
            M[i, j] = zero if uniform(state) < share else kept
            H[i, j] *= M[i, j]


@helper
def add_to_rows(A, row):
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            A[i, j] += row[j]


@helper
def _add_rows(A, out):
    """``out += A' 1``."""
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            out[j] += A[i, j]


@stage
def forward(layers, levels, places, segments, x_start, theta, n_rows, H, M, dropout, random):
    """Fill all levels."""
    for q in range(len(layers)):
        task, level, W_at, b_at, d_in, d_out = _layer(layers, q)
        start, _, common = _level(levels, level)
        out_start, _, out_common = _level(levels, level + 1)
        first, n = _span(common, task, n_rows, segments)
        out_first, _ = _span(out_common, task, n_rows, segments)
        if n == 0:
            continue
        start += first * d_in
        if level == 0 and task >= 0 and not common:
            start = x_start[task]  # rows of different tasks may differ in length
        Z = view(H, out_start + out_first * d_out, n, d_out)
        _product(view(H, start, n, d_in), view(theta, W_at, d_in, d_out), Z, places[5])
        _activate(Z, part(theta, b_at, d_out), places[4])
        if dropout > 0.0:
            _drop(Z, view(M, out_start + out_first * d_out, n, d_out), dropout, random)


@stage
def answer(levels, heads, places, segments, theta, n_rows, H, Q):
    """The outputs of the heads: one product if all read the same rows, else one a task."""
    start, width, common = _level(levels, len(levels) - 1)
    n_heads = 1 if common else len(heads)
    for t in range(n_heads):
        _, c, k, _, _ = _head(heads, t)
        first, n = _span(common, t, n_rows, segments)
        if common:
            c, k = 0, places[2]
        if n > 0:
            out = view(Q, first * places[3], n, k)
            W = view(theta, places[0] + c * width, k, width)
            _product_right(view(H, start + first * width, n, width), W, out, places[5])
            add_to_rows(out, part(theta, places[1] + c, k))


@helper
def outputs_of(levels, heads, places, segments, task, n_rows):
    """Where the outputs of a task stand: number of rows, first output, step to the next row, first label."""
    _, c, k, _, _ = _head(heads, task)
    if levels[len(levels) - 1, 2]:
        return n_rows, c, places[2], 0
    label = 0 if levels[0, 2] else segments[task]
    return segments[task + 1] - segments[task], segments[task] * places[3], k, label


@stage
def lose(levels, heads, places, segments, y_row, constants, n_rows, Q, Y, weight, columns, rate, n_items, losses, seen):
    """The loss of every task in this batch, and its gradient in place of the outputs.

    ``losses[t]`` is the sum of weight times loss over the batch, divided by ``n_items * rate[t]``, the weight that is
    to be expected there: on the whole of the data that is the mean, and on average over batches, too, however few
    labels a task has. ``seen[t]`` is the sum of weights; 0 if the task is absent from the batch.
    """
    width, weight_width = columns[0], columns[1]
    for t in range(len(heads)):
        kind, _, k, target, n_targets = _head(heads, t)
        n, at, step, label = outputs_of(levels, heads, places, segments, t, n_rows)
        scale = 1.0 / (n_items * rate[t]) if rate[t] > 0.0 else 0.0
        total, count = 0.0, 0.0
        if kind == SQUARED and weight_width == 0:  # what most networks do, without asking for each label
            for r in range(n):
                at_y = y_row[label + r] * width + target
                for c in range(k):
                    d = Q[at + r * step + c] - Y[at_y + c]
                    known = d == d  # not NaN
                    Q[at + r * step + c] = d * Q.dtype.type(scale) if known else Q.dtype.type(0)
                    total += 0.5 * d * d if known else 0.0
                    count += 1.0 if known else 0.0
            losses[t], seen[t] = total * scale, count
            continue
        for r in range(n):
            i = y_row[label + r]
            o, y = part(Q, at + r * step, k), part(Y, i * width + target, n_targets)
            joint = kind >= SOFTMAX  # one loss of all outputs, not one of each
            for c in range(1 if joint else k):
                if math.isnan(y[c]) or kind == CONSTANT:
                    w = 0.0
                elif weight_width <= 1:
                    w = 1.0 if weight_width == 0 else float(weight[i])
                else:
                    w = float(weight[i * width + target + c])
                if joint:
                    total += w * _cross_entropy(o, y, kind, constants[t], w * scale)
                else:
                    loss, slope = _loss(o[c], y[c], kind, constants[t])
                    o[c] = slope * Q.dtype.type(w * scale) if w > 0.0 else Q.dtype.type(0)
                    total += w * loss if w > 0.0 else 0.0
                count += w
        losses[t] = total * scale
        seen[t] = count


@helper
def _loss(o, y, kind, huber):
    r"""The loss of an output o and a label y, and its derivative.

    ====================  =======================================================================
    squared               :math:`(o - y)^2 / 2`
    Huber                 the same up to :math:`|o - y| = c`, then :math:`c |o - y| - c^2 / 2`
    Poisson, log link     :math:`e^o - y o + y \log y - y`, half the deviance
    sigmoid               :math:`\log(1 + e^o) - y o`
    ====================  =======================================================================
    """
    zero, one, r = type(o)(0), type(o)(1), o - y
    if kind == SIGMOID:  # with e = exp(-|o|), which cannot overflow
        e = exp(-abs(o))
        p = (one if o >= zero else e) / (one + e)
        return max(o, zero) - y * o + math.log1p(e), p - y
    if kind == POISSON:
        mean = exp(o)
        return mean - y * o + (y * math.log(y) - y if y > zero else zero), mean - y
    if kind == HUBER and abs(r) > huber:
        return huber * (abs(r) - type(o)(0.5) * huber), huber if r > zero else -huber
    return type(o)(0.5) * r * r, r


@helper
def _cross_entropy(o, y, kind, temperature, weight):
    r"""``-sum_k p_k log softmax(o / c)_k c^2`` and, in place of o, its gradient times `weight`.

    Softmax: p is one at class ``y[0]``, c = 1. Distilled: p = y, c the temperature; c^2 keeps the gradient's size
    (Hinton, Vinyals, Dean, 2015, arXiv:1503.02531). Without weight all is 0.
    """
    zero, one = type(temperature)(0), type(temperature)(1)
    c = temperature if kind == SOFT else one
    most, loss, total, w = o[0], zero, zero, type(temperature)(weight) * c
    for j in range(len(o)):
        most = max(most, o[j])
    for j in range(len(o)):
        o[j] = (o[j] - most) / c
        total += exp(o[j])
    log_total = math.log(total)
    for j in range(len(o)):
        p = y[j] if kind == SOFT else (one if y[0] == j else zero)
        loss += p * (log_total - o[j]) if p > zero else zero
        o[j] = w * (exp(o[j]) / total - p) if weight > 0.0 else zero
    return c * c * loss if weight > 0.0 else zero


@stage
def weigh_outputs(levels, heads, places, segments, n_rows, w, Q):
    """Multiply the gradient with respect to the outputs of task t by ``w[t]``."""
    for t in range(len(heads)):
        if w[t] == 1.0:
            continue
        n, at, step, _ = outputs_of(levels, heads, places, segments, t, n_rows)
        factor = Q.dtype.type(w[t])
        for r in range(n):
            for c in range(at + r * step, at + r * step + heads[t, 2]):
                Q[c] *= factor


@stage
def backward_heads(levels, heads, places, segments, n_rows, H, Q, grad):
    """The gradients of the heads."""
    start, width, common = _level(levels, len(levels) - 1)
    bias = part(grad, places[1], places[2])
    for c in range(len(bias)):
        bias[c] = 0
    n_heads = 1 if common else len(heads)
    for t in range(n_heads):
        _, c, k, _, _ = _head(heads, t)
        first, n = _span(common, t, n_rows, segments)
        if common:
            c, k = 0, places[2]
        W = view(grad, places[0] + c * width, k, width)
        if n == 0:
            _clear(part(grad, places[0] + c * width, k * width))
            continue
        D = view(Q, first * places[3], n, k)
        _product_left(D, view(H, start + first * width, n, width), W)
        _add_rows(D, part(bias, c, k))


@helper
def _clear(out):
    for p in range(len(out)):
        out[p] = 0


@stage
def _backward_top(levels, heads, places, segments, theta, n_rows, Q, D, scratch, which):
    """The gradient with respect to the last level, from all tasks or from the one called for."""
    start, width, common = _level(levels, len(levels) - 1)
    n_heads = 1 if common else len(heads)
    for head in range(n_heads):
        t = which if common else head
        if which >= 0 and t != which:
            continue
        c, k = 0, places[2]
        if t >= 0:
            _, c, k, _, _ = _head(heads, t)
        first, n = _span(common, t, n_rows, segments)
        if n == 0:
            continue
        source = view(Q, first * places[3], n, k)
        if common and t >= 0:
            source = view(scratch, 0, n, k)  # its columns
            for i in range(n):
                for j in range(k):
                    source[i, j] = Q[i * places[2] + c + j]
        W = view(theta, places[0] + c * width, k, width)
        _product(source, W, view(D, start + first * width, n, width), places[5])


@stage
def backward(
    layers,
    levels,
    heads,
    places,
    weights,
    segments,
    x_start,
    theta,
    n_rows,
    H,
    D,
    M,
    Q,
    scratch,
    shared,
    own,
    which,
    dropout,
):
    """The gradients of the hidden layers: of the loss of all tasks, or of the one called for.

    Those of parameters that all tasks have go to `shared`, the others to `own`; both may be the same array. Layers of
    other tasks than the one called for are left alone.
    """
    crossed, end_of_shared = False, weights[1, 0]
    _clear(part(shared, weights[0, 1], end_of_shared - weights[0, 1]))
    _backward_top(levels, heads, places, segments, theta, n_rows, Q, D, scratch, which)
    for q in range(len(layers) - 1, -1, -1):
        task, level, W_at, b_at, d_in, d_out = _layer(layers, q)
        if which >= 0 and task >= 0 and task != which:
            continue
        t = which if task < 0 else task
        start, _, common = _level(levels, level)
        out_start, _, out_common = _level(levels, level + 1)
        first, n = _span(common, t, n_rows, segments)
        out_first, _ = _span(out_common, t, n_rows, segments)
        grad_W = shared if W_at < end_of_shared else own
        grad_b = part(shared if b_at < end_of_shared else own, b_at, d_out)
        if b_at >= end_of_shared:
            _clear(grad_b)
        if n == 0:
            _clear(part(grad_W, W_at, d_in * d_out))
            continue
        out_start += out_first * d_out
        delta, values = view(D, out_start, n, d_out), view(H, out_start, n, d_out)
        if dropout > 0.0:
            _scale(part(M, out_start, n * d_out), part(D, out_start, n * d_out))
        _differentiate(delta, values, places[4], D.dtype.type(1.0 - dropout))
        _add_rows(delta, grad_b)
        source = start + first * d_in
        at = x_start[t] if level == 0 and t >= 0 and not common else source
        _product_left(view(H, at, n, d_in), delta, view(grad_W, W_at, d_in, d_out))
        if level == 0:
            continue
        crossing = common and not out_common
        if crossing and crossed:  # rows that all tasks read get a gradient from each
            _product_right(delta, view(theta, W_at, d_in, d_out), view(scratch, 0, n, d_in), places[5])
            _add(part(scratch, 0, n * d_in), part(D, source, n * d_in))
        else:
            _product_right(delta, view(theta, W_at, d_in, d_out), view(D, source, n, d_in), places[5])
        crossed = crossed or crossing


@helper
def _scale(factor, out):
    for p in range(len(out)):
        out[p] *= factor[p]


@helper
def _add(source, out):
    for p in range(len(out)):
        out[p] += source[p]
