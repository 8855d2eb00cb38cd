"""
Neighbours know more than the average
=====================================

There are sixty places with twelve rows each, and the weights change smoothly from place to place. The data are
generated, so the risk of every model, its expected squared error on new rows, is known exactly. ``path`` shows it for
all strengths. With a small ``alpha`` every place is on its own, with a large one connected places are the same.
Between the two, a model that knows the neighbours is better than one that knows only the mean of all.
"""

import matplotlib.pyplot as plt

from skmtl import MeanRegularizedRegressor, TaskGraphRegressor
from skmtl.datasets import make_graph_tasks

data = make_graph_tasks(n_tasks=60, n_samples=12, n_features=8, smoothness=30.0, random_state=0)
models = {
    "mean-regularised: near the mean of all": MeanRegularizedRegressor(alpha_shared=0.1),
    "task graph: near the neighbours": TaskGraphRegressor(graph=data.graph),
}
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
for name, model in models.items():
    path = model.path(data.X, data.y, task=data.task, n_alphas=60, eps=1e-4)
    excess = ((path.coefs - data.coef) ** 2).sum(axis=2) + (path.intercepts - data.intercept) ** 2
    left.semilogx(path.alphas, excess.mean(axis=1), label=name)
    print(f"{name:40} lowest risk {excess.mean(axis=1).min():.2f} + noise {data.noise**2:.0f}")
left.set(xlabel="alpha", ylabel="risk above the noise, mean over places", ylim=(0, None))
left.set_title("risk of both models at every strength")
left.legend()

best = path.coefs[excess.mean(axis=1).argmin()][:, 0]  # of the last model, the task graph
for a, b in data.graph:
    right.plot(*data.positions[[a, b]].T, color="0.8", lw=1, zorder=0)
dots = right.scatter(*data.positions.T, c=best, s=80, cmap="viridis", edgecolors="k", linewidths=0.5)
fig.colorbar(dots, label="weight of the first feature")
right.set(title="task graph at its best alpha: one weight on the map", xticks=[], yticks=[])
plt.show()
