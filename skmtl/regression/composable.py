"""The regressor that takes its penalty as an object."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmtl.losses import Squared
from skmtl.penalties import SharedPlusSpecific
from skmtl.regression._base import LinearRegressor
from skmtl.regression._losses import explained, losses_of, means_of
from skmtl.tasks import check_labels, refuse_missing, refuse_other_order

__all__ = ["MultiTaskRegressor"]


class MultiTaskRegressor(LinearRegressor):
    r"""Linear regression with the penalty and the loss of your choice.

    .. math:: \min_{W,b} \sum_t c_t \sum_i s_{ti} \, \ell_t(y_{ti}, \, x_i' w_t + b_t) + \Omega(W)

    The named regressors are this one with a penalty filled in: ``MeanRegularizedRegressor(alpha=a)`` is
    ``MultiTaskRegressor(SharedPlusSpecific(alpha=a))``. Use it to compare beliefs in one grid, ``{"penalty": [Ridge(),
    SharedPlusSpecific()], "penalty__alpha": [0.1, 1.0]}``, or to hold several at once, as a sum: ``TraceNorm(1.0) +
    L1(0.1)``. A fit also has what the penalty's own regressor publishes, such as `rank_`.

    Parameters
    ----------
    penalty : Penalty or None, default=None
        The belief :math:`\Omega` with its own strengths, see `skmtl.penalties`. None is ``SharedPlusSpecific()``; its
        ``penalty__alpha`` can be set only once a penalty object is given.
    loss : {"squared", "logistic", "poisson", "huber"}, Loss or dict, default="squared"
        :math:`\ell`, the price of a wrong prediction, see `skmtl.losses`; ``Huber(delta=2.0)`` is one with a parameter.
        A dict ``{task: loss}`` gives every task its own, so that prices, sales and visits can share one penalty. It
        names a task without rows, a node of a graph, only to have predictions for it.
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
        The weights for a task never seen: the penalty's, or the mean over the tasks with weight.
    shared_intercept_ : float
        Its intercept: likewise.
    specific_coef_ : array of shape (n_tasks, n_features)
        ``coef_ - shared_coef_``.
    feature_importances_ : array of shape (`n_features_in_`,)
        Length of each feature's weights over tasks; the task column has their sum + 1.
    tasks_ : array of shape (n_tasks,)
        The task ids, in the order of the rows of `coef_`.
    penalty_ : Penalty
        The penalty of the fit.
    losses_ : list of Loss
        The loss of every task; None for a task without rows that `loss` does not name, if those of the others differ.
    objective_ : float
        The value of the objective above.
    dual_gap_ : float
        How far `objective_` is above its minimum, at most; in the same units.
    residual_ : float
        How exactly the normal equations A x = b hold: ``|A x - b| / (|A| |x| + |b|)``; of
        quadratic penalties only, and not after steps on the rows (see `tol`).
    n_iter_ : int
        Iterations of the solver; 1 where the solution is direct.
    n_features_in_ : int
        Columns of X, the task column included.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Their names, if X had any.

    See Also
    --------
    skmtl.penalties : The penalties.

    Examples
    --------
    >>> from skmtl import MultiTaskRegressor
    >>> from skmtl.penalties import SharedPlusSpecific
    >>> X = [["a", 0.0], ["a", 1.0], ["b", 0.0], ["b", 1.0]]
    >>> model = MultiTaskRegressor(SharedPlusSpecific(alpha=1.0), task=0).fit(X, [1.0, 2.0, 5.0, 6.0])
    >>> model.set_params(penalty__alpha=10.0).penalty
    SharedPlusSpecific(alpha=10.0)

    Prices, sales and visits of the same rows, each with its own loss:

    >>> X, Y = [[0.0], [1.0], [2.0], [3.0]], [[1.0, 0, 1], [2.0, 1, 0], [3.5, 0, 4], [4.0, 1, 9]]
    >>> mixed = MultiTaskRegressor(loss={0: "squared", 1: "logistic", 2: "poisson"}).fit(X, Y)
    >>> mixed.predict([[4.0]]).shape
    (1, 3)
    """

    def __init__(
        self,
        penalty=None,
        *,
        loss="squared",
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
        self.penalty = penalty
        self.loss = loss
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
        return SharedPlusSpecific() if self.penalty is None else self.penalty

    def _losses(self, data):
        self.losses_ = losses_of(self.loss, data)
        known = next(filter(None, self.losses_))
        return [loss or known for loss in self.losses_]  # that of a task without rows multiplies nothing

    def predict(self, X, *, task=None):
        """Predict the expected targets of the rows.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            With the task column, if `fit` had one.
        task : array-like of shape (n_samples,), default=None
            Task ids, if `fit` got them.

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_tasks) if y had one column per task
            In units of each task's y: the mean of a count, the probability of a label 1.

        Raises
        ------
        ValueError
            For a task that was not in `fit`, also with ``unknown_task="shared"`` if the tasks' losses differ: nobody
            knows what such a task would count.
        """
        eta, codes = self._decision_and_tasks(X, task)
        return means_of(self.losses_, eta, codes, self.tasks_)

    def score(self, X, y, sample_weight=None, *, task=None):
        r"""Share of the loss that the model explains, :math:`D^2`; for the squared loss :math:`R^2`.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            With one column per task the mean over tasks, each on its labelled rows, as in `task_scores`; likewise where
            tasks differ in their losses.
        sample_weight : array-like of shape (n_samples,) or, with a 2-D y, (n_samples, n_tasks), default=None
        task : array-like of shape (n_samples,), default=None
            Task ids, if `fit` got them.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        alike = len(set(map(repr, self.losses_))) == 1
        if alike and isinstance(self.losses_[0], Squared):
            return super().score(X, y, sample_weight, task=task)
        if self._source == "outputs" or not alike:
            scores = self.task_scores(X, y, sample_weight, task=task)
            known = [score for score in scores.values() if np.isfinite(score)]
            return float(np.mean(known)) if known else np.nan
        y, weight, eta, _ = self._scored(X, y, sample_weight, task)
        return float(explained(self.losses_[0], y, eta, weight))

    def task_scores(self, X, y, sample_weight=None, *, task=None):
        """The score of every task by itself.

        Parameters
        ----------
        X, y, sample_weight, task
            As in `score`.

        Returns
        -------
        dict
            Task id to :math:`D^2`, each by the task's own loss, for the tasks with rows; NaN where no constant can be
            compared with, as for labels that are all alike.
        """
        y, weight, eta, codes = self._scored(X, y, sample_weight, task)
        scores = {}
        for t, (name, loss) in enumerate(zip(self.tasks_.tolist(), self.losses_, strict=True)):
            rows = codes == t
            if rows.any():
                scores[name] = float(explained(loss, y[rows], eta[rows], weight[rows]))
        return scores

    def _scored(self, X, y, sample_weight, task):
        """Labels, weights, eta and the position of the task of everything that is labelled, each 1-D."""
        from skmtl._scores import Scored

        eta, codes = self._decision_and_tasks(X, task)
        refuse_other_order(y, self.tasks_)
        y = check_labels(y)
        if y.ndim == 1:
            refuse_missing(y)
            y = y[:, None] if eta.shape[1:] == (1,) else y
        if y.shape[1:] != eta.shape[1:] and self._source == "outputs":
            raise ValueError(f"y must have one column per task, {len(self.tasks_)} as in fit. Got shape {y.shape}.")
        scored = Scored.of(y, eta, codes, sample_weight)
        weight = np.ones(len(scored.y)) if scored.weight is None else scored.weight
        return scored.y, weight, scored.pred, scored.tasks[scored.codes]
