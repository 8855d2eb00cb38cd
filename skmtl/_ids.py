"""Task ids: compared as they are, never as numbers that merely look alike.

``canonical_ids`` gives every container one form (object array of ``str``, integers, floats, datetimes or timedeltas)
and a mask of the missing ones; ``number_tasks`` numbers the ids of a fit, ``find_tasks`` finds the ids of a prediction
among them.
"""

import datetime
from itertools import repeat
from typing import Any

import narwhals as nw
import numpy as np

from skmtl._warnings import warn

__all__ = [
    "brief",
    "canonical_ids",
    "describe",
    "encode",
    "find_tasks",
    "lookup",
    "named_tasks",
    "number_as_they_come",
    "number_tasks",
    "refuse_unknown",
    "rows_by_code",
    "where_missing",
]


def canonical_ids(ids, name="task"):
    """One id per row, in a form in which equal ids are equal.

    Parameters
    ----------
    ids : array-like of shape (n_samples,)
        Strings, numbers, booleans, datetimes or timedeltas; a list, array or any Series that narwhals reads.
    name : str
        What the messages call them.

    Returns
    -------
    ids : ndarray of shape (n_samples,)
        Text as an object array of ``str``; whole numbers as int64, so that 3 and 3.0 are one task.
    missing : ndarray of bool, shape (n_samples,)
        None, NaN, NA and NaT.

    Raises
    ------
    TypeError
        Text and numbers are mixed, or something else came.
    ValueError
        The ids are not one-dimensional, or are floats too large to be told apart.
    """
    ids = _to_numpy(ids)
    if ids.ndim == 2 and ids.shape[1] == 1:
        ids = ids[:, 0]
    if ids.ndim != 1:
        raise ValueError(f"{name} must hold one id per row; got an array of shape {ids.shape}.")
    if ids.dtype.kind in "OUST":
        return _canonical_objects(ids.astype(object), name)
    if ids.dtype.kind in "mM":
        return _without_nanoseconds(ids), np.isnat(ids)
    return _canonical_numbers(ids, name)


def encode(ids):
    """The sorted distinct ids, and the position of every id among them."""
    if ids.dtype != object:
        return np.unique(ids, return_inverse=True)
    tasks = np.empty(len(distinct := sorted(set(ids))), dtype=object)  # hashing: 4 times as fast as sorting text
    tasks[:] = distinct
    return tasks, lookup(ids, tasks)


def lookup(ids, tasks):
    """The position of every canonical id in ``tasks`` (any order); -1 where it is not there."""
    kinds = {"number" if array.dtype.kind in "iuf" else array.dtype.kind for array in (ids, tasks)}
    if len(kinds) > 1 or len(tasks) == 0:  # 1 is not "1"
        return np.full(len(ids), -1, dtype=np.intp)
    if ids.dtype.kind in "mM" or (ids.dtype == tasks.dtype and ids.dtype != object):
        order = np.argsort(tasks)
        at = np.searchsorted(tasks, ids, sorter=order).clip(max=len(tasks) - 1)
        codes = np.where(tasks[order[at]] == ids, order[at], -1)
    else:  # by hash, which also compares int64 with uint64 and float64 exactly
        position = {task: t for t, task in enumerate(tasks.tolist())}
        codes = np.fromiter(map(position.get, ids.tolist(), repeat(-1)), dtype=np.intp, count=len(ids))
    return codes


def number_tasks(ids, name="task"):
    """The sorted distinct ids of the rows of a fit, and the position of every row's id; none may be missing."""
    ids, missing = canonical_ids(ids, name)
    if missing.any():
        raise ValueError(
            f"The ids in {name} hold {missing.sum()} missing value(s), the first in row {np.argmax(missing)}. Every "
            "row of a fit needs a task: drop these rows or give them an id."
        )
    return encode(ids)


def find_tasks(ids, tasks, unknown):
    """The position of every id in `tasks`; one that is not there is -1, or an error if `unknown` is "error"."""
    known, missing = canonical_ids(ids)
    codes = np.where(missing, -1, lookup(known, tasks))
    if unknown == "error" and (codes < 0).any():
        lost = known.astype(object)
        lost[missing] = None
        raise ValueError(
            f"{(codes < 0).sum()} row(s) of an unknown task: {describe(lost[codes < 0])} not seen in fit, which knows "
            f"{len(tasks)} tasks: {describe(tasks)}. Set unknown_task='shared' for what all tasks have in common. In "
            "cross-validation, TaskStratifiedKFold leaves no task of several rows out of training."
        )
    return codes


def describe(ids, most=5):
    """The first few distinct ids, for a message."""
    ids = ids.tolist() if isinstance(ids, np.ndarray) else ids  # no array of a list: names of columns may be tuples
    shown = [repr(i) for i in dict.fromkeys(ids)]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")


def brief(value):
    """How a value that is refused is written, for a message: the beginning, if that is long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def refuse_unknown(argument, names, tasks):
    """Raise ValueError if a dict by task, which `argument` is called, has `names` that are not among `tasks`."""
    known = set(tasks)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{argument} names unknown tasks: {describe(unknown)}. The tasks are {describe(list(tasks))}.")


def named_tasks(argument, names, tasks):
    """The position in `tasks` of every key of a dict by task, which `argument` is called.

    Unlike `refuse_unknown` it compares canonical ids.  Raises ValueError if a task is not there.
    """
    ids, _ = canonical_ids(list(names), argument)
    at = lookup(ids, tasks)
    if (at < 0).any():
        raise ValueError(f"{argument} names unknown tasks: {describe(ids[at < 0])}. The tasks are {describe(tasks)}.")
    return at


def _to_numpy(ids):
    if isinstance(ids, (list, tuple)):
        return np.asarray(ids, dtype=object)  # np.asarray(["a", 1]) would turn 1 into "1"
    series = nw.from_native(ids, series_only=True, pass_through=True)
    return np.asarray(series.to_numpy() if isinstance(series, nw.Series) else ids)


def _without_nanoseconds(ids):
    """Times in microseconds, unless that rounds one: `tolist` would turn nanoseconds into integers."""
    if np.datetime_data(ids.dtype)[0] != "ns":
        return ids
    coarse = ids.astype(f"{ids.dtype.kind}8[us]")
    return coarse if np.array_equal(coarse.astype(ids.dtype), ids, equal_nan=True) else ids


def _without_zone(time):
    """A time with a zone as one in UTC without: NumPy knows no zones, and turns a Series of times into the same."""
    aware = isinstance(time, datetime.datetime) and time.tzinfo is not None
    return time.astimezone(datetime.UTC).replace(tzinfo=None) if aware else time


def _canonical_objects(ids, name):
    kinds = set(map(type, ids.tolist()))
    all_there = all(issubclass(kind, (str, int)) for kind in kinds)  # np.integer holds NaT, a np.timedelta64
    missing = np.zeros(len(ids), dtype=bool) if all_there else where_missing(ids)
    if kinds <= {str}:
        return ids, missing
    known = ids[~missing].tolist()
    kinds = set(map(type, known))

    def are(*types):
        return all(issubclass(kind, types) for kind in kinds)

    absent: Any
    if are(str):
        absent, known = None, np.array(list(map(str.__str__, known)), dtype=object)
    elif are(datetime.timedelta, np.timedelta64):  # np.timedelta64 is a np.number
        absent, known = "NaT", _times(known, "timedelta64", name)
    elif are(bool, int, float, np.number, np.bool_):
        absent, known = 0, _canonical_numbers(np.array(known), name)[0]
    elif all(issubclass(kind, np.datetime64) or hasattr(kind, "isoformat") for kind in kinds):
        absent, known = "NaT", _times(known, "datetime64", name)
    else:
        raise TypeError(
            f"The ids in {name} must be uniformly strings or numbers; got {sorted(kind.__name__ for kind in kinds)}. "
            "Convert them to one type first."
        )
    canonical = np.full(len(ids), absent, dtype=known.dtype)
    canonical[~missing] = known
    return canonical, missing


def _times(times, kind, name):
    """Times in microseconds, which any date has room for, or in nanoseconds where one would be rounded."""
    times = [getattr(time, "to_numpy", lambda time=time: time)() for time in map(_without_zone, times)]  # of pandas
    try:
        return np.array(times, dtype=f"{kind}[{'ns' if any(map(_is_fine, times)) else 'us'}]")
    except ValueError:
        raise TypeError(f"The ids in {name} must be strings, numbers or dates. Got {times[0]!r}.") from None


def _is_fine(time):
    """Whether microseconds would round it."""
    is_numpy = isinstance(time, np.datetime64 | np.timedelta64)
    return is_numpy and np.datetime_data(time.dtype)[0] == "ns" and time.view(np.int64) % 1000 != 0


def _canonical_numbers(ids, name):
    if ids.dtype.kind == "b":
        ids = ids.astype(np.int64)
    if ids.dtype.kind in "iu":
        return ids, np.zeros(len(ids), dtype=bool)
    if ids.dtype == object:
        raise ValueError(f"The ids in {name} are integers of more than 64 bits, such as {max(ids)}: pass them as text.")
    if ids.dtype.kind != "f":
        raise TypeError(f"The ids in {name} must be uniformly strings or numbers; got dtype {ids.dtype}.")
    missing, exact = np.isnan(ids), 2.0 ** (np.finfo(ids.dtype).nmant + 1)  # neighbours beyond it are one float
    ids = ids.astype(np.float64)
    known = ids[~missing]
    if known.size and np.abs(known).max() >= exact:
        raise ValueError(
            f"The ids in {name} are floats of {exact:.0f} or more, where neighbouring whole numbers can no "
            "longer be told apart. Pass them as integers or strings."
        )
    if np.any(known != np.trunc(known)):
        warn(
            f"The ids in {name} are floats that are not whole numbers, such as {known[known != np.trunc(known)][0]}: "
            "was the task column scaled? Pass it through the preprocessing unchanged.",
            UserWarning,
        )
        return ids, missing
    return np.where(missing, 0, ids).astype(np.int64), missing


def is_missing(value):
    """Whether a label or id is None, NaN, NaT or NA."""
    if value is None:
        return True
    try:
        return bool(value != value)  # NaN and NaT
    except TypeError:  # pandas.NA answers neither yes nor no
        return True


def where_missing(values):
    """Which labels or ids of an array are missing, bool of its shape."""
    return np.frompyfunc(is_missing, 1, 1)(values).astype(bool)


def number_as_they_come(labels):
    """0, 1, ... for each distinct label, in the order in which they first stand in `labels` (n,)."""
    _, first, codes = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[codes]


def rows_by_code(codes, n_codes):
    """The positions in `codes` (n,) of negative codes, then of 0, ..., n_codes - 1: a list of ascending int arrays.

    One sort finds them all, so that many codes do not take a pass over the rows each.  Codes of 8 or 16 bits are sorted
    by radix, in linear time.
    """
    codes = codes.astype(np.min_scalar_type(-max(n_codes, 1)))
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.searchsorted(codes[order], np.arange(n_codes)))
