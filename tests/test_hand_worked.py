"""The example of docs/guide/network_by_hand.md: three rows, two tasks, one step of 0.1, every number by hand."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl.neural import MultiTaskMLP, MultiTaskMLPClassifier, MultiTaskMLPRegressor

X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
Y = {"side": np.array([0, 1, 1]), "number": np.array([1.0, 0.0, 1.0])}
HIDDEN = np.array([[1.0, -1.0], [-1.0, 1.0]])
HEAD = np.array([1.0, -1.0])

S = 1 / (1 + math.exp(-1))  # sigmoid(1) = 0.731
LOG_LOSS = (2 * math.log(1 + math.e) + math.log(2)) / 3  # of outputs 1, -1, 0 for the classes 0, 1, 1
HALF_SQUARE = (0 + 1 / 2 + 1 / 2) / 3  # of outputs 1, -1, 0 for the numbers 1, 0, 1
RATE = 0.1
STEP = RATE * S / 3  # of all weights that change for the side
THIRD = RATE / 3

ONE_STEP = {"solver": "sgd", "momentum": 0.0, "learning_rate_init": RATE, "alpha": 0.0, "batch_size": 6}
HEADS = {"side": "classification", "number": "regression"}


def set_weights(model, hidden, head):
    """No biases; a hidden layer for all tasks or one for each; a head of all tasks, one column each."""
    layers = model.coefs_[0]
    for layer in layers.values() if isinstance(layers, dict) else [layers]:
        layer[:] = hidden
    model.coefs_[1][:] = head
    for biases in model.intercepts_:
        for b in biases.values() if isinstance(biases, dict) else [biases]:
            b[:] = 0.0


def network(sharing):
    model = MultiTaskMLP(HEADS, (2,), sharing=sharing, standardize_y=False, **ONE_STEP).initialize(X, Y)
    set_weights(model, HIDDEN, np.column_stack([HEAD, HEAD]))
    return model


def classifier():
    model = MultiTaskMLPClassifier((2,), **ONE_STEP).initialize(X, Y["side"])
    set_weights(model, HIDDEN, HEAD[:, None])
    return model


def regressor(activation, hidden, head):
    model = MultiTaskMLPRegressor((len(head),), activation=activation, standardize_y=False, **ONE_STEP)
    model.initialize(X, Y["number"])
    set_weights(model, hidden, head[:, None])
    return model


def test_the_classification_task():
    """Pre-activations (1, -1), (-1, 1), (0, 0); outputs 1, -1, 0; residuals (p - y) / 3 = S / 3, -S / 3, -1 / 6."""
    model = classifier()
    assert_allclose(model.predict_proba(X)[:, 1], [S, 1 - S, 0.5], rtol=1e-14)
    assert_array_equal(model.predict(X), [1, 0, 0])  # an output of 0 is no vote for the second class
    model.partial_fit(X, Y["side"])
    assert_allclose(model.loss_, LOG_LOSS, rtol=1e-14)
    assert_allclose(LOG_LOSS, 1.106557, atol=1e-6)
    assert_allclose(model.coefs_[0], HIDDEN - STEP * np.eye(2), rtol=1e-14)
    assert_allclose(model.coefs_[1][:, 0], HEAD * (1 - STEP), rtol=1e-14)
    assert_allclose(model.intercepts_[0], [-STEP, -STEP], rtol=1e-14)
    assert_allclose(model.intercepts_[1], [RATE / 6], rtol=1e-14)


def test_the_regression_task():
    """Outputs 1, -1, 0; residuals (o - y) / 3 = 0, -1 / 3, -1 / 3."""
    model = regressor("identity", [[1.0], [-1.0]], np.array([1.0]))
    assert_allclose(model.predict(X), [1, -1, 0], rtol=1e-13, atol=1e-15)
    model.partial_fit(X, Y["number"])
    assert_allclose(model.loss_, HALF_SQUARE, rtol=1e-14)
    assert_allclose(model.coefs_[0][:, 0], [1 + THIRD, -1 + 2 * THIRD], rtol=1e-14)
    assert_allclose(model.coefs_[1], [[1 - THIRD]], rtol=1e-14)
    assert_allclose(model.intercepts_[0], [2 * THIRD], rtol=1e-14)
    assert_allclose(model.intercepts_[1], [2 * THIRD], rtol=1e-14)


@pytest.mark.parametrize("sharing", ["shared", "private"])
def test_both_tasks_in_one_network_before_the_step(sharing):
    """As z = relu(z) - relu(-z), the hidden layer of the classes serves the numbers as well."""
    model = network(sharing)
    prediction = model.predict(X)
    assert_array_equal(prediction["side"], [1, 0, 0])
    assert_allclose(prediction["number"], [1, -1, 0], rtol=1e-13, atol=1e-15)
    assert_allclose(model.predict_proba(X)["side"][:, 1], [S, 1 - S, 0.5], rtol=1e-14)
    model.partial_fit(X, Y)
    assert_allclose(model.loss_curve_["side"], [LOG_LOSS], rtol=1e-14)
    assert_allclose(model.loss_curve_["number"], [HALF_SQUARE], rtol=1e-14)
    assert_allclose(model.loss_, LOG_LOSS + HALF_SQUARE, rtol=1e-14)


def test_with_private_trunks_a_step_on_the_sum_is_two_separate_steps():
    model = network("private").partial_fit(X, Y)
    one = classifier().partial_fit(X, Y["side"])
    other = regressor("relu", HIDDEN, HEAD).partial_fit(X, Y["number"])
    for name, alone, column in (("side", one, 0), ("number", other, 1)):
        assert_allclose(model.coefs_[0][name], alone.coefs_[0], rtol=1e-14)
        assert_allclose(model.intercepts_[0][name], alone.intercepts_[0], rtol=1e-14)
        assert_allclose(model.coefs_[1][:, column], alone.coefs_[1][:, 0], rtol=1e-14)
        assert_allclose(model.intercepts_[1][column], alone.intercepts_[1][0], rtol=1e-14)
    assert_allclose(model.coefs_[0]["side"], HIDDEN - STEP * np.eye(2), rtol=1e-14)
    assert_allclose(model.coefs_[0]["number"], HIDDEN - THIRD * np.diag([0, 1]), rtol=1e-14)


def test_with_a_shared_trunk_the_steps_add_up():
    shared, private = network("shared").partial_fit(X, Y), network("private").partial_fit(X, Y)
    assert_allclose(shared.coefs_[0], HIDDEN - STEP * np.eye(2) - THIRD * np.diag([0, 1]), rtol=1e-14)
    assert_allclose(shared.coefs_[1], [[1 - STEP, 1.0], [STEP - 1, THIRD - 1]], rtol=1e-14)
    assert_allclose(shared.coefs_[1], private.coefs_[1], rtol=1e-14)  # heads do not yet know of one another
    for name in HEADS:
        assert np.abs(shared.coefs_[0] - private.coefs_[0][name]).max() > 0.02
        assert np.abs(shared.predict_proba(X)["side"] - private.predict_proba(X)["side"]).max() > 1e-3


def same(model, other, levels=(0, 1), kinds=(0, 1)):
    for task in HEADS:
        mine, theirs = model.task_layers(task), other.task_layers(task)
        for level in levels:
            for kind in kinds:
                assert_allclose(mine[level][kind], theirs[level][kind], rtol=1e-14)


@pytest.mark.parametrize("sharing", ["shared", "private"])
def test_rows_of_one_task_each_take_the_same_step(sharing):
    """A batch of six rows, three of each task: the mean losses are the same, and so is their sum."""
    rows, ids = np.vstack([X, X]), np.repeat(list(HEADS), 3)
    labels = np.concatenate([Y[task].astype(object) for task in HEADS])
    model = MultiTaskMLP(HEADS, (2,), sharing=sharing, standardize_y=False, **ONE_STEP)
    model.initialize(rows, labels, task=ids)
    set_weights(model, HIDDEN, np.column_stack([HEAD, HEAD]))
    same(model.partial_fit(rows, labels, task=ids), network(sharing).partial_fit(X, Y))


def test_tasks_with_an_x_each_share_what_comes_behind_their_weights():
    """The first weights step as private ones, the biases of the hidden units as shared ones."""
    parts = {name: (X, y) for name, y in Y.items()}
    model = MultiTaskMLP(HEADS, (2,), standardize_y=False, **ONE_STEP).initialize(parts)
    set_weights(model, HIDDEN, np.column_stack([HEAD, HEAD]))
    model.partial_fit(parts)
    shared, private = network("shared").partial_fit(X, Y), network("private").partial_fit(X, Y)
    same(model, private, levels=[0], kinds=[0])
    same(model, shared, levels=[0], kinds=[1])
    same(model, shared, levels=[1])


def test_twice_the_weight_is_twice_the_step():
    """Weights sum to the number of tasks: 4 / 3 and 2 / 3."""
    model = network("shared").set_params(task_weight={"side": 2.0, "number": 1.0}).partial_fit(X, Y)
    expected = HIDDEN - 4 / 3 * STEP * np.eye(2) - 2 / 3 * THIRD * np.diag([0, 1])
    assert_allclose(model.coefs_[0], expected, rtol=1e-14)
