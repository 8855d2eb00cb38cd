r"""Proximal gradient steps on the rows, extrapolated: for every loss and every penalty that has a prox.

    min_(W, b)  f(W, b) + Omega(W),      W <- prox_{step Omega}(W - step * grad f)

One step costs two products with X, dense or sparse, and no d x d array.  Where features are long and short, or depend
on each other, the steps are many, and `newton` is better.

The iteration is one of the point z before the prox, ``z -> x - step * grad f(x)`` with x = prox(z), so that Anderson's
extrapolation of z applies (Mai, Johansson 2020, *ICML* 119:6620-6629); an extrapolated point that does not lower the
objective is given up for the plain step.  Intercepts are coordinates among the others, in units in which their
curvature is that of the weights.

The certificate.  At the best intercepts of W, theta = -dl/deta and every s theta, 0 <= s <= 1, are in the domain of the
losses' conjugates and orthogonal to what the intercepts may do.  The s that the penalty's dual ball lets through gives
a lower bound of every objective.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from skmtl.solvers._anderson import Anderson
from skmtl.solvers._rows.curved import Curved
from skmtl.solvers._rows.levelling import Levelling
from skmtl.solvers._rows.proximal import proximal
from skmtl.solvers.solution import AT_ZERO, ROUNDING, Certificate

__all__ = ["Progress", "RowDescent"]

_EQUAL = 1e-15  # share of the loss at zero: objectives that differ by no more are equal, and the later point is kept
_LINEAR = 1e-4  # share of the features' mean square: the least first curvature, as Huber's loss has none far off
_TOO_LONG = 1.3  # step times curvature; the iteration converges below 2
_SHORTEST = 0.01  # of a step: what is tried next, at least
_DIGITS = 1e-4  # share of the weights that a step has to move them for subgradients with twelve digits
_SETTLING = 4  # iterations of a run before `_prove_nearby` is worth its Gram matrices
_SLOW = 0.9  # the ratio of a gain to the one before it: the guess where it is unknown, and the most that is believed
_HOPELESS = 3.0  # times the goal: while more is likely to be left to gain, no gap is computed
_AHEAD = 0.5  # share of the gap: if the levelled point is better by so much more, the steps go on from there
_MANY = 60_000  # bytes of weights; with more, extrapolation of two copies remembers half as many steps
_IDLE = 5  # proofs in a row that make the gap no smaller


@dataclass
class Progress:
    """The best point and the best lower bound so far."""

    copies: Any  # (n_copies, n_outputs, n_features)
    a: Any  # intercepts, counted from the means
    objective: float
    bound: float
    n_iter: int = 0

    @property
    def gap(self):
        """The duality gap."""
        return max(self.objective - self.bound, 0.0)

    @property
    def certificate(self):
        """What is known of the point."""
        return Certificate(self.objective, float(self.gap), None)

    @property
    def W(self):
        """The weights: the sum of the copies."""
        return self.copies.sum(axis=0)


class _Pace:
    """A guess at what is left to gain, from the objective now and then: as if gains shrank geometrically."""

    def __init__(self, value):
        self._value, self._gain = value, 0.0

    def left(self, value):
        """By how much the objective, `value` now, will still fall."""
        last, self._gain, self._value = self._gain, self._value - value, value
        rate = min(self._gain / last, _SLOW) if last > 0.0 else _SLOW
        return self._gain * rate / (1.0 - rate)


class RowDescent:
    """The problem of one loss and one penalty: its value at zero, certificates, and steps towards the solution.

    Parameters
    ----------
    rows : RowLoss
    penalty : Penalty
    """

    def __init__(self, rows, penalty):
        self.rows, self.penalty = rows, penalty
        self.prox = proximal(penalty, rows.data.tasks, rows.K)
        self.zeros = np.zeros((self.prox.n_copies, *rows.shape))
        self.a_null, self.at_null = rows.at_zero
        self.f0 = self.at_null.loss
        self.levelling = None if self.prox.unseen is None else Levelling(rows, self.prox.unseen, self.f0)
        self._step, self._first = None, 0  # of the last run: the size of its steps, and the iterations before it
        usual = rows.K == 1 and rows.a_b == 0.0 and self.prox.n_copies == 1
        self._moves = usual and self.prox.closed and not self.prox.blind  # whether `_prove_nearby` can move residuals
        self._model = None  # the `Curved` that moves them, once it is made

    def start(self, copies=None, a=None):
        """Where to begin: at given weights (n_copies, n_outputs, n_features) and intercepts, or at zero."""
        progress = Progress(self.zeros, self.a_null, self.f0, 0.0)
        if copies is not None:
            self.certify(progress, copies, self.a_null if a is None else a, prove=False)
        return progress

    def at_zero(self):
        """The `Progress` with its proof where W = 0 is optimal."""
        progress = self.start()
        if self.rows.constant:  # no weights lower the loss
            progress.bound = self.f0
            return progress
        self.certify(progress, self.zeros, self.a_null)
        if not self.prox.closed:
            self.prove(progress, self.at_null, self.prox.ways_at_zero(self.prox.seen(self.at_null.down)))
        return progress

    def zero_is_optimal(self):
        """Whether the loss's gradient at W = 0 is a subgradient of the penalty there, or nothing but rounding."""
        if self.rows.constant:
            return True
        down = np.broadcast_to((1.0 - AT_ZERO) * self.at_null.down, self.zeros.shape)
        return not down.any() or not self.prox.prox(down, 1.0).any()

    # ------------------------------------------------------------------------------------------------ certificates

    def certify(self, progress, copies, a, prove=True):
        """Take this point, at its best intercepts, if it is the best so far, and the bound that it proves, if higher.

        Where some weights cost nothing, it is first moved along these to where the loss has no slope.
        """
        a, at = self.rows.at_best(copies.sum(axis=0), a)
        dual, left = at, 0.0
        if prove and self.levelling is not None:
            level = self.levelling.level(copies[0], a, at, progress.W, progress.gap)
            copies, a, at, dual, left = level.W[None], level.a, level.at, level.dual, level.left
        objective = at.loss + self.prox.value(copies)
        if objective <= progress.objective + _EQUAL * self.f0:
            progress.copies, progress.a, progress.objective = copies, a, objective
        if prove:
            self._prove_by_prox(progress, copies, a, dual, left)

    def _prove_by_prox(self, progress, copies, a, at, left):
        """The bound of the residuals at a point, with subgradients of the penalty where a step from there leads."""
        down = self.prox.seen(at.down)
        # subgradients are differences, divided by the step: beside large weights a tiny one would leave them no digits
        step = max(self._step or 1.0, _DIGITS * np.abs(copies).max() / (np.abs(down).max() or 1.0))
        self.prove(progress, at, self.prox.ways(copies, down, step), left)
        if self._moves and progress.n_iter - self._first > _SETTLING:
            self._prove_nearby(progress, copies, a, at, step)

    def _prove_nearby(self, progress, copies, a, at, step):
        """Take the bound of the nearest dual point whose `down` is a subgradient.

        The residuals' own `down` is outside the dual ball by about as much as W is from the solution.  To scale it into
        the ball costs as much; to move the residuals costs no more than the square of that.  Gram matrices of an
        earlier point serve as long as what they move stays in the losses' domain.
        """
        ahead = self.prox.prox(copies + step * at.down, step)
        target = (copies[0] - ahead[0]) / step + at.down
        for made_now in (self._model is None, True):
            if made_now:
                self._model = Curved.of(self.rows, copies[0], a)
            if not self._model:
                self._moves = False
                return
            theta = at.theta + self._model.shift(target - at.down)
            ways = self.prox.ways(ahead, self.prox.seen(target), step)
            if self.prove(progress, replace(at, theta=theta), ways) or made_now:
                return

    def prove(self, progress, at, ways, left=0.0):
        """Take the bound that multiples of the dual point of `at` give, less what is `left`, if it is higher.

        Returns whether they give any: they do not where the point is outside of the losses' domain.
        """
        bounds = [
            self.rows.dual_value(at, gauge, price) - left
            for gauge, price in ways
            if np.isfinite(gauge) and np.isfinite(price)
        ]
        progress.bound = max([progress.bound, *bounds])
        return bool(np.isfinite(bounds).any())

    # -------------------------------------------------------------------------------------------------- iterations

    def run(self, progress, goal, enough, max_iter):
        """Steps until the gap is at most `goal`, or at most `enough` and proofs get no better."""
        steps = _Steps(self, progress, self._step)
        pace, check, idle = _Pace(steps.point.value), 4, 0
        first = self._first = progress.n_iter
        while progress.n_iter < max_iter:
            progress.n_iter += 1
            n = progress.n_iter - first
            if not steps.advance() or n < check:
                continue
            check, self._step, before = n + 4 + n // 20, steps.size, progress.gap
            near = pace.left(steps.point.value) <= _HOPELESS * goal
            if not near and self.levelling is None:
                continue
            self.certify(progress, steps.point.copies, steps.point.a)
            idle = idle + 1 if progress.gap > 0.9 * before else 0
            if self._is_over(progress, goal) or (idle >= _IDLE and progress.gap <= enough):
                return
            if self.levelling is not None and steps.point.value - progress.objective > _AHEAD * progress.gap:
                steps.begin(progress)
        self._step = steps.size
        self.certify(progress, steps.point.copies, steps.point.a)

    def _is_over(self, progress, goal):
        """Whether the gap is at most `goal`; weights that are all zero have to be optimal besides."""
        if progress.gap > max(goal, ROUNDING * self.f0):
            return False
        return bool(progress.copies.any()) or self.zero_is_optimal()


class _Point(NamedTuple):
    """A point of the iteration, with the loss there, an `At`, and the objective."""

    copies: Any
    W: Any
    a: Any
    at: Any
    value: float


class _Steps:
    """The iteration, from the best point so far.

    Parameters
    ----------
    descent : RowDescent
    progress : Progress
    size : float or None
        Of the first step, if it is known.

    Attributes
    ----------
    point : _Point
    size : float
        Of the next step.
    """

    point: _Point
    _z: Any  # the point before the next prox
    _plain: Any  # the same without extrapolation

    def __init__(self, descent, progress, size):
        self._rows, self._prox, self._n = descent.rows, descent.prox, 0
        self._mean_square = max(self._rows.mean_square(), 1e-300)
        self._units = self._intercept_units()
        self._mixing = Anderson(20 if progress.copies.nbytes < _MANY else 20 // self._prox.n_copies)
        point = self._at(progress.copies, progress.a)
        self.size = size or self._first_size(point, descent.f0)
        self._restart(point)

    def begin(self, progress):
        """Go on from the best point so far, as if there had been no steps."""
        self._restart(self._at(progress.copies, progress.a, progress.objective))

    def advance(self):
        """One iteration; whether its point is taken.

        If not, it is to be tried again: without extrapolation if that has not lowered the objective, or with a shorter
        step if the curvature on the way was larger than the step allows.
        """
        self._n += 1
        here, new = self.point, self._at(*self._after_prox())
        worse = not new.value <= here.value + 1e-15 * abs(here.value)
        if worse and self._z is not self._plain:  # extrapolation has not helped
            self._z = self._plain
            self._mixing.reset()
            return False
        curvature = self._observed(here, new)
        if curvature * self.size > _TOO_LONG:
            # where counts explode, the curvature between far points is many orders of magnitude above that on the way
            self.size = max(1.0 / curvature, _SHORTEST * self.size) if np.isfinite(curvature) else 0.25 * self.size
            self._restart(new if np.isfinite(new.value) and new.value <= here.value else here)
            return False
        self.point, z = new, self._z
        self._plain = self._before_prox()
        proposal = self._mixing.propose(z, self._plain - z)
        self._z = self._plain if self._n == 1 else proposal
        return True

    def _at(self, copies, a, value=None):
        """The `_Point` of these copies and intercepts; `value` is its objective, if it is known."""
        W = copies.sum(axis=0)
        at = self._rows.at(W, a)
        return _Point(copies, W, a, at, at.loss + self._prox.value(copies) if value is None else value)

    def _restart(self, point):
        """Go on from a point without extrapolation."""
        self.point = point
        self._z = self._plain = self._before_prox()
        self._mixing.reset()

    def _before_prox(self):
        """``z = x - step grad f(x)`` as one vector: the copies, then the intercepts in their units."""
        (copies, W, a, at, _), step, units = self.point, self.size, self._units
        down = at.down - self._prox.ridge_of_sum * W
        return np.concatenate([(copies + step * down).ravel(), a / units + step * units * at.pull])

    def _after_prox(self):
        """The copies and intercepts of ``x = prox(z)``."""
        rows, z, like = self._rows, self._z, self.point.copies
        copies = self._prox.prox(z[: like.size].reshape(like.shape), self.size)
        if not rows.fit_intercept:
            return copies, np.zeros(rows.n_outputs)
        a = z[like.size :] * self._units
        if rows.a_b == np.inf:
            a = np.tile(a.reshape(-1, rows.K).mean(axis=0), rows.n_tasks)
        return copies, a

    def _observed(self, here, new):
        """The curvature of the loss between two points."""
        if not np.isfinite(new.at.loss):
            return np.inf
        dW, da = new.W - here.W, new.a - here.a
        length = sum(float(np.vdot(p, p)) for p in (new.copies - here.copies, da / self._units))
        if length == 0.0:
            return 0.0
        bend = np.vdot(here.at.down - new.at.down + self._prox.ridge_of_sum * dW, dW)
        bend += np.vdot(here.at.pull - new.at.pull, da)
        return float(bend) / length

    def _intercept_units(self):
        """The length of a unit of each intercept: where all have an own one, their curvatures become alike."""
        N = self._rows.task_weight
        N = np.where(N > 0.0, N, N.max()) if self._rows.a_b == 0.0 else np.full_like(N, N.max())
        return np.sqrt(self._mean_square / np.repeat(N, self._rows.K))

    def _first_size(self, here, f0):
        """From the curvature along the gradient at the start."""
        rows, at = self._rows, here.at
        d, e = at.down, self._units * (self._units * at.pull if rows.fit_intercept else 0.0)
        length = float(np.sqrt(np.vdot(d, d) + np.vdot(e / self._units, e / self._units)))
        if length == 0.0:
            return 1.0
        h = 1e-4 * max(np.sqrt(np.vdot(here.W, here.W)), np.sqrt(f0) / length) / length
        while not np.isfinite((ahead := rows.at(here.W + h * d, here.a + h * e)).loss):  # too far for exp
            h *= 0.1
        bend = np.vdot(d, d - (ahead.down - at.down) / h) - np.vdot(d, d)
        bend += np.vdot(e, -(ahead.pull - at.pull) / h)
        curvature = max(float(bend) / length**2, _LINEAR * self._mean_square) + self._prox.ridge_of_sum
        return 0.8 / (self._prox.n_copies * curvature)
