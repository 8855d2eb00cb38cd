"""Penalties: what we believe about how tasks relate.

Each one is a function Omega of the weights W (n_tasks, n_features), a small object that carries its own ``alpha``:

    value(W)       Omega(W)                                          float, units of the loss
    prox(V, step)  argmin_P  step * Omega(P) + 1/2 |P - V|_F^2        shape and units of V
    dual_norm(Z)   max { <Z, W> : Omega(W) <= 1 } at alpha = 1        float, units of Z

A `Norm` with these three is solved, certified and has an ``alpha_max``; `Ridge`, `Pooled`, `SharedPlusSpecific` and
`TaskGraph` are quadratic and solved exactly; sums, graphs and decompositions say in ``terms`` what they consist of.  A
penalty never sees data and nothing in a fit changes it.  ``A + B`` is both beliefs at once.
"""

from skmtl.penalties.base import Norm, Penalty
from skmtl.penalties.clustered import Clustered, SharedSubspace
from skmtl.penalties.composite import Sum
from skmtl.penalties.decomposition import Dirty, RobustFeature, RobustLowRank, SparseLowRank
from skmtl.penalties.graph import FusedTasks, TaskGraph
from skmtl.penalties.low_rank import TaskRelationship, TraceNorm
from skmtl.penalties.nonconvex import AdaptiveJointFeature, LatentBasis, ReducedRank
from skmtl.penalties.shared import Pooled, Ridge, SharedPlusSpecific
from skmtl.penalties.slope import GroupSlope
from skmtl.penalties.sparse import L1, JointFeature
from skmtl.penalties.temporal import Temporal

__all__ = [
    "L1",
    "AdaptiveJointFeature",
    "Clustered",
    "Dirty",
    "FusedTasks",
    "GroupSlope",
    "JointFeature",
    "LatentBasis",
    "Norm",
    "Penalty",
    "Pooled",
    "ReducedRank",
    "Ridge",
    "RobustFeature",
    "RobustLowRank",
    "SharedPlusSpecific",
    "SharedSubspace",
    "SparseLowRank",
    "Sum",
    "TaskGraph",
    "TaskRelationship",
    "Temporal",
    "TraceNorm",
]
