"""Tasks that share rows and lack labels: without Gram matrices, what those say."""

import numpy as np
import pytest
from sklearn.base import clone

from skmtl import (
    ClusteredRegressor,
    FusedTasksRegressor,
    IndependentRegressor,
    LatentBasisRegressor,
    MeanRegularizedRegressor,
    MultiTaskRegressor,
    ReducedRankRegressor,
    RobustLowRankRegressor,
    TaskGraphRegressor,
    TaskRelationshipRegressor,
    TemporalRegressor,
    TraceNormRegressor,
    _problem,
)
from skmtl.moments import TaskMoments
from skmtl.moments._incomplete import IncompleteMoments, nearly_complete
from skmtl.penalties import L1, FusedTasks, Ridge, TaskGraph, TraceNorm
from skmtl.solvers import _alternating, _dual_newton, fused, newton
from skmtl.solvers._resolvents import IncompleteResolvent, _upper
from skmtl.tasks import check_data

SHARES = {"few missing": 0.1, "most missing": 0.7, "some of both": None}


TALL, WIDE = (90, 70), (130, 160)  # rows and features


def table(share, n=90, d=70, n_tasks=6, weights=False):
    """Rows, labels of which some are missing, and weights of the rows."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, d)) * np.logspace(-0.5, 0.5, d) + 3.0
    Y = X @ rng.normal(size=(d, n_tasks)) + 5.0 * rng.normal(size=(n, n_tasks)) + 5.0
    missing = np.linspace(0.05, 0.9, n_tasks) if share is None else share
    Y[rng.random(Y.shape) < missing] = np.nan
    return X, Y, rng.uniform(0.5, 2.0, n) if weights else None


@pytest.fixture
def called(monkeypatch):
    """As many things as incomplete moments were made."""
    calls, of = [], IncompleteMoments.of
    monkeypatch.setattr(IncompleteMoments, "of", lambda *args, **how: calls.append(1) or of(*args, **how))
    return calls


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", [TALL, WIDE])
@pytest.mark.parametrize("share", SHARES)
def test_sums_are_those_of_gram_matrices(share, shape, fit_intercept, weights):
    X, Y, s = table(SHARES[share], *shape, weights=weights)
    Y[:, 2] = np.nan
    data = check_data(X, Y, s, empty=True)
    assert nearly_complete(data)
    ours, theirs = (kind(data, fit_intercept=fit_intercept) for kind in (IncompleteMoments.of, TaskMoments.from_data))
    rng = np.random.default_rng(0)
    W, c = rng.normal(size=ours.xy.shape), rng.uniform(0.1, 2.0, 6)
    for name in ("n_rows", "weight", "x_mean", "y_mean", "xy", "yy"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-12, atol=1e-11, err_msg=name)
    np.testing.assert_allclose(ours.times_gram(W), theirs.times_gram(W), rtol=0, atol=1e-9)
    S, R, B = rng.normal(size=(6, 3)), rng.normal(size=(6, 3)), rng.normal(size=(3, X.shape[1]))
    np.testing.assert_allclose(ours.times_gram_along(S, R, B), S.T @ theirs.times_gram(R @ B), rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.grams_along(B), theirs.grams_along(B), rtol=0, atol=1e-8)
    np.testing.assert_allclose(ours.squares, theirs.squares, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.gram_sum(c), theirs.gram_sum(c), rtol=0, atol=1e-9)
    A = ours.rows_of_sum(c)
    assert (A is None) == (len(ours.A) >= X.shape[1])
    if A is not None:
        np.testing.assert_allclose(A.T @ A, theirs.gram_sum(c), rtol=0, atol=1e-9)
    G = theirs.dense_gram(np.arange(6))
    np.testing.assert_allclose(ours.dense_gram(np.arange(6)), G, rtol=0, atol=1e-9)
    for t, one in ours.apart():
        np.testing.assert_allclose(one.dense_gram([0])[0], G[t], rtol=0, atol=1e-9)
    some, more = np.array([True, True, False, True, False, True]), np.arange(-1, 8)
    np.testing.assert_allclose(
        ours.only(some).times_gram(W[some]), theirs.only(some).times_gram(W[some]), rtol=0, atol=1e-9
    )
    wider = rng.normal(size=(9, X.shape[1]))
    np.testing.assert_allclose(
        ours.among(more).times_gram(wider), theirs.among(more).times_gram(wider), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("D", ["one", "each"])
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", [TALL, WIDE])
@pytest.mark.parametrize("share", SHARES)
def test_resolvent_is_the_inverse(share, shape, fit_intercept, same, D):
    X, Y, s = table(SHARES[share], *shape, weights=True)
    Y[:, 2] = np.nan
    moments = IncompleteMoments.of(check_data(X, Y, s, empty=True), fit_intercept=fit_intercept)
    rng = np.random.default_rng(1)
    c = np.full(6, 0.3) if same else rng.uniform(0.1, 2.0, 6)
    D = 0.7 if D == "one" else rng.uniform(0.1, 10.0, (6, 1))
    A, R = c[:, None, None] * moments.dense_gram(np.arange(6)), rng.normal(size=moments.xy.shape)
    inverse = np.linalg.inv(A + np.broadcast_to(D, (6, 1))[:, :, None] * np.eye(X.shape[1]))
    resolvent = IncompleteResolvent(moments, c, D)
    np.testing.assert_allclose(resolvent(R), np.einsum("tij,tj->ti", inverse, R), rtol=0, atol=1e-10)
    damped = np.einsum("t,tij,tjk->ik", np.broadcast_to(D, (6, 1))[:, 0], A, inverse)
    np.testing.assert_allclose(resolvent.sum_damped(), damped, rtol=0, atol=1e-9)


def test_what_has_no_gram_matrices_says_so():
    X, Y, _ = table(0.2)
    moments = IncompleteMoments.of(check_data(X, Y))
    for call in (
        lambda: moments.factors,
        lambda: moments.thin_factors,
        lambda: moments + moments,
        lambda: moments - moments,
        lambda: moments.with_mean_rows(np.ones(6)),
    ):
        with pytest.raises(TypeError, match="no Gram matrices"):
            call()


def test_factors_of_what_rounding_has_made_indefinite(rng):
    A = rng.normal(size=(20, 5))
    A = A @ A.T
    U = np.triu(_upper(A - 1e-14 * np.eye(20)))
    np.testing.assert_allclose(U.T @ U, A, rtol=0, atol=1e-9)
    with pytest.raises(np.linalg.LinAlgError, match="missing labels"):
        _upper(A - 10.0 * np.eye(20))


def test_strengths_of_zero_count_as_rounding():
    X, Y, _ = table(0.2, n=40, d=70)
    moments = IncompleteMoments.of(check_data(X, Y))
    R = np.ones_like(moments.xy)
    assert np.isfinite(IncompleteResolvent(moments, np.ones(6), 0.0)(moments.xy)).all()
    nothing = IncompleteMoments.of(check_data(np.zeros_like(X), Y))
    assert np.isfinite(IncompleteResolvent(nothing, np.ones(6), 0.0)(R)).all()
    assert not IncompleteResolvent(nothing, np.ones(6), 0.0)(0.0 * R).any()


def test_features_of_very_different_length_go_by_gram_matrices(called, monkeypatch):
    X, Y, _ = table(0.2)
    uneven = X * np.logspace(-4, 4, X.shape[1])
    model = TraceNormRegressor(alpha=0.5)
    model.fit(X, Y)
    assert len(called) == 1
    known = model.set_params(alpha=1e-3 * model.alpha_max(uneven, Y)).fit(uneven, Y).objective_
    assert len(called) == 1
    monkeypatch.setattr(newton, "_LARGEST", 0.0)  # unless these do not fit
    assert model.fit(uneven, Y).objective_ == pytest.approx(known, rel=1e-6)
    assert len(called) == 2


def test_absolute_values_go_by_gram_matrices(called, monkeypatch):
    X, Y, _ = table(0.2)
    model = MultiTaskRegressor(TraceNorm(1.0) + L1(0.05), tol=1e-8)
    known = clone(model).fit(X, Y)
    assert not called
    monkeypatch.setattr(newton, "_LARGEST", 0.0)  # unless these do not fit
    fitted = clone(model).fit(X, Y)
    assert called
    assert fitted.objective_ == pytest.approx(known.objective_, rel=1e-6)


def test_what_is_nearly_complete():
    X, Y, s = table(0.2)
    weight = np.random.default_rng(0).uniform(0.5, 1.0, Y.shape)
    assert nearly_complete(check_data(X, Y))
    assert nearly_complete(check_data(X, Y, s))
    assert not nearly_complete(check_data(X, Y, weight))
    assert not nearly_complete(check_data(*table(0.9)[:2]))
    assert not nearly_complete(check_data(X, np.nan_to_num(Y)))
    assert not nearly_complete(check_data(X, np.zeros(len(X)), task=np.arange(len(X)) % 3))


def test_what_is_constant_leaves_zeros():
    X, Y, s = table(0.2, weights=True)
    X[:, 4], Y[:, 3], Y[1:, 2] = 0.3, np.where(np.isnan(Y[:, 3]), np.nan, 0.7), np.nan
    moments = IncompleteMoments.of(check_data(X, Y, s, empty=True))
    assert not moments.A[:, 4].any()
    assert not moments.yy[[2, 3]].any()
    assert not moments.xy[[2, 3]].any()


CHAIN = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
MODELS = [
    IndependentRegressor(alpha=0.1),
    IndependentRegressor(alpha=0.0),
    MeanRegularizedRegressor(alpha=0.1),
    MeanRegularizedRegressor(alpha=0.1, alpha_shared=0.0),
    MeanRegularizedRegressor(alpha=0.0),
    MeanRegularizedRegressor(alpha=1e-6, task_weight="tasks"),
    TaskGraphRegressor(alpha=0.3),
    TaskGraphRegressor(graph=[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)], alpha=0.3, task_weight="auto"),
    TraceNormRegressor(alpha=0.5, tol=1e-9),
    TraceNormRegressor(alpha=0.0),
    TaskRelationshipRegressor(alpha=0.1, tol=1e-9),
    ClusteredRegressor(alpha=0.3, n_clusters=2, tol=1e-9),
    RobustLowRankRegressor(alpha=0.5, tol=1e-9),
    MultiTaskRegressor(TraceNorm(0.3) + TaskGraph(alpha=0.1), tol=1e-9),
    FusedTasksRegressor(graph=CHAIN, alpha=0.3, alpha_ridge=1.0, task_weight={2: 0.0}, tol=1e-9),
    FusedTasksRegressor(alpha=0.1, norm=1, alpha_ridge=1.0, tol=1e-9),
    MultiTaskRegressor(FusedTasks(0.3, CHAIN, norm=1) + Ridge(1.0), tol=1e-9),
    TemporalRegressor(alpha=0.3, alpha_l1=0.1, alpha_ridge=1.0, tol=1e-9),
    TemporalRegressor(alpha=0.3, alpha_group=0.1, alpha_ridge=1.0, tol=1e-9),
    TemporalRegressor(alpha=0.3, smooth=True, task_weight={2: 0.0}),
]


@pytest.mark.parametrize("shape", [TALL, WIDE])
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_models_do_without_gram_matrices(model, share, shape, called, monkeypatch):
    X, Y, s = table(SHARES[share], *shape, weights=True)
    monkeypatch.setattr(fused, "_COSTLIEST", 0.0)  # fused tasks of so many features are split
    monkeypatch.setattr(_dual_newton, "_ROWS", 0)  # where labels are not few
    with monkeypatch.context() as patch:
        patch.setattr(_problem, "nearly_complete", lambda data: False)
        known = clone(model).fit(X, Y, s)
    model = clone(model).fit(X, Y, s)
    assert called
    assert model.objective_ == pytest.approx(known.objective_, rel=1e-8, abs=1e-9)
    assert model.dual_gap_ <= 2.0 * known.dual_gap_ + 1e-8  # both end below tol, in units of F(0) < 10
    np.testing.assert_allclose(model.coef_, known.coef_, atol=1e-4)
    np.testing.assert_allclose(model.intercept_, known.intercept_, atol=1e-3)


@pytest.mark.parametrize("dense", [0, 800])
@pytest.mark.parametrize("shape", [TALL, WIDE])
@pytest.mark.parametrize("share", ["few missing", "some of both"])
@pytest.mark.parametrize(
    "model",
    [
        ReducedRankRegressor(rank=2, alpha_ridge=0.5, tol=1e-7),
        ReducedRankRegressor(rank=1, alpha_ridge=0.5, tol=1e-7, task_weight="tasks"),
        LatentBasisRegressor(n_components=2, alpha=0.5, alpha_ridge=0.5, tol=1e-7),
    ],
    ids=repr,
)
def test_factors_do_without_gram_matrices(model, share, shape, dense, called, monkeypatch):
    """Components by conjugate gradients (`dense` 0) or by their matrix, for which there are Gram matrices."""
    X, Y, s = table(SHARES[share], *shape, weights=True)
    monkeypatch.setattr(_alternating, "_DENSE", dense)
    with monkeypatch.context() as patch:
        patch.setattr(_problem, "nearly_complete", lambda data: False)
        known = clone(model).fit(X, Y, s)
    assert not called
    model = clone(model).fit(X, Y, s)
    assert called
    assert model.objective_ == pytest.approx(known.objective_, rel=1e-8)
    np.testing.assert_allclose(model.coef_, known.coef_, atol=1e-4)
