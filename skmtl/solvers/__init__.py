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
    adaptive        concave functions of the lengths of features, by a sequence of joint-feature problems

What comes back, and other losses than the squared::

    solution        `Solution`, `Certificate`, `solve`, and what solvers share
    newton          any loss: Newton's steps, or steps on the rows
    accelerated     steps on the rows
    factored        reduced_rank and latent_basis for any loss

Everywhere f0 is F(0), the loss at W = 0 with the best intercepts, and a `tol` is a share of it.  A `goal` is the
duality gap to reach, in units of the loss; so is `enough`, except where linear equations or the lassos of
`_sparse_minima` are solved: there it is the residual that may be left.

What several of them use::

    _quadratic      the squared loss and its exact step
    _resolvents     (c_t G_t + a I)^-1 of all tasks
    _coupling       how the terms of a penalty see W
    _certificates   what their subgradients prove
    _screen         which features can do without weights, and which come into the next working set
    _anderson       Anderson's extrapolation
    _sparse_minima  small lassos, one for each task
    _alternating    steps in either of two factors

Parts of one::

    _few_features, _sparse_step, _dual_newton
                    of splitting: working sets of features; the exact step with absolute values in it; Newton's method
                    for few rows
    _coordinate/    of coordinate descent
    _fused/         of the interior-point method
    _rows/          of newton, accelerated and factored
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
from skmtl.solvers.composite import chooses_moments, does_without_grams, solver_of
from skmtl.solvers.solution import Certificate, Solution, moments_for, solve

__all__ = ["Certificate", "Solution", "chooses_moments", "does_without_grams", "moments_for", "solve", "solver_of"]
