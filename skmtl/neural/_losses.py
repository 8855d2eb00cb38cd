r"""The loss of a task in a batch, a kernel for each group of heads; its gradient takes the place of the outputs.

``losses[t]`` is the sum of weight times loss over the batch, divided by ``n_items * rate[t]``, the weight that a batch
is expected to hold for the task. So it is the mean loss on all data, and its average over batches is, too, however few
labels a task has. ``seen[t]`` is the sum of weights in the batch; 0 if the task is absent.
"""

import math

from skmtl.neural._arrays import take
from skmtl.neural._jit import entry, fields, helper, part
from skmtl.neural._math import exp

__all__ = ["CONSTANT", "HUBER", "POISSON", "SIGMOID", "SOFT", "SOFTMAX", "SQUARED", "lose_squares", "losses_of"]

SQUARED, HUBER, POISSON, SIGMOID, SOFTMAX, SOFT, CONSTANT = range(7)  # codes of losses


@entry
def lose_squares(packed, theta, n_items, t, at, step, first, n):
    r"""Half the squared error of labels without weights: what most networks do, with little to ask for each label."""
    heads, Q, Y, y_row, columns, rate, losses, seen = take(packed, theta, "heads Q Y y_row columns rate losses seen")
    (_, _, k, target, _), width, zero = fields(heads, t, 5), columns[0], Q.dtype.type(0)
    scale = 1.0 / (n_items * rate[t]) if rate[t] > 0.0 else 0.0
    total, count, factor, rows = 0.0, 0, Q.dtype.type(scale), part(y_row, first, n)
    for c in range(k):
        for i in range(n):  # places are computed, and may be negative for all the compiler knows: parts are not
            output, label = part(Q, at + i * step + c, 1), part(Y, rows[i] * width + target + c, 1)
            d = output[0] - label[0]
            known = d == d  # not NaN
            d = d if known else zero
            output[0] = d * factor
            total += d * d
            count += known
    losses[t], seen[t] = 0.5 * total * scale, count


@entry
def lose(packed, theta, n_items, t, at, step, first, n):
    r"""A loss of every output o and its label y.

    ====================  =======================================================================
    squared               :math:`(o - y)^2 / 2`
    Huber                 the same up to :math:`|o - y| = c`, then :math:`c |o - y| - c^2 / 2`
    Poisson, log link     :math:`e^o - y o + y \log y - y`, half the deviance
    sigmoid               :math:`\log(1 + e^o) - y o`
    ====================  =======================================================================
    """
    heads, Q, Y, y_row, columns, rate, losses, seen = take(packed, theta, "heads Q Y y_row columns rate losses seen")
    constants, label_weight = take(packed, theta, "constants label_weight")
    (code, _, k, target, _), width, constant = fields(heads, t, 5), columns[0], constants[t]
    scale = 1.0 / (n_items * rate[t]) if rate[t] > 0.0 else 0.0
    total, count, zero, one, half = 0.0, 0.0, Q.dtype.type(0), Q.dtype.type(1), Q.dtype.type(0.5)
    for i in range(n):
        row = y_row[first + i]
        for c in range(k):
            o, y = Q[at + i * step + c], Y[row * width + target + c]
            w = weight_of(label_weight, columns[1], row, target + c)
            if math.isnan(y) or w == 0.0:
                Q[at + i * step + c] = zero
                continue
            if code == SIGMOID:  # with e = exp(-|o|), which cannot overflow
                e = exp(-abs(o))
                slope = (one if o >= zero else e) / (one + e) - y
                loss = max(o, zero) - y * o + math.log1p(e)
            elif code == POISSON:
                slope = exp(o) - y
                loss = slope + y - y * o + (y * math.log(y) - y if y > zero else zero)
            else:
                slope = o - y
                loss = half * slope * slope
                if code == HUBER and abs(slope) > constant:
                    loss = constant * (abs(slope) - half * constant)
                    slope = constant if slope > zero else -constant
            Q[at + i * step + c] = slope * Q.dtype.type(w * scale)
            total += w * loss
            count += w
    losses[t], seen[t] = total * scale, count


@entry
def lose_jointly(packed, theta, n_items, t, at, step, first, n):
    r"""One loss of all outputs, ``-sum_k p_k log softmax(o / c)_k c^2``.

    Softmax: p is one at class ``y[0]``, c = 1. Distilled: p = y, c the temperature; c^2 keeps the gradient's size
    (Hinton, Vinyals, Dean, 2015, arXiv:1503.02531).
    """
    heads, Q, Y, y_row, columns, rate, losses, seen = take(packed, theta, "heads Q Y y_row columns rate losses seen")
    constants, label_weight = take(packed, theta, "constants label_weight")
    (code, _, k, target, n_targets), width = fields(heads, t, 5), columns[0]
    scale = 1.0 / (n_items * rate[t]) if rate[t] > 0.0 else 0.0
    total, count, zero, one = 0.0, 0.0, Q.dtype.type(0), Q.dtype.type(1)
    c = constants[t] if code == SOFT else one
    for i in range(n):
        row = y_row[first + i]
        o, y = part(Q, at + i * step, k), part(Y, row * width + target, n_targets)
        w = weight_of(label_weight, columns[1], row, target)
        if math.isnan(y[0]) or w == 0.0:
            for j in range(k):
                o[j] = zero
            continue
        most, loss, partition, factor = o[0], zero, zero, Q.dtype.type(w * scale) * c
        for j in range(k):
            most = max(most, o[j])
        for j in range(k):
            o[j] = (o[j] - most) / c
            partition += exp(o[j])
        log_partition = math.log(partition)
        for j in range(k):
            p = y[j] if code == SOFT else (one if y[0] == j else zero)
            loss += p * (log_partition - o[j]) if p > zero else zero
            o[j] = factor * (exp(o[j]) / partition - p)
        total += w * (c * c * loss)
        count += w
    losses[t], seen[t] = total * scale, count


@helper
def weight_of(label_weight, weight_width, row, column):
    """The weight of a label."""
    if weight_width == 0:
        return 1.0
    return float(label_weight[row if weight_width == 1 else row * weight_width + column])


def losses_of(heads, weighted):
    """The kernel of every task's loss, from `Tables.heads`."""
    squared = lose if weighted else lose_squares
    own = {SQUARED: squared, SOFTMAX: lose_jointly, SOFT: lose_jointly}
    return [own.get(code, lose) for code in heads[:, 0].tolist()]
