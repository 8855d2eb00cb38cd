"""Class weights: what a label counts besides its row's weight."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from skmtl._ids import describe, named_tasks

__all__ = ["balanced", "factors_of_labels", "refuse_unknown_labels", "weigh_classes"]


def weigh_classes(data, labels, class_weight, keep_rows=False):
    """Multiply the weights of `data`, whose y holds codes, by those of the labels' classes.

    Parameters
    ----------
    data : TaskData
    labels : LabelSets
    class_weight : "balanced", a dict {label: weight}, or a dict of such by task id
        "balanced": every class of a task has the same sum of weights, and the task as much as before.
    keep_rows : bool
        Whether rows whose class weighs nothing stay in the long layout, too, with weight 0.

    Raises
    ------
    ValueError
        An unknown label instead of one that is there, an unknown task, or no weight left.
    """
    codes = data.y.astype(np.intp)
    task = np.broadcast_to(np.arange(data.n_tasks), codes.shape) if data.shared else data.task_of_row
    weight = data.label_weight()
    weight = weight * factors_of_labels(codes, weight, task, labels, class_weight, data.tasks)
    if not weight.any():
        raise ValueError("Every label has weight zero: class_weight must be positive for at least one class with rows.")
    weighed = replace(data, weight=weight)
    return weighed if keep_rows or weight.ndim == 2 or weight.all() else weighed.take(weight > 0)


def factors_of_labels(codes, weight, task, labels, class_weight, tasks):
    """The factor of every label's weight; `codes`, `weight` and `task`, its position, are arrays of one shape."""
    counts = np.bincount(
        (task * labels.n_classes + codes).ravel(), weight.ravel(), minlength=len(tasks) * labels.n_classes
    ).reshape(len(tasks), labels.n_classes)
    return _factors(counts, labels, class_weight, tasks)[task, codes]


def _factors(counts, labels, class_weight, tasks):
    """What each class of each task is multiplied by, (n_tasks, n_classes), for their sums of weights `counts`."""
    if class_weight == "balanced":
        return balanced(counts)
    if not any(map(_is_setting, class_weight.values())):
        return _by_label(labels, class_weight, len(tasks))
    factors = np.ones(counts.shape)
    at = named_tasks("class_weight", class_weight, tasks)
    for t, setting in zip(at, class_weight.values(), strict=True):
        if setting is not None:
            factors[t] = _factors(counts, labels, setting, tasks)[t]
    return factors


def _by_label(labels, weights, n_tasks):
    coded = [labels.coded(t).tolist() for t in range(n_tasks)]
    known = {label for names in coded for label in names}
    refuse_unknown_labels("class_weight", weights, sorted(known, key=str))
    return np.array([[weights.get(label, 1.0) for label in names] for names in coded])


def refuse_unknown_labels(name, weights, labels):
    """Raise if a dict of weights names labels that do not occur and leaves out some that do, as scikit-learn does.

    Where it names all that occur, the others are those of rows that this fit has not seen: of another fold, say.
    """
    unknown = [label for label in weights if label not in labels]
    if unknown and any(label not in weights for label in labels):
        raise ValueError(f"{name} names unknown labels: {describe(unknown)}. The labels are {describe(labels)}.")


def balanced(counts):
    """N_t / (K_t n_tk): n_tk the weight of class k in task t, K_t the number of classes that have any there.

    counts : n_tk, (n_tasks, n_classes), or (n_classes,) of one task; likewise what comes back, 1 where n_tk is 0.
    """
    present = counts > 0
    total, n_present = counts.sum(axis=-1, keepdims=True), present.sum(axis=-1, keepdims=True)
    return np.divide(total, n_present * counts, out=np.ones(counts.shape), where=present)


def _is_setting(value):
    """Whether a value of a dict is the setting of a whole task."""
    return value is None or isinstance(value, (str, Mapping))
