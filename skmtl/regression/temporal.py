"""Tasks are points in time."""

from skmtl.penalties import Temporal
from skmtl.regression._base import LinearRegressor

__all__ = ["TemporalRegressor"]


class TemporalRegressor(LinearRegressor):
    r"""Linear regression in which tasks are points in time and weights change little from one to the next.

    .. math:: \min_{W,b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w_t - b_t)^2
              + \alpha \sum_{t=1}^{T-1} \|w_{t+1} - w_t\|_1 + \alpha_1 \|W\|_1 + \alpha_g \sum_j \|W_j\|_2
              + \tfrac{\alpha_r}{2} \|W\|_F^2

    A feature's weight is constant over time but for a few jumps; with `smooth` it drifts instead: the first penalty is
    then :math:`\tfrac{\alpha}{2} \sum_t \|w_{t+1} - w_t\|_2^2`. `alpha_l1` makes weights zero for a time, `alpha_group`
    drops features altogether. Also known as the (convex) fused sparse group lasso of disease progression; with `smooth`
    as the temporal group lasso.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength of what holds consecutive tasks together, >= 0.
    alpha_l1 : float, default=0.0
        Strength :math:`\alpha_1` of :math:`\|W\|_1`, >= 0.
    alpha_group : float, default=0.0
        Strength :math:`\alpha_g` of the lengths of the features' weights over tasks, >= 0.
    smooth : bool, default=False
        Whether to penalise half the squares of the differences instead of their absolute values.
    order : list or None, default=None
        The task ids from first to last; it may name tasks that are not in the data. None: as in `tasks_`: of a wide
        y the order of its columns, else sorted, where text "month10" comes before "month2".
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
    FusedTasksRegressor : Jumps over the edges of any graph, in all features at once.
    TaskGraphRegressor : What `smooth` is on other graphs than a chain.

    References
    ----------
    Zhou, Yuan, Liu, Ye (2011), A multi-task learning formulation for predicting disease progression, *KDD*, 814-822.

    Zhou, Liu, Narayan, Ye (2012), Modeling disease progression via fused sparse group lasso, *KDD*, 1095-1103.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import TemporalRegressor
    >>> X = np.eye(2)  # one X for six months, the columns of Y: a jump in the first feature
    >>> Y = np.array([[1.0, 1.1, 0.9, 3.0, 3.1, 2.9], [2.0, 2.1, 1.9, 2.0, 2.1, 1.9]])
    >>> TemporalRegressor(alpha=0.1, fit_intercept=False).fit(X, Y).coef_.round(2).T
    array([[1.07, 1.07, 1.07, 2.93, 2.93, 2.93],
           [2.  , 2.  , 2.  , 2.  , 2.  , 2.  ]])
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        alpha_l1=0.0,
        alpha_group=0.0,
        smooth=False,
        order=None,
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
        self.alpha_l1 = alpha_l1
        self.alpha_group = alpha_group
        self.smooth = smooth
        self.order = order
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
        return Temporal(self.alpha, self.alpha_l1, self.alpha_group, self.smooth, self.order, self.alpha_ridge)
