"""What all penalties have in common."""

import copy
from abc import abstractmethod

from sklearn.base import BaseEstimator

__all__ = ["Penalty"]


class Penalty(BaseEstimator):
    """A belief about how tasks relate, as a function of W (n_tasks, n_features).

    A `BaseEstimator`, so that ``penalty__alpha`` can be tuned and a penalty can be cloned and printed.
    """

    separable = False  # every task is a problem of its own
    rotation_invariant = False  # Omega(W R) = Omega(W) for every rotation R of the features

    @property
    def penalizes_intercepts(self):
        """Whether intercepts are penalised, too; then the origin of the features matters."""
        return False

    @abstractmethod
    def value(self, W):
        """Omega(W), in units of the loss."""

    def with_alpha(self, alpha):
        """The same belief with another strength."""
        other = copy.copy(self)  # not clone, which would copy a graph for every alpha
        other.alpha = float(alpha)
        return other

    def all_tasks(self, tasks):
        """The ids the model knows: those of the rows, and any the penalty itself brings."""
        return tasks
