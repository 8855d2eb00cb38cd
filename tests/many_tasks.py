"""Estimators as scikit-learn's checks, which know nothing of tasks, can use them on many."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.validation import check_is_fitted


def ids_of(X):
    """Three tasks, made of the rows themselves; one where X is no table of numbers, as the model itself shall say."""
    try:
        table = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
        first = np.zeros(len(table)) if np.iscomplexobj(table) else np.nan_to_num(table[:, 0].astype(float), posinf=0.0)
    except (TypeError, ValueError, IndexError):
        return np.zeros(1)
    return np.floor(3 * np.abs(first)) % 3


def on_many_tasks(Estimator):
    """The estimator with ids that it makes of the rows."""

    def fit(self, X, y, sample_weight=None):
        outputs = y is not None and np.asarray(y).ndim == 2 and np.asarray(y).shape[1] > 1
        return super(Many, self).fit(X, y, sample_weight, task=None if outputs else ids_of(X))

    def ask(name):
        def method(self, X):
            check_is_fitted(self)
            return getattr(super(Many, self), name)(X, task=ids_of(X) if self._source == "metadata" else None)

        return method

    def score(self, X, y, sample_weight=None):
        metric = accuracy_score if is_classifier(self) else r2_score
        return metric(y, self.predict(X), sample_weight=sample_weight)

    answers = ("predict", "predict_proba", "predict_log_proba", "decision_function")
    methods = {name: ask(name) for name in answers if hasattr(Estimator, name)}
    Many = type(f"{Estimator.__name__}OnManyTasks", (Estimator,), {"fit": fit, "score": score, **methods})
    Many.__module__ = __name__
    globals()[Many.__name__] = Many  # where pickle looks for it
    return Many


def for_checks(Many, **unique):
    """An instance for scikit-learn's checks, which compare fits to 1e-7: a gap of 1e-6 does not promise that.

    unique : parameters, if the estimator has them, without which the weights are not unique
    """
    settings = {name: value for name, value in unique.items() if name in Many().get_params()}
    return Many(unknown_task="shared", tol=1e-12, **settings)
