"""Moments: as accurate as exact arithmetic allows, and an algebra: parts add up, folds come off."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import skmtl.moments
import skmtl.moments._sums
from skmtl.moments import TaskMoments
from skmtl.moments._rows import Rows
from skmtl.tasks import check_data
from tests.oracles import INSTANCES, Instance, long_table, outputs

SHIFT = 1e8  # the mean of columns whose deviation is 1


def shifted(instance, rng):
    """Columns and labels far from the origin, and no two means alike."""
    instance.X = instance.X + SHIFT * (1.0 + np.arange(instance.X.shape[1]))
    instance.y = instance.y + SHIFT
    return instance


def weighted(instance, rng, shape=None):
    instance.sample_weight = rng.uniform(0.1, 3.0, size=shape or len(instance.X))
    return instance


FAR = {
    "far, long": lambda rng: shifted(long_table(rng, [40, 1, 25, 3], 3), rng),
    "far, long, weights": lambda rng: weighted(shifted(long_table(rng, [40, 1, 25, 3], 3), rng), rng),
    "far, fewer rows than features": lambda rng: weighted(shifted(long_table(rng, [4, 2, 20, 1], 7), rng), rng),
    "far, shared": lambda rng: shifted(outputs(rng, 40, 4, 3), rng),
    "far, shared, weights": lambda rng: weighted(shifted(outputs(rng, 40, 4, 3), rng), rng),
    "far, shared, missing labels": lambda rng: shifted(outputs(rng, 40, 4, 3, missing=0.4), rng),
    "far, shared, a weight for each label": lambda rng: weighted(shifted(outputs(rng, 30, 4, 3), rng), rng, (30, 3)),
    "far, shared, more features than rows": lambda rng: shifted(outputs(rng, 8, 12, 3), rng),
}
ALL = INSTANCES | FAR

each_layout = pytest.mark.parametrize("instance", ALL)
each_far = pytest.mark.parametrize("instance", FAR)
each_center = pytest.mark.parametrize("fit_intercept", [True, False])


def data_of(instance):
    return check_data(instance.X, instance.y, instance.sample_weight, task=instance.task)


def moments_of(instance, **options):
    return TaskMoments.from_data(data_of(instance), **options)


def positions(data):
    """Where each row stood in what the user passed, if none was dropped."""
    return data.rows - data.rows.min()


def everyone(moments):
    return moments.dense_gram(np.arange(moments.n_tasks))


def units(moments):
    """What errors of the means, of q, of G and of yy are measured by: the deviations of the task."""
    G = np.sqrt(moments.squares)
    y = np.sqrt(moments.yy)
    return {"xy": G * y[:, None], "gram": G[:, :, None] * G[:, None, :], "yy": y**2}


def assert_same_sums(got, want, rtol=1e-9, *, unit=None):
    """Equal moments, each entry relative to the deviations of its columns in `unit` (default: in `want`)."""
    assert_array_equal(got.tasks, want.tasks)
    assert_array_equal(got.n_rows, want.n_rows)
    assert_array_equal(got.active, want.active)
    assert got.centered == want.centered
    unit = units(want if unit is None else unit)
    assert_allclose(got.weight, want.weight, rtol=1e-12)
    assert_allclose(got.x_mean, want.x_mean, rtol=1e-12, atol=1e-12)
    assert_allclose(got.y_mean, want.y_mean, rtol=1e-12, atol=1e-12)
    for name, mine, other in (
        ("xy", got.xy, want.xy),
        ("yy", got.yy, want.yy),
        ("gram", everyone(got), everyone(want)),
    ):
        error = np.abs(mine - other)
        assert (error <= rtol * unit[name] + 1e-13).all(), f"{name}: {(error / (unit[name] + 1e-13)).max():.1e}"
    assert_allclose(got.squares, want.squares, rtol=rtol, atol=1e-13)


# ------------------------------------------------------------------------------------------------- exact arithmetic


def integers(a):
    """The floats `a` as exact integers and the power of two they were multiplied with."""
    parts = [value.as_integer_ratio() for value in np.ravel(a).tolist()]
    scale = max(denominator for _, denominator in parts)
    whole = np.array([numerator * (scale // denominator) for numerator, denominator in parts], dtype=object)
    return whole.reshape(np.shape(a)), scale


def exact_sums(task, fit_intercept):
    """The moments of a task in rational arithmetic, rounded once."""
    (X, x_unit), (y, y_unit), (s, s_unit) = map(integers, task)
    N = sum(s.tolist())
    x_sum, y_sum = s @ X, s @ y
    less = Fraction(1, N) if fit_intercept else Fraction(0)
    gram = (X.T * s) @ X - np.outer(x_sum, x_sum) * less
    xy, yy = (X.T * s) @ y - x_sum * y_sum * less, (y * s) @ y - y_sum * y_sum * less
    mean_unit = Fraction(1, N) if fit_intercept else 0

    def rounded(values, unit):
        return np.vectorize(lambda value: float(Fraction(value) / unit), otypes=[float])(values)

    return {
        "weight": float(Fraction(N, s_unit)),
        "x_mean": rounded(x_sum * mean_unit, x_unit),
        "y_mean": float(Fraction(y_sum) * mean_unit / y_unit),
        "gram": rounded(gram, x_unit**2 * s_unit),
        "xy": rounded(xy, x_unit * y_unit * s_unit),
        "yy": float(Fraction(yy) / (y_unit**2 * s_unit)),
    }


def assert_exact(moments, tasks, rtol, fit_intercept=True):
    grams = everyone(moments)
    for t, task in enumerate(tasks):
        if len(task.y) == 0:
            assert not any(np.any(part[t]) for part in (grams, moments.xy, moments.yy, moments.weight))
            continue
        exact = exact_sums(task, fit_intercept)
        x, y = np.sqrt(np.diag(exact["gram"])), np.sqrt(exact["yy"])
        assert_allclose(moments.weight[t], exact["weight"], rtol=1e-14)
        assert_allclose(moments.x_mean[t], exact["x_mean"], rtol=1e-15 * len(task.y), atol=1e-14)
        assert_allclose(moments.y_mean[t], exact["y_mean"], rtol=1e-15 * len(task.y), atol=1e-14)
        assert (np.abs(grams[t] - exact["gram"]) <= rtol * np.outer(x, x)).all()
        assert (np.abs(moments.xy[t] - exact["xy"]) <= rtol * x * y).all()
        assert abs(moments.yy[t] - exact["yy"]) <= rtol * exact["yy"]


@each_far
def test_columns_far_from_the_origin_lose_no_digits(instance, rng):
    """Against rational arithmetic: mean 1e8, deviation 1.  A mean is rounded to 1e-8, whose square is left behind."""
    data = FAR[instance](rng)
    assert_exact(moments_of(data), data.tasks, 1e-11)


@pytest.mark.parametrize("instance", ["uneven tasks", "weights", "shared, missing labels", "shared, weights"])
@each_center
def test_sums_are_those_of_rational_arithmetic(instance, fit_intercept, rng):
    data = INSTANCES[instance](rng)
    assert_exact(moments_of(data, fit_intercept=fit_intercept), data.tasks, 1e-13, fit_intercept)


@pytest.mark.parametrize("weights", [False, True])
def test_a_task_summed_in_blocks_loses_no_digits_either(weights, rng):
    """The first block is 1000 away from the rest: its mean is a poor shift for them."""
    n = 23_000
    X = np.round(rng.normal(size=(n, 3)) * 2.0**20) / 2.0**20 + SHIFT
    X[n // 2 :] += 1000.0
    y = np.round(X[:, 0] - SHIFT + rng.normal(size=n))
    weight = rng.integers(1, 5, size=n) / 4.0 if weights else None
    data = Instance(X, y, np.repeat("a", n), weight)
    assert X.size > 65_536
    assert_exact(moments_of(data), data.tasks, 1e-12)


def test_huge_and_tiny_columns_keep_their_own_precision(rng):
    data = long_table(rng, [30, 60], 5, scale=10.0 ** np.array([-150, -8, 0, 8, 100]))
    data.y = data.y / 1e3
    assert_exact(moments_of(data), data.tasks, 1e-13)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("block", [3, None])
@each_layout
def test_a_constant_column_leaves_exact_zeros(instance, block, form, rng, monkeypatch):
    """Of the size of rounding, it would be taken for a feature that explains what it can at weights of 1e16."""
    data = ALL[instance](rng)
    data.X[:, 0] = 1e4 / 3
    data.X[:, -1] = 0.1
    if block:
        monkeypatch.setattr(skmtl.moments._from_data, "CACHE", 0)
        monkeypatch.setattr(skmtl.moments._sums, "CACHE", block * data.X.shape[1])
    for _ in range(5):
        if data.sample_weight is not None:
            data.sample_weight = rng.uniform(0.1, 3.0, size=data.sample_weight.shape)
        moments = TaskMoments.from_data(check_data(form(data.X), data.y, data.sample_weight, task=data.task))
        pooled = moments.pooled(rng.uniform(0.1, 3.0, size=moments.n_tasks), task_intercepts=False)
        for sums in (moments, pooled):
            assert_array_equal(sums.squares[:, [0, -1]], 0.0)
            assert_array_equal(sums.xy[:, [0, -1]], 0.0)
            assert_array_equal(sums.x_mean[sums.active][:, [0, -1]], data.X[[0] * sums.active.sum()][:, [0, -1]])


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_a_column_that_is_constant_where_one_task_has_labels_is_zero_there(form, rng):
    data = outputs(rng, 12, 3, 2)
    data.X[3:, 1] = 1e4 / 3
    data.X[:3, 1] += 1e4 / 3
    data.y[:3, 0] = np.nan
    for _ in range(5):
        weight = rng.uniform(0.1, 3.0, size=12)
        sums = TaskMoments.from_data(check_data(form(data.X), data.y, weight))
        assert_array_equal(sums.squares[:, 1] > 0.0, [False, True])
        assert sums.xy[0, 1] == 0.0


# ------------------------------------------------------------------------------------------------- ways of summing


@each_center
@each_layout
def test_blocks_and_the_small_kernel_sum_alike(instance, fit_intercept, rng, monkeypatch):
    data = ALL[instance](rng)
    once = moments_of(data, fit_intercept=fit_intercept)
    monkeypatch.setattr(skmtl.moments._from_data, "CACHE", 0)
    monkeypatch.setattr(skmtl.moments._sums, "CACHE", 3 * data.X.shape[1])  # three rows in a block
    assert_same_sums(moments_of(data, fit_intercept=fit_intercept), once, 1e-12 if fit_intercept else 1e-11)


def test_a_table_with_small_and_large_tasks_is_summed_both_ways(rng):
    data = long_table(rng, [3, 4000, 7, 30, 5000], 20)
    whole = moments_of(data)
    for t, task in enumerate(data.tasks):
        alone = moments_of(Instance(task.X, task.y))
        assert_allclose(everyone(whole)[t], everyone(alone)[0], rtol=1e-11, atol=1e-10)
        assert_allclose(whole.xy[t], alone.xy[0], rtol=1e-11, atol=1e-10)


@each_layout
def test_threads_change_no_bit(instance, rng, monkeypatch):
    data = ALL[instance](rng)
    one = moments_of(data, n_jobs=1)
    monkeypatch.setattr(skmtl._threads, "_WORTH_THREADS", 0)
    two = moments_of(data, n_jobs=2)
    for name in ("weight", "x_mean", "y_mean", "xy", "yy", "gram"):
        assert_array_equal(getattr(two, name), getattr(one, name))
    for several, alone in zip(two.factors, one.factors, strict=True):
        assert_array_equal(several.l, alone.l)
        assert_array_equal(several.V, alone.V)


def test_threads_change_no_bit_of_a_table_worth_them(rng):
    data = long_table(rng, [2600, 10, 2600, 2600, 5000, 1, 4000, 3400, 300], 100)
    assert data.X.shape[0] * 100**2 > 2e8
    one, two = (moments_of(data, n_jobs=n_jobs) for n_jobs in (1, 2))
    for name in ("x_mean", "y_mean", "xy", "yy", "gram"):
        assert_array_equal(getattr(two, name), getattr(one, name))


def test_products_take_off_the_mean_whether_residuals_add_up_to_zero_or_not(rng):
    raw, R = rng.normal(size=(1, 30, 7)) + 0.5, rng.normal(size=(2, 30))
    rows = Rows(np.arange(2), raw, R, raw[0].mean(axis=0))
    for residuals in (R, R - R.mean(axis=1, keepdims=True)):
        assert_allclose(rows.products(residuals), residuals @ rows.A[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("instance", ["shared", "shared, weights", "shared, more features than rows", "far, shared"])
def test_a_shared_x_has_one_gram_or_one_set_of_rows(instance, rng):
    data = ALL[instance](rng)
    moments = moments_of(data)
    n, d = (len(part := data.tasks[0].y), data.X.shape[1])
    assert moments.shared
    assert len(part) == n
    assert moments.gram.shape == ((1, d, d) if n >= d else (0, d, d))
    assert [rows.A.shape for rows in moments.rows] == ([] if n >= d else [(1, n, d)])
    assert len(moments.factors) == 1
    assert len(moments.factors[0].V) == 1


@pytest.mark.parametrize("instance", ["shared, missing labels", "shared, a weight for each label", "uneven tasks"])
def test_tasks_with_rows_of_their_own_have_their_own_gram(instance, rng):
    moments = moments_of(INSTANCES[instance](rng))
    assert not moments.shared
    assert len(moments.gram) == len(moments.full)


@each_layout
def test_a_task_with_fewer_rows_than_features_keeps_its_rows(instance, rng):
    data = ALL[instance](rng)
    moments = moments_of(data)
    few = [t for rows in moments.rows for t in rows.tasks]
    n_rows = np.array([len(task.y) for task in data.tasks])
    assert sorted(few) == np.flatnonzero((0 < n_rows) & (n_rows < data.X.shape[1])).tolist()
    assert_array_equal(moments.n_rows, n_rows)
    for rows in moments.rows:
        A = np.broadcast_to(rows.A, (len(rows.tasks), *rows.A.shape[1:]))
        assert_allclose(np.einsum("trj,tr->tj", A, rows.v), moments.xy[rows.tasks], rtol=1e-9, atol=1e-9)


@each_layout
def test_the_data_of_the_user_is_not_modified(instance, rng):
    data = ALL[instance](rng)
    arrays = [a for a in (data.X, data.y, data.task, data.sample_weight) if a is not None]
    before = [a.copy() for a in arrays]
    moments = moments_of(data)
    moments.factors  # noqa: B018 - computed when first asked for
    moments - TaskMoments.from_data(moments.data.take(np.arange(len(moments.data.X)) % 3 == 0))
    moments + moments
    moments.pooled(np.ones(moments.n_tasks), task_intercepts=False)
    for array, copy in zip(arrays, before, strict=True):
        assert_array_equal(array, copy)
        assert array.flags.writeable


# ------------------------------------------------------------------------------------------------ what moments tell


@each_center
@each_layout
def test_errors_gradients_and_intercepts_are_those_of_the_rows(instance, fit_intercept, rng):
    data = ALL[instance](rng)
    moments = moments_of(data, fit_intercept=fit_intercept)
    W = rng.normal(size=moments.xy.shape)
    GW = moments.times_gram(W)
    assert_allclose(GW, np.einsum("tjk,tk->tj", everyone(moments), W), rtol=1e-9, atol=1e-9 * np.abs(GW).max())
    b, errors = moments.intercepts(W), moments.squared_error(W, GW)
    for t, (X, y, s) in enumerate(data.tasks):
        if len(y) == 0:
            continue
        r = (y.astype(np.longdouble) - X.astype(np.longdouble) @ W[t]).astype(np.longdouble)
        best = s @ r / s.sum() if fit_intercept else 0.0
        assert_allclose(b[t], float(best), rtol=1e-12, atol=1e-12 * np.abs(X @ W[t]).max())
        unit = moments.yy[t] + W[t] @ GW[t]
        assert_allclose(errors[t], float(s @ (r - best) ** 2), rtol=1e-9, atol=1e-12 * unit)
    assert_allclose(moments.squares, np.einsum("tjj->tj", everyone(moments)), rtol=1e-13)


@each_center
@each_layout
def test_factors_reproduce_the_gram_matrices_and_are_orthonormal(instance, fit_intercept, rng):
    moments = moments_of(ALL[instance](rng), fit_intercept=fit_intercept)
    G, seen = everyone(moments), []
    for factor in moments.factors:
        V = np.broadcast_to(factor.V, (len(factor.tasks), *factor.V.shape[1:]))
        l = np.broadcast_to(factor.l, (len(factor.tasks), *factor.l.shape[1:]))  # noqa: E741 - the field's letter
        assert (l >= 0).all()
        unit = np.abs(G[factor.tasks]).max(axis=(1, 2), keepdims=True)
        product = np.einsum("trj,tr,trk->tjk", V, l, V)
        assert (np.abs(product - G[factor.tasks]) <= 1e-12 * unit).all()
        inner = np.einsum("trj,tsj->trs", V, V)
        counted = (l > 0)[:, :, None] & (l > 0)[:, None, :]  # nothing is said of directions without weight
        assert (np.abs(inner - np.eye(l.shape[1]))[counted] <= 1e-9).all()
        R = rng.normal(size=(len(factor.tasks), moments.n_features))
        assert_allclose(factor.down(R), np.einsum("trj,tj->tr", V, R), rtol=1e-12, atol=1e-12)
        S = rng.normal(size=l.shape)
        assert_allclose(factor.up(S), np.einsum("trj,tr->tj", V, S), rtol=1e-12, atol=1e-12)
        seen += factor.tasks.tolist()
    assert sorted(seen) == np.flatnonzero(moments.n_rows > 0).tolist()


@pytest.mark.parametrize("task_intercepts", [False, True])
@each_center
@each_layout
def test_pooled_moments_are_those_of_one_task_of_all_rows(instance, fit_intercept, task_intercepts, rng):
    data = ALL[instance](rng)
    moments = moments_of(data, fit_intercept=fit_intercept)
    c = rng.uniform(0.5, 2.0, size=moments.n_tasks)
    pooled = moments.pooled(c, task_intercepts=task_intercepts)
    parts = []
    for (X, y, s), factor in zip(data.tasks, c, strict=True):
        if task_intercepts and fit_intercept and len(y):
            X, y = X - s @ X / s.sum(), y - s @ y / s.sum()
        parts.append((X, y, factor * s))
    X, y, s = (np.concatenate(part) for part in zip(*parts, strict=True))
    together = moments_of(Instance(X, y, None, s), fit_intercept=fit_intercept and not task_intercepts)
    rtol = 1e-7 if "far" in instance and fit_intercept else 1e-10
    unit = units(together)
    assert (np.abs(everyone(pooled)[0] - everyone(together)[0]) <= rtol * unit["gram"][0] + 1e-12).all()
    assert (np.abs(pooled.xy - together.xy) <= rtol * unit["xy"] + 1e-12).all()
    assert_allclose(pooled.yy, together.yy, rtol=rtol)
    assert_allclose(pooled.weight, together.weight, rtol=1e-12)
    if fit_intercept and not task_intercepts:
        assert_allclose(pooled.x_mean, together.x_mean, rtol=1e-12, atol=1e-12)
        assert_allclose(pooled.y_mean, together.y_mean, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("instance", INSTANCES)
def test_mean_rows_undo_the_centring(instance, rng):
    """With all its weight a task's mean row gives the sums about the origin."""
    data = INSTANCES[instance](rng)
    centred, plain = (moments_of(data, fit_intercept=choice) for choice in (True, False))
    undone = centred.with_mean_rows(centred.weight)
    unit = units(plain)
    assert (np.abs(everyone(undone) - everyone(plain)) <= 1e-12 * unit["gram"] + 1e-12).all()
    assert (np.abs(undone.xy - plain.xy) <= 1e-12 * unit["xy"] + 1e-12).all()
    assert_allclose(undone.yy, plain.yy, rtol=1e-12)


@pytest.mark.parametrize("n", [8, 30])
def test_mean_rows_of_tasks_that_share_all_are_shared(n, rng):
    """No matrix nor rows for each task, of which many features would want gigabytes."""
    data = check_data(rng.normal(2.0, 1.0, size=(n, 20)), rng.normal(size=(n, 4)))
    moments = TaskMoments.from_data(data)
    assert moments.with_mean_rows(np.full(4, 0.5)).shared
    W = rng.normal(size=(4, 20))
    for share in (np.full(4, 0.5), np.array([0.5, 0.5, 1.0, 2.0])):
        more = share[:, None] * np.einsum("tj,tj->t", moments.x_mean, W)[:, None] * moments.x_mean
        assert_allclose(
            moments.with_mean_rows(share).times_gram(W), moments.times_gram(W) + more, rtol=1e-12, atol=1e-12
        )


# --------------------------------------------------------------------------------------------------------- algebra


def split(instance, mask):
    """The instance in two, as a user would pass each: ids without rows are gone."""
    parts = []
    for rows in (mask, ~mask):
        parts.append(Instance(*(None if a is None else a[rows] for a in _arrays(instance))))
    return parts


def _arrays(instance):
    return instance.X, instance.y, instance.task, instance.sample_weight


def _splits(instance, rng):
    """Masks over the user's rows that leave parts of every size."""
    n = len(instance.X)
    yield "fifth", rng.permutation(n) % 5 == 0
    yield "half", np.arange(n) < n // 2
    yield "one row", np.arange(n) == n // 3
    yield "all but one", np.arange(n) != n // 3
    if instance.task is not None and len(instance.ids) > 1:
        yield "a whole task", instance.task == instance.ids[-1]
        yield "all but a task", instance.task != instance.ids[0]
        yield "a row of each task", np.isin(np.arange(n), np.unique(instance.task, return_index=True)[1])


@each_center
@each_layout
def test_parts_add_up_to_the_whole(instance, fit_intercept, rng):
    """Whatever the parts are: tasks absent from one, parts with different ids, in either order."""
    data = ALL[instance](rng)
    whole = moments_of(data, fit_intercept=fit_intercept)
    for name, mask in _splits(data, rng):
        parts = split(data, mask)
        if any(_is_invalid(part) for part in parts):
            continue
        a, b = (moments_of(part, fit_intercept=fit_intercept) for part in parts)
        for total in (a + b, b + a):
            assert_array_equal(total.tasks[total.active], whole.tasks[whole.active], err_msg=name)
            assert_same_sums(total.among(whole.tasks), whole, _rtol(instance, fit_intercept))


def _rtol(instance, fit_intercept=True):
    """1e-9 of the total, unless columns are far from the origin.

    Means near 1e8 are themselves rounded to 1e-8 of a deviation, and differ in the parts; uncentred sums of such
    columns are 1e16 and hold little else, so that their digits are those of the means.
    """
    return 1e-12 if not fit_intercept else 1e-6 if "far" in instance else 1e-9


def _is_invalid(part):
    """What check_data refuses: no rows, no weight, or a column without labels."""
    if len(part.X) == 0 or (part.sample_weight is not None and not part.sample_weight.any()):
        return True
    return part.y.ndim == 2 and np.isnan(part.y).all(axis=0).any()


@each_layout
def test_many_parts_add_up_in_any_grouping(instance, rng):
    data = data_of(ALL[instance](rng))
    fold = rng.integers(4, size=len(data.X))
    a, b, c, d = (TaskMoments.from_data(data.take(fold == k)) for k in range(4))
    whole = TaskMoments.from_data(data)
    for total in (((a + b) + c) + d, (a + b) + (c + d), d + (c + (b + a))):
        assert_same_sums(total, whole, _rtol(instance))


@each_center
@each_layout
def test_the_total_less_a_fold_is_the_rest(instance, fit_intercept, rng):
    """To 1e-9 of the total, and of the rest itself: what would cancel is summed again."""
    source = ALL[instance](rng)
    data = data_of(source)
    total = TaskMoments.from_data(data, fit_intercept=fit_intercept)
    n = len(data.X)
    folds = {
        "fifth": rng.permutation(n) % 5 == 0,
        "all but one row": np.arange(n) != n // 2,
        "all but two rows": ~np.isin(np.arange(n), [0, n - 1]),
        "one row": np.arange(n) == n // 2,
        "nothing": np.zeros(n, dtype=bool),
        "half": np.arange(n) < n // 2,
    }
    if not data.shared:
        position = np.arange(n) - data.starts[data.task_of_row]
        size = np.diff(data.starts)[data.task_of_row]
        folds |= {
            "whole tasks": data.task_of_row % 2 == 0,
            "all but one row of each task": position > 0,
            "all but two rows of each task": position > 1,
            "all but half of each task": position >= (size + 1) // 2,
        }
    for name, fold in folds.items():
        left = data.take(~fold)
        rest = TaskMoments.from_data(left, fit_intercept=fit_intercept)
        got = total - TaskMoments.from_data(data.take(fold), fit_intercept=fit_intercept)
        assert_same_sums(got, rest, _rtol(instance, fit_intercept), unit=total)
        if fit_intercept:
            assert_same_sums(got, rest, 10 * _rtol(instance))
        assert got.active.sum() == rest.active.sum(), name


@each_layout
def test_the_total_less_everything_is_nothing(instance, rng):
    total = moments_of(ALL[instance](rng))
    nothing = total - total
    for part in (nothing.n_rows, nothing.weight, nothing.xy, nothing.yy, everyone(nothing), nothing.x_mean):
        assert not part.any()
    assert not nothing.active.any()


CANCELLING = {
    "a constant column": lambda rest, rng: rest.__setitem__((slice(None), 1), 3.25),
    "nearly constant columns": lambda rest, rng: rest.__imul__(1e-6),
    "one nearly constant column": lambda rest, rng: rest.__setitem__((slice(None), 0), 5.0 + 1e-7 * rest[:, 0]),
    "equal rows": lambda rest, rng: rest.__setitem__(slice(None), rest[0]),
    "collinear columns": lambda rest, rng: rest.__setitem__((slice(None), 2), 2.0 * rest[:, 0] - 1.0),
    "a distant outlier taken off": lambda rest, rng: rest.__iadd__(1e5),
}


@pytest.mark.parametrize("far", [0.0, 1e6])
@pytest.mark.parametrize("layout", ["long", "shared", "shared, missing labels"])
@pytest.mark.parametrize("kind", CANCELLING)
def test_what_is_left_is_accurate_relative_to_itself(kind, layout, far, rng):
    """Where the fold had nearly all of a column's variation, subtraction would leave rounding noise."""
    kept, taken = 12, 60
    instance = {
        "long": lambda: long_table(rng, [kept + taken, 9], 4),
        "shared": lambda: outputs(rng, kept + taken, 4, 3),
        "shared, missing labels": lambda: outputs(rng, kept + taken, 4, 3, missing=0.3),
    }[layout]()
    own = np.flatnonzero(instance.task == "t00") if layout == "long" else np.arange(kept + taken)
    rest = instance.X[own[:kept]]
    CANCELLING[kind](rest, rng)
    instance.X[own[:kept]] = rest
    instance.X += far
    data = data_of(instance)
    fold = np.isin(positions(data), own[kept:])
    left = data.take(~fold)
    got = TaskMoments.from_data(data) - TaskMoments.from_data(data.take(fold))
    want = TaskMoments.from_data(left)
    unit = np.sqrt(want.squares)
    assert (np.abs(everyone(got) - everyone(want)) <= 1e-6 * unit[:, :, None] * unit[:, None, :]).all()
    assert (np.abs(got.xy - want.xy) <= 1e-6 * unit * np.sqrt(want.yy)[:, None]).all()
    assert_allclose(got.yy, want.yy, rtol=1e-6)
    assert_allclose(got.x_mean, want.x_mean, rtol=1e-12)


@pytest.mark.parametrize("what", ["labels", "weights", "weights of rows far away"])
def test_small_labels_and_small_weights_that_are_left_are_accurate(what, rng):
    instance = long_table(rng, [60, 9], 3)
    kept = np.flatnonzero(instance.task == "t00")[:20]
    if what == "labels":
        instance.y[kept] = 5.0 + 1e-7 * instance.y[kept]
    else:
        instance.sample_weight = np.ones(len(instance.X))
        instance.sample_weight[kept] = 1e-10
    if what == "weights of rows far away":  # of whose squares enough is left
        instance.X[kept] *= 1e4
        instance.y[kept] *= 1e4
    data = data_of(instance)
    left = np.isin(positions(data), kept) | (data.task_of_row == 1)
    got = TaskMoments.from_data(data) - TaskMoments.from_data(data.take(~left))
    want = TaskMoments.from_data(data.take(left))
    unit = np.sqrt(want.squares)
    assert_allclose(got.weight, want.weight, rtol=1e-9)
    assert_allclose(got.yy, want.yy, rtol=1e-6)
    assert (np.abs(got.xy - want.xy) <= 1e-6 * unit * np.sqrt(want.yy)[:, None]).all()
    assert (np.abs(everyone(got) - everyone(want)) <= 1e-6 * unit[:, :, None] * unit[:, None, :]).all()


def test_subtraction_again_and_again_stays_accurate(rng):
    """Remove the rows in twenty folds, one after the other."""
    instance = shifted(long_table(rng, [200, 90, 30], 3), rng)
    data = data_of(instance)
    moments, order = TaskMoments.from_data(data), rng.permutation(len(data.X))
    gone = np.zeros(len(data.X), dtype=bool)
    for part in np.array_split(order, 20)[:-1]:
        fold = np.isin(np.arange(len(data.X)), part)
        moments = _with_data(moments - TaskMoments.from_data(data.take(fold)), data, gone | fold)
        gone |= fold
        assert_same_sums(moments, TaskMoments.from_data(data.take(~gone)), 1e-4)


def _with_data(moments, data, gone):
    """The remainder as a total of its own: its rows are those that are left."""
    return replace(moments, data=data.take(~gone))


def test_a_task_taken_off_piece_by_piece_leaves_the_count(rng):
    """0.1 + 0.2 - 0.1 - 0.2 is not 0: a task without rows has no weight, or T would count it."""
    instance = weighted(long_table(rng, [40, 30], 2), rng)
    data = data_of(instance)
    moments = TaskMoments.from_data(data)
    for part in np.array_split(rng.permutation(np.flatnonzero(data.task_of_row == 0)), 4):
        moments = moments - TaskMoments.from_data(data.take(np.isin(np.arange(len(data.X)), part)))
    assert moments.active.tolist() == [False, True]
    assert moments.weight[0] == 0.0


def test_a_fold_from_elsewhere_is_refused(rng):
    instance = long_table(rng, [10, 20], 2)
    total = moments_of(instance)
    stranger = moments_of(Instance(instance.X, instance.y, np.repeat("stranger", len(instance.X))))
    for fold in (stranger, total + total):
        with pytest.raises(ValueError, match="not taken from the same data"):
            total - fold


@pytest.mark.parametrize("sizes", [[30, 40], [3, 2], [3, 40]], ids=["grams", "rows", "mixed"])
def test_a_part_taken_off_a_sum_leaves_the_other_or_an_error(sizes, rng):
    """Parts read one by one number their rows alike; a wrong difference must not pass unnoticed."""
    parts = [moments_of(long_table(rng, sizes, 5)) for _ in range(2)]
    try:
        left = (parts[0] + parts[1]) - parts[0]
    except ValueError:
        return
    assert_same_sums(left, parts[1], 1e-8)


def test_a_task_without_rows_has_nothing(rng):
    data = data_of(long_table(rng, [5, 8], 2))
    moments = TaskMoments.from_data(data.reindex(np.array(["a", "t00", "t01", "z"], dtype=object)))
    assert moments.active.tolist() == [False, True, True, False]
    assert not everyone(moments)[[0, 3]].any()
    assert sorted(t for factor in moments.factors for t in factor.tasks) == [1, 2]
    assert_same_sums(moments.among(moments.tasks), moments)
    assert_array_equal(everyone(moments)[1:3], everyone(TaskMoments.from_data(data)))


def test_a_fold_read_anew_is_not_taken_for_rows_of_the_total(rng):
    """Its rows look alike but are others. Four rows a task are left, fewer than features: rows are asked for."""
    X, y, task = rng.normal(size=(20, 5)), rng.normal(size=20), np.repeat([0, 1], 10)
    fold = np.arange(20) % 10 < 6
    data = check_data(X, y, task=task)
    total, anew = (TaskMoments.from_data(d) for d in (data, check_data(X[fold], y[fold], task=task[fold])))
    assert (total - TaskMoments.from_data(data.take(fold))).n_rows.tolist() == [4, 4]
    with pytest.raises(ValueError, match="rows that the total has not"):
        total - anew


@pytest.mark.parametrize("n", [40, 5])
def test_a_direction_that_no_row_has_weighs_exactly_nothing(n, rng):
    X = rng.normal(size=(n, 3))
    (factor,) = TaskMoments.from_data(check_data(X[:, [0, 1, 2, 2, 0, 1]], rng.normal(size=n))).factors
    assert np.count_nonzero(factor.l) == 3


@each_center
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_factors_of_rows_that_are_kept_though_they_are_more_than_features(kind, fit_intercept, rng):
    data = check_data(kind(rng.normal(size=(30, 4))), rng.normal(size=(30, 2)))
    kept, usual = (TaskMoments.from_data(data, fit_intercept=fit_intercept, keep_rows=keep) for keep in (True, False))
    (factor,) = kept.factors
    assert_allclose(factor.V[0].T @ (factor.l[0][:, None] * factor.V[0]), usual.gram[0], rtol=0, atol=1e-12 * 30)


def test_factors_of_uneven_features_are_those_of_the_rows(rng):
    """Beside a feature of length 1e4 eigenvalues of a Gram matrix lose one of 1e-4, and singular values do not."""
    X = rng.normal(size=(40, 4)) * np.array([1e-4, 1.0, 1e4, 1.0])
    X[:, 3] = 2.0 * X[:, 1]  # and what is no direction at all stays none
    (factor,) = TaskMoments.from_data(check_data(X, rng.normal(size=40)), fit_intercept=False).factors
    s = np.linalg.svd(X, compute_uv=False)
    assert_allclose(np.sqrt(factor.l[0][::-1][:3]), s[:3], rtol=1e-6)
    assert factor.l[0][0] == 0.0
    assert_allclose(factor.V[0] @ factor.V[0].T, np.eye(4), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["shared", "own", "sparse", "own, weights"])
@pytest.mark.parametrize("n_features", [6, 40])
def test_rows_of_a_sum_of_gram_matrices(kind, n_features, rng):
    X, Y = rng.normal(size=(18, n_features)), rng.normal(size=(18, 3))
    task = np.arange(18) % 3 if "own" in kind else None
    weight = rng.uniform(0.5, 2.0, size=18) if "weights" in kind else None
    moments = TaskMoments.from_data(
        check_data(sparse.csr_array(X) if kind == "sparse" else X, Y if task is None else Y[:, 0], weight, task=task)
    )
    for c in (rng.uniform(0.5, 2.0, size=3), np.array([2.0, 0.0, 1.0]), np.zeros(3)):
        A = moments.rows_of_sum(c)
        assert (A is None) == (n_features == 6 and c.any())
        if A is not None:
            assert_allclose(A.T @ A, moments.gram_sum(c), rtol=0, atol=1e-9)
