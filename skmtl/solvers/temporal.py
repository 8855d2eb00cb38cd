"""Temporal penalties without a norm of features are those of tasks on a chain, and solved as such.

With jumps, neighbours are fused to each other, and by absolute values to zero: fused tasks.  Smooth changes are a task
graph.
"""

from functools import partial

import numpy as np
from scipy import sparse

from skmtl.penalties import TaskGraph, Temporal
from skmtl.solvers._dual_newton import has_few_labels
from skmtl.solvers._sparse_step import needs_grams
from skmtl.solvers.fused import OnChain, factors_fit
from skmtl.solvers.solution import solution_of, solve, without_grams
from skmtl.solvers.splitting import solve_by_splitting

__all__: list[str] = []  # found through `solve`


def _have_more(penalty):
    """Whether penalties say more than tasks on a chain do."""
    return (penalty.smooth and penalty.alpha_l1 > 0) or penalty.alpha_group > 0


def _do_without_grams(penalty, data):
    """Whether splitting alone solves the problem of some data, or the graph's solver does."""
    if _have_more(penalty):
        split = not needs_grams(penalty, data.tasks)
    elif penalty.smooth:
        return True
    else:
        split = not factors_fit(data.n_tasks, data.X.shape[1])
    return split and not has_few_labels(data)


@solve.register
@partial(without_grams, when=_do_without_grams)
def solve_temporal(penalty: Temporal, path, moments, c, **request):
    """The solutions of tasks on a chain; of penalties with more than the chain, those of the splitting."""
    few = moments.only(moments.active)
    if _have_more(penalty) or few.n_tasks == 1:
        yield from solve_by_splitting(penalty, path, moments, c, **request)
        return
    places, n_tasks = penalty.places(few.tasks), few.n_tasks
    chain = sparse.csr_array((np.ones(n_tasks - 1), (places[:-1], places[1:])), shape=(n_tasks, n_tasks))
    chain += chain.T  # by position, which is that of an id of any kind
    if penalty.smooth:
        on_chain = [TaskGraph(one.alpha, chain, one.alpha_ridge) for one in path]
    else:
        on_chain = [OnChain(one, chain) for one in path]
    if request.get("init") is not None:
        request["init"] = request["init"][moments.active]
    for solution in solve(on_chain[0], on_chain, few, c[moments.active], **request):
        W = np.zeros_like(moments.xy)
        W[moments.active] = solution.W
        yield solution_of(moments, W, solution.certificate, n_iter=solution.n_iter, converged=solution.converged)
