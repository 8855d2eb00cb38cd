"""Scores of all tasks at once, of the functions of scikit-learn that are made of sums.

Most of what a call costs scikit-learn is to look at its arguments: for thousands of tasks that is seconds, and in a
search as often as there are candidates and folds.
"""

import numpy as np
from sklearn.metrics import accuracy_score, mean_absolute_error, mean_squared_error, r2_score, root_mean_squared_error

__all__ = ["score_tasks"]


def score_tasks(func, y, pred, weight, codes, n_tasks):
    """`func` of the labels of every task, NaN where a task has none; None if it has to be called for each.

    y, pred : ndarray of shape (m,), or other shapes, for which the answer is None.
    weight : ndarray of shape (m,) or None.
    codes : int ndarray of shape (m,), the task of each label.
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
