"""
Two label sets from different pictures: which digit, and odd or even?
=====================================================================

800 pictures of handwritten digits are labelled with the digit; of a few others it is only known whether it is odd or
even.  Nobody tells the network how the two labels are related.  But what its hidden layer learns from the digits is
also useful for odd and even, so that with one hidden layer for both tasks fewer labels are needed.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skmtl import MultiTaskMLP
from skmtl.neural import TrainingDisplay

X, digit = load_digits(return_X_y=True)
X = X / 16
parity = np.where(digit % 2, "odd", "even")
heads = {"digit": "classification", "parity": "classification"}
settings = {"hidden_layer_sizes": (64,), "alpha": 1.0, "learning_rate_init": 0.003, "max_iter": 60, "tol": 0}
settings |= {"n_iter_no_change": 60, "batch_size": 50}


def rows(size, seed):
    """Pictures to learn from, a task's name and a label for each; and pictures to test on."""
    train, test = train_test_split(np.arange(len(X)), train_size=800 + size, stratify=digit, random_state=seed)
    task = np.repeat(["digit", "parity"], [800, size])
    labels = np.concatenate([digit[train[:800]].astype(object), parity[train[800:]]])
    return X[train], labels, task, test


# %%
# A row belongs to one task, whose name comes with it, so that all rows pass the same hidden layer.  With
# ``sharing="private"`` each task has a hidden layer of its own: two networks side by side.

sizes, n_repeats = [15, 30, 60, 120, 240], 3
names = {"shared": "one hidden layer for both tasks", "private": "a hidden layer of its own"}
accuracy = {name: np.empty((len(sizes), n_repeats)) for name in names.values()}
for i, size in enumerate(sizes):
    for seed in range(n_repeats):
        pictures, labels, task, test = rows(size, seed)
        asked = np.full(len(test), "parity")
        for sharing, name in names.items():
            model = MultiTaskMLP(heads, sharing=sharing, random_state=seed, **settings).fit(pictures, labels, task=task)
            accuracy[name][i, seed] = 100 * np.mean(model.predict(X[test], task=asked) == parity[test])

print(f"{'odd or even, % right':32}" + "".join(f"{size:>5} rows" for size in sizes))
for name, values in accuracy.items():
    print(f"{name:32}" + "".join(f"{mean:10.1f}" for mean in values.mean(axis=1)))

# %%
# The pictures of the other task help most where the labels of this one are fewest.

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, values in accuracy.items():
    ax.errorbar(sizes, values.mean(axis=1), values.std(axis=1), marker="o", capsize=3, label=name)
ax.set(xlabel="pictures labelled odd or even", ylabel="right on other pictures, %", xscale="log")
ax.set_title("Odd or even, beside 800 pictures labelled with the digit")
ax.set_xticks(sizes, sizes)
ax.minorticks_off()
ax.legend()
fig.savefig("network_digits.png", dpi=100)

# %%
# A picture of the training of one network: the loss of each task, and its score on other pictures after every epoch.

pictures, labels, task, test = rows(60, seed=0)
asked = np.repeat(["digit", "parity"], len(test))
others = X[np.tile(test, 2)], np.concatenate([digit[test].astype(object), parity[test]]), asked
model = MultiTaskMLP(heads, random_state=0, **settings).fit(pictures, labels, task=task, validation_data=others)
TrainingDisplay.from_estimator(model).figure_.savefig("network_training.png", dpi=100)
print("Accuracy by labels, and the training of a network: network_digits.png, network_training.png")
