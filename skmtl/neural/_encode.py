"""Labels of heads of any kind as columns of numbers, and the weights of classes."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import replace

import narwhals as nw
import numpy as np

from skmtl._class_weight import balanced, refuse_unknown_labels
from skmtl._ids import describe, refuse_unknown
from skmtl._labels import as_array, encode_labels
from skmtl._params import number
from skmtl.neural._heads import Head, distill
from skmtl.neural._losses import SIGMOID, SOFT
from skmtl.tasks import as_frame, check_labels, column_names, refuse_other_order

__all__ = [
    "announced_heads",
    "announced_labels",
    "columns_of_heads",
    "encode_head",
    "labels_a_row",
    "refuse_other_classes",
    "weigh_labels",
    "weight_of_columns",
]


def encode_head(name, kind, labels, X, known, huber):
    """The head of a task, and its labels as numbers or codes (n, n_targets), NaN where missing.

    Parameters
    ----------
    name : task id
    kind : one of KINDS, or `distill`
    labels : array-like (n,) or (n, n_columns), or None for a distilled head
    X : rows, which a teacher is asked about
    known : Head of the last fit, or the one announced in partial_fit, which determines the classes; or None
    huber : float
    """
    if isinstance(kind, distill):
        return _ask(name, kind, X, known)
    if labels is None:
        raise ValueError(f"Task {name!r} has no labels: y is None.")
    columns = column_names(labels)
    if known is not None and known.columns is not None:
        refuse_other_order(labels, known.columns, f"labels of the head {name!r}")
        columns = known.columns
    if kind in ("regression", "huber", "poisson"):
        y = _of_head(name, check_labels, labels)
        y = y[:, None] if y.ndim == 1 else y
        if kind == "poisson" and (y < 0).any():
            raise ValueError(f"Labels of the Poisson head {name!r} must be >= 0. The smallest is {np.nanmin(y)}.")
        head, codes = Head.of_numbers(kind, huber, y.shape[1]), y
    elif kind == "classification":
        if np.shape(labels)[:1] != (np.size(labels),):
            raise ValueError(
                f"Labels of the classification head {name!r} must have shape (n_samples,). Got {np.shape(labels)}."
            )
        labels, codes = _of_head(name, encode_labels, labels if np.ndim(labels) == 1 else np.ravel(labels))
        codes, classes = _as_known(name, codes, labels.union, known)
        head, codes = Head.of_classes(classes), codes[:, None]
    else:
        head, codes = _multilabel(name, labels, known)
    if known is not None and known.n_targets != head.n_targets:
        raise ValueError(
            f"Task {name!r} has {head.n_targets} column(s) of labels, but {known.n_targets} in the last fit."
        )
    empty = np.isnan(codes).all(axis=0)
    if empty.any() and known is None:
        raise ValueError(f"Input y contains NaN only in a column of task {name!r}: no label to learn from.")
    return replace(head, columns=columns), codes


def _of_head(name, read, labels):
    """What `read` makes of the labels of a head, which is named if it refuses them."""
    try:
        return read(labels)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"Labels of the head {name!r}: {error}") from error


def _ask(name, kind, X, known):
    """The head of `distill`, and as labels the teacher's probabilities q at temperature c: ``q^(1/c)``, normalised."""
    accepts, expected = number(0, ends="()")
    if not accepts(kind.temperature):
        raise ValueError(
            f"The temperature of the distilled head {name!r} must be {expected}. Got {kind.temperature!r} instead."
        )
    if not hasattr(kind.teacher, "predict_proba"):
        raise ValueError(
            f"The teacher of head {name!r} must be a classifier with predict_proba. Got {kind.teacher!r} instead."
        )
    answer, labels = kind.teacher.predict_proba(X), kind.teacher.classes_
    try:
        P, classes = np.asarray(answer, dtype=np.float64), np.asarray(labels)
    except (TypeError, ValueError):  # a dict, or a list of several tasks
        P, classes = np.zeros(0), np.zeros(0)
    if P.ndim != 2 or classes.ndim != 1 or P.shape[1] != len(classes):
        got = f"shape {answer.shape}" if hasattr(answer, "shape") else f"a {type(answer).__name__}"
        raise ValueError(
            f"The teacher of head {name!r} must give probabilities of one task, (n_samples, n_classes). Got {got}."
        )
    valid = (np.isfinite(P) & (P >= 0)).all(axis=1) & P.any(axis=1)
    if not valid.all():
        raise ValueError(
            f"The teacher of head {name!r} must give probabilities, finite and >= 0 and not all 0. Got a row "
            f"{P[~valid][0].tolist()}."
        )
    P = (P / P.max(axis=1, keepdims=True)) ** (1.0 / kind.temperature)  # the likeliest stays 1 at any temperature
    head = Head("distilled", SOFT, P.shape[1], classes=classes, constant=float(kind.temperature))
    if known is not None and not np.array_equal(classes, known.classes):
        raise ValueError(
            f"The teacher of head {name!r} must have the classes of the last fit: {describe(known.classes)}."
        )
    return head, P / P.sum(axis=1, keepdims=True)


def announced_heads(classes, heads):
    """The heads that the argument `classes` of partial_fit announces, for labels that may come only later.

    classes : dict {task: labels}, or {task: a list of labels for every column} for a multilabel head
    """
    refuse_unknown("classes", classes, heads)
    made = {}
    for name, labels in classes.items():
        if heads[name] == "classification":
            made[name] = Head.of_classes(announced_labels(labels, f"classes[{name!r}]").union)
        elif heads[name] == "multilabel":
            if not _is_list(labels):
                raise ValueError(f"classes[{name!r}] must be a list of labels for every column. Got {labels!r}.")
            sets = [announced_labels(own, f"classes[{name!r}][{c}]").union for c, own in enumerate(labels)]
            for own in sets:
                _refuse_more_than_two(name, own)
            made[name] = Head("multilabel", SIGMOID, len(sets), classes=sets)
        else:
            raise ValueError(f"classes names the task {name!r}, whose head takes none: {heads[name]!r}.")
    return made


def announced_labels(labels, argument="classes"):
    """The label sets of a list of labels, one set for all."""
    if not _is_list(labels) or np.ndim(labels) != 1:
        raise ValueError(f"{argument} must be a list of labels. Got {labels!r}.")
    return encode_labels(labels)[0]


def _is_list(labels):
    """Whether labels come in an order, as in a list or an array; a text, a set or a dict is none."""
    return isinstance(labels, Iterable) and not isinstance(labels, str | bytes | Set | Mapping)


def refuse_other_classes(announced, known, argument="classes"):
    """Raise ValueError if a later `partial_fit` announces other labels, of one set or several, than the first had."""
    got, first = ([np.asarray(part).tolist() for part in sets] for sets in (announced, known))
    if got != first:
        raise ValueError(f"{argument} must be those of the first call, {first}. Got {got}.")


def _multilabel(name, labels, known):
    try:
        ndim, got = np.ndim(labels), f"{np.shape(labels)}"
    except ValueError:  # lists of different lengths
        ndim, got = 1, "a list of tags per row"
    if ndim != 2:
        raise ValueError(
            f"Labels of the multilabel head {name!r} must have shape (n_samples, n_columns), as MultiLabelBinarizer "
            f"makes of lists of tags. Got {got}."
        )
    if np.shape(labels)[1] == 1:
        sets, codes = _of_head(name, encode_labels, np.ravel(labels))
        classes, codes = [sets.union], codes[:, None]
    else:
        sets, codes = _of_head(name, encode_labels, labels)
        codes = np.asarray(codes, dtype=np.float64)
        classes = [sets.coded(c) for c in range(codes.shape[1])]
    if known is not None and len(known.classes) == len(classes):
        each = [replace(known, classes=own) for own in known.classes]
        pairs = [_as_known(name, codes[:, c], classes[c], each[c]) for c in range(len(classes))]
        codes, classes = np.column_stack([code for code, _ in pairs]), [own for _, own in pairs]
    else:
        _refuse_more_than_two(name, classes[0])
    return Head("multilabel", SIGMOID, len(classes), classes=classes), codes


def _refuse_more_than_two(name, classes):
    if len(classes) > 2:
        raise ValueError(f"Every column of the multilabel head {name!r} must have two labels; got {describe(classes)}.")


def _as_known(name, codes, classes, known):
    """Codes of `classes` translated into codes of the classes of the head `known`, and these classes.

    Both as they are if `known` is None.  A head that is not closed takes new classes, behind its own.
    """
    if known is None:
        return codes, classes
    found = np.unique(codes[~np.isnan(codes)]).astype(np.intp)  # of several columns, some codes are of the others
    classes, codes = classes[found], np.where(np.isnan(codes), np.nan, np.searchsorted(found, codes))
    if not len(classes):
        return codes, known.classes
    is_new = ~np.isin(np.asarray(classes, dtype=object), np.asarray(known.classes, dtype=object))
    if known.closed and is_new.any():
        raise ValueError(
            f"Task {name!r} has labels that neither the last fit nor classes had: {describe(classes[is_new])}. Known "
            f"are {describe(known.classes)}."
        )
    there = known.classes
    if is_new.any():
        both = [there, classes[is_new]]
        if len({part.dtype.kind in "OU" for part in both}) > 1:  # or numbers would become text, which is another label
            both = [part.astype(object) for part in both]
        there = np.concatenate(both)
    position = {label: k for k, label in enumerate(there.tolist())}
    at = np.array([position[label] for label in classes.tolist()], dtype=np.float64)
    return np.where(np.isnan(codes), np.nan, at[np.nan_to_num(codes).astype(np.intp)]), there


def weigh_labels(class_weight, heads, table):
    """The table with the weights of labels times those of their classes.

    class_weight : None, 'balanced' or dict {task: None, 'balanced' or {label: weight}}
    heads : dict {task: Head}
    """
    if class_weight is None:
        return table
    if not isinstance(class_weight, str):
        refuse_unknown("class_weight", class_weight, heads)
    Y, weight = table.Y, np.ones(1) if table.weight is None else table.weight
    full = np.array(np.broadcast_to(weight if weight.ndim == 2 else weight[:, None], Y.shape))
    for t, (name, head) in enumerate(heads.items()):
        setting = class_weight if isinstance(class_weight, str) else class_weight.get(name)
        if setting is None:
            continue
        if head.numeric or head.loss == SOFT:
            if not isinstance(class_weight, str):  # that all classes are to be balanced says nothing of other heads
                raise ValueError(f"class_weight names the task {name!r}, whose head has no classes: {head.kind!r}.")
            continue
        rows, sets = table.labels_at(t), head.classes if head.kind == "multilabel" else [head.classes]
        if isinstance(setting, Mapping):  # one for all columns, whose labels may differ
            known = dict.fromkeys(label for classes in sets for label in classes.tolist())
            refuse_unknown_labels(f"class_weight[{name!r}]", setting, list(known))
        for c, classes in enumerate(sets):
            column = table.first[t] + c
            y = Y[rows, column]
            factors = _factors(name, setting, classes, y, full[rows, column])
            full[rows, column] *= np.where(np.isnan(y), 1.0, factors[np.nan_to_num(y).astype(np.intp)])
    return replace(table, weight=full)


def _factors(name, setting, classes, codes, weight):
    """What each class is multiplied by."""
    if isinstance(setting, Mapping):
        return np.array([float(setting.get(label, 1.0)) for label in classes.tolist()])
    if setting != "balanced":
        raise ValueError(
            f"class_weight[{name!r}] must be None, 'balanced' or a dict of labels and weights. Got {setting!r}."
        )
    known = ~np.isnan(codes)
    return balanced(np.bincount(codes[known].astype(np.intp), weight[known], minlength=len(classes)))


def columns_of_heads(y, heads):
    """The labels of every task: a column, or several."""
    labelled = [name for name, kind in heads.items() if not isinstance(kind, distill)]
    if isinstance(y, Mapping):
        columns = y
    elif (frame := as_frame(y)) is not None:
        columns = _columns_of_frame(frame, heads)
    else:
        y = as_array(y)
        y = y[:, None] if y.ndim == 1 else y
        if y.shape[1:] != (len(labelled),):
            raise ValueError(
                f"y must have a column for each of the heads {describe(labelled)}. Got y of shape {y.shape}."
            )
        columns = dict(zip(labelled, y.T, strict=True))
    if lost := [name for name in labelled if name not in columns]:
        raise ValueError(f"y has no labels of the heads {describe(lost)}; it has {describe(list(columns))}.")
    return {name: columns[name] for name in heads if name in columns}


def _columns_of_frame(frame, heads):
    """The columns of every head: the one with its name, or those whose names begin with it."""
    columns = {}
    for name, kind in heads.items():
        own = [c for c in frame.columns if c == name] or [c for c in frame.columns if _owner(c, heads) == name]
        if len(own) == 1:  # by get_column: a name may be a number, which is no position
            column = frame.get_column(own[0])
            columns[name] = column.to_frame().to_native() if kind == "multilabel" else column.to_native()
        elif own:
            columns[name] = frame.select(own).to_native()
    return columns


def _owner(column, names):
    """The longest of the names with which a column's name begins, or None."""
    fits = [name for name in names if column == name or str(column).startswith(f"{name}_")]
    return max(fits, key=lambda name: len(str(name)), default=None)


def weight_of_columns(sample_weight, names, sizes, n):
    """The weights of n rows; those of rows and tasks (n, n_tasks) repeated for every column of a task's labels."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Mapping):
        refuse_unknown("sample_weight", sample_weight, names)
        for name, own in sample_weight.items():
            if np.shape(own) != (n,):
                raise ValueError(f"sample_weight[{name!r}] must have shape ({n},). Got {np.shape(own)}.")
        sample_weight = np.column_stack([sample_weight.get(name, np.ones(n)) for name in names])
    weight, found = np.asarray(sample_weight, dtype=np.float64), column_names(sample_weight)
    if found is not None and set(found) == set(names):  # as labels, by name
        weight = weight[:, [found.tolist().index(name) for name in names]]
    if weight.shape not in ((n,), (n, len(names))):
        raise ValueError(
            f"sample_weight must have a weight for every row, or one for every row and each of the heads "
            f"{describe(names)}. Got sample_weight.shape == {weight.shape}."
        )
    return weight if weight.ndim != 2 else np.repeat(weight, sizes, axis=1)


def labels_a_row(y, n):
    """The labels of n rows of all kinds of heads, an array (n,); None stays None."""
    if y is None:
        return None
    y = nw.from_native(y, allow_series=True, pass_through=True)
    y = y.to_numpy() if isinstance(y, nw.Series) else as_array(y)
    if y.shape != (n,):
        raise ValueError(f"Where a row belongs to one task, y must have shape ({n},). Got {y.shape}.")
    return y
