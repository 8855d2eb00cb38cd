"""The range of every parameter, once: a name means the same in all estimators and penalties."""

import copy
import math
from collections.abc import Callable, Mapping
from functools import cache
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from skmtl._ids import brief
from skmtl.losses import Loss, is_loss
from skmtl.penalties import Penalty

__all__ = ["FLAG", "check_parameters", "number", "with_plain_numbers"]


class Range(NamedTuple):
    """The values that a parameter may have, as a function that tells them from others, and in words."""

    accepts: Callable[[Any], bool]
    expected: str


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

    return Range(accepts, f"{'a float' if kind is Real else 'an int'} in the range {ends[0]}{low}, {high}{ends[1]}")


def _choice(*values):
    return Range(lambda value: isinstance(value, str) and value in values, " or ".join(map(repr, values)))


def _norm(*orders):
    """Some of the norms 1, 2 and infinity, which may also be written "inf"."""

    def accepts(value):
        return value in orders if isinstance(value, str) else _is_number(value) and float(value) in map(float, orders)

    return Range(accepts, " or ".join(map(repr, orders)))


def _factors(words, *names):
    """One of some names, listed in `words`, or a dict of tasks and numbers."""

    def accepts(value):
        if isinstance(value, Mapping):
            return _are_strengths(value.values())
        return isinstance(value, str) and value in names

    return Range(accepts, f"{words} or a dict of task ids and factors >= 0")


def _or_none(values):
    return Range(lambda value: value is None or values.accepts(value), f"None or {values.expected}")


FLAG = Range(lambda value: isinstance(value, (bool, np.bool_)), "True or False")
_STRENGTH = number(0)
_POSITIVE = number(0, ends="()")
_COUNT = number(1, kind=Integral)
_SEED = number(0, 2**32 - 1, Integral, "[]")
_PENALTY = Range(lambda value: isinstance(value, Penalty), "a Penalty")
_ANYTHING = Range(lambda value: True, "anything")


def _are_strengths(values):
    return all(map(_STRENGTH.accepts, values))


def _is_position_or_name(value):
    return value is None or isinstance(value, str) or _is_number(value, Integral)


def _is_transformer(value):
    if isinstance(value, type) or not hasattr(value, "__sklearn_tags__"):
        return False
    return hasattr(value, "transform") or hasattr(value, "fit_transform")


def _is_class_weight(value, of_a_task=False):
    if not isinstance(value, Mapping):
        return value is None or (isinstance(value, str) and value == "balanced")
    if _are_strengths(value.values()):
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
    return len(values) > 0 and all(map(_COUNT.accepts, values))


def _are_callbacks(value):
    return value is None or callable(value) or (_is_list(value) and all(map(callable, value)))


def _are_metrics(value):
    return value is None or callable(value) or (isinstance(value, Mapping) and all(map(callable, value.values())))


def _is_random_state(value):
    return value is None or isinstance(value, np.random.RandomState) or _SEED.accepts(value)


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
    "class_weight": Range(
        _is_class_weight,
        "None, 'balanced', a dict of labels and weights >= 0, or a dict of task ids and such",
    ),
    "delta": _POSITIVE,
    "eta": _POSITIVE,
    "feature_weights": _or_none(Range(_are_weights, "a list of numbers >= 0, one per feature")),
    "fit_intercept": FLAG,
    "FusedTasks.norm": _norm(1, 2),
    "gamma": _POSITIVE,
    "l1_ratio": number(0, 1, ends="[]"),
    "loss": Range(is_loss, "'squared', 'logistic', 'poisson', 'huber', a Loss, or a dict of task ids and these"),
    "max_iter": _COUNT,
    "n_clusters": _COUNT,
    "n_components": _COUNT,
    "n_jobs": _or_none(Range(lambda value: _is_number(value, Integral) and value != 0, "an int other than 0")),
    "norm": _norm(2, "inf"),
    "normalized": FLAG,
    "order": _or_none(Range(_is_list, "a list of task ids")),
    "per_task": FLAG,
    "positive": FLAG,
    "q": number(0, 1, ends="()"),
    "rank": _COUNT,
    "smooth": FLAG,
    "task": Range(_is_position_or_name, "a column name, a column position or None"),
    "task_intercepts": FLAG,
    "TaskWise.transformer": _or_none(Range(_is_transformer, "a transformer")),
    "task_weight": _factors("'samples', 'tasks', 'auto'", "samples", "tasks", "auto"),
    "tol": _STRENGTH,
    "unknown_task": _choice("error", "shared"),
    "verbose": Range(
        lambda value: isinstance(value, (Integral, np.bool_)) and int(value) >= 0, "a bool or an int >= 0"
    ),
    "warm_start": FLAG,
}

_NETWORK_WEIGHTS = (
    *("equal", "samples", "uncertainty", "dwa", "geometric", "stch", "random", "priority"),
    *("gradnorm", "pcgrad", "upgrad", "cagrad", "imtl", "mgda"),
)
_NETWORK_RANGES = {
    "activation": _choice("identity", "logistic", "tanh", "relu"),
    "alpha_soft": _STRENGTH,
    "batch_size": Range(
        lambda value: (isinstance(value, str) and value == "auto") or _COUNT.accepts(value), "'auto' or an int >= 1"
    ),
    "beta_1": number(0, 1),
    "beta_2": number(0, 1),
    "callbacks": Range(_are_callbacks, "None, a callable or a list of callables"),
    "dropout": number(0, 1),
    "early_stopping": FLAG,
    "ensemble": FLAG,
    "epsilon": _POSITIVE,
    "features": _or_none(Range(lambda value: isinstance(value, Mapping), "a dict of task ids and lists of columns")),
    "hidden_layer_sizes": Range(_is_sizes, "an int >= 1 or a list of these, at least one"),
    "learning_rate": _choice("constant", "cosine", "plateau"),
    "learning_rate_init": _POSITIVE,
    "loss": _choice("squared", "huber", "poisson"),
    "max_norm": _or_none(_POSITIVE),
    "metrics": Range(_are_metrics, "None, a callable or a dict of task ids and callables"),
    "momentum": number(0, 1, ends="[]"),
    "n_init": _COUNT,
    "n_iter_no_change": Range(
        lambda value: _COUNT.accepts(value) or (_is_number(value) and value == math.inf),
        "an int in the range [1, inf]",
    ),
    "nesterovs_momentum": FLAG,
    "private_layer_sizes": Range(
        lambda value: _is_sizes(value) or (_is_list(value) and len(value) == 0), "an int >= 1 or a list of these"
    ),
    "progress": FLAG,
    "random_state": Range(_is_random_state, f"None, {_SEED.expected} or a numpy.random.RandomState"),
    "sharing": _choice("shared", "private", "soft"),
    "shuffle": FLAG,
    "solver": _choice("adam", "adamw", "sgd", "lbfgs"),
    "standardize_y": FLAG,
    "task_weight": _factors("one of " + ", ".join(map(repr, _NETWORK_WEIGHTS)), *_NETWORK_WEIGHTS),
    "temperature": _STRENGTH,
    "validation_fraction": number(0, 1, ends="()"),
}
_RANGES |= {f"BaseNetwork.{name}": values for name, values in _NETWORK_RANGES.items()}


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
    return next((_RANGES[key] for key in (*special, name) if key in _RANGES), _ANYTHING)
