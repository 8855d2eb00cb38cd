"""Coordinate descent: scikit-learn's models as special cases, cvxpy as oracle, certificates that can be trusted."""

import tracemalloc

import cvxpy as cp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, Lasso, MultiTaskElasticNet, MultiTaskLasso

from skmtl import JointFeatureRegressor, L1Regressor, MultiTaskRegressor
from skmtl._numba import read_only
from skmtl.moments import SparseRows, TaskMoments
from skmtl.penalties import L1, JointFeature, Ridge
from skmtl.solvers import coordinate, moments_for, solve
from skmtl.solvers._coordinate import support
from skmtl.solvers._coordinate.columns import Columns
from skmtl.solvers._coordinate.epochs import gram_epoch, solve_row, take_off
from skmtl.solvers._coordinate.lassos import Lassos
from skmtl.solvers._coordinate.on_grams import OnLargeGram
from skmtl.solvers._coordinate.rounds import Rounds
from skmtl.solvers.solution import solve_one
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
    moments = moments_for(penalty, check_data(*args, **kwargs))
    c = factors(moments, by)
    solution = solve_one(penalty, moments, c, tol=tol, max_iter=max_iter)
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
    assert_allclose(solution.W, theirs.coef_, rtol=0, atol=1e-8)
    assert_allclose(solution.b, theirs.intercept_, atol=1e-7)
    theirs = MultiTaskElasticNet(alpha, l1_ratio=0.4, tol=1e-13, max_iter=100_000).fit(X, Y)
    assert_allclose(fit(JointFeature(alpha, l1_ratio=0.4), X, Y)[0].W, theirs.coef_, rtol=0, atol=1e-8)


@pytest.mark.parametrize("positive", [False, True])
def test_one_task_is_the_lasso_and_the_elastic_net(rng, positive):
    X, y = shared(rng, T=1)
    how = {"tol": 1e-13, "max_iter": 100_000, "positive": positive}
    lasso, net = Lasso(0.1, **how).fit(X, y[:, 0]), ElasticNet(0.1, l1_ratio=0.7, **how).fit(X, y[:, 0])
    for norm in (2, np.inf):
        assert_allclose(
            fit(JointFeature(0.1, norm=norm, positive=positive), X, y)[0].W[0], lasso.coef_, rtol=0, atol=1e-8
        )
    assert_allclose(fit(JointFeature(0.1, l1_ratio=0.7, positive=positive), X, y)[0].W[0], net.coef_, rtol=0, atol=1e-8)
    if not positive:
        assert_allclose(fit(L1(0.1), X, y)[0].W[0], lasso.coef_, rtol=0, atol=1e-8)


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
    moments = moments_for(penalty, check_data(X, y, weight, task=task))
    c = factors(moments)
    best = solve_one(penalty, moments, c, tol=1e-12, max_iter=20_000)
    for max_iter in (1, 2, 7, 20):
        solution = solve_one(penalty, moments, c, tol=0.0, max_iter=max_iter)
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
    assert_allclose(wide.W, long.W, rtol=0, atol=1e-9)
    assert_allclose(wide.b, long.b, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    "penalty", [JointFeature(), JointFeature(alpha_l1=0.05), JointFeature(norm=np.inf), L1()], ids=repr
)
def test_weights_vanish_at_alpha_max_and_not_before(rng, penalty):
    X, Y = shared(rng)
    moments = moments_for(penalty, check_data(X, Y))
    c = factors(moments)
    alpha = penalty.alpha_max(c[:, None] * moments.xy)
    for share, zero in [(1.0 - 1e-12, True), (1.0, True), (2.0, True), (0.999, False)]:
        member = penalty.with_alpha(share * alpha)
        solution = solve_one(member, moments, c, tol=1e-3)
        assert (not solution.W.any()) == zero


@pytest.mark.parametrize("l1_ratio", [1.0, 0.7, 0.1])
def test_rounding_does_not_bring_weights_back_at_alpha_max(rng, l1_ratio):
    X, Y = shared(rng)
    for unit in np.linspace(1.0, 2.0, 40):
        penalty = JointFeature(l1_ratio=l1_ratio, feature_weights=np.linspace(1.0, 3.0, X.shape[1]))
        moments = moments_for(penalty, check_data(X, unit * Y))
        c = factors(moments)
        alpha = penalty.alpha_max(c[:, None] * moments.xy)
        assert not solve_one(penalty.with_alpha((1.0 - 1e-12) * alpha), moments, c).W.any()


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
    moments = moments_for(JointFeature(), check_data(X, Y))
    c = factors(moments)
    path = [JointFeature(alpha) for alpha in np.geomspace(2.0, 0.1, 12)]
    for member, solution in zip(path, solve(path[0], path, moments, c, tol=1e-13, max_iter=9999), strict=True):
        alone = solve_one(member, moments, c, tol=1e-13, max_iter=9999)
        assert_allclose(solution.W, alone.W, rtol=0, atol=1e-8)


@pytest.mark.parametrize("layout", ["shared", "own"])
def test_blocks_on_residuals_find_what_gram_matrices_find(rng, monkeypatch, layout):
    if layout == "shared":
        X, Y = shared(rng, 30, 200, 3)
        args, kwargs = (X, Y), {}
    else:
        X, y, task, weight = own(rng, d=60, sizes=(30, 1, 20, 40))
        args, kwargs = (X, y, weight), {"task": task}
    one = fit(JointFeature(0.2), *args, **kwargs, tol=1e-8)[0]
    monkeypatch.setattr(Columns, "prefers_gram", lambda *_: False)
    other = fit(JointFeature(0.2), *args, **kwargs, tol=1e-8)[0]
    assert other.converged
    assert_allclose(other.objective, one.objective, rtol=1e-6)


@pytest.mark.parametrize("truncated", [False, True])
def test_gram_matrices_in_blocks_find_the_same(truncated, rng, monkeypatch):
    """Between blocks in single precision, as in truncated steps; the products between rounds put it right."""
    X, Y = shared(rng, 100, 80, 3)
    one, product, steps = fit(JointFeature(0.02), X, Y)[0], OnLargeGram.single, []
    monkeypatch.setattr(OnLargeGram, "block", 7)
    monkeypatch.setattr(OnLargeGram, "single", lambda self: steps.append(1) or product(self))
    monkeypatch.setattr(support, "_CALLS", 0.0 if truncated else np.inf)
    other = fit(JointFeature(0.02), X, Y)[0]
    assert bool(steps) == truncated
    assert other.converged
    assert_allclose(other.W, one.W, rtol=0, atol=1e-9)


@pytest.mark.parametrize("penalty", [JointFeature(0.02), JointFeature(0.02, alpha_l1=0.005), L1(0.01)], ids=repr)
@pytest.mark.parametrize("layout", ["shared", "own", "residuals"])
def test_truncated_newton_steps_find_what_epochs_find(rng, monkeypatch, penalty, layout):
    X, Y = shared(rng, 60, 90, 4)
    task = None
    monkeypatch.setattr(Lassos, "suit", lambda _: False)
    if layout == "own":
        task, X, Y = np.arange(60) % 3, X, Y[:, 0]
    elif layout == "residuals":
        monkeypatch.setattr(Columns, "prefers_gram", lambda *_: False)
    taken = []
    step = support.truncated_step
    monkeypatch.setattr(support, "truncated_step", lambda descent: taken.append(1) or step(descent))
    monkeypatch.setattr(support, "exact_price", lambda _: np.inf)
    with_steps = fit(penalty, X, Y, task=task, tol=1e-9)[0]
    assert taken
    monkeypatch.setattr(support, "truncated_price", lambda _: np.inf)
    epochs_only = fit(penalty, X, Y, task=task, tol=1e-9)[0]
    assert with_steps.converged
    assert epochs_only.converged
    assert_allclose(with_steps.objective, epochs_only.objective, rtol=1e-8)
    assert with_steps.n_iter < epochs_only.n_iter


@pytest.mark.parametrize("alpha", [0.0, 1e-6, 1.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_squares_alone_are_those_of_ridge_regression(rng, alpha, fit_intercept):
    """Of tasks that share more rows than features, and keep them for the products of few columns."""
    X, Y = shared(rng, 60, 30, 2)
    squares, ridge = (
        MultiTaskRegressor(penalty, fit_intercept=fit_intercept).fit(X, Y)
        for penalty in (JointFeature(alpha, l1_ratio=0.0), Ridge(alpha))
    )
    assert_allclose(squares.coef_, ridge.coef_, rtol=0, atol=1e-9)
    assert squares.dual_gap_ <= 1e-12 * ridge.objective_


@pytest.mark.parametrize(
    "penalty", [L1(0.0), JointFeature(0.0), JointFeature(1e-6, feature_weights=[1.0] + 12 * [0.0])]
)
def test_the_gap_says_so_where_free_features_are_nearly_dependent(penalty):
    """Powers of one number; polynomials of Legendre have the same span, and are not."""
    at = np.linspace(0.0, 1.0, 60)
    X, y = at[:, None] ** np.arange(13), np.sin(20.0 * at)
    basis = np.polynomial.legendre.legvander(2.0 * at - 1.0, 12)
    least = 0.5 * np.mean((y - basis @ np.linalg.lstsq(basis, y)[0]) ** 2)
    model = MultiTaskRegressor(penalty, fit_intercept=False)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        model.fit(X, y)
    assert model.objective_ > 2.0 * least
    assert model.objective_ - model.dual_gap_ <= least


@pytest.mark.parametrize("l1_ratio", [1.0, 0.9])
def test_newton_steps_on_few_rows_solve_the_equations_of_all_weights(rng, monkeypatch, l1_ratio):
    """In single precision, of features as long as 0.01 or 100."""
    n_tasks, (X, Y) = 8, shared(rng, 30, 200, 8)
    X *= 10.0 ** rng.uniform(-2, 2, X.shape[1])
    penalty = JointFeature(0.02, l1_ratio=l1_ratio, feature_weights=X.std(axis=0))
    monkeypatch.setattr(Columns, "prefers_gram", lambda *_: False)
    monkeypatch.setattr(support, "_CALLS", 0.0)
    monkeypatch.setattr(support, "_ACCURACY_OF_LENGTHS", 1e-4)
    few_rows, errors = support._step_of_few_rows, []

    def compared(descent):
        step, omega, c = few_rows(descent), descent.omega, descent.columns.c[0]
        used = np.flatnonzero(descent.W.any(axis=1))
        unit = descent.unit_scale[used, None]
        W, A = descent.W[used], unit * descent.A[used]
        d = omega.lam[used] / np.linalg.norm(W, axis=1)
        H = np.kron(c * A @ A.T + np.diag(unit[:, 0] ** 2 * (omega.ridge + d)), np.eye(n_tasks))
        for j, w in enumerate(W):
            at = slice(n_tasks * j, n_tasks * (j + 1))
            H[at, at] -= unit[j] ** 2 * d[j] * np.outer(w, w) / (w @ w)
        right = (unit * (c * descent.H[used] - (omega.ridge + d)[:, None] * W)).ravel()
        error, exact = (step[used] / unit).ravel(), np.linalg.solve(H, right)
        error -= exact
        if descent.damping == 0.0:
            errors.append(np.sqrt((error @ H @ error) / (exact @ H @ exact)))
        return step

    monkeypatch.setattr(support, "_step_of_few_rows", compared)
    solution, moments, c = fit(penalty, X, Y, tol=1e-9)
    assert solution.converged
    assert solution.dual_gap <= 1e-9 * unit_of(moments, c)
    assert len(errors) >= 2
    assert max(errors) < 0.01


@pytest.mark.parametrize("step", ["_step_of_few_rows", "_exact_step"])
def test_what_rounding_makes_singular_costs_a_newton_step_and_no_fit(rng, monkeypatch, step):
    X, Y = shared(rng, 30, 200, 4)
    penalty = JointFeature(0.02)
    if step == "_step_of_few_rows":
        monkeypatch.setattr(Columns, "prefers_gram", lambda *_: False)
        monkeypatch.setattr(support, "_CALLS", 0.0)
    usual, asked = fit(penalty, X, Y, tol=1e-8)[0], []

    def singular(descent):
        asked.append(descent)
        raise np.linalg.LinAlgError

    monkeypatch.setattr(support, step, singular)
    solution = fit(penalty, X, Y, tol=1e-8)[0]
    assert asked
    assert solution.converged
    assert_allclose(solution.objective, usual.objective, rtol=1e-7)


@pytest.mark.parametrize("l1_ratio", [1.0, 0.9])
def test_more_features_than_labels_at_weak_strengths_take_few_epochs(rng, monkeypatch, l1_ratio):
    """Every feature twice, nearly. With steps to where the first feature ends these took more than 10,000 epochs."""
    X, Y = shared(rng, 20, 160, 4, noise=0.1)
    X[:, 80:] = X[:, :80] + 0.01 * rng.normal(size=(20, 80))
    monkeypatch.setattr(Columns, "prefers_gram", lambda *_: False)
    solution, moments, c = fit(JointFeature(1e-3, l1_ratio=l1_ratio), X, Y, tol=1e-9)
    assert solution.converged
    assert solution.dual_gap <= 1e-9 * unit_of(moments, c)
    assert solution.n_iter < 6000


@pytest.mark.parametrize("layout", ["shared", "own", "missing labels"])
@pytest.mark.parametrize("size", [(200, 40, 3), (40, 200, 3)], ids=["more rows", "more features"])
@pytest.mark.parametrize("penalty", [JointFeature(0.005), L1(0.003)], ids=repr)
@pytest.mark.parametrize("on_residuals", [False, True])
def test_sparse_rows_have_the_solution_of_dense_ones(rng, monkeypatch, layout, size, penalty, on_residuals):
    n, d, T = size
    X = sparse.random_array((n, d), density=0.1, rng=rng, format="csr")
    Y = X @ rng.normal(size=(d, T)) + 0.1 * rng.normal(size=(n, T))
    task = np.arange(n) % T if layout == "own" else None
    Y = Y[:, 0] if layout == "own" else np.where((rng.random(Y.shape) < 0.2) & (layout != "shared"), np.nan, Y)
    dense, moments, c = fit(penalty, X.toarray(), Y, task=task)
    if on_residuals:
        monkeypatch.setattr(Columns, "prefers_gram", lambda columns, _: len(columns.moments.gram) > 0)
    solution, *_ = fit(penalty, X, Y, task=task)
    assert solution.converged
    assert abs(solution.objective - dense.objective) <= 1e-11 * unit_of(moments, c)
    assert_allclose(solution.b + solution.W.mean(axis=1), dense.b + dense.W.mean(axis=1), atol=1e-4)


def test_sparse_rows_stay_sparse(rng, monkeypatch):
    X = sparse.random_array((300, 120), density=0.02, rng=rng, format="csr")
    Y = X @ rng.normal(size=(120, 3)) + 0.1 * rng.normal(size=(300, 3))

    def refuse(*_):
        raise AssertionError("dense columns")

    monkeypatch.setattr(SparseRows, "columns", refuse)
    monkeypatch.setattr(SparseRows, "A", property(refuse))
    for how in ({}, {"task": np.arange(300) % 3}):
        path = [JointFeature(alpha) for alpha in (0.01, 0.001)]
        moments = moments_for(path[0], check_data(X, Y if not how else Y[:, 0], **how))
        assert all(solution.converged for solution in solve(path[0], path, moments, factors(moments)))


@pytest.mark.parametrize("alpha_l1", [0.0, 0.01])
@pytest.mark.parametrize("positive", [False, True])
def test_maximum_norm_with_more_features_than_rows_takes_few_iterations(rng, alpha_l1, positive):
    """The minimum on a face of the norm is a linear problem; epochs alone take up to ten thousand here."""
    task, X = np.repeat(np.arange(4), (3, 6, 9, 12)), rng.normal(size=(30, 20))
    y = X @ rng.normal(size=20) + task
    for alpha in (0.1, 0.01):
        penalty = JointFeature(alpha, alpha_l1=alpha_l1, norm=np.inf, positive=positive)
        solution, moments, c = fit(penalty, X, y, task=task, tol=1e-10)
        assert solution.converged
        assert solution.dual_gap <= 1e-10 * unit_of(moments, c)
        assert solution.n_iter <= 700


@pytest.mark.parametrize("patience", [500, 20])
def test_maximum_norm_of_a_crowd_of_features_is_split_after_a_few_epochs(rng, monkeypatch, patience):
    """Epochs alone take more than a thousand; a splitting that is given up leaves the rest to them."""
    monkeypatch.setattr(coordinate, "_PATIENCE", patience)
    X = rng.normal(size=(40, 150))
    Y = X[:, :8] @ rng.normal(size=(8, 8)) + rng.normal(size=(40, 8))
    solution, moments, c = fit(JointFeature(0.01, norm=np.inf), X, Y, max_iter=20_000)
    assert np.count_nonzero(solution.W.any(axis=0)) > 100
    assert solution.converged
    assert solution.dual_gap <= 1e-6 * unit_of(moments, c)
    assert 70 < solution.n_iter <= (1000 if patience == 500 else 20_000)


@pytest.mark.parametrize("options", [{}, {"alpha_l1": 0.3}, {"positive": True}], ids=str)
@pytest.mark.parametrize("shared", [True, False])
def test_more_features_in_use_than_rows_take_few_iterations(shared, options):
    """Only a weak norm curves along what no row sees: epochs alone take up to thousands, and long ones."""
    rng, n_tasks, n = np.random.default_rng(0), 10, 15
    X = rng.normal(size=(n if shared else n * n_tasks, 120))
    for j in range(1, 120):
        X[:, j] = 0.9 * X[:, j - 1] + 0.44 * X[:, j]
    task = None if shared else np.repeat(np.arange(n_tasks), n)
    y = rng.normal(size=(n, n_tasks) if shared else n * n_tasks)
    alpha = 1e-4 * MultiTaskRegressor(JointFeature(1.0)).alpha_max(X, y, task=task)
    options = {"alpha_l1": options["alpha_l1"] * alpha} if "alpha_l1" in options else options
    solution, moments, c = fit(JointFeature(alpha, **options), X, y, task=task, tol=1e-6)
    assert np.count_nonzero(solution.W.any(axis=0)) > n
    assert solution.converged
    assert solution.dual_gap <= 1e-6 * unit_of(moments, c)
    assert solution.n_iter <= 250


@pytest.mark.parametrize("n", [30, 80], ids=["fewer rows than features", "more"])
def test_few_copies_of_gram_matrices_are_made(rng, n):
    """They are most of what a fit of many tasks needs: the moments, those of a working set, and what steps take."""
    T, d = 60, 60
    X, task = rng.normal(size=(T * n, d)), np.repeat(np.arange(T), n)
    y = np.einsum("ij,ij->i", X, rng.normal(size=(T, d))[task])
    model = JointFeatureRegressor(0.01).fit(X, y, task=task)  # after which all kernels are compiled
    tracemalloc.start()
    try:
        model.fit(X, y, task=task)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert model.coef_.all()
    assert peak < 4.5 * T * d**2 * 8


def test_newton_steps_go_on_to_where_a_feature_ends():
    """Indicators depend on each other, and a step may turn one around that the others need at zero."""
    rng, n_tasks, n = np.random.default_rng(41), 20, 15
    X = np.hstack([*(np.eye(k)[rng.integers(k, size=n * n_tasks)] for k in (2, 3, 3)), np.ones((n * n_tasks, 1))])
    X[:, :-1] = (X[:, :-1] - X[:, :-1].mean(axis=0)) / X[:, :-1].std(axis=0)
    task = np.repeat(np.arange(n_tasks), n)
    W = 2 * rng.normal(size=X.shape[1]) + 0.7 * rng.normal(size=(n_tasks, X.shape[1]))
    y = np.einsum("ij,ij->i", X, W[task]) + 3 * rng.normal(size=len(X))
    model = JointFeatureRegressor(fit_intercept=False, tol=1e-8)
    model.set_params(alpha=0.02 * model.alpha_max(X, y, task=task)).fit(X, y, task=task)
    assert model.n_iter_ <= 35  # 52 where a step goes all the way or nowhere


def test_permuted_tasks_permute_the_weights(rng):
    X, Y = shared(rng)
    order = rng.permutation(Y.shape[1])
    assert_allclose(
        fit(JointFeature(0.1), X, Y[:, order])[0].W, fit(JointFeature(0.1), X, Y)[0].W[order], rtol=0, atol=1e-10
    )


def test_a_task_without_weight_gets_the_mean_of_the_others(rng):
    X, y, task, _ = own(rng)
    moments = TaskMoments.from_data(check_data(X, y, task=task).reindex(np.arange(7)))
    solution = solve_one(JointFeature(0.1), moments, factors(moments))
    assert_allclose(solution.W[6], solution.W[:6].mean(axis=0))


def test_labels_without_variance_need_no_weights(rng):
    X = rng.normal(size=(9, 3))
    solution, *_ = fit(JointFeature(0.1), X, np.full((9, 2), 7.0))
    assert not solution.W.any()
    assert_allclose(solution.b, 7.0)


@pytest.mark.parametrize("infinite", [0, 1])
@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("decades", [0, 2, 8])
def test_solve_row_meets_its_optimality_condition(rng, infinite, positive, decades):
    """The step back from w is a subgradient: its dual norm is at most lam, its product with w is lam |w|."""
    for scale in (0.1, 1.0, 10.0):
        b, L, lam, mu = scale * rng.normal(size=5), 10.0 ** (decades * rng.uniform(-0.5, 0.5, size=5)), 0.8, 0.3
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
        assert_allclose(w, penalty.prox(b[:, None] / 2.0, 0.5)[:, 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("mu", [0.0, 0.05])
@pytest.mark.parametrize("one", [True, False], ids=["one matrix", "a matrix for each task"])
@pytest.mark.parametrize("alike", [True, False])
def test_an_epoch_is_its_twin_in_numpy(rng, mu, one, alike):
    n_grams, q = 1 if one else 3, rng.normal(size=(4, 3))
    A = rng.normal(size=(n_grams, 9, 4))
    G = np.ascontiguousarray(np.moveaxis(np.matmul(A.swapaxes(1, 2), A), 0, 2))
    c, lam = np.full(3, 1.5) if alike else np.array([1.0, 2.0, 0.5]), np.array([0.1, 0.0, 0.3, 9.0])
    W, H, each = np.zeros((4, 3)), q.copy(), np.broadcast_to(G, (4, 4, 3))
    for _ in range(2):
        before, step = W.copy(), np.empty((4, 3))
        how = (0.2, read_only(lam), mu, 0, 0, 1)
        gram_epoch(read_only(G), read_only(c), *how, W, H, step, np.empty((3, 3)))
        assert_allclose(step, W - before, rtol=1e-13, atol=1e-15)
    V = np.zeros((4, 3))
    for _ in range(2):
        for j in range(4):
            curvature, w = each[j, j], np.empty(3)
            b = c * (q[j] - np.einsum("kt,kt->t", each[j], V) + curvature * V[j])
            solve_row(b, c * curvature + 0.2, lam[j], mu, 0, 0, w)
            V[j] = w
    assert_allclose(W, V, rtol=0, atol=1e-13)
    assert_allclose(H, q - np.einsum("jkt,kt->jt", each, V), rtol=0, atol=1e-13)
    H = q.copy()
    take_off(read_only(np.ascontiguousarray(each)), read_only(V), H)
    assert_allclose(H, q - np.einsum("jkt,kt->jt", each, V), rtol=0, atol=1e-13)


def test_conjugate_gradients_are_their_twins_in_numpy(rng):
    GP, U, P, curved, R, D = rng.normal(size=(6, 4, 3)).astype(np.float32)
    c, diagonal, d = (np.abs(rng.normal(size=n)).astype(np.float32) for n in (3, 4, 4))
    out, step, before, Z = np.empty_like(P), np.zeros_like(P), R.copy(), np.empty_like(P)
    along = support.curvature_along(GP, c, diagonal, d, U, P, out)
    twin = c * GP + diagonal[:, None] * P - U * (d * (U * P).sum(axis=1))[:, None]
    assert_allclose(out, twin, atol=1e-5)
    assert_allclose(along, np.vdot(twin, P), rtol=1e-4)
    size = support.descend_along(0.5, P, curved, np.abs(D), U, d, step, R, Z)
    assert_allclose(step, 0.5 * P, atol=1e-6)
    assert_allclose(R, before - 0.5 * curved, atol=1e-5)
    twin = R / np.abs(D)
    twin += U / np.abs(D) * (d * (U * twin).sum(axis=1))[:, None]
    assert_allclose(Z, twin, rtol=1e-4, atol=1e-5)
    assert_allclose(size, np.vdot(R, twin), rtol=1e-4)


@pytest.mark.parametrize("penalty", PENALTIES[:6], ids=repr)
def test_prox_is_a_minimum(rng, penalty):
    V = rng.normal(size=(3, 12))
    P = penalty.prox(V, 0.7)
    at = 0.7 * penalty.value(P) + 0.5 * np.sum((P - V) ** 2)
    for _ in range(20):
        other = P + 1e-4 * rng.normal(size=P.shape)
        assert 0.7 * penalty.value(other) + 0.5 * np.sum((other - V) ** 2) > at


@pytest.mark.parametrize("share", [0.3, 0.05])
@pytest.mark.parametrize(
    "model", [L1Regressor(), JointFeatureRegressor(), JointFeatureRegressor(l1_ratio=0.5)], ids=str
)
def test_of_two_equal_columns_weights_are_zero_or_more_than_rounding(model, share, rng):
    """A column that stands twice passes its weight from one to the other, and 1e-17 of it stayed behind."""
    for _ in range(30):
        X = rng.integers(-2, 3, size=(25, 6)).astype(float)[:, [0, 1, 2, 3, 0, 1, 2, 4, 5, 4]]
        Y = X[:, :3] @ rng.normal(size=(3, 4)) + 0.1 * rng.normal(size=(25, 4))
        model = clone(model).set_params(alpha=share * clone(model).alpha_max(X, Y))
        W = np.abs(model.fit(X, Y).coef_)
        assert not ((W > 0) & (W < 1e-13 * W.max(axis=1, keepdims=True))).any()


@pytest.mark.parametrize(("share", "budgets"), [(0.5, [5, 295]), (0.03, [5])])
def test_splitting_comes_soon_where_a_crowd_of_features_is_in_use(share, budgets, rng, monkeypatch):
    """Under the maximum norm; where few are, epochs go on."""
    found, usual = [], Rounds.run
    monkeypatch.setattr(Rounds, "run", lambda self, n, *starts: found.append(n) or usual(self, n, *starts))
    monkeypatch.setattr(coordinate, "_BRIEF", 5)
    X = rng.normal(size=(20, 250))
    Y = X[:, :10] @ rng.normal(size=(10, 10)) + rng.normal(size=(20, 10))
    a = share * MultiTaskRegressor(JointFeature(1.0)).alpha_max(X, Y)
    MultiTaskRegressor(JointFeature(a, norm=np.inf), tol=1e-8).fit(X, Y)
    assert found == budgets
