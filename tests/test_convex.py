"""Convex models: every fit is as good as its duality gap says, on good-natured data and on data that hurts."""

import warnings
from itertools import pairwise

import cvxpy as cp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, Lasso, MultiTaskElasticNet, MultiTaskLasso

import skmtl
from skmtl import penalties
from skmtl._ids import number_as_they_come
from tests.convex import CASES, PLANTS, Convex, GroupSlope, Point, Sum, plant_wide
from tests.oracles import INSTANCES, Instance, long_table, outputs

ESTIMATORS = {"L1": "L1Regressor", "SharedPlusSpecific": "MeanRegularizedRegressor"}
SETTINGS = [  # fraction, task_weight, fit_intercept; a number is the factor of the first task
    (0.1, "samples", True),
    (0.5, "tasks", True),
    (0.01, "samples", False),
    (0.1, "auto", True),
    (0.01, 5.0, True),
    (0.5, "samples", False),
    (0.01, "tasks", True),
]
TOO_HARD = {"columns from 1e-4 to 1e4", "large means"}  # for the general solver, with some penalties
NO_INTERCEPT = {"one row a task"}  # with one, nothing would be left to explain

each_case = pytest.mark.parametrize("case", CASES)
each_instance = pytest.mark.parametrize("instance", INSTANCES)


pytestmark = pytest.mark.usefixtures("one_blas_thread")


def estimator_of(belief, **settings):
    """The named estimator of a belief; the composable one if it has none."""
    name = type(belief).__name__
    named = getattr(skmtl, ESTIMATORS.get(name, name + "Regressor"), None)
    if named is None:
        return skmtl.MultiTaskRegressor(belief.among(penalties), **settings)
    return named(**belief.parameters, **settings)


def strength_of(model):
    """The name of the parameter alpha."""
    return "penalty__alpha" if isinstance(model, skmtl.MultiTaskRegressor) else "alpha"


def fitted(problem, tol=1e-8, *, max_iter=20_000, **settings):
    """The estimator of a `Convex` problem, fitted to its data; a ConvergenceWarning is an error."""
    model = estimator_of(problem.belief, tol=tol, max_iter=max_iter, **problem.settings, **settings)
    return model.fit(**problem.data.arguments)


def point_of(model):
    parts = (model.structured_coef_, model.deviation_coef_) if hasattr(model, "structured_coef_") else None
    return Point(model.coef_, model.intercept_, parts)


def problem_of(case, instance, rng, setting=SETTINGS[0]):
    fraction, task_weight, fit_intercept = setting
    data = INSTANCES[instance](rng) if isinstance(instance, str) else instance
    fit_intercept = fit_intercept and instance not in NO_INTERCEPT if isinstance(instance, str) else fit_intercept
    return Convex(CASES[case], data, fraction, task_weight=task_weight, fit_intercept=fit_intercept)


def on(belief, data, **settings):
    """A given belief on a data set."""
    return Convex(lambda units: belief, data, **settings)


def rotation(step):
    """Pairs of a case and an instance: every case on each instance number of its own plus a multiple of `step`."""
    names = list(INSTANCES)
    return [(case, names[k]) for i, case in enumerate(CASES) for k in range(i % step, len(names), step)]


# ----------------------------------------------------------------------------------- against a general convex solver


def best_known(problem, instance):
    """The least objective that anyone finds; where the general solver may fail, that of a fit as exact as can be."""
    if instance not in TOO_HARD:
        return problem.value(problem.optimum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        own = problem.value(point_of(fitted(problem, 1e-12, max_iter=5000)))
    try:
        return min(own, problem.value(problem.optimum()))
    except cp.error.SolverError:
        return own


def assert_as_good_as_its_gap_says(problem, best, tols=(1e-2, 1e-5, 1e-8), known=1e-7):
    """The objective as reported, row by row; a gap that reaches down to the minimum; the minimum to 1e-6."""
    for tol in tols:
        model = fitted(problem, tol)
        point = point_of(model)
        got, noise = problem.value(point), 1e-12 * problem.unit + 10 * problem.noise(point)
        assert_allclose(model.objective_, got, rtol=1e-9, atol=noise, err_msg=f"tol={tol}")
        assert got - model.dual_gap_ <= best * (1 + known) + noise, tol
        assert model.dual_gap_ <= tol * problem.unit, tol
        assert got <= best * (1 + 1e-6) + tol * problem.unit, tol
        if point.parts is not None:
            assert_allclose(sum(point.parts), point.W, rtol=1e-13, atol=1e-14 * np.abs(point.W).max())
    assert got >= best * (1 - 1e-5) - 1e-6 * problem.unit  # else the other solver has failed, and tells nothing


@pytest.mark.parametrize(("case", "instance"), rotation(5))
def test_a_fit_is_as_good_as_its_gap_says(case, instance, rng):
    setting = SETTINGS[(list(CASES).index(case) + list(INSTANCES).index(instance)) % len(SETTINGS)]
    problem = problem_of(case, instance, rng, setting)
    assert_as_good_as_its_gap_says(problem, best_known(problem, instance))


@pytest.mark.slow
@each_case
@each_instance
def test_a_fit_is_as_good_as_its_gap_says_on_everything(case, instance, rng):
    problem = problem_of(case, instance, rng, SETTINGS[rng.integers(len(SETTINGS))])
    assert_as_good_as_its_gap_says(problem, best_known(problem, instance), tols=(1e-3, 1e-8))


@pytest.mark.parametrize("case", [case for case in CASES if "+" not in case])
def test_the_composable_estimator_is_the_named_one(case, rng):
    problem = problem_of(case, "uneven tasks", rng)
    named = fitted(problem)
    if isinstance(named, skmtl.MultiTaskRegressor):
        pytest.skip("the composable one is all there is")
    model = skmtl.MultiTaskRegressor(problem.belief.among(penalties), tol=1e-8, max_iter=20_000)
    model.fit(**problem.data.arguments)
    assert_array_equal(model.coef_, named.coef_)
    assert_array_equal(model.intercept_, named.intercept_)
    assert model.objective_ == named.objective_
    assert model.dual_gap_ == named.dual_gap_


@each_case
def test_a_fit_cut_short_warns_and_its_gap_is_honest(case, rng):
    problem = problem_of(case, "fewer rows than features in most tasks", rng)
    best = problem.value(problem.optimum())
    for max_iter in (1, 2, 7):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model = fitted(problem, 1e-10, max_iter=max_iter)
        got = problem.value(point_of(model))
        assert np.isfinite(got)
        assert_allclose(model.objective_, got, rtol=1e-9)
        assert got - model.dual_gap_ <= best * (1 + 1e-7) + 1e-12 * problem.unit
        assert (model.dual_gap_ > 1e-10 * problem.unit) == bool(caught)
        for warning in caught:
            text = str(warning.message)
            assert all(word in text for word in ("dual gap", "tol", "max_iter", "Increase"))


@each_case
def test_labels_that_are_all_the_same_give_zero_weights(case, rng):
    data = INSTANCES["uneven tasks"](rng)
    belief = problem_of(case, data, rng).belief
    data.y[:] = 3.0
    model = fitted(on(belief, data))
    assert not model.coef_.any()
    assert_allclose(model.intercept_, 3.0, rtol=1e-12)
    assert model.objective_ == pytest.approx(0.0, abs=1e-20)


# ------------------------------------------------------------------------------------- against data made for a solution


@pytest.mark.parametrize("scaled", [False, True], ids=["unit columns", "columns from 1e-4 to 1e4"])
@pytest.mark.parametrize("plant", PLANTS)
def test_a_known_solution_is_found(plant, scaled, rng):
    scale = 10.0 ** rng.uniform(-4, 4, size=40) if scaled else None
    planted = PLANTS[plant](rng, rows=100, spread=0.3, scale=scale)
    problem = on(planted.belief, planted.data)
    best = problem.value(planted.point)
    assert_as_good_as_its_gap_says(problem, best, known=1e-9)


@pytest.mark.parametrize("plant", ["L1", "joint feature", "temporal", "jumps", "fused"])
def test_a_known_solution_is_found_where_weights_make_up_for_the_scale_of_columns(plant, rng):
    """Every column counts the same, though the squares of some are 1e-16 of the others'."""
    scale = 10.0 ** rng.uniform(-4, 4, size=12)
    planted = PLANTS[plant](rng, T=20, d=12, alpha=1e-3, rows=30, spread=0.3, scale=scale, units=1 / scale)
    problem = on(planted.belief, planted.data)
    assert_as_good_as_its_gap_says(problem, problem.value(planted.point), known=1e-9)


@pytest.mark.parametrize(
    ("kind", "shared"),
    [("L1", False), ("joint feature", False), ("joint feature", True), ("trace", False), ("trace", True)],
)
@pytest.mark.parametrize(("n", "d"), [(12, 60), (5, 400), (2, 30)])
def test_a_known_solution_is_found_with_more_features_than_rows(kind, shared, n, d, rng):
    planted = plant_wide(kind, rng, n=n, d=d, shared=shared)
    problem = on(planted.belief, planted.data)
    best = problem.value(planted.point)
    assert_as_good_as_its_gap_says(problem, best, known=1e-9)


@pytest.mark.parametrize("plant", ["trace", "joint feature", "L1", "fused", "temporal"])
def test_many_tasks_with_few_rows_have_their_known_solution(plant, rng):
    planted = PLANTS[plant](rng, T=200, d=8, rows=3)
    problem = on(planted.belief, planted.data)
    assert_as_good_as_its_gap_says(problem, problem.value(planted.point), known=1e-9)


# --------------------------------------------------------------------------------------------------------- alpha_max


def _shrunk(G, step):
    return np.sign(G) * np.maximum(np.abs(G) - step, 0.0)


ALPHA_MAX = {  # case -> the smallest alpha without weights, from the gradient at W = 0
    "L1": lambda G, p: np.abs(G).max(),
    "L1, ridge": lambda G, p: np.abs(G).max(),
    "joint feature": lambda G, p: np.linalg.norm(G, axis=0).max(),
    "joint feature, ridge": lambda G, p: np.linalg.norm(G, axis=0).max(),
    "joint feature, elastic net": lambda G, p: np.linalg.norm(G, axis=0).max() / 0.5,
    "joint feature, sparse group": lambda G, p: np.linalg.norm(_shrunk(G, p["alpha_l1"]), axis=0).max(),
    "joint feature, weights": lambda G, p: (np.linalg.norm(G, axis=0) / p["feature_weights"]).max(),
    "joint feature, positive": lambda G, p: np.linalg.norm(np.maximum(G, 0.0), axis=0).max(),
    "joint feature, infinity": lambda G, p: np.abs(G).sum(axis=0).max(),
    "joint feature, infinity, ridge": lambda G, p: np.abs(G).sum(axis=0).max(),
    "joint feature, everything": lambda G, p: (
        (np.linalg.norm(np.maximum(G - p["alpha_l1"], 0.0), axis=0) / p["feature_weights"]).max() / 0.8
    ),
    "joint feature, everything, infinity": lambda G, p: (
        (np.maximum(G - p["alpha_l1"], 0.0).sum(axis=0) / p["feature_weights"]).max() / 0.8
    ),
    "group slope": lambda G, p: np.max(
        np.cumsum(-np.sort(-np.linalg.norm(G, axis=0))) / np.cumsum(GroupSlope(**p).steps(G))
    ),
    "trace": lambda G, p: np.linalg.norm(G, 2),
    "trace, ridge": lambda G, p: np.linalg.norm(G, 2),
}
MAX_INSTANCES = [
    "uneven tasks",
    "more features than rows",
    "columns from 1e-4 to 1e4",
    "large means",
    "weights",
    "shared, missing labels",
    "shared",
    "shared, more features than rows",
    "tasks without weight",
]


@pytest.mark.parametrize("instance", MAX_INSTANCES)
@pytest.mark.parametrize("case", ALPHA_MAX)
def test_at_alpha_max_there_are_no_weights_and_just_below_there_are(case, instance, rng):
    for setting in SETTINGS[:3]:
        problem = problem_of(case, instance, rng, setting)
        parameters = problem.belief.parameters
        alpha_max = ALPHA_MAX[case](problem.units.gradient, parameters)
        settings = problem.settings | {"max_iter": 20_000}
        model = estimator_of(problem.belief, **settings)
        found = model.alpha_max(**problem.data.arguments)
        assert isinstance(found, float)
        assert found == pytest.approx(alpha_max, rel=1e-9)
        assert not hasattr(model, "coef_")
        for factor in (10.0, 1.0, 1 - 5e-13):
            model.set_params(**{strength_of(model): found * factor}).fit(**problem.data.arguments)
            assert not model.coef_.any(), factor
            assert model.dual_gap_ <= 1e-12 * problem.unit
            assert model.objective_ == pytest.approx(problem.unit, rel=1e-9)
        model.set_params(**{strength_of(model): 0.999 * found}).fit(**problem.data.arguments)
        assert model.coef_.any() or not found  # alpha_l1 alone may leave none


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_alpha_max_of_a_norm_that_counts_tasks_counts_those_with_weight(loss, rng):
    """The weights of `GroupSlope` fall the faster the fewer tasks there are."""
    data = long_table(rng, [20, 20, 20, 20, 20], 12)
    data.X[:, 1:4] = data.X[:, :1] + 0.1 * rng.normal(size=(len(data.X), 3))  # several features share the bound
    data.y = data.X[:, 0] + 0.3 * rng.normal(size=len(data.X))
    some = np.isin(data.task, data.ids[:2])
    model = skmtl.MultiTaskRegressor(penalties.GroupSlope(q=0.3), loss=loss)
    found = model.alpha_max(data.X, data.y, 1.0 * some, task=data.task)
    assert found == pytest.approx(model.alpha_max(data.X[some], data.y[some], task=data.task[some]), rel=1e-9)
    model.set_params(penalty__alpha=found).fit(data.X, data.y, 1.0 * some, task=data.task)
    assert not model.coef_.any()


WITHOUT_ALPHA_MAX = [
    "relationship",
    "fused",
    "fused, complete",
    "clustered",
    "subspace",
    "temporal",
    "temporal, smooth",
    "graph, sparse",
    "mean, sparse",
]


@pytest.mark.parametrize("case", WITHOUT_ALPHA_MAX)
def test_a_penalty_that_is_no_norm_has_no_alpha_max_and_says_so(case, rng):
    problem = problem_of(case, "uneven tasks", rng)
    with pytest.raises(ValueError, match="alpha_max"):
        estimator_of(problem.belief).alpha_max(**problem.data.arguments)


def test_quadratic_models_have_no_alpha_max_either(rng):
    data = INSTANCES["uneven tasks"](rng)
    for model in (skmtl.IndependentRegressor(), skmtl.PooledRegressor(), skmtl.MeanRegularizedRegressor()):
        with pytest.raises(ValueError, match="alpha_max"):
            model.alpha_max(**data.arguments)


DECOMPOSITIONS = {  # the deviations' strength, the structure's alpha_max, the deviations' dual norm
    "dirty": ("alpha_sparse", lambda G: np.linalg.norm(G, axis=0).max(), lambda G: np.abs(G).max()),
    "dirty, infinity": ("alpha_sparse", lambda G: np.abs(G).sum(axis=0).max(), lambda G: np.abs(G).max()),
    "robust low rank": ("alpha_outlier", lambda G: np.linalg.norm(G, 2), lambda G: np.linalg.norm(G, axis=1).max()),
    "robust feature": (
        "alpha_outlier",
        lambda G: np.linalg.norm(G, axis=0).max(),
        lambda G: np.linalg.norm(G, axis=1).max(),
    ),
    "sparse and low rank": ("alpha_low_rank", lambda G: np.abs(G).max(), lambda G: np.linalg.norm(G, 2)),
}


@pytest.mark.parametrize("case", DECOMPOSITIONS)
def test_a_decomposition_is_zero_when_both_its_parts_are(case, rng):
    problem = problem_of(case, "uneven tasks", rng)
    name, structure, deviation = DECOMPOSITIONS[case]
    G, data = problem.units.gradient, problem.data.arguments
    model = estimator_of(problem.belief, max_iter=20_000).set_params(**{name: 1.001 * deviation(G)})
    found = model.alpha_max(**data)
    assert found == pytest.approx(structure(G), rel=1e-9)
    assert not model.set_params(alpha=found * (1 - 5e-13)).fit(**data).coef_.any()
    assert model.set_params(alpha=0.999 * found).fit(**data).coef_.any()
    model.set_params(alpha=10 * found, **{name: 0.999 * deviation(G)}).fit(**data)
    assert model.deviation_coef_.any()
    assert not model.structured_coef_.any()
    with pytest.raises(ValueError, match=name):
        model.alpha_max(**data)


# ------------------------------------------------------------------------------------------------------ equivalences


def assert_same(one, other, rtol=1e-9):
    """Weights and intercepts of two fits, relative to the largest."""
    for name in ("coef_", "intercept_"):
        expected = getattr(other, name)
        unit = np.abs(other.coef_).max() + (np.abs(expected).max() if name == "intercept_" else 0.0)
        assert_allclose(getattr(one, name), expected, rtol=0, atol=rtol * unit + 1e-13, err_msg=name)


TIGHT = {"tol": 1e-13, "max_iter": 20_000}


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("instance", ["one task", "one task, more features than rows", "shared, one column"])
def test_one_task_is_the_lasso(instance, fit_intercept, rng):
    """Whatever is said about features or tasks: with one task they are |w|_1, |w|_2 or a square."""
    data = INSTANCES[instance](rng)
    y = data.y.ravel()
    problem = problem_of("L1", data, rng, (0.1, "samples", fit_intercept))
    alpha, common = problem.belief.alpha, TIGHT | {"fit_intercept": fit_intercept}
    lasso = Lasso(alpha, fit_intercept=fit_intercept, tol=1e-14, max_iter=1_000_000).fit(data.X, y)
    alike = [
        skmtl.L1Regressor(alpha, **common),
        skmtl.JointFeatureRegressor(alpha, **common),
        skmtl.JointFeatureRegressor(alpha, norm=np.inf, **common),
        skmtl.JointFeatureRegressor(0.5 * alpha, alpha_l1=0.5 * alpha, **common),
        skmtl.DirtyRegressor(alpha, alpha_sparse=2 * alpha, **common),
        skmtl.DirtyRegressor(3 * alpha, alpha_sparse=alpha, **common),
        skmtl.TemporalRegressor(1.0, alpha_l1=alpha, **common),
        skmtl.TemporalRegressor(1.0, alpha_group=alpha, smooth=True, **common),
        skmtl.TaskGraphRegressor(1.0, alpha_ridge=0.0, alpha_l1=alpha, **common),
    ]
    for model in alike:
        model.fit(**data.arguments)
        assert_allclose(model.coef_[0], lasso.coef_, rtol=0, atol=1e-6 * np.abs(lasso.coef_).max(), err_msg=repr(model))
        assert_allclose(model.intercept_[0], lasso.intercept_, rtol=0, atol=1e-5)
    net = ElasticNet(alpha, l1_ratio=0.6, fit_intercept=fit_intercept, tol=1e-14, max_iter=1_000_000).fit(data.X, y)
    model = skmtl.JointFeatureRegressor(alpha, l1_ratio=0.6, **common).fit(**data.arguments)
    assert_allclose(model.coef_[0], net.coef_, rtol=0, atol=1e-6 * np.abs(net.coef_).max())
    model = skmtl.L1Regressor(0.6 * alpha, alpha_ridge=0.4 * alpha, **common).fit(**data.arguments)
    assert_allclose(model.coef_[0], net.coef_, rtol=0, atol=1e-6 * np.abs(net.coef_).max())
    ridge = skmtl.IndependentRegressor(0.3, fit_intercept=fit_intercept).fit(**data.arguments)
    assert_same(skmtl.TaskRelationshipRegressor(0.3, **common).fit(**data.arguments), ridge, 1e-6)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("instance", ["shared", "shared, more features than rows", "shared, one column"])
def test_joint_features_on_shared_rows_are_the_multi_task_lasso(instance, fit_intercept, rng):
    data = INSTANCES[instance](rng)
    for fraction in (0.5, 0.1, 0.03):
        alpha = problem_of("joint feature", data, rng, (fraction, "samples", fit_intercept)).belief.alpha
        known = {"fit_intercept": fit_intercept, "tol": 1e-13, "max_iter": 1_000_000}
        lasso = MultiTaskLasso(alpha, **known).fit(data.X, data.y)
        model = skmtl.JointFeatureRegressor(alpha, fit_intercept=fit_intercept, **TIGHT).fit(data.X, data.y)
        assert_allclose(model.coef_, lasso.coef_, rtol=0, atol=1e-7 * np.abs(lasso.coef_).max())
        net = MultiTaskElasticNet(alpha, l1_ratio=0.7, **known).fit(data.X, data.y)
        model = skmtl.JointFeatureRegressor(alpha, l1_ratio=0.7, fit_intercept=fit_intercept, **TIGHT)
        assert_allclose(model.fit(data.X, data.y).coef_, net.coef_, rtol=0, atol=1e-8 * np.abs(net.coef_).max())


@pytest.mark.parametrize("instance", ["uneven tasks", "weights", "more features than rows", "shared, missing labels"])
def test_no_edges_and_no_strength_are_independent_tasks(instance, rng):
    data, common = INSTANCES[instance](rng), {"alpha_ridge": 0.3} | TIGHT
    alone = skmtl.IndependentRegressor(0.3).fit(**data.arguments)
    alike = [
        skmtl.FusedTasksRegressor(5.0, graph={}, **common),
        skmtl.FusedTasksRegressor(5.0, graph={}, norm=1, **common),
        skmtl.FusedTasksRegressor(0.0, **common),
        skmtl.FusedTasksRegressor(0.0, graph={tuple(data.ids[:2].tolist()): 1.0}, **common),
        skmtl.TaskGraphRegressor(5.0, graph={}, **common),
        skmtl.L1Regressor(0.0, **common),
        skmtl.JointFeatureRegressor(0.0, **common),
        skmtl.JointFeatureRegressor(0.3, l1_ratio=0.0, **TIGHT),
        skmtl.TraceNormRegressor(0.0, **common),
        skmtl.TaskRelationshipRegressor(0.0, **common),
        skmtl.TemporalRegressor(0.0, **common),
        skmtl.TemporalRegressor(0.0, smooth=True, **common),
        skmtl.ClusteredRegressor(0.0, **common),
    ]
    for model in alike:
        assert_same(model.fit(**data.arguments), alone, 1e-6)
        assert model.objective_ == pytest.approx(alone.objective_, rel=1e-9)


@pytest.mark.parametrize("instance", ["uneven tasks", "shared", "shared, more features than rows"])
def test_the_path_of_the_task_relationship_is_the_trace_norms(instance, rng):
    """W(a) = W_trace(a |W|_*)."""
    data = INSTANCES[instance](rng)
    for fraction in (1.0, 0.1, 0.01):
        problem = problem_of("relationship", data, rng, (fraction, "samples", True))
        model = fitted(problem, 1e-13)
        alpha = problem.belief.alpha * np.linalg.norm(model.coef_, "nuc")
        trace = skmtl.TraceNormRegressor(alpha, **TIGHT).fit(**data.arguments)
        assert_allclose(model.coef_, trace.coef_, rtol=0, atol=1e-5 * np.abs(trace.coef_).max())


def test_the_task_covariance_is_the_one_that_attains_the_square(rng):
    """tr(W S^-1 W') = |W|_*^2, S of trace 1, and correlations follow from it."""
    problem = problem_of("relationship, ridge", "shared, missing labels", rng)
    model = fitted(problem)
    S, W = model.task_covariance_, model.coef_
    assert np.trace(S) == pytest.approx(1.0)
    assert_allclose(S, S.T, rtol=1e-13, atol=1e-14)
    square = np.trace(W.T @ np.linalg.pinv(S, rcond=1e-10) @ W)
    assert square == pytest.approx(np.linalg.norm(W, "nuc") ** 2, rel=1e-6)
    length = np.sqrt(np.diag(S))
    assert_allclose(model.task_correlation_, S / np.outer(length, length), rtol=0, atol=1e-10)


@pytest.mark.parametrize("long", [False, True])
def test_a_task_with_equal_labels_is_correlated_with_none(long, rng):
    """Its weights are zero up to rounding, the directions of which would be correlations near 1."""
    X, task = rng.normal(size=(40, 5)), np.repeat(np.arange(4), 10)
    y = np.where(task == 2, 7.0, np.sum(X * rng.normal(size=(4, 5))[task], axis=1))
    Y = np.where(np.arange(4) == 2, 7.0, X @ rng.normal(size=(5, 4)))
    model = skmtl.TaskRelationshipRegressor(0.01)
    model = model.fit(X, y, task=task) if long else model.fit(X, Y)
    assert_array_equal(model.task_correlation_[2], np.eye(4)[2])
    assert np.abs(model.task_correlation_[0, [1, 3]]).min() > 1e-3


@pytest.mark.parametrize(
    "instance", ["uneven tasks", "fewer rows than features in most tasks", "shared, missing labels"]
)
@pytest.mark.parametrize("k", [1, 2, 3])
def test_clusters_of_tasks_are_a_shared_subspace(instance, k, rng):
    data = INSTANCES[instance](rng)
    alpha = problem_of("clustered", data, rng).belief.alpha
    clustered = skmtl.ClusteredRegressor(alpha, n_clusters=k, eta=0.5, **TIGHT).fit(**data.arguments)
    subspace = skmtl.SharedSubspaceRegressor(alpha, n_components=k, eta=0.5, **TIGHT).fit(**data.arguments)
    assert_same(clustered, subspace, 1e-9)
    assert clustered.objective_ == pytest.approx(subspace.objective_, rel=1e-12)


def test_as_many_clusters_as_directions_are_independent_tasks(rng):
    """M = I on the range of W: alpha eta (1 + eta) |W|^2 / (1 + eta)."""
    data = INSTANCES["uneven tasks"](rng)  # 7 tasks, 5 features
    alone = skmtl.IndependentRegressor(2 * 0.05 * 0.5).fit(**data.arguments)
    for k in (5, 6, 7):
        model = skmtl.ClusteredRegressor(0.05, n_clusters=k, eta=0.5, **TIGHT).fit(**data.arguments)
        assert_same(model, alone, 1e-6)


@pytest.mark.parametrize(
    ("instance", "fit_intercept"),
    [("uneven tasks", True), ("weights", False), ("large means", True), ("shared, missing labels", False)],
)
def test_strong_fusion_pools_the_weights(instance, fit_intercept, rng):
    data = INSTANCES[instance](rng)
    common = {"fit_intercept": fit_intercept}
    pooled = skmtl.PooledRegressor(0.0, task_intercepts=True, **common).fit(**data.arguments)
    ids = data.ids.tolist()
    alpha = 100 * problem_of("fused", data, rng, (1.0, "samples", fit_intercept)).belief.alpha
    chain = dict.fromkeys(pairwise(ids), 1.0)
    for model in (
        skmtl.FusedTasksRegressor(alpha, graph=chain, **common),
        skmtl.FusedTasksRegressor(alpha, graph=chain, norm=1, **common),
        skmtl.FusedTasksRegressor(alpha, **common),
        skmtl.TemporalRegressor(alpha, **common),
    ):
        model.set_params(tol=1e-12, max_iter=20_000).fit(**data.arguments)
        assert_same(model, pooled, 1e-6)
        assert_allclose(
            model.coef_, np.tile(model.coef_[0], (len(ids), 1)), rtol=0, atol=1e-12 * abs(model.coef_).max()
        )
        if hasattr(model, "cluster_labels_"):
            assert not model.cluster_labels_.any()


def test_equal_tasks_have_one_label(rng):
    planted = PLANTS["fused"](rng, T=15, d=4, rows=20)
    model = fitted(on(planted.belief, planted.data), 1e-10)
    assert_array_equal(model.cluster_labels_, np.arange(15) // 3)


@pytest.mark.parametrize("shared", [True, False], ids=["shared rows", "own rows"])
def test_equal_tasks_are_equal_with_more_features_than_rows(shared, rng):
    """A product of all tasks rounds the same weights in two ways."""
    X = rng.normal(size=(42, 300))
    data = {"X": X, "y": X[:, :21]} if shared else {"X": X, "y": X[:, 0], "task": np.arange(42) % 21}
    fused, pooled = (model.fit(**data) for model in (skmtl.FusedTasksRegressor(10.0), skmtl.PooledRegressor()))
    assert not fused.cluster_labels_.any()
    assert (fused.coef_ == fused.coef_[0]).all()
    assert (pooled.coef_ == pooled.coef_[0]).all()


def test_groups_of_tasks_are_found(rng):
    data = long_table(rng, [30] * 6, 4)
    code, w = np.searchsorted(data.ids, data.task), rng.normal(size=(2, 4))
    data.y = np.sum(data.X * w[code % 2], axis=1) + 0.1 * rng.normal(size=len(code))
    model = skmtl.ClusteredRegressor(0.05, n_clusters=2, max_iter=20_000).fit(**data.arguments)
    assert_array_equal(model.cluster_labels_, [0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize("instance", ["uneven tasks", "weights", "shared, missing labels", "more features than rows"])
def test_smooth_time_is_a_chain(instance, rng):
    data = INSTANCES[instance](rng)
    for ids in (data.ids.tolist(), data.ids.tolist()[::2] + data.ids.tolist()[1::2]):
        chain = dict.fromkeys(pairwise(ids), 1.0)
        graph = skmtl.TaskGraphRegressor(0.3, graph=chain, alpha_ridge=0.2).fit(**data.arguments)
        model = skmtl.TemporalRegressor(0.3, smooth=True, alpha_ridge=0.2, order=ids, **TIGHT).fit(**data.arguments)
        assert_same(model, graph, 1e-6)
        assert model.objective_ == pytest.approx(graph.objective_, rel=1e-9)


@pytest.mark.parametrize("case", ["fused, entries", "temporal, sparse"])
def test_time_is_a_chain_that_fuses_entries(case, rng):
    data = INSTANCES["uneven tasks"](rng)
    ids = data.ids.tolist()
    belief = problem_of("temporal, sparse", data, rng).belief
    fused = penalties.FusedTasks(belief.alpha, graph=dict.fromkeys(pairwise(ids), 1.0), norm=1)
    alpha_l1 = belief.alpha_l1 if case == "temporal, sparse" else 0.0
    penalty = fused + penalties.L1(alpha_l1) if alpha_l1 else fused
    model = skmtl.MultiTaskRegressor(penalty, **TIGHT).fit(**data.arguments)
    temporal = skmtl.TemporalRegressor(belief.alpha, alpha_l1=alpha_l1, **TIGHT).fit(**data.arguments)
    assert_same(model, temporal, 1e-5)
    assert model.objective_ == pytest.approx(temporal.objective_, rel=1e-10)


@pytest.mark.parametrize("instance", ["uneven tasks", "more features than rows", "shared, missing labels"])
@pytest.mark.parametrize(
    ("case", "name", "alone"),
    [
        ("dirty", "alpha_sparse", "JointFeatureRegressor"),
        ("robust low rank", "alpha_outlier", "TraceNormRegressor"),
        ("robust feature", "alpha_outlier", "JointFeatureRegressor"),
        ("sparse and low rank", "alpha_low_rank", "L1Regressor"),
    ],
)
def test_deviations_that_cost_too_much_leave_the_structure(case, name, alone, instance, rng):
    problem = problem_of(case, instance, rng)
    model = estimator_of(problem.belief, **TIGHT).set_params(**{name: 1e4 * problem.units.spectral})
    model.fit(**problem.data.arguments)
    assert not model.deviation_coef_.any()
    assert_array_equal(model.structured_coef_, model.coef_)
    expected = getattr(skmtl, alone)(problem.belief.alpha, **TIGHT).fit(**problem.data.arguments)
    assert_same(model, expected, 1e-5)
    assert model.objective_ == pytest.approx(expected.objective_, rel=1e-10)


@pytest.mark.parametrize(
    ("case", "name", "alone"),
    [("dirty", "alpha_sparse", "L1Regressor"), ("sparse and low rank", "alpha_low_rank", "TraceNormRegressor")],
)
def test_a_structure_that_costs_too_much_leaves_the_deviations(case, name, alone, rng):
    problem = problem_of(case, "uneven tasks", rng)
    model = estimator_of(problem.belief, **TIGHT).set_params(alpha=1e4 * problem.units.spectral)
    model.fit(**problem.data.arguments)
    assert not model.structured_coef_.any()
    expected = getattr(skmtl, alone)(problem.belief.parameters[name], **TIGHT).fit(**problem.data.arguments)
    assert_same(model, expected, 1e-5)


@pytest.mark.parametrize(("kind", "share"), [("RobustLowRank", 0.6), ("RobustFeature", 0.9)])
@pytest.mark.parametrize("target", ["Regressor", "Classifier"])
def test_a_task_without_weight_is_no_outlier(kind, share, target, rng):
    """It has the model of the others, of which one is an outlier."""
    task = np.repeat(np.arange(6), 30)
    X, w = rng.normal(size=(180, 4)), rng.normal(size=4)
    y = X @ w * np.where(task == 0, -3.0, 1.0) + 0.1 * rng.normal(size=180)
    y = y if target == "Regressor" else y > 0
    alpha = 1.0 if target == "Regressor" else 0.1
    model = getattr(skmtl, kind + target)(alpha, alpha_outlier=share * alpha).fit(X, y, (task != 3) * 1.0, task=task)
    assert len(model.outlier_tasks_)
    assert 3 not in model.outlier_tasks_
    assert_allclose(model.structured_coef_ + model.deviation_coef_, model.coef_, rtol=0, atol=1e-12)
    assert_array_equal(model.coef_[3], model.shared_coef_)


@pytest.mark.parametrize("target", ["Regressor", "Classifier"])
def test_a_task_without_weight_has_no_say_in_how_others_relate(target, rng):
    task, known = np.repeat(np.arange(7), 30), [0, 2, 4, 5]
    X, rows = rng.normal(size=(210, 4)), np.isin(task, known)
    W = 2.0 * rng.normal(size=(3, 4))[[0, 0, 1, 2, 1, 2, 2]] + rng.normal(size=(7, 4))
    y = np.sum(X * W[task], axis=1)
    y = y if target == "Regressor" else y > 0

    def fits(name, **parameters):
        model = getattr(skmtl, name + target)(0.02, tol=1e-9, **parameters)
        return clone(model).fit(X, y, rows * 1.0, task=task), model.fit(X[rows], y[rows], task=task[rows])

    model, without = fits("TaskRelationship")
    correlation, covariance = np.eye(7), np.zeros((7, 7))
    correlation[np.ix_(known, known)] = without.task_correlation_
    covariance[np.ix_(known, known)] = without.task_covariance_
    assert_allclose(model.task_correlation_, correlation, rtol=0, atol=1e-6)
    assert_allclose(model.task_covariance_, covariance, rtol=0, atol=1e-6)
    model, without = fits("Clustered", n_clusters=3, eta=0.1)
    assert_array_equal(number_as_they_come(model.cluster_labels_[known]), without.cluster_labels_)


def test_outlying_tasks_are_named(rng):
    data = long_table(rng, [25] * 8, 6, noise=0.1)
    code, w = np.searchsorted(data.ids, data.task), rng.normal(size=6)
    W = np.outer(rng.uniform(1.0, 2.0, size=8), w)
    W[5] += 4 * rng.normal(size=6)
    data.y = np.sum(data.X * W[code], axis=1) + 0.1 * rng.normal(size=len(code))
    units = problem_of("robust low rank", data, rng, (1.0, "samples", True)).units
    alpha = 0.05 * units.spectral
    model = skmtl.RobustLowRankRegressor(alpha, alpha_outlier=0.5 * alpha, tol=1e-8, max_iter=20_000)
    model.fit(**data.arguments)
    assert "t05" in model.outlier_tasks_
    assert_array_equal(model.outlier_tasks_, model.tasks_[model.deviation_coef_.any(axis=1)])


def test_the_rank_is_that_of_the_weights(rng):
    planted = PLANTS["trace"](rng, T=12, d=9, rows=30)
    model = fitted(on(planted.belief, planted.data), 1e-10)
    assert model.rank_ == 4 == np.linalg.matrix_rank(model.coef_, tol=1e-6)


# ------------------------------------------------------------------------------------------------ layouts and weights


def _renamed(belief, names):
    """The same belief about tasks of other names."""
    if isinstance(belief, Sum):
        return Sum(a=_renamed(belief.a, names), b=_renamed(belief.b, names), alpha=belief.alpha)
    parameters = dict(belief.parameters)
    if parameters.get("graph") is not None:
        parameters["graph"] = {(names[a], names[b]): k for (a, b), k in parameters["graph"].items()}
    if hasattr(belief, "order"):
        parameters["order"] = [names[a] for a in belief.order or sorted(names)]
    return type(belief)(**parameters)


@each_case
def test_permuted_tasks_permute_the_weights(case, rng):
    data = INSTANCES["fewer rows than features in most tasks"](rng)
    ids = data.ids.tolist()
    new = dict(zip(ids, rng.permutation(ids).tolist(), strict=True))
    problem = problem_of(case, data, rng)
    renamed = Instance(data.X, data.y, np.array([new[name] for name in data.task], dtype=object))
    model, other = fitted(problem, 1e-12), fitted(on(_renamed(problem.belief, new), renamed), 1e-12)
    at = [ids.index(new[name]) for name in ids]
    assert model.objective_ == pytest.approx(other.objective_, rel=1e-9)
    assert_allclose(other.coef_[at], model.coef_, rtol=0, atol=1e-5 * np.abs(model.coef_).max())


@each_case
def test_long_and_wide_are_the_same(case, rng):
    wide = outputs(rng, 30, 5, 4)
    n, T = wide.y.shape
    task = np.tile(np.arange(T), n)
    long = Instance(np.repeat(wide.X, T, axis=0), wide.y.ravel(), task)
    belief = problem_of(case, wide, rng).belief
    one, other = fitted(on(belief, long), 1e-13), fitted(on(belief, wide), 1e-13)
    assert one.objective_ == pytest.approx(other.objective_, rel=1e-11)
    assert_same(one, other, 1e-7)


@each_case
def test_a_missing_label_is_a_row_left_out(case, rng):
    wide = outputs(rng, 30, 5, 4, missing=0.3)
    labelled = ~np.isnan(wide.y)
    rows, task = np.nonzero(labelled)
    belief = problem_of(case, wide, rng).belief
    dropped = fitted(on(belief, Instance(wide.X[rows], wide.y[labelled], task)), 1e-13)
    assert_same(fitted(on(belief, wide), 1e-13), dropped, 1e-7)
    zero = Instance(wide.X, np.where(labelled, wide.y, 5.0), None, labelled.astype(float))
    assert_same(fitted(on(belief, zero), 1e-13), dropped, 1e-7)


@each_case
def test_a_repeated_row_has_weight_two(case, rng):
    data = INSTANCES["uneven tasks"](rng)
    twice = rng.random(len(data.X)) < 0.3
    belief = problem_of(case, data, rng).belief
    weighted = fitted(on(belief, Instance(data.X, data.y, data.task, 1.0 + twice)), 1e-13)
    again = np.concatenate([np.arange(len(data.X)), np.flatnonzero(twice)])
    repeated = fitted(on(belief, Instance(data.X[again], data.y[again], data.task[again])), 1e-13)
    assert_same(weighted, repeated, 1e-6)
    assert weighted.objective_ == pytest.approx(repeated.objective_, rel=1e-10)


@pytest.mark.parametrize("n_tasks", [1, 3])
@pytest.mark.parametrize(
    "model",
    [
        skmtl.FusedTasksRegressor(alpha=1.0, norm=1),
        skmtl.FusedTasksRegressor(alpha=1.0, norm=2),
        skmtl.JointFeatureRegressor(alpha=0.0),
        skmtl.L1Regressor(alpha=0.0),
        skmtl.TaskGraphRegressor(alpha=1.0, alpha_ridge=0.0),
        skmtl.TemporalRegressor(alpha=1.0),
        skmtl.TemporalRegressor(alpha=1.0, smooth=True),
    ],
    ids=lambda model: f"{type(model).__name__}-{getattr(model, 'norm', getattr(model, 'smooth', ''))}",
)
def test_a_repeated_row_has_weight_two_where_rows_leave_weights_open(model, n_tasks, rng):
    """Of many solutions the smallest is taken, whether tasks keep their few rows or, with these repeated, do not."""
    X, y, task = rng.normal(size=(3, 5)) * [1.0, 10.0, 0.1, 5.0, 1.0], rng.normal(size=3), np.arange(3) % n_tasks
    model.set_params(fit_intercept=False)
    weighted = clone(model).fit(X, y, [3, 3, 1], task=task)
    repeated = clone(model).fit(*(np.repeat(a, [3, 3, 1], axis=0) for a in (X, y)), task=np.repeat(task, [3, 3, 1]))
    assert_same(repeated, weighted, 1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_few_weights_beside_pulled_intercepts_do_not_slow_each_other(seed):
    """With copies of the weights, features far from zero took more than 20,000 iterations."""
    rng = np.random.default_rng(seed)
    for setting in SETTINGS[:2]:
        problem = problem_of("mean, sparse, partial pooling", "large means", rng, setting)
        model = fitted(problem, max_iter=1000)
        assert model.dual_gap_ <= 1e-8 * problem.unit


@each_case
def test_scaled_weights_change_nothing(case, rng):
    data = INSTANCES["weights"](rng)
    for task_weight in ("samples", "tasks", "auto"):
        problem = problem_of(case, data, rng, (0.1, task_weight, True))
        one = fitted(problem, 1e-12)
        scaled = Instance(data.X, data.y, data.task, 1024.0 * data.sample_weight)
        other = fitted(on(problem.belief, scaled, task_weight=task_weight), 1e-12)
        assert other.objective_ == pytest.approx(one.objective_, rel=1e-9)
        assert_same(other, one, 1e-6)


@each_case
def test_a_task_without_weight_changes_nothing(case, rng):
    """It takes no part, unless a graph ties it to others, and gets the shared model."""
    data = INSTANCES["tasks without weight"](rng)
    problem = problem_of(case, data, rng)
    model = fitted(problem, 1e-10)
    gone = ~problem.nodes
    assert_array_equal(model.coef_[gone], np.tile(model.shared_coef_, (gone.sum(), 1)))
    if problem.belief.ties:
        assert np.isfinite(model.coef_).all()
        return
    rows = data.sample_weight > 0
    known = Instance(data.X[rows], data.y[rows], data.task[rows])
    without = fitted(on(problem.belief, known), 1e-10)
    assert_allclose(model.coef_[~gone], without.coef_, rtol=0, atol=1e-9 * np.abs(without.coef_).max())
    assert model.objective_ == pytest.approx(without.objective_, rel=1e-10)


@each_case
def test_scaled_labels_scale_the_weights(case, rng):
    """In units of y: strengths of norms scale with y, those of squares do not, and tol means the same."""
    if case in ("joint feature, elastic net", "mean, sparse, partial pooling") or "everything" in case:
        pytest.skip("one strength for a norm and a square, or one that is no multiple of a unit")
    data = INSTANCES["uneven tasks"](rng)
    model = fitted(problem_of(case, data, rng), 1e-10)
    for factor in (2.0**-20, 2.0**20):
        scaled = Instance(data.X, factor * data.y, data.task)
        belief = problem_of(case, scaled, rng)
        other = fitted(belief, 1e-10)
        assert other.objective_ == pytest.approx(factor**2 * model.objective_, rel=1e-7)
        assert_allclose(other.coef_, factor * model.coef_, rtol=0, atol=1e-4 * factor * np.abs(model.coef_).max())


# ------------------------------------------------------------------------------------------------ paths, warm starts


@each_case
def test_a_path_is_separate_fits(case, rng):
    problem = problem_of(case, "uneven tasks", rng)
    alphas = problem.belief.alpha * np.array([0.1, 3.0, 0.5])
    model = estimator_of(problem.belief, tol=1e-9, max_iter=20_000)
    before = str(model.get_params())
    path = model.path(**problem.data.arguments, alphas=alphas)
    assert_array_equal(path.alphas, np.sort(alphas)[::-1])
    assert str(model.get_params()) == before
    assert path.dual_gaps.shape == (3,)
    for k, alpha in enumerate(path.alphas):
        single = estimator_of(problem.belief, tol=1e-9, max_iter=20_000)
        single.set_params(**{strength_of(single): alpha}).fit(**problem.data.arguments)
        assert 0 <= path.dual_gaps[k] + 1e-12 * problem.unit
        assert path.dual_gaps[k] <= 1e-9 * problem.unit
        gap = single.dual_gap_ + path.dual_gaps[k]
        belief = type(problem.belief)(**problem.belief.parameters | {"alpha": alpha})
        if not belief.decomposition:
            value = on(belief, problem.data).value(Point(path.coefs[k], path.intercepts[k]))
            assert abs(value - single.objective_) <= gap + 1e-11 * problem.unit


@pytest.mark.parametrize("case", [case for case in ALPHA_MAX if "everything" not in case])  # there it may be zero
def test_the_default_grid_of_a_norm_begins_at_alpha_max(case, rng):
    problem = problem_of(case, "uneven tasks", rng)
    model = estimator_of(problem.belief, max_iter=20_000)
    path = model.path(**problem.data.arguments, n_alphas=5, eps=0.1)
    alpha_max = model.alpha_max(**problem.data.arguments)
    assert_allclose(path.alphas, np.geomspace(alpha_max, 0.1 * alpha_max, 5), rtol=1e-12)
    assert not path.coefs[0].any()
    assert path.coefs[1].any()


@pytest.mark.parametrize("case", ["relationship", "fused", "clustered", "temporal, smooth", "graph, sparse"])
def test_the_default_grid_of_others_spans_the_mean_curvature(case, rng):
    problem = problem_of(case, "uneven tasks", rng, (1.0, "samples", True))
    model = estimator_of(problem.belief, max_iter=20_000)
    path = model.path(**problem.data.arguments, n_alphas=3)
    assert_allclose(path.alphas, problem.units.curvature * np.array([1e3, 1.0, 1e-3]), rtol=1e-9)


@each_case
def test_a_warm_start_is_there_at_once(case, rng):
    problem = problem_of(case, "uneven tasks", rng)
    model = fitted(problem, 1e-7, warm_start=True)
    before, cold = model.objective_, model.n_iter_
    model.fit(**problem.data.arguments)
    assert model.n_iter_ <= 1.5 * cold + 5  # the dual variables start anew
    assert model.objective_ == pytest.approx(before, rel=1e-5)
    assert model.dual_gap_ <= 1e-7 * problem.unit


@each_case
def test_fits_repeat_and_do_not_touch_their_data(case, rng):
    problem = problem_of(case, "shared, missing labels", rng)
    data = problem.data
    before = data.X.copy(), data.y.copy()
    one, other = fitted(problem), fitted(problem)
    assert_array_equal(one.coef_, other.coef_)
    assert one.dual_gap_ == other.dual_gap_
    assert_array_equal(data.X, before[0])
    assert_array_equal(data.y, before[1])


# ------------------------------------------------------------------------------------- the answers against each other


@pytest.mark.parametrize("plant", PLANTS)
def test_the_general_solver_finds_the_planted_solution(plant, rng):
    planted = PLANTS[plant](rng, T=7, d=6, rows=5, spread=0.5)
    problem = on(planted.belief, planted.data)
    found, known = problem.value(problem.optimum()), problem.value(planted.point)
    assert abs(found - known) <= 1e-8 * problem.unit


@each_case
def test_both_words_say_the_same(case, rng):
    """NumPy's and cvxpy's, at weights that are given."""
    problem = problem_of(case, "shared, missing labels", rng)
    parts = [np.abs(rng.normal(size=(6, 5))) for _ in range(1 + problem.belief.decomposition)]
    given = [cp.Variable(part.shape) for part in parts]
    expression, constraints = problem.belief.express_total(*given)
    constraints = constraints + [z == part for z, part in zip(given, parts, strict=True)]
    unit = problem.belief.total(*parts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "may be inaccurate": the comparison says how accurate it has to be
        cp.Problem(cp.Minimize(expression / unit), constraints).solve(
            cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10
        )
    assert expression.value == pytest.approx(unit, rel=1e-4)  # a learned covariance is near the border
