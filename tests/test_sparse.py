"""A sparse X means what the dense one means, to rounding, and stays sparse."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from skmtl.moments import TaskMoments
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
    assert_allclose(rows.margins(W), np.einsum("trj,tj->tr", everyone, W), atol=1e-8)
    assert_allclose(
        rows.products(R) / np.maximum(length, 1e-9),
        np.einsum("trj,tr->tj", everyone, R) / np.maximum(length, 1e-9),
        atol=1e-8,
    )
    some = rows.take(at)
    assert_array_equal(rows.columns(at), A[:, :, at])
    assert_array_equal(some.A, A[:, :, at])
    unit = np.maximum(length, 1e-9)[:, :, None] * np.maximum(length, 1e-9)[:, None, at]
    assert_allclose(rows.cross(some) / unit, A.swapaxes(1, 2) @ A[:, :, at] / unit, atol=1e-10)
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
