"""Fused tasks: the interior-point method, its linear algebra, and the penalty for all pairs of tasks."""

import warnings
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.linalg import block_diag, sqrtm
from scipy.sparse.linalg import LinearOperator, cg

from skmtl import FusedTasksRegressor, PooledRegressor
from skmtl.moments import TaskMoments
from skmtl.penalties import FusedTasks, Temporal
from skmtl.penalties.graph import Edges, EveryPair
from skmtl.solvers import fused, solve
from skmtl.solvers._fused import edge_systems, fronts, sampled_laplacians
from skmtl.solvers._fused.cones import Scaling, dot_rows, dot_values, way_to_boundary
from skmtl.solvers._fused.edge_systems import Direct, Iterative, Switching, edge_system
from skmtl.solvers._fused.fronts import Elimination
from skmtl.solvers._fused.laplacians import Laplacians
from skmtl.solvers._fused.sampled_laplacians import SampledLaplacians
from skmtl.solvers.solution import solve_one
from skmtl.solvers.splitting import solve_by_splitting
from skmtl.tasks import check_data
from tests.oracles import INSTANCES, long_table

GRAPHS = {
    "chain": lambda ids, rng: {(a, b): 1.0 for a, b in pairwise(ids)},
    "pairs apart": lambda ids, rng: {(a, b): 2.0 for a, b in zip(ids[::2], ids[1::2], strict=False)},
    "random": lambda ids, rng: {
        (a, b): rng.uniform(0.1, 3) for a in ids for b in ids if a == ids[0] < b or (a < b and rng.random() < 0.4)
    },
    "complete": lambda ids, rng: None,
}
each_norm = pytest.mark.parametrize("norm", [1, 2])
each_graph = pytest.mark.parametrize("graph", GRAPHS)


@pytest.fixture
def table(rng):
    """Six tasks in two clusters, of 2 to 40 rows and 4 features, as arguments of fit."""
    W = np.repeat([[1.0, -1.0, 0.5, 2.0], [-1.0, 1.0, 1.5, 0.0]], 3, axis=0)
    task = np.repeat(list("abcdef"), [40, 12, 2, 30, 7, 20])
    X = rng.normal(size=(len(task), 4))
    y = np.einsum("ij,ij->i", X, W[np.searchsorted(list("abcdef"), task)]) + 0.3 * rng.normal(size=len(task))
    return {"X": X, "y": y, "task": task}


def moments_of(arguments):
    """Moments and loss factors."""
    moments = TaskMoments.from_data(check_data(**arguments))
    return moments, np.full(moments.n_tasks, moments.n_tasks / moments.weight.sum())


def solution(penalty, arguments, **how):
    """The solution of the method that is tested."""
    return solve_one(penalty, *moments_of(arguments), **how)


@each_norm
def test_a_graph_that_fills_its_factor_has_the_same_solution_without(norm, rng, monkeypatch):
    n_tasks = 60
    task = np.repeat(np.arange(n_tasks), 5)
    X = rng.normal(size=(len(task), 4))
    arguments = {"X": X, "y": X @ rng.normal(size=4) + rng.normal(size=len(task)), "task": task}
    penalty = FusedTasks(0.02, list(zip(*random_edges(rng, n_tasks, 200).tolist(), strict=True)), norm=norm)
    usual = solution(penalty, arguments, tol=1e-9)
    monkeypatch.setattr(fronts, "_FILLED", 0)
    without = solution(penalty, arguments, tol=1e-9)
    assert without.converged
    assert_allclose(without.objective, usual.objective, rtol=1e-8)
    assert_allclose(without.W, usual.W, rtol=0, atol=1e-3 * np.abs(usual.W).max())


@each_norm
@each_graph
@pytest.mark.parametrize("ridge", [0.0, 0.05])
def test_splitting_finds_the_same(graph, norm, ridge, table, rng):
    penalty = FusedTasks(0.03, GRAPHS[graph](list("abcdef"), rng), norm, ridge)
    found = solution(penalty, table, tol=1e-11)
    (other,) = solve_by_splitting(penalty, [penalty], *moments_of(table), tol=1e-9, max_iter=20_000)
    assert found.converged
    assert found.n_iter <= (125 if graph == "complete" and norm == 1 else 25)  # splitting first, where one prox does
    assert other.objective - other.dual_gap <= found.objective * (1 + 1e-12)
    assert found.objective - found.dual_gap <= other.objective
    if ridge:  # else a task of two rows has no single best weights
        assert_allclose(found.W, other.W, atol=2e-3)


@each_norm
@pytest.mark.parametrize("instance", INSTANCES)
@pytest.mark.parametrize("share", [1e-4, 0.01, 1.0])
def test_awkward_data_take_few_steps(instance, share, norm, rng):
    """To a gap of 1e-9, whatever the scales of features and the numbers of rows."""
    data = INSTANCES[instance](rng)
    graph = GRAPHS["chain"](list(data.ids), rng)
    moments = TaskMoments.from_data(check_data(data.X, data.y, data.sample_weight, task=data.task))
    c = np.where(moments.active, moments.active.sum() / moments.weight.sum(), 1.0)
    null = 0.5 * c @ moments.yy
    penalty = FusedTasks(share * np.linalg.norm(c[:, None] * moments.xy, 2), graph or None, norm)
    found = solve_one(penalty, moments, c, tol=1e-9)
    assert found.converged
    assert 0.0 <= found.dual_gap <= 1e-9 * null
    assert found.n_iter <= 30


@each_norm
def test_scaling_a_feature_changes_nothing_but_its_weights(norm, table):
    """With the 1-norm the penalty is per feature, so that alpha may be, too: here it is the loss that scales."""
    penalty = FusedTasks(0.05, GRAPHS["chain"](list("abcdef"), None), norm)
    found = solution(penalty, table, tol=1e-10)
    large = solution(FusedTasks(0.05e4, penalty.graph, norm), {**table, "X": 1e4 * table["X"]}, tol=1e-10)
    assert_allclose(1e4 * large.W, found.W, rtol=1e-4, atol=1e-5)
    assert_allclose(large.objective, found.objective, rtol=1e-9)


@each_norm
@each_graph
def test_strong_fusion_pools_each_component(graph, norm, table, rng):
    edges = GRAPHS[graph](list("abcdef"), rng)
    model = FusedTasksRegressor(1e3, graph=edges, norm=norm, tol=1e-10).fit(**table)
    parts = [list("ab"), list("cd"), list("ef")] if graph == "pairs apart" else [list("abcdef")]
    for part in parts:
        rows = np.isin(table["task"], part)
        pooled = PooledRegressor(alpha=0.0, task_intercepts=True)
        pooled.fit(table["X"][rows], table["y"][rows], task=table["task"][rows])
        own = model.coef_[np.searchsorted(list("abcdef"), part)]
        assert (own == own[0]).all()
        assert_allclose(own[0], pooled.coef_[0], atol=1e-9)
    assert len(set(model.cluster_labels_)) == len(parts)
    assert model.n_iter_ == 1  # nothing is to be found but the best of what costs nothing


@each_norm
def test_fused_tasks_are_equal_exactly_at_the_default_tol(norm, table):
    graph = GRAPHS["chain"](list("abcdef"), None)
    model = FusedTasksRegressor(0.6, graph=graph, norm=norm).fit(**table)
    exact = FusedTasksRegressor(0.6, graph=graph, norm=norm, tol=1e-12).fit(**table)
    close = np.abs(exact.coef_[:, None] - exact.coef_).max(axis=2) < 1e-6
    assert len(set(exact.cluster_labels_)) < 6
    assert (close == (exact.cluster_labels_[:, None] == exact.cluster_labels_)).all()
    assert len(set(model.cluster_labels_)) <= len(set(exact.cluster_labels_)) + 1


@each_norm
def test_a_node_without_rows_is_as_its_neighbours(norm, table):
    graph = {**GRAPHS["chain"](list("abcdef"), None), ("f", "g"): 1.0}
    model = FusedTasksRegressor(0.05, graph=graph, norm=norm, tol=1e-9).fit(**table)
    assert_array_equal(model.tasks_, list("abcdefg"))
    assert_allclose(model.coef_[6], model.coef_[5], atol=1e-6)
    assert model.dual_gap_ <= 1e-9 * model.objective_ * 100


@each_norm
def test_a_node_that_is_no_column_of_y_joins_those_that_are(norm, rng):
    """As in a long table, where it is a task without rows; of a path, too."""
    X, Y = rng.normal(size=(20, 4)), rng.normal(size=(20, 3))
    model = FusedTasksRegressor(0.05, graph={(0, 7): 1.0, (1, 7): 1.0, (2, 7): 2.0}, norm=norm, tol=1e-10)
    wide = model.fit(X, Y).coef_
    long = model.fit(np.tile(X, (3, 1)), Y.T.ravel(), task=np.repeat([0, 1, 2], 20))
    assert_array_equal(long.tasks_, [0, 1, 2, 7])
    assert_allclose(wide, long.coef_[:3], atol=1e-6)
    assert_allclose(model.path(X, Y, alphas=[0.1, 0.05]).coefs[1], wide, atol=1e-6)


@each_norm
def test_a_path_is_its_fits(norm, table):
    graph = GRAPHS["chain"](list("abcdef"), None)
    alphas = [1.0, 0.1, 0.01, 0.0]
    path = FusedTasksRegressor(graph=graph, norm=norm, tol=1e-10).path(**table, alphas=alphas)
    for alpha, coef in zip(alphas, path.coefs, strict=True):
        model = FusedTasksRegressor(alpha, graph=graph, norm=norm, tol=1e-10).fit(**table)
        assert_allclose(coef, model.coef_, rtol=0, atol=1e-8)


def test_steps_are_limited_and_counted(table):
    penalty = FusedTasks(0.03, GRAPHS["chain"](list("abcdef"), None))
    found = solution(penalty, table, tol=1e-10, max_iter=2)
    assert found.n_iter == 2
    assert not found.converged
    assert found.dual_gap > 0


@each_norm
@pytest.mark.parametrize("graph", ["chain", "complete"])
def test_columns_of_any_length_and_few_rows_are_certified(norm, graph, rng):
    """Short columns are the same for all tasks, at couplings beside which their curvature is rounding noise."""
    for _ in range(4):
        lengths = 10.0 ** rng.permutation(np.linspace(-4, 4, 10))
        task = np.repeat(np.arange(6), rng.integers(3, 12, size=6))
        X = rng.normal(size=(len(task), 10)) * lengths
        y = np.einsum("ij,ij->i", X, (rng.normal(size=(6, 10)) / lengths)[task]) + rng.normal(size=len(task)) + task
        moments, c = moments_of({"X": X, "y": y, "task": task})
        strongest = np.linalg.norm(c[:, None] * moments.xy, axis=0).max()
        for share in (0.03, 0.01):
            penalty = FusedTasks(share * strongest, GRAPHS[graph](range(6), rng), norm=norm)
            found = solve_one(penalty, moments, c)
            assert found.converged
            assert found.n_iter < 200


def test_rounding_errors_of_factors_do_not_add_up(rng):
    """Few rows of features that are alike, of any length, and weights of edges from 0.01 to 100."""
    n_tasks, d = 60, 6
    for _ in range(6):
        task = np.repeat(np.arange(n_tasks), rng.integers(1, d, size=n_tasks))
        X = rng.normal(size=(len(task), 1)) + 0.2 * rng.normal(size=(len(task), d))
        y = X.sum(axis=1) + rng.normal(size=len(task))
        tree = [(int(rng.integers(t)), t, 10.0 ** rng.uniform(-2, 2)) for t in range(1, n_tasks)]
        arguments = {"X": X * np.geomspace(0.01, 100, d), "y": y, "task": task}
        assert solution(FusedTasks(100.0, tree, norm=1), arguments, tol=1e-9, max_iter=15).converged


@each_norm
def test_conjugate_gradients_do_as_well(norm, rng, monkeypatch):
    data = long_table(rng, [30] * 40, 6)
    ids = list(data.ids)
    graph = {(ids[a], ids[b]): 1.0 for a in range(40) for b in rng.integers(40, size=3) if a != b and ids[a] < ids[b]}
    penalty = FusedTasks(0.02, graph, norm)
    arguments = {"X": data.X, "y": data.y, "task": data.task}
    direct = solution(penalty, arguments)
    monkeypatch.setattr(edge_systems, "_CHEAP", 0)
    monkeypatch.setattr(edge_systems, "_MOST", 0)
    found = solution(penalty, arguments)
    assert found.converged
    assert abs(found.n_iter - direct.n_iter) <= 3
    assert_allclose(found.objective, direct.objective, rtol=1e-5)


@pytest.mark.parametrize("share", [0.03, 0.3])
@pytest.mark.parametrize("ridge", [0.0, 0.05])
def test_edges_to_zero_are_absolute_values(share, ridge, table, monkeypatch):
    """Temporal weights that are sparse, too, by Newton's method alone, against splitting alone."""
    penalty = Temporal(share, alpha_l1=0.5 * share, alpha_ridge=ridge)
    (other,) = solve_by_splitting(penalty, [penalty], *moments_of(table), tol=1e-10, max_iter=20_000)
    monkeypatch.setattr(fused, "_PATIENCE", 1)
    found = solution(penalty, table, tol=1e-10)
    assert found.converged
    assert found.n_iter <= 25
    assert (found.W == 0.0).any()
    assert_array_equal(found.W == 0.0, other.W == 0.0)
    assert other.objective - other.dual_gap <= found.objective * (1 + 1e-12)
    assert found.objective - found.dual_gap <= other.objective * (1 + 1e-12)
    assert_allclose(found.W, other.W, atol=1e-3)


def test_newton_goes_on_where_splitting_was_given_up(table, monkeypatch):
    penalty = Temporal(0.1, alpha_l1=0.05)
    expected = solution(penalty, table, tol=1e-9)
    monkeypatch.setattr(fused, "_PATIENCE", 3)
    path = [penalty.with_alpha(alpha) for alpha in (1.0, 0.1, 0.0)]
    found = list(solve(penalty, path, *moments_of(table), tol=1e-9))
    assert all(one.converged for one in found)
    assert 3 < found[1].n_iter <= 28
    assert_allclose(found[1].objective, expected.objective, rtol=1e-8)


@pytest.fixture
def few_rows(rng):
    """Eight tasks of six rows and 15 features, as arguments of fit."""
    task = np.repeat(np.arange(8), 6)
    X = rng.normal(size=(len(task), 15))
    y = X[:, 0] + (task > 3) * X[:, 1] + 0.3 * rng.normal(size=len(task))
    return {"X": X, "y": y, "task": task}


@each_norm
def test_splitting_goes_first_where_cones_are_dear(norm, few_rows, rng, monkeypatch):
    edges = {(a, b): rng.uniform(0.5, 2.0) for a, b in random_edges(rng, 8, 16).T.tolist()}
    penalty = FusedTasks(0.05, edges, norm)
    monkeypatch.setattr(fused, "_SHARE", 0.0)
    expected = solution(penalty, few_rows, tol=1e-9)
    monkeypatch.setattr(fused, "_SHARE", 1e9)
    monkeypatch.setattr(fused, "_InteriorPoint", None)
    found = solution(penalty, few_rows, tol=1e-9, max_iter=20_000)
    assert found.converged
    assert_allclose(found.objective, expected.objective, rtol=1e-8)


def test_a_graph_that_is_a_chain_has_its_prox(few_rows, monkeypatch):
    order = [3, 0, 7, 4, 1, 6, 2, 5]
    chain = dict.fromkeys(pairwise(order), 2.0)
    monkeypatch.setattr(fused, "_InteriorPoint", None)
    monkeypatch.setattr(fused, "_SHARE", 1e9)
    found = solution(FusedTasks(0.02, chain, norm=1, alpha_ridge=0.01), few_rows, tol=1e-9, max_iter=20_000)
    other = Temporal(0.04, order=order, alpha_ridge=0.01)
    (known,) = solve_by_splitting(other, [other], *moments_of(few_rows), tol=1e-9, max_iter=20_000)
    assert found.converged
    assert_allclose(found.W, known.W, rtol=0, atol=1e-5)
    assert len(np.unique(found.W[:, 5])) < len(found.W)


@pytest.mark.parametrize(
    ("graph", "norm"),
    [
        ({(0, 1): 1.0, (1, 2): 2.0, (2, 3): 1.0}, 1),
        ({(0, 1): 1.0, (0, 2): 1.0, (0, 3): 1.0}, 1),
        ({(0, 1): 1.0, (1, 2): 1.0, (2, 0): 1.0}, 1),
        ({(0, 1): 1.0, (2, 3): 1.0}, 1),
        ({(0, 1): 1.0, (1, 2): 1.0, (2, 3): 1.0}, 2),
    ],
    ids=["uneven", "star", "ring", "two chains", "2-norm"],
)
def test_other_graphs_are_no_chains(graph, norm, rng):
    moments, _ = moments_of({"X": rng.normal(size=(8, 3)), "y": rng.normal(size=8), "task": np.repeat(np.arange(4), 2)})
    assert fused._chain_of(FusedTasks(0.1, graph, norm), moments) is None
    assert fused._chain_of(FusedTasks(0.1, dict.fromkeys(pairwise([2, 0, 3, 1]), 1.0), 1), moments) is not None


CHAIN = np.eye(6, k=1) + np.eye(6, k=-1)


@pytest.mark.parametrize("ids", [np.arange(6).astype("timedelta64[ns]"), np.arange(6) + 0.5], ids=["ns", "fractions"])
@pytest.mark.parametrize(
    "penalty",
    [Temporal(0.02), Temporal(0.02, smooth=True), FusedTasks(0.02, CHAIN, norm=1)],
    ids=["jumps", "smooth", "fused"],
)
def test_a_chain_holds_ids_of_any_kind(penalty, ids, table):
    """It refers to tasks by position: no other form of an id would do for some, nor is there a warning of it."""
    expected = solution(penalty, table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that ids are fractions
        moments, c = moments_of({**table, "task": ids[np.unique(table["task"], return_inverse=True)[1]]})
    assert_array_equal(solve_one(penalty, moments, c).W, expected.W)


@pytest.mark.parametrize("where", ["_start", "_step"])
def test_where_newton_stops_splitting_goes_on(where, table, monkeypatch):
    def stop(self, x):
        raise np.linalg.LinAlgError

    penalty = FusedTasks(0.03, GRAPHS["chain"](list("abcdef"), None))
    expected = solution(penalty, table)
    monkeypatch.setattr(fused._InteriorPoint, where, stop)
    found = solution(penalty, table)
    assert found.converged
    assert_allclose(found.objective, expected.objective, rtol=1e-4)


# ------------------------------------------------------------------------------------------------------ linear algebra


@pytest.mark.parametrize("System", [Direct, Iterative, Switching])
@pytest.mark.parametrize("per_feature", [False, True])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("rough", [False, True])
def test_the_equations_of_a_step_are_solved(System, per_feature, apart, rough, rng, monkeypatch):
    """Against the dense matrix."""
    monkeypatch.setattr(edge_systems, "_EXACT", 1e-12)
    monkeypatch.setattr(edge_systems, "_PAIRS", 0 if rough else np.inf)
    n_tasks, d = 9, 3
    s, t = np.array([(a, b) for b in range(n_tasks) for a in range(b) if rng.random() < 0.4]).T
    if apart:
        together = (s < 4) == (t < 4)
        s, t = s[together], t[together]
    F = rng.normal(size=(n_tasks, d, 2))
    H = F @ F.swapaxes(1, 2)
    K = 10.0 ** rng.uniform(-2, 2, size=(len(s), d if per_feature else 1))
    U = np.zeros((len(s), d)) if per_feature else np.sqrt(K / d) * rng.uniform(-0.9, 0.9, size=(len(s), d))
    monkeypatch.setattr(edge_systems, "_CHEAP", 1e9 if System is Direct else 0)
    monkeypatch.setattr(edge_systems, "_MOST", np.inf if System is Switching else 0)
    monkeypatch.setattr(edge_systems, "_STEP", (1e-9, 0.0))  # so that no number of steps makes it switch
    system = edge_system(H, s, t)
    assert type(system) is System
    diagonal = np.full(d, 0.1)
    system.factor(diagonal, K, U)
    D = np.zeros((len(s), n_tasks))
    D[np.arange(len(s)), s], D[np.arange(len(s)), t] = 1.0, -1.0
    D = np.kron(D, np.eye(d))
    blocks = block_diag(*(np.diag(np.broadcast_to(k, d)) - np.outer(u, u) for k, u in zip(K, U, strict=True)))
    A = block_diag(*(block + np.diag(diagonal) for block in H)) + D.T @ blocks @ D
    R = rng.normal(size=(n_tasks, d))
    X, DX = system.solve(R, 1e-12)
    assert_allclose(A @ X.ravel(), R.ravel(), rtol=0, atol=1e-9)
    assert_allclose(DX.ravel(), D @ X.ravel(), rtol=0, atol=1e-9)


def test_equations_of_single_features_are_solved_to_the_last_digit(rng):
    """Against fractions, for couplings of up to 1e12 times what rows sum to."""
    n_tasks, d = 7, 2
    s, t = np.array([(a, b) for b in range(n_tasks) for a in range(b) if a == b - 1 or rng.random() < 0.4]).T
    sums, k = 10.0 ** rng.uniform(-3, 0, size=(n_tasks, d)), 10.0 ** rng.uniform(-6, 9, size=(len(s), d))
    k[0] = 0.0
    R = rng.uniform(size=(n_tasks, d))
    laplacians = Laplacians(Elimination(n_tasks, s, t), s, t)
    laplacians.factor(sums, k)
    X = laplacians.solve(R)
    for j in range(d):
        A = [[Fraction(sums[i, j]) * (i == l) for l in range(n_tasks)] for i in range(n_tasks)]  # noqa: E741
        for a, b, weight in zip(s.tolist(), t.tolist(), map(Fraction, k[:, j]), strict=True):
            for i, l, sign in ((a, a, 1), (b, b, 1), (a, b, -1), (b, a, -1)):  # noqa: E741
                A[i][l] += sign * weight
        right = [Fraction(value) for value in R[:, j]]
        for i in range(n_tasks):  # Gauss
            for l in [row for row in range(n_tasks) if row != i]:  # noqa: E741
                share = A[l][i] / A[i][i]
                A[l] = [x - share * y for x, y in zip(A[l], A[i], strict=True)]
                right[l] -= share * right[i]
        assert_allclose(X[:, j], [float(right[i] / A[i][i]) for i in range(n_tasks)], rtol=1e-13)


def random_edges(rng, n_tasks, n_edges):
    """The ends of different edges."""
    a, b = rng.integers(0, n_tasks, size=(2, n_edges))
    return np.unique(np.sort([a, b], axis=0)[:, a != b], axis=1)


def test_rough_factors_precondition_graphs_with_couplings_of_any_size(rng):
    n_tasks, d = 400, 3
    s, t = random_edges(rng, n_tasks, 2000)
    sums, k = 10.0 ** rng.uniform(-3, 0, size=(n_tasks, d)), 10.0 ** rng.uniform(-8, 8, size=(len(s), d))
    k[::7] = 0.0
    rough = SampledLaplacians(Elimination(n_tasks, s, t), s, t)
    rough.factor(sums, k)
    assert_allclose(rough.solve(sums), 1.0, rtol=1e-10)  # rows sum to what they should
    D = sparse.coo_array((np.repeat([1.0, -1.0], len(s)), (np.tile(np.arange(len(s)), 2), np.r_[s, t]))).tocsr()
    for j in range(d):
        A = D.T @ sparse.diags_array(k[:, j]) @ D + sparse.diags_array(sums[:, j])

        def solve_column(r, j=j):
            R = np.zeros((n_tasks, d))
            R[:, j] = r
            return rough.solve(R)[:, j]

        M, steps = LinearOperator(A.shape, solve_column, dtype=float), []
        cg(A, rng.normal(size=n_tasks), rtol=1e-8, maxiter=1000, M=M, callback=steps.append)
        assert len(steps) < 60


def test_rough_factors_of_trees_are_exact(rng):
    n_tasks, d = 50, 2
    s, t = np.array([rng.integers(0, b) for b in range(1, n_tasks)]), np.arange(1, n_tasks)
    elimination = Elimination(n_tasks, s, t)
    numbers = rng.uniform(0.1, 1.0, size=(n_tasks, d)), 10.0 ** rng.uniform(-3, 3, size=(len(s), d))
    exact, rough = Laplacians(elimination, s, t), SampledLaplacians(elimination, s, t)
    for system in (exact, rough):
        system.factor(*numbers)
    R = rng.normal(size=(n_tasks, d))
    assert_allclose(rough.solve(R), exact.solve(R), rtol=1e-12)


def test_rough_factors_find_the_room_they_need(rng, monkeypatch):
    s, t = random_edges(rng, 60, 400)
    numbers, R = (rng.uniform(0.1, 1.0, size=(60, 2)), rng.uniform(size=(len(s), 2))), rng.normal(size=(60, 2))
    solutions = []
    for room in (4, 0):
        monkeypatch.setattr(sampled_laplacians, "_ROOM", room)
        rough = SampledLaplacians(Elimination(60, s, t), s, t)
        rough.factor(*numbers)
        solutions.append(rough.solve(R))
    assert_array_equal(*solutions)


def test_too_many_steps_of_conjugate_gradients_end_in_a_factor(rng, monkeypatch):
    """With the first solution that is slow, and for all couplings after it until `restart`."""
    monkeypatch.setattr(edge_systems, "_EXACT", 1e-12)
    n_tasks, d = 12, 3
    s, t = np.triu_indices(n_tasks, 1)
    F = rng.normal(size=(n_tasks, d, 6))
    H, K = F @ F.swapaxes(1, 2), 10.0 ** rng.uniform(-3, 3, size=(len(s), d))
    system = Switching(H, s, t, Elimination(n_tasks, s, t), n_steps=0.5)
    direct = Direct(H, s, t, Elimination(n_tasks, s, t))
    R = rng.normal(size=(n_tasks, d))
    for scale in (1.0, 10.0):
        for one in (system, direct):
            one.factor(np.full(d, 0.1), scale * K, np.zeros_like(K))
        assert system.exact == (scale > 1.0)
        assert_allclose(system.solve(R, 1e-12)[0], direct.solve(R, 1e-12)[0], rtol=1e-8, atol=1e-12)
        assert system.exact
    system.restart()
    assert not system.exact


def test_steps_of_conjugate_gradients_count_for_the_couplings_they_are_for(rng):
    """Two solutions with the same couplings, of which none alone takes too long, and the next ones are by a factor."""
    n_tasks, d = 12, 3
    s, t = np.triu_indices(n_tasks, 1)
    F = rng.normal(size=(n_tasks, d, 6))
    H, K = F @ F.swapaxes(1, 2), 10.0 ** rng.uniform(-3, 3, size=(len(s), d))
    R, one = rng.normal(size=(n_tasks, d)), Iterative(H, s, t, Elimination(n_tasks, s, t))
    one.factor(np.full(d, 0.1), K, np.zeros_like(K))
    one.solve(R)
    system = Switching(H, s, t, Elimination(n_tasks, s, t), n_steps=1.5 * one.n_steps)
    for scale, n_solved in ((1.0, 1), (2.0, 2), (3.0, 1)):
        system.factor(np.full(d, 0.1), scale * K, np.zeros_like(K))
        assert system.exact == (scale == 3.0)
        for _ in range(n_solved):
            system.solve(R)


@pytest.mark.parametrize("System", [Direct, Iterative])
def test_a_solution_goes_on_from_one_nearby(System, rng):
    n_tasks, d = 12, 3
    s, t = np.triu_indices(n_tasks, 1)
    F = rng.normal(size=(n_tasks, d, 6))
    H, K = F @ F.swapaxes(1, 2), 10.0 ** rng.uniform(-3, 3, size=(len(s), d))
    system, R = System(H, s, t, Elimination(n_tasks, s, t)), rng.normal(size=(n_tasks, d))
    system.factor(np.full(d, 0.1), K, np.zeros_like(K))
    X, D = system.solve(R, 1e-10)
    again, D_again = system.solve(R, 1e-10, start=system.solve(R, rough=True))
    assert_allclose(again, X, rtol=1e-8, atol=1e-10)
    assert_allclose(D_again, D, rtol=1e-6, atol=1e-10)


def test_couplings_of_any_strength_leave_the_common_part(rng):
    """With k 1e18 times H, all tasks have the weights of the sums of H_t."""
    n_tasks, d = 5, 3
    X = rng.normal(size=(n_tasks, 8, d)) * [1e-4, 1.0, 1e2]
    H, R = X.swapaxes(1, 2) @ X, np.einsum("tij,ti->tj", X, rng.normal(size=(n_tasks, 8)))
    system = edge_system(H, np.arange(4), np.arange(1, 5))
    system.factor(np.zeros(d), np.full((4, 1), 1e10), np.zeros((4, d)))
    W, _ = system.solve(R)
    assert_allclose(W, np.tile(np.linalg.solve(H.sum(axis=0), R.sum(axis=0)), (n_tasks, 1)), rtol=1e-3)


def square_of_scaling(x, s):
    """The matrix V^2 of Nesterov and Todd for points x and s of one cone: ``V^2 x = s``."""
    J = np.diag(np.r_[1.0, -np.ones(len(x) - 1)])
    in_x, in_s = np.sqrt(x @ J @ x), np.sqrt(s @ J @ s)
    w = s / in_s + J @ x / in_x
    return in_s / in_x * (2.0 * np.outer(w, w) / (w @ J @ w) - J)


def arrow(m):
    """The matrix of a product with m, Jordan's."""
    out = m[0] * np.eye(len(m))
    out[0], out[:, 0] = m, m
    return out


@pytest.mark.parametrize("dot", [dot_rows, dot_values])
def test_the_scaling_is_that_of_dense_matrices(dot, rng):
    """``V^2 dx + ds = c``, ``dp = (k I - u u') dz + h``; c is for products mu: ``m o V^-1 c + a o b = mu (1, 0)``."""
    z, p, dz, da, dp_before = rng.normal(size=(5, 7, 3))
    t, tau = (np.sqrt(dot(a, a)) + rng.uniform(0.01, 1, size=dot(a, a).shape) for a in (z, p))
    width, mu = 3 // t.shape[1], 0.3
    dt_before, c = rng.normal(size=t.shape), (rng.normal(size=t.shape), rng.normal(size=z.shape))
    scaling = Scaling(t, z, tau, p, dot)
    (dt, dp), h = scaling.change(c, dz), scaling.offset(c)
    aim = scaling.target(mu, da, dt_before, dp_before)
    for e, i in np.ndindex(t.shape):
        own = slice(i * width, (i + 1) * width)
        x = np.r_[t[e, i], z[e, own]]
        V2 = square_of_scaling(x, np.r_[tau[e, i], -p[e, own]])
        left = V2 @ np.r_[dt[e, i], dz[e, own]] - np.r_[0.0, dp[e, own]]
        assert_allclose(left, np.r_[c[0][e, i], c[1][e, own]], rtol=0, atol=1e-9 * np.abs(V2).max())
        u = scaling.u[e, own]
        flow = scaling.k[e, i] * dz[e, own] - u * (u @ dz[e, own]) + h[e, own]
        assert_allclose(dp[e, own], flow, rtol=1e-9, atol=1e-9)
        V = sqrtm(V2).real
        a, b = V @ np.r_[dt_before[e, i], da[e, own]], np.linalg.solve(V, np.r_[0.0, -dp_before[e, own]])
        products = arrow(V @ x) @ np.linalg.solve(V, np.r_[aim[0][e, i], aim[1][e, own]]) + arrow(a) @ b
        assert_allclose(products, np.r_[mu, np.zeros(width)], rtol=0, atol=1e-8 * np.abs(arrow(a) @ b).max())


@pytest.mark.parametrize("dot", [dot_rows, dot_values])
def test_the_way_ends_at_the_boundary(dot, rng):
    a1, d1 = rng.normal(size=(2, 50, 3))
    a0 = np.sqrt(dot(a1, a1)) + rng.uniform(0.1, 1, size=dot(a1, a1).shape)
    d0 = rng.normal(size=a0.shape)
    step = way_to_boundary(a0, a1, d0, d1)

    def depth(at):
        b1 = a1 + at * d1
        return (a0 + at * d0 - np.sqrt(dot(b1, b1))).min()

    assert abs(depth(step)) < 1e-9
    assert depth(0.999 * step) > 0
    assert way_to_boundary(a0, a1, np.ones_like(a0), 0.0 * d1) == np.inf


# ----------------------------------------------------------------------------------------------------- all pairs


def test_every_pair_is_the_complete_graph(rng):
    s, t = np.triu_indices(7, 1)
    pairs, edges = EveryPair(0.3, 7), Edges(0.3, s, t, np.ones(len(s)), 7, 1.0)
    W = rng.normal(size=(7, 4))
    assert_allclose(pairs.value(W), edges.value(W), rtol=1e-12)
    P = pairs.prox(W, 0.7)
    U = (W - P) / 0.7
    assert_allclose(U.sum(axis=0), 0.0, atol=1e-12)
    assert pairs.dual_norm(U) <= pairs.alpha * (1 + 1e-12)
    assert_allclose(np.vdot(U, P), pairs.value(P), rtol=1e-12)


def test_the_dual_norm_is_attained_where_some_tasks_differ_from_the_rest(rng):
    Z = rng.normal(size=(5, 2))
    Z -= Z.mean(axis=0)
    pairs, best = EveryPair(1.0, 5), 0.0
    for members in range(1, 31):
        for j in range(2):
            W = np.zeros((5, 2))
            W[:, j] = [members >> t & 1 for t in range(5)]
            best = max(best, np.vdot(Z, W) / max(pairs.value(W), 1e-300))
    assert_allclose(pairs.dual_norm(Z), best, rtol=1e-12)


def test_many_pairs_share_one_prox(table, monkeypatch):
    expected = solution(FusedTasks(0.01, norm=1), table, tol=1e-9)
    monkeypatch.setattr(fused, "_MOST_PAIRS", 0)
    found = solution(FusedTasks(0.01, norm=1), table, tol=1e-9, max_iter=20_000)
    assert found.converged
    assert_allclose(found.objective, expected.objective, rtol=1e-7)


@pytest.mark.parametrize("penalty", [FusedTasks(0.05, norm=1), FusedTasks(0.05, {(0, 1): 1.0, (1, 2): 1.0}, norm=1)])
def test_many_features_need_no_array_of_pairs_of_features(penalty, rng, monkeypatch):
    """What tasks have in common costs nothing, and is solved for in the span of the rows."""
    d, task = 600, np.arange(30) % 3
    X = rng.normal(size=(30, d)) * 10.0 ** rng.uniform(-2, 2, size=d)
    arguments = {"X": X, "y": X[:, :4].sum(axis=1) + rng.normal(size=30), "task": task}
    monkeypatch.setattr(TaskMoments, "gram_sum", None)
    few = solution(penalty, arguments, max_iter=5000)
    assert few.converged
    monkeypatch.undo()
    monkeypatch.setattr(TaskMoments, "rows_of_sum", lambda self, c: None)
    usual = solution(penalty, arguments, max_iter=5000)
    rounding = 1e-12 * np.var(arguments["y"])  # both fit the labels: what is left of the loss is noise
    assert few.objective - few.dual_gap <= usual.objective + rounding
    assert usual.objective - usual.dual_gap <= few.objective + rounding
