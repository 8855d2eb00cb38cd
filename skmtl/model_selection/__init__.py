"""Model selection: splits that respect tasks."""

from skmtl.model_selection.splitters import TaskStratifiedKFold

__all__ = ["TaskStratifiedKFold"]
