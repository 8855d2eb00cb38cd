"""Splits of rows into folds that know which task a row belongs to."""

import numpy as np
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.multiclass import type_of_target

from skmtl._ids import number_tasks
from skmtl.tasks import take_task_column

__all__ = ["TaskStratifiedKFold"]


class TaskStratifiedKFold(StratifiedKFold):
    """K folds over which every task is spread evenly.

    The rows of a task that any two folds hold differ in number by one at most, and so do the folds' sizes. Every task
    that has two rows is therefore in every training set; rows sorted by task, as tables often are, do no harm. A task
    with fewer rows than folds is in some of the test sets only, which is no reason for a warning.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    task : str or int, default=None
        Name or position of the column of X that holds the task ids. With None they are passed as ``groups``.
    stratify_y : bool, default=False
        For classification: also spread every class of every task evenly, and the classes over all tasks as evenly as
        this allows. (The sizes of folds may then differ by more than one.)
    shuffle : bool, default=False
        Deal out the rows of a task at random. False cuts them into blocks, in the order in which they come.
    random_state : int, RandomState instance or None, default=None
        Of the shuffling; an int gives the same folds at every call.

    See Also
    --------
    sklearn.model_selection.LeaveOneGroupOut : Leaves whole tasks out: how well is a task predicted that was never seen?

    Notes
    -----
    With metadata routing, ``groups`` is requested by default; ``set_split_request(groups="task")`` makes the splitter
    take the same ``task=ids`` as the estimators.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.model_selection import TaskStratifiedKFold
    >>> X = np.zeros((6, 1))
    >>> schools = ["a", "a", "a", "a", "b", "b"]
    >>> for train, test in TaskStratifiedKFold(n_splits=2).split(X, groups=schools):
    ...     print(train, test)
    [2 3 5] [0 1 4]
    [0 1 4] [2 3 5]
    """

    __metadata_request__split = {"groups": True}

    def __init__(self, n_splits=5, *, task=None, stratify_y=False, shuffle=False, random_state=None):
        super().__init__(n_splits=n_splits, shuffle=shuffle, random_state=random_state)
        if not isinstance(stratify_y, bool):  # as scikit-learn's splitters check the others
            raise TypeError(f"stratify_y must be True or False; got {stratify_y!r}")
        self.task = task
        self.stratify_y = stratify_y

    def split(self, X, y=None, groups=None):
        """Yield the rows of every training and test set.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            With the task column, if `task` names one.
        y : array-like of shape (n_samples,), default=None
            Class labels, for `stratify_y`.
        groups : array-like of shape (n_samples,), default=None
            Task ids, if no column holds them.

        Yields
        ------
        train, test : int arrays
            Positions of rows.

        Raises
        ------
        ValueError
            The ids are missing or given twice, there are fewer rows than folds, or y holds no class labels.
        """
        check_consistent_length(X, y, groups)
        task = self._find_tasks(X, groups)
        label = self._find_classes(y, len(task))
        if self.n_splits > len(task):
            raise ValueError(
                f"n_splits={self.n_splits} must not be greater than the number of samples, which is {len(task)}."
            )
        fold = _deal(task, label, self.n_splits, check_random_state(self.random_state) if self.shuffle else None)
        for k in range(self.n_splits):
            yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)

    def _find_tasks(self, X, groups):
        if (self.task is None) == (groups is None):
            given = "neither" if groups is None else "both"
            raise ValueError(
                "TaskStratifiedKFold takes the task ids from a column of X, TaskStratifiedKFold(task=...), or as an "
                f"argument, split(X, y, groups=ids). Got {given}."
            )
        return number_tasks(take_task_column(X, self.task)[1] if groups is None else groups)[1]

    def _find_classes(self, y, n_samples):
        if not self.stratify_y:
            return np.zeros(n_samples, dtype=np.intp)
        if y is None or (kind := type_of_target(y, input_name="y")) not in ("binary", "multiclass"):
            came = "None" if y is None else f"a {kind} y"
            raise ValueError(f"stratify_y=True needs one class label per row in y. Got {came} instead.")
        return number_tasks(y, "y")[1]


def _deal(task, label, n_splits, rng):
    """The fold of every row.

    The rows of one (task, class) go to the folds in equal numbers; what remains, one each, to the folds that so far
    hold fewest rows of the task, then of the class, then of all. The first keeps a task even: from counts m and m + 1,
    those with m are served first, so they never differ by more than one.

    Parameters
    ----------
    task, label : int arrays of shape (n_samples,)
        Positions of the task and of the class.
    n_splits : int
    rng : RandomState or None
        Shuffles rows, and folds that hold equally many; None keeps the order.
    """
    fold = np.empty(len(task), dtype=np.intp)
    of_task = np.zeros((task.max() + 1, n_splits), dtype=np.intp)
    of_label = np.zeros((label.max() + 1, n_splits), dtype=np.intp)
    tie = np.arange(n_splits)
    order = np.lexsort((label, task))
    borders = np.flatnonzero(np.diff(task[order]) | np.diff(label[order])) + 1
    for rows in np.split(order, borders):
        t, k = task[rows[0]], label[rows[0]]
        tie = tie if rng is None else rng.permutation(n_splits)
        emptiest_first = np.lexsort((tie, of_label.sum(axis=0), of_label[k], of_task[t]))
        sizes = np.full(n_splits, len(rows) // n_splits)
        sizes[emptiest_first[: len(rows) % n_splits]] += 1
        fold[rows] = np.repeat(np.arange(n_splits), sizes)
        if rng is not None:
            fold[rows] = rng.permutation(fold[rows])
        of_task[t] += sizes
        of_label[k] += sizes
    return fold
