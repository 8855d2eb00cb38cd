"""Folds in which every task has its share."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from skmtl import MeanRegularizedRegressor
from skmtl.model_selection import TaskStratifiedKFold

each_order = pytest.mark.parametrize("shuffle", [False, True])
each_seed = pytest.mark.parametrize("seed", range(5))


def table(seed, n_samples=97, n_tasks=12, n_classes=3):
    """Ids and class labels; some tasks have a single row, most have few, one has many."""
    rng = np.random.default_rng(seed)
    task = rng.choice(n_tasks, n_samples, p=rng.dirichlet(np.full(n_tasks, 0.5)))
    return task, rng.choice(n_classes, n_samples, p=[0.6, 0.3, 0.1])


def fold_of_row(splitter, *data, **groups):
    """The fold of every row; on the way, that the test sets are a partition and each training set is the rest."""
    folds = list(splitter.split(*data, **groups))
    n_samples = len(folds[0][0]) + len(folds[0][1])
    fold = np.full(n_samples, -1)
    for k, (train, test) in enumerate(folds):
        assert (fold[test] == -1).all()
        fold[test] = k
        assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(n_samples))
    assert len(folds) == splitter.get_n_splits()
    assert (fold >= 0).all()
    return fold


def spread(fold, n_splits, *keys):
    """The largest difference between two folds in the number of rows that agree in all keys."""
    _, stratum = np.unique(np.column_stack([*keys, np.zeros(len(fold))]), axis=0, return_inverse=True)
    counts = np.zeros((stratum.max() + 1, n_splits), dtype=int)
    np.add.at(counts, (stratum.ravel(), fold), 1)
    return np.ptp(counts, axis=1).max()


# Shares


@each_seed
@each_order
@pytest.mark.parametrize("n_splits", [2, 5, 10])
def test_tasks_and_folds_are_even(seed, shuffle, n_splits):
    task, _ = table(seed)
    splitter = TaskStratifiedKFold(n_splits, shuffle=shuffle, random_state=seed if shuffle else None)
    fold = fold_of_row(splitter, np.zeros((97, 1)), groups=task)
    assert spread(fold, n_splits, task) <= 1
    assert spread(fold, n_splits) <= 1


@each_seed
@each_order
@pytest.mark.parametrize("n_splits", [2, 5, 10])
def test_classes_within_tasks_are_even_too(seed, shuffle, n_splits):
    task, label = table(seed)
    splitter = TaskStratifiedKFold(n_splits, stratify_y=True, shuffle=shuffle, random_state=seed if shuffle else None)
    fold = fold_of_row(splitter, np.zeros((97, 1)), label, groups=task)
    assert spread(fold, n_splits, task, label) <= 1
    assert spread(fold, n_splits, task) <= 1


@each_order
def test_rare_classes_do_not_gather_in_one_fold(shuffle):
    """Fifty tasks of five rows, the last one positive: dealt out alike, all of these would be in the last fold."""
    task, label = np.repeat(np.arange(50), 5), np.tile([0, 0, 0, 0, 1], 50)
    fold = fold_of_row(TaskStratifiedKFold(5, stratify_y=True, shuffle=shuffle), task[:, None], label, groups=task)
    assert spread(fold, 5, label) == 0


@each_order
def test_tasks_smaller_than_the_number_of_folds_are_fine(shuffle):
    fold = fold_of_row(TaskStratifiedKFold(4, shuffle=shuffle), np.zeros((12, 1)), groups=np.arange(12))
    assert_array_equal(np.bincount(fold), [3, 3, 3, 3])


@each_seed
@each_order
def test_rare_classes_of_small_tasks_fill_all_folds(seed, shuffle):
    """Two rows of each class, all in tasks of their own: even by task and by class is also to leave two folds empty."""
    task, label = np.arange(12), np.arange(12) % 6
    splitter = TaskStratifiedKFold(4, stratify_y=True, shuffle=shuffle, random_state=seed if shuffle else None)
    fold = fold_of_row(splitter, task[:, None], label, groups=task)
    assert np.bincount(fold, minlength=4).min() >= 2


def test_without_shuffling_a_task_is_cut_into_blocks():
    task = np.array([1, 0, 1, 0, 1, 0, 1, 0, 1, 0])
    fold = fold_of_row(TaskStratifiedKFold(2), np.zeros((10, 1)), groups=task)
    for t in (0, 1):
        assert (np.diff(fold[task == t]) >= 0).all()


@pytest.mark.parametrize("stratify_y", [False, True])
@pytest.mark.parametrize("sizes", [[40, 30], [1] * 60], ids=["large tasks", "tasks of one row"])
def test_only_the_random_state_changes_shuffled_folds(sizes, stratify_y):
    task = np.repeat(np.arange(len(sizes)), sizes)
    label = np.arange(len(task)) % 2

    def folds(seed):
        splitter = TaskStratifiedKFold(5, stratify_y=stratify_y, shuffle=True, random_state=seed)
        return fold_of_row(splitter, task[:, None], label, groups=task)

    assert_array_equal(folds(0), folds(0))
    assert (folds(0) != folds(1)).any()


def test_names_of_tasks_and_classes_do_not_matter():
    task, label = table(0)
    splitter = TaskStratifiedKFold(3, stratify_y=True)
    expected = fold_of_row(splitter, task[:, None], label, groups=task)
    words = np.array([f"{chr(97 + t)}-school" for t in range(12)])
    answers = np.array(["yes", "no longer", "sometimes"])
    alphabetical = np.sort(answers)
    fold = fold_of_row(splitter, task[:, None], alphabetical[label].tolist(), groups=words[task].tolist())
    assert_array_equal(fold, expected)


# Containers


X = pd.DataFrame(
    {"age": np.arange(97.0), "school": [f"s{t:02}" for t in table(0)[0]], "iq": 1.0}, index=range(97, 0, -1)
)


@pytest.mark.parametrize(
    ("rows", "task"),
    [
        (X, "school"),
        (X, 1),
        (X, -2),
        (X.astype({"school": "category"}), "school"),
        (X.astype({"school": "string"}), "school"),
        (pl.from_pandas(X), "school"),
        (pa.Table.from_pandas(X), "school"),
        (X.to_numpy(), 1),
        (X.to_numpy().tolist(), 1),
    ],
)
def test_ids_in_a_column_are_ids_as_groups(rows, task):
    expected = fold_of_row(TaskStratifiedKFold(3), X, groups=table(0)[0])
    assert_array_equal(fold_of_row(TaskStratifiedKFold(3, task=task), rows), expected)
    for groups in (X["school"], pl.Series(X["school"].to_numpy()), X["school"].tolist()):
        assert_array_equal(fold_of_row(TaskStratifiedKFold(3), rows, groups=groups), expected)


# In scikit-learn


def sorted_pupils():
    """Rows sorted by task, as tables often are."""
    rng = np.random.default_rng(0)
    school = np.repeat(list("abcd"), 12)
    F = rng.normal(size=(48, 2))
    y = F.sum(axis=1) + 3.0 * (school == "b")
    return pd.DataFrame(F, columns=["age", "iq"]).assign(school=school), y


def test_every_task_is_trained_on_even_if_rows_are_sorted():
    X, y = sorted_pupils()
    model = MeanRegularizedRegressor(0.1, task="school")
    scores = cross_val_score(model, X, y, cv=TaskStratifiedKFold(4, task="school"), scoring="r2", error_score="raise")
    assert (scores > 0.5).all()
    with pytest.raises(ValueError, match="unknown task"):
        cross_val_score(model, X, y, cv=KFold(4), scoring="r2", error_score="raise")


@pytest.mark.parametrize(
    ("splitter", "metadata"),
    [(TaskStratifiedKFold(3), ["task", "groups"]), (TaskStratifiedKFold(3), ["task"])],
    ids=["groups=ids", "task=ids for all"],
)
def test_ids_reach_it_by_metadata(splitter, metadata):
    X, y = sorted_pupils()
    with sklearn.config_context(enable_metadata_routing=True):
        if "groups" not in metadata:
            splitter.set_split_request(groups="task")
        search = GridSearchCV(MeanRegularizedRegressor(), {"alpha": [0.1]}, cv=splitter, error_score="raise")
        search.fit(X[["age", "iq"]], y, **dict.fromkeys(metadata, X["school"]))
    assert search.best_score_ > 0.5


def test_it_is_copied_and_shown_by_its_parameters():
    splitter = TaskStratifiedKFold(3, task="school", stratify_y=True, shuffle=True, random_state=0)
    words = ["n_splits=3", "task='school'", "stratify_y=True", "shuffle=True", "random_state=0"]
    assert all(word in repr(splitter) for word in words)
    search = clone(GridSearchCV(MeanRegularizedRegressor(), {}, cv=splitter))
    assert vars(search.cv) == vars(splitter)


# Errors


@pytest.mark.parametrize(
    ("parameters", "data", "message"),
    [
        ({}, {}, "takes the task ids from a column of X.*Got neither"),
        ({"task": "school"}, {"groups": X["school"]}, "takes the task ids from a column of X.*Got both"),
        ({"task": "class"}, {}, "The task column 'class' is not in X"),
        ({}, {"groups": [None, *X["school"][1:]]}, "1 missing value.*first in row 0"),
        ({}, {"groups": X["school"][1:]}, "inconsistent numbers of samples"),
        ({"n_splits": 98}, {"groups": X["school"]}, "n_splits=98 must not be greater than the number of samples.*97"),
        ({"stratify_y": True}, {"groups": X["school"]}, "stratify_y=True needs one class label per row in y. Got None"),
        ({"stratify_y": True}, {"groups": X["school"], "y": np.linspace(0, 1, 97)}, "Got a continuous y"),
        ({"stratify_y": True}, {"groups": X["school"], "y": np.ones((97, 2))}, "Got a multilabel-indicator y"),
        ({"stratify_y": True}, {"groups": X["school"], "y": [0, 1]}, "inconsistent numbers of samples"),
    ],
)
def test_an_error_says_what_came_and_what_is_needed(parameters, data, message):
    with pytest.raises(ValueError, match=message):
        next(TaskStratifiedKFold(**parameters).split(X, **data))


def test_shuffling_and_the_number_of_folds_are_checked_as_in_scikit_learn():
    with pytest.raises(ValueError, match="at least one train/test split"):
        TaskStratifiedKFold(1)
    with pytest.raises(ValueError, match="random_state has no effect since shuffle is False"):
        TaskStratifiedKFold(random_state=0)


def test_stratify_y_is_true_or_false():
    with pytest.raises(TypeError, match="stratify_y must be True or False; got 'yes'"):
        TaskStratifiedKFold(stratify_y="yes")
