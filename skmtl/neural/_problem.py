"""What a network is to learn, the state of its training, and what callbacks are told of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from skmtl.neural._forward import outputs
from skmtl.neural._losses import SOFT

__all__ = ["Epoch", "Problem", "State"]


@dataclass(frozen=True, eq=False)
class Epoch:
    """What callbacks are told after an epoch; arrays hold a number per task.

    Attributes
    ----------
    number : int
        Counted from 1.
    tasks : array of shape (n_tasks,)
    objective : float
        What is minimised, penalties included: the mean over the epoch's batches.
    losses : array
    weights : array
        The mean over the epoch of what multiplied the losses.
    scores : array or None
        On the validation rows.
    estimator : estimator
        With the weights and curves after this epoch; made when it is asked for.
    """

    number: int
    tasks: np.ndarray
    objective: float
    losses: np.ndarray
    weights: np.ndarray
    scores: np.ndarray | None
    _make: Callable

    @cached_property
    def estimator(self):
        """A network with the weights and curves after this epoch; made when it is first asked for."""
        return self._make()


@dataclass
class State:
    """All that training changes; arrays are written in place. `memory` is that of the rule of task weights."""

    theta: np.ndarray
    m: np.ndarray
    v: np.ndarray
    steps: np.ndarray
    random: np.ndarray
    memory: Any = None
    objectives: list = field(default_factory=list)
    losses: list = field(default_factory=list)
    weights: list = field(default_factory=list)
    scores: list = field(default_factory=list)

    @classmethod
    def new(cls, architecture, rng, dtype):
        """Where training starts, drawn from the RandomState `rng`."""
        theta = architecture.initial(rng, dtype)
        seed = rng.randint(1, np.iinfo(np.int64).max, dtype=np.int64)
        return cls(
            theta=theta,
            m=np.zeros_like(theta),
            v=np.zeros_like(theta),
            steps=np.zeros(1, dtype=np.int64),
            random=np.array([seed], dtype=np.uint64),
        )

    def copy(self):
        """A state that shares nothing with this one."""
        return State(**{name: None if value is None else value.copy() for name, value in vars(self).items()})

    def forget_steps(self):
        """Keep the weights only: the moments and step counts of one solver mean nothing to another."""
        for part in (self.m, self.v, self.steps):
            part[:] = 0

    def put(self, theta):
        """Set the parameters, in place."""
        self.theta[:] = theta

    def note(self, scores):
        """Append validation scores (n_tasks,) of the last epoch, and nan for epochs before that were not validated."""
        unknown = np.full(len(scores), np.nan)
        self.scores += [unknown] * (len(self.objectives) - 1 - len(self.scores)) + [scores]

    @property
    def last_scores(self):
        """Those of the last epoch, or None if it was not validated."""
        return self.scores[-1] if self.scores and len(self.scores) == len(self.objectives) else None


@dataclass(frozen=True, eq=False)
class Problem:
    """What is to be learnt, from what, by which rules.

    Attributes
    ----------
    settings : estimator
        Its parameters.
    architecture : Architecture
    heads : list of n_tasks Head
    tasks : array of shape (n_tasks,)
    table : Table
        With labels as `Head.encode` gives them.
    items : int array
        Those to train on.
    validation : (inputs, list of labels, list of weights), or None
        As `outputs` takes inputs; a pair of arrays (n_rows, n_targets) per task.
    metrics : list of n_tasks callables or None
    """

    settings: Any
    architecture: Any
    heads: list
    tasks: np.ndarray
    table: Any
    items: np.ndarray
    validation: Any = None
    metrics: Any = None

    def scores(self, theta):
        """The metric of every task on its validation rows; also R2 of a single row, see `Head.score`."""
        inputs, labels, weights = self.validation
        answers = outputs(self.architecture, theta, inputs)
        parts = zip(self.heads, labels, answers, weights, self.metrics, strict=True)
        return np.array([np.nan if o is None else h.score(y, o, w, m, scaled=True) for h, y, o, w, m in parts])

    def tables(self, dtype):
        return self.architecture.tables(
            [head.loss for head in self.heads],
            self.table.n_columns,
            self.table.first,
            [head.constant for head in self.heads],
            dtype,
        )

    @property
    def batch_size(self):
        size = self.settings.batch_size
        if self.settings.solver == "lbfgs":
            return len(self.items)
        return min(200, len(self.items)) if size == "auto" else min(int(size), len(self.items))

    def shares(self):
        """The probability of each task in a draw, proportional to ``n_t^temperature``; None if all items take turns."""
        temperature, table = float(self.settings.temperature), self.table
        if temperature == 1.0 or table.n_tasks == 1 or self.settings.solver == "lbfgs":
            return None
        if not table.one_task_a_row:
            raise ValueError(
                f"temperature={temperature!r} draws rows of one task or another, but here a row has labels of several. "
                "Leave it at 1, or list the labels with task ids (skmtl.preprocessing.to_long)."
            )
        counts = np.bincount(table.task_of_item()[self.items], minlength=table.n_tasks)
        share = np.where(counts > 0, np.maximum(counts, 1.0) ** temperature, 0.0)
        return share / share.sum()

    def totals(self):
        """The sums of weights of every task's labels, and of its rows, each of which may have several labels.

        For a distilled head the probabilities of all classes are one label.
        """
        labels = self.table.weights(self.items)
        rows = labels / self.table.n_columns
        return np.where([head.loss == SOFT for head in self.heads], rows, labels), rows

    def importance(self, rows):
        """The importance of each task, 1 if `task_weight` does not set it; `rows` (n_tasks,) are sums of weights."""
        rule = self.settings.task_weight
        if isinstance(rule, dict):
            importance = np.array([float(rule.get(task, 1.0)) for task in self.tasks.tolist()])
            if not importance.any():
                raise ValueError("task_weight is zero for every task: at least one must be positive.")
            return importance
        return rows if rule == "samples" and rows.any() else np.ones(len(rows))
