"""The parameter `loss`: one loss for all tasks, or one each; and predictions in the units of their labels."""

from collections.abc import Mapping

import numpy as np

from skmtl._ids import canonical_ids, describe, lookup, named_tasks
from skmtl._params import with_plain_numbers
from skmtl.losses import Huber, Multinomial, Squared, loss_named

__all__ = ["explained", "losses_of", "means_of"]


def losses_of(loss, data):
    """The loss of every task, a list of `Loss`, for a name, a `Loss` or a dict of task ids and these.

    A task without rows, a node of a graph, need not be in the dict: it has the loss of the others or, if these differ,
    None.

    Raises
    ------
    ValueError
        If a task with rows has no loss, a loss has no task, or labels are none that their loss knows.
    """
    has_rows = np.ones(data.n_tasks, dtype=bool) if data.shared else np.diff(data.starts) > 0
    losses = _of_tasks(loss, data.tasks, has_rows)
    for t, one in enumerate(losses):
        if one is None:
            continue
        if isinstance(one, Multinomial):
            raise ValueError(
                "loss=Multinomial(...) is for classes, and for MultiTaskClassifier, which chooses it itself."
            )
        _, y, s = data.block(t)
        one.check(y if s is None else y[s > 0], *data.tasks[t : t + 1].tolist())
    return losses


def _of_tasks(loss, tasks, has_rows):
    if not isinstance(loss, Mapping):
        one = with_plain_numbers(loss_named(loss))
        return [one] * len(tasks)
    ids, _ = canonical_ids(list(loss), "loss")
    at = lookup(tasks, ids)
    if (lost := (at < 0) & has_rows).any():
        raise ValueError(f"loss names no loss for the tasks {describe(tasks[lost])}.")
    named_tasks("loss", loss, tasks)  # raises if there is no such task
    values = [with_plain_numbers(loss_named(value)) for value in loss.values()]
    others = values[0] if len(set(map(repr, values))) == 1 else None
    return [others if position < 0 else values[position] for position in at]


def means_of(losses, eta, codes, tasks):
    """What eta means in the units of the labels.

    Parameters
    ----------
    losses : list of Loss
        One a task; None where it is not known.
    eta : array of shape (n_samples,) or (n_samples, n_tasks)
    codes : int array of shape (n_samples,) or None
        The position of each row's task, -1 for one that is not known; None where columns are tasks, or there is one.
    tasks : array of shape (n_tasks,)
        The ids.
    """
    kinds = [repr(loss) for loss in losses]
    if len(set(kinds)) == 1:
        return losses[0].mean(eta)
    if codes is None:
        columns = [loss.mean(column) for loss, column in zip(losses, eta.T, strict=True)]
        return np.stack(columns, axis=1).astype(eta.dtype)
    if (codes < 0).any():
        raise ValueError("Tasks have different losses: for an unknown task there is none, and no prediction.")
    unnamed = [t for t in np.unique(codes) if losses[t] is None]
    if unnamed:
        raise ValueError(f"Tasks have different losses, and loss names none for {describe(tasks[unnamed])}: name it.")
    out = np.empty_like(eta)
    for t in np.unique(codes):
        rows = codes == t
        out[rows] = losses[t].mean(eta[rows])
    return out


def explained(loss, y, eta, weight):
    """``D^2``: 1 minus the loss as a share of that of the best constant; NaN where either is unknown or the latter 0.

    For the squared loss that is R^2.  Huber's loss is scored as the squared one, as in scikit-learn: it makes fits
    robust, not scores.
    """
    loss = Squared() if isinstance(loss, Huber) else loss
    if loss is None or not weight.any() or loss.settled(y):
        return np.nan
    least = weight @ loss.value(y, np.full(len(y), loss.best_constant(y, weight)))
    return 1.0 - (weight @ loss.value(y, eta)) / least if least > 0 else np.nan
