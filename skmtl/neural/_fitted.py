"""A fitted network: views of its weights, and the outputs of its heads for new rows."""

from collections.abc import Mapping

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from skmtl._ids import describe, lookup, rows_by_code
from skmtl._params import check_parameters
from skmtl.base import BaseMultiTask
from skmtl.neural._forward import outputs
from skmtl.neural._layout import Architecture
from skmtl.neural._parts import labelled_parts, read_rows, weights_of_parts
from skmtl.tasks import check_rows

__all__ = ["FittedNetwork", "collect", "refuse_ids"]


class FittedNetwork(BaseMultiTask):
    """What needs no data to fit: `NetworkReader` adds what reads them, `BaseNetwork` training."""

    tasks_: np.ndarray
    _architecture: Architecture
    _best: int  # the position of the state whose curves are shown
    _columns: list | None  # the positions of every task's features, if they have some of their own
    _heads: list
    _names: np.ndarray
    _objective: tuple
    _part_names: list
    _solver: str  # by which the states were trained
    _states: list

    @property
    def coefs_(self):
        """Views of the weights, a list with a layer each, so that writing into them changes the network.

        A layer that all tasks have is an array (n_inputs, n_units), one that each has for itself a dict of such by
        task. The last are those of all heads, (n_units, n_outputs), outputs in the order of tasks. An ensemble shows
        its first member.
        """
        return self._views(0)

    @property
    def intercepts_(self):
        """Views of the biases, likewise: (n_units,); the last (n_outputs,)."""
        return self._views(1)

    def task_layers(self, task):
        """Views of a task's layers from its inputs to its head: pairs of weights (n_inputs, n_units) and biases."""
        check_is_fitted(self)
        names = self._names.tolist()
        if task not in names:
            raise ValueError(f"Unknown task {task!r}: the tasks are {describe(self._names)}.")
        t = names.index(task)
        theta, net = self._states[0].theta, self._architecture
        return [*net.hidden_layers(theta, t), net.head(theta, t)]

    @property
    def loss_curve_(self):
        """The mean loss of every task in every epoch, of standardised labels: {task: array of shape (`n_iter_`,)}."""
        return self._curves(self._trained("loss_curve_").losses)

    @property
    def task_weights_curve_(self):
        """What multiplied these losses, likewise."""
        return self._curves(self._trained("task_weights_curve_").weights)

    @property
    def validation_scores_(self):
        """The validation score of every task after every epoch, likewise: nan in epochs that were not validated.

        None if none was.
        """
        scores = self._trained("validation_scores_").scores
        return self._curves(scores) if scores else None

    @property
    def objective_curve_(self):
        """What is minimised, penalties included, in every epoch: an array of shape (`n_iter_`,)."""
        return np.array(self._trained("objective_curve_").objectives)

    def _trained(self, attribute):
        """The state whose curves are shown: the best of an ensemble."""
        if "_states" not in self.__dict__:
            raise AttributeError(f"This {type(self).__name__} has no {attribute} yet: call fit or partial_fit first.")
        return self._states[self._best]

    def _curves(self, rows):
        """A row of numbers per epoch as a curve for every task; made when asked for: epochs come one by one."""
        names = self._names.tolist()
        columns = np.full((len(names), self.n_iter_), np.nan)
        columns[:, : len(rows)] = np.reshape(rows, (len(rows), len(names))).T
        return dict(zip(names, columns, strict=True))

    def _views(self, kind):
        self._trained(("coefs_", "intercepts_")[kind])
        theta, net, names = self._states[0].theta, self._architecture, self._names.tolist()
        layers = [net.hidden_layers(theta, t) for t in range(net.n_tasks)]
        views = []
        for level in range(len(net.widths)):
            own = net.is_own(level + 1)[kind]
            views.append(
                {name: layers[t][level][kind] for t, name in enumerate(names)} if own else layers[0][level][kind]
            )
        W, b = net.heads(theta)
        return [*views, b if kind else W.T]

    # ------------------------------------------------------------------------------------------------ predict

    def _answers(self, X, task):
        """The outputs of every task, a list, and the position of each row's task, -1 if it is unknown.

        Where every row belongs to a task, the outputs of a task are those of its own rows, followed by those of all
        rows of unknown tasks. Where all tasks read all rows, and for a dict X, there are no positions but None; the
        outputs of a task that a dict lacks are None, too.
        """
        check_is_fitted(self)
        check_parameters(self)  # unknown_task may be changed after the fit
        self._refuse_sparse(X)
        if isinstance(X, Mapping) != (self._source == "parts"):
            expected = "a dict {task: X}" if self._source == "parts" else "an array or data frame"
            raise TypeError(f"This {type(self).__name__} was fitted with {expected}; predict got {type(X).__name__}.")
        if isinstance(X, Mapping):
            refuse_ids(task)
            return self._mean_outputs(self._parts_of(X)), None
        X, codes = check_rows(X, task, self)
        X = X.astype(self._states[0].theta.dtype, copy=False)
        if codes is None:
            return self._mean_outputs(self._own_columns(X)), None
        codes, inputs = self._places()[codes], []
        unknown, *known = rows_by_code(codes, len(self._names))
        for t, rows in enumerate(known):
            own = X[rows] if self._columns is None else X[np.ix_(rows, self._columns[t])]
            inputs.append(own if len(rows) else None)
        answers = self._mean_outputs(inputs)
        if len(unknown):  # which all tasks read: no copy for each
            everywhere = zip(answers, self._mean_outputs(self._own_columns(X[unknown])), strict=True)
            answers = [more if o is None else np.concatenate([o, more]) for o, more in everywhere]
        return answers, codes

    def _own_columns(self, X):
        """Rows that all tasks read: one array, or the columns of each."""
        return X if self._columns is None else [X[:, columns] for columns in self._columns]

    def _places(self):
        """The position in the network of every task in `tasks_`, -1 of one without weight; then -1 for unknown ones."""
        return np.append(lookup(self.tasks_, self._names), -1)

    def _on_all_tasks(self, answers):
        """A list of answers of the network's tasks as one of those of `tasks_`: tasks without weight get the mean."""
        if len(self._names) == len(self.tasks_):
            return answers
        answers = [*answers, np.mean(answers, axis=0)]
        return [answers[place] for place in self._places()[:-1]]

    def _parts_of(self, X):
        """The rows of every task from a dict, None for a task that it does not have."""
        names, (dtype,) = self._names.tolist(), {state.theta.dtype for state in self._states}
        if unknown := [name for name in X if name not in names]:
            raise ValueError(f"X has rows of unknown tasks: {describe(unknown)}. The tasks are {describe(names)}.")
        inputs = [None] * len(names)
        for name, rows in X.items():
            t = names.index(name)
            rows, _ = read_rows(name, rows, self._part_names[t])
            if rows.shape[1] != (expected := self._architecture.n_features[t if self._architecture.own_inputs else 0]):
                raise ValueError(f"X[{name!r}] has {rows.shape[1]} features, but {expected} in fit.")
            inputs[t] = rows.astype(dtype, copy=False)
        return inputs

    def _score_parts(self, X, y, sample_weight, task, metric):
        """The mean over tasks of ``metric(y, prediction)`` for dicts, without tasks on which it is not defined."""
        from skmtl._scores import Scored

        parts = labelled_parts(X, y)
        weight = weights_of_parts(sample_weight, parts)
        predicted = self.predict({name: rows for name, (rows, _) in parts.items()}, task=task)
        scored = [Scored.of(labels, predicted[name], None, weight.get(name)) for name, (_, labels) in parts.items()]
        scores = np.concatenate([part.by_task(metric) for part in scored])
        return float(np.nanmean(scores)) if np.isfinite(scores).any() else np.nan

    def _mean_outputs(self, inputs):
        """The outputs of the network; those of an ensemble are the mean over its members."""
        members = [outputs(self._architecture, state.theta, inputs) for state in self._states]
        if len(members) == 1:
            return members[0]
        return [None if parts[0] is None else np.mean(parts, axis=0) for parts in zip(*members, strict=True)]

    def _refuse_sparse(self, X):
        if sparse.issparse(X):
            raise TypeError(f"Sparse X is not supported by {type(self).__name__}: pass X.toarray().")


def refuse_ids(task):
    """Raise ValueError for task ids beside a dict of rows."""
    if task is not None:
        raise ValueError("With X a dict, its keys are the task ids: task must be None.")


def collect(values, codes):
    """One array, row by row, from `FittedNetwork._answers`; rows of unknown tasks get the mean over tasks."""
    first = next(value for value in values if value is not None)
    out = np.zeros((len(codes), *first.shape[1:]), dtype=first.dtype)
    unknown, *known = rows_by_code(codes, len(values))
    for rows, value in zip(known, values, strict=True):
        if value is not None:
            out[rows] = value[: len(rows)]
            out[unknown] += value[len(rows) :] / len(values)
    return out
