"""A lasso for each task on rows of its own: `L1Regressor` against scikit-learn's `Lasso` and `lasso_path` in a loop.

Both stop at a duality gap of 1e-6, ours of half the squares of all labels, theirs of the squares of each task's.
"""

import numpy as np
from scipy import sparse
from sklearn.linear_model import Lasso, lasso_path

from benchmarks.common import best_times, machine, print_header, print_ratio
from skmtl import L1Regressor

SHAPES = [
    (1000, 10, 30),
    (200, 20, 50),
    (200, 20, 200),
    (42, 100, 1000),
    (20, 30, 2000),
    (10, 200, 100),
    (10, 2000, 500),
]
SPARSE = [(200, 30, 1000), (20, 100, 5000)]  # 5 % of the numbers are not zero
SHARES = [0.3, 0.1, 0.03, 0.01]
HOW = {"tol": 1e-6, "max_iter": 100_000}


def make(n_tasks, n_samples, n_features, density=None):
    """Rows, labels and tasks: at most 30 features count, the same for all tasks, and noise of 0.3 deviations of y."""
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(n_tasks), n_samples)
    if density is None:
        X = rng.normal(size=(len(task), n_features))
    else:
        X = sparse.random_array((len(task), n_features), density=density, rng=rng, format="csr")
    W, count = np.zeros((n_tasks, n_features)), min(30, n_features // 3)
    W[:, rng.choice(n_features, count, replace=False)] = rng.normal(size=(n_tasks, count))
    y = (X @ W.T)[np.arange(len(task)), task]
    return X, y + 0.3 * y.std() * rng.normal(size=len(y)), task


def main():
    """Run all."""
    print(machine())
    print("tasks x rows of each x features, L1Regressor / scikit-learn's Lasso or lasso_path, task by task")
    print_header()
    for shape in SHAPES:
        compare(*shape)
    for shape in SPARSE:
        compare(*shape, density=0.05)


def compare(n_tasks, n_samples, n_features, density=None):
    """Fits at every strength, and a path of 30 strengths down to the weakest."""
    X, y, task = make(n_tasks, n_samples, n_features, density)
    each = [(X[task == t], y[task == t]) for t in range(n_tasks)]
    top = L1Regressor().alpha_max(X, y, task=task)
    what = f"{n_tasks} x {n_samples} x {n_features}{', sparse' if density else ''}"

    def row(name, ours, theirs, repeats):
        seconds = best_times({"ours": ours, "theirs": theirs}, repeats)
        print_ratio(f"{what}, {name}", "ours", "theirs", seconds, "goal: 1x")

    for share in SHARES:
        model = L1Regressor(share * top)  # tasks have equally many rows: the same strength for both
        row(
            f"{share:g} alpha_max",
            lambda model=model: model.fit(X, y, task=task),
            lambda alpha=share * top: [Lasso(alpha, **HOW).fit(*rows) for rows in each],
            repeats=3,
        )
    if density:  # lasso_path would centre the rows, and write them out
        return
    alphas = top * np.geomspace(1, SHARES[-1], 30)
    centred = [(rows - rows.mean(axis=0), labels - labels.mean()) for rows, labels in each]
    row(
        "path",
        lambda: L1Regressor().path(X, y, task=task, alphas=alphas),
        lambda: [lasso_path(*rows, alphas=alphas, **HOW) for rows in centred],
        repeats=1,
    )


if __name__ == "__main__":
    main()
