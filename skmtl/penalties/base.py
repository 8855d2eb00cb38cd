"""What all penalties have in common, and what a solver may ask of one.

Two kinds of penalty:

    Norm       alpha times a norm: `value`, `prox`, `dual_norm`, and the solver, the duality gap and alpha_max follow
    Penalty    anything else: a sum of terms, `terms(tasks)`

Four kinds of term; all but the last are a `Term`, which says what else a solver may ask:

    Norm       `EveryPair`, of a graph of all pairs of tasks, among them
    Square     grows like a square: `value`, `prox`, `conjugate`
    Edges      differences along a graph: a `prox` of copies of their ends, flows as subgradients (`graph.py`)
    Chain      norms whose proxes are applied one after the other

`W` has shape (n_tasks, n_features) everywhere.
"""

import copy
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

__all__ = ["Chain", "Norm", "Penalty", "Square", "Term"]


class Penalty(ABC, BaseEstimator):
    """A belief about how tasks relate, as a function of W (n_tasks, n_features).

    A `BaseEstimator`, so that ``penalty__alpha`` can be tuned and a penalty can be cloned and printed.
    """

    separable = False  # every task is a problem of its own
    decomposition = False  # W = P + Q, and the two terms are functions of P and of Q
    takes_sparse = True  # whether its solver takes a sparse X
    alpha_intercept: Any = 0.0  # strength on how intercepts deviate from each other; infinite: all tasks have one

    @property
    def unfolds(self):
        """Whether a row of W is a task with all its classes side by side, where tasks have several.

        Then W has shape (n_tasks, n_classes * n_features).  Else a row is a class of a task, and W has shape (n_tasks *
        n_classes, n_features): for beliefs about features, whose value does not depend on which row is which.
        """
        return True

    @property
    def rotation_invariant(self):
        """Whether Omega(W R) = Omega(W) for every rotation R of the features."""
        return False

    @property
    def penalizes_intercepts(self):
        """Whether intercepts are penalised, too; then it matters where features have their zero."""
        return self.alpha_intercept > 0

    @property
    def has_nodes(self):
        """Whether tasks without labels may belong to the model; else they get the shared one after the fit."""
        return False

    @property
    def ridge(self):
        """Strength of the ridge term, which the quadratic step of a solver takes up."""
        return float(getattr(self, "alpha_ridge", 0.0))

    def check(self):
        """Raise ValueError where parameters, each in its range, do not go together."""

    @abstractmethod
    def value(self, W):
        """Omega(W), in units of the loss."""

    def of_classes(self, n_classes):
        """The same belief for tasks with `n_classes` classes: another object where its parts differ in `unfolds`."""
        return self

    def shared(self, W):
        """The weights (n_features,) of a task never seen, from the weights W of the tasks with rows."""
        return W.mean(axis=0)

    def with_alpha(self, alpha):
        """The same belief with another strength."""
        other = copy.copy(self)  # not clone, which would copy a graph for every alpha
        other.alpha = float(alpha)
        return other

    def scaled(self, factor):
        """``factor * Omega``."""
        other = copy.copy(self)
        for name, value in self.get_params(deep=False).items():
            if name.startswith("alpha"):
                setattr(other, name, factor * value)
        return other

    def all_tasks(self, tasks):
        """The ids the model knows: those of the rows, and any the penalty itself brings."""
        return tasks

    def placed(self, nodes, kept):
        """The same belief about some tasks only: those of `nodes`, ids as of `all_tasks`, where `kept` is true.

        What refers to positions then refers to those among the kept ones.
        """
        return self

    def terms(self, tasks):
        """The summands of Omega without its ridge term, each a Term or a Chain, for tasks with the ids `tasks`."""
        raise TypeError(f"There is no solver for the penalty {self!r} of type {type(self).__name__}.")

    def alpha_max(self, gradient):
        """The smallest `alpha` for which all weights are zero, for the loss's negative gradient at W = 0.

        Raises
        ------
        ValueError
            If there is none: the penalty is not a norm.
        """
        raise ValueError(f"{type(self).__name__} has no alpha_max: its value is not a norm.")

    def fitted_attributes(self, W, parts, tasks, seen):
        """What a fit publishes besides the weights: ``{"rank_": ...}``.

        parts : (P, Q) of a decomposition.
        seen : bool (n_tasks,), false for tasks without weight, which were only given the shared model.
        """
        return {}

    def _ridge_value(self, W):
        """``alpha_ridge / 2 * |W|^2``."""
        return 0.5 * self.ridge * float(np.vdot(W, W)) if self.ridge else 0.0

    def _after_ridge(self, V, step):
        """The V and step at which the prox without the ridge term gives the prox of the whole penalty."""
        return (V / (1.0 + step * self.ridge), step / (1.0 + step * self.ridge)) if self.ridge else (V, step)

    def _without_ridge(self):
        """The penalty with `alpha_ridge` 0."""
        if not self.ridge:
            return self
        bare = copy.copy(self)
        bare.alpha_ridge = 0.0
        return bare

    def __add__(self, other):
        """Both beliefs at once, a `Sum`."""
        from skmtl.penalties.composite import Sum

        return Sum(self, other)


class Term(Penalty):
    """A penalty that is its own and only term, and what a solver may ask of it besides its prox."""

    alpha = 1.0  # where there is no parameter for it
    constrains = False  # whether it restricts W even if alpha is 0
    directions: Any = None  # a method that gives the derivative of the prox, if there is one: see `_directions.py`

    @property
    def norms(self):
        """The functions it is the sum of: itself; a `Chain` has several."""
        return (self,)

    @property
    def null(self):
        """Combinations of tasks that cost nothing, orthonormal: sparse array (n_tasks, n_null), or None.

        Subgradients are orthogonal to them.
        """
        return None

    @property
    def unseen_features(self):
        """Which features cost nothing, bool (n_features,); None if there are none."""
        return None

    @property
    def is_sign_constraint(self):
        """Whether it is 0 for weights >= 0, and infinite for all others."""
        return False

    def check(self):
        """Raise ValueError where somebody's own class has no `alpha`, or a parameter with a name that says more."""
        kind, names = type(self), self.get_params(deep=False).keys()
        if "alpha" not in names:
            raise ValueError(f"{kind.__name__} needs a parameter 'alpha', its strength, in its __init__.")
        for name in names - {"alpha", "alpha_ridge"}:
            if hasattr(Term, name):
                raise ValueError(f"{kind.__name__} has a parameter {name!r}, which hides Term.{name}: rename it.")
            if name.startswith("alpha") and kind.terms is Term.terms:
                raise ValueError(
                    f"{kind.__name__} has a parameter {name!r}. Names that begin with 'alpha' are for strengths of "
                    "terms, which a sum changes, and this penalty has one term: rename it."
                )

    @abstractmethod
    def prox(self, V, step):
        """``argmin_P step * value(P) + 1/2 |P - V|_F^2``."""

    def terms(self, tasks):
        return (self._without_ridge(),)

    # A dual variable is an array like W. Only that of `Edges` is a flow, which the next two methods translate.

    def divergence(self, U):
        """The subgradient (n_tasks, n_features) that the dual variable U stands for."""
        return U

    def route(self, M):
        """The dual variable of M (n_tasks, n_features), which is orthogonal to `null`."""
        return M

    @abstractmethod
    def gauge(self, U):
        """The size of U relative to the dual ball: U is feasible if it is at most 1."""

    def price(self, U):
        """The conjugate at U inside the ball."""
        return 0.0


class Norm(Term):
    """``alpha * Omega(W)`` with a norm Omega, said by three methods.

    ::

        value(W)       alpha * Omega(W)                                      float, units of the loss
        prox(V, step)  argmin_P  step * alpha * Omega(P) + 1/2 |P - V|_F^2    shape and units of V
        dual_norm(Z)   max { <Z, W> : Omega(W) <= 1 }                         float, units of Z

    A norm with an `alpha_ridge` adds `_ridge_value` to its value and begins its prox with `_after_ridge`.
    """

    @abstractmethod
    def dual_norm(self, Z):
        """``max { <Z, W> : Omega(W) <= 1 }``, Omega without alpha."""

    def gauge(self, U):
        length = self.dual_norm(U)
        return length / self.alpha if self.alpha > 0 else (np.inf if length > 0 else 0.0)

    def alpha_max(self, gradient):
        return float(self.dual_norm(gradient))


class Square(Term):
    """A function that grows like a square, ``Omega(s W) = s^2 Omega(W)``: `value`, `prox` and `conjugate`."""

    @abstractmethod
    def conjugate(self, U):
        """``max_W <U, W> - value(W)``; infinite outside the range of the gradient."""

    def gauge(self, U):
        return 0.0

    def price(self, U):
        return self.conjugate(U)


class Chain:
    """Norms whose sum has the composition of their proxes as its prox, in this order: first ``norms[0]``.

    Valid when each later prox keeps the subgradients of the earlier norms (Yu 2013, *NIPS*, 91-99), as a scaling of
    rows does.
    """

    def __init__(self, *norms):
        self.norms = norms

    def value(self, W):
        """The sum of the norms."""
        return sum(norm.value(W) for norm in self.norms)

    def prox(self, V, step):
        """The prox of the sum."""
        for norm in self.norms:
            V = norm.prox(V, step)
        return V

    def directions(self, V, step):
        """The `Directions` of the derivative of `prox` at V."""
        directions = None
        for norm in self.norms:
            P = norm.prox(V, step)
            directions, V = norm.directions(V, P, step, directions), P
        return directions

    def duals(self, V, step):
        """A subgradient of each norm at ``prox(V, step)``, summing to ``(V - prox(V, step)) / step``."""
        duals = []
        for norm in self.norms:
            P = norm.prox(V, step)
            duals.append((V - P) / step)
            V = P
        return duals
