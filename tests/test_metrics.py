"""Scores see the labels that are there, task by task, wherever the ids are."""

import inspect
import pickle
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import RandomForestClassifier, VotingRegressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    make_scorer,
    max_error,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skmtl import IndependentRegressor, MeanRegularizedClassifier, MeanRegularizedRegressor
from skmtl._scores import Scored
from skmtl.metrics import make_task_scorer, masked_scorer, task_scores, within_task_explained_variance
from skmtl.model_selection import TaskStratifiedKFold
from skmtl.preprocessing import TaskWise, make_task_column_transformer, to_long
from skmtl.tasks import take_task_column


def pupils(n_samples=90):
    """A table of pupils, the school in the middle; schools differ in level and size."""
    rng = np.random.default_rng(0)
    school = rng.choice(["north", "east", "south"], n_samples, p=[0.5, 0.3, 0.2])
    F = rng.normal(size=(n_samples, 2))
    y = F @ [1.0, 2.0] + rng.normal(size=n_samples) + 5.0 * (school == "east")
    return pd.DataFrame({"age": F[:, 0], "school": school, "iq": F[:, 1]}), y


X, y = pupils()
F, IDS = X[["age", "iq"]], X["school"].to_numpy()
SCHOOLS = ["east", "north", "south"]


def wide(n_samples=60, n_tasks=3, missing=0.4):
    rng = np.random.default_rng(1)
    A = rng.normal(size=(n_samples, 4))
    Y = A @ rng.normal(size=(4, n_tasks)) + rng.normal(size=(n_samples, n_tasks))
    Y[rng.random(Y.shape) < missing] = np.nan
    return A, Y


A, Y = wide()


def mean_of(func, y_true, y_pred, task):
    """The definition, written as slowly as possible."""
    return np.mean([func(y_true[task == t], y_pred[task == t]) for t in np.unique(task)])


# Wide labels with gaps


def test_a_masked_score_is_the_mean_over_tasks_of_their_labelled_rows():
    model = MeanRegularizedRegressor(0.1).fit(A, Y)
    P, seen = model.predict(A), ~np.isnan(Y)
    expected = np.mean([r2_score(Y[seen[:, t], t], P[seen[:, t], t]) for t in range(3)])
    assert_allclose(masked_scorer(r2_score)(model, A, Y), expected)
    assert_allclose(masked_scorer(r2_score)(model, A, pd.DataFrame(Y)), expected)
    assert_allclose(masked_scorer(r2_score)(model, A, pl.DataFrame(Y)), expected)


def test_labels_of_weight_0_are_not_there():
    """A task without other labels has no score, one with a single other label no R2; and no function sees a 0."""
    model = MeanRegularizedRegressor(0.1).fit(A, Y)
    weight = np.ones(Y.shape)
    weight[:, 0] = 0.0
    weight[np.flatnonzero(~np.isnan(Y[:, 1]))[1:], 1] = 0.0
    gone = np.where(weight == 0.0, np.nan, Y)
    expected = model.score(A, gone)
    assert_allclose(expected, r2_score(*[part[~np.isnan(Y[:, 2]), 2] for part in (Y, model.predict(A))]))
    assert_allclose(model.score(A, Y, sample_weight=weight), expected)
    assert_allclose(masked_scorer(r2_score)(model, A, Y, sample_weight=weight), expected)
    assert_array_equal(task_scores(model, A, Y, sample_weight=weight).n_samples, (~np.isnan(gone)).sum(axis=0))
    north = make_task_scorer(r2_score, average="task", task="school")
    fitted = MeanRegularizedRegressor(task="school").fit(X, y)
    without = IDS != "north"
    assert_allclose(north(fitted, X, y, sample_weight=without.astype(float)), north(fitted, X[without], y[without]))


def test_one_column_is_one_label_a_row_if_tasks_are_known():
    model, column = MeanRegularizedRegressor(task="school").fit(X, y), pd.DataFrame({"y": y})
    scorer = make_task_scorer(r2_score, average="task")
    assert_allclose(scorer(model, X, column), scorer(model, X, y))
    assert_array_equal(task_scores(model, X, y[:, None]).task, SCHOOLS)
    P = model.predict(X)
    expected = within_task_explained_variance(y, P, IDS)
    assert_allclose(within_task_explained_variance(y[:, None], P[:, None], IDS), expected)
    assert_allclose(within_task_explained_variance(y, P[:, None], IDS, sample_weight=np.ones((len(y), 1))), expected)
    with pytest.raises(ValueError, match="1d array"):
        within_task_explained_variance(y, np.column_stack([P, P]), IDS)


def test_what_is_no_weight_no_label_and_no_score_is_refused():
    model = MeanRegularizedRegressor(0.1).fit(A, Y)
    with pytest.raises(ValueError, match=r"the smallest is -1"):
        within_task_explained_variance(y, y, IDS, sample_weight=-np.ones(len(y)))
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(60,\) or \(60, 3\). Got .* \(60, 2\)"):
        task_scores(model, A, Y, sample_weight=np.ones((60, 2)))
    table, weight = (pd.DataFrame(values, columns=list(names)) for values, names in ((Y, "abc"), (Y**2, "cba")))
    named = MeanRegularizedRegressor(0.1).fit(A, table)
    with pytest.raises(
        ValueError, match="columns of sample_weight should be in the order of those of y, 'a', 'b', 'c'"
    ):
        task_scores(named, A, table, sample_weight=weight)
    with pytest.raises(ValueError, match="y_true contains NaN"):
        within_task_explained_variance(np.r_[np.nan, y[1:]], y, IDS)
    with pytest.raises(ValueError, match="y_pred contains NaN"):
        within_task_explained_variance(y, np.r_[np.nan, y[1:]], IDS)
    for scoring, message in [("r2", "Got 'r2'"), (["r2"], "dict"), ({"task": r2_score}, "column of the table")]:
        with pytest.raises(ValueError, match=message):
            task_scores(model, A, Y, scoring=scoring)
    assert "score" in task_scores(model, A, Y, scoring=partial(r2_score, force_finite=False))


def test_columns_of_y_in_another_order_are_refused():
    frame = pd.DataFrame(Y, columns=["p", "q", "r"])
    for model in (MeanRegularizedRegressor(0.1), MeanRegularizedClassifier(0.1)):
        labels = frame if "Regressor" in type(model).__name__ else (frame > 0).astype(int)
        fitted = model.fit(A, labels)
        masked, piped = masked_scorer(accuracy_score), make_pipeline(StandardScaler(), model).fit(A, labels)
        scores = (fitted.score, partial(task_scores, fitted), partial(masked, fitted), partial(masked, piped))
        for score in scores:
            with pytest.raises(ValueError, match=r"in the order of fit, 'p', 'q', 'r'\. Got 'r', 'q', 'p'"):
                score(A, labels[["r", "q", "p"]])


def test_probabilities_of_different_numbers_of_classes_do_not_stack():
    K = np.column_stack([np.digitize(A[:, 0], [-0.5, 0.5]), A[:, 1] > 0]).astype(int)
    model = MeanRegularizedClassifier().fit(A, K)
    with pytest.raises(ValueError, match=r"different numbers of classes, \[2, 3\]"):
        masked_scorer(log_loss, response_method="predict_proba")(model, A, K)


def test_an_average_over_classes_is_the_scores_own():
    labels = np.where(np.isnan(Y), np.nan, np.digitize(np.nan_to_num(Y), [-1.0, 1.0]))
    model = MeanRegularizedClassifier(0.1).fit(A, labels)
    scored = masked_scorer(f1_score, average="macro")(model, A, labels)
    assert scored == masked_scorer(partial(f1_score, average="macro"))(model, A, labels)
    P, seen = model.predict(A), ~np.isnan(Y)
    assert_allclose(scored, np.mean([f1_score(labels[k, t], P[k, t], average="macro") for t, k in enumerate(seen.T)]))
    with pytest.raises(ValueError, match=r"Got 'macro' instead; .* functools.partial"):
        make_task_scorer(f1_score, average="macro")
    with pytest.raises(ValueError, match=r"func must be a function .* Got 'f1'"):
        masked_scorer("f1")


def test_without_gaps_it_is_scikit_learns_average_over_outputs():
    _, complete = wide(missing=0)
    model = LinearRegression().fit(A, complete)
    for func, sign in ((r2_score, 1), (mean_absolute_error, -1)):
        expected = make_scorer(func, greater_is_better=sign > 0)(model, A, complete)
        assert_allclose(masked_scorer(func, greater_is_better=sign > 0)(model, A, complete), expected)


@pytest.mark.parametrize("average", ["task", "pooled"])
def test_wide_scores_are_long_scores(average):
    scorer = make_task_scorer(mean_squared_error, average=average)
    A_long, y_long, _ = to_long(A, Y)
    long = scorer(MeanRegularizedRegressor(0.1, task=-1).fit(A_long, y_long), A_long, y_long)
    assert_allclose(scorer(MeanRegularizedRegressor(0.1).fit(A, Y), A, Y), long)


def test_the_one_column_of_a_single_task_may_have_gaps():
    model = Ridge().fit(A, np.nan_to_num(Y[:, 0]))
    seen = ~np.isnan(Y[:, 0])
    assert_allclose(masked_scorer(r2_score)(model, A, Y[:, :1]), r2_score(Y[seen, 0], model.predict(A[seen])))


def test_tasks_without_a_score_are_left_out():
    few = np.full_like(Y, np.nan)
    few[:20, 0], few[0, 1] = Y[:20, 2], 1.0  # twenty labels, one, none
    few[np.isnan(Y[:, 2]), 0] = np.nan
    model = MeanRegularizedRegressor(0.1).fit(A, Y)
    seen = ~np.isnan(few[:, 0])
    assert_allclose(masked_scorer(r2_score)(model, A, few), r2_score(few[seen, 0], model.predict(A)[seen, 0]))
    with pytest.warns(UndefinedMetricWarning, match="not defined on any task"):
        assert np.isnan(masked_scorer(r2_score)(model, A[:1], few[:1]))


def test_a_search_with_a_masked_scorer_is_pickled():
    search = GridSearchCV(
        MeanRegularizedRegressor(), {"alpha": [0.01, 10.0]}, cv=3, scoring=masked_scorer(r2_score), error_score="raise"
    ).fit(A, Y)
    again = pickle.loads(pickle.dumps(search))
    assert_allclose(again.score(A, Y), search.score(A, Y))
    fold = next(KFold(3).split(A))
    model = MeanRegularizedRegressor(0.01).fit(A[fold[0]], Y[fold[0]])
    expected = masked_scorer(r2_score)(model, A[fold[1]], Y[fold[1]])
    assert_allclose(search.cv_results_["split0_test_score"][0], expected)


# Classifiers


class Coin(BaseEstimator):
    """Wide probabilities as one array: that of each output's second class."""

    def __init__(self, proba):
        self.proba = proba

    def predict_proba(self, X):
        return self.proba


def wide_classes(n_tasks, words=False):
    """Classes that depend on the rows, some of them missing."""
    rng = np.random.default_rng(2)
    positive = A[:, :n_tasks] + 0.5 * rng.normal(size=(60, n_tasks)) > 0
    labels = np.where(positive, "yes", "no").astype(object) if words else positive.astype(float)
    labels[rng.random(labels.shape) < 0.3] = None if words else np.nan
    return labels, positive


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("n_tasks", [1, 2, 3])
def test_wide_probabilities_of_two_classes_are_those_of_the_second(n_tasks, words):
    labels, positive = wide_classes(n_tasks, words)
    forest = RandomForestClassifier(5, random_state=0).fit(A, positive if n_tasks > 1 else positive.ravel())
    proba = forest.predict_proba(A)
    second = np.column_stack([p[:, 1] for p in proba] if n_tasks > 1 else [proba[:, 1]])
    seen = labels != None if words else ~np.isnan(labels)  # noqa: E711, element by element
    aucs = [roc_auc_score(labels[seen[:, t], t].tolist(), second[seen[:, t], t]) for t in range(n_tasks)]
    scorer = masked_scorer(roc_auc_score, response_method="predict_proba")
    assert_allclose(scorer(forest, A, labels), np.mean(aucs))
    assert_allclose(scorer(Coin(second), A, labels), np.mean(aucs))


def test_more_classes_keep_all_their_probabilities():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, size=(60, 2))
    forest = RandomForestClassifier(5, random_state=0).fit(A, labels)
    proba = np.stack(forest.predict_proba(A))
    expected = np.mean([log_loss(labels[:, t], proba[t], labels=[0, 1, 2]) for t in range(2)])
    scorer = masked_scorer(log_loss, greater_is_better=False, response_method="predict_proba", labels=[0, 1, 2])
    assert_allclose(scorer(forest, A, labels), -expected)


@pytest.mark.parametrize("response_method", ["predict_proba", "decision_function"])
def test_long_scores_of_a_classifier_are_scikit_learns(response_method):
    label = np.where(F["age"] + y > 2, "high", "low")
    model = LogisticRegression().fit(F, label)
    scorer = make_task_scorer(roc_auc_score, response_method=response_method)
    assert_allclose(
        scorer(model, F, label), make_scorer(roc_auc_score, response_method=response_method)(model, F, label)
    )
    by_task = make_task_scorer(roc_auc_score, response_method=response_method, average="task")
    response = model.decision_function(F)
    assert_allclose(by_task(model, F, label, task=IDS), mean_of(roc_auc_score, label, response, IDS))


@pytest.mark.parametrize("several", [tuple, list])
def test_of_several_methods_the_first_that_the_estimator_has_responds(several):
    label, methods = np.where(F["age"] + y > 2, "high", "low"), several(["decision_function", "predict_proba"])
    scorers = [f(_least, response_method=methods) for f in (make_scorer, make_task_scorer)]
    for model in (LogisticRegression(), RandomForestClassifier(3, random_state=0)):
        ours, theirs = (scorer(model.fit(F, label), F, label) for scorer in scorers)
        assert ours == theirs
        assert (ours < 0) == hasattr(model, "decision_function")
    with pytest.raises(AttributeError, match="no attribute 'decision_function or predict_proba'"):
        scorers[1](LinearRegression().fit(F, y), F, label)


def _least(y_true, y_pred):
    return y_pred.min()


# One label a row: the ids in a column


def pipelines():
    """Models that have the ids in a column of what the last step is given, wherever that column stood before."""
    last = MeanRegularizedRegressor(0.1, task="school")
    moved = make_task_column_transformer((StandardScaler(), ["age", "iq"]), task="school")
    unnamed = make_task_column_transformer((StandardScaler(), ["age", "iq"]), task="school", output="default")
    return {
        "model": last,
        "position": MeanRegularizedRegressor(0.1, task=1),
        "TaskWise": make_pipeline(TaskWise(task="school"), last),
        "moved": make_pipeline(moved, last),
        "array": make_pipeline(unnamed, MeanRegularizedRegressor(0.1, task=0)),
        "nested": make_pipeline(FunctionTransformer(), make_pipeline(moved, last)),
        "search": GridSearchCV(make_pipeline(moved, last), {}, cv=2),
        "target": TransformedTargetRegressor(make_pipeline(moved, last), func=np.sinh, inverse_func=np.arcsinh),
    }


each_pipeline = pytest.mark.parametrize("name", pipelines())


@each_pipeline
def test_the_ids_are_found_in_the_column_that_the_last_step_names(name):
    model = pipelines()[name].fit(X, y)
    expected = mean_of(r2_score, y, model.predict(X), IDS)
    assert_allclose(make_task_scorer(r2_score, average="task")(model, X, y), expected)
    assert_allclose(make_task_scorer(r2_score, average="task", task="school")(model, X, y), expected)
    assert_allclose(task_scores(model, X, y).r2.mean(), expected)
    assert_allclose(task_scores(model, X, y, task="school").r2.mean(), expected)
    assert task_scores(model, X, y).task.tolist() == SCHOOLS


class BlindToTasks(ClassifierMixin, BaseEstimator):
    """A classifier that takes the task column away and forgets it."""

    def __init__(self, task=None):
        self.task = task

    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(take_task_column(X, self.task)[0], y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(take_task_column(X, self.task)[0])


def test_the_ids_are_found_behind_a_threshold():
    moved = make_task_column_transformer((StandardScaler(), ["age", "iq"]), task="school")
    model = FixedThresholdClassifier(make_pipeline(moved, BlindToTasks(task="school"))).fit(X, y > 1)
    expected = mean_of(accuracy_score, y > 1, model.predict(X), IDS)
    assert_allclose(make_task_scorer(accuracy_score, average="task")(model, X, y > 1), expected)


@pytest.mark.parametrize("average", ["pooled", "task"])
def test_a_search_finds_them_in_every_fold(average):
    scorer = make_task_scorer(r2_score, average=average)
    search = GridSearchCV(
        make_pipeline(TaskWise(task="school"), MeanRegularizedRegressor(task="school")),
        {"meanregularizedregressor__alpha": [0.01, 1.0]},
        scoring=scorer,
        cv=TaskStratifiedKFold(3, task="school"),
        n_jobs=2,
        error_score="raise",
    ).fit(X, y)
    train, test = next(search.cv.split(X))
    model = search.estimator.set_params(meanregularizedregressor__alpha=0.01).fit(X.iloc[train], y[train])
    prediction = model.predict(X.iloc[test])
    direct = r2_score(y[test], prediction)
    expected = direct if average == "pooled" else mean_of(r2_score, y[test], prediction, IDS[test])
    assert_allclose(search.cv_results_["split0_test_score"][0], expected)
    assert repr(pickle.loads(pickle.dumps(search)).scoring) == repr(scorer)


def test_any_estimator_is_scored_by_task_if_the_column_is_named():
    rest = make_pipeline(FunctionTransformer(lambda X: X[["age", "iq"]]), LinearRegression()).fit(X, y)
    expected = mean_of(r2_score, y, rest.predict(X), IDS)
    assert_allclose(make_task_scorer(r2_score, average="task", task="school")(rest, X, y), expected)
    assert_allclose(task_scores(rest, X, y, task="school").r2.mean(), expected)
    assert_allclose(task_scores(rest, X, y, task=1).r2.mean(), expected)


@pytest.mark.parametrize(
    "model", [Ridge(), make_pipeline(StandardScaler(), Ridge()), VotingRegressor([("a", Ridge())])]
)
def test_ids_that_cannot_be_found_are_an_error_that_says_how_to_pass_them(model):
    model.fit(F, y)
    for score in (make_task_scorer(r2_score, average="task"), task_scores):
        with pytest.raises(ValueError, match="does not name a task column: pass task=, the ids or the column of X"):
            score(model, F, y)


def test_pooled_scores_need_no_ids():
    model = LinearRegression().fit(F, y)
    assert_allclose(make_task_scorer(r2_score)(model, F, y), model.score(F, y))


# One label a row: the ids as metadata


SCORINGS = {
    "none": None,
    "pooled": make_task_scorer(r2_score),
    "task": make_task_scorer(r2_score, average="task"),
    "several": {
        "pooled": make_task_scorer(r2_score),
        "error": make_task_scorer(mean_squared_error, greater_is_better=False, average="task"),
    },
}


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("scoring", SCORINGS.values(), ids=SCORINGS)
def test_ids_as_metadata_reach_predict_from_a_search(scoring, n_jobs):
    kwargs = {"cv": KFold(3, shuffle=True, random_state=0), "error_score": "raise", "n_jobs": n_jobs}
    kwargs |= {"scoring": scoring, "refit": "pooled" if isinstance(scoring, dict) else True}
    beside, inside = (
        make_pipeline(StandardScaler(), MeanRegularizedRegressor()),
        MeanRegularizedRegressor(task="school"),
    )
    inside = make_pipeline(make_task_column_transformer((StandardScaler(), ["age", "iq"]), task="school"), inside)
    grid = {"meanregularizedregressor__alpha": [0.01, 1.0]}
    column_route = GridSearchCV(inside, grid, **kwargs).fit(X, y)
    with sklearn.config_context(enable_metadata_routing=True):
        metadata_route = GridSearchCV(beside, grid, **kwargs).fit(F, y, task=IDS)
    for key in column_route.cv_results_:
        if "test" in key:
            assert_allclose(metadata_route.cv_results_[key], column_route.cv_results_[key])


def test_a_string_leaves_the_gap_that_the_scorer_closes():
    with sklearn.config_context(enable_metadata_routing=True):
        routed = {"params": {"task": IDS}, "cv": KFold(3, shuffle=True, random_state=0), "error_score": "raise"}
        with pytest.raises(ValueError, match=r"fitted with the task ids"):
            cross_validate(MeanRegularizedRegressor(), F, y, scoring="r2", **routed)
        scores = cross_validate(MeanRegularizedRegressor(), F, y, scoring=make_task_scorer(r2_score), **routed)
    assert (scores["test_score"] > 0.5).all()


def test_ids_go_to_predict_only_if_it_asks_for_them():
    model = MeanRegularizedRegressor(0.1).fit(F, y, task=IDS)
    pipeline = make_pipeline(StandardScaler(), MeanRegularizedRegressor(0.1)).fit(
        F, y, meanregularizedregressor__task=IDS
    )
    plain = LinearRegression().fit(F, y)
    scorer = make_task_scorer(mean_absolute_error, average="task")
    for fitted, prediction in (
        (model, model.predict(F, task=IDS)),
        (pipeline, pipeline.predict(F, task=IDS)),
        (plain, plain.predict(F)),
    ):
        expected = mean_of(mean_absolute_error, y, prediction, IDS)
        assert_allclose(scorer(fitted, F, y, task=IDS), expected)
        assert_allclose(
            task_scores(fitted, F, y, task=IDS, scoring=mean_absolute_error).mean_absolute_error.mean(), expected
        )


# Weights


@pytest.mark.parametrize("average", ["pooled", "task"])
def test_a_weight_is_a_number_of_rows(average):
    weight = np.random.default_rng(4).integers(0, 4, len(X))
    model = MeanRegularizedRegressor(0.1, task="school").fit(X, y)
    scorer = make_task_scorer(r2_score, average=average)
    repeated = X.loc[X.index.repeat(weight)], y.repeat(weight)
    assert_allclose(scorer(model, X, y, sample_weight=weight), scorer(model, *repeated))
    table = task_scores(model, X, y, sample_weight=weight)
    assert_allclose([table.r2, table.rmse], [task_scores(model, *repeated)[name] for name in ("r2", "rmse")])


def test_wide_labels_take_weights_of_rows_or_of_labels():
    weight = np.random.default_rng(4).random(Y.shape)
    model = MeanRegularizedRegressor(0.1).fit(A, Y)
    A_long, y_long, rows = to_long(A, Y)
    task = A_long[:, -1].astype(int)
    prediction = model.predict(A)[rows, task]
    for given, listed in ((weight, weight[rows, task]), (weight[:, 0], weight[rows, 0])):
        expected = within_task_explained_variance(y_long, prediction, task, sample_weight=listed)
        assert_allclose(within_task_explained_variance(Y, model.predict(A), sample_weight=given), expected)
        for t, r2 in enumerate(task_scores(model, A, Y, sample_weight=given).r2):
            assert_allclose(r2, r2_score(y_long[task == t], prediction[task == t], sample_weight=listed[task == t]))


@pytest.mark.parametrize("routing", [False, True])
def test_weights_of_a_search_weigh_its_scores(routing):
    weight = np.random.default_rng(4).random(len(X))
    model = MeanRegularizedRegressor(0.1, task="school")
    scoring = {"r2": make_task_scorer(r2_score, average="task"), "pooled": make_task_scorer(r2_score)}
    cv = KFold(3, shuffle=True, random_state=0)
    with sklearn.config_context(enable_metadata_routing=routing):
        if routing:
            model.set_fit_request(sample_weight=True)
        search = GridSearchCV(model, {}, scoring=scoring, cv=cv, refit="r2", error_score="raise")
        search.fit(X, y, sample_weight=weight)
    train, test = next(cv.split(X))
    model.fit(X.iloc[train], y[train], weight[train])
    for name, scorer in scoring.items():
        expected = scorer(model, X.iloc[test], y[test], sample_weight=weight[test])
        assert_allclose(search.cv_results_[f"split0_test_{name}"][0], expected)


# The table


def test_each_row_of_the_table_is_the_score_of_a_task():
    model = IndependentRegressor(0.1, task="school").fit(X, y)
    table = task_scores(model, X, y)
    assert list(table) == ["task", "n_samples", "r2", "rmse"]
    assert table.task.tolist() == SCHOOLS
    assert_array_equal(table.n_samples, [np.sum(school == IDS) for school in SCHOOLS])
    for t, school in enumerate(SCHOOLS):
        rows = school == IDS
        assert_allclose(table.r2[t], model.score(X[rows], y[rows]))
        assert_allclose(table.rmse[t], root_mean_squared_error(y[rows], model.predict(X[rows])))


SUMS = accuracy_score, mean_absolute_error, mean_squared_error, r2_score, root_mean_squared_error


@pytest.mark.parametrize(("func", "labels"), [(accuracy_score, str), *product(SUMS, [int, float, bool, np.float32])])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_scores_of_all_tasks_at_once_are_those_of_each(func, labels, weighted, rng):
    """Also of tasks with equal labels, of one label and of none."""
    codes = np.r_[rng.integers(0, 5, size=40), [5] * 3, [6] * 3, 7]
    y, pred = (rng.integers(0, 3, size=len(codes)) for _ in range(2))
    y[40:46], pred[43:46] = 1, 1
    y, pred, weight = y.astype(labels), pred.astype(labels), rng.integers(1, 4, size=len(codes)) if weighted else None
    scored = Scored(y, pred, weight, np.arange(9), codes)
    of_each = scored.by_task(lambda y, pred, **more: func(y, pred, **more))
    assert np.isnan(of_each[8])
    assert_allclose(scored.by_task(func), of_each, rtol=1e-6)


def test_what_a_function_refuses_is_refused_for_all_tasks_at_once():
    codes = np.array([0, 0, 1, 1])
    with pytest.raises(ValueError, match="NaN"):
        Scored(np.ones(4), np.array([1.0, np.nan, 1.0, 1.0]), None, np.arange(2), codes).by_task(r2_score)
    with pytest.raises((ValueError, TypeError), match=r"mix of|str"):
        Scored(np.ones(4, dtype=int), np.array(["a"] * 4), None, np.arange(2), codes).by_task(accuracy_score)


@pytest.mark.parametrize(
    ("labels", "names"),
    [(Y, [0, 1, 2]), (pd.DataFrame(Y, columns=list("pqr")), ["p", "q", "r"])],
    ids=["array", "frame"],
)
def test_the_tasks_of_wide_labels_are_their_columns(labels, names):
    table = task_scores(MeanRegularizedRegressor(0.1).fit(A, Y), A, labels)
    assert table.task.tolist() == names
    assert_array_equal(table.n_samples, np.sum(~np.isnan(Y), axis=0))


def test_a_task_without_labels_has_a_row_of_its_own():
    unlabelled = np.column_stack([Y[:, :2], np.full(len(Y), np.nan)])
    table = task_scores(MeanRegularizedRegressor(0.1).fit(A, Y), A, unlabelled)
    assert_array_equal(table.n_samples, np.sum(~np.isnan(unlabelled), axis=0))
    assert_array_equal(np.isnan(table.rmse), [False, False, True])


def test_a_score_that_is_not_defined_is_nan():
    table = task_scores(Ridge().fit(F[:4], y[:4]), F[:4], y[:4], task=["a", "a", "a", "b"])
    assert_array_equal(np.isnan(table.r2), [False, True])
    assert np.isfinite(table.rmse).all()


def test_classifiers_are_scored_by_accuracy_unless_told_otherwise():
    label = np.where(y > 1, "high", "low")
    model = LogisticRegression().fit(F, label)
    table = task_scores(model, F, label, task=IDS)
    assert_allclose(
        table.accuracy, [accuracy_score(label[school == IDS], model.predict(F[school == IDS])) for school in SCHOOLS]
    )
    auc = task_scores(model, F, label, task=IDS, scoring={"auc": roc_auc_score}, response_method="predict_proba").auc
    rows = IDS == "south"
    assert_allclose(auc[2], roc_auc_score(label[rows], model.decision_function(F[rows])))


@pytest.mark.parametrize(
    ("backend", "kind"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame), ("pyarrow", pa.Table)]
)
def test_the_table_becomes_a_frame(backend, kind):
    table = task_scores(MeanRegularizedRegressor(task="school").fit(X, y), X, y)
    frame = table.to_frame(backend)
    assert isinstance(frame, kind)
    for name, values in table.items():
        assert np.asarray(frame[name]).tolist() == values.tolist()
    assert pd.DataFrame(table).equals(table.to_frame())
    assert pl.DataFrame(table).equals(table.to_frame("polars"))
    assert pickle.loads(pickle.dumps(table)).to_frame().equals(table.to_frame())


def test_the_table_is_shown_as_one():
    table = task_scores(LinearRegression().fit(F, y), F, y, task=IDS, scoring={"a": mean_absolute_error})
    lines = repr(table).splitlines()
    assert [line.split()[0] for line in lines] == ["task", *SCHOOLS]
    assert len({len(line) for line in lines}) == 1


# Variance within tasks


def test_it_is_one_minus_a_ratio_of_sums_of_squares():
    prediction = LinearRegression().fit(F, y).predict(F)
    centred = y - np.array([y[school == IDS].mean() for school in IDS])
    expected = 1 - np.sum((y - prediction) ** 2) / np.sum(centred**2)
    for ids in (IDS, X["school"], X["school"].astype("category"), pl.Series(IDS.tolist()), IDS.tolist()):
        assert_allclose(within_task_explained_variance(y, prediction, ids), expected)
    assert within_task_explained_variance(y, prediction, IDS) < r2_score(y, prediction)


def test_of_one_task_it_is_r2():
    prediction = LinearRegression().fit(F, y).predict(F)
    assert_allclose(within_task_explained_variance(y, prediction, np.zeros(len(y))), r2_score(y, prediction))


def test_the_level_of_a_task_is_worth_nothing():
    level = np.array([{"east": 100.0, "north": -7.0, "south": 0.0}[school] for school in IDS])
    prediction = LinearRegression().fit(F, y).predict(F)
    expected = within_task_explained_variance(y, prediction, IDS)
    assert_allclose(within_task_explained_variance(y + level, prediction + level, IDS), expected)
    means = np.array([y[school == IDS].mean() for school in IDS])
    assert_allclose(within_task_explained_variance(y, means, IDS), 0, atol=1e-12)
    assert within_task_explained_variance(y, y, IDS) == 1


def test_wide_variance_within_tasks_is_that_of_the_long_layout():
    P = MeanRegularizedRegressor(0.1).fit(A, Y).predict(A)
    A_long, y_long, rows = to_long(A, Y)
    task = A_long[:, -1].astype(int)
    assert_allclose(within_task_explained_variance(Y, P), within_task_explained_variance(y_long, P[rows, task], task))


def test_a_weight_of_zero_is_a_row_left_out():
    prediction = LinearRegression().fit(F, y).predict(F)
    for kept in (IDS != "south", np.arange(len(y)) % 2 == 0):
        expected = within_task_explained_variance(y[kept], prediction[kept], IDS[kept])
        assert_allclose(within_task_explained_variance(y, prediction, IDS, sample_weight=kept), expected)


def test_nothing_to_explain_is_nan_with_a_warning():
    with pytest.warns(UndefinedMetricWarning, match="No task has two different labels"):
        assert np.isnan(within_task_explained_variance([1.0, 2.0], [1.0, 3.0], ["a", "b"]))


# What cannot be done, and how it is shown


def test_an_error_says_what_came_and_what_is_needed():
    model = MeanRegularizedRegressor(0.1).fit(A, Y)
    with pytest.raises(ValueError, match=r"average must be 'pooled' or 'task'. Got 'macro'"):
        make_task_scorer(r2_score, average="macro")
    with pytest.raises(ValueError, match=r"y has 2 columns, one per task, but the prediction has shape \(60, 3\)"):
        masked_scorer(r2_score)(model, A, Y[:, :2])
    with pytest.raises(ValueError, match="argument task is None, and y is 1-D"):
        within_task_explained_variance(y, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        within_task_explained_variance(y, y, IDS[1:])
    with pytest.raises(ValueError, match="1 missing value"):
        within_task_explained_variance(y, y, [None, *IDS[1:]])
    with pytest.raises(ValueError, match="y should be a 1d array"):
        within_task_explained_variance(Y, Y, np.zeros(60))


@pytest.mark.parametrize(
    ("scorer", "shown"),
    [
        (make_task_scorer(r2_score), "make_task_scorer(r2_score)"),
        (
            make_task_scorer(log_loss, response_method="predict_proba", greater_is_better=False, labels=[0, 1]),
            "make_task_scorer(log_loss, greater_is_better=False, response_method='predict_proba', labels=[0, 1])",
        ),
        (masked_scorer(r2_score), "make_task_scorer(r2_score, average='task')"),
        (masked_scorer(f1_score, average="macro"), "masked_scorer(f1_score, average='macro')"),
    ],
)
def test_a_scorer_is_shown_as_it_was_made(scorer, shown):
    assert repr(scorer) == shown
    assert repr(pickle.loads(pickle.dumps(scorer))) == shown


def test_scoring_changes_nothing():
    model = MeanRegularizedRegressor(0.1, task="school").fit(X, y)
    before = X.copy(), y.copy(), Y.copy()
    task_scores(model, X, y)
    cross_val_score(
        model, X, y, scoring=make_task_scorer(r2_score, average="task"), cv=TaskStratifiedKFold(2, task="school")
    )
    masked_scorer(r2_score)(MeanRegularizedRegressor(0.1).fit(A, Y), A, Y)
    assert X.equals(before[0])
    assert_array_equal(y, before[1])
    assert_array_equal(Y, before[2])


@pytest.mark.parametrize("layout", ["wide", "long", "ids beside X"])
def test_a_score_that_asks_for_tasks_gets_them(layout, rng):
    within = within_task_explained_variance
    X, Y = rng.normal(size=(30, 2)), np.array([0.0, 10.0, 20.0]) + rng.normal(size=(30, 3))
    Y[rng.random(Y.shape) < 0.2] = np.nan
    rows, ids = np.nonzero(~np.isnan(Y))
    model, data, beside = MeanRegularizedRegressor(), (X, Y), {}
    if layout == "long":
        model, data = MeanRegularizedRegressor(task=-1), (np.column_stack([X[rows], ids]), Y[rows, ids])
    elif layout == "ids beside X":
        data, beside = (X[rows], Y[rows, ids]), {"task": ids}
    predicted = model.fit(*data, **beside).predict(data[0], **beside)
    y, predicted = Y[rows, ids], predicted[rows, ids] if layout == "wide" else predicted
    each = [within(y[ids == t], predicted[ids == t], ids[ids == t]) for t in range(3)]
    assert make_task_scorer(within)(model, *data, **beside) == pytest.approx(within(y, predicted, ids))
    assert make_task_scorer(within, average="task")(model, *data, **beside) == pytest.approx(np.mean(each))
    table = task_scores(model, *data, **beside, scoring={"within": within, "maximum": max_error})
    assert_allclose(table.within, each)
    assert within(y, predicted, ids) < 0.5 < r2_score(y, predicted)


def test_a_function_that_does_not_tell_its_parameters_gets_labels_only():
    model, X, y = MeanRegularizedRegressor().fit([[0.0], [1.0]], [0.0, 1.0]), [[0.5]], np.array([3.0])
    with pytest.raises(ValueError, match="no signature"):
        inspect.signature(max)
    assert make_task_scorer(max)(model, X, y) == 3.0
