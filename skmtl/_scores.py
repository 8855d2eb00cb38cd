"""Labels beside their predictions, and what a metric makes of them: pooled, task by task, averaged over tasks.

Metrics take labels in a row, so wide ones are listed first; missing ones and those of weight 0 are left out:

    y (m,)    labels                      wide: Y[i, t] for every label, long: y
    pred      (m,) or (m, n_classes)      the prediction of each
    codes     (m,)                        the position of its task in `tasks` (n_tasks,)

The usual metrics of scikit-learn are computed here for all tasks at once: a call of its own functions spends most of
its time on checking the arguments, which for thousands of tasks takes seconds, in a search once for every candidate and
fold.
"""

import inspect
import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score, mean_absolute_error, mean_squared_error, r2_score, root_mean_squared_error
from sklearn.utils import check_consistent_length, column_or_1d

from skmtl._ids import number_tasks, rows_by_code
from skmtl._labels import list_labels
from skmtl._warnings import warn
from skmtl.tasks import check_weight, column_names, refuse_other_order

__all__ = ["Scored", "has_parameter", "is_wide"]


@dataclass(frozen=True, eq=False)
class Scored:
    """Labels and their predictions, one a row, and where they belong; see the head of this module."""

    y: np.ndarray
    pred: np.ndarray
    weight: np.ndarray | None
    tasks: np.ndarray
    codes: np.ndarray

    @classmethod
    def of(cls, y, pred, ids, weight):
        """From one label a row, or, if there are no ids, from wide ones; with neither, all rows are one task."""
        pred = np.asarray(pred)
        check_consistent_length(y, pred, ids)
        weight = np.ravel(weight) if np.shape(weight)[1:] == (1,) else weight
        weight = _weight_of(weight, y)
        if ids is None and is_wide(y):
            return cls._of_wide(y, pred, weight)._weighted()
        tasks, codes = number_tasks(np.zeros(len(pred)) if ids is None else ids)
        return cls(column_or_1d(np.asarray(y)), pred, weight, tasks, codes)._weighted()

    @classmethod
    def _of_wide(cls, Y, pred, weight):
        y, rows, tasks, codes = list_labels(Y)
        pred = pred[:, None] if pred.ndim == 1 else pred
        if pred.shape[1] != len(tasks):
            raise ValueError(f"y has {len(tasks)} columns, one per task, but the prediction has shape {pred.shape}.")
        if weight is not None:
            weight = weight[rows, codes] if weight.ndim == 2 else weight[rows]
        return cls(y, pred[rows, codes], weight, tasks, codes)

    def _weighted(self):
        """The same without labels of weight 0, so that a task with no others has no score."""
        if self.weight is None or self.weight.all():
            return self
        rows = self.weight != 0.0
        return Scored(self.y[rows], self.pred[rows], self.weight[rows], self.tasks, self.codes[rows])

    def overall(self, func, **kwargs):
        """`func` of all rows."""
        return self._score(func, slice(None), has_parameter(func, "task"), kwargs)

    def _score(self, func, rows, takes_tasks, kwargs):
        more = {} if self.weight is None else {"sample_weight": self.weight[rows]}
        if takes_tasks:
            more["task"] = self.tasks[self.codes[rows]]
        return func(self.y[rows], self.pred[rows], **more, **kwargs)

    def by_task(self, func, **kwargs):
        """`func` of every task; NaN where it is not defined."""
        if not kwargs:
            scores = _score_tasks(func, self.y, self.pred, self.weight, self.codes, len(self.tasks))
            if scores is not None:
                return scores
        how = has_parameter(func, "task"), kwargs  # to ask a function for its parameters takes a while
        _, *blocks = rows_by_code(self.codes, len(self.tasks))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            return np.array([self._score(func, rows, *how) if len(rows) else np.nan for rows in blocks])

    def mean(self, func, **kwargs):
        """The mean over the tasks on which `func` is defined."""
        scores = self.by_task(func, **kwargs)
        defined = scores[~np.isnan(scores)]
        if len(defined) == 0:
            warn("The score is not defined on any task.", UndefinedMetricWarning)
            return float("nan")
        return float(defined.mean())


def _weight_of(weight, y):
    """The validated weights of the rows or labels y; columns with names must be in the order of those of y."""
    names = column_names(y)
    if names is not None:
        refuse_other_order(weight, names, "sample_weight", "of those of y")
    return check_weight(weight, np.shape(y))


def has_parameter(func, name):
    """Whether a function has a parameter of that name; False for one written in C whose signature nobody knows."""
    try:
        return name in inspect.signature(func).parameters
    except ValueError:
        return False


def is_wide(y):
    """Whether y has columns."""
    return len(np.shape(y)) == 2


def _score_tasks(func, y, pred, weight, codes, n_tasks):
    """`func` of the labels of every task, without calling it; NaN where a task has none.

    None where that does not work, so that `func` has to be called for each task: it is not one of those below, or the
    labels are of a kind or shape that scikit-learn treats in a way of its own.

    y, pred : ndarray of shape (m,)
    weight : ndarray of shape (m,) or None
    codes : int ndarray of shape (m,), the task of each label
    """
    score, kinds = _SCORES.get(func) if func.__hash__ else None, {y.dtype.kind, pred.dtype.kind}
    if score is None or y.ndim != 1 or pred.shape != y.shape:
        return None
    if func is accuracy_score:
        if not any(kinds <= set(alike) for alike in ("b", "iu", "U")):
            return None
    else:
        if not kinds <= set("biuf"):
            return None
        y, pred = y.astype(np.float64), pred.astype(np.float64)
        if not np.isfinite(y).all() or not np.isfinite(pred).all():
            return None  # scikit-learn refuses that

    def total(values=None):
        values = weight if values is None else values if weight is None else weight * values
        return np.bincount(codes, values, minlength=n_tasks)

    with np.errstate(invalid="ignore", divide="ignore"):  # of tasks without labels
        return score(y, pred, codes, total)


def _r2(y, pred, codes, total):
    first = np.zeros(len(total()))
    first[codes[::-1]] = y[::-1]
    above = y - first[codes]  # so that equal labels leave exact zeros
    residual, spread = total((y - pred) ** 2), total((above - (total(above) / total())[codes]) ** 2)
    score = np.where(spread > 0, 1.0 - residual / spread, np.where(residual > 0, 0.0, 1.0))
    return np.where(np.bincount(codes, minlength=len(score)) < 2, np.nan, score)


_SCORES = {
    accuracy_score: lambda y, pred, codes, total: total(y == pred) / total(),
    mean_absolute_error: lambda y, pred, codes, total: total(np.abs(y - pred)) / total(),
    mean_squared_error: lambda y, pred, codes, total: total((y - pred) ** 2) / total(),
    root_mean_squared_error: lambda y, pred, codes, total: np.sqrt(total((y - pred) ** 2) / total()),
    r2_score: _r2,
}
