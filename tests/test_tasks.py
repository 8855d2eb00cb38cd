"""Whatever holds the data, the model is the same; what cannot be meant is refused with advice."""

import re
from datetime import datetime, time
from enum import Enum
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.exceptions import DataConversionWarning, UndefinedMetricWarning
from sklearn.metrics import r2_score

from skmtl import (
    AdaptiveJointFeatureRegressor,
    FusedTasksClassifier,
    FusedTasksRegressor,
    IndependentClassifier,
    IndependentRegressor,
    L1Regressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    MultiTaskClassifier,
    MultiTaskMLP,
    MultiTaskMLPRegressor,
    MultiTaskRegressor,
    PooledRegressor,
    ReducedRankRegressor,
    TaskGraphClassifier,
    TaskGraphRegressor,
    TemporalRegressor,
    TraceNormRegressor,
    all_estimators,
)
from skmtl._ids import find_tasks, number_tasks, rows_by_code
from skmtl.penalties import (
    FusedTasks,
    JointFeature,
    Ridge,
    SharedPlusSpecific,
    TaskGraph,
    TaskRelationship,
    Temporal,
    TraceNorm,
)
from skmtl.preprocessing import TaskWise
from skmtl.tasks import check_data

GRAPH = {("a", "b"): 1.0, ("b", "c"): 2.0, ("c", "d"): 0.5}


def well_posed(Estimator):
    """An estimator whose solution is unique and found to a gap of 1e-12, with a ridge term where it has one."""
    return Estimator(tol=1e-12, **({"alpha_ridge": 0.1} if "alpha_ridge" in Estimator().get_params() else {}))


MODELS = [
    *map(well_posed, all_estimators("regressor")),
    PooledRegressor(task_intercepts=True),
    MeanRegularizedRegressor(0.1, alpha_shared=0.2, alpha_intercept=0.3),
    MeanRegularizedRegressor(fit_intercept=False),
    TaskGraphRegressor(0.1, graph=GRAPH),
    MultiTaskRegressor(Ridge(0.1)),
]
each_model = pytest.mark.parametrize("model", MODELS, ids=repr)
CENTERED = [m for m in MODELS if m.fit_intercept and not getattr(m, "alpha_intercept", 0)]  # the intercepts are free
ROTATED = [m for m in MODELS if m._penalty().rotation_invariant]  # see inner products of rows only
each_task_weight = pytest.mark.parametrize("task_weight", ["samples", "tasks", "auto", {"a": 2.0, "c": 0.5}], ids=str)


def without_graph(model):
    """A clone that asks for no ids in particular."""
    return clone(model).set_params(**({"graph": None} if "graph" in model.get_params() else {}))


def make_rows(rng, n_features=3):
    """Rows of four unequal tasks in disorder; `number` are the ids as integers."""
    number = rng.permutation(np.repeat([0, 1, 2, 3], [14, 10, 6, 4]))
    X = rng.normal(size=(len(number), n_features))
    y = number + X @ rng.normal(size=n_features) + (X * rng.normal(size=(4, n_features))[number]).sum(axis=1)
    ids = np.array(list("abcd"), dtype=object)[number]
    return SimpleNamespace(X=X, y=y, ids=ids, number=number, n=len(number), Z=np.column_stack([ids, X.astype(object)]))


@pytest.fixture
def rows(rng):
    return make_rows(rng)


@pytest.fixture
def wide(rng):
    """X with labels for four named tasks, some missing, one row without any."""
    X = rng.normal(size=(15, 3))
    Y = X @ rng.normal(size=(3, 4)) + rng.normal(size=(15, 4))
    Y[rng.random(Y.shape) < 0.3] = np.nan
    Y[0], Y[1] = np.nan, 1.0
    return SimpleNamespace(X=X, Y=Y, frame=pd.DataFrame(Y, columns=list("abcd")))


def as_long(X, Y):
    """One row for each label: X, y and ids."""
    i, t = np.nonzero(~np.isnan(Y))
    return X[i], Y[i, t], np.array(list("abcd"), dtype=object)[t]


def but(*classes):
    """All models but those of some classes."""
    return pytest.mark.parametrize("model", [m for m in MODELS if not isinstance(m, classes)], ids=repr)


def slack(model, exact=1e-9):
    """How far weights may be from the best: `exact` for direct solutions, else the root of a gap of 1e-12, and some."""
    return exact if model.n_iter_ == 1 and hasattr(model, "residual_") else 1e-5


def assert_same_model(a, b, rtol=1e-9, atol=1e-9):
    """Equal ids, weights and intercepts, those of the shared model included."""
    assert_array_equal(a.tasks_, b.tasks_)
    atol = max(slack(a, atol), slack(b, atol))
    for name in ("coef_", "intercept_", "shared_coef_", "shared_intercept_"):
        assert_allclose(getattr(a, name), getattr(b, name), rtol=rtol, atol=atol, err_msg=name)


# Containers: a table with a task column


def pandas_frame(rows, ids=None, **columns):
    ids = rows.ids if ids is None else ids
    return pd.DataFrame({"u": rows.X[:, 0], "school": ids, "v": rows.X[:, 1], "w": rows.X[:, 2], **columns})


def odd_index(rows):
    frame = pandas_frame(rows)
    frame.index = np.arange(len(frame))[::-1] * 7
    return frame


TABLES = {
    "object array": lambda r: (r.Z, 0),
    "object array, column-major": lambda r: (np.asfortranarray(r.Z), 0),
    "object array, ids last": lambda r: (r.Z[:, [1, 2, 3, 0]], -1),
    "object array, ids inside": lambda r: (r.Z[:, [1, 2, 0, 3]], 2),
    "text array": lambda r: (r.Z.astype(str), 0),
    "lists": lambda r: (r.Z.tolist(), 0),
    "tuple of tuples": lambda r: (tuple(map(tuple, r.Z.tolist())), 0),
    "pandas": lambda r: (pandas_frame(r), "school"),
    "pandas, by position": lambda r: (pandas_frame(r), 1),
    "pandas, from the end": lambda r: (pandas_frame(r), -3),
    "pandas, numpy position": lambda r: (pandas_frame(r), np.int64(1)),
    "pandas, odd index": lambda r: (odd_index(r), "school"),
    "pandas, integer names": lambda r: (pandas_frame(r).set_axis([9, 8, 7, 6], axis=1), 1),
    "pandas category": lambda r: (pandas_frame(r, pd.Categorical(r.ids, categories=list("zdcba"))), "school"),
    "pandas string": lambda r: (pandas_frame(r, pd.array(r.ids, dtype="string[python]")), "school"),
    "pandas string[pyarrow]": lambda r: (pandas_frame(r, pd.array(r.ids, dtype="string[pyarrow]")), "school"),
    "pandas all pyarrow": lambda r: (pandas_frame(r).convert_dtypes(dtype_backend="pyarrow"), "school"),
    "pandas nullable": lambda r: (pandas_frame(r).convert_dtypes(), "school"),
    "polars": lambda r: (pl.from_pandas(pandas_frame(r)), "school"),
    "polars, by position": lambda r: (pl.from_pandas(pandas_frame(r)), -3),
    "polars Categorical": lambda r: (
        pl.from_pandas(pandas_frame(r)).with_columns(pl.col("school").cast(pl.Categorical)),
        "school",
    ),
    "polars Enum": lambda r: (
        pl.from_pandas(pandas_frame(r)).with_columns(pl.col("school").cast(pl.Enum(list("dxcba")))),
        "school",
    ),
    "pyarrow": lambda r: (pa.Table.from_pandas(pandas_frame(r)), "school"),
    "pyarrow, one batch": lambda r: (pa.Table.from_pandas(pandas_frame(r)).to_batches()[0], 1),
    "pyarrow dictionary": lambda r: (pa.Table.from_pandas(pandas_frame(r, pd.Categorical(r.ids))), "school"),
}
NUMBERED_TABLES = {
    "float array": lambda r: (np.column_stack([r.number, r.X]), 0),
    "float array, column-major": lambda r: (np.asfortranarray(np.column_stack([r.X, r.number])), -1),
    "object array of int": lambda r: (np.column_stack([r.number.astype(object), r.X.astype(object)]), 0),
    "pandas": lambda r: (pandas_frame(r, r.number), "school"),
    "pandas int8": lambda r: (pandas_frame(r, r.number.astype(np.int8)), "school"),
    "pandas Int64": lambda r: (pandas_frame(r, pd.array(r.number, dtype="Int64")), "school"),
    "pandas UInt16": lambda r: (pandas_frame(r, pd.array(r.number, dtype="UInt16")), "school"),
    "pandas int64[pyarrow]": lambda r: (pandas_frame(r, pd.array(r.number, dtype="int64[pyarrow]")), "school"),
    "pandas category of int": lambda r: (pandas_frame(r, pd.Categorical(r.number)), "school"),
    "polars UInt32": lambda r: (pl.from_pandas(pandas_frame(r, r.number.astype(np.uint32))), "school"),
    "pyarrow": lambda r: (pa.Table.from_pandas(pandas_frame(r, r.number)), "school"),
}


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_a_table_with_text_ids_is_ids_beside_X(make, rows):
    table, task = make(rows)
    model = MeanRegularizedRegressor(task=task).fit(table, rows.y)
    beside = MeanRegularizedRegressor().fit(rows.X, rows.y, task=rows.ids)
    assert_same_model(model, beside, rtol=1e-12, atol=0)
    assert model.tasks_.tolist() == list("abcd")
    assert {type(task) for task in model.tasks_} == {str}
    assert_allclose(model.predict(table), beside.predict(rows.X, task=rows.ids), rtol=1e-12)
    assert_allclose(model.score(table, rows.y), beside.score(rows.X, rows.y, task=rows.ids), rtol=1e-12)
    assert model.n_features_in_ == 4
    assert model.coef_.shape == (4, 3)


@pytest.mark.parametrize("make", NUMBERED_TABLES.values(), ids=NUMBERED_TABLES)
def test_a_table_with_numbered_ids_is_ids_beside_X(make, rows):
    table, task = make(rows)
    model = MeanRegularizedRegressor(task=task).fit(table, rows.y)
    beside = MeanRegularizedRegressor().fit(rows.X, rows.y, task=rows.number)
    assert_same_model(model, beside, rtol=1e-12, atol=0)
    assert model.tasks_.dtype.kind in "iu"
    assert_allclose(model.predict(table), beside.predict(rows.X, task=rows.number), rtol=1e-12)


@each_model
def test_every_model_reads_the_task_column(model, rows):
    column = clone(model).set_params(task="school").fit(pandas_frame(rows), rows.y)
    assert_same_model(column, clone(model).fit(rows.X, rows.y, task=rows.ids), rtol=1e-12, atol=0)


def test_another_container_may_come_to_predict(rows):
    model = MeanRegularizedRegressor(task="school").fit(pandas_frame(rows), rows.y)
    expected = model.predict(pandas_frame(rows))
    for name in ("pandas category", "pandas all pyarrow", "polars Categorical", "pyarrow"):
        assert_allclose(model.predict(TABLES[name](rows)[0]), expected, rtol=1e-12)


def test_the_names_of_the_features_include_the_task_column(rows):
    model = MeanRegularizedRegressor(task="school").fit(pandas_frame(rows), rows.y)
    assert model.feature_names_in_.tolist() == ["u", "school", "v", "w"]
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(pandas_frame(rows)[["u", "v", "w", "school"]])


# Containers: ids beside X, features, labels

IDS = {
    "list": list,
    "tuple": tuple,
    "text array": lambda ids: ids.astype(str),
    "object array of numpy str": lambda ids: np.array([np.str_(i) for i in ids], dtype=object),
    "one column": lambda ids: ids[:, None],
    "pandas": pd.Series,
    "pandas, other index": lambda ids: pd.Series(ids, index=np.arange(len(ids))[::-1]),
    "pandas category": lambda ids: pd.Series(pd.Categorical(ids, categories=list("dxcba"))),
    "pandas string array": lambda ids: pd.array(ids, dtype="string"),
    "pandas Index": pd.Index,
    "pandas frame": lambda ids: pd.DataFrame({"school": ids}),
    "polars": lambda ids: pl.Series(ids.tolist()),
    "polars Categorical": lambda ids: pl.Series(ids.tolist(), dtype=pl.Categorical),
    "pyarrow array": lambda ids: pa.array(ids.tolist()),
    "pyarrow chunks": lambda ids: pa.chunked_array([ids[:5].tolist(), ids[5:].tolist()]),
}


@pytest.mark.parametrize("container", IDS.values(), ids=IDS)
def test_ids_beside_X_may_come_in_any_container(container, rows):
    ids = container(rows.ids)
    model = MeanRegularizedRegressor().fit(rows.X, rows.y, task=ids)
    assert_same_model(model, MeanRegularizedRegressor().fit(rows.X, rows.y, task=rows.ids), rtol=0, atol=0)
    assert_array_equal(model.predict(rows.X, task=ids), model.predict(rows.X, task=rows.ids))


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


FEATURES = {
    "lists": lambda X: X.tolist(),
    "object array": lambda X: X.astype(object),
    "column-major": np.asfortranarray,
    "every other column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "backwards": lambda X: np.ascontiguousarray(X[::-1])[::-1],
    "read-only": read_only,
    "masked": lambda X: np.ma.array(X, mask=X > 1),  # the mask goes, as in scikit-learn
    "long double": lambda X: X.astype(np.longdouble),
    "pandas": lambda X: pd.DataFrame(X),
    "pandas Float64": lambda X: pd.DataFrame(X, columns=list("uvw")).convert_dtypes(),
    "polars": lambda X: pl.DataFrame(X, schema=["u", "v", "w"]),
    "pyarrow": lambda X: pa.table(dict(zip("uvw", X.T, strict=True))),
}


@pytest.mark.parametrize("container", FEATURES.values(), ids=FEATURES)
def test_features_may_come_in_any_container(container, rows, wide):
    X = container(rows.X)
    model = MeanRegularizedRegressor().fit(X, rows.y, task=rows.ids)
    expected = MeanRegularizedRegressor().fit(rows.X, rows.y, task=rows.ids)
    assert_same_model(model, expected, rtol=1e-12, atol=1e-14)
    assert_allclose(model.predict(X, task=rows.ids), expected.predict(rows.X, task=rows.ids), rtol=1e-12)
    model = MeanRegularizedRegressor().fit(container(wide.X), wide.Y)
    assert_same_model(model, MeanRegularizedRegressor().fit(wide.X, wide.Y), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, bool, np.float16])
def test_small_numbers_are_the_same_in_every_dtype(dtype, rows):
    X = (rows.X > 0).astype(dtype)
    model = MeanRegularizedRegressor().fit(X, rows.y, task=rows.ids)
    assert_same_model(
        model, MeanRegularizedRegressor().fit(X.astype(float), rows.y, task=rows.ids), rtol=1e-5, atol=1e-6
    )


def nullable(Y, dtype):
    return pd.DataFrame({t: pd.array([pd.NA if np.isnan(v) else v for v in Y[:, t]], dtype=dtype) for t in range(4)})


LABELS = {
    "object, None": lambda Y: np.where(np.isnan(Y), None, Y.astype(object)),
    "object, NA": lambda Y: np.where(np.isnan(Y), pd.NA, Y.astype(object)),
    "lists, None": lambda Y: np.where(np.isnan(Y), None, Y.astype(object)).tolist(),
    "column-major": np.asfortranarray,
    "read-only": read_only,
    "float32": lambda Y: Y.astype(np.float32),
    "pandas": lambda Y: pd.DataFrame(Y),
    "pandas Float64": lambda Y: nullable(Y, "Float64"),
    "pandas Int64": lambda Y: nullable(Y, "Int64"),
    "pandas int64[pyarrow]": lambda Y: nullable(Y, "int64[pyarrow]"),
}


@pytest.mark.parametrize("container", LABELS.values(), ids=LABELS)
def test_a_label_is_missing_in_the_way_of_its_container(container, wide):
    Y = np.round(3 * wide.Y)
    model = MeanRegularizedRegressor().fit(wide.X, container(Y))
    assert model.tasks_.tolist() == [0, 1, 2, 3]
    assert_same_model(model, MeanRegularizedRegressor().fit(wide.X, Y), rtol=0, atol=0)
    assert_allclose(model.score(wide.X, container(Y)), model.score(wide.X, Y), rtol=1e-12)


NAMED_LABELS = {
    "pandas": lambda frame: frame,
    "polars, null": lambda frame: pl.from_pandas(frame, nan_to_null=True),
    "pyarrow, null": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
}


@pytest.mark.parametrize("container", NAMED_LABELS.values(), ids=NAMED_LABELS)
def test_the_tasks_are_the_names_of_the_label_columns(container, wide):
    frame = wide.frame[["c", "a", "d", "b"]]
    model = MeanRegularizedRegressor().fit(wide.X, container(frame))
    assert model.tasks_.tolist() == ["c", "a", "d", "b"]
    assert_allclose(model.coef_, MeanRegularizedRegressor().fit(wide.X, frame.to_numpy()).coef_, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.int16, bool, np.float32, object])
def test_one_label_a_row_may_have_any_real_dtype(dtype, rows):
    y = (rows.y > 0).astype(dtype)
    model = MeanRegularizedRegressor().fit(rows.X, y, task=rows.ids)
    assert_same_model(model, MeanRegularizedRegressor().fit(rows.X, y.astype(float), task=rows.ids), rtol=0, atol=0)


# Precision, memory


@each_model
@pytest.mark.parametrize("layout", ["column", "metadata", "outputs", "single"])
def test_float32_in_gives_float32_out(model, layout, rows, wide):
    X, y = rows.X.astype(np.float32), rows.y
    model = without_graph(model) if layout == "single" else clone(model)
    if layout == "column":
        X = pandas_frame(rows).astype({"u": np.float32, "v": np.float32, "w": np.float32})
        model.set_params(task="school")
    elif layout == "outputs":
        X, y = wide.X.astype(np.float32), wide.frame
    ids = {"task": rows.ids} if layout == "metadata" else {}
    model.fit(X, y, **ids)
    assert model.coef_.dtype == model.intercept_.dtype == model.shared_coef_.dtype == np.float32
    assert model.predict(X, **ids).dtype == np.float32


def test_float32_of_arrays_and_pandas_is_kept_and_that_of_others_becomes_float64(rows):
    X = rows.X.astype(np.float32)
    frame = pd.DataFrame(X, columns=list("uvw"))
    for kept in (X, np.asfortranarray(X), sparse.csr_array(X), frame):
        assert MeanRegularizedRegressor().fit(kept, rows.y, task=rows.ids).coef_.dtype == np.float32
    for other in (X.astype(X.dtype.newbyteorder()), pl.from_pandas(frame), pa.table(frame), frame.astype("Float32")):
        assert MeanRegularizedRegressor().fit(other, rows.y, task=rows.ids).coef_.dtype == np.float64


@each_model
def test_float32_rows_are_fitted_in_double_precision(model, rows):
    X = rows.X.astype(np.float32)
    single, double = (clone(model).fit(Z, rows.y, task=rows.ids) for Z in (X, X.astype(np.float64)))
    assert_allclose(single.coef_, double.coef_.astype(np.float32), rtol=1e-6, atol=1e-7)


@each_model
@pytest.mark.parametrize("layout", ["table", "long", "wide"])
def test_the_arrays_of_the_user_stay_as_they_were(model, layout, rows, wide):
    model, X, y, weight, ids = without_graph(model), wide.X, wide.Y, np.arange(15.0), {}
    if layout != "wide":
        order = np.argsort(rows.ids, kind="stable")  # rows in task order are not copied: the chance to damage them
        weight = np.arange(1.0, rows.n + 1)
        X, y = rows.X[order], rows.y[order]
        if layout == "table":
            X = rows.Z[order]
            model.set_params(task=0)
        else:
            ids = {"task": rows.ids[order]}
    passed = [X, y, weight, *ids.values()]
    before = [array.copy() for array in passed]
    model.fit(X, y, weight, **ids)
    model.predict(X, **ids)
    model.path(X, y, weight, alphas=[0.1, 1.0], **ids)
    for array, copy in zip(passed, before, strict=True):
        assert array.flags.writeable
        assert_array_equal(array, copy)


def test_rows_in_task_order_are_not_copied(rows):
    order = np.argsort(rows.number, kind="stable")
    X, y, weight = rows.X[order], rows.y[order], np.ones(rows.n)
    data = check_data(X, y, weight, task=rows.number[order])
    assert np.shares_memory(data.X, X)
    assert not any(array.flags.writeable for array in (data.X, data.y, data.weight))
    assert np.shares_memory(check_data(rows.X, np.column_stack([rows.y, rows.y])).X, rows.X)
    assert np.shares_memory(check_data(rows.X, rows.y).X, rows.X)


def test_rows_in_disorder_are_brought_into_task_order(rows):
    data = check_data(rows.X, rows.y, np.arange(1.0, rows.n + 1), task=rows.ids)
    order = data.rows - data.rows.min()
    assert_array_equal(order, np.argsort(rows.ids, kind="stable"))
    assert_array_equal(data.X, rows.X[order])
    assert_array_equal(data.y, rows.y[order])
    assert_array_equal(data.weight, 1.0 + order)
    assert_array_equal(np.diff(data.starts), [14, 10, 6, 4])


# Layouts


@each_model
@each_task_weight
def test_wide_labels_are_long_rows(model, task_weight, wide):
    model = clone(model).set_params(task_weight=task_weight)
    X, y, ids = as_long(wide.X, wide.Y)
    in_columns, in_rows = clone(model).fit(wide.X, wide.frame), clone(model).fit(X, y, task=ids)
    assert_same_model(in_columns, in_rows)
    _, t = np.nonzero(~np.isnan(wide.Y))
    i, _ = np.nonzero(~np.isnan(wide.Y))
    assert_allclose(in_columns.predict(wide.X)[i, t], in_rows.predict(X, task=ids), rtol=1e-9, atol=slack(in_rows))


@each_model
def test_complete_wide_labels_are_long_rows(model, wide, rng):
    Y = rng.normal(size=wide.Y.shape)
    X, y, ids = as_long(wide.X, Y)
    in_columns = clone(model).fit(wide.X, pd.DataFrame(Y, columns=list("abcd")))
    assert_same_model(in_columns, clone(model).fit(X, y, task=ids))


@each_model
@pytest.mark.parametrize("by", ["row", "label"])
def test_weights_of_wide_labels_are_weights_of_long_rows(model, by, wide, rng):
    i, t = np.nonzero(~np.isnan(wide.Y))
    weight = rng.integers(0, 3, size=wide.Y.shape if by == "label" else len(wide.Y)).astype(float)
    weight[1] = 1.0
    X, y, ids = as_long(wide.X, wide.Y)
    in_rows = clone(model).fit(X, y, weight[i, t] if by == "label" else weight[i], task=ids)
    assert_same_model(clone(model).fit(wide.X, wide.frame, weight), in_rows)


@each_model
def test_a_row_without_labels_changes_nothing(model, wide):
    with_it, without = clone(model).fit(wide.X, wide.frame), clone(model).fit(wide.X[1:], wide.frame[1:])
    assert_same_model(with_it, without, atol=1e-10)


@each_model
def test_one_column_of_labels_is_one_task(model, rows):
    model = without_graph(model)
    flat, column = clone(model).fit(rows.X, rows.y), clone(model).fit(rows.X, rows.y[:, None])
    assert_same_model(flat, column, rtol=1e-12, atol=1e-12)
    assert_same_model(flat, clone(model).fit(rows.X, rows.y, task=np.zeros(rows.n)), rtol=1e-12, atol=1e-12)
    assert flat.coef_.shape == (1, 3)
    assert flat.predict(rows.X).shape == (rows.n,)
    assert column.predict(rows.X).shape == (rows.n, 1)
    assert_allclose(flat.predict(rows.X), column.predict(rows.X)[:, 0], rtol=1e-12)


@pytest.mark.parametrize("model", CENTERED, ids=repr)
@pytest.mark.parametrize("n_features", [3, 50])
def test_the_shared_intercept_is_the_mean_over_tasks(model, n_features, rng):
    rows = make_rows(rng, n_features=n_features)
    model = clone(model).fit(rows.X + 3.0, rows.y, task=rows.ids)
    assert_allclose(model.shared_intercept_, model.intercept_.mean(), rtol=1e-9, atol=1e-9)


def renamed(model, names):
    """The model with its graph over other ids."""
    graph = model.get_params().get("graph")
    edges = graph and {(names[a], names[b]): weight for (a, b), weight in graph.items()}
    return clone(model).set_params(graph=edges) if graph else clone(model)


@but(TemporalRegressor)  # has an order
def test_permuted_tasks_permute_the_coefficients(model, rows):
    names = dict(zip("abcd", "cadb", strict=True))
    before = clone(model).fit(rows.X, rows.y, task=rows.ids)
    after = renamed(model, names).fit(rows.X, rows.y, task=np.array([names[i] for i in rows.ids]))
    at = [list(after.tasks_).index(names[task]) for task in before.tasks_]
    assert_allclose(after.coef_[at], before.coef_, rtol=1e-9, atol=slack(before))
    assert_allclose(after.intercept_[at], before.intercept_, rtol=1e-9, atol=slack(before))
    assert_allclose(after.shared_coef_, before.shared_coef_, rtol=1e-9, atol=slack(before))


@but(TemporalRegressor)  # has an order
def test_permuted_label_columns_permute_the_coefficients(model, wide):
    order = ["c", "a", "d", "b"]
    before, after = clone(model).fit(wide.X, wide.frame), clone(model).fit(wide.X, wide.frame[order])
    at = ["abcd".index(task) for task in order]
    assert_allclose(after.coef_, before.coef_[at], rtol=1e-9, atol=slack(before))
    assert_allclose(after.predict(wide.X), before.predict(wide.X)[:, at], rtol=1e-9, atol=slack(before))


@each_model
def test_the_order_of_the_rows_does_not_matter(model, rows, rng):
    order = rng.permutation(rows.n)
    model, shuffled = clone(model), clone(model)
    model.fit(rows.X, rows.y, task=rows.ids)
    shuffled.fit(rows.X[order], rows.y[order], task=rows.ids[order])
    assert_same_model(model, shuffled)
    predicted = model.predict(rows.X, task=rows.ids)
    assert_array_equal(model.predict(rows.X[order], task=rows.ids[order]), predicted[order])


@each_model
def test_a_prediction_is_the_model_of_its_task(model, rows):
    model = clone(model).fit(rows.X, rows.y, task=rows.ids)
    expected = [x @ model.coef_[t] + model.intercept_[t] for x, t in zip(rows.X, rows.number, strict=True)]
    assert_allclose(model.predict(rows.X, task=rows.ids), expected, rtol=1e-12, atol=1e-12)
    assert_allclose(model.predict(rows.X[:1], task=rows.ids[:1]), expected[:1], rtol=1e-12, atol=1e-12)


# Weights


@each_model
@each_task_weight
def test_a_repeated_row_is_a_row_of_weight_two(model, task_weight, rows, rng):
    model = clone(model).set_params(task_weight=task_weight)
    times = rng.integers(0, 4, size=rows.n)
    weighted = clone(model).fit(rows.X, rows.y, times, task=rows.ids)
    X, y, ids = (np.repeat(array, times, axis=0) for array in (rows.X, rows.y, rows.ids))
    assert_same_model(weighted, clone(model).fit(X, y, task=ids), atol=1e-10)


@each_model
@each_task_weight
def test_scaled_weights_change_nothing(model, task_weight, rows, rng):
    model = clone(model).set_params(task_weight=task_weight)
    weight = rng.uniform(0.1, 2.0, size=rows.n)
    plain = clone(model).fit(rows.X, rows.y, weight, task=rows.ids)
    for factor in (1e-8, 7.0, 1e8):
        scaled = clone(model).fit(rows.X, rows.y, factor * weight, task=rows.ids)
        assert_same_model(plain, scaled, rtol=1e-8, atol=1e-8)


@each_model
def test_equal_weights_are_none(model, rows):
    plain, weighted = (clone(model).fit(rows.X, rows.y, w, task=rows.ids) for w in (None, np.full(rows.n, 3)))
    assert_same_model(plain, weighted, atol=1e-10)


@each_model
def test_a_row_of_weight_zero_is_left_out(model, rows):
    kept = np.arange(rows.n) % 5 != 0
    X, y = np.where(kept[:, None], rows.X, 1e6), np.where(kept, rows.y, -1e6)
    weighted = clone(model).fit(X, y, kept, task=rows.ids)
    assert_same_model(
        weighted, clone(model).fit(rows.X[kept], rows.y[kept], task=rows.ids[kept]), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("model", [m for m in MODELS if "graph" not in m.get_params()], ids=repr)
@each_task_weight
def test_a_task_of_weight_zero_gets_the_shared_model_of_the_others(model, task_weight, rows):
    kept = rows.ids != "b"
    model = clone(model).set_params(task_weight=task_weight)
    weighted = clone(model).fit(rows.X, rows.y, kept, task=rows.ids)
    others = clone(model).fit(rows.X[kept], rows.y[kept], task=rows.ids[kept])
    assert weighted.tasks_.tolist() == list("abcd")
    assert_array_equal(weighted.coef_[1], weighted.shared_coef_)
    assert_allclose(weighted.intercept_[1], weighted.shared_intercept_, rtol=1e-14)
    atol = slack(others, 1e-12)
    assert_allclose(weighted.coef_[[0, 2, 3]], others.coef_, rtol=1e-12, atol=atol)
    assert_allclose(weighted.shared_coef_, others.shared_coef_, rtol=1e-12, atol=atol)
    assert_allclose(weighted.shared_intercept_, others.shared_intercept_, rtol=1e-12, atol=atol)


@pytest.mark.parametrize("model", [m for m in MODELS if "graph" not in m.get_params()], ids=repr)
def test_a_label_column_of_weight_zero_gets_the_shared_model(model, wide):
    weight = np.ones(wide.Y.shape)
    weight[:, 1] = 0.0
    model = clone(model).fit(wide.X, wide.Y, weight)
    assert_array_equal(model.coef_[1], model.shared_coef_)
    assert_allclose(model.intercept_[1], model.shared_intercept_, rtol=1e-14)


@each_model
def test_a_task_of_factor_zero_is_a_task_of_weight_zero(model, rows):
    factor = clone(model).set_params(task_weight={"b": 0}).fit(rows.X, rows.y, task=rows.ids)
    assert_same_model(factor, clone(model).fit(rows.X, rows.y, rows.ids != "b", task=rows.ids), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("model", [TaskGraphRegressor(graph=g) for g in (None, GRAPH)], ids=repr)
def test_a_node_of_weight_zero_is_a_node_without_rows(model, rows):
    kept = rows.ids != "d"
    weighted = clone(model).fit(rows.X, rows.y, kept, task=rows.ids)
    assert weighted.tasks_.tolist() == list("abcd")
    if model.graph is None:
        assert_array_equal(weighted.coef_[3], weighted.shared_coef_)
        assert weighted.intercept_[3] == weighted.shared_intercept_
    else:
        assert_same_model(weighted, clone(model).fit(rows.X[kept], rows.y[kept], task=rows.ids[kept]), rtol=1e-12)


def _array(edges):
    K = np.zeros((4, 4))
    for (s, t), k in edges.items():
        K["abcd".index(s), "abcd".index(t)] = K["abcd".index(t), "abcd".index(s)] = k
    return K


LINKED = {("a", "b"): 1.0, ("b", "c"): 2.0}
APART = {  # graphs that tie "d" to no task with labels, and the same without "d"
    "dict": (LINKED, LINKED),
    "dict with an edge of no weight": (LINKED | {("c", "d"): 0.0}, LINKED),
    "list": ([*LINKED], [*LINKED]),
    "list with other nodes": ([*LINKED, ("d", "x"), ("y", "z")], [*LINKED]),
    "array": (_array(LINKED), _array(LINKED)[:3, :3]),
    "sparse array": (sparse.csr_array(_array(LINKED)), sparse.csr_array(_array(LINKED)[:3, :3])),
}
MIXED = {"a": "squared", "b": "logistic", "c": "poisson", "d": "huber"}
OF_GRAPH = {
    "task graph": lambda graph: TaskGraphRegressor(0.1, graph=graph),
    "task graph, no ridge": lambda graph: TaskGraphRegressor(0.1, graph=graph, alpha_ridge=0.0, normalized=True),
    "task graph, sparse": lambda graph: TaskGraphRegressor(0.1, graph=graph, alpha_l1=0.01),
    "fused": lambda graph: FusedTasksRegressor(0.05, graph=graph),
    "fused, no edges matter": lambda graph: FusedTasksRegressor(0.0, graph=graph, alpha_ridge=0.1),
    "sum": lambda graph: MultiTaskRegressor(SharedPlusSpecific(0.1) + TaskGraph(0.1, graph)),
    "sum, intercepts": lambda graph: MultiTaskRegressor(SharedPlusSpecific(0.1, 0.0, 0.2) + TaskGraph(0.1, graph)),
    "sum of graphs": lambda graph: MultiTaskRegressor(FusedTasks(0.05, graph) + TaskGraph(0.1, graph) + Temporal(0.05)),
    "mixed": lambda graph: MultiTaskRegressor(TaskRelationship(0.1) + TaskGraph(0.1, graph), loss=MIXED),
    "mixed, fused": lambda graph: MultiTaskRegressor(SharedPlusSpecific(0.1) + FusedTasks(0.05, graph), loss=MIXED),
    "classes": lambda graph: TaskGraphClassifier(0.1, graph=graph),
    "fused classes": lambda graph: FusedTasksClassifier(0.05, graph=graph),
    "several classes": lambda graph: TaskGraphClassifier(0.1, graph=graph),
    "several classes of a sum": lambda graph: MultiTaskClassifier(JointFeature(0.05) + FusedTasks(0.05, graph)),
    "classes of a sum": lambda graph: MultiTaskClassifier(TraceNorm(0.05) + TaskGraph(0.1, graph)),
}


CASES = [(case, "list with other nodes") for case in OF_GRAPH]
CASES += [(case, graph) for case in ("sum", "fused classes") for graph in APART if graph != "list with other nodes"]


@pytest.mark.parametrize("layout", ["long", "wide"])
@pytest.mark.parametrize(("case", "graph"), CASES)
def test_a_task_without_labels_that_no_edge_ties_to_one_takes_no_part(case, graph, layout, rng):
    X, Y = rng.normal(size=(20, 3)), rng.integers(3 if "several" in case else 2, size=(20, 4)).astype(float)
    models = []
    for names, edges in zip(["abcd", "abc"], APART[graph], strict=True):
        model = OF_GRAPH[case](edges).set_params(tol=1e-12, max_iter=5000)
        if "mixed" in case:
            model.set_params(loss={name: MIXED[name] for name in names})
        y, weight = Y[:, : len(names)], np.tile([name != "d" for name in names], (20, 1))
        if layout == "wide":
            model.fit(X, pd.DataFrame(y, columns=[*names]), weight)
        else:
            task = np.repeat([*names], 20)
            model.fit(np.tile(X, (len(names), 1)), y.T.ravel(), weight.T.ravel(), task=task)
        models.append(model)
    model, without = models
    assert model.objective_ == pytest.approx(without.objective_, rel=1e-9)
    assert_allclose(model.shared_coef_, without.shared_coef_, rtol=1e-5, atol=1e-6)
    assert_allclose(model.coef_[:3], without.coef_, rtol=1e-5, atol=1e-6)
    assert_allclose(model.intercept_[:3], without.intercept_, rtol=1e-5, atol=1e-6)
    assert model.coef_.any()
    for t in range(3, len(model.tasks_)):
        assert_array_equal(model.coef_[t], model.shared_coef_)
        assert_allclose(model.intercept_[t], model.shared_intercept_, rtol=1e-12)


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_a_path_and_a_warm_start_leave_out_what_no_edge_ties(loss, rows):
    model = MultiTaskRegressor(SharedPlusSpecific(0.1) + TaskGraph(0.1, LINKED), loss=loss, tol=1e-10)
    data = {"X": rows.X, "y": rows.y, "sample_weight": rows.ids != "d", "task": rows.ids}
    path = model.path(**data, alphas=[2.0, 1.0])
    fit = clone(model).fit(**data)
    assert_allclose(path.coefs[1], fit.coef_, atol=1e-6)
    again = clone(fit).set_params(warm_start=True).fit(**data).fit(**data)
    assert_allclose(again.coef_, fit.coef_, atol=1e-6)
    assert_array_equal(again.coef_[3], again.shared_coef_)


# Ids


def test_the_tasks_are_the_sorted_ids_of_all_rows(rows):
    model = IndependentRegressor().fit(rows.X, rows.y, rows.number < 2, task=rows.number - 1)
    assert model.tasks_.tolist() == [-1, 0, 1, 2]
    names = np.array(["é", "Z", "a", "ß"])[rows.number]
    assert IndependentRegressor().fit(rows.X, rows.y, task=names).tasks_.tolist() == ["Z", "a", "ß", "é"]


def test_members_of_an_enumeration_of_text_are_their_text(rows):
    class School(str, Enum):  # noqa: UP042 - a StrEnum is its text by itself
        NORTH = "north"
        SOUTH = "south"

    members = [School.SOUTH if number else School.NORTH for number in rows.number]
    model = IndependentRegressor().fit(rows.X, rows.y, task=members)
    assert model.tasks_.tolist() == ["north", "south"]
    assert_array_equal(model.predict(rows.X[:1], task=["south"]), model.predict(rows.X[:1], task=[School.SOUTH]))


def test_text_that_looks_like_numbers_stays_text(rows):
    names = np.array(["1", "01", "1.0", " 1"])[rows.number]
    assert sorted(MeanRegularizedRegressor().fit(rows.X, rows.y, task=names).tasks_) == [" 1", "01", "1", "1.0"]


@pytest.mark.parametrize("fitted", [np.int64, np.uint64, np.float64, np.float32, np.int8, object])
@pytest.mark.parametrize("asked", [np.int64, np.uint64, np.float64, np.float32, np.int8, object])
def test_a_whole_number_is_one_task_in_every_dtype(fitted, asked, rows):
    model = MeanRegularizedRegressor().fit(rows.X, rows.y, task=rows.number.astype(fitted))
    expected = MeanRegularizedRegressor().fit(rows.X, rows.y, task=rows.number).predict(rows.X, task=rows.number)
    assert_array_equal(model.predict(rows.X, task=rows.number.astype(asked)), expected)


@pytest.mark.parametrize("asked", [np.int64, np.uint64, object])
@pytest.mark.parametrize("fitted", [np.int64, np.uint64, object])
def test_large_neighbouring_integers_are_different_tasks(fitted, asked, rows):
    ids = rows.number + 2**60
    model = MeanRegularizedRegressor().fit(rows.X, rows.y, task=ids.astype(fitted))
    assert model.tasks_.tolist() == [2**60, 2**60 + 1, 2**60 + 2, 2**60 + 3]
    expected = MeanRegularizedRegressor().fit(rows.X, rows.y, task=rows.number).predict(rows.X, task=rows.number)
    assert_array_equal(model.predict(rows.X, task=ids.astype(asked)), expected)


@pytest.mark.parametrize(("dtype", "limit"), [(np.float64, 2**53), (np.float32, 2**24), (np.float16, 2**11)])
def test_floats_too_large_to_be_told_apart_are_refused(dtype, limit, rows):
    ids = (rows.number + limit).astype(dtype)
    with pytest.raises(ValueError, match="told apart"):
        MeanRegularizedRegressor().fit(rows.X, rows.y, task=ids)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_times_of_a_zone_are_those_of_a_series_in_any_container(zone, rows):
    times = pd.Series(pd.Timestamp("2020-01-01", tz=zone) + pd.to_timedelta(rows.number, unit="h"))
    expected = check_data(rows.X, rows.y, task=times).tasks
    for ids in (times.to_list(), times.astype(object), np.array(times.dt.tz_convert("UTC").to_list(), dtype=object)):
        assert_array_equal(check_data(rows.X, rows.y, task=ids).tasks, expected)


@pytest.mark.parametrize("unit", ["D", "s", "ns"])
def test_dates_are_the_same_in_every_unit(unit, rows):
    days = np.array(["2020-01-01", "2020-01-02", "2021-05-05", "1969-01-01"], dtype="datetime64[D]")[rows.number]
    model = MeanRegularizedRegressor().fit(rows.X, rows.y, task=days)
    assert_array_equal(model.tasks_, np.unique(days))
    predicted = model.predict(rows.X, task=days)
    assert_array_equal(model.predict(rows.X, task=days.astype(f"datetime64[{unit}]")), predicted)
    assert_array_equal(model.predict(rows.X, task=pd.Series(days)), predicted)
    assert_array_equal(model.predict(rows.X, task=pl.Series(days)), predicted)


def test_durations_are_the_same_in_every_container(rows):
    """Also where ids are read from a list, as by a graph."""
    hours = np.arange(4).astype("timedelta64[h]")[rows.number]
    expected = TemporalRegressor(1.0).fit(rows.X, rows.y, task=rows.number)
    model = TemporalRegressor(1.0).fit(rows.X, rows.y, task=hours)
    assert_array_equal(model.coef_, expected.coef_)
    assert_array_equal(model.tasks_, np.unique(hours))
    predicted = expected.predict(rows.X, task=rows.number)
    for ids in (
        hours.tolist(),
        list(hours),
        list(pd.to_timedelta(hours)),
        hours.astype("m8[ns]"),
        pl.Series(hours.astype("m8[us]")),
    ):
        assert_array_equal(model.predict(rows.X, task=ids), predicted)


def test_booleans_are_two_tasks(rows):
    ids = rows.number > 1
    expected = MeanRegularizedRegressor().fit(rows.X, rows.y, task=ids.astype(int))
    for container in (ids, ids.tolist(), pd.array(ids, dtype="boolean"), pl.Series(ids)):
        assert_same_model(MeanRegularizedRegressor().fit(rows.X, rows.y, task=container), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("fitted", "asked"),
    [
        ([0, 1, 2, 3], ["0", "1", "2", "3"]),
        (["0", "1", "2", "3"], [0, 1, 2, 3]),
        (["a", "b", "c", "d"], ["A", "B", "C", "D"]),
        (["a", "b", "c", "d"], [b"a", b"b", b"c", b"d"]),
        (["a", "b", "c", "d"], [" a", "b ", "c\n", ""]),
        ([0, 1, 2, 3], list(np.arange(4).astype("datetime64[D]"))),
        (list(np.arange(4).astype("datetime64[D]")), [0, 1, 2, 3]),
        (list(np.arange(4).astype("datetime64[D]")), ["1970-01-01", "1970-01-02", "1970-01-03", "1970-01-04"]),
    ],
    ids=str,
)
def test_an_id_of_another_kind_is_never_mistaken_for_a_task(fitted, asked, rows):
    fitted, asked = (np.array(ids, dtype=object)[rows.number] for ids in (fitted, asked))
    model = MeanRegularizedRegressor().fit(rows.X, rows.y, task=fitted)
    with pytest.raises((ValueError, TypeError), match=r"unknown task|uniformly strings or numbers"):
        model.predict(rows.X, task=asked)


def test_a_scaled_task_column_is_noticed(rows):
    table = np.column_stack([rows.number, rows.X])
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    with pytest.warns(UserWarning, match="was the task column scaled"):
        MeanRegularizedRegressor(task=0).fit(table, rows.y)


@pytest.mark.parametrize("mixed", [[1, "1"], ["a", 2.5], [True, "True"], [("a", 1), ("b", 2)], [b"a", "a"], [1j, 2j]])
def test_ids_of_mixed_kinds_are_refused(mixed, rows):
    ids = np.empty(rows.n, dtype=object)
    ids[:] = [mixed[i % 2] for i in range(rows.n)]
    with pytest.raises(TypeError, match="uniformly strings or numbers"):
        MeanRegularizedRegressor().fit(rows.X, rows.y, task=ids)


MISSING = {
    "text, None": (list("abcd"), None, object),
    "text, nan": (list("abcd"), np.nan, object),
    "text, NA": (list("abcd"), pd.NA, "string"),
    "category": (list("abcd"), None, "category"),
    "number, nan": ([0, 1, 2, 3], np.nan, np.float64),
    "number, None": ([0, 1, 2, 3], None, object),
    "number, NA": ([0, 1, 2, 3], pd.NA, "Int64"),
    "number, pyarrow": ([0, 1, 2, 3], pd.NA, "int64[pyarrow]"),
    "date, NaT": (list(np.arange(4).astype("datetime64[D]")), pd.NaT, "datetime64[ns]"),
    "duration, NaT": (list(np.arange(4).astype("timedelta64[h]")), pd.NaT, "timedelta64[ns]"),
    "duration, object": (list(np.arange(4).astype("timedelta64[h]")), np.timedelta64("NaT"), object),
    "text, NaT": (list("abcd"), np.timedelta64("NaT"), object),
    "number, NaT": ([0, 1, 2, 3], np.timedelta64("NaT"), object),
}


@pytest.mark.parametrize(("names", "nothing", "dtype"), MISSING.values(), ids=MISSING)
def test_a_missing_id_is_an_error_in_fit_and_an_unknown_task_in_predict(names, nothing, dtype, rows):
    known = [names[t] for t in rows.number]
    with_gap = pd.Series([known[0], nothing, *known[2:]], dtype=dtype)
    known = pd.Series(known, dtype=dtype)
    with pytest.raises(ValueError, match=r"1 missing value.* row 1\b"):
        MeanRegularizedRegressor().fit(rows.X, rows.y, task=with_gap)
    with pytest.raises(ValueError, match=r"1 missing value.* row 1\b"):
        MeanRegularizedRegressor(task="school").fit(pandas_frame(rows, with_gap), rows.y)
    model = MeanRegularizedRegressor().fit(rows.X, rows.y, task=known)
    with pytest.raises(ValueError, match=r"1 row\(s\) of an unknown task"):
        model.predict(rows.X, task=with_gap)
    model.set_params(unknown_task="shared")
    predicted = model.predict(rows.X, task=with_gap)
    assert_allclose(predicted[1], rows.X[1] @ model.shared_coef_ + model.shared_intercept_, rtol=1e-12)
    assert_array_equal(np.delete(predicted, 1), np.delete(model.predict(rows.X, task=known), 1))


@pytest.mark.parametrize(("names", "nothing", "dtype"), MISSING.values(), ids=MISSING)
def test_a_missing_id_in_predict_is_called_missing(names, nothing, dtype, rows):
    model = MeanRegularizedRegressor().fit(rows.X, rows.y, task=pd.Series([names[t] for t in rows.number], dtype=dtype))
    with pytest.raises(ValueError, match="unknown task") as caught:
        model.predict(rows.X[:1], task=pd.Series([nothing], dtype=dtype))
    seen = str(caught.value).split("not seen in fit")[0]
    assert re.search(r"(?i)none|nan|nat|<na>|missing", seen)


# Unknown tasks


@each_model
def test_what_happens_to_an_unknown_task_is_settled_at_predict(model, rows):
    model = clone(model).set_params(task="school").fit(pandas_frame(rows), rows.y)
    new = pandas_frame(rows).assign(school=np.where(rows.number == 2, "zz", rows.ids))
    with pytest.raises(
        ValueError, match=r"6 row\(s\) of an unknown task: 'zz'.*unknown_task='shared'.*TaskStratifiedKFold"
    ):
        model.predict(new)
    known = model.predict(pandas_frame(rows))
    predicted = model.set_params(unknown_task="shared").predict(new)
    expected = np.where(rows.number == 2, rows.X @ model.shared_coef_ + model.shared_intercept_, known)
    assert_allclose(predicted, expected, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="unknown task"):
        model.set_params(unknown_task="error").predict(new)


def test_a_misspelt_unknown_task_is_not_taken_for_shared(rows):
    model = MeanRegularizedRegressor().fit(rows.X, rows.y, task=rows.ids).set_params(unknown_task="eror")
    with pytest.raises(ValueError, match="unknown_task"):
        model.predict(rows.X, task=np.full(rows.n, "zz"))


# Hard data: the right answer, or an error that says what to do


@each_model
def test_one_row_a_task_is_enough(model, rng):
    X, y = rng.normal(size=(4, 3)), rng.normal(size=4)
    model = clone(model).fit(X, y, task=list("abcd"))
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.predict(X, task=list("abcd"))).all()
    if type(model) is IndependentRegressor:
        assert_allclose(model.predict(X, task=list("abcd")), y, rtol=1e-12)  # its own intercept is all a task needs


@pytest.mark.parametrize("model", CENTERED, ids=repr)
def test_a_constant_column_gets_no_weight(model, rows):
    model, plain = clone(model), clone(model).fit(rows.X, rows.y, task=rows.ids)
    model.fit(np.column_stack([rows.X, np.full(rows.n, 5.0)]), rows.y, task=rows.ids)
    assert_allclose(model.coef_[:, 3], 0.0, rtol=0, atol=slack(model))
    assert_allclose(model.coef_[:, :3], plain.coef_, rtol=1e-9, atol=slack(model))


@pytest.mark.filterwarnings("ignore:(overflow|invalid value|divide by zero) encountered:RuntimeWarning")
@pytest.mark.parametrize("Estimator", [IndependentRegressor, TraceNormRegressor, L1Regressor, IndependentClassifier])
def test_numbers_that_overflow_are_refused(Estimator, rows):
    y = rows.y > 0 if is_classifier(Estimator()) else rows.y
    X = rows.X.copy()
    for missing in (-np.finfo(float).max, 1e80):  # as some write it
        X[0, 1] = missing
        with pytest.raises(ValueError, match=r"Numbers in X are larger than 1e\+75"):
            Estimator().fit(X, y, task=rows.ids)
    if not is_classifier(Estimator()):
        with pytest.raises(ValueError, match="Squares of the numbers in y"):
            Estimator().fit(rows.X, y * 1e160, task=rows.ids)


@pytest.mark.parametrize("scale", [1e-80, 1e-160, 1e-200])
@pytest.mark.parametrize("Estimator", [L1Regressor, FusedTasksRegressor, FusedTasksClassifier])
def test_numbers_that_vanish_when_squared_are_refused(Estimator, scale, rows):
    y = rows.y > 0 if is_classifier(Estimator()) else rows.y
    with pytest.raises(ValueError, match="All numbers in X are smaller than 1e-75"):
        Estimator().fit(rows.X * scale, y, task=rows.ids)
    with pytest.raises(ValueError, match="All numbers in X are smaller than 1e-75"):
        Estimator().fit(sparse.csr_array(rows.X * scale), y, task=rows.ids)


@pytest.mark.parametrize("size", [1e-160, 1e160])
@pytest.mark.parametrize("Estimator", [L1Regressor, FusedTasksRegressor, FusedTasksClassifier])
def test_weights_are_of_any_size(Estimator, size, rows):
    """What is too large, or too small, is a number in X, not its square times a weight."""
    y = rows.y > 0 if is_classifier(Estimator()) else rows.y
    model = Estimator(tol=1e-12).fit(rows.X, y, np.full(rows.n, size), task=rows.ids)
    assert_same_model(model, Estimator(tol=1e-12).fit(rows.X, y, task=rows.ids), rtol=1e-9)


@but(AdaptiveJointFeatureRegressor)  # would rather have one of them
def test_duplicated_columns_share_the_weight(model, rows):
    model = clone(model).fit(rows.X[:, [0, 1, 2, 0]], rows.y, task=rows.ids)
    assert_allclose(model.coef_[:, 0], model.coef_[:, 3], rtol=1e-9, atol=slack(model))


@each_model
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_one_feature_is_a_feature(model, fit_intercept, rows):
    model = clone(model).set_params(fit_intercept=fit_intercept, task=0)
    assert model.fit(rows.Z[:, :2], rows.y).coef_.shape == (4, 1)
    assert_same_model(model, clone(model).set_params(task=None).fit(rows.X[:, :1], rows.y, task=rows.ids), rtol=1e-12)
    # a zero column beside it says nothing
    padded = np.column_stack([rows.Z[:, :2], np.zeros(rows.n)])
    assert_allclose(clone(model).fit(padded, rows.y).coef_[:, :1], model.coef_, rtol=1e-9, atol=slack(model))


@pytest.mark.parametrize("model", ROTATED, ids=repr)
def test_more_features_than_rows_are_rows_in_a_rotated_space(model, rng):
    """A model that sees only inner products has the same predictions when the features are rotated."""
    rows = make_rows(rng, n_features=50)
    rotation = np.linalg.qr(rng.normal(size=(50, 50)))[0]
    model, rotated = clone(model), clone(model)
    model.fit(rows.X, rows.y, task=rows.ids)
    rotated.fit(rows.X @ rotation, rows.y, task=rows.ids)
    new = rng.normal(size=(rows.n, 50))
    expected = model.predict(new, task=rows.ids)
    atol = 10 * slack(model, 1e-8)
    assert_allclose(rotated.predict(new @ rotation, task=rows.ids), expected, rtol=1e-7, atol=atol)
    assert_allclose(model.shared_coef_ @ rotation, rotated.shared_coef_, rtol=1e-7, atol=atol)


@each_model
def test_more_features_than_rows_in_wide_labels_are_long_rows(model, wide, rng):
    X = rng.normal(size=(15, 40))
    rows, y, ids = as_long(X, wide.Y)
    as_wide, as_rows = clone(model).fit(X, wide.frame), clone(model).fit(rows, y, task=ids)
    if isinstance(model, AdaptiveJointFeatureRegressor):  # what it no longer penalises has many solutions here
        assert_allclose(as_wide.objective_, as_rows.objective_, rtol=1e-2)
        return
    assert_same_model(as_wide, as_rows, rtol=1e-8, atol=1e-8)


@each_model
def test_a_constant_target_is_an_intercept(model, rows):
    model = clone(model).set_params(fit_intercept=True).fit(rows.X, np.full(rows.n, 7.0), task=rows.ids)
    assert_allclose(model.coef_, 0.0, rtol=0, atol=1e-9)
    assert_allclose(model.predict(rows.X, task=rows.ids), 7.0, rtol=1e-9)


Model = MeanRegularizedRegressor
REFUSED = {
    "no y": (lambda r: Model().fit(r.X, None), "requires y to be passed, but the target y is None"),
    "y with NaN": (lambda r: Model().fit(r.X, np.r_[np.nan, r.y[1:]]), "NaN, first in row 0"),
    "y with NaN, ids": (lambda r: Model().fit(r.X, np.r_[r.y[1:], np.nan], task=r.ids), "row 33"),
    "y with inf": (lambda r: Model().fit(r.X, np.r_[np.inf, r.y[1:]]), "y contains infinity"),
    "Y with inf": (
        lambda r: Model().fit(r.X, np.column_stack([r.y, np.r_[-np.inf, r.y[1:]]]).astype(object)),
        "y contains infinity",
    ),
    "y text": (lambda r: Model().fit(r.X, r.ids), "y must be numeric"),
    "y complex": (lambda r: Model().fit(r.X, r.y + 1j), "Complex data not supported"),
    "y of dates": (lambda r: Model().fit(r.X, r.number.astype("M8[D]")), r"numeric. Got datetime64\[D\]"),
    "y of durations, one not there": (
        lambda r: Model().fit(r.X, np.where(r.number > 0, r.number.astype("m8[s]"), np.timedelta64("NaT"))),
        r"numeric. Got timedelta64\[s\]",
    ),
    "y 3-D": (lambda r: Model().fit(r.X, r.y[:, None, None]), r"\(n_samples, n_tasks\)"),
    "y short": (lambda r: Model().fit(r.X, r.y[1:], task=r.ids), r"\[34, 33\]"),
    "a column of Y without label": (
        lambda r: Model().fit(r.X, pd.DataFrame({"p": r.y, "q": np.nan})),
        "task 'q': no label to learn from",
    ),
    "Y and ids": (lambda r: Model().fit(r.X, np.c_[r.y, r.y], task=r.ids), r"shape \(34, 2\)"),
    "Y and task column": (
        lambda r: Model(task="school").fit(pandas_frame(r), np.c_[r.y, r.y]),
        r"one task and y has shape \(n_samples,\)",
    ),
    "ids short": (lambda r: Model().fit(r.X, r.y, task=r.ids[1:]), r"33 ids for 34 rows"),
    "ids 2-D": (lambda r: Model().fit(r.X, r.y, task=np.c_[r.ids, r.ids]), "one id per row"),
    "ids a name": (lambda r: Model().fit(r.X, r.y, task="school"), "one id per row"),
    "ids a name of text": (
        lambda r: Model().fit(pandas_frame(r), r.y, task="school"),
        r"constructor: MeanRegularizedRegressor\(task='school'\)",
    ),
    "ids beyond 64 bits": (
        lambda r: Model().fit(r.X, r.y, task=[2**64 + int(k) for k in r.number]),
        "integers of more than 64 bits, such as 18446744073709551619",
    ),
    "ids twice": (lambda r: Model(task="school").fit(pandas_frame(r), r.y, task=r.ids), "given twice"),
    "ids twice in predict": (
        lambda r: Model(task="school").fit(pandas_frame(r), r.y).predict(pandas_frame(r), task=r.ids),
        "given twice",
    ),
    "ids infinite": (lambda r: Model(task=0).fit(np.c_[r.number / 0.0, r.X], r.y), "task|ids"),
    "ids forgotten in predict": (
        lambda r: Model().fit(r.X, r.y, task=r.ids).predict(r.X),
        r"predict\(X, task=...\)",
    ),
    "column forgotten in predict": (
        lambda r: Model(task=0).fit(np.c_[r.number, r.X], r.y).set_params(task=None).predict(np.c_[r.number, r.X]),
        r"task ids in a column of X.*set_params\(task=0\)",
    ),
    "another column in predict": (
        lambda r: (
            Model(task=0)
            .fit(np.c_[r.number, r.number, r.X], r.y)
            .set_params(task=1)
            .predict(np.c_[r.number, r.number, r.X])
        ),
        r"changed since fit, to 1, .*set_params\(task=0\)",
    ),
    "a column in predict only": (
        lambda r: Model().fit(np.c_[r.number, r.X], r.y).set_params(task=0).predict(np.c_[r.number, r.X]),
        r"changed since fit, to 0, .*set_params\(task=None\)",
    ),
    "ids forgotten in score": (
        lambda r: Model().fit(r.X, r.y, task=r.ids).score(r.X, r.y),
        r"predict\(X, task=...\)",
    ),
    "ids not needed in predict": (
        lambda r: Model().fit(r.X, r.y).predict(r.X, task=r.ids),
        "fitted without task ids",
    ),
    "ids for outputs in predict": (
        lambda r: Model().fit(r.X, np.c_[r.y, r.y]).predict(r.X, task=r.ids),
        "fitted without task ids",
    ),
    "ids short in predict": (
        lambda r: Model().fit(r.X, r.y, task=r.ids).predict(r.X, task=r.ids[1:]),
        r"33 ids for 34 rows",
    ),
    "weights short": (lambda r: Model().fit(r.X, r.y, r.y[1:] ** 2), r"sample_weight.*\(34,\)"),
    "weights a number": (lambda r: Model().fit(r.X, r.y, 2.0), r"sample_weight must have shape \(34,\)\. Got .* \(\)"),
    "weights none": (lambda r: Model().fit(r.X, r.y, []), r"sample_weight must have shape \(34,\)\. Got .* \(0,\)"),
    "weights 2-D": (lambda r: Model().fit(r.X, r.y, np.ones((34, 1))), r"sample_weight.*\(34,\)"),
    "weights of labels": (
        lambda r: Model().fit(r.X, np.c_[r.y, r.y], np.ones((34, 3))),
        r"sample_weight must have shape \(34,\) or \(34, 2\)",
    ),
    "weights in a dict": (
        lambda r: Model().fit(r.X, np.c_[r.y, r.y], {"a": np.ones(34)}),
        r"sample_weight must have shape \(34,\) or \(34, 2\); a dict of weights goes with a dict X",
    ),
    "weights of labels in another order": (
        lambda r: Model().fit(
            r.X, pd.DataFrame({"a": r.y, "b": r.y}), pd.DataFrame({"b": np.ones(34), "a": np.ones(34)})
        ),
        "columns of sample_weight should be in the order of those of y, 'a', 'b'. Got 'b', 'a'",
    ),
    "weights negative": (lambda r: Model().fit(r.X, r.y, -(r.y**2)), "[Nn]egative.*sample_weight"),
    "weights zero": (lambda r: Model().fit(r.X, r.y, 0 * r.y), "weight.*zero"),
    "weights zero on labels": (
        lambda r: Model().fit(
            r.X, np.c_[np.r_[r.y[:2], np.full(32, np.nan)], np.r_[r.y[:2], np.full(32, np.nan)]], np.arange(34) > 1
        ),
        "weight.*zero",
    ),
    "weights NaN": (lambda r: Model().fit(r.X, r.y, r.y * np.nan), "sample_weight contains NaN"),
    "weights inf": (lambda r: Model().fit(r.X, r.y, np.full(34, np.inf)), "sample_weight.*infinity"),
    "factors zero": (
        lambda r: Model(task_weight=dict.fromkeys("abcd", 0)).fit(r.X, r.y, task=r.ids),
        "task_weight is zero for every task",
    ),
    "factor of an unknown task": (
        lambda r: Model(task_weight={"z": 2}).fit(r.X, r.y, task=r.ids),
        "task_weight.*'z'.*'a', 'b'",
    ),
    "factor of an id of another type": (
        lambda r: Model(task_weight={"1": 2}).fit(r.X, r.y, task=r.number),
        "task_weight.*'1'",
    ),
    "X with NaN": (lambda r: Model(task=0).fit(np.c_[r.ids, r.X * np.nan], r.y), "X contains NaN"),
    "X with NaN under a mask": (
        lambda r: Model().fit(np.ma.masked_invalid(np.where(r.X > 1, np.nan, r.X)), r.y, task=r.ids),
        "X contains NaN",
    ),
    "X with inf": (
        lambda r: Model(task="school").fit(pandas_frame(r).assign(u=-np.inf), r.y),
        "X contains infinity",
    ),
    "X with NaN in predict": (
        lambda r: Model(task=0).fit(r.Z, r.y).predict(np.c_[r.ids, r.X * np.nan]),
        "X contains NaN",
    ),
    "X with text": (
        lambda r: Model(task="school").fit(pandas_frame(r).assign(u="high"), r.y),
        "could not convert string to float",
    ),
    "X complex": (lambda r: Model(task=0).fit(np.c_[r.number, r.X * 1j], r.y), "Complex data"),
    "X 1-D": (lambda r: Model(task=0).fit(r.X[:, 0], r.y), "Expected 2D array, got 1D"),
    "X 1-D in predict": (
        lambda r: Model(task="school").fit(pandas_frame(r), r.y).predict(pandas_frame(r).iloc[0]),
        "Expected a 2-dimensional container",
    ),
    "X 1-D, sparse": (lambda r: Model(task=0).fit(sparse.coo_array(r.X[:, 0]), r.y), "Expected 2D input"),
    "X 3-D": (lambda r: Model(task=0).fit(r.X[:, :, None], r.y), "dim 3"),
    "X without rows": (lambda r: Model(task=0).fit(r.Z[:0], r.y[:0]), r"0 sample\(s\)"),
    "X of ids only": (
        lambda r: Model(task=0).fit(r.number[:, None], r.y),
        r"Found array with 0 feature\(s\).*besides the task column",
    ),
    "X with fewer columns in predict": (
        lambda r: Model(task=0).fit(r.Z, r.y).predict(r.Z[:, :3]),
        "X has 3 features, but MeanRegularizedRegressor is expecting 4",
    ),
    "position too large": (lambda r: Model(task=4).fit(pandas_frame(r), r.y), "position 4.*4 column"),
    "position too small": (lambda r: Model(task=-5).fit(r.Z, r.y), "position -5.*4 column"),
    "no such column": (
        lambda r: Model(task="skool").fit(pandas_frame(r), r.y),
        "'skool' is not in X.*'school'",
    ),
    "name prefixed": (
        lambda r: Model(task="school").fit(pandas_frame(r).add_prefix("remainder__"), r.y),
        "task='remainder__school'.*verbose_feature_names_out=False",
    ),
    "names of several levels": (
        lambda r: Model(task="school").fit(pd.concat({"pupil": pandas_frame(r)}, axis=1), r.y),
        r"'school' is not in X.*\('pupil', 'school'\)",
    ),
    "name of the index": (
        lambda r: Model(task="school").fit(pandas_frame(r).set_index("school", append=True), r.y),
        r"'school' is not in X.*index.*X\.reset_index\('school'\)",
    ),
    "name one-hot encoded": (
        lambda r: Model(task="school").fit(pd.get_dummies(pandas_frame(r)), r.y),
        "one-hot encoded.*'school_a'",
    ),
    "name without names": (
        lambda r: Model(task="school").fit(r.Z, r.y),
        r"set_output\(transform='pandas'\).*integer position",
    ),
    "names lost before predict": (
        lambda r: Model(task="school").fit(pandas_frame(r), r.y).predict(pandas_frame(r).to_numpy()),
        r"set_output\(transform='pandas'\)",
    ),
    "names twice": (
        lambda r: Model(task="school").fit(pandas_frame(r).set_axis(["u", "school", "v", "u"], axis=1), r.y),
        "unique column names",
    ),
    "label names twice": (
        lambda r: Model().fit(r.X, pd.DataFrame(np.c_[r.y, r.y], columns=["p", "p"])),
        "unique column names",
    ),
}


@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_meant_is_refused_with_advice(call, message, rows):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        call(rows)


@pytest.mark.parametrize("call", [Model(task="school").fit, Model().fit, Model(task=0).path])
def test_a_dict_of_tasks_is_for_networks(call, rows):
    with pytest.raises(TypeError, match=r"X must be an array or data frame; got a dict\. Only networks"):
        call({"a": (rows.X, rows.y)}, rows.y)


@pytest.mark.parametrize("Estimator", [MeanRegularizedRegressor, MeanRegularizedClassifier])
@pytest.mark.parametrize("task", ["u", 0, None])
def test_a_lazy_frame_is_to_be_collected(Estimator, task, rows):
    lazy = pl.DataFrame(rows.X, schema=["u", "v", "w"]).lazy()
    for call in (Estimator(task=task).fit, Estimator(task=task).path):
        with pytest.raises(TypeError, match=r"lazy data frame holds no rows: collect it first\. Got a LazyFrame"):
            call(lazy, rows.y > 0)
    with pytest.raises(TypeError, match="lazy data frame holds no rows"):
        Estimator().fit(rows.X, lazy)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_column_of_ids_that_nobody_named_is_asked_for(library, rows):
    table = pandas_frame(rows) if library == "pandas" else pl.from_pandas(pandas_frame(rows))
    with pytest.raises(ValueError, match="could not convert string to float") as refused:
        Model().fit(table, rows.y)
    assert refused.value.__notes__ == [
        "If a column of X holds the task ids, name it: MeanRegularizedRegressor(task=...)."
    ]
    with pytest.raises(ValueError, match="could not convert string to float") as refused:
        Model().fit(table, rows.y, task=rows.ids)
    assert not hasattr(refused.value, "__notes__")


def test_sparse_rows_are_refused_with_advice(rows):
    with pytest.raises(TypeError, match="does not take sparse X"):
        ReducedRankRegressor(task=0).fit(sparse.csr_array(np.c_[rows.number, rows.X]), rows.y)


def test_names_of_mixed_type_are_refused(rows):
    with pytest.raises(TypeError, match="string names"):
        MeanRegularizedRegressor(task=1).fit(pandas_frame(rows).set_axis([0, "school", 1, 2], axis=1), rows.y)


def test_a_column_vector_of_labels_is_flattened_with_a_warning(rows):
    with pytest.warns(DataConversionWarning, match="column-vector"):
        model = MeanRegularizedRegressor().fit(rows.X, rows.y[:, None], task=rows.ids)
    assert model.predict(rows.X, task=rows.ids).shape == (rows.n,)
    assert_same_model(model, MeanRegularizedRegressor().fit(rows.X, rows.y, task=rows.ids), rtol=0, atol=0)


@pytest.mark.parametrize(
    "warns",
    [
        lambda rows: MeanRegularizedRegressor().fit(rows.X, rows.y[:, None], task=rows.ids),
        lambda rows: TraceNormRegressor().alpha_max(rows.X, rows.y[:, None], task=rows.ids),
        lambda rows: MeanRegularizedClassifier().fit(rows.X, rows.y[:, None] > 0, task=rows.ids),
        lambda rows: MultiTaskMLPRegressor(max_iter=1).partial_fit(rows.X, rows.y[:, None], task=rows.ids),
        lambda rows: MeanRegularizedRegressor().fit(rows.X, rows.y, task=rows.number + 0.5),
        lambda rows: TraceNormRegressor(1e-4, max_iter=1, tol=0).path(rows.X, rows.y, task=rows.ids, alphas=[1e-4]),
    ],
)
def test_a_warning_points_to_the_line_of_the_user(warns, rows):
    with pytest.warns((DataConversionWarning, UserWarning)) as caught:
        warns(rows)
    assert {warning.filename for warning in caught} == {__file__}


def test_dates_of_any_unit_are_dates():
    """Of nanoseconds, pandas' own unit, lists would hold integers."""
    days = np.repeat(np.array(["2020-01-01", "2021-01-01"], "M8[D]"), 3)
    for unit in ("us", "ns"):
        tasks, codes = number_tasks(days.astype(f"M8[{unit}]"))
        assert [task.year for task in tasks.tolist()] == [2020, 2021]
        assert_array_equal(find_tasks(days.astype("M8[ns]"), tasks, "error"), codes)
    apart = np.array(["2020-01-01T00:00:00.000000001", "2020-01-01T00:00:00.000000002"], "M8[ns]")
    lists = list(apart), list(pd.DatetimeIndex(apart)), list(apart - apart[0]), list(pd.to_timedelta([5, 6]))
    for ids in (apart, *lists):
        assert len(number_tasks(ids)[0]) == 2
    assert number_tasks([datetime(1, 1, 1), pd.Timestamp(days[0])])[0].tolist()[0] == datetime(1, 1, 1)


@pytest.mark.parametrize(
    ("task", "message"),
    [(3, "task must hold one id per row; got 3"), (["a"] * 4, "got 4 ids for 6 rows"), ([time(3)] * 6, "or dates")],
    ids=str,
)
def test_what_is_no_id_for_each_row_is_named(task, message):
    with pytest.raises((ValueError, TypeError), match=message):
        check_data(np.eye(6), np.arange(6.0), task=task)


@pytest.mark.parametrize("task", [dict.fromkeys(range(1000), "a"), (name for name in "aabb"), ["a"] * 1000])
def test_a_long_value_that_is_no_task_is_not_printed_in_full(task):
    X, y, start = np.eye(6), np.arange(6.0), re.escape(repr(task)[:40])
    calls = [lambda: Model(task=task).fit(X, y), lambda: TaskWise(task=task).fit(X)]
    if not isinstance(task, list):
        calls += [lambda: Model().fit(X, y, task=task), lambda: MultiTaskMLP({0: "regression"}).fit(X, y, task=task)]
    for call in calls:
        with pytest.raises(ValueError, match=f"task.* must .*{start}") as refused:
            call()
        assert len(str(refused.value)) < 400
        assert "(task=" not in str(refused.value)


@each_model
def test_the_score_of_wide_labels_is_the_mean_over_their_tasks(model, wide):
    model = clone(model).fit(wide.X, wide.frame)
    predicted = model.predict(wide.X)
    Y = wide.Y.copy()
    Y[1:, 3] = np.nan  # a single label has no R²
    scores = [r2_score(Y[m, t], predicted[m, t]) for t in range(3) for m in [~np.isnan(Y[:, t])]]
    assert_allclose(model.score(wide.X, Y), np.mean(scores), rtol=1e-12)
    with pytest.warns(UndefinedMetricWarning, match="not defined on any task"):
        assert np.isnan(model.score(wide.X, np.where(np.arange(15)[:, None] == 1, Y, np.nan)))


def test_a_label_of_weight_zero_does_not_count_in_the_score(rows):
    model = MeanRegularizedRegressor().fit(rows.X, rows.y, task=rows.ids)
    weight = (np.arange(rows.n) == 3).astype(float)  # leaves a single label, which has no R²
    with pytest.warns(UndefinedMetricWarning, match="less than two"):
        assert np.isnan(model.score(rows.X, rows.y, weight, task=rows.ids))
    with pytest.raises(ValueError, match="Negative values in sample_weight"):
        model.score(rows.X, rows.y, -np.ones(rows.n), task=rows.ids)


@pytest.mark.parametrize("n_codes", [1, 128, 129, 32768, 32769])
def test_rows_are_told_by_code_whatever_the_number_of_codes(n_codes):
    """Up to the largest code of 8 and 16 bits, and one more; rows without a code come first."""
    codes = np.array([n_codes - 1, -1, 0, n_codes - 1, -1])
    groups = rows_by_code(codes, n_codes)
    assert len(groups) == n_codes + 1
    for rows, code in ((groups[0], -1), (groups[1], 0), (groups[-1], n_codes - 1)):
        assert_array_equal(rows, np.flatnonzero(codes == code))
