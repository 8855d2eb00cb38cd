"""Random numbers in kernels: one uint64 of state, which a seed of `random_state` starts; the same on any machine."""

import math

import numpy as np

from skmtl.neural._jit import entry, helper

__all__ = ["draw", "shuffle", "uniform"]


@helper
def uniform(state):
    """A float64 in [0, 1), from the next of 2^64 - 1 numbers.

    Marsaglia (2003), Xorshift RNGs, *Journal of Statistical Software* 8(14).
    """
    x = state[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    return (x >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@helper
def _shuffle(order, first, end, state):
    for i in range(end - 1, first, -1):
        j = first + math.floor(uniform(state) * (i - first + 1))
        order[i], order[j] = order[j], order[i]


@entry
def shuffle(order, state):
    """Put the numbers in `order`, int64 (n,), in a random order; `state` is uint64 (1,)."""
    _shuffle(order, 0, len(order), state)


@entry
def draw(order, items, starts, cursor, share, state):
    """Fill `order` (n,) with items: a task at random, task t with probability ``share[t]``, then its next item.

    items : int64 (n_items,), those of task t in ``starts[t]:starts[t + 1]``, shuffled anew whenever all were drawn.
    cursor : int64 (n_tasks,), the next of each; starts at ``starts[1:]``.
    """
    for b in range(len(order)):
        u, t = uniform(state), 0
        while t < len(share) - 1 and u >= share[t]:
            u -= share[t]
            t += 1
        if cursor[t] == starts[t + 1]:
            _shuffle(items, starts[t], starts[t + 1], state)
            cursor[t] = starts[t]
        order[b] = items[cursor[t]]
        cursor[t] += 1
