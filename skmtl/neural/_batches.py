"""What Python calls: some batches of an epoch; with a solver that takes no steps, the objective and its gradient."""

import math

import numpy as np

from skmtl.neural._activations import ACTIVATE, ACTIVATIONS, DIFFERENTIATE
from skmtl.neural._arrays import take
from skmtl.neural._conflicts import combine, correlate, kernels_of, pcgrad, share_out, take_directions
from skmtl.neural._jit import address, call, entry, fields
from skmtl.neural._losses import lose_squares, losses_of
from skmtl.neural._network import backward, backward_heads, drop_units, forward, load_pairs, load_rows
from skmtl.neural._optimizers import adapt, limit_norms, pull, step_of
from skmtl.neural._weighting import FROM_GRADIENTS, weigh_losses

__all__ = ["addresses", "run_batches"]

# places in `kernels`, which holds the addresses of the kernels of a batch, 0 for those it does without; from _LOSE on
# stand the losses of the tasks
_LOAD, _ACTIVATE, _DIFFERENTIATE, _FORWARD, _BACKWARD_HEADS, _BACKWARD = range(6)
_CORRELATE, _DIRECT, _WEIGH, _SOLVE, _SHARE, _COMBINE, _PULL, _STEP, _LIMIT, _EACH, _DROP, _LOSE = range(6, 18)
# `call` reads from an entry what parameters it takes; where several can stand, one of them serves as the example
_any_load, _any_loss, _any_rule, _any_step = load_rows, lose_squares, pcgrad, adapt


def addresses(settings, solver, tables, weighted, rule, theta):
    """The kernels that a fit needs, compiled. weighted : whether labels have weights."""
    activation = ACTIVATIONS.index(settings.activation)
    parts = {
        _LOAD: load_rows if tables.levels[0, 2] else load_pairs,
        _ACTIVATE: ACTIVATE[activation],
        _DIFFERENTIATE: DIFFERENTIATE[activation],
        _FORWARD: forward,
        _BACKWARD_HEADS: backward_heads,
        _BACKWARD: backward,
        _PULL: pull if len(tables.soft) else None,
        _STEP: step_of(solver),
        _LIMIT: limit_norms if settings.max_norm else None,
        _EACH: follow_each if rule in FROM_GRADIENTS else None,
        _DROP: drop_units if settings.dropout > 0 else None,
    }
    parts |= zip((_CORRELATE, _DIRECT, _WEIGH, _SOLVE, _SHARE, _COMBINE), kernels_of(rule), strict=True)
    parts |= enumerate(losses_of(tables.heads, weighted), _LOSE)
    kernels = np.zeros(len(parts), dtype=np.int64)
    for place, part in parts.items():
        kernels[place] = 0 if part is None else address(part, theta)
    return kernels


@entry
def run_batches(kernels, packed, theta, rule, batch_size, begin, end):
    """Train on the batches ``range(begin, end)`` of the items in `order`; the number of the batch that failed, or -1.

    rule : code of the rule of task weights, see `Weighting`.
    """
    order, losses, weight, sums = take(packed, theta, "order losses weight sums")
    levels, heads, places, first, sizes = take(packed, theta, "levels heads places first sizes")
    n_tasks, (_, _, by_row), (_, _, common) = len(weight), fields(levels, 0, 3), fields(levels, len(levels) - 1, 3)
    _, _, n_outputs, most, _, _ = fields(places, 0, 6)
    for b in range(begin, end):
        n = min(batch_size, len(order) - b * batch_size)
        call(_any_load, kernels[_LOAD], (packed, theta, b * batch_size, n))
        call(forward, kernels[_FORWARD], (packed, theta, kernels[_ACTIVATE], kernels[_DROP]))
        for t in range(n_tasks):
            _, at, k, _, _ = fields(heads, t, 5)
            step, row = n_outputs, 0
            if not common:
                at, step, row = first[0, t] * most, k, first[by_row, t]
            call(_any_loss, kernels[_LOSE + t], (packed, theta, n, t, at, step, row, sizes[common, t]))
        if kernels[_EACH] != 0:
            call(follow_each, kernels[_EACH], (kernels, packed, theta, rule, n))
        else:
            if kernels[_WEIGH] != 0:
                call(weigh_losses, kernels[_WEIGH], (packed, theta, rule, n))
            call(backward_heads, kernels[_BACKWARD_HEADS], (packed, theta, 1))
            call(backward, kernels[_BACKWARD], (packed, theta, kernels[_DIFFERENTIATE], -1))
        for t in range(n_tasks):
            sums[t] += n * weight[t]
            sums[n_tasks + t] += n * losses[t]
            sums[2 * n_tasks] += n * (weight[t] * losses[t])
        if kernels[_PULL] != 0:
            call(pull, kernels[_PULL], (packed, theta, n))
        call(_any_step, kernels[_STEP], (packed, theta, n))
        if kernels[_LIMIT] != 0:
            call(limit_norms, kernels[_LIMIT], (packed, theta))
        if not math.isfinite(sums[2 * n_tasks]):
            return b
    return -1


@entry
def follow_each(kernels, packed, theta, rule, n):
    """The gradient of every task; then their weights, and for what they share the weighted sum.

    A head, and what else belongs to one task, follows that task's own gradient. One that is not finite makes the sum
    of the objectives NaN.
    """
    gram, sums = take(packed, theta, "gram sums")
    call(backward_heads, kernels[_BACKWARD_HEADS], (packed, theta, 0))
    for t in range(len(gram)):
        call(backward, kernels[_BACKWARD], (packed, theta, kernels[_DIFFERENTIATE], t))
    call(correlate, kernels[_CORRELATE], (packed, theta))
    for t in range(len(gram)):
        if not math.isfinite(gram[t, t]):
            sums[len(sums) - 1] = math.nan
            return
    call(take_directions, kernels[_DIRECT], (packed, theta))
    call(_any_rule, kernels[_WEIGH], (packed, theta, rule, n, kernels[_SOLVE]))
    if kernels[_SHARE] != 0:
        call(share_out, kernels[_SHARE], (packed, theta))
    call(combine, kernels[_COMBINE], (packed, theta))
