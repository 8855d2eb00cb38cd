"""School: what pooling, separating and partial pooling are worth on 139 London schools.

The 10 published 75/25 splits within schools (``train_masks``); one-hot inputs standardised on the training rows;
strengths chosen by 10-fold cross-validation inside them. Labels are counted from their training mean and the inputs
hold a constant, so that models without an intercept of their own penalise it as one more weight; how much, is tuned,
too. ``python -m benchmarks.school [words]`` runs the models with one of these words in their names. Explained variance
within schools, in percent:

    EV_within = 1 - SSE / sum of squares around each school's own test mean

and, for comparison with papers that report it, the total-variance R2, which is 10 to 11 points higher.
"""

import sys

import numpy as np
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

import skmtl
from benchmarks.common import load, machine, nearest_tasks
from skmtl.metrics import within_task_explained_variance
from skmtl.model_selection import TaskStratifiedKFold

BOTH = {"alpha": [3.0, 6.0, 12.0], "alpha_outlier": [1.0, 2.0, 4.0]}
MODELS = {  # name -> estimator, its settings, what is tuned; a graph joins every school to the five nearest ones
    "pooled, one intercept": ("Pooled", {}, {"alpha": np.logspace(-2, 3, 11)}),
    "pooled, school intercepts": ("Pooled", {"task_intercepts": True}, {"alpha": np.logspace(-2, 3, 11)}),
    "independent": ("Independent", {}, {"alpha": np.logspace(-2, 3, 11)}),
    "mean-regularised": (
        "MeanRegularized",
        {},
        {"alpha": np.logspace(-1, 2, 7), "alpha_shared": [1.0, 10.0], "alpha_intercept": [0.0, 0.03, 0.1, 0.3]},
    ),
    "task graph": ("TaskGraph", {}, {"alpha": np.logspace(-1, 1, 5), "alpha_ridge": [0.01, 0.1, 1.0]}),
    "trace norm": ("TraceNorm", {}, {"alpha": np.logspace(0.6, 1.4, 13)}),
    "joint feature (L21)": ("JointFeature", {}, {"alpha": np.logspace(0.6, 1.1, 21)}),
    "joint feature, penalised intercepts": (
        "JointFeature",
        {"fit_intercept": False},
        {"alpha": np.logspace(0.6, 1.1, 21), "feature_weights": [np.r_[np.ones(27), w] for w in (1.0, 0.7, 0.5)]},
    ),
    "joint feature, maximum norm": ("JointFeature", {"norm": np.inf}, {"alpha": np.logspace(0, 2, 10)}),
    "sparse group": ("JointFeature", {}, {"alpha": np.logspace(0, 1.25, 6), "alpha_l1": [0.1, 0.3]}),
    "adaptive joint feature": ("AdaptiveJointFeature", {}, {"alpha": np.logspace(0, 1.5, 8)}),
    "l1": ("L1", {}, {"alpha": np.logspace(-1.5, 0.5, 8)}),
    "task relationship": ("TaskRelationship", {}, {"alpha": np.logspace(-2, 0, 9)}),
    "fused tasks": ("FusedTasks", {}, {"alpha": np.logspace(-1.5, 0.5, 6), "alpha_ridge": [0.0, 0.1]}),
    "clustered": ("Clustered", {"eta": 0.1}, {"alpha": np.logspace(-1, 1.5, 8), "n_clusters": [1, 2, 4]}),
    "shared subspace": ("SharedSubspace", {"eta": 0.1}, {"alpha": np.logspace(-1, 1.5, 8), "n_components": [1, 2, 4]}),
    "temporal": ("Temporal", {}, {"alpha": np.logspace(-1, 1, 5), "alpha_group": [0.1, 1.0]}),
    "dirty": ("Dirty", {}, {"alpha": [3.0, 6.0, 12.0], "alpha_sparse": [0.5, 1.0, 2.0]}),
    "robust low rank": ("RobustLowRank", {}, BOTH),
    "robust feature": ("RobustFeature", {}, BOTH),
    "sparse and low rank": ("SparseLowRank", {}, {"alpha": [0.5, 1.0, 2.0], "alpha_low_rank": [3.0, 6.0, 12.0]}),
    "reduced rank": ("ReducedRank", {}, {"rank": [1, 2, 3], "alpha_ridge": np.logspace(-2, 0, 5)}),
    "latent basis": ("LatentBasis", {}, {"n_components": [1, 2, 3], "alpha": [0.01, 0.1, 1.0], "alpha_ridge": [0.1]}),
}


def main(words=()):
    """Print the table."""
    if (data := load("school")) is None:
        return
    X, y, task = data["X"], data["y"], data["task"]
    splits = data["train_masks"]
    models = {name: how for name, how in MODELS.items() if not words or any(word in name for word in words)}
    if not models:
        sys.exit(f"no model's name has one of the words {', '.join(words)}; there are {', '.join(MODELS)}")
    scores = {name: [] for name in models}
    for train in splits:
        scaler = StandardScaler().fit(X[train])
        XT = np.column_stack([scaler.transform(X), np.ones(len(X)), task])
        known, unknown = y[train] - y[train].mean(), y[~train] - y[train].mean()
        graph = nearest_tasks(XT[train, :-1], known, task[train])
        for name, (kind, settings, grid) in models.items():
            model = getattr(skmtl, f"{kind}Regressor")(task=-1, **settings)
            search = GridSearchCV(
                model.set_params(graph=graph) if "graph" in model.get_params() else model,
                grid,
                cv=TaskStratifiedKFold(10, task=-1, shuffle=True, random_state=0),
                scoring="neg_mean_squared_error",
                error_score="raise",
            ).fit(XT[train], known)
            predicted = search.predict(XT[~train])
            within = within_task_explained_variance(unknown, predicted, task[~train])
            scores[name].append(
                (100 * within, 100 * r2_score(unknown, predicted), root_mean_squared_error(unknown, predicted))
            )
    print(machine())
    print(f"School, {len(splits)} splits: mean (standard deviation over splits)")
    print(f"{'':36}{'EV within, %':>16}{'total R2, %':>16}{'RMSE':>16}{'best of all in':>18}")
    within = np.array([np.array(rows)[:, 0] for rows in scores.values()])
    for k, (name, rows) in enumerate(scores.items()):
        rows = np.array(rows)
        cells = "".join(f"{m:9.2f} ({s:.2f})" for m, s in zip(rows.mean(axis=0), rows.std(axis=0), strict=True))
        print(f"{name:36}{cells}{np.sum(within.argmax(axis=0) == k):10d} splits")


if __name__ == "__main__":
    main(sys.argv[1:])
