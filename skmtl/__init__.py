"""skmtl: multitask learning with the scikit-learn API."""

from skmtl.regression import (
    IndependentRegressor,
    MeanRegularizedRegressor,
    MultiTaskRegressor,
    PooledRegressor,
    TaskGraphRegressor,
)

__version__ = "0.1.0.dev0"

__all__ = [
    "IndependentRegressor",
    "MeanRegularizedRegressor",
    "MultiTaskRegressor",
    "PooledRegressor",
    "TaskGraphRegressor",
    "all_estimators",
]


def all_estimators():
    """The classes of all estimators of the library, by name.

    Examples
    --------
    >>> import skmtl
    >>> skmtl.all_estimators()[0].__name__
    'IndependentRegressor'
    """
    return [globals()[name] for name in __all__ if name.endswith(("Regressor", "Classifier"))]
