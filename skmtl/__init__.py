"""skmtl: multitask learning with the scikit-learn API."""

import importlib

from skmtl.classification import (
    AdaptiveJointFeatureClassifier,
    ClusteredClassifier,
    DirtyClassifier,
    FusedTasksClassifier,
    IndependentClassifier,
    JointFeatureClassifier,
    L1Classifier,
    LatentBasisClassifier,
    MeanRegularizedClassifier,
    MultiTaskClassifier,
    PooledClassifier,
    ReducedRankClassifier,
    RobustFeatureClassifier,
    RobustLowRankClassifier,
    SharedSubspaceClassifier,
    SparseLowRankClassifier,
    TaskGraphClassifier,
    TaskRelationshipClassifier,
    TemporalClassifier,
    TraceNormClassifier,
)
from skmtl.neural import MultiTaskMLP, MultiTaskMLPClassifier, MultiTaskMLPRegressor
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
    "AdaptiveJointFeatureClassifier",
    "AdaptiveJointFeatureRegressor",
    "ClusteredClassifier",
    "ClusteredRegressor",
    "DirtyClassifier",
    "DirtyRegressor",
    "FusedTasksClassifier",
    "FusedTasksRegressor",
    "IndependentClassifier",
    "IndependentRegressor",
    "JointFeatureClassifier",
    "JointFeatureRegressor",
    "L1Classifier",
    "L1Regressor",
    "LatentBasisClassifier",
    "LatentBasisRegressor",
    "MeanRegularizedClassifier",
    "MeanRegularizedRegressor",
    "MultiTaskClassifier",
    "MultiTaskMLP",
    "MultiTaskMLPClassifier",
    "MultiTaskMLPRegressor",
    "MultiTaskRegressor",
    "PooledClassifier",
    "PooledRegressor",
    "ReducedRankClassifier",
    "ReducedRankRegressor",
    "RobustFeatureClassifier",
    "RobustFeatureRegressor",
    "RobustLowRankClassifier",
    "RobustLowRankRegressor",
    "SharedSubspaceClassifier",
    "SharedSubspaceRegressor",
    "SparseLowRankClassifier",
    "SparseLowRankRegressor",
    "TaskGraphClassifier",
    "TaskGraphRegressor",
    "TaskRelationshipClassifier",
    "TaskRelationshipRegressor",
    "TemporalClassifier",
    "TemporalRegressor",
    "TraceNormClassifier",
    "TraceNormRegressor",
    "all_estimators",
]

_LATER = ("datasets", "metrics", "model_selection", "preprocessing")  # modules that no model needs


def __getattr__(name):
    """A module when it is first asked for, as in scikit-learn: ``skmtl.datasets`` needs no import of its own."""
    if name in _LATER:
        return importlib.import_module(f"skmtl.{name}")
    raise AttributeError(f"module 'skmtl' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_LATER})


def all_estimators(type_filter=None):
    """The estimator classes of the library, sorted by name.

    Parameters
    ----------
    type_filter : {"regressor", "classifier", "network"} or None, default=None
        Which of them. "regressor" and "classifier" are the linear models, None is both; the networks come only with
        "network".

    Returns
    -------
    list of classes

    Examples
    --------
    >>> import skmtl
    >>> skmtl.all_estimators("regressor")[0].__name__
    'AdaptiveJointFeatureRegressor'
    """
    if type_filter not in (None, "regressor", "classifier", "network"):
        raise ValueError(f"type_filter must be 'regressor', 'classifier', 'network' or None. Got {type_filter!r}.")
    if type_filter == "network":
        return [globals()[name] for name in __all__ if "MLP" in name]
    endings = ("Regressor", "Classifier") if type_filter is None else type_filter.capitalize()
    return [globals()[name] for name in __all__ if name.endswith(endings) and "MLP" not in name]
