"""Proximal operators: exact by their optimality condition, and right by cvxpy."""

from typing import Any, NamedTuple

import cvxpy as cp
import numpy as np
import pytest
from numba import config
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.isotonic import isotonic_regression

from skmtl.penalties import _prox, quadratic
from skmtl.penalties._prox import clip_features, fuse_all, fuse_pairs, shrink_columns, shrink_rows, total_variation
from skmtl.penalties._spectral import largest_singular_value, singular_values, spectral
from skmtl.penalties.clustered import Clustered, SharedSubspace, cheap_shares
from skmtl.penalties.quadratic import AroundMean, TaskQuadratic, laplacian_solver
from skmtl.penalties.temporal import Temporal, TotalVariation

EPS = np.finfo(float).eps
SHAPES = [(1, 1), (1, 4), (2, 3), (6, 1), (7, 4), (40, 2)]
SIZES = [0.0, 1e-8, 1.0, 1e8]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
each_size = pytest.mark.parametrize("size", SIZES)
each_kind = pytest.mark.parametrize("kind", ["normal", "ties", "steps", "constant"])


def draw(rng, shape, kind="normal", size=1.0):
    V = rng.normal(size=shape)
    if kind == "ties":
        V = V.round()
    if kind == "steps":
        V = np.cumsum(V, axis=0)
    if kind == "constant":
        V = np.broadcast_to(V[:1], shape)
    V = np.array(size * V)
    V.flags.writeable = False
    return V


def solved(objective, constraints=()):
    problem = cp.Problem(cp.Minimize(objective), list(constraints))
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    return problem.value


# ---------------------------------------------------------------------------------------------- norms and semi-norms


class Case(NamedTuple):
    """A norm: its prox, its value, the factor by which Z is outside the dual ball, and its value for cvxpy."""

    prox: Any
    value: Any
    gauge: Any
    oracle: Any


def _all_pairs_gauge(Z):
    """The largest sum of k of a feature's entries beside k (T - k), the most that their edges to the others carry."""
    sums, k = np.cumsum(-np.sort(-Z, axis=0), axis=0)[:-1], np.arange(1, len(Z))[:, None]
    return (sums / (k * (len(Z) - k))).max(initial=0.0) + np.abs(Z.sum(axis=0)).max()


CASES = {
    "total_variation": Case(
        total_variation,
        lambda P: np.abs(np.diff(P, axis=0)).sum(),
        lambda Z: np.abs(np.cumsum(Z, axis=0))[:-1].max(initial=0.0) + np.abs(Z.sum(axis=0)).max(),
        lambda P: cp.sum(cp.abs(P[1:] - P[:-1])),
    ),
    "fuse_all": Case(
        fuse_all,
        lambda P: np.abs(P[:, None] - P[None]).sum() / 2,
        _all_pairs_gauge,
        lambda P: sum(cp.sum(cp.abs(P[s] - P[t])) for s in range(P.shape[0]) for t in range(s)),
    ),
    "clip_features": Case(
        clip_features,
        lambda P: np.abs(P).max(axis=0).sum(),
        lambda Z: np.abs(Z).sum(axis=0).max(),
        lambda P: cp.sum(cp.max(cp.abs(P), axis=0)),
    ),
    "shrink_columns": Case(
        shrink_columns,
        lambda P: np.linalg.norm(P, axis=0).sum(),
        lambda Z: np.linalg.norm(Z, axis=0).max(),
        lambda P: cp.sum(cp.norm(P, 2, axis=0)),
    ),
    "shrink_rows": Case(
        shrink_rows,
        lambda P: np.linalg.norm(P, axis=1).sum(),
        lambda Z: np.linalg.norm(Z, axis=1).max(),
        lambda P: cp.sum(cp.norm(P, 2, axis=1)),
    ),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@each_case
@each_shape
@each_size
@each_kind
def test_a_prox_meets_its_optimality_condition(case, shape, size, kind, rng):
    """P = prox(V) iff R = (V - P) / step is a subgradient at P: gauge(R) <= 1 and <R, P> = value(P)."""
    V = draw(rng, shape, kind, size)
    for step in (1e-3, 0.7, 30.0):
        P = case.prox(V, step)
        R = (V - P) / step
        rounding = 4 * EPS * np.abs(V).sum() / step
        assert case.gauge(R) <= 1.0 + 1e-12 + rounding
        assert abs(np.vdot(R, P) - case.value(P)) <= 1e-12 * case.value(P) + rounding * np.abs(V).max()


@each_case
@pytest.mark.parametrize("step", [0.05, 0.3, 1.0])
def test_a_prox_is_what_cvxpy_finds(case, step, rng):
    V, P = draw(rng, (5, 3)), cp.Variable((5, 3))
    found = case.prox(V, step)
    best = solved(step * case.oracle(P) + 0.5 * cp.sum_squares(P - V))
    assert_allclose(step * case.value(found) + 0.5 * np.sum((found - V) ** 2), best, rtol=1e-8)
    assert_allclose(found, P.value, atol=1e-5)


@each_case
@each_shape
def test_without_a_step_nothing_moves(case, shape, rng):
    V = draw(rng, shape)
    P = case.prox(V, 0.0)
    assert_array_equal(P, V)
    assert not np.shares_memory(P, V)


@each_case
def test_no_tasks_and_no_features_are_none_afterwards(case):
    for shape in [(0, 3), (3, 0)]:
        assert case.prox(np.empty(shape), 1.0).shape == shape


@pytest.mark.parametrize(("v", "step"), [([0.4, -0.5, 0.0, 0.4, 0.5], 0.1), ([0.4, 0.1, 0.5, -0.1, -0.2], 0.1)])
def test_tasks_that_meet_by_a_step_of_just_that_length_are_equal_exactly(v, step):
    """There the string touches the tube, and rounding would bend it the wrong way."""
    first, last = total_variation(np.array(v)[:, None], step)[-2:, 0]
    assert first == last


@pytest.mark.parametrize("prox", [total_variation, fuse_all], ids=["total_variation", "fuse_all"])
@pytest.mark.parametrize("step", [1e3, 1e8, 1e300])
def test_a_large_step_gives_the_mean_exactly(prox, step, rng):
    V = draw(rng, (50, 3)) + 1e3
    P = prox(V, step)
    assert_array_equal(P, np.broadcast_to(P[0], P.shape))
    assert_allclose(P[0], V.mean(axis=0), rtol=4 * EPS)


@pytest.mark.parametrize("prox", [total_variation, fuse_all], ids=["total_variation", "fuse_all"])
def test_a_level_moves_along(prox, rng):
    V = draw(rng, (30, 3))
    assert_allclose(prox(V + 1e6, 0.1) - 1e6, prox(V, 0.1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape_of", [lambda x: x, lambda x: x**2, lambda x: np.sin(9 * x), lambda x: (97 * x) % 1])
@pytest.mark.parametrize("step", [0.3, 100.0])
def test_many_tasks_take_linear_time_whatever_their_weights(shape_of, step):
    """A method that looks back would need hours here."""
    n_tasks = 2_000 if config.DISABLE_JIT else 200_000
    V = n_tasks / 100 * shape_of(np.linspace(0.0, 1.0, n_tasks))[:, None]
    P = total_variation(V, step)
    z = np.cumsum(V - P)[:-1] / step
    jumps = np.diff(P[:, 0])
    assert np.abs(z).max() <= 1.0 + 1e-7  # the cumulated sums are those of 200 000 numbers
    assert_allclose(z[jumps != 0], -np.sign(jumps[jumps != 0]), atol=1e-7)


@pytest.mark.parametrize("norm", [1, 2])
def test_pairs_that_a_step_of_just_that_length_brings_together_are_equal_exactly(norm, rng):
    A, B = draw(rng, (200, 1)), draw(rng, (200, 1))
    out_A, out_B = np.empty_like(A), np.empty_like(B)
    fuse_pairs(A, B, np.abs(0.5 * (A - B))[:, 0], norm, out_A, out_B)
    assert_array_equal(out_A, out_B)


def test_what_meets_is_equal_exactly(rng):
    V = draw(rng, (60, 4))
    for prox, step in [(total_variation, 1.0), (fuse_all, 0.01)]:
        P = prox(V, step)
        distinct = len(np.unique(P[:, 0]))
        assert 1 < distinct < 60
        assert len(np.unique(P[:, 0].round(9))) == distinct


def test_all_pairs_are_the_isotonic_regression_of_shifted_values(rng):
    V, step = draw(rng, (9, 3)), 0.08
    order = np.argsort(V, axis=0)
    P = np.empty(V.shape)
    for j in range(3):
        P[order[:, j], j] = isotonic_regression(V[order[:, j], j] + step * (8 - 2 * np.arange(9)))
    assert_allclose(fuse_all(V, step), P, rtol=1e-13, atol=1e-14)


@each_shape
@each_kind
def test_features_are_clipped_where_sorting_says(shape, kind, rng):
    V, step = draw(rng, shape, kind), rng.uniform(0.0, 4.0, size=shape[1])
    step[0] = 0.0
    v = -np.sort(-np.abs(V), axis=0)
    m = np.maximum(((np.cumsum(v, axis=0) - step) / np.arange(1, len(V) + 1)[:, None]).max(axis=0), 0.0)
    P = clip_features(V, step)
    assert_allclose(P, np.clip(V, -m, m), rtol=1e-13, atol=1e-14)
    assert_array_equal(P[:, 0], V[:, 0])
    assert not P[:, np.abs(V).sum(axis=0) <= step].any()


@each_size
@each_kind
@pytest.mark.parametrize("norm", [1, 2, 1.0, 2.0])
def test_pairs_meet_half_way(norm, size, kind, rng):
    A, B = draw(rng, (7, 3), size=size), draw(rng, (7, 3), kind, size)
    step = np.linspace(0.0, 2.0, 7)
    P, Q = np.empty(A.shape), np.empty(A.shape)
    fuse_pairs(A, B, step, norm, P, Q)
    H = (A - B) / 2
    if norm == 1:
        H = np.clip(H, -step[:, None], step[:, None])
    else:
        length = np.linalg.norm(H, axis=1)
        H = H * np.divide(step, length, out=np.ones(7), where=length > step)[:, None]
    assert_allclose(P, A - H, rtol=1e-13, atol=4 * EPS * size)
    assert_allclose(Q, B + H, rtol=1e-13, atol=4 * EPS * size)
    assert_array_equal(P[0], A[0])
    met = np.abs(P - Q) < 1e-12 * size
    assert_array_equal(P[met], Q[met])
    fuse_pairs(A, B, 0.5, norm, P, Q)  # a number for all
    again = [A.copy(), B.copy()]
    fuse_pairs(*again, 0.5, norm, *again)  # in place
    assert_array_equal(again, [P, Q])


@pytest.mark.parametrize("norm", [1, 2])
def test_pairs_are_what_cvxpy_finds(norm, rng):
    A, B, step = draw(rng, (4, 3)), draw(rng, (4, 3)), np.array([0.1, 0.4, 1.0, 3.0])
    P, Q, X, Y = np.empty(A.shape), np.empty(A.shape), cp.Variable(A.shape), cp.Variable(A.shape)
    fuse_pairs(A, B, step, norm, P, Q)
    solved(step @ cp.norm(X - Y, norm, axis=1) + 0.5 * cp.sum_squares(X - A) + 0.5 * cp.sum_squares(Y - B))
    assert_allclose(P, X.value, atol=1e-5)
    assert_allclose(Q, Y.value, atol=1e-5)


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="kernels are plain Python here")
def test_a_kernel_is_compiled_once_for_all_layouts(rng):
    V = draw(rng, (6, 4))
    kernels = [_prox.clip_columns, _prox.taut_strings, _prox.pull_taut, _prox.fuse_sorted]
    for prox in (clip_features, total_variation, fuse_all):
        for step in (1, 0.5, np.float32(0.5), np.int64(1)):
            for layout in (V, V.copy(), np.asfortranarray(V), V[::2], V.T, V.astype(np.float32), V.round().astype(int)):
                prox(layout, step)
    assert all(len(kernel.signatures) <= 1 for kernel in kernels)  # none where a cached kernel brings its callee along


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="kernels are plain Python here")
def test_a_kernel_equals_plain_python(rng, monkeypatch):
    V = draw(rng, (8, 2), "steps")
    pairs = np.empty((2, 2, 8, 2))
    for norm in (1, 2):
        fuse_pairs(V, V[::-1], 0.3, norm, *pairs[norm - 1])
    compiled = [clip_features(V, 2.0), total_variation(V, 0.4), fuse_all(V, 0.03), pairs.copy()]
    for name in ("clip_columns", "taut_strings", "pull_taut", "fuse_sorted", "join_values", "join_rows"):
        monkeypatch.setattr(_prox, name, getattr(_prox, name).py_func)
    for norm in (1, 2):
        fuse_pairs(V, V[::-1], 0.3, norm, *pairs[norm - 1])
    plain = [clip_features(V, 2.0), total_variation(V, 0.4), fuse_all(V, 0.03), pairs]
    for got, want in zip(compiled, plain, strict=True):
        assert_allclose(got, want, rtol=1e-14, atol=1e-14)


# -------------------------------------------------------------------------------------------------- singular values


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (5, 1), (12, 5), (5, 12), (7, 7)], ids=str)
@pytest.mark.parametrize("decades", [0, 3, 6, 9, 15])
def test_small_singular_values_are_as_exact_as_large_ones(shape, decades, rng):
    U, s, V = np.linalg.svd(rng.normal(size=shape), full_matrices=False)
    s = 10.0 ** np.linspace(0.0, -decades, len(s))
    W = (U * s) @ V
    kept = W.copy()
    for threshold in (0.0, 1e-12, 1e-9, 1e-7, 1e-5, 1e-4, 1e-3, 0.1, 2.0):
        P = spectral(W, lambda s, threshold=threshold: np.maximum(s - threshold, 0.0))
        assert_allclose(P, (U * np.maximum(s - threshold, 0.0)) @ V, rtol=0, atol=5e-13)
    assert_array_equal(W, kept)


def test_a_singular_value_whose_square_is_noise_is_not_taken_for_zero(rng):
    for _ in range(20):  # of which the eigenvalue is negative as often as not
        U, _, V = np.linalg.svd(rng.normal(size=(12, 2)), full_matrices=False)
        P = spectral((U * [1.0, 1e-9]) @ V, lambda s: np.maximum(s - 5e-10, 0.0))
        assert_allclose(P, (U * [1.0 - 5e-10, 5e-10]) @ V, rtol=0, atol=5e-13)


def test_the_largest_singular_value_of_numbers_whose_squares_are_infinite(rng):
    V = rng.normal(size=(4, 3))
    assert largest_singular_value(1e200 * V) == pytest.approx(1e200 * np.linalg.norm(V, 2), rel=1e-12)
    V[0, 0] = np.nan
    assert largest_singular_value(V) == np.inf


def test_singular_values_of_nothing(rng):
    assert_array_equal(spectral(np.zeros((3, 5)), lambda s: s), np.zeros((3, 5)))
    assert_array_equal(singular_values(np.zeros((3, 2))), np.zeros(2))
    low = np.outer(rng.normal(size=30), rng.normal(size=9))
    assert np.linalg.matrix_rank(spectral(low, lambda s: np.maximum(s - 1e-3, 0.0))) == 1


# ------------------------------------------------------------------------------------ clustered and shared subspaces


SQUARES = [
    Clustered(alpha=0.4, n_clusters=1, eta=0.5),
    Clustered(alpha=2.0, n_clusters=2, eta=1e-3),
    Clustered(alpha=0.4, n_clusters=3, eta=20.0),
    Clustered(alpha=1e4, n_clusters=2),
    Clustered(alpha=0.0),
    SharedSubspace(alpha=0.1, n_components=2, eta=0.3),
    SharedSubspace(alpha=0.4, n_components=50),
]
each_square = pytest.mark.parametrize("penalty", SQUARES, ids=repr)


@each_square
@each_shape
@each_size
@each_kind
def test_a_square_s_prox_meets_its_optimality_condition(penalty, shape, size, kind, rng):
    """P = prox(V) iff R = (V - P) / step is a subgradient at P: value(P) + conjugate(R) = <R, P>."""
    V, step = draw(rng, shape, kind, size), 0.7
    P = penalty.prox(V, step)
    R = (V - P) / step
    both = penalty.value(P) + penalty.conjugate(R if penalty.alpha else 0.0 * R)
    assert abs(both - np.vdot(R, P)) <= 1e-14 * np.vdot(V, V) / step


def in_cvxpy(penalty, W, side):
    """The minimum over M as matrix fractions, M acting on tasks (side 0) or features (side 1)."""
    n, k = W.shape[side], getattr(penalty, "n_clusters", None) or penalty.n_components
    M = cp.Variable((n, n), PSD=True)
    metric = penalty.eta * np.eye(n) + M
    vectors = [W[:, j] if side == 0 else W[j] for j in range(W.shape[1 - side])]
    fractions = sum(cp.matrix_frac(w, metric) for w in vectors)
    factor = penalty.alpha * penalty.eta * (1.0 + penalty.eta)
    return factor * fractions, [cp.trace(M) == min(k, n), np.eye(n) - M >> 0]


def sdp(objective, constraints):
    problem = cp.Problem(cp.Minimize(objective), constraints)
    problem.solve(solver=cp.CLARABEL)
    return problem.value


@pytest.mark.parametrize("shape", [(4, 3), (3, 4)], ids=str)
@pytest.mark.parametrize("k", [1, 2, 3, 4, 6])
@pytest.mark.parametrize(("kind", "side"), [(Clustered, 0), (SharedSubspace, 1)], ids=["tasks", "features"])
def test_value_and_prox_are_those_of_the_semidefinite_program(kind, side, k, shape, rng):
    penalty, V, step = kind(0.6, k, 0.3), draw(rng, shape), 0.7
    assert_allclose(penalty.value(V), sdp(*in_cvxpy(penalty, V, side)), rtol=1e-6)
    W = cp.Variable(shape)
    omega, constraints = in_cvxpy(penalty, W, side)
    best = sdp(step * omega + 0.5 * cp.sum_squares(W - V), constraints)
    P = penalty.prox(V, step)
    assert_allclose(step * penalty.value(P) + 0.5 * np.sum((P - V) ** 2), best, rtol=1e-6)
    assert_allclose(P, W.value, atol=1e-3)
    assert_allclose(penalty.conjugate(V), -sdp(omega - cp.sum(cp.multiply(V, W)), constraints), rtol=1e-6)


@each_size
def test_clusters_of_tasks_and_a_subspace_of_features_are_one_function(size, rng):
    V = draw(rng, (6, 9), size=size)
    for k in (1, 3, 6, 8):
        tasks, features = Clustered(0.4, k, 0.3), SharedSubspace(0.4, k, 0.3)
        assert_array_equal(tasks.prox(V, 0.7), features.prox(V, 0.7))
        assert_allclose(tasks.value(V), features.value(V.T), rtol=1e-13)
        if k >= 6:  # all directions are cheap
            assert_allclose(tasks.value(V), 0.4 * 0.3 * np.sum(V**2), rtol=1e-13)


@pytest.mark.parametrize("penalty", [Clustered(0.4, 2, 0.3, 0.6), SharedSubspace(0.4, 2, 0.3, 0.6)], ids=repr)
def test_a_ridge_term_is_in_value_and_prox_and_not_in_terms(penalty, rng):
    V, step = draw(rng, (6, 4)), 0.7
    (bare,) = penalty.terms(np.arange(6))
    assert bare.alpha_ridge == 0
    assert_allclose(penalty.value(V), bare.value(V) + 0.3 * np.sum(V**2))
    P = penalty.prox(V, step)
    R = (V - P) / step - 0.6 * P
    assert_allclose(bare.value(P) + bare.conjugate(R), np.vdot(R, P), rtol=1e-13)


@pytest.mark.parametrize("decades", [0, 1, 14])
@pytest.mark.parametrize("offset", [1e-3, 1.0, 1e3])
def test_shares_are_fair(decades, offset, rng):
    """They sum to the budget, and s / (offset + theta) is equal where theta is between its bounds."""
    for _ in range(200):
        n = rng.integers(1, 9)
        s = -np.sort(-(10.0 ** (-decades * rng.uniform(size=n))))
        k = int(rng.integers(1, 9))
        theta = cheap_shares(s, k, offset)
        assert theta.min() >= 0.0
        assert theta.max() <= 1.0
        if k >= n:
            assert_array_equal(theta, 1.0)
            continue
        assert abs(theta.sum() - k) <= 1e-13 * (1.0 + offset)
        price = s / (offset + theta)
        assert price[theta < 1].max() <= price[theta > 0].min() * (1.0 + 1e-13)


def test_tied_values_share_alike():
    assert_allclose(cheap_shares(np.array([2.0, 2.0, 2.0, 0.0]), 2, 0.5), [2 / 3, 2 / 3, 2 / 3, 0.0])
    assert_allclose(cheap_shares(np.array([1.0, 1e-310]), 1, 0.01), [1.0, 0.0])


def test_groups_are_found_and_numbered_as_they_come(rng):
    centers = np.array([[4.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, -3.0]])
    truth = np.array([0, 1, 1, 2, 0, 2, 2, 1])
    W = centers[truth] + 0.05 * rng.normal(size=(8, 3))
    labels = Clustered(n_clusters=3).fitted_attributes(W, (), np.arange(8), np.ones(8, dtype=bool))["cluster_labels_"]
    assert_array_equal(labels, truth)
    assert labels.dtype.kind == "i"
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert_array_equal(Clustered(n_clusters=3).groups(W @ rotation), truth)
    seen = np.arange(8) != 4  # the other joins the group that is nearest
    W[4] *= 0.6
    assert_array_equal(Clustered(n_clusters=3).groups(W, seen), truth)
    W[4] = 100.0 * W[3]
    assert_array_equal(Clustered(n_clusters=3).groups(W, seen), [0, 1, 1, 2, 2, 2, 2, 1])


@pytest.mark.parametrize("k", [1, 2, 5, 20])
def test_groups_of_awkward_weights(k):
    penalty = Clustered(n_clusters=k)
    assert_array_equal(penalty.groups(np.zeros((4, 3))), [0, 0, 0, 0])
    assert_array_equal(penalty.groups(np.ones((1, 3))), [0])
    twins = penalty.groups(np.array([[3.0, 0.0], [3.0, 0.0], [0.0, 1.0], [0.0, 1.0]]))
    assert_array_equal(twins, [0, 0, 1, 1] if k > 1 else [0, 0, 0, 0])


# -------------------------------------------------------------------------------------------------------- quadratics


def laplacian(kind, n, rng):
    A = np.triu(rng.uniform(0.1, 1.0, size=(n, n)) * (rng.uniform(size=(n, n)) < 0.3), 1)
    A[np.arange(n - 1), np.arange(1, n)] = 1.0
    if kind == "two components":
        A[: n // 3, n // 3 :] = 0.0
    if kind == "no edges":
        A[:] = 0.0
    A = A + A.T
    L = np.diag(A.sum(axis=1)) - A
    if kind == "normalized":
        root = 1.0 / np.sqrt(A.sum(axis=1))
        L = root[:, None] * L * root
    return L + 0.01 * np.eye(n) if kind == "definite" else L


N_NULL = {"connected": 1, "two components": 2, "normalized": 1, "definite": 0, "no edges": 12}


@pytest.mark.parametrize("kind", N_NULL)
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("many_tasks", [False, True])
def test_a_quadratic_s_prox_value_and_conjugate_agree(kind, container, many_tasks, rng, monkeypatch):
    if many_tasks:
        monkeypatch.setattr(quadratic, "_DENSE", 2)
    L = laplacian(kind, 12, rng)
    penalty, V = TaskQuadratic(container(L)), draw(rng, (12, 3))
    N = penalty.null.toarray()
    assert N.shape[1] == N_NULL[kind]
    assert_allclose(N.T @ N, np.eye(N.shape[1]), rtol=1e-13, atol=1e-15)
    assert_allclose(L @ N, 0.0, atol=1e-15)
    assert_allclose(penalty.value(V), 0.5 * np.trace(V.T @ L @ V), rtol=1e-13, atol=1e-15)
    U = V - N @ (N.T @ V)
    assert_allclose(penalty.conjugate(U), 0.5 * np.trace(U.T @ np.linalg.pinv(L, 1e-12) @ U), rtol=1e-12, atol=1e-15)
    for step in (0.0, 1e-8, 1.0, 1e8):
        P = penalty.prox(V, step)
        assert_allclose(P + step * (L @ P), V, rtol=1e-13, atol=1e-15 * (10 + 10 * step))
        assert_allclose(N.T @ P, N.T @ V, rtol=1e-13, atol=1e-14)
    assert_array_equal(penalty.prox(V, 0.5), TaskQuadratic(container(L)).prox(V, 0.5))  # nothing is left of others


@pytest.mark.parametrize("kind", N_NULL)
@pytest.mark.parametrize("step", [1e17, 1e25])
def test_a_quadratic_that_outweighs_the_identity_leaves_its_null_space(kind, step, rng):
    """I + step K is singular in floating point, and its inverse the projection on what costs nothing."""
    penalty, V = TaskQuadratic(laplacian(kind, 12, rng)), draw(rng, (12, 3))
    N = penalty.null.toarray()
    assert_allclose(penalty.prox(V, step), N @ (N.T @ V), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("together", [0.0, 1e-14, 0.3, 0.7, 2.0])
@pytest.mark.parametrize("n_tasks", [1, 2, 12])
def test_a_quadratic_of_the_mean_and_deviations_is_that_of_its_matrix(together, n_tasks, rng):
    """The same as the general one, which writes its matrix out, in every answer."""
    K = 0.7 * np.eye(n_tasks) + (together - 0.7) / n_tasks if n_tasks > 1 else np.array([[together]])
    closed, written, V = AroundMean(0.7, together, n_tasks), TaskQuadratic(K), draw(rng, (n_tasks, 3)) + 1.0
    assert_allclose(closed.null.toarray(), written.null.toarray(), rtol=1e-13, atol=1e-15)
    assert closed.null.shape[1] == (together == 0.0 or (together < 1e-12 and n_tasks > 1))
    N = closed.null.toarray()
    assert_allclose(closed.value(V), written.value(V), rtol=1e-12, atol=1e-15)
    assert_allclose(closed.slope(V), written.slope(V), rtol=1e-12, atol=1e-14)
    U = V - N @ (N.T @ V)
    assert_allclose(closed.conjugate(U), written.conjugate(U), rtol=1e-12, atol=1e-15)
    for step in (0.0, 1e-8, 1.0, 1e8):
        assert_allclose(closed.prox(V, step), written.prox(V, step), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("many_tasks", [False, True])
def test_a_laplacian_is_solved_in_every_component(many_tasks, rng, monkeypatch):
    if many_tasks:
        monkeypatch.setattr(quadratic, "_DENSE", 2)
    for kind in ("connected", "two components", "no edges"):
        L = laplacian(kind, 12, rng)
        M = L @ rng.normal(size=(12, 3))
        for container in (np.asarray, sparse.csr_array):
            assert_allclose(L @ laplacian_solver(container(L))(M), M, rtol=0, atol=1e-13)


# ---------------------------------------------------------------------------------------------------------- temporal


def months(order=None, **strengths):
    return Temporal(0.4, order=order, **strengths), np.array(["a", "b", "c", "d", "e"], dtype=object)


def temporal_in_cvxpy(penalty, W, places):
    D = W[places[1:]] - W[places[:-1]]
    change = 0.5 * cp.sum_squares(D) if penalty.smooth else cp.sum(cp.abs(D))
    return (
        penalty.alpha * change
        + penalty.alpha_l1 * cp.sum(cp.abs(W))
        + penalty.alpha_group * cp.sum(cp.norm(W, 2, axis=0))
        + penalty.alpha_ridge / 2 * cp.sum_squares(W)
    )


@pytest.mark.parametrize("order", [None, ["c", "a", "e", "x", "b", "d"]], ids=["sorted", "listed"])
@pytest.mark.parametrize("alpha_l1", [0.0, 0.1])
@pytest.mark.parametrize("alpha_group", [0.0, 0.2])
def test_jumps_and_sparsity_have_one_exact_prox(order, alpha_l1, alpha_group, rng):
    penalty, tasks = months(order, alpha_l1=alpha_l1, alpha_group=alpha_group)
    V, W, step = draw(rng, (5, 3)), cp.Variable((5, 3)), 0.7
    places = [0, 1, 2, 3, 4] if order is None else [2, 0, 4, 1, 3]
    (term,) = penalty.terms(tasks)
    P = term.prox(V, step)
    best = solved(step * temporal_in_cvxpy(penalty, W, places) + 0.5 * cp.sum_squares(W - V))
    assert_allclose(term.value(P), penalty.value(P, tasks), rtol=1e-14)
    assert_allclose(step * term.value(P) + 0.5 * np.sum((P - V) ** 2), best, rtol=1e-8)
    R = term.duals(V, step)
    assert_allclose(step * sum(R), V - P, rtol=1e-13, atol=1e-14)
    for norm, dual in zip(term.norms, R, strict=True):  # each a subgradient at P
        assert norm.dual_norm(dual) <= norm.alpha * (1.0 + 1e-12)
        assert_allclose(np.vdot(dual, P), norm.value(P), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("smooth", [False, True])
def test_the_value_of_a_temporal_penalty_is_cvxpy_s(smooth, rng):
    penalty, tasks = months(["e", "d", "a", "b", "c"], smooth=smooth, alpha_l1=0.1, alpha_group=0.2, alpha_ridge=0.3)
    W = draw(rng, (5, 3))
    oracle = temporal_in_cvxpy(penalty, cp.Constant(W), [4, 3, 0, 1, 2])
    assert_allclose(penalty.value(W, tasks), oracle.value, rtol=1e-12)
    terms = penalty.terms(tasks)
    assert_allclose(sum(term.value(W) for term in terms) + 0.15 * np.sum(W**2), oracle.value, rtol=1e-12)


def test_smooth_weights_are_a_chain_s(rng):
    penalty, tasks = months(["c", "a", "e", "b", "d"], smooth=True)
    (term,) = penalty.terms(tasks)
    D = np.array([[1, 0, -1, 0, 0], [-1, 0, 0, 0, 1], [0, 1, 0, 0, -1], [0, -1, 0, 1, 0]], dtype=float)
    assert_allclose(term.K.toarray(), 0.4 * D.T @ D)
    assert penalty.rotation_invariant
    assert not months(smooth=True, alpha_group=1.0)[0].rotation_invariant


def test_parts_without_strength_are_left_out():
    tasks = np.arange(3)
    assert Temporal(0.0).terms(tasks) == ()
    assert Temporal(0.0, smooth=True).terms(tasks) == ()
    assert len(Temporal(0.0, alpha_l1=1.0).terms(tasks)[0].norms) == 1
    assert len(Temporal(1.0, alpha_l1=1.0, alpha_group=1.0).terms(tasks)[0].norms) == 3
    assert len(Temporal(1.0, alpha_l1=1.0, alpha_group=1.0, smooth=True).terms(tasks)) == 2


@pytest.mark.parametrize("smooth", [False, True])
def test_one_task_has_no_change(smooth):
    penalty, W = Temporal(1.0, smooth=smooth), np.array([[1.0, -2.0]])
    (term,) = penalty.terms(np.array([7]))
    assert penalty.value(W) == term.value(W) == 0.0
    assert_array_equal(term.prox(W, 3.0), W)


def test_total_variation_costs_nothing_where_nothing_changes(rng):
    norm = TotalVariation(0.4, np.array([2, 0, 1]))
    assert_allclose(norm.null.toarray(), np.full((3, 1), 3**-0.5))
    assert norm.value(np.ones((3, 2))) == 0.0
    Z = np.array([[1.0], [2.0], [-3.0]])  # in order: -3, 1, 2
    assert norm.dual_norm(Z) == 3.0
    assert_allclose(norm.dual_norm(Z + 5.0), 3.0)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (["a", "b", "c"], "order must list every task of the data once. Got 'a', 'b', 'c', without 'd', 'e'"),
        (["a", "b", "c", "d", "e", "a"], "order must list every task once. It lists 'a' again"),
        ([1, 2, 3, 4, 5], "order .* Got 1, 2, 3, 4, 5, without 'a', 'b', 'c', 'd', 'e'.* compared as they are"),
        (["a", "b", "c", "d", "e", None], "order .* missing value"),
    ],
)
def test_an_order_that_is_none_says_why(order, message):
    penalty, tasks = months(order)
    with pytest.raises(ValueError, match=message):
        penalty.terms(tasks)
