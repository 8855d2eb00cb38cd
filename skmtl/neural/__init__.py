"""Neural networks: hidden layers that tasks share, a head for every task."""

from skmtl.neural._display import TrainingDisplay
from skmtl.neural._heads import distill
from skmtl.neural._problem import Epoch
from skmtl.neural.classifier import MultiTaskMLPClassifier
from skmtl.neural.mixed import MultiTaskMLP
from skmtl.neural.regressor import MultiTaskMLPRegressor

__all__ = ["Epoch", "MultiTaskMLP", "MultiTaskMLPClassifier", "MultiTaskMLPRegressor", "TrainingDisplay", "distill"]
