r"""Regressors by name: each is its parameters and the belief they stand for.

The loss is the squared one, :math:`\tfrac12 \sum_t c_t \sum_i s_{ti} (y_{ti} - x_i' w_t - b_t)^2`, with :math:`c_t =
T / N` unless `task_weight` says otherwise; on one shared, fully observed X that is scikit-learn's ``1 / (2 n_samples) *
||Y - X W||^2``.  In formulas W is d x T, a column :math:`w_t` for each task and a row :math:`W_j` for each feature.
"""

from skmtl.regression.adaptive import AdaptiveJointFeatureRegressor
from skmtl.regression.clustered import ClusteredRegressor, SharedSubspaceRegressor
from skmtl.regression.composable import MultiTaskRegressor
from skmtl.regression.decomposition import (
    DirtyRegressor,
    RobustFeatureRegressor,
    RobustLowRankRegressor,
    SparseLowRankRegressor,
)
from skmtl.regression.graph import FusedTasksRegressor, TaskGraphRegressor
from skmtl.regression.latent_basis import LatentBasisRegressor
from skmtl.regression.low_rank import TaskRelationshipRegressor, TraceNormRegressor
from skmtl.regression.pooling import IndependentRegressor, MeanRegularizedRegressor, PooledRegressor
from skmtl.regression.reduced_rank import ReducedRankRegressor
from skmtl.regression.sparse import JointFeatureRegressor, L1Regressor
from skmtl.regression.temporal import TemporalRegressor

__all__ = [
    "AdaptiveJointFeatureRegressor",
    "ClusteredRegressor",
    "DirtyRegressor",
    "FusedTasksRegressor",
    "IndependentRegressor",
    "JointFeatureRegressor",
    "L1Regressor",
    "LatentBasisRegressor",
    "MeanRegularizedRegressor",
    "MultiTaskRegressor",
    "PooledRegressor",
    "ReducedRankRegressor",
    "RobustFeatureRegressor",
    "RobustLowRankRegressor",
    "SharedSubspaceRegressor",
    "SparseLowRankRegressor",
    "TaskGraphRegressor",
    "TaskRelationshipRegressor",
    "TemporalRegressor",
    "TraceNormRegressor",
]
