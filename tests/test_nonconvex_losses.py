"""Nonconvex beliefs with other losses than the squared one: stages, stationary points, and what others find."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from skmtl import (
    AdaptiveJointFeatureClassifier,
    IndependentClassifier,
    JointFeatureClassifier,
    LatentBasisClassifier,
    MultiTaskClassifier,
    MultiTaskRegressor,
    ReducedRankClassifier,
)
from skmtl.losses import Huber
from skmtl.penalties import AdaptiveJointFeature, JointFeature, LatentBasis, ReducedRank, Ridge
from tests import losses

SHAPES = ["mcp", "scad", "capped_l1", "sqrt"]
LOSSES = {"logistic": 2, "multinomial": 3, "poisson": 1, "huber": 1}
each_shape = pytest.mark.parametrize("shape", SHAPES)
each_loss = pytest.mark.parametrize("loss", LOSSES)


def make_rows(rng, loss, sizes=(60, 45, 80, 50), d=6, n_informative=3):
    """X, labels and ids: the first features matter to all tasks."""
    K, task = LOSSES[loss], np.repeat(np.arange(len(sizes)), sizes)
    X, W = rng.normal(size=(len(task), d)), rng.normal(size=(len(sizes), K, d))
    W[:, :, n_informative:] = 0.0
    eta = np.einsum("ij,ikj->ik", X, W[task])
    if K > 1:
        return X, (eta + rng.gumbel(size=eta.shape)).argmax(axis=1), task
    if loss == "poisson":
        return X, rng.poisson(np.exp(0.4 * eta[:, 0])).astype(float), task
    return X, eta[:, 0] + rng.standard_t(2, size=len(X)), task


def model_of(penalty, loss, **how):
    """The composable model of a penalty and a loss, precise unless told otherwise."""
    how = {"tol": 1e-8} | how
    if LOSSES[loss] > 1:
        return MultiTaskClassifier(penalty, **how)
    return MultiTaskRegressor(penalty, loss=Huber(0.7) if loss == "huber" else loss, **how)


def seen(model):
    """Weights as a penalty of features sees them: each class of each task is a row."""
    return model.coef_.reshape(-1, model.coef_.shape[-1])


# ------------------------------------------------------------------------------------------------------------ adaptive


@each_loss
@each_shape
def test_an_adaptive_solution_minimises_its_own_tangents(shape, loss, rng):
    X, y, task = make_rows(rng, loss)
    ridge = {"mcp": 0.0, "scad": 0.01, "capped_l1": 0.01, "sqrt": 0.0}[shape]
    penalty = AdaptiveJointFeature(0.1, penalty=shape, gamma=12.0, alpha_ridge=ridge)
    model = model_of(penalty, loss).fit(X, y, task=task)
    tangent = JointFeature(0.1, feature_weights=penalty.slopes(seen(model)), alpha_ridge=ridge)
    convex = model_of(tangent, loss).fit(X, y, task=task)
    reached = model.objective_ - penalty.value(seen(model)) + tangent.value(seen(model))
    assert convex.objective_ - convex.dual_gap_ <= reached + 1e-12
    assert reached <= convex.objective_ + 1e-6
    assert model.dual_gap_ <= 1e-7
    assert 1 <= model.n_iter_ < 100


@each_loss
def test_a_large_gamma_is_joint_features(loss, rng):
    X, y, task = make_rows(rng, loss)
    plain = model_of(JointFeature(0.1), loss).fit(X, y, task=task)
    for shape in ("mcp", "scad", "capped_l1"):
        model = model_of(AdaptiveJointFeature(0.1, shape, gamma=1e12), loss).fit(X, y, task=task)
        assert_allclose(model.coef_, plain.coef_, rtol=0, atol=1e-4)
        assert_allclose(model.objective_, plain.objective_, rtol=1e-8)


@pytest.mark.parametrize("shape", ["mcp", "scad", "capped_l1"])
@pytest.mark.parametrize("loss", ["logistic", "multinomial"])
def test_adaptive_features_are_those_and_less_shrunk(loss, shape, rng):
    X, y, task = make_rows(rng, loss, sizes=(150,) * 6, d=30)
    plain = JointFeatureClassifier(0.25).fit(X, y, task=task)
    model = AdaptiveJointFeatureClassifier(0.25, penalty=shape, gamma=4.0, alpha_ridge=0.0).fit(X, y, task=task)
    assert_array_equal(np.flatnonzero(seen(model).any(axis=0)), [0, 1, 2])
    lengths = [np.linalg.norm(seen(one)[:, :3], axis=0) for one in (plain, model)]
    assert (lengths[1] > 1.2 * lengths[0]).all()
    start = plain.objective_ - plain.penalty_.value(seen(plain)) + model.penalty_.value(seen(plain))
    assert model.objective_ < start


@each_loss
@each_shape
def test_alpha_max_of_stages_gives_zero_weights_exactly(shape, loss, rng):
    X, y, task = make_rows(rng, loss)
    model = model_of(AdaptiveJointFeature(penalty=shape), loss, tol=1e-5)
    largest = model.alpha_max(X, y, task=task)
    assert_allclose(largest, model_of(JointFeature(), loss).alpha_max(X, y, task=task), rtol=1e-12)
    assert not model.set_params(penalty__alpha=largest).fit(X, y, task=task).coef_.any()
    if shape != "sqrt":  # infinitely steep at zero
        assert model.set_params(penalty__alpha=0.99 * largest).fit(X, y, task=task).coef_.any()


@pytest.mark.parametrize("loss", ["logistic", "multinomial"])
def test_a_path_of_stages_does_not_depend_on_the_strengths_before(loss, rng):
    X, y, task = make_rows(rng, loss)
    path = AdaptiveJointFeatureClassifier(gamma=12.0).path(X, y, task=task, alphas=[0.4, 0.15])
    one = AdaptiveJointFeatureClassifier(0.15, gamma=12.0).fit(X, y, task=task)
    assert_allclose(path.coefs[-1], one.coef_, rtol=0, atol=1e-3)
    assert path.dual_gaps.max() <= 1e-5


@each_shape
def test_by_default_features_that_tell_classes_apart_have_a_minimum(shape, rng):
    X, task = rng.normal(size=(60, 4)), np.repeat(np.arange(3), 20)
    y, order = X[:, 0] > 0, rng.permutation(60)
    model = AdaptiveJointFeatureClassifier(penalty=shape, tol=1e-10).fit(X, y, task=task)
    assert model.score(X, y, task=task) > 0.9
    again = AdaptiveJointFeatureClassifier(penalty=shape, tol=1e-10).fit(X[order], y[order], task=task[order])
    assert_allclose(again.coef_, model.coef_, rtol=1e-4)
    assert model.dual_gap_ <= 1e-9


@pytest.mark.parametrize(("shape", "gamma", "least"), [("mcp", 1.0, "1"), ("scad", 2.0, "2")])
def test_a_gamma_too_small_is_refused(shape, gamma, least, rng):
    X, y, task = make_rows(rng, "logistic")
    with pytest.raises(ValueError, match=f"gamma must be > {least} for penalty='{shape}'. Got {gamma}"):
        AdaptiveJointFeatureClassifier(penalty=shape, gamma=gamma).fit(X, y, task=task)


def test_too_few_stages_are_told(rng):
    X, y, task = make_rows(rng, "logistic")
    with pytest.warns(ConvergenceWarning, match=r"after max_iter=1 stages \(tol="):
        AdaptiveJointFeatureClassifier(0.1, gamma=12.0, max_iter=1).fit(X, y, task=task)


def test_a_stage_of_too_few_iterations_is_told(rng):
    """Else "after 2 stages" with max_iter=4 would be a riddle."""
    X, task = rng.normal(size=(90, 60)), np.repeat(np.arange(3), 30)
    y = X[:, 0] + 0.1 * rng.normal(size=90) > 0
    model = AdaptiveJointFeatureClassifier(max_iter=4, tol=1e-9)
    with pytest.warns(
        ConvergenceWarning, match=r"stages, one of which did not converge in max_iter=4 iterations \(tol="
    ):
        model.fit(X, y, task=task)
    assert model.n_iter_ < 4


# ---------------------------------------------------------------------------------------- reduced rank, latent basis

WORDS = {"logistic": losses.Logistic(), "multinomial": losses.Multinomial(3), "poisson": losses.Poisson()}
WORDS["huber"] = losses.Huber(0.7)
FACTORED = {"rank 2": ReducedRank(2, alpha_ridge=0.05), "basis of 2": LatentBasis(2, alpha=0.05, alpha_ridge=0.05)}
MODELS = FACTORED | {"mcp": AdaptiveJointFeature(0.1, gamma=12.0)}
each_factored = pytest.mark.parametrize("name", FACTORED)
each_model = pytest.mark.parametrize("name", MODELS)


class Plain:
    """The objective of a reduced rank, row by row, as a function of factors and intercepts in one vector."""

    def __init__(self, loss, X, y, task, rank, ridge):
        self.words, self.X, self.y, self.task, self.ridge = WORDS[loss], X, y, task, ridge
        T, K, d = task.max() + 1, self.words.n_columns, X.shape[1]
        self.shape, self.c = (T, K, d), T / len(y)
        self.cuts = np.cumsum([T * K * rank, rank * d])
        self.size = self.cuts[-1] + T * K

    def parts(self, v):
        T, K, d = self.shape
        S, B, b = np.split(v, self.cuts)
        return S.reshape(T * K, -1), B.reshape(-1, d), b.reshape(T, K)

    def __call__(self, v):
        S, B, b = self.parts(v)
        eta = np.einsum("ij,ikj->ik", self.X, (S @ B).reshape(self.shape)[self.task]) + b[self.task]
        eta = eta if self.shape[1] > 1 else eta[:, 0]
        value = self.c * self.words.value(self.y, eta).sum() + self.ridge / 2 * np.sum((S @ B) ** 2)
        slope = self.c * self.words.slope(self.y, eta).reshape(len(self.y), -1)
        each = [(slope[self.task == t].T @ self.X[self.task == t]) for t in range(self.shape[0])]
        G = np.concatenate(each) + self.ridge * S @ B
        of_b = [slope[self.task == t].sum(axis=0) for t in range(self.shape[0])]
        return value, np.concatenate([(G @ B.T).ravel(), (S.T @ G).ravel(), np.ravel(of_b)])

    def best(self, rng, n_starts):
        """The lowest value from random starts."""
        how = {"jac": True, "method": "L-BFGS-B", "options": {"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-10}}
        return min(minimize(self, 0.5 * rng.normal(size=self.size), **how).fun for _ in range(n_starts))


@each_loss
@pytest.mark.parametrize(("rank", "ridge"), [(1, 0.1), (2, 0.02)])
def test_no_random_start_of_a_general_solver_ends_below(rank, ridge, loss, rng):
    X, y, task = make_rows(rng, loss, n_informative=6)
    model = model_of(ReducedRank(rank, alpha_ridge=ridge), loss).fit(X, y, task=task)
    assert model.rank_ == rank
    plain = Plain(loss, X, y, task, rank, ridge)
    U, s, V = np.linalg.svd(seen(model), full_matrices=False)
    point = [U[:, :rank] * s[:rank], V[:rank], model.intercept_]
    value, slope = plain(np.concatenate([np.ravel(part) for part in point]))
    assert_allclose(model.objective_, value, rtol=1e-10)
    assert np.abs(slope).max() <= 1e-5
    assert model.objective_ <= plain.best(rng, 3) + 1e-6


@each_loss
def test_full_rank_is_independent_tasks_with_a_ridge(loss, rng):
    X, y, task = make_rows(rng, loss)
    model = model_of(ReducedRank(40, alpha_ridge=0.1), loss).fit(X, y, task=task)
    alone = model_of(Ridge(0.1), loss).fit(X, y, task=task)
    assert_allclose(model.coef_, alone.coef_, rtol=0, atol=1e-5)
    assert_allclose(model.objective_, alone.objective_, rtol=1e-8)
    assert model.residual_ < 1e-5


@each_loss
def test_as_many_directions_as_rows_have_are_independent_tasks_too(loss, rng):
    """There the loadings alone reach every W, and the components have nothing to add."""
    X, y, task = make_rows(rng, loss, d=2, n_informative=2)
    X = np.hstack([X, X])
    model = model_of(ReducedRank(2, alpha_ridge=0.1), loss).fit(X, y, task=task)
    alone = model_of(Ridge(0.1), loss).fit(X, y, task=task)
    assert_allclose(model.objective_, alone.objective_, rtol=1e-8)
    assert_allclose(model.coef_, alone.coef_, rtol=0, atol=1e-4)


@each_loss
def test_a_latent_basis_is_stationary_in_both_factors(loss, rng):
    """The gradient of the loss meets the conditions of a lasso in S and of a ridge term in B."""
    X, y, task = make_rows(rng, loss, n_informative=6)
    model = model_of(LatentBasis(2, alpha=0.05, alpha_ridge=0.05), loss).fit(X, y, task=task)
    S, B = model.task_loadings_.reshape(-1, 2), model.components_
    assert_allclose(S @ B, seen(model), rtol=0, atol=1e-10)
    plain = Plain(loss, X, y, task, 2, 0.0)
    value, slope = plain(np.concatenate([S.ravel(), B.ravel(), np.ravel(model.intercept_)]))
    assert_allclose(model.objective_, value + 0.05 * np.abs(S).sum() + 0.025 * np.sum(B**2), rtol=1e-9)
    of_S, of_B, _ = plain.parts(slope)
    assert_allclose(of_B, -0.05 * B, rtol=0, atol=1e-4)
    assert np.abs(of_S).max() <= 0.05 * (1 + 1e-3)
    assert_allclose(of_S[S != 0], -0.05 * np.sign(S[S != 0]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("k", [2, 9])
@pytest.mark.parametrize("strengths", [{"alpha": 0.0}, {"alpha_ridge": 0.0}])
def test_a_basis_without_one_strength_is_a_reduced_rank(strengths, k, rng):
    X, y, task = make_rows(rng, "logistic")
    model = LatentBasisClassifier(k, **strengths).fit(X, y, task=task)
    rank = ReducedRankClassifier(k, alpha_ridge=0.0).fit(X, y, task=task)
    assert model.task_loadings_.shape == (4, k)
    assert_allclose(model.coef_, rank.coef_, rtol=0, atol=1e-10)
    assert_allclose(model.task_loadings_ @ model.components_, model.coef_, rtol=0, atol=1e-10)


def test_a_strong_basis_leaves_zero_weights(rng):
    X, y, task = make_rows(rng, "multinomial")
    model = LatentBasisClassifier(2, alpha=50.0, alpha_ridge=50.0).fit(X, y, task=task)
    assert not model.coef_.any()
    assert model.task_loadings_.shape == (4, 3, 2)
    assert_allclose(model.objective_, IndependentClassifier(1e9).fit(X, y, task=task).objective_, rtol=1e-6)


def test_a_path_of_reduced_rank_varies_the_ridge_term(rng):
    X, y, task = make_rows(rng, "logistic")
    path = ReducedRankClassifier(2).path(X, y, task=task, alphas=[0.5, 0.1])
    for alpha, coef in zip(path.alphas, path.coefs, strict=True):
        assert_allclose(coef, ReducedRankClassifier(2, alpha_ridge=alpha).fit(X, y, task=task).coef_, rtol=0, atol=1e-4)
    assert np.isnan(path.dual_gaps).all()


@pytest.mark.parametrize("Classifier", [ReducedRankClassifier, LatentBasisClassifier])
def test_classes_told_apart_without_a_penalty_are_no_minimum(Classifier, rng):
    X, task = rng.normal(size=(60, 4)), np.repeat(np.arange(3), 20)
    model = Classifier(2, alpha_ridge=0.0, tol=1e-8)
    with pytest.warns(ConvergenceWarning, match="did not converge: residual"):
        model.fit(X, X[:, 0] + 0.5 * X[:, 1] > 0, task=task)
    assert np.isfinite(model.coef_).all()
    assert model.score(X, X[:, 0] + 0.5 * X[:, 1] > 0, task=task) == 1.0


@each_factored
def test_more_steps_never_raise_the_objective(name, rng):
    X, y, task = make_rows(rng, "logistic", sizes=(12, 30, 20, 9))
    reached = []
    for n in (1, 3, 10, 300):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            reached.append(model_of(MODELS[name], "logistic", max_iter=n).fit(X, y, task=task).objective_)
    assert reached[-1] <= min(reached) * (1 + 1e-10)


# -------------------------------------------------------------------------------------------------------- every model


@each_model
@pytest.mark.parametrize("loss", ["logistic", "multinomial"])
def test_permuted_tasks_permute_the_weights(name, loss, rng):
    X, y, task = make_rows(rng, loss)
    order = np.array([2, 0, 3, 1])
    model, permuted = model_of(MODELS[name], loss).fit(X, y, task=task), model_of(MODELS[name], loss)
    permuted.fit(X, y, task=np.argsort(order)[task])
    assert_allclose(permuted.coef_, model.coef_[order], rtol=0, atol=1e-4)


@each_model
@pytest.mark.parametrize("n_classes", [2, 3])
def test_long_and_wide_layouts_agree(name, n_classes, rng):
    X = rng.normal(size=(60, 5))
    eta = np.einsum("ij,tkj->itk", X, rng.normal(size=(4, n_classes, 5)))
    Y = (eta + rng.gumbel(size=eta.shape)).argmax(axis=2).astype(float)
    Y[rng.random(Y.shape) < 0.2] = np.nan
    i, t = np.nonzero(~np.isnan(Y))
    wide = MultiTaskClassifier(MODELS[name], tol=1e-8).fit(X, Y)
    long = MultiTaskClassifier(MODELS[name], tol=1e-8).fit(X[i], Y[i, t], task=t)
    assert_allclose(long.coef_, wide.coef_, rtol=0, atol=1e-4)
    assert_allclose(long.objective_, wide.objective_, rtol=1e-7)


@each_model
@each_loss
def test_a_repeated_row_has_twice_the_weight(name, loss, rng):
    X, y, task = make_rows(rng, loss)
    twice = rng.random(len(X)) < 0.3
    again = np.concatenate([np.arange(len(X)), np.flatnonzero(twice)])
    repeated = model_of(MODELS[name], loss).fit(X[again], y[again], task=task[again])
    weighted = model_of(MODELS[name], loss).fit(X, y, 1.0 + twice, task=task)
    assert_allclose(weighted.coef_, repeated.coef_, rtol=0, atol=1e-4)


@each_model
def test_a_task_of_one_class_gets_the_shared_weights(name, rng):
    X, y, task = make_rows(rng, "logistic")
    y[task == 2] = 1
    model = model_of(MODELS[name], "logistic").fit(X, y, task=task)
    others = np.arange(4) != 2
    assert_allclose(model.shared_coef_, model.coef_[others].mean(axis=0), rtol=0, atol=1e-12)
    assert_allclose(model.coef_[2], model.shared_coef_, rtol=0, atol=1e-12)
    assert (model.predict_proba(X[:5], task=[2] * 5)[:, 1] > 0.9).all()
    if name.startswith("basis"):
        assert_allclose(model.task_loadings_ @ model.components_, model.coef_, rtol=0, atol=1e-10)


@each_factored
def test_more_features_than_rows_are_solved_among_the_rows(name, rng):
    """Features beyond the span of the rows change nothing: a rotation rotates the weights."""
    X, y, task = make_rows(rng, "logistic", sizes=(12, 10, 15))
    R = np.linalg.qr(rng.normal(size=(60, 6)))[0]
    model = model_of(MODELS[name], "logistic").fit(X, y, task=task)
    wide = model_of(MODELS[name], "logistic").fit(X @ R.T, y, task=task)
    assert_allclose(wide.coef_ @ R, model.coef_, rtol=0, atol=1e-4)


@each_model
def test_a_warm_start_at_the_solution_ends_no_higher(name, rng):
    X, y, task = make_rows(rng, "logistic")
    model = model_of(MODELS[name], "logistic", warm_start=True).fit(X, y, task=task)
    first = model.objective_
    assert model.fit(X, y, task=task).objective_ <= first * (1 + 1e-9)


@each_factored
def test_each_task_may_have_its_own_loss(name, rng):
    X = rng.normal(size=(60, 4))
    eta = X @ rng.normal(size=4)
    Y = np.column_stack([eta + rng.normal(size=60), eta > rng.logistic(size=60), rng.poisson(np.exp(0.4 * eta))])
    mixed = MultiTaskRegressor(MODELS[name], loss={0: "squared", 1: "logistic", 2: "poisson"}, tol=1e-8).fit(X, Y)
    assert mixed.residual_ <= 1e-4
    long, task = np.repeat(X, 3, axis=0), np.tile(np.arange(3), 60)
    same = MultiTaskRegressor(MODELS[name], loss={0: "squared", 1: "logistic", 2: "poisson"}, tol=1e-8)
    assert_allclose(same.fit(long, Y.ravel(), task=task).coef_, mixed.coef_, rtol=0, atol=1e-4)
