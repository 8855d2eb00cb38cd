"""Weights have two parts: what tasks have in common, and what deviates."""

from skmtl.penalties import Dirty, RobustFeature, RobustLowRank, SparseLowRank
from skmtl.regression._base import LinearRegressor

__all__ = ["DirtyRegressor", "RobustFeatureRegressor", "RobustLowRankRegressor", "SparseLowRankRegressor"]


class DirtyRegressor(LinearRegressor):
    r"""Linear regression with features that serve all tasks and single weights that serve one.

    .. math:: \min_{P,Q,b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w_t - b_t)^2
              + \alpha \sum_j \|P_j\|_p + \alpha_s \|Q\|_1
              + \tfrac{\alpha_r}{2} \|W\|_F^2, \qquad W = P + Q

    For tasks that share most, but not all, of their features. The weights have two parts and each entry pays the
    cheaper way. Also known as the dirty model.

    Both parts are at work only where :math:`\alpha_s < \alpha < \sqrt{T} \alpha_s` (with ``norm="inf"``, :math:`T
    \alpha_s`): with a smaller `alpha` this is `JointFeatureRegressor`, with a larger one `L1Regressor`.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength on P, the features of all tasks, >= 0.
    alpha_sparse : float, default=0.01
        Strength :math:`\alpha_s` on Q, the weights of single tasks, >= 0.
    norm : {2, "inf"}, default=2
        The norm p of a feature's weights in P: 2, or "inf" (also ``np.inf``), as in the source.
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
    structured_coef_ : array of shape (n_tasks, n_features)
        The part P, features of all tasks, of the weights.
    deviation_coef_ : array of shape (n_tasks, n_features)
        The part Q, weights of single tasks; the two sum to `coef_`.
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
    JointFeatureRegressor : P alone.
    L1Regressor : Q alone.
    RobustFeatureRegressor : What deviates is whole tasks.

    References
    ----------
    Jalali, Ravikumar, Sanghavi, Ruan (2010), A dirty model for multi-task learning, *NIPS* 23, 964-972.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import DirtyRegressor
    >>> W = np.array([[4.0, 0.0, 0.0], [4.0, 0.0, 0.0], [4.0, 4.0, 0.0], [4.0, 0.0, 0.0]])  # one weight of task 2 only
    >>> model = DirtyRegressor(alpha=0.15, alpha_sparse=0.1, fit_intercept=False).fit(np.eye(3), W.T)
    >>> model.structured_coef_.any(axis=0), model.deviation_coef_.any(axis=0)
    (array([ True, False, False]), array([False,  True, False]))
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        alpha_sparse=0.01,
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
        self.alpha_sparse = alpha_sparse
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
        return Dirty(self.alpha, self.alpha_sparse, self.norm, self.alpha_ridge)


class RobustLowRankRegressor(LinearRegressor):
    r"""Linear regression in which tasks are mixtures of a few basis models, but for a few outlier tasks.

    .. math:: \min_{L,S,b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w_t - b_t)^2
              + \alpha \|L\|_* + \alpha_o \sum_t \|s_t\|_2
              + \tfrac{\alpha_r}{2} \|W\|_F^2, \qquad W = L + S

    A task that does not fit the common subspace pays for weights of its own and leaves the others alone. Also known as
    robust multi-task learning (RMTL).

    Both parts are at work only where :math:`\alpha_o < \alpha < \sqrt{T} \alpha_o`: with a smaller `alpha` there are no
    outliers and this is `TraceNormRegressor`, with a larger one every task is one.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength on L, the part of low rank, >= 0.
    alpha_outlier : float, default=0.01
        Strength :math:`\alpha_o` on the deviations :math:`s_t` of whole tasks, >= 0.
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
    structured_coef_ : array of shape (n_tasks, n_features)
        The part L, of low rank, of the weights.
    deviation_coef_ : array of shape (n_tasks, n_features)
        The part S, deviations of whole tasks; the two sum to `coef_`.
    outlier_tasks_ : array
        The ids of the tasks whose deviation is not zero.
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
    TraceNormRegressor : L alone.
    RobustFeatureRegressor : Common features instead of a common subspace.
    SparseLowRankRegressor : What deviates is single weights.

    References
    ----------
    Chen, Zhou, Ye (2011), Integrating low-rank and group-sparse structures for robust multi-task learning, *KDD*,
    42-50.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import RobustLowRankRegressor
    >>> W = np.ones((8, 1)) @ [[1.0, 2.0, 0.0, 1.0]]  # eight tasks, all alike
    >>> W[5] = [0.0, 0.0, 6.0, 0.0]  # but one
    >>> model = RobustLowRankRegressor(alpha=0.2, alpha_outlier=0.1, fit_intercept=False).fit(np.eye(4), W.T)
    >>> model.outlier_tasks_
    array([5])
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        alpha_outlier=0.01,
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
        self.alpha_outlier = alpha_outlier
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
        return RobustLowRank(self.alpha, self.alpha_outlier, self.alpha_ridge)


class RobustFeatureRegressor(LinearRegressor):
    r"""Linear regression in which tasks use the same few features, but for a few outlier tasks.

    .. math:: \min_{P,Q,b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w_t - b_t)^2
              + \alpha \sum_j \|P_j\|_2 + \alpha_o \sum_t \|q_t\|_2
              + \tfrac{\alpha_r}{2} \|W\|_F^2, \qquad W = P + Q

    A task that needs other features pays for weights of its own and leaves the choice of the others alone. Also known
    as robust multi-task feature learning (rMTFL).

    Both parts are at work only where :math:`\alpha_o / \sqrt{d} < \alpha < \sqrt{T} \alpha_o`: with a smaller `alpha`
    there are no outliers and this is `JointFeatureRegressor`, with a larger one every task is one.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength on P, the features of all tasks, >= 0.
    alpha_outlier : float, default=0.01
        Strength :math:`\alpha_o` on the deviations :math:`q_t` of whole tasks, >= 0.
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
    structured_coef_ : array of shape (n_tasks, n_features)
        The part P, features of all tasks, of the weights.
    deviation_coef_ : array of shape (n_tasks, n_features)
        The part Q, deviations of whole tasks; the two sum to `coef_`.
    outlier_tasks_ : array
        The ids of the tasks whose deviation is not zero.
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
    JointFeatureRegressor : P alone.
    RobustLowRankRegressor : A common subspace instead of common features.
    DirtyRegressor : What deviates is single weights.

    References
    ----------
    Gong, Ye, Zhang (2012), Robust multi-task feature learning, *KDD*, 895-903.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import RobustFeatureRegressor
    >>> W = np.zeros((8, 6))
    >>> W[:, :2] = [1.0, 2.0]  # eight tasks that use the first two features
    >>> W[5] = [0.0, 0.0, 2.0, 2.0, 2.0, 2.0]  # and one that does not
    >>> model = RobustFeatureRegressor(alpha=0.1, alpha_outlier=0.1, fit_intercept=False).fit(np.eye(6), W.T)
    >>> model.outlier_tasks_
    array([5])
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        alpha_outlier=0.01,
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
        self.alpha_outlier = alpha_outlier
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
        return RobustFeature(self.alpha, self.alpha_outlier, self.alpha_ridge)


class SparseLowRankRegressor(LinearRegressor):
    r"""Linear regression whose weights are those of a few basis models plus a few single ones.

    .. math:: \min_{P,Q,b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w_t - b_t)^2
              + \alpha \|P\|_1 + \alpha_* \|Q\|_*
              + \tfrac{\alpha_r}{2} \|W\|_F^2, \qquad W = P + Q

    The low-rank part holds what tasks have in common, the sparse part the features that matter to one. Also known as
    incoherent sparse and low-rank learning; the source bounds :math:`\|Q\|_*` where we penalise it.

    Both parts are at work only where :math:`\alpha < \alpha_* < \sqrt{d T} \alpha`: with a larger `alpha` this is
    `TraceNormRegressor`, with a smaller one `L1Regressor`.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength on P, single weights, >= 0.
    alpha_low_rank : float, default=0.01
        Strength :math:`\alpha_*` on Q, the part of low rank, >= 0.
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
    structured_coef_ : array of shape (n_tasks, n_features)
        The part P, single weights, of the weights.
    deviation_coef_ : array of shape (n_tasks, n_features)
        The part Q, of low rank; the two sum to `coef_`.
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
    L1Regressor : P alone.
    TraceNormRegressor : Q alone.
    RobustLowRankRegressor : What deviates is whole tasks.

    References
    ----------
    Chen, Liu, Ye (2010), Learning incoherent sparse and low-rank patterns from multiple tasks, *KDD*, 1179-1188.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import SparseLowRankRegressor
    >>> W = np.ones((8, 1)) @ [[1.0, 2.0, 0.0, 1.0]]  # eight tasks, all alike
    >>> W[5, 2] = 6.0  # but for one weight
    >>> model = SparseLowRankRegressor(alpha=0.1, alpha_low_rank=0.2, fit_intercept=False).fit(np.eye(4), W.T)
    >>> np.argwhere(model.structured_coef_), int(np.linalg.matrix_rank(model.deviation_coef_, tol=1e-6))
    (array([[5, 2]]), 1)
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        alpha_low_rank=0.01,
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
        self.alpha_low_rank = alpha_low_rank
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
        return SparseLowRank(self.alpha, self.alpha_low_rank, self.alpha_ridge)
