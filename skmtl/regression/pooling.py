"""Tasks share a weight vector: not at all, entirely, or up to a deviation of their own."""

from skmtl.penalties import Pooled, Ridge, SharedPlusSpecific
from skmtl.regression._base import LinearRegressor

__all__ = ["IndependentRegressor", "MeanRegularizedRegressor", "PooledRegressor"]


class IndependentRegressor(LinearRegressor):
    r"""Linear regression of every task on its own: nothing is shared.

    .. math:: \min_{W,b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w_t - b_t)^2 + \tfrac{\alpha}{2} \|W\|_F^2

    One ridge regression per task, all with the same `alpha`. The baseline that multitask learning has to beat when
    tasks are large. Also known as single-task learning, no pooling.

    scikit-learn's ``Ridge(alpha=a)`` on a task of n rows is this model with ``alpha = a * T / N``, N rows in all.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength of the ridge term, >= 0.
    fit_intercept : bool, default=True
        Whether to fit an intercept for every task.
    task_weight : {"samples", "tasks", "auto"} or dict, default="samples"
        The factor :math:`c_t` of each task's loss. "samples": every observation counts the same, T / N. "tasks": every
        task counts the same, 1 / N_t. "auto": in proportion to 1 / (length of the task's gradient at zero weights). A
        dict ``{task: factor}`` multiplies "samples".
    max_iter : int, default=1000
        Most iterations of solvers that iterate; this one needs none.
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
        How exactly its normal equations A x = b hold: ``|A x - b| / (|A| |x| + |b|)``; not after
        steps on the rows (see `tol`).
    n_iter_ : int
        1 where the solution is direct.
    n_features_in_ : int
        Columns of X, the task column included.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Their names, if X had any.

    See Also
    --------
    PooledRegressor : The opposite, one model for all tasks.
    MeanRegularizedRegressor : Between the two.

    References
    ----------
    Hoerl, Kennard (1970), *Technometrics* 12:55-67.

    Examples
    --------
    >>> from skmtl import IndependentRegressor
    >>> X = [["a", 0.0], ["a", 1.0], ["b", 0.0], ["b", 1.0]]
    >>> model = IndependentRegressor(alpha=0, task=0).fit(X, [1.0, 2.0, 5.0, 3.0])
    >>> model.coef_.ravel().round(6)
    array([ 1., -2.])
    >>> model.predict([["b", 2.0]]).round(6)
    array([1.])
    """

    def __init__(
        self,
        alpha=0.01,
        *,
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
        return Ridge(self.alpha)


class PooledRegressor(LinearRegressor):
    r"""Linear regression that forgets the tasks: one weight vector for all.

    .. math:: \min_{w,b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w - b_t)^2 + \tfrac{\alpha}{2} \|w\|_2^2

    with one intercept, :math:`b_t = b`, unless `task_intercepts`. The baseline that multitask learning has to beat when
    tasks are small; most of what is lost against a multitask model is often won back by an intercept per task alone, so
    look at both. Also known as complete pooling; with task intercepts, as the fixed-effects ("within") model.

    scikit-learn's ``Ridge(alpha=a)`` on all N rows is this model with ``alpha = a * T / N``.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength of the ridge term, >= 0.
    task_intercepts : bool, default=False
        Whether every task has an intercept of its own.
    fit_intercept : bool, default=True
        Whether to fit an intercept for every task (`task_intercepts`) or for all.
    task_weight : {"samples", "tasks", "auto"} or dict, default="samples"
        The factor :math:`c_t` of each task's loss. "samples": every observation counts the same, T / N. "tasks": every
        task counts the same, 1 / N_t. "auto": in proportion to 1 / (length of the task's gradient at zero weights). A
        dict ``{task: factor}`` multiplies "samples".
    max_iter : int, default=1000
        Most iterations of solvers that iterate; this one needs none.
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
        The weights for a task never seen: those of all tasks.
    shared_intercept_ : float
        Its intercept: theirs, or its mean over the tasks with weight.
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
        How exactly its normal equations A x = b hold: ``|A x - b| / (|A| |x| + |b|)``; not after
        steps on the rows (see `tol`).
    n_iter_ : int
        1 where the solution is direct.
    n_features_in_ : int
        Columns of X, the task column included.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Their names, if X had any.

    See Also
    --------
    IndependentRegressor : The opposite, one model per task.
    MeanRegularizedRegressor : Between the two; a large `alpha` there is this model with task intercepts.

    References
    ----------
    Gelman, Hill (2007), *Data Analysis Using Regression and Multilevel/Hierarchical Models*, chapter 12.

    Examples
    --------
    >>> from skmtl import PooledRegressor
    >>> X = [["a", 0.0], ["a", 1.0], ["b", 0.0], ["b", 1.0]]
    >>> model = PooledRegressor(alpha=0, task_intercepts=True, task=0).fit(X, [1.0, 2.0, 5.0, 6.0])
    >>> model.coef_.ravel().round(6), model.intercept_.round(6)
    (array([1., 1.]), array([1., 5.]))
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        task_intercepts=False,
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
        return Pooled(self.alpha, self.task_intercepts)


class MeanRegularizedRegressor(LinearRegressor):
    r"""Linear regression in which tasks are variations of one: shared weights plus a deviation for each task.

    .. math:: \min_{w_0, V, b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' (w_0 + v_t) - b_t)^2
              + \tfrac{\alpha_0}{2} \|w_0\|_2^2 + \tfrac{\alpha}{2} \sum_t \|v_t\|_2^2
              + \tfrac{\alpha_b}{2} \sum_t (b_t - b_0)^2 + \alpha_1 \|W\|_1

    Between `IndependentRegressor` (`alpha` = 0) and `PooledRegressor` with task intercepts (`alpha` large): tasks with
    many rows keep their own weights, tasks with few rows borrow the shared ones. Also known as regularised multitask
    learning; it is the ridge view of partial pooling, a mixed model with random slopes of equal variance.

    Tune `alpha` and `alpha_shared` together: a tiny `alpha_shared` overfits :math:`w_0` where tasks share X and there
    are about as many features as rows; one that is large beside ``n_tasks * alpha``, as the default is with fewer than
    a hundred tasks, leaves :math:`w_0` near zero, and with it the model of a task never seen.

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
    fit_intercept : bool, default=True
        Whether to fit an intercept for every task.
    task_weight : {"samples", "tasks", "auto"} or dict, default="samples"
        The factor :math:`c_t` of each task's loss. "samples": every observation counts the same, T / N. "tasks": every
        task counts the same, 1 / N_t. "auto": in proportion to 1 / (length of the task's gradient at zero weights). A
        dict ``{task: factor}`` multiplies "samples".
    max_iter : int, default=1000
        Most iterations of solvers that iterate, as with `alpha_l1`.
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
        The weights for a task never seen: :math:`w_0`.
    shared_intercept_ : float
        Its intercept: :math:`b_0`, the mean over the tasks with weight when intercepts are free.
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
        1 where the solution is direct; else iterations of the solver.
    n_features_in_ : int
        Columns of X, the task column included.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Their names, if X had any.

    See Also
    --------
    TaskGraphRegressor : Tasks are alike only along the edges of a graph.
    PooledRegressor, IndependentRegressor : The two ends of the scale.

    References
    ----------
    Evgeniou, Pontil (2004), Regularized multi-task learning, *KDD*, 109-117.

    Examples
    --------
    >>> from skmtl import MeanRegularizedRegressor
    >>> from skmtl.datasets import make_related_tasks
    >>> data = make_related_tasks(n_tasks=30, n_samples=15, n_features=5, random_state=0)
    >>> model = MeanRegularizedRegressor(alpha=1.0, alpha_shared=0.1).fit(data.X, data.y, task=data.task)
    >>> model.coef_.shape, model.shared_coef_.shape
    ((30, 5), (5,))
    >>> model.set_params(unknown_task="shared").predict(data.X[:2], task=["new", "new"]).shape
    (2,)
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        alpha_shared=1.0,
        alpha_intercept=0.0,
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
        self.alpha_shared = alpha_shared
        self.alpha_intercept = alpha_intercept
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
        return SharedPlusSpecific(self.alpha, self.alpha_shared, self.alpha_intercept, self.alpha_l1)
