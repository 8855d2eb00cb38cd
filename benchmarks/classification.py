"""Classification: what sharing is worth on real data, and what a fit costs.

``python -m benchmarks.classification [yeast] [emotions] [isolet] [contraception] [time] [columns]``; without names,
all.

Every method is tuned alike, by the log-loss in cross-validation on the training rows; those with two strengths have
grids two to three times as large, which favours them a little.  Means over random splits, and standard deviations over
these, which share rows, so that they are no standard errors; the last column counts the splits on which a method has
the least log-loss of all.  Scores of wide labels are means over tasks, those of long tables are of all rows:

    AUC        area under the ROC curve; of more than two classes, the mean of each against the rest
    log-loss
    accuracy   percent
"""

import sys
import time
import warnings

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmtl
from benchmarks.common import best_times, chosen, load, machine, print_header, print_ratio
from benchmarks.letters import spoken_letters
from skmtl.metrics import masked_scorer
from skmtl.model_selection import TaskStratifiedKFold

RIDGE, SHARE = np.geomspace(0.003, 3.0, 7), np.geomspace(0.01, 0.6, 5)
METHODS = {  # name -> classifier, its settings, what is tuned: strengths, or shares of alpha_max
    "pooled, one intercept": ("Pooled", {}, {"alpha": RIDGE}),
    "pooled, task intercepts": ("Pooled", {"task_intercepts": True}, {"alpha": RIDGE}),
    "independent": ("Independent", {}, {"alpha": RIDGE}),
    "mean-regularised": ("MeanRegularized", {}, {"alpha": RIDGE, "alpha_shared": [0.03, 0.3]}),
    "... intercepts, too": (
        "MeanRegularized",
        {},
        {"alpha": RIDGE[2:], "alpha_shared": [0.03], "alpha_intercept": [0.03, 0.3]},
    ),
    "trace norm": ("TraceNorm", {}, {"share": SHARE}),
    "joint feature": ("JointFeature", {}, {"share": SHARE}),
    "task relationship": ("TaskRelationship", {}, {"alpha": np.geomspace(1e-3, 0.1, 5)}),
}


def tuned(method, X, y, cv, scoring):
    """The refitted best of a method's grid."""
    kind, settings, grid = method
    model = getattr(skmtl, f"{kind}Classifier")(
        **settings, tol=1e-5, **({"task": -1, "unknown_task": "shared"} if y.ndim == 1 else {})
    )
    if "share" in grid:
        grid = {"alpha": grid["share"] * model.alpha_max(X, y)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of strengths too weak to be the best
        return GridSearchCV(model, grid, cv=cv, scoring=scoring, error_score="raise").fit(X, y)


def scores(y, proba):
    """AUC, log-loss and accuracy in percent; y of one or of several columns."""
    if y.ndim == 2:
        return np.mean([scores(column, p) for column, p in zip(y.T, proba.T, strict=True)], axis=0)
    if proba.ndim == 1:
        proba = np.column_stack([1 - proba, proba])
    kind = {"multi_class": "ovr"} if proba.shape[1] > 2 else {}
    auc = roc_auc_score(y, proba if kind else proba[:, 1], **kind)
    labels = np.arange(proba.shape[1])
    return auc, log_loss(y, proba, labels=labels), 100 * accuracy_score(y, labels[proba.argmax(axis=1)])


def table(title, X, y, splits, scoring, prepare, methods=METHODS):
    """Print the scores of all methods; `prepare` is fitted on the features of the training rows.

    A split holds the rows to learn from, those to score, and how to cross-validate on the former.
    """
    print(f"{title}: mean (standard deviation) of {len(splits)} splits")
    print(f"{'':26}{'AUC':>16}{'log-loss':>16}{'accuracy, %':>16}{'least log-loss':>16}{'seconds':>9}")
    found, seconds = {name: [] for name in methods}, dict.fromkeys(methods, 0.0)
    n = X.shape[1] - (y.ndim == 1)
    for train, test, cv in splits:
        features = prepare.fit(X[train, :n])
        Z = np.column_stack([features.transform(X[:, :n]), X[:, n:]])
        for name in methods:
            start = time.perf_counter()
            search = tuned(methods[name], Z[train], y[train], cv, scoring)
            seconds[name] += time.perf_counter() - start
            found[name].append(scores(y[test], search.predict_proba(Z[test])))
    losses = np.array([[row[1] for row in rows] for rows in found.values()])
    for k, (name, rows) in enumerate(found.items()):
        mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
        formats = ("{:9.3f} ({:.3f})", "{:9.3f} ({:.3f})", "{:10.1f} ({:.1f})")
        cells = "".join(f"{f.format(m, s):>16}" for f, m, s in zip(formats, mean, spread, strict=True))
        print(f"{name:26}{cells}{np.sum(losses.argmin(axis=0) == k):16d}{seconds[name]:9.0f}", flush=True)


def wide(name, n_splits, train_size):
    """Labels with one column per task."""
    if (data := load(f"mll_{name}")) is None:
        return
    X, Y = data["X"], data["Y"]
    cv = KFold(3, shuffle=True, random_state=0)
    splits = [(*split, cv) for split in ShuffleSplit(n_splits, train_size=train_size, random_state=0).split(X)]
    loss = masked_scorer(log_loss, response_method="predict_proba", greater_is_better=False, labels=[0, 1])
    methods = {key: METHODS[key] for key in METHODS if key != "pooled, one intercept"}  # other labels, other shares
    table(f"mll_{name}, {train_size} rows to learn from", X, Y, splits, loss, StandardScaler(), methods)


def contraception():
    """60 districts: half of the rows of each."""
    if (data := load("contraception")) is None:
        return
    X, y, task = data["X"], data["y"], data["task"]
    X = np.column_stack([X, X[:, 0] ** 2 / 100])  # use rises with age and falls again
    halves = [TaskStratifiedKFold(2, task=-1, shuffle=True, random_state=seed) for seed in range(5)]
    rows = np.column_stack([X, task])
    cv = TaskStratifiedKFold(3, task=-1, shuffle=True, random_state=0)
    splits = [(*next(iter(half.split(rows, y))), cv) for half in halves]
    table("contraception, half the rows", rows, y, splits, "neg_log_loss", StandardScaler())


def isolet():
    """26 letters of 30 speakers, one example of each to learn from, and two of ten speakers: see `spoken_letters`."""
    if (found := spoken_letters(2)) is None:
        return
    X, y, task, splits = found
    few = {
        "pooled, one intercept": ("Pooled", {}, {"alpha": [0.01, 0.03, 0.1]}),
        "independent": ("Independent", {}, {"alpha": [3e-4, 1e-3, 3e-3, 0.01]}),
        "mean-regularised": ("MeanRegularized", {}, {"alpha": [0.003, 0.01, 0.03], "alpha_shared": [3e-4, 0.003]}),
        "trace norm": ("TraceNorm", {}, {"share": np.geomspace(3e-4, 1e-2, 3)}),
        "task relationship": ("TaskRelationship", {}, {"alpha": np.geomspace(1e-4, 1e-2, 3)}),
    }
    prepare = make_pipeline(PCA(50, random_state=0), StandardScaler(with_std=False))
    rows, y = np.column_stack([X, task]), np.unique(y, return_inverse=True)[1]
    table("isolet1, 26 rows a speaker, 50 components", rows, y, splits, "neg_log_loss", prepare, few)


def related(n_tasks, n_samples, n_features, rank=3, seed=0):
    """Standard normal rows of tasks whose weights have low rank, and labels of these."""
    rng = np.random.default_rng(seed)
    task = np.repeat(np.arange(n_tasks), n_samples)
    X = rng.normal(size=(len(task), n_features))
    W = rng.normal(size=(n_tasks, rank)) @ rng.normal(size=(rank, n_features)) / np.sqrt(rank)
    return X, (np.einsum("ij,ij->i", X, W[task]) + rng.logistic(size=len(task)) > 0).astype(int), task


def times():
    """Trace norm, to a gap of 1e-6, against a logistic regression per task."""
    print("tasks x rows of each x features")
    print_header()
    for (T, n, d), goal in (((20, 500, 100), 1.5), ((50, 300, 30), 1.0)):
        X, y, task = related(T, n, d)
        rows = [np.flatnonzero(task == t) for t in range(T)]
        largest = skmtl.TraceNormClassifier().alpha_max(X, y, task=task)
        models = {share: skmtl.TraceNormClassifier(share * largest) for share in (0.3, 0.1, 0.03)}
        calls = {share: lambda m=model: m.fit(X, y, task=task) for share, model in models.items()}  # noqa: B023
        loop = lambda: [LogisticRegression().fit(X[i], y[i]) for i in rows]  # noqa: B023, E731
        seconds = best_times(calls | {"theirs": loop})
        for share, model in models.items():
            what = f"TraceNorm, {T} x {n} x {d} at {share} alpha_max ({model.n_iter_} it.) / {T} x LogisticRegression"
            print_ratio(what, share, "theirs", seconds, f"goal: {1 / goal:.2f}x")


def columns(n_rows=300, n_features=20_000, n_tasks=10):
    """Few of many features: a lasso for each task, and features that all tasks use, against liblinear task by task."""
    print("ours, rows x features, tasks, at a share of alpha_max / a LogisticRegression by liblinear for each task")
    print_header()
    rng = np.random.default_rng(0)
    X, W = rng.normal(size=(n_rows, n_features)), np.zeros((n_features, n_tasks))
    W[:30] = rng.normal(size=(30, n_tasks))
    Y = (X @ W + rng.logistic(size=(n_rows, n_tasks)) > 0).astype(int)
    kinds = skmtl.L1Classifier, skmtl.JointFeatureClassifier
    largest = {kind: kind().alpha_max(X, Y) for kind in kinds}
    for share in (0.5, 0.3, 0.1, 0.03):
        models = {kind: kind(share * top) for kind, top in largest.items()}
        calls = {kind: lambda m=model: m.fit(X, Y) for kind, model in models.items()}
        how = {"C": 1.0 / (share * largest[kinds[0]] * n_rows), "intercept_scaling": 10.0, "max_iter": 1000}
        theirs = LogisticRegression(l1_ratio=1.0, solver="liblinear", **how)
        loop = lambda: [theirs.fit(X, y) for y in Y.T]  # noqa: B023, E731
        seconds = best_times(calls | {"theirs": loop}, repeats=2)
        for kind in kinds:
            what = f"{kind.__name__}, {n_rows} x {n_features}, {n_tasks} tasks at {share}"
            print_ratio(what, kind, "theirs", seconds, "goal: 1x")


PARTS = {
    "yeast": lambda: wide("yeast", 5, 800),
    "emotions": lambda: wide("emotions", 5, 300),
    "contraception": contraception,
    "isolet": isolet,
    "time": times,
    "columns": columns,
}


def main(names=()):
    """Run all, or the parts that are named."""
    print(machine())
    for part in chosen(names, PARTS):
        part()


if __name__ == "__main__":
    main(sys.argv[1:])
