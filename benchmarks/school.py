"""School: what pooling, separating and partial pooling are worth on 139 London schools.

The 10 published 75/25 splits within schools (``train_masks``); one-hot inputs standardised on the training rows;
strengths chosen by 5-fold cross-validation inside them; explained variance within schools, in percent:

    EV_within = 1 - SSE / sum of squares around each school's own test mean

and, for comparison with papers that report it, the total-variance R2, which is 10 to 11 points higher.
"""

import numpy as np
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from benchmarks.common import load, machine
from skmtl import IndependentRegressor, MeanRegularizedRegressor, PooledRegressor
from skmtl.metrics import within_task_explained_variance
from skmtl.model_selection import TaskStratifiedKFold

ALPHAS = np.logspace(-2, 3, 11)
MODELS = {
    "pooled, one intercept": (PooledRegressor(), {"alpha": ALPHAS}),
    "pooled, school intercepts": (PooledRegressor(task_intercepts=True), {"alpha": ALPHAS}),
    "independent": (IndependentRegressor(), {"alpha": ALPHAS}),
    "mean-regularised": (
        MeanRegularizedRegressor(),
        {"alpha": np.logspace(-1, 2, 7), "alpha_shared": [1.0, 10.0], "alpha_intercept": [0.0, 0.03, 0.1, 0.3]},
    ),
}


def main():
    """Print the table."""
    if (data := load("school")) is None:
        return
    X, y, task = data["X"], data["y"], data["task"]
    splits = data["train_masks"]
    scores = {name: [] for name in MODELS}
    for train in splits:
        scaler = StandardScaler().fit(X[train])
        XT = np.column_stack([scaler.transform(X), task])
        for name, (model, grid) in MODELS.items():
            search = GridSearchCV(
                model.set_params(task=-1),
                grid,
                cv=TaskStratifiedKFold(5, task=-1, shuffle=True, random_state=0),
                scoring="neg_mean_squared_error",
                error_score="raise",
            ).fit(XT[train], y[train])
            predicted, truth = search.predict(XT[~train]), y[~train]
            within = within_task_explained_variance(truth, predicted, task[~train])
            scores[name].append(
                (100 * within, 100 * r2_score(truth, predicted), root_mean_squared_error(truth, predicted))
            )
    print(machine())
    print(f"School, {len(splits)} splits: mean (standard deviation over splits)")
    print(f"{'':27}{'EV within, %':>16}{'total R2, %':>16}{'RMSE':>16}{'best of all in':>18}")
    within = np.array([np.array(rows)[:, 0] for rows in scores.values()])
    for k, (name, rows) in enumerate(scores.items()):
        rows = np.array(rows)
        cells = "".join(f"{m:9.2f} ({s:.2f})" for m, s in zip(rows.mean(axis=0), rows.std(axis=0), strict=True))
        print(f"{name:27}{cells}{np.sum(within.argmax(axis=0) == k):10d} splits")


if __name__ == "__main__":
    main()
