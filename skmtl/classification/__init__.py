r"""Classifiers by name: each is its parameters and the belief they stand for, that of the regressor of its name.

The loss is the log-loss, :math:`\sum_t c_t \sum_i s_{ti} \, \ell(y_{ti}, x_i' w_t + b_t)`.  Of two classes the first is
y = 0 and the second y = 1, with :math:`\ell(y, \eta) = \log(1 + e^\eta) - y \eta`.  More classes have weights of their
own each, with :math:`\ell(y, \eta) = \log \sum_k e^{\eta_k} - \eta_y`.  In formulas W is d x T, a column :math:`w_t`
for each task and a row :math:`W_j` for each feature, and :math:`c_t = T / N` unless `task_weight` says otherwise, so
that scikit-learn's ``LogisticRegression(C=C)`` is a ridge term of strength ``alpha = T / (C * N)``, with N the sum of
the weights of all labels.  The penalty :math:`\Omega(W)` is that of the regressor.
"""

from skmtl.classification.adaptive import AdaptiveJointFeatureClassifier
from skmtl.classification.clustered import ClusteredClassifier, SharedSubspaceClassifier
from skmtl.classification.composable import MultiTaskClassifier
from skmtl.classification.decomposition import (
    DirtyClassifier,
    RobustFeatureClassifier,
    RobustLowRankClassifier,
    SparseLowRankClassifier,
)
from skmtl.classification.graph import FusedTasksClassifier, TaskGraphClassifier
from skmtl.classification.latent_basis import LatentBasisClassifier
from skmtl.classification.low_rank import TaskRelationshipClassifier, TraceNormClassifier
from skmtl.classification.pooling import IndependentClassifier, MeanRegularizedClassifier, PooledClassifier
from skmtl.classification.reduced_rank import ReducedRankClassifier
from skmtl.classification.sparse import JointFeatureClassifier, L1Classifier
from skmtl.classification.temporal import TemporalClassifier

__all__ = [
    "AdaptiveJointFeatureClassifier",
    "ClusteredClassifier",
    "DirtyClassifier",
    "FusedTasksClassifier",
    "IndependentClassifier",
    "JointFeatureClassifier",
    "L1Classifier",
    "LatentBasisClassifier",
    "MeanRegularizedClassifier",
    "MultiTaskClassifier",
    "PooledClassifier",
    "ReducedRankClassifier",
    "RobustFeatureClassifier",
    "RobustLowRankClassifier",
    "SharedSubspaceClassifier",
    "SparseLowRankClassifier",
    "TaskGraphClassifier",
    "TaskRelationshipClassifier",
    "TemporalClassifier",
    "TraceNormClassifier",
]
