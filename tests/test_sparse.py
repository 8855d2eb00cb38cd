"""A sparse X means what the dense one means, to rounding, and stays sparse."""

import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils import get_tags

from skmtl import (
    IndependentClassifier,
    IndependentRegressor,
    JointFeatureClassifier,
    JointFeatureRegressor,
    L1Regressor,
    LatentBasisClassifier,
    LatentBasisRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    MultiTaskClassifier,
    MultiTaskRegressor,
    ReducedRankClassifier,
    ReducedRankRegressor,
    RobustLowRankClassifier,
    TraceNormClassifier,
    TraceNormRegressor,
    _problem,
    all_estimators,
)
from skmtl.metrics import make_task_scorer, task_scores
from skmtl.moments import TaskMoments
from skmtl.penalties import L1, FusedTasks, LatentBasis, ReducedRank, TraceNorm
from skmtl.preprocessing import TaskWise, add_task, to_long
from skmtl.tasks import check_data, take_task_column
from tests.oracles import INSTANCES, long_table, outputs
from tests.test_moments import _rtol, assert_same_sums, shifted, weighted


def thinned(instance, rng, share=0.7):
    """Most numbers of X are zero, some rows and a column entirely."""
    X = instance.X.copy()
    X[rng.random(X.shape) < share] = 0.0
    X[rng.random(len(X)) < 0.1] = 0.0
    if X.shape[1] > 2:
        X[:, 1] = 0.0
    instance.X = X
    return instance


THIN = {
    "long, most tasks narrow": lambda rng: thinned(long_table(rng, [6, 40, 6, 3, 25, 40, 1], 9), rng),
    "long, all tasks wide": lambda rng: thinned(long_table(rng, [6, 12, 6, 3, 1], 30), rng),
    "long, weights": lambda rng: weighted(thinned(long_table(rng, [6, 40, 6, 3, 25, 40, 1], 9), rng), rng),
    "shared": lambda rng: thinned(outputs(rng, 40, 7, 4), rng),
    "shared, wide": lambda rng: thinned(outputs(rng, 20, 50, 4), rng),
    "shared, weights": lambda rng: weighted(thinned(outputs(rng, 20, 50, 4), rng), rng),
    "shared, missing labels": lambda rng: thinned(outputs(rng, 40, 7, 5, missing=0.3), rng),
    "shared, few labels": lambda rng: thinned(outputs(rng, 40, 30, 5, missing=0.8), rng),
    "shared, a weight for each label": lambda rng: weighted(thinned(outputs(rng, 30, 12, 3), rng), rng, (30, 3)),
    "one task": lambda rng: thinned(long_table(rng, [30], 6), rng),
    "far, long": lambda rng: shifted(long_table(rng, [40, 1, 25, 3, 25], 3), rng),
    "far, wide": lambda rng: shifted(long_table(rng, [4, 1, 6, 4], 9), rng),
    "far, shared": lambda rng: shifted(outputs(rng, 40, 4, 3), rng),
    "far, shared, missing labels": lambda rng: shifted(outputs(rng, 40, 4, 3, missing=0.4), rng),
    "far, shared, wide": lambda rng: weighted(shifted(outputs(rng, 8, 12, 3), rng), rng),
}
ALL = INSTANCES | THIN
each_layout = pytest.mark.parametrize("instance", ALL)
each_thin = pytest.mark.parametrize("instance", THIN)


def both(instance):
    """The data of X as it is, and of X as a CSR array."""
    rest = (instance.y, instance.sample_weight)
    return [check_data(X, *rest, task=instance.task) for X in (instance.X, sparse.csr_array(instance.X))]


def written_out(data):
    return replace(data, X=data.X.toarray())


def assert_same_data(got, want):
    assert sparse.issparse(got.X)
    assert got.X.format == "csr"
    assert got.X.has_canonical_format
    assert got.X.dtype == np.float64
    got = written_out(got)
    for name in ("X", "y", "weight", "tasks", "starts"):
        assert_array_equal(getattr(got, name), getattr(want, name), err_msg=name)
    assert_array_equal(got.rows - got.rows.min(), want.rows - want.rows.min())
    assert (got.source, got.task_position, got.dtype) == (want.source, want.task_position, want.dtype)


# ------------------------------------------------------------------------------------------------------------- the data


@each_layout
def test_sparse_rows_are_the_dense_ones(instance, rng):
    dense, thin = both(ALL[instance](rng))
    assert_same_data(thin, dense)


@each_thin
def test_parts_of_sparse_rows_are_those_of_dense_ones(instance, rng):
    dense, thin = both(THIN[instance](rng))
    kept = rng.random(len(dense.y)) < 0.6
    kept[0] = True
    tasks = dense.tasks[::-1]
    assert_same_data(thin.take(kept), dense.take(kept))
    assert_same_data(thin.reindex(tasks), dense.reindex(tasks))
    parts = [(data.take(kept), data.take(~kept)) for data in (thin, dense)]
    assert_same_data(parts[0][0] + parts[0][1], parts[1][0] + parts[1][1])
    for data, (part, _) in zip((thin, dense), parts, strict=True):
        assert_array_equal(data.drop(part.rows).rows, data.rows[~kept])
    for t in range(dense.n_tasks):
        blocks = thin.block(t), dense.block(t)
        assert_array_equal(blocks[0][0].toarray(), blocks[1][0])
        for mine, other in zip(blocks[0][1:], blocks[1][1:], strict=True):
            assert_array_equal(mine, other)


FORMATS = {
    "csr_array": sparse.csr_array,
    "csr_matrix": sparse.csr_matrix,
    "csc_array": sparse.csc_array,
    "csc_matrix": sparse.csc_matrix,
    "coo_array": sparse.coo_array,
    "lil_array": sparse.lil_array,
    "dok_array": sparse.dok_array,
    "bsr_array": sparse.bsr_array,
    "dia_array": sparse.dia_array,
    "int64 indices": lambda X: with_indices(sparse.csr_array(X), np.int64),
    "integers": lambda X: sparse.csr_array(X).astype(np.int64),
    "booleans": lambda X: sparse.csr_array(X).astype(bool),
    "float32": lambda X: sparse.csr_array(X).astype(np.float32),
    "explicit zeros": lambda X: with_zeros(X),
    "duplicate entries": lambda X: with_duplicates(X),
    "unsorted indices": lambda X: with_unsorted(X),
}


def with_indices(X, dtype):
    X.indices, X.indptr = X.indices.astype(dtype), X.indptr.astype(dtype)
    return X


def with_zeros(X):
    full = sparse.csr_array(np.ones_like(X))
    full.data[:] = X.ravel()
    return full


def with_duplicates(X):
    """Every number as two halves, which stand apart."""
    i, j = np.nonzero(X)
    half = X[i, j] / 2
    order = np.lexsort([np.tile(np.arange(len(i)), 2), np.repeat([0, 1], len(i)), np.tile(i, 2)])
    indptr = np.concatenate([[0], np.cumsum(2 * np.bincount(i, minlength=len(X)))])
    return sparse.csr_array((np.tile(half, 2)[order], np.tile(j, 2)[order], indptr), shape=X.shape)


def with_unsorted(X):
    X = sparse.csr_array(X)
    for a, b in zip(X.indptr, X.indptr[1:], strict=False):
        X.data[a:b], X.indices[a:b] = X.data[a:b][::-1].copy(), X.indices[a:b][::-1].copy()
    X.has_sorted_indices = False
    return X


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("position", [None, 2])
def test_every_form_of_sparse_rows_is_read_and_none_is_changed(form, position, rng):
    X = rng.integers(-2, 3, size=(20, 5)).astype(float) * (rng.random((20, 5)) < 0.6)
    X[4] = 0.0
    ids = rng.integers(3, size=20)
    y = rng.normal(size=20)
    table = X if position is None else np.insert(X, position, ids, axis=1)
    if form == "booleans":
        X, table, ids = X != 0, table != 0, (ids if position is None else ids != 0)
    given = FORMATS[form](table)
    before = given.copy()
    how = {"task": ids} if position is None else {"task_column": position}
    got, want = check_data(given, y, **how), check_data(X.astype(float), y, task=ids)
    assert_array_equal(got.X.toarray(), want.X)
    assert_array_equal(got.tasks, want.tasks)
    assert_array_equal(got.starts, want.starts)
    assert got.dtype == (np.float32 if form == "float32" else np.float64)
    if form in ("csr_array", "explicit zeros", "duplicate entries", "unsorted indices"):
        for name in ("data", "indices", "indptr"):
            assert_array_equal(getattr(given, name), getattr(before, name))
            assert getattr(given, name).flags.writeable


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_array])
def test_what_is_no_number_is_refused_in_a_sparse_x_too(bad, form):
    X = np.eye(4)
    X[2, 2] = bad
    with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
        check_data(form(X), np.arange(4.0))


@pytest.mark.parametrize("position", [0, 2, -1])
@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_array, sparse.coo_array])
def test_the_task_column_of_a_sparse_x_is_found_by_position(form, position, rng):
    X = rng.integers(3, size=(6, 4)).astype(float)
    rest, ids, at = take_task_column(form(X), position)
    assert sparse.issparse(rest)
    assert at == position % 4
    assert_array_equal(ids, X[:, position])
    assert_array_equal(rest.toarray(), np.delete(X, at, axis=1))


def test_a_name_is_no_column_of_a_sparse_x():
    with pytest.raises(ValueError, match="no column names"):
        check_data(sparse.eye_array(4), np.arange(4.0), task_column="school")


def test_labels_and_weights_are_dense():
    X, y = sparse.eye_array(4, format="csr"), np.arange(4.0)
    with pytest.raises(TypeError, match="Sparse data was passed for y"):
        check_data(X, sparse.csr_array(y[:, None]))
    with pytest.raises(TypeError, match="Sparse data was passed for sample_weight"):
        check_data(X, y, sparse.csr_array(y[:, None]))


# ---------------------------------------------------------------------------------------------------------- the moments


@each_layout
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_sums_of_sparse_rows_are_those_of_dense_ones(instance, fit_intercept, rng):
    dense, thin = (TaskMoments.from_data(d, fit_intercept=fit_intercept) for d in both(ALL[instance](rng)))
    centred = TaskMoments.from_data(dense.data) if fit_intercept else dense
    assert_same_sums(thin, dense, 1e-10, unit=centred)
    W = rng.normal(size=dense.xy.shape)
    scale = np.abs(dense.times_gram(np.abs(W))).max() + 1.0
    assert_allclose(thin.times_gram(W), dense.times_gram(W), rtol=0, atol=1e-10 * scale)


@each_layout
def test_kept_sparse_rows_answer_as_dense_ones(instance, rng):
    dense, thin = both(ALL[instance](rng))
    want, got = TaskMoments.from_data(dense), TaskMoments.from_data(thin, keep_rows=True)
    assert not len(got.gram)
    assert_same_sums(got, want, 1e-10)
    assert sum(len(rows.tasks) for rows in got.rows) == (want.n_rows > 0).sum()
    at = rng.permutation(want.n_features)[: max(1, want.n_features // 2)]
    for rows in got.rows:
        assert_rows_agree(rows, at, rng)


def assert_rows_agree(rows, at, rng):
    """All that rows answer, as the dense array that they say they are would."""
    A = rows.A
    everyone = np.broadcast_to(A, (len(rows.tasks), *A.shape[1:]))
    length = np.sqrt(np.einsum("trj,trj->tj", A, A))
    R = rng.normal(size=rows.v.shape)
    R -= R.mean(axis=1, keepdims=True) if rows.root is None else 0.0
    W = rng.normal(size=(len(rows.tasks), A.shape[2])) / np.maximum(length, 1e-9)
    assert_allclose(rows.margins(W), np.einsum("trj,tj->tr", everyone, W), rtol=0, atol=1e-8)
    assert_allclose(
        rows.products(R) / np.maximum(length, 1e-9),
        np.einsum("trj,tr->tj", everyone, R) / np.maximum(length, 1e-9),
        rtol=0,
        atol=1e-8,
    )
    some = rows.take(at)
    for features in (at, at[:0]):
        assert_array_equal(rows.columns(features), A[:, :, features])
    assert_array_equal(some.A, A[:, :, at])
    unit = np.maximum(length, 1e-9)[:, :, None] * np.maximum(length, 1e-9)[:, None, at]
    assert_allclose(rows.cross(some) / unit, A.swapaxes(1, 2) @ A[:, :, at] / unit, rtol=0, atol=1e-10)
    mine = rng.random(len(rows.tasks)) < 0.5
    mine[0] = True
    few = rows.only(mine, rows.tasks[mine])
    assert_array_equal(few.A, A if len(A) == 1 else A[mine])
    assert_array_equal(few.v, rows.v[mine])


@each_thin
@pytest.mark.parametrize("sign", ["sum", "difference"])
def test_sparse_moments_add_and_subtract(instance, sign, rng):
    _, thin = both(THIN[instance](rng))
    kept = rng.random(len(thin.y)) < 0.6
    whole, a, b = (TaskMoments.from_data(d) for d in (thin, thin.take(kept), thin.take(~kept)))
    got, want = (a + b, whole) if sign == "sum" else (whole - b, a)
    assert_same_sums(got, want, _rtol(instance), unit=whole)


# ------------------------------------------------------------------------------------------------------- the estimators


def takes_sparse(Estimator):
    return get_tags(Estimator()).input_tags.sparse


KINDS = [E for kind in ("regressor", "classifier") for E in all_estimators(kind)]
each_taker = pytest.mark.parametrize("Estimator", [E for E in KINDS if takes_sparse(E)], ids=lambda E: E.__name__)
REFUSERS = [LatentBasisRegressor, ReducedRankRegressor, LatentBasisClassifier, ReducedRankClassifier]
COMPOSABLE, DENSE = [MultiTaskRegressor, MultiTaskClassifier], [LatentBasis(), ReducedRank()]
each_layout_of_three = pytest.mark.parametrize("layout", ["long", "shared", "missing labels"])


def problem(rng, layout, *, n=60, d=6, classes=False):
    """Rows of three tasks with many zeros, labels, and ids beside them (None where rows are shared)."""
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.4)
    X[3] = 0.0
    W = rng.normal(size=d) + 0.5 * rng.normal(size=(3, d))
    task = None if layout != "long" else rng.integers(3, size=n)
    y = X @ W.T + np.arange(3) + 0.3 * rng.normal(size=(n, 3))
    y = (y > np.median(y, axis=0)).astype(float) if classes else y
    if layout == "long":
        return X, y[np.arange(n), task], task
    if layout == "missing labels":
        y[rng.random(y.shape) < 0.3] = np.nan
    return X, y, None


def fits(model, X, y, task, **options):
    """The same model of X and of X as a CSR array."""
    return [clone(model).fit(form(X), y, task=task, **options) for form in (np.asarray, sparse.csr_array)]


@each_taker
@each_layout_of_three
def test_the_model_of_sparse_rows_is_that_of_dense_ones(Estimator, layout, rng):
    """Where sums are small, both take the same steps."""
    X, y, task = problem(rng, layout, classes=is_classifier(Estimator()))
    strengths = {"alpha_ridge": 0.1, "gamma": 1e4}  # so that these few rows determine all weights
    strengths = {name: value for name, value in strengths.items() if name in Estimator().get_params()}
    slack = 1e4 if "gamma" in strengths else 1.0  # stages end where the objective hardly falls
    dense, thin = fits(Estimator(tol=1e-8, max_iter=5000, **strengths), X, y, task)
    assert_allclose(thin.objective_, dense.objective_, rtol=slack * 1e-10)
    for name in ("coef_", "intercept_", "shared_coef_"):
        assert_allclose(getattr(thin, name), getattr(dense, name), rtol=1e-10, atol=slack * 1e-7, err_msg=name)
    assert thin.n_features_in_ == dense.n_features_in_


WIDE = [
    IndependentRegressor(0.1),
    JointFeatureRegressor(0.1),
    JointFeatureRegressor(0.1, alpha_l1=0.02, positive=True),
    L1Regressor(0.1),
    MeanRegularizedRegressor(0.1),
    TraceNormRegressor(0.3),
    IndependentClassifier(0.1),
    JointFeatureClassifier(0.05),
    MeanRegularizedClassifier(0.1),
    TraceNormClassifier(0.1),
    RobustLowRankClassifier(0.2, alpha_sparse=0.2)
    if "alpha_sparse" in RobustLowRankClassifier().get_params()
    else RobustLowRankClassifier(0.2),
]


@pytest.mark.parametrize("model", WIDE, ids=repr)
@each_layout_of_three
def test_more_sparse_features_than_rows_have_the_same_objective(model, layout, rng):
    """Solved otherwise than dense ones, so that they agree as far as the gaps say."""
    X, y, task = problem(rng, layout, n=45, d=330, classes=is_classifier(model))
    dense, thin = fits(clone(model).set_params(tol=1e-7, max_iter=5000), X, y, task)
    slack = 1e-9 * (1.0 + dense.objective_)
    assert thin.objective_ <= dense.objective_ + thin.dual_gap_ + slack
    assert dense.objective_ <= thin.objective_ + dense.dual_gap_ + slack


@pytest.mark.parametrize("model", [E() for E in REFUSERS] + [E(p) for E in COMPOSABLE for p in DENSE], ids=repr)
def test_who_takes_no_sparse_rows_says_so(model):
    name = type(model).__name__
    with pytest.raises(TypeError, match=rf"{name} does not take sparse X, but got a csr_array of shape.*ReducedRank"):
        model.fit(sparse.eye_array(6, format="csr"), np.arange(6.0))
    assert not get_tags(model).input_tags.sparse


@pytest.mark.parametrize("model", [MeanRegularizedRegressor(), JointFeatureRegressor(0.05)], ids=repr)
@each_layout_of_three
def test_weights_paths_and_alpha_max_see_no_difference(model, layout, rng):
    X, y, task = problem(rng, layout)
    weight = rng.integers(3, size=len(X))
    thin = sparse.csc_array(X)
    dense, other = fits(model, X, y, task, sample_weight=weight)
    assert_allclose(other.coef_, dense.coef_, atol=1e-7)
    alphas = [0.3, 0.1, 0.01]
    paths = [model.path(form, y, task=task, alphas=alphas) for form in (X, thin)]
    assert_allclose(paths[1].coefs, paths[0].coefs, atol=1e-7)
    if isinstance(model, JointFeatureRegressor):
        assert_allclose(model.alpha_max(thin, y, task=task), model.alpha_max(X, y, task=task), rtol=1e-10)


@pytest.mark.parametrize("form", ["csr_array", "csc_array", "coo_array", "float32", "duplicate entries"])
@pytest.mark.parametrize("model", [MeanRegularizedRegressor(), MeanRegularizedClassifier()], ids=repr)
@each_layout_of_three
def test_predictions_of_sparse_rows_are_those_of_dense_ones(model, form, layout, rng):
    X, y, task = problem(rng, layout, classes=is_classifier(model))
    model = clone(model).fit(X, y, task=task)
    Z, ids = rng.normal(size=(9, X.shape[1])) * (rng.random((9, X.shape[1])) < 0.4), rng.integers(3, size=9)
    Z[2] = 0.0
    known = {} if task is None else {"task": ids}
    methods = ["predict", "predict_proba", "decision_function"] if is_classifier(model) else ["predict"]
    for method in methods:
        got, want = (getattr(model, method)(form_of_Z, **known) for form_of_Z in (FORMATS[form](Z), Z))
        assert type(got) is np.ndarray
        assert_allclose(got, want, rtol=1e-10 if form != "float32" else 1e-5, atol=1e-10 if form != "float32" else 1e-5)


def test_a_task_never_seen_has_the_shared_model_of_sparse_rows_too(rng):
    X, y, task = problem(rng, "long")
    model = MeanRegularizedRegressor(unknown_task="shared").fit(sparse.csr_array(X), y, task=task)
    got = model.predict(sparse.csr_array(X[:4]), task=[0, 7, 1, 9])
    assert_allclose(got, model.predict(X[:4], task=[0, 7, 1, 9]), rtol=1e-12)
    assert_allclose(got[1], X[1] @ model.shared_coef_ + model.shared_intercept_, rtol=1e-12)


@pytest.mark.parametrize("position", [0, -1])
def test_the_ids_may_be_a_column_of_sparse_rows(position, rng):
    X, y, task = problem(rng, "long")
    table = np.insert(X, position if position == 0 else X.shape[1], task, axis=1)
    model = MeanRegularizedRegressor(task=position).fit(sparse.csc_array(table), y)
    beside = MeanRegularizedRegressor().fit(X, y, task=task)
    assert model.n_features_in_ == X.shape[1] + 1
    assert_allclose(model.coef_, beside.coef_, rtol=0, atol=1e-10)
    assert_allclose(model.predict(sparse.csr_array(table)), beside.predict(X, task=task), rtol=0, atol=1e-10)


def test_ids_beside_sparse_rows_may_be_text(rng):
    X, y, task = problem(rng, "long")
    names = np.array(["a", "b", "c"], dtype=object)[task]
    model = MeanRegularizedRegressor().fit(sparse.csr_array(X), y, task=names)
    assert model.tasks_.tolist() == ["a", "b", "c"]
    assert_allclose(model.predict(sparse.csr_array(X), task=names), model.predict(X, task=names), rtol=0, atol=1e-12)


@pytest.mark.parametrize("model", [MeanRegularizedRegressor(), MeanRegularizedClassifier()], ids=repr)
@each_layout_of_three
def test_single_precision_comes_back(model, layout, rng):
    X, y, task = problem(rng, layout, classes=is_classifier(model))
    X = X.astype(np.float32)
    dense, thin = fits(model, X, y, task)
    assert thin.coef_.dtype == thin.intercept_.dtype == np.float32
    assert_allclose(thin.coef_, dense.coef_, rtol=1e-6, atol=1e-6)
    answer = "decision_function" if is_classifier(model) else "predict"
    known = {} if task is None else {"task": task}
    assert getattr(thin, answer)(sparse.csr_array(X), **known).dtype == np.float32


def test_a_frame_of_sparse_columns_is_a_sparse_array(rng):
    X, y, task = problem(rng, "long")
    frame = pd.DataFrame.sparse.from_spmatrix(sparse.csr_array(X), columns=list("abcdef"))
    assert sparse.issparse(check_data(frame, y, task=task).X)
    model = MeanRegularizedRegressor().fit(frame, y, task=task)
    assert_allclose(model.coef_, MeanRegularizedRegressor().fit(X, y, task=task).coef_, rtol=0, atol=1e-10)
    assert model.feature_names_in_.tolist() == list("abcdef")


# ----------------------------------------------------------------------------------------------------- before and after


def test_sparse_rows_go_through_a_pipeline_and_to_scores(rng):
    X, y, task = problem(rng, "long")
    tables = [add_task(form(X), task) for form in (np.asarray, sparse.csr_array)]
    recipe = make_pipeline(TaskWise(MaxAbsScaler(), task=-1), MeanRegularizedRegressor(task=-1))
    scorer = make_task_scorer(r2_score, average="task")
    scores = []
    for table in tables:
        model = clone(recipe).fit(table, y)
        scores.append((scorer(model, table, y), task_scores(model, table, y)["r2"]))
    assert_allclose(scores[1][0], scores[0][0], rtol=1e-10)
    assert_allclose(scores[1][1], scores[0][1], rtol=1e-10)


def test_wide_labels_of_sparse_rows_become_long_ones(rng):
    X, Y, _ = problem(rng, "missing labels")
    wide = MeanRegularizedRegressor().fit(sparse.csr_array(X), Y)
    X_long, y_long, _ = to_long(sparse.csr_array(X), Y)
    assert sparse.issparse(X_long)
    assert_allclose(MeanRegularizedRegressor(task=-1).fit(X_long, y_long).coef_, wide.coef_, rtol=0, atol=1e-9)


# The memory


def peak_of(call):
    """The most bytes in use at once during a call, beside what was there before."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def size_of(X):
    return X.data.nbytes + X.indices.nbytes + X.indptr.nbytes


def texts(rng):
    """Term counts of documents of two tasks, and classes."""
    X = sparse.random_array((2400, 2000), density=0.03, rng=rng, format="csr")
    X.data = np.ceil(5 * X.data)
    return X, (X[:, :40].sum(axis=1) > X[:, 40:80].sum(axis=1)).astype(float), rng.integers(2, size=2400)


def newsgroups():
    data = os.environ.get("SKMTL_DATA")
    if not data:
        pytest.skip("SKMTL_DATA is not set: no newsgroup_rec_talk.npz")
    held = np.load(Path(data) / "newsgroup_rec_talk.npz")
    return sparse.csr_array(held["X"]), held["y"].astype(float), held["task"]


@pytest.mark.parametrize("source", ["random", "newsgroups"])
@pytest.mark.parametrize(
    "model",
    [
        IndependentRegressor(1.0),
        JointFeatureRegressor(0.1),
        TraceNormRegressor(0.3),
        IndependentClassifier(1.0),
        JointFeatureClassifier(0.1),
        TraceNormClassifier(0.1),
        RobustLowRankClassifier(1.0),
    ],
    ids=repr,
)
def test_a_fit_of_texts_takes_no_more_memory_than_three_times_the_texts(model, source, rng):
    """And 20 arrays of weights; a Gram matrix of 2000 features alone would be 32 MB, the dense rows 38 MB or more."""
    X, y, task = texts(rng) if source == "random" else newsgroups()
    model = clone(model).set_params(tol=1e-3)
    model.fit(X[::20], y[::20], task=task[::20])  # compiles
    order = rng.permutation(len(y))
    X, y, task = X[order], y[order], task[order]
    peak = peak_of(lambda: model.fit(X, y, task=task))
    assert peak < 3 * size_of(X) + 20 * model.coef_.nbytes
    peak = peak_of(lambda: model.predict(X, task=task))
    assert peak < 2 * size_of(X)


@pytest.mark.parametrize("layout", ["long", "shared"])
def test_predictions_write_no_sparse_row_out(layout, rng):
    X, y, task = problem(rng, layout, n=40, d=300)
    model = MeanRegularizedRegressor().fit(X, y, task=task)
    many = sparse.random_array((20_000, 300), density=0.002, rng=rng, format="csr")
    ids = {} if task is None else {"task": rng.integers(3, size=20_000)}
    model.predict(many[:10], **{name: value[:10] for name, value in ids.items()})  # compiles
    assert peak_of(lambda: model.predict(many, **ids)) < 5e6  # dense they are 48 MB


@pytest.mark.parametrize("penalty", [FusedTasks(0.1), TraceNorm(0.1) + L1(0.1)], ids=["fused", "sum"])
def test_penalties_whose_proxes_take_iterations_are_fitted_from_moments_of_wide_sparse_rows(penalty, rng, monkeypatch):
    X, Y = thinned(outputs(rng, 12, 350, 3), rng).X, rng.normal(size=(12, 3))
    known = MultiTaskRegressor(penalty).fit(X, Y).objective_
    monkeypatch.setattr(_problem, "_Rows", None)
    assert MultiTaskRegressor(penalty).fit(sparse.csr_array(X), Y).objective_ == pytest.approx(known, rel=1e-4)
