"""
131 schools: pool them, separate them, or something between?
============================================================

A school has 4 to 35 pupils, and 21 things are known of each pupil and the school. That is too few rows for a model of
its own, and yet schools differ. Four models are tuned in the same way on half of the pupils and compared on the other
half. In the picture every thin line is a school; the thick black one is the model that the schools share.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skmtl import IndependentRegressor, MeanRegularizedRegressor, PooledRegressor
from skmtl.datasets import load_bdf
from skmtl.metrics import task_scores
from skmtl.model_selection import TaskStratifiedKFold
from skmtl.preprocessing import make_task_column_transformer

X, y = load_bdf(return_X_y=True)
task, groups = "schoolNR", ["Minority", "denomina"]
train, test = train_test_split(X.index, test_size=0.5, stratify=X[task], random_state=0)
columns = make_task_column_transformer(
    (StandardScaler(), [c for c in X if c not in [task, *groups]]),
    (OneHotEncoder(drop="first", sparse_output=False), groups),
    task=task,
)
grid = {"model__alpha": [1.0, 10.0, 100.0, 1000.0]}
more = {"model__alpha_shared": [3.0, 30.0], "model__alpha_intercept": [1.0, 3.0, 10.0]}
models = {
    "independent": (IndependentRegressor(task=task), grid),
    "pooled, one intercept": (PooledRegressor(task=task), grid),
    "pooled, school intercepts": (PooledRegressor(task=task, task_intercepts=True), grid),
    "mean-regularised": (MeanRegularizedRegressor(task=task), grid | more),
}
cv, fitted, tables = TaskStratifiedKFold(4, task=task, shuffle=True, random_state=0), {}, {}
for name, (model, grid) in models.items():
    pipeline = Pipeline([("columns", columns), ("model", model)])
    search = GridSearchCV(pipeline, grid, cv=cv, scoring="neg_mean_squared_error")
    fitted[name] = search.fit(X.loc[train], y[train])
    tables[name] = task_scores(search, X.loc[test], y[test], task=task)

rivals = ["independent", "pooled, one intercept"]
print(f"{'language test, points':27}{'RMSE':>5}   schools helped / hurt against " + " and ".join(rivals))
for name, table in tables.items():
    rmse = np.sqrt(np.average(table.rmse**2, weights=table.n_samples))
    gains = [tables[rival].rmse - table.rmse for rival in rivals]
    print(f"{name:27}{rmse:5.2f}", *(f"{np.sum(gain > 0):11d} / {np.sum(gain < 0):3d}" for gain in gains))

bold, thin = {"color": "black", "lw": 2.5}, {"color": "C0", "lw": 0.5}
fig, axes = plt.subplots(1, 3, figsize=(11, 4), sharex=True, sharey=True, layout="constrained")
for ax, name in zip(axes, ["independent", "mean-regularised", "pooled, school intercepts"], strict=True):
    lines = fitted[name].best_estimator_[-1].coef_frame()[["IQ.verb", "intercept"]]
    for school, (slope, height) in lines.iterrows():
        ax.axline((0, height), slope=slope, **(bold if school == "shared" else thin))
    ax.set(title=name, xlabel="verbal IQ, standard deviations", xlim=(-2.5, 2.5), ylim=(25, 55))
axes[0].set_ylabel("predicted language test, points")
fig.savefig("schools.png", dpi=100)
print("The lines of all schools, the shared one in black: schools.png")
