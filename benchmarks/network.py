"""The network: what a hidden layer that tasks share is worth on real data.

``python -m benchmarks.network [sarcos] [isolet] [yeast] [drugs]``; without names, all, in a quarter of an hour.

One network whose hidden layer is all tasks', networks of that size for one task each, and linear models.  Strengths are
tuned alike, by cross-validation on the training rows, one for all tasks; the linear models of yeast and drugs have one
for every label, which favours them.  Epochs, learning rate and dropout of both networks are the same.  Means over
random splits, and standard deviations over these, which share rows, so that they are no standard errors.  The columns
with a > count the splits on which a method's first score, by which strengths are tuned, is better than that of linear
models of one task each, and of networks of one task each.  CPU seconds are those of all fits.

    R2         mean over tasks
    log-loss   mean over labels in columns, else of all rows
    AUC        area under the ROC curve, mean over labels
"""

import sys
import time
import warnings

import numpy as np
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import get_scorer, log_loss, r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from benchmarks.common import EachColumn, chosen, load, machine
from benchmarks.drugs import RIDGE_BY_DRUG, held_out
from benchmarks.letters import spoken_letters
from skmtl import (
    IndependentClassifier,
    IndependentRegressor,
    MultiTaskMLPClassifier,
    MultiTaskMLPRegressor,
    PooledClassifier,
)
from skmtl.metrics import make_task_scorer, masked_scorer
from skmtl.model_selection import TaskStratifiedKFold

REPEATS = 5
LINEAR, OWN, SHARED = "linear, a task each", "network, a task each", "network, shared layer"


def networks(kind, alphas, epochs, **settings):
    """The two networks, and what is tuned of them; those of single tasks are one estimator that shares nothing."""
    model = kind((200,), learning_rate="cosine", learning_rate_init=0.003, batch_size=32, max_iter=epochs, tol=0.0)
    model.set_params(n_iter_no_change=epochs, random_state=0, **settings)
    return {OWN: (clone(model).set_params(sharing="private"), {"alpha": alphas}), SHARED: (model, {"alpha": alphas})}


def compare(title, methods, X, y, splits, scores, truth=None):
    """Print the scores of all methods; `methods` are pairs of a model and its grid, None if it tunes itself.

    A split holds the rows to learn from, those to score, and how to cross-validate on the former.
    """
    print(f"{title}: mean (standard deviation) of {len(splits)} splits")
    print(f"{'':24}" + "".join(f"{name:>17}" for name in scores) + f"{'> linear':>11}{'> network':>11}{'CPU s':>8}")
    found: dict[str, list] = {name: [] for name in methods}
    seconds = dict.fromkeys(methods, 0.0)
    deciding, truth = next(iter(scores.values())), y if truth is None else truth
    for train, test, cv in splits:
        for name, (model, grid) in methods.items():
            if grid is not None:
                model = GridSearchCV(model, grid, cv=cv, scoring=deciding, error_score="raise")
            start = time.process_time()
            model.fit(X[train], y[train])
            seconds[name] += time.process_time() - start
            found[name].append([score(model, X[test], truth[test]) for score in scores.values()])
    signs = [-1 if "loss" in name else 1 for name in scores]  # scorers turn losses around
    first = {name: np.array(rows)[:, 0] for name, rows in found.items()}
    for name, rows in found.items():
        pairs = zip(signs * np.mean(rows, axis=0), np.std(rows, axis=0), strict=True)
        cells = "".join(f"{f'{mean:.3f} ({deviation:.3f})':>17}" for mean, deviation in pairs)
        ahead = [np.sum(first[name] > first[rival]) if rival in first else "" for rival in (LINEAR, OWN)]
        print(f"{name:24}{cells}" + "".join(f"{n:>11}" for n in ahead) + f"{seconds[name]:8.0f}", flush=True)


def sarcos():
    """7 torques of a robot arm, few rows: other rows for every torque, then the same rows for all."""
    if (data := load("sarcos_test")) is None:
        return
    X, Y = StandardScaler().fit_transform(data["X"]), data["Y"]
    n_rows, n_tasks = Y.shape
    methods = {LINEAR: (IndependentRegressor(), {"alpha": np.geomspace(1e-4, 1.0, 9)})}
    methods |= networks(MultiTaskMLPRegressor, np.geomspace(0.02, 0.5, 5), 150)
    long = {name: (clone(model).set_params(task=-1), grid) for name, (model, grid) in methods.items()}
    tall = np.column_stack([np.tile(X, (n_tasks, 1)), np.repeat(np.arange(n_tasks), n_rows)])
    cv = TaskStratifiedKFold(3, task=-1, shuffle=True, random_state=0)
    for n in (25, 50, 100):
        splits = []
        for seed in range(REPEATS):
            order = np.random.default_rng(seed).permutation(n_rows)
            shifts = n_rows * np.arange(n_tasks)[:, None]  # where the rows of a torque begin in `tall`
            own, others = order[: n * n_tasks].reshape(n_tasks, n), order[n * n_tasks :]
            splits.append(((own + shifts).ravel(), (others + shifts).ravel(), cv))
        score = {"R2": make_task_scorer(r2_score, average="task", task=-1)}
        compare(f"sarcos_test, {n} rows for every torque", long, tall, Y.T.ravel(), splits, score)
    for n in (50, 100):
        splits = ShuffleSplit(REPEATS, train_size=n, random_state=0).split(X)
        splits = [(*split, KFold(3, shuffle=True, random_state=0)) for split in splits]
        compare(f"sarcos_test, {n} rows with all 7 torques", methods, X, Y, splits, {"R2": masked_scorer(r2_score)})


def isolet():
    """26 letters of 30 speakers, one example of each to learn from, and two of ten speakers: see `spoken_letters`."""
    if (found := spoken_letters(REPEATS)) is None:
        return
    X, y, task, splits = found
    X = PCA(50, random_state=0).fit_transform(X)
    X = np.column_stack([X / X.std(), task])
    methods = {
        LINEAR: (IndependentClassifier(task=-1, tol=1e-5), {"alpha": np.geomspace(0.01, 1.0, 5)}),
        "linear, one for all": (PooledClassifier(task=-1, tol=1e-5), {"alpha": np.geomspace(0.01, 1.0, 5)}),
        **networks(MultiTaskMLPClassifier, [0.03, 0.1, 0.3], 60, dropout=0.5, task=-1),
    }
    network, grid = methods[SHARED]
    untold = make_pipeline(FunctionTransformer(np.delete, kw_args={"obj": -1, "axis": 1}), clone(network))
    untold[-1].set_params(task=None)
    methods["network, one for all"] = untold, {f"multitaskmlpclassifier__{key}": grid[key] for key in grid}
    scores = {"accuracy": get_scorer("accuracy"), "log-loss": get_scorer("neg_log_loss")}
    compare("isolet1, 26 rows for every speaker, 50 components", methods, X, y, splits, scores)


def yeast():
    """14 functions of genes: all labels, then half of them missing, to learn from; all to score."""
    if (data := load("mll_yeast")) is None:
        return
    X, Y = StandardScaler().fit_transform(data["X"]), data["Y"].astype(float)
    loss = masked_scorer(log_loss, response_method="predict_proba", greater_is_better=False, labels=[0, 1])
    scores = {"log-loss": loss, "AUC": masked_scorer(roc_auc_score, response_method="predict_proba")}
    linear = LogisticRegressionCV(Cs=np.geomspace(1e-3, 1.0, 7), l1_ratios=(0,), cv=3, scoring="neg_log_loss")
    methods = {
        LINEAR: (EachColumn(linear.set_params(use_legacy_attributes=False)), None),
        **networks(MultiTaskMLPClassifier, [0.7, 1.5, 3.0], 30, dropout=0.5),
    }
    for missing in (0.0, 0.5):
        gaps = np.random.default_rng(0).random(Y.shape) < missing
        splits = ShuffleSplit(REPEATS, train_size=800, random_state=0).split(X)
        splits = [(*split, KFold(3, shuffle=True, random_state=0)) for split in splits]
        title = f"mll_yeast, 800 rows, {100 * missing:.0f} % of the labels missing"
        compare(title, methods, X, np.where(gaps, np.nan, Y), splits, scores, truth=Y)


def drugs():
    """265 drugs, 18 % of the labels missing; networks of one drug each would take a day."""
    if (data := load("gdsc_v17")) is None:
        return
    X, Y = data["X"], data["Y"]
    methods = {
        LINEAR: (RIDGE_BY_DRUG, None),
        SHARED: networks(MultiTaskMLPRegressor, [3.0, 6.0, 12.0], 60, dropout=0.5)[SHARED],
    }
    splits = []
    for seed in range(REPEATS):
        test = held_out(len(X), seed)
        splits.append((np.flatnonzero(~test), np.flatnonzero(test), KFold(3, shuffle=True, random_state=0)))
    compare("gdsc_v17, 791 rows", methods, X, Y, splits, {"R2": masked_scorer(r2_score)})


PARTS = {"sarcos": sarcos, "isolet": isolet, "yeast": yeast, "drugs": drugs}


def main(names=()):
    """Run all, or the parts that are named."""
    print(machine())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of strengths too weak to be the best
        for part in chosen(names, PARTS):
            part()


if __name__ == "__main__":
    main(sys.argv[1:])
