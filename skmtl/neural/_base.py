"""What the networks have in common: how they are fitted.

fit          set up -> hold rows out, if scores are wanted -> train from new weights, or with `warm_start` the last ones
partial_fit  set up -> the network must be that of the first call, if this is another -> train for an epoch
initialize   set up -> new weights

To set up is to read the data and to publish the network that they ask for. All is done to a copy, which the estimator
becomes in the end.
"""

import copy
import threading
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if

from skmtl._ids import describe, refuse_unknown, rows_by_code
from skmtl._params import check_parameters
from skmtl._threads import crew, one_blas_thread
from skmtl._warnings import warn
from skmtl.neural._layout import Architecture
from skmtl.neural._optimizers import step_of
from skmtl.neural._problem import Problem, State
from skmtl.neural._reading import Given, NetworkReader
from skmtl.neural._report import Reporter
from skmtl.neural._solvers import train, warn_if_lost, warn_unless_converged
from skmtl.tasks import refuse_other_column

__all__ = ["BaseNetwork", "takes_steps"]


def takes_steps(network):
    """Whether the network has a `partial_fit`, for ``hasattr``, by which scikit-learn's tools ask."""
    if network.solver == "lbfgs":
        raise AttributeError("partial_fit takes steps on batches; solver='lbfgs' needs all rows at once.")
    return True


class BaseNetwork(NetworkReader):
    """Fit, predict and views of a network.

    A subclass stores its parameters in ``__init__``, and says what its labels are, see `NetworkReader`.
    """

    __metadata_request__partial_fit = {"task": True}
    _task_position: int | None  # of the last fit

    def fit(self, X, y=None, sample_weight=None, *, task=None, validation_data=None):
        """Train the network.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features), or dict {task: (X, y)}
            With the parameter `task`, one of the columns holds the task ids. A dict gives every task its own rows and,
            if it likes, features; then each has its own first layer of weights, into the same hidden units, and what
            is predicted for a dict {task: X} is a dict by task, too.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            1-D with task ids, or for a single task. 2-D: one column per task, NaN where a row has no label. For
            `MultiTaskMLP` also a dict {task: labels}, or a data frame with a column for each of the `heads`, or with
            several, "tags_1", "tags_2". None with a dict for X.
        sample_weight : array-like of shape (n_samples,) or, with a 2-D y, (n_samples, n_tasks), default=None
            Weights >= 0. With a dict for X, or for the y of `MultiTaskMLP`, a dict {task: (n_samples,)}.
        task : array-like of shape (n_samples,), default=None
            Task ids, if they are not a column of X.
        validation_data : tuple (X, y) or (X, y, task), or dict {task: (X, y)}, default=None
            Rows to validate on after every epoch, in the layout of the others; a task without labels among them has no
            score. None: with `early_stopping`, or ``task_weight="priority"``, a share `validation_fraction` of the rows
            is set apart.

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
            L-BFGS did not converge in `max_iter` iterations, or a loss is far above that of a constant answer.
        UserWarning
            Ctrl-C: the best weights so far are kept.
        """
        check_parameters(self)
        self._check_solver()
        fitted = copy.copy(self)  # so that an error leaves self as it was
        given = Given(X, y, sample_weight, task, last=self._last if self.warm_start else None)
        problem, last = fitted._pose(given, validation_data)
        ends = fitted._train(problem, fitted._start(problem, last))
        self.__dict__ = fitted.__dict__
        for reason, n_iter in ends:
            warn_unless_converged(reason, n_iter, self)
        warn_if_lost(self)
        return self

    @available_if(takes_steps)
    def partial_fit(self, X, y=None, sample_weight=None, *, task=None):
        """Train for one more epoch, on these rows: of the tasks, features and classes of the first call.

        With ``solver="lbfgs"`` there is no such method. No rows are validated on: ``task_weight="priority"`` keeps the
        weights of the last `fit`, or equal ones.

        Parameters
        ----------
        X, y, sample_weight, task
            As in `fit`. Later calls may leave tasks out: rows, or all labels of a column.

        Returns
        -------
        self
        """
        return self._take_epoch(Given(X, y, sample_weight, task, last=self._last, partial=True))

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
        problem, _ = fitted._pose(Given(X, y, sample_weight, task))
        fitted._publish_training(fitted._start(problem)[:1], 0)
        self.__dict__ = fitted.__dict__
        return self

    def _check_solver(self):
        """Raise ValueError for L-BFGS with parameters that change the objective on the way, or bound the weights."""
        if self.solver != "lbfgs":
            return
        rule = self.task_weight
        asked = {
            "task_weight": isinstance(rule, str) and rule not in ("equal", "samples") and rule,
            "dropout": self.dropout,
            "max_norm": self.max_norm,
        }
        for name, value in asked.items():
            if value:
                raise ValueError(
                    f"solver='lbfgs' minimises one and the same objective over all weights; {name}={value!r} needs "
                    "'adam', 'adamw' or 'sgd'."
                )

    @property
    def _last(self):
        """What a fit may go on with: the network itself, if it was fitted, or None."""
        return self if hasattr(self, "_states") else None

    def _take_epoch(self, given):
        """Train for an epoch on rows that are some of many."""
        check_parameters(self)
        fitted = copy.copy(self)  # so that an error leaves self as it was
        reading, last = fitted._set_up(given)
        if last is not given.last:
            raise ValueError(
                f"partial_fit goes on with the network of the first call, whose tasks are {describe(self._names)}, "
                f"with {self._architecture.n_features} features; these data or parameters ask for another one."
            )
        problem = fitted._problem(reading, reading.table.labelled_items(), last)
        settings = copy.copy(self).set_params(max_iter=1, early_stopping=False, learning_rate="constant")
        fitted._train(replace(problem, settings=settings), fitted._start(problem, last))
        self.__dict__ = fitted.__dict__
        return self

    def _start(self, problem, last=None):
        """The states that training starts from: those of the fit `last`, or new ones, one for each of `n_init`."""
        if last is not None:
            states = [state.copy() for state in last._states]
            if step_of(self.solver) is not step_of(last._solver):
                for state in states:
                    state.forget_steps()
            return states
        (dtype,) = {X.dtype for X in problem.table.inputs}
        first = check_random_state(self.random_state)
        seeds = first.randint(2**31 - 1, size=self.n_init - 1)
        generators = [first, *map(np.random.RandomState, seeds)]
        return [State.new(problem.architecture, rng, dtype) for rng in generators]

    def _pose(self, given, validation_data=None):
        """The problem of a fit, and the last fit or None, as of `_set_up`."""
        reading, last = self._set_up(given)
        items, held_out = reading.table.labelled_items(), None
        if validation_data is None and (self.early_stopping or self.task_weight == "priority"):
            counting = reading.counted.labelled_items()  # scores count rows whatever classes weigh
            rest, held_out = self._hold_out(reading.table, counting)
            items = np.intersect1d(items, rest, assume_unique=True)
        problem = self._problem(reading, items, last)
        return replace(problem, validation=self._validation(validation_data, reading.counted, held_out)), last

    def _set_up(self, given):
        """Read the data and become the network that they ask for, as yet without weights.

        Returns
        -------
        reading : Reading
            Every task with its own columns of X.
        last : BaseNetwork, or None
            ``given.last`` if that is the same network with the same losses: its weights are those to go on with.
        """
        reading, last = self._read(given), given.last
        if given.network is not None and reading.task_position != last._task_position:
            refuse_other_column(self, last._task_position)
        self._refuse_unknown_tasks(reading.all_tasks)
        self._check_numbers(reading.table)
        n_read, columns = reading.table.n_features, self._own_features(reading)
        if columns is not None:
            reading = reading.on_tables(lambda table: table.split_columns(columns))
        self._publish_network(reading, n_read, columns)
        if last is None or not self._is_that_of(last):
            return reading, None
        dtype = last._states[0].theta.dtype  # that it began with, whatever that of these rows
        return reading.on_tables(lambda table: table.astype(dtype)), last

    def _publish_network(self, reading, n_read, columns):
        """Publish what the data say: tasks, layout, features, and the network for them."""
        self.tasks_, self._names = reading.all_tasks, reading.tasks
        self._source, self._task_position, self._part_names = reading.source, reading.task_position, reading.part_names
        self._n_read, self._columns = n_read, columns  # what predict goes by, whatever becomes of the parameter
        self._architecture = self._architecture_for(reading.table, reading.heads)
        losses = [(head.kind, head.constant) for head in reading.heads]
        self._objective = losses, getattr(self, "standardize_y", True), columns

    def _problem(self, reading, items, last):
        """What is to be learnt from `items`; publishes the heads, whose scale is that of the fit `last`, if any."""
        self._heads = self._scaled_heads(reading, items, last)
        self._check_range(reading.table)
        table, metrics = self._encoded(reading.table), [self._metric(name) for name in reading.tasks]
        return Problem(self, self._architecture, self._heads, reading.tasks, table, items, metrics=metrics)

    def _refuse_unknown_tasks(self, tasks):
        for parameter in ("task_weight", "metrics", "features"):
            if isinstance(value := getattr(self, parameter), Mapping):
                refuse_unknown(parameter, value, tasks.tolist())

    def _architecture_for(self, table, heads):
        return Architecture(
            n_features=table.n_features,
            hidden=_sizes(self.hidden_layer_sizes),
            private=_sizes(self.private_layer_sizes),
            sharing=self.sharing,
            n_outputs=tuple(head.n_outputs for head in heads),
            activation=self.activation,
            by_task=table.pairs is not None,
        )

    def _is_that_of(self, last):
        """Whether the network, its losses and its tasks are those of the fit `last`."""
        same = (self._architecture, self._objective) == (last._architecture, last._objective)
        return same and np.array_equal(self._names, last._names)

    def _scaled_heads(self, reading, items, last):
        """Heads that know the mean and deviation of the labels of `items`: if a fit goes on, those that they had."""
        if last is None and not getattr(self, "standardize_y", True):
            return reading.heads
        labels = (reading.table.labels_of(t, items) for t in range(len(reading.tasks)))
        if last is None:
            return [head.standardized(y, w) for head, (y, w) in zip(reading.heads, labels, strict=True)]
        return [head.refreshed(y, w) for head, (y, w) in zip(last._heads, labels, strict=True)]

    def _check_range(self, table):
        """Raise ValueError for labels that predictions of the type of X cannot tell from infinity."""
        (dtype,) = {X.dtype for X in table.inputs}
        for name, head in zip(self._names.tolist(), self._heads, strict=True):
            if head.numeric and not (np.abs(head.mean) + np.abs(head.scale) < 1e-3 * np.finfo(dtype).max).all():
                raise ValueError(
                    f"Labels of task {name!r} are too large for the type of X, {dtype}: their mean is {head.mean} and "
                    f"their deviation {head.scale}. Give them in a larger unit."
                )

    def _encoded(self, table):
        """The table with labels as the heads learn them."""
        Y = np.array(table.Y, dtype=np.float64)
        for t, head in enumerate(self._heads):
            rows, columns = table.labels_at(t), slice(table.first[t], table.first[t] + table.n_columns[t])
            Y[rows, columns] = head.encode(Y[rows, columns])
        return replace(table, Y=Y)

    def _metric(self, name):
        if self.metrics is None or callable(self.metrics):
            return self.metrics
        return self.metrics.get(name)

    def _hold_out(self, table, items):
        """Split items into those to train on and those to validate on.

        Where an item belongs to one task, a share of every task's items is held out; tasks whose share is less than
        one item give one in turn. Every column of labels keeps an item to learn from.
        """
        rng = np.random.RandomState(check_random_state(self.random_state).randint(2**31 - 1))
        if table.one_task_a_row:
            _, *places = rows_by_code(table.task_of_item()[items], table.n_tasks)
            groups = [items[own] for own in places]
        else:
            groups = [items]
        held, owed = np.zeros(table.n_items, dtype=bool), 0.0
        for group in groups:
            n = min(round(self.validation_fraction * len(group)), len(group) - 1)
            if n == 0 and len(group) > 1:
                owed += self.validation_fraction * len(group)
                n = round(owed)
                owed -= n
            held[rng.permutation(group)[: max(n, 0)]] = True
        for t in range(table.n_tasks):
            for own in table.items_of(t):
                if len(own) and held[own].all():
                    held[rng.choice(own)] = False
        if not held.any():
            raise ValueError(
                f"validation_fraction={self.validation_fraction} of n_samples={len(items)} leaves none to validate "
                "on. Give more rows, a larger share, or validation_data to fit."
            )
        return items[~held[items]], items[held[items]]

    def _validation(self, validation_data, table, held_out):
        """Inputs, labels and weights of the rows to validate on, or None."""
        if validation_data is not None:
            _, table = self._read_to_score(validation_data)
            held_out = np.arange(table.n_items)
        return None if held_out is None else self._to_score(table, held_out)

    def _to_score(self, table, items):
        """Inputs, labels and weights of items."""
        labels, weights, inputs = [], [], []
        for t in range(table.n_tasks):
            rows, label_rows = table.rows_of(t, items)
            y, w = table.labels(t, label_rows)
            labels.append(y)
            weights.append(w)
            inputs.append(table.inputs[t if len(table.inputs) > 1 else 0][rows])
        return (inputs[0] if table.pairs is None else inputs), labels, weights

    def _train(self, problem, states):
        """Train from every state; publish the best, or all of an ensemble.

        Returns for each of these why it stopped and after how many epochs.
        """
        limit = crew(self.n_jobs if len(states) > 1 else 1)
        halt, ended, interrupted = threading.Event(), dict[int, tuple[str, int]](), False

        def run(k):
            if halt.is_set():
                return
            before, reason = len(states[k].objectives), "interrupt"
            try:
                reason = train(problem, states[k], reporter.of(k))
            finally:
                if reason == "interrupt":  # or an error: the others end their epoch, no more begin
                    halt.set()
            ended[k] = reason, len(states[k].objectives) - before

        with limit as each, one_blas_thread, Reporter(self, problem, len(states), halt) as reporter:
            try:
                each(run, range(len(states)))
            except KeyboardInterrupt:  # while runs are in threads of their own: these end their epoch, no others begin
                halt.set()
                interrupted = True
        if not ended:  # no run has begun with its epochs: there is nothing to keep
            raise KeyboardInterrupt
        if interrupted:
            warn("Training interrupted; the best weights so far are kept.", UserWarning)
        states, ends = [states[k] for k in sorted(ended)], [ended[k] for k in sorted(ended)]
        goals = [self._goal(state) for state in states]
        best = int(np.argmax(goals))
        if not self.ensemble:
            states, ends = [states[best]], [ends[best]]
            best = 0
        self._publish_training(states, best)
        return ends

    def _goal(self, state):
        """By what the best of several fits is chosen: the mean validation score, else minus the training loss."""
        if state.last_scores is not None:
            epochs = state.scores if self.early_stopping else state.scores[-1:]
            return max(np.nanmean(s) if np.isfinite(s).any() else -np.inf for s in epochs)
        return -state.objectives[-1] if state.objectives else -np.inf

    def _publish_training(self, states, best):
        """Publish what was learnt; the curves and numbers are those of the state at the position `best`."""
        self._states, self._best, self._solver = states, best, self.solver
        state = states[best]
        self.loss_ = float(state.objectives[-1]) if state.objectives else np.nan
        self.n_iter_ = len(state.objectives)


def _sizes(sizes):
    return tuple(int(size) for size in np.atleast_1d(np.asarray(sizes, dtype=np.int64)))
