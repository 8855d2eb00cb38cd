"""Sums of beliefs of which one has a parameter for the other are that one belief, and solved as such.

Absolute values on top of features of all tasks, of a graph or of a chain, squares on top of anything: what has a solver
of its own is not split.
"""

import numpy as np

from skmtl.penalties import Penalty, Sum
from skmtl.solvers.solution import solve, sums_for

__all__: list[str] = []  # found through `solve`


@sums_for.register
def _(penalty: Sum, data, **how):
    parts = penalty.merged()
    return sums_for(parts[0], data, **how) if len(parts) == 1 else sums_for.dispatch(Penalty)(penalty, data, **how)


@solve.register
def _(penalty: Sum, path, moments, c, *, init=None, **how):
    """Each penalty of a path from the solution before: once merged they differ in more than `alpha`."""
    if len(penalty.merged()) > 1:
        yield from solve.dispatch(Penalty)(penalty, path, moments, c, init=init, **how)
        return
    for one in path:
        (merged,) = one.merged()
        (solution,) = solve(merged, [merged], moments, c, init=init, **how)
        init = np.where(moments.active[:, None], solution.W, 0.0)
        yield solution
