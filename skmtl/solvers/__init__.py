"""Solvers: moments and a penalty in, one `Solution` out; no row of the data comes this far.

exact      quadratic penalties, by factorisation (conjugate gradients for a graph over tasks with their own rows)
"""

from skmtl.solvers import exact  # noqa: F401 - registers its solvers
from skmtl.solvers.solution import Solution, solve

__all__ = ["Solution", "solve"]
