"""Losses other than the squared one: rows, steps, intercepts and certificates, piece by piece."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import approx_fprime
from scipy.special import expit
from sklearn.base import clone
from sklearn.linear_model import HuberRegressor, LogisticRegression, PoissonRegressor

from skmtl import (
    FusedTasksClassifier,
    JointFeatureClassifier,
    MultiTaskClassifier,
    MultiTaskRegressor,
    TraceNormClassifier,
    _products,
)
from skmtl._algebra import pseudo_inverse, smallest_solution
from skmtl._products import row_products
from skmtl.losses import Huber, Logistic, Multinomial, Poisson, Squared
from skmtl.penalties import (
    L1,
    Clustered,
    Dirty,
    FusedTasks,
    JointFeature,
    Pooled,
    Ridge,
    SharedPlusSpecific,
    Sum,
    TaskGraph,
    TaskRelationship,
    Temporal,
    TraceNorm,
)
from skmtl.solvers._rows import levelling
from skmtl.solvers._rows.curvature import BOLD, ClassCurvature
from skmtl.solvers._rows.intercepts import best_intercepts
from skmtl.solvers._rows.layouts import LongRows, SharedRows
from skmtl.solvers._rows.models import ClassModel, ColumnModel
from skmtl.solvers._rows.row_loss import RowLoss
from skmtl.solvers.accelerated import RowDescent
from skmtl.tasks import check_data

ONE_COLUMN = {"squared": Squared(), "logistic": Logistic(), "poisson": Poisson(), "huber": Huber(0.8)}
SIZES = (7, 1, 12, 5)


def make_rows(rng, d=4, sizes=SIZES):
    return rng.normal(size=(sum(sizes), d)), np.repeat(np.arange(len(sizes)), sizes)


def labels_for(loss, n, rng):
    if isinstance(loss, Multinomial):
        return rng.integers(loss.n_classes, size=n).astype(float)
    return rng.integers(2, size=n).astype(float) if isinstance(loss, Logistic | Poisson) else rng.normal(size=n)


def row_loss(loss, rng, shared=False, fit_intercept=True, a_b=0.0):
    """The rows of a few tasks with random labels and weights."""
    X, task = make_rows(rng)
    if shared:
        Y = np.column_stack([labels_for(loss, len(X), rng) for _ in SIZES])
        Y[rng.random(Y.shape) < 0.2] = np.nan
        data = check_data(X, Y, rng.uniform(0.5, 2.0, size=Y.shape))
    else:
        data = check_data(X, labels_for(loss, len(X), rng), rng.uniform(0.5, 2.0, size=len(X)), task=task)
    T = len(SIZES)
    present = np.ones((T, loss.n_columns), dtype=bool)
    return RowLoss(data, [loss] * T, rng.uniform(0.5, 1.5, size=T), present, fit_intercept=fit_intercept, a_b=a_b)


# Products


@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("sizes", [SIZES, (900, 0, 1200)], ids=["kernel", "BLAS"])
def test_products_with_the_weights_of_a_task(form, K, sizes, rng):
    X, task = make_rows(rng, sizes=sizes)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    W, theta = rng.normal(size=(len(sizes) * K, 4)), rng.normal(size=(len(X), K) if K > 1 else len(X))
    rows = LongRows(form(X), starts)
    margins = np.einsum("ij,ikj->ik", X, W.reshape(-1, K, 4)[task])
    assert_allclose(rows.margins(W), margins.reshape(theta.shape), rtol=0, atol=1e-12)
    pulls = [np.atleast_2d(theta[task == t].T @ X[task == t]) for t in range(len(sizes))]
    assert_allclose(rows.pulls(theta), np.concatenate(pulls), rtol=0, atol=1e-11)
    assert_allclose(row_products(form(X), W, task), np.einsum("ij,ij->i", X, W[task]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_products_with_arrays_of_any_memory_order_compile_nothing_anew(form, rng):
    X, _ = make_rows(rng)
    W, theta = rng.normal(size=(len(SIZES), 4)), rng.normal(size=len(X))
    rows = LongRows(form(X), np.concatenate([[0], np.cumsum(SIZES)]))
    assert_array_equal(rows.margins(np.asfortranarray(W)), rows.margins(W))
    assert_array_equal(rows.pulls(theta[::-1]), rows.pulls(theta[::-1].copy()))
    for kernel in (_products.dense_margins, _products.dense_pulls, _products.sparse_margins, _products.sparse_pulls):
        assert len(getattr(kernel, "signatures", [])) <= 1  # none without a compiler


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("K", [1, 2])
def test_products_with_the_weights_of_all(form, K, rng):
    X, W = rng.normal(size=(9, 4)), rng.normal(size=(3 * K, 4))
    theta = rng.normal(size=(9, 3, K) if K > 1 else (9, 3))
    rows = SharedRows(form(X), 3)
    assert_allclose(rows.margins(W), (X @ W.T).reshape(theta.shape), rtol=0, atol=1e-12)
    assert_allclose(rows.pulls(theta), theta.reshape(9, -1).T @ X, rtol=0, atol=1e-12)


# The loss of all rows


@pytest.mark.parametrize("shared", [False, True], ids=["long", "shared"])
@pytest.mark.parametrize("a_b", [0.0, 0.3, np.inf], ids=["free", "pulled", "one"])
@pytest.mark.parametrize("loss", [*ONE_COLUMN.values(), Multinomial(3)], ids=lambda loss: type(loss).__name__)
def test_descents_are_those_of_the_value(loss, a_b, shared, rng):
    rows = row_loss(loss, rng, shared, a_b=a_b)
    W, a = rng.normal(size=rows.shape), rng.normal(size=rows.n_outputs)
    at = rows.at(W, a)
    along_W = approx_fprime(W.ravel(), lambda w: rows.at(w.reshape(W.shape), a).loss, 1e-7)
    along_a = approx_fprime(a, lambda a: rows.at(W, a).loss, 1e-7)
    assert_allclose(at.down.ravel(), -along_W, rtol=1e-4, atol=1e-5)
    assert_allclose(at.pull, -along_a, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("a_b", [0.0, 0.3, np.inf], ids=["free", "pulled", "one"])
def test_one_reading_of_the_rows_finds_what_products_find(a_b, rng):
    rows = row_loss(Logistic(), rng, False, a_b=a_b)
    assert rows._in_one_reading
    for scale in (1.0, 300.0):  # probabilities of 0 and 1
        W, a = scale * rng.normal(size=rows.shape), rng.normal(size=rows.n_outputs)
        got, want = rows.at(W, a), rows.at_margins(rows.margins(W), a)
        for name in ("loss", "down", "pull", "pull_of_labels"):
            assert_allclose(getattr(got, name), getattr(want, name), rtol=1e-12, atol=1e-12 * scale)
    assert rows.at(np.full(rows.shape, np.nan), a).loss == np.inf


@pytest.mark.parametrize("shared", [False, True], ids=["long", "shared"])
@pytest.mark.parametrize("a_b", [0.0, 0.3, np.inf], ids=["free", "pulled", "one"])
@pytest.mark.parametrize("loss", [*ONE_COLUMN.values(), Multinomial(3)], ids=lambda loss: type(loss).__name__)
def test_best_intercepts_are_exact(loss, a_b, shared, rng):
    rows = row_loss(loss, rng, shared, a_b=a_b)
    margins = rows.margins(rng.normal(size=rows.shape))
    a = best_intercepts(rows, margins, np.zeros(rows.n_outputs))
    at = rows.at_margins(margins, a)
    pull = at.pull.reshape(rows.n_tasks, -1)
    pull = pull.sum(axis=0) if a_b == np.inf else pull
    many = [t for t in range(rows.n_tasks) if a_b or (rows.data.shared or SIZES[t] > 4)]
    pull = pull if a_b == np.inf else pull[many]
    assert np.abs(pull).max() <= 1e-12 * rows.weight.sum()


def test_best_intercepts_are_exact_from_nearby(rng):
    """Where rounding hides from the loss what a last step gains: a dual point must have no slope at all."""
    X, y = make_rows(rng, sizes=(20,))[0], np.arange(20) % 3
    rows = RowLoss(check_data(X, y), [Multinomial(3)], np.array([0.05]), np.ones((1, 3), dtype=bool))
    margins = 3.0 * np.eye(3)[y] + rng.normal(size=(20, 3)) + 30.0  # the same for all classes: nothing but rounding
    best = best_intercepts(rows, margins, np.zeros(3))
    for start in best + 1e-9 * rng.normal(size=(100, 3)):
        pull = rows.at_margins(margins, best_intercepts(rows, margins, start)).pull
        assert np.abs(pull).max() <= 1e-14


@pytest.mark.parametrize("size", [50.0, 600.0])
@pytest.mark.parametrize("a_b", [0.0, np.inf], ids=["free", "one"])
def test_intercepts_of_counts_are_found_down_an_exponential(a_b, size, rng):
    """Where margins are far too large a Newton step is one, whatever is left to go."""
    rows = row_loss(ONE_COLUMN["poisson"], rng, a_b=a_b)
    margins = rows.margins(size * rng.normal(size=rows.shape))
    pull = rows.at_margins(margins, best_intercepts(rows, margins, np.zeros(rows.n_outputs))).pull
    pull = pull.sum() if a_b == np.inf else pull[[t for t in range(rows.n_tasks) if SIZES[t] > 4]]
    assert np.abs(pull).max() <= 1e-10 * rows.weight.sum()


@pytest.mark.parametrize(
    "penalty",
    [SharedPlusSpecific(0.1), Temporal(0.2, alpha_ridge=0.01), TraceNorm(0.3)],
    ids=lambda p: type(p).__name__,
)
def test_tiny_steps_prove_what_others_do(penalty, rng):
    descent = RowDescent(row_loss(Logistic(), rng, fit_intercept=False), penalty)
    best = descent.start()
    descent.run(best, 1e-10 * descent.f0, 1e-10 * descent.f0, 500)
    bounds = []
    for step in (descent._step, 1e-14, 1e-30):
        descent._step = step
        progress = descent.start()
        descent.certify(progress, 1.01 * best.copies, best.a)
        bounds.append(progress.bound)
    assert max(bounds) <= best.objective
    assert_allclose(bounds[1:], bounds[0], rtol=0.01)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("loss", ONE_COLUMN)
def test_residuals_of_a_model_add_up_to_zero_however_far_features_are_off_centre(loss, shared, rng):
    """Else they are no dual point where intercepts are free."""
    rows = row_loss(ONE_COLUMN[loss], rng, shared)
    data = replace(rows.data, X=1.0 + 1e-9 * rows.data.X)
    rows = RowLoss(data, rows.losses, rows.c, rows.present.reshape(-1, 1))
    W = 1e9 * rng.normal(size=rows.shape)
    dual = ColumnModel(rows, np.zeros(rows.shape), np.zeros(rows.n_outputs), BOLD).dual(W)
    assert np.abs(dual.pull).max() <= 1e-12 * np.abs(dual.theta).sum()


def test_the_hessian_of_several_classes_is_the_slope_of_their_descent(rng):
    rows = row_loss(Multinomial(3), rng, fit_intercept=False)
    W = 0.3 * rng.normal(size=rows.shape)
    model = ClassModel(rows, W, np.zeros(rows.n_outputs))
    ahead, h = rng.normal(size=W.shape), 1e-6
    slope = (rows.at(W + h * ahead, np.zeros(rows.n_outputs)).down - rows.at(W, np.zeros(rows.n_outputs)).down) / h
    product = model.moments.times_gram(ahead.reshape(rows.n_tasks, -1))
    assert_allclose(product.ravel(), -slope.ravel(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sure", [0.3, 1.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_rows_of_few_labels_are_those_of_the_hessian(fit_intercept, sure, rng, monkeypatch):
    """Of several classes, where labels are fewer than weights; tasks lack a class, and have labels of weight 0."""
    X, task = make_rows(rng, d=26, sizes=(7, 5, 12))
    y = np.concatenate([rng.integers(4, size=7), 2 * rng.integers(2, size=5), rng.integers(4, size=12)]).astype(float)
    y[:4], y[7:9], y[12:16] = range(4), (0, 2), range(4)
    weight = np.where(np.arange(24) % 6 == 5, 0.0, rng.uniform(0.5, 2.0, size=24))
    present = np.array([[True] * 4, [True, False, True, False], [True] * 4])
    data = check_data(X, y, weight, task=task)
    rows = RowLoss(data, [Multinomial(4)] * 3, np.ones(3), present, fit_intercept=fit_intercept)
    W = sure * rng.normal(size=rows.shape)
    a = best_intercepts(rows, rows.margins(W), np.zeros(rows.n_outputs)) if fit_intercept else np.zeros(rows.n_outputs)
    model = ClassModel(rows, W, a)
    assert len(model.moments.full) == 0
    monkeypatch.setattr("skmtl.solvers._rows.models._MANY", np.inf)
    whole = ClassModel(rows, W, a)
    assert_allclose(model.moments.dense_gram(np.arange(3)), whole.moments.gram, rtol=0, atol=1e-7)
    ahead = W + rng.normal(size=W.shape)
    slope, same = (m.moments.xy - m.moments.times_gram(ahead.reshape(3, -1)) for m in (model, whole))
    assert_allclose(slope, same, rtol=0, atol=1e-7)
    assert_allclose(model.dual(ahead).down, whole.dual(ahead).down, rtol=0, atol=1e-7)


@pytest.mark.parametrize("belief", [JointFeature(0.01), Dirty(0.01, 0.01), L1(0.01)], ids=repr)
def test_several_classes_of_few_labels_take_few_steps(belief, rng):
    """Steps on the rows alone were twice as many."""
    X, task = rng.normal(size=(36, 40)), np.repeat(np.arange(3), 12)
    y = (X[:, :4] + 0.5 * rng.normal(size=(36, 4))).argmax(axis=1)
    model = MultiTaskClassifier(belief, tol=1e-9, max_iter=250).fit(X, y, task=task)
    assert model.dual_gap_ <= 1e-9 * 3 * np.log(4)


def test_features_that_cost_nothing_have_their_best_weights_in_the_model(rng):
    """Whatever the others are, it has no slope along them."""
    rows = row_loss(Multinomial(3), rng)
    W, seen = 0.3 * rng.normal(size=rows.shape), np.arange(rows.shape[1]) % 2 > 0
    a = best_intercepts(rows, rows.margins(W), np.zeros(rows.n_outputs))
    whole, model = ClassModel(rows, W, a), ClassModel(rows, W, a, seen)
    ahead = model.outputs(rng.normal(size=model.moments.xy.shape))
    flat = ahead.reshape(rows.n_tasks, -1)
    slope = (whole.moments.xy - whole.moments.times_gram(flat)).reshape(rows.n_tasks, rows.K, -1)
    assert_allclose(slope[:, :, ~seen], 0.0, atol=1e-10)
    assert_allclose(model.dual(model.inputs(ahead)).down, slope.reshape(rows.shape), rtol=0, atol=1e-10)
    left = model.moments.xy - model.moments.times_gram(model.inputs(ahead))
    assert_allclose(left, slope[:, :, seen].reshape(rows.n_tasks, -1), rtol=0, atol=1e-10)


def test_where_curvature_has_vanished_there_is_no_step(rng):
    """The inverse of 1e-307, as where a log-loss is certain of every label, is beyond the range of floats in a step."""
    H, slope = 1e-307 * np.eye(3), 100.0 * rng.normal(size=(3, 1))
    assert_array_equal(smallest_solution(H, slope), 0.0)
    assert_array_equal(pseudo_inverse(H) @ slope, 0.0)


def test_the_pseudo_inverse_bears_lengths_that_have_hardly_any_digits(rng):
    """Curvatures of labels that are told apart become as small as numbers can."""
    X = rng.normal(size=(9, 4)) * np.array([1e-157, 1e-4, 1.0, 1e4])
    inverse = pseudo_inverse(X.T @ X)
    assert np.isfinite(inverse).all()
    assert_allclose(inverse[1:, 1:], np.linalg.inv(X[:, 1:].T @ X[:, 1:]), rtol=1e-6)


@pytest.mark.parametrize("belief", [TaskRelationship, JointFeature])
def test_a_loss_that_is_linear_at_zero_gives_no_endless_first_step(belief, rng):
    """Huber's, where all labels are far off and no intercept is: there is no curvature to go by."""
    X, task = rng.normal(size=(15, 3)), np.repeat(np.arange(3), 5)
    y = 100.0 * np.sign(X[:, 0]) + X[:, 1]
    model = MultiTaskRegressor(belief(1e-3), loss=Huber(0.1), fit_intercept=False).fit(X, y, task=task)
    at_zero = 0.1 * np.abs(y).sum() - 0.5 * 0.1**2 * len(y)
    assert model.dual_gap_ <= 1e-6 * at_zero * 3 / len(y)
    assert model.coef_.any()


# One task is scikit-learn's model


def test_one_task_is_scikit_learns(rng):
    X = rng.normal(size=(80, 5))
    eta = X @ rng.normal(size=5) * 0.5 + 0.3
    counts = rng.poisson(np.exp(eta)).astype(float)
    theirs = PoissonRegressor(alpha=0.2, tol=1e-12, max_iter=10_000).fit(X, counts)
    ours = MultiTaskRegressor(Ridge(0.2), loss="poisson").fit(X, counts)
    assert_allclose(ours.coef_[0], theirs.coef_, atol=1e-6)
    assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-5)
    assert_allclose(ours.score(X, counts), theirs.score(X, counts), atol=1e-6)
    y = eta + rng.standard_t(1.5, size=80)
    theirs = HuberRegressor(alpha=0.1, tol=1e-12, max_iter=10_000).fit(X, y)
    delta = theirs.epsilon * theirs.scale_
    ours = MultiTaskRegressor(Ridge(0.1 * theirs.scale_ / 80), loss=Huber(delta)).fit(X, y)
    assert_allclose(ours.coef_[0], theirs.coef_, atol=1e-4)
    sold = (eta > rng.logistic(size=80)).astype(float)
    theirs = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000).fit(X, sold)
    ours = MultiTaskRegressor(Ridge(1 / 80), loss="logistic").fit(X, sold)
    assert_allclose(ours.predict(X), theirs.predict_proba(X)[:, 1], atol=1e-6)


# alpha_max, paths, warm starts


@pytest.mark.parametrize("penalty", [L1(), JointFeature(), TraceNorm()], ids=repr)
@pytest.mark.parametrize("loss", ["logistic", "poisson", Huber(0.5)], ids=str)
def test_alpha_max_is_where_weights_begin(penalty, loss, rng):
    X, task = make_rows(rng, sizes=(20, 15, 30))
    y = rng.integers(2, size=len(X)).astype(float)
    model = MultiTaskRegressor(penalty, loss=loss)
    largest = model.alpha_max(X, y, task=task)
    assert not model.set_params(penalty__alpha=largest * (1 - 1e-12)).fit(X, y, task=task).coef_.any()
    assert model.set_params(penalty__alpha=0.999 * largest).fit(X, y, task=task).coef_.any()


@pytest.mark.parametrize("far", [0.0, 3.0])
@pytest.mark.parametrize("loss", ["logistic", "huber", "poisson"])
def test_pooled_tasks_without_a_penalty_have_one_model(loss, far, rng):
    """That of all rows as one task, its intercept, too."""
    task = np.arange(120) % 3
    for _ in range(3):
        X = rng.normal(size=(120, 4)) + far
        y = (X - far) @ rng.normal(size=4) + rng.normal(size=120) + 0.5 * task
        y = {"logistic": y > 0, "huber": y, "poisson": np.round(np.exp(y / 4))}[loss].astype(float)
        model, one = (
            MultiTaskRegressor(Pooled(0.0), loss=loss, tol=1e-10).fit(X, y, task=ids) for ids in (task, 0 * task)
        )
        for name in ("coef_", "intercept_"):
            want = np.repeat(getattr(one, name), 3, axis=0)
            assert_allclose(getattr(model, name), want, rtol=0, atol=1e-4 * (1.0 + far))
        assert model.objective_ / 3 == pytest.approx(one.objective_, rel=1e-8)


@pytest.mark.parametrize("loss", ["logistic", "poisson", "huber"])
@pytest.mark.parametrize("belief", [SharedPlusSpecific(0.1), Clustered(0.1), Pooled(0.1)], ids=str)
@pytest.mark.parametrize("norm", [L1(5.0), JointFeature(5.0), TraceNorm(5.0)], ids=lambda p: type(p).__name__)
def test_zero_weights_are_proved_to_be_best_by_the_norm_of_a_sum(norm, belief, loss, rng):
    X, task = rng.normal(size=(60, 3)), np.arange(60) % 3
    y = (X[:, 0] + rng.normal(size=60) > 0).astype(float)
    model = MultiTaskRegressor(belief + norm, loss=loss).fit(X, y, task=task)
    assert not model.coef_.any()
    assert model.dual_gap_ <= 1e-9 * model.objective_


def test_a_path_is_the_fits_of_its_strengths(rng):
    X, task = make_rows(rng, sizes=(20, 15, 30))
    y = rng.integers(2, size=len(X))
    path = TraceNormClassifier(tol=1e-10).path(X, y, task=task, n_alphas=5, eps=0.1)
    for alpha, coef, gap in zip(path.alphas, path.coefs, path.dual_gaps, strict=True):
        model = TraceNormClassifier(alpha, tol=1e-10).fit(X, y, task=task)
        assert_allclose(coef, model.coef_, atol=1e-4)
        assert gap <= 1e-9 * len(SIZES)


def test_a_warm_start_at_the_solution_ends_at_once(rng):
    X, task = make_rows(rng, sizes=(20, 15, 30))
    model = TraceNormClassifier(0.02, warm_start=True).fit(X, rng.integers(2, size=len(X)), task=task)
    y = rng.integers(2, size=len(X))
    first = model.fit(X, y, task=task).n_iter_
    assert model.fit(X, y, task=task).n_iter_ < first


@pytest.mark.parametrize("belief", [L1, JointFeature, TraceNorm])
def test_counts_may_start_anywhere(belief, rng):
    """The curvature is looked for near the start: not where one feature's weights, moved as another's, leave exp."""
    X, task = make_rows(rng, sizes=(20, 20))
    y = rng.poisson(np.exp(X[:, 0]))
    model = MultiTaskRegressor(belief(1e-4), loss="poisson", warm_start=True)
    first = model.fit(X * [1.0, 1e4, 1.0, 1.0], y, task=task).objective_
    assert_allclose(model.fit(X * [1.0, 1e4, 1.0, 1.0], y, task=task).objective_, first, rtol=1e-5)


# Labels that say nothing


@pytest.mark.parametrize(
    "penalty",
    [
        TraceNorm(0.05),
        SharedPlusSpecific(0.1),
        TaskGraph(0.1),
        FusedTasks(0.05, graph={(0, 1): 1.0, (1, 2): 1.0}),
        Pooled(),
    ],
    ids=lambda penalty: type(penalty).__name__,
)
def test_counts_that_are_all_zero_say_nothing_of_the_weights(penalty, rng):
    X, task = make_rows(rng, sizes=(20, 15, 30))
    y = rng.poisson(1.0, size=len(X)).astype(float)
    y[task == 1] = 0.0
    model = MultiTaskRegressor(penalty, loss="poisson").fit(X, y, task=task)
    assert np.isfinite(model.coef_).all()
    predicted = model.predict(X, task=task)
    assert np.isfinite(predicted).all()
    if not isinstance(penalty, Pooled):  # which has one intercept for all
        assert predicted[task == 1].max() < 0.1


@pytest.mark.parametrize("penalty", [TaskGraph(0.1, {(0, 1): 1.0, (1, 2): 1.0}), FusedTasks(0.1, {(0, 1): 1.0})])
@pytest.mark.parametrize("label", [[0, 0, 0], [0, 1, 1], [2, 0, 1]])
def test_tasks_of_a_graph_that_have_one_class_each_are_certain_of_it(penalty, label, rng):
    X, task = make_rows(rng, sizes=(6, 4, 5))
    y = np.array(label)[task]
    model = MultiTaskClassifier(penalty).fit(X, y, task=task)
    assert not model.coef_.any()
    assert model.dual_gap_ == 0.0
    assert_array_equal(model.predict(X, task=task), y)
    assert (model.predict_proba(X, task=task).max(axis=1) > 0.98).all()


@pytest.mark.parametrize("graph", [{(0, 1): 1.0}, np.diag([1.0, 0.0], 1) + np.diag([1.0, 0.0], -1)])
@pytest.mark.parametrize(
    "penalty", [TaskGraph(0.1), FusedTasks(0.02), SharedPlusSpecific(0.1) + TaskGraph(0.1)], ids=repr
)
def test_a_task_of_one_class_that_no_edge_ties_has_the_shared_weights(penalty, graph, rng):
    X, task = make_rows(rng, sizes=(20, 15, 10))
    y = (X[:, 0] + rng.normal(size=45) > 0) | (task == 2)
    name = "b__graph" if isinstance(penalty, Sum) else "graph"
    model = MultiTaskClassifier(clone(penalty).set_params(**{name: graph}), task_weight="tasks", tol=1e-10)
    model.fit(X, y, task=task)
    assert model.coef_[2].any()
    assert_array_equal(model.coef_[2], model.shared_coef_)
    assert model.predict(X[task == 2], task=task[task == 2]).all()
    weightless = clone(model).fit(X, y, task != 2, task=task)
    assert_allclose(model.coef_, weightless.coef_, rtol=1e-10)
    assert model.objective_ == pytest.approx(weightless.objective_, rel=1e-12)
    assert weightless.intercept_[2] == weightless.shared_intercept_


@pytest.mark.parametrize("penalty", [TraceNorm(0.1), TaskGraph(0.1, {(0, 1): 1.0, (1, 2): 1.0})], ids=repr)
def test_a_task_without_labels_beside_tasks_of_one_class_has_the_shared_model(penalty, rng):
    X, task = make_rows(rng, sizes=(6, 4, 5))
    model = MultiTaskClassifier(penalty).fit(X, task == 0, task != 2, task=task)
    assert not model.coef_.any()
    assert model.intercept_[2] == model.shared_intercept_ != 0.0


# Mixed losses


def test_each_task_has_its_own_loss_and_units(rng):
    X = rng.normal(size=(60, 3))
    eta = X @ rng.normal(size=3)
    Y = np.column_stack([eta + rng.normal(size=60), eta > rng.logistic(size=60), rng.poisson(np.exp(0.5 * eta))])
    losses = {0: "squared", 1: "logistic", 2: "poisson"}
    mixed = MultiTaskRegressor(SharedPlusSpecific(0.1), loss=losses).fit(X, Y)
    predicted = mixed.predict(X)
    decision = X @ mixed.coef_.T + mixed.intercept_
    assert_allclose(predicted[:, 0], decision[:, 0])
    assert_allclose(predicted[:, 1], 1.0 / (1.0 + np.exp(-decision[:, 1])))
    assert_allclose(predicted[:, 2], np.exp(decision[:, 2]))
    scores = mixed.task_scores(X, Y)
    assert list(scores) == [0, 1, 2]
    assert_allclose(mixed.score(X, Y), np.mean(list(scores.values())))
    long, rows = np.repeat(X, 3, axis=0), np.tile(np.arange(3), 60)
    same = MultiTaskRegressor(SharedPlusSpecific(0.1), loss=losses).fit(long, Y.ravel(), task=rows)
    assert_allclose(same.coef_, mixed.coef_, rtol=0, atol=1e-9)
    assert_allclose(same.predict(long, task=rows), predicted.ravel(), rtol=0, atol=1e-8)
    assert_allclose(
        list(same.task_scores(long, Y.ravel(), task=rows).values()), list(scores.values()), rtol=0, atol=1e-8
    )


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        ({0: "squared"}, [0, 1, 1, 0], "no loss for the tasks 1"),
        ({0: "squared", 1: "squared", 7: "poisson"}, [0, 1, 1, 0], "unknown tasks: 7"),
        ("logistic", [0, 2, 1, 0], "labels 0 and 1. Got y=2 for task 0.$"),
        ("poisson", [0, 2, 1, -1], "labels >= 0. Got y=-1 for task 1.$"),
        ("hinge", [0, 1, 1, 0], "The 'loss' parameter"),
        (Multinomial(3), [0, 1, 1, 0], "MultiTaskClassifier"),
        (Huber(delta=-1.0), [0, 1, 1, 0], "The 'delta' parameter of Huber"),
    ],
)
def test_a_loss_that_does_not_fit_is_named(loss, y, message):
    with pytest.raises(ValueError, match=message):
        MultiTaskRegressor(loss=loss).fit(np.eye(4), np.array(y, dtype=float), task=[0, 0, 1, 1])


@pytest.mark.parametrize("loss", ["poisson", "logistic", {"p": "logistic", "q": "poisson", "r": "huber"}], ids=str)
def test_scores_by_any_loss_take_labels_and_weights_as_fits_do(loss, rng):
    X, Y = rng.normal(size=(30, 4)), pd.DataFrame(rng.integers(2, size=(30, 3)), columns=["p", "q", "r"])
    model, weight = MultiTaskRegressor(loss=loss).fit(X, Y), rng.integers(2, size=Y.shape)
    Y.iloc[:, 0] = weight[:, 0]  # the only labels that count are ones, which tell nothing
    absent = Y.astype(float).where(weight > 0)
    assert_array_equal(list(model.task_scores(X, Y, weight).values()), list(model.task_scores(X, absent).values()))
    assert_allclose(model.score(X, Y, weight), model.score(X, absent))
    for y, w, message in [
        (Y[["r", "q", "p"]], None, "in the order of fit, 'p', 'q', 'r'. Got 'r', 'q', 'p'"),
        (Y["p"], None, "one column per task, 3 as in fit"),
        (Y, -weight, "Negative values in sample_weight"),
        (Y, np.full(Y.shape, 1e308), "The sum of sample_weight is infinite"),
        (Y, weight / np.where(weight, 1.0, np.nan), "contains NaN"),
        (Y, np.ones(29), "sample_weight must have shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.score(X, y, w)


def test_a_missing_label_of_a_long_table_is_refused_by_every_score(rng):
    X, task = make_rows(rng)
    y = rng.integers(3, size=len(X)).astype(float)
    model = MultiTaskRegressor(loss="poisson").fit(X, y, task=task)
    assert_allclose(model.score(X, y[:, None], task=task), model.score(X, y, task=task))
    with pytest.raises(ValueError, match="contains NaN, first in row 0"):
        model.score(X, np.r_[np.nan, y[1:]], task=task)
    one = MultiTaskRegressor(loss="poisson").fit(X, y[:, None])
    assert one.score(X, y) == one.score(X, y[:, None])


def test_an_unknown_task_has_no_loss_among_several(rng):
    X, task = make_rows(rng, sizes=(9, 9))
    y = rng.integers(2, size=18).astype(float)
    model = MultiTaskRegressor(loss={0: "squared", 1: "logistic"}, unknown_task="shared").fit(X, y, task=task)
    with pytest.raises(ValueError, match="different losses"):
        model.predict(X, task=[7] * 18)


@pytest.mark.parametrize("task_1", [{}, {1: "poisson"}])
def test_a_task_without_rows_may_have_a_loss_among_several(task_1, rng):
    X, task = make_rows(rng, sizes=(9, 9))
    y, task = rng.integers(2, size=18).astype(float), 2 * task
    penalty = TaskGraph(0.1, {(0, 1): 1.0, (1, 2): 1.0}, alpha_ridge=0.1)
    model = MultiTaskRegressor(penalty, loss={0: "squared", 2: "logistic"} | task_1).fit(X, y, task=task)
    eta = (X * model.coef_[task]).sum(axis=1) + model.intercept_[task]
    assert_allclose(model.predict(X, task=task), np.where(task == 2, expit(eta), eta), rtol=1e-12)
    assert list(model.task_scores(X, y, task=task)) == [0, 2]
    assert np.isnan(model.task_scores(X, y, task=[1] * 18)[1]) == (not task_1)
    if task_1:
        assert_allclose(model.predict(X, task=[1] * 18), np.exp(X @ model.coef_[1] + model.intercept_[1]), rtol=1e-12)
    else:
        with pytest.raises(ValueError, match="names none for 1"):
            model.predict(X, task=[1] * 18)


@pytest.mark.parametrize("loss", ["huber", {0: "huber", 2: "huber"}], ids=["one", "a dict"])
def test_a_task_without_rows_has_the_loss_of_all_others(loss, rng):
    X, task = make_rows(rng, sizes=(9, 9))
    y = rng.normal(size=18)
    model = MultiTaskRegressor(TaskGraph(0.1, {(0, 1): 1.0, (1, 2): 1.0}), loss=loss).fit(X, y, task=2 * task)
    assert [*map(repr, model.losses_)] == ["Huber()"] * 3
    assert np.isfinite(model.predict(X, task=[1] * 18)).all()
    assert list(model.task_scores(X, y, task=2 * task)) == [0, 2]


# Sparse and wide rows


def test_a_step_that_no_memory_holds_is_refused_with_advice(rng, monkeypatch):
    X, task = sparse.random_array((60, 400), density=0.05, rng=rng, format="csr"), np.arange(60) % 3
    monkeypatch.setattr(levelling, "_MOST", 399**2)
    y, chain = rng.normal(size=60), {(0, 1): 1.0, (1, 2): 1.0}
    with pytest.raises(MemoryError, match=r"nothing in 400 features.*Set alpha_ridge > 0"):
        MultiTaskRegressor(FusedTasks(0.01, chain), loss="huber").fit(X, y, task=task)
    assert MultiTaskRegressor(FusedTasks(0.01, chain, alpha_ridge=0.01), loss="huber").fit(X, y, task=task).n_iter_ > 0


def test_wide_sparse_rows_are_solved_as_they_are(rng):
    X = rng.normal(size=(60, 400)) * (rng.random((60, 400)) < 0.1)
    task, y = rng.integers(3, size=60), rng.integers(2, size=60)
    for penalty in (TraceNorm(0.01), SharedPlusSpecific(0.1), JointFeature(0.02)):
        dense = MultiTaskClassifier(penalty, tol=1e-10).fit(X, y, task=task)
        thin = MultiTaskClassifier(penalty, tol=1e-10).fit(sparse.csc_array(X), y, task=task)
        assert_allclose(thin.objective_, dense.objective_, rtol=1e-9)
        assert_allclose(
            thin.predict_proba(sparse.coo_array(X), task=task), dense.predict_proba(X, task=task), atol=1e-4
        )
        assert_array_equal(thin.tasks_, dense.tasks_)


# Several classes


def test_a_class_that_is_hardly_ever_right_has_a_hessian_of_its_own(rng):
    rows = row_loss(Multinomial(3), rng)
    p, _ = rows.probabilities(rng.normal(size=rows.shape), np.tile([0.0, 1.0, -30.0], rows.n_tasks))
    for t in range(rows.n_tasks):
        H, _ = ClassCurvature(rows, p).of_weights(t)
        X, s, p_t = rows.block(t, p)
        w = s * p_t[:, 2]  # 1e-13 of the others: it sees none of them
        X = X - w @ X / w.sum()
        assert_allclose(H[8:, 8:], X.T @ (w[:, None] * X), rtol=1e-3, atol=1e-3 * w.sum())


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("penalty", [Clustered(0.1), TaskRelationship(0.1), FusedTasks(0.1), Temporal(0.1)], ids=repr)
def test_a_feature_that_never_varies_is_left_to_the_intercepts(penalty, n_classes, rng):
    """The rounding of its mean is no gradient."""
    task, y = np.repeat(np.arange(3), 15), np.tile(np.arange(15) % n_classes, 3)
    y = np.where(rng.random(45) < 0.3, 0, y)
    for shift in ([3.7, 3.7, 3.7], [0.1, 0.2, 0.7], [1.0, 1.0, 1.0]):
        X = np.array(shift)[task][:, None]
        model = MultiTaskClassifier(penalty).fit(X, y, task=task)
        assert not model.coef_.any()
        shares = [np.bincount(y[task == t], minlength=n_classes) / 15 for t in range(3)]
        assert_allclose(model.predict_proba(X, task=task)[::15], shares, atol=1e-6)
        assert 0.0 <= model.dual_gap_ <= 1e-6


def test_classes_that_are_nearly_certain_have_a_hessian_without_negative_curvature(rng):
    """Where p is 1 but for 1e-13, the difference to 1 has three digits."""
    rows = row_loss(Multinomial(3), rng)
    p, _ = rows.probabilities(0.1 * rng.normal(size=rows.shape), np.tile([0.0, 30.0, -30.0], rows.n_tasks))
    for t in range(rows.n_tasks):
        curvatures = np.linalg.eigvalsh(ClassCurvature(rows, p).of_weights(t)[0])
        assert curvatures[0] >= -1e-13 * curvatures[-1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_classes_that_are_told_apart_are_fused(seed):
    rng = np.random.default_rng(seed)
    X, task = rng.normal(size=(90, 4)), rng.integers(3, size=90)
    y = np.digitize(X @ [0.5, -0.3, 0.2, 0.0], [-0.3, 0.3])
    model = FusedTasksClassifier(0.05).fit(1e6 * X, y, task=task)
    assert model.dual_gap_ <= 1e-6 * 3 * np.log(3.0)


@pytest.mark.parametrize("seed", [2, 14, 39])
def test_models_are_solved_exactly_though_nothing_is_proved_yet(seed):
    """Where the bound is 0 the gap is the whole objective, and no measure of how exact the next model has to be."""
    rng = np.random.default_rng(seed)
    lengths, task = 10.0 ** rng.uniform(-4, 4, size=30), np.repeat(np.arange(3), [23, 20, 21])
    X = rng.normal(size=(64, 30)) * lengths
    y = (X / lengths) @ rng.normal(size=30) + rng.logistic(size=64) > 0
    strongest = JointFeatureClassifier().alpha_max(X, y, task=task)
    model = FusedTasksClassifier(0.01 * strongest, graph=[(0, 1), (1, 2)]).fit(X, y, task=task)
    assert model.n_iter_ < 100


@pytest.mark.parametrize("penalty", [TraceNorm() + L1(0.001), TraceNorm() + JointFeature(0.003) + L1(0.001)], ids=repr)
def test_sums_of_what_sees_classes_take_few_steps(penalty, rng):
    X, task = make_rows(rng, sizes=(40, 30, 50))
    y = np.argmax(X[:, :3] + rng.normal(size=(len(X), 3)), axis=1)
    model = MultiTaskClassifier(penalty, tol=1e-8).fit(X * [1e-2, 1.0, 1.0, 1e2], y, task=task)
    assert model.coef_.any()
    assert model.n_iter_ <= 50
    assert model.dual_gap_ <= 1e-8 * 3 * np.log(3.0)


@pytest.mark.parametrize("penalty", [SharedPlusSpecific(0.1), FusedTasks(0.1, alpha_ridge=0.1)], ids=repr)
def test_many_classes_have_no_model_where_steps_on_the_rows_are_quick(penalty, rng, monkeypatch):
    """Each would have two matrices of 384 x 384 to factorise, for 80 rows of 32 features."""
    X, task = make_rows(rng, d=32, sizes=(40, 40))
    y = np.argmax(X[:, :12] + rng.normal(size=(80, 12)), axis=1)
    y[:12] = y[40:52] = np.arange(12)
    monkeypatch.setattr("skmtl.solvers._rows.newton_steps.ClassModel", None)
    model = MultiTaskClassifier(penalty).fit(X, y, task=task)
    assert model.dual_gap_ <= (1e-12 if isinstance(penalty, SharedPlusSpecific) else 1e-6) * 2 * np.log(12.0)


def test_many_classes_have_a_model_where_steps_on_the_rows_are_slow(rng):
    """Columns of 1e-3 to 1e3: after some steps Newton's solve the rest."""
    X, task = make_rows(rng, d=32, sizes=(40, 40))
    y = np.argmax(X[:, :12] + rng.normal(size=(80, 12)), axis=1)
    y[:12] = y[40:52] = np.arange(12)
    model = MultiTaskClassifier(Ridge(0.01)).fit(X * np.geomspace(1e-3, 1e3, 32), y, task=task)
    assert model.n_iter_ < 600
    assert model.dual_gap_ <= 1e-12 * 2 * np.log(12.0)
