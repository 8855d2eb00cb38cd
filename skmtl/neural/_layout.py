"""The parameters of a network: one flat vector, and where in it each layer of each task stands.

    theta = [ shared weights | shared biases | weights of single tasks | biases of single tasks ]

A layer that all tasks have is one block; one that each task has for itself is a run of blocks, a task after another.
The heads' weights are one matrix (n_outputs, width), a row per output, so that those of a task stand together. All
that Python shows are views.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmtl._blas import small_product
from skmtl.neural._arrays import Buffers, Tables
from skmtl.neural._jit import address
from skmtl.neural._math import multiply

__all__ = ["Architecture"]


@dataclass(frozen=True)
class Architecture:
    """What a network looks like.

    Attributes
    ----------
    n_features : tuple of int
        One for all tasks, or one per task if each has its own inputs.
    hidden, private : tuple of int
        Widths of the trunk's layers, at least one, and of the hidden layers that every task has for itself behind it.
    sharing : {"shared", "private", "soft"}
        Whether tasks have one trunk or each its own; soft: pulled to their mean.
    n_outputs : tuple of int
        Of every task's head.
    activation : str
    by_task : bool
        Whether rows come task by task; else all tasks read the same rows.
    """

    n_features: tuple
    hidden: tuple
    private: tuple
    sharing: str
    n_outputs: tuple
    activation: str
    by_task: bool

    @property
    def n_tasks(self):
        return len(self.n_outputs)

    @property
    def own_inputs(self):
        """Whether tasks differ in their features."""
        return len(self.n_features) > 1

    @property
    def widths(self):
        """Of all hidden levels."""
        return self.hidden + self.private

    def is_own(self, level):
        """Whether every task has its own weights into a level, and whether it has its own biases there."""
        trunk = level <= len(self.hidden)
        own = not trunk or self.sharing != "shared"
        return own or (level == 1 and self.own_inputs), own

    @cached_property
    def _blocks(self):
        """For every hidden level: the places of its weights and biases, each one place or n_tasks of them."""
        inputs = self.n_features if self.own_inputs else self.n_features * self.n_tasks
        shapes = [[(d, self.widths[0]) for d in inputs]]
        shapes += [[shape] * self.n_tasks for shape in zip(self.widths[:-1], self.widths[1:], strict=True)]
        weights, biases = ([()] * len(shapes) for _ in range(2))
        at, ends = 0, []
        for own in (False, True):
            for kind, places in enumerate((weights, biases)):
                for level, tasks in enumerate(shapes):
                    if self.is_own(level + 1)[kind] == own:
                        sizes = [h if kind else d * h for d, h in (tasks if own else tasks[:1])]
                        places[level] = tuple(at + np.concatenate([[0], np.cumsum(sizes[:-1])]).astype(int))
                        at += sum(sizes)
                if own:
                    ends.append(at)
                    at += sum(self.n_outputs) * (1 if kind else self.widths[-1])
                ends.append(at)
        return shapes, weights, biases, ends

    @cached_property
    def _first_outputs(self):
        """The first output of every task's head among those of all, and their number."""
        return [0, *np.cumsum(self.n_outputs).tolist()]

    @property
    def n_parameters(self):
        return self._blocks[3][-1]

    def tables(self, losses, n_targets, targets, constants, dtype):
        """What the kernels know of it.

        Of every task: the code of its loss, its number of columns of labels, the first of them, and its constant.
        """
        shapes, weights, biases, (shared_w, shared_b, head_w, own_w, head_b, _) = self._blocks
        layers, levels, common = [], [[0, max(self.n_features), int(not self.by_task)]], not self.by_task
        for level, tasks in enumerate(shapes):
            for t, (d, h) in enumerate(tasks if any(self.is_own(level + 1)) else tasks[:1]):
                alone = any(self.is_own(level + 1))
                bias = biases[level][t if len(biases[level]) > 1 else 0]
                layers.append([t if alone else -1, level, weights[level][t], bias, d, h])
            common = common and not self.is_own(level + 1)[0]
            levels.append([0, self.widths[level], int(common)])
        heads = np.column_stack([losses, self._first_outputs[:-1], self.n_outputs, targets, n_targets])
        product = address(multiply, np.empty(0, dtype=dtype))
        places = [head_w, head_b, sum(self.n_outputs), max(self.n_outputs), small_product(), product]
        return Tables(
            layers=np.array(layers, dtype=np.int64),
            levels=np.array(levels, dtype=np.int64),
            heads=heads.astype(np.int64),
            places=np.array(places, dtype=np.int64),
            bounds=np.array([0, shared_w, shared_b, own_w, self.n_parameters], dtype=np.int64),
            soft=np.array(self._soft_blocks(), dtype=np.int64).reshape(-1, 3),
            constants=np.asarray(constants, dtype=dtype),
        )

    def _soft_blocks(self):
        """The blocks that are pulled to their mean: those that have the same shape in every task."""
        if self.sharing != "soft":
            return []
        shapes, weights, biases, _ = self._blocks
        pulled = []
        for level, tasks in enumerate(shapes[: len(self.hidden)]):
            d, h = tasks[0]
            if len(set(tasks)) == 1:
                pulled.append([weights[level][0], d * h, self.n_tasks])
            pulled.append([biases[level][0], h, self.n_tasks])
        return pulled

    def buffers(self, tables, n_items, n_rows, dropout, dtype):
        """Room for a batch of `n_items`, which have `n_rows` rows over all tasks; sets the places of the levels."""
        at = 0
        for level in tables.levels:
            level[0] = at
            at += level[1] * (n_items if level[2] else n_rows)
        outputs = n_items * sum(self.n_outputs) if tables.levels[-1, 2] else n_rows * max(self.n_outputs)
        return Buffers(
            H=np.zeros(at, dtype=dtype),
            D=np.zeros(at, dtype=dtype),
            M=np.zeros(at if dropout else 0, dtype=dtype),
            Q=np.zeros(outputs, dtype=dtype),
            grad=np.zeros(self.n_parameters, dtype=dtype),
            first=np.zeros((2, self.n_tasks + 1), dtype=np.int64),
            sizes=np.zeros((2, self.n_tasks + 1), dtype=np.int64),
            x_start=np.zeros(self.n_tasks + 1, dtype=np.int64),
            y_row=np.zeros(max(n_items, n_rows), dtype=np.int64),
        )

    def initial(self, rng, dtype):
        """Where training starts: Glorot and Bengio's (2010) uniform numbers, drawn layer by layer as scikit-learn does.

        Private trunks that are pulled together start together.
        """
        theta = np.zeros(self.n_parameters)
        factor = 2.0 if self.activation == "logistic" else 6.0
        for W, b in self._all_layers(theta):
            bound = np.sqrt(factor / sum(W.shape))
            W[...] = rng.uniform(-bound, bound, W.shape)
            b[...] = rng.uniform(-bound, bound, b.shape)
        for start, size, count in self._soft_blocks():
            theta[start : start + size * count] = np.tile(theta[start : start + size], count)
        return theta.astype(dtype)

    def _all_layers(self, theta):
        shapes, weights, biases, _ = self._blocks
        for level in range(len(shapes)):
            for t, place in enumerate(weights[level]):
                d, h = shapes[level][t]
                bias = biases[level][min(t, len(biases[level]) - 1)]
                yield theta[place : place + d * h].reshape(d, h), theta[bias : bias + h]
        W, b = self.heads(theta)
        first = 0
        for k in self.n_outputs:
            yield W[first : first + k].T, b[first : first + k]
            first += k

    def heads(self, theta):
        """Views of all heads' weights, (n_outputs, width), and biases, (n_outputs,)."""
        *_, head_w, _, head_b, _ = self._blocks[3]
        k, h = self._first_outputs[-1], self.widths[-1]
        return theta[head_w : head_w + k * h].reshape(k, h), theta[head_b : head_b + k]

    def hidden_layers(self, theta, task):
        """Views of the weights (d_in, d_out) and biases (d_out,) of every hidden layer of a task."""
        shapes, weights, biases, _ = self._blocks
        layers = []
        for level in range(len(shapes)):
            d, h = shapes[level][task]
            place, bias = (places[level][min(task, len(places[level]) - 1)] for places in (weights, biases))
            layers.append((theta[place : place + d * h].reshape(d, h), theta[bias : bias + h]))
        return layers

    def head(self, theta, task):
        """Views of the weights (width, n_outputs) and biases (n_outputs,) of a task's head."""
        W, b = self.heads(theta)
        rows = slice(self._first_outputs[task], self._first_outputs[task + 1])
        return W[rows].T, b[rows]
