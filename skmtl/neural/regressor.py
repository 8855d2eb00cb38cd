"""The network for numbers: one trunk, a linear head for every task."""

from collections.abc import Mapping

import numpy as np

from skmtl.base import MultiTaskRegressorMixin
from skmtl.neural._base import BaseNetwork
from skmtl.neural._fitted import collect
from skmtl.neural._heads import Head

__all__ = ["MultiTaskMLPRegressor"]


class MultiTaskMLPRegressor(MultiTaskRegressorMixin, BaseNetwork):
    r"""Neural network with hidden layers that all tasks share, for numbers.

    .. math:: \min_\theta \; \sum_t \frac{w_t}{N_t} \sum_i s_{ti}\, \ell\big(f_t(x_i; \theta), y_{ti}\big)
              + \frac{\alpha}{2n} \|W\|^2

    with a row's weight s, their sum N_t for a task, and n the mean of these: every task's mean loss counts alike,
    however many rows it has, unless `task_weight` says otherwise. Trained in batches; labels are standardised inside.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of the hidden layers of the trunk.
    loss : {'squared', 'huber', 'poisson'}, default='squared'
        'poisson' is for counts: the network gives the logarithm of their mean.
    delta : float, default=1.35
        Where Huber's loss turns linear, in standard deviations of the task's labels.
    standardize_y : bool, default=True
        Whether every task's labels are standardised for training, for Poisson divided by their mean; predictions are in
        units of y.
    private_layer_sizes : int or sequence of int, default=()
        Units of the hidden layers that every task has for itself, behind the trunk.
    sharing : {'shared', 'private', 'soft'}, default='shared'
        One trunk for all tasks; one for each; or one for each, pulled to their mean.
    alpha_soft : float, default=0.01
        Strength s of the pull, :math:`\frac{s}{2} \sum_t \|\theta_t - \bar\theta\|^2`, with ``sharing='soft'``.
    features : dict {task: list of columns}, default=None
        The columns of X that a task reads, by name or by position among the features: the first layer has weights for
        every task, all lead into the same hidden units.
    activation : {'identity', 'logistic', 'tanh', 'relu'}, default='relu'
    solver : {'adam', 'adamw', 'sgd', 'lbfgs'}, default='adam'
        'adamw' decays weights by ``learning_rate * alpha`` beside Adam's step; 'lbfgs' uses all rows at once,
        without dropout or max_norm, and with task weights that are fixed.
    alpha : float, default=0.0001
        Strength of the squared weights, :math:`\frac{\alpha}{2n} \|W\|^2`; biases are free. n are the rows in a batch
        that have a label of a task, on average over tasks: all of them if every row has a label of every task.
    dropout : float, default=0.0
        Share of hidden units that are zero in a step, in [0, 1).
    max_norm : float, default=None
        The greatest length of the weights into a hidden unit.
    batch_size : int, default='auto'
        Rows in a step; 'auto' is min(200, n_samples).
    learning_rate : {'constant', 'cosine', 'plateau'}, default='constant'
        'cosine' falls to zero over `max_iter` epochs; 'plateau' is divided by 5 instead of stopping, down to 1e-6.
    learning_rate_init : float, default=0.001
    max_iter : int, default=200
        Epochs at most; iterations of 'lbfgs'.
    tol : float, default=1e-4
        Training stops when the loss, or with `early_stopping` every task's score, has not improved by `tol` for
        `n_iter_no_change` epochs. 0 with ``n_iter_no_change=max_iter``: always `max_iter` epochs. 'lbfgs' stops when no
        slope of the objective is larger than `tol`.
    n_iter_no_change : int, default=10
    shuffle : bool, default=True
        Whether rows come in another order in every epoch. Without it rows with task ids come task by task, so that a
        batch holds one task or a few.
    task_weight : str or dict {task: float}, default='equal'
        How the mean losses of tasks are weighed. Fixed weights: 'equal'; 'samples', in proportion to a task's rows; or
        a dict, 1 for tasks that it does not name. Weights that change as training goes on: 'uncertainty', 'dwa',
        'geometric', 'stch' by losses; 'random'; 'priority' by validation scores; 'gradnorm', 'pcgrad', 'upgrad',
        'cagrad', 'imtl', 'mgda' by the gradients of what tasks share. Those of 'imtl' may be negative. The guide has
        the formulas.
    temperature : float, default=1.0
        Where a row belongs to one task: rows are drawn from tasks with probability proportional to
        :math:`n_t^{\mathrm{temperature}}`. 1: every row once an epoch; 0: tasks alike. The objective stays the same.
    momentum : float, default=0.9
        Of 'sgd'.
    nesterovs_momentum : bool, default=True
    beta_1, beta_2, epsilon : float, default=0.9, 0.999, 1e-8
        Of Adam.
    early_stopping : bool, default=False
        Stop when no task's validation score improves any more, and go back to the weights with the best mean score.
    validation_fraction : float, default=0.1
        Share of every task's rows that is set apart for that, and for ``task_weight='priority'``. Of tasks with too few
        rows, only some give one.
    metrics : callable or dict {task: callable}, default=None
        Scores for validation, ``metric(y_true, y_pred)`` of labels, greater is better. None: R2, accuracy or explained
        deviance.
    n_init : int, default=1
        How many fits, from different weights; the best is kept: by validation score, else by training loss.
    ensemble : bool, default=False
        Keep all `n_init` fits; predictions come from the mean of their outputs.
    callbacks : callable or list of callables, default=None
        Called after every epoch with an :class:`~skmtl.neural.Epoch`; True ends training.
    progress : bool, default=False
        Show a progress bar; needs tqdm.
    random_state : int, RandomState instance or None, default=None
        Of initial weights, order of rows, dropout. An int gives the same weights whatever `n_jobs`.
    warm_start : bool, default=False
        Whether `fit` goes on where the last one ended, Adam's moments included, its labels scaled as then; if the
        network or a loss is another one, it starts anew. As many networks go on as there are, in `partial_fit`, too: a
        larger `n_init`, or an `ensemble` asked for later, adds none.
    n_jobs : int, default=None
        Threads for the `n_init` fits.
    verbose : int, default=0
        Whether to print a line for every epoch.
    task : str or int, default=None
        Name or position of the column of X with the task ids.
    unknown_task : {'error', 'shared'}, default='error'
        What `predict` does with rows of a task that was not in `fit`; 'shared' is the mean over tasks of their outputs.

    Attributes
    ----------
    tasks_ : array of shape (n_tasks,)
        Task ids, sorted; names or positions of y's columns.
    coefs_, intercepts_ : lists of arrays
        Views, layer by layer; see their own pages. Writing into them changes the network.
    n_iter_ : int
        Epochs.
    loss_ : float
        The objective of the last epoch, the mean over its batches, penalties included.
    objective_curve_ : array of shape (`n_iter_`,)
    loss_curve_, task_weights_curve_ : dict {task: array of shape (`n_iter_`,)}
        The mean loss of every task in every epoch, of standardised labels, and what multiplied it.
    validation_scores_ : dict {task: array of shape (`n_iter_`,)}, or None
        nan in epochs that were not validated, such as those of `partial_fit`.
    n_features_in_ : int
        With the task column, if there is one.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Names of the columns, if X was a data frame.

    See Also
    --------
    MultiTaskMLPClassifier : For classes.
    MultiTaskMLP : Heads of different kinds.

    References
    ----------
    Caruana (1997), Multitask learning, *Machine Learning* 28:41-75.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskMLPRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, size=(500, 2))
    >>> Y = np.column_stack([X[:, 0] * X[:, 1], (X[:, 0] * X[:, 1]) ** 2])
    >>> Y[::3, 1] = np.nan
    >>> model = MultiTaskMLPRegressor((32, 16), batch_size=25, max_iter=200, random_state=0).fit(X, Y)
    >>> model.predict(X).shape
    (500, 2)
    >>> model.score(X, Y) > 0.9
    True
    """

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        *,
        loss="squared",
        delta=1.35,
        standardize_y=True,
        private_layer_sizes=(),
        sharing="shared",
        alpha_soft=0.01,
        features=None,
        activation="relu",
        solver="adam",
        alpha=0.0001,
        dropout=0.0,
        max_norm=None,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        max_iter=200,
        tol=1e-4,
        n_iter_no_change=10,
        shuffle=True,
        task_weight="equal",
        temperature=1.0,
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        early_stopping=False,
        validation_fraction=0.1,
        metrics=None,
        n_init=1,
        ensemble=False,
        callbacks=None,
        progress=False,
        random_state=None,
        warm_start=False,
        n_jobs=None,
        verbose=0,
        task=None,
        unknown_task="error",
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.loss = loss
        self.delta = delta
        self.standardize_y = standardize_y
        self.private_layer_sizes = private_layer_sizes
        self.sharing = sharing
        self.alpha_soft = alpha_soft
        self.features = features
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.dropout = dropout
        self.max_norm = max_norm
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.shuffle = shuffle
        self.task_weight = task_weight
        self.temperature = temperature
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.metrics = metrics
        self.n_init = n_init
        self.ensemble = ensemble
        self.callbacks = callbacks
        self.progress = progress
        self.random_state = random_state
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.task = task
        self.unknown_task = unknown_task

    def predict(self, X, *, task=None):
        """Predict the targets of the rows.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features), or dict {task: X}
            In the layout of `fit`.
        task : array-like of shape (n_samples,), default=None
            Task ids, if `fit` got them.

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_tasks) if y had one column per task; a dict for a dict
            In units of y.
        """
        answers, codes = self._answers(X, task)
        values = [o if o is None else h.decode(o)[:, 0] for h, o in zip(self._heads, answers, strict=True)]
        if self._source == "parts":
            return {name: v for name, v in zip(self._names.tolist(), values, strict=True) if v is not None}
        if codes is not None:
            return collect(values, codes)
        return np.stack(self._on_all_tasks(values), axis=1) if self._source == "outputs" else values[0]

    def score(self, X, y=None, sample_weight=None, *, task=None):
        r"""Coefficient of determination :math:`R^2` of the predictions.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features), or dict {task: (X, y)} or {task: X}
            In the layout of `fit`. With a dict the mean over tasks.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks), or dict {task: y}, default=None
            With one column per task the mean over tasks, each on its labelled rows; tasks with fewer than two are left
            out. None with a dict {task: (X, y)}.
        sample_weight : array-like of shape (n_samples,) or, with a 2-D y, (n_samples, n_tasks), default=None
            Weights >= 0; a label of weight 0 is not there. With a dict for X, a dict {task: (n_samples,)}.
        task : array-like of shape (n_samples,), default=None
            Task ids, if `fit` got them.

        Returns
        -------
        float
        """
        from sklearn.metrics import r2_score

        if isinstance(X, Mapping):
            return self._score_parts(X, y, sample_weight, task, r2_score)
        return super().score(X, y, sample_weight, task=task)

    def _make_heads(self, labels, kept):
        """A head for each of the tasks at the positions `kept`."""
        kind = {"squared": "regression"}.get(self.loss, self.loss)
        return [Head.of_numbers(kind, self.delta) for _ in kept]

    def _check_numbers(self, table):
        if self.loss == "poisson" and (table.Y < 0).any():
            raise ValueError(f"loss='poisson' is for counts: y must be >= 0. Got {np.nanmin(table.Y)}.")
