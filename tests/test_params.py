"""A parameter means the same everywhere: its name, default, range, message and description."""

import ast
import inspect
import pickle
import re
import textwrap

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import skmtl
from skmtl import MeanRegularizedRegressor, MultiTaskRegressor, all_estimators, penalties
from skmtl.penalties import Ridge, SharedPlusSpecific, TaskGraph

ESTIMATORS = all_estimators()
PENALTIES = [getattr(penalties, name) for name in penalties.__all__ if name != "Penalty"]
each_estimator = pytest.mark.parametrize("Estimator", ESTIMATORS, ids=lambda c: c.__name__)
each_class = pytest.mark.parametrize("Class", [*ESTIMATORS, *PENALTIES], ids=lambda c: c.__name__)

COMMON = ["fit_intercept", "task_weight", "max_iter", "tol", "warm_start", "n_jobs", "verbose", "task", "unknown_task"]
STRENGTH = "a float in the range [0, inf)", [-1, -1e-9, np.nan, np.inf, "1", None, True, [1.0]]
FLAG = "True or False", [1, 0, "yes", None, np.array([True])]
REFUSED = {  # parameter -> what is expected, what is refused
    "alpha": STRENGTH,
    "alpha_shared": STRENGTH,
    "alpha_intercept": STRENGTH,
    "alpha_ridge": STRENGTH,
    "tol": STRENGTH,
    "fit_intercept": FLAG,
    "warm_start": FLAG,
    "normalized": FLAG,
    "task_intercepts": FLAG,
    "max_iter": ("an int in the range [1, inf)", [0, -1, 1.0, 10.5, "10", None, True, np.inf]),
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
    "tol": [0, 1e-12, np.float32(1e-3)],
    "fit_intercept": [True, False, np.True_, np.False_],
    "warm_start": [True, False, np.True_, np.False_],
    "normalized": [True, False, np.True_, np.False_],
    "task_intercepts": [True, False, np.True_, np.False_],
    "max_iter": [1, 10**6, np.int32(7)],
    "n_jobs": [None, 1, -1, np.int64(2)],
    "verbose": [0, False, np.int64(0)],
    "task": [None, -1, np.int64(0), "x0"],
    "task_weight": ["samples", "tasks", "auto", np.str_("tasks"), {}, {0: 1.0}, {0: 2, 1: np.float64(0.5)}],
    "unknown_task": ["error", "shared", np.str_("shared")],
}
CASES = [
    pytest.param(Estimator, name, value, expected, id=f"{Estimator.__name__}-{name}-{value}")
    for Estimator in ESTIMATORS
    for name, (expected, values) in REFUSED.items()
    for value in values
    if name in inspect.signature(Estimator).parameters
]
DATA = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [2.0, 1.0]]), np.array([1.0, 2.0, 3.0, 5.0])


def names(Class):
    return [name for name in inspect.signature(Class).parameters if name != "self"]


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


@pytest.mark.parametrize(("Estimator", "name", "value", "expected"), CASES)
def test_a_value_out_of_range_is_named_with_what_was_expected(Estimator, name, value, expected):
    model = Estimator(**{name: value})  # says nothing: only fit looks at values
    message = f"The {name!r} parameter of {Estimator.__name__} must be {expected}. Got {value!r} instead."
    for call in (model.fit, model.path):
        with pytest.raises(ValueError, match=re.escape(message)):
            call(*DATA)
    assert not [attribute for attribute in vars(model) if attribute.endswith("_")]


@each_estimator
def test_every_parameter_has_a_range(Estimator):
    assert set(names(Estimator)) - {"penalty", "graph"} <= set(REFUSED)
    assert set(ACCEPTED) == set(REFUSED)


@pytest.mark.parametrize(
    ("Estimator", "name"),
    [(Estimator, name) for Estimator in ESTIMATORS for name in ACCEPTED if name in names(Estimator)],
)
def test_a_value_in_range_is_accepted(Estimator, name):
    for value in ACCEPTED[name]:
        X, y = pd.DataFrame(DATA[0], columns=["x0", "x1"]), DATA[1]
        ids = {} if name == "task" and value is not None else {"task": [0, 0, 1, 1]}
        model = Estimator(**{name: value}).fit(X, y, **ids)
        assert getattr(model, name) is value


@pytest.mark.parametrize(
    ("Penalty", "name"), [(Penalty, name) for Penalty in PENALTIES for name in names(Penalty) if name != "graph"]
)
def test_a_penalty_out_of_range_is_named(Penalty, name):
    expected, values = REFUSED[name]
    for value in values:
        message = f"The {name!r} parameter of {Penalty.__name__} must be {expected}. Got {value!r} instead."
        with pytest.raises(ValueError, match=re.escape(message)):
            MultiTaskRegressor(Penalty(**{name: value})).fit(*DATA)


@pytest.mark.parametrize(
    "penalty", ["ridge", 0.1, Ridge, {"alpha": 1.0}, [Ridge()], MeanRegularizedRegressor()], ids=str
)
def test_what_is_no_penalty_is_refused(penalty):
    with pytest.raises((TypeError, ValueError), match=r"penalty.*must be a Penalty.*Got"):
        MultiTaskRegressor(penalty).fit(*DATA)


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
        ({"n_alphas": 0}, "n_alphas at least 1"),
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
    given |= {"penalty": Ridge(0.5)} if "penalty" in names(Estimator) else {}
    model = Estimator(**given)
    before, copies = model.get_params(), pickle.dumps(model.get_params())
    model.fit(*DATA).path(*DATA, n_alphas=3)
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
    Estimator(verbose=0).fit(*DATA)
    assert capsys.readouterr() == ("", "")
    Estimator(verbose=1).fit(*DATA)
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
    assert first.name in ("alpha", "penalty")
    assert first.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert {parameter.kind for parameter in others} == {inspect.Parameter.KEYWORD_ONLY}


def test_a_parameter_has_one_default():
    defaults = {}
    for Class in [*ESTIMATORS, *PENALTIES]:
        for name, parameter in inspect.signature(Class).parameters.items():
            defaults.setdefault(name, set()).add(parameter.default)
    assert {name: values for name, values in defaults.items() if len(values) > 1} == {}


@each_estimator
def test_the_methods_have_the_same_signatures(Estimator):
    data = "(self, X, y, sample_weight=None, *, task=None"
    assert str(inspect.signature(Estimator.fit)) == f"{data})"
    assert str(inspect.signature(Estimator.score)) == f"{data})"
    assert str(inspect.signature(Estimator.path)) == f"{data}, alphas=None, n_alphas=100, eps=0.001)"
    assert str(inspect.signature(Estimator.predict)) == "(self, X, *, task=None)"


@pytest.mark.parametrize("Penalty", PENALTIES, ids=lambda c: c.__name__)
def test_a_named_estimator_has_the_strengths_of_its_penalty(Penalty):
    """A penalty's parameters are those of the estimator that stands for it, defaults included."""
    owners = [Estimator for Estimator in ESTIMATORS if type(Estimator()._penalty()) is Penalty]
    mine = {name: p.default for name, p in inspect.signature(Penalty).parameters.items()}
    named = [
        {name: p.default for name, p in inspect.signature(Estimator).parameters.items() if name not in COMMON}
        for Estimator in owners
        if Estimator is not MultiTaskRegressor
    ]
    assert named == [mine]


def test_all_estimators_are_public():
    assert [Estimator.__name__ for Estimator in ESTIMATORS] == sorted(Estimator.__name__ for Estimator in ESTIMATORS)
    for Estimator in ESTIMATORS:
        assert getattr(skmtl, Estimator.__name__) is Estimator
        assert Estimator.__name__ in skmtl.__all__


# Docstrings


@each_class
def test_the_docstring_lists_exactly_the_parameters(Class):
    assert list(entries(Class, "Parameters")) == names(Class)


@each_class
def test_the_docstring_states_the_defaults(Class):
    signature = inspect.signature(Class).parameters
    for name, (kind, text) in entries(Class, "Parameters").items():
        stated = kind.rpartition("default=")[2]
        assert ast.literal_eval(stated) == signature[name].default, name
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
    model = Estimator().fit(pd.DataFrame(DATA[0], columns=["u", "v"]), DATA[1])
    public = {name for name in vars(model) if name.endswith("_") and not name.startswith("_")}
    documented = set(entries(Estimator, "Attributes"))
    assert public <= documented
    assert [name for name in documented if not hasattr(model, name)] == []
    properties = {name for name in dir(type(model)) if name.endswith("_") and not name.startswith("_")}
    assert properties <= documented


@each_estimator
def test_the_docstrings_of_methods_list_exactly_their_parameters(Estimator):
    for name in ("fit", "predict", "score", "path"):
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
