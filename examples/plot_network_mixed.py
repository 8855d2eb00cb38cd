"""
A number, a class and tags from one network
===========================================

Of a handwritten digit only the upper half is seen.  How much ink is in the other half (a number), which digit is it
(one of ten classes), and which parts of the other half are dark (any of eight tags)?  One network with a hidden layer
for all three and a head for each is compared with three networks.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skmtl import MultiTaskMLP
from skmtl.neural import TrainingDisplay

pictures, digit = load_digits(return_X_y=True)
upper, lower = pictures[:, :32] / 16, pictures[:, 32:] / 16
parts = lower.reshape(-1, 2, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 8)  # two rows of four squares
labels = {"ink": lower.sum(axis=1), "digit": digit.astype(str), "dark": (parts > 0.4).astype(float)}
heads = {"ink": "regression", "digit": "classification", "dark": "multilabel"}

# %%
# Labels of any type stand side by side, with gaps where they are not known: here a third of each is hidden.

rng = np.random.default_rng(0)


def with_gaps(y):
    """A third of the pictures without label."""
    y = y.astype(object) if y.dtype.kind == "U" else y.copy()
    y[rng.uniform(size=len(y)) < 1 / 3] = np.nan
    return y


train, test = train_test_split(np.arange(len(digit)), train_size=300, stratify=digit, random_state=0)
known = {name: with_gaps(y[train]) for name, y in labels.items()}
truth = {name: y[test] for name, y in labels.items()}
settings = {"hidden_layer_sizes": (64,), "learning_rate_init": 0.003, "max_iter": 80, "tol": 0, "n_iter_no_change": 80}
settings |= {"batch_size": 50, "alpha": 1.0, "random_state": 0}
together = MultiTaskMLP(heads, **settings).fit(upper[train], known, validation_data=(upper[test], truth))
apart = MultiTaskMLP(heads, sharing="private", **settings).fit(upper[train], known)

for name, values in together.predict(upper[test][:3]).items():
    print(f"{name:6}", values.round(1).tolist() if name == "ink" else values.tolist())

# %%
# Every head has the score of its kind: R2 for the ink, accuracy for the digit and for the dark parts.  Sharing does not
# help every task: here it helps the digit and the tags, but the ink is better predicted by a network of its own.

models = {"one network": together, "three networks": apart}
scores = {name: model.head_scores(upper[test], truth) for name, model in models.items()}
print(f"\n{'':16}" + "".join(f"{name:>8}" for name in heads))
for name, row in scores.items():
    print(f"{name:16}" + "".join(f"{row[head]:8.3f}" for head in heads))

# %%
# The losses are of different kinds and fall at different speeds.  A rule can choose the weights of the tasks during
# training: ``"uncertainty"`` gives more weight to a task with a small loss.  Here that does not help.  The digit,
# whose loss is the largest, ends at a quarter of its weight, and its accuracy is 0.62 instead of 0.76 with equal
# weights.  The ink gains a hundredth or two, the tags nothing.  So compare learnt weights with equal ones, the
# default, before you use them.

weighted = MultiTaskMLP(heads, task_weight="uncertainty", **settings)
weighted.fit(upper[train], known, validation_data=(upper[test], truth))
TrainingDisplay.from_estimator(weighted).figure_.savefig("network_mixed.png", dpi=100)
row = weighted.head_scores(upper[test], truth)
print(f"{'learnt weights':16}" + "".join(f"{row[head]:8.3f}" for head in heads))
print("\nTraining with learnt weights: network_mixed.png")
