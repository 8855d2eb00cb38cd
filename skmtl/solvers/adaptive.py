"""Concave functions of the features' lengths: a sequence of joint-feature problems, each solved with a certificate.

A concave rho lies below its tangents, so ``sum_j rho'(|W_j|) |V_j|`` at the last W is, up to a constant, above the
objective at V and touches it at W: its minimiser cannot be worse than W.  The first tangents are those at zero.
"""

import numpy as np

from skmtl.penalties import AdaptiveJointFeature, JointFeature
from skmtl.solvers._alternating import relative_change
from skmtl.solvers.solution import Certificate, solution_of, solve, sums_for

__all__: list[str] = []  # found through `solve`

_INNER = 0.1  # tolerance of the stages, in units of that of the whole


@sums_for.register
def _(penalty: AdaptiveJointFeature, data, *, fit_intercept=True, n_jobs=None):
    """What the solver of its stages wants to know."""
    return sums_for(JointFeature(), data, fit_intercept=fit_intercept, n_jobs=n_jobs)


@solve.register
def _(penalty: AdaptiveJointFeature, path, moments, c, *, tol=1e-6, max_iter=1000, init=None):
    """The first stages are a path of their own, so that a solution does not depend on the strengths before it."""
    penalty.check_gamma()
    convex = [JointFeature(adaptive.alpha) for adaptive in path]
    how = {"tol": _INNER * tol, "max_iter": max_iter}
    for adaptive, first in zip(path, solve(convex[0], convex, moments, c, **how, init=init), strict=True):
        yield _reweighted(adaptive, _Stage(adaptive, first, moments, 1.0), moments, c, tol, how)


class _Stage:
    """A convex solution, its weights W on the tasks that have rows, and the objective of the whole there."""

    def __init__(self, adaptive, solution, moments, weights):
        self.solution = solution
        self.W = np.where(moments.active[:, None], solution.W, 0.0)
        self.slopes = np.broadcast_to(weights, self.W.shape[1])
        convex = adaptive.alpha * float(self.slopes @ np.linalg.norm(self.W, axis=0))
        self.objective = solution.objective - convex + adaptive.value(self.W)


def _reweighted(adaptive, stage, moments, c, tol, how):
    """Stages until the objective falls, or W changes, by no more than `tol`; or for good, where no slope changes."""
    unit, n_iter, change, settled = float(0.5 * c @ moments.yy), 1, 0.0, adaptive.alpha == 0 or not stage.W.any()
    while not settled:
        slopes = adaptive.slopes(stage.W)
        if np.array_equal(slopes, stage.slopes):
            change, settled = 0.0, True
        elif n_iter >= how["max_iter"]:
            break
        else:
            convex = JointFeature(adaptive.alpha, feature_weights=slopes)
            (solution,) = solve(convex, [convex], moments, c, **how, init=stage.W)
            following, n_iter = _Stage(adaptive, solution, moments, slopes), n_iter + 1
            change = relative_change(stage.W, following.W)
            settled = change <= tol or stage.objective - following.objective <= tol * unit
            stage = min(following, stage, key=lambda one: one.objective)
    converged = bool(settled and (stage.solution.converged or stage.solution.dual_gap <= tol * unit))
    certificate = Certificate(stage.objective, stage.solution.dual_gap, change)
    return solution_of(moments, stage.W, lambda: certificate, n_iter=n_iter, converged=converged)
