"""The minimum over all features: rounds of working sets.

Each round begins with one product of all features with the residuals.  It gives the gap, the features that are zero for
certain, and those that would rather not be: these and the nearest others join the features in use, and turns of epochs
and Newton steps (`turns.py`) bring the gap of this working set below a share of that of all features.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from skmtl.solvers._coordinate.columns import Columns, State
from skmtl.solvers._coordinate.descent import Descent
from skmtl.solvers._coordinate.gap import Bound, Progress, lower_bound, may_be_used, refitted
from skmtl.solvers._coordinate.on_grams import OnGram, OnLargeGram
from skmtl.solvers._coordinate.on_rows import OnOwnRows, OnSharedRows, OnSparseRows
from skmtl.solvers._coordinate.separable import Separable
from skmtl.solvers._coordinate.turns import Turns
from skmtl.solvers._screen import joining
from skmtl.solvers.solution import Certificate

__all__ = ["Found", "Rounds"]

_ENOUGH = 0.3  # share of the gap of all features, for that of a working set: to go below is vain if the set is wrong
_ENOUGH_ALONE = 0.03  # likewise, where no other feature is wanted yet
_SURE = 0.3  # share of the goal, for the gap of a working set: that of all features is larger


class Found(NamedTuple):
    """The last state, its certificate, how many epochs it took, and whether the goal is met."""

    state: State
    certificate: Certificate
    n_iter: int
    converged: bool

    def then(self, more):
        """What more epochs have found, after these."""
        return more._replace(n_iter=self.n_iter + more.n_iter)


class _Judged(NamedTuple):
    """What the product with all features says of a state: masks (n_features,) of those in use, and of others wanted."""

    state: State
    objective: float
    bound: Bound
    gap: float
    used: np.ndarray
    wanted: np.ndarray


@dataclass(eq=False)
class Rounds:
    """The minimisation for one penalty, to a gap of at most `goal`; `descent` serves again if its features do."""

    columns: Columns
    omega: Separable
    goal: float
    descent: Descent | None = None

    def run(self, max_iter, *starts):
        """Rounds from the best of some states on, of at most `max_iter` epochs in all; what is `Found`.

        They end when the gap meets the goal, but not before the first; or when it has not halved for twenty rounds, or
        for three if rounding may be to blame.
        """
        columns, omega = self.columns, self.omega
        state = self._allowed(min(starts, key=partial(columns.objective, omega)))
        alive = columns.visible.copy()
        n_epochs, progress = 0, Progress(0.5)
        while True:
            now = self._judge(state)
            progress.add(now.gap)
            met = now.gap <= self.goal and now.used.any()  # zero is not the minimum, however near
            stalled = progress.idle >= (3 if now.gap <= columns.rounding else 20)
            if (met and n_epochs) or n_epochs >= max_iter or stalled:
                break
            alive &= may_be_used(columns, omega, now.bound, now.gap) | now.used
            self._cover(now, alive, progress.idle)
            self.descent.begin(omega, now.state)
            goal, enough = self._aims(now, alive, progress.idle)
            n_epochs += Turns(self.descent).run(max_iter - n_epochs, goal, enough)
            self.descent.without_dust()
            state = self.descent.of_all()
        converged = now.gap <= max(self.goal, 1e-4 * columns.rounding)
        return Found(now.state, Certificate(now.objective, now.gap, None), n_epochs, bool(converged))

    def _judge(self, state):
        """How good a state is, with its free features at their optimum."""
        state, dual, left = refitted(self.columns, self.omega, state)
        objective = self.columns.objective(self.omega, state)
        bound = lower_bound(self.columns, self.omega, self.columns.q, dual.W, dual.H, dual.some)
        wanted = bound.outside & ~state.used
        return _Judged(state, objective, bound, max(objective - bound.value, 0.0) + left, state.used, wanted)

    def _allowed(self, state):
        """The state without negative weights, if these are not allowed."""
        negative = self.omega.positive and (state.W < 0).any()
        return self.columns.state(np.maximum(state.W, 0.0)) if negative else state

    def _cover(self, now, alive, idle):
        """Have a descent over the next working set; the last one serves if it has what is needed and little else."""
        at, last = self._working_set(now, alive, widen=2**idle), self.descent
        if idle > 1 or last is None or len(last.at) > 2 * len(at) or not _holds(last.at, now.wanted | now.used):
            self.descent = _descent_over(self.columns, at)

    def _working_set(self, now, alive, widen):
        """The positions of the features in use, then of those nearest to being used."""
        columns, omega, s = self.columns, self.omega, now.bound.scale
        used = now.used | omega.free & columns.visible
        n_used = int(used.sum())
        more = int(joining(np.sum(now.wanted & ~used), n_used, widen)) if s > 0 else len(used)
        far = omega.room(now.bound.Z, now.bound.lengths, s)
        reach = np.sqrt(columns.largest)
        far = np.where(alive, far / np.where(reach > 0, reach, 1.0), np.inf)
        far[used] = -np.inf
        size = min(n_used + more, int(np.sum(far < np.inf)))
        at = np.sort(np.argpartition(far, size - 1)[:size])
        return at[np.argsort(~used[at], kind="stable")]

    def _aims(self, now, alive, idle):
        """The goal for the gap of the working set, and how small it is enough to be while the set may be wrong."""
        if now.gap == 0.0 or _holds(self.descent.at, alive):
            return self.goal, 0.0
        share = _ENOUGH if now.bound.scale == 0.0 or now.wanted.any() else _ENOUGH_ALONE
        return _SURE * self.goal, share * now.gap * 0.1 ** min(idle, 3)


def _holds(at, needed):
    """Whether the features at positions `at` are all that the mask `needed` wants."""
    return np.count_nonzero(needed[at]) == np.count_nonzero(needed)


def _descent_over(columns, at):
    """A descent over the features at positions `at`, those in use first; on Gram matrices, perhaps over more."""
    if columns.prefers_gram(len(at)):
        many = columns.shared and len(at) > 2 * OnLargeGram.block
        return OnLargeGram(columns, at) if many else OnGram(columns, at)
    if columns.sparse:
        return OnSparseRows(columns, at)
    return OnSharedRows(columns, at) if columns.shared else OnOwnRows(columns, at)
