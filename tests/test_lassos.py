"""Lassos of single tasks: scikit-learn's as oracle, in every layout, also where weights are not unique."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.linear_model import ElasticNet

from skmtl.penalties import L1, JointFeature
from skmtl.solvers import moments_for, solve
from skmtl.solvers._coordinate import lassos
from skmtl.solvers._coordinate.lassos import Lassos
from skmtl.solvers._sparse_minima import leave_out, sparse_minima
from skmtl.solvers.solution import solve_one
from skmtl.tasks import check_data

THIN = ["fewer rows", "shared", "sparse", "sparse, weights", "missing labels", "sparse, missing"]


def instance(rng, layout, d=60, n_tasks=4):
    """X, labels, weights and tasks, and for each task its rows, labels and weights."""
    sizes = {"more rows": [90, 70, 100, 61], "both": [90, 30, 3, 65]}.get(layout, [30, 8, 2, 30])
    W = rng.normal(size=(n_tasks, d)) * (rng.random((n_tasks, d)) < 0.2)
    wide = layout in ("shared", "missing labels", "sparse, missing")
    n, task = (40, None) if wide else (sum(sizes), np.repeat(np.arange(n_tasks), sizes))
    X = rng.normal(size=(n, d)) * np.where(rng.random(d) < 0.5, 0.1, 3.0) + rng.normal(size=d)
    X[:, 5] = 1.0
    if layout.startswith("sparse"):
        X *= rng.random(X.shape) < 0.3
    y = X @ W.T + 0.5 * rng.normal(size=(n, n_tasks))
    y = y if wide else y[np.arange(n), task]
    if "missing" in layout:
        y[rng.random(y.shape) < 0.3] = np.nan
    weight = rng.choice([0.5, 1.0, 2.0], n) if layout in ("fewer rows", "sparse, weights") else None
    each = []
    for t in range(n_tasks):
        labels = y[:, t] if wide else y
        mine = np.isfinite(labels) if wide else task == t
        each.append((X[mine], labels[mine], np.ones(mine.sum()) if weight is None else weight[mine]))
    return sparse.csr_array(X) if layout.startswith("sparse") else X, y, weight, task, each


def fit(penalty, X, y, weight=None, task=None, tol=1e-11, max_iter=10_000, n_jobs=None):
    """The solution, the moments and the factors of the losses."""
    moments = moments_for(penalty, check_data(X, y, weight, task=task), n_jobs=n_jobs)
    c = np.linspace(1.0, 2.0, moments.n_tasks) / moments.weight.sum()
    solution = solve_one(penalty, moments, c, tol=tol, max_iter=max_iter)
    return solution, moments, c


@pytest.mark.parametrize("layout", ["more rows", "both", *THIN])
@pytest.mark.parametrize("kind", ["lasso", "elastic net", "positive"])
def test_each_task_has_the_lasso_of_scikit_learn(rng, layout, kind, monkeypatch):
    asked, minimize = [], Lassos.minimize
    monkeypatch.setattr(Lassos, "minimize", lambda *args: asked.append(1) or minimize(*args))
    X, y, weight, task, each = instance(rng, layout)
    ridge = 0.01 if kind == "elastic net" else 0.0
    for alpha in (0.1, 0.003):
        penalty = L1(alpha, alpha_ridge=ridge)
        if kind == "positive":
            penalty = JointFeature(0.0, alpha_l1=alpha, positive=True)
        solution, moments, c = fit(penalty, X, y, weight, task)
        assert solution.converged
        assert solution.dual_gap <= 1e-11 * 0.5 * c @ moments.yy
        total = 0.0
        for t, (rows, labels, weights) in enumerate(each):
            scale = c[t] * weights.sum()
            theirs = ElasticNet(
                (alpha + ridge) / scale,
                l1_ratio=alpha / (alpha + ridge),
                positive=kind == "positive",
                tol=1e-13,
                max_iter=1_000_000,
            ).fit(rows, labels, sample_weight=weights)
            assert_allclose(rows @ solution.W[t] + solution.b[t], theirs.predict(rows), atol=1e-5)
            values = []
            for w, b in ((solution.W[t], solution.b[t]), (theirs.coef_, theirs.intercept_)):
                loss = 0.5 * c[t] * weights @ (labels - rows @ w - b) ** 2
                values.append(loss + alpha * np.abs(w).sum() + 0.5 * ridge * w @ w)
            assert values[0] <= values[1] + 1e-9 * c @ moments.yy
            total += values[0]
        assert_allclose(solution.objective, total, rtol=1e-9)
    assert asked


@pytest.mark.parametrize("layout", ["both", "shared", "sparse"])
def test_parts_and_threads_change_nothing(rng, layout, monkeypatch):
    *data, _ = instance(rng, layout)
    one = fit(L1(0.01), *data)[0]
    monkeypatch.setattr(lassos, "_PART", 1.0)
    monkeypatch.setattr(lassos, "LARGEST", 2e4)  # of a Gram matrix: one task at a time
    each, threads = (fit(L1(0.01), *data, n_jobs=n_jobs)[0] for n_jobs in (None, 2))
    assert_allclose(each.W, one.W, atol=1e-7)
    assert_array_equal(threads.W, each.W)


def test_features_nearly_alike_are_told_apart(rng):
    """By 1e-8 of their length, and more of them than there are rows."""
    X = rng.normal(size=(28, 76))
    X[:, 1], X[:, 2], X[:, 3] = X[:, 0], X[:, 0] * (1.0 + 1e-8 * rng.normal(size=28)), 3.0
    X[:, 40:] = X[:, :36] + 1e-4 * rng.normal(size=(28, 36))
    Y = X[:, :12] @ rng.normal(size=(12, 5)) + 0.3 * rng.normal(size=(28, 5))
    for alpha in (1e-1, 1e-3, 1e-5, 1e-7):
        solution, moments, c = fit(L1(alpha), X, Y, tol=1e-10, max_iter=1000)
        assert solution.converged
        assert solution.dual_gap <= 1e-10 * 0.5 * c @ moments.yy


def test_a_path_starts_where_the_last_strength_ended(rng):
    X, y, _, task, _ = instance(rng, "both")
    moments = moments_for(L1(), check_data(X, y, task=task))
    c = np.full(4, 1.0 / len(y))
    path = [L1(alpha) for alpha in np.geomspace(0.3, 0.001, 15)]
    turns = []
    for member, solution in zip(path, solve(path[0], path, moments, c, tol=1e-10), strict=True):
        alone = solve_one(member, moments, c, tol=1e-10)
        assert_allclose(solution.objective, alone.objective, rtol=1e-8)
        turns.append((solution.n_iter, alone.n_iter))
    assert sum(warm for warm, _ in turns) < sum(cold for _, cold in turns)


def test_too_few_turns_are_said(rng):
    X, y, _, task, _ = instance(rng, "fewer rows")
    solution, moments, c = fit(L1(0.001), X, y, task=task, max_iter=2)
    assert solution.n_iter == 2
    assert not solution.converged
    assert solution.dual_gap > 1e-11 * 0.5 * c @ moments.yy
    best = fit(L1(0.001), X, y, task=task)[0]
    assert solution.objective - best.objective <= solution.dual_gap + best.dual_gap


@pytest.mark.parametrize("positive", [False, True])
def test_minima_where_features_are_alike(rng, positive):
    """Also without rows, without a square, with more features than rows, from anywhere."""
    n_tasks, d, alpha = 7, 8, 0.5
    F = rng.normal(size=(n_tasks, 12, d)) * 10.0 ** rng.uniform(-2, 2, size=(n_tasks, 1, d))
    F[0, :, 1], F[1, :, 2], F[2, :, 3] = F[0, :, 0], 0.0, F[2, :, 4] * (1.0 + 1e-7)
    F[5] = 0.0
    F[6, 5:] = 0.0
    H, R = F.swapaxes(1, 2) @ F, np.einsum("tij,ti->tj", F, rng.normal(size=(n_tasks, 12)))
    H[3], R[3] = H[4], R[4]
    D = np.array([1e-3, 0.0, 1e-6, 0.0, 0.0, 1.0, 0.0])[:, None]
    R[5] = 3.0 * rng.normal(size=d)
    X = rng.normal(size=(n_tasks, d))
    X = np.abs(X) if positive else X
    n_turns = sparse_minima(H, R, D, alpha, np.full(n_tasks, 1e-13), X, positive=positive)
    assert (n_turns < 200).all()
    slope = R - np.einsum("tjk,tk->tj", H, X) - D * X
    size = 1e-11 * (np.abs(R).max(axis=1, keepdims=True) + 1.0)
    assert ((slope if positive else np.abs(slope)) <= alpha + size).all()
    assert (np.abs(slope - alpha * np.sign(X))[X != 0] <= np.broadcast_to(size, X.shape)[X != 0]).all()
    assert (X >= 0.0).all() or not positive
    assert 0 < np.count_nonzero(X[:5]) < X[:5].size
    shrunk = np.maximum((R[5] if positive else np.abs(R[5])) - alpha, 0.0)
    assert_allclose(X[5], np.sign(R[5]) * shrunk)
    assert_allclose(X[3], X[4], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("first", [0, 3, 6])
def test_a_factor_without_a_feature_is_that_of_the_others(rng, first):
    F = rng.normal(size=(20, 7))
    U, others = np.linalg.cholesky(F.T @ F).T.copy(), np.delete(F, first, axis=1)
    leave_out(first, 7, U)
    U = np.triu(U[:6, :6])
    assert_allclose(U.T @ U, others.T @ others, rtol=0, atol=1e-12)
