"""The classifier that takes its penalty as an object."""

from skmtl.classification._base import LinearClassifier
from skmtl.regression.composable import MultiTaskRegressor

__all__ = ["MultiTaskClassifier"]


class MultiTaskClassifier(LinearClassifier):
    r"""Logistic regression with the penalty of your choice.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \Omega(W)

    with the log-loss :math:`\ell`, see `skmtl.classification`. With more than two classes a belief about tasks sees the
    weights of all classes of a task as one long vector, a belief about features each class of each task as a task of
    its own.

    The named classifiers are this one with a penalty filled in: ``MeanRegularizedClassifier(alpha=a)`` is
    ``MultiTaskClassifier(SharedPlusSpecific(alpha=a))``. Use it to compare beliefs in one grid, ``{"penalty": [Ridge(),
    SharedPlusSpecific()], "penalty__alpha": [0.1, 1.0]}``, or to hold several at once, as a sum: ``TraceNorm(1.0) +
    L1(0.1)``. A fit also has what the penalty's own classifier publishes, such as `rank_`.

    Parameters
    ----------
    penalty : Penalty or None, default=None
        The belief :math:`\Omega` with its own strengths, see `skmtl.penalties`. None is ``SharedPlusSpecific()``; its
        ``penalty__alpha`` can be set only once a penalty object is given.
    class_weight : dict, "balanced" or None, default=None
        What a label counts: ``{label: weight}``, 1 where it names none; "balanced", so that all classes of a task have
        the same sum of weights and the task what it had; or one of these a task, ``{task: {label: weight}}``.
    fit_intercept : bool, default=True
        Whether to fit an intercept for every task.
    task_weight : {"samples", "tasks", "auto"} or dict, default="samples"
        The factor :math:`c_t` of each task's loss. "samples": every observation counts the same, T / N. "tasks": every
        task counts the same, 1 / N_t. "auto": in proportion to 1 / (length of the task's gradient at zero weights). A
        dict ``{task: factor}`` multiplies "samples".
    max_iter : int, default=1000
        Most iterations of solvers that iterate.
    tol : float, default=1e-6
        Solvers that iterate stop when ``dual_gap_ <= tol * F(0)``, F(0) being the objective at zero weights with the
        best intercepts.
    warm_start : bool, default=False
        Whether solvers that iterate start from the last `coef_`; tasks that are new to it, from `shared_coef_`.
    n_jobs : int or None, default=None
        Threads for sums over rows and the algebra of many tasks; None is 1, -1 all cores. Results do not depend on
        it.
    verbose : int, default=0
        1 prints a line after the fit.
    task : str, int or None, default=None
        The column of X that holds the task ids, by name or position. None: y has one column per task, or the ids are
        passed as ``fit(X, y, task=ids)``, or there is a single task.
    unknown_task : {"error", "shared"}, default="error"
        What to do in `predict` with a task that was not in `fit`: raise, or use the shared model.

    Attributes
    ----------
    classes_ : array of shape (n_classes,) or (n_tasks, n_classes), or list of arrays
        The labels, sorted. If y had one column per task, a row for each; a list where their numbers differ.
    coef_ : array of shape (n_tasks, n_features) or (n_tasks, n_classes, n_features)
        Weights :math:`w_t`, in log-odds per unit of X; with more than two classes, a row for each label in y, sorted.
    intercept_ : array of shape (n_tasks,) or (n_tasks, n_classes)
    shared_coef_ : array of shape (n_features,) or (n_classes, n_features)
        The weights for a task never seen: the penalty's, or the mean over the tasks with weight.
    shared_intercept_ : float or array of shape (n_classes,)
        Its intercept: likewise.
    specific_coef_ : array of the shape of `coef_`
        ``coef_ - shared_coef_``.
    feature_importances_ : array of shape (`n_features_in_`,)
        Length of each feature's weights over tasks; the task column has their sum + 1.
    tasks_ : array of shape (n_tasks,)
        The task ids, in the order of the rows of `coef_`.
    penalty_ : Penalty
        The penalty of the fit.
    objective_ : float
        The value of the objective above; tasks that have seen one class only take no part.
    dual_gap_ : float
        How far `objective_` is above its minimum, at most; in the same units.
    n_iter_ : int
        Iterations of the solver.
    n_features_in_ : int
        Columns of X, the task column included.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Their names, if X had any.

    See Also
    --------
    MultiTaskRegressor : The same belief about numbers; the formula of its penalty.
    skmtl.penalties : The penalties.

    Examples
    --------
    >>> from skmtl import MultiTaskClassifier
    >>> from skmtl.penalties import SharedPlusSpecific
    >>> X = [["a", 0.0], ["a", 1.0], ["b", 0.0], ["b", 1.0]]
    >>> model = MultiTaskClassifier(SharedPlusSpecific(alpha=1.0), task=0).fit(X, ["no", "yes", "no", "yes"])
    >>> model.set_params(penalty__alpha=10.0).penalty
    SharedPlusSpecific(alpha=10.0)
    """

    def __init__(
        self,
        penalty=None,
        *,
        class_weight=None,
        fit_intercept=True,
        task_weight="samples",
        max_iter=1000,
        tol=1e-6,
        warm_start=False,
        n_jobs=None,
        verbose=0,
        task=None,
        unknown_task="error",
    ):
        self.penalty = penalty
        self.class_weight = class_weight
        self.fit_intercept = fit_intercept
        self.task_weight = task_weight
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.task = task
        self.unknown_task = unknown_task

    _penalty = MultiTaskRegressor._penalty
