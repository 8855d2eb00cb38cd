"""The range of every parameter, once: a name means the same in all estimators and penalties."""

import copy
import math
from collections.abc import Mapping
from functools import cache
from numbers import Integral, Real
from typing import Any

import numpy as np

from skmtl._ids import brief
from skmtl.losses import Loss, is_loss
from skmtl.penalties import Penalty

__all__ = ["FLAG", "check_parameters", "number", "with_plain_numbers"]


def _is_number(value: Any, kind=Real):
    return isinstance(value, kind) and not isinstance(value, bool)


def number(low, high=math.inf, kind=Real, ends="[)"):
    """Numbers between `low` and `high`; a square bracket in `ends` includes that end."""

    def accepts(value: Any):
        return (
            _is_number(value, kind)
            and (low <= value if ends[0] == "[" else low < value)
            and (value <= high if ends[1] == "]" else value < high)
        )

    return accepts, f"{'a float' if kind is Real else 'an int'} in the range {ends[0]}{low}, {high}{ends[1]}"


def _choice(*values):
    return (lambda value: isinstance(value, str) and value in values), " or ".join(map(repr, values))


def _norm(*orders):
    """Some of the norms 1, 2 and infinity, which may also be written "inf"."""

    def accepts(value):
        return value in orders if isinstance(value, str) else _is_number(value) and float(value) in map(float, orders)

    return accepts, " or ".join(map(repr, orders))


_STRENGTH = number(0)
_POSITIVE = number(0, ends="()")
_COUNT = number(1, kind=Integral)


def _is_position_or_name(value):
    return value is None or isinstance(value, str) or _is_number(value, Integral)


def _is_transformer(value):
    if isinstance(value, type) or not hasattr(value, "__sklearn_tags__"):
        return False
    return hasattr(value, "transform") or hasattr(value, "fit_transform")


def _is_task_weight(value):
    if isinstance(value, Mapping):
        return all(_STRENGTH[0](f) for f in value.values())
    return isinstance(value, str) and value in ("samples", "tasks", "auto")


def _is_class_weight(value, of_a_task=False):
    if not isinstance(value, Mapping):
        return value is None or (isinstance(value, str) and value == "balanced")
    if all(_STRENGTH[0](w) for w in value.values()):
        return True
    return not of_a_task and all(_is_class_weight(setting, of_a_task=True) for setting in value.values())


def _is_list(value):
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, (list, tuple)) or hasattr(value, "to_numpy")


def _are_weights(value):
    """Whether `value` is a list of numbers >= 0; how many there must be, only the data say."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        return False
    return array.ndim == 1 and array.dtype.kind in "iuf" and bool(np.all((array >= 0) & (array < math.inf)))


def _is_sizes(value):
    """Whether `value` is the number of units of a layer, or a list of such."""
    values = [value] if _is_number(value) else list(value) if _is_list(value) else []
    return len(values) > 0 and all(_COUNT[0](size) for size in values)


_NETWORK_WEIGHTS = (
    *("equal", "samples", "uncertainty", "dwa", "geometric", "stch", "random", "priority"),
    *("gradnorm", "pcgrad", "upgrad", "cagrad", "imtl", "mgda"),
)
FLAG = (lambda value: isinstance(value, (bool, np.bool_))), "True or False"
_PENALTY = (lambda value: isinstance(value, Penalty)), "a Penalty"
# A key "Class.name" says what the name means in that class, the estimators named after it, and their subclasses, if it
# means something else there.
_RANGES = {
    "a": _PENALTY,
    "AdaptiveJointFeature.penalty": _choice("mcp", "scad", "capped_l1", "sqrt"),
    "alpha": _STRENGTH,
    "alpha_group": _STRENGTH,
    "alpha_intercept": _STRENGTH,
    "alpha_l1": _STRENGTH,
    "alpha_low_rank": _STRENGTH,
    "alpha_outlier": _STRENGTH,
    "alpha_ridge": _STRENGTH,
    "alpha_shared": _STRENGTH,
    "alpha_sparse": _STRENGTH,
    "b": _PENALTY,
    "BaseNetwork.alpha_soft": _STRENGTH,
    "BaseNetwork.activation": _choice("identity", "logistic", "tanh", "relu"),
    "BaseNetwork.batch_size": (
        lambda value: (isinstance(value, str) and value == "auto") or _COUNT[0](value),
        "'auto' or an int >= 1",
    ),
    "BaseNetwork.beta_1": number(0, 1),
    "BaseNetwork.beta_2": number(0, 1),
    "BaseNetwork.callbacks": (
        lambda value: value is None or callable(value) or (_is_list(value) and all(map(callable, value))),
        "None, a callable or a list of callables",
    ),
    "BaseNetwork.dropout": number(0, 1),
    "BaseNetwork.early_stopping": FLAG,
    "BaseNetwork.ensemble": FLAG,
    "BaseNetwork.epsilon": _POSITIVE,
    "BaseNetwork.features": (
        lambda value: value is None or isinstance(value, Mapping),
        "None or a dict of task ids and lists of columns",
    ),
    "BaseNetwork.hidden_layer_sizes": (_is_sizes, "an int >= 1 or a list of these, at least one"),
    "BaseNetwork.learning_rate": _choice("constant", "cosine", "plateau"),
    "BaseNetwork.learning_rate_init": _POSITIVE,
    "BaseNetwork.loss": _choice("squared", "huber", "poisson"),
    "BaseNetwork.max_norm": (
        lambda value: value is None or _POSITIVE[0](value),
        "None or a float in the range (0, inf)",
    ),
    "BaseNetwork.metrics": (
        lambda value: (
            value is None or callable(value) or (isinstance(value, Mapping) and all(map(callable, value.values())))
        ),
        "None, a callable or a dict of task ids and callables",
    ),
    "BaseNetwork.momentum": number(0, 1, ends="[]"),
    "BaseNetwork.n_init": _COUNT,
    "BaseNetwork.n_iter_no_change": (
        lambda value: _COUNT[0](value) or (_is_number(value) and value == math.inf),
        "an int in the range [1, inf]",
    ),
    "BaseNetwork.nesterovs_momentum": FLAG,
    "BaseNetwork.private_layer_sizes": (
        lambda value: _is_sizes(value) or (_is_list(value) and len(value) == 0),
        "an int >= 1 or a list of these",
    ),
    "BaseNetwork.progress": FLAG,
    "BaseNetwork.random_state": (
        lambda value: (
            value is None or isinstance(value, np.random.RandomState) or number(0, 2**32 - 1, Integral, "[]")[0](value)
        ),
        "None, an int in the range [0, 4294967295] or a numpy.random.RandomState",
    ),
    "BaseNetwork.sharing": _choice("shared", "private", "soft"),
    "BaseNetwork.shuffle": FLAG,
    "BaseNetwork.solver": _choice("adam", "adamw", "sgd", "lbfgs"),
    "BaseNetwork.standardize_y": FLAG,
    "BaseNetwork.task_weight": (
        lambda value: (
            isinstance(value, (str, Mapping))
            and (all(map(_STRENGTH[0], value.values())) if isinstance(value, Mapping) else value in _NETWORK_WEIGHTS)
        ),
        "one of " + ", ".join(map(repr, _NETWORK_WEIGHTS)) + " or a dict of task ids and factors >= 0",
    ),
    "BaseNetwork.temperature": _STRENGTH,
    "BaseNetwork.validation_fraction": number(0, 1, ends="()"),
    "class_weight": (
        _is_class_weight,
        "None, 'balanced', a dict of labels and weights >= 0, or a dict of task ids and such",
    ),
    "delta": _POSITIVE,
    "eta": _POSITIVE,
    "feature_weights": (
        lambda value: value is None or _are_weights(value),
        "None or a list of numbers >= 0, one per feature",
    ),
    "fit_intercept": FLAG,
    "FusedTasks.norm": _norm(1, 2),
    "gamma": _POSITIVE,
    "l1_ratio": number(0, 1, ends="[]"),
    "loss": (is_loss, "'squared', 'logistic', 'poisson', 'huber', a Loss, or a dict of task ids and these"),
    "max_iter": _COUNT,
    "n_clusters": _COUNT,
    "n_components": _COUNT,
    "n_jobs": (
        lambda value: value is None or (_is_number(value, Integral) and value != 0),
        "None or an int other than 0",
    ),
    "norm": _norm(2, "inf"),
    "normalized": FLAG,
    "order": (lambda value: value is None or _is_list(value), "None or a list of task ids"),
    "per_task": FLAG,
    "positive": FLAG,
    "q": number(0, 1, ends="()"),
    "rank": _COUNT,
    "smooth": FLAG,
    "task": (_is_position_or_name, "a column name, a column position or None"),
    "task_intercepts": FLAG,
    "TaskWise.transformer": (lambda value: value is None or _is_transformer(value), "None or a transformer"),
    "task_weight": (_is_task_weight, "'samples', 'tasks', 'auto' or a dict of task ids and factors >= 0"),
    "tol": _STRENGTH,
    "unknown_task": _choice("error", "shared"),
    "verbose": (lambda value: isinstance(value, (Integral, np.bool_)) and int(value) >= 0, "a bool or an int >= 0"),
    "warm_start": FLAG,
}


def check_parameters(owner):
    """Raise ValueError for the first parameter of `owner`, or of its penalties and losses, outside its range."""
    for name, value in owner.get_params(deep=False).items():
        accepts, expected = _range(type(owner).__mro__, name)
        if not accepts(value):
            raise ValueError(
                f"The {name!r} parameter of {type(owner).__name__} must be {expected}. Got {brief(value)} instead."
            )
        for part in value.values() if isinstance(value, Mapping) else [value]:
            if isinstance(part, (Penalty, Loss)):
                check_parameters(part)
    if isinstance(owner, Penalty):
        owner.check()


def with_plain_numbers(owner):
    """A copy of a penalty or loss whose parameters, those of its parts included, are Python's own numbers.

    A NumPy scalar would turn the arrays that it multiplies into its own type.  Strengths are floats, also where the
    user gives an int: one of 19 digits overflows when NumPy's integers, such as a number of tasks, multiply it.
    """
    plain = copy.copy(owner)
    for name, value in owner.get_params(deep=False).items():
        if isinstance(value, Penalty):
            setattr(plain, name, with_plain_numbers(value))
        elif _is_number(value):
            whole = isinstance(value, Integral) and _range(type(owner).__mro__, name) not in (_STRENGTH, _POSITIVE)
            setattr(plain, name, int(value) if whole else float(value))
    return plain


@cache
def _range(classes, name):
    """What `_RANGES` says of a parameter of a class, given as its bases in order; anything goes if it says nothing."""
    beliefs = [base.__name__.removesuffix("Regressor").removesuffix("Classifier") for base in classes]
    special = [f"{belief}.{name}" for belief in beliefs]
    return next((_RANGES[key] for key in (*special, name) if key in _RANGES), ((lambda value: True), "anything"))
