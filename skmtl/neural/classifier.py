"""The network for classes: one trunk, a head for every task."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from sklearn.utils.metaestimators import available_if

from skmtl._class_weight import factors_of_labels, weigh_classes
from skmtl._ids import describe
from skmtl._labels import encode_labels, named
from skmtl.classification._base import MultiTaskClassifierMixin
from skmtl.neural._base import BaseNetwork, takes_steps
from skmtl.neural._encode import announced_labels, refuse_other_classes
from skmtl.neural._fitted import collect
from skmtl.neural._heads import Head
from skmtl.neural._losses import CONSTANT, SIGMOID
from skmtl.neural._reading import Given

__all__ = ["MultiTaskMLPClassifier"]


class MultiTaskMLPClassifier(MultiTaskClassifierMixin, BaseNetwork):
    r"""Neural network with hidden layers that all tasks share, for classes.

    .. math:: \min_\theta \; \sum_t \frac{w_t}{N_t} \sum_i -s_{ti} \log p_t(y_{ti} \mid x_i; \theta)
              + \frac{\alpha}{2n} \|W\|^2

    with a row's weight s, their sum N_t for a task, and n the mean of these: every task's mean loss counts alike,
    however many rows it has, unless `task_weight` says otherwise. The head of a task has one output for two classes and
    one a class for more.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of the hidden layers of the trunk.
    class_weight : 'balanced', dict {label: weight} or dict {task: such}, default=None
        What a label counts besides its row's weight; 'balanced': every class of a task has the same sum of weights.
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
        larger `n_init`, or an `ensemble` asked for later, adds none. Labels must be among the classes of the last fit,
        and in its layout.
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
    classes_ : array of shape (n_classes,) or (n_tasks, n_classes), or list of arrays
        Labels, sorted; a row or an array per task if y had one column per task.
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
    MultiTaskMLPRegressor : For numbers.
    MultiTaskMLP : Heads of different kinds.

    References
    ----------
    Caruana (1997), Multitask learning, *Machine Learning* 28:41-75.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskMLPClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 2))
    >>> Y = np.column_stack([X[:, 0] * X[:, 1] > 0, X[:, 0] > X[:, 1]])
    >>> model = MultiTaskMLPClassifier((32,), max_iter=200, tol=0, random_state=0).fit(X, Y)
    >>> model.predict_proba(X).shape
    (400, 2)
    >>> model.score(X, Y) > 0.95
    True
    """

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        *,
        class_weight=None,
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
        self.class_weight = class_weight
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

    def score(self, X, y=None, sample_weight=None, *, task=None):
        """Accuracy: the share of rows whose class is predicted.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features), or dict {task: (X, y)} or {task: X}
            In the layout of `fit`. With a dict the mean over tasks.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks), or dict {task: y}, default=None
            With one column per task the mean over tasks, each on its labelled rows; not the share of rows that are
            right in every task. None with a dict {task: (X, y)}.
        sample_weight : array-like of shape (n_samples,) or, with a 2-D y, (n_samples, n_tasks), default=None
            With a dict for X, a dict {task: (n_samples,)}.
        task : array-like of shape (n_samples,), default=None
            Task ids, if `fit` got them.

        Returns
        -------
        float
        """
        from sklearn.metrics import accuracy_score

        if isinstance(X, Mapping):
            return self._score_parts(X, y, sample_weight, task, accuracy_score)
        return super().score(X, y, sample_weight, task=task)

    def _answer(self, X, task, function):
        answers, codes = self._answers(X, task)
        answers = [o if o is None else self._of_union(t, o) for t, o in enumerate(answers)]
        of_eta = (lambda eta: function(eta[..., 0])) if self._labels.binary else function
        if self._source == "parts":
            return {name: of_eta(o) for name, o in zip(self._names.tolist(), answers, strict=True) if o is not None}
        if codes is not None:
            return of_eta(collect(answers, codes))
        eta = np.stack(self._on_all_tasks(answers), axis=1)
        return of_eta(eta if self._source == "outputs" else eta[:, 0])

    def _of_union(self, t, outputs):
        """Outputs (n, k) of a task as a number for each code of a label, (n, n_classes); unchanged if all is binary."""
        if self._labels.binary:
            return outputs
        out = np.zeros((len(outputs), self._labels.n_classes), dtype=outputs.dtype)
        own, loss = self._heads[t].own, self._heads[t].loss
        if own is None:
            own = np.arange(out.shape[1])
        if loss == SIGMOID:
            out[:, own[1]] = outputs[:, 0]
        elif loss != CONSTANT:
            out[:, own] = outputs
        return out

    @available_if(takes_steps)
    def partial_fit(self, X, y=None, classes=None, sample_weight=None, *, task=None):
        """Train for one more epoch, on these rows.

        Parameters
        ----------
        X, y
            As in `fit`.
        classes : array-like of shape (n_classes,), or list of n_tasks such, default=None
            All labels there are, of all tasks or of each; needed in the first call only, and the same in later ones.
            None: those in y.
        sample_weight, task
            As in `fit`.

        Returns
        -------
        self
        """
        last, announced = self._last, None
        if classes is not None:
            announced = _sets_of(classes, np.shape(y)[1:])
            if last is not None and announced.wide == last._labels.wide:  # else y has another layout than in that call
                refuse_other_classes(announced.classes, last._labels.classes)
        return self._take_epoch(Given(X, y, sample_weight, task, last, partial=True, announced=announced))

    def _publish_network(self, reading, n_read, columns):
        super()._publish_network(reading, n_read, columns)
        self._labels, self.classes_ = reading.labels, reading.labels.classes

    def _code_labels(self, y, given):
        if y is None:
            return None, y  # whoever checks the data says so in the words of all estimators
        known = given.announced if given.last is None else given.last._labels
        labels, codes = encode_labels(y)
        return (labels, codes) if known is None else (known, named(codes, recode(codes, labels, known)))

    def _weigh(self, data, labels):
        if self.class_weight is None:
            return data
        return weigh_classes(data, labels, self.class_weight, keep_rows=True)

    def _read_parts(self, given):
        reading = super()._read_parts(given)
        if self.class_weight is None:
            return reading
        table, tasks = reading.table, reading.tasks
        codes, of_row = table.Y[:, 0].astype(np.intp), table.task_of_item()
        weight = np.ones(len(codes)) if table.weight is None else table.weight
        weight = weight * factors_of_labels(codes, weight, of_row, reading.labels, self.class_weight, tasks)
        empty = np.bincount(of_row, minlength=len(tasks)) > 0
        empty &= np.bincount(of_row, weight, minlength=len(tasks)) == 0
        if empty.any() and not given.partial:
            raise ValueError(f"class_weight leaves no label of the tasks {describe(tasks[empty])} a weight above zero.")
        return replace(reading, table=replace(table, weight=weight))

    def _make_heads(self, labels, kept):
        """A head for each of the tasks at the positions `kept`."""
        if not labels.wide:
            return [Head.of_classes(labels.union)] * len(kept)
        return [Head.of_classes(labels.classes[t], None if labels.binary else labels.own(t)) for t in kept]


def recode(codes, labels, known):
    """Codes of `labels` as codes of the label sets known from the last fit."""
    values = np.array(codes, dtype=np.float64)
    if labels.wide != known.wide or (labels.wide and len(labels.classes) != len(known.classes)):
        raise ValueError(
            "y must have the layout of the last fit: one column per task, as many tasks, or one label a row."
        )
    columns = values.reshape(len(values), -1)
    for t, column in enumerate(columns.T):
        rows = ~np.isnan(column)
        position = {label: k for k, label in enumerate(known.coded(t).tolist())}
        own = labels.coded(t).tolist()
        if new := [own[int(c)] for c in np.unique(column[rows]) if own[int(c)] not in position]:
            raise ValueError(
                f"y has labels that neither the last fit nor classes had: {describe(new)}. Known are "
                f"{describe(list(position))}."
            )
        column[rows] = [position[own[int(c)]] for c in column[rows]]
    return columns.reshape(values.shape)


def _sets_of(classes, n_columns):
    """The label sets of `classes`, one list for all tasks or one for each.

    n_columns : tuple (n_columns of y,), or () if it is 1-D
    """
    lists = list(classes) if isinstance(classes, Iterable) else []
    if not lists or np.ndim(lists[0]) == 0:
        labels = announced_labels(classes)
        if n_columns in ((), (1,)):
            return labels
        lists = [lists] * n_columns[0]
    if n_columns and len(lists) != n_columns[0]:
        raise ValueError(
            f"classes must be a list of labels, or one for each of the {n_columns[0]} columns of y. Got {len(lists)}."
        )
    table = np.full((max(map(len, lists)), len(lists)), None, dtype=object)
    for t, labels in enumerate(lists):
        table[: len(labels), t] = list(labels)
    return encode_labels(table)[0]
