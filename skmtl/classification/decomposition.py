"""Weights have two parts: what tasks have in common, and what deviates."""

from skmtl.classification._base import LinearClassifier
from skmtl.regression.decomposition import (
    DirtyRegressor,
    RobustFeatureRegressor,
    RobustLowRankRegressor,
    SparseLowRankRegressor,
)

__all__ = ["DirtyClassifier", "RobustFeatureClassifier", "RobustLowRankClassifier", "SparseLowRankClassifier"]


class DirtyClassifier(LinearClassifier):
    r"""Logistic regression with features that serve all tasks and single weights that serve one.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \Omega(W)

    with the log-loss :math:`\ell`, see `skmtl.classification`, and the penalty :math:`\Omega` of `DirtyRegressor`. With
    more than two classes it sees each class of each task as a task of its own.

    For tasks that share most, but not all, of their features. The weights have two parts, P + Q, and each entry pays
    the cheaper way. Also known as the dirty model.

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
    structured_coef_ : array of the shape of `coef_`
        The part P, features of all tasks, of the weights.
    deviation_coef_ : array of the shape of `coef_`
        The part Q, weights of single tasks; the two sum to `coef_`.
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
    DirtyRegressor : The same belief about numbers; the formula of its penalty.
    JointFeatureClassifier : P alone.
    L1Classifier : Q alone.
    RobustFeatureClassifier : What deviates is whole tasks.

    References
    ----------
    Jalali, Ravikumar, Sanghavi, Ruan (2010), A dirty model for multi-task learning, *NIPS* 23, 964-972.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import DirtyClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 3))
    >>> W = np.array([[4.0, 0.0, 0.0], [4.0, 0.0, 0.0], [4.0, 4.0, 0.0], [4.0, 0.0, 0.0]])  # one weight of task 2 only
    >>> model = DirtyClassifier(alpha=0.15, alpha_sparse=0.1).fit(X, X @ W.T > 0)
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
        self.alpha_sparse = alpha_sparse
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

    _penalty = DirtyRegressor._penalty


class RobustLowRankClassifier(LinearClassifier):
    r"""Logistic regression in which tasks are mixtures of a few basis models, but for a few outlier tasks.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \Omega(W)

    with the log-loss :math:`\ell`, see `skmtl.classification`, and the penalty :math:`\Omega` of
    `RobustLowRankRegressor`. With more than two classes it sees the weights of all classes of a task as one long
    vector.

    A task that does not fit the common subspace pays for weights of its own and leaves the others alone. Also known as
    robust multi-task learning (RMTL).

    Parameters
    ----------
    alpha : float, default=0.01
        Strength on L, the part of low rank, >= 0.
    alpha_outlier : float, default=0.01
        Strength :math:`\alpha_o` on the deviations :math:`s_t` of whole tasks, >= 0.
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
    structured_coef_ : array of the shape of `coef_`
        The part L, of low rank, of the weights.
    deviation_coef_ : array of the shape of `coef_`
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
    RobustLowRankRegressor : The same belief about numbers; the formula of its penalty.
    TraceNormClassifier : L alone.
    RobustFeatureClassifier : Common features instead of a common subspace.
    SparseLowRankClassifier : What deviates is single weights.

    References
    ----------
    Chen, Zhou, Ye (2011), Integrating low-rank and group-sparse structures for robust multi-task learning, *KDD*,
    42-50.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import RobustLowRankClassifier
    >>> rng = np.random.default_rng(0)
    >>> W = np.ones((8, 1)) @ [[1.0, 2.0, 0.0, 1.0]]  # eight tasks, all alike
    >>> W[5] = [0.0, 0.0, 6.0, 0.0]  # but one
    >>> X = rng.normal(size=(300, 4))
    >>> model = RobustLowRankClassifier(alpha=0.2, alpha_outlier=0.1).fit(X, X @ W.T > 0)
    >>> model.outlier_tasks_
    array([5])
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        alpha_outlier=0.01,
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
        self.alpha_outlier = alpha_outlier
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

    _penalty = RobustLowRankRegressor._penalty


class RobustFeatureClassifier(LinearClassifier):
    r"""Logistic regression in which tasks use the same few features, but for a few outlier tasks.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \Omega(W)

    with the log-loss :math:`\ell`, see `skmtl.classification`, and the penalty :math:`\Omega` of
    `RobustFeatureRegressor`. With more than two classes it sees the weights of all classes of a task as one long
    vector.

    A task that needs other features pays for weights of its own and leaves the choice of the others alone. Also known
    as robust multi-task feature learning (rMTFL).

    Parameters
    ----------
    alpha : float, default=0.01
        Strength on P, the features of all tasks, >= 0.
    alpha_outlier : float, default=0.01
        Strength :math:`\alpha_o` on the deviations :math:`q_t` of whole tasks, >= 0.
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
    structured_coef_ : array of the shape of `coef_`
        The part P, features of all tasks, of the weights.
    deviation_coef_ : array of the shape of `coef_`
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
    RobustFeatureRegressor : The same belief about numbers; the formula of its penalty.
    JointFeatureClassifier : P alone.
    RobustLowRankClassifier : A common subspace instead of common features.
    DirtyClassifier : What deviates is single weights.

    References
    ----------
    Gong, Ye, Zhang (2012), Robust multi-task feature learning, *KDD*, 895-903.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import RobustFeatureClassifier
    >>> rng = np.random.default_rng(0)
    >>> W = np.zeros((8, 6))
    >>> W[:, :2] = [1.0, 2.0]  # eight tasks that use the first two features
    >>> W[5] = [0.0, 0.0, 2.0, 2.0, 2.0, 2.0]  # and one that does not
    >>> X = rng.normal(size=(300, 6))
    >>> model = RobustFeatureClassifier(alpha=0.1, alpha_outlier=0.1).fit(X, X @ W.T > 0)
    >>> model.outlier_tasks_
    array([5])
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        alpha_outlier=0.01,
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
        self.alpha_outlier = alpha_outlier
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

    _penalty = RobustFeatureRegressor._penalty


class SparseLowRankClassifier(LinearClassifier):
    r"""Logistic regression whose weights are those of a few basis models plus a few single ones.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \Omega(W)

    with the log-loss :math:`\ell`, see `skmtl.classification`, and the penalty :math:`\Omega` of
    `SparseLowRankRegressor`. With more than two classes it sees the weights of all classes of a task as one long
    vector.

    The low-rank part holds what tasks have in common, the sparse part the features that matter to one. Also known as
    incoherent sparse and low-rank learning.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength on P, single weights, >= 0.
    alpha_low_rank : float, default=0.01
        Strength :math:`\alpha_*` on Q, the part of low rank, >= 0.
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
    structured_coef_ : array of the shape of `coef_`
        The part P, single weights, of the weights.
    deviation_coef_ : array of the shape of `coef_`
        The part Q, of low rank; the two sum to `coef_`.
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
    SparseLowRankRegressor : The same belief about numbers; the formula of its penalty.
    L1Classifier : P alone.
    TraceNormClassifier : Q alone.
    RobustLowRankClassifier : What deviates is whole tasks.

    References
    ----------
    Chen, Liu, Ye (2010), Learning incoherent sparse and low-rank patterns from multiple tasks, *KDD*, 1179-1188.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import SparseLowRankClassifier
    >>> rng = np.random.default_rng(0)
    >>> W = np.ones((6, 1)) @ [[1.0, 1.0, 1.0, 1.0]]  # six tasks, all alike
    >>> W[2, 3] = -4.0  # but for one weight
    >>> X = rng.normal(size=(300, 4))
    >>> model = SparseLowRankClassifier(alpha=0.1, alpha_low_rank=0.15).fit(X, X @ W.T > 0)
    >>> np.argwhere(model.structured_coef_)
    array([[2, 3]])
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        alpha_low_rank=0.01,
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
        self.alpha_low_rank = alpha_low_rank
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

    _penalty = SparseLowRankRegressor._penalty
