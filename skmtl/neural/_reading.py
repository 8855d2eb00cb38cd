"""How the data of a fit are read: rows and labels in any layout become a table, and a head for every task.

What a fit is given is a `Given`, what is read of it a `Reading`. To read changes nothing in the estimator, except that
scikit-learn notes the number and names of the columns there.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from skmtl._ids import describe, lookup
from skmtl._labels import as_array
from skmtl.neural._fitted import FittedNetwork
from skmtl.neural._parts import read_parts
from skmtl.neural._table import Table, without_zeros
from skmtl.tasks import check_data, check_labels, column_names

__all__ = ["Given", "NetworkReader", "Reading"]


@dataclass(frozen=True, eq=False)
class Given:
    """Data as the user passes them, and the network of the last fit, if this one may go on with it.

    =======================  ====  =======  =========================================================================
    call                     last  partial  what is known before the data are read
    =======================  ====  =======  =========================================================================
    fit, initialize          None  False    nothing
    fit with warm_start      self  False    what labels mean; the tasks and features may be others: it starts anew
    the first partial_fit    None  True     what labels mean, if they were announced
    partial_fit, validation  self  True     what labels mean, features and tasks, some of which the rows may lack
    =======================  ====  =======  =========================================================================

    Attributes
    ----------
    X, y, sample_weight, task
        As in `fit`.
    last : BaseNetwork, or None
        The fitted network; reading does not change it.
    partial : bool
        Whether these are some rows of many.
    announced : LabelSets, dict {task: Head} or None
        What `classes` of the first partial_fit says of labels.
    """

    X: Any
    y: Any = None
    sample_weight: Any = None
    task: Any = None
    last: Any = None
    partial: bool = False
    announced: Any = None

    @property
    def network(self):
        """The network whose features and tasks these rows have, or None."""
        return self.last if self.partial else None


@dataclass(frozen=True, eq=False)
class Reading:
    """Validated data of a fit, and all that they say of the network.

    Attributes
    ----------
    all_tasks : array
        Ids, also of tasks without weight, which the network does not have.
    tasks : array of shape (n_tasks,)
        Those of the network.
    heads : list of n_tasks Head
    table : Table
        Its labels in their units, or codes of classes.
    counted : Table
        The same rows without the weights of classes: metrics count rows.
    source, task_position
        As in `TaskData`; "parts" for a dict.
    labels : LabelSets, or None
        What codes mean, if all tasks are of classes.
    part_names : list of n_tasks arrays (n_features,) or None
        Of the features, for a dict.
    """

    all_tasks: np.ndarray
    tasks: np.ndarray
    heads: list
    table: Table
    counted: Table
    source: str
    task_position: int | None = None
    labels: Any = None
    part_names: list | None = None

    @classmethod
    def of(cls, tasks, heads, table, source, **more):
        """Of tasks that all have weight, and classes that weigh alike."""
        return cls(tasks, tasks, heads, table, table, source, **more)

    def on_tables(self, change):
        """The same with what the function `change` makes of a table."""
        table = change(self.table)
        return replace(self, table=table, counted=table if self.counted is self.table else change(self.counted))


class NetworkReader(FittedNetwork):
    """What reads data and knows nothing of training: `BaseNetwork` adds that.

    A subclass says in `_make_heads` or `_read` what its labels are.
    """

    def _read(self, given):
        """Validate the data."""
        self._refuse_sparse(given.X)
        if isinstance(given.X, Mapping):
            return self._read_parts(given)
        self._check_columns(given)
        labels, y = self._code_labels(given.y, given)
        network = given.network
        data = self._check_data(given, y, given.sample_weight, empty=network is not None)
        if network is not None:
            network._check_source(data.source)
            outputs = data.source == network._source == "outputs"
            if outputs and len(data.tasks) == len(network.tasks_) and column_names(y) is None:
                data = replace(data, tasks=network.tasks_)
        weighed = self._weigh(data, labels)
        all_tasks, tasks = _tasks_of(weighed, network)
        heads, table = self._make_heads(labels, lookup(tasks, all_tasks)), _table_of(weighed.reindex(tasks))
        counted = table if weighed is data else _table_of(data.reindex(tasks))
        return Reading(all_tasks, tasks, heads, table, counted, data.source, data.task_position, labels)

    def _read_parts(self, given):
        """Validate a dict {task: (X, y)}."""
        name = type(self).__name__
        if given.y is not None or given.task is not None:
            raise ValueError(f"With X a dict {{task: (X, y)}}, {name}.fit takes neither y nor task.")
        if self.task is not None:
            raise ValueError(f"With X a dict {{task: (X, y)}}, {name} takes no task column; got task={self.task!r}.")
        parts = self._check_parts(given)
        labels, codes = self._encode_parts(parts, given)
        ones = np.ones(len(parts.tasks), dtype=np.int64)
        table = Table.by_task(parts.inputs, codes, parts.weight, ones, parts.task_of_row, parts.row)
        heads = self._make_heads(labels, np.arange(len(parts.tasks)))
        return Reading.of(parts.tasks, heads, table, "parts", labels=labels, part_names=parts.names)

    def _check_data(self, given, y, sample_weight, empty):
        """As `check_data`, for rows that are no dict."""
        named = self if given.network is None else copy.copy(self)  # the columns keep the names of the first rows
        options = {"task": given.task, "task_column": self.task, "empty": empty, "keep_float32": True}
        return check_data(given.X, y, sample_weight, estimator=named, **options)

    def _check_parts(self, given):
        """As `read_parts`, which may lack tasks of the network whose rows these are."""
        network, known = given.network, None
        if network is None:  # tasks may have features of their own: there is no one number of them
            for attribute in ("n_features_in_", "feature_names_in_"):
                self.__dict__.pop(attribute, None)
        elif network._source == "parts":
            features = network._architecture.n_features
            features = features if len(features) > 1 else features * len(network._names)
            known = network._names, features, network._part_names
        return read_parts(given.X, given.sample_weight, known)

    def _check_columns(self, given):
        """Raise, in scikit-learn's words, for other columns than those of the network whose rows these are."""
        if given.network is not None and not isinstance(given.X, Mapping):
            validate_data(given.network, given.X, reset=False, skip_check_array=True)

    def _check_source(self, source):
        """Raise ValueError for rows without task ids or columns, so of task 0, if the fit had any; or vice versa."""
        if "single" in (self._source, source) and {self._source, source} & {"column", "metadata"}:
            had, have = ("without", "with") if self._source == "single" else ("with", "without")
            raise ValueError(
                f"This {type(self).__name__} was fitted {had} task ids, but these rows come {have} them. Ids are given "
                "as task=ids, in validation_data as (X, y, ids), or in a column of X that the parameter task names."
            )

        if source == "single" and self._source == "outputs" and len(self.tasks_) > 1:  # or y would be that of task 0
            raise ValueError(
                f"This {type(self).__name__} was fitted with a column of y for each of the tasks "
                f"{describe(self.tasks_)}, but the y of these rows is 1-D. Columns without labels are NaN."
            )

    def _code_labels(self, y, given):
        """The label sets of y, or None, and y as numbers or codes, in its own layout."""
        return None, y

    def _encode_parts(self, parts, given):
        """The label sets of all parts, or None, and their labels, one below the other, as a column of codes."""
        columns = []
        for name, rows, y in zip(parts.tasks.tolist(), parts.inputs, parts.labels, strict=True):
            if len(rows):
                y = as_array(y)
                if y.shape not in ((len(rows),), (len(rows), 1)):
                    raise ValueError(
                        f"y of task {name!r} must have shape ({len(rows)},), as its X has rows. Got {y.shape}."
                    )
                columns.append(y.ravel())
        if len({y.dtype.kind in "US" for y in columns}) > 1:  # or numbers would become text
            columns = [y.astype(object) for y in columns]
        labels, y = self._code_labels(np.concatenate(columns), given)
        y = check_labels(y)
        if np.isnan(y).any():
            raise ValueError("Input y contains NaN: drop the rows without a label from the dict.")
        return labels, y[:, None]

    def _weigh(self, data, labels):
        """The data with the weights of classes."""
        return data

    def _check_numbers(self, table):
        """Raise ValueError for labels that a loss cannot take."""

    def _read_to_score(self, validation_data, sample_weight=None, closed=True):
        """Rows to score, in the layout and with the tasks of the fit: a table, and the network's heads.

        These have more classes, behind those of the fit, if there are labels that it did not see and `closed` is false.
        """
        reader = copy.copy(self)
        reader._heads = [replace(head, closed=closed) for head in self._heads]
        if hasattr(reader, "class_weight"):
            reader.class_weight = None  # a metric counts rows
        if isinstance(validation_data, Mapping):
            X, y, task = validation_data, None, None
        elif isinstance(validation_data, (tuple, list)) and len(validation_data) in (2, 3):
            X, y, task = (*validation_data, None)[:3]
        else:
            raise ValueError(
                "validation_data must be (X, y), (X, y, task) or a dict {task: (X, y)}. Got "
                f"{type(validation_data).__name__}."
            )
        reading = reader._read(Given(X, y, sample_weight, task, last=reader, partial=True))
        kinds = [[head.kind for head in heads] for heads in (self._heads, reading.heads)]
        if not np.array_equal(reading.tasks, self._names):
            raise ValueError(
                f"Rows to score must have the tasks of the fit, {describe(self._names)}. Got {describe(reading.tasks)}."
            )
        if reading.table.n_features != self._n_read or kinds[0] != kinds[1]:
            raise ValueError("Rows to score must have the features and the kinds of labels of the fit.")
        self._check_numbers(reading.table)
        heads = [replace(head, classes=read.classes) for head, read in zip(self._heads, reading.heads, strict=True)]
        return heads, reading.table if self._columns is None else reading.table.split_columns(self._columns)

    def _own_features(self, reading):
        """The positions of every task's features, as `features` says; None: all read all."""
        if self.features is None:
            return None
        if len(reading.table.inputs) > 1:
            raise ValueError("features selects columns of one X; here every task comes with an X of its own.")
        return [self._columns_of(name, reading) for name in reading.tasks.tolist()]

    def _columns_of(self, task, reading):
        """The positions of a task's features, in X without the task column."""
        n_features = reading.table.inputs[0].shape[1]
        columns = self.features.get(task)
        if columns is None:
            raise ValueError(
                f"features names no columns of task {task!r}: it must have every task, {describe(reading.tasks)}."
            )
        if np.size(columns) == 0:
            raise ValueError(f"features[{task!r}] is empty: every task needs a column at least.")
        names = getattr(self, "feature_names_in_", None)
        if names is not None and reading.task_position is not None:
            names = np.delete(names, reading.task_position)
        positions = []
        for column in np.atleast_1d(np.asarray(columns, dtype=object)):
            if isinstance(column, str):
                if names is None or column not in names:
                    raise ValueError(f"features[{task!r}] names the column {column!r}, which X does not have.")
                positions.append(int(np.flatnonzero(names == column)[0]))
            elif isinstance(column, (int, np.integer)) and not isinstance(column, bool) and 0 <= column < n_features:
                positions.append(int(column))
            else:
                raise ValueError(
                    f"features[{task!r}] must hold column names or positions of {n_features} features. Got {column!r}."
                )
        return positions


def _tasks_of(data, network):
    """All tasks of the data, and those to learn: with some weight, or known to the network whose rows these are."""
    if network is not None and not data.shared:
        if (lookup(data.tasks, network._names) < 0).any():
            raise ValueError(
                f"The rows are of the tasks {describe(data.tasks)}; the network knows {describe(network._names)}."
            )
        return network.tasks_, network._names
    learnt = data.task_weight() > 0
    if network is not None and np.array_equal(data.tasks, network.tasks_):
        learnt |= lookup(data.tasks, network._names) >= 0
    return data.tasks, data.tasks[learnt]


def _table_of(data):
    """`TaskData` as a table."""
    ones = np.ones(data.n_tasks, dtype=np.int64)
    if data.shared:
        Y, weight = without_zeros(data.y, data.weight)
        weight = None if weight is None else np.ascontiguousarray(weight)
        return Table([data.X], np.ascontiguousarray(Y), weight, np.arange(data.n_tasks), ones)
    Y, n = data.y[:, None], len(data.y)
    if data.n_tasks == 1:  # all rows are its own
        return Table([data.X], Y, data.weight, np.zeros(1, dtype=np.int64), ones)
    return Table.by_task([data.X], Y, data.weight, ones, data.task_of_row, np.arange(n))
