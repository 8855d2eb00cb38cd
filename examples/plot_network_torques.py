"""
A robot arm: seven torques, few measurements of each
====================================================

What torque does each of seven joints need for a movement, given positions, velocities and accelerations?  Each joint
has a few movements of its own to learn from.  One hidden layer for all joints sees seven times as many movements as
the hidden layer of a single joint.  The data (SARCOS) are read from the folder ``SKMTL_DATA``.
"""

import os
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import r2_score

from skmtl import IndependentRegressor, MultiTaskMLPRegressor

if "SKMTL_DATA" not in os.environ:
    sys.exit("This example reads sarcos_test.npz from the folder SKMTL_DATA, which is not set.")
data = np.load(Path(os.environ["SKMTL_DATA"]) / "sarcos_test.npz")
X, Y = data["X"], data["Y"]
X = (X - X.mean(axis=0)) / X.std(axis=0)
n_joints = Y.shape[1]

settings = {"hidden_layer_sizes": (64,), "alpha": 0.1, "learning_rate_init": 0.005, "batch_size": 32, "max_iter": 150}
settings |= {"tol": 0, "n_iter_no_change": 150, "random_state": 0}
models = {
    "linear, a model for each joint": IndependentRegressor(0.01),
    "a network for each joint": MultiTaskMLPRegressor(sharing="private", **settings),
    "one hidden layer for all joints": MultiTaskMLPRegressor(**settings),
}

# %%
# Every movement is measured at one joint only: the id of the joint comes with the row.

sizes, n_repeats = [25, 50, 100, 200], 5
explained = {name: np.empty((len(sizes), n_repeats)) for name in models}
for i, size in enumerate(sizes):
    for seed in range(n_repeats):
        movements = np.random.default_rng(seed).permutation(len(X))
        train, test = movements[: n_joints * size], movements[n_joints * size :]
        joint = np.repeat(np.arange(n_joints), size)
        for name, model in models.items():
            model.fit(X[train], Y[train, joint], task=joint)
            predicted = [model.predict(X[test], task=np.full(len(test), t)) for t in range(n_joints)]
            explained[name][i, seed] = 100 * r2_score(Y[test], np.column_stack(predicted))

print(f"{'R2, %, mean over joints':32}" + "".join(f"{size:>5} rows" for size in sizes))
for name, values in explained.items():
    print(f"{name:32}" + "".join(f"{mean:10.1f}" for mean in values.mean(axis=1)))

# %%
# One layer for all joints is better than one for each by about a point.  The linear models are behind both.

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, values in explained.items():
    ax.errorbar(sizes, values.mean(axis=1), values.std(axis=1), marker="o", capsize=3, label=name)
ax.set(xlabel="movements measured at each joint", ylabel="torque explained in other movements, %", xscale="log")
ax.set_xticks(sizes, sizes)
ax.minorticks_off()
ax.legend()
fig.savefig("network_torques.png", dpi=100)
print("R2 by movements: network_torques.png")
