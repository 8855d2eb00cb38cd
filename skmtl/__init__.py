"""skmtl: multitask learning with the scikit-learn API."""

from skmtl.regression import (
    AdaptiveJointFeatureRegressor,
    ClusteredRegressor,
    DirtyRegressor,
    FusedTasksRegressor,
    IndependentRegressor,
    JointFeatureRegressor,
    L1Regressor,
    LatentBasisRegressor,
    MeanRegularizedRegressor,
    MultiTaskRegressor,
    PooledRegressor,
    ReducedRankRegressor,
    RobustFeatureRegressor,
    RobustLowRankRegressor,
    SharedSubspaceRegressor,
    SparseLowRankRegressor,
    TaskGraphRegressor,
    TaskRelationshipRegressor,
    TemporalRegressor,
    TraceNormRegressor,
)

__version__ = "0.1.0.dev0"

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
    "all_estimators",
]


def all_estimators():
    """The classes of all estimators of the library, by name.

    Examples
    --------
    >>> import skmtl
    >>> skmtl.all_estimators()[0].__name__
    'AdaptiveJointFeatureRegressor'
    """
    return [globals()[name] for name in __all__ if name.endswith(("Regressor", "Classifier"))]
