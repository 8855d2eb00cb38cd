"""Training data as the kernels read it: items, which batches are made of, and what each brings to which task.

all tasks read the same rows      an item is a row
a row belongs to one task         an item is a row, and one pair (task, row)
tasks read parts of the same row  an item is a row, and a pair for each of its labels
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skmtl._ids import rows_by_code
from skmtl._numba import read_only
from skmtl.neural._arrays import Data

__all__ = ["Table", "without_zeros"]


@dataclass(frozen=True, eq=False)
class Table:
    """Rows, labels and weights.

    Attributes
    ----------
    inputs : list of arrays (n_rows, n_features)
        One, which all tasks read, or one per task.
    Y : array of shape (n_labels, n_columns)
        Labels as numbers, NaN where missing.
    weight : float64 array as Y, or (n_labels,), or None
        None is 1 everywhere.
    first : int array of shape (n_tasks,)
        The first column of every task.
    n_columns : int array of shape (n_tasks,)
        How many columns of Y a task has.
    pairs : None, or int64 array of shape (3, n_pairs)
        Task, row of its inputs, row of Y; sorted by item. None: all tasks read the same rows.
    pointer : None, or int64 array of shape (n_items + 1,)
        The pairs of every item.
    """

    inputs: list
    Y: np.ndarray
    weight: np.ndarray | None
    first: np.ndarray
    n_columns: np.ndarray
    pairs: np.ndarray | None = None
    pointer: np.ndarray | None = None

    @classmethod
    def by_task(cls, inputs, Y, weight, n_columns, task, row):
        """Rows of which each belongs to one task: row i of Y is that of row ``row[i]`` of the inputs of ``task[i]``.

        The labels of a task are in the first of the columns.
        """
        pairs, first = np.array([task, row, np.arange(len(task))], dtype=np.int64), np.zeros_like(n_columns)
        return cls(inputs, Y, weight, first, n_columns, pairs, np.arange(len(task) + 1))

    def split_columns(self, features):
        """The same data where task t reads the columns ``features[t]`` only.

        Of rows that all tasks read, every label becomes a pair.
        """
        (X,) = self.inputs
        if self.pairs is not None:
            task, row, label = self.pairs
            inputs, place = [], np.empty_like(row)
            for at, columns in zip(self._pairs_of, features, strict=True):
                inputs.append(np.ascontiguousarray(X[np.ix_(row[at], columns)]))
                place[at] = np.arange(len(at))
            return replace(self, inputs=inputs, pairs=np.array([task, place, label]))
        labelled = np.column_stack(
            [~np.isnan(self.Y[:, a : a + k]).all(axis=1) for a, k in zip(self.first, self.n_columns, strict=True)]
        )
        row, task = np.nonzero(labelled)
        pointer = np.concatenate([[0], np.cumsum(labelled.sum(axis=1))])
        inputs = [np.ascontiguousarray(X[:, columns]) for columns in features]
        return Table(inputs, self.Y, self.weight, self.first, self.n_columns, np.array([task, row, row]), pointer)

    def astype(self, dtype):
        """The same data with inputs of another type."""
        return replace(self, inputs=[rows.astype(dtype, copy=False) for rows in self.inputs])

    @property
    def n_tasks(self):
        return len(self.first)

    @property
    def n_items(self):
        return len(self.Y) if self.pairs is None else len(self.pointer) - 1

    @property
    def most_pairs(self):
        """The largest number of pairs that an item has."""
        return self.n_tasks if self.pairs is None else int(np.diff(self.pointer).max())

    @property
    def n_features(self):
        return tuple(X.shape[1] for X in self.inputs)

    @cached_property
    def _pairs_of(self):
        """The pairs of every task, found once."""
        return rows_by_code(self.pairs[0], self.n_tasks)[1:]

    @cached_property
    def _item_of_pair(self):
        return np.repeat(np.arange(self.n_items), np.diff(self.pointer))

    def rows_of(self, task, items):
        """Which rows of its inputs, and which rows of Y, a task has among `items`, ascending."""
        if self.pairs is None:
            return items, items
        at = self._pairs_of[task]
        if len(items) < self.n_items:
            own = self._item_of_pair[at]
            at = at[np.searchsorted(items, own, side="left") < np.searchsorted(items, own, side="right")]
        return self.pairs[1, at], self.pairs[2, at]

    def labels_at(self, task):
        """An index of the rows of Y that hold labels of a task."""
        return slice(None) if self.pairs is None else self.pairs[2, self._pairs_of[task]]

    def labels(self, task, rows):
        """Labels (len(rows), n_columns) of a task and their weights, 0 where a label is missing."""
        columns = slice(self.first[task], self.first[task] + self.n_columns[task])
        y = self.Y[rows, columns]
        if self.weight is None:
            w = np.ones(y.shape)
        else:
            w = self.weight[rows, None] if self.weight.ndim == 1 else self.weight[rows, columns]
        return y, np.where(np.isnan(y), 0.0, w)

    def labels_of(self, task, items):
        """As `labels`, for the labels that a task has among `items`."""
        return self.labels(task, self.rows_of(task, items)[1])

    @cached_property
    def one_task_a_row(self):
        """Whether every item belongs to one task."""
        return self.pairs is not None and bool((np.diff(self.pointer) == 1).all())

    def task_of_item(self):
        """The task of every item, where each belongs to one: see `one_task_a_row`."""
        return self.pairs[0]

    def labelled_items(self):
        """The items with a label of some weight for any task; all items if none has one.

        The others would teach nothing, and take places in batches.
        """
        known = ~np.isnan(self.Y)
        if self.weight is not None:
            known &= self.weight.reshape(len(known), -1) > 0
        found = known.any(axis=1)
        if self.pairs is not None:
            found = np.bincount(self._item_of_pair[found[self.pairs[2]]], minlength=self.n_items) > 0
        return np.flatnonzero(found if found.any() else ~found)

    def items_of(self, task):
        """For every column of a task's labels, the items with a label of positive weight there."""
        if self.pairs is None:
            items = rows = np.arange(self.n_items)
        else:
            at = self._pairs_of[task]
            items, rows = self._item_of_pair[at], self.pairs[2, at]
        return [items[weight > 0] for weight in self.labels(task, rows)[1].T]

    def weights(self, items):
        """The sum of the weights of every task's labels in `items`."""
        alike = (self.first == 0).all() and (self.n_columns == self.n_columns[0]).all()
        if alike and self.one_task_a_row:
            _, w = self.labels(0, self.pairs[2, items])
            return np.bincount(self.pairs[0, items], w.sum(axis=1), minlength=self.n_tasks)
        return np.array([self.labels_of(t, items)[1].sum() for t in range(self.n_tasks)])

    def data(self, rate):
        """What kernels read; `rate` (n_tasks,) is the mean weight that an item brings to a task."""
        (dtype,) = {X.dtype for X in self.inputs}
        weight = np.zeros(0) if self.weight is None else self.weight
        pairs, pointer = np.zeros((3, 0), dtype=np.int64), np.zeros(0, dtype=np.int64)
        widths = np.array(self.n_features * (self.n_tasks if len(self.inputs) == 1 else 1), dtype=np.int64)
        if self.pairs is not None:
            pairs, pointer = self.pairs.copy(), self.pointer
            sizes = np.array([X.size for X in self.inputs])
            start = np.cumsum(sizes) - sizes
            pairs[1] = (start[pairs[0]] if len(start) > 1 else 0) + pairs[1] * widths[pairs[0]]
        flat = self.inputs[0].reshape(-1) if len(self.inputs) == 1 else np.concatenate([X.ravel() for X in self.inputs])
        columns = [self.Y.shape[1], 0 if self.weight is None else 1 if weight.ndim == 1 else weight.shape[1]]
        return Data(
            X=read_only(np.ascontiguousarray(flat, dtype=dtype)),
            Y=read_only(np.ascontiguousarray(self.Y, dtype=dtype).ravel()),
            label_weight=read_only(np.ascontiguousarray(weight, dtype=dtype).ravel()),
            columns=read_only(np.array([*columns, widths[0]], dtype=np.int64)),
            pointer=read_only(np.ascontiguousarray(pointer, dtype=np.int64)),
            pairs=read_only(np.ascontiguousarray(pairs, dtype=np.int64)),
            n_features=read_only(widths),
            rate=read_only(np.asarray(rate, dtype=np.float64)),
        )


def without_zeros(Y, weight):
    """Labels with NaN for those of weight 0, and their weights: None if all others weigh 1.

    Both stay as they are if `weight` is None or has a number per row.
    """
    if weight is None or weight.ndim == 1:
        return Y, weight
    return np.where(weight > 0, Y, np.nan), None if np.isin(weight, (0.0, 1.0)).all() else weight
