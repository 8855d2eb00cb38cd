"""Quadratic models: every fit solves its full normal equations, on good-natured data and on data that hurts."""

import warnings
from itertools import pairwise

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import spsolve
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge as SklearnRidge

import skmtl._threads
from skmtl import (
    IndependentRegressor,
    MeanRegularizedRegressor,
    MultiTaskRegressor,
    PooledRegressor,
    TaskGraphRegressor,
)
from skmtl.penalties import Dirty, FusedTasks, Pooled, Ridge, RobustLowRank, SharedPlusSpecific, TaskGraph, TraceNorm
from skmtl.penalties.quadratic import sparse_solver
from skmtl.solvers import graph as graph_solver
from skmtl.tasks import check_data
from tests.oracles import INSTANCES, MODELS, Instance, Model, Task, adjacency, task_factors

EPS = np.finfo(float).eps


pytestmark = pytest.mark.usefixtures("one_blas_thread")


def chain(ids, extra=0.5):
    """Neighbouring ids are linked, more strongly towards the end, and the first with the third."""
    ids = np.asarray(ids).tolist()
    edges = {(a, b): 1.0 + k for k, (a, b) in enumerate(pairwise(ids))}
    return edges | ({(ids[0], ids[2]): extra} if len(ids) > 2 else {})


CASES = {
    "independent": (IndependentRegressor, {}),
    "pooled": (PooledRegressor, {}),
    "pooled, task intercepts": (PooledRegressor, {"task_intercepts": True}),
    "mean": (MeanRegularizedRegressor, {}),
    "mean, free shared weights": (MeanRegularizedRegressor, {"alpha_shared": 0.0}),
    "mean, weak partial pooling": (MeanRegularizedRegressor, {"alpha_shared": 0.1, "alpha_intercept": 0.3}),
    "mean, strong partial pooling": (MeanRegularizedRegressor, {"alpha_shared": 1e-3, "alpha_intercept": 1e5}),
    "complete graph": (TaskGraphRegressor, {}),
    "chain": (TaskGraphRegressor, {"graph": chain}),
    "chain, normalized": (TaskGraphRegressor, {"graph": chain, "normalized": True, "alpha_ridge": 0.5}),
    "chain, no ridge": (TaskGraphRegressor, {"graph": chain, "alpha_ridge": 0.0}),
}
SETTINGS = [  # alpha, fit_intercept, task_weight; a number is the factor of the first task
    (0.0, True, "samples"),
    (0.0, False, "tasks"),
    (1e-8, True, "tasks"),
    (1e-3, True, "auto"),
    (1e-3, False, 20.0),
    (1.0, True, 5.0),
    (1.0, False, "auto"),
    (1e3, True, "samples"),
    (1e8, True, "tasks"),
    (1e8, False, "samples"),
]
BADLY_SCALED = "columns from 1e-4 to 1e4"
WELL_SCALED = [name for name in INSTANCES if name != BADLY_SCALED]
WITH_DATA = [name for name in WELL_SCALED if "without weight" not in name]

each_instance = pytest.mark.parametrize("instance", INSTANCES)
each_case = pytest.mark.parametrize("case", CASES)
each_well_scaled = pytest.mark.parametrize("instance", WELL_SCALED)
each_with_data = pytest.mark.parametrize("instance", WITH_DATA)


def fitted(instance, case, alpha, fit_intercept=True, task_weight="samples", **changes):
    """An estimator fitted to an instance, and the oracle of the same problem."""
    cls, parameters = CASES[case]
    ids, parameters = instance.ids, parameters | changes | {"fit_intercept": fit_intercept}
    if isinstance(task_weight, float):
        task_weight = {ids[0]: task_weight}
    known = dict(parameters)
    if cls is TaskGraphRegressor:
        known.pop("graph", None)
        if "graph" in parameters:
            parameters["graph"] = parameters["graph"](ids)
            known["adjacency"] = adjacency(ids, parameters["graph"])
    estimator = cls(alpha, task_weight=task_weight, **parameters).fit(**instance.arguments)
    c = task_factors(instance.tasks, task_weight, ids=ids, fit_intercept=fit_intercept)
    return estimator, MODELS[cls.__name__](instance.tasks, c, alpha=alpha, **known)


def settings(case):
    """The settings that leave a case solvable by conjugate gradients."""
    return [setting for setting in SETTINGS if case != "chain, no ridge" or 1e-3 <= setting[0] <= 1e4]


def model_of(estimator):
    return Model(estimator.coef_, estimator.intercept_, estimator.shared_coef_, estimator.shared_intercept_)


def assert_same_model(actual, expected, rtol=1e-9, message=""):
    """Each part relative to its largest entry."""
    for name in Model._fields:
        got, want = np.asarray(getattr(actual, name)), np.asarray(getattr(expected, name))
        like = expected.b if name.startswith("b") else expected.W
        unit = max(np.abs(like).max(), 1e-4 * np.abs(expected.b).max())  # weights that are 0 have some rounding noise
        assert got.shape == want.shape, name
        assert_allclose(got, want, rtol=0, atol=rtol * unit + 1e-13, err_msg=f"{name} {message}")


def same(one, other, rtol=1e-9):
    assert_same_model(model_of(one), model_of(other), rtol)


# -------------------------------------------------------------------------------------------- against dense solutions


@each_case
@each_instance
def test_normal_equations_and_objective_hold_as_reported(instance, case, rng):
    """In all unknowns of the model; an intercept or the shared weights cannot hide behind an elimination."""
    data = INSTANCES[instance](rng)
    for setting in settings(case):
        estimator, oracle = fitted(data, case, *setting)
        bound = 1e-10 if estimator.n_iter_ == 1 else 1e-8
        if "partial pooling" in case and setting[0] <= 1e-8:  # an intercept that a free constant column could replace
            bound = 1e-8
        model = model_of(estimator)
        assert estimator.residual_ <= bound, setting
        assert oracle.equations().residual(oracle.flatten(model)) <= bound, setting
        if "chain" not in case or (setting[0] < 1e8 and instance != BADLY_SCALED):  # see the next test
            value = oracle.value(model)
            noise = 1e-13 * oracle.unit + 100 * oracle.rounding(model)
            assert_allclose(estimator.objective_, value, rtol=1e-10, atol=noise, err_msg=str(setting))


@pytest.mark.parametrize("case", ["chain", "chain, normalized", "chain, no ridge", "complete graph"])
@pytest.mark.parametrize("instance", ["uneven tasks", "shared"])
def test_the_objective_of_a_strong_graph_loses_no_digits(instance, case, rng):
    """tr(W L W') cancels where |w_s - w_t|^2 does not."""
    for alpha in (1e6, 1e8):
        estimator, oracle = fitted(INSTANCES[instance](rng), case, alpha)
        assert_allclose(estimator.objective_, oracle.value(model_of(estimator)), rtol=1e-10)


@each_case
@each_instance
def test_weights_and_objective_are_those_of_a_dense_solve(instance, case, rng):
    """To 1e-9, or as far as the condition number permits; the objective is the least one whatever that is."""
    data = INSTANCES[instance](rng)
    for setting in settings(case):
        estimator, oracle = fitted(data, case, *setting)
        equations = oracle.equations()
        expected, model = oracle.model(equations.solve()), model_of(estimator)
        least, known = oracle.value(expected), 1e-10 if equations.condition() < 1e13 else 1e-8
        if "partial pooling" in case and setting[0] <= 1e-8:  # as above: a constant column could replace the intercept
            known = 1e-6
        assert oracle.value(model) - least <= 1e-7 * least + known * oracle.unit, setting
        iterated = estimator.n_iter_ > 1  # conjugate gradients see units; factorisations do not, up to a point
        condition = equations.condition(scaled=not iterated and instance != BADLY_SCALED)
        if condition < 1e10:
            rtol = max(1e-9, (1e4 if iterated else 100) * EPS * condition)
            assert_same_model(model, expected, rtol, f"{setting} {condition:.0e}")


@each_case
@each_instance
def test_objective_is_the_one_a_general_convex_solver_finds(instance, case, rng):
    data = INSTANCES[instance](rng)
    estimator, oracle = fitted(data, case, 1e-3, task_weight="tasks", **_some_ridge(case))
    got, least = oracle.value(model_of(estimator)), oracle.value(oracle.cvxpy_solution())
    assert got <= least * (1 + 1e-7) + 1e-12 * oracle.unit
    assert got >= least * (1 - 1e-7) - 1e-9 * oracle.unit  # the other solver's own accuracy


def _some_ridge(case):
    return {"alpha_ridge": 1e-3} if case == "chain, no ridge" else {}


@pytest.mark.parametrize("case", [case for case in CASES if "chain" not in case])
@pytest.mark.parametrize("instance", ["tasks without weight", "shared, tasks without weight"])
def test_a_task_without_weight_changes_nothing_and_gets_the_shared_model(instance, case, rng):
    data = INSTANCES[instance](rng)
    estimator, oracle = fitted(data, case, 0.1)
    names, gone = np.asarray(estimator.tasks_), ~oracle.active
    assert_array_equal(estimator.coef_[gone], np.tile(estimator.shared_coef_, (gone.sum(), 1)))
    assert_array_equal(estimator.intercept_[gone], np.full(gone.sum(), estimator.shared_intercept_))
    if data.task is not None:
        rows = np.isin(data.task, names[~gone])
        data = Instance(data.X[rows], data.y[rows], data.task[rows])
    else:
        data = Instance(data.X, data.y[:, ~gone])
    without, _ = fitted(data, case, 0.1)
    assert_allclose(estimator.coef_[~gone], without.coef_, rtol=0, atol=1e-12 * np.abs(without.coef_).max())
    assert_allclose(estimator.shared_coef_, without.shared_coef_, rtol=0, atol=1e-12 * np.abs(without.coef_).max())
    assert estimator.objective_ == pytest.approx(without.objective_, rel=1e-12)


SINGULAR = [
    "uneven tasks",
    "one row a task",
    "more features than rows",
    "duplicated and constant columns",
    "large means",
    "weights",
    "shared, few labels",
    "shared, duplicated and constant columns",
]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "case", ["independent", "pooled", "pooled, task intercepts", "mean", "mean, free shared weights"]
)
@pytest.mark.parametrize("instance", SINGULAR)
def test_a_singular_problem_has_a_solution_of_ordinary_size(instance, case, seed):
    """Rounding noise is no direction: of all least-squares solutions none of 1e10 is wanted."""
    data = INSTANCES[instance](np.random.default_rng(seed))
    for alpha in (0.0, 1e-8, 1e-3) if "shared" in case else (0.0,):
        estimator, oracle = fitted(data, case, alpha)
        expected, model = oracle.solution(), model_of(estimator)
        least = oracle.value(expected)
        assert np.abs(model.W).max() <= 1e3 * np.abs(expected.W).max() + 1e-9, alpha
        assert np.abs(model.w0).max() <= 1e3 * np.abs(expected.W).max() + 1e-9, alpha
        assert oracle.value(model) - least <= 1e-7 * least + 1e-8 * oracle.unit, alpha
        assert_allclose(estimator.objective_, oracle.value(model), rtol=1e-7, atol=1e-8 * oracle.unit)
        assert estimator.dual_gap_ <= 1e-10 * oracle.unit


@pytest.mark.parametrize("penalty", [Ridge(0.0), Pooled(0.0), SharedPlusSpecific(0.0, 0.0), TraceNorm(0.0)])
def test_the_gap_of_least_squares_says_so_where_features_are_nearly_dependent(penalty):
    """Powers of one number, at a condition of 2e6, that of sums of squares being 5e12."""
    at = np.linspace(0.0, 1.0, 60)
    X, y = at[:, None] ** np.arange(10), np.sin(20.0 * at)
    scaled = X / np.linalg.norm(X, axis=0)
    least = 0.5 * np.mean((y - scaled @ np.linalg.lstsq(scaled, y, rcond=EPS)[0]) ** 2)
    model = MultiTaskRegressor(penalty, fit_intercept=False)
    with pytest.warns(ConvergenceWarning, match="Increase max_iter, tol or the penalty"):
        model.fit(X, y)
    assert model.objective_ > 1.1 * least
    assert model.objective_ - model.dual_gap_ <= least


@pytest.mark.parametrize(
    "penalty",
    [
        SharedPlusSpecific(1e4, 0.0),
        TaskGraph(1e4, alpha_ridge=0.0),
        TaskGraph(1e4, [(0, 1), (1, 2)], alpha_ridge=0.0),
        FusedTasks(100.0),
        FusedTasks(100.0, [(0, 1), (1, 2)], norm=1),
    ],
    ids=repr,
)
def test_so_does_the_gap_where_what_all_tasks_have_in_common_costs_nothing(penalty):
    """With weights that are the same for all tasks the objective is that of least squares for all."""
    at = np.linspace(0.0, 1.0, 60)
    X, task, y = at[:, None] ** np.arange(10), np.arange(60) % 3, np.sin(20.0 * at)
    scaled = X / np.linalg.norm(X, axis=0)
    least = 1.5 * np.mean((y - scaled @ np.linalg.lstsq(scaled, y, rcond=EPS)[0]) ** 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MultiTaskRegressor(penalty, fit_intercept=False).fit(X, y, task=task)
    assert model.objective_ - model.dual_gap_ <= 1.001 * least


@pytest.mark.parametrize("normalized", [False, True])
def test_a_graph_without_ridge_bears_fewer_rows_than_features(normalized, rng):
    """Weights that neither labels nor neighbours tell are of ordinary size, and what can be explained is."""
    chain = [("a", "b"), ("b", "c"), ("c", "d")]
    for _ in range(20):
        task = np.repeat(list("abcd"), rng.integers(1, 4, size=4))
        X, y = rng.normal(size=(len(task), 6)), rng.normal(size=len(task))
        model = TaskGraphRegressor(0.5, graph=chain, normalized=normalized, alpha_ridge=0.0).fit(X, y, task=task)
        assert np.abs(model.coef_).max() < 1e4
        assert model.dual_gap_ <= 1e-9 * y @ y
        assert model.residual_ < 1e-9


def test_weights_worse_than_none_are_not_called_a_solution(monkeypatch, rng):
    """As rounding errors over rounding errors are, however small they leave the residual beside themselves."""
    monkeypatch.setattr(graph_solver, "_RELAXED", 0.0)
    monkeypatch.setattr(graph_solver, "_NOTHING", 0.0)
    n_worse = 0
    for _ in range(40):
        task = np.repeat(list("abcd"), 2)
        X, y = rng.normal(size=(8, 6)), rng.normal(size=8)
        model = TaskGraphRegressor(0.5, graph=[("a", "b"), ("b", "c"), ("c", "d")], alpha_ridge=0.0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X, y, task=task)
        if not model.objective_ <= y @ y:
            n_worse += 1
            assert any(issubclass(one.category, ConvergenceWarning) for one in caught)
    assert n_worse > 0


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case][0] is not TaskGraphRegressor])
def test_zero_labels_give_zero_weights(case, rng):
    data = INSTANCES["uneven tasks"](rng)
    data.y[:] = 0.0
    estimator, _ = fitted(data, case, 0.1)
    assert not estimator.coef_.any()
    assert not estimator.intercept_.any()
    assert estimator.objective_ == 0.0
    assert estimator.residual_ == 0.0


@each_case
def test_float32_rows_give_float32_weights_near_those_of_float64(case, rng):
    data = INSTANCES["uneven tasks"](rng)
    data.X = data.X.astype(np.float32)
    single, _ = fitted(data, case, 0.1)
    data.X = data.X.astype(np.float64)
    double, _ = fitted(data, case, 0.1)
    assert single.coef_.dtype == single.intercept_.dtype == np.float32
    assert double.coef_.dtype == np.float64
    assert_allclose(single.coef_, double.coef_, rtol=1e-6, atol=1e-6)


# ----------------------------------------------------------------------------------------------------- equivalences


@each_with_data
def test_a_graph_without_edges_is_independent_tasks(instance, rng):
    data = INSTANCES[instance](rng)
    alone = IndependentRegressor(0.3).fit(**data.arguments)
    none = np.zeros((len(data.ids),) * 2)
    loops = {(name, name): 1.0 for name in data.ids.tolist()}
    for graph in ({}, [], none, sparse.csr_array(none), loops, nx.Graph()):
        same(TaskGraphRegressor(5.0, graph=graph, alpha_ridge=0.3).fit(**data.arguments), alone)
        same(TaskGraphRegressor(5.0, graph=graph, alpha_ridge=0.3, normalized=True).fit(**data.arguments), alone)


@each_with_data
def test_no_strength_on_the_graph_is_independent_tasks(instance, rng):
    data = INSTANCES[instance](rng)
    alone = IndependentRegressor(0.3).fit(**data.arguments)
    for graph in (None, chain(data.ids)):
        same(TaskGraphRegressor(0.0, graph=graph, alpha_ridge=0.3).fit(**data.arguments), alone)


@pytest.mark.parametrize("by_id", [False, True], ids=["closed form", "edges"])
@pytest.mark.parametrize(("alpha", "alpha_shared"), [(0.05, 0.4), (2.0, 0.1), (30.0, 5.0)])
@each_with_data
def test_the_complete_graph_is_mean_regularization(instance, alpha, alpha_shared, by_id, rng):
    data = INSTANCES[instance](rng)
    ids = data.ids.tolist()
    total = alpha_shared + len(ids) * alpha
    graph = [(a, b) for a in ids for b in ids if a < b] if by_id else None
    model = TaskGraphRegressor(alpha**2 / total, graph=graph, alpha_ridge=alpha_shared * alpha / total)
    model.fit(**data.arguments)
    mean = MeanRegularizedRegressor(alpha, alpha_shared=alpha_shared).fit(**data.arguments)
    assert_allclose(model.coef_, mean.coef_, rtol=0, atol=1e-9 * np.abs(mean.coef_).max())
    assert_allclose(model.intercept_, mean.intercept_, rtol=0, atol=1e-9 * np.abs(mean.intercept_).max() + 1e-12)
    assert model.objective_ == pytest.approx(mean.objective_, rel=1e-10, abs=1e-13)


@pytest.mark.parametrize("fit_intercept", [True, False])
@each_with_data
def test_strong_deviations_pool_the_weights(instance, fit_intercept, rng):
    """The distance to the pooled model falls as 1 / alpha."""
    data = INSTANCES[instance](rng)
    common = {"fit_intercept": fit_intercept}
    pooled = PooledRegressor(0.2, task_intercepts=True, **common).fit(**data.arguments)
    _assert_limit(lambda a: MeanRegularizedRegressor(a, alpha_shared=0.2, **common).fit(**data.arguments), pooled)


@each_with_data
def test_strong_deviations_and_strong_intercepts_pool_everything(instance, rng):
    data = INSTANCES[instance](rng)
    pooled = PooledRegressor(0.2).fit(**data.arguments)
    _assert_limit(
        lambda a: MeanRegularizedRegressor(a, alpha_shared=0.2, alpha_intercept=a).fit(**data.arguments), pooled
    )


def _assert_limit(at, limit):
    unit = max(np.abs(limit.coef_).max(), 1e-12)
    weak, strong = (np.abs(at(alpha).coef_ - limit.coef_).max() / unit for alpha in (1e9, 1e11))
    assert strong <= 0.02 * weak + 1e-9
    assert strong <= 1e-3


def test_a_strong_graph_without_ridge_pools_the_weights(rng):
    data = INSTANCES["uneven tasks"](rng)
    pooled = PooledRegressor(0.0, task_intercepts=True).fit(**data.arguments)
    for graph in (None, chain(data.ids)):
        model = TaskGraphRegressor(1e8, graph=graph, alpha_ridge=0.0).fit(**data.arguments)
        assert_allclose(model.coef_, pooled.coef_, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("instance", ["one task", "one task, more features than rows", "shared, one column"])
def test_one_task_is_ridge_regression(instance, fit_intercept, rng):
    data = INSTANCES[instance](rng)
    a0, a1, common = 0.7, 0.2, {"fit_intercept": fit_intercept}
    models = {
        a1: [
            IndependentRegressor(a1, **common),
            PooledRegressor(a1, **common),
            PooledRegressor(a1, task_intercepts=True, **common),
            TaskGraphRegressor(9.0, alpha_ridge=a1, **common),
            MultiTaskRegressor(Ridge(a1), **common),
        ],
        a0 * a1 / (a0 + a1): [
            MeanRegularizedRegressor(a1, alpha_shared=a0, **common),
            MeanRegularizedRegressor(a1, alpha_shared=a0, alpha_intercept=3.0, **common),
        ],
    }
    weight = rng.uniform(0.1, 2.0, size=len(data.X))
    for strength, estimators in models.items():
        ridge = SklearnRidge(strength * weight.sum(), **common).fit(data.X, data.y.ravel(), sample_weight=weight)
        for estimator in estimators:
            estimator.fit(data.X, data.y, weight, task=data.task)
            assert_allclose(estimator.coef_[0], ridge.coef_, rtol=1e-9, atol=1e-11)
            assert_allclose(estimator.intercept_[0], ridge.intercept_, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("fit_intercept", [True, False])
@each_with_data
def test_alphas_convert_to_those_of_ridge_regression(instance, fit_intercept, rng):
    """Theirs is alpha N / T: of a task's rows for independent tasks, of all rows for the pooled model."""
    data = INSTANCES[instance](rng)
    tasks, a = data.tasks, 0.05
    N, T = sum(task.s.sum() for task in tasks), len(tasks)
    ridge = SklearnRidge(a * N / T, fit_intercept=fit_intercept)
    alone = IndependentRegressor(a, fit_intercept=fit_intercept).fit(**data.arguments)
    for t, task in enumerate(tasks):
        ridge.fit(task.X, task.y, sample_weight=task.s)
        assert_allclose(alone.coef_[t], ridge.coef_, rtol=0, atol=1e-8 * max(np.abs(ridge.coef_).max(), 1e-3))
        assert_allclose(alone.intercept_[t], ridge.intercept_, rtol=1e-7, atol=1e-7)
    X, y, s = (np.concatenate([task[k] for task in tasks]) for k in range(3))
    ridge.fit(X, y, sample_weight=s)
    pooled = PooledRegressor(a, fit_intercept=fit_intercept).fit(**data.arguments)
    assert_allclose(pooled.coef_, np.tile(ridge.coef_, (T, 1)), rtol=0, atol=1e-8 * np.abs(ridge.coef_).max())
    assert_allclose(pooled.intercept_, np.full(T, ridge.intercept_), rtol=1e-7, atol=1e-7)


@each_with_data
def test_task_intercepts_are_dummy_variables(instance, rng):
    data = INSTANCES[instance](rng)
    tasks = data.tasks
    N, T = sum(task.s.sum() for task in tasks), len(tasks)
    means = [(task.s @ task.X / task.s.sum(), task.s @ task.y / task.s.sum()) for task in tasks]
    X = np.concatenate([task.X - x for task, (x, _) in zip(tasks, means, strict=True)])
    y = np.concatenate([task.y - m for task, (_, m) in zip(tasks, means, strict=True)])
    ridge = SklearnRidge(0.05 * N / T, fit_intercept=False)
    ridge.fit(X, y, sample_weight=np.concatenate([task.s for task in tasks]))
    model = PooledRegressor(0.05, task_intercepts=True).fit(**data.arguments)
    unit = max(np.abs(ridge.coef_).max(), 1e-9)
    assert_allclose(model.coef_, np.tile(ridge.coef_, (T, 1)), rtol=0, atol=1e-8 * unit)
    assert_allclose(model.intercept_, [m - x @ ridge.coef_ for x, m in means], rtol=1e-7, atol=1e-8)


def long_layout(data):
    """The same labels as a long table."""
    row, t = np.nonzero(~np.isnan(data.y))
    weight = data.sample_weight
    if weight is not None:
        weight = weight[row] if weight.ndim == 1 else weight[row, t]
    return Instance(data.X[row], data.y[row, t], t, weight)


@each_case
@pytest.mark.parametrize("instance", [name for name in WITH_DATA if name.startswith("shared")])
def test_the_long_and_the_wide_layout_are_one_problem(instance, case, rng):
    data = INSTANCES[instance](rng)
    for alpha in (1e-3, 1.0):
        wide, _ = fitted(data, case, alpha, **_some_ridge(case))
        long, _ = fitted(long_layout(data), case, alpha, **_some_ridge(case))
        same(wide, long, 1e-7 if case == "mean, free shared weights" else 1e-8 if "chain" in case else 1e-9)
        assert wide.objective_ == pytest.approx(long.objective_, rel=1e-9)


@each_case
def test_a_repeated_row_is_a_row_of_weight_two(case, rng):
    data = INSTANCES["uneven tasks"](rng)
    times = rng.integers(0, 4, size=len(data.X))
    times[np.unique(data.task, return_index=True)[1]] = 2
    repeated = Instance(*(np.repeat(a, times, axis=0) for a in (data.X, data.y, data.task)))
    data.sample_weight = times.astype(float)
    same(fitted(repeated, case, 0.1)[0], fitted(data, case, 0.1)[0])


@each_case
@each_well_scaled
def test_scaled_weights_change_nothing(instance, case, rng):
    data = INSTANCES[instance](rng)
    before, _ = fitted(data, case, 0.1, **_some_ridge(case))
    weight = np.ones(len(data.X)) if data.sample_weight is None else data.sample_weight
    data.sample_weight = 1024.0 * weight
    after, _ = fitted(data, case, 0.1, **_some_ridge(case))
    same(before, after, 1e-8 if "chain" in case else 1e-9)
    assert after.objective_ == pytest.approx(before.objective_, rel=1e-9, abs=1e-15)


@each_case
def test_renamed_tasks_permute_the_weights(case, rng):
    if case.startswith("chain"):
        pytest.skip("a chain follows the names")
    data = INSTANCES["uneven tasks"](rng)
    before, _ = fitted(data, case, 0.1)
    data.task = np.array([f"{'zyxwvut'[int(name[1:])]}" for name in data.task], dtype=object)
    after, _ = fitted(data, case, 0.1)
    assert_allclose(after.coef_[::-1], before.coef_, rtol=1e-10, atol=1e-12)
    assert_allclose(after.intercept_[::-1], before.intercept_, rtol=1e-10, atol=1e-12)


@each_case
def test_units_of_the_labels_are_units_of_the_weights(case, rng):
    data = INSTANCES["uneven tasks"](rng)
    before, _ = fitted(data, case, 0.1)
    data.y = 1e6 * data.y
    after, _ = fitted(data, case, 0.1)
    assert_allclose(after.coef_, 1e6 * before.coef_, rtol=1e-9, atol=1e-3)
    assert after.objective_ == pytest.approx(1e12 * before.objective_, rel=1e-10)


@pytest.mark.parametrize("case", [case for case in CASES if "strong" not in case and "weak" not in case])
def test_the_origin_of_the_features_is_of_no_consequence_where_intercepts_are_free(case, rng):
    data = INSTANCES["uneven tasks"](rng)
    before, _ = fitted(data, case, 0.1)
    data.X = data.X + np.array([100.0, -50.0, 0.0, 3.0, 1e4])
    after, _ = fitted(data, case, 0.1)
    assert_allclose(after.coef_, before.coef_, rtol=1e-8, atol=1e-9)


NAMED = {
    "independent": (IndependentRegressor(0.2), Ridge(0.2)),
    "pooled": (PooledRegressor(0.2), Pooled(0.2)),
    "pooled, task intercepts": (PooledRegressor(0.2, task_intercepts=True), Pooled(0.2, task_intercepts=True)),
    "mean": (
        MeanRegularizedRegressor(0.2, alpha_shared=0.5, alpha_intercept=0.1),
        SharedPlusSpecific(0.2, alpha_shared=0.5, alpha_intercept=0.1),
    ),
    "graph": (
        TaskGraphRegressor(0.2, graph={("t00", "t01"): 2.0}, alpha_ridge=0.1, normalized=True),
        TaskGraph(0.2, {("t00", "t01"): 2.0}, alpha_ridge=0.1, normalized=True),
    ),
}


@pytest.mark.parametrize(("named", "penalty"), NAMED.values(), ids=NAMED)
def test_a_named_estimator_is_the_composable_one_with_its_penalty(named, penalty, rng):
    data = INSTANCES["uneven tasks"](rng)
    composed = MultiTaskRegressor(penalty).fit(**data.arguments)
    named.fit(**data.arguments)
    assert_array_equal(composed.coef_, named.coef_)
    assert composed.objective_ == named.objective_


def test_the_composable_default_is_the_default_mean_regularization(rng):
    data = INSTANCES["uneven tasks"](rng)
    assert_array_equal(
        MultiTaskRegressor().fit(**data.arguments).coef_, MeanRegularizedRegressor().fit(**data.arguments).coef_
    )


# ------------------------------------------------------------------------------------------------------------ graphs

EDGES = {("t00", "t01"): 2.0, ("t02", "t01"): 0.5, ("t03", "t02"): 1.0, ("t06", "t00"): 3.0, ("t04", "t05"): 1.0}
NODES = [f"t{t:02d}" for t in range(7)]


def _frame(edges, nodes=NODES):
    return pd.DataFrame(adjacency(nodes, edges), index=nodes, columns=nodes)


def _networkx(edges, nodes=()):
    graph = nx.Graph()
    graph.add_nodes_from(nodes)
    graph.add_weighted_edges_from([(*edge, weight) for edge, weight in edges.items()])
    return graph


GRAPHS = {
    "dict": EDGES,
    "dict, both directions": EDGES | {(b, a): weight for (a, b), weight in EDGES.items()},
    "dict, with a loop": EDGES | {("t05", "t05"): 7.0},
    "triples": [(*edge, weight) for edge, weight in EDGES.items()],
    "lists of three": [[*edge, weight] for edge, weight in EDGES.items()],
    "tuple of triples": tuple((*edge, weight) for edge, weight in EDGES.items()),
    "set of triples": {(*edge, weight) for edge, weight in EDGES.items()},
    "data frame": _frame(EDGES),
    "data frame, other order": _frame(EDGES, NODES[::-1]),
    "networkx": _networkx(EDGES),
    "array": adjacency(NODES, EDGES),
    "array with a diagonal": adjacency(NODES, EDGES) + np.diag(np.arange(7.0)),
    "integer array": (2 * adjacency(NODES, EDGES)).astype(int),
    "csr array": sparse.csr_array(adjacency(NODES, EDGES)),
    "coo array": sparse.coo_array(adjacency(NODES, EDGES)),
    "csc matrix": sparse.csc_matrix(adjacency(NODES, EDGES)),
    "lil array": sparse.lil_array(adjacency(NODES, EDGES)),
}


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("form", GRAPHS)
def test_every_form_of_a_graph_is_the_same_graph(form, normalized, rng):
    data = INSTANCES["uneven tasks"](rng)
    alpha = 0.2 if form == "integer array" and not normalized else 0.4
    model = TaskGraphRegressor(alpha, graph=GRAPHS[form], alpha_ridge=0.3, normalized=normalized).fit(**data.arguments)
    c = task_factors(data.tasks)
    oracle = MODELS["TaskGraphRegressor"](
        data.tasks, c, alpha=0.4, alpha_ridge=0.3, normalized=normalized, adjacency=adjacency(NODES, EDGES)
    )
    assert_same_model(model_of(model), oracle.solution())


@pytest.mark.parametrize(
    "weights", [[(3, 7), (7, 20)], [[3, 7], [7, 20]], {(3, 7): 1, (20.0, 7): 1}, nx.Graph([(3, 7), (20, 7)])]
)
def test_pairs_have_weight_one_and_whole_numbers_are_ids(weights, rng):
    data = INSTANCES["fewer rows than features in most tasks"](rng)
    numbers = np.array([3, 7, 20, 21, 22, 23])
    data.task = numbers[np.searchsorted(data.ids, data.task)]
    model = TaskGraphRegressor(0.4, graph=weights, alpha_ridge=0.3).fit(**data.arguments)
    K = adjacency(numbers, {(3, 7): 1.0, (7, 20): 1.0})
    oracle = MODELS["TaskGraphRegressor"](data.tasks, task_factors(data.tasks), alpha=0.4, alpha_ridge=0.3, adjacency=K)
    assert_same_model(model_of(model), oracle.solution())


@pytest.mark.parametrize("form", ["dict", "array"])
@pytest.mark.parametrize("instance", ["uneven tasks", "shared"])
def test_a_path_reads_the_graph_as_often_as_a_fit(instance, form, rng, monkeypatch):
    data, read = INSTANCES[instance](rng), []
    tasks = TaskGraphRegressor().fit(**data.arguments).tasks_.tolist()
    chain = {edge: 1.0 for edge in pairwise(tasks)}
    original = TaskGraph.adjacency
    monkeypatch.setattr(TaskGraph, "adjacency", lambda self, tasks: read.append(tasks) or original(self, tasks))
    model, times = TaskGraphRegressor(graph=chain if form == "dict" else adjacency(tasks, chain)), []
    for n_alphas in (1, 9):
        read.clear()
        model.path(**data.arguments, alphas=np.geomspace(1.0, 0.1, n_alphas))
        times.append(len(read))
    assert times[0] == times[1] > 0


HIDDEN = {("t00", "new"): 2.0, ("new", "newer"): 1.0, ("t02", "newer"): 0.5, ("t01", "t00"): 1.0}


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("graph", [HIDDEN, _networkx(HIDDEN), _frame(HIDDEN, [*NODES[:4], "new", "newer"])])
@pytest.mark.parametrize("instance", ["uneven tasks", "more features than rows", "tasks without weight", "weights"])
def test_a_node_without_rows_is_predicted_from_the_graph(instance, graph, fit_intercept, normalized, rng):
    data = INSTANCES[instance](rng)
    common = {"fit_intercept": fit_intercept, "alpha_ridge": 0.3, "normalized": normalized}
    model = TaskGraphRegressor(0.4, graph=graph, **common).fit(**data.arguments)
    ids = sorted([*data.ids, "new", "newer"])
    assert model.tasks_.tolist() == ids
    rows = dict(zip(data.ids, data.tasks, strict=True))
    nothing = Task(data.X[:0], data.y[:0], data.y[:0])
    apart = ["t03"] if instance == "tasks without weight" else []  # from the graph: it has the shared model
    linked = [name for name in ids if name not in apart]
    tasks = [rows.get(name, nothing) for name in linked]
    oracle = MODELS["TaskGraphRegressor"](
        tasks, task_factors(tasks), alpha=0.4, adjacency=adjacency(linked, HIDDEN), **common
    )
    expected = oracle.solution()
    for t in [t for t, name in enumerate(ids) if name in apart]:
        expected = expected._replace(
            W=np.insert(expected.W, t, expected.w0, 0), b=np.insert(expected.b, t, expected.b0)
        )
    assert_same_model(model_of(model), expected)
    at = ids.index("new")
    assert_allclose(
        model.predict(data.X[:3], task=["new"] * 3), data.X[:3] @ model.coef_[at] + model.intercept_[at], rtol=1e-12
    )
    assert model.residual_ <= 1e-8
    at = [ids.index(name) for name in linked]
    among = model_of(model)._replace(W=model.coef_[at], b=model.intercept_[at])
    assert oracle.equations().residual(oracle.flatten(among)) <= 1e-8


def test_a_node_without_rows_is_the_mean_of_its_neighbours_without_ridge(rng):
    data = INSTANCES["uneven tasks"](rng)
    graph = {("t01", "new"): 1.0, ("t04", "new"): 3.0, ("t01", "t04"): 0.1}
    model = TaskGraphRegressor(0.4, graph=graph, alpha_ridge=1e-10).fit(**data.arguments)
    at = {name: t for t, name in enumerate(model.tasks_)}
    between = (model.coef_[at["t01"]] + 3.0 * model.coef_[at["t04"]]) / 4.0
    assert_allclose(model.coef_[at["new"]], between, rtol=1e-6, atol=1e-7)
    between = (model.intercept_[at["t01"]] + 3.0 * model.intercept_[at["t04"]]) / 4.0
    assert_allclose(model.intercept_[at["new"]], between, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 1e-6, 1.0, 1e4])
def test_a_task_without_weight_is_a_node_like_any_other_of_a_given_graph(alpha, rng):
    data = INSTANCES["tasks without weight"](rng)
    ids = data.ids.tolist()
    model = TaskGraphRegressor(alpha, graph=[(a, b) for a in ids for b in ids if a < b], alpha_ridge=0.3)
    model.fit(**data.arguments)
    oracle = MODELS["TaskGraphRegressor"](
        data.tasks, task_factors(data.tasks), alpha=alpha, alpha_ridge=0.3, adjacency=1.0 - np.eye(len(ids))
    )
    expected = oracle.solution()
    assert_allclose(model.coef_, expected.W, rtol=0, atol=1e-8 * np.abs(expected.W).max())
    assert model.objective_ == pytest.approx(oracle.value(expected), rel=1e-9)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("alpha_ridge", [0.0, 0.3])
def test_a_task_without_weight_is_no_node_of_the_graph_of_all_pairs(alpha_ridge, normalized, rng):
    data = INSTANCES["tasks without weight"](rng)
    some = data.sample_weight > 0
    model = TaskGraphRegressor(2.0, alpha_ridge=alpha_ridge, normalized=normalized).fit(**data.arguments)
    left = Instance(data.X[some], data.y[some], data.task[some], data.sample_weight[some])
    alone = clone(model).fit(**left.arguments)
    seen = np.isin(model.tasks_, alone.tasks_)
    assert 1 < seen.sum() < len(seen)
    assert_allclose(model.coef_[seen], alone.coef_, rtol=1e-9, atol=1e-12)
    assert_allclose(model.coef_[~seen], np.tile(alone.shared_coef_, (np.sum(~seen), 1)), rtol=1e-9, atol=1e-12)
    assert model.objective_ == pytest.approx(alone.objective_, rel=1e-10)


BEYOND = {(0, "x"): 2.0, ("x", "y"): 1.0, (2, "y"): 0.5, (1, 3): 1.0, (3, "x"): 0.2}


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("instance", [n for n in WITH_DATA if n.startswith("shared") and n != "shared, one column"])
def test_a_node_beyond_the_columns_of_y_links_those_it_is_tied_to(instance, alpha, fit_intercept, rng):
    data = INSTANCES[instance](rng)
    columns = [f"c{t}" for t in range(data.y.shape[1])]
    edges = {tuple(columns[end] if isinstance(end, int) else end for end in edge): k for edge, k in BEYOND.items()}
    model = TaskGraphRegressor(alpha, graph=edges, alpha_ridge=0.3, fit_intercept=fit_intercept)
    model.fit(data.X, pd.DataFrame(data.y, columns=columns), data.sample_weight)
    assert model.tasks_.tolist() == columns
    nothing = Task(data.X[:0], data.X[:0, 0], data.X[:0, 0])
    tasks = [*data.tasks, nothing, nothing]
    common = {"alpha": alpha, "alpha_ridge": 0.3, "fit_intercept": fit_intercept}
    oracle = MODELS["TaskGraphRegressor"](
        tasks, task_factors(tasks), adjacency=adjacency([*columns, "x", "y"], edges), **common
    )
    expected = oracle.solution()
    assert_allclose(model.coef_, expected.W[:-2], rtol=0, atol=1e-8 * np.abs(expected.W).max())
    assert_allclose(model.intercept_, expected.b[:-2], rtol=0, atol=1e-8 * np.abs(expected.b).max() + 1e-12)
    assert_allclose(model.shared_coef_, expected.w0, rtol=0, atol=1e-8 * np.abs(expected.W).max())
    assert model.objective_ == pytest.approx(oracle.value(expected), rel=1e-9)


@pytest.mark.parametrize("normalized", [False, True])
def test_a_node_beyond_the_columns_of_y_needs_no_ridge(normalized, rng):
    """Where labels are missing, too: as a task without rows of a long table, in a path as in a fit."""
    X, Y = rng.normal(size=(20, 3)), rng.normal(size=(20, 3))
    Y[::3, 0] = np.nan
    graph = [(0, 1), (1, 7), (7, 2)]
    model = TaskGraphRegressor(0.3, graph=graph, alpha_ridge=0.0, normalized=normalized)
    seen = ~np.isnan(Y)
    long = clone(model).fit(np.vstack([X[s] for s in seen.T]), Y.T[seen.T], task=np.nonzero(seen.T)[0])
    assert_array_equal(long.tasks_, [0, 1, 2, 7])
    wide = model.fit(X, Y)
    assert_allclose(wide.coef_, long.coef_[:3], rtol=0, atol=1e-9)
    assert_allclose(wide.intercept_, long.intercept_[:3], rtol=0, atol=1e-9)
    assert wide.objective_ == pytest.approx(long.objective_, rel=1e-10)
    assert wide.dual_gap_ <= 1e-10 * wide.objective_
    assert_allclose(model.path(X, Y, alphas=[3.0, 0.3]).coefs[1], wide.coef_, rtol=0, atol=1e-9)


BAD_GRAPHS = {
    "negative weight": ({("t00", "t01"): -1.0}, ValueError, "finite and >= 0. Got -1"),
    "missing weight": ({("t00", "t01"): np.nan}, ValueError, "finite and >= 0. Got nan"),
    "infinite weight": (np.full((7, 7), np.inf), ValueError, "finite and >= 0. Got inf"),
    "weight of text": ([("t00", "t01", "x")], ValueError, r"numbers.*Got 'x' for the edge \('t00', 't01'\)"),
    "weights of an edge": ({("t00", "t01"): [1.0, 2.0]}, ValueError, "numbers.*Got .1.0, 2.0. for the edge"),
    "negative entry": (sparse.csr_array(-adjacency(NODES, EDGES)), ValueError, "finite and >= 0. Got -"),
    "two weights": (
        {("t00", "t01"): 1.0, ("t01", "t00"): 2.0},
        ValueError,
        "between 't00', 't01' twice with different weights, 1.0 and 2.0",
    ),
    "directed array": (np.triu(np.ones((7, 7)), 1), ValueError, r"not symmetric.*Got 1 at \(0, 1\) and 0 at \(1, 0\)"),
    "directed sparse": (
        sparse.csr_array(([3.0], ([4], [2])), shape=(7, 7)),
        ValueError,
        r"not symmetric.*Got 0 at \(2, 4\) and 3 at \(4, 2\)",
    ),
    "too small": (np.ones((6, 6)), ValueError, r"shape \(6, 6\), but there are 7 tasks"),
    "not square": (np.ones((7, 6)), ValueError, r"\(7, 6\)"),
    "no edges at all": (3.0, TypeError, "must be a dict.*Got float"),
    "text": ("t00", TypeError, "must be a dict.*Got str"),
    "three ends": ({("t00", "t01", "t02"): 1.0}, ValueError, r"pair of task ids \(a, b\)"),
    "one end": ([("t00",)], ValueError, r"pair of task ids \(a, b\)"),
    "ids, no edges": ([1, 2], ValueError, r"pair of task ids \(a, b\)"),
    "text of three letters": (["t00", "t01"], ValueError, r"pair of task ids \(a, b\). Got 't00'"),
    "keys of text": ({"t0": 1.0}, ValueError, r"pair of task ids \(a, b\)"),
    "an id is None": ({("t00", None): 1.0}, ValueError, "missing value"),
    "strangers": ({("a", "b"): 1.0}, ValueError, "No id of the graph"),
    "numbers for text": ({(0, 1): 1.0}, ValueError, "1 is not '1'"),
    "frame, other columns": (_frame(EDGES).rename(columns={"t00": "x"}), ValueError, "same ids, in the same order"),
    "directed frame": (_frame(EDGES) * np.triu(np.ones((7, 7))), ValueError, "not symmetric"),
}


@pytest.mark.parametrize(("graph", "error", "message"), BAD_GRAPHS.values(), ids=BAD_GRAPHS)
def test_a_bad_graph_is_refused_with_a_reason(graph, error, message, rng):
    data = INSTANCES["uneven tasks"](rng)
    with pytest.raises(error, match=message):
        TaskGraphRegressor(graph=graph).fit(**data.arguments)


# ----------------------------------------------------------------------------------------------- routes of the graph


def _graph_oracle(model, data, **known):
    graph = model.graph if isinstance(model.graph, dict) else {}
    parameters = {"alpha": model.alpha, "alpha_ridge": model.alpha_ridge, "fit_intercept": model.fit_intercept}
    c = task_factors(data.tasks, model.task_weight, ids=data.ids, fit_intercept=model.fit_intercept)
    K = adjacency(data.ids, graph)
    return MODELS["TaskGraphRegressor"](data.tasks, c, adjacency=K, **parameters, **known)


SHARED = [name for name in WITH_DATA if name.startswith("shared") and "label" not in name]


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [1e-6, 0.1, 1e4])
@pytest.mark.parametrize("instance", SHARED)
def test_a_shared_x_is_solved_directly(instance, alpha, fit_intercept, rng):
    data = INSTANCES[instance](rng)
    model = TaskGraphRegressor(alpha, graph=chain(data.ids), alpha_ridge=0.05, fit_intercept=fit_intercept)
    model.fit(**data.arguments)
    assert model.n_iter_ == 1
    assert model.residual_ <= 1e-10
    assert_same_model(model_of(model), _graph_oracle(model, data).solution())


@pytest.mark.parametrize("task_weight", ["auto", {0: 100.0, 2: 0.01}])
@pytest.mark.parametrize("instance", SHARED)
def test_a_shared_x_may_weigh_its_tasks_differently(instance, task_weight, rng):
    data = INSTANCES[instance](rng)
    task_weight = {0: 100.0} if len(data.ids) == 1 and isinstance(task_weight, dict) else task_weight
    model = TaskGraphRegressor(0.4, graph=chain(data.ids), alpha_ridge=0.05, task_weight=task_weight)
    model.fit(**data.arguments)
    assert model.residual_ <= 1e-10
    assert_same_model(model_of(model), _graph_oracle(model, data).solution())


def long_chain(rng, n_tasks=60):
    names = [f"n{t:02d}" for t in range(n_tasks)]
    task = np.repeat(names, rng.integers(1, 9, size=n_tasks))
    data = Instance(rng.normal(size=(len(task), 4)), rng.normal(size=len(task)), task)
    return data, dict.fromkeys(pairwise(names), 1.0)


@pytest.mark.parametrize("alpha", [1e-4, 1.0, 1e4, 1e8])
def test_a_long_chain_of_tasks_with_rows_of_their_own(alpha, rng):
    data, graph = long_chain(rng)
    model = TaskGraphRegressor(alpha, graph=graph, alpha_ridge=0.01).fit(**data.arguments)
    oracle = _graph_oracle(model, data)
    equations = oracle.equations()
    assert model.residual_ <= 1e-8
    assert equations.residual(oracle.flatten(model_of(model))) <= 1e-8
    expected = oracle.model(equations.solve())
    assert_same_model(model_of(model), expected, max(1e-9, 1e4 * EPS * equations.condition(scaled=False)))
    assert_allclose(oracle.value(model_of(model)), oracle.value(expected), rtol=1e-12)


def test_many_tasks_on_a_sparse_graph(rng):
    n_tasks, d = 150, 20
    names = np.arange(n_tasks)
    task = np.repeat(names, 30)
    X = rng.normal(size=(len(task), d))
    data = Instance(X, rng.normal(size=len(task)) + X @ rng.normal(size=d), task)
    edges = rng.integers(n_tasks, size=(450, 2))
    graph = {(int(min(e)), int(max(e))): 1.0 for e in edges if e[0] != e[1]}
    model = TaskGraphRegressor(3.0, graph=graph).fit(**data.arguments)
    G = np.zeros((n_tasks * d, n_tasks * d))
    L = adjacency(names, graph)
    Q = 3.0 * (np.diag(L.sum(axis=0)) - L) + 0.01 * np.eye(n_tasks)
    q = np.zeros(n_tasks * d)
    for t, rows in enumerate(data.tasks):
        centred = rows.X - rows.X.mean(axis=0)
        at = slice(t * d, (t + 1) * d)
        G[at, at], q[at] = centred.T @ centred / 30, centred.T @ rows.y / 30
    W = np.linalg.solve(G + np.kron(Q, np.eye(d)), q).reshape(n_tasks, d)
    assert_allclose(model.coef_, W, rtol=0, atol=1e-9 * np.abs(W).max())


@pytest.mark.parametrize("alpha", [1e-9, 1.0])  # by factors of the rows, and by inverses
def test_threads_change_no_bit_of_tasks_around_a_mean(alpha, rng, monkeypatch):
    data = INSTANCES["uneven tasks"](rng)
    one = MeanRegularizedRegressor(alpha).fit(**data.arguments)
    monkeypatch.setattr(skmtl._threads, "_WORTH_THREADS", 0)
    assert_array_equal(MeanRegularizedRegressor(alpha, n_jobs=2).fit(**data.arguments).coef_, one.coef_)


@pytest.mark.parametrize("max_iter", [1, 2])
def test_too_few_iterations_warn_with_residual_and_remedy(max_iter, rng):
    data = INSTANCES["uneven tasks"](rng)
    model = TaskGraphRegressor(10.0, graph=chain(data.ids), max_iter=max_iter)
    with pytest.warns(ConvergenceWarning, match=rf"residual .* after {max_iter} .*max_iter={max_iter}.*[Ii]ncrease"):
        model.fit(**data.arguments)
    assert model.n_iter_ == max_iter
    assert model.residual_ > 1e-8
    oracle = _graph_oracle(model, data)
    assert_allclose(oracle.equations().residual(oracle.flatten(model_of(model))), model.residual_, rtol=10)
    with pytest.warns(ConvergenceWarning):
        model.path(**data.arguments, alphas=[10.0])


def test_a_warm_start_goes_on_from_the_last_solution(rng):
    data, graph = long_chain(rng)
    model = TaskGraphRegressor(10.0, graph=graph, warm_start=True).fit(**data.arguments)
    for alpha, share in [(10.001, 0.7), (10.1, 0.9)]:
        cold = clone(model).set_params(alpha=alpha).fit(**data.arguments)
        model.set_params(alpha=alpha).fit(**data.arguments)
        assert 1 < model.n_iter_ < share * cold.n_iter_
        same(model, cold, 1e-8)
    model.fit(**data.arguments)
    assert model.n_iter_ <= 2


def test_a_warm_start_for_fewer_tasks_or_features_finds_their_solution(rng):
    data = INSTANCES["uneven tasks"](rng)
    model = TaskGraphRegressor(1.0, graph={("t00", "t01"): 1.0}, warm_start=True).fit(**data.arguments)
    rows = data.task != "t06"
    model.fit(data.X[rows], data.y[rows], task=data.task[rows])
    same(model, clone(model).fit(data.X[rows], data.y[rows], task=data.task[rows]), 1e-8)
    model.fit(data.X[:, :3], data.y, task=data.task)
    same(model, clone(model).fit(data.X[:, :3], data.y, task=data.task), 1e-8)


@pytest.mark.parametrize("penalty", [TraceNorm(0.05), Dirty(0.05, 0.05), RobustLowRank(0.05, 0.05)])
def test_a_warm_start_knows_tasks_by_their_ids(penalty, rng):
    """Tasks come and go: those that stay start from where they were, new ones from the shared weights."""
    data = INSTANCES["uneven tasks"](rng)
    model = MultiTaskRegressor(penalty, tol=1e-9, warm_start=True, max_iter=5000)
    rows = data.task != "t06"
    model.fit(data.X[rows], data.y[rows], task=data.task[rows])
    start = model._start(check_data(data.X, data.y, task=data.task), model.penalty_)
    start, last = (
        (start, (model.structured_coef_, model.deviation_coef_)) if penalty.decomposition else ([start], [model.coef_])
    )
    kept = data.ids != "t06"
    for begin, part in zip(start, last, strict=True):
        assert_array_equal(begin[kept], part)
    assert_allclose(sum(begin[~kept][0] for begin in start), model.shared_coef_)
    assert_allclose(model.fit(**data.arguments).objective_, clone(model).fit(**data.arguments).objective_, rtol=1e-6)
    others = np.array(["other " + name for name in data.task])
    assert model._start(check_data(data.X, data.y, task=others), model.penalty_) is None


@pytest.mark.parametrize("instance", ["more features than rows", "shared, more features than rows, missing labels"])
def test_a_warm_start_reaches_the_solution_with_more_features_than_rows(instance, rng):
    data = INSTANCES[instance](rng)
    model = TaskGraphRegressor(1.0, graph=chain(data.ids), warm_start=True).fit(**data.arguments)
    before = model.coef_
    model.fit(**data.arguments)
    assert model.n_iter_ <= 2
    assert_allclose(model.coef_, before, rtol=0, atol=1e-8 * np.abs(before).max())


# ------------------------------------------------------------------------------------------------------------- paths

PATH_INSTANCES = [
    "uneven tasks",
    "more features than rows",
    "weights",
    "shared",
    "shared, missing labels",
    "shared, more features than rows",
    "tasks without weight",
]


@each_case
@pytest.mark.parametrize("instance", PATH_INSTANCES)
def test_a_path_is_separate_fits(instance, case, rng):
    data = INSTANCES[instance](rng)
    cls, parameters = CASES[case]
    parameters = {k: v(data.ids) if callable(v) else v for k, v in (parameters | _some_ridge(case)).items()}
    model = cls(task_weight="tasks", **parameters)
    before = str(model.get_params())
    path = model.path(**data.arguments, alphas=[0.01, 10.0, 0.5])
    assert_array_equal(path.alphas, [10.0, 0.5, 0.01])
    assert path.coefs.shape == (3, len(data.ids), data.X.shape[1])
    assert path.intercepts.shape == (3, len(data.ids))
    assert str(model.get_params()) == before
    assert not hasattr(model, "coef_")
    assert (path.dual_gaps >= 0).all()
    for alpha, W, b, n_iter, _ in zip(*path, strict=True):
        model.set_params(alpha=alpha).fit(**data.arguments)
        assert_allclose(W, model.coef_, rtol=0, atol=(1e-8 if "chain" in case else 1e-11) * np.abs(model.coef_).max())
        assert_allclose(b, model.intercept_, rtol=0, atol=1e-8 * np.abs(model.intercept_).max())
        assert n_iter >= 1


@pytest.mark.parametrize("estimator", sorted({cls for cls, _ in CASES.values()}, key=str), ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("instance", PATH_INSTANCES)
def test_the_default_grid_spans_the_mean_curvature(instance, estimator, rng):
    """From s / eps down to s * eps, s = sum_t c_t tr(G_t) / (T d)."""
    data = INSTANCES[instance](rng)
    tasks, eps = data.tasks, 1e-2
    c = task_factors(tasks)
    trace = sum(
        factor * np.sum(task.s[:, None] * (task.X - np.average(task.X, axis=0, weights=task.s)) ** 2)
        for task, factor in zip(tasks, c, strict=True)
        if factor
    )
    s = trace / (np.count_nonzero(c) * data.X.shape[1])
    path = estimator().path(**data.arguments, n_alphas=5, eps=eps)
    assert_allclose(path.alphas, np.geomspace(s / eps, s * eps, 5), rtol=1e-9)
    assert path.coefs.shape[0] == path.intercepts.shape[0] == path.n_iters.shape[0] == 5


def test_the_default_grid_has_a_hundred_strengths(rng):
    data = INSTANCES["one feature"](rng)
    alphas = MeanRegularizedRegressor().path(**data.arguments).alphas
    assert len(alphas) == 100
    assert alphas[0] / alphas[-1] == pytest.approx(1e6)


@pytest.mark.parametrize(
    "bad", [{"alphas": []}, {"alphas": [-1.0]}, {"alphas": [np.nan]}, {"eps": 0.0}, {"eps": 1.5}, {"n_alphas": 0}]
)
def test_a_bad_grid_is_refused(bad, rng):
    data = INSTANCES["one feature"](rng)
    with pytest.raises(ValueError, match=r"alphas|eps"):
        MeanRegularizedRegressor().path(**data.arguments, **bad)


def test_the_path_of_the_composable_estimator_varies_its_penalty(rng):
    data = INSTANCES["uneven tasks"](rng)
    penalty = SharedPlusSpecific(alpha_shared=0.3)
    path = MultiTaskRegressor(penalty).path(**data.arguments, alphas=[1.0, 0.1])
    assert penalty.alpha == SharedPlusSpecific().alpha
    named = MeanRegularizedRegressor(alpha_shared=0.3).path(**data.arguments, alphas=[1.0, 0.1])
    assert_array_equal(path.coefs, named.coefs)


@each_case
def test_exact_models_ignore_the_tolerance(case, rng):
    data = INSTANCES["duplicated and constant columns"](rng)
    parameters = {k: v(data.ids) if callable(v) else v for k, v in (CASES[case][1] | _some_ridge(case)).items()}
    strict, loose = (CASES[case][0](0.1, tol=tol, **parameters).fit(**data.arguments) for tol in (1e-12, 10.0))
    assert_array_equal(strict.coef_, loose.coef_)


@pytest.mark.parametrize("kind", ["ring", "two rings", "wide ring", "random neighbours", "two random graphs"])
@pytest.mark.parametrize("alpha", [0.1, 100.0])
def test_graphs_of_many_tasks_are_solved_in_few_iterations(kind, alpha, rng, monkeypatch):
    """Where functions on the graph are smooth, from a factor of it; where only constants are, without."""
    n_tasks, d = 1300, 2
    if "random" in kind:
        edges = rng.integers(0, n_tasks, size=(4 * n_tasks, 2))
    else:
        steps = (1, 5, 25) if kind == "wide ring" else (1,)
        edges = np.concatenate(
            [np.column_stack([np.arange(n_tasks), (np.arange(n_tasks) + k) % n_tasks]) for k in steps]
        )
    if kind.startswith("two"):
        edges = edges[(edges[:, 0] < 600) == (edges[:, 1] < 600)]
    edges = edges[edges[:, 0] != edges[:, 1]]
    K = sparse.coo_array((np.ones(len(edges)), edges.T), shape=(n_tasks, n_tasks)).tocsr()
    K = ((K + K.T) > 0).astype(float)
    task = np.repeat(np.arange(n_tasks), 3)
    X = rng.normal(size=(len(task), d))
    y = rng.normal(size=len(task))
    factors = []
    monkeypatch.setattr(graph_solver, "sparse_solver", lambda A: factors.append(A) or sparse_solver(A))
    model = TaskGraphRegressor(alpha, graph=K, alpha_ridge=0.01, fit_intercept=False).fit(X, y, task=task)
    assert len(factors) == ("ring" in kind)
    assert model.n_iter_ < (60 if alpha < 1.0 else 300)
    blocks, c = X.reshape(n_tasks, 3, d), 1.0 / 3.0
    A = sparse.block_diag(list(c * blocks.swapaxes(1, 2) @ blocks))
    A = A + sparse.kron(alpha * csgraph.laplacian(K) + 0.01 * sparse.eye_array(n_tasks), np.eye(d))
    right = c * np.einsum("tij,ti->tj", blocks, y.reshape(n_tasks, 3)).ravel()
    W = spsolve(A.tocsc(), right).reshape(n_tasks, d)
    assert_allclose(model.coef_, W, rtol=0, atol=1e-7 * np.abs(W).max())
