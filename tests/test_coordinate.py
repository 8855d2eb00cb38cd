"""Coordinate descent: scikit-learn's models as special cases, cvxpy as oracle, certificates that can be trusted."""

import cvxpy as cp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import ElasticNet, Lasso, MultiTaskElasticNet, MultiTaskLasso

from skmtl._numba import read_only
from skmtl.moments import TaskMoments
from skmtl.penalties import L1, JointFeature
from skmtl.solvers import coordinate, solve, sums_for
from skmtl.solvers._epochs import gram_epoch, solve_row
from skmtl.tasks import check_data


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def shared(rng, n=60, d=30, T=4, noise=0.5):
    """Rows that all tasks share, of which 6 features count."""
    X = rng.normal(size=(n, d)) + 3.0
    W = np.zeros((T, d))
    W[:, :6] = rng.normal(size=(T, 6))
    return X, X @ W.T + noise * rng.normal(size=(n, T))


def own(rng, d=12, scales=False, sizes=(1, 200, 2, 5, 10, 50)):
    """Tasks with rows of their own, a repeated, a constant and a zero column, weights."""
    task = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.normal(size=(len(task), d))
    X[:, 1], X[:, 2], X[:, 3] = X[:, 0], 3.0, 0.0
    W = rng.normal(size=(len(sizes), d)) * (np.arange(d) < 6)
    y = np.einsum("ij,ij->i", X, W[task]) + rng.normal(size=len(task))
    if scales:
        X = X * 10.0 ** rng.uniform(-4, 4, d)
    return X, y, task, rng.choice([0.5, 1.0, 3.0], len(task))


def factors(moments, by="samples"):
    """The c_t."""
    c = np.full(moments.n_tasks, moments.active.sum() / moments.weight.sum())
    return c if by == "samples" else 1.0 / np.where(moments.active, moments.weight, 1.0)


def fit(penalty, *args, by="samples", tol=1e-12, max_iter=20_000, **kwargs):
    """The solution, the moments and the factors."""
    moments = sums_for(penalty, check_data(*args, **kwargs))
    c = factors(moments, by)
    (solution,) = solve(penalty, [penalty], moments, c, tol=tol, max_iter=max_iter)
    return solution, moments, c


def unit_of(moments, c):
    return 0.5 * c @ moments.yy


@pytest.mark.parametrize("size", [(60, 30, 4), (20, 90, 5), (40, 25, 1)])
@pytest.mark.parametrize("share", [0.5, 0.05])
def test_shared_rows_give_multi_task_lasso_and_elastic_net(rng, size, share):
    X, Y = shared(rng, *size)
    alpha = share * np.linalg.norm((X - X.mean(axis=0)).T @ (Y - Y.mean(axis=0)), axis=1).max() / len(X)
    theirs = MultiTaskLasso(alpha, tol=1e-13, max_iter=100_000).fit(X, Y)
    solution, *_ = fit(JointFeature(alpha), X, Y)
    assert_allclose(solution.W, theirs.coef_, atol=1e-8)
    assert_allclose(solution.b, theirs.intercept_, atol=1e-7)
    theirs = MultiTaskElasticNet(alpha, l1_ratio=0.4, tol=1e-13, max_iter=100_000).fit(X, Y)
    assert_allclose(fit(JointFeature(alpha, l1_ratio=0.4), X, Y)[0].W, theirs.coef_, atol=1e-8)


@pytest.mark.parametrize("positive", [False, True])
def test_one_task_is_the_lasso_and_the_elastic_net(rng, positive):
    X, y = shared(rng, T=1)
    how = {"tol": 1e-13, "max_iter": 100_000, "positive": positive}
    lasso, net = Lasso(0.1, **how).fit(X, y[:, 0]), ElasticNet(0.1, l1_ratio=0.7, **how).fit(X, y[:, 0])
    for norm in (2, np.inf):
        assert_allclose(fit(JointFeature(0.1, norm=norm, positive=positive), X, y)[0].W[0], lasso.coef_, atol=1e-8)
    assert_allclose(fit(JointFeature(0.1, l1_ratio=0.7, positive=positive), X, y)[0].W[0], net.coef_, atol=1e-8)
    if not positive:
        assert_allclose(fit(L1(0.1), X, y)[0].W[0], lasso.coef_, atol=1e-8)


def test_l1_is_one_lasso_per_task(rng):
    X, y, task, _ = own(rng)
    solution, moments, c = fit(L1(0.05), X, y, task=task)
    for t in range(1, moments.n_tasks):
        rows = task == t
        theirs = Lasso(0.05 / (c[t] * rows.sum()), tol=1e-13, max_iter=100_000).fit(X[rows], y[rows])
        fitted = X[rows] @ solution.W[t] + solution.b[t]  # the weights of the repeated column are not unique
        assert_allclose(fitted, theirs.predict(X[rows]), atol=1e-7)


def oracle(penalty, X, y, task, weight, c):
    """The minimum, in cvxpy's words."""
    n_tasks, d = len(c), X.shape[1]
    W, b = cp.Variable((n_tasks, d)), cp.Variable(n_tasks)
    terms = [
        0.5 * c[t] * cp.sum_squares(cp.multiply(np.sqrt(weight[rows]), y[rows] - X[rows] @ W[t] - b[t]))
        for t in range(n_tasks)
        for rows in [task == t]
    ]
    constraints = []
    if isinstance(penalty, L1):
        terms.append(penalty.alpha * cp.sum(cp.abs(W)))
    else:
        omega = np.ones(d) if penalty.feature_weights is None else penalty.feature_weights
        order = "inf" if np.isinf(float(penalty.norm)) else 2
        strength = penalty.alpha * penalty.l1_ratio
        terms += [strength * omega[j] * cp.norm(W[:, j], order) for j in range(d) if omega[j]]
        terms.append(penalty.alpha_l1 * cp.sum(cp.abs(W)))
        constraints = [W >= 0] if penalty.positive else []
    if penalty.ridge:
        terms.append(0.5 * penalty.ridge * cp.sum_squares(W))
    problem = cp.Problem(cp.Minimize(sum(terms)), constraints)
    return problem.solve(solver="CLARABEL")


SOME = np.array([0.0, 1.0, 1.0, 1.0, 0.0, 2.0, 1.0, 1.0, 0.5, 1.0, 1.0, 3.0])
PENALTIES = [
    JointFeature(0.2),
    JointFeature(0.3, l1_ratio=0.3),
    JointFeature(0.3, norm="inf"),
    JointFeature(0.2, alpha_l1=0.1),
    JointFeature(0.2, alpha_l1=0.1, norm=np.inf, alpha_ridge=0.05),
    JointFeature(0.2, positive=True),
    JointFeature(0.2, positive=True, alpha_l1=0.1, norm=np.inf),
    JointFeature(0.3, feature_weights=SOME),
    JointFeature(0.3, feature_weights=SOME, alpha_ridge=0.1),
    JointFeature(0.3, feature_weights=SOME, positive=True),
    JointFeature(0.5, l1_ratio=0.0),
    JointFeature(0.5, l1_ratio=1e-4),
    JointFeature(0.0),
    JointFeature(0.0, positive=True),
    L1(0.1),
    L1(0.1, alpha_ridge=0.1),
]
each_penalty = pytest.mark.parametrize("penalty", PENALTIES, ids=repr)


@each_penalty
@pytest.mark.parametrize("by", ["samples", "tasks"])
def test_cvxpy_finds_the_same_minimum(rng, penalty, by):
    X, y, task, weight = own(rng)
    solution, moments, c = fit(penalty, X, y, weight, task=task, by=by, tol=1e-10)
    unit = unit_of(moments, c)
    least = oracle(penalty, X, y, task, weight, c)
    assert solution.converged
    assert solution.dual_gap <= 1e-10 * unit
    assert abs(solution.objective - least) <= 1e-6 * least + 1e-9 * unit


@each_penalty
def test_no_gap_is_smaller_than_the_distance_from_the_minimum(rng, penalty):
    X, y, task, weight = own(rng)
    moments = sums_for(penalty, check_data(X, y, weight, task=task))
    c = factors(moments)
    (best,) = solve(penalty, [penalty], moments, c, tol=1e-12, max_iter=20_000)
    for max_iter in (1, 2, 7, 20):
        (solution,) = solve(penalty, [penalty], moments, c, tol=0.0, max_iter=max_iter)
        excess = solution.objective - best.objective
        assert solution.dual_gap >= excess - 1e-12 * unit_of(moments, c)


@each_penalty
def test_scales_do_not_matter_for_convergence(rng, penalty):
    X, y, task, weight = own(rng, scales=True)
    for tol in (1e-6, 1e-10):
        solution, moments, c = fit(penalty, X, y, weight, task=task, tol=tol)
        assert solution.converged
        assert solution.dual_gap <= tol * unit_of(moments, c)


def test_missing_labels_are_rows_left_out(rng):
    X, Y = shared(rng)
    Y[rng.random(Y.shape) < 0.3] = np.nan
    rows, task = np.nonzero(~np.isnan(Y))
    wide, long = fit(JointFeature(0.1), X, Y)[0], fit(JointFeature(0.1), X[rows], Y[rows, task], task=task)[0]
    assert_allclose(wide.W, long.W, atol=1e-9)
    assert_allclose(wide.b, long.b, atol=1e-8)


@pytest.mark.parametrize(
    "penalty", [JointFeature(), JointFeature(alpha_l1=0.05), JointFeature(norm=np.inf), L1()], ids=repr
)
def test_weights_vanish_at_alpha_max_and_not_before(rng, penalty):
    X, Y = shared(rng)
    moments = sums_for(penalty, check_data(X, Y))
    c = factors(moments)
    alpha = penalty.alpha_max(c[:, None] * moments.xy)
    for share, zero in [(1.0 - 1e-12, True), (1.0, True), (2.0, True), (0.999, False)]:
        member = penalty.with_alpha(share * alpha)
        (solution,) = solve(member, [member], moments, c, tol=1e-3)
        assert (not solution.W.any()) == zero


def test_alpha_max_needs_a_norm_on_every_feature():
    with pytest.raises(ValueError, match="l1_ratio=0"):
        JointFeature(l1_ratio=0.0).alpha_max(np.ones((2, 3)))
    with pytest.raises(ValueError, match="feature_weights=0"):
        JointFeature(feature_weights=[0.0, 1.0, 1.0]).alpha_max(np.ones((2, 3)))
    assert JointFeature(l1_ratio=0.5, positive=True).alpha_max(np.array([[3.0, -9.0], [4.0, 1.0]])) == 10.0


@pytest.mark.parametrize("weights", [[1.0, 2.0], [1.0, -1.0, 1.0], [1.0, np.nan, 1.0]])
def test_feature_weights_are_checked_by_fit(rng, weights):
    with pytest.raises(ValueError, match="feature_weights"):
        fit(JointFeature(feature_weights=weights), rng.normal(size=(9, 3)), rng.normal(size=(9, 2)))


@pytest.mark.parametrize("size", [(60, 30, 4), (20, 90, 5)])
def test_a_path_is_its_fits(rng, size):
    X, Y = shared(rng, *size)
    moments = sums_for(JointFeature(), check_data(X, Y))
    c = factors(moments)
    path = [JointFeature(alpha) for alpha in np.geomspace(2.0, 0.02, 12)]
    for member, solution in zip(path, solve(path[0], path, moments, c, tol=1e-13, max_iter=9999), strict=True):
        (alone,) = solve(member, [member], moments, c, tol=1e-13, max_iter=9999)
        assert_allclose(solution.W, alone.W, atol=1e-8)


@pytest.mark.parametrize("layout", ["shared", "own"])
def test_blocks_on_residuals_find_what_gram_matrices_find(rng, monkeypatch, layout):
    if layout == "shared":
        X, Y = shared(rng, 30, 200, 3)
        args, kwargs = (X, Y), {}
    else:
        X, y, task, weight = own(rng, d=60, sizes=(30, 1, 20, 40))
        args, kwargs = (X, y, weight), {"task": task}
    one = fit(JointFeature(0.2), *args, **kwargs, tol=1e-8)[0]
    monkeypatch.setattr(coordinate._Columns, "prefers_gram", lambda *_: False)
    other = fit(JointFeature(0.2), *args, **kwargs, tol=1e-8)[0]
    assert other.converged
    assert_allclose(other.objective, one.objective, rtol=1e-6)


def test_gram_matrices_in_blocks_find_the_same(rng, monkeypatch):
    X, Y = shared(rng, 100, 80, 3)
    one = fit(JointFeature(0.02), X, Y)[0]
    monkeypatch.setattr(coordinate, "_BLOCK", 7)
    assert_allclose(fit(JointFeature(0.02), X, Y)[0].W, one.W, atol=1e-9)


def test_permuted_tasks_permute_the_weights(rng):
    X, Y = shared(rng)
    order = rng.permutation(Y.shape[1])
    assert_allclose(fit(JointFeature(0.1), X, Y[:, order])[0].W, fit(JointFeature(0.1), X, Y)[0].W[order], atol=1e-10)


def test_a_task_without_weight_gets_the_mean_of_the_others(rng):
    X, y, task, _ = own(rng)
    moments = TaskMoments.from_data(check_data(X, y, task=task).reindex(np.arange(7)))
    (solution,) = solve(JointFeature(0.1), [JointFeature(0.1)], moments, factors(moments))
    assert_allclose(solution.W[6], solution.W[:6].mean(axis=0))


def test_labels_without_variance_need_no_weights(rng):
    X = rng.normal(size=(9, 3))
    solution, *_ = fit(JointFeature(0.1), X, np.full((9, 2), 7.0))
    assert not solution.W.any()
    assert_allclose(solution.b, 7.0)


@pytest.mark.parametrize("infinite", [0, 1])
@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("equal", [True, False])
def test_solve_row_meets_its_optimality_condition(rng, infinite, positive, equal):
    """The step back from w is a subgradient: its dual norm is at most lam, its product with w is lam |w|."""
    for scale in (0.1, 1.0, 10.0):
        b, L, lam, mu = scale * rng.normal(size=5), np.ones(5) if equal else rng.uniform(0.1, 9.0, 5), 0.8, 0.3
        w = np.empty(5)
        solve_row(b, L, lam, mu, infinite, positive, w)
        Z = b - L * w
        Z = np.maximum(Z - mu, 0.0) if positive else np.sign(Z) * np.maximum(np.abs(Z) - mu, 0.0)
        dual, length = (np.abs(Z).sum(), np.abs(w).max()) if infinite else (np.linalg.norm(Z), np.linalg.norm(w))
        assert dual <= lam * (1 + 1e-12)
        assert_allclose(Z @ w, lam * length, rtol=1e-12, atol=1e-12)
        assert not positive or (w >= 0).all()


def test_solve_row_is_the_prox_for_equal_curvatures(rng):
    for norm, positive in [(2, False), (np.inf, False), (2, True), (np.inf, True)]:
        b, w = 3.0 * rng.normal(size=4), np.empty(4)
        solve_row(b, np.full(4, 2.0), 0.8, 0.3, int(np.isinf(norm)), int(positive), w)
        penalty = JointFeature(0.8, alpha_l1=0.3, norm=norm, positive=positive)
        assert_allclose(w, penalty.prox(b[:, None] / 2.0, 0.5)[:, 0], atol=1e-12)


def test_an_epoch_is_its_twin_in_numpy(rng):
    A, q = rng.normal(size=(9, 4)), rng.normal(size=(3, 4))
    G, c, lam = A.T @ A, np.array([1.0, 2.0, 0.5]), np.array([0.1, 0.0, 0.3, 9.0])
    W, H = np.zeros((3, 4)), q.copy()
    place = np.zeros(3, dtype=np.int64)
    inputs = [read_only(a) for a in (G[None], place, c)]
    for _ in range(2):
        before, step = W.copy(), np.empty((3, 4))
        gram_epoch(*inputs, 0.2, read_only(lam), 0.05, 0, 0, 0, 1, W, H, step, np.empty((3, 3)))
        assert_allclose(step, W - before, atol=1e-15)
    V = np.zeros((3, 4))
    for _ in range(2):
        for j in range(4):
            b, w = c * (q[:, j] - V @ G[j] + G[j, j] * V[:, j]), np.empty(3)
            solve_row(b, c * G[j, j] + 0.2, lam[j], 0.05, 0, 0, w)
            V[:, j] = w
    assert_allclose(W, V, atol=1e-13)
    assert_allclose(H, q - W @ G, atol=1e-13)


@pytest.mark.parametrize("penalty", PENALTIES[:6], ids=repr)
def test_prox_is_a_minimum(rng, penalty):
    V = rng.normal(size=(3, 12))
    P = penalty.prox(V, 0.7)
    at = 0.7 * penalty.value(P) + 0.5 * np.sum((P - V) ** 2)
    for _ in range(20):
        other = P + 1e-4 * rng.normal(size=P.shape)
        assert 0.7 * penalty.value(other) + 0.5 * np.sum((other - V) ** 2) > at
