"""Tasks with rows of their own each, as dicts {task: (X, y)} and {task: weights}."""

from collections.abc import Mapping

import numpy as np

from skmtl._ids import canonical_ids

__all__ = ["parts_in_order", "weights_of_parts"]


def parts_in_order(X):
    """The tasks of a dict {task: (X, y)}, sorted, and its parts with their names."""
    if not X:
        raise ValueError("X is an empty dict: it must hold a pair (X, y) for every task.")
    names = list(X)
    ids, missing = canonical_ids(names, "X")
    if missing.any():
        raise ValueError("The dict X has a task that is None or NaN; every task needs a name.")
    parts = []
    for i in np.argsort(ids, kind="stable"):
        part = X[names[i]]
        if not isinstance(part, (tuple, list)) or len(part) != 2:
            raise ValueError(f"X[{names[i]!r}] must be a pair (X, y). Got {type(part).__name__}.")
        parts.append((names[i], part))
    return np.sort(ids), parts


def weights_of_parts(sample_weight, names, sizes):
    """The weights of a dict {task: (n_samples,)}, one after the other; None is 1."""
    if sample_weight is None:
        return None
    if not isinstance(sample_weight, Mapping):
        raise ValueError("With X a dict, sample_weight must be a dict {task: weights}, too.")
    weights = []
    for name, size in zip(names, sizes, strict=True):
        w = np.asarray(sample_weight.get(name, np.ones(size)), dtype=np.float64)
        if w.shape != (size,) or not (w >= 0).all() or not np.isfinite(w).all() or not w.any():
            raise ValueError(f"sample_weight[{name!r}] must hold {size} finite numbers >= 0, not all zero. Got {w!r}.")
        weights.append(w)
    return np.concatenate(weights)
