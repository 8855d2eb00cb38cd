"""Every loss under every penalty: as good as a general solver's minimiser, and the gap says how good."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime
from sklearn.exceptions import ConvergenceWarning

from skmtl import MultiTaskClassifier, MultiTaskRegressor, losses, penalties
from tests.convex import CASES, JointFeature, Point, SharedPlusSpecific, TaskGraph, Temporal
from tests.losses import Huber, Logistic, Lossy, Multinomial, Poisson, Squared
from tests.oracles import Instance

WORDS = [Squared(), Logistic(), Multinomial(3), Poisson(), Huber(0.7)]
each_word = pytest.mark.parametrize("words", WORDS, ids=lambda w: w.name)
each_case = pytest.mark.parametrize("case", CASES)


def labels(words, eta, rng):
    """Labels that a loss takes, for what they depend on; each task has each class, and a count that is not zero."""
    if isinstance(words, Logistic):
        y = (eta[:, 0] + rng.logistic(size=len(eta)) > 0).astype(float)
        y[:2] = 0.0, 1.0
    elif isinstance(words, Multinomial):
        y = (eta + rng.gumbel(size=eta.shape)).argmax(axis=1).astype(float)
        y[:3] = 0.0, 1.0, 2.0
    elif isinstance(words, Poisson):
        y = rng.poisson(np.exp(0.5 * eta[:, 0].clip(-3, 3))).astype(float)
        y[0] = 2.0
    else:
        y = eta[:, 0] + rng.standard_t(2, size=len(eta))
    return y


def long_table(rng, words, sizes=(12, 15, 9), d=3, scale=1.0, weighted=False):
    """Tasks of these sizes."""
    W = rng.normal(size=(3, d)) + 0.5 * rng.normal(size=(len(sizes), 3, d))
    X = [rng.normal(size=(n, d)) for n in sizes]
    y = [labels(words, block @ w.T, rng) for block, w in zip(X, W, strict=True)]
    names = np.array([f"t{t}" for t in range(len(sizes))], dtype=object)
    weight = rng.uniform(0.5, 2.0, size=sum(sizes)) if weighted else None
    return Instance(np.concatenate(X) * scale, np.concatenate(y), np.repeat(names, sizes), weight)


def wide_table(rng, words, n=14, d=3, T=3, missing=0.3):
    """One X for all tasks."""
    X = rng.normal(size=(n, d))
    Y = np.column_stack([labels(words, X @ rng.normal(size=(3, d)).T, rng) for _ in range(T)])
    gone = rng.random(Y.shape) < missing
    gone[:3] = False
    return Instance(X, np.where(gone, np.nan, Y))


INSTANCES = {
    "uneven tasks": long_table,
    "weights": lambda rng, words: long_table(rng, words, weighted=True),
    "more features than rows": lambda rng, words: long_table(rng, words, sizes=(5, 7, 6), d=9),
    "columns from 1e-3 to 1e3": lambda rng, words: long_table(rng, words, scale=10.0 ** np.array([-3.0, 0.0, 3.0])),
    "shared": lambda rng, words: wide_table(rng, words, missing=0.0),
    "shared, missing labels": wide_table,
}
SETTINGS = [{}, {"task_weight": "tasks"}, {"task_weight": "auto"}, {"fit_intercept": False}]


def product_loss(words):
    """The library's name for it."""
    return losses.Huber(words.delta) if isinstance(words, Huber) else words.name


def fitted(problem, **how):
    """The library's model of a problem, and whether it warned."""
    belief = problem.belief.among(penalties)
    classes = isinstance(problem.losses[0], Logistic | Multinomial) and len({w.name for w in problem.losses}) == 1
    if classes:
        model = MultiTaskClassifier(belief, **problem.settings, **how)
    else:
        named = dict(zip(problem.data.ids.tolist(), map(product_loss, problem.losses), strict=True))
        model = MultiTaskRegressor(belief, loss=named, **problem.settings, **how)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(**problem.data.arguments)
    return model, bool(caught)


def point_of(model, problem):
    """The weights of a model, in the shape of the oracle's."""
    shape = (len(problem.tasks), problem.K, problem.d)
    parts = None
    if problem.belief.decomposition:
        parts = tuple(np.reshape(part, shape) for part in (model.structured_coef_, model.deviation_coef_))
    W = np.reshape(model.coef_, shape) if parts is None else sum(parts)
    return Point(W, np.reshape(model.intercept_, shape[:2]), parts)


def assert_as_good_as_its_gap_says(problem, model, warned, tol=1e-6):
    best, unit = problem.value(problem.optimum()), problem.unit
    got = problem.value(point_of(model, problem))
    assert_allclose(model.objective_, got, rtol=1e-9, atol=1e-12 * unit)
    assert model.objective_ - model.dual_gap_ <= best + 1e-9 * unit, "the gap is too small"
    assert (model.dual_gap_ > tol * unit * (1 + 1e-9)) == warned
    if not warned:
        assert got <= best + (tol + 1e-9) * unit


@each_word
@each_case
def test_a_fit_is_as_good_as_its_gap_says(case, words, rng):
    """On an instance and with a setting that depend on the case, so that every pair comes up."""
    k = list(CASES).index(case) + WORDS.index(words)
    data = list(INSTANCES.values())[k % len(INSTANCES)](rng, words)
    setting = SETTINGS[k // len(INSTANCES) % len(SETTINGS)]
    problem = Lossy(CASES[case], data, words, 0.2, **setting)
    model, warned = fitted(problem)
    assert_as_good_as_its_gap_says(problem, model, warned)


@each_word
@pytest.mark.parametrize("instance", INSTANCES)
@pytest.mark.parametrize("case", ["trace", "joint feature", "L1", "mean, sparse", "dirty", "relationship, ridge"])
def test_a_fit_is_as_good_on_any_data(case, instance, words, rng):
    problem = Lossy(CASES[case], INSTANCES[instance](rng, words), words, 0.1)
    model, warned = fitted(problem)
    assert_as_good_as_its_gap_says(problem, model, warned)


@pytest.mark.parametrize("size", [1e2, 3e2, 1e3, 3e3, 1e4])
def test_a_gap_is_honest_where_counts_explode(size, rng):
    """The first steps lead to margins so large that curvature there says nothing of that at the solution."""
    data = long_table(rng, Poisson(), sizes=(15, 15, 15), scale=np.array([0.1, 1.0, 30.0]))
    data.y = size * data.y
    problem = Lossy(CASES["trace"], data, Poisson(), 0.3, fit_intercept=False)
    assert_as_good_as_its_gap_says(problem, *fitted(problem))


FREE = {  # every other feature costs nothing
    "some": lambda u: JointFeature(alpha=u.row, feature_weights=np.arange(u.d) % 2.0),
    "some, maximum norm": lambda u: JointFeature(alpha=u.tall_row, norm=np.inf, feature_weights=np.arange(u.d) % 2.0),
    "nothing else": lambda u: JointFeature(alpha=100.0 * u.row, feature_weights=np.arange(u.d) % 2.0),
    "all": lambda u: JointFeature(alpha=u.row, feature_weights=np.zeros(u.d)),
    "some, positive": lambda u: JointFeature(alpha=u.row, feature_weights=np.arange(u.d) % 2.0, positive=True),
    "all, positive": lambda u: JointFeature(alpha=u.row, feature_weights=np.zeros(u.d), positive=True),
    "no strength, positive": lambda u: JointFeature(alpha=0.0, positive=True),
}


@each_word
@pytest.mark.parametrize("layout", ["long", "wide"])
@pytest.mark.parametrize("case", FREE)
def test_features_that_cost_nothing_are_solved_to_a_small_gap(case, layout, words, rng):
    data = long_table(rng, words, sizes=(40, 30, 50)) if layout == "long" else wide_table(rng, words, n=60)
    problem = Lossy(FREE[case], data, words, 0.2)
    model, warned = fitted(problem, tol=1e-8)
    assert not warned
    assert_as_good_as_its_gap_says(problem, model, warned, tol=1e-8)


@pytest.mark.parametrize("words", [Logistic(), Multinomial(3)], ids=lambda w: w.name)
@pytest.mark.parametrize("instance", INSTANCES)
@pytest.mark.parametrize("case", FREE)
def test_features_that_cost_nothing_have_honest_gaps(case, instance, words, rng):
    """On few rows, which they often tell apart: then their weights have no minimum, and some of the others one."""
    problem = Lossy(FREE[case], INSTANCES[instance](rng, words), words, 0.03)
    model, warned = fitted(problem)
    assert_as_good_as_its_gap_says(problem, model, warned)
    assert "positive" in case or not warned


def test_a_gap_is_honest_where_rows_are_told_apart_by_tiny_margins():
    """Once there was a slope left along what costs nothing, worth more than what was said of it."""
    case = CASES["joint feature, a free feature"]
    for words, instance, seed, fraction in [
        (Logistic(), "columns from 1e-3 to 1e3", 255165300, 0.2065),
        (Multinomial(3), "more features than rows", 784064752, 0.3614),
    ]:
        data = INSTANCES[instance](np.random.default_rng(seed), words)
        problem = Lossy(case, data, words, fraction, task_weight="auto")
        assert_as_good_as_its_gap_says(problem, *fitted(problem))


QUADRATIC = {
    "chain": lambda u: TaskGraph(alpha=u.curvature, graph=u.chain(), alpha_ridge=0.0),
    "normalized chain": lambda u: TaskGraph(alpha=u.curvature, graph=u.chain(), alpha_ridge=0.0, normalized=True),
    "complete graph": lambda u: TaskGraph(alpha=u.curvature, alpha_ridge=0.0),
    "mean": lambda u: SharedPlusSpecific(alpha=u.curvature, alpha_shared=0.0),
    "in order": lambda u: Temporal(alpha=u.curvature, smooth=True),
}


@pytest.mark.parametrize("words", [Squared(), Logistic(), Poisson()], ids=lambda w: w.name)
@pytest.mark.parametrize("layout", ["long", "wide"])
@pytest.mark.parametrize("case", QUADRATIC)
def test_what_tasks_have_in_common_is_solved_in_units_of_each_feature(case, layout, words, rng):
    """Of features from 1e-4 to 1e4 that nothing pulls to zero a short one must not stay where a step has left it."""
    data = long_table(rng, words) if layout == "long" else wide_table(rng, words, missing=0.0)
    data = replace(data, X=data.X * 10.0 ** np.array([-4.0, 0.0, 4.0]))
    for fraction in (0.3, 0.03):
        problem = Lossy(QUADRATIC[case], data, words, fraction)
        model, warned = fitted(problem)
        assert not warned
        assert_as_good_as_its_gap_says(problem, model, warned)


def test_the_dual_of_nearly_certain_labels_counts_what_is_outside_of_its_domain():
    """There margins are large, and what rounding leaves outside is worth that much more."""
    for loss, theta in ((losses.Logistic(), -1e-13), (losses.Multinomial(2), np.array([[1e-13, -1e-13]]))):
        assert -1e-8 < loss.dual(np.array([1.0]), np.asarray(theta)).item() < -1e-10
    assert losses.Logistic().dual(1.0, -1e-11) == -np.inf


def test_constant_features_that_cost_nothing_have_no_weight(rng):
    """Less its mean such a feature is rounding, which must not become weights of 1e15."""
    data = long_table(rng, Multinomial(3), sizes=(40, 30, 50), d=4)
    data.X[:, 2], data.X[:, 3] = 5.1, data.X[:, 1]
    for case in (QUADRATIC["mean"], FREE["all"], FREE["nothing else"]):
        problem = Lossy(case, data, Multinomial(3), 0.2)
        model, warned = fitted(problem)
        assert not warned
        assert np.abs(model.coef_).max() < 100.0
        assert_as_good_as_its_gap_says(problem, model, warned)


@each_word
def test_a_constant_feature_has_no_weight_for_any_strength(words, rng):
    """Its gradient at zero is rounding, of which a path must not be made."""
    y = np.concatenate([labels(words, rng.normal(size=(20, 3)), rng) for _ in range(2)])
    X, task = np.full((40, 1), 3.7), np.repeat([0, 1], 20)
    several = isinstance(words, Multinomial)
    model = MultiTaskClassifier() if several else MultiTaskRegressor(loss=words.name)
    model.set_params(penalty=penalties.TraceNorm())
    assert model.alpha_max(X, y, task=task) == 0.0
    for alphas in (None, [1e-18]):
        path = model.path(X, y, task=task, n_alphas=3, alphas=alphas)
        assert not path.coefs.any()
        assert not path.dual_gaps.any()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_what_costs_nothing_may_have_no_minimum(n_classes, rng):
    """The features that cost nothing tell the classes apart: weights grow until the loss is as good as zero."""
    X = rng.normal(size=(40, 5))
    model = MultiTaskClassifier(penalties.JointFeature(0.1, feature_weights=[0.0, 0.0, 0.0, 1.0, 1.0]))
    model.fit(X, X[:, :n_classes].argmax(axis=1), task=np.arange(40) % 2)
    assert np.isfinite(model.coef_).all()
    assert not model.coef_[..., 3:].any()
    assert model.objective_ - model.dual_gap_ <= 1e-9
    assert model.objective_ <= 1e-6 * 2 * np.log(n_classes)


def test_what_costs_nothing_may_have_no_minimum_and_the_rest_one():
    """A task's free features tell some classes apart: they go to infinity, and the others must not wait for them."""
    rng = np.random.default_rng(1)
    X, W, task = rng.normal(size=(90, 8)), rng.normal(size=(3, 8)), np.repeat(np.arange(3), 30)
    y = (X @ W.T + 0.5 * rng.gumbel(size=(90, 3))).argmax(axis=1)
    penalty = penalties.JointFeature(0.1, feature_weights=np.arange(8) % 2.0)
    model = MultiTaskClassifier(penalty, max_iter=500).fit(X, y, task=task)  # a gap that is too large would warn
    weights = np.linalg.norm(model.coef_, axis=(0, 1))
    assert weights[::2].max() > 100.0
    assert 0.0 < weights[1::2].max() < 10.0


MIXED = [Squared(), Logistic(), Poisson(), Huber(0.7)]


@pytest.mark.parametrize("layout", ["long", "wide"])
@pytest.mark.parametrize("task_weight", ["samples", "tasks", "auto", {1: 3.0}], ids=str)
@pytest.mark.parametrize(
    "case",
    ["trace", "joint feature", "mean, sparse", "mean, sparse, partial pooling", "temporal, sparse", "robust low rank"],
)
def test_tasks_of_different_losses_share_a_penalty(case, task_weight, layout, rng):
    if layout == "long":
        X = [rng.normal(size=(n, 3)) for n in (12, 15, 9, 11)]
        y = [labels(w, block @ rng.normal(size=(3, 3)).T, rng) for w, block in zip(MIXED, X, strict=True)]
        data = Instance(np.concatenate(X), np.concatenate(y), np.repeat(np.arange(4), [12, 15, 9, 11]))
    else:
        X = rng.normal(size=(16, 3))
        data = Instance(X, np.column_stack([labels(w, X @ rng.normal(size=(3, 3)).T, rng) for w in MIXED]))
    problem = Lossy(CASES[case], data, MIXED, 0.1, task_weight=task_weight)
    model, warned = fitted(problem)
    assert_as_good_as_its_gap_says(problem, model, warned)


@pytest.mark.parametrize("size", [1e-6, 1e9])
@pytest.mark.parametrize("penalty", [penalties.Ridge(0.1), penalties.TraceNorm(0.1), penalties.Pooled(0.1)], ids=repr)
def test_counts_are_of_any_size(penalty, size, rng):
    """As many times the counts and the strength are as many times the problem."""
    data = long_table(rng, Poisson())
    many = penalty.with_alpha(size * penalty.alpha)
    one, other = (
        MultiTaskRegressor(belief, loss="poisson", tol=1e-10).fit(data.X, y, task=data.task)
        for belief, y in [(penalty, data.y), (many, size * data.y)]
    )
    assert_allclose(other.objective_, size * one.objective_, rtol=1e-9)
    assert_allclose(other.intercept_, one.intercept_ + np.log(size), atol=1e-3)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_pulled_intercepts_are_found_from_where_counts_overflow(rng):
    data = long_table(rng, Poisson())
    belief = penalties.SharedPlusSpecific(1.0, 1.0, alpha_intercept=1.0)
    model = MultiTaskRegressor(belief, loss="poisson").fit(data.X, 1e15 * data.y, task=data.task)
    assert np.isfinite(model.predict(data.X, task=data.task)).all()


def test_intercepts_are_as_exact_beside_a_task_of_large_labels(rng):
    data = long_table(rng, Poisson())
    y = np.where(data.task == "t0", 1e9 * (1.0 + data.y), data.y)
    kinds = {"t0": "squared", "t1": "poisson", "t2": "poisson"}
    model = MultiTaskRegressor(penalties.TraceNorm(0.1), loss=kinds).fit(data.X, y, task=data.task)
    left = (y - model.predict(data.X, task=data.task))[data.task != "t0"]
    assert_allclose([left[:15].sum(), left[15:].sum()], 0.0, atol=1e-10)


@each_word
def test_slopes_are_those_of_the_values(words, rng):
    """The oracle's own, by differences; and the library's are the oracle's."""
    K = words.n_columns
    eta = rng.normal(size=(20, K))
    y = labels(words, eta if K > 1 else np.repeat(eta, 3, axis=1), rng)
    flat = eta if K > 1 else eta[:, 0]
    loss = {"squared": losses.Squared(), "logistic": losses.Logistic(), "poisson": losses.Poisson()}.get(words.name)
    loss = loss or (losses.Huber(words.delta) if isinstance(words, Huber) else losses.Multinomial(K))
    assert_allclose(loss.value(y, flat), words.value(y, flat), rtol=1e-10, atol=1e-12)
    assert_allclose(-loss.descent(y, flat), words.slope(y, flat), rtol=1e-10, atol=1e-12)
    for i in range(20):
        slope = approx_fprime(eta[i], lambda e, i=i: words.value(y[i : i + 1], e[None] if K > 1 else e)[0], 1e-7)
        assert_allclose(slope, np.ravel(words.slope(y[i : i + 1], flat[i : i + 1])), atol=1e-5)
