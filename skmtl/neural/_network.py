r"""The network in kernels: rows in, forward, backward; the losses between stand in `_losses.py`.

A network is a table of dense layers. Level 0 holds inputs, level l the values of the l-th hidden layers, each level a
matrix in one flat buffer; a layer maps rows of a level to rows of the next,

.. math:: H_{l+1} = \phi(H_l W + 1 b'),

and sharing is nothing but where W and b stand in `theta`: layers of two tasks at the same place are one. A level is

    common     one row per sample, which all tasks read: row i of the batch
    by task    the rows of task t stand together, ``sizes[0, t]`` from ``first[0, t]`` on

Heads are linear, ``Q = H W_t' + b_t``, and stand in one matrix, W of task t in rows c0 to c0 + K. The loss turns the
outputs into its own gradient in place; from there, with D the gradient with respect to what a layer gives,

.. math:: \delta = D \odot \phi'(H_{l+1}), \qquad \nabla_W = H_l' \delta, \qquad \nabla_b = \delta' 1,
          \qquad D_l = \delta W'.

Everything is of one dtype but losses, which are summed in float64.
"""

from skmtl.neural._activations import relu, relu_slope
from skmtl.neural._arrays import take
from skmtl.neural._jit import call, entry, fields, part
from skmtl.neural._math import multiply, prefetch
from skmtl.neural._optimizers import DROPOUT
from skmtl.neural._random import uniform

__all__ = ["backward", "backward_heads", "drop_units", "forward", "load_pairs", "load_rows"]

_AHEAD = 8  # rows in an order at random are asked for so many rows before
_any_activation, _any_slope = relu, relu_slope  # the network's, by address: all have the same parameters

# ------------------------------------------------------------------------------------------------------ rows in


@entry
def load_rows(packed, theta, begin, n):
    """Copy the rows of the items ``order[begin : begin + n]``, which all tasks read, to level 0.

    If a later level is by task, each has all of them.
    """
    order, X, Y, columns, H = take(packed, theta, "order X Y columns H")
    first, sizes, x_start, y_row = take(packed, theta, "first sizes x_start y_row")
    n_tasks, width, n_columns, line = len(x_start) - 1, columns[2], columns[0], 64 // X.itemsize
    for b in range(n):
        item, later = order[begin + b], order[min(begin + b + _AHEAD, len(order) - 1)]
        for j in range(0, width, line):
            prefetch(X, later * width + j)
        prefetch(X, later * width + width - 1)  # rows do not begin where lines of memory do
        prefetch(Y, item * n_columns)
        y_row[b] = item
        source, row = part(X, item * width, width), part(H, b * width, width)
        for j in range(width):
            row[j] = source[j]
    for t in range(n_tasks + 1):
        x_start[t] = 0
        first[1, t], sizes[1, t] = 0, n
        first[0, t], sizes[0, t] = t * n, n
    first[0, n_tasks], sizes[0, n_tasks] = 0, n_tasks * n


@entry
def load_pairs(packed, theta, begin, n):
    """Copy the rows that the items ``order[begin : begin + n]`` have for every task to level 0, task by task."""
    order, X, pointer, pairs, n_features = take(packed, theta, "order X pointer pairs n_features")
    H, first, sizes, x_start, y_row = take(packed, theta, "H first sizes x_start y_row")
    n_tasks = len(x_start) - 1
    for t in range(n_tasks + 1):
        sizes[0, t] = 0
    for item in part(order, begin, n):
        for p in range(pointer[item], pointer[item + 1]):
            sizes[0, pairs[0, p]] += 1
    at, row = 0, 0
    for t in range(n_tasks):
        x_start[t], first[0, t] = at, row
        at += sizes[0, t] * n_features[t]
        row += sizes[0, t]
        sizes[0, t] = 0  # a cursor for now
    for item in part(order, begin, n):
        for p in range(pointer[item], pointer[item + 1]):
            t = pairs[0, p]
            d, k = n_features[t], sizes[0, t]
            y_row[first[0, t] + k] = pairs[2, p]
            source, target = part(X, pairs[1, p], d), part(H, x_start[t] + k * d, d)
            for j in range(d):
                target[j] = source[j]
            sizes[0, t] = k + 1
    x_start[n_tasks], first[0, n_tasks], sizes[0, n_tasks] = 0, 0, row


# ------------------------------------------------------------------------------------------------------ forward


@entry
def forward(packed, theta, activate, drop):
    """Fill all levels, and the outputs: one product if all tasks read the same rows there, else one a task.

    activate, drop : addresses of the activation, and of `drop_units`, or 0.
    """
    layers, levels, heads, places, first, sizes = take(packed, theta, "layers levels heads places first sizes")
    x_start, H, Q, parameters = take(packed, theta, "x_start H Q theta")
    heads_W, heads_b, n_outputs, most, small, product = fields(places, 0, 6)
    for q in range(len(layers)):
        task, level, W, b, d, h = fields(layers, q, 6)
        start, _, common = fields(levels, level, 3)
        out_start, _, out_common = fields(levels, level + 1, 3)
        n = sizes[out_common, task]
        at = x_start[task] if level == 0 else start + first[common, task] * d
        out = out_start + first[out_common, task] * h
        call(multiply, product, (small, 0, 0, n, h, d, H, at, d, parameters, W, h, 0.0, H, out, h))
        call(_any_activation, activate, (part(H, out, n * h), part(theta, b, h)))
        if drop != 0:
            call(drop_units, drop, (packed, theta, out, n * h))
    start, width, common = fields(levels, len(levels) - 1, 3)
    for t in range(1 if common else len(heads)):
        _, c, k, _, _ = fields(heads, t, 5)
        if common:
            c, k = 0, n_outputs
        n, at, out = sizes[common, t], start + first[common, t] * width, first[common, t] * most
        W = heads_W + c * width
        call(multiply, product, (small, 0, 1, n, k, width, H, at, width, parameters, W, width, 0.0, Q, out, k))
        for i in range(n):
            output, offsets = part(Q, out + i * k, k), part(theta, heads_b + c, k)
            for j in range(k):
                output[j] += offsets[j]


@entry
def drop_units(packed, theta, start, n):
    """Inverted dropout: a unit is zero with probability p, else divided by 1 - p; M keeps the factors.

    start, n : where the units stand in H, and how many.
    """
    H, M, real, random = take(packed, theta, "H M real random")
    Z, factors = part(H, start, n), part(M, start, n)
    zero, kept = theta.dtype.type(0), theta.dtype.type(1.0 / (1.0 - real[DROPOUT]))
    for p in range(n):
        factors[p] = zero if uniform(random) < real[DROPOUT] else kept
        Z[p] *= factors[p]


# ----------------------------------------------------------------------------------------------------- backward


@entry
def backward_heads(packed, theta, weighted):
    """The gradients of the heads, each times its task's weight if `weighted`; then those of the outputs are, too."""
    levels, heads, places, first, sizes = take(packed, theta, "levels heads places first sizes")
    H, Q, grad, weight = take(packed, theta, "H Q grad weight")
    start, width, common = fields(levels, len(levels) - 1, 3)
    W, b, n_outputs, most, small, product = fields(places, 0, 6)
    if weighted:
        for t in range(len(heads)):
            _, c, k, _, _ = fields(heads, t, 5)
            step, at = (n_outputs, c) if common else (k, first[0, t] * most)
            if weight[t] != 1.0:
                factor = Q.dtype.type(weight[t])
                for i in range(sizes[common, t]):
                    for p in range(at + i * step, at + i * step + k):
                        Q[p] *= factor
    for t in range(1 if common else len(heads)):
        _, c, k, _, _ = fields(heads, t, 5)
        if common:
            c, k = 0, n_outputs
        n, out, at = sizes[common, t], first[common, t] * most, start + first[common, t] * width
        call(multiply, product, (small, 1, 0, k, width, n, Q, out, k, H, at, width, 0.0, grad, W + c * width, width))
        bias = part(grad, b + c, k)
        for j in range(k):
            bias[j] = 0
        for i in range(n):
            slope = part(Q, out + i * k, k)
            for j in range(k):
                bias[j] += slope[j]


@entry
def backward(packed, theta, differentiate, which):
    """The gradients of the hidden layers: of the loss of all tasks, for -1, or of the one called for.

    For one task, those of what all tasks have go to its row of the Jacobian; layers of other tasks are left alone.

    differentiate : address of the activation's slope.
    """
    layers, levels, heads, places, bounds = take(packed, theta, "layers levels heads places bounds")
    first, sizes, x_start, H, D, M, Q = take(packed, theta, "first sizes x_start H D M Q")
    real, grad, jacobian, parameters = take(packed, theta, "real grad jacobian theta")
    dropout, n_shared = real[DROPOUT], bounds[2]
    shared = grad if which < 0 else part(jacobian, which * n_shared, n_shared)
    start, width, common = fields(levels, len(levels) - 1, 3)
    heads_W, _, n_outputs, most, small, product = fields(places, 0, 6)
    for head in range(1 if common else len(heads)):  # the last level
        t = which if common else head
        if which >= 0 and t != which:
            continue
        c, k = 0, n_outputs
        if t >= 0:
            _, c, k, _, _ = fields(heads, t, 5)
        step, at = (n_outputs, c) if common else (k, first[0, t] * most)
        n, out, W = sizes[common, t], start + first[common, t] * width, heads_W + c * width
        call(multiply, product, (small, 0, 0, n, width, k, Q, at, step, parameters, W, width, 0.0, D, out, width))
    for p in range(bounds[1], n_shared):
        shared[p] = 0
    crossed = 0.0  # whether rows that all tasks read have a gradient from one of them already
    for q in range(len(layers) - 1, -1, -1):
        task, level, W, b, d, h = fields(layers, q, 6)
        if which >= 0 and task >= 0 and task != which:
            continue
        t = which if task < 0 else task
        start, _, common = fields(levels, level, 3)
        out_start, _, out_common = fields(levels, level + 1, 3)
        n = sizes[out_common, t]
        at = x_start[t] if level == 0 else start + first[common, t] * d
        out = out_start + first[out_common, t] * h
        if dropout > 0.0:
            factors, delta = part(M, out, n * h), part(D, out, n * h)
            for p in range(n * h):
                delta[p] *= factors[p]
        bias = part(shared if b < n_shared else grad, b, h)
        if b >= n_shared:
            for j in range(h):
                bias[j] = 0
        call(_any_slope, differentiate, (part(D, out, n * h), part(H, out, n * h), bias, 1.0 - dropout))
        target = shared if W < n_shared else grad
        call(multiply, product, (small, 1, 0, d, h, n, H, at, d, D, out, h, 0.0, target, W, h))
        if level > 0:
            crossing = common and not out_common
            beta = crossed if crossing else 0.0
            call(multiply, product, (small, 0, 1, n, d, h, D, out, h, parameters, W, h, beta, D, at, d))
            crossed = 1.0 if crossing else crossed
