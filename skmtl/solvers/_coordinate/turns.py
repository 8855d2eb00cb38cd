"""The minimum over a working set: turns of epochs and Newton steps, whose prices are in multiplications.

A turn is

    epochs              five and their extrapolation; two at first, and where weights are many and the last step served;
    a truncated step    where weights are many: where it is cheaper than an exact one;
    an exact step       else, or if that failed, once all epochs since the last one have cost as much, or three times
                        as much while the weights in use still change; under the maximum norm one face after the other;

and a look at the gap of the working set.
"""

import numpy as np

from skmtl.solvers._coordinate import support
from skmtl.solvers._coordinate.descent import MEMORY
from skmtl.solvers._coordinate.gap import Progress, left_over, lower_bound

__all__ = ["Turns"]

_FEW = 2  # epochs of the first turn, and where weights are many and the last Newton step has served
_UNSETTLED = 3.0  # times its price, for an exact step while the weights in use still change
_FACES = 20  # Newton steps in a row under the maximum norm, each on a smaller face of it
_WORTH = 0.2  # share of the price of a product with all features, to be spent before it
# The shares of a Newton step that are tried in turn: features that would turn around on the way stay at zero.  The last
# trial is as far as the first of these gets to zero.
_TRIALS = *((share, False) for share in (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)), (1.0, True)


class Turns:
    """The turns of one round, over the working set of a descent."""

    def __init__(self, descent):
        self.descent, self.columns = descent, descent.columns
        self.n_next = _FEW  # epochs of the next turn
        self.spent = 0.0  # on epochs and truncated steps
        self.since_exact = 0.0  # on epochs since the last exact step
        self.objective = np.inf

    def run(self, budget, goal, enough):
        """Take turns, of at most `budget` epochs in all; how many these were.

        They end when the gap of the working set is at most `goal`; when it is at most `enough`, and they have cost a
        fifth of the product with all features that comes next; or when it has not become smaller by a tenth for six
        turns, and rounding may be to blame.
        """
        n, progress = 0, Progress(0.9)
        while n < budget:
            n_epochs = min(self.n_next, budget - n)
            settled = self._epochs(n_epochs)
            n += n_epochs
            gap = self._gap()
            if gap > goal:
                self._newton_steps(settled)
                gap = self._gap()
            progress.add(gap)
            stalled = progress.idle >= 6 and gap <= self.columns.rounding
            if gap <= goal or stalled or (gap <= enough and self.spent > _WORTH * self.columns.price):
                break
        return n

    def _gap(self):
        """The gap of the working set."""
        descent = self.descent
        bound = lower_bound(self.columns, descent.omega, descent.q, descent.W, descent.H)
        return self.objective - bound.value + left_over(descent)

    def _epochs(self, n):
        """Some epochs and their extrapolation; whether the same weights were in use after the last two epochs."""
        descent = self.descent
        iterates = [descent.copy()]
        for _ in range(n):
            descent.epoch()
            iterates.append(descent.copy())
        self.objective = descent.objective()
        self._extrapolate(iterates)
        price = descent.epoch_price * n
        self.spent += price
        self.since_exact += price
        return ((iterates[-1][0] != 0) == (iterates[-2][0] != 0)).all()

    def _extrapolate(self, iterates):
        """Move towards what extrapolates the iterates, as far as it makes the objective smaller."""
        descent, trial = self.descent, _extrapolated(iterates)
        if trial is None:
            return
        if descent.omega.positive and (trial[0] < 0.0).any():
            trial = descent.at_weights(np.maximum(trial[0], 0.0))
        for _ in range(4):
            at_trial = descent.objective(trial)
            if at_trial <= self.objective + 1e-6 * self.columns.rounding:
                descent.move_to(trial)
                self.objective = at_trial
                return
            trial = [0.5 * (a + b) for a, b in zip(descent.state, trial, strict=True)]

    def _newton_steps(self, settled):
        """Newton steps, if it is their turn; and how many epochs come next."""
        descent = self.descent
        many = support.truncated_price(descent) < support.exact_price(descent)
        done = False
        if many:
            done = self._newton_step(support.truncated_step)
            self.spent += support.truncated_price(descent)
        if not done and self.since_exact >= support.exact_price(descent) * (1.0 if settled else _UNSETTLED):
            self.since_exact = 0.0
            for _ in range(_FACES if descent.omega.infinite else 1):
                done = self._newton_step(support.exact_step)
                if not done:
                    break
        self.n_next = _FEW if many and done else MEMORY

    def _newton_step(self, newton_step):
        """Take as much of a Newton step as makes the objective smaller; whether there is any."""
        descent = self.descent
        step = newton_step(descent)
        if step is None or not np.isfinite(step).all():
            return False
        for share, to_boundary in _TRIALS:
            W = support.stepped(descent, share * step, to_boundary)
            trial = descent.at_weights(np.maximum(W, 0.0) if descent.omega.positive else W)
            at_trial = descent.objective(trial)
            if at_trial < self.objective:
                break
        descent.shortened = 0 if share == 1.0 and not to_boundary else descent.shortened + 1
        if at_trial >= self.objective:
            return False
        descent.move_to(trial)
        self.objective = at_trial
        return True


def _extrapolated(states):
    """The affine combination of the last states whose combined step is shortest; None if there is none.

    Unlike `Anderson` it takes states of several arrays, as many as there are at once, and remembers none.
    """
    if len(states) <= MEMORY:
        return None
    steps = np.diff([state[0].ravel() for state in states], axis=0)
    products = steps @ steps.T
    scale = np.trace(products)
    if not scale > 0.0:
        return None
    try:
        z = np.linalg.solve(products + 1e-14 * scale * np.eye(len(products)), np.ones(len(products)))
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(z).all() or abs(z.sum()) < 1e-300:
        return None
    z /= z.sum()
    return [sum(f * part for f, part in zip(z, parts, strict=True)) for parts in zip(*states[1:], strict=True)]
