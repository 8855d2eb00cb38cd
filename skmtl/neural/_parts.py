"""Tasks with rows of their own each, as dicts {task: (X, y)} and {task: weights}."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_array

from skmtl._ids import canonical_ids, describe, lookup, refuse_unknown
from skmtl.tasks import column_names

__all__ = ["Parts", "labelled_parts", "read_parts", "read_rows", "weights_of_parts"]


class Parts(NamedTuple):
    """The rows of all tasks, a task after another.

    Attributes
    ----------
    tasks : array (n_tasks,)
        Sorted.
    inputs : list of n_tasks arrays (n_rows, n_features)
        Floats of one type.
    labels : list
        As they were given; of a task without rows None.
    place : list of n_tasks int arrays
        Where the rows of each stand among all.
    weight : float64 array (n_rows of all tasks,), or None
    names : list of n_tasks arrays (n_features,) or None
        Of the features, where X is a data frame.
    """

    tasks: np.ndarray
    inputs: list
    labels: list
    place: list
    weight: np.ndarray | None
    names: list

    @property
    def task_of_row(self):
        """The position of every row's task."""
        return np.repeat(np.arange(len(self.inputs)), [len(rows) for rows in self.inputs])

    @property
    def row(self):
        """The place of every row among those of its task."""
        return np.concatenate([np.arange(len(rows)) for rows in self.inputs])


def read_parts(X, sample_weight, known):
    """Validate a dict {task: (X, y)}.

    known : the network's tasks, the number of features of each, and for each their names or None; tasks that X lacks
        have no rows.  None: the tasks are those of X.
    """
    if not X:
        raise ValueError("X is an empty dict: it must hold a pair (X, y) for every task.")
    names = list(X)
    ids, missing = canonical_ids(names, "X")
    if missing.any():
        raise ValueError("The dict X has a task that is None or NaN; every task needs a name.")
    tasks, n_features, columns = (np.sort(ids), None, [None] * len(ids)) if known is None else known
    position = lookup(ids, tasks)
    if (position < 0).any():
        raise ValueError(f"The rows are of the tasks {describe(np.sort(ids))}; the network knows {describe(tasks)}.")
    inputs: list = [None] * len(tasks)
    labels: list = [None] * len(tasks)
    columns = list(columns)
    for name, t in zip(names, position, strict=True):
        _check_pair(name, X[name])
        rows, labels[t] = X[name]
        inputs[t], found = read_rows(name, rows, columns[t])
        columns[t] = found if known is None else columns[t]
    dtype = np.result_type(*(rows for rows in inputs if rows is not None))
    for t, rows in enumerate(inputs):
        inputs[t] = np.empty((0, n_features[t]), dtype) if rows is None else np.ascontiguousarray(rows, dtype=dtype)
    ends = np.cumsum([len(rows) for rows in inputs])
    place = [np.arange(end - len(rows), end) for rows, end in zip(inputs, ends, strict=True)]
    weight = None if sample_weight is None else np.ones(ends[-1])
    given = weights_of_parts(sample_weight, X)
    for name, t in zip(names, position, strict=True):
        if name in given:
            weight[place[t]] = _weights(name, given[name], len(place[t]))
    return Parts(tasks, inputs, labels, place, weight, columns)


def read_rows(name, rows, columns):
    """Validated rows of a task, and the names of their columns or None; they must be `columns`, if both are known."""
    if isinstance(rows, tuple):
        raise ValueError(f"X[{name!r}] must be the rows of a task, without labels. Got a tuple.")
    found = column_names(rows)
    if found is not None and columns is not None and not np.array_equal(found, columns):
        raise ValueError(
            f"The feature names of X[{name!r}] should match those that were passed during fit, in their order: "
            f"{describe(columns)}. Got {describe(found)}."
        )
    return check_array(rows, dtype=[np.float64, np.float32], input_name=f"X[{name!r}]"), found


def labelled_parts(X, y):
    """Rows and labels {task: (X, y)}, which may be given as two dicts {task: X} and {task: y}."""
    if not X:
        raise ValueError("X is an empty dict: it must hold a pair (X, y) for some task.")
    if y is None:
        parts = X
    elif not isinstance(y, Mapping) or set(y) != set(X):
        raise ValueError("With X a dict {task: X}, y must be a dict {task: y} of the same tasks, or be part of X.")
    else:
        parts = {name: (X[name], y[name]) for name in X}
    for name, part in parts.items():
        _check_pair(name, part)
    return parts


def _check_pair(name, part):
    if not isinstance(part, (tuple, list)) or len(part) != 2:
        raise ValueError(f"X[{name!r}] must be a pair (X, y). Got {type(part).__name__}.")


def weights_of_parts(sample_weight, tasks):
    """The dict {task: weights}, empty for None."""
    if sample_weight is None:
        return {}
    if not isinstance(sample_weight, Mapping):
        raise ValueError("With X a dict, sample_weight must be a dict {task: weights}, too.")
    refuse_unknown("sample_weight", sample_weight, tasks)
    return sample_weight


def _weights(name, weight, size):
    """Those of the rows of a task."""
    w = np.asarray(weight, dtype=np.float64)
    if w.shape != (size,) or not (w >= 0).all() or not np.isfinite(w).all() or not w.any():
        raise ValueError(f"sample_weight[{name!r}] must hold {size} finite numbers >= 0, not all zero. Got {w!r}.")
    return w
