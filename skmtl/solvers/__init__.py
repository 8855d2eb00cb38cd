"""Solvers: moments and a penalty in, one `Solution` out; other losses than the squared come with their rows.

Each of these registers with `solve`, which finds it by the type of the penalty::

    exact           separate, pooled and shared-plus-specific weights, by factorisation
    graph           neighbouring tasks alike, by eigenvectors or conjugate gradients
    coordinate      single weights or features of all tasks that are zero, by coordinate descent
    fused           tasks that are the same along a graph, by an interior-point method
    temporal        ... along a chain, likewise
    splitting       any penalty with a prox, sums of them and decompositions, by Douglas-Rachford splitting
    composite       sums that are one belief
    reduced_rank, latent_basis
                    factors of few directions, by exact steps in one and the other
    adaptive        concave functions of features, by a sequence of joint-feature problems

What comes back, and other losses than the squared::

    solution        `Solution`, `Certificate`, `solve`, and what solvers share
    newton          any loss: Newton's steps, or steps on the rows
    accelerated     steps on the rows
    factored        reduced_rank and latent_basis for any loss

The other modules, by who uses them.  Several solvers::

    _quadratic      the squared loss and its exact step
    _resolvents     (c_t G_t + a I)^-1 of all tasks
    _coupling       how terms see W, and what their subgradients prove
    _screen         which features can do without weights, and which come into the next working set
    _anderson       Anderson's extrapolation
    _sparse_minima  small lassos, one for each task
    _alternating    steps in either of two factors

exact and graph need no more.  splitting::

    _few_features   working sets of features, for a squared loss
    _sparse_step    the exact step with absolute values in it

coordinate::

    _columns        products with residuals, and Gram matrices of a few features
    _separable      the penalty in numbers
    _descent        the descent over a working set
    _epochs         its jitted epochs
    _support        Newton's steps in the weights that are not zero
    _faces          ... under the maximum norm
    _lassos         tasks on their own

fused::

    _cones          second-order cones in pairs
    _edge_systems   the linear equations of a step
    _fronts         their Cholesky factors, a block for each task
    _laplacians     those of each feature by itself
    _sampled_laplacians
                    ... rough ones, in linear time

newton, accelerated and factored::

    _rows           the loss of rows: its value, slopes and curvature
    _intercepts     the best intercepts
    _log_loss       log-losses of a long table, jitted
    _informative    tasks whose labels say something of W, and what the others get
    _newton_steps   steps to the minimum of parabolas in the place of losses
    _models         these parabolas, as moments
    _proximal       the prox of any penalty, for gradient steps
    _levelling      Newton's steps along weights that cost nothing
    _curved         the nearest dual point
    _working_sets   working sets of features, for any loss
"""

from skmtl.solvers import (  # noqa: F401 - they register
    adaptive,
    composite,
    coordinate,
    exact,
    fused,
    graph,
    latent_basis,
    reduced_rank,
    splitting,
    temporal,
)
from skmtl.solvers.solution import Certificate, Solution, moments_for, solve

__all__ = ["Certificate", "Solution", "moments_for", "solve"]
