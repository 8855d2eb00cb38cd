"""Classifiers: labels of any kind and layout, shapes, class weights, agreement with scikit-learn, awkward data."""

import inspect
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logsumexp, softmax
from sklearn.base import clone, is_classifier
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_predict,
    cross_val_score,
    learning_curve,
)
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl import classification
from skmtl._labels import encode_labels
from skmtl.classification import (
    AdaptiveJointFeatureClassifier,
    IndependentClassifier,
    JointFeatureClassifier,
    LatentBasisClassifier,
    MeanRegularizedClassifier,
    MultiTaskClassifier,
    PooledClassifier,
    ReducedRankClassifier,
    RobustLowRankClassifier,
    TaskGraphClassifier,
    TraceNormClassifier,
)
from skmtl.metrics import masked_scorer
from skmtl.penalties import (
    FusedTasks,
    JointFeature,
    Ridge,
    SharedPlusSpecific,
    SharedSubspace,
    TaskGraph,
    Temporal,
)
from skmtl.preprocessing import to_long
from tests.many_tasks import for_checks, on_many_tasks

CLASSIFIERS = [getattr(classification, name) for name in classification.__all__]
each_classifier = pytest.mark.parametrize("Classifier", CLASSIFIERS, ids=lambda c: c.__name__)
each_n_classes = pytest.mark.parametrize("n_classes", [2, 3], ids=["two classes", "three classes"])
SHUFFLED = KFold(3, shuffle=True, random_state=0)


def make_rows(rng, n_classes=2, n_tasks=3, n_samples=20, d=3):
    """X, codes and ids of tasks of unequal size in disorder; every task has every class."""
    sizes = n_samples + 5 * np.arange(n_tasks)
    task = rng.permutation(np.repeat(np.arange(n_tasks), sizes))
    X = rng.normal(size=(len(task), d))
    W = rng.normal(size=(n_classes, d)) + 0.5 * rng.normal(size=(n_tasks, n_classes, d))
    scores = np.einsum("ij,ikj->ik", X, W[task]) + rng.gumbel(size=(len(task), n_classes))
    y = scores.argmax(axis=1)
    for t in range(n_tasks):
        y[np.flatnonzero(task == t)[:n_classes]] = np.arange(n_classes)
    return X, y, task


def make_wide(rng, n_classes=2, n_tasks=3, n=40, d=3, missing=0.0):
    """X and codes with one column per task, NaN where missing."""
    X = rng.normal(size=(n, d))
    W = rng.normal(size=(n_classes, d)) + 0.5 * rng.normal(size=(n_tasks, n_classes, d))
    Y = (np.einsum("ij,tkj->itk", X, W) + rng.gumbel(size=(n, n_tasks, n_classes))).argmax(axis=2).astype(float)
    Y[:n_classes] = np.arange(n_classes)[:, None]
    gone = rng.random(Y.shape) < missing
    gone[:n_classes] = False
    Y[gone] = np.nan
    return X, Y


def reference(C=1.0, **how):
    """scikit-learn's model, converged."""
    return LogisticRegression(C=C, tol=1e-12, max_iter=100_000, solver="newton-cholesky", **how)


def as_alpha(C, y, n_tasks=1):
    """The strength of a ridge term that scikit-learn calls C."""
    return n_tasks / (C * len(y))


# scikit-learn's own checks


# a quadratic penalty, a graph, a norm of each side, a sum of parts, and what is not convex: the others differ in their
# prox only
SOME = [
    MeanRegularizedClassifier,
    TaskGraphClassifier,
    TraceNormClassifier,
    JointFeatureClassifier,
    RobustLowRankClassifier,
    AdaptiveJointFeatureClassifier,
    ReducedRankClassifier,
    LatentBasisClassifier,
]
MANY = [on_many_tasks(Classifier) for Classifier in SOME]


@parametrize_with_checks([Classifier() for Classifier in CLASSIFIERS])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


@parametrize_with_checks([MeanRegularizedClassifier()])  # what routing meets is the same for all
def test_scikit_learn_accepts_it_with_routing(estimator, check):
    with sklearn.config_context(enable_metadata_routing=True):
        check(estimator)


def unique_weights(Many):
    """Parameters that make the weights unique."""
    return {"alpha_ridge": 0.1} | ({"alpha": 0.1} if issubclass(Many, LatentBasisClassifier) else {})


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # 1e-12 on a dozen rows may be too much
@parametrize_with_checks([for_checks(Many, **unique_weights(Many)) for Many in MANY])
def test_scikit_learn_accepts_it_on_many_tasks(estimator, check):
    check(estimator)


@each_classifier
def test_the_tags_say_labels_of_one_or_many_tasks(Classifier):
    tags = get_tags(Classifier())
    assert is_classifier(Classifier())
    assert tags.classifier_tags.multi_label
    assert tags.classifier_tags.multi_class
    assert not tags.target_tags.multi_output
    assert not tags.input_tags.allow_nan
    assert not tags.input_tags.string


@each_classifier
def test_ids_are_requested_by_default(Classifier):
    with sklearn.config_context(enable_metadata_routing=True):
        requests = Classifier().get_metadata_routing()
    assert requests.fit.requests == {"task": True, "sample_weight": None}
    assert requests.score.requests == {"task": True, "sample_weight": None}
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        assert getattr(requests, method).requests == {"task": True}, method


# Labels and their codes, without a model

NA = pd.NA
LABELS = {  # name -> y, the classes
    "integers": ([5, 2, 5], [2, 5]),
    "floats": (np.array([0.0, 1.0]), [0.0, 1.0]),
    "booleans": ([True, False], [False, True]),
    "text": (["b", "a", "b"], ["a", "b"]),
    "text array": (np.array(["b", "a"]), ["a", "b"]),
    "small integers": (np.array([3, 1], dtype=np.int8), [1, 3]),
    "category": (pd.Series(["x", "y"], dtype="category"), ["x", "y"]),
    "category, unused": (pd.Categorical(["y", "x"], categories=["z", "y", "x"]), ["x", "y"]),
    "nullable booleans": (pd.Series([True, False], dtype="boolean"), [False, True]),
    "nullable integers": (pd.Series([4, 1], dtype="Int64"), [1, 4]),
    "polars": (pl.Series(["q", "p"]), ["p", "q"]),
    "polars categorical": (pl.Series(["q", "p"], dtype=pl.Categorical), ["p", "q"]),
    "arrow": (pa.chunked_array([["q"], ["p"]]), ["p", "q"]),
    "odd index": (pd.Series([1, 0], index=[7, 3]), [0, 1]),
    "wide": ([[0, 1], [1, 0]], [[0, 1], [0, 1]]),
    "wide, own labels": ([["no", "low"], ["yes", "high"]], [["no", "yes"], ["high", "low"]]),
    "wide, text and numbers": ([["no", 3], ["yes", 4]], [["no", "yes"], [3, 4]]),
    "wide, booleans and numbers": ([[True, 3], [False, 4]], [[False, True], [3, 4]]),
    "wide, NaN": (np.array([[0.0, np.nan], [1.0, 1.0], [np.nan, 0.0]]), [[0, 1], [0, 1]]),
    "wide, None": ([["a", None], ["b", "x"], [None, "y"]], [["a", "b"], ["x", "y"]]),
    "wide, one label of two": ([[0, 0], [1, 0]], [[0, 1], [0, 1]]),
    "wide, all one label": ([[1, 1], [1, 1]], [[1], [1]]),
    "wide, three": ([[0, 1], [1, 2], [2, 0]], [[0, 1, 2], [0, 1, 2]]),
    "wide, unequal": ([[0, 0], [1, 1], [2, 0]], [[0, 1, 2], [0, 1]]),
    "pandas": (pd.DataFrame({"u": [0, 1, None], "v": ["a", None, "b"]}), [[0, 1], ["a", "b"]]),
    "pandas, nullable": (pd.DataFrame({"u": [0, NA, 1], "v": [NA, 1, 0]}, dtype="Int64"), [[0, 1], [0, 1]]),
    "pandas, booleans": (
        pd.DataFrame({"u": [True, NA, False], "v": [True, False, NA]}, dtype="boolean"),
        [[False, True]] * 2,
    ),
    "polars frame": (pl.DataFrame({"u": [0, 1, None], "v": ["a", None, "b"]}), [[0, 1], ["a", "b"]]),
    "arrow table": (pa.table({"u": [0, 1, None], "v": ["a", None, "b"]}), [[0, 1], ["a", "b"]]),
}


def as_lists(classes):
    return [part.tolist() for part in classes] if isinstance(classes, list) else classes.tolist()


@pytest.mark.parametrize(("y", "classes"), LABELS.values(), ids=LABELS)
def test_labels_of_any_kind_are_told_apart(y, classes):
    labels, codes = encode_labels(y)
    assert as_lists(labels.classes) == classes
    flat = [label for part in as_lists(labels.classes) for label in (part if isinstance(part, list) else [part])]
    expected = [label for part in classes for label in (part if isinstance(part, list) else [part])]
    assert list(map(type, flat)) == list(map(type, expected))  # True is not 1, nor 1 1.0
    columns = np.atleast_2d(np.asarray(codes, dtype=float).T)
    given = (
        y if isinstance(y, np.ndarray) else np.asarray(y.to_pandas() if hasattr(y, "to_pandas") else y, dtype=object)
    )
    for t, (code, column) in enumerate(zip(columns, np.atleast_2d(np.asarray(given).T), strict=True)):
        for c, label in zip(code, column, strict=True):
            if pd.isna(label):
                assert np.isnan(c)
            else:
                assert labels.coded(t)[int(c)] == label


def test_names_of_columns_stay():
    for frame in (pd.DataFrame, pl.DataFrame, pa.table):
        _, codes = encode_labels(frame({"u": ["a", "b"], "v": ["a", None]}))
        assert isinstance(codes, type(frame({"u": [1]})))
        assert list(
            pd.DataFrame(codes).columns
            if frame is pd.DataFrame
            else codes.schema.names
            if frame is pa.table
            else codes.columns
        ) == ["u", "v"]


def test_a_label_means_the_same_in_every_task_where_there_are_many():
    labels, codes = encode_labels([["a", "c"], ["b", "b"], ["d", "c"]])
    assert labels.union.tolist() == list("abcd")
    assert codes.T.tolist() == [[0, 1, 3], [2, 1, 2]]
    assert labels.own(1).tolist() == [1, 2]


def test_a_single_column_is_raveled_with_a_warning(rng):
    X, y, _ = make_rows(rng)
    with pytest.warns(DataConversionWarning, match="column-vector"):
        model = IndependentClassifier().fit(X, y[:, None])
    assert model.classes_.shape == (2,)
    assert model.predict(X).shape == y.shape
    with pytest.warns(DataConversionWarning, match="column-vector"):
        IndependentClassifier().fit(X, pd.DataFrame({"label": y}))


REFUSED = {
    "fractions": ([0.5, 1.0], "Unknown label type: continuous.*0.5"),
    "wide fractions": ([[0.5, 1.0], [0, 1]], "Unknown label type: continuous"),
    "infinity": ([np.inf, 1.0], "infinity"),
    "complex": (np.array([1j, 0]), "Complex data not supported"),
    "text and numbers": (["a", 1], "Unknown label type.*int, str"),
    "bytes": ([b"a", b"b"], "Unknown label type.*bytes"),
    "dates": (np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[ns]"), "Unknown label type.*datetime64"),
    "times": (np.array([1, 2], dtype="timedelta64[ns]"), "Unknown label type.*timedelta64"),
    "lists of lists": ([[1, 0], [1]], "Unknown label type.*list"),
    "missing": ([np.nan, 1.0], "NaN"),
    "missing text": (["a", None], "NaN"),
    "cube": (np.zeros((2, 2, 2)), "shape"),
    "no columns": (np.zeros((2, 0)), "a column of labels for each task"),
    "nothing": (None, "requires y to be passed, but the target y is None"),
    "a column without labels": ([[np.nan, 1.0], [np.nan, 0.0]], "only in the column.* task 0"),
}


@pytest.mark.parametrize(("y", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_class_is_refused(y, message):
    with pytest.raises(ValueError, match=message):
        IndependentClassifier().fit([[0.0], [1.0]], y)


def test_a_sparse_y_is_refused(rng):
    from scipy import sparse

    with pytest.raises(TypeError, match="toarray"):
        IndependentClassifier().fit([[0.0], [1.0]], sparse.csr_array([[0, 1], [1, 0]]))


# Shapes


def assert_consistent(model, X, ids=None):
    """Probabilities, their logarithms, decisions and labels tell the same story."""
    how = {} if ids is None else {"task": ids}
    proba, log_proba = model.predict_proba(X, **how), model.predict_log_proba(X, **how)
    decision, predicted = model.decision_function(X, **how), model.predict(X, **how)
    pairs = zip(proba, log_proba, strict=True) if isinstance(proba, list) else [(proba, log_proba)]
    for p, logarithm in pairs:
        assert np.isfinite(p).all()
        assert_allclose(np.log(p), logarithm, rtol=1e-9, atol=1e-9)
    if isinstance(proba, list):
        for t, p in enumerate(proba):
            assert_allclose(p.sum(axis=1), 1.0, rtol=1e-12)
            assert_array_equal(model.classes_[t][p.argmax(axis=1)], predicted[:, t])
            if isinstance(decision, list):
                assert_allclose(softmax(decision[t], axis=1), p, rtol=1e-9)
    elif model.classes_.ndim == 2:
        assert_allclose(expit(decision), proba, rtol=1e-9)
        assert_array_equal(np.where(proba > 0.5, model.classes_[:, 1], model.classes_[:, 0]), predicted)
    else:
        assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-12)
        assert_array_equal(model.classes_[proba.argmax(axis=1)], predicted)
        assert_allclose(
            expit(decision) if decision.ndim == 1 else softmax(decision, axis=1),
            proba[:, 1] if decision.ndim == 1 else proba,
            rtol=1e-9,
        )


@each_classifier
@each_n_classes
def test_shapes_of_a_long_table(Classifier, n_classes, rng):
    X, y, task = make_rows(rng, n_classes)
    names = np.array(["red", "green", "blue"])[:n_classes]
    model = Classifier().fit(X, names[y], task=task)
    n, T, K, d = len(y), 3, n_classes, 3
    assert_array_equal(model.classes_, np.sort(names))
    assert model.coef_.shape == ((T, d) if K == 2 else (T, K, d))
    assert model.intercept_.shape == ((T,) if K == 2 else (T, K))
    assert model.shared_coef_.shape == ((d,) if K == 2 else (K, d))
    assert np.shape(model.shared_intercept_) == (() if K == 2 else (K,))
    assert model.specific_coef_.shape == model.coef_.shape
    assert model.feature_importances_.shape == (d,)
    assert model.decision_function(X, task=task).shape == ((n,) if K == 2 else (n, K))
    assert model.predict_proba(X, task=task).shape == (n, K)
    assert model.predict(X, task=task).dtype == names.dtype
    assert_consistent(model, X, task)
    assert_allclose(model.score(X, names[y], task=task), np.mean(model.predict(X, task=task) == names[y]))


@each_classifier
@pytest.mark.parametrize("n_tasks", [2, 3])
def test_shapes_of_wide_labels_of_two_classes(Classifier, n_tasks, rng):
    X, Y = make_wide(rng, 2, n_tasks)
    model = Classifier().fit(X, Y.astype(int))
    n, T, d = len(Y), n_tasks, 3
    assert isinstance(model.classes_, np.ndarray)
    assert_array_equal(model.classes_, [[0, 1]] * T)
    assert model.coef_.shape == (T, d)
    for answer in (model.decision_function(X), model.predict_proba(X), model.predict(X)):
        assert isinstance(answer, np.ndarray)
        assert answer.shape == (n, T)
    assert_consistent(model, X)


@each_classifier
def test_shapes_of_wide_labels_of_three_classes(Classifier, rng):
    X, Y = make_wide(rng, 3, 2)
    model = Classifier().fit(X, Y.astype(int))
    assert_array_equal(model.classes_, [[0, 1, 2]] * 2)
    assert model.coef_.shape == (2, 3, 3)
    for answer in (model.decision_function(X), model.predict_proba(X)):
        assert [part.shape for part in answer] == [(40, 3)] * 2
    assert model.predict(X).shape == (40, 2)
    assert_consistent(model, X)


@each_classifier
@each_n_classes
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_iterations_are_no_more_than_allowed(Classifier, n_classes, rng):
    X, y, task = make_rows(rng, n_classes)
    for max_iter in (1, 2, 5, 10):
        assert Classifier(max_iter=max_iter, tol=1e-15).fit(X, y, task=task).n_iter_ <= max_iter


@each_classifier
def test_a_warm_start_with_other_classes_is_a_cold_one(Classifier, rng):
    X, y, task = make_rows(rng, 3)
    cold = Classifier(tol=1e-3).fit(X, y, task=task)
    warm = Classifier(tol=1e-3, warm_start=True).fit(X, y > 0, task=task).fit(X, y, task=task)
    assert_array_equal(warm.coef_, cold.coef_)
    assert warm.fit(X, y > 0, task=task).coef_.shape == (3, 3)


@each_n_classes
def test_the_frame_of_coefficients_has_a_row_for_every_class(n_classes, rng):
    X, y, task = make_rows(rng, n_classes)
    names = np.array(["red", "green", "blue"])[:n_classes]
    model = MeanRegularizedClassifier().fit(X, names[y], task=task)
    frame, tasks = model.coef_frame(), [0, 1, 2, "shared"]
    rows = tasks if n_classes == 2 else [(t, name) for t in tasks for name in sorted(names)]
    assert frame.index.tolist() == rows
    assert_array_equal(frame.to_numpy()[: len(rows) * 3 // 4, :3], model.coef_.reshape(-1, 3))
    assert_array_equal(frame.loc[["shared"], "intercept"], np.atleast_1d(model.shared_intercept_))


def test_a_task_chooses_among_its_own_labels_only(rng):
    X, Y = make_wide(rng, 3, 3)
    named = np.array([list("abc"), list("xyz"), list("bcd")], dtype=object)[np.arange(3), Y.astype(int)]
    named[:, 2] = np.where(Y[:, 2] == 2, "b", named[:, 2])  # the third task knows two
    model = IndependentClassifier(0.1, tol=1e-12).fit(X, named)
    assert [part.tolist() for part in model.classes_] == [list("abc"), list("xyz"), list("bc")]
    assert [part.shape[1] for part in model.predict_proba(X)] == [3, 3, 2]
    assert_consistent(model, X)
    for t in range(3):
        alone = IndependentClassifier(0.1, tol=1e-12).fit(X, named[:, t])
        assert_array_equal(model.predict(X)[:, t], alone.predict(X))
        if t < 2:  # with two labels it has two vectors of weights where it alone has one
            assert_allclose(model.predict_proba(X)[t], alone.predict_proba(X), atol=1e-6)


def test_one_class_is_certain(rng):
    X, _, task = make_rows(rng)
    for y in (np.full(len(X), "yes"), np.full((len(X), 2), "yes")):
        model = MeanRegularizedClassifier().fit(X, y, **({"task": task} if y.ndim == 1 else {}))
        how = {"task": task} if y.ndim == 1 else {}
        assert_array_equal(model.predict(X, **how), y)
        proba = model.predict_proba(X, **how)
        for part in proba if y.ndim == 2 else [proba]:
            assert_array_equal(part, np.ones((len(X), 1)))
        for part in np.atleast_3d(model.predict_log_proba(X, **how)):
            assert not part.any()
        assert not model.coef_.any()
        assert model.score(X, y, **how) == 1.0


# Layouts and containers


@each_classifier
@each_n_classes
def test_wide_and_long_are_one_model(Classifier, n_classes, rng):
    X, Y = make_wide(rng, n_classes, missing=0.3)
    ridge = {"alpha_ridge": 0.1} if "alpha_ridge" in Classifier().get_params() else {}
    model = Classifier(tol=1e-12, **ridge)
    wide = clone(model).fit(X, Y)
    XL, yl, rows = to_long(X, Y)
    long = clone(model).set_params(task=-1).fit(XL, yl.astype(int))
    # with three classes and two parts first-order steps go on to 1e-12 of the objective, about 1e-6 of the weights
    # and alternating ones to where the objective falls by no more than rounding, about 1e-7 of the weights
    atol = 1e-6 if n_classes == 3 and (hasattr(wide, "structured_coef_") or not hasattr(wide, "dual_gap_")) else 1e-9
    assert_allclose(wide.coef_, long.coef_, atol=atol)
    assert_allclose(wide.intercept_, long.intercept_, atol=atol)
    assert_allclose(wide.objective_, long.objective_, rtol=1e-9)
    t = XL[:, -1].astype(int)
    assert_array_equal(wide.predict(X)[rows, t], long.predict(XL))


def test_ids_may_be_a_column_or_beside(rng):
    X, y, task = make_rows(rng)
    beside = TraceNormClassifier().fit(X, y, task=task)
    table = pd.DataFrame(X, columns=list("uvw")).assign(school=task)
    for frame in (table, pl.from_pandas(table), pa.Table.from_pandas(table)):
        for labels in (y, pd.Series(y, index=y + 7), pl.Series(y), y.tolist()):
            column = TraceNormClassifier(task="school").fit(frame, labels)
            assert_array_equal(column.coef_, beside.coef_)
            assert_allclose(column.predict_proba(frame), beside.predict_proba(X, task=task), rtol=1e-12)


def test_frames_of_labels_name_the_tasks(rng):
    X, Y = make_wide(rng, missing=0.2)
    plain = MeanRegularizedClassifier().fit(X, Y)
    named = np.where(np.isnan(Y), None, np.where(Y == 1, "yes", "no"))
    for frame in (pd.DataFrame, pl.DataFrame, pa.table):
        model = MeanRegularizedClassifier().fit(X, frame(dict(zip("uvw", named.T, strict=True))))
        assert model.tasks_.tolist() == list("uvw")
        assert_array_equal(model.coef_, plain.coef_)
        assert_array_equal(model.classes_, [["no", "yes"]] * 3)
        assert_array_equal(model.predict(X) == "yes", plain.predict(X) == 1)
        assert_allclose(model.score(X, frame(dict(zip("uvw", named.T, strict=True)))), plain.score(X, Y))


def test_labels_come_back_as_they_were(rng):
    X, Y = make_wide(rng, missing=0.2)
    assert MeanRegularizedClassifier().fit(X, Y).predict(X).dtype.kind == "i"
    booleans = np.where(np.isnan(Y), None, Y == 1)
    predicted = MeanRegularizedClassifier().fit(X, booleans).predict(X)
    assert predicted.dtype == bool
    mixed = np.column_stack([np.where(Y[:, 0] == 1, "yes", "no"), np.where(Y[:, 1] == 1, 7, 3)]).astype(object)
    mixed[:, 1] = np.where(Y[:, 1] == 1, 7, 3)
    predicted = MeanRegularizedClassifier().fit(X, mixed).predict(X)
    assert set(predicted[:, 0]) == {"yes", "no"}
    assert set(predicted[:, 1]) == {3, 7}


def test_float32_stays(rng):
    X, y, task = make_rows(rng)
    model = MeanRegularizedClassifier().fit(X.astype(np.float32), y, task=task)
    for array in (model.coef_, model.intercept_, model.predict_proba(X.astype(np.float32), task=task)):
        assert array.dtype == np.float32


# Against scikit-learn


@pytest.mark.parametrize("fit_intercept", [True, False], ids=["intercept", "no intercept"])
@each_n_classes
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
def test_independent_tasks_are_logistic_regressions(weighted, n_classes, fit_intercept, rng):
    X, y, task = make_rows(rng, n_classes)
    weight = rng.integers(1, 4, size=len(y)).astype(float) if weighted else np.ones(len(y))
    C = 0.7
    model = IndependentClassifier(3 / (C * weight.sum()), fit_intercept=fit_intercept).fit(X, y, weight, task=task)
    for t in range(3):
        rows = task == t
        theirs = reference(C, fit_intercept=fit_intercept).fit(X[rows], y[rows], weight[rows])
        assert_allclose(model.coef_[t], theirs.coef_.squeeze(), atol=1e-6)
        assert_allclose(model.predict_proba(X[rows], task=task[rows]), theirs.predict_proba(X[rows]), atol=1e-6)


@each_n_classes
def test_a_single_task_is_a_logistic_regression(n_classes, rng):
    X, y, _ = make_rows(rng, n_classes)
    theirs = reference(0.5).fit(X, y)
    for model in (IndependentClassifier(as_alpha(0.5, y)), MultiTaskClassifier(Ridge(as_alpha(0.5, y)))):
        model.fit(X, y)
        assert_allclose(np.atleast_2d(model.coef_.squeeze()), theirs.coef_, atol=1e-6)
        assert_allclose(model.predict_proba(X), theirs.predict_proba(X), atol=1e-6)


@each_n_classes
def test_pooled_tasks_are_one_logistic_regression(n_classes, rng):
    X, y, task = make_rows(rng, n_classes)
    model = PooledClassifier(as_alpha(0.5, y, 3)).fit(X, y, task=task)
    theirs = reference(0.5).fit(X, y)
    assert_allclose(np.atleast_2d(model.coef_[0]), theirs.coef_, atol=1e-6)
    assert_allclose(model.predict_proba(X, task=task), theirs.predict_proba(X), atol=1e-6)


def test_the_lasso_of_a_task_is_that_of_scikit_learn(rng):
    X, y, _ = make_rows(rng, n_samples=60)
    theirs = LogisticRegression(C=0.1, l1_ratio=1.0, solver="saga", tol=1e-10, max_iter=100_000).fit(X, y)
    model = classification.L1Classifier(as_alpha(0.1, y), tol=1e-12).fit(X, y)
    assert_allclose(model.coef_, theirs.coef_, atol=1e-5)


# Weights


@each_classifier
@each_n_classes
def test_a_weight_of_two_is_the_row_twice(Classifier, n_classes, rng):
    X, y, task = make_rows(rng, n_classes)
    weight = rng.integers(0, 3, size=len(y))
    unique = {"alpha": 0.1, "alpha_ridge": 0.1, "gamma": 1000.0}  # no weight without a penalty
    model = Classifier(tol=1e-10)
    model.set_params(**{name: value for name, value in unique.items() if name in model.get_params()})
    weighted = clone(model).fit(X, y, weight, task=task)
    again = clone(model).fit(X.repeat(weight, axis=0), y.repeat(weight), task=task.repeat(weight))
    assert_allclose(weighted.predict_proba(X, task=task), again.predict_proba(X, task=task), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("penalty", [FusedTasks(0.01), Temporal(0.02), JointFeature(0.02, feature_weights=[0, 1, 1])])
def test_weights_that_all_classes_have_in_common_are_zero_where_nothing_says_what_they_are(penalty, rng):
    X, y, task = make_rows(rng, 3)
    model = MultiTaskClassifier(penalty).fit(X * [100.0, 10.0, 1.0], y, task=task)
    assert_allclose(model.coef_[:, :, 0].mean(), 0.0, atol=1e-9 * np.abs(model.coef_).max())


def test_scaled_weights_change_nothing(rng):
    X, y, task = make_rows(rng)
    weight = rng.uniform(0.5, 2.0, size=len(y))
    one, ten = (TraceNormClassifier().fit(X, y, s * weight, task=task) for s in (1.0, 8.0))
    assert_allclose(one.coef_, ten.coef_, rtol=1e-9, atol=1e-12)


@each_n_classes
@pytest.mark.parametrize("layout", ["long", "wide"])
def test_a_class_weight_multiplies_the_rows_weights(layout, n_classes, rng):
    if layout == "long":
        X, y, task = make_rows(rng, n_classes)
        how, codes = {"task": task}, y
    else:
        X, y = make_wide(rng, n_classes, missing=0.2)
        how, codes = {}, np.nan_to_num(y).astype(int)
    weight = rng.uniform(0.5, 2.0, size=y.shape)
    factors = np.array([3.0, 0.5, 1.0])
    named = dict(enumerate(factors[: n_classes if n_classes == 2 else 2]))  # a label that is not named has weight 1
    ours = MeanRegularizedClassifier(class_weight=named).fit(X, y, weight, **how)
    theirs = MeanRegularizedClassifier().fit(X, y, weight * factors[codes], **how)
    assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9, atol=1e-12)


@each_n_classes
def test_balanced_is_balanced_within_each_task(n_classes, rng):
    X, y, task = make_rows(rng, n_classes)
    model = IndependentClassifier(as_alpha(1.0, y, 3), class_weight="balanced").fit(X, y, task=task)
    for t in range(3):
        rows = task == t
        theirs = reference(class_weight="balanced").fit(X[rows], y[rows])
        assert_allclose(model.predict_proba(X[rows], task=task[rows]), theirs.predict_proba(X[rows]), atol=1e-6)


def test_a_task_may_have_class_weights_of_its_own(rng):
    X, y, task = make_rows(rng)
    names = np.array(["a", "b", "c"])[task]
    setting = {"a": {0: 2.0, 1: 0.5}, "c": "balanced", "b": None}
    model = IndependentClassifier(class_weight=setting).fit(X, y, task=names)
    factors = np.ones((3, 2))
    factors[0] = 2.0, 0.5
    counts = np.bincount(y[task == 2])
    factors[2] = counts.sum() / (2 * counts)
    theirs = IndependentClassifier().fit(X, y, factors[task, y], task=names)
    assert_allclose(model.coef_, theirs.coef_, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({7: 1.0}, r"unknown labels: 7. The labels are 0, 1"),
        ({"a": {0: 1.0}}, r"unknown tasks: 'a'. The tasks are 0, 1, 2"),
        ({0: 0.0, 1: 0.0}, "weight zero"),
    ],
)
def test_class_weights_that_fit_nothing_are_named(class_weight, message, rng):
    X, y, task = make_rows(rng)
    with pytest.raises(ValueError, match=message):
        IndependentClassifier(class_weight=class_weight).fit(X, y, task=task)


def test_weights_of_classes_that_a_fold_lacks_are_not_needed(rng):
    """As in scikit-learn: a dict that names all labels of the fit may name others, too."""
    X, y, task = make_rows(rng)
    weights = {0: 1.0, 1: 3.0}
    model = IndependentClassifier(class_weight=weights | {2: 5.0}).fit(X, y, task=task)
    assert_array_equal(model.coef_, IndependentClassifier(class_weight=weights).fit(X, y, task=task).coef_)
    with pytest.raises(ValueError, match=r"unknown labels: 2. The labels are 0, 1"):
        IndependentClassifier(class_weight={0: 1.0, 2: 5.0}).fit(X, y, task=task)


def test_a_class_of_weight_zero_is_left_out(rng):
    X, y, task = make_rows(rng, 3)
    model = IndependentClassifier(class_weight={2: 0.0}).fit(X, y, task=task)
    rows = y < 2
    theirs = IndependentClassifier().fit(X[rows], y[rows], task=task[rows])
    assert set(model.predict(X, task=task)) == {0, 1}
    pair = model.coef_[:, 1] - model.coef_[:, 0]
    assert np.isfinite(model.predict_proba(X, task=task)).all()
    assert pair.shape == theirs.coef_.shape


# Awkward data


@each_classifier
def test_separable_classes_have_finite_weights(Classifier, rng):
    X = np.linspace(-1.0, 1.0, 20)[:, None]
    task = np.arange(20) % 2
    model = Classifier(task=None).fit(X, X[:, 0] > 0, task=task)
    proba = model.predict_proba(X, task=task)
    assert np.isfinite(model.coef_).all()
    assert (proba > 0).all()
    assert model.score(X, X[:, 0] > 0, task=task) == 1.0


@each_classifier
def test_imbalance_of_a_thousand_to_one(Classifier, rng):
    X = rng.normal(size=(2002, 2))
    y = np.zeros(2002, dtype=int)
    y[[0, 1001]] = 1
    task = np.repeat([0, 1], 1001)
    for class_weight in (None, "balanced"):
        model = Classifier(class_weight=class_weight).fit(X, y, task=task)
        proba = model.predict_proba(X, task=task)
        assert np.isfinite(proba).all()
        share = 0.5 if class_weight else 1e-3
        # the intercept is free or pooled: the mean probability of the weighted rows is their share of positives
        weight = np.where(y == 1, 1000.0, 1.0) if class_weight else np.ones(2002)
        assert_allclose(np.average(proba[:, 1], weights=weight), share, rtol=2e-2)


@each_classifier
@each_n_classes
def test_one_row_a_task(Classifier, n_classes, rng):
    X = rng.normal(size=(12, 2))
    y = np.arange(12) % n_classes
    model = Classifier().fit(X, y, task=np.arange(12))
    proba = model.predict_proba(X, task=np.arange(12))
    assert np.isfinite(proba).all()
    assert np.isfinite(model.coef_).all()
    if Classifier is not PooledClassifier:  # which has one intercept for all
        assert_array_equal(model.predict(X, task=np.arange(12)), y)


@each_classifier
@each_n_classes
def test_a_task_of_one_class_leaves_the_others_alone(Classifier, n_classes, rng):
    X, y, task = make_rows(rng, n_classes)
    ridge = {"alpha_ridge": 0.1} if "alpha_ridge" in Classifier().get_params() else {}
    model = Classifier(tol=1e-10, **ridge)
    more = np.concatenate([X, rng.normal(size=(5, 3))]), np.append(y, np.ones(5, dtype=int)), np.append(task, [3] * 5)
    # the factor of the other tasks is T / N, with T = 4 here and N greater by 5
    with_it = clone(model).fit(*more[:2], task=more[2])
    assert np.isfinite(with_it.coef_).all()
    proba = with_it.predict_proba(more[0][-5:], task=[3] * 5)
    assert (proba[:, 1].min() > 0.9) == (Classifier is not PooledClassifier)  # which has one intercept for all
    assert np.isfinite(with_it.intercept_).all()
    assert_allclose(with_it.coef_[3], with_it.shared_coef_, rtol=1e-12)


def test_an_unknown_task_has_the_shared_model_or_is_an_error(rng):
    for n_classes in (2, 3):
        X, y, task = make_rows(rng, n_classes)
        model = MeanRegularizedClassifier().fit(X, y, task=task)
        with pytest.raises(ValueError, match="unknown task"):
            model.predict_proba(X, task=task + 1)
        model.set_params(unknown_task="shared")
        eta = X @ model.shared_coef_.T + model.shared_intercept_
        unknown = np.full(len(X), 99)
        assert_allclose(model.decision_function(X, task=unknown), eta, rtol=1e-12)
        assert_array_equal(model.predict(X, task=unknown), eta.argmax(axis=1) if n_classes == 3 else eta > 0)


def test_a_task_without_rows_is_that_of_its_neighbours(rng):
    X, y, task = make_rows(rng)
    graph = {(0, 1): 1.0, (1, 2): 1.0, (2, 7): 1.0}
    model = TaskGraphClassifier(1.0, graph=graph).fit(X, y, task=task)
    assert model.tasks_.tolist() == [0, 1, 2, 7]
    assert model.predict_proba(X, task=np.full(len(X), 7)).shape == (len(X), 2)


# Tools


@pytest.mark.parametrize("n_tasks", [2, 3])
@pytest.mark.parametrize("scoring", ["roc_auc", "average_precision", "accuracy", "f1_macro"])
def test_scorers_of_scikit_learn_take_wide_labels(scoring, n_tasks, rng):
    X, Y = make_wide(rng, 2, n_tasks, n=60)
    scores = cross_val_score(MeanRegularizedClassifier(), X, Y.astype(int), scoring=scoring, cv=3, error_score="raise")
    assert np.isfinite(scores).all()


def test_roc_auc_of_wide_labels_is_the_mean_over_tasks(rng):
    X, Y = make_wide(rng, 2, 3)
    model = MeanRegularizedClassifier().fit(X, Y.astype(int))
    by_task = [roc_auc_score(Y[:, t], model.predict_proba(X)[:, t]) for t in range(3)]
    assert_allclose(sklearn.metrics.get_scorer("roc_auc")(model, X, Y.astype(int)), np.mean(by_task))


@each_n_classes
@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "decision_function"])
@pytest.mark.parametrize("layout", ["long", "wide"])
def test_predictions_out_of_fold_are_those_of_the_folds(layout, method, n_classes, rng):
    if layout == "long":
        X, y, task = make_rows(rng, n_classes)
        X, model = np.column_stack([X, task]), MeanRegularizedClassifier(task=-1)
    else:
        (X, y), model = make_wide(rng, n_classes), MeanRegularizedClassifier()
        y = y.astype(int)
    found = cross_val_predict(model, X, y, cv=SHUFFLED, method=method)
    for train, test in SHUFFLED.split(X):
        expected = getattr(clone(model).fit(X[train], y[train]), method)(X[test])
        if isinstance(expected, list):
            for ours, theirs in zip(found, expected, strict=True):
                assert_allclose(ours[test], theirs, rtol=1e-12)
        else:
            assert_allclose(found[test], expected, rtol=1e-12)


def test_missing_labels_are_cross_validated_with_a_masked_scorer(rng):
    X, Y = make_wide(rng, missing=0.2, n=60)
    model = MeanRegularizedClassifier()
    for scorer in (
        None,
        masked_scorer(roc_auc_score, response_method="predict_proba"),
        masked_scorer(log_loss, response_method="predict_proba", greater_is_better=False, labels=[0, 1]),
    ):
        assert np.isfinite(cross_val_score(model, X, Y, scoring=scorer, cv=SHUFFLED, error_score="raise")).all()
    assert np.isfinite(learning_curve(model, X, Y, train_sizes=[1.0], cv=SHUFFLED, error_score="raise")[2]).all()


@pytest.mark.parametrize(
    "scoring", ["roc_auc", "neg_log_loss", "accuracy", "f1", "average_precision", "balanced_accuracy"]
)
def test_a_grid_is_tuned_by_any_score(scoring, rng):
    X, y, task = make_rows(rng)
    table = pd.DataFrame(X, columns=list("uvw")).assign(school=task)
    search = GridSearchCV(
        MeanRegularizedClassifier(task="school"), {"alpha": [0.01, 1.0]}, scoring=scoring, cv=3, error_score="raise"
    )
    labels = y if scoring in ("f1", "average_precision") else np.array(["no", "yes"])[y]
    search.fit(table, labels)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_routing_brings_ids_to_probabilities(rng):
    X, y, task = make_rows(rng)
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(StandardScaler(), MeanRegularizedClassifier()).fit(X, y, task=task)
        expected = MeanRegularizedClassifier().fit(StandardScaler().fit_transform(X), y, task=task)
        for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
            ours = getattr(pipeline, method)(X, task=task)
            assert_allclose(ours, getattr(expected, method)(StandardScaler().fit_transform(X), task=task), rtol=1e-9)
        search = GridSearchCV(
            pipeline, {"meanregularizedclassifier__alpha": [0.1]}, scoring=None, cv=3, error_score="raise"
        )
        assert np.isfinite(search.fit(X, y, task=task).best_score_)


def test_bagging_takes_numeric_ids_in_a_column(rng):
    X, y, task = make_rows(rng)
    Z = np.column_stack([X, task])
    model = BaggingClassifier(MeanRegularizedClassifier(task=-1, unknown_task="shared"), n_estimators=3, random_state=0)
    assert model.fit(Z, y).score(Z, y) > 0.6


def test_it_stands_where_many_logistic_regressions_stood(rng):
    X, Y = make_wide(rng, 2, 4, n=60)
    Y = Y.astype(int)
    theirs = MultiOutputClassifier(reference()).fit(X, Y)
    ours = IndependentClassifier(alpha=1 / 60).fit(X, Y)
    assert ours.predict(X).shape == theirs.predict(X).shape
    assert_array_equal(ours.predict(X), theirs.predict(X))
    for t, proba in enumerate(theirs.predict_proba(X)):  # a list of (n_samples, 2): ours is one array of the second
        assert_allclose(ours.predict_proba(X)[:, t], proba[:, 1], atol=1e-6)
    ours.set_params(alpha=1 / 40)  # of the 40 rows of a training fold
    for scoring in ("accuracy", "roc_auc", "f1_macro"):
        scores = [cross_val_score(m, X, Y, scoring=scoring, cv=SHUFFLED, error_score="raise") for m in (ours, theirs)]
        assert_allclose(*scores, atol=1e-6)


@each_classifier
def test_a_pickled_model_predicts_the_same(Classifier, rng):
    X, y, task = make_rows(rng, 3)
    model = Classifier().fit(X, y, task=task)
    revived = pickle.loads(pickle.dumps(model))
    assert_array_equal(revived.predict_proba(X, task=task), model.predict_proba(X, task=task))


def test_a_refit_on_another_layout_forgets_the_first(rng):
    X, y, task = make_rows(rng, 3)
    model = MeanRegularizedClassifier().fit(X, y, task=task)
    XW, Y = make_wide(rng)
    fresh = MeanRegularizedClassifier().fit(XW, Y)
    model.fit(XW, Y)
    assert vars(model).keys() == vars(fresh).keys()
    assert_array_equal(model.classes_, fresh.classes_)
    assert_array_equal(model.predict(XW), fresh.predict(XW))


@each_classifier
def test_score_of_wide_labels_is_the_mean_accuracy_of_tasks(Classifier, rng):
    X, Y = make_wide(rng, missing=0.3)
    weight = rng.uniform(size=Y.shape)
    model = Classifier().fit(X, Y)
    right = model.predict(X) == Y
    known = ~np.isnan(Y)
    expected = [right[known[:, t], t].mean() for t in range(3)]
    assert_allclose(model.score(X, Y), np.mean(expected))
    expected = [np.average(right[known[:, t], t], weights=weight[known[:, t], t]) for t in range(3)]
    assert_allclose(model.score(X, Y, weight), np.mean(expected))


@each_classifier
def test_the_methods_have_the_same_signatures(Classifier):
    for name in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        assert str(inspect.signature(getattr(Classifier, name))) == "(self, X, *, task=None)"


def test_scores_of_a_classifier_take_labels_and_weights_as_fits_do(rng):
    X, Y = make_wide(rng, missing=0.3)
    model = MeanRegularizedClassifier().fit(X, Y)
    weights = {
        "smallest is -1": -np.ones(len(X)),
        "contains NaN": np.full(len(X), np.nan),
        r"Got .* \(1,\)": np.ones(1),
    }
    for message, weight in weights.items():
        with pytest.raises(ValueError, match=message):
            model.score(X, Y, weight)
    with pytest.raises(ValueError, match="one column per task, 3 as in fit"):
        model.score(X, Y[:, 0])
    X, y, task = make_rows(rng, 3)
    model = MeanRegularizedClassifier().fit(X, y.astype(object), task=task)
    assert model.score(X, y.astype(object), task=task) == model.score(X, y, task=task)
    with pytest.raises(ValueError, match="Negative values in sample_weight"):
        model.score(X, y, -np.ones(len(X)), task=task)
    with pytest.raises(ValueError, match=r"contains NaN, first in row 0\. Missing labels are understood in a 2-D y"):
        model.score(X, np.r_[None, y[1:]], task=task)


@pytest.mark.filterwarnings("ignore:A column-vector y:sklearn.exceptions.DataConversionWarning")
def test_a_lone_column_with_gaps_is_said_to_be_taken_as_1d(rng):
    X, y = rng.normal(size=(6, 2)), np.array([[0.0, 1, np.nan, 0, 1, 1]]).T
    for model in (MeanRegularizedClassifier(), MultiTaskClassifier()):
        with pytest.raises(ValueError, match=r"NaN, first in row 2\..* a lone column of classes, .* taken as 1-D"):
            model.fit(X, y)


def test_a_belief_about_features_sees_each_class_in_any_sum(rng):
    """Also inside a sum of sums, and where it grows like a square: the value of the objective says so."""
    X, task, y = rng.normal(size=(60, 3)), np.repeat([0, 1, 2], 20), rng.integers(0, 3, size=60)
    graph, features = TaskGraph(0.1), JointFeature(0.05, feature_weights=[1.0, 2.0, 0.5])
    subspace = SharedSubspace(0.1, n_components=1, eta=0.3)
    for about_tasks, about_features in (
        ([SharedPlusSpecific(0.1), graph], features),
        ([graph, SharedPlusSpecific(0.1)], subspace),
        ([graph], subspace),
    ):
        penalty = about_tasks[0] + about_features
        for other in about_tasks[1:]:
            penalty = penalty + other
        model = MultiTaskClassifier(penalty, tol=1e-9).fit(X, y, task=task)
        eta = model.decision_function(X, task=task)
        loss = 3 / 60 * (logsumexp(eta, axis=1) - eta[np.arange(60), y]).sum()
        W = model.coef_
        prices = [part.value(W.reshape(3, -1)) for part in about_tasks] + [about_features.value(W.reshape(9, 3))]
        assert model.objective_ == pytest.approx(loss + sum(prices), rel=1e-9)
        assert model.dual_gap_ <= 1e-9 * np.log(3) * 3
