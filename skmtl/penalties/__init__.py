"""Penalties: what we believe about how tasks relate.

Each one is a function Omega of the weights W (n_tasks, n_features), a small object that carries its own ``alpha``:

    value(W)       Omega(W), float, in units of the loss

A penalty never sees data and nothing in a fit changes it.  All of these are quadratic and solved exactly
(`skmtl.solvers.exact`).
"""

from skmtl.penalties.base import Penalty
from skmtl.penalties.graph import TaskGraph
from skmtl.penalties.shared import Pooled, Ridge, SharedPlusSpecific

__all__ = ["Penalty", "Pooled", "Ridge", "SharedPlusSpecific", "TaskGraph"]
