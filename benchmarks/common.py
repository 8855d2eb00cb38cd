"""What the benchmarks share: data, the machine they ran on, fair timing."""

import gc
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
import scipy
import sklearn
from sklearn.base import BaseEstimator, clone

import skmtl


def load(name):
    """The arrays of ``$SKMTL_DATA/name.npz``; without that folder None, and a line that says so."""
    folder = os.environ.get("SKMTL_DATA")
    if not folder:
        print(f"skipped: {name}.npz is looked for in the folder SKMTL_DATA, which is not set")
        return None
    return np.load(Path(folder) / f"{name}.npz", allow_pickle=False)


def chosen(names, parts):
    """What the words of a command line name among `parts`, a dict; all of it without words."""
    if unknown := [name for name in names if name not in parts]:
        sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(parts)}")
    return [parts[name] for name in names or parts]


def machine():
    """One line that says what ran where."""
    versions = {module.__name__: module.__version__ for module in (skmtl, sklearn, np, scipy)}
    versions["Python"] = platform.python_version()
    return ", ".join(f"{k} {v}" for k, v in versions.items()) + f"; {os.cpu_count()} cores ({platform.machine()})"


def best_times(calls, repeats=7, clock=time.perf_counter):
    """Best seconds of each call of a dict, the calls taking turns so that all see the same neighbours."""
    best = dict.fromkeys(calls, np.inf)
    for call in calls.values():
        call()  # compiles, fills caches
    for _ in range(repeats):
        for name, call in calls.items():
            gc.collect()
            start = clock()
            call()
            best[name] = min(best[name], clock() - start)
    return best


def print_header():
    """The head of the rows of `print_ratio`."""
    print(f"{'first / second':58} {'first':>12}  {'second':>12}  {'second/first':>12}")


def print_ratio(what, ours, theirs, seconds, goal):
    """One row: our time, theirs, how many times as long theirs is, and the goal for that."""
    ratio = seconds[theirs] / seconds[ours]
    print(
        f"{what:58} {1e3 * seconds[ours]:9.2f} ms  {1e3 * seconds[theirs]:9.2f} ms  {ratio:7.2f}x   {goal}", flush=True
    )


def nearest_tasks(X, y, task, n_neighbors=5):
    """The edges ``{(s, t): 1.0}`` between every task and those with the nearest ridge coefficients."""
    model = skmtl.IndependentRegressor(1.0).fit(X, y, task=task)
    distance = np.sum((model.coef_[:, None] - model.coef_) ** 2, axis=2)
    np.fill_diagonal(distance, np.inf)
    near = model.tasks_[np.argsort(distance, axis=1)[:, :n_neighbors]].tolist()
    pairs = zip(model.tasks_.tolist(), near, strict=True)
    return {(min(s, t), max(s, t)): 1.0 for s, neighbors in pairs for t in neighbors}


class EachColumn(BaseEstimator):
    """A scikit-learn model that tunes itself, for every column of Y on its labelled rows."""

    def __init__(self, model):
        self.model = model

    def fit(self, X, Y):
        known = ~np.isnan(Y)
        self.models_ = [clone(self.model).fit(X[k], y[k]) for y, k in zip(Y.T, known.T, strict=True)]
        return self

    def predict(self, X):
        return np.column_stack([model.predict(X) for model in self.models_])

    def predict_proba(self, X):
        return np.column_stack([model.predict_proba(X)[:, 1] for model in self.models_])
