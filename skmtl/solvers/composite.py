"""Sums of beliefs of which one has a parameter for the other are that one belief, and solved as such.

Absolute values on top of features of all tasks, of a graph or of a chain, squares on top of anything: what has a solver
of its own is not split.
"""

import numpy as np

from skmtl.moments import TaskMoments
from skmtl.penalties import Penalty, Sum
from skmtl.solvers.solution import moments_for, solve, solve_one
from skmtl.solvers.splitting import solve_by_splitting

__all__ = ["chooses_moments", "does_without_grams", "solver_of"]


def solver_of(penalty):
    """The function that `solve` calls for a penalty; for a sum, the one that it comes to."""
    one = _one_belief(penalty)
    return solve_by_splitting if one is None else solve.dispatch(type(one))


def does_without_grams(penalty, data):
    """Whether the solver is one `without_grams` for the penalty and the data."""
    one, when = _one_belief(penalty), getattr(solver_of(penalty), "without_grams", None)
    return when is not None and when(penalty if one is None else one, data)


def chooses_moments(penalty):
    """Whether the solver has a say in what the moments of the rows are; the usual ones may be too large."""
    one = _one_belief(penalty)
    return one is not None and moments_for.dispatch(type(one)) is not moments_for.dispatch(Penalty)


def _one_belief(penalty):
    """The penalty itself or, of a sum, the one that it amounts to; None if there is no such."""
    return penalty.merged() if isinstance(penalty, Sum) else penalty


@moments_for.register
def moments_for_sum(penalty: Sum, data, **how):
    """Those of the one belief that it is, or the usual ones."""
    one = penalty.merged()
    return TaskMoments.from_data(data, **how) if one is None else moments_for(one, data, **how)


@solve.register
def solve_sum(penalty: Sum, path, moments, c, *, init=None, **how):
    """Each penalty of a path from the solution before: once merged they differ in more than `alpha`."""
    if penalty.merged() is None:
        yield from solve_by_splitting(penalty, path, moments, c, init=init, **how)
        return
    for member in path:
        solution = solve_one(member.merged(), moments, c, init=init, **how)
        init = np.where(moments.active[:, None], solution.W, 0.0)
        yield solution
