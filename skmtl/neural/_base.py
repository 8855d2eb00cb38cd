"""What the networks have in common: fit = read -> split -> train -> publish; predict = outputs of the heads."""

import copy
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from skmtl._ids import describe, lookup
from skmtl._params import check_parameters
from skmtl._threads import crew, one_blas_thread
from skmtl.neural._fitted import FittedNetwork
from skmtl.neural._layout import Architecture
from skmtl.neural._parts import read_parts
from skmtl.neural._problem import Problem, State
from skmtl.neural._report import Reporter
from skmtl.neural._solvers import train, warn_unless_converged
from skmtl.neural._table import Table, without_zeros
from skmtl.tasks import check_data, check_labels

__all__ = ["BaseNetwork", "Reading"]


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
    """

    tasks: np.ndarray
    heads: list
    table: Table
    source: str
    task_position: int | None = None


class BaseNetwork(FittedNetwork):
    """Fit, predict and views of a network.

    A subclass stores its parameters in ``__init__``, and says in `_make_heads` or `_read` what its labels are.
    """

    def fit(self, X, y=None, sample_weight=None, *, task=None, validation_data=None):
        """Train the network.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features), or dict {task: (X, y)}
            With the parameter `task`, one of the columns holds the task ids. A dict gives every task its own rows and,
            if it likes, features; then each has its own first layer of weights, into the same hidden units.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            1-D with task ids, or for a single task. 2-D: one column per task, NaN where a row has no label.
        sample_weight : array-like of shape (n_samples,) or, with a 2-D y, (n_samples, n_tasks), default=None
            Weights >= 0. With a dict for X, a dict {task: (n_samples,)}.
        task : array-like of shape (n_samples,), default=None
            Task ids, if they are not a column of X.
        validation_data : tuple (X, y) or (X, y, task), or dict {task: (X, y)}, default=None
            Rows to validate on after every epoch, in the layout of the others; a task without labels among them has no
            score. None: with `early_stopping`, a share `validation_fraction` of the rows is set apart.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Bad data or parameters; a loss that is no longer finite. The message names the argument, what came and what
            was expected; the estimator stays as it was.

        Warns
        -----
        ConvergenceWarning
            L-BFGS did not converge in `max_iter` iterations.
        UserWarning
            Ctrl-C: the best weights so far are kept.
        """
        check_parameters(self)
        fitted = copy.copy(self)  # so that an error leaves self as it was
        problem, continued = fitted._pose(X, y, sample_weight, task, validation_data, as_before=self.warm_start)
        reasons = fitted._train(problem, self._start(problem, continued))
        self.__dict__ = fitted.__dict__
        for reason in reasons:
            warn_unless_converged(reason, self)
        return self

    def partial_fit(self, X, y=None, sample_weight=None, *, task=None):
        """Train for one more epoch, on these rows: of the tasks, features and classes of the first call.

        Parameters
        ----------
        X, y, sample_weight, task
            As in `fit`. Later calls may leave tasks out: rows, or all labels of a column.

        Returns
        -------
        self
        """
        return self._take_epoch(copy.copy(self), X, y, sample_weight, task)

    def initialize(self, X, y=None, sample_weight=None, *, task=None):
        """Make the network that `fit` would start from, and do not train it.

        Its weights can then be written into `coefs_` and `intercepts_`; `partial_fit`, or `fit` with
        ``warm_start=True``, goes on from there.

        Parameters
        ----------
        X, y, sample_weight, task
            As in `fit`.

        Returns
        -------
        self
        """
        check_parameters(self)
        fitted = copy.copy(self)
        fitted.__dict__.pop("_states", None)
        problem, _ = fitted._pose(X, y, sample_weight, task, as_before=True, partial=True)
        fitted._publish(problem, self._start(problem, False)[:1], 0)
        self.__dict__ = fitted.__dict__
        return self

    def _take_epoch(self, fitted, X, y, sample_weight, task):
        check_parameters(self)
        if self.solver == "lbfgs":
            raise ValueError("partial_fit takes steps on batches; solver='lbfgs' needs all rows at once.")
        first = not hasattr(self, "_states")
        problem, continued = fitted._pose(X, y, sample_weight, task, as_before=True, partial=True)
        if not first and not continued:
            raise ValueError(
                f"partial_fit goes on with the network of the first call, whose tasks are {describe(self._names)}, "
                f"with {self._architecture.n_features} features; these data or parameters ask for another one."
            )
        settings = copy.copy(self).set_params(
            max_iter=1, early_stopping=False, learning_rate="constant", callbacks=None, progress=False
        )
        problem = replace(problem, settings=settings, validation=None)
        fitted._train(problem, self._start(problem, continued))
        self.__dict__ = fitted.__dict__
        return self

    def _start(self, problem, continued):
        """The states that training starts from: those of the last fit, or new ones, one for each of `n_init`."""
        (dtype,) = {X.dtype for X in problem.table.inputs}
        if continued and all(state.theta.dtype == dtype for state in self._states):
            return [state.copy() for state in self._states]
        first = check_random_state(self.random_state)
        seeds = first.randint(2**31 - 1, size=self.n_init - 1)
        generators = [first, *map(np.random.RandomState, seeds)]
        return [State.new(problem.architecture, rng, dtype) for rng in generators]

    def _pose(self, X, y, sample_weight, task, validation_data=None, *, as_before, partial=False):
        """The problem of a fit, and whether it continues the last one: the same network, its labels scaled as then.

        as_before : whether labels must be those of the last fit, if there was one.
        partial : whether rows may lack tasks of the last fit; then all are to train on.
        """
        known = as_before and hasattr(self, "_states")
        old: Any = (self._architecture, self._heads, self._names) if known else (None, None, None)
        reading = self._read(X, y, sample_weight, task, known or partial, partial)
        self._source, self._task_position, self._names = reading.source, reading.task_position, reading.tasks
        table, heads = reading.table, reading.heads
        self._check_numbers(table)
        self._n_read = table.n_features
        if self.features is not None:
            table = self._select_features(reading)
        architecture = Architecture(
            n_features=table.n_features,
            hidden=_sizes(self.hidden_layer_sizes),
            private=_sizes(self.private_layer_sizes),
            sharing=self.sharing,
            n_outputs=tuple(head.n_outputs for head in heads),
            activation=self.activation,
            by_task=table.pairs is not None,
        )
        continued = known and architecture == old[0] and np.array_equal(reading.tasks, old[2])
        self._architecture = architecture
        items, held_out = np.arange(table.n_items), None
        if not partial and validation_data is None and (self.early_stopping or self.task_weight == "priority"):
            items, held_out = self._hold_out(table, items)
        if continued:
            self._heads = old[1]
        else:
            self._heads = [self._standardize(head, *table.labels_of(t, items)) for t, head in enumerate(heads)]
        raw, table = table, self._encoded(table)
        validation = self._validation(validation_data, raw, held_out)
        metrics = [self._metric(name) for name in reading.tasks]
        return Problem(self, architecture, self._heads, reading.tasks, table, items, validation, metrics), continued

    def _read(self, X, y, sample_weight, task, as_before, partial):
        """Validate the data; `as_before` and `partial` as in `_pose`."""
        self._refuse_sparse(X)
        if isinstance(X, Mapping):
            return self._read_parts(X, y, sample_weight, task, as_before, partial)
        if partial and hasattr(self, "_states"):  # in scikit-learn's words
            validate_data(self, X, reset=False, skip_check_array=True)
        some = partial and hasattr(self, "_names")  # rows may lack tasks
        y = self._encode_labels(y, as_before)
        options = {"task": task, "task_column": self.task, "estimator": self, "empty": some, "keep_float32": True}
        data = check_data(X, y, sample_weight, **options)
        data = self._weigh(data)
        if some and not data.shared:
            if (lookup(data.tasks, self._names) < 0).any():
                raise ValueError(
                    f"The rows are of the tasks {describe(data.tasks)}; the network knows {describe(self._names)}."
                )
            data, kept = data.reindex(self._names), np.arange(len(self._names))
        else:
            totals = data.label_weight().sum(axis=0) if data.shared else np.diff(data.starts)
            if some and np.array_equal(data.tasks, self.tasks_):
                totals = np.where(lookup(data.tasks, self._names) >= 0, 1.0, totals)
            self.tasks_, kept = data.tasks, np.flatnonzero(totals)
        X, weight = data.X, data.weight
        if not data.shared:
            rows, task_of_row = data.y[:, None], np.searchsorted(kept, data.task_of_row)
            if len(kept) == 1:
                table = Table([X], rows, weight, np.array([0]), np.array([1]))
            else:
                zeros = np.zeros(len(kept), dtype=np.int64)
                table = Table.by_task([X], rows, weight, zeros, zeros + 1, task_of_row, np.arange(len(X)))
        else:
            Y, weight = without_zeros(data.y, weight)
            if weight is not None and weight.ndim == 2:
                weight = np.ascontiguousarray(weight[:, kept])
            Y = np.ascontiguousarray(Y[:, kept])
            table = Table([X], Y, weight, np.arange(len(kept)), np.ones(len(kept), dtype=np.int64))
        heads = self._make_heads(data, kept)
        return Reading(data.tasks[kept], heads, table, data.source, data.task_position)

    def _read_parts(self, X, y, sample_weight, task, as_before, partial):
        """Validate a dict {task: (X, y)}."""
        name = type(self).__name__
        if y is not None or task is not None:
            raise ValueError(f"With X a dict {{task: (X, y)}}, {name}.fit takes neither y nor task.")
        if self.task is not None:
            raise ValueError(f"With X a dict {{task: (X, y)}}, {name} takes no task column; got task={self.task!r}.")
        parts = read_parts(X, sample_weight, self._known_parts(partial))
        labels, zeros = self._encode_parts(parts, as_before), np.zeros(len(parts.tasks), dtype=np.int64)
        table = Table.by_task(parts.inputs, labels, parts.weight, zeros, zeros + 1, parts.task_of_row, parts.row)
        self.tasks_ = parts.tasks
        for attribute in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(attribute, None)
        return Reading(parts.tasks, self._make_heads(None, np.arange(len(parts.tasks))), table, "parts")

    def _known_parts(self, partial):
        """The tasks of the network and how many features each has, if a dict may lack some of them."""
        if not partial or not hasattr(self, "_names"):
            return None
        features = self._architecture.n_features
        return self._names, features if len(features) > 1 else features * len(self._names)

    def _encode_labels(self, y, as_before):
        return y

    def _encode_parts(self, parts, as_before):
        """The labels of all parts, one below the other, as a column of numbers or codes."""
        columns = []
        for name, rows, y in zip(parts.tasks.tolist(), parts.inputs, parts.labels, strict=True):
            if len(rows):
                y = np.asarray(y, dtype=object if isinstance(y, (list, tuple)) else None)
                if y.shape not in ((len(rows),), (len(rows), 1)):
                    raise ValueError(
                        f"y of task {name!r} must have shape ({len(rows)},), as its X has rows. Got {y.shape}."
                    )
                columns.append(y.ravel())
        y = check_labels(self._encode_labels(np.concatenate(columns), as_before))
        if np.isnan(y).any():
            raise ValueError("Input y contains NaN: drop the rows without a label from the dict.")
        return y[:, None]

    def _weigh(self, data):
        return data

    def _standardize(self, head, y, w):
        return head.standardized(y, w) if getattr(self, "standardize_y", True) else head

    def _encoded(self, table):
        """The table with labels as the heads learn them."""
        Y = np.array(table.Y, dtype=np.float64)
        for t, head in enumerate(self._heads):
            rows = slice(None) if table.pairs is None else table.pairs[2, table.pairs[0] == t]
            columns = slice(table.first[t], table.first[t] + table.n_columns[t])
            Y[rows, columns] = head.encode(Y[rows, columns])
        return replace(table, Y=Y)

    def _check_numbers(self, table):
        """Raise ValueError for labels that a loss cannot take."""

    def _metric(self, name):
        if self.metrics is None or callable(self.metrics):
            return self.metrics
        return self.metrics.get(name)

    def _hold_out(self, table, items):
        """Items to train on, and to validate on: a share of those of every task, if an item belongs to one."""
        rng = np.random.RandomState(check_random_state(self.random_state).randint(2**31 - 1))
        if table.pairs is not None and len(table.pairs[0]) == table.n_items:
            groups = [np.flatnonzero(table.task_of_item() == t) for t in range(table.n_tasks)]
        else:
            groups = [items]
        parts = []
        for group in groups:
            n = min(round(self.validation_fraction * len(group)), len(group) - 1)
            parts.append(rng.permutation(group)[: max(n, 0)])
        held = np.sort(np.concatenate(parts))
        if not len(held):
            raise ValueError(
                f"validation_fraction={self.validation_fraction} of {len(items)} row(s) leaves none to validate on. "
                "Give more rows, a larger share, or validation_data to fit."
            )
        return np.setdiff1d(items, held), held

    def _validation(self, validation_data, table, held_out, sample_weight=None):
        """Inputs, encoded labels and weights of the rows to validate on, or None."""
        if validation_data is not None:
            table = self._read_validation(validation_data, sample_weight)
            held_out = np.arange(table.n_items)
        if held_out is None:
            return None
        labels, weights, inputs = [], [], []
        for t, head in enumerate(self._heads):
            rows, label_rows = table.rows_of(t, held_out)
            y, w = table.labels(t, label_rows)
            labels.append(head.encode(y))
            weights.append(w)
            inputs.append(table.inputs[t if len(table.inputs) > 1 else 0][rows])
        return (inputs[0] if table.pairs is None else inputs), labels, weights

    def _read_validation(self, validation_data, sample_weight=None):
        """The table of the rows to validate on, in the layout and with the tasks of the fit."""
        reader = copy.copy(self)
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
        if reading.table.n_features != self._n_read or not np.array_equal(reading.tasks, self._names):
            raise ValueError("validation_data must have the features and the tasks of the rows to train on.")
        reader._task_position = self._task_position
        return reading.table if self.features is None else reader._select_features(reading)

    def _select_features(self, reading):
        """Inputs of every task from the columns that `features` gives it."""
        table = reading.table
        if len(table.inputs) > 1:
            raise ValueError("features selects columns of one X; here every task comes with an X of its own.")
        return table.split_columns([self._columns_of(name, table.inputs[0].shape[1]) for name in reading.tasks])

    def _train(self, problem, states):
        """Train from every state; keep the best, or all of them in an ensemble. The reasons why training stopped."""
        limit = crew(self.n_jobs if len(states) > 1 else 1)
        halt = threading.Event()
        with limit as each, one_blas_thread, Reporter(self, problem, halt) as reporter:
            try:
                reasons = each(lambda k: train(problem, states[k], reporter.of(k)), range(len(states)))
            except KeyboardInterrupt:
                halt.set()  # other threads end their epoch
                raise
        goals = [self._goal(state) for state in states]
        best = int(np.argmax(goals))
        if not self.ensemble:
            states, reasons = [states[best]], [reasons[best]]
            best = 0
        self._publish(problem, states, best)
        return reasons

    def _goal(self, state):
        """What the best of several fits is best at: its validation scores, else its training loss."""
        if self.early_stopping and state.scores:
            means = [np.nanmean(s) if np.isfinite(s).any() else -np.inf for s in state.scores]
            return max(means)
        return -state.objectives[-1] if state.objectives else -np.inf

    def _publish(self, problem, states, best):
        self._states = states
        state = states[best]
        names = problem.tasks.tolist()

        def curves(rows):
            columns = np.reshape(rows, (len(rows), len(names))).T
            return dict(zip(names, columns, strict=True))

        self.loss_curve_ = curves(state.losses)
        self.task_weights_curve_ = curves(state.weights)
        self.validation_scores_ = curves(state.scores) if state.scores else None
        self.objective_curve_ = np.array(state.objectives)
        self.loss_ = float(state.objectives[-1]) if state.objectives else np.nan
        self.n_iter_ = len(state.objectives)


def _sizes(sizes):
    return tuple(int(size) for size in np.atleast_1d(np.asarray(sizes, dtype=np.int64)))
