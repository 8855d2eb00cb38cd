"""What Python calls where task weights change from batch to batch: by losses, or by gradients; compiled on demand."""

import math

import numpy as np

from skmtl.neural._conflicts import weigh_gradients
from skmtl.neural._epochs import record
from skmtl.neural._jit import entry, helper, part
from skmtl.neural._network import answer, backward, backward_heads, forward, load, lose, weigh_outputs
from skmtl.neural._optimizers import step
from skmtl.neural._weighting import weigh_losses

__all__ = ["run_from_gradients", "run_from_losses"]


@entry
def run_from_losses(rule, balance, solver, tables, data, buffers, training, order, batch_size, begin, end):
    """As `run_batches`, with the weights that a rule makes of every batch's losses."""
    layers, levels, heads, places, weights, soft, constants = tables
    X, Y, label_weight, columns, pointer, pair_task, pair_x, pair_y, n_features, rate = data
    H, D, M, Q, scratch, grad, segments, x_start, y_row = buffers
    theta, m, v, rates, real, steps, weight, losses, seen, sums, weight_sum, random = training
    dropout, common = real[5], levels[0, 2]
    for b in range(begin, end):
        n = min(batch_size, len(order) - b * batch_size)
        items = part(order, b * batch_size, n)
        load(common, X, columns[2], pointer, pair_task, pair_x, pair_y, n_features, items, segments, x_start, y_row, H)
        forward(layers, levels, places, segments, x_start, theta, n, H, M, dropout, random)
        answer(levels, heads, places, segments, theta, n, H, Q)
        lose(levels, heads, places, segments, y_row, constants, n, Q, Y, label_weight, columns, rate, n, losses, seen)
        weigh_losses(rule, losses, seen, rate, n, balance, random, weight)
        weigh_outputs(levels, heads, places, segments, n, weight, Q)
        backward_heads(levels, heads, places, segments, n, H, Q, grad)
        backward(
            layers,
            levels,
            heads,
            places,
            weights,
            segments,
            x_start,
            theta,
            n,
            H,
            D,
            M,
            Q,
            scratch,
            grad,
            grad,
            -1,
            dropout,
        )
        penalty = step(solver, layers, weights, soft, theta, grad, m, v, rates, real, steps, n, scratch)
        if not record(weight, losses, sums, weight_sum, penalty, n):
            return b
    return -1


@entry
def run_from_gradients(
    rule, balance, jacobian, gram, solver, tables, data, buffers, training, order, batch_size, begin, end
):
    """As `run_batches`, with the weights that a rule makes of the gradients of every task on what all share.

    A head, and what else belongs to one task, follows that task's own gradient.

    jacobian : (n_tasks, n_shared), gram : (n_tasks, n_tasks), both of theta's dtype; workspace.
    """
    layers, levels, heads, places, weights, soft, constants = tables
    X, Y, label_weight, columns, pointer, pair_task, pair_x, pair_y, n_features, rate = data
    H, D, M, Q, scratch, grad, segments, x_start, y_row = buffers
    theta, m, v, rates, real, steps, weight, losses, seen, sums, weight_sum, random = training
    dropout, common, n_tasks = real[5], levels[0, 2], len(heads)
    for b in range(begin, end):
        n = min(batch_size, len(order) - b * batch_size)
        items = part(order, b * batch_size, n)
        load(common, X, columns[2], pointer, pair_task, pair_x, pair_y, n_features, items, segments, x_start, y_row, H)
        forward(layers, levels, places, segments, x_start, theta, n, H, M, dropout, random)
        answer(levels, heads, places, segments, theta, n, H, Q)
        lose(levels, heads, places, segments, y_row, constants, n, Q, Y, label_weight, columns, rate, n, losses, seen)
        backward_heads(levels, heads, places, segments, n, H, Q, grad)
        for t in range(n_tasks):
            row = part(jacobian.ravel(), t * jacobian.shape[1], jacobian.shape[1])
            backward(
                layers,
                levels,
                heads,
                places,
                weights,
                segments,
                x_start,
                theta,
                n,
                H,
                D,
                M,
                Q,
                scratch,
                row,
                grad,
                t,
                dropout,
            )
        np.dot(jacobian, jacobian.T, gram)
        if not _widen(gram, balance.gram):
            return b
        weigh_gradients(rule, losses, seen, rate, n, balance, random, weight)
        _combine(jacobian, weight, part(grad, 0, jacobian.shape[1]))
        penalty = step(solver, layers, weights, soft, theta, grad, m, v, rates, real, steps, n, scratch)
        if not record(weight, losses, sums, weight_sum, penalty, n):
            return b
    return -1


@helper
def _widen(gram, out):
    """Copy to float64; whether all is finite."""
    finite = True
    for s in range(out.shape[0]):
        for t in range(out.shape[1]):
            out[s, t] = gram[s, t]
            finite = finite and math.isfinite(gram[s, t])
    return finite


@helper
def _combine(jacobian, weight, out):
    """``out = jacobian' weight``."""
    for p in range(len(out)):
        out[p] = 0
    for t in range(len(weight)):
        w = out.dtype.type(weight[t])
        for p in range(len(out)):
            out[p] += w * jacobian[t, p]
