"""What the kernels work on: the arrays, by name, and how all of them are one argument.

Python hands over the addresses and the shapes, and a kernel makes arrays of those that it asks for. If arrays were
passed one by one, most of the time to compile a kernel would go into their checks, reference counts and clean-up.
"""

from typing import Annotated, NamedTuple, get_type_hints

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic
from numba.np import arrayobj

from skmtl.neural._jit import Borrowed, borrow

__all__ = ["Balance", "Buffers", "Data", "Tables", "Training", "pack", "take"]


# Type, dimensions, whether kernels write there. Floats are of the network's type, reals float64.
Floats = Annotated[np.ndarray, None, 1, True]
Reals = Annotated[np.ndarray, types.float64, 1, True]
Reals2 = Annotated[np.ndarray, types.float64, 2, True]
Reals3 = Annotated[np.ndarray, types.float64, 3, True]
Ints = Annotated[np.ndarray, types.int64, 1, True]
Ints2 = Annotated[np.ndarray, types.int64, 2, True]
Bits = Annotated[np.ndarray, types.uint64, 1, True]
KnownFloats = Annotated[np.ndarray, None, 1, False]
KnownReals = Annotated[np.ndarray, types.float64, 1, False]
KnownInts = Annotated[np.ndarray, types.int64, 1, False]
KnownInts2 = Annotated[np.ndarray, types.int64, 2, False]


class Tables(NamedTuple):
    """What the network looks like."""

    layers: Ints2  # (n_layers, 6): task or -1, level read, place of W (d_in, d_out), of b, d_in, d_out
    levels: Ints2  # (n_levels, 3): place in the buffer, width, whether common
    heads: Ints2  # (n_tasks, 5): loss, first output, number of them, first target column, number of them
    places: Ints  # (6,): of the heads' W (n_outputs, width), of b; n_outputs, most of a task; small product, `multiply`
    bounds: Ints  # (5,): theta from 0, weights that all tasks have, biases, weights of single tasks, biases, end
    soft: Ints2  # (n_groups, 3): blocks pulled to their mean: place of the first, size, how many
    constants: Floats  # (n_tasks,): where Huber turns linear, or the temperature of a distilled head


class Data(NamedTuple):
    """What it learns from."""

    X: KnownFloats  # common: row i of d numbers; by task: the row of a pair begins where that says
    Y: KnownFloats  # (n_labels, n_columns), NaN where missing; classes as 0, 1, ...
    label_weight: KnownFloats  # of labels: empty, (n_labels,) or as Y
    columns: KnownInts  # (3,): columns of Y, columns of `label_weight` (0: all 1), width of X's rows if common
    pointer: KnownInts  # (n_items + 1,): the pairs of an item; empty if common
    pairs: KnownInts2  # (3, n_pairs): task, place of the row in X, row of Y
    n_features: KnownInts  # (n_tasks,)
    rate: KnownReals  # (n_tasks,): mean weight that an item brings to a task


class Buffers(NamedTuple):
    """Where a batch is worked on.

    first, sizes : of the rows of task t in a level by task, ``[0, t]``, or in a common one, ``[1, t]``; t = -1, which
    is the last, are all tasks.
    """

    H: Floats  # values of all levels
    D: Floats  # gradients with respect to them
    M: Floats  # what dropout multiplied them by; empty without dropout
    Q: Floats  # outputs, then the gradient with respect to them
    grad: Floats  # as theta
    first: Ints2  # (2, n_tasks + 1)
    sizes: Ints2  # (2, n_tasks + 1)
    x_start: Ints  # (n_tasks + 1,): where the rows of a task begin in level 0; the last is 0
    y_row: Ints  # (most rows,): the rows of Y, in the order of level 0


class Training(NamedTuple):
    """How it learns, and what changes as it does."""

    theta: Floats  # the parameters
    m: Floats  # as theta: Adam's first moment, SGD's velocity
    v: Floats  # as theta: Adam's second moment
    real: Reals  # (9,), see RATE and so on in `_optimizers.py`
    steps: Ints  # (1,): steps done
    weight: Reals  # (n_tasks,): the weight of each task in the last batch
    losses: Reals  # (n_tasks,): the losses of the last batch
    seen: Reals  # (n_tasks,): the weights of its labels; 0 of a task that is absent
    sums: Reals  # (2 n_tasks + 1,): sums over batches of weights, losses and the objective, times items
    random: Bits  # (1,)
    jacobian: Floats  # (n_tasks, n_shared): gradients of tasks, if weights are made of them
    order: Ints  # (n_items,): those to train on, batch by batch


class Balance(NamedTuple):
    """What rules of task weights read and write."""

    importance: Reals  # (n_tasks,), sum n_tasks
    learned: Reals2  # (4, n_tasks): a scalar for each task, Adam's two moments and its steps
    reference: Reals  # (n_tasks,): losses of the first epoch; 0 until it is over
    gram: Reals2  # (n_tasks, n_tasks): the Gram matrix of the gradients, filled before the rule's kernel; or empty
    scores: Reals  # (n_tasks,): of a softmax; -inf: has no say
    vectors: Reals2  # (7, n_tasks): workspace
    matrices: Reals3  # (3, n_tasks, n_tasks): workspace; or empty
    turns: Ints2  # (2, n_tasks): workspace


_KINDS = {
    name: hint.__metadata__
    for cls in (Tables, Data, Buffers, Training, Balance)
    for name, hint in get_type_hints(cls, include_extras=True).items()
}
_STEP = 4  # numbers for each: address, and up to three of shape


def _plain_pack(*parts):
    return {name: array for part in parts for name, array in part._asdict().items() if array is not None}


def _pack(*parts):
    """Addresses and shapes of the arrays of some of the above, None for some; whoever calls keeps them alive."""
    packed, known = np.zeros((len(_KINDS), _STEP), dtype=np.int64), _plain_pack(*parts)
    for row, (name, (_, ndim, _)) in zip(packed, _KINDS.items(), strict=True):
        if name in known:
            array = known[name]
            if array.ndim != ndim or not array.flags.c_contiguous:
                raise TypeError(f"{name} must be C-contiguous, of {ndim} dimension(s). Got shape {array.shape}.")
            row[: 1 + ndim] = array.__array_interface__["data"][0], *array.shape
    return packed.ravel()


def _plain_take(packed, theta, names):
    return tuple(packed[name] for name in names.split())


@intrinsic
def _take(typing_context, packed, theta, names):
    """The arrays with these names, in a tuple. theta : an array of the network's type. names : a literal."""
    if not isinstance(names, types.StringLiteral):
        return None
    wanted = names.literal_value.split()
    kinds = [_KINDS[name] for name in wanted]
    kinds = [Borrowed(dtype or theta.dtype, ndim, readonly=not writable) for dtype, ndim, writable in kinds]

    def generate(context, builder, signature, args):
        numbers, arrays = arrayobj.make_array(packed)(context, builder, args[0]).data, []
        for name, kind in zip(wanted, kinds, strict=True):
            place = _STEP * list(_KINDS).index(name)
            address, *shape = (
                builder.load(builder.gep(numbers, [ir.IntType(32)(place + k)])) for k in range(1 + kind.ndim)
            )
            pointer = context.get_data_type(kind.dtype).as_pointer()
            arrays.append(borrow(context, builder, kind, builder.inttoptr(address, pointer), shape))
        return context.make_tuple(builder, signature.return_type, arrays)

    return types.Tuple(kinds)(packed, theta, names), generate


pack, take = (_plain_pack, _plain_take) if config.DISABLE_JIT else (_pack, _take)
