"""Transformers keep tasks apart, containers as they came, and the ids unharmed."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, OneHotEncoder, StandardScaler
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl import IndependentRegressor, MeanRegularizedRegressor, TemporalRegressor
from skmtl.preprocessing import TaskWise, add_task, make_task_column_transformer, to_long


def pupils(n_samples=40):
    """A table of pupils: the school stands in the middle, the index is out of order, schools differ in level."""
    rng = np.random.default_rng(0)
    school = rng.choice(["north", "east", "south"], n_samples)
    level = 10.0 * (school == "east")
    table = {
        "age": 9 + rng.normal(size=n_samples) + level,
        "school": school,
        "iq": 100 + 15 * rng.normal(size=n_samples),
    }
    return pd.DataFrame(table, index=rng.permutation(n_samples))


X = pupils()
IDS = X["school"].to_numpy()
y = np.random.default_rng(1).normal(size=len(X)) + X["age"].to_numpy()

FRAMES = {
    "pandas": X,
    "pandas, category": X.astype({"school": "category"}),
    "pandas, string": X.astype({"school": "string"}),
    "polars": pl.from_pandas(X),
    "polars, categorical": pl.from_pandas(X).with_columns(pl.col("school").cast(pl.Categorical)),
    "pyarrow": pa.Table.from_pandas(X, preserve_index=False),
}
ARRAYS = {"object array": X.to_numpy(), "list": X.to_numpy().tolist()}
each_frame = pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
each_container = pytest.mark.parametrize("table", [*FRAMES.values(), *ARRAYS.values()], ids=[*FRAMES, *ARRAYS])


def columns_of(table):
    return list(getattr(table, "column_names", None) or table.columns)


def column(table, name):
    return np.asarray(table[name])


# scikit-learn


class BySign(TaskWise):
    """The ids made of the first column, so that scikit-learn's checks see several tasks."""

    def _ids(self, X):
        X = X.toarray() if sparse.issparse(X) else np.asarray(X)
        if X.ndim != 2 or X.shape[1] == 0 or X.dtype.kind == "c":
            return None
        return np.nan_to_num(10 * np.abs(X[:, 0].astype(float))).astype(int) % 3

    def fit(self, X, y=None):
        return super().fit(X, y, task=self._ids(X))

    def fit_transform(self, X, y=None):
        return super().fit_transform(X, y, task=self._ids(X))

    def transform(self, X):
        return super().transform(X, task=self._ids(X))


@pytest.mark.parametrize("routing", [False, True])
@parametrize_with_checks([TaskWise(), BySign(unknown_task="shared")])
def test_scikit_learn_accepts_it(estimator, check, routing):
    with sklearn.config_context(enable_metadata_routing=routing):
        check(estimator)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names", "ignore:X has feature names")
@pytest.mark.parametrize(
    "name",
    [
        "check_dataframe_column_names_consistency",
        "check_transformer_get_feature_names_out",
        "check_transformer_get_feature_names_out_pandas",
        "check_set_output_transform",
        "check_set_output_transform_pandas",
        "check_set_output_transform_polars",
        "check_global_output_transform_pandas",
        "check_global_set_output_transform_polars",
    ],
)
def test_scikit_learn_accepts_its_frames_and_names(name):
    getattr(estimator_checks, name)("TaskWise", TaskWise())


def test_it_takes_what_its_transformer_takes():
    for inner in (MaxAbsScaler(), OneHotEncoder(), StandardScaler()):
        for name in ("input_tags", "target_tags", "transformer_tags"):
            assert getattr(get_tags(TaskWise(inner)), name) == getattr(get_tags(inner), name)


# TaskWise: one transformer a task


@each_frame
def test_each_task_is_standardised_by_its_own_moments(frame):
    Z = TaskWise(StandardScaler(), task="school").fit_transform(frame)
    assert type(Z) is type(frame)
    assert columns_of(Z) == ["age", "iq", "school"]
    assert_array_equal(column(Z, "school"), IDS)
    for name in ("age", "iq"):
        assert column(Z, name).dtype == float
        for school in set(IDS):
            assert_allclose(column(Z, name)[school == IDS].mean(), 0, atol=1e-12)
            assert_allclose(column(Z, name)[school == IDS].std(), 1)


@pytest.mark.parametrize("name", ["pandas", "pandas, category", "pandas, string"])
def test_a_pandas_frame_keeps_its_index_and_the_type_of_its_ids(name):
    Z = TaskWise(task="school").fit_transform(FRAMES[name])
    assert_array_equal(Z.index, X.index)
    assert Z["school"].dtype == FRAMES[name]["school"].dtype


def test_a_repeated_index_does_no_harm():
    doubled = X.set_index(np.zeros(len(X), dtype=int))
    assert_array_equal(TaskWise(task="school").fit_transform(doubled), TaskWise(task="school").fit_transform(X))


@each_container
def test_every_container_gives_the_same_values(table):
    task = "school" if hasattr(table, "columns") else 1
    transformer = TaskWise(task=task).fit(table)
    expected = [StandardScaler().fit(X.loc[school == IDS, ["age", "iq"]]) for school in transformer.tasks_]
    for own, reference in zip(transformer.transformers_, expected, strict=True):
        assert_allclose(own.mean_, reference.mean_)
    Z = np.asarray(transformer.transform(table))
    assert_allclose(Z[:, :2].astype(float), TaskWise(task="school").fit_transform(X)[["age", "iq"]])
    assert_array_equal(Z[:, 2], IDS)


@pytest.mark.parametrize("task", [0, 1, 2, -1])
def test_numeric_ids_keep_an_array_numeric(task):
    rows = np.insert(
        X[["age", "iq"]].to_numpy(), task if task >= 0 else 2, np.unique(IDS, return_inverse=True)[1], axis=1
    )
    before = rows.copy()
    Z = TaskWise(task=task).fit_transform(rows)
    assert Z.dtype == float
    assert_allclose(Z[:, :2], TaskWise(task="school").fit_transform(X)[["age", "iq"]])
    assert_array_equal(rows, before)


def test_one_task_is_the_transformer_itself():
    rows = X[["age", "iq"]]
    assert_allclose(TaskWise().fit_transform(rows), StandardScaler().fit_transform(rows))
    assert_allclose(TaskWise().fit(rows, task=["a"] * len(rows)).transformers_[0].mean_, rows.mean())


def test_a_shared_transformer_spares_the_ids():
    Z = TaskWise(task="school", per_task=False).fit_transform(X)
    assert_allclose(Z[["age", "iq"]], StandardScaler().fit_transform(X[["age", "iq"]]))
    assert_array_equal(Z["school"], IDS)


def test_ids_beside_X_are_ids_in_X():
    inside = TaskWise(task="school").fit(X)
    beside = TaskWise().fit(X[["age", "iq"]], task=IDS)
    assert_array_equal(inside.tasks_, beside.tasks_)
    assert_allclose(beside.transform(X[["age", "iq"]], task=list(IDS)), inside.transform(X)[["age", "iq"]])


class MemoryOfFit(TransformerMixin, BaseEstimator):
    """Marks the rows it was fitted on: 1 by fit_transform, 0 by transform."""

    def fit(self, X, y=None):
        self.y_ = y
        return self

    def fit_transform(self, X, y=None):
        return self.fit(X, y).transform(X) + 1

    def transform(self, X):
        return np.zeros((len(X), 1))


def test_each_transformer_gets_its_labels_and_its_own_fit_transform_is_used():
    transformer = TaskWise(MemoryOfFit())
    assert_array_equal(transformer.fit_transform(X.to_numpy(), y.tolist(), task=IDS), np.ones((len(X), 1)))
    assert_array_equal(
        transformer.fit(X.to_numpy(), y, task=IDS).transform(X.to_numpy(), task=IDS), np.zeros((len(X), 1))
    )
    assert_array_equal(transformer.transformers_[0].y_, y[transformer.tasks_[0] == IDS])
    assert_array_equal(transformer.shared_transformer_.y_, y)


def test_types_of_columns_survive_a_column_transformer_inside():
    table = X.assign(sex=["f", "m"] * (len(X) // 2))
    inner = make_column_transformer(
        (StandardScaler(), ["age", "iq"]), ("passthrough", ["sex"]), verbose_feature_names_out=False
    )
    for frame in (table, pl.from_pandas(table)):
        Z = TaskWise(inner, task="school").fit_transform(frame)
        assert columns_of(Z) == ["age", "iq", "sex", "school"]
        assert column(Z, "age").dtype == float
        assert_array_equal(column(Z, "sex"), table["sex"])


def test_a_transformer_without_names_can_keep_those_of_the_frame():
    Z = TaskWise(FunctionTransformer(np.abs), task="school").fit_transform(X)
    assert_array_equal(Z, X[["age", "iq", "school"]])


@pytest.mark.filterwarnings("ignore:When `set_output` is configured:UserWarning")
def test_without_names_to_be_had_a_frame_is_refused_with_a_remedy():
    numbers, frame = np.array([[-1.0, 0], [2.0, 1]]), pl.DataFrame({"a": [-1.0, 2.0], "school": [0, 1]})
    for inner in (FunctionTransformer(np.abs), make_pipeline(FunctionTransformer(np.abs))):
        for rows, model in [
            (numbers, TaskWise(inner, task=-1).set_output(transform="pandas")),
            (numbers, TaskWise(inner, task=-1).set_output(transform="polars")),
            (frame, TaskWise(inner, task="school")),
        ]:
            with pytest.raises(AttributeError, match=f"The {type(inner).__name__} .*feature_names_out='one-to-one'"):
                model.fit_transform(rows)
    named = TaskWise(FunctionTransformer(np.abs, feature_names_out="one-to-one"), task="school").fit_transform(frame)
    assert named.to_dict(as_series=False) == {"a": [1.0, 2.0], "school": [0, 1]}


@pytest.mark.parametrize("format", ["csr", "csc"])
@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
def test_sparse_rows_stay_sparse(kind, format):
    dense = np.maximum(np.random.default_rng(0).normal(size=(12, 3)), 0)
    rows = add_task(kind(dense), [3, 5] * 6).asformat(format)
    Z = TaskWise(MaxAbsScaler(), task=-1).fit_transform(rows)
    assert isinstance(Z, sparse.sparray) == (kind is sparse.csr_array)
    assert_allclose(Z.toarray(), TaskWise(MaxAbsScaler(), task=-1).fit_transform(add_task(dense, [3, 5] * 6)))


# TaskWise: what comes out


@pytest.mark.parametrize("how", ["set_output", "configuration"])
@pytest.mark.parametrize(("kind", "frame_type"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
@each_container
def test_the_output_is_of_the_kind_asked_for_and_features_are_floats(table, kind, frame_type, how):
    transformer = TaskWise(task="school" if hasattr(table, "columns") else 1)
    if how == "set_output":
        Z = clone(transformer.set_output(transform=kind)).fit_transform(table)
    else:
        with sklearn.config_context(transform_output=kind):
            Z = transformer.fit_transform(table)
    assert isinstance(Z, frame_type)
    assert columns_of(Z) == (["age", "iq", "school"] if hasattr(table, "columns") else ["x0", "x2", "x1"])
    assert all(np.asarray(Z[name]).dtype == float for name in Z.columns[:2])
    assert_allclose(Z[Z.columns[0]], TaskWise(task="school").fit_transform(X)["age"])
    if kind == "pandas":
        assert_array_equal(Z.index, table.index if isinstance(table, pd.DataFrame) else np.arange(len(X)))


@pytest.mark.parametrize("kind", ["default", "pandas", "polars"])
@each_frame
def test_a_pipeline_finds_the_ids_behind_it(frame, kind):
    pipeline = make_pipeline(TaskWise(task="school"), MeanRegularizedRegressor(0.1, task="school"))
    expected = MeanRegularizedRegressor(0.1, task="school").fit(TaskWise(task="school").fit_transform(X), y)
    with sklearn.config_context(transform_output=kind):
        assert_allclose(pipeline.fit(frame, y)[-1].coef_, expected.coef_)
    assert_allclose(pipeline.set_output(transform=kind).fit(frame, y).predict(frame), pipeline.predict(X))
    assert_allclose(pickle.loads(pickle.dumps(pipeline)).predict(frame), pipeline.predict(frame))


def test_ids_reach_it_through_a_pipeline_by_metadata():
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(TaskWise(), MeanRegularizedRegressor(0.1)).fit(X[["age", "iq"]], y, task=IDS)
        prediction = pipeline.predict(X[["age", "iq"]], task=IDS)
    column_route = make_pipeline(TaskWise(task="school"), MeanRegularizedRegressor(0.1, task="school"))
    assert_allclose(prediction, column_route.fit(X, y).predict(X))


def test_names_go_out_with_the_task_last():
    transformer = TaskWise(task="school").fit(X)
    assert transformer.n_features_in_ == 3
    assert transformer.get_feature_names_out().tolist() == ["age", "iq", "school"]
    assert TaskWise(task=0).fit(np.ones((3, 3))).get_feature_names_out().tolist() == ["x1", "x2", "x0"]
    assert TaskWise(PCA(1), task="school").fit(X).get_feature_names_out().tolist() == ["pca0", "school"]
    with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
        transformer.get_feature_names_out(["a", "b", "c"])


# TaskWise: what cannot be done


STRANGERS = pd.DataFrame({"age": [9.0, 9.0, 9.0], "school": ["north", "west", None], "iq": [100.0, 100.0, 100.0]})


@pytest.mark.parametrize("frame", [STRANGERS, pl.from_pandas(STRANGERS)], ids=["pandas", "polars"])
def test_an_unknown_task_is_an_error_or_shared(frame):
    transformer = TaskWise(task="school").fit(X)
    with pytest.raises(
        ValueError, match=r"of an unknown task: 'west', None not seen in fit, .* 'east', 'north', 'south'"
    ):
        transformer.transform(frame)
    Z = np.asarray(transformer.set_params(unknown_task="shared").transform(frame)[["age", "iq"]])
    shared = StandardScaler().fit(X[["age", "iq"]]).transform(STRANGERS[["age", "iq"]])
    assert_allclose(Z[1:], shared[1:])
    assert_allclose(
        Z[0], (np.array([9.0, 100.0]) - transformer.transformers_[1].mean_) / transformer.transformers_[1].scale_
    )


def test_a_transformer_inside_another_may_give_no_names():
    """A pipeline and a ColumnTransformer have get_feature_names_out also where what is inside has not."""
    numbers, table = X[["age", "iq"]].to_numpy(), X[["age", "iq", "school"]]
    inner = make_pipeline(StandardScaler(), FunctionTransformer(np.abs))
    expected = np.abs(TaskWise().fit_transform(numbers, task=X["school"]))
    assert_allclose(TaskWise(inner).fit(numbers, task=X["school"]).transform(numbers, task=X["school"]), expected)
    assert_allclose(TaskWise(inner).fit_transform(numbers, task=X["school"]), expected)
    inner = make_column_transformer((FunctionTransformer(np.abs), ["age", "iq"]), verbose_feature_names_out=False)
    assert columns_of(TaskWise(inner, task="school").fit_transform(table)) == ["age", "iq", "school"]


def test_a_task_with_columns_of_its_own_is_an_error():
    table = pd.DataFrame({"school": ["a", "a", "b", "b"], "sex": ["f", "m", "f", "x"]})
    with pytest.raises(ValueError, match=r"same columns for every task.* task 'a' gives 'sex_f', 'sex_m'"):
        TaskWise(OneHotEncoder(sparse_output=False), task="school").fit(table)
    with pytest.raises(ValueError, match=r"same columns for every task.* task 1 gives"):
        TaskWise(SelectKBest(f_regression, k=1), task=-1).fit_transform(
            [[1.0, 0.0, 0], [2.0, 1.0, 0], [4.0, 9.0, 0], [0.0, 1.0, 1], [1.0, 2.0, 1], [9.0, 4.0, 1]],
            [1, 2, 4, 1, 2, 4],
        )


@pytest.mark.parametrize(
    ("parameters", "fit", "transform", "message"),
    [
        ({"task": "school"}, {"task": IDS}, {}, "given twice: .* task='school'"),
        ({"task": "scool"}, {}, {}, "The task column 'scool' is not in X"),
        ({"task": 1.5}, {}, {}, "'task' parameter of TaskWise must be a column name"),
        (
            {"transformer": "passthrough"},
            {},
            {},
            "'transformer' parameter of TaskWise must be None or a transformer. Got",
        ),
        ({"transformer": StandardScaler}, {}, {}, "'transformer' parameter of TaskWise must be None or a transformer"),
        ({"transformer": LinearRegression()}, {}, {}, "'transformer' parameter of TaskWise must be None or a trans"),
        ({"unknown_task": "ignore"}, {}, {}, "'unknown_task' parameter of TaskWise must be 'error' or 'shared'"),
        ({}, {"task": [*IDS[:-1], None]}, {}, "hold 1 missing value.*first in row 39"),
        ({}, {"task": IDS[:-1]}, {}, "inconsistent numbers of samples"),
        ({}, {"task": IDS}, {}, "fitted with task ids, but transform was called without"),
        ({}, {}, {"task": IDS}, "fitted without task ids, but transform was called with"),
        ({}, {"task": IDS}, {"task": IDS[:-1]}, "inconsistent numbers of samples"),
    ],
)
def test_an_error_says_what_came_and_what_is_needed(parameters, fit, transform, message):
    table = X if "task" in parameters else X[["age", "iq"]]
    with pytest.raises(ValueError, match=message):
        TaskWise(**parameters).fit(table, **fit).transform(table, **transform)


@pytest.mark.parametrize("task", [None, 0])
def test_another_task_column_than_in_fit_is_an_error(task):
    table = np.tile([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0]], (3, 1))
    transformer = TaskWise(task=task).fit(table).set_params(task=1)
    with pytest.raises(ValueError, match=rf"changed since fit, to 1, .*set_params\(task={task}\)"):
        transformer.transform(table)


@pytest.mark.parametrize("method", ["fit", "fit_transform"])
@pytest.mark.parametrize(
    ("table", "message"),
    [
        (X.assign(iq="q"), "could not convert string to float"),
        (X.assign(more="q"), "could not convert string to float"),
        (X[:0], "0 sample"),
        (X.assign(school=None), "missing value"),
    ],
)
def test_an_error_leaves_it_as_it_was(method, table, message):
    transformer = TaskWise(task="school").fit(X)
    before, Z = dict(vars(transformer)), transformer.transform(X)
    with pytest.raises(ValueError, match=message):
        getattr(transformer, method)(table)
    assert vars(transformer) == before
    assert_array_equal(transformer.transform(X), Z)


def test_no_rows_are_an_error_in_scikit_learns_words():
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        TaskWise(task="school").fit(X).transform(X[:0])


def test_a_task_column_alone_leaves_nothing_to_transform():
    with pytest.raises(ValueError, match=r"0 feature\(s\): X holds the task column"):
        TaskWise(task="school").fit(X[["school"]])


def test_a_sparse_result_fits_no_frame():
    table = pa.table({"school": ["a", "b"], "sex": ["f", "m"]})
    with pytest.raises(ValueError, match="fits no pyarrow frame: set its sparse_output=False"):
        TaskWise(OneHotEncoder(categories=[["f", "m"]]), task="school").fit_transform(table)


# make_task_column_transformer


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_the_task_column_comes_first_and_unchanged(kind):
    frame = X if kind == "pandas" else pl.from_pandas(X)
    made = make_task_column_transformer((StandardScaler(), ["age", "iq"]), task="school", output=kind)
    Z = made.fit_transform(frame)
    assert type(Z) is type(frame)
    assert columns_of(Z) == ["school", "age", "iq"]
    assert_array_equal(column(Z, "school"), IDS)
    assert_allclose(column(Z, "age"), StandardScaler().fit_transform(X[["age"]]).ravel())


def test_position_0_survives_a_one_hot_encoding():
    table = X.assign(school=np.unique(IDS, return_inverse=True)[1], sex=["f", "m"] * (len(X) // 2))
    steps = [(OneHotEncoder(), ["sex"]), (StandardScaler(), ["age", "iq"])]
    named = make_pipeline(
        make_task_column_transformer((OneHotEncoder(sparse_output=False), ["sex"]), steps[1], task="school"),
        IndependentRegressor(0.1, task="school"),
    )
    placed = make_pipeline(
        make_task_column_transformer(*steps, task="school", output=None), IndependentRegressor(0.1, task=0)
    )
    assert_allclose(placed.fit(table, y).predict(table), named.fit(table, y).predict(table))


def test_a_selector_does_not_see_the_task_column():
    table = X.assign(school=np.unique(IDS, return_inverse=True)[1])
    for task in ("school", 1):
        select = make_column_selector(dtype_include="number")
        made = clone(make_task_column_transformer((StandardScaler(), select), task=task))
        Z = made.fit_transform(table)
        assert columns_of(Z) == ["school", "age", "iq"]
        assert_array_equal(Z["school"], table["school"])
        assert columns_of(pickle.loads(pickle.dumps(made)).transform(table)) == columns_of(Z)


@pytest.mark.parametrize("task", [None, ["school"], 1.5, True])
def test_what_names_no_task_column_is_refused(task):
    with pytest.raises(ValueError, match=r"the name or the position of a column\. Got"):
        make_task_column_transformer((StandardScaler(), ["age"]), task=task)


@pytest.mark.parametrize("columns", ["school", ["age", "school"], np.array(["school"]), pd.Index(["school"])])
def test_transforming_the_task_column_is_an_error(columns):
    with pytest.raises(ValueError, match="The task column 'school' is passed on unchanged, but StandardScaler"):
        make_task_column_transformer((StandardScaler(), columns), task="school")


@pytest.mark.parametrize(
    ("columns", "task"),
    [
        ([0, 1, 2], -2),
        ([0, -2], 1),
        (slice(0, 3), 1),
        (slice(0, 3), "school"),
        ([True, True, False], -2),
        ([0, 1], "school"),
        (slice("age", "iq"), "school"),
        (["school"], 1),
        ("school", -2),
    ],
)
def test_transforming_the_task_column_by_another_of_its_names_is_an_error(columns, task):
    made = clone(make_task_column_transformer((OneHotEncoder(), columns), task=task, output=None))
    arrays = [] if "school" in f"{columns} {task}" else [X.to_numpy()]
    for table in (X, pl.from_pandas(X), *arrays):
        with pytest.raises(ValueError, match=f"The task column {task!r} is passed on unchanged, but OneHotEncoder"):
            made.fit(table)


@pytest.mark.parametrize("select", [lambda X: [0, 1, 2], lambda X: slice(0, 3), lambda X: [True, True, True]])
def test_a_selector_may_select_in_any_way(select):
    made = make_task_column_transformer((StandardScaler(), select), task=1, output=None)
    expected = np.c_[IDS.astype(object), StandardScaler().fit_transform(X[["age", "iq"]])]
    for table in (X, X.to_numpy()):
        assert_array_equal(made.fit_transform(table), expected)


def test_a_selector_that_names_one_column_gives_it_as_a_vector():
    as_column = FunctionTransformer(lambda vector: vector.to_numpy()[:, None])
    made = make_task_column_transformer((as_column, lambda X: "iq"), task="school", output="default")
    assert_array_equal(made.fit_transform(X), X[["school", "iq"]])


def test_the_remainder_does_not_repeat_the_task_column():
    made = make_task_column_transformer((StandardScaler(), ["age"]), task="school", remainder="passthrough")
    assert columns_of(made.fit_transform(X)) == ["school", "age", "iq"]


def test_the_grid_reaches_into_it():
    pipeline = make_pipeline(
        make_task_column_transformer((StandardScaler(), ["age", "iq"]), task="school"),
        MeanRegularizedRegressor(task="school"),
    )
    grid = {
        "columntransformer__standardscaler__with_std": [True, False],
        "meanregularizedregressor__alpha": [0.01, 1.0],
    }
    search = GridSearchCV(pipeline, grid, scoring="r2", cv=KFold(3, shuffle=True, random_state=0), error_score="raise")
    assert np.isfinite(search.fit(X, y).best_score_)


# add_task


@each_frame
@pytest.mark.parametrize("kind", [list, np.array, pd.Series, pl.Series, lambda ids: pa.chunked_array([ids])])
def test_ids_of_any_kind_become_the_last_column_of_any_frame(frame, kind):
    ids = ["b", "a"] * (len(X) // 2)
    Z = add_task(frame, kind(ids), name="class")
    assert type(Z) is type(frame)
    assert columns_of(Z) == ["age", "school", "iq", "class"]
    assert column(Z, "class").tolist() == ids
    assert columns_of(frame) == ["age", "school", "iq"]


def test_the_index_of_ids_is_not_looked_at():
    ids = pd.Series(IDS, index=np.arange(len(X))[::-1])
    assert_array_equal(add_task(X[["age"]], ids)["task"], IDS)
    assert_array_equal(add_task(X[["age"]], ids).index, X.index)


@pytest.mark.parametrize("ids", [[4, 7], np.array([4, 7], dtype=np.int8), np.array([4, 7], dtype=object), [4.0, 7.0]])
def test_numbers_beside_numbers_stay_numbers(ids):
    Z = add_task([[0.5, 1], [2, 3]], ids)
    assert Z.dtype == float
    assert_array_equal(Z, [[0.5, 1, 4], [2, 3, 7]])


@pytest.mark.parametrize("table", [[["q", 2], ["r", 4]], np.array([["q", 2], ["r", 4]], dtype=object)])
def test_numbers_beside_text_stay_numbers(table):
    assert add_task(table, [1, 2]).tolist() == [["q", 2, 1], ["r", 4, 2]]
    assert to_long(table, [[0.5, 1.5], [np.nan, 2.5]])[0].tolist() == [["q", 2, 0], ["q", 2, 1], ["r", 4, 1]]
    assert add_task(np.array([["q"], ["r"]]), [1, 2]).tolist() == [["q", 1], ["r", 2]]


@each_frame
@pytest.mark.parametrize("kind", [list, np.array, pd.DataFrame])
def test_ids_may_stand_in_a_column(frame, kind):
    ids = kind(IDS[:, None])
    assert column(add_task(frame, ids), "task").tolist() == IDS.tolist()
    assert_array_equal(add_task(np.ones((len(X), 1)), ids)[:, 1], IDS)


def test_dates_are_ids_too():
    days = np.array(["2024-09-01", "2025-09-01"], dtype="datetime64[D]")
    assert add_task([[0.5], [2.0]], days)[:, 1].tolist() == days.tolist()
    assert add_task(X[:2], days)["task"].dtype.kind == "M"


def test_a_missing_id_stays_missing():
    assert add_task([[1.0], [2.0]], ["a", None]).tolist() == [[1.0, "a"], [2.0, None]]
    assert pd.isna(add_task([[1.0], [2.0]], ["a", np.nan])[1, 1])
    assert pd.isna(add_task([[1.0], [2.0]], [["a"], [np.nan]])[1, 1])
    for frame in (X[:2], pl.from_pandas(X[:2]), pa.Table.from_pandas(X[:2])):
        assert pd.isna(column(add_task(frame, ["a", np.nan]), "task")).tolist() == [False, True]
    assert np.isnan(add_task([[1.0], [2.0]], [1.0, np.nan])[1, 1])


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_float32_stays_float32_with_its_ids(form):
    table = np.column_stack([np.arange(1, 7), np.repeat([0, 1], 3)]).astype(np.float32)
    out = TaskWise(MaxAbsScaler(), task=-1).fit_transform(form(table))
    assert out.dtype == np.float32
    assert_array_equal(out[:, [1]].toarray().ravel() if sparse.issparse(out) else out[:, 1], table[:, 1])


def test_add_task_refuses_what_is_ambiguous():
    with pytest.raises(ValueError, match="X has a column 'school' already"):
        add_task(X, IDS, name="school")
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        add_task(X, IDS[:-1])
    with pytest.raises(TypeError, match="uniformly strings or numbers"):
        add_task([[1.0], [2.0]], ["a", 1])
    with pytest.raises(ValueError, match=r"sparse X takes numeric task ids only. Got 'a', 'b'"):
        add_task(sparse.eye_array(2), ["a", "b"])


# to_long


def wide_labels(seed=0):
    rng = np.random.default_rng(seed)
    Y = rng.normal(size=(len(X), 3))
    Y[rng.random(Y.shape) < 0.4] = np.nan
    return Y


def test_a_wide_fit_is_a_long_fit():
    features, Y = X[["age", "iq"]].to_numpy(), wide_labels()
    estimator = MeanRegularizedRegressor(0.1)
    X_long, y_long, rows = to_long(features, Y)
    long = clone(estimator).set_params(task=-1).fit(X_long, y_long)
    assert_allclose(estimator.fit(features, Y).coef_, long.coef_, rtol=0, atol=1e-9)
    assert_allclose(
        estimator.predict(features)[rows, X_long[:, -1].astype(int)], long.predict(X_long), rtol=0, atol=1e-9
    )


def test_wide_columns_are_in_their_order_of_time_and_long_ids_sorted_unless_it_is_given():
    features, Y = X[["age", "iq"]], pd.DataFrame(wide_labels(), columns=["late", "early", "mid"])
    X_long, y_long, _ = to_long(features, Y)
    for given, wide_order, long_order in [
        (None, ["late", "early", "mid"], ["early", "late", "mid"]),
        (["early", "mid", "late"], ["early", "mid", "late"], ["early", "mid", "late"]),
    ]:
        wide, expected_wide = (TemporalRegressor(1.0, order=order).fit(features, Y) for order in (given, wide_order))
        estimators = (TemporalRegressor(1.0, order=order, task="task") for order in (given, long_order))
        long, expected_long = (estimator.fit(X_long, y_long) for estimator in estimators)
        assert (wide.tasks_.tolist(), long.tasks_.tolist()) == (list(Y.columns), sorted(Y.columns))
        assert_allclose(wide.coef_, expected_wide.coef_, rtol=0, atol=1e-9)
        assert_allclose(long.coef_, expected_long.coef_, rtol=0, atol=1e-9)
    assert_allclose(wide.coef_[np.argsort(wide.tasks_)], long.coef_, atol=1e-6)


def test_every_label_is_found_where_it_stood():
    Y = wide_labels()
    X_long, y_long, rows = to_long(X, pd.DataFrame(Y, columns=["p", "q", "r"]))
    again = np.full(Y.shape, np.nan)
    again[rows, ["pqr".index(task) for task in X_long["task"]]] = y_long
    assert_array_equal(again, Y)
    assert_array_equal(X_long.drop(columns="task"), X.iloc[rows])
    assert_array_equal(X_long.index, X.index[rows])
    assert np.all(np.diff(rows) >= 0)


@pytest.mark.parametrize(
    ("Y", "labels", "tasks"),
    [
        ([[1, None], [2, 3]], [1, 2, 3], [0, 0, 1]),
        (np.array([[1, np.nan], [2, 3]], dtype=np.float32), [1, 2, 3], [0, 0, 1]),
        (pd.DataFrame({"u": pd.array([1, 2], "Int64"), "v": pd.array([None, 3], "Int64")}), [1, 2, 3], list("uuv")),
        (pd.DataFrame({0: [1.0, 2.0], 1: [None, 3.0]}), [1, 2, 3], [0, 0, 1]),
        (pl.DataFrame({"u": [1, 2], "v": [None, 3]}), [1, 2, 3], list("uuv")),
        (pa.table({"u": [1, 2], "v": [None, 3]}), [1, 2, 3], list("uuv")),
        ([["yes", None], ["no", "yes"]], ["yes", "no", "yes"], [0, 0, 1]),
        ([["yes", np.nan], ["no", "yes"]], ["yes", "no", "yes"], [0, 0, 1]),
        ((("yes", float("nan")), ("no", "yes")), ["yes", "no", "yes"], [0, 0, 1]),
        (pl.DataFrame({"u": ["yes", "no"], "v": [None, "yes"]}), ["yes", "no", "yes"], list("uuv")),
        ([[True, False], [False, True]], [True, False, False, True], [0, 1, 0, 1]),
    ],
)
def test_labels_of_every_kind_are_listed(Y, labels, tasks):
    for table in ([[0.5], [0.7]], pd.DataFrame({"x": [0.5, 0.7]}), pl.DataFrame({"x": [0.5, 0.7]})):
        X_long, y_long, _ = to_long(table, Y, task_name="t")
        assert y_long.tolist() == labels
        assert y_long.dtype.kind in ("O" if isinstance(labels[0], str) else "biuf")
        assert np.asarray(X_long)[:, -1].tolist() == tasks
        assert columns_of(X_long) == ["x", "t"] if hasattr(X_long, "columns") else X_long.shape[1] == 2


def test_a_row_without_labels_vanishes_and_a_task_without_labels_is_no_error():
    X_long, y_long, rows = to_long(sparse.coo_array([[1.0], [2.0]]), [[np.nan, np.nan], [4.0, np.nan]])
    assert (X_long.toarray().tolist(), y_long.tolist(), rows.tolist()) == ([[2.0, 0.0]], [4.0], [1])


def test_to_long_refuses_what_is_not_wide():
    with pytest.raises(ValueError, match=r"one column per task.*Got an array of shape \(40,\)"):
        to_long(X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        to_long(X, wide_labels()[1:])
    with pytest.raises(ValueError, match="X has a column 'age' already"):
        to_long(X, wide_labels(), task_name="age")
