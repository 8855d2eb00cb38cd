"""Few features matter: to every task its own, or to all the same."""

from skmtl.penalties import L1, JointFeature
from skmtl.regression._base import LinearRegressor

__all__ = ["JointFeatureRegressor", "L1Regressor"]


class L1Regressor(LinearRegressor):
    r"""Linear regression with few weights: every task chooses features of its own.

    .. math:: \min_{W,b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w_t - b_t)^2
              + \alpha \|W\|_1 + \tfrac{\alpha_r}{2} \|W\|_F^2

    One lasso per task, all with the same `alpha`: the baseline for `JointFeatureRegressor`, in which tasks choose their
    features together. Also known as the lasso; with `alpha_ridge`, as the elastic net.

    scikit-learn's ``Lasso(alpha=a)`` on a task of n rows is this model with ``alpha = a * n * T / N``, N rows in all;
    on one complete X for all tasks, with ``alpha = a``.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0.
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
    JointFeatureRegressor : All tasks use the same features.
    IndependentRegressor : Separate tasks that use all features.

    References
    ----------
    Tibshirani (1996), Regression shrinkage and selection via the lasso, *Journal of the Royal Statistical Society B*
    58:267-288.

    Zou, Hastie (2005), Regularization and variable selection via the elastic net, *Journal of the Royal Statistical
    Society B* 67:301-320.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import L1Regressor
    >>> X = np.eye(4)  # one X for two tasks, the columns of Y
    >>> Y = np.array([[4.0, 0.0], [0.0, 8.0], [1.0, 0.0], [0.0, 1.0]])
    >>> L1Regressor(alpha=0.5, fit_intercept=False).fit(X, Y).coef_.round(6)
    array([[2., 0., 0., 0.],
           [0., 6., 0., 0.]])
    """

    def __init__(
        self,
        alpha=0.01,
        *,
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
        return L1(self.alpha, self.alpha_ridge)


class JointFeatureRegressor(LinearRegressor):
    r"""Linear regression in which all tasks use the same few features, each in its own way.

    .. math:: \min_{W,b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w_t - b_t)^2
              + \alpha \Big[ r \sum_j \omega_j \|W_j\|_p + \tfrac{1 - r}{2} \|W\|_F^2 \Big] + \alpha_1 \|W\|_1
              + \tfrac{\alpha_r}{2} \|W\|_F^2

    with :math:`W_j` the weights of feature j over all tasks, r = `l1_ratio` and :math:`\omega_j` = `feature_weights`. A
    feature serves all tasks or none; `alpha_l1` lets it serve some of them. Also known as the multi-task lasso, L2,1 or
    group lasso over tasks; with `l1_ratio`, the multi-task elastic net; with `alpha_l1`, the sparse group lasso; with
    ``norm="inf"``, the L1,inf or simultaneous lasso.

    On one complete X for all tasks this is scikit-learn's ``MultiTaskLasso`` and ``MultiTaskElasticNet`` with the same
    `alpha` and `l1_ratio`, and glmnet's ``family="mgaussian"`` with ``lambda = alpha``.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0.
    l1_ratio : float, default=1.0
        The share r of the row norms in what `alpha` scales, from 0 to 1; the rest is a ridge term.
    alpha_l1 : float, default=0.0
        Strength :math:`\alpha_1` of :math:`\|W\|_1`, >= 0.
    feature_weights : array-like of shape (n_features,) or None, default=None
        The factor :math:`\omega_j` >= 0 of each feature's norm, not of the squares: 0 keeps a feature whatever `alpha`.
        None is 1 for all.
    norm : {2, "inf"}, default=2
        The norm p of a row: 2, or "inf" (also ``np.inf``), which charges a feature for its largest weight only.
    positive : bool, default=False
        Whether weights must be >= 0.
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
    L1Regressor : Every task chooses features of its own.
    DirtyRegressor : Common features and some of a single task.
    RobustFeatureRegressor : Common features and a few outlier tasks.
    sklearn.linear_model.MultiTaskLasso : One X, complete Y.

    References
    ----------
    Obozinski, Taskar, Jordan (2010), Joint covariate selection and joint subspace selection for multiple classification
    problems, *Statistics and Computing* 20:231-252.

    Argyriou, Evgeniou, Pontil (2007), Multi-task feature learning, *NIPS* 19, 41-48.

    Simon, Friedman, Hastie, Tibshirani (2013), A sparse-group lasso, *Journal of Computational and Graphical
    Statistics* 22:231-245.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import JointFeatureRegressor
    >>> from skmtl.datasets import make_joint_features
    >>> data = make_joint_features(n_informative=3, n_features=50, n_samples=20, noise=0.3, random_state=0)
    >>> model = JointFeatureRegressor(alpha=0.6).fit(data.X, data.y, task=data.task)
    >>> np.flatnonzero(model.coef_.any(axis=0)), np.flatnonzero(data.support)
    (array([ 4, 34, 47]), array([ 4, 34, 47]))
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        l1_ratio=1.0,
        alpha_l1=0.0,
        feature_weights=None,
        norm=2,
        positive=False,
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
        self.l1_ratio = l1_ratio
        self.alpha_l1 = alpha_l1
        self.feature_weights = feature_weights
        self.norm = norm
        self.positive = positive
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
        return JointFeature(
            self.alpha, self.l1_ratio, self.alpha_l1, self.feature_weights, self.norm, self.positive, self.alpha_ridge
        )
