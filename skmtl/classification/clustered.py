"""Tasks form clusters, or share a subspace of the features, of given number or dimension."""

from skmtl.classification._base import LinearClassifier
from skmtl.regression.clustered import ClusteredRegressor, SharedSubspaceRegressor

__all__ = ["ClusteredClassifier", "SharedSubspaceClassifier"]


class ClusteredClassifier(LinearClassifier):
    r"""Logistic regression in which tasks form a given number of clusters, which need not be known.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \Omega(W)

    with the log-loss :math:`\ell`, see `skmtl.classification`, and the penalty :math:`\Omega` of `ClusteredRegressor`.
    With more than two classes it sees the weights of all classes of a task as one long vector.

    Also known as (convex) clustered multi-task learning, CMTL.

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
        The cluster of each task, 0, 1, ...: k-means on the leading eigenvectors of M. A task without weight is in the
        one nearest to the shared model.
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
    ClusteredRegressor : The same belief about numbers; the formula of its penalty.
    SharedSubspaceClassifier : The same with directions of features.
    FusedTasksClassifier : Clusters along a known graph, their number open.

    References
    ----------
    Jacob, Bach, Vert (2008), Clustered multi-task learning: a convex formulation, *NIPS* 21, 745-752.

    Zhou, Chen, Ye (2011), Clustered multi-task learning via alternating structure optimization, *NIPS* 24, 702-710.

    McDonald, Pontil, Stamos (2016), New perspectives on k-support and cluster norms, *Journal of Machine Learning
    Research* 17(155):1-38.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import ClusteredClassifier
    >>> rng = np.random.default_rng(0)
    >>> centers = np.array([[2.0, 0.0, 1.0], [0.0, -2.0, 1.0]])
    >>> X = rng.normal(size=(50, 3))  # one X for six tasks, the columns of Y
    >>> Y = X @ np.repeat(centers, 3, axis=0).T > rng.normal(size=(50, 6))
    >>> ClusteredClassifier(alpha=0.1, n_clusters=2, eta=0.1).fit(X, Y).cluster_labels_
    array([0, 0, 0, 1, 1, 1])
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        n_clusters=2,
        eta=1.0,
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
        self.n_clusters = n_clusters
        self.eta = eta
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

    _penalty = ClusteredRegressor._penalty


class SharedSubspaceClassifier(LinearClassifier):
    r"""Logistic regression in which tasks share a subspace of the features, of given dimension.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \Omega(W)

    with the log-loss :math:`\ell`, see `skmtl.classification`, and the penalty :math:`\Omega` of
    `SharedSubspaceRegressor`. With more than two classes it sees each class of each task as a task of its own.

    Unlike with the trace norm, each task may also use what lies outside. Also known as convex alternating structure
    optimisation (cASO).

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
    SharedSubspaceRegressor : The same belief about numbers; the formula of its penalty.
    ClusteredClassifier : The same penalty, read as clusters of tasks.
    TraceNormClassifier : A subspace whose dimension is found.

    References
    ----------
    Ando, Zhang (2005), A framework for learning predictive structures from multiple tasks and unlabeled data, *Journal
    of Machine Learning Research* 6:1817-1853.

    Chen, Tang, Liu, Ye (2009), A convex formulation for learning shared structures from multiple tasks, *ICML*,
    137-144.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import SharedSubspaceClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 5))  # one X for eight tasks, the columns of Y
    >>> Y = X[:, :2] @ rng.normal(size=(2, 8)) > 0  # only the first two features matter
    >>> model = SharedSubspaceClassifier(alpha=0.1, n_components=2, eta=0.1).fit(X, Y)
    >>> importance = model.feature_importances_
    >>> bool(importance[:2].min() > 3 * importance[2:].max())
    True
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        n_components=2,
        eta=1.0,
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
        self.n_components = n_components
        self.eta = eta
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

    _penalty = SharedSubspaceRegressor._penalty
