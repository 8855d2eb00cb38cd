"""
Spoken letters: 30 speakers, and few recordings of each
=======================================================

Every speaker says each letter of the alphabet twice: once to learn from, and once for the test.  Three methods are
compared: a network for each speaker; one network with a hidden layer for all speakers and an output layer for each; and
one network that is not told who speaks.  The data (ISOLET, part 1) are read from the folder ``SKMTL_DATA``.
"""

import os
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from skmtl import MultiTaskMLPClassifier

if "SKMTL_DATA" not in os.environ:
    sys.exit("This example reads isolet1.npz from the folder SKMTL_DATA, which is not set.")
data = np.load(Path(os.environ["SKMTL_DATA"]) / "isolet1.npz")
X, letter, speaker = data["X"], data["y"], data["task"]
X = PCA(50, random_state=0).fit_transform(X)
X /= X.std()

# %%
# Each speaker is a task, and the letters are its classes.  The methods learn from 1, 3, 10 and 30 speakers.

order = np.lexsort((letter, speaker))
first, second = order[::2], order[1::2]
settings = {"hidden_layer_sizes": (64,), "alpha": 0.01, "learning_rate_init": 0.003, "max_iter": 150, "tol": 0}
settings |= {"n_iter_no_change": 150, "batch_size": 32, "random_state": 0}
methods = {  # name -> hidden layers, and who is said to speak
    "a network for each speaker": ("private", speaker),
    "one hidden layer, an output layer for each": ("shared", speaker),
    "one network, who speaks is not known": ("shared", np.zeros_like(speaker)),
}
n_speakers, accuracy = [1, 3, 10, 30], {name: [] for name in methods}
for count in n_speakers:
    train, test = (rows[np.isin(speaker[rows], np.unique(speaker)[:count])] for rows in (first, second))
    for name, (sharing, task) in methods.items():
        model = MultiTaskMLPClassifier(sharing=sharing, **settings).fit(X[train], letter[train], task=task[train])
        accuracy[name].append(100 * model.score(X[test], letter[test], task=task[test]))

print(f"{'letters recognised, %':43}" + "".join(f"{count:>4} speakers" for count in n_speakers))
for name, values in accuracy.items():
    print(f"{name:43}" + "".join(f"{value:13.1f}" for value in values))

# %%
# With thirty speakers the shared layer is better than a network for each, but one network that does not know the
# speaker is far better than both: an "A" is an "A" whoever says it.  Tasks that are really the same need one model,
# not thirty.

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, values in accuracy.items():
    ax.plot(n_speakers, values, marker="o", label=name)
ax.set(xlabel="speakers", ylabel="letters recognised, %", xscale="log")
ax.set_xticks(n_speakers, n_speakers)
ax.minorticks_off()
ax.legend()
fig.savefig("network_speakers.png", dpi=100)
print("Letters recognised by speakers: network_speakers.png")
