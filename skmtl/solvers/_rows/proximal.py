"""The prox of any penalty, and what its subgradients prove, for solvers that take gradient steps.

A penalty with one term has a closed prox.  Of several terms, or of edges of a graph, the prox is found by the splitting
with ``1/2 |W - V|^2`` in the place of the loss.  A decomposition W = P + Q is a function of the pair, and each of the
two has the prox of its norm.

Arrays here are (n_copies, n_outputs, n_features): two copies for a decomposition, else one.  Where a task has several
outputs, its classes, a penalty that compares tasks sees them as one long row: see `Penalty.unfolds`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from skmtl.penalties.base import Chain
from skmtl.penalties.graph import Edges
from skmtl.solvers._certificates import common_null, way_of_parts, ways
from skmtl.solvers._coupling import Together, matters
from skmtl.solvers.splitting import minimize

__all__ = ["Unseen", "proximal"]

_INEXACT = 1e-12  # share of |V|^2 / (2 step), the value at P = 0: the gap of a prox that takes iterations
_INNER = 1000  # iterations for it, at most


def proximal(penalty, tasks, n_columns):
    """The prox of `penalty` for tasks with the ids `tasks` and `n_columns` outputs each."""
    terms = [term for term in penalty.terms(tasks) if matters(term)]
    iterated = len(terms) > 1 or any(isinstance(term, Edges) for term in terms)
    kind = _Pair if penalty.decomposition else _Iterated if iterated else _Closed
    return kind(penalty, tasks, n_columns, terms)


@dataclass(frozen=True)
class Unseen:
    """Weights that the penalty does not see, ``basis @ v`` in some features: there a solution's loss has no slope.

    Attributes
    ----------
    basis : sparse array of shape (n_tasks, n_null)
        Combinations of tasks that cost nothing, such as the constants of a graph's components, for each class by
        itself; the identity where all weights of these features cost nothing.
    features : int array or slice
    positive : bool
        Whether only weights >= 0 cost nothing: at zero the loss may have a slope, towards negative weights.
    """

    basis: Any
    features: Any
    positive: bool = False

    @classmethod
    def of(cls, terms, ridge, n_tasks):
        """None where every W costs something."""
        functions = [f for term in terms for f in term.norms if matters(f)]
        signs = [f for f in functions if f.is_sign_constraint]
        functions = [f for f in functions if f not in signs]
        unseen = [f.unseen_features for f in functions]
        others = [f for f, features in zip(functions, unseen, strict=True) if features is None]
        if signs and others:  # what tasks have in common has no sign of its own
            return None
        basis = common_null(others, ridge) if others or ridge > 0 else sparse.eye_array(n_tasks)
        masks = [features for features in unseen if features is not None]
        if basis is None or not np.all(masks, axis=0).any():
            return None
        return cls(basis, np.flatnonzero(np.all(masks, axis=0)) if masks else slice(None), bool(signs))

    @property
    def whole(self):
        """Whether it is the same for all features."""
        return isinstance(self.features, slice)

    @property
    def of_each_task(self):
        """Whether they are all weights of these features, those of every task by itself."""
        return not self.positive and self.basis.shape[0] == self.basis.shape[1]

    def mask(self, n_features):
        """The features as bool (n_features,)."""
        mask = np.zeros(n_features, dtype=bool)
        mask[self.features] = True
        return mask


class _Proximal:
    """What all three kinds have in common.

    Parameters
    ----------
    penalty : Penalty
    tasks : array of shape (n_tasks,)
        The ids.
    n_columns : int
        How many outputs a task has.
    terms : list of Term or Chain
        Those of the penalty that have any strength.
    """

    n_copies = 1
    closed = True  # whether a prox costs no iterations
    ridge_of_sum = 0.0  # strength of a ridge term that the prox leaves to the gradient

    def __init__(self, penalty, tasks, n_columns, terms):
        self.penalty, self.terms, self.ridge = penalty, terms, penalty.ridge
        self._tasks = tasks
        self._n_rows = len(tasks) if penalty.unfolds else len(tasks) * n_columns
        self._costs_nothing = not terms and self.ridge == 0.0
        self.unseen = Unseen.of(terms, self.ridge, len(tasks))

    @property
    def blind(self):
        """Whether some combinations of tasks cost nothing, whatever the feature."""
        return self.unseen is not None and self.unseen.whole

    def seen(self, down):
        """The negative gradient `down` with zeros in unpenalised features, where only rounding is left of it.

        Where weights are to be >= 0 it may be negative there, too, which is in every dual ball.
        """
        if self.unseen is None or (self.unseen.whole and not self.unseen.positive):
            return down
        down = down.copy()
        down[:, self.unseen.features] = 0.0
        return down

    def seen_features(self, n_features):
        """Which features cost something, bool (n_features,); None if all do."""
        return None if self.unseen is None or self.unseen.whole else ~self.unseen.mask(n_features)

    def _duals(self, V, step):
        """The terms with subgradients at their prox of V: together ``(V - prox(V)) / step`` less the ridge's part."""
        raise NotImplementedError

    def view(self, W):
        """W (n_outputs, n_features) as the penalty sees it."""
        return W.reshape(self._n_rows, -1)

    def value(self, copies):
        """Omega."""
        W = self.view(copies[0])
        return sum(term.value(W) for term in self.terms) + 0.5 * self.ridge * float(np.vdot(W, W))

    def ways(self, copies, down, step, duals=None):
        """The ways in which dual variables add up to `down` (n_outputs, n_features): see `_certificates.ways`.

        duals : list of (function, subgradient)
            If known; else those of the prox of ``W + step * down``, which is W at a solution.
        """
        if self._costs_nothing:  # `down` is zero but for rounding, see `unseen`
            yield 0.0, 0.0
            return
        W, D = self.view(copies[0]), self.view(down)
        duals = self._duals(W + step * D, step) if duals is None else duals
        yield from ways(D, duals, self.ridge, 0 if self.unseen is None else self.unseen.basis.shape[1])

    def ways_at_zero(self, down):
        """The same at W = 0, where any subgradients do: from zeros, so that each norm in turn takes all of `down`."""
        yield from self.ways(np.zeros((1, *down.shape)), down, 1.0, self._nothing(self.view(down)))

    def _nothing(self, D):
        """The functions with dual variables that are zero, for D of the shape of W."""
        functions = [f for term in self.terms for f in term.norms if matters(f)]
        n_rows = [len(f.s) if isinstance(f, Edges) else len(D) for f in functions]
        return [(f, np.zeros((n, D.shape[1]))) for f, n in zip(functions, n_rows, strict=True)]


class _Closed(_Proximal):
    """One term, or the ridge term alone."""

    def prox(self, copies, step):
        """``argmin_P step * Omega(P) + 1/2 |P - V|^2``."""
        V, step = self._after_ridge(self.view(copies[0]), step)
        for term in self.terms:
            V = term.prox(V, step)
        return V.reshape(copies.shape)

    def _after_ridge(self, V, step):
        """The V and step at which the prox of the term alone gives that of term and ridge."""
        scale = 1.0 + step * self.ridge
        return V / scale, step / scale

    def _duals(self, V, step):
        V, step = self._after_ridge(V, step)
        if not self.terms:
            return []
        (term,) = self.terms
        if isinstance(term, Chain):
            return list(zip(term.norms, term.duals(V, step), strict=True))
        return [(term, (V - term.prox(V, step)) / step)]


class _Iterated(_Proximal):
    """Several terms, or edges: the splitting finds the prox, each time from where it found the one before."""

    closed = False
    _state = None

    def prox(self, copies, step):
        """``argmin_P step * Omega(P) + 1/2 |P - V|^2``."""
        problem = self._problem(self.view(copies[0]), step)
        return self._found(problem).W.reshape(copies.shape)

    def _problem(self, V, step):
        return Together(self.penalty, _Nearest(V, self._tasks, step, self.ridge))

    def _found(self, problem):
        found = minimize(problem, _INEXACT * problem.quadratic.f0, _INNER, self._state)
        self._state = found.state
        return found

    def _duals(self, V, step):
        problem = self._problem(V, step)
        state = self._found(problem).state
        if state is None:  # V is zero, and was whenever it was asked for
            return self._nothing(V)
        z, rho = state
        duals = []
        _, y, _ = problem.step(z, rho)
        Z, Y = problem.blocks(z), problem.blocks(y)
        for term, at, target, block in zip(problem.terms, problem.copies(Z, rho), Y, Z, strict=True):
            duals += term.duals(2.0 * at - block, target, rho)
        return duals


class _Pair(_Proximal):
    """``W = P + Q``: a step on the pair is a step on each."""

    n_copies = 2

    def __init__(self, penalty, tasks, n_columns, terms):
        super().__init__(penalty, tasks, n_columns, terms)
        self.unseen, self.ridge_of_sum = None, self.ridge

    def prox(self, copies, step):
        """Of both parts, without the ridge term, which is of their sum."""
        P, Q = (self.view(part) for part in copies)
        return np.stack([term.prox(V, step) for term, V in zip(self.terms, (P, Q), strict=True)]).reshape(copies.shape)

    def value(self, copies):
        parts = [self.view(part) for part in copies]
        W = parts[0] + parts[1]
        norms = sum(term.value(part) for term, part in zip(self.terms, parts, strict=False))
        return norms + 0.5 * self.ridge * float(np.vdot(W, W))

    def ways(self, copies, down, step, duals=None):
        yield way_of_parts(self.view(copies[0] + copies[1]), self.view(down), self.terms, self.ridge)


class _Nearest:
    """``1/(2 step) |W - V|^2`` as the smooth part of a splitting."""

    def __init__(self, V, tasks, step, ridge):
        self.V, self.tasks, self.rate, self.ridge = V, tasks, 1.0 / step, ridge
        self.B = self.rate * V
        self.f0 = 0.5 * self.rate * float(np.vdot(V, V))

    @property
    def curvature(self):
        """Of every direction."""
        return self.rate + self.ridge

    def at(self, W):
        """The value and its negative gradient."""
        R = self.V - W
        return 0.5 * self.rate * float(np.vdot(R, R)), self.rate * R

    def value(self, W):
        """With the ridge term."""
        return self.at(W)[0] + 0.5 * self.ridge * float(np.vdot(W, W))

    def resolve(self, R, rho):
        """``(rate + ridge + rho)^-1 R``."""
        return R / (self.rate + self.ridge + rho)

    def inverse_on(self, N, to_noise=False):
        """The function ``r -> (N' H N)^-1 r`` for r (n_combinations, n_features) and the Hessian H, a multiple of 1."""
        squares = self.rate * (N * N).sum(axis=0)[:, None]
        return lambda R: R / squares
