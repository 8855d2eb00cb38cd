"""Every task mixes a few of some basis tasks."""

from skmtl.penalties import LatentBasis
from skmtl.regression._base import LinearRegressor

__all__ = ["LatentBasisRegressor"]


class LatentBasisRegressor(LinearRegressor):
    r"""Linear regression in which every task mixes a few of k basis tasks: groups of tasks that may overlap.

    .. math:: \min_{B,S,b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w_t - b_t)^2
              + \alpha \|S\|_1 + \tfrac{\alpha_r}{2} \|B\|_F^2, \qquad W = B S

    with a column of B for each basis task and a column :math:`s_t` of loadings for each task. Tasks that load on the
    same basis tasks form a group; two groups overlap where a basis task serves both. Also known as GO-MTL, grouping and
    overlap in multi-task learning.

    Stretching B and shrinking S costs one term what it saves the other, so that only :math:`\alpha^2 \alpha_r` matters
    for W: tune one of the two. If either is 0 the other has no effect, and W is that of `ReducedRankRegressor`.

    The problem is nonconvex, more so than any other here: the result is a local minimum, and how tasks group may depend
    on which. Exact steps in S (a lasso for each task) and in B (one linear system) take turns from several starts, the
    same in every fit, and the best is kept.

    Parameters
    ----------
    n_components : int, default=2
        Number k of basis tasks, >= 1. Some may end as zeros.
    alpha : float, default=0.01
        Strength on the loadings, >= 0.
    alpha_ridge : float, default=0.01
        Strength :math:`\alpha_r` of the ridge term on the basis tasks, >= 0.
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
    components_ : array of shape (n_components, n_features)
        The basis tasks, those with the largest loadings first.
    task_loadings_ : array of shape (n_tasks, n_components)
        How much of each a task mixes: ``coef_ = task_loadings_ @ components_``.
    feature_importances_ : array of shape (`n_features_in_`,)
        Length of each feature's weights over tasks; the task column has their sum + 1.
    tasks_ : array of shape (n_tasks,)
        The task ids, in the order of the rows of `coef_`.
    penalty_ : Penalty
        The penalty of the fit.
    objective_ : float
        The value of the objective above.
    residual_ : float
        Relative change of `coef_` in the last step.
    n_iter_ : int
        Steps from the best of the starts.
    n_features_in_ : int
        Columns of X, the task column included.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Their names, if X had any.

    See Also
    --------
    ReducedRankRegressor : Mixtures of all basis tasks.
    ClusteredRegressor : Groups that do not overlap, as a convex penalty.

    References
    ----------
    Kumar, Daume (2012), Learning task grouping and overlap in multi-task learning, *ICML*, 1723-1730.

    Examples
    --------
    >>> from skmtl import LatentBasisRegressor
    >>> from skmtl.datasets import make_clustered_tasks
    >>> data = make_clustered_tasks(n_clusters=2, n_tasks=10, n_samples=30, noise=0.3, random_state=0)
    >>> model = LatentBasisRegressor(n_components=2, alpha=0.1, alpha_ridge=0.1).fit(data.X, data.y, task=data.task)
    >>> group = abs(model.task_loadings_).argmax(axis=1)
    >>> len({*zip(group.tolist(), data.cluster_labels.tolist())})
    2
    """

    def __init__(
        self,
        n_components=2,
        *,
        alpha=0.01,
        alpha_ridge=0.01,
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
        self.n_components = n_components
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
        return LatentBasis(self.n_components, self.alpha, self.alpha_ridge)
