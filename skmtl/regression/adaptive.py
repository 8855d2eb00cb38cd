"""Few features serve all tasks, and those that do are not shrunk."""

from skmtl.penalties import AdaptiveJointFeature
from skmtl.regression._base import LinearRegressor

__all__ = ["AdaptiveJointFeatureRegressor"]


class AdaptiveJointFeatureRegressor(LinearRegressor):
    r"""Linear regression in which all tasks use the same few features, without shrinking these.

    .. math:: \min_{W,b} \tfrac{1}{2} \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w_t - b_t)^2
              + \sum_j \rho(\|W_j\|_2) + \tfrac{\alpha_r}{2} \|W\|_F^2

    with :math:`W_j` the weights of feature j over all tasks and a concave :math:`\rho` that starts with the slope
    `alpha`, as in `JointFeatureRegressor`, and levels off ("sqrt" starts steeper):

    ===========  ==================================================================================================
    `penalty`    :math:`\rho'(r)`, the pull on a feature of length r
    ===========  ==================================================================================================
    "mcp"        :math:`\alpha - r / \gamma`, 0 from :math:`\gamma \alpha` on
    "scad"       :math:`\alpha` up to :math:`\alpha`, then :math:`(\gamma \alpha - r)/(\gamma - 1)`, 0 from
                 :math:`\gamma \alpha` on
    "capped_l1"  :math:`\alpha`, 0 from :math:`\gamma \alpha` on
    "sqrt"       :math:`\alpha / (2 \sqrt{r})`
    ===========  ==================================================================================================

    Features with long weights are estimated as if the others were known not to matter, and false features do not slip
    in because a small `alpha` was needed for that. Scale the features to unit variance first: `gamma` is measured in
    units of 1 / curvature of the loss, and the loss of a task of average size then has curvature 1. Also known as the
    group MCP or group SCAD, and as multi-stage multi-task feature learning ("capped_l1").

    The solver is a sequence of stages, each a `JointFeatureRegressor` with the slopes at the last solution as
    `feature_weights`, solved to a duality gap; the first is `JointFeatureRegressor` itself, and `alpha_max` is where it
    is zero; with "sqrt" the last stage may be zero below that, too. No stage raises the objective. The problem is
    nonconvex, and the result may be a local minimum.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0: the pull on a feature whose weights are near zero.
    penalty : {"mcp", "scad", "capped_l1", "sqrt"}, default="mcp"
        The shape :math:`\rho`.
    gamma : float, default=3.0
        Weights of length ``gamma * alpha`` and more are not pulled at all: > 1 for "mcp", > 2 for "scad", > 0 for
        "capped_l1"; "sqrt" does not use it. A large value is `JointFeatureRegressor`.
    alpha_ridge : float, default=0.0
        Strength :math:`\alpha_r` of a ridge term, >= 0.
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
    JointFeatureRegressor : The convex model, which shrinks all features alike.

    References
    ----------
    Gong, Ye, Zhang (2013), Multi-stage multi-task feature learning, *Journal of Machine Learning Research*
    14:2979-3010.

    Bertrand, Klopfenstein, Bannier, Gidel, Massias (2022), Beyond L1: faster and better sparse models with skglm,
    *NeurIPS*.

    Zhang (2010), Nearly unbiased variable selection under minimax concave penalty, *The Annals of Statistics*
    38:894-942.

    Fan, Li (2001), Variable selection via nonconcave penalized likelihood and its oracle properties, *Journal of the
    American Statistical Association* 96:1348-1360.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import AdaptiveJointFeatureRegressor
    >>> from skmtl.datasets import make_joint_features
    >>> data = make_joint_features(n_informative=3, n_features=50, n_samples=20, noise=0.3, random_state=0)
    >>> model = AdaptiveJointFeatureRegressor(alpha=0.6).fit(data.X, data.y, task=data.task)
    >>> np.flatnonzero(model.coef_.any(axis=0)), np.flatnonzero(data.support)
    (array([ 4, 34, 47]), array([ 4, 34, 47]))
    """

    def __init__(
        self,
        alpha=0.01,
        *,
        penalty="mcp",
        gamma=3.0,
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
        self.penalty = penalty
        self.gamma = gamma
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
        return AdaptiveJointFeature(self.alpha, self.penalty, self.gamma, self.alpha_ridge)
