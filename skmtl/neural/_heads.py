"""Heads: what a task's outputs mean, how its labels become numbers and its outputs predictions.

==============  ===================  ===================  ==============================================  ==============
kind            labels               outputs              loss                                            metric
==============  ===================  ===================  ==============================================  ==============
regression      numbers              one a column         squared, of labels less mean over deviation     R2
huber           numbers              one a column         Huber's, likewise                               R2
poisson         counts >= 0          logarithms of means  Poisson, of labels over their mean              D2
classification  any, K classes       one, or K if K > 2   cross-entropy of sigmoid or softmax             accuracy
multilabel      columns of two each  one a column         sigmoid cross-entropy                           accuracy
distilled       probabilities        K                    cross-entropy with softmax at a temperature     agreement
==============  ===================  ===================  ==============================================  ==============
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator

from skmtl.neural._losses import CONSTANT, HUBER, POISSON, SIGMOID, SOFT, SOFTMAX, SQUARED

__all__ = ["KINDS", "Head", "distill"]

KINDS = ("regression", "huber", "poisson", "classification", "multilabel")


class distill(BaseEstimator):  # a verb, for it reads as what is done: heads={"digit": distill(teacher)}
    r"""A head that learns the probabilities of another model.

    .. math:: L = -\frac{c^2}{n} \sum_{ik} p_{ik} \log \mathrm{softmax}(o_i / c)_k, \qquad p_{ik} \propto q_{ik}^{1/c}

    with the teacher's probabilities q and the temperature c. The rows need no labels.

    Parameters
    ----------
    teacher : classifier
        Fitted, with ``predict_proba`` and ``classes_``. A clone of the head has the same.
    temperature : float, default=2.0
        Above 1, the teacher's second thoughts count for more.

    References
    ----------
    Hinton, Vinyals, Dean (2015), Distilling the knowledge in a neural network, arXiv:1503.02531.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skmtl.neural import MultiTaskMLP, distill
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2))
    >>> teacher = RandomForestClassifier(random_state=0).fit(X, X[:, 0] > X[:, 1])
    >>> student = MultiTaskMLP({"larger": distill(teacher)}, max_iter=50, tol=0, random_state=0).fit(X, {})
    >>> bool((student.predict(X)["larger"] == teacher.predict(X)).mean() > 0.9)
    True
    """

    def __init__(self, teacher, temperature=2.0):
        self.teacher = teacher
        self.temperature = temperature

    def __sklearn_clone__(self):
        return type(self)(self.teacher, self.temperature)  # a clone of the teacher would not be fitted


@dataclass(frozen=True, eq=False)
class Head:
    """What a task's outputs mean.

    Attributes
    ----------
    kind : str
        One of KINDS or "distilled".
    loss : int
        Code of what is minimised, for the kernels.
    n_targets : int
        Columns of labels.
    classes : array (n_classes,), list of arrays (2,) or fewer, or None
        What codes stand for: of a classification, of every column of a multilabel head.
    mean, scale : float64 arrays (n_targets,)
        By what numbers are standardised. A scale of 0 says that all are alike: there is nothing to learn but the mean.
    constant : float
        Where Huber's loss turns linear, in deviations; the temperature of a distilled head.
    own : int array (n_classes,), or None
        The codes of its classes, ascending, where codes are positions in a union of label sets.
    closed : bool
        Whether there are no other labels than those of its classes; else further ones are put behind these.
    columns : array (n_targets,), or None
        Names of the columns of its labels, where they came in a data frame.
    """

    kind: str
    loss: int
    n_targets: int = 1
    classes: Any = None
    mean: Any = 0.0
    scale: Any = 1.0
    constant: float = 1.0
    own: Any = None
    closed: bool = True
    columns: Any = None

    @classmethod
    def of_classes(cls, classes, own=None):
        """A classification: one output if there are two classes, and nothing to learn if there is but one."""
        loss = {1: CONSTANT, 2: SIGMOID}.get(len(classes), SOFTMAX)
        return cls("classification", loss, classes=classes, own=own)

    @classmethod
    def of_numbers(cls, kind, huber, n_targets=1):
        """A head for numbers; `huber` is where Huber's loss turns linear, which other losses do not use."""
        loss = {"regression": SQUARED, "huber": HUBER, "poisson": POISSON}[kind]
        return cls(kind, loss, n_targets, constant=huber if loss == HUBER else 1.0)

    @property
    def n_outputs(self):
        return len(self.classes) if self.loss in (SOFTMAX, SOFT) else self.n_targets

    @property
    def numeric(self):
        """Whether labels are numbers, not classes."""
        return self.loss in (SQUARED, HUBER, POISSON)

    def standardized(self, y, w):
        """The head with the mean and the deviation of its labels y (n, n_targets) with weights w, 0 where missing."""
        if not self.numeric or not w.any():
            return self
        y, share = np.where(w > 0, y, 0.0), w / np.maximum(w.sum(axis=0), np.finfo(float).tiny)
        some = np.take_along_axis(y, (w > 0).argmax(axis=0)[None], axis=0)  # the mean of labels that are all alike
        mean = some[0] + (share * (y - some)).sum(axis=0)
        if self.loss == POISSON:
            return replace(self, scale=mean)
        away = np.where(w > 0, y - mean, 0.0)
        unit = np.maximum(np.abs(away).max(axis=0), np.finfo(float).tiny)  # so that no square overflows
        scale = unit * np.sqrt((share * (away / unit) ** 2).sum(axis=0))
        constant = scale <= 10 * np.finfo(float).eps * np.abs(mean)  # of rounding only
        return replace(self, mean=mean, scale=np.where(constant, 0.0, scale))

    def refreshed(self, y, w):
        """The head with a new mean and deviation, from new labels, in columns whose labels were all alike so far."""
        if not self.numeric or not np.equal(self.scale, 0.0).any():
            return self
        new, unknown = self.standardized(y, w), np.equal(self.scale, 0.0) & w.any(axis=0)
        mean, scale = np.where(unknown, new.mean, self.mean), np.where(unknown, new.scale, self.scale)
        return replace(self, mean=mean, scale=scale)

    def encode(self, y):
        """Labels (n, n_targets), numbers or codes, as the network learns them; NaN where there is nothing to learn."""
        if self.loss == CONSTANT:
            return np.full(y.shape, np.nan)
        if self.own is not None:
            return np.where(np.isnan(y), np.nan, np.searchsorted(self.own, np.nan_to_num(y)))
        if not self.numeric:
            return y
        return np.where(np.equal(self.scale, 0.0), np.nan, (y - self.mean) / np.where(self.scale, self.scale, 1.0))

    def decode(self, outputs):
        """Predictions from outputs (n, n_outputs): numbers in their units, codes of classes; (n, n_targets)."""
        if self.loss == POISSON:
            most = (
                np.log(np.finfo(outputs.dtype).max) - np.log(np.maximum(self.scale, 1.0)) - 0.01
            )  # finite in any unit
            return (np.exp(np.minimum(outputs, most)) * self.scale).astype(outputs.dtype, copy=False)
        if self.numeric:
            return (outputs * self.scale + self.mean).astype(outputs.dtype, copy=False)
        if self.loss == SIGMOID:
            return (outputs > 0).astype(np.intp)
        if self.loss == CONSTANT:
            return np.zeros((len(outputs), 1), dtype=np.intp)
        return outputs.argmax(axis=1)[:, None]

    def labels(self, outputs):
        """Predictions as labels: (n,), or (n, n_targets) where labels have several columns."""
        return self._labels_of(self.decode(outputs))

    def _labels_of(self, values):
        if self.kind == "multilabel":
            pairs = zip(self.classes, values.T, strict=True)
            columns = [classes[np.minimum(code, len(classes) - 1)] for classes, code in pairs]
            return np.stack(columns, axis=1)
        values = values if self.numeric else self.classes[values]
        return values if self.n_targets > 1 and self.numeric else values[:, 0]

    def probabilities(self, outputs):
        """Of classes (n, n_classes); of a multilabel head, of the second class of every column (n, n_targets)."""
        if self.kind == "multilabel":
            single = np.array([len(classes) == 1 for classes in self.classes])
            return np.where(single, 1.0, expit(outputs)).astype(outputs.dtype)
        if self.loss == SIGMOID:
            return np.hstack([expit(-outputs), expit(outputs)])
        if self.loss == CONSTANT:
            return np.ones((len(outputs), 1), dtype=outputs.dtype)
        return softmax(outputs, axis=1)

    def score(self, y, outputs, w, metric=None, scaled=False):
        """The metric on labels y (n, n_targets), numbers or codes, with weights w: 1 is best; nan without labels.

        metric : callable ``metric(y_true, y_pred)``, greater is better: of labels, as `labels` gives them.
        scaled : whether numbers that are all alike, such as a single one, are scored relative to the deviation of the
            labels of the fit. If not, they are scored as by scikit-learn: nan for a single one, for several 1 if they
            are met exactly and else 0.
        """
        if not (w > 0).any() or self.loss == CONSTANT:
            return np.nan
        y = y if self.numeric else self.encode(y)
        guess = self.decode(outputs.astype(np.float64))
        if metric is not None:
            y, guess = (a[(w > 0).all(axis=1)] for a in (y, guess))
            if not self.numeric:
                y = y.argmax(axis=1)[:, None] if self.loss == SOFT else y.astype(np.intp)
            return float(metric(self._labels_of(y), self._labels_of(guess))) if len(y) else np.nan
        y = np.where(w > 0, y, 0.0)
        if self.loss == SOFT:
            return float(np.average(y.argmax(axis=1) == outputs.argmax(axis=1), weights=w[:, 0]))
        if not self.numeric:
            return float(np.average(guess == y, weights=w))
        return self._explained(y, guess, w, scaled)

    def _explained(self, y, guess, w, scaled):
        """The share of the deviance from the mean that predictions explain, as R2 and D2 of scikit-learn."""
        deviance, power = (_poisson_deviance, 1) if self.loss == POISSON else (lambda y, m: (y - m) ** 2, 2)
        total = w.sum(axis=0)
        mean = (w * y).sum(axis=0) / np.maximum(total, np.finfo(float).tiny)
        error, spread = (w * deviance(y, guess)).sum(axis=0), (w * deviance(y, mean)).sum(axis=0)
        differ = spread > total * (1e-12 * mean) ** power  # by more than rounding
        if differ.all():
            return float((1.0 - error / spread).mean())
        alike = ~differ
        spread = np.where(alike, total * self.scale**power if scaled else 0.0, spread)
        explained = 1.0 - error / np.where(spread > 0, spread, np.where(error > 0, error, np.inf))  # 0, or 1 if exact
        known = explained[(w > 0).sum(axis=0) > np.where(alike, not scaled, 0)]
        return float(known.mean()) if len(known) else np.nan


def _poisson_deviance(y, mean):
    ratio = np.where(y > 0, y, 1.0) / np.maximum(mean, np.finfo(float).tiny)
    return 2.0 * (np.where(y > 0, y * np.log(ratio), 0.0) - y + mean)
