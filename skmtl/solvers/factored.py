r"""Reduced rank and latent basis with any loss of rows: steps in either factor, each on the losses' parabolas.

    min_(S, B, b)  sum_t c_t sum_i s_ti l(y_ti, x_i B's_t + b_t) + price(S, B),      W = S B

Where one factor stands still, the problem is convex in the other, and the losses have parabolas that touch them where W
is now.  With these the steps are those of the squared loss, exact, and a line search on the true objective makes them
safe: W stays of its rank, since it moves along one factor at a time.  Both steps of a round use the same parabolas.  Of
several classes each is a task of its own.

A round starts anywhere.  Starts are the solutions of the whole problem for the parabolas at zero weights and at
independent solutions with a ridge, and what is left of these if their rank is cut.
"""

from typing import Any, NamedTuple

import numpy as np

from skmtl.penalties import LatentBasis, ReducedRank, Ridge
from skmtl.solvers._alternating import Step, best_of, relative_change
from skmtl.solvers._rows.models import ColumnModel
from skmtl.solvers.latent_basis import BasisSteps, directions, ordered
from skmtl.solvers.reduced_rank import RankSteps
from skmtl.solvers.solution import solve_one

__all__ = ["Factored", "factored"]

_STRENGTHS = 0.1, 1.0  # ridges of the starts, in units of the mean curvature of the loss at W = 0
_ROUGH = 1e-3  # tolerance of what leads to a start
_BOLD = 1.0  # share of the curvature of parabolas above the loss that the model has at least: see `ColumnModel`
_HALVINGS = 30  # of a step, at most
_REACH = 10.0  # times the largest margin or label: how far a step may move margins
_NOTHING = 1e-12  # share of the loss at zero weights: with no more objective left, nothing is left to gain
_KEPT = 3  # starts with the lowest objective, from which rounds begin


class Factored(NamedTuple):
    """A solution: its factors S (n_outputs, k) and B (k, n_features), and what is known of it."""

    S: Any
    B: Any
    a: Any
    objective: float
    change: float
    n_iter: int
    converged: bool


def factored(penalty, rows, minimum, *, tol, max_iter, init=None, n_jobs=None):
    """The solution of a `ReducedRank` or a `LatentBasis` on `rows`.

    Parameters
    ----------
    minimum : callable
        ``minimum(Ridge, tol)`` is the solution of independent tasks: a `Progress`, and whether it is exact enough.
    init : array of shape (n_outputs, n_features), or None
        W to start from, besides.
    """
    if isinstance(penalty, LatentBasis) and penalty.alpha * penalty.alpha_ridge == 0:
        penalty = ReducedRank(penalty.n_components, alpha_ridge=0.0)  # one term can be scaled away, and the other
    steps = _Steps(penalty, rows, n_jobs)
    if isinstance(penalty, ReducedRank) and penalty.rank >= min(rows.shape):
        alone, exact = minimum(Ridge(penalty.alpha_ridge), tol)
        S, B = directions(alone.W, steps.k)
        change = steps(steps.joined(S, B, alone.a)).change
        return Factored(S, B, alone.a, alone.objective, change, alone.n_iter, exact)
    tried = [(*steps.objective(S, B), S, B) for S, B in steps.starts(minimum, init)]
    starts = [steps.joined(S, B, a) for _, a, S, B in sorted(tried, key=lambda start: start[0])[:_KEPT]]
    last, n_iter, settled = best_of(steps, starts, f0=steps.f0, tol=tol, max_iter=max_iter)
    settled = settled and last.change <= np.sqrt(tol)  # else it is a loss without a minimum, and weights grow
    S, B, a = last.model
    if not last.objective < steps.f0:  # a local minimum above zero weights
        S, B, a = np.zeros_like(S), np.zeros_like(B), steps.a_null
    if isinstance(penalty, LatentBasis):
        S, B = ordered(S, B)
    objective, a = steps.objective(S, B, a)
    return Factored(S, B, a, objective, last.change, n_iter, settled)


class _Steps:
    """A round of both steps.  A point: both factors, and intercepts near the best, in one vector."""

    def __init__(self, penalty, rows, n_jobs):
        self.penalty, self.rows, self.n_jobs = penalty, rows, n_jobs
        self.k = int(penalty.rank if isinstance(penalty, ReducedRank) else penalty.n_components)
        self.a_null, at = rows.at_zero
        self.f0 = at.loss

    def _price(self, S, B):
        """The penalty of factors."""
        if isinstance(self.penalty, LatentBasis):
            return self.penalty.value(B, S)
        return Ridge(self.penalty.alpha_ridge).value(S @ B)

    def _steps_of(self, moments, c):
        """The exact steps for the squared loss of these moments."""
        if isinstance(self.penalty, LatentBasis):
            return BasisSteps(self.penalty, moments, c)
        return RankSteps(moments, c, self.k, float(self.penalty.alpha_ridge))

    def joined(self, S, B, a):
        """The point of two factors and intercepts."""
        return np.concatenate([S.ravel(), B.ravel(), a])

    def _parts(self, x):
        S, B, a = np.split(x, np.cumsum([self.rows.n_outputs * self.k, self.k * self.rows.shape[1]]))
        return S.reshape(-1, self.k), B.reshape(self.k, -1), a

    def objective(self, S, B, a=None):
        """The value at the best intercepts, looked for from `a`, and these."""
        a, at = self.rows.at_best(S @ B, self.a_null if a is None else a)
        return float(np.nan_to_num(at.loss + self._price(S, B), nan=np.inf)), a

    def __call__(self, x):
        """Better loadings, and better components for these.

        The change is that of both: where loadings alone reach every W, components have nothing to add to what is the
        minimum of the parabolas only.
        """
        S, B, a = self._parts(x)
        value, a = self.objective(S, B, a)
        if value <= _NOTHING * self.f0:
            grow = self.objective(2.0 * S, B, a)[0] <= value  # no minimum: it is at infinity
            return Step(value, x, float(grow), (S, B, a))
        if not value < 2.0 * self.f0:  # extrapolated too far
            return Step(value, x, 1.0, (S, B, a))
        before = S @ B
        model = ColumnModel(self.rows, before, a, _BOLD, self.n_jobs)
        steps = self._steps_of(model.moments, model.c)
        S, B = steps.for_loadings(S, B)
        S, value, a = self._towards(steps.best_loadings(S, B), S, lambda S: (S, B, a), value)
        S, B = steps.for_components(S, B)
        B, _, a = self._towards(steps.best_components(S, B), B, lambda B: (S, B, a), value)
        return Step(value, self.joined(S, B, a), relative_change(before, S @ B), (S, B, a))

    def _towards(self, end, start, point, value):
        """Go from the factor `start` to `end`, that of the parabolas, halving until the objective does not rise.

        ``point(factor)`` are S, B and intercepts for a factor.  Returns the factor, the objective and the intercepts.
        """
        share = self._share(point(start), point(end))
        for halvings in range(_HALVINGS):
            new = start + 0.5**halvings * share * (end - start)
            reached, a = self.objective(*point(new))
            if reached <= value + 1e-15 * abs(value):
                return new, reached, a
        return start, value, point(start)[2]

    def _share(self, here, there):
        """The share of the way that moves margins within `_REACH`; farther, parabolas say little of the loss."""
        before, after = (self.rows.margins(S @ B) for S, B, _ in (here, there))
        reach = _REACH * max(np.abs(before).max(), np.abs(self.rows.data.y).max(), 1.0)
        return min(1.0, reach / max(float(np.abs(after - before).max()), 1e-300))

    def starts(self, minimum, init):
        """Pairs of factors, the same in every fit."""
        if init is not None:
            yield directions(init, self.k)
        zero = ColumnModel(self.rows, np.zeros(self.rows.shape), self.a_null, _BOLD, self.n_jobs)
        yield self._of_parabolas(zero)
        curvature = float((zero.c @ zero.moments.squares).sum()) / self.rows.shape[0] / self.rows.shape[1]
        for factor in _STRENGTHS:
            alone, _ = minimum(Ridge(factor * curvature), _ROUGH)
            yield directions(alone.W, self.k)
            yield self._of_parabolas(ColumnModel(self.rows, alone.W, alone.a, _BOLD, self.n_jobs))

    def _of_parabolas(self, model):
        how = {"tol": _ROUGH, "max_iter": 100}
        solution = solve_one(self.penalty, model.moments, model.c, **how)
        if isinstance(self.penalty, LatentBasis):
            (S,) = solution.parts
            return S, np.linalg.pinv(S) @ solution.W
        return directions(solution.W, self.k)
