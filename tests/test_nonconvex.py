"""Nonconvex models: closed forms, stationary points, descent, and what the global minimum is where that is known."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from skmtl import IndependentRegressor, JointFeatureRegressor, MultiTaskRegressor
from skmtl.datasets import make_joint_features, make_low_rank_tasks
from skmtl.moments._rows import Rows
from skmtl.penalties import AdaptiveJointFeature, JointFeature, LatentBasis, ReducedRank
from skmtl.regression.adaptive import AdaptiveJointFeatureRegressor
from skmtl.regression.latent_basis import LatentBasisRegressor
from skmtl.regression.reduced_rank import ReducedRankRegressor
from tests.oracles import INSTANCES, long_table, objective, outputs, task_factors

SHAPES = ["mcp", "scad", "capped_l1", "sqrt"]
MODELS = {
    "rank 1": ReducedRankRegressor(1),
    "rank 2 and ridge": ReducedRankRegressor(2, alpha_ridge=0.1),
    "basis of 2": LatentBasisRegressor(2, alpha=0.1, alpha_ridge=0.1),
    "basis of 3, weak": LatentBasisRegressor(3, alpha=0.01, alpha_ridge=0.05),
    **{shape: AdaptiveJointFeatureRegressor(0.2, penalty=shape) for shape in SHAPES},
}
FACTORS = [name for name in MODELS if name not in SHAPES]
each_model = pytest.mark.parametrize("name", MODELS)
each_factor_model = pytest.mark.parametrize("name", FACTORS)
each_shape = pytest.mark.parametrize("shape", SHAPES)


pytestmark = pytest.mark.usefixtures("one_blas_thread")


def fitted(name, instance, **changes):
    """A copy of a model, precise unless told otherwise, fitted to an instance."""
    model = type(MODELS[name])(**MODELS[name].get_params() | {"tol": 1e-9, "max_iter": 5000} | changes)
    return model.fit(**instance.arguments)


def moments_of(instance, model):
    """Dense c_t G_t (T, d, d), c_t q_t (T, d) and the objective at zero, summed row by row."""
    c = task_factors(instance.tasks)
    G, q, zero = [], [], 0.0
    for factor, task in zip(c, instance.tasks, strict=True):
        X, y, s = task
        weight = s.sum() if len(s) and s.sum() > 0 else 1.0
        X, y = X - s @ X / weight, y - s @ y / weight
        G.append(factor * (X.T * s) @ X)
        q.append(factor * (X.T * s) @ y)
        zero += 0.5 * factor * s @ y**2
    return np.array(G), np.array(q), zero


def gradient_of(instance, model, ridge=0.0):
    """The gradient of loss and ridge term at the weights of a model, and its size at zero weights."""
    G, q, _ = moments_of(instance, model)
    return np.einsum("tij,tj->ti", G, model.coef_) - q + ridge * model.coef_, np.abs(q).max()


def quiet(call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return call()


# ------------------------------------------------------------------------------------------------------- reduced rank


@pytest.mark.parametrize("rank", [1, 2, 4])
@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_shared_rows_have_izenmans_closed_form(rank, ridge, rng):
    """With M = X'X/n + ridge I, W M^(1/2) is the best approximation of the ridge solution's."""
    instance = outputs(rng, 50, 6, 5)
    X, Y = instance.X - instance.X.mean(axis=0), instance.y - instance.y.mean(axis=0)
    M = X.T @ X / len(X) + ridge * np.eye(6)
    l, Q = np.linalg.eigh(M)  # noqa: E741
    root, inverse = (Q * np.sqrt(l)) @ Q.T, (Q / np.sqrt(l)) @ Q.T
    U, s, V = np.linalg.svd(Y.T @ X / len(X) @ np.linalg.inv(M) @ root, full_matrices=False)
    expected = (U[:, :rank] * s[:rank]) @ V[:rank] @ inverse
    model = ReducedRankRegressor(rank, alpha_ridge=ridge).fit(instance.X, instance.y)
    assert_allclose(model.coef_, expected, rtol=0, atol=1e-11)
    assert (model.rank_, model.n_iter_) == (rank, 1)
    assert model.residual_ < 1e-12
    loss = np.sum((Y - X @ expected.T) ** 2) / (2 * len(X)) + ridge / 2 * np.sum(expected**2)
    assert_allclose(model.objective_, loss, rtol=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_alternating_steps_find_the_closed_form(ridge, rng, monkeypatch):
    """The same data as a long table have rows of their own, and no closed form in the eyes of the solver."""
    monkeypatch.setattr("skmtl.solvers.reduced_rank._STRENGTHS", (10.0,))  # at 0 it would start there
    instance = outputs(rng, 30, 6, 5)
    n, T = instance.y.shape
    closed = ReducedRankRegressor(2, alpha_ridge=ridge).fit(instance.X, instance.y)
    X, task = np.tile(instance.X, (T, 1)), np.repeat(np.arange(T), n)
    long = ReducedRankRegressor(2, alpha_ridge=ridge, tol=1e-10).fit(X, instance.y.T.ravel(), task=task)
    assert long.n_iter_ > 1
    assert_allclose(long.coef_, closed.coef_, rtol=0, atol=1e-7)
    assert_allclose(long.objective_, closed.objective_, rtol=1e-12)


def test_unequal_factors_on_shared_rows_keep_the_closed_form(rng):
    instance = outputs(rng, 30, 6, 5)
    factor = {t: 1.0 + 3.0 * t for t in range(5)}
    model = ReducedRankRegressor(2, task_weight=factor).fit(instance.X, instance.y)
    n, T = instance.y.shape
    X, task = np.tile(instance.X, (T, 1)), np.repeat(np.arange(T), n)
    long = ReducedRankRegressor(2, task_weight=factor, tol=1e-10).fit(X, instance.y.T.ravel(), task=task)
    assert model.n_iter_ == 1
    assert_allclose(long.coef_, model.coef_, rtol=0, atol=1e-7)
    ridged = ReducedRankRegressor(2, alpha_ridge=0.2, task_weight=factor, tol=1e-10).fit(instance.X, instance.y)
    long.set_params(alpha_ridge=0.2).fit(X, instance.y.T.ravel(), task=task)
    assert_allclose(ridged.coef_, long.coef_, rtol=0, atol=1e-7)


@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize("instance", INSTANCES)
def test_full_rank_is_independent_tasks(instance, ridge, rng):
    data = INSTANCES[instance](rng).arguments
    model, alone = ReducedRankRegressor(40, alpha_ridge=ridge).fit(**data), IndependentRegressor(ridge).fit(**data)
    size = np.abs(alone.coef_).max()
    assert_allclose(model.coef_, alone.coef_, rtol=0, atol=1e-9 * size)
    assert_allclose(model.intercept_, alone.intercept_, rtol=0, atol=1e-9 * (size + np.abs(alone.intercept_).max()))
    assert model.n_iter_ == 1


@pytest.mark.parametrize("instance", ["uneven tasks", "shared, missing labels", "weights", "constant labels"])
@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_a_reduced_rank_solution_is_stationary(instance, ridge, rng):
    """The gradient R is orthogonal to the tangents U A' + B V' of the matrices of rank r: U'R = 0 and R V = 0."""
    data = INSTANCES[instance](rng)
    model = ReducedRankRegressor(2, alpha_ridge=ridge, tol=1e-10, max_iter=5000).fit(**data.arguments)
    R, size = gradient_of(data, model, ridge)
    U, s, V = np.linalg.svd(model.coef_)
    assert s[2:].max(initial=0.0) < 1e-10 * s[0]
    assert np.abs(U[:, :2].T @ R).max() < 1e-7 * size
    assert np.abs(R @ V[:2].T).max() < 1e-7 * size


def test_no_random_start_ends_far_below(rng):
    """Gradient-free competitors: alternating least squares, in plain words, from 20 random starts."""
    instance = long_table(rng, [12, 30, 8, 20, 15, 9], 6, noise=2.0)
    model = ReducedRankRegressor(2, tol=1e-9).fit(**instance.arguments)
    G, q, zero = moments_of(instance, model)
    best = np.inf
    for _ in range(20):
        B = rng.normal(size=(2, 6))
        for _ in range(300):
            A = np.array([np.linalg.lstsq(B @ g @ B.T, B @ v, rcond=None)[0] for g, v in zip(G, q, strict=True)])
            left = sum(np.kron(np.outer(a, a), g) for a, g in zip(A, G, strict=True))
            B = np.linalg.lstsq(left, (A.T @ q).ravel(), rcond=None)[0].reshape(2, 6)
        W = A @ B
        best = min(best, zero - np.vdot(q, W) + 0.5 * np.einsum("ti,tij,tj->", W, G, W))
    assert model.objective_ <= best + 1e-3 * zero


def test_the_true_subspace_is_found_where_tasks_alone_are_underdetermined():
    data = make_low_rank_tasks(rank=2, n_tasks=30, n_features=12, n_samples=9, noise=0.0, random_state=0)
    model = ReducedRankRegressor(2, tol=1e-10, max_iter=5000).fit(data.X, data.y, task=data.task)
    assert_allclose(model.coef_, data.coef, rtol=0, atol=1e-6)
    assert model.rank_ == 2


def test_many_unknowns_take_conjugate_gradients_to_the_same_solution(rng, monkeypatch):
    instance = long_table(rng, [20, 5, 9, 40, 12], 8)
    monkeypatch.setattr("skmtl.solvers.reduced_rank._RANDOM", (0, 0))  # there would be fewer
    exact = ReducedRankRegressor(2, alpha_ridge=0.1, tol=1e-9).fit(**instance.arguments)
    monkeypatch.setattr("skmtl.solvers._alternating._DENSE", 0)
    iterated = ReducedRankRegressor(2, alpha_ridge=0.1, tol=1e-9).fit(**instance.arguments)
    assert_allclose(iterated.coef_, exact.coef_, rtol=0, atol=1e-6)


def test_gram_matrices_of_tasks_with_few_rows_are_made_once_if_they_can_be_kept(rng, monkeypatch):
    """And not in every step, which is most of its work."""
    instance, made, cross = long_table(rng, [20, 5, 5, 6, 12], 8), [], Rows.cross
    monkeypatch.setattr(Rows, "cross", lambda rows, other: made.extend(rows.tasks) or cross(rows, other))
    kept = ReducedRankRegressor(2, alpha_ridge=0.1, tol=1e-9).fit(**instance.arguments)
    assert len(made) == 3
    assert kept.n_iter_ > 1
    monkeypatch.setattr("skmtl.solvers._alternating._KEPT", 0)
    again = ReducedRankRegressor(2, alpha_ridge=0.1, tol=1e-9).fit(**instance.arguments)
    assert_allclose(again.coef_, kept.coef_, rtol=0, atol=1e-7)


def test_a_path_of_reduced_rank_varies_the_ridge_term(rng):
    instance = outputs(rng, 30, 6, 5, missing=0.3)
    path = ReducedRankRegressor(2).path(instance.X, instance.y, alphas=[1.0, 0.1])
    for alpha, coef in zip(path.alphas, path.coefs, strict=True):
        one = ReducedRankRegressor(2, alpha_ridge=alpha).fit(instance.X, instance.y)
        assert_allclose(coef, one.coef_, rtol=0, atol=1e-4)


# ------------------------------------------------------------------------------------------------------- latent basis


@pytest.mark.parametrize("instance", ["uneven tasks", "shared", "shared, missing labels", "constant labels"])
def test_a_latent_basis_is_stationary_in_both_factors(instance, rng):
    """The gradient R of the loss meets the conditions of a lasso in S and of a ridge regression in B."""
    data = INSTANCES[instance](rng)
    model = fitted("basis of 2", data, tol=1e-11)
    R, size = gradient_of(data, model)
    S, B = model.task_loadings_, model.components_
    assert_allclose(S @ B, model.coef_, rtol=0, atol=1e-12 * np.abs(model.coef_).max())
    assert_allclose(S.T @ R, -0.1 * B, rtol=0, atol=1e-5 * size)
    slope = -R @ B.T
    assert np.abs(slope).max() <= 0.1 * (1 + 1e-4)
    assert_allclose(slope[S != 0], 0.1 * np.sign(S[S != 0]), rtol=0, atol=1e-5)


def test_only_the_product_of_the_strengths_matters(rng):
    instance = outputs(rng, 40, 6, 5, missing=0.2)
    one = LatentBasisRegressor(2, alpha=0.1, alpha_ridge=0.2, tol=1e-10).fit(instance.X, instance.y)
    other = LatentBasisRegressor(2, alpha=0.2, alpha_ridge=0.05, tol=1e-10).fit(instance.X, instance.y)
    assert_allclose(other.coef_, one.coef_, rtol=0, atol=1e-7)
    assert_allclose(other.objective_, one.objective_, rtol=1e-9)


@pytest.mark.parametrize("strengths", [{"alpha": 0.0}, {"alpha_ridge": 0.0}])
def test_a_basis_without_one_strength_is_a_reduced_rank(strengths, rng):
    instance = outputs(rng, 40, 6, 5)
    model = LatentBasisRegressor(2, **strengths).fit(instance.X, instance.y)
    rank = ReducedRankRegressor(2).fit(instance.X, instance.y)
    assert_allclose(model.coef_, rank.coef_, rtol=0, atol=1e-12)
    assert_allclose(model.task_loadings_ @ model.components_, rank.coef_, rtol=0, atol=1e-12)


def test_overlapping_groups_are_found(rng):
    """Tasks use the first basis task, the second, or both."""
    truth = np.repeat([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [8, 8, 4], axis=0)
    basis = np.linalg.qr(rng.normal(size=(10, 2)))[0].T
    X, task = rng.normal(size=(20 * 15, 10)), np.repeat(np.arange(20), 15)
    y = np.einsum("ij,ij->i", X, (truth @ basis)[task]) + 0.05 * rng.normal(size=len(X))
    model = LatentBasisRegressor(2, alpha=0.05, alpha_ridge=0.05).fit(X, y, task=task)
    found = np.abs(model.task_loadings_) > 0.1 * np.abs(model.task_loadings_).max()
    assert found.tolist() in (truth.astype(bool).tolist(), truth[:, ::-1].astype(bool).tolist())


def test_strong_penalties_leave_zero_weights(rng):
    instance = outputs(rng, 30, 5, 4)
    model = LatentBasisRegressor(2, alpha=100.0, alpha_ridge=100.0).fit(instance.X, instance.y)
    assert not model.coef_.any()
    assert not model.task_loadings_.any()
    assert model.coef_.shape == (4, 5)
    assert_allclose(model.objective_, 0.5 * np.sum(instance.y.var(axis=0)), rtol=1e-12)


def test_more_components_than_tasks_and_features_do_no_harm(rng):
    instance = outputs(rng, 30, 3, 2)
    model = LatentBasisRegressor(6, alpha=0.05, alpha_ridge=0.05).fit(instance.X, instance.y)
    few = LatentBasisRegressor(2, alpha=0.05, alpha_ridge=0.05).fit(instance.X, instance.y)
    assert model.components_.shape == (6, 3)
    assert model.objective_ <= few.objective_ * (1 + 1e-6)


# ------------------------------------------------------------------------------------------------------------ adaptive


@each_shape
def test_the_slopes_are_those_of_the_values(shape):
    penalty = AdaptiveJointFeature(0.7, penalty=shape, gamma=2.5)
    for r in [0.01, 0.5, 0.69, 0.71, 1.2, 1.74, 1.76, 30.0]:
        W, h = np.array([[0.6], [0.8]]) * r, 1e-6
        slope = (penalty.value(W * (1 + h / r)) - penalty.value(W * (1 - h / r))) / (2 * h)
        assert_allclose(0.7 * penalty.slopes(W), slope, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("size", [0.15, 0.25, 0.32, 0.45, 0.8, 3.0])
@pytest.mark.parametrize("shape", ["mcp", "scad"])
def test_one_feature_has_a_closed_form(shape, size):
    """Curvature 1 and least-squares weights z: firm thresholding of their length (Zhang 2010; Fan, Li 2001)."""
    x = np.array([-1.0, 1.0, -1.0, 1.0])
    z, alpha, gamma = size * np.array([0.6, 0.8]), 0.2, 3.0
    model = AdaptiveJointFeatureRegressor(alpha, penalty=shape, gamma=gamma, tol=1e-13)
    model.fit(x[:, None], x[:, None] * z)
    if size > gamma * alpha:
        length = size
    elif shape == "mcp":
        length = max(size - alpha, 0.0) / (1 - 1 / gamma)
    elif size <= 2 * alpha:
        length = max(size - alpha, 0.0)
    else:
        length = ((gamma - 1) * size - gamma * alpha) / (gamma - 2)
    assert_allclose(model.coef_[:, 0], length * np.array([0.6, 0.8]), rtol=0, atol=1e-6)


@each_shape
@pytest.mark.parametrize("instance", ["uneven tasks", "shared", "weights", "constant labels"])
def test_an_adaptive_solution_minimises_its_own_tangents(shape, instance, rng):
    """To the objective: with fewer rows than unpenalised features a task has many best weights."""
    data = INSTANCES[instance](rng)
    model = fitted(shape, data, tol=1e-8)
    penalty = AdaptiveJointFeature(0.2, penalty=shape)
    tangent = JointFeature(0.2, feature_weights=penalty.slopes(model.coef_))
    convex = MultiTaskRegressor(tangent, tol=1e-8).fit(**data.arguments)
    reached = model.objective_ - penalty.value(model.coef_) + tangent.value(model.coef_)
    _, _, zero = moments_of(data, model)
    assert convex.objective_ - 1e-8 * zero <= reached <= convex.objective_ + 1e-6 * zero


@each_shape
def test_stages_begin_with_joint_features_and_never_rise(shape, rng):
    data = long_table(rng, [20, 9, 30], 12, noise=1.0)
    stages = [quiet(lambda n=n: fitted(shape, data, max_iter=n, tol=1e-10)) for n in (1,)]
    first = quiet(lambda: JointFeatureRegressor(0.2, max_iter=1, tol=1e-11).fit(**data.arguments))
    assert_allclose(stages[0].coef_, first.coef_, rtol=0, atol=1e-12)
    coarse = fitted(shape, data, tol=1e-2)
    fine = fitted(shape, data, tol=1e-10)
    plain = JointFeatureRegressor(0.2, tol=1e-10).fit(**data.arguments)
    penalty = AdaptiveJointFeature(0.2, penalty=shape)
    start = plain.objective_ - JointFeature(0.2).value(plain.coef_) + penalty.value(plain.coef_)
    assert fine.objective_ <= coarse.objective_ * (1 + 1e-9)
    assert fine.objective_ <= start * (1 + 1e-9)
    assert fine.dual_gap_ <= 1e-10 * 0.5 * np.sum(data.y**2)


def test_adaptive_weights_are_less_biased_and_as_sparse():
    data = make_joint_features(n_informative=4, n_features=40, n_tasks=15, n_samples=25, noise=0.5, random_state=1)
    fit = {"X": data.X, "y": data.y, "task": data.task}
    plain = JointFeatureRegressor(0.5).fit(**fit)
    adaptive = AdaptiveJointFeatureRegressor(0.5).fit(**fit)
    assert_array_equal(adaptive.coef_.any(axis=0), data.support.any(axis=0) if data.support.ndim > 1 else data.support)
    assert np.linalg.norm(adaptive.coef_ - data.coef) < 0.8 * np.linalg.norm(plain.coef_ - data.coef)
    assert adaptive.n_iter_ >= 2


@each_shape
def test_alpha_max_gives_zero_weights_exactly(shape, rng):
    data = INSTANCES["uneven tasks"](rng)
    largest = AdaptiveJointFeatureRegressor(penalty=shape).alpha_max(**data.arguments)
    zero = AdaptiveJointFeatureRegressor(largest, penalty=shape).fit(**data.arguments)
    assert not zero.coef_.any()
    if shape != "sqrt":  # infinitely steep at zero: the second stage drops what the first hardly had
        some = AdaptiveJointFeatureRegressor(0.999 * largest, penalty=shape).fit(**data.arguments)
        assert some.coef_.any()


def test_a_large_gamma_is_joint_features_and_no_alpha_is_least_squares(rng):
    data = INSTANCES["shared"](rng).arguments
    plain = JointFeatureRegressor(0.2, tol=1e-10).fit(**data)
    for shape in ("mcp", "scad", "capped_l1"):
        model = AdaptiveJointFeatureRegressor(0.2, penalty=shape, gamma=1e12, tol=1e-10).fit(**data)
        assert_allclose(model.coef_, plain.coef_, rtol=0, atol=1e-5)
    free = AdaptiveJointFeatureRegressor(0.0).fit(**data)
    assert_allclose(free.coef_, IndependentRegressor(0.0).fit(**data).coef_, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("shape", "gamma", "least"), [("mcp", 1.0, "1"), ("scad", 2.0, "2")])
def test_a_gamma_too_small_is_refused(shape, gamma, least, rng):
    with pytest.raises(ValueError, match=f"gamma must be > {least} for penalty='{shape}'. Got {gamma}"):
        AdaptiveJointFeatureRegressor(penalty=shape, gamma=gamma).alpha_max(**INSTANCES["shared"](rng).arguments)


def test_a_path_of_stages_does_not_depend_on_the_strengths_before(rng):
    data = INSTANCES["shared"](rng)
    path = AdaptiveJointFeatureRegressor(tol=1e-10).path(data.X, data.y, alphas=[1.0, 0.5, 0.1])
    one = AdaptiveJointFeatureRegressor(0.1, tol=1e-10).fit(data.X, data.y)
    assert_allclose(path.coefs[-1], one.coef_, rtol=0, atol=1e-5)


# -------------------------------------------------------------------------------------------------------- every model


@each_model
@pytest.mark.parametrize("instance", ["uneven tasks", "shared", "weights", "tasks without weight", "one task"])
def test_the_objective_is_that_of_the_formula(name, instance, rng):
    data = INSTANCES[instance](rng)
    model = fitted(name, data)
    penalty, kept = model.penalty_, np.array([len(task.y) > 0 for task in data.tasks])
    if isinstance(penalty, LatentBasis):
        omega = penalty.value(model.components_, model.task_loadings_[kept])
    else:
        omega = penalty.value(model.coef_[kept])
    expected = objective(data.tasks, task_factors(data.tasks), model.coef_, model.intercept_, omega)
    assert_allclose(model.objective_, expected, rtol=1e-8)


@each_factor_model
def test_more_steps_never_raise_the_objective(name, rng):
    data = long_table(rng, [7, 20, 4, 12, 9], 8, noise=1.0)
    reached = [quiet(lambda n=n: fitted(name, data, max_iter=n, tol=1e-12)).objective_ for n in (1, 2, 5, 8, 60, 300)]
    assert np.diff(reached[-3:]).max() <= 1e-12 * reached[0]
    assert reached[-1] <= min(reached) * (1 + 1e-12)


@each_model
def test_permuted_tasks_permute_the_weights(name, rng):
    data = outputs(rng, 40, 5, 6, missing=0.3)
    order = rng.permutation(6)
    model, permuted = fitted(name, data), fitted(name, type(data)(data.X, data.y[:, order]))
    assert_allclose(permuted.coef_, model.coef_[order], rtol=0, atol=1e-5)


@each_model
def test_long_and_wide_layouts_agree(name, rng):
    data = outputs(rng, 40, 5, 6, missing=0.3)
    i, t = np.nonzero(~np.isnan(data.y))
    long = type(data)(data.X[i], data.y[i, t], t)
    assert_allclose(fitted(name, long).coef_, fitted(name, data).coef_, rtol=0, atol=1e-6)


@each_model
def test_a_repeated_row_has_twice_the_weight(name, rng):
    data = long_table(rng, [20, 9, 30], 4)
    twice = rng.random(len(data.X)) < 0.4
    again = np.concatenate([np.arange(len(data.X)), np.flatnonzero(twice)])
    repeated = type(data)(data.X[again], data.y[again], data.task[again])
    weighted = type(data)(data.X, data.y, data.task, 1.0 + twice)
    assert_allclose(fitted(name, weighted).coef_, fitted(name, repeated).coef_, rtol=0, atol=1e-6)


@each_model
@pytest.mark.parametrize("instance", ["uneven tasks", "tasks without weight", "shared", "shared, tasks without weight"])
def test_a_task_never_seen_has_the_mean_of_the_others(name, instance, rng):
    data = INSTANCES[instance](rng)
    model = fitted(name, data)
    known = np.array([len(task.y) > 0 for task in data.tasks])
    assert_allclose(model.shared_coef_, model.coef_[known].mean(axis=0), rtol=0, atol=1e-12)
    for t in np.flatnonzero(~known):
        assert_allclose(model.coef_[t], model.shared_coef_, rtol=0, atol=1e-12)


@each_factor_model
@pytest.mark.parametrize("instance", [name for name in INSTANCES if "1e-4" not in name])
def test_every_instance_is_solved(name, instance, rng):
    data = INSTANCES[instance](rng)
    model = quiet(lambda: fitted(name, data, tol=1e-6, max_iter=200))
    _, _, zero = moments_of(data, model)
    assert np.isfinite(model.coef_).all()
    assert model.objective_ <= zero * (1 + 1e-12)


@each_factor_model
def test_a_constant_column_gets_no_weight(name, rng):
    data = long_table(rng, [20, 9, 30], 5)
    data.X[:, 2] = 7.0
    assert np.abs(fitted(name, data).coef_[:, 2]).max() < 1e-9


@each_factor_model
def test_more_features_than_rows_are_solved_among_the_rows(name, rng):
    """Features beyond the span of the rows change nothing: a rotation rotates the weights."""
    data = long_table(rng, [9, 7, 12], 6)
    R = np.linalg.qr(rng.normal(size=(60, 6)))[0]
    model, wide = fitted(name, data), fitted(name, type(data)(data.X @ R.T, data.y, data.task))
    assert_allclose(wide.coef_ @ R, model.coef_, rtol=0, atol=1e-5)
    if name.startswith("basis"):
        assert_allclose(wide.task_loadings_ @ wide.components_, wide.coef_, rtol=0, atol=1e-10)
    else:
        assert wide.rank_ == model.rank_


@each_factor_model
def test_too_few_steps_are_told(name, rng):
    data = long_table(rng, [7, 20, 4, 12, 9], 8, noise=1.0)
    with pytest.warns(ConvergenceWarning, match="did not converge: residual"):
        fitted(name, data, max_iter=2, tol=1e-12)


@each_model
def test_labels_without_variance_give_zero_weights(name, rng):
    model = fitted(name, type(INSTANCES["shared"](rng))(rng.normal(size=(20, 3)), np.full((20, 2), 4.0)))
    assert not model.coef_.any()
    assert_allclose(model.intercept_, 4.0, rtol=1e-15)
    assert abs(model.objective_) < 1e-20


def test_values_are_those_of_the_formulas():
    W = np.array([[3.0, 0.0, 0.1], [4.0, 0.0, 0.0]])
    assert_allclose(AdaptiveJointFeature(1.0).value(W), 1.5 + 0.1 - 0.01 / 6, rtol=1e-14)
    assert_allclose(AdaptiveJointFeature(1.0, "scad").value(W), 2.0 + 0.1, rtol=1e-14)
    assert_allclose(AdaptiveJointFeature(1.0, "capped_l1").value(W), 3.0 + 0.1, rtol=1e-14)
    assert_allclose(AdaptiveJointFeature(1.0, "sqrt").value(W), np.sqrt(5.0) + np.sqrt(0.1), rtol=1e-14)
    assert ReducedRank(1).value(W) == np.inf
    assert_allclose(ReducedRank(2, alpha_ridge=2.0).value(W), 25.01, rtol=1e-14)
    assert ReducedRank(2).with_alpha(3).alpha_ridge == 3.0
