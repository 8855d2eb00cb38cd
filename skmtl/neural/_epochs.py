"""What Python calls: some batches of an epoch, or the objective and its gradient."""

import math
from typing import NamedTuple

import numpy as np

from skmtl.neural._jit import entry, part, stage
from skmtl.neural._network import answer, backward, backward_heads, forward, load, lose, weigh_outputs
from skmtl.neural._optimizers import step

__all__ = ["Training", "run_batches"]


class Training(NamedTuple):
    """How it learns, and what changes as it does."""

    theta: np.ndarray  # the parameters
    m: np.ndarray  # as theta: Adam's first moment, SGD's velocity
    v: np.ndarray  # as theta: Adam's second moment
    rates: np.ndarray  # (6,) of theta's dtype, see `update`
    real: np.ndarray  # float64 (8,), see `step`
    steps: np.ndarray  # int64 (1,): steps done
    weight: np.ndarray  # float64 (n_tasks,): the weight of each task in the last batch
    losses: np.ndarray  # float64 (n_tasks,): the losses of the last batch
    seen: np.ndarray  # float64 (n_tasks,): the weights of its labels; 0 of a task that is absent
    sums: np.ndarray  # float64 (n_tasks + 1,): sums over batches of losses and of the objective, times items
    weight_sum: np.ndarray  # float64 (n_tasks,): sums over batches of weights, times items
    random: np.ndarray  # uint64 (1,)


@stage
def record(weight, losses, sums, weight_sum, penalty, n_items):
    """Add the losses of a batch to the sums of the epoch; whether they are finite."""
    n_tasks, objective = len(losses), penalty
    for t in range(n_tasks):
        weight_sum[t] += n_items * weight[t]
        sums[t] += n_items * losses[t]
        objective += weight[t] * losses[t]
    sums[n_tasks] += n_items * objective
    return math.isfinite(objective)


@entry
def run_batches(solver, tables, data, buffers, training, order, batch_size, begin, end):
    """Train on the batches ``range(begin, end)`` of the items in `order`; the number of the batch that failed, or -1.

    A solver of -1 takes no step: the gradient of the loss of the last batch is left in ``buffers.grad``.
    """
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
