"""How the data of a fit are read: rows and labels in any layout become a table, and a head for every task."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from sklearn.utils.validation import validate_data

from skmtl._ids import describe, lookup
from skmtl._labels import as_array
from skmtl.neural._fitted import FittedNetwork
from skmtl.neural._parts import read_parts
from skmtl.neural._table import Table, without_zeros
from skmtl.tasks import check_data, check_labels, column_names

__all__ = ["NetworkReader", "Reading"]


@dataclass(frozen=True, eq=False)
class Reading:
    """Validated data of a fit.

    Attributes
    ----------
    tasks : array of shape (n_tasks,)
    heads : list of n_tasks Head
    table : Table
        Its labels in their units, or codes of classes.
    source, task_position
        As in `TaskData`.
    counted : Table, or None
        The same rows without the weights of classes, if there are such: metrics count rows.
    """

    tasks: np.ndarray
    heads: list
    table: Table
    source: str
    task_position: int | None = None
    counted: Table | None = None


class NetworkReader(FittedNetwork):
    """What reads data and knows nothing of training: `BaseNetwork` adds that.

    A subclass says in `_make_heads` or `_read` what its labels are.
    """

    def _read(self, X, y, sample_weight, task, as_before, partial):
        """Validate the data.

        as_before : whether labels must be those of the last fit, if there was one.
        partial : whether rows may lack tasks of the last fit.
        """
        self._refuse_sparse(X)
        if isinstance(X, Mapping):
            return self._read_parts(X, y, sample_weight, task, as_before, partial)
        known = self._check_columns(X, partial)  # then rows may lack tasks
        y = self._encode_labels(y, as_before)
        options = {"task": task, "task_column": self.task, "estimator": self, "empty": known, "keep_float32": True}
        data = check_data(X, y, sample_weight, **options)
        if known:
            self._check_source(data.source)
            outputs = data.source == self._source == "outputs"
            if outputs and len(data.tasks) == len(self.tasks_) and column_names(y) is None:
                data = replace(data, tasks=self.tasks_)
        counted, data = data, self._weigh(data)
        if known and not data.shared:
            if (lookup(data.tasks, self._names) < 0).any():
                raise ValueError(
                    f"The rows are of the tasks {describe(data.tasks)}; the network knows {describe(self._names)}."
                )
            data, kept = data.reindex(self._names), np.arange(len(self._names))
        else:
            totals = data.task_weight()
            if not data.shared and not totals.all():  # of a task whose classes weigh nothing
                counted, data = (part.take(totals[part.task_of_row] > 0) for part in (counted, data))
            if known and np.array_equal(data.tasks, self.tasks_):
                totals = np.where(lookup(data.tasks, self._names) >= 0, 1.0, totals)
            self.tasks_, kept = data.tasks, np.flatnonzero(totals)
        heads, table = self._make_heads(kept), _table_of(data, kept)
        counted = None if partial or self._weighs_alike else _table_of(counted, kept)
        return Reading(data.tasks[kept], heads, table, data.source, data.task_position, counted)

    def _read_parts(self, X, y, sample_weight, task, as_before, partial):
        """Validate a dict {task: (X, y)}."""
        name = type(self).__name__
        if y is not None or task is not None:
            raise ValueError(f"With X a dict {{task: (X, y)}}, {name}.fit takes neither y nor task.")
        if self.task is not None:
            raise ValueError(f"With X a dict {{task: (X, y)}}, {name} takes no task column; got task={self.task!r}.")
        parts = read_parts(X, sample_weight, self._known_parts(partial))
        labels, ones = self._encode_parts(parts, as_before), np.ones(len(parts.tasks), dtype=np.int64)
        table = Table.by_task(parts.inputs, labels, parts.weight, ones, parts.task_of_row, parts.row)
        self.tasks_ = parts.tasks
        self._name_features(parts)
        return Reading(parts.tasks, self._make_heads(np.arange(len(parts.tasks))), table, "parts")

    def _check_columns(self, X, partial):
        """Whether rows are for a network that exists already: then their columns must be those of the fit."""
        known = partial and hasattr(self, "_names")
        if known and not isinstance(X, Mapping):
            validate_data(self, X, reset=False, skip_check_array=True)  # in scikit-learn's words
        return known

    def _check_source(self, source):
        """Raise ValueError if the fit had task ids and these rows have none, so would be of task 0; or vice versa."""
        if "single" in (self._source, source) and {self._source, source} & {"column", "metadata"}:
            had, have = ("without", "with") if self._source == "single" else ("with", "without")
            raise ValueError(
                f"This {type(self).__name__} was fitted {had} task ids, but these rows come {have} them. Ids are given "
                "as task=ids, in validation_data as (X, y, ids), or in a column of X that the parameter task names."
            )

    def _name_features(self, parts):
        """Where tasks have features of their own, there is no one number of them."""
        self._part_names = parts.names
        for attribute in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(attribute, None)

    def _known_parts(self, partial):
        """The tasks of the network, how many features each has and their names, if a dict may lack some of them."""
        if not partial or getattr(self, "_source", None) != "parts":
            return None
        features = self._architecture.n_features
        return self._names, features if len(features) > 1 else features * len(self._names), self._part_names

    def _encode_labels(self, y, as_before):
        return y

    def _encode_parts(self, parts, as_before):
        """The labels of all parts, one below the other, as a column of numbers or codes."""
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
        y = check_labels(self._encode_labels(np.concatenate(columns), as_before))
        if np.isnan(y).any():
            raise ValueError("Input y contains NaN: drop the rows without a label from the dict.")
        return y[:, None]

    def _weigh(self, data):
        return data

    @property
    def _weighs_alike(self):
        """Whether all classes weigh the same."""
        return getattr(self, "class_weight", None) is None

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
        reading = reader._read(X, y, sample_weight, task, as_before=True, partial=True)
        kinds = [[head.kind for head in heads] for heads in (self._heads, reading.heads)]
        if not np.array_equal(reading.tasks, self._names):
            raise ValueError(
                f"Rows to score must have the tasks of the fit, {describe(self._names)}. Got {describe(reading.tasks)}."
            )
        if reading.table.n_features != self._n_read or kinds[0] != kinds[1]:
            raise ValueError("Rows to score must have the features and the kinds of labels of the fit.")
        self._check_numbers(reading.table)
        reader._task_position = self._task_position
        heads = [replace(head, classes=read.classes) for head, read in zip(self._heads, reading.heads, strict=True)]
        return heads, reading.table if self._columns is None else reading.table.split_columns(self._columns)

    def _own_features(self, reading):
        """The positions of every task's features, as `features` says; None: all read all."""
        if self.features is None:
            return None
        if len(reading.table.inputs) > 1:
            raise ValueError("features selects columns of one X; here every task comes with an X of its own.")
        return [self._columns_of(name, reading.table.inputs[0].shape[1]) for name in reading.tasks.tolist()]

    def _columns_of(self, task, n_features):
        """The positions of a task's features, in X without the task column."""
        columns = self.features.get(task)
        if columns is None:
            raise ValueError(
                f"features names no columns of task {task!r}: it must have every task, {describe(self._names)}."
            )
        if np.size(columns) == 0:
            raise ValueError(f"features[{task!r}] is empty: every task needs a column at least.")
        names = getattr(self, "feature_names_in_", None)
        if names is not None and self._task_position is not None:
            names = np.delete(names, self._task_position)
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


def _table_of(data, kept):
    """`TaskData` as a table of the tasks at the positions `kept`, the only ones of some weight."""
    ones = np.ones(len(kept), dtype=np.int64)
    if data.shared:
        Y, weight = without_zeros(data.y, data.weight)
        if weight is not None and weight.ndim == 2:
            weight = np.ascontiguousarray(weight[:, kept])
        return Table([data.X], np.ascontiguousarray(Y[:, kept]), weight, np.arange(len(kept)), ones)
    Y, n = data.y[:, None], len(data.y)
    if len(kept) == 1:  # all rows are its own
        return Table([data.X], Y, data.weight, np.zeros(1, dtype=np.int64), ones)
    return Table.by_task([data.X], Y, data.weight, ones, np.searchsorted(kept, data.task_of_row), np.arange(n))
