"""Scores of many tasks: task by task, averaged over tasks, pooled, and within tasks.

Scores answer different questions. Pooled R2 credits a model for knowing which tasks lie high and which low; the
variance explained within tasks does not. The mean over tasks counts every task alike, however few its rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

import narwhals as nw
import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score, r2_score, root_mean_squared_error
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch, assert_all_finite, column_or_1d
from sklearn.utils.metadata_routing import MetadataRequest, get_routing_for_object

from skmtl._scores import Scored, has_parameter, is_wide
from skmtl._warnings import warn
from skmtl.tasks import refuse_other_order, take_task_column

__all__ = ["TaskScores", "make_task_scorer", "masked_scorer", "task_scores", "within_task_explained_variance"]

_INNER = ("best_estimator_", "regressor_", "estimator_")  # where a wrapper keeps the estimator it fitted


def make_task_scorer(func, *, greater_is_better=True, average="pooled", response_method="predict", task=None, **kwargs):
    """Make a scorer that knows about tasks: for ``scoring=`` in GridSearchCV, cross_validate and their like.

    It takes y with one column per task, where missing labels are left out, as well as y with one label a row. Ids that
    are passed as metadata reach ``predict``, which scikit-learn's own scorers do not do.

    Parameters
    ----------
    func : callable
        ``func(y_true, y_pred, **kwargs)``, such as :func:`sklearn.metrics.r2_score`; with weights, it also gets
        ``sample_weight``, and if it has a parameter ``task``, as `within_task_explained_variance` has, the task of
        every label.
    greater_is_better : bool, default=True
        False flips the sign, so that greater is better.
    average : {'pooled', 'task'}, default='pooled'
        'pooled' is `func` of all labels; 'task' is the mean of `func` over tasks, without those on which it is not
        defined (R2 needs two labels, AUC two classes).
    response_method : {'predict', 'predict_proba', 'decision_function', ...} or list or tuple of such, default='predict'
        The method that gives y_pred, the first of several that the estimator has. Of two classes, ``predict_proba``
        means the probability of the second.
    task : str or int, default=None
        Name or position of the task column in the X that is scored. It is needed only for ``average='task'`` and for a
        `func` with a parameter ``task``. None: the parameter `task` of the estimator, which is looked for inside
        pipelines and searches, too; a pipeline then transforms X once more to find the column.
    **kwargs : dict
        Passed to `func`.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, *, task=None, sample_weight=None)``; it can be pickled. With metadata routing it
        requests the ids, and the weights if `func` takes any.

    Raises
    ------
    ValueError
        `average` is something else.

    See Also
    --------
    masked_scorer : The mean over tasks, of wide labels with gaps.
    task_scores : The table behind the mean.

    Examples
    --------
    >>> from sklearn.metrics import mean_absolute_error
    >>> from skmtl.metrics import make_task_scorer
    >>> make_task_scorer(mean_absolute_error, greater_is_better=False, average="task")
    make_task_scorer(mean_absolute_error, greater_is_better=False, average='task')
    """
    if average not in ("pooled", "task"):
        raise ValueError(
            f"average must be 'pooled' or 'task'. Got {average!r} instead; a parameter average of func itself is set "
            "by functools.partial(func, average=...)."
        )
    return _TaskScorer(func, greater_is_better, average, response_method, task, kwargs)


def masked_scorer(func, *, response_method="predict", greater_is_better=True, **kwargs):
    """Make a scorer for y with one column per task and gaps: the mean over tasks of `func` on their labelled rows.

    Where scikit-learn's scorers stop at the first NaN, this one leaves it out. It is
    ``make_task_scorer(average="task")``, and an `average` here is that of `func`: ``masked_scorer(f1_score,
    average="macro")``.

    Parameters
    ----------
    func : callable
        ``func(y_true, y_pred, **kwargs)`` on the labels of one task.
    response_method : {'predict', 'predict_proba', 'decision_function', ...} or list or tuple of such, default='predict'
        The method that gives y_pred, the first of several that the estimator has.
    greater_is_better : bool, default=True
        False flips the sign.
    **kwargs : dict
        Passed to `func`.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, Y)``; it can be pickled.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn.metrics import mean_absolute_error
    >>> from skmtl.metrics import masked_scorer
    >>> model = DummyRegressor(strategy="constant", constant=[1.0, 2.0]).fit([[0.0]], [[1.0, 2.0]])
    >>> Y = np.array([[2.0, np.nan], [4.0, 2.0]])
    >>> masked_scorer(mean_absolute_error, greater_is_better=False)(model, np.zeros((2, 1)), Y)  # -(2 + 0) / 2
    -1.0
    """
    return _TaskScorer(func, greater_is_better, "task", response_method, kwargs.pop("task", None), kwargs)


@dataclass(frozen=True, eq=False, repr=False)
class _TaskScorer:
    """What `make_task_scorer` and `masked_scorer` return: a class, because a closure could not be pickled."""

    func: Callable
    greater_is_better: bool = True
    average: str = "pooled"
    response_method: str | list | tuple = "predict"
    task: str | int | None = None
    kwargs: dict = field(default_factory=dict)

    def __post_init__(self):
        if not callable(self.func):
            raise ValueError(
                f"func must be a function of y_true and y_pred, such as sklearn.metrics.r2_score. Got {self.func!r}."
            )

    def __call__(self, estimator, X, y, *, task=None, sample_weight=None):
        """The score of `estimator` on X and y; ids beside X go to its predict, too."""
        pred = _respond(estimator, X, y, task, self.response_method)
        by_task = self.average == "task" or has_parameter(self.func, "task")
        ids = _find_ids(estimator, X, y, self.task if task is None else task) if by_task else None
        scored = Scored.of(y, pred, ids, sample_weight)
        score = (scored.mean if self.average == "task" else scored.overall)(self.func, **self.kwargs)
        return score if self.greater_is_better else -score

    def get_metadata_routing(self):
        """What scikit-learn is to pass on: the ids, and weights if `func` takes them."""
        request = MetadataRequest(owner=self)
        request.score.add_request(param="task", alias=True)
        if self._accept_sample_weight():
            request.score.add_request(param="sample_weight", alias=True)
        return request

    def _accept_sample_weight(self):  # scikit-learn asks this where routing is not enabled
        return has_parameter(self.func, "sample_weight")

    def __repr__(self):
        name = getattr(self.func, "__name__", repr(self.func))
        options = {o.name: value for o in fields(self)[1:-1] if (value := getattr(self, o.name)) != o.default}
        maker = "masked_scorer" if "average" in self.kwargs else "make_task_scorer"  # where it is that of func
        words = [name, *(f"{option}={value!r}" for option, value in (options | self.kwargs).items())]
        return f"{maker}({', '.join(words)})"


def task_scores(estimator, X, y, *, task=None, scoring=None, response_method="predict", sample_weight=None):
    """Score a fitted estimator task by task.

    Parameters
    ----------
    estimator : estimator
        Fitted; of this library or not, in a pipeline or not.
    X : array-like or data frame of shape (n_samples, n_features)
        As its predict takes it.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        With one column per task, missing labels are left out.
    task : str, int or array-like of shape (n_samples,), default=None
        If y has one label a row: the task column of X, or the ids, which go to predict as well if it takes them. None:
        the parameter `task` of the estimator, which is looked for inside pipelines and searches, too.
    scoring : callable or dict of str -> callable, default=None
        Functions ``func(y_true, y_pred)``, which get weights and tasks as those of `make_task_scorer`. None is R2 and
        the root mean squared error, for classifiers the accuracy.
    response_method : {'predict', 'predict_proba', 'decision_function', ...} or list or tuple of such, default='predict'
        The method that gives y_pred, the first of several that the estimator has. Of two classes, ``predict_proba``
        means the probability of the second.
    sample_weight : array-like of shape (n_samples,) or that of y, default=None
        Passed to the functions.

    Returns
    -------
    scores : TaskScores
        Columns ``task``, ``n_samples`` and one per score; NaN where a score is not defined, as R2 of a single label.

    Raises
    ------
    ValueError
        The tasks of the rows cannot be found, or `scoring` is something else.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from skmtl.metrics import task_scores
    >>> X = np.array([[0.0, 1], [1.0, 1], [2.0, 1], [0.0, 2], [2.0, 2]])
    >>> y = np.array([0.0, 1.0, 2.0, 1.0, 3.0])
    >>> pooled = LinearRegression().fit(X[:, :1], y)
    >>> task_scores(pooled, X[:, :1], y, task=X[:, 1])
    task  n_samples    r2  rmse
       1          3  0.76   0.4
       2          2  0.64   0.6
    """
    functions = _functions(scoring, estimator)
    pred = _respond(estimator, X, y, None if _is_column(task) else task, response_method)
    scored = Scored.of(y, pred, _find_ids(estimator, X, y, task), sample_weight)
    return TaskScores(
        task=scored.tasks,
        n_samples=np.bincount(scored.codes, minlength=len(scored.tasks)),
        **{name: scored.by_task(func) for name, func in functions.items()},
    )


class TaskScores(Bunch):
    """A table of scores: arrays of equal length by name, as keys and as attributes.

    ``pandas.DataFrame(scores)`` and ``polars.DataFrame(scores)`` read it.
    """

    def to_frame(self, backend="pandas"):
        """The table as a data frame.

        Parameters
        ----------
        backend : {'pandas', 'polars', 'pyarrow'}, default='pandas'
            The library that makes it.

        Returns
        -------
        frame : data frame of shape (n_tasks, n_columns)
        """
        return nw.from_dict({name: column.tolist() for name, column in self.items()}, backend=backend).to_native()

    def __repr__(self):
        cells = [
            [name, *(f"{v:.4g}" if isinstance(v, float) else str(v) for v in self[name].tolist())] for name in self
        ]
        widths = [max(map(len, column)) for column in cells]
        return "\n".join("  ".join(map(str.rjust, row, widths)) for row in zip(*cells, strict=True))


def within_task_explained_variance(y_true, y_pred, task=None, *, sample_weight=None):
    r"""The fraction of the variance within tasks that is explained.

    .. math:: 1 - \frac{\sum_t \sum_i s_{ti} (y_{ti} - \hat y_{ti})^2}{\sum_t \sum_i s_{ti} (y_{ti} - \bar y_t)^2},
              \qquad \bar y_t = \frac{\sum_i s_{ti} y_{ti}}{\sum_i s_{ti}}

    Predicting the mean of each task, as seen here, gives 0. :func:`sklearn.metrics.r2_score` on the same rows measures
    against the mean of all and is greater, the more so the further the tasks lie apart: say which one a table shows.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        With one column per task, missing labels are left out.
    y_pred : array-like of the same shape
    task : array-like of shape (n_samples,), default=None
        The task of each row, if y has one label a row.
    sample_weight : array-like of shape (n_samples,) or that of y, default=None
        The weights s.

    Returns
    -------
    fraction : float
        At most 1; NaN, with a warning, where no task has two different labels.

    Raises
    ------
    ValueError
        y has one label a row and `task` is missing; the shapes differ; a weight is negative; a prediction is NaN.

    Examples
    --------
    >>> from skmtl.metrics import within_task_explained_variance
    >>> within_task_explained_variance([0.0, 2.0, 10.0, 12.0], [0.0, 2.0, 11.0, 11.0], ["a", "a", "b", "b"])
    0.5
    """
    if task is None and not is_wide(y_true):
        raise ValueError(
            "within_task_explained_variance needs the task of every row: the argument task is None, and y is 1-D."
        )
    scored = Scored.of(y_true, y_pred, task, sample_weight)
    y, codes = scored.y.astype(np.float64), scored.codes
    pred = column_or_1d(scored.pred)  # a model of one column predicts (n, 1)
    assert_all_finite(y, input_name="y_true")
    assert_all_finite(pred, input_name="y_pred")
    weight = np.ones(len(y)) if scored.weight is None else scored.weight
    mean = np.bincount(codes, weight * y) / np.maximum(np.bincount(codes, weight), np.finfo(float).tiny)
    residual, total = np.sum(weight * (y - pred) ** 2), np.sum(weight * (y - mean[codes]) ** 2)
    if total == 0:
        warn("No task has two different labels: nothing to explain.", UndefinedMetricWarning)
        return float("nan")
    return float(1 - residual / total)


def _functions(scoring, estimator):
    """The functions that score an estimator, by name."""
    if scoring is None and is_classifier(estimator):
        return {"accuracy": accuracy_score}
    if scoring is None:
        return {"r2": r2_score, "rmse": root_mean_squared_error}
    functions = {getattr(scoring, "__name__", "score"): scoring} if callable(scoring) else scoring
    if not isinstance(functions, Mapping) or not all(map(callable, functions.values())):
        raise ValueError(
            f"scoring must be a function of y_true and y_pred, or a dict of such by name. Got {scoring!r}."
        )
    if taken := {"task", "n_samples"} & set(functions):
        raise ValueError(f"scoring names a score {taken.pop()!r}, which is a column of the table already.")
    return functions


def _is_column(task):
    return isinstance(task, (str, int, np.integer))


def _respond(estimator, X, y, ids, method):
    """The estimator's answer, (n_samples, ...) or (n_samples, n_tasks, ...); it gets the ids if it asks for them."""
    if not isinstance(method, str):  # the first it has; getattr raises where it has none of them
        method = next((name for name in method if hasattr(estimator, name)), " or ".join(method))
    takes_ids = ids is not None and get_routing_for_object(estimator).consumes(method, ["task"])
    answer = getattr(estimator, method)(X, **({"task": ids} if takes_ids else {}))
    n_outputs = np.shape(y)[1] if is_wide(y) else 1
    if n_outputs > 1 and (fitted := _innermost(estimator, "tasks_")) is not None:
        refuse_other_order(y, fitted.tasks_)
    if per_output := isinstance(answer, list):
        if len(widths := {part.shape[1:] for part in answer}) > 1:
            raise ValueError(
                f"The tasks have different numbers of classes, {sorted(k for (k,) in widths)}: the scores of {method} "
                "do not compare. Use response_method='predict', or score the tasks one by one."
            )
        answer = np.stack(answer, axis=1)
    if method == "predict_proba" and answer.shape[-1] == 2 and (per_output or n_outputs != 2):
        return answer[..., 1]  # of the second class; an array (n, 2) for two outputs holds that already
    return answer


def _inner(estimator):
    """The last step of a pipeline, the fitted estimator of a search and the like; None if there is none."""
    if isinstance(estimator, Pipeline):
        return estimator[-1]
    return next((getattr(estimator, name) for name in _INNER if hasattr(estimator, name)), None)


def _innermost(estimator, attribute):
    """The first of an estimator and those within it that has the attribute; None if none has."""
    while estimator is not None and not hasattr(estimator, attribute):
        estimator = _inner(estimator)
    return estimator


def _find_ids(estimator, X, y, task):
    """The task of every row: `task`, or the column of X that it or the innermost estimator names; None for wide y."""
    if _is_column(task):
        return take_task_column(X, task)[1]
    n_columns = np.shape(y)[1] if is_wide(y) else 0
    if task is not None or n_columns > 1:
        return task
    while getattr(estimator, "task", None) is None:
        if isinstance(estimator, Pipeline) and len(estimator) > 1:
            X = estimator[:-1].transform(X)
        outer, estimator = estimator, _inner(estimator)
        if estimator is None and n_columns == 1:  # a single task
            return None
        if estimator is None:
            raise ValueError(
                f"The task of each row is needed, but {type(outer).__name__} does not name a task column: "
                "pass task=, the ids or the column of X that holds them."
            )
    return take_task_column(X, estimator.task)[1]
