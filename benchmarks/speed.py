"""Speed: fits against loops over scikit-learn, moments against the BLAS calls they cannot do without.

A row "A / B" times calls of A, ours, and of B, theirs, in turns in one process, and prints by what factor A is faster.
"""

import os
import subprocess
import sys
from functools import partial
from unittest.mock import patch

import numpy as np
from scipy.linalg.blas import dsyrk
from sklearn.linear_model import Ridge

from benchmarks.common import best_times, load, machine, print_header, print_ratio
from skmtl import MeanRegularizedRegressor, TaskGraphRegressor, TraceNormRegressor, _problem
from skmtl.moments import TaskMoments
from skmtl.tasks import check_data


def school_fit():
    """One multitask fit against 139 ridge regressions."""
    if (data := load("school")) is None:
        return
    X, y, task = data["X"], data["y"], data["task"]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    rows = [np.flatnonzero(task == t) for t in np.unique(task)]
    seconds = best_times(
        {
            "ours": lambda: MeanRegularizedRegressor(1.0).fit(X, y, task=task),
            "theirs": lambda: [Ridge().fit(X[i], y[i]) for i in rows],
        }
    )
    print_ratio("School, MeanRegularized / 139 x Ridge", "ours", "theirs", seconds, "goal: 5x")


def many_tasks(n_tasks, n_rows, d, goal):
    """One multitask fit against a ridge regression for each task, of which a thousand are timed."""
    rng, n = np.random.default_rng(0), n_tasks * n_rows
    X, y, task = rng.normal(size=(n, d)), rng.normal(size=n), np.repeat(np.arange(n_tasks), n_rows)
    seconds = best_times({"ours": lambda: MeanRegularizedRegressor(1.0).fit(X, y, task=task)}, repeats=3)
    some = [slice(n_rows * t, n_rows * t + n_rows) for t in range(1000)]
    loop = best_times({"theirs": lambda: [Ridge().fit(X[i], y[i]) for i in some]}, repeats=3)
    seconds["theirs"] = n_tasks / 1000 * loop["theirs"]
    what = f"{n_tasks} x {n_rows} x {d}, MeanRegularized / {n_tasks} x Ridge"
    print_ratio(what, "ours", "theirs", seconds, f"goal: under {goal} s")


def graph_path():
    """A path of 50 strengths against one fit, shared X."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(5000, 100)), rng.normal(size=(5000, 50))
    A = np.triu(rng.random((50, 50)) < 0.1, 1).astype(float)
    model = TaskGraphRegressor(1.0, graph=A + A.T)
    seconds = best_times({"theirs": lambda: model.fit(X, Y), "ours": lambda: model.path(X, Y, n_alphas=50)}, repeats=15)
    print_ratio("TaskGraph, shared X: path of 50 / one fit", "ours", "theirs", seconds, "goal: 0.5x")


def graph_own_rows():
    """500 tasks with rows of their own on a sparse graph: seconds, iterations, residual."""
    rng = np.random.default_rng(0)
    n_tasks, d = 500, 100
    task = np.repeat(np.arange(n_tasks), 60)
    W = 0.1 * np.cumsum(rng.normal(size=(n_tasks, d)), axis=0)
    X = rng.normal(size=(len(task), d))
    y = np.einsum("ij,ij->i", X, W[task]) + rng.normal(size=len(task))
    chain = {(t, t + 1): 1.0 for t in range(n_tasks - 1)}
    for alpha in (0.01, 1.0, 100.0, 10_000.0):
        model = TaskGraphRegressor(alpha, graph=chain)
        seconds = best_times({"fit": lambda model=model: model.fit(X, y, task=task)}, repeats=1)["fit"]
        what = f"TaskGraph, chain of 500 tasks, d = 100, alpha = {alpha:g}"
        print(f"{what:58} {1e3 * seconds:9.2f} ms  {model.n_iter_} iterations, residual {model.residual_:.0e}")


TABLES = [(600, 300, 100, 0.1), (600, 300, 100, 0.3), (2000, 100, 50, 0.05), (200, 1000, 50, 0.2)]


def missing_labels():
    """Tasks that share rows and lack labels: by what is missing, against a Gram matrix each."""
    rng = np.random.default_rng(0)
    for n, d, n_tasks, missing in TABLES:
        X = rng.normal(size=(n, d))
        Y = X @ rng.normal(size=(d, 4)) @ rng.normal(size=(4, n_tasks)) + np.sqrt(d) * rng.normal(size=(n, n_tasks))
        Y[rng.random(Y.shape) < missing] = np.nan
        trace_norm = TraceNormRegressor()
        trace_norm.set_params(alpha=0.1 * trace_norm.alpha_max(X, Y))
        for name, model in (("trace norm", trace_norm), ("mean-regularised", MeanRegularizedRegressor(0.1))):
            fit = partial(model.fit, X, Y)
            seconds = best_times({"ours": fit, "theirs": partial(with_grams, fit)}, repeats=3)
            what = f"{name}, {n} x {d} x {n_tasks}, {100 * missing:.0f} % missing / Grams"
            print_ratio(what, "ours", "theirs", seconds, "")


def with_grams(fit):
    """A fit by Gram matrices, as if all tasks lacked too much."""
    with patch.object(_problem, "nearly_complete", lambda data: False):
        return fit()


def moments():
    """Sums of many small tasks and of few large ones."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(25_000, 28))
    data, blocks = check_data(X, X[:, 0], task=np.repeat(np.arange(5000), 5)), X.reshape(5000, 5, 28)
    seconds = best_times(
        {"ours": lambda: TaskMoments.from_data(data), "theirs": lambda: np.matmul(blocks.swapaxes(1, 2), blocks)}
    )
    print_ratio("moments, 5 000 x 5 x 28 / batched matmul", "ours", "theirs", seconds, "goal: 0.67x")
    X = rng.normal(size=(200_000, 100))
    data = check_data(X, X[:, 0], task=np.repeat(np.arange(100), 2000))
    parts = [X[2000 * t : 2000 * t + 2000].T for t in range(100)]
    seconds = best_times(
        {"ours": lambda: TaskMoments.from_data(data), "theirs": lambda: [dsyrk(1.0, part) for part in parts]}
    )
    print_ratio("moments, 100 x 2 000 x 100 / dsyrk per task", "ours", "theirs", seconds, "goal: 0.5x")


def import_time():
    """How much longer ``import skmtl`` takes than ``import sklearn.linear_model``, each in a fresh process."""
    seconds = best_times(
        {
            name: lambda name=name: subprocess.run([sys.executable, "-c", f"import {name}"], check=True)
            for name in ("sklearn.linear_model", "skmtl")
        },
        repeats=5,
    )
    extra = seconds["skmtl"] - seconds["sklearn.linear_model"]
    print(f"{'import skmtl, beyond import sklearn.linear_model':58} {1e3 * extra:9.0f} ms{'':25}goal: under 300 ms")


def main():
    """Run all."""
    print(machine())
    if "OPENBLAS_CORETYPE" in os.environ:
        print("OPENBLAS_CORETYPE is set: BLAS may be slower than this machine allows, for both sides")
    print_header()
    many_tasks(10_000, 20, 30, goal=2)
    many_tasks(3000, 110, 100, goal=5)
    graph_path()
    graph_own_rows()
    missing_labels()
    moments()
    import_time()
    school_fit()


if __name__ == "__main__":
    main()
