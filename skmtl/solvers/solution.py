"""What every solver returns, and how a penalty finds its solver."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, singledispatch

import numpy as np

__all__ = ["Solution", "largest_of", "loss_of", "residual_norm", "solution_of", "solve"]


@dataclass(frozen=True)
class Solution:
    """The minimiser of one problem and how exact it is.

    Attributes
    ----------
    W : array of shape (n_tasks, n_features)
    b : array of shape (n_tasks,)
        Intercepts.
    w0, b0 : array of shape (n_features,), float
        The model of a task never seen.
    certificate : callable
        Returns the objective at W and the residual of the normal equations, ``|A x - b| / (|A| |x| + |b|)``. Called
        when first asked for: on a path of exact solutions it would cost as much as the solutions.
    n_iter : int
    converged : bool
    """

    W: np.ndarray
    b: np.ndarray
    w0: np.ndarray
    b0: float
    certificate: Callable[[], tuple[float, float]]
    n_iter: int = 1
    converged: bool = True

    @cached_property
    def _certified(self):
        return self.certificate()

    @property
    def objective(self):
        """The value of the objective, in units of the loss."""
        return self._certified[0]

    @property
    def residual(self):
        """How exactly the normal equations hold."""
        return self._certified[1]


@singledispatch
def solve(penalty, path, moments, c, *, max_iter=1000, init=None):
    """Minimise ``sum_t c_t / 2 * squared_error_t(W) + Omega(W)`` for every penalty of a path.

    Parameters
    ----------
    penalty : Penalty
        ``path[0]``; its type chooses the solver.
    path : list of Penalty
        Of one type, equal but for `alpha`. What does not depend on `alpha` is computed once.
    moments : TaskMoments
    c : array of shape (n_tasks,)
        The factor of each task's loss.
    max_iter : int
        For solvers that iterate, for each penalty.
    init : array of shape (n_tasks, n_features) or None
        Where solvers that iterate start.

    Yields
    ------
    Solution
    """
    raise TypeError(f"There is no solver for the penalty {penalty!r} of type {type(penalty).__name__}.")


def residual_norm(residual, size_A, x, b):
    """``|residual| / (|A| |x| + |b|)`` for tuples of arrays; 0 for the problem whose solution is 0."""
    error, length, right = (np.sqrt(sum(np.vdot(part, part) for part in parts)) for parts in (residual, x, b))
    scale = size_A * length + right
    return float(error / scale) if scale > 0 else 0.0


def solution_of(moments, W, certificate, w0=None, b=None, b0=None, **how):
    """The Solution of W; w0 and b0 are the means over tasks with weight where the penalty knows no shared model.

    Tasks without weight get that model, unless the penalty has said theirs by giving b.
    """
    active = moments.active
    known = slice(None) if active.all() else active
    w0 = W[known].mean(axis=0) if w0 is None else w0
    if b is None:
        W, b = np.where(active[:, None], W, w0), moments.intercepts(W)
        b = np.where(active, b, b[known].mean())
    return Solution(W, b, w0, b[known].mean() if b0 is None else b0, certificate, **how)


def loss_of(moments, c, W, GW):
    """``sum_t c_t / 2 * squared_error_t`` at the best intercepts."""
    return float(0.5 * c @ moments.squared_error(W, GW))


def largest_of(moments, c):
    """A lower bound of the largest eigenvalue of any c_t G_t: the largest diagonal entry."""
    return np.max(c[:, None] * moments.squares(), initial=0.0)
