"""Solvers: moments and a penalty in, one `Solution` out; other losses than the squared come with their rows.

    exact      separate, pooled and shared-plus-specific weights, by factorisation
    graph      neighbouring tasks alike, by eigenvectors or conjugate gradients
    coordinate single weights or features of all tasks that are zero, by coordinate descent
    fused      tasks that are the same along a graph, by an interior-point method
    temporal   ... along a chain, likewise
    splitting  any penalty with a prox, sums of them and decompositions, by Douglas-Rachford splitting
    composite  sums that are one belief
    reduced_rank, latent_basis
               factors of few directions, by exact steps in one and the other
    adaptive   concave functions of features, by a sequence of joint-feature problems

Each registers with `solve`, which finds it by the type of the penalty.
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
