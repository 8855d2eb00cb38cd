"""Living in scikit-learn: its own checks, its tools, its metadata routing, and fits that fail half way."""

import contextlib
import copy
import pickle
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_regressor
from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.ensemble import AdaBoostRegressor, BaggingRegressor, StackingRegressor, VotingRegressor
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LinearRegression
from sklearn.metrics import make_scorer, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    LeaveOneGroupOut,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

import skmtl.base
from skmtl import (
    IndependentRegressor,
    MeanRegularizedRegressor,
    MultiTaskRegressor,
    PooledRegressor,
    TaskGraphRegressor,
    all_estimators,
)
from skmtl.metrics import make_task_scorer, masked_scorer
from skmtl.model_selection import TaskStratifiedKFold
from skmtl.penalties import Dirty, Ridge, SharedPlusSpecific, TraceNorm
from skmtl.preprocessing import TaskWise, make_task_column_transformer
from tests.many_tasks import for_checks, on_many_tasks

each_estimator = pytest.mark.parametrize("Estimator", all_estimators("regressor"), ids=lambda c: c.__name__)
each_routing = pytest.mark.parametrize("routing", [False, True], ids=["routing off", "routing on"])
DENSE_ONLY = ("LatentBasisRegressor", "ReducedRankRegressor")
SHUFFLED = KFold(3, shuffle=True, random_state=0)
EVERY_SCHOOL = TaskStratifiedKFold(3, task="school")


def pupils(rng):
    """Pupils of four schools: two numbers, a category, the school, and a grade."""
    number = rng.permutation(np.repeat([0, 1, 2, 3], [20, 16, 14, 10]))
    n = len(number)
    table = pd.DataFrame(
        {
            "age": 11 + rng.normal(size=n),
            "school": np.array(list("abcd"))[number],
            "iq": 100 + 15 * rng.normal(size=n),
            "sex": rng.choice(["f", "m"], size=n),
        },
        index=rng.permutation(n) + 500,
    )
    grade = number + table["age"] * (1 + 0.3 * number) + 0.05 * table["iq"] + (table["sex"] == "f") + rng.normal(size=n)
    return table, grade.to_numpy(), number


@pytest.fixture
def school(rng):
    """A data frame with a school column and one label a row."""
    return pupils(rng)


@pytest.fixture
def numbers(school):
    """Features, labels, ids as integers, and the array with the ids last."""
    table, y, number = school
    X = StandardScaler().fit_transform(table[["age", "iq"]])
    return X, y, number, np.column_stack([X, number])


@pytest.fixture
def wide(rng):
    """Features and labels for three tasks, a third of them missing."""
    X = rng.normal(size=(40, 3))
    Y = X @ rng.normal(size=(3, 3)) + 0.1 * rng.normal(size=(40, 3))
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return X, Y


def recipe(model=None, **columns):
    """Scale numbers, encode categories, pass the school on; then the model."""
    transformer = make_column_transformer(
        (StandardScaler(), ["age", "iq"]),
        (OneHotEncoder(sparse_output=False), ["sex"]),
        ("passthrough", ["school"]),
        verbose_feature_names_out=False,
        **columns,
    ).set_output(transform="pandas")
    return make_pipeline(transformer, MeanRegularizedRegressor(task="school") if model is None else model)


# scikit-learn's own checks


MANY = [on_many_tasks(Estimator) for Estimator in all_estimators("regressor")]
UNIQUE = {"alpha_ridge": 0.01, "gamma": 1000.0}  # squares of all weights; no feature without a penalty


@each_routing
@parametrize_with_checks([Estimator() for Estimator in all_estimators("regressor")])
def test_scikit_learn_accepts_it(estimator, check, routing):
    with sklearn.config_context(enable_metadata_routing=routing):
        check(estimator)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # 1e-12 on a dozen rows may be too much
@parametrize_with_checks([for_checks(Many, **UNIQUE) for Many in MANY])
def test_scikit_learn_accepts_it_on_many_tasks(estimator, check):
    check(estimator)


def test_the_checks_on_many_tasks_see_many_tasks(rng):
    model = MANY[0](unknown_task="shared").fit(rng.normal(size=(30, 2)), rng.normal(size=30))
    assert len(model.tasks_) == 3
    assert len(MANY) == len(all_estimators("regressor")) > 0


@each_estimator
def test_the_tags_say_one_or_many_outputs_of_finite_numbers(Estimator):
    tags = get_tags(Estimator())
    assert is_regressor(Estimator())
    assert tags.target_tags.single_output
    assert tags.target_tags.multi_output
    assert not tags.input_tags.allow_nan
    assert tags.input_tags.sparse == (Estimator.__name__ not in DENSE_ONLY)
    assert not tags.input_tags.string


# The main job: a recipe, a grid, string scorers

GRID = {"meanregularizedregressor__alpha": [0.01, 0.1, 1.0]}


@pytest.mark.parametrize(
    "scoring", [None, "r2", "neg_root_mean_squared_error", ["r2", "neg_mean_absolute_error"]], ids=str
)
def test_a_recipe_is_tuned_by_any_score(scoring, school):
    table, y, _ = school
    refit = "r2" if isinstance(scoring, list) else True
    search = GridSearchCV(recipe(), GRID, scoring=scoring, refit=refit, cv=SHUFFLED, error_score="raise").fit(table, y)
    model = search.best_estimator_[-1]
    assert model.coef_.shape == (4, 4)
    assert model.n_features_in_ == 5
    assert model.tasks_.tolist() == list("abcd")
    assert search.predict(table).shape == y.shape
    for name, scores in search.cv_results_.items():
        if "test" in name:
            assert np.isfinite(scores).all(), name


def test_a_grid_in_two_processes_is_the_grid_in_one(numbers):
    X, y, number, Z = numbers
    grid = {"cv": SHUFFLED, "error_score": "raise"}
    for routing, scoring in ((False, "r2"), (True, None), (True, make_task_scorer(r2_score))):
        model, rows, ids = MeanRegularizedRegressor(task=-1), Z, {}
        if routing:
            model, rows, ids = MeanRegularizedRegressor(), X, {"task": number}
        with sklearn.config_context(enable_metadata_routing=routing):
            searches = (GridSearchCV(model, {"alpha": [0.1, 1.0]}, scoring=scoring, n_jobs=n, **grid) for n in (1, 2))
            one, two = (search.fit(rows, y, **ids) for search in searches)
        assert_allclose(two.cv_results_["mean_test_score"], one.cv_results_["mean_test_score"], rtol=1e-12)
        revived = pickle.loads(pickle.dumps(two))
        assert_array_equal(revived.best_estimator_.predict(rows, **ids), two.best_estimator_.predict(rows, **ids))


def test_a_grid_scores_what_separate_fits_score(numbers):
    _, y, _, Z = numbers
    search = GridSearchCV(MeanRegularizedRegressor(task=-1), {"alpha": [0.1, 1.0]}, cv=SHUFFLED, scoring="r2").fit(Z, y)
    for alpha, mean in zip([0.1, 1.0], search.cv_results_["mean_test_score"], strict=True):
        scores = [
            r2_score(y[test], MeanRegularizedRegressor(alpha, task=-1).fit(Z[train], y[train]).predict(Z[test]))
            for train, test in SHUFFLED.split(Z)
        ]
        assert_allclose(mean, np.mean(scores), rtol=1e-12)


def test_a_grid_compares_named_models_and_penalties(school):
    table, y, _ = school
    models = [Estimator(task="school") for Estimator in all_estimators("regressor")]
    search = GridSearchCV(recipe(), {"meanregularizedregressor": models}, cv=SHUFFLED, error_score="raise").fit(
        table, y
    )
    assert len(search.cv_results_["params"]) == len(models)
    beliefs = [Ridge(7.0), SharedPlusSpecific(7.0)]
    grid = {"penalty": beliefs, "penalty__alpha": [0.01, 10.0]}
    search = GridSearchCV(MultiTaskRegressor(Ridge(), task="school"), grid, cv=SHUFFLED, error_score="raise")
    search.fit(table.drop(columns="sex"), y)
    assert [belief.alpha for belief in beliefs] == [7.0, 7.0]
    assert len(set(search.cv_results_["mean_test_score"])) == 4


def test_a_grid_may_be_a_numpy_array(numbers):
    _, y, _, Z = numbers
    grid = {"alpha": np.array([0.1, 1.0]), "fit_intercept": np.array([True, False]), "task": np.array([-1, 2])}
    grid |= {"unknown_task": np.array(["error", "shared"]), "task_weight": np.array(["samples", "tasks"])}
    search = GridSearchCV(MeanRegularizedRegressor(), grid, cv=SHUFFLED, error_score="raise").fit(Z, y)
    assert search.best_estimator_.coef_.shape == (4, 2)


@pytest.mark.parametrize("kind", ["pandas", "pandas category", "polars", "polars Categorical"])
def test_a_recipe_takes_frames_of_any_kind(kind, school):
    table, y, _ = school
    expected = recipe().fit(table, y).predict(table)
    frame = table
    if "category" in kind:
        frame = table.astype({"school": "category", "sex": "category"})
    if "polars" in kind:
        frame = pl.from_pandas(table)
        if "Categorical" in kind:
            frame = frame.with_columns(pl.col("school").cast(pl.Categorical))
    pipeline = recipe()
    pipeline[0].set_output(transform=kind.split()[0])
    assert_allclose(pipeline.fit(frame, y).predict(frame), expected, rtol=1e-9)


def test_the_global_output_setting_is_enough(school):
    table, y, _ = school
    expected = recipe().fit(table, y).predict(table)
    for kind in ("pandas", "polars"):
        with sklearn.config_context(transform_output=kind):
            frame = table if kind == "pandas" else pl.from_pandas(table)
            pipeline = make_pipeline(
                clone(recipe()[0]).set_output(transform=kind), MeanRegularizedRegressor(task="school")
            )
            assert_allclose(pipeline.fit(frame, y).predict(frame), expected, rtol=1e-9)


def test_the_task_column_transformer_finds_its_task(school):
    table, y, _ = school
    expected = recipe().fit(table, y).predict(table)
    columns = (StandardScaler(), ["age", "iq"]), (OneHotEncoder(sparse_output=False), ["sex"])
    named = make_task_column_transformer(*columns, task="school")
    pipeline = make_pipeline(named, MeanRegularizedRegressor(task="school")).fit(table, y)
    assert_allclose(pipeline.predict(table), expected, rtol=1e-9)
    first = make_task_column_transformer(*columns, task="school", output=None)
    pipeline = make_pipeline(first, MeanRegularizedRegressor(task=0)).fit(table, y)
    assert_allclose(pipeline.predict(table), expected, rtol=1e-9)
    assert pipeline[-1].tasks_.tolist() == list("abcd")


def test_a_transformer_for_each_task_stands_before_a_model(school):
    table, y, _ = school
    table = table.drop(columns="sex")
    pipeline = make_pipeline(TaskWise(StandardScaler(), task="school"), PooledRegressor(task="school")).fit(table, y)
    assert pipeline[-1].feature_names_in_.tolist() == ["age", "iq", "school"]
    assert cross_val_score(pipeline, table, y, cv=SHUFFLED, error_score="raise").shape == (3,)


LOST = {
    "names prefixed": (
        make_column_transformer((StandardScaler(), ["age"]), remainder="passthrough").set_output(transform="pandas"),
        "task='remainder__school'",
    ),
    "column dropped": (
        make_column_transformer((StandardScaler(), ["age"])).set_output(transform="pandas"),
        "'school' is not in X.*preprocessing drop it",
    ),
    "column encoded": (
        make_column_transformer(
            (OneHotEncoder(sparse_output=False), make_column_selector(dtype_exclude="number")),
            verbose_feature_names_out=False,
        ).set_output(transform="pandas"),
        "one-hot encoded",
    ),
    "no names": (make_column_transformer((StandardScaler(), ["age"]), ("passthrough", ["school"])), "set_output"),
}


@pytest.mark.parametrize(("transformer", "message"), LOST.values(), ids=LOST)
def test_a_recipe_that_loses_the_task_column_says_what_to_do(transformer, message, school):
    table, y, _ = school
    with pytest.raises(ValueError, match=message):
        make_pipeline(clone(transformer), MeanRegularizedRegressor(task="school")).fit(table, y)


MODULES = """
import skmtl
for name in "classification datasets losses metrics model_selection neural penalties preprocessing regression".split():
    assert name in dir(skmtl) and getattr(skmtl, name).__name__ == f"skmtl.{name}"
assert not hasattr(skmtl, "no_such_module")
"""


def test_modules_need_no_import_of_their_own():
    done = subprocess.run([sys.executable, "-c", MODULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Tools


def test_cross_validation_returns_what_it_should(school):
    table, y, _ = school
    result = cross_validate(
        recipe(),
        table,
        y,
        scoring=("r2", "neg_mean_squared_error"),
        cv=SHUFFLED,
        return_train_score=True,
        return_estimator=True,
        error_score="raise",
    )
    assert all(np.isfinite(result[key]).all() for key in result if key.startswith(("test", "train")))
    assert [pipeline[-1].tasks_.tolist() for pipeline in result["estimator"]] == [list("abcd")] * 3
    out_of_fold = cross_val_predict(recipe(), table, y, cv=SHUFFLED)
    for pipeline, (_, test) in zip(result["estimator"], SHUFFLED.split(table), strict=True):
        assert_allclose(out_of_fold[test], pipeline.predict(table.iloc[test]), rtol=1e-12)


def test_permutation_importance_values_knowing_the_task(school):
    table, y, _ = school
    model = recipe().fit(table, y)
    result = permutation_importance(model, table, y, n_repeats=3, scoring="r2", random_state=0)
    assert result.importances_mean.shape == (4,)
    assert result.importances_mean[list(table).index("school")] > 0.1


def test_curves_are_drawn_over_sizes_and_strengths(numbers):
    _, y, _, Z = numbers
    model = IndependentRegressor(task=-1, unknown_task="shared")
    _, train, test = learning_curve(model, Z, y, train_sizes=[0.2, 1.0], cv=SHUFFLED, error_score="raise")
    assert np.isfinite(train).all()
    assert np.isfinite(test).all()
    train, test = validation_curve(
        model, Z, y, param_name="alpha", param_range=[0.1, 1.0], cv=SHUFFLED, error_score="raise"
    )
    assert np.isfinite(test).all()
    assert (train[0] > train[1]).all()  # a weaker penalty fits the rows better


@pytest.mark.parametrize("cv", [KFold(3), GroupKFold(4), LeaveOneGroupOut()], ids=lambda cv: type(cv).__name__)
def test_leaving_tasks_out_needs_the_shared_model(cv, numbers):
    _, y, number, Z = numbers
    order = np.argsort(number, kind="stable")
    Z, y, number = Z[order], y[order], number[order]
    shared = MeanRegularizedRegressor(task=-1, unknown_task="shared")
    folds = list(cv.split(Z, y, None if isinstance(cv, KFold) else number))
    assert np.isfinite(cross_val_score(shared, Z, y, cv=folds, error_score="raise")).all()
    with pytest.raises(ValueError, match="unknown task"):
        cross_val_score(MeanRegularizedRegressor(task=-1), Z, y, cv=folds, error_score="raise")


def test_every_fold_has_every_task_with_a_stratified_splitter(school):
    table, y, _ = school
    for cv in (TaskStratifiedKFold(5, task="school"), list(StratifiedKFold(5).split(table, table["school"]))):
        assert np.isfinite(cross_val_score(recipe(), table, y, cv=cv, error_score="raise")).all()


def test_halving_searches_with_few_rows(numbers):
    _, y, _, Z = numbers
    model = MeanRegularizedRegressor(task=-1, unknown_task="shared")
    search = HalvingGridSearchCV(model, {"alpha": [0.1, 1.0, 10.0]}, cv=SHUFFLED, random_state=0, error_score="raise")
    assert search.fit(Z, y).best_estimator_.coef_.shape == (4, 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda model: VotingRegressor([("a", model), ("b", clone(model).set_params(alpha=1.0))]),
        lambda model: StackingRegressor([("a", model)], LinearRegression(), cv=EVERY_SCHOOL),
        lambda model: TransformedTargetRegressor(model, func=np.log1p, inverse_func=np.expm1),
        lambda model: FrozenEstimator(model),
    ],
    ids=["voting", "stacking", "transformed target", "frozen"],
)
def test_a_model_inside_another_finds_its_column(make, school):
    table, y, _ = school
    table = table.drop(columns="sex")
    y = y - y.min() + 1.0
    outer = make(MeanRegularizedRegressor(0.1, task="school").fit(table, y))
    assert r2_score(y, outer.fit(table, y).predict(table)) > 0.7
    assert np.isfinite(cross_val_score(outer, table, y, cv=EVERY_SCHOOL, scoring="r2", error_score="raise")).all()


@pytest.mark.parametrize("Outer", [BaggingRegressor, AdaBoostRegressor])
def test_a_model_in_an_ensemble_of_resampled_rows_finds_its_position(Outer, numbers):
    _, y, _, Z = numbers
    model = MeanRegularizedRegressor(0.1, task=-1)
    assert r2_score(y, Outer(model, n_estimators=4, random_state=0).fit(Z, y).predict(Z)) > 0.7


def test_selecting_features_keeps_the_task_column(numbers, rng):
    X, y, number, _ = numbers
    noise = rng.normal(size=(len(y), 3))
    table = pd.DataFrame(np.column_stack([noise, X, number]), columns=[*"uvw", "age", "iq", "school"])
    model = IndependentRegressor(1.0, task="school")
    selector = SelectFromModel(model, importance_getter="feature_importances_", max_features=3, threshold=-np.inf)
    kept = selector.set_output(transform="pandas").fit_transform(table, y)
    assert list(kept) == ["age", "iq", "school"]
    assert make_pipeline(selector, clone(model)).fit(table, y).score(table, y) > 0.7
    ranks = RFE(IndependentRegressor(1.0, task=-1), n_features_to_select=3, importance_getter="feature_importances_")
    assert ranks.fit(table.to_numpy(), y).support_.tolist() == [False] * 3 + [True] * 3


def test_partial_dependence_runs_over_features_and_tasks(school):
    table, y, _ = school
    model = recipe().fit(table, y)
    assert partial_dependence(model, table, ["age"], grid_resolution=5)["average"].shape == (1, 5)
    over_tasks = partial_dependence(model, table, ["school"], categorical_features=["school"])
    assert over_tasks["average"].shape == (1, 4)
    expected = [model.predict(table.assign(school=task)).mean() for task in "abcd"]
    assert_allclose(over_tasks["average"][0], expected, rtol=1e-9)


# Wide labels


def test_tools_that_ask_the_model_for_its_score_take_missing_labels(wide):
    X, Y = wide
    model = MeanRegularizedRegressor()
    search = GridSearchCV(model, {"alpha": [0.01, 1.0]}, cv=SHUFFLED, error_score="raise").fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(X).shape == Y.shape
    assert cross_val_predict(model, X, Y, cv=SHUFFLED).shape == Y.shape
    assert np.isfinite(learning_curve(model, X, Y, train_sizes=[1.0], cv=SHUFFLED, error_score="raise")[2]).all()
    assert np.isfinite(permutation_importance(model.fit(X, Y), X, Y, n_repeats=2, random_state=0).importances).all()


def test_a_string_scorer_refuses_missing_labels_and_a_masked_one_takes_them(wide):
    X, Y = wide
    with pytest.raises(ValueError, match="NaN"):
        cross_val_score(MeanRegularizedRegressor(), X, Y, scoring="r2", cv=SHUFFLED, error_score="raise")
    scores = cross_val_score(
        MeanRegularizedRegressor(), X, Y, scoring=masked_scorer(r2_score), cv=SHUFFLED, error_score="raise"
    )
    assert np.isfinite(scores).all()


def test_complete_labels_need_nothing_special(wide):
    X, Y = wide
    Y = np.nan_to_num(Y)
    for scoring in ("r2", "neg_mean_squared_error"):
        assert np.isfinite(
            cross_val_score(MeanRegularizedRegressor(), X, Y, scoring=scoring, cv=3, error_score="raise")
        ).all()
    outer = TransformedTargetRegressor(MeanRegularizedRegressor(), transformer=StandardScaler())
    assert outer.fit(X, Y).predict(X).shape == Y.shape


# Ids as metadata


@each_routing
def test_ids_beside_X_reach_a_pipeline(routing, numbers):
    X, y, number, _ = numbers
    expected = MeanRegularizedRegressor().fit(X, y, task=number).predict(X, task=number)
    pipeline = make_pipeline(StandardScaler(), MeanRegularizedRegressor())
    with sklearn.config_context(enable_metadata_routing=routing):
        pipeline.fit(X, y, **{"task" if routing else "meanregularizedregressor__task": number})
        assert_allclose(pipeline.predict(X, task=number), expected, rtol=1e-9)
        if routing:
            assert_allclose(pipeline.score(X, y, task=number), r2_score(y, expected), rtol=1e-9)


ROUTED = {
    "grid": lambda m, X, y, ids: GridSearchCV(m, {"alpha": [0.1, 1.0]}, cv=SHUFFLED, error_score="raise").fit(
        X, y, task=ids
    ),
    "grid, task scorer": lambda m, X, y, ids: GridSearchCV(
        m, {"alpha": [0.1]}, cv=SHUFFLED, scoring=make_task_scorer(r2_score), error_score="raise"
    ).fit(X, y, task=ids),
    "grid over a pipeline": lambda m, X, y, ids: GridSearchCV(
        make_pipeline(StandardScaler(), m),
        {"meanregularizedregressor__alpha": [0.1]},
        cv=SHUFFLED,
        error_score="raise",
    ).fit(X, y, task=ids),
    "cross_validate": lambda m, X, y, ids: cross_validate(
        m, X, y, params={"task": ids}, cv=SHUFFLED, scoring=None, error_score="raise"
    ),
    "cross_validate, weights": lambda m, X, y, ids: cross_validate(
        m.set_fit_request(sample_weight=True).set_score_request(sample_weight=True),
        X,
        y,
        params={"task": ids, "sample_weight": np.ones(len(y))},
        cv=SHUFFLED,
        error_score="raise",
    ),
    "cross_validate, groups": lambda m, X, y, ids: cross_validate(
        m, X, y, params={"task": ids, "groups": np.arange(len(y)) // 2}, cv=GroupKFold(3), error_score="raise"
    ),
    "learning_curve": lambda m, X, y, ids: learning_curve(
        m.set_params(unknown_task="shared"), X, y, params={"task": ids}, cv=SHUFFLED, error_score="raise"
    ),
    "select": lambda m, X, y, ids: SelectFromModel(m, importance_getter="feature_importances_").fit(X, y, task=ids),
    "bagging": lambda m, X, y, ids: BaggingRegressor(m, n_estimators=2).fit(X, y, task=ids),
}
UNROUTED = {  # scikit-learn sends no metadata to predict: what it calls without ids must say so
    "string scorer": lambda m, X, y, ids: GridSearchCV(
        m, {"alpha": [0.1]}, cv=SHUFFLED, scoring="r2", error_score="raise"
    ).fit(X, y, task=ids),
    "make_scorer": lambda m, X, y, ids: cross_val_score(
        m, X, y, params={"task": ids}, cv=SHUFFLED, scoring=make_scorer(r2_score), error_score="raise"
    ),
    "cross_val_predict": lambda m, X, y, ids: cross_val_predict(m, X, y, params={"task": ids}, cv=SHUFFLED),
    "permutation_importance": lambda m, X, y, ids: permutation_importance(m.fit(X, y, task=ids), X, y),
    "search.predict": lambda m, X, y, ids: (
        GridSearchCV(m, {"alpha": [0.1]}, cv=SHUFFLED).fit(X, y, task=ids).predict(X)
    ),
}


@pytest.mark.parametrize("use", ROUTED.values(), ids=ROUTED)
def test_routing_brings_ids_without_a_request(use, numbers):
    X, y, number, _ = numbers
    with sklearn.config_context(enable_metadata_routing=True):
        result = use(MeanRegularizedRegressor(), X, y, number)
    scores = getattr(result, "cv_results_", result)
    if isinstance(scores, dict):
        assert all(np.isfinite(v).all() for name, v in scores.items() if name.startswith(("split", "mean", "test_")))


@pytest.mark.parametrize("use", UNROUTED.values(), ids=UNROUTED)
def test_a_tool_that_cannot_bring_ids_hears_the_remedy(use, numbers):
    X, y, number, _ = numbers
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match=r"predict\(X, task=...\).*column of X"),
    ):
        use(MeanRegularizedRegressor(), X, y, number)


def test_without_routing_a_grid_over_ids_beside_X_hears_the_remedy(numbers):
    X, y, number, _ = numbers
    search = GridSearchCV(MeanRegularizedRegressor(), {"alpha": [0.1]}, cv=SHUFFLED, error_score="raise")
    with pytest.raises(ValueError, match=r"predict\(X, task=...\)"):
        search.fit(X, y, task=number)


@each_estimator
def test_only_task_is_requested(Estimator):
    with sklearn.config_context(enable_metadata_routing=True):
        requests = Estimator().get_metadata_routing()
    assert requests.fit.requests == {"task": True, "sample_weight": None}
    assert requests.score.requests == {"task": True, "sample_weight": None}
    assert requests.predict.requests == {"task": True}


# Copies, files, pictures


@each_estimator
def test_a_pickled_model_predicts_the_same(Estimator, school):
    table, y, _ = school
    table = table.drop(columns="sex")
    model = Estimator(task="school").fit(table, y)
    revived = pickle.loads(pickle.dumps(model))
    assert_array_equal(revived.predict(table), model.predict(table))
    assert revived.get_params().keys() == model.get_params().keys()
    assert_array_equal(copy.deepcopy(model).predict(table), model.predict(table))


@each_estimator
def test_a_clone_has_the_parameters_and_no_fit(Estimator, school):
    table, y, _ = school
    model = Estimator(task="school", tol=0.5).fit(table.drop(columns="sex"), y)
    copied = clone(model)
    assert repr(copied) == repr(model) == f"{Estimator.__name__}(task='school', tol=0.5)"
    for use in (
        check_is_fitted,
        lambda m: m.predict(table),
        lambda m: m.score(table, y),
        lambda m: m.coef_frame(),
        lambda m: m.feature_importances_,
    ):
        with pytest.raises(NotFittedError):
            use(copied)


@each_estimator
def test_the_picture_in_a_notebook_names_the_model(Estimator, school):
    table, y, _ = school
    model = Estimator(task="school")
    for shown in (estimator_html_repr(model), estimator_html_repr(model.fit(table.drop(columns="sex"), y))):
        assert Estimator.__name__ in shown
    assert "Ridge" in estimator_html_repr(MultiTaskRegressor(Ridge()))


# Reading a fitted model


def test_attributes_are_those_of_the_last_fit(numbers):
    """Not those of a penalty that the model had before; with a warm start, neither are its parts."""
    X, y, number, _ = numbers
    model = MeanRegularizedRegressor(1.0).fit(X, y, task=number)
    assert hasattr(model, "residual_")
    model.set_params(alpha_l1=0.1).fit(X, y, task=number)
    assert not hasattr(model, "residual_")
    for warm_start in (False, True):
        model = MultiTaskRegressor(Dirty(0.1, 0.1), warm_start=warm_start).fit(X, y, task=number)
        assert hasattr(model, "structured_coef_")
        model.set_params(penalty=TraceNorm(0.1)).fit(X, y, task=number)
        assert hasattr(model, "rank_")
        assert not hasattr(model, "structured_coef_")
        assert model.set_params(penalty=Dirty(0.1, 0.1)).fit(X, y, task=number).structured_coef_.shape == (4, 2)


@each_estimator
def test_the_frame_of_coefficients_has_the_names(Estimator, school):
    table, y, _ = school
    model = Estimator(task="school").fit(table.drop(columns="sex"), y)
    frame = model.coef_frame()
    assert frame.index.tolist() == ["a", "b", "c", "d", "shared"]
    assert frame.columns.tolist() == ["age", "iq", "intercept"]
    assert_array_equal(frame.loc["a":"d", ["age", "iq"]], model.coef_)
    assert_array_equal(frame.loc["a":"d", "intercept"], model.intercept_)
    assert_array_equal(frame.loc["shared"], [*model.shared_coef_, model.shared_intercept_])


def test_the_frame_of_coefficients_numbers_what_has_no_name(numbers, wide):
    X, y, number, Z = numbers
    frame = MeanRegularizedRegressor(task=0).fit(Z[:, ::-1], y).coef_frame()
    assert frame.columns.tolist() == ["x1", "x2", "intercept"]  # positions in X: x0 held the ids
    assert frame.index.tolist() == [0, 1, 2, 3, "shared"]
    assert MeanRegularizedRegressor().fit(X, y, task=number).coef_frame().columns.tolist() == ["x0", "x1", "intercept"]
    X, Y = wide
    frame = MeanRegularizedRegressor().fit(X, pd.DataFrame(Y, columns=["p", "q", "r"])).coef_frame()
    assert frame.index.tolist() == ["p", "q", "r", "shared"]


def test_without_pandas_the_frame_of_coefficients_says_what_to_install(numbers, monkeypatch):
    X, y, number, _ = numbers
    model = MeanRegularizedRegressor().fit(X, y, task=number)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"coef_frame needs the package pandas: pip install skmtl\[examples\]"):
        model.coef_frame()


@pytest.mark.parametrize("name", ["intercept", "shared", "task"])
def test_no_name_of_a_feature_hides_a_column_of_the_frame(name, school):
    table, y, _ = school
    table = table.drop(columns="sex").rename(columns={"age": name})
    model = MeanRegularizedRegressor(task="school").fit(table, y)
    assert model.coef_frame().shape == (5, 3)
    assert_array_equal(model.coef_frame().to_numpy()[:4], np.column_stack([model.coef_, model.intercept_]))


@each_estimator
@pytest.mark.parametrize("position", [0, 1, 2, -1])
def test_the_importances_follow_the_columns_of_X(Estimator, position, numbers):
    X, y, number, _ = numbers
    table = np.insert(X, position if position >= 0 else 2, number, axis=1)
    model = Estimator(task=position).fit(table, y)
    lengths = np.linalg.norm(model.coef_, axis=0)
    at = position % 3
    assert model.feature_importances_.shape == (3,)
    assert_allclose(np.delete(model.feature_importances_, at), lengths, rtol=1e-12)
    assert_allclose(model.feature_importances_[at], lengths.sum() + 1, rtol=1e-12)
    beside = Estimator().fit(X, y, task=number)
    assert_allclose(beside.feature_importances_, lengths, rtol=1e-9)


# A fit that fails, a refit, a path


def state(model):
    """All attributes, by value."""
    return pickle.dumps(vars(model))


@each_estimator
@pytest.mark.parametrize("fitted", [True, False], ids=["fitted", "unfitted"])
@pytest.mark.parametrize("name", ["problem_of", "check_data"])
def test_an_interrupted_fit_leaves_the_model_as_it_was(Estimator, fitted, name, school, monkeypatch):
    table, y, _ = school
    table = table.drop(columns="sex")
    model = Estimator(task="school")
    if fitted:
        model.fit(table, y)
    before = state(model)

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(skmtl.base, name, interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(table.rename(columns={"age": "years"})[::2], y[::2])
    assert state(model) == before


FAILURES = {
    "NaN": lambda table, y: (table.assign(age=np.nan), y),
    "labels": lambda table, y: (table, y[1:]),
    "no task column": lambda table, y: (table.rename(columns={"school": "other"}), y),
    "other columns, text": lambda table, y: (table.assign(new="text"), y),
    "a missing id": lambda table, y: (table.assign(school=None), y),
    "weights": lambda table, y: (table, y, -np.ones(len(y))),
    "no rows": lambda table, y: (table[:0], y[:0]),
}


@each_estimator
@pytest.mark.parametrize("break_it", FAILURES.values(), ids=FAILURES)
def test_a_failed_refit_leaves_the_model_as_it_was(Estimator, break_it, school):
    table, y, _ = school
    table = table.drop(columns="sex")
    model = Estimator(task="school").fit(table, y)
    before, predicted = state(model), model.predict(table)
    with pytest.raises((ValueError, TypeError)):
        model.fit(*break_it(table, y))
    assert state(model) == before
    assert_array_equal(model.predict(table), predicted)
    with pytest.raises(ValueError, match="'tol' parameter"):
        model.set_params(tol=-1.0).fit(table[::2], y[::2])
    assert state(model.set_params(tol=1e-6)) == before


@each_estimator
def test_a_refit_forgets_the_first_fit(Estimator, school, wide):
    table, y, _ = school
    model = Estimator(task="school").fit(table.drop(columns="sex"), y)
    X, Y = wide
    model.set_params(task=None).fit(X, Y)
    fresh = Estimator().fit(X, Y)
    assert vars(model).keys() == vars(fresh).keys()
    assert_array_equal(model.coef_, fresh.coef_)
    assert_array_equal(model.tasks_, fresh.tasks_)
    assert not hasattr(model, "feature_names_in_")
    assert_allclose(model.feature_importances_, fresh.feature_importances_)


EXACT = 1e-8  # how far weights of two exact solutions of one problem are apart
CLOSE = 1e-5  # those of solutions with a duality gap of 1e-12: about its root


def apart(model):
    """How far weights may be apart that two solvers, or one from two starts, find for the same problem."""
    return CLOSE if getattr(model, "residual_", None) is None or model.n_iter_ > 1 else EXACT


@each_estimator
def test_a_warm_start_ends_where_a_cold_one_does(Estimator, numbers):
    X, y, number, _ = numbers
    model = Estimator(warm_start=True, tol=1e-12).fit(X, y, task=number)
    model.fit(X, y + 10.0 * X[:, 0], task=number)
    cold = Estimator(tol=1e-12).fit(X, y + 10.0 * X[:, 0], task=number)
    assert_allclose(model.coef_, cold.coef_, rtol=1e-8, atol=apart(cold) * np.abs(cold.coef_).max())
    refit = model.fit(
        X[:, :1], y, task=number - 1
    )  # another number of features, other tasks: there is nothing to go on from
    cold = Estimator(tol=1e-12).fit(X[:, :1], y, task=number - 1)
    assert_allclose(refit.coef_, cold.coef_, rtol=1e-8, atol=apart(cold) * np.abs(cold.coef_).max())


@each_estimator
def test_threads_change_nothing(Estimator, numbers):
    X, y, number, _ = numbers
    one, two = (Estimator(n_jobs=n).fit(X, y, task=number) for n in (None, 2))
    assert_array_equal(one.coef_, two.coef_)
    assert_array_equal(one.intercept_, two.intercept_)


@each_estimator
def test_fit_returns_the_estimator_itself(Estimator, wide):
    model = Estimator()
    assert model.fit(*wide) is model


@pytest.mark.parametrize("tol", [1e-6, Fraction(1, 10**6)])
def test_a_fit_without_convergence_warns_and_still_predicts(tol, rng):
    X, ids = rng.normal(size=(120, 8)), np.repeat(np.arange(12), 10)
    model = TaskGraphRegressor(10.0, graph={(t, t + 1): 1.0 for t in range(11)}, alpha_ridge=0.0, max_iter=1, tol=tol)
    with pytest.warns(ConvergenceWarning, match=r"residual .* after 1 iterations \(max_iter=1, tol"):
        model.fit(X, rng.normal(size=120), task=ids)
    assert np.isfinite(model.predict(X, task=ids)).all()


@each_estimator
@pytest.mark.parametrize("layout", ["column", "metadata", "outputs"])
def test_a_path_is_separate_fits(Estimator, layout, numbers, wide):
    X, y, number, Z = numbers
    alphas = [0.1, 10.0, 1.0]
    model, data, ids = Estimator(tol=1e-12), (X, y), {"task": number} if layout == "metadata" else {}
    if layout == "column":
        model, data = Estimator(tol=1e-12, task=-1), (Z, y)
    if layout == "outputs":
        data = wide
    model.fit(*data, **ids)
    before = state(model)
    path = model.path(*data, alphas=alphas, **ids)
    assert state(model) == before
    assert path.alphas.tolist() == [10.0, 1.0, 0.1]
    assert path.n_iters.shape == path.dual_gaps.shape == (3,)
    for alpha, coef, intercept in zip(path.alphas, path.coefs, path.intercepts, strict=True):
        single = Estimator(task=model.task, tol=1e-12)
        if Estimator is MultiTaskRegressor:
            single.set_params(penalty=SharedPlusSpecific(alpha))
        else:
            single.set_params(**{"alpha" if hasattr(single, "alpha") else "alpha_ridge": alpha})
        single.fit(*data, **ids)
        unit = max(1.0, np.abs(single.coef_).max())
        assert_allclose(coef, single.coef_, rtol=1e-8, atol=apart(single) * unit)
        assert_allclose(intercept, single.intercept_, rtol=1e-8, atol=apart(single) * unit)


@each_estimator
def test_the_default_path_descends_from_strong_to_weak(Estimator, numbers):
    X, y, number, _ = numbers
    model, alpha_max = Estimator(), None
    path = model.path(X, y, task=number, n_alphas=7, eps=1e-2)
    assert path.alphas.shape == path.n_iters.shape == (7,)
    assert path.coefs.shape == (7, 4, 2)
    assert path.intercepts.shape == (7, 4)
    with contextlib.suppress(ValueError):  # not a norm
        alpha_max = model.alpha_max(X, y, task=number)
    orders = 4 if alpha_max is None else 2  # around the mean curvature, or from alpha_max down
    assert_allclose(path.alphas[:-1] / path.alphas[1:], 10 ** (orders / 6), rtol=1e-9)
    assert vars(model) == vars(Estimator())
    assert Estimator().path(X, y, task=number).alphas.shape == (100,)
    scaled = Estimator().path(10 * X, y, task=number, n_alphas=7, eps=1e-2)
    growth = 100 if alpha_max is None else 10  # the units are those of the squared features, or of the gradient
    assert_allclose(scaled.alphas, growth * path.alphas, rtol=1e-9)
