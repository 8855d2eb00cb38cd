"""The picture of training shows the curves that the networks publish."""

import sys

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MultiTaskMLP, MultiTaskMLPRegressor
from skmtl.neural import TrainingDisplay


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.fixture(scope="module")
def rows():
    X = np.random.default_rng(0).normal(size=(120, 3))
    return X, np.column_stack([X[:, 0] * X[:, 1], np.abs(X[:, 2])])


def trained(rows, **settings):
    return MultiTaskMLPRegressor((8,), max_iter=7, random_state=0, **settings).fit(*rows)


def assert_shows(lines, curves):
    assert list(lines) == list(curves)
    for task, curve in curves.items():
        epochs, values = lines[task].get_data()
        np.testing.assert_array_equal(epochs, np.arange(1, len(curve) + 1))
        np.testing.assert_array_equal(values, curve)


def test_the_panels_show_the_fitted_curves(plt, rows):
    model = trained(rows, early_stopping=True, task_weight="uncertainty")
    display = TrainingDisplay.from_estimator(model)
    losses, scores, weights = display.lines_
    assert_shows(losses, model.loss_curve_)
    assert_shows(scores, model.validation_scores_)
    assert_shows(weights, model.task_weights_curve_)
    assert len(display.figure_.axes) == len(display.axes_) == 3
    titles = [ax.get_title() for ax in display.axes_]
    assert titles == ["training loss", "validation score", "weight in the loss"]
    display.figure_.canvas.draw()


def test_without_validation_there_are_two_panels(plt, rows):
    display = TrainingDisplay.from_estimator(trained(rows))
    assert [ax.get_title() for ax in display.axes_] == ["training loss", "weight in the loss"]
    assert [text.get_text() for text in display.axes_[0].get_legend().get_texts()] == ["0", "1"]


def test_a_single_epoch_is_points(plt, rows):
    """Of one there is no line to see; and there is no epoch 0.98."""
    X, Y = rows
    model = MultiTaskMLPRegressor((4,), max_iter=1, random_state=0).fit(X, Y, validation_data=(X, Y))
    for markers in ["o", "o", "o"], ["None", "o", "None"]:
        display = TrainingDisplay.from_estimator(model)
        assert [{line.get_marker() for line in panel.values()} for panel in display.lines_] == [{m} for m in markers]
        assert all(tick == round(tick) for tick in display.axes_[0].get_xticks())
        model.partial_fit(X, Y)


def test_a_pipeline_and_mixed_heads(plt, rows):
    X, Y = rows
    heads = {"number": "regression", "sign": "classification"}
    network = MultiTaskMLP(heads, (8,), max_iter=5, random_state=0)
    model = make_pipeline(StandardScaler(), network).fit(X, {"number": Y[:, 1], "sign": np.sign(Y[:, 0])})
    display = TrainingDisplay.from_estimator(model, linestyle=":")
    assert_shows(display.lines_[0], model[-1].loss_curve_)
    assert display.lines_[0]["sign"].get_linestyle() == ":"


def test_axes_are_divided_or_taken(plt, rows):
    model = trained(rows)
    fig, axes = plt.subplots(2, 2)
    divided = TrainingDisplay.from_estimator(model, axes[0, 0])
    assert divided.figure_ is fig
    assert len(fig.axes) == 6
    taken = TrainingDisplay.from_estimator(model, ax=axes[1])
    assert taken.axes_[0] is axes[1, 0]
    assert len(fig.axes) == 6
    with pytest.raises(ValueError, match=r"one for each of the 2 panels\. Got 4"):
        taken.plot(axes)
    free = TrainingDisplay.from_estimator(model, fig.add_axes([0.5, 0.25, 0.5, 0.5]))  # in no grid
    places = np.array([ax.get_position().extents for ax in free.axes_])
    np.testing.assert_allclose([places[0, 0], *places[1, 1:]], [0.5, 0.25, 1.0, 0.75])


def test_many_tasks_are_thin_lines_and_their_mean(plt, rng):
    curves = {f"t{t}": rng.uniform(size=5) for t in range(11)}
    scores = curves | {"t3": np.full(5, np.nan)}  # no rows to validate on
    display = TrainingDisplay(losses=curves, weights=curves, scores=scores).plot()
    *thin, mean = display.axes_[1].get_lines()
    assert len(thin) == 11
    np.testing.assert_allclose(mean.get_ydata(), np.nanmean(list(scores.values()), axis=0))
    assert [text.get_text() for text in display.axes_[1].get_legend().get_texts()] == ["mean of tasks"]


@pytest.mark.parametrize(("last", "scale"), [(0.2, "linear"), (0.05, "log"), (-1.0, "linear")])
def test_losses_that_fall_far_have_a_logarithmic_axis(plt, last, scale):
    display = TrainingDisplay(losses={"a": np.array([1.0, last])}, weights={"a": np.ones(2)}).plot()
    assert display.axes_[0].get_yscale() == scale


def test_errors_say_what_was_expected(rows, monkeypatch):
    with pytest.raises(TypeError, match=r"expects a network.*Got LinearRegression"):
        TrainingDisplay.from_estimator(LinearRegression().fit(*rows))
    with pytest.raises(NotFittedError):
        TrainingDisplay.from_estimator(MultiTaskMLPRegressor())
    with pytest.raises(ValueError, match="not been trained for an epoch"):
        TrainingDisplay.from_estimator(MultiTaskMLPRegressor().initialize(*rows))
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"needs matplotlib: pip install 'skmtl\[plot\]'"):
        TrainingDisplay.from_estimator(trained(rows))
