"""Newton's method for tasks of few rows: derivatives of proxes, and the splitting's minimum to more digits."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from scipy.linalg import LinAlgError
from sklearn.exceptions import ConvergenceWarning

from skmtl import DirtyRegressor, MultiTaskRegressor
from skmtl.penalties import L1, Dirty, FusedTasks, JointFeature, Penalty, Temporal, TraceNorm
from skmtl.penalties.base import Chain
from skmtl.penalties.sparse import RowNorm
from skmtl.penalties.temporal import TotalVariation
from skmtl.solvers import _dual_newton, coordinate, fused, splitting
from skmtl.solvers._coupling import Together

T, D = 5, 60
KINDS = ["shared", "own", "uneven", "sparse", "weights"]
PENALTIES = {
    "maximum norm": lambda a: JointFeature(a, norm=np.inf),
    "maximum norm, l1, factors": lambda a: JointFeature(
        a, norm=np.inf, alpha_l1=0.1 * a, feature_weights=np.linspace(0.5, 2.0, D)
    ),
    "maximum norm, positive": lambda a: JointFeature(a, norm=np.inf, positive=True),
    "dirty": lambda a: Dirty(a, 0.6 * a),
    "dirty, maximum norm": lambda a: Dirty(1.5 * a, 0.6 * a, norm=np.inf),
    "jumps": lambda a: Temporal(a),
    "jumps, order, l1": lambda a: Temporal(a, alpha_l1=0.3 * a, order=[3, 0, 4, 1, 2]),
    "jumps, l1, group": lambda a: Temporal(0.5 * a, alpha_l1=0.1 * a, alpha_group=0.5 * a),
}


@pytest.mark.parametrize(
    "term",
    [
        L1(0.5),
        RowNorm(1.5),
        RowNorm(1.5, np.linspace(0.5, 1.5, D)),
        RowNorm(1.5, norm=np.inf),
        TotalVariation(0.5, np.array([3, 0, 4, 1, 2])),
        JointFeature(1.0, alpha_l1=0.5),
        JointFeature(1.0, alpha_l1=0.5, norm=np.inf),
        JointFeature(1.0, positive=True),
        JointFeature(1.0, positive=True, alpha_l1=0.3, norm=np.inf),
        *Temporal(0.4, alpha_l1=0.3, alpha_group=0.8).terms(np.arange(T)),
        Chain(TotalVariation(0.4, np.arange(T)), RowNorm(1.0, norm=np.inf)),
    ],
    ids=lambda term: "+".join(type(norm).__name__ for norm in term.norms),
)
def test_directions_are_the_derivative_of_the_prox(term, rng):
    """``J E = sum_k b_k <b_k, E_j(k)>`` is the difference of proxes on both sides of V."""
    V, E, h = 2.0 * rng.normal(size=(T, D)), rng.normal(size=(T, D)), 1e-6
    features, B = Chain(*term.norms).directions(V, 1.0)
    JE = np.zeros((T, D))
    np.add.at(JE.T, features, (B * np.einsum("tk,tk->k", B, E[:, features])).T)
    difference = (term.prox(V + h * E, 1.0) - term.prox(V - h * E, 1.0)) / (2.0 * h)
    assert JE.any()
    assert_allclose(JE, difference, atol=1e-7)


def instance(kind, rng, n=12):
    """Arguments of fit: five tasks of few rows."""
    X = rng.normal(size=(n, D))
    W = np.zeros((T, D))
    W[:, :6] = rng.normal(size=6) + 0.3 * rng.normal(size=(T, 6))
    Y, task = X @ W.T + 0.3 * rng.normal(size=(n, T)), None
    if kind in ("own", "uneven"):
        sizes = [6] * T if kind == "own" else [2, 3, 5, 8, 11]
        task = np.repeat(np.arange(T), sizes)
        X = rng.normal(size=(len(task), D))
        Y = np.einsum("ij,ij->i", X, W[task]) + 0.3 * rng.normal(size=len(task))
    if kind == "sparse":
        X = sparse.csr_array(X * (rng.random(X.shape) < 0.5))
    return {"X": X, "y": Y, "task": task, "sample_weight": rng.uniform(0.5, 2.0, n) if kind == "weights" else None}


@pytest.fixture
def rounds(monkeypatch):
    """The steps of every round, which begin after three iterations of the splitting."""
    steps, usual = [], _dual_newton._Multipliers.round
    monkeypatch.setattr(coordinate, "_LONG", 0)  # what has another method before
    monkeypatch.setattr(coordinate, "_BRIEF", 0)
    monkeypatch.setattr(fused, "_COSTLIEST", 0)
    monkeypatch.setattr(Together, "at_no_cost", lambda problem: ([], -np.inf, None))  # weights without jumps fit all
    monkeypatch.setattr(_dual_newton, "patience", lambda problem: 3)
    monkeypatch.setattr(_dual_newton._Multipliers, "round", lambda *args: steps.append(usual(*args)) or steps[-1])
    return steps


def fails(K):
    raise LinAlgError


def by_splitting(model, data, monkeypatch):
    with monkeypatch.context() as usual:
        usual.setattr(_dual_newton, "suits", lambda problem: False)
        return model.fit(**data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_it_finds_the_minimum_of_the_splitting(kind, penalty, rounds, rng, monkeypatch):
    data = instance(kind, rng)
    a = 0.1 * MultiTaskRegressor(JointFeature(1.0)).alpha_max(**data)
    usual = by_splitting(MultiTaskRegressor(PENALTIES[penalty](a), max_iter=20_000), data, monkeypatch)
    value, gap = usual.objective_, usual.dual_gap_
    assert not rounds
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = MultiTaskRegressor(PENALTIES[penalty](a), tol=1e-11).fit(**data)
    assert any(rounds)
    assert value - gap <= model.objective_ * (1.0 + 1e-9)
    assert model.objective_ - model.dual_gap_ <= value * (1.0 + 1e-9)
    parts = (model.structured_coef_, model.deviation_coef_) if model.penalty.decomposition else (model.coef_,)
    assert_allclose(sum(parts), model.coef_, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layout", ["shared", "own"])
@pytest.mark.parametrize("dear", ["alpha", "alpha_sparse"])
def test_a_part_that_is_zero_has_no_directions_in_sparse_rows_either(layout, dear, rounds, rng):
    data = instance(layout, rng)
    a = 0.1 * MultiTaskRegressor(JointFeature(1.0)).alpha_max(**data)
    penalty = Dirty(a, a).set_params(**{dear: 20.0 * a})
    dense = MultiTaskRegressor(penalty, tol=1e-10).fit(**data).objective_
    model = MultiTaskRegressor(penalty, tol=1e-10).fit(**data | {"X": sparse.csr_array(data["X"])})
    assert any(rounds)
    assert not (model.structured_coef_ if dear == "alpha" else model.deviation_coef_).any()
    assert model.objective_ == pytest.approx(dense, rel=1e-9)


@pytest.mark.parametrize("alpha_l1", [0.0, 0.3])
def test_the_cones_of_a_chain_come_last_where_rows_are_few(alpha_l1, rounds, rng, monkeypatch):
    monkeypatch.setattr(fused, "_COSTLIEST", 1e9)
    monkeypatch.setattr(fused, "_THIN", 1.0)
    data = instance("own", rng)
    data["X"] = data["X"][:, :20]
    a = 0.1 * MultiTaskRegressor(JointFeature(1.0)).alpha_max(**data)
    model = MultiTaskRegressor(Temporal(a, alpha_l1=alpha_l1 * a), tol=1e-10)
    value, n_iter = model.fit(**data).objective_, model.n_iter_
    assert n_iter == 3 + sum(rounds)
    monkeypatch.setattr(_dual_newton, "cho_factor", fails)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        assert model.fit(**data).objective_ == pytest.approx(value, rel=1e-6)
    monkeypatch.setattr(fused, "_THIN", 0.0)
    rounds.clear()
    assert model.fit(**data).objective_ == pytest.approx(value, rel=1e-6)
    assert not rounds


@pytest.mark.parametrize("penalty", ["dirty", "jumps, l1, group", "jumps, order, l1"])
def test_a_path_goes_on_from_it(penalty, rounds, rng):
    """The splitting starts from where Newton's method ends: at an alpha nearby a few iterations are enough."""
    data = instance("shared", rng)
    a = 0.1 * MultiTaskRegressor(JointFeature(1.0)).alpha_max(**data)
    model = MultiTaskRegressor(PENALTIES[penalty](a), tol=1e-8)
    path = model.path(data["X"], data["y"], alphas=[a, a * (1.0 - 1e-10)])
    assert rounds
    first = sum(rounds)
    again = model.path(data["X"], data["y"], alphas=[a])
    assert sum(rounds) == 2 * first  # none for the second alpha
    assert_allclose(path.coefs[1], again.coefs[0], atol=1e-5)


def test_max_iter_counts_its_steps(rounds, rng):
    data = instance("own", rng)
    a = 0.01 * MultiTaskRegressor(JointFeature(1.0)).alpha_max(**data)
    with pytest.warns(ConvergenceWarning, match="max_iter=8"):
        model = MultiTaskRegressor(Dirty(a, 0.6 * a), max_iter=8).fit(**data)
    assert (model.n_iter_, sum(rounds)) == (8, 5)


def test_where_a_system_cannot_be_solved_the_splitting_goes_on(rounds, rng, monkeypatch):
    data = instance("own", rng)
    a = 0.1 * MultiTaskRegressor(JointFeature(1.0)).alpha_max(**data)
    least = MultiTaskRegressor(Dirty(a, 0.6 * a), tol=1e-9).fit(**data).objective_

    monkeypatch.setattr(_dual_newton, "cho_factor", fails)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = MultiTaskRegressor(Dirty(a, 0.6 * a), tol=1e-4).fit(**data)
    assert model.n_iter_ > 3
    assert least < model.objective_ <= least * (1.0 + 1e-9) + model.dual_gap_


def test_rounds_that_gain_little_at_a_time_are_not_the_end_of_it(rounds, rng, monkeypatch):
    """Before sigma has grown the gap falls by some hundredths in a round, as where columns are of many scales."""
    monkeypatch.setattr(_dual_newton, "_FIRST", 0.03)
    monkeypatch.setattr(_dual_newton, "_GROWTH", 1.2)
    data, afresh = instance("own", rng), []
    monkeypatch.setattr(splitting, "minimize", lambda *args, go=splitting.minimize: afresh.append(1) or go(*args))
    a = 0.1 * MultiTaskRegressor(JointFeature(1.0)).alpha_max(**data)
    MultiTaskRegressor(Temporal(a, alpha_group=0.1 * a), tol=1e-8).fit(**data)
    assert len(afresh) == 1
    assert len(rounds) > 20


def test_it_starts_from_the_best_point_not_from_where_the_splitting_went_astray(rng):
    """Of parts that cost nearly the same few rows see no more than the sum, which extrapolation then leaves alone."""
    for _ in range(12):
        X, y = rng.normal(size=(3, 60)), rng.normal(size=3)
        a = 0.1 * np.abs(X.T @ y).max() / 3
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            DirtyRegressor(a, alpha_sparse=1.01 * a).fit(X, y)


def test_what_rounding_leaves_is_taken_up_by_the_splitting_from_the_best_point(rounds, rng, monkeypatch):
    """A round of nonsense does not count: neither for the model nor for the next of a path."""
    data = instance("own", rng)
    a = 0.1 * MultiTaskRegressor(JointFeature(1.0)).alpha_max(**data)
    states, usual, Multipliers = [], splitting.minimize, _dual_newton._Multipliers
    monkeypatch.setattr(splitting, "minimize", lambda *args: states.append(args[-1]) or usual(*args))
    spoilt = Multipliers.fixed_point
    monkeypatch.setattr(Multipliers, "fixed_point", lambda *args: [1e9 * part for part in spoilt(*args)])
    certify = Multipliers.certify

    def nonsense(fit):
        points, _, dual = certify(fit)
        return [(1e9 * objective, *point) for objective, *point in points], -np.inf, dual

    monkeypatch.setattr(Multipliers, "certify", nonsense)
    MultiTaskRegressor(Dirty(a, 0.6 * a), tol=1e-4).fit(**data)
    assert [state is None for state in states] == [True, False]
    assert np.abs(states[1][0]).max() < 1e3


@pytest.mark.parametrize(
    "penalty",
    [
        Dirty(0.1, 0.1, alpha_ridge=0.1),
        TraceNorm(0.1),
        TraceNorm(0.1) + JointFeature(0.1),
        FusedTasks(0.1, list(pairwise(range(T)))) + JointFeature(0.1),
        Temporal(0.1, smooth=True, alpha_group=0.1),
    ],
    ids=lambda penalty: type(penalty).__name__,
)
def test_other_penalties_are_left_to_the_splitting(penalty: Penalty, rounds, rng):
    MultiTaskRegressor(penalty, max_iter=5000).fit(**instance("own", rng))
    assert not rounds


def test_tasks_of_many_rows_are_left_to_the_splitting(rounds, rng):
    X = rng.normal(size=(2 * D, D))
    MultiTaskRegressor(Dirty(0.1, 0.1)).fit(X, X[:, :T] + rng.normal(size=(2 * D, T)))
    assert not rounds


@pytest.mark.parametrize("norm", [2, np.inf])
def test_zero_is_the_end_of_the_first_iterations_only_where_it_is_optimal(norm, rng, monkeypatch):
    """A gap that a loose `tol` allows is not enough: below alpha_max there are weights."""
    monkeypatch.setattr(_dual_newton, "patience", lambda problem: 20)
    for _ in range(10):  # of which some are at zero when the first iterations end
        X, Y = rng.normal(size=(12, D)), rng.normal(size=(12, 3))
        largest_weight = np.abs((X - X.mean(axis=0)).T @ (Y - Y.mean(axis=0))).max() / 12
        model = DirtyRegressor(alpha_sparse=1.001 * largest_weight, norm=norm, tol=1e-2)
        largest = model.alpha_max(X, Y)
        assert model.set_params(alpha=0.999 * largest).fit(X, Y).coef_.any()
        assert not model.set_params(alpha=largest).fit(X, Y).coef_.any()
