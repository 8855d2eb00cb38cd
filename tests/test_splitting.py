"""The splitting and its parts: the quadratic step, extrapolation, certificates, threads, warm starts, warnings."""

import threading
import warnings
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from skmtl import DirtyRegressor, MeanRegularizedRegressor, MultiTaskRegressor, TraceNormRegressor, _problem
from skmtl._threads import crew, one_blas_thread
from skmtl.moments import TaskMoments
from skmtl.moments._incomplete import IncompleteMoments
from skmtl.penalties import (
    L1,
    AdaptiveJointFeature,
    Dirty,
    FusedTasks,
    JointFeature,
    LatentBasis,
    Norm,
    Pooled,
    ReducedRank,
    Ridge,
    RobustLowRank,
    SharedPlusSpecific,
    SparseLowRank,
    Sum,
    TaskGraph,
    TaskRelationship,
    Temporal,
    TraceNorm,
)
from skmtl.penalties.graph import Edges
from skmtl.solvers import _anderson, _certificates, newton, splitting
from skmtl.solvers._anderson import Anderson
from skmtl.solvers._certificates import common_null, ways
from skmtl.solvers._coupling import Together
from skmtl.solvers._quadratic import PulledIntercepts, Quadratic, quadratic_of
from skmtl.solvers._sparse_step import SparseStep
from skmtl.solvers.splitting import minimize
from skmtl.tasks import check_data
from tests.oracles import INSTANCES, long_table, outputs

each_instance = pytest.mark.parametrize("instance", INSTANCES)


pytestmark = pytest.mark.usefixtures("one_blas_thread")


def moments_of(instance, **how):
    data = check_data(instance.X, instance.y, instance.sample_weight, task=instance.task)
    sums = TaskMoments.from_data(data, **how)
    return sums.only(sums.active)


def factors_of(moments):
    return np.linspace(0.5, 2.0, moments.n_tasks) / moments.weight.sum()


# The quadratic step


@each_instance
@pytest.mark.parametrize("rho", [1e-3, 1.0])
def test_the_step_solves_its_equations(instance, rho, rng):
    """``(c_t G_t + (ridge + rho_t) I) w_t = r_t`` for right-hand sides inside and outside the span of the rows."""
    moments = moments_of(INSTANCES[instance](rng))
    c = factors_of(moments)
    quadratic = Quadratic(moments, c)
    quadratic.ridge = 0.1
    own = rho * np.linspace(1.0, 3.0, moments.n_tasks)[:, None]
    R = rng.normal(size=moments.xy.shape)
    W = quadratic.resolve(R, own)
    left = c[:, None] * moments.times_gram(W) + (0.1 + own) * W
    largest = max(1.0, np.max(c[:, None] * moments.squares) / rho)
    assert_allclose(left, R, rtol=1e-13, atol=1e-14 * largest * np.abs(R).max())


@each_instance
def test_loss_and_descent_are_those_of_the_rows(instance, rng):
    data = INSTANCES[instance](rng)
    moments = moments_of(data)
    c = factors_of(moments)
    W = rng.normal(size=moments.xy.shape) / np.sqrt(1.0 + moments.squares)
    loss, descent = Quadratic(moments, c).at(W)
    tasks = [task for task in data.tasks if len(task.y)]
    expected, slopes = 0.0, np.zeros_like(W)
    for t, (X, y, s) in enumerate(tasks):
        b = s @ (y - X @ W[t]) / s.sum()
        residual = s * (y - X @ W[t] - b)
        expected += c[t] / 2 * residual @ (y - X @ W[t] - b)
        slopes[t] = c[t] * (X - s @ X / s.sum()).T @ residual
    assert_allclose(loss, expected, rtol=1e-9)
    assert_allclose(descent, slopes, rtol=1e-7, atol=1e-9 * np.abs(slopes).max())


def test_pulled_intercepts_are_eliminated(rng):
    """Loss, gradient and step are those of a function of W alone, minimised over all intercepts."""
    data = long_table(rng, [3, 20, 9, 40], 4)
    moments, a_b = moments_of(data), 0.3
    c = factors_of(moments)
    quadratic = PulledIntercepts(moments, c, a_b=a_b)

    def value(W):
        n = len(data.tasks)
        A, right, loss = np.zeros((n + 1, n + 1)), np.zeros(n + 1), 0.0  # b_1, ..., b_T, b_0
        for t, (X, y, s) in enumerate(data.tasks):
            r = y - X @ W[t]
            A[t, t] += c[t] * s.sum() + a_b
            A[t, n] = A[n, t] = -a_b
            A[n, n] += a_b
            right[t] = c[t] * s @ r
            loss += c[t] / 2 * s @ r**2
        return loss - 0.5 * right @ np.linalg.pinv(A) @ right

    W, V = rng.normal(size=moments.xy.shape), rng.normal(size=moments.xy.shape)
    loss, descent = quadratic.at(W)
    assert_allclose(loss, value(W), rtol=1e-9)
    slope = (value(W + 1e-4 * V) - value(W - 1e-4 * V)) / 2e-4
    assert_allclose(-np.vdot(descent, V), slope, rtol=1e-6)
    X = quadratic.resolve(quadratic.B + 0.7 * V, 0.7)
    assert_allclose(quadratic.at(X)[1], 0.7 * (X - V), rtol=0, atol=1e-9 * np.abs(quadratic.B).max())


@pytest.mark.parametrize(
    "instance", ["tasks without weight", "shared, tasks without weight", "more features than rows"]
)
def test_moments_of_some_tasks_are_theirs(instance, rng):
    data = INSTANCES[instance](rng)
    sums = TaskMoments.from_data(check_data(data.X, data.y, data.sample_weight, task=data.task))
    kept = sums.active & (np.arange(sums.n_tasks) != 2)
    few, W = sums.only(kept), rng.normal(size=sums.xy.shape)
    assert_array_equal(few.tasks, sums.tasks[kept])
    assert_allclose(few.times_gram(W[kept]), sums.times_gram(W)[kept], rtol=1e-12)
    assert_allclose(few.squares, sums.squares[kept], rtol=1e-12)
    assert_array_equal(few.intercepts(W[kept]), sums.intercepts(W)[kept])


# Extrapolation


def test_extrapolation_solves_a_linear_iteration_in_as_many_steps_as_dimensions(rng):
    A = 0.9 * np.linalg.qr(rng.normal(size=(6, 6)))[0]
    b, z = rng.normal(size=6), np.zeros(6)
    mixing = Anderson()
    for _ in range(9):
        z = mixing.propose(z, A @ z + b - z)
    assert_allclose(z, np.linalg.solve(np.eye(6) - A, b), rtol=1e-6)


def test_steps_that_take_much_memory_are_few(rng, monkeypatch):
    A = rng.normal(size=(30, 30)) / 8.0
    M = np.eye(30) - A @ A.T / np.linalg.norm(A @ A.T, 2)
    residuals = {}
    for most in (1e9, 2 * 30 * 8 * 5, 1.0):
        monkeypatch.setattr(_anderson, "_MOST", most)
        mixing, z = Anderson(), np.ones(30)
        for _ in range(40):
            z = mixing.propose(z, M @ z - z)
        residuals[mixing.memory] = np.linalg.norm(M @ z - z)
    assert list(residuals) == [20, 5, 3]
    assert max(residuals.values()) < np.linalg.norm(M @ np.ones(30) - np.ones(30))


def test_extrapolation_from_a_solution_stays_there():
    mixing, z = Anderson(), np.ones(3)
    for _ in range(3):
        assert_array_equal(mixing.propose(z, np.zeros(3)), z)


# Certificates


SUMS_WITH_ABSOLUTE_VALUES = [
    TraceNorm(0.5) + L1(0.1),
    TraceNorm(0.5) + L1(0.1, alpha_ridge=0.3),
    TaskRelationship(0.1) + L1(0.5),
    SharedPlusSpecific(1.0, alpha_l1=0.5) + L1(0.1),
    TaskGraph(1.0, {(0, 1): 1.0, (1, 2): 2.0}, alpha_l1=0.5),
    TraceNorm(1.0) + FusedTasks(0.5, {(0, 1): 1.0, (1, 2): 2.0}) + L1(0.5),
    TraceNorm(1.0) + JointFeature(0.5, positive=True) + L1(0.5),
]


@pytest.mark.parametrize(
    ("penalty", "problem_of"),
    [(penalty, SparseStep) for penalty in SUMS_WITH_ABSOLUTE_VALUES]
    + [(penalty, Together) for penalty in SUMS_WITH_ABSOLUTE_VALUES]
    + [
        (penalty, Together)
        for penalty in [
            TraceNorm(3.0),
            TraceNorm(3.0, alpha_ridge=0.5),
            TaskRelationship(0.1),
            Temporal(1.0, 0.3, 0.2),
            Temporal(1.0),
            Temporal(1.0, 0.1, smooth=True),
            TraceNorm(2.0) + FusedTasks(0.5, {(0, 1): 1.0, (1, 2): 2.0}),
        ]
    ],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
def test_a_bound_is_below_every_objective(penalty, problem_of, rng):
    """From any point and any feasible subgradients; and no more than rounding below the least, from the solution."""
    quadratic = Quadratic(moments_of(outputs(rng, 30, 4, 3)), np.full(3, 3 / 90))
    quadratic.ridge = penalty.ridge
    problem = problem_of(penalty, quadratic)
    z, rho = problem.start(None)
    least, bounds = np.inf, []
    for _ in range(300):
        v, y, r = problem.step(z, rho)
        points, bound, _ = problem.certify(z, v, y, rho)
        bounds.append(bound)
        least = min(least, *(value for value, *_ in points), problem.objective(rng.normal(size=quadratic.B.shape)))
        z = z + r
    assert max(bounds) <= least + 1e-13 * quadratic.f0
    assert max(bounds) >= least - 1e-6 * quadratic.f0
    assert min(bounds) < least - 1e-6 * quadratic.f0, "the first bounds must have been worse, or nothing was tested"


@pytest.mark.parametrize("pulled", [False, True])
@pytest.mark.parametrize("penalty", SUMS_WITH_ABSOLUTE_VALUES, ids=str)
def test_absolute_values_within_the_step_or_besides_it_have_one_minimum(penalty, pulled, rng):
    moments, c = moments_of(outputs(rng, 30, 4, 3)), np.full(3, 3 / 90)
    quadratic = PulledIntercepts(moments, c, a_b=0.5) if pulled else Quadratic(moments, c)
    quadratic.ridge = penalty.ridge
    one, two = (minimize(kind(penalty, quadratic), 1e-12 * quadratic.f0, 1000, None) for kind in (SparseStep, Together))
    assert one.converged
    assert two.converged
    assert abs(one.objective - two.objective) <= 2e-12 * quadratic.f0
    assert_allclose(one.W, two.W, rtol=0, atol=1e-4 * np.abs(two.W).max())


def test_absolute_values_alone_or_beside_quadratic_forms_or_with_missing_labels_are_not_within_the_step(rng):
    quadratic = Quadratic(moments_of(outputs(rng, 30, 4, 3)), np.full(3, 3 / 90))
    quadratic_form = TaskGraph(1.0, {(0, 1): 1.0, (1, 2): 2.0}, alpha_l1=0.5)
    for penalty in (L1(1.0), TraceNorm(0.0) + L1(1.0), TraceNorm(1.0) + L1(0.0), quadratic_form):
        assert not SparseStep.suits(Together(penalty, quadratic))
    assert SparseStep.suits(Together(TraceNorm(1.0) + L1(1.0), quadratic))
    data = outputs(rng, 30, 4, 3, missing=0.3)
    incomplete = quadratic_of(IncompleteMoments.of(check_data(data.X, data.y)), np.full(3, 3 / 60))
    assert not SparseStep.suits(Together(TraceNorm(1.0) + L1(1.0), incomplete))


def test_sparse_and_low_rank_weights_of_tasks_with_few_rows_take_no_thousand_iterations(rng):
    """Where tasks have fewer rows than features and the strength is nearly the largest: 1000 were not enough."""
    task = np.repeat(np.arange(100), 15)
    X = rng.normal(size=(len(task), 30))
    W = rng.normal(size=(100, 3)) @ rng.normal(size=(3, 30))
    y = np.einsum("ij,ij->i", X, W[task]) + rng.normal(size=len(task))
    alpha = 0.3 * TraceNormRegressor().alpha_max(X, y, task=task)
    model = MultiTaskRegressor(TraceNorm(alpha) + L1(0.1 * alpha)).fit(X, y, task=task)
    assert model.n_iter_ < 500


def test_norms_share_out_what_none_of_them_has_room_for(rng, monkeypatch):
    """Two dual balls of radius 1: the sum of a point in each is in neither, nor with either alone."""
    monkeypatch.setattr(_certificates, "_NEAR", np.inf)
    left, _, right = np.linalg.svd(rng.normal(size=(6, 4)), full_matrices=False)
    direction = 0.95 * left @ right + 0.9 * np.sign(rng.normal(size=(6, 4)))
    duals = [(TraceNorm(1.0), 0.5 * left @ right), (L1(1.0), np.zeros((6, 4)))]
    gauges = [gauge for gauge, _ in ways(direction, duals, 0.0, n_null=0)]
    assert len(gauges) == 4
    assert min(gauges[:2]) > 1.05
    assert min(gauges[2:]) - 1.0 < 0.3 * (min(gauges[:2]) - 1.0)


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        (TraceNorm(0.0), Ridge(0.0)),
        (TraceNorm(0.0, alpha_ridge=0.3), Ridge(0.3)),
        (L1(0.0) + Ridge(0.3), Ridge(0.3)),
        (FusedTasks(0.0, alpha_ridge=0.3), Ridge(0.3)),
        (FusedTasks(1.0, {(0, 1): 0.0}, alpha_ridge=0.3), Ridge(0.3)),
        (SharedPlusSpecific(0.0, alpha_l1=0.2), L1(0.2)),
        (TaskGraph(0.0, {(0, 1): 1.0}, alpha_ridge=0.1, alpha_l1=0.2), L1(0.2, alpha_ridge=0.1)),
    ],
    ids=str,
)
def test_a_strength_of_zero_leaves_what_else_there_is(penalty, expected, rng):
    data = outputs(rng, 30, 4, 3)
    got, want = (MultiTaskRegressor(p, tol=1e-12).fit(data.X, data.y) for p in (penalty, expected))
    assert_allclose(got.coef_, want.coef_, rtol=0, atol=1e-6 * np.abs(want.coef_).max())


@pytest.mark.parametrize(
    "penalty",
    [
        SharedPlusSpecific(1.0, alpha_l1=0.2),
        TaskGraph(1.0, {(0, 1): 1.0}, alpha_l1=0.2),
        Temporal(1.0, 0.2, smooth=True),
        Temporal(1.0, 0.0, 0.2, smooth=True),
    ],
    ids=str,
)
def test_a_path_may_end_at_a_strength_of_zero(penalty, rng):
    data = outputs(rng, 30, 4, 3)
    model = MultiTaskRegressor(penalty, tol=1e-12)
    path = model.path(data.X, data.y, alphas=[0.0, 1.0, 0.0])
    for alpha, coef in zip(path.alphas, path.coefs, strict=True):
        want = model.set_params(penalty=penalty.with_alpha(alpha)).fit(data.X, data.y).coef_
        assert_allclose(coef, want, rtol=0, atol=1e-6 * np.abs(want).max())


@pytest.mark.parametrize("loss", ["squared", "huber"])
@pytest.mark.parametrize("none", [FusedTasks(0.0), TraceNorm(0.0), FusedTasks(0.1, {(0, 1): 0.0})], ids=str)
def test_no_strength_but_on_the_intercepts(none, loss, rng):
    """And on a ridge term, or on that neither."""
    data = outputs(rng, 30, 4, 3)
    for ridge, weak in ((0.0, 0.0), (0.2, 1e-10)):
        pull, same = SharedPlusSpecific(0.0, 1.0, 5.0), SharedPlusSpecific(weak, 1.0, 5.0)
        model = MultiTaskRegressor(pull + none + Ridge(ridge), loss=loss, tol=1e-10).fit(data.X, data.y)
        other = MultiTaskRegressor(same + Ridge(ridge), loss=loss, tol=1e-10).fit(data.X, data.y)
        assert model.objective_ == pytest.approx(other.objective_, rel=1e-8)
        assert_allclose(model.intercept_, other.intercept_, rtol=0, atol=1e-4)
        assert_allclose(model.coef_, other.coef_, rtol=0, atol=1e-4)


@pytest.mark.parametrize("loss", ["squared", "huber"])
@pytest.mark.parametrize("penalty", [Dirty(0.0, 0.1, alpha_ridge=0.1), RobustLowRank(0.1, 0.0, 0.1)], ids=str)
def test_a_part_that_costs_nothing_takes_all(penalty, loss, rng):
    data = outputs(rng, 30, 4, 3)
    weight = np.ones((30, 3))
    weight[:, 1] = 0.0
    model = MultiTaskRegressor(penalty, loss=loss).fit(data.X, data.y, weight)
    ridge = MultiTaskRegressor(Ridge(0.1), loss=loss).fit(data.X, data.y, weight)
    assert_allclose(model.coef_, ridge.coef_)
    assert model.objective_ == pytest.approx(ridge.objective_, rel=1e-10)
    parts = model.structured_coef_, model.deviation_coef_
    assert_allclose(sum(parts), model.coef_)
    value = penalty.value(*(part[[0, 2]] for part in parts))
    assert value == pytest.approx(Ridge(0.1).value(model.coef_[[0, 2]]), rel=1e-12)
    if hasattr(model, "outlier_tasks_"):  # an outlier costs nothing, but the task without weight is none
        assert_array_equal(model.outlier_tasks_, [0, 2])


# Sums


CHAIN = {(0, 1): 1.0, (1, 2): 2.0, (2, 3): 1.0}


@pytest.mark.parametrize(
    ("sum_of", "one"),
    [
        (L1(0.1) + JointFeature(0.2), JointFeature(0.2, alpha_l1=0.1)),
        (JointFeature(0.2, alpha_l1=0.1) + L1(0.1) + L1(0.1, 0.3), JointFeature(0.2, alpha_l1=0.3, alpha_ridge=0.3)),
        (Temporal(0.2) + (Ridge(0.1) + L1(0.1)), Temporal(0.2, alpha_l1=0.1, alpha_ridge=0.1)),
        (Sum(TaskGraph(0.1, CHAIN, 0.1), L1(0.2), 2.0), TaskGraph(0.2, CHAIN, 0.2, alpha_l1=0.4)),
        (FusedTasks(0.1, CHAIN) + Ridge(0.2), FusedTasks(0.1, CHAIN, alpha_ridge=0.2)),
        (SharedPlusSpecific(0.1) + L1(0.2), SharedPlusSpecific(0.1, alpha_l1=0.2)),
        (Ridge(0.3) + L1(0.0, 0.2), L1(0.0, 0.5)),
        (Ridge(0.3) + L1(0.1, 0.2) + JointFeature(0.2), JointFeature(0.2, alpha_l1=0.1, alpha_ridge=0.5)),
    ],
    ids=lambda penalty: type(penalty).__name__,
)
def test_sums_that_are_one_belief_are_solved_as_such(sum_of, one, rng):
    """The same numbers, not just the same minimum; on a path, too."""
    X, Y, W = rng.normal(size=(20, 5)), rng.normal(size=(20, 4)), rng.normal(size=(4, 5))
    merged = sum_of.merged()
    assert type(merged) is type(one)
    assert merged.value(W) == pytest.approx(one.value(W), rel=1e-12)
    assert sum_of.value(W) == pytest.approx(one.value(W), rel=1e-12)
    task, y = np.repeat(np.arange(4), 20), Y.T.ravel()
    ours, theirs = (MultiTaskRegressor(p, tol=1e-9).fit(np.tile(X, (4, 1)), y, task=task) for p in (sum_of, one))
    assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9, atol=1e-12)
    factors = (2.0, 0.5, 0.0)
    path = MultiTaskRegressor(Sum(sum_of, L1(0.0)), tol=1e-9).path(np.tile(X, (4, 1)), y, task=task, alphas=factors)
    for factor, coef in zip(factors, path.coefs, strict=True):
        single = MultiTaskRegressor(one.scaled(factor), tol=1e-9).fit(np.tile(X, (4, 1)), y, task=task)
        assert_allclose(coef, single.coef_, rtol=1e-2, atol=1e-3)


def test_sums_of_several_beliefs_stay_sums():
    """Decompositions are functions of two arrays and take nothing."""
    assert (TraceNorm(0.1) + L1(0.1)).merged() is None
    assert (TraceNorm(0.1) + L1(0.1) + JointFeature(0.1)).merged() is None
    assert (Dirty(0.1, 0.1) + Ridge(0.1)).merged() is None


@pytest.mark.parametrize(
    "penalty",
    [TraceNorm(0.1) + L1(0.05), SharedPlusSpecific(0.1) + L1(0.05), TaskGraph(0.1, CHAIN) + Ridge(0.1)],
    ids=["low rank", "shared", "graph"],
)
def test_a_sum_has_no_moments_that_are_too_large_for_its_parts(penalty, rng, monkeypatch):
    X, Y = rng.normal(size=(16, 5)), rng.normal(size=(16, 4))
    Y[rng.uniform(size=Y.shape) < 0.1] = np.nan  # so that four Gram matrices take more than X does
    model = MultiTaskRegressor(penalty, tol=1e-10)
    known = model.fit(X, Y).objective_
    monkeypatch.setattr(newton, "_LARGEST", 0.0)
    monkeypatch.setattr(_problem, "_Moments", None)
    assert model.fit(X, Y).objective_ == pytest.approx(known, rel=1e-8)


@pytest.mark.parametrize("penalty", [TraceNorm(0.1), SharedPlusSpecific(0.1)], ids=["low rank", "shared"])
def test_sums_no_larger_than_the_rows_are_formed_however_large_these_are(penalty, rng, monkeypatch):
    X, y, task = rng.normal(size=(30, 5)), rng.normal(size=30), np.repeat(np.arange(4), [3, 7, 10, 10])
    Y = np.where(rng.uniform(size=(30, 20)) < 0.95, np.nan, rng.normal(size=(30, 20)))  # of which few rows have labels
    Y[0] = 1.0
    monkeypatch.setattr(newton, "_LARGEST", 0.0)
    monkeypatch.setattr(_problem, "_Rows", None)
    assert MultiTaskRegressor(penalty).fit(X, y, task=task).coef_.any()
    monkeypatch.setattr(newton, "_LARGEST", 400.0)
    assert MultiTaskRegressor(penalty).fit(X, Y).coef_.any()


@pytest.mark.parametrize("pooling", [SharedPlusSpecific(0.1), Sum(SharedPlusSpecific(0.1), Ridge(0.1), 2.0)], ids=str)
def test_a_sum_has_the_shared_weights_of_the_part_that_knows_them(pooling, rng):
    W, one, other = rng.normal(size=(4, 5)), L1(0.1), TraceNorm(0.1)
    for penalty in (pooling + one, one + pooling, pooling + one + other, one + (other + pooling)):
        assert_array_equal(penalty.shared(W), SharedPlusSpecific(0.1).shared(W))
    assert_array_equal((one + other).shared(W), W.mean(axis=0))


def test_sums_add_up_and_can_be_tuned(rng):
    W = rng.normal(size=(3, 4))
    both = TraceNorm(0.5, alpha_ridge=0.1) + L1(0.2)
    assert both.value(W) == pytest.approx(TraceNorm(0.5, alpha_ridge=0.1).value(W) + L1(0.2).value(W))
    assert both.with_alpha(3.0).value(W) == pytest.approx(3.0 * both.value(W))
    model = MultiTaskRegressor(both).set_params(penalty__a__alpha=7.0)
    assert model.penalty.a.alpha == 7.0
    three = TraceNorm(0.5) + L1(0.2) + JointFeature(0.1, l1_ratio=0.5)
    assert three.value(W) == pytest.approx(TraceNorm(0.5).value(W) + L1(0.2).value(W) + three.b.value(W))


@pytest.mark.parametrize("other", [FusedTasks(0.1), Temporal(0.1, smooth=True), TraceNorm(0.0)], ids=str)
@pytest.mark.parametrize("pull", [Pooled(0.0), SharedPlusSpecific(0.1, 0.0, 5.0)], ids=str)
def test_weights_that_cost_nothing_beside_pulled_intercepts_are_at_their_best(pull, other, rng):
    """A bound counts on it: a slope of the loss that is left there, as that of b_0 is, makes it too high."""
    data = outputs(rng, 30, 4, 3)
    X = data.X + 3.0
    near = MultiTaskRegressor(pull + other + Ridge(1e-9), tol=1e-8).fit(X, data.y)
    for tol in (1e-2, 1e-8):
        model = MultiTaskRegressor(pull + other, tol=tol).fit(X, data.y)
        assert model.objective_ - model.dual_gap_ <= near.objective_


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_a_sum_times_nothing_keeps_what_is_no_matter_of_strength(loss, rng):
    data = outputs(rng, 30, 4, 3)
    nothing = MultiTaskRegressor(Sum(Pooled(0.1), TraceNorm(0.1), alpha=0.0), loss=loss, tol=1e-10)
    pooled = MultiTaskRegressor(Pooled(0.0), loss=loss, tol=1e-10).fit(data.X, data.y)
    for name in ("coef_", "intercept_"):
        assert_allclose(getattr(nothing.fit(data.X, data.y), name), getattr(pooled, name), rtol=0, atol=1e-4)


def test_a_sum_of_halves_is_the_whole(rng):
    data = outputs(rng, 30, 4, 3)
    for half in (TraceNorm(1.0), L1(0.3), SharedPlusSpecific(0.2, 0.3, 0.4), FusedTasks(0.3, {(0, 1): 1.0})):
        one, two = (MultiTaskRegressor(p, tol=1e-12).fit(data.X, data.y) for p in (half.scaled(2.0), half + half))
        for name in ("coef_", "intercept_", "shared_coef_", "shared_intercept_"):
            assert_allclose(getattr(two, name), getattr(one, name), rtol=0, atol=1e-6 * np.abs(one.coef_).max())


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_a_path_of_a_sum_varies_the_pull_on_intercepts_too(loss, rng):
    X, task = rng.normal(size=(60, 3)), np.repeat(np.arange(4), 15)
    y = (X[:, 0] + rng.normal(size=60) > 0.5 * task - 1.0).astype(float)
    both = SharedPlusSpecific(0.05, alpha_intercept=1.0) + JointFeature(0.01)
    model = MultiTaskRegressor(both, loss=loss, tol=1e-9)
    path = model.path(X, y, task=task, alphas=[0.01, 5.0])
    for alpha, coef, intercept in zip(path.alphas, path.coefs, path.intercepts, strict=True):
        fit = model.set_params(penalty__alpha=alpha).fit(X, y, task=task)
        assert_allclose(coef, fit.coef_, rtol=0, atol=1e-5)
        assert_allclose(intercept, fit.intercept_, rtol=0, atol=1e-5)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("more", [{}, {(0, 2): 0.5, (3, 5): 0.5}], ids=["no cycle", "cycles"])
def test_graphs_that_see_different_tasks_add_up_to_one_graph(more, loss, rng):
    """What one of them does not see the other does; constants in what both join cost nothing."""
    first, second = {(0, 1): 1.0, (2, 3): 2.0, (4, 5): 1.0}, {(1, 2): 0.5, (3, 4): 1.0} | more
    task = np.arange(120) % 7  # one task has no neighbours
    X = rng.normal(size=(len(task), 3))
    y = X[:, 0] * (1 + (task > 2)) + rng.normal(size=len(task))
    y = y if loss == "squared" else (y > 0).astype(float)
    both = MultiTaskRegressor(FusedTasks(0.05, first) + FusedTasks(0.05, second), loss=loss).fit(X, y, task=task)
    one = MultiTaskRegressor(FusedTasks(0.05, first | second), loss=loss, tol=1e-8).fit(X, y, task=task)
    assert one.objective_ - one.dual_gap_ <= both.objective_ + 1e-12
    assert both.objective_ - one.objective_ <= both.dual_gap_ + 1e-12 <= 1e-6 * len(y)


@pytest.mark.parametrize("loss", ["squared", "huber"])
@pytest.mark.parametrize("pooling", [Pooled(0.1), SharedPlusSpecific(0.1, 0.1, alpha_intercept=5.0)], ids=str)
def test_a_graph_by_ids_leaves_intercepts_drawn_together(pooling, loss, rng):
    """As the graph of all pairs does; a task without weight has the one that all are drawn to."""
    task = np.repeat(np.arange(4), 15)
    X = rng.normal(size=(60, 3))
    y = X[:, 0] + 3.0 * task + rng.normal(size=60)
    given, pairs = (
        MultiTaskRegressor(pooling + FusedTasks(0.1, graph), loss=loss, tol=1e-10).fit(X, y, task=task)
        for graph in (dict.fromkeys(combinations(range(4), 2), 1.0), None)
    )
    assert_allclose(given.intercept_, pairs.intercept_, rtol=1e-4)
    assert given.objective_ == pytest.approx(pairs.objective_, rel=1e-8)
    chain = MultiTaskRegressor(pooling + TaskGraph(0.1, {(0, 1): 1.0, (1, 2): 1.0, (2, 3): 1.0}), loss=loss)
    chain.fit(X, y, task != 1, task=task)
    assert chain.intercept_[1] == pytest.approx(chain.shared_intercept_)


def test_what_graphs_have_in_common_is_constant_where_all_of_them_are():
    """No more than that is claimed to cost nothing: of weights that one of them sees, a bound would be too high."""
    pairs, chain = (Edges(1.0, np.array([a]), np.array([a + 1]), np.ones(1), 3) for a in (0, 1))
    assert_allclose(common_null([pairs, chain], 0.0).toarray(), np.full((3, 1), 3**-0.5))
    partly = SimpleNamespace(null=sparse.csr_array([[0.5**0.5], [0.5**0.5], [0.0]]))  # costs something for the last
    uneven = SimpleNamespace(null=sparse.csr_array([[0.8], [0.6], [0.0]]))
    for other in (partly, uneven):
        assert common_null([SimpleNamespace(norms=(f,)) for f in (pairs, other)], 0.0) is None


def test_what_no_basis_leaves_is_not_shared_out():
    first = sparse.csr_array([[1.0], [0.0]])
    mismatch = np.array([[2.0, 1.0], [0.0, 0.0]])
    assert not _certificates._parts(mismatch, [first, first], 1.0)
    (part, other) = _certificates._parts(mismatch[::-1], [first, first], 1.0)
    assert_allclose(part + other, mismatch[::-1])


def test_the_sum_of_norms_says_that_it_has_no_formula_for_alpha_max(rng):
    with pytest.raises(ValueError, match="no formula is known"):
        MultiTaskRegressor(L1(1.0) + TraceNorm(1.0)).alpha_max(rng.normal(size=(20, 3)), rng.normal(size=(20, 2)))


def test_a_decomposition_is_no_part_of_a_sum():
    with pytest.raises(TypeError, match=r"W = P \+ Q cannot be added"):
        MultiTaskRegressor(L1(1.0) + Dirty(1.0)).fit(np.eye(4), np.eye(4))


@pytest.mark.parametrize("penalty", [AdaptiveJointFeature(), LatentBasis(), ReducedRank()], ids=str)
def test_what_is_not_convex_is_no_part_of_a_sum(penalty):
    for both in (penalty + L1(), Ridge() + penalty):
        with pytest.raises(TypeError, match="is not convex and cannot be added"):
            MultiTaskRegressor(both).fit(np.eye(4), np.eye(4))


def test_a_sum_without_a_solver_says_so():
    class Unsolved(Ridge):
        def terms(self, tasks):
            raise TypeError("There is no solver")

    with pytest.raises(TypeError, match="There is no solver"):
        MultiTaskRegressor(Sum(Unsolved(), L1())).fit(np.eye(4), np.eye(4))


# A penalty of one's own


class Largest(Norm):
    """The largest weight of each task, summed."""

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def value(self, W):
        return float(self.alpha * np.abs(W).max(axis=1).sum())

    def prox(self, V, step):
        return JointFeature(self.alpha, norm=np.inf).prox(V.T, step).T

    def dual_norm(self, Z):
        return float(np.abs(Z).sum(axis=1).max())


def test_three_methods_make_a_penalty(rng):
    data = outputs(rng, 30, 4, 3)
    model = MultiTaskRegressor(Largest(), tol=1e-10)
    alpha_max = model.alpha_max(data.X, data.y)
    assert not model.set_params(penalty__alpha=alpha_max).fit(data.X, data.y).coef_.any()
    model.set_params(penalty__alpha=0.3 * alpha_max).fit(data.X, data.y)
    assert model.dual_gap_ <= 1e-10 * np.var(data.y, axis=0).sum()
    path = model.path(data.X, data.y, n_alphas=5)
    assert_allclose(path.alphas, alpha_max * np.geomspace(1.0, 1e-3, 5))
    assert (path.dual_gaps <= 1e-10 * np.var(data.y, axis=0).sum()).all()


# Warm starts, warnings, threads


@pytest.mark.parametrize(
    "model", [TraceNormRegressor(2.0), DirtyRegressor(1.0, alpha_sparse=0.3)], ids=lambda m: type(m).__name__
)
def test_a_warm_start_at_the_solution_ends_soon(model, rng):
    data = long_table(rng, [30, 20, 40, 10], 6)
    model.set_params(warm_start=True, tol=1e-8)
    cold = model.fit(**data.arguments).n_iter_
    warm = model.fit(**data.arguments).n_iter_
    assert warm < cold
    assert model.dual_gap_ <= 1e-8 * np.var(data.y) * 4
    model.fit(data.X[:, :3], data.y, task=data.task)  # other features: from the start
    assert model.coef_.shape == (4, 3)


@pytest.mark.parametrize(
    "penalty",
    [TraceNorm(), JointFeature(alpha_l1=0.01), JointFeature(norm=np.inf), Dirty(), SparseLowRank(), Temporal()],
    ids=repr,
)
def test_a_warm_start_worse_than_zeros_is_none(penalty, rng):
    """As after a fit to labels in other units."""
    X, y, task = rng.normal(size=(24, 40)), rng.normal(size=24), np.repeat(np.arange(4), 6)
    cold = MultiTaskRegressor(penalty).fit(X, y, task=task)
    model = MultiTaskRegressor(penalty, warm_start=True).fit(X, 1e6 * y[::-1], task=task)
    assert model.fit(X, y, task=task).n_iter_ == cold.n_iter_
    assert_allclose(model.coef_, cold.coef_, atol=1e-12)


def test_a_fit_that_does_not_converge_says_how_far_it_is_and_what_to_do(rng):
    data = long_table(rng, [30, 20, 40, 10], 6)
    model = TraceNormRegressor(0.5, max_iter=3, tol=1e-9)
    with pytest.warns(ConvergenceWarning, match=r"dual gap .* after 3 iterations \(max_iter=3, tol=1e-09 .*Increase"):
        model.fit(**data.arguments)
    converged = TraceNormRegressor(0.5, tol=1e-12).fit(**data.arguments)
    assert model.objective_ - converged.objective_ <= model.dual_gap_
    assert model.n_iter_ == 3


def test_sparse_steps_come_second_where_they_are_dear(rng, monkeypatch):
    """Of twelve rows and 120 features, and on a path."""
    X, penalty = rng.normal(size=(12, 120)), TraceNorm(0.3) + L1(0.02)
    Y = X[:, :3] @ rng.normal(size=(3, 4)) + 0.1 * rng.normal(size=(12, 4))
    model, steps = MultiTaskRegressor(penalty, tol=1e-8, max_iter=20_000), []
    expected = [model.set_params(penalty=penalty.with_alpha(alpha)).fit(X, Y).objective_ for alpha in (1.0, 0.3)]
    usual = SparseStep.center
    monkeypatch.setattr(SparseStep, "center", lambda *args: steps.append(0) or usual(*args))
    monkeypatch.setattr(splitting, "_BRIEF", 5)
    path = model.path(X, Y, alphas=[1.0, 0.3])
    assert steps
    assert (path.n_iters > 5).all()
    for coef, objective, alpha in zip(path.coefs, expected, (1.0, 0.3), strict=True):
        loss = 0.5 * np.sum((Y - Y.mean(axis=0) - (X - X.mean(axis=0)) @ coef.T) ** 2) / 12
        assert loss + penalty.with_alpha(alpha).value(coef) == pytest.approx(objective, rel=1e-6)


class EveryOtherStepFails:
    """A problem whose extrapolations never help, the certificate of which is good from the 50th step on."""

    quadratic = SimpleNamespace(null=1.0, f0=1.0)
    n_steps = 0

    def zero_is_optimal(self):
        return False

    def at_no_cost(self):
        return [], -np.inf, None

    def start(self, state):
        return np.ones(2), 1.0

    def step(self, z, rho):
        self.n_steps += 1
        return np.ones(2), np.ones(2), np.array([3.0 if self.n_steps % 2 == 0 else 1.0, 0.0])

    def haste(self, n_iter):
        return 1.0

    def certify(self, *at):
        return [(0.0 if self.n_steps >= 50 else 1.0, np.ones(2), ())], 0.0, None


def test_a_certificate_that_is_due_in_a_step_that_went_back_comes_with_the_next():
    found = minimize(EveryOtherStepFails(), 1e-6, 200, None)
    assert (found.converged, found.n_iter, found.gap) == (True, 51, 0.0)
    assert minimize(EveryOtherStepFails(), 1e-6, 50, None).converged  # the last step has one in any case


def test_results_do_not_depend_on_the_number_of_threads(rng):
    X, task = rng.normal(size=(3600, 120)), np.repeat(np.arange(40), 90)
    y = X[:, 0] + rng.normal(size=len(X))
    X, y, task = np.vstack([X, X[:, ::-1]]), np.append(y, y), np.append(task, np.repeat(np.arange(40, 80), 90))
    X[-1000:] = X[:1000]
    for penalty in (TraceNorm(1.0), TraceNorm(1.0) + L1(0.1)):
        one, two = (MultiTaskRegressor(penalty, n_jobs=n_jobs).fit(X, y, task=task) for n_jobs in (1, 2))
        assert_allclose(one.coef_, two.coef_, rtol=0, atol=1e-10 * np.abs(one.coef_).max())
        assert one.n_iter_ == two.n_iter_


def test_a_crew_calls_for_every_part_in_its_own_threads():
    with crew(1) as each:
        assert each(threading.get_ident and (lambda part: (part, threading.get_ident())), [1, 2]) == [
            (1, threading.get_ident()),
            (2, threading.get_ident()),
        ]
    barrier = threading.Barrier(2, timeout=30)
    with one_blas_thread, crew(2) as each:
        assert sorted(each(lambda part: part + barrier.wait() * 0, [1, 2])) == [1, 2]
        assert each(lambda part: threading.get_ident(), [1]) == [threading.get_ident()]


def test_a_sign_constraint_without_a_strength_holds_in_a_sum(rng):
    data = outputs(rng, 30, 4, 3)
    free = MultiTaskRegressor(TraceNorm(0.01)).fit(data.X, data.y)
    model = MultiTaskRegressor(TraceNorm(0.01) + JointFeature(0.0, positive=True)).fit(data.X, data.y)
    assert (free.coef_ < -1e-3).any()
    assert (model.coef_ >= 0).all()


def test_some_point_meets_all_constraints(rng):
    """What has the same weights for all tasks has negative ones, until the end, and what has not, unequal ones."""
    data = outputs(rng, 15, 3, 2)
    penalty = Pooled(0.1) + JointFeature(0.2, positive=True)
    quadratic = Quadratic(TaskMoments.from_data(check_data(data.X, data.y)), np.full(2, 1.0 / 15.0))
    problem = Together(penalty, quadratic)
    for _ in range(5):
        z = rng.normal(size=12)
        v, y, _ = problem.step(z, 1.0)
        points, _, _ = problem.certify(z, v, y, 1.0)
        objective, W = min(points, key=lambda point: point[0])[:2]
        assert objective == pytest.approx(quadratic.value(W) + penalty.value(W), rel=1e-12)
        assert (W >= 0).all()
        assert_array_equal(W[0], W[1])


@pytest.mark.parametrize("mu", [-10.0, -33.0, -100.0])
def test_extrapolation_along_what_the_loss_does_not_see_comes_back(mu, rng):
    """Weights of a constant feature, alike in all tasks, are an intercept, and those are drawn to a free b_0."""
    task = np.repeat(np.arange(6), 20)
    y = rng.normal(size=120)
    y[task == 2] += mu
    fit = {"X": np.ones((120, 1)), "y": y, "task": task}
    strengths = {"alpha": 1e-3, "alpha_l1": 0.05, "alpha_intercept": 2.9}
    model = MeanRegularizedRegressor(**strengths, alpha_shared=0.0, tol=1e-9).fit(**fit)
    near = MeanRegularizedRegressor(**strengths, alpha_shared=1e-7, tol=1e-9).fit(**fit)
    assert model.objective_ == pytest.approx(near.objective_, rel=1e-5)
    assert np.abs(model.coef_).max() < 2.0 * abs(mu)


def test_a_path_does_not_go_on_from_where_extrapolation_led_last(rng):
    """Of features that few rows see, the two parts nearly cancel where they cost nearly the same."""
    for _ in range(12):
        X, y = rng.normal(size=(3, 60)), rng.normal(size=3)
        a = 0.05 * np.abs(X.T @ y).max() / 3
        model = DirtyRegressor(alpha_sparse=a, fit_intercept=False, max_iter=200)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            path = model.path(X, y, alphas=[1.05 * a, 1.01 * a, 0.97 * a, 0.9 * a])
        assert path.dual_gaps.max() <= 1e-2 * (0.5 * np.mean(y**2))
