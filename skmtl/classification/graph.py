"""Tasks are nodes of a graph: neighbours are alike, or equal."""

from skmtl.classification._base import LinearClassifier
from skmtl.regression.graph import FusedTasksRegressor, TaskGraphRegressor

__all__ = ["FusedTasksClassifier", "TaskGraphClassifier"]


class TaskGraphClassifier(LinearClassifier):
    r"""Logistic regression in which neighbouring tasks of a graph have similar weights.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \Omega(W)

    with the log-loss :math:`\ell`, see `skmtl.classification`, and the penalty :math:`\Omega` of `TaskGraphRegressor`.
    With more than two classes it sees the weights of all classes of a task as one long vector.

    Use it when you know which tasks are alike: neighbouring regions, related products, consecutive months. A task
    without rows that stands in the graph is predicted from its neighbours; if edges tie it to no task with labels, near
    or far, it has the shared model.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength of the graph, >= 0. 0 makes tasks independent.
    graph : dict, list, data frame, networkx graph, array or None, default=None
        Weights k >= 0 of the edges by task id, ``{(a, b): weight}``; or a list of pairs ``(a, b)`` or triples ``(a, b,
        weight)``; a square pandas data frame with the ids as index and columns; a networkx graph; or a symmetric array
        or sparse matrix of shape (n_tasks, n_tasks) in the order of `tasks_`. None connects all pairs with weight 1.
    alpha_ridge : float, default=0.01
        Strength :math:`\alpha_r` of the ridge term, >= 0.
    normalized : bool, default=False
        Whether to use the normalised Laplacian :math:`I - D^{-1/2} K D^{-1/2}`.
    alpha_l1 : float, default=0.0
        Strength :math:`\alpha_1` of :math:`\|W\|_1`, >= 0; more than 0 makes some weights zero.
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
    TaskGraphRegressor : The same belief about numbers; the formula of its penalty.
    FusedTasksClassifier : Neighbours are equal, unless the data speak against it.
    MeanRegularizedClassifier : What the complete graph amounts to.
    IndependentClassifier : What a graph without edges amounts to.

    References
    ----------
    Evgeniou, Micchelli, Pontil (2005), Learning multiple tasks with kernel methods, *Journal of Machine Learning
    Research* 6:615-637.

    Examples
    --------
    >>> from skmtl import TaskGraphClassifier
    >>> from skmtl.datasets import make_graph_tasks
    >>> data = make_graph_tasks(n_tasks=12, n_samples=10, n_features=4, random_state=0)
    >>> model = TaskGraphClassifier(alpha=0.1, graph=data.graph).fit(data.X, data.y > 0, task=data.task)
    >>> model.coef_.shape
    (12, 4)
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        graph=None,
        alpha_ridge=0.01,
        normalized=False,
        alpha_l1=0.0,
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
        self.graph = graph
        self.alpha_ridge = alpha_ridge
        self.normalized = normalized
        self.alpha_l1 = alpha_l1
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

    _penalty = TaskGraphRegressor._penalty


class FusedTasksClassifier(LinearClassifier):
    r"""Logistic regression that makes neighbouring tasks of a graph equal, where the data allow.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \Omega(W)

    with the log-loss :math:`\ell`, see `skmtl.classification`, and the penalty :math:`\Omega` of `FusedTasksRegressor`.
    With more than two classes it sees the weights of all classes of a task as one long vector.

    `TaskGraphClassifier` squares the differences and makes neighbours similar; here they are equal or not, so that
    tasks fall into clusters, read off the solution. A task without rows that stands in the graph is predicted from its
    neighbours; if edges tie it to no task with labels, near or far, it has the shared model. Also known as the network
    lasso.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength of the graph, >= 0. 0 makes tasks independent, a large value those of a connected graph equal.
    graph : dict, list, data frame, networkx graph, array or None, default=None
        Weights k >= 0 of the edges by task id, ``{(a, b): weight}``; or a list of pairs ``(a, b)`` or triples ``(a, b,
        weight)``; a square pandas data frame with the ids as index and columns; a networkx graph; or a symmetric array
        or sparse matrix of shape (n_tasks, n_tasks) in the order of `tasks_`. None connects all pairs with weight 1,
        for which the 2-norm needs memory in proportion to ``n_tasks ** 2 * n_features``.
    norm : {1, 2}, default=2
        The norm p of the difference of two tasks: 2 joins tasks in all features at once, 1 feature by feature.
    alpha_ridge : float, default=0.01
        Strength :math:`\alpha_r` of the ridge term, >= 0. With 0, weights of classes that a plane separates may grow
        without end, as nothing else bounds those that all tasks have in common.
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
    cluster_labels_ : int array of shape (n_tasks,)
        0, 1, ...: tasks with equal weights have equal labels.
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
    FusedTasksRegressor : The same belief about numbers; the formula of its penalty.
    TaskGraphClassifier : Neighbours are similar.
    ClusteredClassifier : Clusters without a graph.
    TemporalClassifier : Tasks in a row, with sparsity.

    References
    ----------
    Hocking, Joulin, Bach, Vert (2011), Clusterpath: an algorithm for clustering using convex fusion penalties, *ICML*,
    745-752.

    Hallac, Leskovec, Boyd (2015), Network lasso: clustering and optimization in large graphs, *KDD*, 387-396.

    Dondelinger, Mukherjee (2020), The joint lasso: high-dimensional regression for group structured data,
    *Biostatistics* 21:219-235.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import FusedTasksClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 2))  # one X for four tasks, the columns of Y
    >>> y = X @ np.array([[1.0, 1.0, -1.0, -1.0], [1.0, 0.9, 1.0, 0.9]]) > 0
    >>> model = FusedTasksClassifier(alpha=0.02).fit(X, y)
    >>> model.cluster_labels_
    array([0, 0, 1, 1])
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        graph=None,
        norm=2,
        alpha_ridge=0.01,
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
        self.graph = graph
        self.norm = norm
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

    _penalty = FusedTasksRegressor._penalty
