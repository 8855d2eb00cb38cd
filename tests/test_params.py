"""A parameter means the same everywhere: its name, default, range, message and description."""

import ast
import inspect
import pickle
import re
import textwrap
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from sklearn import linear_model
from sklearn.base import clone, is_classifier, is_regressor

import skmtl
from skmtl import (
    FusedTasksRegressor,
    JointFeatureRegressor,
    MeanRegularizedRegressor,
    MultiTaskRegressor,
    all_estimators,
    classification,
    penalties,
)
from skmtl.losses import Huber, Squared
from skmtl.penalties import L1, GroupSlope, Ridge, SharedPlusSpecific, Sum, TaskGraph, TraceNorm

ESTIMATORS, CLASSIFIERS = all_estimators(), all_estimators("classifier")
PENALTIES = [getattr(penalties, name) for name in penalties.__all__ if name not in ("Norm", "Penalty", "Square")]
each_estimator = pytest.mark.parametrize("Estimator", ESTIMATORS, ids=lambda c: c.__name__)
each_class = pytest.mark.parametrize("Class", [*ESTIMATORS, *PENALTIES], ids=lambda c: c.__name__)

COMMON = ["fit_intercept", "task_weight", "max_iter", "tol", "warm_start", "n_jobs", "verbose", "task", "unknown_task"]
STRENGTH = "a float in the range [0, inf)", [-1, -1e-9, np.nan, np.inf, "1", None, True, [1.0]]
POSITIVE = "a float in the range (0, inf)", [0, 0.0, *STRENGTH[1]]
COUNT = "an int in the range [1, inf)", [0, -1, 1.0, 10.5, "10", None, True, np.inf]
FLAG = "True or False", [1, 0, "yes", None, np.array([True])]
REFUSED = {  # parameter, or "belief.parameter" where it means something of its own -> what is expected, what is refused
    "alpha": STRENGTH,
    "alpha_shared": STRENGTH,
    "alpha_intercept": STRENGTH,
    "alpha_ridge": STRENGTH,
    "alpha_l1": STRENGTH,
    "alpha_group": STRENGTH,
    "alpha_outlier": STRENGTH,
    "alpha_sparse": STRENGTH,
    "alpha_low_rank": STRENGTH,
    "tol": STRENGTH,
    "delta": POSITIVE,
    "eta": POSITIVE,
    "loss": (
        "'squared', 'logistic', 'poisson', 'huber', a Loss, or a dict of task ids and these",
        ["hinge", None, 1, {"a": "hinge"}, [Squared()]],
    ),
    "gamma": POSITIVE,
    "l1_ratio": ("a float in the range [0, 1]", [-1e-9, 1.0001, 2, np.nan, np.inf, "1", None, True, [0.5]]),
    "q": ("a float in the range (0, 1)", [0, 1, 1.5, np.nan, "0.1", None, True, [0.1]]),
    "n_clusters": COUNT,
    "n_components": COUNT,
    "rank": COUNT,
    "norm": ("2 or 'inf'", [1, 0, 3, -np.inf, np.nan, "2", "fro", None, True, [2]]),
    "FusedTasks.norm": ("1 or 2", [0, 3, np.inf, "inf", np.nan, "1", None, True, [1]]),
    "class_weight": (
        "None, 'balanced', a dict of labels and weights >= 0, or a dict of task ids and such",
        ["equal", 1.0, True, [1.0, 2.0], {1: -1.0}, {1: np.nan}, {1: "2"}, {1: 2.0, 0: "balanced"}, {0: {0: {1: 1.0}}}],
    ),
    "AdaptiveJointFeature.penalty": ("'mcp' or 'scad' or 'capped_l1' or 'sqrt'", ["MCP", "l1", None, True, 1, Ridge()]),
    "feature_weights": (
        "None or a list of numbers >= 0, one per feature",
        [1.0, "ones", [-1.0, 1.0], [np.nan, 1.0], [np.inf, 1.0], [["a"], ["b"]], [[1.0, 1.0]], [[1], [1, 2]], {0: 1.0}],
    ),
    "order": ("None or a list of task ids", ["ab", 3, {0: 1}, {0, 1}, True]),
    "fit_intercept": FLAG,
    "warm_start": FLAG,
    "normalized": FLAG,
    "positive": FLAG,
    "smooth": FLAG,
    "task_intercepts": FLAG,
    "max_iter": COUNT,
    "n_jobs": ("None or an int other than 0", [0, 1.0, "all", True]),
    "verbose": ("a bool or an int >= 0", [-1, 0.5, "yes", None]),
    "task": ("a column name, a column position or None", [True, 1.0, ["school"], ("school",), b"school", np.nan]),
    "task_weight": (
        "'samples', 'tasks', 'auto' or a dict of task ids and factors >= 0",
        ["equal", None, 1.0, {0: -1.0}, {0: np.nan}, {0: np.inf}, {0: "1"}, {0: None}, [1.0]],
    ),
    "unknown_task": ("'error' or 'shared'", ["ignore", None, True, 0, "Shared"]),
}
ACCEPTED = {  # also the scalars that a grid in a NumPy array gives
    "alpha": [0, 1, 10.0, np.float32(0.5), np.float64(0.5), np.int64(2)],
    "alpha_shared": [0.0, np.float64(0.5)],
    "alpha_intercept": [0.0, np.float64(0.5)],
    "alpha_ridge": [0.1, np.float64(0.5)],
    "alpha_l1": [0.0, np.float64(0.5)],
    "alpha_group": [0.0, np.float64(0.5)],
    "alpha_outlier": [0.0, np.float64(0.5)],
    "alpha_sparse": [0.0, np.float64(0.5)],
    "alpha_low_rank": [0.0, np.float64(0.5)],
    "delta": [1e-3, 1, np.float64(0.5)],
    "eta": [1e-3, 1, np.float64(0.5)],
    "loss": ["squared", Squared(), Huber(delta=2.0)],
    "gamma": [3, 10.0, np.float64(2.5)],
    "l1_ratio": [0, 1, 0.5, np.float64(0.5)],
    "q": [0.1, np.float64(0.5)],
    "n_clusters": [1, 2, np.int64(2)],
    "n_components": [1, 2, np.int64(2)],
    "rank": [1, 2, np.int64(2)],
    "norm": [2, 2.0, np.inf, "inf", np.int64(2), np.str_("inf")],
    "FusedTasks.norm": [1, 2, 1.0, np.int64(2)],
    "class_weight": [
        None,
        "balanced",
        np.str_("balanced"),
        {},
        {1: 2},
        {1: np.float64(0.5), 2: 0},
        {0: {1: 2.0}, 1: "balanced"},
    ],
    "AdaptiveJointFeature.penalty": ["mcp", "scad", "capped_l1", "sqrt", np.str_("mcp")],
    "feature_weights": [None, [1, 0], (0.5, 2.0), np.array([1.0, 0.0]), pd.Series([1.0, 2.0])],
    "order": [None, [1, 0], (0, 1), np.array([1, 0])],
    "tol": [0, 1e-12, np.float32(1e-3)],
    "fit_intercept": [True, False, np.True_, np.False_],
    "warm_start": [True, False, np.True_, np.False_],
    "normalized": [True, False, np.True_, np.False_],
    "positive": [True, False, np.True_, np.False_],
    "smooth": [True, False, np.True_, np.False_],
    "task_intercepts": [True, False, np.True_, np.False_],
    "max_iter": [1, 10**6, np.int32(7)],
    "n_jobs": [None, 1, -1, np.int64(2)],
    "verbose": [0, False, np.int64(0), np.False_],
    "task": [None, -1, np.int64(0), "x0"],
    "task_weight": ["samples", "tasks", "auto", np.str_("tasks"), {}, {0: 1.0}, {0: 2, 1: np.float64(0.5)}],
    "unknown_task": ["error", "shared", np.str_("shared")],
}
DATA = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [2.0, 1.0]]), np.array([1.0, 2.0, 3.0, 5.0])
CLASSES = DATA[0], np.array([1.0, 2.0, 2.0, 1.0])  # no line separates them


PROBABILITIES = {True: ("predict_proba", "predict_log_proba", "decision_function"), False: ()}
UNNAMED = {Sum, GroupSlope}  # penalties of MultiTaskRegressor alone
UNRANGED = {"graph", "MultiTask.penalty", "Sum.a", "Sum.b"}  # objects: their own types say what they take


def names(Class):
    return [name for name in inspect.signature(Class).parameters if name != "self"]


def belief(Class):
    """What a regressor and a classifier of one name have in common."""
    return Class.__name__.removesuffix("Regressor").removesuffix("Classifier")


def key(Class, name):
    """Where the tables have a parameter: under its name, or under the belief's if it has a meaning of its own there."""
    special = f"{belief(Class)}.{name}"
    return special if special in REFUSED.keys() | UNRANGED else name


def data(Estimator):
    """Something to fit."""
    return CLASSES if is_classifier(Estimator()) else DATA


def cases(classes):
    """Every parameter of every class that has a range."""
    return [(Class, name) for Class in classes for name in names(Class) if key(Class, name) not in UNRANGED]


def entries(Class, section):
    """The entries of a section of the docstring: name -> (type, text on one line), in their order."""
    lines = inspect.getdoc(Class).splitlines()
    start = lines.index(section) + 2
    ends = [i for i, line in enumerate(lines) if i > start and re.fullmatch("-{3,}", line)]
    body = lines[start : ends[0] - 1] if ends else lines[start:]
    found, texts = {}, []
    for line in body:
        if line and not line.startswith(" "):
            name, _, kind = line.partition(" : ")
            found[name] = kind, (texts := [])
        elif line:
            texts.append(line.strip())
    return {name: (kind, " ".join(texts)) for name, (kind, texts) in found.items()}


# Ranges and messages


@pytest.mark.parametrize(("Estimator", "name"), cases(ESTIMATORS))
def test_a_value_out_of_range_is_named_with_what_was_expected(Estimator, name):
    expected, values = REFUSED[key(Estimator, name)]
    for value in values:
        model = Estimator(**{name: value})  # says nothing: only fit looks at values
        message = f"The {name!r} parameter of {Estimator.__name__} must be {expected}. Got {value!r} instead."
        for call in (model.fit, model.path, model.alpha_max):
            with pytest.raises(ValueError, match=re.escape(message)):
                call(*data(Estimator))
        assert not [attribute for attribute in vars(model) if attribute.endswith("_")]


@each_class
def test_every_parameter_has_a_range(Class):
    assert {key(Class, name) for name in names(Class)} - UNRANGED <= set(REFUSED)
    assert set(ACCEPTED) == set(REFUSED)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # tol=0 asks for too much
@pytest.mark.parametrize(("Estimator", "name"), cases(ESTIMATORS))
def test_a_value_in_range_is_accepted(Estimator, name):
    for value in ACCEPTED[key(Estimator, name)]:
        X, y = pd.DataFrame(DATA[0], columns=["x0", "x1"]), data(Estimator)[1]
        ids = {} if name == "task" and value is not None else {"task": [0, 0, 1, 1]}
        model = Estimator(**{name: value}).fit(X, y, **ids)
        assert getattr(model, name) is value


@pytest.mark.parametrize(("Penalty", "name"), cases(PENALTIES))
def test_a_penalty_out_of_range_is_named(Penalty, name):
    expected, values = REFUSED[key(Penalty, name)]
    for value in values:
        penalty = Sum(L1(), L1(), value) if Penalty is Sum else Penalty(**{name: value})
        message = f"The {name!r} parameter of {Penalty.__name__} must be {expected}. Got {value!r} instead."
        for belief in (penalty, Sum(L1(), penalty)):
            with pytest.raises(ValueError, match=re.escape(message)):
                MultiTaskRegressor(belief).fit(*DATA)


def test_a_range_of_its_own_is_inherited():
    class Mine(FusedTasksRegressor):
        pass

    Mine(norm=1).fit(*DATA)
    with pytest.raises(ValueError, match="The 'norm' parameter of Mine must be 1 or 2"):
        Mine(norm=np.inf).fit(*DATA)


@pytest.mark.parametrize("term", [None, 0.1, "ridge", Ridge, MeanRegularizedRegressor()], ids=str)
def test_a_sum_is_of_penalties(term):
    for name, penalty in [("a", Sum(term, L1())), ("b", Sum(TraceNorm(), term))]:
        with pytest.raises((TypeError, ValueError), match=rf"{name}.*must be a Penalty.*Got"):
            MultiTaskRegressor(penalty).fit(*DATA)


def test_there_is_one_weight_per_feature():
    with pytest.raises(ValueError, match=r"feature_weights .*2"):
        JointFeatureRegressor(feature_weights=[1.0, 1.0, 1.0]).fit(*DATA)


@pytest.mark.parametrize(
    "penalty", ["ridge", 0.1, Ridge, {"alpha": 1.0}, [Ridge()], MeanRegularizedRegressor()], ids=str
)
def test_what_is_no_penalty_is_refused(penalty):
    with pytest.raises((TypeError, ValueError), match=r"penalty.*must be a Penalty.*Got"):
        MultiTaskRegressor(penalty).fit(*DATA)


def test_an_estimator_with_the_name_of_a_penalty_is_told_from_it():
    with pytest.raises(TypeError, match=r"must be a Penalty.* Got Ridge\(\) of type sklearn\.linear_model\."):
        MultiTaskRegressor(linear_model.Ridge()).fit(*DATA)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"alphas": []}, "alphas must be finite"),
        ({"alphas": [1.0, -1.0]}, "alphas must be finite numbers >= 0"),
        ({"alphas": [np.nan]}, "alphas must be finite"),
        ({"alphas": [np.inf, 1.0]}, "alphas must be finite"),
        ({"eps": 0.0}, r"eps must be in \(0, 1\)"),
        ({"eps": 1.0}, r"eps must be in \(0, 1\)"),
        ({"eps": np.nan}, r"eps must be in \(0, 1\)"),
        ({"n_alphas": 0}, "n_alphas an int, at least 1"),
        ({"n_alphas": 2.5}, "n_alphas an int, at least 1"),
        ({"eps": "a"}, r"eps must be in \(0, 1\)"),
        ({"alphas": "abc"}, "alphas must be finite numbers >= 0"),
    ],
    ids=str,
)
def test_a_path_over_nothing_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        MeanRegularizedRegressor().path(*DATA, **given)


# The constructor stores


@each_class
def test_the_constructor_only_stores(Class):
    """``self.name = name`` once for every parameter, in their order, and nothing else."""
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(Class.__init__))).body
    assert "__init__" in vars(Class), "spelt out in the class itself, for editors and type checkers"
    assert [ast.unparse(line) for line in function.body] == [f"self.{name} = {name}" for name in names(Class)]


@each_class
def test_any_value_survives_the_constructor(Class):
    values = {name: object() for name in names(Class)}
    model = Class(**values)
    assert all(getattr(model, name) is value for name, value in values.items())


@each_estimator
def test_fit_changes_no_parameter(Estimator):
    given = {"task_weight": {0: 2.0, 1: 1.0}, "task": np.int64(-1), "tol": 1, "verbose": 0}
    given |= {"graph": {(0, 1): 1.0}} if "graph" in names(Estimator) else {}
    given |= {"penalty": Ridge(0.5)} if belief(Estimator) == "MultiTask" else {}
    model = Estimator(**given)
    before, copies = model.get_params(), pickle.dumps(model.get_params())
    model.fit(*data(Estimator)).path(*data(Estimator), n_alphas=3)
    model.predict(DATA[0])
    after = model.get_params()
    assert all(after[name] is value for name, value in before.items())
    assert pickle.dumps(after) == copies


def test_a_default_penalty_is_made_in_fit():
    model = MultiTaskRegressor().fit(*DATA)
    assert model.penalty is None
    assert repr(model.penalty_) == repr(SharedPlusSpecific())
    with pytest.raises(AttributeError):
        MultiTaskRegressor().set_params(penalty__alpha=1.0)


def test_two_estimators_may_hold_one_penalty():
    penalty = Ridge(0.5)
    first, second = (MultiTaskRegressor(penalty).fit(*DATA) for _ in range(2))
    assert first.penalty is second.penalty
    assert clone(first).penalty is not penalty
    assert clone(first).set_params(penalty__alpha=3.0).penalty.alpha == 3.0
    assert penalty.alpha == 0.5


def test_a_path_of_a_penalty_leaves_it_as_it_was():
    penalty = TaskGraph(0.5)
    MultiTaskRegressor(penalty).path(*DATA, alphas=[1.0, 2.0])
    assert penalty.alpha == 0.5


@each_estimator
def test_verbose_prints_one_line_after_the_fit(Estimator, capsys):
    Estimator(verbose=0).fit(*data(Estimator))
    assert capsys.readouterr() == ("", "")
    Estimator(verbose=1).fit(*data(Estimator))
    printed = "".join(capsys.readouterr())
    assert len(printed.strip().splitlines()) == 1
    assert Estimator.__name__ in printed


# Signatures agree


@each_estimator
def test_the_common_parameters_are_the_same_and_come_last(Estimator):
    signature, first = inspect.signature(Estimator).parameters, inspect.signature(ESTIMATORS[0]).parameters
    assert list(signature)[-len(COMMON) :] == COMMON
    for name in COMMON:
        assert signature[name] == first[name]


@each_estimator
def test_all_parameters_but_the_first_are_keywords(Estimator):
    first, *others = inspect.signature(Estimator).parameters.values()
    assert first.name in ("alpha", "penalty", "rank", "n_components")
    assert first.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert {parameter.kind for parameter in others} == {inspect.Parameter.KEYWORD_ONLY}


# Classes that a plane separates have no best weights where only differences between tasks are penalised, or only small
# weights.
BOUNDED = "AdaptiveJointFeature", "FusedTasks", "ReducedRank", "Temporal"
DEFAULTS_OF_CLASSIFIERS = {name: {"alpha_ridge": 0.01} for name in BOUNDED}
DEFAULTS_OF_ITS_OWN = {
    # where nothing else bounds the weights of a task without rows
    ("alpha_ridge", 0.01): {"TaskGraph", "LatentBasis", *DEFAULTS_OF_CLASSIFIERS},
    ("alpha", 1.0): {"Sum"},  # a factor of strengths, not a strength
    ("penalty", "mcp"): {"AdaptiveJointFeature"},  # the shape of the penalty, by its name
}


def test_a_parameter_has_one_default():
    defaults = {}
    for Class in [*ESTIMATORS, *PENALTIES]:
        for name, parameter in inspect.signature(Class).parameters.items():
            if parameter.default is not inspect.Parameter.empty:
                defaults.setdefault((name, parameter.default), set()).add(belief(Class))
    for case, beliefs in DEFAULTS_OF_ITS_OWN.items():
        assert defaults.pop(case) == beliefs
    shared = [name for name, _ in defaults]
    assert {name for name in shared if shared.count(name) > 1} == set()


@each_estimator
def test_the_methods_have_the_same_signatures(Estimator):
    data = "(self, X, y, sample_weight=None, *, task=None"
    assert str(inspect.signature(Estimator.fit)) == f"{data})"
    assert str(inspect.signature(Estimator.score)) == f"{data})"
    assert str(inspect.signature(Estimator.path)) == f"{data}, alphas=None, n_alphas=100, eps=0.001)"
    assert str(inspect.signature(Estimator.alpha_max)) == f"{data})"
    for name in ("predict", *PROBABILITIES[is_classifier(Estimator())]):
        assert str(inspect.signature(getattr(Estimator, name))) == "(self, X, *, task=None)"


@pytest.mark.parametrize("Penalty", PENALTIES, ids=lambda c: c.__name__)
def test_a_named_estimator_has_the_strengths_of_its_penalty(Penalty):
    """A penalty's parameters are those of the estimators that stand for it, defaults included."""
    owners = [Estimator for Estimator in ESTIMATORS if type(Estimator()._penalty()) is Penalty]
    owners = [Estimator for Estimator in owners if belief(Estimator) != "MultiTask"]
    mine = {name: p.default for name, p in inspect.signature(Penalty).parameters.items()}
    for Estimator in owners:
        signature = inspect.signature(Estimator).parameters
        other = DEFAULTS_OF_CLASSIFIERS.get(belief(Estimator), {}) if is_classifier(Estimator()) else {}
        given = {name: p.default for name, p in signature.items() if name not in (*COMMON, "class_weight")}
        assert given == mine | other
    assert [is_regressor(Estimator()) for Estimator in owners].count(True) == (Penalty not in UNNAMED)


LINEAR = [Classifier for Classifier in CLASSIFIERS if Classifier.__name__ in classification.__all__]


@pytest.mark.parametrize("Classifier", LINEAR, ids=lambda c: c.__name__)
def test_a_classifier_has_the_parameters_of_its_regressor(Classifier):
    """In the same order and the same words, with the weights of classes before those that all models have."""
    Regressor = getattr(skmtl, f"{belief(Classifier)}Regressor")
    own = [name for name in names(Regressor) if name not in (*COMMON, "loss")]
    assert names(Classifier) == [*own, "class_weight", *COMMON]
    signature, theirs = inspect.signature(Classifier).parameters, inspect.signature(Regressor).parameters
    ours, described = entries(Classifier, "Parameters"), entries(Regressor, "Parameters")
    for name in own:
        kind, text = described[name]
        text = re.sub(r"Regressor\b", "Classifier", text)
        if name in DEFAULTS_OF_CLASSIFIERS.get(belief(Classifier), {}):
            assert ours[name][1].startswith(text)
        else:
            assert signature[name] == theirs[name]
            assert ours[name] == (kind, text)
    assert Classifier._penalty is Regressor._penalty
    assert ours["class_weight"] == entries(LINEAR[0], "Parameters")["class_weight"]


def test_all_estimators_are_public():
    assert [Estimator.__name__ for Estimator in ESTIMATORS] == sorted(Estimator.__name__ for Estimator in ESTIMATORS)
    for Estimator in ESTIMATORS:
        assert getattr(skmtl, Estimator.__name__) is Estimator
        assert Estimator.__name__ in skmtl.__all__
    assert set(ESTIMATORS) == {*all_estimators("regressor"), *CLASSIFIERS}
    with pytest.raises(ValueError, match="type_filter must be"):
        all_estimators("transformer")


# Docstrings


@each_class
def test_the_docstring_lists_exactly_the_parameters(Class):
    assert [name for entry in entries(Class, "Parameters") for name in entry.split(", ")] == names(Class)


@each_class
def test_the_docstring_states_the_defaults(Class):
    signature = inspect.signature(Class).parameters
    for entry, (kind, text) in entries(Class, "Parameters").items():
        stated = kind.rpartition("default=")[2]
        for name in entry.split(", "):
            default = signature[name].default
            assert default is inspect.Parameter.empty or ast.literal_eval(stated) == default, name
        assert text.endswith("."), name


@each_estimator
@pytest.mark.parametrize("name", COMMON)
def test_a_common_parameter_is_described_in_the_same_words(Estimator, name):
    """Word for word; a model may add to the sentence that all share, not change it."""
    described = [entries(other, "Parameters")[name] for other in ESTIMATORS]
    shortest = min((text for _, text in described), key=len)
    kind, text = entries(Estimator, "Parameters")[name]
    assert {kind} == {kind for kind, _ in described}
    assert text.startswith(shortest.rstrip("."))


@each_estimator
def test_the_documented_attributes_are_those_of_a_fitted_model(Estimator):
    model = Estimator().fit(pd.DataFrame(DATA[0], columns=["u", "v"]), data(Estimator)[1])
    public = {name for name in vars(model) if name.endswith("_") and not name.startswith("_")}
    documented = set(entries(Estimator, "Attributes"))
    assert public - documented <= {"residual_"}  # any model has it where it happens to be quadratic: one task, alpha=0
    assert [name for name in documented if not hasattr(model, name)] == []
    properties = {name for name in dir(type(model)) if name.endswith("_") and not name.startswith("_")}
    assert properties <= documented


@each_estimator
def test_the_docstrings_of_methods_list_exactly_their_parameters(Estimator):
    for name in ("fit", "predict", "score", "path", "alpha_max", *PROBABILITIES[is_classifier(Estimator())]):
        method = getattr(Estimator, name)
        listed = [part for entry in entries(method, "Parameters") for part in entry.split(", ")]
        assert listed == [parameter for parameter in inspect.signature(method).parameters if parameter != "self"], name


@each_class
def test_a_class_shows_how_it_is_used(Class):
    text = inspect.getdoc(Class)
    assert ".. math::" in text
    assert f"{Class.__name__}(" in text.partition("Examples\n--------")[2]


def test_the_penalty_of_a_fit_stays_what_it_was():
    model = MultiTaskRegressor(SharedPlusSpecific(alpha=1.0)).fit(*DATA)
    model.set_params(penalty__alpha=7.0)
    assert model.penalty_.alpha == 1.0


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.longdouble, Fraction])
@pytest.mark.parametrize(
    "model",
    [
        skmtl.ClusteredRegressor(0.1, eta=0.7),
        skmtl.FusedTasksRegressor(0.1),
        skmtl.JointFeatureClassifier(0.1, alpha_l1=0.01),
        MultiTaskRegressor(L1(0.1) + Ridge(0.1), loss=Huber(0.7)),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_number_of_any_type_is_that_number(model, kind, rng):
    X, task = rng.normal(size=(24, 3)), np.repeat([0, 1, 2], 8)
    y = X[:, 0] > 0.0 if is_classifier(model) else X[:, 0]
    numbers = {name: kind(value) for name, value in model.get_params().items() if type(value) is float}
    plain = {name: float(value) for name, value in numbers.items()}
    found, expected = (clone(model).set_params(**how).fit(X, y, task=task) for how in (numbers, plain))
    assert type(found.objective_) is float
    np.testing.assert_array_equal(found.coef_, expected.coef_)


@pytest.mark.parametrize("size", [4 * 10**18, 10**19], ids=["int64", "more"])
@pytest.mark.parametrize("kind", [int, np.uint64])
@pytest.mark.parametrize(
    ("model", "name"),
    [(skmtl.TaskGraphRegressor(), "alpha"), (skmtl.ClusteredRegressor(), "eta")],
)
def test_a_strength_is_a_float_however_large_the_int(model, name, kind, size, rng):
    """An int times a number of tasks, which may be one of NumPy's, overflows without a word."""
    X, task = rng.normal(size=(24, 3)), np.repeat([0, 1, 2], 8)
    found, expected = (
        clone(model).set_params(**{name: value}).fit(X, X[:, 0], task=task) for value in (kind(size), float(size))
    )
    np.testing.assert_array_equal(found.coef_, expected.coef_)
    assert found.objective_ == expected.objective_
