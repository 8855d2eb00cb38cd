"""Penalties: values are those of the formulas, and a penalty is a small object that nothing changes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import ortho_group
from sklearn.base import clone

from skmtl import MultiTaskRegressor, penalties
from skmtl.penalties import Penalty, Pooled, Ridge, SharedPlusSpecific, TaskGraph
from tests.oracles import INSTANCES, adjacency, laplacian, objective, task_factors

EDGES = {(0, 1): 2.0, (1, 2): 0.5, (4, 0): 1.0}
K = adjacency(np.arange(5), EDGES)


def _edge_sum(W, normalized=False):
    root = np.sqrt(K.sum(axis=0)) if normalized else np.ones(len(W))
    return sum(k * np.sum((W[s] / root[s] - W[t] / root[t]) ** 2) for (s, t), k in EDGES.items())


def _squares(W):
    return np.sum(W**2)


def _shared_plus_specific(W, w0):
    return 0.35 * w0 @ w0 + 0.1 * _squares(W - w0)


def _shared(W, alpha, alpha_shared):
    return alpha * W.sum(axis=0) / (alpha_shared + len(W) * alpha)


FORMULAS = {  # penalty -> the same function in NumPy's words; infinite where the penalty is
    Ridge(0.7): lambda W: 0.35 * _squares(W),
    Ridge(0.0): lambda W: 0.0,
    Pooled(0.7): lambda W: 0.35 * _squares(W[0]) if (W == W[0]).all() else np.inf,
    Pooled(0.7, task_intercepts=True): lambda W: 0.35 * _squares(W[0]) if (W == W[0]).all() else np.inf,
    SharedPlusSpecific(0.2, alpha_shared=0.7): lambda W: _shared_plus_specific(
        W, 0.2 * W.sum(axis=0) / (0.7 + 5 * 0.2)
    ),
    SharedPlusSpecific(0.2, alpha_shared=0.0): lambda W: 0.1 * _squares(W - W.mean(axis=0)),
    SharedPlusSpecific(0.0, alpha_shared=0.7): lambda W: 0.0,
    SharedPlusSpecific(0.0, alpha_shared=0.0): lambda W: 0.0,
    TaskGraph(0.7, EDGES, alpha_ridge=0.2): lambda W: 0.35 * _edge_sum(W) + 0.1 * _squares(W),
    TaskGraph(0.7, EDGES, alpha_ridge=0.0): lambda W: 0.35 * _edge_sum(W),
    TaskGraph(0.7, {(0, 1): 1.0, (2, 3): 1.0, (3, 4): 4.0}, alpha_ridge=0.0, normalized=True): lambda W: (
        0.35 * np.sum(W * (laplacian(adjacency(np.arange(5), {(0, 1): 1.0, (2, 3): 1.0, (3, 4): 4.0}), True) @ W))
    ),
    TaskGraph(0.7, None, alpha_ridge=0.2): lambda W: (
        0.35 * sum(_squares(W[s] - W[t]) for s in range(5) for t in range(s)) + 0.1 * _squares(W)
    ),
    TaskGraph(0.7, K, alpha_ridge=0.2): lambda W: 0.35 * _edge_sum(W) + 0.1 * _squares(W),
    TaskGraph(0.7, sparse.csr_array(K), alpha_ridge=0.2): lambda W: 0.35 * _edge_sum(W) + 0.1 * _squares(W),
}
each_penalty = pytest.mark.parametrize(("penalty", "formula"), FORMULAS.items(), ids=lambda v: getattr(v, "alpha", ""))


def test_every_public_penalty_has_a_formula_here():
    """A newcomer cannot escape these tests."""
    public = {getattr(penalties, name) for name in penalties.__all__} - {Penalty}
    assert public == {type(penalty) for penalty in FORMULAS}


@pytest.mark.parametrize("size", [0.0, 1e-8, 1.0, 1e8])
@each_penalty
def test_the_value_is_that_of_the_formula(penalty, formula, size, rng):
    W = size * rng.normal(size=(5, 3))
    for weights in (W, np.tile(W[0], (5, 1)), np.asfortranarray(W)):
        before = weights.copy()
        value = penalty.value(weights)
        assert isinstance(value, float)
        assert_allclose(value, formula(weights), rtol=1e-12, atol=1e-13 * size**2)
        assert_array_equal(weights, before)


@each_penalty
def test_alpha_scales_the_belief_and_a_copy_has_another_one(penalty, formula, rng):
    before = repr(penalty)
    other = penalty.with_alpha(2)
    assert type(other) is type(penalty)
    assert isinstance(other.alpha, float)
    assert other.alpha == 2.0
    assert repr(penalty) == before
    expected = {name: value for name, value in penalty.get_params(deep=False).items() if name != "alpha"}
    for name, value in expected.items():
        assert getattr(other, name) is value


@each_penalty
def test_a_penalty_can_be_cloned_and_tuned(penalty, formula, rng):
    W = np.tile(rng.normal(size=3), (5, 1))
    twin = clone(penalty)
    assert twin.value(W) == penalty.value(W)
    model = MultiTaskRegressor(twin).set_params(penalty__alpha=0.125)
    assert model.penalty.alpha == 0.125
    assert penalty.alpha != 0.125


@each_penalty
def test_a_rotation_of_the_features_changes_nothing_where_that_is_promised(penalty, formula, rng):
    W = rng.normal(size=(5, 3))
    rotation = ortho_group.rvs(3, random_state=0)
    for weights in (W, np.tile(W[0], (5, 1))):
        turned = weights @ rotation
        turned = np.tile(turned[0], (5, 1)) if (weights == weights[0]).all() else turned
        assert not penalty.rotation_invariant or penalty.value(turned) == pytest.approx(penalty.value(weights))


@each_penalty
def test_a_separable_penalty_is_the_sum_over_tasks_and_others_are_not(penalty, formula, rng):
    W = rng.normal(size=(5, 3))
    if penalty.separable:
        assert penalty.value(W) == pytest.approx(sum(penalty.value(w[None]) for w in W))
    assert penalty.separable == isinstance(penalty, Ridge)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1e6])
@pytest.mark.parametrize("alpha_shared", [0.0, 0.7, 1e6])
def test_no_other_shared_weights_are_better(alpha, alpha_shared, rng):
    """The gradient in w_0 is zero: alpha_shared w_0 = alpha sum_t (w_t - w_0)."""
    penalty, W = SharedPlusSpecific(alpha, alpha_shared), rng.normal(size=(5, 3)) + 1.0
    w0 = penalty.shared(W)
    assert w0.shape == (3,)
    assert_allclose(alpha_shared * w0, alpha * np.sum(W - w0, axis=0), rtol=1e-9, atol=1e-9 * max(alpha, 1.0))
    if alpha_shared == 0.0:
        assert_allclose(w0, W.mean(axis=0), rtol=1e-12)


def test_only_partial_pooling_penalizes_intercepts():
    assert SharedPlusSpecific(alpha_intercept=0.1).penalizes_intercepts
    for penalty in FORMULAS:
        assert not penalty.penalizes_intercepts


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize(
    "graph", [None, EDGES, {}, {(3, 4): 1.0}, K], ids=["complete", "dict", "none", "edge", "array"]
)
def test_the_laplacian_is_symmetric_and_positive_with_the_right_null_vector(graph, normalized):
    tasks = np.arange(5)
    L = TaskGraph(graph=graph, normalized=normalized).laplacian(tasks).toarray()
    weights = 1.0 - np.eye(5) if graph is None else K if graph is K else adjacency(tasks, graph)
    assert_allclose(L, laplacian(weights, normalized), rtol=1e-14, atol=1e-15)
    assert_array_equal(L, L.T)
    assert np.linalg.eigvalsh(L)[0] >= -1e-14
    null = np.sqrt(weights.sum(axis=0)) if normalized else np.ones(5)
    assert_allclose(L @ null, 0.0, atol=1e-14)
    assert np.linalg.eigvalsh(L)[-1] <= 2.0 + 1e-12 or not normalized


def test_the_laplacian_follows_the_ids_it_is_asked_for(rng):
    penalty = TaskGraph(0.7, {("b", "a"): 2.0, ("c", "b"): 1.0}, alpha_ridge=0.0)
    W = rng.normal(size=(4, 3))
    orders = [["a", "b", "c", "d"], ["d", "c", "b", "a"]]
    values = [penalty.value(w, np.array(ids, dtype=object)) for w, ids in zip((W, W[::-1]), orders, strict=True)]
    expected = 0.35 * (2.0 * np.sum((W[0] - W[1]) ** 2) + np.sum((W[1] - W[2]) ** 2))
    assert_allclose(values, expected, rtol=1e-13)


def test_a_graph_adds_its_own_ids_to_those_of_the_data():
    tasks = np.array(["b", "c"], dtype=object)
    assert TaskGraph(graph={("b", "c"): 1.0}).all_tasks(tasks) is tasks
    assert TaskGraph(graph=None).all_tasks(tasks) is tasks
    assert TaskGraph(graph=np.ones((2, 2))).all_tasks(tasks) is tasks
    assert TaskGraph(graph={("c", "a"): 1.0, ("d", "a"): 0.0}).all_tasks(tasks).tolist() == ["a", "b", "c", "d"]
    assert Ridge().all_tasks(tasks) is tasks


@pytest.mark.parametrize(
    "penalty",
    [
        Ridge(0.3),
        Pooled(0.3),
        SharedPlusSpecific(0.3, alpha_shared=0.2),
        TaskGraph(0.3, {("t00", "t01"): 1.0, ("t01", "t06"): 2.0}),
        TaskGraph(0.3),
    ],
    ids=repr,
)
def test_the_objective_of_a_fit_is_its_loss_and_the_value_of_its_penalty(penalty, rng):
    data = INSTANCES["uneven tasks"](rng)
    model = MultiTaskRegressor(penalty).fit(**data.arguments)
    loss = objective(data.tasks, task_factors(data.tasks), model.coef_, model.intercept_)
    arguments = (model.tasks_,) if isinstance(penalty, TaskGraph) else ()
    assert model.objective_ == pytest.approx(loss + penalty.value(model.coef_, *arguments), rel=1e-12)


@pytest.mark.parametrize("strength", ["alpha", "alpha_shared", "alpha_intercept", "alpha_ridge"])
@pytest.mark.parametrize("value", [-1.0, np.inf, np.nan, "1", None, True])
def test_a_strength_out_of_range_is_refused_by_name_in_fit(strength, value, rng):
    data = INSTANCES["one feature"](rng)
    owner = TaskGraph if strength == "alpha_ridge" else SharedPlusSpecific
    penalty = owner(**{strength: value})  # nothing is checked before fit
    with pytest.raises(ValueError, match=rf"'{strength}' parameter of {owner.__name__} must be .*Got"):
        MultiTaskRegressor(penalty).fit(**data.arguments)


@pytest.mark.parametrize("penalty", [Ridge, "ridge", 1.0])
def test_what_is_no_penalty_is_refused(penalty, rng):
    data = INSTANCES["one feature"](rng)
    with pytest.raises(TypeError, match="penalty must be a Penalty"):
        MultiTaskRegressor(penalty).fit(**data.arguments)


def test_a_penalty_of_ones_own_without_a_solver_says_so(rng):
    class Surprise(Penalty):
        def value(self, W):
            return 0.0

    data = INSTANCES["one feature"](rng)
    with pytest.raises(TypeError, match=r"no solver for the penalty .*Surprise"):
        MultiTaskRegressor(Surprise()).fit(**data.arguments)
