"""Tasks are mixtures of a few basis models."""

from skmtl.classification._base import LinearClassifier
from skmtl.regression.low_rank import TaskRelationshipRegressor, TraceNormRegressor

__all__ = ["TaskRelationshipClassifier", "TraceNormClassifier"]


class TraceNormClassifier(LinearClassifier):
    r"""Logistic regression in which tasks are mixtures of a few basis models.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \Omega(W)

    with the log-loss :math:`\ell`, see `skmtl.classification`, and the penalty :math:`\Omega` of `TraceNormRegressor`.
    With more than two classes it sees each class of each task as a task of its own.

    Enough `alpha` makes most singular values of W zero: all weights lie in a subspace of dimension `rank_` that nobody
    had to name. Also known as nuclear-norm or low-rank regularisation.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0.
    alpha_ridge : float, default=0.0
        Strength :math:`\alpha_r` of the ridge term, >= 0.
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
        The weights for a task never seen: the mean over the tasks with weight.
    shared_intercept_ : float or array of shape (n_classes,)
        Its intercept: the mean over these tasks.
    specific_coef_ : array of the shape of `coef_`
        ``coef_ - shared_coef_``.
    rank_ : int
        The rank of `coef_`: the number of its singular values that are not zero.
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
    TraceNormRegressor : The same belief about numbers; the formula of its penalty.
    TaskRelationshipClassifier : The square of the trace norm, seen as a covariance between tasks.
    RobustLowRankClassifier : With a few tasks outside the subspace.
    SharedSubspaceClassifier : A subspace of a given dimension, and deviations from it.

    References
    ----------
    Ji, Ye (2009), An accelerated gradient method for trace norm minimization, *ICML*, 457-464.

    Pong, Tseng, Ji, Ye (2010), Trace norm regularization: reformulations, algorithms, and multi-task learning, *SIAM
    Journal on Optimization* 20:3465-3489.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import TraceNormClassifier
    >>> rng = np.random.default_rng(0)
    >>> W = rng.normal(size=(10, 1)) @ rng.normal(size=(1, 5))  # ten tasks, multiples of one
    >>> X = rng.normal(size=(100, 5))
    >>> model = TraceNormClassifier(alpha=0.3).fit(X, X @ W.T > 0)
    >>> model.rank_
    1
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        alpha_ridge=0.0,
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
        self.alpha = alpha
        self.alpha_ridge = alpha_ridge
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

    _penalty = TraceNormRegressor._penalty


class TaskRelationshipClassifier(LinearClassifier):
    r"""Logistic regression that learns how tasks covary.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \Omega(W)

    with the log-loss :math:`\ell`, see `skmtl.classification`, and the penalty :math:`\Omega` of
    `TaskRelationshipRegressor`. With more than two classes it sees the weights of all classes of a task as one long
    vector.

    Tasks that prove alike, or opposite, learn from each other, by as much as a covariance between them says that is
    learned, too. Also known as multi-task relationship learning (MTRL).

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0.
    alpha_ridge : float, default=0.0
        Strength :math:`\alpha_r` of the ridge term, >= 0.
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
        The weights for a task never seen: the mean over the tasks with weight.
    shared_intercept_ : float or array of shape (n_classes,)
        Its intercept: the mean over these tasks.
    specific_coef_ : array of the shape of `coef_`
        ``coef_ - shared_coef_``.
    task_covariance_ : array of shape (n_tasks, n_tasks)
        The covariance S between tasks, of trace 1; zero for a task without weight, which has no part in it. It and the
        correlations take 0.8 GB each for 10 000 tasks.
    task_correlation_ : array of shape (n_tasks, n_tasks)
        Its correlations, from -1 to 1.
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
    TaskRelationshipRegressor : The same belief about numbers; the formula of its penalty.
    TraceNormClassifier : The same path, in units of the trace norm.
    TaskGraphClassifier : Relations that are known beforehand.

    References
    ----------
    Zhang, Yeung (2010), A convex formulation for learning task relationships in multi-task learning, *UAI*, 733-742.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import TaskRelationshipClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> y = X @ [1.0, 2.0, -1.0]
    >>> model = TaskRelationshipClassifier(alpha=0.01).fit(X, np.column_stack([y > 0, y < 0, X[:, 0] > 0]))
    >>> model.task_correlation_.round(1)
    array([[ 1. , -1. ,  0.2],
           [-1. ,  1. , -0.2],
           [ 0.2, -0.2,  1. ]])
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        alpha_ridge=0.0,
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
        self.alpha = alpha
        self.alpha_ridge = alpha_ridge
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

    _penalty = TaskRelationshipRegressor._penalty
