"""The networks: gradients against central differences, weights against scikit-learn's, layouts, training, contract."""

import copy
import os
import pickle
import signal
import threading
import time
import tracemalloc
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, d2_tweedie_score, f1_score, mean_squared_error, r2_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import skmtl.neural._layout
import skmtl.neural._training
from skmtl.neural import MultiTaskMLP, MultiTaskMLPClassifier, MultiTaskMLPRegressor, distill
from skmtl.neural._fitted import FittedNetwork
from skmtl.neural._forward import outputs
from skmtl.neural._math import multiply
from skmtl.neural._problem import State
from skmtl.neural._reading import Given
from skmtl.neural._table import Table
from skmtl.neural._training import Epochs
from skmtl.preprocessing import to_long

ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
ALL_KINDS = {
    "price": "regression",
    "time": "huber",
    "visits": "poisson",
    "kind": "classification",
    "sold": "classification",
    "tags": "multilabel",
}
each_activation = pytest.mark.parametrize("activation", ACTIVATIONS)


def mixed(rng, n=30, d=3):
    """Rows, labels of all kinds with a fifth missing, a task that few rows have, and weights of rows."""
    X = rng.normal(size=(n, d))
    s = X @ rng.normal(size=d)
    Y = {
        "price": 100 + 10 * np.column_stack([s, s**2]),
        "time": s + rng.standard_t(2, size=n),
        "visits": rng.poisson(np.exp(0.3 * s)).astype(float),
        "kind": np.array(["a", "b", "c"], dtype=object)[(s > 0).astype(int) + (X[:, 0] > 0)],
        "sold": (s > 0).astype(float),
        "tags": (X[:, :2] > 0).astype(float),
    }
    for name, y in Y.items():
        y[rng.random(y.shape) < 0.2] = None if name == "kind" else np.nan
    Y["sold"][2:] = np.nan
    Y["sold"][:2] = [0.0, 1.0]
    return X, Y, rng.uniform(0.5, 2.0, size=n)


def posed(model, X, Y, weight=None, **data):
    """A fit that has not begun."""
    problem, _ = copy.copy(model)._pose(Given(X, Y, weight, data.get("task")))
    (dtype,) = {part.dtype for part in problem.table.inputs}
    return Epochs(problem, State.new(problem.architecture, np.random.RandomState(0), dtype), None)


def central_differences(epochs, value):
    """With the smaller of two steps where they disagree: the larger one may cross a kink of relu's or Huber's."""
    theta, slopes = epochs.state.theta, []
    for p in range(theta.size):
        at, found = theta[p], []
        for step in (1e-5, 1e-6):
            theta[p] = at + step
            above = value()
            theta[p] = at - step
            found.append((above - value()) / (2 * step))
        theta[p] = at
        slopes.append(found[int(abs(found[1] - found[0]) > 2e-8)])
    return np.array(slopes)


def agree(analytic, numeric):
    assert_allclose(analytic, numeric, rtol=0, atol=1e-7 * max(1.0, np.abs(numeric).max()))


SHAPES = {
    "shared": {},
    "shared, private behind": {"private_layer_sizes": (3,)},
    "private": {"sharing": "private"},
    "private, private behind": {"sharing": "private", "private_layer_sizes": (3, 2)},
    "soft": {"sharing": "soft", "alpha_soft": 0.7},
    "own features": {"features": True},
    "own features, private behind": {"features": True, "private_layer_sizes": (3,)},
    "own features, soft": {"features": True, "sharing": "soft", "alpha_soft": 0.7},
}


def network(shape, **parameters):
    options = dict(SHAPES[shape])
    if options.get("features"):
        options["features"] = {name: [0, 1] if k % 2 else [0, 1, 2] for k, name in enumerate(ALL_KINDS)}
    settings = {"solver": "lbfgs", "alpha": 0.3, "delta": 0.5}
    return MultiTaskMLP(ALL_KINDS, (5, 4), **{**settings, **options, **parameters})


# ----------------------------------------------------------------------------------------------------- gradients


@each_activation
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_of_all_heads_are_central_differences(shape, activation, rng):
    X, Y, weight = mixed(rng)
    epochs = posed(network(shape, activation=activation), X, Y, weight)
    agree(epochs.differentiate()[1], central_differences(epochs, lambda: epochs.differentiate()[0]))


@pytest.mark.parametrize("shape", ["shared", "soft"])
def test_gradients_where_rows_belong_to_tasks_are_central_differences(shape, rng):
    X = rng.normal(size=(30, 3))
    task = rng.choice(["price", "kind", "visits"], size=30)
    y = rng.poisson(2.0, size=30).astype(object)
    y[task == "kind"] = rng.choice(["a", "b", "c"], size=(task == "kind").sum())
    heads = {name: ALL_KINDS[name] for name in ("price", "kind", "visits")}
    model = network(shape, activation="tanh").set_params(heads=heads)
    epochs = posed(model, X, y, rng.uniform(0.5, 2, 30), task=task)
    agree(epochs.differentiate()[1], central_differences(epochs, lambda: epochs.differentiate()[0]))


def test_the_gradient_of_a_distilled_head_is_its_central_differences(rng):
    X = rng.normal(size=(30, 3))
    teacher = LogisticRegression().fit(X, np.digitize(X[:, 0], [-0.5, 0.5]))
    model = MultiTaskMLP({"a": distill(teacher, 3.0), "b": "regression"}, (4,), activation="tanh", solver="lbfgs")
    epochs = posed(model, X, {"b": X[:, 1]})
    agree(epochs.differentiate()[1], central_differences(epochs, lambda: epochs.differentiate()[0]))


@pytest.mark.parametrize("shape", ["shared", "shared, private behind", "own features", "own features, private behind"])
def test_the_gradient_of_every_task_is_its_central_differences(shape, rng):
    """What gradient-based weights are made of, and with weights of one what they add up to."""
    X, Y, weight = mixed(rng)
    model = network(
        shape, activation="tanh", solver="adam", task_weight="imtl", alpha=0.0, batch_size=30, shuffle=False
    )
    epochs = posed(model, X, Y, weight)
    epochs.differentiate()
    jacobian, grad = epochs.training.jacobian.reshape(len(ALL_KINDS), -1).copy(), epochs.buffers.grad.copy()
    n_shared = jacobian.shape[1]
    assert n_shared > 10

    def loss_of(t):
        def value():
            epochs.differentiate()
            return epochs.training.losses[t]

        return value

    slopes = np.array([central_differences(epochs, loss_of(t)) for t in range(len(ALL_KINDS))])
    agree(jacobian, slopes[:, :n_shared])
    agree(grad[n_shared:], slopes[:, n_shared:].sum(axis=0))
    epochs.differentiate()
    agree(epochs.buffers.grad[:n_shared], epochs.training.weight @ slopes[:, :n_shared])


def test_dropout_is_undone_in_the_gradient(rng):
    X, Y, _ = mixed(rng)
    for activation in ("tanh", "relu", "logistic"):
        model = network("shared", activation=activation, solver="adam", dropout=0.4, batch_size=30, shuffle=False)
        epochs = posed(model, X, Y)
        seed = epochs.state.random.copy()

        def value(epochs=epochs, seed=seed):
            epochs.state.random[:] = seed  # the same units are dropped
            return epochs.differentiate()[0]

        value()
        agree(epochs.buffers.grad.copy(), central_differences(epochs, value))


def test_prediction_and_training_compute_the_same_outputs(rng):
    X, Y, _ = mixed(rng)
    for shape in SHAPES:
        epochs = posed(network(shape, alpha=0.0, alpha_soft=0.0, activation="logistic"), X, Y)
        total, _ = epochs.differentiate()
        problem, theta = epochs.problem, epochs.state.theta
        inputs = [problem.table.inputs[t if len(problem.table.inputs) > 1 else 0] for t in range(6)]
        shared = problem.table.pairs is None
        answers = outputs(problem.architecture, theta, inputs[0] if shared else inputs)
        o, y = answers[5], Y["tags"]
        known = ~np.isnan(y)
        loss = (np.logaddexp(0, o) - np.nan_to_num(y) * o)[known].mean()
        assert_allclose(epochs.training.losses[5], loss, rtol=1e-12)
        assert_allclose(total, epochs.training.losses.sum(), rtol=1e-12)


# --------------------------------------------------------------------------------------------- against scikit-learn


def parity(theirs, ours):
    pairs = zip(theirs.coefs_ + theirs.intercepts_, ours.coefs_ + ours.intercepts_, strict=True)
    for a, b in pairs:
        assert_allclose(b, a, rtol=0, atol=1e-12)
    assert_allclose(ours.loss_, theirs.loss_, rtol=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@each_activation
@pytest.mark.parametrize(
    "options",
    [
        {"solver": "adam", "batch_size": 60},
        {"solver": "sgd", "batch_size": 60},
        {"solver": "sgd", "nesterovs_momentum": False, "batch_size": 60},
        {"solver": "adam", "batch_size": 17},
    ],
    ids=str,
)
def test_thirty_steps_from_the_same_seed_are_those_of_scikit_learn(activation, options, rng):
    X = rng.normal(size=(60, 5))
    y = X[:, 0] * X[:, 1] + np.sin(X[:, 2])
    settings = {"hidden_layer_sizes": (12, 7), "activation": activation, "alpha": 0.1, "max_iter": 30, "tol": 0}
    settings |= {"shuffle": False, "random_state": 3, "n_iter_no_change": 100, **options}
    ours = MultiTaskMLPRegressor(standardize_y=False, **settings).fit(X, y)
    parity(MLPRegressor(**settings).fit(X, y), ours)
    for labels in (y > 0, np.digitize(y, [-0.5, 0.5])):
        theirs, ours = MLPClassifier(**settings).fit(X, labels), MultiTaskMLPClassifier(**settings).fit(X, labels)
        parity(theirs, ours)
        assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("sharing", ["shared", "private"])
@pytest.mark.parametrize("small", [1, 300, 3000])
def test_products_by_blocks_are_products(small, sharing, monkeypatch, rng):
    """Layers of 3 to 40 columns, in blocks of 4 rows or more, of a product in two, and as a whole."""
    X = rng.normal(size=(70, 3))
    Y = X @ rng.normal(size=(3, 2))
    Y[rng.random(Y.shape) < 0.2] = np.nan
    model = MultiTaskMLPRegressor((40, 5), private_layer_sizes=(7,), sharing=sharing, max_iter=3, tol=0, random_state=0)
    model.set_params(batch_size=50)
    fits = []
    for limit in (0, small):
        monkeypatch.setattr(skmtl.neural._layout, "small_product", lambda limit=limit: limit)
        fits.append(clone(model).fit(X, Y))
    assert_allclose(fits[1].predict(X), fits[0].predict(X), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("left", [0, 1])
@pytest.mark.parametrize("right", [0, 1])
def test_any_blocks_give_the_product(left, right, rng):
    special = [60, 24, 32], [0, 3, 2], [3, 2, 0], [9, 100, 70], [9, 128, 70], [5, 1024, 50]
    for m, n, k in [*rng.integers(1, 70, size=(30, 3)).tolist(), *special]:
        A, B, C = rng.normal(size=(m, k)), rng.normal(size=(k, n)), rng.normal(size=(m, n))
        flat = [np.ascontiguousarray(M.T if turned else M).ravel() for M, turned in ((A, left), (B, right))]
        for small in (0, 4 * n * k, 13 * n * k, 10**6):
            for beta in (0.0, 1.0):
                out = C.ravel().copy()
                steps = m if left else k, k if right else n
                multiply(small, left, right, m, n, k, flat[0], 0, steps[0], flat[1], 0, steps[1], beta, out, 0, n)
                assert_allclose(out.reshape(m, n), A @ B + beta * C, rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_weights_can_be_set_before_a_fit(rng):
    """From scikit-learn's initial weights, whatever ours were: `coefs_` are views."""
    X = rng.normal(size=(50, 4))
    y = X[:, 0] * X[:, 1]
    settings = {"hidden_layer_sizes": (9,), "alpha": 0.1, "max_iter": 30, "tol": 0, "n_iter_no_change": 99}
    settings |= {"shuffle": False, "batch_size": 50}
    theirs = MLPRegressor(random_state=1, **settings)
    start = MLPRegressor(random_state=1, **settings | {"max_iter": 1, "learning_rate_init": 1e-300}).fit(X, y)
    ours = MultiTaskMLPRegressor(standardize_y=False, random_state=8, warm_start=True, **settings).initialize(X, y)
    for mine, initial in zip(ours.coefs_ + ours.intercepts_, start.coefs_ + start.intercepts_, strict=True):
        mine[:] = initial
    parity(theirs.fit(X, y), ours.fit(X, y))
    others = MultiTaskMLPClassifier(**settings).fit(X, np.where(y > 0, "u", "v")).initialize(X, X > 0)  # a new one
    assert_array_equal(others.classes_, [[False, True]] * 4)


@parametrize_with_checks([MultiTaskMLPRegressor(), MultiTaskMLPClassifier()])
def test_scikit_learn_accepts_them(estimator, check):
    check(estimator)


@pytest.mark.parametrize("Network", [MultiTaskMLPRegressor, MultiTaskMLPClassifier, MultiTaskMLP])
def test_what_takes_no_steps_has_no_partial_fit(Network):
    """As scikit-learn's networks: learning_curve and others ask whether there is one."""
    assert hasattr(Network(), "partial_fit")
    assert not hasattr(Network(solver="lbfgs"), "partial_fit")
    with pytest.raises(AttributeError, match="no attribute 'partial_fit'") as caught:
        Network(solver="lbfgs").partial_fit([[1.0]], [1.0])
    assert "all rows at once" in str(caught.value.__cause__)


def test_one_row_is_too_few_to_hold_some_out():
    """In the words that check_fit2d_1sample looks for."""
    with pytest.raises(ValueError, match="of n_samples=1 leaves none to validate on"):
        MultiTaskMLPRegressor(early_stopping=True).fit([[1.0, 2.0]], [3.0])


@parametrize_with_checks([MultiTaskMLPRegressor(max_iter=60), MultiTaskMLPClassifier(max_iter=60)])
def test_scikit_learn_accepts_them_with_routing(estimator, check):
    with sklearn.config_context(enable_metadata_routing=True):
        if "train" not in str(check):
            check(estimator)


def test_a_network_is_tuned_in_a_pipeline(rng):
    X = rng.normal(size=(90, 3))
    y = np.sin(X[:, 0])
    pipeline = make_pipeline(StandardScaler(), MultiTaskMLPRegressor((8,), max_iter=20, random_state=0))
    grid = {"multitaskmlpregressor__alpha": [1e-4, 1.0], "multitaskmlpregressor__activation": ["relu", "tanh"]}
    search = GridSearchCV(pipeline, grid, cv=KFold(3), error_score="raise").fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# ---------------------------------------------------------------------------------------------------------- layouts


def columns(rng, n=120):
    X = rng.normal(size=(n, 3))
    Y = np.column_stack([X[:, 0] * X[:, 1], np.abs(X[:, 2]), X.sum(axis=1)])
    Y[rng.random(Y.shape) < 0.25] = np.nan
    return X, Y


def full_batch(**options):
    settings = {"batch_size": 10**6, "max_iter": 60, "tol": 0, "n_iter_no_change": 99, "random_state": 0}
    return MultiTaskMLPRegressor((10,), **settings | options)


def test_wide_and_long_labels_give_the_same_network(rng):
    X, Y = columns(rng)
    wide = full_batch().fit(X, Y)
    XL, y, _ = to_long(X, Y)
    long = full_batch(task=-1).fit(
        np.column_stack([XL.drop(columns="task"), XL["task"]]) if hasattr(XL, "drop") else XL, y
    )
    for a, b in zip(wide.coefs_, long.coefs_, strict=True):
        assert_allclose(b, a, rtol=1e-9, atol=1e-11)


def test_ids_beside_x_and_in_a_column_are_the_same(rng):
    X, ids = rng.normal(size=(60, 3)), rng.choice(list("abc"), size=60)
    y = X[:, 0]
    frame = pd.DataFrame(X, columns=["u", "v", "w"]).assign(task=ids)
    beside, inside = full_batch().fit(X, y, task=ids), full_batch(task="task").fit(frame, y)
    assert_array_equal(beside.predict(X, task=ids), inside.predict(frame))


def test_tasks_with_an_x_each_are_those_of_columns_each(rng):
    """Own input weights into shared units, from a dict and from `features`, in every layout."""
    X, Y = rng.normal(size=(60, 4)), rng.normal(size=(60, 2))
    features = {0: [0, 1], 1: [1, 2, 3]}
    apart = full_batch().fit({t: (X[:, features[t]], Y[:, t]) for t in (0, 1)})
    assert set(apart.coefs_[0]) == {0, 1}
    assert apart.intercepts_[0].shape == (10,)
    wide = full_batch(features=features).fit(X, Y)
    long = full_batch(features=features).fit(np.vstack([X, X]), Y.T.ravel(), task=np.repeat([0, 1], 60))
    for t in (0, 1):
        answer = apart.predict({t: X[:, features[t]]})[t]
        assert_allclose(wide.predict(X)[:, t], answer, rtol=1e-9, atol=1e-11)
        assert_allclose(long.predict(X, task=np.full(60, t)), answer, rtol=1e-9, atol=1e-11)


def test_private_trunks_are_networks_of_their_own(rng):
    """One step with private trunks is a step of each task's own network, as in the hand-worked example."""
    X, Y = columns(rng)
    joint = full_batch(sharing="private", alpha=0.0, standardize_y=False, max_iter=1).fit(X, Y)
    for t in range(3):
        rows = ~np.isnan(Y[:, t])
        alone = full_batch(alpha=0.0, standardize_y=False, warm_start=True, max_iter=1).initialize(X[rows], Y[rows, t])
        start = full_batch(sharing="private", alpha=0.0, standardize_y=False).initialize(X, Y)
        for (W, b), (V, c) in zip(alone.task_layers(0), start.task_layers(t), strict=True):
            W[:], b[:] = V, c
        alone.fit(X[rows], Y[rows, t])
        for (W, b), (V, c) in zip(alone.task_layers(0), joint.task_layers(t), strict=True):
            assert_allclose(W, V, rtol=0, atol=1e-12)
            assert_allclose(b, c, rtol=0, atol=1e-12)


def test_soft_sharing_goes_from_private_to_shared(rng):
    X, Y = columns(rng)
    spread = []
    for strength in (0.0, 1.0, 100.0):
        model = full_batch(sharing="soft", alpha_soft=strength, solver="lbfgs", max_iter=200, activation="tanh")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X, Y)
        first = np.stack(list(model.coefs_[0].values()))
        spread.append(np.abs(first - first.mean(axis=0)).max())
    assert spread[0] > 10 * spread[1] > 10 * spread[2]


def test_shapes_of_predictions_follow_y(rng):
    X, Y = columns(rng)
    assert full_batch().fit(X, Y).predict(X).shape == Y.shape
    assert full_batch().fit(X, Y[:, :1]).predict(X).shape == (len(X), 1)
    assert full_batch().fit(X, X[:, 0]).predict(X).shape == (len(X),)


@pytest.mark.parametrize("loss", ["squared", "huber", "poisson"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_type_of_predictions_follows_x(dtype, loss, rng):
    X = rng.normal(size=(30, 3)).astype(dtype)
    model = MultiTaskMLPRegressor((4,), loss=loss, max_iter=2, random_state=0).fit(X, 1e6 * rng.uniform(size=(30, 2)))
    predicted = model.predict(np.vstack([X, 1e30 * X]).astype(dtype))
    assert predicted.dtype == dtype
    assert np.isfinite(predicted).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_type_follows_x(dtype, rng):
    X, Y = columns(rng)
    model = full_batch().fit(X.astype(dtype), Y)
    assert {W.dtype for W in model.coefs_} == {np.dtype(dtype)}
    assert model.predict(X.astype(dtype)).dtype == dtype


def test_classes_of_any_type_and_of_other_sets_for_every_task(rng):
    X = rng.normal(size=(150, 3))
    Y = np.empty((150, 3), dtype=object)
    Y[:, 0] = np.array(["lo", "mid", "hi"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    Y[:, 1] = np.where(X[:, 1] > 0, "yes", "no")
    Y[:, 2] = "same"
    Y[::7, 0] = None
    model = MultiTaskMLPClassifier((20,), max_iter=300, random_state=0).fit(X, Y)
    assert [len(c) for c in model.classes_] == [3, 2, 1]
    proba = model.predict_proba(X)
    assert [p.shape[1] for p in proba] == [3, 2, 1]
    for p in proba:
        assert_allclose(p.sum(axis=1), 1.0)
    assert model.score(X, Y) > 0.9
    assert set(model.predict(X)[:, 2]) == {"same"}


def test_unknown_tasks_get_the_mean_over_tasks(rng):
    X, ids = rng.normal(size=(60, 3)), rng.choice(list("abc"), size=60)
    model = full_batch(unknown_task="shared").fit(X, X[:, 0], task=ids)
    each = np.mean([model.predict(X, task=np.full(60, t)) for t in "abc"], axis=0)
    assert_allclose(model.predict(X, task=np.full(60, "z")), each, rtol=1e-12)
    model.set_params(unknown_task="error")
    with pytest.raises(ValueError, match="unknown task"):
        model.predict(X, task=np.full(60, "z"))


def most_memory(function):
    """What a function returns, and the bytes that it takes at most."""
    tracemalloc.start()
    try:
        return function(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_grows_with_tasks_and_not_with_pairs_of_them(rng):
    X, model = rng.normal(size=(4000, 2)), MultiTaskMLPRegressor((4,), max_iter=1)
    _, most = most_memory(lambda: model.fit(X, X[:, 0], task=np.arange(4000) // 2))
    assert most < 30e6  # 128 MB for four numbers a pair


def test_rows_of_unknown_tasks_are_not_copied_for_every_task(rng):
    X, ids = rng.normal(size=(400, 50)), np.arange(400) % 200
    model = MultiTaskMLPRegressor((4,), max_iter=1, unknown_task="shared").fit(X, X[:, 0], task=ids)
    new = rng.normal(size=(2000, 50))
    predicted, most = most_memory(lambda: model.predict(new, task=np.full(2000, -1)))
    assert most < 30e6  # 160 MB with copies
    each = [model.predict(new[:3], task=np.full(3, t)) for t in range(200)]
    assert_allclose(predicted[:3], np.mean(each, axis=0))


def test_a_weight_of_two_is_the_row_twice_and_of_zero_no_row(rng):
    X, Y = columns(rng)
    weight = rng.integers(0, 3, size=len(X))
    twice = np.repeat(np.arange(len(X)), weight)
    a, b = full_batch().fit(X, Y, weight), full_batch().fit(X[twice], Y[twice])
    for A, B in zip(a.coefs_, b.coefs_, strict=True):
        assert_allclose(A, B, rtol=1e-9, atol=1e-11)
    missing = np.where(rng.random(Y.shape) < 0.3, 0.0, 1.0)
    c = full_batch().fit(X, Y, missing)
    d = full_batch().fit(X, np.where(missing > 0, Y, np.nan))
    for C, D in zip(c.coefs_, d.coefs_, strict=True):
        assert_allclose(C, D, rtol=1e-9, atol=1e-11)


def test_mixed_heads_learn_and_answer_in_their_own_words(rng):
    X = rng.normal(size=(400, 4))
    s = X[:, 0] * X[:, 1]
    Y = {
        "price": 1000 + 50 * s,
        "cat": np.array(["x", "y", "z"])[np.digitize(s, [-0.5, 0.5])],
        "tags": X[:, :2] > 0,
        "visits": rng.poisson(np.exp(0.8 * X[:, 2])),
    }
    heads = {"price": "regression", "cat": "classification", "tags": "multilabel", "visits": "poisson"}
    model = MultiTaskMLP(heads, (40,), max_iter=250, random_state=0, class_weight={"cat": "balanced"}).fit(X, Y)
    scores = model.head_scores(X, Y)
    for name, least in {"price": 0.9, "cat": 0.85, "tags": 0.95, "visits": 0.3}.items():
        assert scores[name] > least
    assert_allclose(model.score(X, Y), np.mean(list(scores.values())))
    predicted, proba = model.predict(X), model.predict_proba(X)
    assert_allclose(scores["price"], r2_score(Y["price"], predicted["price"]))
    assert_allclose(scores["cat"], (predicted["cat"] == Y["cat"]).mean())
    assert predicted["tags"].dtype == bool
    assert (predicted["visits"] > 0).all()
    assert set(proba) == {"cat", "tags"}
    frame = pd.DataFrame({"price": Y["price"], "cat": Y["cat"], "visits": Y["visits"]})
    frame[["tags_1", "tags_2"]] = Y["tags"]
    again = clone(model).fit(X, frame)
    assert_array_equal(again.predict(X)["price"], predicted["price"])


def test_weights_of_classes_that_a_head_lacks_are_not_needed(rng):
    X = rng.normal(size=(30, 2))
    y = {"kind": np.where(X[:, 0] > 0, "a", "b")}
    model = MultiTaskMLP({"kind": "classification"}, (3,), max_iter=2, tol=0, random_state=0)
    model.set_params(class_weight={"kind": {"a": 1.0, "b": 3.0, "rare": 9.0}})
    more = model.fit(X, y).predict_proba(X)["kind"]
    model.set_params(class_weight={"kind": {"a": 1.0, "b": 3.0}})
    assert_array_equal(more, model.fit(X, y).predict_proba(X)["kind"])
    with pytest.raises(
        ValueError, match=r"class_weight\['kind'\] names unknown labels: 'rare'. The labels are 'a', 'b'"
    ):
        model.set_params(class_weight={"kind": {"a": 1.0, "rare": 3.0}}).fit(X, y)


def test_weights_of_classes_are_not_for_heads_without_classes(rng):
    X, y = rng.normal(size=(30, 2)), {"sold": np.arange(30) % 2, "price": np.arange(30.0)}
    model = MultiTaskMLP({"sold": "classification", "price": "regression"}, (3,), max_iter=2, random_state=0)
    model.set_params(class_weight="balanced").fit(X, y)
    model.set_params(class_weight={"sold": {1: 2.0}, "price": None}).fit(X, y)
    with pytest.raises(ValueError, match="class_weight names the task 'price', whose head has no classes: 'regr"):
        model.set_params(class_weight={"price": {1: 2.0}}).fit(X, y)


def test_weights_of_tags_name_labels_of_any_column(rng):
    X = rng.normal(size=(40, 2))
    tags = np.column_stack([np.where(X[:, 0] > 0, "p", "q"), np.where(X[:, 1] > 0, "r", "s")])
    settings = {"max_iter": 5, "shuffle": False, "random_state": 0}
    model = MultiTaskMLP({"tags": "multilabel"}, (3,), class_weight={"tags": {"p": 2.0, "s": 3.0}}, **settings)
    every = clone(model).set_params(class_weight={"tags": {"p": 2.0, "q": 1.0, "r": 1.0, "s": 3.0}})
    fits = [network.fit(X, {"tags": tags}) for network in (model, every)]
    assert_array_equal(*(network.predict_proba(X)["tags"] for network in fits))
    with pytest.raises(ValueError, match=r"unknown labels: 'z'. The labels are 'p', 'q', 'r', 's'"):
        model.set_params(class_weight={"tags": {"p": 2.0, "z": 3.0}}).fit(X, {"tags": tags})


def test_a_student_learns_from_its_teacher(rng):
    X = rng.normal(size=(300, 3))
    teacher = LogisticRegression().fit(X, np.digitize(X[:, 0], [-0.5, 0.5]))
    model = MultiTaskMLP({"a": distill(teacher, 2.0), "b": "regression"}, (20,), max_iter=300, random_state=0)
    model.set_params(learning_rate_init=0.01, batch_size=30)
    model.fit(X, {"b": X[:, 1]})
    assert np.abs(model.predict_proba(X)["a"] - teacher.predict_proba(X)).mean() < 0.03
    assert_array_equal(model.classes_["a"], teacher.classes_)


def test_a_high_temperature_is_no_training_gone_astray(rng):
    """Losses are multiplied by its square; warnings are errors here."""
    X = rng.normal(size=(100, 3))
    teacher = LogisticRegression().fit(X, np.digitize(X[:, 0], [-0.5, 0.5]))
    model = MultiTaskMLP({"a": distill(teacher, 20.0)}, (5,), max_iter=3, random_state=0).fit(X, {})
    assert model.loss_curve_["a"][-1] > 300.0


# --------------------------------------------------------------------------------------------------------- training


def data(rng, n=200):
    X = rng.normal(size=(n, 4))
    return X, np.column_stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2], X[:, 3]])


@pytest.mark.parametrize("n_jobs", [1, 2, 4])
def test_the_same_seed_gives_the_same_weights_whatever_the_number_of_threads(n_jobs, rng):
    X, Y = data(rng)
    fit = MultiTaskMLPRegressor((8,), max_iter=8, n_init=4, ensemble=True, random_state=5, dropout=0.2)
    one, many = clone(fit).fit(X, Y), clone(fit).set_params(n_jobs=n_jobs).fit(X, Y)
    assert_array_equal(one.predict(X), many.predict(X))
    members = [state.theta for state in many._states]
    assert len({theta.tobytes() for theta in members}) == 4


def test_the_best_of_several_fits_is_kept(rng):
    X, Y = data(rng)
    fit = MultiTaskMLPRegressor((8,), max_iter=8, random_state=5)
    several = clone(fit).set_params(n_init=4).fit(X, Y)
    assert several.loss_ <= clone(fit).fit(X, Y).loss_


def test_the_best_of_several_fits_has_the_best_validation_score(rng):
    """Whether or not validation ends training; by this metric the worst fit is the best."""
    X, Y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    settings = {"n_init": 6, "max_iter": 30, "metrics": mean_squared_error, "random_state": 0}
    runs = MultiTaskMLPRegressor((4,), ensemble=True, **settings).fit(X, Y, validation_data=(X, Y))._states
    best = int(np.argmax([np.mean(run.scores[-1]) for run in runs]))
    assert best != int(np.argmin([run.objectives[-1] for run in runs]))
    model = MultiTaskMLPRegressor((4,), **settings).fit(X, Y, validation_data=(X, Y))
    assert_array_equal(model._states[0].theta, runs[best].theta)


def test_adamw_takes_adams_step_and_a_share_off_the_weights_but_not_the_biases(rng):
    X, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    how = {"hidden_layer_sizes": (5,), "batch_size": 30, "max_iter": 1, "learning_rate_init": 0.02, "random_state": 0}
    start = MultiTaskMLPRegressor(**how).initialize(X, y)
    adam = MultiTaskMLPRegressor(alpha=0.0, **how).fit(X, y)
    adamw = MultiTaskMLPRegressor(solver="adamw", alpha=0.3, **how).fit(X, y)
    for before, plain, W in zip(start.coefs_, adam.coefs_, adamw.coefs_, strict=True):
        assert_allclose(W, plain - 0.02 * 0.3 * before, rtol=0, atol=1e-14)
    for plain, b in zip(adam.intercepts_, adamw.intercepts_, strict=True):
        assert_array_equal(b, plain)


@pytest.mark.parametrize("options", [{"solver": "adamw", "alpha": 0.1}, {"solver": "sgd", "learning_rate_init": 0.05}])
@pytest.mark.parametrize("rate", ["constant", "cosine", "plateau"])
def test_every_optimiser_and_schedule_learns(options, rate, rng):
    X, Y = data(rng)
    model = MultiTaskMLPRegressor((30,), batch_size=20, learning_rate=rate, max_iter=80, random_state=0, **options)
    assert model.fit(X, Y).score(X, Y) > 0.7


def test_max_norm_bounds_the_weights_into_every_unit(rng):
    X, Y = data(rng)
    model = MultiTaskMLPRegressor((10, 6), max_norm=0.5, max_iter=20, random_state=0).fit(X, Y)
    for W in model.coefs_[:-1]:
        assert np.linalg.norm(W, axis=0).max() <= 0.5 + 1e-12


@pytest.mark.parametrize(
    "rule",
    [
        *("samples", {0: 2.0, 2: 0.5}, "uncertainty", "dwa", "geometric", "stch", "random", "priority"),
        *("gradnorm", "pcgrad", "upgrad", "cagrad", "imtl", "mgda"),
    ],
    ids=str,
)
def test_every_rule_of_weighting_learns_and_records_weights_that_sum_to_the_number_of_tasks(rule, rng):
    X, Y = data(rng)
    Y[8:, 2] = np.nan  # absent from most batches
    model = MultiTaskMLPRegressor((30,), batch_size=20, task_weight=rule, max_iter=40, random_state=0).fit(X, Y)
    curves = np.array(list(model.task_weights_curve_.values()))
    assert curves.shape == (3, 40)
    assert_allclose(curves.sum(axis=0), 3.0, rtol=1e-9)
    assert all(np.isfinite(W).all() for W in model.coefs_)
    assert r2_score(Y[:, :2], model.predict(X)[:, :2]) > 0.5


def test_weights_of_gradients_need_something_shared(rng):
    X, Y = data(rng)
    with pytest.raises(ValueError, match="no parameter belongs to more than one task"):
        MultiTaskMLPRegressor(sharing="private", task_weight="pcgrad").fit(X, Y)


@pytest.mark.parametrize("features", [None, {0: [0, 1], 1: [1, 2]}])
@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"solver": "lbfgs"}])
def test_rows_without_any_label_are_not_there(features, settings, rng):
    """They would thin out the batches; nor are those whose labels all have weight 0."""
    X = rng.normal(size=(90, 3))
    Y = X[:, :2] + 0.1 * rng.normal(size=(90, 2))
    Y[rng.random(Y.shape) < 0.2] = np.nan
    few, weight = ~np.isnan(Y).all(axis=1) & (rng.random(90) < 0.5), np.ones(Y.shape)
    weight[~few] = 0.0
    model = MultiTaskMLPRegressor((4,), batch_size=10, max_iter=5, tol=0, random_state=0, features=features, **settings)
    want = clone(model).fit(X[few], Y[few]).predict(X)
    assert_array_equal(clone(model).fit(X, np.where(few[:, None], Y, np.nan)).predict(X), want)
    assert_array_equal(clone(model).fit(X, Y, sample_weight=weight).predict(X), want)


def test_early_stopping_restores_the_best_weights(rng):
    X, Y = data(rng, 300)
    model = MultiTaskMLPRegressor((50,), early_stopping=True, max_iter=300, learning_rate_init=0.03, n_iter_no_change=5)
    model.set_params(random_state=0).fit(X[:100], Y[:100], validation_data=(X[100:], Y[100:]))
    scores = np.mean(list(model.validation_scores_.values()), axis=0)
    assert len(scores) == model.n_iter_ < 300
    assert_allclose(model.score(X[100:], Y[100:]), scores.max(), rtol=1e-9)
    split = clone(model).fit(X, Y)
    assert split.n_iter_ < 300
    slower = clone(model).set_params(learning_rate="plateau").fit(X[:100], Y[:100], validation_data=(X[100:], Y[100:]))
    assert slower.n_iter_ > model.n_iter_  # instead of stopping, as long as the rate is not small


def test_rows_without_any_label_are_refused(rng):
    X, Y = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))
    model = MultiTaskMLPRegressor((3,), max_iter=1).fit(X, Y)
    with pytest.raises(ValueError, match="y contains NaN only: there is no label in any row"):
        model.partial_fit(X, np.full((20, 2), np.nan))
    with pytest.raises(ValueError, match="y contains NaN only: there is no label in any row"):
        model.fit(X, Y, validation_data=(X, np.full((20, 2), np.nan)))


def test_early_stopping_without_a_score_is_refused(rng):
    """It would end training at once: R2 of a row, or a metric of several columns where no row has all labels."""
    X, tags = rng.normal(size=(40, 3)), (rng.random((40, 4)) > 0.5).astype(float)
    tags[np.arange(40), np.arange(40) % 4] = np.nan
    one_row = MultiTaskMLPRegressor(early_stopping=True, metrics=lambda y, p: np.nan if len(y) < 2 else r2_score(y, p))
    with pytest.raises(ValueError, match=r"early_stopping needs a score of some task, .* is NaN for 0, 1, 2, 3"):
        one_row.fit(X, X[:, 0], task=np.repeat(np.arange(4), 10))
    no_row = MultiTaskMLP({"tags": "multilabel"}, early_stopping=True, metrics=accuracy_score)
    with pytest.raises(ValueError, match=r"early_stopping needs a score of some task, .* is NaN for 'tags'"):
        no_row.fit(X, {"tags": tags})
    same = MultiTaskMLPClassifier((3,), early_stopping=True, random_state=0).fit(X, np.zeros(40))
    assert same.n_iter_ == 12  # one class: nothing to learn, nothing to refuse


def test_every_task_keeps_labels_to_learn_from(rng):
    X, Y = data(rng)
    Y[3:, 1] = np.nan
    Y[:3, 1] = [1000.0, 1001.0, 1002.0]
    for seed in range(12):
        model = MultiTaskMLPRegressor(
            (10,), early_stopping=True, validation_fraction=0.6, max_iter=5, random_state=seed
        )
        assert abs(model.fit(X, Y).predict(X)[:, 1] - 1001.0).max() < 20.0


def test_small_tasks_are_validated_on_in_turn(rng):
    """A tenth of 4 rows is none: of 100 such tasks 40 lend one, beside a share of a task that has enough."""
    X, ids = rng.normal(size=(500, 3)), np.append(np.repeat(np.arange(100), 4), np.full(100, 100))
    model = MultiTaskMLPRegressor((4,), early_stopping=True, max_iter=1, random_state=0).fit(X, X[:, 0], task=ids)
    held_out = np.isfinite(list(model.validation_scores_.values()))[:, 0]
    assert held_out[:100].sum() == 40
    assert held_out[100]
    model.fit(X[:400], X[:400, 0], task=ids[:400])  # there are no others
    single = MultiTaskMLPRegressor((4,), early_stopping=True)
    with pytest.raises(ValueError, match=r"validation_fraction=0\.1 of n_samples=100 leaves none"):
        single.fit(X[:100], X[:100, 0], task=np.arange(100))


def test_every_column_of_a_head_keeps_labels_to_learn_from(rng):
    X, Y = data(rng)
    Y[1:, 1] = np.nan
    Y[0, 1] = 1000.0
    for seed in range(12):
        model = MultiTaskMLP({"pair": "regression"}, (4,), early_stopping=True, max_iter=1, random_state=seed)
        model.set_params(validation_fraction=0.6).fit(X, {"pair": Y[:, :2]})
        assert_allclose(model.predict(X)["pair"][:, 1], 1000.0)


def test_rows_of_a_task_are_those_of_the_items_asked_for(rng):
    n, n_tasks = 500, 20
    task = rng.integers(n_tasks, size=n)
    n_columns = np.ones(n_tasks, dtype=np.int64)
    table = Table.by_task([np.zeros((n, 1))], rng.normal(size=(n, 1)), None, n_columns, task, np.arange(n))
    some = np.flatnonzero(rng.random(n) < 0.5)
    for t in range(n_tasks):
        assert_array_equal(table.rows_of(t, some)[1], some[task[some] == t])
        assert_array_equal(table.rows_of(t, np.arange(n))[0], np.flatnonzero(task == t))


def test_scores_stand_at_their_epochs(rng):
    """Epochs that were not validated have none: not those of earlier ones."""
    X, Y, seen = rng.normal(size=(40, 3)), rng.normal(size=(40, 2)), []
    model = MultiTaskMLPRegressor((4,), max_iter=3, warm_start=True, random_state=0).fit(X, Y)
    model.set_params(early_stopping=True).fit(X, Y)
    model.set_params(early_stopping=False, callbacks=lambda epoch: seen.append(epoch.scores)).fit(X, Y)
    model.partial_fit(X, Y)
    for scores in model.validation_scores_.values():
        assert_array_equal(np.isfinite(scores), [False] * 3 + [True] * 3 + [False] * 4)
    assert seen == [None] * 4


@pytest.mark.parametrize("loss", ["squared", "poisson"])
def test_one_row_of_a_task_is_enough_to_validate_on(loss, rng):
    """R2 of one number is not defined; it would be the same in every epoch, and training end at once."""
    X, task = rng.normal(size=(120, 5)), np.repeat(np.arange(10), 12)
    settings = {"loss": loss, "early_stopping": True, "max_iter": 300, "learning_rate_init": 0.01, "random_state": 0}
    model = MultiTaskMLPRegressor((20,), **settings).fit(X, np.exp(X[:, 0]), task=task)
    assert model.n_iter_ > 20  # 12, were it so
    assert model.score(X, np.exp(X[:, 0]), task=task) > 0.3


def test_scores_to_stop_by_count_rows_whatever_classes_weigh(rng):
    X, Y = data(rng)
    settings = {"early_stopping": True, "max_iter": 3, "learning_rate_init": 1e-12, "random_state": 0}
    scores = []
    for weight in (None, {0: 1.0, 1: 1000.0}):
        model = MultiTaskMLPClassifier((5,), class_weight=weight, **settings).fit(
            X, (Y[:, 0] > np.quantile(Y[:, 0], 0.8)).astype(int)
        )
        scores.append(list(model.validation_scores_.values()))
    assert_array_equal(*scores)


@pytest.mark.parametrize("layout", ["single", "ids", "dict", "wide"])
def test_rows_to_validate_on_are_none_to_train_on_whatever_classes_weigh(layout, rng):
    """A class of weight 0 has rows, too; their labels are no news in training, and count in scores."""
    X, ids, labels = rng.normal(size=(90, 2)), np.arange(90) % 2, rng.integers(3, size=90)
    weight = {0: 0.0, 1: 1.0, 2: 5.0}
    for Network in MultiTaskMLPClassifier, MultiTaskMLP:
        model = Network(early_stopping=True, validation_fraction=0.4, class_weight=weight, random_state=0)
        if Network is MultiTaskMLP:
            model.set_params(heads=dict.fromkeys([0, 1], "classification"), class_weight=dict.fromkeys([0, 1], weight))
        data = {
            "single": (X, np.column_stack([labels, labels])) if Network is MultiTaskMLP else (X, labels),
            "ids": (X, labels),
            "dict": ({t: (X[ids == t], labels[ids == t]) for t in (0, 1)}, None),
            "wide": (X, np.column_stack([labels, labels])),
        }[layout]
        problem = posed(model, *data, task=ids if layout == "ids" else None).problem
        inputs, values, weights = problem.validation
        for t in range(problem.table.n_tasks):
            held_out = (inputs[t] if isinstance(inputs, list) else inputs)[:, 0].tolist()
            x = problem.table.inputs[t if len(problem.table.inputs) > 1 else 0][:, 0]
            rows = problem.table.rows_of(t, problem.items)[0]
            assert not set(held_out) & set(x[rows].tolist())
            truth = dict(zip(X[:, 0].tolist(), labels.tolist(), strict=True))
            assert_array_equal(values[t][:, 0], [truth[row] for row in held_out])
            assert 0.0 in values[t]
            assert all(truth[row] > 0 for row in x[rows])  # else they would thin out the batches
            assert_array_equal(weights[t], 1.0)


def test_classes_weigh_in_every_layout(rng):
    X, ids, labels = rng.normal(size=(80, 2)), np.arange(80) % 2, (rng.random(80) < 0.2).astype(int)
    parts = {t: (X[ids == t], labels[ids == t]) for t in (0, 1)}
    settings = {"max_iter": 5, "shuffle": False, "random_state": 0}
    for weight in ("balanced", {0: 1.0, 1: 30.0}, {0: "balanced", 1: {0: 2.0, 1: 3.0}}):
        dicts = MultiTaskMLPClassifier((5,), class_weight=weight, sharing="private", **settings).fit(parts)
        rows = MultiTaskMLPClassifier((5,), class_weight=weight, sharing="private", **settings).fit(X, labels, task=ids)
        for a, b in zip(dicts.predict_proba({0: X, 1: X}).items(), (0, 1), strict=True):
            assert_allclose(a[1], rows.predict_proba(X, task=np.full(80, b)), rtol=1e-6)
    with pytest.raises(ValueError, match="class_weight leaves no label of the tasks 1 a weight above zero"):
        MultiTaskMLPClassifier(class_weight={1: {0: 0.0, 1: 0.0}}).fit(parts)


def test_partial_fit_is_epochs_of_fit(rng):
    X, Y = data(rng)
    whole = full_batch(max_iter=5, shuffle=False).fit(X, Y)
    steps = full_batch(max_iter=5, shuffle=False)
    for _ in range(5):
        steps.partial_fit(X, Y)
    for a, b in zip(whole.coefs_, steps.coefs_, strict=True):
        assert_allclose(a, b, rtol=1e-12)
    assert steps.n_iter_ == 5
    labels = np.array(list("aab"))
    model = MultiTaskMLPClassifier((5,)).partial_fit(X[:3], labels, classes=list("abc"))
    assert model.partial_fit(X[:2], ["c", "a"]).predict_proba(X).shape == (200, 3)
    with pytest.raises(ValueError, match="labels that neither the last fit nor classes had"):
        model.partial_fit(X[:2], ["c", "z"])


def test_curves_are_made_when_they_are_asked_for(rng, monkeypatch):
    """Not by every call of partial_fit, whose time would grow with the epochs before."""
    X, Y = data(rng)
    made, curves = [], FittedNetwork._curves
    monkeypatch.setattr(FittedNetwork, "_curves", lambda self, rows: made.append(len(rows)) or curves(self, rows))
    model = MultiTaskMLPRegressor((4,))
    for _ in range(3):
        model.partial_fit(X, Y)
    assert made == []
    assert model.loss_curve_[0].shape == model.objective_curve_.shape == (3,)
    assert made == [3]


FORGOTTEN = {
    "partial_fit": lambda m, X, y, task: m.partial_fit(X, y, task=task).partial_fit(X, y),
    "validation_data": lambda m, X, y, task: m.fit(X, y, task=task, validation_data=(X, y)),
}


@pytest.mark.parametrize("Network", [MultiTaskMLPRegressor, MultiTaskMLPClassifier])
@pytest.mark.parametrize("use", FORGOTTEN.values(), ids=FORGOTTEN)
def test_rows_without_ids_are_not_those_of_the_task_0(use, Network, rng):
    X, task = rng.normal(size=(30, 3)), np.arange(30) % 3
    y = (X[:, 0] > 0).astype(int)
    with pytest.raises(ValueError, match=r"fitted with task ids, but these rows come without .*\(X, y, ids\)"):
        use(Network((4,), max_iter=1), X, y, task)
    single = Network((4,), max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match="fitted without task ids, but these rows come with"):
        single.partial_fit(X, y, task=np.zeros(30))
    assert single.partial_fit(X, y).predict(X).shape == (30,)


def test_labels_to_validate_on_are_not_those_of_the_first_column(rng):
    X, Y = data(rng)
    network = MultiTaskMLPRegressor((4,), max_iter=1)
    with pytest.raises(ValueError, match="a column of y for each of the tasks 0, 1, 2, but the y of these rows is 1-D"):
        network.fit(X, Y, validation_data=(X, Y[:, 0]))
    one = pd.DataFrame(Y[:, :1], columns=["a"])
    assert network.fit(X, one, validation_data=(X, one)).validation_scores_


@pytest.mark.parametrize("use", [*FORGOTTEN.values(), lambda m, X, y, task: m.fit(X, y, task=task).score(X, y)])
def test_heads_miss_the_ids_of_rows_by_name(use, rng):
    X, task = rng.normal(size=(30, 3)), np.arange(30) % 3
    y, model = X[:, 0], MultiTaskMLP(dict.fromkeys(range(3), "regression"), (4,), max_iter=1)
    with pytest.raises(ValueError, match=r"MultiTaskMLP was fitted with task ids, but these rows come without"):
        use(model, X, y, task)
    one = MultiTaskMLP({0: "regression"}, (4,), max_iter=1).fit(X, y)
    assert np.isfinite(one.partial_fit(X, y.tolist()).score(X, y))


@pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names:UserWarning")
def test_a_later_chunk_leaves_the_names_of_columns(rng):
    """As scikit-learn's partial_fit does; they are what frames in another order are refused by."""
    X, Y = pd.DataFrame(rng.normal(size=(20, 3)), columns=list("abc")), rng.normal(size=(20, 2))
    model = MultiTaskMLPRegressor((4,), features={0: ["a"], 1: ["b", "c"]}, max_iter=1).fit(X, Y)
    model.partial_fit(X.to_numpy(), Y)
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="same order as they were in fit"):
        model.predict(X[["b", "a", "c"]])
    model = MultiTaskMLPRegressor((4,), max_iter=1).fit(X.to_numpy(), Y).partial_fit(X, Y)
    assert not hasattr(model, "feature_names_in_")


def test_temperature_is_for_rows_of_one_task_however_many_labels_there_are(rng):
    """A row of two labels and one of none are as many labels as rows."""
    X, Y = rng.normal(size=(20, 2)), np.full((20, 2), np.nan)
    Y[np.arange(20), np.arange(20) % 2] = X[:, 0]
    Y[:2] = [[1.0, 2.0], [np.nan, np.nan]]
    with pytest.raises(ValueError, match="a row has labels of several"):
        MultiTaskMLPRegressor(temperature=0.5, features={0: [0], 1: [1]}).fit(X, Y)


@pytest.mark.parametrize("Network", [MultiTaskMLPRegressor, MultiTaskMLPClassifier], ids=["numbers", "classes"])
def test_training_goes_on_where_columns_of_y_have_names(Network, rng):
    """The names are the tasks' ids, in a later call and in rows to validate on, too."""
    X = rng.normal(size=(40, 3))
    Y = pd.DataFrame((X[:, :2] > 0).astype(float), columns=["left", "right"])
    options = {"max_iter": 2, "tol": 0, "random_state": 0}
    model = Network((4,), warm_start=True, early_stopping=True, **options).fit(X, Y, validation_data=(X, Y))
    assert list(model.validation_scores_) == ["left", "right"]
    model.fit(X, Y)
    assert model.n_iter_ == 4
    model.partial_fit(X, Y)
    assert model.n_iter_ == 5
    assert model.tasks_.tolist() == ["left", "right"]


@pytest.mark.parametrize("Network", [MultiTaskMLPRegressor, MultiTaskMLPClassifier], ids=["numbers", "classes"])
def test_columns_of_y_without_names_are_those_of_the_fit(Network, rng):
    """In rows to validate on and in a later call, as in score."""
    X = rng.normal(size=(40, 3))
    Y = pd.DataFrame((X[:, :2] > 0).astype(float), columns=["left", "right"])
    model = Network((4,), max_iter=2, early_stopping=True, random_state=0)
    expected = clone(model).fit(X, Y, validation_data=(X, Y)).validation_scores_
    model.fit(X, Y, validation_data=(X, Y.to_numpy()))
    assert {t: s.tolist() for t, s in model.validation_scores_.items()} == {t: s.tolist() for t, s in expected.items()}
    assert model.partial_fit(X, Y.to_numpy()).tasks_.tolist() == ["left", "right"]
    other = Y.set_axis(["left", "up"], axis=1)
    for rows, message in [
        (other, r"must have the tasks of the fit, 'left', 'right'\. Got 'left', 'up'"),
        (np.tile([[0.0], [1.0]], (20, 3)), r"tasks of the fit, 'left', 'right'\. Got 0, 1, 2|layout of the last fit"),
    ]:
        with pytest.raises(ValueError, match=message):
            clone(model).fit(X, Y, validation_data=(X, rows))


@pytest.mark.parametrize("layout", ["columns", "ids", "dict"])
@pytest.mark.parametrize("types", [(np.float64, np.float32), (np.float32, np.float64)], ids=["64 to 32", "32 to 64"])
def test_training_goes_on_with_rows_of_another_float_type(types, layout, rng):
    """In the type of the first rows; it began anew, without a word."""
    X, Y = rng.normal(size=(30, 3)).astype(np.float32), rng.normal(size=(30, 2))
    before, after = (X.astype(dtype) for dtype in types)

    def rows(X):
        if layout == "columns":
            return {"X": X, "y": Y}
        return {"X": {"a": (X, Y[:, 0])}} if layout == "dict" else {"X": X, "y": Y[:, 0], "task": np.arange(30) % 2}

    settings = {"max_iter": 4, "warm_start": True, "random_state": 0}
    steps, fits, expected = (MultiTaskMLPRegressor((4,), **settings).fit(**rows(before)) for _ in range(3))
    steps.partial_fit(**rows(after))
    fits.set_params(max_iter=1).fit(**rows(after))
    expected.partial_fit(**rows(before))
    for model in (steps, fits):
        assert model.n_iter_ == 5
        assert_array_equal(model._states[0].theta, expected._states[0].theta)


def test_held_out_rows_are_of_the_type_that_the_network_began_with(rng):
    X, Y = rng.normal(size=(60, 3)), {"a": rng.normal(size=60)}
    scores = []
    for weigh in (None, {}):  # classes that all weigh 1
        model = MultiTaskMLP({"a": "regression"}, (3,), class_weight=weigh, early_stopping=True, max_iter=2)
        model.set_params(warm_start=True, random_state=0).fit(X.astype(np.float32), Y).fit(X, Y)
        scores.append(model.validation_scores_["a"])
    assert_array_equal(*scores)


def test_a_later_chunk_and_the_rows_to_validate_on_may_have_no_label_of_a_task(rng):
    X, Y = data(rng)
    gaps = Y.copy()
    gaps[:, 1] = np.nan
    model = full_batch(alpha=0.0).partial_fit(X, Y)
    head = model.task_layers(1)[-1][0].copy()
    before = model.task_layers(0)[-1][0].copy()
    model.set_params(solver="sgd", momentum=0.0).partial_fit(X, gaps)
    assert_array_equal(model.task_layers(1)[-1][0], head)
    assert (model.task_layers(0)[-1][0] != before).all()
    model = full_batch(early_stopping=True, max_iter=3).fit(X, Y, validation_data=(X, gaps))
    assert np.isnan(model.validation_scores_[1]).all()
    assert np.isfinite(model.validation_scores_[0]).all()
    classifier = MultiTaskMLPClassifier((5,)).partial_fit(X, Y > 0)
    labels = (Y > 0).astype(float)
    labels[:, 2] = np.nan
    assert classifier.partial_fit(X, labels).predict(X).shape == Y.shape
    mixed = MultiTaskMLP({"a": "regression", "b": "classification"}, (5,))
    mixed.partial_fit(X, {"a": Y[:, 0], "b": Y[:, 1] > 0})
    mixed.partial_fit(X, {"a": Y[:, 0], "b": np.full(len(X), np.nan)})
    assert set(mixed.predict(X)["b"]) <= {False, True}


@pytest.mark.parametrize("layout", ["wide", "long", "parts"])
def test_classes_are_balanced_where_a_later_chunk_lacks_their_task(layout, rng):
    X, task = rng.normal(size=(40, 2)), np.arange(40) % 2
    y = np.where(task == 0, X[:, 0] > 0, X[:, 1])
    chunks = {
        "wide": [{"X": X, "y": {0: y > 0, 1: y}}, {"X": X, "y": {0: [None] * 40, 1: y}}],
        "long": [{"X": X[rows], "y": y[rows], "task": task[rows]} for rows in (slice(None), task == 1)],
        "parts": [{"X": {0: (X, y > 0), 1: (X, y)}}, {"X": {1: (X, y)}}],
    }[layout]
    model = MultiTaskMLP({0: "classification", 1: "regression"}, (3,), class_weight="balanced")
    for chunk in chunks:
        model.partial_fit(**chunk)
    assert (model.loss_curve_[0][1], model.n_iter_) == (0.0, 2)


def test_a_dict_of_rows_to_go_on_with_or_to_validate_on_may_lack_tasks(rng):
    X, Y = data(rng)
    parts = {"a": (X, Y[:, 0]), "b": (X[:50, :2], Y[:50, 1]), "c": (X[:40], Y[:40, 2])}
    some = {"b": parts["b"]}
    model = full_batch(alpha=0.0, solver="sgd", momentum=0.0).partial_fit(parts)
    before = [model.task_layers(t)[-1][0].copy() for t in "abc"]
    model.partial_fit(some, sample_weight={"b": np.full(50, 2.0)})
    assert_array_equal(model.tasks_, list("abc"))
    for t, weights in zip("abc", before, strict=True):
        assert (model.task_layers(t)[-1][0] != weights).any() == (t == "b")
    scores = full_batch(early_stopping=True, max_iter=3).fit(parts, validation_data=some).validation_scores_
    assert [np.isfinite(scores[t]).all() for t in "abc"] == [False, True, False]
    labels = {"a": (X, Y[:, 0] > 0), "b": (X[:50, :2], np.where(Y[:50, 1] > 0, "yes", "no"))}
    heads = MultiTaskMLP({"a": "classification", "b": "classification"}, (5,), max_iter=3, early_stopping=True)
    scores = heads.fit(labels, validation_data={"b": labels["b"]}).validation_scores_
    assert np.isnan(scores["a"]).all()
    assert set(heads.partial_fit({"a": labels["a"]}).predict({"b": X[:50, :2]})["b"]) <= {"yes", "no"}
    with pytest.raises(ValueError, match="of the tasks 'z'; the network knows 'a', 'b', 'c'"):
        model.partial_fit({"z": parts["a"]})
    for other in ({"a": (X[:, :2], Y[:, 0])}, {"b": (X, Y[:, 1])}):
        with pytest.raises(ValueError, match="must have the features"):
            full_batch(early_stopping=True, max_iter=3).fit(parts, validation_data=other)


def test_warm_start_goes_on_where_the_last_fit_ended(rng):
    X, Y = data(rng)
    whole = full_batch(max_iter=20, shuffle=False).fit(X, Y)
    halves = full_batch(max_iter=10, shuffle=False, warm_start=True).fit(X, Y).fit(X, Y)
    for a, b in zip(whole.coefs_, halves.coefs_, strict=True):
        assert_allclose(a, b, rtol=1e-12)
    assert halves.n_iter_ == 20


@pytest.mark.parametrize("solvers", [("adam", "sgd"), ("sgd", "adam")], ids=" to ".join)
def test_another_solver_begins_with_the_weights_only(solvers, rng):
    """Adam's moments are no velocity, nor the other way round: with a tiny rate, steps are tiny from the first."""
    X, Y = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    model = MultiTaskMLPRegressor((5,), solver=solvers[0], max_iter=50, learning_rate_init=0.1, random_state=0)
    model.fit(X, Y)
    before = np.concatenate([W.ravel() for W in model.coefs_])
    model.set_params(solver=solvers[1], learning_rate_init=1e-7).partial_fit(X, Y)
    assert_allclose(np.concatenate([W.ravel() for W in model.coefs_]), before, rtol=0, atol=2e-7)


def test_iterations_that_did_not_converge_are_those_of_the_last_fit(rng):
    X, Y = data(rng)
    model = MultiTaskMLPRegressor((5,), max_iter=7, tol=1e-12, warm_start=True, random_state=0).fit(X, Y)
    with pytest.warns(ConvergenceWarning, match=r"after 5 iterations of L-BFGS \(max_iter=5\)"):
        model.set_params(solver="lbfgs", max_iter=5).fit(X, Y)
    assert model.n_iter_ == 12


@pytest.mark.parametrize("rule", ["uncertainty", "dwa", "stch", "gradnorm", "geometric"])
def test_rules_of_weighting_go_on_with_what_they_have_learned(rule, rng):
    X, Y = data(rng)
    settings = {"task_weight": rule, "shuffle": False}
    whole = full_batch(max_iter=6, **settings).fit(X, Y)
    steps, halves = full_batch(**settings), full_batch(max_iter=3, warm_start=True, **settings).fit(X, Y).fit(X, Y)
    for _ in range(6):
        steps.partial_fit(X, Y)
    for other in (steps, halves):
        assert_allclose(*(list(m.task_weights_curve_.values()) for m in (other, whole)), rtol=1e-9)
    assert np.ptp([curve[-1] for curve in whole.task_weights_curve_.values()]) > 1e-6


def test_callbacks_see_every_epoch_and_may_end_training(rng):
    X, Y = data(rng)
    seen = []

    def watch(epoch):
        seen.append((epoch.number, epoch.objective, epoch.estimator.predict(X)[0, 0]))
        return epoch.number == 4

    model = MultiTaskMLPRegressor((8,), callbacks=watch, random_state=0).fit(X, Y)
    assert [number for number, *_ in seen] == [1, 2, 3, 4]
    assert model.n_iter_ == 4
    assert_array_equal(model.objective_curve_, [objective for _, objective, _ in seen])
    assert model.predict(X)[0, 0] == seen[-1][2] != seen[0][2]
    model.set_params(callbacks=lambda epoch: epoch.losses.mean() < np.inf).fit(X, Y)  # a bool of NumPy's
    assert model.n_iter_ == 1


@pytest.mark.parametrize("settings", [{}, {"solver": "lbfgs"}, {"n_init": 2, "n_jobs": 2}], ids=str)
def test_an_error_of_a_callback_is_raised_whatever_its_type(settings, rng):
    X, Y = data(rng)

    def fail(epoch):
        next(iter(()))

    with pytest.raises(StopIteration):
        MultiTaskMLPRegressor((4,), callbacks=fail, **settings).fit(X, Y)


def test_an_error_in_one_of_several_fits_ends_the_others(rng):
    """Rather than after a last epoch that nobody will hear of, which may be hours away."""
    X, Y = data(rng)
    both, epochs = threading.Barrier(2), []

    def fail(epoch):
        epochs.append(epoch.number)
        if epoch.number == 1 and both.wait() == 0:
            raise OSError("the disk is full")

    model = MultiTaskMLPRegressor((4,), n_init=2, n_jobs=2, max_iter=5000, tol=0, n_iter_no_change=5000, callbacks=fail)
    with pytest.raises(OSError, match="the disk is full"):
        model.fit(X, Y)
    assert len(epochs) < 2500


def test_an_epoch_has_its_estimator_whenever_it_is_asked(rng):
    """It is made then, for it takes as long as there are epochs."""
    X, Y = data(rng)
    epochs, at_once = [], []

    def keep(epoch):
        epochs.append(epoch)
        assert "estimator" not in vars(epoch)
        if epoch.number % 2:
            at_once.append(epoch.estimator.predict(X))

    MultiTaskMLPRegressor((8,), callbacks=keep, max_iter=6, random_state=0).fit(X, Y)
    assert [epoch.estimator.n_iter_ for epoch in epochs] == [1, 2, 3, 4, 5, 6]
    for epoch, predicted in zip(epochs[::2], at_once, strict=True):
        assert_array_equal(epoch.estimator.predict(X), predicted)
    assert (epochs[1].estimator.predict(X) != epochs[3].estimator.predict(X)).any()


def test_ctrl_c_keeps_the_weights_so_far(rng):
    X, Y = data(rng)

    def stop(epoch):
        if epoch.number == 3:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted after 3 epochs"):
        model = MultiTaskMLPRegressor((8,), callbacks=[stop], random_state=0).fit(X, Y)
    assert_array_equal(model.predict(X), MultiTaskMLPRegressor((8,), max_iter=3, random_state=0).fit(X, Y).predict(X))


@pytest.fixture
def ctrl_c():
    """What Ctrl-C does to a process; to one in the background of a shell it does nothing else."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("wakes", [True, False], ids=["wakes", "does not wake"])
def test_ctrl_c_ends_all_runs(wakes, n_jobs, ctrl_c, rng):
    """Also where it does not wake a thread that waits, once polars is imported."""
    X, Y = data(rng)
    epochs = []
    signal.siginterrupt(signal.SIGINT, wakes)

    def stop(epoch):
        epochs.append(epoch.number)
        if len(epochs) == 3:
            ctrl_c()
        time.sleep(0.01)  # for the signal to arrive

    model = MultiTaskMLPRegressor((8,), n_init=4, max_iter=1000, tol=0, callbacks=[stop], n_jobs=n_jobs, random_state=0)
    with pytest.warns(UserWarning, match=r"interrupted.* the best weights so far are kept"):
        model.fit(X, Y)
    assert 3 <= len(epochs) < 50
    assert np.isfinite(model.predict(X)).all()
    assert model.n_iter_ in (max(epochs), max(epochs) - 1)


def test_ctrl_c_before_the_first_epoch_keeps_nothing(monkeypatch, recwarn, rng):
    def train(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("skmtl.neural._base.train", train)
    model = MultiTaskMLPRegressor((2,))
    with pytest.raises(KeyboardInterrupt):
        model.fit(rng.normal(size=(5, 2)), np.arange(5.0))
    assert not hasattr(model, "tasks_")
    assert not recwarn


@pytest.mark.parametrize(("rule", "n_calls"), [("equal", 1), ("uncertainty", 1), ("pcgrad", 4), ("upgrad", 4)])
def test_ctrl_c_waits_for_few_batches_where_many_tasks_are_compared(rule, n_calls, monkeypatch, rng):
    """A batch of 300 tasks takes upgrad a second; calls of kernels cannot be interrupted."""
    monkeypatch.setattr(skmtl.neural._training, "_MOST_WORK", 1e5)
    calls, call = [], Epochs._call
    monkeypatch.setattr(Epochs, "_call", lambda *args: calls.append(args[-2:]) or call(*args))
    MultiTaskMLPRegressor((2,), task_weight=rule, batch_size=2, max_iter=1).fit(
        rng.normal(size=(8, 2)), rng.normal(size=(8, 20))
    )
    assert len(calls) == n_calls
    assert calls[-1][1] == 4


def test_a_rate_that_is_far_too_large_is_said(rng):
    X, Y = data(rng)
    with pytest.warns(ConvergenceWarning, match=r"went astray.* Lower learning_rate_init \(1000\)"):
        MultiTaskMLPRegressor((8, 8), learning_rate_init=1e3, max_iter=20, random_state=0).fit(X, Y)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("rule", ["equal", "upgrad", "uncertainty"])
def test_a_rate_that_diverges_is_an_error_with_advice_and_leaves_the_model_alone(solver, rule, rng):
    X, Y = data(rng)
    model = MultiTaskMLPRegressor((8, 8), solver=solver, random_state=0, task_weight=rule).fit(X, Y)
    before = model.predict(X)
    with pytest.raises(ValueError, match=r"no longer finite.*learning_rate_init"):
        model.set_params(learning_rate_init=1e160).fit(X, Y)
    assert_array_equal(model.predict(X), before)


def test_a_loss_without_bound_is_no_matter_of_a_rate_that_lbfgs_does_not_have(rng):
    X, Y = data(rng)
    model = MultiTaskMLPRegressor((20,), loss="poisson", solver="lbfgs", random_state=0)
    with pytest.raises(ValueError, match=r"training diverges\. Standardise the features\.$"):
        model.fit(1e4 * X, np.abs(Y))


def test_a_pull_that_diverges_is_an_error_with_advice(rng):
    X, Y = data(rng)
    pulled = MultiTaskMLPRegressor((8,), sharing="soft", alpha_soft=1e5, solver="sgd", learning_rate_init=0.01)
    with pytest.raises(ValueError, match=r"Lower learning_rate_init \(0.01\) or alpha_soft \(100000\)"):
        pulled.fit(X, Y)


def test_progress_and_verbose_print(rng, capsys):
    pytest.importorskip("tqdm")
    X, Y = data(rng)
    model = MultiTaskMLPRegressor((4,), max_iter=2, n_init=3, verbose=1, progress=True).fit(X, Y)
    printed = capsys.readouterr()
    assert "epoch 2: loss" in printed.out
    assert "/6 " in printed.err
    model.partial_fit(X, Y)
    assert "/1 " in capsys.readouterr().err  # an epoch of one run


@pytest.mark.parametrize("Network", [MultiTaskMLPRegressor, MultiTaskMLPClassifier])
def test_a_network_is_pickled_and_kept_by_skops(Network, rng):
    io = pytest.importorskip("skops.io")
    X, Y = data(rng)
    model = Network((8,), max_iter=5, random_state=0).fit(X, Y > 0)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    stored = io.dumps(model)
    types = io.get_untrusted_types(data=stored)
    assert all(name.startswith("skmtl.") for name in types)
    assert_array_equal(io.loads(stored, trusted=types).predict(X), model.predict(X))


def test_temperature_learns_rare_tasks(rng):
    X = rng.normal(size=(1050, 3))
    ids = np.repeat([0, 1], [1000, 50])
    y = np.where(ids == 0, X[:, 0], X[:, 1] ** 2)
    settings = {"max_iter": 40, "batch_size": 50, "random_state": 0, "learning_rate_init": 0.01}
    for temperature in (0.0, 0.5, 1.0):
        model = MultiTaskMLPRegressor((20,), temperature=temperature, **settings).fit(X, y, task=ids)
        assert model.score(X[ids == 1], y[ids == 1], task=ids[ids == 1]) > 0.7


def test_temperature_keeps_the_objective(rng):
    """A loss is the mean of a task's rows, however often they are drawn."""
    X, y, ids = rng.normal(size=(1050, 3)), rng.normal(size=1050), np.repeat([0, 1], [1000, 50])
    still = {"max_iter": 1, "batch_size": 50, "random_state": 0, "learning_rate_init": 1e-12}
    models = [MultiTaskMLPRegressor((20,), temperature=c, **still).fit(X, y, task=ids) for c in (1.0, 0.0)]
    for task in (0, 1):
        every, drawn = (model.loss_curve_[task] for model in models)
        assert_allclose(drawn, every, rtol=0.3)


@pytest.mark.parametrize("number", [np.longdouble(0.5), Fraction(1, 2)])
def test_a_temperature_of_any_type_is_that_number(number, rng):
    X, y, ids = rng.normal(size=(40, 2)), rng.normal(size=40), np.repeat([0, 1], [30, 10])
    models = [MultiTaskMLPRegressor((3,), temperature=c, max_iter=2, random_state=0) for c in (number, 0.5)]
    assert_array_equal(*(model.fit(X, y, task=ids).coefs_[0] for model in models))


@pytest.mark.parametrize("kind", ["regression", "poisson", "classification"])
def test_a_head_whose_labels_are_all_missing_is_named(kind, rng):
    X = rng.normal(size=(20, 2))
    with pytest.raises(ValueError, match="contains NaN only in a column of task 'b'"):
        MultiTaskMLP({"a": "regression", "b": kind}).fit(X, {"a": X[:, 0], "b": np.full(20, np.nan)})


def test_no_draw_goes_to_a_task_that_is_not_in_the_rows(rng):
    X, y, ids = rng.normal(size=(40, 2)), rng.normal(size=40), np.repeat([0, 1, 2, 3], 10)
    model = MultiTaskMLPRegressor((3,), temperature=0.0, random_state=0).partial_fit(X, y, task=ids)
    some = ids % 2 == 0
    problem, _ = copy.copy(model)._pose(Given(X[some], y[some], None, ids[some], last=model, partial=True))
    assert_array_equal(problem.shares(), [0.5, 0.0, 0.5, 0.0])


def test_temperature_is_for_rows_of_one_task(rng):
    X, Y = data(rng)
    with pytest.raises(ValueError, match=r"temperature=0.5 draws rows of one task or another"):
        MultiTaskMLPRegressor(temperature=0.5).fit(X, Y)
    alone = [MultiTaskMLPRegressor((3,), temperature=c, max_iter=2, random_state=0).fit(X, Y[:, 0]) for c in (0.5, 1.0)]
    assert_array_equal(*(model.predict(X) for model in alone))
    ids = rng.choice([0, 0, 0, 1], size=len(X))
    every = {"solver": "lbfgs", "max_iter": 3, "tol": 0, "random_state": 0}  # all rows at once, once each
    both = [MultiTaskMLPRegressor((3,), temperature=c, **every).fit(X, Y[:, 0], task=ids) for c in (0.5, 1.0)]
    assert_array_equal(*(model.predict(X, task=ids) for model in both))


@pytest.mark.parametrize("asked", [{"dropout": 0.5}, {"max_norm": 1.0}, {"task_weight": "dwa"}], ids=str)
def test_lbfgs_refuses_what_is_no_fixed_objective(asked, rng):
    with pytest.raises(ValueError, match=f"solver='lbfgs' .* {next(iter(asked))}="):
        MultiTaskMLPRegressor(solver="lbfgs", **asked).fit(*data(rng))


def test_a_distilled_head_weighs_as_much_as_any_other(rng):
    """Its loss is the cross-entropy of a row, whatever the number of classes; and it has as many rows as there are."""
    X, Y = data(rng)
    teacher = LogisticRegression().fit(X, np.digitize(Y[:, 0], [-0.5, 0.0, 0.5]))
    heads = {"a": distill(teacher, 1.0), "b": "multilabel", "c": "regression"}
    settings = {"solver": "sgd", "learning_rate_init": 1e-12, "max_iter": 1, "alpha": 0.0, "task_weight": "samples"}
    labels = {"b": Y > 0, "c": Y[:, 0]}
    student = MultiTaskMLP(heads, (3,), random_state=0, **settings).fit(X, labels)
    expected = -(teacher.predict_proba(X) * np.log(student.predict_proba(X)["a"])).sum(axis=1).mean()
    assert_allclose(student.loss_curve_["a"], expected, rtol=1e-9)
    assert_allclose([curve[0] for curve in student.task_weights_curve_.values()], 1.0, rtol=1e-12)


# ------------------------------------------------------------------------------------------------------ awkward data


@pytest.mark.parametrize(
    "shape", [{"hidden_layer_sizes": (1,)}, {"hidden_layer_sizes": (4, 4, 4, 4, 4)}, {"hidden_layer_sizes": 3}], ids=str
)
def test_one_unit_and_five_layers(shape, rng):
    X, Y = data(rng)
    model = MultiTaskMLPRegressor(max_iter=5, random_state=0, **shape).fit(X[:, :1], Y)
    assert np.isfinite(model.predict(X[:, :1])).all()


def test_three_hundred_heads(rng):
    X = rng.normal(size=(100, 3))
    Y = X @ rng.normal(size=(3, 300))
    assert MultiTaskMLPRegressor((20,), max_iter=300, batch_size=20, random_state=0).fit(X, Y).score(X, Y) > 0.9


@pytest.mark.parametrize("value", [0.0, 1e-6, 1e6, -3e200])
def test_a_constant_target_is_its_constant(value, rng):
    X, Y = data(rng)
    Y[:, 1] = value
    model = MultiTaskMLPRegressor((20,), max_iter=5, random_state=0).fit(X, Y)
    assert_array_equal(model.predict(X)[:, 1], value)
    alone = MultiTaskMLPRegressor((20,), max_iter=5, random_state=0).fit(X, Y[:, 0])
    assert_array_equal(MultiTaskMLPRegressor((5,), max_iter=2).fit(X, Y[:, 1]).predict(X), value)
    assert model.loss_curve_[0][-1] < 2 * alone.loss_curve_[0][-1]


def test_lbfgs_that_begins_at_a_minimum_has_a_loss_and_curves(rng):
    """The gradient is below `tol` at once: no iteration, for nothing is to be learned of numbers that do not differ."""
    X, _ = data(rng)
    seen = []
    model = MultiTaskMLPRegressor((5,), solver="lbfgs", callbacks=lambda epoch: seen.append(epoch.number))
    model.fit(X, np.full(200, 3.0), validation_data=(X, np.full(200, 3.0)))
    assert (model.n_iter_, seen) == (1, [1])
    assert np.isfinite([model.loss_, *model.objective_curve_, *model.loss_curve_[0]]).all()
    assert model.validation_scores_[0].shape == (1,)


def test_counts_that_are_all_zero_are_zero(rng):
    X, _ = data(rng)
    model = MultiTaskMLP({"n": "poisson", "m": "poisson"}, max_iter=5, random_state=0)
    counts = {"n": rng.poisson(1.0, 200), "m": np.zeros(200)}
    model.fit(X, counts)
    assert not model.predict(X)["m"].any()
    assert model.head_scores(X, counts | {"n": np.zeros(200)})["n"] == 0.0  # not minus infinity


def test_a_target_that_was_constant_is_learned_once_it_is_not(rng):
    X, Y = data(rng)
    model = MultiTaskMLPRegressor((20,), random_state=0, learning_rate_init=0.01).partial_fit(X, np.full_like(Y, 7.0))
    assert_array_equal(model.predict(X), 7.0)
    for _ in range(100):
        model.partial_fit(X, Y)
    assert model.score(X, Y) > 0.5


@pytest.mark.parametrize(("dtype", "size"), [(np.float64, 1e200), (np.float32, 1e30)])
def test_large_labels_are_learned_or_refused(dtype, size, rng):
    X, Y = data(rng)
    model = MultiTaskMLPRegressor((20,), max_iter=50, random_state=0).fit(X.astype(dtype), Y * size)
    assert np.isfinite(model.predict(X.astype(dtype))).all()
    with pytest.raises(ValueError, match=f"task 0 are too large for the type of X, {dtype.__name__}"):
        model.fit(X.astype(dtype), Y * (1e306 if dtype is np.float64 else 1e60))


@pytest.mark.parametrize("rule", ["equal", "samples", "uncertainty", "dwa"])
def test_one_class_only(rule, rng):
    X = rng.normal(size=(50, 2))
    model = MultiTaskMLPClassifier((5,), max_iter=5, task_weight=rule).fit(X, np.full(50, "only"))
    assert set(model.predict(X)) == {"only"}
    assert_array_equal(model.predict_proba(X), np.ones((50, 1)))
    ids = np.repeat([0, 1], 25)
    model = MultiTaskMLPClassifier((5,), max_iter=300, random_state=0).fit(
        X, np.where(ids, X[:, 0] > 0, True), task=ids
    )
    assert model.predict(X, task=np.zeros(50, dtype=int)).all()


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_x_must_be_finite(value, word, rng):
    X, Y = data(rng)
    X[3, 1] = value
    with pytest.raises(ValueError, match=word):
        MultiTaskMLPRegressor().fit(X, Y)


BAD = {
    "hidden_layer_sizes": [(), 0, (5, -1), "many", 2.5, np.array(5)],
    "activation": ["softsign"],
    "dropout": [1.0, -0.1],
    "batch_size": [0, "all"],
    "task_weight": ["famo", {0: -1.0}],
    "sharing": ["cross-stitch"],
    "max_norm": [0.0],
    "n_iter_no_change": [0, np.array([1.0, 2.0]), pd.NA],
    "random_state": [-1, 0.5, "seed"],
    "learning_rate_init": [0.0],
    "validation_fraction": [0.0, 1.0],
    "metrics": ["r2", {0: 5}],
    "callbacks": [5, [5], np.array(5)],
    "loss": ["absolute"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_parameters_out_of_range_are_named(name, value, rng):
    X, Y = data(rng)
    with pytest.raises(ValueError, match=f"The '{name}' parameter of MultiTaskMLPRegressor must be"):
        MultiTaskMLPRegressor(**{name: value}).fit(X, Y)


def test_bad_heads_labels_and_tasks_are_named(rng):
    X, Y = data(rng)
    for heads, y, message in [
        (None, Y, "'heads' parameter"),
        ({"a": "gaussian"}, {"a": Y[:, 0]}, "heads\\['a'\\] must be one of"),
        ({"a": "regression"}, {"b": Y[:, 0]}, "no labels of the heads 'a'"),
        ({"a": "poisson"}, {"a": Y[:, 0]}, "Poisson head 'a' must be >= 0"),
        ({"a": "multilabel"}, {"a": np.arange(200) % 3}, "must have shape"),
        ({"a": "multilabel"}, {"a": [["high"], ["high", "low"]] * 100}, "multilabel head 'a'.*MultiLabelBinarizer"),
        ({("a", 1): "regression"}, {("a", 1): Y[:, 0]}, "heads must have text or numbers for names.*'a', 1"),
        ({"a": "regression", "b": "classification"}, {"a": Y[:, 0], "b": Y[:, 0]}, "head 'b': .*continuous"),
        ({"a": "regression", "b": "multilabel"}, {"a": Y[:, 0], "b": Y[:, :2]}, "head 'b': .*continuous"),
        ({"a": "regression", "b": "huber"}, {"a": Y[:, 0], "b": ["high"] * 200}, "head 'b': y must be numeric"),
        ({"a": "classification"}, {"a": 3}, r"classification head 'a' must have shape \(n_samples,\). Got \(\)"),
        ({"a": "regression"}, Y, "a column for each of the heads"),
    ]:
        with pytest.raises(ValueError, match=message):
            MultiTaskMLP(heads).fit(X, y)
    with pytest.raises(ValueError, match="task_weight names unknown tasks: 9"):
        MultiTaskMLPRegressor(task_weight={9: 1.0}).fit(X, Y)
    with pytest.raises(ValueError, match="counts"):
        MultiTaskMLPRegressor(loss="poisson").fit(X, Y)
    with pytest.raises(ValueError, match="counts"):
        MultiTaskMLPRegressor(loss="poisson", max_iter=1).fit(X, abs(Y), validation_data=(X, Y))


# ---------------------------------------------------------------------------------- rows in dicts, weights, heads


def test_a_classifier_answers_a_dict_with_a_dict(rng):
    X, Y = data(rng)
    labels = np.digitize(Y[:, 0], [-0.5, 0.5])
    for y in (labels > 0, labels):
        parts = {"a": (X, y), "b": (X[:50, :2], y[:50])}
        model = MultiTaskMLPClassifier((5,), max_iter=3, random_state=0).fit(parts)
        mixed = MultiTaskMLP({"a": "classification", "b": "classification"}, (5,), max_iter=3, random_state=0)
        mixed.fit(parts)
        rows = {"a": X[:7], "b": X[:4, :2]}
        for method in ("predict", "predict_proba"):
            ours, theirs = getattr(model, method)(rows), getattr(mixed, method)(rows)
            assert ours.keys() == theirs.keys() == rows.keys()
            for t in rows:
                assert_allclose(ours[t], theirs[t])
        proba, logarithms = model.predict_proba(rows), model.predict_log_proba({"b": rows["b"]})
        assert_allclose(logarithms["b"], np.log(proba["b"]))
        assert list(logarithms) == ["b"]
        for call in (model.predict, model.score, mixed.predict_proba, mixed.score):
            with pytest.raises(ValueError, match="its keys are the task ids: task must be None"):
                call(parts if call.__name__ == "score" else rows, task=["a"] * 7)
        odds = np.subtract(*np.log(proba["a"]).T[::-1]) if y.dtype == bool else np.log(proba["a"])
        found = model.decision_function(rows)["a"]
        assert_allclose(found - found.mean(axis=-1, keepdims=True), odds - odds.mean(axis=-1, keepdims=True))


@pytest.mark.parametrize("Network", [MultiTaskMLPRegressor, MultiTaskMLPClassifier, MultiTaskMLP])
def test_the_score_of_a_dict_is_the_mean_over_tasks(Network, rng):
    X, Y = data(rng)
    y = np.round(Y)
    kind, metric = ("classification", accuracy_score) if Network is MultiTaskMLPClassifier else ("regression", r2_score)
    parts = {"a": (X, y[:, 0]), "b": (X[:50], y[:50, 1])}
    parameters = {"heads": dict.fromkeys(parts, kind)} if Network is MultiTaskMLP else {}
    model = Network(**parameters, max_iter=20, random_state=0).fit(parts)
    weight = {"a": rng.integers(0, 3, size=200)}
    predicted = model.predict({t: rows for t, (rows, _) in parts.items()})
    each = [metric(labels, predicted[t], sample_weight=weight.get(t)) for t, (_, labels) in parts.items()]
    assert_allclose(model.score(parts, sample_weight=weight), np.mean(each))
    rows, labels = ({t: part[k] for t, part in parts.items()} for k in (0, 1))
    assert_allclose(model.score(rows, labels, weight), np.mean(each))
    assert_allclose(model.score({"b": parts["b"]}), each[1])
    with pytest.raises(ValueError, match="sample_weight names unknown tasks: 'z'"):
        model.score(parts, sample_weight={"z": weight["a"]})
    with pytest.raises(ValueError, match=r"dict \{task: y\} of the same tasks"):
        model.score(rows, {"a": labels["a"]})
    with pytest.raises(ValueError, match="X is an empty dict"):
        model.score({})


def test_a_column_of_weight_zero_gets_the_mean_of_the_others(rng):
    X, Y = data(rng)
    Y += 1000
    weight = np.ones(Y.shape)
    weight[:, 1] = 0.0
    model = full_batch(task_weight={0: 1.0, 1: 2.0, 2: 1.0}).fit(X, Y, weight)
    others = full_batch().fit(X, Y[:, [0, 2]]).predict(X)
    assert_allclose(model.predict(X)[:, [0, 2]], others)
    assert_allclose(model.predict(X)[:, 1], others.mean(axis=1))
    labels, settings = Y > 1000, {"max_iter": 20, "random_state": 0}
    model = MultiTaskMLPClassifier((5,), **settings).fit(X, labels, weight)
    others = MultiTaskMLPClassifier((5,), **settings).fit(X, labels[:, [0, 2]]).decision_function(X)
    assert_allclose(model.decision_function(X)[:, [0, 2]], others)
    assert_allclose(model.decision_function(X)[:, 1], others.mean(axis=1))


def test_a_head_without_weight_has_nothing_to_learn_from(rng):
    X, Y = data(rng)
    ids = rng.choice(["a", "b"], size=200)
    model = MultiTaskMLP({"a": "regression", "b": "regression"}, max_iter=1)
    for y, weight, task in [(Y[:, :2], np.tile([1.0, 0.0], (200, 1)), None), (Y[:, 0], ids == "a", ids)]:
        with pytest.raises(ValueError, match="Task 'b', or a column of it, has no label of positive weight"):
            model.fit(X, y, weight, task=task)


def test_a_teacher_and_its_temperature_are_checked(rng):
    X, Y = rng.normal(size=(40, 3)), (rng.normal(size=(40, 2)) > 0).astype(int)
    sure = LogisticRegression().fit(X, Y[:, 0])
    several = MultiTaskMLPClassifier((3,), max_iter=1).fit(X, np.column_stack([Y, np.arange(40) % 3]))
    mixed = MultiTaskMLP({"a": "classification"}, (3,), max_iter=1).fit(X, {"a": Y[:, 0]})
    for head, message in (
        (distill(sure, "a"), r"temperature of the distilled head 'b' must be a float in the range \(0, inf\)"),
        (distill(sure, np.inf), r"temperature of the distilled head 'b' must be a float in the range \(0, inf\)"),
        (distill(Ridge().fit(X, Y)), "teacher of head 'b' must be a classifier with predict_proba. Got Ridge"),
        (distill(mixed), r"probabilities of one task, \(n_samples, n_classes\). Got a dict"),
        (distill(several), r"probabilities of one task, \(n_samples, n_classes\). Got a list"),
        (
            distill(MultiTaskMLPClassifier((3,), max_iter=1).fit(X, Y)),
            r"probabilities of one task.*Got shape \(40, 2\)",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            MultiTaskMLP({"b": head}).fit(X, {})
    for row in ([0.0, 0.0], [-0.1, 1.1], [np.nan, 1.0]):
        unsure = clone(sure).fit(X, Y[:, 0])
        unsure.predict_proba = lambda X, row=row: np.tile(row, (len(X), 1))
        with pytest.raises(ValueError, match=r"teacher of head 'b' must give probabilities, .* Got a row"):
            MultiTaskMLP({"b": distill(unsure)}).fit(X, {})
    cold = posed(MultiTaskMLP({"b": distill(sure, 1e-4)}), X, {}).problem.table.Y  # 0.9^10000 is 0 for a computer
    assert_array_equal(cold.argmax(axis=1), sure.predict(X))
    assert_allclose(cold.sum(axis=1), 1.0)


def test_a_clone_keeps_the_teacher(rng):
    X, Y = data(rng)
    teacher = LogisticRegression().fit(X, Y[:, 0] > 0)
    model = MultiTaskMLP({"a": "regression", "b": distill(teacher)}, (5,), max_iter=2)
    assert clone(model).heads["b"].teacher is teacher
    frame = pd.DataFrame({"a": Y[:, 0]})
    search = GridSearchCV(model, {"alpha": [0.1, 1.0]}, error_score="raise", cv=2).fit(X, frame)
    assert np.isfinite(search.best_score_)
    model.fit(X, frame)
    other = LogisticRegression().fit(X, np.where(Y[:, 0] > 0, "u", "v"))
    with pytest.raises(ValueError, match="teacher of head 'b' must have the classes of the last fit"):
        model.set_params(heads={"a": "regression", "b": distill(other)}, warm_start=True).fit(X, frame)


def test_rows_of_unknown_tasks_get_the_mean_of_heads_of_one_kind(rng):
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    ids = rng.choice(["a", "b"], size=60)
    some = np.where(np.arange(60) < 5, "z", ids)
    settings = {"max_iter": 3, "random_state": 0, "unknown_task": "shared"}
    model = MultiTaskMLP(dict.fromkeys("ab", "regression"), (5,), **settings).fit(X, y, task=ids)
    each = [model.predict(X[:5], task=np.full(5, t)) for t in "ab"]
    predicted = model.predict(X, task=some)
    assert_allclose(predicted[:5], np.mean(each, axis=0))
    assert_allclose(predicted[5:], model.predict(X, task=ids)[5:])
    assert_allclose(model.predict(X, task=np.full(60, "z"))[:5], predicted[:5])
    labels = np.where(y > 0, "yes", "no")
    model = MultiTaskMLP(dict.fromkeys("ab", "classification"), (5,), **settings).fit(X, labels, task=ids)
    alike = MultiTaskMLPClassifier((5,), **settings).fit(X, labels, task=ids)
    assert_array_equal(model.predict(X, task=some), alike.predict(X, task=some))
    for t, proba in model.predict_proba(X, task=some).items():
        assert_allclose(proba, alike.predict_proba(X, task=some)[some == t])
    model.fit(X, np.where(ids == "a", labels, "maybe"), task=ids)
    with pytest.raises(ValueError, match="no mean of these heads"):
        model.predict(X, task=some)


def test_an_ensemble_is_scored_by_what_it_predicts(rng):
    X, Y = data(rng)
    model = MultiTaskMLP({"a": "regression"}, (5,), max_iter=3, n_init=3, ensemble=True).fit(X, {"a": Y[:, 0]})
    assert_allclose(model.score(X, {"a": Y[:, 0]}), r2_score(Y[:, 0], model.predict(X)["a"]))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"heads": {"a": "regression"}}, {"heads": {"a": "classification"}}),
        ({"heads": {"a": "regression"}}, {"heads": {"a": "huber"}}),
        ({"heads": {"a": "huber"}}, {"delta": 3.0}),
        ({"heads": {"a": "regression"}}, {"standardize_y": False}),
        ({"loss": "squared"}, {"loss": "poisson"}),
        ({"loss": "huber"}, {"delta": 3.0}),
        ({"loss": "squared"}, {"standardize_y": False}),
    ],
    ids=str,
)
def test_another_loss_is_another_network(before, after, rng):
    X, Y = data(rng)
    y = np.round(np.exp(Y[:, 0]))
    Network = MultiTaskMLP if "heads" in before else MultiTaskMLPRegressor
    y = {"a": y} if "heads" in before else y
    model = Network(hidden_layer_sizes=(5,), max_iter=3, random_state=0, warm_start=True, **before).fit(X, y)
    with pytest.raises(ValueError, match="ask for another one"):
        clone(model).fit(X, y).set_params(**after).partial_fit(X, y)
    again = model.fit(X, y).set_params(**after).fit(X, y)
    assert again.n_iter_ == 3
    for a, b in zip(again.coefs_, clone(model).fit(X, y).coefs_, strict=True):
        assert_array_equal(a, b)


def test_columns_have_the_names_and_the_order_of_the_fit(rng):
    X, Y = data(rng)
    frame, y = pd.DataFrame(X, columns=list("pqrs")), {"a": Y[:, 0]}
    other, parts = frame[list("srqp")], {"a": (frame, Y[:, 0]), "b": (frame[["r", "q"]], Y[:, 1])}
    mixed = MultiTaskMLP({"a": "regression"}, (5,), max_iter=1).fit(frame, y)
    apart = MultiTaskMLPRegressor((5,), max_iter=1).fit(parts)
    heads = MultiTaskMLP(dict.fromkeys("ab", "regression"), (5,), max_iter=1).fit(parts)
    for call in (
        lambda: mixed.score(other, y),
        lambda: mixed.partial_fit(other, y),
        lambda: MultiTaskMLPRegressor((5,), early_stopping=True).fit(frame, Y, validation_data=(other, Y)),
        lambda: apart.predict({"a": other}),
        lambda: apart.score({"a": (other, Y[:, 0])}),
        lambda: apart.partial_fit({"a": (other, Y[:, 0])}),
        lambda: clone(apart).set_params(early_stopping=True).fit(parts, validation_data={"a": (other, Y[:, 0])}),
        lambda: heads.score({"a": (other, Y[:, 0])}),
        lambda: heads.partial_fit({"a": (other, Y[:, 0])}),
    ):
        with pytest.raises(ValueError, match="feature names"):
            call()
    assert_array_equal(mixed.feature_names_in_, list("pqrs"))
    with pytest.raises(ValueError, match="X has 2 features, but MultiTaskMLP is expecting 4"):
        clone(mixed).fit(X, y).score(X[:, :2], y)


def test_weights_of_heads_are_found_by_name(rng):
    """As labels are; without names they are in the order of the heads."""
    X, w = rng.normal(size=(30, 3)), rng.uniform(0.5, 2.0, size=(30, 2))
    y = {"a": rng.normal(size=(30, 2)), "b": rng.normal(size=30)}
    model = MultiTaskMLP(dict.fromkeys("ab", "regression"), (4,), max_iter=3, random_state=0)
    expected = model.fit(X, y, w).predict(X)["a"]
    for weight in (dict(zip("ab", w.T, strict=True)), pd.DataFrame(w[:, ::-1], columns=["b", "a"])):
        assert_array_equal(model.fit(X, y, weight).predict(X)["a"], expected)
    for shape in ((30, 3), (29,), ()):  # the first has as many as there are columns of labels
        with pytest.raises(ValueError, match=r"each of the heads 'a', 'b'. Got sample_weight"):
            model.fit(X, y, np.ones(shape))


@pytest.mark.parametrize("names", [(0, 1), (3, 2), ("a", "tags")], ids=str)
def test_columns_of_labels_are_found_by_name(names, rng):
    """A number is a name in pandas, too; one column is enough for tags."""
    number, tag = names
    X = rng.normal(size=(60, 3))
    y = pd.DataFrame({tag: X[:, 0] > 0, number: X[:, 1]})
    heads = {number: "regression", tag: "multilabel"}
    predicted = MultiTaskMLP(heads, max_iter=100, learning_rate_init=0.01, random_state=0).fit(X, y).predict(X)
    assert r2_score(X[:, 1], predicted[number]) > 0.5
    assert predicted[tag].shape == (60, 1)
    assert predicted[tag].dtype == bool


@pytest.mark.parametrize("layout", ["frame", "dict", "parts"])
@pytest.mark.parametrize("kind", ["regression", "multilabel"])
def test_columns_of_a_head_in_another_order_are_refused(kind, layout, rng):
    """They would be taken for one another; without names they are those of the fit."""
    X = rng.normal(size=(30, 3))
    labels = pd.DataFrame(X[:, :2] > 0 if kind == "multilabel" else X[:, :2], columns=["a_1", "a_2"])

    def pair(labels):
        return {"frame": (X, labels), "dict": (X, {"a": labels}), "parts": ({"a": (X, labels)}, None)}[layout]

    model = MultiTaskMLP({"a": kind}, (4,), max_iter=2, random_state=0).fit(*pair(labels))
    swapped = pair(labels[["a_2", "a_1"]])
    for use in (model.score, model.partial_fit):
        with pytest.raises(ValueError, match=r"labels of the head 'a' should be in the order of fit, 'a_1', 'a_2'"):
            use(*swapped)
    if layout == "dict":
        assert model.score(*pair(labels.to_numpy())) == model.score(*pair(labels))


def test_text_and_numbers_are_no_classes_of_one_kind(rng):
    X, Y = data(rng)
    labels = {"a": (X, (Y[:, 0] > 0).astype(int)), "b": (X, np.where(Y[:, 1] > 0, "u", "v"))}
    with pytest.raises(ValueError, match=r"all text, all numbers or all booleans. Got int, str"):
        MultiTaskMLPClassifier().fit(labels)


def test_a_column_belongs_to_the_head_with_the_longest_name_that_fits(rng):
    X, Y = data(rng)
    frame = pd.DataFrame(Y, columns=["size_a", "size_b", "size_b_x"]).assign(
        size_b_flag=np.where(Y[:, 0] > 0, "u", "v")
    )
    heads = {"size": "regression", "size_b_flag": "classification"}
    predicted = MultiTaskMLP(heads, (5,), max_iter=1).fit(X, frame).predict(X)
    assert predicted["size"].shape == (200, 3)
    assert set(predicted["size_b_flag"]) <= {"u", "v"}
    heads = {"size_b": "regression", "size": "regression", "size_b_flag": "classification"}
    predicted = MultiTaskMLP(heads, (5,), max_iter=1).fit(X, frame).predict(X)
    assert [y.shape for y in predicted.values()] == [(200,), (200,), (200,)]


def test_a_label_that_fit_did_not_see_counts_as_wrong(rng):
    X, Y = data(rng)
    seen = {"a": np.where(Y[:, 0] > 0, "u", "v"), "b": np.digitize(Y[:, 1], [-0.5, 0.5]), "c": Y[:, :2] > 0}
    heads = {"a": "classification", "b": "classification", "c": "multilabel"}
    model = MultiTaskMLP(heads, (20,), max_iter=50, random_state=0).fit(X, seen)
    new = {"a": seen["a"].copy(), "b": seen["b"].copy(), "c": seen["c"]}
    new["a"][:100], new["b"][:50] = "w", 7
    predicted, scores = model.predict(X), model.head_scores(X, new)
    for t in "abc":
        assert_allclose(scores[t], (predicted[t] == new[t]).mean())
    assert scores["a"] < 0.6
    assert model.head_scores(X, {**seen, "a": Y[:, 0] > 0, "b": seen["a"]}) == {"a": 0.0, "b": 0.0, "c": scores["c"]}
    model.set_params(metrics={"a": lambda y, p: float(set(y) == {"u", "v", "w"})})
    assert model.head_scores(X, new)["a"] == 1.0
    with pytest.raises(ValueError, match="labels that neither the last fit nor classes had: 'w'"):
        model.partial_fit(X, new)


def test_scores_of_numbers_are_those_of_scikit_learn(rng):
    """Of several columns the mean, whatever their units, each over its labels; nan of one number, 0 of equal ones."""
    X, weight = rng.normal(size=(60, 3)), rng.uniform(0.5, 2.0, size=60)
    y = {"a": np.column_stack([X[:, 0], 1000 * rng.normal(size=60)]), "n": rng.poisson(np.exp(X[:, :2])).astype(float)}
    model = MultiTaskMLP({"a": "regression", "n": "poisson"}, max_iter=50, random_state=0).fit(X, y)
    y["a"][:20, 1] = np.nan
    scores, predicted = model.head_scores(X, y, weight), model.predict(X)
    for name, score in {"a": r2_score, "n": lambda *args, **kwargs: d2_tweedie_score(*args, **kwargs, power=1)}.items():
        parts = [(~np.isnan(y[name][:, c]), y[name][:, c], predicted[name][:, c]) for c in range(2)]
        each = [score(truth[rows], guess[rows], sample_weight=weight[rows]) for rows, truth, guess in parts]
        assert_allclose(scores[name], np.mean(each))
    assert np.isnan(list(model.head_scores(X[:1], {name: labels[:1] for name, labels in y.items()}).values())).all()
    assert model.head_scores(X, {"a": np.full((60, 2), 0.1), "n": y["n"]})["a"] == 0.0


def test_metrics_get_labels(rng):
    X, Y = data(rng)
    text = np.where(Y > 0, "u", "v")
    tags = (Y[:, :2] > 0).astype(float)
    tags[::2, 0], tags[1::2, 1] = np.nan, np.nan  # no row has all labels
    teacher = LogisticRegression().fit(X, text[:, 0])
    heads = {"a": "classification", "b": "regression", "c": distill(teacher), "d": "multilabel"}
    y = {"a": text[:, 0], "b": Y[:, 0], "d": tags}
    seen = {t: [] for t in heads}
    metrics = {t: lambda *pair, t=t: seen[t].append(pair) or 0.5 for t in heads}
    model = MultiTaskMLP(heads, (5,), max_iter=1, metrics=metrics).fit(X, y, validation_data=(X, y))
    predicted = model.predict(X)
    model = model.set_params(early_stopping=True)
    scores, truth = model.head_scores(X, y), y | {"c": teacher.predict(X)}
    for t in "abc":
        assert_allclose(seen[t][-1][0], truth[t]) if t == "b" else assert_array_equal(seen[t][-1][0], truth[t])
        assert_array_equal(seen[t][-1][1], predicted[t])
        assert scores[t] == 0.5
    assert seen["d"] == []
    assert np.isnan(scores["d"])
    wide = MultiTaskMLPClassifier(
        (5,), max_iter=1, early_stopping=True, metrics=lambda y, p: f1_score(y, p, pos_label="u")
    )
    assert 0 <= wide.fit(X, text).validation_scores_[0][0] <= 1


def test_names_that_are_no_tasks_are_refused(rng):
    X, Y = data(rng)
    for parameters in ({"metrics": {"z": r2_score}}, {"features": {0: [0], 1: [1], 2: [2], "z": [0]}}):
        with pytest.raises(ValueError, match=f"{next(iter(parameters))} names unknown tasks: 'z'"):
            MultiTaskMLPRegressor(**parameters).fit(X, Y)
    for model, data_of_fit in [
        (MultiTaskMLPRegressor(), ({"a": (X, Y[:, 0])},)),
        (MultiTaskMLP({"a": "regression"}), (X, {"a": Y[:, 0]})),
    ]:
        with pytest.raises(ValueError, match="sample_weight names unknown tasks: 'z'"):
            model.fit(*data_of_fit, sample_weight={"z": np.ones(200)})


def test_weights_by_name_are_one_for_every_row(rng):
    """Where a dict says nothing, they are 1."""
    X, Y = data(rng)
    model, y = MultiTaskMLP(dict.fromkeys("ab", "regression"), (4,), max_iter=1), {"a": Y[:, 0], "b": Y[:, 1]}
    model.set_params(random_state=0)
    expected = model.fit(X, y).predict(X)["b"]
    assert_allclose(model.fit(X, y, {}).predict(X)["b"], expected)
    for weight in (np.ones(199), 2.0):
        with pytest.raises(ValueError, match=r"sample_weight\['b'\] must have shape \(200,\)"):
            model.fit(X, y, {"b": weight})


def test_initialize_forgets_the_last_fit(rng):
    X, Y = data(rng)
    model = MultiTaskMLPClassifier((5,), max_iter=1).fit(X, Y > 0)
    again = model.initialize(X, np.where(Y[:, :2] > 0, "u", "v"))
    assert_array_equal(again.classes_, [["u", "v"]] * 2)
    assert again.predict(X).shape == (200, 2)


def test_heads_that_changed_since_the_fit_have_no_score(rng):
    X, Y = data(rng)
    model = MultiTaskMLP({"a": "regression"}, (5,), max_iter=1).fit(X, {"a": np.round(Y[:, 0])})
    with pytest.raises(ValueError, match="kinds of labels of the fit"):
        model.set_params(heads={"a": "classification"}).score(X, {"a": np.round(Y[:, 0])})


def test_features_are_those_of_the_fit(rng):
    """Whatever becomes of the parameter; other ones are another network."""
    X, Y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    features = {0: [0, 1], 1: [1, 2]}
    model = MultiTaskMLPRegressor((4,), features=features, max_iter=3, warm_start=True, random_state=0).fit(X, Y)
    predicted, score = model.predict(X), model.score(X, Y)
    features[0] = [2, 0]
    assert_array_equal(model.predict(X), predicted)
    model.set_params(features={0: [1, 2], 1: [0, 1]})
    assert_array_equal(model.predict(X), predicted)
    assert model.score(X, Y) == score
    with pytest.raises(ValueError, match="ask for another one"):
        model.partial_fit(X, Y)
    assert model.fit(X, Y).n_iter_ == 3
    mask = MultiTaskMLPRegressor(features={0: np.array([True, False, True]), 1: [0]})
    with pytest.raises(ValueError, match=r"features\[0\] must hold column names or positions of 3 features. Got True"):
        mask.fit(X, Y)


def test_bad_columns_and_pairs_are_named(rng):
    X, Y = data(rng)
    two = MultiTaskMLP({"a": "regression", "b": "classification"})
    apart = MultiTaskMLPRegressor((5,), max_iter=1).fit({"a": (X, Y[:, 0])})
    for call, message in [
        (lambda: MultiTaskMLPRegressor(features={0: [], 1: [1], 2: [2]}).fit(X, Y), r"features\[0\] is empty"),
        (lambda: two.fit(X, {"a": Y[:, 0], "b": Y[:50, 1] > 0}), r"Got \[200, 50\] labels of 'a', 'b'"),
        (lambda: two.fit(X, {"a": Y[:, 0], "b": Y > 0}), r"head 'b' must have shape \(n_samples,\)"),
        (lambda: apart.predict({"a": (X, Y[:, 0])}), r"X\['a'\] must be the rows of a task, without labels"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_later_rows_may_have_one_label_of_every_column_only(rng):
    """Whatever the labels of other columns are: a chunk, rows to validate on, and rows to score."""
    X = rng.normal(size=(40, 2))
    tags = np.column_stack([np.where(X[:, 0] > 0, "p", "q"), np.where(X[:, 1] > 0, "r", "s")])
    few = np.flatnonzero((tags == ["p", "r"]).all(axis=1)), np.flatnonzero(tags[:, 0] == "p")
    heads, settings = {"tags": "multilabel"}, {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}
    model = MultiTaskMLP(heads, **settings).fit(X, {"tags": tags})
    announced = MultiTaskMLP(heads, **settings)
    for rows in few:
        part = X[rows], {"tags": tags[rows]}
        accuracy = np.mean(model.predict(X[rows])["tags"] == tags[rows])
        assert_allclose(model.score(*part), accuracy)
        score = clone(model).fit(X, {"tags": tags}, validation_data=part).validation_scores_["tags"][-1]
        assert_allclose(score, accuracy)
        announced.partial_fit(*part, classes={"tags": [["p", "q"], ["r", "s"]]})
        assert [own.tolist() for own in announced.classes_["tags"]] == [["p", "q"], ["r", "s"]]
    with pytest.raises(ValueError, match=r"labels that neither the last fit nor classes had: 'r'. Known are 'p', 'q'"):
        announced.partial_fit(X[:2], {"tags": [["r", "p"], ["r", "p"]]})
    assert model.score(X[:2], {"tags": [["z", "r"], ["z", "s"]]}) <= 0.5


def test_classes_to_come_are_announced(rng):
    X, Y = data(rng)
    labels = (Y > 0).astype(int)
    classifier = MultiTaskMLPClassifier((5,)).partial_fit(X, np.zeros_like(labels), classes=[0, 1])
    assert_array_equal(classifier.partial_fit(X, labels).classes_, [[0, 1]] * 3)
    with pytest.raises(ValueError, match="labels that neither the last fit nor classes had: 1"):
        MultiTaskMLPClassifier().partial_fit(X, labels, classes=[0])
    with pytest.raises(ValueError, match=r"one for each of the 3 columns of y\. Got 2"):
        MultiTaskMLPClassifier().partial_fit(X, labels, classes=[[0, 1], [0, 1]])
    heads = {"a": "classification", "b": "multilabel", "c": "regression"}
    y = {"a": np.where(Y[:, 0] > 0, "u", "v"), "b": Y[:, :2] > 0, "c": Y[:, 0]}
    first = {"a": np.full(200, "u"), "b": np.ones((200, 2), dtype=bool), "c": Y[:, 0]}
    classes = {"a": ["w", "u", "v"], "b": [[False, True]] * 2}
    for announced in (classes, {**classes, "a": np.array(classes["a"])}):
        model = MultiTaskMLP(heads, (5,)).partial_fit(X, first, classes=announced).partial_fit(X, y)
        assert_array_equal(model.classes_["a"], ["u", "v", "w"])
        assert_array_equal(model.classes_["b"], [[False, True]] * 2)
    with pytest.raises(ValueError, match="labels that neither the last fit nor classes had: 'v'"):
        MultiTaskMLP(heads).partial_fit(X, y, classes={"a": ["u"]})
    with pytest.raises(ValueError, match="classes names unknown tasks: 'z'"):
        MultiTaskMLP(heads).partial_fit(X, y, classes={"z": ["u"]})
    with pytest.raises(ValueError, match="'c', whose head takes none"):
        MultiTaskMLP(heads).partial_fit(X, y, classes={"c": [1, 2]})
    assert model.fit(X, first).classes_["a"].tolist() == ["u"]


@pytest.mark.parametrize(
    ("heads", "classes", "message"),
    [
        (None, "uv", "classes must be a list of labels. Got 'uv'"),
        (None, {"u"}, "classes must be a list of labels. Got {'u'}"),
        (None, {"u": 1}, "classes must be a list of labels. Got {'u': 1}"),
        (None, 3, "classes must be a list of labels. Got 3"),
        ("classification", {"a": {"u"}}, r"classes\['a'\] must be a list of labels. Got {'u'}"),
        ("classification", {"a": None}, r"classes\['a'\] must be a list of labels. Got None"),
        ("multilabel", {"a": None}, r"classes\['a'\] must be a list of labels for every column. Got None"),
        ("multilabel", {"a": ["u", "v"]}, r"classes\['a'\]\[0\] must be a list of labels. Got 'u'"),
        ("multilabel", {"a": [["u", "v", "w"]]}, "multilabel head 'a' must have two labels; got 'u', 'v', 'w'"),
    ],
    ids=str,
)
def test_what_announces_classes_is_a_list(heads, classes, message, rng):
    X, y = rng.normal(size=(4, 2)), np.array(["u", "v"] * 2)
    network = MultiTaskMLPClassifier((2,)) if heads is None else MultiTaskMLP({"a": heads}, (2,))
    with pytest.raises(ValueError, match=message):
        network.partial_fit(X, y if heads is None else {"a": y[:, None]}, classes=classes)


@pytest.mark.parametrize(
    "network",
    [MultiTaskMLPRegressor((5,), task=0), MultiTaskMLP(dict.fromkeys((0.0, 1.0), "regression"), (5,), task=0)],
)
def test_a_later_task_column_must_be_the_first_one(network, rng):
    X, Y = data(rng)
    X[:, :2] = X[:, :2] > 0
    network = clone(network).partial_fit(X, Y[:, 0])
    with pytest.raises(ValueError, match=r"changed since fit, to 1, .*set_params\(task=0\)"):
        network.set_params(task=1).partial_fit(X, Y[:, 0])


def test_later_classes_must_be_the_first_ones(rng):
    X, Y = data(rng)
    labels = (Y > 0).astype(int)
    one = MultiTaskMLPClassifier((5,)).partial_fit(X, np.zeros(200, dtype=int), task=labels[:, 1])
    wide = MultiTaskMLPClassifier((5,)).partial_fit(X, labels, classes=[0, 1])
    mixed = MultiTaskMLP({"a": "classification", "b": "multilabel"}, (5,)).fit(X, y := {"a": labels[:, 0], "b": labels})
    wide.partial_fit(X, labels, classes=[[1, 0]] * 3)
    mixed.partial_fit(X, y, classes={"a": [1, 0]}).partial_fit(X, y, classes={"b": [[0, 1]] * 3})
    for call, message in [
        (
            lambda: one.partial_fit(X, labels[:, 0], classes=[0, 1], task=labels[:, 1]),
            r"first call, \[0\]\. Got \[0, 1\]",
        ),
        (lambda: wide.partial_fit(X, labels, classes=[0, 1, 2]), r"first call, \[\[0, 1\], \[0, 1\], \[0, 1\]\]\. Got"),
        (lambda: wide.partial_fit(X, labels[:, 0], classes=[0, 1]), "layout of the last fit"),
        (lambda: mixed.partial_fit(X, y, classes={"a": [0, 1, 2]}), r"classes\['a'\] must be .* \[0, 1\]\. Got"),
        (lambda: mixed.partial_fit(X, y, classes={"b": [[0, 2]] * 3}), r"classes\['b'\] must be those"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_scikit_learn_passes_task_ids_on_to_all_methods():
    routing = MultiTaskMLP().get_metadata_routing()
    for method in ("fit", "partial_fit", "predict", "predict_proba", "score"):
        assert getattr(routing, method).requests["task"] is True


def test_a_delta_that_no_head_has_changes_nothing(rng):
    X, Y = data(rng)
    model = MultiTaskMLPRegressor((5,), max_iter=3, warm_start=True).fit(X, Y)
    assert model.set_params(delta=3.0).fit(X, Y).n_iter_ == 6
