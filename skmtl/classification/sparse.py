"""Few features matter: to every task its own, or to all the same."""

from skmtl.classification._base import LinearClassifier
from skmtl.regression.sparse import JointFeatureRegressor, L1Regressor

__all__ = ["JointFeatureClassifier", "L1Classifier"]


class L1Classifier(LinearClassifier):
    r"""Logistic regression with few weights: every task chooses features of its own.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \Omega(W)

    with the log-loss :math:`\ell`, see `skmtl.classification`, and the penalty :math:`\Omega` of `L1Regressor`.

    One sparse logistic regression per task, all with the same `alpha`: the baseline for `JointFeatureClassifier`, in
    which tasks choose their features together.

    scikit-learn's ``LogisticRegression(C=C, l1_ratio=1.0, solver="saga")`` on a task is this model with ``alpha = T /
    (C * N)``, N rows in all.

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
    L1Regressor : The same belief about numbers; the formula of its penalty.
    JointFeatureClassifier : All tasks use the same features.
    IndependentClassifier : Separate tasks that use all features.

    References
    ----------
    Tibshirani (1996), Regression shrinkage and selection via the lasso, *Journal of the Royal Statistical Society B*
    58:267-288.

    Zou, Hastie (2005), Regularization and variable selection via the elastic net, *Journal of the Royal Statistical
    Society B* 67:301-320.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import L1Classifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 5))  # one X for two tasks, the columns of Y
    >>> model = L1Classifier(alpha=0.1).fit(X, np.column_stack([X[:, 0] > 0, X[:, 3] < 0]))
    >>> model.coef_ != 0
    array([[ True, False, False, False, False],
           [False, False, False,  True, False]])
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

    _penalty = L1Regressor._penalty


class JointFeatureClassifier(LinearClassifier):
    r"""Logistic regression in which all tasks use the same few features, each in its own way.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \Omega(W)

    with the log-loss :math:`\ell`, see `skmtl.classification`, and the penalty :math:`\Omega` of
    `JointFeatureRegressor`. With more than two classes it sees each class of each task as a task of its own.

    A feature serves all tasks or none; `alpha_l1` lets it serve some of them. Also known as group-sparse or
    L2,1-regularised multi-task logistic regression; on the classes of a single task, as glmnet's multinomial model of
    grouped type.

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
    JointFeatureRegressor : The same belief about numbers; the formula of its penalty.
    L1Classifier : Every task chooses features of its own.
    DirtyClassifier : Common features and some of a single task.
    RobustFeatureClassifier : Common features and a few outlier tasks.

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
    >>> from skmtl import JointFeatureClassifier
    >>> from skmtl.datasets import make_joint_features
    >>> data = make_joint_features(n_informative=3, n_features=50, n_samples=40, noise=0.3, random_state=0)
    >>> model = JointFeatureClassifier(alpha=0.4).fit(data.X, data.y > 0, task=data.task)
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
        self.l1_ratio = l1_ratio
        self.alpha_l1 = alpha_l1
        self.feature_weights = feature_weights
        self.norm = norm
        self.positive = positive
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

    _penalty = JointFeatureRegressor._penalty
