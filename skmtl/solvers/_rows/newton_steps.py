r"""Newton's steps: to where the parabolas that touch the losses now have their minimum, under the penalty itself.

The parabolas are least squares with weights ``s l''`` and labels ``eta - l' / l''``, a problem of moments, which the
solver of the penalty solves as exactly as the gap that is left deserves.  A line search on the true objective makes the
steps converge from anywhere.  They do not care how features are scaled, and a handful do (Lee, Sun, Saunders 2014,
*SIAM Journal on Optimization* 24:1420-1443).
"""

import numpy as np

from skmtl.penalties.composite import OfClasses
from skmtl.penalties.quadratic import TaskQuadratic
from skmtl.penalties.shared import Alike
from skmtl.solvers._coupling import Together
from skmtl.solvers._quadratic import quadratic_of
from skmtl.solvers._rows.curvature import BOLD
from skmtl.solvers._rows.models import ClassModel, ColumnModel
from skmtl.solvers.solution import loss_at_zero, solve_one

__all__ = ["NewtonSteps"]

_STEPS = 50  # at most; with more something is wrong
_EXACT = 1e-15  # share of the loss at zero: the gap for linear equations, which one step from 1e-12 reaches
_INEXACT = 0.03  # share of the gap that is left: to which gap a model is solved, at first


class NewtonSteps:
    """Newton's steps for the problem of a `RowDescent`.

    Parameters
    ----------
    descent : RowDescent
    n_jobs : int or None
    """

    def __init__(self, descent, n_jobs=None):
        self.descent, self.n_jobs = descent, n_jobs
        self.rows, self.prox, self.penalty = descent.rows, descent.prox, descent.penalty
        self._features, self._belief = None, self.penalty  # which features a model has, None is all; its penalty
        if self.rows.K > 1 and not self.penalty.unfolds:  # a model has all classes of a task in one row
            self._features = self.prox.seen_features(self.rows.shape[1])
            self._belief = OfClasses(self.penalty, self.rows.K, self._features)

    @property
    def linear(self):
        """Whether the penalty is quadratic, so that each step is a system of linear equations."""
        return all(isinstance(term, TaskQuadratic | Alike) for term in self.prox.terms)

    def solve(self, progress, max_iter):
        """Linear equations, until rounding is all that is left."""
        exact = _EXACT * self.descent.f0
        self.run(progress, exact, exact, max_iter)
        ahead = self._minimum(progress, BOLD, _INEXACT * progress.gap)
        self.descent.certify(progress, *ahead, prove=False)  # one step more: flat directions lag behind their gap

    def run(self, progress, goal, enough, max_iter):
        """Steps until the gap is at most `goal`, nothing gets better or, once it is `enough`, not much."""
        idle, boldness, inexact, gain = 0, BOLD, _INEXACT, progress.objective
        for _ in range(min(_STEPS, max_iter - progress.n_iter)):
            if progress.gap <= goal or idle == 2:
                break
            before, left = progress.objective, progress.gap
            hoped = left if progress.bound > 0.0 else gain  # as much as the last step, before a proof
            copies, a = self._minimum(progress, boldness, inexact * hoped)
            progress.n_iter += 1
            share, copies, a = self._line_search(progress, copies, a)
            boldness = BOLD if share > 0.5 else 1.0
            prove = self.prox.closed and (not self.prox.blind or self.rows.a_b > 0.0)
            self.descent.certify(progress, copies, a, prove=prove)
            gain = max(before - progress.objective, 0.1 * gain)
            stalled = progress.objective >= before - 1e-15 * abs(before) and progress.gap > 0.5 * left
            if progress.gap <= enough and progress.gap > 0.5 * left:
                break
            idle = idle + 1 if stalled else 0
            inexact *= 0.1 if stalled else 1.0

    def _minimum(self, progress, boldness, enough):
        """Copies and intercepts where the parabolas at a point have their minimum, to a gap of `enough`."""
        model = self._model(progress.W, progress.a, boldness)
        f0 = loss_at_zero(model.moments, model.c)
        inner = float(np.clip(enough / f0, 1e-14, 1e-4)) if f0 > 0 else 1e-6
        init = tuple(model.inputs(copy) for copy in progress.copies)
        init = init if len(init) > 1 else init[0]
        solution = solve_one(self._belief, model.moments, model.c, tol=inner, max_iter=1000, init=init)
        parts = solution.parts if len(progress.copies) > 1 else (solution.W,)
        copies = np.stack([model.outputs(part) for part in parts])
        if self.rows.a_b == 0.0 and self._features is None:
            self._prove(progress, model, solution)
        if not self.rows.fit_intercept:
            return copies, np.zeros(self.rows.n_outputs)
        return copies, model.intercepts(copies.sum(axis=0), solution.b)

    def _model(self, W, a, boldness):
        """The parabolas at a point."""
        if self.rows.K == 1:
            return ColumnModel(self.rows, W, a, boldness, self.n_jobs)
        return ClassModel(self.rows, W, a, self._features)

    def _prove(self, progress, model, solution):
        """The bound of the dual point that proves a model's solution, which is near one of the losses themselves."""
        descent = self.descent
        X, duals = solution.dual or (solution.W, None)
        if self.prox.blind:
            X = Together(self._belief, quadratic_of(model.moments, model.c)).level(X)
        if duals and self._belief is not self.penalty:
            duals = [self._belief.of_part(*dual) for dual in duals]
        at, there = model.dual(X), np.zeros_like(descent.zeros)
        there[0] = model.outputs(X)
        ways = self.prox.ways(there, at.down, 1.0, duals)
        descent.prove(progress, at, ways, descent.levelling.rounding(at, there[0]) if descent.levelling else 0.0)

    def _line_search(self, progress, copies, a):
        """How much of the way to the model's minimum to go, all of it as a rule, and the point there."""
        rows, value_of, here = self.rows, self.prox.value, progress
        at = rows.at(here.W, here.a)
        change = value_of(copies) - value_of(here.copies)
        slope = change - np.vdot(at.down, copies.sum(axis=0) - here.W) - np.vdot(at.pull, a - here.a)
        share = 1.0
        for _ in range(30):
            new = here.copies + share * (copies - here.copies), here.a + share * (a - here.a)
            value = rows.at(new[0].sum(axis=0), new[1]).loss + value_of(new[0])
            if value <= here.objective + 1e-4 * share * min(float(slope), 0.0) + 1e-15 * abs(here.objective):
                return share, *new
            share *= 0.5
        return 0.0, here.copies, here.a
