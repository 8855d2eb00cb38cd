"""The tasks' weights span few directions: the rank is given."""

from skmtl.classification._base import LinearClassifier
from skmtl.regression.reduced_rank import ReducedRankRegressor

__all__ = ["ReducedRankClassifier"]


class ReducedRankClassifier(LinearClassifier):
    r"""Logistic regression in which the tasks' weights span at most `rank` directions.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t) + \tfrac{\alpha_r}{2} \|W\|_F^2
              \quad \text{subject to } \operatorname{rank}(W) \le r

    with the log-loss :math:`\ell`, see `skmtl.classification`. All tasks see the features through the same r
    combinations of them, and weigh these in their own way. What is kept is not shrunk, as `TraceNormClassifier` would
    do; in exchange r has to be chosen. With more than two classes each class of each task is a column of W: of a single
    task it is the stereotype model. From min(n_tasks, n_features) on it is `IndependentClassifier` with
    ``alpha=alpha_ridge``. Also known as reduced-rank vector generalised linear model, RR-VGLM.

    The problem is nonconvex, and the result may be a local minimum. The losses are replaced by parabolas that touch
    them, for which the best weights for given combinations and the best combinations for given weights are exact; these
    steps take turns from several starts, the same in every fit, and none raises the objective. Where the features tell
    the classes of a task apart some `alpha_ridge` is needed for the minimum to exist. There is no `alpha`: `path`
    varies `alpha_ridge`.

    Parameters
    ----------
    rank : int, default=1
        The largest rank r, >= 1.
    alpha_ridge : float, default=0.01
        Strength :math:`\alpha_r` of the ridge term, >= 0. With 0 the weights of classes that the features tell apart
        grow without end, and the fit warns.
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
    rank_ : int
        The rank of `coef_`, a row for each class of each task: the number of its singular values that are not zero.
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
    ReducedRankRegressor : The same belief about numbers.
    TraceNormClassifier : Low rank as a convex penalty, which also shrinks.
    LatentBasisClassifier : Every task mixes a few of the directions only.
    SharedSubspaceClassifier : Near a subspace, not in it.

    References
    ----------
    Yee, Hastie (2003), Reduced-rank vector generalized linear models, *Statistical Modelling* 3:15-41.

    Anderson (1984), Regression and ordered categorical variables, *Journal of the Royal Statistical Society B* 46:1-30.

    Examples
    --------
    >>> from skmtl import ReducedRankClassifier
    >>> from skmtl.datasets import make_low_rank_tasks
    >>> data = make_low_rank_tasks(rank=2, n_tasks=20, n_features=10, noise=1.0, random_state=0)
    >>> model = ReducedRankClassifier(rank=2, alpha_ridge=0.01).fit(data.X, data.y > 0, task=data.task)
    >>> model.coef_.shape, model.rank_
    ((20, 10), 2)
    """

    def __init__(
        self,
        rank=1,
        *,
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
        self.rank = rank
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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # one direction, the default, cannot tell any three classes apart
        return tags

    _penalty = ReducedRankRegressor._penalty
