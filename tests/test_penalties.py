"""Penalties: values are those of the formulas, proxes and duals fit to them, and nothing changes a penalty."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import ortho_group
from sklearn.base import clone

from skmtl import MultiTaskRegressor, penalties
from skmtl.penalties import (
    L1,
    AdaptiveJointFeature,
    LatentBasis,
    Norm,
    Penalty,
    Pooled,
    ReducedRank,
    Ridge,
    SharedPlusSpecific,
    TaskGraph,
    TraceNorm,
)
from skmtl.penalties.base import Chain, Square
from skmtl.penalties.graph import Edges
from tests.convex import CASES, Units
from tests.oracles import INSTANCES, adjacency, laplacian, objective, outputs, task_factors

EDGES = {(0, 1): 2.0, (1, 2): 0.5, (4, 0): 1.0}
K = adjacency(np.arange(5), EDGES)


def _edge_sum(W, normalized=False):
    root = np.sqrt(K.sum(axis=0)) if normalized else np.ones(len(W))
    return sum(k * np.sum((W[s] / root[s] - W[t] / root[t]) ** 2) for (s, t), k in EDGES.items())


def _squares(W):
    return np.sum(W**2)


def _shared_plus_specific(W, w0):
    return 0.35 * w0 @ w0 + 0.1 * _squares(W - w0)


def _on_rows(rho):
    return lambda W: sum(rho(length) for length in np.linalg.norm(W, axis=0))


UNITS = Units(outputs(np.random.default_rng(0), 12, 3, 5), np.full(5, 1 / 12), fraction=0.3)
CONVEX = {case: belief(UNITS).bind(np.arange(5)) for case, belief in CASES.items()}  # 5 tasks, 3 features
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
    AdaptiveJointFeature(0.5, "mcp", 3.0): _on_rows(lambda r: 0.5 * r - r**2 / 6 if r < 1.5 else 0.375),
    AdaptiveJointFeature(0.5, "scad", 3.0): _on_rows(
        lambda r: 0.5 * r if r < 0.5 else 0.25 + (r - 0.5) * (2.5 - r) / 4 if r < 1.5 else 0.5
    ),
    AdaptiveJointFeature(0.5, "capped_l1", 3.0): _on_rows(lambda r: 0.5 * min(r, 1.5)),
    AdaptiveJointFeature(0.5, "sqrt"): _on_rows(lambda r: 0.5 * np.sqrt(r)),
} | {belief.among(penalties): belief.total for belief in CONVEX.values() if not belief.decomposition}
each_penalty = pytest.mark.parametrize(("penalty", "formula"), FORMULAS.items(), ids=lambda v: getattr(v, "alpha", ""))


def test_every_public_penalty_has_a_formula_here():
    """A newcomer cannot escape these tests."""
    public = {getattr(penalties, name) for name in penalties.__all__} - {Penalty, Norm}
    parts = {type(belief.among(penalties)) for belief in CONVEX.values() if belief.decomposition}
    assert public == {type(penalty) for penalty in FORMULAS} | parts | {ReducedRank, LatentBasis}


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
    assert penalty.separable == isinstance(penalty, (Ridge, penalties.L1))


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


@pytest.mark.parametrize(
    ("penalty", "apart"),
    [(SharedPlusSpecific(0.1), 0.1), (TaskGraph(0.1), 1e5), (TaskGraph(0.1, normalized=True), 0.1)],
    ids=["shared", "graph", "normalized graph"],
)
def test_where_all_tasks_are_alike_no_pair_of_them_is_written_out(penalty, apart):
    """A million tasks, whose pairs would fill terabytes, and a single deviation from their mean."""
    W = np.zeros((10**6, 1))
    W[0] = 1.0
    term, _ = penalty.terms(np.arange(10**6))
    assert term.value(W) == pytest.approx(0.5 * apart, rel=1e-5)
    assert term.prox(W, 1.0)[0, 0] == pytest.approx(1.0 / (1.0 + apart), rel=1e-5, abs=2e-6)
    assert term.conjugate(W - 1e-6) == pytest.approx(0.5 / apart, rel=1e-5)


def test_only_pooling_penalizes_intercepts():
    assert SharedPlusSpecific(alpha_intercept=0.1).penalizes_intercepts
    for penalty in FORMULAS:
        one_for_all = isinstance(penalty, Pooled) and not penalty.task_intercepts
        drawn = isinstance(penalty, SharedPlusSpecific) and penalty.alpha_intercept > 0
        assert penalty.penalizes_intercepts == (one_for_all or drawn)


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


@pytest.mark.parametrize("missing", ["value", "prox", "dual_norm"])
def test_a_norm_of_ones_own_has_all_three_methods(missing):
    methods = {name: getattr(L1, name) for name in ("value", "prox", "dual_norm") if name != missing}
    with pytest.raises(TypeError, match=rf"abstract method '?{missing}"):
        type("Own", (Norm,), methods)()


class WithoutStrength(L1):
    def __init__(self, strength=1.0):
        self.strength = strength


class Hiding(L1):
    def __init__(self, alpha=1.0, price=2.0):
        self.alpha, self.price = alpha, price


class Mixture(L1):
    def __init__(self, alpha=1.0, alpha_l1=0.5):
        self.alpha, self.alpha_l1 = alpha, alpha_l1


@pytest.mark.parametrize(
    ("penalty", "message"),
    [
        (WithoutStrength(), "WithoutStrength needs a parameter 'alpha'"),
        (Hiding(), "'price', which hides Term.price"),
        (TraceNorm() + Hiding(), "'price', which hides Term.price"),
        (Mixture() + L1(), "'alpha_l1'. Names that begin with 'alpha'"),
    ],
    ids=["no alpha", "a name of Term", "in a sum", "a second strength"],
)
def test_parameters_of_a_norm_of_ones_own(penalty, message, rng):
    with pytest.raises(ValueError, match=message):
        MultiTaskRegressor(penalty).fit(**INSTANCES["one feature"](rng).arguments)


# --------------------------------------------------------------------------------------- norms, squares and their duals

TERMS = {  # what solvers see: the terms of every convex penalty
    f"{case}, {type(term).__name__}": term
    for case, belief in CONVEX.items()
    if "+" not in case
    for term in belief.among(penalties).terms(np.arange(5))
}
each_size = pytest.mark.parametrize("size", [0.0, 1e-3, 0.1, 1.0, 30.0, 1e6])


def _of(kind):
    names = [name for name, term in TERMS.items() if isinstance(term, kind)]
    return pytest.mark.parametrize("term", [TERMS[name] for name in names], ids=names)


def _inputs(size, rng):
    """Arrays (5, 3) of a size, some of them with ties, zeros and less than full rank."""
    V = rng.normal(size=(5, 3))
    tied, low = V.copy(), np.outer(V[:, 0], V[0])
    tied[3:] = tied[:2]
    tied[:, 2] = 0.0
    return [size * A for A in (V, tied, low, np.round(V), np.abs(V), np.ones((5, 3)))]


def assert_subgradient(norm, R, P, noise):
    """``R`` is one of the norm at ``P``: in the dual ball, on its border unless P = 0, and <R, P> the value."""
    value = norm.value(P)
    assert norm.dual_norm(R) <= norm.alpha * (1 + 1e-12) + noise
    assert np.vdot(R, P) == pytest.approx(value, rel=1e-11, abs=noise * np.abs(P).sum() + 1e-300)
    if value > 1e-9 * norm.alpha:
        assert norm.dual_norm(R) >= norm.alpha * (1 - 1e-9) - noise


@each_size
@_of(Norm)
def test_a_prox_meets_its_optimality_condition(term, size, rng):
    """P = prox(V) iff R = (V - P) / step is a subgradient at P: dual norm <= alpha, <R, P> = value(P)."""
    for V in _inputs(size, rng):
        for step in (1e-3, 0.7, 50.0):
            before = V.copy()
            P = term.prox(V, step)
            assert_array_equal(V, before)
            assert not np.shares_memory(P, V)
            assert_subgradient(term, (V - P) / step, P, 1e-14 * size / step)


@each_size
@_of(Chain)
def test_a_chain_has_a_subgradient_for_each_of_its_norms(term, size, rng):
    for V in _inputs(size, rng):
        for step in (1e-3, 0.7, 50.0):
            P, duals = term.prox(V, step), term.duals(V, step)
            noise = 1e-14 * size / step
            assert_allclose(sum(duals), (V - P) / step, rtol=0, atol=noise)
            assert term.value(P) == pytest.approx(sum(norm.value(P) for norm in term.norms))
            for norm, R in zip(term.norms, duals, strict=True):
                assert norm.dual_norm(R) <= norm.alpha * (1 + 1e-12) + noise
                assert np.vdot(R, P) == pytest.approx(norm.value(P), rel=1e-10, abs=noise * np.abs(P).sum() + 1e-300)


@each_size
@_of(Square)
def test_a_square_and_its_conjugate_meet_at_the_prox(term, size, rng):
    """<U, P> = value(P) + conjugate(U) at P = prox(V), U = (V - P) / step, and never less elsewhere."""
    for V in _inputs(size, rng):
        for step in (1e-3, 0.7, 50.0):
            P = term.prox(V, step)
            U = (V - P) / step
            total = term.value(P) + term.conjugate(U)
            assert np.vdot(U, P) == pytest.approx(total, rel=1e-9, abs=1e-13 * size / step * np.abs(P).sum() + 1e-300)
            W = size * rng.normal(size=V.shape)
            assert np.vdot(U, W) <= (term.value(W) + term.conjugate(U)) * (1 + 1e-12) + 1e-13 * size**2 / step
            assert term.value(2 * W) == pytest.approx(4 * term.value(W))


@each_size
@_of(Edges)
def test_the_ends_of_an_edge_are_drawn_together(term, size, rng):
    """Every edge alone: a flow of at most alpha k_e from one end to the other, along what is left between them."""
    for V in _inputs(size, rng):
        Z = term.spread(V) + 0.1 * size * rng.normal(size=(2, len(term.k), 3))
        for step in (1e-3, 0.7, 50.0):
            P = term.prox(Z, step)
            flow, noise = (Z[0] - P[0]) / step, 1e-14 * size / step
            assert_allclose(flow, (P[1] - Z[1]) / step, rtol=0, atol=noise)
            assert term.gauge(flow) <= 1 + 1e-12 + noise / (term.alpha * term.k.min())
            left = P[0] - P[1]
            lengths = np.linalg.norm(left, term.norm, axis=1)
            assert_allclose(np.sum(flow * left, axis=1), term.alpha * term.k * lengths, rtol=1e-9, atol=noise * size)


@each_size
@pytest.mark.parametrize("case", [case for case in CASES if "joint feature" in case and "+" not in case])
def test_the_prox_of_joint_features_is_that_of_all_it_says(case, size, rng):
    """With its squares, its signs and its absolute values: nothing near it is better."""
    penalty = CONVEX[case].among(penalties)
    for V in _inputs(size, rng):
        for step in (1e-3, 0.7):
            P = penalty.prox(V, step)
            least = step * penalty.value(P) + np.sum((P - V) ** 2) / 2
            for _ in range(20):
                other = P + 10.0 ** rng.uniform(-6, 0) * (size * rng.normal(size=P.shape) - rng.integers(2) * P)
                other = np.maximum(other, 0.0) if penalty.positive else other
                assert least <= (step * penalty.value(other) + np.sum((other - V) ** 2) / 2) * (1 + 1e-12)


@_of((Norm, Chain, Square))
def test_the_prox_of_nothing_and_of_no_strength(term, rng):
    V = rng.normal(size=(5, 3))
    assert not term.prox(np.zeros((5, 3)), 0.7).any()
    if "alpha" in vars(term):
        free = copy.copy(term)
        free.alpha = 0.0
        P = free.prox(V, 0.7)
        assert_allclose(P, np.maximum(V, 0.0) if "Positive" in type(term).__name__ else V, rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_the_value_of_a_convex_penalty_is_that_of_its_belief(case, rng):
    belief = CONVEX[case]
    penalty = belief.among(penalties)
    for size in (0.0, 1e-4, 1.0, 1e4):
        parts = [size * np.abs(rng.normal(size=(5, 3))) for _ in range(1 + belief.decomposition)]
        before = [part.copy() for part in parts]
        value = penalty.value(*parts)
        assert isinstance(value, float)
        assert value == pytest.approx(belief.total(*parts), rel=1e-12)
        for part, old in zip(parts, before, strict=True):
            assert_array_equal(part, old)


@pytest.mark.parametrize("case", [case for case in CASES if "+" not in case])
def test_the_terms_add_up_to_the_penalty(case, rng):
    """Their ridge term apart, which the solver's quadratic step takes up."""
    penalty = CONVEX[case].among(penalties)
    parts = [np.abs(rng.normal(size=(5, 3))) for _ in range(1 + penalty.decomposition)]
    W, terms = sum(parts), penalty.terms(np.arange(5))
    rest = penalty.value(*parts) - penalty.ridge / 2 * np.sum(W**2)
    values = (
        [term.value(part) for term, part in zip(terms, parts, strict=True)]
        if penalty.decomposition
        else [term.value(W) for term in terms]
    )
    if not isinstance(penalty, SharedPlusSpecific):
        assert sum(values) == pytest.approx(rest, rel=1e-10)


@pytest.mark.parametrize("norm", [np.inf, "inf", float("inf")])
def test_infinity_has_many_spellings(norm, rng):
    W = rng.normal(size=(5, 3))
    assert penalties.JointFeature(2.0, norm=norm).value(W) == pytest.approx(2.0 * np.abs(W).max(axis=0).sum())


def test_the_rank_is_all_a_reduced_rank_asks_for(rng):
    W = rng.normal(size=(5, 2)) @ rng.normal(size=(2, 3))
    assert ReducedRank(rank=2, alpha_ridge=0.2).value(W) == pytest.approx(0.1 * _squares(W))
    assert ReducedRank(rank=1).value(W) == np.inf
    assert ReducedRank(rank=1).with_alpha(0.5).alpha_ridge == 0.5


def test_a_latent_basis_charges_loadings_and_basis(rng):
    B, S = rng.normal(size=(2, 3)), rng.normal(size=(5, 2))
    value = LatentBasis(alpha=0.3, alpha_ridge=0.2).value(components=B, loadings=S)
    assert value == pytest.approx(0.3 * np.abs(S).sum() + 0.1 * _squares(B))
