"""Tasks share a weight vector: not at all, entirely, or up to a deviation of their own."""

from skmtl.classification._base import LinearClassifier
from skmtl.regression.pooling import IndependentRegressor, MeanRegularizedRegressor, PooledRegressor

__all__ = ["IndependentClassifier", "MeanRegularizedClassifier", "PooledClassifier"]


class IndependentClassifier(LinearClassifier):
    r"""Logistic regression of every task on its own: nothing is shared.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \Omega(W)

    with the log-loss :math:`\ell`, see `skmtl.classification`, and the penalty :math:`\Omega` of
    `IndependentRegressor`, a ridge term.

    One logistic regression per task, all with the same `alpha`. The baseline that multitask learning has to beat when
    tasks are large. Also known as single-task learning, no pooling.

    scikit-learn's ``LogisticRegression(C=C)`` on a task is this model with ``alpha = T / (C * N)``, N rows in all.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength of the ridge term, >= 0.
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
    IndependentRegressor : The same belief about numbers; the formula of its penalty.
    sklearn.linear_model.LogisticRegression : A single task.
    PooledClassifier : The opposite, one model for all tasks.
    MeanRegularizedClassifier : Between the two.

    References
    ----------
    Hoerl, Kennard (1970), *Technometrics* 12:55-67.

    Examples
    --------
    >>> from skmtl import IndependentClassifier
    >>> X = [["a", 0.0], ["a", 1.0], ["b", 0.0], ["b", 1.0]]
    >>> model = IndependentClassifier(alpha=0.1, task=0).fit(X, ["no", "yes", "yes", "no"])
    >>> model.predict([["a", 2.0], ["b", 2.0]])
    array(['yes', 'no'], dtype=object)
    """

    def __init__(
        self,
        alpha=0.01,
        *,
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

    _penalty = IndependentRegressor._penalty


class PooledClassifier(LinearClassifier):
    r"""Logistic regression that forgets the tasks: one weight vector for all.

    .. math:: \min_{w,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w + b_t) + \tfrac{\alpha}{2} \|w\|_2^2

    with the log-loss :math:`\ell`, see `skmtl.classification`, and one intercept, :math:`b_t = b`, unless
    `task_intercepts`. The baseline that multitask learning has to beat when tasks are small; most of what is lost
    against a multitask model is often won back by an intercept per task alone, so look at both. Also known as complete
    pooling.

    scikit-learn's ``LogisticRegression(C=C)`` on all N rows is this model with ``alpha = T / (C * N)``.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength of the ridge term, >= 0.
    task_intercepts : bool, default=False
        Whether every task has an intercept of its own.
    class_weight : dict, "balanced" or None, default=None
        What a label counts: ``{label: weight}``, 1 where it names none; "balanced", so that all classes of a task have
        the same sum of weights and the task what it had; or one of these a task, ``{task: {label: weight}}``.
    fit_intercept : bool, default=True
        Whether to fit an intercept for every task (`task_intercepts`) or for all.
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
        The weights for a task never seen: those of all tasks.
    shared_intercept_ : float or array of shape (n_classes,)
        Its intercept: theirs, or its mean over the tasks with weight.
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
    PooledRegressor : The same for numbers.
    sklearn.linear_model.LogisticRegression : A single task.
    IndependentClassifier : The opposite, one model per task.
    MeanRegularizedClassifier : Between the two; a large `alpha` there is this model with task intercepts.

    References
    ----------
    Gelman, Hill (2007), *Data Analysis Using Regression and Multilevel/Hierarchical Models*, chapter 12.

    Examples
    --------
    >>> from skmtl import PooledClassifier
    >>> X = [["a", 0.0], ["a", 1.0], ["b", 0.0], ["b", 1.0]]
    >>> model = PooledClassifier(alpha=0.1, task_intercepts=True, task=0).fit(X, [False, True, True, True])
    >>> model.predict([["a", 0.0], ["b", 0.0]])
    array([False,  True])
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        task_intercepts=False,
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
        self.task_intercepts = task_intercepts
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

    _penalty = PooledRegressor._penalty


class MeanRegularizedClassifier(LinearClassifier):
    r"""Logistic regression in which tasks are variations of one: shared weights plus a deviation for each task.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \Omega(W)

    with the log-loss :math:`\ell`, see `skmtl.classification`, and the penalty :math:`\Omega` of
    `MeanRegularizedRegressor`. With more than two classes it sees the weights of all classes of a task as one long
    vector.

    Between `IndependentClassifier` (`alpha` = 0) and `PooledClassifier` with task intercepts (`alpha` large): tasks
    with many rows keep their own weights, tasks with few rows borrow the shared ones. Also known as regularised
    multitask learning; in its first form with the hinge loss, as the multi-task support vector machine.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength on the deviations :math:`v_t`, >= 0.
    alpha_shared : float, default=1.0
        Strength :math:`\alpha_0` on the shared weights, >= 0.
    alpha_intercept : float, default=0.0
        Strength :math:`\alpha_b` on the deviations of the intercepts from a free :math:`b_0`, >= 0. 0 leaves every
        intercept free; a large value makes them one. With it the origin of X matters: centre the features first.
    alpha_l1 : float, default=0.0
        Strength :math:`\alpha_1` of :math:`\|W\|_1`, the weights :math:`w_t = w_0 + v_t`, >= 0; more than 0 makes some
        of them zero, and the solver an iterative one.
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
        The weights for a task never seen: :math:`w_0`.
    shared_intercept_ : float or array of shape (n_classes,)
        Its intercept: :math:`b_0`, the mean over the tasks with weight when intercepts are free.
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
    MeanRegularizedRegressor : The same belief about numbers; the formula of its penalty.
    TaskGraphClassifier : Tasks are alike only along the edges of a graph.
    PooledClassifier, IndependentClassifier : The two ends of the scale.

    References
    ----------
    Evgeniou, Pontil (2004), Regularized multi-task learning, *KDD*, 109-117.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MeanRegularizedClassifier
    >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])  # one X for two tasks, the columns of Y; the second has one label
    >>> Y = np.array([[0.0, np.nan], [0.0, np.nan], [1.0, np.nan], [1.0, 1.0]])
    >>> model = MeanRegularizedClassifier(alpha=0.1, alpha_shared=0.01).fit(X, Y)
    >>> model.predict_proba(X).shape, bool((model.coef_ > 0).all())
    ((4, 2), True)
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        alpha_shared=1.0,
        alpha_intercept=0.0,
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
        self.alpha_shared = alpha_shared
        self.alpha_intercept = alpha_intercept
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

    _penalty = MeanRegularizedRegressor._penalty
