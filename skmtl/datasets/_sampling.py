"""Rows and labels for given weights: what all generators draw in the same way.

    y_i = x_i . w_t + b_t + noise e_i,  t the task of row i,  x_i ~ N(0, S),  S_jk = correlation^|j - k|,  e_i ~ N(0, 1)

so that the risk of any fit (w, b) of task t is known exactly, and what no fit can beat is noise^2:

    E (y - x . w - b)^2 = noise^2 + (w - w_t)' S (w - w_t) + (b - b_t)^2    units of y, squared
"""

from numbers import Integral

import numpy as np
from sklearn.utils import Bunch

from skmtl._params import FLAG, number
from skmtl.datasets._common import require

__all__ = ["check", "check_at_most", "sample"]

_COUNT, _COUNT_OR_0, _SCALE = number(1, kind=Integral), number(0, kind=Integral), number(0)
_LEGAL = {
    "n_tasks": _COUNT,
    "n_features": _COUNT,
    "n_informative": _COUNT,
    "n_clusters": _COUNT,
    "n_neighbors": _COUNT,
    "n_outliers": _COUNT_OR_0,
    "n_changes": _COUNT_OR_0,
    "rank": _COUNT,
    "similarity": number(0, 1, ends="[]"),
    "smoothness": _SCALE,
    "outlier_scale": _SCALE,
    "drift": _SCALE,
    "noise": _SCALE,
    "imbalance": _SCALE,
    "correlation": number(-1, 1, ends="()"),
    "intercept_scale": _SCALE,
    "missing": number(0, 1),
    "shared_X": FLAG,
    "as_frame": FLAG,
}


def check(**values):
    """Raise a ValueError unless every named value is of the kind and in the range of ``_LEGAL``."""
    for name, value in values.items():
        accepts, expected = _LEGAL[name]
        if not accepts(value):
            raise ValueError(f"The '{name}' parameter must be {expected}. Got {value!r} instead.")


def check_at_most(limit_name, limit, **values):
    """Raise a ValueError when a named value exceeds ``limit``, the value of what ``limit_name`` says."""
    for name, value in values.items():
        if value > limit:
            raise ValueError(f"The '{name}' parameter must not exceed {limit_name} = {limit}. Got {value} instead.")


def _check_layout(shared_X, n_samples, imbalance, missing):
    """Raise a ValueError when a parameter of one layout is set for the other."""
    if shared_X and (not isinstance(n_samples, Integral) or imbalance):
        raise ValueError(
            "With shared_X=True all tasks have the same rows: 'n_samples' must be an int and 'imbalance' 0. "
            f"Got n_samples={n_samples!r}, imbalance={imbalance!r}."
        )
    if missing and not shared_X:
        raise ValueError(f"'missing' = {missing!r} needs shared_X=True: in the long layout a missing label is no row.")


def sample(
    coef,
    truth,
    rng,
    *,
    n_samples=30,
    noise=1.0,
    imbalance=0.0,
    correlation=0.0,
    intercept_scale=0.0,
    shared_X=False,
    missing=0.0,
    as_frame=False,
):
    """Draw rows and labels for the weights ``coef`` (n_tasks, n_features); return them in a Bunch with ``truth``."""
    check(noise=noise, imbalance=imbalance, correlation=correlation, intercept_scale=intercept_scale)
    check(shared_X=shared_X, missing=missing, as_frame=as_frame)
    _check_layout(shared_X, n_samples, imbalance, missing)
    n_tasks, n_features = coef.shape
    intercept = intercept_scale * rng.normal(size=n_tasks)
    sizes = _draw_sizes(rng, n_tasks, n_samples, imbalance)
    X = _draw_inputs(rng, sizes[0] if shared_X else sizes.sum(), n_features, correlation)
    if shared_X:
        Y = X @ coef.T + intercept + noise * rng.normal(size=(len(X), n_tasks))
        Y[_draw_hidden(rng, Y.shape, missing)] = np.nan
        rows = {"X": X, "Y": Y}
    else:
        task = np.repeat(np.arange(n_tasks), sizes)
        y = np.einsum("ij,ij->i", X, coef[task]) + intercept[task] + noise * rng.normal(size=len(X))
        rows = {"X": X, "y": y, "task": task}
    if as_frame:
        rows["frame"] = _to_frame(**rows)
    return Bunch(**rows, coef=coef, intercept=intercept, noise=noise, correlation=correlation, **truth)


def _draw_sizes(rng, n_tasks, n_samples, imbalance):
    """Draw the rows per task, int64 (n_tasks,): as listed, or a shuffled geometric sequence with mean ``n_samples``."""
    listed = np.ndim(n_samples) > 0
    sizes = np.atleast_1d(np.asarray(n_samples))
    if sizes.dtype.kind not in "iu" or sizes.shape != (n_tasks if listed else 1,) or sizes.min() < 1:
        raise ValueError(
            f"The 'n_samples' parameter must be an int >= 1 or n_tasks = {n_tasks} of them. Got {n_samples!r} instead."
        )
    if listed and imbalance:
        raise ValueError(f"'imbalance' must be 0 when 'n_samples' lists the sizes. Got {imbalance!r} instead.")
    if listed:
        return sizes.astype(np.int64)
    total = int(n_samples) * n_tasks
    share = 10.0 ** np.linspace(-imbalance, 0.0, n_tasks)
    ends = np.rint(total * np.cumsum(share) / share.sum()).astype(np.int64)
    sizes = np.maximum(np.diff(ends, prepend=0), 1)
    while sizes.sum() > total:  # rows lent to tasks that had none
        sizes[sizes.argmax()] -= 1
    return rng.permutation(sizes)


def _draw_inputs(rng, n_rows, n_features, correlation):
    """Draw standard normal inputs, float64 (n_rows, n_features); features j and k correlate by correlation^|j - k|."""
    X = rng.normal(size=(n_rows, n_features))
    if correlation:
        for j in range(1, n_features):
            X[:, j] = correlation * X[:, j - 1] + np.sqrt(1.0 - correlation**2) * X[:, j]
    return X


def _draw_hidden(rng, shape, missing):
    """Draw which labels are missing, bool ``shape`` = (n_rows, n_tasks): the share ``missing``, never all of a task."""
    n_hidden = round(missing * shape[0] * shape[1])
    if n_hidden > (shape[0] - 1) * shape[1]:
        raise ValueError(
            f"'missing' = {missing!r} hides {n_hidden} of {shape[0]} x {shape[1]} labels: some task would have none."
        )
    lot = rng.uniform(size=shape)
    lot[lot.argmax(axis=0), np.arange(shape[1])] = np.inf  # the one label that every task keeps
    hidden = np.zeros(shape, dtype=bool)
    hidden.flat[lot.argsort(axis=None)[:n_hidden]] = True
    return hidden


def _to_frame(X, Y=None, y=None, task=None):
    """Put the rows in one pandas DataFrame: x0, x1, ..., then task and y, or y0, y1, ..., a column per task."""
    pd = require("pandas", "as_frame=True")
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])
    if Y is None:
        return frame.assign(task=task, y=y)
    return frame.join(pd.DataFrame(Y, columns=[f"y{t}" for t in range(Y.shape[1])]))
