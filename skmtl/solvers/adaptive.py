"""Concave functions of the features' lengths: a sequence of joint-feature problems, each solved with a certificate.

A concave rho lies below its tangents, so ``sum_j rho'(|W_j|) |V_j|`` at the last W is, up to a constant, above
``sum_j rho(|V_j|)`` and touches it at V = W: the minimiser of the whole with it cannot be worse than W.  The first
tangents are those at zero.
"""

from typing import Any, NamedTuple

import numpy as np

from skmtl.penalties import AdaptiveJointFeature, JointFeature
from skmtl.solvers._alternating import relative_change
from skmtl.solvers.solution import Certificate, loss_at_zero, moments_for, solution_of, solve, solve_one

__all__ = ["STAGE", "Stage", "reweighted"]

STAGE = 0.1  # tolerance of the stages, in units of that of the whole


@moments_for.register
def moments_for_adaptive(penalty: AdaptiveJointFeature, data, *, fit_intercept=True, n_jobs=None):
    """What the solver of its stages wants to know."""
    return moments_for(JointFeature(), data, fit_intercept=fit_intercept, n_jobs=n_jobs)


@solve.register
def solve_adaptive(penalty: AdaptiveJointFeature, path, moments, c, *, tol=1e-6, max_iter=1000, init=None):
    """The first stages are a path of their own, so that a solution does not depend on the strengths before it."""
    f0, how = loss_at_zero(moments, c), {"tol": STAGE * tol, "max_iter": max_iter}

    def stage(solution):
        W = np.where(moments.active[:, None], solution.W, 0.0)
        return Stage(W, solution.objective, solution.dual_gap, solution.converged)

    def minimum(convex, last):
        return stage(solve_one(convex, moments, c, **how, init=last.W))

    convex = [adaptive.tangent() for adaptive in path]
    for adaptive, first in zip(path, solve(convex[0], convex, moments, c, **how, init=init), strict=True):
        best, change, n_iter, converged = reweighted(adaptive, stage(first), minimum, f0, tol, max_iter)
        certificate = Certificate(best.objective, best.gap, change)
        yield solution_of(moments, best.W, certificate, n_iter=n_iter, converged=converged)


class Stage(NamedTuple):
    """The solution of one joint-feature problem.

    W : array of shape (n_rows, n_features)
        As the penalty sees it.
    objective, gap : float
    converged : bool
    point : Any
        What the next one may start from.
    """

    W: np.ndarray
    objective: float
    gap: float
    converged: bool
    point: Any = None


def reweighted(adaptive, first, minimum, f0, tol, max_iter):
    """Stages until the objective falls, or W changes, by no more than `tol`; or for good, where no slope changes.

    Parameters
    ----------
    adaptive : AdaptiveJointFeature
    first : Stage
        Of ``adaptive.tangent()``.
    minimum : callable
        ``minimum(JointFeature, Stage)`` is the Stage of this penalty, started from the one before.
    f0 : float
        The objective at W = 0.

    Returns
    -------
    Stage, float, int, bool
        The best, with the objective of the whole; the last change of W, the number of stages, and whether all is well.
    """
    slopes, n_iter, change = np.ones(first.W.shape[1]), 1, 0.0
    best = first._replace(objective=_whole(adaptive, first, slopes))
    settled = adaptive.alpha == 0 or not first.W.any()
    while not settled:
        before, slopes = slopes, adaptive.slopes(best.W)
        if np.array_equal(slopes, before):
            change, settled = 0.0, True
        elif n_iter >= max_iter:
            break
        else:
            stage, n_iter = minimum(adaptive.tangent(slopes), best), n_iter + 1
            stage = stage._replace(objective=_whole(adaptive, stage, slopes))
            change = relative_change(best.W, stage.W)
            settled = change <= tol or best.objective - stage.objective <= tol * f0
            best = min(stage, best, key=lambda stage: stage.objective)
    return best, change, n_iter, bool(settled and (best.converged or best.gap <= tol * f0))


def _whole(adaptive, stage, slopes):
    """The objective with the concave penalty in the place of its tangent."""
    return stage.objective - adaptive.tangent(slopes).value(stage.W) + adaptive.value(stage.W)
