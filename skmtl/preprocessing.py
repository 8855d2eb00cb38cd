"""Before the fit: transform task by task, carry the task ids through a pipeline, and turn wide labels into long ones.

Whatever comes in goes out in the same kind of container:

    TaskWise                      X (n, d), ids among its columns  ->  X (n, k + 1), the ids last
    make_task_column_transformer  X (n, d), ids among its columns  ->  X (n, 1 + k), the ids first: position 0 for any k
    add_task                      X (n, d), ids (n,)               ->  X (n, d + 1), the ids last
    to_long                       X (n, d), Y (n, T)               ->  X (m, d + 1), y (m,): a row for each of m labels
"""

import copy

import narwhals as nw
import numpy as np
from scipy import sparse
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array, check_consistent_length, get_tags
from sklearn.utils._indexing import _get_column_indices  # nothing public says what a ColumnTransformer takes
from sklearn.utils.validation import check_is_fitted, validate_data

from skmtl._ids import canonical_ids, describe, find_tasks, number_tasks
from skmtl._labels import list_labels
from skmtl._params import check_parameters
from skmtl.tasks import as_frame, column_names, refuse_other_column, take_task_column

__all__ = ["TaskWise", "add_task", "make_task_column_transformer", "to_long"]


class TaskWise(TransformerMixin, BaseEstimator):
    r"""Transform the rows of each task by a transformer of its own.

    With the default, the rows of every task are standardised by the moments of that task,

    .. math:: z_{ij} = \frac{x_{ij} - \bar x_{tj}}{s_{tj}}, \qquad t \text{ the task of row } i

    so that tasks which differ in level or scale become comparable. The task column is not transformed: it is passed on,
    last, to the estimator that follows. A data frame yields a frame of the same kind, also without ``set_output``.

    Parameters
    ----------
    transformer : transformer, default=None
        Cloned for every task; None is ``StandardScaler()``. It must give the same columns for every task.
    task : str or int, default=None
        Name or position of the column of X that holds the task ids. With None, the ids are passed as ``fit(X,
        task=ids)`` and ``transform(X, task=ids)``; without them all rows are one task.
    per_task : bool, default=True
        False fits one transformer on the rows of all tasks. The task column is still passed on untransformed.
    unknown_task : {'error', 'shared'}, default='error'
        What ``transform`` does with a task that ``fit`` has not seen, or a missing id: raise, or use the transformer
        fitted on all rows. May be changed after the fit.

    Attributes
    ----------
    tasks_ : ndarray of shape (n_tasks,) or None
        The sorted ids; None if there were none.
    transformers_ : list of n_tasks transformers
        In the order of `tasks_`; empty where one transformer serves all tasks.
    shared_transformer_ : transformer
        Fitted on the rows of all tasks.
    n_features_in_ : int
        Number of columns of X, the task column included.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if all are text.

    See Also
    --------
    make_task_column_transformer : Different transformers for different columns, the same for all tasks.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.preprocessing import TaskWise
    >>> X = np.array([[1.0, 0], [3.0, 0], [10.0, 1], [30.0, 1]])
    >>> TaskWise(task=-1).fit_transform(X)
    array([[-1.,  0.],
           [ 1.,  0.],
           [-1.,  1.],
           [ 1.,  1.]])
    """

    __metadata_request__fit = {"task": True}
    __metadata_request__transform = {"task": True}

    def __init__(self, transformer=None, *, task=None, per_task=True, unknown_task="error"):
        self.transformer = transformer
        self.task = task
        self.per_task = per_task
        self.unknown_task = unknown_task

    def fit(self, X, y=None, *, task=None):
        """Fit a transformer to the rows of each task, and one to all rows.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Including the task column, if `task` names one.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Handed to the transformers.
        task : array-like of shape (n_samples,), default=None
            Task ids beside X.

        Returns
        -------
        self : TaskWise

        Raises
        ------
        ValueError
            An id is missing, the ids are given twice, or the columns that come out differ between tasks. After any
            error the estimator is as it was.
        """
        fitted = copy.copy(self)  # so that an error leaves self as it was
        rest, _, groups, kind = fitted._start(X, y, task)
        with fitted._inner_output(kind):
            for transformer, rows in groups:
                transformer.fit(_take(rest, rows), _take(y, rows))
        fitted._check_columns()
        self.__dict__ = fitted.__dict__
        return self

    def fit_transform(self, X, y=None, *, task=None):
        """Fit, and transform the same rows: by the ``fit_transform`` of each transformer.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            As in ``fit``.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            As in ``fit``.
        task : array-like of shape (n_samples,), default=None
            As in ``fit``.

        Returns
        -------
        Z : array or data frame of shape (n_samples, n_features_out)
        """
        fitted = copy.copy(self)
        rest, ids, groups, kind = fitted._start(X, y, task)
        with fitted._inner_output(kind):
            blocks = [transformer.fit_transform(_take(rest, rows), _take(y, rows)) for transformer, rows in groups]
        fitted._check_columns()
        out = fitted._assemble(X, blocks, groups, ids, kind)
        self.__dict__ = fitted.__dict__
        return out

    def transform(self, X, *, task=None):
        """Transform each row by the transformer of its task.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            With the columns of ``fit``.
        task : array-like of shape (n_samples,), default=None
            Task ids beside X, if ``fit`` had them.

        Returns
        -------
        Z : array or data frame of shape (n_samples, n_features_out)
            The transformed columns, then the task column, if X has one.

        Raises
        ------
        ValueError
            A task is unknown and `unknown_task` is 'error', or ids are given here but not in ``fit``, or the reverse.
        """
        check_is_fitted(self)
        rest, ids = self._split(X, task, reset=False)
        groups = self._groups(self._find_tasks(ids))
        kind = self._output_kind(X)
        with self._inner_output(kind):
            blocks = [transformer.transform(_take(rest, rows)) for transformer, rows in groups]
        return self._assemble(X, blocks, groups, ids, kind)

    def get_feature_names_out(self, input_features=None):
        """The names of the transformed columns, then that of the task column, if X has one.

        Parameters
        ----------
        input_features : array-like of str of shape (`n_features_in_`,), default=None
            None: ``feature_names_in_``, or ``x0``, ``x1``, ... where X had no names.

        Returns
        -------
        names : ndarray of str of shape (n_features_out,)

        Raises
        ------
        AttributeError
            The transformer does not name them, as a FunctionTransformer without `feature_names_out`.
        """
        check_is_fitted(self)
        names = self._names_in(input_features)
        spared = [] if self.task is None else [self._position]
        try:
            transformed = self.shared_transformer_.get_feature_names_out(np.delete(names, spared))
        except AttributeError as error:
            raise AttributeError(
                f"The {type(self.shared_transformer_).__name__} does not name the columns that come out, which a data "
                "frame needs: set feature_names_out='one-to-one' in a FunctionTransformer."
            ) from error
        return np.append(transformed, names[spared]).astype(object)

    def __sklearn_tags__(self):
        tags, inner = super().__sklearn_tags__(), get_tags(self._template())
        tags.input_tags, tags.target_tags = inner.input_tags, inner.target_tags
        tags.transformer_tags = inner.transformer_tags
        return tags

    def _template(self):
        return StandardScaler() if self.transformer is None else self.transformer

    def _start(self, X, y, task):
        """Make the clones and fit the shared one; X without ids, the ids, the groups of rows, the output's kind."""
        rest, ids = self._split(X, task, reset=True)
        kind = self._output_kind(X)
        self.tasks_ = codes = None
        self.shared_transformer_, self.transformers_ = clone(self._template()), []
        if ids is not None:
            self.tasks_, codes = number_tasks(ids)
        if self.per_task and ids is not None:
            self.transformers_ = [clone(self._template()) for _ in self.tasks_]
            with self._inner_output(kind):
                self.shared_transformer_.fit(rest, y)
        return rest, ids, self._groups(codes), kind

    def _split(self, X, task, *, reset):
        """X without the task column, and the ids as they came; None where there are none."""
        check_parameters(self)
        if getattr(X, "ndim", 2) == 1:
            check_array(X, dtype=None, input_name="X")  # raises scikit-learn's own message
        validate_data(self, X, reset=reset, skip_check_array=True)
        if self.task is None:
            check_consistent_length(X, task)
            if reset:
                self._position = None
            return X, task
        if task is not None:
            raise ValueError(
                f"The task ids are given twice: as the argument task and as the column task={self.task!r} of X. Use "
                "one of the two."
            )
        rest, ids, position = take_task_column(X, self.task)
        if reset:
            self._position = position
        elif position != self._position:
            refuse_other_column(self, self._position)
        if rest.shape[1] == 0:
            raise ValueError("Found array with 0 feature(s): X holds the task column and nothing to transform.")
        return rest, ids

    def _find_tasks(self, ids):
        """The position of every row's id in `tasks_`; -1 where unknown or missing, if that is allowed."""
        if (ids is None) != (self.tasks_ is None):
            had, has = ("without", "with") if self.tasks_ is None else ("with", "without")
            raise ValueError(
                f"This TaskWise was fitted {had} task ids, but transform was called {has}: pass task=ids to both."
            )
        if ids is None or not self.transformers_:
            return None
        return find_tasks(ids, self.tasks_, self.unknown_task)

    def _groups(self, codes):
        """Pairs of a transformer and the positions of the rows it transforms; None is all rows."""
        if not self.transformers_ or len(codes) == 0:
            return [(self.shared_transformer_, None)]
        order = np.argsort(codes, kind="stable")
        present, starts = np.unique(codes[order], return_index=True)
        transformers = [*self.transformers_, self.shared_transformer_]  # the last serves the unknown, whose code is -1
        return [(transformers[t], rows) for t, rows in zip(present, np.split(order, starts[1:]), strict=True)]

    def _check_columns(self):
        """Raise if a task has columns of its own: stacked, they would mean different things in different rows."""
        try:
            expected, *named = [
                list(t.get_feature_names_out()) for t in (self.shared_transformer_, *self.transformers_)
            ]
        except AttributeError:  # there are no names, or a pipeline has the method and the transformer in it has not
            return
        for t, names in enumerate(named):
            if names != expected:
                raise ValueError(
                    f"The transformer must give the same columns for every task. All rows give {describe(expected)}, "
                    f"but task {self.tasks_.tolist()[t]!r} gives {describe(names)}."
                )

    def _output_kind(self, X):
        """'pandas', 'polars', ...: what set_output or the configuration ask for, else what X is; None is an array."""
        own = getattr(self, "_sklearn_output_config", {})  # set_output writes it; nothing public reads it
        if (kind := own.get("transform", get_config()["transform_output"])) != "default":
            return kind
        return None if (frame := as_frame(X)) is None else frame.implementation.value

    def _inner_output(self, kind):
        """A context in which the transformers, too, give frames of that kind, so that every column keeps its type.

        Only where X has names for the columns and scikit-learn can make such frames.
        """
        makes_it = kind in ("pandas", "polars") and hasattr(self, "feature_names_in_")
        return config_context(transform_output=kind if makes_it else "default")

    def _assemble(self, X, blocks, groups, ids, kind):
        """All blocks as one container of the kind asked for: rows in the order of X, the task column last."""
        out = _stack(blocks)
        if groups[0][1] is not None:
            out = _take(out, np.argsort(np.concatenate([rows for _, rows in groups])))
        out = _as_kind(out, kind, X, self.get_feature_names_out)
        return out if self.task is None else add_task(out, ids, self._names_in()[self._position])

    def _names_in(self, input_features=None):
        return OneToOneFeatureMixin.get_feature_names_out(self, input_features)  # no more than checks and x0, x1, ...


def make_task_column_transformer(*transformers, task, remainder="drop", output="pandas"):
    """A ColumnTransformer that passes the task column on, first and unchanged.

    Columns keep their names, so that ``task="school"`` still names the ids after it; where the output is an array,
    ``task=0`` finds them, however many columns a one-hot encoding makes.

    Parameters
    ----------
    *transformers : tuples (transformer, columns)
        As in :func:`sklearn.compose.make_column_transformer`. A column selector does not see the task column.
    task : str or int
        Name or position of the column that holds the task ids.
    remainder : {'drop', 'passthrough'} or transformer, default='drop'
        What happens to the columns that are not named.
    output : {'pandas', 'polars', 'default'} or None, default='pandas'
        As in ``set_output``; None leaves it as it is.

    Returns
    -------
    transformer : ColumnTransformer

    Raises
    ------
    ValueError
        `task` is neither a name nor a position, or a transformer is to be applied to the task column. Where it takes X
        to see that, as with a position here and a name there, ``fit`` raises.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.preprocessing import OneHotEncoder, StandardScaler
    >>> from skmtl.preprocessing import make_task_column_transformer
    >>> X = pd.DataFrame({"age": [11.0, 13.0], "sex": ["f", "m"], "school": ["b", "a"]})
    >>> make_task_column_transformer(
    ...     (StandardScaler(), ["age"]), (OneHotEncoder(sparse_output=False), ["sex"]), task="school"
    ... ).fit_transform(X)
      school  age  sex_f  sex_m
    0      b -1.0    1.0    0.0
    1      a  1.0    0.0    1.0
    """
    if isinstance(task, bool) or not isinstance(task, (str, int, np.integer)):
        raise ValueError(f"task must be the name or the position of a column. Got {task!r}.")
    named, rivals = [], []
    for transformer, columns in transformers:
        if callable(columns):
            columns = _OtherColumns(columns, task)
        else:
            rivals.append((columns, f"{transformer!r} names it in {columns!r}"))
        named.append((transformer, columns))
    made = make_column_transformer(*named, remainder=remainder, verbose_feature_names_out=False)
    made.transformers.insert(0, ("task", "passthrough", _TaskColumn(task, rivals)))
    return made.set_output(transform=output)


class _TaskColumn:
    """The task column, which no other transformer may take.

    Parameters
    ----------
    task : str or int
    rivals : list of pairs
        The columns of the others, and what to say if the task column is among them.
    """

    def __init__(self, task, rivals):
        self.task = task
        self.rivals = rivals
        for columns, complaint in rivals:
            if any(type(name) is type(task) and name == task for name in np.array(columns, dtype=object).flat):
                self._refuse(complaint)

    def __call__(self, X):
        (position,) = _get_column_indices(X, [self.task])
        for columns, complaint in self.rivals:
            if position in _get_column_indices(X, columns):
                self._refuse(complaint)
        return [self.task]

    def __repr__(self):
        return repr([self.task])

    def _refuse(self, complaint):
        raise ValueError(f"The task column {self.task!r} is passed on unchanged, but {complaint}.")


class _OtherColumns:
    """What a column selector selects, without the task column."""

    def __init__(self, select, task):
        self.select = select
        self.task = task

    def __call__(self, X):
        selected = self.select(X)
        (task,) = _get_column_indices(X, [self.task])
        positions = _get_column_indices(X, selected)
        if task not in positions:
            return selected
        positions.remove(task)
        names = column_names(X)
        return positions if names is None else names[positions].tolist()


def add_task(X, ids, name="task"):
    """Append the task ids to X as its last column.

    Parameters
    ----------
    X : array-like, sparse array or data frame of shape (n_samples, n_features)
        A sparse X takes numeric ids only.
    ids : array-like of shape (n_samples,) or (n_samples, 1)
        Positional: an index is not looked at.
    name : str, default='task'
        The column's name, if X is a data frame.

    Returns
    -------
    X : array, sparse array or data frame of shape (n_samples, n_features + 1)
        A new object. Numbers beside text, in X or as ids, make an object array.

    Raises
    ------
    ValueError
        The lengths differ, X has a column `name` already, or X is sparse and the ids are text.
    TypeError
        Text and numbers are mixed in `ids`.

    Examples
    --------
    >>> from skmtl.preprocessing import add_task
    >>> add_task([[1.0, 2.0], [3.0, 4.0]], ["b", "a"])
    array([[1.0, 2.0, 'b'],
           [3.0, 4.0, 'a']], dtype=object)
    """
    known, missing = canonical_ids(ids)
    check_consistent_length(X, known)
    column = known if known.dtype == object else np.asarray(ids).ravel()  # as the ids came, but None for missing text
    if (frame := as_frame(X)) is not None:
        if name in frame.columns:
            raise ValueError(f"X has a column {name!r} already: choose another name for the task ids.")
        return frame.with_columns(_as_series(ids, column, name, frame.implementation)).to_native()
    if missing.any() or column.dtype == np.float32:  # canonical ids have no NaN, and would make a float32 X float64
        known = column
    numeric = known.dtype.kind in "iuf"
    if not sparse.issparse(X):
        return np.column_stack([_as_objects_if_text(X), known if numeric else known.astype(object)])
    if not numeric:
        raise ValueError(f"A sparse X takes numeric task ids only. Got {describe(known)}.")
    as_sparse = sparse.csr_array if isinstance(X, sparse.sparray) else sparse.csr_matrix
    return sparse.hstack([X, as_sparse(known[:, None])], format="csr")


def to_long(X, Y, task_name="task"):
    """One row for every label: from a Y with one column per task to a y and task ids, as the last column of X.

    A wide fit and a long one give the same model: ``E.fit(X, Y)`` and ``clone(E).set_params(task=-1).fit(X_long, y)``.
    In the long layout every tool of scikit-learn works that does not know about missing labels.

    Parameters
    ----------
    X : array-like, sparse array or data frame of shape (n_samples, n_features)
        The rows that the tasks share.
    Y : array-like or data frame of shape (n_samples, n_tasks)
        Numbers or text; NaN, None or NA where there is no label.
    task_name : str, default='task'
        Name of the task column, if X is a data frame.

    Returns
    -------
    X_long : array, sparse array or data frame of shape (n_labels, n_features + 1)
        In the order of the rows of X, and of the columns of Y for each: the labels of a row stay neighbours. The last
        column is the task: the name of Y's column if all are text, else its position.
    y : ndarray of shape (n_labels,)
    row_index : ndarray of shape (n_labels,)
        The row of X that each came from: ``groups=row_index`` keeps the labels of a row in one fold.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.preprocessing import to_long
    >>> X_long, y, row_index = to_long([[0.5], [0.7]], [[1.0, np.nan], [2.0, 3.0]])
    >>> X_long
    array([[0.5, 0. ],
           [0.7, 0. ],
           [0.7, 1. ]])
    >>> y, row_index
    (array([1., 2., 3.]), array([0, 1, 1]))
    """
    check_consistent_length(X, Y)
    y, rows, tasks, codes = list_labels(Y)
    return add_task(_take(X, rows), tasks[codes], task_name), y, rows


def _as_series(ids, column, name, implementation):
    """A column for a frame of that implementation: a Series of that library as it is, so that categories stay."""
    series = nw.from_native(ids, series_only=True, pass_through=True)
    if isinstance(series, nw.Series) and series.implementation is implementation:
        return series.alias(name)
    return nw.new_series(name, column.tolist() if column.dtype == object else column, backend=implementation)


def _as_objects_if_text(X):
    """An array of X; of objects if it holds text, so that numbers beside it stay numbers."""
    array = np.asarray(X)
    return np.asarray(X, dtype=object) if array.dtype.kind in "US" else array


def _as_kind(out, kind, X, get_names):
    """`out` as an array (kind None) or a frame of that kind, with the index of X; ``get_names()`` names its columns."""
    frame = as_frame(out)
    if kind is None:
        return out if frame is None else frame.to_numpy()
    if sparse.issparse(out):
        raise ValueError(
            f"The transformer gives a sparse array, which fits no {kind} frame: set its sparse_output=False."
        )
    if frame is None or frame.implementation.value != kind:
        frame = nw.from_numpy(np.asarray(out), schema=list(get_names()[: out.shape[1]]), backend=kind)
    original = as_frame(X)
    if original is not None and original.implementation.value == kind:
        return original.with_columns(*frame.iter_columns()).select(*frame.columns).to_native()
    return nw.maybe_reset_index(frame).to_native()


def _take(X, rows):
    """Rows of X by position, in a container of the same kind; `rows` None is all of them, as they are."""
    if rows is None or X is None:
        return X
    if (frame := as_frame(X)) is not None:
        return frame[rows].to_native()
    return X.tocsr()[rows] if sparse.issparse(X) else _as_objects_if_text(X)[rows]


def _stack(blocks):
    """Blocks of rows, one below the other."""
    if len(blocks) == 1:
        return blocks[0]
    if any(sparse.issparse(block) for block in blocks):
        return sparse.vstack(blocks, format="csr")
    frames = [as_frame(block) for block in blocks]
    if any(frame is None for frame in frames):
        return np.concatenate([np.asarray(block) for block in blocks])
    return nw.concat(frames).to_native()
