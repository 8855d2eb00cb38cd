"""Few features serve all tasks, and those that do are not shrunk."""

from skmtl.classification._base import LinearClassifier
from skmtl.regression.adaptive import AdaptiveJointFeatureRegressor

__all__ = ["AdaptiveJointFeatureClassifier"]


class AdaptiveJointFeatureClassifier(LinearClassifier):
    r"""Logistic regression in which all tasks use the same few features, without shrinking these.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \sum_j \rho(\|W_j\|_2)
              + \tfrac{\alpha_r}{2} \|W\|_F^2

    with the log-loss :math:`\ell`, see `skmtl.classification`, and the concave :math:`\rho` of
    `AdaptiveJointFeatureRegressor`, whose slope is `alpha` at zero and fades as a feature's weights grow. With more
    than two classes :math:`W_j` holds the weights of feature j for each class of each task.

    Scale the features to unit variance first: `gamma` is measured in units of 1 / curvature of the loss, and the
    log-loss then has a curvature of at most 1/4, so that ``gamma=12`` here is what ``gamma=3`` is to the regressor;
    with a smaller one a feature is out or free, with little between. Features that :math:`\rho` has let go may tell the
    classes of a task apart, and then only the ridge term keeps their weights finite. Also known as group-MCP or
    group-SCAD logistic regression.

    The solver is a sequence of stages, each a `JointFeatureClassifier` with the slopes at the last solution as
    `feature_weights`, solved to a duality gap; the first is `JointFeatureClassifier` itself. No stage raises the
    objective. The problem is nonconvex, and the result may be a local minimum.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0: the pull on a feature whose weights are near zero.
    penalty : {"mcp", "scad", "capped_l1", "sqrt"}, default="mcp"
        The shape :math:`\rho`.
    gamma : float, default=3.0
        Weights of length ``gamma * alpha`` and more are not pulled at all: > 1 for "mcp", > 2 for "scad", > 0 for
        "capped_l1"; "sqrt" does not use it. A large value is `JointFeatureClassifier`.
    alpha_ridge : float, default=0.01
        Strength :math:`\alpha_r` of a ridge term, >= 0. With 0 and classes that the features :math:`\rho` has let go
        separate, there may be no minimum.
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
        best intercepts. Stages end when one lowers the objective by at most ``tol * F(0)``, or changes `coef_` by at
        most this share.
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
        How far the last stage, which is convex, is above its minimum, at most; in the units of the objective.
    residual_ : float
        Relative change of `coef_` in the last stage.
    n_iter_ : int
        Number of stages.
    n_features_in_ : int
        Columns of X, the task column included.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Their names, if X had any.

    See Also
    --------
    AdaptiveJointFeatureRegressor : The same belief about numbers; the formula of its penalty.
    JointFeatureClassifier : The convex model, which shrinks all features alike.

    References
    ----------
    Gong, Ye, Zhang (2013), Multi-stage multi-task feature learning, *Journal of Machine Learning Research*
    14:2979-3010.

    Breheny, Huang (2015), Group descent algorithms for nonconvex penalized linear and logistic regression models with
    grouped predictors, *Statistics and Computing* 25:173-187.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import AdaptiveJointFeatureClassifier
    >>> from skmtl.datasets import make_joint_features
    >>> data = make_joint_features(n_informative=3, n_features=50, n_samples=40, noise=0.3, random_state=0)
    >>> model = AdaptiveJointFeatureClassifier(alpha=0.4, gamma=12.0).fit(data.X, data.y > 0, task=data.task)
    >>> np.flatnonzero(model.coef_.any(axis=0)), np.flatnonzero(data.support)
    (array([ 4, 34, 47]), array([ 4, 34, 47]))
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        penalty="mcp",
        gamma=3.0,
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
        self.penalty = penalty
        self.gamma = gamma
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

    _penalty = AdaptiveJointFeatureRegressor._penalty
