"""The range of every parameter, once: a name means the same in all estimators and penalties."""

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

__all__ = ["check_parameters"]


def _number(low, kind=Real):
    def accepts(value: Any):
        return isinstance(value, kind) and not isinstance(value, bool) and low <= value < math.inf

    return accepts, f"{'a float' if kind is Real else 'an int'} in the range [{low}, inf)"


def _choice(*values):
    return (lambda value: isinstance(value, str) and value in values), " or ".join(map(repr, values))


_STRENGTH = _number(0)


def _is_position_or_name(value):
    return value is None or isinstance(value, str) or (isinstance(value, Integral) and not isinstance(value, bool))


def _is_task_weight(value):
    if isinstance(value, Mapping):
        return all(_STRENGTH[0](f) for f in value.values())
    return isinstance(value, str) and value in ("samples", "tasks", "auto")


_FLAG = (lambda value: isinstance(value, (bool, np.bool_))), "True or False"
_RANGES = {
    "alpha": _STRENGTH,
    "alpha_shared": _STRENGTH,
    "alpha_intercept": _STRENGTH,
    "alpha_ridge": _STRENGTH,
    "fit_intercept": _FLAG,
    "max_iter": _number(1, Integral),
    "n_jobs": (
        lambda value: value is None or (isinstance(value, Integral) and not isinstance(value, bool) and value != 0),
        "None or an int other than 0",
    ),
    "normalized": _FLAG,
    "per_task": _FLAG,
    "task": (_is_position_or_name, "a column name, a column position or None"),
    "task_intercepts": _FLAG,
    "task_weight": (_is_task_weight, "'samples', 'tasks', 'auto' or a dict of task ids and factors >= 0"),
    "tol": _STRENGTH,
    "unknown_task": _choice("error", "shared"),
    "verbose": (lambda value: isinstance(value, Integral) and int(value) >= 0, "a bool or an int >= 0"),
    "warm_start": _FLAG,
}


def check_parameters(owner):
    """Raise ValueError for the first parameter of `owner` outside its range, if it is in the table."""
    for name, value in owner.get_params(deep=False).items():
        if name not in _RANGES:
            continue
        accepts, expected = _RANGES[name]
        if not accepts(value):
            raise ValueError(
                f"The {name!r} parameter of {type(owner).__name__} must be {expected}. Got {value!r} instead."
            )
