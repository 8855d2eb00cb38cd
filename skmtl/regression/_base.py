"""What the named regressors have in common."""

from skmtl.base import LinearMultiTask, MultiTaskRegressorMixin

__all__ = ["LinearRegressor"]


class LinearRegressor(MultiTaskRegressorMixin, LinearMultiTask):
    """A linear model with the squared loss; a subclass stores its parameters and gives `_penalty`."""
