"""Data: the one validation of rows, labels, weights and task ids; every layout becomes one `TaskData`.

Three layouts, one meaning:

    shared   X (n, d), Y (n, T)           every row may have a label for every task; NaN where it has none
    long     X (n, d) with a task column  a row belongs to one task; the column is named or given by position
    long     X (n, d), task (n,)          the same, the ids passed beside X

``take_task_column`` splits the ids off X, ``check_data`` makes the `TaskData` of a fit, ``check_rows`` the rows of a
prediction.  Nothing behind this module validates data again.

A sparse X becomes a CSR array with sorted, distinct indices, and stays one: what is not stored is zero, and never
written out.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import narwhals as nw
import numpy as np
from scipy import sparse
from sklearn import config_context, get_config
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import check_array, check_consistent_length, get_tags
from sklearn.utils.validation import validate_data

from skmtl._ids import brief, describe, find_tasks, lookup, number_tasks, where_missing
from skmtl._numba import read_only
from skmtl._warnings import warn

__all__ = ["TaskData", "check_data", "check_rows", "refuse_other_column", "take_task_column"]

_FLOATS = [np.float64, np.float32]


@dataclass(frozen=True, eq=False)
class TaskData:
    """Rows of all tasks, validated: what moments are made of.

    Attributes
    ----------
    X : float64 array of shape (n_samples, n_features), C-ordered, read-only; or a CSR array of such numbers
        In the long layout the rows of a task stand together, tasks in the order of `tasks`.
    y : float64 array of shape (n_samples,), long, or (n_samples, n_tasks), shared
        In units of the target; 0 where the label is missing.
    weight : float64 array shaped as `y`, or (n_samples,) also in the shared layout, or None
        None is 1 everywhere. A missing label is weight 0.
    tasks : array of shape (n_tasks,)
        The ids.
    starts : int64 array of shape (n_tasks + 1,), or None
        Long: task t is ``X[starts[t]:starts[t + 1]]``. None: shared.
    rows : int64 array of shape (n_samples,)
        A number for each row that no other row has, wherever it was read: moments of parts are told apart by them.
    source : {"column", "metadata", "outputs", "single"}
        Where the tasks came from.
    task_position : int or None
        Which column of the user's X held the ids.
    dtype : numpy dtype
        Of the user's X: what `coef_` is returned in.
    """

    X: Any
    y: np.ndarray
    weight: np.ndarray | None
    tasks: np.ndarray
    starts: np.ndarray | None
    rows: np.ndarray
    source: str = "single"
    task_position: int | None = None
    dtype: np.dtype = np.dtype(np.float64)

    @property
    def shared(self):
        """Whether all tasks share the rows of X."""
        return self.starts is None

    @property
    def complete(self):
        """Whether all tasks share their rows and the weights of them: then they share one Gram matrix, too."""
        return self.shared and (self.weight is None or self.weight.ndim == 1)

    @property
    def n_tasks(self):
        """Number of tasks, those without rows included."""
        return len(self.tasks)

    @cached_property
    def task_of_row(self):
        """The position of every row's task, long layout; shape (n_samples,)."""
        return np.repeat(np.arange(self.n_tasks), np.diff(self.starts))

    def block(self, t):
        """Rows, labels and weights (or None) of task t: views of a long table, the labelled rows of a shared one."""
        if not self.shared:
            rows = slice(self.starts[t], self.starts[t + 1])
            X = _rows_between(self.X, *self.starts[t : t + 2]) if sparse.issparse(self.X) else self.X[rows]
            return X, self.y[rows], None if self.weight is None else self.weight[rows]
        if self.complete:
            return self.X, self.y[:, t], self.weight
        labelled = np.flatnonzero(self.weight[:, t])
        return self.X[labelled], self.y[labelled, t], self.weight[labelled, t]

    def take(self, kept):
        """The rows where the boolean mask `kept` (n_samples,) is true."""
        starts = self.starts
        if starts is not None:
            starts = np.concatenate([[0], np.cumsum(kept)])[starts]
        weight = None if self.weight is None else self.weight[kept]
        return replace(self, X=self.X[kept], y=self.y[kept], weight=weight, starts=starts, rows=self.rows[kept])

    def drop(self, rows):
        """All rows but those with a number in `rows`."""
        return self.take(~np.isin(self.rows, rows))

    def reindex(self, tasks):
        """The rows of the tasks with the ids `tasks`, in that order; an id that is new has no rows."""
        if np.array_equal(tasks, self.tasks):
            return self
        at = lookup(tasks, self.tasks)
        if self.shared:
            if (at < 0).any():
                weight = np.where(at >= 0, self.label_weight()[:, at], 0.0)
            else:
                weight = self.weight if self.complete else self.weight[:, at]
            return replace(self, y=self.y[:, at], weight=weight, tasks=tasks)
        sizes = np.where(at >= 0, np.diff(self.starts)[at], 0)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        rows = np.arange(starts[-1]) + np.repeat(self.starts[at] - starts[:-1], sizes)
        weight = None if self.weight is None else self.weight[rows]
        return replace(
            self, X=self.X[rows], y=self.y[rows], weight=weight, tasks=tasks, starts=starts, rows=self.rows[rows]
        )

    def label_weight(self):
        """The weight of every label, shaped as `y`."""
        if self.weight is None:
            return np.ones(self.y.shape)
        return np.broadcast_to(self.weight if self.weight.ndim == self.y.ndim else self.weight[:, None], self.y.shape)

    def task_weight(self):
        """The weight of every task, shape (n_tasks,)."""
        weight = self.label_weight()
        return weight.sum(axis=0) if self.shared else np.bincount(self.task_of_row, weight, minlength=self.n_tasks)

    def __add__(self, other):
        """The rows of both; the same tasks in the same layout."""
        if self.weight is None and other.weight is None:
            weight = None
        elif self.complete and other.complete:
            weight = np.concatenate(
                [np.ones(len(part.y)) if part.weight is None else part.weight for part in (self, other)]
            )
        else:
            weight = np.concatenate([self.label_weight(), other.label_weight()])
        joint: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("y", "rows")
        }
        stack = partial(sparse.vstack, format="csr") if sparse.issparse(self.X) else np.concatenate
        joint["X"] = stack([self.X, other.X])
        if self.shared:
            return replace(self, **joint, weight=weight)
        order = np.argsort(np.concatenate([self.task_of_row, other.task_of_row]), kind="stable")
        joint = {name: array[order] for name, array in joint.items()}
        return replace(
            self, **joint, weight=weight if weight is None else weight[order], starts=self.starts + other.starts
        )


def check_data(
    X, y, sample_weight=None, *, task=None, task_column=None, estimator=None, empty=False, keep_float32=False
):
    """Validate rows, labels, weights and ids in any layout, once.

    Parameters
    ----------
    X : array-like, sparse array or data frame of shape (n_samples, n_features)
        With one more column if it holds the task ids.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
    sample_weight : array-like of shape (n_samples,) or, with a 2-D y, (n_samples, n_tasks)
        Nonnegative. A row of weight 0 is the row left out.
    task : array-like of shape (n_samples,)
        Task ids beside X.
    task_column : str or int
        Name or position of the column of X that holds them.
    estimator : estimator
        Gets ``n_features_in_`` and ``feature_names_in_``.
    empty : bool
        Whether columns of y may have no label at all, as in a part of the data.
    keep_float32 : bool
        Whether X of float32 stays so.

    Returns
    -------
    TaskData

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what came and what was expected; X is sparse and the estimator's tags deny that it can be.
    """
    if y is None:
        name = "This estimator" if estimator is None else type(estimator).__name__
        raise ValueError(f"{name} requires y to be passed, but the target y is None.")
    X, ids, source, position = _check_X(X, task, task_column, estimator, reset=True)
    dtype = X.dtype
    names = column_names(y)
    y = check_labels(y)
    check_consistent_length(X, y)
    if ids is None:
        source = "single" if y.ndim == 1 else "outputs"
    else:
        y = _one_label_a_row(y)
    weight = check_weight(sample_weight, y.shape)
    if source == "outputs":
        tasks = np.arange(y.shape[1]) if names is None else names
        refuse_other_order(sample_weight, tasks, "sample_weight", "of those of y")
        y, weight = _weigh_missing(y, weight, tasks, empty)
        data = TaskData(X, y, weight, tasks, None, _new_row_numbers(len(y)), source, position, dtype)
    else:
        refuse_missing(y)
        tasks, codes = (
            (np.zeros(1, dtype=np.int64), np.zeros(len(y), dtype=np.intp)) if ids is None else number_tasks(ids)
        )
        data = _in_task_order(X, y, weight, tasks, codes, source, position, dtype)
    if data.weight is not None and data.weight.ndim == 1 and (data.weight == 0).any():
        data = data.take(data.weight > 0)
    return _for_kernels(data, dtype if keep_float32 else np.float64)


def check_rows(X, task, estimator):
    """Validate the rows of a prediction by a fitted estimator.

    Returns
    -------
    X : float64 or float32 array of shape (n_samples, n_features), or a CSR array of such numbers
    codes : int array of shape (n_samples,) or None
        The position of each row's task in ``estimator.tasks_``; -1 for the shared model. None if rows have no
        task.
    """
    name, source = type(estimator).__name__, estimator._source
    if source == "metadata" and task is None:
        raise ValueError(
            f"This {name} was fitted with the task ids in fit(X, y, task=...); predict needs them, too: "
            "predict(X, task=...). Tools of scikit-learn that call predict without metadata need the ids as a column "
            "of X: see the parameter task."
        )
    if task is not None and source in ("outputs", "single"):
        raise ValueError(
            f"This {name} was fitted without task ids; predict takes none, but got task={type(task).__name__}."
        )
    if source == "column" and estimator.task is None:
        raise ValueError(
            f"This {name} was fitted with the task ids in a column of X, and its parameter task is None now. Set it to "
            f"that column: set_params(task={estimator._task_position})."
        )
    X, ids, *_ = _check_X(X, task, estimator.task, estimator, reset=False)
    return X, None if ids is None else find_tasks(ids, estimator.tasks_, estimator.unknown_task)


def take_task_column(X, column):
    """Split the column of task ids off X.

    Parameters
    ----------
    X : data frame that narwhals reads, array, sparse array or list of rows
    column : str or int
        A name (data frames only) or a position; negative positions count from the end.

    Returns
    -------
    rest : as X, without the column
        Of the same kind; an array where X is a list; CSR or CSC where X is sparse.
    ids : array or Series of shape (n_samples,)
        Raw, as they stood in X.
    position : int
    """
    if isinstance(column, bool) or not isinstance(column, (str, int, np.integer)):
        raise ValueError(
            f"The 'task' parameter must be a column name, a column position or None. Got {brief(column)} instead."
        )
    if (frame := as_frame(X)) is None:
        X = np.asarray(X, dtype=object) if isinstance(X, (list, tuple)) else X
        X = X if hasattr(X, "ndim") else np.asarray(X)
        X = X.tocsr() if sparse.issparse(X) and X.format not in ("csr", "csc") else X  # others have no columns to take
        if X.ndim != 2:
            check_array(X, accept_sparse=True, dtype=None, input_name="X")  # raises scikit-learn's own message
    if isinstance(column, str):
        position = _find_column(column, frame)
    else:
        position = int(column) + (X.shape[1] if column < 0 else 0)
        if not 0 <= position < X.shape[1]:
            raise ValueError(f"The 'task' parameter is position {column}, but X has {X.shape[1]} column(s).")
    others: Any = [j for j in range(X.shape[1]) if j != position]
    if others and others[-1] - others[0] == len(others) - 1:  # a view, not a copy, where the ids stand first or last
        others = slice(others[0], others[-1] + 1)
    if frame is not None:
        return frame[:, others].to_native(), frame.get_column(frame.columns[position]).to_native(), position
    ids = X[:, [position]].toarray().ravel() if sparse.issparse(X) else X[:, position]
    return X[:, others], ids, position


def refuse_other_column(estimator, position):
    """Raise ValueError: the parameter task names another column than that at `position`, which it was in the fit."""
    raise ValueError(
        f"The parameter task of this {type(estimator).__name__} has changed since fit, to {estimator.task!r}, which "
        f"would make other columns its features. Set it back: set_params(task={position})."
    )


def check_labels(y):
    """Labels as float64 of shape (n_samples,) or (n_samples, n_tasks); NaN, None, NA and null are missing."""
    y = check_array(y, ensure_2d=False, allow_nd=True, dtype=None, ensure_all_finite="allow-nan", input_name="y")
    if y.ndim not in (1, 2):
        raise ValueError(f"y must have shape (n_samples,) or (n_samples, n_tasks). Got an array of shape {y.shape}.")
    if y.dtype == object:
        y = np.where(where_missing(y), np.nan, y)
    elif y.dtype.kind == "c":
        raise ValueError("Complex data not supported: y must be real.")
    elif y.dtype.kind in "mM":  # as float64 they are counts of their own unit, and NaT the least of all integers
        raise ValueError(f"y must be numeric. Got {y.dtype}: turn times into numbers of a unit of your choice.")
    try:
        y = y.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"y must be numeric; could not convert it to float: {error}") from error
    if np.isinf(y).any():
        raise ValueError("Input y contains infinity.")
    return y


def _check_X(X, task, task_column, estimator, reset):
    """X without ids; the raw ids or None; where they came from; their column."""
    if isinstance(X, Mapping) and not sparse.issparse(X):  # a DOK array is a dict, too
        raise TypeError(
            f"X must be an array or data frame; got a {type(X).__name__}. Only networks take a dict {{task: (X, y)}}."
        )
    as_frame(X)  # a lazy frame is refused here: scikit-learn would take it for a number
    if task is not None and task_column is not None:
        raise ValueError(
            f"The task ids are given twice: in fit/predict(..., task=...) and as the column task={task_column!r} of X. "
            "Use one of the two."
        )
    if task_column is None:
        if task is not None and np.ndim(task) == 0:  # before X, in which the column that is meant may be text
            hint = ""
            if isinstance(task, (str, int, np.integer)):
                hint = f" A column of X is named in the constructor: {type(estimator).__name__}(task={task!r})."
            raise ValueError(f"task must hold one id per row; got {brief(task)}.{hint}")
        X = _validate(estimator, X, reset, task)
        if task is None:
            return X, None, None, None
        if len(task) != X.shape[0]:
            raise ValueError(f"task must hold one id per row; got {len(task)} ids for {X.shape[0]} rows.")
        return X, task, "metadata", None
    if getattr(X, "ndim", 2) == 1:
        check_array(X, accept_sparse=True, dtype=None, input_name="X")  # raises scikit-learn's own message
    if estimator is not None:
        validate_data(estimator, X, reset=reset, skip_check_array=True)  # names and number of columns, ids included
    rest, ids, position = take_task_column(X, task_column)
    if not reset and position != estimator._task_position:
        refuse_other_column(estimator, estimator._task_position)
    if rest.shape[1] == 0:
        raise ValueError(
            f"Found array with 0 feature(s) (shape=({len(ids)}, 0)) while a minimum of 1 is required besides the task "
            "column."
        )
    with _finite_for_certain(rest):
        rest = check_array(rest, accept_sparse="csr", dtype=_FLOATS, input_name="X", estimator=estimator)
    return _canonical(rest, estimator), ids, "column", position


def _validate(estimator, X, reset, task):
    """X, none of whose columns holds ids, as numbers."""
    if estimator is None:
        return _canonical(check_array(X, accept_sparse="csr", dtype=_FLOATS, input_name="X"), None)
    try:
        with _finite_for_certain(X):
            X = validate_data(estimator, X, accept_sparse="csr", dtype=_FLOATS, reset=reset)
    except ValueError as error:
        if task is None and "could not convert string to float" in str(error):
            error.add_note(f"If a column of X holds the task ids, name it: {type(estimator).__name__}(task=...).")
        raise
    return _canonical(X, estimator)


def _finite_for_certain(X):
    """A context in which scikit-learn does not look whether X is finite, where finite sums of its rows prove it.

    They do so in half the time.
    """
    finite = get_config()["assume_finite"]
    if not finite and isinstance(X, np.ndarray) and X.dtype in _FLOATS and X.flags.forc and X.ndim == 2:
        with np.errstate(over="ignore", invalid="ignore"):
            row_sums = np.asarray(X) @ np.ones(X.shape[1], dtype=X.dtype)  # asarray: under a mask, too
            finite = bool(np.isfinite(row_sums).all())
    return config_context(assume_finite=finite)


def _canonical(X, estimator):
    """A sparse X with sorted, distinct indices, as an array for which * is no matrix product; a dense one as it is."""
    if not sparse.issparse(X):
        return X
    if estimator is not None and not get_tags(estimator).input_tags.sparse:
        raise TypeError(
            f"{type(estimator).__name__} does not take sparse X, but got a {type(X).__name__} of shape {X.shape}. Pass "
            "a dense array, such as X.toarray(), or use another penalty: of linear models only those of ReducedRank "
            "and LatentBasis take no sparse input."
        )
    canonical = sparse.csr_array((X.data, X.indices, X.indptr), shape=X.shape)  # shares what X holds
    if not canonical.has_canonical_format:
        canonical = canonical.copy()
        canonical.sum_duplicates()
    return canonical


def _find_column(name, frame):
    if frame is None:
        raise ValueError(
            f"The task column {name!r} is named, but X has no column names: keep the data frame through the pipeline "
            "with .set_output(transform='pandas'), or give the task column as an integer position."
        )
    columns = frame.columns
    if name in columns:
        return columns.index(name)
    levels = getattr(getattr(frame.to_native(), "index", None), "names", ())  # of pandas
    prefixed = [c for c in columns if str(c).endswith(f"__{name}")]
    encoded = [c for c in columns if str(c).rpartition("__")[2].startswith(f"{name}_")]
    if name in levels:
        hint = f" It is in the index: make a column of it, X.reset_index({name!r})."
    elif prefixed:
        hint = f" Did you mean task={prefixed[0]!r}? Or set verbose_feature_names_out=False in the ColumnTransformer."
    elif encoded:
        hint = f" It looks one-hot encoded ({describe(encoded, 2)}): pass the task column through unchanged."
    else:
        hint = f" The columns are {describe(columns)}. Does the preprocessing drop it? Pass it through unchanged."
    raise ValueError(f"The task column {name!r} is not in X.{hint}")


def as_frame(X):
    """X as a narwhals data frame, or None if it is no data frame; TypeError for a lazy one, which holds no rows."""
    frame = nw.from_native(X, pass_through=True)
    if isinstance(frame, nw.LazyFrame) and not hasattr(X, "__array__"):  # scikit-learn reads those of dask
        raise TypeError(f"A lazy data frame holds no rows: collect it first. Got a {type(X).__name__}.")
    return frame if isinstance(frame, nw.DataFrame) else None


def column_names(y):
    """The names of y's columns, if y is a data frame and all are text."""
    frame = as_frame(y)
    if frame is not None and all(isinstance(name, str) for name in frame.columns):
        return np.array(frame.columns, dtype=object)
    return None


def refuse_other_order(table, tasks, name="y", order="of fit"):
    """Raise ValueError if the columns of a data frame have the names of `tasks`, and another order."""
    names = column_names(table)
    if names is not None and len(names) == len(tasks) and names.tolist() != tasks.tolist() and {*names} == {*tasks}:
        raise ValueError(
            f"The columns of {name} should be in the order {order}, {describe(tasks)}. Got {describe(names)}."
        )


def _one_label_a_row(y):
    if y.ndim == 1:
        return y
    if y.shape[1] > 1:
        raise ValueError(
            f"With task ids, a row belongs to one task and y has shape (n_samples,). Got y of shape {y.shape}."
        )
    warn("A column-vector y was passed when a 1d array was expected.", DataConversionWarning)
    return y.ravel()


def check_weight(sample_weight, shape):
    """The weights, one for each row of y, which has this `shape`, or for each label, as float64; None stays None."""
    if sample_weight is None:
        return None
    shapes = [shape[:1]] + ([shape] if len(shape) == 2 else [])
    expected = " or ".join(map(str, shapes))
    if isinstance(sample_weight, Mapping):
        raise ValueError(f"sample_weight must have shape {expected}; a dict of weights goes with a dict X. Got a dict.")
    weight = check_array(
        sample_weight,
        ensure_2d=False,
        allow_nd=True,
        dtype=np.float64,
        order="C",
        copy=False,
        ensure_min_samples=0,  # the shape is compared below, also of a number
        input_name="sample_weight",
    )
    if weight.shape not in shapes:
        raise ValueError(
            f"sample_weight must have shape {expected}. Got sample_weight.shape == {weight.shape} instead."
        )
    if (weight < 0).any():
        raise ValueError(f"Negative values in sample_weight: the smallest is {weight.min()}. Weights must be >= 0.")
    if not weight.any():
        raise ValueError("Every sample weight is zero: sample_weight must have at least one positive value.")
    with np.errstate(over="ignore"):
        if not np.isfinite(weight.sum()):
            raise ValueError(f"The sum of sample_weight is infinite: the largest is {weight.max()}. Divide them by it.")
    return weight


def refuse_missing(y):
    """Raise ValueError if a label of y (n_samples,) is missing."""
    if np.isnan(y).any():
        raise ValueError(
            f"Input y contains NaN, first in row {np.argmax(np.isnan(y))}. Missing labels are understood in a 2-D y "
            "(one column per task) only; a lone column of classes, or beside task ids, is taken as 1-D. Drop the rows."
        )


def _weigh_missing(Y, weight, tasks, may_be_empty):
    """Y with zeros for missing labels, and weights that are 0 there; both as they are where nothing is missing."""
    labelled = ~np.isnan(Y)
    if labelled.all():
        return np.ascontiguousarray(Y), weight
    empty = ~labelled.any(axis=0)
    if empty.any() and not may_be_empty:
        raise ValueError(
            f"Input y contains NaN only in the column(s) of task {describe(tasks[empty])}: no label to learn from."
        )
    if empty.all():
        raise ValueError("Input y contains NaN only: there is no label in any row.")
    if weight is None:
        weight = labelled.astype(np.float64)
    else:
        weight = labelled * (weight if weight.ndim == 2 else weight[:, None])
    if not weight.any():
        raise ValueError(
            "Every labelled row has sample weight zero: sample_weight must be positive on at least one label."
        )
    return np.where(labelled, Y, 0.0), weight


def _in_task_order(X, y, weight, tasks, codes, *origin):
    starts = np.zeros(len(tasks) + 1, dtype=np.int64)
    np.cumsum(np.bincount(codes, minlength=len(tasks)), out=starts[1:])
    rows = _new_row_numbers(len(y))
    if np.any(codes[1:] < codes[:-1]):
        small = codes.astype(np.min_scalar_type(len(tasks)))  # 8 and 16 bits sort by radix, in linear time
        order = np.argsort(small, kind="stable")
        X, y, weight, rows = X[order], y[order], None if weight is None else weight[order], rows[order]
    return TaskData(X, y, weight, tasks, starts, rows, *origin)


def _rows_between(X, first, last):
    """``X[first:last]`` of a CSR array, which would copy the numbers, as a view of them."""
    indptr = X.indptr[first : last + 1]
    numbers = slice(indptr[0], indptr[-1])
    return sparse.csr_array((X.data[numbers], X.indices[numbers], indptr - indptr[0]), shape=(last - first, X.shape[1]))


def _new_row_numbers(n_samples):
    """Consecutive numbers from a random start: parts read in different processes do not meet by chance."""
    return (uuid.uuid4().int >> 67) + np.arange(n_samples)


def _for_kernels(data, dtype):
    """The same data as float64, X as `dtype`, in C order and read-only: no kernel can change what is the user's."""
    arrays: dict[str, Any] = {name: getattr(data, name) for name in ("X", "y", "weight")}
    for name, array in arrays.items():
        if sparse.issparse(array):
            parts = array.data.astype(dtype, copy=False), array.indices, array.indptr
            arrays[name] = sparse.csr_array(tuple(map(read_only, parts)), shape=array.shape)
        elif array is not None:
            arrays[name] = read_only(np.ascontiguousarray(array, dtype=dtype if name == "X" else np.float64))
    return replace(data, **arrays)
