"""The tasks' weights span few directions: the rank is given."""

from skmtl.penalties import ReducedRank
from skmtl.regression._base import LinearRegressor

__all__ = ["ReducedRankRegressor"]


class ReducedRankRegressor(LinearRegressor):
    r"""Linear regression in which the tasks' weights span at most `rank` directions.

    .. math:: \min_{W,b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w_t - b_t)^2
              + \tfrac{\alpha_r}{2} \|W\|_F^2 \quad \text{subject to } \operatorname{rank}(W) \le r

    All tasks see the features through the same r combinations of them, and weigh these in their own way. What is kept
    is not shrunk, as `TraceNormRegressor` would do; in exchange r has to be chosen. From min(n_tasks, n_features) on it
    is `IndependentRegressor` with ``alpha=alpha_ridge``. Also known as reduced-rank regression, with a ridge term
    reduced-rank ridge regression.

    With one X for all tasks and complete labels the solution is a closed form. Otherwise the best weights for given
    combinations and the best combinations for given weights, both exact, take turns from several starts, the same in
    every fit; the problem is nonconvex, and the result may be a local minimum. With fewer rows than features in most
    tasks some `alpha_ridge` is needed for the minimum to exist. There is no `alpha`: `path` varies `alpha_ridge`.

    Parameters
    ----------
    rank : int, default=1
        The largest rank r, >= 1.
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
        best intercepts; nonconvex ones stop when a step changes `coef_` by at most this share.
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
    rank_ : int
        The rank of `coef_`: the number of its singular values that are not zero.
    feature_importances_ : array of shape (`n_features_in_`,)
        Length of each feature's weights over tasks; the task column has their sum + 1.
    tasks_ : array of shape (n_tasks,)
        The task ids, in the order of the rows of `coef_`.
    penalty_ : Penalty
        The penalty of the fit.
    objective_ : float
        The value of the objective above.
    residual_ : float
        Relative change of `coef_` in the last step; in the closed form, in the step that would follow.
    n_iter_ : int
        Steps from the best of the starts; 1 where the solution is a closed form.
    n_features_in_ : int
        Columns of X, the task column included.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Their names, if X had any.

    See Also
    --------
    TraceNormRegressor : Low rank as a convex penalty, which also shrinks.
    LatentBasisRegressor : Every task mixes a few of the directions only.
    SharedSubspaceRegressor : Near a subspace, not in it.

    References
    ----------
    Izenman (1975), Reduced-rank regression for the multivariate linear model, *Journal of Multivariate Analysis*
    5:248-264.

    Mukherjee, Zhu (2011), Reduced rank ridge regression and its kernel extensions, *Statistical Analysis and Data
    Mining* 4:612-622.

    Examples
    --------
    >>> from skmtl import ReducedRankRegressor
    >>> from skmtl.datasets import make_low_rank_tasks
    >>> data = make_low_rank_tasks(rank=2, n_tasks=20, n_features=10, noise=0.3, random_state=0)
    >>> model = ReducedRankRegressor(rank=2).fit(data.X, data.y, task=data.task)
    >>> model.coef_.shape, model.rank_
    ((20, 10), 2)
    """

    def __init__(
        self,
        rank=1,
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
        self.rank = rank
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
        return ReducedRank(self.rank, self.alpha_ridge)
