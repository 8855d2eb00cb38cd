"""Tasks form clusters, or share a subspace of the features, of given number or dimension."""

from skmtl.penalties import Clustered, SharedSubspace
from skmtl.regression._base import LinearRegressor

__all__ = ["ClusteredRegressor", "SharedSubspaceRegressor"]


class ClusteredRegressor(LinearRegressor):
    r"""Linear regression in which tasks form a given number of clusters, which need not be known.

    .. math:: \min_{W,b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w_t - b_t)^2
              + \alpha \eta (1 + \eta) \min_M \operatorname{tr}(W (\eta I + M)^{-1} W') + \tfrac{\alpha_r}{2} \|W\|_F^2
              \quad \text{subject to } 0 \preceq M \preceq I, \; \operatorname{tr} M = k

    M (n_tasks, n_tasks) relaxes the projection on the k = `n_clusters` indicators of clusters: weights along its
    directions cost :math:`\alpha \eta`, across them :math:`\alpha (1 + \eta)`, and the convex problem chooses the
    directions. Also known as (convex) clustered multi-task learning, CMTL.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0.
    n_clusters : int, default=2
        The number k of clusters.
    eta : float, default=1.0
        Strength on all weights relative to that on deviations within clusters, > 0: small values let clusters differ,
        large ones leave a ridge term.
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
        The cluster of each task, 0, 1, ...: k-means on the leading eigenvectors of M. A task without weight is in the
        one nearest to the shared model.
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
    SharedSubspaceRegressor : The same with directions of features.
    FusedTasksRegressor : Clusters along a known graph, their number open.

    References
    ----------
    Jacob, Bach, Vert (2008), Clustered multi-task learning: a convex formulation, *NIPS* 21, 745-752.

    Zhou, Chen, Ye (2011), Clustered multi-task learning via alternating structure optimization, *NIPS* 24, 702-710.

    McDonald, Pontil, Stamos (2016), New perspectives on k-support and cluster norms, *Journal of Machine Learning
    Research* 17(155):1-38.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import ClusteredRegressor
    >>> rng = np.random.default_rng(0)
    >>> centers = np.array([[2.0, 0.0, 1.0], [0.0, -2.0, 1.0]])
    >>> X = rng.normal(size=(20, 3))  # one X for six tasks, the columns of Y
    >>> Y = X @ np.repeat(centers, 3, axis=0).T + 0.1 * rng.normal(size=(20, 6))
    >>> model = ClusteredRegressor(alpha=0.1, n_clusters=2, eta=0.1).fit(X, Y)
    >>> len(set(model.cluster_labels_[:3])), len(set(model.cluster_labels_[3:])), len(set(model.cluster_labels_))
    (1, 1, 2)
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        n_clusters=2,
        eta=1.0,
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
        self.n_clusters = n_clusters
        self.eta = eta
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
        return Clustered(self.alpha, self.n_clusters, self.eta, self.alpha_ridge)


class SharedSubspaceRegressor(LinearRegressor):
    r"""Linear regression in which tasks share a subspace of the features, of given dimension.

    .. math:: \min_{W,b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w_t - b_t)^2
              + \alpha \eta (1 + \eta) \min_M \operatorname{tr}(W' (\eta I + M)^{-1} W) + \tfrac{\alpha_r}{2} \|W\|_F^2
              \quad \text{subject to } 0 \preceq M \preceq I, \; \operatorname{tr} M = k

    M (n_features, n_features) relaxes the projection on a subspace of dimension k = `n_components`: weights inside it
    cost :math:`\alpha \eta`, outside :math:`\alpha (1 + \eta)`. Unlike with the trace norm, each task may also use what
    lies outside. It is `ClusteredRegressor` with M on the features' side, and equal to it for
    :math:`k \leq \min(d, T)`. Also known as convex alternating structure optimisation (cASO).

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0.
    n_components : int, default=2
        The dimension k of the subspace.
    eta : float, default=1.0
        Strength on all weights relative to that on their part outside the subspace, > 0: small values hold weights to
        the subspace, large ones leave a ridge term.
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
    n_iter_ : int
        Iterations of the solver.
    n_features_in_ : int
        Columns of X, the task column included.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Their names, if X had any.

    See Also
    --------
    ClusteredRegressor : The same penalty, read as clusters of tasks.
    TraceNormRegressor : A subspace whose dimension is found.

    References
    ----------
    Ando, Zhang (2005), A framework for learning predictive structures from multiple tasks and unlabeled data, *Journal
    of Machine Learning Research* 6:1817-1853.

    Chen, Tang, Liu, Ye (2009), A convex formulation for learning shared structures from multiple tasks, *ICML*,
    137-144.

    Examples
    --------
    >>> from skmtl import SharedSubspaceRegressor
    >>> from skmtl.datasets import make_low_rank_tasks
    >>> data = make_low_rank_tasks(rank=2, n_tasks=20, n_features=10, random_state=0)
    >>> model = SharedSubspaceRegressor(alpha=0.1, n_components=2, eta=0.1).fit(data.X, data.y, task=data.task)
    >>> model.coef_.shape
    (20, 10)
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        n_components=2,
        eta=1.0,
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
        self.n_components = n_components
        self.eta = eta
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
        return SharedSubspace(self.alpha, self.n_components, self.eta, self.alpha_ridge)
