"""Labels of a classification, of any type and in any container, as codes and back.

    labels   strings, booleans or numbers; in a 2-D y also None, NaN, NA or null where a row has none
    codes    0.0, 1.0, ...: the position of a label among those it is told from; NaN where it is missing

Where every task decides between two labels, the codes of a task are positions in its own set: no or yes, low or high.
Otherwise they are positions in the union of all sets, so that a label means the same in every task: weights of "a" in
one task are compared with those of "a" in another, not with those of whatever comes first there.
"""

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
from scipy import sparse
from sklearn.exceptions import DataConversionWarning

from skmtl._ids import encode, where_missing
from skmtl._warnings import warn
from skmtl.tasks import as_frame, column_names

__all__ = ["LabelSets", "as_array", "encode_labels", "label_columns", "list_labels", "named"]


@dataclass(frozen=True, eq=False)
class LabelSets:
    """Which labels there are.

    Attributes
    ----------
    classes : array of shape (n_classes,) or (n_tasks, n_classes), or list of n_tasks arrays
        Sorted. 1-D: one set for all tasks. Wide: a row for each task; a list where these differ in length.
    union : array of shape (n_labels,)
        All labels, sorted.
    """

    classes: Any
    union: np.ndarray

    @property
    def wide(self):
        """Whether every task, a column of y, has a set of its own."""
        return isinstance(self.classes, list) or self.classes.ndim == 2

    @property
    def binary(self):
        """Whether every task has two classes at most: one number tells them apart."""
        return not isinstance(self.classes, list) and self.classes.shape[-1] <= 2

    @property
    def n_classes(self):
        """The number of codes."""
        return self.classes.shape[-1] if self.binary else len(self.union)

    def coded(self, t):
        """The labels that the codes 0, 1, ... of task t stand for."""
        return self.classes[t] if self.wide and self.binary else self.union

    def own(self, t):
        """The codes of the classes of task t."""
        return _positions(self.classes[t] if self.wide else self.classes, self.coded(t))


def encode_labels(y):
    """The label sets of y, and its codes.

    Parameters
    ----------
    y : array-like, Series or data frame of shape (n_samples,) or (n_samples, n_tasks)

    Returns
    -------
    labels : LabelSets
    codes : float64 array of the shape of y, or a data frame with the names of its columns
        A single column becomes 1-D, with a warning.

    Raises
    ------
    ValueError, TypeError
        Labels that are no classes: fractions, infinity, complex numbers, text and numbers in one column; a sparse y.
    """
    columns, wide = label_columns(y)
    if not columns:
        raise ValueError("y must have a column of labels for each task. Got none.")
    if wide and len(columns) == 1:
        warn("A column-vector y was passed when a 1d array was expected.", DataConversionWarning)
        wide = False
    gaps = any(missing.any() for _, missing in columns)
    found = [_encode(_classes_only(labels[~missing], gaps)) for labels, missing in columns]
    if not wide:
        ((classes, codes),) = found
        return LabelSets(classes, classes), _spread(codes.astype(np.float64), columns[0][1])
    sets = _label_sets([classes for classes, _ in found])
    codes = [
        _spread(_positions(classes, sets.coded(t)).astype(np.float64)[code], columns[t][1])
        for t, (classes, code) in enumerate(found)
    ]
    return sets, named(y, np.column_stack(codes))


def label_columns(y):
    """The labels of every column of y.

    Returns
    -------
    columns : list of pairs of arrays (n_samples,)
        The labels in their own type, and a mask that is true where one is missing; there the label means nothing.
    wide : bool
        Whether y is 2-D.
    """
    if sparse.issparse(y):
        raise TypeError("y must be dense: a zero of a sparse y may be a label or a missing one. Pass y.toarray().")
    if (frame := as_frame(y)) is not None:
        return [_typed(column.to_numpy()) for column in frame.iter_columns()], True
    series = nw.from_native(y, series_only=True, pass_through=True)
    if isinstance(series, nw.Series):
        return [_typed(series.to_numpy())], False
    y = as_array(y)
    if y.ndim not in (1, 2):
        raise ValueError(f"y must have shape (n_samples,) or (n_samples, n_tasks). Got an array of shape {y.shape}.")
    return [_typed(column) for column in np.atleast_2d(y.T)], y.ndim == 2


def list_labels(Y):
    """The labels that a wide Y holds, row by row.

    Returns
    -------
    y : array of shape (n_labels,)
    rows, codes : int arrays of shape (n_labels,)
        Where each stood: ``Y[rows, codes]``.
    tasks : array of shape (n_tasks,)
        The names of the columns if all are text, else their positions.
    """
    names = column_names(Y)
    Y = as_array(Y)
    if Y.ndim != 2:
        raise ValueError(
            f"Y must have one column per task, shape (n_samples, n_tasks). Got an array of shape {Y.shape}."
        )
    missing = np.isnan(Y) if Y.dtype.kind == "f" else where_missing(Y)
    rows, codes = np.nonzero(~missing)
    y = Y[rows, codes]
    if y.dtype == object and not any(isinstance(label, str) for label in y):
        y = np.array(y.tolist())
    return y, rows, np.arange(Y.shape[1]) if names is None else names, codes


def as_array(y):
    """An array of y; of objects if it is a list, so that ["a", nan] does not become ["a", "nan"]."""
    return np.asarray(y, dtype=object if isinstance(y, (list, tuple)) else None)


def _typed(column):
    """The labels of a column as booleans, numbers or text, and where they are missing."""
    kind = column.dtype.kind
    if kind == "c":
        raise ValueError("Complex data not supported: labels are strings, booleans or real numbers.")
    if kind in "biufU":
        return column, np.isnan(column) if kind == "f" else np.zeros(len(column), dtype=bool)
    if kind in "mM":  # nanoseconds would become integers as objects
        raise _unknown_type({str(column.dtype)})
    column = column.astype(object)
    missing = where_missing(column)
    known = column[~missing].tolist()
    if all(isinstance(label, str) for label in known):
        return column, missing
    if not all(isinstance(label, (bool, int, float, np.bool_, np.integer, np.floating)) for label in known):
        raise _unknown_type({type(label).__name__ for label in known})
    numbers = np.array(known)  # of the type that holds them all
    return _spread(numbers, missing, 0), missing


def _unknown_type(names):
    return ValueError(
        "Unknown label type: the labels of a task must be all text, all numbers or all booleans. Got "
        f"{', '.join(sorted(names))}."
    )


def _classes_only(labels, gaps):
    """The labels, if they are classes; as integers if it was for NaN that they became floats."""
    if labels.dtype.kind != "f":
        return labels
    if np.isinf(labels).any():
        raise ValueError("Input y contains infinity.")
    fractions = labels[labels != np.trunc(labels)]
    if len(fractions):
        raise ValueError(
            f"Unknown label type: continuous. A classifier needs classes, and y holds {fractions[0]}; use a regressor "
            "for numbers."
        )
    return labels.astype(np.int64) if gaps else labels


def _encode(labels):
    classes, codes = encode(labels)
    return classes, codes.astype(np.intp)


def _spread(values, missing, fill=np.nan):
    """Values of what is not missing, and `fill` elsewhere."""
    out = np.full(len(missing), fill, dtype=values.dtype)
    out[~missing] = values
    return out


def _label_sets(sets):
    """The label sets of columns; if all together have two labels, a task that saw only one of them has both."""
    kinds = {"text" if classes.dtype.kind in "OU" else classes.dtype.kind == "b" for classes in sets}
    dtype = np.result_type(*sets) if len(kinds) == 1 else np.dtype(object)  # in an array of integers True would be 1
    distinct = {label for classes in sets for label in classes.tolist()}
    union = np.array(sorted(distinct, key=lambda label: (isinstance(label, str), label)), dtype=dtype)
    if len(union) <= 2 and min(map(len, sets)) < 2:
        sets = [union] * len(sets)
    if len({len(classes) for classes in sets}) > 1:
        return LabelSets(list(sets), union)
    return LabelSets(np.array([classes.astype(dtype) for classes in sets], dtype=dtype), union)


def _positions(labels, among):
    """Where each label stands in `among`."""
    position = {label: k for k, label in enumerate(among.tolist())}
    return np.array([position[label] for label in labels.tolist()], dtype=np.intp)


def named(y, codes):
    """The codes with the names of y's columns, which are the ids of the tasks."""
    if column_names(y) is None:
        return codes
    frame = nw.from_native(y, eager_only=True)
    columns = dict(zip(frame.columns, codes.T, strict=True))
    return nw.from_dict(columns, backend=frame.implementation).to_native()
