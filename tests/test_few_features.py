"""Working sets of features for solvers of all of W, under a squared loss: the same minimum as with all features."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from skmtl import MultiTaskRegressor
from skmtl.moments import TaskMoments
from skmtl.moments._incomplete import IncompleteMoments
from skmtl.penalties import (
    L1,
    Clustered,
    Dirty,
    FusedTasks,
    GroupSlope,
    JointFeature,
    RobustFeature,
    RobustLowRank,
    SharedPlusSpecific,
    SparseLowRank,
    TaskGraph,
    TaskRelationship,
    Temporal,
    TraceNorm,
)
from skmtl.penalties.base import Norm
from skmtl.penalties.decomposition import Sides
from skmtl.solvers import _few_features, _screen, coordinate, fused
from skmtl.solvers._screen import Screen
from skmtl.tasks import check_data

D, T = 120, 4
CHAIN = {(t, t + 1): 1.0 for t in range(T - 1)}
KINDS = ["shared", "own", "uneven", "sparse", "own, sparse", "weights", "many labels missing", "lengths"]
PENALTIES = {
    "dirty": lambda a: Dirty(a, 0.7 * a),
    "dirty, maximum norm, ridge": lambda a: Dirty(1.5 * a, 0.7 * a, norm=np.inf, alpha_ridge=0.1 * a),
    "maximum norm": lambda a: JointFeature(1.5 * a, norm=np.inf, alpha_l1=0.1 * a),
    "temporal, l1": lambda a: Temporal(0.3 * a, alpha_l1=0.5 * a),
    "temporal, group": lambda a: Temporal(0.3 * a, alpha_l1=0.2 * a, alpha_group=0.5 * a),
    "temporal, smooth": lambda a: Temporal(0.3 * a, alpha_l1=0.5 * a, smooth=True),
    "temporal + joint feature": lambda a: Temporal(0.3 * a) + JointFeature(0.8 * a, alpha_l1=0.1 * a),
    "mean, l1": lambda a: SharedPlusSpecific(0.1 * a, alpha_l1=0.5 * a),
    "mean, l1, intercepts": lambda a: SharedPlusSpecific(0.1 * a, alpha_l1=0.5 * a, alpha_intercept=0.3 * a),
    "graph, l1": lambda a: TaskGraph(0.1 * a, CHAIN, alpha_l1=0.5 * a, alpha_ridge=0.05 * a),
    "graph + joint feature": lambda a: TaskGraph(0.1 * a, CHAIN) + JointFeature(a),
    "fused + l1": lambda a: FusedTasks(0.2 * a, CHAIN) + L1(0.5 * a),
    "all pairs + l1": lambda a: FusedTasks(0.1 * a, norm=1) + L1(0.5 * a),
    "trace norm + l1": lambda a: TraceNorm(0.3 * a) + L1(0.5 * a),
    "trace norm + maximum norm": lambda a: TraceNorm(0.3 * a) + JointFeature(a, norm=np.inf),
    "relationship + joint feature": lambda a: TaskRelationship(0.1 * a) + JointFeature(0.8 * a),
    "sparse and low rank": lambda a: SparseLowRank(0.5 * a, 1.5 * a),
    "robust feature": lambda a: RobustFeature(0.6 * a, a),
    "clustered + l1": lambda a: Clustered(0.1 * a, n_clusters=2) + L1(0.5 * a),
}


def instance(kind, rng, n=30):
    """Arguments of fit: few of many features count."""
    X = rng.normal(size=(n, D)) * (10.0 ** rng.uniform(-2, 2, size=D) if kind == "lengths" else 1.0)
    Y = X[:, :5] / X[:, :5].std(axis=0) @ (rng.normal(size=5)[:, None] + 0.5 * rng.normal(size=(5, T)))
    Y += 0.3 * rng.normal(size=Y.shape)
    task = None
    if kind in ("own", "uneven", "own, sparse"):
        share = np.array([0.05, 0.15, 0.3, 0.5]) if kind == "uneven" else np.full(T, 1 / T)
        task = np.sort(np.r_[np.arange(T), rng.choice(T, n - T, p=share)])
    if kind == "many labels missing":
        Y[rng.random(Y.shape) < 0.5] = np.nan
    if "sparse" in kind:
        X = sparse.csr_array(X * (rng.random(X.shape) < 0.4))
    y = Y if task is None else Y[np.arange(n), task]
    return {"X": X, "y": y, "task": task, "sample_weight": rng.uniform(0.5, 2.0, size=n) if kind == "weights" else None}


@pytest.fixture
def sets(monkeypatch):
    """The sizes of working sets, small ones, None for one that is too large; of fits that are to have some."""
    sizes, following = [], _few_features.nearest

    def recorded(*arguments):
        some = following(*arguments)
        sizes.append(None if some is None else len(some))
        return some

    monkeypatch.setattr(_screen, "joining", lambda n_wanted, n_used, widen: 10 * widen + n_used // 2)
    monkeypatch.setattr(_few_features, "nearest", recorded)
    monkeypatch.setattr(_few_features, "MANY", 0)
    monkeypatch.setattr(fused, "_COSTLIEST", 0)  # which has another method for few features
    monkeypatch.setattr(coordinate, "_BRIEF", 0)  # likewise, before the one that is tested
    monkeypatch.setattr(coordinate, "_LONG", 0)
    return sizes


def without_sets(model, data, monkeypatch):
    """The model fitted with all features at once."""
    with monkeypatch.context() as usual:
        usual.setattr(_few_features, "MANY", np.inf)
        return model.fit(**data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_minimum_is_that_of_all_features(kind, penalty, sets, rng, monkeypatch):
    data = instance(kind, rng)
    top = MultiTaskRegressor(JointFeature(1.0)).alpha_max(**data)
    for share in (0.5, 0.2):
        model = MultiTaskRegressor(PENALTIES[penalty](share * top), max_iter=10_000)
        usual = without_sets(model, data, monkeypatch)
        value, gap = usual.objective_, usual.dual_gap_
        model.fit(**data)
        assert model.objective_ - model.dual_gap_ <= value * (1.0 + 1e-9)
        assert value - gap <= model.objective_ * (1.0 + 1e-9)
    half = penalty in ("sparse and low rank", "robust feature")  # of which rows of all tasks are asked for
    assert any(size is not None for size in sets) or (half and "missing" in kind)


@pytest.mark.parametrize(
    "penalty",
    [
        Dirty(0.2, 0.15),
        SparseLowRank(0.15, 0.3),
        Temporal(0.1, alpha_group=0.2),
        SharedPlusSpecific(0.1, alpha_l1=0.2, alpha_intercept=0.1),
    ],
)
def test_what_is_fitted_is_of_all_features(penalty, sets, rng, monkeypatch):
    data, model = instance("shared", rng), MultiTaskRegressor(penalty, tol=1e-10, max_iter=10_000)
    usual = without_sets(model, data, monkeypatch)
    coef, intercept = usual.coef_, usual.intercept_
    model.fit(**data)
    assert sets
    np.testing.assert_allclose(model.coef_, coef, atol=1e-4)
    np.testing.assert_allclose(model.intercept_, intercept, atol=1e-4)
    if penalty.decomposition:
        np.testing.assert_allclose(model.structured_coef_ + model.deviation_coef_, model.coef_, rtol=0, atol=1e-12)


@pytest.mark.parametrize("penalty", [Temporal(alpha_group=0.3), SparseLowRank(alpha_low_rank=0.5)])
def test_paths_start_where_the_last_penalty_ended(penalty, sets, rng):
    data = instance("shared", rng)
    data = {name: data[name] for name in ("X", "y")}
    path = MultiTaskRegressor(penalty, max_iter=10_000).path(**data, alphas=[0.3, 0.1, 0.0])
    assert sets
    for alpha, coef, gap in zip(path.alphas, path.coefs, path.dual_gaps, strict=True):
        alone = MultiTaskRegressor(penalty.with_alpha(alpha), max_iter=10_000).fit(**data)
        assert gap <= 1e-6 * 0.5 * np.var(data["y"], axis=0).sum()
        fitted, expected = data["X"] @ coef.T, data["X"] @ alone.coef_.T
        residuals = [data["y"] - values - (data["y"] - values).mean(axis=0) for values in (fitted, expected)]
        # losses are strongly convex in what is fitted: that of a gap is no farther off
        assert 0.5 * np.sum((residuals[0] - residuals[1]) ** 2) / 30 <= 4.0 * (gap + alone.dual_gap_)


def test_tasks_without_rows_belong_to_a_graph(sets, rng, monkeypatch):
    """One between two others, and one that has a label of weight 0."""
    data = instance("own", rng)
    data["sample_weight"] = np.where(data["task"] == 3, 0.0, 1.0)
    data["task"] = np.where(data["task"] == 1, 7, data["task"])
    penalty = TaskGraph(0.01, {(0, 1): 1.0, (1, 7): 1.0, (7, 2): 1.0, (2, 3): 1.0}, alpha_l1=0.1)
    model = MultiTaskRegressor(penalty, tol=1e-10, max_iter=10_000)
    coef = without_sets(model, data, monkeypatch).coef_
    model.fit(**data)
    assert sets
    np.testing.assert_allclose(model.coef_, coef, atol=1e-4)


def test_too_few_iterations_are_said(sets, rng, monkeypatch):
    data, model = instance("shared", rng), MultiTaskRegressor(Dirty(0.02, 0.015), tol=1e-9, max_iter=3)
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        model.fit(**data)
    assert sets
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        best = MultiTaskRegressor(Dirty(0.02, 0.015), tol=1e-9, max_iter=20_000).fit(**data)
    assert best.objective_ - best.dual_gap_ <= model.objective_
    assert model.objective_ - model.dual_gap_ <= best.objective_


@pytest.mark.parametrize("tol", [0.5, 2.0])
def test_any_accuracy_has_a_solution(tol, sets, rng):
    model = MultiTaskRegressor(Dirty(0.02, 0.015), tol=tol).fit(**instance("shared", rng))
    assert sets
    assert model.coef_.any()


def test_the_best_point_of_all_sets_is_kept(sets, rng):
    """Wherever in a set the iterations end."""
    data, values = instance("own", rng), []
    for max_iter in range(3, 16):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = MultiTaskRegressor(Temporal(0.1, alpha_group=0.3), max_iter=max_iter).fit(**data)
        assert model.n_iter_ <= max_iter
        values.append(model.objective_)
    assert sets
    np.testing.assert_array_less(np.diff(values), 1e-9)


def test_no_gap_at_all_is_what_rounding_leaves(sets, rng):
    data = instance("shared", rng)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = MultiTaskRegressor(SharedPlusSpecific(0.1, alpha_l1=0.3), tol=0.0).fit(**data)
    assert sets
    assert model.dual_gap_ <= 1e-12


class OfPositions(Norm):
    """A norm of somebody's own, which knows how many features there are."""

    def __init__(self, alpha=0.1):
        self.alpha = alpha

    def _weights(self, W):
        assert W.shape[1] == D
        return 1.0 + np.arange(D) / D

    def value(self, W):
        return float(self.alpha * np.abs(W * self._weights(W)).sum())

    def prox(self, V, step):
        return np.sign(V) * np.maximum(np.abs(V) - step * self.alpha * self._weights(V), 0.0)

    def dual_norm(self, Z):
        return float(np.abs(Z / self._weights(Z)).max(initial=0.0))


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "penalty",
    [
        OfPositions() + L1(0.1),
        GroupSlope(0.1) + L1(0.1),
        JointFeature(0.01, norm=np.inf, feature_weights=np.linspace(0.5, 1.5, D)),
        JointFeature(0.01, norm=np.inf, positive=True),
        TraceNorm(0.1) + JointFeature(0.1, feature_weights=np.linspace(0.5, 1.0, D)),
        TraceNorm(0.1) + JointFeature(0.1, positive=True),
        TraceNorm(0.1) + JointFeature(0.1) + JointFeature(0.1, norm=np.inf),
        TraceNorm(0.1) + TaskRelationship(0.1),
        RobustFeature(0.1, 0.1, alpha_ridge=0.1),
        SparseLowRank(0.1, 0.1, alpha_ridge=0.1),
        RobustLowRank(0.1, 0.1),
    ],
    ids=lambda penalty: type(getattr(penalty, "a", penalty)).__name__,
)
def test_other_penalties_see_all_features(penalty, sets, rng):
    MultiTaskRegressor(penalty, max_iter=10_000).fit(**instance("shared", rng))
    assert not sets


@pytest.mark.parametrize("penalty", ["dirty", "temporal, group", "temporal + joint feature", "all pairs + l1"])
def test_room_is_where_the_prox_is_zero(penalty, rng):
    """Of a penalty that separates over features, and only there."""
    penalty = PENALTIES[penalty](1.0)
    Z = rng.normal(size=(T, 500))
    room = Screen.of(penalty, np.arange(T), 500).room(Z)
    if penalty.decomposition:
        zero = ~np.any([norm.prox(Z, 1.0).any(axis=0) for norm in penalty.terms(np.arange(T))], axis=0)
    else:
        rest = Z
        for term in penalty.terms(np.arange(T)):
            rest = term.prox(rest, 1.0)
        zero = ~rest.any(axis=0)
    assert 0 < zero.sum() < 500
    np.testing.assert_array_equal(room >= 0.0, zero)


def test_the_prox_of_two_sides_is_a_subgradient(rng):
    penalty, V, step = Sides(L1(0.3), TraceNorm(0.5), 5), rng.normal(size=(T, 11)), 0.7
    P = penalty.prox(V, step)
    R = (V - P) / step
    assert penalty.dual_norm(R) == pytest.approx(1.0)
    assert np.vdot(R, P) == pytest.approx(penalty.value(P))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_some", [3, 20, 60])
def test_moments_of_some_features(kind, n_some, rng):
    data = instance(kind, rng)
    rows = check_data(data["X"], data["y"], data["sample_weight"], task=data["task"])
    some = np.sort(rng.choice(D, n_some, replace=False))
    sums = [TaskMoments.from_data(rows), *([IncompleteMoments.of(rows)] if "missing" in kind else [])]
    for whole in sums:
        few = whole.of_features(some)
        W, everywhere = rng.normal(size=(T, n_some)), np.zeros((T, D))
        everywhere[:, some] = W
        np.testing.assert_allclose(few.times_gram(W), whole.times_gram(everywhere)[:, some], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(few.intercepts(W), whole.intercepts(everywhere), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(few.squares, whole.squares[:, some], rtol=1e-9, atol=1e-9)
    for factor in sums[0].of_features(some).factors:
        R = np.zeros((T, n_some))
        R[factor.tasks] = rng.normal(size=(len(factor.tasks), n_some))
        product = factor.up(factor.l * factor.down(R[factor.tasks]))
        np.testing.assert_allclose(product, sums[0].of_features(some).times_gram(R)[factor.tasks], rtol=1e-8, atol=1e-8)


def test_many_features_have_working_sets_by_themselves(rng, monkeypatch):
    """At the size where they are meant to."""
    sizes, following = [], _few_features.nearest

    def recorded(*arguments):
        sizes.append(len(following(*arguments)))
        return following(*arguments)

    monkeypatch.setattr(_few_features, "nearest", recorded)
    X, W = rng.normal(size=(50, 1500)), np.zeros((1500, 3))
    W[:5] = rng.normal(size=(5, 3))
    Y = X @ W + 0.1 * rng.normal(size=(50, 3))
    model = MultiTaskRegressor(Dirty(0.05, 0.04)).fit(X, Y)
    assert sizes
    assert max(sizes) < 500
    assert model.dual_gap_ <= 1e-6 * 0.5 * np.var(Y, axis=0).sum()
