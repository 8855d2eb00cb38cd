"""What the named classifiers have in common: labels in, log-odds between, labels and probabilities out."""

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import ClassifierMixin

from skmtl._class_weight import weigh_classes
from skmtl._labels import encode_labels, label_columns
from skmtl.base import LinearMultiTask
from skmtl.losses import Logistic, Multinomial
from skmtl.tasks import refuse_missing, refuse_other_order

__all__ = ["LinearClassifier", "MultiTaskClassifierMixin"]


class MultiTaskClassifierMixin(ClassifierMixin):
    """Labels, decisions, probabilities, score and tags of a classifier for one or many tasks.

    A subclass gives ``_decision(X, task)``: where all tasks have two classes the log-odds of the second, (n_samples,),
    or (n_samples, n_tasks) if y had one column per task; else one number a class, on a last axis.
    """

    __metadata_request__decision_function = {"task": True}
    __metadata_request__predict_proba = {"task": True}
    __metadata_request__predict_log_proba = {"task": True}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = False  # True promises classes_ as a list, whatever the classes are
        return tags

    def decision_function(self, X, *, task=None):
        """Log-odds of the classes.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            With the task column, if `fit` had one.
        task : array-like of shape (n_samples,), default=None
            Task ids, if `fit` got them.

        Returns
        -------
        array of shape (n_samples,), (n_samples, n_tasks) or (n_samples, n_classes), or list of arrays
            Two classes: the log-odds of the second; a column per task if y had one. More: a column per class, its
            logarithmic probability up to a constant of the row; a list of n_tasks such arrays if y had one column per
            task.
        """
        return self._answer(X, task, self._scores)

    def predict(self, X, *, task=None):
        """Predict the most probable class of the rows.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            With the task column, if `fit` had one.
        task : array-like of shape (n_samples,), default=None
            Task ids, if `fit` got them.

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_tasks) if y had one column per task
            Labels as they stood in y.
        """
        return self._answer(X, task, self._most_probable)

    def predict_proba(self, X, *, task=None):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            With the task column, if `fit` had one.
        task : array-like of shape (n_samples,), default=None
            Task ids, if `fit` got them.

        Returns
        -------
        array of shape (n_samples, n_classes) or (n_samples, n_tasks), or list of arrays
            A column per class, as in `classes_`. If y had one column per task: with two classes each, a column per
            task, the probability of ``classes_[t, 1]``; else a list of n_tasks arrays, a column per class of the task.
        """
        return self._answer(X, task, lambda eta: self._probabilities(eta, expit, softmax))

    def predict_log_proba(self, X, *, task=None):
        """Logarithms of the probabilities, accurate also where these are too small to be told from 0.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            With the task column, if `fit` had one.
        task : array-like of shape (n_samples,), default=None
            Task ids, if `fit` got them.

        Returns
        -------
        array of shape (n_samples, n_classes) or (n_samples, n_tasks), or list of arrays
            As `predict_proba`.
        """
        return self._answer(X, task, lambda eta: self._probabilities(eta, log_expit, log_softmax))

    def score(self, X, y, sample_weight=None, *, task=None):
        """Accuracy: the share of rows whose class is predicted.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            With one column per task the mean over tasks, each on its labelled rows; not the share of rows that are
            right in every task.
        sample_weight : array-like of shape (n_samples,) or, with a 2-D y, (n_samples, n_tasks), default=None
        task : array-like of shape (n_samples,), default=None
            Task ids, if `fit` got them.

        Returns
        -------
        float
        """
        from sklearn.metrics import accuracy_score

        from skmtl._scores import Scored

        predicted = self.predict(X, task=task)
        columns, wide = label_columns(y)
        if self._labels.wide:
            refuse_other_order(y, self.tasks_)
            if not wide:
                raise ValueError(f"y must have one column per task, {len(self.tasks_)} as in fit. Got a 1-D y.")
            return Scored.of(y, predicted, None, sample_weight).mean(_share_right)
        if len(columns) == 1:  # as labels of their own type; what else there may be, scikit-learn refuses
            ((y, missing),) = columns
            refuse_missing(np.where(missing, np.nan, 0.0))
        return Scored.of(y, predicted, None, sample_weight).overall(accuracy_score)

    def _encode_labels(self, y):
        """The codes of y, in its own layout; sets `classes_`."""
        if y is None:
            return y  # whoever checks the data says so in the words of all estimators
        self._labels, codes = encode_labels(y)
        self.classes_ = self._labels.classes
        return codes

    def _by_classes(self, eta, function):
        """``function`` of numbers, one a class (n_samples, n_classes), for every task if y had one column per task."""
        if not self._labels.wide:
            return function(eta)
        return [function(eta[:, t, self._labels.own(t)]) for t in range(eta.shape[1])]

    def _answer(self, X, task, function):
        """``function`` of the decisions for the rows."""
        return function(self._decision(X, task))

    def _scores(self, eta):
        return eta if self._labels.binary else self._by_classes(eta, np.asarray)

    def _most_probable(self, eta):
        labels = self._labels
        if labels.binary:
            codes = (eta > 0).astype(np.intp) if labels.n_classes == 2 else np.zeros(eta.shape, dtype=np.intp)
            return labels.classes[np.arange(eta.shape[1]), codes] if labels.wide else labels.classes[codes]
        codes = self._by_classes(eta, lambda scores: scores.argmax(axis=1))
        if not labels.wide:
            return labels.classes[codes]
        predicted = np.empty(eta.shape[:2], dtype=labels.union.dtype)
        for t, code in enumerate(codes):
            predicted[:, t] = labels.classes[t][code]
        return predicted

    def _probabilities(self, eta, of_odds, of_classes):
        labels = self._labels
        if labels.n_classes == 1:
            eta = np.zeros((*eta.shape, 1), dtype=eta.dtype)  # no doubt
        elif labels.binary:
            return of_odds(eta) if labels.wide else np.column_stack([of_odds(-eta), of_odds(eta)])
        return self._by_classes(eta, lambda scores: of_classes(scores, axis=1))


def _share_right(y, predicted, sample_weight=None):
    """The share of labels, perhaps of several types, that are predicted."""
    return float(np.average(y == predicted, weights=sample_weight))


class LinearClassifier(MultiTaskClassifierMixin, LinearMultiTask):
    """A linear model with the log-loss; a subclass stores its parameters and gives `_penalty`."""

    def _weigh(self, data):
        """The data with its weights multiplied by those of the classes."""
        return data if self.class_weight is None else weigh_classes(data, self._labels, self.class_weight)

    def _start(self, data, penalty):
        """As that of every linear model, if there are as many classes as in the last fit."""
        shape = () if self._labels.binary else (self._labels.n_classes,)
        return super()._start(data, penalty) if getattr(self, "coef_", np.empty(0)).shape[1:-1] == shape else None

    def _losses(self, data):
        """The log-loss, for every task."""
        labels = self._labels
        return [Logistic() if labels.binary else Multinomial(labels.n_classes)] * data.n_tasks
