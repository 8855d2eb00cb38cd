"""The network for tasks of different kinds: a regression, a classification, tags and counts together."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from sklearn.utils import _safe_indexing  # nothing public takes rows of X whatever it is, as a teacher is to see them
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skmtl._ids import canonical_ids, describe, lookup, rows_by_code
from skmtl._labels import as_array
from skmtl.neural._base import BaseNetwork, takes_steps
from skmtl.neural._encode import (
    announced_heads,
    columns_of_heads,
    encode_head,
    labels_a_row,
    refuse_other_classes,
    weigh_labels,
    weight_of_columns,
)
from skmtl.neural._fitted import refuse_ids
from skmtl.neural._heads import KINDS, Head, distill
from skmtl.neural._parts import labelled_parts
from skmtl.neural._reading import Given, Reading
from skmtl.neural._table import Table, without_zeros
from skmtl.tasks import take_task_column

__all__ = ["MultiTaskMLP"]


class MultiTaskMLP(BaseNetwork):
    r"""Neural network with hidden layers that all tasks share, for tasks of different kinds.

    .. math:: \min_\theta \; \sum_t \frac{w_t}{N_t} \sum_i s_{ti}\, \ell_t\big(f_t(x_i; \theta), y_{ti}\big)
              + \frac{\alpha}{2n} \|W\|^2

    with the loss of its kind for every task, a row's weight s, their sum N_t for a task, and n the mean of these.

    ================  ==============================  ===============================================  =========
    kind              labels                          loss                                             metric
    ================  ==============================  ===============================================  =========
    'regression'      numbers, one column or more     half the squared error, of standardised numbers  R2
    'huber'           likewise                        Huber's                                          R2
    'poisson'         counts >= 0                     Poisson, log link                                D2
    'classification'  classes of any type             cross-entropy of sigmoid or softmax              accuracy
    'multilabel'      columns of two classes          cross-entropy of a sigmoid a column              accuracy
    distill(teacher)  none: a model's probabilities   cross-entropy at a temperature                   agreement
    ================  ==============================  ===============================================  =========

    Parameters
    ----------
    heads : dict {task: kind}, default=None
        The kind of every task, one of the above. It has to be given: None is refused by `fit`.
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of the hidden layers of the trunk.
    delta : float, default=1.35
        Where Huber's loss turns linear, in standard deviations of the task's labels.
    standardize_y : bool, default=True
        Whether numbers are standardised for training, counts divided by their mean; predictions are in their units.
    class_weight : 'balanced' or dict {task: 'balanced' or {label: weight}}, default=None
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
        Scores for validation, ``metric(y_true, y_pred)`` of labels, greater is better; of several columns on rows that
        have all of them. None: R2, accuracy or explained deviance.
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
        larger `n_init`, or an `ensemble` asked for later, adds none. Labels of a task that has classes must be among
        those of the last fit.
    n_jobs : int, default=None
        Threads for the `n_init` fits.
    verbose : int, default=0
        Whether to print a line for every epoch.
    task : str or int, default=None
        Name or position of the column of X with the task ids.
    unknown_task : {'error', 'shared'}, default='error'
        What `predict` does with rows of a task that was not in `fit`; 'shared' is the mean over tasks of their outputs,
        if all are numbers, or all the same classes.

    Attributes
    ----------
    classes_ : dict {task: array, or list of arrays for a multilabel task}
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
    MultiTaskMLPRegressor : For numbers, in scikit-learn's contract.
    MultiTaskMLPClassifier : For classes, likewise.

    References
    ----------
    Caruana (1997), Multitask learning, *Machine Learning* 28:41-75.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskMLP
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 3))
    >>> Y = {"size": X[:, 0] * X[:, 1], "sign": np.where(X[:, 0] * X[:, 1] > 0, "plus", "minus")}
    >>> model = MultiTaskMLP({"size": "regression", "sign": "classification"}, max_iter=200, random_state=0)
    >>> model.fit(X, Y).predict(X)["sign"][:3].tolist()
    ['minus', 'minus', 'plus']
    >>> model.predict_proba(X)["sign"].shape
    (400, 2)
    """

    __metadata_request__predict_proba = {"task": True}

    def __init__(
        self,
        heads=None,
        hidden_layer_sizes=(100,),
        *,
        delta=1.35,
        standardize_y=True,
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
        self.heads = heads
        self.hidden_layer_sizes = hidden_layer_sizes
        self.delta = delta
        self.standardize_y = standardize_y
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

    @available_if(takes_steps)
    def partial_fit(self, X, y=None, sample_weight=None, *, task=None, classes=None):
        """Train for one more epoch, on these rows: of the tasks, features and classes of the first call.

        Parameters
        ----------
        X, y, sample_weight, task
            As in `fit`. Later calls may leave tasks out: rows, or all labels of a column.
        classes : dict {task: labels, or list of labels for every column of a multilabel task}, default=None
            All labels there are; needed in the first call only, and the same in later ones. None, or a task without:
            those in y.

        Returns
        -------
        self
        """
        last, announced = self._last, None
        if classes is not None:
            announced = announced_heads(classes, self._check_heads())
            known = {} if last is None else last._head_of
            for name, head in known.items():
                if name in announced and announced[name].kind == head.kind:
                    refuse_other_classes(announced[name].classes, head.classes, f"classes[{name!r}]")
        return self._take_epoch(Given(X, y, sample_weight, task, last, partial=True, announced=announced))

    def predict(self, X, *, task=None):
        """Predict the labels of every task.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features), or dict {task: X}
            In the layout of `fit`.
        task : array-like of shape (n_samples,), default=None
            Task ids, if `fit` got them.

        Returns
        -------
        dict {task: array of shape (n_samples,) or (n_samples, n_columns)}
            Numbers in their units, labels as they stood in y. If a row belongs to one task, an array (n_samples,) with
            the prediction of each; of objects, if not all tasks are of numbers.
        """
        answers, codes = self._answers(X, task)
        if codes is None:
            return self._by_name(answers, Head.labels)
        known, unknown = _apart(answers, codes)
        nobody, *rows = rows_by_code(codes, len(known))
        numeric = all(head.numeric for head in self._heads)
        out = np.empty(len(codes), dtype=self._states[0].theta.dtype if numeric else object)
        for own, head, o in zip(rows, self._heads, known, strict=True):
            if o is not None:
                out[own] = head.labels(o)
        if len(nobody):
            out[nobody] = self._of_unknown(unknown)
        return out

    def predict_proba(self, X, *, task=None):
        """Probabilities of the classes, for the tasks that have classes.

        Parameters
        ----------
        X, task
            As in `predict`.

        Returns
        -------
        dict {task: array}
            (n_samples, n_classes), as in `classes_`; of a multilabel task (n_samples, n_columns), the probability of
            every column's second class. If a row belongs to one task, its rows only, and none of unknown tasks.
        """
        answers, codes = self._answers(X, task)
        if codes is not None:
            answers, _ = _apart(answers, codes)
        return self._by_name(answers, lambda head, o: None if head.numeric else head.probabilities(o))

    def score(self, X, y=None, sample_weight=None, *, task=None):
        """The mean over tasks of the metric of their kind.

        Parameters
        ----------
        X, y, sample_weight, task
            As in `fit`; a dict {task: (X, y)} may also be two, {task: X} and {task: y}.

        Returns
        -------
        float
        """
        scores = [s for s in self.head_scores(X, y, sample_weight, task=task).values() if not np.isnan(s)]
        return float(np.mean(scores)) if scores else np.nan

    def head_scores(self, X, y=None, sample_weight=None, *, task=None):
        """The metric of every task: R2, explained deviance or accuracy, or what `metrics` says.

        Of several columns it is the mean; nan where there are no labels, or one number only.

        Parameters
        ----------
        X, y, sample_weight, task
            As in `score`.

        Returns
        -------
        dict {task: float}
        """
        check_is_fitted(self)
        data = (X, y, task)
        if isinstance(X, Mapping):
            refuse_ids(task)
            data = labelled_parts(X, y)
        heads, table = self._read_to_score(data, sample_weight, closed=False)
        inputs, labels, weights = self._to_score(table, np.arange(table.n_items))
        parts = zip(self._names.tolist(), heads, labels, self._mean_outputs(inputs), weights, strict=True)
        return {name: head.score(y, o, w, self._metric(name)) for name, head, y, o, w in parts}

    @property
    def classes_(self):
        """The labels of every task that has classes, sorted; a list of such where it has several columns."""
        check_is_fitted(self)
        heads = zip(self._names.tolist(), self._heads, strict=True)
        return {name: head.classes for name, head in heads if not head.numeric}

    def _of_unknown(self, answers):
        """Predictions for unknown tasks: the mean over tasks of numbers, or of outputs if all have the same classes."""
        first = self._heads[0]
        if all(head.numeric and head.n_targets == 1 for head in self._heads):
            return np.mean([head.labels(o) for head, o in zip(self._heads, answers, strict=True)], axis=0)
        if all(head.kind == "classification" and np.array_equal(head.classes, first.classes) for head in self._heads):
            return first.labels(np.mean(answers, axis=0))
        raise ValueError(
            "Rows of tasks that fit did not see have no mean of these heads, which differ in kind or classes. Drop the "
            "rows; unknown_task='error' says which."
        )

    def _by_name(self, answers, function):
        values = {}
        for name, head, o in zip(self._names.tolist(), self._heads, answers, strict=True):
            value = None if o is None else function(head, o)
            if value is not None:
                values[name] = value
        return values

    # ------------------------------------------------------------------------------------------------- reading

    @property
    def _head_of(self):
        """The heads {task: Head} of the last fit."""
        return dict(zip(self._names.tolist(), self._heads, strict=True))

    def _read(self, given):
        """Validate the data; as `heads` names the tasks, a fit that goes on may lack some, in a warm start, too."""
        heads = self._check_heads()
        self._refuse_sparse(given.X)
        self._check_columns(given)
        kinds = {name: "distilled" if isinstance(kind, distill) else kind for name, kind in heads.items()}
        last = given.last
        if last is not None and {name: head.kind for name, head in last._head_of.items()} != kinds:
            last = None  # another network, whose labels say nothing of these
        known = (given.announced or {}) if last is None else last._head_of
        if isinstance(given.X, Mapping):
            reading = self._read_mixed_parts(given, heads, known)
        elif given.task is not None or self.task is not None:
            reading = self._read_long(given, heads, known, last)
        elif given.y is None:
            raise ValueError("MultiTaskMLP requires y to be passed, but the target y is None.")
        else:
            reading = self._read_wide(given, heads, known)
        made = dict(zip(reading.tasks.tolist(), reading.heads, strict=True))
        reading = replace(reading, table=weigh_labels(self.class_weight, made, reading.table))
        if last is None:
            _refuse_weightless(reading)
        return reading

    def _check_heads(self):
        heads = self.heads
        if not isinstance(heads, Mapping) or not heads:
            raise ValueError(
                "The 'heads' parameter of MultiTaskMLP must be a dict of tasks and kinds, such as {'price': "
                f"'regression', 'sold': 'classification'}}. Got {heads!r} instead."
            )
        for name, kind in heads.items():
            if isinstance(name, tuple):  # columns of a frame with levels
                raise ValueError(f"heads must have text or numbers for names. Got the tuple {name!r}.")
            if not isinstance(kind, distill) and kind not in KINDS:
                raise ValueError(
                    f"heads[{name!r}] must be one of {', '.join(map(repr, KINDS))} or distill(teacher). Got {kind!r}."
                )
        return heads

    def _read_wide(self, given, heads, known):
        """One column or more per task, NaN where a row has no label."""
        y, network = given.y, given.network
        if network is not None and not isinstance(y, Mapping) and as_array(y).ndim == 1:
            network._check_source("single")
        columns = columns_of_heads(y, heads)
        made, codes = [], []
        for name, kind in heads.items():
            head, code = encode_head(name, kind, columns.get(name), given.X, known.get(name), self.delta)
            made.append(head)
            codes.append(code)
        lengths = [len(code) for code in codes]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"Every row needs a label, or NaN, of each task. Got {lengths} labels of {describe(heads)}."
            )
        sizes = [head.n_targets for head in made]
        weight = weight_of_columns(given.sample_weight, list(heads), sizes, lengths[0])
        data = self._check_data(given, np.hstack(codes), weight, empty=True)
        first = np.cumsum([0, *sizes[:-1]])
        Y, weight = without_zeros(data.y, data.weight)
        return Reading.of(_names(heads), made, Table([data.X], Y, weight, first, np.array(sizes)), "outputs")

    def _read_long(self, given, heads, known, last):
        """A row belongs to one task; those of the fit `last` may have none."""
        rows, ids = (given.X, given.task) if self.task is None else take_task_column(given.X, self.task)[:2]
        n = len(ids) if np.ndim(ids) else 0  # no ids, which are refused below
        # labels are of many types: check_data gets the numbers of rows in their place, which tell the order it makes
        data = self._check_data(given, np.arange(n), given.sample_weight, empty=False)
        _compare_tasks(data.tasks, heads, all_there=last is None)
        if last is not None:
            data = data.reindex(last._names)
        tasks, y = data.tasks, labels_a_row(given.y, n)
        _, *places = rows_by_code(lookup(canonical_ids(ids)[0], tasks), len(tasks))
        place = dict(zip(tasks.tolist(), places, strict=True))

        def rows_of(name):
            own = place[name]
            return _safe_indexing(rows, own), None if y is None else y[own], own

        made, codes = self._encode_rows(tasks, heads, known, rows_of, n)
        Y = codes[data.y.astype(np.intp)]
        sizes = np.array([head.n_targets for head in made])
        table = Table.by_task([data.X], Y, data.weight, sizes, data.task_of_row, np.arange(len(Y)))
        return Reading.of(tasks, made, table, data.source, task_position=data.task_position)

    def _read_mixed_parts(self, given, heads, known):
        """Every task with an X of its own."""
        if given.y is not None or given.task is not None or self.task is not None:
            raise ValueError("With X a dict {task: (X, y)}, MultiTaskMLP takes neither y nor task.")
        parts = self._check_parts(given)
        _compare_tasks(parts.tasks, heads)
        each = zip(parts.inputs, parts.labels, parts.place, strict=True)
        labelled, row = dict(zip(parts.tasks.tolist(), each, strict=True)), parts.row
        made, Y = self._encode_rows(parts.tasks, heads, known, labelled.get, len(row))
        sizes = np.array([head.n_targets for head in made])
        table = Table.by_task(parts.inputs, Y, parts.weight, sizes, parts.task_of_row, row)
        return Reading.of(parts.tasks, made, table, "parts", part_names=parts.names)

    def _encode_rows(self, tasks, heads, known, rows_of, n):
        """The heads of tasks, and labels of n rows as numbers (n, most columns), NaN where a task has fewer.

        rows_of : a function of a task's name that gives its rows of X, their labels, and their positions among the n.
        """
        made, parts = [], []
        for name in tasks.tolist():
            rows, labels, place = rows_of(name)
            if name in known and not len(place):
                head, code = known[name], np.empty((0, known[name].n_targets))
            else:
                head, code = encode_head(name, heads[name], labels, rows, known.get(name), self.delta)
            if len(code) != len(place):
                raise ValueError(f"Task {name!r} has {len(place)} rows, but {len(code)} labels.")
            if np.isnan(code).all(axis=1).any():
                raise ValueError(
                    f"y of task {name!r} contains NaN: where a row belongs to one task, drop those without label."
                )
            made.append(head)
            parts.append((place, code))
        Y = np.full((n, max(head.n_targets for head in made)), np.nan)
        for place, code in parts:
            Y[place, : code.shape[1]] = code
        return made, Y


def _apart(answers, codes):
    """Answers, as of `_answers`, split: of every task for its own rows, or None, and for rows of unknown tasks."""
    sizes = np.bincount(codes[codes >= 0], minlength=len(answers)).tolist()
    pairs = list(zip(answers, sizes, strict=True))
    return [o[:n] if n else None for o, n in pairs], [None if o is None else o[n:] for o, n in pairs]


def _compare_tasks(tasks, heads, all_there=True):
    """Raise ValueError for a task of the data that is not in `heads`; or, if all should be there, vice versa."""
    names, _ = canonical_ids(list(heads), "heads")
    if (lookup(tasks, names) < 0).any() or (all_there and (lookup(names, tasks) < 0).any()):
        raise ValueError(f"heads has the tasks {describe(names)}, but the rows are of the tasks {describe(tasks)}.")


def _refuse_weightless(reading):
    """Raise ValueError for a task without labels of positive weight: it cannot be the mean of heads of other kinds."""
    table = reading.table
    for t, name in enumerate(reading.tasks.tolist()):
        if not (table.labels_of(t, np.arange(table.n_items))[1] > 0).any(axis=0).all():
            raise ValueError(
                f"Task {name!r}, or a column of it, has no label of positive weight: nothing to learn from."
            )


def _names(heads):
    names = list(heads)
    return np.array(names, dtype=object if any(isinstance(name, str) for name in names) else None)
