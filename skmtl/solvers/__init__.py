"""Solvers: moments and a penalty in, one `Solution` out; no row of the data comes this far.

    exact      separate, pooled and shared-plus-specific weights, by factorisation
    graph      neighbouring tasks alike, by eigenvectors or conjugate gradients

Each registers with `solve`, which finds it by the type of the penalty.
"""

from skmtl.solvers import exact, graph  # noqa: F401 - they register
from skmtl.solvers.solution import Solution, solve

__all__ = ["Solution", "solve"]
