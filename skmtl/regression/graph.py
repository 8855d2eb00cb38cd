"""Tasks are nodes of a graph: neighbours are alike, or equal."""

from skmtl.penalties import FusedTasks, TaskGraph
from skmtl.regression._base import LinearRegressor

__all__ = ["FusedTasksRegressor", "TaskGraphRegressor"]


class TaskGraphRegressor(LinearRegressor):
    r"""Linear regression in which neighbouring tasks of a graph have similar weights.

    .. math:: \min_{W,b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w_t - b_t)^2
              + \tfrac{\alpha}{2} \sum_{(s,t) \in E} k_{st} \|w_s - w_t\|_2^2 + \tfrac{\alpha_r}{2} \|W\|_F^2
              + \alpha_1 \|W\|_1

    Use it when you know which tasks are alike: neighbouring regions, related products, consecutive months. A task
    without rows that stands in the graph is predicted from its neighbours; if edges tie it to no task with labels, near
    or far, it has the shared model. The model is exact: with one X for all tasks by two eigendecompositions (a `path`
    of 50 strengths costs two or three fits), with the complete graph in closed form, and otherwise by preconditioned
    conjugate gradients to a residual of at most 1e-8. With `alpha_l1` it is solved by splitting, to a duality gap.

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
    fit_intercept : bool, default=True
        Whether to fit an intercept for every task.
    task_weight : {"samples", "tasks", "auto"} or dict, default="samples"
        The factor :math:`c_t` of each task's loss. "samples": every observation counts the same, T / N. "tasks": every
        task counts the same, 1 / N_t. "auto": in proportion to 1 / (length of the task's gradient at zero weights). A
        dict ``{task: factor}`` multiplies "samples".
    max_iter : int, default=1000
        Most iterations of solvers that iterate, here conjugate gradients or, with `alpha_l1`, splitting.
    tol : float, default=1e-6
        Solvers that iterate stop when ``dual_gap_ <= tol * F(0)``, F(0) being the objective at zero weights with the
        best intercepts; quadratic models are solved exactly, whatever it is, unless X is sparse with more than 300
        columns, or sums over its rows would have more than 3e7 numbers and more than X has.
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
    coef_ : array of shape (n_tasks, n_features)
        Weights :math:`w_t`, in units of y per unit of X.
    intercept_ : array of shape (n_tasks,)
    shared_coef_ : array of shape (n_features,)
        The weights for a task never seen: the mean over the tasks with weight.
    shared_intercept_ : float
        Its intercept: the mean over these tasks.
    specific_coef_ : array of shape (n_tasks, n_features)
        ``coef_ - shared_coef_``.
    feature_importances_ : array of shape (`n_features_in_`,)
        Length of each feature's weights over tasks; the task column has their sum + 1.
    tasks_ : array of shape (n_tasks,)
        The task ids, in the order of the rows of `coef_`.
    penalty_ : Penalty
        The penalty of the fit.
    objective_ : float
        The value of the objective above.
    dual_gap_ : float
        How far `objective_` is above its minimum, at most; in the same units.
    residual_ : float
        How exactly its normal equations A x = b hold: ``|A x - b| / (|A| |x| + |b|)``; only where
        `alpha_l1` is 0, and not after steps on the rows (see `tol`).
    n_iter_ : int
        Iterations of the solver; 1 where the solution is direct.
    n_features_in_ : int
        Columns of X, the task column included.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Their names, if X had any.

    See Also
    --------
    FusedTasksRegressor : Neighbours are equal, unless the data speak against it.
    MeanRegularizedRegressor : What the complete graph amounts to.
    IndependentRegressor : What a graph without edges amounts to.

    References
    ----------
    Evgeniou, Micchelli, Pontil (2005), Learning multiple tasks with kernel methods, *Journal of Machine Learning
    Research* 6:615-637.

    Examples
    --------
    >>> from skmtl import TaskGraphRegressor
    >>> from skmtl.datasets import make_graph_tasks
    >>> data = make_graph_tasks(n_tasks=12, n_samples=10, n_features=4, random_state=0)
    >>> model = TaskGraphRegressor(alpha=1.0, graph=data.graph).fit(data.X, data.y, task=data.task)
    >>> model.coef_.shape
    (12, 4)
    >>> bool(model.residual_ < 1e-8)
    True
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        graph=None,
        alpha_ridge=0.01,
        normalized=False,
        alpha_l1=0.0,
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
        self.fit_intercept = fit_intercept
        self.task_weight = task_weight
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.task = task
        self.unknown_task = unknown_task

    def _penalty(self):
        return TaskGraph(self.alpha, self.graph, self.alpha_ridge, self.normalized, self.alpha_l1)


class FusedTasksRegressor(LinearRegressor):
    r"""Linear regression that makes neighbouring tasks of a graph equal, where the data allow.

    .. math:: \min_{W,b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w_t - b_t)^2
              + \alpha \sum_{(s,t) \in E} k_{st} \|w_s - w_t\|_p + \tfrac{\alpha_r}{2} \|W\|_F^2

    `TaskGraphRegressor` squares the differences and makes neighbours similar; here they are equal or not, so that tasks
    fall into clusters, read off the solution. With ``norm=2`` two tasks are joined in all features at once, with
    ``norm=1`` feature by feature. A task without rows that stands in the graph is predicted from its neighbours; if
    edges tie it to no task with labels, near or far, it has the shared model. Also known as the network lasso
    (``norm=2``), the graph-fused or joint lasso (``norm=1``); on the complete graph, as convex clustering of the tasks'
    weights.

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
    alpha_ridge : float, default=0.0
        Strength :math:`\alpha_r` of the ridge term, >= 0.
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
        best intercepts; quadratic models are solved exactly, whatever it is, unless X is sparse with more than 300
        columns, or sums over its rows would have more than 3e7 numbers and more than X has.
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
    coef_ : array of shape (n_tasks, n_features)
        Weights :math:`w_t`, in units of y per unit of X.
    intercept_ : array of shape (n_tasks,)
    shared_coef_ : array of shape (n_features,)
        The weights for a task never seen: the mean over the tasks with weight.
    shared_intercept_ : float
        Its intercept: the mean over these tasks.
    specific_coef_ : array of shape (n_tasks, n_features)
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
        The value of the objective above.
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
    TaskGraphRegressor : Neighbours are similar.
    ClusteredRegressor : Clusters without a graph.
    TemporalRegressor : Tasks in a row, with sparsity.

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
    >>> from skmtl import FusedTasksRegressor
    >>> X = np.eye(3)  # one X for four tasks, the columns of Y
    >>> Y = np.array([[1.0, 1.1, 5.0, 5.1], [2.0, 2.1, 0.0, 0.1], [0.0, 0.1, 3.0, 3.1]])
    >>> model = FusedTasksRegressor(alpha=0.03, fit_intercept=False).fit(X, Y)
    >>> model.cluster_labels_
    array([0, 0, 1, 1])
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        graph=None,
        norm=2,
        alpha_ridge=0.0,
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
        self.fit_intercept = fit_intercept
        self.task_weight = task_weight
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.task = task
        self.unknown_task = unknown_task

    def _penalty(self):
        return FusedTasks(self.alpha, self.graph, self.norm, self.alpha_ridge)
